//! One part of the memory store: the keys whose hash leads to it, under one lock.

use std::sync::Arc;

use crate::maths::State;
use crate::store::Key;

use super::room::Room;
use super::swing::Swing;
use super::table::Table;

/// How often idle entries are looked for: in so many places at a time, since they lie side by side,
/// with each decision of this number, as long as an eighth of them is idle …
const OFTEN: (usize, u8) = (64, 16);

/// … and when fewer were the last time: each look at what nobody asked for takes as long as a
/// decision.
const SELDOM: (usize, u8) = (16, 64);

/// Idle entries are kept for so long, in microseconds, as long as there is room: who comes back
/// within a minute is a known key, and to forget one and make it anew takes as long as several
/// decisions.
const GRACE: u64 = 60_000_000;

/// In so many when a new key comes and there is no room.
const SEARCH: usize = 64;

/// Both times in microseconds: since the store began, and since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) steady: u64,
    pub(super) wall: u64,
}

impl Now {
    const fn earlier(self, micros: u64) -> Self {
        Self {
            steady: self.steady.saturating_sub(micros),
            wall: self.wall.saturating_sub(micros),
        }
    }
}

/// One line of a cache: what a decision reads and writes of a key.
#[derive(Debug)]
#[repr(align(64))]
struct Entry {
    key: Key,
    state: State,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            key: Key::from_bytes([0; 16]),
            state: State::default(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Shard {
    entries: Table<Entry>,
    swing: Swing,
    /// That of all shards.
    room: Arc<Room>,
    cursor: usize,
    /// The latest time of a decision here. Time does not go back behind it.
    latest: u64,
    evicted: u64,
    /// Decisions until idle entries are looked for again.
    wait: u8,
    pace: (usize, u8),
    seed: u64,
}

impl Shard {
    /// Takes places of `room`. The seed is what nobody outside knows.
    pub(super) fn new(room: Arc<Room>, seed: u64) -> Self {
        Self {
            entries: Table::new(),
            swing: Swing::default(),
            room,
            cursor: 0,
            latest: 0,
            evicted: 0,
            wait: SELDOM.1,
            pace: SELDOM,
            seed,
        }
    }

    pub(super) const fn latest(&self) -> u64 {
        self.latest
    }

    /// Begins a decision: the time moves on, and a few idle keys are dropped.
    pub(super) fn begin(&mut self, now: Now) {
        self.latest = self.latest.max(now.steady);
        self.wait = self.wait.saturating_sub(1);
        if self.wait == 0 {
            let before = self.evicted;
            let places = self.pace.0;
            self.sweep(now.earlier(GRACE), places);
            self.give_back();
            let is_worth_it = (self.evicted - before) * 8 >= places as u64;
            self.pace = if is_worth_it { OFTEN } else { SELDOM };
            self.wait = self.pace.1;
        }
    }

    /// The place of a key: good until another is kept or dropped.
    pub(super) fn find(&self, key: Key) -> Option<usize> {
        let is = |entry: &Entry| entry.key == key;
        self.entries.find(hash(key, self.seed), is)
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
            self.search(now);
        }
    }

    /// Drops idle keys, to make room.
    pub(super) fn search(&mut self, now: Now) {
        self.sweep(now, SEARCH);
    }

    pub(super) fn has_room(&self) -> bool {
        !self.room.is_full()
    }

    /// Keeps a key, whether there is room or not.
    pub(super) fn insert(&mut self, key: Key, state: State) {
        if let Some(found) = self.find(key).and_then(|place| self.state(place)) {
            *found = state;
            return;
        }
        let seed = self.seed;
        let hash_of = |entry: &Entry| hash(entry.key, seed);
        if self.entries.is_full() {
            let places = self.swing.grow(self.latest, self.entries.places());
            self.entries.grow(places, hash_of);
        }
        self.room.take();
        self.entries
            .insert(hash(key, seed), Entry { key, state }, hash_of);
        let (keys, places) = (self.entries.len(), self.entries.places());
        self.swing.holds(self.latest, keys, places);
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
        heap + self.entries.bytes()
    }

    /// Keys that were moved to a table of another size.
    #[cfg(test)]
    pub(super) const fn moved(&self) -> usize {
        self.entries.moved()
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (Key, &State)> {
        self.entries.iter().map(|entry| (entry.key, &entry.state))
    }

    fn sweep(&mut self, now: Now, many: usize) {
        for _ in 0..many {
            if self.cursor >= self.entries.places() {
                self.cursor = 0;
            }
            let entry = self.entries.get(self.cursor);
            if entry.is_some_and(|entry| entry.state.is_idle(now.steady, now.wall)) {
                // Another may be here now.
                self.remove_at(self.cursor);
                self.evicted += 1;
            } else {
                self.cursor += 1;
            }
        }
    }

    fn remove_at(&mut self, place: usize) {
        let seed = self.seed;
        let hash_of = |entry: &Entry| hash(entry.key, seed);
        let before = self.entries.len();
        self.entries.remove(place, hash_of);
        if self.entries.len() < before {
            self.room.give_back();
        }
        self.give_back();
    }

    /// Gives memory back after a flood.
    fn give_back(&mut self) {
        if self.entries.is_too_large() && self.swing.may_give_back(self.latest) {
            self.swing.gave_back(self.latest, self.entries.places());
            let seed = self.seed;
            self.entries.give_back(|entry| hash(entry.key, seed));
        }
    }
}

/// A key is a hash already: one half of it leads to the shard, the other to the place in it. The
/// seed is for keys that are made without a secret, which somebody could choose to lie together.
fn hash(key: Key, seed: u64) -> u64 {
    let half = key.as_bytes().first_chunk().copied();
    let half = half.map_or(0, u64::from_le_bytes);
    let product = u128::from(half ^ seed) * u128::from(MIX);
    let [upper, lower] = [product >> 64, product & u128::from(u64::MAX)];
    u64::try_from(upper ^ lower).unwrap_or(0)
}

/// An odd number with its bits well mixed: the golden ratio's.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

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
            let mut shard = Shard::new(Arc::new(Room::new(20)), 7);
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
    fn an_entry_is_one_line_of_a_cache() {
        assert_eq!((size_of::<Entry>(), align_of::<Entry>()), (64, 64));
    }
}
