//! What goes wrong with one server, and how it is mended.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use mcp_gw_ratelimit::redis::{FailureKind, OnError, RedisConfig};
use mcp_gw_ratelimit::{Algorithm, Demand, Limit, MemoryStore, Period, Store};
use tokio::time::{Instant, timeout};

use crate::support::Server;
use crate::support::proxy::Proxy;
use crate::{LONG, admitted, charge, connected, failures, hourly, key, store};

fn config(server: &Server) -> RedisConfig {
    RedisConfig::new(server.url())
        .with_timeout(Duration::from_secs(5))
        .with_on_error(OnError::Deny, 1)
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_used_when_it_comes() {
    for (on_error, expected) in [
        (OnError::Deny, 0),
        (OnError::Allow, 20),
        (OnError::Local, 3),
    ] {
        let Some(mut server) = Server::start(&[]) else {
            return;
        };
        server.kill();
        let store = store(&config(&server).with_on_error(on_error, 3));
        assert!(store.health().is_healthy, "nobody asked yet");
        assert!(store.connect().await.is_err());
        let limit = hourly(10);
        assert_eq!(
            admitted(&store, &limit, 1, 20).await,
            expected,
            "{on_error:?}"
        );
        let health = store.health();
        assert!(!health.is_healthy && !health.is_connected);
        assert!(health.failing_for.is_some());
        assert_eq!(health.on_error, on_error);
        assert!(!store.stats().healthy);
        let fallbacks = if on_error == OnError::Deny { 0 } else { 20 };
        assert_eq!(store.stats().fallbacks, fallbacks);

        server.restart();
        connected(&store).await;
        assert!(store.health().is_healthy, "{:?}", store.health());
        assert_eq!(admitted(&store, &limit, 1, 20).await, 10, "{on_error:?}");
        assert_eq!(store.health().failure, None);
    }
}

#[tokio::test]
async fn a_server_that_dies_is_found_again() {
    let Some(mut server) = Server::start(&[]) else {
        return;
    };
    let store = store(&config(&server).with_on_error(OnError::Local, 2));
    let limit = hourly(10);
    assert_eq!(admitted(&store, &limit, 1, 4).await, 4);
    server.kill();
    // The share of one gateway out of two, whatever was used before.
    assert_eq!(admitted(&store, &limit, 1, 20).await, 5);
    assert!(!store.health().is_connected);
    server.restart();
    connected(&store).await;
    assert_eq!(admitted(&store, &limit, 1, 20).await, 10);
    assert_eq!(store.redis_stats().connections, 2);
}

#[tokio::test]
async fn a_server_that_is_silent_makes_nobody_wait_for_long() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.socket()).await;
    let patience = Duration::from_millis(200);
    let mut config = RedisConfig::new(proxy.url())
        .with_timeout(patience)
        .with_on_error(OnError::Local, 1);
    config.connect_timeout = patience.into();
    let store = store(&config);
    connected(&store).await;
    let limit = hourly(5);
    assert_eq!(admitted(&store, &limit, 1, 2).await, 2);

    proxy.stall();
    let start = Instant::now();
    assert_eq!(admitted(&store, &limit, 1, 3).await, 3);
    assert!(start.elapsed() >= patience);
    assert_eq!(failures(&store, FailureKind::Timeout), 3);
    // It is known to be away now. Three calls would take three times as long if they waited.
    let start = Instant::now();
    assert_eq!(admitted(&store, &limit, 1, 300).await, 2);
    assert!(start.elapsed() < 100 * patience, "{:?}", start.elapsed());
    assert_eq!(failures(&store, FailureKind::Timeout), 3);
    assert_eq!(failures(&store, FailureKind::Unreachable), 300);

    proxy.go_on();
    connected(&store).await;
    // Redis knows of the calls whose answers came too late: three at most.
    let left = admitted(&store, &limit, 1, 20).await;
    assert!(left <= 3, "{left}");
    assert!(store.health().is_healthy);
}

#[tokio::test]
async fn calls_beyond_the_bound_wait_for_their_turn() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.socket()).await;
    let config = RedisConfig::new(proxy.url())
        .with_timeout(Duration::from_secs(10))
        .with_max_in_flight(1)
        .with_on_error(OnError::Deny, 1);
    let store = store(&config);
    connected(&store).await;
    proxy.stall();
    let limit = hourly(5);
    let first = async { charge(&store, &limit, 1).await };
    let second = async { charge(&store, &limit, 1).await };
    let third = async {
        // Polled after the others, of which one has the only place by then.
        assert_eq!(store.redis_stats().in_flight, 1);
        proxy.go_on();
    };
    let (first, second, ()) = tokio::join!(biased; first, second, third);
    assert_eq!(first.unwrap().remaining, 4);
    assert_eq!(second.unwrap().remaining, 3);
    assert_eq!(store.redis_stats().in_flight, 0);
    assert_eq!(store.stats().errors, 0);
}

/// More calls at once than can be answered within the timeout, and a caller who has nothing to do
/// with them.
#[tokio::test]
async fn a_flood_of_one_caller_is_no_outage() {
    const FLOOD: usize = 6_000;
    for on_error in [OnError::Allow, OnError::Local, OnError::Deny] {
        let Some(server) = Server::start(&[]) else {
            return;
        };
        // A timeout far below what the flood takes, and above what a busy machine adds to one answer.
        let config = RedisConfig::new(server.url())
            .with_timeout(Duration::from_millis(250))
            .with_on_error(on_error, 1);
        let store = Arc::new(store(&config));
        connected(&store).await;
        let mut flood = tokio::task::JoinSet::new();
        for _ in 0..FLOOD {
            let store = Arc::clone(&store);
            flood.spawn(async move {
                let it = charge(&store, &hourly(10), 1).await;
                it.is_some_and(|standing| standing.admitted)
            });
        }
        let limit = hourly(1_000);
        let mut bob = 0;
        while flood.len() > FLOOD / 2 {
            bob += 1;
            let standing = charge(&store, &limit, 2).await;
            let stats = store.redis_stats();
            assert_eq!(
                standing.unwrap().remaining,
                1_000 - bob,
                "{on_error:?} {stats:?}"
            );
            while flood.try_join_next().is_some_and(|one| !one.unwrap()) {}
        }
        drop(flood.join_all().await);
        assert!(bob >= 2, "he came to his turns in time: {bob}");
        assert_eq!(
            store.stats().errors,
            0,
            "{on_error:?} {:?}",
            store.redis_stats()
        );
        assert_eq!(store.stats().fallbacks, 0, "{on_error:?}");
        assert_eq!(store.redis_stats().connections, 1);
        let limit = hourly(10);
        assert!(!charge(&store, &limit, 1).await.unwrap().admitted);
    }
}

#[tokio::test]
async fn a_server_that_drops_keys_is_still_used() {
    let arguments = &["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"];
    let Some(server) = Server::start(arguments) else {
        return;
    };
    let store = store(&config(&server));
    assert_eq!(charge(&store, &hourly(5), 1).await.unwrap().remaining, 4);
    assert_eq!(server.calls_of("info"), 1, "it was asked what it does");
}

#[tokio::test]
async fn a_decision_that_is_given_up_disturbs_no_other() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.socket()).await;
    let mut config = config(&server);
    config.url = proxy.url();
    let store = store(&config);
    connected(&store).await;
    proxy.stall();
    let limit = hourly(5);
    for _ in 0..3 {
        let given_up = timeout(Duration::from_millis(20), charge(&store, &limit, 1)).await;
        assert!(given_up.is_err());
    }
    assert_eq!(store.redis_stats().in_flight, 0);
    proxy.go_on();
    // Answers of those that were given up are not taken for answers of these.
    let other = hourly(100);
    for left in (90..100).rev() {
        assert_eq!(charge(&store, &other, 2).await.unwrap().remaining, left);
    }
    assert_eq!(store.redis_stats().connections, 1);
    assert!(charge(&store, &limit, 1).await.unwrap().remaining <= 4);
}

#[tokio::test]
async fn a_full_server_refuses_and_is_used_again_when_it_has_room() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let store = store(&config(&server));
    let (limit, all) = (hourly(5), hourly(100));
    assert_eq!(admitted(&store, &limit, 1, 2).await, 2);
    server.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(charge(&store, &limit, 2).await, None);
    let both = [Demand::new(&all, key(3), 1), Demand::new(&limit, key(4), 1)];
    assert!(store.charge(&both).await.is_err());
    assert_eq!(failures(&store, FailureKind::OutOfMemory), 2);
    assert!(!store.health().is_healthy);
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    // Nothing of what failed was charged.
    assert_eq!(charge(&store, &limit, 2).await.unwrap().remaining, 4);
    let standings = store.charge(&both).await.unwrap();
    assert_eq!(standings[0].remaining, 99);
    assert_eq!(standings[1].remaining, 4);
    assert!(store.health().is_healthy);
    assert_eq!(store.redis_stats().connections, 1);
}

#[tokio::test]
async fn a_script_that_was_flushed_is_loaded_anew() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let store = store(&config(&server));
    let limit = hourly(5);
    assert_eq!(admitted(&store, &limit, 1, 2).await, 2);
    for flushed in 1..=2 {
        server.command::<()>(&["SCRIPT", "FLUSH"]);
        assert!(charge(&store, &limit, 1).await.unwrap().admitted);
        assert_eq!(store.redis_stats().reloads, flushed);
    }
    assert_eq!(admitted(&store, &limit, 1, 5).await, 1);
    assert_eq!(store.redis_stats().reloads, 2);
    assert!(store.health().failure.is_none());
}

#[tokio::test]
async fn a_replica_does_not_decide_until_it_may_write() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    // Of a primary that does not exist.
    server.command::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    let store = store(&config(&server));
    let limit = hourly(5);
    assert_eq!(charge(&store, &limit, 1).await, None);
    assert_eq!(failures(&store, FailureKind::ReadOnly), 1);
    assert!(!store.health().is_healthy);
    server.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    connected(&store).await;
    assert_eq!(charge(&store, &limit, 1).await.unwrap().remaining, 4);
    assert!(store.health().is_healthy);
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let Some(server) = Server::start(&["--requirepass", "correct-horse"]) else {
        return;
    };
    let limit = hourly(5);
    for wrong in [
        config(&server),
        config(&server).with_password("battery-staple"),
    ] {
        let store = store(&wrong);
        assert_eq!(charge(&store, &limit, 1).await, None);
        assert_eq!(charge(&store, &limit, 1).await, None);
        let health = store.health();
        let (kind, text) = health.failure.clone().unwrap();
        assert_eq!(kind, FailureKind::Auth, "{text}");
        assert!(!health.is_healthy);
        let shown = format!("{store:?} {health:?} {:?}", store.redis_stats());
        assert!(!shown.contains("battery-staple"), "{shown}");
    }
    let store = store(&config(&server).with_password("correct-horse"));
    assert_eq!(charge(&store, &limit, 1).await.unwrap().remaining, 4);
    assert!(!format!("{store:?}").contains("correct-horse"));
}

#[tokio::test]
async fn a_key_of_somebody_else_is_left_alone_and_nothing_is_charged() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let store = store(&config(&server));
    let limit = hourly(5);
    let foreign = format!("{{mcp-gw}}:{}:w", key(2));
    server.command::<()>(&["SET", &foreign, "mine"]);
    let both = [
        Demand::new(&limit, key(1), 1),
        Demand::new(&limit, key(2), 1),
    ];
    assert!(store.charge(&both).await.is_err());
    assert_eq!(failures(&store, FailureKind::Foreign), 1);
    assert_eq!(server.command::<String>(&["GET", &foreign]), "mine");
    assert_eq!(charge(&store, &limit, 1).await.unwrap().remaining, 4);
    assert_eq!(store.redis_stats().connections, 1);
    store.reset(&both).await.unwrap();
    assert_eq!(server.command::<u64>(&["DBSIZE"]), 0);
}

#[tokio::test]
async fn what_counts_beside_another_store_uses_up_nothing_of_it() {
    let config = RedisConfig::new("redis+unix:///nonexistent/s").with_on_error(OnError::Local, 1);
    let store = store(&config);
    let beside = store.beside(Arc::new(MemoryStore::default()));
    let limit = hourly(5);
    assert_eq!(admitted(&beside, &limit, 1, 9).await, 5);
    assert_eq!(admitted(&store, &limit, 1, 9).await, 5);
    assert_eq!(store.stats().fallbacks, 18, "the totals are of both");
    assert_eq!((store.stats().keys, beside.stats().keys), (1, 1));
}

#[tokio::test]
async fn nobody_waits_for_a_server_that_only_accepts() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = RedisConfig::new(format!("redis://{address}"))
        .with_timeout(Duration::from_millis(50))
        .with_on_error(OnError::Allow, 1);
    config.connect_timeout = Duration::from_millis(100).into();
    let store = store(&config);
    let limit = hourly(5);
    let calls = async { admitted(&store, &limit, 1, 10).await };
    assert_eq!(timeout(LONG, calls).await, Ok(10));
    assert_eq!(store.stats().fallbacks, 10);
}

/// Whatever counts: callers that have a count go on, and the others are what `on_error` says.
#[tokio::test]
async fn a_full_server_counts_on_for_those_it_knows() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let store = store(&config(&server));
    let hour = Duration::from_secs(3_600);
    let burst = NonZeroU64::new(5).unwrap();
    let limits = [
        hourly(5),
        hourly(600),
        Limit::new("bucket", 5, hour, Algorithm::gcra(burst)).unwrap(),
        Limit::new("day", 10, hour, Algorithm::Calendar(Period::Day)).unwrap(),
    ];
    // The third is refused: that it is charged all the same is a write of its own.
    let harsh = Limit::new("harsh", 10, hour, Algorithm::gcra(burst)).unwrap();
    let harsh = harsh.with_penalty(true);
    for (limit, n) in limits.iter().zip(0..).chain([(&harsh, 9)]) {
        assert!(charge(&store, limit, n).await.unwrap().admitted);
    }
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    for (limit, n) in limits.iter().zip(0..) {
        let mut before = charge(&store, limit, n).await.unwrap().remaining;
        while before > 0 {
            let now = charge(&store, limit, n).await.unwrap().remaining;
            assert_eq!(now, before - 1, "{limit:?}");
            before = now;
        }
        assert!(!charge(&store, limit, n).await.unwrap().admitted);
        assert_eq!(charge(&store, limit, n + 100).await, None, "{limit:?}");
    }
    let too_much = [Demand::new(&harsh, key(9), 15)];
    assert!(!store.charge(&too_much).await.unwrap()[0].admitted);
    assert_eq!(charge(&store, &harsh, 9).await.unwrap().remaining, 0);
    let errors = limits.len() as u64;
    assert_eq!(failures(&store, FailureKind::OutOfMemory), errors);
    // A new count beside one that is known, in either order: who is known goes on.
    let long = Limit::new("long", 1_000, hour, Algorithm::gcra(burst)).unwrap();
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(charge(&store, &long, 50).await.unwrap().admitted);
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    for (n, new_first) in [(51, false), (52, true)] {
        let mut both = [
            Demand::new(&long, key(50), 1),
            Demand::new(&limits[3], key(n), 1),
        ];
        if new_first {
            both.reverse();
        }
        let standings = store.charge(&both).await.unwrap();
        assert!(standings.iter().all(|it| it.admitted), "{standings:?}");
    }
    // Of two that are new neither is left behind.
    let both = [53, 54].map(|n| Demand::new(&limits[2], key(n), 1));
    assert!(store.charge(&both).await.is_err());
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    for n in [53, 54] {
        let found = store.peek(&[Demand::new(&limits[2], key(n), 1)]).await;
        assert_eq!(found.unwrap()[0].reset, Duration::ZERO);
    }
}

#[tokio::test]
async fn a_user_with_the_least_rights_is_enough() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    // The list of the module's documentation.
    let rights = "+evalsha +eval +script|load +time +llen +lrange +ltrim +lset +rpop +rpush +del \
                  +hmget +hset +pexpire";
    let mut user = vec![
        "ACL",
        "SETUSER",
        "gw",
        "on",
        ">s3cret",
        "~{mcp-gw}:*",
        "-@all",
    ];
    user.extend(rights.split_whitespace());
    server.command::<()>(&user);
    let mut config = config(&server).with_password("s3cret");
    config.username = Some("gw".to_owned());
    let store = store(&config);
    let penalty = |quota, algorithm| {
        let hour = Duration::from_secs(3_600);
        Limit::new("l", quota, hour, algorithm)
            .unwrap()
            .with_penalty(true)
    };
    let limits = [
        penalty(2, Algorithm::SlidingWindow),
        penalty(300, Algorithm::SlidingWindow),
        penalty(5, Algorithm::gcra(NonZeroU64::MIN)),
        penalty(5, Algorithm::Calendar(Period::Day)),
    ];
    for cost in [1, 2, 3, 2, 300] {
        let each = limits
            .iter()
            .zip(0..)
            .map(|(limit, n)| Demand::new(limit, key(n), cost));
        let demands: Vec<_> = each.collect();
        store.charge(&demands).await.unwrap();
        store.peek(&demands).await.unwrap();
    }
    server.command::<()>(&["SCRIPT", "FLUSH"]);
    assert!(charge(&store, &limits[0], 9).await.unwrap().admitted);
    store
        .reset(&[Demand::new(&limits[0], key(0), 1)])
        .await
        .unwrap();
    assert_eq!(store.stats().errors, 0);

    let elsewhere = crate::store(&config.with_prefix("elsewhere"));
    assert_eq!(charge(&elsewhere, &limits[0], 1).await, None);
    assert_eq!(failures(&elsewhere, FailureKind::Refused), 1);
}
