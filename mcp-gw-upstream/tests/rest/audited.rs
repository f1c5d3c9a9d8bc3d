//! What the audit event says of a request to an API (C-19).

use std::time::Duration;

use mcp_gw_core::testing::RecordingAudit;
use mcp_gw_core::{
    AllowAll, Arguments, Gateway, Incoming, RawJson, RequestMeta, ToolCall, Transport,
};
use mcp_gw_upstream::rest::BreakerConfig;
use serde_json::{Value, json};

use super::*;
use crate::raw::{Reply, answer};

fn incoming() -> Incoming {
    let caller = Caller::new(CallerKind::User, "bob").with_issuer("https://login.example");
    Incoming::new(caller, RequestMeta::new("r1", Transport::InProcess))
}

fn asked(base: &str, endpoint: &str) -> ToolCall {
    let arguments: Value = json!({"api": base, "endpoint": endpoint, "method": "GET"});
    let arguments = RawJson::parse(arguments.to_string()).unwrap();
    ToolCall::new("api_gateway", Arguments::from_raw(arguments).unwrap())
}

#[tokio::test]
async fn an_event_says_what_a_request_came_to() {
    let server = Raw::start(|_, request| {
        if request.starts_with(b"GET /v1/slow") {
            return Reply::raw("HTTP/1.1 200 OK\r\n").forever();
        }
        if request.starts_with(b"GET /v1/down") {
            return answer("503 Service Unavailable", &[], b"");
        }
        answer("404 Not Found", &[("content-type", "text/plain")], b"none")
    })
    .await;
    let config = ApiConfig::new("things", rules(&server)).with_breaker(BreakerConfig::new(
        0,
        Duration::from_secs(1),
        1,
    ));
    let api = api(config, Some("token-of-all"), Arc::new(SystemClock::new()));
    let base = api.base();
    let tool = ApiGateway::new(ApiGatewayConfig::default(), [api], None).unwrap();
    let audit = RecordingAudit::new();
    let gateway = Gateway::builder()
        .backend(tool)
        .policy(AllowAll::new())
        .audit(audit.clone())
        .build()
        .unwrap();
    let incoming = incoming();
    for endpoint in ["/x?token=secret", "/../x", "/down"] {
        gateway
            .call_tool(&incoming, asked(&base, endpoint))
            .await
            .unwrap();
    }
    let slow = gateway.call_tool(&incoming, asked(&base, "/slow"));
    let is_sent = async {
        while server.requests().len() < 4 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = slow => panic!("it never answers"),
        () = is_sent => {}
    }
    let events = audit.events();
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!(&*event.caller_issuer, "https://login.example");
            assert_eq!(event.server.as_deref(), Some("things"));
            let it = event.exchange.as_ref().unwrap();
            assert_eq!(it.method, "GET");
            (
                &*it.path,
                it.status,
                it.code,
                it.attempts,
                event.backend_asked,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("/x", Some(404), None, 1, true),
            ("/../x", None, Some("endpoint_invalid"), 0, false),
            ("/down", Some(503), None, 2, true),
            ("/slow", None, None, 1, true),
        ]
    );
    assert_eq!(events[0].exchange.as_ref().unwrap().bytes, 4);
}
