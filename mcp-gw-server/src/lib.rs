#![doc = include_str!("../README.md")]

mod access;
mod engine;
mod exchange;
mod inflight;
mod line;
mod link;
mod operation;
mod revision;
mod rewrite;
mod rpc_error;
mod session;

pub mod config;
pub mod http;

pub use engine::{Engine, EngineConfig};
pub use line::{LineConfig, serve_lines};
pub use revision::Revision;
pub use session::SessionLimits;
