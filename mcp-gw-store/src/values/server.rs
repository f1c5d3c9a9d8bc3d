//! Servers: instances of templates.

use std::collections::BTreeMap;
use std::fmt;

use mcp_gw_core::RawJson;
use serde::{Deserialize, Serialize};

use super::{Revision, Time, named};

named! {
    /// How an instance is reached.
    ServerTransport {
        /// At an endpoint.
        #[default]
        Http = "http",
        /// As a child process.
        Stdio = "stdio",
    }
}

named! {
    /// What is known of an instance.
    ServerStatus {
        /// It answered when it was last asked.
        Healthy = "healthy",
        /// It did not.
        Unhealthy = "unhealthy",
        /// It was not asked yet.
        #[default]
        Unknown = "unknown",
    }
}

named! {
    /// What runs an instance, as its owner says.
    HostKind {
        /// A container.
        #[default]
        Docker = "docker",
        /// A cluster.
        Kubernetes = "kubernetes",
        /// This machine.
        Local = "local",
        /// Nothing: it is made up.
        Mock = "mock",
    }
}

/// Variables for a child process. Their values are never shown.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EnvVars(BTreeMap<String, String>);

impl EnvVars {
    /// These variables.
    pub const fn new(variables: BTreeMap<String, String>) -> Self {
        Self(variables)
    }

    /// Names and values, to start the child with.
    pub const fn expose(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The names alone.
impl fmt::Debug for EnvVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What an instance is, as its owner says.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceSpec {
    /// The URL that it is at.
    pub endpoint: Option<String>,
    /// The program and its arguments.
    pub command: Option<Vec<String>>,
    /// How it is reached.
    pub transport: ServerTransport,
    /// What runs it.
    pub backend: HostKind,
    /// The id of its container.
    pub container_id: Option<String>,
    /// The id of its deployment.
    pub deployment_id: Option<String>,
    /// The namespace that it is in.
    pub namespace: Option<String>,
    /// The folder that its program is started in.
    pub working_dir: Option<String>,
    /// Variables for its program.
    pub env_vars: Option<EnvVars>,
    /// False while no calls are to go there.
    pub is_active: bool,
    /// A JSON object of its owner's, such as `{"weight":3}`, kept as it was written.
    pub instance_metadata: Option<RawJson>,
    /// A JSON object of its owner's, kept as it was written. Never shown: it may hold secrets.
    pub config: Option<RawJson>,
}

impl InstanceSpec {
    /// An active instance over HTTP, without an endpoint yet.
    pub const fn new() -> Self {
        Self {
            endpoint: None,
            command: None,
            transport: ServerTransport::Http,
            backend: HostKind::Docker,
            container_id: None,
            deployment_id: None,
            namespace: None,
            working_dir: None,
            env_vars: None,
            is_active: true,
            instance_metadata: None,
            config: None,
        }
    }

    /// An active instance at this URL.
    pub fn http(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: Some(endpoint.into()),
            ..Self::new()
        }
    }

    /// An active instance that this command starts.
    pub fn stdio(command: Vec<String>) -> Self {
        Self {
            command: Some(command),
            transport: ServerTransport::Stdio,
            ..Self::new()
        }
    }
}

impl Default for InstanceSpec {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for InstanceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceSpec")
            .field("endpoint", &self.endpoint)
            .field("command", &self.command)
            .field("transport", &self.transport)
            .field("backend", &self.backend)
            .field("container_id", &self.container_id)
            .field("deployment_id", &self.deployment_id)
            .field("namespace", &self.namespace)
            .field("working_dir", &self.working_dir)
            .field("env_vars", &self.env_vars)
            .field("is_active", &self.is_active)
            .field("instance_metadata", &self.instance_metadata)
            .field("config", &self.config.as_ref().map(|_| "[redacted]"))
            .finish()
    }
}

/// How an instance was when it was last asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Health {
    /// What is known of it.
    pub status: ServerStatus,
    /// When it was last asked.
    pub last_health_check: Option<Time>,
    /// How often it failed since it last did not.
    pub consecutive_failures: u32,
    /// What was wrong.
    pub last_error: Option<String>,
}

impl Health {
    /// Unknown.
    pub fn new() -> Self {
        Self::default()
    }

    /// This status.
    pub fn of(status: ServerStatus) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// Its id, unlike that of any other instance of any template.
    pub id: String,
    /// The template that it is an instance of.
    pub template_name: String,
    /// What it is.
    pub spec: InstanceSpec,
    /// How it is. Changes of this are no changes of the instance.
    pub health: Health,
    /// How often it was changed.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
    /// Where it stands in lists: instances come in the order in which they were created.
    pub(crate) place: i64,
}

impl Instance {
    pub(crate) fn update(&mut self, spec: InstanceSpec, now: Time) {
        self.spec = spec;
        self.revision = self.revision.next();
        self.updated_at = now;
    }
}

/// An instance to be created, or put in the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewInstance {
    /// Its id: 1 to 256 bytes, cases told apart.
    pub id: String,
    /// The template that it is an instance of; made with it where there is none.
    pub template_name: String,
    /// What it is.
    pub spec: InstanceSpec,
    /// How it is.
    pub health: Health,
}

impl NewInstance {
    /// An instance of which nothing is known yet.
    pub fn new(
        id: impl Into<String>,
        template_name: impl Into<String>,
        spec: InstanceSpec,
    ) -> Self {
        Self {
            id: id.into(),
            template_name: template_name.into(),
            spec,
            health: Health::default(),
        }
    }

    pub(crate) fn into_instance(self, place: i64, now: Time) -> Instance {
        Instance {
            id: self.id,
            template_name: self.template_name,
            spec: self.spec,
            health: self.health,
            revision: Revision::FIRST,
            created_at: now,
            updated_at: now,
            place,
        }
    }

    /// Takes the place of `old`.
    pub(crate) fn replace(self, old: &mut Instance, now: Time) {
        old.template_name = self.template_name;
        old.spec = self.spec;
        old.health = self.health;
        old.revision = old.revision.next();
        old.updated_at = now;
    }
}

/// Which instances.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct InstanceFilter {
    /// Only those of this template.
    pub template_name: Option<String>,
}

impl InstanceFilter {
    /// All instances.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of this template.
    pub fn of_template(name: impl Into<String>) -> Self {
        let template_name = Some(name.into());
        Self { template_name }
    }

    pub(crate) fn takes(&self, instance: &Instance) -> bool {
        let wanted = self.template_name.as_ref();
        wanted.is_none_or(|name| *name == instance.template_name)
    }
}
