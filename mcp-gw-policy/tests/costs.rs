//! What conditions cost: none takes away from another one, and no policy takes the process down.
#![cfg(test)]

use std::fmt::Write as _;

use mcp_gw_core::testing::access_request;
use mcp_gw_core::{
    AccessRequest, Arguments, Caller, CallerKind, Decision, Effect, Phase, Policy as _, RawJson,
    RequestMeta, Transport,
};
use mcp_gw_policy::{PolicyConfig, PolicyEngine};
use proptest::prelude::*;

/// Takes more steps than a condition has, for a list of some hundred values.
const HEAVY: &str = "mcp.tool.arguments.a.exists(x, mcp.tool.arguments.a.exists(y, x == y + 'z'))";
const CHEAP: &str = "mcp.tool.arguments.a.exists(x, x == 'q')";

fn engine(text: &str) -> PolicyEngine {
    let config = PolicyConfig::from_yaml(text).unwrap_or_else(|faults| panic!("{faults}"));
    PolicyEngine::compile(&config).unwrap()
}

fn meta() -> RequestMeta {
    RequestMeta::new("1", Transport::Http)
}

fn bob() -> Caller {
    Caller::new(CallerKind::ApiKey, "bob")
}

/// Calls `order` with a list of so many texts and `q`.
fn call(engine: &PolicyEngine, values: usize) -> Decision {
    let mut list = String::new();
    for at in 0..values {
        write!(list, "\"v{at}\",").unwrap();
    }
    let arguments = RawJson::parse(format!(r#"{{"a":[{list}"q"]}}"#)).unwrap();
    let arguments = Arguments::from_raw(arguments).unwrap();
    let (caller, meta) = (bob(), meta());
    let mut request = access_request(&caller, &meta, "order");
    request.arguments = Some(&arguments);
    engine.decide_now(&request)
}

fn rule(id: &str, effect: &str, when: &str, more: &str) -> String {
    format!("  - {{ id: {id}, effect: {effect}, tools: [order], when: \"{when}\"{more} }}\n")
}

#[test]
fn p12_rules_in_shadow_take_no_steps_from_those_in_force() {
    let guard = rule("rq", "require", CHEAP, "");
    for heavy in [0, 2, 15] {
        for effect in ["allow", "deny", "require"] {
            let mut text = format!("default: allow\nrules:\n{guard}");
            for at in 0..heavy {
                text += &rule(&format!("a{at}"), effect, HEAVY, ", mode: shadow");
            }
            let decision = call(&engine(&text), 400);
            assert_eq!(
                decision.effect(),
                Effect::Allow,
                "{heavy} {effect}: {decision:?}"
            );
        }
    }
}

#[test]
fn p3_neither_ids_nor_other_rules_decide_what_a_condition_may_take() {
    for heavy in [0, 1, 2, 6] {
        for id in ["a", "y"] {
            let mut text = format!("rules:\n{}", rule(id, "allow", CHEAP, ""));
            for at in 0..heavy {
                text += &rule(&format!("h{at}"), "allow", HEAVY, "");
            }
            for values in [60, 900] {
                let decision = call(&engine(&text), values);
                assert_eq!(decision.effect(), Effect::Allow, "{heavy} {id} {values}");
            }
        }
    }
    // It cannot be evaluated, whatever else there is: who is denied by it stays so.
    for others in [0, 5] {
        let mut text = format!("default: allow\nrules:\n{}", rule("m", "deny", HEAVY, ""));
        for at in 0..others {
            text += &rule(&format!("a{at}"), "allow", CHEAP, "");
        }
        assert_eq!(call(&engine(&text), 10).effect(), Effect::Allow);
        assert_eq!(call(&engine(&text), 900).effect(), Effect::Deny);
    }
}

/// Steps of very many conditions are a share of what they would have: they come to an end, and what
/// is small is decided as ever.
#[test]
fn a_request_has_a_bound_however_many_rules_there_are() {
    let mut text = "rules:\n".to_owned();
    for at in 0..500 {
        text += &rule(&format!("h{at}"), "deny", HEAVY, "");
    }
    text += &rule("ok", "allow", CHEAP, "");
    let engine = engine(&text);
    assert!(
        engine
            .warnings()
            .iter()
            .any(|warning| warning.to_string().contains("steps together")),
        "{:?}",
        engine.warnings()
    );
    assert_eq!(call(&engine, 900).effect(), Effect::Deny);
    assert_eq!(call(&engine, 3).effect(), Effect::Allow);
}

fn listed(engine: &PolicyEngine, names: &[String], meta: &RequestMeta) -> Vec<Effect> {
    let caller = bob();
    let requests: Vec<AccessRequest<'_>> = names
        .iter()
        .map(|name| {
            let mut request = access_request(&caller, meta, name);
            (request.method, request.phase) = ("tools/list", Phase::List);
            request
        })
        .collect();
    let decisions = engine.decide_all_now(&requests);
    let shown = engine.as_of_now().unwrap().shows(&requests);
    let of =
        |shown: Option<bool>| shown.map(|shown| if shown { Effect::Allow } else { Effect::Deny });
    for ((decision, shown), request) in decisions.iter().zip(shown).zip(&requests) {
        if let Some(shown) = of(shown) {
            assert_eq!(decision.effect(), shown, "{}", request.name);
        }
    }
    decisions
        .into_iter()
        .map(|decision| decision.effect())
        .collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("tool_{at:04}")).collect()
}

#[test]
fn p8_a_long_list_shows_what_may_be_called() {
    let vars: Vec<String> = (0..300).map(|at| format!("xool_{at}")).collect();
    let text = format!(
        "vars: {{ names: [{}, tool_] }}\nrules:\n  - {{ id: a, effect: allow, tools: [any], \
         when: \"vars.names.exists(n, mcp.tool.name.startsWith(n))\" }}\n",
        vars.join(", ")
    );
    let engine = engine(&text);
    let names = names(1000);
    assert_eq!(listed(&engine, &names, &meta()), [Effect::Allow; 1000]);
    let (caller, meta) = (bob(), meta());
    let last = access_request(&caller, &meta, "tool_0999");
    assert_eq!(engine.decide_now(&last).effect(), Effect::Allow);
}

/// What does not look at the items is worked out once, so the list can be as long as it likes.
#[test]
fn what_is_the_same_for_all_items_is_asked_once() {
    let text = "rules:\n  - { id: a, effect: allow, tools: [any], \
                when: \"request.headers['x-teams'].split(',').exists(t, t == 'last')\" }\n";
    let engine = engine(text);
    let teams: Vec<String> = (0..3000).map(|at| format!("team{at}")).collect();
    let headers = vec![("x-teams".to_owned(), format!("{},last", teams.join(",")))];
    let meta = meta().with_headers(headers);
    assert_eq!(listed(&engine, &names(5000), &meta), [Effect::Allow; 5000]);
}

/// Beyond the bound of a list nothing of it is left to the order of its items.
#[test]
fn a_list_beyond_its_bound_is_refused_as_a_whole() {
    let text = "rules:\n  - { id: a, effect: allow, tools: [any], \
                when: \"request.headers['x'].split('').exists(t, t == mcp.tool.name) || mcp.tool.name == 'tool_0001'\" }\n\
                \x20 - { id: b, effect: allow, tools: [tool_0002] }\n";
    let engine = engine(text);
    let names = names(300);
    let short = meta().with_headers(vec![("x".to_owned(), "ab".to_owned())]);
    let mut expected = [Effect::Deny; 300];
    (expected[1], expected[2]) = (Effect::Allow, Effect::Allow);
    assert_eq!(listed(&engine, &names, &short), expected);
    // Each of them could be asked for by itself.
    let long = meta().with_headers(vec![("x".to_owned(), "ab".repeat(1000))]);
    let (caller, one) = (bob(), &long);
    let mut request = access_request(&caller, one, "tool_0001");
    (request.method, request.phase) = ("tools/list", Phase::List);
    assert_eq!(engine.decide_now(&request).effect(), Effect::Allow);
    expected[1] = Effect::Deny;
    assert_eq!(listed(&engine, &names, &long), expected);
    let mut backwards = names;
    backwards.reverse();
    expected.reverse();
    assert_eq!(listed(&engine, &backwards, &long), expected);
}

/// Loading evaluates conditions, to find those that can never be true.
#[test]
fn no_condition_takes_the_process_down_when_it_is_loaded() {
    for start in ["['aaaaaaaaaaaaaaaa']", "[[1, 2, 3, 4]]", "[vars.a]"] {
        for (grows, times) in [(".map(x,x+x)", 30), (".map(x,x+x+x+x)", 20)] {
            let when = format!("size({start}{}[0]) > 0", grows.repeat(times));
            let text = format!(
                "vars: {{ a: aaaaaaaa }}\nrules:\n{}",
                rule("a", "allow", &when, "")
            );
            let config = PolicyConfig::from_yaml(&text).unwrap();
            let engine = PolicyEngine::compile(&config).unwrap();
            assert_eq!(call(&engine, 1).effect(), Effect::Deny);
            let warnings = engine.warnings();
            let warned = warnings
                .iter()
                .any(|warning| warning.to_string().contains("more steps"));
            assert!(warned, "{when}: {warnings:?}");
        }
    }
}

fn part() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        HEAVY.to_owned(),
        CHEAP.to_owned(),
        "mcp.tool.arguments.a.all(x, x.startsWith('v'))".to_owned(),
        "mcp.tool.arguments.a.map(x, x + x).filter(x, x == 'qq') != []".to_owned(),
        "identity.has_role('r') || 'q' in mcp.tool.arguments.a".to_owned(),
        "size(mcp.tool.arguments.a) > 5".to_owned(),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever else is there, in whatever order: ids and rules in shadow decide nothing.
    #[test]
    fn ids_and_shadow_decide_nothing(
        rules in prop::collection::vec((prop::sample::select(vec!["allow", "deny", "require"]), part()), 1..5),
        shadow in prop::collection::vec(part(), 0..4),
        values in prop::sample::select(vec![0_usize, 5, 80, 300]),
        turned in any::<bool>(),
    ) {
        let written = |turned: bool, with_shadow: bool| {
            let mut text = "rules:\n".to_owned();
            for (at, (effect, when)) in rules.iter().enumerate() {
                let at = if turned { 100 - at } else { at };
                text += &rule(&format!("m{at:03}"), effect, when, "");
            }
            for (at, when) in shadow.iter().enumerate().filter(|_| with_shadow) {
                text += &rule(&format!("a{at}"), "deny", when, ", mode: shadow");
            }
            text
        };
        let plain = call(&engine(&written(false, false)), values);
        let other = call(&engine(&written(turned, true)), values);
        prop_assert_eq!(plain.effect(), other.effect());
        prop_assert_eq!(plain.kind(), other.kind());
    }
}

#[test]
fn numbers_in_a_policy_keep_their_digits() {
    for number in [
        "100.00000000000000001",
        "99999999999999999999",
        "1.5e999",
        "9007199254740993.0",
    ] {
        let text = format!("vars: {{ most: {number}, list: [1, 2] }}\n");
        let faults = PolicyConfig::from_yaml(&text).unwrap_err().to_string();
        assert!(faults.contains("1:15: vars.most"), "{faults}");
        assert!(
            faults.contains("more digits than a number keeps"),
            "{faults}"
        );
        assert!(PolicyConfig::from_yaml(&format!("vars: {{ most: '{number}' }}")).is_ok());
    }
    // What keeps its digits, and is equal to several integers all the same.
    let text = "vars: { deep: [{ most: 9007199254740992.0 }] }\n";
    let faults = PolicyConfig::from_yaml(text).unwrap_err().to_string();
    assert!(
        faults.contains("vars.deep[0].most: ") && faults.contains("compared exactly"),
        "{faults}"
    );
    assert!(PolicyConfig::from_yaml("vars: { a: 9223372036854775807, b: -0.10, c: 1e3 }").is_ok());
}

#[test]
fn a_condition_about_another_name_than_its_rule_is_warned_of() {
    for (rule, expected) in [
        (
            "tools: [order], when: \"mcp.tool.name == 'foo'\"",
            Some("never `foo` here"),
        ),
        (
            "tools: ['get_*'], when: \"mcp.tool.name in ['set_a', 'drop'] && jwt.a == 1\"",
            Some("never `set_a` here"),
        ),
        (
            "tools: ['get_*'], when: \"mcp.tool.name in ['set_a', 'get_a']\"",
            None,
        ),
        ("when: \"mcp.tool.name == 'foo'\"", None),
        (
            "tools: [up], match: upstream_name, when: \"mcp.tool.name == 'foo'\"",
            None,
        ),
        (
            "when: \"identity.has_role('amdin') && has(jwt.a)\"",
            Some("there is no role `amdin`"),
        ),
        ("when: \"identity.has_role('other') && has(jwt.a)\"", None),
        (
            "when: \"identity.kind == 'robot' || has(jwt.a)\"",
            Some("never 'robot'"),
        ),
    ] {
        let text =
            format!("roles: {{ admin: {{}} }}\nrules:\n  - {{ id: a, effect: allow, {rule} }}\n");
        let warnings = engine(&text).warnings();
        match expected {
            None => assert!(warnings.is_empty(), "{rule}: {warnings:?}"),
            Some(expected) => {
                let all: Vec<String> = warnings.iter().map(ToString::to_string).collect();
                assert!(
                    all.len() == 1 && all[0].contains(expected),
                    "{rule}: {all:?}"
                );
            }
        }
    }
}
