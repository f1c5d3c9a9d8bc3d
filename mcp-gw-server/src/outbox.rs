//! Messages for a client that belong to none of its requests: list changes, updates of resources,
//! log messages without a call.

use std::sync::Arc;

use mcp_gw_core::RawJson;
use tokio::sync::mpsc;

use crate::http::journal::Journal;

/// Where such messages go. A cheap clone.
#[derive(Debug, Clone)]
pub(crate) struct Outbox(Way);

#[derive(Debug, Clone)]
enum Way {
    /// The one stream of a connection (stdio).
    Lines(mpsc::Sender<RawJson>),
    /// The stream of a session that a GET opens; until then they wait.
    Journal(Arc<Journal>),
}

impl Outbox {
    /// An outbox whose messages go out through `lines`.
    pub(crate) const fn lines(lines: mpsc::Sender<RawJson>) -> Self {
        Self(Way::Lines(lines))
    }

    /// An outbox whose messages wait in `journal`.
    pub(crate) const fn journal(journal: Arc<Journal>) -> Self {
        Self(Way::Journal(journal))
    }

    /// Sends a message without waiting. False when it is lost: nobody listens, or the client does
    /// not read.
    pub(crate) fn send(&self, message: RawJson) -> bool {
        match &self.0 {
            Way::Lines(lines) => lines.try_send(message).is_ok(),
            Way::Journal(journal) => journal.send(message),
        }
    }
}
