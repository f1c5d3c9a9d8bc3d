//! The backend over replicas: each call through the gate, to one of them, and again if need be.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mcp_gw_core::{
    Arguments, Backend, BackendError, BackendListener, CallContext, ClientRef, Clock, Completion,
    Offer, PromptGet, RawJson, ResourceRead, SessionKey, TaskAsk, TaskMethod, ToolCall, ToolOutput,
};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::balance::affinity::{Affinity, task_in};
use crate::balance::config::{BalanceConfig, Replica};
use crate::balance::fleet::{Fleet, ReplicaStatus, Tried};
use crate::balance::news::{Shared, Watch};
use crate::balance::retry::{Failure, Retry, Step};
use crate::error::Error;
use crate::owner::Key;

/// A server that runs in one place or in several.
///
/// Each call goes to one replica, which [`BalanceConfig::strategy`] names among those that are
/// well. A replica is left out when calls to it fail in a row ([`EjectionConfig`]), or when its
/// checks do ([`HealthConfig`]). When all that pass their checks fail calls, those get them all the
/// same; one that fails its checks gets none, and a child process that does is ended and started
/// again. Requests are sent again only as [`RetryConfig`] says, and held back by [`BalanceConfig::max_concurrent`].
///
/// A replica is whatever is a [`Backend`]; all of them are one server, so they should offer the
/// same. A subscription is with one replica and moves when that one fails.
///
/// [`EjectionConfig`]: crate::EjectionConfig
/// [`HealthConfig`]: crate::HealthConfig
/// [`RetryConfig`]: crate::RetryConfig
#[derive(Debug)]
pub struct Balanced {
    shared: Arc<Shared>,
    checks: Mutex<Option<Vec<AbortHandle>>>,
}

/// What is known of a request before it is sent.
#[derive(Debug, Clone, Copy)]
struct Request {
    affinity: Affinity,
    /// Doing it twice is as good as doing it once.
    is_safe: bool,
    /// The replica that alone can serve it.
    only: Option<usize>,
}

impl Request {
    fn of(ctx: &CallContext, is_safe: bool) -> Self {
        Self {
            affinity: Affinity::of(ctx),
            is_safe,
            only: None,
        }
    }
}

/// The place that a request is for, where it is for one.
fn wanted(ctx: &CallContext) -> Option<&str> {
    ctx.meta().replica.as_deref()
}

impl Balanced {
    /// A backend over `replicas`. Nothing is asked or checked before the first offer.
    ///
    /// # Errors
    /// When there are no replicas, or more than 64, or a number of `config` cannot be used.
    pub fn new(
        config: BalanceConfig,
        replicas: Vec<Replica>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        config.check(&replicas)?;
        let fleet = Fleet::new(config, replicas, clock);
        Ok(Self {
            shared: Arc::new(Shared::new(fleet)),
            checks: Mutex::new(None),
        })
    }

    /// How the replicas are doing, in their order.
    pub fn status(&self) -> Vec<ReplicaStatus> {
        self.shared.fleet.status()
    }

    /// What each replica offers now, by its label and in their order, for who wants to know whether
    /// they are the same. It is as if nobody had asked: which of them gets calls does not depend on it.
    pub async fn offers(&self) -> Vec<(String, Result<Offer, BackendError>)> {
        let mut asked = JoinSet::new();
        for (index, replica) in self.shared.fleet.replicas.iter().enumerate() {
            let (label, backend) = (replica.label.clone(), Arc::clone(&replica.backend));
            asked.spawn(async move { (index, label, backend.offer().await) });
        }
        // One that panics has no answer.
        let mut all = Vec::new();
        while let Some(answer) = asked.join_next().await {
            all.extend(answer.ok());
        }
        all.sort_by_key(|(index, ..)| *index);
        let all = all.into_iter();
        all.map(|(_, label, offer)| (label, offer)).collect()
    }

    /// How many calls wait for others to end, see [`BalanceConfig::with_limit`].
    pub fn waiting(&self) -> usize {
        self.shared.gate.waiting()
    }

    /// Waits for room, then has `attempt` made where and as often as it may be.
    async fn run<T, F>(
        &self,
        request: Request,
        attempt: impl Fn(Arc<dyn Backend>, usize) -> F + Send + Sync,
    ) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, BackendError>> + Send,
    {
        let fleet = &self.shared.fleet;
        let _room = self.shared.gate.enter().await?;
        fleet.earn();
        let mut retry = Retry::new(request.is_safe);
        let untried = request.only.map_or(Tried::default(), Tried::all_but);
        let mut tried = untried;
        // What is told when the request may have been done, whatever happens after that.
        let mut doubt: Option<BackendError> = None;
        loop {
            let Some((lease, backend)) = fleet.lease(request.affinity, tried).and_then(|lease| {
                let backend = Arc::clone(lease.backend()?);
                Some((lease, backend))
            }) else {
                return Err(doubt.unwrap_or_else(|| self.unavailable(fleet.why_nowhere())));
            };
            let outcome = attempt(backend, lease.index).await;
            tried.add(lease.index);
            let failed = outcome.as_ref().err();
            if lease.end(failed) {
                self.shared
                    .settle(&failed.map(ToString::to_string).unwrap_or_default());
            }
            let error = match outcome {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let failure = Failure::of(&error);
            let step = fleet.next_step(&mut retry, failure, tried);
            if step == Step::GiveUp {
                retry.log_end(&fleet.server, &error, fleet.now());
            }
            if !failure.leaves_doubt() && failure != Failure::Final {
                if step == Step::GiveUp {
                    return Err(doubt.unwrap_or(error));
                }
            } else {
                if step == Step::GiveUp {
                    return Err(error);
                }
                doubt = Some(error);
            }
            if let Step::Again(pause) = step {
                if self.pause(pause).await {
                    return Err(doubt.unwrap_or_else(|| self.unavailable("it was closed")));
                }
                tried = untried;
            }
        }
    }

    /// Waits. True when the backend was closed meanwhile.
    async fn pause(&self, pause: Duration) -> bool {
        let mut closed = self.shared.closed.subscribe();
        let is_closed = timeout(pause, closed.wait_for(|closed| *closed)).await;
        is_closed.is_ok()
    }

    fn unavailable(&self, reason: &str) -> BackendError {
        BackendError::Unavailable {
            server: Arc::clone(&self.shared.fleet.server),
            reason: reason.to_owned(),
        }
    }

    /// A request goes to the replica that it names, or to any.
    fn request(&self, ctx: &CallContext, is_safe: bool) -> Result<Request, BackendError> {
        let only = match wanted(ctx) {
            None => None,
            Some(label) => {
                let at = self.shared.fleet.labelled(label);
                Some(at.ok_or_else(|| self.unavailable("it does not run there any more"))?)
            }
        };
        Ok(Request {
            only,
            ..Request::of(ctx, is_safe)
        })
    }

    /// A task is known where it was made and nowhere else.
    fn request_of_task(&self, ctx: &CallContext, task_id: &str, is_safe: bool) -> Request {
        Request {
            only: self.shared.fleet.task_home(task_id),
            ..Request::of(ctx, is_safe)
        }
    }

    fn start_checks(&self) {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        if checks.is_none() && !*self.shared.closed.borrow() {
            *checks = Some(self.shared.start_checks());
        }
    }

    fn stop_checks(&self) {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        for check in checks.iter().flatten() {
            check.abort();
        }
        *checks = None;
    }
}

impl Drop for Balanced {
    fn drop(&mut self) {
        self.stop_checks();
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Balanced {
    fn name(&self) -> &str {
        &self.shared.fleet.server
    }

    fn offer_now(&self) -> Option<Offer> {
        self.shared.fleet.backend(0)?.offer_now()
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        self.start_checks();
        self.shared.offer().await
    }

    fn arguments_in_effect(&self, tool: &str, arguments: &Arguments) -> Option<Arguments> {
        let first = self.shared.fleet.backend(0)?;
        first.arguments_in_effect(tool, arguments)
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        let is_safe = self.shared.is_safe(&call.name);
        let attempt = |backend: Arc<dyn Backend>, index| {
            let call = call.clone();
            async move { Ok((backend.call_tool(ctx, call).await?, index)) }
        };
        let request = self.request(ctx, is_safe)?;
        let (output, index) = self.run(request, attempt).await?;
        if let Some(task_id) = task_in(output.as_raw()) {
            self.shared.fleet.task_made(&task_id, index);
        }
        Ok(output)
    }

    async fn read_resource(
        &self,
        ctx: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        let attempt = |backend: Arc<dyn Backend>, _| {
            let read = read.clone();
            async move { backend.read_resource(ctx, read).await }
        };
        self.run(self.request(ctx, true)?, attempt).await
    }

    async fn get_prompt(&self, ctx: &CallContext, get: PromptGet) -> Result<RawJson, BackendError> {
        let attempt = |backend: Arc<dyn Backend>, _| {
            let get = get.clone();
            async move { backend.get_prompt(ctx, get).await }
        };
        self.run(self.request(ctx, true)?, attempt).await
    }

    async fn complete(
        &self,
        ctx: &CallContext,
        completion: Completion,
    ) -> Result<RawJson, BackendError> {
        let attempt = |backend: Arc<dyn Backend>, _| {
            let completion = completion.clone();
            async move { backend.complete(ctx, completion).await }
        };
        self.run(self.request(ctx, true)?, attempt).await
    }

    async fn task(&self, ctx: &CallContext, ask: TaskAsk) -> Result<RawJson, BackendError> {
        let is_safe = ask.method != TaskMethod::Update;
        let request = self.request_of_task(ctx, &ask.task_id, is_safe);
        let attempt = |backend: Arc<dyn Backend>, _| {
            let ask = ask.clone();
            async move { backend.task(ctx, ask).await }
        };
        self.run(request, attempt).await
    }

    async fn watch_task(&self, ctx: &CallContext, task_id: &str) -> Result<(), BackendError> {
        let first = async || {
            let attempt = |backend: Arc<dyn Backend>, index| async move {
                backend.watch_task(ctx, task_id).await.map(|()| index)
            };
            let request = self.request_of_task(ctx, task_id, true);
            self.run(request, attempt).await
        };
        let server = &self.shared.fleet.server;
        self.shared.tasks.add(server, task_id, first).await
    }

    async fn unwatch_task(&self, task_id: &str) {
        let last = async |at| {
            if let Some(backend) = self.shared.fleet.backend(at) {
                backend.unwatch_task(task_id).await;
            }
            Ok(())
        };
        // Nothing in it can fail.
        let _ = self.shared.tasks.remove(task_id, last).await;
    }

    async fn check(&self) -> Result<(), BackendError> {
        let mut outcome = Err(self.unavailable("it has no replica"));
        for index in self.shared.fleet.best_first() {
            if let Some(backend) = self.shared.fleet.backend(index) {
                outcome = backend.check().await;
            }
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    fn renew(&self, reason: &str) {
        for replica in &self.shared.fleet.replicas {
            replica.backend.renew(reason);
        }
    }

    fn greet(&self, client: &ClientRef) {
        // Where its calls will go, if that is known.
        let Some(session) = &client.session else {
            return;
        };
        let home = self.shared.fleet.home(Affinity::of_session(session));
        if let Some(backend) = home.and_then(|home| self.shared.fleet.backend(home)) {
            backend.greet(client);
        }
    }

    fn end_session(&self, session: &SessionKey) {
        self.shared.fleet.end_session(Affinity::of_session(session));
        for replica in &self.shared.fleet.replicas {
            replica.backend.end_session(session);
        }
    }

    fn roots_changed(&self, session: &SessionKey) {
        for replica in &self.shared.fleet.replicas {
            replica.backend.roots_changed(session);
        }
    }

    async fn subscribe(&self, ctx: &CallContext, uri: &str) -> Result<(), BackendError> {
        let client = Arc::new(ctx.client());
        let key = Key::watcher(&client);
        let first = async || {
            let attempt = |backend: Arc<dyn Backend>, replica| async move {
                backend.subscribe(ctx, uri).await.map(|()| replica)
            };
            let replica = self.run(Request::of(ctx, true), attempt).await?;
            Ok(Watch {
                replica,
                client: Some(client),
            })
        };
        let server = &self.shared.fleet.server;
        self.shared.clients.add(server, &key, uri, first).await
    }

    async fn resubscribe(&self, uri: &str) -> Result<(), BackendError> {
        let first = async || {
            let attempt = |backend: Arc<dyn Backend>, index| async move {
                backend.resubscribe(uri).await.map(|()| index)
            };
            let request = Request {
                affinity: Affinity::of_text(uri),
                is_safe: true,
                only: None,
            };
            self.run(request, attempt).await
        };
        self.shared
            .subscriptions
            .add(&self.shared.fleet.server, uri, first)
            .await
    }

    async fn unsubscribe(&self, uri: &str, client: Option<&ClientRef>) -> Result<(), BackendError> {
        let fleet = &self.shared.fleet;
        if let Some(client) = client {
            let last = async |at: Watch| match fleet.backend(at.replica) {
                Some(backend) => backend.unsubscribe(uri, at.client.as_deref()).await,
                None => Ok(()),
            };
            let key = Key::watcher(client);
            return self.shared.clients.remove(&key, uri, last).await;
        }
        let last = async |at| match fleet.backend(at) {
            Some(backend) => backend.unsubscribe(uri, None).await,
            None => Ok(()),
        };
        self.shared.subscriptions.remove(uri, last).await
    }

    fn watch(&self, listener: Arc<dyn BackendListener>) {
        self.shared.events.watch(listener);
        self.shared.listen();
    }

    async fn close(&self) {
        self.shared.closed.send_replace(true);
        self.shared.gate.close();
        self.stop_checks();
        let mut closing = JoinSet::new();
        for replica in &self.shared.fleet.replicas {
            let backend = Arc::clone(&replica.backend);
            closing.spawn(async move { backend.close().await });
        }
        while closing.join_next().await.is_some() {}
    }

    fn unsupported(&self, method: &'static str) -> BackendError {
        BackendError::Unsupported {
            server: Arc::clone(&self.shared.fleet.server),
            method,
        }
    }
}
