//! How a decision differs from what a case expects.

use mcp_gw_core::{AccessRequest, Caller, CallerKind, Decision, Effect, Policy as _};

use super::Case;
use crate::engine::PolicyEngine;
use crate::explain::Explanation;
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
        if self.missing_scopes != decision.missing_scopes() {
            let (wanted, found) = (&self.missing_scopes, decision.missing_scopes());
            differences.0.push(format!(
                "missing_scopes: expected {wanted:?}, found {found:?}"
            ));
        }
        let errored = decision.errored_rules().iter().map(ToString::to_string);
        let errored: Vec<String> = errored.collect();
        if let Some(odd) = errored.iter().find(|rule| !self.errors.contains(rule)) {
            differences
                .0
                .push(format!("rule `{odd}` cannot be evaluated"));
        }
        if let Some(rules) = &self.rules {
            let named = decision.reasons().iter();
            let odd = named.filter(|id| !rules.iter().any(|rule| rule == *id));
            let is_word =
                |id: &str| id == "default" || id.starts_with(DEFAULT_OF) || id == decision.kind();
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

    pub(super) fn check_explanation(&self, told: &Explanation, differences: &mut Differences) {
        if let Some(reason) = self.reason {
            differences.see("reason", reason.as_str(), told.reason.as_str());
        }
        if let Some(rules) = &self.rules {
            differences.see_all("rules", rules, &told.rules);
        }
        let errors: Vec<String> = told.errors.iter().map(|error| error.rule.clone()).collect();
        differences.see_all("errors", &self.errors, &errors);
        match (&self.shadow, &told.shadow) {
            (None, None) => {}
            (Some(expected), Some(shadow)) => {
                let effect = Effect::from(expected.effect);
                differences.see("shadow effect", effect.as_str(), shadow.effect.as_str());
                differences.see_all("shadow rules", &expected.rules, &shadow.rules);
            }
            (expected, found) => {
                differences
                    .0
                    .push(format!("shadow: expected {expected:?}, found {found:?}"));
            }
        }
        for id in &self.near {
            if !told.near_misses.iter().any(|miss| miss.rule == *id) {
                differences.0.push(format!("`{id}` is no near miss"));
            }
        }
    }
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
