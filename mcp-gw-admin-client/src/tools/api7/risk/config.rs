//! What `check_risk` may cost, and from when on something is a risk.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::tools::api7::risk::RuleId;
use crate::tools::api7::risk::rules::version_numbers;

/// Bounds and thresholds of `check_risk`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RiskConfig {
    /// How many requests one scan may send to the dashboard, without those that are sent again after a failure. What is
    /// not read then is named in the answer.
    #[schemars(range(min = 1, max = 20_000))]
    pub max_requests: usize,
    /// How many of them are under way at the same time.
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: usize,
    /// How long a scan reads, in seconds.
    #[schemars(range(min = 1, max = 600))]
    pub max_seconds: u32,
    /// Rules that are not wanted, by their ids.
    #[schemars(with = "Vec<RuleId>")]
    pub rules_off: Vec<String>,
    /// A certificate that ends within so many days is a risk.
    #[schemars(range(max = 36_500))]
    pub certificate_days: u32,
    /// It is a high one within so many days.
    #[schemars(range(max = 36_500))]
    pub certificate_urgent_days: u32,
    /// An RSA key of a certificate that is shorter is weak, in bits.
    #[schemars(range(max = 65_536))]
    pub min_rsa_bits: usize,
    /// A key on an elliptic curve that is shorter is weak, in bits.
    #[schemars(range(max = 521))]
    pub min_ec_bits: usize,
    /// Upstreams of which more nodes fail their health checks are a risk, in percent.
    #[schemars(range(max = 100))]
    pub max_unhealthy_percent: u32,
    /// A secret of a consumer that is shorter is weak, in characters.
    pub min_secret_length: usize,
    /// A JWT that lives longer is a risk, in seconds.
    pub max_token_seconds: u64,
    /// Gateways of an older version are a risk: `3.8.0`. Not checked when it is missing.
    pub min_gateway_version: Option<String>,
    /// A rate limit that lets more through is none, in requests a second for one key.
    pub max_requests_per_second: u32,
    /// Plugins of yours that authenticate, besides those of the gateway.
    pub auth_plugins: Vec<String>,
    /// Words in paths that need a rate limit.
    pub sensitive_words: Vec<String>,
    /// Words in paths that nobody from outside should reach without authentication.
    pub exposed_words: Vec<String>,
    /// More users who may do everything are a risk.
    pub max_full_admins: usize,
    /// The time whose traffic is compared with that before it, in minutes.
    #[schemars(range(min = 1, max = 10_080))]
    pub traffic_minutes: u32,
    /// Traffic of fewer requests says nothing.
    pub min_requests: u32,
    /// More answers with 5xx are a risk, in percent.
    #[schemars(range(max = 100))]
    pub max_server_error_percent: u32,
    /// More answers with 4xx are a risk, in percent.
    #[schemars(range(max = 100))]
    pub max_client_error_percent: u32,
    /// Traffic that grew or shrank by this factor is a risk.
    #[schemars(range(min = 2))]
    pub traffic_factor: u32,
}

impl Default for RiskConfig {
    fn default() -> Self {
        let words = |all: &[&str]| all.iter().map(|&word| word.to_owned()).collect();
        Self {
            max_requests: 1000,
            concurrency: 8,
            max_seconds: 45,
            rules_off: Vec::new(),
            certificate_days: 30,
            certificate_urgent_days: 7,
            min_rsa_bits: 2048,
            min_ec_bits: 256,
            max_unhealthy_percent: 0,
            min_secret_length: 16,
            max_token_seconds: 30 * 86_400,
            min_gateway_version: None,
            max_requests_per_second: 1000,
            auth_plugins: Vec::new(),
            sensitive_words: words(&[
                "auth", "checkout", "login", "oauth", "otp", "passwd", "password", "pay",
                "payment", "payments", "register", "signin", "signup", "token", "transfer",
            ]),
            exposed_words: words(&[
                ".aws",
                ".env",
                ".git",
                "actuator",
                "admin",
                "adminer",
                "admins",
                "api-docs",
                "console",
                "debug",
                "graphiql",
                "heapdump",
                "internal",
                "jolokia",
                "metrics",
                "openapi",
                "phpinfo",
                "phpmyadmin",
                "pprof",
                "server-status",
                "swagger",
            ]),
            max_full_admins: 3,
            traffic_minutes: 60,
            min_requests: 100,
            max_server_error_percent: 5,
            max_client_error_percent: 30,
            traffic_factor: 3,
        }
    }
}

/// Something in a [`RiskConfig`] that would never do what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("risk.{key}: {message}; {help}")]
#[non_exhaustive]
pub struct RiskFault {
    /// The member.
    pub key: &'static str,
    /// The item, where the member is a list.
    pub index: Option<usize>,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub help: &'static str,
}

impl RiskConfig {
    /// All that would never do what it says: a version that is none, a word that no path can hold. Rules that there
    /// are not are an error of [`backend`](super::super::backend).
    pub fn faults(&self) -> Vec<RiskFault> {
        let fault = |key, index, message: String, help| RiskFault {
            key,
            index,
            message,
            help,
        };
        let mut faults = Vec::new();
        let least = self.min_gateway_version.as_deref();
        if least.is_some_and(|version| version_numbers(version).is_none()) {
            let message = "this is not a version".to_owned();
            let help = "write numbers with dots between them: `3.8.0`";
            faults.push(fault("min_gateway_version", None, message, help));
        }
        let is_part = |word: &String| !word.is_empty() && !word.contains(['/', '?', '#', ' ']);
        let lists = [
            ("sensitive_words", &self.sensitive_words),
            ("exposed_words", &self.exposed_words),
            ("auth_plugins", &self.auth_plugins),
        ];
        for (key, words) in lists {
            let wrong = words.iter().enumerate().filter(|(_, word)| !is_part(word));
            faults.extend(wrong.map(|(index, word)| {
                let (what, help) = match key {
                    "auth_plugins" => ("the name of a plugin", "write it like `my-auth`"),
                    _ => (
                        "a word of a path",
                        "write what stands between two slashes: `admin`",
                    ),
                };
                let word: String = word.chars().take(60).collect();
                fault(key, Some(index), format!("{word:?} is not {what}"), help)
            }));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_never_do_what_it_says_is_a_fault() {
        assert_eq!(RiskConfig::default().faults(), []);
        let config = RiskConfig {
            min_gateway_version: Some("latest".to_owned()),
            exposed_words: vec!["admin".to_owned(), "/internal".to_owned()],
            auth_plugins: vec![String::new()],
            ..RiskConfig::default()
        };
        let faults = config.faults();
        let said: Vec<_> = faults
            .iter()
            .map(|fault| (fault.key, fault.index))
            .collect();
        assert_eq!(
            said,
            [
                ("min_gateway_version", None),
                ("exposed_words", Some(1)),
                ("auth_plugins", Some(0)),
            ]
        );
        for fault in faults {
            assert!(fault.to_string().starts_with("risk."), "{fault}");
        }
    }
}
