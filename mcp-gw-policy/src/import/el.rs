//! Gravitee's expression language to CEL, as far as both have the same.
//!
//! What is translated: `#context.attributes[…]`, `#request.…`, `#jsonPath` not; literals, comparisons,
//! `&&`, `||`, `!` and their words, parentheses, and the string and list methods `equals`,
//! `contains`, `startsWith`, `endsWith`, `matches`, `isEmpty`, `toLowerCase`, `toUpperCase`, `trim`.
//! Everything else is refused: a translation that allows more than the original would be worse than
//! none.

use serde_json::Map;

use crate::condition::{ConditionCompiler, ConditionLimits};

mod compare;
mod expr;
mod pattern;
mod tokens;
mod variables;

use compare::{both, contains, either, equality, equals, matches, one_spelling, order, truth};
use expr::{Expr, Kind, literal, not};
use tokens::{Token, tokens};

/// A condition in CEL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) cel: String,
    pub(super) assumptions: Vec<String>,
    /// True when it looks at the parameters of the request, which a list does not have.
    pub(super) reads_params: bool,
}

/// The requests that a condition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Those that use something; its arguments are those of a tool.
    Use,
    /// Those that get a prompt.
    Prompt,
    /// Lists: no name and no arguments are given.
    List,
}

/// Translates a condition for some requests.
///
/// # Errors
/// What in it has no counterpart.
pub(super) fn translate(text: &str, asked: Asked) -> Result<Translated, String> {
    let text = text.trim();
    // A plain text is a literal; the platform takes `true` as true and anything else as false.
    if !text.starts_with('{') {
        return match text {
            "true" | "false" => Ok(Translated {
                cel: text.to_owned(),
                assumptions: Vec::new(),
                reads_params: false,
            }),
            _ => Err("it is not an expression in `{…}`".to_owned()),
        };
    }
    let inner = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .ok_or("text around the expression")?;
    is_expression(inner)?;
    let tokens = tokens(inner)?;
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        depth: 0,
        assumptions: Vec::new(),
        asked,
        reads_params: false,
        given: Vec::new(),
        branches: 0,
        is_never: false,
    };
    let expr = parser.or()?;
    if parser.at != tokens.len() {
        return Err(format!("what follows is not understood: {}", parser.rest()));
    }
    if !matches!(expr.kind, Kind::Truth | Kind::Unknown) {
        return Err("it does not come to true or false".to_owned());
    }
    let mut cel = expr.cel;
    for test in parser.given.iter().rev() {
        cel = format!("{test} && {cel}");
    }
    if parser.is_never {
        "false".clone_into(&mut cel);
    }
    let compiler = ConditionCompiler::new(&Map::new(), &ConditionLimits::default());
    compiler.compile(&cel).map_err(|fault| fault.to_string())?;
    Ok(Translated {
        cel,
        assumptions: parser.assumptions,
        reads_params: parser.reads_params,
    })
}

/// What is in braces is an expression there only if it begins with a variable, a parenthesis or a
/// type; and its end is found by counting braces, also those within texts, one level deep.
fn is_expression(inner: &str) -> Result<(), String> {
    if !inner.trim_start_matches(' ').starts_with(['#', '(', 'T']) {
        let message = "it is no expression there, but a text that is never true: one begins with `{#`, `{(` \
                       or `{T(`";
        return Err(message.to_owned());
    }
    let mut depth = 0_usize;
    for brace in inner.chars().filter(|c| matches!(c, '{' | '}')) {
        depth = match (brace, depth) {
            ('{', 0) => 1,
            ('}', 1) => 0,
            _ => return Err("its braces end it early there".to_owned()),
        };
    }
    if depth > 0 {
        return Err("its braces have no end there".to_owned());
    }
    Ok(())
}

/// In parentheses, once.
fn bracketed(cel: String) -> String {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    let last = cel.len().saturating_sub(1);
    let mut is_whole = cel.starts_with('(');
    for (at, c) in cel.char_indices() {
        match c {
            '\'' if !escaped => quoted = !quoted,
            '(' if !quoted => depth = depth.saturating_add(1),
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
        is_whole &= depth > 0 || at == last;
    }
    if is_whole { cel } else { format!("({cel})") }
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
    assumptions: Vec<String>,
    asked: Asked,
    reads_params: bool,
    /// What the whole condition asks for first.
    given: Vec<String>,
    /// How many `&&` and `||` may leave out what is read.
    branches: usize,
    /// It is an error, whatever else holds.
    is_never: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn rest(&self) -> String {
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        format!("{:?}", rest.iter().take(3).collect::<Vec<_>>())
    }

    fn takes(&mut self, signs: &[&'static str], words: &[&str]) -> Option<String> {
        let found = match self.peek()? {
            Token::Sign(sign) if signs.contains(sign) => (*sign).to_owned(),
            Token::Name(name) if words.contains(&name.to_ascii_lowercase().as_str()) => {
                name.to_ascii_lowercase()
            }
            _ => return None,
        };
        self.at = self.at.saturating_add(1);
        Some(found)
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        match self.takes(&[sign], &[]) {
            Some(_) => Ok(()),
            None => Err(format!("`{sign}` is missing before {}", self.rest())),
        }
    }

    fn or(&mut self) -> Result<Expr, String> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > 16 {
            return Err("it is nested too deeply".to_owned());
        }
        let mut left = self.and()?;
        while self.takes(&["||"], &["or"]).is_some() {
            self.branches = self.branches.saturating_add(1);
            let right = self.and()?;
            self.branches = self.branches.saturating_sub(1);
            left = either(left, right)?;
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, String> {
        let mut left = self.comparison()?;
        while self.takes(&["&&"], &["and"]).is_some() {
            self.branches = self.branches.saturating_add(1);
            let right = self.comparison()?;
            self.branches = self.branches.saturating_sub(1);
            left = both(left, right)?;
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expr, String> {
        let left = self.operand()?;
        let words = ["eq", "ne", "lt", "le", "gt", "ge", "matches"];
        let Some(operator) = self.takes(&["==", "!=", "<=", ">=", "<", ">"], &words) else {
            return Ok(left);
        };
        let right = self.operand()?;
        let operator = match operator.as_str() {
            "eq" => "==",
            "ne" => "!=",
            "lt" => "<",
            "le" => "<=",
            "gt" => ">",
            "ge" => ">=",
            other => other,
        };
        match operator {
            "matches" => matches(&self.sure(left), &right),
            "==" | "!=" => equality(left, operator, right),
            _ => order(&left, operator, &right),
        }
    }

    /// A value that something is asked of. Without one that is an error.
    fn sure(&mut self, expr: Expr) -> Expr {
        let (Some(has), Some(known)) = (&expr.has, &expr.known) else {
            return expr;
        };
        if self.is_given(has) {
            Expr::new(known, expr.kind)
        } else {
            Expr::risky(expr.cel, expr.kind)
        }
    }

    /// A value with its methods, and the negations before it: these bind first.
    fn operand(&mut self) -> Result<Expr, String> {
        let mut negations = 0_usize;
        while self.takes(&["!"], &["not"]).is_some() {
            negations = negations.saturating_add(1);
        }
        let inner = self.primary()?;
        if negations == 0 {
            return Ok(inner);
        }
        // Without the value both say nothing there: `!null` is an error, and the rule does not apply.
        let is_safe = inner.is_safe && inner.has.is_none() && inner.kind == Kind::Truth;
        let inner = truth(inner)?;
        // Twice is not the same as not at all: what is no truth is an error.
        let cel = if negations % 2 == 1 {
            not(&inner)
        } else {
            format!("!({})", not(&inner))
        };
        Ok(Expr {
            is_safe,
            ..Expr::new(cel, Kind::Truth)
        })
    }

    fn primary(&mut self) -> Result<Expr, String> {
        let Some(token) = self.peek().cloned() else {
            return Err("it ends early".to_owned());
        };
        self.at = self.at.saturating_add(1);
        let mut expr = match token {
            Token::Text(text) => Expr {
                raw: Some(text.clone()),
                ..Expr::new(literal(&text), Kind::Text)
            },
            Token::Number(number) => Expr::new(number, Kind::Number),
            Token::Sign("-") => match self.peek().cloned() {
                Some(Token::Number(number)) => {
                    self.at = self.at.saturating_add(1);
                    Expr::new(format!("-{number}"), Kind::Number)
                }
                _ => return Err("a minus before something else than a number".to_owned()),
            },
            Token::Name(name) if name == "true" || name == "false" => Expr::new(name, Kind::Truth),
            Token::Name(name) if name == "null" => Expr::new(name, Kind::Null),
            Token::Sign("(") => {
                let inner = self.or()?;
                self.expect(")")?;
                Expr {
                    cel: bracketed(inner.cel),
                    ..inner
                }
            }
            Token::Sign("{") => self.list()?,
            Token::Variable(name) => self.variable(&name)?,
            Token::Name(name) if name == "T" => {
                return Err("Java types (`T(…)`) have no counterpart".to_owned());
            }
            other => return Err(format!("{other:?} is not understood")),
        };
        while self.takes(&["."], &[]).is_some() {
            expr = self.method(expr)?;
        }
        Ok(expr)
    }

    /// `{'a', 'b'}`.
    fn list(&mut self) -> Result<Expr, String> {
        let mut items = Vec::new();
        while self.takes(&["}"], &[]).is_none() {
            if !items.is_empty() {
                self.expect(",")?;
            }
            match self.peek().cloned() {
                Some(Token::Text(text)) => items.push(literal(&text)),
                // A number is found there only if it is of the same Java type.
                _ => return Err("a list of something else than texts".to_owned()),
            }
            self.at = self.at.saturating_add(1);
        }
        Ok(Expr::new(format!("[{}]", items.join(", ")), Kind::List))
    }

    /// `['key']` or `.key`.
    fn key(&mut self) -> Result<Option<String>, String> {
        if self.takes(&["["], &[]).is_some() {
            let key = match self.peek().cloned() {
                Some(Token::Text(text)) => text,
                Some(Token::Number(number)) => number,
                _ => return Err("an index that is no literal".to_owned()),
            };
            self.at = self.at.saturating_add(1);
            self.expect("]")?;
            return Ok(Some(key));
        }
        let after = self
            .tokens
            .get(self.at.saturating_add(1)..)
            .unwrap_or_default();
        if let (Some(Token::Sign("." | "?.")), [Token::Name(name), next @ ..]) =
            (self.peek(), after)
        {
            if next.first() != Some(&Token::Sign("(")) {
                let name = name.clone();
                self.at = self.at.saturating_add(2);
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    fn keys(&mut self) -> Result<Vec<String>, String> {
        let mut keys = Vec::new();
        while let Some(key) = self.key()? {
            keys.push(key);
        }
        Ok(keys)
    }

    fn assume(&mut self, message: &str) {
        if !self.assumptions.iter().any(|known| known == message) {
            self.assumptions.push(message.to_owned());
        }
    }

    /// `.contains('x')` and its like.
    fn method(&mut self, on: Expr) -> Result<Expr, String> {
        let Some(Token::Name(name)) = self.peek().cloned() else {
            return Err(format!("a name is missing before {}", self.rest()));
        };
        self.at = self.at.saturating_add(1);
        self.expect("(")?;
        let argument = if self.takes(&[")"], &[]).is_some() {
            None
        } else {
            let argument = self.operand()?;
            self.expect(")")?;
            Some(argument)
        };
        if on.kind == Kind::Missing {
            return Err("it asks something of what a list does not have".to_owned());
        }
        if on.kind == Kind::Holder
            || argument
                .as_ref()
                .is_some_and(|expr| expr.kind == Kind::Holder)
        {
            return Err(
                "it asks something of a whole map or list of values; name one of them".to_owned(),
            );
        }
        let on = self.sure(on);
        if let Some(argument) = &argument {
            one_spelling(&on, argument)?;
        }
        let text = |on: &Expr| matches!(on.kind, Kind::Text | Kind::Unknown);
        let cel = match (name.as_str(), &argument) {
            ("equals", Some(_)) => {
                let Some(argument) = argument else {
                    return Err("`equals` without an argument".to_owned());
                };
                return equals(on, argument);
            }
            ("contains", Some(item)) => return contains(&on, item),
            ("matches", Some(pattern)) => return matches(&on, pattern),
            ("startsWith" | "endsWith", Some(part)) if text(&on) && part.kind == Kind::Text => {
                format!("{}.{name}({})", on.cel, part.cel)
            }
            ("isEmpty", None) => format!("size({}) == 0", on.cel),
            ("toLowerCase" | "toUpperCase" | "trim", None) if text(&on) => {
                let (name, same) = match name.as_str() {
                    "toLowerCase" => ("lowerAscii", "ascii"),
                    "toUpperCase" => ("upperAscii", "ascii"),
                    _ => ("trim", "print"),
                };
                let message = format!(
                    "`{name}` is the same for plain ASCII only: with any other character the rule \
                     does not apply"
                );
                self.assume(&message);
                // The map has no such member for another text, which is an error.
                let cel = format!(
                    "{{true: {0}.{name}()}}[{0}.matches('^[[:{same}:]]*$')]",
                    on.cel
                );
                return Ok(Expr::risky(cel, Kind::Text));
            }
            _ => return Err(format!("the method `{name}` has no counterpart here")),
        };
        Ok(Expr::risky(cel, Kind::Truth))
    }
}
