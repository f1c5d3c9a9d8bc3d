//! How many keys a store may hold, whatever parts they are in.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The places of all shards together. The numbers guard nothing: who is between a look and a step
/// while others are, may take a place too many.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    taken: AtomicUsize,
    /// The shard in which idle keys are looked for next.
    next: AtomicUsize,
}

impl Room {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            most,
            taken: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.most
    }

    pub(super) fn take(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }

    /// Each of `shards` shards in turn.
    pub(super) fn next(&self, shards: usize) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % shards.max(1)
    }
}
