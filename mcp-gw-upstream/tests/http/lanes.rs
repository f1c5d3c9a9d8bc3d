//! Sessions of their own for clients that can be asked something, or that want log messages.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{
    Backend as _, BackendError, BackendEvent, CallNotification, LogLevel, SessionKey,
};
use mcp_gw_upstream::HttpServer;

use crate::client::{ASKABLE, Client};
use crate::old::{Old, Opened};
use crate::support::{Listener, call, raw};

/// Makes a call of this client; the session that it came in.
async fn session_of(old: &mut Old, backend: &HttpServer, client: &Client) -> String {
    let ctx = client.context();
    let answer = async {
        let opened = old.call().await;
        opened.finish("{}").await;
        opened.session()
    };
    let (outcome, session) = tokio::join!(backend.call_tool(&ctx, call("t", "{}")), answer);
    outcome.unwrap();
    session
}

#[tokio::test]
async fn who_can_be_asked_has_a_session_that_says_so_and_the_rest_share_one() {
    let mut old = Old::start().await;
    let backend = HttpServer::new(&old.config()).unwrap();
    let plain = Client::new(Some("p"), r#"{"experimental":{"x":{}}}"#);
    let shared = session_of(&mut old, &backend, &plain).await;
    let hello = old.fake.next("initialize").await;
    assert_eq!(hello.body["params"]["capabilities"].to_string(), "{}");

    let first = Client::new(
        Some("c"),
        r#"{"sampling":{"x":1.0},"tasks":{},"roots":null}"#,
    );
    let own = session_of(&mut old, &backend, &first).await;
    assert_ne!(own, shared);
    let hello = old.fake.next("initialize").await;
    let declared = r#""capabilities":{"sampling":{"x":1.0},"roots":null}"#;
    assert!(hello.text.contains(declared), "{}", hello.text);
    assert_eq!(session_of(&mut old, &backend, &first).await, own);
    assert_eq!(session_of(&mut old, &backend, &plain).await, shared);

    let second = Client::new(Some("d"), r#"{"sampling":{"x":1.0}}"#);
    let other = session_of(&mut old, &backend, &second).await;
    assert!(other != own && other != shared);
    // Known to be old, it is not asked again what it speaks.
    assert!(!old.fake.methods().contains(&"server/discover".to_owned()));
}

#[tokio::test]
async fn clients_without_a_session_have_one_for_each_caller_and_capability() {
    let mut old = Old::start().await;
    let backend = HttpServer::new(&old.config()).unwrap();
    let client = |caller, capabilities| {
        let mut client = Client::new(None, capabilities);
        client.caller = caller;
        client
    };
    let a = session_of(&mut old, &backend, &client("a", ASKABLE)).await;
    assert_eq!(
        session_of(&mut old, &backend, &client("a", ASKABLE)).await,
        a
    );
    let b = session_of(&mut old, &backend, &client("b", ASKABLE)).await;
    let more = r#"{"roots":{"listChanged":true},"extensions":{"io.modelcontextprotocol/tasks":{},"x":{}}}"#;
    let c = session_of(&mut old, &backend, &client("a", more)).await;
    assert!(a != b && b != c && a != c);
    for _ in 0..3 {
        old.fake.next("initialize").await;
    }
    // It can neither tell of changes, nor understand a task in an old session.
    let hello = old.fake.next("initialize").await;
    let declared = r#""capabilities":{"roots":{},"extensions":{"x":{}}}"#;
    assert!(hello.text.contains(declared), "{}", hello.text);
}

#[tokio::test]
async fn two_calls_at_the_same_time_open_one_session() {
    let mut old = Old::start().await;
    let backend = HttpServer::new(&old.config()).unwrap();
    let client = Client::new(Some("c"), ASKABLE);
    let (one, two) = (client.context(), client.context());
    let answer = async {
        let (first, second) = (old.call().await, old.call().await);
        assert_eq!(first.session(), second.session());
        first.finish("{}").await;
        second.finish("{}").await;
    };
    let (one, two, ()) = tokio::join!(
        backend.call_tool(&one, call("t", "{}")),
        backend.call_tool(&two, call("t", "{}")),
        answer
    );
    one.unwrap();
    two.unwrap();
    let methods = old.fake.methods();
    let handshakes = methods.iter().filter(|method| *method == "initialize");
    assert_eq!(handshakes.count(), 2, "the shared one and the client's");
}

#[tokio::test]
async fn the_end_of_the_clients_session_ends_its_own_and_what_is_in_flight() {
    let mut old = Old::start().await;
    let backend = Arc::new(HttpServer::new(&old.config()).unwrap());
    let client = Client::new(Some("c"), ASKABLE);
    let (of_task, ctx) = (Arc::clone(&backend), client.context());
    let task = tokio::spawn(async move { of_task.call_tool(&ctx, call("t", "{}")).await });
    let opened = old.call().await;
    let stream = old.get(&opened.session()).await;
    backend.end_session(&SessionKey::new("other"));
    backend.end_session(&SessionKey::new("c"));
    assert!(matches!(
        task.await.unwrap(),
        Err(BackendError::Lost { .. })
    ));
    stream.closed().await;
    let delete = old.fake.next("DELETE").await;
    assert_eq!(
        delete.header("mcp-session-id"),
        Some(opened.session().as_str())
    );
    let next = session_of(&mut old, &backend, &client).await;
    assert_ne!(next, opened.session());
    backend.close().await;
    let mut ended = [old.fake.next("DELETE").await, old.fake.next("DELETE").await]
        .map(|seen| seen.header("mcp-session-id").unwrap().to_owned());
    ended.sort_unstable();
    assert_eq!(ended, ["s1".to_owned(), next]);
}

#[tokio::test]
async fn when_there_is_no_room_the_longest_idle_goes_or_the_shared_one_serves() {
    let mut old = Old::start().await;
    let config = old.config().with_max_connections(2);
    let config = config.with_max_connections_per_caller(Some(2));
    let backend = Arc::new(HttpServer::new(&config).unwrap());
    let client = |session| Client::new(Some(session), ASKABLE);
    let a = session_of(&mut old, &backend, &client("a")).await;
    let b = session_of(&mut old, &backend, &client("b")).await;
    assert_eq!(session_of(&mut old, &backend, &client("a")).await, a);
    let c = session_of(&mut old, &backend, &client("c")).await;
    let delete = old.fake.next("DELETE").await;
    assert_eq!(delete.header("mcp-session-id"), Some(b.as_str()));

    // Both are in use.
    let mut tasks = Vec::new();
    for session in ["a", "c"] {
        let (backend, ctx) = (Arc::clone(&backend), client(session).context());
        tasks.push(tokio::spawn(async move {
            backend.call_tool(&ctx, call("t", "{}")).await
        }));
    }
    let held = [old.call().await, old.call().await];
    let mut sessions = held.each_ref().map(Opened::session);
    sessions.sort_unstable();
    assert_eq!(sessions, [a, c]);
    assert_eq!(session_of(&mut old, &backend, &client("d")).await, "s1");
    for opened in held {
        opened.finish("{}").await;
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn who_leaves_questions_open_takes_nobody_elses_room_and_is_told_why_it_is_not_asked() {
    let mut old = Old::start().await;
    let config = old.config().with_max_connections(4);
    let backend = Arc::new(HttpServer::new(&config).unwrap());
    let of = |caller, session| {
        let mut client = Client::new(Some(session), ASKABLE);
        client.caller = caller;
        client
    };
    let begin = |client: &Client| {
        let (backend, ctx) = (Arc::clone(&backend), client.context());
        tokio::spawn(async move { backend.call_tool(&ctx, call("t", "{}")).await })
    };
    // It has half of all, and answers nothing.
    let mut greedy = [of("g", "g1"), of("g", "g2")];
    let mut held = Vec::new();
    for client in &mut greedy {
        let task = begin(client);
        let opened = old.call().await;
        let ask = r#"{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{}}"#;
        opened.say(ask).await;
        held.push((task, opened, client.asked().await));
    }
    let third = of("g", "g3");
    for (result, is_told) in [
        (r#"{"content":[],"isError":true}"#, true),
        (r#"{"content":[]}"#, false),
    ] {
        let task = begin(&third);
        let opened = old.call().await;
        assert_eq!(opened.session(), "s1", "it shares");
        opened.finish(result).await;
        let output = task.await.unwrap().unwrap();
        let text = output.as_raw().as_str();
        let says = "`max_connections_per_caller` allows (2)";
        assert_eq!(text.contains(says), is_told, "{text}");
    }
    // Others have theirs, and are asked.
    let mut other = of("h", "h1");
    let task = begin(&other);
    let opened = old.call().await;
    let ask = r#"{"jsonrpc":"2.0","id":8,"method":"elicitation/create","params":{}}"#;
    opened.say(ask).await;
    other.asked().await.answer(Ok("{}"));
    opened.finish(r#"{"content":[],"isError":true}"#).await;
    let output = task.await.unwrap().unwrap();
    assert_eq!(output.as_raw().as_str(), r#"{"content":[],"isError":true}"#);
    for (task, opened, asked) in held {
        asked.answer(Ok("{}"));
        opened.finish("{}").await;
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn without_room_for_any_all_share() {
    let mut old = Old::start().await;
    let config = old.config().with_max_connections(0);
    let backend = HttpServer::new(&config).unwrap();
    let client = Client::new(Some("c"), ASKABLE);
    assert_eq!(session_of(&mut old, &backend, &client).await, "s1");
}

#[tokio::test]
async fn a_session_that_nobody_uses_is_ended_after_a_while() {
    let mut old = Old::start().await;
    let config = old.config().with_idle_timeout(Duration::from_millis(50));
    let backend = Arc::new(HttpServer::new(&config).unwrap());
    let client = Client::new(Some("c"), ASKABLE);
    let (of_task, ctx) = (Arc::clone(&backend), client.context());
    let task = tokio::spawn(async move { of_task.call_tool(&ctx, call("t", "{}")).await });
    let held = old.call().await;
    // Another one comes and goes; that which is in use stays.
    let other = session_of(&mut old, &backend, &Client::new(Some("d"), ASKABLE)).await;
    let delete = old.fake.next("DELETE").await;
    assert_eq!(delete.header("mcp-session-id"), Some(other.as_str()));
    held.finish("{}").await;
    task.await.unwrap().unwrap();
    let delete = old.fake.next("DELETE").await;
    assert_eq!(
        delete.header("mcp-session-id"),
        Some(held.session().as_str())
    );
}

#[tokio::test]
async fn the_level_of_the_log_is_asked_for_once_and_again_when_it_changes() {
    let mut old = Old::start().await;
    let backend = HttpServer::new(&old.config()).unwrap();
    let mut client = Client::new(Some("c"), "{}").with_level(LogLevel::Warning);
    let own = session_of(&mut old, &backend, &client).await;
    session_of(&mut old, &backend, &client).await;
    client.level = Some(LogLevel::Debug);
    assert_eq!(session_of(&mut old, &backend, &client).await, own);
    let shared = session_of(&mut old, &backend, &Client::new(Some("d"), "{}")).await;
    assert_ne!(shared, own);
    let mut levels = Vec::new();
    while let Some(seen) = old.fake.try_next() {
        if seen.method() == "logging/setLevel" {
            assert_eq!(seen.header("mcp-session-id"), Some(own.as_str()));
            levels.push(seen.body["params"].to_string());
        }
        let is_call = seen.method() == "tools/call";
        assert!(!is_call || !levels.is_empty(), "the level comes first");
    }
    assert_eq!(levels, [r#"{"level":"warning"}"#, r#"{"level":"debug"}"#]);
}

#[tokio::test]
async fn what_is_said_beside_the_calls_reaches_the_session_that_it_is_for() {
    let mut old = Old::start().await;
    let backend = Arc::new(HttpServer::new(&old.config()).unwrap());
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    let client = Client::new(Some("c"), ASKABLE);
    let (of_task, ctx) = (Arc::clone(&backend), client.context());
    let task = tokio::spawn(async move { of_task.call_tool(&ctx, call("t", "{}")).await });
    let opened = old.call().await;
    let stream = old.get(&opened.session()).await;
    let note = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{params}}}"#)
    };
    let token = opened.seen.body["params"]["_meta"]["progressToken"].to_string();
    let progress = format!(r#"{{"progressToken":{token},"progress":1.0}}"#);
    // With one call in flight it is for that.
    stream.say(&note("progress", &progress)).await;
    stream.say(&note("message", r#"{"data":1.0}"#)).await;
    stream.say(&note("elicitation/complete", "{}")).await;
    // The answer may come here as well.
    stream.say(&opened.seen.result_text(r#"{"v":1.0}"#)).await;
    let output = task.await.unwrap().unwrap();
    assert_eq!(output.as_raw().as_str(), r#"{"v":1.0}"#);
    let told = client.told();
    let other = |method: &str, params: &str| CallNotification::Other {
        method: method.to_owned(),
        params: raw(params),
    };
    assert_eq!(
        told,
        [
            CallNotification::Progress(raw(r#"{"progress":1.0}"#)),
            CallNotification::Log(raw(r#"{"data":1.0}"#)),
            other("notifications/elicitation/complete", "{}"),
        ]
    );
    // With none it is for the session.
    stream.say(&note("message", r#"{"data":2.0}"#)).await;
    stream.say(&note("x", "{}")).await;
    for notification in [
        CallNotification::Log(raw(r#"{"data":2.0}"#)),
        other("notifications/x", "{}"),
    ] {
        let session = SessionKey::new("c");
        let expected = BackendEvent::ForSession {
            session,
            notification,
        };
        assert_eq!(events.recv().await, Some(expected));
    }
}

#[tokio::test]
async fn changed_roots_are_told_where_the_client_said_that_it_would() {
    let mut old = Old::start().await;
    let backend = HttpServer::new(&old.config()).unwrap();
    let telling = Client::new(Some("c"), r#"{"roots":{"listChanged":true}}"#);
    let silent = Client::new(Some("d"), r#"{"roots":{}}"#);
    session_of(&mut old, &backend, &silent).await;
    let own = session_of(&mut old, &backend, &telling).await;
    for session in ["d", "x", "c"] {
        backend.roots_changed(&SessionKey::new(session));
    }
    let told = old.fake.next("notifications/roots/list_changed").await;
    assert_eq!(told.header("mcp-session-id"), Some(own.as_str()));
}

/// The sessions in which the server was asked this since the last time.
fn asked_in(old: &mut Old, method: &str) -> Vec<String> {
    let mut sessions = Vec::new();
    while let Some(seen) = old.fake.try_next() {
        if seen.method() == method {
            assert_eq!(seen.body["params"]["uri"], "x:y");
            sessions.push(seen.header("mcp-session-id").unwrap().to_owned());
        }
    }
    sessions
}

#[tokio::test]
async fn who_calls_in_its_own_session_subscribes_there_and_again_in_the_next() {
    let mut old = Old::start().await;
    let backend = HttpServer::new(&old.config()).unwrap();
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    let client = Client::new(Some("c"), ASKABLE);
    let own = session_of(&mut old, &backend, &client).await;
    for _ in 0..2 {
        backend.subscribe(&client.context(), "x:y").await.unwrap();
    }
    assert_eq!(asked_in(&mut old, "resources/subscribe"), [own.as_str()]);
    let stream = old.get(&own).await;
    let note = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:y","n":1.0}}"#;
    stream.say(note).await;
    let expected = BackendEvent::ResourceUpdated {
        uri: "x:y".into(),
        params: raw(r#"{"uri":"x:y","n":1.0}"#),
    };
    assert_eq!(events.recv().await, Some(expected));

    // Its session is over, and the next begins with what it watches.
    backend.end_session(&SessionKey::new("c"));
    let next = session_of(&mut old, &backend, &client).await;
    assert_ne!(next, own);
    assert_eq!(asked_in(&mut old, "resources/subscribe"), [next.as_str()]);
    let who = client.context().client();
    backend.unsubscribe("x:y", Some(&who)).await.unwrap();
    assert_eq!(asked_in(&mut old, "resources/unsubscribe"), [""; 0]);
    backend.unsubscribe("x:y", Some(&who)).await.unwrap();
    assert_eq!(asked_in(&mut old, "resources/unsubscribe"), [next]);
}

#[tokio::test]
async fn who_shares_subscribes_in_the_shared_session_and_in_its_own_once_it_has_one() {
    let mut old = Old::start().await;
    let backend = HttpServer::new(&old.config()).unwrap();
    // It wants log messages only later.
    let mut client = Client::new(Some("c"), "{}");
    backend.subscribe(&client.context(), "x:y").await.unwrap();
    assert_eq!(asked_in(&mut old, "resources/subscribe"), ["s1"]);
    client.level = Some(LogLevel::Info);
    let own = session_of(&mut old, &backend, &client).await;
    assert_eq!(asked_in(&mut old, "resources/subscribe"), [own.as_str()]);
    let who = client.context().client();
    backend.unsubscribe("x:y", Some(&who)).await.unwrap();
    let mut ended = asked_in(&mut old, "resources/unsubscribe");
    ended.sort_unstable();
    assert_eq!(ended, ["s1".to_owned(), own]);
}

#[tokio::test]
async fn who_is_greeted_has_a_session_that_nothing_was_called_in() {
    let mut old = Old::start().await;
    let config = old.config().with_max_connections(2);
    let config = config.with_max_connections_per_caller(Some(2));
    let backend = HttpServer::new(&config).unwrap();
    let clients = [
        Client::new(Some("c"), ASKABLE),
        Client::new(Some("d"), ASKABLE),
    ];
    for client in &clients {
        backend.greet(&client.context().client());
    }
    old.fake.next("initialize").await;
    let hello = old.fake.next("initialize").await;
    assert_eq!(hello.body["params"]["capabilities"].to_string(), ASKABLE);
    assert_eq!(session_of(&mut old, &backend, &clients[0]).await, "s2");
    // The second found that half of the room was taken.
    assert_eq!(session_of(&mut old, &backend, &clients[1]).await, "s3");
    let handshakes = old.fake.methods();
    let handshakes = handshakes.iter().filter(|method| *method == "initialize");
    assert_eq!(handshakes.count(), 1, "of the second client");
}
