//! Gravitee's expression language to CEL, as far as both have the same.
//!
//! What is translated: `#context.attributes[…]`, `#request.…`, `#jsonPath` not; literals, comparisons,
//! `&&`, `||`, `!` and their words, parentheses, and the string and list methods `equals`,
//! `contains`, `startsWith`, `endsWith`, `matches`, `isEmpty`, `toLowerCase`, `toUpperCase`, `trim`.
//! Everything else is refused: a translation that allows more than the original would be worse than
//! none.

use std::fmt::Write as _;

use serde_json::Map;

use crate::condition::{ConditionCompiler, ConditionLimits};

mod compare;
mod pattern;
mod tokens;

use compare::{both, contains, either, equality, equals, matches, truth};
use tokens::{Token, tokens};

/// A condition in CEL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) cel: String,
    pub(super) assumptions: Vec<String>,
    /// True when it looks at the parameters of the request, which a list does not have.
    pub(super) reads_params: bool,
}

/// Translates a condition; `in_list` says for which requests: in a list no name and no arguments are
/// given, and what looks at them finds nothing.
///
/// # Errors
/// What in it has no counterpart.
pub(super) fn translate(text: &str, in_list: bool) -> Result<Translated, String> {
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
    let tokens = tokens(inner)?;
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        depth: 0,
        assumptions: Vec::new(),
        in_list,
        reads_params: false,
    };
    let expr = parser.or()?;
    if parser.at != tokens.len() {
        return Err(format!("what follows is not understood: {}", parser.rest()));
    }
    if !matches!(expr.kind, Kind::Truth | Kind::Unknown) {
        return Err("it does not come to true or false".to_owned());
    }
    let compiler = ConditionCompiler::new(&Map::new(), &ConditionLimits::default());
    compiler
        .compile(&expr.cel)
        .map_err(|fault| fault.to_string())?;
    Ok(Translated {
        cel: expr.cel,
        assumptions: parser.assumptions,
        reads_params: parser.reads_params,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Truth,
    Text,
    Number,
    List,
    Null,
    Unknown,
    /// Not there at all.
    Missing,
}

#[derive(Debug)]
struct Expr {
    cel: String,
    kind: Kind,
    /// The presence test of a value that may be missing, which is `null` there and an error here.
    has: Option<String>,
    /// The text of a literal.
    raw: Option<String>,
    /// It is never an error, apart from a value that may be missing and is.
    is_safe: bool,
}

impl Expr {
    fn new(cel: impl Into<String>, kind: Kind) -> Self {
        Self {
            cel: cel.into(),
            kind,
            has: None,
            raw: None,
            is_safe: true,
        }
    }

    /// What may be an error.
    fn risky(cel: impl Into<String>, kind: Kind) -> Self {
        Self {
            is_safe: false,
            ..Self::new(cel, kind)
        }
    }

    /// The value, or `null` where it is missing.
    fn or_null(&self) -> String {
        match &self.has {
            Some(has) => format!("({has} ? {} : null)", self.cel),
            None => self.cel.clone(),
        }
    }

    /// The member at the end of `path`, from `base`. Where one on the way is missing it is an error, and
    /// the rule does not apply.
    fn member(base: &str, path: &[&str], kind: Kind) -> Self {
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

    fn maybe(cel: String, kind: Kind) -> Self {
        Self {
            has: Some(format!("has({cel})")),
            cel,
            kind,
            raw: None,
            is_safe: true,
        }
    }
}

/// A text as a CEL literal.
fn literal(text: &str) -> String {
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
fn member(of: &str, name: &str) -> String {
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

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
    assumptions: Vec<String>,
    in_list: bool,
    reads_params: bool,
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
            let right = self.and()?;
            left = either(left, right)?;
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, String> {
        let mut left = self.comparison()?;
        while self.takes(&["&&"], &["and"]).is_some() {
            let right = self.comparison()?;
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
            "matches" => matches(&left, &right),
            "==" | "!=" => Ok(equality(left, operator, right)),
            _ => {
                if left.kind == Kind::Missing || right.kind == Kind::Missing {
                    return Err("it orders what a list does not have".to_owned());
                }
                if left.kind == Kind::Text || right.kind == Kind::Text {
                    return Err(
                        "texts are put in order, which differs between the languages".to_owned(),
                    );
                }
                Ok(Expr::risky(
                    format!("{} {operator} {}", left.cel, right.cel),
                    Kind::Truth,
                ))
            }
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
            format!("!({inner})")
        } else {
            format!("!(!({inner}))")
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
                    cel: format!("({})", inner.cel),
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

    fn variable(&mut self, name: &str) -> Result<Expr, String> {
        let keys = self.keys()?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let expr = match name {
            "context" => match keys.as_slice() {
                ["attributes", rest @ ..] => self.attribute(rest),
                _ => None,
            },
            "request" => self.request(&keys),
            "subscription" => match keys.as_slice() {
                ["metadata", key] => Some(Expr::member("consumer.metadata", &[key], Kind::Text)),
                ["id" | "clientId"] => Some(Expr::new("consumer.id", Kind::Text)),
                _ => None,
            },
            _ => None,
        };
        expr.ok_or_else(|| format!("`#{name}.{}` has no counterpart", keys.join(".")))
    }

    fn attribute(&mut self, keys: &[&str]) -> Option<Expr> {
        Some(match keys {
            ["jwt.claims", path @ ..] if !path.is_empty() => {
                if path.iter().any(|key| key.parse::<u64>().is_ok()) {
                    return None;
                }
                Expr::member("jwt", path, Kind::Unknown)
            }
            ["user" | "user-id"] => Expr::new("identity.sub", Kind::Text),
            ["user.roles"] => Expr::new("identity.roles", Kind::List),
            ["application" | "clientIdentifier"] => {
                let message = "the application is taken as `consumer.id`: compare the ids that this gateway knows";
                self.assume(message);
                Expr::new("consumer.id", Kind::Text)
            }
            ["plan"] => Expr::maybe("consumer.plan".to_owned(), Kind::Text),
            ["mcp_tool_name"] => self.param(Expr::maybe("mcp.tool.name".to_owned(), Kind::Text)),
            _ => return None,
        })
    }

    fn request(&mut self, keys: &[&str]) -> Option<Expr> {
        Some(match keys {
            ["remoteAddress"] => Expr::maybe("source.ip".to_owned(), Kind::Text),
            ["method"] => Expr::maybe("request.method".to_owned(), Kind::Text),
            ["path"] => Expr::maybe("request.path".to_owned(), Kind::Text),
            ["host"] => Expr::maybe("request.host".to_owned(), Kind::Text),
            ["scheme"] => Expr::maybe("request.scheme".to_owned(), Kind::Text),
            ["id"] => Expr::new("request.id", Kind::Text),
            // The first value; Gravitee's own index says so.
            ["headers", name, "0"] => header(&mut self.assumptions, "request.headers", name)?,
            ["headers", name] => header(&mut self.assumptions, "request.headers_all", name)?,
            ["params", name, "0"] | ["params", name] => {
                self.assume(
                    "of a query parameter that is there several times the first value counts",
                );
                Expr::member("request.query", &[name], Kind::Text)
            }
            ["jsonContent", "params", "name"] => {
                let name = "(has(mcp.tool) ? mcp.tool.name : mcp.prompt.name)";
                self.param(Expr::risky(name, Kind::Text))
            }
            ["jsonContent", "params", "uri"] => {
                self.param(Expr::maybe("mcp.resource.uri".to_owned(), Kind::Text))
            }
            ["jsonContent", "method"] => Expr::new("mcp.method", Kind::Text),
            ["jsonContent", "params", "arguments", rest @ ..] if !rest.is_empty() => {
                if rest.iter().any(|key| key.parse::<u64>().is_ok()) {
                    return None;
                }
                self.param(Expr::member("mcp.tool.arguments", rest, Kind::Unknown))
            }
            // Of TLS (`ssl`) nothing is known: it ends before the gateway.
            _ => return None,
        })
    }

    /// A parameter of the request: there is none in a list.
    fn param(&mut self, expr: Expr) -> Expr {
        self.reads_params = true;
        if self.in_list {
            return Expr::new("null", Kind::Missing);
        }
        expr
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

fn header(assumptions: &mut Vec<String>, map: &str, name: &str) -> Option<Expr> {
    let name = name.to_ascii_lowercase();
    // Conditions do not see credentials.
    if [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
    ]
    .contains(&name.as_str())
    {
        return None;
    }
    let message = "names of headers are compared in lower case";
    if !assumptions.iter().any(|known| known == message) {
        assumptions.push(message.to_owned());
    }
    let kind = if map.ends_with("_all") {
        Kind::List
    } else {
        Kind::Text
    };
    Some(Expr::member(map, &[&name], kind))
}
