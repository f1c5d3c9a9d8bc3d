//! Measures the policy engine: `cargo run --release`, in this folder. README.md says how to read it.

mod rules;
mod time;
mod worst;

#[cfg(feature = "cedar")]
mod cedar;

use mcp_gw_core::{AccessRequest, Caller, CallerKind, Feature, Phase, RequestMeta, Transport};
use mcp_gw_policy::{PolicyConfig, PolicyEngine, lint};

use rules::Shape;
use time::{Row, once, repeated};

fn main() {
    println!("| what | rules | p50 | p99 | allocations | effect |");
    println!("|---|---|---|---|---|---|");
    for shape in Shape::ALL {
        for rules in [10, 1_000, 10_000] {
            decisions(shape, rules);
        }
    }
    for rules in [10, 1_000, 10_000] {
        list(rules);
    }
    for rules in [10, 1_000, 10_000] {
        for shape in [Shape::Mixed, Shape::Conditions] {
            load(shape, rules);
        }
    }
    worst::print();
    #[cfg(feature = "cedar")]
    for rules in [10, 100, 1_000, 10_000] {
        cedar::beside(rules);
    }
}

fn caller() -> Caller {
    Caller::new(CallerKind::ApiKey, "ann").with_roles(["role_1", "role_7"])
}

fn call<'a>(caller: &'a Caller, meta: &'a RequestMeta, name: &'a str) -> AccessRequest<'a> {
    AccessRequest::new(caller, meta, "tools/call", Feature::Tool, name)
}

fn decisions(shape: Shape, rules: usize) {
    let engine = PolicyEngine::compile(&shape.policy(rules)).expect("the policy is good");
    let (caller, meta) = (caller(), RequestMeta::new("1", Transport::Http));
    for name in shape.names(rules) {
        let request = call(&caller, &meta, &name);
        let effect = engine.decide_now(&request).effect().as_str();
        let timing = match shape {
            Shape::OpenConditions => once(1_000, || engine.decide_now(&request)),
            _ => repeated(|| engine.decide_now(&request)),
        };
        Row::new(&format!("{shape:?}: {name}"), rules, timing, effect).print();
    }
}

fn list(rules: usize) {
    let engine = PolicyEngine::compile(&Shape::Mixed.policy(rules)).expect("the policy is good");
    let (caller, meta) = (caller(), RequestMeta::new("1", Transport::Http));
    let names: Vec<String> = (0..1_000).map(|at| format!("tool_{at}")).collect();
    let requests: Vec<_> = names
        .iter()
        .map(|name| {
            let mut request = call(&caller, &meta, name);
            (request.method, request.phase) = ("tools/list", Phase::List);
            request
        })
        .collect();
    let timing = once(200, || engine.decide_all_now(&requests));
    Row::new("a list of 1,000 tools", rules, timing, "").print();
}

/// What comes before decisions: reading a file, putting it in force, looking it over.
fn load(shape: Shape, rules: usize) {
    let policy = shape.policy(rules);
    let text = policy.to_yaml();
    let timing = once(10, || {
        PolicyConfig::from_yaml(&text).expect("the policy is good")
    });
    Row::new(&format!("{shape:?}: read"), rules, timing, "").print();
    let engine = PolicyEngine::compile(&policy).expect("the policy is good");
    let timing = once(10, || engine.reload(&policy).expect("the policy is good"));
    Row::new(&format!("{shape:?}: reload"), rules, timing, "").print();
    let timing = once(10, || lint(&policy, None).expect("the policy is good"));
    Row::new(&format!("{shape:?}: lint"), rules, timing, "").print();
}
