//! Where the pins of a configuration are, and the servers that they are of.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mcp_gw_core::Backend;

use crate::cli::source::environment;
use crate::cli::tell;
use crate::compose::bare_backend;
use crate::config::{Config, PinMode, ServerConfig, read_file};
use crate::pins::{FileStore, ServerPins, Sight, Store, chain, visible};

/// A configuration, where its pins are, and what was registered beside it.
pub(super) struct Pins {
    pub(super) config: Config,
    pub(super) store: Store,
    registered: BTreeMap<String, Result<Arc<dyn Backend>, String>>,
    #[cfg(feature = "management")]
    database: Option<Arc<dyn mcp_gw_store::Store>>,
}

/// A server that can have pins.
pub(super) struct Server<'a> {
    pub(super) name: &'a str,
    pub(super) mode: PinMode,
    way: Way<'a>,
}

enum Way<'a> {
    /// As the configuration says.
    Configured(&'a ServerConfig),
    /// As it was registered.
    Registered(&'a Result<Arc<dyn Backend>, String>),
}

impl Pins {
    /// Opens what the configuration at `path` says, with a database where the program has one.
    #[cfg_attr(
        not(feature = "management"),
        expect(clippy::unused_async, reason = "a file is read at once")
    )]
    pub(super) async fn open(path: Option<&Path>, has_database: bool) -> Result<Self, String> {
        let Some(path) = path else {
            return Err(
                "pins belong to a configuration file, as they stand beside it: --config \
                 mcp-gw.yaml. Servers of --url, --from or `--` cannot be pinned; write them into \
                 a file"
                    .to_owned(),
            );
        };
        let text = read_file(path).map_err(|faults| faults.to_string())?;
        let config = Config::load(&path.display().to_string(), &text, &environment)
            .map_err(|faults| faults.to_string())?;
        if !has_database && config.management.is_some() && !config.pins.is_in_file() {
            tell(
                "this program has no database, and these are its pins in a file: those of a gateway \
                 with the database are for `mcp-gw-http pins`",
            );
        }
        #[cfg(feature = "management")]
        if has_database && let Some(opened) = database::open(&config).await? {
            return opened.into_pins(config);
        }
        Self::in_file(config)
    }

    fn in_file(config: Config) -> Result<Self, String> {
        let Some(file) = &config.pins.file else {
            return Err("the configuration names no file for pins; add `pins.file`".to_owned());
        };
        Ok(Self {
            store: Store::File(FileStore::new(file)),
            registered: BTreeMap::new(),
            #[cfg(feature = "management")]
            database: None,
            config,
        })
    }

    /// The servers of these names; all, when there are no names.
    pub(super) fn servers(&self, names: &[String]) -> Result<Vec<Server<'_>>, String> {
        let mut servers: BTreeMap<&str, Server<'_>> = BTreeMap::new();
        for (name, way) in &self.registered {
            let server = Server {
                name,
                mode: self.config.pins.mode,
                way: Way::Registered(way),
            };
            servers.insert(name, server);
        }
        for (name, server) in &self.config.servers {
            let server = Server {
                name,
                mode: self.config.pin_mode(server),
                way: Way::Configured(server),
            };
            servers.insert(name, server);
        }
        if let Some(unknown) = names.iter().find(|name| !servers.contains_key(&***name)) {
            let known: Vec<_> = servers.into_keys().collect();
            return Err(format!(
                "there is no server `{}` in the configuration; there are {}{}",
                visible(unknown),
                known.join(", "),
                self.unseen()
            ));
        }
        let mut servers: Vec<_> = servers.into_values().collect();
        servers.retain(|server| {
            let is_used = server.mode != PinMode::Off || matches!(server.way, Way::Configured(_));
            names.iter().any(|name| *name == server.name) || (names.is_empty() && is_used)
        });
        Ok(servers)
    }

    /// Why a server may not be there that somebody registered.
    fn unseen(&self) -> &'static str {
        let management = self.config.management.as_ref();
        match management {
            Some(_) if !self.has_database() => {
                ". What is registered in a database in memory is known to its gateway alone, so \
                 there is nothing to approve of it here: name another `management.database_url`"
            }
            _ => "",
        }
    }

    #[cfg_attr(
        not(feature = "management"),
        expect(clippy::unused_self, reason = "there is none")
    )]
    fn has_database(&self) -> bool {
        #[cfg(feature = "management")]
        return self.database.is_some();
        #[cfg(not(feature = "management"))]
        false
    }

    /// What is pinned of a server now.
    pub(super) async fn of(&self, name: &str) -> Result<Option<ServerPins>, String> {
        self.store.pins(name).await.map_err(|error| chain(&error))
    }

    /// Asks a server what it offers.
    pub(super) async fn ask(&self, server: &Server<'_>) -> Result<Sight, String> {
        let backend: Arc<dyn Backend> = match &server.way {
            Way::Registered(way) => way.as_ref().map(Arc::clone).map_err(Clone::clone)?,
            Way::Configured(config) => {
                let limit = self.config.call_timeout.get();
                let made = bare_backend(
                    &self.config,
                    (server.name, config),
                    &variables(),
                    None,
                    limit,
                );
                made.map_err(|error| match std::error::Error::source(&error) {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                })?
            }
        };
        let offer = backend.offer().await;
        backend.close().await;
        match offer {
            Ok(offer) => Ok(Sight::of(&offer)),
            Err(error) => Err(visible(&format!("it cannot be asked: {error}"))),
        }
    }

    /// Lets go of the database.
    #[cfg_attr(
        not(feature = "management"),
        expect(clippy::unused_async, reason = "there is none")
    )]
    pub(super) async fn close(self) {
        #[cfg(feature = "management")]
        if let Some(database) = self.database {
            database.close().await;
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment"
)]
fn variables() -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    std::env::vars_os().collect()
}

#[cfg(feature = "management")]
mod database {
    //! A database that this program opens without being a gateway.

    use std::collections::BTreeMap;
    use std::sync::Arc;

    use mcp_gw_core::Backend;
    use mcp_gw_store::{DatabaseUrl, Store as Database, StoreOptions};

    use super::{Pins, variables};
    use crate::cli::tell;
    use crate::config::{Config, ManagementConfig};
    use crate::pins::{SharedStore, Store};
    use crate::registry::servers_of;

    /// One that is open.
    pub(super) struct Opened {
        database: Arc<dyn Database>,
        registered: BTreeMap<String, Result<Arc<dyn Backend>, String>>,
    }

    /// The database of a configuration; `None` where there is none that this process could see.
    #[cfg_attr(
        not(feature = "management"),
        expect(clippy::unused_async, reason = "a file is read at once")
    )]
    pub(super) async fn open(config: &Config) -> Result<Option<Opened>, String> {
        let Some(section) = &config.management else {
            return Ok(None);
        };
        let opened = opened(section).await;
        match opened {
            // What is in a file can be seen without it.
            Err(error) if config.pins.is_in_file() => {
                tell(&format!("{error}. What was registered is not looked at"));
                Ok(None)
            }
            opened => opened,
        }
    }

    async fn opened(section: &ManagementConfig) -> Result<Option<Opened>, String> {
        let failed = |error| format!("management.database_url: {error}");
        let url = DatabaseUrl::parse(section.database_url.expose()).map_err(failed)?;
        if url.is_in_memory() {
            return Ok(None);
        }
        if let Some(file) = url.file().filter(|file| !file.exists()) {
            tell(&format!(
                "there was no database {}, so it is made now; a path that does not begin with `/` is \
                 in the working folder",
                file.display()
            ));
        }
        let database = mcp_gw_store::open(&url, &StoreOptions::new()).await;
        let database =
            database.map_err(|error| failed(error).replace("_url: ", &format!("_url: {url}: ")))?;
        let registered = servers_of(&*database, section, variables()).await;
        let registered = registered.map_err(failed)?;
        Ok(Some(Opened {
            database,
            registered,
        }))
    }

    impl Opened {
        /// With the pins that the gateways have.
        pub(super) fn into_pins(self, config: Config) -> Result<Pins, String> {
            let mut pins = if config.pins_are_stored() {
                let file = config.pins.file.clone();
                // Gateways take over what is in the file; here it counts where the database has nothing.
                let shared = SharedStore::new(Arc::clone(&self.database), file);
                Pins {
                    store: Store::Database(shared),
                    registered: BTreeMap::new(),
                    database: None,
                    config,
                }
            } else {
                Pins::in_file(config)?
            };
            pins.database = Some(self.database);
            pins.registered = self.registered;
            Ok(pins)
        }
    }
}
