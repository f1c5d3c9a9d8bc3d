//! Rules that cannot do anything, by what stands around them.

use mcp_gw_core::Feature;

use super::{finds, lints};
use crate::lint::{CatalogueName, LintKind, lint};
use crate::{PolicyConfig, RuleEffect};

#[test]
fn rules_that_what_stands_around_them_leaves_nothing_are_found() {
    use LintKind::{Contradictory, Dead, NeverTrue};
    for (kind, policy) in [
        (
            Dead,
            "{ default: allow, servers: { hr: { rules: [{ id: a, effect: allow, servers: [docs] }] } } }",
        ),
        (
            Dead,
            "{ ip: { deny: ['10.0.0.0/8'] }, rules: [{ id: a, effect: allow, from: ['10.1.0.0/16'] }] }",
        ),
        (
            Dead,
            "{ ip: { allow: ['10.0.0.0/8'] }, rules: [{ id: a, effect: allow, from: ['11.0.0.0/8'] }] }",
        ),
        (
            Contradictory,
            "{ default: allow, ip: { deny: ['10.0.0.0/8'] }, rules: [{ id: a, effect: require, from: ['10.1.0.0/16'] }] }",
        ),
        (
            NeverTrue,
            "{ rules: [{ id: a, effect: allow, servers: [docs], when: \"mcp.server == 'hrr'\" }] }",
        ),
        (
            NeverTrue,
            "{ default: allow, servers: { hr: { default: allow, rules: [{ id: a, effect: deny, when: \"mcp.server in ['x', 'docs']\" }] } } }",
        ),
        (
            NeverTrue,
            "{ rules: [{ id: a, effect: allow, tools: [order, set], when: \"mcp.tool.name.startsWith('get_')\" }] }",
        ),
        (
            NeverTrue,
            "{ rules: [{ id: a, effect: allow, tools: [order], when: \"mcp.tool.name.endsWith('_a') && jwt.x\" }] }",
        ),
        (
            NeverTrue,
            "{ rules: [{ id: a, effect: allow, tools: [order], when: \"mcp.tool.name.glob('get_*')\" }] }",
        ),
        (
            NeverTrue,
            "{ rules: [{ id: a, effect: allow, tools: [order], when: \"mcp.tool.name.matches('^get')\" }] }",
        ),
        (
            NeverTrue,
            "{ rules: [{ id: a, effect: allow, when: \"source.ip_in('10.0.0.0/8') && source.ip_in('192.168.0.0/16')\" }] }",
        ),
        (
            NeverTrue,
            "{ rules: [{ id: a, effect: allow, from: ['10.0.0.0/8'], when: \"source.ip_in('192.168.0.0/16')\" }] }",
        ),
        (
            NeverTrue,
            "{ rules: [{ id: a, effect: allow, who: { kinds: [user] }, when: \"identity.kind == 'api_key'\" }] }",
        ),
        (
            NeverTrue,
            "{ rules: [{ id: a, effect: allow, who: { ids: [ann] }, when: \"identity.id in ['bob', 'eve']\" }] }",
        ),
        (
            LintKind::WideHost,
            "{ rules: [{ id: a, effect: allow, resources: [{ regex: 'https://.*\\.example\\.com/.*' }] }] }",
        ),
        (
            LintKind::WideHost,
            "{ rules: [{ id: a, effect: allow, resources: ['https*example.com/*'] }] }",
        ),
    ] {
        finds(kind, "a", policy);
    }
}

#[test]
fn rules_that_do_something_are_left_alone() {
    for policy in [
        "{ default: allow, servers: { hr: { default: allow, rules: [{ id: a, effect: deny, servers: ['h*'] }] } } }",
        "{ ip: { deny: ['10.1.0.0/16'] }, rules: [{ id: a, effect: allow, from: ['10.0.0.0/8'] }] }",
        "{ ip: { allow: ['10.0.0.0/8'] }, rules: [{ id: a, effect: allow, from: ['10.0.0.0/7'] }] }",
        "{ rules: [{ id: a, effect: allow, servers: [docs, hr], when: \"mcp.server == 'hr'\" }] }",
        "{ rules: [{ id: a, effect: allow, tools: [order, get_a], when: \"mcp.tool.name.startsWith('get_')\" }] }",
        "{ rules: [{ id: a, effect: allow, tools: ['o*'], when: \"mcp.tool.name.endsWith('_a')\" }] }",
        "{ rules: [{ id: a, effect: allow, tools: [order], when: \"!mcp.tool.name.startsWith('get_')\" }] }",
        "{ rules: [{ id: a, effect: allow, tools: [order], when: \"jwt.x || mcp.tool.name.startsWith('get_')\" }] }",
        "{ rules: [{ id: a, effect: allow, when: \"source.ip_in('10.0.0.0/8') && !source.ip_in('192.168.0.0/16')\" }] }",
        "{ rules: [{ id: a, effect: allow, from: ['10.0.0.0/8'], when: \"source.ip_in('10.1.0.0/16', '192.168.0.0/16')\" }] }",
        "{ rules: [{ id: a, effect: allow, who: { kinds: [user, api_key] }, when: \"identity.kind == 'api_key'\" }] }",
        "{ rules: [{ id: a, effect: allow, when: \"identity.kind != 'api_key'\" }] }",
        "{ rules: [{ id: a, effect: allow, resources: [{ regex: 'https://[^/?]*\\.example\\.com/.*' }] }] }",
    ] {
        assert_eq!(lints(policy), [], "{policy}");
    }
}

#[test]
fn a_server_that_there_is_not_is_found_in_a_condition() {
    let policy = "{ rules: [{ id: a, effect: allow, when: \"mcp.server == 'hrr'\" }] }";
    let policy = PolicyConfig::from_yaml(policy).unwrap();
    let tool = |server| [CatalogueName::new(Feature::Tool, server, "x")];
    let found = lint(&policy, Some(&tool("hr"))).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, LintKind::NeverTrue);
    assert_eq!(found[0].help, "did you mean 'hr'?");
    assert_eq!(lint(&policy, Some(&tool("hrr"))).unwrap(), []);
}

/// In `who` a doubt counts; what a condition asks is answered by what is certain.
#[test]
fn conditions_that_deny_by_a_membership_in_doubt_are_found() {
    let policy = |effect: RuleEffect, when: &str| {
        let effect = match effect {
            RuleEffect::Deny => "deny",
            _ => "require",
        };
        format!(
            "{{ default: allow, rules: [{{ id: a, effect: {effect}, tools: [x], when: \"{when}\" }}],
               roles: {{ adm: {{ members: [{{ claims: {{ l: 5 }} }}], inherits: [low] }}, low: {{}},
                         plain: {{ members: [{{ ids: [x] }}] }}, eu: {{ members: [{{ groups: [g] }}] }} }},
               groups: {{ g: {{ members: [{{ any_of: [{{ claims: {{ u: a }} }}] }}] }}, h: {{}} }} }}"
        )
    };
    for when in [
        "identity.has_role('adm')",
        "'low' in identity.roles",
        "identity.has_role('eu')",
        "jwt.x || identity.in_group('g')",
    ] {
        finds(LintKind::InDoubt, "a", &policy(RuleEffect::Deny, when));
        assert_eq!(lints(&policy(RuleEffect::Require, when)), [], "{when}");
    }
    for when in ["identity.has_role('plain')", "identity.in_group('h')"] {
        assert_eq!(lints(&policy(RuleEffect::Deny, when)), [], "{when}");
    }
}
