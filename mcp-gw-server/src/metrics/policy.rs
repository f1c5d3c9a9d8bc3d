//! What the policy decided, and what its rules did.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcp_gw_core::{AuditEvent, Effect, Feature};
use mcp_gw_policy::{Mode, PolicyEngine, PolicyStats, Reason, RuleCount};

use super::MetricsSource;
use super::exposition::{Families, Spread};
use super::series::load;
use super::table::OTHER;

/// So many rules have series of their own; a policy may have far more.
const MAX_RULES: usize = 1000;

const FEATURES: [&str; 5] = [
    Feature::Tool.as_str(),
    Feature::Resource.as_str(),
    Feature::ResourceTemplate.as_str(),
    Feature::Prompt.as_str(),
    "",
];
const EFFECTS: [Effect; 2] = [Effect::Allow, Effect::Deny];
const MODES: [Mode; 2] = [Mode::Enforce, Mode::Shadow];
/// Those of the engine, none, and those of other policies.
const REASONS: usize = Reason::ALL.len() + 2;
const CELLS: usize = FEATURES.len() * EFFECTS.len() * MODES.len() * REASONS;

/// A counter for each way to decide. Made with the first decision: most methods have none.
#[derive(Debug, Default)]
pub(super) struct Decisions(OnceLock<Box<[AtomicU64]>>);

impl Decisions {
    /// Counts what the event says that the policy said, and would have said.
    pub(super) fn add(&self, event: &AuditEvent) {
        let Some(effect) = event.effect else {
            return;
        };
        let feature = event.feature.map_or("", Feature::as_str);
        self.count(
            feature,
            effect,
            Mode::Enforce,
            event.reason.unwrap_or_default(),
        );
        if let Some(shadow) = &event.shadow {
            self.count(feature, shadow.effect, Mode::Shadow, shadow.kind);
        }
    }

    fn count(&self, feature: &str, effect: Effect, mode: Mode, reason: &str) {
        let cells = self
            .0
            .get_or_init(|| (0..CELLS).map(|_| AtomicU64::new(0)).collect());
        let feature = FEATURES.iter().position(|known| *known == feature);
        let reason = (0..REASONS).find(|at| word(*at) == reason);
        let at = cell(
            feature.unwrap_or(FEATURES.len() - 1),
            usize::from(effect == Effect::Deny),
            usize::from(mode == Mode::Shadow),
            reason.unwrap_or(REASONS - 1),
        );
        if let Some(count) = cells.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those that happened, as labels `feature`, `effect`, `mode`, `reason`.
    pub(super) fn iter(&self) -> impl Iterator<Item = ([(&'static str, &'static str); 4], u64)> {
        let all = FEATURES.iter().enumerate().flat_map(|(f, feature)| {
            EFFECTS.iter().enumerate().flat_map(move |(e, effect)| {
                MODES.iter().enumerate().flat_map(move |(m, mode)| {
                    (0..REASONS).map(move |r| {
                        let labels = [
                            ("feature", *feature),
                            ("effect", effect.as_str()),
                            ("mode", mode.as_str()),
                            ("reason", word(r)),
                        ];
                        (labels, cell(f, e, m, r))
                    })
                })
            })
        });
        let counted = self.0.get();
        all.filter_map(move |(labels, at)| {
            let count = counted.and_then(|cells| cells.get(at)).map_or(0, load);
            (count > 0).then_some((labels, count))
        })
    }
}

/// The word of a reason, by its place.
fn word(at: usize) -> &'static str {
    match Reason::ALL.get(at) {
        Some(reason) => reason.as_str(),
        None if at == Reason::ALL.len() => "",
        None => OTHER,
    }
}

const fn cell(feature: usize, effect: usize, mode: usize, reason: usize) -> usize {
    ((feature * EFFECTS.len() + effect) * MODES.len() + mode) * REASONS + reason
}

/// What the engine counts itself: rules, their errors, the time it takes, and reloads.
impl MetricsSource for PolicyEngine {
    fn collect(&self, families: &mut Families) {
        let stats = self.stats();
        families
            .gauge(
                "mcp_gw_policy_info",
                "Always 1; the label says which policy is in force.",
            )
            .set(&[("version", &self.version().to_string())], 1.0);
        let mut reloads = families.counter(
            "mcp_gw_policy_reload_total",
            "Policies that were read while the gateway runs: those put in force, and those refused.",
        );
        reloads.add(&[("result", "ok")], stats.reloaded);
        reloads.add(&[("result", "failed")], stats.reload_failed);
        families
            .histogram(
                "mcp_gw_policy_eval_seconds",
                "How long decisions took: one in 64 is timed, and a list is one.",
            )
            .add(&[], spread(&stats));
        rules(&stats, families);
    }
}

fn rules(stats: &PolicyStats, families: &mut Families) {
    let mut hits = families.counter(
        "mcp_gw_policy_rule_hits_total",
        "Decisions that a rule made, or would have made were it in force.",
    );
    for (name, rule) in told_apart(stats) {
        hits.add(
            &[("rule", name), ("effect", rule.effect.as_str())],
            rule.hits,
        );
    }
    let mut errors = families.counter(
        "mcp_gw_policy_eval_errors_total",
        "Times that a rule could not be evaluated.",
    );
    for (name, rule) in told_apart(stats) {
        if rule.errors > 0 {
            errors.add(&[("rule", name)], rule.errors);
        }
    }
}

/// The rules under the name that their series have.
fn told_apart(stats: &PolicyStats) -> impl Iterator<Item = (&str, &RuleCount)> {
    let rules = stats.rules.iter().enumerate();
    rules.map(|(at, (id, rule))| (if at < MAX_RULES { &**id } else { OTHER }, rule))
}

fn spread(stats: &PolicyStats) -> Spread {
    let above = stats
        .eval_buckets
        .iter()
        .filter(|(bound, _)| bound.is_none());
    let above = above.map(|(_, count)| *count).sum();
    let buckets = stats.eval_buckets.iter();
    let buckets =
        buckets.filter_map(|(bound, count)| Some((bound.as_ref()?.as_secs_f64(), *count)));
    Spread::new(buckets, above, Duration::as_secs_f64(&stats.eval_sum))
}

#[cfg(test)]
mod tests {
    use mcp_gw_policy::PolicyConfig;

    use super::super::{Format, Metrics};
    use super::*;

    #[test]
    fn every_way_to_decide_has_a_counter_of_its_own() {
        let decisions = Decisions::default();
        for feature in FEATURES {
            for effect in EFFECTS {
                for mode in MODES {
                    for reason in (0..REASONS).map(word) {
                        decisions.count(feature, effect, mode, reason);
                    }
                }
            }
        }
        assert_eq!(decisions.iter().count(), CELLS);
        assert!(decisions.iter().all(|(_, count)| count == 1));
        decisions.count(
            "tool",
            Effect::Deny,
            Mode::Enforce,
            "a word of another policy",
        );
        let found = decisions.iter().find(|(_, count)| *count == 2).unwrap();
        assert!(found.0.contains(&("reason", OTHER)), "{found:?}");
    }

    #[test]
    fn any_number_of_rules_makes_a_bounded_number_of_series() {
        let rules: Vec<_> = (0..MAX_RULES + 50)
            .map(|at| format!("- {{ id: r{at:05}, effect: allow, tools: [t{at}] }}"))
            .collect();
        let rules = rules.join("\n");
        let policy = PolicyConfig::from_yaml(&format!("rules:\n{rules}")).unwrap();
        let metrics = Metrics::new();
        let _kept = metrics.register(PolicyEngine::compile(&policy).unwrap());
        let text = metrics.render(Format::Prometheus);
        let series = text
            .lines()
            .filter(|line| line.starts_with("mcp_gw_policy_rule_hits_total{"));
        assert_eq!(series.count(), MAX_RULES + 1);
    }
}
