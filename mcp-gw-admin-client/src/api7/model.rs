//! What the Admin API answers with, as far as programs commonly look at it. Members without a name here are
//! kept in `rest`, and written back.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api7::kind::Kind;

/// Members that have no name here.
pub type Rest = Map<String, Value>;

/// Labels of a resource.
pub type Labels = BTreeMap<String, String>;

/// A resource with a type.
pub trait Model: DeserializeOwned + Serialize + Send + 'static {
    /// Its kind.
    const KIND: Kind;
}

models! {
    /// A service that runs in a gateway group.
    PublishedService as PublishedService {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// `http` or `stream`.
        r#type: String,
        /// Host names; all when there is none.
        hosts: Vec<String>,
        /// What all its paths begin with.
        path_prefix: String,
        /// Plugins by name.
        plugins: Map<String, Value>,
        /// Its upstream. More than one are listed as [`Upstream`]s of it.
        upstream: Value,
        /// Labels.
        labels: Labels,
        /// 1 is active, 0 is not.
        status: i64,
    }
    /// A service before it is published.
    ServiceTemplate as ServiceTemplate {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// `http` or `stream`.
        r#type: String,
        /// Plugins by name.
        plugins: Map<String, Value>,
        /// Its upstream.
        upstream: Value,
        /// Labels.
        labels: Labels,
    }
    /// The nodes behind a published service.
    Upstream as Upstream {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// `http`, `https`, `grpc`, `tcp` …
        scheme: String,
        /// Its nodes.
        nodes: Value,
        /// Health checks.
        checks: Value,
    }
    /// A route of a published service.
    Route as Route {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// The service.
        service_id: String,
        /// Paths.
        paths: Vec<String>,
        /// Methods; all when there is none.
        methods: Vec<String>,
        /// Plugins by name.
        plugins: Map<String, Value>,
        /// Which route wins: the greater.
        priority: i64,
        /// Labels.
        labels: Labels,
    }
    /// A TCP or UDP route of a published service.
    StreamRoute as StreamRoute {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// The service.
        service_id: String,
        /// The port it listens on.
        server_port: u32,
        /// Plugins by name.
        plugins: Map<String, Value>,
    }
    /// Where the gateway gets secrets from.
    SecretProvider as SecretProvider {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// `vault`, `kubernetes`, `aws`, `gcp`, `azure`.
        r#type: String,
    }
    /// A certificate of a gateway group.
    Certificate as Certificate {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// The name that it is for.
        common_name: String,
        /// When it ends, in seconds since 1970.
        exptime: i64,
    }
    /// Who calls APIs.
    Consumer as Consumer {
        /// The name that identifies it.
        username: String,
        /// What it is.
        desc: String,
        /// Plugins by name.
        plugins: Map<String, Value>,
        /// Labels.
        labels: Labels,
    }
    /// What a consumer proves itself with.
    Credential as Credential {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// The plugin that checks it, with its settings.
        plugins: Map<String, Value>,
    }
    /// Gateway instances with one configuration.
    GatewayGroup as GatewayGroup {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// What it is for.
        description: String,
        /// Labels.
        labels: Labels,
    }
    /// A certificate of an authority.
    CaCertificate as CaCertificate {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// The name that it is for.
        common_name: String,
        /// When it ends, in seconds since 1970.
        exptime: i64,
    }
    /// Which certificate a host name has.
    Sni as Sni {
        /// The id.
        id: String,
        /// The name.
        name: String,
    }
    /// A certificate with its host names, as APISIX knows it.
    Ssl as Ssl {
        /// The id.
        id: String,
        /// Host names.
        snis: Vec<String>,
    }
    /// Plugins that run for every request.
    GlobalRule as GlobalRules {
        /// The id.
        id: String,
        /// Plugins by name.
        plugins: Map<String, Value>,
    }
    /// Settings of a plugin for a whole gateway group.
    PluginMetadata as PluginMetadata {
        /// The name of the plugin.
        id: String,
    }
    /// A running gateway process.
    GatewayInstance as GatewayInstance {
        /// The id.
        id: String,
        /// The host name.
        hostname: String,
        /// Its address.
        ip: String,
        /// Its version.
        version: String,
        /// How it is.
        status: Value,
    }
    /// Where upstream nodes are looked up.
    ServiceRegistry as ServiceRegistry {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// `kubernetes`, `nacos`, `consul` …
        r#type: String,
    }
    /// A plugin of your own.
    CustomPlugin as CustomPlugin {
        /// The id.
        id: String,
        /// The name.
        name: String,
    }
    /// A protobuf definition.
    Proto as Proto {
        /// The id.
        id: String,
        /// The text.
        content: String,
    }
    /// What its users may do.
    Role as Role {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// What it is for.
        desc: String,
        /// Labels.
        labels: Labels,
        /// Its permission policies: ids when it is written, more when it is read.
        policies: Vec<Value>,
    }
    /// A user of the dashboard.
    User as User {
        /// The id.
        id: String,
        /// The name of the person.
        name: String,
        /// The name to log in with.
        username: String,
        /// The roles.
        roles: Vec<Value>,
    }
    /// What is allowed or denied.
    PermissionPolicy as PermissionPolicy {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// `built_in` or `custom`.
        r#type: String,
        /// What it is for.
        desc: String,
        /// The rules.
        policy_document: PolicyDocument,
    }
    /// When somebody is alerted.
    AlertPolicy as AlertPolicy {
        /// The id.
        id: String,
        /// The name.
        name: String,
    }
    /// An alert that there was.
    AlertHistory as AlertHistory {
        /// The id.
        id: String,
    }
    /// A route of a service template.
    RouteTemplate as RouteTemplate {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// The service template.
        service_id: String,
        /// Paths.
        paths: Vec<String>,
        /// Methods; all when there is none.
        methods: Vec<String>,
        /// Plugins by name.
        plugins: Map<String, Value>,
    }
    /// A TCP or UDP route of a service template.
    StreamRouteTemplate as StreamRouteTemplate {
        /// The id.
        id: String,
        /// The name.
        name: String,
        /// The service template.
        service_id: String,
        /// Plugins by name.
        plugins: Map<String, Value>,
    }
    /// A published version of a service.
    ServiceVersion as ServiceVersion {
        /// The id.
        id: String,
        /// The version.
        version: String,
    }
    /// What an alert sends.
    WebhookTemplate as WebhookTemplate {
        /// The id.
        id: String,
        /// The name.
        name: String,
    }
    /// Who changed what.
    AuditLog as AuditLog {
        /// The id.
        id: String,
    }
    /// A product of the developer portal.
    ApiProduct as ApiProduct {
        /// The id.
        id: String,
        /// The name.
        name: String,
    }
    /// Who subscribed to an API product.
    Subscription as Subscription {
        /// The id.
        id: String,
        /// How it stands.
        status: String,
    }
    /// What waits to be accepted.
    Approval as Approval {
        /// The id.
        id: String,
        /// How it stands.
        status: String,
    }
}

/// The rules of a permission policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PolicyDocument {
    /// The statements: one that denies wins over those that allow.
    pub statement: Vec<Statement>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A statement of a permission policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Statement {
    /// `allow` or `deny`.
    pub effect: String,
    /// Patterns of resources.
    pub resources: Vec<String>,
    /// Actions: `gateway:GetGatewayGroup`.
    pub actions: Vec<String>,
    /// Label conditions by name; all must hold.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub conditions: Map<String, Value>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Rest,
}
