//! The limits of a gateway: what decides, and where it counts.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use mcp_gw_core::{RateLimiter, SystemClock};
use mcp_gw_ratelimit::redis::RedisStore;
use mcp_gw_ratelimit::{
    DEFAULT_KEYS, LimitFault, LimitSet, Limiter, LimitsConfig, MemoryStore, Store,
};

use crate::compose::LaunchError;
use crate::config::{Config, limit_warnings};
use crate::swap::Swap;

/// The limits in force, and the Redis that they count in, if it is not this process. Clones share
/// them.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) limiter: Swap<Limiter>,
    redis: Arc<ArcSwapOption<RedisStore>>,
    memory: Memory,
}

/// The counts of this process, as long as it lives: whatever else is counted in goes back to them, or
/// has them in its place while it is away.
#[derive(Debug, Clone)]
struct Memory {
    callers: Arc<MemoryStore>,
    addresses: Arc<MemoryStore>,
}

/// So long a start or a reload waits for a Redis. It is connected to meanwhile and afterwards.
const PATIENCE: Duration = Duration::from_millis(250);

/// Limits that are to be in force.
pub(crate) struct NextLimits {
    set: LimitSet,
    /// The store that they count in from now on; `None` when it stays what it is.
    store: Option<Counts>,
}

/// Where is counted.
struct Counts {
    store: Arc<dyn Store>,
    addresses: Arc<dyn Store>,
    redis: Option<Arc<RedisStore>>,
}

impl Limits {
    /// The limits of `config`. They connect to Redis with the first call, or in
    /// [`Limits::connect`].
    pub(crate) fn new(config: &LimitsConfig) -> Result<Self, LaunchError> {
        let set = set_of(config)?;
        let memory = Memory::of(&set);
        let Counts {
            store,
            addresses,
            redis,
        } = Counts::new(config, &memory)?;
        let limiter = Limiter::new(set, store).with_address_store(addresses);
        Ok(Self {
            limiter: Swap::new(limiter),
            redis: Arc::new(ArcSwapOption::from(redis)),
            memory,
        })
    }

    /// What `config` makes of the limits of `before`. Counts are kept unless they move. All that can
    /// fail is done here.
    pub(crate) fn next(
        &self,
        before: &LimitsConfig,
        config: &LimitsConfig,
    ) -> Result<NextLimits, LaunchError> {
        let set = set_of(config)?;
        let moves = match (&before.redis, &config.redis) {
            (Some(before), Some(redis)) => !before.is_same(redis),
            (before, redis) => before.is_some() != redis.is_some(),
        };
        let store = moves.then(|| Counts::new(config, &self.memory));
        let store = store.transpose()?;
        Ok(NextLimits { set, store })
    }

    /// Puts `next` in force.
    pub(crate) fn put(&self, next: NextLimits) {
        let now = self.limiter.now();
        match next.store {
            None => self.limiter.put(now.with_set(next.set)),
            Some(Counts {
                store,
                addresses,
                redis,
            }) => {
                let next = now.with_set_and_store(next.set, store);
                self.limiter.put(next.with_address_store(addresses));
                self.redis.store(redis);
            }
        }
    }

    /// Connects to Redis, if that is where is counted, and does not wait for long. It goes on trying by
    /// itself; `on_error` decides meanwhile, and the log says so.
    pub(crate) async fn connect(&self) {
        connect(self.redis()).await;
    }

    /// Keeps what this process counts of quotas by the calendar in `ledger`, from now on: also while Redis
    /// counts, as a reload may end that.
    #[cfg(feature = "management")]
    pub(crate) fn keep_quotas(
        &self,
        ledger: crate::quotas::StoreLedger,
    ) -> crate::quotas::KeptQuotas {
        crate::quotas::KeptQuotas::start(Arc::clone(&self.memory.callers), ledger)
    }

    /// How they do, in one line, if they are not counted in this process alone.
    pub(crate) fn line(&self) -> Option<String> {
        let redis = self.redis()?;
        let health = redis.health();
        if health.is_healthy && !health.is_connected {
            // It is connected to in the background, and may have had no time to fail.
            return Some("rate limits wait for a connection to redis".to_owned());
        }
        Some(RateLimiter::health(&self.limiter).to_string())
    }

    /// The Redis, if that is where is counted.
    pub(crate) fn redis(&self) -> Option<Arc<RedisStore>> {
        self.redis.load_full()
    }
}

/// Says what looks wrong with the limits and stops nothing.
pub(crate) fn tell_of_limits(config: &Config) {
    for warning in limit_warnings(config) {
        tracing::warn!("{warning}");
    }
}

impl NextLimits {
    /// Connects to another Redis before it is used, if it does not keep others waiting.
    pub(crate) async fn connect(&self) {
        let store = self.store.as_ref();
        connect(store.and_then(|counts| counts.redis.clone())).await;
    }
}

async fn connect(redis: Option<Arc<RedisStore>>) {
    let Some(redis) = redis else { return };
    let connecting = tokio::spawn(async move {
        if redis.connect().await.is_ok() {
            tracing::info!("rate limits are counted in Redis");
        }
    });
    // The task ends by itself, soon after an attempt to connect does.
    let _ = tokio::time::timeout(PATIENCE, connecting).await;
}

impl Memory {
    fn of(set: &LimitSet) -> Self {
        let store = |keys: Option<usize>| {
            let room = keys.unwrap_or(DEFAULT_KEYS);
            Arc::new(MemoryStore::with_room(SystemClock::new(), room))
        };
        Self {
            callers: store(set.keys()),
            addresses: store(set.addresses()),
        }
    }
}

impl Counts {
    fn new(config: &LimitsConfig, memory: &Memory) -> Result<Self, LaunchError> {
        let Memory { callers, addresses } = memory.clone();
        let Some(config) = &config.redis else {
            return Ok(Self {
                store: callers,
                addresses,
                redis: None,
            });
        };
        let redis = RedisStore::new(config, callers, Arc::new(SystemClock::new()));
        let redis = Arc::new(redis.map_err(fault)?);
        // Anybody can have many addresses, and must not fill the Redis of callers.
        let addresses: Arc<dyn Store> = if config.addresses {
            Arc::new(redis.beside(addresses))
        } else {
            addresses
        };
        Ok(Self {
            addresses,
            store: Arc::<RedisStore>::clone(&redis),
            redis: Some(redis),
        })
    }
}

/// The limits that `config` describes.
pub(crate) fn set_of(config: &LimitsConfig) -> Result<LimitSet, LaunchError> {
    LimitSet::new(config).map_err(fault)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn fault(faults: Vec<LimitFault>) -> LaunchError {
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    LaunchError::Limits(faults.join("; "))
}
