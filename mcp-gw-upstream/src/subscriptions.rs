//! What was subscribed to, so that it can be subscribed to again when a server was met anew.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ask::{Ask, SUBSCRIBE};
use crate::settings::Settings;

/// URIs of the resources that a server was asked to watch.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions(Mutex<BTreeSet<Arc<str>>>);

impl Subscriptions {
    /// Remembers what the server has agreed to.
    pub(crate) fn learn(&self, ask: &Ask<'_>) {
        let Ask::Uri { method, uri } = *ask else {
            return;
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if method == SUBSCRIBE {
            all.insert(uri.into());
        } else {
            all.remove(uri);
        }
    }

    /// Everything that is subscribed to.
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(Arc::clone).collect()
    }
}

/// One of them is of no effect any more.
pub(crate) fn warn_refused(settings: &Settings) {
    tracing::warn!(
        target: "mcp_gw::upstream",
        server = &*settings.server,
        "the server does not take a subscription again that it took before"
    );
}
