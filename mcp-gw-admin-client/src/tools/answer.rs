//! The shapes of answers.

use bytes::Bytes;
use http::Request;
use mcp_gw_core::RawJson;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::tools::view::Cut;

/// A request to the API, for people and models to read.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Sent {
    /// The HTTP method.
    pub(crate) method: String,
    /// The path and query, below the address of the API.
    pub(crate) path: String,
    /// Of what was not sent: where it would go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// The JSON body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    pub(crate) body: Option<RawJson>,
}

impl Sent {
    /// Only what identifies the request.
    pub(crate) fn line(request: &Request<Bytes>) -> Self {
        Self {
            method: request.method().to_string(),
            path: request.uri().to_string(),
            url: None,
            body: None,
        }
    }

    /// The whole request.
    pub(crate) fn whole(request: &Request<Bytes>) -> Self {
        let body = RawJson::parse(request.body().clone()).ok();
        Self {
            body,
            ..Self::line(request)
        }
    }
}

/// What came of one request. Its schema stands in nearly every tool, so it is short: what the names say is not said
/// again, and of what is inside there are the names.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Outcome {
    /// The request: `method`, `path`, `body`.
    #[schemars(with = "Map<String, Value>")]
    pub(crate) request: Sent,
    // True when nothing was sent.
    pub(crate) dry_run: bool,
    // The HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// The answer of the API, or the part that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    pub(crate) body: Option<RawJson>,
    // Where the dashboard shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) console_url: Option<String>,
    /// What was left out: `bytes`, `of`; `next` says how to read on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) cut: Option<Cut>,
    /// How many secrets are not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redacted: Option<usize>,
    // What else there is to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) remarks: Vec<String>,
}

impl Outcome {
    pub(crate) const fn new(request: Sent) -> Self {
        Self {
            request,
            dry_run: false,
            status: None,
            body: None,
            console_url: None,
            cut: None,
            redacted: None,
            remarks: Vec::new(),
        }
    }
}

/// Why one of several requests has no answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Failure {
    /// What it means: `not_found`, `forbidden`, `unavailable` …
    pub(crate) kind: String,
    /// The HTTP status, when there was an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// What went wrong, and what to do next.
    pub(crate) message: String,
}
