//! What a call carries along: facts about the request, the way back to the client, the permit.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;

use crate::audit::ApiExchange;
use crate::caller::Caller;
use crate::cancel::CancelReason;
use crate::json::{ObjectWriter, RawJson};
use crate::limit::LimitReport;
use crate::log_level::LogLevel;
use crate::param_header::ForeignParams;
use crate::policy::Decision;
use crate::wire_facts::{HttpFacts, TlsFacts};
use crate::wording::Wording;

/// How a caller is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Transport {
    /// Standard input and output of a process that the caller started.
    Stdio,
    /// Streamable HTTP.
    Http,
    /// A Rust program that embeds the gateway.
    #[default]
    InProcess,
}

impl Transport {
    /// The name used in audit events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
            Self::InProcess => "in_process",
        }
    }
}

/// Names what a client keeps open between its requests: a session over HTTP that began with
/// `initialize`, a connection over stdio. Unique in a run of the gateway, and no secret: it is not
/// the id that clients send.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(Arc<str>);

impl SessionKey {
    /// A key; whoever makes one sees to it that there is no other of the same text.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Self(key.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Facts about one request that are neither identity nor payload.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RequestMeta {
    /// Id under which this request is logged and audited.
    pub request_id: Arc<str>,
    /// How the caller is connected.
    pub transport: Transport,
    /// Address of the client, after trusted proxies.
    pub client_addr: Option<IpAddr>,
    /// MCP revision that the client speaks, such as `2025-11-25`.
    pub protocol_version: Option<&'static str>,
    /// The client's `Implementation` object (`name`, `version`): its own words, not identity.
    pub client_info: Option<RawJson>,
    /// The client's `ClientCapabilities` object for this request.
    pub client_capabilities: Option<RawJson>,
    /// Headers that the configuration lets policy and tools see; names in lower case.
    pub headers: Vec<(String, String)>,
    /// `traceparent` of W3C Trace Context, from `_meta` or the header.
    pub traceparent: Option<String>,
    /// The endpoint that the request came to; `None` is the main one.
    pub endpoint: Option<Arc<str>>,
    /// The one place of a server that may serve the request, by its label, where the server runs in
    /// several; `None` is any of them. Whoever decides where the request came to sets it, never a client.
    pub replica: Option<Arc<str>>,
    /// What the client keeps open between its requests; clients of revisions from 2026-07-28 on
    /// keep nothing.
    pub session: Option<SessionKey>,
    /// The least level of log messages that the client wants to be told during this request.
    pub log_level: Option<LogLevel>,
    /// What the client can be asked for while one of its calls runs, this request or another: what
    /// [`ClientLink::capabilities`] says there.
    pub askable: Option<RawJson>,
    /// The HTTP request, where there is one.
    pub http: Option<Arc<dyn HttpFacts>>,
    /// What TLS showed of the client, where the gateway speaks it.
    pub tls: Option<Arc<TlsFacts>>,
    /// When the request arrived.
    pub received: Option<SystemTime>,
    /// Headers that repeat arguments of which the gateway does not know, for servers behind it.
    pub foreign_params: ForeignParams,
    /// Filled with how the caller stands with the limits, for who answers.
    pub limit_report: Option<LimitReport>,
}

impl RequestMeta {
    /// Meta of a request with this id.
    pub fn new(request_id: impl Into<Arc<str>>, transport: Transport) -> Self {
        Self {
            request_id: request_id.into(),
            transport,
            ..Self::default()
        }
    }

    /// Sets the client's address.
    #[must_use]
    pub fn with_client_addr(mut self, addr: Option<IpAddr>) -> Self {
        self.client_addr = addr;
        self
    }

    /// Sets the revision that the client speaks.
    #[must_use]
    pub fn with_protocol_version(mut self, version: &'static str) -> Self {
        self.protocol_version = Some(version);
        self
    }

    /// Sets what the client says of itself.
    #[must_use]
    pub fn with_client(mut self, info: Option<RawJson>, capabilities: Option<RawJson>) -> Self {
        self.client_info = info;
        self.client_capabilities = capabilities;
        self
    }

    /// Sets the headers that policy and tools may see.
    #[must_use]
    pub fn with_headers(mut self, headers: Vec<(String, String)>) -> Self {
        self.headers = headers;
        self
    }

    /// Wants to know how the caller stands with the limits.
    #[must_use]
    pub fn with_limit_report(mut self, report: LimitReport) -> Self {
        self.limit_report = Some(report);
        self
    }

    /// Sets the endpoint that the request came to.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: Option<Arc<str>>) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// Sets the one place of a server that may serve the request.
    #[must_use]
    pub fn with_replica(mut self, replica: Option<Arc<str>>) -> Self {
        self.replica = replica;
        self
    }

    /// Sets what the client keeps open between its requests.
    #[must_use]
    pub fn with_session(mut self, session: Option<SessionKey>) -> Self {
        self.session = session;
        self
    }

    /// Sets the least level of log messages that the client wants.
    #[must_use]
    pub const fn with_log_level(mut self, log_level: Option<LogLevel>) -> Self {
        self.log_level = log_level;
        self
    }

    /// Sets what the client can be asked for while one of its calls runs.
    #[must_use]
    pub fn with_askable(mut self, askable: Option<RawJson>) -> Self {
        self.askable = askable;
        self
    }

    /// Sets the HTTP request.
    #[must_use]
    pub fn with_http(mut self, http: Option<Arc<dyn HttpFacts>>) -> Self {
        self.http = http;
        self
    }

    /// Sets what TLS showed of the client.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Arc<TlsFacts>>) -> Self {
        self.tls = tls;
        self
    }

    /// Sets when the request arrived.
    #[must_use]
    pub const fn with_received(mut self, received: Option<SystemTime>) -> Self {
        self.received = received;
        self
    }

    /// Sets the headers that repeat arguments of which the gateway does not know.
    #[must_use]
    pub fn with_foreign_params(mut self, headers: ForeignParams) -> Self {
        self.foreign_params = headers;
        self
    }

    /// Sets the trace context.
    #[must_use]
    pub fn with_traceparent(mut self, traceparent: Option<String>) -> Self {
        self.traceparent = traceparent;
        self
    }
}

/// A message from a backend to the client that belongs to the call in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallNotification {
    /// `notifications/progress`: its `params` without `progressToken`, which belongs to the hop.
    Progress(RawJson),
    /// `notifications/message` (logging): its `params`.
    Log(RawJson),
    /// Any other notification that the backend sent while it worked on this call.
    Other {
        /// Its method.
        method: String,
        /// Its `params`.
        params: RawJson,
    },
}

/// Why a request to the client got no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientLinkError {
    /// The client did not declare that it can serve this, or the transport has no way to ask.
    #[error("the client cannot be asked for {method}")]
    Unsupported {
        /// The method that was asked for.
        method: String,
    },
    /// The client answered with a JSON-RPC error object.
    #[error("the client answered with an error")]
    Rpc(RawJson),
    /// The client went away.
    #[error("the client is gone")]
    Gone,
}

/// The way from a call back to the client that made it.
///
/// Called by backends and tools through [`CallContext`]. [`ClientLink::notify`] must not block: a
/// client that does not read loses notifications, it does not hold up the call.
#[async_trait]
pub trait ClientLink: Send + Sync + 'static {
    /// Sends a notification that belongs to this call.
    fn notify(&self, notification: CallNotification);

    /// True when the client asked for progress on this call.
    fn wants_progress(&self) -> bool;

    /// What the client can be asked for by way of this link while the call runs: a
    /// `ClientCapabilities` object (MCP client/sampling, client/elicitation, client/roots). A backend
    /// declares no more than this to its server. `None`: nothing.
    fn capabilities(&self) -> Option<RawJson> {
        None
    }

    /// True when the client understands a result that asks for input (`resultType:
    /// input_required`, MCP 2026-07-28). For others the gateway asks by [`ClientLink::request`] and
    /// calls again with the answers.
    fn accepts_input_requests(&self) -> bool {
        true
    }

    /// Says that the answer is of a server of a revision before 2026-07-28, as the client is: what looks
    /// like a member of that revision (`resultType`, say) means nothing there, and nobody acts on it. Said by backends, before they hand the answer on.
    fn mark_plain(&self) {}

    /// True after [`ClientLink::mark_plain`].
    fn is_plain(&self) -> bool {
        false
    }

    /// True when the client can be told this result. A request for input, for example, means
    /// nothing to clients of revisions before 2026-07-28.
    fn accepts(&self, result: &RawJson) -> bool {
        let _ = result;
        true
    }

    /// Why the client cannot be told this result: a clause whose subject is the result, without a full
    /// stop, for the client. `None` when it can.
    fn objection(&self, result: &RawJson) -> Option<String> {
        let is_told = self.accepts(result);
        (!is_told).then(|| "it is not what the client declared that it understands".to_owned())
    }

    /// The same about the answer to a request about a task, which says what the task asks for without
    /// being a request for input itself (extension `io.modelcontextprotocol/tasks`). It is asked beside
    /// [`ClientLink::objection`].
    fn objection_to_task(&self, answer: &RawJson) -> Option<String> {
        let _ = answer;
        None
    }

    /// How long the call has waited so far for the client to answer what [`ClientLink::request`] asked.
    /// A limit on the work of a backend leaves it out: people think longer than servers work.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// Sends a request to the client (`sampling/createMessage`, `elicitation/create`,
    /// `roots/list`) and waits for its result. Cancelled by dropping the future.
    ///
    /// # Errors
    /// When the client cannot be asked, is gone, or answers with an error.
    async fn request(&self, method: &str, params: RawJson) -> Result<RawJson, ClientLinkError>;

    /// The same for who may take the request back: when the future is dropped after `taken_back` was
    /// set, the client is told that reason, where it is told of the end at all.
    ///
    /// # Errors
    /// Those of [`ClientLink::request`].
    async fn ask(
        &self,
        method: &str,
        params: RawJson,
        taken_back: &CancelReason,
    ) -> Result<RawJson, ClientLinkError> {
        let _ = taken_back;
        self.request(method, params).await
    }

    /// Why the client has given the call up, once it has and if it said so: a JSON string, the
    /// `reason` of its `notifications/cancelled`. Looked at by who passes that on when the call is
    /// dropped.
    fn cancel_reason(&self) -> Option<RawJson> {
        None
    }
}

/// A link to nobody: notifications vanish, requests are unsupported.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct NoClient;

impl NoClient {
    /// A link to nobody.
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl ClientLink for NoClient {
    fn notify(&self, _notification: CallNotification) {}

    fn wants_progress(&self) -> bool {
        false
    }

    async fn request(&self, method: &str, _params: RawJson) -> Result<RawJson, ClientLinkError> {
        Err(ClientLinkError::Unsupported {
            method: method.to_owned(),
        })
    }
}

/// One request on its way in: who asks, what is known about it, and the way back.
#[derive(Clone)]
#[non_exhaustive]
pub struct Incoming {
    /// Who asks.
    pub caller: Arc<Caller>,
    /// Facts about the request.
    pub meta: Arc<RequestMeta>,
    /// The way back to the client.
    pub link: Arc<dyn ClientLink>,
}

impl Incoming {
    /// A request of `caller` that nobody waits for with progress.
    pub fn new(caller: impl Into<Arc<Caller>>, meta: impl Into<Arc<RequestMeta>>) -> Self {
        Self {
            caller: caller.into(),
            meta: meta.into(),
            link: Arc::new(NoClient::new()),
        }
    }

    /// Sets the way back to the client.
    #[must_use]
    pub fn with_link(mut self, link: Arc<dyn ClientLink>) -> Self {
        self.link = link;
        self
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("caller", &self.caller)
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

/// What tells one client from another for a backend that keeps connections of their own for some.
///
/// It proves nothing and permits nothing: no call is made with it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientRef {
    /// Who it is.
    pub caller: Arc<Caller>,
    /// What it keeps open between its requests; clients of revisions from 2026-07-28 on keep
    /// nothing.
    pub session: Option<SessionKey>,
    /// What it can be asked for while one of its calls runs: a `ClientCapabilities` object.
    pub capabilities: Option<RawJson>,
    /// The least level of log messages that it wants.
    pub log_level: Option<LogLevel>,
    /// How it is connected.
    pub transport: Transport,
}

impl ClientRef {
    /// The client of a request.
    pub fn of(incoming: &Incoming) -> Self {
        let meta = &incoming.meta;
        let capabilities = incoming.link.capabilities();
        Self {
            caller: Arc::clone(&incoming.caller),
            session: meta.session.clone(),
            capabilities: capabilities.or_else(|| meta.askable.clone()),
            log_level: meta.log_level,
            transport: meta.transport,
        }
    }
}

/// Proof that the policy allowed this very call.
///
/// Only the pipeline makes one, and a [`CallContext`], without which no backend and no tool can be
/// called, is made only from one. It cannot be cloned or kept.
///
/// ```compile_fail
/// let permit = mcp_gw_core::Permit { decision: mcp_gw_core::Decision::allow() };
/// ```
/// ```compile_fail
/// fn twice(permit: mcp_gw_core::Permit) -> (mcp_gw_core::Permit, mcp_gw_core::Permit) {
///     (permit.clone(), permit)
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    decision: Decision,
}

impl Permit {
    /// Turns an allowing decision into a permit, any other into itself again.
    pub(crate) fn from_decision(decision: Decision) -> Result<Self, Decision> {
        if decision.is_allowed() {
            Ok(Self { decision })
        } else {
            Err(decision)
        }
    }

    /// The decision that it was made from.
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }
}

/// What a backend or tool knows about the call it is serving.
///
/// It is made by the pipeline from a [`Permit`]; having one means that the call was identified,
/// limited and allowed, and that it will be audited.
#[derive(Debug)]
pub struct CallContext {
    incoming: Incoming,
    permit: Permit,
    given_up: CancelReason,
    end: Mutex<Option<Instant>>,
    wording: Wording,
    told: Arc<Mutex<Option<ApiExchange>>>,
}

impl CallContext {
    pub(crate) fn new(permit: Permit, incoming: Incoming) -> Self {
        Self {
            incoming,
            permit,
            given_up: CancelReason::default(),
            end: Mutex::new(None),
            wording: Wording::default(),
            told: Arc::default(),
        }
    }

    pub(crate) fn with_wording(mut self, wording: Wording) -> Self {
        self.wording = wording;
        self
    }

    /// A text of the backend's own for the client, such as what to call next: where it names items of the
    /// backend by their own names or URIs, as words of their own, it has those that the client knows them by.
    /// Not for payload.
    pub fn in_names_of_client<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.wording.text(text)
    }

    /// Says what became of the call at an HTTP API, for the audit event. What is said before the request
    /// leaves is known also of calls that are given up.
    pub fn tell_exchange(&self, tell: impl FnOnce(&mut ApiExchange)) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        tell(told.get_or_insert_default());
    }

    /// Where that is said.
    pub(crate) fn told(&self) -> Arc<Mutex<Option<ApiExchange>>> {
        Arc::clone(&self.told)
    }

    /// When the call is given up at the latest, as far as that is known: whoever wants to tell what it did
    /// has to come back before. Time in which the client is asked something does not count, and moves it.
    pub fn end(&self) -> Option<Instant> {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says when the call is given up. Said by who limits calls, before it hands one on.
    pub fn set_end(&self, end: Instant) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.incoming.caller
    }

    /// Facts about the request.
    pub fn meta(&self) -> &RequestMeta {
        &self.incoming.meta
    }

    /// What should be served by the same connection or replica each time: the client's session, or
    /// else the caller.
    pub fn affinity(&self) -> &str {
        match &self.incoming.meta.session {
            Some(session) => session.as_str(),
            None => &self.incoming.caller.id,
        }
    }

    /// Who calls, as a backend tells clients apart.
    pub fn client(&self) -> ClientRef {
        ClientRef::of(&self.incoming)
    }

    /// The permit under which the call runs.
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The way back to the client.
    pub fn link(&self) -> &Arc<dyn ClientLink> {
        &self.incoming.link
    }

    /// Says why the call is about to be given up, on this side of the client: it took too long, say.
    /// Only the first reason counts. To be said before the future of the call is dropped.
    pub fn give_up(&self, reason: &str) {
        self.given_up.say(reason);
    }

    /// Why the call is given up, if anybody has said so: who is between, or the client. A JSON string,
    /// for the `reason` of `notifications/cancelled` to the server that works on it.
    pub fn cancel_reason(&self) -> Option<RawJson> {
        let given_up = self.given_up.get();
        given_up.or_else(|| self.incoming.link.cancel_reason())
    }

    /// Tells the client how far the work is (`notifications/progress`). Does nothing unless the
    /// client asked for progress. `progress` should grow with each call; `total` has its unit.
    pub fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        if !self.incoming.link.wants_progress() {
            return;
        }
        let number = |value: f64| RawJson::from_serialize(&value).unwrap_or_default();
        let mut params = ObjectWriter::default().raw("progress", &number(progress));
        if let Some(total) = total {
            params = params.raw("total", &number(total));
        }
        if let Some(message) = message {
            params = params.string("message", message);
        }
        self.incoming
            .link
            .notify(CallNotification::Progress(params.finish()));
    }
}
