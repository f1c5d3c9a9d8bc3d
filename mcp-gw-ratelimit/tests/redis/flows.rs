//! Callers that ask much beside callers that ask little, through one Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mcp_gw_core::{Caller, CallerKind, Charge, RateLimiter, RequestMeta, Transport};
use mcp_gw_ratelimit::redis::{OnError, RedisConfig};
use mcp_gw_ratelimit::{LimitSet, Limiter, LimitsConfig};

use crate::support::Server;
use crate::{connected, store};

/// A limiter that asks one question at a time.
async fn limiter(server: &Server, limits: &str) -> Limiter {
    let config = RedisConfig::new(server.url())
        .with_timeout(crate::LONG / 10)
        .with_max_in_flight(1)
        .with_on_error(OnError::Deny, 1);
    let store = store(&config);
    connected(&store).await;
    let config: LimitsConfig = serde_json::from_str(limits).unwrap();
    Limiter::new(LimitSet::new(&config).unwrap(), Arc::new(store))
}

async fn call(limiter: &Limiter, id: &str, tool: &str) -> bool {
    let caller = Caller::new(CallerKind::ApiKey, id);
    let meta = RequestMeta::new("1", Transport::Http);
    let charge = Charge::new(&caller, &meta, "tools/call").of(Some(tool), Some("s"));
    limiter.admit(&charge).await.unwrap().is_admitted()
}

/// How many calls of a flood of 500 are decided on before one of somebody else, who comes after them.
async fn before_bob(limits: &str) -> Option<usize> {
    let server = Server::start(&[])?;
    let limiter = limiter(&server, limits).await;
    let decided = Arc::new(AtomicUsize::new(0));
    let flood: Vec<_> = (0..500)
        .map(|n| {
            let (limiter, decided) = (limiter.clone(), Arc::clone(&decided));
            tokio::spawn(async move {
                call(&limiter, "mal", &format!("tool-{n}")).await;
                decided.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    // All of them are in line then, and hardly any is decided on.
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    let earlier = decided.load(Ordering::Relaxed);
    let bob = tokio::time::timeout(crate::LONG, call(&limiter, "bob", "tool"));
    assert!(bob.await.expect("a decision never hangs"));
    let between = decided.load(Ordering::Relaxed) - earlier;
    for one in flood {
        one.await.unwrap();
    }
    Some(between)
}

/// Whatever the limits count by, a line is a caller's.
#[tokio::test]
async fn a_flood_of_one_caller_does_not_hold_up_another() {
    for limits in [
        r#"{ "rules": [{ "name": "all", "per": "global", "quota": 5000, "window": "60s" }] }"#,
        r#"{ "rules": [{ "name": "all", "per": "server", "quota": 5000, "window": "60s" }] }"#,
        r#"{ "rules": [{ "name": "l", "per": "caller_and_tool", "quota": 5, "window": "60s" }] }"#,
        r#"{ "rules": [{ "name": "l", "per": "tool", "quota": 5, "window": "60s" }],
             "concurrent": [{ "name": "c", "per": "global", "max": 2 }] }"#,
    ] {
        let Some(between) = before_bob(limits).await else {
            return;
        };
        assert!(between < 50, "{between} calls came before: {limits}");
    }
}

/// Places are not held by calls that are refused, however long the answer takes.
#[tokio::test]
async fn who_is_over_a_quota_takes_no_place_from_others() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let limiter = limiter(
        &server,
        r#"{ "rules": [{ "name": "w", "quota": 1000, "window": "60s", "overrides": [
                 { "for": { "callers": [{ "id": "mal" }] }, "quota": 1 }] }],
             "concurrent": [{ "name": "c", "per": "server", "max": 4 }] }"#,
    );
    let limiter = limiter.await;
    assert!(call(&limiter, "mal", "tool").await);
    let flood: Vec<_> = (0..16)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                loop {
                    assert!(!call(&limiter, "mal", "tool").await);
                }
            })
        })
        .collect();
    for n in 0..200 {
        assert!(call(&limiter, "bob", "tool").await, "{n}");
    }
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}
