//! What is sent.

use std::collections::BTreeMap;

use mcp_gw_core::{RawJson, Secret};
use serde::{Serialize, Serializer};

#[expect(clippy::ref_option, reason = "serde calls it with the field")]
fn exposed<S: Serializer>(secret: &Option<Secret<String>>, to: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(to)
}

fn told<S: Serializer>(secret: &Secret<String>, to: S) -> Result<S::Ok, S::Error> {
    secret.expose().serialize(to)
}

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageQuery {
    /// How many at most, 1 to 1000; as the gateway has it if not given.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// The first page of so many.
    pub const fn first(limit: u32) -> Self {
        Self {
            limit: Some(limit),
            cursor: None,
        }
    }

    /// The page after the one that gave this cursor.
    #[must_use]
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }
}

/// Which users.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct UserQuery {
    /// Only those who are active, or not.
    pub is_active: Option<bool>,
    /// Only superusers, or none of them.
    pub is_superuser: Option<bool>,
}

/// Which keys.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct KeyQuery {
    /// Only those of this user.
    pub user_id: Option<i64>,
}

impl KeyQuery {
    /// The keys of a user.
    pub const fn of_user(user_id: i64) -> Self {
        Self {
            user_id: Some(user_id),
        }
    }
}

/// Which servers.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServerQuery {
    /// Only those of this template.
    pub template_name: Option<String>,
}

impl ServerQuery {
    /// The servers of a template.
    pub fn of_template(name: impl Into<String>) -> Self {
        Self {
            template_name: Some(name.into()),
        }
    }
}

/// Which audit events.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AuditQuery {
    /// Those that began at this ISO time or later.
    pub from: Option<String>,
    /// Those that began before this ISO time.
    pub to: Option<String>,
    /// Those of this caller.
    pub caller_id: Option<String>,
    /// Those with this method of MCP, or this operation.
    pub method: Option<String>,
    /// Those about this tool, resource, prompt or record.
    pub name: Option<String>,
    /// Those of this server.
    pub server: Option<String>,
    /// Those that ended so: `ok`, `tool_error`, `denied` and others.
    pub outcome: Option<String>,
}

/// A user to be made.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct NewUser {
    /// The name; no other user has it, in whichever case.
    pub username: String,
    /// The password.
    #[serde(serialize_with = "told")]
    pub password: Secret<String>,
    /// An address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The name in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// Whether logins and keys are good.
    pub is_active: bool,
    /// Whether everything is allowed.
    pub is_superuser: bool,
    /// For the policy.
    pub roles: Vec<String>,
    /// For the policy.
    pub groups: Vec<String>,
}

impl NewUser {
    /// An active user who is no superuser.
    pub fn new(username: impl Into<String>, password: Secret<String>) -> Self {
        Self {
            username: username.into(),
            password,
            email: None,
            full_name: None,
            is_active: true,
            is_superuser: false,
            roles: Vec::new(),
            groups: Vec::new(),
        }
    }
}

/// What is changed of a user; what is `None` stays.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct UserChange {
    /// Ends all tokens of the user.
    #[serde(serialize_with = "exposed", skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret<String>>,
    /// `Some(None)` takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Option<String>>,
    /// `Some(None)` takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_name: Option<Option<String>>,
    /// `false` ends all tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
    /// Whether everything is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_superuser: Option<bool>,
    /// For the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// For the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

/// A key to be made.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct NewKey {
    /// What it is called.
    pub name: String,
    /// What it may do: `gateway:read`, `gateway:write`, `tools:call`, `admin`.
    pub permissions: Vec<String>,
    /// Whose it is: of who asks if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<i64>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// An ISO time; as the gateway has it if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

impl NewKey {
    /// A key of one's own.
    pub fn new<S: Into<String>>(
        name: impl Into<String>,
        permissions: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            name: name.into(),
            permissions: permissions.into_iter().map(Into::into).collect(),
            user_id: None,
            description: None,
            expires_at: None,
        }
    }
}

/// How a server is reached.
#[derive(Clone, Default, Serialize)]
#[non_exhaustive]
pub struct ServerPlace {
    /// Its URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The program and its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// As the gateway finds it if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The folder of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Its environment. The gateway does not tell the values, and neither does `Debug`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_vars: Option<BTreeMap<String, String>>,
    /// Whether it gets calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
    /// An object, kept as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_metadata: Option<RawJson>,
    /// An object, kept as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<RawJson>,
}

impl std::fmt::Debug for ServerPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.env_vars.as_ref().map(|vars| vars.keys());
        f.debug_struct("ServerPlace")
            .field("endpoint", &self.endpoint)
            .field("command", &self.command)
            .field("env_vars", &names)
            .field("is_active", &self.is_active)
            .finish_non_exhaustive()
    }
}

/// A server to be registered.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct NewServer {
    /// What calls name; several servers of a template share its calls.
    pub template_name: String,
    /// Its id; one is made if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it is.
    #[serde(flatten)]
    pub place: ServerPlace,
}

impl NewServer {
    /// A server of this template, which is nowhere yet.
    pub fn new(template_name: impl Into<String>) -> Self {
        Self {
            template_name: template_name.into(),
            id: None,
            place: ServerPlace::default(),
        }
    }

    /// Sets the id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the URL.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.place.endpoint = Some(endpoint.into());
        self
    }

    /// Sets the program and its arguments.
    #[must_use]
    pub fn with_command<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.place.command = Some(words.into_iter().map(Into::into).collect());
        self
    }
}

/// What is changed of a server; what is `None` stays, `Some(None)` takes it away.
#[derive(Clone, Default, Serialize)]
#[non_exhaustive]
pub struct ServerChange {
    /// Its URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Option<String>>,
    /// The program and its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Option<Vec<String>>>,
    /// How it is spoken to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// The folder of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<Option<String>>,
    /// Its environment, all of it. `Debug` does not show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_vars: Option<Option<BTreeMap<String, String>>>,
    /// Whether it gets calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
    /// An object, kept as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_metadata: Option<Option<RawJson>>,
    /// An object, kept as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Option<RawJson>>,
}

impl std::fmt::Debug for ServerChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerChange")
            .field("endpoint", &self.endpoint)
            .field("command", &self.command)
            .field("is_active", &self.is_active)
            .finish_non_exhaustive()
    }
}

/// What is changed of a template; what is `None` stays.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct TemplateChange {
    /// `Some(None)` takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<String>>,
    /// How calls are spread: `round_robin` and others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Seconds, 5 to 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_interval: Option<u32>,
    /// 1 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// 1 to 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_size: Option<u32>,
    /// Seconds, 5 to 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
}
