//! Any sequence of operations comes to the same in all stores.

use std::sync::Arc;

use mcp_gw_core::testing::ManualClock;
use mcp_gw_store::testing::random::{Player, Step};
use mcp_gw_store::{MemoryStore, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::open_at;
use crate::server::Server;

/// Plays the same in memory and in `store`, which is empty.
async fn play(steps: &[Step], store: &dyn Store, clock: ManualClock) -> Result<(), TestCaseError> {
    let here = ManualClock::new();
    let memory = MemoryStore::with_clock(Arc::new(here.clone()));
    let mut model = Player::new(&memory, here);
    let mut player = Player::new(store, clock);
    for (number, step) in steps.iter().enumerate() {
        let wanted = model.play(*step).await;
        let found = player.play(*step).await;
        prop_assert_eq!(found, wanted, "step {}: {:?}", number, step);
    }
    Ok(())
}

fn run(cases: u32, test: impl Fn(Vec<Step>) -> Result<(), TestCaseError>) {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let steps = proptest::collection::vec(any::<Step>(), 1..120);
    TestRunner::new(config).run(&steps, test).unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap()
}

#[test]
fn sqlite_does_what_memory_does() {
    run(100, |steps| {
        runtime().block_on(async {
            let (store, clock) = open_at("sqlite:///:memory:").await;
            play(&steps, &*store, clock).await
        })
    });
}

#[test]
fn postgres_does_what_memory_does() {
    let Some(server) = Server::start(&["-c", "synchronous_commit=off"]) else {
        return;
    };
    let names = std::sync::atomic::AtomicU32::new(0);
    run(20, |steps| {
        runtime().block_on(async {
            let number = names.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let url = server.database(&format!("model_{number}")).await;
            let (store, clock) = open_at(&url).await;
            let played = play(&steps, &*store, clock).await;
            store.close().await;
            played
        })
    });
}
