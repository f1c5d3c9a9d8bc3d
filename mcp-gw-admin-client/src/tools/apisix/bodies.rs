//! What resources look like, as far as it is told to a model. All of them may hold more; APISIX decides.
#![expect(
    dead_code,
    reason = "these are read for their schemas; what is sent is the text"
)]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Map, Value};

/// Settings by the names of plugins.
type Plugins = BTreeMap<String, Map<String, Value>>;

type Labels = BTreeMap<String, String>;

/// APISIX takes texts and numbers.
#[derive(JsonSchema)]
#[schemars(inline, untagged)]
enum IdOf {
    Text(String),
    Number(u64),
}

#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct RouteBody {
    name: Option<String>,
    #[schemars(length(max = 256))]
    desc: Option<String>,
    labels: Option<Labels>,
    /// The path: /orders, or /orders/* with all below it. `uri` or `uris` is needed.
    uri: Option<String>,
    /// Paths, in the place of `uri`.
    uris: Option<Vec<String>>,
    /// The host name; all without it.
    host: Option<String>,
    /// Host names, in the place of `host`.
    hosts: Option<Vec<String>>,
    /// The address of the client, or a range of addresses.
    remote_addr: Option<String>,
    /// Addresses of clients, in the place of `remote_addr`.
    remote_addrs: Option<Vec<String>>,
    methods: Option<Vec<HttpMethod>>,
    /// Which route wins when several fit: the greater.
    priority: Option<i64>,
    /// Conditions that must all hold: `[["arg_name", "==", "json"]]`, for example; with `"OR"` as the first of the list,
    /// one of them.
    vars: Option<Vec<Value>>,
    /// A condition as a function in Lua.
    filter_func: Option<String>,
    script: Option<Value>,
    /// The service that it belongs to.
    service_id: Option<IdOf>,
    /// The upstream, by its id.
    upstream_id: Option<IdOf>,
    /// The upstream, as `create_upstream` takes it: {"type": "roundrobin", "nodes": {"10.0.0.1:80": 1}}.
    /// A route needs `upstream`, `upstream_id`, `service_id` or a plugin that answers.
    upstream: Option<Map<String, Value>>,
    /// The plugin config whose plugins run too.
    plugin_config_id: Option<IdOf>,
    /// Whether `WebSocket` is let through.
    enable_websocket: Option<bool>,
    /// 1 is active, 0 is not.
    #[schemars(range(min = 0, max = 1))]
    status: Option<u8>,
    /// Settings by the names of plugins.
    plugins: Option<Plugins>,
    /// The protocol of the service.
    service_protocol: Option<String>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
enum HttpMethod {
    Get,
    Post,
    Put,
    Delete,
    Patch,
    Head,
    Options,
    Trace,
    Connect,
    Purge,
}

#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct ServiceBody {
    #[schemars(length(min = 1, max = 100))]
    name: Option<String>,
    #[schemars(length(max = 256))]
    desc: Option<String>,
    labels: Option<Labels>,
    /// The upstream, by its id.
    upstream_id: Option<IdOf>,
    /// The upstream, as `create_upstream` takes it: {"type": "roundrobin", "nodes": {"10.0.0.1:80": 1}}.
    upstream: Option<Map<String, Value>>,
    /// Whether `WebSocket` is let through.
    enable_websocket: Option<bool>,
    /// Settings by the names of plugins.
    plugins: Option<Plugins>,
    script: Option<Value>,
    hosts: Option<Vec<String>>,
    /// Conditions, as those of a route.
    vars: Option<Vec<Value>>,
}

#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct UpstreamBody {
    /// The nodes. A list, or weights by "host:port".
    nodes: Option<Nodes>,
    /// The name of a service in a service registry, in the place of nodes.
    service_name: Option<String>,
    /// The kind of the service registry: dns, consul, nacos, eureka, kubernetes …
    discovery_type: Option<String>,
    name: Option<String>,
    #[schemars(length(max = 256))]
    desc: Option<String>,
    /// How a node is chosen; roundrobin without it.
    r#type: Option<Balancing>,
    /// What chash counts by.
    hash_on: Option<HashOn>,
    /// What chash counts: a variable, a header or a cookie.
    key: Option<String>,
    /// Seconds: connect, send, read.
    timeout: Option<Timeouts>,
    /// How often another node is tried.
    #[schemars(range(min = 0))]
    retries: Option<u32>,
    /// For how many seconds other nodes are tried.
    #[schemars(range(min = 0))]
    retry_timeout: Option<f64>,
    /// Which Host a node sees; that of the client without it.
    pass_host: Option<PassHost>,
    /// The Host with `pass_host` rewrite.
    upstream_host: Option<String>,
    /// The protocol; http without it.
    scheme: Option<Scheme>,
    labels: Option<Labels>,
    /// Health checks: `active` and `passive`.
    checks: Option<Map<String, Value>>,
    /// The certificate that APISIX shows to nodes: `client_cert` and `client_key`, or `client_cert_id`; `verify`.
    tls: Option<Map<String, Value>>,
    /// Connections that are kept open: `size`, `idle_timeout`, `requests`.
    keepalive_pool: Option<Map<String, Value>>,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum Nodes {
    List(Vec<Node>),
    Weights(BTreeMap<String, f64>),
}

#[derive(JsonSchema)]
#[schemars(inline)]
struct Node {
    host: String,
    #[schemars(range(min = 1, max = 65_535))]
    port: Option<u32>,
    /// Its share.
    #[schemars(range(min = 0))]
    weight: Option<i64>,
    /// Nodes with a lower priority are only taken when no other is left.
    priority: Option<i64>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Balancing {
    Roundrobin,
    Chash,
    Ewma,
    LeastConn,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum HashOn {
    Vars,
    Header,
    Cookie,
    Consumer,
    VarsCombinations,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum PassHost {
    Pass,
    Node,
    Rewrite,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Scheme {
    Http,
    Https,
    Grpc,
    Grpcs,
    Tcp,
    Tls,
    Udp,
    Kafka,
}

#[derive(JsonSchema)]
#[schemars(inline)]
struct Timeouts {
    connect: Option<f64>,
    send: Option<f64>,
    read: Option<f64>,
}

#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct ConsumerBody {
    /// The name that identifies it.
    username: String,
    desc: Option<String>,
    labels: Option<Labels>,
    /// Settings by the names of plugins.
    plugins: Option<Plugins>,
    /// The consumer group.
    group_id: Option<IdOf>,
}

#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct CredentialBody {
    name: Option<String>,
    /// The plugin that checks it, with its settings: {"key-auth": {"key": …}}.
    plugins: Option<Plugins>,
    #[schemars(length(max = 256))]
    desc: Option<String>,
    labels: Option<Labels>,
}

#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct SslBody {
    cert: String,
    key: String,
    certs: Option<Vec<String>>,
    keys: Option<Vec<String>>,
    /// The host name.
    sni: Option<String>,
    /// Host names, in the place of `sni`.
    snis: Option<Vec<String>>,
    /// How certificates of clients are checked.
    client: Option<SslClient>,
    /// What it is for; server without it.
    r#type: Option<SslType>,
    /// 1 is active, 0 is not.
    #[schemars(range(min = 0, max = 1))]
    status: Option<u8>,
    labels: Option<Labels>,
    /// From when it holds, in seconds since 1970.
    validity_start: Option<i64>,
    /// Until when it holds, in seconds since 1970.
    validity_end: Option<i64>,
}

#[derive(JsonSchema)]
#[schemars(inline)]
struct SslClient {
    /// The certificate of the authority, in PEM.
    ca: String,
    /// How long the chain of certificates may be.
    depth: Option<u32>,
    /// Paths for which no certificate is needed.
    skip_mtls_uri_regex: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum SslType {
    Server,
    Client,
}

#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct ConsumerGroupBody {
    /// Settings by the names of plugins.
    plugins: Option<Plugins>,
    desc: Option<String>,
    labels: Option<Labels>,
}

#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct PluginConfigBody {
    /// Settings by the names of plugins.
    plugins: Plugins,
    desc: Option<String>,
    labels: Option<Labels>,
}

#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct StreamRouteBody {
    #[schemars(length(max = 256))]
    desc: Option<String>,
    /// The address that it listens on, or a range of addresses.
    server_addr: Option<String>,
    /// The port that it listens on.
    #[schemars(range(min = 1, max = 65_535))]
    server_port: Option<u32>,
    /// The address of the client, or a range of addresses.
    remote_addr: Option<String>,
    /// The host name in TLS.
    sni: Option<String>,
    /// The upstream, as `create_upstream` takes it: {"type": "roundrobin", "nodes": {"10.0.0.1:80": 1}}.
    upstream: Option<Map<String, Value>>,
    /// The upstream, by its id.
    upstream_id: Option<IdOf>,
    /// The service that it belongs to.
    service_id: Option<IdOf>,
    /// The protocol that is spoken: `name`, `conf`, `superior_id`, `logger`.
    protocol: Option<Map<String, Value>>,
    /// Settings by the names of plugins.
    plugins: Option<Plugins>,
}

#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct ProtoBody {
    /// The text of a .proto file.
    content: String,
}

/// The settings that the manager needs. vault: `uri`, `prefix`, `token`, perhaps `namespace`; aws: `region`,
/// `access_key_id`, `secret_access_key`, perhaps `session_token`, `endpoint_url`; gcp: `auth_config` (`client_email`,
/// `private_key`, `project_id` …) or `auth_file`, perhaps `ssl_verify`.
#[derive(JsonSchema)]
#[schemars(inline)]
pub(crate) struct SecretBody {
    /// The manager once more; the same as `manager` when it is given.
    r#type: Option<String>,
    /// Of vault: its address.
    uri: Option<String>,
    /// Of vault: the path before secrets.
    prefix: Option<String>,
    /// Of vault: its token.
    token: Option<String>,
    /// Of aws: the region.
    region: Option<String>,
    /// Of aws: the id of the access key.
    access_key_id: Option<String>,
    /// Of aws: the access key.
    secret_access_key: Option<String>,
    /// Of gcp: what a service account proves itself with.
    auth_config: Option<Map<String, Value>>,
    /// Of gcp: the file with that, where APISIX runs.
    auth_file: Option<String>,
}
