//! MCP servers over HTTP, against a server in this process.
#![cfg(test)]

#[path = "support/fake.rs"]
mod fake;
mod support;

use fake::{Fake, Seen};
use mcp_gw_core::testing::backend_contract;
use mcp_gw_core::{Backend as _, BackendError};
use mcp_gw_upstream::{HttpServer, HttpServerConfig};
use support::{ODD, call, context};

fn server(fake: &Fake) -> HttpServer {
    HttpServer::new(&HttpServerConfig::new("up", fake.url())).unwrap()
}

const TOOLS: &str = r#"{"tools":[{"name":"echo","inputSchema":{"type":"object"},"x-vendor":1.0}]}"#;

fn answer(seen: &Seen) -> axum::response::Response {
    match seen.method() {
        "tools/list" => seen.result(TOOLS),
        "tools/call" if seen.body["params"]["name"] == "echo" => {
            seen.result(&format!(r#"{{"content":[{{"type":"x/new","v":{ODD}}}],"structuredContent":{ODD},"_meta":{{"n":1.0}}}}"#))
        }
        "tools/call" => seen.error(200, -32602, "Unknown tool"),
        "resources/read" => seen.error(200, -32602, "no such resource"),
        _ => seen.error(404, -32601, "Method not found"),
    }
}

#[tokio::test]
async fn a_modern_server_is_asked_without_handshake() {
    let mut fake = Fake::modern(|seen| async move { answer(&seen) }).await;
    let backend = server(&fake);
    let (ctx, _) = context();
    let output = backend.call_tool(&ctx, call("echo", ODD)).await.unwrap();
    assert_eq!(
        output.as_raw().as_str(),
        format!(
            r#"{{"content":[{{"type":"x/new","v":{ODD}}}],"structuredContent":{ODD},"_meta":{{"n":1.0}}}}"#
        )
    );
    let seen = fake.next("tools/call").await;
    assert!(seen.text.contains(&format!(r#""params":{{"name":"echo","arguments":{ODD},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28""#)), "{}", seen.text);
    assert_eq!(seen.header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(seen.header("mcp-method"), Some("tools/call"));
    assert_eq!(seen.header("mcp-name"), Some("echo"));
    let offer = backend.offer().await.unwrap();
    assert_eq!(
        offer.tools[0].definition().as_str(),
        r#"{"name":"echo","inputSchema":{"type":"object"},"x-vendor":1.0}"#
    );
    assert_eq!(offer.instructions.as_deref(), Some("be kind"));
    assert_eq!(
        offer.capabilities.unwrap().as_str(),
        r#"{"tools":{},"x":1.0}"#
    );
}

#[tokio::test]
async fn an_old_server_is_asked_in_one_session() {
    let mut fake = Fake::legacy(|seen| async move { answer(&seen) }).await;
    let backend = server(&fake);
    let (ctx, _) = context();
    backend.call_tool(&ctx, call("echo", "{}")).await.unwrap();
    backend.call_tool(&ctx, call("echo", "{}")).await.unwrap();
    let hello = fake.next("initialize").await;
    assert_eq!(hello.body["params"]["capabilities"].to_string(), "{}");
    assert_eq!(hello.header("mcp-protocol-version"), None);
    for _ in 0..2 {
        let seen = fake.next("tools/call").await;
        assert_eq!(seen.header("mcp-session-id"), Some("s1"));
        assert_eq!(seen.header("mcp-protocol-version"), Some("2025-11-25"));
        assert_eq!(seen.header("mcp-method"), None);
        assert!(!seen.text.contains("io.modelcontextprotocol/"));
    }
    backend.close().await;
    assert_eq!(
        fake.next("DELETE").await.header("mcp-session-id"),
        Some("s1")
    );
    assert!(matches!(
        backend.call_tool(&ctx, call("echo", "{}")).await,
        Err(BackendError::Unavailable { .. })
    ));
}

#[tokio::test]
async fn both_eras_keep_the_contract_of_a_backend() {
    let fake = Fake::modern(|seen| async move { answer(&seen) }).await;
    backend_contract(&server(&fake)).await;
    let fake = Fake::legacy(|seen| async move { answer(&seen) }).await;
    backend_contract(&server(&fake)).await;
}
