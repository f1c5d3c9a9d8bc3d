//! Several backends in one gateway: names, URIs, endpoints, freshness.

use std::collections::HashMap;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::mount::UriNaming;
use crate::{CacheHint, ItemSpec, ListHints, TaskAsk, TaskMethod};

/// Offers what it was given, and says in its answers what it was asked for.
struct Server {
    name: &'static str,
    offer: Arc<Mutex<Result<Offer, &'static str>>>,
}

fn definition(feature: Feature, key: &str) -> RawJson {
    let member = match feature {
        Feature::Resource => "uri",
        Feature::ResourceTemplate => "uriTemplate",
        _ => "name",
    };
    let writer = crate::ObjectWriter::default().string(member, key);
    writer.string("title", "T").finish()
}

impl Server {
    fn new(name: &'static str, tools: &[&str], uris: &[&str]) -> Self {
        let tools = tools.iter().map(|name| ToolSpec::new(name, "").unwrap());
        let mut offer = Offer::of_tools(tools.collect());
        for uri in uris {
            let (feature, list) = if uri.contains('{') {
                (Feature::ResourceTemplate, &mut offer.resource_templates)
            } else {
                (Feature::Resource, &mut offer.resources)
            };
            list.push(ItemSpec::from_definition(feature, definition(feature, uri)).unwrap());
        }
        let prompt = definition(Feature::Prompt, "p");
        let prompt = ItemSpec::from_definition(Feature::Prompt, prompt).unwrap();
        offer.prompts.push(prompt);
        offer.instructions = Some(format!("I am {name}."));
        Self {
            name,
            offer: Arc::new(Mutex::new(Ok(offer))),
        }
    }
}

#[async_trait]
impl Backend for Server {
    fn name(&self) -> &str {
        self.name
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        self.offer
            .lock()
            .unwrap()
            .clone()
            .map_err(|reason| BackendError::Unavailable {
                server: self.name.into(),
                reason: reason.to_owned(),
            })
    }

    async fn call_tool(&self, _: &CallContext, call: ToolCall) -> Result<ToolOutput, BackendError> {
        if &*call.name == "gone" {
            let error = r#"{"code":-32002,"message":"m","data":{"uri":"a:b","x":1.0}}"#;
            return Err(BackendError::Rpc(RawJson::parse(error).unwrap()));
        }
        if &*call.name == "later" {
            let made = r#"{"resultType":"task","taskId":"7","ttlMs":1000}"#;
            return Ok(ToolOutput::from_raw(RawJson::parse(made).unwrap()).unwrap());
        }
        let says = format!(
            r#"{{"content":[{{"type":"text","text":"{} {}"}},{{"type":"resource_link","uri":"a:link"}}]}}"#,
            self.name, call.name
        );
        Ok(ToolOutput::from_raw(RawJson::parse(says).unwrap()).unwrap())
    }

    async fn read_resource(
        &self,
        _: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        let says = format!(
            r#"{{"contents":[{{"uri":"{}","text":"{}"}}]}}"#,
            read.uri, self.name
        );
        Ok(RawJson::parse(says).unwrap())
    }

    async fn get_prompt(&self, _: &CallContext, get: PromptGet) -> Result<RawJson, BackendError> {
        let says = format!(
            r#"{{"messages":[{{"role":"user","content":{{"type":"resource_link","uri":"a:{}"}}}}]}}"#,
            get.name
        );
        Ok(RawJson::parse(says).unwrap())
    }

    async fn task(&self, _: &CallContext, ask: TaskAsk) -> Result<RawJson, BackendError> {
        let says = format!(
            r#"{{"taskId":"{}","result":{{"content":[{{"type":"resource_link","uri":"a:b"}}]}}}}"#,
            ask.task_id
        );
        Ok(RawJson::parse(says).unwrap())
    }

    async fn complete(&self, _: &CallContext, about: Completion) -> Result<RawJson, BackendError> {
        let (CompletionRef::Prompt(name) | CompletionRef::Resource(name)) = about.reference;
        Ok(RawJson::parse(format!(r#"{{"completion":{{"values":["{name}"]}}}}"#)).unwrap())
    }
}

fn at(endpoint: &str) -> Incoming {
    let meta = RequestMeta::new("r1", Transport::InProcess);
    Incoming::new(Caller::local(), meta.with_endpoint(Some(endpoint.into())))
}

fn keys(catalogue: &Catalogue, feature: Feature) -> Vec<String> {
    let entries = catalogue.entries(feature).iter();
    entries.map(|entry| entry.key.to_string()).collect()
}

fn read(uri: &str) -> ResourceRead {
    ResourceRead::new(uri, Extras::default())
}

/// What a read says: its `uri`, and the server.
async fn reads(gateway: &Gateway, incoming: &Incoming, uri: &str) -> Option<(String, String)> {
    let answer = gateway.read_resource(incoming, read(uri)).await.ok()?;
    let tree = answer.to_value().unwrap();
    let text = |key: &str| tree["contents"][0][key].as_str().unwrap().to_owned();
    Some((text("uri"), text("text")))
}

async fn of(servers: Vec<(Server, Mounting)>) -> Gateway {
    let mut builder = Gateway::builder().policy(AllowAll::new());
    for (server, mounting) in servers {
        builder = builder.mount(server, mounting);
    }
    let gateway = builder.build().unwrap();
    let _ = gateway.refresh().await;
    gateway
}

#[tokio::test]
async fn names_collide_as_configured() {
    use Naming::{Always, Never, OnCollision};
    for (first, second, expected, left_out) in [
        (Never, Never, ["echo", "a", "b"].as_slice(), 1),
        (Never, OnCollision, &["echo", "a", "two__echo", "b"], 0),
        (
            OnCollision,
            OnCollision,
            &["echo", "a", "two__echo", "b"],
            0,
        ),
        (OnCollision, Never, &["echo", "a", "b"], 1),
        (Always, Never, &["one__echo", "one__a", "echo", "b"], 0),
        (
            Always,
            Always,
            &["one__echo", "one__a", "two__echo", "two__b"],
            0,
        ),
    ] {
        let gateway = of(vec![
            (
                Server::new("one", &["echo", "a"], &[]),
                Mounting::new(first, "one"),
            ),
            (
                Server::new("two", &["echo", "b"], &[]),
                Mounting::new(second, "two"),
            ),
        ])
        .await;
        let names = keys(&gateway.catalogue(), Feature::Tool);
        assert_eq!(names, expected, "{first:?} {second:?}");
        let out = &gateway.status()[1].left_out;
        let tools = out.iter().filter(|item| item.feature == Feature::Tool);
        assert_eq!(tools.count(), left_out, "{first:?} {second:?}");
        assert!(gateway.status()[0].left_out.is_empty());
    }
}

#[tokio::test]
async fn a_server_that_is_away_keeps_its_names() {
    let (one, two) = (
        Server::new("one", &["echo"], &[]),
        Server::new("two", &["echo"], &[]),
    );
    let offer = Arc::clone(&one.offer);
    let mounting = |prefix| Mounting::new(Naming::OnCollision, prefix);
    let gateway = of(vec![(one, mounting("one")), (two, mounting("two"))]).await;
    let before = keys(&gateway.catalogue(), Feature::Tool);
    *offer.lock().unwrap() = Err("away");
    gateway.refresh().await.unwrap_err();
    assert_eq!(keys(&gateway.catalogue(), Feature::Tool), before);
    assert_eq!(before, ["echo", "two__echo"]);
}

#[tokio::test]
async fn no_server_speaks_under_the_prefix_of_another() {
    let spoof = Server::new(
        "spoof",
        &["bank__pay", "pay"],
        &["bank+a:b", "ui://bank__x", "c:d"],
    );
    let bank = Server::new("bank", &["pay"], &["a:b"]);
    let gateway = of(vec![
        (spoof, Mounting::plain()),
        (bank, Mounting::new(Naming::Always, "bank")),
    ])
    .await;
    let catalogue = gateway.catalogue();
    let tool = catalogue.find(Feature::Tool, "bank__pay").unwrap();
    assert_eq!((&*tool.server, &*tool.upstream_key), ("bank", "pay"));
    assert_eq!(keys(&catalogue, Feature::Resource), ["c:d", "bank+a:b"]);
    let out = &gateway.status()[0].left_out;
    assert_eq!(out.len(), 3, "{out:?}");
    assert!(
        out.iter()
            .all(|item| item.reason.contains("of server `bank`"))
    );
    let mine = |uri: &'static str| reads(&gateway, &INCOMING, uri);
    assert_eq!(mine("bank+a:b").await.unwrap().1, "bank");
    assert_eq!(mine("ui://bank__x").await.unwrap().1, "bank");
}

static INCOMING: std::sync::LazyLock<Incoming> = std::sync::LazyLock::new(incoming);

#[test]
fn prefixes_that_cannot_be_told_apart_are_refused() {
    let build = |first: &str, second: &str, uris| {
        let mounting = |prefix: &str| Mounting::new(Naming::Always, prefix).with_uris(uris);
        Gateway::builder()
            .mount(Server::new("one", &[], &[]), mounting(first))
            .mount(Server::new("two", &[], &[]), mounting(second))
            .build()
    };
    for (first, second, uris, is_good) in [
        ("a", "a__b", UriNaming::Keep, false),
        ("a_", "a", UriNaming::Keep, false),
        ("a", "a", UriNaming::Keep, false),
        ("a", "b__a", UriNaming::Keep, true),
        ("a_b", "a.b", UriNaming::Keep, true),
        ("a_b", "a.b", UriNaming::Prefix, false),
        ("A", "a", UriNaming::Prefix, false),
        ("a-b", "a_b", UriNaming::Prefix, true),
    ] {
        let result = build(first, second, uris);
        assert_eq!(result.is_ok(), is_good, "{first} {second} {uris:?}");
        if let Err(error) = result {
            assert!(matches!(error, BuildError::AmbiguousPrefix { .. }));
        }
    }
    let error = build("", "b", UriNaming::Keep).unwrap_err();
    assert!(matches!(error, BuildError::Prefix { .. }));
}

#[tokio::test]
async fn names_that_become_too_long_are_left_out() {
    let long = "n".repeat(120);
    let long: &'static str = Box::leak(long.into_boxed_str());
    let gateway = of(vec![(
        Server::new("one", &[long, "ok"], &[]),
        Mounting::new(Naming::Always, "prefix-one"),
    )])
    .await;
    assert_eq!(
        keys(&gateway.catalogue(), Feature::Tool),
        ["prefix-one__ok"]
    );
    let status = gateway.status();
    assert!(status[0].left_out[0].reason.contains("128"), "{status:?}");
}

#[tokio::test]
async fn uris_lead_to_their_server_and_back() {
    let uris = ["file:///a", "ui://page", "file:///d/{name}"];
    let mounting = |prefix| Mounting::new(Naming::Always, prefix);
    let gateway = of(vec![
        (Server::new("one", &["t"], &uris), mounting("one")),
        (Server::new("two", &["t", "gone"], &uris), mounting("two")),
    ])
    .await;
    let catalogue = gateway.catalogue();
    assert_eq!(
        keys(&catalogue, Feature::Resource),
        [
            "one+file:///a",
            "ui://one__page",
            "two+file:///a",
            "ui://two__page"
        ]
    );
    assert_eq!(
        keys(&catalogue, Feature::ResourceTemplate),
        ["one+file:///d/{name}", "two+file:///d/{name}"]
    );
    for uri in [
        "two+file:///a",
        "ui://two__page",
        "two+file:///d/x",
        "two+no-list:names-it",
    ] {
        let (shown, server) = reads(&gateway, &INCOMING, uri).await.unwrap();
        assert_eq!((&*shown, &*server), (uri, "two"));
    }
    for uri in [
        "file:///a",
        "two+ui://page",
        "TWO+file:///a",
        "three+a:b",
        "two+file:///../x",
        "two+FILE:///a",
        "two+file:///%61",
    ] {
        assert!(reads(&gateway, &INCOMING, uri).await.is_none(), "{uri}");
    }
    let error = gateway.call_tool(&INCOMING, call("two__gone")).await;
    let Err(GatewayError::Backend(BackendError::Rpc(error))) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        error.as_str(),
        r#"{"code":-32002,"message":"m","data":{"uri":"two+a:b","x":1.0}}"#
    );
    let output = gateway.call_tool(&INCOMING, call("two__t")).await.unwrap();
    assert!(output.as_raw().as_str().contains(r#""uri":"two+a:link""#));
    let prompt = PromptGet::new("two__p", Arguments::none(), Extras::default());
    let prompt = gateway.get_prompt(&INCOMING, prompt).await.unwrap();
    assert!(prompt.as_str().contains(r#""uri":"two+a:p""#), "{prompt}");
    let about = CompletionRef::Resource("two+file:///d/{name}".into());
    let about = Completion::new(about, RawJson::empty_object(), Extras::default());
    let completed = gateway.complete(&INCOMING, about).await.unwrap();
    assert!(completed.as_str().contains(r#"["file:///d/{name}"]"#));
    let about = CompletionRef::Resource("two+a:b".into());
    let about = Completion::new(about, RawJson::empty_object(), Extras::default());
    let completed = gateway.complete(&INCOMING, about).await.unwrap();
    assert!(completed.as_str().contains(r#"["a:b"]"#));
    assert_eq!(
        catalogue.shown_uri("two", "a:b").as_deref(),
        Some("two+a:b")
    );
    assert_eq!(&*catalogue.locate("two+a:b").unwrap().1, "a:b");
}

#[tokio::test]
async fn kept_uris_are_routed_by_lists_and_templates() {
    let gateway = of(vec![
        (
            Server::new("one", &[], &["a:1", "d:///{x}/{y}"]),
            Mounting::plain(),
        ),
        (
            Server::new("two", &[], &["a:1", "a:2", "d:///{+all}"]),
            Mounting::plain(),
        ),
        (
            Server::new("all", &[], &["{+everything}"]),
            Mounting::plain(),
        ),
        (
            Server::new("own", &[], &[]),
            Mounting::new(Naming::Always, "own"),
        ),
    ])
    .await;
    for (uri, server) in [
        ("a:1", "one"),
        ("a:2", "two"),
        ("d:///x/y", "one"),
        ("d:///x/y/z", "two"),
        ("z:z", "all"),
        ("own+z:z", "own"),
    ] {
        let read = reads(&gateway, &INCOMING, uri).await.unwrap();
        assert_eq!(read, (uri.to_owned(), server.to_owned()));
    }
    assert!(reads(&gateway, &INCOMING, "d:///x/../y").await.is_none());
    assert!(
        reads(&gateway, &INCOMING, &"z".repeat(9000))
            .await
            .is_none()
    );
}

/// Three servers, one of them away, an endpoint for some tools, and a policy with names of the main
/// endpoint.
async fn with_endpoints(audit: RecordingAudit, counter: Counter) -> Gateway {
    let gone = Server::new("gone", &[], &[]);
    *gone.offer.lock().unwrap() = Err("away");
    let mounting = |prefix| Mounting::new(Naming::Always, prefix);
    let some = Endpoint::new("some", |feature, name, server| {
        server == "two" && (feature != Feature::Tool || name.ends_with("good"))
    });
    let gateway = Gateway::builder()
        .mount(
            Server::new("one", &["good", "bad"], &["a:1"]),
            mounting("one"),
        )
        .mount(
            Server::new("two", &["good", "bad"], &["a:1"]),
            mounting("two"),
        )
        .mount(gone, mounting("gone"))
        .endpoint(some.with_instructions(Some("Only good.".to_owned())))
        .policy(Rule(|request| {
            let tool = request.tool.is_none_or(|tool| tool.name() == request.name);
            tool && request.name.contains(['_', '+'])
                && !request.name.ends_with("bad")
                && !request.name.ends_with("secret")
        }))
        .rate_limiter(counter)
        .audit(audit)
        .build()
        .unwrap();
    gateway.refresh().await.unwrap_err();
    gateway
}

#[tokio::test]
async fn an_endpoint_shows_its_part() {
    let gateway = with_endpoints(RecordingAudit::new(), Counter(Arc::default(), 99)).await;
    let tools = |endpoint| keys(&gateway.catalogue_at(endpoint), Feature::Tool);
    assert_eq!(
        tools(None),
        ["one__good", "one__bad", "two__good", "two__bad"]
    );
    assert_eq!(tools(Some("one")), ["good", "bad"]);
    assert_eq!(tools(Some("some")), ["two__good"]);
    assert!(tools(Some("none")).is_empty());
    let page = gateway
        .list(&at("one"), Feature::Resource, None, 9)
        .await
        .unwrap();
    assert_eq!(*page.items, [definition(Feature::Resource, "a:1")]);
    let words = |endpoint| -> Vec<_> {
        let view = gateway.catalogue_at(Some(endpoint));
        view.instructions()
            .map(|said| said.text.into_owned())
            .collect()
    };
    assert_eq!(words("one"), ["I am one."]);
    assert_eq!(words("some"), ["I am two."]);
    let some = gateway.catalogue_at(Some("some"));
    assert_eq!(some.own_instructions(), Some("Only good."));
    assert!(gateway.has_endpoint("gone") && !gateway.has_endpoint("none"));
}

#[tokio::test]
async fn names_and_uris_are_a_servers_own_at_its_endpoint() {
    let gateway = with_endpoints(RecordingAudit::new(), Counter(Arc::default(), 99)).await;
    let output = gateway.call_tool(&at("two"), call("good")).await.unwrap();
    assert!(output.as_raw().as_str().contains("two good"));
    assert!(output.as_raw().as_str().contains(r#""uri":"a:link""#));
    for uri in ["a:1", "b:unlisted"] {
        let read = reads(&gateway, &at("two"), uri).await.unwrap();
        assert_eq!(read, (uri.to_owned(), "two".to_owned()));
    }
    let unknown = gateway.call_tool(&at("two"), call("two__good")).await;
    assert_eq!(unknown.unwrap_err().class(), ErrorClass::Unknown);
    let away = gateway.call_tool(&at("gone"), call("x")).await;
    assert_eq!(away.unwrap_err().class(), ErrorClass::Unknown);
    let view = gateway.catalogue_at(Some("two"));
    assert_eq!(view.shown_uri("two", "a:b").as_deref(), Some("a:b"));
    assert_eq!(view.shown_uri("one", "a:b"), None);
}

#[tokio::test]
async fn an_endpoint_is_no_way_around_policy_limit_or_audit() {
    let (audit, counter) = (RecordingAudit::new(), Counter(Arc::default(), 99));
    let gateway = with_endpoints(audit.clone(), counter.clone()).await;
    for (endpoint, tool, class) in [
        ("two", "good", None),
        ("two", "bad", Some(ErrorClass::Denied)),
        ("some", "two__good", None),
        ("some", "two__bad", Some(ErrorClass::Unknown)),
        ("some", "one__good", Some(ErrorClass::Unknown)),
        ("none", "two__good", Some(ErrorClass::Unknown)),
    ] {
        let result = gateway.call_tool(&at(endpoint), call(tool)).await;
        assert_eq!(
            result.err().map(|error| error.class()),
            class,
            "{endpoint} {tool}"
        );
    }
    for (endpoint, uri, class) in [
        ("two", "a:secret", Some(ErrorClass::Denied)),
        ("two", "a:open", None),
        ("some", "two+a:secret", Some(ErrorClass::Denied)),
        ("some", "two+a:open", None),
        ("some", "one+a:open", Some(ErrorClass::Unknown)),
        ("some", "a:1", Some(ErrorClass::Unknown)),
    ] {
        let result = gateway.read_resource(&at(endpoint), read(uri)).await;
        assert_eq!(
            result.err().map(|error| error.class()),
            class,
            "{endpoint} {uri}"
        );
    }
    let known: Vec<_> = audit
        .events()
        .into_iter()
        .filter(|event| event.name_known)
        .map(|event| event.name.unwrap().to_string())
        .collect();
    let expected = [
        "two__good",
        "two__bad",
        "two__good",
        "two+a:secret",
        "two+a:open",
        "two+a:secret",
        "two+a:open",
    ];
    assert_eq!(known, expected);
    let charged: Vec<_> = counter
        .0
        .lock()
        .unwrap()
        .iter()
        .filter_map(|(_, n)| n.clone())
        .collect();
    // What is refused is charged as what does not exist.
    assert_eq!(
        charged,
        ["two__good", "two__good", "two+a:open", "two+a:open"]
    );
    let page = gateway
        .list(&at("two"), Feature::Tool, None, 9)
        .await
        .unwrap();
    assert_eq!(page.items.len(), 1, "what is denied is not shown");
    assert!(!gateway.may_see(&at("two"), Feature::Tool, "bad").await);
    assert!(gateway.may_see(&at("two"), Feature::Tool, "good").await);
    let sight = gateway.sight(&at("one")).await;
    assert!(sight.servers.contains("one") && !sight.servers.contains("two"));
}

#[tokio::test]
async fn what_the_main_endpoint_leaves_out_is_nowhere() {
    let gateway = of(vec![
        (Server::new("one", &["echo"], &["a:1"]), Mounting::plain()),
        (
            Server::new("two", &["echo", "own"], &["a:1"]),
            Mounting::plain(),
        ),
    ])
    .await;
    assert_eq!(
        keys(&gateway.catalogue_at(Some("two")), Feature::Tool),
        ["own"]
    );
    let error = gateway
        .call_tool(&at("two"), call("echo"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unknown);
    assert!(reads(&gateway, &at("two"), "a:1").await.is_none());
}

#[tokio::test]
async fn a_task_is_of_the_endpoint_where_it_was_made() {
    let gateway = of(vec![(
        Server::new("one", &["later"], &[]),
        Mounting::new(Naming::Always, "one"),
    )])
    .await;
    let get = || TaskAsk::new(TaskMethod::Get, "7", Extras::default());
    for (incoming, other, tool, uri) in [
        (incoming(), at("one"), "one__later", "one+a:b"),
        (at("one"), incoming(), "later", "a:b"),
    ] {
        let caller = Caller::new(crate::CallerKind::User, tool);
        let by = |incoming: Incoming| Incoming::new(caller.clone(), incoming.meta);
        let (here, elsewhere) = (by(incoming), by(other));
        gateway.call_tool(&here, call(tool)).await.unwrap();
        let answer = gateway.task(&here, get()).await.unwrap();
        let uri = format!(r#""uri":"{uri}""#);
        assert!(answer.as_str().contains(&uri), "{answer}");
        let error = gateway.task(&elsewhere, get()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::InvalidParams);
    }
}

/// The id in the answer to a call that makes a task.
async fn made(gateway: &Gateway, incoming: &Incoming, tool: &str) -> String {
    let made = gateway.call_tool(incoming, call(tool)).await.unwrap();
    let made = made.into_raw().member("taskId").unwrap().unwrap();
    made.decode_owned().unwrap()
}

#[tokio::test]
async fn equal_task_ids_of_several_servers_are_two_tasks() {
    let mount = |name| (Server::new(name, &["later"], &[]), Naming::Always);
    let gateway = of([mount("one"), mount("two")]
        .map(|(server, naming)| {
            let name = server.name;
            (server, Mounting::new(naming, name))
        })
        .into())
    .await;
    let get = |id: &str| TaskAsk::new(TaskMethod::Get, id, Extras::default());
    let here = incoming();
    for name in ["one", "two"] {
        let id = made(&gateway, &here, &format!("{name}__later")).await;
        assert_eq!(id, format!("{name}:7"));
        let answer = gateway.task(&here, get(&id)).await.unwrap();
        let expected = format!(
            r#"{{"taskId":"{name}:7","result":{{"content":[{{"type":"resource_link","uri":"{name}+a:b"}}]}}}}"#
        );
        assert_eq!(answer.as_str(), expected);
        // The server's own id is nobody's here; at its own endpoint it is what the server says.
        assert!(gateway.task(&here, get("7")).await.is_err());
        let own = at(name);
        assert_eq!(made(&gateway, &own, "later").await, "7");
        let answer = gateway.task(&own, get("7")).await.unwrap();
        assert!(answer.as_str().contains(r#""uri":"a:b""#), "{answer}");
        let params = RawJson::parse(r#"{"taskId":"7","status":"working"}"#).unwrap();
        let news =
            async |incoming: &Incoming| gateway.task_news(incoming, name, "7", &params).await;
        let (id, told) = news(&here).await.unwrap();
        assert_eq!(*id, *format!("{name}:7"));
        assert!(told.as_str().contains(&*id), "{told}");
        assert_eq!(news(&own).await, Some(("7".into(), params.clone())));
        let stranger = Caller::new(crate::CallerKind::User, "stranger");
        let stranger = Incoming::new(stranger, Arc::clone(&here.meta));
        assert_eq!(news(&stranger).await, None);
    }
}

#[test]
fn two_endpoints_of_one_name_are_refused() {
    let shows = |name: &'static str| Endpoint::new(name, |_, _, _| true);
    for names in [["numbers", "x"], ["x", "x"]] {
        let mut builder = Gateway::builder().backend(Numbers(10));
        for name in names {
            builder = builder.endpoint(shows(name));
        }
        let error = builder.build().unwrap_err();
        assert!(matches!(error, BuildError::DuplicateEndpoint { .. }));
    }
}

#[tokio::test]
async fn a_change_is_told_to_the_endpoints_that_see_it() {
    struct Heard(Mutex<Vec<String>>);
    impl GatewayListener for Heard {
        fn on_event(&self, event: &GatewayEvent) {
            let name = match event {
                GatewayEvent::CatalogueChanged { change, .. } if change.tools => "main".to_owned(),
                GatewayEvent::EndpointChanged {
                    endpoint, change, ..
                } if change.tools => endpoint.to_string(),
                other => format!("{other:?}"),
            };
            self.0.lock().unwrap().push(name);
        }
    }
    let two = Server::new("two", &["good"], &[]);
    let offer = Arc::clone(&two.offer);
    let gateway = Gateway::builder()
        .backend_with_prefix("one", Server::new("one", &["good"], &[]))
        .backend_with_prefix("two", two)
        .endpoint(Endpoint::new("some", |_, name, _| name.ends_with("good")))
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    let heard = Arc::new(Heard(Mutex::default()));
    gateway.listen(Arc::<Heard>::clone(&heard));
    gateway.refresh().await.unwrap();
    let more = ToolSpec::new("more", "").unwrap();
    offer.lock().unwrap().as_mut().unwrap().tools.push(more);
    gateway.refresh().await.unwrap();
    let mut heard = std::mem::take(&mut *heard.0.lock().unwrap());
    heard.sort_unstable();
    assert_eq!(heard, ["main", "two"]);
}

#[tokio::test]
async fn a_list_is_as_fresh_and_as_public_as_its_worst_part() {
    let clock = ManualClock::new();
    let hinted = |name, seconds: Option<u64>, is_public| {
        let server = Server::new(name, &["t"], &[]);
        let hint = seconds.map(|s| CacheHint::new(Duration::from_secs(s), is_public));
        server.offer.lock().unwrap().as_mut().unwrap().hints = ListHints::all(hint);
        server
    };
    let gateway = |servers: Vec<Server>, uniform| {
        let mut builder = Gateway::builder().clock(clock.clone()).tool(Hello);
        builder = if uniform {
            builder.policy(AllowAll::new())
        } else {
            builder.policy(Rule(|_| true))
        };
        for server in servers {
            builder = builder.backend_with_prefix(server.name, server);
        }
        builder.build().unwrap()
    };
    let hint = async |gateway: &Gateway| {
        let page = gateway
            .list(&INCOMING, Feature::Tool, None, 9)
            .await
            .unwrap();
        (page.hint.ttl.as_secs(), page.hint.is_public)
    };
    let both = gateway(
        vec![hinted("a", Some(60), true), hinted("b", Some(90), true)],
        true,
    );
    both.refresh().await.unwrap();
    assert_eq!(hint(&both).await, (60, true));
    clock.advance(Duration::from_secs(20));
    assert_eq!(hint(&both).await, (40, true));
    assert_eq!(both.good_for("b"), Some(Duration::from_secs(70)));
    both.refresh_backend("a").await.unwrap();
    assert_eq!(hint(&both).await, (60, true));
    both.mark_down("a", "gone");
    assert_eq!(hint(&both).await, (5, false), "while a server is away");
    let own = both.list(&at("b"), Feature::Tool, None, 9).await.unwrap();
    assert_eq!(
        own.hint.ttl.as_secs(),
        70,
        "the other one does not count at this endpoint"
    );

    let private = gateway(
        vec![hinted("a", Some(60), true), hinted("b", Some(90), false)],
        true,
    );
    private.refresh().await.unwrap();
    assert_eq!(hint(&private).await, (60, false));
    let filtered = gateway(vec![hinted("a", Some(60), true)], false);
    filtered.refresh().await.unwrap();
    assert_eq!(hint(&filtered).await, (60, false));
    let silent = gateway(
        vec![hinted("a", Some(60), true), hinted("b", None, true)],
        true,
    );
    silent.refresh().await.unwrap();
    assert_eq!(hint(&silent).await, (0, false));
    assert_eq!(silent.good_for("b"), None);
}

proptest! {
    #[test]
    fn every_name_has_one_meaning_and_every_item_one_name(
        tools in prop::collection::vec(prop::collection::vec("[ab_]{1,4}", 0..5), 3),
        namings in prop::collection::vec(0..3_usize, 3),
        prefixes in prop::sample::subsequence(vec!["a", "b", "ab", "b_", "a__b"], 3),
    ) {
        let namings = namings.iter().map(|n| [Naming::Never, Naming::OnCollision, Naming::Always][*n]);
        let names = ["one", "two", "three"];
        let mut builder = Gateway::builder();
        for (((name, tools), naming), prefix) in names.iter().zip(&tools).zip(namings).zip(prefixes) {
            let tools: Vec<_> = tools.iter().map(String::as_str).collect();
            builder = builder.mount(Server::new(name, &tools, &[]), Mounting::new(naming, prefix));
        }
        let Ok(gateway) = builder.build() else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(gateway.refresh()).unwrap();
        let main = gateway.catalogue();
        let mut seen = HashMap::new();
        for entry in main.entries(Feature::Tool) {
            let item = (entry.server.to_string(), entry.upstream_key.to_string());
            prop_assert_eq!(seen.insert(item, entry.key.to_string()), None);
            let own = gateway.catalogue_at(Some(&entry.server));
            let own = own.find(Feature::Tool, &entry.upstream_key).unwrap();
            prop_assert_eq!(&own.canonical, &entry.key);
            let found = main.find(Feature::Tool, &entry.key).unwrap();
            prop_assert_eq!(&found.upstream_key, &entry.upstream_key);
        }
        for (status, tools) in gateway.status().iter().zip(&tools) {
            let shown = main.entries(Feature::Tool).iter().filter(|e| *e.server == *status.name).count();
            let out = status.left_out.iter().filter(|item| item.feature == Feature::Tool).count();
            prop_assert_eq!(shown + out, tools.len(), "all are shown or reported");
        }
    }
}
