#![doc = include_str!("../README.md")]

mod algorithm;
mod maths;
mod memory;
#[cfg(feature = "redis")]
pub mod redis;
mod store;

pub use algorithm::{
    Algorithm, Limit, LimitError, MAX_EXACT, MAX_QUOTA, MAX_WINDOW, MIN_WINDOW, PARTS, Period,
    Shape,
};
pub use maths::{State, check_at, period_end};
pub use memory::{DEFAULT_KEYS, MemoryLedger, MemoryStore, QuotaLedger, QuotaRecord};
pub use store::{Demand, Key, Standing, Store, StoreError, StoreStats};
