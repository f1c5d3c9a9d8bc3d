//! The stream of news of a server of 2026-07-28 over HTTP: a POST whose answer does not end.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderValue;
use mcp_gw_core::jsonrpc::{self, Message, Response as Answered};
use mcp_gw_core::{BackendEvent, RawJson};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::ask::{Ask, Hop};
use crate::desk::Desk;
use crate::era::{Era, MODERN};
use crate::http::exchange::{Media, media_type};
use crate::http::session::session_headers;
use crate::http::sse::Decoder;
use crate::http::wire::{METHOD, Wire};
use crate::listen_stream::{End, Opener};
use crate::net::client::Response;
use crate::notice::Notice;

/// Opens the stream.
pub(crate) struct News {
    wire: Arc<Wire>,
    desk: Arc<Desk>,
}

impl News {
    pub(crate) const fn new(wire: Arc<Wire>, desk: Arc<Desk>) -> Self {
        Self { wire, desk }
    }
}

impl Opener for News {
    async fn open(&self, filter: RawJson, acknowledged: oneshot::Sender<RawJson>) -> End {
        let end = self.listen(filter, acknowledged).await;
        // It may have been started again, which nothing else would tell.
        self.desk.vetted.forget();
        end
    }
}

impl News {
    async fn listen(&self, filter: RawJson, acknowledged: oneshot::Sender<RawJson>) -> End {
        let wire = &self.wire;
        let ask = Ask::Listen { filter: &filter };
        let params = ask.params(&Hop {
            era: Era::Modern,
            client_info: &wire.common.settings.client_info,
            progress_token: None,
            ctx: None,
        });
        let id = RawJson::from_serialize(&wire.next_id()).unwrap_or_default();
        let body = jsonrpc::request(&id, ask.method(), &params);
        let mut headers = session_headers(MODERN, None);
        headers.insert(METHOD, HeaderValue::from_static(ask.method()));
        let sent = wire.post(&headers, &body).send();
        let Ok(Ok(response)) = timeout(wire.common.settings.timeout, sent).await else {
            return End::Broken;
        };
        let status = response.status();
        if status == StatusCode::OK && media_type(&response) == Media::EventStream {
            return self.read(response, &id, acknowledged).await;
        }
        let until = Instant::now() + wire.common.settings.timeout;
        let late = || wire.common.settings.timed_out(wire.common.settings.timeout);
        let body = wire.body(response, until, late).await.unwrap_or_default();
        match Message::parse(&body) {
            Ok(Message::Response(Answered {
                outcome: Err(error),
                ..
            })) => End::of_error(RawJson::within(&body, error)),
            // What knows the era but not the method.
            _ if matches!(status.as_u16(), 404 | 405 | 501) => End::NotServed,
            _ => End::Broken,
        }
    }

    async fn read(
        &self,
        mut response: Response,
        id: &RawJson,
        acknowledged: oneshot::Sender<RawJson>,
    ) -> End {
        let mut decoder = Decoder::new(self.wire.common.settings.max_message_bytes);
        let mut acknowledged = Some(acknowledged);
        loop {
            while let Some(event) = decoder.next_event() {
                if let Some(end) = self.take(&event.data, id, &mut acknowledged) {
                    return end;
                }
            }
            match response.chunk().await {
                Ok(Some(chunk)) if decoder.push(&chunk).is_ok() => {}
                Ok(None) => return End::Closed,
                Ok(Some(_)) | Err(_) => return End::Broken,
            }
        }
    }

    /// Takes one message; the answer to the request is the end.
    fn take(
        &self,
        data: &Bytes,
        id: &RawJson,
        acknowledged: &mut Option<oneshot::Sender<RawJson>>,
    ) -> Option<End> {
        match Message::parse(data) {
            Ok(Message::Notification(notification)) => match Notice::read(&notification) {
                Some(Notice::Acknowledged(params)) => {
                    if let Some(acknowledged) = acknowledged.take() {
                        let _ = acknowledged.send(params);
                    }
                }
                // Before the acknowledgement nothing was promised.
                Some(Notice::Event(event)) if acknowledged.is_none() => self.emit(event),
                _ => {}
            },
            Ok(Message::Response(Answered {
                id: Some(answered),
                outcome,
                ..
            })) if answered.get() == id.as_str() => {
                return Some(match outcome {
                    Ok(_) => End::Closed,
                    Err(error) => End::of_error(RawJson::within(data, error)),
                });
            }
            _ => {}
        }
        None
    }

    fn emit(&self, event: BackendEvent) {
        let event = self.desk.heard(event);
        self.wire.common.events.emit(event);
    }
}
