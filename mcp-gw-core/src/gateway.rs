//! The gateway: backends, policy, limits and audit put together, and the catalogue they make.

mod remount;
mod views;

pub use remount::Remount;
use views::{Views, build_views};

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use crate::audit::{AuditSink, TracingAudit};
use crate::backend::{Backend, BackendError, BackendEvent, BackendListener, Offer};
use crate::caller::{Authenticator, NoAuthentication};
use crate::catalogue::{Catalogue, CatalogueChange, CatalogueSwap, Endpoint, Report};
use crate::clock::{Clock, SystemClock};
use crate::context::{CallNotification, ClientRef, SessionKey};
use crate::json::RawJson;
use crate::limit::{LimiterHealth, RateLimiter, Unlimited};
use crate::mount::{LeftOut, MountPoint, Mounting, Naming, first_ambiguous};
use crate::policy::{DenyAll, Policy};
use crate::registry::{RegistryError, ToolRegistry, ToolRegistryBuilder};
use crate::task::Tasks;
use crate::tool::Tool;
use crate::typed::TypedTool;

/// The one way to tools, resources and prompts. A cheap clone.
///
/// ```
/// use mcp_gw_core::{AllowAll, Gateway, CallContext, ToolError, TypedTool, NoArguments};
///
/// struct Hello;
/// impl TypedTool for Hello {
///     const NAME: &'static str = "hello";
///     const DESCRIPTION: &'static str = "Greets.";
///     type Args = NoArguments;
///     type Output = &'static str;
///     async fn call(&self, _: &CallContext, _: NoArguments) -> Result<&'static str, ToolError> {
///         Ok("Hello!")
///     }
/// }
///
/// let gateway = Gateway::builder().tool(Hello).policy(AllowAll::new()).build()?;
/// # Ok::<(), mcp_gw_core::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Gateway {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) authenticator: Box<dyn Authenticator>,
    pub(crate) policy: Box<dyn Policy>,
    pub(crate) limiter: Box<dyn RateLimiter>,
    pub(crate) sinks: Vec<Box<dyn AuditSink>>,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) stopped: AtomicBool,
    pub(crate) tasks: Tasks,
    views: RwLock<Views>,
    mounted: Mutex<Mounted>,
    listeners: RwLock<Vec<Arc<dyn GatewayListener>>>,
}

/// Settles the catalogue when it is dropped.
struct Settling<'a>(&'a Gateway);

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.0.settle();
    }
}

/// What there is behind the gateway.
struct Mounted {
    mounts: Vec<Mount>,
    endpoints: Vec<Endpoint>,
    /// Clients may see something else than the catalogue says.
    is_stale: bool,
}

/// A backend in its place, and what it last offered.
struct Mount {
    point: Arc<MountPoint>,
    is_static: bool,
    offer: Option<Arc<Offer>>,
    asked_at: Option<Instant>,
    fault: Option<String>,
    report: Report,
}

/// How one backend is doing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BackendStatus {
    /// Its name.
    pub name: String,
    /// True when it answered the last time it was asked.
    pub is_up: bool,
    /// Number of tools it offers.
    pub tools: usize,
    /// Why the last attempt to ask it failed.
    pub fault: Option<String>,
    /// What it offers and the gateway does not show, and why; the first hundred.
    pub left_out: Vec<LeftOut>,
    /// What else people should know about what it offers.
    pub remarks: Vec<String>,
}

/// Something that changed about the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GatewayEvent {
    /// A backend says that its offer changed, or that it is down. Whoever runs the gateway should
    /// call [`Gateway::refresh_backend`].
    BackendChanged {
        /// The backend.
        name: String,
        /// Why it is down, if it is.
        down: Option<String>,
    },
    /// The catalogue was swapped, and clients of the main endpoint see the difference where the
    /// policy shows it to them.
    CatalogueChanged {
        /// Which lists differ.
        change: CatalogueChange,
        /// What there was and is.
        swap: CatalogueSwap,
    },
    /// The same for clients of another endpoint.
    EndpointChanged {
        /// The endpoint.
        endpoint: Arc<str>,
        /// Which lists differ.
        change: CatalogueChange,
        /// What there was and is.
        swap: CatalogueSwap,
    },
    /// A resource was updated.
    ResourceUpdated {
        /// The backend.
        server: String,
        /// The resource.
        uri: Arc<str>,
        /// `params` of the notification.
        params: RawJson,
    },
    /// A task has changed.
    TaskChanged {
        /// The backend.
        server: String,
        /// The task.
        task_id: Arc<str>,
        /// `params` of the notification.
        params: RawJson,
    },
    /// A server told one client session something that belongs to no call.
    ForSession {
        /// The session.
        session: SessionKey,
        /// What it was told.
        notification: CallNotification,
    },
}

/// Hears of [`GatewayEvent`]s. Must not block.
pub trait GatewayListener: Send + Sync + 'static {
    /// Something changed.
    fn on_event(&self, event: &GatewayEvent);
}

/// Why a gateway could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The local tools are faulty.
    #[error("the local tools cannot be served")]
    Tools(#[source] RegistryError),
    /// Two backends have one name.
    #[error("two backends are called `{name}`")]
    DuplicateBackend {
        /// The name.
        name: String,
    },
    /// A backend's prefix cannot stand before its names or URIs.
    #[error("`{prefix}` cannot be the prefix of `{name}`: use letters, digits, `_`, `-` and `.`")]
    Prefix {
        /// The backend.
        name: String,
        /// Its prefix.
        prefix: String,
    },
    /// With their prefixes, names or URIs of two backends could be taken for each other's.
    #[error("the prefixes of `{first}` and `{second}` cannot be told apart")]
    AmbiguousPrefix {
        /// A backend.
        first: String,
        /// Another one.
        second: String,
    },
    /// A backend is to stay that is not there.
    #[error("there is no backend called `{name}` that could stay")]
    NoSuchBackend {
        /// The name.
        name: String,
    },
    /// Two endpoints have one name. Each backend has an endpoint of its name.
    #[error("two endpoints are called `{name}`")]
    DuplicateEndpoint {
        /// The name.
        name: String,
    },
}

/// Builds a [`Gateway`].
#[must_use]
pub struct GatewayBuilder {
    authenticator: Option<Box<dyn Authenticator>>,
    policy: Option<Box<dyn Policy>>,
    limiter: Option<Box<dyn RateLimiter>>,
    sinks: Vec<Box<dyn AuditSink>>,
    clock: Option<Box<dyn Clock>>,
    local: ToolRegistryBuilder,
    backends: Vec<(Arc<dyn Backend>, Mounting)>,
    endpoints: Vec<Endpoint>,
}

impl Default for GatewayBuilder {
    fn default() -> Self {
        Self {
            authenticator: None,
            policy: None,
            limiter: None,
            sinks: Vec::new(),
            clock: None,
            local: ToolRegistry::builder("local"),
            backends: Vec::new(),
            endpoints: Vec::new(),
        }
    }
}

impl std::fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayBuilder")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

impl GatewayBuilder {
    /// Who checks credentials. Without one nobody is asked for any, see [`NoAuthentication`].
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Box::new(authenticator));
        self
    }

    /// Who decides. Without one everything is denied; [`AllowAll`](crate::AllowAll) must be asked
    /// for.
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Some(Box::new(policy));
        self
    }

    /// Who counts. Without one nothing is limited.
    pub fn rate_limiter(mut self, limiter: impl RateLimiter) -> Self {
        self.limiter = Some(Box::new(limiter));
        self
    }

    /// Who hears of every request; may be called more than once. Without one, [`TracingAudit`].
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.sinks.push(Box::new(sink));
        self
    }

    /// Where the time comes from.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Adds a local tool.
    pub fn tool(mut self, tool: impl TypedTool) -> Self {
        self.local = self.local.typed(tool);
        self
    }

    /// Adds local tools that implement [`Tool`] themselves.
    pub fn tools(mut self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        self.local = self.local.extend(tools);
        self
    }

    /// Adds a backend whose names clients see as they are.
    pub fn backend(self, backend: impl Backend) -> Self {
        self.mount(backend, Mounting::plain())
    }

    /// Adds a backend whose tool and prompt names clients see behind `prefix` and two underscores,
    /// and whose URIs they see with the prefix, see [`UriNaming::Prefix`](crate::UriNaming::Prefix).
    pub fn backend_with_prefix(self, prefix: &str, backend: impl Backend) -> Self {
        self.mount(backend, Mounting::new(Naming::Always, prefix))
    }

    /// Adds a backend in the way that `mounting` says.
    pub fn mount(mut self, backend: impl Backend, mounting: Mounting) -> Self {
        self.backends.push((Arc::new(backend), mounting));
        self
    }

    /// Adds an endpoint that shows a part of the gateway. Each backend has one of its name without
    /// this, at which its names and URIs are its own. Policy, limits and audit know everything by
    /// the names of the main endpoint, whatever endpoint a request comes to.
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// Builds the gateway. Local tools can be called at once; what other backends offer is known
    /// after [`Gateway::refresh`].
    ///
    /// # Errors
    /// When a tool is faulty, two backends or endpoints have one name, or prefixes are of no use.
    pub fn build(self) -> Result<Gateway, BuildError> {
        let local = self.local.build().map_err(BuildError::Tools)?;
        let mut backends = self.backends;
        if !local.is_empty() {
            backends.insert(0, (Arc::new(local), Mounting::plain()));
        }
        let clock = self.clock.unwrap_or_else(|| Box::new(SystemClock::new()));
        let mut mounts = mounts_of(backends)?;
        check_endpoints(&mounts, &self.endpoints)?;
        let views = build_views(1, &mut mounts, &self.endpoints, &Views::default());
        let mut sinks = self.sinks;
        if sinks.is_empty() {
            sinks.push(Box::new(TracingAudit::new()));
        }
        let inner = Arc::new(Inner {
            authenticator: self
                .authenticator
                .unwrap_or_else(|| Box::new(NoAuthentication::new())),
            policy: self.policy.unwrap_or_else(|| Box::new(DenyAll::new())),
            limiter: self.limiter.unwrap_or_else(|| Box::new(Unlimited::new())),
            sinks,
            clock,
            stopped: AtomicBool::new(false),
            tasks: Tasks::default(),
            views: RwLock::new(views),
            mounted: Mutex::new(Mounted {
                mounts,
                endpoints: self.endpoints,
                is_stale: false,
            }),
            listeners: RwLock::new(Vec::new()),
        });
        let gateway = Gateway { inner };
        for backend in gateway.backends() {
            gateway.hear(&*backend);
        }
        Ok(gateway)
    }
}

/// Passes a backend's events on, without keeping the gateway alive.
struct Ear {
    gateway: Weak<Inner>,
    name: String,
}

impl BackendListener for Ear {
    fn on_event(&self, event: BackendEvent) {
        let Some(inner) = self.gateway.upgrade() else {
            return;
        };
        let name = self.name.clone();
        inner.tell(&match event {
            BackendEvent::OfferChanged => GatewayEvent::BackendChanged { name, down: None },
            BackendEvent::Down { reason } => GatewayEvent::BackendChanged {
                name,
                down: Some(reason),
            },
            BackendEvent::ResourceUpdated { uri, params } => GatewayEvent::ResourceUpdated {
                server: name,
                uri,
                params,
            },
            BackendEvent::TaskChanged { task_id, params } => GatewayEvent::TaskChanged {
                server: name,
                task_id,
                params,
            },
            BackendEvent::ForSession {
                session,
                notification,
            } => GatewayEvent::ForSession {
                session,
                notification,
            },
        });
    }
}

impl Inner {
    fn tell(&self, event: &GatewayEvent) {
        let listeners = self
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for listener in listeners {
            listener.on_event(event);
        }
    }
}

fn mounts_of(backends: Vec<(Arc<dyn Backend>, Mounting)>) -> Result<Vec<Mount>, BuildError> {
    let mut names = std::collections::HashSet::with_capacity(backends.len());
    if let Some((twice, _)) = backends.iter().find(|(one, _)| !names.insert(one.name())) {
        return Err(BuildError::DuplicateBackend {
            name: twice.name().to_owned(),
        });
    }
    if let Some((first, second)) = first_ambiguous(backends.iter().map(|(_, mounting)| mounting)) {
        let name = |at: usize| backends.get(at).map_or("", |(backend, _)| backend.name());
        return Err(BuildError::AmbiguousPrefix {
            first: name(first).to_owned(),
            second: name(second).to_owned(),
        });
    }
    let several = backends.len() > 1;
    let mut mounts = Vec::with_capacity(backends.len());
    for (backend, mounting) in backends {
        let offer = backend.offer_now();
        let point = MountPoint::new(backend, &mounting, several)?;
        point.set_away(offer.is_none());
        mounts.push(Mount {
            point: Arc::new(point),
            is_static: offer.is_some(),
            offer: offer.map(Arc::new),
            asked_at: None,
            fault: None,
            report: Report::default(),
        });
    }
    Ok(mounts)
}

fn check_endpoints(mounts: &[Mount], endpoints: &[Endpoint]) -> Result<(), BuildError> {
    let mut names: std::collections::HashSet<&str> =
        mounts.iter().map(|mount| &*mount.point.server).collect();
    for endpoint in endpoints {
        if !names.insert(endpoint.name()) {
            return Err(BuildError::DuplicateEndpoint {
                name: endpoint.name().to_string(),
            });
        }
    }
    Ok(())
}

impl Mount {
    fn status(&self) -> BackendStatus {
        let offer = self.offer.as_ref();
        let left_out = offer.map(|offer| offer.left_out.as_slice());
        let left_out = left_out.unwrap_or_default().iter();
        BackendStatus {
            name: self.point.server.to_string(),
            is_up: offer.is_some() && self.fault.is_none(),
            tools: offer.map_or(0, |offer| offer.tools.len()),
            fault: self.fault.clone(),
            left_out: left_out
                .chain(&self.report.left_out)
                .take(100)
                .cloned()
                .collect(),
            remarks: offer.map_or_else(Vec::new, |offer| offer.remarks.clone()),
        }
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("backends", &self.status())
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// Starts a gateway that asks nobody for credentials, denies everything and limits nothing.
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    /// The catalogue as the main endpoint shows it now. Keep it for one request, not longer.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.views().main
    }

    /// The catalogue as an endpoint shows it now; `None` is the main one. An endpoint that there is
    /// not shows nothing.
    pub fn catalogue_at(&self, endpoint: Option<&str>) -> Arc<Catalogue> {
        let views = self.inner.views.read();
        let views = views.unwrap_or_else(PoisonError::into_inner);
        match endpoint {
            None => Arc::clone(&views.main),
            Some(name) => views
                .endpoints
                .get(name)
                .map(Arc::clone)
                .unwrap_or_default(),
        }
    }

    /// True when there is an endpoint of this name beside the main one.
    pub fn has_endpoint(&self, name: &str) -> bool {
        self.views().endpoints.contains_key(name)
    }

    /// The names of all endpoints beside the main one, in order.
    pub fn endpoints(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.views().endpoints.keys().map(Arc::clone).collect();
        names.sort_unstable();
        names
    }

    fn views(&self) -> Views {
        self.inner
            .views
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All backends, in their order.
    pub fn backends(&self) -> Vec<Arc<dyn Backend>> {
        self.mounts(|mounts| {
            mounts
                .iter()
                .map(|mount| Arc::clone(&mount.point.backend))
                .collect()
        })
    }

    /// How the backends are doing.
    pub fn status(&self) -> Vec<BackendStatus> {
        self.mounts(|mounts| mounts.iter().map(Mount::status).collect())
    }

    /// How the rate limiter is doing.
    pub fn limiter_health(&self) -> LimiterHealth {
        self.inner.limiter.health()
    }

    /// How long what a backend offers is still good, by its own words; `None` when it said nothing,
    /// or has not answered yet.
    pub fn good_for(&self, name: &str) -> Option<Duration> {
        let now = self.inner.clock.now();
        self.mounts(|mounts| {
            let mount = mounts.iter().find(|mount| *mount.point.server == *name)?;
            let ttl = mount.offer.as_ref()?.hints.soonest()?;
            Some(ttl.saturating_sub(now.saturating_duration_since(mount.asked_at?)))
        })
    }

    /// From now on it is heard what the backend tells of itself.
    fn hear(&self, backend: &dyn Backend) {
        backend.watch(Arc::new(Ear {
            gateway: Arc::downgrade(&self.inner),
            name: backend.name().to_owned(),
        }));
    }

    /// Registers a listener for as long as the gateway lives.
    pub fn listen(&self, listener: Arc<dyn GatewayListener>) {
        self.inner
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(listener);
    }

    /// Asks every backend for its offer, one after the other, and swaps the catalogue after each.
    /// What a backend that cannot be asked offered before stays: a call then tells the client that
    /// the server is away, not that the tool never was. See [`Gateway::status`].
    ///
    /// # Errors
    /// When backends failed: each with its error.
    pub async fn refresh(&self) -> Result<(), Vec<(String, BackendError)>> {
        let mut faults = Vec::new();
        for backend in self.backends() {
            if let Err(error) = self.refresh_one(&backend).await {
                faults.push((backend.name().to_owned(), error));
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    /// Asks one backend for its offer and swaps the catalogue.
    ///
    /// # Errors
    /// When it cannot be asked, or there is none of this name; its last offer stays.
    pub async fn refresh_backend(&self, name: &str) -> Result<(), BackendError> {
        let backend = self.mounts(|mounts| {
            let mut mounts = mounts.iter();
            let mount = mounts.find(|mount| *mount.point.server == *name);
            mount.map(|mount| Arc::clone(&mount.point.backend))
        });
        let Some(backend) = backend else {
            return Err(BackendError::Unavailable {
                server: name.into(),
                reason: "no backend of this name".to_owned(),
            });
        };
        self.refresh_one(&backend).await
    }

    async fn refresh_one(&self, backend: &Arc<dyn Backend>) -> Result<(), BackendError> {
        // What it says about the age of its lists counts from before it was asked.
        let asked_at = self.inner.clock.now();
        let (offer, result) = match backend.offer().await {
            Ok(offer) => (Some((offer, asked_at)), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let fault = result.as_ref().err().map(BackendError::to_string);
        // Another backend may have taken the name meanwhile: what this one says is not about it.
        self.put_offer(
            |mount| Arc::ptr_eq(&mount.point.backend, backend),
            offer,
            fault,
        );
        // A catalogue takes its time to build. What others have learned meanwhile goes into the same one; when this
        // is given up, it is built all the same.
        let built_in_the_end = Settling(self);
        let mut is_second = false;
        std::future::poll_fn(|turn| {
            if std::mem::replace(&mut is_second, true) {
                return std::task::Poll::Ready(());
            }
            turn.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
        drop(built_in_the_end);
        result
    }

    /// Notes that a backend is away, because of `reason`, until it is next refreshed.
    pub fn mark_down(&self, name: &str, reason: impl Into<String>) {
        self.put_offer(
            |mount| *mount.point.server == *name,
            None,
            Some(reason.into()),
        );
    }

    /// Notes what a backend said. Clients see it once the catalogue is settled.
    fn put_offer(
        &self,
        is_meant: impl Fn(&Mount) -> bool,
        offer: Option<(Offer, Instant)>,
        fault: Option<String>,
    ) {
        self.mounted(|mounted| {
            let Some(mount) = mounted.mounts.iter_mut().find(|mount| is_meant(mount)) else {
                return;
            };
            mount.point.set_away(fault.is_some());
            mount.fault = fault;
            let Some((offer, asked_at)) = offer else {
                return;
            };
            let before = mount.offer.as_ref().map(|offer| offer.remarks.as_slice());
            for says in &offer.remarks {
                if !before.unwrap_or_default().contains(says) {
                    tracing::warn!(server = &*mount.point.server, "{says}");
                }
            }
            mount.offer = Some(Arc::new(offer));
            mount.asked_at = Some(asked_at);
            mounted.is_stale = true;
        });
    }

    /// Swaps the catalogue, if it is not what is mounted, and tells of the difference.
    fn settle(&self) {
        let events = self.mounted(|mounted| {
            if !std::mem::take(&mut mounted.is_stale) {
                return Vec::new();
            }
            // Built under the lock of the mounts, so that two changes cannot swap out of order.
            let before = self.views();
            let version = before.main.version() + 1;
            let after = build_views(version, &mut mounted.mounts, &mounted.endpoints, &before);
            let events = before.changes_to(&after);
            *self
                .inner
                .views
                .write()
                .unwrap_or_else(PoisonError::into_inner) = after;
            events
        });
        for event in &events {
            self.inner.tell(event);
        }
    }

    /// Says that requests which are given up from now on are given up by the gateway, not by their
    /// clients: audit events will say so.
    pub fn mark_stopped(&self) {
        self.inner.stopped.store(true, Ordering::Relaxed);
    }

    /// A client has begun a session and has called nothing yet: backends may make ready what they
    /// hold for it alone. Ended by [`Gateway::end_session`].
    pub fn greet(&self, client: &ClientRef) {
        for backend in self.backends() {
            backend.greet(client);
        }
    }

    /// A client session has ended: nothing is held for it any more.
    pub fn end_session(&self, session: &SessionKey) {
        for backend in self.backends() {
            backend.end_session(session);
        }
    }

    /// The client of a session says that its roots have changed.
    pub fn roots_changed(&self, session: &SessionKey) {
        for backend in self.backends() {
            backend.roots_changed(session);
        }
    }

    /// Closes all backends.
    pub async fn close(&self) {
        for backend in self.backends() {
            backend.close().await;
        }
    }

    fn mounts<R>(&self, work: impl FnOnce(&[Mount]) -> R) -> R {
        self.mounted(|mounted| work(&mounted.mounts))
    }

    fn mounted<R>(&self, work: impl FnOnce(&mut Mounted) -> R) -> R {
        work(
            &mut self
                .inner
                .mounted
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

#[cfg(test)]
mod input_tests;
#[cfg(test)]
mod tests;
