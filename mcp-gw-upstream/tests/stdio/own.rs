//! What clients with a process of their own see and hear of it.

use std::time::Duration;

use mcp_gw_core::{Backend as _, BackendEvent, SessionKey};
use mcp_gw_upstream::{StdioServer, StdioServerConfig};
use tokio::sync::mpsc::Receiver;

use crate::child::{IMPATIENT, fake, gone, number};
use crate::client::{ASKABLE, Client};
use crate::support::{Listener, call};

/// Nothing that a test waits for takes longer.
const LIMIT: Duration = Duration::from_secs(20);

fn server(config: &StdioServerConfig) -> (StdioServer, Receiver<BackendEvent>) {
    let backend = StdioServer::new(config).unwrap();
    let (listener, events) = Listener::new();
    backend.watch(listener);
    (backend, events)
}

fn client(session: &'static str) -> Client {
    Client::new(Some(session), ASKABLE)
}

fn plain() -> Client {
    Client::new(Some("plain"), "{}")
}

async fn ask(backend: &StdioServer, client: &Client, name: &str) -> String {
    let output = backend.call_tool(&client.context(), call(name, "{}")).await;
    let output = output.unwrap();
    output.as_raw().member("v").unwrap().unwrap().to_string()
}

async fn tools(backend: &StdioServer) -> Vec<String> {
    let offer = backend.offer().await.unwrap();
    let names = offer.tools.iter().map(|tool| tool.name().to_owned());
    names.collect()
}

/// Waits until the server has said that its offer is another one.
async fn changed(events: &mut Receiver<BackendEvent>) {
    let next = tokio::time::timeout(LIMIT, events.recv()).await;
    let event = next.expect("nothing has changed").unwrap();
    assert_eq!(event, BackendEvent::OfferChanged);
}

#[tokio::test]
async fn the_offer_has_what_only_own_processes_list_until_the_last_of_them_ends() {
    let (backend, mut events) = server(&fake("asking"));
    assert_eq!(tools(&backend).await, ["echo"]);
    let (c, d) = (client("c"), client("d"));
    ask(&backend, &c, "pid").await;
    assert!(c.is_plain(), "its server is as old as the client");
    changed(&mut events).await;
    assert_eq!(tools(&backend).await, ["echo", "sample"]);
    // One more of them has grown: that is news, the rest is not.
    ask(&backend, &d, "grow").await;
    while !tools(&backend).await.contains(&"grown".to_owned()) {
        changed(&mut events).await;
    }
    assert_eq!(tools(&backend).await, ["echo", "grown", "sample"]);
    backend.end_session(&SessionKey::new("d"));
    while tools(&backend).await.contains(&"grown".to_owned()) {
        changed(&mut events).await;
    }
    assert_eq!(tools(&backend).await, ["echo", "sample"]);
    backend.end_session(&SessionKey::new("c"));
    assert_eq!(tools(&backend).await, ["echo"]);
}

#[tokio::test]
async fn a_tool_of_own_processes_is_unknown_to_who_has_none() {
    let (backend, _events) = server(&fake("asking"));
    let called = backend
        .call_tool(&plain().context(), call("sample", "{}"))
        .await;
    let error = called.unwrap_err().to_string();
    assert!(error.contains("Unknown tool"), "{error}");
}

#[tokio::test]
async fn who_is_greeted_has_its_process_before_it_calls() {
    let (backend, mut events) = server(&fake("asking"));
    assert_eq!(tools(&backend).await, ["echo"]);
    let c = client("c");
    backend.greet(&plain().context().client());
    backend.greet(&Client::new(None, ASKABLE).context().client());
    backend.greet(&c.context().client());
    changed(&mut events).await;
    assert_eq!(tools(&backend).await, ["echo", "sample"]);
    let own = number(&ask(&backend, &c, "pid").await);
    // The process is the one that was there: what it lists does not change.
    assert_eq!(tools(&backend).await, ["echo", "sample"]);
    backend.end_session(&SessionKey::new("c"));
    gone(own).await;
    assert_eq!(tools(&backend).await, ["echo"]);
}

#[tokio::test]
async fn nothing_is_left_of_greetings_when_the_server_is_dropped_or_closed() {
    let (backend, _events) = server(&fake("asking"));
    let c = client("c");
    backend.greet(&c.context().client());
    drop(backend);
    let (backend, _events) = server(&fake("asking"));
    backend.greet(&c.context().client());
    let own = number(&ask(&backend, &c, "pid").await);
    backend.close().await;
    gone(own).await;
    // No more comes.
    backend.greet(&client("d").context().client());
    let called = backend.call_tool(&c.context(), call("pid", "{}")).await;
    assert!(called.is_err());
}

#[tokio::test]
async fn who_calls_in_its_own_process_subscribes_there_and_is_counted() {
    let (backend, _events) = server(&fake("asking"));
    let (c, d, plain) = (client("c"), client("d"), plain());
    for client in [&c, &c, &d] {
        backend.subscribe(&client.context(), "x:y").await.unwrap();
    }
    assert_eq!(ask(&backend, &c, "subscribed").await, r#"["x:y"]"#);
    assert_eq!(ask(&backend, &d, "subscribed").await, r#"["x:y"]"#);
    assert_eq!(ask(&backend, &plain, "subscribed").await, "[]");
    backend.subscribe(&plain.context(), "x:y").await.unwrap();
    assert_eq!(ask(&backend, &plain, "subscribed").await, r#"["x:y"]"#);

    let end = async |client: &Client| {
        let client = client.context().client();
        backend.unsubscribe("x:y", Some(&client)).await.unwrap();
    };
    end(&c).await;
    assert_eq!(ask(&backend, &c, "subscribed").await, r#"["x:y"]"#);
    end(&c).await;
    assert_eq!(ask(&backend, &c, "subscribed").await, "[]");
    // Once too often is nobody else's end.
    end(&c).await;
    assert_eq!(ask(&backend, &d, "subscribed").await, r#"["x:y"]"#);
    assert_eq!(ask(&backend, &plain, "subscribed").await, r#"["x:y"]"#);
    end(&plain).await;
    assert_eq!(ask(&backend, &plain, "subscribed").await, "[]");
    assert_eq!(ask(&backend, &d, "subscribed").await, r#"["x:y"]"#);
}

#[tokio::test]
async fn what_an_own_process_reports_is_heard() {
    let (backend, mut events) = server(&fake("asking"));
    let c = client("c");
    backend.subscribe(&c.context(), "x:y").await.unwrap();
    ask(&backend, &c, "change").await;
    let is_updated = |event: &BackendEvent| matches!(event, BackendEvent::ResourceUpdated { uri, .. } if **uri == *"x:y");
    while !is_updated(
        &tokio::time::timeout(LIMIT, events.recv())
            .await
            .unwrap()
            .unwrap(),
    ) {}
}

#[tokio::test]
async fn a_process_that_is_started_anew_is_asked_for_the_same_again() {
    let (backend, _events) = server(&fake("asking"));
    let c = client("c");
    backend.subscribe(&c.context(), "x:1").await.unwrap();
    backend.subscribe(&c.context(), "x:2").await.unwrap();
    let before = number(&ask(&backend, &c, "pid").await);
    let died = backend.call_tool(&c.context(), call("die", "{}")).await;
    died.unwrap_err();
    let told = ask(&backend, &c, "subscribed").await;
    assert_eq!(told.replace(", ", ","), r#"["x:1","x:2"]"#);
    assert_ne!(number(&ask(&backend, &c, "pid").await), before);
    // What ends while there is none is not asked for any more.
    backend
        .call_tool(&c.context(), call("die", "{}"))
        .await
        .unwrap_err();
    let client = c.context().client();
    let _ = backend.unsubscribe("x:1", Some(&client)).await;
    // The rest is watched on the shared one meanwhile.
    let plain = plain();
    let only_one = async {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while ask(&backend, &plain, "subscribed").await != r#"["x:2"]"# {
            look.tick().await;
        }
    };
    let only_one = tokio::time::timeout(LIMIT, only_one).await;
    only_one.expect("it is not watched there");
}

#[tokio::test]
async fn who_only_listens_is_told_when_its_own_process_has_died() {
    let (backend, mut events) = server(&fake("asking"));
    let c = client("c");
    backend.subscribe(&c.context(), "x:y").await.unwrap();
    let died = backend.call_tool(&c.context(), call("die", "{}")).await;
    died.unwrap_err();
    // Nothing more is called: it may have missed something, and hears by the shared one from now on.
    let is_updated = |event: &BackendEvent| matches!(event, BackendEvent::ResourceUpdated { uri, .. } if **uri == *"x:y");
    let told = async { while !is_updated(&events.recv().await.unwrap()) {} };
    let told = tokio::time::timeout(LIMIT, told).await;
    told.expect("nobody tells it");
    assert_eq!(ask(&backend, &plain(), "subscribed").await, r#"["x:y"]"#);
}

#[tokio::test]
async fn who_loses_its_process_to_another_is_told_by_the_shared_one() {
    let config = fake("asking").with_max_connections(1);
    let (backend, _events) = server(&config);
    let (c, d, plain) = (client("c"), client("d"), plain());
    backend.subscribe(&c.context(), "x:y").await.unwrap();
    ask(&backend, &d, "pid").await;
    let watched = async || {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while ask(&backend, &plain, "subscribed").await == "[]" {
            look.tick().await;
        }
    };
    let watched = tokio::time::timeout(LIMIT, watched()).await;
    watched.expect("nobody watches for it");
    // Back in a process of its own it is told there as well, until it ends that.
    assert_eq!(ask(&backend, &c, "subscribed").await, r#"["x:y"]"#);
    let client = c.context().client();
    backend.unsubscribe("x:y", Some(&client)).await.unwrap();
    assert_eq!(ask(&backend, &c, "subscribed").await, "[]");
    assert_eq!(ask(&backend, &plain, "subscribed").await, "[]");
}

#[tokio::test]
async fn a_process_whose_first_question_was_given_up_is_met_anew_before_the_first_call() {
    let name = format!("mcp-gw-impatient-{}", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, "").unwrap();
    let config = fake("asking").with_env(IMPATIENT, file.to_str().unwrap().to_owned());
    let (backend, mut events) = server(&config);
    tools(&backend).await;
    let mut c = Client::new(Some("c"), r#"{"roots":{},"sampling":{}}"#);
    backend.greet(&c.context().client());
    changed(&mut events).await;
    let ctx = c.context();
    let called = backend.call_tool(&ctx, call("roots", "{}"));
    let answer = async { c.asked().await.answer(Ok(r#"{"roots":[]}"#)) };
    let (output, ()) = tokio::join!(called, answer);
    assert_eq!(output.unwrap().as_raw().as_str(), r#"{"v":{"roots":[]}}"#);
    assert!(!file.exists(), "one has given up");
}
