//! What is put around a backend: nothing of its offer passes that was not judged.

mod heard;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use mcp_gw_core::{
    Backend, BackendError, BackendEvent, BackendListener, BoxError, CallContext, Completion,
    CompletionRef, Feature, Offer, PromptGet, RawJson, ResourceRead, TaskAsk, TaskMethod, ToolCall,
    ToolOutput,
};
use mcp_gw_upstream::{Judgement, Vet};

use self::heard::Heard;
use super::judge::{Differs, Judge, chain};

/// A backend whose offer is held against its pins. Lies under everything that changes offers: it
/// judges what the server says.
pub(crate) struct Guarded<B> {
    backend: B,
    guard: Arc<Guard>,
}

/// What the rest of the gateway tells a guarded backend.
pub(crate) struct Guard {
    server: String,
    judge: ArcSwap<Judge>,
    /// What the server offered last, unjudged. Locked while an offer is judged, so that the judge
    /// is not another one meanwhile.
    last: tokio::sync::Mutex<Option<Offer>>,
    /// Of the backend that it was put around last: a server of the registry is made anew over the
    /// connections that it has.
    listener: Mutex<Option<Arc<dyn BackendListener>>>,
}

impl Guard {
    pub(super) fn new(name: &str, judge: Judge) -> Self {
        Self {
            server: name.to_owned(),
            judge: ArcSwap::from_pointee(judge),
            last: tokio::sync::Mutex::default(),
            listener: Mutex::default(),
        }
    }

    /// The server that it is for.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Puts this guard around the backend that it is for.
    pub(crate) fn around(self: Arc<Self>, backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
        Arc::new(Guarded {
            backend,
            guard: self,
        })
    }

    pub(super) fn judge(&self) -> Arc<Judge> {
        self.judge.load_full()
    }

    /// Judges what the server offers now.
    async fn pass_offer(&self, offer: Offer) -> Result<Offer, String> {
        let mut last = self.last.lock().await;
        *last = Some(offer.clone());
        judged(self.judge(), offer).await
    }

    /// Puts another judge in the place of the one there is. It has judged what was offered last
    /// before anything more passes; where it cannot, nothing does until it can.
    pub(super) async fn take(&self, judge: Judge) {
        let judge = Arc::new(judge);
        let last = self.last.lock().await;
        if let Some(offer) = last.as_ref()
            && let Err(error) = judged(Arc::clone(&judge), offer.clone()).await
        {
            tracing::error!(target: "mcp_gw::pins", server = %self.server, %error, "a server is out of reach");
            judge.refuse_everything();
        }
        self.judge.store(judge);
        drop(last);
        self.call_back();
    }

    /// Asks for a new judgement.
    pub(super) fn call_back(&self) {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = listener.clone();
        if let Some(listener) = listener {
            listener.on_event(BackendEvent::OfferChanged);
        }
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Each process and each session may be another server: nothing of a client goes there before.
#[async_trait]
impl Vet for Guard {
    fn is_needed(&self) -> bool {
        self.judge().is_strict()
    }

    async fn vet(self: Arc<Self>, offer: Offer) -> Result<Arc<dyn Judgement>, BoxError> {
        let judge = self.judge();
        let differs = tokio::task::spawn_blocking(move || judge.vet(&offer)).await?;
        let differs = differs.map_err(|error| chain(&error))?;
        Ok(Arc::new(Found {
            guard: self,
            differs,
        }))
    }

    fn is_silenced(&self) -> bool {
        self.judge().refuses_everything()
    }
}

/// What was found on one connection.
#[derive(Debug)]
struct Found {
    guard: Arc<Guard>,
    differs: Differs,
}

impl Judgement for Found {
    fn refuses(&self, feature: Feature, name: &str) -> bool {
        let judge = self.guard.judge();
        judge.refuses_there(&self.differs, feature, name)
    }
}

/// Reads and writes a file, and digests what may be megabytes.
async fn judged(judge: Arc<Judge>, offer: Offer) -> Result<Offer, String> {
    tokio::task::spawn_blocking(move || judge.judge(offer))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| chain(&error))
}

impl<B: Backend> Guarded<B> {
    /// Refuses what was refused since the catalogue was made that the call came through.
    fn pass(&self, feature: Feature, name: &str) -> Result<(), BackendError> {
        if self.guard.judge().refuses(feature, name) {
            return Err(BackendError::NotFound {
                feature,
                name: name.to_owned(),
            });
        }
        Ok(())
    }

    /// What a call has come to that was under way when its server was blocked: a result, but nothing
    /// that asks its client for more, nor a task.
    fn pass_result(
        &self,
        result: &RawJson,
        feature: Feature,
        name: &str,
    ) -> Result<(), BackendError> {
        if !self.guard.judge().refuses_everything() {
            return Ok(());
        }
        let kind = result.member("resultType").map(|kind| {
            kind.is_none_or(|kind| {
                kind.decode_owned::<String>()
                    .is_ok_and(|kind| kind == "complete")
            })
        });
        match kind {
            Ok(true) => Ok(()),
            _ => self.pass(feature, name),
        }
    }

    /// A task that was begun before its server was blocked is out of reach with it.
    fn pass_task(&self) -> Result<(), BackendError> {
        if self.guard.judge().refuses_everything() {
            return Err(self.unavailable("it is blocked until its offer is approved".to_owned()));
        }
        Ok(())
    }

    fn unavailable(&self, reason: String) -> BackendError {
        BackendError::Unavailable {
            server: self.backend.name().into(),
            reason,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> Backend for Guarded<B> {
    mcp_gw_core::forward_backend!(|this| this.backend =>
        name, arguments_in_effect, unwatch_task, unsubscribe, check, renew, greet, end_session, roots_changed, close,
        unsupported);

    /// Nothing is offered before it was judged.
    fn offer_now(&self) -> Option<Offer> {
        None
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        let offer = self.backend.offer().await?;
        let judged = self.guard.pass_offer(offer).await;
        judged.map_err(|reason| self.unavailable(reason))
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        self.pass(Feature::Tool, &call.name)?;
        let name = Arc::clone(&call.name);
        let output = self.backend.call_tool(ctx, call).await?;
        self.pass_result(output.as_raw(), Feature::Tool, &name)?;
        Ok(output)
    }

    async fn read_resource(
        &self,
        ctx: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        self.pass(Feature::Resource, &read.uri)?;
        let uri = Arc::clone(&read.uri);
        let result = self.backend.read_resource(ctx, read).await?;
        self.pass_result(&result, Feature::Resource, &uri)?;
        Ok(result)
    }

    async fn get_prompt(&self, ctx: &CallContext, get: PromptGet) -> Result<RawJson, BackendError> {
        self.pass(Feature::Prompt, &get.name)?;
        let name = Arc::clone(&get.name);
        let result = self.backend.get_prompt(ctx, get).await?;
        self.pass_result(&result, Feature::Prompt, &name)?;
        Ok(result)
    }

    async fn complete(
        &self,
        ctx: &CallContext,
        completion: Completion,
    ) -> Result<RawJson, BackendError> {
        match &completion.reference {
            CompletionRef::Prompt(name) => self.pass(Feature::Prompt, name)?,
            CompletionRef::Resource(uri) => {
                self.pass(Feature::ResourceTemplate, uri)?;
                self.pass(Feature::Resource, uri)?;
            }
            // What it is about is not known, so it is held to the strictest.
            _ => self.pass(Feature::Resource, "")?,
        }
        self.backend.complete(ctx, completion).await
    }

    async fn task(&self, ctx: &CallContext, ask: TaskAsk) -> Result<RawJson, BackendError> {
        // What goes on there may be ended, but what it says is not heard.
        if !matches!(ask.method, TaskMethod::Cancel) {
            self.pass_task()?;
        }
        self.backend.task(ctx, ask).await
    }

    async fn watch_task(&self, ctx: &CallContext, task_id: &str) -> Result<(), BackendError> {
        self.pass_task()?;
        self.backend.watch_task(ctx, task_id).await
    }

    async fn resubscribe(&self, uri: &str) -> Result<(), BackendError> {
        self.pass(Feature::Resource, uri)?;
        self.backend.resubscribe(uri).await
    }

    async fn subscribe(&self, ctx: &CallContext, uri: &str) -> Result<(), BackendError> {
        self.pass(Feature::Resource, uri)?;
        self.backend.subscribe(ctx, uri).await
    }

    fn watch(&self, listener: Arc<dyn BackendListener>) {
        // The gateway registers once; a second one would hear of nothing but the pins.
        let of_guard = &self.guard.listener;
        let mut of_guard = of_guard.lock().unwrap_or_else(PoisonError::into_inner);
        *of_guard = Some(Arc::clone(&listener));
        drop(of_guard);
        let guard = Arc::clone(&self.guard);
        self.backend.watch(Arc::new(Heard { guard, listener }));
    }
}

#[cfg(test)]
mod tests;
