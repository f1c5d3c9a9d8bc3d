//! The engine as a whole: reload, counters, shadow, and what it does not do.
#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mcp_gw_core::testing::{ManualClock, access_request, policy_contract};
use mcp_gw_core::{
    AccessRequest, Caller, CallerKind, Effect, Feature, Phase, Policy, RequestMeta, Transport,
};
use mcp_gw_policy::{Mode, PolicyConfig, PolicyEngine, Reason, RuleEffect};

fn config(text: &str) -> PolicyConfig {
    PolicyConfig::from_yaml(text).unwrap_or_else(|faults| panic!("{faults}"))
}

fn engine(text: &str) -> PolicyEngine {
    PolicyEngine::compile(&config(text)).unwrap()
}

fn meta() -> RequestMeta {
    RequestMeta::new("1", Transport::InProcess)
}

#[tokio::test]
async fn it_keeps_the_contract_of_policies() {
    for text in [
        "{}",
        "default: allow",
        "mode: shadow",
        "rules: [{ id: a, effect: allow, tools: ['a*'], who: { kinds: [api_key] }, when: jwt.x }]",
        "{ default: allow, rules: [{ id: a, effect: deny, from: ['10.0.0.0/8'] }] }",
    ] {
        policy_contract(&engine(text)).await;
    }
}

#[test]
fn p9_a_policy_that_looks_at_callers_is_not_uniform() {
    for (text, uniform) in [
        ("{}", true),
        ("default: allow", true),
        ("rules: [{ id: a, effect: allow, tools: [a] }]", true),
        (
            "rules: [{ id: a, effect: allow, who: { roles: [r] } }]",
            false,
        ),
        (
            "rules: [{ id: a, effect: allow, from: ['10.0.0.0/8'] }]",
            false,
        ),
        (
            "rules: [{ id: a, effect: allow, when: 'has(jwt.sub)' }]",
            false,
        ),
        (
            "rules: [{ id: a, effect: allow, who: { roles: [r] }, mode: shadow }]",
            false,
        ),
        (
            "{ default: allow, servers: { s: { rules: [{ id: a, effect: deny, who: { ids: [x] } }] } } }",
            false,
        ),
        (
            "{ default: allow, consumers: [{ name: c, who: { ids: [x] } }] }",
            false,
        ),
    ] {
        assert_eq!(engine(text).is_uniform(), uniform, "{text}");
    }
}

#[test]
fn p14_a_good_policy_is_put_in_force_and_a_bad_one_is_not() {
    let engine = engine("rules: [{ id: a, effect: allow, tools: [a] }]");
    let other = engine.clone();
    let (caller, meta) = (Caller::local(), meta());
    let allows = |name| {
        other
            .decide_now(&access_request(&caller, &meta, name))
            .is_allowed()
    };
    assert!(allows("a") && !allows("b"));
    let first = engine.version();

    let reloaded = engine
        .reload(&config("rules: [{ id: a, effect: allow, tools: [b] }]"))
        .unwrap();
    assert!(reloaded.is_new && reloaded.version != first);
    assert!(!allows("a") && allows("b"), "all handles see the new one");

    let mut bad = PolicyConfig::allow();
    bad.rules = config("rules: [{ id: a, effect: deny }, { id: b, effect: deny }]").rules;
    bad.rules[1].id = "a".to_owned();
    let faults = engine.reload(&bad).unwrap_err();
    assert_eq!(faults.faults().len(), 1);
    assert!(!allows("a") && allows("b"), "the old one stays");
    assert_eq!(engine.version(), reloaded.version);

    let back = engine
        .reload(&config("rules: [{ id: a, effect: allow, tools: [a] }]"))
        .unwrap();
    assert_eq!(back.version, first, "the version is that of the content");
    let again = engine
        .reload(&config("rules: [{ tools: [a], effect: allow, id: a }]"))
        .unwrap();
    assert!(!again.is_new);
    let stats = engine.stats();
    assert_eq!((stats.reloaded, stats.reload_failed), (3, 1));
}

/// P-14: one request sees one policy, whatever happens beside it.
#[test]
fn p14_a_list_is_of_one_version() {
    let [one, two] = ["a", "b"].map(|name| {
        config(&format!(
            "rules: [{{ id: r, effect: allow, tools: [{name}] }}]"
        ))
    });
    let engine = PolicyEngine::compile(&one).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (engine, done) = (engine.clone(), Arc::clone(&done));
        move || {
            for _ in 0..200 {
                engine.reload(&two).unwrap();
                engine.reload(&one).unwrap();
            }
            done.store(true, Ordering::Release);
        }
    });
    let (caller, meta) = (Caller::local(), meta());
    let requests: Vec<_> = ["a", "b"]
        .into_iter()
        .cycle()
        .take(100)
        .map(|name| access_request(&caller, &meta, name))
        .collect();
    let mut rounds = 0;
    while !done.load(Ordering::Acquire) || rounds == 0 {
        rounds += 1;
        let decisions = engine.decide_all_now(&requests);
        let allowed = decisions
            .iter()
            .filter(|decision| decision.is_allowed())
            .count();
        assert_eq!(allowed, 50);
        let first = decisions[0].version();
        assert!(decisions.iter().all(|decision| decision.version() == first));
    }
    writer.join().unwrap();
}

#[test]
fn p13_a_decision_says_what_decided_and_an_explanation_says_more() {
    let engine = engine(
        "
rules:
  - { id: readers, effect: allow, tools: ['get_*'], who: { roles: [reader] } }
  - { id: no-odd, effect: deny, tools: [get_odd], when: jwt.missing }
servers: { s: { default: allow } }
",
    );
    let caller = Caller::new(CallerKind::User, "ann").with_roles(["reader"]);
    let meta = meta();
    let mut request = access_request(&caller, &meta, "get_odd");
    request.server = "s";
    let decision = engine.decide_now(&request);
    assert_eq!(decision.effect(), Effect::Deny);
    assert_eq!(decision.kind(), "deny_rule");
    assert_eq!(decision.reasons(), ["no-odd"]);
    assert_eq!(decision.errored_rules(), [Arc::from("no-odd")]);
    assert_eq!(decision.version(), Some(engine.version()));
    let told = serde_json::to_value(engine.explain(&request)).unwrap();
    assert_eq!(told["version"], engine.version().to_string());
    assert_eq!(told["reason"], "deny_rule");
    assert_eq!(told["layers"][0]["layer"], "global");
    assert_eq!(told["layers"][1]["layer"], "server s");
    assert_eq!(told["layers"][1]["reason"], "default");
    assert_eq!(told["errors"][0]["rule"], "no-odd");
    assert!(told["duration_ns"].is_u64());

    let guest = Caller::anonymous();
    let told = engine.explain(&access_request(&guest, &meta, "get_time"));
    assert_eq!((told.reason, told.rules.len()), (Reason::NoRule, 0));
    assert_eq!(told.near_misses[0].rule, "readers");
    assert_eq!(
        told.near_misses[0].because,
        ["who.roles: the caller `anonymous` has none of them"]
    );
}

#[test]
fn it_tells_what_is_required_and_what_the_caller_holds() {
    let engine = engine(
        "
roles: { admin: { inherits: [reader], members: [{ groups: [ops] }] }, reader: {} }
rules:
  - { id: all, effect: allow }
  - { id: staff, effect: require, tools: [salary], who: { groups: [staff] } }
",
    );
    let caller = Caller::new(CallerKind::User, "ann").with_groups(["ops"]);
    let meta = meta();
    let told = engine.explain(&access_request(&caller, &meta, "salary"));
    assert_eq!(told.reason, Reason::RequireFailed);
    assert_eq!(
        (&*told.unmet[0].rule, &*told.unmet[0].layer),
        ("staff", "global")
    );
    assert_eq!(
        told.unmet[0].because,
        "who.groups: the caller `ann` has none of them"
    );
    assert_eq!(told.held.roles, ["admin", "reader"]);
    assert_eq!(told.held.groups, ["ops"]);
}

#[test]
fn what_it_did_is_counted_and_goes_on_over_a_reload() {
    let text = "
rules:
  - { id: a, effect: allow, tools: ['*'] }
  - { id: odd, effect: deny, tools: [odd], when: jwt.missing }
  - { id: maybe, effect: deny, tools: [maybe], mode: shadow }
";
    let clock = ManualClock::new();
    let engine = PolicyEngine::with_clock(&config(text), Arc::new(clock)).unwrap();
    let (caller, meta) = (Caller::local(), meta());
    for name in ["x", "y", "odd", "maybe"] {
        engine.decide_now(&access_request(&caller, &meta, name));
    }
    let mut list = access_request(&caller, &meta, "x");
    (list.method, list.phase) = ("tools/list", Phase::List);
    engine.decide_all_now(&[list.clone(), list]);
    engine.explain(&access_request(&caller, &meta, "odd"));
    let stats = engine.stats();
    let count = |method, effect, mode, reason| {
        let same = |cell: &&mcp_gw_policy::DecisionCount| {
            (cell.method, cell.effect, cell.mode, cell.reason) == (method, effect, mode, reason)
        };
        stats
            .decisions
            .iter()
            .find(same)
            .map_or(0, |cell| cell.count)
    };
    assert_eq!(
        count(
            "tools/call",
            Effect::Allow,
            Mode::Enforce,
            Reason::AllowRule
        ),
        3
    );
    assert_eq!(
        count("tools/call", Effect::Deny, Mode::Enforce, Reason::DenyRule),
        1
    );
    assert_eq!(
        count("tools/call", Effect::Deny, Mode::Shadow, Reason::DenyRule),
        1
    );
    assert_eq!(
        count(
            "tools/list",
            Effect::Allow,
            Mode::Enforce,
            Reason::AllowRule
        ),
        2
    );
    assert_eq!(
        stats.decisions.iter().map(|cell| cell.count).sum::<u64>(),
        7
    );
    let hits = |id: &str| (stats.rules[id].hits, stats.rules[id].errors);
    assert_eq!(
        [hits("a"), hits("odd"), hits("maybe")],
        [(5, 0), (1, 1), (1, 0)]
    );
    let timed: u64 = stats.eval_buckets.iter().map(|(_, count)| count).sum();
    assert_eq!(timed, 1, "the first of 64 is timed");

    engine
        .reload(&config("rules: [{ id: a, effect: deny, tools: [z] }]"))
        .unwrap();
    let stats = engine.stats();
    assert_eq!(
        (stats.rules["a"].effect, stats.rules["a"].hits),
        (RuleEffect::Deny, 5)
    );
    assert_eq!(stats.rules.len(), 1, "rules that are gone are not counted");
}

#[test]
fn p3_a_caller_is_in_all_of_many_layers_that_name_it() {
    let layers: Vec<String> = (0..20)
        .map(|at| {
            let who = match at % 3 {
                0 => format!("ids: [user{at}, ann]"),
                1 => format!("roles: [r{at}, both]"),
                _ => format!("groups: [g{at}]"),
            };
            let tool = if at == 7 { "other" } else { "a" };
            format!("  - {{ name: c{at}, who: {{ {who} }}, rules: [{{ id: r{at}, effect: allow, tools: [{tool}] }}] }}\n")
        })
        .collect();
    let engine = engine(&format!("default: allow\nconsumers:\n{}", layers.concat()));
    let meta = meta();
    let layers = |caller: Caller| {
        let request = access_request(&caller, &meta, "a");
        let told = engine.explain(&request);
        assert_eq!(engine.decide_now(&request).effect(), told.effect);
        (told.effect, told.layers.len())
    };
    let user = |id| Caller::new(CallerKind::User, id);
    assert_eq!(layers(user("ann")), (Effect::Allow, 1 + 7));
    assert_eq!(
        layers(user("user3").with_groups(["g2", "g5"])),
        (Effect::Allow, 1 + 3)
    );
    assert_eq!(
        layers(user("x").with_roles(["both", "r4"])),
        (Effect::Deny, 1 + 7)
    );
    assert_eq!(layers(user("x")), (Effect::Allow, 1));
}

#[test]
fn faults_of_a_file_have_lines() {
    let text = "default: allow\nrules:\n  - id: a\n    effect: alow\n  - id: b\n    effect: deny\n    tools:\n      - { regex: '(' }\n      - 'x\\'\n";
    let faults = PolicyConfig::from_yaml(text).unwrap_err();
    let places: Vec<_> = faults.faults().iter().map(|fault| fault.position).collect();
    assert_eq!(
        places,
        [Some((4, 5)), Some((8, 9)), Some((9, 9))],
        "{faults}"
    );
    assert!(
        faults.to_string().ends_with("3 faults in the policy"),
        "{faults}"
    );
}

#[test]
fn a_file_that_is_no_policy_is_refused() {
    for (text, says) in [
        ("rules: [", "not YAML"),
        ("a: 1\n---\nb: 2", "second YAML document"),
        ("rules: &a [*a]", "no aliases"),
        ("rules: 7", "rules: "),
        ("[]", "a mapping is expected"),
        ("rules: [[a, deny]]", "rules[0]: a mapping is expected"),
        (
            "rules: [{ id: a, effect: deny, who: [[ann]] }]",
            "rules[0].who: a mapping",
        ),
        ("rules: []\nrules: []", "written twice"),
        ("{ [a]: b }", "used as a key"),
        (&"[".repeat(100), "nested too deeply"),
    ] {
        let faults = PolicyConfig::from_yaml(text).unwrap_err();
        assert!(faults.to_string().contains(says), "{text}: {faults}");
    }
    assert_eq!(
        PolicyConfig::from_yaml("").unwrap(),
        PolicyConfig::default()
    );
}

#[test]
fn a_rule_that_is_in_many_places_decides_once() {
    let engine = engine(
        "
default: allow
rules:
  - { id: no, effect: deny, tools: ['a*', '*a', { literal: aa }, { regex: 'a+' }] }
",
    );
    let (caller, meta) = (Caller::local(), meta());
    let decision = engine.decide_now(&access_request(&caller, &meta, "aa"));
    assert_eq!(decision.reasons(), ["no"]);
    assert_eq!(engine.stats().rules["no"].hits, 1);
}

/// A.8.13: the time depends on the rules that can match, and names are not longer than is sensible.
#[test]
fn a_name_that_is_too_long_is_refused() {
    let engine = engine("default: allow");
    let (caller, meta) = (Caller::local(), meta());
    let name = "a".repeat(8 * 1024 + 1);
    let decision = engine.decide_now(&access_request(&caller, &meta, &name));
    assert_eq!(
        (decision.effect(), decision.kind()),
        (Effect::Deny, "invalid_name")
    );
    let name = "a".repeat(8 * 1024);
    assert!(
        engine
            .decide_now(&access_request(&caller, &meta, &name))
            .is_allowed()
    );
}

#[test]
fn a_rule_that_reads_tls_is_named_to_who_cannot_know_of_it() {
    let engine = engine(
        "
rules:
  - { id: a, effect: allow, when: identity.id == 'a' }
  - { id: b, effect: deny, when: has(tls.subject) }
servers: { s: { rules: [{ id: c, effect: require, when: \"'x' in tls.sans\" }] } }
",
    );
    let faults = engine.needs_tls();
    let places: Vec<_> = faults
        .iter()
        .map(|fault| (fault.rule.as_deref(), fault.path.to_string()))
        .collect();
    let expected = [("b", "rules[1].when"), ("c", "servers.s.rules[0].when")];
    let expected = expected.map(|(rule, path)| (Some(rule), path.to_owned()));
    assert_eq!(places, expected);
}

#[test]
fn a_file_in_json_may_escape_any_character() {
    let text = r#"{"rules": [{"id": "\ud83d\ude00\\ud83d", "effect": "allow", "tools": ["\ud83d\ude00"]}]}"#;
    let config = config(text);
    assert_eq!(config.rules[0].id, "😀\\ud83d");
    assert!(
        PolicyConfig::from_yaml(r#"{"rules": [{"id": "\ud83d", "effect": "allow"}]}"#).is_err()
    );
}

#[test]
fn of_many_rules_that_decide_few_are_named() {
    let rules: Vec<String> = (0..20)
        .map(|at| format!("  - {{ id: d{at:02}, effect: deny, when: jwt.gone }}\n"))
        .collect();
    let engine = engine(&format!("default: allow\nrules:\n{}", rules.concat()));
    let (caller, meta) = (Caller::anonymous(), meta());
    let decision = engine.decide_now(&access_request(&caller, &meta, "a"));
    let mut named: Vec<String> = (0..8).map(|at| format!("d{at:02}")).collect();
    assert_eq!(decision.errored_rules().len(), 8);
    named.push("and 12 more".to_owned());
    assert_eq!(decision.reasons(), named);
    let stats = engine.stats();
    assert!(
        stats
            .rules
            .values()
            .all(|rule| (rule.hits, rule.errors) == (1, 1))
    );
}

#[test]
fn ten_thousand_rules_that_apply_are_found_in_one_pass() {
    let rules: Vec<String> = (0..10_000)
        .map(|at| {
            format!("  - {{ id: d{at}, effect: deny, from: [10.0.0.0/8], tools: [a, 'a*'] }}\n")
        })
        .collect();
    let engine = engine(&format!("default: allow\nrules:\n{}", rules.concat()));
    let (caller, meta) = (Caller::anonymous(), meta());
    for _ in 0..5 {
        let decision = engine.decide_now(&access_request(&caller, &meta, "a"));
        assert_eq!(
            decision.reasons().last().map(AsRef::as_ref),
            Some("and 9992 more")
        );
    }
}

#[test]
fn of_many_warnings_few_are_told() {
    let rules: Vec<String> = (0..70)
        .map(|at| format!("  - {{ id: d{at}, effect: deny, when: '{at} > 100' }}\n"))
        .collect();
    let engine = engine(&format!("default: allow\nrules:\n{}", rules.concat()));
    let warnings = engine.warnings();
    assert_eq!(warnings.len(), 51);
    assert!(
        warnings[50]
            .to_string()
            .contains("there are 20 more warnings")
    );
}

#[test]
fn an_explanation_is_text_too() {
    let policy = PolicyConfig::from_yaml(
        "on_denied: challenge
rules:
  - { id: staff, effect: allow, tools: [order], who: { groups: [staff] } }
  - { id: scoped, effect: allow, tools: [order], who: { scopes: [orders] } }
  - { id: \"a\\\"b\", effect: allow, resources: [any] }
",
    )
    .unwrap();
    let engine = PolicyEngine::compile(&policy).unwrap();
    let (caller, meta) = (Caller::anonymous(), RequestMeta::new("1", Transport::Http));
    let tell = |feature: Feature, method: &str, name: &str| {
        engine.explain(&AccessRequest::new(&caller, &meta, method, feature, name))
    };
    let told = tell(Feature::Tool, "tools/call", "order");
    assert_eq!(told.missing_scopes, ["orders"]);
    let text = told.to_string();
    for line in [
        "denied: no rule allowed it, and the default is to deny\n",
        "\n  layer `global`: denied: no rule allowed it",
        "\n  rule `staff` nearly applied: who.groups",
        "\n  missing scopes: orders\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    let told = tell(Feature::Resource, "resources/read", "https://a").to_string();
    assert!(
        told.starts_with(
            "denied: this is no URI, or one that can be read in two ways: after the colon"
        ),
        "{told}"
    );
}
