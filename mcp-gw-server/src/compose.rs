//! The composition root: one configuration becomes one running gateway.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use mcp_gw_core::{
    AuditSink, Backend, BackendStatus, BoxError, BuildError, Clock, Endpoint, Feature, Gateway,
    GatewayBuilder, GatewayListener, Glob, Mounting, SystemClock, TracingAudit,
};
use mcp_gw_policy::{PolicyEngine, PolicyFaults};
use mcp_gw_ratelimit::Limiter;
use mcp_gw_upstream::{
    Balanced, ClientInfo, HttpServer, HttpServerConfig, Replica, StdioServer, StdioServerConfig,
    Vet,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
#[cfg(feature = "management")]
use tokio_util::task::AbortOnDropHandle;

use crate::access::Rules;
use crate::admin;
use crate::authn::{Callers, Fault, Inbound};
use crate::config::LONGEST_CALL;
use crate::config::{
    Config, EndpointConfig, InputKind, KeyError, SecretError, ServerConfig, ServerTarget,
    SessionKeyError, origin,
};
use crate::engine::{Engine, EngineConfig, InputLimits};
#[cfg(feature = "management")]
use crate::identity::{Management, end_strangers};
use crate::limits::{Limits, tell_of_limits};
use crate::metrics::{Live, Metrics, Registration};
use crate::pins::{Guards, PinWatch, PinsError};
#[cfg(feature = "management")]
use crate::quotas::{KeptQuotas, StoreLedger};
use crate::reshape::Reshape;
use crate::rest;
use crate::supervise::Supervisor;
use crate::survey::idle_rules;
use crate::survey::renamed::NameWatch;
use crate::swap::Swap;
use crate::wrap::{CallLimit, Deadline};

/// What a gateway needs beside its configuration.
#[derive(Default)]
#[must_use]
pub struct Launch {
    env: Vec<(OsString, OsString)>,
    sinks: Vec<Arc<dyn AuditSink>>,
    backends: Vec<Box<dyn FnOnce(GatewayBuilder) -> GatewayBuilder>>,
    grace: Option<Duration>,
    metrics: Option<Metrics>,
    #[cfg(feature = "management")]
    management: Option<Management>,
}

impl std::fmt::Debug for Launch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launch")
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

impl Launch {
    /// A launch with nothing beside the configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the environment that this process runs in. Child processes get of it what they need to
    /// run at all, and what the configuration of their server names; no credentials by accident.
    pub fn with_env(mut self, env: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.env = env.into_iter().collect();
        self
    }

    /// Adds an audit sink; without one, events go to `tracing`.
    pub fn with_audit(mut self, sink: impl AuditSink) -> Self {
        self.sinks.push(Arc::new(sink));
        self
    }

    /// Adds a backend that the configuration does not name.
    pub fn with_backend(mut self, backend: impl Backend) -> Self {
        self.backends
            .push(Box::new(move |builder| builder.backend(backend)));
        self
    }

    /// Counts what happens in `metrics`, beside the audit log.
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Takes the users and keys of a database as callers, beside those of the configuration: what
    /// `config.management` names, opened with [`Management::open`].
    #[cfg(feature = "management")]
    pub fn with_management(mut self, management: Management) -> Self {
        self.management = Some(management);
        self
    }

    /// Sets how long a child process may take to leave once its input is closed.
    pub const fn with_child_grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Builds the gateway of `config` and begins to look after its servers, in the current tokio
    /// runtime. It does not wait for them: see [`Running::ready`].
    ///
    /// # Errors
    /// When a part cannot be made. A configuration that was loaded and checked has no such fault,
    /// unless a file that it names changed since.
    pub fn start(self, config: &Config) -> Result<Running, LaunchError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let callers = Callers::of(config, None, &clock)?;
        #[cfg(feature = "management")]
        let callers = {
            let management = self.management.as_ref();
            callers.with_stored(config, management.map(Management::identity))
        };
        callers.prefetch();
        let callers = Swap::new(callers);
        let rules = Arc::new(Rules::of(config).map_err(LaunchError::Policy)?);
        let names = Arc::new(NameWatch::new(&config.policy));
        let limits = Limits::new(&config.limits)?;
        tell_of_limits(config);
        let mut builder = Gateway::builder()
            .authenticator(callers.clone())
            .policy(Arc::clone(&rules))
            .rate_limiter(limits.limiter.clone());
        builder = audited(builder, self.sinks, self.metrics.as_ref());
        #[cfg(feature = "management")]
        if let Some(audit) = self.management.as_ref().and_then(Management::audit) {
            builder = builder.audit(audit.clone());
        }
        for add in self.backends {
            builder = add(builder);
        }
        let maker = Maker {
            env: self.env,
            grace: self.grace,
            made: Made::default(),
            call_limit: CallLimit::new(config.call_timeout.get()),
        };
        #[cfg(not(feature = "management"))]
        let guards = Guards::of(config);
        #[cfg(feature = "management")]
        let guards = Guards::stored(config, self.management.as_ref().map(Management::store));
        let guards = guards.map_err(LaunchError::Pins)?;
        builder = maker.mounted(builder, config, &guards, &clock)?;
        let gateway = builder.build().map_err(LaunchError::Build)?;
        gateway.listen(Arc::clone(&names) as Arc<dyn GatewayListener>);
        let all = gateway.backends();
        let backends = all.iter().map(|backend| backend.name().to_owned());
        let engine = Engine::with_clock(gateway, engine_config(config)?, Arc::clone(&clock));
        let live = |metrics: &Metrics| {
            let policy = rules.engine().clone();
            let live = Live::new(&engine, maker.made.clone());
            [
                metrics.register(live),
                metrics.register(limits.clone()),
                metrics.register(policy),
            ]
        };
        let metrics = self.metrics.as_ref().map(live);
        #[cfg(feature = "management")]
        let quotas = self.management.as_ref().map(|management| {
            let ledger = StoreLedger::new(Arc::clone(management.store()));
            limits.keep_quotas(ledger)
        });
        #[cfg(feature = "management")]
        let watched = self.management.as_ref().map(|management| {
            let identity = management.identity().clone();
            AbortOnDropHandle::new(tokio::spawn(end_strangers(engine.clone(), identity)))
        });
        let parts = Parts {
            config: config.clone(),
            extra: backends
                .filter(|name| !config.servers.contains_key(name))
                .filter(|name| !rest::names(config).any(|api| api == name))
                .collect(),
            maker,
            supervisor: Supervisor::start(engine.gateway()),
            pins: guards.watch(),
            guards,
            leaving: JoinSet::new(),
            ending: CancellationToken::new(),
            #[cfg(feature = "management")]
            stored: crate::stored::StoredServers::new(),
            #[cfg(feature = "management")]
            reloads: tokio::sync::watch::Sender::new(0),
            #[cfg(feature = "management")]
            is_closed: false,
        };
        Ok(Running {
            #[cfg(feature = "management")]
            watched,
            #[cfg(feature = "management")]
            quotas,
            #[cfg(feature = "management")]
            management: self.management,
            metrics,
            engine,
            callers,
            clock,
            rules,
            names,
            limits,
            parts: Arc::new(tokio::sync::Mutex::new(parts)),
        })
    }
}

/// What hears of each request: the log, unless others are named, and what counts them.
fn audited(
    mut builder: GatewayBuilder,
    sinks: Vec<Arc<dyn AuditSink>>,
    metrics: Option<&Metrics>,
) -> GatewayBuilder {
    if sinks.is_empty() {
        builder = builder.audit(TracingAudit::new());
    }
    for sink in sinks {
        builder = builder.audit(sink);
    }
    match metrics {
        Some(metrics) => builder.audit(metrics.clone()),
        None => builder,
    }
}

/// The servers that were made last under each name, for who wants to know how they are doing.
#[derive(Clone, Default)]
pub(crate) struct Made(Arc<Mutex<BTreeMap<String, Weak<Balanced>>>>);

impl Made {
    fn put(&self, name: &str, server: &Arc<Balanced>) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|_, server| server.strong_count() > 0);
        made.insert(name.to_owned(), Arc::downgrade(server));
    }

    /// All that are there still.
    pub(crate) fn all(&self) -> Vec<(String, Arc<Balanced>)> {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = made.iter();
        all.filter_map(|(name, server)| Some((name.clone(), server.upgrade()?)))
            .collect()
    }
}

/// Makes backends as the configuration describes them.
pub(crate) struct Maker {
    env: Vec<(OsString, OsString)>,
    grace: Option<Duration>,
    made: Made,
    pub(crate) call_limit: CallLimit,
}

impl Maker {
    /// What is made for REST APIs, with the bound on calls around it.
    pub(crate) fn api(&self, made: rest::Made) -> (Deadline<Arc<dyn Backend>>, Mounting) {
        let limit = self.call_limit.clone();
        (
            Deadline::new(made.backend, limit, made.longest),
            made.mounting,
        )
    }

    /// All that the configuration puts behind a gateway, and its endpoints.
    fn mounted(
        &self,
        mut builder: GatewayBuilder,
        config: &Config,
        guards: &Guards,
        clock: &Arc<dyn Clock>,
    ) -> Result<GatewayBuilder, LaunchError> {
        for (name, server) in &config.servers {
            let backend = self.backend(config, (name, server), guards)?;
            builder = builder.mount(backend, config.mounting(name, server));
        }
        for made in rest::backends(config, clock).map_err(LaunchError::of_api)? {
            let (backend, mounting) = self.api(made);
            builder = builder.mount(backend, mounting);
        }
        for (name, endpoint) in &config.endpoints {
            builder = builder.endpoint(endpoint_of(name, endpoint));
        }
        Ok(builder)
    }

    /// A server of which nothing is in the configuration, with the bound on calls around it.
    #[cfg(feature = "management")]
    pub(crate) fn limited(&self, backend: Arc<dyn Backend>) -> Deadline<Arc<dyn Backend>> {
        Deadline::new(backend, self.call_limit.clone(), Duration::ZERO)
    }

    /// What child processes get.
    #[cfg(feature = "management")]
    pub(crate) fn children(&self) -> crate::stored::Children {
        crate::stored::Children {
            env: self.env.clone(),
            grace: self.grace,
        }
    }

    /// One server with everything that is put around it.
    pub(crate) fn backend(
        &self,
        config: &Config,
        (name, server): (&str, &ServerConfig),
        guards: &Guards,
    ) -> Result<Deadline<Arc<dyn Backend>>, LaunchError> {
        // Pins judge what the server itself says, whatever clients are shown of it.
        // What is around it says how long a call may take, and may say something else later.
        let guard = guards.guard(name, config, server);
        let place = Place {
            name,
            base_env: &self.env,
            grace: self.grace,
            longest: LONGEST_CALL.get(),
            vet: guard.clone().map(|guard| guard as Arc<dyn Vet>),
        };
        let bare = place.balanced(config, server)?;
        self.made.put(name, &bare);
        let mut backend: Arc<dyn Backend> = bare;
        if let Some(guard) = guard {
            backend = guard.around(backend);
        }
        if !server.tools.is_empty() {
            backend = Arc::new(Reshape::new(backend, &server.tools));
        }
        let limit = self.call_limit.clone();
        Ok(Deadline::new(backend, limit, server.timeout.get()))
    }
}

pub(crate) fn endpoint_of(name: &str, config: &EndpointConfig) -> Endpoint {
    // A checked configuration has no pattern that cannot be read.
    let globs = |patterns: &[String]| -> Vec<Glob> {
        let globs = patterns.iter().filter_map(|glob| Glob::parse(glob));
        globs.collect()
    };
    let servers = config.servers.clone();
    let tools = globs(&config.tools);
    let prompts = globs(&config.prompts);
    let resources = globs(&config.resources);
    let shows = move |feature: Feature, name: &str, server: &str| {
        let patterns = match feature {
            Feature::Tool => &tools,
            Feature::Prompt => &prompts,
            Feature::Resource | Feature::ResourceTemplate => &resources,
            _ => return false,
        };
        servers.iter().any(|all| all == server) || patterns.iter().any(|glob| glob.matches(name))
    };
    Endpoint::new(name, shows).with_instructions(config.instructions.clone())
}

fn engine_config(config: &Config) -> Result<EngineConfig, LaunchError> {
    let sessions = &config.http.sessions;
    let seal = sessions.seal(&config.http.path);
    let seal = seal.map_err(|source| LaunchError::SessionKey { source })?;
    let allowed = &config.input.allow;
    let withheld = InputKind::ALL.into_iter();
    let withheld = withheld.filter(|kind| !allowed.contains(kind));
    Ok(EngineConfig::default()
        .with_withheld(withheld.map(InputKind::capability).collect())
        .with_identity(
            config.name.as_str(),
            config
                .version
                .as_deref()
                .unwrap_or(env!("CARGO_PKG_VERSION")),
        )
        .with_instructions(config.instructions.clone())
        .with_sessions(sessions.limits())
        .with_input(InputLimits::new(
            config.input.timeout.get(),
            count(config.input.max_per_caller),
            count(config.input.max_total),
        ))
        .with_seal(seal))
}

/// The backend of one server of `config`, over all of its replicas; no request takes longer than
/// `longest`, or than the server's own `timeout`.
///
/// # Errors
/// When it cannot be made.
#[cfg(feature = "cli")]
pub(crate) fn bare_backend(
    config: &Config,
    (name, server): (&str, &ServerConfig),
    env: &[(OsString, OsString)],
    grace: Option<Duration>,
    longest: Duration,
) -> Result<Arc<Balanced>, LaunchError> {
    let place = Place {
        name,
        base_env: env,
        grace,
        longest,
        vet: None,
    };
    place.balanced(config, server)
}

pub(crate) fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Where the places of one server are made.
struct Place<'a> {
    name: &'a str,
    base_env: &'a [(OsString, OsString)],
    grace: Option<Duration>,
    longest: Duration,
    /// Looks at each connection.
    vet: Option<Arc<dyn Vet>>,
}

impl Place<'_> {
    /// One backend over all replicas of the server.
    fn balanced(
        &self,
        config: &Config,
        server: &ServerConfig,
    ) -> Result<Arc<Balanced>, LaunchError> {
        let balancing = server.balancing(self.name, config.call_timeout);
        let replicas = self.replicas(server)?;
        let balanced = Balanced::new(balancing, replicas, Arc::new(SystemClock::new()));
        Ok(Arc::new(balanced.map_err(|source| self.fault(source))?))
    }

    fn fault(&self, source: mcp_gw_upstream::Error) -> LaunchError {
        LaunchError::Upstream {
            name: self.name.to_owned(),
            source,
        }
    }

    /// Every place where the server runs, known in logs by its number and origin.
    fn replicas(&self, server: &ServerConfig) -> Result<Vec<Replica>, LaunchError> {
        let targets = server.targets();
        if targets.is_empty() {
            return Err(LaunchError::Server {
                name: self.name.to_owned(),
            });
        }
        let weights = server.replicas.iter().map(|replica| replica.weight);
        targets
            .into_iter()
            .zip(weights.chain(std::iter::repeat(1)))
            .zip(1..)
            .map(|((target, weight), number)| {
                let (label, key) = match &target {
                    ServerTarget::Http { url, .. } => {
                        (format!("{number}: {}", origin(url)), url.clone())
                    }
                    ServerTarget::Stdio { .. } | ServerTarget::AdminApi { .. } => {
                        (number.to_string(), number.to_string())
                    }
                };
                let replica = Replica::new(label, self.backend(target)?);
                Ok(replica.with_key(key).with_weight(weight))
            })
            .collect()
    }

    fn backend(&self, target: ServerTarget) -> Result<Arc<dyn Backend>, LaunchError> {
        let (name, longest) = (self.name, self.longest);
        let identity = ClientInfo::new("mcp-gw", env!("CARGO_PKG_VERSION"));
        let fault = |source| self.fault(source);
        Ok(match target {
            ServerTarget::Http {
                url,
                headers,
                connect_timeout,
                timeout,
                max_connections,
                max_connections_per_caller,
                idle_timeout,
            } => {
                let mut config = HttpServerConfig::new(name, url)
                    .with_client_info(identity)
                    .with_connect_timeout(connect_timeout)
                    .with_timeout(timeout)
                    .with_max_total_timeout(longest.max(timeout))
                    .with_max_connections(count(max_connections))
                    .with_max_connections_per_caller(max_connections_per_caller.map(count))
                    .with_idle_timeout(idle_timeout)
                    .with_vet(self.vet.clone());
                for (header, value) in headers {
                    config = config.with_header(header, value);
                }
                Arc::new(HttpServer::new(&config).map_err(fault)?)
            }
            ServerTarget::Stdio {
                command,
                args,
                env,
                cwd,
                start_timeout,
                timeout,
                max_connections,
                max_connections_per_caller,
                idle_timeout,
            } => {
                let mut config = StdioServerConfig::new(name, command)
                    .with_args(args)
                    .with_inherited_env(self.base_env.iter().cloned())
                    .with_client_info(identity)
                    .with_start_timeout(start_timeout)
                    .with_timeout(timeout)
                    .with_max_total_timeout(longest.max(timeout))
                    .with_max_connections(count(max_connections))
                    .with_max_connections_per_caller(max_connections_per_caller.map(count))
                    .with_idle_timeout(idle_timeout)
                    .with_vet(self.vet.clone());
                for (variable, value) in env {
                    config = config.with_env(variable, value);
                }
                if let Some(cwd) = cwd {
                    config = config.with_cwd(cwd);
                }
                if let Some(grace) = self.grace {
                    config = config.with_grace(grace);
                }
                Arc::new(StdioServer::new(&config).map_err(fault)?)
            }
            ServerTarget::AdminApi { api, timeout } => {
                return admin::tools(name, &api, timeout).map_err(|source| LaunchError::Tools {
                    name: name.to_owned(),
                    source,
                });
            }
        })
    }
}

/// Why a gateway could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// A key cannot be had.
    #[error("the key of caller `{id}` cannot be used")]
    Key {
        /// The caller.
        id: String,
        /// What is wrong.
        source: KeyError,
    },
    /// A key that seals session ids cannot be had.
    #[error("a key in `http.sessions.keys` cannot be used")]
    SessionKey {
        /// What is wrong.
        source: SessionKeyError,
    },
    /// A server is nowhere.
    #[error("server `{name}` has neither `command` nor `url` nor an admin API")]
    Server {
        /// The server.
        name: String,
    },
    /// A server cannot be set up.
    #[error("server `{name}` cannot be set up")]
    Upstream {
        /// The server.
        name: String,
        /// What is wrong.
        source: mcp_gw_upstream::Error,
    },
    /// A secret that tokens or requests are signed with cannot be had, or the keys of a file.
    #[error("{path} cannot be used")]
    Secret {
        /// Where it is in the configuration.
        path: String,
        /// What is wrong with it.
        source: SecretError,
    },
    /// The policy is not valid.
    #[error("the policy cannot be used")]
    Policy(#[source] PolicyFaults),
    /// The tools of an admin API cannot be made.
    #[error("the tools of server `{name}` cannot be made")]
    Tools {
        /// The server.
        name: String,
        /// What is wrong.
        source: BoxError,
    },
    /// A REST API cannot be set up.
    #[error("the API `{name}` cannot be set up")]
    Api {
        /// The API.
        name: String,
        /// What is wrong.
        source: BoxError,
    },
    /// The limits make no sense.
    #[error("limits cannot be kept: {0}")]
    Limits(String),
    /// There are pins that cannot be used, and a server that must not be shown without them.
    #[error("servers cannot be held to their pins")]
    Pins(#[source] PinsError),
    /// The parts do not fit together.
    #[error("the gateway cannot be built")]
    Build(#[source] BuildError),
    /// A gateway that runs, and lets nobody in without a key, is to let everybody in.
    #[error(
        "whether callers need a key cannot change while the gateway runs: restart it, or leave a \
         key in `auth.api_keys` and `anonymous` out"
    )]
    Unkeyed,
    /// The gateway was shut down.
    #[cfg(feature = "management")]
    #[error("the gateway was shut down")]
    Closed,
}

impl From<Fault> for LaunchError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Key(id, source) => Self::Key { id, source },
            Fault::Secret(path, source) => Self::Secret { path, source },
        }
    }
}

/// A gateway whose servers are looked after. Call [`Running::shutdown`] at the end.
pub struct Running {
    /// Ends what belongs to users and keys that are no more.
    #[cfg(feature = "management")]
    watched: Option<AbortOnDropHandle<()>>,
    /// Keeps in the database what is used of quotas.
    #[cfg(feature = "management")]
    quotas: Option<KeptQuotas>,
    #[cfg(feature = "management")]
    management: Option<Management>,
    /// That its state is read as long as it is there.
    metrics: Option<[Registration; 3]>,
    engine: Engine,
    pub(crate) callers: Swap<Callers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) names: Arc<NameWatch>,
    pub(crate) limits: Limits,
    pub(crate) parts: Arc<tokio::sync::Mutex<Parts>>,
}

/// What is only looked at when something changes.
pub(crate) struct Parts {
    /// What is in force.
    pub(crate) config: Config,
    /// Backends that the configuration does not name.
    pub(crate) extra: Vec<String>,
    pub(crate) maker: Maker,
    pub(crate) supervisor: Supervisor,
    pub(crate) guards: Guards,
    pub(crate) pins: PinWatch,
    /// Backends that went and have calls under way.
    pub(crate) leaving: JoinSet<()>,
    /// They are not waited for any more.
    pub(crate) ending: CancellationToken,
    /// Servers behind the gateway that the configuration does not name, and that come and go.
    #[cfg(feature = "management")]
    pub(crate) stored: crate::stored::StoredServers,
    /// How often the configuration was replaced.
    #[cfg(feature = "management")]
    pub(crate) reloads: tokio::sync::watch::Sender<u64>,
    /// Nothing comes any more.
    #[cfg(feature = "management")]
    pub(crate) is_closed: bool,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// The engine, to be served.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The gateway behind the engine.
    pub fn gateway(&self) -> &Gateway {
        self.engine.gateway()
    }

    /// What an HTTP endpoint must know of authentication before it asks the gateway.
    pub fn inbound(&self) -> Inbound {
        Inbound::new(self.callers.clone())
    }

    /// The users, keys and servers in a database, if there are any.
    #[cfg(feature = "management")]
    pub const fn management(&self) -> Option<&Management> {
        self.management.as_ref()
    }

    /// True when requests are counted.
    pub(crate) const fn has_metrics(&self) -> bool {
        self.metrics.is_some()
    }

    /// The configuration that is in force.
    pub async fn config(&self) -> Config {
        self.parts.lock().await.config.clone()
    }

    /// The policy engine: what it has in force, and what it did so far. A clone is another handle to
    /// the same engine, which stays when the configuration is replaced.
    pub fn policy(&self) -> &PolicyEngine {
        self.rules.engine()
    }

    /// The limits that are in force, to be shown and counted.
    pub fn limiter(&self) -> Arc<Limiter> {
        self.limits.limiter.now()
    }

    /// How the limits do, in one line for people; `None` where they are counted in this process. For
    /// programs there is `gateway().limiter_health()`.
    pub fn limits_line(&self) -> Option<String> {
        self.limits.line()
    }

    /// Waits until every server of the configuration was asked for its offer once, but no longer than
    /// `limit`, and says how they are doing. Those that are not up are asked again in the background.
    /// Registered servers are waited for a moment if they were well when they were last asked. A Redis
    /// that limits are counted in is connected to meanwhile.
    pub async fn ready(&self, limit: Duration) -> Vec<BackendStatus> {
        let asked = async { self.parts.lock().await.supervisor.asked_once().await };
        let both = async { tokio::join!(asked, self.limits.connect()) };
        let _ = tokio::time::timeout(limit, both).await;
        let (mut status, parts) = (self.gateway().status(), self.parts.lock().await);
        status.retain(|server| parts.supervisor.awaits(&server.name));
        status
    }

    /// The items about which no rule can be asked, and the rules of the configuration that match
    /// nothing there is: one sentence for each. As long as
    /// a server is not up whose items they may mean, only those that refuse what is called something
    /// else by now.
    pub async fn idle_rules(&self) -> Vec<String> {
        let parts = self.parts.lock().await;
        let limits = self.limits.limiter.now();
        idle_rules(self.gateway(), &parts.config, limits.set())
    }

    /// Stops looking after the servers, and ends connections and child processes.
    pub async fn shutdown(self) {
        drop(self.metrics);
        #[cfg(feature = "management")]
        drop(self.watched);
        let mut parts = self.parts.lock().await;
        #[cfg(feature = "management")]
        {
            parts.is_closed = true;
        }
        parts.pins.stop().await;
        parts.supervisor.stop().await;
        self.engine.gateway().close().await;
        // What went before may have calls under way still; their time is over, too.
        parts.ending.cancel();
        while parts.leaving.join_next().await.is_some() {}
        // Last: calls that ended a moment ago were made with keys, and counted.
        #[cfg(feature = "management")]
        if let Some(quotas) = self.quotas {
            quotas.end().await;
        }
        #[cfg(feature = "management")]
        if let Some(management) = &self.management {
            management.close().await;
        }
    }
}

impl LaunchError {
    pub(crate) fn of_api((name, fault): (String, rest::ApiFault)) -> Self {
        Self::Api {
            name,
            source: fault.into(),
        }
    }
}
