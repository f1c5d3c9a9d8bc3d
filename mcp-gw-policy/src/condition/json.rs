//! JSON as CEL values: claims from a tree, arguments straight from their text.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::ArgumentLimits;
use crate::number::{SKIPS_INTEGERS, is_exact};

/// A tree as a CEL map that borrows its texts.
pub(crate) fn map(members: &Map<String, Value>) -> CelMap<'_> {
    let members: HashMap<CelMapKey<'_>, Box<dyn Val + '_>> = members
        .iter()
        .map(|(key, member)| (CelMapKey::from(key.as_str()), value(member)))
        .collect();
    CelMap::from(members)
}

/// A tree as a CEL value that borrows its texts.
pub(crate) fn value(tree: &Value) -> Box<dyn Val + '_> {
    match tree {
        Value::Null => Box::new(CelNull),
        Value::Bool(truth) => Box::new(CelBool::from(*truth)),
        Value::Number(number) => self::number(number),
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => {
            let items: Vec<Box<dyn Val + '_>> = items.iter().map(value).collect();
            Box::new(CelList::from(items))
        }
        Value::Object(members) => Box::new(map(members)),
    }
}

fn number<'v>(number: &Number) -> Box<dyn Val + 'v> {
    if let Some(integer) = number.as_i64() {
        Box::new(CelInt::from(integer))
    } else if let Some(integer) = number.as_u64() {
        Box::new(CelUInt::from(integer))
    } else {
        let double = number.as_f64().unwrap_or(f64::NAN);
        match whole(double) {
            Some(whole) => whole,
            None => Box::new(CelDouble::from(double)),
        }
    }
}

/// A double from 2^53 on as the integer that it is: compared as a double it would be equal to others.
fn whole<'v>(double: f64) -> Option<Box<dyn Val + 'v>> {
    if double.abs() < SKIPS_INTEGERS || double.abs() > 1e20 {
        return None;
    }
    // All its digits are written, and from there on it has no others.
    let text = format!("{double:.0}");
    if let Ok(integer) = text.parse::<i64>() {
        return Some(Box::new(CelInt::from(integer)));
    }
    let integer = text.parse::<u64>().ok()?;
    Some(Box::new(CelUInt::from(integer)))
}

/// A tree as a CEL map of its own.
pub(crate) fn owned_map(members: &Map<String, Value>) -> CelMap<'static> {
    let members: HashMap<CelMapKey<'static>, Box<dyn Val>> = members
        .iter()
        .map(|(key, member)| (CelMapKey::from(key.clone()), owned(member)))
        .collect();
    CelMap::from(members)
}

fn owned(tree: &Value) -> Box<dyn Val> {
    match tree {
        Value::String(text) => Box::new(CelString::from(text.clone())),
        Value::Array(items) => Box::new(CelList::from(items.iter().map(owned).collect::<Vec<_>>())),
        Value::Object(members) => Box::new(owned_map(members)),
        Value::Null => Box::new(CelNull),
        Value::Bool(truth) => Box::new(CelBool::from(*truth)),
        Value::Number(number) => self::number(number),
    }
}

/// Reads the text of arguments for a condition.
///
/// # Errors
/// When they are larger than `limits`, name a member twice, or hold a number that CEL cannot hold
/// exactly: what a rule sees must be what the tool gets.
pub(crate) fn arguments<'v>(
    text: &'v str,
    limits: &ArgumentLimits,
) -> Result<Box<dyn Val + 'v>, String> {
    if text.len() > limits.bytes {
        return Err(format!(
            "the arguments have more than the {} bytes that a condition may read",
            limits.bytes
        ));
    }
    if numbers(text).any(|number| !is_exact(number)) {
        return Err(INEXACT.to_owned());
    }
    let mut reader = Reader {
        left: limits.values,
        limits: *limits,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    Seed {
        reader: &mut reader,
        depth: 0,
    }
    .deserialize(&mut json)
    .map_err(|error| without_position(&error))
}

/// The position would be one within the client's text, which nobody has at hand.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) if error.is_data() => message.to_owned(),
        _ => "the arguments cannot be read".to_owned(),
    }
}

struct Reader {
    left: usize,
    limits: ArgumentLimits,
}

struct Seed<'r> {
    reader: &'r mut Reader,
    depth: usize,
}

impl Seed<'_> {
    /// One level down.
    const fn within(&mut self) -> Seed<'_> {
        Seed {
            depth: self.depth.saturating_add(1),
            reader: self.reader,
        }
    }

    fn enter<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth >= self.reader.limits.depth {
            return Err(E::custom(format!(
                "the arguments are nested deeper than the {} levels that a condition may read",
                self.reader.limits.depth
            )));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Box<dyn Val + 'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        let Some(left) = self.reader.left.checked_sub(1) else {
            return Err(D::Error::custom(format!(
                "the arguments have more than the {} values that a condition may read",
                self.reader.limits.values
            )));
        };
        self.reader.left = left;
        json.deserialize_any(self)
    }
}

const INEXACT: &str = "the arguments hold a number that cannot be compared exactly";

/// The numbers in a JSON text that are written with a point or an exponent.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?;
            let found = rest.get(at..)?;
            if let Some(string) = found.strip_prefix('"') {
                let mut escaped = false;
                let end = string.find(|c: char| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                })?;
                rest = string.get(end + 1..)?;
                continue;
            }
            let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
            let end = found.find(|c: char| !is_part(c)).unwrap_or(found.len());
            let (number, after) = found.split_at_checked(end)?;
            rest = after;
            if number.contains(['.', 'e', 'E']) {
                return Some(number);
            }
        }
    })
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Box<dyn Val + 'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Box::new(CelNull))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(Box::new(CelBool::from(truth)))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Self::Value, E> {
        Ok(Box::new(CelInt::from(integer)))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Self::Value, E> {
        Ok(match i64::try_from(integer) {
            Ok(integer) => Box::new(CelInt::from(integer)),
            Err(_) => Box::new(CelUInt::from(integer)),
        })
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Self::Value, E> {
        if number.abs() < SKIPS_INTEGERS {
            Ok(Box::new(CelDouble::from(number)))
        } else {
            Err(E::custom(INEXACT))
        }
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Box::new(CelString::from(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Box::new(CelString::from(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self::Value, A::Error> {
        self.enter()?;
        let mut list: Vec<Box<dyn Val + 'de>> = Vec::new();
        while let Some(item) = items.next_element_seed(self.within())? {
            list.push(item);
        }
        Ok(Box::new(CelList::from(list)))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self::Value, A::Error> {
        self.enter()?;
        let mut map: HashMap<CelMapKey<'de>, Box<dyn Val + 'de>> = HashMap::new();
        while let Some(key) = members.next_key_seed(Key)? {
            let member = members.next_value_seed(self.within())?;
            match map.entry(key) {
                Entry::Vacant(vacant) => vacant.insert(member),
                Entry::Occupied(_) => {
                    return Err(A::Error::custom("the arguments name a member twice"));
                }
            };
        }
        Ok(Box::new(CelMap::from(map)))
    }
}

/// The name of a member.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = CelMapKey<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = CelMapKey<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(CelMapKey::from(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(CelMapKey::from(text.to_owned()))
    }
}
