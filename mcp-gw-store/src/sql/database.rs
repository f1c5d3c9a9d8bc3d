//! What is asked of a database.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use super::fault::Fault;
use super::row::{Query, Row};
use crate::contract::StoreKind;
use crate::error::Result;

/// Connections to one database.
#[async_trait]
pub(crate) trait Database: Debug + Send + Sync + 'static {
    fn kind(&self) -> StoreKind;

    /// The statement that raises the counter of the kind of change `$1`, tells other processes if
    /// there is a way, and returns the count.
    fn raise(&self) -> &'static str;

    /// What is appended to a `SELECT` so that nobody else changes the row until the end of the
    /// transaction.
    fn hold(&self) -> &'static str;

    /// The scripts of all versions of the schema, the first one first.
    fn migrations(&self) -> &'static [&'static str];

    /// The statement that names the tables in reach.
    fn tables(&self) -> &'static str;

    /// Asks outside of a transaction, for what is committed.
    async fn read(&self, query: &Query<'_>) -> std::result::Result<Vec<Row>, Fault>;

    /// Begins a transaction that may write.
    async fn begin(&self) -> Result<Box<dyn Transaction>>;

    /// Begins a transaction beside which no other process changes the schema.
    async fn begin_migration(&self) -> Result<Box<dyn Transaction>>;

    /// A way to hear of commits of other processes; `None` when there are none.
    async fn news(&self) -> Result<Option<Box<dyn News>>>;

    async fn close(&self);
}

/// A transaction. Dropped, it is rolled back.
#[async_trait]
pub(crate) trait Transaction: Send {
    /// The rows that a statement returns.
    async fn ask(&mut self, query: &Query<'_>) -> std::result::Result<Vec<Row>, Fault>;

    /// How many rows a statement changes.
    async fn execute(&mut self, query: &Query<'_>) -> std::result::Result<u64, Fault>;

    /// Several statements without arguments.
    async fn script(&mut self, sql: &'static str) -> Result<()>;

    async fn commit(self: Box<Self>) -> Result<()>;
}

/// Says when it is worth to look for changes.
#[async_trait]
pub(crate) trait News: Send {
    /// Waits until somebody may have changed something, and no longer than for the time of a poll
    /// where that cannot be told.
    async fn heard(&mut self, poll: Duration);
}
