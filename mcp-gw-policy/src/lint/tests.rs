use mcp_gw_core::Feature;

use super::{CatalogueName, LintKind, lint};
use crate::PolicyConfig;

mod idle;

/// The lints of a policy, as kind and rule.
fn lints(yaml: &str) -> Vec<(LintKind, String)> {
    let config = PolicyConfig::from_yaml(yaml).unwrap_or_else(|faults| panic!("{faults}"));
    lint(&config, None)
        .unwrap()
        .into_iter()
        .map(|lint| (lint.kind, lint.rule.unwrap_or_default()))
        .collect()
}

#[track_caller]
fn finds(kind: LintKind, rule: &str, yaml: &str) {
    assert_eq!(lints(yaml), [(kind, rule.to_owned())], "{yaml}");
}

#[test]
fn a_policy_without_faults_has_no_lints() {
    for good in [
        "rules: [{ id: a, effect: allow, tools: ['get_*'] }, { id: b, effect: deny, tools: ['get_secret'] }]",
        "rules: [{ id: a, effect: allow, tools: ['get_*'] }, { id: b, effect: allow, prompts: ['get_*'] }]",
        "rules: [{ id: a, effect: allow, who: { ids: [x] } }, { id: b, effect: allow, who: { ids: [y] } }]",
        "rules: [{ id: a, effect: allow, tools: [a] }, { id: b, effect: deny, tools: [a], when: 'jwt.x' }]",
        "rules: [{ id: a, effect: allow }, { id: r, effect: require, who: { kinds: [user] } }]",
        "rules: [{ id: a, effect: allow, tools: ['g*'], methods: [tools/list] }, { id: b, effect: deny, tools: ['g*'], methods: [tools/call] }]",
        "rules: [{ id: a, effect: allow, tools: ['a?'] }, { id: b, effect: allow, tools: ['a*'], servers: [s] }]",
        "rules: [{ id: a, effect: allow, tools: [a] }, { id: b, effect: deny, tools: ['*'], mode: shadow }]",
        "{ default: allow, rules: [{ id: b, effect: deny, tools: ['*x'] }] }",
    ] {
        assert_eq!(lints(good), [], "{good}");
    }
}

#[test]
fn rules_that_others_decide_are_found() {
    use LintKind::{Contradictory, Dead, NeverTrue, NothingAllowed, Shadowed};
    for (kind, rule, yaml) in [
        (
            Shadowed,
            "a",
            "rules: [{ id: a, effect: allow, tools: [get_a] }, { id: b, effect: deny, tools: ['get_*'] }, { id: c, effect: allow, tools: [x] }]",
        ),
        (
            Shadowed,
            "a",
            "rules: [{ id: a, effect: allow, tools: ['get_a*'] }, { id: b, effect: deny }, { id: c, effect: allow, prompts: [x], mode: shadow }]",
        ),
        (
            Shadowed,
            "b",
            "rules: [{ id: a, effect: allow, tools: ['get_*'] }, { id: b, effect: allow, tools: ['get_a?c*'], who: { ids: [x] } }]",
        ),
        (
            Shadowed,
            "b",
            "rules: [{ id: a, effect: allow, tools: [x] }, { id: b, effect: allow, tools: [x] }]",
        ),
        (
            Shadowed,
            "a",
            "rules: [{ id: a, effect: deny, tools: [x], servers: [s] }, { id: b, effect: deny, tools: ['?'] }, { id: c, effect: allow, tools: ['y*'] }]",
        ),
        (
            Contradictory,
            "a",
            "rules: [{ id: a, effect: allow, tools: [x], when: 'jwt.y' }, { id: b, effect: deny, tools: [x], when: 'jwt.y' }, { id: c, effect: allow, tools: [z] }]",
        ),
        (
            Contradictory,
            "b",
            "rules: [{ id: a, effect: require, who: { ids: [x] } }, { id: b, effect: allow, tools: [t], who: { ids: [y] } }]",
        ),
        (
            Contradictory,
            "b",
            "rules: [{ id: a, effect: require, when: 'jwt.level > 5' }, { id: b, effect: allow, tools: [t], when: 'jwt.level < 3' }]",
        ),
        (
            Dead,
            "a",
            "{ default: allow, rules: [{ id: a, effect: allow, tools: [x] }] }",
        ),
        (
            NeverTrue,
            "a",
            "{ default: allow, rules: [{ id: a, effect: deny, when: '1 > 2' }] }",
        ),
        (
            NothingAllowed,
            "",
            "rules: [{ id: a, effect: deny, tools: [x] }]",
        ),
    ] {
        finds(kind, rule, yaml);
    }
}

#[test]
fn names_that_stand_for_nothing_are_found() {
    let config = PolicyConfig::from_yaml(
        "
roles: { reader: {} }
rules:
  - { id: a, effect: allow, tools: [get_file, 'set_*', get_fiel], who: { roles: [reeder] } }
  - { id: b, effect: allow, tools: [read], match: upstream_name }
  - { id: c, effect: allow, tools: [get_file], servers: [other] }
  - { id: d, effect: allow, resources: ['file:///x'], prompts: [hello] }
servers:
  filez: { default: allow }
",
    )
    .unwrap();
    let catalogue = [
        CatalogueName::new(Feature::Tool, "files", "get_file").with_upstream_name("read"),
        CatalogueName::new(Feature::Prompt, "files", "hello"),
        CatalogueName::new(Feature::ResourceTemplate, "files", "file:///{path}"),
    ];
    let found: Vec<String> = lint(&config, Some(&catalogue))
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "rules[0].tools[1]: matches_nothing: rule `a`: `set_*` matches nothing that there is; mend the pattern, or remove it",
            "rules[0].tools[2]: matches_nothing: rule `a`: `get_fiel` matches nothing that there is; did you mean `get_file`?",
            "rules[0].who.roles: unknown_name: rule `a`: there is no `reeder` in `roles`; did you mean `reader`? Add `reeder` to `roles` if not",
            "rules[2].tools[0]: matches_nothing: rule `c`: `get_file` matches nothing that there is; mend the pattern, or remove it",
            "servers.filez: dead: the server `filez` offers nothing; did you mean `files`?",
        ]
    );
}

#[test]
fn a_policy_that_is_refused_has_faults_and_no_lints() {
    let mut config = PolicyConfig::default();
    config.extra_methods.push("tools/call".to_owned());
    assert!(lint(&config, None).is_err());
}

/// A policy of so many rules.
fn many(count: usize, default: &str, rule: impl Fn(usize) -> String) -> String {
    let rules: Vec<String> = (0..count).map(|at| format!("  - {}\n", rule(at))).collect();
    format!("default: {default}\nrules:\n{}", rules.concat())
}

#[test]
fn many_rules_about_the_same_are_told_in_few_words() {
    let yaml = many(400, "allow", |at| {
        format!("{{ id: r{at:03}, effect: require, tools: [x], when: \"jwt.dept == 'd{at}'\" }}")
    });
    let config = PolicyConfig::from_yaml(&yaml).unwrap();
    let found = lint(&config, None).unwrap();
    assert_eq!(found.len(), 51, "{found:?}");
    assert!(
        found[0].message.ends_with("(and more than 99 like it)"),
        "{}",
        found[0]
    );
    let last = &found[50];
    assert_eq!((last.kind, &last.rule), (LintKind::Contradictory, &None));
    assert!(last.message.starts_with("and "), "{last}");
}

#[test]
fn thousands_of_rules_are_looked_over_in_one_go() {
    for rule in [
        |at: usize| format!("{{ id: r{at}, effect: allow, tools: [x], who: {{ ids: [u{at}] }} }}"),
        |at: usize| format!("{{ id: r{at}, effect: require, who: {{ ids: [u{at}] }} }}"),
        |at: usize| {
            format!("{{ id: r{at}, effect: deny, tools: ['a{at}*b'], who: {{ roles: [x] }} }}")
        },
        |at: usize| format!("{{ id: r{at}, effect: deny, tools: [x, y{at}] }}"),
        |at: usize| {
            format!("{{ id: r{at}, effect: allow, tools: [x], when: \"jwt.a == '{at}'\" }}")
        },
    ] {
        let config = PolicyConfig::from_yaml(&many(3000, "deny", rule)).unwrap();
        let found = lint(&config, None).unwrap();
        assert!(found.len() <= 102, "{}", found.len());
    }
}

#[test]
fn comparisons_that_never_hold_are_found() {
    for when in [
        "identity.kind == 'apikey'",
        "source.ip == '10.0.0.0/8'",
        "mcp.method == 'tools/cal'",
        "mcp.method in ['a', 'b'] && identity.authenticated",
        "request.time.getHours() > 25",
        "request.time.getHours('Europe/Berlin') < 0",
        // One of the two is never there.
        "identity.kind in ['apikey', 'api_key']",
        "identity.kind == 'apikey' || jwt.a == 'x'",
    ] {
        let yaml =
            format!("{{ default: allow, rules: [{{ id: a, effect: deny, when: \"{when}\" }}] }}");
        finds(LintKind::NeverTrue, "a", &yaml);
    }
    for when in [
        "identity.kind in ['local', 'api_key']",
        "source.ip == '10.0.0.1'",
        "identity.kind != 'apikey'",
        "request.time.getHours() >= 23",
    ] {
        let yaml =
            format!("{{ default: allow, rules: [{{ id: a, effect: deny, when: \"{when}\" }}] }}");
        assert_eq!(lints(&yaml), [], "{when}");
    }
}

#[test]
fn conditions_about_what_a_rule_is_not_about_are_found() {
    let with = |what: &str, when: &str| {
        format!("{{ default: allow, rules: [{{ id: a, effect: deny, {what} when: \"{when}\" }}] }}")
    };
    let amount = "mcp.tool.arguments.amount > 100";
    finds(LintKind::OtherFeature, "a", &with("", amount));
    finds(
        LintKind::NeverTrue,
        "a",
        &with("resources: ['file:*'],", amount),
    );
    finds(
        LintKind::NeverTrue,
        "a",
        &with("tools: [x],", "mcp.resource.uri == 'file:///a'"),
    );
    for good in [
        with("tools: [any],", amount),
        with("methods: [tools/call],", amount),
        with("", "has(mcp.tool) && mcp.tool.arguments.amount > 100"),
        with(
            "resource_templates: ['file:*'],",
            "mcp.resource.uri == 'file:///a'",
        ),
    ] {
        assert_eq!(lints(&good), [], "{good}");
    }
}

#[test]
fn stars_and_empty_policies_are_found() {
    finds(
        LintKind::UnknownName,
        "a",
        "{ default: allow, rules: [{ id: a, effect: deny, who: { groups: ['staff*'] } }] }",
    );
    for empty in ["", "rules: []", "{ mode: shadow }"] {
        finds(LintKind::NothingAllowed, "", empty);
    }
    assert_eq!(lints("default: allow"), []);
}

#[test]
fn callers_of_one_rule_that_another_rule_means_too() {
    use LintKind::{Contradictory, Shadowed};
    for (kind, rule, yaml) in [
        (
            Shadowed,
            "b",
            "rules: [{ id: a, effect: allow, tools: ['get_*'], who: { groups: [g] } }, { id: b, effect: allow, tools: [get_x], who: { groups: [g], ids: [q] } }]",
        ),
        (
            Shadowed,
            "b",
            "rules: [{ id: a, effect: deny, tools: ['get_*'], who: { groups: [g, h] } }, { id: b, effect: allow, tools: [get_x], who: { groups: [g], ids: [q] } }]",
        ),
        (
            Shadowed,
            "b",
            "rules: [{ id: a, effect: deny, tools: ['get_*'], who: { groups: [g] }, when: 'jwt.x' }, { id: b, effect: allow, tools: [get_x], who: { groups: [g] }, when: 'jwt.x' }]",
        ),
        (
            Contradictory,
            "b",
            "{ default: allow, rules: [{ id: a, effect: require, tools: [x], from: ['10.0.0.0/8'] }, { id: b, effect: require, tools: [x], from: ['192.168.0.0/16'] }] }",
        ),
        (
            Shadowed,
            "a",
            "{ default: allow, rules: [{ id: a, effect: require, tools: [x], who: { ids: [q] } }, { id: c, effect: deny, tools: ['*'] }] }",
        ),
    ] {
        let found = lints(yaml);
        assert!(
            found.contains(&(kind, rule.to_owned())),
            "{yaml}: {found:?}"
        );
    }
    for good in [
        "rules: [{ id: a, effect: allow, tools: ['get_*'], who: { groups: [g], ids: [q] } }, { id: b, effect: allow, tools: [get_x], who: { groups: [g] } }]",
        "rules: [{ id: a, effect: allow, tools: ['get_*'], who: { claims: { a: b } } }, { id: b, effect: allow, tools: [get_x], who: { claims: { a: b, c: d } } }]",
        "{ default: allow, rules: [{ id: a, effect: require, tools: [x], from: ['10.0.0.0/8'] }, { id: b, effect: require, tools: [x], from: ['10.1.0.0/16'] }] }",
        "{ default: allow, rules: [{ id: a, effect: require, tools: [x], who: { ids: [q] } }, { id: c, effect: deny, tools: ['*'], who: { ids: [r] } }] }",
    ] {
        assert_eq!(lints(good), [], "{good}");
    }
}

#[test]
fn layers_and_addresses_that_shut_everything_are_found() {
    for shut in [
        "{ default: allow, servers: { hr: { default: deny } } }",
        "{ rules: [{ id: a, effect: allow }], servers: { hr: {} } }",
        "{ default: allow, consumers: [{ name: c, who: { ids: [a] } }] }",
        "{ default: allow, ip: { allow: ['0.0.0.0/0'], deny: ['::/0'] } }",
        "{ rules: [{ id: a, effect: allow, mode: shadow }] }",
    ] {
        finds(LintKind::NothingAllowed, "", shut);
    }
    for open in [
        "{ default: allow, servers: { hr: { default: allow } } }",
        "{ mode: shadow, rules: [{ id: a, effect: allow }] }",
        "{ default: allow, servers: { hr: { mode: shadow, rules: [{ id: a, effect: allow, mode: shadow }] } } }",
    ] {
        assert_eq!(lints(open), [], "{open}");
    }
}

#[test]
fn a_star_in_a_host_is_told_of_where_it_allows() {
    let rule = |effect: &str| {
        format!(
            "{{ default: deny, rules: [{{ id: z, effect: allow, tools: [a] }}, {{ id: a, effect: {effect}, resources: ['https://*.example.com/*'] }}] }}"
        )
    };
    finds(LintKind::WideHost, "a", &rule("allow"));
    assert_eq!(lints(&rule("deny")), []);
}
