//! Schemas of a description as JSON Schema 2020-12.

use jsonschema::Draft;
use mcp_gw_core::RawJson;
use serde_json::{Map, Value, json};

use super::{Options, description, read, read_all};
use crate::rest::fuzzing::assert_valid;

/// What a schema becomes as the body of an operation.
fn made(version: &str, schema: &Value, components: &Value) -> Value {
    let mut description = description(
        &json!({ "/a": { "post": { "requestBody": { "content": { "application/json": { "schema": schema } } } } } }),
        &json!({ "schemas": components }),
    );
    description["openapi"] = json!(version);
    let read = read_all(&description);
    let whole = read.operations[0].input_schema().to_value().unwrap();
    assert_valid(&whole);
    whole["properties"]["body"].clone()
}

#[test]
fn keywords_of_3_0_become_those_of_2020_12() {
    for (schema, expected) in [
        (
            json!({ "type": "string", "nullable": true }),
            json!({ "type": ["string", "null"] }),
        ),
        (
            json!({ "type": "string", "nullable": true, "enum": ["a"] }),
            json!({ "type": ["string", "null"], "enum": ["a", null] }),
        ),
        (
            json!({ "nullable": true, "allOf": [{ "type": "object" }], "description": "d" }),
            json!({ "description": "d", "anyOf": [{ "allOf": [{ "type": "object" }] }, { "type": "null" }] }),
        ),
        (
            json!({ "type": "number", "minimum": 1, "exclusiveMinimum": true, "maximum": 2, "exclusiveMaximum": false }),
            json!({ "type": "number", "exclusiveMinimum": 1, "maximum": 2 }),
        ),
        (
            json!({ "type": "string", "example": "x", "xml": { "name": "n" }, "x-y": 1, "title": "T" }),
            json!({ "type": "string", "examples": ["x"] }),
        ),
        (
            json!({ "type": "string", "format": "byte" }),
            json!({ "type": "string", "contentEncoding": "base64" }),
        ),
        (
            json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }], "discriminator": { "propertyName": "t" } }),
            json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }] }),
        ),
        (json!({ "type": "file" }), json!({ "type": "string" })),
        (
            json!({ "type": "string", "nullable": true, "enum": [4.1, "x"], "default": 3 }),
            json!({ "type": ["string", "null"], "enum": ["4.1", "x", null], "default": "3" }),
        ),
    ] {
        assert_eq!(made("3.0.3", &schema, &json!({})), expected, "{schema}");
    }
}

#[test]
fn keywords_of_3_1_stay() {
    for schema in [
        json!({ "type": ["string", "null"], "pattern": "^a", "minLength": 1 }),
        json!({ "type": "array", "prefixItems": [{ "type": "string" }], "items": { "not": {} } }),
        json!({ "type": "object", "properties": { "a": { "const": 1 } }, "dependentRequired": { "a": ["b"] } }),
        json!({ "if": { "required": ["a"] }, "then": { "required": ["b"] }, "else": { "required": ["c"] } }),
        json!({ "type": "object", "propertyNames": { "maxLength": 3 }, "additionalProperties": { "type": "integer" } }),
        json!({ "allOf": [{ "type": "object" }], "anyOf": [{ "required": ["a"] }], "not": { "required": ["z"] } }),
        json!({ "exclusiveMinimum": 3, "multipleOf": 0.5 }),
    ] {
        assert_eq!(made("3.1.0", &schema, &json!({})), schema);
    }
    assert_eq!(made("3.1.0", &json!(true), &json!({})), json!({}));
    assert_eq!(
        made("3.1.0", &json!(false), &json!({})),
        json!({ "not": {} })
    );
}

#[test]
fn what_no_keyword_can_be_is_left_out() {
    let schema = json!({
        "type": "strnig", "minLength": "3", "maxLength": -1, "maxItems": 2.0, "pattern": 7, "enum": "a",
        "required": "a", "properties": [], "items": 3, "allOf": {}, "anyOf": [], "multipleOf": 0, "minimum": "1",
        "dependentRequired": { "a": "b" }, "additionalProperties": "yes", "format": 3, "uniqueItems": "no",
    });
    assert_eq!(made("3.1.0", &schema, &json!({})), json!({ "maxItems": 2 }));
}

#[test]
fn members_that_only_answers_have_are_not_sent() {
    let components = json!({
        "Base": { "type": "object", "properties": { "id": { "type": "integer", "readOnly": true }, "at": { "$ref": "#/components/schemas/Time" } } },
        "Time": { "type": "string", "readOnly": true },
    });
    let schema = json!({
        "allOf": [
            { "$ref": "#/components/schemas/Base" },
            { "required": ["id", "name"], "properties": { "name": { "type": "string" }, "secret": { "type": "string", "writeOnly": true } } },
        ],
        "required": ["id", "at"],
    });
    assert_eq!(
        made("3.0.3", &schema, &components),
        json!({ "allOf": [
            { "type": "object" },
            { "required": ["name"], "properties": { "name": { "type": "string" }, "secret": { "type": "string" } } },
        ] })
    );
}

#[test]
fn references_are_replaced_and_what_stands_in_itself_is_cut() {
    let components = json!({
        "Node": { "type": "object", "description": "A node.", "required": ["name"], "properties": {
            "name": { "type": "string" }, "next": { "$ref": "#/components/schemas/Node" },
        } },
        "A": { "$ref": "#/components/schemas/B" },
        "B": { "$ref": "#/components/schemas/A" },
        "All": { "allOf": [{ "$ref": "#/components/schemas/All" }] },
        "a/b~c d": { "type": "integer" },
    });
    let to = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let cut = json!({ "type": "object", "description": "A node." });
    let once = |next: &Value| {
        json!({ "type": "object", "description": "A node.", "required": ["name"],
            "properties": { "name": { "type": "string" }, "next": next } })
    };
    assert_eq!(made("3.1.0", &to("Node"), &components), once(&once(&cut)));
    assert_eq!(made("3.1.0", &to("A"), &components), json!({}));
    assert_eq!(
        made("3.1.0", &to("All"), &components),
        json!({ "allOf": [{ "allOf": [{}] }] })
    );
    assert_eq!(
        made("3.1.0", &to("a~1b~0c%20d"), &components),
        json!({ "type": "integer" })
    );
    // What stands beside a reference counts from 3.1 on.
    let mut beside = to("a~1b~0c d");
    beside["minimum"] = json!(3);
    beside["description"] = json!("d");
    let both = json!({ "description": "d", "allOf": [{ "type": "integer" }, { "description": "d", "minimum": 3 }] });
    assert_eq!(made("3.1.0", &beside, &components), both);
    assert_eq!(
        made("3.0.0", &beside, &components),
        json!({ "type": "integer", "description": "d" })
    );
}

#[test]
fn a_reference_that_leads_nowhere_is_told_and_admits_all() {
    let body = json!({ "properties": { "a": { "$ref": "https://x.example/s.json" }, "b": { "$ref": "#/none" } } });
    let description = read_all(&description(
        &json!({ "/a": { "post": { "requestBody": { "content": { "application/json": { "schema": body } } } } } }),
        &json!({}),
    ));
    let schema = description.operations[0].input_schema().to_value().unwrap();
    assert_eq!(
        schema["properties"]["body"],
        json!({ "properties": { "a": {}, "b": {} } })
    );
    let notes: Vec<&str> = description
        .report
        .notes
        .iter()
        .map(|it| it.message.as_str())
        .collect();
    assert_eq!(
        notes,
        [
            "the reference \"#/none\" leads to nothing",
            "the reference \"https://x.example/s.json\" leads out of the file; bundle the description into one file",
        ]
    );
}

/// A schema of `depth` levels of `width` members, of some 40 bytes for each.
fn wide(depth: usize, width: usize) -> Value {
    if depth == 0 {
        return json!({ "type": "integer", "description": "A number." });
    }
    let members: Map<String, Value> = (0..width)
        .map(|n| (format!("member_{n}"), wide(depth - 1, width)))
        .collect();
    json!({ "type": "object", "additionalProperties": false, "properties": members })
}

#[test]
fn a_large_schema_loses_its_depths_and_admits_no_less() {
    let schema = wide(4, 8);
    let text = description(
        &json!({ "/a": { "post": { "requestBody": { "content": { "application/json": { "schema": schema } } } } } }),
        &json!({}),
    )
    .to_string();
    let read = read(text.as_bytes(), &Options::all()).unwrap();
    let post = &read.operations[0];
    assert!(
        post.input_schema().len() <= 16 << 10,
        "{}",
        post.input_schema().len()
    );
    let made = post.input_schema().to_value().unwrap();
    assert_valid(&made);
    let members = made["properties"]["body"]["properties"]
        .as_object()
        .unwrap();
    assert_eq!(members.len(), 8);
    let arguments = r#"{"body":{"member_0":{"member_7":{"member_1":{"member_2":5}}}}}"#;
    assert!(post.parts(&RawJson::parse(arguments).unwrap()).is_ok());
    let arguments = r#"{"body":{"other":1}}"#;
    assert!(post.parts(&RawJson::parse(arguments).unwrap()).is_err());
}

#[test]
fn what_is_cut_never_refuses_more_than_what_was_written() {
    // A choice of one, a refusal and a condition are exact, or they are not kept.
    let deep = |leaf: Value| {
        (0..14).fold(
            leaf,
            |inner, _| json!({ "type": "object", "properties": { "a": inner } }),
        )
    };
    let schema = json!({
        "oneOf": [deep(json!({ "type": "string" })), deep(json!({ "type": "integer" }))],
        "not": deep(json!({ "type": "boolean" })),
        "if": deep(json!({ "type": "null" })),
        "then": { "required": ["z"] },
    });
    let made = made("3.1.0", &schema, &json!({}));
    let members: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(members, ["anyOf"]);
}

#[test]
fn a_value_that_fits_two_of_a_choice_is_not_refused() {
    let schema = json!({ "oneOf": [
        { "type": "object", "properties": { "labels": { "type": "array", "items": { "type": "string" } } } },
        { "type": "object", "properties": { "labels": { "type": "array", "items": { "type": "object" } } } },
        { "type": "array" },
    ] });
    let read = read_all(&description(
        &json!({ "/a": { "post": { "requestBody": { "content": { "application/json": { "schema": schema } } } } } }),
        &json!({}),
    ));
    let post = &read.operations[0];
    assert!(post.input_schema().as_str().contains("oneOf"));
    let call = |text: &str| post.parts(&RawJson::parse(text.to_owned()).unwrap());
    assert!(call(r#"{"body":{"labels":[]}}"#).is_ok());
    let said = call(r#"{"body":{"labels":[1]}}"#).unwrap_err().to_string();
    assert_eq!(
        said,
        "argument `body`: {\"labels\":[1]} fits none of the forms it may have"
    );
}

#[test]
fn an_expression_of_another_dialect_does_not_switch_off_the_check() {
    let schema = json!({ "type": "object", "properties": {
        "bad": { "type": "string", "pattern": "(?<=a(" }, "good": { "type": "integer" },
        "held": { "type": "string", "pattern": "^(a+)+$" },
    } });
    let read = read_all(&description(
        &json!({ "/a": { "post": { "requestBody": { "content": { "application/json": { "schema": schema } } } } } }),
        &json!({}),
    ));
    let call = |text: &str| read.operations[0].parts(&RawJson::parse(text.to_owned()).unwrap());
    assert!(call(r#"{"body":{"bad":"x"}}"#).is_ok());
    let said = call(r#"{"body":{"good":"x"}}"#).unwrap_err().to_string();
    assert_eq!(
        said,
        "argument `body` at /good: \"x\" is not of type \"integer\""
    );
    // Nor the other expressions.
    assert!(call(r#"{"body":{"held":"aaa"}}"#).is_ok());
    let said = call(r#"{"body":{"held":"aaa!"}}"#).unwrap_err().to_string();
    assert!(said.contains("does not match"), "{said}");
}

#[test]
fn what_a_description_gets_wrong_does_not_stop_a_call() {
    let schema = json!({ "type": "object", "required": ["a", "undescribed"], "properties": {
        "a": { "type": "string", "pattern": "YYYY-MM-DD" },
        "b": { "type": "object", "patternProperties": { "(?<=a(": {} }, "additionalProperties": false },
    } });
    let body = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    let read = read_all(&description(
        &json!({ "/a": { "post": { "requestBody": body } } }),
        &json!({}),
    ));
    let call = |text: &str| read.operations[0].parts(&RawJson::parse(text.to_owned()).unwrap());
    assert!(call(r#"{"body":{"a":"2026-01-01","b":{"x":1}}}"#).is_ok());
    let said = call(r#"{"body":{"b":{}}}"#).unwrap_err().to_string();
    assert_eq!(said, "argument `body`: \"a\" is a required property");
}

#[test]
fn what_is_made_is_a_schema_by_its_draft() {
    let schema = json!({ "type": "object", "properties": { "a": { "enum": [1] } } });
    let made = made("3.1.0", &schema, &json!({}));
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .build(&made)
        .unwrap();
    assert!(validator.is_valid(&json!({ "a": 1 })) && !validator.is_valid(&json!({ "a": 2 })));
}
