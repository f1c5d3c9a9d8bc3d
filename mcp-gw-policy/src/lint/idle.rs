//! Rules that what stands around them, or beside their condition, leaves nothing to do.

use std::collections::HashMap;

use super::{LayerView, Lint, LintKind};
use crate::config::{RuleConfig, RuleEffect};
use crate::fault::shown;
use crate::ip::IpRules;
use crate::rule::Rule;

pub(super) fn look_at(
    layer: &LayerView<'_>,
    compiled: &HashMap<&str, &Rule>,
    ip: &IpRules,
    lints: &mut Vec<Lint>,
) {
    for (at, config) in layer.rules.iter().enumerate() {
        let Some(rule) = compiled.get(config.id.as_str()) else {
            continue;
        };
        lints.extend(other_servers(layer, at, rule));
        lints.extend(refused_before(layer, at, rule, ip));
        lints.extend(other_callers(layer, at, config, rule));
    }
}

/// The rule is about other servers than its layer, or its condition than the rule.
fn other_servers(layer: &LayerView<'_>, at: usize, rule: &Rule) -> Option<Lint> {
    if let Some(server) = layer.server.filter(|server| !rule.is_about_server(server)) {
        let message = format!(
            "this layer is for what {} offers, and the rule is about other servers",
            shown(server)
        );
        let help = "remove `servers`, or move the rule to `rules`";
        return Some(layer.lint(LintKind::Dead, at, Some("servers"), message, help));
    }
    let wanted = rule.when.as_deref()?.wanted("mcp.server")?;
    let may_be = |server: &&str| {
        rule.is_about_server(server) && layer.server.is_none_or(|own| own == *server)
    };
    let first = wanted.first().filter(|_| !wanted.iter().any(may_be))?;
    let message = format!(
        "the condition can never be true: `mcp.server` is never {} here, the rule is about other servers",
        shown(first)
    );
    let help = "mend the condition, or remove the rule";
    Some(layer.lint(LintKind::NeverTrue, at, Some("when"), message, help))
}

/// Nobody comes from where the rule says.
fn refused_before(layer: &LayerView<'_>, at: usize, rule: &Rule, ip: &IpRules) -> Option<Lint> {
    let from = rule.from.as_ref()?;
    if let Some(list) = ip.refuses_all(from) {
        let message =
            format!("all of these addresses are refused by `{list}` before any rule is asked");
        let (kind, help) = match rule.effect {
            RuleEffect::Require => (LintKind::Contradictory, "name addresses that may come"),
            _ => (LintKind::Dead, "mend the addresses, or remove the rule"),
        };
        return Some(layer.lint(kind, at, Some("from"), message, help));
    }
    let when = rule.when.as_deref()?;
    when.rules_out_addresses(from).then(|| {
        let message = "the condition can never be true: no address of `from` is in the blocks of its \
                       `source.ip_in(…)`";
        let help = "mend the condition, or remove the rule";
        layer.lint(LintKind::NeverTrue, at, Some("when"), message.to_owned(), help)
    })
}

/// The condition asks for callers that `who` leaves out.
fn other_callers(
    layer: &LayerView<'_>,
    at: usize,
    config: &RuleConfig,
    rule: &Rule,
) -> Option<Lint> {
    let when = rule.when.as_deref()?;
    let who = &config.who;
    [
        ("kinds", "identity.kind", &who.kinds),
        ("ids", "identity.id", &who.ids),
        ("issuers", "identity.issuer", &who.issuers),
    ]
    .into_iter()
    .find_map(|(key, fact, named)| {
        let named = named.as_deref()?;
        let wanted = when.wanted(fact)?;
        let is_meant = |value: &&str| named.iter().any(|name| name == value);
        let first = wanted.first().filter(|_| !wanted.iter().any(is_meant))?;
        let message = format!(
            "the condition can never be true: `{fact}` is never {} here, which `who.{key}` leaves out",
            shown(first)
        );
        let help = "mend the condition, or `who`";
        Some(layer.lint(LintKind::NeverTrue, at, Some("when"), message, help))
    })
}
