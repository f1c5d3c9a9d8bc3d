//! Arguments that fit a schema, as odd as it lets them be.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// A value for each member, all that may be there.
pub(crate) fn of(schema: &Value, is_header: bool) -> Value {
    sample(schema, is_header, 0)
}

fn fits(schema: &Value, value: &Value) -> bool {
    let validator: Validator = jsonschema::validator_for(schema).unwrap();
    validator.is_valid(value)
}

fn first_that_fits(schema: &Value, candidates: &[Value]) -> Value {
    let fitting = candidates.iter().find(|value| fits(schema, value));
    fitting
        .cloned()
        .unwrap_or_else(|| panic!("nothing fits {schema}"))
}

fn sample(schema: &Value, is_header: bool, depth: usize) -> Value {
    let Some(members) = schema.as_object() else {
        return json!("any");
    };
    if let Some(values) = members.get("enum").and_then(Value::as_array) {
        return values[0].clone();
    }
    if let Some(value) = members.get("const") {
        return value.clone();
    }
    for keyword in ["anyOf", "oneOf"] {
        if let (Some(choices), false) = (members.get(keyword), members.contains_key("properties")) {
            let is_null = |it: &&Value| it["type"] == "null";
            let choice = choices
                .as_array()
                .unwrap()
                .iter()
                .find(|it| !is_null(it))
                .unwrap();
            return sample(choice, is_header, depth + 1);
        }
    }
    if let Some(parts) = members.get("allOf").and_then(Value::as_array) {
        let mut whole = object(members, is_header, depth);
        let says = [
            "type",
            "properties",
            "enum",
            "const",
            "allOf",
            "anyOf",
            "oneOf",
        ];
        let is_said = |part: &&Value| says.iter().any(|it| part.get(it).is_some());
        for part in parts.iter().filter(is_said) {
            match sample(part, is_header, depth + 1) {
                Value::Object(more) => whole.extend(more),
                other => return other,
            }
        }
        return Value::Object(whole);
    }
    let kinds: Vec<&str> = match members.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ if members.contains_key("properties") => vec!["object"],
        _ => vec!["string"],
    };
    match kinds.iter().find(|kind| **kind != "null").copied().unwrap() {
        "string" if members.contains_key("contentEncoding") => json!("AP8KDSI="),
        "string" => {
            let odd = if is_header {
                "odd, \"text\"; x=y%20"
            } else {
                "ä b/c?d=e&f#g%2Fh+i,j;k[l]\"|\\"
            };
            let length = members
                .get("minLength")
                .and_then(Value::as_u64)
                .unwrap_or(0);
            let long = "7".repeat(usize::try_from(length).unwrap());
            let id = members
                .get("pattern")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let id: String = id
                .chars()
                .skip(1)
                .take(2)
                .chain("a1".repeat(16).chars())
                .collect();
            first_that_fits(
                schema,
                &[
                    json!(odd),
                    json!("12345"),
                    json!("ab"),
                    json!(long),
                    json!(id),
                ],
            )
        }
        "integer" => {
            let bound = members.get("minimum").cloned().unwrap_or_default();
            first_that_fits(schema, &[json!(3), bound, json!(0)])
        }
        "number" => first_that_fits(schema, &[json!(2.5), json!(0.5)]),
        "boolean" => json!(true),
        "array" => {
            let item = sample(
                members.get("items").unwrap_or(&Value::Null),
                is_header,
                depth + 1,
            );
            first_that_fits(schema, &[json!([item, item]), json!([item])])
        }
        _ => Value::Object(object(members, is_header, depth)),
    }
}

fn object(members: &Map<String, Value>, is_header: bool, depth: usize) -> Map<String, Value> {
    let mut made = Map::new();
    if depth > 8 {
        return made;
    }
    if let Some(properties) = members.get("properties").and_then(Value::as_object) {
        for (name, schema) in properties {
            made.insert(name.clone(), sample(schema, is_header, depth + 1));
        }
    }
    if let Some(more @ Value::Object(_)) = members.get("additionalProperties") {
        made.insert("k &=1".to_owned(), sample(more, is_header, depth + 1));
    }
    made
}
