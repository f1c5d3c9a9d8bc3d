//! Names of a server's own things in texts, and what its clients know them by.
//!
//! Where names get a prefix, or tools are renamed, a text that says "read it with `get_item`" names
//! something that its reader cannot call. What a server says is its own words and stays as it is, with a
//! note beside it; who writes for this gateway has its texts follow the names
//! ([`Offer::texts_follow_names`](crate::Offer::texts_follow_names)).

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memmem;

use crate::json::RawJson;

/// What stands before each text in a definition that is read by people and models.
const DESCRIPTION: &[u8] = b"\"description\"";

/// What things of one server are called for the clients of an endpoint: those that have another name there. By
/// default: none has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wording(Arc<[(Arc<str>, Arc<str>)]>);

impl Default for Wording {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl Wording {
    /// Of pairs of what the server calls a thing and what clients do.
    pub(crate) fn of(pairs: Vec<(Arc<str>, Arc<str>)>) -> Self {
        let is_plain = |name: &str| {
            let needs_escape = |c: char| c == '"' || c == '\\' || c.is_control();
            !name.is_empty() && !name.contains(needs_escape)
        };
        let mut pairs: Vec<_> = pairs
            .into_iter()
            .filter(|(own, shown)| own != shown && is_plain(own) && is_plain(shown))
            .collect();
        // Of two that begin alike the longer one is meant.
        pairs.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        pairs.dedup();
        Self(pairs.into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text with the names that clients know, wherever one of the server's stands as a word of its own.
    pub(crate) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut told = String::new();
        let mut from = 0;
        for (at, own, shown) in self.named_in(text) {
            told.push_str(text.get(from..at).unwrap_or_default());
            told.push_str(shown);
            from = at + own.len();
        }
        if from == 0 {
            return Cow::Borrowed(text);
        }
        told.push_str(text.get(from..).unwrap_or_default());
        Cow::Owned(told)
    }

    /// Which of them a text names, each once, in the order of the text.
    pub(crate) fn pairs_in(&self, text: &str) -> Vec<(&str, &str)> {
        let mut found: Vec<(&str, &str)> = Vec::new();
        for (_, own, shown) in self.named_in(text) {
            if !found.contains(&(own, shown)) {
                found.push((own, shown));
            }
        }
        found
    }

    /// The definition of an item with the names that clients know in its descriptions.
    pub(crate) fn definition(&self, definition: &RawJson) -> RawJson {
        if self.is_empty() {
            return definition.clone();
        }
        let text = definition.as_str();
        let mut told = String::new();
        let mut from = 0;
        // Inside of a string the quotes would be escaped, so what is found is the name of a member.
        for at in memmem::find_iter(text.as_bytes(), DESCRIPTION) {
            let Some(said) = string_member(text, at + DESCRIPTION.len()) else {
                continue;
            };
            let start = text.len() - said.len();
            let end = start + end_of_string(said);
            let (Some(before), Some(said)) = (text.get(from..start), text.get(start..end)) else {
                continue;
            };
            if let Cow::Owned(worded) = self.text(said) {
                told.push_str(before);
                told.push_str(&worded);
                from = end;
            }
        }
        if from == 0 {
            return definition.clone();
        }
        told.push_str(text.get(from..).unwrap_or_default());
        RawJson::parse(told).unwrap_or_else(|_| definition.clone())
    }

    /// Where names of the server stand in a text: at which byte, which name, and what clients call it.
    fn named_in<'w>(&'w self, text: &str) -> Vec<(usize, &'w str, &'w str)> {
        let mut found = Vec::new();
        if self.is_empty() {
            return found;
        }
        let mut before = None;
        let mut next = 0;
        for (at, c) in text.char_indices() {
            let begins = before.is_none_or(|before| !goes_on(before) && before != '+');
            before = Some(c);
            if at < next || !begins {
                continue;
            }
            let rest = text.get(at..).unwrap_or_default();
            let named = self.0.iter().find(|(own, _)| {
                let after = rest.strip_prefix(&**own);
                after.is_some_and(|after| !after.starts_with(goes_on))
            });
            if let Some((own, shown)) = named {
                found.push((at, &**own, &**shown));
                next = at + own.len();
            }
        }
        found
    }
}

/// True for what a name goes on with.
fn goes_on(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// What comes after the opening quote of a member's value, where that is a string. `at` is behind its name.
fn string_member(text: &str, at: usize) -> Option<&str> {
    let value = text.get(at..)?.trim_start().strip_prefix(':')?;
    value.trim_start().strip_prefix('"')
}

/// Where a string ends, from behind its opening quote.
fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wording(pairs: &[(&str, &str)]) -> Wording {
        let pairs = pairs.iter().map(|&(own, shown)| (own.into(), shown.into()));
        Wording::of(pairs.collect())
    }

    fn prefixed() -> Wording {
        wording(&[
            ("get_item", "a__get_item"),
            ("get_item_by_name", "a__by-name"),
            ("get-it", "a__get-it"),
            ("text://list.json", "a+text://list.json"),
            ("kept", "kept"),
        ])
    }

    #[test]
    fn names_in_texts_are_those_that_can_be_called() {
        for (text, wanted) in [
            (
                "Read it first (get_item), then get_item_by_name.",
                "Read it first (a__get_item), then a__by-name.",
            ),
            ("get_item", "a__get_item"),
            (
                "`get_item`, \"get_item\": get-it.",
                "`a__get_item`, \"a__get_item\": a__get-it.",
            ),
            ("See text://list.json.", "See a+text://list.json."),
            ("ä get_item ä", "ä a__get_item ä"),
        ] {
            assert_eq!(prefixed().text(text), wanted);
        }
        for text in [
            "",
            "forget_item, get_items, get_item_, _get_item, äget_item, get-item",
            "a__get_item, a+text://list.json",
            "kept",
        ] {
            assert!(matches!(prefixed().text(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn two_tools_may_have_changed_names() {
        let swapped = wording(&[("one", "two"), ("two", "one")]);
        assert_eq!(swapped.text("one, two, one"), "two, one, two");
        assert_eq!(
            swapped.pairs_in("two or one or two"),
            [("two", "one"), ("one", "two")]
        );
    }

    #[test]
    fn of_a_definition_the_descriptions_follow_and_nothing_else() {
        let definition = RawJson::parse(
            r#"{"name":"get_item","description":"Not \"get_item\\","inputSchema":{"properties":{"get_item":{"description" : "See get_item.","const":"get_item"},"description":{"enum":["get_item","\"description\":\"get_item"]}}}}"#,
        )
        .unwrap();
        let wanted = r#"{"name":"get_item","description":"Not \"a__get_item\\","inputSchema":{"properties":{"get_item":{"description" : "See a__get_item.","const":"get_item"},"description":{"enum":["get_item","\"description\":\"get_item"]}}}}"#;
        assert_eq!(prefixed().definition(&definition).as_str(), wanted);
        assert_eq!(Wording::default().definition(&definition), definition);
    }

    proptest! {
        #[test]
        fn any_text_can_be_worded_and_any_definition_stays_one(text in ".{0,64}|(get_item|[ ._\"\\\\(+-]){0,8}") {
            let _ = prefixed().text(&text);
            let definition = RawJson::from_serialize(&serde_json::json!({
                "description": text, "x": {"description": [text], "y": text},
            })).unwrap();
            let worded = prefixed().definition(&definition);
            let read = worded.to_value().unwrap();
            prop_assert_eq!(&read["x"], &definition.to_value().unwrap()["x"]);
            prop_assert!(read["description"].is_string());
        }
    }
}
