//! Reads JSON that is known to be valid, once and from front to back, however deep it nests.

use std::borrow::Cow;

use mcp_gw_core::RawJson;

/// A place in the text of a JSON value.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(raw: &'a RawJson) -> Self {
        Self {
            text: raw.as_bytes(),
            at: 0,
        }
    }

    /// How many bytes were read.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// The first byte of what comes next.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes `byte` if it comes next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes a string, a number or a word, as it is written.
    pub(crate) fn scalar(&mut self) -> &'a [u8] {
        let is_string = self.peek() == Some(b'"');
        let start = self.at;
        if is_string {
            self.string();
        } else {
            let rest = self.text.get(start..).unwrap_or_default();
            let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
            self.at += rest.iter().position(ends).unwrap_or(rest.len());
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.text.get(self.at) {
            self.at += match byte {
                b'"' => break,
                b'\\' => 2,
                _ => 1,
            };
        }
        self.at = (self.at + 1).min(self.text.len());
    }

    /// Takes the name of a member and the colon after it.
    pub(crate) fn name(&mut self) -> Cow<'a, str> {
        let name = decoded(self.scalar());
        self.take(b':');
        name
    }

    /// Takes a whole value.
    pub(crate) fn skip(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                Some(b',' | b':') => self.at += 1,
                Some(_) => {
                    self.scalar();
                }
                None => return,
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Goes to the value of a member of the object that comes next.
    pub(crate) fn find_member(&mut self, wanted: &str) -> bool {
        self.take(b'{');
        while self.peek() == Some(b'"') {
            if self.name() == wanted {
                return true;
            }
            self.skip();
            self.take(b',');
        }
        false
    }

    /// Goes to an item of the list that comes next.
    pub(crate) fn find_item(&mut self, wanted: usize) -> bool {
        self.take(b'[');
        for _ in 0..wanted {
            self.skip();
            if !self.take(b',') {
                return false;
            }
        }
        self.peek().is_some_and(|byte| byte != b']')
    }
}

/// The text of a string. Half of a surrogate pair, which no text can hold, is U+FFFD in it.
pub(crate) fn decoded(string: &[u8]) -> Cow<'_, str> {
    let inner = string.get(1..string.len().saturating_sub(1));
    let inner = String::from_utf8_lossy(inner.unwrap_or_default());
    if !inner.contains('\\') {
        return inner;
    }
    match serde_json::from_slice::<String>(string) {
        Ok(text) => text.into(),
        Err(_) => unescaped(&inner).into(),
    }
}

/// Whether a string holds half of a surrogate pair, so that many readers refuse it and all that is around it.
pub(crate) fn is_broken(string: &[u8]) -> bool {
    string
        .windows(3)
        .any(|three| matches!(three, [b'\\', b'u', b'd' | b'D']))
        && serde_json::from_slice::<String>(string).is_err()
}

fn unescaped(mut inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    while let Some((before, after)) = inner.split_once('\\') {
        out.push_str(before);
        let mut chars = after.chars();
        let c = match chars.next().unwrap_or_default() {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (c, rest) = of_units(after);
                out.push(c);
                inner = rest;
                continue;
            }
            c => c,
        };
        out.push(c);
        inner = chars.as_str();
    }
    out.push_str(inner);
    out
}

/// The character that is written `uXXXX` or `uXXXX\uXXXX`, and what comes after it.
fn of_units(text: &str) -> (char, &str) {
    let unit = |text: &str| {
        let digits = text.strip_prefix('u')?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let rest = text.get(5..).unwrap_or_default();
    let Some(first) = unit(text) else {
        return (char::REPLACEMENT_CHARACTER, rest);
    };
    let second = rest.strip_prefix('\\').and_then(unit);
    match char::decode_utf16([first].into_iter().chain(second)).next() {
        Some(Ok(c)) if c.len_utf16() == 2 => (c, rest.get(6..).unwrap_or_default()),
        Some(Ok(c)) => (c, rest),
        _ => (char::REPLACEMENT_CHARACTER, rest),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_skipped_whatever_is_in_it() {
        for text in [
            r#"{"a":"}\"]","b":[1,{"c":null}]}"#,
            "[[],{},[{}]]",
            r#""\\""#,
            "-1.5e9",
            "true",
        ] {
            let raw = RawJson::parse(format!("[{text} ,7]")).unwrap();
            let mut lexer = Lexer::new(&raw);
            assert!(lexer.find_item(1), "{text}");
            assert_eq!(lexer.scalar(), b"7", "{text}");
        }
    }

    #[test]
    fn members_and_items_are_found_or_not() {
        let raw = RawJson::parse(r#"{"a":[1,[2]], "\u0062":{"c":"d"}, "e":[]}"#).unwrap();
        let at = |name| {
            let mut lexer = Lexer::new(&raw);
            lexer.find_member(name).then_some(lexer)
        };
        assert!(at("a").unwrap().find_item(1));
        assert!(!at("a").unwrap().find_item(2));
        assert!(!at("e").unwrap().find_item(0));
        let mut inner = at("b").unwrap();
        assert!(inner.find_member("c"));
        assert_eq!(decoded(inner.scalar()), "d");
        assert!(at("x").is_none());
    }

    #[test]
    fn half_of_a_pair_spoils_nothing_else() {
        for (text, wanted) in [
            (r#""a\ud800""#, "a\u{fffd}"),
            (r#""\udc00b\n\u0041""#, "\u{fffd}b\nA"),
            (r#""\ud83d\ude00\ud83d\"\\""#, "\u{1f600}\u{fffd}\"\\"),
            (r#""\ud800\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\uD800\u00e9\/""#, "\u{fffd}é/"),
        ] {
            assert_eq!(decoded(text.as_bytes()), wanted, "{text}");
            assert!(is_broken(text.as_bytes()), "{text}");
        }
        for text in [r#""\ud83d\ude00""#, r#""\\ud800""#, r#""d""#] {
            assert!(!is_broken(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn names_are_read_as_they_are_meant(name in ".{0,12}", value in ".{0,12}") {
            let raw = RawJson::from_serialize(&serde_json::json!({ &name: &value })).unwrap();
            let mut lexer = Lexer::new(&raw);
            prop_assert!(lexer.find_member(&name));
            prop_assert_eq!(decoded(lexer.scalar()), value);
        }
    }
}
