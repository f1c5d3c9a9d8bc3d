//! Servers that are not of the configuration file: the registry brings them, and they stand behind the
//! same gateway as those of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mcp_gw_core::{Backend, Clock, Gateway, Mounting, Naming, Remount};
use mcp_gw_upstream::Balanced;
use tokio::sync::{Mutex, watch};

use crate::compose::{LaunchError, Parts, Running};
use crate::config::{Config, ServerConfig};
use crate::pins::{Guard, Guards};
use crate::reload::leave;
use crate::supervise::Turns;
use crate::wrap::Deadline;

/// One of them.
#[derive(Clone)]
pub(crate) struct StoredServer {
    pub(crate) backend: Arc<Balanced>,
    /// Looks at each of its connections, where the configuration wants it.
    guard: Option<Arc<Guard>>,
    /// Those that it is asked in turn with.
    pub(crate) turns: Turns,
}

impl StoredServer {
    pub(crate) const fn new(
        backend: Arc<Balanced>,
        guard: Option<Arc<Guard>>,
        turns: Turns,
    ) -> Self {
        Self {
            backend,
            guard,
            turns,
        }
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.backend, &other.backend)
    }
}

/// By name. Those that are in the gateway, or are to be.
pub(crate) type StoredServers = BTreeMap<String, StoredServer>;

/// How one of them is mounted: its names have a prefix, however many servers there are, so that what
/// one tool is called does not depend on which other servers somebody registers.
pub(crate) fn mounting(name: &str) -> Mounting {
    Mounting::new(Naming::Always, name)
}

/// Where servers can be put behind a gateway that runs. Clones are of the same gateway.
#[derive(Clone)]
pub(crate) struct Composition {
    parts: Arc<Mutex<Parts>>,
    pub(crate) gateway: Gateway,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reloads: watch::Receiver<u64>,
}

impl Composition {
    pub(crate) async fn of(running: &Running) -> Self {
        Self {
            parts: Arc::clone(&running.parts),
            gateway: running.gateway().clone(),
            clock: Arc::clone(&running.clock),
            reloads: running.parts.lock().await.reloads.subscribe(),
        }
    }

    /// Why these names cannot be had beside what the configuration has: those that can are not named.
    pub(crate) async fn taken<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> BTreeMap<String, String> {
        let parts = self.parts.lock().await;
        let beside = Beside::of(&parts.config, &parts.extra);
        let names = names.into_iter();
        names
            .filter_map(|name| Some((name.to_owned(), beside.objection(name)?)))
            .collect()
    }

    /// What of it is behind the gateway now.
    pub(crate) async fn there(&self) -> StoredServers {
        self.parts.lock().await.stored.clone()
    }

    /// Environment and grace of child processes.
    pub(crate) async fn children(&self) -> Children {
        let parts = self.parts.lock().await;
        parts.maker.children()
    }

    /// The guard of a server of this name, by what the configuration wants for servers that say nothing
    /// of pins.
    pub(crate) async fn guard(&self, name: &str) -> Option<Arc<Guard>> {
        let parts = self.parts.lock().await;
        let plain = ServerConfig::default();
        parts.guards.guard(name, &parts.config, &plain)
    }

    /// Puts `next` behind the gateway, in the place of what was put there before. What is there already
    /// stays as it is; calls under way on what goes are waited for as long as a call may take. What was
    /// made under pins of another configuration is left out, to be made anew.
    ///
    /// # Errors
    /// When names cannot stand beside each other, or the gateway was shut down; nothing has changed then.
    pub(crate) async fn put(&self, next: StoredServers) -> Result<(), LaunchError> {
        let mut parts = self.parts.lock().await;
        if parts.is_closed {
            return Err(LaunchError::Closed);
        }
        let mut next = next;
        let mut remount = parts.kept();
        let guards = parts.guards.own();
        let is_guarded = parts.guards.guards(&parts.config, &ServerConfig::default());
        next.retain(|_, server| match &server.guard {
            Some(guard) => guards.contains(&Arc::as_ptr(guard)),
            None => !is_guarded,
        });
        for (name, server) in &next {
            let old = parts.stored.get(name).filter(|old| old.is(server));
            if old.is_some() {
                remount = remount.keep(name, mounting(name));
            } else {
                remount = remount.mount(parts.wrapped(server), mounting(name));
            }
        }
        let gone = self.gateway.remount(remount).map_err(LaunchError::Build)?;
        parts.stored = next;
        let longest = parts.config.call_timeout.get();
        for backend in gone {
            let ending = parts.ending.clone();
            parts.leaving.spawn(leave(backend, longest, ending));
        }
        while parts.leaving.try_join_next().is_some() {}
        parts.look_after();
        Ok(())
    }
}

/// What a child process gets of the gateway.
#[derive(Clone, Default)]
pub(crate) struct Children {
    pub(crate) env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    pub(crate) grace: Option<std::time::Duration>,
}

/// What stands beside servers that are not of the file.
pub(crate) struct Beside {
    names: BTreeSet<String>,
    mountings: Vec<(String, Mounting)>,
}

impl Beside {
    pub(crate) fn of(config: &Config, extra: &[String]) -> Self {
        let names = config.server_names().map(str::to_owned);
        let endpoints = config.endpoints.keys().cloned();
        let own = extra.iter().cloned().chain(["local".to_owned()]);
        let servers = config.servers.iter();
        let servers = servers.map(|(name, server)| (name.clone(), config.mounting(name, server)));
        let apis = config.apis.iter();
        let apis = apis.map(|(name, api)| (name.clone(), config.api_mounting(name, api)));
        Self {
            names: names.chain(endpoints).chain(own).collect(),
            mountings: servers.chain(apis).collect(),
        }
    }

    /// Why a server cannot have this name.
    pub(crate) fn objection(&self, name: &str) -> Option<String> {
        if self.names.contains(name) {
            return Some(format!(
                "the configuration of the gateway has `{name}` already, and that stays"
            ));
        }
        let own = mounting(name);
        let other = self
            .mountings
            .iter()
            .find(|(_, other)| other.is_ambiguous_beside(&own));
        other.map(|(other, _)| {
            format!("its names could be taken for those of `{other}`, which the configuration has")
        })
    }
}

impl Parts {
    /// What the configuration in force has, as it is.
    fn kept(&self) -> Remount {
        let config = &self.config;
        let mut kept = Remount::new();
        for name in &self.extra {
            kept = kept.keep(name, Mounting::plain());
        }
        for (name, server) in &config.servers {
            kept = kept.keep(name, config.mounting(name, server));
        }
        for name in crate::rest::names(config) {
            kept = kept.keep(name, crate::rest::mounting(config, name));
        }
        for (name, endpoint) in &config.endpoints {
            kept = kept.endpoint(crate::compose::endpoint_of(name, endpoint));
        }
        kept
    }

    /// The server with what is put around each: its guard, and the limit on a call.
    fn wrapped(&self, server: &StoredServer) -> Deadline<Arc<dyn Backend>> {
        let mut backend = Arc::clone(&server.backend) as Arc<dyn Backend>;
        if let Some(guard) = &server.guard {
            backend = Arc::clone(guard).around(backend);
        }
        self.maker.limited(backend)
    }

    /// Adds to `next` what stays, of servers that are not of the file, beside `config`; those for which
    /// there is no room any more are left out.
    pub(crate) fn keep_stored(
        &self,
        mut next: Remount,
        config: &Config,
        guards: &Guards,
    ) -> (Remount, StoredServers) {
        let beside = Beside::of(config, &self.extra);
        let mut stays = StoredServers::new();
        let is_guarded = guards.guards(config, &ServerConfig::default());
        for (name, server) in &self.stored {
            if beside.objection(name).is_some() {
                continue;
            }
            // A guard is there from the beginning or not at all: the registry makes the server anew.
            if server.guard.is_some() == is_guarded {
                next = next.keep(name, mounting(name));
                stays.insert(name.clone(), server.clone());
            }
        }
        (next, stays)
    }
}
