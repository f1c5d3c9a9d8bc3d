//! What is put around a backend: a hard limit on the time of one call.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp_gw_core::{
    Backend, BackendError, BackendListener, CallContext, Completion, Offer, PromptGet, RawJson,
    ResourceRead, SessionKey, TaskAsk, ToolCall, ToolOutput,
};

/// Gives up on a call after a fixed time, whatever progress it makes. Giving up drops the call, so
/// that the backend cancels it where it went.
pub(crate) struct Deadline<B> {
    backend: B,
    after: Duration,
}

impl<B: Backend> Deadline<B> {
    pub(crate) const fn new(backend: B, after: Duration) -> Self {
        Self { backend, after }
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        tokio::time::timeout(self.after, work)
            .await
            .unwrap_or_else(|_| {
                Err(BackendError::Timeout {
                    server: self.backend.name().into(),
                    after: self.after,
                })
            })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> Backend for Deadline<B> {
    fn name(&self) -> &str {
        self.backend.name()
    }

    fn offer_now(&self) -> Option<Offer> {
        self.backend.offer_now()
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        self.backend.offer().await
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        self.within(self.backend.call_tool(ctx, call)).await
    }

    async fn read_resource(
        &self,
        ctx: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        self.within(self.backend.read_resource(ctx, read)).await
    }

    async fn get_prompt(&self, ctx: &CallContext, get: PromptGet) -> Result<RawJson, BackendError> {
        self.within(self.backend.get_prompt(ctx, get)).await
    }

    async fn complete(
        &self,
        ctx: &CallContext,
        completion: Completion,
    ) -> Result<RawJson, BackendError> {
        self.within(self.backend.complete(ctx, completion)).await
    }

    async fn task(&self, ctx: &CallContext, ask: TaskAsk) -> Result<RawJson, BackendError> {
        self.within(self.backend.task(ctx, ask)).await
    }

    async fn watch_task(&self, ctx: &CallContext, task_id: &str) -> Result<(), BackendError> {
        self.within(self.backend.watch_task(ctx, task_id)).await
    }

    async fn unwatch_task(&self, task_id: &str) {
        self.backend.unwatch_task(task_id).await;
    }

    async fn check(&self) -> Result<(), BackendError> {
        self.within(self.backend.check()).await
    }

    fn end_session(&self, session: &SessionKey) {
        self.backend.end_session(session);
    }

    fn roots_changed(&self, session: &SessionKey) {
        self.backend.roots_changed(session);
    }

    async fn subscribe(&self, ctx: &CallContext, uri: &str) -> Result<(), BackendError> {
        self.within(self.backend.subscribe(ctx, uri)).await
    }

    async fn resubscribe(&self, uri: &str) -> Result<(), BackendError> {
        self.within(self.backend.resubscribe(uri)).await
    }

    async fn unsubscribe(&self, uri: &str) -> Result<(), BackendError> {
        self.within(self.backend.unsubscribe(uri)).await
    }

    fn watch(&self, listener: Arc<dyn BackendListener>) {
        self.backend.watch(listener);
    }

    async fn close(&self) {
        self.backend.close().await;
    }

    fn unsupported(&self, method: &'static str) -> BackendError {
        self.backend.unsupported(method)
    }
}
