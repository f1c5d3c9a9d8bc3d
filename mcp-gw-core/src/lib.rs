#![doc = include_str!("../README.md")]

mod audit;
mod backend;
mod caller;
mod cancel;
mod catalogue;
mod choice;
mod clock;
mod context;
mod error;
mod forward;
mod freshness;
mod gateway;
mod glob;
mod input;
mod item_uri;
mod json;
pub mod jsonrpc;
mod limit;
mod log_level;
pub mod meta_key;
mod mount;
mod param_header;
mod pipeline;
mod policy;
mod registry;
mod result_type;
mod secret;
mod shown;
mod splice;
mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod tool;
mod typed;
mod uri_map;
mod uri_template;
mod wire_facts;
mod wording;

pub use async_trait::async_trait;
pub use audit::{ApiExchange, AuditEvent, AuditSink, Deed, Outcome, TracingAudit};
pub use backend::{
    Backend, BackendError, BackendEvent, BackendListener, Completion, CompletionRef, Extras,
    ItemSpec, Offer, PromptGet, ResourceRead, TaskAsk, TaskMethod, ToolCall,
};
pub use caller::{
    Authenticator, AuthnError, Caller, CallerKind, CallerName, Credentials, NoAuthentication,
    SignatureFault,
};
pub use cancel::CancelReason;
pub use catalogue::{
    Catalogue, CatalogueChange, CatalogueSwap, Difference, Differences, Endpoint, Entry,
    Instructions,
};
pub use choice::ServerChoice;
pub use clock::{Clock, SystemClock, rfc3339};
pub use context::{
    CallContext, CallNotification, ClientLink, ClientLinkError, ClientRef, Incoming, NoClient,
    Permit, RequestMeta, SessionKey, Transport,
};
pub use error::{ErrorClass, GatewayError, code};
#[doc(hidden)]
pub use forward::{Forwarded, ForwardedResult};
pub use freshness::{CacheHint, ListHints};
pub use gateway::{
    BackendStatus, BuildError, Gateway, GatewayBuilder, GatewayEvent, GatewayListener, Remount,
};
pub use glob::{Glob, GlobPlace};
pub use json::{ESCAPE, JsonError, JsonText, Members, Needle, ObjectWriter, RawJson};
pub use limit::{
    Admission, Charge, Hold, Lend, LimitReport, LimitStanding, LimiterError, LimiterHealth, Quota,
    RateLimiter, Unlimited,
};
pub use log_level::LogLevel;
pub use mount::{LeftOut, Mounting, Naming, UriNaming};
pub use param_header::{ForeignParams, ParamHeader, UnclearParam};
pub use pipeline::{ListPage, Resumed, Sight, Subscription, WatchedTask};
pub use policy::{
    AccessRequest, AllowAll, Decision, DenyAll, Effect, Feature, ListPolicy, Phase, Policy,
    PolicyVersion, Reason, ShadowVerdict,
};
pub use registry::{RegistryError, ToolRegistry, ToolRegistryBuilder};
pub use result_type::is_plainly_complete;
pub use schemars;
pub use secret::Secret;
pub use splice::Splice;
pub use text::{ByteSize, DurationText, TextError};
pub use tool::{
    Arguments, BoxError, SpecError, Tool, ToolAnnotations, ToolError, ToolOutput, ToolSpec,
};
pub use typed::{IntoToolOutput, NoArguments, Structured, TypedTool, typed};
pub use wire_facts::{HttpFacts, TlsFacts};
