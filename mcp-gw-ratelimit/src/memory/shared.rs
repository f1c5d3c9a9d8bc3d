//! What keys without a place of their own share: one bucket per limit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::algorithm::{Algorithm, Limit};
use crate::maths::State;

use super::shard::Now;

type Buckets = HashMap<(Arc<str>, Algorithm), State>;

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

    /// What a key that gets a place now begins with: it may have used what is in the bucket.
    pub(super) fn of_new(&self, limit: &Limit, now: Now) -> State {
        if !self.is_used.load(Ordering::Acquire) {
            return State::default();
        }
        self.open(now).of(limit)
    }

    pub(super) fn open(&self, now: Now) -> Open<'_> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        // There is one for each limit at most.
        buckets.retain(|_, state| !state.is_idle(now.steady, now.wall));
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
    pub(super) fn of(&self, limit: &Limit) -> State {
        let key = (Arc::clone(limit.name()), limit.algorithm());
        self.buckets.get(&key).cloned().unwrap_or_default()
    }

    pub(super) fn keep(&mut self, limit: &Limit, state: State) {
        let key = (Arc::clone(limit.name()), limit.algorithm());
        self.buckets.insert(key, state);
        self.shared.is_used.store(true, Ordering::Release);
        self.shared.folded.fetch_add(1, Ordering::Relaxed);
    }
}
