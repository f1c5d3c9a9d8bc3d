//! The stream that a server of an old revision may keep open for what belongs to no request (GET).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcp_gw_core::jsonrpc::Message;
use mcp_gw_core::{BackendEvent, RawJson};
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use tokio::time::{sleep, timeout};

use crate::http::exchange::reply;
use crate::http::sse::Decoder;
use crate::http::wire::Wire;
use crate::notice::Notice;

const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
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
}

/// Listens until the server says that it has no such stream. The session ends the task.
pub(crate) async fn run(wire: Arc<Wire>, headers: HeaderMap) {
    let mut pause = FIRST_PAUSE;
    let mut resume: Option<HeaderValue> = None;
    let mut missed = false;
    loop {
        let mut decoder = Decoder::new(wire.settings.max_message_bytes);
        let end = connect(&wire, &headers, resume.as_ref(), &mut decoder, &mut missed).await;
        if let Some(id) = decoder.last_event_id() {
            resume = HeaderValue::from_bytes(id).ok();
        }
        pause = match end {
            End::NotOffered => return,
            End::Closed => FIRST_PAUSE,
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

async fn connect(
    wire: &Arc<Wire>,
    headers: &HeaderMap,
    resume: Option<&HeaderValue>,
    decoder: &mut Decoder,
    missed: &mut bool,
) -> End {
    let mut request = wire
        .request(Method::GET)
        .header(ACCEPT, STREAM)
        .headers(headers.clone());
    if let Some(id) = resume {
        request = request.header(LAST_EVENT_ID, id.clone());
    }
    let Ok(Ok(response)) = timeout(wire.settings.timeout, request.send()).await else {
        return End::Broken;
    };
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return End::Broken;
    }
    if status != StatusCode::OK {
        return End::NotOffered;
    }
    if std::mem::take(missed) {
        // Nobody knows what was said in the meantime.
        wire.events.emit(BackendEvent::OfferChanged);
    }
    read(wire, headers, response, decoder).await
}

async fn read(
    wire: &Arc<Wire>,
    headers: &HeaderMap,
    mut response: Response,
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
        while let Some(data) = decoder.next_event() {
            take(wire, headers, &data).await;
        }
    }
}

/// Takes one message. What belongs to a request has no place on this stream.
async fn take(wire: &Arc<Wire>, headers: &HeaderMap, data: &Bytes) {
    match Message::parse(data) {
        Ok(Message::Notification(notification)) => {
            if let Some(Notice::Event(event)) = Notice::read(&notification) {
                wire.events.emit(event);
            }
        }
        Ok(Message::Request(request)) => {
            let id = RawJson::parse(request.id.get().to_owned()).unwrap_or_default();
            wire.post_only(headers.clone(), &reply(&id, &request.method))
                .await;
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(
            target: "mcp_gw::upstream",
            server = &*wire.settings.server,
            %error,
            "an event of the server is not a message"
        ),
    }
}
