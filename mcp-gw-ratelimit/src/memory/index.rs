//! Finds the place of a key among the entries of a shard, with one look at memory most times.
//!
//! At a million keys the time of a check is that of the places in memory that it has to fetch, and
//! no cache holds all of them. A general table looks at its control bytes, then at a slot, and then
//! there is the entry; here the slot is found at once, and eight bits of the hash in it keep others
//! from being compared. Slots lie side by side, and are filled to three quarters at most.

/// A slot: nothing, or eight bits of a hash above the number of a place, counted from 1.
type Slot = u32;

const PLACE_BITS: u32 = 24;

/// The most places that can be told apart.
pub(super) const MOST: usize = (1 << PLACE_BITS) - 2;

/// Open addressing with linear probing. Hashes have to be well spread, in a way that nobody outside
/// can foresee.
#[derive(Debug, Default)]
pub(super) struct Index {
    slots: Box<[Slot]>,
    len: usize,
}

impl Index {
    /// The place with this hash for which `is` holds.
    pub(super) fn find(&self, hash: u64, is: impl Fn(usize) -> bool) -> Option<usize> {
        self.slot(hash, is).map(|(_, place)| place)
    }

    /// Takes in a place that is not known, at most [`MOST`]. `hash_of` tells the hashes of all that
    /// are known, which are those from 0 to `place`.
    pub(super) fn insert(&mut self, hash: u64, place: usize, hash_of: impl Fn(usize) -> u64) {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.rebuild((self.len + self.len / 2).max(8), hash_of);
        }
        self.put(hash, place);
    }

    /// Forgets a place.
    pub(super) fn remove(&mut self, hash: u64, place: usize, hash_of: impl Fn(usize) -> u64) {
        let Some((mut hole, _)) = self.slot(hash, |other| other == place) else {
            return;
        };
        self.len -= 1;
        // Those that come after it are found by walking over it, so it is filled with one of them,
        // and so on.
        let mut at = hole;
        for _ in 0..self.slots.len() {
            at = self.after(at);
            let Some((slot, there)) = self.get(at) else {
                break;
            };
            let home = self.home(hash_of(there));
            if self.way(home, at) >= self.way(hole, at) {
                self.set(hole, slot);
                hole = at;
            }
        }
        self.set(hole, 0);
    }

    /// What was in one place is now in another.
    pub(super) fn moved(&mut self, hash: u64, from: usize, to: usize) {
        if let Some((slot, _)) = self.slot(hash, |place| place == from) {
            self.set(slot, of(hash, to));
        }
    }

    /// Gives memory back, but for that of `room` places.
    pub(super) fn shrink_to(&mut self, room: usize, hash_of: impl Fn(usize) -> u64) {
        self.rebuild(room.max(self.len), hash_of);
    }

    /// Bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        size_of_val::<[Slot]>(&self.slots)
    }

    /// Makes room for so many places. It goes through the entries rather than the slots: in their
    /// order in memory.
    fn rebuild(&mut self, room: usize, hash_of: impl Fn(usize) -> u64) {
        let known = std::mem::take(&mut self.len);
        self.slots = vec![0; room + room / 3 + 1].into_boxed_slice();
        for place in 0..known {
            self.put(hash_of(place), place);
        }
    }

    fn put(&mut self, hash: u64, place: usize) {
        let mut at = self.home(hash);
        while self.get(at).is_some() {
            at = self.after(at);
        }
        self.set(at, of(hash, place));
        self.len += 1;
    }

    /// The number of the slot of a place, and the place.
    fn slot(&self, hash: u64, is: impl Fn(usize) -> bool) -> Option<(usize, usize)> {
        let (tag, home) = (of(hash, 0) >> PLACE_BITS, self.home(hash));
        // Which of the first four it is nobody can foresee, least of all a processor, which would go
        // on with the wrong one while it waits for memory. So all four are compared, and only then
        // one is chosen.
        if let Some([a, b, c, d]) = self.slots.get(home..).and_then(<[Slot]>::first_chunk) {
            let same = |slot: &Slot| u32::from(slot >> PLACE_BITS == tag);
            let alike = same(a) | same(b) << 1 | same(c) << 2 | same(d) << 3 | 1 << 4;
            let at = home + alike.trailing_zeros() as usize;
            if let Some((_, place)) = self.get(at).filter(|(_, place)| is(*place)) {
                return Some((at, place));
            }
        }
        let mut at = home;
        // A quarter of the slots is empty.
        while let Some((slot, place)) = self.get(at) {
            if slot >> PLACE_BITS == tag && is(place) {
                return Some((at, place));
            }
            at = self.after(at);
        }
        None
    }

    /// Where to begin to look: the upper half of the hash says how far into the slots.
    fn home(&self, hash: u64) -> usize {
        // Both are below 2^32.
        let far = (hash >> 32) * self.slots.len() as u64;
        usize::try_from(far >> 32).unwrap_or(0)
    }

    fn after(&self, at: usize) -> usize {
        let next = at + 1;
        if next == self.slots.len() { 0 } else { next }
    }

    /// How many steps it is from one slot to another.
    fn way(&self, from: usize, to: usize) -> usize {
        let way = to.checked_sub(from);
        way.unwrap_or(to + self.slots.len() - from)
    }

    /// What is in a slot, if there is anything.
    fn get(&self, at: usize) -> Option<(Slot, usize)> {
        let slot = self.slots.get(at).copied()?;
        let place = slot & ((1 << PLACE_BITS) - 1);
        Some((slot, (place as usize).checked_sub(1)?))
    }

    fn set(&mut self, at: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(at) {
            *place = slot;
        }
    }
}

fn of(hash: u64, place: usize) -> Slot {
    // Not 0, which is what an empty slot has.
    let tag = u8::try_from(hash & 0xff).unwrap_or(0).max(1);
    let place = Slot::try_from(place.min(MOST) + 1).unwrap_or(0);
    Slot::from(tag) << PLACE_BITS | place
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a list of hashes, of which many are alike or lie at the end of the slots: what
        /// was taken in is found in its place, and nothing else.
        #[test]
        fn places_are_found_by_their_hash(
            steps in proptest::collection::vec((any::<u8>(), 0..6_u8, any::<u16>()), 0..400),
        ) {
            let mut index = Index::default();
            let mut hashes: Vec<(u64, u64)> = Vec::new();
            for ((high, low, which), id) in steps.into_iter().zip(0..) {
                let high = if high < 200 { u64::MAX << 38 } else { u64::from(high) << 56 };
                let hash = high | u64::from(low);
                let kept = &hashes;
                match low {
                    0..4 => {
                        index.insert(hash, kept.len(), |place| kept[place].0);
                        hashes.push((hash, id));
                    }
                    _ if kept.is_empty() => {}
                    _ => {
                        let (place, last) = (usize::from(which) % kept.len(), kept.len() - 1);
                        index.remove(kept[place].0, place, |place| kept[place].0);
                        if place != last {
                            index.moved(kept[last].0, last, place);
                        }
                        hashes.swap_remove(place);
                        if which % 16 == 0 {
                            index.shrink_to(0, |place| hashes[place].0);
                        }
                    }
                }
                prop_assert_eq!(index.len, hashes.len());
                prop_assert!(index.len * 4 <= index.slots.len() * 3);
                for (place, (hash, id)) in hashes.iter().enumerate() {
                    let found = index.find(*hash, |place| hashes[place].1 == *id);
                    prop_assert_eq!(found, Some(place));
                    prop_assert_eq!(index.find(*hash, |_| false), None);
                }
                let used = index.slots.iter().filter(|slot| **slot != 0).count();
                prop_assert_eq!(used, hashes.len());
            }
        }
    }
}
