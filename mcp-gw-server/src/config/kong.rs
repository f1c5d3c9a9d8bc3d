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
use super::kong_section::kong_section;
use super::text::ByteSize;

kong_section! {
    /// A Kong Gateway, whose Admin API becomes tools, which only read. Its token, where it has one, is given by one of
    /// `admin_token` and `admin_token_file`. Several gateways, or workspaces, are several servers.
    KongSection(url: impl Into<String>) for KongConfig by gateway_backend, token in admin_token_file
    /// The Admin API at `url`, with the defaults.
    {
        /// The address of the Admin API, such as `http://127.0.0.1:8001`.
        pub admin_url: String = url.into(),
        /// A token of the Enterprise edition; take it from the environment as `${KONG_ADMIN_TOKEN}`. It is sent
        /// to the Admin API and nowhere else.
        #[schemars(extend("writeOnly" = true))]
        pub admin_token: Option<Secret<String>> = None,
        /// The header of the token, where the gateway is told another (`rbac_auth_header`).
        #[serde(default = "admin_header")]
        pub admin_header: String = admin_header(),
        /// The workspace (Enterprise); the default one if not given.
        pub workspace: Option<String> = None,
        /// What the gateway is called as a control plane; its address if not given.
        pub control_plane_name: Option<String> = None,
        /// Its id as a control plane, a UUID; one that is made of its address if not given.
        pub control_plane_id: Option<String> = None,
        /// Whether `GetConsumerGroup` is listed, which wants the Enterprise edition; if not given, when there is a
        /// token or a workspace.
        pub consumer_groups: Option<bool> = None,
    }
}

fn admin_header() -> String {
    "Kong-Admin-Token".to_owned()
}

impl KongSection {
    /// Whether a token goes there.
    pub(super) const fn has_token(&self) -> bool {
        self.admin_token.is_some() || self.admin_token_file.is_some()
    }

    fn own_address(&self) -> (&'static str, &str, &'static str) {
        ("admin_url", &self.admin_url, "http://127.0.0.1:8001")
    }

    fn credential(&self) -> Option<Credential<'_>> {
        self.has_token().then_some(Credential {
            what: "token",
            key: "admin_token",
            file_key: "admin_token_file",
            value: self.admin_token.as_ref(),
            file: self.admin_token_file.as_deref(),
            source: "take the token of an admin",
            best: "admin_token: ${KONG_ADMIN_TOKEN}",
        })
    }

    #[expect(
        clippy::unused_self,
        reason = "a section of Konnect looks at itself here"
    )]
    fn beginning(&self) -> KongConfig {
        KongConfig::new(NOWHERE)
    }

    fn fill(&self, config: &mut KongConfig, token: Option<Secret<String>>) {
        config.admin_url.clone_from(&self.admin_url);
        config.admin_token = token;
        config.admin_header.clone_from(&self.admin_header);
        config.workspace.clone_from(&self.workspace);
        config
            .control_plane_name
            .clone_from(&self.control_plane_name);
        config.control_plane_id.clone_from(&self.control_plane_id);
        config.consumer_groups = self.consumer_groups;
    }

    fn own_faults(&self) -> Vec<AdminFault> {
        let mut faults = Vec::new();
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
