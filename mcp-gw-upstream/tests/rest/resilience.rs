//! What happens when an API fails: again, elsewhen, or not at all.

use std::time::Duration;

use mcp_gw_core::ToolAnnotations;
use mcp_gw_core::testing::ManualClock;
use mcp_gw_upstream::rest::{ApiRetries, ApiServer, BreakerConfig, ToolConfig};
use serde_json::json;

use super::*;
use crate::raw::{Reply, answer, ok};

const SOON: Duration = Duration::from_secs(5);

fn off() -> BreakerConfig {
    BreakerConfig::new(0, SOON, 1)
}

fn failing(times: usize, status: &'static str) -> impl Fn(usize, &[u8]) -> Reply + Send + Sync {
    move |n, _| {
        if n < times {
            answer(status, &[], b"")
        } else {
            ok("{}")
        }
    }
}

#[tokio::test]
async fn what_may_be_sent_twice_is_sent_again() {
    for (method, status, sent, told) in [
        ("GET", "503 Service Unavailable", 3, 200),
        ("PUT", "502 Bad Gateway", 3, 200),
        ("DELETE", "429 Too Many Requests", 3, 200),
        ("POST", "503 Service Unavailable", 1, 503),
        ("GET", "500 Internal Server Error", 1, 500),
        ("GET", "404 Not Found", 1, 404),
    ] {
        let server = Raw::start(failing(2, status)).await;
        let setup = Setup::of(server, |config| {
            let retries = ApiRetries::new(3, 20, SOON);
            config.with_retries(retries).with_breaker(off())
        });
        let shown = setup.ask(json!({"endpoint": "/", "method": method})).await;
        assert_eq!(shown["status"], told, "{method} {status}");
        assert_eq!(setup.server.requests().len(), sent, "{method} {status}");
    }
}

#[tokio::test]
async fn a_tool_that_is_said_to_do_harm_twice_is_sent_once() {
    let said = |destructive, idempotent| {
        let mut hints = ToolAnnotations::default();
        (hints.destructive_hint, hints.idempotent_hint) = (destructive, idempotent);
        hints
    };
    for (method, annotations, sent) in [
        ("DELETE", None, 2),
        ("DELETE", Some(said(None, None)), 2),
        ("DELETE", Some(said(Some(true), None)), 1),
        ("GET", Some(said(Some(true), Some(false))), 1),
        ("PUT", Some(said(None, Some(false))), 1),
        ("PUT", Some(said(Some(false), Some(true))), 2),
        ("POST", Some(said(Some(false), Some(true))), 1),
    ] {
        let server = Raw::start(failing(9, "503 Service Unavailable")).await;
        let config = ApiConfig::new("things", rules(&server)).with_breaker(off());
        let mut tool = ToolConfig::new("it", "Does it.", method, "/it");
        tool.annotations.clone_from(&annotations);
        let api = api(config, None, Arc::new(SystemClock::new()));
        let tools = ApiServer::new(api, [tool.build().unwrap()], None).unwrap();
        let output = tools.call_tool(&of("bob"), call("it", "{}")).await.unwrap();
        let result = output.as_raw().to_value().unwrap();
        assert_eq!(result["structuredContent"]["status"], 503);
        let seen = server.requests().len();
        assert_eq!(seen, sent, "{method} {annotations:?}");
    }
}

#[tokio::test]
async fn an_api_that_says_when_is_asked_then_or_not_at_all() {
    let later = |seconds: &'static str| {
        move |n: usize, _: &[u8]| match n {
            0 => answer("429 Too Many Requests", &[("retry-after", seconds)], b""),
            _ => ok("{}"),
        }
    };
    for (seconds, sent, told) in [
        ("0", 2, 200),
        ("60", 1, 429),
        ("-1", 2, 200),
        ("99999999999999999999", 1, 429),
        // A date, long gone or far away.
        ("Sun, 06 Nov 1994 08:49:37 GMT", 2, 200),
        ("Fri, 06 Nov 2893 08:49:37 GMT", 1, 429),
        ("next week", 2, 200),
    ] {
        let setup = Setup::of(Raw::start(later(seconds)).await, |config| config);
        let shown = setup.get("/").await;
        assert_eq!(shown["status"], told, "{seconds}");
        assert_eq!(setup.server.requests().len(), sent, "{seconds}");
        if told == 429 {
            assert_eq!(shown["headers"]["retry-after"], seconds);
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again_where_that_is_safe() {
    let breaks = |n: usize, _: &[u8]| match n {
        0 => Reply::raw("").close(),
        _ => ok("{}"),
    };
    for (method, told, sent) in [("GET", None, 2), ("POST", Some("upstream_unreachable"), 1)] {
        let setup = Setup::of(Raw::start(breaks).await, |config| {
            config.with_breaker(off())
        });
        let shown = setup.ask(json!({"endpoint": "/", "method": method})).await;
        assert_eq!(shown["code"].as_str(), told, "{shown}");
        assert_eq!(setup.server.requests().len(), sent);
    }
}

#[tokio::test]
async fn an_api_that_is_not_there_is_told_without_its_address() {
    let server = Raw::start(|_, _| ok("")).await;
    let port = server.port();
    let setup = Setup::of(server, |config| {
        config.with_breaker(BreakerConfig::new(3, SOON, 1))
    });
    let Setup { server, tool, base } = setup;
    drop(server);
    let arguments = json!({"api": base, "endpoint": "/", "method": "POST"}).to_string();
    let mut codes = Vec::new();
    // The port is free once the task that held it is gone.
    for _ in 0..3 {
        let output = tool
            .call_tool(&of("bob"), call("api_gateway", &arguments))
            .await
            .unwrap();
        let result = output.as_raw().to_value().unwrap();
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(
            !text.contains(&port.to_string()) && !text.contains("127.0.0.1"),
            "{text}"
        );
        codes.push(result["structuredContent"]["code"].clone());
    }
    assert_eq!(codes, vec![json!("upstream_unreachable"); 3]);
}

#[tokio::test]
async fn an_api_that_fails_is_left_alone_and_tried_again() {
    let clock = Arc::new(ManualClock::new());
    let server = Raw::start(failing(3, "500 Oh")).await;
    let setup = Setup::at(Arc::clone(&clock) as _, server, |config| {
        config.with_breaker(BreakerConfig::new(3, SOON, 1))
    });
    for _ in 0..3 {
        assert_eq!(setup.get("/").await["status"], 500);
    }
    let shown = setup.get("/").await;
    assert_eq!(shown["code"], "upstream_unreachable");
    assert_eq!(shown["retry_after_ms"], 5_000);
    assert_eq!(setup.server.requests().len(), 3);
    clock.advance(SOON);
    assert_eq!(setup.get("/").await["status"], 200);
    assert_eq!(setup.get("/").await["status"], 200);
}

#[tokio::test]
async fn too_slow_is_too_late() {
    let server = Raw::start(|_, _| Reply::raw("").hang()).await;
    let setup = Setup::of(server, |config| config.with_breaker(off()));
    let shown = setup
        .ask(json!({"endpoint": "/", "method": "GET", "timeout_ms": 50}))
        .await;
    assert_eq!(shown["code"], "upstream_timeout");
    // The body counts, too.
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc";
    let server = Raw::start(move |_, _| Reply::raw(head).hang()).await;
    let setup = Setup::of(server, |config| config.with_breaker(off()));
    let shown = setup
        .ask(json!({"endpoint": "/", "method": "GET", "timeout_ms": 50}))
        .await;
    assert_eq!(shown["code"], "upstream_timeout");
}

#[tokio::test]
async fn so_many_are_under_way_and_the_rest_wait() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    // Who has no answer yet is under way.
    static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
    let server = Raw::start(|_, _| {
        UNDER_WAY.fetch_add(1, Ordering::SeqCst);
        Reply::raw("").hang()
    })
    .await;
    let setup = Setup::of(server, |config| {
        config.with_max_concurrent(Some(2)).with_breaker(off())
    });
    let ask = |time: u32| {
        let arguments = json!({"endpoint": "/", "method": "POST", "timeout_ms": time});
        setup.ask(arguments)
    };
    let all = tokio::join!(ask(400), ask(400), ask(100));
    for shown in [all.0, all.1] {
        assert_eq!(shown["code"], "upstream_timeout");
    }
    // The third waited for as long as it had, and was not sent.
    assert_eq!(all.2["code"], "rate_limited");
    assert_eq!(all.2["retry_after_ms"], 1_000);
    assert_eq!(UNDER_WAY.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_impatience_of_one_caller_does_not_shut_an_api_for_all() {
    let slow = |_: usize, asked: &[u8]| {
        if asked.starts_with(b"GET /v1/slow") {
            Reply::raw("").hang()
        } else {
            ok("{}")
        }
    };
    let setup = Setup::of(Raw::start(slow).await, |config| {
        config.with_breaker(BreakerConfig::new(2, SOON, 1))
    });
    for _ in 0..4 {
        let shown = setup
            .ask(json!({"endpoint": "/slow", "method": "GET", "timeout_ms": 20}))
            .await;
        assert_eq!(shown["code"], "upstream_timeout");
    }
    assert_eq!(setup.get("/fast").await["status"], 200);
}

#[tokio::test]
async fn an_api_that_lets_its_own_time_pass_fails() {
    let server = Raw::start(|_, _| Reply::raw("").hang()).await;
    let setup = Setup::of(server, |config| {
        let config = config.with_timeout(Duration::from_millis(300));
        config.with_breaker(BreakerConfig::new(2, SOON, 1))
    });
    for _ in 0..2 {
        assert_eq!(setup.get("/").await["code"], "upstream_timeout");
    }
    let shown = setup.get("/").await;
    assert_eq!(shown["code"], "upstream_unreachable");
    assert_eq!(setup.server.requests().len(), 2);
}
