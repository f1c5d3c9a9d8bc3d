//! Where pins are kept: in a file, or in a database that several gateways share.

#[cfg(feature = "management")]
mod database;
mod disk;

use std::io;
use std::path::PathBuf;

use super::file::ServerPins;
use super::print::Sight;

#[cfg(all(test, feature = "management"))]
pub(crate) use database::PinStore;
#[cfg(feature = "management")]
pub(crate) use database::SharedStore;
pub(crate) use disk::{FileStore, Stamp};

/// Why pins cannot be had or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinsError {
    /// The file cannot be read.
    #[error("the pins file {path:?} cannot be read; check its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The file is no pins file, or not any more.
    #[error(
        "the pins file {path:?} is damaged: {reason}; take it from a backup, or remove it to trust \
         again what the servers offer now"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file was written by a later version of this program.
    #[error(
        "the pins file {path:?} has version {version}, which is newer than this program; update \
         the program"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version that it has.
        version: u64,
    },
    /// Pins that this program has seen are there no more.
    #[error(
        "the pins of server {server:?} are gone from {path:?}; restore the file, or say `pins \
         approve {server}`, or start again to trust what the server offers then"
    )]
    Gone {
        /// The file.
        path: PathBuf,
        /// The server.
        server: String,
    },
    /// The file cannot be written.
    #[error("the pins file {path:?} cannot be written; check the permissions of its folder")]
    Write {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// Somebody else has been writing the file for too long.
    #[error(
        "the pins file {path:?} is being written by another program, which does not end; see who \
         holds {lock:?}"
    )]
    Busy {
        /// The file.
        path: PathBuf,
        /// The file that writers lock.
        lock: PathBuf,
    },
    /// The database cannot be asked, or does not keep what it is given.
    #[cfg(feature = "management")]
    #[error("the pins of server {server:?} in the database cannot be had; see that it can be used")]
    Database {
        /// The server.
        server: String,
        /// What is wrong.
        source: mcp_gw_store::StoreError,
    },
    /// What the database has is not what was put there.
    #[cfg(feature = "management")]
    #[error(
        "the pins of server {server:?} in the database are damaged: {reason}; restore a backup of it"
    )]
    Broken {
        /// The server.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// Pins that this program has seen are in the database no more.
    #[cfg(feature = "management")]
    #[error(
        "the pins of server {server:?} are gone from the database; restore a backup of it, or say \
         `pins approve {server}`, or start again to trust what the server offers then"
    )]
    Lost {
        /// The server.
        server: String,
    },
    /// Others change the pins of a server again and again.
    #[cfg(feature = "management")]
    #[error("the pins of server {server:?} are changed by others again and again; try it later")]
    Contended {
        /// The server.
        server: String,
    },
    /// The gateway ends.
    #[cfg(feature = "management")]
    #[error("the gateway ends, so pins are not looked at any more")]
    Ending,
}

/// Where the pins of a gateway are kept.
#[derive(Debug)]
pub(crate) enum Store {
    /// In a file.
    File(FileStore),
    /// In a database.
    #[cfg(feature = "management")]
    Database(SharedStore),
}

/// What is kept of one server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) pins: Option<ServerPins>,
    /// Whether anything is kept of any server: there is a file, or a database that has been used.
    pub(crate) is_there: bool,
}

/// The methods of it that judges use block: they are not for a thread that must not.
impl Store {
    /// Looks whether it can be used, and whether anything was kept.
    ///
    /// # Errors
    /// When there is a file that cannot be used.
    pub(super) fn open(&self) -> Result<bool, PinsError> {
        match self {
            Self::File(file) => Ok(file.read()?.is_some()),
            // Whether a database can be used is known when it is asked.
            #[cfg(feature = "management")]
            Self::Database(shared) => shared.read_before().map(|()| false),
        }
    }

    /// What is kept of a server.
    ///
    /// # Errors
    /// When that cannot be told.
    pub(super) fn find(&self, server: &str) -> Result<Found, PinsError> {
        match self {
            Self::File(file) => {
                let file = file.read()?;
                Ok(Found {
                    is_there: file.is_some(),
                    pins: file.and_then(|mut file| file.servers.remove(server)),
                })
            }
            #[cfg(feature = "management")]
            Self::Database(shared) => {
                let (shared, server) = (shared.clone(), server.to_owned());
                database::wait(async move { shared.find(&server).await })
            }
        }
    }

    /// Pins what a server offers unless there are pins of it; then these are what counts. True when
    /// there were none.
    ///
    /// # Errors
    /// When they cannot be kept.
    pub(super) fn pin_first(
        &self,
        server: &str,
        sight: &Sight,
    ) -> Result<(ServerPins, bool), PinsError> {
        use std::collections::btree_map::Entry;
        match self {
            Self::File(file) => file.change(|file| match file.servers.entry(server.to_owned()) {
                Entry::Occupied(place) => (place.get().clone(), false),
                Entry::Vacant(place) => (place.insert(ServerPins::of(sight)).clone(), true),
            }),
            #[cfg(feature = "management")]
            Self::Database(shared) => {
                let (shared, server) = (shared.clone(), server.to_owned());
                let pins = ServerPins::of(sight);
                database::wait(async move { shared.pin_first(&server, &pins).await })
            }
        }
    }

    /// That pins of a server were there and are no more.
    pub(super) fn gone(&self, server: &str) -> PinsError {
        let server = server.to_owned();
        match self {
            Self::File(file) => PinsError::Gone {
                path: file.path().to_owned(),
                server,
            },
            #[cfg(feature = "management")]
            Self::Database(_) => PinsError::Lost { server },
        }
    }
}

/// What the command line asks for.
#[cfg(feature = "cli")]
impl Store {
    /// What is kept of a server.
    ///
    /// # Errors
    /// When that cannot be told.
    #[cfg_attr(
        not(feature = "management"),
        expect(clippy::unused_async, reason = "a file is read at once")
    )]
    pub(crate) async fn pins(&self, server: &str) -> Result<Option<ServerPins>, PinsError> {
        match self {
            Self::File(_) => Ok(self.find(server)?.pins),
            #[cfg(feature = "management")]
            Self::Database(shared) => Ok(shared.find(server).await?.pins),
        }
    }

    /// Changes what is kept of a server now, whoever changed it last. What `change` leaves as it is
    /// is not written; it may be asked more than once.
    ///
    /// # Errors
    /// When it cannot be read or kept.
    #[cfg_attr(
        not(feature = "management"),
        expect(clippy::unused_async, reason = "a file is read at once")
    )]
    pub(crate) async fn edit<T>(
        &self,
        server: &str,
        mut change: impl FnMut(&mut Option<ServerPins>) -> T,
    ) -> Result<T, PinsError> {
        match self {
            Self::File(file) => file.change(|file| {
                let mut pins = file.servers.remove(server);
                let result = change(&mut pins);
                let put = pins.map(|pins| file.servers.insert(server.to_owned(), pins));
                drop(put);
                result
            }),
            #[cfg(feature = "management")]
            Self::Database(shared) => shared.edit(server, change).await,
        }
    }
}

/// For the log.
impl std::fmt::Display for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.path().display()),
            #[cfg(feature = "management")]
            Self::Database(_) => f.write_str("the database"),
        }
    }
}
