//! A reply, before some HTTP server turns it into its own type.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::batch;
use crate::exchange::Answer;

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
    /// Server-sent events as they come. Dropping it tells the engine that the client is gone.
    Events(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl std::fmt::Debug for HttpBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => f.debug_tuple("Full").field(bytes).finish(),
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
    pub(crate) fn answer(answer: &Answer) -> Self {
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
        let mut reply = Self::json(status, answer.message.to_bytes());
        if let Some(after) = answer.retry_after {
            // Whole seconds, and never earlier than the limiter says (RFC 9110 §10.2.3).
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            reply
                .headers
                .insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        match &answer.challenge {
            Some(challenge) => reply.with_header(WWW_AUTHENTICATE, challenge),
            None => reply,
        }
    }

    /// The reply that carries the answers to a batch. Its status says nothing about any of them.
    pub(crate) fn answers(answers: &[Answer]) -> Self {
        let messages = answers.iter().map(|answer| &answer.message);
        Self::json(StatusCode::OK, batch::join(messages))
    }

    fn with_body(status: StatusCode, body: HttpBody, kind: &'static str) -> Self {
        let mut headers = HeaderMap::new();
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
