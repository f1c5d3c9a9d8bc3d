//! Asks each rule by itself, without the index, and collects what it says.

use std::time::Duration;

use mcp_gw_core::{AccessRequest, Effect, Feature};

use super::{
    Explanation, Held, LayerExplanation, NearMiss, Reason, RuleError, ShadowExplanation, Unmet,
};
use crate::challenge::missing_scopes;
use crate::config::{Mode, OnDenied, RuleEffect};
use crate::decide::{Outcome, Session};
use crate::op::{Asked, Op};
use crate::rule::{Holds, Part, Question, Rule};
use crate::set::{Layer, PolicySet};
use crate::subject::Names;
use crate::uri;

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
        detail: (outcome.enforced.reason != Reason::Pass)
            .then(|| detail(request))
            .flatten(),
        rules: Vec::new(),
        shadow: None,
        layers: Vec::new(),
        unmet: Vec::new(),
        errors: Vec::new(),
        near_misses: Vec::new(),
        held: Held::of(session.identity),
        missing_scopes: Vec::new(),
        version: set.version.to_string(),
        duration,
    };
    if told.effect == Effect::Deny && set.on_denied == OnDenied::Challenge {
        told.missing_scopes = missing_scopes(set, request, outcome);
    }
    let mut misses = Vec::new();
    let is_refused = told.reason == Reason::Address
        || outcome
            .full
            .as_ref()
            .is_some_and(|full| full.reason == Reason::Address);
    let asked = (Asked::of(request), Names::of(request));
    if let (Asked::Op(op), Ok(names), false) = (asked.0, asked.1, is_refused) {
        let question = Question::new(set, session, request, op, &names);
        let mut tellers = Vec::new();
        for layer in session.layers(set, request.server) {
            let mut teller = Teller::new(layer);
            for rule in &layer.rules {
                teller.ask(rule, &question, &names, &mut told, &mut misses);
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

/// What is wrong with a URI that is refused before any rule is asked.
fn detail(request: &AccessRequest<'_>) -> Option<String> {
    let is_template = match request.feature {
        Feature::Resource => false,
        Feature::ResourceTemplate => true,
        _ => return None,
    };
    let names = [request.name, request.upstream_name];
    let mut faults = names
        .iter()
        .filter_map(|uri| uri::check(uri, is_template).err());
    faults.next().map(|fault| fault.to_string())
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
        told: &mut Explanation,
        misses: &mut Vec<(usize, NearMiss)>,
    ) {
        let is_shadow = rule.is_shadow || self.layer.is_shadow;
        let mut because = mismatches(rule, question, names);
        if because.is_empty() {
            let holds = rule.holds(question, is_shadow);
            if let Holds::Error(error) = &holds {
                told.errors.push(RuleError {
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
                self.applied.push((rule, is_shadow));
                // What could not be told is among the errors.
                if let (RuleEffect::Require, Holds::No(part)) = (rule.effect, &holds) {
                    told.unmet.push(Unmet {
                        rule: rule.id.to_string(),
                        layer: self.layer.name.to_string(),
                        because: describe(*part, question),
                    });
                }
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
            if let Holds::No(part) = rule.holds(question, is_shadow) {
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
            None => (FARTHEST + 1, "name: it is about other names".to_owned()),
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
