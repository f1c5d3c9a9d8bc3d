//! The store and the identity of one process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_gw_core::{Clock, SystemClock};
use mcp_gw_store::{
    AuditWriter, AuditWriterOptions, DatabaseUrl, Retention, Store, StoreError, StoreOptions,
};

use super::Identity;
use super::error::IdentityError;
use super::first::FirstAdmin;
use super::password::Cost;
use crate::config::ManagementConfig;

/// Why the management API cannot be there. Nothing of a secret is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagementError {
    /// The database cannot be used.
    #[error("management.database_url: {url}: {error}; {}", help(error))]
    Database {
        /// Where, without user and password.
        url: String,
        /// Why.
        error: StoreError,
    },
    /// The users in it cannot be used.
    #[error("management: {0}")]
    Identity(IdentityError),
}

/// What to do about it.
const fn help(error: &StoreError) -> &'static str {
    match error {
        StoreError::Url { .. } => {
            "write sqlite:///gateway.db or postgresql://user:password@host/name"
        }
        StoreError::TooNew { .. } => {
            "run a program that is as new as the one that used it last, or name another database"
        }
        StoreError::Full { .. } => "make room on its disk",
        StoreError::Damaged { .. } => "put back a copy of it, see docs/operations.md",
        _ => {
            "see that its folder is there and can be written to, or that the server runs, lets this user in \
             and has the database"
        }
    }
}

impl From<IdentityError> for ManagementError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}

/// The store of a process, and the users and keys in it. There is one for as long as the process runs; a clone is
/// another handle to the same.
#[derive(Debug, Clone)]
pub struct Management {
    store: Arc<dyn Store>,
    identity: Identity,
    first: Arc<Mutex<Option<FirstAdmin>>>,
    audit: Option<AuditWriter>,
}

impl Management {
    /// Opens the database of a configuration, brings its tables up to date, and makes the first user where
    /// there is none.
    ///
    /// # Errors
    /// When the database cannot be used: the error says what to do.
    pub async fn open(config: &ManagementConfig) -> Result<Self, ManagementError> {
        let failed = |url: &str, error| ManagementError::Database {
            url: url.to_owned(),
            error,
        };
        let url = DatabaseUrl::parse(config.database_url.expose());
        let url = url.map_err(|error| failed("it cannot be read", error))?;
        let mut options = StoreOptions::new();
        options.connections = config.database_connections;
        let store = mcp_gw_store::open(&url, &options).await;
        let store = store.map_err(|error| failed(&url.to_string(), error))?;
        Self::with_store(config, store, Arc::new(SystemClock::new())).await
    }

    /// The same with a store that is open.
    ///
    /// # Errors
    /// When the store fails, or the password of the first user is none.
    pub async fn with_store(
        config: &ManagementConfig,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ManagementError> {
        Self::with_cost(config, store, clock, Cost::USUAL).await
    }

    /// With hashes of passwords that cost nothing.
    #[cfg(test)]
    pub(crate) async fn cheap(config: &ManagementConfig, clock: Arc<dyn Clock>) -> Self {
        let store = mcp_gw_store::MemoryStore::with_clock(Arc::clone(&clock));
        let made = Self::with_cost(config, Arc::new(store), clock, Cost::LEAST);
        made.await.unwrap()
    }

    pub(super) async fn with_cost(
        config: &ManagementConfig,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        cost: Cost,
    ) -> Result<Self, ManagementError> {
        let audit = audit_of(config, &store, &clock)?;
        let identity = Identity::open(config, Arc::clone(&store), clock, cost).await?;
        let first = identity.make_first(config.admin_password.as_ref()).await?;
        Ok(Self {
            store,
            identity,
            first: Arc::new(Mutex::new(first)),
            audit,
        })
    }

    /// The store.
    pub const fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The users and keys.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What writes audit events to the store, if any are kept there.
    pub const fn audit(&self) -> Option<&AuditWriter> {
        self.audit.as_ref()
    }

    /// The first user, if it was made now and with a password that nobody knows yet: tell it. Only the first
    /// who asks gets it.
    pub fn take_first_admin(&self) -> Option<FirstAdmin> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.take()
    }

    /// Writes down what is not yet, and closes the store.
    pub async fn close(&self) {
        if let Err(error) = self.identity.flush().await {
            tracing::warn!(%error, "when keys were used last could not be written down");
        }
        if let Some(audit) = &self.audit {
            let left = audit.close(PATIENCE).await;
            if left > 0 {
                tracing::error!(
                    left,
                    "audit events were not written to the database in time"
                );
            }
        }
        self.store.close().await;
    }
}

/// How long the end waits for audit events to be written.
const PATIENCE: Duration = Duration::from_secs(5);

fn audit_of(
    config: &ManagementConfig,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<AuditWriter>, ManagementError> {
    if !config.audit.enabled {
        return Ok(None);
    }
    let mut options = AuditWriterOptions::new();
    options.clock = Arc::clone(clock);
    options.retention = Retention::of_age(config.audit.max_age.get());
    options.retention.max_events = config.audit.max_events;
    let writer = AuditWriter::start(Arc::clone(store), options).map_err(IdentityError::from)?;
    Ok(Some(writer))
}
