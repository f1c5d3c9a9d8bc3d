//! The resources of which a client that shook hands wants to hear (`resources/subscribe`, revisions
//! up to 2025-11-25).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_gw_core::{Gateway, GatewayError, Incoming};

/// So many resources one client may subscribe to.
const LONGEST: usize = 1024;

/// The subscriptions of one client. Each is asked of the gateway once, and ended once.
#[derive(Debug, Default)]
pub(crate) struct Subscribed {
    /// One change at a time.
    gate: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By URI, with the request that asked for it.
    uris: HashMap<Arc<str>, Incoming>,
    has_ended: bool,
}

impl Subscribed {
    /// Subscribes. A second time goes down the same road, and is counted once.
    pub(crate) async fn add(
        &self,
        gateway: &Gateway,
        incoming: &Incoming,
        uri: &Arc<str>,
    ) -> Result<(), GatewayError> {
        let _one = self.gate.lock().await;
        {
            let state = self.lock();
            if !state.uris.contains_key(uri) && state.uris.len() >= LONGEST {
                return Err(GatewayError::InvalidParams {
                    message: format!("a client may subscribe to {LONGEST} resources"),
                });
            }
        }
        gateway.subscribe(incoming, uri).await?;
        // Nothing is awaited between the backend's word and this: giving up loses no subscription.
        let is_new = {
            let mut state = self.lock();
            let is_new = !state.has_ended && !state.uris.contains_key(uri);
            if is_new {
                let asked = Incoming::new(Arc::clone(&incoming.caller), Arc::clone(&incoming.meta));
                state.uris.insert(Arc::clone(uri), asked);
            }
            is_new
        };
        if is_new {
            Ok(())
        } else {
            gateway.unsubscribe(incoming, uri).await
        }
    }

    /// Ends a subscription. What was never subscribed to is no fault.
    pub(crate) async fn remove(
        &self,
        gateway: &Gateway,
        incoming: &Incoming,
        uri: &str,
    ) -> Result<(), GatewayError> {
        let _one = self.gate.lock().await;
        let known = self.lock().uris.remove(uri);
        match known {
            None => Ok(()),
            Some(_) => gateway.unsubscribe(incoming, uri).await,
        }
    }

    /// The request that subscribed to `uri`.
    pub(crate) fn find(&self, uri: &str) -> Option<Incoming> {
        self.lock().uris.get(uri).cloned()
    }

    /// Ends all; what is left to be undone.
    pub(crate) fn end(&self) -> HashMap<Arc<str>, Incoming> {
        let mut state = self.lock();
        state.has_ended = true;
        std::mem::take(&mut state.uris)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
