//! The sliding window: marks of when units were used, oldest first.
//!
//! A mark is the low half of a granule's number. Those that count are less than two windows apart,
//! so the newest, whose number follows from `until`, tells the numbers of all others.

use crate::algorithm::{Limit, Shape};

use super::queue::{Few, Item, Part, Queue, Ring};
use super::{Kind, State};

/// A mark for each unit, at most twice as many as the greatest quota that is counted so.
pub(super) type FewUnits = Few<u32, 8>;

/// A mark for each part of a window in which units were used, and how many.
pub(super) type FewParts = Few<Part, 4>;

/// The same, when there are more.
#[derive(Debug, Clone)]
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
        let is_over = |mark: u32| now - number(mark, newest) >= grid.span;
        match &mut self.kind {
            Kind::FewUnits(units) => _ = units.drop_while(is_over),
            Kind::Units(units) => _ = units.drop_while(is_over),
            Kind::FewParts(parts) => _ = parts.drop_while(is_over),
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
            Kind::FewParts(parts) => parts.iter().map(Item::units).sum(),
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
        let mark = match &self.kind {
            Kind::FewUnits(units) => units.nth(last),
            Kind::Units(units) => units.nth(last),
            Kind::FewParts(parts) => parts.nth(last),
            Kind::Parts(parts) => parts.ring.nth(last),
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
                Kind::FewUnits(FewUnits::default())
            } else {
                Kind::FewParts(FewParts::default())
            };
        }
        let grid = self.grid(limit);
        let number = grid.number(now).max(grid.newest(self.until));
        match self.kind {
            Kind::FewUnits(_) | Kind::Units(_) => {
                (0..cost).for_each(|_| self.kind.push_unit(low(number)));
            }
            // A part holds at most twice the greatest quota, which has room.
            _ => {
                let units = u32::try_from(cost).unwrap_or(u32::MAX);
                let mark = low(number);
                self.kind.push_part(Part { mark, units });
            }
        }
        self.until = grid.end(number);
    }

    pub(super) fn drop_oldest(&mut self, units: u64) {
        match &mut self.kind {
            Kind::FewUnits(marks) => marks.drop_units(units),
            Kind::Units(marks) => marks.drop_units(units),
            Kind::FewParts(parts) => parts.drop_units(units),
            Kind::Parts(parts) => {
                parts.ring.drop_units(units);
                parts.sum = parts.sum.saturating_sub(units);
            }
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
        let mut parts = Kind::FewParts(FewParts::default());
        let mut last = 0;
        for mark in marks {
            let first = number(mark, newest) * old.granule;
            // The end of the granule, unless that is still to come.
            let time = (first + old.granule - 1).min(now.max(first));
            last = time / new.granule;
            let mark = low(last);
            parts.push_part(Part { mark, units: 1 });
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
                    let mut ring = Ring::with_room(units);
                    ring.push(mark);
                    *self = Self::Units(ring);
                }
            }
            Self::Units(units) => units.push(mark),
            _ => {}
        }
    }

    /// Counts units in the newest part, or in one that is newer.
    fn push_part(&mut self, part: Part) {
        match self {
            Self::FewParts(parts) => {
                let has_room = is_added(parts, part) || parts.push(part);
                if !has_room {
                    let sum = parts.iter().map(Item::units).sum::<u64>() + part.units();
                    let mut ring = Ring::with_room(parts);
                    ring.push(part);
                    *self = Self::Parts(Parts { sum, ring });
                }
            }
            Self::Parts(parts) => {
                if !is_added(&mut parts.ring, part) {
                    parts.ring.push(part);
                }
                parts.sum = parts.sum.saturating_add(part.units());
            }
            _ => {}
        }
    }
}

/// Adds units to the newest part, if that is theirs.
fn is_added(parts: &mut impl Queue<Item = Part>, part: Part) -> bool {
    let newest = parts.len().checked_sub(1);
    let newest = newest.and_then(|newest| parts.at_mut(newest));
    let newest = newest.filter(|newest| newest.mark == part.mark);
    newest
        .map(|newest| newest.units = newest.units.saturating_add(part.units))
        .is_some()
}

impl Parts {
    pub(super) fn heap(&self) -> usize {
        self.ring.heap()
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
            (Self::FewUnits(few), Self::Units(ring)) | (Self::Units(ring), Self::FewUnits(few)) => {
                few.iter().eq(ring.iter())
            }
            (Self::Units(one), Self::Units(other)) => one.iter().eq(other.iter()),
            (Self::FewParts(one), Self::FewParts(other)) => one.iter().eq(other.iter()),
            (Self::FewParts(few), Self::Parts(all)) | (Self::Parts(all), Self::FewParts(few)) => {
                few.iter().eq(all.ring.iter())
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
