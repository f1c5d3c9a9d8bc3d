//! Connections of their own for clients that the server can ask something, or that want log
//! messages: opened by the first call, or before it when there is much room; bounded in number,
//! closed when idle or with the session.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use mcp_gw_core::{BackendError, ClientRef, RawJson, SessionKey, Transport};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::era::Hello;
use crate::extras::Extras;
use crate::owner::{CallerKey, Key, Owner};
use crate::room::{Bounds, Idle, Lack, first_to_go};
use crate::settings::Settings;
use crate::single::Single;
use crate::watched::Watched;

/// So often it is said that there is no room.
const SILENCE: Duration = Duration::from_secs(60);
/// After a connection could not be opened it is not tried for as long as that took, within these.
const BARRED: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// Nobody means more than a year.
const LONGEST_IDLE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Something to be ended when it is of no use any more.
pub(crate) trait Connection: Send + Sync + 'static {
    /// What is kept from one connection of a lane to its next.
    type Memory: Default + Send + Sync + 'static;

    /// True when a client whose connection cannot be opened is served on the shared one. Not where
    /// the reason may be the client's own calls, which would end the shared one as well.
    const SHARES: bool;

    /// So many of at most `max` may be open when another one is opened before it is needed.
    fn ahead(max: usize) -> usize;

    /// Ends it, and fails what waits for it.
    fn end(&self) -> impl Future<Output = ()> + Send;

    /// Sends a notification. Does not block.
    fn tell_now(&self, message: RawJson);
}

/// The connection of one client, which is made anew when it has died.
pub(crate) struct Lane<T: Connection> {
    single: Single<T>,
    owner: Arc<Owner>,
    memory: Arc<T::Memory>,
    room: Mutex<Option<OwnedSemaphorePermit>>,
    barred: Mutex<Option<Instant>>,
}

/// All lanes to one server.
pub(crate) struct Lanes<T: Connection>(Arc<Inner<T>>);

struct Inner<T: Connection> {
    settings: Settings,
    upkeep: Upkeep,
    bounds: Bounds,
    /// Held by each lane until its connection has ended, so that those about to end count.
    room: Arc<Semaphore>,
    table: Mutex<Table<T>>,
}

/// What is to be known of lanes elsewhere.
#[derive(Default)]
pub(crate) struct Upkeep {
    pub(crate) watched: Arc<Watched>,
    pub(crate) extras: Arc<Extras>,
    /// Told of each client that watches something and has lost its last lane.
    pub(crate) orphaned: Option<Box<dyn Fn(Key) + Send + Sync>>,
}

struct Table<T: Connection> {
    lanes: HashMap<Key, Entry<T>>,
    /// Sessions that are about to be given a lane before they need it.
    expected: HashSet<SessionKey>,
    sweeper: Option<AbortHandle>,
    is_closed: bool,
    /// When it was last said that a client goes without, by the reason.
    warned: HashMap<Discriminant<Lack>, Instant>,
}

struct Entry<T: Connection> {
    lane: Arc<Lane<T>>,
    /// Calls that are on it.
    riders: usize,
    /// Since when it has been like that.
    since: Instant,
}

/// Where calls of a client are made.
pub(crate) enum Spot<T: Connection> {
    Own(Seat<T>),
    /// On the connection that all share; why, when the client cannot be asked there what it could be.
    Shared(Option<Lack>),
}

/// A connection, and what keeps it open while a call is on it.
pub(crate) struct Seat<T: Connection> {
    pub(crate) connection: Arc<T>,
    ride: Ride<T>,
}

impl<T: Connection> Seat<T> {
    /// Lets go of the connection, so that the next call opens another.
    pub(crate) fn forget(&self) {
        self.ride.lane.single.forget(&self.connection);
    }
}

/// A call on a lane.
struct Ride<T: Connection> {
    inner: Arc<Inner<T>>,
    key: Key,
    lane: Arc<Lane<T>>,
}

impl<T: Connection> Drop for Ride<T> {
    fn drop(&mut self) {
        let mut table = self.inner.lock();
        if let Some(entry) = table.lanes.get_mut(&self.key)
            && Arc::ptr_eq(&entry.lane, &self.lane)
        {
            entry.riders = entry.riders.saturating_sub(1);
            entry.since = Instant::now();
        }
    }
}

impl<T: Connection> Lanes<T> {
    pub(crate) fn new(settings: Settings, bounds: Bounds, upkeep: Upkeep) -> Self {
        Self(Arc::new(Inner {
            settings,
            upkeep,
            bounds: Bounds {
                idle: bounds.idle.min(LONGEST_IDLE),
                ..bounds
            },
            room: Arc::new(Semaphore::new(bounds.max.min(Semaphore::MAX_PERMITS))),
            table: Mutex::new(Table {
                lanes: HashMap::new(),
                expected: HashSet::new(),
                sweeper: None,
                is_closed: false,
                warned: HashMap::new(),
            }),
        }))
    }

    /// The connection that calls of this client must be on. When there is no room it is the shared one:
    /// what can be done without the client is done.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) async fn seat<F>(
        &self,
        hello: &Hello,
        client: &ClientRef,
        open: impl FnOnce(Arc<Owner>, Arc<T::Memory>) -> F,
    ) -> Result<Spot<T>, BackendError>
    where
        F: Future<Output = Result<T, BackendError>> + Send + 'static,
    {
        let Some(owner) = Owner::of(client, hello) else {
            return Ok(Spot::Shared(None));
        };
        let can_be_asked = owner.covers_any();
        Ok(match self.board(owner) {
            Ok(Some(ride)) => match self.sit(ride, open).await? {
                Ok(seat) => Spot::Own(seat),
                Err(lack) => Spot::Shared(can_be_asked.then_some(lack)),
            },
            Ok(None) => Spot::Shared(None),
            Err(lack) => Spot::Shared(can_be_asked.then_some(lack)),
        })
    }

    async fn sit<F>(
        &self,
        ride: Ride<T>,
        open: impl FnOnce(Arc<Owner>, Arc<T::Memory>) -> F,
    ) -> Result<Result<Seat<T>, Lack>, BackendError>
    where
        F: Future<Output = Result<T, BackendError>> + Send + 'static,
    {
        match ride.lane.get(&self.0, open).await {
            Ok(connection) => Ok(Ok(Seat { connection, ride })),
            Err(error) if T::SHARES => {
                self.0.warn(&ride.lane.owner, Lack::Failed, &error);
                Ok(Err(Lack::Failed))
            }
            Err(error) => Err(error),
        }
    }

    /// A place on the lane of `owner`; `None` when all have come to their end.
    fn board(&self, owner: Owner) -> Result<Option<Ride<T>>, Lack> {
        let inner = &self.0;
        let mut table = inner.lock();
        if table.is_closed {
            return Ok(None);
        }
        let mut evicted = None;
        if !table.lanes.contains_key(&owner.key) {
            match table.make_room(&owner, inner.bounds, &inner.upkeep.watched) {
                Ok(gone) => evicted = gone,
                Err(lack) => {
                    drop(table);
                    inner.warn(&owner, lack, &"");
                    return Err(lack);
                }
            }
        }
        let ride = inner.enter(&mut table, owner);
        drop(table);
        inner.gone(evicted);
        Ok(Some(ride))
    }

    /// Announces [`Lanes::open_ahead`] for a session. False when it may have no lane before it needs
    /// one: many sessions that call nothing must not take up much.
    pub(crate) fn expect(&self, session: &SessionKey, transport: Transport) -> bool {
        // The process of a gateway over standard streams has one client.
        let most = match transport {
            Transport::Stdio => self.0.bounds.max,
            _ => T::ahead(self.0.bounds.max),
        };
        let mut table = self.0.lock();
        let is_room = !table.is_closed && table.lanes.len() + table.expected.len() < most;
        is_room && table.expected.insert(session.clone())
    }

    /// Opens the lane of a session that was expected and has not ended, unless `owner` is nobody.
    pub(crate) async fn open_ahead<F>(
        &self,
        session: &SessionKey,
        owner: Option<Owner>,
        open: impl FnOnce(Arc<Owner>, Arc<T::Memory>) -> F,
    ) -> Result<(), BackendError>
    where
        F: Future<Output = Result<T, BackendError>> + Send + 'static,
    {
        let ride = {
            let mut table = self.0.lock();
            let is_expected = table.expected.remove(session);
            match owner {
                Some(owner) if is_expected && table.is_room(&owner, self.0.bounds) => {
                    self.0.enter(&mut table, owner)
                }
                _ => return Ok(()),
            }
        };
        // Its first call tries again.
        let _ = self.sit(ride, open).await?;
        Ok(())
    }

    /// Ends what is held for this session alone.
    pub(crate) fn end_session(&self, session: &SessionKey) {
        let ended: Vec<Arc<Lane<T>>> = {
            let mut table = self.0.lock();
            table.expected.remove(session);
            table.take(|entry| entry.lane.owner.session.as_ref() == Some(session))
        };
        // Its subscriptions end one by one.
        self.0.forget(&ended);
        close_soon(ended);
    }

    /// The connections of their own that this client has.
    pub(crate) fn of_watcher(&self, watcher: &Key) -> Vec<Arc<T>> {
        let table = self.0.lock();
        let lanes = table.lanes.values().map(|entry| &entry.lane);
        lanes
            .filter(|lane| lane.owner.watcher == *watcher)
            .filter_map(|lane| lane.single.ready())
            .collect()
    }

    /// Tells the servers that the roots of this client have changed.
    pub(crate) fn roots_changed(&self, session: &SessionKey) {
        let told: Vec<Arc<T>> = {
            let table = self.0.lock();
            let lanes = table.lanes.values().map(|entry| &entry.lane);
            lanes
                .filter(|lane| {
                    lane.owner.tells_roots && lane.owner.session.as_ref() == Some(session)
                })
                .filter_map(|lane| lane.single.ready())
                .collect()
        };
        let nothing = RawJson::empty_object();
        let message =
            mcp_gw_core::jsonrpc::notification("notifications/roots/list_changed", &nothing);
        for connection in told {
            connection.tell_now(message.clone());
        }
    }

    /// Ends all, and opens none any more.
    pub(crate) async fn close(&self) {
        let all = {
            let mut table = self.0.lock();
            table.is_closed = true;
            table.expected.clear();
            table.take(|_| true)
        };
        self.0.forget(&all);
        let mut closing: JoinSet<()> = all
            .into_iter()
            .map(|lane| async move { lane.close().await })
            .collect();
        while closing.join_next().await.is_some() {}
    }
}

impl<T: Connection> Inner<T> {
    fn lock(&self) -> MutexGuard<'_, Table<T>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a client goes without, not more often than anybody wants to read.
    fn warn(&self, owner: &Owner, lack: Lack, detail: &dyn fmt::Display) {
        if lack == Lack::Off {
            return;
        }
        let now = Instant::now();
        let mut table = self.lock();
        let last = table.warned.get(&discriminant(&lack));
        if last.is_some_and(|at| now < *at + SILENCE) {
            return;
        }
        table.warned.insert(discriminant(&lack), now);
        drop(table);
        tracing::warn!(
            target: "mcp_gw::upstream",
            server = &*self.settings.server,
            caller = &*owner.caller.id,
            reason = lack.reason(),
            %detail,
            "a client gets no connection of its own and shares one that cannot ask it anything"
        );
    }

    /// A place on the lane of `owner`, which is there from now on.
    fn enter(self: &Arc<Self>, table: &mut Table<T>, owner: Owner) -> Ride<T> {
        let key = owner.key.clone();
        let entry = table.lanes.entry(key.clone()).or_insert_with(|| {
            self.upkeep.extras.opened(owner.number);
            self.upkeep.watched.lane_opened(&owner.watcher);
            Entry {
                lane: Arc::new(Lane::new(owner)),
                riders: 0,
                since: Instant::now(),
            }
        });
        entry.riders += 1;
        let lane = Arc::clone(&entry.lane);
        if table.sweeper.is_none() {
            let sweep = sweep(Arc::downgrade(self), self.bounds.idle);
            table.sweeper = Some(tokio::spawn(sweep).abort_handle());
        }
        Ride {
            inner: Arc::clone(self),
            key,
            lane,
        }
    }

    /// Nobody can find these any more. What their clients watch is to be watched elsewhere.
    fn gone(&self, lanes: impl IntoIterator<Item = Arc<Lane<T>>>) {
        let lanes: Vec<_> = lanes.into_iter().collect();
        for watcher in self.forget(&lanes) {
            if let Some(orphaned) = &self.upkeep.orphaned {
                orphaned(watcher);
            }
        }
        close_soon(lanes);
    }

    /// Takes note that these are gone; the clients whose subscriptions are nowhere now.
    fn forget(&self, lanes: &[Arc<Lane<T>>]) -> Vec<Key> {
        let mut orphans = Vec::new();
        for lane in lanes {
            let owner = &lane.owner;
            self.upkeep.extras.closed(owner.number);
            if self.upkeep.watched.lane_closed(&owner.watcher) {
                orphans.push(owner.watcher.clone());
            }
        }
        orphans
    }

    /// Takes out what has been idle for long enough; when to look again, unless nothing is left.
    fn expired(&self) -> (Vec<Arc<Lane<T>>>, Option<Instant>) {
        let now = Instant::now();
        let mut table = self.lock();
        // Who watches something waits for it, and is not idle.
        let is_used = |entry: &Entry<T>| {
            entry.riders > 0 || self.upkeep.watched.clients.has(&entry.lane.owner.watcher)
        };
        let expired = table.take(|entry| !is_used(entry) && entry.since + self.bounds.idle <= now);
        let next = table
            .lanes
            .values()
            .map(|entry| if is_used(entry) { now } else { entry.since } + self.bounds.idle)
            .min();
        if next.is_none() {
            table.sweeper = None;
        }
        (expired, next)
    }
}

impl<T: Connection> Drop for Inner<T> {
    fn drop(&mut self) {
        let table = self.table.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(sweeper) = &table.sweeper {
            sweeper.abort();
        }
    }
}

impl<T: Connection> Table<T> {
    fn take(&mut self, is_meant: impl Fn(&Entry<T>) -> bool) -> Vec<Arc<Lane<T>>> {
        let keys: Vec<Key> = self
            .lanes
            .iter()
            .filter(|(_, entry)| is_meant(entry))
            .map(|(key, _)| key.clone())
            .collect();
        let taken = keys.iter().filter_map(|key| self.lanes.remove(key));
        taken.map(|entry| entry.lane).collect()
    }

    /// How many lanes each caller has.
    fn held(&self) -> HashMap<CallerKey, usize> {
        let mut held = HashMap::new();
        for entry in self.lanes.values() {
            *held.entry(entry.lane.owner.caller.clone()).or_default() += 1;
        }
        held
    }

    fn is_room(&self, owner: &Owner, bounds: Bounds) -> bool {
        let lanes = self.lanes.values();
        let of_caller = lanes.filter(|entry| entry.lane.owner.caller == owner.caller);
        self.lanes.len() < bounds.max && of_caller.count() < bounds.share
    }

    /// Sees to it that there is room for a lane of `owner`; the one that had to go for it.
    fn make_room(
        &mut self,
        owner: &Owner,
        bounds: Bounds,
        watched: &Watched,
    ) -> Result<Option<Arc<Lane<T>>>, Lack> {
        if bounds.max == 0 {
            return Err(Lack::Off);
        }
        if self.is_room(owner, bounds) {
            return Ok(None);
        }
        let mut held = self.held();
        let own = held.get(&owner.caller).copied().unwrap_or_default();
        let is_over = own >= bounds.share;
        let lack = if is_over {
            Lack::Share(bounds.share)
        } else {
            Lack::Full(bounds.max)
        };
        held.entry(owner.caller.clone()).or_default();
        let fair = bounds.max / held.len().max(1);
        let idle = self.lanes.iter().filter(|(_, entry)| {
            // Who has its share makes room for itself.
            entry.riders == 0 && (!is_over || entry.lane.owner.caller == owner.caller)
        });
        let idle = idle.map(|(key, entry)| Idle {
            key: key.clone(),
            caller: entry.lane.owner.caller.clone(),
            is_watching: watched.clients.has(&entry.lane.owner.watcher),
            since: entry.since,
        });
        let key = first_to_go(idle, &held, fair).ok_or(lack)?;
        Ok(self.lanes.remove(&key).map(|entry| entry.lane))
    }
}

impl<T: Connection> Lane<T> {
    fn new(owner: Owner) -> Self {
        Self {
            single: Single::default(),
            owner: Arc::new(owner),
            memory: Arc::default(),
            room: Mutex::default(),
            barred: Mutex::default(),
        }
    }

    /// The connection that is there, or a new one.
    async fn get<F>(
        self: &Arc<Self>,
        inner: &Inner<T>,
        open: impl FnOnce(Arc<Owner>, Arc<T::Memory>) -> F,
    ) -> Result<Arc<T>, BackendError>
    where
        F: Future<Output = Result<T, BackendError>> + Send + 'static,
    {
        let settings = &inner.settings;
        let began = Instant::now();
        if T::SHARES && self.barred().is_some_and(|until| began < until) {
            return Err(settings.unavailable("it could not be opened a moment ago"));
        }
        let outcome = self
            .single
            .get(settings, || {
                let opening = open(Arc::clone(&self.owner), Arc::clone(&self.memory));
                let (lane, room) = (Arc::clone(self), Arc::clone(&inner.room));
                async move {
                    lane.take_room(room).await;
                    opening.await
                }
            })
            .await;
        if outcome.is_err() {
            let (least, most) = BARRED;
            *self.barred() = Some(Instant::now() + began.elapsed().clamp(least, most));
        }
        outcome
    }

    fn barred(&self) -> MutexGuard<'_, Option<Instant>> {
        self.barred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for those that are about to end.
    async fn take_room(&self, room: Arc<Semaphore>) {
        if self.room().is_none() {
            // The semaphore is never closed.
            let permit = room.acquire_owned().await.ok();
            *self.room() = permit;
        }
    }

    async fn close(&self) {
        if let Some(connection) = self.single.close().await {
            connection.end().await;
        }
        self.room().take();
    }
}

/// Ends lanes that nobody can find any more.
fn close_soon<T: Connection>(lanes: impl IntoIterator<Item = Arc<Lane<T>>>) {
    // Without a runtime, dropping them has to do.
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    for lane in lanes {
        runtime.spawn(async move { lane.close().await });
    }
}

/// Ends lanes that have been idle for long, until there are none.
async fn sweep<T: Connection>(lanes: Weak<Inner<T>>, idle: Duration) {
    let mut next = Instant::now() + idle;
    loop {
        sleep_until(next).await;
        let Some(inner) = lanes.upgrade() else { return };
        let (expired, later) = inner.expired();
        inner.gone(expired);
        drop(inner);
        let Some(later) = later else { return };
        next = later;
    }
}

impl<T: Connection> fmt::Debug for Lanes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes")
            .field("open", &self.0.lock().lanes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
