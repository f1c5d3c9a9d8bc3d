//! An answer as a tree in which no object has a member twice.

use std::collections::BTreeMap;
use std::fmt;

use jmespath::{Rcvar, Variable};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// What is said of an object that names a member twice: which one is meant nobody knows.
pub(super) const TWICE: &str = "an object with the same member twice";

pub(super) struct Tree(pub(super) Variable);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Self)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Variable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Variable, E> {
        Ok(Variable::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Variable, E> {
        Ok(Variable::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Variable, E> {
        Ok(Variable::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Variable, E> {
        Ok(Variable::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Variable, E> {
        Ok(Number::from_f64(value).map_or(Variable::Null, Variable::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Variable, E> {
        Ok(Variable::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Variable, E> {
        Ok(Variable::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Variable, A::Error> {
        let mut items = Vec::new();
        while let Some(Tree(item)) = seq.next_element()? {
            items.push(Rcvar::new(item));
        }
        Ok(Variable::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variable, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, Tree(value))) = map.next_entry::<String, Tree>()? {
            if members.insert(name, Rcvar::new(value)).is_some() {
                return Err(de::Error::custom(TWICE));
            }
        }
        Ok(Variable::Object(members))
    }
}
