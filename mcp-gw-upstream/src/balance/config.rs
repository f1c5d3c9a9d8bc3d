//! How calls are spread over replicas, sent again and held back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Backend, ToolAnnotations};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::Error;

/// The most replicas that one server may have.
pub(crate) const MAX_REPLICAS: usize = 64;

/// Who gets the next call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// One after the other; weights are not looked at.
    #[default]
    RoundRobin,
    /// The one with the fewest calls under way for its weight.
    LeastConnections,
    /// One after the other, as often as their weights say, spread evenly.
    Weighted,
    /// One after the other, each as many times in a row as its weight says.
    Repeated,
    /// Any, by weight.
    Random,
    /// Any of those with the fewest failed calls and checks in a row, and of these of those with the
    /// fewest in the last five minutes; weights are not looked at.
    HealthBased,
    /// Of any two the one with fewer calls under way for its weight.
    TwoChoices,
    /// Always the same for the same caller or session (weighted rendezvous hashing): when a replica
    /// is lost, only its callers move.
    Consistent,
}

/// Who stays with the replica that it was first sent to, while that is well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sticky {
    /// Nobody: any replica can serve any call.
    Never,
    /// A client session, as the replica may keep state for it. Clients of revisions from 2026-07-28
    /// on have none.
    #[default]
    Sessions,
    /// A client session, and a caller without one.
    Callers,
}

/// Active checks of replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthConfig {
    /// From the end of one check to the next. 10 s by default.
    pub interval: Duration,
    /// How long a check may take. 5 s by default.
    pub timeout: Duration,
    /// So many failed checks in a row and no calls go there; a child process is ended and started
    /// again. 3 by default.
    pub unhealthy_after: u32,
    /// So many passed checks in a row and calls go there again. 2 by default.
    pub healthy_after: u32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            unhealthy_after: 3,
            healthy_after: 2,
        }
    }
}

impl HealthConfig {
    /// Sets the time between two checks.
    #[must_use]
    pub const fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets how long a check may take.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many checks in a row must fail, and how many must pass.
    #[must_use]
    pub const fn with_thresholds(mut self, unhealthy_after: u32, healthy_after: u32) -> Self {
        self.unhealthy_after = unhealthy_after;
        self.healthy_after = healthy_after;
        self
    }
}

/// So many replicas that fail their checks are checked at a time, by all servers that have this in common: each
/// may keep a check waiting until its end. Those that pass theirs wait for no turn.
#[derive(Debug, Clone)]
pub struct CheckTurns(Arc<Semaphore>);

impl CheckTurns {
    /// So many at a time; one at least.
    pub fn new(at_once: usize) -> Self {
        let at_once = at_once.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// A turn, for as long as it is held.
    pub(crate) async fn take(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.0.acquire().await.ok()
    }
}

/// When a replica that fails calls is left out for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EjectionConfig {
    /// So many failed calls in a row; 0 switches it off. 5 by default.
    pub after: u32,
    /// How long the first time; twice as long each time it happens again. 10 s by default.
    pub first: Duration,
    /// How long at most, and how long a replica must do well until the time begins anew. 5 min by
    /// default.
    pub longest: Duration,
    /// So many percent of the replicas are left out at most at a time; never all, and one of two.
    /// 50 by default.
    pub max_percent: u8,
}

impl Default for EjectionConfig {
    fn default() -> Self {
        Self {
            after: 5,
            first: Duration::from_secs(10),
            longest: Duration::from_secs(300),
            max_percent: 50,
        }
    }
}

impl EjectionConfig {
    /// Sets after how many failed calls in a row, and for how long the first time.
    #[must_use]
    pub const fn with_threshold(mut self, after: u32, first: Duration) -> Self {
        self.after = after;
        self.first = first;
        self
    }

    /// Sets how many percent of the replicas are left out at most.
    #[must_use]
    pub const fn with_max_percent(mut self, percent: u8) -> Self {
        self.max_percent = percent;
        self
    }
}

/// When a request is sent again.
///
/// A request is sent again when it certainly did not reach the server, or when it changes nothing
/// to do it twice: tools whose annotations say `readOnlyHint` or `idempotentHint`, where
/// [`BalanceConfig::hints`] does not say otherwise, and everything that is not a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryConfig {
    /// How many times in all a server may get the same request; 1 means that nothing is ever sent
    /// again. 5 by default: of the calls that a restart cuts off, about one in a hundred meets the next
    /// one where restarts follow each other within 50 ms, so 3 are too few for that.
    pub attempts: u32,
    /// So many percent of all requests may be sent again although the server may have got them; 10
    /// a second are always allowed. 20 by default.
    pub budget_percent: u32,
    /// How long requests wait, from the first failure on, for a server that is nowhere to be
    /// reached: as long as a restart takes. One that is away for longer fails them at once. It also
    /// bounds all pauses of one request together. 5 s by default.
    pub wait: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 5,
            budget_percent: 20,
            wait: Duration::from_secs(5),
        }
    }
}

impl RetryConfig {
    /// Nothing is sent again.
    pub fn none() -> Self {
        Self::default().with_attempts(1)
    }

    /// Sets how many times in all a server may get the same request.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets how many percent of all requests may be sent again.
    #[must_use]
    pub const fn with_budget_percent(mut self, percent: u32) -> Self {
        self.budget_percent = percent;
        self
    }

    /// Sets how long requests wait for a server that cannot be reached.
    #[must_use]
    pub const fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }
}

/// What whoever runs the gateway says of a tool, above what the server says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hints {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// It may destroy something: calls are never sent twice, whatever else is said.
    pub destructive: Option<bool>,
    /// Doing it twice is as good as doing it once.
    pub idempotent: Option<bool>,
}

impl Hints {
    /// Hints that are given, in the order of the fields.
    pub const fn new(
        read_only: Option<bool>,
        destructive: Option<bool>,
        idempotent: Option<bool>,
    ) -> Self {
        Self {
            read_only,
            destructive,
            idempotent,
        }
    }

    /// True when a call may be sent twice to a tool that says this of itself.
    pub(crate) fn is_safe(self, says: &ToolAnnotations) -> bool {
        let is = |ours: Option<bool>, theirs| ours.or(theirs) == Some(true);
        self.destructive != Some(true)
            && (is(self.read_only, says.read_only_hint)
                || is(self.idempotent, says.idempotent_hint))
    }
}

/// How calls are spread over the replicas of a server, sent again and held back.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BalanceConfig {
    /// The name of the backend; unique in a gateway.
    pub name: String,
    /// Who gets the next call.
    pub strategy: Strategy,
    /// Who stays with the replica that it was first sent to.
    pub sticky: Sticky,
    /// Active checks; none by default.
    pub health: Option<HealthConfig>,
    /// How many replicas that fail their checks are checked at a time; no limit by default.
    pub check_turns: Option<CheckTurns>,
    /// When a replica that fails calls is left out.
    pub ejection: EjectionConfig,
    /// When a request is sent again.
    pub retries: RetryConfig,
    /// What is said of tools here, by the names that the server gave them.
    pub hints: BTreeMap<String, Hints>,
    /// How many calls may be under way at a time; no limit by default.
    pub max_concurrent: Option<usize>,
    /// How many calls may wait when that many are under way. 128 by default.
    pub max_queue: usize,
    /// How long a call may wait. 10 s by default.
    pub queue_timeout: Duration,
}

impl BalanceConfig {
    /// The server `name` with the defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            strategy: Strategy::default(),
            sticky: Sticky::default(),
            health: None,
            check_turns: None,
            ejection: EjectionConfig::default(),
            retries: RetryConfig::default(),
            hints: BTreeMap::new(),
            max_concurrent: None,
            max_queue: 128,
            queue_timeout: Duration::from_secs(10),
        }
    }

    /// Sets who gets the next call.
    #[must_use]
    pub const fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets who stays with the replica that it was first sent to.
    #[must_use]
    pub const fn with_sticky(mut self, sticky: Sticky) -> Self {
        self.sticky = sticky;
        self
    }

    /// Sets the active checks.
    #[must_use]
    pub const fn with_health(mut self, health: Option<HealthConfig>) -> Self {
        self.health = health;
        self
    }

    /// Sets how many replicas that fail their checks are checked at a time.
    #[must_use]
    pub fn with_check_turns(mut self, turns: CheckTurns) -> Self {
        self.check_turns = Some(turns);
        self
    }

    /// Sets when a replica that fails calls is left out.
    #[must_use]
    pub const fn with_ejection(mut self, ejection: EjectionConfig) -> Self {
        self.ejection = ejection;
        self
    }

    /// Sets when a request is sent again.
    #[must_use]
    pub const fn with_retries(mut self, retries: RetryConfig) -> Self {
        self.retries = retries;
        self
    }

    /// Sets what is said of tools here, by the names that the server gave them.
    #[must_use]
    pub fn with_hints(mut self, hints: BTreeMap<String, Hints>) -> Self {
        self.hints = hints;
        self
    }

    /// Sets how many calls may be under way, how many may wait, and for how long.
    #[must_use]
    pub const fn with_limit(
        mut self,
        max_concurrent: usize,
        max_queue: usize,
        queue_timeout: Duration,
    ) -> Self {
        self.max_concurrent = Some(max_concurrent);
        self.max_queue = max_queue;
        self.queue_timeout = queue_timeout;
        self
    }

    /// What no server could work with.
    pub(crate) fn check(&self, replicas: &[Replica]) -> Result<(), Error> {
        let wrong = |option, reason| {
            Err(Error::Option {
                server: self.name.clone(),
                option,
                reason,
            })
        };
        if replicas.is_empty() || replicas.len() > MAX_REPLICAS {
            return wrong("replicas", "must be 1 to 64");
        }
        if replicas.iter().any(|replica| replica.weight == 0) {
            return wrong("weight", "must be at least 1");
        }
        if self.max_concurrent.is_some_and(|max| max == 0) {
            return wrong("max_concurrent", "must be at least 1");
        }
        if self.retries.attempts == 0 {
            return wrong("attempts", "must be at least 1");
        }
        match self.health {
            Some(health) if health.interval.is_zero() || health.timeout.is_zero() => {
                wrong("health", "needs times longer than zero")
            }
            Some(health) if health.unhealthy_after == 0 || health.healthy_after == 0 => {
                wrong("health", "needs thresholds of at least 1")
            }
            _ => Ok(()),
        }
    }
}

/// One of the places where a server runs.
#[derive(Clone)]
#[non_exhaustive]
pub struct Replica {
    /// What it is called in logs; nothing secret.
    pub label: String,
    /// What [`Strategy::Consistent`] knows it by; never shown. The label by default.
    pub key: String,
    /// The way to it.
    pub backend: Arc<dyn Backend>,
    /// Its share of the calls. 1 by default.
    pub weight: u32,
}

impl Replica {
    /// A replica with the weight 1.
    pub fn new(label: impl Into<String>, backend: Arc<dyn Backend>) -> Self {
        let label = label.into();
        Self {
            key: label.clone(),
            label,
            backend,
            weight: 1,
        }
    }

    /// Sets what it is known by to [`Strategy::Consistent`]: the same in all gateways that share
    /// the replicas.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// Sets its share of the calls.
    #[must_use]
    pub const fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("label", &self.label)
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}
