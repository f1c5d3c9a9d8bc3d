//! What tools are listed, and what holds for all of them.
#![expect(unreachable_pub, reason = "each test uses the part that it needs")]

use mcp_gw_core::Backend;
use serde_json::Value;

/// The definitions of all tools, as clients get them.
pub fn definitions(backend: &dyn Backend) -> Vec<Value> {
    let offer = backend.offer_now().unwrap();
    let tools = offer.tools.iter();
    tools
        .map(|tool| tool.definition().to_value().unwrap())
        .collect()
}

/// Their names.
pub fn names(backend: &dyn Backend) -> Vec<String> {
    let all = definitions(backend);
    all.iter().map(|tool| name(tool).to_owned()).collect()
}

/// The name of a tool.
pub fn name(tool: &Value) -> &str {
    tool["name"].as_str().unwrap()
}

/// A model pays for the list with each session: it stays as short as this, in bytes.
pub fn are_short(tools: &[Value], most: usize) {
    let mut sizes: Vec<_> = tools
        .iter()
        .map(|tool| (tool.to_string().len(), name(tool)))
        .collect();
    sizes.sort_unstable();
    let all: usize = sizes.iter().map(|(size, _)| size).sum();
    assert!(all <= most, "{all} bytes: {sizes:?}");
}

/// Schemas are complete in themselves, and what is in them can be understood.
pub fn are_plain(tools: &[Value]) {
    for tool in tools {
        let name = name(tool);
        let says = tool["description"].as_str().unwrap();
        assert!(says.len() > 40 && !says.contains("  "), "{name}");
        for schema in ["inputSchema", "outputSchema"] {
            assert_eq!(tool[schema]["type"], "object", "{name}");
            is_plain(&format!("{name}/{schema}"), &tool[schema]);
        }
        is_explained(name, says, &tool["inputSchema"]);
        for hint in ["readOnlyHint", "title", "openWorldHint"] {
            assert!(!tool["annotations"][hint].is_null(), "{name}: {hint}");
        }
    }
}

/// Everything is here, in the JSON Schema that every client reads.
fn is_plain(at: &str, schema: &Value) {
    match schema {
        Value::Object(members) => {
            for name in ["$ref", "$defs", "definitions", "$schema"] {
                assert!(!members.contains_key(name), "{at}: {name}");
            }
            assert!(!members.get("type").is_some_and(Value::is_array), "{at}");
            let first = members.get("enum").map(|all| &all[0]);
            assert_ne!(first, Some(&Value::Null), "{at}");
            let says = members.get("description").and_then(Value::as_str);
            assert!(says.is_none_or(|says| !says.contains('\n')), "{at}");
            for (name, value) in members {
                is_plain(&format!("{at}/{name}"), value);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| is_plain(at, item)),
        _ => {}
    }
}

/// What a member of arguments is, is said of it, or of what it is in; or everybody who knows the API knows it.
fn is_explained(at: &str, around: &str, schema: &Value) {
    let own = schema["description"].as_str().unwrap_or_default();
    let around = format!("{around} {own}");
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        let says = property["description"].as_str().unwrap_or_default();
        let is_named = around
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| word == name);
        assert!(
            says.len() > 5 || is_named || name.ends_with("_id") || KNOWN.contains(&name.as_str()),
            "{at} is not explained"
        );
        is_explained(&at, &around, property);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(inner) {
            is_explained(at, &around, inner);
        }
    }
    for choice in schema["anyOf"].as_array().into_iter().flatten() {
        is_explained(at, &around, choice);
    }
}

/// Names of the APIs that say it all.
const KNOWN: [&str; 16] = [
    "cert", "certs", "desc", "hosts", "id", "key", "keys", "labels", "methods", "name", "port",
    "script", "timeout", "type", "username", "vars",
];
