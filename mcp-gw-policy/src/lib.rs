#![doc = include_str!("../README.md")]

mod cases;
mod compile;
mod condition;
mod config;
mod decide;
mod engine;
mod explain;
mod fault;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod glob;
mod index;
mod ip;
mod load;
mod op;
mod pattern;
mod rbac;
mod rule;
mod set;
mod stats;
mod subject;
mod uri;

pub use cases::{Case, CaseCaller, CaseFailure, CaseFile, CaseGroup, Expected, ExpectedShadow};
pub use config::{
    ConsumerConfig, DefaultEffect, LayerConfig, MatchOn, Method, Mode, NamePattern, OnDenied,
    PolicyConfig, RuleConfig, RuleEffect, WhoConfig,
};
pub use engine::{PolicyEngine, Reloaded};
pub use explain::{Explanation, LayerExplanation, NearMiss, Reason, RuleError, ShadowExplanation};
pub use fault::{FaultPath, PathStep, PolicyFault, PolicyFaults};
pub use stats::{DecisionCount, PolicyStats, RuleCount};
