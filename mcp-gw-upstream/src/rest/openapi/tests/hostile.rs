//! Whatever the bytes are: no panic, an end, and schemas that are schemas.

use tokio::time::Instant;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::document::Document;
use super::super::report::Report;
use super::super::servers::Home;
use super::super::{Options, build};
use super::{description, ends_soon, read_all};
use crate::rest::fuzzing::openapi;

/// Words that mean something in a description, so that noise gets somewhere.
const WORDS: &[&str] = &[
    "openapi",
    "paths",
    "/a/{x}",
    "/a",
    "get",
    "post",
    "parameters",
    "name",
    "in",
    "path",
    "query",
    "header",
    "cookie",
    "schema",
    "$ref",
    "#/components/schemas/A",
    "#/components/schemas/B",
    "#",
    "#/paths/~1a/get",
    "other.yaml",
    "components",
    "schemas",
    "A",
    "B",
    "type",
    "string",
    "object",
    "array",
    "properties",
    "items",
    "allOf",
    "oneOf",
    "anyOf",
    "not",
    "if",
    "then",
    "required",
    "requestBody",
    "content",
    "application/json",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    "*/*",
    "style",
    "form",
    "deepObject",
    "explode",
    "enum",
    "nullable",
    "readOnly",
    "additionalProperties",
    "security",
    "securitySchemes",
    "servers",
    "url",
    "responses",
    "200",
    "operationId",
    "tags",
    "minimum",
    "exclusiveMinimum",
    "pattern",
    "format",
    "binary",
    "encoding",
    "contentType",
    "prefixItems",
];

fn noise() -> impl Strategy<Value = Value> {
    let word = || prop::sample::select(WORDS).prop_map(str::to_owned);
    let leaf = prop_oneof![
        4 => word().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => (-3..9_i64).prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((word(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A description whose parts are noise, each in a place where it is read.
fn almost() -> impl Strategy<Value = Value> {
    (noise(), noise(), noise(), noise(), noise(), prop::bool::ANY).prop_map(
        |(a, b, parameter, operation, whole, is_old)| {
            let mut operation = match operation {
                Value::Object(members) => members,
                _ => Map::new(),
            };
            let own = json!([parameter, { "in": "query", "name": "q", "schema": a }]);
            operation.insert("parameters".to_owned(), own);
            let body = json!({ "content": { "application/json": { "schema": b } } });
            operation.entry("requestBody").or_insert(body);
            json!({
                "openapi": if is_old { "3.0.1" } else { "3.1.0" },
                "paths": { "/a/{x}": { "post": operation }, "/b": whole },
                "components": { "schemas": { "A": a, "B": b } },
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn arbitrary_json_never_panics(value in prop_oneof![noise(), almost()]) {
        openapi(value.to_string().as_bytes());
    }

    #[test]
    fn arbitrary_text_never_panics(text in prop_oneof!["\\PC{0,200}", "(openapi: 3.1.0\n)?[ \n:{}\\[\\]*&a-c0-9'\"#|>-]{0,200}"]) {
        openapi(text.as_bytes());
    }
}

fn of_schemas(schemas: &Map<String, Value>) -> Value {
    let to = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let body = json!({ "content": { "application/json": { "schema": to("S0") } } });
    let paths: Map<String, Value> = (0..50)
        .map(|n| (format!("/{n}"), json!({ "post": { "requestBody": body } })))
        .collect();
    description(&Value::Object(paths), &json!({ "schemas": schemas }))
}

#[test]
fn references_that_multiply_end() {
    let start = Instant::now();
    for keyword in ["allOf", "anyOf", "oneOf", "properties"] {
        let schemas: Map<String, Value> = (0..60)
            .map(|n| {
                let next = json!({ "$ref": format!("#/components/schemas/S{}", (n + 1) % 60) });
                let parts = match keyword {
                    "properties" => json!({ "a": next, "b": next, "c": next }),
                    _ => json!([next, next, next]),
                };
                (format!("S{n}"), json!({ keyword: parts }))
            })
            .collect();
        let description = read_all(&of_schemas(&schemas));
        assert_eq!(description.operations.len(), 50);
        for operation in &description.operations {
            assert!(operation.input_schema().len() <= 16 << 10);
        }
    }
    ends_soon(start);
}

#[test]
fn a_long_chain_of_references_ends() {
    let start = Instant::now();
    let schemas = (0..50_000).map(|n| {
        (
            format!("S{n}"),
            json!({ "$ref": format!("#/components/schemas/S{}", n + 1) }),
        )
    });
    let description = read_all(&of_schemas(&schemas.collect()));
    assert_eq!(description.operations.len(), 50);
    ends_soon(start);
}

#[test]
fn an_object_with_very_many_members_ends() {
    let start = Instant::now();
    let members: Map<String, Value> = (0..100_000)
        .map(|n| (format!("m{n}"), json!({ "type": "string" })))
        .collect();
    let schema = json!({ "type": "object", "additionalProperties": false, "properties": members });
    let description = read_all(&of_schemas(&Map::from_iter([("S0".to_owned(), schema)])));
    let schema = description.operations[0].input_schema();
    assert!(schema.len() <= 16 << 10, "{}", schema.len());
    // With most members left out, no member is refused any more.
    assert!(
        !schema.to_value().unwrap()["properties"]["body"]
            .to_string()
            .contains("additional")
    );
    ends_soon(start);
}

#[test]
fn very_many_operations_end() {
    let start = Instant::now();
    let paths: Map<String, Value> = (0..20_000)
        .map(|n| {
            (
                format!("/{n}"),
                json!({ "get": { "operationId": "same" }, "x": { "$ref": "y" } }),
            )
        })
        .collect();
    let description = read_all(&description(&Value::Object(paths), &json!({})));
    assert_eq!(description.operations.len(), 5_000);
    assert_eq!(
        (description.report.skipped.len(), description.report.more),
        (1_000, 14_000)
    );
    ends_soon(start);
}

/// A check costs no more than the schema and the value together allow for.
#[test]
fn a_value_that_is_made_to_be_checked_for_long_is_not() {
    let start = Instant::now();
    let choice = json!({ "anyOf": [{ "$ref": "#/components/schemas/S0" }, { "$ref": "#/components/schemas/S0" }, { "type": "string" }] });
    let schema = json!({ "type": "object", "properties": { "a": choice, "p": { "type": "string", "pattern": "^(a+)+(?=b)$" } } });
    let description = read_all(&of_schemas(&Map::from_iter([("S0".to_owned(), schema)])));
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    let arguments = format!("{{\"body\":{deep}}}");
    let post = &description.operations[0];
    let _ = post.parts(&mcp_gw_core::RawJson::parse(arguments).unwrap());
    let arguments = format!("{{\"body\":{{\"p\":\"{}\"}}}}", "a".repeat(100_000));
    assert!(
        post.parts(&mcp_gw_core::RawJson::parse(arguments).unwrap())
            .is_err()
    );
    ends_soon(start);
}

/// What was in vain for many operations is not done for all the others too.
#[test]
fn operations_that_are_all_too_large_are_soon_known_for_that() {
    let chain = |n: usize| {
        let next = json!({ "$ref": format!("#/components/schemas/S{}", n + 1) });
        let members = (0..8).map(|m| (format!("m{m}"), next.clone()));
        json!({ "type": "object", "properties": members.collect::<Map<_, _>>() })
    };
    let schemas: Map<String, Value> = (0..30).map(|n| (format!("S{n}"), chain(n))).collect();
    let body = json!({ "content": { "application/json": { "schema": { "$ref": "#/components/schemas/S0" } } } });
    let paths = (0..300).map(|n| (format!("/{n}"), json!({ "post": { "requestBody": body } })));
    let paths = Value::Object(paths.collect());
    let root = description(&paths, &json!({ "schemas": schemas }));
    let document = Document::new(root).unwrap();
    let mut report = Report::default();
    let found = build::find(&document, &mut report);
    let home = Home::new(&[], None, found.iter().map(build::Found::servers));
    let options = Options::all();
    let mut builder = build::Builder::new(&document, &options, &home);
    let mut made = Vec::new();
    for (n, found) in found.iter().enumerate() {
        let operation = builder.operation(found, n.to_string(), &mut report);
        made.push(operation.unwrap().input_schema().len());
    }
    assert_eq!(made.len(), 300);
    assert!(made[299] > 1_000, "it is still told what is sent: {made:?}");
    assert!(builder.work < 1_200_000, "{}", builder.work);
}
