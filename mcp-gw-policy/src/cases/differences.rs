//! How a decision differs from what a case expects.

use mcp_gw_core::{AccessRequest, Caller, CallerKind, Decision, Effect, Policy as _};

use super::Case;
use crate::engine::PolicyEngine;
use crate::explain::{Explanation, Reason};
use crate::fault::{nearest, shown};
use crate::op::Op;
use crate::set::DEFAULT_OF;

impl Case {
    pub(super) fn check_decision(
        &self,
        engine: &PolicyEngine,
        request: &AccessRequest<'_>,
        differences: &mut Differences,
    ) -> Decision {
        let decision = engine.decide_now(request);
        let effect = Effect::from(self.expect);
        differences.see("effect", effect.as_str(), decision.effect().as_str());
        let found = decision.missing_scopes();
        if let Some(wanted) = self
            .missing_scopes
            .as_ref()
            .filter(|wanted| *wanted != found)
        {
            differences.0.push(format!(
                "missing_scopes: expected {wanted:?}, found {found:?}"
            ));
        }
        let errored = decision.errored_rules().iter().map(ToString::to_string);
        let errored: Vec<String> = errored.collect();
        let expected = self.errors.as_ref();
        let is_odd = |rule: &&String| expected.is_some_and(|expected| !expected.contains(rule));
        if let Some(odd) = errored.iter().find(is_odd) {
            differences
                .0
                .push(format!("rule `{odd}` cannot be evaluated"));
        }
        if let Some(rules) = &self.rules {
            let named = decision.reasons().iter();
            let odd = named.filter(|id| !rules.iter().any(|rule| *rule == ***id));
            let is_word = |id: &str| {
                id == "default"
                    || id.starts_with(DEFAULT_OF)
                    || id == decision.kind()
                    || (id.starts_with("and ") && id.ends_with(" more"))
            };
            for odd in odd.filter(|id| !is_word(id)) {
                differences.0.push(format!("rule `{odd}` decides, too"));
            }
        }
        if engine.is_uniform() {
            let other = Caller::new(CallerKind::Local, "somebody else");
            let mut asked = request.clone();
            asked.caller = &other;
            if engine.decide_now(&asked).effect() != decision.effect() {
                differences
                    .0
                    .push("it is said to be the same for all, and is not".to_owned());
            }
        }
        let pair = [request.clone(), request.clone()];
        if engine
            .decide_all_now(&pair)
            .iter()
            .any(|other| *other != decision)
        {
            differences
                .0
                .push("in a list the decision is another".to_owned());
        }
        decision
    }

    /// Why no rule was asked: it would be refused whatever the rules say.
    fn is_no_request(&self, reason: Reason) -> Option<String> {
        let name = shown(&self.name);
        Some(match reason {
            Reason::UnknownMethod => {
                let known = Op::ALL.into_iter().map(|op| op.method().as_str());
                let method = shown(&self.method);
                match nearest(&self.method, known) {
                    Some(near) if near != self.method => {
                        format!("no rule decides {method}; did you mean `{near}`?")
                    }
                    _ => format!("no rule decides {method} of such a feature"),
                }
            }
            Reason::InvalidName => format!("{name} is a name that is always refused"),
            Reason::InvalidUri => format!("{name} is a URI that is always refused"),
            _ => return None,
        })
    }

    pub(super) fn check_explanation(&self, told: &Explanation, differences: &mut Differences) {
        if let Some(reason) = self.reason {
            differences.see("reason", reason.as_str(), told.reason.as_str());
        } else if let Some(why) = self.is_no_request(told.reason) {
            differences.0.push(format!(
                "{why}; write `reason: {}` if that is meant",
                told.reason.as_str()
            ));
        }
        if let Some(rules) = &self.rules {
            differences.see_all("rules", rules, &told.rules);
        }
        let errors: Vec<String> = told.errors.iter().map(|error| error.rule.clone()).collect();
        if let Some(expected) = &self.errors {
            differences.see_all("errors", expected, &errors);
        }
        match (&self.shadow, &told.shadow) {
            (None, None) => {}
            (Some(expected), Some(shadow)) => {
                let effect = Effect::from(expected.effect);
                differences.see("shadow effect", effect.as_str(), shadow.effect.as_str());
                differences.see_all("shadow rules", &expected.rules, &shadow.rules);
            }
            (Some(expected), None) => differences.0.push(format!(
                "shadow: expected {}, found no other decision",
                in_words(expected.effect.into(), &expected.rules)
            )),
            (None, Some(found)) => differences.0.push(format!(
                "shadow: expected no other decision, found {}; write it in `shadow`, if that is meant",
                in_words(found.effect, &found.rules)
            )),
        }
        for id in &self.near {
            if !told.near_misses.iter().any(|miss| miss.rule == *id) {
                differences.0.push(format!("`{id}` is no near miss"));
            }
        }
    }
}

/// `deny by no-shell`.
fn in_words(effect: Effect, rules: &[String]) -> String {
    if rules.is_empty() {
        return effect.as_str().to_owned();
    }
    format!("{} by {}", effect.as_str(), rules.join(", "))
}

/// Each difference that was seen, as a sentence.
#[derive(Default)]
pub(super) struct Differences(pub(super) Vec<String>);

impl Differences {
    pub(super) fn see(&mut self, what: &str, expected: &str, found: &str) {
        if expected != found {
            self.0
                .push(format!("{what}: expected {expected}, found {found}"));
        }
    }

    fn see_all(&mut self, what: &str, expected: &[String], found: &[String]) {
        let sorted = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            if list.is_empty() {
                return "none".to_owned();
            }
            list.join(", ")
        };
        self.see(what, &sorted(expected), &sorted(found));
    }
}
