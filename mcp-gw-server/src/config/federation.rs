//! How servers share one gateway: whose names and URIs are changed, and which endpoints show what.

use std::collections::BTreeMap;

use mcp_gw_core::{Glob, Mounting, Naming, UriNaming};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::apis::ApiConfig;
use super::check::{Checker, is_server_name};
use super::fault::short;
use super::path::ConfigPath;
use super::server::ServerConfig;
use super::types::Config;

/// When names of tools and prompts get the prefix of their server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum PrefixMode {
    /// Each name has it.
    Always,
    /// A name has it that a server before this one uses too. Servers stand in the order of their
    /// names.
    OnCollision,
    /// No name has it; a name that a server before this one uses too is left out.
    Never,
}

/// What clients see of the URIs of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum UriMode {
    /// They are what the server calls them.
    Keep,
    /// They say whose they are: `docs+file:///a`, and `ui://docs__page`.
    Prefix,
}

/// A part of the gateway with a path of its own: `/mcp/<name>`. It shows everything of `servers`, and
/// what the patterns match besides. Names are those that clients see at `/mcp`; so are the names
/// that rules, limits and the audit log know, whatever the path. Every server has such an endpoint
/// under its name without this, where its names and URIs are its own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct EndpointConfig {
    /// Servers of which everything is shown.
    pub servers: Vec<String>,
    /// Tools that are shown. `*` stands for any characters, `?` for one, and `\` takes the next as it
    /// is.
    pub tools: Vec<String>,
    /// Prompts that are shown.
    pub prompts: Vec<String>,
    /// URIs of resources and resource templates that are shown.
    pub resources: Vec<String>,
    /// What clients of this endpoint are told about its use; if not given, what the servers say.
    pub instructions: Option<String>,
}

impl Config {
    /// How a server of this configuration is put into the gateway. One server alone keeps its names
    /// and URIs unless it says otherwise; several have prefixes.
    pub(crate) fn mounting(&self, name: &str, server: &ServerConfig) -> Mounting {
        let naming = match server.prefix {
            Some(PrefixMode::Always) => Naming::Always,
            Some(PrefixMode::OnCollision) => Naming::OnCollision,
            None if self.servers.len() > 1 => Naming::Always,
            Some(PrefixMode::Never) | None => Naming::Never,
        };
        let mounting = Mounting::new(naming, server.prefix_name.as_deref().unwrap_or(name));
        match server.uris {
            None => mounting,
            Some(UriMode::Keep) => mounting.with_uris(UriNaming::Keep),
            Some(UriMode::Prefix) => mounting.with_uris(UriNaming::Prefix),
        }
    }
}

impl Config {
    /// How the tools of an API are put into the gateway: without a prefix where nothing else has tools.
    pub(crate) fn api_mounting(&self, name: &str, api: &ApiConfig) -> Mounting {
        let apis = self.apis.values().filter(|api| api.has_tools()).count();
        let is_alone = self.servers.is_empty() && apis == 1;
        let naming = match api.prefix {
            Some(PrefixMode::OnCollision) => Naming::OnCollision,
            Some(PrefixMode::Never) => Naming::Never,
            None if is_alone => Naming::Never,
            Some(PrefixMode::Always) | None => Naming::Always,
        };
        Mounting::new(naming, api.prefix_name.as_deref().unwrap_or(name))
    }
}

/// Reports what is wrong with how the servers of `config` stand beside each other.
pub(super) fn check(checker: &mut Checker<'_>, config: &Config, root: &ConfigPath) {
    let path = root.key("servers");
    let mut before: Vec<(&str, Mounting)> = Vec::new();
    for (name, server) in &config.servers {
        let at = path.key(name);
        let mounting = config.mounting(name, server);
        if let Some(prefix) = &server.prefix_name {
            prefix_name(checker, prefix, &mounting, &at.key("prefix_name"));
        }
        let is_good = is_server_name(name) || server.prefix_name.is_some();
        let clash = before
            .iter()
            .filter(|(other, _)| !other.eq_ignore_ascii_case(name))
            .find(|(_, other)| other.is_ambiguous_beside(&mounting));
        if let Some((other, _)) = clash.filter(|_| is_good) {
            let message = format!(
                "with its prefix, names or URIs of this server could be taken for those of \
                 `servers.{other}`"
            );
            let help = "give one of the two another `prefix_name`, without `__` and without `_` at \
                        its end";
            checker.key_fault(&at, message, help);
        }
        before.push((name, mounting));
    }
    for (name, api) in config.apis.iter().filter(|(_, api)| api.has_tools()) {
        let at = root.key("apis").key(name);
        let mounting = config.api_mounting(name, api);
        if let Some(prefix) = &api.prefix_name {
            prefix_name(checker, prefix, &mounting, &at.key("prefix_name"));
        }
        let is_good = is_server_name(name) || api.prefix_name.is_some();
        let clash = before
            .iter()
            .filter(|(other, _)| !other.eq_ignore_ascii_case(name))
            .find(|(_, other)| other.is_ambiguous_beside(&mounting));
        if let Some((other, _)) = clash.filter(|_| is_good) {
            let message = format!(
                "with its prefix, names of tools of this API could be taken for those of `{other}`"
            );
            let help = "give one of the two another `prefix_name`, without `__` and without `_` at \
                        its end";
            checker.key_fault(&at, message, help);
        }
        before.push((name, mounting));
    }
    let path = root.key("endpoints");
    for (name, endpoint) in &config.endpoints {
        one_endpoint(checker, config, (name, endpoint), &path.key(name));
    }
}

fn prefix_name(checker: &mut Checker<'_>, prefix: &str, mounting: &Mounting, at: &ConfigPath) {
    if mounting.naming == Naming::Never && mounting.uris == UriNaming::Keep {
        let message = "nothing of this server gets a prefix";
        checker.key_fault(at, message, "remove it, or add `prefix: always`");
    } else if !mounting.has_prefix() || prefix.len() > 64 {
        let message = format!("`{}` cannot be a prefix", short(prefix));
        checker.fault(at, message, "use 1 to 64 of `A-Z a-z 0-9 _ - .`");
    }
}

fn one_endpoint(
    checker: &mut Checker<'_>,
    config: &Config,
    (name, endpoint): (&str, &EndpointConfig),
    path: &ConfigPath,
) {
    if !is_server_name(name) {
        let message = format!("`{}` cannot be the name of an endpoint", short(name));
        checker.key_fault(path, message, "use 1 to 64 of `A-Z a-z 0-9 _ -`");
    }
    if config.server_names().any(|server| server == name) {
        let message = "the server of this name has an endpoint of this name already";
        checker.key_fault(path, message, "choose another name");
    }
    for (index, server) in endpoint.servers.iter().enumerate() {
        if !config.server_names().any(|name| name == server) {
            let at = path.key("servers").index(index);
            let message = format!("there is no server {}", checker.shown(&at, server));
            checker.fault(&at, message, "write a name that `servers` has");
        } else if config.apis.get(server).is_some_and(|api| !api.has_tools()) {
            let message =
                format!("the API `{server}` has no tools of its own: nothing of it is shown here");
            let help = format!(
                "give it `openapi` or `tools`; or name `{}`, which reaches every API that a caller may use",
                config.rest.tool_name
            );
            checker.remark(&path.key("servers").index(index), message, help);
        }
    }
    let patterns = [
        ("tools", &endpoint.tools),
        ("prompts", &endpoint.prompts),
        ("resources", &endpoint.resources),
    ];
    for (key, patterns) in patterns {
        for (index, pattern) in patterns.iter().enumerate() {
            if pattern.is_empty() || pattern.trim() != pattern {
                let at = path.key(key).index(index);
                let message = "an empty pattern, or blanks around it, match nothing";
                checker.fault(&at, message, "write a name, or a pattern such as `docs__*`");
            } else if Glob::parse(pattern).is_none() {
                let at = path.key(key).index(index);
                let message = "the pattern ends in a backslash that escapes nothing";
                checker.fault(&at, message, "write two for a backslash");
            }
        }
    }
    let is_empty = patterns.iter().all(|(_, patterns)| patterns.is_empty());
    if is_empty && endpoint.servers.is_empty() {
        let help = "add `servers`, `tools`, `prompts` or `resources`";
        checker.fault(path, "the endpoint shows nothing", help);
    }
}

/// Endpoints for people, one line each.
pub(super) fn explain(endpoints: &BTreeMap<String, EndpointConfig>) -> Vec<String> {
    let line = |(name, endpoint): (&String, &EndpointConfig)| {
        let parts = [
            ("everything of", &endpoint.servers),
            ("tools", &endpoint.tools),
            ("prompts", &endpoint.prompts),
            ("resources", &endpoint.resources),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what} {}", names.join(", ")))
            .collect();
        format!("{name}: {}", parts.join("; "))
    };
    endpoints.iter().map(line).collect()
}
