//! YAML text as a tree that knows where each key and value was written.

use std::collections::{BTreeMap, BTreeSet};

use saphyr::Scalar;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};
use serde_json::{Map, Number, Value};

use super::fault::{Fault, short};
use super::path::{ConfigPath, Place, Position, Spans};

/// A value with the place it was written at.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) position: Position,
    /// Whether a part of it came from the environment.
    pub(super) from_env: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_position: Position,
    pub(super) value: Node,
}

impl Node {
    /// The node as JSON; of a duplicate key the first value counts.
    pub(super) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(value.clone()),
            Kind::Text(value) => Value::String(value.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Kind::Map(entries) => {
                let mut map = Map::new();
                for entry in entries {
                    map.entry(entry.key.as_str())
                        .or_insert_with(|| entry.value.to_json());
                }
                Value::Object(map)
            }
        }
    }

    /// Where everything is.
    pub(super) fn spans(&self) -> Spans {
        let mut spans = Spans::default();
        self.collect(&ConfigPath::root(), None, &mut spans);
        spans
    }

    fn collect(&self, path: &ConfigPath, key: Option<Position>, spans: &mut Spans) {
        // A block of keys or items starts on a later line than its own key; people look for the key.
        let value = match (&self.kind, key) {
            (Kind::Map(_) | Kind::List(_), Some(key)) if key.line() < self.position.line() => key,
            (Kind::Null, Some(key)) => key,
            _ => self.position,
        };
        spans.insert(
            path.clone(),
            Place {
                key,
                value,
                from_env: self.from_env,
            },
        );
        match &self.kind {
            Kind::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.collect(&path.index(index), None, spans);
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    let path = path.key(&entry.key);
                    entry.value.collect(&path, Some(entry.key_position), spans);
                }
            }
            _ => {}
        }
    }

    /// One fault for each key that a mapping has twice.
    pub(super) fn duplicates(&self, path: &ConfigPath, faults: &mut Vec<Fault>) {
        match &self.kind {
            Kind::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.duplicates(&path.index(index), faults);
                }
            }
            Kind::Map(entries) => {
                let mut seen = BTreeMap::new();
                for entry in entries {
                    let path = path.key(&entry.key);
                    if let Some(first) = seen.insert(&entry.key, entry.key_position) {
                        let message = format!("the key `{}` is written twice", short(&entry.key));
                        let help = format!("keep one of the two; the first is at {first}");
                        let fault = Fault::new(path.clone(), message).with_help(help);
                        faults.push(fault.with_position(entry.key_position));
                    }
                    entry.value.duplicates(&path, faults);
                }
            }
            _ => {}
        }
    }

    /// How many nodes this is, and how deep.
    fn extent(&self) -> (usize, usize) {
        let children: Vec<&Self> = match &self.kind {
            Kind::List(items) => items.iter().collect(),
            Kind::Map(entries) => entries.iter().map(|entry| &entry.value).collect(),
            _ => Vec::new(),
        };
        children
            .into_iter()
            .map(Self::extent)
            .fold((1, 1), |(nodes, depth), (n, d)| {
                (nodes.saturating_add(n), depth.max(d.saturating_add(1)))
            })
    }
}

/// Reads one YAML document; an empty text is an empty mapping.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| syntax_fault(text, &error))?;
        builder.take(event, position(&span.start))?;
    }
    let empty = Node {
        kind: Kind::Map(Vec::new()),
        position: Position::START,
        from_env: false,
    };
    Ok(match builder.root {
        None
        | Some(Node {
            kind: Kind::Null, ..
        }) => empty,
        Some(node) => node,
    })
}

/// Builds the tree from parser events without recursion.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<(String, Position)>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(_) => {
                self.documents = self.documents.saturating_add(1);
                if self.documents > 1 {
                    return Err(refusal(at, "a second YAML document starts here")
                        .with_help("keep one document: remove the `---` and what follows it"));
                }
            }
            Event::Alias(id) => {
                let Some(mut node) = self.anchors.get(&id).cloned() else {
                    return Err(refusal(at, "this alias refers to itself")
                        .with_help("write the value out instead"));
                };
                let (nodes, depth) = node.extent();
                self.count(nodes, depth, at)?;
                node.position = at;
                self.put(node, 0)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, 1, at)?;
                let is_plain = style == ScalarStyle::Plain && self.is_in_policy();
                if is_plain && !mcp_gw_policy::keeps_its_digits(&text) {
                    let message = format!("`{}` has more digits than a number keeps", short(&text));
                    return Err(refusal(at, message)
                        .with_help("use fewer digits, or put it in quotes for a text"));
                }
                let scalar = Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref());
                let Some(scalar) = scalar else {
                    return Err(refusal(at, "the tag does not fit the value")
                        .with_help("remove the `!!` tag; use quotes to force text"));
                };
                let node = Node {
                    kind: scalar_kind(scalar),
                    position: at,
                    from_env: false,
                };
                self.put(node, anchor)?;
            }
            Event::SequenceStart(anchor, _) => self.open(Kind::List(Vec::new()), anchor, at)?,
            Event::MappingStart(anchor, _) => self.open(Kind::Map(Vec::new()), anchor, at)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.put(open.node, open.anchor)?;
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, kind: Kind, anchor: usize, at: Position) -> Result<(), Fault> {
        self.count(1, 1, at)?;
        self.open.push(Open {
            node: Node {
                kind,
                position: at,
                from_env: false,
            },
            anchor,
            key: None,
        });
        Ok(())
    }

    /// Conditions compare numbers exactly. What other settings take is checked where they are read.
    fn is_in_policy(&self) -> bool {
        let first = self.open.first();
        let key = first.and_then(|open| open.key.as_ref());
        key.is_some_and(|(key, _)| key == "policy")
    }

    fn count(&mut self, nodes: usize, depth: usize, at: Position) -> Result<(), Fault> {
        if self.open.len().saturating_add(depth) > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} levels of nesting");
            return Err(refusal(at, message).with_help("no setting is nested that deep"));
        }
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values, aliases counted as often as used");
            return Err(refusal(at, message).with_help("make the file smaller"));
        }
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut parent.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match parent.key.take() {
                None => parent.key = Some((key_text(&node)?, node.position)),
                Some((key, key_position)) => {
                    entries.push(Entry {
                        key,
                        key_position,
                        value: node,
                    });
                }
            },
            _ => {}
        }
        Ok(())
    }
}

fn scalar_kind(scalar: Scalar<'_>) -> Kind {
    match scalar {
        Scalar::Null => Kind::Null,
        Scalar::Boolean(value) => Kind::Bool(value),
        Scalar::Integer(value) => Kind::Number(value.into()),
        Scalar::FloatingPoint(value) => match Number::from_f64(value.into_inner()) {
            Some(number) => Kind::Number(number),
            None => Kind::Text(value.to_string()),
        },
        Scalar::String(value) => Kind::Text(value.into_owned()),
    }
}

fn key_text(node: &Node) -> Result<String, Fault> {
    match &node.kind {
        Kind::Text(text) => Ok(text.clone()),
        Kind::Number(number) => Ok(number.to_string()),
        Kind::Bool(value) => Ok(value.to_string()),
        Kind::Null => Ok("null".to_owned()),
        Kind::List(_) | Kind::Map(_) => {
            Err(refusal(node.position, "a list or mapping is used as a key")
                .with_help("a key is plain text; if this is a `{…}` placeholder, put it in quotes"))
        }
    }
}

fn refusal(at: Position, message: impl Into<String>) -> Fault {
    Fault::new(ConfigPath::root(), message).with_position(at)
}

/// The parser's complaint with what is most often behind it.
fn syntax_fault(text: &str, error: &ScanError) -> Fault {
    let at = within(text, position(error.marker()));
    let line = text
        .lines()
        .nth(at.line().saturating_sub(1))
        .unwrap_or_default();
    let before = text
        .lines()
        .nth(at.line().saturating_sub(2))
        .unwrap_or_default();
    let tabbed = [line, before].into_iter().any(|line| {
        line.chars()
            .take_while(|c| c.is_whitespace())
            .collect::<BTreeSet<_>>()
            .contains(&'\t')
    });
    let info = error.info();
    if tabbed || info.contains("tab") {
        return refusal(at, "not YAML: there is a tab in the indentation")
            .with_help("YAML is indented with spaces only; replace the tab by spaces");
    }
    let help = if line.contains("${") {
        "put texts with `${…}` in quotes where they stand inside `[…]` or `{…}`"
    } else if line.contains(": ") || line.trim_end().ends_with(':') {
        "check the indentation and the quotes here and on the line above"
    } else {
        "check that quotes and brackets are closed and that each key is followed by `: `"
    };
    refusal(at, format!("not YAML: {}", short_info(info))).with_help(help)
}

/// What the parser says, without a character of the file.
fn short_info(info: &str) -> &str {
    if info.starts_with("unexpected character") {
        "unexpected character"
    } else {
        info
    }
}

/// The end of the text for what is missing after it.
fn within(text: &str, at: Position) -> Position {
    match text.lines().enumerate().last() {
        Some((index, last)) if at.line() > index.saturating_add(1) => Position::new(
            index.saturating_add(1),
            last.chars().count().saturating_add(1),
        ),
        _ => at,
    }
}

fn position(marker: &Marker) -> Position {
    Position::new(marker.line().max(1), marker.col().saturating_add(1))
}

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 64;

/// The most values that are read.
const MAX_NODES: usize = 100_000;
