//! A dashboard of API7 Enterprise as a server: its admin API as tools.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderValue;
use mcp_gw_admin_client::http::{
    BaseUrl, BaseUrlError, TlsError, Transport, TransportConfig, TransportError, Trust,
};
use mcp_gw_admin_client::tools::api7::{Access, Api7Config, Secrets, ToolsError, backend};
use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::check::Checker;
use super::fault::short;
use super::path::ConfigPath;
use super::text::ByteSize;

/// The dashboard of an API7 Enterprise, whose admin API becomes tools. The token is given by exactly one
/// of `token` and `token_file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Api7Section {
    /// The address of the dashboard, such as `https://dashboard.example.com:7443`.
    pub dashboard_url: String,
    /// The address of a gateway that test requests go to, such as `http://gateway.example.com:9080`;
    /// without it there are none.
    pub gateway_url: Option<String>,
    /// A token of the dashboard; take it from the environment as `${API7_TOKEN}`. It is sent to the
    /// dashboard and nowhere else.
    #[schemars(extend("writeOnly" = true))]
    pub token: Option<Secret<String>>,
    /// A file that holds the token; blanks and line ends around it are ignored.
    pub token_file: Option<PathBuf>,
    /// What the tools may change.
    #[serde(default)]
    #[schemars(extend("default" = "preview"))]
    pub access: Access,
    /// Only these tools, by the names that the server gives them; all if not given.
    pub tools: Option<Vec<String>>,
    /// Not these tools.
    #[serde(default)]
    pub exclude_tools: Vec<String>,
    /// Whether secrets in answers (keys, passwords, private keys of certificates) are ever shown.
    #[serde(default)]
    #[schemars(extend("default" = "on-request"))]
    pub secrets: Secrets,
    /// A file of the certificates of authorities, in PEM, that are believed instead of those of the
    /// system.
    pub ca_file: Option<PathBuf>,
    /// A proxy that requests go through, such as `http://proxy.example.com:3128`.
    #[schemars(extend("writeOnly" = true))]
    pub proxy: Option<Secret<String>>,
    /// How long the body of an answer is when a call does not say; from `1KiB` to `1MiB`.
    #[serde(default = "answer_size")]
    pub answer_size: ByteSize,
    /// How many test requests one call may send to `gateway_url`.
    #[serde(default = "max_gateway_requests")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_gateway_requests: u32,
    /// How many of them are under way at a time.
    #[serde(default = "gateway_concurrency")]
    #[schemars(range(min = 1, max = 256))]
    pub gateway_concurrency: u32,
}

const fn answer_size() -> ByteSize {
    ByteSize::new(64 << 10)
}

const fn max_gateway_requests() -> u32 {
    300
}

const fn gateway_concurrency() -> u32 {
    16
}

/// One thing that is wrong with a section, wherever it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Api7Fault {
    /// The key of the section.
    pub(crate) key: &'static str,
    /// The item, where the value of the key is a list.
    pub(crate) index: Option<usize>,
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Api7Fault {
    fn new(key: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            key,
            index: None,
            message: message.into(),
            help: help.into(),
        }
    }

    fn at(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }
}

impl Api7Section {
    /// The dashboard at `dashboard_url`, with the defaults.
    pub fn new(dashboard_url: impl Into<String>, token: impl Into<Secret<String>>) -> Self {
        Self {
            dashboard_url: dashboard_url.into(),
            gateway_url: None,
            token: Some(token.into()),
            token_file: None,
            access: Access::default(),
            tools: None,
            exclude_tools: Vec::new(),
            secrets: Secrets::default(),
            ca_file: None,
            proxy: None,
            answer_size: answer_size(),
            max_gateway_requests: max_gateway_requests(),
            gateway_concurrency: gateway_concurrency(),
        }
    }

    /// The files that are read with it.
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.token_file.iter_mut().chain(&mut self.ca_file)
    }

    /// The same, to be looked at.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.token_file.iter().chain(&self.ca_file)
    }

    /// What its tools are made with, under this name and with this time for each request; reads
    /// `token_file` and `ca_file`.
    ///
    /// # Errors
    /// All faults at once. None of them repeats a secret.
    pub(crate) fn resolve(
        &self,
        name: &str,
        timeout: Duration,
    ) -> Result<Api7Config, Vec<Api7Fault>> {
        let mut faults = Vec::new();
        address(&mut faults, "dashboard_url", &self.dashboard_url);
        if let Some(url) = &self.gateway_url {
            address(&mut faults, "gateway_url", url);
        }
        let token = self.read_token().map_err(|fault| faults.push(fault)).ok();
        let ca_pem = match &self.ca_file {
            Some(file) => read("ca_file", file)
                .map_err(|fault| faults.push(fault))
                .ok(),
            None => None,
        };
        faults.extend(self.unreachable(ca_pem.as_deref()));
        faults.extend(self.unlisted());
        if !(1024..=1 << 20).contains(&self.answer_size.bytes()) {
            let message = "no size that an answer can have";
            faults.push(Api7Fault::new(
                "answer_size",
                message,
                "write something from `1KiB` to `1MiB`",
            ));
        }
        let (Some(token), []) = (token, &*faults) else {
            return Err(faults);
        };
        let count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let mut config = Api7Config::new(&self.dashboard_url, token);
        name.clone_into(&mut config.name);
        config.gateway_url.clone_from(&self.gateway_url);
        config.access = self.access;
        config.tools.clone_from(&self.tools);
        config.exclude_tools.clone_from(&self.exclude_tools);
        config.secrets = self.secrets;
        config.ca_pem = ca_pem;
        config.proxy.clone_from(&self.proxy);
        config.timeout_seconds = u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX).max(1);
        config.answer_bytes = usize::try_from(self.answer_size.bytes()).unwrap_or(usize::MAX);
        config.max_gateway_requests = count(self.max_gateway_requests);
        config.gateway_concurrency = count(self.gateway_concurrency);
        Ok(config)
    }

    fn read_token(&self) -> Result<Secret<String>, Api7Fault> {
        let (key, token) = match (&self.token, &self.token_file) {
            (Some(token), None) => ("token", token.clone()),
            (None, Some(file)) => {
                let text = read("token_file", file)?;
                ("token_file", Secret::new(text.trim().to_owned()))
            }
            (given, _) => {
                let message = match given {
                    Some(_) => "both `token` and `token_file` are given",
                    None => "neither `token` nor `token_file` is given",
                };
                let help = "give one of them: best `token: ${API7_TOKEN}`";
                return Err(Api7Fault::new("token", message, help));
            }
        };
        if token.expose().trim().is_empty() {
            let help = "make a token in the dashboard and put it there";
            return Err(Api7Fault::new(key, "the token is empty", help));
        }
        let is_visible = token.expose().bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || HeaderValue::from_str(token.expose()).is_err() {
            let message = "the token has a character that cannot be sent in a header";
            let help =
                "check it for blanks, quotes and line ends; copy it from the dashboard again";
            return Err(Api7Fault::new(key, message, help));
        }
        Ok(token)
    }

    /// What stands in the way of any connection: authorities and the proxy.
    fn unreachable(&self, ca_pem: Option<&str>) -> Option<Api7Fault> {
        let mut config = TransportConfig::new(NOWHERE.parse().ok()?);
        config.trust = ca_pem.map_or(Trust::System, |pem| Trust::Pem(pem.to_owned()));
        config.proxy.clone_from(&self.proxy);
        match Transport::new(config) {
            Ok(_) => None,
            Err(TransportError::Tls(TlsError::Certificate)) => {
                let message = "the file holds no certificate that can be read";
                let help = "it must be PEM: `-----BEGIN CERTIFICATE-----`";
                Some(Api7Fault::new("ca_file", message, help))
            }
            Err(TransportError::Proxy) => {
                let message = "the address of the proxy cannot be used";
                let help = "write it like `http://proxy.example.com:3128`";
                Some(Api7Fault::new("proxy", message, help))
            }
            Err(error) => Some(Api7Fault::new("dashboard_url", error.to_string(), DEFECT)),
        }
    }

    /// Tools that do not exist, and tools that are wanted and would not be listed.
    fn unlisted(&self) -> Vec<Api7Fault> {
        let mut config = Api7Config::new(NOWHERE, Secret::new("none".to_owned()));
        config.access = self.access;
        config.tools.clone_from(&self.tools);
        config.exclude_tools.clone_from(&self.exclude_tools);
        let tools = match backend(&config) {
            Ok(tools) => tools,
            Err(ToolsError::UnknownTools { names, known }) => return self.unknown(&names, &known),
            Err(ToolsError::NoTools) => {
                let help = "look at `tools`, `exclude_tools` and `access`";
                return vec![Api7Fault::new("tools", "no tool is left", help)];
            }
            Err(error) => return vec![Api7Fault::new("tools", error.to_string(), DEFECT)],
        };
        let offer = tools.offer_now().unwrap_or_default();
        let is_listed = |name: &str| offer.tools.iter().any(|tool| tool.name() == name);
        let wanted = self.tools.iter().flatten().enumerate();
        wanted
            .filter(|(_, name)| !is_listed(name))
            .map(|(index, name)| {
                let (message, help) = if self.exclude_tools.contains(name) {
                    ("is in `exclude_tools`, too", "remove it from one of them")
                } else {
                    (
                        "changes something, and `access: read-only` lists no such tool",
                        "remove it, or choose another `access`",
                    )
                };
                Api7Fault::new("tools", format!("`{name}` {message}"), help).at(index)
            })
            .collect()
    }

    fn unknown(&self, names: &[String], known: &str) -> Vec<Api7Fault> {
        let lists = [
            ("tools", self.tools.as_deref().unwrap_or_default()),
            ("exclude_tools", &self.exclude_tools),
        ];
        let mut faults = Vec::new();
        for (key, list) in lists {
            for (index, name) in list.iter().enumerate() {
                if names.contains(name) {
                    let message = format!("there is no tool `{}`", short(name));
                    faults.push(Api7Fault::new(key, message, nearest(name, known)).at(index));
                }
            }
        }
        faults
    }
}

/// The name that may be meant, or all there are.
fn nearest(name: &str, known: &str) -> String {
    let alike = known
        .split(", ")
        .map(|tool| (strsim::jaro_winkler(name, tool), tool));
    match alike.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((alike, tool)) if alike > 0.85 => format!("did you mean `{tool}`?"),
        _ => format!("there are {known}"),
    }
}

fn address(faults: &mut Vec<Api7Fault>, key: &'static str, text: &str) {
    let Err(error) = text.parse::<BaseUrl>() else {
        return;
    };
    let message = match error {
        BaseUrlError::Scheme => "the URL is neither `http` nor `https`",
        BaseUrlError::Credentials => "the URL has a user name or password in it",
        BaseUrlError::Query => "the URL has a `?` or `#` part",
        _ => "this is not a URL",
    };
    let example = match key {
        "gateway_url" => "http://gateway.example.com:9080",
        _ => "https://dashboard.example.com:7443",
    };
    faults.push(Api7Fault::new(
        key,
        message,
        format!("write an address such as `{example}`"),
    ));
}

fn read(key: &'static str, file: &Path) -> Result<String, Api7Fault> {
    std::fs::read_to_string(file).map_err(|error| {
        let message = format!("the file cannot be read: {}", error.kind());
        let help = "check the path, and that this program may read it";
        Api7Fault::new(key, message, help)
    })
}

/// Reports what is wrong with the section at `path`, for a server with this `timeout`.
pub(super) fn check(checker: &mut Checker<'_>, section: &Api7Section, path: &ConfigPath) {
    let faults = section.resolve("api7", Duration::from_secs(1));
    for fault in faults.err().into_iter().flatten() {
        let at = path.key(fault.key);
        match (fault.index, fault.key) {
            (Some(index), _) => checker.fault(&at.index(index), fault.message, fault.help),
            (None, "token") => {
                let values = vec![at.clone(), path.key("token_file")];
                checker.fault_of(&at, values, fault.message, fault.help);
            }
            (None, _) => checker.fault(&at, fault.message, fault.help),
        }
    }
}

/// For what is not about an address; nothing is sent there.
const NOWHERE: &str = "http://localhost";

/// What can be done about what nobody can cause.
const DEFECT: &str = "this is a defect of the program, please report it";

#[cfg(test)]
mod tests;
