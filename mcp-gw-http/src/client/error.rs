//! What can go wrong, with all that the API says of it.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use mcp_gw_admin_client::http::{Done, Error, ErrorKind, Reading, RequestError};
use serde::Deserialize;
use serde_json::Value;

/// So many characters of what is said are kept.
const LONGEST: usize = 512;
/// So many things that are wrong with one request are kept.
const MOST: usize = 64;

/// One thing that is wrong with what was sent (422).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultItem {
    /// Where: `body`, `path`, `query` or `header`, and the way from there.
    pub loc: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// The kind of fault: `missing`, `value_error` and others.
    pub kind: String,
}

impl fmt::Display for FaultItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.loc.iter().skip(1).map(String::as_str);
        let path: Vec<&str> = path.collect();
        if path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "`{}`: {}", path.join("."), self.message)
    }
}

/// Why there is no answer of success.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ClientError {
    /// The meaning.
    pub kind: ErrorKind,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The word for programs that the API gives it: `error_code`.
    pub code: Option<Box<str>>,
    /// What is wrong, on one line.
    pub message: String,
    /// With 422: each thing that is wrong.
    pub items: Box<[FaultItem]>,
    /// The id of the request, to find it in logs.
    pub request_id: Option<Box<str>>,
    /// With 403: the scopes that are needed.
    pub required_permissions: Vec<String>,
    /// When to come again.
    pub retry_after: Option<Duration>,
    /// What is known of the effect.
    pub done: Done,
}

#[derive(Deserialize)]
struct Said {
    detail: Value,
    #[serde(default)]
    error_code: Option<String>,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    required_permissions: Option<Vec<String>>,
}

impl ClientError {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>, done: Done) -> Self {
        Self {
            kind,
            status: None,
            code: None,
            message: message.into(),
            items: Box::default(),
            request_id: None,
            required_permissions: Vec::new(),
            retry_after: None,
            done,
        }
    }

    pub(super) const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status.as_u16());
        self
    }

    /// An answer that is no success. `secret` was sent with the request and is not repeated.
    pub(super) fn of(reading: &Reading, done: Done, secret: Option<&str>) -> Self {
        let status = reading.status;
        let done = match status.as_u16() {
            // Something on the way, or the gateway, does not know what became of it.
            408 | 500..=599 => done,
            _ => Done::No,
        };
        let mut error = Self::new(kind_of(status), "", done).with_status(status);
        error.request_id =
            header(&reading.headers, "x-request-id").map(|id| plain(id, secret).into());
        error.retry_after = retry_after(&reading.headers);
        let Ok(said) = serde_json::from_slice::<Said>(&reading.body) else {
            let name = status.canonical_reason().unwrap_or("another status");
            error.message = format!(
                "the answer is {} ({name}), and not one of the management API",
                status.as_u16()
            );
            return error;
        };
        error.code = said.error_code.map(|code| plain(&code, secret).into());
        if let Some(id) = said.request_id {
            error.request_id = Some(plain(&id, secret).into());
        }
        let required = said.required_permissions.unwrap_or_default();
        let required = required.iter().take(MOST).map(|scope| plain(scope, secret));
        error.required_permissions = required.collect();
        match said.detail {
            Value::Array(items) => {
                let items = items.iter().take(MOST).map(|item| fault(item, secret));
                error.items = items.collect();
                let texts: Vec<String> = error.items.iter().map(FaultItem::to_string).collect();
                error.message = plain(&texts.join("; "), secret);
            }
            Value::String(text) => error.message = plain(&text, secret),
            other => error.message = plain(&other.to_string(), secret),
        }
        error
    }
}

fn fault(item: &Value, secret: Option<&str>) -> FaultItem {
    let text = |name: &str| {
        let text = item.get(name).and_then(Value::as_str).unwrap_or_default();
        plain(text, secret)
    };
    let loc = item.get("loc").and_then(Value::as_array);
    let loc = loc.into_iter().flatten().take(MOST).map(|part| match part {
        Value::String(part) => plain(part, secret),
        other => plain(&other.to_string(), secret),
    });
    FaultItem {
        loc: loc.collect(),
        message: text("msg"),
        kind: text("type"),
    }
}

impl From<Error> for ClientError {
    fn from(error: Error) -> Self {
        Self {
            status: error.status,
            retry_after: error.retry_after,
            ..Self::new(error.kind, error.message, error.done)
        }
    }
}

impl From<RequestError> for ClientError {
    fn from(error: RequestError) -> Self {
        Self::new(ErrorKind::Request, error.to_string(), Done::No)
    }
}

fn kind_of(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        300..=399 => ErrorKind::Redirected,
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        404 | 410 => ErrorKind::NotFound,
        409 | 412 => ErrorKind::Conflict,
        408 => ErrorKind::Timeout,
        429 => ErrorKind::RateLimited,
        502..=504 => ErrorKind::Unavailable,
        500..=599 => ErrorKind::Server,
        400..=499 => ErrorKind::Invalid,
        _ => ErrorKind::NotJson,
    }
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The seconds in `Retry-After`: this API writes no dates.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds: u32 = text.trim().parse().ok()?;
    Some(Duration::from_secs(u64::from(seconds)))
}

/// A text on one line, not too long, without the secret.
fn plain(text: &str, secret: Option<&str>) -> String {
    let text = match secret.filter(|secret| !secret.is_empty()) {
        Some(secret) => text.replace(secret, "[redacted]"),
        None => text.to_owned(),
    };
    let mut chars = text.chars();
    let mut line: String = chars
        .by_ref()
        .take(LONGEST)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    if chars.next().is_some() {
        line.push('…');
    }
    line
}
