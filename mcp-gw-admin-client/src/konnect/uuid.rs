//! A UUID.

use std::fmt;
use std::str::FromStr;

use crate::konnect::ids::{IdError, is_uuid};

/// A UUID, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(String);

impl Uuid {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// One that is always the same for the same text (RFC 9562 §5.8).
    #[cfg(feature = "tools")]
    pub(crate) fn made_of(text: &str) -> Self {
        // FNV-1a: it need not be safe, and has to stay what it is.
        let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
        let hash = text.bytes().fold(start, |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        });
        let hex = format!("{hash:032x}");
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        Self(format!(
            "{}-{}-8{}-8{}-{}",
            part(0, 8),
            part(8, 12),
            part(13, 16),
            part(17, 20),
            part(20, 32)
        ))
    }
}

impl FromStr for Uuid {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        is_uuid(text)
            .then(|| Self(text.to_ascii_lowercase()))
            .ok_or(IdError::Malformed)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(all(test, feature = "tools"))]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_made_is_one_and_stays_the_same() {
        let made = Uuid::made_of("http://127.0.0.1:8001 ");
        assert_eq!(made, Uuid::made_of("http://127.0.0.1:8001 "));
        assert_ne!(made, Uuid::made_of("http://127.0.0.1:8002 "));
        assert_eq!(made.as_str().parse(), Ok(made));
    }
}
