//! The sliding window: marks of when units were used, oldest first.
//!
//! A mark is the low half of a granule's number. Those that count are less than two windows apart,
//! so the newest, whose number follows from `until`, tells the numbers of all others.

use std::collections::VecDeque;

use crate::algorithm::{Limit, Shape};

use super::{Kind, State};

/// A mark for each unit.
#[expect(
    clippy::box_collection,
    reason = "most keys have few units: the rest must not make every state greater"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Units {
    Few { len: u8, marks: [u32; FEW] },
    Many(Box<VecDeque<u32>>),
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
            Self::Many(marks) => size_of::<VecDeque<u32>>() + marks.capacity() * size_of::<u32>(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Few { len, .. } => usize::from(*len),
            Self::Many(marks) => marks.len(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        let (few, many) = match self {
            Self::Few { len, marks } => (marks.get(..usize::from(*len)), None),
            Self::Many(marks) => (None, Some(marks.iter())),
        };
        let few = few.unwrap_or_default().iter();
        few.chain(many.into_iter().flatten()).copied()
    }

    fn nth(&self, n: u64) -> Option<u32> {
        let n = usize::try_from(n).ok()?;
        match self {
            Self::Few { len, marks } => marks.get(..usize::from(*len))?.get(n).copied(),
            Self::Many(marks) => marks.get(n).copied(),
        }
    }

    fn push(&mut self, mark: u32) {
        match self {
            Self::Few { len, marks } => {
                if let Some(place) = marks.get_mut(usize::from(*len)) {
                    *place = mark;
                    *len += 1;
                    return;
                }
                let mut many = VecDeque::with_capacity(2 * FEW + 2);
                many.extend(marks.iter().copied());
                many.push_back(mark);
                *self = Self::Many(Box::new(many));
            }
            Self::Many(marks) => marks.push_back(mark),
        }
    }

    fn drop_while(&mut self, mut is_over: impl FnMut(u32) -> bool) {
        match self {
            Self::Few { len, marks } => {
                while *len > 0 && marks.first().is_some_and(|mark| is_over(*mark)) {
                    marks.rotate_left(1);
                    *len -= 1;
                }
            }
            Self::Many(marks) => {
                while marks.front().is_some_and(|mark| is_over(*mark)) {
                    marks.pop_front();
                }
            }
        }
    }
}

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
