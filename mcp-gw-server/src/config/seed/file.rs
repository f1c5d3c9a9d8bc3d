//! The file of API Gateway MCP as people write it.

use std::collections::BTreeMap;

use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::apis::ApiConfig;
use crate::config::text::ByteSize;

/// A part of the file with sections that its text puts into others: copies of it have lost how far lines are
/// indented, so they are taken wherever they may be meant.
macro_rules! with_sections {
    ($(#[$meta:meta])* $name:ident { $($(#[$of_key:meta])* $key:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name {
            $($(#[$of_key])* pub(super) $key: $kind,)*
            pub(super) rate_limits: Option<RateLimits>,
            pub(super) authentication: Option<Authentication>,
            pub(super) token_validation: Option<TokenValidation>,
            pub(super) api_keys: Option<Vec<SeedKey>>,
            pub(super) security: Option<Security>,
            pub(super) request_validation: Option<RequestValidation>,
            pub(super) audit_logging: Option<AuditLogging>,
            pub(super) monitoring: Option<Monitoring>,
            pub(super) alerts: Option<Alerts>,
        }
    };
}

with_sections! {
    /// Everything that the file says.
    SeedFile {
        server: ServerPart,
        api_gateway: GatewayPart,
    }
}

with_sections! {
    GatewayPart {
        #[schemars(length(max = 1000))]
        allowed_apis: Vec<AllowedApi>,
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServerPart {
    #[schemars(length(min = 1, max = 128))]
    pub(super) name: Option<String>,
    #[schemars(length(min = 1, max = 128))]
    pub(super) version: Option<String>,
    #[schemars(range(min = 0, max = 65_535))]
    pub(super) port: Option<u16>,
    pub(super) host: Option<String>,
    pub(super) insecure: bool,
    pub(super) trusted_proxies: Vec<String>,
}

/// An API: its address alone, or with what `apis` says of one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum AllowedApi {
    Address(String),
    Api(Box<ApiConfig>),
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RateLimits {
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(super) default: Option<u64>,
    #[schemars(schema_with = "per_api")]
    pub(super) per_api: BTreeMap<String, u64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Authentication {
    pub(super) required: bool,
    pub(super) methods: Vec<AuthMethod>,
    pub(super) token_validation: Option<TokenValidation>,
    pub(super) api_keys: Option<Vec<SeedKey>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum AuthMethod {
    BearerToken,
    ApiKey,
    Oauth2,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TokenValidation {
    #[schemars(extend("writeOnly" = true))]
    pub(super) jwt_secret: Option<Secret<String>>,
    /// In seconds.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub(super) token_expiry: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SeedKey {
    pub(super) name: String,
    #[schemars(extend("writeOnly" = true))]
    pub(super) key: Secret<String>,
    /// With them it is shown to these APIs; without, callers show it to the gateway.
    pub(super) allowed_apis: Option<Vec<String>>,
    #[serde(rename = "as")]
    pub(super) form: Option<KeyForm>,
    /// The name of the header or parameter.
    pub(super) parameter: Option<String>,
}

/// How a key is shown to an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum KeyForm {
    Bearer,
    Header,
    Query,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Security {
    pub(super) ip_whitelist: Option<Vec<String>>,
    pub(super) ip_allowlist: Option<Vec<String>>,
    pub(super) ip_blacklist: Option<Vec<String>>,
    pub(super) ip_denylist: Option<Vec<String>>,
    pub(super) request_validation: Option<RequestValidation>,
    pub(super) audit_logging: Option<AuditLogging>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RequestValidation {
    pub(super) max_body_size: Option<ByteSize>,
    pub(super) allowed_content_types: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AuditLogging {
    pub(super) enabled: bool,
    pub(super) level: Option<AuditLevel>,
    pub(super) storage: Option<AuditStorage>,
    pub(super) retention: Option<String>,
}

impl Default for AuditLogging {
    fn default() -> Self {
        Self {
            enabled: true,
            level: None,
            storage: None,
            retention: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum AuditLevel {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum AuditStorage {
    Database,
    Log,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Monitoring {
    pub(super) metrics: Option<MetricsPart>,
    pub(super) alerts: Option<Alerts>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MetricsPart {
    pub(super) enabled: bool,
    pub(super) prometheus: Option<bool>,
    pub(super) custom_metrics: Vec<CustomMetric>,
}

impl Default for MetricsPart {
    fn default() -> Self {
        Self {
            enabled: true,
            prometheus: None,
            custom_metrics: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum CustomMetric {
    #[serde(rename = "api_calls_total")]
    Calls,
    #[serde(rename = "api_response_time")]
    Time,
    #[serde(rename = "api_response_time_seconds")]
    TimeSeconds,
    #[serde(rename = "api_error_rate")]
    Errors,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Alerts {
    /// A part of 1.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub(super) high_error_rate: Option<f64>,
    /// In milliseconds.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub(super) high_latency: Option<u64>,
    pub(super) rate_limit_exceeded: Option<bool>,
}

fn per_api(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": "integer", "minimum": 1, "maximum": 1_000_000_000 },
    })
}
