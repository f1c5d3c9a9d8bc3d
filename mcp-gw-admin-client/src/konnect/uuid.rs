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
