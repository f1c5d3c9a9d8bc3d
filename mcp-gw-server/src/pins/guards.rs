//! The guards of one configuration, and where the pins are that they go by.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::guard::Guard;
use super::judge::{Judge, Keeper, chain};
#[cfg(feature = "management")]
use super::store::SharedStore;
use super::store::{FileStore, PinsError, Store};
use super::watch::PinWatch;
use crate::config::{Config, PinMode, ServerConfig};

/// Makes the guards of one configuration, also of servers that come later.
pub(crate) struct Guards {
    keeper: Option<Arc<Keeper>>,
    made: Made,
}

/// The guards there are; those of servers that went are gone.
#[derive(Clone, Default)]
pub(super) struct Made(Arc<Mutex<Vec<Weak<Guard>>>>);

impl Made {
    fn add(&self, guard: &Arc<Guard>) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|guard| guard.strong_count() > 0);
        made.push(Arc::downgrade(guard));
    }

    pub(super) fn all(&self) -> Vec<Arc<Guard>> {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Guards {
    /// With the pins in the file that the configuration names.
    ///
    /// # Errors
    /// When there is a pins file that cannot be used, and a server must not be shown without it.
    pub(crate) fn of(config: &Config) -> Result<Self, PinsError> {
        let modes = config.servers.values();
        let modes = modes.map(|server| config.pin_mode(server)).collect();
        let file = config.pins.file.as_ref();
        Self::made(modes, || Some(Store::File(FileStore::new(file?))))
    }

    /// With the pins in the database of this process, where it has one that outlives it and the
    /// configuration does not name a file; that of before is read with it.
    ///
    /// # Errors
    /// As [`Guards::of`].
    #[cfg(feature = "management")]
    pub(crate) fn stored(
        config: &Config,
        database: Option<&Arc<dyn mcp_gw_store::Store>>,
    ) -> Result<Self, PinsError> {
        let Some(database) = database else {
            return Self::of(config);
        };
        let modes = config.servers.values();
        let modes = modes.map(|server| config.pin_mode(server));
        // Servers that somebody registers say nothing of pins.
        let modes = modes.chain([config.pins.mode]).collect();
        let file = config.pins.file.as_ref();
        let is_in_file = config.pins.is_in_file() || !database.is_shared();
        Self::made(modes, || {
            if is_in_file {
                return Some(Store::File(FileStore::new(file?)));
            }
            let shared = SharedStore::new(Arc::clone(database), file.cloned());
            Some(Store::Database(shared))
        })
    }

    fn made(mut modes: Vec<PinMode>, store: impl Fn() -> Option<Store>) -> Result<Self, PinsError> {
        modes.retain(|mode| *mode != PinMode::Off);
        let used = (!modes.is_empty()).then(&store).flatten();
        let keeper = match used.map(Keeper::open) {
            Some(Err(error)) if modes.iter().all(|mode| *mode == PinMode::Warn) => {
                tracing::error!(
                    target: "mcp_gw::pins",
                    error = %chain(&error),
                    "the pins cannot be used"
                );
                store().map(|store| Keeper::unread(store, true))
            }
            keeper => keeper.transpose()?,
        };
        Ok(Self {
            keeper: keeper.map(Arc::new),
            made: Made::default(),
        })
    }

    /// A guard for the server of this name, if the configuration wants one. It has to look at each of
    /// its connections, and to be put [`around`](Guard::around) the backend.
    pub(crate) fn guard(
        &self,
        name: &str,
        config: &Config,
        server: &ServerConfig,
    ) -> Option<Arc<Guard>> {
        let judge = self.judge_of(name, config, server)?;
        let guard = Arc::new(Guard::new(name, judge));
        self.made.add(&guard);
        Some(guard)
    }

    /// True when there is a guard around this server.
    pub(crate) fn guards(&self, config: &Config, server: &ServerConfig) -> bool {
        self.keeper.is_some() && config.pin_mode(server) != PinMode::Off
    }

    /// The guards that judge as this configuration says, by their places in memory.
    #[cfg(feature = "management")]
    pub(crate) fn own(&self) -> HashSet<*const Guard> {
        self.made.all().iter().map(Arc::as_ptr).collect()
    }

    fn judge_of(&self, name: &str, config: &Config, server: &ServerConfig) -> Option<Judge> {
        let keeper = self.keeper.as_ref();
        let keeper = keeper.filter(|_| self.guards(config, server))?;
        Some(Judge::new(
            name,
            config.pin_mode(server),
            Arc::clone(keeper),
        ))
    }

    /// Takes the guards over that were made for another configuration, of the servers that `stays`
    /// says: from now on they judge as this one says. What `is_elsewhere` is not of
    /// the file, and goes by what that says of all servers.
    pub(crate) async fn take_over(
        &self,
        before: &Self,
        config: &Config,
        stays: impl Fn(&str) -> bool,
        is_elsewhere: impl Fn(&str) -> bool,
    ) {
        let mut seen = HashSet::new();
        let plain = ServerConfig::default();
        // Of one name the last is the server; what was before it has calls under way at most.
        for guard in before.made.all().into_iter().rev() {
            if !seen.insert(guard.server().to_owned()) {
                continue;
            }
            let server = config.servers.get(guard.server());
            let server = server.or_else(|| is_elsewhere(guard.server()).then_some(&plain));
            let server = server.filter(|_| stays(guard.server()));
            let judge = server.and_then(|server| self.judge_of(guard.server(), config, server));
            if let Some(judge) = judge {
                guard.take(judge).await;
                self.made.add(&guard);
            }
        }
    }

    /// Begins to look after what is pinned.
    pub(crate) fn watch(&self) -> PinWatch {
        match &self.keeper {
            Some(keeper) => PinWatch::start(Arc::clone(keeper), self.made.clone()),
            None => PinWatch::default(),
        }
    }
}

#[cfg(test)]
#[cfg(feature = "management")]
mod tests;
