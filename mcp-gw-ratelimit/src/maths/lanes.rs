//! Parts of a window in one line of a cache: for keys that do not call in many parts, or often in
//! one.

/// How many parts have room.
const LANES: usize = 16;

/// Each byte is 1, …
const ONES: u128 = u128::MAX / 255;

/// … and all bits of each byte but the highest.
const LOWS: u128 = ONES * 0x7f;

/// Units in up to 16 parts of a window, fewer than 256 in each, in no order.
///
/// All parts are looked at at once: which of them count, and which is the one to add to, nobody can
/// foresee, least of all a processor that waits for memory, and would go on with the wrong one.
///
/// A mark is the last byte of a part's number. Marks that count, and those that did when units were
/// added the last time, are less than two windows apart, which are 122 parts: a byte tells them from
/// each other.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lanes {
    marks: [u8; LANES],
    /// None where there is no part.
    units: [u8; LANES],
    newest: u8,
}

impl Lanes {
    /// Units of all parts.
    pub(super) fn sum(&self) -> u64 {
        let sum: u16 = self.units.iter().map(|units| u16::from(*units)).sum();
        u64::from(sum)
    }

    /// Drops the parts that are `span` parts old or older.
    pub(super) fn settle(&mut self, now: u8, span: u8) {
        for (units, mark) in self.units.iter_mut().zip(self.marks) {
            let counts = now.wrapping_sub(mark) < span;
            *units = if counts { *units } else { 0 };
        }
    }

    /// Adds units to the newest part, or to one that is newer. False, and nothing is added, when they
    /// have no room.
    pub(super) fn add(&mut self, mark: u8, units: u64) -> bool {
        let free = zeros(u128::from_le_bytes(self.units));
        let same = zeros(u128::from_le_bytes(self.marks) ^ (ONES * u128::from(mark))) & !free;
        // All bits where none is the same.
        let none = u128::from(same == 0).wrapping_neg();
        let lane = (same | (free & none)).trailing_zeros() as usize / 8;
        let place = self.units.get_mut(lane).zip(self.marks.get_mut(lane));
        let sum = place.and_then(|(old, old_mark)| {
            let sum = u8::try_from(u64::from(*old).saturating_add(units)).ok()?;
            Some((*old, *old_mark) = (sum, mark))
        });
        self.newest = if sum.is_some() { mark } else { self.newest };
        sum.is_some()
    }

    /// Marks and units, oldest first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (u8, u8)> + use<> {
        let newest = self.newest;
        let mut parts: [(u8, u8); LANES] = Default::default();
        for ((part, mark), units) in parts.iter_mut().zip(self.marks).zip(self.units) {
            *part = (newest.wrapping_sub(mark), units);
        }
        parts.sort_unstable_by(|one, other| other.cmp(one));
        let parts = parts.into_iter().filter(|(_, units)| *units > 0);
        parts.map(move |(age, units)| (newest.wrapping_sub(age), units))
    }

    /// Forgets the oldest units.
    pub(super) fn drop_units(&mut self, units: u64) {
        let mut left = units;
        for (mark, _) in self.in_order() {
            let lanes = self.units.iter_mut().zip(self.marks);
            for (units, _) in lanes.filter(|(units, other)| **units > 0 && *other == mark) {
                let fewer = u64::from(*units).min(left);
                *units -= u8::try_from(fewer).unwrap_or(0);
                left -= fewer;
            }
        }
    }
}

/// The highest bit of each byte that is 0, and no other.
const fn zeros(bytes: u128) -> u128 {
    !(((bytes & LOWS) + LOWS) | bytes | LOWS)
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

        #[test]
        fn each_byte_that_is_zero_is_seen(bytes in proptest::array::uniform16(0_u8..3)) {
            let seen = zeros(u128::from_le_bytes(bytes)).to_le_bytes();
            prop_assert_eq!(seen, bytes.map(|byte| if byte == 0 { 0x80 } else { 0 }));
        }
    }
}
