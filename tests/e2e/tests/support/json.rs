//! JSON as text: members in their order, numbers as they were written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, in order, as text.
#[derive(Debug)]
struct Ordered(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Ordered;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The members of the object `text`, in order, as text.
#[track_caller]
pub(crate) fn members(text: &str) -> Vec<(String, String)> {
    let Ordered(members) =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("not an object: {error}: {text}"));
    members
        .into_iter()
        .map(|(name, value)| (name, value.get().to_owned()))
        .collect()
}

/// The member `name` of the object `text`, as text.
#[track_caller]
pub(crate) fn member(text: &str, name: &str) -> Option<String> {
    let mut members = members(text).into_iter();
    members
        .find(|(found, _)| found == name)
        .map(|(_, value)| value)
}

/// The same through several objects; fails when it is not there.
#[track_caller]
pub(crate) fn at(text: &str, path: &[&str]) -> String {
    path.iter().fold(text.to_owned(), |inner, name| {
        member(&inner, name).unwrap_or_else(|| panic!("no `{name}` of {path:?} in {text}"))
    })
}

/// The items of the array `text`, as text.
#[track_caller]
pub(crate) fn items(text: &str) -> Vec<String> {
    let items: Vec<Box<RawValue>> =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("not an array: {error}: {text}"));
    items.iter().map(|item| item.get().to_owned()).collect()
}

/// The string that the JSON `text` is.
#[track_caller]
pub(crate) fn string(text: &str) -> String {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not a string: {error}: {text}"))
}

/// `text` as a JSON string.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
