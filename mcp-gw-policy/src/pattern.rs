//! Patterns for names and URIs: any, literal, glob, regex.

use std::borrow::Cow;
use std::fmt;

use mcp_gw_core::Glob;
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap as _};
use serde_json::Value;

use crate::uri;

mod marks;

/// A pattern as people write it: a glob as plain text, `any`, or one of `{literal: …}`, `{glob: …}`
/// and `{regex: …}`.
///
/// Names are compared character by character: case counts, and nothing is folded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NamePattern {
    /// Every name.
    Any,
    /// This name.
    Literal(String),
    /// `*` is any run of characters, also none and `/`; `?` is one character; `\` takes the next
    /// character as it is. Nothing else has a meaning.
    Glob(String),
    /// A regular expression of the crate `regex` for the whole name.
    Regex(String),
}

impl From<&str> for NamePattern {
    /// A glob, or [`NamePattern::Any`] for `any`: what the same text means in a file.
    fn from(text: &str) -> Self {
        match text {
            "any" => Self::Any,
            text => Self::Glob(text.to_owned()),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Literal(text) => write!(f, "literal {text}"),
            Self::Glob(text) => f.write_str(text),
            Self::Regex(text) => write!(f, "regex {text}"),
        }
    }
}

impl Serialize for NamePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, text) = match self {
            Self::Any => return serializer.serialize_str("any"),
            Self::Glob(text) if text != "any" => return serializer.serialize_str(text),
            Self::Glob(text) => ("glob", text),
            Self::Literal(text) => ("literal", text),
            Self::Regex(text) => ("regex", text),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(kind, text)?;
        map.end()
    }
}

impl NamePattern {
    /// Whether this name, of a tool, a prompt or a server, is one that it stands for; nothing of a
    /// pattern that cannot be used.
    pub fn fits(&self, name: &str) -> Option<bool> {
        let pattern = Pattern::compile(self, Subject::Name).ok()?;
        Some(pattern.matches(name))
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = match Value::deserialize(deserializer)? {
            Value::String(text) => return Ok(Self::from(&*text)),
            Value::Object(map) => map,
            _ => return Err(de::Error::custom(FORMS)),
        };
        let mut entries = map.into_iter();
        let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
            return Err(de::Error::custom(FORMS));
        };
        match (&*kind, value) {
            ("any", Value::Null | Value::Bool(true)) => Ok(Self::Any),
            ("any", _) => Err(de::Error::custom("`any` takes no value: write `any`")),
            ("literal", Value::String(text)) => Ok(Self::Literal(text)),
            ("glob", Value::String(text)) => Ok(Self::Glob(text)),
            ("regex", Value::String(text)) => Ok(Self::Regex(text)),
            (kind @ ("literal" | "glob" | "regex"), _) => {
                let message = format!("`{kind}` needs a value: write `{{ {kind}: \"text\" }}`");
                Err(de::Error::custom(message))
            }
            (kind, _) => Err(de::Error::unknown_field(kind, &KINDS)),
        }
    }
}

impl JsonSchema for NamePattern {
    fn schema_name() -> Cow<'static, str> {
        "NamePattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = |kind: &str| {
            json_schema!({
                "type": "object",
                "properties": { kind: { "type": "string", "minLength": 1, "maxLength": LONGEST } },
                "required": [kind],
                "additionalProperties": false,
            })
        };
        json_schema!({
            "description": "A glob as plain text, `any`, or a mapping with one of `literal`, `glob`, `regex`.",
            "anyOf": [
                { "type": "string", "minLength": 1, "maxLength": LONGEST },
                text("literal"), text("glob"), text("regex"),
                {
                    "type": "object",
                    "properties": { "any": { "const": true } },
                    "required": ["any"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

const KINDS: [&str; 4] = ["any", "literal", "glob", "regex"];
const FORMS: &str =
    "a pattern is a text (a glob), `any`, or a mapping with one of `literal`, `glob`, `regex`";

/// The longest pattern, in bytes.
pub(crate) const LONGEST: usize = 1024;

/// The most memory that one compiled regular expression may take, in bytes.
const REGEX_SIZE: usize = 256 * 1024;

/// The deepest nesting of a regular expression.
const REGEX_DEPTH: u32 = 32;

/// What a pattern is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// The name of a tool, prompt or server.
    Name,
    /// A URI or a URI template, as [`uri::check`] writes it.
    Uri,
    /// The same, for a rule that allows: in doubt it matches less.
    UriToAllow,
}

/// A pattern that cannot be used: what is wrong, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PatternFault(pub(crate) String, pub(crate) String);

/// A pattern, ready to be compared.
#[derive(Debug)]
pub(crate) enum Pattern {
    Any,
    Literal(Box<str>),
    Glob(Glob),
    Regex {
        regex: Regex,
        hints: Hints,
    },
    /// For URIs with [`uri::mark`]s: an upper-case letter in it may be one of the host.
    Marked(Regex),
}

/// Texts of which one is in every name that a pattern matches; an empty list says nothing.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    pub(crate) prefixes: Vec<Vec<u8>>,
    pub(crate) suffixes: Vec<Vec<u8>>,
}

impl Pattern {
    pub(crate) fn compile(pattern: &NamePattern, subject: Subject) -> Result<Self, PatternFault> {
        let text = match pattern {
            NamePattern::Any => return Ok(Self::Any),
            NamePattern::Literal(text) | NamePattern::Glob(text) | NamePattern::Regex(text) => text,
        };
        if text.is_empty() {
            return fault(
                "the pattern is empty",
                "write a name, or `any` for every name",
            );
        }
        if text.len() > LONGEST {
            let message = format!("the pattern is longer than {LONGEST} bytes");
            return fault(&message, "write several shorter ones");
        }
        match pattern {
            NamePattern::Any => Ok(Self::Any),
            NamePattern::Literal(text) => literal(text, subject).map(Self::Literal),
            NamePattern::Glob(text) => glob(text, subject),
            NamePattern::Regex(text) => regex(text, subject),
        }
    }

    /// The one name that it matches, when it is one.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Glob(glob) => glob.as_literal(),
            Self::Any | Self::Regex { .. } | Self::Marked(_) => None,
        }
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(text) => **text == *name,
            Self::Glob(glob) => glob.matches(name),
            Self::Regex { regex, .. } => regex.is_match(name),
            Self::Marked(regex) => regex.is_match(&uri::marked(name)),
        }
    }
}

fn literal(text: &str, subject: Subject) -> Result<Box<str>, PatternFault> {
    match subject {
        Subject::Name if text.chars().any(char::is_control) => fault(
            "a name with a control character is always refused, so this never matches",
            "remove the control character",
        ),
        Subject::Name => Ok(text.into()),
        Subject::Uri | Subject::UriToAllow => match uri::check(text, true) {
            Ok(checked) => Ok(checked.text().into()),
            Err(why) => {
                let message = format!("such a URI is always refused, so this never matches: {why}");
                fault(&message, "write the URI in its plain form")
            }
        },
    }
}

fn glob(text: &str, subject: Subject) -> Result<Pattern, PatternFault> {
    let folded = match subject {
        Subject::Name => Some(Cow::Borrowed(text)),
        Subject::Uri | Subject::UriToAllow => uri::fold_glob(text),
    };
    let is_open = folded.is_none();
    let folded = folded.unwrap_or_else(|| uri::normal_glob(text, false));
    let glob = Glob::parse(&folded).ok_or_else(|| {
        PatternFault(
            "the pattern ends in a backslash that escapes nothing".to_owned(),
            "write two for a backslash".to_owned(),
        )
    })?;
    let parts: Vec<&str> = glob.texts().collect();
    if subject != Subject::Name {
        if let Some(why) = uri::never(text, &parts) {
            let message = format!("such a URI is always refused, so this never matches: {why}");
            return fault(&message, "write the URI in its plain form");
        }
        let odd = |part: &&&str| {
            part.contains(['\\', '#']) || part.contains("/../") || part.contains("/./")
        };
        if let Some(part) = parts.iter().find(odd) {
            let message =
                format!("a URI with `{part}` in it is always refused, so this never matches");
            return fault(&message, "write the URI in its plain form");
        }
    }
    if parts.iter().any(|part| part.chars().any(char::is_control)) {
        return fault(
            "a name with a control character is always refused, so this never matches",
            "remove the control character",
        );
    }
    if is_open {
        return regex(&marks::of_glob(&folded), subject);
    }
    Ok(match glob.as_literal() {
        Some(text) => Pattern::Literal(text.into()),
        None if glob.is_any() => Pattern::Any,
        None => Pattern::Glob(glob),
    })
}

fn regex(text: &str, subject: Subject) -> Result<Pattern, PatternFault> {
    let refused = |error: &dyn fmt::Display| {
        let why = error.to_string();
        let last = why
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or_default();
        let why = last.trim().trim_start_matches("error: ").to_owned();
        PatternFault(
            format!("the regular expression cannot be used: {why}"),
            "the syntax is that of the Rust crate `regex`; it always stands for the whole name"
                .to_owned(),
        )
    };
    // By itself first: `a)|(b` would be one in the brackets that follow.
    let hir = regex_syntax::ParserBuilder::new()
        .nest_limit(REGEX_DEPTH)
        .build()
        .parse(text)
        .map_err(|error| refused(&error))?;
    let build = |text: &str| {
        RegexBuilder::new(&format!(r"\A(?:{text})\z"))
            .size_limit(REGEX_SIZE)
            .dfa_size_limit(REGEX_SIZE)
            .nest_limit(REGEX_DEPTH.saturating_mul(2))
            .build()
            .map_err(|error| refused(&error))
    };
    let regex = build(text)?;
    if subject != Subject::Name && marks::has_case(&hir) {
        return match marks::of(hir, subject == Subject::UriToAllow) {
            Some(marked) => build(&marked).map(Pattern::Marked),
            None => fault(
                "borders of words and letters in upper case go ill together in a URI",
                "write the host in lower case, and no `\\b`",
            ),
        };
    }
    let hints = Hints::of(&hir);
    Ok(Pattern::Regex { regex, hints })
}

impl Hints {
    fn of(hir: &Hir) -> Self {
        let texts = |kind| {
            let mut extractor = Extractor::new();
            extractor.kind(kind).limit_total(MOST_HINTS);
            let found = extractor.extract(hir);
            let texts: Vec<Vec<u8>> = found
                .literals()
                .unwrap_or_default()
                .iter()
                .map(|literal| literal.as_bytes().to_vec())
                .collect();
            if texts.iter().any(Vec::is_empty) {
                Vec::new()
            } else {
                texts
            }
        };
        let prefixes = texts(ExtractKind::Prefix);
        let suffixes = if prefixes.is_empty() {
            texts(ExtractKind::Suffix)
        } else {
            Vec::new()
        };
        Self { prefixes, suffixes }
    }
}

/// So many beginnings of a regular expression are told apart.
const MOST_HINTS: usize = 16;

fn fault<T>(message: &str, help: &str) -> Result<T, PatternFault> {
    Err(PatternFault(message.to_owned(), help.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &NamePattern, name: &str) -> bool {
        Pattern::compile(pattern, Subject::Name)
            .unwrap()
            .matches(name)
    }

    fn regex(text: &str) -> NamePattern {
        NamePattern::Regex(text.to_owned())
    }

    #[test]
    fn p5_a_regex_stands_for_the_whole_name() {
        assert!(matches(&regex("get_.*|list"), "list"));
        assert!(matches(&regex("a|ab"), "ab"));
        for (text, name) in [
            ("get", "get_all"),
            ("get", "forget"),
            ("a|b", "ab"),
            ("^a$", "a\n"),
            ("(?m)^a$", "b\na"),
            ("a.c", "a\nc"),
            ("get", "GET"),
        ] {
            assert!(!matches(&regex(text), name), "{text} {name:?}");
        }
        assert!(matches(&regex("(?i)get"), "GET"), "who asks for it gets it");
    }

    #[test]
    fn p5_a_regex_cannot_get_out_of_its_anchors_or_grow() {
        for text in [
            "a)|(b",
            "a)|.*(?:",
            "(?x)a #",
            "[",
            "a{1000}{1000}{10}",
            "(?:a",
            r"\",
            "(?<!a)b",
            r"(a)\1",
        ] {
            let fault = Pattern::compile(&regex(text), Subject::Name).unwrap_err();
            assert!(
                fault.0.starts_with("the regular expression"),
                "{text}: {fault:?}"
            );
        }
        let deep = format!("{}a{}", "(".repeat(100), ")".repeat(100));
        assert!(Pattern::compile(&regex(&deep), Subject::Name).is_err());
        assert!(Pattern::compile(&regex(&"a".repeat(LONGEST + 1)), Subject::Name).is_err());
    }

    #[test]
    fn a_pattern_that_can_never_match_is_a_fault() {
        for (pattern, subject) in [
            (NamePattern::Literal("a\u{0}".into()), Subject::Name),
            (NamePattern::from("a\u{7f}*"), Subject::Name),
            (NamePattern::Literal("file:///a/../b".into()), Subject::Uri),
            (NamePattern::Literal("not a uri".into()), Subject::Uri),
            (NamePattern::from("file:///a/../*"), Subject::Uri),
            (NamePattern::from("file:///a#*"), Subject::Uri),
            (NamePattern::from(r"file:///a\\*"), Subject::Uri),
            (NamePattern::from(r"a\"), Subject::Name),
            (NamePattern::from(""), Subject::Name),
        ] {
            assert!(Pattern::compile(&pattern, subject).is_err(), "{pattern}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (text, pattern) in [
            ("\"get_*\"", NamePattern::Glob("get_*".into())),
            ("\"any\"", NamePattern::Any),
            (r#"{"glob":"any"}"#, NamePattern::Glob("any".into())),
            (r#"{"literal":"*"}"#, NamePattern::Literal("*".into())),
            (r#"{"regex":"a|b"}"#, NamePattern::Regex("a|b".into())),
        ] {
            assert_eq!(serde_json::from_str::<NamePattern>(text).unwrap(), pattern);
            assert_eq!(serde_json::to_string(&pattern).unwrap(), text);
        }
    }

    #[test]
    fn p17_a_pattern_has_one_kind_and_the_value_that_it_needs() {
        for (text, says) in [
            (r#"{"any":"x"}"#, "takes no value"),
            (r#"{"literal":null}"#, "`literal` needs a value"),
            (r#"{"glob":1}"#, "`glob` needs a value"),
            (r#"{"literal":"a","glob":"b"}"#, "one of"),
            ("{}", "one of"),
            ("7", "a pattern is"),
            (r#"{"litteral":"a"}"#, "unknown field `litteral`"),
        ] {
            let error = serde_json::from_str::<NamePattern>(text).unwrap_err();
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn the_hints_of_a_regex_are_in_all_it_matches(text in "[ab|.*?()]{1,8}", name in "[ab]{0,6}") {
            let Ok(Pattern::Regex { regex, hints }) = Pattern::compile(&NamePattern::Regex(text), Subject::Name) else {
                return Ok(());
            };
            if regex.is_match(&name) {
                let name = name.as_bytes();
                prop_assert!(hints.prefixes.is_empty() || hints.prefixes.iter().any(|hint| name.starts_with(hint)));
                prop_assert!(hints.suffixes.is_empty() || hints.suffixes.iter().any(|hint| name.ends_with(hint)));
            }
        }
    }
}
