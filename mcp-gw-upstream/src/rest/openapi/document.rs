//! A description and the references in it.

use serde_json::{Map, Value};

use super::DescriptionError;
use crate::rest::text::{percent_decode, trimmed};

/// A description that is `OpenAPI` 3.
#[derive(Debug)]
pub(super) struct Document {
    root: Value,
    /// It is 3.0, where the keywords of schemas mean other things.
    pub(super) is_3_0: bool,
}

/// Why a reference leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RefFault {
    /// To another document: those are never fetched.
    External(String),
    /// Nothing is there.
    Missing(String),
    /// It leads to itself, or through too many others.
    Endless(String),
}

impl std::fmt::Display for RefFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::External(to) => write!(
                f,
                "the reference {to:?} leads out of the file; bundle the description into one file"
            ),
            Self::Missing(to) => write!(f, "the reference {to:?} leads to nothing"),
            Self::Endless(to) => write!(f, "the reference {to:?} leads back to itself"),
        }
    }
}

impl Document {
    /// Takes a tree that is a description, and says which.
    pub(super) fn new(root: Value) -> Result<Self, DescriptionError> {
        let Some(members) = root.as_object() else {
            return Err(DescriptionError::NotOpenApi);
        };
        if members.contains_key("swagger") {
            return Err(DescriptionError::Swagger);
        }
        let version = match members.get("openapi") {
            Some(Value::String(version)) => version.clone(),
            Some(Value::Number(version)) => version.to_string(),
            _ => return Err(DescriptionError::NotOpenApi),
        };
        let mut numbers = version.split('.');
        let is_3_0 = match (numbers.next(), numbers.next()) {
            (Some("3"), Some("0") | None) => true,
            // 3.2 adds to 3.1 and takes nothing away.
            (Some("3"), Some("1" | "2")) => false,
            _ => {
                let version = trimmed(&version, 40);
                return Err(DescriptionError::Version { version });
            }
        };
        Ok(Self { root, is_3_0 })
    }

    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.root.get(name)
    }

    /// What a `$ref` leads to, one step.
    pub(super) fn target(&self, to: &str) -> Result<&Value, RefFault> {
        let shown = || trimmed(to, 200);
        let Some(fragment) = to.strip_prefix('#') else {
            return Err(RefFault::External(shown()));
        };
        let pointer = String::from_utf8(percent_decode(fragment));
        let found = pointer.ok().and_then(|it| self.root.pointer(&it));
        found.ok_or_else(|| RefFault::Missing(shown()))
    }

    /// The value itself, or what its `$ref` leads to in the end.
    pub(super) fn resolve<'d>(&'d self, value: &'d Value) -> Result<&'d Value, RefFault> {
        let mut value = value;
        for _ in 0..MAX_HOPS {
            let Some(to) = reference(value) else {
                return Ok(value);
            };
            value = self.target(to)?;
        }
        let to = reference(value).unwrap_or_default();
        Err(RefFault::Endless(trimmed(to, 200)))
    }

    /// The same, where only an object is of use.
    pub(super) fn object<'d>(&'d self, value: &'d Value) -> Result<&'d Map<String, Value>, String> {
        let value = self.resolve(value).map_err(|fault| fault.to_string())?;
        value
            .as_object()
            .ok_or_else(|| "it is no object".to_owned())
    }
}

/// The `$ref` of a value.
pub(super) fn reference(value: &Value) -> Option<&str> {
    value.get("$ref").and_then(Value::as_str)
}

/// The most references in a row.
const MAX_HOPS: usize = 32;
