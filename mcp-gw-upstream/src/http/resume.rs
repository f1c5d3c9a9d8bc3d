//! The stream of an old server's answer, taken up again where it broke (MCP 2025-11-25, streamable
//! HTTP, resumability).

use std::collections::HashSet;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Response, StatusCode};
use tokio::time::sleep;

use crate::deadline::Deadline;
use crate::http::exchange::{Exchange, Media, Stop, media_type};
use crate::http::listen;
use crate::http::sse::{Decoder, Event};

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
        let is_known = match &event.id {
            Some(id) if self.seen.len() < MAX_SEEN => !self.seen.insert(id.clone()),
            Some(id) => self.seen.contains(id),
            None => false,
        };
        let is_new = !is_known || !self.is_resumed;
        if is_new {
            self.tries = 0;
        }
        is_new
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, decoder: &Decoder) {
        if let Some(id) = decoder.last_event_id() {
            self.last = HeaderValue::from_bytes(id).ok();
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
            let (Some(last), Some(session)) = (&place.last, &self.session) else {
                return Err(self.lost(reason).into());
            };
            let request = listen::request(&session.post, Some(last));
            place.tries += 1;
            place.is_resumed = true;
            if place.tries > MAX_EMPTY {
                return Err(self
                    .lost(&format!("{reason}, also when it was taken up again"))
                    .into());
            }
            let pause = place.retry.unwrap_or(PAUSE);
            let pause = pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
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
