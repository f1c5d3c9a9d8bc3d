//! One event per request: who, what, on what grounds, how it ended.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::caller::{Caller, CallerKind};
use crate::clock::{Clock, rfc3339};
use crate::context::{RequestMeta, Transport};
use crate::error::ErrorClass;
use crate::policy::{Decision, Effect, Feature, PolicyVersion, Reason, ShadowVerdict};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// With a result.
    Ok,
    /// With a result in which the tool says that it failed.
    ToolError,
    /// With an error.
    Error(ErrorClass),
    /// Credentials were missing or wrong.
    Unauthenticated,
    /// It was given up: the client cancelled or went away.
    Cancelled,
    /// It was given up because the gateway stopped.
    Stopped,
}

impl Outcome {
    /// The name used in audit events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::Error(class) => class.as_str(),
            Self::Unauthenticated => "unauthenticated",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
        }
    }
}

/// What a call came to at an HTTP API: told by the backend, for the audit event. It names neither
/// query nor headers nor bodies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiExchange {
    /// The method of the request.
    pub method: String,
    /// The path below the address of the API, at most 200 characters.
    pub path: String,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why there was none: a word such as `upstream_timeout`.
    pub code: Option<&'static str>,
    /// How often it was sent; 0 when it was refused, or the answer was known.
    pub attempts: u32,
    /// Length of the body of the answer in bytes, as far as it was read.
    pub bytes: usize,
    /// How long it took; `None` while it goes on.
    pub duration: Option<Duration>,
}

impl ApiExchange {
    /// A request that begins.
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            ..Self::default()
        }
    }
}

/// How something ended that was done to the gateway itself, beside MCP: what
/// [`Gateway::audited`](crate::Gateway::audited) records of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deed {
    /// What it was done to, such as the id of a user.
    pub name: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// For the log: why it failed.
    pub error: Option<String>,
}

impl Deed {
    /// It ended so.
    pub const fn new(outcome: Outcome) -> Self {
        Self {
            name: None,
            outcome,
            error: None,
        }
    }

    /// Says what it was done to; at most 256 characters are kept.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Says why it failed.
    #[must_use]
    pub fn with_error(mut self, error: impl Into<String>) -> Self {
        self.error = Some(error.into());
        self
    }
}

/// What happened to one request. Holds neither arguments nor results nor credentials.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditEvent {
    /// When it began.
    pub time: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// The id of the request.
    pub request_id: Arc<str>,
    /// How the caller was connected.
    pub transport: Transport,
    /// The client's address, after trusted proxies.
    pub client_addr: Option<IpAddr>,
    /// The revision that the client speaks.
    pub protocol_version: Option<&'static str>,
    /// Who asked; empty when credentials were refused.
    pub caller_id: Arc<str>,
    /// What kind of caller that is.
    pub caller_kind: CallerKind,
    /// Who says so: the issuer of a token, else empty.
    pub caller_issuer: Arc<str>,
    /// The MCP method, `authenticate`, or what was done to the gateway itself.
    pub method: &'static str,
    /// The tool, resource or prompt as the client named it, or what something was done to; at most 256
    /// characters.
    pub name: Option<Arc<str>>,
    /// True when `name` is in the catalogue. Names that are not must not become metric labels.
    pub name_known: bool,
    /// The backend that serves it.
    pub server: Option<Arc<str>>,
    /// What the policy said; `None` when it was not asked.
    pub effect: Option<Effect>,
    /// What kind of thing it was about, when the policy was asked.
    pub feature: Option<Feature>,
    /// The kind of reason, a word for metrics such as `deny_rule`; `None` when the policy gives none.
    pub reason: Option<&'static str>,
    /// Why the policy said so: ids of rules.
    pub reasons: Vec<Reason>,
    /// Which policy decided, if it has versions.
    pub policy_version: Option<PolicyVersion>,
    /// How long the policy took to decide, on all items for lists; `None` when it was not asked.
    pub policy_duration: Option<Duration>,
    /// What the policy would have said had all of it been in force, where that is something else.
    pub shadow: Option<ShadowVerdict>,
    /// Rules that could not be evaluated.
    pub errored_rules: Vec<Arc<str>>,
    /// Errors that the policy met.
    pub policy_errors: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// For the log: the error in full, or why credentials were refused.
    pub error: Option<String>,
    /// True when the request may have reached the backend: after a cancellation or a lost answer,
    /// what it did is not known.
    pub backend_asked: bool,
    /// Length of the arguments in bytes.
    pub request_bytes: usize,
    /// Length of the result in bytes.
    pub response_bytes: usize,
    /// For lists: how many items there are in the catalogue, and how many the caller may see.
    pub items: Option<(usize, usize)>,
    /// What a call came to at an HTTP API.
    pub exchange: Option<ApiExchange>,
}

/// Takes audit events.
///
/// Called once per request, from the request's own task, also while that is being dropped. It must
/// not block and must not panic: queue, and count what does not fit.
pub trait AuditSink: Send + Sync + 'static {
    /// Takes one event.
    fn record(&self, event: &AuditEvent);

    /// A request of this method has begun. [`AuditSink::record`] follows once, however it ends, so
    /// the difference of the two is what is under way.
    fn opened(&self, method: &'static str) {
        let _ = method;
    }
}

impl<T: AuditSink + ?Sized> AuditSink for Arc<T> {
    fn opened(&self, method: &'static str) {
        (**self).opened(method);
    }

    fn record(&self, event: &AuditEvent) {
        (**self).record(event);
    }
}

/// Writes each event as one `tracing` event with target `mcp_gw::audit` and level INFO.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct TracingAudit;

impl TracingAudit {
    /// Writes to `tracing`.
    pub const fn new() -> Self {
        Self
    }
}

impl AuditSink for TracingAudit {
    fn record(&self, event: &AuditEvent) {
        tracing::info!(
            target: "mcp_gw::audit",
            time = %rfc3339(event.time),
            request_id = &*event.request_id,
            caller = &*event.caller_id,
            caller_kind = event.caller_kind.as_str(),
            caller_issuer = (!event.caller_issuer.is_empty()).then_some(&*event.caller_issuer),
            transport = event.transport.as_str(),
            client_addr = event.client_addr.map(tracing::field::display),
            protocol = event.protocol_version,
            method = event.method,
            name = event.name.as_deref(),
            server = event.server.as_deref(),
            effect = event.effect.map(Effect::as_str),
            reason = event.reason,
            reasons = (!event.reasons.is_empty()).then(|| event.reasons.join(",")),
            policy_version = event.policy_version.map(tracing::field::display),
            policy_us = event.policy_duration.map(micros),
            shadow = event.shadow.as_ref().map(would),
            errored_rules = (!event.errored_rules.is_empty()).then(|| event.errored_rules.join(",")),
            policy_errors = (!event.policy_errors.is_empty()).then(|| event.policy_errors.join("; ")),
            outcome = event.outcome.as_str(),
            error = event.error.as_deref(),
            backend_asked = event.backend_asked,
            duration_us = micros(event.duration),
            request_bytes = event.request_bytes,
            response_bytes = event.response_bytes,
            items = event.items.map(|(all, _)| all),
            items_visible = event.items.map(|(_, visible)| visible),
            api_method = event.exchange.as_ref().map(|it| &*it.method),
            api_path = event.exchange.as_ref().map(|it| &*it.path),
            api_status = event.exchange.as_ref().and_then(|it| it.status),
            api_code = event.exchange.as_ref().and_then(|it| it.code),
            api_attempts = event.exchange.as_ref().map(|it| it.attempts),
            api_bytes = event.exchange.as_ref().map(|it| it.bytes),
            "call"
        );
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What would have been, for the log: `would deny: rule,rule`.
fn would(verdict: &ShadowVerdict) -> String {
    format!(
        "would {}: {}",
        verdict.effect.as_str(),
        verdict.reasons.join(",")
    )
}

/// An open event: closing it records it, dropping it records it as cancelled.
pub(crate) struct AuditScope<'a> {
    pub(crate) event: AuditEvent,
    /// Where the backend tells what became of the call.
    pub(crate) told: Option<Arc<Mutex<Option<ApiExchange>>>>,
    started: std::time::Instant,
    clock: &'a dyn Clock,
    sinks: &'a [Box<dyn AuditSink>],
    stopped: &'a AtomicBool,
}

impl<'a> AuditScope<'a> {
    pub(crate) fn open(
        clock: &'a dyn Clock,
        sinks: &'a [Box<dyn AuditSink>],
        stopped: &'a AtomicBool,
        caller: Option<&Caller>,
        meta: &RequestMeta,
        method: &'static str,
    ) -> Self {
        for sink in sinks {
            sink.opened(method);
        }
        Self {
            event: AuditEvent {
                time: clock.wall(),
                duration: Duration::ZERO,
                request_id: Arc::clone(&meta.request_id),
                transport: meta.transport,
                client_addr: meta.client_addr,
                protocol_version: meta.protocol_version,
                caller_id: caller.map_or_else(|| Arc::from(""), |caller| Arc::clone(&caller.id)),
                caller_kind: caller.map_or(CallerKind::Anonymous, |caller| caller.kind),
                caller_issuer: caller
                    .map_or_else(|| Arc::from(""), |caller| Arc::clone(&caller.issuer)),
                method,
                name: None,
                name_known: false,
                server: None,
                effect: None,
                feature: None,
                reason: None,
                reasons: Vec::new(),
                policy_version: None,
                policy_duration: None,
                shadow: None,
                errored_rules: Vec::new(),
                policy_errors: Vec::new(),
                outcome: Outcome::Cancelled,
                error: None,
                backend_asked: false,
                request_bytes: 0,
                response_bytes: 0,
                items: None,
                exchange: None,
            },
            told: None,
            started: clock.now(),
            clock,
            sinks,
            stopped,
        }
    }

    /// Records the name as the client wrote it, shortened.
    pub(crate) fn name(&mut self, name: &str) {
        let end = name
            .char_indices()
            .nth(256)
            .map_or(name.len(), |(at, _)| at);
        self.event.name = name.get(..end).map(Arc::from);
    }

    /// The moment that [`AuditScope::policy_took`] counts from.
    pub(crate) fn now(&self) -> std::time::Instant {
        self.clock.now()
    }

    /// Adds the time since `began` to what the policy took.
    pub(crate) fn policy_took(&mut self, began: std::time::Instant) {
        let took = self.now().saturating_duration_since(began);
        let before = self.event.policy_duration.unwrap_or_default();
        self.event.policy_duration = Some(before.saturating_add(took));
    }

    /// Records what the policy said, and on what grounds.
    pub(crate) fn decided(&mut self, feature: Feature, decision: &Decision) {
        let event = &mut self.event;
        event.feature = Some(feature);
        event.effect = Some(decision.effect());
        event.reason = Some(decision.kind()).filter(|kind| !kind.is_empty());
        event.reasons = decision.reasons().to_vec();
        event.policy_version = decision.version();
        event.shadow = decision.shadow().cloned();
        event.errored_rules = decision.errored_rules().to_vec();
        event.policy_errors = decision.errors().to_vec();
    }

    /// Closes the event with this outcome.
    pub(crate) fn close(mut self, outcome: Outcome) {
        self.event.outcome = outcome;
    }
}

impl Drop for AuditScope<'_> {
    fn drop(&mut self) {
        if self.event.outcome == Outcome::Cancelled && self.stopped.load(Ordering::Relaxed) {
            self.event.outcome = Outcome::Stopped;
        }
        self.event.duration = self.clock.now().saturating_duration_since(self.started);
        if let Some(told) = &self.told {
            let exchange = told.lock().unwrap_or_else(PoisonError::into_inner).take();
            let is_unsent = exchange.as_ref().is_some_and(|it| it.attempts == 0);
            self.event.backend_asked &= !is_unsent;
            self.event.exchange = exchange;
        }
        for sink in self.sinks {
            sink.record(&self.event);
        }
    }
}
