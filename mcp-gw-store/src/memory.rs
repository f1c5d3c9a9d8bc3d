//! State in the memory of this process: gone with it, and the measure for the other stores.

mod access;
mod ledger;
mod servers;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use mcp_gw_core::{Clock, SystemClock};

use crate::changes::{Bell, ChangeKind, Changes};
use crate::contract::{Counts, Store, StoreKind};
use crate::error::{Conflict, Result, StoreError};
use crate::values::{
    ApiKey, EventId, Instance, QuotaKey, Revision, ServerPins, ServerStatus, StoredEvent, Template,
    Time, User,
};

/// Audit events that are kept unless told otherwise: memory is not without end.
pub const MEMORY_EVENTS: u64 = 100_000;

/// A [`Store`] that keeps everything in the memory of this process.
///
/// Clones are the same store.
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    bell: Bell,
    clock: Arc<dyn Clock>,
}

/// All there is.
#[derive(Default)]
struct State {
    users: BTreeMap<i64, User>,
    /// Users by their names in lower case.
    usernames: HashMap<String, i64>,
    last_user: i64,
    keys: BTreeMap<i64, ApiKey>,
    public_ids: HashMap<String, i64>,
    last_key: i64,
    templates: BTreeMap<String, Template>,
    instances: BTreeMap<i64, Instance>,
    instance_ids: HashMap<String, i64>,
    last_instance: i64,
    quotas: BTreeMap<QuotaKey, (u64, Time)>,
    pins: BTreeMap<String, ServerPins>,
    secrets: BTreeMap<String, [u8; 32]>,
    revoked: BTreeMap<String, Time>,
    events: VecDeque<StoredEvent>,
    event_ids: std::collections::HashSet<EventId>,
    last_event: i64,
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock::new()))
    }

    /// An empty store on this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::default(),
            bell: Bell::new(),
            clock,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        self.0.clock.wall().into()
    }

    fn changed(&self, kind: ChangeKind) {
        self.0.bell.ring_once(kind);
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

/// The next number of a row.
const fn next(last: &mut i64) -> i64 {
    *last = last.saturating_add(1);
    *last
}

fn expect(expected: Option<Revision>, found: Revision) -> Result<()> {
    if expected.is_none_or(|expected| expected == found) {
        return Ok(());
    }
    Err(StoreError::conflict(Conflict::Revision))
}

#[async_trait]
impl Store for MemoryStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Memory
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn changes(&self) -> Changes {
        self.0.bell.listen()
    }

    async fn counts(&self) -> Result<Counts> {
        let state = self.state();
        let superusers = state.users.values();
        let superusers = superusers.filter(|user| user.is_active && user.is_superuser);
        let healthy = state.instances.values().filter(|instance| {
            instance.spec.is_active && instance.health.status == ServerStatus::Healthy
        });
        Ok(Counts {
            users: count(state.users.len()),
            active_superusers: count(superusers.count()),
            keys: count(state.keys.len()),
            templates: count(state.templates.len()),
            instances: count(state.instances.len()),
            healthy_instances: count(healthy.count()),
        })
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) {}
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::testing::ManualClock;

    use super::*;
    use crate::testing::store_contract;

    #[tokio::test]
    async fn it_keeps_the_contract() {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(Arc::new(clock.clone()));
        store_contract(&store, &clock).await;
    }
}
