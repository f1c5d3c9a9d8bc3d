//! One server in several places: who gets a call, when it is sent again, and how many at a time.
//!
//! What decides is kept apart from what happens: [`pick`], [`health`], [`budget`] and [`retry`] are
//! plain data that is told the time; [`fleet`] holds them together; [`server`] is the backend.

mod affinity;
pub(crate) mod budget;
mod config;
mod fleet;
pub(crate) mod gate;
mod health;
mod news;
mod pick;
pub(crate) mod random;
mod retry;
mod server;

pub use config::{
    BalanceConfig, CheckTurns, EjectionConfig, HealthConfig, Hints, Replica, RetryConfig, Sticky,
    Strategy,
};
pub use fleet::{ReplicaState, ReplicaStatus};
pub use server::Balanced;
