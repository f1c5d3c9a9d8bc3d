#![doc = include_str!("../README.md")]

mod algorithm;
mod check;
mod config;
mod doubts;
mod fault;
mod headers;
mod inflight;
mod keys;
mod limiter;
mod matcher;
mod maths;
mod memory;
mod reach;
#[cfg(feature = "redis")]
pub mod redis;
mod set;
mod store;
mod view;

pub use algorithm::{
    Algorithm, Limit, LimitError, MAX_EXACT, MAX_NAME, MAX_QUOTA, MAX_WINDOW, MIN_WINDOW, PARTS,
    Period, Shape,
};
pub use config::{
    AlgorithmConfig, CallerConfig, Classes, ConcurrentConfig, CostConfig, KindConfig, LimitsConfig,
    MatchConfig, OtherConfig, OverrideConfig, Per, PeriodConfig, RuleConfig,
};
pub use fault::{LimitFault, LimitPath, Step};
pub use headers::headers;
pub use limiter::{LimitStats, Limiter, LimiterStats};
pub use maths::{State, check_at, period_end};
pub use memory::{DEFAULT_KEYS, MemoryLedger, MemoryStore, QuotaLedger, QuotaRecord};
pub use set::LimitSet;
pub use store::{Demand, Key, Standing, Store, StoreError, StoreStats};
pub use view::LimitView;
