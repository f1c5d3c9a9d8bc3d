//! Queues of marks: a few lie in the state itself, so that a caller who does not call much costs one
//! place in memory and no allocation.

/// What a queue holds: units that were used at a time.
pub(super) trait Item: Copy + Default {
    /// The low half of the number of the granule in which they were used.
    fn mark(self) -> u32;

    fn units(self) -> u64;

    /// Takes off all units but so many, of which it has more.
    fn keep(&mut self, units: u64);
}

/// One unit.
impl Item for u32 {
    fn mark(self) -> u32 {
        self
    }

    fn units(self) -> u64 {
        1
    }

    fn keep(&mut self, _: u64) {}
}

/// The units of one part of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) mark: u32,
    pub(super) units: u32,
}

impl Item for Part {
    fn mark(self) -> u32 {
        self.mark
    }

    fn units(self) -> u64 {
        u64::from(self.units)
    }

    fn keep(&mut self, units: u64) {
        self.units = u32::try_from(units).unwrap_or(u32::MAX);
    }
}

/// Items, oldest first.
pub(super) trait Queue {
    type Item: Item;

    fn len(&self) -> usize;

    fn at(&self, n: usize) -> Option<Self::Item>;

    /// Forgets the oldest, of which there is one.
    fn pop(&mut self);

    fn iter(&self) -> impl Iterator<Item = Self::Item> {
        (0..self.len()).map_while(|n| self.at(n))
    }

    /// The mark of the unit with this number, counted from 0.
    fn nth(&self, n: u64) -> Option<u32> {
        let mut before = 0;
        let found = self.iter().find(|item| {
            before += item.units();
            before > n
        });
        found.map(Item::mark)
    }

    /// Forgets the oldest as long as they are over; tells how many units that were.
    fn drop_while(&mut self, mut is_over: impl FnMut(u32) -> bool) -> u64 {
        let mut dropped = 0;
        while let Some(item) = self.at(0).filter(|item| is_over(item.mark())) {
            dropped += item.units();
            self.pop();
        }
        dropped
    }

    /// Forgets the oldest units.
    fn drop_units(&mut self, units: u64);
}

/// Up to [`FEW`] marks, in a ring that needs no allocation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Few {
    head: u8,
    len: u8,
    marks: [u32; FEW],
}

/// A power of two.
const FEW: usize = 8;

/// For so many items there is room in a ring at first.
const FIRST: usize = 6;

impl Few {
    /// With one more; false when it is full.
    pub(super) fn push(&mut self, mark: u32) -> bool {
        let len = usize::from(self.len);
        if len == FEW {
            return false;
        }
        let place = self.place(len);
        if let Some(place) = self.marks.get_mut(place) {
            *place = mark;
            self.len += 1;
        }
        true
    }

    /// The oldest mark, or any when there is none.
    pub(super) fn oldest(&self) -> u32 {
        let oldest = self.marks.get(self.place(0));
        oldest.copied().unwrap_or_default()
    }

    fn place(&self, n: usize) -> usize {
        (usize::from(self.head) + n) % FEW
    }
}

impl Queue for Few {
    type Item = u32;

    fn len(&self) -> usize {
        usize::from(self.len)
    }

    fn at(&self, n: usize) -> Option<u32> {
        let is_there = n < usize::from(self.len);
        is_there.then(|| self.marks.get(self.place(n)).copied())?
    }

    fn pop(&mut self) {
        // A few marks have their places in a byte.
        self.head = u8::try_from(self.place(1)).unwrap_or(0);
        self.len = self.len.saturating_sub(1);
    }

    fn drop_units(&mut self, units: u64) {
        (0..units.min(u64::from(self.len))).for_each(|_| self.pop());
    }
}

/// Items in an allocation of their own: the oldest is at `head`, and `len` are in use. There are a
/// few hundred at most.
#[derive(Debug, Clone, Default)]
pub(super) struct Ring<T> {
    head: u16,
    len: u16,
    items: Box<[T]>,
}

impl<T: Item> Ring<T> {
    /// Takes in an item that is newer than all others.
    pub(super) fn push(&mut self, item: T) {
        if usize::from(self.len) == self.items.len() {
            self.grow();
        }
        let place = self.place(usize::from(self.len));
        if let Some(place) = self.items.get_mut(place) {
            *place = item;
            self.len += 1;
        }
    }

    /// The newest item.
    pub(super) fn newest_mut(&mut self) -> Option<&mut T> {
        let newest = self.len.checked_sub(1)?;
        let place = self.place(usize::from(newest));
        self.items.get_mut(place)
    }

    /// Bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        size_of_val::<[T]>(&self.items)
    }

    fn grow(&mut self) {
        let len = usize::from(self.len);
        // For half as many again: what is not used is paid for with each key.
        let room = (len + (len / 2).max(FIRST)).next_multiple_of(4);
        let items = self.iter().chain(std::iter::repeat(T::default()));
        (self.items, self.head) = (items.take(room).collect(), 0);
    }

    /// Without a division: neither `head` nor `n` is above the number of places.
    fn place(&self, n: usize) -> usize {
        let place = usize::from(self.head) + n;
        place.checked_sub(self.items.len()).unwrap_or(place)
    }
}

impl<T: Item> Queue for Ring<T> {
    type Item = T;

    fn len(&self) -> usize {
        usize::from(self.len)
    }

    fn at(&self, n: usize) -> Option<T> {
        let is_there = n < usize::from(self.len);
        is_there.then(|| self.items.get(self.place(n)).copied())?
    }

    fn pop(&mut self) {
        self.head = u16::try_from(self.place(1)).unwrap_or(0);
        self.len = self.len.saturating_sub(1);
    }

    fn drop_units(&mut self, units: u64) {
        let mut left = units;
        while let Some(item) = self.at(0).filter(|_| left > 0) {
            let kept = item.units().saturating_sub(left);
            if let Some(oldest) = self.items.get_mut(usize::from(self.head))
                && kept > 0
            {
                oldest.keep(kept);
                return;
            }
            left -= item.units();
            self.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::super::log::Log;
    use super::*;

    fn same<Q: Queue<Item = u32>>(queue: &Q, model: &VecDeque<u32>) {
        assert_eq!(queue.len(), model.len());
        assert!(queue.iter().eq(model.iter().copied()));
        assert_eq!(queue.at(model.len()), None);
        assert_eq!(queue.nth(0), model.front().copied());
        assert_eq!(queue.nth(u64::MAX), None);
    }

    proptest! {
        /// Both against a queue that is known to be one.
        #[test]
        fn both_are_queues(
            steps in proptest::collection::vec((prop_oneof![0..4_u32, 0..40_u32], 0..40_u64), 1..60),
        ) {
            let (mut few, mut log) = (Few::default(), Log::default());
            let (mut of_few, mut of_log) = (VecDeque::new(), VecDeque::new());
            let mut next = 0;
            for (more, fewer) in steps {
                for _ in 0..more {
                    next += 1;
                    log.push(next);
                    of_log.push_back(next);
                    let has_room = of_few.len() < 8;
                    assert_eq!(few.push(next), has_room);
                    if has_room {
                        of_few.push_back(next);
                    }
                }
                let last = next.saturating_sub(40 - u32::try_from(fewer).unwrap());
                let over = |mark: &u32| *mark <= last;
                let expected = of_log.iter().take_while(|mark| over(mark)).count();
                assert_eq!(log.drop_while(|mark| over(&mark)), expected as u64);
                of_log.drain(..expected);
                same(&log, &of_log);
                log.drop_units(fewer / 4);
                of_log.drain(..of_log.len().min(usize::try_from(fewer / 4).unwrap()));
                few.drop_units(fewer);
                of_few.drain(..of_few.len().min(usize::try_from(fewer).unwrap()));
                same(&log, &of_log);
                same(&Log::of(&few), &of_few);
                same(&few, &of_few);
            }
        }

        /// Parts lose units from the oldest on.
        #[test]
        fn units_are_dropped_one_by_one(
            parts in proptest::collection::vec(1..9_u32, 0..20), first in 0..50_u64, n in 0..50_u64,
        ) {
            let mut ring = Ring::default();
            for (units, mark) in parts.iter().zip(0..) {
                ring.push(Part { mark, units: *units });
            }
            let all = parts.iter().zip(0..);
            let all = all.flat_map(|(units, mark)| (0..*units).map(move |_| mark));
            let left: Vec<u32> = all.skip(usize::try_from(first).unwrap()).collect();
            ring.drop_units(first);
            let sum: u64 = ring.iter().map(Item::units).sum();
            prop_assert_eq!(sum, left.len() as u64);
            prop_assert_eq!(ring.nth(n), left.get(usize::try_from(n).unwrap()).copied());
        }
    }

    #[test]
    fn a_key_with_several_units_takes_allocations_that_fit() {
        let mut few = Few::default();
        assert!((0..8).all(|mark| few.push(mark)));
        let mut log = Log::of(&few);
        (8..12).for_each(|mark| log.push(mark));
        assert_eq!(log.heap(), 32 + size_of::<Ring<u32>>());
    }
}
