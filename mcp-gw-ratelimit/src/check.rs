//! What a configuration of limits must be like.

use std::collections::HashSet;
use std::time::Duration;

use mcp_gw_core::Glob;

use crate::algorithm::{Limit, LimitError, MAX_QUOTA, is_name};
use crate::config::{
    AlgorithmConfig, ConcurrentConfig, CostConfig, LimitsConfig, MatchConfig, OverrideConfig, Per,
    RuleConfig,
};
use crate::fault::{LimitFault, LimitPath};
use crate::reach;
use crate::set::Rule;

/// Longest window of a limit on addresses.
const LONGEST_STAY: Duration = Duration::from_secs(3_600);

/// Collects faults.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    faults: Vec<LimitFault>,
}

impl Checker {
    pub(crate) fn finish(self) -> Result<(), Vec<LimitFault>> {
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(self.faults)
    }

    /// What its part of the crate says of the shared store.
    #[cfg(feature = "redis")]
    pub(crate) fn redis(&mut self, config: Option<&crate::redis::RedisConfig>) {
        let faults = config.map(crate::redis::RedisConfig::faults);
        self.faults.extend(faults.unwrap_or_default());
    }

    fn fault(&mut self, path: LimitPath, message: impl Into<String>, help: impl Into<String>) {
        self.faults.push(LimitFault::new(path, message, help));
    }

    /// Names are short, can stand in a header, and are used once.
    pub(crate) fn names(&mut self, config: &LimitsConfig, reserved: &[&'static str]) {
        let root = LimitPath::root();
        let rules = config.rules.iter().enumerate();
        let rules = rules.map(|(n, rule)| (root.key("rules").index(n), &rule.name));
        let concurrent = config.concurrent.iter().enumerate();
        let concurrent =
            concurrent.map(|(n, limit)| (root.key("concurrent").index(n), &limit.name));
        let mut seen: HashSet<&str> = HashSet::new();
        for (path, name) in rules.chain(concurrent) {
            let path = path.key("name");
            if !is_name(name) {
                self.fault(
                    path,
                    "a limit needs a name of 1 to 64 letters, digits, `_`, `-` and `.`",
                    "it is shown to clients; `search-per-minute` would be one",
                );
            } else if reserved.contains(&name.as_str()) {
                self.fault(
                    path,
                    format!("`{name}` is the name of a limit that is made from another key"),
                    "choose another name",
                );
            } else if !seen.insert(name) {
                self.fault(
                    path,
                    format!("there are two limits of the name `{name}`"),
                    "give each its own: it tells them apart in errors and metrics",
                );
            }
        }
    }

    /// A limit, or the fault of its numbers, at the places of these.
    pub(crate) fn limit(
        &mut self,
        (quota, burst): (&LimitPath, &LimitPath),
        window: &LimitPath,
        limit: Result<Limit, LimitError>,
    ) -> Option<Limit> {
        let error = match limit {
            Ok(limit) => return Some(limit),
            Err(error) => error,
        };
        let text = error.to_string();
        let (message, help) = text.split_once("; ").unwrap_or((&text, "change it"));
        let path = match error {
            // Of all names [`Checker::names`] has told.
            LimitError::Name => return None,
            LimitError::ZeroQuota | LimitError::GreatQuota => quota,
            LimitError::GreatBurst => burst,
            LimitError::ShortWindow | LimitError::LongWindow => window,
        };
        self.fault(path.clone(), message, help);
        None
    }

    /// What is wrong with a quota and the burst that is admitted with it: that is their sum.
    pub(crate) fn sum(&mut self, burst: &LimitPath, numbers: (u64, u64)) -> Option<()> {
        let is_too_great = numbers.0.saturating_add(numbers.1) > MAX_QUOTA;
        // What is too great by itself is told of elsewhere.
        if is_too_great && numbers.0 <= MAX_QUOTA && numbers.1 <= MAX_QUOTA {
            let message = format!("the quota with its burst is above {MAX_QUOTA}");
            self.fault(burst.clone(), message, "make the burst a part of the quota");
            return None;
        }
        Some(())
    }

    /// What of a rule does not go together. `None` when no limit can be made of it.
    pub(crate) fn rule(&mut self, path: &LimitPath, rule: &RuleConfig) -> Option<()> {
        let before = self.faults.len();
        match (rule.window, rule.period) {
            (None, None) => self.fault(
                path.key("window"),
                "the limit does not say for how long its quota is",
                "write `window: 60s`, or `period: day`",
            ),
            (Some(_), Some(_)) => self.fault(
                path.key("period"),
                "the limit has a window and a period",
                "leave one of them out",
            ),
            _ => {}
        }
        if rule.quota == 0 {
            self.fault(
                path.key("quota"),
                "the limit has no quota, or one of 0, which would refuse everything",
                "write `quota: 60`; what nobody may call is denied in the policy",
            );
        }
        let is_bucket = rule.algorithm == AlgorithmConfig::Gcra;
        let bursts = rule.overrides.iter().filter_map(|other| other.burst);
        let has_burst = rule.burst > 0 || bursts.clone().any(|burst| burst > 0);
        if rule.period.is_some() && (is_bucket || has_burst) {
            self.fault(
                path.key("period"),
                "a quota by the calendar has no burst and no `algorithm`",
                "leave them out, or write a `window`",
            );
        } else if is_bucket && (rule.burst == 0 || bursts.clone().any(|burst| burst == 0)) {
            self.fault(
                path.key("burst"),
                "`gcra` has to be told how many units may come at once",
                "write `burst: 1` for none but evenly spaced calls, or more",
            );
        }
        let most = rule.burst.max(bursts.max().unwrap_or(0));
        if most > MAX_QUOTA {
            let message = format!("the burst is above {MAX_QUOTA}");
            self.fault(path.key("burst"), message, "make it a part of the quota");
        }
        if rule.per == Per::Address && !(rule.applies_to.is_empty() && rule.overrides.is_empty()) {
            self.fault(
                path.key("for"),
                "a limit on addresses applies before anything else is known of a request",
                "leave `for` and `overrides` out, or count `per: caller`",
            );
        }
        if rule.per == Per::Address {
            self.address(path, rule);
        }
        self.matching(&path.key("for"), &rule.applies_to);
        for (n, other) in rule.overrides.iter().enumerate() {
            let path = path.key("overrides").index(n);
            self.matching(&path.key("for"), &other.applies_to);
            if other.applies_to.is_empty() {
                self.fault(
                    path.key("for"),
                    "the override is for everybody",
                    "say for whom it is, or change the quota of the rule",
                );
            }
            if let Some(key) = reach::apart(&rule.applies_to, &other.applies_to) {
                self.fault(
                    path.key("for").key(key),
                    "this is never used: the rule itself is for others",
                    "name some of those that the rule is for, or make it a rule of its own",
                );
            }
            let earlier = rule.overrides.iter().take(n);
            let takes_all = |one: &OverrideConfig| {
                !one.applies_to.is_empty()
                    && reach::takes_all(&one.applies_to, &other.applies_to, &rule.applies_to)
            };
            if let Some(first) = earlier.into_iter().position(takes_all) {
                self.fault(
                    path.key("for"),
                    format!(
                        "this is never used: `overrides[{first}]` is for the same and comes first"
                    ),
                    "put the one for fewer calls first, or leave it out",
                );
            }
            if other.quota.is_some() == other.unlimited {
                self.fault(
                    path.key("quota"),
                    "an override says either a quota or `unlimited: true`",
                    "write one of them",
                );
            }
        }
        (self.faults.len() == before).then_some(())
    }

    /// Anybody may fill the room for addresses, so that what is counted there must not stay for long.
    fn address(&mut self, path: &LimitPath, rule: &RuleConfig) {
        let is_long = rule
            .window
            .is_some_and(|window| window.get() > LONGEST_STAY);
        if rule.period.is_some() || is_long {
            let key = if is_long { "window" } else { "period" };
            self.fault(
                path.key(key),
                "a limit on addresses is kept for an hour at most",
                "write `window: 1h` or less, or count `per: caller`",
            );
        }
    }

    pub(crate) fn concurrent(&mut self, path: &LimitPath, limit: &ConcurrentConfig) -> Option<()> {
        let before = self.faults.len();
        if limit.max == 0 || limit.max > MAX_QUOTA {
            self.fault(
                path.key("max"),
                format!("the limit must be from 1 to {MAX_QUOTA}"),
                "deny in the policy what nobody may call",
            );
        }
        if limit.per == Per::Address {
            self.fault(
                path.key("per"),
                "calls under way are not counted per address",
                "count `per: caller`, or all of them with `per: global`",
            );
        }
        self.matching(&path.key("for"), &limit.applies_to);
        (self.faults.len() == before).then_some(())
    }

    /// A call that costs more than a limit has would never be admitted.
    pub(crate) fn costs(&mut self, config: &LimitsConfig, rules: &[Rule]) {
        for (n, cost) in config.costs.iter().enumerate() {
            let path = LimitPath::root().key("costs").index(n);
            if cost.tools.is_empty() {
                self.fault(
                    path.key("tools"),
                    "no tools are named",
                    "name them; `*` means all",
                );
            }
            self.globs(&path.key("tools"), &cost.tools);
            let mut earlier = config.costs.iter().take(n);
            let takes_all =
                |one: &CostConfig| !one.tools.is_empty() && reach::covers(&one.tools, &cost.tools);
            if let Some(first) = earlier.position(takes_all) {
                self.fault(
                    path.key("tools"),
                    format!("this is never used: `costs[{first}]` is for the same and comes first"),
                    "put the one for fewer tools first, or leave it out",
                );
            }
            let Some(units) = cost.cost else {
                let help = "write `cost: 5`, or `cost: 0` for free";
                self.fault(path.key("cost"), "it does not say what a call costs", help);
                continue;
            };
            let is_general = |rule: &&Rule| rule.is_for_all();
            let small = rules.iter().filter(is_general);
            let small = small
                .map(|rule| (rule.plain_quotas().capacity(), &rule.name))
                .min();
            if let Some((capacity, name)) = small.filter(|(capacity, _)| *capacity < units) {
                self.fault(
                    path.key("cost"),
                    format!("a call for {units} would never fit into `{name}`"),
                    format!("make it at most {capacity}, or deny the tools in the policy"),
                );
            }
        }
    }

    pub(crate) fn keys(&mut self, key: &'static str, keys: Option<usize>) {
        if keys.is_some_and(|keys| keys == 0 || keys > 100_000_000) {
            self.fault(
                LimitPath::root().key(key),
                "there must be room for 1 to 100,000,000 keys",
                "each takes about 100 bytes; leave it out for a million",
            );
        }
    }

    fn matching(&mut self, path: &LimitPath, config: &MatchConfig) {
        self.globs(&path.key("tools"), &config.tools);
        self.globs(&path.key("servers"), &config.servers);
        self.texts(&path.key("roles"), &config.roles);
        for (n, caller) in config.callers.iter().enumerate() {
            if caller.id.is_empty() {
                let path = path.key("callers").index(n).key("id");
                self.fault(
                    path,
                    "the caller has no id",
                    "write the id of an API key, or a subject",
                );
            }
        }
    }

    fn globs(&mut self, path: &LimitPath, globs: &[String]) {
        self.texts(path, globs);
        for (n, glob) in globs.iter().enumerate() {
            if Glob::parse(glob).is_none() {
                self.fault(
                    path.index(n),
                    "the pattern ends in a backslash that escapes nothing",
                    "write two for a backslash",
                );
            }
        }
    }

    fn texts(&mut self, path: &LimitPath, texts: &[String]) {
        for (n, text) in texts.iter().enumerate() {
            if text.is_empty() {
                self.fault(
                    path.index(n),
                    "the name is empty",
                    "leave it out; `*` means all",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::config::LimitsConfig;
    use crate::set::LimitSet;

    /// The paths of faults, and how they begin.
    fn faults(limits: serde_json::Value) -> Vec<String> {
        let config: LimitsConfig = serde_json::from_value(limits).unwrap();
        let faults = LimitSet::new(&config).err().unwrap_or_default();
        let text = |fault: String| fault.split("; ").next().unwrap_or_default().to_owned();
        faults.iter().map(|fault| text(fault.to_string())).collect()
    }

    fn of_overrides(applies: &serde_json::Value, overrides: &[serde_json::Value]) -> Vec<String> {
        let with = |applies: &serde_json::Value| json!({ "for": applies, "quota": 5 });
        let overrides: Vec<_> = overrides.iter().map(with).collect();
        let rule = json!({
            "name": "r", "quota": 1, "window": "1s", "for": applies, "overrides": overrides,
        });
        faults(json!({ "rules": [rule] }))
    }

    #[test]
    fn overrides_that_can_never_be_used_are_faults() {
        let tools = |names: &[&str]| json!({ "tools": names });
        let none = <[&str; 0]>::default();
        for (applies, first, second, key) in [
            (tools(&["echo"]), None, tools(&["ping"]), Some("for.tools")),
            (tools(&["e*"]), None, tools(&["e*o", "p"]), None),
            (
                json!({ "kinds": ["user"] }),
                None,
                json!({ "kinds": ["api_key"] }),
                Some("for.kinds"),
            ),
            (
                json!({ "roles": ["a"] }),
                None,
                json!({ "roles": ["b"] }),
                None,
            ),
            (
                json!({ "callers": [{ "id": "a" }] }),
                None,
                json!({ "callers": [{ "id": "a", "issuer": "https://i" }] }),
                Some("for.callers"),
            ),
            (
                json!({}),
                Some(tools(&["*"])),
                tools(&["echo"]),
                Some("for"),
            ),
            (
                json!({}),
                Some(tools(&["e*"])),
                tools(&["echo", "e?"]),
                Some("for"),
            ),
            (
                json!({}),
                Some(tools(&["e*"])),
                tools(&["echo", "ping"]),
                None,
            ),
            (
                json!({}),
                Some(json!({ "roles": ["a", "b"] })),
                json!({ "roles": ["b"], "tools": ["x"] }),
                Some("for"),
            ),
            (
                json!({}),
                Some(json!({ "roles": ["b"], "tools": ["x"] })),
                json!({ "roles": ["b"] }),
                None,
            ),
            (
                tools(&["echo"]),
                Some(tools(&["e*"])),
                json!({ "roles": ["b"] }),
                Some("for"),
            ),
        ] {
            let overrides: Vec<_> = first.into_iter().chain([second]).collect();
            let found = of_overrides(&applies, &overrides);
            let last = overrides.len() - 1;
            match key {
                None => assert_eq!(found, none, "{applies} {overrides:?}"),
                Some(key) => assert!(
                    found.len() == 1
                        && found[0].starts_with(&format!(
                            "limits.rules[0].overrides[{last}].{key}: this is never used: "
                        )),
                    "{applies} {overrides:?}: {found:?}"
                ),
            }
        }
    }

    #[test]
    fn costs_that_can_never_be_used_are_faults() {
        let cost = |tools: &[&str]| json!({ "tools": tools, "cost": 2 });
        let of =
            |costs: &[serde_json::Value]| faults(json!({ "calls_per_minute": 9, "costs": costs }));
        let found = of(&[cost(&["*"]), cost(&["echo"])]);
        assert_eq!(
            found,
            [
                "limits.costs[1].tools: this is never used: `costs[0]` is for the same and comes first"
            ]
        );
        assert_eq!(of(&[cost(&["echo"]), cost(&["*"])]), <[&str; 0]>::default());
        assert_eq!(
            of(&[cost(&["e*"]), cost(&["echo", "p"])]),
            <[&str; 0]>::default()
        );
    }
}
