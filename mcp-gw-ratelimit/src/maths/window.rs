//! The sliding window: marks of when units were used, oldest first.
//!
//! A mark is the low half of a granule's number. Those that count are less than two windows apart,
//! so the newest, whose number follows from `until`, tells the numbers of all others.

use std::collections::VecDeque;

use crate::algorithm::{Limit, Shape};

use super::{Kind, State};

/// A mark for each unit, at most twice as many as the greatest quota that is counted so.
#[derive(Debug, Clone)]
pub(super) enum Units {
    Few {
        len: u8,
        marks: [u32; FEW],
    },
    /// A ring, in the place of a state that has no room for more than its pointer: the oldest is at
    /// `head`, and `len` marks are in use.
    Many {
        head: u16,
        len: u16,
        marks: Box<[u32]>,
    },
}

const FEW: usize = 3;

/// A mark for each part of a window in which units were used, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parts {
    sum: u64,
    marks: VecDeque<(u32, u32)>,
}

/// How a state divides time.
#[derive(Clone, Copy)]
struct Grid {
    granule: u64,
    span: u64,
}

impl Grid {
    /// Number of the granule that the newest mark is in, if nothing of it counts from `until` on.
    fn newest(self, until: u64) -> u64 {
        self.number(until).saturating_sub(self.span)
    }

    /// Number of the granule that a time is in.
    const fn number(self, time: u64) -> u64 {
        // Most windows count microseconds, and a division takes longer than all the rest.
        if self.granule == 1 {
            time
        } else {
            time / self.granule
        }
    }

    /// From when on the granule of this number does not count.
    fn end(self, number: u64) -> u64 {
        (number + self.span) * self.granule
    }
}

/// The number that `mark` is the low half of, given the number of the newest.
fn number(mark: u32, newest: u64) -> u64 {
    newest.saturating_sub(u64::from(low(newest).wrapping_sub(mark)))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is wanted"
)]
const fn low(number: u64) -> u32 {
    number as u32
}

impl State {
    /// How this state divides time: as the limit says, except that what was counted in parts, when
    /// the quota was greater, goes on so until nothing of it counts.
    fn grid(&self, limit: &Limit) -> Grid {
        match (limit.shape(), &self.kind) {
            (Shape::Window { exact: true, .. }, Kind::Parts(_)) => {
                let (granule, span) = Shape::parts(limit.window_micros());
                Grid { granule, span }
            }
            (Shape::Window { granule, span, .. }, _) => Grid { granule, span },
            // Not asked.
            (Shape::Bucket { .. } | Shape::Calendar(_), _) => Grid {
                granule: 1,
                span: 1,
            },
        }
    }

    /// Drops what counts no more.
    pub(super) fn settle(&mut self, limit: &Limit, now: u64) {
        if now >= self.until {
            self.kind = Kind::Empty;
            return;
        }
        if let Shape::Window { exact: false, .. } = limit.shape() {
            self.units_to_parts(limit, now);
        }
        let grid = self.grid(limit);
        let newest = grid.newest(self.until);
        let now = grid.number(now).max(newest);
        let counts = |mark: u32| now - number(mark, newest) < grid.span;
        match &mut self.kind {
            Kind::Units(units) => units.drop_while(|mark| !counts(mark)),
            Kind::Parts(parts) => parts.drop_while(|mark| !counts(mark)),
            Kind::Empty | Kind::Bucket(_) | Kind::Used(_) => {}
        }
    }

    pub(super) fn window_used(&self) -> u64 {
        match &self.kind {
            Kind::Units(units) => units.len() as u64,
            Kind::Parts(parts) => parts.sum,
            Kind::Empty | Kind::Bucket(_) | Kind::Used(_) => 0,
        }
    }

    /// When `needed` more units do not count any more: at once for none.
    pub(super) fn window_frees(&self, limit: &Limit, needed: u64) -> u64 {
        let grid = self.grid(limit);
        let over = self.window_used().saturating_sub(limit.quota());
        let mark = match &self.kind {
            _ if needed == 0 => None,
            Kind::Units(units) => units.nth(over + needed - 1),
            Kind::Parts(parts) => parts.nth(over + needed - 1),
            Kind::Empty | Kind::Bucket(_) | Kind::Used(_) => None,
        };
        mark.map_or(0, |mark| grid.end(number(mark, grid.newest(self.until))))
    }

    /// Marks `cost` units, at most the quota, as used now, or at the latest time known.
    pub(super) fn push(&mut self, limit: &Limit, now: u64, cost: u64) {
        let Shape::Window { exact, .. } = limit.shape() else {
            return;
        };
        if matches!(self.kind, Kind::Empty | Kind::Bucket(_) | Kind::Used(_)) {
            self.until = 0;
            self.kind = if exact {
                Kind::Units(Units::none())
            } else {
                Kind::Parts(Box::default())
            };
        }
        let grid = self.grid(limit);
        let number = grid.number(now).max(grid.newest(self.until));
        match &mut self.kind {
            Kind::Units(units) => (0..cost).for_each(|_| units.push(low(number))),
            Kind::Parts(parts) => parts.push(low(number), cost),
            Kind::Empty | Kind::Bucket(_) | Kind::Used(_) => {}
        }
        self.until = grid.end(number);
    }

    pub(super) fn drop_oldest(&mut self, units: u64) {
        match &mut self.kind {
            Kind::Units(marks) => {
                let mut left = units;
                marks.drop_while(|_| {
                    let more = left > 0;
                    left = left.saturating_sub(1);
                    more
                });
            }
            Kind::Parts(parts) => parts.drop_oldest(units),
            Kind::Empty | Kind::Bucket(_) | Kind::Used(_) => {}
        }
    }

    /// Goes over to parts when the quota has become too great for a mark for each unit. Each counts
    /// for at least as long as it would have.
    fn units_to_parts(&mut self, limit: &Limit, now: u64) {
        let Kind::Units(units) = &self.kind else {
            return;
        };
        let window = limit.window_micros();
        let (granule, span) = Shape::units(window);
        let old = Grid { granule, span };
        let (granule, span) = Shape::parts(window);
        let new = Grid { granule, span };
        let newest = old.newest(self.until);
        let mut parts = Parts::default();
        let mut last = 0;
        for mark in units.iter() {
            let first = number(mark, newest) * old.granule;
            // The end of the granule, unless that is still to come.
            let time = (first + old.granule - 1).min(now.max(first));
            last = time / new.granule;
            parts.push(low(last), 1);
        }
        self.until = new.end(last);
        self.kind = Kind::Parts(Box::new(parts));
    }
}

impl Units {
    const fn none() -> Self {
        Self::Few {
            len: 0,
            marks: [0; FEW],
        }
    }

    pub(super) fn heap(&self) -> usize {
        match self {
            Self::Few { .. } => 0,
            Self::Many { marks, .. } => size_of_val::<[u32]>(marks),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Few { len, .. } => usize::from(*len),
            Self::Many { len, .. } => usize::from(*len),
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.len()).map_while(|n| self.at(n))
    }

    fn nth(&self, n: u64) -> Option<u32> {
        self.at(usize::try_from(n).ok()?)
    }

    fn at(&self, n: usize) -> Option<u32> {
        if n >= self.len() {
            return None;
        }
        match self {
            Self::Few { marks, .. } => marks.get(n).copied(),
            Self::Many { head, marks, .. } => {
                let place = (usize::from(*head) + n).checked_rem(marks.len())?;
                marks.get(place).copied()
            }
        }
    }

    fn push(&mut self, mark: u32) {
        if self.is_full() {
            self.grow();
        }
        match self {
            Self::Few { len, marks } => {
                if let Some(place) = marks.get_mut(usize::from(*len)) {
                    *place = mark;
                    *len += 1;
                }
            }
            Self::Many { head, len, marks } => {
                let place = usize::from(*head) + usize::from(*len);
                let place = place.checked_rem(marks.len());
                if let Some(place) = place.and_then(|place| marks.get_mut(place)) {
                    *place = mark;
                    *len += 1;
                }
            }
        }
    }

    fn is_full(&self) -> bool {
        match self {
            Self::Few { len, .. } => usize::from(*len) == FEW,
            Self::Many { len, marks, .. } => usize::from(*len) == marks.len(),
        }
    }

    /// Makes room for half as many again: what is not used is paid for with each key.
    fn grow(&mut self) {
        let len = self.len();
        let room = (len + (len / 2).max(2)).next_multiple_of(4);
        let marks = self.iter().chain(std::iter::repeat(0)).take(room);
        *self = Self::Many {
            head: 0,
            // There are at most a few hundred.
            len: u16::try_from(len).unwrap_or(u16::MAX),
            marks: marks.collect(),
        };
    }

    fn drop_while(&mut self, mut is_over: impl FnMut(u32) -> bool) {
        while self.at(0).is_some_and(&mut is_over) {
            match self {
                Self::Few { len, marks } => {
                    marks.rotate_left(1);
                    *len -= 1;
                }
                Self::Many { head, len, marks } => {
                    *head += 1;
                    if usize::from(*head) == marks.len() {
                        *head = 0;
                    }
                    *len -= 1;
                }
            }
        }
    }
}

/// The same marks, wherever they are.
impl PartialEq for Units {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Units {}

impl Parts {
    pub(super) fn heap(&self) -> usize {
        size_of::<Self>() + self.marks.capacity() * size_of::<(u32, u32)>()
    }

    fn push(&mut self, mark: u32, units: u64) {
        // A part holds at most twice the greatest quota, which has room.
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        match self.marks.back_mut() {
            Some((last, count)) if *last == mark => *count = count.saturating_add(units),
            _ => self.marks.push_back((mark, units)),
        }
        self.sum = self.sum.saturating_add(u64::from(units));
    }

    fn nth(&self, n: u64) -> Option<u32> {
        let mut before = 0;
        let found = self.marks.iter().find(|(_, count)| {
            before += u64::from(*count);
            before > n
        });
        found.map(|(mark, _)| *mark)
    }

    fn drop_while(&mut self, mut is_over: impl FnMut(u32) -> bool) {
        while let Some((mark, count)) = self.marks.front().copied() {
            if !is_over(mark) {
                break;
            }
            self.sum = self.sum.saturating_sub(u64::from(count));
            self.marks.pop_front();
        }
    }

    fn drop_oldest(&mut self, mut units: u64) {
        while units > 0 {
            let Some((_, count)) = self.marks.front_mut() else {
                return;
            };
            let taken = u32::try_from(units).unwrap_or(u32::MAX).min(*count);
            *count -= taken;
            let is_over = *count == 0;
            units -= u64::from(taken);
            self.sum = self.sum.saturating_sub(u64::from(taken));
            if is_over {
                self.marks.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn marks_are_a_queue(steps in proptest::collection::vec((0..40_u32, 0..40_usize), 1..60)) {
            let (mut units, mut queue) = (Units::none(), VecDeque::new());
            let mut next = 0;
            for (more, fewer) in steps {
                for _ in 0..more {
                    units.push(next);
                    queue.push_back(next);
                    next += 1;
                }
                let mut left = fewer;
                units.drop_while(|_| {
                    let more = left > 0;
                    left = left.saturating_sub(1);
                    more
                });
                queue.drain(..fewer.min(queue.len()));
                prop_assert_eq!(units.len(), queue.len());
                prop_assert!(units.iter().eq(queue.iter().copied()));
                prop_assert_eq!(units.at(queue.len()), None);
                prop_assert!(units.nth(u64::MAX).is_none());
            }
        }
    }

    #[test]
    fn a_key_with_several_units_takes_one_allocation_that_fits() {
        let mut units = Units::none();
        for n in 0..8 {
            units.push(n);
        }
        assert!(units.heap() <= 32, "{}", units.heap());
        assert_eq!(size_of::<Units>(), 24);
        assert_eq!(size_of::<State>(), 32);
    }
}
