//! The question that a rate limiter answers, and the answer's type.

mod health;

use std::cmp::{Ordering, Reverse};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;

use crate::caller::Caller;
use crate::context::RequestMeta;

pub use health::LimiterHealth;

/// One request that wants to be counted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Charge<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// Facts about the request.
    pub meta: &'a RequestMeta,
    /// The MCP method, such as `tools/call`.
    pub method: &'a str,
    /// The tool, resource or prompt, as the main endpoint names it; `None` for lists and for names
    /// that nobody serves, so that invented names cannot become keys, and for what the policy refuses
    /// and does not show in lists either ([`RateLimiter::tells_items_apart`]).
    pub name: Option<&'a str>,
    /// The backend that serves it; `None` as above.
    pub server: Option<&'a str>,
    /// How much it costs, in units of the limit.
    pub cost: u32,
    /// True for a request that goes on with a call which is under way and waits for its client. It
    /// costs what any other does, but needs no place among those under way: its call has one, or waits
    /// for the one that it lent ([`Lend`]).
    pub goes_on: bool,
}

impl<'a> Charge<'a> {
    /// One unit for a request of `caller` that is about nothing in particular.
    pub const fn new(caller: &'a Caller, meta: &'a RequestMeta, method: &'a str) -> Self {
        Self {
            caller,
            meta,
            method,
            name: None,
            server: None,
            cost: 1,
            goes_on: false,
        }
    }

    /// For this tool, resource or prompt of this server.
    #[must_use]
    pub const fn of(mut self, name: Option<&'a str>, server: Option<&'a str>) -> Self {
        self.name = name;
        self.server = server;
        self
    }

    /// True for the methods that use something: `tools/call`, `resources/read`, `prompts/get`,
    /// `completion/complete`. Lists and handshakes are not.
    pub fn is_use(&self) -> bool {
        matches!(
            self.method,
            "tools/call" | "resources/read" | "prompts/get" | "completion/complete"
        )
    }
}

/// Where a caller stands with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quota {
    /// Units per window.
    pub limit: u64,
    /// Units left in the window.
    pub remaining: u64,
    /// Time until the window is whole again.
    pub reset: Duration,
}

impl Quota {
    /// `remaining` of `limit` units left, whole again after `reset`.
    pub const fn new(limit: u64, remaining: u64, reset: Duration) -> Self {
        Self {
            limit,
            remaining,
            reset,
        }
    }
}

/// Where a caller stands with one of the limits that applied, with the limit's name and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitStanding {
    /// Name of the limit.
    pub name: Arc<str>,
    /// Where the caller stands with it.
    pub quota: Quota,
    /// Units that are left when nothing was used: the quota, with or without a burst.
    pub capacity: u64,
    /// The window; `None` for a limit on what is under way at the same time.
    pub window: Option<Duration>,
    /// Units that may be used beyond an even rate: on top of the quota, or of a bucket at once. 0
    /// when the limit says nothing of the kind.
    pub burst: u64,
    /// When this limit refused: after this time it admits the same request if nothing else happens;
    /// [`Duration::MAX`] when it never does.
    pub retry_after: Option<Duration>,
}

impl LimitStanding {
    /// Where a caller stands with the limit `name` of so many units per `window`.
    pub fn new(name: impl Into<Arc<str>>, quota: Quota, window: Option<Duration>) -> Self {
        Self {
            name: name.into(),
            quota,
            capacity: quota.limit,
            window,
            burst: 0,
            retry_after: None,
        }
    }

    /// Sets the burst.
    #[must_use]
    pub const fn with_burst(mut self, burst: u64) -> Self {
        self.burst = burst;
        self
    }

    /// Sets how many units are left when nothing was used.
    #[must_use]
    pub const fn with_capacity(mut self, capacity: u64) -> Self {
        self.capacity = capacity;
        self
    }

    /// Says that this limit refused, and for how long.
    #[must_use]
    pub fn refused(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Sorts the tightest first: what refused, the longest first, and then what has the smallest part
    /// left. What admitted comes after that if it is about calls under way: one ends, and its place is
    /// back, which says nothing of how many calls may be made.
    pub fn by_tightness(&self, other: &Self) -> Ordering {
        let refused = Reverse(self.retry_after).cmp(&Reverse(other.retry_after));
        let kind = self.window.is_none().cmp(&other.window.is_none());
        let kind = if self.retry_after.is_some() {
            Ordering::Equal
        } else {
            kind
        };
        // a/b against c/d is a*d against c*b, without a loss.
        let part = |one: &Self, of: &Self| {
            u128::from(one.quota.remaining) * u128::from(of.capacity.max(1))
        };
        let part = part(self, other).cmp(&part(other, self));
        let left = self.quota.remaining.cmp(&other.quota.remaining);
        let reset = Reverse(self.quota.reset).cmp(&Reverse(other.quota.reset));
        refused.then(kind).then(part).then(left).then(reset)
    }
}

/// What an admitted request holds as long as it is under way, such as its place among those that
/// may be. Dropping the last clone gives it back.
#[derive(Clone, Default)]
pub struct Hold(Option<Arc<dyn Lend>>);

/// Something held that others may have while the request waits for its client: people think longer
/// than servers work, and some never answer.
#[async_trait]
pub trait Lend: Send + Sync + 'static {
    /// Others may have it for now. It may be lent several times at once, one for each question.
    fn lend(&self);

    /// One question is over. After the last one it is taken back if nobody has it.
    fn take_back(&self);

    /// Waits, if no question is open any more, until it is there again.
    async fn taken_back(&self);
}

/// Held to the end.
struct Kept<T> {
    _guard: T,
}

#[async_trait]
impl<T: Send + Sync + 'static> Lend for Kept<T> {
    fn lend(&self) {}

    fn take_back(&self) {}

    async fn taken_back(&self) {}
}

impl Hold {
    /// Nothing is held.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Holds `guard` to the end of the request.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Kept { _guard: guard })))
    }

    /// Holds `guard`, and lends it while the request waits for its client.
    pub fn lending(guard: impl Lend) -> Self {
        Self(Some(Arc::new(guard)))
    }

    /// True when something is held.
    pub const fn is_some(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn weak(&self) -> WeakHold {
        WeakHold(self.0.as_ref().map(Arc::downgrade))
    }
}

/// A hold that does not keep what is held: a link to a client may live longer than its request.
pub(crate) struct WeakHold(Option<Weak<dyn Lend>>);

impl WeakHold {
    /// Runs `question`, for which the request waits, and lends meanwhile what is held.
    pub(crate) async fn lent_for<T>(&self, question: impl Future<Output = T>) -> T {
        let lent = Lent::new(self);
        let answer = question.await;
        drop(lent);
        if let Some(held) = self.upgrade() {
            held.taken_back().await;
        }
        answer
    }

    fn upgrade(&self) -> Option<Arc<dyn Lend>> {
        self.0.as_ref().and_then(Weak::upgrade)
    }
}

/// One question, for which something is lent. It may be over because nobody waits for the answer.
struct Lent<'h>(&'h WeakHold);

impl<'h> Lent<'h> {
    fn new(hold: &'h WeakHold) -> Self {
        if let Some(held) = hold.upgrade() {
            held.lend();
        }
        Self(hold)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.0.upgrade() {
            held.take_back();
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hold").field(&self.is_some()).finish()
    }
}

/// The same when both hold nothing, or the same thing.
impl PartialEq for Hold {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() == b.is_none(),
        }
    }
}

impl Eq for Hold {}

/// Where an adapter finds, after a request, how its caller stands with the limits that applied: for
/// headers, which are sent with answers of every kind.
///
/// The adapter puts it into the request's [`RequestMeta`] and keeps a clone; the pipeline fills it
/// when a limiter has answered. When several are asked for one HTTP request (the limits on addresses
/// and on callers, each message of a batch), it holds the limits of all, each as it was tightest.
#[derive(Debug, Clone, Default)]
pub struct LimitReport(Arc<Mutex<Vec<LimitStanding>>>);

impl LimitReport {
    /// An empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the caller stands with each limit that applied, the tightest first; empty as long as
    /// no limiter was asked, and when no limit applied.
    pub fn standings(&self) -> Vec<LimitStanding> {
        self.lock().clone()
    }

    /// Adds what a limiter said. Of one limit, known by its name, the tighter standing stays.
    pub fn fill(&self, standings: Vec<LimitStanding>) {
        let mut known = self.lock();
        for standing in standings {
            match known.iter_mut().find(|other| other.name == standing.name) {
                Some(other) if standing.by_tightness(other).is_lt() => *other = standing,
                Some(_) => {}
                None => known.push(standing),
            }
        }
        known.sort_by(LimitStanding::by_tightness);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LimitStanding>> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a limiter says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// It was charged and may go on.
    #[non_exhaustive]
    Admitted {
        /// The tightest of the limits that applied; `None` when none did.
        quota: Option<Quota>,
        /// All limits that applied, the tightest first.
        standings: Vec<LimitStanding>,
        /// What the request holds until it ends or is given up.
        hold: Hold,
    },
    /// It was not charged and must stop.
    #[non_exhaustive]
    Limited {
        /// Name of the limit that was reached.
        limit_name: Arc<str>,
        /// Where the caller stands with it.
        quota: Quota,
        /// After this time the same request is admitted if nothing else happens; [`Duration::MAX`] when
        /// it never is.
        retry_after: Duration,
        /// All limits that applied, those that refused first.
        standings: Vec<LimitStanding>,
    },
}

impl Admission {
    /// Admitted, with the tightest limit that applied.
    pub const fn admitted(quota: Option<Quota>) -> Self {
        Self::Admitted {
            quota,
            standings: Vec::new(),
            hold: Hold::none(),
        }
    }

    /// Refused by the limit `limit_name`.
    pub fn limited(limit_name: impl Into<Arc<str>>, quota: Quota, retry_after: Duration) -> Self {
        Self::Limited {
            limit_name: limit_name.into(),
            quota,
            retry_after,
            standings: Vec::new(),
        }
    }

    /// Tells of all limits that applied, the tightest first.
    #[must_use]
    pub fn with_standings(mut self, all: Vec<LimitStanding>) -> Self {
        match &mut self {
            Self::Admitted { standings, .. } | Self::Limited { standings, .. } => *standings = all,
        }
        self
    }

    /// Holds something until the request ends; a refused request holds nothing.
    #[must_use]
    pub fn with_hold(mut self, held: Hold) -> Self {
        if let Self::Admitted { hold, .. } = &mut self {
            *hold = held;
        }
        self
    }

    /// True when the request may go on.
    pub const fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted { .. })
    }
}

/// The limiter could not tell.
#[derive(Debug, thiserror::Error)]
#[error("the rate limiter cannot decide: {reason}")]
#[non_exhaustive]
pub struct LimiterError {
    /// For the log.
    pub reason: String,
}

impl LimiterError {
    /// The limiter could not tell, because of `reason`.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

/// Counts requests and refuses those over the limit.
///
/// The pipeline asks once per request, before it tells what the policy says, so that refused requests
/// cost as much as others. All limits that apply are charged, or none. It must reject rather than wait until a
/// limit has room, and is cancelled by dropping the future.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::Duration;
/// use mcp_gw_core::{Admission, Charge, LimiterError, Quota, RateLimiter, async_trait};
///
/// /// So many calls, then no more.
/// struct Budget(AtomicU64);
///
/// #[async_trait]
/// impl RateLimiter for Budget {
///     async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
///         let cost = u64::from(charge.cost);
///         let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(cost));
///         let quota = |remaining| Quota::new(100, remaining, Duration::MAX);
///         Ok(match left {
///             Ok(before) => Admission::admitted(Some(quota(before - cost))),
///             Err(left) => Admission::limited("budget", quota(left), Duration::MAX),
///         })
///     }
/// }
/// ```
#[async_trait]
pub trait RateLimiter: Send + Sync + 'static {
    /// Charges the request, or refuses it without charging.
    ///
    /// # Errors
    /// When the limiter's store cannot be asked. The pipeline then refuses the request.
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError>;

    /// True when such a request may be counted in another way for one item than for another: by
    /// tool, by server, at a cost of its own. `charge` says neither name nor server.
    ///
    /// The pipeline then asks the policy first, and charges what it refuses as what does not exist:
    /// else the limits would tell who may not know of an item that it is there. Who sees the item in
    /// lists knows of it: a refused call of theirs is charged as any other. Otherwise it charges first, and what is over a limit costs no decision. Unless it is overridden, it is true: that
    /// tells nobody anything.
    fn tells_items_apart(&self, charge: &Charge<'_>) -> bool {
        let _ = charge;
        true
    }

    /// Charges a request to the limits on client addresses, before anybody knows who it is from;
    /// nothing is held. Unless it is overridden there are no such limits. `None` is an address that
    /// nobody knows: all of them are one.
    ///
    /// # Errors
    /// As for [`RateLimiter::admit`].
    async fn admit_address(&self, addr: Option<IpAddr>) -> Result<Admission, LimiterError> {
        let _ = addr;
        Ok(Admission::admitted(None))
    }

    /// How it does, for health checks. Nobody is asked for that: it is what the last requests have
    /// shown. Unless it is overridden, it does well, with counts in memory.
    fn health(&self) -> LimiterHealth {
        LimiterHealth::well("memory")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: RateLimiter + ?Sized> RateLimiter for Arc<T> {
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        (**self).admit(charge).await
    }

    fn tells_items_apart(&self, charge: &Charge<'_>) -> bool {
        (**self).tells_items_apart(charge)
    }

    async fn admit_address(&self, addr: Option<IpAddr>) -> Result<Admission, LimiterError> {
        (**self).admit_address(addr).await
    }

    fn health(&self) -> LimiterHealth {
        (**self).health()
    }
}

/// No limit.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Unlimited;

impl Unlimited {
    /// No limit.
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl RateLimiter for Unlimited {
    async fn admit(&self, _charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        Ok(Admission::admitted(None))
    }

    fn tells_items_apart(&self, _charge: &Charge<'_>) -> bool {
        false
    }
}
