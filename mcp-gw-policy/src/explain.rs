//! Why a decision came out as it did, as a value (P-13).

use std::time::Duration;

use mcp_gw_core::{AccessRequest, Effect};
use serde::{Deserialize, Serialize, Serializer};

use crate::config::{Mode, RuleEffect};
use crate::decide::{Outcome, Session};
use crate::op::{Asked, Op};
use crate::rule::{Holds, Part, Question, Rule};
use crate::set::{Layer, PolicySet};
use crate::subject::Names;

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
    /// The ids of all rules that decided.
    pub rules: Vec<String>,
    /// How it would have come out had all of the policy been in force, where that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowExplanation>,
    /// The layers that the request falls into, each with what it says by itself.
    pub layers: Vec<LayerExplanation>,
    /// Rules that could not be evaluated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<RuleError>,
    /// Rules that nearly applied, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near_misses: Vec<NearMiss>,
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

/// So many near misses are told.
const MOST_MISSES: usize = 10;

/// Tells a decision in full. It asks each rule by itself, without the index.
pub(crate) fn explain(
    set: &PolicySet,
    session: &Session<'_, '_>,
    request: &AccessRequest<'_>,
    outcome: &Outcome<'_>,
    duration: Duration,
) -> Explanation {
    let mut told = Explanation {
        effect: outcome.enforced.effect,
        reason: outcome.enforced.reason,
        rules: Vec::new(),
        shadow: None,
        layers: Vec::new(),
        errors: Vec::new(),
        near_misses: Vec::new(),
        version: set.version.to_string(),
        duration,
    };
    let mut misses = Vec::new();
    let is_refused = told.reason == Reason::Address
        || outcome
            .full
            .as_ref()
            .is_some_and(|full| full.reason == Reason::Address);
    let asked = (Asked::of(request), Names::of(request));
    if let (Asked::Op(op), Ok(names), false) = (asked.0, asked.1, is_refused) {
        let question = Question::new(request, op, session.identity, session.facts);
        let mut tellers = Vec::new();
        for layer in session.layers(set, request.server) {
            let mut teller = Teller::new(layer);
            for rule in &layer.rules {
                teller.ask(rule, &question, &names, &mut told.errors, &mut misses);
            }
            tellers.push(teller);
        }
        for teller in &tellers {
            told.layers.push(teller.told());
            if !teller.layer.is_shadow && teller.verdict(false).1 == told.reason {
                told.rules.extend(teller.deciding(false));
            }
        }
        if let Some(full) = outcome
            .full
            .as_ref()
            .filter(|full| full.effect != told.effect)
        {
            let said = tellers
                .iter()
                .filter(|teller| teller.verdict(true).1 == full.reason);
            told.shadow = Some(ShadowExplanation {
                effect: full.effect,
                reason: full.reason,
                rules: said.flat_map(|teller| teller.deciding(true)).collect(),
            });
        }
    } else if let Some(full) = &outcome.full {
        told.shadow = Some(ShadowExplanation {
            effect: full.effect,
            reason: full.reason,
            rules: Vec::new(),
        });
    }
    misses.sort_by_key(|(distance, _): &(usize, NearMiss)| *distance);
    misses.truncate(MOST_MISSES);
    told.near_misses = misses.into_iter().map(|(_, miss)| miss).collect();
    told
}

/// Collects what the rules of a layer say.
struct Teller<'p> {
    layer: &'p Layer,
    /// Rules that apply, with whether they are in shadow.
    applied: Vec<(&'p Rule, bool)>,
}

impl<'p> Teller<'p> {
    const fn new(layer: &'p Layer) -> Self {
        Self {
            layer,
            applied: Vec::new(),
        }
    }

    fn ask(
        &mut self,
        rule: &'p Rule,
        question: &Question<'_, '_>,
        names: &Names<'_>,
        errors: &mut Vec<RuleError>,
        misses: &mut Vec<(usize, NearMiss)>,
    ) {
        let mut because = mismatches(rule, question, names);
        if because.is_empty() {
            let holds = rule.holds(question);
            if let Holds::Error(error) = &holds {
                errors.push(RuleError {
                    rule: rule.id.to_string(),
                    effect: rule.effect,
                    error: error.clone(),
                });
            }
            let applies = match rule.effect {
                RuleEffect::Allow => holds == Holds::Yes,
                RuleEffect::Deny => !matches!(holds, Holds::No(_)),
                RuleEffect::Require => holds != Holds::Yes,
            };
            if applies {
                self.applied
                    .push((rule, rule.is_shadow || self.layer.is_shadow));
                return;
            }
            match holds {
                Holds::No(part) => because.push((1, describe(part, question))),
                Holds::Error(error) => {
                    because.push((1, format!("it cannot be evaluated: {error}")));
                }
                Holds::Yes => return,
            }
        } else if sum(&because) < FARTHEST {
            // What is far off already is not worth evaluating.
            if let Holds::No(part) = rule.holds(question) {
                because.push((2, describe(part, question)));
            }
        }
        let distance = sum(&because);
        if distance <= FARTHEST {
            let miss = NearMiss {
                rule: rule.id.to_string(),
                layer: self.layer.name.to_string(),
                effect: rule.effect,
                because: because.into_iter().map(|(_, why)| why).collect(),
            };
            misses.push((distance, miss));
        }
    }

    fn applied(&self, effect: RuleEffect, with_shadow: bool) -> impl Iterator<Item = &'p Rule> {
        self.applied
            .iter()
            .filter(move |(rule, is_shadow)| rule.effect == effect && (with_shadow || !is_shadow))
            .map(|(rule, _)| *rule)
    }

    fn verdict(&self, with_shadow: bool) -> (Effect, Reason) {
        let any = |effect| self.applied(effect, with_shadow).next().is_some();
        self.layer.verdict(
            any(RuleEffect::Deny),
            any(RuleEffect::Require),
            any(RuleEffect::Allow),
        )
    }

    fn deciding(&self, with_shadow: bool) -> Vec<String> {
        let effect = match self.verdict(with_shadow).1 {
            Reason::DenyRule => RuleEffect::Deny,
            Reason::RequireFailed => RuleEffect::Require,
            Reason::AllowRule => RuleEffect::Allow,
            _ => return Vec::new(),
        };
        self.applied(effect, with_shadow)
            .map(|rule| rule.id.to_string())
            .collect()
    }

    fn told(&self) -> LayerExplanation {
        let (effect, reason) = self.verdict(self.layer.is_shadow);
        LayerExplanation {
            layer: self.layer.name.to_string(),
            mode: if self.layer.is_shadow {
                Mode::Shadow
            } else {
                Mode::Enforce
            },
            effect,
            reason,
            rules: self.deciding(self.layer.is_shadow),
        }
    }
}

fn sum(because: &[(usize, String)]) -> usize {
    because.iter().map(|(distance, _)| distance).sum()
}

/// A rule that is farther off is not told of.
const FARTHEST: usize = 4;

/// What of the rule's target does not fit, each with how far off it is.
fn mismatches(rule: &Rule, question: &Question<'_, '_>, names: &Names<'_>) -> Vec<(usize, String)> {
    let request = question.request;
    let mut because = Vec::new();
    let name = rule.subject(&names.client, &names.upstream);
    let op = if rule.is_about_op(question.op) {
        Some(question.op)
    } else {
        because.push((2, format!("methods: it is not about `{}`", request.method)));
        Op::ALL
            .into_iter()
            .find(|op| op.feature() == question.op.feature() && rule.is_about_op(*op))
    };
    let is_named = op.is_some_and(|op| {
        rule.is_about_name(op, name)
            || (rule.effect != RuleEffect::Allow
                && names.decoded.as_ref().is_some_and(|(client, upstream)| {
                    rule.is_about_name(op, rule.subject(client, upstream))
                }))
    });
    if !is_named {
        because.push(match op.and_then(|op| nearest_name(rule, op, name)) {
            Some(near) => (1, format!("name: `{near}` is near, but is not this name")),
            None => (4, "name: it is about other names".to_owned()),
        });
    }
    if !rule.is_about_server(request.server) {
        because.push((2, "servers: it is about other servers".to_owned()));
    }
    because
}

/// A name of the rule that this one could have been meant to be.
fn nearest_name<'r>(rule: &'r Rule, op: Op, name: &str) -> Option<&'r str> {
    let targets = rule.targets.iter().filter(|target| target.ops.contains(op));
    let literals =
        targets
            .flat_map(|target| &target.patterns)
            .filter_map(|pattern| match &**pattern {
                crate::pattern::Pattern::Literal(text) => Some(&**text),
                _ => None,
            });
    crate::fault::nearest(name, literals)
}

fn describe(part: Part, question: &Question<'_, '_>) -> String {
    match part {
        Part::Who(key) => format!(
            "who.{key}: the caller `{}` has none of them",
            question.request.caller.id
        ),
        Part::From => match question.request.meta.client_addr {
            Some(address) => format!("from: {address} is not among the addresses"),
            None => "from: the address of the client is not known".to_owned(),
        },
        Part::When => "when: the condition is false".to_owned(),
    }
}
