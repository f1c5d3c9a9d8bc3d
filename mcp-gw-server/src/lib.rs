#![doc = include_str!("../README.md")]

mod access;
mod askable;
mod asking;
mod bridge;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
mod compose;
mod desk;
mod engine;
mod exchange;
mod inflight;
mod line;
mod link;
mod listen;
mod news;
mod operation;
mod outbox;
mod parked;
mod revision;
mod rewrite;
mod rounds;
mod rpc_error;
mod seal;
mod session;
mod subscribed;
mod supervise;
mod wrap;

pub mod config;
pub mod http;

pub use compose::{Launch, LaunchError, Running};
pub use engine::{Engine, EngineConfig, InputLimits};
pub use line::{LineConfig, serve_lines, serve_lines_until};
pub use revision::Revision;
pub use session::SessionLimits;
