//! The methods of a backend over a connection, whatever that runs over.

use std::future::Future;
use std::sync::Arc;

use mcp_gw_core::{BackendError, CallContext, RawJson, ToolOutput};

use crate::ask::Ask;
use crate::era::{Era, Hello};
use crate::settings::Settings;
use crate::subscriptions::Subscriptions;

/// A way to ask one server.
pub(crate) trait Channel: Sync {
    fn settings(&self) -> &Settings;

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
    ToolOutput::from_raw(channel.ask(ask, Some(ctx)).await?)
        .map_err(|_| channel.settings().protocol("the result is not an object"))
}

/// A request whose result is an object that is handed on.
pub(crate) async fn object<C: Channel>(
    channel: &C,
    ctx: &CallContext,
    ask: Ask<'_>,
) -> Result<RawJson, BackendError> {
    let result = channel.ask(ask, Some(ctx)).await?;
    if result.is_object() {
        Ok(result)
    } else {
        Err(channel.settings().protocol("the result is not an object"))
    }
}

/// `resources/subscribe` and `resources/unsubscribe`, which servers of the new revision lack.
pub(crate) async fn subscription<C: Channel>(
    channel: &C,
    subscriptions: &Subscriptions,
    ask: Ask<'_>,
) -> Result<(), BackendError> {
    if channel.hello().await?.era == Era::Modern {
        return Err(BackendError::Unsupported {
            server: Arc::clone(&channel.settings().server),
            method: ask.method(),
        });
    }
    channel.ask(ask, None).await?;
    subscriptions.learn(&ask);
    Ok(())
}
