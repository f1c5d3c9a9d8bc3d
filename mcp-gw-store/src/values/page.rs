//! Lists come in pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Result, StoreError};

/// The most items that a page has.
pub const MAX_PAGE: u32 = 1_000;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageRequest {
    /// At most so many items, from 1 to [`MAX_PAGE`]; what is outside is moved to the nearest end.
    pub limit: u32,
    /// After which place; `None` for the first page.
    pub after: Option<Cursor>,
}

impl PageRequest {
    /// The first `limit` items.
    pub const fn first(limit: u32) -> Self {
        Self { limit, after: None }
    }

    /// The items after `cursor`.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    pub(crate) fn limit(&self) -> usize {
        usize::try_from(self.limit.clamp(1, MAX_PAGE)).unwrap_or(1)
    }

    /// The place after which the page begins.
    pub(crate) fn place(&self, list: List) -> Result<Option<Place>> {
        self.after.as_ref().map(|it| it.open(list)).transpose()
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::first(100)
    }
}

/// A place in a list: opaque, to be given back as it came. Good for the list that gave it out, for as
/// long as there is one, whatever is added or deleted meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// What a client sent; whether it is a cursor is seen when it is used.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As text, of letters, digits, `-` and `_`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn new(list: List, place: &Place) -> Self {
        let text = match place {
            Place::Number(number) => format!("{}{number}", list.tag()),
            Place::Text(text) => format!("{}{text}", list.tag()),
        };
        Self(URL_SAFE_NO_PAD.encode(text))
    }

    fn open(&self, list: List) -> Result<Place> {
        let fault = || StoreError::invalid("the cursor", "is not one that this list gave out");
        let bytes = URL_SAFE_NO_PAD.decode(&self.0).map_err(|_| fault())?;
        let text = String::from_utf8(bytes).map_err(|_| fault())?;
        let rest = text.strip_prefix(list.tag()).ok_or_else(fault)?;
        if rest.contains('\0') {
            return Err(fault());
        }
        if list.is_by_number() {
            rest.parse().map(Place::Number).map_err(|_| fault())
        } else {
            Ok(Place::Text(rest.to_owned()))
        }
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which list a cursor is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Users,
    Keys,
    Templates,
    Instances,
    Revoked,
    Audit,
}

impl List {
    const fn tag(self) -> char {
        match self {
            Self::Users => 'u',
            Self::Keys => 'k',
            Self::Templates => 't',
            Self::Instances => 'i',
            Self::Revoked => 'r',
            Self::Audit => 'a',
        }
    }

    const fn is_by_number(self) -> bool {
        !matches!(self, Self::Templates | Self::Revoked)
    }
}

/// What a list is ordered by, at one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Number(i64),
    Text(String),
}

impl Place {
    pub(crate) fn number(place: Option<&Self>) -> Option<i64> {
        match place {
            Some(Self::Number(number)) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn into_text(place: Option<Self>) -> Option<String> {
        match place {
            Some(Self::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// Some items of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Where the next page begins; `None` when this is the last one.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// No items, and none to come.
    pub const fn empty() -> Self {
        let items = Vec::new();
        Self { items, next: None }
    }

    /// A page of up to `limit + 1` items, of which the last only says that there are more.
    pub(crate) fn of(
        mut items: Vec<T>,
        limit: usize,
        list: List,
        place: impl Fn(&T) -> Place,
    ) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let end = items.last().filter(|_| more);
        let next = end.map(|item| Cursor::new(list, &place(item)));
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_list_alone() {
        let cursor = Cursor::new(List::Users, &Place::Number(7));
        assert_eq!(cursor.open(List::Users), Ok(Place::Number(7)));
        assert!(cursor.open(List::Keys).is_err());
        let cursor = Cursor::new(List::Templates, &Place::Text("a b".to_owned()));
        assert_eq!(
            cursor.open(List::Templates),
            Ok(Place::Text("a b".to_owned()))
        );
        for text in ["", "?", "dTEyMzQ1Njc4OTAxMjM0NTY3ODkw", "dXg", "dAA", "_w"] {
            for list in [List::Users, List::Templates] {
                assert!(Cursor::from_text(text).open(list).is_err(), "{text}");
            }
        }
    }
}
