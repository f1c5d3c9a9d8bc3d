//! The configuration: one file, read whole, checked whole, every fault with its line and column.

mod admin_api;
mod api7;
mod apis;
mod apisix;
mod auth;
mod balance;
mod check;
mod credential;
mod docs;
mod expand;
mod explain;
mod fault;
mod federation;
mod import;
mod jsonc;
mod kong;
mod kong_section;
mod konnect;
mod limits;
mod management;
mod marks;
mod metrics;
mod path;
mod platform;
mod policy;
mod reference;
mod reshape;
mod seed;
mod server;
mod sessions;
mod source;
mod structure;
mod text;
mod tree;
mod types;
mod upstream;

pub use admin_api::AdminApi;
pub(crate) use admin_api::AdminFault;
pub use api7::Api7Section;
pub use apis::{
    ApiCallers, ApiConfig, ApiCredential, ApiInputConfig, ApiMethod, ApiRetriesSection,
    ApiToolConfig, BasicCredential, BodyForm, BreakerSection, CacheSection, CredentialConfig,
    CredentialError, InputPlace, InputType, LargeAnswersSection, NamedCredential, OAuth2Credential,
    OpenApiSection, OperationFilter, RedirectMode, RestConfig,
};
pub use apisix::ApisixSection;
pub(crate) use auth::keys_at;
pub use auth::{
    AuthConfig, ClaimsConfig, JwksConfig, JwtAlgorithm, JwtConfig, SecretError, SignatureConfig,
    SignatureKeyConfig, SignatureProfile,
};
pub use balance::{
    BalanceSection, HealthSection, ReplicaConfig, RetriesSection, StickyName, StrategyName,
};
pub(crate) use check::LONGEST_CALL;
pub use credential::{KeyError, KeySource};
pub(crate) use explain::origin;
#[cfg(any(feature = "cli", feature = "docs-index"))]
pub(crate) use fault::chain;
pub use fault::{ConfigFaults, Fault};
pub use federation::{EndpointConfig, PrefixMode, UriMode};
pub use import::{Imported, import};
pub use kong::KongSection;
pub use konnect::KonnectSection;
pub(crate) use limits::limit_warnings;
#[cfg(feature = "cli")]
pub(crate) use limits::unknown_servers;
pub(crate) use management::MANAGEMENT_ISSUER;
pub use management::{
    AuditSection, LoadBalancerSection, LoginSection, ManagementConfig, SpreadName,
};
#[cfg(feature = "management")]
pub(crate) use management::{KEY_ID, LONGEST_PASSWORD};
pub use mcp_gw_admin_client::tools::api7::{Access as AdminAccess, Secrets as AdminSecrets};
pub use mcp_gw_policy::PolicyConfig;
pub use mcp_gw_ratelimit::LimitsConfig;
pub use metrics::MetricsConfig;
pub use path::{ConfigPath, Position, Spans};
#[cfg(feature = "cli")]
pub(crate) use policy::KEY_RULE;
pub(crate) use policy::warnings as policy_warnings;
pub use reference::{json_schema, reference};
pub use reshape::{AnnotationsShape, ArgumentShape, ToolShape};
pub use server::{ServerConfig, ServerTarget};
pub use sessions::{ReplayConfig, SessionKeyConfig, SessionKeyError, SessionsConfig};
#[cfg(feature = "cli")]
pub(crate) use source::is_gateway_file;
pub use source::{Loaded, load, read_file, schema_of};
pub use text::{ByteSize, DurationText, TextError};
pub use types::{
    ApiKeyConfig, Config, ForwardedName, HttpConfig, InputConfig, InputKind, PinMode, PinsConfig,
};
