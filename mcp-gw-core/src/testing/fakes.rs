//! Stand-ins for what surrounds an implementation under test.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;

use crate::audit::{AuditEvent, AuditSink};
use crate::caller::Caller;
use crate::clock::{Clock, SystemClock};
use crate::context::{
    CallContext, CallNotification, ClientLink, ClientLinkError, Incoming, Permit, RequestMeta,
    Transport,
};
use crate::json::RawJson;
use crate::limit::Charge;
use crate::policy::{AccessRequest, Decision, Feature};

/// A context as the pipeline makes it, for the call of a tool or backend in a test.
pub fn call_context(caller: Caller, link: Arc<dyn ClientLink>) -> CallContext {
    let meta = RequestMeta::new("test", Transport::InProcess);
    context_of(Incoming::new(caller, meta).with_link(link))
}

/// A context as the pipeline makes it, for a request that a test has made up.
pub fn context_of(incoming: Incoming) -> CallContext {
    match Permit::from_decision(Decision::allow().because("test")) {
        Ok(permit) => CallContext::new(permit, incoming),
        Err(_) => unreachable!("an allowing decision makes a permit"),
    }
}

/// The question whether `caller` may call the tool `name`, to be changed as a test needs it.
pub const fn access_request<'a>(
    caller: &'a Caller,
    meta: &'a RequestMeta,
    name: &'a str,
) -> AccessRequest<'a> {
    let mut request = AccessRequest::new(caller, meta, "tools/call", Feature::Tool, name);
    request.server = "test";
    request
}

/// A charge of one unit for `method`, to be changed as a test needs it.
pub const fn charge<'a>(caller: &'a Caller, meta: &'a RequestMeta, method: &'a str) -> Charge<'a> {
    Charge {
        caller,
        meta,
        method,
        name: Some("a"),
        server: Some("test"),
        cost: 1,
        goes_on: false,
    }
}

/// A client that wants progress, keeps what it is told, and answers requests with what it was given.
#[derive(Debug, Default)]
pub struct RecordingLink {
    notifications: Mutex<Vec<CallNotification>>,
    answer: Option<RawJson>,
}

impl RecordingLink {
    /// A client that cannot be asked anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client that answers every request with `answer`.
    pub fn answering(answer: RawJson) -> Self {
        Self {
            answer: Some(answer),
            ..Self::default()
        }
    }

    /// What it was told so far.
    pub fn notifications(&self) -> Vec<CallNotification> {
        self.notifications
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl ClientLink for RecordingLink {
    fn notify(&self, notification: CallNotification) {
        self.notifications
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(notification);
    }

    fn wants_progress(&self) -> bool {
        true
    }

    async fn request(&self, method: &str, _params: RawJson) -> Result<RawJson, ClientLinkError> {
        self.answer
            .clone()
            .ok_or_else(|| ClientLinkError::Unsupported {
                method: method.to_owned(),
            })
    }
}

/// Keeps every audit event. Clones share what they keep.
#[derive(Debug, Clone, Default)]
pub struct RecordingAudit(Arc<Mutex<Vec<AuditEvent>>>);

impl RecordingAudit {
    /// Keeps every event.
    pub fn new() -> Self {
        Self::default()
    }

    /// The events so far.
    pub fn events(&self) -> Vec<AuditEvent> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl AuditSink for RecordingAudit {
    fn record(&self, event: &AuditEvent) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event.clone());
    }
}

/// A clock that moves only when it is told to. Clones share the time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Duration>>, Instant);

impl ManualClock {
    /// A clock that stands at 2001-09-09T01:46:40Z.
    pub fn new() -> Self {
        Self(
            Arc::new(Mutex::new(Duration::ZERO)),
            SystemClock::new().now(),
        )
    }

    /// Moves the time on.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.1 + self.elapsed()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000) + self.elapsed()
    }
}
