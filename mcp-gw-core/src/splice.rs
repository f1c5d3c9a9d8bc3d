//! Edits to JSON text: some values are replaced, every other byte stays as it was.

use std::ops::Range;

use crate::json::{JsonText, RawJson};

/// A JSON text and the values in it that are going to be replaced.
///
/// ```
/// use mcp_gw_core::{RawJson, Splice};
///
/// let text = RawJson::parse(r#"{ "a": 1.0, "uri": "x" }"#)?;
/// let members = text.members()?;
/// let mut splice = Splice::of(&text);
/// if let Some(uri) = members.get("uri") {
///     splice.replace(uri, RawJson::string("y"));
/// }
/// assert_eq!(splice.finish().as_str(), r#"{ "a": 1.0, "uri": "y" }"#);
/// # Ok::<(), mcp_gw_core::JsonError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Splice<'a> {
    source: &'a RawJson,
    edits: Vec<(Range<usize>, RawJson)>,
}

impl<'a> Splice<'a> {
    /// No edits yet.
    pub const fn of(source: &'a RawJson) -> Self {
        Self {
            source,
            edits: Vec::new(),
        }
    }

    /// Puts `with` in the place of `part`, which was borrowed from the source; anything else is no
    /// part of it, and nothing happens. Of edits that overlap, the one that begins first is made.
    pub fn replace(&mut self, part: JsonText<'_>, with: RawJson) {
        let text = part.get().as_bytes();
        let start = (text.as_ptr() as usize).wrapping_sub(self.source.as_bytes().as_ptr() as usize);
        match start.checked_add(text.len()) {
            Some(end) if end <= self.source.len() => self.edits.push((start..end, with)),
            _ => {}
        }
    }

    /// True when nothing is going to be replaced.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The text with its edits; without any, the source itself and no copy.
    #[must_use]
    pub fn finish(mut self) -> RawJson {
        if self.edits.is_empty() {
            return self.source.clone();
        }
        self.edits.sort_by_key(|(range, _)| range.start);
        let source = self.source.as_bytes();
        let more: usize = self.edits.iter().map(|(_, with)| with.len()).sum();
        let mut out = Vec::with_capacity(source.len() + more);
        let mut at = 0;
        for (range, with) in &self.edits {
            if range.start < at {
                continue;
            }
            out.extend_from_slice(source.get(at..range.start).unwrap_or_default());
            out.extend_from_slice(with.as_bytes());
            at = range.end;
        }
        out.extend_from_slice(source.get(at..).unwrap_or_default());
        RawJson::of_checked(out)
    }
}

impl RawJson {
    /// The object with another value for its member `key`; a member that is not there is added at
    /// the end. Everything else stays byte for byte.
    ///
    /// # Errors
    /// When the value is not an object, or names a member twice.
    pub fn with_member(&self, key: &str, value: &Self) -> Result<Self, crate::JsonError> {
        let members = self.members()?;
        if let Some(old) = members.get(key) {
            let mut splice = Splice::of(self);
            splice.replace(old, value.clone());
            return Ok(splice.finish());
        }
        let writer = crate::ObjectWriter::with_capacity(self.len() + key.len() + value.len() + 8);
        Ok(writer.members(&members, &[]).raw(key, value).finish())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_of_the_source_changes_nothing() {
        let source = RawJson::parse(r#"{"a":1}"#).unwrap();
        let other = source.detached();
        let members = other.members().unwrap();
        let mut splice = Splice::of(&source);
        splice.replace(members.get("a").unwrap(), RawJson::null());
        assert!(splice.is_empty());
        assert_eq!(splice.finish(), source);
    }

    #[test]
    fn a_member_is_replaced_in_its_place_or_added_at_the_end() {
        let source = RawJson::parse(r#"{ "a" : 1.0 , "b":2 }"#).unwrap();
        let one = RawJson::parse("7").unwrap();
        let with = |key| source.with_member(key, &one).unwrap();
        assert_eq!(with("a").as_str(), r#"{ "a" : 7 , "b":2 }"#);
        assert_eq!(with("c").as_str(), r#"{"a":1.0,"b":2,"c":7}"#);
        assert!(one.with_member("a", &one).is_err());
        let twice = RawJson::parse(r#"{"a":1,"a":2}"#).unwrap();
        assert!(twice.with_member("a", &one).is_err());
    }

    proptest! {
        #[test]
        fn only_the_replaced_values_differ(
            keys in prop::collection::btree_set("[a-z\"\\\\]{1,5}", 1..8),
            picked in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let tree: serde_json::Map<_, _> =
                keys.iter().map(|key| (key.clone(), format!("old {key}").into())).collect();
            let source = RawJson::from_serialize(&tree).unwrap();
            let members = source.members().unwrap();
            let names: Vec<_> = keys.iter().collect();
            let mut expected = tree.clone();
            let mut splice = Splice::of(&source);
            for index in picked {
                let name = names[index.index(names.len())];
                splice.replace(members.get(name).unwrap(), RawJson::string("new"));
                expected.insert(name.clone(), "new".into());
            }
            prop_assert_eq!(splice.finish().to_value().unwrap(), serde_json::Value::from(expected));
        }
    }
}
