//! What replicas say outside of calls, and checks of them: news of one, told as news of the server.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use mcp_gw_core::{
    BackendError, BackendEvent, BackendListener, ClientRef, ObjectWriter, Offer, RawJson,
};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::balance::affinity::Affinity;
use crate::balance::config::HealthConfig;
use crate::balance::fleet::{Fleet, Tried};
use crate::balance::gate::Gate;
use crate::balance::random::Random;
use crate::notice::Events;
use crate::owner::Key;
use crate::subscriptions::Subscriptions;
use crate::watched::{PerClient, Updates};

/// How long a replica gets to take over a subscription.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a resource is watched for a client.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub(crate) replica: usize,
    /// The client that asked; nobody did where another replica took it over.
    pub(crate) client: Option<Arc<ClientRef>>,
}

/// The server: what its replicas, their checks and the calls have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) fleet: Fleet,
    pub(crate) gate: Gate,
    pub(crate) events: Arc<Events>,
    updates: Updates,
    /// Which replica watches which resource for which client.
    pub(crate) clients: PerClient<Watch>,
    /// Which replica watches which resource for nobody in particular.
    pub(crate) subscriptions: Subscriptions<usize>,
    pub(crate) tasks: Subscriptions<usize>,
    /// Tools of which it is said that calling them twice is as good as calling them once.
    safe_tools: Mutex<Arc<HashSet<Arc<str>>>>,
    pub(crate) closed: watch::Sender<bool>,
    /// No replica is alive, and the listener was told.
    is_away: Mutex<bool>,
    is_moving: AtomicBool,
    /// A digest of what each replica offered last.
    offers: Mutex<Vec<Option<u64>>>,
}

impl Shared {
    pub(crate) fn new(fleet: Fleet) -> Self {
        let config = &fleet.config;
        let events: Arc<Events> = Arc::default();
        Self {
            gate: Gate::new(
                Arc::clone(&fleet.server),
                config.max_concurrent,
                config.max_queue,
                config.queue_timeout,
            ),
            updates: Updates::new(Arc::clone(&events)),
            events,
            clients: PerClient::default(),
            subscriptions: Subscriptions::default(),
            tasks: Subscriptions::default(),
            safe_tools: Mutex::default(),
            closed: watch::Sender::new(false),
            is_away: Mutex::new(false),
            is_moving: AtomicBool::new(false),
            offers: Mutex::new(vec![None; fleet.replicas.len()]),
            fleet,
        }
    }

    /// Listens to the replicas.
    pub(crate) fn listen(self: &Arc<Self>) {
        for (index, replica) in self.fleet.replicas.iter().enumerate() {
            replica.backend.watch(Arc::new(Ear {
                shared: Arc::downgrade(self),
                index,
            }));
        }
    }

    /// True when `tool` may be called twice.
    pub(crate) fn is_safe(&self, tool: &str) -> bool {
        let tools = self.safe_tools.lock();
        tools.unwrap_or_else(PoisonError::into_inner).contains(tool)
    }

    /// What the first replica offers that can be asked.
    pub(crate) async fn offer(self: &Arc<Self>) -> Result<Offer, BackendError> {
        let mut last = None;
        for index in self.fleet.best_first() {
            let Some(backend) = self.fleet.backend(index) else {
                continue;
            };
            match backend.offer().await {
                Ok(offer) => {
                    let hints = |tool: &str| self.fleet.config.hints.get(tool).copied();
                    let safe = offer.tools.iter().filter(|tool| {
                        let hints = hints(tool.name()).unwrap_or_default();
                        hints.is_safe(tool.annotations())
                    });
                    let safe: HashSet<_> = safe.map(mcp_gw_core::ToolSpec::shared_name).collect();
                    *self
                        .safe_tools
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = Arc::new(safe);
                    self.offered(index, &offer);
                    let answers = |health: &mut super::health::Health, _, _| health.answers();
                    if self.fleet.learn(index, &"", answers) {
                        self.settle("");
                    }
                    return Ok(offer);
                }
                Err(error) => last = last.or(Some(error)),
            }
        }
        Err(last.unwrap_or_else(|| BackendError::Unavailable {
            server: Arc::clone(&self.fleet.server),
            reason: "it has no replica".to_owned(),
        }))
    }

    /// A replica offers this. The offers of all should be the same, as any of them gets the calls.
    fn offered(&self, index: usize, offer: &Offer) {
        let print = fingerprint(offer);
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let others = offers.iter().enumerate();
        let other = others
            .filter(|(at, _)| *at != index)
            .find_map(|(at, other)| Some((at, (*other)?)));
        let Some(own) = offers.get_mut(index) else {
            return;
        };
        let is_news = own.replace(print) != Some(print);
        drop(offers);
        if let Some((at, other)) = other
            && is_news
            && other != print
        {
            let label = |index: usize| self.fleet.replicas.get(index).map(|one| one.label.as_str());
            tracing::warn!(
                target: "mcp_gw::upstream",
                server = &*self.fleet.server,
                replica = label(index),
                other = label(at),
                "two replicas do not offer the same; clients see what the first that is well offers"
            );
        }
    }

    /// Tells the listener when the first replica came or the last one went, and moves subscriptions
    /// off those that went.
    pub(crate) fn settle(self: &Arc<Self>, reason: &str) {
        let event = {
            let mut is_away = self.is_away.lock().unwrap_or_else(PoisonError::into_inner);
            let now_away = !self.fleet.alive().contains(&true);
            let was_away = std::mem::replace(&mut *is_away, now_away);
            match (was_away, now_away) {
                (false, true) => Some(BackendEvent::Down {
                    reason: reason.to_owned(),
                }),
                (true, false) => Some(BackendEvent::OfferChanged),
                _ => None,
            }
        };
        if let Some(event) = event {
            self.events.emit(event);
        }
        if !self.stranded().is_empty()
            && let Ok(runtime) = Handle::try_current()
            && !self.is_moving.swap(true, Ordering::AcqRel)
        {
            let shared = Arc::clone(self);
            runtime.spawn(async move {
                shared.move_subscriptions().await;
                shared.is_moving.store(false, Ordering::Release);
            });
        }
    }

    /// Resources that are watched at a replica that is not alive, while another one is.
    fn stranded(&self) -> Vec<Stranded> {
        let alive = self.fleet.alive();
        if !alive.contains(&true) {
            return Vec::new();
        }
        let of_clients = self.clients.all().into_iter();
        let of_clients = of_clients.map(|(key, uri, at)| (Some(key), uri, at.replica));
        let others = self.subscriptions.all().into_iter();
        let others = others.map(|(uri, replica)| (None, uri, replica));
        let all = of_clients.chain(others);
        all.filter(|(_, _, replica)| alive.get(*replica) == Some(&false))
            .map(|(key, uri, _)| (key, uri))
            .collect()
    }

    /// Moves until nothing is stranded, or nothing more can be moved.
    async fn move_subscriptions(&self) {
        let mut failed: HashSet<Stranded> = HashSet::new();
        loop {
            let mut stranded = self.stranded();
            stranded.retain(|one| !failed.contains(one));
            if stranded.is_empty() || *self.closed.borrow() {
                return;
            }
            for one in stranded {
                if let Err(error) = self.move_one(&one).await {
                    tracing::warn!(
                        target: "mcp_gw::upstream",
                        server = &*self.fleet.server,
                        %error,
                        "a subscription could not be moved to another replica"
                    );
                    failed.insert(one);
                }
            }
        }
    }

    async fn move_one(&self, (key, uri): &Stranded) -> Result<(), BackendError> {
        if let Some(key) = key {
            let moved = async |from: Watch| self.take_over(uri, from).await;
            self.clients.relocate(key, uri, moved).await?;
        } else {
            let moved = async |replica| {
                let from = Watch {
                    replica,
                    client: None,
                };
                Ok(self.take_over(uri, from).await?.replica)
            };
            self.subscriptions.relocate(uri, moved).await?;
        }
        // Nobody knows what happened in between.
        let params = ObjectWriter::default().string("uri", uri).finish();
        let is_common = self.clients.places(uri).len() > 1;
        self.updates.tell(Arc::clone(uri), params, is_common);
        Ok(())
    }

    /// Has another replica watch what was watched at one that is of no use.
    async fn take_over(&self, uri: &Arc<str>, from: Watch) -> Result<Watch, BackendError> {
        let mut tried = Tried::default();
        tried.add(from.replica);
        let lease = self.fleet.lease(Affinity::of_text(uri), tried);
        let Some((lease, backend)) = lease.and_then(|lease| {
            let backend = Arc::clone(lease.backend()?);
            Some((lease, backend))
        }) else {
            return Ok(from);
        };
        let outcome = timeout(PATIENCE, backend.resubscribe(uri))
            .await
            .unwrap_or_else(|_| {
                Err(BackendError::Timeout {
                    server: Arc::clone(&self.fleet.server),
                    after: PATIENCE,
                })
            });
        let replica = lease.index;
        lease.end(outcome.as_ref().err());
        outcome?;
        self.forget(from, uri);
        Ok(Watch {
            replica,
            client: None,
        })
    }

    /// Ends the subscription of a replica that is of no use, so that it does not renew it when it
    /// comes back.
    fn forget(&self, at: Watch, uri: &Arc<str>) {
        if let (Some(backend), Ok(runtime)) =
            (self.fleet.backend(at.replica), Handle::try_current())
        {
            let (backend, uri) = (Arc::clone(backend), Arc::clone(uri));
            runtime.spawn(async move {
                let client = at.client.as_deref();
                let _ = timeout(PATIENCE, backend.unsubscribe(&uri, client)).await;
            });
        }
    }

    /// A replica reports an update.
    fn updated(&self, index: usize, uri: Arc<str>, params: RawJson) {
        let clients = self.clients.places(&uri).into_iter();
        let mut at: Vec<usize> = clients.map(|(_, at)| at.replica).collect();
        at.extend(self.subscriptions.at(&uri));
        // Another replica may go on to report what is watched elsewhere now.
        if at.is_empty() || at.contains(&index) {
            let is_common = at.iter().any(|other| *other != index);
            self.updates.tell(uri, params, is_common);
        }
    }

    /// Begins to check the replicas.
    pub(crate) fn start_checks(self: &Arc<Self>) -> Vec<AbortHandle> {
        let (Some(config), Ok(runtime)) = (self.fleet.config.health, Handle::try_current()) else {
            return Vec::new();
        };
        let replicas = 0..self.fleet.replicas.len();
        replicas
            .map(|index| {
                let check = check(Arc::downgrade(self), config, index);
                runtime.spawn(check).abort_handle()
            })
            .collect()
    }

    async fn check_once(self: &Arc<Self>, config: &HealthConfig, index: usize) {
        let Some(backend) = self.fleet.backend(index) else {
            return;
        };
        let outcome = match timeout(config.timeout, backend.check()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!(
                "it did not answer a check within {:?}",
                config.timeout
            )),
        };
        let reason = outcome.as_ref().err().map_or("", String::as_str);
        let passed = outcome.is_ok();
        let mut renews = false;
        let learned = self.fleet.learn(index, &reason, |health, now, _| {
            health.checked(config, passed, now);
            renews = health.is_to_be_renewed(config);
        });
        if learned {
            self.settle(reason);
        }
        if renews {
            backend.renew(reason);
        }
        let is_new = {
            let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
            offers.get(index) == Some(&None)
        };
        if passed
            && is_new
            && let Ok(Ok(offer)) = timeout(config.timeout, backend.offer()).await
        {
            self.offered(index, &offer);
        }
    }

    /// What this replica offers is not known any more.
    fn forget_offer(&self, index: usize) {
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(offer) = offers.get_mut(index) {
            *offer = None;
        }
    }
}

/// For whom it is watched, and what.
type Stranded = (Option<Key>, Arc<str>);

/// Checks one replica until the server is gone.
async fn check(shared: Weak<Shared>, config: HealthConfig, index: usize) {
    let mut random = Random::seeded();
    loop {
        // A tenth more or less, so that gateways that started together do not check together.
        let tenth = config.interval / 10;
        let micros = u64::try_from(tenth.as_micros() * 2).unwrap_or(u64::MAX);
        let pause = config.interval.saturating_sub(tenth);
        sleep(pause + Duration::from_micros(random.below(micros))).await;
        let turns = {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let turns = shared.fleet.config.check_turns.clone();
            turns.filter(|_| shared.fleet.is_down(index))
        };
        let turn = match &turns {
            Some(turns) => turns.take().await,
            None => None,
        };
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.check_once(&config, index).await;
        drop(turn);
    }
}

/// Hears what one replica says.
struct Ear {
    shared: Weak<Shared>,
    index: usize,
}

impl BackendListener for Ear {
    fn on_event(&self, event: BackendEvent) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        match event {
            BackendEvent::Down { reason } => {
                shared.forget_offer(self.index);
                let gone = |health: &mut super::health::Health, _, _| health.gone();
                if shared.fleet.learn(self.index, &reason, gone) {
                    shared.settle(&reason);
                }
            }
            BackendEvent::ResourceUpdated { uri, params } => {
                shared.updated(self.index, uri, params);
            }
            BackendEvent::OfferChanged => {
                shared.forget_offer(self.index);
                shared.events.emit(event);
            }
            other => shared.events.emit(other),
        }
    }
}

/// A digest of everything that clients see of an offer, whatever the order of its lists.
fn fingerprint(offer: &Offer) -> u64 {
    let tools = offer.tools.iter().map(|tool| tool.definition().as_bytes());
    let items = [&offer.resources, &offer.resource_templates, &offer.prompts];
    let items = items.into_iter().flatten();
    let all = tools.chain(items.map(|item| item.definition().as_bytes()));
    all.map(|definition| {
        let mut hasher = DefaultHasher::new();
        definition.hash(&mut hasher);
        hasher.finish()
    })
    .fold(0, u64::wrapping_add)
}
