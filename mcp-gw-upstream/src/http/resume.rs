//! The stream of an old server's answer, taken up again where it broke (MCP 2025-11-25, streamable
//! HTTP, resumability).

use std::collections::HashSet;
use std::time::Duration;

use http::StatusCode;
use http::header::HeaderValue;
use tokio::time::{Instant, sleep};

use crate::deadline::Deadline;
use crate::http::exchange::{Exchange, Media, Stop, media_type};
use crate::http::listen;
use crate::http::sse::{Decoder, Event};
use crate::net::client::Response;

/// So often in a row a stream is taken up without anything new on it.
const MAX_EMPTY: u32 = 5;
/// So many events are known again.
const MAX_SEEN: usize = 4096;
const PAUSE: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How far a stream was read.
#[derive(Debug, Default)]
pub(super) struct Place {
    last: Option<HeaderValue>,
    retry: Option<Duration>,
    seen: HashSet<Vec<u8>>,
    is_resumed: bool,
    /// Tries since the last event.
    tries: u32,
}

impl Place {
    /// True unless the event was there before the stream was taken up again.
    pub(super) fn is_new(&mut self, event: &Event) -> bool {
        let is_known = event.id.as_ref().is_some_and(|id| {
            if self.seen.len() >= MAX_SEEN {
                self.seen.clear();
            }
            !self.seen.insert(id.clone())
        });
        let is_new = !is_known || !self.is_resumed;
        if is_new {
            self.tries = 0;
        }
        is_new
    }

    /// True when it can be said where the stream is to be taken up.
    pub(super) const fn is_known(&self) -> bool {
        self.last.is_some()
    }

    /// Where the stream is to be taken up, when it can be.
    pub(super) fn take_up(&mut self) -> Option<&HeaderValue> {
        self.is_resumed = self.last.is_some();
        self.last.as_ref()
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, decoder: &Decoder) {
        if let Some(id) = decoder.last_event_id() {
            let last = HeaderValue::from_bytes(id).ok();
            if last != self.last {
                // A server that wants to be polled primes each stream anew.
                self.tries = 0;
            }
            self.last = last;
        }
        self.retry = decoder.retry().or(self.retry);
    }
}

impl Exchange<'_> {
    /// Opens the stream again behind the last event; `reason` is why it ended.
    pub(super) async fn resume(
        &mut self,
        place: &mut Place,
        deadline: &mut Deadline,
        reason: &str,
    ) -> Result<Response, Stop> {
        loop {
            let (Some(last), Some(session)) = (place.take_up(), &self.session) else {
                return Err(self.lost(reason).into());
            };
            let request = listen::request(&session.post, Some(last));
            place.tries += 1;
            if place.tries > MAX_EMPTY {
                return Err(self
                    .lost(&format!("{reason}, also when it was taken up again"))
                    .into());
            }
            let pause = place.retry.unwrap_or(PAUSE);
            let pause = pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            if Instant::now() + pause >= deadline.at() {
                return Err(self
                    .lost(&format!(
                        "{reason}, and it may not be taken up again within the time of the call"
                    ))
                    .into());
            }
            self.wait(deadline, sleep(pause)).await?;
            let Ok(response) = self.wait(deadline, request.send()).await? else {
                continue;
            };
            let status = response.status();
            if status == StatusCode::OK && media_type(&response) == Media::EventStream {
                return Ok(response);
            }
            if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
                return Err(self
                    .lost(&format!("{reason}, and taking it up again gets {status}"))
                    .into());
            }
        }
    }
}
