//! Admin APIs of API gateways as servers: what their sections have in common.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use mcp_gw_admin_client::http::{
    BaseUrl, BaseUrlError, TlsError, Transport, TransportConfig, TransportError, Trust,
};
use mcp_gw_admin_client::tools::api7::{Access, RiskFault, ToolsError};
use mcp_gw_core::{Backend, Secret};

use super::api7::Api7Section;
use super::apisix::ApisixSection;
use super::check::Checker;
use super::docs;
use super::fault::short;
use super::kong::KongSection;
use super::konnect::KonnectSection;
use super::path::ConfigPath;
use super::text::ByteSize;

/// An admin API whose tools are served.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AdminApi {
    /// The dashboard of an API7 Enterprise.
    Api7(Box<Api7Section>),
    /// An Apache APISIX.
    Apisix(Box<ApisixSection>),
    /// A region of Kong Konnect.
    Konnect(Box<KonnectSection>),
    /// A Kong Gateway.
    Kong(Box<KongSection>),
}

impl AdminApi {
    /// The key of its section.
    pub(crate) const fn key(&self) -> &'static str {
        match self {
            Self::Api7(_) => "api7",
            Self::Apisix(_) => "apisix",
            Self::Konnect(_) => "konnect",
            Self::Kong(_) => "kong",
        }
    }

    /// What it is, where it is, the gateway of test requests, and what may be changed.
    pub(super) fn place(&self) -> (&'static str, &str, Option<&str>, Access) {
        match self {
            Self::Api7(section) => (
                "API7 Enterprise",
                &section.dashboard_url,
                section.gateway_url.as_deref(),
                section.access,
            ),
            Self::Apisix(section) => (
                "Apache APISIX",
                &section.admin_url,
                section.gateway_url.as_deref(),
                section.access,
            ),
            Self::Konnect(section) => ("Kong Konnect", section.address(), None, section.access),
            Self::Kong(section) => ("Kong Gateway", &section.admin_url, None, Access::ReadOnly),
        }
    }

    /// Its tools; reads the files that it names. Nothing is connected to yet.
    ///
    /// # Errors
    /// All faults at once. None of them repeats a secret.
    pub(crate) fn tools(
        &self,
        name: &str,
        timeout: Duration,
    ) -> Result<Arc<dyn Backend>, Vec<AdminFault>> {
        let made = match self {
            Self::Api7(section) => {
                mcp_gw_admin_client::tools::api7::backend(&section.resolve(name, timeout)?)
            }
            Self::Apisix(section) => {
                mcp_gw_admin_client::tools::apisix::backend(&section.resolve(name, timeout)?)
            }
            Self::Konnect(section) => {
                let config = section.resolve(name, timeout)?;
                mcp_gw_admin_client::tools::konnect::konnect_backend(
                    &config,
                    docs::parts(section.docs.as_deref())?,
                )
            }
            Self::Kong(section) => {
                let config = section.resolve(name, timeout)?;
                mcp_gw_admin_client::tools::konnect::gateway_backend(
                    &config,
                    docs::parts(section.docs.as_deref())?,
                )
            }
        };
        made.map_err(|error| vec![AdminFault::new("", error.to_string(), DEFECT)])
    }

    /// All that is wrong with its section; reads the files that it names.
    pub(crate) fn faults(&self) -> Vec<AdminFault> {
        let (name, timeout) = (self.key(), Duration::from_secs(1));
        let resolved = match self {
            Self::Api7(section) => section.resolve(name, timeout).map(drop),
            Self::Apisix(section) => section.resolve(name, timeout).map(drop),
            Self::Konnect(section) => section.resolve(name, timeout).map(drop),
            Self::Kong(section) => section.resolve(name, timeout).map(drop),
        };
        resolved.err().unwrap_or_default()
    }
}

/// One thing that is wrong with a section, wherever it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminFault {
    /// The key of the section; empty for the section itself.
    pub(crate) key: &'static str,
    /// The key in the mapping that is there, if it is one.
    pub(crate) inner: Option<&'static str>,
    /// The item, where the value of the key is a list.
    pub(crate) index: Option<usize>,
    pub(crate) message: String,
    pub(crate) help: String,
}

impl AdminFault {
    pub(super) fn new(
        key: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            key,
            inner: None,
            index: None,
            message: message.into(),
            help: help.into(),
        }
    }

    pub(super) fn at(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }
}

impl From<RiskFault> for AdminFault {
    fn from(fault: RiskFault) -> Self {
        Self {
            inner: Some(fault.key),
            index: fault.index,
            ..Self::new("risk", fault.message, fault.help)
        }
    }
}

impl fmt::Display for AdminFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key, message, help, ..
        } = self;
        let (dot, inner) = self.inner.map_or(("", ""), |inner| (".", inner));
        write!(f, "{key}{dot}{inner}: {message}; {help}")
    }
}

/// A secret that is given by one of two keys.
pub(super) struct Credential<'a> {
    pub(super) what: &'static str,
    pub(super) key: &'static str,
    pub(super) file_key: &'static str,
    pub(super) value: Option<&'a Secret<String>>,
    pub(super) file: Option<&'a Path>,
    /// Where one comes from.
    pub(super) source: &'static str,
    /// How to write it.
    pub(super) best: &'static str,
}

impl Credential<'_> {
    /// The secret; reads the file.
    fn read(&self) -> Result<Secret<String>, AdminFault> {
        let Self {
            what,
            key,
            file_key,
            source,
            best,
            ..
        } = self;
        let (at, secret) = match (self.value, self.file) {
            (Some(value), None) => (key, value.clone()),
            (None, Some(file)) => {
                let text = read(file_key, file)?;
                (file_key, Secret::new(text.trim().to_owned()))
            }
            (given, _) => {
                let message = match given {
                    Some(_) => format!("both `{key}` and `{file_key}` are given"),
                    None => format!("neither `{key}` nor `{file_key}` is given"),
                };
                let help = format!("give one of them: best `{best}`");
                return Err(AdminFault::new(key, message, help));
            }
        };
        if secret.expose().trim().is_empty() {
            let help = format!("{source} and put it there");
            return Err(AdminFault::new(at, format!("the {what} is empty"), help));
        }
        let is_visible = secret.expose().bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || HeaderValue::from_str(secret.expose()).is_err() {
            let message = format!("the {what} has a character that cannot be sent in a header");
            let help = "check it for blanks, quotes and line ends; copy it again";
            return Err(AdminFault::new(at, message, help));
        }
        Ok(secret)
    }
}

/// What every section says.
pub(super) struct Common<'a> {
    /// The address of the API: its key, what it says, and an example.
    pub(super) address: (&'static str, &'a str, &'static str),
    pub(super) gateway_url: Option<&'a str>,
    /// None where the API wants none.
    pub(super) credential: Option<Credential<'a>>,
    pub(super) tools: Option<&'a [String]>,
    pub(super) exclude_tools: &'a [String],
    pub(super) ca_file: Option<&'a Path>,
    pub(super) proxy: Option<&'a Secret<String>>,
    pub(super) answer_size: ByteSize,
}

/// What the files of a section hold.
pub(super) struct Held {
    pub(super) credential: Option<Secret<String>>,
    pub(super) ca_pem: Option<String>,
}

impl Common<'_> {
    /// Reads the files and looks for faults, besides those in `more`. `made` are the tools of the API with what is chosen
    /// here.
    ///
    /// # Errors
    /// All faults at once. None of them repeats a secret.
    pub(super) fn settle(
        &self,
        made: Result<Arc<dyn Backend>, ToolsError>,
        more: impl IntoIterator<Item = AdminFault>,
    ) -> Result<Held, Vec<AdminFault>> {
        let mut faults = Vec::new();
        let (key, text, example) = self.address;
        address(&mut faults, key, text, example);
        if let Some(url) = self.gateway_url {
            address(&mut faults, "gateway_url", url, GATEWAY);
        }
        let credential = self.credential.as_ref().map(Credential::read).transpose();
        let credential = credential.unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let ca_pem = self.authorities(&mut faults);
        self.choice(&mut faults, made);
        faults.extend(more);
        if faults.is_empty() {
            Ok(Held { credential, ca_pem })
        } else {
            Err(faults)
        }
    }

    /// How long the body of an answer may be, in bytes.
    pub(super) fn answer_bytes(&self) -> usize {
        usize::try_from(self.answer_size.bytes()).unwrap_or(usize::MAX)
    }

    /// The authorities that are believed; reads the file.
    fn authorities(&self, faults: &mut Vec<AdminFault>) -> Option<String> {
        let read = self.ca_file.map(|file| read("ca_file", file));
        let pem = read.transpose().unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        faults.extend(self.unreachable(pem.as_deref()));
        pem
    }

    /// What stands in the way of any connection: authorities and the proxy.
    fn unreachable(&self, ca_pem: Option<&str>) -> Option<AdminFault> {
        let mut config = TransportConfig::new(NOWHERE.parse().ok()?);
        config.trust = ca_pem.map_or(Trust::System, |pem| Trust::Pem(pem.to_owned()));
        config.proxy = self.proxy.cloned();
        match Transport::new(config) {
            Ok(_) => None,
            Err(TransportError::Tls(TlsError::Certificate)) => {
                let message = "the file holds no certificate that can be read";
                let help = "it must be PEM: `-----BEGIN CERTIFICATE-----`";
                Some(AdminFault::new("ca_file", message, help))
            }
            Err(TransportError::Proxy) => {
                let message = "the address of the proxy cannot be used";
                let help = "write it like `http://proxy.example.com:3128`";
                Some(AdminFault::new("proxy", message, help))
            }
            Err(error) => Some(AdminFault::new("", error.to_string(), DEFECT)),
        }
    }

    /// Sizes that cannot be; tools that do not exist, and tools that are wanted and would not be
    /// listed.
    fn choice(&self, faults: &mut Vec<AdminFault>, made: Result<Arc<dyn Backend>, ToolsError>) {
        if !(1024..=1 << 20).contains(&self.answer_size.bytes()) {
            let message = "no size that an answer can have";
            let help = "write something from `1KiB` to `1MiB`";
            faults.push(AdminFault::new("answer_size", message, help));
        }
        let tools = match made {
            Ok(tools) => tools,
            Err(ToolsError::UnknownTools { names, known }) => {
                return self.unknown(faults, &names, &known);
            }
            Err(ToolsError::NoTools) => {
                let help = "look at `tools`, `exclude_tools` and `access`";
                return faults.push(AdminFault::new("tools", "no tool is left", help));
            }
            Err(error) => return faults.push(AdminFault::new("", error.to_string(), DEFECT)),
        };
        let offer = tools.offer_now().unwrap_or_default();
        let is_listed = |name: &str| offer.tools.iter().any(|tool| tool.name() == name);
        let wanted = self.tools.unwrap_or_default().iter().enumerate();
        // Whether there is documentation is told by who knows it.
        let unlisted =
            wanted.filter(|(_, name)| !is_listed(name) && *name != "KnowledgeBaseSearch");
        faults.extend(unlisted.map(|(index, name)| {
            let (message, help) = if self.exclude_tools.contains(name) {
                ("is in `exclude_tools`, too", "remove it from one of them")
            } else {
                (
                    "changes something, and `access: read-only` lists no such tool",
                    "remove it, or choose another `access`",
                )
            };
            AdminFault::new("tools", format!("`{name}` {message}"), help).at(index)
        }));
    }

    fn unknown(&self, faults: &mut Vec<AdminFault>, names: &[String], known: &str) {
        let lists = [
            ("tools", self.tools.unwrap_or_default()),
            ("exclude_tools", self.exclude_tools),
        ];
        for (key, list) in lists {
            for (index, name) in list.iter().enumerate() {
                if names.contains(name) {
                    let message = format!("there is no tool `{}`", short(name));
                    faults.push(AdminFault::new(key, message, nearest(name, known)).at(index));
                }
            }
        }
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

/// Reports a text that is no address of an API.
fn address(faults: &mut Vec<AdminFault>, key: &'static str, text: &str, example: &'static str) {
    let Err(error) = text.parse::<BaseUrl>() else {
        return;
    };
    let message = match error {
        BaseUrlError::Scheme => "the URL is neither `http` nor `https`",
        BaseUrlError::Credentials => "the URL has a user name or password in it",
        BaseUrlError::Query => "the URL has a `?` or `#` part",
        _ => "this is not a URL",
    };
    let help = format!("write an address such as `{example}`");
    faults.push(AdminFault::new(key, message, help));
}

fn read(key: &'static str, file: &Path) -> Result<String, AdminFault> {
    std::fs::read_to_string(file).map_err(|error| {
        let message = format!("the file cannot be read: {}", error.kind());
        let help = "check the path, and that this program may read it";
        AdminFault::new(key, message, help)
    })
}

/// Reports what is wrong with the section of `api`, which is at `path`.
pub(super) fn check(checker: &mut Checker<'_>, api: &AdminApi, path: &ConfigPath) {
    let (key, url, what) = match api {
        AdminApi::Api7(section) => ("dashboard_url", &*section.dashboard_url, "token"),
        AdminApi::Apisix(section) => ("admin_url", &*section.admin_url, "key"),
        // Without TLS it is refused.
        AdminApi::Konnect(_) => ("base_url", "", "token"),
        AdminApi::Kong(section) if section.has_token() => {
            ("admin_url", &*section.admin_url, "token")
        }
        AdminApi::Kong(_) => ("admin_url", "", "token"),
    };
    let base = url.parse::<BaseUrl>();
    if base.is_ok_and(|base| !base.is_https() && !base.is_loopback()) {
        let message =
            format!("the {what} goes over the network without TLS, and all who see it can use it");
        let help = "write `https://`, or reach it through a tunnel to this machine";
        checker.remark(&path.key(key), message, help);
    }
    for fault in api.faults() {
        let at = match fault.key {
            "" => path.clone(),
            key => path.key(key),
        };
        let at = fault.inner.map_or(at.clone(), |inner| at.key(inner));
        let file = match fault.key {
            "token" => Some("token_file"),
            "admin_key" => Some("admin_key_file"),
            "admin_token" => Some("admin_token_file"),
            _ => None,
        };
        match (fault.index, file) {
            (Some(index), _) => checker.fault(&at.index(index), fault.message, fault.help),
            (None, Some(file)) => {
                let values = vec![at.clone(), path.key(file)];
                checker.fault_of(&at, values, fault.message, fault.help);
            }
            (None, None) => checker.fault(&at, fault.message, fault.help),
        }
    }
}

/// For what is not about an address; nothing is sent there.
pub(super) const NOWHERE: &str = "http://localhost";

/// An address of a gateway.
const GATEWAY: &str = "http://gateway.example.com:9080";

/// What can be done about what nobody can cause.
const DEFECT: &str = "this is a defect of the program, please report it";

pub(super) const fn answer_size() -> ByteSize {
    ByteSize::new(64 << 10)
}

pub(super) const fn max_items() -> u32 {
    10_000
}

/// What is wrong with how many entities are read.
pub(super) fn of_items(most: u32) -> Vec<AdminFault> {
    if (1..=100_000).contains(&most) {
        return Vec::new();
    }
    let help = "write a number from 1 to 100000";
    vec![AdminFault::new(
        "max_items",
        "no number of entities that can be read",
        help,
    )]
}

pub(super) const fn max_gateway_requests() -> u32 {
    300
}

pub(super) const fn gateway_concurrency() -> u32 {
    16
}

/// A number of the file for the tools.
pub(super) fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Whole seconds, at least one.
pub(super) fn whole_seconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX).max(1)
}
