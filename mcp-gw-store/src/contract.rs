//! What a store does, whatever it keeps things in.

mod ledger;
mod registry;

use std::fmt;

use async_trait::async_trait;

use crate::changes::Changes;
use crate::error::Result;

pub use ledger::{AuditLog, Pins, Quotas, Tokens};
pub use registry::{Keys, Servers, Users};

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Users.
    pub users: u64,
    /// Users that are administrators and may log in.
    pub active_superusers: u64,
    /// API keys.
    pub keys: u64,
    /// Templates.
    pub templates: u64,
    /// Instances.
    pub instances: u64,
    /// Instances that are active and healthy.
    pub healthy_instances: u64,
}

/// What a store keeps things in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreKind {
    /// The memory of this process.
    Memory,
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl StoreKind {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Durable state of a gateway.
///
/// A write that has returned is kept, whatever becomes of the process; one that failed was not made,
/// unless [`StoreError::is_uncertain`](crate::StoreError::is_uncertain). Each method is one step:
/// nobody sees part of it. Dropping its future gives it up: it is then made whole or not at all.
///
/// All methods refuse values that some database would not take: see `Limits` in the README.
#[async_trait]
pub trait Store:
    Users + Keys + Servers + Quotas + Pins + Tokens + AuditLog + fmt::Debug + Send + Sync + 'static
{
    /// What it keeps things in.
    fn kind(&self) -> StoreKind;

    /// True when several processes can use the same state, so that it may change without this one.
    fn is_shared(&self) -> bool;

    /// Tells of changes from now on, whoever makes them.
    fn changes(&self) -> Changes;

    /// How many there are.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn counts(&self) -> Result<Counts>;

    /// Asks the database for a sign of life: whether it can be read and written. It is tried to write at most
    /// every few seconds.
    ///
    /// # Errors
    /// When there is none, or nothing could be written the last time that it was tried.
    async fn check(&self) -> Result<()>;

    /// Ends connections. What is asked for afterwards fails, but for stores in memory.
    async fn close(&self);
}
