//! A policy in words.

use std::fmt::Write as _;

use mcp_gw_policy::{
    DefaultEffect, Mode, OnDenied, PolicyConfig, RuleConfig, RuleEffect, WhoConfig,
};

/// What a caller may do whom no rule names, in a few words.
pub(in super::super) fn in_short(policy: &PolicyConfig) -> &'static str {
    let has_rules = !policy.rules.is_empty()
        || !policy.servers.is_empty()
        || !policy.consumers.is_empty()
        || !policy.scopes.required.is_empty()
        || !policy.ip.is_empty();
    match (has_rules, policy.default) {
        (true, _) => "as the rules say",
        (false, DefaultEffect::Allow) => "every tool",
        (false, _) => "no tool",
    }
}

/// The rules, one line each; nothing for a policy that has none.
pub(in super::super) fn explain(policy: &PolicyConfig) -> Vec<String> {
    if in_short(policy) != "as the rules say" {
        return Vec::new();
    }
    let mut lines = Vec::new();
    let only = policy.ip.allow.as_deref().unwrap_or_default();
    let ip = [("only", only), ("never", &policy.ip.deny)];
    for (word, blocks) in ip.into_iter().filter(|(_, blocks)| !blocks.is_empty()) {
        lines.push(format!("addresses: {word} {}", blocks.join(", ")));
    }
    lines.extend(sentences(&policy.rules));
    for required in &policy.scopes.required {
        lines.push(format!(
            "scopes are required: {}",
            required.scopes.join(", ")
        ));
    }
    lines.push(format!("everything else: {}", verb(policy.default)));
    for (name, layer) in &policy.servers {
        lines.push(format!("server {name}, as well{}", shadow(layer.mode)));
        lines.extend(sentences(&layer.rules).map(|line| format!("  {line}")));
        lines.push(format!("  everything else: {}", verb(layer.default)));
    }
    for layer in &policy.consumers {
        let who = who(&layer.who);
        lines.push(format!(
            "{} ({who}), as well{}",
            layer.name,
            shadow(layer.mode)
        ));
        lines.extend(sentences(&layer.rules).map(|line| format!("  {line}")));
        lines.push(format!("  everything else: {}", verb(layer.default)));
    }
    if policy.mode == Mode::Shadow {
        lines.push("nothing of this is in force: it is only counted and logged".to_owned());
    }
    if policy.on_denied == OnDenied::Challenge {
        lines.push("who lacks a scope is told which".to_owned());
    }
    lines
}

fn shadow(mode: Mode) -> &'static str {
    match mode {
        Mode::Shadow => " (shadow: only counted and logged)",
        _ => "",
    }
}

fn verb(default: DefaultEffect) -> &'static str {
    match default {
        DefaultEffect::Allow => "allow",
        _ => "deny",
    }
}

fn sentences(rules: &[RuleConfig]) -> impl Iterator<Item = String> {
    rules.iter().map(sentence)
}

fn sentence(rule: &RuleConfig) -> String {
    let mut what = Vec::new();
    if let Some(methods) = &rule.methods {
        what.push(joined(
            methods.iter().map(|method| method.as_str().to_owned()),
        ));
    }
    for (kind, patterns) in [
        ("tools", &rule.tools),
        ("resources", &rule.resources),
        ("templates", &rule.resource_templates),
        ("prompts", &rule.prompts),
        ("servers", &rule.servers),
    ] {
        if let Some(patterns) = patterns {
            let names = joined(patterns.iter().map(ToString::to_string));
            what.push(format!("{kind} {names}"));
        }
    }
    if what.is_empty() {
        what.push("everything".to_owned());
    }
    let mut text = format!("{}: {} {}", rule.id, rule.effect.as_str(), what.join("; "));
    let mut guards = Vec::new();
    if !rule.who.is_open() {
        guards.push(who(&rule.who));
    }
    if let Some(from) = &rule.from {
        guards.push(format!("from {}", from.join(", ")));
    }
    if let Some(when) = &rule.when {
        guards.push(format!("when {when}"));
    }
    if !guards.is_empty() {
        let word = match rule.effect {
            RuleEffect::Require => "that it is",
            _ => "for",
        };
        // Writing to a string cannot fail.
        let _ = write!(text, ", {word} {}", guards.join(", "));
    }
    text + shadow(rule.mode)
}

fn who(who: &WhoConfig) -> String {
    let mut parts: Vec<String> = [
        ("", &who.ids),
        ("kind ", &who.kinds),
        ("issuer ", &who.issuers),
        ("role ", &who.roles),
        ("group ", &who.groups),
        ("scope ", &who.scopes),
    ]
    .into_iter()
    .filter_map(|(kind, names)| Some((kind, names.as_ref()?)))
    .map(|(kind, names)| format!("{kind}{}", names.join(" or ")))
    .collect();
    let claims = who.claims.iter().flatten();
    parts.extend(claims.map(|(claim, _)| format!("claim {claim}")));
    let nested = |them: &[WhoConfig]| joined(them.iter().map(self::who));
    if let Some(them) = &who.any_of {
        parts.push(format!("any of ({})", nested(them)));
    }
    if let Some(them) = &who.all_of {
        parts.push(format!("all of ({})", nested(them)));
    }
    parts.join(" and ")
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
