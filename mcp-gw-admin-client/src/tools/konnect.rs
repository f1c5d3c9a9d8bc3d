//! Kong Konnect, and a Kong of one's own, as tools: those of the Konnect MCP server by the same names and with the same
//! inputs.

mod alerts;
mod analytics;
mod args;
mod backend;
mod by_route;
mod config;
mod confirm;
mod debug;
mod entities;
mod knowledge;
mod listing;
mod memory;
mod near;
mod planes;
mod prompts;
mod served;
mod shared;
mod sight;
mod source;
mod tracing;
mod whereabouts;

pub use backend::{Parts, gateway_backend, konnect_backend};
pub use config::{KongConfig, KonnectConfig, Visibility};
pub use knowledge::{Knowledge, KnowledgeExcerpt};

pub use crate::tools::api7::{Access, EnvironmentError, ToolsError};

/// What happened at Kong Konnect, and what to do next, in sentences without secrets: what the tools say of it.
pub fn explain(error: &crate::http::Error) -> String {
    crate::tools::advice::explain_as(&shared::KONNECT, error)
}

/// The same of the Admin API of a Kong Gateway.
pub fn explain_gateway(error: &crate::http::Error) -> String {
    crate::tools::advice::explain_as(&shared::GATEWAY, error)
}
