//! What of a configuration works and is hardly meant: costs that never fit, and settings of nothing.

use crate::config::{AlgorithmConfig, LimitsConfig, MatchConfig, OtherConfig, Per, RuleConfig};
use crate::fault::{LimitFault, LimitPath};
use crate::reach::may_meet;
use crate::set::standard_rule;

impl LimitsConfig {
    /// Warnings about what works and is hardly meant, seen from the limits alone: calls that cost more
    /// than some limit ever admits at once, and settings that have no effect without a limit.
    pub fn doubts(&self) -> Vec<LimitFault> {
        let mut doubts = Vec::new();
        if self.is_empty() {
            self.of_nothing(&mut doubts);
        }
        let is_of_addresses = |rule: &RuleConfig| rule.per == Per::Address;
        if self.addresses.is_some() && !self.is_empty() && !self.rules.iter().any(is_of_addresses) {
            doubts.push(LimitFault::new(
                LimitPath::root().key("addresses"),
                "no limit counts addresses, so that this has no effect",
                "add a rule with `per: address`, or leave it out",
            ));
        }
        let classes = self.classes.map(|_| standard_rule());
        for (n, cost) in self.costs.iter().enumerate() {
            let Some(units) = cost.cost else { continue };
            let path = LimitPath::root().key("costs").index(n).key("cost");
            for rule in classes.iter().chain(&self.rules) {
                // What holds for all calls is a fault, and was found when the limits were made.
                let is_for_all = rule.applies_to.is_empty() && rule.overrides.is_empty();
                if rule.per == Per::Address || is_for_all {
                    continue;
                }
                doubts.extend(never_fits(&path, (&cost.tools, units), rule));
            }
        }
        doubts
    }

    fn of_nothing(&self, doubts: &mut Vec<LimitFault>) {
        let mut doubt = |key| {
            doubts.push(LimitFault::new(
                LimitPath::root().key(key),
                "there is no limit, so that this has no effect",
                "add `rules`, `calls_per_minute`, `classes` or `concurrent`, or leave it out",
            ));
        };
        let usual = OtherConfig::default();
        let other = &self.other;
        if (other.quota, other.window) != (usual.quota, usual.window) {
            doubt("other");
        }
        if !self.costs.is_empty() {
            doubt("costs");
        }
        if self.keys.is_some() {
            doubt("keys");
        }
        if self.addresses.is_some() {
            doubt("addresses");
        }
        #[cfg(feature = "redis")]
        if self.redis.is_some() {
            doubt("redis");
        }
    }
}

/// Each part of `rule` that the cost is too great for, if they may be about the same tools.
fn never_fits(
    path: &LimitPath,
    (tools, units): (&[String], u64),
    rule: &RuleConfig,
) -> Vec<LimitFault> {
    let applies = |other: &MatchConfig| {
        may_meet(tools, &rule.applies_to.tools) && may_meet(tools, &other.tools)
    };
    let overrides = rule.overrides.iter().enumerate();
    let overrides = overrides.filter(|(_, other)| applies(&other.applies_to));
    let overrides = overrides.filter_map(|(n, other)| {
        let quota = other.quota.filter(|_| !other.unlimited)?;
        let burst = other.burst.unwrap_or(rule.burst);
        Some((
            format!("overrides[{n}] of `{}`", rule.name),
            capacity(rule, quota, burst),
        ))
    });
    let own = (
        format!("`{}`", rule.name),
        capacity(rule, rule.quota, rule.burst),
    );
    let own = may_meet(tools, &rule.applies_to.tools).then_some(own);
    let small = own
        .into_iter()
        .chain(overrides)
        .filter(|(_, capacity)| *capacity < units);
    let doubt = |(name, capacity): (String, u64)| {
        LimitFault::new(
            path.clone(),
            format!("a call for {units} never fits into {name}, which admits {capacity} at once"),
            "where both apply such calls are always refused: make the cost less, or the quota or \
             burst greater",
        )
    };
    small.map(doubt).collect()
}

/// The most units that one call may cost.
fn capacity(rule: &RuleConfig, quota: u64, burst: u64) -> u64 {
    match (rule.period, rule.algorithm) {
        (Some(_), _) => quota,
        (None, AlgorithmConfig::Gcra) => burst,
        (None, AlgorithmConfig::SlidingWindow) => quota.saturating_add(burst),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn doubts(config: serde_json::Value) -> Vec<String> {
        let config: LimitsConfig = serde_json::from_value(config).unwrap();
        assert!(crate::LimitSet::new(&config).is_ok());
        config.doubts().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn costs_that_never_fit_are_told_of_wherever_they_may_apply() {
        let costs = json!([{ "tools": ["*ocr*"], "cost": 20 }, { "tools": ["free"], "cost": 0 }]);
        let of = |rule: serde_json::Value| doubts(json!({ "rules": [rule], "costs": costs }));
        let even = json!({
            "name": "even", "per": "server", "quota": 50, "window": "1s", "algorithm": "gcra",
            "burst": 10, "for": { "servers": ["docs"] },
        });
        assert_eq!(
            of(even),
            [
                "limits.costs[0].cost: a call for 20 never fits into `even`, which admits 10 at once; \
              where both apply such calls are always refused: make the cost less, or the quota or \
              burst greater"
            ]
        );
        let with = |overrides: serde_json::Value| json!({ "name": "r", "quota": 30, "window": "1s", "overrides": overrides });
        let small = of(with(json!([{ "for": { "roles": ["trial"] }, "quota": 5 }])));
        assert!(
            small.len() == 1 && small[0].contains("overrides[0] of `r`"),
            "{small:?}"
        );
        for fits in [
            with(json!([{ "for": { "roles": ["trial"] }, "unlimited": true }])),
            with(json!([{ "for": { "tools": ["search"] }, "quota": 5 }])),
            with(json!([{ "for": { "roles": ["trial"] }, "quota": 10, "burst": 10 }])),
            json!({ "name": "r", "quota": 5, "window": "1s", "for": { "tools": ["search"] } }),
        ] {
            assert_eq!(of(fits.clone()), <[&str; 0]>::default(), "{fits}");
        }
    }

    #[test]
    fn costs_beyond_a_class_are_told_of() {
        let costs =
            |cost| json!({ "classes": "standard", "costs": [{ "tools": ["*"], "cost": cost }] });
        let found = doubts(costs(2_000));
        assert!(
            found.len() == 1 && found[0].contains("never fits into `class`, which admits 1000"),
            "{found:?}"
        );
        assert_eq!(doubts(costs(6_000)).len(), 2, "nor into that of API keys");
        assert_eq!(doubts(costs(1_000)).len(), 0);
    }

    #[cfg(feature = "redis")]
    #[test]
    fn settings_of_nothing_are_told_of() {
        let found = doubts(json!({
            "other": { "quota": 5 }, "costs": [{ "tools": ["a"], "cost": 2 }],
            "keys": 5, "addresses": 5, "redis": { "url": "redis://localhost" },
        }));
        let keys: Vec<_> = found
            .iter()
            .filter_map(|one| one.split(": ").next())
            .collect();
        assert_eq!(
            keys,
            [
                "limits.other",
                "limits.costs",
                "limits.keys",
                "limits.addresses",
                "limits.redis"
            ]
        );
        let found = doubts(json!({ "calls_per_minute": 5, "addresses": 5 }));
        assert!(
            found.len() == 1 && found[0].starts_with("limits.addresses: no limit counts"),
            "{found:?}"
        );
        let door = json!([{ "name": "door", "per": "address", "quota": 5, "window": "1s" }]);
        let found = doubts(json!({ "rules": door, "addresses": 5 }));
        assert_eq!(found, <[&str; 0]>::default());
        assert_eq!(doubts(json!({})), <[&str; 0]>::default());
    }
}
