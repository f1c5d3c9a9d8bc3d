//! The shapes of answers.

use bytes::Bytes;
use http::Request;
use mcp_gw_core::RawJson;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::tools::view::Cut;

/// A request to the API, for people and models to read.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Sent {
    /// The HTTP method.
    pub(crate) method: String,
    /// The path and query, below the address of the API.
    pub(crate) path: String,
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

/// What came of one request.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Outcome {
    /// The request that was sent; with `dry_run` the one that would be.
    pub(crate) request: Sent,
    /// True when nothing was sent.
    pub(crate) dry_run: bool,
    /// The HTTP status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// The answer of the API, or the part of it that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    pub(crate) body: Option<RawJson>,
    /// Where the dashboard shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) console_url: Option<String>,
    /// What of the answer was left out, and how to get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cut: Option<Cut>,
    /// How many secrets in the answer are not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redacted: Option<usize>,
    /// What else there is to know.
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
