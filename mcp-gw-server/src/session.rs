//! Sessions of clients that begin with `initialize` over HTTP: unguessable, bound to their caller,
//! bounded in number, forgotten when idle.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use mcp_gw_core::{Caller, Clock, Transport};

use crate::client::Client;
use crate::http::journal::{Journal, ReplayLimits};
use crate::outbox::Outbox;

mod seal;
mod table;

pub use seal::SessionSeal;
use seal::{SealRefusal, Sealed, Uid};
use table::Table;

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
    /// How long a client waits for the answer to a request before it is sent away, to come back for
    /// it with `Last-Event-ID` (2025-11-25, basic/transports). `None` lets it wait to the end.
    pub poll_after: Option<Duration>,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30 * 60),
            max_per_caller: 64,
            max_total: 4096,
            replay: ReplayLimits::default(),
            poll_after: None,
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
            poll_after: None,
        }
    }

    /// Sets what is kept of the streams of a session.
    #[must_use]
    pub const fn with_replay(mut self, replay: ReplayLimits) -> Self {
        self.replay = replay;
        self
    }

    /// Sets how long a client waits for an answer before it is sent away to come back for it.
    #[must_use]
    pub const fn with_poll_after(mut self, poll_after: Option<Duration>) -> Self {
        self.poll_after = poll_after;
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
    /// Of a sealed id: what it is called, and until when it is good.
    sealed: Option<(Uid, SystemTime)>,
    /// It was begun elsewhere, or before, and its client does not know yet what that had and this has
    /// not.
    is_revived: AtomicBool,
}

impl Session {
    /// True for the first one who asks about a session that has begun anew from its id.
    pub(crate) fn take_revival(&self) -> bool {
        self.is_revived.load(Ordering::Relaxed) && self.is_revived.swap(false, Ordering::AcqRel)
    }

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
        self.client.end();
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
    /// What the client says of itself does not fit into a sealed id.
    TooLarge,
}

/// Lets a client in that begins a session.
pub(crate) type Welcome = Box<dyn Fn(Client) -> Arc<Client> + Send + Sync>;

pub(crate) struct Sessions {
    limits: SessionLimits,
    clock: Arc<dyn Clock>,
    seal: Option<SessionSeal>,
    welcome: Welcome,
    /// Bytes that the journals of all sessions keep.
    kept: Arc<AtomicUsize>,
    table: Mutex<Table>,
    is_swept: AtomicBool,
}

impl Sessions {
    pub(crate) fn new(
        limits: SessionLimits,
        seal: Option<SessionSeal>,
        clock: Arc<dyn Clock>,
        welcome: Welcome,
    ) -> Self {
        Self {
            limits,
            clock,
            seal,
            welcome,
            kept: Arc::default(),
            table: Mutex::default(),
            is_swept: AtomicBool::new(false),
        }
    }

    /// Opens a session and gives its id, visible ASCII: 128 random bits, or a sealed one.
    pub(crate) fn open(
        &self,
        client: impl FnOnce(Outbox) -> Client,
    ) -> Result<Arc<str>, SessionRefusal> {
        let mut session = self.new_session(client);
        let id: Arc<str> = match &self.seal {
            None => random_id().ok_or(SessionRefusal::NoRandomness)?.into(),
            Some(seal) => {
                let sealed = seal.seal(&session.client, self.clock.wall());
                let (id, sealed) = sealed.map_err(|refusal| match refusal {
                    SealRefusal::TooLarge => SessionRefusal::TooLarge,
                    SealRefusal::NoRandomness => SessionRefusal::NoRandomness,
                })?;
                session.sealed = Some((sealed.uid, sealed.expires));
                id.into()
            }
        };
        self.admit(Arc::clone(&id), session)?;
        Ok(id)
    }

    fn new_session(&self, client: impl FnOnce(Outbox) -> Client) -> Session {
        let journal = Journal::new(
            self.limits.replay,
            Arc::clone(&self.clock),
            Arc::clone(&self.kept),
        );
        Session {
            client: (self.welcome)(client(Outbox::journal(Arc::clone(&journal)))),
            journal,
            last_used: Mutex::new(self.clock.now()),
            sealed: None,
            is_revived: AtomicBool::new(false),
        }
    }

    /// Puts a session into the table, within the bounds. Gives the one that is there already, should
    /// somebody else have been faster.
    fn admit(&self, id: Arc<str>, session: Session) -> Result<Arc<Session>, SessionRefusal> {
        let session = Arc::new(session);
        self.change(|table| {
            let uid = session.sealed.map(|(uid, _)| uid);
            if uid.is_some_and(|uid| table.ended.uids.contains_key(&uid)) {
                return Err(SessionRefusal::Unknown);
            }
            if let Some(session) = table.by_id.get(&id) {
                return Ok(Arc::clone(session));
            }
            table.make_room(&session.client.caller, self.limits.max_per_caller);
            if table.by_id.len() >= self.limits.max_total {
                self.make_room(table);
            }
            if table.by_id.len() >= self.limits.max_total {
                return Err(SessionRefusal::Full);
            }
            table.insert(id, Arc::clone(&session));
            Ok(session)
        })
    }

    /// Forgets what is idle, but does not look at all sessions for every one that is refused.
    fn make_room(&self, table: &mut Table) {
        let now = self.clock.now();
        let pause = self.limits.sweep_interval();
        let swept = table.swept;
        if swept.is_none_or(|then| now.saturating_duration_since(then) >= pause) {
            self.forget_idle(table, now);
        }
    }

    /// The session of this id, if it is this caller's at this endpoint. Somebody else's is as good as
    /// none. One that another replica sealed, or that was forgotten here, begins anew.
    pub(crate) fn find(
        &self,
        id: &str,
        caller: &Caller,
        endpoint: Option<&str>,
    ) -> Result<Arc<Session>, SessionRefusal> {
        if let Some(session) = self.find_here(id, caller, endpoint)? {
            return Ok(session);
        }
        let sealed = self
            .unseal(id, caller, endpoint)
            .ok_or(SessionRefusal::Unknown)?;
        let mut session = self.new_session(|outbox| {
            Client::new(
                Arc::new(caller.clone()),
                sealed.revision,
                sealed.info.as_ref(),
                sealed.capabilities.as_ref(),
                outbox,
            )
            .at(endpoint.map(Arc::from))
            .over(Transport::Http)
        });
        session.sealed = Some((sealed.uid, sealed.expires));
        session.is_revived = AtomicBool::new(true);
        self.admit(id.into(), session)
    }

    /// The same without those from elsewhere: `None` when there is no such session here.
    fn find_here(
        &self,
        id: &str,
        caller: &Caller,
        endpoint: Option<&str>,
    ) -> Result<Option<Arc<Session>>, SessionRefusal> {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        self.change(|table| {
            let Some(session) = table.by_id.get(id) else {
                return Ok(None);
            };
            let client = &session.client;
            if !client.caller.is_same(caller) || client.endpoint.as_deref() != endpoint {
                return Err(SessionRefusal::Unknown);
            }
            if self.is_over(session, now, wall) {
                table.end(id);
                return Ok(None);
            }
            session.touch(now);
            client.goes_on_as(caller);
            Ok(Some(Arc::clone(session)))
        })
    }

    fn unseal(&self, id: &str, caller: &Caller, endpoint: Option<&str>) -> Option<Sealed> {
        let seal = self.seal.as_ref()?;
        seal.open(id, caller, endpoint, self.clock.wall())
    }

    /// Ends a session, what is open in it and all its streams. False when it is not this caller's,
    /// or has ended before. Other replicas do not hear of the end of a sealed one.
    pub(crate) fn close(&self, id: &str, caller: &Caller, endpoint: Option<&str>) -> bool {
        let sealed = match self.find_here(id, caller, endpoint) {
            Ok(Some(session)) => session.sealed,
            Ok(None) => match self.unseal(id, caller, endpoint) {
                Some(sealed) => Some((sealed.uid, sealed.expires)),
                None => return false,
            },
            Err(_) => return false,
        };
        let most = self.limits.max_total.saturating_mul(4);
        self.change(|table| {
            let was_here = table.end(id);
            match sealed {
                None => was_here,
                Some((uid, expires)) => table.ended.insert(uid, expires, most),
            }
        })
    }

    /// Ends the sessions of callers that `stays` does not name. A sealed id that was given to one is
    /// good again for whoever shows to be that caller.
    pub(crate) fn end_callers(&self, stays: &dyn Fn(&Caller) -> bool) {
        // Whoever opened it, and who has gone on with it.
        self.end_others(&|client| stays(&client.caller) && stays(&client.voucher()));
    }

    /// Ends the sessions of clients that `stays` does not name, as [`Self::end_callers`].
    pub(crate) fn end_others(&self, stays: &dyn Fn(&Client) -> bool) {
        self.change(|table| {
            let sessions = table.by_id.iter();
            let over: Vec<_> = sessions
                .filter(|(_, session)| !stays(&session.client))
                .map(|(id, _)| Arc::clone(id))
                .collect();
            for id in over {
                table.end(&id);
            }
        });
    }

    /// True for the one who has to call [`Self::sweep`] from now on, until that says no.
    pub(crate) fn needs_sweeper(&self) -> bool {
        !self.is_swept.load(Ordering::Acquire) && !self.is_swept.swap(true, Ordering::AcqRel)
    }

    /// How long to wait between two sweeps.
    pub(crate) fn sweep_interval(&self) -> Duration {
        self.limits.sweep_interval()
    }

    /// Forgets what is idle, and what was kept for long enough. False when nothing is left, and
    /// nobody needs to call again.
    pub(crate) fn sweep(&self) -> bool {
        let now = self.clock.now();
        let left: Vec<_> = self.change(|table| {
            self.forget_idle(table, now);
            if table.by_id.is_empty() {
                // Under the lock: who opens a session after this finds that nobody sweeps.
                self.is_swept.store(false, Ordering::Release);
            }
            table.by_id.values().cloned().collect()
        });
        for session in &left {
            session.journal.sweep(now);
        }
        !left.is_empty()
    }

    /// How many sessions there are.
    pub(crate) fn count(&self) -> usize {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.by_id.len()
    }

    /// Bytes that the journals of all sessions keep.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    fn forget_idle(&self, table: &mut Table, now: Instant) {
        let wall = self.clock.wall();
        table.ended.forget_expired(wall);
        let sessions = table.by_id.iter();
        let idle: Vec<_> = sessions
            .filter(|(_, session)| self.is_over(session, now, wall))
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for id in idle {
            table.end(&id);
        }
        table.swept = Some(now);
    }

    /// True for a session that is idle, or whose id is not good any more.
    fn is_over(&self, session: &Session, now: Instant, wall: SystemTime) -> bool {
        let is_expired = session.sealed.is_some_and(|(_, expires)| wall >= expires);
        is_expired || self.is_idle(session, now)
    }

    fn is_idle(&self, session: &Session, now: Instant) -> bool {
        now.saturating_duration_since(session.last_used()) >= self.limits.idle_timeout
            && !session.is_at_work()
    }

    /// Changes the table. Sessions that this takes out are ended after it: that may take its time,
    /// and ask others.
    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let (result, gone) = {
            let mut table = self.lock();
            let result = change(&mut table);
            (result, std::mem::take(&mut table.gone))
        };
        for session in gone {
            session.end();
        }
        result
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
