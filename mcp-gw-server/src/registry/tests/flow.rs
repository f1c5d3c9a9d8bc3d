//! One gateway: servers come, change and go.

use std::sync::atomic::Ordering;

use mcp_gw_core::{Feature, GatewayError};
use mcp_gw_store::{
    Conflict, Edit, LoadBalancer, NewTemplate, ServerStatus, Strategy, TemplateChange,
};

use super::upstream::{Upstream, child};
use super::*;

#[tokio::test]
async fn a_registered_server_is_in_every_list_at_once_and_can_be_called() {
    let (store, up) = (memory(), Upstream::start("one").await);
    let heard = Heard::default();
    let launch = Launch::new().with_audit(heard.clone());
    let world = World::with(launch, &store, OPEN).await;
    let view = world.http("a", "demo", up.url()).await;
    assert_eq!(view.instance.health.status, ServerStatus::Healthy);
    assert_eq!(view.server.as_deref(), Some("demo"));
    assert_eq!(world.tools(), ["demo__who", "demo__wait"]);
    assert!(world.call("a", "who").await.unwrap().contains("one"));
    assert_eq!(world.who("demo").await.unwrap(), "one");
    let events = heard.0.lock().unwrap().clone();
    assert!(events.iter().any(|event| event.method == "tools/call"));
    // What a template has beside tools.
    let registry = &world.registry;
    let list = |feature| registry.list_template(caller(), meta(), "demo", feature);
    assert_eq!(list(Feature::Tool).await.unwrap().len(), 2);
    assert!(
        list(Feature::Resource).await.unwrap()[0]
            .as_str()
            .contains("test://r")
    );
    assert!(
        list(Feature::Prompt).await.unwrap()[0]
            .as_str()
            .contains("\"p\"")
    );
    let read = registry.read_template(caller(), meta(), "demo", "test://r");
    assert!(read.await.unwrap().as_str().contains("read"));
    let got = registry.get_template_prompt(caller(), meta(), "demo", "p", Arguments::none());
    assert!(got.await.unwrap().as_str().contains("got"));
    assert_eq!(
        registry.tools(caller(), meta(), "a").await.unwrap().len(),
        2
    );
    // What is not there.
    let unknown = world.call("a", "nothing").await.unwrap_err();
    assert!(
        matches!(unknown, CallFault::Gateway(GatewayError::Unknown { .. })),
        "{unknown:?}"
    );
    let none = world.call("b", "who").await.unwrap_err();
    assert!(matches!(none, CallFault::NoSuch { what: "server", .. }));
    let none = world.who("other").await.unwrap_err();
    assert!(matches!(
        none,
        CallFault::NoSuch {
            what: "template",
            ..
        }
    ));
    let stats = registry.stats();
    assert_eq!(
        (stats.total_requests, stats.requests_per_instance["a"]),
        (2, 2)
    );
    assert_eq!(stats.summary.healthy, 1);
    registry.delete("a", None).await.unwrap();
    assert_eq!(world.tools(), [""; 0]);
    assert!(matches!(
        world.call("a", "who").await,
        Err(CallFault::NoSuch { .. })
    ));
    assert!(matches!(
        world.who("demo").await,
        Err(CallFault::Away { .. })
    ));
    world.end().await;
}

#[tokio::test]
async fn a_policy_rules_over_calls_by_the_names_of_the_store() {
    let (store, up) = (memory(), Upstream::start("one").await);
    let world = World::start(&store, "policy: { default: deny }\n").await;
    world.http("a", "demo", up.url()).await;
    let denied = world.call("a", "who").await.unwrap_err();
    assert!(
        matches!(denied, CallFault::Gateway(GatewayError::Denied { .. })),
        "{denied:?}"
    );
    assert_eq!(
        world
            .registry
            .tools(caller(), meta(), "a")
            .await
            .unwrap()
            .len(),
        0
    );
    assert_eq!(world.registry.stats().total_requests, 0);
    world.end().await;
}

#[tokio::test]
async fn a_child_process_is_a_server_and_its_log_is_kept() {
    let store = memory();
    let world = World::start(&store, OPEN).await;
    let (command, variables) = child("kid");
    let mut spec = InstanceSpec::stdio(command);
    spec.env_vars = Some(variables);
    let new = || NewServer::new("kids", spec.clone()).with_id("k");
    let refused = world
        .registry
        .register(&Asker::new(true, None), new())
        .await;
    let Err(RegistryError::Invalid(faults)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(faults[0].path, ["command"]);
    world
        .registry
        .register(&local_admin(), new())
        .await
        .unwrap();
    assert_eq!(world.who("kids").await.unwrap(), "kid");
    let has_line = async || {
        let lines = world.registry.logs("k", 10).await.unwrap();
        lines
            .iter()
            .any(|line| line.is_own && line.text == "kid has begun")
    };
    until("its log is there", has_line).await;
    world.registry.delete("k", None).await.unwrap();
    assert!(
        world
            .registry
            .logs("k", 1)
            .await
            .unwrap_err()
            .is_not_found()
    );
    world.end().await;
}

#[tokio::test]
async fn a_change_of_one_server_does_not_touch_the_others() {
    let store = memory();
    let (one, two) = (Upstream::start("one").await, Upstream::start("two").await);
    let world = World::start(&store, OPEN).await;
    world.http("a", "first", one.url()).await;
    world.http("b", "second", two.url()).await;
    let seen = || {
        let count = |it: &std::sync::atomic::AtomicUsize| it.load(Ordering::SeqCst);
        (count(&one.opened), count(&one.listed))
    };
    // Who looks after the first one may ask once more when it is met.
    until("the first is known", async || world.tools().len() == 4).await;
    let before = seen();
    for _ in 0..3 {
        world.registry.set_enabled("b", false).await.unwrap();
        assert_eq!(world.tools(), ["first__who", "first__wait"]);
        let away = world.call("b", "who").await.unwrap_err();
        assert!(away.to_string().contains("disabled"), "{away}");
        world.registry.set_enabled("b", true).await.unwrap();
        assert_eq!(world.tools().len(), 4);
    }
    assert_eq!(world.who("second").await.unwrap(), "two");
    assert_eq!(seen(), before);
    world.end().await;
}

#[tokio::test]
async fn instances_of_a_template_take_turns_and_one_can_be_called_by_its_id() {
    let store = memory();
    let (one, two) = (Upstream::start("one").await, Upstream::start("two").await);
    let world = World::start(&store, OPEN).await;
    world.http("a", "demo", one.url()).await;
    world.http("b", "demo", two.url()).await;
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(world.who("demo").await.unwrap());
    }
    turns.sort();
    assert_eq!(turns, ["one", "one", "two", "two"]);
    for (id, name) in [("a", "one"), ("b", "two"), ("a", "one")] {
        assert!(world.call(id, "who").await.unwrap().contains(name));
    }
    // A replica by weight, without a new connection.
    let opened = one.opened.load(Ordering::SeqCst);
    let mut change = ServerChange::new();
    let weight = mcp_gw_core::RawJson::parse(r#"{"weight":3}"#.to_owned()).unwrap();
    change.instance_metadata = Edit::Set(Some(weight));
    let registry = &world.registry;
    let asker = local_admin();
    registry.update(&asker, "a", None, change).await.unwrap();
    let mut balancer = LoadBalancer::default();
    balancer.strategy = Strategy::Weighted;
    let mut change = TemplateChange::new();
    change.load_balancer = Edit::Set(balancer);
    registry
        .update_template("demo", None, change)
        .await
        .unwrap();
    let mut ones = 0;
    for _ in 0..8 {
        ones += usize::from(world.who("demo").await.unwrap() == "one");
    }
    assert_eq!(ones, 6);
    assert_eq!(one.opened.load(Ordering::SeqCst), opened);
    // One that goes away does not keep calls from the other.
    drop(two);
    for _ in 0..4 {
        assert_eq!(world.who("demo").await.unwrap(), "one");
    }
    let away = world.call("b", "who").await.unwrap_err();
    assert!(
        matches!(away, CallFault::Away { .. } | CallFault::Gateway(_)),
        "{away:?}"
    );
    let is_told = async || {
        let view = registry.server("b").await.unwrap();
        view.instance.health.status == ServerStatus::Unhealthy
    };
    until("it is unhealthy", is_told).await;
    world.end().await;
}

#[tokio::test]
async fn bad_records_are_kept_told_of_and_in_nobodys_way() {
    let (store, up) = (memory(), Upstream::start("one").await);
    // As somebody else may have written them.
    let mut specs = vec![
        InstanceSpec::new(),
        InstanceSpec::http("no url"),
        InstanceSpec::http("http://u:p@127.0.0.1:1/"),
        InstanceSpec::http("gopher://127.0.0.1"),
        InstanceSpec::http("http://169.254.169.254/latest/meta-data"),
        InstanceSpec::stdio(Vec::new()),
        InstanceSpec::stdio(vec!["/does/not/exist".to_owned()]),
    ];
    let mut folder = InstanceSpec::stdio(vec!["true".to_owned()]);
    folder.working_dir = Some("/does/not/exist".to_owned());
    specs.push(folder);
    for (index, spec) in specs.into_iter().enumerate() {
        for template in ["bad".to_owned(), format!("bad {index}")] {
            let id = format!("{template}/{index}");
            let new = mcp_gw_store::NewInstance::new(id, template, spec.clone());
            store.create_instance(new).await.unwrap();
        }
    }
    let world = World::start(&store, OPEN).await;
    world.http("good", "demo", up.url()).await;
    world.http("better", "bad", up.url()).await;
    assert_eq!(world.who("demo").await.unwrap(), "one");
    assert_eq!(world.who("bad").await.unwrap(), "one");
    let page = PageRequest::first(100);
    let all_told = async || {
        let all = world.registry.servers(&InstanceFilter::new(), &page).await;
        let all = all.unwrap().items;
        let mut bad = all
            .iter()
            .filter(|view| view.instance.id.starts_with("bad"));
        bad.all(|view| {
            let health = &view.instance.health;
            health.status == ServerStatus::Unhealthy && health.last_error.is_some()
        })
    };
    until("all are told of", all_told).await;
    let summary = world.registry.summary();
    assert_eq!((summary.total, summary.healthy), (18, 2));
    // The store knows, too.
    let is_stored = async || {
        let all = store
            .instances(&InstanceFilter::new(), &page)
            .await
            .unwrap();
        let unknown = |one: &Instance| one.health.status == ServerStatus::Unknown;
        !all.items.iter().any(unknown)
    };
    until("health is written", is_stored).await;
    let nowhere = world.who("bad 0").await.unwrap_err();
    assert!(nowhere.to_string().contains("endpoint"), "{nowhere}");
    world.end().await;
}

#[tokio::test]
async fn the_file_wins_and_a_reload_makes_room() {
    let store = memory();
    let (stored, file) = (
        Upstream::start("stored").await,
        Upstream::start("file").await,
    );
    let world = World::start(&store, OPEN).await;
    world.http("a", "demo", stored.url()).await;
    assert_eq!(world.who("demo").await.unwrap(), "stored");
    let with_demo = format!("{OPEN}servers: {{ demo: {{ url: {}/mcp }} }}\n", file.url());
    world.running.reload(&config(&with_demo)).await.unwrap();
    let has_fault = async || world.registry.server("a").await.unwrap().fault.is_some();
    until("the conflict is told", has_fault).await;
    assert_eq!(
        world
            .tools()
            .iter()
            .filter(|tool| tool.contains("demo__"))
            .count(),
        0
    );
    // What has the name is called by it, here as at its endpoint.
    let is_of_file = async || world.who("demo").await.is_ok_and(|who| who == "file");
    until("the file's is called", is_of_file).await;
    let away = world.call("a", "who").await.unwrap_err();
    assert!(away.to_string().contains("configuration"), "{away}");
    world.running.reload(&config(OPEN)).await.unwrap();
    let is_back = async || world.who("demo").await.is_ok_and(|who| who == "stored");
    until("it is back", is_back).await;
    world.end().await;
}

#[tokio::test]
async fn no_template_takes_a_name_of_the_file() {
    let (store, file) = (memory(), Upstream::start("file").await);
    let text = format!("{OPEN}servers: {{ demo: {{ url: {}/mcp }} }}\n", file.url());
    let world = World::start(&store, &text).await;
    let new = |template: &str| NewServer::new(template, InstanceSpec::new());
    let refused = world.registry.register(&local_admin(), new("demo")).await;
    assert!(
        matches!(&refused, Err(RegistryError::Taken { reason, .. }) if reason.contains("`demo`")),
        "{refused:?}"
    );
    assert_eq!(world.registry.template_names(), [""; 0]);
    // One that was there before, or came by another gateway, is in nobody's way either.
    store
        .create_template(NewTemplate::new("demo"))
        .await
        .unwrap();
    until("the template is known", async || {
        world.registry.template_names() == ["demo"]
    })
    .await;
    assert_eq!(world.who("demo").await.unwrap(), "file");
    // What is called in another way by the gateway is not mistaken for what it has of that name itself.
    world
        .registry
        .register(&local_admin(), new("local"))
        .await
        .unwrap();
    let away = world.who("local").await.unwrap_err();
    assert!(matches!(away, CallFault::Away { .. }), "{away}");
    world.end().await;
}

#[tokio::test]
async fn a_call_under_way_ends_well_though_its_server_is_deleted() {
    let (store, up) = (memory(), Upstream::start("one").await);
    let world = World::start(&store, OPEN).await;
    world.http("a", "demo", up.url()).await;
    let registry = world.registry.clone();
    let call = tokio::spawn(async move {
        let call = registry.call(caller(), meta(), "a", "wait", Arguments::none());
        call.await.map(|output| output.as_raw().to_string())
    });
    up.waiting.acquire().await.unwrap().forget();
    assert_eq!(world.registry.stats().active_connections, 1);
    world.registry.delete("a", None).await.unwrap();
    assert!(matches!(
        world.call("a", "who").await,
        Err(CallFault::NoSuch { .. })
    ));
    up.release.add_permits(1);
    assert!(call.await.unwrap().unwrap().contains("one"));
    // And ends with an error when the gateway does not wait for it.
    world.http("b", "demo", up.url()).await;
    let registry = world.registry.clone();
    let call = tokio::spawn(async move {
        let call = registry.call(caller(), meta(), "b", "wait", Arguments::none());
        call.await.map(|output| output.as_raw().to_string())
    });
    up.waiting.acquire().await.unwrap().forget();
    world.end().await;
    up.release.add_permits(1);
    let _ = tokio::time::timeout(PATIENCE, call).await.unwrap().unwrap();
}

#[tokio::test]
async fn conflicts_and_faults_are_told_and_change_nothing() {
    let (store, up) = (memory(), Upstream::start("one").await);
    let world = World::start(&store, OPEN).await;
    let view = world.http("a", "demo", up.url()).await;
    let (registry, asker) = (&world.registry, Asker::default());
    let again = NewServer::new("demo", InstanceSpec::new()).with_id("a");
    let taken = registry.register(&asker, again.clone()).await.unwrap_err();
    assert_eq!(taken.as_conflict(), Some(Conflict::Instance));
    let old = registry.update(
        &asker,
        "a",
        Some(view.instance.revision),
        ServerChange::new(),
    );
    old.await.unwrap();
    let stale = registry.update(
        &asker,
        "a",
        Some(view.instance.revision),
        ServerChange::new(),
    );
    assert_eq!(
        stale.await.unwrap_err().as_conflict(),
        Some(Conflict::Revision)
    );
    let used = registry.delete_template("demo", None).await.unwrap_err();
    assert_eq!(used.as_conflict(), Some(Conflict::InUse));
    assert!(
        registry
            .delete_of("other", "a")
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(registry.delete("b", None).await.unwrap_err().is_not_found());
    for name in ["", " ", "a\nb", &"x".repeat(257)] {
        let new = NewServer::new(name, InstanceSpec::new());
        let error = registry.register(&asker, new).await.unwrap_err();
        assert!(
            matches!(error, RegistryError::Invalid(_)),
            "{name:?}: {error:?}"
        );
    }
    assert_eq!(world.who("demo").await.unwrap(), "one");
    // In its place, it is another one.
    let view = registry.register(&asker, again.replacing()).await.unwrap();
    assert_eq!(view.instance.health.status, ServerStatus::Unhealthy);
    assert_eq!(world.tools(), [""; 0]);
    registry.delete("a", None).await.unwrap();
    registry.delete_template("demo", None).await.unwrap();
    assert_eq!(registry.template_names(), [""; 0]);
    world.end().await;
}
