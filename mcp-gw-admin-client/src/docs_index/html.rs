//! HTML: the text of a page. In time linear in its length, whatever it is like.

use super::section::Cutter;

/// Elements whose contents are not for readers.
const SKIPPED: [&str; 7] = [
    "script", "style", "noscript", "template", "svg", "nav", "iframe",
];
/// Elements that stand on lines of their own.
const BLOCKS: [&str; 24] = [
    "p",
    "div",
    "br",
    "li",
    "ul",
    "ol",
    "tr",
    "table",
    "pre",
    "section",
    "article",
    "header",
    "footer",
    "main",
    "aside",
    "blockquote",
    "dt",
    "dd",
    "dl",
    "td",
    "th",
    "hr",
    "figure",
    "body",
];

/// Reads a page.
pub(super) fn read(text: &str, cutter: &mut Cutter) {
    let mut page = Page {
        cutter,
        line: String::new(),
        into: Into::Line,
        is_code: false,
    };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        page.text(before);
        rest = match next(after) {
            Next::Text => {
                page.text("<");
                after
            }
            Next::End => "",
            Next::Comment(after) => after,
            Next::Tag { name, is_end, rest } => {
                if !is_end && SKIPPED.contains(&name.as_str()) {
                    past(rest, &name)
                } else {
                    page.tag(&name, is_end);
                    rest
                }
            }
        };
    }
    page.text(rest);
    page.end_line();
}

enum Next<'t> {
    /// It was a `<` and nothing more.
    Text,
    /// Something begins that does not end.
    End,
    Comment(&'t str),
    Tag {
        name: String,
        is_end: bool,
        rest: &'t str,
    },
}

/// What a `<` begins.
fn next(after: &str) -> Next<'_> {
    if let Some(comment) = after.strip_prefix("!--") {
        return match comment.split_once("-->") {
            Some((_, rest)) => Next::Comment(rest),
            None => Next::End,
        };
    }
    let (is_end, name) = match after.strip_prefix('/') {
        Some(name) => (true, name),
        None => (false, after),
    };
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!' || c == '?') {
        return Next::Text;
    }
    match name.split_once('>') {
        Some((tag, rest)) => {
            let name = tag
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '!');
            Next::Tag {
                name: name.collect::<String>().to_ascii_lowercase(),
                is_end,
                rest,
            }
        }
        None => Next::End,
    }
}

/// What comes after the end of an element; nothing when it does not end.
fn past<'t>(text: &'t str, name: &str) -> &'t str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("</") {
        let is_it = after
            .get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name));
        if is_it {
            return after.split_once('>').map_or("", |(_, rest)| rest);
        }
        rest = after;
    }
    ""
}

#[derive(PartialEq, Eq)]
enum Into {
    Line,
    Title,
    Heading(usize),
}

struct Page<'c> {
    cutter: &'c mut Cutter,
    line: String,
    into: Into,
    /// Lines are as they are written.
    is_code: bool,
}

impl Page<'_> {
    /// Blanks and line ends are one blank, but for code.
    fn text(&mut self, text: &str) {
        for c in decoded(text).chars() {
            if self.is_code && c == '\n' {
                self.end_line();
            } else if self.is_code || !c.is_whitespace() {
                self.line.push(c);
            } else if !self.line.ends_with(' ') && !self.line.is_empty() {
                self.line.push(' ');
            }
        }
    }

    fn tag(&mut self, name: &str, is_end: bool) {
        let into = match (name, name.as_bytes()) {
            ("title", _) => Into::Title,
            (_, [b'h', level @ b'1'..=b'6']) => Into::Heading(usize::from(level - b'0')),
            (name, _) if BLOCKS.contains(&name) => Into::Line,
            _ => return,
        };
        self.end_line();
        if name == "pre" {
            self.is_code = !is_end;
        }
        self.into = if is_end { Into::Line } else { into };
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        match self.into {
            Into::Line => self.cutter.line(line),
            Into::Title => self.cutter.title(line),
            Into::Heading(level) => self.cutter.heading(level, line),
        }
    }
}

/// The few entities that are in use, and numbers; all others stay as they are.
fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        rest = after;
        let short: String = after.chars().take(9).collect();
        let found = short
            .split_once(';')
            .and_then(|(name, _)| Some((name.len(), entity(name)?)));
        match found.and_then(|(length, c)| Some((after.get(length + 1..)?, c))) {
            Some((behind, c)) => {
                out.push(c);
                rest = behind;
            }
            None => out.push('&'),
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "mdash" => '—',
        "ndash" => '–',
        "hellip" => '…',
        "rarr" => '→',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}
