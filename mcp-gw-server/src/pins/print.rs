//! What is pinned of a definition, and its fingerprint.

use std::collections::BTreeMap;
use std::fmt;

use mcp_gw_core::{Feature, ObjectWriter, Offer, RawJson};
use sha2::{Digest as _, Sha256};

use super::canonical::canonical;

/// The kinds of things that are pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Tool,
    Prompt,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Tool, Self::Prompt];

    /// The word for one of them.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
        }
    }

    /// The word for many of them, which is also their member in the file.
    pub(crate) const fn plural(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Prompt => "prompts",
        }
    }

    pub(crate) const fn feature(self) -> Feature {
        match self {
            Self::Tool => Feature::Tool,
            Self::Prompt => Feature::Prompt,
        }
    }

    /// The members of a definition that are pinned, sorted.
    const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Tool => &[
                "annotations",
                "description",
                "inputSchema",
                "name",
                "outputSchema",
                "title",
            ],
            Self::Prompt => &["arguments", "description", "name", "title"],
        }
    }
}

/// The SHA-256 digest of what is pinned of a definition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// Reads 64 lower-case hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        if text.len() != 64 || !text.as_bytes().iter().all(is_hex) {
            return None;
        }
        let mut digest = [0; 32];
        for (place, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            *place = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(digest))
    }

    /// So much of it as people compare.
    pub(crate) fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is pinned of one definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Print {
    pub(crate) digest: Digest,
    /// The members that are pinned, in canonical form; as they were written when they are too long
    /// for that.
    pub(crate) text: RawJson,
}

impl Print {
    pub(crate) fn of(kind: Kind, definition: &RawJson) -> Self {
        let pinned = match definition.members() {
            Ok(members) => {
                let mut writer = ObjectWriter::with_capacity(definition.len());
                for name in kind.members() {
                    if let Some(value) = members.get(name) {
                        writer = writer.raw_value(name, value);
                    }
                }
                writer.finish()
            }
            // No offer holds such a one.
            Err(_) => definition.clone(),
        };
        let text = canonical(&pinned).unwrap_or(pinned);
        Self {
            digest: Digest(Sha256::digest(text.as_bytes()).into()),
            text,
        }
    }
}

/// A name that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Once(Print),
    /// More than once, with definitions that differ, of which these are the first two: nobody can
    /// say which one a call would reach.
    Twice(Box<[Print; 2]>),
}

/// Everything in an offer that can be pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight(pub(crate) BTreeMap<(Kind, String), Seen>);

impl Sight {
    pub(crate) fn of(offer: &Offer) -> Self {
        let mut sight = Self::default();
        for tool in &offer.tools {
            sight.add(Kind::Tool, tool.name(), tool.definition());
        }
        for prompt in &offer.prompts {
            sight.add(Kind::Prompt, prompt.key(), prompt.definition());
        }
        sight
    }

    fn add(&mut self, kind: Kind, name: &str, definition: &RawJson) {
        use std::collections::btree_map::Entry;
        let print = Print::of(kind, definition);
        match self.0.entry((kind, name.to_owned())) {
            Entry::Vacant(place) => {
                place.insert(Seen::Once(print));
            }
            Entry::Occupied(mut place) => match place.get_mut() {
                Seen::Once(first) if *first == print => {}
                Seen::Once(first) => {
                    let first = first.clone();
                    place.insert(Seen::Twice(Box::new([first, print])));
                }
                Seen::Twice(..) => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::ToolSpec;

    use super::*;

    fn print(text: &str) -> Print {
        Print::of(Kind::Tool, &RawJson::parse(text.to_owned()).unwrap())
    }

    const PLAIN: &str = r#"{"name":"a","description":"d","inputSchema":{"type":"object"}}"#;

    #[test]
    fn what_a_model_reads_counts_and_the_rest_does_not() {
        let plain = print(PLAIN);
        for same in [
            r#"{"inputSchema":{"type":"object"},"description":"\u0064","name":"a"}"#,
            r#"{"name":"a","description":"d","inputSchema":{"type":"object"},"_meta":{"v":2}}"#,
            r#"{"name":"a","description":"d","inputSchema":{"type":"object"},"icons":[],"x-v":1}"#,
        ] {
            assert_eq!(print(same), plain, "{same}");
        }
        for other in [
            r#"{"name":"b","description":"d","inputSchema":{"type":"object"}}"#,
            r#"{"name":"a","description":"D","inputSchema":{"type":"object"}}"#,
            r#"{"name":"a","inputSchema":{"type":"object"}}"#,
            r#"{"name":"a","description":"d","inputSchema":{"type":"object","x":1}}"#,
            r#"{"name":"a","description":"d","inputSchema":{"type":"object"},"title":"t"}"#,
            r#"{"name":"a","description":"d","inputSchema":{"type":"object"},"outputSchema":{}}"#,
            r#"{"name":"a","description":"d","inputSchema":{"type":"object"},"annotations":{}}"#,
        ] {
            assert_ne!(print(other).digest, plain.digest, "{other}");
        }
    }

    #[test]
    fn a_digest_is_that_of_the_canonical_text_and_reads_back() {
        let print = print(PLAIN);
        assert_eq!(
            print.text.as_str(),
            r#"{"description":"d","inputSchema":{"type":"object"},"name":"a"}"#
        );
        let shown = print.digest.to_string();
        assert_eq!(Digest::parse(&shown), Some(print.digest));
        assert_eq!(Digest::parse(&shown.to_uppercase()), None);
        assert_eq!(Digest::parse(""), None);
        assert_eq!(Digest::parse(&"é".repeat(32)), None);
    }

    #[test]
    fn arguments_of_prompts_count() {
        let of = |text: &str| Print::of(Kind::Prompt, &RawJson::parse(text.to_owned()).unwrap());
        let plain = of(r#"{"name":"p","arguments":[{"name":"a"}]}"#);
        assert_ne!(of(r#"{"name":"p","arguments":[{"name":"b"}]}"#), plain);
        assert_eq!(
            of(r#"{"arguments":[{"name":"a"}],"name":"p","_meta":1}"#),
            plain
        );
    }

    #[test]
    fn a_definition_too_long_for_the_form_is_taken_as_it_is_written() {
        let long = |blank: &str| {
            let text = "x".repeat(super::super::canonical::LONGEST);
            print(&format!(
                r#"{{"name":"a","description":"{text}","inputSchema":{{{blank}}}}}"#
            ))
        };
        assert_eq!(long("").digest, long("").digest);
        assert_ne!(long("").digest, long(" ").digest);
    }

    #[test]
    fn a_name_twice_is_one_only_when_the_definitions_are_the_same() {
        let tool = |text: &str| {
            ToolSpec::from_definition(RawJson::parse(text.to_owned()).unwrap()).unwrap()
        };
        let other = r#"{"name":"a","description":"e","inputSchema":{}}"#;
        let sight = |texts: &[&str]| {
            let tools = texts.iter().map(|text| tool(text)).collect();
            Sight::of(&Offer::of_tools(tools))
        };
        let key = (Kind::Tool, "a".to_owned());
        assert_eq!(sight(&[PLAIN, PLAIN]).0[&key], Seen::Once(print(PLAIN)));
        assert_eq!(
            sight(&[PLAIN, other, PLAIN, other]).0[&key],
            Seen::Twice(Box::new([print(PLAIN), print(other)]))
        );
    }
}
