//! What an API says about single fields, beside its message.

use mcp_gw_core::{JsonText, Members, RawJson};
use serde::Deserialize;
use serde_json::Value;

/// So many are told.
const MOST: usize = 8;

/// One entry of `invalid_parameters` (problem+json of Kong Konnect), or of `details` (its entities).
#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    field: Value,
    #[serde(default)]
    reason: Value,
    #[serde(default)]
    rule: Value,
    #[serde(default)]
    choices: Value,
    #[serde(default)]
    messages: Value,
}

/// `field: why`, one after the other; empty when nothing is said of fields.
pub(super) fn of(raw: &RawJson, members: &Members<'_>) -> String {
    let listed = ["invalid_parameters", "details"].iter();
    let mut all: Vec<String> = listed
        .filter_map(|name| members.get(name))
        .filter_map(|list| serde_json::from_str::<Vec<JsonText<'_>>>(list.get()).ok())
        .flatten()
        .filter_map(|fault| raw.slice(fault).decode_owned::<Fault>().ok())
        .filter_map(|fault| fault.said())
        .take(MOST)
        .collect();
    // A gateway of one's own names fields and what is wrong with them (`fields`).
    let fields = members.get("fields").map(|fields| raw.slice(fields));
    if let Some(Value::Object(fields)) = fields.and_then(|fields| fields.to_value().ok()) {
        let more = fields
            .iter()
            .map(|(name, says)| format!("{name}: {}", text(says)));
        all.extend(more.take(MOST));
    }
    all.join("; ")
}

impl Fault {
    fn said(&self) -> Option<String> {
        let field = text(&self.field);
        let mut parts: Vec<String> = [&self.reason, &self.rule, &self.messages]
            .into_iter()
            .map(text)
            .filter(|says| !says.is_empty())
            .collect();
        let choices = text(&self.choices);
        if !choices.is_empty() {
            parts.push(format!("one of {choices}"));
        }
        match (field.is_empty(), parts.is_empty()) {
            (true, true) => None,
            (true, false) => Some(parts.join(", ")),
            (false, true) => Some(field),
            (false, false) => Some(format!("{field}: {}", parts.join(", "))),
        }
    }
}

/// A value as words.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
