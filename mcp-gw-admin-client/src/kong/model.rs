//! Entities, as far as programs commonly look at them. Members without a name here are kept in `rest`, and written back.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kong::kind::Kind;

/// Members that have no name here.
pub type Rest = Map<String, Value>;

/// An entity with a type.
pub trait Model: DeserializeOwned + Serialize + Send + 'static {
    /// Its kind.
    const KIND: Kind;
}

/// An entity that another one belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reference {
    /// Its id.
    #[serde(default)]
    pub id: Option<String>,
}

models! {
    /// What requests are handed on to.
    Service as Service {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// `http`, `https`, `grpc` …
        protocol: String,
        /// What the path of a request begins with there.
        path: String,
        /// How often a request is sent again.
        retries: u32,
        /// In milliseconds.
        connect_timeout: u64,
        /// In milliseconds.
        read_timeout: u64,
        /// In milliseconds.
        write_timeout: u64,
        /// False when it answers nothing.
        enabled: bool,
        /// Tags.
        tags: Vec<String>,
        /// Unix time, in seconds.
        created_at: f64,
    }
    /// Which requests go to which service. Either the members from `paths` to `regex_priority`, or `expression` and
    /// `priority`.
    Route as Route {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// What paths begin with; regular expressions begin with `~`.
        paths: Vec<String>,
        /// Methods; all when there is none.
        methods: Vec<String>,
        /// Host names, also with `*`.
        hosts: Vec<String>,
        /// Headers and their values.
        headers: Map<String, Value>,
        /// Server names of TLS.
        snis: Vec<String>,
        /// Which regular expression is tried first: the greater.
        regex_priority: i64,
        /// An expression of Kong's router language.
        expression: String,
        /// Which expression is tried first: the greater.
        priority: i64,
        /// Protocols.
        protocols: Vec<String>,
        /// The matching part of the path is not handed on.
        strip_path: bool,
        /// The host of the request is handed on.
        preserve_host: bool,
        /// The service.
        service: Reference,
        /// Tags.
        tags: Vec<String>,
        /// Unix time, in seconds.
        created_at: f64,
    }
    /// Who sends requests.
    Consumer as Consumer {
        /// The id.
        id: String,
        /// The name.
        username: String,
        /// The id of somebody else.
        custom_id: String,
        /// Tags.
        tags: Vec<String>,
        /// Unix time, in seconds.
        created_at: f64,
    }
    /// Several consumers.
    ConsumerGroup as ConsumerGroup {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// Tags.
        tags: Vec<String>,
        /// Unix time, in seconds.
        created_at: f64,
    }
    /// What is done with requests and responses; to all of them when it belongs to nothing.
    Plugin as Plugin {
        /// The id.
        id: String,
        /// What it does: `rate-limiting`.
        name: String,
        /// The name of this one.
        instance_name: String,
        /// False when it does nothing.
        enabled: bool,
        /// How it is set up.
        config: Map<String, Value>,
        /// Protocols.
        protocols: Vec<String>,
        /// The service that it is for.
        service: Reference,
        /// The route that it is for.
        route: Reference,
        /// The consumer that it is for.
        consumer: Reference,
        /// The consumer group that it is for.
        consumer_group: Reference,
        /// Tags.
        tags: Vec<String>,
        /// Unix time, in seconds.
        created_at: f64,
    }
    /// Where secrets come from.
    Vault as Vault {
        /// The id.
        id: String,
        /// Who keeps the secrets: `env`, `aws`, `gcp`, `hcv`, `azure`, `conjur`, `konnect`.
        name: String,
        /// What references to its secrets begin with; no other vault has it.
        prefix: String,
        /// A description.
        description: String,
        /// How it is reached.
        config: Map<String, Value>,
        /// Tags.
        tags: Vec<String>,
    }
}
