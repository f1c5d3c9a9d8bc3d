//! When memory of keys that have gone is given back, and how much is taken again.

use super::table::next_places;

/// So long, in microseconds, a table that was given back in vain is kept, and so long it is
/// remembered how large it was.
const LONG: u64 = 600_000_000;

/// What has come of giving memory back.
///
/// A table that has become large for its keys is given back at once, so that a flood is over when it
/// is over. When it has to become as large again soon, that was in vain: then callers swing, and it is
/// kept until it has not been half full for [`LONG`]. So who swings pays for moving keys once, and not
/// each time, and what is kept is never more than keys took within that time.
#[derive(Debug, Default)]
pub(super) struct Swing {
    /// When memory was given back the last time, …
    given: u64,
    /// … and how many places there were before. None when it never was.
    from: usize,
    is_kept: bool,
    /// When the table was half full the last time, from when on it swings.
    full: u64,
}

impl Swing {
    /// True unless what would be given back is likely to be needed soon.
    pub(super) const fn may_give_back(&self, now: u64) -> bool {
        !self.is_kept || now.saturating_sub(self.full) >= LONG
    }

    /// Memory was given back; there were so many places.
    pub(super) fn gave_back(&mut self, now: u64, from: usize) {
        // It may go in several steps.
        let before = if self.is_recent(now) { self.from } else { 0 };
        (self.given, self.from) = (now, from.max(before));
        self.is_kept = false;
    }

    /// How many places a table is to have that has so many, and is full.
    pub(super) fn grow(&mut self, now: u64, places: usize) -> usize {
        let least = next_places(places);
        if self.from <= places || !self.is_recent(now) {
            return least;
        }
        // Not at once to what it was: perhaps only few come back.
        let next = self.from.min(places.saturating_mul(2)).max(least);
        if next >= self.from {
            (self.is_kept, self.full) = (true, now);
        }
        next
    }

    /// There are so many keys now.
    pub(super) const fn holds(&mut self, now: u64, keys: usize, places: usize) {
        if keys * 2 >= places {
            self.full = now;
        }
    }

    const fn is_recent(&self, now: u64) -> bool {
        now.saturating_sub(self.given) < LONG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000;

    #[test]
    fn what_was_given_back_in_vain_is_kept_until_it_is_not_used_for_long() {
        let mut swing = Swing::default();
        assert!(swing.may_give_back(0));
        assert_eq!(swing.grow(0, 800), next_places(800), "it never was larger");
        swing.gave_back(MINUTE, 900);
        swing.gave_back(2 * MINUTE, 600);
        assert!(swing.may_give_back(2 * MINUTE));
        assert_eq!(swing.grow(3 * MINUTE, 300), 600);
        assert!(swing.may_give_back(3 * MINUTE), "half of them came back");
        assert_eq!(swing.grow(3 * MINUTE, 600), 900);
        assert!(!swing.may_give_back(3 * MINUTE));
        swing.holds(8 * MINUTE, 450, 900);
        swing.holds(9 * MINUTE, 449, 900);
        assert!(!swing.may_give_back(18 * MINUTE - 1));
        assert!(swing.may_give_back(18 * MINUTE));
        assert!(!swing.may_give_back(0), "nor when time goes back");
        swing.gave_back(18 * MINUTE, 900);
        assert_eq!(swing.grow(28 * MINUTE, 300), next_places(300), "long ago");
        assert!(swing.may_give_back(28 * MINUTE));
    }

    #[test]
    fn a_table_that_was_huge_does_not_become_so_for_a_few() {
        let mut swing = Swing::default();
        swing.gave_back(0, 1_000_000);
        assert_eq!(swing.grow(1, 100), 200);
        assert_eq!(swing.grow(1, 0), next_places(0));
        assert!(swing.may_give_back(1));
    }
}
