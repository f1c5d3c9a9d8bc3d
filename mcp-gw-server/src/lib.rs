#![doc = include_str!("../README.md")]

mod access;
mod batch;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
mod compose;
mod engine;
mod exchange;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod inflight;
mod line;
mod link;
mod operation;
mod outbox;
mod pins;
mod reshape;
mod revision;
mod rewrite;
mod rpc_error;
mod session;
mod supervise;
mod survey;
mod wrap;

pub mod config;
pub mod http;
#[cfg(feature = "rmcp")]
pub mod rmcp;

pub use compose::{Launch, LaunchError, Running};
pub use engine::{Engine, EngineConfig};
pub use http::journal::ReplayLimits;
pub use line::{LineConfig, serve_lines, serve_lines_until};
pub use pins::PinsError;
pub use revision::Revision;
pub use session::{SessionLimits, SessionSeal};
