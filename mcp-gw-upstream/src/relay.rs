//! The methods of a backend over a connection, whatever that runs over.

use std::future::Future;
use std::sync::Arc;

use mcp_gw_core::{
    BackendError, CallContext, Offer, RawJson, SessionKey, ToolOutput, code, jsonrpc,
};

use crate::ask::{Ask, is_modern};
use crate::era::{Era, Hello};
use crate::listen_stream::{Kind, Listening};
use crate::notice::Events;
use crate::settings::Settings;
use crate::subscriptions::Subscriptions;

/// A way to ask one server.
pub(crate) trait Channel: Sync {
    fn settings(&self) -> &Settings;

    /// Who hears of what happens outside of any call.
    fn events(&self) -> &Events;

    /// What is subscribed to at the server.
    fn subscriptions(&self) -> &Subscriptions;

    /// What is wanted of the stream of news, at a server of the new revision.
    fn listening(&self) -> &Listening;

    /// What the server offers now.
    fn offered(&self) -> impl Future<Output = Result<Offer, BackendError>> + Send;

    /// Ends what is held for this client session alone.
    fn end_session(&self, session: &SessionKey);

    /// The client of this session says that its roots have changed.
    fn roots_changed(&self, session: &SessionKey);

    /// Ends all connections for good.
    fn end(&self) -> impl Future<Output = ()> + Send;

    /// What the server said of itself; connects when there is no connection.
    fn hello(&self) -> impl Future<Output = Result<Arc<Hello>, BackendError>> + Send;

    /// Asks, and waits for the result.
    fn ask(
        &self,
        ask: Ask<'_>,
        ctx: Option<&CallContext>,
    ) -> impl Future<Output = Result<RawJson, BackendError>> + Send;
}

/// `tools/call`.
pub(crate) async fn call_tool<C: Channel>(
    channel: &C,
    ctx: &CallContext,
    ask: Ask<'_>,
) -> Result<ToolOutput, BackendError> {
    ToolOutput::from_raw(used(channel, ctx, ask).await?)
        .map_err(|_| channel.settings().protocol("the result is not an object"))
}

/// A request whose result is an object that is handed on.
pub(crate) async fn object<C: Channel>(
    channel: &C,
    ctx: &CallContext,
    ask: Ask<'_>,
) -> Result<RawJson, BackendError> {
    let result = used(channel, ctx, ask).await?;
    if result.is_object() {
        Ok(result)
    } else {
        Err(channel.settings().protocol("the result is not an object"))
    }
}

/// What a client asks for. A state that it brings back must be one that the server gave it; servers
/// of old revisions give none, and would do the work without what they were to be told.
async fn used<C: Channel>(
    channel: &C,
    ctx: &CallContext,
    ask: Ask<'_>,
) -> Result<RawJson, BackendError> {
    let brings_state = ask.brings_state() && is_modern(ctx);
    if brings_state && channel.hello().await?.era == Era::Legacy {
        return Err(BackendError::Rpc(jsonrpc::error_object(
            code::INVALID_PARAMS,
            "Invalid params: `requestState` was not given for this call. Make the call without it.",
            None,
        )));
    }
    channel.ask(ask, Some(ctx)).await
}

/// The first subscriber of a resource asks the server for news of it. Those of the new revision tell
/// them on the one stream of all news.
pub(crate) async fn subscribe<C: Channel>(channel: &C, uri: &str) -> Result<(), BackendError> {
    let ask = Ask::subscribe(uri);
    let first = async || {
        if channel.hello().await?.era == Era::Modern {
            let listening = channel.listening();
            return listening
                .want(channel.settings(), Kind::Resource, uri)
                .await;
        }
        channel.ask(ask, None).await?;
        Ok(())
    };
    let server = &channel.settings().server;
    channel.subscriptions().add(server, uri, first).await
}

/// The last subscriber of a resource ends that.
pub(crate) async fn unsubscribe<C: Channel>(channel: &C, uri: &str) -> Result<(), BackendError> {
    let last = async |()| {
        if channel.listening().unwant(Kind::Resource, uri) {
            return Ok(());
        }
        channel.ask(Ask::unsubscribe(uri), None).await?;
        Ok(())
    };
    channel.subscriptions().remove(uri, last).await
}

/// The first who watches a task asks the server for news of it.
pub(crate) async fn watch_task<C: Channel>(channel: &C, task_id: &str) -> Result<(), BackendError> {
    let (settings, listening) = (channel.settings(), channel.listening());
    let first = async || {
        if channel.hello().await?.era == Era::Legacy {
            return Err(BackendError::Unsupported {
                server: Arc::clone(&settings.server),
                method: "subscriptions/listen",
            });
        }
        listening.want(settings, Kind::Task, task_id).await
    };
    listening.tasks.add(&settings.server, task_id, first).await
}

/// The last who watches a task ends that.
pub(crate) async fn unwatch_task<C: Channel>(channel: &C, task_id: &str) {
    let listening = channel.listening();
    let last = async |()| {
        listening.unwant(Kind::Task, task_id);
        Ok(())
    };
    // Nothing in it can fail.
    let _ = listening.tasks.remove(task_id, last).await;
}

/// Asks whether the server answers.
pub(crate) async fn check<C: Channel>(channel: &C) -> Result<(), BackendError> {
    let ask = match channel.hello().await?.era {
        Era::Modern => Ask::Discover,
        Era::Legacy => Ask::Ping,
    };
    match channel.ask(ask, None).await {
        // A server that says no is there.
        Ok(_) | Err(BackendError::Rpc(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a [`Channel`] a [`Backend`](mcp_gw_core::Backend). A macro, because a trait of another crate
/// cannot be implemented for every type that has one of ours.
macro_rules! backend {
    ($server:ty) => {
        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl mcp_gw_core::Backend for $server {
            fn name(&self) -> &str {
                &$crate::relay::Channel::settings(self).server
            }

            fn offer_now(&self) -> Option<mcp_gw_core::Offer> {
                None
            }

            async fn offer(&self) -> Result<mcp_gw_core::Offer, mcp_gw_core::BackendError> {
                $crate::relay::Channel::offered(self).await
            }

            async fn call_tool(
                &self,
                ctx: &mcp_gw_core::CallContext,
                call: mcp_gw_core::ToolCall,
            ) -> Result<mcp_gw_core::ToolOutput, mcp_gw_core::BackendError> {
                $crate::relay::call_tool(self, ctx, $crate::ask::Ask::Tool(&call)).await
            }

            async fn read_resource(
                &self,
                ctx: &mcp_gw_core::CallContext,
                read: mcp_gw_core::ResourceRead,
            ) -> Result<mcp_gw_core::RawJson, mcp_gw_core::BackendError> {
                $crate::relay::object(self, ctx, $crate::ask::Ask::Resource(&read)).await
            }

            async fn get_prompt(
                &self,
                ctx: &mcp_gw_core::CallContext,
                get: mcp_gw_core::PromptGet,
            ) -> Result<mcp_gw_core::RawJson, mcp_gw_core::BackendError> {
                $crate::relay::object(self, ctx, $crate::ask::Ask::Prompt(&get)).await
            }

            async fn complete(
                &self,
                ctx: &mcp_gw_core::CallContext,
                completion: mcp_gw_core::Completion,
            ) -> Result<mcp_gw_core::RawJson, mcp_gw_core::BackendError> {
                $crate::relay::object(self, ctx, $crate::ask::Ask::Complete(&completion)).await
            }

            async fn task(
                &self,
                ctx: &mcp_gw_core::CallContext,
                ask: mcp_gw_core::TaskAsk,
            ) -> Result<mcp_gw_core::RawJson, mcp_gw_core::BackendError> {
                $crate::relay::object(self, ctx, $crate::ask::Ask::Task(&ask)).await
            }

            async fn watch_task(
                &self,
                _ctx: &mcp_gw_core::CallContext,
                task_id: &str,
            ) -> Result<(), mcp_gw_core::BackendError> {
                $crate::relay::watch_task(self, task_id).await
            }

            async fn unwatch_task(&self, task_id: &str) {
                $crate::relay::unwatch_task(self, task_id).await;
            }

            async fn check(&self) -> Result<(), mcp_gw_core::BackendError> {
                $crate::relay::check(self).await
            }

            fn end_session(&self, session: &mcp_gw_core::SessionKey) {
                $crate::relay::Channel::end_session(self, session);
            }

            fn roots_changed(&self, session: &mcp_gw_core::SessionKey) {
                $crate::relay::Channel::roots_changed(self, session);
            }

            async fn subscribe(
                &self,
                _ctx: &mcp_gw_core::CallContext,
                uri: &str,
            ) -> Result<(), mcp_gw_core::BackendError> {
                $crate::relay::subscribe(self, uri).await
            }

            async fn resubscribe(&self, uri: &str) -> Result<(), mcp_gw_core::BackendError> {
                $crate::relay::subscribe(self, uri).await
            }

            async fn unsubscribe(&self, uri: &str) -> Result<(), mcp_gw_core::BackendError> {
                $crate::relay::unsubscribe(self, uri).await
            }

            fn watch(&self, listener: std::sync::Arc<dyn mcp_gw_core::BackendListener>) {
                $crate::relay::Channel::events(self).watch(listener);
            }

            async fn close(&self) {
                $crate::relay::Channel::end(self).await;
            }

            fn unsupported(&self, method: &'static str) -> mcp_gw_core::BackendError {
                mcp_gw_core::BackendError::Unsupported {
                    server: std::sync::Arc::clone(&$crate::relay::Channel::settings(self).server),
                    method,
                }
            }
        }
    };
}
pub(crate) use backend;
