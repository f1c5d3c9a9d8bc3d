//! The configuration as people write it; its doc comments are the reference documentation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mcp_gw_core::Secret;
use mcp_gw_policy::PolicyConfig;
use mcp_gw_ratelimit::LimitsConfig;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::apis::{ApiConfig, RestConfig};
use super::auth::{AuthConfig, JwtConfig};
use super::fault::Fault;
use super::federation::EndpointConfig;
use super::management::ManagementConfig;
use super::marks::Marks;
use super::metrics::MetricsConfig;
use super::server::ServerConfig;
use super::sessions::SessionsConfig;
use super::text::{ByteSize, DurationText};

/// Everything that `mcp-gw.yaml` says.
///
/// Relative paths in it are taken from the folder of the file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {
    /// The name that clients are shown, `serverInfo.name` of MCP.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// The version that clients are shown, `serverInfo.version` of MCP; that of this program if not
    /// given.
    #[schemars(length(min = 1, max = 128))]
    pub version: Option<String>,
    /// What clients are told about the use of this gateway, `instructions` of MCP.
    pub instructions: Option<String>,
    /// Where and how the gateway listens.
    pub http: HttpConfig,
    /// Who may call.
    pub auth: AuthConfig,
    /// What callers may do; without rules and a default nobody may do anything.
    pub policy: PolicyConfig,
    /// How much callers may call.
    pub limits: LimitsConfig,
    /// The hard limit for a single call, at most `1h`. The time in which the client answers what the
    /// server asks does not count.
    pub call_timeout: DurationText,
    /// Whether servers are held to what they offered when they were trusted.
    pub pins: PinsConfig,
    /// What servers may ask of clients while a call runs: sampling, elicitation, roots.
    pub input: InputConfig,
    /// Metrics for Prometheus, at an address of their own.
    pub metrics: MetricsConfig,
    /// The MCP servers behind the gateway, each under a name of `A-Z a-z 0-9 _ -`, up to 64
    /// characters.
    pub servers: BTreeMap<String, ServerConfig>,
    /// The REST APIs behind the gateway, each under a name as those of `servers`, which no server has;
    /// see `rest-apis.md`. Rules and limits know them as servers.
    pub apis: BTreeMap<String, ApiConfig>,
    /// What all REST APIs have in common.
    pub rest: RestConfig,
    /// Parts of the gateway with a path of their own, `/mcp/<name>`; see `federation.md`.
    pub endpoints: BTreeMap<String, EndpointConfig>,
    /// Users, API keys and servers that are managed over HTTP and kept in a database; see
    /// `management-api.md`.
    pub management: Option<ManagementConfig>,
    /// What the file says, to know what a later one says differently.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) marks: Marks,
    /// What looked wrong when the file was read; nothing of a secret is in it.
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) remarks: Option<Vec<Fault>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "mcp-gw".to_owned(),
            version: None,
            instructions: None,
            http: HttpConfig::default(),
            auth: AuthConfig::default(),
            policy: PolicyConfig::default(),
            limits: LimitsConfig::default(),
            call_timeout: seconds(60),
            pins: PinsConfig::default(),
            input: InputConfig::default(),
            metrics: MetricsConfig::default(),
            servers: BTreeMap::new(),
            apis: BTreeMap::new(),
            rest: RestConfig::default(),
            endpoints: BTreeMap::new(),
            management: None,
            marks: Marks::default(),
            remarks: None,
        }
    }
}

impl Config {
    /// Puts `server` behind the gateway as `name`, in place of one with the same name.
    #[must_use]
    pub fn with_server(mut self, name: impl Into<String>, server: ServerConfig) -> Self {
        self.servers.insert(name.into(), server);
        self
    }

    /// Puts a REST API behind the gateway as `name`, in place of one with the same name.
    #[must_use]
    pub fn with_api(mut self, name: impl Into<String>, api: ApiConfig) -> Self {
        self.apis.insert(name.into(), api);
        self
    }

    /// True when there is an API for the tool `rest.tool_name`.
    pub fn has_gateway_tool(&self) -> bool {
        self.apis.values().any(|api| api.gateway_tool)
    }

    /// The names by which endpoints know what is behind the gateway: servers, APIs, and the tool that reaches
    /// APIs.
    pub(crate) fn server_names(&self) -> impl Iterator<Item = &str> {
        self.called_names().chain(self.gateway_tool())
    }

    /// Those of them that calls are of. A call of the tool that reaches APIs is one of an API.
    pub(crate) fn called_names(&self) -> impl Iterator<Item = &str> {
        let named = self.servers.keys().chain(self.apis.keys());
        named.map(String::as_str)
    }

    /// The tool that reaches APIs, if there is one.
    pub(crate) fn gateway_tool(&self) -> Option<&str> {
        self.has_gateway_tool()
            .then_some(self.rest.tool_name.as_str())
    }

    /// Shows a part of the gateway at a path of its own.
    #[must_use]
    pub fn with_endpoint(mut self, name: impl Into<String>, endpoint: EndpointConfig) -> Self {
        self.endpoints.insert(name.into(), endpoint);
        self
    }

    /// Sets what callers may call.
    #[must_use]
    pub fn with_policy(mut self, policy: PolicyConfig) -> Self {
        self.policy = policy;
        self
    }

    /// Sets where and how the gateway listens.
    #[must_use]
    pub fn with_http(mut self, http: HttpConfig) -> Self {
        self.http = http;
        self
    }

    /// Sets where metrics are served, and to whom.
    #[must_use]
    pub fn with_metrics(mut self, metrics: MetricsConfig) -> Self {
        self.metrics = metrics;
        self
    }

    /// Sets whether servers are held to what they offered when they were trusted.
    #[must_use]
    pub fn with_pins(mut self, pins: PinsConfig) -> Self {
        self.pins = pins;
        self
    }

    /// What happens when `server`, one of this configuration, offers something else than is pinned.
    pub fn pin_mode(&self, server: &ServerConfig) -> PinMode {
        server.pins.unwrap_or(self.pins.mode)
    }

    /// Adds a caller.
    #[must_use]
    pub fn with_api_key(mut self, key: ApiKeyConfig) -> Self {
        self.auth.api_keys.push(key);
        self
    }

    /// Adds an issuer whose tokens say who calls.
    #[must_use]
    pub fn with_jwt(mut self, issuer: JwtConfig) -> Self {
        self.auth.jwt.push(issuer);
        self
    }
}

/// Where and how the gateway listens.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct HttpConfig {
    /// The address and port to listen on. An address other than loopback needs `auth`, or
    /// `insecure: true`.
    pub listen: String,
    /// The path of the MCP endpoint.
    pub path: String,
    /// `Host` header values that are accepted besides loopback names and the listen address.
    pub allowed_hosts: Vec<String>,
    /// `Origin` header values that are accepted besides loopback origins.
    pub allowed_origins: Vec<String>,
    /// The largest request body, as `4MiB` or as a number of bytes.
    pub max_body_size: ByteSize,
    /// Proxies in front of the gateway that are trusted to say which client they speak for: addresses
    /// and networks, as `10.0.0.0/8`. Without any, a client's address is where its connection comes
    /// from.
    pub trusted_proxies: Vec<String>,
    /// The header in which those proxies say it; the other is not looked at.
    pub forwarded_header: ForwardedName,
    /// Allows a listen address other than loopback although callers need no key.
    pub insecure: bool,
    /// How long calls under way may go on after the gateway was told to stop.
    pub shutdown_grace: DurationText,
    /// Limits on sessions.
    pub sessions: SessionsConfig,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            path: "/mcp".to_owned(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            max_body_size: ByteSize::new(4 << 20),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedName::default(),
            insecure: false,
            shutdown_grace: seconds(10),
            sessions: SessionsConfig::default(),
        }
    }
}

impl HttpConfig {
    /// Sets the address and port to listen on, as `127.0.0.1:8080`.
    #[must_use]
    pub fn with_listen(mut self, listen: impl Into<String>) -> Self {
        self.listen = listen.into();
        self
    }
}

/// The header in which a proxy says which client it speaks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub enum ForwardedName {
    /// The one that nearly all proxies write.
    #[default]
    #[serde(rename = "x-forwarded-for")]
    XForwardedFor,
    /// The one of RFC 7239.
    #[serde(rename = "forwarded")]
    Forwarded,
}

/// What servers may ask of clients while a call runs: sampling, elicitation, roots.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct InputConfig {
    /// What servers may ask for. A server is not told that a client could be asked for the rest, and
    /// what it asks for all the same, in a result, in a task or by an error that wants URLs visited, does
    /// not reach the client.
    pub allow: Vec<InputKind>,
    /// How long a client may take to answer, at most `1h`.
    pub timeout: DurationText,
    /// How many calls of one caller may wait for answers that come in a request of their own
    /// (protocol revision 2026-07-28). What is asked beyond that is refused.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_per_caller: u32,
    /// How many such calls there may be at a time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_total: u32,
}

/// Something that a server may ask a client for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum InputKind {
    /// What the client's model says, `sampling/createMessage`.
    Sampling,
    /// What the user says, or does at a URL, `elicitation/create`.
    Elicitation,
    /// The folders that the client works in, `roots/list`.
    Roots,
}

impl InputKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sampling, Self::Elicitation, Self::Roots];

    /// The client capability that it needs.
    pub const fn capability(self) -> &'static str {
        match self {
            Self::Sampling => "sampling",
            Self::Elicitation => "elicitation",
            Self::Roots => "roots",
        }
    }
}

impl Default for InputConfig {
    fn default() -> Self {
        Self {
            allow: InputKind::ALL.to_vec(),
            timeout: seconds(5 * 60),
            max_per_caller: 16,
            max_total: 1024,
        }
    }
}

/// A caller and its API key; the key is given by exactly one of `key`, `key_sha256` and `key_file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ApiKeyConfig {
    /// The stable id of the caller: 1 to 128 visible ASCII characters.
    pub id: String,
    /// The key itself, at least 16 characters; take it from the environment as `${ALICE_KEY}`.
    #[schemars(extend("writeOnly" = true))]
    pub key: Option<Secret<String>>,
    /// The SHA-256 digest of the key, 64 hexadecimal digits. Only for keys that were made at
    /// random: the digest of a word is soon guessed.
    #[schemars(extend("writeOnly" = true))]
    pub key_sha256: Option<Secret<String>>,
    /// A file that holds the key; blanks and line ends around it are ignored.
    pub key_file: Option<PathBuf>,
    /// The roles of the caller, which rules may refer to.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The groups of the caller, which rules may refer to.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The scopes of the caller, which rules may refer to, as those of an access token.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Further facts about the caller, which rules may refer to, as claims of an access token: any
    /// JSON.
    #[serde(default)]
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// The only tools the caller may use, and nothing else, whatever `policy.default` says. `*` stands
    /// for any characters, `?` for one, and `\` takes the next as it is. It is short for two rules of the policy, which the audit log
    /// names `auth.api_keys.tools:<id>`: one allows these tools, and in a layer of its own the caller
    /// may do nothing else. Rules that deny or require hold as well.
    pub tools: Option<Vec<String>>,
}

impl ApiKeyConfig {
    /// The caller `id` with the key `key`.
    pub fn new(id: impl Into<String>, key: impl Into<Secret<String>>) -> Self {
        Self {
            id: id.into(),
            key: Some(key.into()),
            key_sha256: None,
            key_file: None,
            roles: Vec::new(),
            groups: Vec::new(),
            scopes: Vec::new(),
            claims: serde_json::Map::new(),
            tools: None,
        }
    }

    /// Sets the only tools the caller may call, as globs.
    #[must_use]
    pub fn with_tools<S: Into<String>>(mut self, tools: impl IntoIterator<Item = S>) -> Self {
        self.tools = Some(tools.into_iter().map(Into::into).collect());
        self
    }
}

/// Whether servers are held to what they offered when they were trusted.
///
/// What a tool or prompt says of itself is written down when its server is first seen, and what the
/// server offers later is held against that: see docs/pins.md.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PinsConfig {
    /// What happens when a server offers something else than is pinned.
    pub mode: PinMode,
    /// The file that keeps the pins. If not given, they are in the database of `management`, so that
    /// all gateways on it have the same; without a database that outlives the process, in a file beside
    /// the configuration: `mcp-gw.pins.json` for `mcp-gw.yaml`.
    pub file: Option<PathBuf>,
    /// Whether `file` is the one beside the configuration, and not one that was named.
    #[serde(skip)]
    is_beside: bool,
}

impl PinsConfig {
    /// Holds every server to its pins in `file`.
    pub fn new(mode: PinMode, file: impl Into<PathBuf>) -> Self {
        Self {
            mode,
            file: Some(file.into()),
            is_beside: false,
        }
    }

    /// Takes the file beside the configuration at `config`, unless one is named.
    pub(super) fn or_beside(&mut self, config: &Path) {
        if self.file.is_none() {
            self.file = Some(config.with_extension("pins.json"));
            self.is_beside = true;
        }
    }

    /// True when a file is named, which keeps the pins even where there is a database.
    pub(crate) const fn is_in_file(&self) -> bool {
        self.file.is_some() && !self.is_beside
    }
}

/// What happens when a server offers something else than is pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum PinMode {
    /// Nothing: nothing is pinned either.
    #[default]
    Off,
    /// The difference is logged.
    Warn,
    /// It is logged, and what is changed or new is left out until it is approved.
    Quarantine,
    /// It is logged, and the whole server is left out until it is approved.
    Block,
}

impl PinMode {
    /// The word for it in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Quarantine => "quarantine",
            Self::Block => "block",
        }
    }
}

pub(super) const fn seconds(seconds: u64) -> DurationText {
    DurationText::new(std::time::Duration::from_secs(seconds))
}

/// A mapping to texts that are never shown.
pub(super) fn secret_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": { "type": "string", "writeOnly": true },
        "default": {},
    })
}
