//! What a schema cannot say: rules between keys, and values that must mean something.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mcp_gw_ratelimit::{LimitSet, Step};

use super::apis::{self, ApiConfig};
use super::auth;
use super::balance;
use super::credential::KeySource;
use super::fault::{ConfigFaults, Fault, short};
use super::federation;
use super::management;
use super::metrics;
use super::path::{ConfigPath, Spans};
use super::platform;
use super::policy;
use super::seed;
use super::server::ServerConfig;
use super::sessions;
use super::source::{self, Salvaged};
use super::text::DurationText;
use super::types::{ApiKeyConfig, Config, PinMode};
use super::upstream;

impl Config {
    /// Reads and checks a configuration file; see [`load`](super::load) for its syntax.
    ///
    /// Relative paths in the file are taken from the folder of `file_name`. A file of API Gateway MCP is
    /// taken as it stands; see `rest-apis.md`. So is `gateway.yaml` of MCP Platform; see
    /// `management-api.md`.
    ///
    /// # Errors
    ///
    /// Every fault of the file at once. Rules between keys are checked as far as the keys by
    /// themselves are in order.
    pub fn load(
        file_name: &str,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigFaults> {
        if seed::is_seed(text) {
            return seed::load(file_name, text, env);
        }
        if platform::is_platform(text) {
            return platform::load(file_name, text, env);
        }
        let all = |faults| ConfigFaults::new(file_name, faults);
        let read = source::Read::of::<Self>(file_name, text, env)?;
        let mut found = read.salvage::<Self>().map_err(all)?;
        found.value.marks = std::mem::take(&mut found.marks);
        platform::admin_password(&mut found.value, env);
        let path = Path::new(file_name);
        if let Some(folder) = path.parent() {
            found.value.anchor(folder);
        }
        for (name, server) in &found.value.servers {
            for file in server.files() {
                let bytes = std::fs::read(file).unwrap_or_default();
                found.value.marks.add_to_server(name, &bytes);
            }
        }
        for file in found.value.apis.values().flat_map(ApiConfig::files) {
            let bytes = std::fs::read(file).unwrap_or_default();
            found.value.marks.add_to_section("apis", &bytes);
        }
        found.value.pins.or_beside(path);
        let (mut faults, remarks) = Checker::new(&found.spans).run(&found.value);
        found.value.remarks = Some(remarks);
        if !found.faults.is_empty() {
            faults.retain(|fault| found.is_certain(fault));
            faults.extend(found.faults);
        }
        if faults.is_empty() {
            Ok(found.value)
        } else {
            Err(all(faults))
        }
    }

    /// Checks a configuration that was made in code; `label` stands for the file name.
    ///
    /// # Errors
    ///
    /// Every fault at once, without positions.
    pub fn check(&self, label: &str) -> Result<(), ConfigFaults> {
        let (faults, _) = Checker::nowhere().run(self);
        if faults.is_empty() {
            Ok(())
        } else {
            Err(ConfigFaults::new(label, faults))
        }
    }

    /// What looks wrong and stops nothing: who is named in the policy and is not there, a policy under
    /// which nobody may do anything.
    pub fn remarks(&self) -> Vec<Fault> {
        match &self.remarks {
            Some(remarks) => remarks.clone(),
            None => Checker::nowhere().run(self).1,
        }
    }

    /// The files beside it that it names and that are read with it: a change of one changes what it
    /// says.
    pub fn files(&self) -> Vec<&Path> {
        let keys = self.auth.files().map(PathBuf::as_path);
        let theirs = self.servers.values().flat_map(ServerConfig::files);
        let of_apis = self.apis.values().flat_map(ApiConfig::files);
        let theirs = theirs.chain(of_apis).map(PathBuf::as_path);
        keys.chain(theirs).collect()
    }

    pub(super) fn anchor(&mut self, folder: &Path) {
        for file in self.auth.files_mut() {
            *file = folder.join(&file);
        }
        for key in &mut self.http.sessions.keys {
            if let Some(file) = &mut key.key_file {
                *file = folder.join(&file);
            }
        }
        if let Some(file) = &mut self.metrics.token_file {
            *file = folder.join(&file);
        }
        if let Some(file) = &mut self.pins.file {
            *file = folder.join(&file);
        }
        for server in self.servers.values_mut() {
            if let Some(cwd) = &mut server.cwd {
                *cwd = folder.join(&cwd);
            }
            for file in server.files_mut() {
                *file = folder.join(&file);
            }
        }
        for api in self.apis.values_mut() {
            api.anchor(|file| *file = folder.join(&file));
        }
    }
}

impl<T> Salvaged<T> {
    /// True when a fault does not come from what was left out: it is about something that the file
    /// says, and nothing that it comes from is lost, or may be meant by a key that nobody knows.
    pub(super) fn is_certain(&self, fault: &Fault) -> bool {
        let path = fault.path();
        if !self.spans.contains(path) && !self.is_missing(path) {
            return false;
        }
        // Whether a server is there can be told unless it was left out as a whole.
        let is_beside = |lost: &ConfigPath| {
            path.section() == Some("endpoints")
                && lost.section() == Some("servers")
                && lost.is_near_the_top()
        };
        if self.lost.iter().any(is_beside) {
            return false;
        }
        fault.depends().iter().all(|value| {
            let mut gone = self.lost.iter().chain(&self.unset);
            !gone.any(|gone| gone.is_related(value))
                && (self.spans.contains(value) || !self.may_be_meant(value))
        })
    }

    /// True for a whole section that the file does not have, under no other name either.
    fn is_missing(&self, path: &ConfigPath) -> bool {
        let is_section = path.parent().is_some_and(|above| above.is_root());
        is_section && !self.spans.contains(path) && !self.may_be_meant(path)
    }

    /// True when a key that nobody knows stands where this value would.
    fn may_be_meant(&self, value: &ConfigPath) -> bool {
        let mut unknown = self.faults.iter().filter(|fault| fault.is_of_unknown_key());
        unknown.any(|fault| fault.path().parent() == value.parent())
    }
}

/// Collects faults and locates them.
pub(super) struct Checker<'a> {
    spans: Option<&'a Spans>,
    faults: Vec<Fault>,
    /// What looks wrong and stops nothing.
    remarks: Vec<Fault>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(spans: &'a Spans) -> Self {
        Self {
            spans: Some(spans),
            ..Self::nowhere()
        }
    }

    /// One for what comes from no file.
    pub(super) const fn nowhere() -> Self {
        Self {
            spans: None,
            faults: Vec::new(),
            remarks: Vec::new(),
        }
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// What is wrong, and what looks wrong.
    pub(super) fn into_parts(self) -> (Vec<Fault>, Vec<Fault>) {
        (self.faults, self.remarks)
    }

    /// Reports a wrong value.
    pub(super) fn fault(
        &mut self,
        path: &ConfigPath,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let mut fault = Fault::new(path.clone(), message).with_help(help);
        if let Some(spans) = self.spans {
            fault = fault.with_position(spans.locate(path));
        }
        self.faults.push(fault);
    }

    /// Reports what looks wrong and stops nothing.
    pub(super) fn remark(
        &mut self,
        path: &ConfigPath,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.fault(path, message, help);
        self.remarks.extend(self.faults.pop());
    }

    /// Reports what is wrong with several values together.
    pub(super) fn fault_of(
        &mut self,
        path: &ConfigPath,
        values: Vec<ConfigPath>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.fault(path, message, help);
        if let Some(fault) = self.faults.pop() {
            self.faults.push(fault.depending_on(values));
        }
    }

    /// Reports a name that cannot be one, whatever it names.
    pub(super) fn name_fault(
        &mut self,
        path: &ConfigPath,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.key_fault(path, message, help);
        if let Some(fault) = self.faults.pop() {
            self.faults.push(fault.depending_on(Vec::new()));
        }
    }

    /// True when the file says something there.
    pub(super) fn says(&self, path: &ConfigPath) -> bool {
        self.spans.is_some_and(|spans| spans.contains(path))
    }

    /// Reports a wrong key.
    pub(super) fn key_fault(
        &mut self,
        path: &ConfigPath,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let mut fault = Fault::new(path.clone(), message).with_help(help);
        if let Some(spans) = self.spans {
            fault = fault.with_position(spans.locate_key(path));
        }
        self.faults.push(fault);
    }

    /// True when the value comes from the environment: no message repeats it.
    pub(super) fn is_from_env(&self, path: &ConfigPath) -> bool {
        self.spans.is_some_and(|spans| spans.is_from_env(path))
    }

    /// `text` in quotes, or nothing where it must not be repeated.
    pub(super) fn shown(&self, path: &ConfigPath, text: &str) -> String {
        match self.spans {
            Some(spans) if spans.is_from_env(path) => "the value".to_owned(),
            _ => format!("`{}`", short(text)),
        }
    }

    pub(super) fn duration(&mut self, path: &ConfigPath, value: DurationText) {
        if value.get().is_zero() {
            self.fault(
                path,
                "a duration of zero",
                "write at least `1ms`, or remove the key",
            );
        }
    }

    /// What is wrong, and what looks wrong.
    pub(super) fn run(mut self, config: &Config) -> (Vec<Fault>, Vec<Fault>) {
        let root = ConfigPath::root();
        if config.name.chars().any(char::is_control) {
            let help = "write plain text on one line";
            self.fault(&root.key("name"), "the name has a control character", help);
        }
        let version = config.version.iter();
        if version
            .flat_map(|version| version.chars())
            .any(char::is_control)
        {
            let at = root.key("version");
            let help = "write plain text on one line";
            self.fault(&at, "the version has a control character", help);
        }
        self.http(config, &root.key("http"));
        self.auth(config, &root.key("auth"));
        auth::check(&mut self, config, &root.key("auth"));
        policy::check(&mut self, config, &root.key("policy"));
        self.call_timeout(config, &root.key("call_timeout"));
        self.pins(config, &root.key("pins"));
        self.input(config.input.timeout, &root.key("input").key("timeout"));
        metrics::check(&mut self, config, &root.key("metrics"));
        self.limits(config, &root.key("limits"));
        self.nothing(config, &root.key("servers"));
        self.servers(&config.servers, &root.key("servers"));
        balance::check_queues(&mut self, config, &root.key("servers"));
        apis::check(&mut self, config, &root);
        federation::check(&mut self, config, &root);
        management::check(&mut self, config, &root.key("management"));
        self.into_parts()
    }

    /// What is wrong with limits, their crate knows.
    fn limits(&mut self, config: &Config, path: &ConfigPath) {
        for fault in LimitSet::new(&config.limits).err().into_iter().flatten() {
            let at = |path: ConfigPath, step: &Step| match step {
                Step::Key(key) => path.key(key),
                Step::Index(index) => path.index(*index),
                _ => path,
            };
            let path = fault.path.steps().iter().fold(path.clone(), at);
            self.fault(&path, fault.message, fault.help);
        }
    }

    fn http(&mut self, config: &Config, path: &ConfigPath) {
        let http = &config.http;
        self.listen(config, &path.key("listen"));
        if !is_path(&http.path) {
            let at = path.key("path");
            let message = format!(
                "{} is not the path of an endpoint",
                self.shown(&at, &http.path)
            );
            self.fault(
                &at,
                message,
                "write a path that starts with `/`, such as `/mcp`",
            );
        }
        if http.max_body_size.bytes() == 0 {
            let help = "write at least `1KiB`, or remove the key for `4MiB`";
            self.fault(
                &path.key("max_body_size"),
                "a size of zero lets no request in",
                help,
            );
        }
        self.duration(&path.key("shutdown_grace"), http.shutdown_grace);
        sessions::check(self, &http.sessions, &path.key("sessions"));
        self.names(
            &path.key("allowed_hosts"),
            &http.allowed_hosts,
            is_host,
            "a host",
            "`mcp.example.com` or `mcp.example.com:8443`",
        );
        self.names(
            &path.key("allowed_origins"),
            &http.allowed_origins,
            is_origin,
            "an origin",
            "`https://app.example.com`",
        );
        self.names(
            &path.key("trusted_proxies"),
            &http.trusted_proxies,
            is_network,
            "an address or a network",
            "`10.0.0.0/8`, `192.168.7.1` or `fd00::/8`",
        );
    }

    fn listen(&mut self, config: &Config, listen: &ConfigPath) {
        let http = &config.http;
        match http.listen_address() {
            Some(address) if !address.ip().is_loopback() && !http.insecure => {
                let exposed = "the gateway would listen beyond this machine";
                let root = ConfigPath::root();
                let insecure = root.key("http").key("insecure");
                let managed = Some(root.key("management")).filter(|at| self.says(at));
                let values = [listen.clone(), insecure, root.key("auth")];
                let values = values.into_iter().chain(managed).collect();
                if !config.knows_callers() && !config.is_keyed() {
                    self.fault_of(
                        listen,
                        values,
                        format!("{exposed} and let everybody in"),
                        "add `auth.api_keys` or `auth.jwt`, or listen on `127.0.0.1`, or say `insecure: true` \
                         if something in front of it checks who calls",
                    );
                } else if !config.is_keyed() {
                    self.fault_of(
                        &root.key("auth").key("anonymous"),
                        values,
                        format!("{exposed} and let callers without a key in"),
                        "remove `anonymous: true`, or say `http.insecure: true`",
                    );
                }
            }
            Some(_) => {}
            None => {
                let message = format!(
                    "{} is not an address to listen on",
                    self.shown(listen, &http.listen)
                );
                let help = "write an IP address and a port, such as `127.0.0.1:8080`, \
                            `0.0.0.0:8080` or `[::1]:8080`";
                self.fault(listen, message, help);
            }
        }
    }

    fn names(
        &mut self,
        path: &ConfigPath,
        names: &[String],
        good: fn(&str) -> bool,
        what: &str,
        example: &str,
    ) {
        for (index, name) in names.iter().enumerate() {
            if !good(name) {
                let at = path.index(index);
                let message = format!("{} is not {what}", self.shown(&at, name));
                self.fault(&at, message, format!("write it as {example}"));
            }
        }
    }

    fn auth(&mut self, config: &Config, path: &ConfigPath) {
        let mut ids = BTreeMap::new();
        let mut digests = BTreeMap::new();
        for (index, key) in config.auth.api_keys.iter().enumerate() {
            let at = path.key("api_keys").index(index);
            self.id(key, &at.key("id"));
            if let Some(first) = ids.insert(key.id.as_str(), index) {
                let message = format!("the id of `auth.api_keys[{first}]` is used again");
                self.fault(&at.key("id"), message, "give each caller its own id");
            }
            if let Some((key_path, digest)) = self.credential(key, &at)
                && let Some(first) = digests.insert(digest, index)
            {
                let message = format!("the key of `auth.api_keys[{first}]` is used again");
                let help = "give each caller its own key: `openssl rand -hex 32` makes one";
                self.fault(&key_path, message, help);
            }
            for (index, tool) in key.tools.iter().flatten().enumerate() {
                if tool.trim() != tool || tool.is_empty() {
                    let at = at.key("tools").index(index);
                    let help = "write the name of a tool, or a pattern such as `get_*`";
                    self.fault(
                        &at,
                        "an empty pattern, or blanks around it, match no tool",
                        help,
                    );
                }
            }
        }
    }

    fn id(&mut self, key: &ApiKeyConfig, path: &ConfigPath) {
        let visible = key.id.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || !(1..=128).contains(&key.id.len()) {
            let message = "the id is not made of 1 to 128 visible ASCII characters";
            self.fault(
                path,
                message,
                "write it without blanks, such as `alice` or `ci@build`",
            );
        } else if RESERVED_IDS.contains(&key.id.as_str()) {
            let message = format!("the id `{}` stands for callers without a key", key.id);
            self.fault(path, message, "choose another one");
        }
    }

    /// The digest of the caller's key, with the path of what it came from.
    fn credential(
        &mut self,
        key: &ApiKeyConfig,
        path: &ConfigPath,
    ) -> Option<(ConfigPath, [u8; 32])> {
        let Some(source) = key.source() else {
            let message = "not exactly one of `key`, `key_sha256` and `key_file` is given";
            let keys = ["key", "key_sha256", "key_file"];
            let values = keys.map(|key| path.key(key)).into();
            self.fault_of(
                path,
                values,
                message,
                "give one: best `key: ${SOME_VARIABLE}`",
            );
            return None;
        };
        let at = path.key(match source {
            KeySource::Key(_) => "key",
            KeySource::Sha256(_) => "key_sha256",
            KeySource::File(_) => "key_file",
        });
        match key.sha256() {
            Ok(digest) => Some((at, digest)),
            Err(error) => {
                self.fault(&at, error.to_string(), error.help());
                None
            }
        }
    }

    fn input(&mut self, timeout: DurationText, path: &ConfigPath) {
        self.duration(path, timeout);
        if timeout > LONGEST_CALL {
            self.fault(
                path,
                "longer than a client may take to answer",
                format!("write at most `{LONGEST_CALL}`"),
            );
        }
    }

    fn call_timeout(&mut self, config: &Config, path: &ConfigPath) {
        self.duration(path, config.call_timeout);
        if config.call_timeout > LONGEST_CALL {
            self.fault(
                path,
                "longer than a call may take",
                format!("write at most `{LONGEST_CALL}`"),
            );
        }
    }

    fn pins(&mut self, config: &Config, path: &ConfigPath) {
        let at = path.key("file");
        let mut modes = config
            .servers
            .values()
            .map(|server| config.pin_mode(server));
        match &config.pins.file {
            None if modes.any(|mode| mode != PinMode::Off) && !config.pins_are_stored() => {
                let help = "name one; a configuration that is a file has one beside it";
                self.fault(&at, "there is no file to keep pins in", help);
            }
            Some(file) if file.file_name().is_none() => {
                let help = "write a path such as `mcp-gw.pins.json`";
                self.fault(&at, "this is not the path of a file", help);
            }
            _ => {}
        }
    }

    /// Reports that there is nothing behind the gateway.
    fn nothing(&mut self, config: &Config, path: &ConfigPath) {
        if config.servers.is_empty() && config.apis.is_empty() && config.management.is_none() {
            let root = ConfigPath::root();
            let managed = Some(root.key("management")).filter(|at| self.says(at));
            let values = [path.clone(), root.key("apis")].into_iter().chain(managed);
            let values = values.collect();
            let message = "there is no server behind the gateway";
            let help = "add one: `servers: { docs: { url: \"https://mcp.example.com/mcp\" } }`";
            self.fault_of(path, values, message, help);
        }
    }

    fn servers(&mut self, servers: &BTreeMap<String, ServerConfig>, path: &ConfigPath) {
        let mut folded = BTreeSet::new();
        for (name, server) in servers {
            let at = path.key(name);
            if !is_server_name(name) {
                let message = format!("`{}` cannot be the name of a server", short(name));
                self.name_fault(&at, message, "use 1 to 64 of `A-Z a-z 0-9 _ -`");
            }
            if !folded.insert(name.to_ascii_lowercase()) {
                let message = "another server has the same name in other letters";
                self.name_fault(&at, message, "choose names that differ in more than case");
            }
            upstream::check(self, server, &at);
        }
    }
}

/// Whether `name` can be a key of `servers`.
pub(super) fn is_server_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// A path at which something can be, and nothing else.
pub(super) fn is_path(path: &str) -> bool {
    let uri = path.parse::<http::uri::PathAndQuery>();
    let plain = uri.is_ok_and(|uri| uri.query().is_none() && uri.path() == path);
    path.starts_with('/') && plain && !path.contains(['{', '}', '*'])
}

fn is_host(host: &str) -> bool {
    let authority = host.parse::<http::uri::Authority>();
    authority.is_ok_and(|authority| !host.contains('@') && !authority.host().is_empty())
}

fn is_network(text: &str) -> bool {
    text.parse::<ipnet::IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok()
}

pub(super) fn is_origin(origin: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else {
        return false;
    };
    !scheme.is_empty() && is_host(rest)
}

/// Ids that callers without a key get.
const RESERVED_IDS: [&str; 2] = ["anonymous", "local"];

/// The longest `call_timeout`.
pub(crate) const LONGEST_CALL: DurationText = super::types::seconds(3600);

#[cfg(test)]
mod tests;
