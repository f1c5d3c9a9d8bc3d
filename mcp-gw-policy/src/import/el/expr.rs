//! Parts of a condition: their CEL, and what is known of them.

use std::fmt::Write as _;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Truth,
    Text,
    Number,
    List,
    Null,
    Unknown,
    /// It is there or not, and that is all that can be asked of it here.
    Holder,
    /// Not there at all: `null`.
    Missing,
}

#[derive(Debug)]
pub(super) struct Expr {
    /// The value. Where there is none it is an error.
    pub(super) cel: String,
    pub(super) kind: Kind,
    /// The presence test of a value that may be missing, which is `null` there.
    pub(super) has: Option<String>,
    /// The value where `has` holds, if there is a shorter way to say it.
    pub(super) known: Option<String>,
    /// The text of a literal.
    pub(super) raw: Option<String>,
    /// It is never an error, apart from a value that may be missing and is.
    pub(super) is_safe: bool,
}

impl Expr {
    pub(super) fn new(cel: impl Into<String>, kind: Kind) -> Self {
        Self {
            cel: cel.into(),
            kind,
            has: None,
            known: None,
            raw: None,
            is_safe: true,
        }
    }

    /// What may be an error.
    pub(super) fn risky(cel: impl Into<String>, kind: Kind) -> Self {
        Self {
            is_safe: false,
            ..Self::new(cel, kind)
        }
    }

    /// The value where it is known to be there.
    pub(super) fn known(&self) -> &str {
        self.known.as_deref().unwrap_or(&self.cel)
    }

    /// The value, or `null` where it is missing.
    pub(super) fn or_null(&self) -> String {
        match &self.has {
            Some(has) => format!("({has} ? {} : null)", self.known()),
            None => self.cel.clone(),
        }
    }

    /// The test that it is there and not `null`.
    pub(super) fn is_value(&self) -> String {
        match &self.has {
            Some(has) => format!("({has} && {} != null)", self.known()),
            None => format!("{} != null", self.cel),
        }
    }

    /// The member at the end of `path`, from `base`. Where one on the way is missing it is an error, and
    /// the rule does not apply.
    pub(super) fn member(base: &str, path: &[&str], kind: Kind) -> Self {
        let Some((last, way)) = path.split_last() else {
            return Self::new(base, kind);
        };
        let holder = way
            .iter()
            .fold(base.to_owned(), |holder, key| member(&holder, key));
        Self {
            has: Some(has(&holder, last)),
            is_safe: way.is_empty(),
            ..Self::new(member(&holder, last), kind)
        }
    }

    /// `cel`, which says nothing where `has` does not hold.
    pub(super) fn maybe(cel: &str, has: &str, kind: Kind) -> Self {
        Self {
            has: Some(has.to_owned()),
            known: Some(cel.to_owned()),
            ..Self::new(only_if(cel, has), kind)
        }
    }
}

/// `cel`, or an error where `test` does not hold: the map has no such member.
pub(super) fn only_if(cel: &str, test: &str) -> String {
    format!("{{true: {cel}}}[{test}]")
}

/// The opposite of a test. A negation binds before anything else.
pub(super) fn not(test: &str) -> String {
    if test.starts_with("has(") || test.starts_with('(') {
        format!("!{test}")
    } else {
        format!("!({test})")
    }
}

/// A text as a CEL literal.
pub(super) fn literal(text: &str) -> String {
    let mut cel = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => {
                cel.push('\\');
                cel.push(c);
            }
            c if c.is_control() => {
                let _ = write!(cel, "\\u{:04x}", u32::from(c));
            }
            c => cel.push(c),
        }
    }
    cel.push('\'');
    cel
}

/// A member by name, or by index where the name is none.
pub(super) fn member(of: &str, name: &str) -> String {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name);
    if is_name {
        format!("{of}.{name}")
    } else {
        format!("{of}[{}]", literal(name))
    }
}

/// Whether `of` has this member. The macro `has` takes names only.
fn has(of: &str, name: &str) -> String {
    let selected = member(of, name);
    if selected.ends_with(']') {
        format!("{} in {of}", literal(name))
    } else {
        format!("has({selected})")
    }
}

/// Words that are no names in CEL.
const RESERVED: [&str; 22] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
    "has",
];
