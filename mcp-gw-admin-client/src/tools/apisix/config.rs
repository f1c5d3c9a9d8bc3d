//! What the tools are told before they start.

use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use url::{Host, Url};

use crate::tools::api7::{
    Access, EnvironmentError, Secrets, answer, concurrency, requests, timeout,
};

/// The key in the configuration that APISIX is published with. Everybody knows it.
pub(crate) const SAMPLE_KEY: &str = "edd1c9f034335f136f87ad84b625c8f1";

/// The tools of one APISIX.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ApisixConfig {
    /// The name of the backend in policy, audit and metrics.
    #[serde(default = "name")]
    pub name: String,
    /// The address of the Admin API, with its prefix: `http://127.0.0.1:9180/apisix/admin`.
    pub admin_url: String,
    /// The address of the gateway that test requests go to: `http://127.0.0.1:9080`.
    #[serde(default)]
    pub gateway_url: Option<String>,
    /// The key of the Admin API. It is sent to the Admin API and nowhere else.
    pub admin_key: Secret<String>,
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
    /// How long one attempt at a request to the Admin API may take, in seconds.
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
    /// What the user has to set before anything can be asked: the tools are listed, and each call is answered with this.
    #[serde(skip)]
    pub unset: Option<String>,
}

fn name() -> String {
    "apisix".to_owned()
}

impl ApisixConfig {
    /// The Admin API at `admin_url`, with the defaults. The prefix belongs to the address.
    pub fn new(admin_url: impl Into<String>, admin_key: impl Into<Secret<String>>) -> Self {
        Self {
            name: name(),
            admin_url: admin_url.into(),
            gateway_url: None,
            admin_key: admin_key.into(),
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
            unset: None,
        }
    }

    /// From the variables of apisix-mcp, with its defaults: `APISIX_SERVER_HOST` (`http://127.0.0.1`; without a scheme it is
    /// `http`), `APISIX_SERVER_PORT` (9080), `APISIX_ADMIN_API_PORT` (9180), `APISIX_ADMIN_API_PREFIX` (`/apisix/admin`) and
    /// `APISIX_ADMIN_KEY`. Without a key the one that APISIX is published with is taken, for an APISIX on this machine only.
    /// `look_up` finds a variable: this crate does not read the environment.
    ///
    /// # Errors
    /// When one cannot be used, or the key is missing; all faults are named.
    pub fn from_lookup(look_up: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let mut faults = Vec::new();
        let given = |name: &str| {
            look_up(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let host = host(&given("APISIX_SERVER_HOST").unwrap_or_else(|| "127.0.0.1".to_owned()))
            .map_err(|reason| faults.push(format!("APISIX_SERVER_HOST {reason}")))
            .ok();
        let mut port = |name: &str, usual: u16| {
            let Some(text) = given(name) else {
                return Some(usual);
            };
            let port = text.parse().ok().filter(|port| *port > 0);
            if port.is_none() {
                faults.push(format!(
                    "{name} is not a port: give a number from 1 to 65535"
                ));
            }
            port
        };
        let gateway = port("APISIX_SERVER_PORT", 9080);
        let admin = port("APISIX_ADMIN_API_PORT", 9180);
        let prefix = given("APISIX_ADMIN_API_PREFIX").unwrap_or_else(|| "/apisix/admin".to_owned());
        let prefix = prefix.trim_matches('/');
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
        let leads_up = prefix.split('/').any(|step| matches!(step, "." | ".."));
        if leads_up || !prefix.chars().all(is_plain) {
            faults.push(
                "APISIX_ADMIN_API_PREFIX is no plain path: write it like /apisix/admin".to_owned(),
            );
        }
        let key = given("APISIX_ADMIN_KEY").or_else(|| {
            let is_here = host.as_ref().is_none_or(|host| host.is_here);
            is_here.then(|| SAMPLE_KEY.to_owned())
        });
        if key.is_none() {
            faults.push(
                "APISIX_ADMIN_KEY is not set: give the key of the Admin API (deployment.admin.admin_key in the \
                 configuration of APISIX)"
                    .to_owned(),
            );
        }
        match (host, gateway, admin, key) {
            (Some(host), Some(gateway), Some(admin), Some(key)) if faults.is_empty() => {
                let base = host.base;
                let config = Self::new(format!("{base}:{admin}/{prefix}"), Secret::new(key));
                Ok(config.with_gateway_url(format!("{base}:{gateway}")))
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

    /// True when the key is the one that APISIX is published with.
    pub fn has_sample_key(&self) -> bool {
        self.admin_key.expose() == SAMPLE_KEY
    }
}

struct Place {
    /// Scheme and host, without a port.
    base: String,
    /// It is this machine.
    is_here: bool,
}

/// Reads a host with or without a scheme.
fn host(text: &str) -> Result<Place, &'static str> {
    const WRONG: &str = "cannot be used: write it like http://127.0.0.1";
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = Url::parse(&whole).map_err(|_| WRONG)?;
    let host = url.host().ok_or(WRONG)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://");
    }
    if url.port().is_some() {
        return Err("must not hold a port: APISIX_SERVER_PORT and APISIX_ADMIN_API_PORT say them");
    }
    let is_plain = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_plain {
        return Err("must be a host and nothing else: write it like http://127.0.0.1");
    }
    let is_here = match &host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    Ok(Place {
        base: format!("{}://{host}", url.scheme()),
        is_here,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<ApisixConfig, EnvironmentError> {
        ApisixConfig::from_lookup(|name| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_variables_of_apisix_mcp_are_understood() {
        let config = of(&[]).unwrap();
        assert_eq!(config.admin_url, "http://127.0.0.1:9180/apisix/admin");
        assert_eq!(config.gateway_url.as_deref(), Some("http://127.0.0.1:9080"));
        assert!(config.has_sample_key());
        let config = of(&[
            ("APISIX_SERVER_HOST", "https://apisix.example.com/"),
            ("APISIX_SERVER_PORT", "9443"),
            ("APISIX_ADMIN_API_PORT", " 443\n"),
            ("APISIX_ADMIN_API_PREFIX", "admin/v3/"),
            ("APISIX_ADMIN_KEY", " hidden-key "),
        ])
        .unwrap();
        assert_eq!(config.admin_url, "https://apisix.example.com:443/admin/v3");
        assert_eq!(
            config.gateway_url.as_deref(),
            Some("https://apisix.example.com:9443")
        );
        assert_eq!(config.admin_key.expose(), "hidden-key");
        assert!(!format!("{config:?}").contains("hidden"));
        let config = of(&[("APISIX_SERVER_HOST", "[::1]")]).unwrap();
        assert_eq!(config.gateway_url.as_deref(), Some("http://[::1]:9080"));
    }

    #[test]
    fn the_key_that_everybody_knows_does_not_leave_this_machine() {
        for host in ["http://10.0.0.7", "apisix", "https://localhost.example.com"] {
            let error = of(&[("APISIX_SERVER_HOST", host)]).unwrap_err();
            assert!(error.to_string().contains("APISIX_ADMIN_KEY"), "{error}");
        }
    }

    #[test]
    fn a_prefix_is_a_path_and_leads_nowhere_else() {
        for prefix in ["../..", "/a/../b", "a?x=1", "a#b", "a b", "%2e%2e", "a\\b"] {
            let error = of(&[("APISIX_ADMIN_API_PREFIX", prefix)]).unwrap_err();
            assert!(
                error.to_string().contains("no plain path"),
                "{prefix}: {error}"
            );
        }
    }

    #[test]
    fn all_that_is_wrong_is_named_and_nothing_is_repeated() {
        for host in [
            "http://h:1",
            "ftp://h",
            "http://u:hidden@h",
            "http://h/hidden",
            "http://h?hidden",
            "://",
            "h:9180",
        ] {
            let error = of(&[
                ("APISIX_SERVER_HOST", host),
                ("APISIX_SERVER_PORT", "0"),
                ("APISIX_ADMIN_API_PORT", "hidden"),
            ])
            .unwrap_err();
            assert_eq!(error.faults.len(), 3, "{host}: {error}");
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
    }
}
