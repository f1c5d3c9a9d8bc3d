//! A dashboard of API7 Enterprise as a server: its admin API as tools.

use std::path::PathBuf;
use std::time::Duration;

use mcp_gw_admin_client::tools::api7::{Access, Api7Config, RiskConfig, Secrets, backend};
use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::admin_api::{
    self, AdminFault, Common, Credential, NOWHERE, answer_size, count, gateway_concurrency,
    max_gateway_requests,
};
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
    /// From when on `check_risk` calls something a risk, and what it may cost.
    pub risk: Option<RiskConfig>,
    /// What the user has to set before anything can be asked; only of the command line.
    #[serde(skip)]
    pub(crate) unset: Option<String>,
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
            risk: None,
            unset: None,
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
    ) -> Result<Api7Config, Vec<AdminFault>> {
        let common = Common {
            address: (
                "dashboard_url",
                &self.dashboard_url,
                "https://dashboard.example.com:7443",
            ),
            gateway_url: self.gateway_url.as_deref(),
            credential: Some(Credential {
                what: "token",
                key: "token",
                file_key: "token_file",
                value: self.token.as_ref(),
                file: self.token_file.as_deref(),
                source: "make a token in the dashboard",
                best: "token: ${API7_TOKEN}",
            }),
            tools: self.tools.as_deref(),
            exclude_tools: &self.exclude_tools,
            ca_file: self.ca_file.as_deref(),
            proxy: self.proxy.as_ref(),
            answer_size: self.answer_size,
        };
        let mut config = Api7Config::new(NOWHERE, Secret::new("none".to_owned()));
        config.access = self.access;
        config.tools.clone_from(&self.tools);
        config.exclude_tools.clone_from(&self.exclude_tools);
        let held = common.settle(
            backend(&config),
            self.risk
                .iter()
                .flat_map(RiskConfig::faults)
                .map(AdminFault::from),
        )?;
        name.clone_into(&mut config.name);
        config.dashboard_url.clone_from(&self.dashboard_url);
        config.gateway_url.clone_from(&self.gateway_url);
        if let Some(token) = held.credential {
            config.token = token;
        }
        config.secrets = self.secrets;
        config.ca_pem = held.ca_pem;
        config.proxy.clone_from(&self.proxy);
        config.timeout_seconds = admin_api::whole_seconds(timeout);
        config.answer_bytes = common.answer_bytes();
        config.max_gateway_requests = count(self.max_gateway_requests);
        config.gateway_concurrency = count(self.gateway_concurrency);
        config.risk = self.risk.clone().unwrap_or_default();
        config.unset.clone_from(&self.unset);
        Ok(config)
    }
}

#[cfg(test)]
mod tests;
