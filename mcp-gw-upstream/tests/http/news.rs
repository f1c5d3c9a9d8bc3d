//! The one stream of news of a server of 2026-07-28.

use std::sync::Arc;

use axum::response::Response;
use mcp_gw_core::{Backend as _, BackendError, BackendEvent};
use mcp_gw_upstream::{HttpServer, HttpServerConfig};
use serde_json::json as value;
use tokio::sync::mpsc;

use crate::fake::{Fake, Seen, event, live};
use crate::support::{Listener, context, raw};

/// Streams as the server sees them: the request, and the way to write on it.
type Streams = mpsc::Receiver<(Seen, mpsc::Sender<String>)>;

const DISCOVERED: &str = r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":false},"resources":{"subscribe":true}}}"#;

async fn start() -> (Fake, Arc<HttpServer>, Streams, mpsc::Receiver<BackendEvent>) {
    let (opened, streams) = mpsc::channel(16);
    let fake = Fake::start(move |seen| {
        let opened = opened.clone();
        async move {
            match seen.method() {
                "server/discover" => seen.result(DISCOVERED),
                "subscriptions/listen" => listen(&seen, &opened),
                _ => crate::answer(&seen),
            }
        }
    })
    .await;
    let server = Arc::new(HttpServer::new(&HttpServerConfig::new("up", fake.url())).unwrap());
    let (listener, events) = Listener::new();
    server.watch(listener);
    (fake, server, streams, events)
}

fn listen(seen: &Seen, opened: &mpsc::Sender<(Seen, mpsc::Sender<String>)>) -> Response {
    let (write, response) = live();
    opened.try_send((seen.clone(), write)).unwrap();
    response
}

fn note(seen: &Seen, method: &str, params: &str) -> String {
    let id = seen.id();
    let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}"#);
    let params = params.trim_end_matches('}');
    let comma = if params == "{" { "" } else { "," };
    event(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{params}{comma}{meta}}}}}"#
    ))
}

async fn acknowledge(seen: &Seen, write: &mpsc::Sender<String>, filter: &str) {
    let params = format!(r#"{{"notifications":{filter}}}"#);
    // The filter ends with a brace of its own.
    let id = seen.id();
    let text = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{}}}"#,
        params.replacen(
            '{',
            &format!(r#"{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"#),
            1
        )
    );
    write.send(event(&text)).await.unwrap();
}

fn subscribe(
    server: &Arc<HttpServer>,
    uri: &'static str,
) -> tokio::task::JoinHandle<Result<(), BackendError>> {
    let server = Arc::clone(server);
    tokio::spawn(async move { server.subscribe(&context().0, uri).await })
}

#[tokio::test]
async fn one_stream_has_what_everybody_wants_and_the_next_opens_before_it_closes() {
    let (_fake, server, mut streams, mut events) = start().await;
    server.offer().await.unwrap();
    let (seen, first) = streams.recv().await.unwrap();
    assert_eq!(
        seen.body["params"]["notifications"],
        value!({"toolsListChanged": true})
    );
    assert_eq!(seen.header("mcp-method"), Some("subscriptions/listen"));
    acknowledge(&seen, &first, r#"{"toolsListChanged":true}"#).await;
    first
        .send(note(&seen, "tools/list_changed", "{}"))
        .await
        .unwrap();
    assert_eq!(events.recv().await.unwrap(), BackendEvent::OfferChanged);

    // Two clients want the same: that is one more stream, not two.
    let (one, other) = (subscribe(&server, "x:1"), subscribe(&server, "x:1"));
    let (seen, second) = streams.recv().await.unwrap();
    assert_eq!(
        seen.body["params"]["notifications"],
        value!({"toolsListChanged": true, "resourceSubscriptions": ["x:1"]})
    );
    assert!(
        !first.is_closed(),
        "the old one is there until the new one is"
    );
    acknowledge(
        &seen,
        &second,
        r#"{"toolsListChanged":true,"resourceSubscriptions":["x:1"]}"#,
    )
    .await;
    one.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    first.closed().await;

    second
        .send(note(&seen, "resources/updated", r#"{"uri":"x:1","n":1.0}"#))
        .await
        .unwrap();
    let updated = BackendEvent::ResourceUpdated {
        uri: "x:1".into(),
        params: raw(r#"{"uri":"x:1","n":1.0}"#),
    };
    assert_eq!(
        events.recv().await.unwrap(),
        updated,
        "without what was said of the stream"
    );

    // The last one who leaves changes it again.
    server
        .unsubscribe("x:1", Some(&context().0.client()))
        .await
        .unwrap();
    assert!(streams.try_recv().is_err());
    server
        .unsubscribe("x:1", Some(&context().0.client()))
        .await
        .unwrap();
    let (seen, third) = streams.recv().await.unwrap();
    assert_eq!(
        seen.body["params"]["notifications"],
        value!({"toolsListChanged": true})
    );
    acknowledge(&seen, &third, "{}").await;
    second.closed().await;
    assert!(events.try_recv().is_err(), "nothing was missed");
}

#[tokio::test]
async fn what_is_not_acknowledged_is_not_subscribed_to() {
    let (_fake, server, mut streams, _events) = start().await;
    server.offer().await.unwrap();
    let (seen, first) = streams.recv().await.unwrap();
    acknowledge(&seen, &first, r#"{"toolsListChanged":true}"#).await;
    let refused = subscribe(&server, "x:1");
    let (seen, second) = streams.recv().await.unwrap();
    acknowledge(
        &seen,
        &second,
        r#"{"toolsListChanged":true,"resourceSubscriptions":[]}"#,
    )
    .await;
    let error = refused.await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            BackendError::Unsupported {
                method: "resources/subscribe",
                ..
            }
        ),
        "{error}"
    );
    // It is wanted no more.
    let (seen, third) = streams.recv().await.unwrap();
    assert_eq!(
        seen.body["params"]["notifications"],
        value!({"toolsListChanged": true})
    );
    acknowledge(&seen, &third, "{}").await;
}

#[tokio::test]
async fn a_refusal_of_the_whole_stream_is_that_of_the_subscriber() {
    let (_fake, server, mut streams, _events) = start().await;
    server.offer().await.unwrap();
    let (seen, first) = streams.recv().await.unwrap();
    acknowledge(&seen, &first, "{}").await;
    let refused = subscribe(&server, "x:bad");
    let (seen, second) = streams.recv().await.unwrap();
    let error = format!(
        r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32602,"message":"no such resource"}}}}"#,
        seen.id()
    );
    second.send(event(&error)).await.unwrap();
    let error = refused.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("no such resource"), "{error}");
    assert!(!first.is_closed(), "what was there before stays");
}

#[tokio::test]
async fn a_subscriber_that_gives_up_leaves_nothing_behind() {
    let (_fake, server, mut streams, _events) = start().await;
    server.offer().await.unwrap();
    let (seen, first) = streams.recv().await.unwrap();
    acknowledge(&seen, &first, "{}").await;
    let given_up = subscribe(&server, "x:1");
    let (seen, second) = streams.recv().await.unwrap();
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    acknowledge(&seen, &second, r#"{"resourceSubscriptions":["x:1"]}"#).await;
    let (seen, third) = streams.recv().await.unwrap();
    assert_eq!(
        seen.body["params"]["notifications"],
        value!({"toolsListChanged": true})
    );
    acknowledge(&seen, &third, "{}").await;
}

#[tokio::test]
async fn after_a_break_everything_may_have_changed() {
    let (_fake, server, mut streams, mut events) = start().await;
    server.offer().await.unwrap();
    let (seen, first) = streams.recv().await.unwrap();
    acknowledge(&seen, &first, "{}").await;
    let subscribed = subscribe(&server, "x:1");
    let (seen, second) = streams.recv().await.unwrap();
    acknowledge(&seen, &second, r#"{"resourceSubscriptions":["x:1"]}"#).await;
    subscribed.await.unwrap().unwrap();
    drop((first, second));
    let (seen, third) = streams.recv().await.unwrap();
    assert!(events.try_recv().is_err());
    acknowledge(&seen, &third, r#"{"resourceSubscriptions":["x:1"]}"#).await;
    assert_eq!(events.recv().await.unwrap(), BackendEvent::OfferChanged);
    let updated = BackendEvent::ResourceUpdated {
        uri: "x:1".into(),
        params: raw(r#"{"uri":"x:1"}"#),
    };
    assert_eq!(events.recv().await.unwrap(), updated);
}

#[tokio::test]
async fn tasks_are_watched_on_the_same_stream() {
    let (_fake, server, mut streams, mut events) = start().await;
    server.offer().await.unwrap();
    let (seen, first) = streams.recv().await.unwrap();
    acknowledge(&seen, &first, "{}").await;
    let watching = Arc::clone(&server);
    let watching = tokio::spawn(async move { watching.watch_task(&context().0, "t1").await });
    let (seen, second) = streams.recv().await.unwrap();
    assert_eq!(
        seen.body["params"]["notifications"]["taskIds"],
        value!(["t1"])
    );
    let declared = "io.modelcontextprotocol/clientCapabilities";
    assert_eq!(
        seen.body["params"]["_meta"][declared],
        value!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
    );
    acknowledge(&seen, &second, r#"{"taskIds":["t1"]}"#).await;
    watching.await.unwrap().unwrap();
    second
        .send(note(
            &seen,
            "tasks",
            r#"{"taskId":"t1","status":"working"}"#,
        ))
        .await
        .unwrap();
    let changed = BackendEvent::TaskChanged {
        task_id: "t1".into(),
        params: raw(r#"{"taskId":"t1","status":"working"}"#),
    };
    assert_eq!(events.recv().await.unwrap(), changed);
    server.unwatch_task("t1").await;
    let (seen, _third) = streams.recv().await.unwrap();
    assert_eq!(
        seen.body["params"]["notifications"],
        value!({"toolsListChanged": true})
    );
}

#[tokio::test]
async fn a_server_without_the_stream_says_so_at_once() {
    let fake = Fake::modern(|seen| async move { crate::answer(&seen) }).await;
    let server = Arc::new(HttpServer::new(&HttpServerConfig::new("up", fake.url())).unwrap());
    let error = subscribe(&server, "x:1").await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            BackendError::Unsupported {
                method: "resources/subscribe",
                ..
            }
        ),
        "{error}"
    );
    let error = subscribe(&server, "x:2").await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            BackendError::Unsupported {
                method: "resources/subscribe",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn closing_the_backend_closes_the_stream() {
    let (_fake, server, mut streams, _events) = start().await;
    server.offer().await.unwrap();
    let (seen, first) = streams.recv().await.unwrap();
    acknowledge(&seen, &first, "{}").await;
    server.close().await;
    first.closed().await;
}
