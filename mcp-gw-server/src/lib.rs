#![doc = include_str!("../README.md")]

mod access;
mod admin;
mod askable;
mod asking;
mod authn;
mod batch;
mod bridge;
#[cfg(feature = "cli")]
pub mod cli;
mod client;
mod compose;
mod desk;
mod engine;
mod exchange;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod inflight;
mod limits;
mod line;
mod link;
mod listen;
mod moved;
mod news;
mod operation;
mod outbox;
mod parked;
mod pins;
#[cfg(feature = "management")]
mod quotas;
#[cfg(feature = "management")]
pub mod registry;
mod reload;
mod reshape;
mod rest;
mod revision;
mod rewrite;
mod rounds;
mod rpc_error;
mod seal;
mod session;
mod states;
#[cfg(feature = "management")]
mod stored;
mod subscribed;
mod supervise;
mod survey;
mod swap;
mod task_asks;
mod url_first;
mod wrap;

pub mod config;
pub mod http;
#[cfg(feature = "management")]
pub mod identity;
pub mod metrics;
#[cfg(feature = "rmcp")]
pub mod rmcp;

pub use authn::{Inbound, PendingSignature, SignedHead};
pub use compose::{Launch, LaunchError, Running};
pub use engine::{Engine, EngineConfig, InputLimits};
pub use http::journal::ReplayLimits;
pub use line::{LineConfig, serve_lines, serve_lines_until};
#[cfg(feature = "management")]
pub use mcp_gw_store as store;
pub use pins::PinsError;
pub use reload::Reloaded;
pub use revision::Revision;
pub use session::{SessionLimits, SessionSeal};
