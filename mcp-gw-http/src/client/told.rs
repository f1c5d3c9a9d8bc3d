//! What is answered. Members that are not known are ignored, and most that are missing are empty. Times are RFC 3339,
//! in UTC.

use std::collections::BTreeMap;

use mcp_gw_core::{RawJson, Secret};
use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    #[serde(default = "Option::default")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    pub(super) const fn new(items: Vec<T>, next_cursor: Option<String>) -> Self {
        Self { items, next_cursor }
    }
}

macro_rules! told {
    ($($(#[$about:meta])* $name:ident {
        $($(#[$member_about:meta])* $member:ident: $type:ty,)*
    })*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Deserialize, Serialize)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$member_about])* pub $member: $type,)*
        }
    )*};
}

pub(super) use told;

/// A login.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Token {
    /// The token.
    pub access_token: Secret<String>,
    /// How long it is good, in seconds.
    pub expires_in: u64,
}

/// A key with its text, which is told only now.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct IssuedKey {
    /// What is known of it.
    #[serde(flatten)]
    pub record: ApiKey,
    /// The key itself.
    pub key: Secret<String>,
}

told! {
    /// Who asks.
    Me {
        /// `user`, `api_key`, or another kind of caller.
        kind: String,
        /// The id of the caller, as in audit events.
        id: String,
        /// The user, or whose key it is.
        user: Option<User>,
        /// The id of the key.
        key_id: Option<i64>,
        /// What is allowed.
        #[serde(default)]
        scopes: Vec<String>,
    }

    /// A user.
    User {
        /// The id.
        id: i64,
        /// The name.
        username: String,
        /// An address.
        email: Option<String>,
        /// The name in full.
        full_name: Option<String>,
        /// Whether logins and keys are good.
        #[serde(default)]
        is_active: bool,
        /// Whether everything is allowed.
        #[serde(default)]
        is_superuser: bool,
        /// For the policy.
        #[serde(default)]
        roles: Vec<String>,
        /// For the policy.
        #[serde(default)]
        groups: Vec<String>,
        /// When it was made.
        #[serde(default)]
        created_at: String,
        /// When it was changed last.
        #[serde(default)]
        updated_at: String,
        /// The revision, for changes that expect it.
        #[serde(skip)]
        etag: Option<String>,
    }

    /// What is known of a key.
    ApiKey {
        /// The id.
        id: i64,
        /// Whose it is.
        user_id: i64,
        /// What it is called.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// What it may do.
        #[serde(default)]
        permissions: Vec<String>,
        /// Whether it is good, unless it has expired.
        #[serde(default)]
        is_active: bool,
        /// When it ends.
        expires_at: Option<String>,
        /// When it was made.
        #[serde(default)]
        created_at: String,
        /// When it was used last.
        last_used: Option<String>,
        /// When it was ended.
        revoked_at: Option<String>,
    }

    /// A server: an instance of a template.
    Server {
        /// The id.
        id: String,
        /// What calls name.
        template_name: String,
        /// Its URL.
        endpoint: Option<String>,
        /// The program and its arguments.
        command: Option<Vec<String>>,
        /// How it is spoken to.
        #[serde(default)]
        transport: String,
        /// Where it runs.
        #[serde(default)]
        backend: String,
        /// The folder of the program.
        working_dir: Option<String>,
        /// The names of the variables of its environment.
        env_vars: Option<BTreeMap<String, String>>,
        /// Whether it gets calls.
        #[serde(default)]
        is_active: bool,
        /// An object, kept as it is.
        instance_metadata: Option<RawJson>,
        /// An object, kept as it is.
        config: Option<RawJson>,
        /// `healthy`, `unhealthy` or `unknown`.
        status: Option<String>,
        /// When it was asked last how it does.
        last_health_check: Option<String>,
        /// What was wrong last.
        last_error: Option<String>,
        /// Why it gets no calls though it is enabled.
        fault: Option<String>,
        /// The name of its endpoint for MCP clients.
        mcp_server: Option<String>,
        /// Tool calls since the gateway started.
        requests: Option<u64>,
        /// Requests under way.
        active_connections: Option<u64>,
        /// When it was registered.
        #[serde(default)]
        created_at: String,
        /// When it was changed last.
        #[serde(default)]
        updated_at: String,
        /// The revision, for changes that expect it.
        #[serde(skip)]
        etag: Option<String>,
    }

    /// The last lines of a server.
    Logs {
        /// Its id.
        server_id: String,
        /// What was wrong last.
        last_error: Option<String>,
        /// The lines, the oldest first.
        #[serde(default)]
        lines: Vec<LogLine>,
    }

    /// A line.
    LogLine {
        /// When.
        time: String,
        /// `server` for what its process wrote, `gateway` for what the gateway says of it.
        source: String,
        /// The line.
        text: String,
    }

    /// A template: what calls name, with the servers that share them.
    Template {
        /// The name.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// How calls are spread.
        #[serde(default)]
        strategy: String,
        /// Seconds.
        #[serde(default)]
        health_check_interval: u32,
        /// How often a call is tried.
        #[serde(default)]
        max_retries: u32,
        /// Connections to each server.
        #[serde(default)]
        pool_size: u32,
        /// Seconds.
        #[serde(default)]
        timeout: u32,
        /// The name of its endpoint for MCP clients.
        mcp_server: Option<String>,
        /// Its servers.
        #[serde(default)]
        instances: Vec<Server>,
        /// The revision, for changes that expect it.
        #[serde(skip)]
        etag: Option<String>,
    }
}

/// What a tool answered, as it came.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub struct ToolResult(RawJson);

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    content: Vec<Part>,
    #[serde(default, rename = "isError")]
    is_error: bool,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: Option<String>,
}

impl ToolResult {
    fn content(&self) -> Content {
        self.0.decode_owned().unwrap_or(Content {
            content: Vec::new(),
            is_error: false,
        })
    }

    /// Whether the tool says that it failed.
    pub fn is_error(&self) -> bool {
        self.content().is_error
    }

    /// Its texts, each on lines of its own; what is no text is left out.
    pub fn text(&self) -> String {
        let content = self.content().content;
        let texts: Vec<String> = content.into_iter().filter_map(|part| part.text).collect();
        texts.join("\n")
    }

    /// All of it.
    pub const fn raw(&self) -> &RawJson {
        &self.0
    }
}
