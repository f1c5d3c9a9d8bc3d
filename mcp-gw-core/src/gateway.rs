//! The gateway: backends, policy, limits and audit put together, and the catalogue they make.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use crate::audit::{AuditSink, TracingAudit};
use crate::backend::{Backend, BackendError, BackendEvent, BackendListener, Offer};
use crate::caller::{Authenticator, NoAuthentication};
use crate::catalogue::{Catalogue, CatalogueChange, Part};
use crate::clock::{Clock, SystemClock};
use crate::context::{CallNotification, SessionKey};
use crate::json::RawJson;
use crate::limit::{RateLimiter, Unlimited};
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
    catalogue: RwLock<Arc<Catalogue>>,
    mounts: Mutex<Vec<Mount>>,
    listeners: RwLock<Vec<Arc<dyn GatewayListener>>>,
}

/// A backend, the prefix of its names, and what it last offered.
struct Mount {
    backend: Arc<dyn Backend>,
    prefix: Option<String>,
    offer: Option<Offer>,
    fault: Option<String>,
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
    /// The catalogue was swapped and clients would see the difference.
    CatalogueChanged(CatalogueChange),
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
    backends: Vec<(Arc<dyn Backend>, Option<String>)>,
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
    pub fn backend(mut self, backend: impl Backend) -> Self {
        self.backends.push((Arc::new(backend), None));
        self
    }

    /// Adds a backend whose tool and prompt names clients see behind `prefix` and two underscores.
    pub fn backend_with_prefix(mut self, prefix: &str, backend: impl Backend) -> Self {
        self.backends
            .push((Arc::new(backend), Some(prefix.to_owned())));
        self
    }

    /// Builds the gateway. Local tools can be called at once; what other backends offer is known
    /// after [`Gateway::refresh`].
    ///
    /// # Errors
    /// When a tool is faulty or two backends have one name.
    pub fn build(self) -> Result<Gateway, BuildError> {
        let local = self.local.build().map_err(BuildError::Tools)?;
        let mut backends = self.backends;
        if !local.is_empty() {
            backends.insert(0, (Arc::new(local), None));
        }
        let mut mounts: Vec<Mount> = Vec::with_capacity(backends.len());
        for (backend, prefix) in backends {
            if mounts
                .iter()
                .any(|mount| mount.backend.name() == backend.name())
            {
                return Err(BuildError::DuplicateBackend {
                    name: backend.name().to_owned(),
                });
            }
            let offer = backend.offer_now();
            mounts.push(Mount {
                backend,
                prefix,
                offer,
                fault: None,
            });
        }
        let mut sinks = self.sinks;
        if sinks.is_empty() {
            sinks.push(Box::new(TracingAudit::new()));
        }
        let catalogue = build_catalogue(1, &mounts);
        let inner = Arc::new(Inner {
            authenticator: self
                .authenticator
                .unwrap_or_else(|| Box::new(NoAuthentication::new())),
            policy: self.policy.unwrap_or_else(|| Box::new(DenyAll::new())),
            limiter: self.limiter.unwrap_or_else(|| Box::new(Unlimited::new())),
            sinks,
            clock: self.clock.unwrap_or_else(|| Box::new(SystemClock::new())),
            stopped: AtomicBool::new(false),
            tasks: Tasks::default(),
            catalogue: RwLock::new(Arc::new(catalogue)),
            mounts: Mutex::new(mounts),
            listeners: RwLock::new(Vec::new()),
        });
        let gateway = Gateway { inner };
        for backend in gateway.backends() {
            let name = backend.name().to_owned();
            backend.watch(Arc::new(Ear {
                gateway: Arc::downgrade(&gateway.inner),
                name,
            }));
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

fn build_catalogue(version: u64, mounts: &[Mount]) -> Catalogue {
    Catalogue::build(
        version,
        mounts.iter().filter_map(|mount| {
            let offer = mount.offer.as_ref()?;
            Some(Part {
                backend: &mount.backend,
                prefix: mount.prefix.as_deref(),
                offer,
            })
        }),
    )
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

    /// The catalogue as it is now. Keep it for one request, not longer.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(
            &self
                .inner
                .catalogue
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// All backends, in their order.
    pub fn backends(&self) -> Vec<Arc<dyn Backend>> {
        self.mounts(|mounts| {
            mounts
                .iter()
                .map(|mount| Arc::clone(&mount.backend))
                .collect()
        })
    }

    /// How the backends are doing.
    pub fn status(&self) -> Vec<BackendStatus> {
        self.mounts(|mounts| {
            let status = mounts.iter().map(|mount| BackendStatus {
                name: mount.backend.name().to_owned(),
                is_up: mount.offer.is_some() && mount.fault.is_none(),
                tools: mount.offer.as_ref().map_or(0, |offer| offer.tools.len()),
                fault: mount.fault.clone(),
            });
            status.collect()
        })
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
        let backend = self
            .backends()
            .into_iter()
            .find(|backend| backend.name() == name);
        let Some(backend) = backend else {
            return Err(BackendError::Unavailable {
                server: name.into(),
                reason: "no backend of this name".to_owned(),
            });
        };
        self.refresh_one(&backend).await
    }

    async fn refresh_one(&self, backend: &Arc<dyn Backend>) -> Result<(), BackendError> {
        let (offer, result) = match backend.offer().await {
            Ok(offer) => (Some(offer), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let fault = result.as_ref().err().map(BackendError::to_string);
        self.put_offer(backend.name(), offer, fault);
        result
    }

    /// Notes that a backend is away, because of `reason`, until it is next refreshed.
    pub fn mark_down(&self, name: &str, reason: impl Into<String>) {
        self.put_offer(name, None, Some(reason.into()));
    }

    fn put_offer(&self, name: &str, offer: Option<Offer>, fault: Option<String>) {
        let change = self.mounts(|mounts| {
            let Some(mount) = mounts.iter_mut().find(|mount| mount.backend.name() == name) else {
                return CatalogueChange::default();
            };
            mount.fault = fault;
            let Some(offer) = offer else {
                return CatalogueChange::default();
            };
            mount.offer = Some(offer);
            // Built under the lock of the mounts, so that two refreshes cannot swap out of order.
            let before = self.catalogue();
            let after = Arc::new(build_catalogue(before.version() + 1, mounts));
            let change = before.change_to(&after);
            *self
                .inner
                .catalogue
                .write()
                .unwrap_or_else(PoisonError::into_inner) = after;
            change
        });
        if change.any() {
            self.inner.tell(&GatewayEvent::CatalogueChanged(change));
        }
    }

    /// Says that requests which are given up from now on are given up by the gateway, not by their
    /// clients: audit events will say so.
    pub fn mark_stopped(&self) {
        self.inner.stopped.store(true, Ordering::Relaxed);
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

    fn mounts<R>(&self, work: impl FnOnce(&mut Vec<Mount>) -> R) -> R {
        work(
            &mut self
                .inner
                .mounts
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

#[cfg(test)]
mod input_tests;
#[cfg(test)]
mod tests;
