//! Spans as OTLP writes them in JSON.

use serde_json::Value;

use super::tree::Faults;
use crate::konnect::text::tame;

/// How many spans of one trace are read.
pub const MOST_SPANS: usize = 5_000;
/// How many attributes of one span are read, and how long a name and a value may be.
const MOST_ATTRIBUTES: usize = 48;
const LONGEST_NAME: usize = 128;
const LONGEST_VALUE: usize = 256;

/// A span as it was written.
#[derive(Debug, Clone)]
pub(super) struct RawSpan {
    pub(super) id: String,
    pub(super) parent: Option<String>,
    pub(super) name: String,
    /// Nanoseconds since 1970.
    pub(super) start: Option<u64>,
    pub(super) end: Option<u64>,
    pub(super) is_error: bool,
    pub(super) attributes: Vec<(String, String)>,
}

/// All spans of all resources and scopes, in the order in which they are written.
pub(super) fn spans(otlp: &Value, faults: &mut Faults) -> Vec<RawSpan> {
    let mut all = Vec::new();
    for resource in list(otlp, "resourceSpans") {
        for scope in list(resource, "scopeSpans") {
            for span in list(scope, "spans") {
                if all.len() == MOST_SPANS {
                    faults.spans_left_out += 1;
                } else if span.is_object() {
                    all.push(read(span));
                } else {
                    faults.unreadable += 1;
                }
            }
        }
    }
    all
}

fn list<'v>(value: &'v Value, member: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value
        .get(member)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn read(span: &Value) -> RawSpan {
    let text = |member: &str, longest: usize| {
        let text = span.get(member).and_then(Value::as_str)?;
        Some(tame(text, longest)).filter(|text| !text.is_empty())
    };
    let code = span.get("status").and_then(|status| status.get("code"));
    RawSpan {
        id: text("spanId", 64).unwrap_or_default(),
        parent: text("parentSpanId", 64).filter(|id| id.bytes().any(|byte| byte != b'0')),
        name: text("name", LONGEST_NAME).unwrap_or_else(|| "(without a name)".to_owned()),
        start: span.get("startTimeUnixNano").and_then(nanoseconds),
        end: span.get("endTimeUnixNano").and_then(nanoseconds),
        is_error: code.is_some_and(|code| *code == 2 || *code == "STATUS_CODE_ERROR"),
        attributes: list(span, "attributes")
            .filter_map(attribute)
            .take(MOST_ATTRIBUTES)
            .collect(),
    }
}

fn nanoseconds(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    }
    .filter(|time| *time > 0)
}

fn attribute(attribute: &Value) -> Option<(String, String)> {
    let key = tame(attribute.get("key")?.as_str()?, LONGEST_NAME);
    Some((key, scalar(attribute.get("value")?)?))
}

/// Lists and maps are said to be there, and not shown.
fn scalar(value: &Value) -> Option<String> {
    let members = value.as_object()?;
    let (kind, value) = members.iter().find(|(_, value)| !value.is_null())?;
    match (kind.as_str(), value) {
        ("arrayValue" | "kvlistValue" | "bytesValue", _) => Some(format!("({kind})")),
        (_, Value::String(text)) => Some(tame(text, LONGEST_VALUE)),
        (_, Value::Bool(_) | Value::Number(_)) => Some(value.to_string()),
        _ => None,
    }
}
