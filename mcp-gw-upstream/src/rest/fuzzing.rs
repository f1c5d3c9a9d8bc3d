//! What the fuzz targets call: any bytes as a description, any bytes as arguments.

use std::sync::OnceLock;

use mcp_gw_core::RawJson;
use serde_json::Value;

use super::Operation;
use super::openapi::{Options, read};
use super::text::percent_decode;

/// Any bytes as a description: reading ends, and what it makes can be a tool.
///
/// # Panics
/// When that is not so.
pub fn openapi(data: &[u8]) {
    let Ok(description) = read(data, &Options::all()) else {
        return;
    };
    for operation in &description.operations {
        let name = operation.name();
        let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!((1..=64).contains(&name.len()) && name.chars().all(is_legal));
        assert!(operation.spec().is_ok(), "{name}");
        let schema = operation.input_schema().to_value().unwrap_or_default();
        assert_valid(&schema);
        let properties = schema.get("properties").and_then(Value::as_object);
        for (argument, _) in properties.into_iter().flatten() {
            let is_legal = |c: char| is_legal(c) || c == '.';
            assert!((1..=64).contains(&argument.len()) && argument.chars().all(is_legal));
        }
        let _ = operation.parts(&RawJson::empty_object());
    }
    assert!(description.report.to_string().len() < 4 << 20);
}

/// A schema that is one of 2020-12, complete in itself.
pub(super) fn assert_valid(schema: &Value) {
    if let Err(error) = jsonschema::draft202012::meta::validate(schema) {
        assert!(
            schema.is_null(),
            "{error} at {}: {schema}",
            error.instance_path()
        );
    }
    assert!(!has_reference(schema), "{schema}");
}

/// True when a schema in it refers to another; values and names of members do not count.
fn has_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => members.iter().any(|(name, member)| match name.as_str() {
            "$ref" => true,
            "enum" | "const" | "default" | "examples" => false,
            "properties" | "patternProperties" | "dependentSchemas" | "dependentRequired" => member
                .as_object()
                .into_iter()
                .flatten()
                .any(|it| has_reference(it.1)),
            _ => has_reference(member),
        }),
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

/// Any bytes as the arguments of an operation with a parameter of each kind: the path has as many
/// segments as ever, and nothing becomes a parameter that it is not.
///
/// # Panics
/// When that is not so.
pub fn arguments(data: &[u8]) {
    static OPERATIONS: OnceLock<Vec<Operation>> = OnceLock::new();
    let Ok(arguments) = RawJson::parse(data.to_vec()) else {
        return;
    };
    let operations = OPERATIONS.get_or_init(|| {
        let description = read(ODD.as_bytes(), &Options::all());
        description.map_or_else(|_| Vec::new(), |it| it.operations)
    });
    assert_eq!(operations.len(), 1);
    for operation in operations {
        let Ok(parts) = operation.parts(&arguments) else {
            continue;
        };
        let (path, query) = parts
            .endpoint
            .split_once('?')
            .unwrap_or((&parts.endpoint, ""));
        assert_eq!(path.split('/').count(), 7, "{path}");
        for segment in path.split('/').skip(1) {
            let plain = percent_decode(segment.split(';').next().unwrap_or_default());
            assert!(
                !segment.is_empty() && plain != b"." && plain != b"..",
                "{path}"
            );
        }
        let is_uri = |c: u8| c.is_ascii_graphic() && !b"\"<>\\^`{}|#[]".contains(&c);
        assert!(parts.endpoint.bytes().all(is_uri), "{}", parts.endpoint);
        let raw = query
            .split('&')
            .map(|pair| percent_decode(pair.split('=').next().unwrap_or_default()));
        let pairs = parts
            .query
            .iter()
            .map(|(name, _)| name.clone().into_bytes());
        assert!(pairs.chain(raw).all(|name| name != b"api_key"), "{parts:?}");
        for (name, value) in &parts.headers {
            assert!(name == "X-H" || name == "cookie", "{name}");
            assert!(
                value
                    .bytes()
                    .all(|c| c == b'\t' || (b' '..=b'~').contains(&c))
            );
            assert!(
                !value
                    .split("; ")
                    .any(|it| name == "cookie" && it.starts_with("sid="))
            );
        }
    }
}

/// A description of one operation with a parameter of each kind.
const ODD: &str = r"
openapi: 3.1.0
paths:
  /a/{s}/{l}.{l2}/b/{m}{m2}/c:
    post:
      security: [{key: [], cookie: []}]
      parameters:
        - {name: s, in: path, required: true, schema: {}}
        - {name: l, in: path, required: true, style: label, schema: {}}
        - {name: l2, in: path, required: true, style: label, explode: true, schema: {}}
        - {name: m, in: path, required: true, style: matrix, explode: true, schema: {}}
        - {name: m2, in: path, required: true, explode: true, schema: {}}
        - {name: q, in: query, schema: {}}
        - {name: f, in: query, explode: false, schema: {}}
        - {name: d, in: query, style: deepObject, explode: true, schema: {}}
        - {name: p, in: query, style: pipeDelimited, schema: {}}
        - {name: sp, in: query, style: spaceDelimited, explode: false, schema: {}}
        - {name: r, in: query, allowReserved: true, schema: {}}
        - {name: ro, in: query, allowReserved: true, explode: false, schema: {}}
        - {name: j, in: query, content: {application/json: {}}}
        - {name: X-H, in: header, schema: {}}
        - {name: c, in: cookie, schema: {}}
      requestBody: {content: {multipart/form-data: {schema: {properties: {file: {type: string, format: binary}}}}}}
components:
  securitySchemes:
    key: {type: apiKey, in: query, name: api_key}
    cookie: {type: apiKey, in: cookie, name: sid}
";
