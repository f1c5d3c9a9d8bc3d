//! What is under way: counts that go down again by themselves.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::Key;

/// How many calls of each key are under way. There is no entry for none, so that there are never
/// more entries than calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashMap<Key, u64>>>);

/// One call that is under way; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Slot {
    counts: InFlight,
    key: Key,
}

impl InFlight {
    /// Begins a call unless `most` are under way; tells how many are then.
    pub(crate) fn begin(&self, key: Key, most: u64) -> (u64, Option<Slot>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&key).copied().unwrap_or(0);
        if count >= most {
            return (count, None);
        }
        counts.insert(key, count + 1);
        let slot = Slot {
            counts: self.clone(),
            key,
        };
        (count + 1, Some(slot))
    }

    pub(crate) fn count(&self, key: Key) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&key).copied().unwrap_or(0)
    }

    /// Keys of which something is under way.
    pub(crate) fn keys(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_under_way_as_there_are_slots() {
        let counts = InFlight::default();
        let (a, b) = (Key::from_bytes([1; 16]), Key::from_bytes([2; 16]));
        let (first, second) = (counts.begin(a, 2), counts.begin(a, 2));
        assert_eq!((first.0, second.0), (1, 2));
        let third = counts.begin(a, 2);
        assert!(third.1.is_none() && third.0 == 2);
        assert!(counts.begin(b, 1).1.is_some(), "and is over at once");
        drop(first);
        assert!(counts.begin(a, 2).1.is_some());
        drop(second);
        assert_eq!((counts.count(a), counts.keys()), (0, 0), "nothing is left");
    }
}
