//! The policy step in what somebody exported, and what lies around it.

use serde_json::{Map, Value};

use super::{ImportNote, ImportNoteKind};
use crate::uri;

/// The configuration within a step of a flow, or within the only such step of an API.
pub(super) fn unwrap_step(
    value: Value,
    notes: &mut Vec<ImportNote>,
) -> Result<(Value, String), String> {
    let Value::Object(members) = value else {
        return Err("it is not an object".to_owned());
    };
    if members.contains_key("authorizations") || members.is_empty() {
        return Ok((Value::Object(members), String::new()));
    }
    if members.contains_key("configuration") {
        return of_step(members, "", notes);
    }
    let value = Value::Object(members);
    let mut steps = Vec::new();
    find_steps(&value, "", &mut Vec::new(), &mut steps);
    match steps.as_slice() {
        [] => Ok((value, String::new())),
        [step] => {
            around(&step.around, notes);
            of_phase(&step.path, notes);
            of_step(step.members.clone(), &format!("{}.", step.path), notes)
        }
        several => {
            let paths: Vec<&str> = several.iter().map(|step| step.path.as_str()).collect();
            Err(format!(
                "there are {} steps of `mcp-acl` in it, each of which must allow: import each by itself: {}",
                several.len(),
                paths.join(", ")
            ))
        }
    }
}

/// A step of the policy, with the objects around it from the outermost, and the paths of all.
struct Step<'v> {
    path: String,
    members: &'v Map<String, Value>,
    around: Vec<(String, &'v Map<String, Value>)>,
}

/// The steps of the policy anywhere in an export.
fn find_steps<'v>(
    value: &'v Value,
    path: &str,
    around: &mut Vec<(String, &'v Map<String, Value>)>,
    steps: &mut Vec<Step<'v>>,
) {
    match value {
        Value::Object(members) => {
            let policy = members.get("policy").and_then(Value::as_str);
            if policy == Some("mcp-acl") && members.contains_key("configuration") {
                steps.push(Step {
                    path: path.to_owned(),
                    members,
                    around: around.clone(),
                });
                return;
            }
            around.push((path.to_owned(), members));
            for (key, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                find_steps(member, &format!("{path}{dot}{key}"), around, steps);
            }
            around.pop();
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                find_steps(item, &format!("{path}[{at}]"), around, steps);
            }
        }
        _ => {}
    }
}

/// Tells what lies around a step there and decides whether it is asked at all: flows that are off or
/// for some requests, plans for some callers. Here the rules are always in force.
fn around(holders: &[(String, &Map<String, Value>)], notes: &mut Vec<ImportNote>) {
    let mut note = |path: &str, key: &str, message: &str| {
        let dot = if path.is_empty() { "" } else { "." };
        notes.push(ImportNote {
            path: format!("{path}{dot}{key}"),
            kind: ImportNoteKind::Stricter,
            message: message.to_owned(),
        });
    };
    for (at, members) in holders {
        if members.get("enabled") == Some(&Value::Bool(false)) {
            let message =
                "it is switched off there, and the step in it refuses nothing; here it is in force";
            note(at, "enabled", message);
        }
        let selectors = members.get("selectors").and_then(Value::as_array);
        if selectors.is_some_and(|selectors| selectors.iter().any(narrows)) {
            let message = "the step in it is asked for some requests only there, and refuses no others; \
                           here its rules are for all";
            note(at, "selectors", message);
        }
        for key in ["condition", "selectionRule"] {
            let text = members.get(key).and_then(Value::as_str);
            if text.is_some_and(|text| !text.trim().is_empty()) {
                let message =
                    "the step in it is left out there unless this holds; here it always counts";
                note(at, key, message);
            }
        }
        let is_plan = at.strip_suffix(']').and_then(|at| at.rsplit_once('['));
        if is_plan.is_some_and(|(list, _)| list.rsplit('.').next() == Some("plans")) {
            let message = "the step is asked for the callers of this plan only there; here its rules are for \
                           everybody";
            note(at, "flows", message);
        }
    }
}

/// Tells of a step among those for responses: `mcp-acl` is written for requests.
fn of_phase(path: &str, notes: &mut Vec<ImportNote>) {
    let list = path.rsplit_once('[').map_or(path, |(list, _)| list);
    let phase = list.rsplit('.').next().unwrap_or_default();
    if ["response", "post", "subscribe", "publish"].contains(&phase) {
        notes.push(ImportNote {
            path: path.to_owned(),
            kind: ImportNoteKind::Stricter,
            message: format!(
                "the step stands in `{phase}` there, where no request is refused before it is sent; here its \
                 rules are for requests"
            ),
        });
    }
}

/// True when a selector of a flow leaves requests out: it has a condition, methods, or a path that is
/// not the beginning of all.
fn narrows(selector: &Value) -> bool {
    let Some(members) = selector.as_object() else {
        return true;
    };
    members.iter().any(|(key, value)| match (&**key, value) {
        ("type", _) | (_, Value::Null) => false,
        ("pathOperator", operator) => {
            operator == "EQUALS" && members.get("path").is_some_and(|path| path != "")
        }
        ("path", Value::String(path)) => !matches!(&**path, "" | "/"),
        (_, Value::Array(items)) => !items.is_empty(),
        (_, Value::String(text)) => !text.trim().is_empty(),
        _ => true,
    })
}

fn of_step(
    mut members: Map<String, Value>,
    path: &str,
    notes: &mut Vec<ImportNote>,
) -> Result<(Value, String), String> {
    if let Some(policy) = members.get("policy").and_then(Value::as_str) {
        if policy != "mcp-acl" {
            return Err(format!("the step is of the policy `{policy}`"));
        }
    }
    let mut stricter = |key: &str, message: &str| {
        notes.push(ImportNote {
            path: format!("{path}{key}"),
            kind: ImportNoteKind::Stricter,
            message: message.to_owned(),
        });
    };
    if members.get("enabled") == Some(&Value::Bool(false)) {
        let message = "the step is switched off there and refuses nothing; here it is in force";
        stricter("enabled", message);
    }
    let condition = members.get("condition").and_then(Value::as_str);
    if condition.is_some_and(|text| !text.trim().is_empty()) {
        let message =
            "the step is left out there unless its condition holds; here it always counts";
        stricter("condition", message);
    }
    // Some exports hold the configuration as text.
    let configuration = match members.remove("configuration") {
        Some(Value::String(text)) => {
            serde_json::from_str(&text).map_err(|error| error.to_string())?
        }
        value => value.unwrap_or_default(),
    };
    Ok((configuration, format!("{path}configuration.")))
}

/// The spelling that a URI is compared in, if it is another one.
pub(super) fn other_spelling(value: &str) -> Option<String> {
    let checked = uri::check(value, true).ok()?;
    let text = checked.text();
    (text != value).then(|| text.to_owned())
}
