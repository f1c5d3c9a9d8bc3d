//! The store of one process: sharded tables that never hold more than so many keys.

#[cfg(test)]
mod model;
mod quotas;
mod room;
mod shard;
mod shared;
mod swing;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use mcp_gw_core::{Clock, SystemClock};
use smallvec::SmallVec;

use crate::algorithm::{Limit, Shape, micros};
use crate::maths::State;
use crate::store::{Demand, Key, Standing, Store, StoreError, StoreStats, repeated, repeats_a_key};
pub use quotas::{MemoryLedger, QuotaLedger, QuotaRecord};
use room::Room;
use shard::{Now, Shard, shard_of};
use shared::Shared;

/// How many keys a [`MemoryStore`] holds unless told otherwise.
pub const DEFAULT_KEYS: usize = 1_000_000;

/// Keys are spread over so many parts, each with a lock of its own, in stores that are not small.
const SHARDS: usize = 64;

/// Keeps counts in the memory of this process.
///
/// A key of which nothing has counted for a minute is dropped, a few now and then, and one of which
/// nothing counts when there is no room for a new one; a key of which something counts never is. When there is room for no more keys, new ones are charged to
/// one bucket that they share, per limit: they are not refused as long as it has room, those who
/// were known before do not notice, and whoever comes with ever new keys gains nothing. What a key
/// used of the shared bucket is not forgotten when it gets a place of its own: it begins with a copy
/// of the bucket, so that nobody gets more than the limit. (Of each bucket the first 4,096 keys that
/// used it are known; where there are more, each key that gets a place begins with a copy.)
///
/// Decisions take the locks of the parts they need in one order, and hold none across an await.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    start: Instant,
    tables: Tables<Mutex<Shard>>,
}

/// What is decided on, apart from the time and from what locks are made of.
#[derive(Debug)]
struct Tables<L> {
    shards: Box<[L]>,
    room: Arc<Room>,
    shared: Shared,
}

/// A lock around a shard. There is one more implementation, for the model check.
trait Lock {
    type Guard<'a>: std::ops::DerefMut<Target = Shard>
    where
        Self: 'a;

    fn around(shard: Shard) -> Self;

    fn enter(&self) -> Self::Guard<'_>;
}

impl Lock for Mutex<Shard> {
    type Guard<'a> = MutexGuard<'a, Shard>;

    fn around(shard: Shard) -> Self {
        Self::new(shard)
    }

    fn enter(&self) -> Self::Guard<'_> {
        // No user code runs under the lock, and each step leaves a table that can be used.
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said of a state that is not where it was found, which does not happen, and to who asks for
/// one twice.
const NONE: Standing = Standing::refused(0, Duration::ZERO, None);

/// Where the state of a demand is.
enum Place {
    /// Of the guard of this number, in this place.
    Kept(usize, usize),
    /// A new key, to be kept by the guard of this number if something is charged.
    New(usize, State),
    /// In the bucket that is shared by keys without a place.
    Shared(State),
}

impl MemoryStore {
    /// An empty store with room for [`DEFAULT_KEYS`].
    pub fn new(clock: impl Clock) -> Self {
        Self::with_room(clock, DEFAULT_KEYS)
    }

    /// An empty store with room for about `keys` keys, at least 1.
    pub fn with_room(clock: impl Clock, keys: usize) -> Self {
        Self {
            start: clock.now(),
            clock: Arc::new(clock),
            tables: Tables::new(keys),
        }
    }

    /// [`Store::charge`], at once. When a key occurs twice all demands are refused.
    pub fn charge_now(&self, demands: &[Demand<'_>]) -> Vec<Standing> {
        if repeats_a_key(demands) {
            return vec![NONE; demands.len()];
        }
        let now = self.now(demands);
        if let [demand] = demands
            && let Some(standing) = self.tables.decide_one(demand, now)
        {
            return vec![standing];
        }
        let mut standings = Vec::with_capacity(demands.len());
        self.tables.decide(demands, now, &mut standings);
        standings
    }

    /// [`Store::charge`] for a single demand, at once.
    pub fn charge_one(&self, demand: &Demand<'_>) -> Standing {
        let demands = std::slice::from_ref(demand);
        let now = self.now(demands);
        if let Some(standing) = self.tables.decide_one(demand, now) {
            return standing;
        }
        let mut standings = Vec::with_capacity(1);
        self.tables.decide(demands, now, &mut standings);
        standings.pop().unwrap_or(NONE)
    }

    /// [`Store::peek`], at once.
    pub fn peek_now(&self, demands: &[Demand<'_>]) -> Vec<Standing> {
        self.tables.peek(demands, self.now(demands))
    }

    /// About how many bytes the store takes. It looks at each key.
    pub fn bytes(&self) -> usize {
        let shards = self.tables.shards.iter();
        shards
            .map(|shard| shard.enter().bytes() + size_of::<Mutex<Shard>>())
            .sum()
    }

    /// The time of day is asked for only where it counts; as long as it does not, quotas by the
    /// calendar stay.
    fn now(&self, demands: &[Demand<'_>]) -> Now {
        let by_calendar = |demand: &Demand<'_>| matches!(demand.limit.shape(), Shape::Calendar(_));
        let wall = demands
            .iter()
            .any(by_calendar)
            .then(|| unix(self.clock.wall()));
        Now {
            steady: micros(self.clock.now().saturating_duration_since(self.start)),
            wall: wall.unwrap_or(0),
        }
    }
}

/// Microseconds since 1970-01-01; 0 before.
fn unix(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    micros(since.unwrap_or(Duration::ZERO))
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(SystemClock::new())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("stats", &self.tables.stats())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn charge(&self, demands: &[Demand<'_>]) -> Result<Vec<Standing>, StoreError> {
        if repeats_a_key(demands) {
            return Err(repeated());
        }
        Ok(self.charge_now(demands))
    }

    async fn peek(&self, demands: &[Demand<'_>]) -> Result<Vec<Standing>, StoreError> {
        Ok(self.peek_now(demands))
    }

    async fn reset(&self, demands: &[Demand<'_>]) -> Result<(), StoreError> {
        for demand in demands {
            self.tables.shard(demand.key).enter().remove(demand.key);
        }
        Ok(())
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn stats(&self) -> StoreStats {
        self.tables.stats()
    }
}

impl Now {
    /// The time that a limit goes by.
    const fn of(self, limit: &Limit) -> u64 {
        match limit.shape() {
            Shape::Calendar(_) => self.wall,
            Shape::Window { .. } | Shape::Bucket { .. } => self.steady,
        }
    }
}

impl<L: Lock> Tables<L> {
    fn new(keys: usize) -> Self {
        let shards = (keys / 64).clamp(1, SHARDS).next_power_of_two();
        let shards = if shards > SHARDS { SHARDS } else { shards };
        let room = Arc::new(Room::new(keys.max(1)));
        let shard = |_| {
            let seed = RandomState::new().build_hasher().finish();
            L::around(Shard::new(Arc::clone(&room), seed))
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            room,
            shared: Shared::default(),
        }
    }

    fn number(&self, key: Key) -> usize {
        shard_of(key, self.shards.len())
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the number is taken modulo the length"
    )]
    fn shard(&self, key: Key) -> &L {
        &self.shards[self.number(key)]
    }

    /// The same as [`Tables::decide`] for one demand of a key that is known: the road of most.
    fn decide_one(&self, demand: &Demand<'_>, now: Now) -> Option<Standing> {
        let Demand {
            limit, key, cost, ..
        } = *demand;
        let mut shard = self.shard(key).enter();
        let steady = now.steady.max(shard.latest());
        let now = Now { steady, ..now };
        shard.begin(now);
        let place = shard.find(key)?;
        let state = shard.state(place)?;
        Some(state.decide(limit, now.of(limit), cost))
    }

    /// Looks for idle keys in another part of the store for each key that is new and finds it full:
    /// places belong to no part. No lock is held meanwhile, since those of a decision have an order.
    fn make_room(&self, demands: &[Demand<'_>], now: Now) {
        for demand in demands {
            let is_known = || self.shard(demand.key).enter().find(demand.key).is_some();
            if !self.room.is_full() || is_known() {
                continue;
            }
            if let Some(shard) = self.shards.get(self.room.next(self.shards.len())) {
                let mut shard = shard.enter();
                let steady = now.steady.max(shard.latest());
                let now = Now { steady, ..now };
                shard.begin(now);
                shard.search(now);
            }
        }
    }

    /// Charges all or none.
    fn decide(&self, demands: &[Demand<'_>], now: Now, out: &mut Vec<Standing>) {
        self.make_room(demands, now);
        let mut numbers: SmallVec<[usize; 4]> = demands
            .iter()
            .map(|demand| self.number(demand.key))
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        // In the order of their numbers, as in every decision, so that none waits for another that
        // waits for it.
        let shards = numbers.iter().filter_map(|number| self.shards.get(*number));
        let mut guards: SmallVec<[L::Guard<'_>; 4]> = shards.map(Lock::enter).collect();
        let latest = guards.iter().map(|guard| guard.latest()).max();
        let now = Now {
            steady: now.steady.max(latest.unwrap_or(0)),
            ..now
        };
        guards.iter_mut().for_each(|guard| guard.begin(now));
        let guard_of = |key| numbers.binary_search(&self.number(key)).unwrap_or(0);
        for demand in demands {
            // Before places are looked up, since making room moves entries.
            if let Some(guard) = guards.get_mut(guard_of(demand.key)) {
                guard.make_room(demand.key, now);
            }
        }
        let places = demands.iter().map(|demand| {
            let number = guard_of(demand.key);
            let guard = guards.get(number);
            match guard.and_then(|guard| guard.find(demand.key)) {
                Some(place) => Place::Kept(number, place),
                None if guard.is_some_and(|guard| guard.has_room()) => {
                    Place::New(number, self.shared.of_new(demand.limit, demand.key, now))
                }
                None => Place::Shared(State::default()),
            }
        });
        let places = places.collect();
        self.settle(demands, &mut guards, places, now, out);
    }

    /// Decides on demands whose places are known, and locked.
    fn settle(
        &self,
        demands: &[Demand<'_>],
        guards: &mut [L::Guard<'_>],
        mut places: SmallVec<[Place; 4]>,
        now: Now,
        out: &mut Vec<Standing>,
    ) {
        // Locked after all shards, here and everywhere, and until the decision is made.
        let is_shared = |place: &Place| matches!(place, Place::Shared(_));
        let mut shared = places.iter().any(is_shared).then(|| self.shared.open(now));
        let mut fitting = SmallVec::<[bool; 4]>::new();
        for (demand, place) in demands.iter().zip(&mut places) {
            if let (Place::Shared(state), Some(shared)) = (&mut *place, &shared) {
                *state = shared.of(demand.limit);
            }
            let state = place.state(guards);
            let fits =
                |state: &mut State| state.fits(demand.limit, now.of(demand.limit), demand.cost);
            fitting.push(state.is_some_and(fits));
        }
        let is_admitted = fitting.iter().all(|fits| *fits);
        let mut kept = SmallVec::<[(usize, Key, State); 4]>::new();
        for ((demand, mut place), fits) in demands.iter().zip(places).zip(fitting) {
            let Demand {
                limit, key, cost, ..
            } = *demand;
            let is_charged = cost > 0 && (is_admitted || limit.penalty());
            let standing = place.state(guards).map(|state| {
                let now = now.of(limit);
                match (is_charged, fits) {
                    (true, true) => state.take(limit, now, cost),
                    (true, false) => state.punish(limit, now, cost),
                    (false, _) => {}
                }
                state.standing(limit, now, cost, fits)
            });
            match place {
                Place::New(number, state) if is_charged => kept.push((number, key, state)),
                Place::Shared(state) if is_charged => {
                    if let Some(shared) = &mut shared {
                        shared.keep(limit, key, state);
                    }
                }
                Place::Kept(..) | Place::New(..) | Place::Shared(_) => {}
            }
            out.push(standing.unwrap_or(NONE));
        }
        // At last, since to keep a key moves others to other places.
        for (number, key, state) in kept {
            if let Some(guard) = guards.get_mut(number) {
                guard.insert(key, state);
            }
        }
    }

    fn peek(&self, demands: &[Demand<'_>], now: Now) -> Vec<Standing> {
        let each = demands.iter().map(|demand| {
            let shard = self.shard(demand.key).enter();
            let steady = now.steady.max(shard.latest());
            let now = Now { steady, ..now };
            let kept = shard.find(demand.key).and_then(|place| shard.peek(place));
            let mut state = match kept {
                Some(state) => state.clone(),
                None => self.shared.of_new(demand.limit, demand.key, now),
            };
            let Demand { limit, cost, .. } = *demand;
            let now = now.of(limit);
            let fits = state.fits(limit, now, cost);
            state.standing(limit, now, cost, fits)
        });
        each.collect()
    }

    fn stats(&self) -> StoreStats {
        let mut stats = StoreStats {
            healthy: true,
            folded: self.shared.folded(),
            ..StoreStats::default()
        };
        for shard in &self.shards {
            let shard = shard.enter();
            stats.keys += shard.keys() as u64;
            stats.evicted += shard.evicted();
        }
        stats
    }
}

impl Place {
    fn state<'s, G: std::ops::DerefMut<Target = Shard>>(
        &'s mut self,
        guards: &'s mut [G],
    ) -> Option<&'s mut State> {
        match self {
            Self::Kept(number, place) => guards.get_mut(*number)?.state(*place),
            Self::New(_, state) | Self::Shared(state) => Some(state),
        }
    }
}
