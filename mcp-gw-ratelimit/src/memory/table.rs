//! A table that finds what it holds with one look at memory that is far away.
//!
//! At a million keys the time of a check is that of the pages of memory that it has to fetch, and no
//! cache holds all of them. Items lie in the table itself, not behind an index. Beside them is a tag
//! for each, eight bits of its hash: of a million keys these are little more than a megabyte, which
//! stays near, and they tell in which place to look.

/// No item has this tag.
const EMPTY: u8 = 0;

/// So many tags are compared at once.
const WINDOW: usize = 16;

/// Each of the tags in a window is 1, …
const ONES: u128 = u128::MAX / 255;

/// … and their highest bits.
const HIGHS: u128 = ONES << 7;

/// Open addressing with linear probing, filled to four fifths at most. Hashes have to be well spread,
/// in a way that nobody outside can foresee.
#[derive(Debug)]
pub(super) struct Table<T> {
    tags: Vec<u8>,
    /// As many as tags. Those that are not in use are a default.
    items: Vec<T>,
    len: usize,
    /// Items that were moved since it began.
    #[cfg(test)]
    moved: usize,
}

impl<T: Default> Table<T> {
    pub(super) const fn new() -> Self {
        Self {
            tags: Vec::new(),
            items: Vec::new(),
            len: 0,
            #[cfg(test)]
            moved: 0,
        }
    }

    /// How many items it holds.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many places it has.
    pub(super) const fn places(&self) -> usize {
        self.tags.len()
    }

    /// The place of the item with this hash for which `is` holds. It is good until something is taken
    /// in or taken out.
    pub(super) fn find(&self, hash: u64, is: impl Fn(&T) -> bool) -> Option<usize> {
        let (home, tag) = (self.home(hash), tag(hash));
        // Which place of a few it is nobody can foresee, least of all a processor, which would go on
        // with the wrong one while it waits for memory. So all are compared before one is chosen.
        let window = self
            .tags
            .get(home..)
            .and_then(<[u8]>::first_chunk::<WINDOW>);
        if let Some(window) = window {
            // A byte of it is 0 where the tags are alike.
            let unlike = u128::from_le_bytes(*window) ^ (ONES * u128::from(tag));
            let alike = unlike.wrapping_sub(ONES) & !unlike & HIGHS;
            let place = home + alike.trailing_zeros() as usize / 8;
            if alike != 0 && self.items.get(place).is_some_and(&is) {
                return Some(place);
            }
        }
        let mut place = home;
        // A fifth of the places is empty.
        loop {
            match self.tags.get(place).copied() {
                None | Some(EMPTY) => return None,
                Some(other) if other == tag && self.items.get(place).is_some_and(&is) => {
                    return Some(place);
                }
                Some(_) => place = self.after(place),
            }
        }
    }

    /// The item in a place, if there is one.
    pub(super) fn get(&self, place: usize) -> Option<&T> {
        self.tags.get(place).filter(|tag| **tag != EMPTY)?;
        self.items.get(place)
    }

    /// The item in a place that was found.
    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.items.get_mut(place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let all = self.tags.iter().zip(&self.items);
        all.filter(|(tag, _)| **tag != EMPTY).map(|(_, item)| item)
    }

    /// Takes in an item that is not known.
    pub(super) fn insert(&mut self, hash: u64, item: T, hash_of: impl Fn(&T) -> u64) {
        if self.is_full() {
            self.rebuild(next_places(self.places()), hash_of);
        }
        self.put(hash, item);
    }

    /// True when the next item needs a larger table.
    pub(super) const fn is_full(&self) -> bool {
        (self.len + 1) * 5 > self.places() * 4
    }

    /// Makes it larger, to so many places.
    pub(super) fn grow(&mut self, places: usize, hash_of: impl Fn(&T) -> u64) {
        if places > self.places() {
            self.rebuild(places, hash_of);
        }
    }

    /// Takes out the item in a place.
    pub(super) fn remove(&mut self, place: usize, hash_of: impl Fn(&T) -> u64) {
        if self.get(place).is_none() {
            return;
        }
        self.len -= 1;
        // Those that come after it are found by walking over it, so one of them goes there, and so
        // on.
        let (mut gap, mut at) = (place, self.after(place));
        while let Some(item) = self.get(at) {
            let home = self.home(hash_of(item));
            if self.way(home, at) >= self.way(gap, at) {
                self.tags.swap(gap, at);
                self.items.swap(gap, at);
                gap = at;
            }
            at = self.after(at);
        }
        self.set(gap, EMPTY, T::default());
    }

    /// True when not even a third of it is in use.
    pub(super) const fn is_too_large(&self) -> bool {
        self.places() > 64 && self.len < self.places() / 3
    }

    /// Gives memory back when it is too large.
    pub(super) fn give_back(&mut self, hash_of: impl Fn(&T) -> u64) {
        if self.is_too_large() {
            self.rebuild(self.len * 2 + WINDOW, hash_of);
        }
    }

    /// Items that were moved to a table of another size, each time that one was.
    #[cfg(test)]
    pub(super) const fn moved(&self) -> usize {
        self.moved
    }

    /// Bytes that it takes, without what its items have elsewhere.
    pub(super) fn bytes(&self) -> usize {
        self.tags.capacity() + self.items.capacity() * size_of::<T>()
    }

    /// Moves all to other places, so many. Their order stays nearly the same, so this goes through
    /// memory from its beginning to its end.
    fn rebuild(&mut self, places: usize, hash_of: impl Fn(&T) -> u64) {
        #[cfg(test)]
        {
            self.moved += self.len;
        }
        let tags = std::mem::replace(&mut self.tags, vec![EMPTY; places]);
        let empty = std::iter::repeat_with(T::default).take(places).collect();
        let items = std::mem::replace(&mut self.items, empty);
        self.len = 0;
        for (tag, item) in tags.into_iter().zip(items) {
            if tag != EMPTY {
                self.put(hash_of(&item), item);
            }
        }
    }

    /// Into the first place that is empty. There is one.
    fn put(&mut self, hash: u64, item: T) {
        let mut place = self.home(hash);
        while self.get(place).is_some() {
            place = self.after(place);
        }
        self.set(place, tag(hash), item);
        self.len += 1;
    }

    fn set(&mut self, place: usize, tag: u8, item: T) {
        if let (Some(old_tag), Some(old)) = (self.tags.get_mut(place), self.items.get_mut(place)) {
            *old_tag = tag;
            *old = item;
        }
    }

    /// Where to begin to look: the upper half of the hash says how far into the table.
    fn home(&self, hash: u64) -> usize {
        let far = u128::from(hash >> 32) * self.places() as u128;
        usize::try_from(far >> 32).unwrap_or(0)
    }

    fn after(&self, place: usize) -> usize {
        let next = place + 1;
        if next >= self.places() { 0 } else { next }
    }

    /// How many steps it is from one place to another.
    fn way(&self, from: usize, to: usize) -> usize {
        let way = to.checked_sub(from);
        way.unwrap_or(to + self.places() - from)
    }
}

/// How many places the table after one of so many has: an eighth more rather than twice as many, since
/// what is not used is paid for a million times.
pub(super) const fn next_places(places: usize) -> usize {
    places + places / 8 + WINDOW
}

/// Eight bits of the hash that do not say where to look.
fn tag(hash: u64) -> u8 {
    u8::try_from(hash & 0xff).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// A hash and a number; the default is in no table.
    type Item = (u64, usize);

    proptest! {
        /// Against a map, with many hashes that are alike or lead to the end: what was taken in is
        /// found, and nothing else.
        #[test]
        fn items_are_found_by_their_hash(
            steps in proptest::collection::vec((any::<u8>(), 0..7_u8, any::<u16>()), 0..400),
        ) {
            let mut table: Table<Item> = Table::new();
            let mut kept: HashMap<usize, u64> = HashMap::new();
            let hash_of = |item: &Item| item.0;
            for ((high, low, which), id) in steps.into_iter().zip(1..) {
                let high = if high < 200 { u64::MAX << 38 } else { u64::from(high) << 56 };
                let hash = high | u64::from(low % 3);
                if low < 5 {
                    table.insert(hash, (hash, id), hash_of);
                    kept.insert(id, hash);
                } else if !kept.is_empty() {
                    let id = *kept.keys().nth(usize::from(which) % kept.len()).unwrap();
                    let hash = kept.remove(&id).unwrap();
                    let place = table.find(hash, |item| item.1 == id).unwrap();
                    table.remove(place, hash_of);
                    prop_assert_eq!(table.find(hash, |item| item.1 == id), None);
                }
                if which % 32 == 0 {
                    table.give_back(hash_of);
                }
                prop_assert_eq!(table.len(), kept.len());
                prop_assert!(table.len() * 5 <= table.places() * 4);
                prop_assert_eq!(table.iter().count(), kept.len());
                for (id, hash) in &kept {
                    let place = table.find(*hash, |item| item.1 == *id);
                    prop_assert_eq!(place.and_then(|place| table.get(place)), Some(&(*hash, *id)));
                    prop_assert_eq!(table.find(*hash, |_| false), None);
                }
            }
        }
    }

    #[test]
    fn memory_is_given_back_when_most_have_gone() {
        let mut table: Table<Item> = Table::new();
        let hash_of = |item: &Item| item.0;
        let hash = |id: usize| (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for id in 1..=10_000 {
            table.insert(hash(id), (hash(id), id), hash_of);
        }
        assert!(table.bytes() < 10_000 * 17 * 10 / 7, "{}", table.bytes());
        for id in 101..=10_000 {
            let place = table.find(hash(id), |item| item.1 == id).unwrap();
            table.remove(place, hash_of);
            table.give_back(hash_of);
        }
        assert!(table.bytes() < 10_000, "{}", table.bytes());
        assert!((1..=100).all(|id| table.find(hash(id), |item| item.1 == id).is_some()));
    }
}
