//! What the conditions of a policy may cost together.
//!
//! Each condition has steps of its own, which follow from its text alone, so that no rule takes away
//! from another one: not a rule in shadow, not one with another id, not one more. What a request can
//! cost is the sum of that over the rules that it can meet, which is known when the policy is loaded.
//! Where it is beyond the bound, each condition has its share of its own, and the policy is warned of.
//! Rules in shadow have a bound of their own.

use std::collections::HashMap;

use crate::fault::{FaultPath, PolicyFault};
use crate::rule::Rule;
use crate::set::{Layer, PolicySet};

/// Steps that all conditions in force may take for one request, and as many those in shadow.
pub(crate) const REQUEST_STEPS: u64 = 2_000_000;

/// Steps that a condition has, however many there are.
const LEAST_STEPS: u64 = 250;

/// Gives each rule the steps of its condition.
pub(super) fn share(set: &mut PolicySet) {
    for in_shadow in [false, true] {
        let weight = |rule: &Rule| rule.when.as_ref().map_or(0, |when| when.weight());
        let all = sum(set, in_shadow, weight);
        if all > REQUEST_STEPS {
            set.warnings.push(too_many(all, in_shadow));
            let layers = std::iter::once(&mut set.global)
                .chain(set.servers.values_mut())
                .chain(
                    set.consumers
                        .iter_mut()
                        .map(|consumers| &mut consumers.layer),
                );
            for layer in layers {
                let is_shadow = layer.is_shadow;
                let rules = layer.rules.iter_mut();
                for rule in rules.filter(|rule| (rule.is_shadow || is_shadow) == in_shadow) {
                    rule.steps = share_of(rule.steps, all);
                }
            }
        }
        set.steps = set
            .steps
            .saturating_add(sum(set, in_shadow, |rule| rule.steps));
    }
}

fn share_of(steps: u64, all: u64) -> u64 {
    let share = u128::from(steps) * u128::from(REQUEST_STEPS) / u128::from(all.max(1));
    let share = u64::try_from(share).unwrap_or(u64::MAX);
    share.max(LEAST_STEPS.min(steps))
}

/// What the warning of [`too_many`] begins with.
pub(crate) const TOO_MANY_STEPS: &str = "the conditions";

fn too_many(all: u64, in_shadow: bool) -> PolicyFault {
    let which = if in_shadow { " in shadow" } else { "" };
    let share = share_of(1_000_000, all) / 10_000;
    let message = format!(
        "{TOO_MANY_STEPS}{which} that one request can meet may take {all} steps together, more than \
         {REQUEST_STEPS}: each has {share} % of what it would have, so long arguments are an error earlier"
    );
    let help = "give rules the names of tools, or use fewer loops and searches in conditions; \
                comparing with a literal costs nothing";
    PolicyFault::new(FaultPath::root().key("rules"), message).with_help(help)
}

/// Steps of the rules that one request can meet at most.
fn sum(set: &PolicySet, in_shadow: bool, steps: impl Fn(&Rule) -> u64) -> u64 {
    let of = |layer: &Layer| of_layer(layer, in_shadow, &steps);
    let server = set.servers.values().map(of).max().unwrap_or_default();
    let consumers = set.consumers.iter().map(|consumers| of(&consumers.layer));
    let consumers = consumers.fold(0, u64::saturating_add);
    of(&set.global)
        .saturating_add(server)
        .saturating_add(consumers)
}

/// A request is about one name, or two where the one of the server or of the decoded URI is another: it
/// meets the rules that name them, and those with patterns.
fn of_layer(layer: &Layer, in_shadow: bool, steps: impl Fn(&Rule) -> u64) -> u64 {
    let (mut always, mut by_name) = (0_u64, HashMap::<&str, u64>::new());
    let rules = layer.rules.iter();
    for rule in rules.filter(|rule| (rule.is_shadow || layer.is_shadow) == in_shadow) {
        match literals(rule) {
            Some(mut names) => {
                names.sort_unstable();
                names.dedup();
                for name in names {
                    let sum = by_name.entry(name).or_default();
                    *sum = sum.saturating_add(steps(rule));
                }
            }
            None => always = always.saturating_add(steps(rule)),
        }
    }
    let named = by_name.into_values().max().unwrap_or_default();
    always.saturating_add(named.saturating_mul(2))
}

/// The names that a rule is about, when it names them all.
fn literals(rule: &Rule) -> Option<Vec<&str>> {
    let patterns = rule.targets.iter().flat_map(|target| &target.patterns);
    patterns.map(|pattern| pattern.as_literal()).collect()
}

#[cfg(test)]
mod tests {
    use crate::{PolicyConfig, PolicyEngine};

    fn warnings(rules: usize, when: &str, tools: impl Fn(usize) -> String) -> Vec<String> {
        let rules: Vec<serde_json::Value> = (0..rules)
            .map(|at| {
                serde_json::json!({
                    "id": format!("r{at}"), "effect": "allow", "tools": [tools(at)], "when": when,
                })
            })
            .collect();
        let config = serde_json::json!({ "rules": rules });
        let config: PolicyConfig = serde_json::from_value(config).unwrap();
        let warnings = PolicyEngine::compile(&config).unwrap().warnings();
        warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_policy_that_may_take_too_long_is_warned_of() {
        let any = |_| "*".to_owned();
        let heavy = "mcp.tool.arguments.a.exists(x, mcp.tool.arguments.a.exists(y, x == y + 'z'))";
        assert_eq!(warnings(20, heavy, any), Vec::<String>::new());
        let found = warnings(40, heavy, any);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("4000000 steps"), "{found:?}");
        assert!(found[0].contains("each has 50 %"), "{found:?}");
        // Only rules that one request can meet count.
        let by_name = warnings(400, heavy, |at| format!("tool_{at}"));
        assert_eq!(by_name, Vec::<String>::new());
        // Comparing with literals costs nothing.
        let cheap =
            "mcp.tool.arguments.a == 'x' && identity.has_role('r') && jwt.dept in ['a', 'b']";
        assert_eq!(warnings(2000, cheap, any), Vec::<String>::new());
        // No caller makes its own claims large.
        let vouched = "identity.roles.exists(r, r.startsWith('a')) || 'x' in jwt.list";
        assert_eq!(warnings(100, vouched, any), Vec::<String>::new());
    }
}
