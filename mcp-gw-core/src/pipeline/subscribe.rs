//! Subscriptions to updates of resources (`resources/subscribe`, `subscriptions/listen`).

use std::sync::{Arc, Weak};

use super::{Cost, Use, catch_panic, describe};
use crate::audit::Outcome;
use crate::backend::Backend;
use crate::context::{ClientRef, Incoming};
use crate::error::GatewayError;
use crate::gateway::Gateway;
use crate::policy::Feature;

/// Where a subscription is held, see [`Gateway::subscribe`]. Another backend in that one's place
/// knows nothing of it.
#[derive(Clone)]
pub struct Subscription {
    backend: Weak<dyn Backend>,
    upstream: Arc<str>,
}

impl Subscription {
    /// True when both are of the same resource, and the same backend counts both.
    pub fn is_beside(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.backend, &other.backend) && self.upstream == other.upstream
    }

    fn is_at(&self, backend: &Arc<dyn Backend>) -> bool {
        std::ptr::addr_eq(self.backend.as_ptr(), Arc::as_ptr(backend))
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Subscription").field(&self.upstream).finish()
    }
}

impl Gateway {
    /// Subscribes to updates of a resource on behalf of the caller; the answer says where that is held.
    ///
    /// # Errors
    /// When the caller may not, or the backend cannot tell of updates.
    pub async fn subscribe(
        &self,
        incoming: &Incoming,
        uri: &str,
    ) -> Result<Subscription, GatewayError> {
        self.subscribe_at(incoming, uri, Cost::Full).await
    }

    /// Makes a [`Gateway::subscribe`] once more, as the backend that held it has gone and another one
    /// may have come: the same road, except that it is not charged again.
    ///
    /// # Errors
    /// As there.
    pub async fn subscribe_again(
        &self,
        incoming: &Incoming,
        uri: &str,
    ) -> Result<Subscription, GatewayError> {
        self.subscribe_at(incoming, uri, Cost::Paid).await
    }

    /// False when the backend that holds this is behind the gateway no more: nothing will be heard of it.
    pub fn holds(&self, held: &Subscription) -> bool {
        self.backends().iter().any(|backend| held.is_at(backend))
    }

    async fn subscribe_at(
        &self,
        incoming: &Incoming,
        uri: &str,
        cost: Cost,
    ) -> Result<Subscription, GatewayError> {
        let what = Use {
            method: "resources/subscribe",
            feature: Feature::Resource,
            name: uri,
            arguments: None,
            earlier: None,
        };
        let run = self.begin_at(incoming, &what, cost).await?;
        let held = Subscription {
            backend: Arc::downgrade(&run.backend),
            upstream: run.upstream_key(),
        };
        let answer = catch_panic(run.backend.subscribe(&run.ctx, &run.upstream_key)).await;
        let answer = run.shown_error(answer);
        run.finish(answer)?;
        Ok(held)
    }

    /// Ends a [`Gateway::subscribe`] of which the resource is another one by now, where it is held. A
    /// backend that went has forgotten it; and as it can only reduce, nobody is asked.
    pub async fn release(&self, incoming: &Incoming, held: &Subscription) {
        let backends = self.backends();
        let at = |backend: &&Arc<dyn Backend>| held.is_at(backend);
        if let Some(backend) = backends.iter().find(at) {
            let client = ClientRef::of(incoming);
            let ended = catch_panic(backend.unsubscribe(&held.upstream, Some(&client))).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::debug!(
                    target: "mcp_gw::core",
                    server = backend.name(),
                    "a subscription cannot be ended"
                );
            }
        }
    }

    /// Ends [`Gateway::subscribe`]. It can only reduce, so nobody is asked.
    ///
    /// # Errors
    /// When there is no such resource, or its backend cannot be asked.
    pub async fn unsubscribe(&self, incoming: &Incoming, uri: &str) -> Result<(), GatewayError> {
        let mut scope = self.audit(
            Some(&incoming.caller),
            &incoming.meta,
            "resources/unsubscribe",
        );
        scope.name(uri);
        let target = self.catalogue_of(incoming).target(Feature::Resource, uri);
        let result = match target {
            None => Err(GatewayError::Unknown {
                feature: Feature::Resource,
                name: uri.to_owned(),
            }),
            Some(target) => {
                scope.name(&target.canonical);
                scope.event.name_known = true;
                scope.event.server = Some(target.server);
                scope.event.backend_asked = true;
                let answer = catch_panic(
                    target
                        .backend
                        .unsubscribe(&target.upstream, Some(&ClientRef::of(incoming))),
                )
                .await;
                answer.and_then(|answer| answer.map_err(GatewayError::from))
            }
        };
        let outcome = match &result {
            Ok(()) => Outcome::Ok,
            Err(error) => {
                scope.event.error = Some(describe(error));
                Outcome::Error(error.class())
            }
        };
        scope.close(outcome);
        result
    }
}
