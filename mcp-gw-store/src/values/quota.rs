//! What was used of quotas by the calendar.

use std::fmt;

use super::Time;

/// Whose count of which limit: a hash that the limiter makes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QuotaKey([u8; 16]);

impl QuotaKey {
    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// In hexadecimal, 32 digits.
impl fmt::Debug for QuotaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QuotaKey(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// What one key has used in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaRecord {
    /// Whose.
    pub key: QuotaKey,
    /// Units, at most `i64::MAX`.
    pub used: u64,
    /// When the period ends.
    pub until: Time,
}

impl QuotaRecord {
    /// `used` units of `key` in the period that ends at `until`.
    pub const fn new(key: QuotaKey, used: u64, until: Time) -> Self {
        Self { key, used, until }
    }
}

/// One quota that a request is to be charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaCharge {
    /// Whose.
    pub key: QuotaKey,
    /// Units to charge, at most `i64::MAX`; with 0 the count is only looked at, and it is admitted.
    pub cost: u64,
    /// The quota: so many units in the period, at most `i64::MAX`.
    pub max: u64,
    /// When the period that it is now ends. A count of an earlier period begins anew; when another
    /// node has begun a later one, that is charged.
    pub until: Time,
}

impl QuotaCharge {
    /// `cost` units of the `max` that `key` has until `until`.
    pub const fn new(key: QuotaKey, cost: u64, max: u64, until: Time) -> Self {
        Self {
            key,
            cost,
            max,
            until,
        }
    }

    /// Whether there is room after `used` units.
    pub(crate) const fn fits(&self, used: u64) -> bool {
        self.cost == 0 || used.saturating_add(self.cost) <= self.max
    }
}

/// Where a key stands with a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaStanding {
    /// True when this quota has room. The charge is made when all have.
    pub admitted: bool,
    /// Units used in the period, with this charge if it was made.
    pub used: u64,
    /// When the period ends.
    pub until: Time,
}

impl QuotaStanding {
    pub(crate) const fn new(admitted: bool, used: u64, until: Time) -> Self {
        Self {
            admitted,
            used,
            until,
        }
    }
}
