//! Servers that are kept in a store and come and go while the gateway runs: what the management API is
//! about.
//!
//! A template of the store is one server of the gateway, behind the same policy, limits and audit as
//! those of the configuration file; its enabled instances are the places where that server runs. Its
//! tools are called `<template>__<tool>` at the main endpoint, however many servers there are, and by
//! their own names at `/mcp/<template>`. A template whose name the configuration has too is not in the
//! gateway, and its instances say so.
//!
//! What is registered is in force when the call that does it returns, and reaches other gateways on the
//! same store by its feed of changes.
//!
//! # What may be registered
//! Endpoints are connected to only at addresses of the public internet, unless
//! [`RegistryOptions::addresses`] allows more; each connection is judged, and redirects are not followed.
//! A command is started only if its program is one of [`RegistryOptions::allowed_commands`], by exactly
//! that text, and no variable is set by which another program would run. Arguments are not looked at: allow
//! no program that runs what its arguments say, such as a shell or `npx`, unless whoever may register
//! servers may run anything. An admin whose request comes from the machine of the gateway may register any
//! command: who has that machine's loopback and the admin's credentials needs no gateway to run one. It is
//! asked when a command is registered or changed, not when it is started: what is in the store runs.

mod call;
mod change;
mod edit;
mod make;
mod names;
mod news;
#[cfg(feature = "cli")]
mod offline;
mod place;
mod record;
mod settle;
mod state;
mod validate;
mod variables;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::Gateway;
use mcp_gw_store::{
    ChangeKind, Instance, InstanceFilter, LoadBalancer, PageRequest, Store, StoreError, Template,
};
use mcp_gw_upstream::egress::AddressRules;
use tokio::sync::{Mutex, Notify, RwLock, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::make::Workbench;
use self::news::{Dirty, write_health};
use self::settle::Settler;
use self::state::Shelf;
use crate::compose::Running;
use crate::stored::Composition;

#[cfg(feature = "cli")]
pub(crate) use offline::servers_of;

pub use call::{CallFault, CallOutcome, ItemList};
pub use change::ServerChange;
pub use edit::{NewServer, RegistryError};
pub use record::{LOG_LINES, LogLine};
pub use validate::{Asker, FieldFault};
pub use view::{
    HealthChecker, RegistryStats, RegistrySummary, ServerView, TemplateStats, TemplateView,
};

/// What a page of the store has when all of it is read.
const PAGE: u32 = 1000;
/// Changes that follow each other this quickly are made together.
const BREATH: Duration = Duration::from_millis(20);
/// The shortest time between two looks at all of the store.
const LOOKS: Duration = Duration::from_millis(250);
/// After so long the store is asked again when it could not be read.
const AGAIN: Duration = Duration::from_secs(2);

/// What a [`Registry`] goes by.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RegistryOptions {
    /// Programs that commands may start; none by default.
    pub allowed_commands: Vec<String>,
    /// Whether admins on the machine of the gateway may have any command started; they may by default.
    pub local_commands: bool,
    /// Addresses that endpoints may lead to; those of the public internet by default.
    pub addresses: AddressRules,
    /// How calls are spread over the instances of templates that are made with their first instance.
    pub load_balancer: LoadBalancer,
    /// How long a registration waits for the first answer of the server. 5 s by default.
    pub first_answer: Duration,
}

impl RegistryOptions {
    /// No commands, and public addresses.
    pub fn new() -> Self {
        Self {
            allowed_commands: Vec::new(),
            local_commands: true,
            addresses: AddressRules::new(),
            load_balancer: LoadBalancer::default(),
            first_answer: Duration::from_secs(5),
        }
    }
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The servers of a store, behind one gateway. A cheap clone; call [`Registry::stop`] before the gateway
/// is shut down.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    options: RegistryOptions,
    gateway: Gateway,
    composition: Composition,
    shelf: Arc<Shelf>,
    /// Held by changes of single records, and alone by who reads all of them: what is read must not be
    /// older than what was written meanwhile.
    edits: RwLock<()>,
    /// Held by changes that others have overtaken.
    turns: Mutex<()>,
    bell: Arc<Notify>,
    /// How many changes were asked for, and how many of them are in force.
    wanted: watch::Sender<u64>,
    settled: watch::Sender<u64>,
    began: Instant,
    tasks: TaskTracker,
    ending: CancellationToken,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

impl Registry {
    /// Puts the servers of `store` behind the gateway that runs, and keeps them as the store has them.
    /// It does not wait for the servers.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(
        running: &Running,
        store: Arc<dyn Store>,
        options: RegistryOptions,
    ) -> Result<Self, StoreError> {
        let composition = Composition::of(running).await;
        let clock = Arc::clone(&composition.clock);
        let dirty = Arc::new(Dirty::default());
        let shelf = Arc::new(Shelf::new(Arc::clone(&clock), Arc::clone(&dirty)));
        let children = composition.children().await;
        let bench = Workbench::new(options.addresses.clone(), children, clock);
        let settler = Settler::new(composition.clone(), bench, Arc::clone(&shelf));
        let inner = Arc::new(Inner {
            gateway: composition.gateway.clone(),
            store: Arc::clone(&store),
            options,
            composition,
            shelf: Arc::clone(&shelf),
            edits: RwLock::new(()),
            turns: Mutex::new(()),
            bell: Arc::default(),
            wanted: watch::Sender::new(0),
            settled: watch::Sender::new(0),
            began: Instant::now(),
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
        });
        let mut changes = store.changes();
        inner.read_all().await?;
        let registry = Self { inner };
        let work = keep_settled(Arc::downgrade(&registry.inner), settler);
        registry.spawn(work);
        registry.spawn(write_health(store, dirty, shelf));
        let this = Arc::downgrade(&registry.inner);
        registry.spawn(async move {
            while let Some(set) = changes.changed().await {
                if !set.contains(ChangeKind::Servers) {
                    continue;
                }
                let Some(inner) = this.upgrade() else { return };
                let began = Instant::now();
                while let Err(error) = inner.read_all().await {
                    tracing::warn!(%error, "the servers in the store cannot be read");
                    tokio::time::sleep(AGAIN).await;
                }
                inner.ask();
                drop(inner);
                // A store of many servers that change all the time must not be read all the time.
                tokio::time::sleep(LOOKS.max(began.elapsed() * 2)).await;
            }
        });
        registry.in_force().await;
        Ok(registry)
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let ending = self.inner.ending.clone();
        self.inner.tasks.spawn(async move {
            tokio::select! {
                () = ending.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Stops looking after the servers. They stay in the gateway until that is shut down.
    pub async fn stop(&self) {
        self.inner.ending.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// What it goes by.
    pub fn options(&self) -> &RegistryOptions {
        &self.inner.options
    }

    /// Waits until everything that was written so far is in force.
    async fn in_force(&self) {
        let wanted = self.inner.ask();
        let mut settled = self.inner.settled.subscribe();
        tokio::select! {
            _ = settled.wait_for(|count| *count >= wanted) => {}
            () = self.inner.ending.cancelled() => {}
        }
    }
}

impl Inner {
    /// Asks for what is on the shelf to be put in force.
    fn ask(&self) -> u64 {
        let mut wanted = 0;
        self.wanted.send_modify(|count| {
            *count = count.saturating_add(1);
            wanted = *count;
        });
        self.bell.notify_one();
        wanted
    }

    /// Reads everything there is.
    async fn read_all(&self) -> Result<(), StoreError> {
        let _alone = self.edits.write().await;
        let (templates, instances) = all_of(&*self.store).await?;
        self.shelf.replace(templates, instances);
        Ok(())
    }
}

/// All templates and instances of a store.
async fn all_of(store: &dyn Store) -> Result<(Vec<Template>, Vec<Instance>), StoreError> {
    let mut templates: Vec<Template> = Vec::new();
    let mut page = PageRequest::first(PAGE);
    loop {
        let found = store.templates(&page).await?;
        templates.extend(found.items);
        match found.next {
            Some(next) => page = PageRequest::first(PAGE).after(next),
            None => break,
        }
    }
    let mut instances: Vec<Instance> = Vec::new();
    let mut page = PageRequest::first(PAGE);
    loop {
        let found = store.instances(&InstanceFilter::new(), &page).await?;
        instances.extend(found.items);
        match found.next {
            Some(next) => page = PageRequest::first(PAGE).after(next),
            None => break,
        }
    }
    Ok((templates, instances))
}

/// Puts in force what is asked for, several changes at once when they come quickly.
async fn keep_settled(inner: std::sync::Weak<Inner>, mut settler: Settler) {
    let Some((mut reloads, bell)) = inner.upgrade().map(|inner| {
        let reloads = inner.composition.reloads.clone();
        (reloads, Arc::clone(&inner.bell))
    }) else {
        return;
    };
    let mut pause = Duration::ZERO;
    loop {
        let Some(this) = inner.upgrade() else { return };
        let wanted = *this.wanted.borrow();
        let began = Instant::now();
        settler.settle().await;
        let took = began.elapsed();
        this.settled.send_replace(wanted);
        let is_behind = *this.wanted.borrow() > wanted;
        if is_behind {
            // Those who wait for the next time came while this one was under way.
            pause = BREATH.max(took);
        }
        drop(this);
        tokio::time::sleep(pause).await;
        pause = Duration::ZERO;
        if is_behind {
            continue;
        }
        tokio::select! {
            () = bell.notified() => {}
            changed = reloads.changed() => if changed.is_err() { return },
        }
    }
}
