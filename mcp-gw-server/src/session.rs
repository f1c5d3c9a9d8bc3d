//! Sessions of clients that begin with `initialize` over HTTP: unguessable, bound to their caller,
//! bounded in number, forgotten when idle.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mcp_gw_core::{Caller, CallerKind, Clock};

use crate::client::Client;
use crate::http::journal::{Journal, ReplayLimits};
use crate::outbox::Outbox;

/// Bounds for sessions.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SessionLimits {
    /// A session that is not used for this long is forgotten. An open request or stream is use.
    pub idle_timeout: Duration,
    /// How many one caller may have; the one longest unused makes room.
    pub max_per_caller: usize,
    /// How many there may be in all; beyond, new ones are refused.
    pub max_total: usize,
    /// What is kept of the streams of a session.
    pub replay: ReplayLimits,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30 * 60),
            max_per_caller: 64,
            max_total: 4096,
            replay: ReplayLimits::default(),
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
            replay: ReplayLimits::default(),
        }
    }

    /// Sets what is kept of the streams of a session.
    #[must_use]
    pub const fn with_replay(mut self, replay: ReplayLimits) -> Self {
        self.replay = replay;
        self
    }

    /// How often it is worth to look for what is over.
    pub(crate) fn sweep_interval(&self) -> Duration {
        let shortest = self.idle_timeout.min(self.replay.age);
        (shortest / 4).clamp(Duration::from_secs(1), Duration::from_secs(30))
    }
}

/// What the gateway remembers of a client between its requests.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Arc<Client>,
    /// What goes to the client.
    pub(crate) journal: Arc<Journal>,
    last_used: Mutex<Instant>,
}

impl Session {
    fn last_used(&self) -> Instant {
        let used = *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        used.max(self.journal.last_left().unwrap_or(used))
    }

    fn touch(&self, now: Instant) {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Something goes on in it.
    fn is_at_work(&self) -> bool {
        self.client.in_flight.len() > 0 || self.journal.is_read()
    }

    /// Cancels what is open and ends every stream.
    fn end(&self) {
        self.client.in_flight.cancel_all();
        self.journal.close();
    }
}

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionRefusal {
    /// There are as many as there may be.
    Full,
    /// The system gives no random numbers.
    NoRandomness,
    /// It has ended, never was, or is somebody else's.
    Unknown,
}

pub(crate) struct Sessions {
    limits: SessionLimits,
    clock: Arc<dyn Clock>,
    /// Bytes that the journals of all sessions keep.
    kept: Arc<AtomicUsize>,
    table: Mutex<Table>,
    is_swept: AtomicBool,
}

/// The sessions, by id; and the ids that each caller has.
#[derive(Default)]
struct Table {
    by_id: HashMap<Arc<str>, Arc<Session>>,
    by_caller: HashMap<CallerKey, Vec<Arc<str>>>,
    swept: Option<Instant>,
}

/// What makes two callers the same, see [`Caller::is_same`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CallerKey(CallerKind, Arc<str>, Arc<str>);

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
    fn insert(&mut self, id: Arc<str>, session: Arc<Session>) {
        let own = self
            .by_caller
            .entry(CallerKey::of(&session.client.caller))
            .or_default();
        own.push(Arc::clone(&id));
        self.by_id.insert(id, session);
    }

    /// Takes a session out and ends it.
    fn end(&mut self, id: &str) {
        let Some(session) = self.by_id.remove(id) else {
            return;
        };
        let key = CallerKey::of(&session.client.caller);
        if let Some(own) = self.by_caller.get_mut(&key) {
            own.retain(|other| &**other != id);
            if own.is_empty() {
                self.by_caller.remove(&key);
            }
        }
        session.end();
    }

    /// Ends the session of a caller that was not used for longest, if there are as many as there
    /// may be. Sessions at work go last, whatever their age.
    fn make_room(&mut self, caller: &Caller, max_per_caller: usize) {
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

impl Sessions {
    pub(crate) fn new(limits: SessionLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            limits,
            clock,
            kept: Arc::default(),
            table: Mutex::default(),
            is_swept: AtomicBool::new(false),
        }
    }

    /// Opens a session and gives its id: 128 random bits as visible ASCII.
    pub(crate) fn open(
        &self,
        client: impl FnOnce(Outbox) -> Client,
    ) -> Result<Arc<str>, SessionRefusal> {
        let id: Arc<str> = random_id().ok_or(SessionRefusal::NoRandomness)?.into();
        let journal = Journal::new(
            self.limits.replay,
            Arc::clone(&self.clock),
            Arc::clone(&self.kept),
        );
        let session = Session {
            client: Arc::new(client(Outbox::journal(Arc::clone(&journal)))),
            journal,
            last_used: Mutex::new(self.clock.now()),
        };
        self.admit(Arc::clone(&id), Arc::new(session))?;
        Ok(id)
    }

    /// Puts a session into the table, within the bounds.
    fn admit(&self, id: Arc<str>, session: Arc<Session>) -> Result<(), SessionRefusal> {
        let now = self.clock.now();
        let mut table = self.lock();
        table.make_room(&session.client.caller, self.limits.max_per_caller);
        if table.by_id.len() >= self.limits.max_total {
            // Only now is it worth to look at all of them, and not for every one that is refused.
            let pause = self.limits.sweep_interval();
            let swept = table.swept;
            if swept.is_none_or(|then| now.saturating_duration_since(then) >= pause) {
                self.forget_idle(&mut table, now);
            }
            if table.by_id.len() >= self.limits.max_total {
                return Err(SessionRefusal::Full);
            }
        }
        table.insert(id, session);
        Ok(())
    }

    /// The session of this id, if it is this caller's at this endpoint. Somebody else's is as good as
    /// none.
    pub(crate) fn find(
        &self,
        id: &str,
        caller: &Caller,
        endpoint: Option<&str>,
    ) -> Result<Arc<Session>, SessionRefusal> {
        let now = self.clock.now();
        let mut table = self.lock();
        let session = table.by_id.get(id).ok_or(SessionRefusal::Unknown)?;
        let client = &session.client;
        if !client.caller.is_same(caller) || client.endpoint.as_deref() != endpoint {
            return Err(SessionRefusal::Unknown);
        }
        if self.is_idle(session, now) {
            table.end(id);
            return Err(SessionRefusal::Unknown);
        }
        session.touch(now);
        Ok(Arc::clone(session))
    }

    /// Ends a session, what is open in it and all its streams. False when it is not this caller's.
    pub(crate) fn close(&self, id: &str, caller: &Caller, endpoint: Option<&str>) -> bool {
        if self.find(id, caller, endpoint).is_err() {
            return false;
        }
        self.lock().end(id);
        true
    }

    /// True for the one who has to call [`Self::sweep`] from now on, until that says no.
    pub(crate) fn needs_sweeper(&self) -> bool {
        !self.is_swept.swap(true, Ordering::AcqRel)
    }

    /// How long to wait between two sweeps.
    pub(crate) fn sweep_interval(&self) -> Duration {
        self.limits.sweep_interval()
    }

    /// Forgets what is idle, and what was kept for long enough. False when nothing is left, and
    /// nobody needs to call again.
    pub(crate) fn sweep(&self) -> bool {
        let now = self.clock.now();
        let left: Vec<_> = {
            let mut table = self.lock();
            self.forget_idle(&mut table, now);
            if table.by_id.is_empty() {
                // Under the lock: who opens a session after this finds that nobody sweeps.
                self.is_swept.store(false, Ordering::Release);
                return false;
            }
            table.by_id.values().cloned().collect()
        };
        for session in left {
            session.journal.sweep(now);
        }
        true
    }

    /// Bytes that the journals of all sessions keep.
    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    fn forget_idle(&self, table: &mut Table, now: Instant) {
        let sessions = table.by_id.iter();
        let idle: Vec<_> = sessions
            .filter(|(_, session)| self.is_idle(session, now))
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for id in idle {
            table.end(&id);
        }
        table.swept = Some(now);
    }

    fn is_idle(&self, session: &Session, now: Instant) -> bool {
        now.saturating_duration_since(session.last_used()) >= self.limits.idle_timeout
            && !session.is_at_work()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests;
