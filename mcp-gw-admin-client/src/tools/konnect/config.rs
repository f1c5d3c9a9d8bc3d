//! What the tools are told before they start.

use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::konnect::Region;
use crate::tools::api7::{Access, EnvironmentError, answer, timeout};

/// What is listed of the tools that a configuration chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Visibility {
    /// Those that the rights of the token do not exclude, as far as Konnect tells them: it is asked at the start, and
    /// again every few minutes. What is in doubt is listed. The default.
    #[default]
    Rights,
    /// All of them; Konnect is not asked.
    All,
}

/// Configurations: what each has of its own with the value that it has unless something else is said, and what all have
/// whose tools read lists of entities.
macro_rules! configs {
    ($(
        $(#[$doc:meta])*
        $name:ident($($argument:ident: $given:ty),*) $(#[$new_doc:meta])* {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $value:expr,)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])*
            pub $field: $type,)*
            /// Only these tools; all when it is missing.
            #[serde(default)]
            pub tools: Option<Vec<String>>,
            /// Not these tools.
            #[serde(default)]
            pub exclude_tools: Vec<String>,
            /// Certificates of authorities, in PEM, that are believed instead of those of the system.
            #[serde(default)]
            pub ca_pem: Option<String>,
            /// A proxy that requests go through: `http://proxy.example.com:3128`.
            #[serde(default)]
            pub proxy: Option<Secret<String>>,
            /// How long one attempt at a request may take, in seconds.
            #[serde(default = "timeout")]
            #[schemars(range(min = 1, max = 600))]
            pub timeout_seconds: u32,
            /// How long a list in an answer is at most, in bytes.
            #[serde(default = "answer")]
            #[schemars(range(min = 1024, max = 1_048_576))]
            pub answer_bytes: usize,
            /// How many entities of a list are read at most.
            #[serde(default = "items")]
            #[schemars(range(min = 1, max = 100_000))]
            pub max_items: usize,
        }

        impl $name {
            $(#[$new_doc])*
            pub fn new($($argument: $given),*) -> Self {
                Self {
                    $($field: $value,)*
                    tools: None,
                    exclude_tools: Vec::new(),
                    ca_pem: None,
                    proxy: None,
                    timeout_seconds: timeout(),
                    answer_bytes: answer(),
                    max_items: items(),
                }
            }
        }
    )*};
}

configs! {
    /// The tools of one region of Kong Konnect.
    KonnectConfig(region: Region, token: impl Into<Secret<String>>)
    /// A region, with the defaults.
    {
        /// The name of the backend in policy, audit and metrics.
        #[serde(default = "konnect")]
        name: String = konnect(),
        /// The region: `us`, `eu`, `au`, `me`, `in`, `sg`. What is in another is not seen.
        #[serde(default = "us")]
        region: String = region.as_str().to_owned(),
        /// Another address than that of the region, such as that of a proxy in front of it: the token is sent there.
        #[serde(default)]
        base_url: Option<String> = None,
        /// Another address than `https://global.api.konghq.com`: the token is sent there, too.
        #[serde(default)]
        global_url: Option<String> = None,
        /// A token of a person (`kpat_…`) or a system account (`spat_…`). It is sent to Konnect and nowhere else.
        token: Secret<String> = token.into(),
        /// What the tools may change: debug sessions are all that they make.
        #[serde(default = "writes")]
        access: Access = writes(),
        /// Whether tools that the rights of the token exclude are listed.
        #[serde(default)]
        visibility: Visibility = Visibility::default(),
        /// The switch of the organization: without it nobody is let in, and nothing is asked.
        #[serde(default = "yes")]
        enabled: bool = yes(),
        /// What the user has to set before anything can be asked: the tools are listed, and each call is answered with
        /// this.
        #[serde(skip)]
        unset: Option<String> = None,
    }

    /// The tools of one Kong Gateway.
    KongConfig(url: impl Into<String>)
    /// The Admin API at `url`, with the defaults.
    {
        /// The name of the backend in policy, audit and metrics.
        #[serde(default = "kong")]
        name: String = kong(),
        /// The address of the Admin API: `http://127.0.0.1:8001`.
        #[serde(default = "admin_url")]
        admin_url: String = url.into(),
        /// A token of the Enterprise edition (`Kong-Admin-Token`). It is sent to the Admin API and nowhere else.
        #[serde(default)]
        admin_token: Option<Secret<String>> = None,
        /// The header of the token, when the gateway is told another.
        #[serde(default = "admin_header")]
        admin_header: String = admin_header(),
        /// The workspace (Enterprise); the default one when it is missing.
        #[serde(default)]
        workspace: Option<String> = None,
        /// What the gateway is called as a control plane; by its address when it is missing.
        #[serde(default)]
        control_plane_name: Option<String> = None,
        /// Its id as a control plane: a UUID; one that is made of its address when it is missing.
        #[serde(default)]
        control_plane_id: Option<String> = None,
        /// List `GetConsumerGroup`, which wants the Enterprise edition; without it, when there is a token or a workspace.
        #[serde(default)]
        consumer_groups: Option<bool> = None,
    }
}

fn konnect() -> String {
    "konnect".to_owned()
}

fn kong() -> String {
    "kong".to_owned()
}

fn us() -> String {
    Region::Us.as_str().to_owned()
}

fn admin_url() -> String {
    "http://127.0.0.1:8001".to_owned()
}

fn admin_header() -> String {
    "Kong-Admin-Token".to_owned()
}

const fn writes() -> Access {
    Access::ReadWrite
}

const fn yes() -> bool {
    true
}

const fn items() -> usize {
    10_000
}

impl KonnectConfig {
    /// From the variables of Kong's older server: `KONNECT_ACCESS_TOKEN`, `KONNECT_REGION` (`us` without it), and
    /// `KONNECT_BASE_URL` and `KONNECT_GLOBAL_URL` for other addresses. `look_up` finds a variable: this crate does not read
    /// the environment.
    ///
    /// # Errors
    /// When one cannot be used, or the token is missing; all faults are named.
    pub fn from_lookup(look_up: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let mut faults = Vec::new();
        let region = given(&look_up, "KONNECT_REGION").unwrap_or_else(us);
        let region: Region = region.parse().unwrap_or_else(|error| {
            faults.push(format!("KONNECT_REGION: {error}"));
            Region::default()
        });
        let token = given(&look_up, "KONNECT_ACCESS_TOKEN");
        if token.is_none() {
            faults.push(
                "KONNECT_ACCESS_TOKEN is not set: make a personal access token in Konnect and give it here".to_owned(),
            );
        }
        match token {
            Some(token) if faults.is_empty() => {
                let mut config = Self::new(region, Secret::new(token));
                config.base_url = given(&look_up, "KONNECT_BASE_URL");
                config.global_url = given(&look_up, "KONNECT_GLOBAL_URL");
                Ok(config)
            }
            _ => Err(EnvironmentError { faults }),
        }
    }

    /// Sets what the tools may change.
    #[must_use]
    pub const fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Sets what is listed.
    #[must_use]
    pub const fn with_visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = visibility;
        self
    }
}

impl KongConfig {
    /// From variables: `KONG_ADMIN_URL` (`http://127.0.0.1:8001` without it), `KONG_ADMIN_TOKEN`, `KONG_WORKSPACE`.
    /// `look_up` finds a variable: this crate does not read the environment.
    pub fn from_lookup(look_up: impl Fn(&str) -> Option<String>) -> Self {
        let url = given(&look_up, "KONG_ADMIN_URL").unwrap_or_else(admin_url);
        let mut config = Self::new(url);
        config.admin_token = given(&look_up, "KONG_ADMIN_TOKEN").map(Secret::new);
        config.workspace = given(&look_up, "KONG_WORKSPACE");
        config
    }

    /// True when consumer groups are expected there.
    pub(crate) fn has_consumer_groups(&self) -> bool {
        let is_enterprise = self.admin_token.is_some() || self.workspace.is_some();
        self.consumer_groups.unwrap_or(is_enterprise)
    }
}

fn given(look_up: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    look_up(name)
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_understood_and_all_faults_named() {
        let config = KonnectConfig::from_lookup(|name| match name {
            "KONNECT_ACCESS_TOKEN" => Some(" kpat_hidden\n".to_owned()),
            "KONNECT_REGION" => Some("EU".to_owned()),
            _ => None,
        })
        .unwrap();
        assert_eq!(
            (&*config.region, &**config.token.expose()),
            ("eu", "kpat_hidden")
        );
        assert!(!format!("{config:?}").contains("hidden"));
        let error = KonnectConfig::from_lookup(|name| {
            (name == "KONNECT_REGION").then(|| "mars".to_owned())
        });
        assert_eq!(error.unwrap_err().faults.len(), 2);
        let kong =
            KongConfig::from_lookup(|name| (name == "KONG_WORKSPACE").then(|| "team".to_owned()));
        assert_eq!(kong.admin_url, "http://127.0.0.1:8001");
        assert!(kong.has_consumer_groups() && !KongConfig::new("http://h").has_consumer_groups());
    }
}
