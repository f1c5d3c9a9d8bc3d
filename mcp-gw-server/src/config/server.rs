//! A server behind the gateway: a child process, a URL, or an admin API.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::admin_api::AdminApi;
use super::api7::Api7Section;
use super::apisix::ApisixSection;
use super::balance::{BalanceSection, HealthSection, ReplicaConfig, RetriesSection};
use super::federation::{PrefixMode, UriMode};
use super::kong::KongSection;
use super::konnect::KonnectSection;
use super::reshape::ToolShape;
use super::text::DurationText;
use super::types::{PinMode, seconds, secret_map};

/// A server behind the gateway: an MCP server, either `command` (a child process that speaks MCP on
/// its standard input and output) or `url` (streamable HTTP), or, for one that runs in several places,
/// `urls` or `replicas`; or the admin API of an API gateway, `api7`,
/// `apisix`, `konnect` or `kong`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The program to start, found through `PATH` or given by its path. No shell is involved.
    pub command: Option<String>,
    /// The arguments of `command`.
    pub args: Vec<String>,
    /// Environment variables that `command` gets.
    #[schemars(schema_with = "secret_map")]
    pub env: BTreeMap<String, Secret<String>>,
    /// The directory that `command` runs in.
    pub cwd: Option<PathBuf>,
    /// How long `command` may take until it has answered for the first time; `20s` if not given.
    pub start_timeout: Option<DurationText>,
    /// The `http` or `https` address of a streamable HTTP server.
    pub url: Option<String>,
    /// Headers that are sent to `url` with every request.
    #[schemars(schema_with = "secret_map")]
    pub headers: BTreeMap<String, Secret<String>>,
    /// How long a connection to `url` may take to be made; `5s` if not given.
    pub connect_timeout: Option<DurationText>,
    /// How long the server may take to answer a request.
    pub timeout: DurationText,
    /// The addresses of a server that runs in several places, up to 64.
    #[schemars(length(max = 64))]
    pub urls: Vec<String>,
    /// The places of a server that runs in several, up to 64.
    #[schemars(length(max = 64))]
    pub replicas: Vec<ReplicaConfig>,
    /// The dashboard of an API7 Enterprise, whose admin API becomes tools.
    pub api7: Option<Api7Section>,
    /// An Apache APISIX, whose Admin API becomes tools.
    pub apisix: Option<ApisixSection>,
    /// A region of Kong Konnect, whose APIs become tools.
    pub konnect: Option<KonnectSection>,
    /// A Kong Gateway of one's own, whose Admin API becomes tools.
    pub kong: Option<KongSection>,
    /// How calls are spread over `urls` or `replicas`.
    pub balance: Option<BalanceSection>,
    /// Checks between calls; made every `10s` with several replicas, and not with one.
    pub health: Option<HealthSection>,
    /// When a request is sent again.
    pub retries: RetriesSection,
    /// How many calls may be under way at a time; without it there is no limit.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_concurrent: Option<u32>,
    /// How many calls may wait when so many are under way; `128` if not given. Those beyond are told
    /// at once that the server takes no more.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_queue: Option<u32>,
    /// How long a call may wait, less than `call_timeout`; `10s` if not given.
    pub queue_timeout: Option<DurationText>,
    /// How many clients may have a connection of their own (for `command`: a process) at a time,
    /// beside the one that all share; `16` for `command` and `512` for `url` if not given. A client
    /// gets one when a server of a revision before 2026-07-28 could ask it something (sampling,
    /// elicitation, roots), or when it has set a log level: with its first call, or when it begins
    /// its session as long as fewer than half of these (for `command`: 4) are open. One that finds no
    /// room shares, and cannot be asked; a call that fails then says so. The list of the server is
    /// what the shared connection has and what those of clients have besides.
    pub max_connections: Option<u32>,
    /// How many of `max_connections` the clients of one caller may have at a time; half of them if not
    /// given, and at least one. Without `auth` all clients are one caller.
    pub max_connections_per_caller: Option<u32>,
    /// How long a client's own connection is kept while it is not used.
    pub idle_timeout: DurationText,
    /// When the names of its tools and prompts get a prefix and two underscores; if not given,
    /// `always` with several servers, and `never` with one.
    pub prefix: Option<PrefixMode>,
    /// The prefix, if it is not the server's name.
    pub prefix_name: Option<String>,
    /// What becomes of its URIs; if not given, `prefix` when names always have one, else `keep`.
    pub uris: Option<UriMode>,
    /// What clients see of its tools, each under the name that the server gave it.
    pub tools: BTreeMap<String, ToolShape>,
    /// What happens when this server offers something else than is pinned, whatever `pins.mode`
    /// says.
    pub pins: Option<PinMode>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            command: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            start_timeout: None,
            url: None,
            headers: BTreeMap::new(),
            connect_timeout: None,
            timeout: seconds(30),
            urls: Vec::new(),
            replicas: Vec::new(),
            api7: None,
            apisix: None,
            konnect: None,
            kong: None,
            balance: None,
            health: None,
            retries: RetriesSection::default(),
            max_concurrent: None,
            max_queue: None,
            queue_timeout: None,
            max_connections: None,
            max_connections_per_caller: None,
            idle_timeout: seconds(30 * 60),
            prefix: None,
            prefix_name: None,
            uris: None,
            tools: BTreeMap::new(),
            pins: None,
        }
    }
}

impl ServerConfig {
    /// A child process: `command` with `args`.
    pub fn stdio<S: Into<String>>(
        command: impl Into<String>,
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            command: Some(command.into()),
            args: args.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// A streamable HTTP server at `url`.
    pub fn http(url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..Self::default()
        }
    }

    /// A streamable HTTP server that runs at each of `urls`.
    pub fn http_replicas<S: Into<String>>(urls: impl IntoIterator<Item = S>) -> Self {
        Self {
            urls: urls.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// The admin API of an API7 Enterprise, as tools.
    pub fn api7(section: Api7Section) -> Self {
        Self {
            api7: Some(section),
            ..Self::default()
        }
    }

    /// The Admin API of an Apache APISIX, as tools.
    pub fn apisix(section: ApisixSection) -> Self {
        Self {
            apisix: Some(section),
            ..Self::default()
        }
    }

    /// A region of Kong Konnect, as tools.
    pub fn konnect(section: KonnectSection) -> Self {
        Self {
            konnect: Some(section),
            ..Self::default()
        }
    }

    /// A Kong Gateway, as tools.
    pub fn kong(section: KongSection) -> Self {
        Self {
            kong: Some(section),
            ..Self::default()
        }
    }

    /// The admin API that it is, if it is one.
    pub fn admin_api(&self) -> Option<AdminApi> {
        if let Some(section) = &self.api7 {
            return Some(AdminApi::Api7(section.clone().into()));
        }
        if let Some(section) = &self.apisix {
            return Some(AdminApi::Apisix(section.clone().into()));
        }
        if let Some(section) = &self.konnect {
            return Some(AdminApi::Konnect(section.clone().into()));
        }
        let section = self.kong.clone()?;
        Some(AdminApi::Kong(section.into()))
    }

    /// True when it is more than one admin API.
    pub(super) fn has_several_admin_apis(&self) -> bool {
        let all = [
            self.api7.is_some(),
            self.apisix.is_some(),
            self.konnect.is_some(),
            self.kong.is_some(),
        ];
        all.into_iter().filter(|is_given| *is_given).count() > 1
    }

    /// The files that sections of admin APIs name.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let api7 = self.api7.iter().flat_map(Api7Section::files);
        api7.chain(self.apisix.iter().flat_map(ApisixSection::files))
            .chain(self.konnect.iter().flat_map(KonnectSection::files))
            .chain(self.kong.iter().flat_map(KongSection::files))
    }

    /// The same, to be changed.
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let api7 = self.api7.iter_mut().flat_map(Api7Section::files_mut);
        api7.chain(self.apisix.iter_mut().flat_map(ApisixSection::files_mut))
            .chain(self.konnect.iter_mut().flat_map(KonnectSection::files_mut))
            .chain(self.kong.iter_mut().flat_map(KongSection::files_mut))
    }

    /// Adds a header that is sent to `url`.
    #[must_use]
    pub fn with_header(
        mut self,
        name: impl Into<String>,
        value: impl Into<Secret<String>>,
    ) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Adds an environment variable that `command` gets.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<Secret<String>>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets how long the server may take to answer a request.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Sets when the names of its tools and prompts get a prefix.
    #[must_use]
    pub const fn with_prefix(mut self, prefix: PrefixMode) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// Sets what becomes of its URIs.
    #[must_use]
    pub const fn with_uris(mut self, uris: UriMode) -> Self {
        self.uris = Some(uris);
        self
    }

    /// Sets what clients see of a tool.
    #[must_use]
    pub fn with_tool(mut self, name: impl Into<String>, shape: ToolShape) -> Self {
        self.tools.insert(name.into(), shape);
        self
    }

    /// Sets what happens when the server offers something else than is pinned.
    #[must_use]
    pub const fn with_pins(mut self, mode: PinMode) -> Self {
        self.pins = Some(mode);
        self
    }

    /// What to start or connect to, with every default filled in: one place, or the replicas of a
    /// server that runs in several.
    ///
    /// Nothing if not exactly one of `command`, `url`, `urls`, `replicas`, `api7`, `apisix`,
    /// `konnect` and `kong` is given, or a replica has both or neither of `command` and `url`; a loaded configuration is never so.
    pub fn targets(&self) -> Vec<ServerTarget> {
        let stdio = |command: &String, args: &[String]| ServerTarget::Stdio {
            command: command.clone(),
            args: args.to_vec(),
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            start_timeout: self.start_timeout.unwrap_or(seconds(20)).get(),
            timeout: self.timeout.get(),
            max_connections: self.max_connections.unwrap_or(16),
            max_connections_per_caller: self.max_connections_per_caller,
            idle_timeout: self.idle_timeout.get(),
        };
        let http = |url: &String| ServerTarget::Http {
            url: url.clone(),
            headers: self.headers.clone(),
            connect_timeout: self.connect_timeout.unwrap_or(seconds(5)).get(),
            timeout: self.timeout.get(),
            max_connections: self.max_connections.unwrap_or(512),
            max_connections_per_caller: self.max_connections_per_caller,
            idle_timeout: self.idle_timeout.get(),
        };
        let replica = |replica: &ReplicaConfig| match (&replica.command, &replica.url) {
            (Some(command), None) => {
                Some(stdio(command, replica.args.as_ref().unwrap_or(&self.args)))
            }
            (None, Some(url)) => Some(http(url)),
            _ => None,
        };
        let places = (&self.command, &self.url, &*self.urls, &*self.replicas);
        let is_several = self.has_several_admin_apis();
        match (places, self.admin_api()) {
            ((Some(command), None, [], []), None) => vec![stdio(command, &self.args)],
            ((None, Some(url), [], []), None) => vec![http(url)],
            ((None, None, [], []), Some(api)) if !is_several => vec![ServerTarget::AdminApi {
                api,
                timeout: self.timeout.get(),
            }],
            ((None, None, urls, []), None) => urls.iter().map(http).collect(),
            ((None, None, [], replicas), None) => replicas
                .iter()
                .map(replica)
                .collect::<Option<_>>()
                .unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}

/// What stands behind the gateway under one name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerTarget {
    /// A child process that speaks MCP on its standard input and output.
    Stdio {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Environment variables it gets.
        env: BTreeMap<String, Secret<String>>,
        /// The directory it runs in.
        cwd: Option<PathBuf>,
        /// How long it may take until it has answered for the first time.
        start_timeout: Duration,
        /// How long it may take to answer a request.
        timeout: Duration,
        /// How many clients may have a connection of their own at a time.
        max_connections: u32,
        /// How many of them the clients of one caller may have; half of them if `None`.
        max_connections_per_caller: Option<u32>,
        /// How long such a connection is kept while it is not used.
        idle_timeout: Duration,
    },
    /// A streamable HTTP server.
    Http {
        /// Its address.
        url: String,
        /// Headers that are sent with every request.
        headers: BTreeMap<String, Secret<String>>,
        /// How long a connection may take to be made.
        connect_timeout: Duration,
        /// How long it may take to answer a request.
        timeout: Duration,
        /// How many clients may have a connection of their own at a time.
        max_connections: u32,
        /// How many of them the clients of one caller may have; half of them if `None`.
        max_connections_per_caller: Option<u32>,
        /// How long such a connection is kept while it is not used.
        idle_timeout: Duration,
    },
    /// The admin API of an API gateway, as tools.
    AdminApi {
        /// Which one, and what its tools may do.
        api: AdminApi,
        /// How long one attempt at a request to it may take.
        timeout: Duration,
    },
}

impl ServerTarget {
    /// How many clients may have a connection of their own at a time.
    pub(crate) const fn max_connections(&self) -> u32 {
        match self {
            // Its tools ask clients for nothing.
            Self::AdminApi { .. } => 0,
            Self::Stdio {
                max_connections, ..
            }
            | Self::Http {
                max_connections, ..
            } => *max_connections,
        }
    }
}
