//! The body of an operation: which of its media types, and what is known of the members of forms.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::document::Document;
use super::parameters::is_json;
use super::schema::Maker;
use crate::rest::body::{Body, Field, Kind, is_media_type};
use crate::rest::param::{Form, Place, Style};

/// The body of an operation, and what is known of it.
#[derive(Debug)]
pub(super) struct Plan<'d> {
    pub(super) body: Body,
    schema: Option<&'d Value>,
    description: Option<&'d str>,
}

/// Chooses the media type that a model can write best.
///
/// # Errors
/// Why the operation cannot be called: it needs a body that cannot be made.
pub(super) fn of<'d>(
    document: &'d Document,
    request: &'d Value,
    notes: &mut Vec<String>,
) -> Result<Option<Plan<'d>>, String> {
    let members = document
        .object(request)
        .map_err(|fault| format!("its body cannot be read: {fault}"))?;
    let required = members.get("required") == Some(&Value::Bool(true));
    let Some(Value::Object(content)) = members.get("content") else {
        return Ok(None);
    };
    let usable = content.iter().filter_map(|(media, entry)| {
        let entry = entry.as_object()?;
        let schema = entry
            .get("schema")
            .filter(|it| it.is_object() || it.is_boolean());
        let (rank, kind, media) = kind(document, media, schema)?;
        Some((rank, kind, media, entry, schema))
    });
    let best = usable.min_by(|one, other| (one.0, &one.2).cmp(&(other.0, &other.2)));
    let Some((_, kind, content_type, entry, schema)) = best else {
        if required {
            return Err("it needs a body, of no media type that can be sent".to_owned());
        }
        if !content.is_empty() {
            notes.push("its body is left out: it has no media type that can be sent".to_owned());
        }
        return Ok(None);
    };
    let kind = match kind {
        Kind::Fields(_) => Kind::Fields(fields(document, schema, entry)),
        Kind::Parts(_) => Kind::Parts(fields(document, schema, entry)),
        kind => kind,
    };
    Ok(Some(Plan {
        body: Body {
            content_type,
            kind,
            required,
            members: None,
        },
        schema,
        description: members.get("description").and_then(Value::as_str),
    }))
}

/// How good a media type is for a model (0 is best), what it is, and how it is named on the wire.
fn kind(document: &Document, media: &str, schema: Option<&Value>) -> Option<(u8, Kind, String)> {
    let media = media.trim();
    let essence = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_binary = || schema.is_none_or(|schema| is_file(document, schema, 0));
    let named = media.to_owned();
    let found = match essence.as_str() {
        "application/json" => (0, Kind::Json, named),
        // Of what Kubernetes takes for a patch, the one that looks like the thing itself.
        "application/merge-patch+json" => (1, Kind::Json, named),
        _ if is_json(&essence) => (2, Kind::Json, named),
        "application/x-www-form-urlencoded" => (4, Kind::Fields(Vec::new()), essence),
        "multipart/form-data" => (5, Kind::Parts(Vec::new()), essence),
        "text/plain" => (6, Kind::Text, named),
        "*/*" | "application/*" if is_binary() => {
            (8, Kind::Bytes, "application/octet-stream".to_owned())
        }
        "*/*" | "application/*" => (3, Kind::Json, "application/json".to_owned()),
        "multipart/*" => (5, Kind::Parts(Vec::new()), "multipart/form-data".to_owned()),
        "text/*" => (6, Kind::Text, "text/plain".to_owned()),
        _ if essence.contains('*') => (9, Kind::Bytes, "application/octet-stream".to_owned()),
        _ if essence.starts_with("multipart/") => return None,
        _ if is_text(&essence) => (7, Kind::Text, named),
        _ => (8, Kind::Bytes, named),
    };
    is_media_type(&found.2).then_some(found)
}

fn is_text(essence: &str) -> bool {
    const TEXTS: &[&str] = &[
        "application/graphql",
        "application/javascript",
        "application/jsonl",
        "application/sql",
        "application/toml",
        "application/x-ndjson",
        "application/x-yaml",
        "application/xml",
        "application/yaml",
    ];
    essence.starts_with("text/")
        || essence.ends_with("+xml")
        || essence.ends_with("+yaml")
        || TEXTS.contains(&essence)
}

/// The members of a form, in `schema` and each of its `allOf`, `anyOf` and `oneOf`.
fn fields(document: &Document, schema: Option<&Value>, entry: &Map<String, Value>) -> Vec<Field> {
    let mut found = BTreeMap::new();
    if let Some(schema) = schema {
        collect(document, schema, &mut found, 0);
    }
    let encodings = entry.get("encoding");
    let fields = found.into_iter().map(|(name, schema)| {
        let encoding = encodings.and_then(|it| it.get(name));
        let said = |name: &str| encoding?.get(name);
        let content_type = said("contentType").and_then(Value::as_str);
        let content_type = content_type
            .and_then(|it| it.split(',').next())
            .map(str::trim);
        let content_type = content_type.filter(|it| is_media_type(it) && !it.contains('*'));
        let is_media = content_type.is_some_and(|it| !is_json(it) && !it.starts_with("text/"));
        Field {
            name: name.to_owned(),
            form: form(said("style"), said("explode"), said("allowReserved")),
            is_file: is_file(document, schema, 0) || (is_media && is_string(document, schema)),
            content_type: content_type.map(str::to_owned),
        }
    });
    fields.collect()
}

/// How an encoding says that a field is written (`OpenAPI` 3.1 §4.8.15.1.2).
fn form(style: Option<&Value>, explode: Option<&Value>, reserved: Option<&Value>) -> Option<Form> {
    if style.is_none() && explode.is_none() && reserved.is_none() {
        return None;
    }
    let style = style.and_then(Value::as_str).unwrap_or("form");
    let style = Style::parse(style, Place::Query)?;
    let flag = |value: Option<&Value>| value.and_then(Value::as_bool);
    Some(Form::Styled {
        style,
        explode: flag(explode).unwrap_or(style == Style::Form),
        reserved: flag(reserved).unwrap_or(false),
    })
}

fn collect<'d>(
    document: &'d Document,
    schema: &'d Value,
    found: &mut BTreeMap<&'d str, &'d Value>,
    level: usize,
) {
    let Ok(Value::Object(members)) = document.resolve(schema) else {
        return;
    };
    if let Some(Value::Object(properties)) = members.get("properties") {
        for (name, schema) in properties {
            if found.len() >= MAX_FIELDS {
                return;
            }
            found.entry(name).or_insert(schema);
        }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        if let (Some(Value::Array(parts)), true) = (members.get(name), level < 4) {
            for part in parts.iter().take(20) {
                collect(document, part, found, level.saturating_add(1));
            }
        }
    }
}

/// True for a schema of bytes: `format: binary` of 3.0, `contentMediaType` of 3.1; or a list of those.
fn is_file(document: &Document, schema: &Value, level: usize) -> bool {
    let Ok(Value::Object(members)) = document.resolve(schema) else {
        return false;
    };
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let is_binary = matches!(text("format"), Some("binary" | "file"))
        || text("contentEncoding") == Some("binary")
        || text("type") == Some("file");
    if is_binary {
        return true;
    }
    if let Some(media) = text("contentMediaType") {
        return !is_json(media) && !media.starts_with("text/") && text("contentEncoding").is_none();
    }
    if level >= 3 {
        return false;
    }
    let mut parts: Vec<&Value> = members.get("items").into_iter().collect();
    for name in ["allOf", "anyOf", "oneOf"] {
        if let Some(Value::Array(some)) = members.get(name) {
            parts.extend(some.iter().take(10));
        }
    }
    let deeper = level.saturating_add(1);
    parts
        .into_iter()
        .any(|part| is_file(document, part, deeper))
}

fn is_string(document: &Document, schema: &Value) -> bool {
    let kind = document.resolve(schema).ok().and_then(|it| it.get("type"));
    kind.is_none_or(|kind| kind == "string")
}

impl<'d> Plan<'d> {
    /// The schema of the argument.
    pub(super) fn schema(&self, maker: &mut Maker<'d, '_>) -> Map<String, Value> {
        let mut made = match (&self.body.kind, self.schema) {
            (Kind::Bytes, _) => from(json!({ "type": "string", "contentEncoding": "base64" })),
            (_, Some(schema)) => maker.make(schema),
            (_, None) => Map::new(),
        };
        match &self.body.kind {
            Kind::Fields(fields) | Kind::Parts(fields) => {
                if matches!(self.body.kind, Kind::Parts(_)) {
                    for field in fields.iter().filter(|it| it.is_file) {
                        with_file(&mut made, &field.name);
                    }
                }
                made.entry("type").or_insert_with(|| "object".into());
            }
            Kind::Text if made.get("type").is_none_or(|it| it != "string") => {
                made = from(json!({ "type": "string" }));
            }
            _ => {}
        }
        if let Some(text) = self.description {
            made.entry("description")
                .or_insert_with(|| crate::rest::text::trimmed(text, 300).into());
        }
        made
    }
}

fn from(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Says of a member, or of the items of a list, that it is a file.
fn with_file(schema: &mut Map<String, Value>, name: &str) {
    let member = schema.get_mut("properties").and_then(|it| it.get_mut(name));
    if let Some(Value::Object(member)) = member {
        let description = member.get("description").cloned();
        let is_list = member.get("type").is_some_and(|it| it == "array");
        let file = json!({
            "anyOf": [
                { "type": "string", "contentEncoding": "base64" },
                {
                    "type": "object",
                    "properties": {
                        "base64": { "type": "string", "contentEncoding": "base64" },
                        "text": { "type": "string" },
                        "filename": { "type": "string" },
                        "contentType": { "type": "string" }
                    },
                    "additionalProperties": false
                }
            ]
        });
        *member = if is_list {
            from(json!({ "type": "array", "items": file }))
        } else {
            from(file)
        };
        let help = "A file: a string in base64, or an object with its `base64` or `text`.";
        let text = match description.as_ref().and_then(Value::as_str) {
            Some(text) => format!("{text} {help}"),
            None => help.to_owned(),
        };
        member.insert("description".to_owned(), text.into());
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        if let Some(Value::Array(parts)) = schema.get_mut(keyword) {
            for part in parts {
                if let Value::Object(part) = part {
                    with_file(part, name);
                }
            }
        }
    }
}

/// The most members of a form that are known.
const MAX_FIELDS: usize = 500;
