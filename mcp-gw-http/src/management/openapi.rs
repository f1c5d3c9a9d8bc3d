//! The `OpenAPI` 3.1 document, from the table of operations and the types that they read and write.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::fault::Said;
use super::table::{BodyKind, Need, Operation};

/// The version that this API says it has.
pub(super) const VERSION: &str = "2.0.0";

fn generator(is_answer: bool) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let settings = if is_answer {
        settings.for_serialize()
    } else {
        settings
    };
    settings.into_generator()
}

/// The document, and for each operation the names of the members that its body knows.
pub(super) fn document(table: &[Operation]) -> (Value, BTreeMap<&'static str, Vec<String>>) {
    let (mut asked, mut told) = (generator(false), generator(true));
    let error = told.subschema_for::<Said<'_>>();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut known = BTreeMap::new();
    for row in table {
        let mut operation = head(row);
        if let Some(body) = &row.body {
            let schemas = schemas_of(body, &mut asked);
            known.insert(row.id, members(&schemas, &asked));
            let content = json!({ body.media_type(): { "schema": joined(schemas) } });
            operation.insert(
                "requestBody".to_owned(),
                json!({ "required": true, "content": content }),
            );
        }
        operation.insert("responses".to_owned(), responses(row, &mut told, &error));
        let path = paths.entry(row.path).or_default();
        path.insert(
            row.method.as_str().to_ascii_lowercase(),
            Value::Object(operation),
        );
    }
    let mut schemas = asked.take_definitions(true);
    schemas.extend(told.take_definitions(true));
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "MCP Gateway API",
            "version": VERSION,
            "description": "Users, keys, servers and tool calls of an MCP gateway.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer",
                    "description": "A token of `POST /auth/login`, or an API key." },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
            },
        },
    });
    (document, known)
}

fn head(row: &Operation) -> Map<String, Value> {
    let mut head = Map::new();
    let needs = match row.need {
        Need::Nobody => "Needs no credentials.".to_owned(),
        Need::Anybody => "Needs credentials.".to_owned(),
        Need::Scope(scope) => format!("Needs the scope `{scope}`."),
    };
    head.insert("operationId".to_owned(), json!(row.id));
    head.insert("tags".to_owned(), json!([row.tag]));
    head.insert("summary".to_owned(), json!(row.about));
    head.insert("description".to_owned(), json!(needs));
    let security = match row.need {
        Need::Nobody => json!([]),
        _ => json!([{ "bearer": [] }, { "apiKey": [] }]),
    };
    head.insert("security".to_owned(), security);
    let mut params: Vec<Value> = row.path_params().into_iter().map(path_param).collect();
    params.extend(row.query.iter().map(|param| {
        let mut schema = json!({ "type": param.kind });
        if param.name == "limit"
            && let Some(schema) = schema.as_object_mut()
        {
            schema.insert("minimum".to_owned(), json!(1));
            schema.insert("maximum".to_owned(), json!(1000));
        }
        json!({ "name": param.name, "in": "query", "required": false,
            "description": param.about, "schema": schema })
    }));
    if row.is_conditional {
        params.push(
            json!({ "name": "If-Match", "in": "header", "required": false,
            "description": "The `ETag` that was read: refused with 412 when it is another one now",
            "schema": { "type": "string" } }),
        );
    }
    if !params.is_empty() {
        head.insert("parameters".to_owned(), json!(params));
    }
    head
}

fn path_param(name: &str) -> Value {
    let schema = match name {
        "user_id" | "key_id" => json!({ "type": "integer", "format": "int64" }),
        _ => json!({ "type": "string", "minLength": 1 }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn schemas_of(body: &BodyKind, generator: &mut SchemaGenerator) -> Vec<Schema> {
    match body {
        BodyKind::Form(schema) => vec![schema(generator)],
        BodyKind::Json(schemas) => schemas.iter().map(|schema| schema(generator)).collect(),
    }
}

fn joined(mut schemas: Vec<Schema>) -> Value {
    if schemas.len() > 1 {
        return json!({ "allOf": schemas });
    }
    schemas.pop().map_or(Value::Bool(true), Schema::to_value)
}

/// The names of the members of these schemas.
fn members(schemas: &[Schema], generator: &SchemaGenerator) -> Vec<String> {
    let definitions = generator.definitions();
    let mut names = Vec::new();
    for schema in schemas {
        let reference = schema
            .get("$ref")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let name = reference.rsplit('/').next().unwrap_or_default();
        let properties = definitions
            .get(name)
            .and_then(|found| found.get("properties"));
        if let Some(properties) = properties.and_then(Value::as_object) {
            names.extend(properties.keys().cloned());
        }
    }
    names
}

fn responses(row: &Operation, generator: &mut SchemaGenerator, error: &Schema) -> Value {
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for (status, schema) in &row.gives {
        let mut response =
            json!({ "description": reason(status.as_u16()), "headers": headers(row) });
        if let (Some(schema), Some(response)) = (schema, response.as_object_mut()) {
            let content = json!({ "application/json": { "schema": schema(generator) } });
            response.insert("content".to_owned(), content);
        }
        all.insert(status.as_str().to_owned(), response);
    }
    for status in row.all_fails() {
        // A status that an answer of success has as well says the same in this shape.
        all.entry(status.to_string()).or_insert_with(|| {
            json!({ "description": reason(status), "headers": headers(row),
                "content": { "application/json": { "schema": error } } })
        });
    }
    json!(all)
}

fn headers(row: &Operation) -> Value {
    let number = |about: &str| json!({ "description": about, "schema": { "type": "integer" } });
    let id = json!({ "description": "The id of the request", "schema": { "type": "string" } });
    if row.need == Need::Nobody {
        return json!({ "X-Request-Id": id });
    }
    json!({
        "X-Request-Id": id,
        "X-RateLimit-Limit": number("Requests in the current window; not there when nothing limits"),
        "X-RateLimit-Remaining": number("What is left of them"),
        "X-RateLimit-Reset": number("When the window ends, in seconds since 1970"),
    })
}

fn reason(status: u16) -> &'static str {
    let status = StatusCode::from_u16(status).ok();
    status
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Other")
}
