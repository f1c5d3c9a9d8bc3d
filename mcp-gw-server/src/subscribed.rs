//! The resources of which a client that shook hands wants to hear (`resources/subscribe`, revisions
//! up to 2025-11-25).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_gw_core::{Gateway, GatewayError, Incoming, Subscription};

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
    uris: HashMap<Arc<str>, (Incoming, Subscription)>,
    has_ended: bool,
}

/// What becomes of a subscription that the gateway holds.
enum Kept {
    /// It is the client's.
    First,
    /// It is one too many.
    Again,
    /// It is the client's instead of this one.
    InPlaceOf(Incoming, Subscription),
}

impl Subscribed {
    /// Subscribes. A second time goes down the same road, and is counted once; but the server may be
    /// another one since, which knows of no first time.
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
        let held = gateway.subscribe(incoming, uri).await?;
        // Nothing is awaited between the backend's word and this: giving up loses no subscription.
        match self.keep(incoming, uri, held) {
            Kept::First => Ok(()),
            Kept::Again => gateway.unsubscribe(incoming, uri).await,
            Kept::InPlaceOf(asked, before) => {
                gateway.release(&asked, &before).await;
                Ok(())
            }
        }
    }

    fn keep(&self, incoming: &Incoming, uri: &Arc<str>, held: Subscription) -> Kept {
        let mut state = self.lock();
        let before = state.uris.get(uri);
        if state.has_ended || before.is_some_and(|(_, before)| before.is_beside(&held)) {
            return Kept::Again;
        }
        let asked = Incoming::new(Arc::clone(&incoming.caller), Arc::clone(&incoming.meta));
        match state.uris.insert(Arc::clone(uri), (asked, held)) {
            None => Kept::First,
            Some((asked, before)) => Kept::InPlaceOf(asked, before),
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

    /// What is held by no server behind the gateway any more.
    pub(crate) fn lost(&self, gateway: &Gateway) -> Vec<Arc<str>> {
        let state = self.lock();
        let lost = state.uris.iter();
        let lost = lost.filter(|(_, (_, held))| !gateway.holds(held));
        lost.map(|(uri, _)| Arc::clone(uri)).collect()
    }

    /// Asks for what was lost once more; the request that had asked for it, or `None` when nothing was
    /// to be done.
    pub(crate) async fn renew(
        &self,
        gateway: &Gateway,
        uri: &Arc<str>,
    ) -> Result<Option<Incoming>, GatewayError> {
        let _one = self.gate.lock().await;
        let lost = {
            let state = self.lock();
            let known = state.uris.get(uri);
            known.and_then(|(asked, held)| (!gateway.holds(held)).then(|| asked.clone()))
        };
        let Some(asked) = lost else {
            return Ok(None);
        };
        let held = gateway.subscribe_again(&asked, uri).await?;
        match self.keep(&asked, uri, held) {
            Kept::Again => {
                gateway.unsubscribe(&asked, uri).await?;
                Ok(None)
            }
            // There is nothing left to be ended where it was.
            Kept::First | Kept::InPlaceOf(..) => Ok(Some(asked)),
        }
    }

    /// Gives up on what was lost.
    pub(crate) fn forget(&self, uri: &str) {
        self.lock().uris.remove(uri);
    }

    /// The request that subscribed to `uri`.
    pub(crate) fn find(&self, uri: &str) -> Option<Incoming> {
        let state = self.lock();
        state.uris.get(uri).map(|(asked, _)| asked.clone())
    }

    /// Ends all; what is left to be undone.
    pub(crate) fn end(&self, gateway: &Gateway) -> Vec<(Arc<str>, Incoming)> {
        let mut state = self.lock();
        state.has_ended = true;
        let uris = std::mem::take(&mut state.uris);
        drop(state);
        let held = uris
            .into_iter()
            .filter(|(_, (_, held))| gateway.holds(held));
        held.map(|(uri, (asked, _))| (uri, asked)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
