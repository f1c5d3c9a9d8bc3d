//! Counts that several gateways share, in Redis 7 or Valkey.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use mcp_gw_core::SystemClock;
//! use mcp_gw_ratelimit::redis::{OnError, RedisConfig, RedisStore};
//! use mcp_gw_ratelimit::{LimitSet, Limiter, LimitsConfig, MemoryStore};
//!
//! # async fn limiter() -> Result<Limiter, Box<dyn std::error::Error>> {
//! let config = RedisConfig::new("redis://redis.internal:6379").with_on_error(OnError::Local, 3);
//! let local = Arc::new(MemoryStore::default());
//! let store = RedisStore::new(&config, local, Arc::new(SystemClock::new()))
//!     .map_err(|faults| format!("{faults:?}"))?;
//! store.connect().await.ok(); // It goes on trying by itself.
//! let set = LimitSet::new(&LimitsConfig::per_minute(60)).map_err(|faults| format!("{faults:?}"))?;
//! Ok(Limiter::new(set, Arc::new(store)))
//! # }
//! ```
//!
//! A decision is one script and one round trip, whatever the number of limits; all of them are
//! charged, or none. It is the maths of [`check_at`](crate::check_at), step by step. The time is the
//! server's, so that the clocks of gateways do not matter; when it goes back, nothing is granted.
//!
//! # Keys
//!
//! Keys are named `{prefix}:<32 hexadecimal digits>:<w, b or c>` and go by themselves, a window by a
//! part of it after they stopped counting, a bucket by a second, a quota of the calendar by an hour.
//! The braces are a hash tag: all keys of a prefix lie in one slot, or no decision could charge a
//! caller and a limit that all share at once. So the limits of one prefix are as fast as one node of
//! a cluster. Who needs more gives each fleet, or each tenant, a prefix and a store of its own; they
//! share nothing then. The store connects to one node, and follows when the cluster says that the
//! keys live on another one.
//!
//! A user needs these rights, on keys `{prefix}:*`: `EVALSHA`, `EVAL`, `SCRIPT LOAD`, `TIME`, `LLEN`,
//! `LRANGE`, `LTRIM`, `LSET`, `RPOP`, `RPUSH`, `DEL`, `HMGET`, `HSET`, `PEXPIRE`. With `INFO`, or
//! `CONFIG GET`, it is warned of a server that drops keys when its memory is full.
//!
//! # When it gives no answer
//!
//! A check waits for its turn first, when [`RedisConfig::max_in_flight`] others are under way: each
//! caller ([`Demand::flow`]) in a line of its own, so that the flood of one neither delays the others nor passes for an
//! outage. Once it is sent, it waits for [`RedisConfig::timeout`] as long as Redis is silent, and up to
//! ten times as long while Redis answers others. When even a `PING` brings no sound the connection is
//! given up, and until there is a new one nobody waits at all: [`OnError`] decides at once. The same holds for a server that is not there, is a replica, has no memory left, does not
//! know the password, or holds something else under a key; [`FailureKind`] has all cases,
//! [`RedisStore::health`] and [`RedisStore::redis_stats`] tell of them, and the log does, two lines
//! in half a minute at most.
//!
//! With [`OnError::Local`] each gateway admits its part of a quota, at least 1, and takes a call that
//! costs more than the part for all of it. So `nodes` gateways together stay within the quota as
//! long as it is at least `nodes` and no call costs more than a part.
//!
//! What was counted elsewhere in an outage is not brought to Redis afterwards: around one, up to
//! twice a quota may be used in a window. Nor does a server know more after a restart than it had
//! written to its disk, or a replica that takes over more than it had been sent. A check that ran
//! into the timeout may have been charged in Redis too: that counts too much, never too little.

mod config;
mod eviction;
mod failure;
mod link;
mod outage;
mod script;
#[cfg(test)]
mod tests;
mod turns;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp_gw_core::{Clock, LimiterHealth};
use redis::Value;

use crate::fault::LimitFault;
use crate::store::{Demand, Standing, Store, StoreError, StoreStats, repeated, repeats_a_key};

pub use config::{OnError, RedisConfig};
pub use failure::FailureKind;
pub use outage::{RedisHealth, RedisStats};

use failure::Failure;
use link::{Link, LinkSettings};
use outage::Outage;
use script::{Mode, Script, standings};
use turns::Flow;

/// Keeps counts in Redis or Valkey.
///
/// It connects when it is first asked, or by [`RedisStore::connect`], and makes lost connections
/// anew by itself, with growing pauses. It needs a Tokio runtime.
pub struct RedisStore {
    link: Link,
    script: Arc<Script>,
    outage: Arc<Outage>,
    local: Arc<dyn Store>,
}

impl RedisStore {
    /// The store that `config` describes. `local` counts while Redis gives no answer, if
    /// [`OnError::Local`] says so; its clock is `clock`.
    ///
    /// # Errors
    /// All that [`RedisConfig::faults`] finds.
    pub fn new(
        config: &RedisConfig,
        local: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Vec<LimitFault>> {
        Self::with_script(config, local, clock, Script::new(&config.prefix))
    }

    fn with_script(
        config: &RedisConfig,
        local: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        script: Script,
    ) -> Result<Self, Vec<LimitFault>> {
        let faults = config.faults();
        let server = match config.server() {
            Ok(server) if faults.is_empty() => server,
            _ => return Err(faults),
        };
        let link = Link::new(LinkSettings {
            server,
            timeout: config.timeout.get(),
            connect_timeout: config.connect_timeout.get(),
            max_in_flight: config.max_in_flight,
            greeting: script.load(),
            whereabouts: script.whereabouts(),
        });
        Ok(Self {
            link,
            script: Arc::new(script),
            outage: Arc::new(Outage::new(config.on_error, config.nodes, clock)),
            local,
        })
    }

    /// The same store, with the same connection and totals, for which `local` counts while Redis
    /// gives no answer: so the keys of one kind use up no room of another's.
    #[must_use]
    pub fn beside(&self, local: Arc<dyn Store>) -> Self {
        Self {
            link: self.link.clone(),
            script: Arc::clone(&self.script),
            outage: Arc::clone(&self.outage),
            local,
        }
    }

    /// Connects now rather than with the first call. It goes on trying after this has failed, so a
    /// server may start without its Redis.
    ///
    /// # Errors
    /// When the first attempt fails.
    pub async fn connect(&self) -> Result<(), StoreError> {
        self.link.connect().await.map_err(|failure| {
            self.outage.failed(&failure, self.link.connections());
            StoreError::new(failure.to_string())
        })
    }

    /// Waits until there is a connection, however long that takes.
    pub async fn connected(&self) {
        self.link.connected().await;
    }

    /// How it is, for a health check.
    pub fn health(&self) -> RedisHealth {
        let standing = self.link.standing();
        self.outage
            .health(standing.as_ref(), self.link.connections())
    }

    /// What it has done, in more detail than [`Store::stats`].
    pub fn redis_stats(&self) -> RedisStats {
        self.outage
            .stats(self.link.connections(), self.link.in_flight())
    }

    /// Asks Redis, and when it gives no answer, whoever stands in for it.
    async fn decide(
        &self,
        mode: Mode,
        demands: &[Demand<'_>],
    ) -> Result<Vec<Standing>, StoreError> {
        if demands.is_empty() {
            return Ok(Vec::new());
        }
        let began = self.outage.now();
        let answer = self.ask(mode, demands).await;
        self.outage.waited(began);
        match answer {
            Ok(standings) => {
                self.outage.answered();
                Ok(standings)
            }
            Err(failure) if failure.kind == FailureKind::Busy => {
                self.outage.crowded();
                Err(StoreError::new(failure.to_string()))
            }
            Err(failure) => {
                self.outage.failed(&failure, self.link.connections());
                let local = &*self.local;
                self.outage.stand_in(local, mode, demands, &failure).await
            }
        }
    }

    async fn ask(&self, mode: Mode, demands: &[Demand<'_>]) -> Result<Vec<Standing>, Failure> {
        let flow = flow(demands);
        let by_digest = self.script.ask(mode, demands);
        let answer: Value = match self.link.ask(flow, &by_digest).await {
            Err(failure) if failure.is_unknown_script() => {
                self.outage.reloaded();
                let with_text = self.script.ask_with_text(mode, demands);
                self.link.ask(flow, &with_text).await
            }
            answer => answer,
        }?;
        standings(answer, demands.len())
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("link", &self.link)
            .field("outage", &self.outage)
            .finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for RedisStore {
    async fn charge(&self, demands: &[Demand<'_>]) -> Result<Vec<Standing>, StoreError> {
        if repeats_a_key(demands) {
            return Err(repeated());
        }
        self.decide(Mode::Charge, demands).await
    }

    async fn peek(&self, demands: &[Demand<'_>]) -> Result<Vec<Standing>, StoreError> {
        self.decide(Mode::Peek, demands).await
    }

    async fn reset(&self, demands: &[Demand<'_>]) -> Result<(), StoreError> {
        if demands.is_empty() {
            return Ok(());
        }
        // What stands in for Redis forgets in any case.
        self.local.reset(demands).await?;
        let command = self.script.forget(demands);
        match self.link.ask(flow(demands), &command).await {
            Ok(_) => {
                self.outage.answered();
                Ok(())
            }
            Err(failure) => {
                self.outage.failed(&failure, self.link.connections());
                Err(StoreError::new(failure.to_string()))
            }
        }
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn stats(&self) -> StoreStats {
        self.outage
            .store_stats(&*self.local, Self::health(self).is_healthy)
    }

    fn health(&self) -> LimiterHealth {
        let health = Self::health(self);
        if health.is_healthy {
            return LimiterHealth::well("redis");
        }
        let failure = health.failure.map(|(_, says)| says);
        LimiterHealth::failing("redis", health.on_error.meanwhile())
            .because(health.failing_for, failure)
    }
}

/// Whose flow a check belongs to.
fn flow(demands: &[Demand<'_>]) -> Flow {
    let first = demands.first();
    first.map_or(0, |first| u128::from_le_bytes(*first.flow.as_bytes()))
}

/// How long a line about an outage keeps others from being written.
const QUIET: Duration = Duration::from_secs(30);
