//! Streamable HTTP, as every supported revision defines it: which header must say what, which
//! status an answer has, when an answer is a stream. It reads requests and makes replies; the
//! server that carries them is somebody else's.

pub(crate) mod headers;
mod reply;
mod stream;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use mcp_gw_core::jsonrpc::{Message, Notification, Request};
use mcp_gw_core::{
    Caller, Feature, Incoming, RawJson, RequestMeta, ToolCall, ToolSpec, Transport, code,
};

pub use reply::{HttpBody, HttpReply};

use crate::engine::Engine;
use crate::exchange::{Answer, Peer, cancelled_id};
use crate::operation::{self, Meta, Operation, modern_revision};
use crate::revision::Revision;
use crate::rpc_error::RpcError;
use crate::session::SessionRefusal;
use headers::{SESSION_ID, one};
use mcp_gw_core::meta_key as key;

/// What the carrier of a request knows beside its headers and body.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpPeer {
    /// The caller, authenticated for this very request.
    pub caller: Arc<Caller>,
    /// Id of the request, see [`Engine::next_request_id`].
    pub request_id: String,
    /// Address of the client, after trusted proxies.
    pub client_addr: Option<IpAddr>,
}

impl HttpPeer {
    /// A request of this caller.
    pub fn new(caller: Arc<Caller>, request_id: String, client_addr: Option<IpAddr>) -> Self {
        Self {
            caller,
            request_id,
            client_addr,
        }
    }
}

/// Whether this request can be an MCP message at all, judged before its body is read.
/// If not, the reply to send instead: 405 for methods that are not served, 406 and 415 for media
/// types.
pub fn preflight(method: &Method, headers: &HeaderMap) -> Option<HttpReply> {
    match *method {
        Method::POST => {
            headers::check_accept(headers).or_else(|| headers::check_content_type(headers))
        }
        Method::DELETE => None,
        _ => Some(
            HttpReply::text(
                StatusCode::METHOD_NOT_ALLOWED,
                "Send MCP messages with POST; end a session with DELETE. There is no GET stream.",
            )
            .with_header(http::header::ALLOW, "POST, DELETE"),
        ),
    }
}

impl Engine {
    /// Answers a POST: one JSON-RPC message.
    ///
    /// Dropping the returned future, or the stream in the reply, means that the client is gone.
    /// From 2026-07-28 on that cancels the request; before, the work goes on.
    pub async fn post(&self, headers: &HeaderMap, body: Bytes, peer: HttpPeer) -> HttpReply {
        let outcome = match Message::parse(&body) {
            Err(error) => {
                Err(RpcError::with_status(400, error.code, &error.message).reply(error.id.as_ref()))
            }
            Ok(Message::Request(request)) => {
                let id = RawJson::within(&body, request.id);
                self.request(headers, &request, &body, peer)
                    .await
                    .map_err(|f| f.reply(Some(&id)))
            }
            Ok(Message::Notification(notification)) => self
                .notification(headers, &notification, &peer)
                .map_err(|f| f.reply(None)),
            // Nothing was asked of the client, so there is nobody to take the answer.
            Ok(_) => self.response(headers, &peer).map_err(|f| f.reply(None)),
        };
        outcome.unwrap_or_else(|reply| reply)
    }

    /// Answers a DELETE: the end of a session.
    pub fn delete(&self, headers: &HeaderMap, peer: &HttpPeer) -> HttpReply {
        match one(headers, SESSION_ID) {
            Ok(Some(id)) if self.inner.sessions.close(id, &peer.caller) => {
                HttpReply::empty(StatusCode::NO_CONTENT)
            }
            Ok(Some(_)) => unknown_session().reply(None),
            Ok(None) => no_session().reply(None),
            Err(error) => error.reply(None),
        }
    }

    async fn request(
        &self,
        headers: &HeaderMap,
        request: &Request<'_>,
        body: &Bytes,
        peer: HttpPeer,
    ) -> Result<HttpReply, RpcError> {
        let meta = Meta::of(&request.params).map_err(|error| {
            // Wrong params are the business of JSON-RPC before 2026-07-28, and of HTTP from then on.
            let status = if headers::names_modern(headers) {
                400
            } else {
                200
            };
            RpcError { status, ..error }
        })?;
        if is_modern(headers, request, &meta) {
            self.modern(headers, request, body, peer, &meta).await
        } else {
            self.legacy(headers, request, body, peer).await
        }
    }

    /// A request that says everything about itself (2026-07-28).
    async fn modern(
        &self,
        headers: &HeaderMap,
        request: &Request<'_>,
        body: &Bytes,
        peer: HttpPeer,
        meta: &Meta<'_>,
    ) -> Result<HttpReply, RpcError> {
        headers::check_version(headers, meta)?;
        let revision = modern_revision(meta)?;
        headers::check_method(headers, request)?;
        let id = RawJson::within(body, request.id);
        let peer = self.peer(peer, revision);
        let parsed = operation::parse(request, body, revision)?;
        if let Operation::CallTool(call) = &parsed.operation {
            self.check_params(headers, call, &peer).await?;
        }
        let exchange = self.begin_parsed(parsed, id, peer, None)?;
        Ok(stream::reply(exchange, self.config().keep_alive).await)
    }

    /// Holds a call to the headers that its tool asks for, as this gateway published the tool.
    async fn check_params(
        &self,
        headers: &HeaderMap,
        call: &ToolCall,
        peer: &Peer,
    ) -> Result<(), RpcError> {
        let catalogue = self.gateway().catalogue();
        let entry = catalogue.find(Feature::Tool, &call.name);
        let tool = entry.and_then(|entry| entry.tool.as_ref());
        let Some(Ok(marked)) = tool.map(ToolSpec::param_headers) else {
            return Ok(());
        };
        if marked.is_empty() {
            return Ok(());
        }
        // For who may not see the tool a mismatch would tell that it exists.
        let incoming = Incoming::new(Arc::clone(&peer.caller), peer.meta.clone());
        if self
            .gateway()
            .may_see(&incoming, Feature::Tool, &call.name)
            .await
        {
            headers::check_params(headers, marked, call.arguments.as_raw())?;
        }
        Ok(())
    }

    /// A request that relies on a handshake (2025-03-26 to 2025-11-25).
    async fn legacy(
        &self,
        headers: &HeaderMap,
        request: &Request<'_>,
        body: &Bytes,
        peer: HttpPeer,
    ) -> Result<HttpReply, RpcError> {
        let asked = headers::legacy_version(headers)?;
        if request.method == "initialize" {
            return self.initialize(request, body, peer).await;
        }
        let Some(id) = one(headers, SESSION_ID)? else {
            return Err(no_session());
        };
        let session = self
            .inner
            .sessions
            .find(id, &peer.caller)
            .ok_or_else(unknown_session)?;
        let peer = Peer {
            client_info: session.client_info.clone(),
            client_capabilities: session.client_capabilities.clone(),
            ..self.peer(peer, asked.unwrap_or(session.revision))
        };
        let exchange = self.begin(request, body, peer, Some(&session.in_flight))?;
        // Going away does not cancel in these revisions: the work is not the connection's.
        Ok(stream::reply(
            exchange.detached(&self.inner.detached),
            self.config().keep_alive,
        )
        .await)
    }

    async fn initialize(
        &self,
        request: &Request<'_>,
        body: &Bytes,
        peer: HttpPeer,
    ) -> Result<HttpReply, RpcError> {
        let id = RawJson::within(body, request.id);
        let parsed = operation::parse(request, body, Revision::NEWEST_LEGACY)?;
        let Operation::Initialize { asked } = &parsed.operation else {
            return Err(RpcError::new(code::INTERNAL_ERROR, "Internal error"));
        };
        let revision = Revision::negotiate(asked);
        let session = self
            .inner
            .sessions
            .open(
                Arc::clone(&peer.caller),
                revision,
                parsed.client_info.clone(),
                parsed.client_capabilities.clone(),
            )
            .map_err(refused)?;
        let exchange = self.begin_parsed(parsed, id, self.peer(peer, revision), None)?;
        let reply = stream::reply(exchange, self.config().keep_alive).await;
        Ok(reply.with_header(SESSION_ID, &session))
    }

    fn peer(&self, peer: HttpPeer, revision: Revision) -> Peer {
        Peer {
            caller: peer.caller,
            meta: RequestMeta::new(peer.request_id, Transport::Http)
                .with_client_addr(peer.client_addr),
            revision,
            client_info: None,
            client_capabilities: None,
            stopping: self.inner.stopping.clone(),
        }
    }

    fn notification(
        &self,
        headers: &HeaderMap,
        notification: &Notification<'_>,
        peer: &HttpPeer,
    ) -> Result<HttpReply, RpcError> {
        if headers::names_modern(headers) {
            // None is defined for clients over HTTP from 2026-07-28 on, and none does harm.
            return Ok(HttpReply::empty(StatusCode::ACCEPTED));
        }
        headers::legacy_version(headers)?;
        let Some(id) = one(headers, SESSION_ID)? else {
            return Err(no_session());
        };
        let session = self
            .inner
            .sessions
            .find(id, &peer.caller)
            .ok_or_else(unknown_session)?;
        if notification.method == "notifications/cancelled"
            && let Some(id) = cancelled_id(&notification.params)
        {
            session.in_flight.cancel(id);
        }
        Ok(HttpReply::empty(StatusCode::ACCEPTED))
    }

    fn response(&self, headers: &HeaderMap, peer: &HttpPeer) -> Result<HttpReply, RpcError> {
        if headers::names_modern(headers) {
            return Err(RpcError::with_status(
                400,
                code::INVALID_REQUEST,
                "Invalid request: clients of this protocol revision do not POST responses",
            ));
        }
        headers::legacy_version(headers)?;
        let Some(id) = one(headers, SESSION_ID)? else {
            return Err(no_session());
        };
        match self.inner.sessions.find(id, &peer.caller) {
            Some(_) => Ok(HttpReply::empty(StatusCode::ACCEPTED)),
            None => Err(unknown_session()),
        }
    }
}

impl RpcError {
    pub(crate) fn reply(&self, id: Option<&RawJson>) -> HttpReply {
        HttpReply::answer(&Answer::error(id, self))
    }
}

/// The era of a request (both eras share one endpoint). What the body says counts; a header alone
/// is enough to hold the request to the rules of its revision.
fn is_modern(headers: &HeaderMap, request: &Request<'_>, meta: &Meta<'_>) -> bool {
    let shakes_hands =
        request.method == "initialize" && request.params.get("protocolVersion").is_some();
    if shakes_hands {
        return false;
    }
    meta.get(key::PROTOCOL_VERSION).is_some()
        || headers::names_modern(headers)
        || request.method == "server/discover"
}

fn no_session() -> RpcError {
    RpcError::with_status(
        400,
        code::INVALID_REQUEST,
        "Bad request: `Mcp-Session-Id` is missing. Send `initialize` first, or speak protocol \
         revision 2026-07-28, which needs no session.",
    )
}

fn unknown_session() -> RpcError {
    RpcError::with_status(
        404,
        code::INVALID_REQUEST,
        "Session not found: it has ended, or never was. Send `initialize` to begin a new one.",
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
    }
}

/// The header that names the session, for carriers that must let browsers read it.
pub const SESSION_ID_HEADER: &str = SESSION_ID;
