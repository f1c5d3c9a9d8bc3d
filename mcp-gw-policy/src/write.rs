//! A policy as the text of a file, for people.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::config::PolicyConfig;

impl PolicyConfig {
    /// The policy as YAML that [`PolicyConfig::from_yaml`] reads as the same policy. What says no more
    /// than its default is left out.
    pub fn to_yaml(&self) -> String {
        let Ok(Value::Object(mut root)) = serde_json::to_value(self) else {
            // A policy consists of what JSON can say, and its keys are texts.
            return String::new();
        };
        trim(&mut root);
        let mut out = String::new();
        block(&root, 0, &mut out);
        out
    }
}

/// Leaves out what a layer and its rules say by default.
fn trim(layer: &mut Map<String, Value>) {
    const SAID_ANYWAY: [(&str, &str); 3] = [
        ("mode", "enforce"),
        ("match", "name"),
        ("on_denied", "hide"),
    ];
    for (key, default) in SAID_ANYWAY {
        if layer.get(key).and_then(Value::as_str) == Some(default) {
            layer.remove(key);
        }
    }
    for key in ["rules", "consumers"] {
        if let Some(Value::Array(items)) = layer.get_mut(key) {
            items
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(trim);
        }
    }
    let of_policy = layer.contains_key("default");
    if let (true, Some(Value::Object(servers))) = (of_policy, layer.get_mut("servers")) {
        servers
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(trim);
    }
}

/// What people look for first stands first.
fn rank(key: &str) -> usize {
    const FIRST: [&str; 26] = [
        "id",
        "name",
        "description",
        "default",
        "effect",
        "mode",
        "on_denied",
        "methods",
        "tools",
        "resources",
        "resource_templates",
        "prompts",
        "match",
        "who",
        "from",
        "when",
        "vars",
        "ip",
        "roles",
        "groups",
        "scopes",
        "extra_methods",
        "rules",
        "servers",
        "consumers",
        "inherits",
    ];
    let place = FIRST.iter().position(|first| *first == key);
    place.unwrap_or(FIRST.len())
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| (rank(key), key.as_str()));
    entries
}

fn block(map: &Map<String, Value>, indent: usize, out: &mut String) {
    for (at, (key, value)) in sorted(map).into_iter().enumerate() {
        // The first key of an item stands behind its dash.
        if at > 0 || !out.ends_with("- ") {
            pad(indent, out);
        }
        out.push_str(&scalar(key));
        out.push(':');
        under(key, value, indent, out);
    }
}

/// What stands behind a key.
fn under(key: &str, value: &Value, indent: usize, out: &mut String) {
    let is_list_of_rules = matches!(key, "rules" | "consumers");
    match value {
        Value::Object(map) if !map.is_empty() && !fits(value, indent) => {
            out.push('\n');
            block(map, indent + STEP, out);
        }
        Value::Array(items) if !items.is_empty() && (is_list_of_rules || !fits(value, indent)) => {
            out.push('\n');
            for item in items {
                pad(indent + STEP, out);
                out.push_str("- ");
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        block(map, indent + 2 * STEP, out);
                    }
                    item => {
                        flow(item, out);
                        out.push('\n');
                    }
                }
            }
        }
        value => {
            out.push(' ');
            flow(value, out);
            out.push('\n');
        }
    }
}

const STEP: usize = 2;

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// True when a value is short enough to stand on the line of its key.
fn fits(value: &Value, indent: usize) -> bool {
    let mut text = String::new();
    flow(value, &mut text);
    text.chars().count() + indent < 70
}

fn flow(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => out.push_str(&scalar(text)),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                flow(item, out);
            }
            out.push(']');
        }
        Value::Object(map) if map.is_empty() => out.push_str("{}"),
        Value::Object(map) => {
            out.push_str("{ ");
            for (at, (key, value)) in sorted(map).into_iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                out.push_str(&scalar(key));
                out.push_str(": ");
                flow(value, out);
            }
            out.push_str(" }");
        }
        plain => {
            let _ = write!(out, "{plain}");
        }
    }
}

/// A text, in quotes unless it can be read as nothing else.
fn scalar(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            // Letters of all scripts, but nothing that cannot be seen.
            c if c.is_alphanumeric() => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    Cow::Owned(out)
}

fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/' | b'.'))
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_policy_is_written_for_people() {
        let text = "\
default: deny
roles:
  admin:
    inherits: [reader]
    members: [{ ids: [root] }, { groups: [ops] }, { scopes: [admin] }]
  reader: {}
rules:
  - id: read
    effect: allow
    methods: [tools/list, tools/call]
    tools: [\"get_*\", { literal: \"a*b\" }]
    who: { roles: [reader] }
    when: \"jwt.dept == 'sales' && mcp.tool.arguments.amount < 100\"
  - id: watch
    effect: deny
    mode: shadow
servers: { docs: { default: allow } }
";
        let policy = PolicyConfig::from_yaml(text).unwrap();
        assert_eq!(policy.to_yaml(), text);
        assert_eq!(PolicyConfig::default().to_yaml(), "default: deny\n");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was(
            texts in prop::collection::vec(any::<String>(), 1..6),
            number in any::<i64>(),
            odd in prop::sample::select(vec![
                "yes", "~", "0x1f", "1e3", "- a", "a: b", "#x", "&a", "*a", "!t", "", " ", "any", "\u{feff}",
                "\u{2028}", "\u{85}", "'", "\"", "\\", "null", "[", "{", "%a", "@a", "`a", "a #b", "\u{10ffff}",
            ]),
        ) {
            let mut policy = PolicyConfig::allow();
            policy.vars.insert(odd.to_owned(), number.into());
            for text in &texts {
                policy.vars.insert(text.clone(), Value::from(vec![odd.to_owned(), text.clone()]));
            }
            policy.vars.insert("nested".to_owned(), serde_json::json!({ "a": [{ "mode": "enforce" }, texts] }));
            let written = policy.to_yaml();
            let read = PolicyConfig::from_yaml(&written);
            prop_assert_eq!(read.as_ref().map_err(ToString::to_string), Ok(&policy), "{}", written);
        }
    }
}
