//! Clients of revisions with sessions (2025-03-26 to 2025-11-25): how a session begins, what is said
//! in it, its streams.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use mcp_gw_core::jsonrpc::{Message, Notification, Request, Response};
use mcp_gw_core::{Feature, RawJson, Transport, code};

use super::feed::{self, Outcome, Style};
use super::headers::{self, LAST_EVENT_ID, SESSION_ID};
use super::{HttpPeer, HttpReply, Invalid, stream};
use crate::batch;
use crate::client::Client;
use crate::engine::Engine;
use crate::exchange::{Answer, Exchange, Peer};
use crate::listen::Topic;
use crate::moved::tell;
use crate::operation::{self, Meta, Operation};
use crate::revision::Revision;
use crate::rpc_error::RpcError;
use crate::session::{Session, SessionRefusal};

impl Engine {
    /// Begins a session.
    pub(super) async fn initialize(
        &self,
        headers: &HeaderMap,
        request: &Request<'_>,
        body: &Bytes,
        peer: HttpPeer,
    ) -> Result<HttpReply, RpcError> {
        headers::legacy_version(headers)?;
        let id = RawJson::within(body, request.id);
        let parsed = operation::parse(request, body, Revision::NEWEST_LEGACY)?;
        let Operation::Initialize { asked } = &parsed.operation else {
            return Err(RpcError::new(code::INTERNAL_ERROR, "Internal error"));
        };
        let revision = Revision::negotiate(asked);
        let session = self.inner.sessions.open(|outbox| {
            Client::new(
                Arc::clone(&peer.caller),
                revision,
                parsed.client_info.as_ref(),
                parsed.client_capabilities.as_ref(),
                outbox,
            )
            .at(self.endpoint.clone())
            .over(Transport::Http)
        });
        let session = session.map_err(refused)?;
        self.keep_swept();
        let caller = Arc::clone(&peer.caller);
        let exchange = self.begin_parsed(parsed, id, self.peer(peer, revision), None)?;
        let reply = stream::reply(exchange, self.config().keep_alive).await;
        if reply.status.is_success() {
            return Ok(reply.with_header(SESSION_ID, &session));
        }
        // Who may not shake hands now has no session either.
        self.inner
            .sessions
            .close(&session, &caller, self.endpoint());
        Ok(reply)
    }

    /// A request of a session.
    pub(super) async fn in_session(
        &self,
        headers: &HeaderMap,
        request: &Request<'_>,
        body: &Bytes,
        peer: HttpPeer,
    ) -> Result<HttpReply, RpcError> {
        let session = self.session(headers, &peer)?;
        let exchange = self.begin_in(&session, request, body, peer)?;
        let style = self.style(&session);
        let reader = feed::start(
            &session.journal,
            Vec::new(),
            vec![exchange],
            &self.inner.detached,
        );
        Ok(match feed::outcome(reader, &style).await {
            Outcome::Stream(reader) => feed::begin(reader, style),
            // Without an answer it was cancelled: the client expects none.
            Outcome::Answers(answers) => answers
                .into_iter()
                .next()
                .map_or_else(feed::nothing, HttpReply::answer),
        })
    }

    /// Several messages at once. Each is judged, limited and audited like one that comes alone.
    pub(super) async fn batch(
        &self,
        headers: &HeaderMap,
        body: &Bytes,
        peer: HttpPeer,
    ) -> Result<HttpReply, RpcError> {
        if headers::names_modern(headers) {
            batch::check_revision(None)?;
        }
        let elements = batch::split(body)?;
        let session = self.session(headers, &peer)?;
        batch::check_revision(Some(session.client.revision))?;
        let (mut failed, mut work) = (Vec::new(), Vec::new());
        let invalid = Invalid::of(&peer);
        for element in elements {
            let element = element.to_bytes();
            match Message::parse(&element) {
                Err(error) => {
                    let says = RpcError::new(error.code, &error.message);
                    let says = invalid.charge(self).await.err().unwrap_or(says);
                    failed.push(Answer::error(error.id.as_ref(), &says));
                }
                Ok(Message::Request(request)) => {
                    let peer = HttpPeer {
                        request_id: self.next_request_id(),
                        ..peer.clone()
                    };
                    match self.begin_element(&session, &request, &element, peer) {
                        Ok(exchange) => work.push(exchange),
                        Err(error) => {
                            let error = invalid.charge(self).await.err().unwrap_or(error);
                            let id = RawJson::within(&element, request.id);
                            failed.push(Answer::error(Some(&id), &error));
                        }
                    }
                }
                Ok(Message::Notification(notification)) => {
                    session.client.take_notification(&notification);
                }
                Ok(Message::Response(response)) => {
                    // Nobody is told: a batch has no place for the answer to an answer.
                    if let Err(error) = session.client.take_response(&response, &element) {
                        tracing::debug!(error = %error.object, "a client gave no answer");
                    }
                }
                Ok(_) => {}
            }
        }
        if failed.is_empty() && work.is_empty() {
            return Ok(HttpReply::empty(StatusCode::ACCEPTED));
        }
        let style = self.style(&session);
        let reader = feed::start(&session.journal, failed, work, &self.inner.detached);
        Ok(match feed::outcome(reader, &style).await {
            Outcome::Stream(reader) => feed::begin(reader, style),
            Outcome::Answers(answers) if answers.is_empty() => feed::nothing(),
            Outcome::Answers(answers) => HttpReply::answers(answers),
        })
    }

    fn begin_element(
        &self,
        session: &Session,
        request: &Request<'_>,
        element: &Bytes,
        peer: HttpPeer,
    ) -> Result<Exchange, RpcError> {
        let meta = Meta::of(&request.params)?;
        if request.method == "initialize" || super::is_modern(&HeaderMap::new(), request, &meta) {
            return Err(batch::not_here(&request.method));
        }
        self.begin_in(session, request, element, peer)
    }

    fn begin_in(
        &self,
        session: &Session,
        request: &Request<'_>,
        body: &Bytes,
        peer: HttpPeer,
    ) -> Result<Exchange, RpcError> {
        let client = &session.client;
        let peer = Peer {
            client: Some(Arc::clone(client)),
            ..self.peer(peer, client.revision)
        };
        self.begin(request, body, peer, Some(&client.in_flight))
    }

    pub(super) fn notification(
        &self,
        headers: &HeaderMap,
        notification: &Notification<'_>,
        peer: &HttpPeer,
    ) -> Result<HttpReply, RpcError> {
        if headers::names_modern(headers) {
            headers::check_notification(headers, notification)?;
            // None is defined for clients over HTTP from 2026-07-28 on, and none does harm.
            return Ok(HttpReply::empty(StatusCode::ACCEPTED));
        }
        let session = self.session(headers, peer)?;
        session.client.take_notification(notification);
        Ok(HttpReply::empty(StatusCode::ACCEPTED))
    }

    pub(super) fn response(
        &self,
        headers: &HeaderMap,
        response: &Response<'_>,
        body: &Bytes,
        peer: &HttpPeer,
    ) -> Result<HttpReply, RpcError> {
        if headers::names_modern(headers) {
            return Err(RpcError::with_status(
                400,
                code::INVALID_REQUEST,
                "Invalid request: clients of this protocol revision do not POST responses",
            ));
        }
        let session = self.session(headers, peer)?;
        session.client.take_response(response, body)?;
        Ok(HttpReply::empty(StatusCode::ACCEPTED))
    }

    /// The stream that a GET opens: what belongs to no request, or what broke off.
    pub(super) fn open_stream(
        &self,
        headers: &HeaderMap,
        peer: &HttpPeer,
    ) -> Result<HttpReply, RpcError> {
        let session = self.session(headers, peer)?;
        let style = self.style(&session);
        match headers::legacy_one(headers, LAST_EVENT_ID)? {
            None | Some("") => Ok(feed::begin(session.journal.listen(), style)),
            Some(id) => {
                let reader = session.journal.resume(id).ok_or_else(unknown_event)?;
                Ok(feed::go_on(reader, style))
            }
        }
    }

    /// Ends a session.
    pub(super) fn end_session(
        &self,
        headers: &HeaderMap,
        peer: &HttpPeer,
    ) -> Result<HttpReply, RpcError> {
        let id = headers::legacy_one(headers, SESSION_ID)?;
        let id = id.filter(|id| !id.is_empty()).ok_or_else(no_session)?;
        if self.inner.sessions.close(id, &peer.caller, self.endpoint()) {
            Ok(HttpReply::empty(StatusCode::NO_CONTENT))
        } else {
            Err(refused(SessionRefusal::Unknown))
        }
    }

    /// The session that the headers name, if it is this caller's and speaks what they say.
    fn session(&self, headers: &HeaderMap, peer: &HttpPeer) -> Result<Arc<Session>, RpcError> {
        let version = headers::legacy_version(headers)?;
        let id = headers::legacy_one(headers, SESSION_ID)?;
        let id = id.filter(|id| !id.is_empty()).ok_or_else(no_session)?;
        let session = self
            .inner
            .sessions
            .find(id, &peer.caller, self.endpoint())
            .map_err(refused)?;
        self.keep_swept();
        let spoken = session.client.revision;
        match version {
            Some(version) if version != spoken => Err(RpcError::with_status(
                400,
                code::INVALID_REQUEST,
                &format!(
                    "Bad request: `MCP-Protocol-Version` is {}, but this session speaks {}",
                    version.as_str(),
                    spoken.as_str()
                ),
            )),
            _ => {
                if session.take_revival() {
                    self.tell_revived(&session);
                }
                Ok(session)
            }
        }
    }

    /// What a session had subscribed to is not in its id. So a client whose session begins anew hears
    /// that resources are other ones, as it does when a reload ends subscriptions.
    fn tell_revived(&self, session: &Session) {
        let catalogue = self.gateway().catalogue_at(self.endpoint());
        let has = |feature| !catalogue.entries(feature).is_empty();
        // While servers start nobody knows what there is.
        let may_have = self.inner.is_held();
        if may_have || has(Feature::Resource) || has(Feature::ResourceTemplate) {
            tell(&session.client, &Topic::Resources, &RawJson::empty_object());
        }
    }

    fn style(&self, session: &Session) -> Style {
        Style {
            keep_alive: self.config().keep_alive,
            revision: session.client.revision,
            closing: self.inner.closing.clone(),
            until: None,
        }
        .polled(self.config().sessions.poll_after)
    }

    /// Sees to it that sessions and what is kept for them go when their time is over, though nobody
    /// asks for them.
    fn keep_swept(&self) {
        if !self.inner.sessions.needs_sweeper() {
            return;
        }
        let engine = Arc::downgrade(&self.inner);
        let pause = self.inner.sessions.sweep_interval();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(engine) = engine.upgrade() else {
                    break;
                };
                if !engine.sessions.sweep() {
                    break;
                }
            }
        });
    }
}

fn no_session() -> RpcError {
    RpcError::with_status(
        400,
        code::INVALID_REQUEST,
        "Bad request: `Mcp-Session-Id` is missing. Send `initialize` first, or speak protocol \
         revision 2026-07-28, which needs no session.",
    )
}

/// Not 404: that would tell the client that its session has ended.
fn unknown_event() -> RpcError {
    RpcError::with_status(
        400,
        code::INVALID_REQUEST,
        "Bad request: nothing is kept for this `Last-Event-ID`. Its stream is over, or was too long \
         ago; GET without it opens a stream for what comes.",
    )
}

fn refused(refusal: SessionRefusal) -> RpcError {
    match refusal {
        SessionRefusal::Full => RpcError::with_status(
            503,
            code::GATEWAY_UNAVAILABLE,
            "Too many sessions are open. Try again later, or speak protocol revision 2026-07-28, \
             which needs no session.",
        ),
        SessionRefusal::NoRandomness => RpcError::with_status(
            503,
            code::GATEWAY_UNAVAILABLE,
            "No session can be opened now.",
        ),
        SessionRefusal::TooLarge => RpcError::with_status(
            400,
            code::INVALID_PARAMS,
            "Invalid params: `capabilities` are too long for a session; about 2000 bytes fit",
        ),
        SessionRefusal::Unknown => RpcError::with_status(
            404,
            code::INVALID_REQUEST,
            "Session not found: it has ended, or never was. Send `initialize` to begin a new one.",
        ),
    }
}
