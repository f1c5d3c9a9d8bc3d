//! Messages for a client that belong to none of its requests: list changes, updates of resources,
//! log messages without a call.

use mcp_gw_core::RawJson;
use tokio::sync::mpsc;

/// Where such messages go. A cheap clone.
#[derive(Debug, Clone)]
pub(crate) struct Outbox(Way);

#[derive(Debug, Clone)]
enum Way {
    /// Nobody listens.
    Closed,
    /// The one stream of a connection (stdio).
    Lines(mpsc::Sender<RawJson>),
}

impl Outbox {
    /// An outbox that nobody empties.
    pub(crate) const fn closed() -> Self {
        Self(Way::Closed)
    }

    /// An outbox whose messages go out through `lines`.
    pub(crate) const fn lines(lines: mpsc::Sender<RawJson>) -> Self {
        Self(Way::Lines(lines))
    }

    /// Sends a message without waiting. False when it is lost: nobody listens, or the client does
    /// not read.
    pub(crate) fn send(&self, message: RawJson) -> bool {
        match &self.0 {
            Way::Closed => false,
            Way::Lines(lines) => lines.try_send(message).is_ok(),
        }
    }
}
