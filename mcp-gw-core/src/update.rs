//! Who may hear of an update: a question that the gateway asks itself.

use crate::context::Incoming;
use crate::gateway::Gateway;
use crate::policy::{AccessRequest, Feature, Phase};

impl Gateway {
    /// True when the caller may read the resource now. Like [`Gateway::may_see`] it is a question of
    /// the gateway itself, neither limited nor audited: whether to tell of an update.
    pub async fn may_read(&self, incoming: &Incoming, uri: &str) -> bool {
        let catalogue = self.catalogue();
        let Some(entry) = catalogue.find_resource(uri) else {
            return false;
        };
        let request = AccessRequest {
            caller: &incoming.caller,
            meta: &incoming.meta,
            method: "resources/read",
            feature: Feature::Resource,
            phase: Phase::Call,
            name: uri,
            upstream_name: &entry.upstream_key,
            server: &entry.server,
            tool: None,
            arguments: None,
        };
        self.inner.policy.decide(&request).await.is_allowed()
    }
}
