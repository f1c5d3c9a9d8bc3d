//! What to do about a decision that is not what was meant.

use mcp_gw_core::{CallerKind, Effect, Feature};
use mcp_gw_policy::{
    LayerExplanation, Mode, NamePattern, PolicyConfig, Reason, RuleConfig, RuleEffect, WhoConfig,
};

use super::super::quoted;
use super::Told;
use super::report::names;
use crate::config::KEY_RULE;

/// Sentences; nothing for what is allowed as written.
pub(super) fn lines(told: &Told<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if told.case.server.is_empty() && asks_for_servers(&told.subject.policy) {
        lines.push(
            "say which server offers it: --server or --ask; rules about servers were not asked"
                .to_owned(),
        );
    }
    lines.extend(about_the_decision(told));
    lines
}

/// True when some rules are for what certain servers offer.
fn asks_for_servers(policy: &PolicyConfig) -> bool {
    !policy.servers.is_empty() || policy.rules.iter().any(|rule| rule.servers.is_some())
}

fn about_the_decision(told: &Told<'_>) -> Vec<String> {
    let explanation = &told.explanation;
    if explanation.effect == Effect::Allow {
        return if_nothing_were_in_shadow(told);
    }
    let is_unknown = |error: &mcp_gw_policy::RuleError| error.error.contains("address");
    if told.case.from.is_none() && explanation.errors.iter().any(is_unknown) {
        return vec!["say where the request comes from: --from-ip".to_owned()];
    }
    match explanation.reason {
        Reason::DenyRule => vec![
            format!(
                "narrow what {} is about, or remove it; no other rule can allow what it denies",
                names(&explanation.rules)
            ),
        ],
        Reason::RequireFailed => vec![
            "give the caller what is required, or narrow what the rule is about; a rule that allows \
             does not help"
                .to_owned(),
        ],
        Reason::NoRule => add_a_rule(told),
        Reason::UnknownMethod => vec![another_method(&told.case.method)],
        Reason::Address => vec![match told.case.from {
            None => "say where the request comes from: --from-ip".to_owned(),
            Some(_) => "add the address to `ip.allow`, or take it out of `ip.deny`".to_owned(),
        }],
        Reason::InvalidName | Reason::InvalidUri => vec![
            "nothing can allow it: have the server offer it under another name".to_owned(),
        ],
        _ => Vec::new(),
    }
}

fn another_method(method: &str) -> String {
    let near = METHODS
        .into_iter()
        .map(|known| (strsim::osa_distance(method, known), known))
        .min();
    match near {
        Some((distance, near)) if distance <= 3 => format!("did you mean `{near}`?"),
        _ => format!("name one of {}", quoted(METHODS)),
    }
}

const METHODS: [&str; 10] = [
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "subscriptions/listen",
];

fn if_nothing_were_in_shadow(told: &Told<'_>) -> Vec<String> {
    match &told.explanation.shadow {
        Some(shadow) if shadow.effect == Effect::Deny => vec![
            "what is in shadow would deny it: look at this before you take `mode: shadow` away"
                .to_owned(),
        ],
        _ => Vec::new(),
    }
}

/// No rule allows it: which one would.
fn add_a_rule(told: &Told<'_>) -> Vec<String> {
    let explanation = &told.explanation;
    let mut lines = Vec::new();
    let allows = |miss: &&mcp_gw_policy::NearMiss| miss.effect == RuleEffect::Allow;
    if let Some(miss) = explanation.near_misses.iter().find(allows) {
        lines.push(format!(
            "mend rule `{}`, if it was meant to allow this; or",
            miss.rule
        ));
    }
    let refuses = |layer: &&LayerExplanation| {
        layer.mode == Mode::Enforce
            && layer.effect == Effect::Deny
            && layer.reason == Reason::NoRule
    };
    let Some(rule) = rule_for(told) else {
        return lines;
    };
    let of_key = |layer: &&LayerExplanation| key_of(layer).is_some();
    let key = explanation.layers.iter().filter(refuses).find(of_key);
    if let Some(key) = key.and_then(key_of) {
        lines.push(tools_of(told, key));
    }
    for layer in explanation.layers.iter().filter(refuses) {
        // What a key's `tools` allow is allowed by a rule for all, too.
        if key.is_some() && (key_of(layer).is_some() || layer.layer == "global") {
            continue;
        }
        let place = match layer.layer.split_once(' ') {
            Some(("server", name)) => format!("the `rules` of `servers`, `{name}`"),
            Some(("consumer", name)) => format!("the `rules` of `consumers`, `{name}`"),
            _ => "`rules`".to_owned(),
        };
        lines.push(format!("add to {place}: {rule}"));
    }
    lines
}

/// The key whose `tools` a layer stands for.
fn key_of(layer: &LayerExplanation) -> Option<&str> {
    let (kind, name) = layer.layer.split_once(' ')?;
    name.strip_prefix(KEY_RULE).filter(|_| kind == "consumer")
}

/// What to change at a key with `tools`, which may do nothing else.
fn tools_of(told: &Told<'_>, key: &str) -> String {
    let feature = told.case.with_request(|request| request.feature).ok();
    if feature != Some(Feature::Tool) {
        return format!(
            "remove `tools` of the key `{key}` in `auth.api_keys`, which allows tools only, and write rules \
             for its id"
        );
    }
    let mut name = String::with_capacity(told.case.name.len());
    for c in told.case.name.chars() {
        if matches!(c, '*' | '?' | '\\') {
            name.push('\\');
        }
        name.push(c);
    }
    format!("add `{name}` to `tools` of the key `{key}` in `auth.api_keys`")
}

/// The narrowest rule that would allow this, as YAML on one line.
fn rule_for(told: &Told<'_>) -> Option<String> {
    let (feature, name) = (
        told.case.with_request(|request| request.feature).ok()?,
        &told.case.name,
    );
    let pattern = if name.contains(['*', '?', '\\']) || name == "any" {
        NamePattern::Literal(name.clone())
    } else {
        NamePattern::from(name.as_str())
    };
    let mut rule = RuleConfig::new("a-name-for-it", RuleEffect::Allow);
    let patterns = Some(vec![pattern]);
    match feature {
        Feature::Tool => rule.tools = patterns,
        Feature::Resource => rule.resources = patterns,
        Feature::ResourceTemplate => rule.resource_templates = patterns,
        Feature::Prompt => rule.prompts = patterns,
        _ => return None,
    }
    let caller = told.case.caller.to_caller().ok()?;
    rule.who = match caller.kind {
        CallerKind::Anonymous | CallerKind::Local => {
            let mut who = WhoConfig::default();
            who.kinds = Some(vec![caller.kind.as_str().to_owned()]);
            who
        }
        _ => WhoConfig::ids([&*caller.id]),
    };
    let yaml = PolicyConfig::default().with_rule(rule).to_yaml();
    let (_, rule) = yaml.split_once("  - ")?;
    let lines: Vec<_> = rule.lines().map(str::trim).collect();
    Some(format!("{{ {} }}", lines.join(", ")))
}
