//! What a policy is told of the HTTP request that it decides on.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use mcp_gw_core::{
    AccessRequest, CallContext, Decision, Gateway, NoArguments, Policy, ToolError, TypedTool,
    async_trait,
};
use mcp_gw_http::{Guard, HttpConfig, router};
use tower::ServiceExt as _;

/// Writes down what it is told, and denies.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Policy for Notes {
    async fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(format!("received: {}", request.meta.received.is_some()));
        if let Some(http) = &request.meta.http {
            notes.push(format!("{} {}", http.method(), http.scheme()));
            notes.push(format!(
                "{:?} {} {:?}",
                http.host(),
                http.path(),
                http.query()
            ));
            let of_interest = |name: &str| name.starts_with("x-") || name.contains("auth");
            for (name, value) in http.headers() {
                if of_interest(name) {
                    notes.push(format!("{name}: {value}"));
                }
            }
        }
        assert!(!format!("{:?}", request.meta).contains("secret"));
        Decision::deny()
    }
}

/// Something to ask about.
struct Look;

impl TypedTool for Look {
    const NAME: &'static str = "look";
    const DESCRIPTION: &'static str = "Looks.";
    type Args = NoArguments;
    type Output = &'static str;

    async fn call(&self, _: &CallContext, _: NoArguments) -> Result<&'static str, ToolError> {
        Ok("seen")
    }
}

#[tokio::test]
async fn a_policy_sees_the_request_and_no_credential() {
    let notes = Notes::default();
    let gateway = Gateway::builder()
        .tool(Look)
        .policy(notes.clone())
        .build()
        .unwrap();
    let config = HttpConfig::default().with_guard(Guard::new().with_host("gw.example"));
    let app = Router::new().nest("/mcp", router(gateway, config));
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look","arguments":{},
        "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
                 "io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let request = Request::post("/mcp?tenant=a")
        .header(header::HOST, "gw.example")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .header("MCP-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", "tools/call")
        .header("Mcp-Name", "look")
        .header("X-Tenant", "acme")
        .header("Cookie", "x-secret")
        .header("Proxy-Authorization", "Basic secret")
        .body(Body::from(body))
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let notes = notes.0.lock().unwrap();
    let expected = [
        "received: true",
        "POST http",
        r#"Some("gw.example") /mcp Some("tenant=a")"#,
        "x-tenant: acme",
    ];
    assert_eq!(*notes, expected);
}
