//! The body of a request: read in bounds, and only when somebody wants it.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::header::EXPECT;
use axum::http::{StatusCode, Version, request};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use mcp_gw_server::http::HttpReply;

/// A client that takes longer to send a body is not waited for.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// So much of a body that is too long is read before the answer.
const DROPPED: usize = 64 * 1024 * 1024;

/// The body of a request, read when somebody wants it.
pub(crate) struct Incoming {
    left: Option<Body>,
    read: Bytes,
    limit: usize,
    waits: bool,
    is_in_frames: bool,
}

impl Incoming {
    pub(crate) fn new(limit: usize, head: &request::Parts, body: Body) -> Self {
        Self {
            left: Some(body),
            read: Bytes::new(),
            limit,
            waits: head.headers.contains_key(EXPECT),
            is_in_frames: head.version == Version::HTTP_2,
        }
    }

    /// All of it, or what to say instead.
    pub(crate) async fn whole(&mut self) -> Result<Bytes, HttpReply> {
        if let Some(body) = self.left.take() {
            self.read = read(body, self.limit, self.waits).await?;
        }
        Ok(self.read.clone())
    }

    /// Reads over some of what was not read, before a request is refused: over HTTP/2 the answer to a request
    /// that has not ended comes with a reset of its stream (RFC 9113 §8.1), and there are clients that throw
    /// the answer away with it.
    pub(crate) async fn pass_over(&mut self) {
        let body = self.left.take_if(|_| self.is_in_frames && !self.waits);
        let Some(mut body) = body else { return };
        let all = async {
            let mut seen = 0_usize;
            while let Some(Ok(frame)) = body.frame().await {
                seen = seen.saturating_add(frame.data_ref().map_or(0, Bytes::len));
                if seen > PASSED_OVER {
                    break;
                }
            }
        };
        // Who sends no more has had time to.
        let _ = tokio::time::timeout(PASSED_OVER_WITHIN, all).await;
    }
}

/// Of the body of a refused request so much is read, in bytes, and for so long.
const PASSED_OVER: usize = 512 * 1024;
const PASSED_OVER_WITHIN: Duration = Duration::from_secs(1);

/// The body, or what to say instead.
async fn read(body: Body, limit: usize, waits: bool) -> Result<Bytes, HttpReply> {
    let reply = match tokio::time::timeout(BODY_WITHIN, take(body, limit, waits)).await {
        Ok(Ok(Some(body))) => return Ok(body),
        Ok(Ok(None)) => {
            let says = format!("Content too large: a message may have {limit} bytes.");
            HttpReply::text(StatusCode::PAYLOAD_TOO_LARGE, &says)
        }
        Ok(Err(_)) => HttpReply::text(
            StatusCode::BAD_REQUEST,
            "Bad request: the body ended early.",
        ),
        Err(_) => HttpReply::text(
            StatusCode::REQUEST_TIMEOUT,
            "Request timeout: the body did not arrive in time.",
        ),
    };
    Err(reply)
}

/// The body, or `None` when it is longer than `limit`. Of what is too long some more is read and
/// dropped: a client that still sends when the connection closes would not see the answer. Not of
/// one that `waits` to be told to go on (`Expect: 100-continue`), nor of one that has far more.
async fn take(mut body: Body, limit: usize, waits: bool) -> Result<Option<Bytes>, axum::Error> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut is_too_long = announced > limit;
    if is_too_long && (waits || announced > limit.saturating_add(DROPPED)) {
        return Ok(None);
    }
    let mut parts: Vec<Bytes> = Vec::new();
    let mut seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        seen = seen.saturating_add(data.len());
        is_too_long |= seen > limit;
        if !is_too_long {
            parts.push(data);
            continue;
        }
        parts.clear();
        if seen > limit.saturating_add(DROPPED) {
            break;
        }
    }
    if is_too_long {
        return Ok(None);
    }
    // Nearly every body comes in one piece and needs no copy.
    Ok(Some(match parts.as_slice() {
        [one] => one.clone(),
        parts => parts.concat().into(),
    }))
}
