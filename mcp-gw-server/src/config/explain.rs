//! A configuration in sentences.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use mcp_gw_admin_client::tools::api7::Access;
use url::Url;

use super::apis;
use super::auth;
use super::fault::one_line;
use super::federation;
use super::marks::Marks;
use super::policy;
use super::server::{ServerConfig, ServerTarget};
use super::types::{ApiKeyConfig, Config, HttpConfig, PinMode};

impl HttpConfig {
    /// The address to listen on; `None` if `listen` is not an IP address with a port, which a
    /// loaded configuration never has.
    pub fn listen_address(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }
}

impl Config {
    /// What this configuration means, for people: where the gateway listens, who may call what,
    /// what stands behind it. Nothing in it is secret: neither keys nor the values of `env`,
    /// `headers` and `args`, nor, of a URL, who logs in, the values of the query, and a path that
    /// comes from the environment.
    pub fn explain(&self) -> String {
        self.explained(Self::write_callers)
    }

    /// The same for who serves the program that started it, over standard streams.
    pub fn explain_stdio(&self) -> String {
        self.explained(|config, out| {
            let name = &config.name;
            writeln!(
                out,
                "{name} serves the program that starts it, over standard streams"
            )?;
            writeln!(out, "\nwho may call")?;
            writeln!(out, "  local (that program): {}", config.default_tools())
        })
    }

    fn explained(&self, callers: impl FnOnce(&Self, &mut String) -> fmt::Result) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = callers(self, &mut text).and_then(|()| self.write(&mut text));
        text.lines().map(|line| one_line(line) + "\n").collect()
    }

    fn write_callers(&self, out: &mut String) -> fmt::Result {
        let http = &self.http;
        writeln!(
            out,
            "{} listens on http://{}{}",
            self.name, http.listen, http.path
        )?;
        writeln!(out, "\nwho may call")?;
        for key in &self.auth.api_keys {
            self.write_caller(out, key)?;
        }
        for line in auth::explain(&self.auth) {
            writeln!(out, "  {line}")?;
        }
        if self.management.as_ref().is_some_and(|it| it.auth_enabled) {
            writeln!(out, "  users and API keys that are kept in a database")?;
        }
        let keyless = match http.listen_address() {
            _ if self.auth.anonymous => Some("anonymous (no key)"),
            _ if self.knows_callers() => None,
            Some(address) if address.ip().is_loopback() => {
                Some("local (no key, this machine only)")
            }
            _ if self.is_keyed() => Some("anonymous (no key, a signature)"),
            _ => Some("everybody who can reach the address (no key, `insecure: true`)"),
        };
        if let Some(caller) = keyless {
            writeln!(out, "  {caller}: {}", self.default_tools())?;
        }
        Ok(())
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let http = &self.http;
        let rules = policy::explain(&self.policy);
        if !rules.is_empty() {
            writeln!(out, "\nthe rules")?;
        }
        for line in rules {
            writeln!(out, "  {line}")?;
        }
        writeln!(out, "\nwhat is behind it")?;
        for (name, server) in &self.servers {
            write_server(out, name, server, &self.marks)?;
        }
        apis::explain(out, self)?;
        if !self.endpoints.is_empty() {
            writeln!(out, "\nparts of it under {}", http.path)?;
            for line in federation::explain(&self.endpoints) {
                writeln!(out, "  {line}")?;
            }
        }
        self.write_pins(out)?;
        if let Some(metrics) = self.metrics.explain() {
            writeln!(out, "\n{metrics}")?;
        }
        writeln!(out, "\nlimits")?;
        match self.limits.calls_per_minute {
            Some(calls) => writeln!(out, "  calls per minute and caller: {calls}")?,
            None if self.limits.is_empty() => {
                writeln!(out, "  calls per minute and caller: no limit")?;
            }
            None => {}
        }
        for line in self.limits.explain() {
            writeln!(out, "  {line}")?;
        }
        writeln!(out, "  one call: {}", self.call_timeout)?;
        writeln!(out, "  one request body: {}", http.max_body_size)?;
        let sessions = &http.sessions;
        writeln!(
            out,
            "  sessions: {} per caller, {} in all, idle for {}",
            sessions.max_per_caller, sessions.max_total, sessions.idle_timeout
        )?;
        let input = &self.input;
        writeln!(
            out,
            "  answers of clients to servers: within {}; {} calls wait per caller, {} in all",
            input.timeout, input.max_per_caller, input.max_total
        )?;
        let kinds: Vec<_> = input.allow.iter().map(|kind| kind.capability()).collect();
        match &*kinds {
            [] => writeln!(out, "  servers may ask clients for nothing")?,
            kinds => writeln!(out, "  servers may ask clients for: {}", kinds.join(", "))?,
        }
        match sessions.keys.len() {
            0 => Ok(()),
            keys => writeln!(
                out,
                "  session ids: sealed, keys: {keys}, good for {}",
                sessions.max_age
            ),
        }
    }

    fn write_pins(&self, out: &mut String) -> fmt::Result {
        let modes = self.servers.iter();
        let modes = modes.map(|(name, server)| (name, self.pin_mode(server)));
        let mut modes = modes.filter(|(_, mode)| *mode != PinMode::Off).peekable();
        let place = match &self.pins.file {
            file if self.pins_are_stored() => {
                let beside = file
                    .as_ref()
                    .map(|file| format!("; without `management`, in {}", file.display()));
                let beside = beside.unwrap_or_default();
                Some(format!("the database of `management`{beside}"))
            }
            file => file.as_ref().map(|file| file.display().to_string()),
        };
        if let (Some(place), Some(_)) = (place, modes.peek()) {
            writeln!(out, "\npins in {place}")?;
            for (name, mode) in modes {
                writeln!(out, "  {name}: {}", mode.as_str())?;
            }
        }
        Ok(())
    }

    fn write_caller(&self, out: &mut String, key: &ApiKeyConfig) -> fmt::Result {
        write!(out, "  {}", key.id)?;
        for (label, names) in [("roles", &key.roles), ("groups", &key.groups)] {
            if !names.is_empty() {
                write!(out, " ({label} {})", names.join(", "))?;
            }
        }
        match key.tools.as_deref() {
            None => writeln!(out, ": {}", self.default_tools()),
            Some([]) => writeln!(out, ": no tool"),
            Some(tools) => writeln!(out, ": only {}", tools.join(", ")),
        }
    }

    fn default_tools(&self) -> &'static str {
        policy::in_short(&self.policy)
    }
}

fn write_server(out: &mut String, name: &str, server: &ServerConfig, marks: &Marks) -> fmt::Result {
    let targets = server.targets();
    match &*targets {
        [] => writeln!(out, "  {name}: neither a command nor a URL")?,
        [target] => write_target(out, &format!("  {name}: "), target, marks)?,
        several => {
            let strategy = server.balance.as_ref().map(|balance| balance.strategy);
            let strategy = strategy.unwrap_or_default().as_str();
            writeln!(out, "  {name}: {} replicas, {strategy}", several.len())?;
            for target in several {
                write_target(out, "    ", target, marks)?;
            }
        }
    }
    if let Some(max) = server.max_concurrent {
        writeln!(out, "    at most {max} calls at a time")?;
    }
    Ok(())
}

fn write_target(
    out: &mut String,
    before: &str,
    target: &ServerTarget,
    marks: &Marks,
) -> fmt::Result {
    let shown = |url: &str| {
        if marks.is_from_env(url) {
            origin(url)
        } else {
            address(url)
        }
    };
    match target {
        ServerTarget::Stdio {
            command,
            args,
            timeout,
            ..
        } => {
            let count = args.len();
            let noun = if count == 1 { "argument" } else { "arguments" };
            writeln!(
                out,
                "{before}starts `{command}` with {count} {noun}, answers in {timeout:?}"
            )
        }
        ServerTarget::Http {
            url,
            headers,
            timeout,
            ..
        } => {
            write!(out, "{before}{}", shown(url))?;
            if !headers.is_empty() {
                let names: Vec<&str> = headers.keys().map(String::as_str).collect();
                write!(out, " with {}", names.join(", "))?;
            }
            writeln!(out, ", answers in {timeout:?}")
        }
        ServerTarget::AdminApi { api, timeout } => {
            let (what, url, gateway, access) = api.place();
            let says = match access {
                Access::ReadOnly => "reads only",
                Access::ReadWrite => "may write",
                _ => "shows what it would write",
            };
            write!(out, "{before}{what} at {}, {says}", shown(url))?;
            if let Some(gateway) = gateway {
                write!(out, ", test requests to {}", shown(gateway))?;
            }
            writeln!(out, ", answers in {timeout:?}")
        }
    }
}

/// An address with its path, for whoever wrote it: without user, password and fragment, and of the
/// query no values.
fn address(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else {
        return "an address".to_owned();
    };
    // Addresses that have no place for one refuse, and have none.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_fragment(None);
    if url.query().is_some() {
        let names: Vec<String> = url
            .query_pairs()
            .map(|(name, _)| name.into_owned())
            .collect();
        // A parameter without a value may be a key by itself.
        let has_value = |part: &str| part.contains('=');
        let is_named = url.query().unwrap_or_default().split('&').all(has_value);
        url.set_query(None);
        if is_named {
            let mut query = url.query_pairs_mut();
            for name in names {
                query.append_pair(&name, "...");
            }
        } else {
            url.set_query(Some("..."));
        }
    }
    let shown = String::from(url);
    // The path that every address has says nothing.
    let is_bare = shown.matches('/').count() == 3 && !shown.contains('?');
    match shown.strip_suffix('/') {
        Some(bare) if is_bare => bare.to_owned(),
        _ => shown,
    }
}

/// What may be shown of an address to others: its path may be a capability.
pub(crate) fn origin(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_| "an address".to_owned(),
        |url| url.origin().ascii_serialization(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_path_and_no_secret() {
        for (url, shown) in [
            ("https://h.example/", "https://h.example"),
            ("https://h.example:8443", "https://h.example:8443"),
            ("https://h.example/a/mcp", "https://h.example/a/mcp"),
            ("https://h.example/a/", "https://h.example/a/"),
            (
                "https://ann:s3cret@h.example/mcp#s3cret",
                "https://h.example/mcp",
            ),
            ("https://s3cret@h.example", "https://h.example"),
            (
                "https://h.example/mcp?key=s3cret&team=s3cret",
                "https://h.example/mcp?key=...&team=...",
            ),
            (
                "https://h.example/?key=s3cret",
                "https://h.example/?key=...",
            ),
            ("https://h.example/mcp?s3cret", "https://h.example/mcp?..."),
            (
                "https://h.example/mcp?a=1&s3cret",
                "https://h.example/mcp?...",
            ),
            ("s3cret", "an address"),
        ] {
            assert_eq!(address(url), shown, "{url}");
        }
    }
}
