//! One request over HTTP and everything that comes back on its response.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use mcp_gw_core::jsonrpc;
use mcp_gw_core::{CallContext, ClientLink, RawJson};
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout_at};

use crate::ask::{Ask, Hop, cancelled_for, cancelled_params};
use crate::call::{Call, EndOnDrop};
use crate::deadline::Deadline;
use crate::desk::Desk;
use crate::era::{Era, MODERN};
use crate::http::resume::Place;
use crate::http::session::session_headers;
use crate::http::sse::Decoder;
use crate::http::wire::{METHOD, NAME, Post, Refusal, SESSION, Wire, chain, retry_after};
use crate::mirror;
use crate::net::client::{Address, Response};
use crate::pending::{Reply, Waiting};

/// A request that is ready to be sent.
pub(crate) struct Exchange<'a> {
    pub(super) wire: &'a Arc<Wire>,
    id: i64,
    id_text: String,
    headers: HeaderMap,
    body: RawJson,
    ctx: Option<&'a CallContext>,
    pub(super) token: Option<i64>,
    /// The session of an old server that it is made in.
    pub(super) session: Option<InSession>,
    is_cancellable: bool,
    /// The first thing on its stream that was no message.
    pub(super) odd: OnceLock<String>,
}

/// Where a server may be told of a cancellation, be answered on its own requests, and answer
/// elsewhere than it was asked.
pub(super) struct InSession {
    pub(super) post: Post,
    pub(super) desk: Arc<Desk>,
    pub(super) call: Option<Arc<Call>>,
    elsewhere: Option<oneshot::Receiver<Reply>>,
}

impl InSession {
    pub(super) fn is_asking(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.is_asking())
    }
}

/// Why the response is not read on.
#[derive(Debug)]
pub(super) enum Stop {
    Refused(Refusal),
    /// The answer came on another stream.
    Elsewhere(Reply),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A result or an error object.
pub(super) type Outcome = Result<RawJson, RawJson>;

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

    /// A request in an old server's session, which the headers of `post` name.
    pub(crate) fn legacy(
        wire: &'a Arc<Wire>,
        post: Post,
        desk: &Arc<Desk>,
        ask: &Ask<'_>,
        ctx: Option<&'a CallContext>,
    ) -> Self {
        let mut exchange = Self::new(wire, ask, ctx, Era::Legacy, post.headers.clone());
        exchange.session = Some(InSession {
            post,
            desk: Arc::clone(desk),
            call: ctx.map(|ctx| Arc::new(Call::new(ctx, &wire.common.settings))),
            elsewhere: None,
        });
        exchange
    }

    /// The handshake, which comes before everything that a header could say.
    pub(crate) fn initialize(wire: &'a Arc<Wire>, capabilities: Option<&RawJson>) -> Self {
        let ask = Ask::Initialize { capabilities };
        Self::new(wire, &ask, None, Era::Legacy, HeaderMap::new())
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
        let token = ctx.filter(|ctx| ctx.link().wants_progress()).map(|_| id);
        let hop = Hop {
            era,
            client_info: &wire.common.settings.client_info,
            progress_token: token,
            ctx,
        };
        Self {
            wire,
            id,
            body: ask.request(id, &hop),
            id_text,
            headers,
            ctx,
            token,
            session: None,
            is_cancellable: ask.is_cancellable(),
            odd: OnceLock::new(),
        }
    }

    /// The way back to the client, when it is for a call and the server may be heard.
    pub(super) fn link(&self) -> Option<&'a dyn ClientLink> {
        let heard = self
            .ctx
            .filter(|_| !self.wire.common.settings.is_silenced());
        heard.map(|ctx| &**ctx.link())
    }

    /// Sends it and waits for its result.
    pub(crate) async fn run(mut self, mut deadline: Deadline) -> Result<Answer, Refusal> {
        let mut cancel = CancelOnDrop::new(&self);
        let _waiting = self.register()?;
        if let Some(InSession {
            desk,
            call: Some(call),
            ..
        }) = &self.session
        {
            desk.hand_over(call).await;
            deadline.extend();
        }
        let outcome = match self.converse(&mut deadline).await {
            Ok(answer) => Ok(answer),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Elsewhere(reply)) => self.take_reply(reply),
        };
        let is_answered = match &outcome {
            Ok(_) | Err(Refusal::Rpc(..) | Refusal::Status(..)) => true,
            Err(Refusal::Failed(error)) => error.is_unsent(),
        };
        if is_answered {
            cancel.disarm();
        } else if let Err(Refusal::Failed(error)) = &outcome {
            cancel.why = cancelled_for(error);
        }
        outcome
    }

    /// Lets what comes on other streams of the session find its way here.
    fn register(&mut self) -> Result<Option<Registered>, Refusal> {
        let Some(session) = &mut self.session else {
            return Ok(None);
        };
        let (answer, elsewhere) = oneshot::channel();
        let call = session.call.clone();
        let waiting = Waiting {
            answer,
            call: call.clone(),
        };
        let added = session.desk.pending.add(self.id, waiting);
        added.map_err(|reason| Refusal::Failed(self.wire.common.settings.unavailable(reason)))?;
        session.elsewhere = Some(elsewhere);
        Ok(Some(Registered {
            desk: Arc::clone(&session.desk),
            id: self.id,
            _call: EndOnDrop(call),
        }))
    }

    fn take_reply(&self, reply: Reply) -> Result<Answer, Refusal> {
        match reply {
            Reply::Result(result) => Ok(Answer {
                result,
                session: None,
            }),
            Reply::Error(error) => Err(Refusal::Rpc(StatusCode::OK, error)),
            Reply::TooLarge => Err(Refusal::Failed(self.wire.common.settings.too_large())),
            Reply::Malformed(reason) => Err(self.protocol(&reason)),
            Reply::Dead(reason) => Err(self.lost(&reason)),
        }
    }

    async fn converse(&mut self, deadline: &mut Deadline) -> Result<Answer, Stop> {
        let response = self.send(deadline).await?;
        let session = response.headers().get(SESSION).cloned();
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(self.refusal(status, None, String::new()).into());
        }
        if self.endpoint().is_some() && status.is_success() {
            // Whatever it says here, it answers on its stream (MCP 2024-11-05, HTTP with SSE).
            drop(response);
            return self.wait(deadline, std::future::pending()).await;
        }
        let kind = media_type(&response);
        let result = if kind == Media::Json {
            self.whole_body(response, deadline).await?
        } else if !status.is_success() {
            let retry_after = retry_after(response.headers());
            let body = self.wire.beginning(response, deadline.at()).await;
            return Err(self.refusal(status, retry_after, body).into());
        } else if kind == Media::EventStream {
            match Box::pin(self.stream(response, deadline)).await? {
                Ok(result) => result,
                Err(error) => return Err(Refusal::Rpc(status, error).into()),
            }
        } else if status == StatusCode::ACCEPTED && self.is_heard() {
            // It will answer on its own stream; nothing else ends this wait.
            self.wait(deadline, std::future::pending::<Answer>())
                .await?
                .result
        } else {
            return Err(self
                .protocol(&format!(
                    "it answers a request with {status} and neither JSON nor an event stream"
                ))
                .into());
        };
        Ok(Answer { result, session })
    }

    /// Sends it; once more when there was no connection to send it on.
    async fn send(&mut self, deadline: &mut Deadline) -> Result<Response, Stop> {
        let first = self
            .wire
            .post_to(self.endpoint(), &self.headers, &self.body)
            .send();
        let first = pin!(first);
        let error = match self.wait(deadline, first).await? {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if !error.is_connect() || error.is_timeout() {
            return Err(Refusal::Failed(self.wire.send_error(&error)).into());
        }
        let again = self
            .wire
            .post_to(self.endpoint(), &self.headers, &self.body)
            .send();
        let response = self.wait(deadline, Box::pin(again)).await?;
        response.map_err(|error| Refusal::Failed(self.wire.send_error(&error)).into())
    }

    /// Reads an answer that is not a stream.
    async fn whole_body(
        &self,
        response: Response,
        deadline: &Deadline,
    ) -> Result<RawJson, Refusal> {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let late = || self.wire.common.settings.timed_out(deadline.limit());
        let body = self.wire.body(response, deadline.at(), late).await;
        let body = body.map_err(Refusal::Failed)?;
        match self.whole(&body) {
            Ok(Some(Ok(result))) if status.is_success() => Ok(result),
            // It turns the request away unread, whatever it says beside that.
            Ok(Some(Err(error))) if status != StatusCode::TOO_MANY_REQUESTS => {
                Err(Refusal::Rpc(status, error))
            }
            Err(refusal) if status.is_success() => Err(refusal),
            _ if status.is_success() => Err(self.protocol("its answer belongs to another request")),
            _ => Err(self.refusal(status, retry_after, crate::settings::excerpt(&body))),
        }
    }

    /// What a status means that came without a JSON-RPC message.
    fn refusal(&self, status: StatusCode, retry_after: Option<Duration>, body: String) -> Refusal {
        match self.wire.turned_away(status, retry_after, &body) {
            Some(error) => Refusal::Failed(error),
            None => Refusal::Status(status, body),
        }
    }

    /// Waits for `what` as long as the time allows. A sign of life starts the time anew, and while
    /// the client is asked only the hard limit holds. What is long is better given by its pin.
    pub(super) async fn wait<T>(
        &mut self,
        deadline: &mut Deadline,
        what: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        let Some(session) = &mut self.session else {
            let done = timeout_at(deadline.at(), what).await;
            return done.map_err(|_| self.late(deadline).into());
        };
        let mut what = pin!(what);
        loop {
            let alive = async {
                match &session.call {
                    Some(call) => call.alive().await,
                    None => std::future::pending().await,
                }
            };
            let elsewhere = async {
                match &mut session.elsewhere {
                    Some(elsewhere) => elsewhere.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                done = &mut what => return Ok(done),
                reply = elsewhere => {
                    session.elsewhere = None;
                    let dead = |_| Reply::Dead("its answer was thrown away".to_owned());
                    return Err(Stop::Elsewhere(reply.unwrap_or_else(dead)));
                }
                () = alive => {
                    if session.is_asking() {
                        deadline.pause();
                    } else {
                        deadline.extend();
                    }
                }
                () = sleep_until(deadline.at()) => return Err(self.late(deadline).into()),
            }
        }
    }

    /// Reads events until the answer is among them. The stream of an old server is taken up again
    /// when it ends before.
    async fn stream(
        &mut self,
        mut response: Response,
        deadline: &mut Deadline,
    ) -> Result<Outcome, Stop> {
        let mut place = Place::default();
        loop {
            let reason = match self.read(response, &mut place, deadline).await? {
                Ok(outcome) => return Ok(outcome),
                Err(reason) => reason,
            };
            response = self.resume(&mut place, deadline, &reason).await?;
        }
    }

    /// Reads one connection of the stream: the answer, or why there is no more to come.
    async fn read(
        &mut self,
        mut response: Response,
        place: &mut Place,
        deadline: &mut Deadline,
    ) -> Result<Result<Outcome, String>, Stop> {
        let mut decoder = Decoder::new(self.wire.common.settings.max_message_bytes);
        loop {
            while let Some(event) = decoder.next_event() {
                if place.is_new(&event)
                    && let Some(outcome) = self.whole_or_part(&event.data, Some(deadline))?
                {
                    return Ok(Ok(outcome));
                }
            }
            let chunk = match self.wait(deadline, response.chunk()).await? {
                Ok(Some(chunk)) => chunk,
                Ok(None) => {
                    place.leave(&decoder);
                    if let Some(says) = self.odd.get()
                        && !(place.is_known() && self.session.is_some())
                    {
                        return Err(self.protocol(says).into());
                    }
                    return Ok(Err("the stream ended without the answer".to_owned()));
                }
                Err(error) => {
                    place.leave(&decoder);
                    return Ok(Err(chain(&error)));
                }
            };
            decoder
                .push(&chunk)
                .map_err(|_| Refusal::Failed(self.wire.common.settings.too_large()))?;
        }
    }

    fn endpoint(&self) -> Option<&Address> {
        self.session.as_ref()?.post.endpoint.as_ref()
    }

    fn is_heard(&self) -> bool {
        let is_heard = |session: &InSession| session.desk.is_heard.load(Ordering::Relaxed);
        self.session.as_ref().is_some_and(is_heard)
    }

    pub(super) fn is_own(&self, id: &str) -> bool {
        id == self.id_text
    }

    fn late(&self, deadline: &Deadline) -> Refusal {
        Refusal::Failed(self.wire.common.settings.timed_out(deadline.limit()))
    }

    pub(super) fn lost(&self, reason: &str) -> Refusal {
        Refusal::Failed(self.wire.common.settings.lost(reason))
    }

    pub(super) fn protocol(&self, reason: &str) -> Refusal {
        Refusal::Failed(self.wire.common.settings.protocol(reason))
    }
}

/// Takes the request out of the table, and ends what was asked for it, when nobody waits any more.
struct Registered {
    desk: Arc<Desk>,
    id: i64,
    _call: EndOnDrop,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.desk.pending.remove(self.id);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    EventStream,
    Other,
}

pub(super) fn media_type(response: &Response) -> Media {
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
struct CancelOnDrop<'a> {
    armed: Option<(Post, i64)>,
    ctx: Option<&'a CallContext>,
    /// A reason of our own.
    why: Option<RawJson>,
}

impl<'a> CancelOnDrop<'a> {
    fn new(exchange: &Exchange<'a>) -> Self {
        let session = exchange.session.as_ref();
        Self {
            armed: session
                .filter(|_| exchange.is_cancellable)
                .map(|session| (session.post.clone(), exchange.id)),
            ctx: exchange.ctx,
            why: None,
        }
    }

    fn disarm(&mut self) {
        self.armed = None;
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some((post, id)) = self.armed.take() {
            let said = || self.ctx.and_then(CallContext::cancel_reason);
            let reason = self.why.take().or_else(said);
            let params = cancelled_params(id, reason.as_ref());
            post.soon(jsonrpc::notification("notifications/cancelled", &params));
        }
    }
}
