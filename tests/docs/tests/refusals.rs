//! What the HTTP endpoint refuses before a request is one of MCP, as the handbook lists it.
#![cfg(test)]

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, request::Builder};
use mcp_gw_core::{
    AccessRequest, Authenticator, AuthnError, Caller, Credentials, Decision, Gateway, Policy,
    async_trait,
};
use mcp_gw_http::{HttpConfig, router};
use serde_json::Value;
use tower::ServiceExt as _;

/// Wants a key; has none to compare it with; cannot ask anybody either.
struct Keys;

#[async_trait]
impl Authenticator for Keys {
    async fn authenticate(
        &self,
        credentials: &Credentials,
    ) -> Result<std::sync::Arc<Caller>, AuthnError> {
        let key = credentials.bearer.as_ref().ok_or(AuthnError::Missing)?;
        match key.expose().as_str() {
            "good" => Ok(Caller::anonymous().into()),
            "slow" => Err(AuthnError::Unavailable {
                reason: "down".to_owned(),
            }),
            _ => Err(AuthnError::Invalid {
                reason: "wrong".to_owned(),
            }),
        }
    }
}

/// Allows everything to whoever may come from nowhere in particular.
struct Addresses;

#[async_trait]
impl Policy for Addresses {
    async fn decide(&self, _: &AccessRequest<'_>) -> Decision {
        Decision::allow()
    }

    fn refuses_address(&self, addr: Option<IpAddr>) -> Option<&'static str> {
        addr.map(|_| "ip.deny")
    }
}

fn app() -> Router {
    let gateway = Gateway::builder()
        .policy(Addresses)
        .authenticator(Keys)
        .build()
        .unwrap();
    router(gateway, HttpConfig::default().with_max_body_bytes(1000))
}

fn request(key: &str) -> Builder {
    Request::post("/")
        .header("Host", "localhost")
        .header("Accept", "application/json, text/event-stream")
        .header("Content-Type", "application/json")
        .header("Authorization", format!("Bearer {key}"))
}

fn without(builder: Builder, name: &str) -> Builder {
    let mut builder = builder;
    builder.headers_mut().unwrap().remove(name);
    builder
}

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const MODERN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

/// Each with its row in the handbook, which names status and JSON-RPC code.
fn cases() -> Vec<(&'static str, Builder, String)> {
    let long = format!("{{\"long\":\"{}\"}}", "x".repeat(1000));
    let future = MODERN.replace("2026-07-28", "2099-01-01");
    let good = || request("good");
    let plain = |builder| (builder, PING.to_owned());
    [
        (
            "| 400 | | credentials ",
            plain(request("good").header("Authorization", "Bearer x")),
        ),
        ("| 400 | -32700 |", (good(), "{".to_owned())),
        ("| 400 | -32600 | the message", (good(), "{}".to_owned())),
        ("| 400 | -32600 | no session", plain(good())),
        ("| 400 | -32020 |", (good(), MODERN.to_owned())),
        (
            "| 400 | -32022 |",
            (good().header("MCP-Protocol-Version", "2099-01-01"), future),
        ),
        ("| 401 |", plain(request("bad"))),
        ("| 401 |", plain(without(good(), "Authorization"))),
        (
            "| 403 |",
            plain(good().header("Origin", "https://evil.example")),
        ),
        (
            "| 403 |",
            plain(without(good(), "Host").header("Host", "evil.example")),
        ),
        (
            "| 403 | | nobody may come",
            plain(request("bad").extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 80))))),
        ),
        (
            "| 404 | -32600 |",
            plain(good().header("Mcp-Session-Id", "0")),
        ),
        ("| 400 | -32600 | the message", (good(), "[]".to_owned())),
        ("| 405 |", plain(good().method("PUT"))),
        (
            "| 405 |",
            plain(
                good()
                    .method("GET")
                    .header("MCP-Protocol-Version", "2026-07-28"),
            ),
        ),
        ("| 406 |", plain(without(good().method("GET"), "Accept"))),
        (
            "| 406 |",
            plain(without(good(), "Accept").header("Accept", "text/html")),
        ),
        ("| 406 |", plain(without(good(), "Accept"))),
        (
            "| 404 | | no endpoint",
            (good().uri("/nobody"), PING.to_owned()),
        ),
        ("| 413 |", (good(), long)),
        ("| 415 |", plain(without(good(), "Content-Type"))),
        ("| 503 | | credentials", plain(request("slow"))),
    ]
    .map(|(row, (builder, body))| (row, builder, body))
    .into()
}

#[tokio::test]
async fn every_refusal_is_in_the_handbook_as_it_is() {
    let handbook = include_str!("../../../docs/operations.md");
    let section = handbook.split("### Before it is a call").nth(1).unwrap();
    for (row, builder, body) in cases() {
        assert!(section.contains(&format!("\n{row}")), "no row {row}");
        let response = app()
            .oneshot(builder.body(Body::from(body)).unwrap())
            .await
            .unwrap();
        let status = response.status();
        let says = to_bytes(response.into_body(), 10_000).await.unwrap();
        let code = serde_json::from_slice::<Value>(&says).unwrap_or_default()["error"]["code"]
            .as_i64()
            .map(|code| code.to_string());
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let expected = columns[1].parse::<u16>().unwrap();
        let says = String::from_utf8_lossy(&says);
        assert_eq!(
            status,
            StatusCode::from_u16(expected).unwrap(),
            "{row}: {says}"
        );
        assert_eq!(
            code.as_deref().unwrap_or_default(),
            columns[2],
            "{row}: {says}"
        );
    }
}
