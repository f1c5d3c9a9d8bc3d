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

pub use crate::tools::api7::{Access, EnvironmentError, Secrets, ToolsError};
