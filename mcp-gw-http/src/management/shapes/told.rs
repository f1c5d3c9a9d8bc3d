//! The bodies of answers.

use std::collections::BTreeMap;

use mcp_gw_core::RawJson;
use mcp_gw_server::registry::{LogLine, ServerView, TemplateView};
use mcp_gw_server::store::{ApiKey, Page, Time, User};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// A time as this API writes it: RFC 3339, in UTC.
pub(super) fn iso(time: impl Into<Time>) -> String {
    time.into().to_string()
}

/// A sentence about what was done.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Message {
    pub(crate) message: String,
}

#[derive(Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "RFC 6749 names them")]
pub(crate) struct Token {
    pub(crate) access_token: String,
    pub(crate) token_type: &'static str,
    /// Seconds.
    pub(crate) expires_in: u64,
}

/// Who asks.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Me {
    /// `user`, `api_key`, or another kind of caller that the configuration knows.
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) user: Option<UserShown>,
    pub(crate) key_id: Option<i64>,
    pub(crate) scopes: Vec<&'static str>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "User")]
pub(crate) struct UserShown {
    id: i64,
    username: String,
    email: Option<String>,
    full_name: Option<String>,
    is_active: bool,
    is_superuser: bool,
    roles: Vec<String>,
    groups: Vec<String>,
    created_at: String,
    updated_at: String,
}

impl From<User> for UserShown {
    fn from(user: User) -> Self {
        Self {
            id: user.id.get(),
            username: user.username,
            email: user.email,
            full_name: user.full_name,
            is_active: user.is_active,
            is_superuser: user.is_superuser,
            roles: user.roles,
            groups: user.groups,
            created_at: iso(user.created_at),
            updated_at: iso(user.updated_at),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
pub(crate) struct KeyShown {
    id: i64,
    user_id: i64,
    name: String,
    description: Option<String>,
    scopes: Vec<String>,
    /// The same as `scopes`.
    permissions: Vec<String>,
    is_active: bool,
    expires_at: Option<String>,
    created_at: String,
    last_used: Option<String>,
    revoked_at: Option<String>,
    /// The key itself: told once, when it is made or exchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl From<ApiKey> for KeyShown {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.get(),
            user_id: key.user_id.get(),
            name: key.name,
            description: key.description,
            permissions: key.scopes.clone(),
            scopes: key.scopes,
            is_active: key.is_active && key.revoked_at.is_none(),
            expires_at: key.expires_at.map(iso),
            created_at: iso(key.created_at),
            last_used: key.last_used.map(iso),
            revoked_at: key.revoked_at.map(iso),
            key: None,
        }
    }
}

impl KeyShown {
    pub(crate) fn with_text(mut self, text: String) -> Self {
        self.key = Some(text);
        self
    }
}

/// A page of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(crate) struct PageOf<T> {
    items: Vec<T>,
    /// For `cursor`; `null` on the last page.
    next_cursor: Option<String>,
}

impl<T> PageOf<T> {
    pub(crate) fn of<S: Into<T>>(page: Page<S>) -> Self {
        Self {
            items: page.items.into_iter().map(Into::into).collect(),
            next_cursor: page.next.map(|next| next.as_str().to_owned()),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Server")]
pub(crate) struct ServerShown {
    id: String,
    /// The same as `id`.
    server_id: String,
    template_name: String,
    endpoint: Option<String>,
    command: Option<Vec<String>>,
    transport: &'static str,
    backend: &'static str,
    container_id: Option<String>,
    deployment_id: Option<String>,
    namespace: Option<String>,
    working_dir: Option<String>,
    /// The names of the variables: their values are not shown.
    env_vars: Option<BTreeMap<String, &'static str>>,
    is_active: bool,
    #[schemars(with = "Option<Map<String, Value>>")]
    instance_metadata: Option<RawJson>,
    #[schemars(with = "Option<Map<String, Value>>")]
    config: Option<RawJson>,
    /// `healthy`, `unhealthy` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(flatten)]
    health: Option<HealthShown>,
    created_at: String,
    updated_at: String,
}

/// How a server does.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ServerHealth")]
pub(crate) struct HealthShown {
    last_health_check: Option<String>,
    consecutive_failures: u32,
    last_error: Option<String>,
    /// Why it gets no calls though it is enabled.
    fault: Option<String>,
    /// The name of its endpoint for MCP clients, while it has one.
    mcp_server: Option<String>,
    /// Tool calls since the gateway started.
    requests: u64,
    /// Requests under way.
    active_connections: usize,
}

impl From<ServerView> for ServerShown {
    fn from(view: ServerView) -> Self {
        let ServerView {
            instance,
            server,
            fault,
            requests,
            active,
            ..
        } = view;
        let (spec, health) = (instance.spec, instance.health);
        let hidden = |vars: mcp_gw_server::store::EnvVars| {
            vars.names()
                .map(|name| (name.to_owned(), "[redacted]"))
                .collect()
        };
        Self {
            server_id: instance.id.clone(),
            id: instance.id,
            template_name: instance.template_name,
            endpoint: spec.endpoint,
            command: spec.command,
            transport: spec.transport.as_str(),
            backend: spec.backend.as_str(),
            container_id: spec.container_id,
            deployment_id: spec.deployment_id,
            namespace: spec.namespace,
            working_dir: spec.working_dir,
            env_vars: spec.env_vars.map(hidden),
            is_active: spec.is_active,
            instance_metadata: spec.instance_metadata,
            config: spec.config,
            status: Some(health.status.as_str()),
            health: Some(HealthShown {
                last_health_check: health.last_health_check.map(iso),
                consecutive_failures: health.consecutive_failures,
                last_error: health.last_error,
                fault: fault.map(|fault| fault.to_string()),
                mcp_server: server.map(|server| server.to_string()),
                requests,
                active_connections: active,
            }),
            created_at: iso(instance.created_at),
            updated_at: iso(instance.updated_at),
        }
    }
}

impl ServerShown {
    /// Without how it does.
    pub(crate) fn without_health(mut self) -> Self {
        self.status = None;
        self.health = None;
        self
    }
}

/// A line of the log of a server.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogLine")]
pub(crate) struct LineShown {
    time: String,
    /// `server` for what its process wrote, `gateway` for what the gateway says of it.
    source: &'static str,
    text: String,
}

impl From<LogLine> for LineShown {
    fn from(line: LogLine) -> Self {
        Self {
            time: iso(line.time),
            source: if line.is_own { "server" } else { "gateway" },
            text: line.text,
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Logs {
    pub(crate) server_id: String,
    pub(crate) last_error: Option<String>,
    pub(crate) lines: Vec<LineShown>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Template")]
pub(crate) struct TemplateShown {
    name: String,
    description: Option<String>,
    strategy: &'static str,
    health_check_interval: u32,
    max_retries: u32,
    pool_size: u32,
    timeout: u32,
    mcp_server: Option<String>,
    instances: Vec<ServerShown>,
    created_at: String,
    updated_at: String,
}

impl From<TemplateView> for TemplateShown {
    fn from(view: TemplateView) -> Self {
        let (template, spread) = (view.template, view.instances);
        let balancer = template.load_balancer;
        Self {
            name: template.name,
            description: template.description,
            strategy: balancer.strategy.as_str(),
            health_check_interval: balancer.health_check_interval,
            max_retries: balancer.max_retries,
            pool_size: balancer.pool_size,
            timeout: balancer.timeout,
            mcp_server: view.server.map(|server| server.to_string()),
            instances: spread.into_iter().map(Into::into).collect(),
            created_at: iso(template.created_at),
            updated_at: iso(template.updated_at),
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Names {
    pub(crate) templates: Vec<String>,
}
