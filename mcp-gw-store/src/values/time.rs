//! Times as they are stored.

use std::fmt;
use std::time::{Duration, SystemTime};

use mcp_gw_core::rfc3339;

/// A time of day, in whole microseconds since 1970-01-01 UTC: what every database keeps as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(i64);

impl Time {
    /// So many microseconds after 1970-01-01 UTC.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01 UTC.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Later by `by`, or as late as can be told.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// Earlier by `by`, or as early as can be told.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Cuts off what is less than a microsecond.
impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(micros(since)),
            Err(error) => Self(micros(error.duration()).saturating_neg()),
        }
    }
}

impl From<Time> for SystemTime {
    fn from(time: Time) -> Self {
        let distance = Duration::from_micros(time.0.unsigned_abs());
        let moved = if time.0 < 0 {
            Self::UNIX_EPOCH.checked_sub(distance)
        } else {
            Self::UNIX_EPOCH.checked_add(distance)
        };
        moved.unwrap_or(Self::UNIX_EPOCH)
    }
}

/// As RFC 3339 in UTC with milliseconds: `2026-07-28T09:30:00.125Z`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&rfc3339(SystemTime::from(*self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_from_the_systems_and_is_written_as_rfc_3339() {
        for micros in [0, 1, -1, 1_785_231_000_125_999, -62_135_596_800_000_000] {
            let time = Time::from_micros(micros);
            assert_eq!(Time::from(SystemTime::from(time)), time);
        }
        let text = Time::from_micros(1_785_231_000_125_999).to_string();
        assert_eq!(text, "2026-07-28T09:30:00.125Z");
        assert_eq!(
            Time::from_micros(i64::MAX).after(Duration::MAX).as_micros(),
            i64::MAX
        );
        assert_eq!(
            Time::from_micros(i64::MIN)
                .before(Duration::MAX)
                .as_micros(),
            i64::MIN
        );
    }
}
