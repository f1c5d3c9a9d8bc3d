//! What was looked up lately, so that requests do not ask the database.
//!
//! Entries live ten seconds at most, and all go when the store tells of a change. What was asked for before a
//! change and comes after it is not put in.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an entry is good.
pub(super) const LIFE: Duration = Duration::from_secs(10);

/// How many entries there are at most.
const MOST: usize = 16_384;

/// A bounded table of what was looked up. When half of it is used since the last time, what was not used
/// since then goes.
#[derive(Debug)]
pub(super) struct Cache<K, V>(Mutex<State<K, V>>);

#[derive(Debug)]
struct State<K, V> {
    young: HashMap<K, (V, Instant)>,
    old: HashMap<K, (V, Instant)>,
    /// Goes up with each change.
    version: u64,
}

/// When a look-up began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun(u64);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(Mutex::new(State {
            young: HashMap::new(),
            old: HashMap::new(),
            version: 0,
        }))
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// What is known of `key`; otherwise when the look-up of it begins.
    pub(super) fn find<Q: Hash + Eq + ?Sized>(&self, key: &Q, now: Instant) -> Result<V, Begun>
    where
        K: std::borrow::Borrow<Q>,
    {
        let mut state = self.state();
        let is_good = |entry: &&(V, Instant)| entry.1 > now;
        if let Some((value, _)) = state.young.get(key).filter(is_good) {
            return Ok(value.clone());
        }
        let Some((key, entry)) = state
            .old
            .remove_entry(key)
            .filter(|(_, entry)| entry.1 > now)
        else {
            return Err(Begun(state.version));
        };
        let value = entry.0.clone();
        state.put(key, entry);
        Ok(value)
    }

    /// Remembers what a look-up found, unless something has changed since it began.
    pub(super) fn put(&self, key: K, value: V, begun: Begun, now: Instant) {
        let mut state = self.state();
        if state.version == begun.0 {
            state.put(key, (value, now + LIFE));
        }
    }

    /// Something has changed.
    pub(super) fn clear(&self) {
        let (young, old);
        {
            let mut state = self.state();
            state.version += 1;
            young = mem::take(&mut state.young);
            old = mem::take(&mut state.old);
        }
        // Taken apart while nobody waits.
        drop((young, old));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V> State<K, V> {
    fn put(&mut self, key: K, entry: (V, Instant)) {
        if self.young.len() >= MOST / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::Clock as _;
    use mcp_gw_core::testing::ManualClock;

    use super::*;

    #[test]
    fn an_entry_lives_for_its_time() {
        let (cache, clock) = (Cache::<u32, u32>::default(), ManualClock::new());
        let begun = cache.find(&1, clock.now()).unwrap_err();
        cache.put(1, 10, begun, clock.now());
        clock.advance(LIFE.saturating_sub(Duration::from_millis(1)));
        assert_eq!(cache.find(&1, clock.now()).unwrap(), 10);
        clock.advance(Duration::from_millis(1));
        cache.find(&1, clock.now()).unwrap_err();
    }

    #[test]
    fn what_was_asked_for_before_a_change_is_not_believed_after_it() {
        let (cache, clock) = (Cache::<u32, u32>::default(), ManualClock::new());
        let begun = cache.find(&1, clock.now()).unwrap_err();
        cache.clear();
        cache.put(1, 10, begun, clock.now());
        let begun = cache.find(&1, clock.now()).unwrap_err();
        cache.put(1, 11, begun, clock.now());
        assert_eq!(cache.find(&1, clock.now()).unwrap(), 11);
        cache.clear();
        cache.find(&1, clock.now()).unwrap_err();
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let (cache, clock) = (Cache::<usize, usize>::default(), ManualClock::new());
        for index in 0..4 * MOST {
            let begun = cache.find(&index, clock.now()).unwrap_err();
            cache.put(index, index, begun, clock.now());
            cache.find(&0, clock.now()).unwrap();
        }
        let state = cache.state();
        assert!(state.young.len() + state.old.len() <= MOST);
    }
}
