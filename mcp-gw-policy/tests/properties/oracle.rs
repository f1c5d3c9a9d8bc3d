//! The semantics once more: linear, simple, and without a line of the engine. It reads the policy as
//! it is written.

use mcp_gw_core::Effect;
use mcp_gw_policy::{
    DefaultEffect, MatchOn, Method, Mode, NamePattern, PolicyConfig, RuleConfig, RuleEffect,
    WhoConfig,
};

use super::ask::{Ask, Flag};

/// What the policy says, and what it would say were all of it in force.
pub(crate) fn decide(policy: &PolicyConfig, ask: &Ask) -> (Effect, Effect) {
    let mut enforced = true;
    let mut full = true;
    let mut layer = |default, mode, rules: &[RuleConfig]| {
        let in_shadow = policy.mode == Mode::Shadow || mode == Mode::Shadow;
        full &= allows(default, rules.iter(), ask);
        if !in_shadow {
            let in_force = rules.iter().filter(|rule| rule.mode == Mode::Enforce);
            enforced &= allows(default, in_force, ask);
        }
    };
    layer(policy.default, policy.mode, &policy.rules);
    if let Some(server) = policy.servers.get(&ask.server) {
        layer(server.default, server.mode, &server.rules);
    }
    for consumer in &policy.consumers {
        if is_who(&consumer.who, ask) {
            layer(consumer.default, consumer.mode, &consumer.rules);
        }
    }
    let effect = |allowed| if allowed { Effect::Allow } else { Effect::Deny };
    (effect(enforced), effect(full))
}

/// P-1, for one layer.
fn allows<'r>(
    default: DefaultEffect,
    rules: impl Iterator<Item = &'r RuleConfig>,
    ask: &Ask,
) -> bool {
    let mut allowed = default == DefaultEffect::Allow;
    let mut refused = false;
    for rule in rules.filter(|rule| is_about(rule, ask)) {
        match (rule.effect, holds(rule, ask)) {
            (RuleEffect::Allow, Some(true)) => allowed = true,
            (RuleEffect::Deny, Some(true) | None) | (RuleEffect::Require, Some(false) | None) => {
                refused = true;
            }
            _ => {}
        }
    }
    allowed && !refused
}

fn is_about(rule: &RuleConfig, ask: &Ask) -> bool {
    let is_list = ask.method.ends_with("/list");
    let methods = rule.methods.as_ref().is_none_or(|methods| {
        methods.iter().any(|method| match method {
            Method::List => is_list,
            Method::Call => !is_list,
            method => method.as_str() == ask.method,
        })
    });
    let name = match rule.match_on {
        MatchOn::UpstreamName => &ask.upstream_name,
        _ => &ask.name,
    };
    let own = if ask.is_tool() {
        &rule.tools
    } else {
        &rule.prompts
    };
    let names_nothing = rule.tools.is_none() && rule.prompts.is_none();
    let names = match own {
        None => names_nothing,
        Some(patterns) => patterns.iter().any(|pattern| is_match(pattern, name)),
    };
    let server = rule
        .servers
        .as_ref()
        .is_none_or(|servers| servers.iter().any(|server| is_match(server, &ask.server)));
    methods && names && server
}

/// `None`: it cannot be told.
fn holds(rule: &RuleConfig, ask: &Ask) -> Option<bool> {
    let from = rule.from.as_ref().map(|_| ask.is_inside);
    let from = from.unwrap_or(Some(true));
    let parts = [Some(is_who(&rule.who, ask)), from, condition(rule, ask)];
    if parts.contains(&Some(false)) {
        Some(false)
    } else if parts.contains(&None) {
        None
    } else {
        Some(true)
    }
}

fn condition(rule: &RuleConfig, ask: &Ask) -> Option<bool> {
    let flag = |flag: Option<&Flag>| match flag {
        Some(Flag::True) => Some(true),
        Some(Flag::False) => Some(false),
        Some(Flag::Odd) | None => None,
    };
    let when = match rule.when.as_deref() {
        None | Some("true") => return Some(true),
        Some("false") => return Some(false),
        Some(when) => when,
    };
    match when.strip_prefix("mcp.tool.arguments.") {
        // A prompt has no arguments of a tool, in lists as in calls.
        Some(_) if !ask.is_tool() => None,
        // P-10.
        Some(_) if ask.method.ends_with("/list") => Some(rule.effect != RuleEffect::Deny),
        Some(name) => flag(ask.arguments.get(name)),
        None => flag(ask.claims.get(when.strip_prefix("jwt.").unwrap())),
    }
}

fn is_who(who: &WhoConfig, ask: &Ask) -> bool {
    let one = |wanted: &Option<Vec<String>>, has: &[String]| match wanted {
        None => true,
        Some(wanted) => has.iter().any(|name| wanted.contains(name)),
    };
    one(&who.ids, std::slice::from_ref(&ask.id))
        && one(&who.roles, &ask.roles)
        && one(&who.groups, &ask.groups)
}

fn is_match(pattern: &NamePattern, name: &str) -> bool {
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    match pattern {
        NamePattern::Any => true,
        NamePattern::Literal(text) => text == name,
        NamePattern::Glob(text) => glob(&chars(text), &chars(name)),
        // The tests write alternatives of words, `x.*` and `.*x`.
        NamePattern::Regex(text) => text.split('|').any(|word| match word.strip_suffix(".*") {
            Some(start) => name.starts_with(start),
            None => match word.strip_prefix(".*") {
                Some(end) => name.ends_with(end),
                None => name == word,
            },
        }),
        _ => unreachable!("the tests write no other pattern"),
    }
}

fn glob(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=name.len()).any(|n| glob(rest, &name[n..])),
        (['?', rest @ ..], [_, name @ ..]) => glob(rest, name),
        (['\\', a, rest @ ..] | [a, rest @ ..], [b, name @ ..]) => a == b && glob(rest, name),
        _ => false,
    }
}
