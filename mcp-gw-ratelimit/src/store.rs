//! Where counts are kept: the seam between the limiter and its stores.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use mcp_gw_core::LimiterHealth;

use crate::algorithm::Limit;

/// Whose count it is: a hash of the limit, what it counts by, the tenant and the id.
///
/// Ids come from verified identities; only their hash is kept, so that the length of an id costs
/// nothing and stores hold no names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 16]);

impl Key {
    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// In hexadecimal, 32 digits.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// One limit that a call is to be charged to.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Demand<'a> {
    /// The limit.
    pub limit: &'a Limit,
    /// Whose count.
    pub key: Key,
    /// Units; with 0 nothing is charged, and it is admitted.
    pub cost: u64,
    /// Who asks. Where decisions have to wait for their turn, those that one asks for wait in a line
    /// of their own. Of several demands that of the first counts.
    pub flow: Key,
}

impl<'a> Demand<'a> {
    /// `cost` units of `limit` for `key`, which is also who asks.
    pub const fn new(limit: &'a Limit, key: Key, cost: u64) -> Self {
        Self {
            limit,
            key,
            cost,
            flow: key,
        }
    }

    /// Says who asks.
    #[must_use]
    pub const fn of_flow(mut self, flow: Key) -> Self {
        self.flow = flow;
        self
    }
}

/// True when a key occurs twice in a decision.
pub(crate) fn repeats_a_key(demands: &[Demand<'_>]) -> bool {
    let mut rest = demands;
    while let [first, others @ ..] = rest {
        if others.iter().any(|other| other.key == first.key) {
            return true;
        }
        rest = others;
    }
    false
}

/// What is said to a decision in which a key occurs twice.
pub(crate) fn repeated() -> StoreError {
    StoreError::new("a key occurs twice in one decision")
}

/// Where a key stands with a limit, after a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// True when this limit has room for the demand. The call is admitted when all have.
    pub admitted: bool,
    /// Units that would be admitted now: after the charge if the call was charged.
    pub remaining: u64,
    /// Time until all units are there again, if nothing else happens.
    pub reset: Duration,
    /// When not admitted, after this time it is, if nothing else happens; `None` when the demand is
    /// greater than the limit's capacity and never will be. Always `None` when admitted.
    pub retry_after: Option<Duration>,
}

impl Standing {
    /// There is room; `remaining` units are left.
    pub const fn admitted(remaining: u64, reset: Duration) -> Self {
        Self {
            admitted: true,
            remaining,
            reset,
            retry_after: None,
        }
    }

    /// There is no room, until `retry_after`.
    pub const fn refused(remaining: u64, reset: Duration, retry_after: Option<Duration>) -> Self {
        Self {
            admitted: false,
            remaining,
            reset,
            retry_after,
        }
    }
}

/// The store could not be asked, or gave no sense.
#[derive(Debug, thiserror::Error)]
#[error("the store of the rate limits cannot be used: {reason}")]
#[non_exhaustive]
pub struct StoreError {
    /// For the log; without secrets.
    pub reason: String,
}

impl StoreError {
    /// It cannot be used, because of `reason`.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

/// What a store has done and holds, for metrics. Totals count from the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Keys held now; 0 when the store cannot tell.
    pub keys: u64,
    /// Keys dropped because nothing of them counted any more.
    pub evicted: u64,
    /// Demands of new keys that were charged to the shared bucket of a full store.
    pub folded: u64,
    /// Decisions that the store could not make and something else made in its place.
    pub fallbacks: u64,
    /// Questions that failed.
    pub errors: u64,
    /// False when the last question failed.
    pub healthy: bool,
}

/// Keeps counts and decides on them.
///
/// A decision is one step: nobody sees part of it, and its demands are charged all or none. It is
/// cancelled by dropping the future, and may then have been charged.
///
/// A key occurs at most once among the demands of a decision, which is an error otherwise: each
/// demand would be decided on without the other. And it belongs to one limit: what was counted in
/// another way, by a limit of another algorithm or window, is not understood and may be forgotten.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Charges all demands if each has room, and otherwise none; tells for each, in their order,
    /// where it stands afterwards. A limit with [`Limit::penalty`] counts the attempt even then.
    ///
    /// # Errors
    /// When the store cannot be asked, or a key is asked for twice; then nothing is charged.
    async fn charge(&self, demands: &[Demand<'_>]) -> Result<Vec<Standing>, StoreError>;

    /// Tells the same and charges nothing: `remaining` and `reset` are those of now.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn peek(&self, demands: &[Demand<'_>]) -> Result<Vec<Standing>, StoreError>;

    /// Forgets what was charged to the keys of these demands.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn reset(&self, demands: &[Demand<'_>]) -> Result<(), StoreError>;

    /// True when other processes use the same counts, or a later one will: then keys must be the
    /// same in all of them.
    fn is_shared(&self) -> bool;

    /// What it has done, for metrics.
    fn stats(&self) -> StoreStats;

    /// How it does, for health checks, as far as the last questions have shown.
    fn health(&self) -> LimiterHealth {
        let counts = if self.is_shared() {
            "a shared store"
        } else {
            "memory"
        };
        if self.stats().healthy {
            LimiterHealth::well(counts)
        } else {
            LimiterHealth::failing(counts, "calls may be refused")
        }
    }
}
