//! Where a value is: its path in the configuration and its position in the file.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::fault::short;

/// A place in a text file; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    line: usize,
    column: usize,
}

impl Position {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };

    /// `line` and `column`, both counted from 1.
    pub const fn new(line: usize, column: usize) -> Self {
        Self { line, column }
    }

    /// The line, counted from 1.
    pub const fn line(self) -> usize {
        self.line
    }

    /// The column in characters, counted from 1.
    pub const fn column(self) -> usize {
        self.column
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The path of a value, shown as `auth.api_keys[1].id`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigPath(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Key(String),
    Index(usize),
}

impl Segment {
    /// What stands there in `holder`.
    fn of<'v>(&self, holder: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Key(key) => holder.get(key),
            Self::Index(index) => holder.get(index),
        }
    }
}

impl ConfigPath {
    /// The whole file.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// The value of `key` in this mapping.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    /// The item `index`, counted from 0, of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// Whether this is the whole file.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// True for a section of the file, or a value right in one.
    pub(super) fn is_near_the_top(&self) -> bool {
        self.0.len() <= 2
    }

    /// The mapping or list that holds this value; `None` for the whole file.
    pub fn parent(&self) -> Option<Self> {
        let (_, rest) = self.0.split_last()?;
        Some(Self(rest.to_vec()))
    }

    /// True when one of the two values holds the other, or they are the same.
    pub(super) fn is_related(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }

    /// True when the value at `other` is this one, or a part of it.
    pub(super) fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The same as RFC 6901 writes it.
    pub(super) fn pointer(&self) -> String {
        let steps = self.0.iter().map(|segment| match segment {
            Segment::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Index(index) => format!("/{index}"),
        });
        steps.collect()
    }

    /// How many keys and indices it has.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The same place below `to` as this one is below `from`; `None` if it is not below that.
    pub(super) fn rebased(&self, from: &Self, to: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(from.0.as_slice())?;
        Some(Self(to.0.iter().chain(rest).cloned().collect()))
    }

    /// The key at the top that this value belongs to.
    pub(crate) fn section(&self) -> Option<&str> {
        match self.0.first()? {
            Segment::Key(key) => Some(key),
            Segment::Index(_) => None,
        }
    }

    /// Leaves the value at this path out of `root`, and says which value is gone: a whole list for
    /// one of its items, so that the others keep their places; what should hold it, when it is not
    /// there.
    pub(super) fn prune(&self, root: &mut Value) -> Self {
        let mut gone = Self::root();
        let mut holder: &Value = root;
        for segment in &self.0 {
            let Some(value) = segment.of(holder) else {
                break;
            };
            gone = gone.with(segment.clone());
            holder = value;
        }
        while let Some(Segment::Index(_)) = gone.0.last() {
            gone.0.pop();
        }
        gone.remove_from(root);
        gone
    }

    fn remove_from(&self, root: &mut Value) {
        let Some((Segment::Key(last), holders)) = self.0.split_last() else {
            return;
        };
        let mut holder = Some(root);
        for segment in holders {
            holder = holder.and_then(|holder| match segment {
                Segment::Key(key) => holder.get_mut(key),
                Segment::Index(index) => holder.get_mut(index),
            });
        }
        if let Some(object) = holder.and_then(Value::as_object_mut) {
            object.remove(last);
        }
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for ConfigPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_plain(key) => {
                    let dot = if at == 0 { "" } else { "." };
                    write!(f, "{dot}{key}")?;
                }
                Segment::Key(key) => write!(f, "[\"{}\"]", short(key))?,
            }
        }
        Ok(())
    }
}

/// Where each value of a loaded file was written.
#[derive(Clone, Debug, Default)]
pub struct Spans(BTreeMap<ConfigPath, Place>);

#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Where the key is, for a value of a mapping.
    pub(super) key: Option<Position>,
    /// Where to point for the value: the key of a block below its key, else the value itself.
    pub(super) value: Position,
    /// Whether a part of the value came from the environment.
    pub(super) from_env: bool,
}

impl Spans {
    /// Where the value at `path` is; where the nearest enclosing value is, if it is not in the file.
    pub fn locate(&self, path: &ConfigPath) -> Position {
        self.nearest(path)
            .map_or(Position::START, |place| place.value)
    }

    /// Where the key of the value at `path` is, or what [`Spans::locate`] says if it has none.
    pub fn locate_key(&self, path: &ConfigPath) -> Position {
        let key = self.0.get(path).and_then(|place| place.key);
        key.unwrap_or_else(|| self.locate(path))
    }

    /// Whether the file says something at `path`.
    pub fn contains(&self, path: &ConfigPath) -> bool {
        self.0.contains_key(path)
    }

    pub(super) fn is_from_env(&self, path: &ConfigPath) -> bool {
        self.0.get(path).is_some_and(|place| place.from_env)
    }

    pub(super) fn insert(&mut self, path: ConfigPath, place: Place) {
        self.0.entry(path).or_insert(place);
    }

    fn nearest(&self, path: &ConfigPath) -> Option<&Place> {
        let mut path = path.clone();
        loop {
            if let Some(place) = self.0.get(&path) {
                return Some(place);
            }
            path = path.parent()?;
        }
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key.chars().count() <= super::fault::SHOWN
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_people_write_it() {
        let path = ConfigPath::root()
            .key("auth")
            .key("api_keys")
            .index(1)
            .key("id");
        assert_eq!(path.to_string(), "auth.api_keys[1].id");
        let odd = ConfigPath::root()
            .key("servers")
            .key("my server")
            .key("url");
        assert_eq!(odd.to_string(), "servers[\"my server\"].url");
    }

    #[test]
    fn a_value_that_is_not_there_is_located_at_its_nearest_parent() {
        let mut spans = Spans::default();
        let place = |line| Place {
            key: None,
            value: Position::new(line, 1),
            from_env: false,
        };
        spans.insert(ConfigPath::root(), place(1));
        spans.insert(ConfigPath::root().key("auth"), place(4));
        assert_eq!(
            spans
                .locate(&ConfigPath::root().key("auth").key("x").index(2))
                .line(),
            4
        );
        assert_eq!(spans.locate(&ConfigPath::root().key("http")).line(), 1);
        assert!(!spans.contains(&ConfigPath::root().key("http")));
    }
}
