//! The management API in the configuration: where its users, keys and servers are kept, and how people
//! and programs come in.

use std::collections::BTreeMap;

use mcp_gw_core::Secret;
use mcp_gw_policy::{ConsumerConfig, Method, RuleConfig, RuleEffect, WhoConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::is_weak;
use super::check::{Checker, is_origin};
use super::path::ConfigPath;
use super::text::DurationText;
use super::types::{Config, seconds};

/// Who vouches for the users and keys of the management API: `iss` of its tokens, and the issuer that
/// rules know them by.
pub(crate) const MANAGEMENT_ISSUER: &str = "mcp-gw";

/// What the ids of callers begin with who come with a key of the management API; its number follows.
pub(crate) const KEY_ID: &str = "key:";

/// The scopes that there are.
const SCOPES: [&str; 4] = ["gateway:read", "gateway:write", "tools:call", "admin"];

/// Secrets that everybody knows, as they stand in documents.
const KNOWN_SECRETS: [&str; 8] = [
    "your-secret-key",
    "your-secret-key-here",
    "your-secret-key-change-in-production",
    "your_secret_key",
    "change-me",
    "changeme",
    "secret",
    "default-secret-key-change-in-production",
];

/// So many audit events are kept unless it is said otherwise: some 500 MB.
const MOST_EVENTS: u64 = 1_000_000;

/// The shortest secret, in bytes: as long as what HMAC-SHA256 makes (RFC 7518 §3.2).
const SHORTEST_SECRET: usize = 32;

/// The longest password, in bytes.
pub(crate) const LONGEST_PASSWORD: usize = 1024;

/// Users, API keys and servers that are managed over HTTP and kept in a database.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ManagementConfig {
    /// Where they are kept: `sqlite:///gateway.db` is a file in the working folder,
    /// `sqlite:////var/lib/gateway.db` one anywhere, `sqlite:///:memory:` is gone with the process,
    /// `postgresql://user:password@host/name` is shared by several gateways.
    #[schemars(extend("writeOnly" = true))]
    pub database_url: Secret<String>,
    /// How many connections to PostgreSQL there may be.
    #[schemars(range(min = 1, max = 1000))]
    pub database_connections: u32,
    /// What tokens are signed with, at least 32 bytes; take it from the environment as
    /// `${GATEWAY_SECRET_KEY}`. Without one it is made at random and kept in the database.
    #[schemars(extend("writeOnly" = true))]
    pub secret_key: Option<Secret<String>>,
    /// Whether callers must show a key or a token. `false` lets everybody do everything who can reach the
    /// gateway.
    pub auth_enabled: bool,
    /// The password of the user `admin`, which is made when there is no user yet; made at random and told
    /// once if not given. The variable `GATEWAY_ADMIN_PASSWORD` says it, too.
    #[schemars(extend("writeOnly" = true))]
    pub admin_password: Option<Secret<String>>,
    /// How long a token is good, in minutes.
    #[schemars(range(min = 1, max = 43_200))]
    pub access_token_expire_minutes: u32,
    /// How long an API key is good that does not say it, in days.
    #[schemars(range(min = 1, max = 3650))]
    pub api_key_expire_days: u32,
    /// How many bytes passwords must have; at most they have 1,024.
    #[schemars(range(min = 8, max = 128))]
    pub min_password_length: usize,
    /// Origins of web pages that may use the API; `*` is every origin, or every one of this machine where callers
    /// need not show who they are.
    pub cors_origins: Vec<String>,
    /// Scopes that users have by their roles, beside `gateway:read` and `tools:call`, which all have:
    /// `{ operator: [gateway:write] }`. Only superusers have `admin`.
    pub role_scopes: BTreeMap<String, Vec<String>>,
    /// How often may be tried to log in.
    pub login: LoginSection,
    /// Programs that servers may be made of that users register, as they write them: `uvx`. Without any, only
    /// superusers on this machine may register commands.
    pub allowed_commands: Vec<String>,
    /// Whether superusers whose requests come straight from this machine may register any command. Say `false`
    /// behind a proxy on this machine, whose requests come from there, too.
    pub local_commands: bool,
    /// Whether users may register URLs of servers in private networks and on this machine.
    pub allow_private: bool,
    /// How calls are spread over the instances of a server that does not say it.
    pub load_balancer: LoadBalancerSection,
    /// What is kept in the database of what was done.
    pub audit: AuditSection,
}

impl Default for ManagementConfig {
    fn default() -> Self {
        Self {
            database_url: Secret::new("sqlite:///gateway.db".to_owned()),
            database_connections: 10,
            secret_key: None,
            auth_enabled: true,
            admin_password: None,
            access_token_expire_minutes: 30,
            api_key_expire_days: 30,
            min_password_length: 8,
            cors_origins: Vec::new(),
            role_scopes: BTreeMap::new(),
            login: LoginSection::default(),
            allowed_commands: Vec::new(),
            local_commands: true,
            allow_private: false,
            load_balancer: LoadBalancerSection::default(),
            audit: AuditSection::default(),
        }
    }
}

impl ManagementConfig {
    /// True when what is in the database is there at the next start.
    #[cfg(feature = "management")]
    fn outlives_the_process(&self) -> bool {
        let url = mcp_gw_store::DatabaseUrl::parse(self.database_url.expose());
        url.is_ok_and(|url| !url.is_in_memory())
    }

    /// Without the feature there is no database.
    #[cfg(not(feature = "management"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    const fn outlives_the_process(&self) -> bool {
        false
    }
}

/// What is kept in the database of what was done: an event for each request, as it is in the log, to be read at
/// `/audit/events`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AuditSection {
    /// Whether events are kept there. They are in the log in any case.
    pub enabled: bool,
    /// How long they are kept.
    pub max_age: DurationText,
    /// How many are kept at most; of more, the oldest go. Of refusals of callers whom nobody knows, 20 a
    /// minute of one address and 60 of all are kept, and as many failed logins; the rest is counted in events `audit.left_out`.
    #[schemars(range(min = 1))]
    pub max_events: Option<u64>,
}

impl Default for AuditSection {
    fn default() -> Self {
        Self {
            enabled: true,
            max_age: seconds(90 * 24 * 60 * 60),
            max_events: Some(MOST_EVENTS),
        }
    }
}

/// How often may be tried to log in. What succeeds is not counted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LoginSection {
    /// How often from one address within the window (IPv6: from one network of 64 bits).
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_address: u32,
    /// How often as one user within the window, from addresses that the user has not logged in from
    /// before; from each of those so often besides.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_user: u32,
    /// The window, which begins with the first failure: at most `1h`.
    pub window: DurationText,
}

impl Default for LoginSection {
    fn default() -> Self {
        Self {
            per_address: 30,
            per_user: 10,
            window: seconds(5 * 60),
        }
    }
}

/// How calls are spread over the instances of a server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LoadBalancerSection {
    /// By which rule.
    pub strategy: SpreadName,
    /// How often it is looked whether instances are well, in seconds.
    #[schemars(range(min = 5, max = 300))]
    pub health_check_interval: u32,
}

impl Default for LoadBalancerSection {
    fn default() -> Self {
        Self {
            strategy: SpreadName::RoundRobin,
            health_check_interval: 30,
        }
    }
}

/// A rule by which calls are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum SpreadName {
    /// In turn.
    #[default]
    RoundRobin,
    /// To the one with the fewest calls under way.
    LeastConnections,
    /// In turn, as often as `instance_metadata.weight` says.
    Weighted,
    /// To the one with the fewest failures.
    HealthBased,
    /// By chance.
    Random,
}

impl SpreadName {
    /// The word for it in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastConnections => "least_connections",
            Self::Weighted => "weighted",
            Self::HealthBased => "health_based",
            Self::Random => "random",
        }
    }
}

impl Config {
    /// True when pins are in the database, in a program that has one: no file is named for them, and what
    /// is in the database outlives the process.
    pub(crate) fn pins_are_stored(&self) -> bool {
        let management = self.management.as_ref();
        !self.pins.is_in_file() && management.is_some_and(ManagementConfig::outlives_the_process)
    }

    /// True when there is a credential that tells who calls: a key or a token of the file, or one of the
    /// management API.
    pub fn knows_callers(&self) -> bool {
        let managed = self.management.as_ref();
        self.auth.has_credentials() || managed.is_some_and(|management| management.auth_enabled)
    }

    /// True when nobody gets in without a key, a token or a signature.
    pub fn is_keyed(&self) -> bool {
        self.auth.is_required() || (self.knows_callers() && !self.auth.anonymous)
    }
}

/// What users and keys need whatever the rules allow: to call, read and get, the scope `tools:call`; to
/// see lists, one that lets them see anything.
pub(super) fn layer(config: &Config) -> Option<ConsumerConfig> {
    config.management.as_ref()?;
    let mut who = WhoConfig::default();
    who.issuers = Some(vec![MANAGEMENT_ISSUER.to_owned()]);
    let mut layer = ConsumerConfig::new("management.scopes", who);
    let rule = |id: &str, scopes: &[&str]| {
        let mut who = WhoConfig::default();
        who.scopes = Some(scopes.iter().map(|scope| (*scope).to_owned()).collect());
        RuleConfig::new(id, RuleEffect::Allow).with_who(who)
    };
    let mut lists = rule("management.scopes:list", &["gateway:read"]);
    lists.methods = Some(vec![
        Method::ToolsList,
        Method::ResourcesList,
        Method::ResourcesTemplatesList,
        Method::PromptsList,
    ]);
    layer.rules = vec![rule("management.scopes:call", &["tools:call"]), lists];
    Some(layer)
}

pub(super) fn check(checker: &mut Checker<'_>, config: &Config, path: &ConfigPath) {
    let Some(management) = &config.management else {
        return;
    };
    database(checker, management, path);
    secret_key(checker, management, path);
    let at = path.key("admin_password");
    if let Some(password) = &management.admin_password {
        let range = management.min_password_length..=LONGEST_PASSWORD;
        if !range.contains(&password.expose().len()) {
            let least = management.min_password_length;
            let message = format!("the password has not {least} to {LONGEST_PASSWORD} bytes");
            let help = "choose another one, such as `openssl rand -base64 24` makes";
            checker.fault(&at, message, help);
        }
    }
    for (role, scopes) in &management.role_scopes {
        for (index, scope) in scopes.iter().enumerate() {
            let at = path.key("role_scopes").key(role).index(index);
            if scope == "admin" {
                let message = "no role has the scope `admin`";
                checker.fault(&at, message, "make the user a superuser instead");
            } else if !SCOPES.contains(&scope.as_str()) {
                let message = format!("{} is no scope", checker.shown(&at, scope));
                let help = "write `gateway:read`, `gateway:write` or `tools:call`";
                checker.fault(&at, message, help);
            }
        }
    }
    for (index, origin) in management.cors_origins.iter().enumerate() {
        if origin != "*" && !is_origin(origin) {
            let at = path.key("cors_origins").index(index);
            let message = format!("{} is not an origin", checker.shown(&at, origin));
            checker.fault(
                &at,
                message,
                "write it as `https://app.example.com`, or `*`",
            );
        }
    }
    for (index, command) in management.allowed_commands.iter().enumerate() {
        if command.trim() != command || command.is_empty() {
            let at = path.key("allowed_commands").index(index);
            let message = "an empty program, or blanks around it";
            checker.fault(&at, message, "write it as `uvx` or `/usr/bin/uvx`");
        }
    }
    let at = path.key("login").key("window");
    checker.duration(&at, management.login.window);
    if management.login.window > seconds(3600) {
        let message = "users could be shut out for longer than an hour";
        checker.fault(&at, message, "write at most `1h`");
    }
    checker.duration(&path.key("audit").key("max_age"), management.audit.max_age);
    if management.audit.max_events == Some(0) {
        let at = path.key("audit").key("max_events");
        let message = "of 0 events none is kept";
        checker.fault(&at, message, "write `enabled: false` instead");
    }
    others(checker, config);
}

fn secret_key(checker: &mut Checker<'_>, management: &ManagementConfig, path: &ConfigPath) {
    let Some(secret) = &management.secret_key else {
        return;
    };
    let at = path.key("secret_key");
    let help = "make one with `openssl rand -hex 32`, or remove the key: one is made and kept in the \
                database then";
    let secret = secret.expose();
    if KNOWN_SECRETS.contains(&secret.trim().to_ascii_lowercase().as_str()) {
        let message =
            "the secret stands in documents that everybody can read: tokens could be forged";
        checker.fault(&at, message, help);
    } else if secret.trim().len() < SHORTEST_SECRET {
        let message = "the secret is shorter than 32 bytes: tokens could be forged";
        checker.fault(&at, message, help);
    } else if is_weak(secret) {
        let message = "the secret is one character again and again: tokens could be forged";
        checker.fault(&at, message, help);
    } else if is_dull(secret) {
        let message = "the secret has hardly any different characters: it may be guessed";
        checker.remark(&at, message, help);
    }
}

/// Fewer than eight different bytes.
fn is_dull(secret: &str) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    seen.extend(secret.bytes());
    seen.len() < 8
}

#[cfg(feature = "management")]
fn database(checker: &mut Checker<'_>, management: &ManagementConfig, path: &ConfigPath) {
    if let Err(error) = mcp_gw_store::DatabaseUrl::parse(management.database_url.expose()) {
        let help = "write `sqlite:///gateway.db` or `postgresql://user:password@host/name`";
        checker.fault(&path.key("database_url"), error.to_string(), help);
    }
}

#[cfg(not(feature = "management"))]
fn database(checker: &mut Checker<'_>, _: &ManagementConfig, path: &ConfigPath) {
    let message = "this program was built without the management API";
    let help = "remove the section, or build with the feature `management`";
    checker.key_fault(path, message, help);
}

/// What other sections say that would be taken for users and keys of the management API.
fn others(checker: &mut Checker<'_>, config: &Config) {
    let auth = ConfigPath::root().key("auth");
    for (index, key) in config.auth.api_keys.iter().enumerate() {
        if key.id.starts_with(KEY_ID) {
            let at = auth.key("api_keys").index(index).key("id");
            let message = "the id is that of a key of the management API";
            checker.fault(&at, message, "choose one that does not begin with `key:`");
        }
    }
    for (index, jwt) in config.auth.jwt.iter().enumerate() {
        if jwt.issuer.as_deref() == Some(MANAGEMENT_ISSUER) {
            let at = auth.key("jwt").index(index).key("issuer");
            let message = "the management API issues its tokens by this name";
            checker.fault(&at, message, "have the issuer call itself something else");
        }
    }
}

#[cfg(test)]
mod tests;
