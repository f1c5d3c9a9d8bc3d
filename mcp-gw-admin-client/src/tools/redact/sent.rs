//! What must not be in a body that is sent.

use mcp_gw_core::RawJson;

use super::{REDACTED, Survey, TOO_DEEP};
use crate::tools::lexer::{Lexer, decoded};
use crate::tools::view::LEFT_OUT;

/// The name of a member that an object has twice, at any depth: two readers may read different bodies.
pub(crate) fn said_twice(raw: &RawJson) -> Option<String> {
    let mut survey = Survey::default();
    survey.value(&mut Lexer::new(raw), 0);
    survey.twice
}

/// Why a body is not sent: it holds what stands in an answer in the place of something else, which it would overwrite.
pub(crate) fn unsendable(raw: &RawJson) -> Option<String> {
    let mut search = Search {
        lexer: Lexer::new(raw),
        steps: Vec::new(),
    };
    let mark = search.value()?;
    let pointer: String = search.steps.iter().fold(String::new(), |mut all, step| {
        all.push('/');
        all.push_str(&step.replace('~', "~0").replace('/', "~1"));
        all
    });
    let pointer = crate::http::one_line(&pointer, 256);
    Some(match mark {
        Mark::Secret => format!(
            "the body holds {REDACTED:?} at {pointer:?}, where a secret was taken out; sending it would overwrite the secret"
        ),
        Mark::Cut => format!(
            "the body holds the mark of what was cut out of an answer, at {pointer:?}; sending it would put the mark in the \
             place of what is there"
        ),
    })
}

/// What stands for something else.
#[derive(Debug, Clone, Copy)]
enum Mark {
    Secret,
    Cut,
}

/// Goes through a body to the first mark, and stays there.
struct Search<'a> {
    lexer: Lexer<'a>,
    steps: Vec<String>,
}

/// More levels are not gone into: what nests so deep was never shown.
const DEEPEST: usize = 256;

impl Search<'_> {
    fn value(&mut self) -> Option<Mark> {
        match self.lexer.peek() {
            Some(b'{' | b'[') if self.steps.len() >= DEEPEST => {
                self.lexer.skip();
                None
            }
            Some(b'{') => self.object(),
            Some(b'[') => self.list(),
            Some(b'"') => mark(&decoded(self.lexer.scalar())),
            _ => {
                self.lexer.scalar();
                None
            }
        }
    }

    fn object(&mut self) -> Option<Mark> {
        self.lexer.take(b'{');
        while self.lexer.peek() == Some(b'"') {
            let name = self.lexer.name().into_owned();
            let is_mark = name == LEFT_OUT;
            self.steps.push(name);
            if is_mark {
                return Some(Mark::Cut);
            }
            let found = self.value();
            if found.is_some() {
                return found;
            }
            self.steps.pop();
            self.lexer.take(b',');
        }
        self.lexer.take(b'}');
        None
    }

    fn list(&mut self) -> Option<Mark> {
        self.lexer.take(b'[');
        let mut at = 0_usize;
        while !self.lexer.take(b']') && self.lexer.peek().is_some() {
            self.steps.push(at.to_string());
            let found = self.value();
            if found.is_some() {
                return found;
            }
            self.steps.pop();
            self.lexer.take(b',');
            at += 1;
        }
        None
    }
}

/// What a text holds that stands for something else.
fn mark(text: &str) -> Option<Mark> {
    if text.contains(REDACTED) {
        return Some(Mark::Secret);
    }
    if text.contains(TOO_DEEP) {
        return Some(Mark::Cut);
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("[cut: ") {
        let digits = after.trim_start_matches(|c: char| c.is_ascii_digit());
        if digits.len() < after.len() && digits.starts_with(" bytes at pointer ") {
            return Some(Mark::Cut);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> Option<String> {
        unsendable(&RawJson::parse(text.to_owned()).unwrap())
    }

    #[test]
    fn marks_are_found_however_they_are_written() {
        for (text, pointer) in [
            (r#"{"a":{"b/c":["x","[redacted]"]}}"#, "/a/b~1c/1"),
            (r#"{"key":"\u005bredacted]"}"#, "/key"),
            (r#"{"url":"redis://u:[redacted]@h"}"#, "/url"),
            (r#"{"a":"[cut: 60028 bytes at pointer /value/a]"}"#, "/a"),
            (r#"{"a":{"x":1,"[cut]":"88 more"}}"#, "/a/[cut]"),
            (r#"{"a":{"\u005bcut]":"88 more"}}"#, "/a/[cut]"),
            (r#"[{"a":"[cut: nested too deep]"}]"#, "/0/a"),
            (r#"{"a":"{\"b\":\"[cut: 9 bytes at pointer /b]\"}"}"#, "/a"),
        ] {
            let says = says(text).expect(text);
            assert!(says.contains(&format!("{pointer:?}")), "{says}");
        }
    }

    #[test]
    fn what_only_looks_like_a_mark_is_sent() {
        for text in [
            r#"{"a":"[cut","b":"[cut: some]","c":["[cut]"],"redacted":1}"#,
            r#"{"a":"[cut: 7 bytes]"}"#,
            "[]",
            "7",
        ] {
            assert_eq!(says(text), None);
        }
        assert_eq!(
            says(&format!("{}{}", "[".repeat(5000), "]".repeat(5000))),
            None
        );
    }

    #[test]
    fn what_is_said_twice_is_found_at_any_depth() {
        let twice = |text: &str| said_twice(&RawJson::parse(text.to_owned()).unwrap());
        assert_eq!(twice(r#"{"a":[{"b":1,"\u0062":2}]}"#).as_deref(), Some("b"));
        assert_eq!(twice(r#"{"a":{"b":1},"b":{"b":1}}"#), None);
    }
}
