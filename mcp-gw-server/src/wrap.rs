//! What is put around a backend: a hard limit on the time of one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mcp_gw_core::{
    Backend, BackendError, CallContext, ClientRef, Completion, Offer, PromptGet, RawJson,
    ResourceRead, TaskAsk, ToolCall, ToolOutput,
};
use tokio::time::Instant;

/// Gives up on a call after a fixed time, whatever progress it makes; only the time in which its
/// client answers questions does not count. Giving up drops the call, so that the backend cancels it
/// where it went.
pub(crate) struct Deadline<B> {
    backend: B,
    limit: CallLimit,
    /// Its lists may take so long, though a call may not.
    least_for_lists: Duration,
}

/// How long a call may take: one limit for all servers, which changes while they run. What is under
/// way keeps the one that it began with.
#[derive(Debug, Clone)]
pub(crate) struct CallLimit(Arc<AtomicU64>);

impl CallLimit {
    pub(crate) fn new(limit: Duration) -> Self {
        let shared = Self(Arc::default());
        shared.set(limit);
        shared
    }

    pub(crate) fn set(&self, limit: Duration) {
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl<B: Backend> Deadline<B> {
    pub(crate) const fn new(backend: B, limit: CallLimit, least_for_lists: Duration) -> Self {
        Self {
            backend,
            limit,
            least_for_lists,
        }
    }

    async fn within<T>(
        &self,
        ctx: Option<&CallContext>,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        self.ended(self.limit.get(), ctx, work).await
    }

    async fn ended<T>(
        &self,
        after: Duration,
        ctx: Option<&CallContext>,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let begin = Instant::now();
        let over = async {
            let mut end = begin + after;
            loop {
                tokio::time::sleep_until(end).await;
                let waited = ctx.map_or(Duration::ZERO, |ctx| ctx.link().waited());
                let due = begin + after + waited;
                if due <= end {
                    break;
                }
                // While the client is asked the end recedes; there is no hurry to follow it.
                end = due.max(end + BREATH);
            }
            // Before the work is dropped, which tells the server.
            if let Some(ctx) = ctx {
                ctx.give_up(&format!("No answer came within {} s.", after.as_secs_f64()));
            }
        };
        tokio::select! {
            biased;
            result = work => result,
            () = over => Err(BackendError::Timeout {
                server: self.backend.name().into(),
                after,
            }),
        }
    }
}

/// The shortest time between two looks at a call whose client is asked something.
const BREATH: Duration = Duration::from_millis(100);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> Backend for Deadline<B> {
    mcp_gw_core::forward_backend!(|this| this.backend =>
        name, arguments_in_effect, offer_now, unwatch_task, watch, renew, greet, end_session, roots_changed, close,
        unsupported);

    async fn offer(&self) -> Result<Offer, BackendError> {
        let after = self.limit.get().max(self.least_for_lists);
        self.ended(after, None, self.backend.offer()).await
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        // Tools that do several things want to tell what they did.
        ctx.set_end((Instant::now() + self.limit.get()).into_std());
        self.within(Some(ctx), self.backend.call_tool(ctx, call))
            .await
    }

    async fn read_resource(
        &self,
        ctx: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        self.within(Some(ctx), self.backend.read_resource(ctx, read))
            .await
    }

    async fn get_prompt(&self, ctx: &CallContext, get: PromptGet) -> Result<RawJson, BackendError> {
        self.within(Some(ctx), self.backend.get_prompt(ctx, get))
            .await
    }

    async fn complete(
        &self,
        ctx: &CallContext,
        completion: Completion,
    ) -> Result<RawJson, BackendError> {
        self.within(Some(ctx), self.backend.complete(ctx, completion))
            .await
    }

    async fn task(&self, ctx: &CallContext, ask: TaskAsk) -> Result<RawJson, BackendError> {
        self.within(Some(ctx), self.backend.task(ctx, ask)).await
    }

    async fn watch_task(&self, ctx: &CallContext, task_id: &str) -> Result<(), BackendError> {
        self.within(Some(ctx), self.backend.watch_task(ctx, task_id))
            .await
    }

    async fn check(&self) -> Result<(), BackendError> {
        self.within(None, self.backend.check()).await
    }

    async fn subscribe(&self, ctx: &CallContext, uri: &str) -> Result<(), BackendError> {
        self.within(Some(ctx), self.backend.subscribe(ctx, uri))
            .await
    }

    async fn resubscribe(&self, uri: &str) -> Result<(), BackendError> {
        self.within(None, self.backend.resubscribe(uri)).await
    }

    async fn unsubscribe(&self, uri: &str, client: Option<&ClientRef>) -> Result<(), BackendError> {
        self.within(None, self.backend.unsubscribe(uri, client))
            .await
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::testing::call_context;
    use mcp_gw_core::{
        Arguments, CallNotification, Caller, CallerKind, ClientLink, ClientLinkError, NoClient,
        async_trait,
    };

    use super::*;

    /// A tool that asks, and then works for ever.
    struct Asks;

    #[async_trait]
    impl Backend for Asks {
        fn name(&self) -> &'static str {
            "asks"
        }

        async fn offer(&self) -> Result<Offer, BackendError> {
            Ok(Offer::default())
        }

        async fn call_tool(
            &self,
            ctx: &CallContext,
            _: ToolCall,
        ) -> Result<ToolOutput, BackendError> {
            let nothing = RawJson::empty_object();
            let _ = ctx.link().request("roots/list", nothing).await;
            std::future::pending().await
        }
    }

    /// A client that thinks for ten minutes.
    struct Slow(std::sync::Mutex<Option<Instant>>);

    const THINKS: Duration = Duration::from_secs(600);

    #[async_trait]
    impl ClientLink for Slow {
        fn notify(&self, _: CallNotification) {}

        fn wants_progress(&self) -> bool {
            false
        }

        fn waited(&self) -> Duration {
            let since = *self.0.lock().unwrap();
            since.map_or(Duration::ZERO, |since| since.elapsed().min(THINKS))
        }

        async fn request(&self, _: &str, _: RawJson) -> Result<RawJson, ClientLinkError> {
            *self.0.lock().unwrap() = Some(Instant::now());
            tokio::time::sleep(THINKS).await;
            Ok(RawJson::empty_object())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_in_which_the_client_answers_does_not_count() {
        let link = Arc::new(Slow(std::sync::Mutex::default()));
        let ctx = call_context(Caller::new(CallerKind::Local, "a"), link);
        let limit = CallLimit::new(Duration::from_secs(60));
        let backend = Deadline::new(Asks, limit, Duration::ZERO);
        let begin = Instant::now();
        let call = ToolCall::new("t", Arguments::none());
        let result = backend.call_tool(&ctx, call).await;
        assert!(matches!(result, Err(BackendError::Timeout { .. })));
        let took = begin.elapsed();
        let due = THINKS + Duration::from_secs(60);
        assert!(
            (due..due + Duration::from_secs(1)).contains(&took),
            "{took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn another_limit_is_there_for_the_next_call() {
        let limit = CallLimit::new(Duration::from_secs(60));
        let backend = Deadline::new(Asks, limit.clone(), Duration::ZERO);
        for seconds in [60, 2, 90] {
            limit.set(Duration::from_secs(seconds));
            let link = Arc::new(NoClient::new());
            let ctx = call_context(Caller::new(CallerKind::Local, "a"), link);
            let begin = Instant::now();
            let call = ToolCall::new("t", Arguments::none());
            let result = backend.call_tool(&ctx, call).await;
            let Err(BackendError::Timeout { after, .. }) = result else {
                panic!("{result:?}");
            };
            assert_eq!(after, Duration::from_secs(seconds));
            assert_eq!(begin.elapsed().as_secs(), seconds);
        }
    }
}
