//! What the description admits is admitted: a schema that was made may be weaker, never stricter.

use jsonschema::Draft;
use mcp_gw_core::RawJson;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Options, description, read};

fn leaf() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({}),
        json!(true),
        json!(false),
        json!({ "type": "string" }),
        json!({ "type": "string", "minLength": 2 }),
        json!({ "type": "string", "pattern": "^a" }),
        json!({ "type": ["integer", "null"] }),
        json!({ "type": "integer", "minimum": 1, "exclusiveMaximum": 3 }),
        json!({ "type": "boolean" }),
        json!({ "enum": ["a", 1, null] }),
        json!({ "const": 2 }),
        json!({ "required": ["a"] }),
        json!({ "type": "object" }),
        json!({ "maxProperties": 1, "minItems": 1 }),
        json!({ "$ref": "#/components/schemas/B" }),
        json!({ "$ref": "#/components/schemas/C" }),
        json!({ "$ref": "#/components/schemas/C", "maxLength": 1 }),
    ])
}

fn schema() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 24, 3, |inner| {
        let some = prop::collection::vec(inner.clone(), 1..4);
        let keyword = prop::sample::select(vec!["allOf", "anyOf", "oneOf", "prefixItems"]);
        let one = prop::sample::select(vec![
            "not",
            "items",
            "additionalProperties",
            "contains",
            "propertyNames",
            "unevaluatedProperties",
        ]);
        let names = prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..2);
        prop_oneof![
            2 => (keyword, some).prop_map(|(keyword, parts)| json!({ keyword: parts })),
            2 => (one, inner.clone()).prop_map(|(keyword, part)| json!({ keyword: part })),
            1 => (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(when, then, otherwise)| json!({ "if": when, "then": then, "else": otherwise })),
            3 => (inner.clone(), inner.clone(), names, prop::bool::ANY).prop_map(|(a, b, required, open)| json!({
                "type": "object", "properties": { "a": a, "b": b }, "required": required, "additionalProperties": open,
            })),
            // Several keywords in one schema.
            2 => (inner.clone(), inner).prop_map(|(one, other)| match (one, other) {
                (Value::Object(mut one), Value::Object(other)) if !one.contains_key("$ref") => {
                    one.extend(other.into_iter().filter(|(name, _)| name != "$ref"));
                    Value::Object(one)
                }
                (one, _) => one,
            }),
        ]
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop::sample::select(vec![
        json!(null),
        json!(1),
        json!(2),
        json!("a"),
        json!("ab"),
        json!(true),
        json!({}),
        json!([]),
    ]);
    leaf.prop_recursive(4, 12, 3, |inner| {
        let name = prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec((name, inner.clone()), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_fits_the_description_is_not_refused(
        a in schema(),
        b in schema(),
        values in prop::collection::vec(value(), 12),
        max_schema in prop::sample::select(vec![150, 600, 16_384]),
    ) {
        // `C` holds itself, so that something has to be cut.
        let c = json!({ "anyOf": [
            { "type": "object", "properties": { "a": { "$ref": "#/components/schemas/C" } }, "maxProperties": 1 },
            { "type": "string" },
        ] });
        // A circle that consumes nothing is no schema at all.
        let b = if b.to_string().contains("schemas/B") { json!({ "type": "object" }) } else { b };
        let components = json!({ "schemas": { "A": a, "B": b, "C": c } });
        let mut whole = Map::from_iter([("components".to_owned(), components.clone())]);
        whole.insert("$ref".to_owned(), "#/components/schemas/A".into());
        let written = jsonschema::options().with_draft(Draft::Draft202012).build(&Value::Object(whole)).unwrap();

        let body = json!({ "required": true, "content": { "application/json": { "schema": a } } });
        let text = description(&json!({ "/a": { "post": { "requestBody": body } } }), &components).to_string();
        let made = read(text.as_bytes(), &Options::all().with_max_schema(max_schema)).unwrap();
        let post = &made.operations[0];
        for value in values.iter().filter(|value| written.is_valid(value)) {
            let arguments = json!({ "body": value }).to_string();
            if let Err(error) = post.parts(&RawJson::parse(arguments).unwrap()) {
                prop_assert!(false, "{} refuses {}: {}", post.input_schema(), value, error);
            }
        }
    }
}
