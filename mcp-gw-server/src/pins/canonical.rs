//! The canonical form of a JSON value: two texts that mean the same have one.
//!
//! It follows RFC 8785 but for numbers, which keep their text: no blanks, members sorted by the
//! UTF-16 code units of their names, strings with the fewest escapes. Every JSON text has such a
//! form, also what RFC 8785 refuses: members of one name keep their order among each other, and half
//! of a surrogate pair stays an escape.

use mcp_gw_core::RawJson;

/// The canonical form of `json`; `None` when it is longer than [`LONGEST`].
///
/// It takes no recursion, so that deep nesting costs no stack, and a time that grows with the length
/// of the text.
pub(crate) fn canonical(json: &RawJson) -> Option<RawJson> {
    if json.len() > LONGEST {
        return None;
    }
    let mut reader = Reader::new(json.as_str());
    reader.read();
    RawJson::parse(reader.tree.write(json.len())).ok()
}

/// The longest text that is brought into this form, in bytes. A tree is made of it that takes many
/// times its length.
pub(crate) const LONGEST: usize = 1024 * 1024;

/// A value, its parts by their places in the tree.
enum Node<'a> {
    /// A number or a word, as it is written.
    Plain(&'a str),
    Text(Units),
    List(Vec<usize>),
    Object(Vec<(Units, usize)>),
}

/// A string as UTF-16 code units, which need not be in pairs.
type Units = Vec<u16>;

#[derive(Default)]
struct Tree<'a>(Vec<Node<'a>>);

/// Reads a text that is known to be JSON.
struct Reader<'a> {
    rest: &'a str,
    tree: Tree<'a>,
    /// The lists and objects that are not closed yet.
    open: Vec<usize>,
    /// The name whose value comes next.
    name: Option<Units>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            tree: Tree::default(),
            open: Vec::new(),
            name: None,
        }
    }

    fn read(&mut self) {
        loop {
            let between = |c: char| c.is_ascii_whitespace() || matches!(c, ',' | ':');
            self.rest = self.rest.trim_start_matches(between);
            let mut chars = self.rest.chars();
            match chars.next() {
                None => return,
                Some('{') => self.begin(Node::Object(Vec::new()), chars.as_str()),
                Some('[') => self.begin(Node::List(Vec::new()), chars.as_str()),
                Some('}' | ']') => {
                    self.rest = chars.as_str();
                    self.open.pop();
                }
                Some('"') => {
                    let (units, rest) = string(chars.as_str());
                    self.rest = rest;
                    if self.name.is_none() && self.is_in_object() {
                        self.name = Some(units);
                    } else {
                        self.put(Node::Text(units));
                    }
                }
                Some(_) => {
                    let ends = |c: char| c.is_ascii_whitespace() || matches!(c, ',' | ']' | '}');
                    let length = self.rest.find(ends).unwrap_or(self.rest.len());
                    let (plain, rest) = self.rest.split_at(length);
                    self.rest = rest;
                    self.put(Node::Plain(plain));
                }
            }
        }
    }

    fn begin(&mut self, node: Node<'a>, rest: &'a str) {
        self.rest = rest;
        let at = self.put(node);
        self.open.push(at);
    }

    fn is_in_object(&self) -> bool {
        let holder = self.open.last().and_then(|&at| self.tree.0.get(at));
        matches!(holder, Some(Node::Object(_)))
    }

    fn put(&mut self, node: Node<'a>) -> usize {
        let at = self.tree.0.len();
        let holder = self.open.last().copied();
        match holder.and_then(|holder| self.tree.0.get_mut(holder)) {
            Some(Node::List(items)) => items.push(at),
            Some(Node::Object(members)) => {
                members.push((self.name.take().unwrap_or_default(), at));
            }
            _ => {}
        }
        self.tree.0.push(node);
        at
    }
}

/// A string, and what comes after its closing quote.
fn string(text: &str) -> (Units, &str) {
    let mut units = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('b') => units.push(0x08),
                Some('f') => units.push(0x0c),
                Some('n') => units.push(0x0a),
                Some('r') => units.push(0x0d),
                Some('t') => units.push(0x09),
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&digits, 16).unwrap_or_default());
                }
                Some(c) => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
                None => break,
            },
            c => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
        }
    }
    (units, chars.as_str())
}

/// What is left to be written.
enum Step<'t> {
    Value(usize),
    Name(&'t Units),
    Mark(char),
}

impl Tree<'_> {
    fn write(&mut self, capacity: usize) -> String {
        for node in &mut self.0 {
            if let Node::Object(members) = node {
                // Stable: members of one name stay in their order.
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
            }
        }
        let mut out = String::with_capacity(capacity);
        let mut steps = vec![Step::Value(0)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Mark(mark) => out.push(mark),
                Step::Name(name) => {
                    write_string(&mut out, name);
                    out.push(':');
                }
                Step::Value(at) => match self.0.get(at) {
                    None => {}
                    Some(Node::Plain(text)) => out.push_str(text),
                    Some(Node::Text(units)) => write_string(&mut out, units),
                    Some(Node::List(items)) => {
                        out.push('[');
                        steps.push(Step::Mark(']'));
                        for (place, &item) in items.iter().enumerate().rev() {
                            steps.push(Step::Value(item));
                            if place > 0 {
                                steps.push(Step::Mark(','));
                            }
                        }
                    }
                    Some(Node::Object(members)) => {
                        out.push('{');
                        steps.push(Step::Mark('}'));
                        for (place, (name, value)) in members.iter().enumerate().rev() {
                            steps.push(Step::Value(*value));
                            steps.push(Step::Name(name));
                            if place > 0 {
                                steps.push(Step::Mark(','));
                            }
                        }
                    }
                },
            }
        }
        out
    }
}

fn write_string(out: &mut String, units: &[u16]) {
    use std::fmt::Write as _;
    out.push('"');
    for unit in char::decode_utf16(units.iter().copied()) {
        match unit {
            Ok('"') => out.push_str("\\\""),
            Ok('\\') => out.push_str("\\\\"),
            Ok('\u{8}') => out.push_str("\\b"),
            Ok('\u{c}') => out.push_str("\\f"),
            Ok('\n') => out.push_str("\\n"),
            Ok('\r') => out.push_str("\\r"),
            Ok('\t') => out.push_str("\\t"),
            Ok(c) if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            Ok(c) => out.push(c),
            Err(half) => {
                let _ = write!(out, "\\u{:04x}", half.unpaired_surrogate());
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
