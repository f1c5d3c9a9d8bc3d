//! Pins: what a server offered when it was trusted is written down, and what it offers later is held
//! against that, before any client sees it.

mod canonical;
mod diff;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod guard;
mod guards;
mod judge;
mod print;
mod store;
mod watch;

pub(crate) use canonical::canonical;
#[cfg(feature = "cli")]
pub(crate) use diff::{of as difference, visible};
#[cfg(feature = "cli")]
pub(crate) use file::ServerPins;
#[cfg(feature = "management")]
pub(crate) use guard::Guard;
pub(crate) use guards::Guards;
#[cfg(feature = "cli")]
pub(crate) use judge::{Drift, Drifts, chain, compare};
#[cfg(feature = "cli")]
pub(crate) use print::{Kind, Seen, Sight};
pub use store::PinsError;
#[cfg(all(feature = "cli", feature = "management"))]
pub(crate) use store::SharedStore;
#[cfg(feature = "cli")]
pub(crate) use store::{FileStore, Store};
pub(crate) use watch::PinWatch;
