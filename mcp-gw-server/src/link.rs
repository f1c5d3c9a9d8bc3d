//! The way from a call back to its client: a bounded queue of messages for the call's own stream,
//! and requests to the client where its revision has them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mcp_gw_core::jsonrpc::{self, as_str};
use mcp_gw_core::{
    CallNotification, CancelReason, ClientLink, ClientLinkError, LogLevel, ObjectWriter, RawJson,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::askable::{Askable, TASKS, declares_extension, declares_others};
use crate::client::Client;
use crate::desk::Desk;
use crate::revision::Revision;
use crate::rewrite::{self, Kind};
use crate::task_asks::{self, undeclared};

use mcp_gw_core::meta_key::PROGRESS_TOKEN;

/// So many messages may wait for a client that does not read.
const QUEUE: usize = 256;

/// Where the messages of a call go now, and which of them are wanted.
#[derive(Debug, Default)]
pub(crate) struct CallStream(Mutex<Route>);

/// What a client says about a request of its own and the messages on its stream.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// The client wants progress under this token.
    pub(crate) progress_token: Option<RawJson>,
    /// The least level of log messages; none are wanted without.
    pub(crate) log_level: Option<LogLevel>,
    /// Why the client cancels the request, once it does.
    pub(crate) cancelled: CancelReason,
}

/// A stream to a client.
#[derive(Debug, Default)]
pub(crate) struct Route {
    queue: Option<mpsc::Sender<RawJson>>,
    wishes: Wishes,
}

impl Route {
    /// A stream and its other end; no stream when nothing is wanted and `needed` is false.
    pub(crate) fn new(wishes: Wishes, needed: bool) -> (Self, Option<mpsc::Receiver<RawJson>>) {
        let wanted = needed || wishes.progress_token.is_some() || wishes.log_level.is_some();
        let (queue, messages) = wanted.then(|| mpsc::channel(QUEUE)).unzip();
        (Self { queue, wishes }, messages)
    }
}

impl CallStream {
    /// Leads messages to a new stream, whose other end this gives; there is none when nothing is
    /// wanted and `needed` is false.
    pub(crate) fn lead(&self, wishes: Wishes, needed: bool) -> Option<mpsc::Receiver<RawJson>> {
        let (route, messages) = Route::new(wishes, needed);
        self.lead_to(route);
        messages
    }

    /// Leads messages to a stream that is there already.
    pub(crate) fn lead_to(&self, route: Route) {
        *self.lock() = route;
    }

    /// Forgets the stream: nobody reads it any more.
    pub(crate) fn close(&self) {
        self.lock().queue = None;
    }

    fn queue(&self) -> Option<mpsc::Sender<RawJson>> {
        self.lock().queue.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Route> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How requests reach the client.
#[derive(Debug)]
pub(crate) enum Way {
    /// They do not.
    None,
    /// As messages to a client that shook hands.
    Client(Arc<Client>),
    /// In the answer to its request (2026-07-28).
    Desk(Arc<Desk>),
}

/// The client of one call: what it can be told and asked for.
#[derive(Debug)]
pub(crate) struct CallLink {
    revision: Revision,
    /// What the client declared, as far as the revision knows it.
    capabilities: Option<RawJson>,
    askable: Askable,
    way: Way,
    stream: Arc<CallStream>,
    /// How long the client may take to answer.
    patience: Duration,
    waits: Waits,
    is_plain: AtomicBool,
}

/// The time in which a call waits for its client.
#[derive(Debug, Default)]
struct Waits(Mutex<Waited>);

#[derive(Debug, Default)]
struct Waited {
    open: usize,
    since: Option<Instant>,
    before: Duration,
}

/// One wait; it ends when this is dropped.
struct Waiting<'w>(&'w Waits);

impl Waits {
    fn begin(&self) -> Waiting<'_> {
        let mut waited = self.lock();
        waited.open += 1;
        waited.since.get_or_insert_with(Instant::now);
        Waiting(self)
    }

    fn total(&self) -> Duration {
        let waited = self.lock();
        waited.before + waited.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Waited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waited = self.0.lock();
        waited.open -= 1;
        if waited.open == 0
            && let Some(since) = waited.since.take()
        {
            waited.before += since.elapsed();
        }
    }
}

impl CallLink {
    /// A link to the client of a call, which declared these capabilities.
    pub(crate) fn new(
        revision: Revision,
        declared: Option<&RawJson>,
        askable: Askable,
        way: Way,
        stream: Arc<CallStream>,
        patience: Duration,
    ) -> Self {
        let capabilities = match (&way, revision.is_modern()) {
            // Results that ask for input pass, so a server may count on all that was declared.
            (_, true) => declared.cloned(),
            (Way::None, false) => None,
            (_, false) => declared.and_then(|declared| askable.capabilities(declared)),
        };
        Self {
            revision,
            capabilities,
            askable,
            way,
            stream,
            patience,
            waits: Waits::default(),
            is_plain: AtomicBool::new(false),
        }
    }

    fn wants_log(&self, params: &RawJson) -> bool {
        let wanted = match &self.way {
            Way::Client(client) => level_of(client),
            _ => match self.stream.lock().wishes.log_level {
                Some(level) => level,
                None => return false,
            },
        };
        is_at_least(params, wanted)
    }

    fn progress(&self, params: &RawJson) -> Option<RawJson> {
        let route = self.stream.lock();
        let token = route.wishes.progress_token.as_ref()?;
        let members = params.members().ok()?;
        let params = ObjectWriter::with_capacity(params.len() + 64)
            .raw(PROGRESS_TOKEN, token)
            .members(&members, &[PROGRESS_TOKEN])
            .finish();
        Some(jsonrpc::notification("notifications/progress", &params))
    }
}

/// What else a server may say: the end of an elicitation by URL (2025-11-25), and what no revision
/// has a name for.
fn passes(method: &str, revision: Revision, askable: Askable) -> bool {
    match method {
        "notifications/elicitation/complete" => {
            revision == Revision::V2025_11_25 && askable.opens_urls()
        }
        _ => !OWNED.contains(&method) && !method.ends_with("/list_changed"),
    }
}

/// A client that named no level leaves it to the server (server/utilities/logging).
fn level_of(client: &Client) -> LogLevel {
    client.log_level().unwrap_or(LogLevel::Debug)
}

/// True when `params` of a log message have a level that is wanted.
fn is_at_least(params: &RawJson, wanted: LogLevel) -> bool {
    let level = params
        .members()
        .ok()
        .and_then(|members| LogLevel::parse(&as_str(members.get("level")?)?));
    level.is_some_and(|level| level >= wanted)
}

/// The message in which a client is told something that belongs to none of its calls, if it is to
/// be told.
pub(crate) fn session_message(client: &Client, notification: &CallNotification) -> Option<RawJson> {
    match notification {
        CallNotification::Log(params) => is_at_least(params, level_of(client))
            .then(|| jsonrpc::notification("notifications/message", params)),
        CallNotification::Other { method, params } => {
            let declared = client.capabilities.as_ref();
            let askable = declared.map(|declared| Askable::of(client.revision, declared));
            passes(method, client.revision, askable.unwrap_or_default())
                .then(|| jsonrpc::notification(method, params))
        }
        _ => None,
    }
}

/// Notifications that belong to the hop, or to no call.
const OWNED: [&str; 7] = [
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/message",
    "notifications/progress",
    "notifications/resources/updated",
    "notifications/subscriptions/acknowledged",
    "notifications/tasks",
];

#[async_trait]
impl ClientLink for CallLink {
    fn notify(&self, notification: CallNotification) {
        let message = match notification {
            CallNotification::Progress(params) => self.progress(&params),
            CallNotification::Log(params) => self
                .wants_log(&params)
                .then(|| jsonrpc::notification("notifications/message", &params)),
            CallNotification::Other { method, params } => {
                passes(&method, self.revision, self.askable)
                    .then(|| jsonrpc::notification(&method, &params))
            }
            _ => None,
        };
        let (Some(message), Some(queue)) = (message, self.stream.queue()) else {
            return;
        };
        if queue.try_send(message).is_err() {
            tracing::debug!("a client does not read the stream of its call; a message is dropped");
        }
    }

    fn capabilities(&self) -> Option<RawJson> {
        self.capabilities.clone()
    }

    fn accepts_input_requests(&self) -> bool {
        self.revision.is_modern()
    }

    fn mark_plain(&self) {
        self.is_plain.store(true, Ordering::Release);
    }

    fn is_plain(&self) -> bool {
        !self.revision.is_modern() && self.is_plain.load(Ordering::Acquire)
    }

    fn accepts(&self, result: &RawJson) -> bool {
        self.objection(result).is_none()
    }

    fn objection(&self, result: &RawJson) -> Option<String> {
        if self.is_plain() {
            return rewrite::objection_to_plain(result);
        }
        let declared = self.capabilities.as_ref();
        match rewrite::kind(result, self.revision) {
            Err(reason) => Some(reason),
            Ok(Kind::Answer) => None,
            Ok(Kind::Task) if !declares_extension(declared, TASKS) => Some(format!(
                "it is a task, and the client did not declare `{TASKS}`"
            )),
            Ok(Kind::Task) => self.objection_to_task(result),
            Ok(Kind::Extension(kind)) => (!declares_others(declared, TASKS)).then(|| {
                format!("it is of the type `{kind}`, and the client declared no extension for it")
            }),
            // A server must not ask for what the client did not declare (basic/patterns/mrtr).
            Ok(Kind::Input(Err(_))) => {
                Some("it asks for input in a way that cannot be read".to_owned())
            }
            Ok(Kind::Input(Ok(requests))) => undeclared(&requests, self.askable),
        }
    }

    fn objection_to_task(&self, answer: &RawJson) -> Option<String> {
        task_asks::objection(
            answer,
            Askable::of_some(self.revision, self.capabilities.as_ref()),
        )
    }

    fn wants_progress(&self) -> bool {
        self.stream.lock().wishes.progress_token.is_some()
    }

    fn waited(&self) -> Duration {
        self.waits.total()
    }

    fn cancel_reason(&self) -> Option<RawJson> {
        self.stream.lock().wishes.cancelled.get()
    }

    async fn request(&self, method: &str, params: RawJson) -> Result<RawJson, ClientLinkError> {
        self.ask(method, params, &CancelReason::default()).await
    }

    async fn ask(
        &self,
        method: &str,
        params: RawJson,
        taken_back: &CancelReason,
    ) -> Result<RawJson, ClientLinkError> {
        let unsupported = || ClientLinkError::Unsupported {
            method: method.to_owned(),
        };
        if !self.askable.allows(method, &params) {
            return Err(unsupported());
        }
        let _waiting = self.waits.begin();
        match &self.way {
            Way::None => Err(unsupported()),
            Way::Client(client) => {
                let stream = self.stream.queue().ok_or(ClientLinkError::Gone)?;
                let asking = &client.asking;
                asking
                    .ask(stream, method, &params, self.patience, taken_back)
                    .await
            }
            Way::Desk(desk) => desk.ask(method, params).await,
        }
    }
}
