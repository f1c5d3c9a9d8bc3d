//! The resources of which a client that shook hands wants to hear (`resources/subscribe`, revisions
//! up to 2025-11-25).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_gw_core::{Gateway, GatewayError, Incoming, Subscription};

use crate::moved::{Place, place};

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
    /// By URI.
    uris: HashMap<Arc<str>, Entry>,
    has_ended: bool,
}

/// One subscription.
#[derive(Debug)]
struct Entry {
    asked: Incoming,
    held: Subscription,
    place: Place,
}

impl Entry {
    /// False when nothing will be heard of it any more.
    fn is_alive(&self, gateway: &Gateway, uri: &str) -> bool {
        gateway.holds(&self.held) && place(gateway, &self.asked, uri) == self.place
    }
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
        let place = place(gateway, incoming, uri);
        match self.keep(incoming, uri, held, place) {
            Kept::First => Ok(()),
            Kept::Again => gateway.unsubscribe(incoming, uri).await,
            Kept::InPlaceOf(asked, before) => {
                gateway.release(&asked, &before).await;
                Ok(())
            }
        }
    }

    fn keep(&self, incoming: &Incoming, uri: &Arc<str>, held: Subscription, place: Place) -> Kept {
        let mut state = self.lock();
        let has_ended = state.has_ended;
        if let Some(before) = state.uris.get_mut(uri)
            && before.held.is_beside(&held)
        {
            before.place = place;
            return Kept::Again;
        }
        if has_ended {
            return Kept::Again;
        }
        let asked = Incoming::new(Arc::clone(&incoming.caller), Arc::clone(&incoming.meta));
        let entry = Entry { asked, held, place };
        match state.uris.insert(Arc::clone(uri), entry) {
            None => Kept::First,
            Some(before) => Kept::InPlaceOf(before.asked, before.held),
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
            Some(entry) if entry.is_alive(gateway, uri) => gateway.unsubscribe(incoming, uri).await,
            Some(entry) => {
                gateway.release(&entry.asked, &entry.held).await;
                Ok(())
            }
        }
    }

    /// What is held by no server behind the gateway any more, or leads elsewhere now.
    pub(crate) fn lost(&self, gateway: &Gateway) -> Vec<Arc<str>> {
        let state = self.lock();
        let lost = state.uris.iter();
        let lost = lost.filter(|(uri, entry)| !entry.is_alive(gateway, uri));
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
            let lost = known.filter(|entry| !entry.is_alive(gateway, uri));
            lost.map(|entry| entry.asked.clone())
        };
        let Some(asked) = lost else {
            return Ok(None);
        };
        let held = gateway.subscribe_again(&asked, uri).await?;
        let place = place(gateway, &asked, uri);
        match self.keep(&asked, uri, held, place) {
            Kept::Again => {
                gateway.unsubscribe(&asked, uri).await?;
                Ok(None)
            }
            Kept::First => Ok(Some(asked)),
            // Its server may have stayed.
            Kept::InPlaceOf(before_asked, before) => {
                gateway.release(&before_asked, &before).await;
                Ok(Some(asked))
            }
        }
    }

    /// Gives up on what was lost, unless it was found meanwhile.
    pub(crate) async fn forget(&self, gateway: &Gateway, uri: &str) {
        let _one = self.gate.lock().await;
        let lost = {
            let mut state = self.lock();
            let is_lost = |entry: &Entry| !entry.is_alive(gateway, uri);
            if state.uris.get(uri).is_some_and(is_lost) {
                state.uris.remove(uri)
            } else {
                None
            }
        };
        if let Some(entry) = lost {
            gateway.release(&entry.asked, &entry.held).await;
        }
    }

    /// The request that subscribed to `uri`.
    pub(crate) fn find(&self, uri: &str) -> Option<Incoming> {
        let state = self.lock();
        state.uris.get(uri).map(|entry| entry.asked.clone())
    }

    /// Ends all; what is left to be undone.
    pub(crate) fn end(&self, gateway: &Gateway) -> Vec<(Arc<str>, Incoming)> {
        let mut state = self.lock();
        state.has_ended = true;
        let uris = std::mem::take(&mut state.uris);
        drop(state);
        let held = uris
            .into_iter()
            .filter(|(uri, entry)| entry.is_alive(gateway, uri));
        held.map(|(uri, entry)| (uri, entry.asked)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
