//! What must hold for every policy and every request.
#![cfg(test)]

mod ask;
mod oracle;

use ask::{Ask, Flag, ask, policy, rule, rules};
use mcp_gw_core::{Decision, Effect};
use mcp_gw_policy::{Method, PolicyConfig, PolicyEngine, RuleConfig, RuleEffect};
use proptest::prelude::*;
use proptest::sample::Index;

fn engine(policy: &PolicyConfig) -> PolicyEngine {
    PolicyEngine::compile(policy).unwrap_or_else(|faults| panic!("{faults}\n{policy:#?}"))
}

fn decide(policy: &PolicyConfig, ask: &Ask) -> Decision {
    ask.with(|request| engine(policy).decide_now(request))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_decides_as_the_oracle(policy in policy(), asks in prop::collection::vec(ask(), 1..8)) {
        let engine = engine(&policy);
        for ask in &asks {
            let (enforced, full) = oracle::decide(&policy, ask);
            let (decision, told) = ask.with(|request| (engine.decide_now(request), engine.explain(request)));
            prop_assert_eq!(decision.effect(), enforced, "{:?} {:#?}", ask, told);
            prop_assert_eq!(told.effect, enforced, "{:?} {:#?}", ask, told);
            prop_assert_eq!(decision.kind(), told.reason.as_str(), "{:?} {:#?}", ask, told);
            let shadow = decision.shadow().map(|shadow| shadow.effect);
            prop_assert_eq!(shadow, (full != enforced).then_some(full), "{:?} {:#?}", ask, told);
            prop_assert_eq!(told.shadow.map(|shadow| shadow.effect), shadow);
        }
    }

    /// P-3.
    #[test]
    fn the_order_of_rules_and_layers_means_nothing(policy in policy(), ask in ask(), seed in any::<u64>()) {
        let mut other = policy.clone();
        shuffle(&mut other.rules, seed);
        shuffle(&mut other.consumers, seed);
        for layer in other.servers.values_mut() {
            shuffle(&mut layer.rules, seed);
        }
        for layer in &mut other.consumers {
            shuffle(&mut layer.rules, seed);
        }
        prop_assert_eq!(decide(&policy, &ask), decide(&other, &ask));
    }

    #[test]
    fn a_deny_or_a_require_more_never_allows(policy in policy(), more in rule(), ask in ask(), at in any::<Index>()) {
        let mut other = policy.clone();
        let mut more = more;
        more.id = "more".to_owned();
        if more.effect == RuleEffect::Allow {
            more.effect = RuleEffect::Deny;
        }
        let layers = 1 + other.consumers.len();
        match at.index(layers) {
            0 => other.rules.push(more),
            consumer => other.consumers[consumer - 1].rules.push(more),
        }
        let before = decide(&policy, &ask).effect();
        prop_assert!(before == Effect::Allow || decide(&other, &ask).effect() == Effect::Deny);
    }

    /// P-4.
    #[test]
    fn a_rule_that_errs_never_allows(policy in policy(), ask in ask(), at in any::<Index>()) {
        let mut other = policy.clone();
        let mut all = rules(&mut other);
        if all.is_empty() {
            return Ok(());
        }
        let at = at.index(all.len());
        all[at].when = Some("jwt.missing".to_owned());
        let before = decide(&policy, &ask).effect();
        prop_assert!(before == Effect::Allow || decide(&other, &ask).effect() == Effect::Deny);
    }

    /// P-10, for rules that are about lists and calls alike, with conditions that can be met together.
    #[test]
    fn what_is_listed_is_what_some_arguments_may_call(mut policy in policy(), ask in ask()) {
        let mut best = ask.clone();
        for (at, rule) in rules(&mut policy).into_iter().enumerate() {
            rule.methods = rule.methods.take().map(|_| vec![Method::List, Method::Call]);
            let own = format!("mcp.tool.arguments.own{at}");
            let when = match rule.when.as_deref() {
                Some(when) if when.starts_with("mcp.") => Some(own),
                // Beside what it says of the caller.
                Some(when) if when.starts_with("jwt.") => Some(match at % 4 {
                    0 => format!("{when} && {own}"),
                    1 => format!("{own} || {when}"),
                    2 => format!("{when} ? {own} : {own}"),
                    _ => when.to_owned(),
                }),
                _ => None,
            };
            if let Some(when) = when {
                let name = format!("own{at}");
                rule.when = Some(when);
                let flag = if rule.effect == RuleEffect::Deny { Flag::False } else { Flag::True };
                best.arguments.insert(name, flag);
            }
        }
        let engine = engine(&policy);
        let allows = |ask: &Ask, method| {
            let ask = Ask { method, ..ask.clone() };
            ask.with(|request| engine.decide_now(request)).is_allowed()
        };
        let (list, call) = if ask.is_tool() {
            ("tools/list", "tools/call")
        } else {
            ("prompts/list", "prompts/get")
        };
        prop_assert_eq!(allows(&best, list), allows(&best, call));
        prop_assert!(allows(&ask, list) || !allows(&ask, call));
    }

    #[test]
    fn a_list_is_decided_item_by_item(policy in policy(), ask in ask(), names in prop::collection::vec("[a-c_]{0,4}", 0..6)) {
        let engine = engine(&policy);
        ask.with(|request| {
            let requests: Vec<_> = names.iter().map(|name| {
                let mut request = request.clone();
                request.name = name;
                request
            }).collect();
            let alone: Vec<_> = requests.iter().map(|request| engine.decide_now(request)).collect();
            assert_eq!(engine.decide_all_now(&requests), alone);
        });
    }

    #[test]
    fn a_uniform_policy_is_the_same_for_all(policy in policy(), ask in ask(), other in ask()) {
        use mcp_gw_core::Policy as _;
        let engine = engine(&policy);
        if engine.is_uniform() {
            let same = Ask { method: ask.method, name: ask.name.clone(), upstream_name: ask.upstream_name.clone(), server: ask.server.clone(), ..other };
            let decide = |ask: &Ask| ask.with(|request| engine.decide_now(request));
            prop_assert_eq!(decide(&ask), decide(&same));
        }
    }

    #[test]
    fn a_policy_is_written_as_it_is_read(policy in policy()) {
        let written = serde_json::to_value(&policy).unwrap();
        prop_assert_eq!(PolicyConfig::from_value(written.clone()).unwrap(), policy.clone());
        prop_assert_eq!(PolicyConfig::from_yaml(&written.to_string()).unwrap(), policy);
    }
}

/// The many rules that one bucket of the index tells apart by callers and servers.
#[test]
fn long_lists_are_decided_as_short_ones() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let many = (
        prop::collection::vec(rule(), 30..60),
        prop::collection::vec(ask(), 8),
    );
    runner
        .run(&many, |(mut rules, asks)| {
            for (at, rule) in rules.iter_mut().enumerate() {
                rule.id = format!("r{at}");
                // All of them in a few buckets.
                RuleConfig::clone_from(rule, &rule.clone().with_tools(["any".into()]));
                (rule.prompts, rule.methods) = (None, None);
            }
            let mut policy = PolicyConfig::default();
            policy.rules = rules;
            let engine = engine(&policy);
            for ask in asks {
                let effect = ask.with(|request| engine.decide_now(request)).effect();
                prop_assert_eq!(effect, oracle::decide(&policy, &ask).0);
            }
            Ok(())
        })
        .unwrap();
}

/// Fisher-Yates with a small generator, so that a failure can be repeated.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for at in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        items.swap(at, (seed >> 33) as usize % (at + 1));
    }
}
