//! The databases that gateways keep things in, each of the run's own.

use std::path::Path;

use super::Database;
use crate::wire::Failure;

#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "the PostgreSQL of the store's tests, which says so when it cannot start"
)]
#[path = "../../../../mcp-gw-store/tests/databases/server.rs"]
mod server;

/// Where databases can be made.
pub(crate) struct Base {
    pub(crate) database: Database,
    server: Option<server::Server>,
}

impl Base {
    /// Starts what it takes; nothing where that is not installed.
    pub(crate) fn new(database: Database) -> Option<Self> {
        let server = match database {
            Database::Memory | Database::Sqlite => None,
            // As whoever installs it has it, in the place of what is quick in tests.
            Database::Postgres => {
                match server::Server::start(&["-c", "fsync=on", "-c", "shared_buffers=128MB"]) {
                    None => return None,
                    server => server,
                }
            }
        };
        Some(Self { database, server })
    }

    /// The URL of a new database of this name; a file is in `folder`.
    pub(crate) async fn url(&self, name: &str, folder: &Path) -> Result<String, Failure> {
        Ok(match (self.database, &self.server) {
            (Database::Postgres, Some(server)) => server.database(name).await,
            (Database::Sqlite, _) => {
                let file = folder.join(name).with_extension("db");
                format!("sqlite:///{}", file.display())
            }
            _ => "sqlite:///:memory:".to_owned(),
        })
    }
}
