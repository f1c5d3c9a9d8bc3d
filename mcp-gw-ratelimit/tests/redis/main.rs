//! The Redis store on servers that come and go, are slow, full, read-only or somebody else's.

#![cfg(test)]

mod faults;
mod fleet;
mod flows;
mod shared;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::SystemClock;
use mcp_gw_ratelimit::redis::{FailureKind, RedisConfig, RedisStore};
use mcp_gw_ratelimit::{Algorithm, Demand, Key, Limit, MemoryStore, Standing, Store};

/// A time that no test waits for: whoever fails this late hangs.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn store(config: &RedisConfig) -> RedisStore {
    let local = Arc::new(MemoryStore::default());
    RedisStore::new(config, local, Arc::new(SystemClock::new())).unwrap()
}

/// `quota` in an hour.
pub(crate) fn hourly(quota: u64) -> Limit {
    let hour = Duration::from_secs(3_600);
    Limit::new("hourly", quota, hour, Algorithm::SlidingWindow).unwrap()
}

pub(crate) fn key(n: u8) -> Key {
    Key::from_bytes([n; 16])
}

/// Charges one unit.
pub(crate) async fn charge(store: &RedisStore, limit: &Limit, n: u8) -> Option<Standing> {
    let demands = [Demand::new(limit, key(n), 1)];
    let answer = tokio::time::timeout(LONG, store.charge(&demands)).await;
    answer.expect("a decision never hangs").ok().map(|it| it[0])
}

/// Charges one unit `times` times, and counts how often it was admitted.
pub(crate) async fn admitted(store: &RedisStore, limit: &Limit, n: u8, times: usize) -> usize {
    let mut count = 0;
    for _ in 0..times {
        count += usize::from(charge(store, limit, n).await.is_some_and(|it| it.admitted));
    }
    count
}

pub(crate) async fn connected(store: &RedisStore) {
    let connected = tokio::time::timeout(LONG, store.connected()).await;
    connected.expect("it connects by itself");
}

/// How many questions failed for this reason.
pub(crate) fn failures(store: &RedisStore, kind: FailureKind) -> u64 {
    let stats = store.redis_stats();
    let found = stats.failures.iter().find(|(one, _)| *one == kind);
    found.map_or(0, |(_, count)| *count)
}
