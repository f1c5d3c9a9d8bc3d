//! Servers of 2024-11-05 over HTTP with SSE: one stream, and an address that it names.

use std::sync::{Arc, Mutex};

use mcp_gw_core::{Backend as _, BackendError, BackendEvent};
use mcp_gw_upstream::{HttpServer, HttpServerConfig};
use tokio::sync::mpsc;

use crate::fake::{Fake, Seen, event, live, status};
use crate::support::{Listener, call, context};

type Stream = Arc<Mutex<Option<mpsc::Sender<String>>>>;

const INITIALIZED: &str = r#"{"protocolVersion":"2024-11-05","capabilities":{"tools":{},"resources":{"subscribe":true}}}"#;

/// A server whose stream begins with `begins`, and what it writes on.
async fn start(begins: &'static str) -> (Fake, Stream) {
    let stream = Stream::default();
    let open = Arc::clone(&stream);
    let fake = Fake::start(move |seen| {
        let open = Arc::clone(&open);
        async move {
            if seen.method() == "GET" {
                let (write, response) = live();
                write.try_send(begins.to_owned()).unwrap();
                *open.lock().unwrap() = Some(write);
                return response;
            }
            // Where streamable HTTP would be.
            if seen.path != "/messages?s=1" {
                return status(405);
            }
            if let Some(answer) = answer(&seen) {
                let write = open.lock().unwrap().clone().unwrap();
                write.send(event(&answer)).await.unwrap();
            }
            status(202)
        }
    })
    .await;
    (fake, stream)
}

fn answer(seen: &Seen) -> Option<String> {
    Some(match seen.method() {
        "initialize" => seen.result_text(INITIALIZED),
        "tools/list" => seen.result_text(r#"{"tools":[{"name":"echo","inputSchema":{}}]}"#),
        "tools/call" if seen.body["params"]["name"] == "hang" => return None,
        "resources/list" => seen.result_text(r#"{"resources":[]}"#),
        "resources/templates/list" => seen.result_text(r#"{"resourceTemplates":[]}"#),
        method if method.starts_with("notifications/") => return None,
        _ => seen.result_text(r#"{"content":[],"x":1.0}"#),
    })
}

const ENDPOINT: &str = "event: endpoint\ndata: /messages?s=1\n\n";

fn server(fake: &Fake) -> Arc<HttpServer> {
    Arc::new(HttpServer::new(&HttpServerConfig::new("up", fake.url())).unwrap())
}

async fn echo(server: &HttpServer) -> Result<String, BackendError> {
    let output = server.call_tool(&context().0, call("echo", "{}")).await?;
    Ok(output.as_raw().to_string())
}

#[tokio::test]
async fn it_is_found_out_and_answers_come_on_the_stream() {
    let (fake, stream) = start(ENDPOINT).await;
    let server = server(&fake);
    let (listener, mut events) = Listener::new();
    server.watch(listener);
    assert_eq!(server.offer().await.unwrap().tools.len(), 1);
    assert_eq!(echo(&server).await.unwrap(), r#"{"content":[],"x":1.0}"#);
    server.check().await.unwrap();
    let write = stream.lock().unwrap().clone().unwrap();
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    write.send(event(changed)).await.unwrap();
    assert_eq!(events.recv().await, Some(BackendEvent::OfferChanged));
}

#[tokio::test]
async fn pings_of_the_server_are_answered_at_its_address() {
    let (mut fake, stream) = start(ENDPOINT).await;
    let server = server(&fake);
    echo(&server).await.unwrap();
    let write = stream.lock().unwrap().clone().unwrap();
    let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
    write.send(event(ping)).await.unwrap();
    loop {
        let seen = fake.next("POST").await;
        if seen.body["id"] == "p" {
            assert_eq!(seen.path, "/messages?s=1");
            return;
        }
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled_there() {
    let (mut fake, _stream) = start(ENDPOINT).await;
    let server = server(&fake);
    echo(&server).await.unwrap();
    let hanging =
        tokio::spawn(async move { server.call_tool(&context().0, call("hang", "{}")).await });
    let id = loop {
        let seen = fake.next("tools/call").await;
        if seen.body["params"]["name"] == "hang" {
            break seen.body["id"].clone();
        }
    };
    hanging.abort();
    let seen = fake.next("notifications/cancelled").await;
    assert_eq!(seen.body["params"]["requestId"], id);
    assert_eq!(seen.path, "/messages?s=1");
}

#[tokio::test]
async fn the_end_of_the_stream_ends_the_calls_on_it_and_the_next_one_opens_another() {
    let (mut fake, stream) = start(ENDPOINT).await;
    let server = server(&fake);
    let (listener, mut events) = Listener::new();
    server.watch(listener);
    server.subscribe(&context().0, "x:y").await.unwrap();
    fake.next("resources/subscribe").await;
    let hanging = Arc::clone(&server);
    let hanging =
        tokio::spawn(async move { hanging.call_tool(&context().0, call("hang", "{}")).await });
    fake.next("tools/call").await;
    stream.lock().unwrap().take();
    let error = hanging.await.unwrap().unwrap_err();
    assert!(matches!(error, BackendError::Lost { .. }), "{error}");
    assert!(matches!(
        events.recv().await,
        Some(BackendEvent::Down { .. })
    ));
    echo(&server).await.unwrap();
    assert_eq!(events.recv().await, Some(BackendEvent::OfferChanged));
    fake.next("resources/subscribe").await;
}

#[tokio::test]
async fn an_address_elsewhere_is_refused_and_nothing_is_sent_there() {
    for begins in [
        "event: endpoint\ndata: http://127.0.0.1:1/messages\n\n",
        "event: endpoint\ndata: //evil.example/messages\n\n",
        "event: endpoint\ndata: file:///etc/passwd\n\n",
    ] {
        let (fake, _stream) = start(begins).await;
        let error = echo(&server(&fake)).await.unwrap_err().to_string();
        assert!(error.contains("another origin"), "{error}");
    }
}

#[tokio::test]
async fn a_stream_without_an_address_is_another_kind_of_server() {
    let other = event(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#);
    let other: &'static str = other.leak();
    let (fake, _stream) = start(other).await;
    let error = echo(&server(&fake)).await.unwrap_err().to_string();
    assert!(error.contains("405"), "{error}");
}

#[tokio::test]
async fn what_the_stream_begins_with_is_bounded() {
    let long: &'static str = format!("event: endpoint\ndata: {}", "x".repeat(100_000)).leak();
    let (fake, _stream) = start(long).await;
    let config = HttpServerConfig::new("up", fake.url()).with_max_message_bytes(64 * 1024);
    let error = echo(&HttpServer::new(&config).unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
}
