//! What a server tells of itself while no call runs.

use std::sync::Arc;

use mcp_gw_core::{BackendEvent, BackendListener};

use super::Guard;

/// Hears a server for as long as it may be heard: what is blocked has nothing to say, either.
pub(super) struct Heard {
    pub(super) guard: Arc<Guard>,
    pub(super) listener: Arc<dyn BackendListener>,
}

impl BackendListener for Heard {
    fn on_event(&self, event: BackendEvent) {
        let is_for_clients = matches!(
            event,
            BackendEvent::ResourceUpdated { .. }
                | BackendEvent::TaskChanged { .. }
                | BackendEvent::ForSession { .. }
        );
        if is_for_clients && self.guard.judge().refuses_everything() {
            tracing::debug!(target: "mcp_gw::pins", server = %self.guard.server, "news of a blocked server are dropped");
            return;
        }
        self.listener.on_event(event);
    }
}
