//! The part of an answer that somebody wants: an expression in `JMESPath` (jmespath.org), within bounds.
//!
//! A model writes the expression. The language has no loops, but it can name the same thing many times
//! over, and do that again with what came out. So an expression is judged before it is used: how many
//! copies of its input can come out of it, times the size of that.

mod cost;
mod numbers;
mod tree;

use std::fmt;
use std::io::{self, Write};

use jmespath::Expression;
use mcp_gw_core::RawJson;
use serde::Serialize as _;

use self::cost::{copies, makes};
use self::numbers::{Exact, Numbers};
use self::tree::Tree;
use super::scan::Scan;

/// The longest expression, in bytes.
const LONGEST: usize = 1024;
/// So many characters that nest, or may.
const MOST_NESTED: usize = 128;
/// The most that may come out, in bytes: copies times size.
const MOST_MADE: u64 = 64 << 20;
/// The most values that an answer may have: each takes up to some hundred bytes while something is selected.
const MOST_VALUES: u64 = 500_000;
/// Answers that nest deeper are not looked into: no more than what reads them can.
const DEEPEST: usize = 120;
/// The most values that may be made: those of the answer for each part of the expression that makes some.
const MOST_MADE_VALUES: u64 = 4_000_000;

/// Why there is nothing of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SelectError(String);

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An expression.
#[derive(Debug)]
pub(crate) struct Selection {
    expression: Expression<'static>,
    copies: u64,
    /// How many values it may make of one.
    makes: u64,
}

impl Selection {
    /// Reads an expression.
    ///
    /// # Errors
    /// A sentence for who wrote it.
    pub(crate) fn parse(text: &str) -> Result<Self, SelectError> {
        if text.len() > LONGEST {
            return Err(SelectError(format!(
                "`select` is longer than {LONGEST} bytes"
            )));
        }
        let nests = |c: char| "()[]{}&!.|,`\"'".contains(c);
        if text.chars().filter(|c| nests(*c)).count() > MOST_NESTED {
            return Err(SelectError(
                "`select` is too involved; ask for less at once".to_owned(),
            ));
        }
        let expression = jmespath::compile(text).map_err(|error| wrong(&error))?;
        let copies = copies(expression.as_ast());
        let makes = makes(expression.as_ast());
        Ok(Self {
            expression,
            copies,
            makes,
        })
    }

    /// What it makes of `body`, at most `most` bytes. It may take a while: it belongs on a thread that
    /// may be held up.
    ///
    /// # Errors
    /// A sentence for who wrote it.
    pub(crate) fn apply(&self, body: &[u8], most: usize) -> Result<RawJson, SelectError> {
        if self.copies.saturating_mul(body.len() as u64) > MOST_MADE {
            return Err(SelectError(
                "`select` names the same parts of a large answer too often; ask for less at once"
                    .to_owned(),
            ));
        }
        let scan = Scan::of(body);
        if scan.values > MOST_VALUES {
            return Err(SelectError(format!(
                "the answer has more than {MOST_VALUES} values, so nothing can be selected; ask the API for less"
            )));
        }
        let made = self.copies.max(self.makes).saturating_add(1);
        if made.saturating_mul(scan.values) > MOST_MADE_VALUES {
            return Err(SelectError(
                "`select` makes too much of a large answer; ask for less at once".to_owned(),
            ));
        }
        if scan.depth > DEEPEST {
            return Err(SelectError(format!(
                "the answer nests deeper than {DEEPEST} levels, so nothing can be selected"
            )));
        }
        let text = std::str::from_utf8(body).map_err(|_| no_json())?;
        let Tree(value) = serde_json::from_str(text).map_err(|error| of_answer(&error))?;
        let numbers = Numbers::of(text, self.expression.as_ast()).map_err(SelectError)?;
        let found = self
            .expression
            .search(value)
            .map_err(|error| wrong(&error))?;
        let mut out = Bounded {
            bytes: Vec::new(),
            left: most,
        };
        let mut writer = serde_json::Serializer::with_formatter(&mut out, Exact(&numbers));
        found
            .serialize(&mut writer)
            .map_err(|error| match error.io_error_kind() {
                Some(io::ErrorKind::InvalidData) => SelectError(
                    "what `select` makes of the answer has a number of more digits than can be told \
                     from others of the answer; ask the API for less, or take the answer without `select`"
                        .to_owned(),
                ),
                _ => SelectError(format!(
                    "what `select` makes of the answer is longer than {most} bytes; ask for less"
                )),
            })?;
        RawJson::parse(out.bytes).map_err(|_| no_json())
    }
}

fn no_json() -> SelectError {
    SelectError("the answer is not JSON, so nothing can be selected".to_owned())
}

/// Why there is no tree of an answer.
fn of_answer(error: &serde_json::Error) -> SelectError {
    if error.is_data() {
        return SelectError(format!(
            "the answer has {}, so nothing can be selected",
            tree::TWICE
        ));
    }
    if error.to_string().starts_with("number out of range") {
        return SelectError(
            "the answer has a number that is too large to be selected from".to_owned(),
        );
    }
    no_json()
}

/// What is wrong, without the drawing of the crate.
fn wrong(error: &jmespath::JmespathError) -> SelectError {
    let reason = match &error.reason {
        jmespath::ErrorReason::Parse(reason) => reason.clone(),
        jmespath::ErrorReason::Runtime(reason) => reason.to_string(),
    };
    let reason: String = reason.chars().take(200).collect();
    SelectError(format!(
        "`select` is no JMESPath expression for this answer: {reason} (at character {}); an example: \
         items[].{{id: id, name: name}}",
        error.offset
    ))
}

/// Takes so many bytes.
struct Bounded {
    bytes: Vec<u8>,
    left: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self
            .left
            .checked_sub(bytes.len())
            .ok_or_else(|| io::Error::other("full"))?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const BODY: &str =
        r#"{"total":2,"items":[{"id":1,"name":"a","tags":["x"]},{"id":2,"name":"b"}]}"#;

    fn select(text: &str) -> Result<String, String> {
        let selection = Selection::parse(text).map_err(|error| error.to_string())?;
        let found = selection.apply(BODY.as_bytes(), 1 << 10);
        found
            .map(|found| found.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn parts_of_an_answer_are_selected() {
        for (text, expected) in [
            ("total", "2"),
            ("items[].id", "[1,2]"),
            ("items[?name=='b'].{id: id}", r#"[{"id":2}]"#),
            ("items[0].tags", r#"["x"]"#),
            ("length(items)", "2"),
            ("nothing.there", "null"),
            ("sort_by(items, &name)[-1].name", r#""b""#),
        ] {
            assert_eq!(select(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_told_with_an_example() {
        for text in ["items[", "a b", "foo(", "nope(@)", "", "$.items"] {
            let error = select(text).unwrap_err();
            assert!(
                error.contains("`select` is no JMESPath expression"),
                "{error}"
            );
            assert!(!error.contains('\n'), "{error}");
        }
        let selection = Selection::parse("a").unwrap();
        assert!(selection.apply(b"<html>", 10).is_err());
        assert!(selection.apply(b"\xff", 10).is_err());
    }

    #[test]
    fn numbers_come_out_as_they_are_written_or_not_at_all() {
        let of = |body: &str, text: &str| {
            let found = Selection::parse(text).unwrap();
            let found = found.apply(body.as_bytes(), 1 << 10);
            found.map_or_else(|error| error.to_string(), |found| found.to_string())
        };
        let body = r#"{"a":12345678901234567890123,"b":9007199254740993,"c":-0,"d":1.50,"e":18446744073709551616,
            "f":0.1234567890123456789,"g":[2e1,1.5],"h":"1e400"}"#;
        for (text, expected) in [
            ("[a, e]", "[12345678901234567890123,18446744073709551616]"),
            ("b", "9007199254740993"),
            ("[c, d, f]", "[-0,1.50,0.1234567890123456789]"),
            ("g[?@ > `2`]", "[2e1]"),
            ("b == `9007199254740993`", "true"),
            ("a > b", "true"),
            ("length(g)", "2"),
        ] {
            assert_eq!(of(body, text), expected, "{text}");
        }
        // What is compared is told apart, and what is shown is what was there.
        for text in [
            "b == `9007199254740992`",
            "g[?@ == `1`] && b != `9007199254740994`",
        ] {
            let told = of(body, text);
            assert!(
                told.contains("cannot tell the numbers 900719925474099"),
                "{told}"
            );
        }
        let near = r#"{"id":7,"n":[0.12345678901234567890,0.12345678901234567891]}"#;
        assert_eq!(of(near, "id"), "7");
        assert!(of(near, "n").contains("more digits"), "{}", of(near, "n"));
        let wide = r#"[{"id":1152921504606846976},{"id":1152921504606846977}]"#;
        assert_eq!(
            of(wide, "[].id"),
            "[1152921504606846976,1152921504606846977]"
        );
        assert!(of(wide, "sort_by(@, &id)").contains("cannot tell"));
        for (body, told) in [
            (r#"{"a":1e400}"#, "a number that is too large"),
            (r#"{"a":1,"\u0061":2}"#, "the same member twice"),
            (
                &format!("{}{}", "[".repeat(200), "]".repeat(200)),
                "deeper than 120",
            ),
            ("{", "is not JSON"),
        ] {
            assert!(of(body, "@").contains(told), "{body}: {}", of(body, "@"));
        }
    }

    #[test]
    fn different_members_are_no_copies() {
        let copies = |text: &str| Selection::parse(text).unwrap().copies;
        for one in [
            "items[].{id: id, name: name, c: d.e}",
            "a.b.c",
            "[a, b, c]",
            "sort_by(a, &b)",
        ] {
            assert_eq!(copies(one), 1, "{one}");
        }
        for (text, expected) in [("[@, @]", 2), ("{a: @, b: @, c: x}", 3), ("[a, a.b]", 2)] {
            assert_eq!(copies(text), expected, "{text}");
        }
    }

    #[test]
    fn an_expression_that_doubles_and_doubles_is_refused() {
        let text = format!("[@]{}", "|[@,@][]".repeat(14));
        let selection = Selection::parse(&text).unwrap();
        assert_eq!(selection.copies, 1 << 14);
        let body = format!("[{}1]", "1,".repeat(100_000));
        let error = selection.apply(body.as_bytes(), 1 << 20).unwrap_err();
        assert!(error.to_string().contains("too often"), "{error}");
        let error = Selection::parse(&"|[@,@][]".repeat(60)).unwrap_err();
        assert!(error.to_string().contains("too involved"), "{error}");
        // What comes out is bounded, too: a text for each item.
        let selection = Selection::parse(&format!("[*].['{}']", "x".repeat(900))).unwrap();
        let error = selection.apply(body.as_bytes(), 1 << 20).unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
    }

    #[test]
    fn an_answer_of_too_many_values_is_refused_before_it_is_read() {
        let list = |of: &str, many: usize| format!("[{}{of}]", format!("{of},").repeat(many - 1));
        let length = Selection::parse("length(@)").unwrap();
        let few = length.apply(list("1", 100_000).as_bytes(), 100).unwrap();
        assert_eq!(few.as_str(), "100000");
        for of in ["1", "[]", "{}", r#"{"a":1}"#] {
            let error = length.apply(list(of, 600_000).as_bytes(), 100).unwrap_err();
            assert!(error.to_string().contains("500000 values"), "{error}");
        }
        // What is in texts is no value.
        let text = format!(r#"["{}\""]"#, ",[{:".repeat(400_000));
        assert_eq!(length.apply(text.as_bytes(), 100).unwrap().as_str(), "1");
        // Nor is much made of what is there.
        let nested = format!("[*].{}@{}", "[".repeat(50), "]".repeat(50));
        let error = Selection::parse(&nested).unwrap();
        let error = error
            .apply(list("1", 400_000).as_bytes(), 1 << 24)
            .unwrap_err();
        assert!(error.to_string().contains("too much"), "{error}");
    }

    proptest! {
        #[test]
        fn values_are_never_more_than_counted(value in prop::collection::vec(
            prop::collection::hash_map(".{0,4}", prop::collection::vec(".{0,4}", 0..4), 0..4), 0..5)
        ) {
            let count = |maps: &Vec<HashMap<String, Vec<String>>>| -> usize {
                let of_map = |map: &HashMap<String, Vec<String>>| {
                    map.values().map(|all| 2 + all.len()).sum::<usize>() + 1
                };
                1 + maps.iter().map(of_map).sum::<usize>()
            };
            let text = serde_json::to_string(&value).unwrap();
            prop_assert!(Scan::of(text.as_bytes()).values >= count(&value) as u64);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-c@*?&|!,.:'`\\[\\](){}0-9 ]{0,200}") {
            if let Ok(selection) = Selection::parse(&text) {
                let _ = selection.apply(BODY.as_bytes(), 1 << 12);
            }
        }

        #[test]
        fn nothing_nests_too_deeply(open in "[\\[({!&.|`]{1,4}", many in 1_usize..400) {
            let text = open.repeat(many);
            if let Ok(selection) = Selection::parse(&text) {
                let _ = selection.apply(BODY.as_bytes(), 1 << 12);
            }
        }
    }
}
