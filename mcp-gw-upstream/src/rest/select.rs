//! The part of an answer that somebody wants: an expression in `JMESPath` (jmespath.org), within bounds.
//!
//! A model writes the expression. The language has no loops, but it can name the same thing many times
//! over, and do that again with what came out. So an expression is judged before it is used: how many
//! copies of its input can come out of it, times the size of that.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};

use jmespath::ast::Ast;
use jmespath::{Expression, Variable};
use mcp_gw_core::RawJson;

/// The longest expression, in bytes.
const LONGEST: usize = 1024;
/// So many characters that nest, or may.
const MOST_NESTED: usize = 128;
/// The most that may come out, in bytes: copies times size.
const MOST_MADE: u64 = 64 << 20;
/// The most values that an answer may have: each takes up to some hundred bytes while something is selected.
const MOST_VALUES: u64 = 500_000;
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
        let values = values(body);
        if values > MOST_VALUES {
            return Err(SelectError(format!(
                "the answer has more than {MOST_VALUES} values, so nothing can be selected; ask the API for less"
            )));
        }
        let made = self.copies.max(self.makes).saturating_add(1);
        if made.saturating_mul(values) > MOST_MADE_VALUES {
            return Err(SelectError(
                "`select` makes too much of a large answer; ask for less at once".to_owned(),
            ));
        }
        let no_json =
            || SelectError("the answer is not JSON, so nothing can be selected".to_owned());
        let text = std::str::from_utf8(body).map_err(|_| no_json())?;
        let value = Variable::from_json(text).map_err(|_| no_json())?;
        let found = self
            .expression
            .search(value)
            .map_err(|error| wrong(&error))?;
        let mut out = Bounded {
            bytes: Vec::new(),
            left: most,
        };
        serde_json::to_writer(&mut out, &*found).map_err(|_| {
            SelectError(format!(
                "what `select` makes of the answer is longer than {most} bytes; ask for less"
            ))
        })?;
        RawJson::parse(out.bytes).map_err(|_| no_json())
    }
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

/// How many values, at the most, a text has if it is JSON, names of members included: each but the first
/// comes after one of these signs.
fn values(text: &[u8]) -> u64 {
    let (mut count, mut is_text, mut is_escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b',' | b':' | b'[' | b'{' if !is_text => count += 1,
            _ => {}
        }
    }
    count
}

/// How many values an expression can make of one that it is given, besides copies of that.
fn makes(ast: &Ast) -> u64 {
    let all = |parts: &mut dyn Iterator<Item = &Ast>| {
        parts.fold(1, |sum: u64, part| {
            sum.saturating_add(1).saturating_add(makes(part))
        })
    };
    match ast {
        Ast::MultiList { elements, .. } => all(&mut elements.iter()),
        Ast::MultiHash { elements, .. } => all(&mut elements.iter().map(|pair| &pair.value)),
        Ast::Function { args, .. } => all(&mut args.iter()),
        Ast::Projection { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. }
        | Ast::Comparison { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. } => makes(lhs).saturating_add(makes(rhs)),
        Ast::Condition {
            predicate, then, ..
        } => makes(predicate).saturating_add(makes(then)),
        Ast::Expref { ast: node, .. }
        | Ast::Flatten { node, .. }
        | Ast::ObjectValues { node, .. }
        | Ast::Not { node, .. } => makes(node),
        Ast::Identity { .. }
        | Ast::Field { .. }
        | Ast::Index { .. }
        | Ast::Literal { .. }
        | Ast::Slice { .. } => 0,
    }
}

/// How much of its input can come out, at the worst: 1 is all of it, once. What names members takes
/// different parts as long as the names differ.
fn copies(ast: &Ast) -> u64 {
    let both = |one: &Ast, other: &Ast| copies(one).saturating_mul(copies(other));
    match ast {
        Ast::MultiList { elements, .. } => side_by_side(elements.iter()),
        Ast::MultiHash { elements, .. } => side_by_side(elements.iter().map(|pair| &pair.value)),
        Ast::Function { args, .. } => {
            // An expression is applied to what another argument gives.
            let is_reference = |arg: &&Ast| matches!(arg, Ast::Expref { .. });
            let (applied, given): (Vec<&Ast>, Vec<&Ast>) = args.iter().partition(is_reference);
            let applied = applied.into_iter().map(copies);
            side_by_side(given.into_iter()).saturating_mul(applied.fold(1, u64::saturating_mul))
        }
        Ast::Projection { lhs, rhs, .. } | Ast::Subexpr { lhs, rhs, .. } => both(lhs, rhs),
        Ast::Comparison { lhs, rhs, .. } | Ast::And { lhs, rhs, .. } | Ast::Or { lhs, rhs, .. } => {
            copies(lhs).saturating_add(copies(rhs))
        }
        Ast::Condition {
            predicate, then, ..
        } => copies(predicate).saturating_add(copies(then)),
        Ast::Expref { ast, .. } => copies(ast),
        Ast::Flatten { node, .. } | Ast::ObjectValues { node, .. } | Ast::Not { node, .. } => {
            copies(node)
        }
        Ast::Identity { .. }
        | Ast::Field { .. }
        | Ast::Index { .. }
        | Ast::Literal { .. }
        | Ast::Slice { .. } => 1,
    }
}

/// The same for parts that all take from one input.
fn side_by_side<'a>(parts: impl Iterator<Item = &'a Ast>) -> u64 {
    let mut of_member: HashMap<&str, u64> = HashMap::new();
    let mut of_all: u64 = 0;
    for part in parts {
        match member(part) {
            Some(name) => {
                let sum = of_member.entry(name).or_default();
                *sum = sum.saturating_add(copies(part));
            }
            None => of_all = of_all.saturating_add(copies(part)),
        }
    }
    let most = of_member.into_values().max().unwrap_or_default();
    of_all.saturating_add(most).max(1)
}

/// The member that all of a part is taken from.
fn member(ast: &Ast) -> Option<&str> {
    match ast {
        Ast::Field { name, .. } => Some(name),
        Ast::Subexpr { lhs, .. } | Ast::Projection { lhs, .. } => member(lhs),
        Ast::Flatten { node, .. } | Ast::ObjectValues { node, .. } => member(node),
        _ => None,
    }
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
            prop_assert!(values(text.as_bytes()) >= count(&value) as u64);
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
