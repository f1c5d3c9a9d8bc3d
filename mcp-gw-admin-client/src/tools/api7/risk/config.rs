//! What `check_risk` may cost, and from when on something is a risk.

use schemars::JsonSchema;
use serde::Deserialize;

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
    pub rules_off: Vec<String>,
    /// A certificate that ends within so many days is a risk.
    pub certificate_days: u32,
    /// It is a high one within so many days.
    pub certificate_urgent_days: u32,
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
    pub max_server_error_percent: u32,
    /// More answers with 4xx are a risk, in percent.
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
                ".env", ".git", "actuator", "admin", "api-docs", "console", "debug", "graphiql",
                "heapdump", "internal", "jolokia", "metrics", "openapi", "phpinfo", "pprof",
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
