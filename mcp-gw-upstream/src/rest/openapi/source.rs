//! The text of a description, JSON or YAML, as a tree: of bounded size and depth.

use std::collections::BTreeMap;

use saphyr::Scalar;
use saphyr_parser::{Event, Parser};
use serde_json::{Map, Number, Value};

use super::DescriptionError;
use crate::rest::scan::after_string;

/// Reads JSON, when the text begins with `{`, or else YAML.
pub(super) fn read(bytes: &[u8], max_bytes: usize) -> Result<Value, DescriptionError> {
    if bytes.len() > max_bytes {
        return Err(DescriptionError::TooLarge { max_bytes });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| syntax("the text is not UTF-8; save it as UTF-8", 0, 0))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        let read = serde_json::from_str(text);
        let read = match &read {
            Err(error) if is_of_this_reader(error) => {
                serde_json::from_str(&in_range(&shallow(text)))
            }
            _ => read,
        };
        return read.map_err(|error| {
            let said = error.to_string();
            let position = format!(" at line {} column {}", error.line(), error.column());
            let said = said.strip_suffix(&position).unwrap_or(&said);
            syntax(format!("not JSON: {said}"), error.line(), error.column())
        });
    }
    yaml(text)
}

/// The text may be JSON, but is more than the reader takes.
fn is_of_this_reader(error: &serde_json::Error) -> bool {
    let said = error.to_string();
    said.starts_with("number out of range") || said.starts_with("recursion limit")
}

/// A JSON text with the largest number there is in the place of those that are larger: nothing that is
/// sent is beyond it either.
fn in_range(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let is_of_number = |c: char| matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E');
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        let (before, found) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let length = match found.strip_prefix('"') {
            Some(behind) => found.len() - after_string(behind.as_bytes()).len(),
            None => found.find(|c| !is_of_number(c)).unwrap_or(found.len()),
        };
        let (token, behind) = found.split_at_checked(length).unwrap_or((found, ""));
        match token.parse::<f64>() {
            Ok(value) if value.is_infinite() && !token.starts_with('"') => {
                out.push_str(if value > 0.0 { "" } else { "-" });
                out.push_str("1.7976931348623157e308");
            }
            _ => out.push_str(token),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// A JSON text with a reference that leads to nothing in the place of what nests too deeply: whoever needs
/// that is told so, and the rest can be used.
fn shallow(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut depth = 0_usize;
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let after = match byte {
            b'"' => after_string(behind),
            _ => behind,
        };
        let token = rest.get(..rest.len() - after.len()).unwrap_or_default();
        rest = after;
        let opens = matches!(byte, b'[' | b'{');
        if opens {
            depth = depth.saturating_add(1);
            if depth == MAX_DEPTH {
                out.extend_from_slice(format!("{{\"$ref\":{TOO_DEEP:?}}}").as_bytes());
            }
        }
        if depth < MAX_DEPTH {
            out.extend_from_slice(token);
        }
        if matches!(byte, b']' | b'}') {
            depth = depth.saturating_sub(1);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn syntax(message: impl Into<String>, line: usize, column: usize) -> DescriptionError {
    DescriptionError::Syntax {
        message: message.into(),
        line,
        column,
    }
}

fn yaml(text: &str) -> Result<Value, DescriptionError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker();
            let (line, column) = (at.line(), at.col().saturating_add(1));
            syntax(format!("not YAML: {}", error.info()), line, column)
        })?;
        builder.take(event).map_err(|message| {
            let (line, column) = (span.start.line(), span.start.col().saturating_add(1));
            syntax(message, line, column)
        })?;
    }
    Ok(builder.root.unwrap_or_default())
}

/// Builds the tree from the events of the parser, without recursion.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Value>,
    documents: usize,
    /// How many lists and mappings are open that nest too deeply.
    below: usize,
    anchors: BTreeMap<usize, Kept>,
    nodes: usize,
}

struct Open {
    value: Value,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<String>,
    /// How many values it is so far, and how deep.
    extent: Extent,
}

#[derive(Clone, Copy)]
struct Extent {
    nodes: usize,
    depth: usize,
}

/// What an alias can stand for.
struct Kept {
    value: Value,
    extent: Extent,
}

const ONE: Extent = Extent { nodes: 1, depth: 1 };

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        let opens = matches!(event, Event::SequenceStart(..) | Event::MappingStart(..));
        if self.below > 0 || (opens && self.open.len().saturating_add(1) >= MAX_DEPTH) {
            return self.pass_over(opens, &event);
        }
        match event {
            Event::DocumentStart(_) => {
                self.documents = self.documents.saturating_add(1);
                if self.documents > 1 {
                    return Err("a second YAML document starts here; keep one".to_owned());
                }
            }
            Event::Alias(id) => {
                let kept = self.anchors.get(&id);
                let kept = kept.ok_or("this alias refers to itself; write the value out")?;
                let (extent, value) = (kept.extent, kept);
                // Counted before it is copied: aliases of aliases grow fast.
                count(&mut self.nodes, self.open.len(), extent)?;
                let value = value.value.clone();
                self.put(value, 0, extent)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                count(&mut self.nodes, self.open.len(), ONE)?;
                let plain = text.clone();
                let value = Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref())
                    .map_or_else(|| Value::String(plain.into_owned()), scalar);
                self.put(value, anchor, ONE)?;
            }
            Event::SequenceStart(anchor, _) => self.open(Value::Array(Vec::new()), anchor)?,
            Event::MappingStart(anchor, _) => self.open(Value::Object(Map::new()), anchor)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.put(open.value, open.anchor, open.extent)?;
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    /// Goes over what nests too deeply, with a reference to nothing in its place.
    fn pass_over(&mut self, opens: bool, event: &Event<'_>) -> Result<(), String> {
        if opens {
            self.below = self.below.saturating_add(1);
        } else if matches!(event, Event::SequenceEnd | Event::MappingEnd) {
            self.below = self.below.saturating_sub(1);
        }
        if opens && self.below == 1 {
            count(&mut self.nodes, self.open.len(), ONE)?;
            let nothing = Map::from_iter([("$ref".to_owned(), TOO_DEEP.into())]);
            return self.put(Value::Object(nothing), 0, ONE);
        }
        Ok(())
    }

    fn open(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        count(&mut self.nodes, self.open.len(), ONE)?;
        self.open.push(Open {
            value,
            anchor,
            key: None,
            extent: ONE,
        });
        Ok(())
    }

    fn put(&mut self, value: Value, anchor: usize, extent: Extent) -> Result<(), String> {
        if anchor > 0 {
            // The copy that is kept counts too, or anchors in anchors would be many copies.
            count(&mut self.nodes, 0, extent)?;
            let value = value.clone();
            self.anchors.insert(anchor, Kept { value, extent });
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        parent.extent = Extent {
            nodes: parent.extent.nodes.saturating_add(extent.nodes),
            depth: parent.extent.depth.max(extent.depth.saturating_add(1)),
        };
        match &mut parent.value {
            Value::Array(items) => items.push(value),
            Value::Object(members) => match parent.key.take() {
                None => parent.key = Some(key_text(value)?),
                Some(key) => match value {
                    // What is merged gives way to what is written.
                    Value::Object(merged) if key == "<<" => {
                        for (name, value) in merged {
                            members.entry(name).or_insert(value);
                        }
                    }
                    value => {
                        members.insert(key, value);
                    }
                },
            },
            _ => {}
        }
        Ok(())
    }
}

fn count(nodes: &mut usize, open: usize, extent: Extent) -> Result<(), String> {
    if open.saturating_add(extent.depth) > MAX_DEPTH {
        return Err(format!("more than {MAX_DEPTH} levels of nesting"));
    }
    *nodes = nodes.saturating_add(extent.nodes);
    if *nodes > MAX_NODES {
        return Err(format!(
            "more than {MAX_NODES} values, aliases counted as often as used"
        ));
    }
    Ok(())
}

fn scalar(scalar: Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(value),
        Scalar::Integer(value) => Value::Number(value.into()),
        Scalar::FloatingPoint(value) => {
            let value = value.into_inner();
            Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number)
        }
        Scalar::String(value) => Value::String(value.into_owned()),
    }
}

fn key_text(key: Value) -> Result<String, String> {
    match key {
        Value::String(text) => Ok(text),
        Value::Null => Ok("null".to_owned()),
        Value::Bool(_) | Value::Number(_) => Ok(key.to_string()),
        Value::Array(_) | Value::Object(_) => {
            Err("a list or mapping is used as a key; put a `{…}` in quotes".to_owned())
        }
    }
}

/// The deepest nesting that is read: that of the JSON reader.
const MAX_DEPTH: usize = 127;

/// The reference that stands for what nests deeper.
const TOO_DEEP: &str = "#/nests-too-deeply";

/// The most values that are read from YAML.
const MAX_NODES: usize = 3_000_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::scan::Scan;

    fn read(text: &str) -> Result<Value, DescriptionError> {
        super::read(text.as_bytes(), 1 << 20)
    }

    #[test]
    fn yaml_and_json_are_one_tree() {
        let yaml = "a: &x {b: [1, 2.5, yes, true, ~, '1']}\n200: *x\nc:\n  <<: *x\n  d: |\n    t\n";
        let x = json!({ "b": [1, 2.5, "yes", true, null, "1"] });
        let tree = json!({ "a": x, "200": x, "c": { "b": x["b"], "d": "t\n" } });
        assert_eq!(read(yaml).unwrap(), tree);
        assert_eq!(read(&tree.to_string()).unwrap(), tree);
        assert_eq!(read("").unwrap(), Value::Null);
    }

    #[test]
    fn aliases_that_multiply_are_refused_before_they_are_copied() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..40 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            bomb = format!("{bomb}a{level}: &a{level} [{before}]\n");
        }
        let error = read(&bomb).unwrap_err().to_string();
        assert!(
            error.contains("aliases counted as often as used"),
            "{error}"
        );
    }

    #[test]
    fn what_nests_too_deep_is_refused() {
        for text in [
            "[".repeat(5_000),
            "{a: ".repeat(5_000),
            "{\"a\":".repeat(5_000),
        ] {
            assert!(read(&text).is_err());
        }
        let anchor = |n| format!("{}- &a{n}", " ".repeat(n));
        let anchors: Vec<String> = (0..500).map(anchor).collect();
        assert!(read("a: &a [*a]").is_err());
        let lists = |n| format!("{{\"a\":{}1{}}}", "[".repeat(n), "]".repeat(n));
        // With a reference to nothing in the place of the rest.
        for text in [
            anchors.join("\n"),
            format!("# YAML\n{}", lists(200)),
            lists(5_000),
        ] {
            let tree = read(&text).unwrap().to_string();
            assert_eq!(Scan::of(tree.as_bytes()).depth, MAX_DEPTH, "{tree}");
            assert!(tree.contains(TOO_DEEP));
        }
    }

    #[test]
    fn faults_say_where() {
        let error = read("a: 1\nb: [").unwrap_err().to_string();
        assert!(
            error.contains("not YAML") && error.contains("line"),
            "{error}"
        );
        let error = read("{\"a\": }").unwrap_err().to_string();
        assert!(
            error.contains("not JSON") && error.contains("line 1"),
            "{error}"
        );
        assert!(super::super::source::read(&[0xff, 0xfe], 10).is_err());
        assert!(super::super::source::read(&[b' '; 11], 10).is_err());
    }
}
