//! The clients as tools of an `mcp-gw-core` gateway (feature `tools`).
//!
//! [`api7::backend`] makes a backend of an [`api7::Api7Config`], [`apisix::backend`] one of an
//! [`apisix::ApisixConfig`]; [`konnect`] has those of Kong Konnect and of a Kong of one's own. Nothing here reads the environment or a
//! file, and every call goes through the gateway's pipeline: policy, limits and audit apply.

pub mod api7;
pub mod apisix;
pub mod konnect;

mod advice;
mod answer;
mod choice;
mod desk;
mod input;
mod lexer;
mod operation;
mod plugins;
mod redact;
mod schema;
mod spoken;
mod traffic;
mod view;
