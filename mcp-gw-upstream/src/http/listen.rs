//! The stream that a server of an old revision may keep open for what belongs to no request (GET).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use mcp_gw_core::jsonrpc::Message;
use mcp_gw_core::{BackendEvent, JsonText};
use tokio::time::{sleep, timeout};

use crate::call::Question;
use crate::desk::Desk;
use crate::http::resume::Place;
use crate::http::sse::Decoder;
use crate::http::wire::{Post, SESSION, Wire};
use crate::net::client::{Outgoing, Response};
use crate::notice::Notice;
use crate::pending::Reply;

pub(super) const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How one connection ended.
enum End {
    /// The server does not offer the stream, or not any more.
    NotOffered,
    /// It was open and the server closed it.
    Closed,
    /// It broke, or could not be opened.
    Broken,
    /// The server had the stream, and does not know the session any more (MCP 2025-11-25, session
    /// management), or such streams.
    Forgotten,
}

/// A request for a stream, from after the event `resume` on when there was one.
pub(crate) fn request(post: &Post, resume: Option<&HeaderValue>) -> Outgoing {
    let request = post
        .wire
        .request(Method::GET)
        .header(ACCEPT, STREAM)
        .headers(&post.headers);
    match resume {
        Some(id) => request.header(LAST_EVENT_ID, id.clone()),
        None => request,
    }
}

/// Listens until the server says that it has no such stream. The session ends the task.
pub(crate) async fn run(post: Post, desk: Arc<Desk>) {
    let mut pause = FIRST_PAUSE;
    let mut place = Place::default();
    let (mut missed, mut was_open) = (false, false);
    loop {
        let mut decoder = Decoder::new(post.wire.common.settings.max_message_bytes);
        let state = (&mut missed, &mut was_open);
        let end = connect(&post, &desk, &mut place, &mut decoder, state).await;
        place.leave(&decoder);
        pause = match end {
            End::NotOffered => {
                desk.is_heard.store(false, Ordering::Relaxed);
                return;
            }
            End::Forgotten => {
                forgotten(&post, &desk);
                return;
            }
            End::Closed => {
                // From the last event on it says everything; without one there is a gap.
                missed |= !place.is_known();
                FIRST_PAUSE
            }
            End::Broken => {
                missed = true;
                (pause * 2).min(LONGEST_PAUSE)
            }
        };
        sleep(
            decoder
                .retry()
                .unwrap_or(pause)
                .clamp(FIRST_PAUSE, LONGEST_PAUSE),
        )
        .await;
    }
}

/// The session is over, and is begun anew by who asks next: that is the one who looks whether the
/// server is there, unless it is a client's own.
fn forgotten(post: &Post, desk: &Desk) {
    let reason = "it does not know the session any more";
    desk.pending.close(reason);
    let common = &post.wire.common;
    let event = if let Some(owner) = &desk.owner {
        common.watched.bereaved.note(&owner.watcher);
        // What it lists for this client is read again, in a session that subscribes anew.
        BackendEvent::OfferChanged
    } else {
        BackendEvent::Down {
            reason: reason.to_owned(),
        }
    };
    common.events.emit(event);
}

async fn connect(
    post: &Post,
    desk: &Desk,
    place: &mut Place,
    decoder: &mut Decoder,
    (missed, was_open): (&mut bool, &mut bool),
) -> End {
    let wire = &post.wire;
    let request = request(post, place.take_up());
    let Ok(Ok(response)) = timeout(wire.common.settings.timeout, request.send()).await else {
        return End::Broken;
    };
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return End::Broken;
    }
    // One that has become a server of 2026-07-28 has no such stream any more.
    let is_over = matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    );
    if is_over && *was_open && post.headers.contains_key(SESSION) {
        return End::Forgotten;
    }
    if status != StatusCode::OK {
        return End::NotOffered;
    }
    *was_open = true;
    if std::mem::take(missed) {
        // Nobody knows what was said in the meantime, nor who says it now.
        desk.vetted.forget();
        wire.common.events.emit(BackendEvent::OfferChanged);
    }
    read(post, desk, response, place, decoder).await
}

async fn read(
    post: &Post,
    desk: &Desk,
    mut response: Response,
    place: &mut Place,
    decoder: &mut Decoder,
) -> End {
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                if decoder.push(&chunk).is_err() {
                    return End::Broken;
                }
            }
            Ok(None) => return End::Closed,
            Err(_) => return End::Broken,
        }
        while let Some(event) = decoder.next_event() {
            if place.is_new(&event) {
                take_all(post, desk, &event.data);
            }
        }
    }
}

/// Takes one message, or the array of them that 2025-03-26 knows.
pub(super) fn take_all(post: &Post, desk: &Desk, data: &Bytes) {
    if data.trim_ascii_start().starts_with(b"[")
        && let Ok(parts) = serde_json::from_slice::<Vec<JsonText<'_>>>(data)
    {
        for part in parts {
            take(post, desk, data, part.get().as_bytes());
        }
    } else {
        take(post, desk, data, data);
    }
}

/// Takes one message. What belongs to a request should be on the stream of that, but is taken.
fn take(post: &Post, desk: &Desk, whole: &Bytes, text: &[u8]) {
    match Message::parse(text) {
        Ok(Message::Notification(notification)) => {
            if let Some(notice) = Notice::read(&notification) {
                desk.notice(notice);
            }
        }
        Ok(Message::Request(request)) => {
            desk.request(Question::read(&request), None, post.clone());
        }
        Ok(Message::Response(response)) => {
            let reply = Reply::of(response.outcome_in(whole));
            if let Some(id) = response.id.and_then(|id| id.get().parse().ok()) {
                desk.pending.answer(id, reply);
            }
        }
        Ok(_) => {}
        Err(error) => odd(&post.wire, &error),
    }
}

fn odd(wire: &Wire, error: &mcp_gw_core::jsonrpc::EnvelopeError) {
    tracing::debug!(
        target: "mcp_gw::upstream",
        server = &*wire.common.settings.server,
        %error,
        "an event of the server is not a message"
    );
}
