//! State in a database that speaks SQL. What is asked is the same for all of them and is here; how it
//! is asked is in `sqlite.rs` and `postgres.rs`.

mod access;
mod audit;
mod database;
mod fault;
mod ledger;
mod migrate;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod probe;
mod row;
mod server_rows;
mod servers;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
mod superusers;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp_gw_core::Clock;
use tokio::time::Instant;

use crate::changes::{Bell, ChangeKind, Changes};
use crate::contract::{Counts, Store, StoreKind};
use crate::error::{Conflict, Result, StoreError};
use crate::values::{Revision, Time};
pub(crate) use database::Database;
use database::Transaction;
use fault::Fault;
use probe::Probe;
use row::{Query, Row};
use watch::Watcher;

/// A store in a database.
pub(crate) struct SqlStore {
    database: Arc<dyn Database>,
    bell: Arc<Bell>,
    clock: Arc<dyn Clock>,
    /// How long a request may take.
    patience: Duration,
    /// What is known of whether it can be written.
    probe: Probe,
    /// Looks for changes that others make, for as long as there is the store.
    watcher: Option<Watcher>,
}

impl SqlStore {
    /// The store in this database, once its schema is of today.
    pub(crate) async fn open(
        database: Arc<dyn Database>,
        clock: Arc<dyn Clock>,
        patience: Duration,
        poll: Duration,
    ) -> Result<Self> {
        migrate::migrate(&*database, Time::from(clock.wall()), migrate::LATEST).await?;
        let bell = Arc::new(Bell::new());
        let watcher = Watcher::start(&database, &bell, poll).await?;
        Ok(Self {
            database,
            bell,
            clock,
            patience,
            probe: Probe::default(),
            watcher,
        })
    }

    fn now(&self) -> Time {
        self.clock.wall().into()
    }

    /// Asks outside of a transaction.
    async fn read(&self, query: Query<'_>) -> Result<Vec<Row>> {
        let answer = tokio::time::timeout(self.patience, self.database.read(&query));
        answer.await.map_err(|_| late())?.map_err(StoreError::from)
    }

    /// Asks for what is there at most once.
    async fn read_one(&self, query: Query<'_>) -> Result<Option<Row>> {
        Ok(self.read(query).await?.into_iter().next())
    }

    /// Begins a write.
    async fn begin(&self) -> Result<Write<'_>> {
        let deadline = Instant::now() + self.patience;
        let begun = tokio::time::timeout_at(deadline, self.database.begin()).await;
        let begun = begun.unwrap_or_else(|_| Err(late()));
        let transaction = begun.inspect_err(|_| self.probe.failed())?;
        Ok(Write {
            store: self,
            transaction,
            deadline,
            changed: Vec::new(),
        })
    }

    /// Rows that a statement has changed, and nothing else is to be written or told of.
    async fn execute(&self, query: Query<'_>) -> Result<u64> {
        let mut write = self.begin().await?;
        let rows = write.execute(query).await?;
        write.commit().await?;
        Ok(rows)
    }
}

fn late() -> StoreError {
    StoreError::Timeout {
        reason: "it took longer than a request may".to_owned(),
    }
}

/// A write under way. Dropped, it leaves nothing behind.
struct Write<'s> {
    store: &'s SqlStore,
    transaction: Box<dyn Transaction>,
    deadline: Instant,
    changed: Vec<ChangeKind>,
}

impl Write<'_> {
    async fn ask(&mut self, query: Query<'_>) -> std::result::Result<Vec<Row>, Fault> {
        let answer = tokio::time::timeout_at(self.deadline, self.transaction.ask(&query)).await;
        self.store.heard(answer)
    }

    async fn ask_one(&mut self, query: Query<'_>) -> std::result::Result<Option<Row>, Fault> {
        Ok(self.ask(query).await?.into_iter().next())
    }

    /// The row that the statement finds: nobody else changes it until this is committed.
    async fn hold(&mut self, mut query: Query<'_>) -> std::result::Result<Option<Row>, Fault> {
        query.push(self.store.database.hold());
        self.ask_one(query).await
    }

    /// Changes the one row that is held.
    async fn put(&mut self, query: Query<'_>) -> std::result::Result<(), Fault> {
        match self.execute(query).await? {
            1 => Ok(()),
            _ => Err(StoreError::damaged("a row that was held is not there").into()),
        }
    }

    /// Tells how many rows were changed.
    async fn execute(&mut self, query: Query<'_>) -> std::result::Result<u64, Fault> {
        let answer = tokio::time::timeout_at(self.deadline, self.transaction.execute(&query)).await;
        self.store.heard(answer)
    }

    /// Things of this kind have changed, once it is committed.
    fn changed(&mut self, kind: ChangeKind) {
        self.changed.push(kind);
    }

    async fn commit(mut self) -> Result<()> {
        let mut counts = Vec::with_capacity(self.changed.len());
        // Always in the same order, or two writes could wait for each other.
        self.changed.sort();
        self.changed.dedup();
        for kind in std::mem::take(&mut self.changed) {
            let sql = self.store.database.raise();
            let row = self.ask_one(Query::new(sql).text(kind.as_str())).await?;
            let row = row.ok_or_else(|| StoreError::damaged("a counter cannot be raised"))?;
            counts.push((kind, row.reader().int()?));
        }
        let committed = tokio::time::timeout_at(self.deadline, self.transaction.commit()).await;
        let uncertain = |_| {
            Err(StoreError::Uncertain {
                reason: "the commit took longer than a request may".to_owned(),
            })
        };
        let committed = committed.unwrap_or_else(uncertain);
        committed.inspect_err(|_| self.store.probe.failed())?;
        self.store.probe.written();
        self.store.bell.ring(&counts);
        Ok(())
    }
}

/// Whether a row of this revision may be written.
fn expect(expected: Option<Revision>, found: Revision) -> Result<()> {
    if expected.is_none_or(|expected| expected == found) {
        return Ok(());
    }
    Err(StoreError::conflict(Conflict::Revision))
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("kind", &self.database.kind())
            .finish_non_exhaustive()
    }
}

const COUNTS: &str = "SELECT (SELECT COUNT(*) FROM gw_users), \
    (SELECT COUNT(*) FROM gw_users WHERE is_active = 1 AND is_superuser = 1), \
    (SELECT COUNT(*) FROM gw_keys), (SELECT COUNT(*) FROM gw_templates), \
    (SELECT COUNT(*) FROM gw_instances), \
    (SELECT COUNT(*) FROM gw_instances WHERE is_active = 1 AND status = 'healthy')";

#[async_trait]
impl Store for SqlStore {
    fn kind(&self) -> StoreKind {
        self.database.kind()
    }

    fn is_shared(&self) -> bool {
        self.watcher.is_some()
    }

    fn changes(&self) -> Changes {
        self.bell.listen()
    }

    async fn counts(&self) -> Result<Counts> {
        let row = self.read_one(Query::new(COUNTS)).await?;
        let row = row.ok_or_else(|| StoreError::damaged("nothing can be counted"))?;
        let mut row = row.reader();
        Ok(Counts {
            users: row.count()?,
            active_superusers: row.count()?,
            keys: row.count()?,
            templates: row.count()?,
            instances: row.count()?,
            healthy_instances: row.count()?,
        })
    }

    async fn check(&self) -> Result<()> {
        // Not a constant: that would be true of a file that is gone.
        let query = Query::new("SELECT COUNT(*) FROM gw_changes");
        self.read(query).await?;
        self.can_write().await
    }

    async fn close(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.stop();
        }
        self.database.close().await;
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use std::sync::Arc;

    use mcp_gw_core::testing::ManualClock;

    use crate::testing::store_contract;
    use crate::{DatabaseUrl, StoreOptions, open};

    #[tokio::test]
    async fn sqlite_in_memory_and_in_a_file_keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        for url in [
            "sqlite:///:memory:".to_owned(),
            format!("sqlite:///{}", path.display()),
        ] {
            let clock = ManualClock::new();
            let mut options = StoreOptions::new();
            options.clock = Arc::new(clock.clone());
            let url = DatabaseUrl::parse(&url).unwrap();
            let store = open(&url, &options).await.unwrap();
            store_contract(&*store, &clock).await;
            store.close().await;
        }
    }
}
