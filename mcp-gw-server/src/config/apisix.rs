//! An Apache APISIX as a server: its Admin API as tools.

use std::path::PathBuf;
use std::time::Duration;

use mcp_gw_admin_client::tools::apisix::{Access, ApisixConfig, Secrets, backend};
use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::admin_api::{
    self, AdminFault, Common, Credential, NOWHERE, answer_size, count, gateway_concurrency,
    max_gateway_requests,
};
use super::text::ByteSize;

/// An Apache APISIX, whose Admin API becomes tools. Its key is given by exactly one of `admin_key` and
/// `admin_key_file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ApisixSection {
    /// The address of the Admin API with its prefix, such as `http://127.0.0.1:9180/apisix/admin`.
    pub admin_url: String,
    /// The address of a gateway that test requests go to, such as `http://gateway.example.com:9080`;
    /// without it there are none.
    pub gateway_url: Option<String>,
    /// The key of the Admin API; take it from the environment as `${APISIX_ADMIN_KEY}`. It is sent to
    /// the Admin API and nowhere else.
    #[schemars(extend("writeOnly" = true))]
    pub admin_key: Option<Secret<String>>,
    /// A file that holds the key; blanks and line ends around it are ignored.
    pub admin_key_file: Option<PathBuf>,
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
    /// What the user has to set before anything can be asked; only of the command line.
    #[serde(skip)]
    pub(crate) unset: Option<String>,
}

impl ApisixSection {
    /// The Admin API at `admin_url`, with the defaults.
    pub fn new(admin_url: impl Into<String>, admin_key: impl Into<Secret<String>>) -> Self {
        Self {
            admin_url: admin_url.into(),
            gateway_url: None,
            admin_key: Some(admin_key.into()),
            admin_key_file: None,
            access: Access::default(),
            tools: None,
            exclude_tools: Vec::new(),
            secrets: Secrets::default(),
            ca_file: None,
            proxy: None,
            answer_size: answer_size(),
            max_gateway_requests: max_gateway_requests(),
            gateway_concurrency: gateway_concurrency(),
            unset: None,
        }
    }

    /// The files that are read with it.
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.admin_key_file.iter_mut().chain(&mut self.ca_file)
    }

    /// The same, to be looked at.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.admin_key_file.iter().chain(&self.ca_file)
    }

    /// What its tools are made with, under this name and with this time for each request; reads
    /// `admin_key_file` and `ca_file`.
    ///
    /// # Errors
    /// All faults at once. None of them repeats a secret.
    pub(crate) fn resolve(
        &self,
        name: &str,
        timeout: Duration,
    ) -> Result<ApisixConfig, Vec<AdminFault>> {
        let common = Common {
            address: (
                "admin_url",
                &self.admin_url,
                "http://127.0.0.1:9180/apisix/admin",
            ),
            gateway_url: self.gateway_url.as_deref(),
            credential: Some(Credential {
                what: "key",
                key: "admin_key",
                file_key: "admin_key_file",
                value: self.admin_key.as_ref(),
                file: self.admin_key_file.as_deref(),
                source: "take the key from the configuration of APISIX",
                best: "admin_key: ${APISIX_ADMIN_KEY}",
            }),
            tools: self.tools.as_deref(),
            exclude_tools: &self.exclude_tools,
            ca_file: self.ca_file.as_deref(),
            proxy: self.proxy.as_ref(),
            answer_size: self.answer_size,
        };
        let mut config = ApisixConfig::new(NOWHERE, Secret::new("none".to_owned()));
        config.access = self.access;
        config.tools.clone_from(&self.tools);
        config.exclude_tools.clone_from(&self.exclude_tools);
        let held = common.settle(backend(&config), [])?;
        name.clone_into(&mut config.name);
        config.admin_url.clone_from(&self.admin_url);
        config.gateway_url.clone_from(&self.gateway_url);
        if let Some(key) = held.credential {
            config.admin_key = key;
        }
        config.secrets = self.secrets;
        config.ca_pem = held.ca_pem;
        config.proxy.clone_from(&self.proxy);
        config.timeout_seconds = admin_api::whole_seconds(timeout);
        config.answer_bytes = common.answer_bytes();
        config.max_gateway_requests = count(self.max_gateway_requests);
        config.gateway_concurrency = count(self.gateway_concurrency);
        config.unset.clone_from(&self.unset);
        Ok(config)
    }
}
