//! A region of Kong Konnect as a server: its APIs as tools.

use std::path::PathBuf;
use std::time::Duration;

use mcp_gw_admin_client::http::BaseUrl;
use mcp_gw_admin_client::konnect::Region;
use mcp_gw_admin_client::tools::konnect::{Access, KonnectConfig, Visibility, konnect_backend};
use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::admin_api::{
    self, AdminFault, Common, Credential, answer_size, count, max_items, of_items,
};
use super::docs;
use super::kong_section::kong_section;
use super::text::ByteSize;

kong_section! {
    /// A region of Kong Konnect, whose APIs become tools. Its token is given by exactly one of `token` and
    /// `token_file`. Several regions are several servers.
    KonnectSection(region: impl Into<String>, token: impl Into<Secret<String>>)
        for KonnectConfig by konnect_backend, token in token_file
    /// A region, with the defaults.
    {
        /// The region: `us`, `eu`, `au`, `me`, `in` or `sg`. With `base_url` it is only a name in texts.
        #[serde(default = "us")]
        pub region: String = region.into(),
        /// Another address than that of the region, such as that of a proxy in front of it. The token is sent
        /// there.
        pub base_url: Option<String> = None,
        /// Another address than `https://global.api.konghq.com`, or than `base_url`, for what belongs to no
        /// region. The token is sent there.
        pub global_url: Option<String> = None,
        /// A token of a person or a system account; take it from the environment as
        /// `${KONNECT_ACCESS_TOKEN}`. It is sent to Konnect and nowhere else.
        #[schemars(extend("writeOnly" = true))]
        pub token: Option<Secret<String>> = Some(token.into()),
        /// What the tools may change. Debug sessions are all that they make, and the user is asked about each.
        #[serde(default = "read_write")]
        #[schemars(extend("default" = "read-write"))]
        pub access: Access = read_write(),
        /// Which of these tools are listed.
        #[serde(default)]
        #[schemars(extend("default" = "rights"))]
        pub visibility: Visibility = Visibility::default(),
        /// The switch of the organization: with `false` every call is denied, and Konnect is asked nothing.
        #[serde(default = "yes")]
        pub enabled: bool = yes(),
        /// What the user has to set before anything can be asked; only of the command line.
        #[serde(skip)]
        pub(crate) unset: Option<String> = None,
    }
}

fn us() -> String {
    Region::Us.as_str().to_owned()
}

const fn read_write() -> Access {
    Access::ReadWrite
}

const fn yes() -> bool {
    true
}

impl KonnectSection {
    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        let of_region = self.region.parse::<Region>().unwrap_or_default().url();
        self.base_url.as_deref().unwrap_or(of_region)
    }

    fn own_address(&self) -> (&'static str, &str, &'static str) {
        ("base_url", self.address(), "https://eu.api.konghq.com")
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "a gateway of one's own may have none"
    )]
    fn credential(&self) -> Option<Credential<'_>> {
        Some(Credential {
            what: "token",
            key: "token",
            file_key: "token_file",
            value: self.token.as_ref(),
            file: self.token_file.as_deref(),
            source: "make a personal access token in Konnect",
            best: "token: ${KONNECT_ACCESS_TOKEN}",
        })
    }

    fn beginning(&self) -> KonnectConfig {
        let config = KonnectConfig::new(Region::Us, Secret::new("none".to_owned()));
        config.with_access(self.access)
    }

    fn fill(&self, config: &mut KonnectConfig, token: Option<Secret<String>>) {
        config.region.clone_from(&self.region);
        config.base_url.clone_from(&self.base_url);
        config.global_url.clone_from(&self.global_url);
        if let Some(token) = token {
            config.token = token;
        }
        config.visibility = self.visibility;
        config.enabled = self.enabled;
        config.unset.clone_from(&self.unset);
    }

    /// A region that there is not, addresses that the token must not go to.
    fn own_faults(&self) -> Vec<AdminFault> {
        let mut faults = Vec::new();
        if self.base_url.is_none()
            && let Err(error) = self.region.parse::<Region>()
        {
            let help = "write one of them, or the address as `base_url`";
            faults.push(AdminFault::new("region", error.to_string(), help));
        }
        for (key, url) in [
            ("base_url", &self.base_url),
            ("global_url", &self.global_url),
        ] {
            let Some(url) = url else { continue };
            match url.parse::<BaseUrl>() {
                Ok(base) if base.is_https() || base.is_loopback() => {}
                Ok(_) => {
                    let message = "the token would go over the network without TLS";
                    faults.push(AdminFault::new(key, message, "write `https://`"));
                }
                // That of `base_url` is told already.
                Err(error) if key == "global_url" => {
                    let help = "write an address such as `https://global.api.konghq.com`";
                    faults.push(AdminFault::new(key, error.to_string(), help));
                }
                Err(_) => {}
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(change: impl FnOnce(&mut KonnectSection)) -> Vec<String> {
        let mut section = KonnectSection::new("eu", Secret::new("kpat_hidden".to_owned()));
        change(&mut section);
        let found = section.resolve("k", Duration::from_secs(7));
        let found = found.err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_cannot_be_used_is_told_with_what_to_do() {
        assert_eq!(faults(|_| {}), [""; 0]);
        assert_eq!(faults(|section| section.enabled = false), [""; 0]);
        assert_eq!(
            faults(|section| section.base_url = Some("http://127.0.0.1:1".to_owned())),
            [""; 0]
        );
        for (change, says) in [
            (
                (|section| section.region = "mars".to_owned()) as fn(&mut KonnectSection),
                "region: there is no such region",
            ),
            (
                |section| section.base_url = Some("http://k.example".to_owned()),
                "base_url: the token would go",
            ),
            (
                |section| section.base_url = Some("konnect".to_owned()),
                "base_url: this is not a URL",
            ),
            (
                |section| section.global_url = Some("ftp://h".to_owned()),
                "global_url: ",
            ),
            (
                |section| section.token = None,
                "token: neither `token` nor `token_file`",
            ),
            (
                |section| section.tools = Some(vec!["GetServices".to_owned()]),
                "did you mean `GetService`?",
            ),
            (|section| section.max_items = 0, "max_items: "),
        ] {
            let found = faults(change);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].contains(says) && !found[0].contains("hidden"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_tool_that_writes_is_not_wanted_of_who_may_only_read() {
        let found = faults(|section| {
            section.access = Access::ReadOnly;
            section.tools = Some(vec!["GetRoute".to_owned(), "CreateDebugSession".to_owned()]);
        });
        assert!(
            found[0].contains("`CreateDebugSession` changes something"),
            "{found:?}"
        );
    }
}
