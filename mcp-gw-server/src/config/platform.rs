//! The configuration of the gateway of MCP Platform, `gateway.yaml`, and its environment variables: read as they
//! stand and made into a [`Config`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use mcp_gw_core::Secret;
use mcp_gw_policy::PolicyConfig;
use mcp_gw_ratelimit::Classes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::check::Checker;
use super::fault::ConfigFaults;
use super::management::{ManagementConfig, SpreadName};
use super::marks::Marks;
use super::path::{ConfigPath, Spans};
use super::seed::Places;
use super::source;
use super::tree;
use super::types::Config;

/// Where users, keys and servers are kept; `sqlite:///gateway.db` where nothing says it.
const DATABASE_URL: &str = "GATEWAY_DATABASE_URL";

/// All of them.
const VARIABLES: [&str; 11] = [
    "GATEWAY_HOST",
    "GATEWAY_PORT",
    DATABASE_URL,
    "GATEWAY_SECRET_KEY",
    "GATEWAY_AUTH_ENABLED",
    ADMIN_PASSWORD,
    "GATEWAY_CORS_ORIGINS",
    "GATEWAY_ACCESS_TOKEN_EXPIRE_MINUTES",
    ALLOW_PRIVATE,
    ALLOWED_COMMANDS,
    LOCAL_COMMANDS,
];

const ADMIN_PASSWORD: &str = "GATEWAY_ADMIN_PASSWORD";

// Ours alone: the other gateway lets every user register everything.
const ALLOW_PRIVATE: &str = "GATEWAY_ALLOW_PRIVATE";
const ALLOWED_COMMANDS: &str = "GATEWAY_ALLOWED_COMMANDS";
const LOCAL_COMMANDS: &str = "GATEWAY_LOCAL_COMMANDS";

/// The port, where nothing says another one.
const PORT: u16 = 8000;

/// Everything that the file says.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct PlatformFile {
    host: Option<String>,
    #[schemars(range(min = 0, max = 65_535))]
    port: Option<u16>,
    #[schemars(extend("writeOnly" = true))]
    database_url: Option<Secret<String>>,
    database: DatabasePart,
    auth: AuthPart,
    cors_origins: Option<Vec<String>>,
    load_balancer: LoadBalancerPart,
    allow_private: bool,
    allowed_commands: Vec<String>,
    local_commands: Option<bool>,
    insecure: bool,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct DatabasePart {
    #[schemars(extend("writeOnly" = true))]
    url: Option<Secret<String>>,
    echo: bool,
    #[schemars(range(min = 1, max = 500))]
    pool_size: Option<u32>,
    #[schemars(range(min = 0, max = 500))]
    max_overflow: Option<u32>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct AuthPart {
    enabled: Option<bool>,
    #[schemars(extend("writeOnly" = true))]
    secret_key: Option<Secret<String>>,
    #[schemars(range(min = 1, max = 43_200))]
    access_token_expire_minutes: Option<u32>,
    #[schemars(range(min = 1, max = 3650))]
    api_key_expire_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LoadBalancerPart {
    strategy: Option<SpreadName>,
    #[schemars(range(min = 5, max = 300))]
    health_check_interval: Option<u32>,
}

/// True for a file of MCP Platform.
pub(super) fn is_platform(text: &str) -> bool {
    const KEYS: [&str; 6] = [
        "host",
        "port",
        "database_url",
        "database",
        "cors_origins",
        "load_balancer",
    ];
    const OF_AUTH: [&str; 3] = ["enabled", "secret_key", "access_token_expire_minutes"];
    let Ok(Value::Object(file)) = tree::parse(text).map(|root| root.to_json()) else {
        return false;
    };
    let of_auth = |auth: &Value| OF_AUTH.iter().any(|key| auth.get(key).is_some());
    if !KEYS.iter().any(|key| file.contains_key(*key)) && !file.get("auth").is_some_and(of_auth) {
        return false;
    }
    let ours = source::schema_of::<Config>();
    let is_ours =
        |key: &String| key != "auth" && ours.pointer(&format!("/properties/{key}")).is_some();
    !file.keys().any(is_ours)
}

/// What the variables say without a file; `None` when none of them is set.
pub(super) fn from_env(
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<Result<Config, ConfigFaults>> {
    VARIABLES.iter().find_map(|name| set(env, name))?;
    let nothing = Spans::default();
    let made = made("environment", &PlatformFile::default(), &nothing, env);
    Some(made.map(|mut config| {
        config.marks = marks(&Value::Null, env);
        config
    }))
}

/// Reads such a file; variables of the environment are stronger than what it says.
pub(super) fn load(
    file_name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigFaults> {
    let read = source::Read::of::<PlatformFile>(file_name, text, env)?;
    let marks = marks(read.value(), env);
    let found = read.typed::<PlatformFile>();
    let found = found.map_err(|faults| ConfigFaults::new(file_name, faults))?;
    let mut config = made(file_name, &found.value, &found.spans, env)?;
    config.marks = marks;
    config.pins.or_beside(Path::new(file_name));
    Ok(config)
}

/// `admin_password`, where a file of ours does not say it.
pub(super) fn admin_password(config: &mut Config, env: &dyn Fn(&str) -> Option<String>) {
    if let Some(management) = &mut config.management
        && management.admin_password.is_none()
    {
        management.admin_password = set(env, ADMIN_PASSWORD).map(Secret::new);
    }
}

fn flag(text: &str) -> Option<bool> {
    text.to_ascii_lowercase().parse().ok()
}

/// A variable that is set and empty is none that is set.
fn set(env: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    env(name).filter(|text| !text.trim().is_empty())
}

fn made(
    file_name: &str,
    file: &PlatformFile,
    spans: &Spans,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigFaults> {
    let mut it = Translation {
        checker: Checker::new(spans),
        places: Places::default(),
        env,
        config: Config::default().with_policy(PolicyConfig::allow()),
    };
    it.config.limits.classes = Some(Classes::Standard);
    let management = it.management(file);
    let auth_enabled = management.auth_enabled;
    it.config.management = Some(management);
    it.listen(file, auth_enabled);
    let Translation {
        checker,
        places,
        config,
        ..
    } = it;
    let mut config = config;
    let (mut faults, mut remarks) = checker.into_parts();
    let (found, told) = Checker::nowhere().run(&config);
    for fault in places.of_theirs(found, spans, !faults.is_empty()) {
        if !faults.iter().any(|known| known.path() == fault.path()) {
            faults.push(fault);
        }
    }
    if !faults.is_empty() {
        return Err(ConfigFaults::new(file_name, faults));
    }
    remarks.extend(places.of_theirs(told, spans, false));
    config.remarks = Some(remarks);
    Ok(config)
}

/// A configuration that is being made.
struct Translation<'a> {
    checker: Checker<'a>,
    places: Places,
    env: &'a dyn Fn(&str) -> Option<String>,
    config: Config,
}

impl Translation<'_> {
    fn management(&mut self, file: &PlatformFile) -> ManagementConfig {
        let root = ConfigPath::root();
        let auth = root.key("auth");
        let mut to = ManagementConfig::default();
        if let Some(url) = self.database_url(file) {
            to.database_url = url;
        }
        if let Some(size) = file.database.pool_size {
            to.database_connections = size.saturating_add(file.database.max_overflow.unwrap_or(0));
            self.put(
                "database_connections",
                &root.key("database").key("pool_size"),
            );
        }
        if file.database.echo {
            let at = root.key("database").key("echo");
            let help = "`--log` says what of the log is shown";
            self.checker.remark(
                &at,
                "not active: statements are not written to the log",
                help,
            );
        }
        to.secret_key = self.text("GATEWAY_SECRET_KEY", "secret_key", &auth.key("secret_key"));
        to.secret_key = to.secret_key.or_else(|| file.auth.secret_key.clone());
        to.admin_password = self.text(ADMIN_PASSWORD, "admin_password", &root);
        let enabled = self.parsed("GATEWAY_AUTH_ENABLED", "`true` or `false`", flag);
        to.auth_enabled = enabled.or(file.auth.enabled).unwrap_or(true);
        let minutes = "GATEWAY_ACCESS_TOKEN_EXPIRE_MINUTES";
        let minutes = self.parsed(minutes, "a whole number from 1 to 43200", |text| {
            let minutes: Option<u32> = text.parse().ok();
            minutes.filter(|minutes| (1..=43_200).contains(minutes))
        });
        if let Some(minutes) = minutes.or(file.auth.access_token_expire_minutes) {
            to.access_token_expire_minutes = minutes;
        }
        if let Some(days) = file.auth.api_key_expire_days {
            to.api_key_expire_days = days;
        }
        to.cors_origins = self.origins(file);
        let private = self.parsed(ALLOW_PRIVATE, "`true` or `false`", flag);
        to.allow_private = private.unwrap_or(file.allow_private);
        to.allowed_commands = self.commands(file);
        let local = self.parsed(LOCAL_COMMANDS, "`true` or `false`", flag);
        to.local_commands = local.or(file.local_commands).unwrap_or(true);
        if let Some(strategy) = file.load_balancer.strategy {
            to.load_balancer.strategy = strategy;
        }
        if let Some(seconds) = file.load_balancer.health_check_interval {
            to.load_balancer.health_check_interval = seconds;
        }
        to
    }

    fn database_url(&mut self, file: &PlatformFile) -> Option<Secret<String>> {
        let (top, inner) = (
            ConfigPath::root().key("database_url"),
            ConfigPath::root().key("database").key("url"),
        );
        if file.database_url.is_some() && file.database.url.is_some() {
            let message = "`database_url` says it, too";
            self.checker
                .key_fault(&inner, message, "keep one of the two");
        }
        let at = if file.database.url.is_some() {
            inner
        } else {
            top
        };
        let of_env = self.text(DATABASE_URL, "database_url", &at);
        of_env
            .or_else(|| file.database_url.clone())
            .or_else(|| file.database.url.clone())
    }

    fn origins(&mut self, file: &PlatformFile) -> Vec<String> {
        self.list("GATEWAY_CORS_ORIGINS", "cors_origins")
            .or_else(|| file.cors_origins.clone())
            .unwrap_or_else(|| vec!["*".to_owned()])
    }

    fn commands(&mut self, file: &PlatformFile) -> Vec<String> {
        self.list(ALLOWED_COMMANDS, "allowed_commands")
            .unwrap_or_else(|| file.allowed_commands.clone())
    }

    /// A variable that has texts between commas, instead of the key of this name.
    fn list(&mut self, name: &str, key: &str) -> Option<Vec<String>> {
        let found = set(self.env, name);
        let at = if found.is_some() { name } else { key };
        self.put(key, &ConfigPath::root().key(at));
        let text = found?;
        let items = text.split(',').map(str::trim);
        let items = items.filter(|item| !item.is_empty());
        Some(items.map(str::to_owned).collect())
    }

    /// Where it listens: everywhere, as callers need a key or a token; only on this machine where they do
    /// not.
    fn listen(&mut self, file: &PlatformFile, auth_enabled: bool) {
        let root = ConfigPath::root();
        let port = self.parsed("GATEWAY_PORT", "a port from 0 to 65535", |text| {
            text.parse().ok()
        });
        let port = port.or(file.port).unwrap_or(PORT);
        let (host, at) = match set(self.env, "GATEWAY_HOST") {
            Some(host) => (Some(host), root.key("GATEWAY_HOST")),
            None => (file.host.clone(), root.key("host")),
        };
        let ours = root.key("http").key("listen");
        self.places.put(ours, at.clone());
        let insecure = root.key("http").key("insecure");
        self.places.put(insecure, root.key("insecure"));
        let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let address = match host.as_deref().map(str::trim) {
            None if auth_enabled => everywhere,
            None | Some("localhost") => here,
            Some(host) => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                bare.parse().unwrap_or_else(|_| {
                    let message = "this is not an address to listen on";
                    let help = "write `0.0.0.0`, `127.0.0.1`, `::` or another IP address";
                    self.checker.fault(&at, message, help);
                    here
                })
            }
        };
        self.config.http.listen = SocketAddr::new(address, port).to_string();
        self.config.http.insecure = file.insecure;
    }

    /// A variable that is text, instead of the key at `theirs`.
    fn text(&mut self, name: &str, ours: &str, theirs: &ConfigPath) -> Option<Secret<String>> {
        let found = set(self.env, name).map(Secret::new);
        let variable = ConfigPath::root().key(name);
        self.put(ours, if found.is_some() { &variable } else { theirs });
        found
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        what: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = set(self.env, name)?;
        let value = parse(text.trim());
        if value.is_none() {
            let at = ConfigPath::root().key(name);
            let message = format!("the variable is not {what}");
            self.checker.fault(&at, message, format!("write {what}"));
        }
        value
    }

    fn put(&mut self, ours: &str, theirs: &ConfigPath) {
        let ours = ConfigPath::root().key("management").key(ours);
        self.places.put(ours, theirs.clone());
    }
}

/// What stands for each section of ours, to know what a later file says differently.
fn marks(file: &Value, env: &dyn Fn(&str) -> Option<String>) -> Marks {
    let at = |key: &str| file.get(key).cloned().unwrap_or_default();
    let variables = VARIABLES.map(env);
    let [host, port, _, _, enabled, ..] = &variables;
    let of_http = json!([at("host"), at("port"), at("insecure"), host, port]);
    let keys = [
        "database_url",
        "database",
        "auth",
        "cors_origins",
        "load_balancer",
        "allow_private",
        "allowed_commands",
        "local_commands",
    ];
    let auth = at("auth").get("enabled").cloned();
    Marks::of(&json!({
        "http": of_http,
        "auth": [auth, enabled],
        "management": [keys.map(at), variables],
    }))
}

#[cfg(all(test, feature = "management"))]
mod tests;
