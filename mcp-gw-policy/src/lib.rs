#![doc = include_str!("../README.md")]

mod condition;
mod fault;
mod glob;
mod ip;
mod rbac;

pub use fault::{FaultPath, PathStep, PolicyFault, PolicyFaults};
pub use ip::{IpConfig, IpFault, IpRules};
pub use rbac::{GroupConfig, RoleConfig, ScopeRequirement, ScopesConfig, WhoConfig};
