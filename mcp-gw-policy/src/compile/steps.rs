//! What the conditions of a policy may cost together.
//!
//! Each condition has steps of its own, which follow from its text alone, so that no rule takes away
//! from another one: not a rule in shadow, not one with another id, not one more. What a request can
//! cost is the sum of that over the rules that it can meet: those of its layers that name what it is
//! about, and those with patterns. Where that is beyond the bound, each of them has its share of its own
//! steps in that request, and the policy is warned of when it is loaded. Rules in shadow have a bound of
//! their own.

use std::collections::HashMap;

use mcp_gw_core::{AccessRequest, Feature};

use crate::decide::Session;
use crate::fault::{FaultPath, PolicyFault};
use crate::op::{Op, Ops};
use crate::rule::Rule;
use crate::set::{Layer, PolicySet};
use crate::subject::Names;

/// Steps that all conditions in force may take for one request, and as many those in shadow.
pub(crate) const REQUEST_STEPS: u64 = 2_000_000;

/// Steps that a condition has, as long as all together have no more than [`REQUEST_STEPS`] by that.
const LEAST_STEPS: u64 = 250;

/// What conditions may cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Steps that a caller can make them take.
    by_caller: u64,
    /// Steps that they can take at all.
    ever: u64,
    /// How many count steps.
    conditions: u64,
}

/// What the conditions of a layer may cost: of the rules in force, and of those in shadow, about each
/// feature.
#[derive(Debug, Default)]
pub(crate) struct LayerCosts([[Side; FEATURES.len()]; 2]);

const FEATURES: [Feature; 4] = [
    Feature::Tool,
    Feature::Resource,
    Feature::ResourceTemplate,
    Feature::Prompt,
];

#[derive(Debug, Default)]
struct Side {
    /// Of rules with patterns, which a request about any name may meet.
    always: Cost,
    /// Of rules that name what they are about.
    named: HashMap<Box<str>, Cost>,
}

/// What the worst request can cost, in force and in shadow, where that is beyond the bound.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Worst([Option<Cost>; 2]);

/// What conditions have of their steps in one request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shares {
    worst: Worst,
    here: [Cost; 2],
}

impl Cost {
    const fn plus(self, other: Self) -> Self {
        Self {
            by_caller: self.by_caller.saturating_add(other.by_caller),
            ever: self.ever.saturating_add(other.ever),
            conditions: self.conditions.saturating_add(other.conditions),
        }
    }

    const fn twice(self) -> Self {
        self.plus(self)
    }

    fn of(rule: &Rule) -> Self {
        rule.when.as_ref().map_or_else(Self::default, |when| Self {
            by_caller: when.weight(),
            ever: rule.steps,
            conditions: u64::from(when.counts_steps()),
        })
    }

    /// What is left of the steps of one condition, when all together cost this.
    fn share(self, steps: u64) -> u64 {
        if self.by_caller <= REQUEST_STEPS {
            return steps;
        }
        let share = u128::from(steps) * u128::from(REQUEST_STEPS) / u128::from(self.by_caller);
        let share = u64::try_from(share).unwrap_or(u64::MAX);
        let least = LEAST_STEPS.min(REQUEST_STEPS / self.conditions.max(1));
        share.max(least.min(steps))
    }

    /// The steps that are taken at most, when each condition has its share.
    const fn shared(self) -> u64 {
        if self.by_caller <= REQUEST_STEPS {
            return self.ever;
        }
        // What callers have no hand in has no bound but that of each condition.
        let vouched = self.ever.saturating_sub(self.by_caller);
        let most = vouched.saturating_add(2 * REQUEST_STEPS);
        if most < self.ever { most } else { self.ever }
    }
}

impl LayerCosts {
    fn about(&self, in_shadow: bool, feature: Feature) -> Option<&Side> {
        let at = FEATURES.iter().position(|known| *known == feature)?;
        self.0.get(usize::from(in_shadow))?.get(at)
    }
}

impl Side {
    fn of(layer: &Layer, in_shadow: bool, feature: Feature) -> Self {
        let mut side = Self::default();
        let rules = layer.rules.iter();
        for rule in rules.filter(|rule| (rule.is_shadow || layer.is_shadow) == in_shadow) {
            let cost = Cost::of(rule);
            if cost.conditions == 0 {
                continue;
            }
            match literals(rule, feature) {
                Some(mut names) => {
                    names.sort_unstable();
                    names.dedup();
                    for name in names {
                        let sum = side.named.entry(name.into()).or_default();
                        *sum = sum.plus(cost);
                    }
                }
                None => side.always = side.always.plus(cost),
            }
        }
        side
    }

    /// What a request about these names may meet.
    fn about<'n>(&self, names: impl Iterator<Item = &'n str>) -> Cost {
        names
            .filter_map(|name| self.named.get(name))
            .fold(self.always, |sum, cost| sum.plus(*cost))
    }

    /// A request is about one name, or two where the one of the server or of the decoded URI is another.
    fn worst(&self) -> Cost {
        let named = self
            .named
            .values()
            .max_by_key(|cost| (cost.by_caller, cost.ever));
        self.always.plus(named.copied().unwrap_or_default().twice())
    }
}

impl Worst {
    fn is_over(&self, in_shadow: bool) -> bool {
        self.0
            .get(usize::from(in_shadow))
            .is_some_and(Option::is_some)
    }
}

impl Shares {
    /// The steps that a condition has which may take so many: in this request, or in any if what it says
    /// is for all of a list.
    pub(crate) fn of(&self, steps: u64, is_shadow: bool, is_for_all: bool) -> u64 {
        let side = usize::from(is_shadow);
        match self.worst.0.get(side) {
            Some(Some(worst)) if is_for_all => worst.share(steps),
            Some(Some(_)) => self.here.get(side).map_or(steps, |cost| cost.share(steps)),
            _ => steps,
        }
    }
}

impl PolicySet {
    /// What the conditions have that a request may meet.
    pub(crate) fn shares(
        &self,
        session: &Session<'_, '_>,
        request: &AccessRequest<'_>,
        names: &Names<'_>,
    ) -> Shares {
        let here = [false, true].map(|in_shadow| {
            if !self.worst.is_over(in_shadow) {
                return Cost::default();
            }
            let sum = session
                .layers(self, request.server)
                .filter_map(|layer| layer.costs.about(in_shadow, request.feature))
                .fold(Cost::default(), |sum, side| {
                    sum.plus(side.about(distinct(names)))
                });
            // What takes away is asked about both readings.
            if names.decoded.is_some() {
                sum.twice()
            } else {
                sum
            }
        });
        Shares {
            worst: self.worst,
            here,
        }
    }

    /// The steps that the conditions of this request may take at most.
    pub(crate) fn most_steps(&self, request: &AccessRequest<'_>) -> u64 {
        if matches!(
            request.feature,
            Feature::Resource | Feature::ResourceTemplate
        ) {
            // Its name is compared in another spelling.
            return self.steps;
        }
        let upstream = Some(request.upstream_name).filter(|name| *name != request.name);
        let names = || std::iter::once(request.name).chain(upstream);
        let of_side = |in_shadow| {
            let layers = std::iter::once(&self.global)
                .chain(self.servers.get(request.server))
                .chain(self.consumers.iter().map(|consumers| &consumers.layer));
            layers
                .filter_map(|layer| layer.costs.about(in_shadow, request.feature))
                .fold(Cost::default(), |sum, side| sum.plus(side.about(names())))
                .shared()
        };
        of_side(false).saturating_add(of_side(true))
    }
}

/// The names that rules are compared with, each once.
fn distinct<'n>(names: &'n Names<'_>) -> impl Iterator<Item = &'n str> {
    let (client, upstream) = (&*names.client, &*names.upstream);
    let decoded = names.decoded.as_ref();
    let others = [
        Some(upstream),
        decoded.map(|(client, _)| &**client),
        decoded.map(|(_, upstream)| &**upstream),
    ];
    let mut seen = vec![client];
    for name in others.into_iter().flatten() {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen.into_iter()
}

/// Works out what the conditions of each layer may cost, and warns where it is too much.
pub(super) fn count(set: &mut PolicySet) {
    let layers = std::iter::once(&mut set.global)
        .chain(set.servers.values_mut())
        .chain(
            set.consumers
                .iter_mut()
                .map(|consumers| &mut consumers.layer),
        );
    for layer in layers {
        let of = |in_shadow| FEATURES.map(|feature| Side::of(layer, in_shadow, feature));
        layer.costs = LayerCosts([of(false), of(true)]);
    }
    for in_shadow in [false, true] {
        let worst = worst(set, in_shadow);
        if worst.by_caller > REQUEST_STEPS {
            set.warnings.push(too_many(worst, in_shadow));
            if let Some(place) = set.worst.0.get_mut(usize::from(in_shadow)) {
                *place = Some(worst);
            }
        }
        set.steps = set.steps.saturating_add(worst.shared());
    }
}

/// What the worst request can cost.
fn worst(set: &PolicySet, in_shadow: bool) -> Cost {
    let about = |feature| {
        let of = |layer: &Layer| {
            let side = layer.costs.about(in_shadow, feature);
            side.map_or_else(Cost::default, Side::worst)
        };
        let server = largest(set.servers.values().map(of));
        let consumers = set.consumers.iter().map(|consumers| of(&consumers.layer));
        consumers.fold(of(&set.global).plus(server), Cost::plus)
    };
    largest(FEATURES.into_iter().map(about))
}

fn largest(costs: impl Iterator<Item = Cost>) -> Cost {
    costs
        .max_by_key(|cost| (cost.by_caller, cost.ever))
        .unwrap_or_default()
}

/// What the warning of [`too_many`] begins with.
pub(crate) const TOO_MANY_STEPS: &str = "the conditions";

fn too_many(worst: Cost, in_shadow: bool) -> PolicyFault {
    let which = if in_shadow { " in shadow" } else { "" };
    let share = worst.share(1_000_000) / 10_000;
    let all = worst.by_caller;
    let message = format!(
        "{TOO_MANY_STEPS}{which} that one request can meet may take {all} steps together, more than \
         {REQUEST_STEPS}: each has {share} % of what it would have, so long arguments are an error earlier"
    );
    let help = "give rules the names of tools, or use fewer loops and searches in conditions; \
                comparing with a literal costs nothing";
    PolicyFault::new(FaultPath::root().key("rules"), message).with_help(help)
}

/// The names of a feature that a rule is about, when it names them all; none when it is about others.
fn literals(rule: &Rule, feature: Feature) -> Option<Vec<&str>> {
    let is_about = |ops: Ops| {
        let mut of_feature = Op::ALL.iter().filter(|op| op.feature() == feature);
        of_feature.any(|op| ops.contains(*op))
    };
    let targets = rule.targets.iter().filter(|target| is_about(target.ops));
    let patterns = targets.flat_map(|target| &target.patterns);
    patterns.map(|pattern| pattern.as_literal()).collect()
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::{
        AccessRequest, Arguments, Caller, CallerKind, Feature, RawJson, RequestMeta, Transport,
    };

    use super::{Cost, LEAST_STEPS, REQUEST_STEPS};
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

    const A: &str = "mcp.tool.arguments.a";

    fn engine(rules: &[serde_json::Value], more: &serde_json::Value) -> PolicyEngine {
        let mut config = serde_json::json!({ "rules": rules });
        let members = config.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        PolicyEngine::compile(&serde_json::from_value(config).unwrap()).unwrap()
    }

    fn allows(engine: &PolicyEngine, server: &str) -> bool {
        let (ann, meta) = (
            Caller::new(CallerKind::ApiKey, "ann"),
            RequestMeta::new("1", Transport::Http),
        );
        let mut items = vec!["p".to_owned(); 400];
        items.push("q".to_owned());
        let arguments = serde_json::json!({ "a": items }).to_string();
        let arguments = Arguments::from_raw(RawJson::parse(arguments).unwrap()).unwrap();
        let mut request = AccessRequest::new(&ann, &meta, "tools/call", Feature::Tool, "order");
        request.arguments = Some(&arguments);
        request.server = server;
        engine.decide_now(&request).is_allowed()
    }

    #[test]
    fn rules_that_cannot_meet_leave_each_other_their_steps() {
        let base = serde_json::json!({
            "id": "base", "effect": "allow", "tools": ["order"], "when": format!("{A}.exists(x, x == 'q')"),
        });
        let heavy = |at: usize, about: serde_json::Value| {
            let when = format!("{A}.exists(x, {A}.exists(y, x == y + 'z'))");
            let mut rule =
                serde_json::json!({ "id": format!("h{at}"), "effect": "deny", "when": when });
            rule.as_object_mut()
                .unwrap()
                .extend(about.as_object().unwrap().clone());
            rule
        };
        let hundred = |about: serde_json::Value| -> Vec<serde_json::Value> {
            (0..100).map(|at| heavy(at, about.clone())).collect()
        };
        let with_base = |mut rules: Vec<serde_json::Value>| {
            rules.push(base.clone());
            rules
        };
        let none = serde_json::json!({});
        let tools = |name: &str| serde_json::json!({ "tools": [name] });
        assert!(allows(&engine(std::slice::from_ref(&base), &none), "docs"));
        let rules = with_base(hundred(tools("zz")));
        assert!(allows(&engine(&rules, &none), "docs"), "other tools");
        let rules = with_base(hundred(serde_json::json!({ "prompts": ["*"] })));
        assert!(allows(&engine(&rules, &none), "docs"), "other features");
        let hr = serde_json::json!({ "servers": { "hr": { "default": "allow", "rules": hundred(tools("any")) } } });
        let elsewhere = engine(std::slice::from_ref(&base), &hr);
        assert!(allows(&elsewhere, "docs"), "other servers");
        assert!(!allows(&elsewhere, "hr"), "they meet here");
        let guests = serde_json::json!({ "consumers": [{
            "name": "guests", "who": { "ids": ["gil"] }, "default": "allow", "rules": hundred(tools("any")),
        }] });
        assert!(
            allows(&engine(std::slice::from_ref(&base), &guests), "docs"),
            "other callers"
        );
        let rules = with_base(hundred(tools("any")));
        assert!(!allows(&engine(&rules, &none), "docs"), "they meet here");
    }

    #[test]
    fn what_conditions_have_at_least_is_bounded_together() {
        let cost = Cost {
            by_caller: u64::MAX,
            ever: u64::MAX,
            conditions: 100_000,
        };
        assert_eq!(cost.share(100_000), REQUEST_STEPS / 100_000);
        assert_eq!(
            Cost {
                conditions: 100,
                ..cost
            }
            .share(100_000),
            LEAST_STEPS
        );
        assert_eq!(
            Cost {
                conditions: 100,
                ..cost
            }
            .share(10),
            10
        );
    }
}
