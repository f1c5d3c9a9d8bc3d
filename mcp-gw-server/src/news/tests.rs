//! Callers of different rights, and lists that change for some of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mcp_gw_core::{
    AccessRequest, Backend, BackendError, CallContext, Caller, CallerKind, Decision, Endpoint,
    Feature, Incoming, ItemSpec, Mounting, Offer, Policy, Remount, RequestMeta, ToolCall,
    ToolOutput, ToolSpec, Transport,
};
use mcp_gw_policy::{PolicyConfig, PolicyEngine};
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::client::Client;
use crate::engine::{Engine, EngineConfig};
use crate::listen::Filter;
use crate::outbox::Outbox;
use crate::revision::Revision;

/// A server whose offer the tests change, and whether it is known without asking.
#[derive(Clone)]
struct Shelf(&'static str, Arc<Mutex<Offer>>, bool);

#[async_trait]
impl Backend for Shelf {
    fn name(&self) -> &str {
        self.0
    }

    fn offer_now(&self) -> Option<Offer> {
        self.2.then(|| self.1.lock().unwrap().clone())
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(self.1.lock().unwrap().clone())
    }

    async fn call_tool(&self, _: &CallContext, _: ToolCall) -> Result<ToolOutput, BackendError> {
        Ok(ToolOutput::text("done"))
    }
}

fn item(feature: Feature, member: &str, key: &str, says: u8) -> ItemSpec {
    let text = format!(r#"{{"{member}":"{key}","description":"{says}"}}"#);
    ItemSpec::from_definition(feature, RawJson::parse(text).unwrap()).unwrap()
}

fn tool(name: &str, says: u8) -> ToolSpec {
    let text =
        format!(r#"{{"name":"{name}","description":"{says}","inputSchema":{{"type":"object"}}}}"#);
    ToolSpec::from_definition(RawJson::parse(text).unwrap()).unwrap()
}

fn offer() -> Offer {
    let mut offer = Offer::of_tools(["get_a", "get_b", "set_a"].map(|name| tool(name, 0)).into());
    offer.prompts = ["get_p", "set_p"]
        .map(|name| item(Feature::Prompt, "name", name, 0))
        .into();
    offer.resources = ["get:r", "set:r"]
        .map(|uri| item(Feature::Resource, "uri", uri, 0))
        .into();
    offer.resource_templates = ["get:{t}", "set:{t}"]
        .map(|uri| item(Feature::ResourceTemplate, "uriTemplate", uri, 0))
        .into();
    offer
}

/// Ann sees everything, Bob what begins with `get`, Carol nothing.
const RULES: &str = r#"{"rules":[
    {"id":"ann","effect":"allow","who":{"ids":["ann"]},"methods":["list"]},
    {"id":"tools","effect":"allow","who":{"ids":["bob"]},"tools":["get_*"],"methods":["list"]},
    {"id":"prompts","effect":"allow","who":{"ids":["bob"]},"prompts":["get_*"],"methods":["list"]},
    {"id":"uris","effect":"allow","who":{"ids":["bob"]},"resources":["get:**"],"resource_templates":["get:**"],"methods":["list"]}]}"#;

fn config(policy: &str) -> PolicyConfig {
    serde_json::from_str(policy).unwrap()
}

struct World {
    engine: Engine,
    policy: PolicyEngine,
    shelf: Shelf,
}

impl World {
    async fn new(policy: &str) -> Self {
        let policy = PolicyEngine::compile(&config(policy)).unwrap();
        let shelf = Shelf("shelf", Arc::new(Mutex::new(offer())), false);
        let some = |_: Feature, name: &str, _: &str| name.starts_with("set");
        let gateway = Gateway::builder()
            .backend(shelf.clone())
            .policy(policy.clone())
            .endpoint(Endpoint::new("some", some))
            .build()
            .unwrap();
        gateway.refresh().await.unwrap();
        Self {
            engine: Engine::new(gateway, EngineConfig::default()),
            policy,
            shelf,
        }
    }

    fn offer(&self, change: impl FnOnce(&mut Offer)) {
        change(&mut self.shelf.1.lock().unwrap());
        let mut asking = std::pin::pin!(self.engine.gateway().refresh());
        let mut turn = std::task::Context::from_waker(std::task::Waker::noop());
        // Nobody is told before what follows.
        loop {
            if let std::task::Poll::Ready(asked) = asking.as_mut().poll(&mut turn) {
                return asked.unwrap();
            }
        }
    }

    fn rules(&self, policy: &str) {
        self.policy.reload(&config(policy)).unwrap();
        self.engine.rules_changed();
    }

    /// Clients of both kinds.
    fn hearers(&self, id: &str) -> [Hearer; 2] {
        [self.client(id, None), self.listener(id, None)]
    }

    fn client(&self, id: &str, endpoint: Option<&str>) -> Hearer {
        let (outbox, messages) = mpsc::channel(64);
        let outbox = Outbox::lines(outbox);
        let client = Client::new(caller(id), Revision::NEWEST_LEGACY, None, None, outbox);
        let client = client.at(endpoint.map(Arc::from));
        let client = self.engine.inner.clients.welcome(client);
        Hearer {
            messages,
            client: Some(client),
        }
    }

    fn listener(&self, id: &str, endpoint: Option<&str>) -> Hearer {
        let meta = RequestMeta::new("1", Transport::Http).with_endpoint(endpoint.map(Arc::from));
        let filter = Filter {
            tools: true,
            prompts: true,
            resources: true,
            ..Filter::default()
        };
        let incoming = Incoming::new(caller(id), meta);
        let closing = CancellationToken::new();
        let opened = self
            .engine
            .listen(filter, &RawJson::string("1"), incoming, closing);
        let (work, messages) = opened.ok().unwrap();
        tokio::spawn(work);
        Hearer {
            messages,
            client: None,
        }
    }
}

fn caller(id: &str) -> Arc<Caller> {
    Arc::new(Caller::new(CallerKind::ApiKey, id))
}

struct Hearer {
    messages: mpsc::Receiver<RawJson>,
    /// Of a client that shook hands.
    client: Option<Arc<Client>>,
}

impl Hearer {
    /// What was told so far of lists.
    fn told(&mut self) -> String {
        let mut told = Vec::new();
        while let Ok(message) = self.messages.try_recv() {
            let method: String = message
                .member("method")
                .unwrap()
                .unwrap()
                .decode_owned()
                .unwrap();
            if let Some(list) = method.strip_suffix("/list_changed") {
                told.push(list.trim_start_matches("notifications/").to_owned());
            }
        }
        told.join(" ")
    }
}

/// Time stands still but for this: all that is to be told is told then.
async fn later() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// What the clients of each caller were told; both kinds of clients are told the same.
fn told(all: &mut [[Hearer; 2]]) -> Vec<String> {
    let both = all.iter_mut().map(|[client, listener]| {
        let told = client.told();
        assert_eq!(listener.told(), told);
        told
    });
    both.collect()
}

type Change = fn(&mut Offer);

#[tokio::test(start_paused = true)]
async fn who_sees_what_has_changed_is_told_and_nobody_else() {
    let world = World::new(RULES).await;
    let mut all = ["ann", "bob", "carol"].map(|id| world.hearers(id));
    later().await;
    assert_eq!(told(&mut all), ["", "", ""]);
    let changes: [(Change, &str, &str); 11] = [
        (|it| it.tools.push(tool("set_b", 0)), "tools", ""),
        (|it| it.tools.push(tool("get_c", 0)), "tools", "tools"),
        (|it| it.tools[2] = tool("set_a", 1), "tools", ""),
        (|it| it.tools[0] = tool("get_a", 1), "tools", "tools"),
        (|it| drop(it.tools.remove(2)), "tools", ""),
        (|it| drop(it.tools.remove(0)), "tools", "tools"),
        (|it| drop(it.prompts.remove(1)), "prompts", ""),
        (|it| it.prompts.clear(), "prompts", "prompts"),
        (|it| drop(it.resources.remove(1)), "resources", ""),
        (|it| it.resource_templates.truncate(1), "resources", ""),
        (|it| it.resource_templates.clear(), "resources", "resources"),
    ];
    for (at, (change, ann, bob)) in changes.into_iter().enumerate() {
        world.offer(change);
        later().await;
        assert_eq!(told(&mut all), [ann, bob, ""], "change {at}");
    }
    world.offer(|it| *it = offer());
    later().await;
    let everything = "tools prompts resources";
    assert_eq!(told(&mut all), [everything, everything, ""]);
    assert!(world.policy.stats().decisions.is_empty(), "nobody asked");
}

#[tokio::test(start_paused = true)]
async fn another_policy_is_told_to_who_sees_another_list_by_it() {
    let world = World::new(RULES).await;
    let mut all = ["ann", "bob", "carol"].map(|id| world.hearers(id));
    let everything = "tools prompts resources";
    for (policy, expected) in [
        (
            RULES.replace("\"get_*\"]", "\"get_*\",\"set_*\"]"),
            ["", "tools prompts", ""],
        ),
        (
            RULES.replace("\"ann\"]", "\"ann\",\"carol\"]"),
            ["", "tools prompts", everything],
        ),
        // Other rules that show the same.
        (
            RULES.replace("\"ann\"]", "\"carol\",\"ann\"]"),
            ["", "", ""],
        ),
        (RULES.to_owned(), ["", "", everything]),
        // It cannot be told what depends on the request, so whom it is about is told.
        (
            RULES.replace(
                "\"prompts\":[\"get_*\"]",
                "\"prompts\":[\"get_*\"],\"from\":[\"10.0.0.0/8\"]",
            ),
            ["", "prompts", ""],
        ),
        (
            r#"{"default":"allow"}"#.to_owned(),
            ["", everything, everything],
        ),
        (r#"{"default":"deny"}"#.to_owned(), [everything; 3]),
    ] {
        world.rules(&policy);
        later().await;
        assert_eq!(told(&mut all), expected, "{policy}");
    }
    // What is the same for all is asked once a policy is another one; what nobody sees is not told.
    world.offer(|it| it.tools.clear());
    later().await;
    // The policies before are forgotten only after a moment.
    tokio::time::sleep(Duration::from_secs(10)).await;
    told(&mut all);
    world.offer(|it| it.prompts.clear());
    later().await;
    assert_eq!(told(&mut all), ["", "", ""]);
}

#[tokio::test(start_paused = true)]
async fn what_depends_on_the_request_is_told_to_whom_it_is_about() {
    let rule = r#"{"id":"b","effect":"require","tools":["set_*"],"when":"request.time.getHours() > 8 || identity.id == 'x'","methods":["list"]}"#;
    let policy = format!(r#"{{"default":"allow","rules":[{rule}]}}"#);
    let world = World::new(&policy).await;
    let mut all = ["ann", "bob"].map(|id| world.hearers(id));
    world.offer(|it| it.tools[2] = tool("set_a", 1));
    later().await;
    assert_eq!(told(&mut all), ["tools", "tools"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_only_on_the_way_is_told_too() {
    let world = World::new(RULES).await;
    let mut all = ["ann", "bob", "carol"].map(|id| world.hearers(id));
    // There and back: somebody may have listed in between.
    world.offer(|it| it.tools.push(tool("get_c", 0)));
    world.offer(|it| drop(it.tools.pop()));
    later().await;
    assert_eq!(told(&mut all), ["tools", "tools", ""]);
    world.rules(r#"{"default":"allow"}"#);
    world.rules(RULES);
    later().await;
    let everything = "tools prompts resources";
    assert_eq!(told(&mut all), ["", everything, everything]);
    // What goes and was shown only by the rules that go, in either order.
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.offer(|it| it.tools.retain(|tool| tool.name() != "get_b"));
    world.rules(&RULES.replace("\"get_*\"", "\"get_a\""));
    later().await;
    assert_eq!(told(&mut all), ["tools", "tools prompts", ""]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.rules(RULES);
    world.offer(|it| it.prompts.clear());
    later().await;
    assert_eq!(told(&mut all), ["prompts", "prompts", ""]);
}

#[tokio::test(start_paused = true)]
async fn rules_that_changed_without_a_word_count_from_the_next_change_on() {
    let world = World::new(r#"{"default":"deny"}"#).await;
    let mut all = ["ann", "bob"].map(|id| world.hearers(id));
    world.policy.reload(&config(RULES)).unwrap();
    world.offer(|it| it.tools.push(tool("set_b", 0)));
    later().await;
    let everything = "tools prompts resources";
    assert_eq!(told(&mut all), [everything, everything]);
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_nobody_listened_is_not_told_and_what_comes_is() {
    let world = World::new(RULES).await;
    world.offer(|it| it.tools.clear());
    world.rules(r#"{"default":"deny"}"#);
    world.rules(RULES);
    let mut all = ["ann", "bob"].map(|id| world.hearers(id));
    later().await;
    assert_eq!(told(&mut all), ["", ""]);
    world.offer(|it| it.tools.push(tool("set_a", 0)));
    // Whoever comes between a change and its telling may hear of it, and of the next.
    let mut late = [world.hearers("bob")];
    later().await;
    assert_eq!(told(&mut all), ["tools", ""]);
    told(&mut late);
    world.offer(|it| it.tools.push(tool("get_a", 0)));
    later().await;
    assert_eq!(told(&mut all), ["tools", "tools"]);
    assert_eq!(told(&mut late), ["tools"]);
}

#[tokio::test(start_paused = true)]
async fn an_order_is_told_to_who_sees_it() {
    let world = World::new(RULES).await;
    let mut all = ["ann", "bob"].map(|id| world.hearers(id));
    world.offer(|it| it.tools.swap(1, 2));
    later().await;
    assert_eq!(told(&mut all), ["tools", ""]);
    world.offer(|it| it.tools.swap(0, 2));
    later().await;
    assert_eq!(told(&mut all), ["tools", "tools"]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_told_of_what_it_shows() {
    let world = World::new(RULES).await;
    let mut all = ["ann", "bob"].map(|id| {
        let at = Some("some");
        [world.client(id, at), world.listener(id, at)]
    });
    world.offer(|it| it.tools.push(tool("get_c", 0)));
    later().await;
    assert_eq!(told(&mut all), ["", ""]);
    world.offer(|it| it.tools.push(tool("set_c", 0)));
    later().await;
    assert_eq!(told(&mut all), ["tools", ""]);
    world.rules(r#"{"default":"allow"}"#);
    later().await;
    assert_eq!(told(&mut all), ["", "tools prompts resources"]);
}

#[tokio::test(start_paused = true)]
async fn what_goes_to_another_server_is_told_to_who_may_see_only_one_of_them() {
    let by_server = r#"{"default":"allow","rules":[
        {"id":"b","effect":"deny","who":{"ids":["bob"]},"servers":["other"]}]}"#;
    let world = World::new(by_server).await;
    let mut all = ["ann", "bob"].map(|id| world.hearers(id));
    let other = Shelf("other", Arc::clone(&world.shelf.1), true);
    let next = Remount::new().mount(Arc::new(other), Mounting::plain());
    world.engine.gateway().remount(next).unwrap();
    later().await;
    let everything = "tools prompts resources";
    assert_eq!(
        told(&mut all),
        ["", everything],
        "to Ann they look the same"
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_is_told_of_what_its_last_list_was_asked_as() {
    let by_role = r#"{"rules":[{"id":"a","effect":"allow","who":{"roles":["admin"]}}]}"#;
    let world = World::new(by_role).await;
    let mut hearer = world.client("ann", None);
    let client = hearer.client.clone().unwrap();
    world.offer(|it| it.tools.clear());
    later().await;
    assert_eq!(hearer.told(), "");
    let admin = Caller::new(CallerKind::ApiKey, "ann").with_roles(["admin"]);
    client.lists_as(&Arc::new(admin));
    world.offer(|it| it.prompts.clear());
    later().await;
    assert_eq!(hearer.told(), "prompts");
}

/// Counts what it is asked.
struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl Policy for Counting {
    async fn decide(&self, _: &AccessRequest<'_>) -> Decision {
        Decision::allow()
    }

    fn as_of_now(&self) -> Option<Arc<dyn ListPolicy>> {
        Some(Arc::new(Self(Arc::clone(&self.0))))
    }
}

impl ListPolicy for Counting {
    fn shows(&self, requests: &[AccessRequest<'_>]) -> Vec<Option<bool>> {
        self.0.fetch_add(requests.len(), Ordering::Relaxed);
        requests
            .iter()
            .map(|it| Some(&*it.caller.id == "ann"))
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn callers_are_asked_about_once_however_many_clients_they_have() {
    let asked = Arc::new(AtomicUsize::new(0));
    let shelf = Shelf(
        "shelf",
        Arc::new(Mutex::new(Offer::of_tools(Vec::new()))),
        false,
    );
    let gateway = Gateway::builder()
        .backend(shelf.clone())
        .policy(Counting(Arc::clone(&asked)))
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    let world = World {
        engine: Engine::new(gateway, EngineConfig::default()),
        policy: PolicyEngine::compile(&config("{}")).unwrap(),
        shelf,
    };
    let ids = ["ann", "bob"].into_iter().cycle();
    let mut clients: Vec<_> = ids.take(10_000).map(|id| world.client(id, None)).collect();
    let tools = (0..1000).map(|number| tool(&format!("t{number}"), 0));
    let tools: Vec<_> = tools.collect();
    world.offer(|it| it.tools = tools);
    later().await;
    for (at, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.told(), if at % 2 == 0 { "tools" } else { "" });
    }
    // A thousand that came for each of two callers, by the policy in force and the one before: it is
    // another one each time that it is looked at. All of these are compared, and other lists are empty.
    let asked = asked.load(Ordering::Relaxed);
    assert!((2000..=12_000).contains(&asked), "{asked}");
}

/// What may happen.
#[derive(Debug, Clone)]
enum Step {
    /// The server offers these: names, and what is said of them.
    Offers(Vec<(u8, u8)>),
    /// Bob sees the tools of these names.
    Shows(Vec<u8>),
    /// So many milliseconds go by.
    Waits(u64),
    /// Bob lists the tools.
    Lists,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let names = || proptest::sample::subsequence(vec![0_u8, 1, 2, 3], 0..=4);
    let says = proptest::collection::vec(0_u8..2, 4);
    let offers = (names().prop_shuffle(), says).prop_map(|(names, says)| {
        let says = |name: u8| (name, says[usize::from(name)]);
        Step::Offers(names.into_iter().map(says).collect())
    });
    let step = prop_oneof![
        3 => offers,
        2 => names().prop_map(Step::Shows),
        2 => prop_oneof![Just(1), Just(100), Just(300), Just(8000)].prop_map(Step::Waits),
        2 => Just(Step::Lists),
    ];
    proptest::collection::vec(step, 1..16)
}

fn shows(names: &[u8]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("\"t{name}\"")).collect();
    let tools = names.join(",");
    let rule = format!(
        r#"{{"id":"b","effect":"allow","who":{{"ids":["bob"]}},"tools":[{tools}],"methods":["list"]}}"#
    );
    let rules = if names.is_empty() { "" } else { &rule };
    format!(r#"{{"rules":[{rules}]}}"#)
}

async fn list(world: &World) -> Vec<RawJson> {
    let incoming = Incoming::new(caller("bob"), RequestMeta::new("1", Transport::Http));
    let list = world
        .engine
        .gateway()
        .list(&incoming, Feature::Tool, None, 100);
    list.await.unwrap().items.to_vec()
}

async fn never_missed(steps: Vec<Step>) {
    let world = World::new(&shows(&[0, 1])).await;
    let mut all = ["bob", "carol"].map(|id| world.hearers(id));
    let mut known = list(&world).await;
    for step in steps {
        match step {
            Step::Offers(tools) => {
                let tools = tools
                    .iter()
                    .map(|(name, says)| tool(&format!("t{name}"), *says));
                let tools: Vec<_> = tools.collect();
                world.offer(|it| it.tools = tools);
            }
            Step::Shows(names) => world.rules(&shows(&names)),
            Step::Waits(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Step::Lists => {
                all[0].iter_mut().for_each(|hearer| drop(hearer.told()));
                known = list(&world).await;
            }
        }
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    let is_behind = known != list(&world).await;
    for hearer in &mut all[0] {
        assert!(hearer.told().contains("tools") || !is_behind);
    }
    for hearer in &mut all[1] {
        assert_eq!(hearer.told(), "", "she never sees anything");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn who_knows_another_list_than_there_is_was_told_since(steps in steps()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(never_missed(steps));
    }
}
