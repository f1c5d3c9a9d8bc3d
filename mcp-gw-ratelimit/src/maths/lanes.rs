//! Parts of a window in one line of a cache: for keys that do not call in many parts, or often in
//! one.

/// How many parts have room.
const LANES: usize = 16;

/// The lower of each two bytes.
const LOWER: u64 = 0x00ff_00ff_00ff_00ff;

/// Adds up four numbers of two bytes into the highest.
const ADD: u64 = 0x0001_0001_0001_0001;

/// Units in up to 16 parts of a window, fewer than 256 in each: a ring in which the oldest that
/// counts comes first, and the newest last, at `head`. No part lies between them that does not count.
///
/// All parts are looked at at once: how many of them count nobody can foresee, least of all a
/// processor that waits for memory, and would go on with the wrong one. And what is done with them is
/// short, so that while it waits it comes as far as the next decision.
///
/// A mark is the last byte of a part's number. Marks that count, and those that did when units were
/// added the last time, are less than two windows apart, which are 122 parts: a byte tells them from
/// each other.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lanes {
    marks: [u8; LANES],
    /// None where there is no part.
    units: [u8; LANES],
    head: u8,
    newest: u8,
}

impl Lanes {
    /// Units of all parts.
    #[inline]
    pub(super) fn sum(&self) -> u64 {
        let half = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let (low, high) = (
            half(self.units.first_chunk()),
            half(self.units.last_chunk()),
        );
        let low = (low & LOWER) + (low >> 8 & LOWER);
        let high = (high & LOWER) + (high >> 8 & LOWER);
        (low + high).wrapping_mul(ADD) >> 48
    }

    /// Drops the parts that are `span` parts old or older.
    #[inline]
    pub(super) fn settle(&mut self, now: u8, span: u8) {
        for (units, mark) in self.units.iter_mut().zip(self.marks) {
            let counts = now.wrapping_sub(mark) < span;
            *units = if counts { *units } else { 0 };
        }
    }

    /// Adds units to the newest part, or to one that is newer. False, and nothing is added, when they
    /// have no room.
    #[inline]
    pub(super) fn add(&mut self, mark: u8, units: u64) -> bool {
        let head = usize::from(self.head) % LANES;
        let used = self.units.get(head).map_or(0, |units| *units);
        // One place further when it is another part. Not in a branch: nobody knows which it is.
        let step = usize::from(mark != self.newest) * usize::from(used != 0);
        let place = (head + step) % LANES;
        let Some((old, old_mark)) = self.units.get_mut(place).zip(self.marks.get_mut(place)) else {
            return false;
        };
        let sum = u64::from(*old).saturating_add(units);
        // Where another part lies that counts, all places are taken.
        let has_room = sum < 256 && (step == 0 || *old == 0);
        if has_room {
            *old = u8::try_from(sum).unwrap_or(u8::MAX);
            *old_mark = mark;
            self.newest = mark;
            self.head = u8::try_from(place).unwrap_or(0);
        }
        has_room
    }

    /// Marks and units, oldest first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (u8, u8)> + use<> {
        let first = usize::from(self.head) + 1;
        let mut parts = self.marks;
        let mut units = self.units;
        parts.rotate_left(first % LANES);
        units.rotate_left(first % LANES);
        let parts = parts.into_iter().zip(units);
        parts.filter(|(_, units)| *units > 0)
    }

    /// Forgets the oldest units.
    pub(super) fn drop_units(&mut self, units: u64) {
        let mut left = units;
        let first = usize::from(self.head) + 1;
        for n in 0..LANES {
            if let Some(units) = self.units.get_mut((first + n) % LANES) {
                let fewer = u64::from(*units).min(left);
                *units -= u8::try_from(fewer).unwrap_or(0);
                left -= fewer;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SPAN: u8 = 61;

    fn mark(number: u64) -> u8 {
        number.to_le_bytes()[0]
    }

    proptest! {
        /// Against a map from numbers to units.
        #[test]
        fn units_are_where_they_were_added(
            steps in proptest::collection::vec((0_u64..30, 0_u64..300, 0_u64..4, any::<bool>()), 0..200),
        ) {
            let (mut lanes, mut map, mut number) = (Lanes::default(), BTreeMap::new(), 200);
            for (step, units, fewer, drops) in steps {
                number += step;
                lanes.settle(mark(number), SPAN);
                map.retain(|other, _| number - *other < u64::from(SPAN));
                if drops {
                    lanes.drop_units(fewer);
                    let mut left = fewer;
                    for units in map.values_mut() {
                        let fewer = left.min(*units);
                        (*units, left) = (*units - fewer, left - fewer);
                    }
                    map.retain(|_, units| *units > 0);
                }
                let before = map.get(&number).copied();
                let units = if units > 250 { units } else { units % 7 };
                let has_room = map.len() < LANES || before.is_some();
                let fits = has_room && before.unwrap_or(0) + units < 256;
                prop_assert_eq!(lanes.add(mark(number), units), fits);
                if fits && units > 0 {
                    *map.entry(number).or_insert(0) += units;
                }
                prop_assert_eq!(lanes.sum(), map.values().sum::<u64>());
                let found: Vec<_> = lanes.in_order().map(|(mark, units)| (mark, u64::from(units))).collect();
                let kept: Vec<_> = map.iter().map(|(number, units)| (mark(*number), *units)).collect();
                prop_assert_eq!(found, kept);
            }
        }
    }
}
