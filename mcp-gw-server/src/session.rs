//! Sessions of clients that begin with `initialize` over HTTP: unguessable, bound to their caller,
//! bounded in number, forgotten when idle.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mcp_gw_core::{Caller, Clock};

use crate::client::Client;
#[cfg(test)]
use crate::outbox::Outbox;
#[cfg(test)]
use crate::revision::Revision;

/// Bounds for sessions.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SessionLimits {
    /// A session that is not used for this long is forgotten.
    pub idle_timeout: Duration,
    /// How many one caller may have; the one longest unused makes room.
    pub max_per_caller: usize,
    /// How many there may be in all; beyond, new ones are refused.
    pub max_total: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30 * 60),
            max_per_caller: 64,
            max_total: 4096,
        }
    }
}

impl SessionLimits {
    /// These bounds; each at least one.
    pub fn new(idle_timeout: Duration, max_per_caller: usize, max_total: usize) -> Self {
        Self {
            idle_timeout,
            max_per_caller: max_per_caller.max(1),
            max_total: max_total.max(1),
        }
    }
}

/// What the gateway remembers of a client between its requests.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Arc<Client>,
    last_used: Mutex<Instant>,
}

impl Session {
    fn last_used(&self) -> Instant {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why no session could be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionRefusal {
    /// There are as many as there may be.
    Full,
    /// The system gives no random numbers.
    NoRandomness,
}

pub(crate) struct Sessions {
    limits: SessionLimits,
    clock: Arc<dyn Clock>,
    table: Mutex<HashMap<String, Arc<Session>>>,
}

impl Sessions {
    pub(crate) fn new(limits: SessionLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            limits,
            clock,
            table: Mutex::default(),
        }
    }

    /// Opens a session and gives its id: 128 random bits as visible ASCII.
    pub(crate) fn open(&self, client: impl Into<Arc<Client>>) -> Result<String, SessionRefusal> {
        let client = client.into();
        let id = random_id().ok_or(SessionRefusal::NoRandomness)?;
        let now = self.clock.now();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget_idle(&mut table, now);
        let own = table
            .iter()
            .filter(|(_, session)| session.client.caller.is_same(&client.caller));
        if own.clone().count() >= self.limits.max_per_caller {
            // Sessions at work go last, whatever their age.
            let oldest = own
                .min_by_key(|(_, session)| {
                    (session.client.in_flight.len() > 0, session.last_used())
                })
                .map(|(id, _)| id.clone());
            if let Some(session) = oldest.and_then(|id| table.remove(&id)) {
                session.client.end();
            }
        }
        if table.len() >= self.limits.max_total {
            return Err(SessionRefusal::Full);
        }
        let session = Session {
            client,
            last_used: Mutex::new(now),
        };
        table.insert(id.clone(), Arc::new(session));
        Ok(id)
    }

    /// The session of this id, if it is this caller's. Somebody else's is as good as none.
    pub(crate) fn find(&self, id: &str, caller: &Caller) -> Option<Arc<Session>> {
        let now = self.clock.now();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let session = table.get(id)?;
        if self.is_idle(session, now) {
            table.remove(id);
            return None;
        }
        if !session.client.caller.is_same(caller) {
            return None;
        }
        *session
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now;
        Some(Arc::clone(session))
    }

    /// Ends a session and cancels what is open in it. False when it is not this caller's.
    pub(crate) fn close(&self, id: &str, caller: &Caller) -> bool {
        if self.find(id, caller).is_none() {
            return false;
        }
        let session = self
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        if let Some(session) = session {
            session.client.end();
        }
        true
    }

    fn forget_idle(&self, table: &mut HashMap<String, Arc<Session>>, now: Instant) {
        table.retain(|_, session| !self.is_idle(session, now));
    }

    fn is_idle(&self, session: &Session, now: Instant) -> bool {
        session.client.in_flight.len() == 0
            && now.saturating_duration_since(session.last_used()) >= self.limits.idle_timeout
    }
}

/// 128 random bits in hexadecimal.
fn random_id() -> Option<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(
        bytes
            .iter()
            .fold(String::with_capacity(32), |mut id, byte| {
                let _ = write!(id, "{byte:02x}");
                id
            }),
    )
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::CallerKind;
    use mcp_gw_core::testing::ManualClock;

    use super::*;

    fn sessions(per_caller: usize, total: usize) -> (Sessions, ManualClock) {
        let clock = ManualClock::new();
        let limits = SessionLimits::new(Duration::from_secs(60), per_caller, total);
        (Sessions::new(limits, Arc::new(clock.clone())), clock)
    }

    fn caller(id: &str) -> Arc<Caller> {
        Arc::new(Caller::new(CallerKind::ApiKey, id))
    }

    fn open(sessions: &Sessions, id: &str) -> Result<String, SessionRefusal> {
        let revision = Revision::V2025_11_25;
        sessions.open(Client::new(
            caller(id),
            revision,
            None,
            None,
            Outbox::closed(),
        ))
    }

    #[test]
    fn a_session_is_its_callers_alone() {
        let (sessions, _) = sessions(8, 8);
        let id = open(&sessions, "a").unwrap();
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_graphic()));
        assert!(sessions.find(&id, &caller("b")).is_none());
        assert!(!sessions.close(&id, &caller("b")));
        assert!(sessions.find(&id, &caller("a")).is_some());
        assert!(sessions.close(&id, &caller("a")));
        assert!(sessions.find(&id, &caller("a")).is_none());
    }

    #[test]
    fn an_idle_session_is_forgotten_unless_it_is_at_work() {
        let (sessions, clock) = sessions(8, 8);
        let (idle, busy) = (open(&sessions, "a").unwrap(), open(&sessions, "a").unwrap());
        let session = sessions.find(&busy, &caller("a")).unwrap();
        let work = session.client.in_flight.open(b"1", 9).unwrap();
        clock.advance(Duration::from_secs(59));
        assert!(sessions.find(&idle, &caller("a")).is_some());
        clock.advance(Duration::from_secs(60));
        assert!(sessions.find(&idle, &caller("a")).is_none());
        assert!(sessions.find(&busy, &caller("a")).is_some());
        drop(work);
        clock.advance(Duration::from_secs(60));
        assert!(sessions.find(&busy, &caller("a")).is_none());
    }

    #[test]
    fn a_caller_with_too_many_loses_its_oldest_and_nobody_elses() {
        let (sessions, clock) = sessions(2, 3);
        let first = open(&sessions, "a").unwrap();
        clock.advance(Duration::from_secs(1));
        let second = open(&sessions, "a").unwrap();
        let other = open(&sessions, "b").unwrap();
        let third = open(&sessions, "a").unwrap();
        assert!(sessions.find(&first, &caller("a")).is_none());
        assert!(sessions.find(&second, &caller("a")).is_some());
        assert!(sessions.find(&third, &caller("a")).is_some());
        assert!(sessions.find(&other, &caller("b")).is_some());
        assert_eq!(open(&sessions, "c").unwrap_err(), SessionRefusal::Full);
    }
}
