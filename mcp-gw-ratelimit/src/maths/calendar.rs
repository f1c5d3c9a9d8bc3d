//! Quotas by the calendar: a count, and when it begins anew.

use crate::algorithm::Period;

use super::{Kind, State};

const DAY: u64 = 86_400_000_000;

impl State {
    /// Units used in the period of `now`.
    pub(super) const fn period_used(&self, now: u64) -> u64 {
        match self.kind {
            Kind::Used(used) if now < self.until => used,
            _ => 0,
        }
    }
}

/// The end of the period that `now` is in; both in microseconds since 1970-01-01 UTC.
pub fn period_end(period: Period, now: u64) -> u64 {
    let day = now / DAY;
    let last = match period {
        Period::Day => 0,
        Period::Month => left_of_month(day),
    };
    (day + last + 1).saturating_mul(DAY)
}

/// How many days of its month come after a day, which is counted from 1970-01-01, in the proleptic
/// Gregorian calendar.
const fn left_of_month(day: u64) -> u64 {
    // Counted from 0000-03-01, so that the leap day is the last of its year.
    let day = day + 719_468;
    let of_era = day % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, and again; the last is cut short.
    let month = (5 * of_year + 2) / 153;
    if month == 11 {
        // The year that begins in March ends with the February of the next.
        let next = year + 1;
        // An era begins with a year that 400 divides; the last February of one is in such a year.
        let leap = next.is_multiple_of(4) && (!next.is_multiple_of(100) || next == 400);
        return 365 + leap as u64 - 1 - of_year;
    }
    (153 * (month + 1) + 2) / 5 - 1 - of_year
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_leap(year: u64) -> bool {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    }

    #[test]
    fn periods_end_where_the_calendar_says() {
        let mut day = 0;
        for year in 1970..2420 {
            let february = 28 + u64::from(is_leap(year));
            for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
                for of_month in 0..length {
                    let now = (day + of_month) * DAY;
                    let end = (day + length) * DAY;
                    assert_eq!(period_end(Period::Month, now), end, "{year} day {of_month}");
                    assert_eq!(period_end(Period::Month, now + DAY - 1), end);
                    assert_eq!(period_end(Period::Day, now), now + DAY);
                }
                day += length;
            }
        }
    }
}
