//! Counters of an engine: plain atomics, read by [`crate::PolicyEngine::stats`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use mcp_gw_core::Effect;

use crate::config::{Mode, RuleEffect};
use crate::explain::Reason;
use crate::op::Op;

/// What a rule did. It goes on counting when the policy is reloaded and the rule keeps its id.
#[derive(Debug, Default)]
pub(crate) struct RuleCounters {
    pub(crate) hits: AtomicU64,
    pub(crate) errors: AtomicU64,
    /// When its error was last logged, in minutes since the engine began, plus one.
    logged: AtomicU64,
}

impl RuleCounters {
    /// True once in each minute.
    pub(crate) fn may_log(&self, minute: u64) -> bool {
        let now = minute.saturating_add(1);
        self.logged.swap(now, Relaxed) != now
    }
}

/// The upper bounds of the histogram of evaluation times.
pub(crate) const BOUNDS: [Duration; 12] = [
    Duration::from_nanos(250),
    Duration::from_nanos(500),
    Duration::from_micros(1),
    Duration::from_nanos(2_500),
    Duration::from_micros(5),
    Duration::from_micros(10),
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_millis(1),
    Duration::from_millis(10),
];

const MODES: [Mode; 2] = [Mode::Enforce, Mode::Shadow];
const EFFECTS: [Effect; 2] = [Effect::Allow, Effect::Deny];
/// Each operation, and what is none.
const OPS: usize = Op::COUNT + 1;
const CELLS: usize = OPS * MODES.len() * EFFECTS.len() * Reason::ALL.len();

/// What an engine did.
#[derive(Debug)]
pub(crate) struct Counters {
    decisions: Box<[AtomicU64]>,
    pub(crate) reloaded: AtomicU64,
    pub(crate) reload_failed: AtomicU64,
    times: [AtomicU64; BOUNDS.len() + 1],
    time_nanos: AtomicU64,
    asked: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            decisions: (0..CELLS).map(|_| AtomicU64::new(0)).collect(),
            reloaded: AtomicU64::new(0),
            reload_failed: AtomicU64::new(0),
            times: Default::default(),
            time_nanos: AtomicU64::new(0),
            asked: AtomicU64::new(0),
        }
    }
}

const fn cell(op: usize, mode: usize, effect: usize, reason: usize) -> usize {
    ((op * MODES.len() + mode) * EFFECTS.len() + effect) * Reason::ALL.len() + reason
}

impl Counters {
    pub(crate) fn count(&self, op: Option<Op>, mode: Mode, effect: Effect, reason: Reason) {
        let op = op.map_or(Op::COUNT, |op| op as usize);
        let at = cell(
            op,
            usize::from(mode == Mode::Shadow),
            usize::from(effect == Effect::Deny),
            reason as usize,
        );
        if let Some(counter) = self.decisions.get(at) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// True for one in [`SAMPLED`] decisions: reading the clock costs as much as deciding.
    pub(crate) fn is_sampled(&self) -> bool {
        self.asked.fetch_add(1, Relaxed) % SAMPLED == 0
    }

    pub(crate) fn time(&self, took: Duration) {
        let at = BOUNDS
            .iter()
            .position(|bound| took <= *bound)
            .unwrap_or(BOUNDS.len());
        if let Some(counter) = self.times.get(at) {
            counter.fetch_add(1, Relaxed);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.time_nanos.fetch_add(nanos, Relaxed);
    }

    pub(crate) fn snapshot(
        &self,
        rules: impl Iterator<Item = (Arc<str>, RuleEffect, Arc<RuleCounters>)>,
    ) -> PolicyStats {
        let mut decisions = Vec::new();
        for op in 0..OPS {
            for (m, mode) in MODES.into_iter().enumerate() {
                for (e, effect) in EFFECTS.into_iter().enumerate() {
                    for reason in Reason::ALL {
                        let at = cell(op, m, e, reason as usize);
                        let count = self.decisions.get(at).map_or(0, |cell| cell.load(Relaxed));
                        if count > 0 {
                            let op = Op::ALL.get(op);
                            decisions.push(DecisionCount {
                                method: op.map_or("other", |op| op.method().as_str()),
                                feature: op.map_or("other", |op| op.feature().as_str()),
                                effect,
                                mode,
                                reason,
                                count,
                            });
                        }
                    }
                }
            }
        }
        PolicyStats {
            decisions,
            rules: rules
                .map(|(id, effect, counters)| {
                    let count = RuleCount {
                        effect,
                        hits: counters.hits.load(Relaxed),
                        errors: counters.errors.load(Relaxed),
                    };
                    (id, count)
                })
                .collect(),
            reloaded: self.reloaded.load(Relaxed),
            reload_failed: self.reload_failed.load(Relaxed),
            eval_buckets: BOUNDS
                .iter()
                .map(|bound| Some(*bound))
                .chain([None])
                .zip(&self.times)
                .map(|(bound, counter)| (bound, counter.load(Relaxed)))
                .collect(),
            eval_sum: Duration::from_nanos(self.time_nanos.load(Relaxed)),
        }
    }
}

/// One in so many decisions is timed.
const SAMPLED: u64 = 64;

/// What an engine did so far, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyStats {
    /// Decisions by what they were about and how they came out; those that there were.
    pub decisions: Vec<DecisionCount>,
    /// What each rule of the present policy did, by its id.
    pub rules: BTreeMap<Arc<str>, RuleCount>,
    /// Policies that were put in place of another.
    pub reloaded: u64,
    /// Policies that were refused.
    pub reload_failed: u64,
    /// How long decisions took: the upper bound (`None`: more than all others) and how many were
    /// within it and not within the one before. One decision in 64 is timed; a list counts as one.
    pub eval_buckets: Vec<(Option<Duration>, u64)>,
    /// The time of those that were timed.
    pub eval_sum: Duration,
}

/// Decisions of one sort.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecisionCount {
    /// The method that rules name for it, such as `tools/call`; `other` for what rules are not about.
    pub method: &'static str,
    /// The feature, such as `tool`.
    pub feature: &'static str,
    /// How it came out.
    pub effect: Effect,
    /// [`Mode::Shadow`]: how it would have come out, where that differs.
    pub mode: Mode,
    /// What decided.
    pub reason: Reason,
    /// How many.
    pub count: u64,
}

/// What a rule did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleCount {
    /// The rule's effect.
    pub effect: RuleEffect,
    /// Decisions that it made, by itself or with others; of a rule in shadow, those that it would
    /// have made.
    pub hits: u64,
    /// Times that its condition could not be evaluated.
    pub errors: u64,
}
