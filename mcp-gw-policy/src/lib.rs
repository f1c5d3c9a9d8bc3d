#![doc = include_str!("../README.md")]

mod aside;
mod cases;
mod challenge;
mod compile;
mod condition;
mod config;
mod decide;
mod engine;
mod explain;
mod fault;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz_conditions;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod import;
mod index;
mod ip;
mod lint;
mod lists;
mod load;
mod number;
mod op;
mod pattern;
mod places;
mod rbac;
mod rule;
mod set;
mod shadow;
mod stats;
mod subject;
mod uri;
mod write;

pub use cases::{Case, CaseCaller, CaseFailure, CaseFile, CaseGroup, Expected, ExpectedShadow};
pub use config::{
    ConsumerConfig, DefaultEffect, GroupConfig, IpConfig, LayerConfig, MatchOn, Method, Mode,
    NamePattern, OnDenied, PolicyConfig, RoleConfig, RuleConfig, RuleEffect, ScopesConfig,
    WhoConfig,
};
pub use engine::{PolicyEngine, PreparedPolicy, Reloaded};
pub use explain::{
    Explanation, Held, LayerExplanation, NearMiss, Reason, RuleError, ShadowExplanation, Unmet,
};
pub use fault::{FaultPath, PathStep, PolicyFault, PolicyFaults};
pub use import::{ImportError, ImportNote, ImportNoteKind, ImportedPolicy, import_mcp_acl};
pub use ip::IpRules;
pub use lint::{CatalogueName, Lint, LintKind, lint, lint_names};
pub use number::keeps_its_digits;
pub use places::SourceMap;
pub use rbac::ScopeRequirement;
pub use stats::{DecisionCount, PolicyStats, RuleCount};
pub use subject::objection_to_name;
