//! Gateways that share a server, or a cluster.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::testing::{self, ManualClock, rate_limiter_contract};
use mcp_gw_core::{Caller, CallerKind, Clock, RateLimiter, RequestMeta, SystemClock, Transport};
use mcp_gw_ratelimit::redis::{FailureKind, OnError, RedisConfig, RedisStore};
use mcp_gw_ratelimit::{
    Algorithm, Demand, Limit, LimitSet, Limiter, LimitsConfig, MemoryStore, Period, Store,
};

use crate::support::{Program, Server};
use crate::{admitted, charge, connected, failures, hourly, key, store};

fn config(server: &Server) -> RedisConfig {
    RedisConfig::new(server.url())
        .with_timeout(Duration::from_secs(5))
        .with_on_error(OnError::Deny, 1)
}

async fn is_shared_on(program: Program) {
    let Some(server) = Server::start_program(program, &[]) else {
        return;
    };
    let (one, other) = (store(&config(&server)), store(&config(&server)));
    let elsewhere = store(&config(&server).with_prefix("elsewhere"));
    let limit = hourly(5);
    assert_eq!(admitted(&one, &limit, 1, 3).await, 3);
    assert_eq!(admitted(&other, &limit, 1, 9).await, 2);
    assert_eq!(admitted(&one, &limit, 1, 9).await, 0);
    assert_eq!(admitted(&elsewhere, &limit, 1, 9).await, 5);
    let demands = [Demand::new(&limit, key(1), 1)];
    let peeked = other.peek(&demands).await.unwrap()[0];
    assert_eq!((peeked.admitted, peeked.remaining), (false, 0));
    other.reset(&demands).await.unwrap();
    assert_eq!(admitted(&one, &limit, 1, 9).await, 5);
    assert!(one.is_shared());
}

#[tokio::test]
async fn gateways_count_together_on_redis() {
    is_shared_on(Program::Redis).await;
}

#[tokio::test]
async fn gateways_count_together_on_valkey() {
    is_shared_on(Program::Valkey).await;
}

#[tokio::test]
async fn a_limiter_on_redis_keeps_the_contract() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let set = || LimitSet::new(&LimitsConfig::per_minute(20)).unwrap();
    let limiter = Limiter::new(set(), Arc::new(store(&config(&server))));
    rate_limiter_contract(&limiter).await;

    // Another gateway knows the same callers by the same keys.
    let other = Limiter::new(set(), Arc::new(store(&config(&server))));
    let caller = Caller::new(CallerKind::ApiKey, "shared");
    let meta = RequestMeta::new("test", Transport::InProcess);
    let mut admitted = 0;
    for turn in 0..40 {
        let charge = testing::charge(&caller, &meta, "tools/call");
        let limiter = if turn % 2 == 0 { &limiter } else { &other };
        admitted += usize::from(limiter.admit(&charge).await.unwrap().is_admitted());
    }
    assert_eq!(admitted, 20);
}

#[tokio::test]
async fn the_clocks_of_gateways_do_not_matter() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let skewed = |by: Duration| {
        let clock = ManualClock::new();
        clock.advance(by);
        let local = Arc::new(MemoryStore::new(clock.clone()));
        RedisStore::new(&config(&server), local, Arc::new(clock)).unwrap()
    };
    let (one, other) = (
        skewed(Duration::ZERO),
        skewed(Duration::from_secs(1_000_000)),
    );
    let limit = hourly(5);
    assert_eq!(admitted(&other, &limit, 1, 4).await, 4);
    assert_eq!(admitted(&one, &limit, 1, 4).await, 1);
    let hour = Duration::from_secs(3_600);
    for store in [&one, &other] {
        let standing = charge(store, &limit, 1).await.unwrap();
        assert!(standing.retry_after.unwrap() <= hour + Duration::from_millis(1));
    }
}

#[tokio::test]
async fn a_decision_is_one_round_trip_and_all_or_nothing() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let store = store(&config(&server));
    connected(&store).await;
    let (narrow, wide) = (hourly(3), hourly(1_000));
    let burst = NonZeroU64::new(50).unwrap();
    let hour = Duration::from_secs(3_600);
    let bucket = Limit::new("bucket", 50, hour, Algorithm::gcra(burst)).unwrap();
    let monthly = Algorithm::Calendar(Period::Month);
    let month = Limit::new("month", 70, hour, monthly).unwrap();
    let demands = [
        Demand::new(&wide, key(1), 1),
        Demand::new(&narrow, key(2), 1),
        Demand::new(&bucket, key(3), 2),
        Demand::new(&month, key(4), 7),
    ];
    server.command::<()>(&["CONFIG", "RESETSTAT"]);
    for round in 1..=3 {
        let standings = store.charge(&demands).await.unwrap();
        assert!(standings.iter().all(|standing| standing.admitted));
        let left: Vec<_> = standings.iter().map(|it| it.remaining).collect();
        assert_eq!(
            left,
            [1_000 - round, 3 - round, 50 - 2 * round, 70 - 7 * round]
        );
    }
    for _ in 0..7 {
        let standings = store.charge(&demands).await.unwrap();
        let admits: Vec<_> = standings.iter().map(|it| it.admitted).collect();
        assert_eq!(admits, [true, false, true, true]);
        let left: Vec<_> = standings.iter().map(|it| it.remaining).collect();
        assert_eq!(left, [997, 0, 44, 49]);
    }
    assert_eq!(server.calls_of("evalsha"), 10);
    assert_eq!(server.calls_of("eval") + server.calls_of("script|load"), 0);
    assert_eq!(store.redis_stats().answered, 10);
}

#[tokio::test]
async fn keys_go_by_themselves_soon_after_they_stop_counting() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let store = store(&config(&server));
    let burst = NonZeroU64::new(600).unwrap();
    let minutes = Duration::from_secs(600);
    let sliding = |quota| Limit::new("l", quota, minutes, Algorithm::SlidingWindow).unwrap();
    let limits = [
        sliding(5),
        sliding(1_000),
        Limit::new("l", 600, minutes, Algorithm::gcra(burst)).unwrap(),
        Limit::new("l", 5, minutes, Algorithm::Calendar(Period::Day)).unwrap(),
    ];
    // In milliseconds: the window and one part, or what is used of the bucket and a second.
    let day = 86_400_000 + 3_600_001;
    let bounds = [
        (500_000, 600_002),
        (500_000, 620_002),
        (1, 2_002),
        (3_600_000, day),
    ];
    for ((n, limit), (least, most)) in (0..).zip(&limits).zip(bounds) {
        assert!(charge(&store, limit, n).await.unwrap().admitted);
        let kind = ["w", "w", "b", "c"][usize::from(n)];
        let name = format!("{{mcp-gw}}:{}:{kind}", key(n));
        let left: i64 = server.command(&["PTTL", &name]);
        assert!((least..=most).contains(&left), "{name} {left}");
    }
    assert_eq!(server.command::<usize>(&["DBSIZE"]), limits.len());
    // What is refused leaves no key behind.
    let dear = [Demand::new(&limits[0], key(9), 6)];
    assert!(!store.charge(&dear).await.unwrap()[0].admitted);
    assert_eq!(server.command::<usize>(&["DBSIZE"]), limits.len());
}

#[tokio::test]
async fn a_window_that_was_changed_forgives_nothing() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let store = store(&config(&server));
    let limit = |quota, seconds| {
        let window = Duration::from_secs(seconds);
        Limit::new("l", quota, window, Algorithm::SlidingWindow).unwrap()
    };
    assert_eq!(admitted(&store, &limit(5, 3_600), 1, 3).await, 3);
    // Times are kept in other units for each of these.
    assert_eq!(admitted(&store, &limit(5, 864_000), 1, 9).await, 2);
    assert_eq!(admitted(&store, &limit(1_000, 7_200), 1, 1_000).await, 995);
    assert_eq!(admitted(&store, &limit(1_010, 60), 1, 20).await, 10);
    assert_eq!(admitted(&store, &limit(5, 3_600), 1, 1).await, 0);
}

#[tokio::test]
async fn all_keys_of_a_fleet_are_in_one_slot_of_a_cluster() {
    let Some(server) = Server::start_on_port(&["--cluster-enabled", "yes"]) else {
        return;
    };
    server.command::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    until(|| {
        server
            .command::<String>(&["CLUSTER", "INFO"])
            .contains("cluster_state:ok")
    });
    let store = store(&config(&server));
    let limits = [hourly(5), hourly(1_000)];
    let demands: Vec<_> = (0..20)
        .map(|n| Demand::new(&limits[usize::from(n % 2)], key(n), 1))
        .collect();
    let standings = store.charge(&demands).await.unwrap();
    assert!(standings.iter().all(|standing| standing.admitted));
    let keys: Vec<String> = server.command(&["KEYS", "*"]);
    assert_eq!(keys.len(), demands.len());
    let slot = |name: &str| server.command::<u64>(&["CLUSTER", "KEYSLOT", name]);
    for name in &keys {
        assert_eq!(slot(name), slot("mcp-gw"), "{name}");
    }
}

#[tokio::test]
async fn the_keys_are_followed_to_their_node_of_a_cluster() {
    let cluster = &["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
    let Some(asked) = Server::start_on_port(cluster) else {
        return;
    };
    let holder = Server::start_on_port(cluster).unwrap();
    holder.command::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let port = holder.port().to_string();
    asked.command::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port]);
    for node in [&asked, &holder] {
        until(|| {
            let info = node.command::<String>(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:2")
        });
    }
    let store = store(&config(&asked));
    let limit = hourly(5);
    // From the first call on.
    assert_eq!(admitted(&store, &limit, 1, 9).await, 5);
    assert_eq!(failures(&store, FailureKind::Moved), 0);
    assert_eq!(holder.command::<u64>(&["DBSIZE"]), 1);
    assert!(store.health().is_healthy);
}

/// Asks until it is so.
fn until(mut is_so: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    let start = clock.now();
    while !is_so() {
        assert!(clock.now() - start < crate::LONG, "it never is");
        std::thread::yield_now();
    }
}
