//! A replica that does as it is told.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use mcp_gw_core::testing::{RecordingLink, call_context, context_of};
use mcp_gw_core::{
    Arguments, Backend, BackendError, BackendEvent, BackendListener, CallContext, Caller,
    CallerKind, ClientRef, Clock, Incoming, Offer, RawJson, RequestMeta, ResourceRead, SessionKey,
    TaskAsk, ToolAnnotations, ToolCall, ToolOutput, ToolSpec, Transport,
};
use mcp_gw_upstream::{BalanceConfig, Balanced, Replica};
use tokio::sync::Semaphore;

use crate::support::raw;

/// What a replica does with the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// It cannot be reached.
    Unreachable,
    /// It takes the request and goes away.
    Fatal,
    /// It takes the request and does not answer in time.
    Slow,
    /// It answers with a JSON-RPC error.
    Contrary,
    /// It refuses the gateway's credentials.
    Closed,
    /// It takes no more now, and says for how many seconds, if it does.
    Full(Option<u64>),
    /// It answers when [`Fake::let_go`] is called.
    Busy,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    /// Moods of the next requests, before `mood` counts again.
    next: Vec<Mood>,
    /// Everything it was asked, and that arrived.
    seen: Vec<String>,
    /// How often somebody tried.
    tries: usize,
    /// Why it was to be made anew.
    renewals: Vec<String>,
    tools: Vec<ToolSpec>,
}

pub(crate) struct Fake {
    label: &'static str,
    state: Mutex<State>,
    gate: Semaphore,
    listener: OnceLock<Arc<dyn BackendListener>>,
}

/// A clock that goes with the time of tokio, which tests hold still.
pub(crate) struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

pub(crate) fn tools() -> Vec<ToolSpec> {
    let tool = |name, annotations: ToolAnnotations| {
        let tool = ToolSpec::new(name, "").unwrap();
        tool.with_annotations(&annotations).unwrap()
    };
    vec![
        tool("look", ToolAnnotations::read_only()),
        tool("change", ToolAnnotations::destructive()),
        tool("begin", ToolAnnotations::default()),
    ]
}

impl Fake {
    pub(crate) fn new(label: &'static str) -> Arc<Self> {
        Arc::new(Self {
            label,
            state: Mutex::new(State {
                mood: Mood::Well,
                next: Vec::new(),
                seen: Vec::new(),
                tries: 0,
                renewals: Vec::new(),
                tools: tools(),
            }),
            gate: Semaphore::new(0),
            listener: OnceLock::new(),
        })
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// The moods of the next requests.
    pub(crate) fn script(&self, moods: &[Mood]) {
        self.state.lock().unwrap().next = moods.iter().rev().copied().collect();
    }

    pub(crate) fn offer_tools(&self, tools: Vec<ToolSpec>) {
        self.state.lock().unwrap().tools = tools;
    }

    /// What has arrived since the last time.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// How often it was tried since the last time.
    pub(crate) fn tries(&self) -> usize {
        std::mem::take(&mut self.state.lock().unwrap().tries)
    }

    /// Why it was to be made anew since the last time.
    pub(crate) fn renewals(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().renewals)
    }

    /// Lets so many requests be answered that wait for it.
    pub(crate) fn let_go(&self, count: usize) {
        self.gate.add_permits(count);
    }

    pub(crate) fn emit(&self, event: BackendEvent) {
        self.listener.get().unwrap().on_event(event);
    }

    async fn serve(&self, what: &str) -> Result<(), BackendError> {
        let server = || "up".into();
        let reason = || format!("{} is in a mood", self.label);
        let mood = {
            let mut state = self.state.lock().unwrap();
            state.tries += 1;
            let mood = state.next.pop().unwrap_or(state.mood);
            if mood != Mood::Unreachable {
                state.seen.push(what.to_owned());
            }
            mood
        };
        match mood {
            Mood::Well => Ok(()),
            Mood::Unreachable => Err(BackendError::Unavailable {
                server: server(),
                reason: reason(),
            }),
            Mood::Fatal => Err(BackendError::Lost {
                server: server(),
                reason: reason(),
            }),
            Mood::Slow => Err(BackendError::Timeout {
                server: server(),
                after: Duration::from_secs(1),
            }),
            Mood::Closed => Err(BackendError::Refused {
                server: server(),
                status: 401,
            }),
            Mood::Full(seconds) => Err(BackendError::Busy {
                server: server(),
                reason: reason(),
                retry_after: seconds.map(Duration::from_secs),
            }),
            Mood::Contrary => Err(BackendError::Rpc(raw(r#"{"code":-1,"message":"no"}"#))),
            Mood::Busy => {
                self.gate.acquire().await.unwrap().forget();
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Backend for Fake {
    fn name(&self) -> &'static str {
        "up"
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        self.serve("offer").await?;
        Ok(Offer::of_tools(self.state.lock().unwrap().tools.clone()))
    }

    async fn call_tool(&self, _: &CallContext, call: ToolCall) -> Result<ToolOutput, BackendError> {
        let known = tools().iter().any(|tool| tool.name() == &*call.name);
        if !known {
            return Err(BackendError::Rpc(raw(
                r#"{"code":-32602,"message":"unknown"}"#,
            )));
        }
        self.serve(&call.name).await?;
        if &*call.name == "begin" {
            let task = format!(r#"{{"resultType":"task","taskId":"of {}"}}"#, self.label);
            return Ok(ToolOutput::from_raw(raw(&task)).unwrap());
        }
        Ok(ToolOutput::text(self.label))
    }

    async fn read_resource(
        &self,
        _: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        if read.uri.starts_with("no-such-scheme") {
            return Err(self.unsupported("resources/read"));
        }
        self.serve(&format!("read {}", read.uri)).await?;
        Ok(RawJson::empty_object())
    }

    async fn task(&self, _: &CallContext, ask: TaskAsk) -> Result<RawJson, BackendError> {
        self.serve(&format!("{} {}", ask.method.as_str(), ask.task_id))
            .await?;
        Ok(RawJson::empty_object())
    }

    async fn watch_task(&self, _: &CallContext, task_id: &str) -> Result<(), BackendError> {
        self.serve(&format!("watch {task_id}")).await
    }

    async fn unwatch_task(&self, task_id: &str) {
        self.serve(&format!("unwatch {task_id}")).await.unwrap();
    }

    async fn check(&self) -> Result<(), BackendError> {
        self.serve("check").await
    }

    fn greet(&self, client: &ClientRef) {
        let session = client.session.as_ref().unwrap().as_str();
        let what = format!("greet {session}");
        self.state.lock().unwrap().seen.push(what);
    }

    fn end_session(&self, session: &SessionKey) {
        let what = format!("end {}", session.as_str());
        self.state.lock().unwrap().seen.push(what);
    }

    async fn subscribe(&self, _: &CallContext, uri: &str) -> Result<(), BackendError> {
        self.serve(&format!("subscribe {uri}")).await
    }

    async fn resubscribe(&self, uri: &str) -> Result<(), BackendError> {
        self.serve(&format!("resubscribe {uri}")).await
    }

    async fn unsubscribe(&self, uri: &str, _: Option<&ClientRef>) -> Result<(), BackendError> {
        self.serve(&format!("unsubscribe {uri}")).await
    }

    fn renew(&self, reason: &str) {
        let mut state = self.state.lock().unwrap();
        state.renewals.push(reason.to_owned());
    }

    fn watch(&self, listener: Arc<dyn BackendListener>) {
        assert!(self.listener.set(listener).is_ok(), "watched twice");
    }
}

pub(crate) fn config() -> BalanceConfig {
    BalanceConfig::new("up")
}

pub(crate) fn balanced<const N: usize>(
    config: BalanceConfig,
    fakes: [&Arc<Fake>; N],
) -> Arc<Balanced> {
    let replica = |fake: &Arc<Fake>| Replica::new(fake.label, Arc::<Fake>::clone(fake) as _);
    let replicas = fakes.map(replica).to_vec();
    Arc::new(Balanced::new(config, replicas, Arc::new(TokioClock)).unwrap())
}

/// A backend over these fakes that has been asked for its offer, which fakes do not remember.
pub(crate) async fn started<const N: usize>(
    config: BalanceConfig,
    fakes: [&Arc<Fake>; N],
) -> Arc<Balanced> {
    let backend = balanced(config, fakes);
    backend.offer().await.unwrap();
    for fake in fakes {
        fake.seen();
        fake.tries();
    }
    backend
}

pub(crate) fn ctx(caller: &str) -> CallContext {
    let caller = Caller::new(CallerKind::ApiKey, caller);
    call_context(caller, Arc::new(RecordingLink::new()))
}

/// A context of a client session.
pub(crate) fn ctx_in(session: &str) -> CallContext {
    let meta =
        RequestMeta::new("test", Transport::InProcess).with_session(Some(SessionKey::new(session)));
    context_of(Incoming::new(Caller::local(), meta))
}

pub(crate) async fn call_as(
    backend: &Balanced,
    caller: &str,
    tool: &str,
) -> Result<String, BackendError> {
    let call = ToolCall::new(tool, Arguments::none());
    let output = backend.call_tool(&ctx(caller), call).await?;
    let text = output.as_raw().to_string();
    let label = ["a", "b", "c"]
        .into_iter()
        .find(|label| text.contains(&format!("\"{label}\"")));
    Ok(label.unwrap().to_owned())
}

pub(crate) async fn call(backend: &Balanced, tool: &str) -> Result<String, BackendError> {
    call_as(backend, "alice", tool).await
}

/// Lets everything run that can, without moving the time.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
