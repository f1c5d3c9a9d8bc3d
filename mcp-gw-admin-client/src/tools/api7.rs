//! API7 Enterprise as tools: those of API7-MCP by the same names and with the same inputs, and more.

mod actions;
mod backend;
mod config;
mod get_resource;
mod input;
mod metrics;
mod patch;
mod policies;
mod read;
mod risk;
mod roles;
mod shared;
mod traffic;
mod users;
mod validate;
mod write;

pub use crate::tools::advice::explain;
pub use backend::{ToolsError, backend, backend_with_clock};
pub use config::{Access, Api7Config, EnvironmentError, Secrets};
pub(crate) use config::{answer, concurrency, requests, timeout};
pub use risk::{RiskConfig, RiskFault};
