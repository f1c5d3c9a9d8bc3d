//! A value that must never reach a log, an error message or a model.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

/// Wraps a credential so that printing it prints `[redacted]`.
///
/// There is no `Display` and no `Serialize`: the only way to the value is [`Secret::expose`], which
/// is easy to find in review. Equality is not offered either, because comparing secrets byte by
/// byte leaks their length of agreement; compare digests instead.
#[derive(Clone, Default)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Call it where the credential is put on the wire or digested, nowhere else.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Unwraps the value.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Secret<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        #[derive(Debug)]
        struct Holder {
            #[expect(dead_code, reason = "read through Debug")]
            token: Secret<String>,
        }
        let text = format!(
            "{:#?}",
            Holder {
                token: Secret::new("hunter2".to_owned())
            }
        );
        assert!(text.contains("[redacted]"));
        assert!(!text.contains("hunter2"));
    }
}
