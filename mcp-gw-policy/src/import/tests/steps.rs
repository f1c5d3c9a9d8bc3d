//! Steps of flows, and what lies around them.

use mcp_gw_core::Effect;
use serde_json::{Value, json};

use super::{decides, import, one};
use crate::import::{ImportNoteKind, import_mcp_acl};

#[test]
fn an_api_with_one_step_is_taken_and_what_is_lost_is_told() {
    let acl = one("TOOLS", &["TOOLS_CALL"], "ANY", None, "");
    let step =
        json!({"policy": "mcp-acl", "enabled": false, "condition": "{#x}", "configuration": acl});
    let api = |steps: Value| json!({"api": {"name": "a", "flows": [{"request": steps}]}});
    let taken = api(json!([{"policy": "other", "configuration": {}}, step]));
    assert_eq!(decides(&taken, "tools/call", "a", "{}"), Effect::Allow);
    let paths: Vec<_> = import(&taken)
        .notes
        .iter()
        .map(|note| note.path.clone())
        .collect();
    let at = "api.flows[0].request[1]";
    assert_eq!(paths, [format!("{at}.enabled"), format!("{at}.condition")]);
    let error = import_mcp_acl(&api(json!([step, step])).to_string()).unwrap_err();
    assert!(error.to_string().contains("2 steps"), "{error}");
    assert!(import_mcp_acl(&api(json!([])).to_string()).is_err());
}

/// What decides there whether the step is asked at all.
#[test]
fn what_lies_around_a_step_is_told() {
    let acl = one("TOOLS", &["TOOLS_CALL"], "ANY", None, "");
    let step = json!({"policy": "mcp-acl", "configuration": acl});
    let told = |api: Value| -> Vec<String> {
        let notes = import(&api).notes;
        assert!(
            notes
                .iter()
                .all(|note| note.kind == ImportNoteKind::Stricter)
        );
        notes.into_iter().map(|note| note.path).collect()
    };
    let flow = |more: Value| {
        let mut flow = json!({"name": "a", "enabled": true, "request": [step]});
        for (key, value) in more.as_object().unwrap() {
            flow[key] = value.clone();
        }
        flow
    };
    for (more, key) in [
        (json!({"enabled": false}), Some("enabled")),
        (
            json!({"condition": "{#request.id == 'a'}"}),
            Some("condition"),
        ),
        (
            json!({"selectors": [{"type": "MCP", "methods": ["tools/call"]}]}),
            Some("selectors"),
        ),
        (
            json!({"selectors": [{"type": "CONDITION", "condition": "{#x}"}]}),
            Some("selectors"),
        ),
        (
            json!({"selectors": [{"type": "HTTP", "path": "/a", "pathOperator": "STARTS_WITH"}]}),
            Some("selectors"),
        ),
        (
            json!({"selectors": [{"type": "HTTP", "path": "/", "pathOperator": "EQUALS"}]}),
            Some("selectors"),
        ),
        (json!({"selectors": [{"type": "MCP", "methods": []}]}), None),
        (
            json!({"selectors": [{"type": "HTTP", "path": "/", "pathOperator": "STARTS_WITH", "methods": []}]}),
            None,
        ),
        (json!({"selectors": []}), None),
    ] {
        let expected =
            |at: &str| -> Vec<String> { key.iter().map(|key| format!("{at}{key}")).collect() };
        assert_eq!(told(flow(more.clone())), expected(""), "{more}");
        let api = json!({"a.b": {"flows": [flow(more.clone())]}});
        assert_eq!(told(api), expected("a.b.flows[0]."), "{more}");
    }
    let plans = json!({"plans": [{"selectionRule": "{#x}", "flows": [flow(json!({}))]}]});
    assert_eq!(told(plans), ["plans[0].selectionRule", "plans[0].flows"]);
}

#[test]
fn a_step_for_responses_is_told() {
    let acl = one("TOOLS", &["TOOLS_CALL"], "ANY", None, "");
    let step = json!({"policy": "mcp-acl", "configuration": acl});
    for (phase, is_told) in [("request", false), ("response", true), ("post", true)] {
        let notes = import(&json!({"flows": [{phase: [step]}]})).notes;
        let paths: Vec<_> = notes.iter().map(|note| note.path.as_str()).collect();
        let expected = format!("flows[0].{phase}[0]");
        assert_eq!(paths == [expected], is_told, "{phase}: {paths:?}");
        assert!(is_told || paths.is_empty());
    }
}

/// A literal URI stands for all its spellings here.
#[test]
fn another_spelling_of_a_literal_is_told() {
    for (r#type, method, value, is_told) in [
        ("RESOURCES", "RESOURCES_READ", "https://Ex.com/a", true),
        ("RESOURCES", "RESOURCES_READ", "https://ex.com/%61", true),
        ("RESOURCES", "RESOURCES_READ", "https://ex.com/a", false),
        ("TOOLS", "TOOLS_CALL", "https://Ex.com/a", false),
    ] {
        let notes = import(&one(r#type, &[method], "LITERAL", Some(value), "")).notes;
        let is_spelling = |message: &str| message.contains("in one spelling");
        let told = notes.iter().filter(|note| is_spelling(&note.message));
        assert_eq!(told.count(), usize::from(is_told), "{value}");
    }
}
