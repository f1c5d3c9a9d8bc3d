//! Opens the store that a `database_url` names.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Clock, SystemClock};

use crate::contract::Store;
use crate::error::{Result, StoreError};
use crate::memory::MemoryStore;

/// What a `database_url` names.
///
/// | URL | Store |
/// |---|---|
/// | `sqlite:///gateway.db` | the file `gateway.db` in the working folder |
/// | `sqlite:////var/lib/gateway.db` | the file `/var/lib/gateway.db` |
/// | `sqlite:///:memory:` | SQLite in memory, gone with the process |
/// | `postgresql://user:password@host:5432/name` | PostgreSQL; also `postgres://` |
/// | `memory:` | the memory of this process, without SQLite |
///
/// Names of drivers, as in `postgresql+asyncpg://` and `sqlite+aiosqlite://`, are passed over. What a
/// URL of PostgreSQL leaves out is taken from the variables of its client library, such as `PGHOST`.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Target);

#[derive(Clone, PartialEq, Eq)]
enum Target {
    Memory,
    SqliteMemory,
    SqliteFile(PathBuf),
    Postgres(String),
}

impl DatabaseUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`StoreError::Url`], without the password, when it is none of those above.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "memory:" || text == "memory://" {
            return Ok(Self(Target::Memory));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(wrong(
                "it has no scheme; write sqlite:///gateway.db or postgresql://user@host/name",
            ));
        };
        let (name, _driver) = scheme.split_once('+').unwrap_or((scheme, ""));
        match name {
            "sqlite" => sqlite(rest),
            "postgresql" | "postgres" => {
                if rest.is_empty() || rest == "/" {
                    return Err(wrong("it names no server and no database"));
                }
                Ok(Self(Target::Postgres(format!("postgresql://{rest}"))))
            }
            "mysql" | "mariadb" | "oracle" | "mssql" => Err(wrong(
                "this database is not supported; use SQLite (sqlite:///gateway.db) or PostgreSQL \
                 (postgresql://user@host/name)",
            )),
            _ => Err(wrong(
                "its scheme is not known; write sqlite:///gateway.db or \
                 postgresql://user@host/name",
            )),
        }
    }
}

impl DatabaseUrl {
    /// True when what is kept there is gone with the process.
    pub const fn is_in_memory(&self) -> bool {
        matches!(self.0, Target::Memory | Target::SqliteMemory)
    }

    /// The file that it is, for SQLite.
    pub fn file(&self) -> Option<&std::path::Path> {
        match &self.0 {
            Target::SqliteFile(path) => Some(path),
            _ => None,
        }
    }
}

fn wrong(reason: impl Into<String>) -> StoreError {
    let reason = reason.into();
    StoreError::Url { reason }
}

fn sqlite(rest: &str) -> Result<DatabaseUrl> {
    if rest.is_empty() || rest == "/:memory:" {
        return Ok(DatabaseUrl(Target::SqliteMemory));
    }
    let path = rest.strip_prefix('/').ok_or_else(|| {
        wrong("SQLite takes three slashes, sqlite:///gateway.db, and four before a whole path")
    })?;
    if path.is_empty() || path.ends_with('/') {
        return Err(wrong("it names no file"));
    }
    if path.contains(['?', '#', '\0']) {
        return Err(wrong("SQLite takes a path and nothing after it"));
    }
    Ok(DatabaseUrl(Target::SqliteFile(PathBuf::from(path))))
}

/// Without user and password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Memory => f.write_str("memory:"),
            Target::SqliteMemory => f.write_str("sqlite:///:memory:"),
            Target::SqliteFile(path) => write!(f, "sqlite:///{}", path.display()),
            Target::Postgres(url) => {
                let rest = url.strip_prefix("postgresql://").unwrap_or_default();
                let rest = rest.split(['?', '#']).next().unwrap_or_default();
                // Passwords are written with odd characters: what is behind the last `@` is none.
                let shown = rest.rsplit_once('@').map_or(rest, |(_, shown)| shown);
                write!(f, "postgresql://{shown}")
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl std::str::FromStr for DatabaseUrl {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// How a store is opened.
#[derive(Clone)]
#[non_exhaustive]
pub struct StoreOptions {
    /// How long a request may take, with waiting for a connection or a lock; 5 s unless set.
    pub timeout: Duration,
    /// How often it is looked for changes of other processes that were not heard of; 1 s unless set.
    /// For PostgreSQL, which tells by itself, this is the fallback.
    pub poll: Duration,
    /// Connections to PostgreSQL at most, beside the one that listens; 10 unless set.
    pub connections: u32,
    /// The largest that a file of SQLite may grow, in bytes, before writes fail with
    /// [`StoreError::Full`]; as large as the disk unless set.
    pub max_file_bytes: Option<u64>,
    /// Where times come from.
    pub clock: Arc<dyn Clock>,
}

impl StoreOptions {
    /// What is usual, on the machine's clock.
    pub fn new() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            poll: Duration::from_secs(1),
            connections: 10,
            max_file_bytes: None,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("timeout", &self.timeout)
            .field("poll", &self.poll)
            .field("connections", &self.connections)
            .field("max_file_bytes", &self.max_file_bytes)
            .finish_non_exhaustive()
    }
}

/// Opens the store at this URL, and brings its schema to the version of this program.
///
/// Needs a tokio runtime with I/O and time: a task of the store's own looks for changes of others,
/// until the store is dropped.
///
/// # Errors
/// When the database cannot be used, is of a later program, or this program was built without it.
pub async fn open(url: &DatabaseUrl, options: &StoreOptions) -> Result<Arc<dyn Store>> {
    match &url.0 {
        Target::Memory => {
            let clock = Arc::clone(&options.clock);
            Ok(Arc::new(MemoryStore::with_clock(clock)))
        }
        #[cfg(feature = "sqlite")]
        Target::SqliteMemory => {
            let database = crate::sql::sqlite::Sqlite::in_memory(options.timeout).await?;
            open_sql(Arc::new(database), options).await
        }
        #[cfg(feature = "sqlite")]
        Target::SqliteFile(path) => {
            let database =
                crate::sql::sqlite::Sqlite::file(path, options.timeout, options.max_file_bytes)
                    .await?;
            open_sql(Arc::new(database), options).await
        }
        #[cfg(feature = "postgres")]
        Target::Postgres(text) => {
            let database = postgres(text, options).await?;
            open_sql(Arc::new(database), options).await
        }
        #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
        _ => Err(wrong(
            "this program was built without this database: see the features of mcp-gw-store",
        )),
    }
}

#[cfg(feature = "postgres")]
async fn postgres(text: &str, options: &StoreOptions) -> Result<crate::sql::postgres::Postgres> {
    let parsed = text.parse::<sqlx::postgres::PgConnectOptions>();
    // The error may repeat a part of the URL.
    let parsed = parsed.map_err(|_| {
        wrong(
            "it is no URL of PostgreSQL; write postgresql://user:password@host:5432/name and \
             percent-encode what is special in user and password",
        )
    })?;
    crate::sql::postgres::Postgres::connect(parsed, options.timeout, options.connections).await
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn open_sql(
    database: Arc<dyn crate::sql::Database>,
    options: &StoreOptions,
) -> Result<Arc<dyn Store>> {
    let clock = Arc::clone(&options.clock);
    let store = crate::sql::SqlStore::open(database, clock, options.timeout, options.poll);
    Ok(Arc::new(store.await?))
}
