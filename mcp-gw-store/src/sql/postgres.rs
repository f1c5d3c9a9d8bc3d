//! PostgreSQL: connections that are used again, and a channel on which processes tell each other.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgRow};
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, Row as _, TypeInfo as _, ValueRef as _,
};

use super::database::{Database, News, Transaction};
use super::fault::{Fault, fault, of_commit};
use super::row::{Cell, Query, Row, Value};
use crate::contract::StoreKind;
use crate::error::{Result, StoreError};

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001_registry.sql"),
    include_str!("../../migrations/postgres/0002_ledger.sql"),
];

const CHANNEL: &str = "mcp_gw_changes";

/// Whoever listens hears of it when it is committed.
const RAISE: &str = "INSERT INTO gw_changes (kind, changes) VALUES ($1, 1) \
    ON CONFLICT (kind) DO UPDATE SET changes = gw_changes.changes + 1 \
    RETURNING changes, pg_notify('mcp_gw_changes', '')::text";

/// One at a time, and nobody waits for ever. The number is ours by its being odd.
const MIGRATING: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'; \
    SELECT pg_advisory_xact_lock(7163394885103446128)";

/// A connection that was idle for longer is tried before it is used.
const FRESH: Duration = Duration::from_secs(1);

/// A database on a server.
#[derive(Debug)]
pub(crate) struct Postgres {
    pool: PgPool,
}

impl Postgres {
    /// Connects.
    ///
    /// # Errors
    /// When the server is away, refuses the login, or keeps text in another encoding than UTF-8.
    pub(crate) async fn connect(
        options: PgConnectOptions,
        patience: Duration,
        connections: u32,
    ) -> Result<Self> {
        let limit = format!("{}ms", patience.as_millis().max(1));
        let options = options
            .application_name("mcp-gw")
            .options([
                ("statement_timeout", limit.as_str()),
                ("idle_in_transaction_session_timeout", "60s"),
                // That a table is there already is no news.
                ("client_min_messages", "warning"),
                ("default_transaction_isolation", "read\\ committed"),
            ])
            .disable_statement_logging();
        // Outside of the pool, which would go on trying and not say what is wrong.
        let trial = tokio::time::timeout(patience, encoding(&options)).await;
        let encoding = trial.map_err(|_| StoreError::Unavailable {
            reason: "the server does not answer; check its address".to_owned(),
            retryable: true,
        })??;
        if encoding != "UTF8" {
            return Err(StoreError::damaged(format!(
                "its encoding is {encoding}; create it with ENCODING 'UTF8'"
            )));
        }
        let pool = PgPoolOptions::new()
            // One of them listens.
            .max_connections(connections.max(1).saturating_add(1))
            .acquire_timeout(patience)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    let fresh = meta.idle_for < FRESH;
                    Ok(fresh || connection.ping().await.is_ok())
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// All connections may have broken at once, as when the server was started again: each is found out when it
    /// is used, and the one after the last is new.
    fn tries(&self) -> u32 {
        self.pool.options().get_max_connections().saturating_add(1)
    }
}

const fn is_broken(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable {
            retryable: true,
            ..
        }
    )
}

async fn encoding(options: &PgConnectOptions) -> Result<String> {
    let mut connection = options
        .connect()
        .await
        .map_err(|error| plain_fault(&error))?;
    let shown = sqlx::query_scalar("SHOW server_encoding");
    let shown = shown
        .fetch_one(&mut connection)
        .await
        .map_err(|error| plain_fault(&error))?;
    let _ = connection.close().await;
    Ok(shown)
}

fn plain_fault(error: &sqlx::Error) -> StoreError {
    fault(error, by_code).into()
}

/// Codes of SQLSTATE.
fn by_code(code: &str, message: &str) -> Option<StoreError> {
    let unavailable = |reason: &str, retryable| StoreError::Unavailable {
        reason: format!("{reason}: {message} ({code})"),
        retryable,
    };
    Some(match code {
        "53100" => StoreError::Full {
            reason: format!("{message} ({code})"),
        },
        "57014" | "55P03" | "25P03" => StoreError::Timeout {
            reason: format!("{message} ({code})"),
        },
        "40001" | "40P01" => unavailable("others write the same", true),
        "25006" => unavailable("the server does not let write; is it a standby?", true),
        "3D000" => unavailable("create the database, or correct the database_url", false),
        "42501" => unavailable("grant the user what it needs", false),
        _ => match code.get(..2)? {
            "08" | "53" | "57" => unavailable("the server is not there for us", true),
            "28" => unavailable("correct user and password in the database_url", false),
            "42" => StoreError::damaged(format!("{message} ({code})")),
            _ => return None,
        },
    })
}

fn bound<'q>(query: &'q Query<'_>) -> sqlx::query::Query<'q, sqlx::Postgres, PgArguments> {
    let asked = sqlx::query(&query.sql);
    query.values.iter().fold(asked, |asked, value| match value {
        Value::Int(number) => asked.bind(*number),
        Value::Text(text) => asked.bind(text.as_deref()),
        Value::Bytes(bytes) => asked.bind(bytes.as_deref()),
    })
}

fn read_row(row: &PgRow) -> std::result::Result<Row, sqlx::Error> {
    let cells = (0..row.len()).map(|index| {
        let raw = row.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(Cell::Null);
        }
        Ok(match raw.type_info().name() {
            "BYTEA" => Cell::Bytes(row.try_get(index)?),
            "INT8" => Cell::Int(row.try_get(index)?),
            _ => Cell::Text(row.try_get(index)?),
        })
    });
    cells.collect::<std::result::Result<_, _>>().map(Row::new)
}

fn read_rows(
    rows: std::result::Result<Vec<PgRow>, sqlx::Error>,
) -> std::result::Result<Vec<Row>, Fault> {
    let rows = rows.and_then(|rows| rows.iter().map(read_row).collect());
    rows.map_err(|error| fault(&error, by_code))
}

#[async_trait]
impl Database for Postgres {
    fn kind(&self) -> StoreKind {
        StoreKind::Postgres
    }

    fn raise(&self) -> &'static str {
        RAISE
    }

    fn hold(&self) -> &'static str {
        " FOR UPDATE"
    }

    fn migrations(&self) -> &'static [&'static str] {
        MIGRATIONS
    }

    fn tables(&self) -> &'static str {
        "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
    }

    async fn read(&self, query: &Query<'_>) -> std::result::Result<Vec<Row>, Fault> {
        let mut left = self.tries();
        loop {
            let answer = read_rows(bound(query).fetch_all(&self.pool).await);
            left -= 1;
            match answer {
                // A connection that broke while nobody used it: reading again does no harm.
                Err(Fault::Other(error)) if left > 0 && is_broken(&error) => {}
                answer => return answer,
            }
        }
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>> {
        let mut left = self.tries();
        loop {
            let begun = self.pool.begin().await.map_err(|error| plain_fault(&error));
            left -= 1;
            match begun {
                // A connection that broke while nobody used it: nothing has been asked for yet.
                Err(error) if left > 0 && is_broken(&error) => {}
                begun => return Ok(Box::new(PgTransaction(begun?))),
            }
        }
    }

    async fn begin_migration(&self) -> Result<Box<dyn Transaction>> {
        let mut transaction = self.begin().await?;
        transaction.script(MIGRATING).await?;
        Ok(transaction)
    }

    async fn news(&self) -> Result<Option<Box<dyn News>>> {
        let listener = PgListener::connect_with(&self.pool).await;
        let mut listener = listener.map_err(|error| plain_fault(&error))?;
        listener
            .listen(CHANNEL)
            .await
            .map_err(|error| plain_fault(&error))?;
        Ok(Some(Box::new(PgNews(listener))))
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

struct PgTransaction(sqlx::Transaction<'static, sqlx::Postgres>);

#[async_trait]
impl Transaction for PgTransaction {
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
        done.map(|_| ()).map_err(|error| plain_fault(&error))
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let committed = self.0.commit().await;
        committed.map_err(|error| of_commit(&error, by_code))
    }
}

/// Hears what other processes notify, and connects again by itself.
struct PgNews(PgListener);

#[async_trait]
impl News for PgNews {
    async fn heard(&mut self, poll: Duration) {
        match tokio::time::timeout(poll, self.0.try_recv()).await {
            // Several at once are one reason to look.
            Ok(Ok(_)) => while let Some(_more) = self.0.next_buffered() {},
            // The server is away.
            Ok(Err(_)) => tokio::time::sleep(poll).await,
            Err(_) => {}
        }
    }
}
