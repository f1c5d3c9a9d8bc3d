//! A schema that becomes a part of another: what it says of places in itself is true there, too.

use serde_json::Value;

/// Makes references of `schema` to places in itself ones to the same places where it stands at the pointer
/// `place` of another.
pub(super) fn rebase(schema: &mut Value, place: &str) {
    match schema {
        // References below are to what has this name.
        Value::Object(members) if members.get("$id").is_some_and(Value::is_string) => {}
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("$ref" | "$dynamicRef", Value::String(target)) => {
                        let pointer = target.strip_prefix('#');
                        let is_pointer = |it: &&str| it.is_empty() || it.starts_with('/');
                        if let Some(pointer) = pointer.filter(is_pointer) {
                            *target = format!("#{place}{pointer}");
                        }
                    }
                    // Values, not schemas.
                    ("enum" | "const" | "default" | "examples", _) => {}
                    (
                        "properties" | "patternProperties" | "dependentSchemas" | "$defs"
                        | "definitions",
                        Value::Object(schemas),
                    ) => {
                        for schema in schemas.values_mut() {
                            rebase(schema, place);
                        }
                    }
                    (_, member) => rebase(member, place),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                rebase(item, place);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_lead_where_they_led() {
        let mut schema = json!({
            "$defs": {"k": {"$ref": "#"}, "own": {"$id": "urn:own", "$ref": "#/$defs/k"}},
            "properties": {"$ref": {"$ref": "#/$defs/k"}, "by_name": {"$ref": "#there"}},
            "allOf": [{"items": {"$dynamicRef": "#/$defs/k"}}],
            "enum": [{"$ref": "#"}],
            "$ref": "urn:own",
        });
        rebase(&mut schema, "/properties/a");
        let expected = json!({
            "$defs": {"k": {"$ref": "#/properties/a"}, "own": {"$id": "urn:own", "$ref": "#/$defs/k"}},
            "properties": {
                "$ref": {"$ref": "#/properties/a/$defs/k"}, "by_name": {"$ref": "#there"},
            },
            "allOf": [{"items": {"$dynamicRef": "#/properties/a/$defs/k"}}],
            "enum": [{"$ref": "#"}],
            "$ref": "urn:own",
        });
        assert_eq!(schema, expected);
    }
}
