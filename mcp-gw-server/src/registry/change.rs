//! What is changed of a server.

use mcp_gw_core::RawJson;
use mcp_gw_store::{Edit, EnvVars, HostKind, InstanceSpec, ServerTransport};

/// What to change of a server: the members of [`InstanceSpec`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServerChange {
    /// Another URL, or none.
    pub endpoint: Edit<Option<String>>,
    /// Another program with its arguments, or none.
    pub command: Edit<Option<Vec<String>>>,
    /// Another way to reach it.
    pub transport: Edit<ServerTransport>,
    /// What runs it.
    pub backend: Edit<HostKind>,
    /// The id of its container.
    pub container_id: Edit<Option<String>>,
    /// The id of its deployment.
    pub deployment_id: Edit<Option<String>>,
    /// The namespace that it is in.
    pub namespace: Edit<Option<String>>,
    /// The folder that its program is started in.
    pub working_dir: Edit<Option<String>>,
    /// All variables for its program.
    pub env_vars: Edit<Option<EnvVars>>,
    /// Whether calls go there.
    pub is_active: Edit<bool>,
    /// A JSON object of its owner's.
    pub instance_metadata: Edit<Option<RawJson>>,
    /// A JSON object of its owner's.
    pub config: Edit<Option<RawJson>>,
}

impl ServerChange {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn applied(self, to: &InstanceSpec) -> InstanceSpec {
        let mut spec = to.clone();
        self.apply(&mut spec);
        spec
    }

    fn apply(self, spec: &mut InstanceSpec) {
        set(&mut spec.endpoint, self.endpoint);
        set(&mut spec.command, self.command);
        set(&mut spec.transport, self.transport);
        set(&mut spec.backend, self.backend);
        set(&mut spec.container_id, self.container_id);
        set(&mut spec.deployment_id, self.deployment_id);
        set(&mut spec.namespace, self.namespace);
        set(&mut spec.working_dir, self.working_dir);
        set(&mut spec.env_vars, self.env_vars);
        set(&mut spec.is_active, self.is_active);
        set(&mut spec.instance_metadata, self.instance_metadata);
        set(&mut spec.config, self.config);
    }
}

fn set<T>(member: &mut T, edit: Edit<T>) {
    if let Edit::Set(value) = edit {
        *member = value;
    }
}
