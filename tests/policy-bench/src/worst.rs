//! What the conditions of one request can cost at most: expressions that take their steps in as many ways
//! as there are, all the rules that a request may meet, and the largest arguments that conditions read.

use mcp_gw_core::{AccessRequest, Arguments, Feature, RawJson, RequestMeta, Transport};
use mcp_gw_policy::{NamePattern, PolicyConfig, PolicyEngine, RuleConfig, RuleEffect};

use crate::time::{Row, once};

/// What an expression does with its steps, the expression, and the arguments that make it do most of it.
fn forms() -> Vec<(&'static str, String, String)> {
    let list = |count: usize, length: usize| {
        let items: Vec<String> = (0..count).map(|at| format!("\"{at:0>length$}\"")).collect();
        format!("{{\"a\":[{}]}}", items.join(","))
    };
    let numbers = |count: usize| {
        let items: Vec<String> = (0..count).map(|at| at.to_string()).collect();
        format!("{{\"a\":[{}]}}", items.join(","))
    };
    let text = |unit: &str, bytes: usize| {
        format!(
            "{{\"s\":\"{}\",\"a\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]}}",
            unit.repeat(bytes / unit.len())
        )
    };
    let a = "mcp.tool.arguments.a";
    let s = "mcp.tool.arguments.s";
    vec![
        (
            "loops in loops, numbers",
            format!("{a}.exists(x, {a}.exists(y, x + y == -1))"),
            numbers(900),
        ),
        (
            "loops in loops, texts",
            format!("{a}.exists(x, {a}.exists(y, x == y + 'z'))"),
            list(150, 8),
        ),
        (
            "loops that copy",
            format!("{a}.exists(x, size({s} + {s}) == 1)"),
            text("a", 30_000),
        ),
        (
            "lists that grow",
            format!("size({a}.map(x, {a})) == 1"),
            numbers(900),
        ),
        (
            "maps that are made",
            format!("{a}.exists(x, {{'k': x, 'l': x}} == {{'k': 1}})"),
            numbers(900),
        ),
        (
            "a regex that thrashes",
            format!("{s}.matches('[01]*1[01]{{50}}2')"),
            text("0110", 60_000),
        ),
        (
            "a regex in a loop",
            format!("{a}.exists(x, {s}.matches('(a|b|ab)*c'))"),
            text("ab", 60_000),
        ),
        (
            "a regex over other than ASCII",
            format!("{s}.matches('(?i)(\\\\pL+x)+y')"),
            text("äöü", 60_000),
        ),
        (
            "a glob in a loop",
            format!("{a}.exists(x, {s}.glob('*a*b*c*d'))"),
            text("abc", 60_000),
        ),
        (
            "splitting",
            format!("size({s}.split(',')) == 1"),
            text(",", 60_000),
        ),
        (
            "characters",
            format!("{a}.exists(x, {s}.charAt(29000) == 'x')"),
            text("ä", 60_000),
        ),
        (
            "case",
            format!("{a}.exists(x, {s}.lowerAscii() == 'x')"),
            text("A", 60_000),
        ),
        (
            "searching",
            format!("{a}.exists(x, {s}.contains('aaaaaaaaaaaaaaab'))"),
            text("a", 60_000),
        ),
        (
            "conversions",
            format!("{a}.exists(x, int(x) == -1)"),
            list(900, 8),
        ),
        (
            "in a list",
            format!("{a}.exists(x, 'q' in {a})"),
            list(900, 8),
        ),
    ]
}

pub fn print() {
    let caller = crate::caller();
    let meta = RequestMeta::new("1", Transport::Http);
    for (what, when, arguments) in forms() {
        for rules in [1, 200] {
            let policy = (0..rules).fold(PolicyConfig::default(), |policy, at| {
                let rule = RuleConfig::new(format!("rule-{at}"), RuleEffect::Allow);
                let rule = rule.with_tools([NamePattern::Any]).with_when(when.clone());
                policy.with_rule(rule)
            });
            let engine = PolicyEngine::compile(&policy).expect("the policy is good");
            let arguments = RawJson::parse(arguments.clone()).expect("arguments are JSON");
            let arguments = Arguments::from_raw(arguments).expect("arguments are an object");
            let mut request = AccessRequest::new(&caller, &meta, "tools/call", Feature::Tool, "t");
            request.arguments = Some(&arguments);
            let decision = engine.decide_now(&request);
            let effect = if decision.errors().is_empty() {
                "evaluated"
            } else {
                "out of steps"
            };
            let timing = once(20, || engine.decide_now(&request));
            Row::new(&format!("most: {what}"), rules, timing, effect).print();
        }
    }
}
