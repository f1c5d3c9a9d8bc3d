//! Metrics in the configuration: where they are served, and to whom.

use std::net::SocketAddr;
use std::path::PathBuf;

use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::check::{Checker, is_path};
use super::credential::{self, KeyError};
use super::path::ConfigPath;
use super::types::Config;

/// Metrics for Prometheus, at an address of their own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct MetricsConfig {
    /// The address and port at which metrics are served, such as `127.0.0.1:9464`. Nowhere if not
    /// given. An address other than loopback needs a token, or `insecure: true`.
    pub listen: Option<String>,
    /// The path of the metrics.
    pub path: String,
    /// What readers must show as `Authorization: Bearer <token>`, at least 16 characters; take it
    /// from the environment as `${METRICS_TOKEN}`.
    #[schemars(extend("writeOnly" = true))]
    pub token: Option<Secret<String>>,
    /// A file that holds the token; blanks and line ends around it are ignored.
    pub token_file: Option<PathBuf>,
    /// Allows a listen address other than loopback although readers need no token.
    pub insecure: bool,
    /// Goes on without metrics when the address cannot be had: nobody chose it.
    #[serde(skip)]
    pub(crate) is_optional: bool,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            listen: None,
            path: "/metrics".to_owned(),
            token: None,
            token_file: None,
            insecure: false,
            is_optional: false,
        }
    }
}

impl MetricsConfig {
    /// Sets the address and port at which metrics are served, as `127.0.0.1:9464`.
    #[must_use]
    pub fn with_listen(mut self, listen: impl Into<String>) -> Self {
        self.listen = Some(listen.into());
        self
    }

    /// Sets what readers must show.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Secret::new(token.into()));
        self
    }

    /// The address to listen on; `None` if metrics are not served, or `listen` is not an IP address
    /// with a port, which a loaded configuration never has.
    pub fn listen_address(&self) -> Option<SocketAddr> {
        self.listen.as_ref()?.parse().ok()
    }

    /// The SHA-256 digest of the token, if there is one; reads `token_file`.
    ///
    /// # Errors
    /// [`KeyError`] if the token is shorter than 16 characters or cannot be sent in a header, or the
    /// file cannot be read.
    pub fn token_sha256(&self) -> Result<Option<[u8; 32]>, KeyError> {
        match (&self.token, &self.token_file) {
            (Some(token), _) => credential::digest(token.expose()).map(Some),
            (None, Some(file)) => credential::digest_of_file(file).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// In a sentence.
    pub(super) fn explain(&self) -> Option<String> {
        let listen = self.listen.as_ref()?;
        let has_token = self.token.is_some() || self.token_file.is_some();
        let readers = if has_token {
            "with a token"
        } else if self
            .listen_address()
            .is_some_and(|at| at.ip().is_loopback())
        {
            "no token, this machine only"
        } else {
            "no token, everybody who can reach the address"
        };
        Some(format!(
            "metrics at http://{listen}{} ({readers})",
            self.path
        ))
    }
}

pub(super) fn check(checker: &mut Checker<'_>, config: &Config, path: &ConfigPath) {
    let metrics = &config.metrics;
    token(checker, metrics, path);
    if !is_path(&metrics.path) {
        let at = path.key("path");
        let shown = checker.shown(&at, &metrics.path);
        let help = "write a path that starts with `/`, such as `/metrics`";
        checker.fault(&at, format!("{shown} is not the path of metrics"), help);
    }
    let at = path.key("listen");
    let Some(listen) = &metrics.listen else {
        if metrics.token.is_some() || metrics.token_file.is_some() || metrics.insecure {
            let help = "add `listen: 127.0.0.1:9464`, or remove the section";
            checker.fault(path, "metrics are served nowhere", help);
        }
        return;
    };
    let Some(address) = metrics.listen_address() else {
        let message = format!(
            "{} is not an address to listen on",
            checker.shown(&at, listen)
        );
        let help = "write an IP address and a port, such as `127.0.0.1:9464`, `0.0.0.0:9464` or \
                    `[::1]:9464`";
        checker.fault(&at, message, help);
        return;
    };
    let has_token = metrics.token.is_some() || metrics.token_file.is_some();
    if !address.ip().is_loopback() && !has_token && !metrics.insecure {
        checker.fault(
            &at,
            "metrics would be read beyond this machine, by everybody",
            "add `token`, or listen on `127.0.0.1`, or say `insecure: true` if nobody else can \
             reach the address",
        );
    }
    if address.port() != 0 && config.http.listen_address() == Some(address) {
        let message = "the MCP endpoint listens there, see `http.listen`";
        checker.fault(&at, message, "choose another port, such as 9464");
    }
}

fn token(checker: &mut Checker<'_>, metrics: &MetricsConfig, path: &ConfigPath) {
    if metrics.token.is_some() && metrics.token_file.is_some() {
        let message = "both `token` and `token_file` are given";
        checker.fault(path, message, "remove one of them");
        return;
    }
    if let Err(error) = metrics.token_sha256() {
        let key = if metrics.token.is_some() {
            "token"
        } else {
            "token_file"
        };
        checker.fault(&path.key(key), error.to_string(), error.help());
    }
}
