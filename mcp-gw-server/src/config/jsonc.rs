//! JSON with comments and trailing commas, as editors write it, in a form that is YAML.

use std::fmt::Write as _;

/// `text` with blanks for comments, trailing commas and tabs, so that positions stay.
///
/// A pair of surrogate escapes, which YAML does not know, becomes one escape; that shifts the rest
/// of its line by two characters.
pub(super) fn to_yaml(text: &str) -> String {
    let mut rewriter = Rewriter {
        out: String::with_capacity(text.len()),
        comma: None,
    };
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        rest = match next {
            '"' => rewriter.string(rest),
            '/' if rest.starts_with("//") => {
                let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
                rewriter.blank(rest, end)
            }
            '/' if rest.starts_with("/*") => {
                let close = after(rest, 2).find("*/");
                let end = close.map_or(rest.len(), |at| at.saturating_add(4));
                rewriter.blank(rest, end)
            }
            c => rewriter.plain(c, rest),
        };
    }
    rewriter.out
}

struct Rewriter {
    out: String,
    /// Where in `out` the last comma is, if nothing but blanks followed it.
    comma: Option<usize>,
}

impl Rewriter {
    fn plain<'a>(&mut self, c: char, rest: &'a str) -> &'a str {
        match c {
            ',' => {
                self.comma = Some(self.out.len());
                self.out.push(',');
            }
            ']' | '}' => {
                if let Some(at) = self.comma.take() {
                    self.out.replace_range(at..=at, " ");
                }
                self.out.push(c);
            }
            '\t' => self.out.push(' '),
            // What would mean something to YAML but is an error in JSON stays one.
            '#' | '&' | '*' | '!' | '|' | '>' | '%' | '@' | '`' | '\'' | '?' => {
                self.comma = None;
                self.out.push('`');
            }
            c => {
                if !c.is_whitespace() && c != '\u{feff}' {
                    self.comma = None;
                }
                self.out.push(c);
            }
        }
        after(rest, c.len_utf8())
    }

    fn blank<'a>(&mut self, rest: &'a str, end: usize) -> &'a str {
        let (comment, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let blank = |c: char| if matches!(c, '\n' | '\r') { c } else { ' ' };
        self.out.extend(comment.chars().map(blank));
        rest
    }

    fn string<'a>(&mut self, rest: &'a str) -> &'a str {
        self.comma = None;
        self.out.push('"');
        let mut rest = after(rest, 1);
        while let Some(c) = rest.chars().next() {
            if let Some((pair, tail)) = surrogates(rest) {
                // Writing to a string cannot fail.
                let _ = write!(self.out, "\\U{:08X}", u32::from(pair));
                rest = tail;
                continue;
            }
            self.out.push(c);
            rest = after(rest, c.len_utf8());
            match c {
                '"' => break,
                '\\' => {
                    if let Some(escaped) = rest.chars().next() {
                        self.out.push(escaped);
                        rest = after(rest, escaped.len_utf8());
                    }
                }
                _ => {}
            }
        }
        rest
    }
}

/// A character written as two `\u` escapes, and what follows it.
fn surrogates(text: &str) -> Option<(char, &str)> {
    let (high, rest) = text.strip_prefix("\\u")?.split_at_checked(4)?;
    let (low, rest) = rest.strip_prefix("\\u")?.split_at_checked(4)?;
    let unit = |digits: &str| u16::from_str_radix(digits, 16).ok();
    let units = [unit(high)?, unit(low)?];
    let mut decoded = char::decode_utf16(units);
    match (decoded.next(), decoded.next()) {
        (Some(Ok(c)), None) => Some((c, rest)),
        _ => None,
    }
}

fn after(text: &str, bytes: usize) -> &str {
    text.split_at_checked(bytes).map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_become_blanks() {
        for (text, expected) in [
            ("{\"a\": 1, // x, }\n}", "{\"a\": 1         \n}"),
            ("[1, /* , */ 2, ]", "[1,         2  ]"),
            (
                "{\"u\": \"http://x/*y*/,]\"}",
                "{\"u\": \"http://x/*y*/,]\"}",
            ),
            ("[\"a\\\"//\",]", "[\"a\\\"//\" ]"),
            ("\t[\t]", " [ ]"),
            ("/* open", "       "),
            ("/*/ 1 */ 2", "         2"),
            ("\"\\uD83D\\uDE00\"", "\"\\U0001F600\""),
            ("\"\\\\uD83D\"", "\"\\\\uD83D\""),
            ("\"open \\", "\"open \\"),
        ] {
            assert_eq!(to_yaml(text), expected, "{text}");
        }
    }
}
