//! Each example does what it says.
#![cfg(test)]
#![expect(
    clippy::duplicate_mod,
    reason = "each example is complete by itself; they share a file"
)]

#[expect(
    dead_code,
    reason = "an example has a `main`, which a test does not run"
)]
#[path = "../examples/embed.rs"]
mod embed;
#[expect(
    dead_code,
    reason = "an example has a `main`, which a test does not run"
)]
#[path = "../examples/policy.rs"]
mod policy;
#[expect(
    dead_code,
    reason = "an example has a `main`, which a test does not run"
)]
#[path = "../examples/rate_limiter.rs"]
mod rate_limiter;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use mcp_gw_core::testing::{ManualClock, rate_limiter_contract};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Status and JSON of one request of MCP 2026-07-28.
async fn ask(app: &Router, key: Option<&str>, method: &str, tool: Value) -> (StatusCode, Value) {
    let name = tool["name"].as_str().unwrap_or_default().to_owned();
    let mut params = tool;
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut request = Request::post("/mcp")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .header("MCP-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", method);
    if !name.is_empty() {
        request = request.header("Mcp-Name", name);
    }
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn call(name: &str, arguments: &Value) -> Value {
    json!({ "name": name, "arguments": arguments })
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_default()
}

#[tokio::test]
async fn embed_serves_a_tool_beside_the_routes_that_were_there() {
    let app = embed::app().unwrap();
    let arguments = json!({ "name": "Ada" });
    let (status, answer) = ask(&app, None, "tools/call", call("greet", &arguments)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(text(&answer), "Hello Ada, says anonymous.");

    let health = Request::get("/health").body(Body::empty()).unwrap();
    let response = app.oneshot(health).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "fine");
}

#[tokio::test]
async fn policy_lets_everybody_look_and_editors_write() {
    let app = policy::app().unwrap();
    let key = Some(policy::EDITORS_KEY);
    for (key, tools) in [
        (None, vec!["get_motto"]),
        (key, vec!["get_motto", "set_motto"]),
    ] {
        let (_, answer) = ask(&app, key, "tools/list", json!({})).await;
        let listed = answer["result"]["tools"].as_array().unwrap();
        let listed: Vec<_> = listed
            .iter()
            .map(|tool| tool["name"].as_str().unwrap())
            .collect();
        assert_eq!(listed, tools);
    }
    let set = call("set_motto", &json!({ "text": "Look." }));
    let (_, answer) = ask(&app, None, "tools/call", set.clone()).await;
    assert_eq!(answer["error"]["message"], "Unknown tool: set_motto");
    let (_, answer) = ask(&app, key, "tools/call", set).await;
    assert_eq!(text(&answer), "replaced");
    let (_, answer) = ask(&app, None, "tools/call", call("get_motto", &json!({}))).await;
    assert_eq!(text(&answer), "Look.");
    let (status, _) = ask(&app, Some("a-guess"), "tools/list", json!({})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn rate_limiter_empties_with_calls_and_fills_with_time() {
    let clock = ManualClock::new();
    rate_limiter_contract(&rate_limiter::TokenBuckets::new(clock.clone())).await;
    let app = rate_limiter::app(clock.clone()).unwrap();
    let ping = || ask(&app, None, "tools/call", call("ping", &json!({})));
    for _ in 0..rate_limiter::BURST {
        assert_eq!(ping().await.0, StatusCode::OK);
    }
    clock.advance(Duration::from_secs(4));
    let (status, answer) = ping().await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer["error"]["data"]["limit"], "token_bucket");
    assert_eq!(answer["error"]["data"]["retryAfterMs"], 6_000);
    clock.advance(Duration::from_secs(6));
    assert_eq!(ping().await.0, StatusCode::OK);
    assert_eq!(ping().await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        ask(&app, None, "tools/list", json!({})).await.0,
        StatusCode::OK
    );
}
