//! The words of an expression.

use std::iter::Peekable;
use std::str::Chars;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Variable(String),
    Text(String),
    Number(String),
    Sign(&'static str),
}

const SIGNS: [&str; 19] = [
    "==", "!=", "<=", ">=", "&&", "||", "?.", "<", ">", "!", "(", ")", "[", "]", ".", ",", "{",
    "}", "-",
];

/// So many characters of a number a double keeps in any case.
const MOST_DIGITS: usize = 15;

/// Takes an expression apart.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
            continue;
        }
        if first == '\'' || first == '"' {
            let mut chars = rest.chars().peekable();
            tokens.push(Token::Text(quoted(&mut chars)?));
            let left: usize = chars.map(char::len_utf8).sum();
            rest = rest
                .get(rest.len().saturating_sub(left)..)
                .unwrap_or_default();
            continue;
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let body = rest.strip_prefix('#').unwrap_or(rest);
        let length = body.find(|c| !is_word(c)).unwrap_or(body.len());
        let (word, after) = body.split_at_checked(length).unwrap_or((body, ""));
        if first == '#' && !word.is_empty() {
            tokens.push(Token::Variable(word.to_owned()));
            rest = after;
        } else if first.is_ascii_digit() {
            let number = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let (number, after) = rest.split_at_checked(number).unwrap_or((rest, ""));
            // Whole numbers have 32 bits there; of a double not every digit counts.
            let is_plain = number.parse::<i32>().is_ok()
                || (number.len() <= MOST_DIGITS
                    && number.contains('.')
                    && number.parse::<f64>().is_ok()
                    && !number.ends_with('.'));
            if !is_plain || after.starts_with(is_word) {
                return Err(format!("the number `{number}`"));
            }
            tokens.push(Token::Number(number.to_owned()));
            rest = after;
        } else if is_word(first) {
            tokens.push(Token::Name(word.to_owned()));
            rest = after;
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            tokens.push(Token::Sign(sign));
            rest = rest.get(sign.len()..).unwrap_or_default();
        } else {
            return Err(format!("the character `{first}`"));
        }
    }
    Ok(tokens)
}

/// A text in quotes; the quote itself is written twice, as in `SpEL`.
fn quoted(chars: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let quote = chars.next();
    let mut text = String::new();
    while let Some(next) = chars.next() {
        if Some(next) != quote {
            text.push(next);
        } else if chars.peek().copied() == quote {
            chars.next();
            text.push(next);
        } else {
            return Ok(text);
        }
    }
    Err("a text without its closing quote".to_owned())
}
