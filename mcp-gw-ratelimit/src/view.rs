//! Which limits apply to whom, for people who ask.

use mcp_gw_core::Caller;
use serde::Serialize;

use crate::config::{
    AlgorithmConfig, LimitsConfig, MatchConfig, OtherConfig, Per, PeriodConfig, RuleConfig,
};
use crate::matcher::Matcher;
use crate::set::{CLASS, OTHER, PER_MINUTE, standard_rule};

/// One limit as it is for some calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LimitView {
    /// Its name.
    pub name: String,
    /// What it counts by, as in the configuration.
    pub per: &'static str,
    /// `sliding_window`, `gcra`, `calendar`, or `concurrent` for what is under way at once.
    pub algorithm: &'static str,
    /// Units; `None` where there is no limit.
    pub quota: Option<u64>,
    /// The window, such as `60s`, or `day` or `month`; `None` for what is under way at once.
    pub window: Option<String>,
    /// Units beyond an even rate.
    pub burst: u64,
    /// Refused calls count too.
    pub penalty: bool,
    /// To which calls it applies, such as `tools search_*; roles analyst`; empty for all. Of two views
    /// of one limit the first that applies counts.
    pub applies_to: String,
    /// Which override of the rule it is; `None` for what the rule itself says.
    #[serde(skip)]
    pub(crate) part: Option<usize>,
}

impl LimitsConfig {
    /// The limits as they are for `caller`, or for everybody: first those of rules, each with its
    /// overrides before it, then those on what is under way.
    pub fn view(&self, caller: Option<&Caller>) -> Vec<LimitView> {
        let mut views = Vec::new();
        if let Some(calls) = self.calls_per_minute {
            let rule = simple(PER_MINUTE, calls, OtherConfig::default().window);
            of_rule(&rule, caller, &mut views);
        }
        if self.classes.is_some() {
            let rule = standard_rule();
            debug_assert_eq!(rule.name, CLASS);
            of_rule(&rule, caller, &mut views);
        }
        for rule in &self.rules {
            of_rule(rule, caller, &mut views);
        }
        if !self.is_empty() {
            let rule = simple(OTHER, self.other.quota, self.other.window);
            of_rule(&rule, caller, &mut views);
        }
        for limit in &self.concurrent {
            if is_for(&limit.applies_to, caller) {
                views.push(LimitView {
                    name: limit.name.clone(),
                    per: limit.per.as_str(),
                    algorithm: "concurrent",
                    quota: Some(limit.max),
                    window: None,
                    burst: 0,
                    penalty: false,
                    applies_to: text(&[&limit.applies_to], caller),
                    part: None,
                });
            }
        }
        views
    }
}

fn simple(name: &str, quota: u64, window: mcp_gw_core::DurationText) -> RuleConfig {
    RuleConfig {
        name: name.to_owned(),
        quota,
        window: Some(window),
        ..RuleConfig::default()
    }
}

fn of_rule(rule: &RuleConfig, caller: Option<&Caller>, views: &mut Vec<LimitView>) {
    if !is_for(&rule.applies_to, caller) {
        return;
    }
    for (n, other) in rule.overrides.iter().enumerate() {
        let applies = &other.applies_to;
        if !is_for(applies, caller) {
            continue;
        }
        let applies_to = text(&[&rule.applies_to, applies], caller);
        let quota = other.quota.filter(|_| !other.unlimited);
        let burst = other.burst.unwrap_or(rule.burst);
        views.push(LimitView {
            part: Some(n),
            ..view(rule, quota, burst, applies_to)
        });
        // Nothing of this caller is left for what comes after.
        if caller.is_some() && applies.tools.is_empty() && applies.servers.is_empty() {
            return;
        }
    }
    let applies_to = text(&[&rule.applies_to], caller);
    views.push(view(rule, Some(rule.quota), rule.burst, applies_to));
}

fn view(rule: &RuleConfig, quota: Option<u64>, burst: u64, applies_to: String) -> LimitView {
    let (algorithm, window) = match (rule.period, rule.algorithm) {
        (Some(PeriodConfig::Day), _) => ("calendar", "day".to_owned()),
        (Some(PeriodConfig::Month), _) => ("calendar", "month".to_owned()),
        (None, algorithm) => {
            let name = match algorithm {
                AlgorithmConfig::SlidingWindow => "sliding_window",
                AlgorithmConfig::Gcra => "gcra",
            };
            (name, rule.window.unwrap_or_default().to_string())
        }
    };
    LimitView {
        name: rule.name.clone(),
        per: rule.per.as_str(),
        algorithm,
        quota,
        window: Some(window),
        burst: if quota.is_some() { burst } else { 0 },
        penalty: rule.penalty,
        applies_to,
        part: None,
    }
}

/// True when `applies` is about some calls of `caller`, or nobody is asked about.
fn is_for(applies: &MatchConfig, caller: Option<&Caller>) -> bool {
    caller.is_none_or(|caller| Matcher::new(applies).matches_caller(caller))
}

/// In words; what is known of the caller is left out.
pub(crate) fn text(applies: &[&MatchConfig], caller: Option<&Caller>) -> String {
    let mut parts = Vec::new();
    let mut part = |what: &str, items: Vec<String>| {
        if !items.is_empty() {
            parts.push(format!("{what} {}", items.join(", ")));
        }
    };
    for applies in applies {
        part("tools", applies.tools.clone());
        part("servers", applies.servers.clone());
        if caller.is_some() {
            continue;
        }
        let kinds = applies.kinds.iter().map(|kind| kind.get().as_str());
        part("kinds", kinds.map(str::to_owned).collect());
        let callers = applies.callers.iter().map(|one| one.id.clone());
        part("callers", callers.collect());
        part("roles", applies.roles.clone());
    }
    parts.join("; ")
}

impl std::fmt::Display for LimitView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.name)?;
        match (self.quota, &self.window) {
            (None, _) => f.write_str("no limit")?,
            (Some(quota), Some(window)) => write!(f, "{quota} per {window}")?,
            (Some(quota), None) => write!(f, "{quota} under way at once")?,
        }
        if self.quota.is_some() {
            if self.per == Per::Global.as_str() {
                f.write_str(" in all")?;
            } else {
                write!(f, " for each {}", self.per.replace('_', " "))?;
            }
            if self.algorithm == "gcra" {
                f.write_str(", evenly")?;
            }
            if self.burst > 0 {
                write!(f, ", bursts of {}", self.burst)?;
            }
            if self.penalty {
                f.write_str(", refused calls count")?;
            }
        }
        if self.applies_to.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.applies_to)
        }
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::CallerKind;
    use serde_json::json;

    use super::*;

    fn lines(caller: Option<&Caller>) -> Vec<String> {
        let config: LimitsConfig = serde_json::from_value(json!({
            "calls_per_minute": 60,
            "classes": "standard",
            "rules": [
                { "name": "search", "per": "caller_and_tool", "quota": 30, "window": "10s",
                  "algorithm": "gcra", "burst": 3, "for": { "tools": ["search_*"] },
                  "overrides": [
                      { "for": { "roles": ["analyst"], "tools": ["search_all"] }, "quota": 5 },
                      { "for": { "roles": ["analyst"] }, "quota": 300, "burst": 9 } ] },
                { "name": "bots", "quota": 9, "period": "month", "penalty": true,
                  "for": { "callers": [{ "id": "bot" }] } },
                { "name": "door", "per": "address", "quota": 7, "window": "1s" },
            ],
            "concurrent": [{ "name": "at-once", "per": "global", "max": 8 }],
        }))
        .unwrap();
        let views = config.view(caller);
        views.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn everybody_is_shown_with_all_exceptions() {
        assert_eq!(
            lines(None),
            [
                "calls_per_minute: 60 per 1m for each caller",
                "class: no limit (roles admin)",
                "class: 5000 per 1h for each caller (kinds api_key)",
                "class: 1000 per 1h for each caller",
                "search: 5 per 10s for each caller and tool, evenly, bursts of 3 \
                 (tools search_*; tools search_all; roles analyst)",
                "search: 300 per 10s for each caller and tool, evenly, bursts of 9 \
                 (tools search_*; roles analyst)",
                "search: 30 per 10s for each caller and tool, evenly, bursts of 3 (tools search_*)",
                "bots: 9 per month for each caller, refused calls count (callers bot)",
                "door: 7 per 1s for each address",
                "other: 6000 per 1m for each caller",
                "at-once: 8 under way at once in all",
            ]
        );
    }

    #[test]
    fn a_caller_is_shown_what_applies() {
        let bot = Caller::new(CallerKind::ApiKey, "bot").with_roles(["analyst"]);
        assert_eq!(
            lines(Some(&bot)),
            [
                "calls_per_minute: 60 per 1m for each caller",
                "class: 5000 per 1h for each caller",
                "search: 5 per 10s for each caller and tool, evenly, bursts of 3 \
                 (tools search_*; tools search_all)",
                "search: 300 per 10s for each caller and tool, evenly, bursts of 9 (tools search_*)",
                "bots: 9 per month for each caller, refused calls count",
                "door: 7 per 1s for each address",
                "other: 6000 per 1m for each caller",
                "at-once: 8 under way at once in all",
            ]
        );
        let admin = Caller::new(CallerKind::User, "ann").with_roles(["admin"]);
        let admin = lines(Some(&admin));
        assert!(admin.contains(&"class: no limit".to_owned()), "{admin:?}");
        assert!(admin.iter().all(|line| !line.starts_with("bots")));
        assert_eq!(LimitsConfig::default().view(None), []);
    }
}
