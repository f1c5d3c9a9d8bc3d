//! What the tools are told before they start.

use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::tools::api7::risk::RiskConfig;

/// What the tools may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Access {
    /// Nothing, and tools that would are not listed (`--read-only`).
    ReadOnly,
    /// Nothing, but tools that would are listed, and show with `dry_run` the request that they would send.
    /// The default.
    #[default]
    Preview,
    /// What the token permits (`--allow-write`).
    ReadWrite,
}

/// Whether secrets in answers are ever shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Secrets {
    /// When a call asks for it (`show_secrets`). The default.
    #[default]
    OnRequest,
    /// Never.
    Never,
}

/// The tools of one dashboard.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Api7Config {
    /// The name of the backend in policy, audit and metrics.
    #[serde(default = "name")]
    pub name: String,
    /// The address of the dashboard: `https://dashboard.example.com:7443`.
    pub dashboard_url: String,
    /// The address of a gateway that test requests go to: `http://gateway.example.com:9080`.
    #[serde(default)]
    pub gateway_url: Option<String>,
    /// A token of the dashboard. It is sent to the dashboard and nowhere else.
    pub token: Secret<String>,
    /// What the tools may change.
    #[serde(default)]
    pub access: Access,
    /// Only these tools; all when it is missing.
    #[serde(default)]
    pub tools: Option<Vec<String>>,
    /// Not these tools.
    #[serde(default)]
    pub exclude_tools: Vec<String>,
    /// Whether secrets in answers are ever shown.
    #[serde(default)]
    pub secrets: Secrets,
    /// Certificates of authorities, in PEM, that are believed instead of those of the system.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// A proxy that requests go through: `http://proxy.example.com:3128`.
    #[serde(default)]
    pub proxy: Option<Secret<String>>,
    /// How long one attempt at a request to the dashboard may take, in seconds.
    #[serde(default = "timeout")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: u32,
    /// How long the body of an answer is when a call does not say, in bytes.
    #[serde(default = "answer")]
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub answer_bytes: usize,
    /// How many requests one call may send to the gateway.
    #[serde(default = "requests")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_gateway_requests: usize,
    /// How many of them are under way at the same time.
    #[serde(default = "concurrency")]
    #[schemars(range(min = 1, max = 256))]
    pub gateway_concurrency: usize,
    /// What `check_risk` asks for, and from when on something is a risk.
    #[serde(default)]
    pub risk: RiskConfig,
    /// What the user has to set before anything can be asked: the tools are listed, and each call is answered with this.
    #[serde(skip)]
    pub unset: Option<String>,
}

fn name() -> String {
    "api7".to_owned()
}

pub(crate) const fn timeout() -> u32 {
    30
}

pub(crate) const fn answer() -> usize {
    64 * 1024
}

pub(crate) const fn requests() -> usize {
    300
}

pub(crate) const fn concurrency() -> usize {
    16
}

/// What is missing in the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", faults.join("; "))]
#[non_exhaustive]
pub struct EnvironmentError {
    /// One sentence per fault.
    pub faults: Vec<String>,
}

impl Api7Config {
    /// The dashboard at `dashboard_url`, with the defaults.
    pub fn new(dashboard_url: impl Into<String>, token: impl Into<Secret<String>>) -> Self {
        Self {
            name: name(),
            dashboard_url: dashboard_url.into(),
            gateway_url: None,
            token: token.into(),
            access: Access::default(),
            tools: None,
            exclude_tools: Vec::new(),
            secrets: Secrets::default(),
            ca_pem: None,
            proxy: None,
            timeout_seconds: timeout(),
            answer_bytes: answer(),
            max_gateway_requests: requests(),
            gateway_concurrency: concurrency(),
            risk: RiskConfig::default(),
            unset: None,
        }
    }

    /// From the variables of API7-MCP: `DASHBOARD_URL`, `TOKEN` and, for test requests, `GATEWAY_URL`. `look_up`
    /// finds a variable: this crate does not read the environment.
    ///
    /// # Errors
    /// When one that is needed is missing or empty; all that are missing are named.
    pub fn from_lookup(look_up: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let mut faults = Vec::new();
        let given = |name: &str| {
            look_up(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let dashboard = given("DASHBOARD_URL");
        if dashboard.is_none() {
            faults.push(
                "DASHBOARD_URL is not set: give the address of the dashboard, like https://dashboard.example.com:7443"
                    .to_owned(),
            );
        }
        let token = given("TOKEN");
        if token.is_none() {
            faults.push(
                "TOKEN is not set: make a token in the dashboard and give it here".to_owned(),
            );
        }
        match (dashboard, token) {
            (Some(dashboard), Some(token)) => {
                let mut config = Self::new(dashboard, Secret::new(token));
                config.gateway_url = given("GATEWAY_URL");
                Ok(config)
            }
            _ => Err(EnvironmentError { faults }),
        }
    }

    /// Sets the gateway that test requests go to.
    #[must_use]
    pub fn with_gateway_url(mut self, url: impl Into<String>) -> Self {
        self.gateway_url = Some(url.into());
        self
    }

    /// Sets what the tools may change.
    #[must_use]
    pub const fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_api7_mcp_are_understood() {
        let config = Api7Config::from_lookup(|name| match name {
            "DASHBOARD_URL" => Some("https://d:7443/".to_owned()),
            "TOKEN" => Some(" a7ee-hidden\n".to_owned()),
            "GATEWAY_URL" => Some("  ".to_owned()),
            _ => None,
        })
        .unwrap();
        assert_eq!(config.token.expose(), "a7ee-hidden");
        assert_eq!(config.gateway_url, None);
        assert!(!format!("{config:?}").contains("hidden"));
        let error = Api7Config::from_lookup(|_| None).unwrap_err();
        assert_eq!(error.faults.len(), 2, "{error}");
    }
}
