#![doc = include_str!("../README.md")]

mod credentials;
mod guard;
mod router;
mod serve;

pub use guard::Guard;
pub use router::{HttpConfig, router, router_for};
pub use serve::serve;
