#![doc = include_str!("../README.md")]

mod algorithm;
mod store;

pub use algorithm::{
    Algorithm, Limit, LimitError, MAX_EXACT, MAX_QUOTA, MAX_WINDOW, MIN_WINDOW, PARTS, Period,
    Shape,
};
pub use store::{Demand, Key, Standing, Store, StoreError, StoreStats};
