//! The arguments of the tool that reaches many APIs, made into a request (C-1 to C-4).

use std::time::Duration;

use bytes::Bytes;
use mcp_gw_core::{Arguments, JsonError, JsonText, Members, RawJson, Secret};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::form_urlencoded::Serializer;

use super::api::{Api, Failed};
use crate::egress::{PartsBody, RefusalCode, RequestParts};

/// So many headers may be given (C-2).
const MOST_HEADERS: usize = 32;
/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// A call, read but not judged.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call<'a> {
    pub(crate) api: String,
    #[serde(default)]
    endpoint: String,
    #[serde(default)]
    method: String,
    #[serde(borrow, default)]
    headers: Option<JsonText<'a>>,
    #[serde(borrow, default)]
    query: Option<JsonText<'a>>,
    #[serde(borrow, default)]
    body: Option<JsonText<'a>>,
    #[serde(rename = "authToken", default)]
    auth_token: Option<String>,
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(default)]
    pub(crate) select: Option<String>,
    #[serde(default)]
    pub(crate) read_on: Option<String>,
}

/// Arguments that make no request.
pub(crate) fn invalid(message: impl Into<String>) -> Failed {
    Failed::new("arguments_invalid", message)
}

impl<'a> Call<'a> {
    /// Reads arguments.
    ///
    /// # Errors
    /// A sentence for who wrote them. Nothing that they hold is repeated: there may be a token among it.
    pub(crate) fn read(arguments: &'a Arguments) -> Result<Self, Failed> {
        let text = arguments.as_raw().as_str();
        let call: Self = serde_json::from_str(text).map_err(|error| invalid(said(&error)))?;
        if call.timeout_ms == Some(0) {
            return Err(invalid("`timeout_ms` must be at least 1"));
        }
        if call.read_on.is_none() && (call.endpoint.is_empty() || call.method.is_empty()) {
            return Err(invalid("`api`, `endpoint` and `method` are required"));
        }
        Ok(call)
    }

    /// How long it may take, if it says so.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    /// The caller's own token, if the API takes one (C-4).
    pub(crate) fn token(&mut self, api: &Api) -> Result<Option<Secret<String>>, Failed> {
        let Some(token) = self.auth_token.take() else {
            return Ok(None);
        };
        if !api.config().allow_auth_token {
            return Err(Failed::new(
                RefusalCode::HeaderNotAllowed.as_str(),
                "`authToken` is not taken for this API: the gateway has the credentials; leave it out",
            ));
        }
        if token.trim().is_empty() {
            return Err(Failed::new(
                RefusalCode::AuthRequired.as_str(),
                "`authToken` is empty; give a token, or leave it out",
            ));
        }
        Ok(Some(Secret::new(token)))
    }

    /// The request that it asks for.
    pub(crate) fn parts(&self, api: &Api) -> Result<RequestParts, Failed> {
        let mut parts = RequestParts::new(&self.method, &self.endpoint);
        parts.headers = self.headers()?;
        if let Some(query) = given(self.query) {
            pairs(query, "query", &mut parts.query)?;
        }
        let is_of_body = |name: &str| name.eq_ignore_ascii_case("content-type");
        let Some(body) = given(self.body) else {
            // There is nothing that it could be the type of.
            parts.headers.retain(|(name, _)| !is_of_body(name));
            return Ok(parts);
        };
        if has_no_body(&self.method) {
            if !api.config().get_body_as_query {
                return Err(Failed::new(
                    RefusalCode::BodyNotAllowed.as_str(),
                    format!(
                        "{} has no `body`; put its members into `query`",
                        self.method
                    ),
                ));
            }
            pairs(body, "body", &mut parts.query)?;
            return Ok(parts);
        }
        let named = parts
            .headers
            .iter()
            .find(|(name, _)| is_of_body(name))
            .map(|(_, value)| value.clone());
        // It goes with the body, and is judged with it.
        parts.headers.retain(|(name, _)| !is_of_body(name));
        parts.body = Some(body_of(body, named)?);
        Ok(parts)
    }

    fn headers(&self) -> Result<Vec<(String, String)>, Failed> {
        let Some(headers) = given(self.headers) else {
            return Ok(Vec::new());
        };
        let members: Members<'_> = members(headers, "headers")?;
        if members.len() > MOST_HEADERS {
            return Err(Failed::new(
                RefusalCode::HeaderNotAllowed.as_str(),
                format!("there are more than {MOST_HEADERS} `headers`"),
            ));
        }
        let read = |(name, value): (&str, JsonText<'_>)| {
            let text = serde_json::from_str::<String>(value.get());
            let text = text.map_err(|_| invalid("each of `headers` must be a string"))?;
            Ok((name.to_owned(), text))
        };
        members.iter().map(read).collect()
    }
}

/// A member that is there and not `null`: models write that for what they leave out.
fn given(value: Option<JsonText<'_>>) -> Option<JsonText<'_>> {
    value.filter(|value| value.get() != "null")
}

fn has_no_body(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "DELETE")
}

fn members<'v>(value: JsonText<'v>, what: &str) -> Result<Members<'v>, Failed> {
    serde_json::from_str(value.get()).map_err(|error| {
        let error = JsonError::from(error);
        invalid(format!(
            "`{what}` must be an object, each name in it once: {}",
            error.message
        ))
    })
}

/// Members of an object of scalars and lists of them, as pairs of texts.
fn pairs(value: JsonText<'_>, what: &str, out: &mut Vec<(String, String)>) -> Result<(), Failed> {
    for (name, value) in members(value, what)?.iter() {
        let wrong = || {
            invalid(format!(
                "each member of `{what}` must be a string, a number, true or false, or a list of these"
            ))
        };
        if value.get().starts_with('[') {
            let items: Vec<JsonText<'_>> =
                serde_json::from_str(value.get()).map_err(|_| wrong())?;
            for item in items {
                out.push((name.to_owned(), scalar(item).ok_or_else(wrong)?));
            }
        } else if value.get() != "null" {
            out.push((name.to_owned(), scalar(value).ok_or_else(wrong)?));
        }
    }
    Ok(())
}

/// A scalar as text; numbers as they were written.
fn scalar(value: JsonText<'_>) -> Option<String> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str(text).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(text.to_owned()),
    }
}

fn body_of(body: JsonText<'_>, content_type: Option<String>) -> Result<PartsBody, Failed> {
    let content_type = content_type.unwrap_or_else(|| JSON.to_owned());
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    let text = body.get();
    let bytes = if kind == FORM && text.starts_with('{') {
        let mut fields = Vec::new();
        pairs(body, "body", &mut fields)?;
        let mut form = Serializer::new(String::new());
        form.extend_pairs(&fields);
        Bytes::from(form.finish())
    } else if kind == JSON || kind.ends_with("+json") {
        let within = within_string(text);
        let body = within.as_deref().map_or(body, JsonText::from);
        // Duplicate names would be read in two ways.
        if body.get().starts_with('{') {
            members(body, "body")?;
        }
        Bytes::copy_from_slice(body.get().as_bytes())
    } else if text.starts_with('"') {
        let text: String =
            serde_json::from_str(text).map_err(|_| invalid("`body` holds half of a character"))?;
        Bytes::from(text)
    } else {
        return Err(invalid(format!(
            "a `body` of the type {kind:?} must be a string; an object is for {JSON} and {FORM}"
        )));
    };
    Ok(PartsBody::new(content_type, bytes))
}

/// The object or list that a JSON string holds: some models write a body so. Nobody means the string.
fn within_string(text: &str) -> Option<Box<RawValue>> {
    let text: String = text
        .starts_with('"')
        .then(|| serde_json::from_str(text).ok())??;
    let text = text.trim();
    let is_whole = text.starts_with('{') || text.starts_with('[');
    is_whole.then(|| serde_json::from_str(text).ok())?
}

/// What is wrong, without a value that was given.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let is_safe = [
        "missing field",
        "unknown field",
        "duplicate field",
        "duplicate member",
    ];
    if is_safe.iter().any(|begin| text.starts_with(begin)) {
        let short: String = text.chars().take(200).collect();
        return short;
    }
    "an argument is of another type than the schema says".to_owned()
}

/// The schema of the arguments: C-1, with what goes beyond the original.
pub(crate) fn input_schema(apis: &[String], methods: &[&str], takes_token: bool) -> RawJson {
    use serde_json::json;
    let mut properties = json!({
        "api": {"type": "string", "enum": apis, "description": "The API."},
        "endpoint": {
            "type": "string",
            "description": "Path, and perhaps query, below the API's address; it begins with `/`."
        },
        "method": {"type": "string", "enum": methods},
        "headers": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "maxProperties": MOST_HEADERS,
            "description": "Further headers, such as `Accept`. Credentials are added by the gateway."
        },
        "query": {
            "type": "object",
            "additionalProperties": {
                "type": ["string", "number", "boolean", "array"],
                "items": {"type": ["string", "number", "boolean"]}
            },
            "description": "Query parameters, not encoded."
        },
        "body": {
            "type": ["object", "array", "string"],
            "description": "The body: an object or list for JSON; an object of plain values for a form; a string for other types."
        },
        "timeout_ms": {"type": "integer", "minimum": 1, "description": "Give up after so long."},
        "select": {
            "type": "string",
            "maxLength": 1024,
            "description": "A JMESPath expression that takes the part of a JSON answer that is needed, such as `items[].{id: id, name: name}`."
        },
        "read_on": {
            "type": "string",
            "description": "`next` of an earlier result whose answer was too long: gives the next part of it. Only `api` counts then."
        }
    });
    if takes_token && let Some(properties) = properties.as_object_mut() {
        let token = json!({"type": "string", "description": "A bearer token for this call, for APIs that take one."});
        properties.insert("authToken".to_owned(), token);
    }
    let schema = json!({
        "type": "object",
        "properties": properties,
        "required": ["api", "endpoint", "method"],
        "additionalProperties": false
    });
    RawJson::from_serialize(&schema).unwrap_or_else(|_| RawJson::empty_object())
}
