//! Who gets a call.

use mcp_gw_core::Backend as _;
use mcp_gw_core::testing::backend_contract;
use mcp_gw_upstream::{Balanced, Strategy};

use crate::fake::{Fake, Mood, call, call_as, config, settle, started};

async fn who(backend: &Balanced, calls: usize) -> String {
    let mut who = String::new();
    for _ in 0..calls {
        who += &call(backend, "look").await.unwrap();
    }
    who
}

#[tokio::test(start_paused = true)]
async fn replicas_are_one_backend() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let backend = started(config(), [&a, &b]).await;
    backend_contract(&*backend).await;
}

#[tokio::test(start_paused = true)]
async fn calls_go_round() {
    let (a, b, c) = (Fake::new("a"), Fake::new("b"), Fake::new("c"));
    let backend = started(config(), [&a, &b, &c]).await;
    assert_eq!(who(&backend, 6).await, "abcabc");
}

#[tokio::test(start_paused = true)]
async fn who_is_busy_gets_less() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let config = config().with_strategy(Strategy::LeastConnections);
    let backend = started(config, [&a, &b]).await;
    a.set(Mood::Busy);
    let busy = std::sync::Arc::clone(&backend);
    let busy = tokio::spawn(async move { call(&busy, "look").await });
    settle().await;
    assert_eq!(who(&backend, 4).await, "bbbb");
    assert_eq!(backend.status()[0].in_flight, 1);
    a.set(Mood::Well);
    a.let_go(1);
    assert_eq!(busy.await.unwrap().unwrap(), "a");
    assert_eq!(backend.status()[0].in_flight, 0);
    assert_eq!(who(&backend, 4).await, "abab");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_is_not_counted_for_ever() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let backend = started(config(), [&a, &b]).await;
    a.set(Mood::Busy);
    let task = std::sync::Arc::clone(&backend);
    let task = tokio::spawn(async move { call(&task, "look").await });
    settle().await;
    assert_eq!(backend.status()[0].in_flight, 1);
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(backend.status()[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_keeps_its_replica_by_hash_and_by_memory() {
    let hashed = config().with_strategy(Strategy::Consistent);
    for config in [hashed, config().with_sticky(true)] {
        let fakes = [Fake::new("a"), Fake::new("b"), Fake::new("c")];
        let backend = started(config, fakes.each_ref()).await;
        let mut homes = Vec::new();
        for caller in ["alice", "bob", "carol", "dave"] {
            let home = call_as(&backend, caller, "look").await.unwrap();
            for _ in 0..5 {
                assert_eq!(call_as(&backend, caller, "look").await.unwrap(), home);
            }
            homes.push((caller, home));
        }
        // The replica of the first is lost: others stay where they are.
        let lost = homes[0].1.clone();
        let index = ["a", "b", "c"]
            .iter()
            .position(|label| *label == lost)
            .unwrap();
        fakes[index].set(Mood::Unreachable);
        for (caller, home) in &homes {
            let now = call_as(&backend, caller, "look").await.unwrap();
            assert_ne!(now, lost);
            assert!(*home == lost || now == *home, "{caller} moved without need");
        }
        backend.close().await;
    }
}
