//! Arguments become requests.

use mcp_gw_core::RawJson;
use serde_json::{Value, json};

use super::openapi::{Options, read};
use super::{ArgumentError, InputConfig, InputPlace, Operation, ToolConfig};
use crate::egress::RequestParts;

mod bodies;
mod hostile;
mod styles;

/// The only operation of a description.
pub(super) fn operation(path: &str, method: &str, operation: &Value) -> Operation {
    let description = json!({
        "openapi": "3.1.0",
        "info": { "title": "T", "version": "1" },
        "paths": { path: { method: operation } },
        "components": { "securitySchemes": {
            "key": { "type": "apiKey", "in": "query", "name": "api_key" },
            "cookie": { "type": "apiKey", "in": "cookie", "name": "sid" },
        } },
    });
    let read = read(description.to_string().as_bytes(), &Options::all()).unwrap();
    assert!(read.report.skipped.is_empty(), "{}", read.report);
    read.operations.into_iter().next().unwrap()
}

pub(super) fn call(
    operation: &Operation,
    arguments: &Value,
) -> Result<RequestParts, ArgumentError> {
    operation.parts(&RawJson::parse(arguments.to_string()).unwrap())
}

/// Why these arguments make no request.
pub(super) fn refusal(operation: &Operation, arguments: &Value) -> String {
    call(operation, arguments).unwrap_err().to_string()
}

fn pets() -> Operation {
    operation(
        "/pets/{id}",
        "get",
        &json!({
            "operationId": "getPet",
            "parameters": [
                { "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } },
                { "name": "id", "in": "query", "schema": { "type": "string" } },
                { "name": "body", "in": "query", "schema": { "type": "string" } },
                { "name": "filter[name]", "in": "query", "schema": { "enum": ["a", "b"] } },
                { "name": "X-Trace", "in": "header", "schema": { "type": "string" } },
                { "name": "api_key", "in": "query", "schema": { "type": "string" } },
                { "name": "Authorization", "in": "header", "required": true, "schema": { "type": "string" } },
            ],
            "security": [{ "key": [] }],
        }),
    )
}

#[test]
fn parameters_of_one_name_are_told_apart_and_credentials_are_nobodys_argument() {
    let pets = pets();
    let schema = pets.input_schema().to_value().unwrap();
    let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["X-Trace", "body", "filter_name", "path_id", "query_id"]
    );
    assert_eq!(schema["required"], json!(["path_id"]));
    assert_eq!(schema["additionalProperties"], json!(false));

    let arguments = json!({ "path_id": 7, "query_id": "x y", "filter_name": "a", "X-Trace": "t" });
    let parts = call(&pets, &arguments).unwrap();
    assert_eq!((&*parts.method, &*parts.endpoint), ("GET", "/pets/7"));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(parts.query, [pair("id", "x y"), pair("filter[name]", "a")]);
    assert_eq!(parts.headers, [pair("X-Trace", "t")]);
    assert_eq!(parts.body, None);
    assert_eq!(pets.headers().collect::<Vec<_>>(), ["X-Trace"]);
}

#[test]
fn what_is_wrong_with_arguments_is_told_with_what_to_do() {
    let pets = pets();
    for (arguments, says) in [
        (json!({}), "argument `path_id` is required and missing"),
        (
            json!({ "path_id": null }),
            "argument `path_id` is required and missing",
        ),
        (
            json!({ "path_id": 1, "api_key": "k" }),
            "argument `api_key` is not known; there are `path_id`, `query_id`, `body`, `filter_name`, `X-Trace`",
        ),
        (
            json!({ "path_id": "x" }),
            r#"argument `path_id`: "x" is not of type "integer""#,
        ),
        (
            json!({ "path_id": 1, "filter_name": "c" }),
            r#"argument `filter_name`: "c" is none of "a", "b""#,
        ),
        (
            json!({ "path_id": 1, "X-Trace": "a\nb" }),
            "argument `X-Trace`: a header field holds plain ASCII without line breaks",
        ),
        (
            json!([]),
            "the arguments: invalid type: sequence, expected an object",
        ),
    ] {
        assert_eq!(refusal(&pets, &arguments), says);
    }
    let twice = RawJson::parse(r#"{"path_id":1,"path_id":2}"#).unwrap();
    let said = pets.parts(&twice).unwrap_err();
    assert_eq!(
        said.to_string(),
        "the arguments: duplicate member `path_id`"
    );
    let said = pets.parts(&RawJson::parse(r#"{"path_id":"x"}"#).unwrap());
    assert_eq!(said.unwrap_err().argument(), Some("path_id"));
}

#[test]
fn a_null_for_what_may_be_left_out_is_left_out() {
    let parts = call(
        &pets(),
        &json!({ "path_id": 1, "query_id": null, "body": null }),
    )
    .unwrap();
    assert!(parts.query.is_empty());
    // What nobody knows is a mistake also then.
    let said = refusal(&pets(), &json!({ "path_id": 1, "a": null }));
    assert!(said.starts_with("argument `a` is not known"), "{said}");
}

#[test]
fn numbers_keep_their_text() {
    let get = operation(
        "/n/{n}",
        "get",
        &json!({ "parameters": [
            { "name": "n", "in": "path", "required": true, "schema": { "type": "number" } },
            { "name": "many", "in": "query", "schema": { "type": "array" } },
        ] }),
    );
    let arguments = r#"{"n":1.50e3,"many":[12345678901234567890123,true,"1.0"]}"#;
    let parts = get.parts(&RawJson::parse(arguments).unwrap()).unwrap();
    assert_eq!(parts.endpoint, "/n/1.50e3");
    let values: Vec<&str> = parts
        .query
        .iter()
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(values, ["12345678901234567890123", "true", "1.0"]);
}

#[test]
fn a_tool_by_hand_is_the_same_kind_of_operation() {
    let tool = ToolConfig::new("create", "Creates.", "POST", "/v1/{kind}/items?fmt=json")
        .with_input("kind", InputConfig::default())
        .with_input("name", InputConfig::default().with_required(true))
        .with_input(
            "count",
            InputConfig::default().with_type("integer").with_default(1),
        )
        .with_input(
            "trace",
            InputConfig::default()
                .with_place(InputPlace::Header)
                .with_name("X-Trace"),
        )
        .with_input(
            "where",
            InputConfig::default()
                .with_place(InputPlace::Query)
                .with_type("object"),
        );
    let create = tool.build().unwrap();
    let arguments =
        json!({ "kind": "a b", "name": "n", "trace": "t", "where": { "a": { "b": 1 } } });
    let parts = call(&create, &arguments).unwrap();
    assert_eq!(parts.endpoint, "/v1/a%20b/items?fmt=json");
    assert_eq!(parts.query, [("where[a][b]".to_owned(), "1".to_owned())]);
    assert_eq!(parts.headers, [("X-Trace".to_owned(), "t".to_owned())]);
    let body = parts.body.unwrap();
    assert_eq!(body.content_type, "application/json");
    assert_eq!(body.bytes, r#"{"count":1,"name":"n"}"#);
    assert_eq!(
        refusal(&create, &json!({})),
        "arguments `kind`, `name` are required and missing"
    );
    assert_eq!(create.spec().unwrap().name(), "create");
    let label = json!({ "type": ["string", "null"] })
        .as_object()
        .cloned()
        .unwrap();
    let label = InputConfig::default().with_schema(label);
    let patch = ToolConfig::new("patch", "d", "PATCH", "/")
        .with_input("label", label)
        .build();
    let parts = call(&patch.unwrap(), &json!({ "label": null })).unwrap();
    assert_eq!(parts.body.unwrap().bytes, r#"{"label":null}"#);
}

#[test]
fn schemas_of_inputs_refer_to_places_in_themselves() {
    let input = |schema: Value| {
        InputConfig::default().with_schema(schema.as_object().cloned().unwrap_or_default())
    };
    let defined = json!({"$defs": {"k": {"type": "integer"}}, "$ref": "#/$defs/k"});
    let node = json!({
        "type": "object", "properties": {"n": {"$ref": "#"}}, "additionalProperties": false,
    });
    let named = json!({"$id": "urn:x", "$defs": {"k": {"type": "integer"}}, "$ref": "#/$defs/k"});
    let tool = ToolConfig::new("t", "d", "POST", "/{id}")
        .with_input("id", InputConfig::default().with_type("integer"))
        .with_input("b", InputConfig::default().with_type("integer"))
        .with_input("a.b", input(defined.clone()))
        .with_input("c", input(defined))
        .with_input("u", input(node))
        .with_input("v", input(named));
    let tool = tool.build().unwrap();
    let good = json!({"id": 1, "b": 2, "a.b": 3, "c": 4, "u": {"n": {"n": {}}}, "v": 5});
    assert!(call(&tool, &good).is_ok());
    for (name, value) in [
        ("b", json!("x")),
        ("a.b", json!("x")),
        ("c", json!("x")),
        ("u", json!({"n": {"b": 1}})),
        ("v", json!("x")),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        let said = refusal(&tool, &bad);
        assert!(said.starts_with(&format!("argument `{name}`")), "{said}");
    }
    // What a reader of the whole finds is what is meant.
    let whole = tool.input_schema.to_value().unwrap();
    let refers = &whole["properties"]["c"]["$ref"];
    assert_eq!(refers, "#/properties/c/$defs/k");
    // Nothing that would switch off the check of all arguments.
    let moved = json!({"oneOf": [{"type": "string"}, {"items": {"$ref": "#/oneOf/0"}}]});
    let tool = ToolConfig::new("t", "d", "POST", "/").with_input("a", input(moved));
    let said = tool.build().unwrap_err().to_string();
    assert!(said.contains("`$defs`"), "{said}");
}

#[test]
fn what_is_wrong_with_a_tool_by_hand_is_told() {
    let tool = |method: &str, path: &str| ToolConfig::new("t", "d", method, path);
    let at = |place| InputConfig::default().with_place(place);
    for (tool, says) in [
        (
            ToolConfig::new("a b", "d", "GET", "/"),
            "`name` must be 1 to 64",
        ),
        (tool("TRACE", "/"), "`method` must be one of GET"),
        (tool("GET", "a"), "does not begin with `/`"),
        (
            tool("GET", "/{x}"),
            "`path` has {x}, but there is no input for it",
        ),
        (
            tool("GET", "/").with_input("x", at(InputPlace::Path)),
            "`path` has no {x}",
        ),
        (
            tool("GET", "/").with_input("x", at(InputPlace::Body)),
            "GET has no body",
        ),
        (
            tool("GET", "/").with_input("Host", at(InputPlace::Header)),
            "the gateway sets it",
        ),
        (
            tool("GET", "/").with_input("a b", at(InputPlace::Query)),
            "its name must be 1 to 64",
        ),
        (
            tool("GET", "/").with_input("x", InputConfig::default().with_type("text")),
            "`type` must be one of string",
        ),
        (
            tool("GET", "/")
                .with_input("x", at(InputPlace::Query))
                .with_input("y", at(InputPlace::Query).with_name("x")),
            "another input is sent as \"x\", too",
        ),
    ] {
        let said = tool.build().unwrap_err().to_string();
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_tool_by_hand_is_read_as_it_is_written() {
    let tool: ToolConfig = serde_json::from_value(json!({
        "name": "search", "description": "d", "path": "/s", "method": "POST", "body": "form",
        "inputs": { "q": { "required": true }, "tags": { "type": "array" } },
        "annotations": { "readOnlyHint": true },
    }))
    .unwrap();
    let search = tool.build().unwrap();
    assert!(search.annotations().is_read_only());
    let parts = call(&search, &json!({ "q": "a&b=c d", "tags": ["x", "y"] })).unwrap();
    let body = parts.body.unwrap();
    assert_eq!(body.content_type, "application/x-www-form-urlencoded");
    assert_eq!(body.bytes, "q=a%26b%3Dc+d&tags=x&tags=y");
    assert!(serde_json::from_value::<ToolConfig>(json!({ "name": "x", "nmae": "y" })).is_err());
}
