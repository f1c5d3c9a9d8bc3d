//! What came back: a status, headers, and a body as it comes, within bounds.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use crate::egress::check::Checked;
use crate::egress::decode::{Decoder, Fault};
use crate::egress::headers;
use crate::egress::inject::Injected;
use crate::egress::refusal::RefusalCode;
use crate::egress::scrub::Scrub;
use crate::egress::send_error::SendError;
use crate::net::client::Response;

/// So much of a body is looked through at once, and so much work done, before others have their turn.
const STEP: usize = 64 << 10;
/// So much memory is taken on the word of an API.
const MOST_AT_ONCE: usize = 1 << 20;

/// The answer of an API. Every status is one.
///
/// Its body is read with [`chunk`](Self::chunk) or [`read`](Self::read). Dropping it ends the request.
/// Credentials that went out with the request are taken out of headers and body.
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    response: Option<Response>,
    /// Came, and is still to be decoded.
    pending: Bytes,
    decoder: Decoder,
    /// Decoded, and still to be looked through.
    decoded: Bytes,
    scrub: Scrub,
    pace: Pace,
    /// So much may still be handed on.
    left: usize,
    is_truncated: bool,
    idle: Duration,
}

impl Answer {
    pub(crate) fn new(
        response: Response,
        request: &Checked,
        injected: &Injected,
        until: Instant,
    ) -> Self {
        let rules = &request.rules;
        let decoder = Decoder::new(response.headers());
        let mut headers = headers::of_response(response.headers().clone(), &rules.response_headers);
        if !decoder.is_plain() {
            headers.remove(CONTENT_ENCODING);
            headers.remove(CONTENT_LENGTH);
        }
        let scrub = Scrub::new(&injected.secrets);
        scrub.headers(&mut headers);
        Self {
            status: response.status(),
            headers,
            response: Some(response),
            pending: Bytes::new(),
            decoder,
            decoded: Bytes::new(),
            scrub,
            pace: Pace { rested: 0, until },
            left: request.max_response,
            is_truncated: false,
            idle: rules.idle_timeout,
        }
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers, without those that are not for callers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// `type/subtype` of the body in lower case, if it says one.
    pub fn media_type(&self) -> Option<String> {
        headers::media_type(self.headers.get(CONTENT_TYPE)?.to_str().ok()?)
    }

    /// True when the body went on beyond what is taken. Known when [`chunk`](Self::chunk) has come to the
    /// end.
    pub const fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// The next piece of the body, decoded; `None` at its end, or where it is cut.
    ///
    /// # Errors
    /// When it breaks off, takes too long, or is not what it says.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        while let Some(mut piece) = self.piece().await? {
            if piece.is_empty() {
                continue;
            }
            if piece.len() > self.left {
                self.is_truncated = true;
                self.response = None;
                self.pending = Bytes::new();
                self.decoded = Bytes::new();
                piece.truncate(self.left);
            }
            self.left -= piece.len();
            return Ok(Some(piece).filter(|piece| !piece.is_empty()));
        }
        Ok(None)
    }

    /// The body, as far as it is taken.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub async fn read(&mut self) -> Result<Bytes, SendError> {
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk().await? else {
            return Ok(first);
        };
        // As long as it says that it goes on.
        let more = self.response.as_ref().and_then(Response::content_length);
        let more = more.map_or(0, |more| usize::try_from(more).unwrap_or(usize::MAX));
        let more = more.min(self.left).min(MOST_AT_ONCE);
        let mut all = BytesMut::with_capacity(first.len() + second.len() + more);
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(piece) = self.chunk().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// The body that [`read`](Self::read) gave, in another form: without credentials in that form. Of a body
    /// that was cut, what could be the beginning of one is left out.
    ///
    /// # Errors
    /// When the time of the request is over.
    pub(crate) async fn scrubbed(&mut self, mut text: Bytes) -> Result<Bytes, SendError> {
        self.scrub.begin();
        self.pace.rested = 0;
        let mut out = BytesMut::new();
        while !text.is_empty() {
            let step = text.split_to(text.len().min(STEP));
            out.extend_from_slice(&self.scrub.push(step));
            self.pace.rest(self.scrub.work()).await?;
        }
        if !self.is_truncated {
            out.extend_from_slice(&self.scrub.finish());
        }
        Ok(out.freeze())
    }

    /// The body, if it is not longer than what is taken.
    ///
    /// # Errors
    /// `response_too_large` if it is, and as [`chunk`](Self::chunk).
    pub async fn read_whole(mut self) -> Result<Bytes, SendError> {
        let body = self.read().await?;
        if self.is_truncated {
            return Err(SendError::new(
                RefusalCode::ResponseTooLarge,
                "C-17",
                "the response is longer than allowed",
            ));
        }
        Ok(body)
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, SendError> {
        if self.decoded.is_empty() && self.pending.is_empty() {
            let Some(response) = &mut self.response else {
                return Ok(None);
            };
            let idle = Instant::now() + self.idle;
            let next = timeout_at(self.pace.until.min(idle), response.chunk());
            match next.await.map_err(|_| SendError::late_body())? {
                Ok(Some(piece)) => self.pending = piece,
                Ok(None) => return self.last().map(Some),
                Err(error) => return Err(SendError::of_body(&error)),
            }
        }
        if self.decoded.is_empty() {
            let decoded = self.decoder.take(&mut self.pending);
            self.decoded = decoded.map_err(SendError::encoding)?;
        }
        let step = self.decoded.len().min(STEP);
        let piece = self.scrub.push(self.decoded.split_to(step));
        self.pace.rest(self.scrub.work()).await?;
        Ok(Some(piece))
    }

    fn last(&mut self) -> Result<Bytes, SendError> {
        self.response = None;
        let decoded = self.decoder.finish().map_err(SendError::encoding)?;
        let most = self.scrub.push(decoded);
        let rest = self.scrub.finish();
        if most.is_empty() {
            return Ok(rest);
        }
        let mut all = BytesMut::from(&*most);
        all.extend_from_slice(&rest);
        Ok(all.freeze())
    }
}

/// How long a body may be worked on.
struct Pace {
    until: Instant,
    /// The work that was done when others had their turn.
    rested: u64,
}

impl Pace {
    /// Gives others their turn, and looks at the time, when much was done: what is there at once would be read
    /// to its end otherwise.
    async fn rest(&mut self, work: u64) -> Result<(), SendError> {
        if work.saturating_sub(self.rested) < STEP as u64 {
            return Ok(());
        }
        self.rested = work;
        yield_now().await;
        if Instant::now() >= self.until {
            return Err(SendError::late_body());
        }
        Ok(())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("is_truncated", &self.is_truncated)
            .finish_non_exhaustive()
    }
}

impl SendError {
    fn encoding(fault: Fault) -> Self {
        match fault {
            Fault::Unknown => Self::new(
                RefusalCode::UpstreamInvalid,
                "C-17",
                "the response is encoded in a way that was not asked for",
            ),
            Fault::Broken => Self::new(
                RefusalCode::UpstreamInvalid,
                "C-17",
                "the response is not encoded as it says",
            ),
            Fault::Bomb => Self::new(
                RefusalCode::ResponseTooLarge,
                "C-17",
                "the response becomes too long when it is decompressed",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn long_work_is_interrupted_and_ends_with_the_time_of_the_request() {
        let until = Instant::now() + Duration::from_secs(1);
        let mut pace = Pace { until, rested: 0 };
        let step = STEP as u64;
        let other = tokio::spawn(async { tokio::time::advance(Duration::from_secs(2)).await });
        // Little work is done at once.
        pace.rest(step - 1).await.unwrap();
        assert!(!other.is_finished());
        // The other one has its turn, and then it is too late.
        let late = pace.rest(step).await.unwrap_err();
        assert_eq!(late.code, RefusalCode::UpstreamTimeout);
        other.await.unwrap();
    }
}
