//! The MCP engine: what each request does, whatever carried it here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcp_gw_core::{
    Clock, Feature, Gateway, GatewayError, Incoming, ObjectWriter, RawJson, Sight, SystemClock,
    code,
};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::operation::{Operation, write_cursor};
use crate::revision::Revision;
use crate::rewrite::{self, Hints};
use crate::rpc_error::{RpcError, modern_revisions};
use crate::session::{SessionLimits, SessionSeal, Sessions};

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
    /// A stream on which nothing happens carries a comment this often; an answer that takes longer
    /// becomes a stream.
    pub keep_alive: Duration,
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
            keep_alive: Duration::from_secs(15),
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
    pub(crate) stopping: CancellationToken,
    /// From then on streams end that have no end of their own.
    pub(crate) draining: CancellationToken,
    /// Work that goes on although its client has gone away.
    pub(crate) detached: TaskTracker,
    server_info: RawJson,
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
        Self {
            inner: Arc::new(Inner {
                sessions: Sessions::new(config.sessions, config.seal.clone(), clock),
                stopping: CancellationToken::new(),
                draining: CancellationToken::new(),
                detached: TaskTracker::new(),
                server_info,
                request_prefix: format!("{:08x}", u32::from_ne_bytes(prefix)),
                requests: AtomicU64::new(0),
                gateway,
                config,
            }),
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

    /// Ends every stream that has no end of its own, such as those that a GET opens, and every later
    /// one at once; open requests go on. A server that waits for open requests to end calls this first.
    pub fn drain(&self) {
        self.inner.draining.cancel();
    }

    /// Answers every open request with an error, and every later one. What is given up by this is
    /// audited as `stopped`.
    pub fn stop(&self) {
        self.drain();
        self.gateway().mark_stopped();
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

    /// Does what a request asks for; the result is as a client of `revision` expects it.
    pub(crate) async fn execute(
        &self,
        operation: Operation,
        incoming: &Incoming,
        revision: Revision,
    ) -> Result<RawJson, RpcError> {
        let gateway = self.gateway();
        let relayed = |hints| move |answer: RawJson| (answer, hints);
        let answer =
            match operation {
                Operation::Ping => return Ok(RawJson::empty_object()),
                Operation::Initialize { asked } => {
                    return Ok(self
                        .initialized(Revision::negotiate(&asked), incoming)
                        .await);
                }
                Operation::Discover => Ok((self.discovered(incoming).await, Hints::Private)),
                Operation::List { feature, after } => self
                    .list(incoming, feature, after, revision)
                    .await
                    .map(relayed(Hints::Kept)),
                Operation::CallTool(call) => {
                    let output = gateway.call_tool(incoming, call).await;
                    output.map(|output| (output.into_raw(), Hints::None))
                }
                Operation::ReadResource(read) => gateway.read_resource(incoming, read).await.map(
                    relayed(if gateway.is_uniform() {
                        Hints::Kept
                    } else {
                        Hints::Private
                    }),
                ),
                Operation::GetPrompt(get) => gateway
                    .get_prompt(incoming, get)
                    .await
                    .map(relayed(Hints::None)),
                Operation::Complete(completion) => gateway
                    .complete(incoming, completion)
                    .await
                    .map(relayed(Hints::None)),
            };
        let (answer, hints) = answer.map_err(|error| RpcError::from_gateway(&error, revision))?;
        rewrite::result(answer, revision, hints, &self.inner.server_info).ok_or_else(|| {
            RpcError::new(
                code::UPSTREAM_INVALID,
                "The server asks for input in a way that this client's protocol revision does not \
                 know.",
            )
        })
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
        let size = page.items.iter().map(|item| item.len() + 1).sum::<usize>();
        let mut writer = ObjectWriter::with_capacity(size + 128).array(member, &page.items);
        if let Some(key) = page.next_after {
            writer = writer.string("nextCursor", &write_cursor(&key));
        }
        if revision.is_modern() {
            let ttl = i64::try_from(page.hint.ttl.as_millis()).unwrap_or(i64::MAX);
            let scope = if page.hint.is_public {
                "public"
            } else {
                "private"
            };
            writer = writer.integer("ttlMs", ttl).string("cacheScope", scope);
        }
        Ok(writer.finish())
    }

    async fn initialized(&self, revision: Revision, incoming: &Incoming) -> RawJson {
        let sight = self.gateway().sight(incoming).await;
        let writer = ObjectWriter::with_capacity(512)
            .string("protocolVersion", revision.as_str())
            .raw("capabilities", &self.capabilities(&sight))
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
            .raw("capabilities", &self.capabilities(&sight));
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
            .filter(|(server, _)| sight.servers.contains(*server))
            .collect();
        let several = catalogue.is_shared();
        match (parts.len(), several) {
            (0, _) => writer,
            (1, false) => writer.string("instructions", parts.remove(0).1),
            // Each under its name, so that no server speaks for another.
            _ => {
                let texts: Vec<_> = parts
                    .iter()
                    .map(|(server, text)| format!("Server `{server}` says:\n{text}"))
                    .collect();
                writer.string("instructions", &texts.join("\n\n"))
            }
        }
    }

    /// What the gateway can serve this caller now. Nothing is promised that it would not keep.
    fn capabilities(&self, sight: &Sight) -> RawJson {
        let has = |feature| sight.features.contains(&feature);
        let nothing = RawJson::empty_object();
        let mut writer = ObjectWriter::default().raw("tools", &nothing);
        if has(Feature::Prompt) {
            writer = writer.raw("prompts", &nothing);
        }
        if has(Feature::Resource) || has(Feature::ResourceTemplate) {
            writer = writer.raw("resources", &nothing);
        }
        let has_arguments = has(Feature::Prompt) || has(Feature::ResourceTemplate);
        let catalogue = self.gateway().catalogue_at(self.endpoint());
        if has_arguments && catalogue.has_completions() {
            writer = writer.raw("completions", &nothing);
        }
        writer.finish()
    }
}
