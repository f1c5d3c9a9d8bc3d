//! Conditions about what a rule is not about.

use std::collections::HashMap;

use mcp_gw_core::Feature;

use super::{LayerView, Lint, LintKind};
use crate::condition::Condition;
use crate::config::RuleEffect;
use crate::op::Op;
use crate::rule::Rule;

/// Conditions that read what only some features have, in rules that are about others, too.
pub(super) fn look_at(
    layer: &LayerView<'_>,
    compiled: &HashMap<&str, &Rule>,
    lints: &mut Vec<Lint>,
) {
    for (at, config) in layer.rules.iter().enumerate() {
        let Some(rule) = compiled.get(config.id.as_str()) else {
            continue;
        };
        let Some((feature, name)) = rule.when.as_deref().and_then(Condition::reads_of) else {
            continue;
        };
        let is_of = |op: &Op| match op.feature() {
            Feature::ResourceTemplate => feature == Feature::Resource,
            other => other == feature,
        };
        let about: Vec<Op> = Op::ALL
            .into_iter()
            .filter(|op| rule.is_about_op(*op))
            .collect();
        let (own, others): (Vec<Op>, Vec<Op>) = about.into_iter().partition(is_of);
        if others.is_empty() {
            continue;
        }
        let kind = if own.is_empty() {
            LintKind::NeverTrue
        } else {
            LintKind::OtherFeature
        };
        let then = match rule.effect {
            RuleEffect::Allow => "allows nothing",
            RuleEffect::Deny => "denies",
            RuleEffect::Require => "refuses",
        };
        let methods: Vec<&str> = others.iter().map(|op| op.method().as_str()).collect();
        let message = format!(
            "the condition reads `{name}`, which there is not for {}: there it is an error, and the rule {then}",
            methods.join(", ")
        );
        let key = match feature {
            Feature::Tool => "tools",
            Feature::Prompt => "prompts",
            _ => "resources",
        };
        let help =
            format!("say what it is about, such as `{key}: [any]`, or ask `has({name})` first");
        lints.push(layer.lint(kind, at, Some("when"), message, help));
    }
}
