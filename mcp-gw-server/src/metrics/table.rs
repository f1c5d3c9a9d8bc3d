//! What is counted under a name that others choose: found without a lock and without allocating,
//! and bounded in number.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the names share that found no place of their own.
pub(super) const OTHER: &str = "other";

/// So many names at most have a `T` of their own; all further ones share one. Nothing is ever taken
/// out, so what was found once stays where it is, and looking takes neither a lock nor memory.
#[derive(Debug)]
pub(super) struct NameTable<T> {
    /// At least twice as many as names, so that the way to an empty one is short.
    slots: Box<[OnceLock<Box<Named<T>>>]>,
    used: AtomicUsize,
    max: usize,
    other: OnceLock<Box<T>>,
    /// Seeded at random: nobody can choose names that meet in one slot.
    hasher: RandomState,
}

#[derive(Debug)]
struct Named<T> {
    name: Box<str>,
    value: T,
}

impl<T: Default> NameTable<T> {
    /// A table for at most `max` names.
    pub(super) fn new(max: usize) -> Self {
        let slots = max.max(1).saturating_mul(2).next_power_of_two();
        Self {
            slots: (0..slots).map(|_| OnceLock::new()).collect(),
            used: AtomicUsize::new(0),
            max,
            other: OnceLock::new(),
            hasher: RandomState::new(),
        }
    }

    /// What belongs to the name. It is made the first time.
    pub(super) fn of(&self, name: &str) -> &T {
        let mask = self.slots.len().wrapping_sub(1);
        let start = usize::try_from(self.hasher.hash_one(name) & u64::from(u32::MAX)).unwrap_or(0);
        for step in 0..self.slots.len() {
            let Some(slot) = self.slots.get(start.wrapping_add(step) & mask) else {
                break;
            };
            // Who looks for the same name comes by the same slots in the same order, so of two that
            // make it at once the second finds what the first has put here.
            let found = slot.get().map(|named| &**named);
            let found = found.or_else(|| self.fill(slot, name));
            match found {
                Some(found) if *found.name == *name => return &found.value,
                Some(_) => {}
                None => break,
            }
        }
        self.other.get_or_init(Box::default)
    }

    /// What is in the slot after an attempt to give it to `name`; `None` when there are enough.
    fn fill<'t>(&self, slot: &'t OnceLock<Box<Named<T>>>, name: &str) -> Option<&'t Named<T>> {
        let grow = |used: usize| (used < self.max).then_some(used + 1);
        let relaxed = Ordering::Relaxed;
        self.used.fetch_update(relaxed, relaxed, grow).ok()?;
        let named = Named {
            name: name.into(),
            value: T::default(),
        };
        if slot.set(Box::new(named)).is_err() {
            self.used.fetch_sub(1, relaxed);
        }
        slot.get().map(|named| &**named)
    }

    /// All that was made, with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let named = self.slots.iter().filter_map(OnceLock::get);
        let named = named.map(|named| (&*named.name, &named.value));
        named.chain(self.other.get().map(|other| (OTHER, &**other)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicU64;

    use proptest::prelude::*;

    use super::*;

    fn add(table: &NameTable<AtomicU64>, name: &str) {
        table.of(name).fetch_add(1, Ordering::Relaxed);
    }

    fn counts(table: &NameTable<AtomicU64>) -> BTreeMap<String, u64> {
        let all = table.iter();
        all.map(|(name, count)| (name.to_owned(), count.load(Ordering::Relaxed)))
            .collect()
    }

    #[test]
    fn names_that_find_no_place_share_one() {
        let table = NameTable::new(3);
        for at in 0..1000 {
            add(&table, &format!("t{at}"));
        }
        add(&table, "t1");
        let counts = counts(&table);
        let expected = [("other", 997), ("t0", 1), ("t1", 2), ("t2", 1)];
        assert_eq!(counts, expected.map(|(n, c)| (n.to_owned(), c)).into());
    }

    #[test]
    fn a_table_without_room_has_only_the_rest() {
        let table = NameTable::new(0);
        add(&table, "a");
        assert_eq!(counts(&table), [("other".to_owned(), 1)].into());
    }

    #[test]
    fn threads_that_make_names_at_once_lose_no_count_and_make_none_twice() {
        for _ in 0..50 {
            let (table, barrier) = (NameTable::new(64), Barrier::new(4));
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        barrier.wait();
                        for at in 0..64 {
                            add(&table, &at.to_string());
                        }
                    });
                }
            });
            let names: Vec<_> = table.iter().map(|(name, _)| name.to_owned()).collect();
            let counts = counts(&table);
            assert_eq!(counts.len(), names.len(), "a name is there twice");
            assert_eq!(counts.values().sum::<u64>(), 4 * 64);
        }
    }

    proptest! {
        #[test]
        fn every_count_is_somewhere(names in prop::collection::vec("[a-e]{1,2}", 0..200), max in 0_usize..20) {
            let table = NameTable::new(max);
            let mut naive: BTreeMap<String, u64> = BTreeMap::new();
            for name in &names {
                add(&table, name);
                let known = naive.keys().filter(|name| *name != OTHER).count();
                let key = if naive.contains_key(name) || known < max { name } else { OTHER };
                *naive.entry(key.to_owned()).or_default() += 1;
            }
            prop_assert_eq!(counts(&table), naive);
        }
    }
}
