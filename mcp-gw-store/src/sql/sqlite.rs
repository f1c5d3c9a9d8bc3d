//! SQLite: one file, one writer, several readers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, Row as _, TypeInfo as _, ValueRef as _,
};

use super::database::{Database, News, Transaction};
use super::fault::{Fault, fault, of_commit};
use super::row::{Cell, Query, Row, Value};
use crate::contract::StoreKind;
use crate::error::{Result, StoreError};

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_registry.sql"),
    include_str!("../../migrations/sqlite/0002_ledger.sql"),
];

const RAISE: &str = "INSERT INTO gw_changes (kind, changes) VALUES ($1, 1) \
    ON CONFLICT (kind) DO UPDATE SET changes = gw_changes.changes + 1 RETURNING changes";

/// Bytes of a page, which is what SQLite takes by itself.
const PAGE: u32 = 4_096;

/// Connections that only read.
const READERS: u32 = 4;

/// A database file, or one in memory.
#[derive(Debug)]
pub(crate) struct Sqlite {
    /// One connection, so that writes wait here and not in the database.
    writer: SqlitePool,
    /// The same pool for a database in memory, which its connection holds.
    readers: SqlitePool,
    options: SqliteConnectOptions,
    /// The file; none for one in memory.
    path: Option<PathBuf>,
}

impl Sqlite {
    /// Opens a file, and makes it where there is none.
    ///
    /// # Errors
    /// When it cannot be opened, or is no database.
    pub(crate) async fn file(
        path: &Path,
        patience: Duration,
        max_bytes: Option<u64>,
    ) -> Result<Self> {
        make(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // What is committed is on the disk.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // Before the patience is over, to say what it is that takes so long.
            .busy_timeout(patience.saturating_sub(patience / 4))
            .disable_statement_logging();
        let options = match max_bytes {
            Some(bytes) => options.page_size(PAGE).pragma(
                "max_page_count",
                (bytes / u64::from(PAGE)).max(1).to_string(),
            ),
            None => options,
        };
        let reading = options.clone().pragma("query_only", "ON");
        let pool = |most| {
            SqlitePoolOptions::new()
                .max_connections(most)
                .acquire_timeout(patience)
        };
        let writer = pool(1)
            .after_release(|connection, _| Box::pin(async move { Ok(is_free(connection).await) }))
            .connect_with(options.clone())
            .await
            .map_err(|error| open_fault(&error))?;
        let readers = pool(READERS).connect_lazy_with(reading);
        Ok(Self {
            writer,
            readers,
            options,
            path: Some(path.to_owned()),
        })
    }

    /// An empty database that is gone with this.
    ///
    /// # Errors
    /// When there is no memory.
    pub(crate) async fn in_memory(patience: Duration) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .in_memory(true)
            .foreign_keys(true)
            .disable_statement_logging();
        // The database goes with the last connection: there is one, and it stays.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(patience);
        let writer = pool
            .connect_with(options.clone())
            .await
            .map_err(|error| open_fault(&error))?;
        Ok(Self {
            readers: writer.clone(),
            writer,
            options,
            path: None,
        })
    }
}

/// Whether a connection is in no transaction. On a full disk SQLite rolls back by itself, and the driver,
/// whose own `ROLLBACK` then fails, takes the transaction for one that goes on for ever: such a connection
/// is thrown away.
async fn is_free(connection: &mut SqliteConnection) -> bool {
    // Behind the `ROLLBACK` of a transaction that was dropped.
    connection.ping().await.is_ok() && !connection.is_in_transaction()
}

/// Makes an empty file that only its owner reads: it will hold secrets.
fn make(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unavailable {
            reason: format!(
                "{} cannot be made: {error}; check that its folder exists and may be written",
                path.display()
            ),
            retryable: false,
        }),
    }
}

fn open_fault(error: &sqlx::Error) -> StoreError {
    fault(error, by_code).into()
}

/// The result codes of SQLite, in their extended form.
fn by_code(code: &str, message: &str) -> Option<StoreError> {
    let code: u32 = code.parse().ok()?;
    let unavailable = |reason: &str, retryable| StoreError::Unavailable {
        reason: format!("{reason} ({message}, {code})"),
        retryable,
    };
    Some(match code & 0xff {
        5 | 6 => unavailable("another process holds the lock of the file", true),
        8 => unavailable(
            "the file may not be written; check who owns it and its folder",
            false,
        ),
        10 => unavailable("the file cannot be read or written", false),
        13 => StoreError::Full {
            reason: format!("{message} ({code})"),
        },
        14 => unavailable(
            "the file cannot be opened; check its folder and permissions",
            false,
        ),
        11 | 26 => StoreError::damaged(format!("{message} ({code})")),
        _ => return None,
    })
}

fn bound<'q>(query: &'q Query<'_>) -> sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments<'q>> {
    let asked = sqlx::query(&query.sql);
    query.values.iter().fold(asked, |asked, value| match value {
        Value::Int(number) => asked.bind(*number),
        Value::Text(text) => asked.bind(text.as_deref()),
        Value::Bytes(bytes) => asked.bind(bytes.as_deref()),
    })
}

fn read_row(row: &SqliteRow) -> std::result::Result<Row, sqlx::Error> {
    let cells = (0..row.len()).map(|index| {
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(Cell::Null);
        }
        Ok(match raw.type_info().name() {
            "TEXT" => Cell::Text(row.try_get_unchecked(index)?),
            "BLOB" => Cell::Bytes(row.try_get_unchecked(index)?),
            _ => Cell::Int(row.try_get_unchecked(index)?),
        })
    });
    cells.collect::<std::result::Result<_, _>>().map(Row::new)
}

fn read_rows(
    rows: std::result::Result<Vec<SqliteRow>, sqlx::Error>,
) -> std::result::Result<Vec<Row>, Fault> {
    let rows = rows.and_then(|rows| rows.iter().map(read_row).collect());
    rows.map_err(|error| fault(&error, by_code))
}

#[async_trait]
impl Database for Sqlite {
    fn kind(&self) -> StoreKind {
        StoreKind::Sqlite
    }

    fn raise(&self) -> &'static str {
        RAISE
    }

    fn hold(&self) -> &'static str {
        // Whoever writes is alone.
        ""
    }

    fn migrations(&self) -> &'static [&'static str] {
        MIGRATIONS
    }

    fn tables(&self) -> &'static str {
        "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    }

    async fn read(&self, query: &Query<'_>) -> std::result::Result<Vec<Row>, Fault> {
        read_rows(bound(query).fetch_all(&self.readers).await)
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>> {
        if let Some(path) = &self.path
            && !path.exists()
        {
            // SQLite would go on in the file that nobody finds any more, and lose all that when it ends.
            let reason = format!("{} is gone; put it back and start again", path.display());
            return Err(StoreError::Unavailable {
                reason,
                retryable: false,
            });
        }
        // What begins by reading could not write when another process has written since.
        let writer = self.writer.clone();
        // In a task of its own: a beginning that is given up half-way would leave the connection in
        // a transaction that nobody has. A whole one that nobody waits for is rolled back.
        let begun = tokio::spawn(async move { writer.begin_with("BEGIN IMMEDIATE").await });
        let begun = begun
            .await
            .map_err(|_| open_fault(&sqlx::Error::WorkerCrashed))?;
        let transaction = begun.map_err(|error| open_fault(&error))?;
        Ok(Box::new(SqliteTransaction(transaction)))
    }

    async fn begin_migration(&self) -> Result<Box<dyn Transaction>> {
        self.begin().await
    }

    async fn news(&self) -> Result<Option<Box<dyn News>>> {
        if self.path.is_none() {
            return Ok(None);
        }
        let connection = self
            .options
            .connect()
            .await
            .map_err(|error| open_fault(&error))?;
        let mut news = SqliteNews {
            connection,
            version: 0,
        };
        news.version = news.look().await?;
        Ok(Some(Box::new(news)))
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

struct SqliteTransaction(sqlx::Transaction<'static, sqlx::Sqlite>);

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn ask(&mut self, query: &Query<'_>) -> std::result::Result<Vec<Row>, Fault> {
        read_rows(bound(query).fetch_all(&mut *self.0).await)
    }

    async fn execute(&mut self, query: &Query<'_>) -> std::result::Result<u64, Fault> {
        let done = bound(query).execute(&mut *self.0).await;
        done.map(|done| done.rows_affected())
            .map_err(|error| fault(&error, by_code))
    }

    async fn script(&mut self, sql: &'static str) -> Result<()> {
        let done = (&mut *self.0).execute(sql).await;
        done.map(|_| ()).map_err(|error| open_fault(&error))
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let committed = self.0.commit().await;
        committed.map_err(|error| of_commit(&error, by_code))
    }
}

/// Looks at the number that changes whenever another connection has written.
struct SqliteNews {
    connection: SqliteConnection,
    version: i64,
}

impl SqliteNews {
    async fn look(&mut self) -> Result<i64> {
        let version = sqlx::query_scalar("PRAGMA data_version");
        version
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| open_fault(&error))
    }
}

#[async_trait]
impl News for SqliteNews {
    async fn heard(&mut self, poll: Duration) {
        loop {
            tokio::time::sleep(poll).await;
            match self.look().await {
                Ok(version) if version == self.version => {}
                Ok(version) => {
                    self.version = version;
                    return;
                }
                // Whoever looks next says what is wrong.
                Err(_) => return,
            }
        }
    }
}
