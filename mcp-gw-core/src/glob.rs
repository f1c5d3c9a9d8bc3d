//! Patterns for names, the same wherever names are compared with patterns.

/// A pattern for names and URIs: `*` is any run of characters, also of none and of `/`, `?` is one
/// character, and `\` takes the next character as it is. Everything else stands for itself; case
/// counts, and nothing is folded. It is always about the whole name.
///
/// Taken apart once, it matches in time proportional to the product of the two lengths at most, and
/// without allocating: whatever the pattern is, and whatever the name.
///
/// ```
/// use mcp_gw_core::Glob;
///
/// let glob = Glob::parse("get_*").unwrap();
/// assert!(glob.matches("get_user") && glob.matches("get_"));
/// assert!(!Glob::parse("get_?").unwrap().matches("get_user"));
/// assert!(Glob::parse(r"get_\*").unwrap().matches("get_*"));
/// assert!(Glob::parse(r"get_\").is_none());
/// ```
#[derive(Debug, Clone)]
pub struct Glob {
    first: Segment,
    /// What follows each star; empty when there is none. The last of them ends the name.
    rest: Box<[Segment]>,
}

/// A part of a glob without a star: it matches texts of one length only, counted in characters.
#[derive(Debug, Clone, Default)]
struct Segment(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Text(Box<str>),
    One,
}

/// Where in a name the text is that [`Glob::hint`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an index that leaves a place out would find too little"
)]
pub enum GlobPlace {
    /// The name begins with it.
    Start,
    /// The name ends with it.
    End,
    /// It is somewhere in the name.
    Middle,
}

impl Glob {
    /// Takes a glob apart; `None` when it ends in a backslash that escapes nothing.
    pub fn parse(glob: &str) -> Option<Self> {
        let mut segments = vec![Segment::default()];
        let mut text = String::new();
        let mut chars = glob.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => text.push(chars.next()?),
                '*' | '?' => {
                    if let Some(segment) = segments.last_mut() {
                        segment.push(&mut text);
                        if c == '?' {
                            segment.0.push(Piece::One);
                        }
                    }
                    if c == '*' {
                        segments.push(Segment::default());
                    }
                }
                c => text.push(c),
            }
        }
        if let Some(segment) = segments.last_mut() {
            segment.push(&mut text);
        }
        let mut segments = segments.into_iter();
        let first = segments.next()?;
        let mut rest: Vec<Segment> = segments.collect();
        // Two stars in a row are one.
        if let Some(last) = rest.pop() {
            rest.retain(|segment| !segment.0.is_empty());
            rest.push(last);
        }
        Some(Self {
            first,
            rest: rest.into(),
        })
    }

    /// True when `name` is one of those that it stands for.
    pub fn matches(&self, name: &str) -> bool {
        let Some(mut name) = self.first.at_start(name) else {
            return false;
        };
        let Some((last, middle)) = self.rest.split_last() else {
            return name.is_empty();
        };
        for segment in middle {
            match segment.find(name) {
                Some(rest) => name = rest,
                None => return false,
            }
        }
        last.at_end(name)
    }

    /// The same in lower case, for names that are: `\` has been taken for what it takes by then.
    ///
    /// ```
    /// use mcp_gw_core::Glob;
    ///
    /// let glob = Glob::parse("/Secret/*").unwrap().to_lowercase();
    /// assert!(glob.matches("/secret/x") && !glob.matches("/Secret/x"));
    /// ```
    #[must_use]
    pub fn to_lowercase(&self) -> Self {
        Self {
            first: self.first.to_lowercase(),
            rest: self.rest.iter().map(Segment::to_lowercase).collect(),
        }
    }

    /// True when it matches every name.
    pub fn is_any(&self) -> bool {
        self.first.0.is_empty() && matches!(&*self.rest, [last] if last.0.is_empty())
    }

    /// The one name that it matches, when there is only one.
    pub fn as_literal(&self) -> Option<&str> {
        match (&*self.first.0, &*self.rest) {
            ([], []) => Some(""),
            ([Piece::Text(text)], []) => Some(text),
            _ => None,
        }
    }

    /// The texts in it, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.segments()
            .flat_map(|segment| &segment.0)
            .filter_map(|piece| match piece {
                Piece::Text(text) => Some(&**text),
                Piece::One => None,
            })
    }

    /// The longest text that every match has in it, and where.
    pub fn hint(&self) -> Option<(&str, GlobPlace)> {
        let longest = self.texts().max_by_key(|text| text.len())?;
        let is = |piece: Option<&Piece>| matches!(piece, Some(Piece::Text(text)) if std::ptr::eq::<str>(text.as_ref(), longest));
        let last = self.segments().last();
        Some(if is(self.first.0.first()) {
            (longest, GlobPlace::Start)
        } else if last.is_some_and(|last| is(last.0.last())) {
            (longest, GlobPlace::End)
        } else {
            (longest, GlobPlace::Middle)
        })
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        std::iter::once(&self.first).chain(&*self.rest)
    }
}

impl Segment {
    fn push(&mut self, text: &mut String) {
        if !text.is_empty() {
            self.0.push(Piece::Text(std::mem::take(text).into()));
        }
    }

    fn to_lowercase(&self) -> Self {
        let lower = |piece: &Piece| match piece {
            Piece::Text(text) => Piece::Text(text.to_lowercase().into()),
            Piece::One => Piece::One,
        };
        Self(self.0.iter().map(lower).collect())
    }

    /// What is left of `name` after this.
    fn at_start<'n>(&self, name: &'n str) -> Option<&'n str> {
        self.0.iter().try_fold(name, |name, piece| match piece {
            Piece::Text(text) => name.strip_prefix(&**text),
            Piece::One => {
                let mut chars = name.chars();
                chars.next().map(|_| chars.as_str())
            }
        })
    }

    fn at_end(&self, name: &str) -> bool {
        self.0
            .iter()
            .rev()
            .try_fold(name, |name, piece| match piece {
                Piece::Text(text) => name.strip_suffix(&**text),
                Piece::One => {
                    let mut chars = name.chars();
                    chars.next_back().map(|_| chars.as_str())
                }
            })
            .is_some()
    }

    /// What is left of `name` after the first place where this is.
    fn find<'n>(&self, mut name: &'n str) -> Option<&'n str> {
        loop {
            if let Some(Piece::Text(text)) = self.0.first() {
                name = name.get(name.find(&**text)?..)?;
            }
            if let Some(rest) = self.at_start(name) {
                return Some(rest);
            }
            let mut chars = name.chars();
            chars.next()?;
            name = chars.as_str();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(glob: &str, name: &str) -> bool {
        Glob::parse(glob).unwrap().matches(name)
    }

    #[test]
    fn p5_stars_and_question_marks_are_all_there_is() {
        for (glob, name) in [
            ("*", ""),
            ("get_*", "get_"),
            ("get_*", "get_a/b"),
            ("*_all", "get_all"),
            ("a?c", "aäc"),
            ("?", "😀"),
            (r"\*", "*"),
            (r"a\?b\\", r"a?b\"),
            ("[ab]{c,d}", "[ab]{c,d}"),
            ("a**b", "ab"),
            ("*a*b*c", "xxaabbcc"),
            ("*?b", "ab"),
        ] {
            assert!(matches(glob, name), "{glob} {name}");
        }
        for (glob, name) in [
            ("get_*", "Get_a"),
            ("get_*", "get"),
            ("?", ""),
            ("?", "ab"),
            ("a?c", "ac"),
            ("a?c", "a\u{308}\u{308}c"),
            ("a", "a "),
            (r"\*", "a"),
            ("[ab]", "a"),
            ("ab*ba", "aba"),
        ] {
            assert!(!matches(glob, name), "{glob} {name}");
        }
        assert!(Glob::parse(r"a\").is_none());
    }

    #[test]
    fn the_hint_of_a_glob_is_its_longest_text() {
        for (glob, hint) in [
            ("get_*", Some(("get_", GlobPlace::Start))),
            ("a*_bcd", Some(("_bcd", GlobPlace::End))),
            ("a*bcd*e", Some(("bcd", GlobPlace::Middle))),
            ("?abc*", Some(("abc", GlobPlace::Middle))),
            ("*?", None),
        ] {
            assert_eq!(Glob::parse(glob).unwrap().hint(), hint, "{glob}");
        }
    }

    /// Nothing in it goes back and tries again: this would not end.
    #[test]
    fn a_pattern_that_is_made_to_take_long_does_not() {
        let name = "a".repeat(64 * 1024);
        for (glob, is) in [
            ("a*".repeat(200), true),
            (format!("{}b", "a*".repeat(200)), false),
            (format!("{}b", "*a".repeat(200)), false),
            (format!("*{}b*", "a?".repeat(200)), false),
            (format!("{}{}", "?*".repeat(200), "a".repeat(64)), true),
            ("*".repeat(64 * 1024), true),
        ] {
            assert_eq!(matches(&glob, &name), is, "{glob}");
        }
    }

    /// The same by its definition.
    fn naive(glob: &[char], name: &[char]) -> bool {
        match (glob, name) {
            ([], []) => true,
            (['*', glob @ ..], _) => (0..=name.len()).any(|n| naive(glob, &name[n..])),
            (['?', glob @ ..], [_, name @ ..]) => naive(glob, name),
            (['\\', a, glob @ ..], [b, name @ ..]) => a == b && naive(glob, name),
            ([a, glob @ ..], [b, name @ ..]) => a == b && *a != '\\' && naive(glob, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn p5_globs_match_as_defined(glob in r"(\\[*?\\]|[aä?*]){0,9}", name in r"[aä*\\]{0,9}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let parsed = Glob::parse(&glob).unwrap();
            let is = parsed.matches(&name);
            prop_assert_eq!(is, naive(&chars(&glob), &chars(&name)));
            match parsed.hint() {
                Some((hint, GlobPlace::Start)) if is => prop_assert!(name.starts_with(hint)),
                Some((hint, GlobPlace::End)) if is => prop_assert!(name.ends_with(hint)),
                Some((hint, GlobPlace::Middle)) if is => prop_assert!(name.contains(hint)),
                _ => {}
            }
            if let Some(literal) = parsed.as_literal() {
                prop_assert_eq!(literal == name, is);
            }
            prop_assert!(!parsed.is_any() || is);
        }
    }
}
