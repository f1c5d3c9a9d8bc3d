//! Processes of their own for clients that can be asked something.

use std::sync::Arc;
use std::time::Duration;

use crate::child::{fake, gone, number};
use crate::client::{ASKABLE, Asked, Client};
use crate::support::{Listener, call, raw};
use mcp_gw_core::{
    Backend as _, BackendError, BackendEvent, CallNotification, LogLevel, SessionKey,
};
use mcp_gw_upstream::StdioServer;

fn server() -> StdioServer {
    StdioServer::new(&fake("asking")).unwrap()
}

/// The text of a result's member `v`.
async fn ask(backend: &StdioServer, client: &Client, name: &str) -> Result<String, BackendError> {
    ask_with(backend, client, name, "{}").await
}

async fn ask_with(
    backend: &StdioServer,
    client: &Client,
    name: &str,
    arguments: &str,
) -> Result<String, BackendError> {
    let ctx = client.context();
    let output = backend.call_tool(&ctx, call(name, arguments)).await?;
    Ok(output.as_raw().member("v").unwrap().unwrap().to_string())
}

async fn pid(backend: &StdioServer, client: &Client) -> i64 {
    number(&ask(backend, client, "pid").await.unwrap())
}

#[tokio::test]
async fn who_can_be_asked_has_a_process_that_was_told_so() {
    let backend = server();
    let plain = Client::new(Some("p"), "{}");
    let (c, d) = (
        Client::new(Some("c"), ASKABLE),
        Client::new(Some("d"), ASKABLE),
    );
    assert_eq!(ask(&backend, &plain, "declared").await.unwrap(), "{}");
    assert_eq!(ask(&backend, &c, "declared").await.unwrap(), ASKABLE);
    let pids = [
        pid(&backend, &plain).await,
        pid(&backend, &c).await,
        pid(&backend, &d).await,
    ];
    assert!(pids[0] != pids[1] && pids[1] != pids[2] && pids[0] != pids[2]);
    assert_eq!(pid(&backend, &c).await, pids[1]);
    backend.end_session(&SessionKey::new("d"));
    gone(pids[2]).await;
    backend.close().await;
    gone(pids[0]).await;
    gone(pids[1]).await;
}

#[tokio::test]
async fn the_client_of_the_call_is_asked_and_its_answer_goes_back_under_the_servers_id() {
    let backend = server();
    let mut client = Client::new(Some("c"), ASKABLE);
    for id in [r#""a\u00e9""#, "9007199254740993123"] {
        let ctx = client.context();
        let arguments = format!(r#"{{"id":{id}}}"#);
        let called = backend.call_tool(&ctx, call("ask", &arguments));
        let answer = async {
            let asked = client.asked().await;
            assert_eq!(
                (asked.method.as_str(), asked.params.as_str()),
                ("elicitation/create", r#"{"n":1.0}"#)
            );
            asked.answer(Ok(r#"{"action":"decline","x":1.0}"#));
        };
        let (output, ()) = tokio::join!(called, answer);
        let expected = format!(
            r#"{{"v":{{"jsonrpc":"2.0","id":{id},"result":{{"action":"decline","x":1.0}}}}}}"#
        );
        assert_eq!(output.unwrap().as_raw().as_str(), expected);
    }
    // The shared process has declared nothing.
    let plain = Client::new(Some("p"), "{}");
    let refused = ask_with(&backend, &plain, "ask", r#"{"id":1}"#).await;
    assert!(refused.unwrap().contains("-32601"));
}

/// A call that asks and never ends, and what it asks.
async fn asking(
    backend: &Arc<StdioServer>,
    client: &mut Client,
) -> (tokio::task::JoinHandle<Result<(), BackendError>>, Asked) {
    let (of_task, ctx) = (Arc::clone(backend), client.context());
    let task = tokio::spawn(async move {
        let called = of_task.call_tool(&ctx, call("ask_and_hang", r#"{"id":7}"#));
        called.await.map(drop)
    });
    (task, client.asked().await)
}

#[tokio::test]
async fn a_question_ends_with_its_call_or_when_the_server_says_so() {
    let config = fake("asking")
        .with_timeout(Duration::from_millis(500))
        .with_max_total_timeout(Duration::from_millis(1200));
    let backend = Arc::new(StdioServer::new(&config).unwrap());
    let mut client = Client::new(Some("c"), ASKABLE);
    // While the client thinks only the hard limit holds.
    let (task, asked) = asking(&backend, &mut client).await;
    let Err(BackendError::Timeout { after, .. }) = task.await.unwrap() else {
        panic!("nobody has answered")
    };
    assert_eq!(after, Duration::from_millis(1200));
    assert_eq!(asked.dropped().await, None);

    let (task, asked) = asking(&backend, &mut client).await;
    ask(&backend, &client, "cancel_question").await.unwrap();
    let reason = asked.dropped().await;
    assert_eq!(reason.as_deref(), Some(r#""no m\u006fre""#));
    task.abort();

    let (task, asked) = asking(&backend, &mut client).await;
    task.abort();
    asked.dropped().await;
    let given_up = number(&ask(&backend, &client, "cancelled").await.unwrap());
    assert!(given_up > 1);

    let (task, asked) = asking(&backend, &mut client).await;
    let died = ask(&backend, &client, "die").await;
    assert!(matches!(died, Err(BackendError::Lost { .. })));
    assert!(matches!(
        task.await.unwrap(),
        Err(BackendError::Lost { .. })
    ));
    asked.dropped().await;
    // It is opened anew, and for this client.
    assert_eq!(ask(&backend, &client, "declared").await.unwrap(), ASKABLE);
}

#[tokio::test]
async fn the_death_of_one_clients_process_is_not_that_of_the_server() {
    let backend = server();
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    let (c, d) = (
        Client::new(Some("c"), ASKABLE),
        Client::new(Some("d"), ASKABLE),
    );
    let plain = Client::new(Some("p"), "{}");
    let before = (pid(&backend, &plain).await, pid(&backend, &d).await);
    for _ in 0..3 {
        ask(&backend, &c, "die").await.unwrap_err();
    }
    let after = (pid(&backend, &plain).await, pid(&backend, &d).await);
    assert_eq!(before, after);
    assert!(events.try_recv().is_err());
    // It died too often: it is left alone, and its calls endanger nobody else.
    let error = ask(&backend, &c, "pid").await.unwrap_err();
    assert!(error.is_unsent(), "{error}");
}

#[tokio::test]
async fn log_messages_reach_the_client_of_the_process() {
    let backend = server();
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    let mut client = Client::new(Some("c"), "{}").with_level(LogLevel::Info);
    for level in [LogLevel::Info, LogLevel::Info, LogLevel::Error] {
        client.level = Some(level);
        ask(&backend, &client, "log").await.unwrap();
    }
    let levels = ask(&backend, &client, "levels").await.unwrap();
    assert_eq!(levels, r#"["info","error"]"#);
    let message = |text| CallNotification::Log(raw(text));
    assert_eq!(client.told(), vec![message(r#"{"data":1.0}"#); 3]);
    ask(&backend, &client, "log_later").await.unwrap();
    let expected = BackendEvent::ForSession {
        session: SessionKey::new("c"),
        notification: message(r#"{"data":2.0}"#),
    };
    assert_eq!(events.recv().await, Some(expected));
    // On the shared one nobody knows whose it is.
    let plain = Client::new(Some("p"), "{}");
    ask(&backend, &plain, "log").await.unwrap();
    assert_eq!(ask(&backend, &plain, "levels").await.unwrap(), "[]");
    assert!(plain.told().is_empty() && events.try_recv().is_err());
}

#[tokio::test]
async fn a_new_server_logs_for_the_one_call_that_asked_for_it() {
    let backend = Arc::new(StdioServer::new(&fake("modern")).unwrap());
    let plain = Client::new(None, "{}");
    let (of_task, ctx) = (Arc::clone(&backend), plain.context());
    let hanging = tokio::spawn(async move { of_task.call_tool(&ctx, call("hang", "{}")).await });
    let client = Client::new(None, "{}").with_level(LogLevel::Info);
    ask(&backend, &client, "log").await.unwrap();
    assert_eq!(client.told().len(), 1);
    assert!(plain.told().is_empty());
    hanging.abort();
}

#[tokio::test]
async fn the_roots_of_a_client_are_known_before_its_first_call() {
    let backend = server();
    let mut client = Client::new(Some("c"), r#"{"roots":{"listChanged":true}}"#);
    let ctx = client.context();
    let called = backend.call_tool(&ctx, call("roots", "{}"));
    let answer = async {
        let asked = client.asked().await;
        assert_eq!(
            (asked.method.as_str(), asked.params.as_str()),
            ("roots/list", "{}")
        );
        asked.answer(Ok(r#"{"roots":[1.0]}"#));
    };
    let (output, ()) = tokio::join!(called, answer);
    assert_eq!(
        output.unwrap().as_raw().as_str(),
        r#"{"v":{"roots":[1.0]}}"#
    );
    backend.roots_changed(&SessionKey::new("c"));
    let told = ask(&backend, &client, "told").await.unwrap();
    assert_eq!(
        told,
        r#"["notifications/initialized","notifications/roots/list_changed"]"#
    );
}

#[tokio::test]
async fn no_more_processes_run_than_allowed() {
    let config = fake("asking").with_max_connections(1);
    let backend = StdioServer::new(&config).unwrap();
    let (c, d) = (
        Client::new(Some("c"), ASKABLE),
        Client::new(Some("d"), ASKABLE),
    );
    let first = pid(&backend, &c).await;
    let second = pid(&backend, &d).await;
    assert_ne!(first, second);
    // The one before was ended first.
    gone(first).await;
    backend.close().await;
    gone(second).await;

    let backend = server();
    let dropped = pid(&backend, &c).await;
    drop(backend);
    gone(dropped).await;
}

#[tokio::test]
async fn a_process_that_nobody_uses_is_ended_after_a_while() {
    let config = fake("asking").with_idle_timeout(Duration::from_millis(50));
    let backend = StdioServer::new(&config).unwrap();
    let client = Client::new(Some("c"), ASKABLE);
    let first = pid(&backend, &client).await;
    gone(first).await;
    assert_ne!(pid(&backend, &client).await, first);
}
