//! A reply, before some HTTP server turns it into its own type.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use mcp_gw_core::{GatewayError, LimitReport};

use crate::batch;
use crate::exchange::Answer;

/// The headers that tell of limits, for carriers that must let browsers read them.
pub const LIMIT_HEADERS: [&str; 6] = [
    "ratelimit-policy",
    "ratelimit",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "retry-after",
];

/// The headers that tell how a client stands with limits, for an answer of `status`: of
/// [`LIMIT_HEADERS`] those that apply. When to come again is said to who was sent away with 429, and
/// not beside another answer.
pub fn limit_headers(status: StatusCode, limits: &LimitReport) -> Vec<(&'static str, String)> {
    let mut fields = mcp_gw_ratelimit::headers(&limits.standings());
    if status != StatusCode::TOO_MANY_REQUESTS {
        fields.retain(|(name, _)| *name != RETRY_AFTER.as_str());
    }
    fields
}

/// A reply to one HTTP request.
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpReply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: HttpBody,
}

/// The body of a reply.
#[non_exhaustive]
pub enum HttpBody {
    /// None.
    Empty,
    /// Complete.
    Full(Bytes),
    /// Complete, in pieces that follow each other.
    Pieces(Vec<Bytes>),
    /// Server-sent events as they come. Dropping it tells the engine that the client is gone.
    Events(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl std::fmt::Debug for HttpBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => f.debug_tuple("Full").field(bytes).finish(),
            Self::Pieces(pieces) => f.debug_tuple("Pieces").field(pieces).finish(),
            Self::Events(_) => f.write_str("Events"),
        }
    }
}

impl HttpReply {
    /// A reply without body.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: HttpBody::Empty,
        }
    }

    /// A reply that is a sentence for people.
    pub fn text(status: StatusCode, says: &str) -> Self {
        let body = Bytes::from(format!("{says}\n"));
        Self::with_body(status, HttpBody::Full(body), "text/plain; charset=utf-8")
    }

    /// A refusal of whom nobody knows yet what it asks: 429 is a problem in JSON (RFC 9457) of the type
    /// that draft-ietf-httpapi-ratelimit-headers has for it, and everything else a sentence.
    pub(super) fn refusal(status: StatusCode, error: &GatewayError) -> Self {
        let says = error.public_message();
        let GatewayError::Limited { limit_name, .. } = error else {
            return Self::text(status, &says);
        };
        let problem = serde_json::json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Request cannot be satisfied as assigned quota has been exceeded",
            "status": status.as_u16(),
            "detail": says,
            "violated-policies": [&**limit_name],
        });
        let body = HttpBody::Full(problem.to_string().into());
        Self::with_body(status, body, "application/problem+json")
    }

    /// A reply with a JSON body.
    pub fn json(status: StatusCode, body: Bytes) -> Self {
        Self::with_body(status, HttpBody::Full(body), "application/json")
    }

    /// A stream of server-sent events.
    pub(super) fn events(events: Pin<Box<dyn Stream<Item = Bytes> + Send>>) -> Self {
        let mut reply = Self::with_body(
            StatusCode::OK,
            HttpBody::Events(events),
            "text/event-stream",
        );
        reply
            .headers
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Proxies that buffer would hold progress back until the end.
        let unbuffered = HeaderName::from_static("x-accel-buffering");
        reply
            .headers
            .insert(unbuffered, HeaderValue::from_static("no"));
        reply
    }

    /// The reply that carries a JSON-RPC answer.
    pub(crate) fn answer(answer: Answer) -> Self {
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
        let reply = Self::with_body(status, answer.message.into_body(), "application/json");
        let reply = match answer.retry_after {
            Some(after) => reply.with_retry_after(after),
            None => reply,
        };
        match &answer.challenge {
            Some(challenge) => reply.with_header(WWW_AUTHENTICATE, challenge),
            None => reply,
        }
    }

    /// Says when to come again: in whole seconds, and never earlier than the limiter says (RFC 9110
    /// §10.2.3).
    #[must_use]
    pub(crate) fn with_retry_after(mut self, after: Duration) -> Self {
        let more = u64::from(after.subsec_nanos() > 0);
        let seconds = after.as_secs().saturating_add(more);
        self.headers
            .insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        self
    }

    /// Tells how the client stands with limits: [`LIMIT_HEADERS`]. When to come again is said to who
    /// was sent away, and not beside an answer.
    #[must_use]
    pub(crate) fn with_limits(self, limits: &LimitReport) -> Self {
        let mut reply = self;
        for (name, value) in limit_headers(reply.status, limits) {
            // The text becomes the value as it is, and a name of ours is no name to be checked.
            if let Ok(value) = HeaderValue::try_from(value) {
                reply.headers.insert(HeaderName::from_static(name), value);
            }
        }
        reply
    }

    /// The reply that carries the answers to a batch. Its status says nothing about any of them.
    pub(crate) fn answers(answers: Vec<Answer>) -> Self {
        let messages = answers.into_iter().map(|answer| answer.message.into_raw());
        let messages: Vec<_> = messages.collect();
        Self::json(StatusCode::OK, batch::join(&messages))
    }

    fn with_body(status: StatusCode, body: HttpBody, kind: &'static str) -> Self {
        // Most replies get those of limits and of browsers, too.
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Self {
            status,
            headers,
            body,
        }
    }

    /// Adds a header; a value that cannot be one is left out.
    #[must_use]
    pub fn with_header(mut self, name: impl http::header::IntoHeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}
