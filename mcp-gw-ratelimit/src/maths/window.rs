//! The sliding window: marks of when units were used, oldest first.
//!
//! A mark is the low half of a granule's number. Those that count are less than two windows apart,
//! so the newest, whose number follows from `until`, tells the numbers of all others.

use std::time::Duration;

use crate::algorithm::{Limit, Shape};
use crate::store::Standing;

use super::lanes::Lanes;
use super::log::Log;
use super::queue::{Few, Item, Part, Queue, Ring};
use super::{Kind, State};

/// A part for each in which units were used, and how many, when there are many.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    /// Of all units.
    sum: u64,
    ring: Ring<Part>,
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
fn number_of(mark: u32, newest: u64) -> u64 {
    newest.saturating_sub(u64::from(low(newest).wrapping_sub(mark)))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is wanted"
)]
const fn low(number: u64) -> u32 {
    number as u32
}

/// The last byte of a number.
const fn last(number: u64) -> u8 {
    let [last, ..] = number.to_le_bytes();
    last
}

impl State {
    /// How this state divides time: as the limit says, except that what was counted in parts, when
    /// the quota was greater, goes on so until nothing of it counts.
    fn grid(&self, limit: &Limit) -> Grid {
        match (limit.shape(), &self.kind) {
            (Shape::Window { exact: true, .. }, Kind::FewParts(_) | Kind::Parts(_)) => {
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

    /// [`State::decide_soon`] of a window in which few have called.
    pub(super) fn window_soon(&mut self, limit: &Limit, now: u64) -> Option<Standing> {
        let Shape::Window {
            granule,
            span,
            exact,
        } = limit.shape()
        else {
            return None;
        };
        let grid = Grid { granule, span };
        let number = grid.number(now);
        // Nor has the clock gone back behind the newest mark.
        if now >= self.until || now.saturating_add(granule * span) < self.until {
            return None;
        }
        let used = match &mut self.kind {
            Kind::FewUnits(units) if exact => {
                let oldest = number_of(units.oldest(), grid.newest(self.until));
                let used = units.len() as u64;
                if used >= limit.quota() || number - oldest >= span || !units.push(low(number)) {
                    return None;
                }
                used
            }
            Kind::FewParts(parts) if !exact => {
                parts.settle(last(number), last(span));
                let used = parts.sum();
                if used >= limit.quota() || !parts.add(last(number), 1) {
                    return None;
                }
                used
            }
            _ => return None,
        };
        self.until = grid.end(number);
        let reset = Duration::from_micros(self.until - now);
        Some(Standing::admitted(limit.quota() - used - 1, reset))
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
        let is_over = |mark: u32| now - number_of(mark, newest) >= grid.span;
        match &mut self.kind {
            Kind::FewUnits(units) => _ = units.drop_while(is_over),
            Kind::Units(units) => _ = units.drop_while(is_over),
            // The span of parts fits.
            Kind::FewParts(parts) => parts.settle(last(now), last(grid.span)),
            Kind::Parts(parts) => {
                let dropped = parts.ring.drop_while(is_over);
                parts.sum = parts.sum.saturating_sub(dropped);
            }
            Kind::Empty | Kind::Bucket(_) | Kind::Used(_) => {}
        }
    }

    pub(super) fn window_used(&self) -> u64 {
        match &self.kind {
            Kind::FewUnits(units) => units.len() as u64,
            Kind::Units(units) => units.len() as u64,
            Kind::FewParts(parts) => parts.sum(),
            Kind::Parts(parts) => parts.sum,
            Kind::Empty | Kind::Bucket(_) | Kind::Used(_) => 0,
        }
    }

    /// When `needed` more units do not count any more: at once for none.
    pub(super) fn window_frees(&self, limit: &Limit, needed: u64) -> u64 {
        if needed == 0 {
            return 0;
        }
        let grid = self.grid(limit);
        let over = self.window_used().saturating_sub(limit.quota());
        let last = over + needed - 1;
        let newest = grid.newest(self.until);
        let mark = match &self.kind {
            Kind::FewUnits(units) => units.nth(last),
            Kind::Units(units) => units.nth(last),
            Kind::FewParts(parts) => parts.widen(newest).nth(last),
            Kind::Parts(parts) => parts.nth(last),
            Kind::Empty | Kind::Bucket(_) | Kind::Used(_) => None,
        };
        mark.map_or(0, |mark| grid.end(number_of(mark, newest)))
    }

    /// Marks `cost` units, at most the quota, as used now, or at the latest time known.
    pub(super) fn push(&mut self, limit: &Limit, now: u64, cost: u64) {
        let Shape::Window { exact, .. } = limit.shape() else {
            return;
        };
        if matches!(self.kind, Kind::Empty | Kind::Bucket(_) | Kind::Used(_)) {
            self.until = 0;
            self.kind = if exact {
                Kind::FewUnits(Few::default())
            } else {
                Kind::FewParts(Lanes::default())
            };
        }
        let grid = self.grid(limit);
        let number = grid.number(now).max(grid.newest(self.until));
        match self.kind {
            Kind::FewUnits(_) | Kind::Units(_) => {
                (0..cost).for_each(|_| self.kind.push_unit(low(number)));
            }
            _ => self.kind.push_part(number, cost),
        }
        self.until = grid.end(number);
    }

    pub(super) fn drop_oldest(&mut self, units: u64) {
        match &mut self.kind {
            Kind::FewUnits(marks) => marks.drop_units(units),
            Kind::Units(marks) => marks.drop_units(units),
            Kind::FewParts(parts) => parts.drop_units(units),
            Kind::Parts(parts) => parts.drop_units(units),
            Kind::Empty | Kind::Bucket(_) | Kind::Used(_) => {}
        }
    }

    /// Goes over to parts when the quota has become too great for a mark for each unit. Each counts
    /// for at least as long as it would have.
    fn units_to_parts(&mut self, limit: &Limit, now: u64) {
        let marks: Vec<u32> = match &self.kind {
            Kind::FewUnits(units) => units.iter().collect(),
            Kind::Units(units) => units.iter().collect(),
            _ => return,
        };
        let window = limit.window_micros();
        let (granule, span) = Shape::units(window);
        let old = Grid { granule, span };
        let (granule, span) = Shape::parts(window);
        let new = Grid { granule, span };
        let newest = old.newest(self.until);
        let mut parts = Kind::FewParts(Lanes::default());
        let mut last = 0;
        for mark in marks {
            let first = number_of(mark, newest) * old.granule;
            // The end of the granule, unless that is still to come.
            let time = (first + old.granule - 1).min(now.max(first));
            last = time / new.granule;
            parts.push_part(last, 1);
        }
        self.until = new.end(last);
        self.kind = parts;
    }
}

impl Kind {
    /// Marks a unit more.
    fn push_unit(&mut self, mark: u32) {
        match self {
            Self::FewUnits(units) => {
                let has_room = units.push(mark);
                if !has_room {
                    let mut log = Log::of(units);
                    log.push(mark);
                    *self = Self::Units(log);
                }
            }
            Self::Units(units) => units.push(mark),
            _ => {}
        }
    }

    /// Counts units in the part of this number, the newest.
    fn push_part(&mut self, number: u64, units: u64) {
        match self {
            Self::FewParts(parts) => {
                let has_room = parts.add(last(number), units);
                if !has_room {
                    let mut parts = parts.widen(number);
                    parts.add(low(number), units);
                    *self = Self::Parts(parts);
                }
            }
            Self::Parts(parts) => parts.add(low(number), units),
            _ => {}
        }
    }
}

impl Lanes {
    /// The same parts, of which `newest` is none older, with room for more.
    fn widen(&self, newest: u64) -> Parts {
        let mut parts = Parts::default();
        for (mark, units) in self.in_order() {
            let age = last(newest).wrapping_sub(mark);
            parts.add(low(newest.wrapping_sub(u64::from(age))), u64::from(units));
        }
        parts
    }
}

impl Parts {
    /// Adds units to the newest part, or to one that is newer.
    fn add(&mut self, mark: u32, units: u64) {
        self.sum = self.sum.saturating_add(units);
        // A part holds at most twice the greatest quota, which has room.
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        match self.ring.newest_mut().filter(|newest| newest.mark == mark) {
            Some(newest) => newest.units = newest.units.saturating_add(units),
            None => self.ring.push(Part { mark, units }),
        }
    }

    fn nth(&self, n: u64) -> Option<u32> {
        self.ring.nth(n)
    }

    fn drop_units(&mut self, units: u64) {
        self.ring.drop_units(units);
        self.sum = self.sum.saturating_sub(units);
    }

    pub(super) fn heap(&self) -> usize {
        self.ring.heap()
    }

    /// Marks by their last bytes, and units: what [`Lanes::in_order`] gives of the same parts.
    fn in_order(&self) -> impl Iterator<Item = (u8, u64)> {
        let parts = self.ring.iter();
        parts.map(|part| (last(u64::from(part.mark)), part.units()))
    }
}

/// The same marks and units, wherever they are.
impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Empty, Self::Empty) => true,
            (Self::Bucket(one), Self::Bucket(other)) => one == other,
            (Self::Used(one), Self::Used(other)) => one == other,
            (Self::FewUnits(one), Self::FewUnits(other)) => one.iter().eq(other.iter()),
            (Self::FewUnits(few), Self::Units(log)) | (Self::Units(log), Self::FewUnits(few)) => {
                few.iter().eq(log.iter())
            }
            (Self::Units(one), Self::Units(other)) => one.iter().eq(other.iter()),
            (Self::FewParts(one), Self::FewParts(other)) => one.in_order().eq(other.in_order()),
            (Self::FewParts(few), Self::Parts(all)) | (Self::Parts(all), Self::FewParts(few)) => {
                let few = few.in_order();
                few.map(|(mark, units)| (mark, u64::from(units)))
                    .eq(all.in_order())
            }
            (Self::Parts(one), Self::Parts(other)) => one.ring.iter().eq(other.ring.iter()),
            _ => false,
        }
    }
}

impl Eq for Kind {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_leaves_room_for_a_key_in_one_line_of_a_cache() {
        assert_eq!(size_of::<State>(), 48);
    }
}
