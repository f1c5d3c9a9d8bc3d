//! The table of sessions.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use mcp_gw_core::{Caller, CallerKind};

use super::Session;
use super::seal::Uid;

/// The sessions, by id; and the ids that each caller has.
#[derive(Default)]
pub(super) struct Table {
    pub(super) by_id: HashMap<Arc<str>, Arc<Session>>,
    pub(super) by_caller: HashMap<CallerKey, Vec<Arc<str>>>,
    pub(super) swept: Option<Instant>,
    pub(super) ended: Ended,
    /// Taken out, and to be ended when nobody holds the table.
    pub(super) gone: Vec<Arc<Session>>,
}

/// Sealed ids that were ended before their time, so that they do not come back. As many as fit; the
/// oldest are forgotten.
#[derive(Default)]
pub(super) struct Ended {
    pub(super) uids: HashMap<Uid, SystemTime>,
    pub(super) order: VecDeque<Uid>,
}

impl Ended {
    /// False when it had ended before.
    pub(super) fn insert(&mut self, uid: Uid, expires: SystemTime, most: usize) -> bool {
        if self.uids.insert(uid, expires).is_some() {
            return false;
        }
        self.order.push_back(uid);
        while self.order.len() > most {
            let oldest = self.order.pop_front();
            oldest.and_then(|uid| self.uids.remove(&uid));
        }
        true
    }

    /// Forgets those that would be refused for their age.
    pub(super) fn forget_expired(&mut self, now: SystemTime) {
        self.uids.retain(|_, expires| now < *expires);
        self.order.retain(|uid| self.uids.contains_key(uid));
    }
}

/// What makes two callers the same, see [`Caller::is_same`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CallerKey(CallerKind, Arc<str>, Arc<str>);

impl CallerKey {
    fn of(caller: &Caller) -> Self {
        Self(
            caller.kind,
            Arc::clone(&caller.id),
            Arc::clone(&caller.issuer),
        )
    }
}

impl Table {
    pub(super) fn insert(&mut self, id: Arc<str>, session: Arc<Session>) {
        let own = self
            .by_caller
            .entry(CallerKey::of(&session.client.caller))
            .or_default();
        own.push(Arc::clone(&id));
        self.by_id.insert(id, session);
    }

    /// Takes a session out, to be ended. False when it is not there.
    pub(super) fn end(&mut self, id: &str) -> bool {
        let Some(session) = self.by_id.remove(id) else {
            return false;
        };
        let key = CallerKey::of(&session.client.caller);
        if let Some(own) = self.by_caller.get_mut(&key) {
            own.retain(|other| &**other != id);
            if own.is_empty() {
                self.by_caller.remove(&key);
            }
        }
        self.gone.push(session);
        true
    }

    /// Ends the session of a caller that was not used for longest, if there are as many as there
    /// may be. Sessions at work go last, whatever their age.
    pub(super) fn make_room(&mut self, caller: &Caller, max_per_caller: usize) {
        let Some(own) = self.by_caller.get(&CallerKey::of(caller)) else {
            return;
        };
        if own.len() < max_per_caller {
            return;
        }
        let age = |id: &Arc<str>| {
            let session = self.by_id.get(id);
            session.map(|session| (session.is_at_work(), session.last_used()))
        };
        if let Some(oldest) = own.iter().min_by_key(|id| age(id)).cloned() {
            self.end(&oldest);
        }
    }
}
