//! A Kong Gateway of one's own as a server: its Admin API as tools.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use mcp_gw_admin_client::konnect::Uuid;
use mcp_gw_admin_client::tools::konnect::{KongConfig, gateway_backend};
use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::admin_api::{
    self, AdminFault, Common, Credential, NOWHERE, answer_size, count, max_items, of_items,
};
use super::docs;
use super::text::ByteSize;

/// A Kong Gateway, whose Admin API becomes tools, which only read. Its token, where it has one, is given by one of
/// `admin_token` and `admin_token_file`. Several gateways, or workspaces, are several servers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KongSection {
    /// The address of the Admin API, such as `http://127.0.0.1:8001`.
    pub admin_url: String,
    /// A token of the Enterprise edition; take it from the environment as `${KONG_ADMIN_TOKEN}`. It is sent
    /// to the Admin API and nowhere else.
    #[schemars(extend("writeOnly" = true))]
    pub admin_token: Option<Secret<String>>,
    /// A file that holds the token; blanks and line ends around it are ignored.
    pub admin_token_file: Option<PathBuf>,
    /// The header of the token, where the gateway is told another (`rbac_auth_header`).
    #[serde(default = "admin_header")]
    pub admin_header: String,
    /// The workspace (Enterprise); the default one if not given.
    pub workspace: Option<String>,
    /// What the gateway is called as a control plane; its address if not given.
    pub control_plane_name: Option<String>,
    /// Its id as a control plane, a UUID; one that is made of its address if not given.
    pub control_plane_id: Option<String>,
    /// Whether `GetConsumerGroup` is listed, which wants the Enterprise edition; if not given, when there is a
    /// token or a workspace.
    pub consumer_groups: Option<bool>,
    /// Only these tools, by the names that the server gives them; all if not given.
    pub tools: Option<Vec<String>>,
    /// Not these tools.
    #[serde(default)]
    pub exclude_tools: Vec<String>,
    /// Documentation that `KnowledgeBaseSearch` searches: a folder, an archive (`.tar.gz`, `.tar`, `.zip`), or an
    /// index of it that `mcp-gw-http docs index` wrote; without it the tool is not listed.
    pub docs: Option<PathBuf>,
    /// A file of the certificates of authorities, in PEM, that are believed instead of those of the
    /// system.
    pub ca_file: Option<PathBuf>,
    /// A proxy that requests go through, such as `http://proxy.example.com:3128`.
    #[schemars(extend("writeOnly" = true))]
    pub proxy: Option<Secret<String>>,
    /// How long a list in an answer may be; from `1KiB` to `1MiB`.
    #[serde(default = "answer_size")]
    pub answer_size: ByteSize,
    /// How many entities of one list are read at most.
    #[serde(default = "max_items")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_items: u32,
}

fn admin_header() -> String {
    "Kong-Admin-Token".to_owned()
}

impl KongSection {
    /// The Admin API at `admin_url`, with the defaults.
    pub fn new(admin_url: impl Into<String>) -> Self {
        Self {
            admin_url: admin_url.into(),
            admin_token: None,
            admin_token_file: None,
            admin_header: admin_header(),
            workspace: None,
            control_plane_name: None,
            control_plane_id: None,
            consumer_groups: None,
            tools: None,
            exclude_tools: Vec::new(),
            docs: None,
            ca_file: None,
            proxy: None,
            answer_size: answer_size(),
            max_items: max_items(),
        }
    }

    /// Whether a token goes there.
    pub(super) const fn has_token(&self) -> bool {
        self.admin_token.is_some() || self.admin_token_file.is_some()
    }

    /// The files that are read with it.
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.admin_token_file
            .iter_mut()
            .chain(&mut self.ca_file)
            .chain(&mut self.docs)
    }

    /// The same, to be looked at.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.admin_token_file.iter().chain(&self.ca_file)
    }

    /// What its tools are made with, under this name and with this time for each request; reads
    /// `admin_token_file` and `ca_file`.
    ///
    /// # Errors
    /// All faults at once. None of them repeats a secret.
    pub(crate) fn resolve(
        &self,
        name: &str,
        timeout: Duration,
    ) -> Result<KongConfig, Vec<AdminFault>> {
        let common = Common {
            address: ("admin_url", &self.admin_url, "http://127.0.0.1:8001"),
            gateway_url: None,
            credential: self.has_token().then_some(Credential {
                what: "token",
                key: "admin_token",
                file_key: "admin_token_file",
                value: self.admin_token.as_ref(),
                file: self.admin_token_file.as_deref(),
                source: "take the token of an admin",
                best: "admin_token: ${KONG_ADMIN_TOKEN}",
            }),
            tools: self.tools.as_deref(),
            exclude_tools: &self.exclude_tools,
            ca_file: self.ca_file.as_deref(),
            proxy: self.proxy.as_ref(),
            answer_size: self.answer_size,
        };
        let mut config = KongConfig::new(NOWHERE);
        config.tools.clone_from(&self.tools);
        config.exclude_tools.clone_from(&self.exclude_tools);
        let held = common.settle(
            gateway_backend(&config, docs::unread(self.docs.as_deref())),
            self.more(),
        )?;
        name.clone_into(&mut config.name);
        config.admin_url.clone_from(&self.admin_url);
        config.admin_token = held.credential;
        config.admin_header.clone_from(&self.admin_header);
        config.workspace.clone_from(&self.workspace);
        config
            .control_plane_name
            .clone_from(&self.control_plane_name);
        config.control_plane_id.clone_from(&self.control_plane_id);
        config.consumer_groups = self.consumer_groups;
        config.ca_pem = held.ca_pem;
        config.proxy.clone_from(&self.proxy);
        config.timeout_seconds = admin_api::whole_seconds(timeout);
        config.answer_bytes = common.answer_bytes();
        config.max_items = count(self.max_items);
        Ok(config)
    }

    fn more(&self) -> Vec<AdminFault> {
        let mut faults = of_items(self.max_items);
        faults.extend(docs::faults(self.docs.as_deref(), self.tools.as_deref()));
        let is_id = |id: &String| id.trim().parse::<Uuid>().is_ok();
        if !self.control_plane_id.as_ref().is_none_or(is_id) {
            let help = "write a UUID, or remove it: then one is made of the address";
            faults.push(AdminFault::new("control_plane_id", "this is no UUID", help));
        }
        if HeaderName::try_from(self.admin_header.trim()).is_err() {
            let help = "write it like `Kong-Admin-Token`";
            faults.push(AdminFault::new(
                "admin_header",
                "this is no name of a header",
                help,
            ));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_needs_no_token_and_what_cannot_be_used_is_told() {
        let mut section = KongSection::new("http://kong:8001");
        let config = section.resolve("k", Duration::from_secs(7)).unwrap();
        assert!(config.admin_token.is_none());
        section.admin_token = Some(Secret::new("hidden token".to_owned()));
        section.control_plane_id = Some("1".to_owned());
        section.admin_header = "a b".to_owned();
        section.max_items = 100_001;
        let found = section.resolve("k", Duration::from_secs(7)).unwrap_err();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        for key in [
            "admin_token: ",
            "control_plane_id: ",
            "admin_header: ",
            "max_items: ",
        ] {
            assert!(
                found.iter().any(|says| says.starts_with(key)),
                "{key}{found:?}"
            );
        }
        assert!(!format!("{found:?}").contains("hidden"));
    }
}
