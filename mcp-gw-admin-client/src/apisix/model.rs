//! What the Admin API answers with, as far as programs commonly look at it. Members without a name here are kept in
//! `rest`, and written back.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::apisix::kind::Kind;

/// Members that have no name here.
pub type Rest = Map<String, Value>;

/// Labels of a resource.
pub type Labels = BTreeMap<String, String>;

/// A resource with a type.
pub trait Model: DeserializeOwned + Serialize + Send + 'static {
    /// Its kind.
    const KIND: Kind;
}

/// An id: APISIX takes texts and numbers, and gives them back as they came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Id {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

models! {
    /// Which requests go where.
    Route as Route {
        /// The id.
        id: Id,
        /// The name.
        name: String,
        /// A description.
        desc: String,
        /// The path, when there is one only.
        uri: String,
        /// Paths.
        uris: Vec<String>,
        /// The host name, when there is one only.
        host: String,
        /// Host names.
        hosts: Vec<String>,
        /// Methods; all when there is none.
        methods: Vec<String>,
        /// Which route wins: the greater.
        priority: i64,
        /// Plugins by name.
        plugins: Map<String, Value>,
        /// The upstream, within the route.
        upstream: Upstream,
        /// The upstream, by its id.
        upstream_id: Id,
        /// The service.
        service_id: Id,
        /// The plugin config.
        plugin_config_id: Id,
        /// Labels.
        labels: Labels,
        /// 1 is active, 0 is not.
        status: i64,
    }
    /// What several routes have in common.
    Service as Service {
        /// The id.
        id: Id,
        /// The name.
        name: String,
        /// A description.
        desc: String,
        /// Host names.
        hosts: Vec<String>,
        /// Plugins by name.
        plugins: Map<String, Value>,
        /// The upstream, within the service.
        upstream: Upstream,
        /// The upstream, by its id.
        upstream_id: Id,
        /// Labels.
        labels: Labels,
    }
    /// The nodes that requests go to.
    Upstream as Upstream {
        /// The id.
        id: Id,
        /// The name.
        name: String,
        /// A description.
        desc: String,
        /// How a node is chosen: `roundrobin`, `chash`, `ewma`, `least_conn`.
        r#type: String,
        /// Nodes: a list of objects, or weights by `host:port`.
        nodes: Value,
        /// `http`, `https`, `grpc`, `grpcs`, `tcp` …
        scheme: String,
        /// Health checks.
        checks: Value,
        /// Labels.
        labels: Labels,
    }
    /// Who calls APIs.
    Consumer as Consumer {
        /// The name that identifies it.
        username: String,
        /// A description.
        desc: String,
        /// The consumer group.
        group_id: Id,
        /// Plugins by name.
        plugins: Map<String, Value>,
        /// Labels.
        labels: Labels,
    }
    /// What a consumer proves itself with.
    Credential as Credential {
        /// The id.
        id: Id,
        /// The name.
        name: String,
        /// A description.
        desc: String,
        /// The plugin that checks it, with its settings.
        plugins: Map<String, Value>,
        /// Labels.
        labels: Labels,
    }
    /// A certificate with its host names. APISIX does not answer with private keys.
    Ssl as Ssl {
        /// The id.
        id: Id,
        /// The certificate, in PEM.
        cert: String,
        /// The host name, when there is one only.
        sni: String,
        /// Host names.
        snis: Vec<String>,
        /// `server` or `client`.
        r#type: String,
        /// From when it holds, in seconds since 1970.
        validity_start: i64,
        /// Until when it holds, in seconds since 1970.
        validity_end: i64,
        /// Labels.
        labels: Labels,
        /// 1 is active, 0 is not.
        status: i64,
    }
    /// Plugins that several consumers have in common.
    ConsumerGroup as ConsumerGroup {
        /// The id.
        id: Id,
        /// The name.
        name: String,
        /// A description.
        desc: String,
        /// Plugins by name.
        plugins: Map<String, Value>,
        /// Labels.
        labels: Labels,
    }
    /// Plugins that several routes have in common.
    PluginConfig as PluginConfig {
        /// The id.
        id: Id,
        /// The name.
        name: String,
        /// A description.
        desc: String,
        /// Plugins by name.
        plugins: Map<String, Value>,
        /// Labels.
        labels: Labels,
    }
    /// Plugins that run for every request.
    GlobalRule as GlobalRule {
        /// The id.
        id: Id,
        /// Plugins by name.
        plugins: Map<String, Value>,
    }
    /// Which TCP and UDP connections go where.
    StreamRoute as StreamRoute {
        /// The id.
        id: Id,
        /// The name.
        name: String,
        /// A description.
        desc: String,
        /// The address that it listens on.
        server_addr: String,
        /// The port that it listens on.
        server_port: u32,
        /// The address that connections come from.
        remote_addr: String,
        /// The host name in TLS.
        sni: String,
        /// Plugins by name.
        plugins: Map<String, Value>,
        /// The upstream, within the route.
        upstream: Upstream,
        /// The upstream, by its id.
        upstream_id: Id,
        /// The service.
        service_id: Id,
        /// Labels.
        labels: Labels,
    }
    /// A protobuf definition.
    Proto as Proto {
        /// The id.
        id: Id,
        /// A description.
        desc: String,
        /// The text.
        content: String,
    }
    /// Where APISIX gets secrets from. What it says depends on the manager.
    Secret as Secret {
        /// The id, with the manager before it: `vault/1`.
        id: Id,
    }
    /// Settings of a plugin for all who use it.
    PluginMetadata as PluginMetadata {
        /// The name of the plugin.
        id: Id,
    }
}
