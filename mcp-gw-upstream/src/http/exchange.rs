//! One request over HTTP and everything that comes back on its response.

use std::sync::Arc;

use bytes::Bytes;
use mcp_gw_core::jsonrpc::{self, Message, Response as Answered};
use mcp_gw_core::{CallContext, ClientLink, RawJson};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use serde_json::value::RawValue;
use tokio::time::timeout_at;

use crate::ask::{Ask, Hop, cancelled_params};
use crate::deadline::Deadline;
use crate::era::{Era, MODERN};
use crate::http::session::session_headers;
use crate::http::sse::Decoder;
use crate::http::wire::{METHOD, NAME, Refusal, SESSION, Wire, chain};
use crate::mirror;
use crate::notice::Notice;
use crate::settings::not_served;

/// A request that is ready to be sent.
pub(crate) struct Exchange<'a> {
    wire: &'a Arc<Wire>,
    id: i64,
    id_text: String,
    headers: HeaderMap,
    body: RawJson,
    link: Option<&'a dyn ClientLink>,
    token: Option<i64>,
    /// Where a server may be told of a cancellation, and answered on its own requests: the headers
    /// of an old server's session.
    session: Option<HeaderMap>,
    is_cancellable: bool,
}

/// A result, and the session that came with it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) result: RawJson,
    pub(crate) session: Option<HeaderValue>,
}

impl<'a> Exchange<'a> {
    /// A request of 2026-07-28, `mirrored` among its headers.
    pub(crate) fn modern(
        wire: &'a Arc<Wire>,
        ask: &Ask<'_>,
        ctx: Option<&'a CallContext>,
        mirrored: &[(HeaderName, HeaderValue)],
    ) -> Self {
        let mut headers = session_headers(MODERN, None);
        headers.insert(METHOD, HeaderValue::from_static(ask.method()));
        if let Some(name) = ask.name().and_then(mirror::encode) {
            headers.insert(NAME, name);
        }
        headers.extend(mirrored.iter().cloned());
        Self::new(wire, ask, ctx, Era::Modern, headers)
    }

    /// A request in an old server's session, which `headers` name.
    pub(crate) fn legacy(
        wire: &'a Arc<Wire>,
        headers: HeaderMap,
        ask: &Ask<'_>,
        ctx: Option<&'a CallContext>,
    ) -> Self {
        let mut exchange = Self::new(wire, ask, ctx, Era::Legacy, headers.clone());
        exchange.session = Some(headers);
        exchange
    }

    /// The handshake, which comes before everything that a header could say.
    pub(crate) fn initialize(wire: &'a Arc<Wire>) -> Self {
        Self::new(wire, &Ask::Initialize, None, Era::Legacy, HeaderMap::new())
    }

    fn new(
        wire: &'a Arc<Wire>,
        ask: &Ask<'_>,
        ctx: Option<&'a CallContext>,
        era: Era,
        headers: HeaderMap,
    ) -> Self {
        let id = wire.next_id();
        let id_text = id.to_string();
        let link = ctx.map(|ctx| &**ctx.link());
        let token = link.filter(|link| link.wants_progress()).map(|_| id);
        let params = ask.params(&Hop {
            era,
            client_info: &wire.settings.client_info,
            progress_token: token,
            ctx,
        });
        let raw_id = RawJson::from_serialize(&id).unwrap_or_default();
        Self {
            wire,
            id,
            body: jsonrpc::request(&raw_id, ask.method(), &params),
            id_text,
            headers,
            link,
            token,
            session: None,
            is_cancellable: ask.is_cancellable(),
        }
    }

    /// Sends it and waits for its result.
    pub(crate) async fn run(mut self, mut deadline: Deadline) -> Result<Answer, Refusal> {
        let mut cancel = CancelOnDrop::new(&self);
        let outcome = self.converse(&mut deadline).await;
        let is_answered = match &outcome {
            Ok(_) | Err(Refusal::Rpc(..) | Refusal::Status(..)) => true,
            Err(Refusal::Failed(error)) => error.is_unsent(),
        };
        if is_answered {
            cancel.disarm();
        }
        outcome
    }

    async fn converse(&mut self, deadline: &mut Deadline) -> Result<Answer, Refusal> {
        let headers = std::mem::take(&mut self.headers);
        let send = self.wire.post(headers, &self.body).send();
        let response = timeout_at(deadline.at(), send)
            .await
            .map_err(|_| self.late(deadline))?
            .map_err(|error| Refusal::Failed(self.wire.send_error(error)))?;
        let session = response.headers().get(SESSION).cloned();
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            // What is wrong is the gateway's credential: nothing for a client, and its text may
            // repeat what was sent.
            return Err(Refusal::Status(status, String::new()));
        }
        let kind = media_type(&response);
        let result = if kind == Media::Json {
            let late = || self.wire.settings.timed_out(deadline.limit());
            let body = self.wire.body(response, deadline.at(), late).await;
            let body = body.map_err(Refusal::Failed)?;
            match self.whole(&body) {
                Ok(Some(Ok(result))) if status.is_success() => result,
                Ok(Some(Err(error))) => return Err(Refusal::Rpc(status, error)),
                Err(refusal) if status.is_success() => return Err(refusal),
                _ if status.is_success() => {
                    return Err(self.protocol("its answer belongs to another request"));
                }
                _ => return Err(Refusal::Status(status, crate::settings::excerpt(&body))),
            }
        } else if !status.is_success() {
            let body = self.wire.beginning(response, deadline.at()).await;
            return Err(Refusal::Status(status, body));
        } else if kind == Media::EventStream {
            match self.stream(response, deadline).await? {
                Ok(result) => result,
                Err(error) => return Err(Refusal::Rpc(status, error)),
            }
        } else {
            return Err(self.protocol(&format!(
                "it answers a request with {status} and neither JSON nor an event stream"
            )));
        };
        Ok(Answer { result, session })
    }

    /// Reads events until the answer is among them.
    async fn stream(
        &self,
        mut response: Response,
        deadline: &mut Deadline,
    ) -> Result<Result<RawJson, RawJson>, Refusal> {
        let mut decoder = Decoder::new(self.wire.settings.max_message_bytes);
        loop {
            while let Some(data) = decoder.next_event() {
                if let Some(outcome) = self.whole_or_part(&data, Some(deadline))? {
                    return Ok(outcome);
                }
            }
            let chunk = timeout_at(deadline.at(), response.chunk())
                .await
                .map_err(|_| self.late(deadline))?;
            let chunk = match chunk {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Err(self.lost("the stream ended without the answer")),
                Err(error) => return Err(self.lost(&chain(error))),
            };
            decoder
                .push(&chunk)
                .map_err(|_| Refusal::Failed(self.wire.settings.too_large()))?;
        }
    }

    fn whole(&self, body: &Bytes) -> Result<Option<Result<RawJson, RawJson>>, Refusal> {
        self.whole_or_part(body, None)
    }

    /// Takes one message, or the array of them that 2025-03-26 knows.
    fn whole_or_part(
        &self,
        text: &Bytes,
        mut deadline: Option<&mut Deadline>,
    ) -> Result<Option<Result<RawJson, RawJson>>, Refusal> {
        if !text.trim_ascii_start().starts_with(b"[") {
            return self.message(text, text, deadline);
        }
        let parts: Vec<&RawValue> = serde_json::from_slice(text)
            .map_err(|error| self.protocol(&format!("its answer is not JSON: {error}")))?;
        for part in parts {
            let outcome = self.message(text, part.get().as_bytes(), deadline.as_deref_mut())?;
            if outcome.is_some() {
                return Ok(outcome);
            }
        }
        Ok(None)
    }

    fn message(
        &self,
        whole: &Bytes,
        text: &[u8],
        deadline: Option<&mut Deadline>,
    ) -> Result<Option<Result<RawJson, RawJson>>, Refusal> {
        let message = match Message::parse(text) {
            Ok(message) => message,
            Err(error) if error.code == mcp_gw_core::code::PARSE_ERROR => {
                return Err(self.protocol(&format!("its answer is not JSON: {error}")));
            }
            Err(error) if error.id.as_ref().is_none_or(|id| self.is_own(id.as_str())) => {
                return Err(self.protocol(&error.message));
            }
            Err(_) => return Ok(None),
        };
        match message {
            Message::Response(Answered { id, outcome, .. }) => {
                // An error without an id can only be about what was sent here.
                if id.is_some_and(|id| !self.is_own(id.get())) {
                    return Ok(None);
                }
                Ok(Some(match outcome {
                    Ok(result) => Ok(RawJson::within(whole, result)),
                    Err(error) => Err(RawJson::within(whole, error)),
                }))
            }
            Message::Notification(notification) => {
                if let Some(notice) = Notice::read(&notification) {
                    self.notice(notice, deadline);
                }
                Ok(None)
            }
            Message::Request(request) => {
                let id = RawJson::parse(request.id.get().to_owned()).unwrap_or_default();
                self.answer(&id, &request.method);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn notice(&self, notice: Notice, deadline: Option<&mut Deadline>) {
        if let Notice::Event(event) = notice {
            self.wire.events.emit(event);
            return;
        }
        if let (Notice::Progress { token, .. }, Some(deadline)) = (&notice, deadline)
            && Some(*token) == self.token
        {
            deadline.extend();
        }
        if let (Some(link), Some(notification)) = (self.link, notice.for_call(self.token)) {
            link.notify(notification);
        }
    }

    /// Answers a request of the server; those of 2026-07-28 send none.
    fn answer(&self, id: &RawJson, method: &str) {
        if let Some(headers) = self.session.clone() {
            self.wire.reply(headers, reply(id, method));
        }
    }

    fn is_own(&self, id: &str) -> bool {
        id == self.id_text
    }

    fn late(&self, deadline: &Deadline) -> Refusal {
        Refusal::Failed(self.wire.settings.timed_out(deadline.limit()))
    }

    fn lost(&self, reason: &str) -> Refusal {
        Refusal::Failed(self.wire.settings.lost(reason))
    }

    fn protocol(&self, reason: &str) -> Refusal {
        Refusal::Failed(self.wire.settings.protocol(reason))
    }
}

/// What the gateway answers to a request of a server: it has declared no capability.
pub(crate) fn reply(id: &RawJson, method: &str) -> RawJson {
    if method == "ping" {
        jsonrpc::result(id, &RawJson::empty_object())
    } else {
        jsonrpc::error(Some(id), &not_served(method))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    EventStream,
    Other,
}

fn media_type(response: &Response) -> Media {
    let value = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Media::Json
    } else if essence.eq_ignore_ascii_case("text/event-stream") {
        Media::EventStream
    } else {
        Media::Other
    }
}

/// Tells an old server that nobody waits for its answer any more. A new one sees it from the
/// connection.
struct CancelOnDrop(Option<(Arc<Wire>, HeaderMap, i64)>);

impl CancelOnDrop {
    fn new(exchange: &Exchange<'_>) -> Self {
        let session = exchange.session.clone();
        Self(
            session
                .filter(|_| exchange.is_cancellable)
                .map(|headers| (Arc::clone(exchange.wire), headers, exchange.id)),
        )
    }

    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let Some((wire, headers, id)) = self.0.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let cancelled = jsonrpc::notification("notifications/cancelled", &cancelled_params(id));
            runtime.spawn(async move { wire.post_only(headers, &cancelled).await });
        }
    }
}
