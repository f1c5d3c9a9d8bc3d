//! Streamable HTTP, as every supported revision defines it: which header must say what, which
//! status an answer has, when an answer is a stream. It reads requests and makes replies; the
//! server that carries them is somebody else's.

mod feed;
pub(crate) mod headers;
pub(crate) mod journal;
mod legacy;
mod reply;
mod sse;
mod stream;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use mcp_gw_core::jsonrpc::{Message, Request};
use mcp_gw_core::{
    Caller, ErrorClass, Feature, ForeignParams, HttpFacts, Incoming, LimitReport, RawJson,
    RequestMeta, ToolCall, ToolSpec, Transport,
};

pub use reply::{HttpBody, HttpReply, LIMIT_HEADERS, limit_headers};

use crate::batch;
use crate::engine::Engine;
use crate::exchange::{Answer, Peer};
use crate::operation::{self, Meta, Operation, modern_revision};
use crate::revision::Revision;
use crate::rpc_error::RpcError;
use headers::SESSION_ID;
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
    /// The HTTP request, for policy.
    pub http: Option<Arc<dyn HttpFacts>>,
    /// How the client stands with the limits that were asked already, and will with those to come.
    pub limits: LimitReport,
}

impl HttpPeer {
    /// A request of this caller.
    pub fn new(caller: Arc<Caller>, request_id: String, client_addr: Option<IpAddr>) -> Self {
        Self {
            caller,
            request_id,
            client_addr,
            http: None,
            limits: LimitReport::new(),
        }
    }

    /// Sets the HTTP request.
    #[must_use]
    pub fn with_http(mut self, http: Arc<dyn HttpFacts>) -> Self {
        self.http = Some(http);
        self
    }

    /// Goes on with the report of [`Engine::admit_address`].
    #[must_use]
    pub fn with_limits(mut self, limits: LimitReport) -> Self {
        self.limits = limits;
        self
    }
}

/// Whether this request can be an MCP message at all, judged before its body is read.
/// If not, the reply to send instead: 405 for methods that are not served, 406 and 415 for media
/// types and encodings.
pub fn preflight(method: &Method, headers: &HeaderMap) -> Option<HttpReply> {
    let is_modern = headers::names_modern(headers);
    match *method {
        Method::POST => headers::check_accept(headers)
            .or_else(|| headers::check_content_type(headers))
            .or_else(|| headers::check_content_encoding(headers)),
        Method::GET if !is_modern => headers::check_accept_events(headers),
        Method::DELETE if !is_modern => None,
        Method::GET | Method::DELETE => Some(not_allowed(
            "Send MCP messages with POST: from protocol revision 2026-07-28 on there is nothing else.",
            "POST",
        )),
        _ => Some(not_allowed(
            "Send MCP messages with POST, open a stream with GET, end a session with DELETE.",
            "GET, POST, DELETE",
        )),
    }
}

fn not_allowed(says: &str, allow: &str) -> HttpReply {
    HttpReply::text(StatusCode::METHOD_NOT_ALLOWED, says).with_header(http::header::ALLOW, allow)
}

impl Engine {
    /// Answers a POST: one JSON-RPC message, or several in a session of 2025-03-26.
    ///
    /// Dropping the returned future, or the stream in the reply, means that the client is gone.
    /// From 2026-07-28 on that cancels the request; before, the work goes on.
    pub async fn post(&self, headers: &HeaderMap, body: Bytes, peer: HttpPeer) -> HttpReply {
        let limits = peer.limits.clone();
        let reply = self.posted(headers, body, peer).await;
        reply.with_limits(&limits)
    }

    /// Charges a request of a client at `addr` to the limits on addresses, before anybody knows who it
    /// is from: guessing keys costs as much as having one. `None` is an address that nobody knows.
    ///
    /// # Errors
    /// The reply to send instead: 429, or 503 when limits cannot be checked.
    pub async fn admit_address(&self, addr: Option<IpAddr>) -> Result<LimitReport, HttpReply> {
        let limits = LimitReport::new();
        self.admit_address_to(addr, &limits).await.map(|()| limits)
    }

    /// The same, told to a report that is there already: for answers to requests that never become a
    /// message.
    ///
    /// # Errors
    /// As for [`Engine::admit_address`].
    pub async fn admit_address_to(
        &self,
        addr: Option<IpAddr>,
        limits: &LimitReport,
    ) -> Result<(), HttpReply> {
        let admitted = self.gateway().admit_address(addr, limits).await;
        admitted.map_err(|error| {
            let status = match error.class() {
                ErrorClass::Limited => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            HttpReply::refusal(status, &error)
                .with_retry_after(error.retry_after().unwrap_or(AGAIN))
                .with_limits(limits)
        })
    }

    /// Charges a request of a known client that is answered with `reply` before anybody reads it as a
    /// message, such as one that is too large: the reply to send, which is another one when a limit is
    /// reached.
    pub async fn unread(&self, peer: &HttpPeer, reply: HttpReply) -> HttpReply {
        let reply = match Invalid::of(peer).charge(self).await {
            Ok(()) => reply,
            Err(error) => error.reply(None),
        };
        reply.with_limits(&peer.limits)
    }

    async fn posted(&self, headers: &HeaderMap, body: Bytes, peer: HttpPeer) -> HttpReply {
        // What is refused before its work begins was charged to nobody yet.
        let invalid = Invalid::of(&peer);
        let (error, id) = if batch::is_array(&body) {
            match self.batch(headers, &body, peer).await {
                Ok(reply) => return reply,
                Err(error) => (error, None),
            }
        } else {
            match self.posted_one(headers, &body, peer).await {
                Ok(reply) => return reply,
                Err(refused) => refused,
            }
        };
        let error = invalid.charge(self).await.err().unwrap_or(error);
        error.reply(id.as_ref())
    }

    /// Answers one message; or says what is wrong with it, and its id.
    async fn posted_one(
        &self,
        headers: &HeaderMap,
        body: &Bytes,
        peer: HttpPeer,
    ) -> Result<HttpReply, (RpcError, Option<RawJson>)> {
        let unnamed = |error| (error, None);
        match Message::parse(body) {
            Err(error) => Err((
                RpcError::with_status(400, error.code, &error.message),
                error.id,
            )),
            Ok(Message::Request(request)) => {
                let reply = self.request(headers, &request, body, peer).await;
                reply.map_err(|error| (error, Some(RawJson::within(body, request.id))))
            }
            Ok(Message::Notification(notification)) => self
                .notification(headers, &notification, &peer)
                .map_err(unnamed),
            Ok(Message::Response(response)) => self
                .response(headers, &response, body, &peer)
                .map_err(unnamed),
            Ok(_) => Ok(HttpReply::empty(StatusCode::ACCEPTED)),
        }
    }

    /// Answers a GET: a stream of what belongs to no request of a session, or the rest of one that
    /// broke off (`Last-Event-ID`).
    ///
    /// It ends with the session, when another GET takes over, and with [`Engine::wind_down`]. An id that
    /// nothing is kept for is refused with 400, as 404 would end the session; the stream that belongs
    /// to no request goes on after any of its ids.
    pub fn get(&self, headers: &HeaderMap, peer: &HttpPeer) -> HttpReply {
        self.open_stream(headers, peer)
            .unwrap_or_else(|error| error.reply(None))
            .with_limits(&peer.limits)
    }

    /// Answers a DELETE: the end of a session.
    pub fn delete(&self, headers: &HeaderMap, peer: &HttpPeer) -> HttpReply {
        self.end_session(headers, peer)
            .unwrap_or_else(|error| error.reply(None))
            .with_limits(&peer.limits)
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
        } else if request.method == "initialize" {
            self.initialize(headers, request, body, peer).await
        } else {
            self.in_session(headers, request, body, peer).await
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
        if request.method == "initialize" {
            // There is no handshake in this revision, whatever else the request says.
            let newest = Revision::NEWEST;
            return Err(RpcError::method_not_found("initialize", newest));
        }
        headers::check_version(headers, meta)?;
        let revision = modern_revision(meta)?;
        headers::check_method(headers, request)?;
        let id = RawJson::within(body, request.id);
        let mut peer = self.peer(peer, revision);
        let parsed = operation::parse(request, body, revision)?;
        let foreign = match &parsed.operation {
            Operation::CallTool(call) => self.check_params(headers, call, &peer).await?,
            operation if operation.is_use() => headers::foreign_params(headers, &[])?,
            _ => ForeignParams::new(),
        };
        peer.meta = peer.meta.with_foreign_params(foreign);
        let exchange = self.begin_parsed(parsed, id, peer, None)?;
        Ok(stream::reply(exchange, self.config().keep_alive).await)
    }

    /// Holds a call to the headers that its tool asks for, as this gateway published the tool; the
    /// others of their kind are for the server.
    async fn check_params(
        &self,
        headers: &HeaderMap,
        call: &ToolCall,
        peer: &Peer,
    ) -> Result<ForeignParams, RpcError> {
        let catalogue = self.gateway().catalogue_at(self.endpoint());
        let entry = catalogue.find(Feature::Tool, &call.name);
        let tool = entry.and_then(|entry| entry.tool.as_ref());
        let marked = match tool.map(ToolSpec::param_headers) {
            Some(Ok(marked)) if !marked.is_empty() => marked,
            _ => return headers::foreign_params(headers, &[]),
        };
        // For who may not see the tool a mismatch would tell that it exists.
        let incoming = Incoming::new(Arc::clone(&peer.caller), peer.meta.clone());
        let gateway = self.gateway();
        if !gateway.may_see(&incoming, Feature::Tool, &call.name).await {
            return headers::foreign_params(headers, &[]);
        }
        headers::check_params(headers, marked, call.arguments.as_raw())?;
        headers::foreign_params(headers, marked)
    }

    fn peer(&self, peer: HttpPeer, revision: Revision) -> Peer {
        Peer {
            caller: peer.caller,
            meta: RequestMeta::new(peer.request_id, Transport::Http)
                .with_client_addr(peer.client_addr)
                .with_http(peer.http)
                .with_limit_report(peer.limits)
                .with_endpoint(self.endpoint.clone()),
            revision,
            client: None,
            stopping: self.inner.stopping.clone(),
            closing: self.inner.closing.clone(),
        }
    }
}

/// Whom a message is charged to that cannot be begun.
struct Invalid {
    caller: Arc<Caller>,
    client_addr: Option<IpAddr>,
    limits: LimitReport,
}

impl Invalid {
    fn of(peer: &HttpPeer) -> Self {
        Self {
            caller: Arc::clone(&peer.caller),
            client_addr: peer.client_addr,
            limits: peer.limits.clone(),
        }
    }

    /// # Errors
    /// What to say instead: a limit is reached.
    async fn charge(&self, engine: &Engine) -> Result<(), RpcError> {
        let meta = RequestMeta::new(engine.next_request_id(), Transport::Http)
            .with_client_addr(self.client_addr)
            .with_limit_report(self.limits.clone());
        engine.charge_invalid(&self.caller, meta).await
    }
}

/// When to try again while limits cannot be checked.
const AGAIN: Duration = Duration::from_secs(5);

impl RpcError {
    pub(crate) fn reply(&self, id: Option<&RawJson>) -> HttpReply {
        HttpReply::answer(Answer::error(id, self))
    }
}

/// The era of a request (both eras share one endpoint). What the body says counts; a header alone
/// is enough to hold the request to the rules of its revision.
fn is_modern(headers: &HeaderMap, request: &Request<'_>, meta: &Meta<'_>) -> bool {
    let shakes_hands =
        request.method == "initialize" && request.params.get("protocolVersion").is_some();
    if shakes_hands {
        return headers::names_modern(headers);
    }
    meta.get(key::PROTOCOL_VERSION).is_some()
        || headers::names_modern(headers)
        || request.method == "server/discover"
}

/// The header that names the session, for carriers that must let browsers read it.
pub const SESSION_ID_HEADER: &str = SESSION_ID;

#[cfg(test)]
mod tests;
