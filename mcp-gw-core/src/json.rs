//! JSON that travels as text: validated once, sliced, spliced, never rebuilt.
//!
//! A gateway must hand on what it does not understand: unknown members, the text of a number, the
//! order of keys. So payloads are kept as the bytes they came in, and a tree is made only where
//! somebody needs one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::de::{self, DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

mod quote;

/// One complete JSON value as text, cheap to clone.
///
/// It always holds exactly one valid JSON value (RFC 8259) in UTF-8 without surrounding blanks.
/// A clone shares the buffer it was cut from, so a small value cut from a large message keeps that
/// message in memory; use [`RawJson::detached`] for what is kept for long.
#[derive(Clone)]
pub struct RawJson {
    text: Bytes,
    /// Where its members stand, when it is an object and that was seen while it was read: each name once, and none
    /// written with escapes.
    top: Option<Arc<[Spot]>>,
}

/// Where a member stands in the text of an object: its name without quotes, and its value.
#[derive(Debug, Clone)]
struct Spot {
    name: Range<u32>,
    value: Range<u32>,
}

/// One JSON value as borrowed text: a part of a [`RawJson`], or of a message that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonText<'a>(&'a [u8]);

impl<'a> JsonText<'a> {
    /// The text.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text. Costs one UTF-8 check over the whole value.
    pub fn get(self) -> &'a str {
        std::str::from_utf8(self.0).unwrap_or("null")
    }
}

impl fmt::Display for JsonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl<'a> From<&'a RawValue> for JsonText<'a> {
    fn from(value: &'a RawValue) -> Self {
        Self(value.get().as_bytes())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Self::from)
    }
}

/// Why a text could not be read as the JSON that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{message} at line {line} column {column}")]
#[non_exhaustive]
pub struct JsonError {
    /// What was wrong, without the position.
    pub message: String,
    /// Line of the fault, counted from 1; 0 when unknown.
    pub line: usize,
    /// Column of the fault, counted from 1; 0 when unknown.
    pub column: usize,
    /// True when the text is not JSON at all; false when it is JSON of another shape.
    pub is_syntax: bool,
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let position = format!(" at line {line} column {column}");
        Self {
            message: text.strip_suffix(&position).unwrap_or(&text).to_owned(),
            line,
            column,
            is_syntax: !error.is_data(),
        }
    }
}

/// A text that is looked for in every message: prepared once, as preparing takes longer than looking through a
/// short message.
#[derive(Debug)]
pub struct Needle {
    text: &'static str,
    finder: OnceLock<Finder<'static>>,
}

impl Needle {
    /// Looks for `text`, byte by byte: a name in quotes, or the beginning of an escape that could hide it.
    pub const fn new(text: &'static str) -> Self {
        Self {
            text,
            finder: OnceLock::new(),
        }
    }

    /// Where it stands first.
    pub fn find(&self, text: &[u8]) -> Option<usize> {
        let finder = self.finder.get_or_init(|| Finder::new(self.text));
        finder.find(text)
    }

    /// True when the text of this value has it, in whatever place.
    pub fn is_in(&self, json: &RawJson) -> bool {
        self.find(json.as_bytes()).is_some()
    }
}

/// An escape that can stand for a letter (RFC 8259 §7), and so hide a name.
pub static ESCAPE: Needle = Needle::new("\\u");

impl RawJson {
    /// Takes the text of one JSON value after checking it.
    ///
    /// # Errors
    /// When `text` is not exactly one JSON value in UTF-8.
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, JsonError> {
        let text = text.into();
        let value: JsonText<'_> = serde_json::from_slice(&text)?;
        Ok(Self::within(&text, value))
    }

    const fn of(text: Bytes) -> Self {
        Self { text, top: None }
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// When `value` cannot be JSON: a map whose keys are not strings, for example.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        Ok(Self::of(serde_json::to_vec(value)?.into()))
    }

    /// `value` as a slice of `parent`, without a copy when it was borrowed from there.
    pub fn within(parent: &Bytes, value: JsonText<'_>) -> Self {
        Self::of(match place(parent, value.0) {
            Some(place) => parent.slice(place),
            None => Bytes::copy_from_slice(value.0),
        })
    }

    /// The same of an object whose members stand at `top`.
    pub(crate) fn object_within(parent: &Bytes, value: JsonText<'_>, top: &Top) -> Self {
        Self {
            top: top.0.clone(),
            ..Self::within(parent, value)
        }
    }

    /// False when this is surely no object with a member of one of these names, which are given in quotes: next to
    /// nothing where its members are known, and a search of the text otherwise.
    pub fn may_have(&self, names: &[&Needle]) -> bool {
        match self.known() {
            // A name may be written with escapes.
            None => names.iter().any(|name| name.is_in(self)) || ESCAPE.is_in(self),
            Some(known) => {
                let mut names = names.iter().map(|name| name.text.trim_matches('"'));
                names.any(|name| known.get(name).is_some())
            }
        }
    }

    /// The members, where it is known where they stand: without reading anything.
    pub(crate) fn known(&self) -> Option<Known<'_>> {
        let spots = self.top.as_deref()?;
        Some(Known {
            text: &self.text,
            spots,
        })
    }

    /// Takes what is known to be one JSON value in UTF-8.
    pub(crate) fn of_checked(text: Vec<u8>) -> Self {
        Self::of(text.into())
    }

    /// A part of this value, sharing its buffer when it was borrowed from there.
    #[must_use]
    pub fn slice(&self, part: JsonText<'_>) -> Self {
        Self::within(&self.text, part)
    }

    /// The value `{}`.
    pub const fn empty_object() -> Self {
        Self::of(Bytes::from_static(b"{}"))
    }

    /// The value `null`.
    pub const fn null() -> Self {
        Self::of(Bytes::from_static(b"null"))
    }

    /// A JSON string.
    pub fn string(text: &str) -> Self {
        let mut out = Vec::with_capacity(text.len() + 2);
        write_string(&mut out, text);
        Self::of(out.into())
    }

    /// A JSON array of these.
    pub(crate) fn array(items: &[Self]) -> Self {
        let length = items.iter().map(|item| item.len() + 1).sum::<usize>();
        let mut out = Vec::with_capacity(length + 2);
        write_array(&mut out, items);
        Self::of(out.into())
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The text. Costs one UTF-8 check over the whole value.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or("null")
    }

    /// The text as a cheap clone of the buffer.
    pub fn to_bytes(&self) -> Bytes {
        self.text.clone()
    }

    /// Length of the text in bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Never true: a JSON value has at least one byte.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// True for an object.
    pub fn is_object(&self) -> bool {
        self.text.first() == Some(&b'{')
    }

    /// True for `null`.
    pub fn is_null(&self) -> bool {
        &*self.text == b"null"
    }

    /// A copy that does not keep the message it was cut from in memory.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            text: Bytes::copy_from_slice(&self.text),
            top: self.top.clone(),
        }
    }

    /// Reads the value into `T`.
    ///
    /// # Errors
    /// When the value has another shape than `T` expects.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, JsonError> {
        Ok(serde_json::from_slice(&self.text)?)
    }

    /// Reads the value into an owned `T`, consuming nothing.
    ///
    /// # Errors
    /// When the value has another shape than `T` expects.
    pub fn decode_owned<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        self.decode()
    }

    /// The value as a tree.
    ///
    /// # Errors
    /// When the value nests deeper than 128 levels or holds a number that no tree can.
    pub fn to_value(&self) -> Result<serde_json::Value, JsonError> {
        self.decode()
    }

    /// The top-level members of an object.
    ///
    /// # Errors
    /// When the value is not an object, or names a member twice.
    pub fn members(&self) -> Result<Members<'_>, JsonError> {
        let Some(top) = &self.top else {
            return self.decode();
        };
        let named = |spot: &Spot| {
            let name = std::str::from_utf8(part(&self.text, &spot.name)).unwrap_or_default();
            let value = JsonText(part(&self.text, &spot.value));
            (Cow::Borrowed(name), value)
        };
        Ok(Members(top.iter().map(named).collect()))
    }

    /// The member `key` of an object, sharing this value's buffer.
    ///
    /// # Errors
    /// When the value is not an object, or names a member twice.
    pub fn member(&self, key: &str) -> Result<Option<Self>, JsonError> {
        if let Some(known) = self.known() {
            return Ok(known.get(key).map(|value| self.slice(value)));
        }
        Ok(self.members()?.get(key).map(|value| self.slice(value)))
    }
}

/// Members whose places are known.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    text: &'a [u8],
    spots: &'a [Spot],
}

impl<'a> Known<'a> {
    /// The value of the member `name`.
    pub(crate) fn get(&self, name: &str) -> Option<JsonText<'a>> {
        let is_it = |spot: &&Spot| part(self.text, &spot.name) == name.as_bytes();
        let spot = self.spots.iter().find(is_it)?;
        Some(JsonText(part(self.text, &spot.value)))
    }
}

/// Two are equal when their texts are.
impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RawJson {}

/// Where `inner` stands, when it is a part of `outer`.
fn place(outer: &[u8], inner: &[u8]) -> Option<Range<usize>> {
    let start = (inner.as_ptr() as usize).checked_sub(outer.as_ptr() as usize)?;
    let end = start.checked_add(inner.len())?;
    (end <= outer.len()).then_some(start..end)
}

/// What stands there.
fn part<'t>(text: &'t [u8], at: &Range<u32>) -> &'t [u8] {
    text.get(at.start as usize..at.end as usize)
        .unwrap_or_default()
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl fmt::Display for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Default for RawJson {
    fn default() -> Self {
        Self::null()
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue =
            serde_json::from_slice(&self.text).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::of(String::from(Box::<str>::from(raw)).into()))
    }
}

/// The top-level members of a JSON object, in their order, values as text.
///
/// Reading fails when a name occurs twice: two readers of such an object may see different values,
/// and what was checked would not be what is forwarded.
#[derive(Debug, Clone, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, JsonText<'a>)>);

impl<'a> Members<'a> {
    /// The value of the member `key`.
    pub fn get(&self, key: &str) -> Option<JsonText<'a>> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|&(_, value)| value)
    }

    /// All members, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, JsonText<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True for `{}`.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object whose members these are, and where they stand in it, when all of it was borrowed from `text`; `None`
    /// when they do not tell that, as of an empty one, or when a name is written with escapes.
    pub(crate) fn object_in(&self, text: &'a [u8]) -> Option<(JsonText<'a>, Top)> {
        let (first, _) = self.0.first()?;
        let (_, last) = self.0.last()?;
        let before = text.get(..place(text, first.as_bytes())?.start)?;
        let before = before.strip_suffix(b"\"")?.trim_ascii_end();
        let start = before.strip_suffix(b"{")?.len();
        let behind = text.get(place(text, last.0)?.end..)?.trim_ascii_start();
        let end = text.len() - behind.strip_prefix(b"}")?.len();
        let object = text.get(start..end)?;
        let at = |part: &[u8]| -> Option<Range<u32>> {
            let at = place(object, part)?;
            Some(at.start.try_into().ok()?..at.end.try_into().ok()?)
        };
        let spot = |(name, value): &(Cow<'_, str>, JsonText<'_>)| {
            Some(Spot {
                name: at(name.as_bytes())?,
                value: at(value.0)?,
            })
        };
        let spots: Option<Arc<[Spot]>> = self.0.iter().map(spot).collect();
        Some((JsonText(object), Top(Some(spots?))))
    }
}

/// Where the members of an object stand, when that is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Top(Option<Arc<[Spot]>>);

/// A member name, borrowed from the text unless it is written with escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }
            fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(v)))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor { most: usize::MAX })
    }
}

/// Reads up to so many members.
struct MembersVisitor {
    most: usize,
}

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(Cow<'de, str>, JsonText<'de>)> = Vec::new();
        // A linear search is quickest for the few members of a message; a hostile object
        // with many must not cost the square of their number.
        let mut seen: HashSet<Cow<'de, str>> = HashSet::new();
        while let Some(Name(name)) = map.next_key()? {
            if members.len() == self.most {
                return Err(de::Error::custom("too many members"));
            }
            let value = map.next_value()?;
            let twice = if members.len() < LINEAR {
                members.iter().any(|(other, _)| *other == name)
            } else {
                if seen.is_empty() {
                    seen.extend(members.iter().map(|(other, _)| other.clone()));
                }
                !seen.insert(name.clone())
            };
            if twice {
                return Err(de::Error::custom(format_args!("duplicate member `{name}`")));
            }
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

/// The members of an object that has few: where they stand is kept for as long as the object is.
pub(crate) struct FewMembers<'a>(pub(crate) Members<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for FewMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let few = MembersVisitor { most: LINEAR };
        deserializer.deserialize_map(few).map(Self)
    }
}

/// Up to this many members are compared one by one.
const LINEAR: usize = 24;

/// Writes a JSON object member by member, taking values as text.
#[derive(Debug)]
pub struct ObjectWriter {
    out: Vec<u8>,
    first: bool,
}

impl ObjectWriter {
    /// Starts an object; `capacity` is the expected length in bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity);
        out.push(b'{');
        Self { out, first: true }
    }

    /// Adds a member whose value is already JSON text.
    #[must_use]
    pub fn raw(mut self, name: &str, value: &RawJson) -> Self {
        self.put(name, value.as_bytes());
        self
    }

    /// Adds a member whose value is borrowed JSON text.
    #[must_use]
    pub fn raw_value(mut self, name: &str, value: JsonText<'_>) -> Self {
        self.put(name, value.0);
        self
    }

    /// Adds a member with a string value.
    #[must_use]
    pub fn string(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        write_string(&mut self.out, value);
        self
    }

    /// Adds a member whose value is JSON text in pieces, none of which ends within a string.
    pub(crate) fn pieces(mut self, name: &str, value: &[&[u8]]) -> Self {
        self.name(name);
        for piece in value {
            self.out.extend_from_slice(piece);
        }
        self
    }

    /// Adds an object, whose members `write` adds.
    #[must_use]
    pub fn object(mut self, name: &str, write: impl FnOnce(Self) -> Self) -> Self {
        self.name(name);
        self.out.push(b'{');
        self.first = true;
        let mut written = write(self);
        written.out.push(b'}');
        written.first = false;
        written
    }

    /// Adds an array of one object that this makes, and of values that are JSON text.
    pub(crate) fn array_of(
        mut self,
        name: &str,
        first: impl FnOnce(Self) -> Self,
        others: &[RawJson],
    ) -> Self {
        self.name(name);
        self.out.extend_from_slice(b"[{");
        let first = first(Self {
            out: self.out,
            first: true,
        });
        self.out = first.out;
        self.out.push(b'}');
        for value in others {
            self.out.push(b',');
            self.out.extend_from_slice(value.as_bytes());
        }
        self.out.push(b']');
        self
    }

    /// Adds a member with a string that holds such text, and says how many lists and objects are within each
    /// other there.
    pub(crate) fn quoted(mut self, name: &str, value: &[&[u8]]) -> (Self, usize) {
        self.name(name);
        let depth = quote::write(&mut self.out, value);
        (self, depth)
    }

    /// Adds a member with an integer value.
    #[must_use]
    pub fn integer(mut self, name: &str, value: i64) -> Self {
        self.put(name, value.to_string().as_bytes());
        self
    }

    /// Adds a member with a boolean value.
    #[must_use]
    pub fn boolean(mut self, name: &str, value: bool) -> Self {
        self.put(name, if value { b"true" } else { b"false" });
        self
    }

    /// Adds an array of values that are already JSON text.
    #[must_use]
    pub fn array<'v>(mut self, name: &str, values: impl IntoIterator<Item = &'v RawJson>) -> Self {
        self.name(name);
        write_array(&mut self.out, values);
        self
    }

    /// Adds all of `members` except those that `skip` names.
    #[must_use]
    pub fn members(mut self, members: &Members<'_>, skip: &[&str]) -> Self {
        for (name, value) in members.iter().filter(|(name, _)| !skip.contains(name)) {
            self.put(name, value.0);
        }
        self
    }

    /// What is written up to the value of a member of this name, which is not there yet.
    pub(crate) fn open(mut self, name: &str) -> Vec<u8> {
        self.name(name);
        self.out
    }

    /// Closes the object.
    #[must_use]
    pub fn finish(mut self) -> RawJson {
        self.out.push(b'}');
        RawJson::of(self.out.into())
    }

    /// Closes the object with all members of `rest`, byte for byte as they are written there. When
    /// `rest` is not an object it adds nothing.
    #[must_use]
    pub fn finish_with(mut self, rest: &RawJson) -> RawJson {
        let Some(tail) = rest.as_bytes().strip_prefix(b"{") else {
            return self.finish();
        };
        let is_empty = tail.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
        if !is_empty && !self.first {
            self.out.push(b',');
        }
        self.out.extend_from_slice(tail);
        RawJson::of(self.out.into())
    }

    fn put(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(value);
    }

    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        write_string(&mut self.out, name);
        self.out.push(b':');
    }
}

impl Default for ObjectWriter {
    fn default() -> Self {
        Self::with_capacity(128)
    }
}

fn write_array<'v>(out: &mut Vec<u8>, values: impl IntoIterator<Item = &'v RawJson>) {
    out.push(b'[');
    let mut first = true;
    for value in values {
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b']');
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    // Without a way out in the middle this is done for many bytes at once.
    let special = |b: u8| u8::from(matches!(b, ..0x20 | b'"' | b'\\'));
    if text.bytes().fold(0, |found, b| found | special(b)) == 0 {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing a string into memory cannot fail; serde_json's signature only allows for it.
        let _ = serde_json::to_writer(out, text);
    }
}

#[cfg(test)]
mod tests;
