//! The JSON Schema of the configuration, and its reference documentation made from it.

use std::fmt::Write as _;

use serde_json::Value;

use super::source::schema_of;
use super::types::Config;

/// The JSON Schema (draft 2020-12) of `mcp-gw.yaml`, checked in as `docs/mcp-gw.schema.json`.
pub fn json_schema() -> Value {
    schema_of::<Config>()
}

/// The reference of all keys in Markdown, checked in as `docs/configuration.md`.
pub fn reference() -> String {
    let schema = json_schema();
    let mut page = Page {
        schema: &schema,
        text: PREFACE.to_owned(),
        told: Vec::new(),
    };
    page.section("", &schema);
    page.text
}

struct Page<'a> {
    schema: &'a Value,
    text: String,
    /// Mappings that have a table, and the path over it: one that stands in several places has one.
    told: Vec<(&'a Value, String)>,
}

impl<'a> Page<'a> {
    /// One table for a mapping, followed by the tables of the mappings in it.
    fn section(&mut self, path: &str, schema: &'a Value) {
        let title = if path.is_empty() {
            "Top level".to_owned()
        } else {
            format!("`{path}`")
        };
        let _ = write!(self.text, "\n## {title}\n\n{}\n", prose(schema));
        self.text
            .push_str("\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n");
        let mut below = Vec::new();
        let required = |key: &str| {
            let names = schema.get("required").and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|name| name == key))
        };
        for (key, property) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let target = self.resolve(property);
            let default = match property.get("default") {
                _ if required(key) => "required".to_owned(),
                Some(Value::String(text)) => format!("`{text}`"),
                Some(value) => format!("`{value}`"),
                None => String::new(),
            };
            let inner = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            let items = target.get("items").map(|items| self.resolve(items));
            let mut meaning = prose(property) + &options(items.unwrap_or(target));
            if let Some((inner, schema)) = self.mapping_below(inner, target) {
                let told = self.told.iter();
                let mut told = told.filter(|(known, _)| std::ptr::eq(*known, schema));
                if let Some((_, first)) = told.next() {
                    let _ = write!(meaning, " As `{first}`.");
                } else {
                    self.told.push((schema, inner.clone()));
                    below.push((inner, schema));
                }
            }
            let kind = self.kind(target);
            let _ = writeln!(
                self.text,
                "| `{key}` | {kind} | {default} | {} |",
                meaning.replace('|', "\\|")
            );
        }
        for (path, schema) in below {
            self.section(&path, schema);
        }
    }

    /// The mapping that a value is, or is made of.
    fn mapping_below(&self, path: String, schema: &'a Value) -> Option<(String, &'a Value)> {
        if schema.get("properties").is_some() {
            Some((path, schema))
        } else if let Some(items) = schema.get("items") {
            self.mapping_below(path + "[]", self.resolve(items))
        } else {
            let values = schema
                .get("additionalProperties")
                .filter(|values| values.is_object())?;
            self.mapping_below(path + ".<name>", self.resolve(values))
        }
    }

    fn kind(&self, schema: &Value) -> String {
        if let Some(items) = schema.get("items") {
            return format!("list of {}", self.kind(self.resolve(items)));
        }
        if schema.get("patternErrorMessage").is_some() {
            let size = schema.get("type").is_some_and(Value::is_array);
            return if size { "size" } else { "duration" }.to_owned();
        }
        if schema.get("oneOf").is_some() {
            return "word".to_owned();
        }
        if let Some(forms) = schema.get("anyOf").and_then(Value::as_array) {
            let mut kinds: Vec<_> = forms
                .iter()
                .map(|form| self.kind(self.resolve(form)))
                .collect();
            kinds.dedup();
            return kinds.join(" or ");
        }
        let values = schema
            .get("additionalProperties")
            .filter(|values| values.is_object());
        match (schema.get("type").and_then(Value::as_str), values) {
            (_, Some(values)) => format!("mapping to {}", self.kind(self.resolve(values))),
            (Some("object"), None) => "mapping".to_owned(),
            (Some("string"), None) => "text".to_owned(),
            (Some("boolean"), None) => "`true` or `false`".to_owned(),
            (Some("integer"), None) => "whole number".to_owned(),
            _ => "value".to_owned(),
        }
    }

    fn resolve<'b>(&self, schema: &'b Value) -> &'b Value
    where
        'a: 'b,
    {
        let target = schema.get("$ref").and_then(Value::as_str);
        let target = target.and_then(|target| target.strip_prefix('#'));
        target
            .and_then(|target| self.schema.pointer(target))
            .unwrap_or(schema)
    }
}

/// The description, its paragraphs and lines joined.
fn prose(schema: &Value) -> String {
    let text = schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words that a value can be.
fn options(schema: &Value) -> String {
    let mut text = String::new();
    for option in schema
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let word = option
            .get("const")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let _ = write!(text, " `{word}`: {}", prose(option));
    }
    text
}

const PREFACE: &str = "\
# Configuration

<!-- Made from the doc comments of `mcp-gw-server`: `MCP_GW_BLESS=1 cargo test -p mcp-gw-server reference` -->

The gateway reads one file, `mcp-gw.yaml`, in YAML or JSON. [`mcp-gw.example.yaml`](mcp-gw.example.yaml) shows every
section; [`mcp-gw.schema.json`](mcp-gw.schema.json) gives editors completion and checks: put
`# yaml-language-server: $schema=mcp-gw.schema.json` into the first line.

A file is checked as a whole before anything starts: every fault is reported, with its line and column. An unknown key, a key
that is written twice and a key without a value are faults.

In every text, `${NAME}` stands for an environment variable and `${NAME:-default}` for one that may be unset or empty; `$${`
is a literal `${`. What a variable holds is always text and is never read as YAML. Inside `[…]` and `{…}` such a text needs
quotes.

A **duration** is a whole number with a unit: `250ms`, `30s`, `5m`, `2h`, `7d`. A **size** is a number of bytes, or one with a unit:
`64KiB`, `4MiB`, `10MB`.
";

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{load, read_file};

    const REGENERATE: &str = "MCP_GW_BLESS=1 cargo test -p mcp-gw-server reference";

    fn docs(name: &str) -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "..", "docs", name]
            .iter()
            .collect()
    }

    /// Compares a checked-in file with what it should be, or writes it when asked to.
    #[expect(
        clippy::disallowed_methods,
        reason = "a developer asks for new files this way"
    )]
    fn assert_fresh(name: &str, expected: &str) {
        let path = docs(name);
        if std::env::var_os("MCP_GW_BLESS").is_some() {
            std::fs::write(&path, expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == expected,
            "docs/{name} is stale; run `{REGENERATE}`"
        );
    }

    #[test]
    fn the_schema_that_is_checked_in_is_fresh() {
        let schema = serde_json::to_string_pretty(&json_schema()).unwrap();
        assert_fresh("mcp-gw.schema.json", &(schema + "\n"));
    }

    #[test]
    fn the_reference_that_is_checked_in_is_fresh() {
        assert_fresh("configuration.md", &reference());
    }

    #[test]
    fn every_key_is_described() {
        let page = reference();
        let undescribed: Vec<&str> = page.lines().filter(|line| line.ends_with("|  |")).collect();
        assert!(undescribed.is_empty(), "{undescribed:?}");
    }

    #[test]
    fn the_example_loads_and_shows_every_key() {
        let text = read_file(&docs("mcp-gw.example.yaml")).unwrap();
        let env = |name: &str| match name {
            "SESSION_KEY" => Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned()),
            _ => Some(format!("a-long-enough-value-of-{name}")),
        };
        let config = Config::load("mcp-gw.example.yaml", &text, &env).unwrap();
        assert!(
            config
                .servers
                .values()
                .all(|server| !server.targets().is_empty())
        );
        // Keys that the example only mentions are there as comments.
        let schema = json_schema();
        let mut keys = Vec::new();
        collect(&schema, &mut keys);
        for key in keys {
            assert!(
                text.contains(&format!("{key}:")),
                "the example does not show `{key}`"
            );
        }
    }

    #[test]
    fn the_defaults_in_the_schema_are_accepted() {
        let schema = json_schema();
        for section in ["http", "auth", "policy", "limits", "pins", "metrics"] {
            let text = format!("{section}: {{}}");
            load::<Config>("x", &text, &|_| None).unwrap();
        }
        assert_eq!(schema["properties"]["call_timeout"]["default"], "1m");
        assert!(!schema.to_string().contains("\"null\""));
    }

    fn collect(schema: &Value, keys: &mut Vec<String>) {
        match schema {
            Value::Object(object) => {
                if let Some(Value::Object(properties)) = object.get("properties") {
                    keys.extend(properties.keys().cloned());
                }
                object.values().for_each(|value| collect(value, keys));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, keys)),
            _ => {}
        }
    }
}
