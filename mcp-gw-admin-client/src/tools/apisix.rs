//! Apache APISIX as tools: those of apisix-mcp by the same names and with the same inputs, and one more.

mod backend;
mod bodies;
mod config;
mod create;
mod input;
mod parts;
mod read;
mod shared;
mod update;
mod validate;

pub use backend::backend;
pub use config::ApisixConfig;

/// What happened at the Admin API of an APISIX, and what to do next, in sentences without secrets: what the tools say of it.
pub fn explain(error: &crate::http::Error) -> String {
    crate::tools::advice::explain_as(&shared::WORDS, error)
}

pub use crate::tools::api7::{Access, EnvironmentError, Secrets, ToolsError};
