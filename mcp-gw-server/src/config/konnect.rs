//! A region of Kong Konnect as a server: its APIs as tools.

use std::path::PathBuf;
use std::time::Duration;

use mcp_gw_admin_client::http::BaseUrl;
use mcp_gw_admin_client::konnect::Region;
use mcp_gw_admin_client::tools::konnect::{Access, KonnectConfig, konnect_backend};
use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::admin_api::{
    self, AdminFault, Common, Credential, answer_size, count, max_items, of_items,
};
use super::docs;
use super::text::ByteSize;

/// A region of Kong Konnect, whose APIs become tools. Its token is given by exactly one of `token` and
/// `token_file`. Several regions are several servers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KonnectSection {
    /// The region: `us`, `eu`, `au`, `me`, `in` or `sg`. With `base_url` it is only a name in texts.
    #[serde(default = "us")]
    pub region: String,
    /// Another address than that of the region, such as that of a proxy in front of it. The token is sent
    /// there.
    pub base_url: Option<String>,
    /// Another address than `https://global.api.konghq.com`, or than `base_url`, for what belongs to no
    /// region. The token is sent there.
    pub global_url: Option<String>,
    /// A token of a person or a system account; take it from the environment as
    /// `${KONNECT_ACCESS_TOKEN}`. It is sent to Konnect and nowhere else.
    #[schemars(extend("writeOnly" = true))]
    pub token: Option<Secret<String>>,
    /// A file that holds the token; blanks and line ends around it are ignored.
    pub token_file: Option<PathBuf>,
    /// What the tools may change. Debug sessions are all that they make, and the user is asked about each.
    #[serde(default = "read_write")]
    #[schemars(extend("default" = "read-write"))]
    pub access: Access,
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
    /// What the user has to set before anything can be asked; only of the command line.
    #[serde(skip)]
    pub(crate) unset: Option<String>,
}

fn us() -> String {
    Region::Us.as_str().to_owned()
}

const fn read_write() -> Access {
    Access::ReadWrite
}

impl KonnectSection {
    /// A region, with the defaults.
    pub fn new(region: impl Into<String>, token: impl Into<Secret<String>>) -> Self {
        Self {
            region: region.into(),
            base_url: None,
            global_url: None,
            token: Some(token.into()),
            token_file: None,
            access: read_write(),
            tools: None,
            exclude_tools: Vec::new(),
            docs: None,
            ca_file: None,
            proxy: None,
            answer_size: answer_size(),
            max_items: max_items(),
            unset: None,
        }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        let of_region = self.region.parse::<Region>().unwrap_or_default().url();
        self.base_url.as_deref().unwrap_or(of_region)
    }

    /// The files that are read with it.
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.token_file
            .iter_mut()
            .chain(&mut self.ca_file)
            .chain(&mut self.docs)
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
    ) -> Result<KonnectConfig, Vec<AdminFault>> {
        let common = Common {
            address: ("base_url", self.address(), "https://eu.api.konghq.com"),
            gateway_url: None,
            credential: Some(Credential {
                what: "token",
                key: "token",
                file_key: "token_file",
                value: self.token.as_ref(),
                file: self.token_file.as_deref(),
                source: "make a personal access token in Konnect",
                best: "token: ${KONNECT_ACCESS_TOKEN}",
            }),
            tools: self.tools.as_deref(),
            exclude_tools: &self.exclude_tools,
            ca_file: self.ca_file.as_deref(),
            proxy: self.proxy.as_ref(),
            answer_size: self.answer_size,
        };
        let mut config = KonnectConfig::new(Region::Us, Secret::new("none".to_owned()));
        config.access = self.access;
        config.tools.clone_from(&self.tools);
        config.exclude_tools.clone_from(&self.exclude_tools);
        let held = common.settle(
            konnect_backend(&config, docs::unread(self.docs.as_deref())),
            self.more(),
        )?;
        name.clone_into(&mut config.name);
        config.region.clone_from(&self.region);
        config.base_url.clone_from(&self.base_url);
        config.global_url.clone_from(&self.global_url);
        if let Some(token) = held.credential {
            config.token = token;
        }
        config.ca_pem = held.ca_pem;
        config.proxy.clone_from(&self.proxy);
        config.timeout_seconds = admin_api::whole_seconds(timeout);
        config.answer_bytes = common.answer_bytes();
        config.max_items = count(self.max_items);
        config.unset.clone_from(&self.unset);
        Ok(config)
    }

    /// What is wrong besides: a region that there is not, addresses that the token must not go to.
    fn more(&self) -> Vec<AdminFault> {
        let mut faults = of_items(self.max_items);
        faults.extend(docs::faults(self.docs.as_deref(), self.tools.as_deref()));
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
