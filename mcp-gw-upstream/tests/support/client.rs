//! A client that can be asked, and that the test answers for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp_gw_core::testing::context_of;
use mcp_gw_core::{
    CallContext, CallNotification, Caller, CancelReason, ClientLink, ClientLinkError, Incoming,
    LogLevel, RawJson, RequestMeta, SessionKey, Transport,
};
use tokio::sync::{mpsc, oneshot};

use crate::support::raw;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request that has reached the client.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) params: String,
    answer: oneshot::Sender<Result<RawJson, ClientLinkError>>,
    taken_back: CancelReason,
}

impl Asked {
    pub(crate) fn answer(self, outcome: Result<&str, ClientLinkError>) {
        self.answer.send(outcome.map(raw)).unwrap();
    }

    /// Comes back when nobody waits for the answer any more, with the reason if there is one.
    pub(crate) async fn dropped(mut self) -> Option<String> {
        let gone = tokio::time::timeout(PATIENCE, self.answer.closed());
        gone.await.expect("somebody still waits for the client");
        self.taken_back.get().map(|reason| reason.to_string())
    }
}

/// The side of the client that a backend sees.
#[derive(Debug)]
pub(crate) struct Link {
    capabilities: RawJson,
    told: Mutex<Vec<CallNotification>>,
    is_plain: AtomicBool,
    asked: mpsc::Sender<Asked>,
    given_up: CancelReason,
}

#[async_trait]
impl ClientLink for Link {
    fn notify(&self, notification: CallNotification) {
        self.told.lock().unwrap().push(notification);
    }

    fn wants_progress(&self) -> bool {
        true
    }

    fn capabilities(&self) -> Option<RawJson> {
        Some(self.capabilities.clone())
    }

    fn mark_plain(&self) {
        self.is_plain.store(true, Ordering::SeqCst);
    }

    fn is_plain(&self) -> bool {
        self.is_plain.load(Ordering::SeqCst)
    }

    fn cancel_reason(&self) -> Option<RawJson> {
        self.given_up.get()
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
        let (answer, answered) = oneshot::channel();
        let asked = Asked {
            method: method.to_owned(),
            params: params.to_string(),
            answer,
            taken_back: taken_back.clone(),
        };
        self.asked.send(asked).await.unwrap();
        answered.await.unwrap_or(Err(ClientLinkError::Gone))
    }
}

/// A client with these capabilities.
#[derive(Debug)]
pub(crate) struct Client {
    link: Arc<Link>,
    asked: mpsc::Receiver<Asked>,
    pub(crate) caller: &'static str,
    session: Option<&'static str>,
    pub(crate) level: Option<LogLevel>,
}

impl Client {
    pub(crate) fn new(session: Option<&'static str>, capabilities: &str) -> Self {
        let (sender, asked) = mpsc::channel(64);
        Self {
            link: Arc::new(Link {
                capabilities: raw(capabilities),
                told: Mutex::default(),
                is_plain: AtomicBool::new(false),
                asked: sender,
                given_up: CancelReason::default(),
            }),
            asked,
            caller: "a",
            session,
            level: None,
        }
    }

    pub(crate) fn with_level(mut self, level: LogLevel) -> Self {
        self.level = Some(level);
        self
    }

    /// Says why it gives its calls up: the text of a JSON string.
    pub(crate) fn gives_up(self, reason: &str) -> Self {
        self.link.given_up.set(raw(reason));
        self
    }

    /// The context of a call of this client.
    pub(crate) fn context(&self) -> CallContext {
        let meta = RequestMeta::new("test", Transport::InProcess)
            .with_session(self.session.map(SessionKey::new))
            .with_log_level(self.level)
            .with_protocol_version(if self.session.is_some() {
                "2025-11-25"
            } else {
                "2026-07-28"
            });
        let caller = Caller::new(mcp_gw_core::CallerKind::ApiKey, self.caller);
        let link = Arc::<Link>::clone(&self.link);
        context_of(Incoming::new(caller, meta).with_link(link as _))
    }

    /// The next request that reaches it.
    pub(crate) async fn asked(&mut self) -> Asked {
        let asked = tokio::time::timeout(PATIENCE, self.asked.recv());
        asked.await.expect("the client was asked nothing").unwrap()
    }

    /// True when the last answer was that of an old server.
    pub(crate) fn is_plain(&self) -> bool {
        self.link.is_plain()
    }

    pub(crate) fn told(&self) -> Vec<CallNotification> {
        self.link.told.lock().unwrap().clone()
    }
}

pub(crate) const ASKABLE: &str = r#"{"elicitation":{"form":{},"url":{}},"sampling":{"x":1.0}}"#;
