//! The MCP engine: what each request does, whatever carried it here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mcp_gw_core::{
    Caller, Catalogue, Clock, Feature, Gateway, GatewayError, Incoming, Instructions, JsonText,
    LogLevel, Members, ObjectWriter, RawJson, RequestMeta, Sight, SystemClock, code,
};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bridge::About;
use crate::client::{Client, Clients};
use crate::listen::Listeners;
use crate::news::{Ear, News};
use crate::operation::{Operation, write_cursor};
use crate::parked::Parking;
use crate::revision::Revision;
use crate::rewrite::{self, Hints};
use crate::rpc_error::{RpcError, modern_revisions};
use crate::session::{SessionLimits, SessionSeal, Sessions};
use crate::states::StateSeal;

/// Bounds for what servers ask of clients while a call runs: sampling, elicitation, roots.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct InputLimits {
    /// How long a client may take to answer.
    pub timeout: Duration,
    /// How many calls of one caller may wait for answers that come in a request of their own
    /// (2026-07-28). What is asked beyond that is refused, as if the client could not be asked.
    pub max_per_caller: usize,
    /// How many such calls there may be in all.
    pub max_total: usize,
}

impl Default for InputLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5 * 60),
            max_per_caller: 16,
            max_total: 1024,
        }
    }
}

impl InputLimits {
    /// These bounds.
    pub const fn new(timeout: Duration, max_per_caller: usize, max_total: usize) -> Self {
        Self {
            timeout,
            max_per_caller,
            max_total,
        }
    }
}

/// How the engine presents itself and what it bounds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EngineConfig {
    /// `serverInfo.name`.
    pub name: String,
    /// `serverInfo.version`.
    pub version: String,
    /// Instructions for the model; without, those of the servers behind.
    pub instructions: Option<String>,
    /// Items on one page of a list.
    pub page_size: usize,
    /// Bounds for sessions over HTTP.
    pub sessions: SessionLimits,
    /// Seals sessions into their ids; without it an id is good only here.
    pub seal: Option<SessionSeal>,
    /// How many requests of one session or connection may be open at once.
    pub max_in_flight: usize,
    /// Bounds for what servers ask of clients.
    pub input: InputLimits,
    /// A stream on which nothing happens carries a comment this often; an answer that takes longer
    /// becomes a stream.
    pub keep_alive: Duration,
    /// Client capabilities that servers are not told of, so that they do not ask: `sampling`,
    /// `elicitation`, `roots`.
    pub withheld: Vec<&'static str>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            name: "mcp-gw".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instructions: None,
            page_size: 1000,
            sessions: SessionLimits::default(),
            seal: None,
            max_in_flight: 1024,
            input: InputLimits::default(),
            keep_alive: Duration::from_secs(15),
            withheld: Vec::new(),
        }
    }
}

impl EngineConfig {
    /// Sets name and version that clients see.
    #[must_use]
    pub fn with_identity(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.name = name.into();
        self.version = version.into();
        self
    }

    /// Sets the instructions for the model.
    #[must_use]
    pub fn with_instructions(mut self, instructions: Option<String>) -> Self {
        self.instructions = instructions;
        self
    }

    /// Sets the number of items on one page of a list; at least one.
    #[must_use]
    pub fn with_page_size(mut self, page_size: usize) -> Self {
        self.page_size = page_size.max(1);
        self
    }

    /// Sets the bounds for sessions.
    #[must_use]
    pub const fn with_sessions(mut self, sessions: SessionLimits) -> Self {
        self.sessions = sessions;
        self
    }

    /// Sets what seals sessions into their ids, so that others who have its keys can serve them.
    #[must_use]
    pub fn with_seal(mut self, seal: Option<SessionSeal>) -> Self {
        self.seal = seal;
        self
    }

    /// Sets how many requests of one session or connection may be open; at least one.
    #[must_use]
    pub fn with_max_in_flight(mut self, max_in_flight: usize) -> Self {
        self.max_in_flight = max_in_flight.max(1);
        self
    }

    /// Sets the bounds for what servers ask of clients.
    #[must_use]
    pub const fn with_input(mut self, input: InputLimits) -> Self {
        self.input = input;
        self
    }

    /// Sets what servers may not ask clients for: names of client capabilities.
    #[must_use]
    pub fn with_withheld(mut self, withheld: Vec<&'static str>) -> Self {
        self.withheld = withheld;
        self
    }

    /// Sets how long a stream may be silent.
    #[must_use]
    pub const fn with_keep_alive(mut self, keep_alive: Duration) -> Self {
        self.keep_alive = keep_alive;
        self
    }
}

/// Speaks MCP for a [`Gateway`]: every supported revision, decided per request. A cheap clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
    /// The endpoint that requests come to; `None` is the main one.
    pub(crate) endpoint: Option<Arc<str>>,
}

pub(crate) struct Inner {
    pub(crate) gateway: Gateway,
    pub(crate) config: EngineConfig,
    pub(crate) sessions: Sessions,
    pub(crate) clients: Arc<Clients>,
    pub(crate) parking: Arc<Parking>,
    pub(crate) states: StateSeal,
    pub(crate) listeners: Listeners,
    pub(crate) news: News,
    /// How often other servers have come in the place of those there were.
    pub(crate) remounts: watch::Sender<u64>,
    pub(crate) stopping: CancellationToken,
    /// Cancelled before: what is open only to hear of something, or to be answered later, ends.
    pub(crate) closing: CancellationToken,
    /// Work that goes on although its client has gone away.
    pub(crate) detached: TaskTracker,
    /// The servers behind are not known yet.
    is_held: AtomicBool,
    /// A client was told of what there may be.
    has_promised: AtomicBool,
    opened: Notify,
    pub(crate) server_info: RawJson,
    request_prefix: String,
    requests: AtomicU64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("gateway", &self.inner.gateway)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// True while the servers behind are still starting.
    pub(crate) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Acquire)
    }
}

impl Engine {
    /// An engine for `gateway`.
    pub fn new(gateway: Gateway, config: EngineConfig) -> Self {
        Self::with_clock(gateway, config, Arc::new(SystemClock::new()))
    }

    /// An engine whose sessions age by `clock`.
    pub fn with_clock(gateway: Gateway, config: EngineConfig, clock: Arc<dyn Clock>) -> Self {
        let server_info = ObjectWriter::default()
            .string("name", &config.name)
            .string("version", &config.version)
            .finish();
        // Ids of two runs of the gateway should not be mistaken for each other in a log. Should
        // there be no randomness, the counter alone still tells requests apart.
        let mut prefix = [0_u8; 4];
        let _ = getrandom::fill(&mut prefix);
        let detached = TaskTracker::new();
        let withheld = config.withheld.clone();
        let clients = Clients::new(gateway.clone(), detached.clone(), withheld);
        let clients = Arc::new(clients);
        let welcome = Arc::clone(&clients);
        let welcome = Box::new(move |client| welcome.welcome(client));
        let inner = Arc::new(Inner {
            states: config
                .seal
                .as_ref()
                .map_or_else(StateSeal::random, SessionSeal::states),
            parking: Arc::new(Parking::new(config.input, Arc::clone(&clock))),
            sessions: Sessions::new(config.sessions, config.seal.clone(), clock, welcome),
            clients,
            listeners: Listeners::default(),
            news: News::new(gateway.policy_now()),
            remounts: watch::Sender::new(0),
            stopping: CancellationToken::new(),
            closing: CancellationToken::new(),
            detached,
            is_held: AtomicBool::new(false),
            has_promised: AtomicBool::new(false),
            opened: Notify::new(),
            server_info,
            request_prefix: format!("{:08x}", u32::from_ne_bytes(prefix)),
            requests: AtomicU64::new(0),
            gateway,
            config,
        });
        inner.gateway.listen(Arc::new(Ear(Arc::downgrade(&inner))));
        Self {
            inner,
            endpoint: None,
        }
    }

    /// The same engine for requests that come to another endpoint of the gateway; `None` when there
    /// is none of this name. Sessions, limits and what is under way are shared.
    #[must_use]
    pub fn at(&self, endpoint: &str) -> Option<Self> {
        self.gateway().has_endpoint(endpoint).then(|| Self {
            inner: Arc::clone(&self.inner),
            endpoint: Some(endpoint.into()),
        })
    }

    /// The endpoint that requests come to; `None` is the main one.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The gateway behind.
    pub fn gateway(&self) -> &Gateway {
        &self.inner.gateway
    }

    /// How the engine was configured.
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    /// Lets requests that need the servers behind wait until [`Engine::open`]: the servers are
    /// still starting. A client that begins meanwhile is answered after a moment in any case, and
    /// told of everything that the servers may turn out to have.
    pub fn hold(&self) {
        self.inner.is_held.store(true, Ordering::Release);
    }

    /// Ends [`Engine::hold`].
    pub fn open(&self) {
        self.inner.is_held.store(false, Ordering::Release);
        self.inner.opened.notify_waiters();
        if self.inner.has_promised.swap(false, Ordering::AcqRel) {
            let endpoints = self.gateway().endpoints();
            let inner = &self.inner;
            inner.news.all_lists(&endpoints, &Arc::downgrade(inner));
        }
    }

    /// Another policy is in force: those who see other lists by it are told. To be called whenever one
    /// has taken the place of another.
    pub(crate) fn rules_changed(&self) {
        let inner = &self.inner;
        let is_heard = !inner.is_held() && inner.has_audience();
        let engine = Arc::downgrade(inner);
        inner.news.rules_changed(self.gateway(), is_heard, &engine);
    }

    /// Ends the sessions and subscriptions of callers that `stays` does not name: they must show
    /// again who they are.
    pub(crate) fn end_callers(&self, stays: &dyn Fn(&Caller) -> bool) {
        self.inner.sessions.end_callers(stays);
        for listener in self.inner.listeners.all() {
            if !stays(&listener.incoming.caller) {
                listener.end();
            }
        }
    }

    /// Ends sessions and subscriptions whose callers came with something that has come to its end: sessions
    /// go on with what their client has shown last.
    #[cfg(feature = "management")]
    pub(crate) fn end_over(&self, is_over: &dyn Fn(&Caller) -> bool) {
        let sessions = &self.inner.sessions;
        sessions.end_others(&|client| !is_over(&client.voucher()));
        for listener in self.inner.listeners.all() {
            if is_over(&listener.incoming.caller) {
                listener.end();
            }
        }
    }

    /// Waits until the servers behind are known, or the end is near.
    pub(crate) async fn opened(&self) {
        let opened = self.inner.opened.notified();
        if self.inner.is_held() {
            tokio::select! {
                () = opened => {}
                () = self.inner.closing.cancelled() => {}
            }
        }
    }

    /// Says that the end is near: streams that have no end of their own, on which clients only
    /// listen, are ended, and calls that wait for a client to come back are given up; open requests
    /// go on. What is given up by this is audited as `stopped`. A server that waits for open requests
    /// to end calls this first.
    pub fn wind_down(&self) {
        self.gateway().mark_stopped();
        self.inner.closing.cancel();
    }

    /// Answers every open request with an error, and every later one. What is given up by this is
    /// audited as `stopped`.
    pub fn stop(&self) {
        self.wind_down();
        self.inner.stopping.cancel();
    }

    /// Waits until no work goes on whose client has gone away. Clients of revisions before
    /// 2026-07-28 do not cancel by going away.
    pub async fn idle(&self) {
        self.inner.detached.close();
        self.inner.detached.wait().await;
    }

    /// An id for a request, unique in this run.
    pub fn next_request_id(&self) -> String {
        let number = self.inner.requests.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number:06x}", self.inner.request_prefix)
    }

    /// Charges a request of `caller` that is none this gateway could begin, so that nobody may send
    /// those without an end.
    pub(crate) async fn charge_invalid(
        &self,
        caller: &Arc<Caller>,
        meta: RequestMeta,
    ) -> Result<(), RpcError> {
        let incoming = Incoming::new(Arc::clone(caller), meta);
        match self.gateway().charge(&incoming, INVALID).await {
            Ok(()) => Ok(()),
            Err(error) => RpcError::told(&error, About::Other, Revision::NEWEST).map(drop),
        }
    }

    /// Does what a request asks for; the result is as a client of `revision` expects it.
    pub(crate) async fn execute(
        &self,
        operation: Operation,
        incoming: &Incoming,
        revision: Revision,
        client: Option<&Arc<Client>>,
    ) -> Result<RawJson, RpcError> {
        let about = operation.about();
        if let Some(method) = operation.charged_here() {
            let charged = self.gateway().charge(incoming, method).await;
            if let Err(error) = charged {
                return RpcError::told(&error, about, revision);
            }
        }
        match &operation {
            Operation::Ping => {}
            // Whoever waits for the handshake should know that somebody is there.
            Operation::Initialize { .. } | Operation::Discover | Operation::SetLevel(_) => {
                let _ = tokio::time::timeout(HANDSHAKE, self.opened()).await;
                if self.inner.is_held() {
                    self.inner.has_promised.store(true, Ordering::Release);
                }
            }
            _ => self.opened().await,
        }
        let answer = match operation {
            Operation::Ping => return Ok(RawJson::empty_object()),
            Operation::Initialize { asked } => {
                return Ok(self
                    .initialized(Revision::negotiate(&asked), incoming)
                    .await);
            }
            Operation::SetLevel(level) => return self.set_level(incoming, client, level).await,
            Operation::Discover => Ok((self.discovered(incoming).await, Hints::Private)),
            Operation::List { feature, after } => {
                if let Some(client) = client {
                    client.lists_as(&incoming.caller);
                }
                match self.list(incoming, feature, after, revision).await {
                    // Written here as the client's revision has it: nothing of it needs to be read again.
                    Ok(list) => return Ok(list),
                    Err(error) => Err(error),
                }
            }
            operation => self.relay(operation, incoming, client).await,
        };
        let (answer, hints) = match answer {
            // Its server speaks as the client does, and nothing is between them.
            Ok((answer, _)) if incoming.link.is_plain() => return Ok(rewrite::plain(answer)),
            Ok(answer) => answer,
            Err(error) => (RpcError::told(&error, about, revision)?, Hints::None),
        };
        rewrite::result(answer, revision, hints, &self.inner.server_info).map_err(|reason| {
            RpcError::new(
                code::UPSTREAM_INVALID,
                &format!("The server's answer cannot be told to this client: {reason}."),
            )
        })
    }

    /// What goes down the road of the gateway.
    async fn relay(
        &self,
        operation: Operation,
        incoming: &Incoming,
        client: Option<&Arc<Client>>,
    ) -> Result<(RawJson, Hints), GatewayError> {
        let gateway = self.gateway();
        let nothing = |()| RawJson::empty_object();
        Ok(match operation {
            Operation::CallTool(call) => {
                let output = gateway.call_tool(incoming, call).await?;
                (output.into_raw(), Hints::None)
            }
            Operation::ReadResource(read) => {
                let hints = if gateway.is_uniform() {
                    Hints::Kept
                } else {
                    Hints::Private
                };
                (gateway.read_resource(incoming, read).await?, hints)
            }
            Operation::GetPrompt(get) => (gateway.get_prompt(incoming, get).await?, Hints::None),
            Operation::Complete(completion) => {
                (gateway.complete(incoming, completion).await?, Hints::None)
            }
            Operation::Task(ask) => (gateway.task(incoming, ask).await?, Hints::None),
            Operation::Subscribe(uri) => {
                let client = client.ok_or_else(no_client)?;
                let done = client.subscribed.add(gateway, incoming, &uri).await;
                (done.map(nothing)?, Hints::None)
            }
            Operation::Unsubscribe(uri) => {
                let client = client.ok_or_else(no_client)?;
                let done = client.subscribed.remove(gateway, incoming, &uri).await;
                (done.map(nothing)?, Hints::None)
            }
            // Answered before it comes to this.
            Operation::Ping
            | Operation::Initialize { .. }
            | Operation::Discover
            | Operation::List { .. }
            | Operation::SetLevel(_)
            | Operation::Listen(_) => return Err(no_client()),
        })
    }

    /// `logging/setLevel`: for clients that were told of the capability.
    async fn set_level(
        &self,
        incoming: &Incoming,
        client: Option<&Arc<Client>>,
        level: LogLevel,
    ) -> Result<RawJson, RpcError> {
        let sight = self.gateway().sight(incoming).await;
        let catalogue = self.gateway().catalogue_at(self.endpoint());
        match client {
            Some(client) if self.inner.is_held() || Abilities::of(&catalogue, &sight).logging => {
                client.set_log_level(level);
                Ok(RawJson::empty_object())
            }
            _ => Err(RpcError::method_not_found(
                "logging/setLevel",
                Revision::NEWEST_LEGACY,
            )),
        }
    }

    async fn list(
        &self,
        incoming: &Incoming,
        feature: Feature,
        after: Option<String>,
        revision: Revision,
    ) -> Result<RawJson, GatewayError> {
        let limit = self.inner.config.page_size;
        let page = self
            .gateway()
            .list(incoming, feature, after.as_deref(), limit)
            .await?;
        let member = match feature {
            Feature::Resource => "resources",
            Feature::ResourceTemplate => "resourceTemplates",
            Feature::Prompt => "prompts",
            _ => "tools",
        };
        let size = page.array.len();
        let writer = if revision.is_modern() {
            rewrite::list_head(size, page.hint, &self.inner.server_info)
        } else {
            ObjectWriter::with_capacity(size + 128)
        };
        let mut writer = writer.raw(member, &page.array);
        if let Some(key) = page.next_after {
            writer = writer.string("nextCursor", &write_cursor(&key));
        }
        Ok(writer.finish())
    }

    async fn initialized(&self, revision: Revision, incoming: &Incoming) -> RawJson {
        let sight = self.gateway().sight(incoming).await;
        let writer = ObjectWriter::with_capacity(512)
            .string("protocolVersion", revision.as_str())
            .raw("capabilities", &self.capabilities(&sight, revision))
            .raw("serverInfo", &self.inner.server_info);
        self.with_instructions(writer, &sight).finish()
    }

    async fn discovered(&self, incoming: &Incoming) -> RawJson {
        let sight = self.gateway().sight(incoming).await;
        let versions: Vec<RawJson> = modern_revisions()
            .map(|revision| RawJson::string(revision.as_str()))
            .collect();
        let writer = ObjectWriter::with_capacity(512)
            .array("supportedVersions", &versions)
            .raw("capabilities", &self.capabilities(&sight, Revision::NEWEST));
        self.with_instructions(writer, &sight).finish()
    }

    /// The instructions that are configured for the endpoint, or those of the servers of which the
    /// caller may see something: what a server says may name what it has.
    fn with_instructions(&self, writer: ObjectWriter, sight: &Sight) -> ObjectWriter {
        let catalogue = self.gateway().catalogue_at(self.endpoint());
        let own = match &self.inner.config.instructions {
            Some(instructions) if catalogue.is_main() => Some(instructions.as_str()),
            _ => catalogue.own_instructions(),
        };
        if let Some(instructions) = own {
            return writer.string("instructions", instructions);
        }
        let mut parts: Vec<_> = catalogue
            .instructions()
            .filter(|said| sight.servers.contains(said.server))
            .collect();
        let several = catalogue.is_shared();
        match (parts.len(), several) {
            (0, _) => writer,
            (1, false) if parts.iter().all(|said| said.renamed.is_empty()) => {
                writer.string("instructions", &parts.remove(0).text)
            }
            // Each under its name, so that no server speaks for another.
            _ => {
                let texts: Vec<_> = parts.iter().map(under_its_name).collect();
                writer.string("instructions", &texts.join("\n\n"))
            }
        }
    }

    /// What the gateway can serve this caller now. Nothing is promised that it would not keep.
    fn capabilities(&self, sight: &Sight, revision: Revision) -> RawJson {
        // What is not known yet may turn out to be there; clients do not ask a second time.
        let is_held = self.inner.is_held();
        let has = |feature| is_held || sight.features.contains(&feature);
        let catalogue = self.gateway().catalogue_at(self.endpoint());
        let mut abilities = Abilities::of(&catalogue, sight);
        abilities.logging |= is_held;
        abilities.subscribe |= is_held;
        let nothing = RawJson::empty_object();
        let changes = || ObjectWriter::default().boolean("listChanged", true);
        let mut writer = ObjectWriter::default().raw("tools", &changes().finish());
        if has(Feature::Prompt) {
            writer = writer.raw("prompts", &changes().finish());
        }
        if has(Feature::Resource) || has(Feature::ResourceTemplate) {
            let mut resources = changes();
            if abilities.subscribe {
                resources = resources.boolean("subscribe", true);
            }
            writer = writer.raw("resources", &resources.finish());
        }
        let has_arguments = has(Feature::Prompt) || has(Feature::ResourceTemplate);
        if has_arguments && (is_held || catalogue.has_completions()) {
            writer = writer.raw("completions", &nothing);
        }
        if abilities.logging {
            writer = writer.raw("logging", &nothing);
        }
        if revision.is_modern() && !abilities.extensions.is_empty() {
            let mut extensions = ObjectWriter::default();
            for (name, value) in &abilities.extensions {
                extensions = extensions.raw(name, value);
            }
            writer = writer.raw("extensions", &extensions.finish());
        }
        writer.finish()
    }
}

/// What a server says, with a note of what it names and is called differently here.
fn under_its_name(said: &Instructions<'_>) -> String {
    let Instructions { server, text, .. } = said;
    let names = said.renamed.iter();
    let names: Vec<_> = names
        .map(|(own, shown)| format!("`{own}` is `{shown}`"))
        .collect();
    if names.is_empty() {
        return format!("Server `{server}` says:\n{text}");
    }
    let names = names.join(", ");
    format!("Server `{server}` says (here {names}):\n{text}")
}

/// What a request that cannot be begun is charged as: its method may be anything.
const INVALID: &str = "invalid";

/// So long a handshake waits for servers that are starting.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// What the servers behind can do, of which a caller may see something.
#[derive(Default)]
struct Abilities {
    logging: bool,
    subscribe: bool,
    /// By name: what the first server says that has it.
    extensions: Vec<(String, RawJson)>,
}

impl Abilities {
    fn of(catalogue: &Catalogue, sight: &Sight) -> Self {
        let mut abilities = Self::default();
        let servers = catalogue.capabilities();
        for (_, capabilities) in servers.filter(|(server, _)| sight.servers.contains(*server)) {
            let Ok(members) = capabilities.members() else {
                continue;
            };
            let object = |name: &str| -> Members<'_> {
                let raw = members.get(name).map_or("{}", |raw| raw.get());
                serde_json::from_str(raw).unwrap_or_default()
            };
            abilities.logging |= members.get("logging").is_some();
            let subscribe = object("resources").get("subscribe").map(JsonText::get);
            abilities.subscribe |= subscribe == Some("true");
            for (name, value) in object("extensions").iter() {
                if !abilities.extensions.iter().any(|(known, _)| known == name) {
                    let value = capabilities.slice(value);
                    abilities.extensions.push((name.to_owned(), value));
                }
            }
        }
        abilities
    }
}

/// Only clients that shook hands ask for this.
fn no_client() -> GatewayError {
    GatewayError::InvalidParams {
        message: "this needs a session".to_owned(),
    }
}
