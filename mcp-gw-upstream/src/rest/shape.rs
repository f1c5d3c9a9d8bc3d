//! A JSON value as far as parameters care: one text, several, or named ones. Numbers keep their text.

use mcp_gw_core::RawJson;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use std::fmt;

/// A value, one level deep.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Null,
    /// A string without its quotes, or the text of a number, `true` or `false`.
    Text(String),
    List(Vec<RawJson>),
    Members(Vec<(String, RawJson)>),
}

impl Shape {
    /// Takes a value apart.
    pub(super) fn of(value: &RawJson) -> Result<Self, String> {
        let failed = |error: mcp_gw_core::JsonError| error.message;
        Ok(match value.as_bytes().first() {
            Some(b'{') => {
                let members = value.members().map_err(failed)?;
                let members = members.iter();
                Self::Members(
                    members
                        .map(|(name, raw)| (name.to_owned(), value.slice(raw)))
                        .collect(),
                )
            }
            Some(b'[') => Self::List(value.decode_owned().map_err(failed)?),
            Some(b'"') => Self::Text(value.decode_owned().map_err(failed)?),
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Text(value.as_str().to_owned()),
        })
    }

    /// The one text that the value is; a list or an object as JSON.
    pub(super) fn text_of(value: &RawJson) -> Result<String, String> {
        Ok(match Self::of(value)? {
            Self::Text(text) => text,
            Self::Null => String::new(),
            Self::List(_) | Self::Members(_) => value.as_str().to_owned(),
        })
    }
}

/// A value as a tree, in which no object has a member twice: what is checked is what is sent.
pub(super) struct Strict(pub(super) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StrictVisitor;
        impl<'de> Visitor<'de> for StrictVisitor {
            type Value = Strict;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict(Value::Null))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_string<E>(self, value: String) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
                let mut items = Vec::new();
                while let Some(Strict(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Strict(Value::Array(items)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
                let mut members = Map::new();
                while let Some(name) = map.next_key::<String>()? {
                    let Strict(value) = map.next_value()?;
                    if members.contains_key(&name) {
                        let name: String = name.chars().take(100).collect();
                        return Err(de::Error::custom(format_args!("duplicate member `{name}`")));
                    }
                    members.insert(name, value);
                }
                Ok(Strict(Value::Object(members)))
            }
        }
        deserializer.deserialize_any(StrictVisitor)
    }
}
