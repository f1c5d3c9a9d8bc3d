//! Pins in a database: one truth for all gateways on it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use mcp_gw_store::{
    Changes, Conflict, Pin as Row, Result, Revision, ServerPins as Rows, Store, StoreError,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{FileStore, Found, PinsError};
use crate::pins::file::ServerPins;

type Outcome<T> = std::result::Result<T, PinsError>;

/// So often is tried to write over what others write.
const TRIES: u32 = 8;

/// The part of a store that this is about.
#[async_trait]
pub(crate) trait PinStore: fmt::Debug + Send + Sync + 'static {
    async fn pins(&self, server: &str) -> Result<Rows>;
    async fn pinned_servers(&self) -> Result<Vec<String>>;
    async fn put_pins(
        &self,
        server: &str,
        expected: Option<Revision>,
        pins: Vec<Row>,
    ) -> Result<Rows>;
    fn changes(&self) -> Changes;
}

#[async_trait]
impl PinStore for Arc<dyn Store> {
    async fn pins(&self, server: &str) -> Result<Rows> {
        (**self).pins(server).await
    }

    async fn pinned_servers(&self) -> Result<Vec<String>> {
        (**self).pinned_servers().await
    }

    async fn put_pins(
        &self,
        server: &str,
        expected: Option<Revision>,
        pins: Vec<Row>,
    ) -> Result<Rows> {
        (**self).put_pins(server, expected, pins).await
    }

    fn changes(&self) -> Changes {
        (**self).changes()
    }
}

/// The pins in a database; a clone is of the same.
///
/// What a gateway kept in a file before it had the database counts for each server that the database has
/// no pins of: until it is taken over, and so nothing is ever trusted anew that was pinned there.
#[derive(Clone, Debug)]
pub(crate) struct SharedStore {
    store: Arc<dyn PinStore>,
    before: Arc<Mutex<Before>>,
}

/// What is in a file from before there was a database.
#[derive(Debug)]
enum Before {
    Unread(FileStore),
    /// By server, what is not known to be in the database.
    Left(BTreeMap<String, ServerPins>),
}

impl SharedStore {
    /// The pins in `store`, and those of a file from before, where there is one.
    pub(crate) fn new(store: impl PinStore, before: Option<PathBuf>) -> Self {
        let before = before.map_or_else(
            || Before::Left(BTreeMap::new()),
            |path| Before::Unread(FileStore::new(path)),
        );
        Self {
            store: Arc::new(store),
            before: Arc::new(Mutex::new(before)),
        }
    }

    /// Tells of changes from now on.
    pub(crate) fn changes(&self) -> Changes {
        self.store.changes()
    }

    /// Reads the file from before.
    ///
    /// # Errors
    /// When there is one that cannot be used.
    pub(crate) fn read_before(&self) -> Outcome<()> {
        self.before().map(drop)
    }

    /// What is kept of a server.
    ///
    /// # Errors
    /// When that cannot be told.
    pub(crate) async fn find(&self, server: &str) -> Outcome<Found> {
        // Read in this order, as what is taken over goes from one to the other.
        let before = self.before_of(server);
        let stored = self.stored(server).await?;
        let pins = match stored {
            Some((pins, _)) => Some(pins),
            None => before?,
        };
        let is_there = pins.is_some() || {
            let servers = self.store.pinned_servers().await;
            !servers.map_err(|error| fault(server, error))?.is_empty()
        };
        Ok(Found { pins, is_there })
    }

    /// Pins this of a server of which nothing is pinned; of another, what is counts. True when nothing
    /// was.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub(crate) async fn pin_first(
        &self,
        server: &str,
        pins: &ServerPins,
    ) -> Outcome<(ServerPins, bool)> {
        for _ in 0..TRIES {
            let before = self.before_of(server);
            if let Some((pins, _)) = self.stored(server).await? {
                return Ok((pins, false));
            }
            let before = before?;
            let rows = before.as_ref().unwrap_or(pins).to_rows();
            if let Some(rows) = self.put(server, None, rows).await? {
                return Ok((read(server, rows)?, before.is_none()));
            }
        }
        Err(contended(server))
    }

    /// Changes what is kept of a server now, whoever changed it last. What `change` leaves as it is is
    /// not written.
    ///
    /// # Errors
    /// When it cannot be read or kept.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) async fn edit<T>(
        &self,
        server: &str,
        mut change: impl FnMut(&mut Option<ServerPins>) -> T,
    ) -> Outcome<T> {
        for _ in 0..TRIES {
            let before = self.before_of(server);
            let (mut pins, revision) = match self.stored(server).await? {
                Some((pins, revision)) => (Some(pins), Some(revision)),
                None => (before?, None),
            };
            let old = pins.clone();
            let result = change(&mut pins);
            if pins == old {
                return Ok(result);
            }
            let rows = pins.unwrap_or_default().to_rows();
            if self.put(server, revision, rows).await?.is_some() {
                return Ok(result);
            }
        }
        Err(contended(server))
    }

    /// True when the database has all that the file from before has.
    pub(crate) fn has_all(&self) -> bool {
        matches!(&*self.lock(), Before::Left(left) if left.is_empty())
    }

    /// Puts into the database what the file from before has of servers that it has no pins of.
    ///
    /// # Errors
    /// When the file cannot be read, or the database not be written; what was taken over by then stays.
    pub(crate) async fn take_over(&self) -> Outcome<()> {
        let left = self.before()?;
        let mut taken = Vec::new();
        for (server, pins) in left {
            match self.put(&server, None, pins.to_rows()).await {
                Ok(Some(_)) => taken.push(server.clone()),
                // Others have pinned it: that counts, here as everywhere.
                Ok(None) => {}
                Err(PinsError::Database {
                    server,
                    source: error @ StoreError::Invalid { .. },
                }) => {
                    tracing::warn!(target: "mcp_gw::pins", %server, %error, "pins of a file cannot be in a database");
                }
                Err(error) => return Err(error),
            }
            if let Before::Left(left) = &mut *self.lock() {
                left.remove(&server);
            }
        }
        if !taken.is_empty() {
            tracing::info!(
                target: "mcp_gw::pins",
                servers = %taken.join(", "),
                "the database has the pins of the pins file now; the file is not written any more"
            );
        }
        Ok(())
    }

    async fn stored(&self, server: &str) -> Outcome<Option<(ServerPins, Revision)>> {
        match self.store.pins(server).await {
            Ok(found) => Ok(Some((read(server, found.pins)?, found.revision))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(fault(server, error)),
        }
    }

    /// `None` when there are others than expected.
    async fn put(
        &self,
        server: &str,
        expected: Option<Revision>,
        rows: Vec<Row>,
    ) -> Outcome<Option<Vec<Row>>> {
        match self.store.put_pins(server, expected, rows).await {
            Ok(kept) => Ok(Some(kept.pins)),
            Err(error) if error.as_conflict() == Some(Conflict::Revision) => Ok(None),
            Err(error) => Err(fault(server, error)),
        }
    }

    fn before_of(&self, server: &str) -> Outcome<Option<ServerPins>> {
        if let Before::Left(left) = &*self.lock() {
            return Ok(left.get(server).cloned());
        }
        Ok(self.before()?.remove(server))
    }

    /// What is left of the file from before, which is read once.
    fn before(&self) -> Outcome<BTreeMap<String, ServerPins>> {
        let mut before = self.lock();
        let file = match &*before {
            Before::Left(left) => return Ok(left.clone()),
            Before::Unread(file) => file.read()?.unwrap_or_default(),
        };
        let mut left = BTreeMap::new();
        for (server, pins) in file.servers {
            let pins = read(&server, pins.to_rows())?;
            left.insert(server, pins);
        }
        *before = Before::Left(left.clone());
        Ok(left)
    }

    fn lock(&self) -> MutexGuard<'_, Before> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(server: &str, rows: Vec<Row>) -> Outcome<ServerPins> {
    ServerPins::from_rows(rows).map_err(|reason| PinsError::Broken {
        server: server.to_owned(),
        reason,
    })
}

fn fault(server: &str, source: StoreError) -> PinsError {
    PinsError::Database {
        server: server.to_owned(),
        source,
    }
}

fn contended(server: &str) -> PinsError {
    PinsError::Contended {
        server: server.to_owned(),
    }
}

/// Waits on a thread that may block, such as judges run on, for what the runtime does.
pub(super) fn wait<T: Send + 'static>(
    work: impl Future<Output = Outcome<T>> + Send + 'static,
) -> Outcome<T> {
    let runtime = Handle::try_current().map_err(|_| PinsError::Ending)?;
    let (tell, told) = oneshot::channel();
    // A runtime that ends drops it, and so nobody waits for what does not come.
    runtime.spawn(async move {
        let _ = tell.send(work.await);
    });
    told.blocking_recv().unwrap_or(Err(PinsError::Ending))
}

#[cfg(test)]
mod tests;
