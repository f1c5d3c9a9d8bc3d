//! What keys without a place of their own share: one bucket per limit.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::algorithm::{Algorithm, Limit};
use crate::maths::State;
use crate::store::Key;

use super::shard::Now;

/// So many keys that were charged to a bucket are known; if there are more, it may have been any.
const MOST_USERS: usize = 4_096;

type Buckets = HashMap<(Arc<str>, Algorithm), Bucket>;

/// What keys without a place have used together, and which those are.
#[derive(Debug, Default)]
struct Bucket {
    state: State,
    users: HashSet<Key>,
    may_be_any: bool,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    /// True while there are buckets of which something counts; then keys that get a place have to
    /// look. Who folds a key or gives it a place holds the lock of its shard, so that both are seen
    /// in order.
    is_used: AtomicBool,
    folded: AtomicU64,
    buckets: Mutex<Buckets>,
}

/// The buckets, locked.
pub(super) struct Open<'s> {
    shared: &'s Shared,
    buckets: MutexGuard<'s, Buckets>,
}

impl Shared {
    /// Demands that were charged here.
    pub(super) fn folded(&self) -> u64 {
        self.folded.load(Ordering::Relaxed)
    }

    /// What a key that gets a place now begins with: a copy of the bucket if it has used some of it,
    /// and nothing used if it has not.
    pub(super) fn of_new(&self, limit: &Limit, key: Key, now: Now) -> State {
        if !self.is_used.load(Ordering::Acquire) {
            return State::default();
        }
        let open = self.open(now);
        let bucket = open.bucket(limit);
        let used = bucket.filter(|bucket| bucket.may_be_any || bucket.users.contains(&key));
        used.map(|bucket| bucket.state.clone()).unwrap_or_default()
    }

    pub(super) fn open(&self, now: Now) -> Open<'_> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        // There is one for each limit at most.
        buckets.retain(|_, bucket| !bucket.state.is_idle(now.steady, now.wall));
        if buckets.is_empty() {
            self.is_used.store(false, Ordering::Release);
        }
        Open {
            shared: self,
            buckets,
        }
    }
}

impl Open<'_> {
    fn bucket(&self, limit: &Limit) -> Option<&Bucket> {
        let key = (Arc::clone(limit.name()), limit.algorithm());
        self.buckets.get(&key)
    }

    pub(super) fn of(&self, limit: &Limit) -> State {
        let bucket = self.bucket(limit);
        bucket.map(|it| it.state.clone()).unwrap_or_default()
    }

    /// Keeps what is used of a bucket after `key` was charged to it.
    pub(super) fn keep(&mut self, limit: &Limit, key: Key, state: State) {
        let id = (Arc::clone(limit.name()), limit.algorithm());
        let bucket = self.buckets.entry(id).or_default();
        bucket.state = state;
        if bucket.users.len() < MOST_USERS {
            bucket.users.insert(key);
        } else if !bucket.users.contains(&key) {
            bucket.may_be_any = true;
        }
        self.shared.is_used.store(true, Ordering::Release);
        self.shared.folded.fetch_add(1, Ordering::Relaxed);
    }
}
