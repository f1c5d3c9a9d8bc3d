//! Requests that bring a client's answers to a call that waits for them (MCP 2026-07-28,
//! basic/patterns/mrtr). On the wire each is a request of its own, and it is treated as one.

use super::{Cost, Use};
use crate::audit::{AuditScope, Outcome};
use crate::context::Incoming;
use crate::error::GatewayError;
use crate::gateway::Gateway;
use crate::policy::Feature;
use crate::tool::Arguments;

/// A request that may go on with its call; its audit event is still open. Dropping it records that
/// the request was given up.
#[must_use]
pub struct Resumed<'g>(AuditScope<'g>);

impl std::fmt::Debug for Resumed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resumed").finish_non_exhaustive()
    }
}

impl Resumed<'_> {
    /// Closes the audit event: how the round ended, and the size of its answer in bytes. The event
    /// of the call itself is closed when the call ends.
    pub fn finish(mut self, outcome: Outcome, response_bytes: usize) {
        self.0.event.response_bytes = response_bytes;
        self.0.close(outcome);
    }
}

impl Gateway {
    /// The road of a request that goes on with a call which waits for its client: audit, look-up,
    /// limit, decision, with the arguments of the call, which the request must repeat. Nothing is
    /// called: the call that waits is under way.
    ///
    /// Such a request costs what any other does: else a server and a client could go on asking and
    /// answering for nothing, and rights that were taken away would last as long as the call. But it
    /// needs no place among what is under way: the call has one ([`Charge::goes_on`]).
    ///
    /// [`Charge::goes_on`]: crate::Charge::goes_on
    ///
    /// # Errors
    /// When the limit is reached, or the caller may not make this call any more.
    pub async fn resume(
        &self,
        incoming: &Incoming,
        feature: Feature,
        name: &str,
        arguments: Option<&Arguments>,
    ) -> Result<Resumed<'_>, GatewayError> {
        let what = Use {
            method: match feature {
                Feature::Tool => "tools/call",
                Feature::Prompt => "prompts/get",
                Feature::Resource | Feature::ResourceTemplate => "resources/read",
            },
            feature,
            name,
            arguments,
            earlier: None,
        };
        let (scope, _) = self.admitted(incoming, &what, Cost::GoesOn).await?;
        Ok(Resumed(scope))
    }
}
