//! One part of the memory store: the keys whose hash leads to it, under one lock.

use hashbrown::HashTable;

use crate::maths::State;
use crate::store::Key;

/// So many entries are looked at, whether they are idle, with each decision of this number: many at
/// a time, since they lie side by side, and what lies elsewhere is far away.
const SWEEP: usize = 32;
const EACH: u8 = 16;

/// So many when a new key comes and there is no room.
const SEARCH: usize = 32;

/// Both times in microseconds: since the store began, and since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) steady: u64,
    pub(super) wall: u64,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    state: State,
}

/// Entries lie close together, and the index holds their places: so a key takes 48 bytes and a
/// little, and a few entries can be looked at without knowing their keys.
#[derive(Debug)]
pub(super) struct Shard {
    index: HashTable<u32>,
    entries: Vec<Entry>,
    room: usize,
    cursor: usize,
    /// The latest time of a decision here. Time does not go back behind it.
    latest: u64,
    evicted: u64,
    turn: u8,
}

impl Shard {
    pub(super) const fn new(room: usize) -> Self {
        Self {
            index: HashTable::new(),
            entries: Vec::new(),
            room,
            cursor: 0,
            latest: 0,
            evicted: 0,
            turn: 0,
        }
    }

    pub(super) const fn latest(&self) -> u64 {
        self.latest
    }

    /// Begins a decision: the time moves on, and a few idle keys are dropped.
    pub(super) fn begin(&mut self, now: Now) {
        self.latest = self.latest.max(now.steady);
        self.turn = (self.turn + 1) % EACH;
        if self.turn == 0 {
            self.sweep(now, SWEEP);
        }
    }

    pub(super) fn find(&self, key: Key) -> Option<usize> {
        let entries = &self.entries;
        let is = |place: &u32| {
            entries
                .get(*place as usize)
                .is_some_and(|entry| entry.key == key)
        };
        self.index.find(hash(key), is).map(|place| *place as usize)
    }

    pub(super) fn state(&mut self, place: usize) -> Option<&mut State> {
        self.entries.get_mut(place).map(|entry| &mut entry.state)
    }

    pub(super) fn peek(&self, place: usize) -> Option<&State> {
        self.entries.get(place).map(|entry| &entry.state)
    }

    /// Drops an idle key, if one is soon found, when this one is new and there is no room. Places
    /// that were found before are not good any more.
    pub(super) fn make_room(&mut self, key: Key, now: Now) {
        if !self.has_room() && self.find(key).is_none() {
            self.sweep(now, SEARCH);
        }
    }

    pub(super) const fn has_room(&self) -> bool {
        self.entries.len() < self.room
    }

    /// Keeps a key, whether there is room or not.
    pub(super) fn insert(&mut self, key: Key, state: State) {
        if let Some(found) = self.find(key).and_then(|place| self.state(place)) {
            *found = state;
            return;
        }
        let Ok(place) = u32::try_from(self.entries.len()) else {
            return;
        };
        if self.entries.len() == self.entries.capacity() {
            // By a quarter rather than to twice: what is not used is paid for a million times.
            self.entries.reserve_exact(self.entries.len() / 4 + 16);
        }
        self.entries.push(Entry { key, state });
        let entries = &self.entries;
        let rehash = |place: &u32| {
            entries
                .get(*place as usize)
                .map_or(0, |entry| hash(entry.key))
        };
        self.index.insert_unique(hash(key), place, rehash);
    }

    /// Forgets a key.
    pub(super) fn remove(&mut self, key: Key) {
        if let Some(place) = self.find(key) {
            self.remove_at(place);
        }
    }

    pub(super) const fn keys(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Bytes in use, without what the allocator adds.
    pub(super) fn bytes(&self) -> usize {
        let heap: usize = self.entries.iter().map(|entry| entry.state.heap()).sum();
        let entries = self.entries.capacity() * size_of::<Entry>();
        heap + entries + self.index.allocation_size()
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (Key, &State)> {
        self.entries.iter().map(|entry| (entry.key, &entry.state))
    }

    fn sweep(&mut self, now: Now, many: usize) {
        for _ in 0..many {
            if self.cursor >= self.entries.len() {
                self.cursor = 0;
            }
            let is_idle = |entry: &Entry| entry.state.is_idle(now.steady, now.wall);
            match self.entries.get(self.cursor) {
                None => return,
                Some(entry) if is_idle(entry) => {
                    self.remove_at(self.cursor);
                    self.evicted += 1;
                }
                Some(_) => self.cursor += 1,
            }
        }
    }

    fn remove_at(&mut self, place: usize) {
        let Some(key) = self.entries.get(place).map(|entry| entry.key) else {
            return;
        };
        if let Ok(found) = self.index.find_entry(hash(key), |at| *at as usize == place) {
            found.remove();
        }
        self.entries.swap_remove(place);
        // The last entry is now here.
        let last = self.entries.len();
        if let (Some(moved), Ok(to)) = (self.entries.get(place), u32::try_from(place)) {
            let found = self
                .index
                .find_mut(hash(moved.key), |at| *at as usize == last);
            if let Some(at) = found {
                *at = to;
            }
        }
        self.give_back();
    }

    /// After a flood, memory is given back.
    fn give_back(&mut self) {
        let keys = self.entries.len();
        if self.entries.capacity() > 64 && keys < self.entries.capacity() / 4 {
            self.entries.shrink_to(2 * keys);
            let entries = &self.entries;
            let rehash = |place: &u32| {
                entries
                    .get(*place as usize)
                    .map_or(0, |entry| hash(entry.key))
            };
            self.index.shrink_to(2 * keys, rehash);
        }
    }
}

/// A key is a hash already: one half of it is for the place in a shard, the other leads to the shard.
fn hash(key: Key) -> u64 {
    let half = u128::from_le_bytes(*key.as_bytes()) & u128::from(u64::MAX);
    u64::try_from(half).unwrap_or(0)
}

/// Which of `shards`, a power of two, the key is in.
pub(super) fn shard_of(key: Key, shards: usize) -> usize {
    let half = u128::from_le_bytes(*key.as_bytes()) >> 64;
    usize::try_from(half & (shards as u128 - 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::algorithm::{Algorithm, Limit};
    use crate::maths::check_at;

    fn key(n: u8) -> Key {
        Key::from_bytes([n; 16])
    }

    fn used_at(second: u64) -> State {
        let limit = Limit::new("l", 1, Duration::from_secs(1), Algorithm::SlidingWindow).unwrap();
        check_at(State::default(), second * 1_000_000, &limit, 1).0
    }

    fn at(second: u64) -> Now {
        Now {
            steady: second * 1_000_000,
            wall: second * 1_000_000,
        }
    }

    proptest! {
        /// Against a list: what is kept is found, what is dropped was idle.
        #[test]
        fn keys_are_found_until_they_are_idle(
            steps in proptest::collection::vec((0_u8..40, 0_u64..3, any::<bool>()), 0..300),
        ) {
            let mut shard = Shard::new(20);
            let mut kept: Vec<(u8, u64)> = Vec::new();
            let mut second = 10;
            for (n, step, remove) in steps {
                second += step / 2;
                shard.begin(at(second));
                let known = shard.find(key(n)).is_some();
                let is_active = kept.iter().any(|(k, until)| *k == n && *until > second);
                prop_assert!(known || !is_active, "{n} was forgotten");
                if remove {
                    shard.remove(key(n));
                    kept.retain(|(k, _)| *k != n);
                } else {
                    shard.make_room(key(n), at(second));
                    if !known && !shard.has_room() {
                        let active = kept.iter().filter(|(_, until)| *until > second).count();
                        prop_assert_eq!(active, 20, "a full shard holds active keys only");
                        continue;
                    }
                    shard.insert(key(n), used_at(second));
                    kept.retain(|(k, _)| *k != n);
                    kept.push((n, second + 1));
                }
                prop_assert!(shard.keys() <= 20);
                for (n, until) in kept.iter().filter(|(_, until)| *until > second) {
                    let place = shard.find(key(*n));
                    prop_assert!(place.is_some());
                    let found = place.and_then(|place| shard.peek(place)).map(State::until);
                    prop_assert_eq!(found, Some(until * 1_000_000));
                }
            }
        }
    }

    #[test]
    fn an_entry_takes_48_bytes() {
        assert_eq!(size_of::<Entry>(), 48);
    }
}
