//! Why a decision came out as it did, as a value (P-13).

use std::collections::BTreeSet;
use std::time::Duration;

use mcp_gw_core::Effect;
use serde::{Deserialize, Serialize, Serializer};

use crate::config::{Mode, RuleEffect};
use crate::rbac::Identity;

mod show;
mod tell;

pub(crate) use tell::explain;

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// A rule allowed it, in at least one layer.
    AllowRule,
    /// A rule denied it.
    DenyRule,
    /// What a rule requires does not hold.
    RequireFailed,
    /// No rule allowed it, and the default is to deny.
    NoRule,
    /// The default allowed it.
    Default,
    /// It can only take away from what the caller has, and is always allowed.
    Pass,
    /// It is no method that a policy is about.
    UnknownMethod,
    /// The client's address may not come.
    Address,
    /// The name holds a control character, or is too long.
    InvalidName,
    /// The URI is none, or can be read in two ways.
    InvalidUri,
    /// Nothing is in force.
    Shadow,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::AllowRule,
        Self::DenyRule,
        Self::RequireFailed,
        Self::NoRule,
        Self::Default,
        Self::Pass,
        Self::UnknownMethod,
        Self::Address,
        Self::InvalidName,
        Self::InvalidUri,
        Self::Shadow,
    ];

    /// The name used in metrics and the audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowRule => "allow_rule",
            Self::DenyRule => "deny_rule",
            Self::RequireFailed => "require_failed",
            Self::NoRule => "no_rule",
            Self::Default => "default",
            Self::Pass => "pass",
            Self::UnknownMethod => "unknown_method",
            Self::Address => "address",
            Self::InvalidName => "invalid_name",
            Self::InvalidUri => "invalid_uri",
            Self::Shadow => "shadow",
        }
    }

    /// What is told of several layers.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::Pass | Self::Shadow | Self::Default => 0,
            Self::AllowRule => 1,
            Self::NoRule => 2,
            Self::RequireFailed => 3,
            Self::DenyRule => 4,
            Self::UnknownMethod | Self::Address | Self::InvalidName | Self::InvalidUri => 5,
        }
    }
}

/// A decision, told in full. For operators and tests; a client is told nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// How it came out.
    #[serde(serialize_with = "effect")]
    pub effect: Effect,
    /// What decided.
    pub reason: Reason,
    /// What is wrong with a URI that is refused whatever the rules say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The ids of all rules that decided.
    pub rules: Vec<String>,
    /// How it would have come out had all of the policy been in force, where that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowExplanation>,
    /// The layers that the request falls into, each with what it says by itself.
    pub layers: Vec<LayerExplanation>,
    /// What rules require and does not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<Unmet>,
    /// Rules that could not be evaluated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<RuleError>,
    /// Rules that nearly applied, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near_misses: Vec<NearMiss>,
    /// What the caller has, directly or by way of something else.
    pub held: Held,
    /// The scopes that a challenge names, with `on_denied: challenge`: the fewest that would help.
    pub missing_scopes: Vec<String>,
    /// Which policy it was: 16 hexadecimal digits.
    pub version: String,
    /// How long it took to decide, in nanoseconds.
    #[serde(rename = "duration_ns", serialize_with = "nanos")]
    pub duration: Duration,
}

/// What the whole policy would have said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShadowExplanation {
    /// How it would have come out.
    #[serde(serialize_with = "effect")]
    pub effect: Effect,
    /// What would have decided.
    pub reason: Reason,
    /// The ids of the rules that would have decided.
    pub rules: Vec<String>,
}

/// What one layer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LayerExplanation {
    /// `global`, `server NAME` or `consumer NAME`.
    pub layer: String,
    /// Whether it is in force.
    pub mode: Mode,
    /// How it came out here; in shadow, how it would have.
    #[serde(serialize_with = "effect")]
    pub effect: Effect,
    /// What decided here.
    pub reason: Reason,
    /// The ids of the rules that decided here.
    pub rules: Vec<String>,
}

/// A rule that could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RuleError {
    /// Its id.
    pub rule: String,
    /// Its effect: a `deny` applied because of it, a `require` failed, an `allow` did not apply.
    pub effect: RuleEffect,
    /// Why.
    pub error: String,
}

/// A rule that requires something which does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unmet {
    /// Its id.
    pub rule: String,
    /// The layer that it is in.
    pub layer: String,
    /// What does not hold, such as `who.roles: …`.
    pub because: String,
}

/// What a caller has by the roles, groups and scopes of the policy, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Held {
    /// Roles, inherited ones too.
    pub roles: Vec<String>,
    /// Groups, and those that they are part of.
    pub groups: Vec<String>,
    /// Scopes, and those that they imply.
    pub scopes: Vec<String>,
}

impl Held {
    fn of(identity: &Identity<'_>) -> Self {
        let sorted = |names: &mut dyn Iterator<Item = &str>| {
            let names: BTreeSet<String> = names.map(ToOwned::to_owned).collect();
            names.into_iter().collect()
        };
        Self {
            roles: sorted(&mut identity.roles()),
            groups: sorted(&mut identity.groups()),
            scopes: sorted(&mut identity.scopes()),
        }
    }
}

/// A rule that would have applied but for a little.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NearMiss {
    /// Its id.
    pub rule: String,
    /// The layer that it is in.
    pub layer: String,
    /// Its effect.
    pub effect: RuleEffect,
    /// Each part that does not fit, such as `who.roles: …`.
    pub because: Vec<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn effect<S: Serializer>(effect: &Effect, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(effect.as_str())
}

fn nanos<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
