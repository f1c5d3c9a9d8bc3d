//! The promises, held against a log of what was admitted when.

use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;
use crate::algorithm::{Algorithm, Period};

/// One key of one limit, and what was admitted.
struct Trace {
    limit: Limit,
    state: State,
    log: Vec<(u64, u64)>,
}

impl Trace {
    fn new(limit: Limit) -> Self {
        Self {
            limit,
            state: State::default(),
            log: Vec::new(),
        }
    }

    fn ask(&mut self, now: u64, cost: u64) -> Standing {
        let (state, standing) = check_at(self.state.clone(), now, &self.limit, cost);
        self.state = state;
        if standing.admitted {
            self.log.push((now, cost));
        }
        standing
    }

    fn total(&self) -> u64 {
        self.log.iter().map(|(_, cost)| cost).sum()
    }

    /// The most that was admitted in any window.
    fn most(&self) -> u64 {
        let window = self.limit.window_micros();
        let within = |start| {
            let inside = move |at: u64| at >= start && at - start < window;
            let log = self.log.iter().filter(move |(at, _)| inside(*at));
            log.map(|(_, cost)| cost).sum::<u64>()
        };
        // A window that holds the most can begin with something admitted.
        self.log
            .iter()
            .map(|(at, _)| within(*at))
            .max()
            .unwrap_or(0)
    }
}

fn sliding(quota: u64, window: u64) -> Limit {
    let window = Duration::from_micros(window);
    Limit::new("l", quota, window, Algorithm::SlidingWindow).unwrap()
}

fn gcra(quota: u64, window: u64, burst: u64) -> Limit {
    let algorithm = Algorithm::gcra(NonZeroU64::new(burst).unwrap());
    Limit::new("l", quota, Duration::from_micros(window), algorithm).unwrap()
}

fn calendar(quota: u64, period: Period) -> Limit {
    Limit::new("l", quota, Duration::ZERO, Algorithm::Calendar(period)).unwrap()
}

const DAY: u64 = 86_400_000_000;
const START: u64 = 1_785_231_000_000_000;

/// Exact and divided windows, short and long, and buckets.
fn limits() -> impl Strategy<Value = Limit> {
    let window = prop_oneof![1_000_u64..5_000, 1_000_000_u64..100_000_000, DAY..366 * DAY];
    let quota = prop_oneof![1_u64..6, 250_u64..262, 300_u64..320];
    prop_oneof![
        (quota, window.clone()).prop_map(|(quota, window)| sliding(quota, window)),
        (1_u64..40, window, 1_u64..12)
            .prop_map(|(quota, window, burst)| gcra(quota, window, burst)),
    ]
}

/// Steps of time in thousandths of a window, and costs.
fn steps() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let step = prop_oneof![3 => Just(0_u64), 3 => 0_u64..20, 2 => 0_u64..400, 1 => 0_u64..2_500];
    let cost = prop_oneof![4 => Just(1_u64), 1 => 0_u64..60];
    proptest::collection::vec((step, cost), 0..120)
}

fn times(limit: &Limit, steps: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut now = START;
    let window = limit.window_micros();
    let walk = steps.iter().map(|(step, cost)| {
        now += step * window / 1_000;
        (now, *cost)
    });
    walk.collect()
}

proptest! {
    #[test]
    fn no_window_holds_more_than_is_promised(limit in limits(), steps in steps(), penalty: bool) {
        let mut trace = Trace::new(limit.with_penalty(penalty));
        for (now, cost) in times(&trace.limit.clone(), &steps) {
            trace.ask(now, cost);
        }
        let bound = match trace.limit.algorithm() {
            Algorithm::SlidingWindow => trace.limit.quota(),
            _ => trace.limit.quota() + trace.limit.capacity() - 1,
        };
        prop_assert!(trace.most() <= bound, "{} > {bound}", trace.most());
    }

    #[test]
    fn a_refusal_says_exactly_when_it_ends(limit in limits(), steps in steps(), penalty: bool) {
        let mut trace = Trace::new(limit.with_penalty(penalty));
        for (now, cost) in times(&trace.limit.clone(), &steps) {
            let standing = trace.ask(now, cost);
            if standing.admitted {
                prop_assert_eq!(standing.retry_after, None);
                continue;
            }
            let Some(retry) = standing.retry_after else {
                prop_assert!(cost > trace.limit.capacity());
                continue;
            };
            let retry = micros(retry);
            prop_assert!(retry > 0 && retry <= micros(standing.reset));
            let at = |now| check_at(trace.state.clone(), now, &trace.limit, cost).1.admitted;
            prop_assert!(at(now + retry));
            prop_assert!(!at(now + retry - 1));
        }
    }

    #[test]
    fn what_remains_is_what_would_be_admitted_now(limit in limits(), steps in steps()) {
        let mut trace = Trace::new(limit);
        for (now, cost) in times(&trace.limit.clone(), &steps) {
            let before = trace.ask(now, 0).remaining;
            let standing = trace.ask(now, cost);
            prop_assert_eq!(standing.admitted, cost <= before);
            prop_assert_eq!(standing.remaining, if cost <= before { before - cost } else { before });
            let mut state = trace.state.clone();
            let mut more = 0;
            loop {
                let (next, standing) = check_at(state, now, &trace.limit, 1);
                if !standing.admitted {
                    break;
                }
                (state, more) = (next, more + 1);
            }
            prop_assert_eq!(standing.remaining, more);
            // And everything is there after the reset.
            let later = now + micros(standing.reset);
            let (_, whole) = check_at(trace.state.clone(), later, &trace.limit, 0);
            prop_assert_eq!(whole.remaining, trace.limit.capacity());
        }
    }

    #[test]
    fn a_refusal_changes_nothing(limit in limits(), steps in steps()) {
        let (mut with, mut without) = (Trace::new(limit.clone()), Trace::new(limit.clone()));
        for (now, cost) in times(&limit, &steps) {
            let standing = with.ask(now, cost);
            if standing.admitted {
                prop_assert_eq!(without.ask(now, cost), standing);
            }
        }
    }

    #[test]
    fn after_two_idle_windows_all_is_forgotten(limit in limits(), steps in steps()) {
        let mut trace = Trace::new(limit);
        let times = times(&trace.limit.clone(), &steps);
        for (now, cost) in &times {
            trace.ask(*now, *cost);
        }
        let later = times.last().map_or(START, |last| last.0) + 2 * trace.limit.window_micros();
        // A bucket may take longer than its window to fill.
        let later = later.max(trace.state.until());
        let all = trace.limit.capacity();
        prop_assert!(trace.ask(later, all).admitted);
    }

    /// A log of the times is the definition; the exact window decides like it to the microsecond.
    #[test]
    fn an_exact_window_decides_as_a_log_does(
        quota in 1_u64..8, window in 1_000_u64..1_000_000_000, steps in steps(),
    ) {
        let limit = sliding(quota, window);
        let mut trace = Trace::new(limit.clone());
        for (now, cost) in times(&limit, &steps) {
            let counts = |at: u64| now - at < window;
            let used: u64 = trace.log.iter().filter(|(at, _)| counts(*at)).map(|(_, c)| c).sum();
            prop_assert_eq!(trace.ask(now, cost).admitted, used + cost <= quota);
        }
    }

    /// The same for buckets, with the parts of units counted in a wide integer.
    #[test]
    fn a_bucket_decides_as_exact_fractions_do(
        quota in 1_u64..5_000, window in 1_000_u64..100_000_000, burst in 1_u64..50, steps in steps(),
    ) {
        let limit = gcra(quota, window, burst);
        let (quota, window) = (i128::from(quota), i128::from(window));
        // In parts of a microsecond, each the quota's part of one.
        let depth = i128::from(burst) * window;
        let mut full = i128::MIN;
        let mut trace = Trace::new(limit.clone());
        for (now, cost) in times(&limit, &steps) {
            let at = i128::from(now) * quota;
            let next = full.max(at) + i128::from(cost) * window;
            let fits = next - at <= depth;
            let standing = trace.ask(now, cost);
            prop_assert_eq!(standing.admitted, fits);
            if fits {
                full = next;
            }
            let left = (depth - (full.max(at) - at)) / window;
            prop_assert_eq!(i128::from(standing.remaining), left);
        }
    }

    #[test]
    fn a_greater_quota_never_admits_less(
        quota in 1_u64..20, more in 1_u64..20, window in 1_000_u64..100_000, steps in steps(),
    ) {
        let (mut small, mut great) =
            (Trace::new(sliding(quota, window)), Trace::new(sliding(quota + more, window)));
        for (now, _) in times(&small.limit.clone(), &steps) {
            small.ask(now, 1);
            great.ask(now, 1);
        }
        prop_assert!(small.total() <= great.total());
    }

    #[test]
    fn evenly_spaced_calls_are_never_refused(
        quota in 1_u64..400, window in 60_000_u64..10_000_000, burst in 1_u64..4,
    ) {
        let mut bucket = Trace::new(gcra(quota, window, burst));
        let mut exact = Trace::new(sliding(quota.min(256), window));
        let mut parts = Trace::new(sliding(quota + 256, window));
        // Longer by a part, and a microsecond where the window has no whole parts.
        let longer = (window + window.div_ceil(60) + 61).div_ceil(quota + 256);
        for call in 0..3 * quota {
            prop_assert!(bucket.ask(START + call * window.div_ceil(quota), 1).admitted);
            prop_assert!(exact.ask(START + call * window.div_ceil(quota.min(256)), 1).admitted);
            prop_assert!(parts.ask(START + call * longer, 1).admitted);
        }
    }

    /// Whoever always tries gets the quota in each window and one part of it more.
    #[test]
    fn a_divided_window_gives_its_quota(quota in 257_u64..2_000, window in 60_000_u64..1_000_000) {
        let mut trace = Trace::new(sliding(quota, window));
        let round = window + window.div_ceil(60) + 61;
        for step in 0..1_000 {
            trace.ask(START + step * round / 200, quota / 20);
        }
        let least = 4 * (quota - quota / 20);
        prop_assert!(trace.total() >= least, "{} < {least}", trace.total());
    }

    #[test]
    fn time_that_goes_back_grants_nothing(
        limit in limits(), steps in steps(), back in proptest::collection::vec(0_u64..3_000, 120),
    ) {
        let mut trace = Trace::new(limit);
        let window = trace.limit.window_micros();
        let (mut latest, mut log) = (0, Vec::new());
        for ((now, cost), back) in times(&trace.limit.clone(), &steps).into_iter().zip(back) {
            let now = if back < 1_000 { now - back * window / 1_000 } else { now };
            // What is asked early counts as if it had come at the latest time of before.
            if trace.ask(now, cost).admitted && cost > 0 {
                latest = now.max(latest);
                log.push((latest, cost));
            }
        }
        let bound = match trace.limit.algorithm() {
            Algorithm::SlidingWindow => trace.limit.quota(),
            _ => trace.limit.quota() + trace.limit.capacity() - 1,
        };
        trace.log = log;
        prop_assert!(trace.most() <= bound);
    }

    /// A lower quota holds at once, and a greater one does not forgive what was used.
    #[test]
    fn a_change_of_the_quota_keeps_what_was_used(
        window in 1_000_u64..10_000_000, quotas in proptest::collection::vec(1_u64..600, 1..6),
        steps in steps(),
    ) {
        let mut trace = Trace::new(sliding(600, window));
        let times = times(&trace.limit.clone(), &steps);
        for (n, (now, cost)) in times.into_iter().enumerate() {
            let quota = quotas[n * quotas.len() / 120];
            trace.limit = sliding(quota, window);
            let used: u64 = trace.log.iter().filter(|(at, _)| now - at < window).map(|(_, c)| c).sum();
            let standing = trace.ask(now, cost);
            prop_assert!(!standing.admitted || cost == 0 || used + cost <= quota);
            prop_assert!(standing.remaining <= quota.saturating_sub(used));
            if let Some(retry) = standing.retry_after {
                let at = |now| check_at(trace.state.clone(), now, &trace.limit, cost).1.admitted;
                prop_assert!(at(now + micros(retry)) && !at(now + micros(retry) - 1));
            }
        }
    }

    #[test]
    fn a_bucket_whose_quota_changes_forgives_nothing(
        quotas in proptest::collection::vec(1_u64..600, 2), burst in 1_u64..9,
    ) {
        let (first, second) = (gcra(quotas[0], 1_000_000, burst), gcra(quotas[1], 1_000_000, burst));
        let (state, _) = check_at(State::default(), START, &first, burst);
        let (_, standing) = check_at(state.clone(), START, &second, burst);
        if quotas[1] >= quotas[0] {
            prop_assert!(!standing.admitted);
        }
        let (_, same) = check_at(state, START + micros(standing.reset), &second, burst);
        prop_assert!(same.admitted);
    }

    /// What counts attempts admits exactly when there were too few of them in the window.
    #[test]
    fn with_a_penalty_attempts_count(quota in 1_u64..8, window in 1_000_u64..1_000_000, steps in steps()) {
        let limit = sliding(quota, window).with_penalty(true);
        let mut trace = Trace::new(limit.clone());
        let mut attempts = Vec::new();
        for (now, _) in times(&limit, &steps) {
            let counted = attempts.iter().filter(|at| now - **at < window).count() as u64;
            attempts.push(now);
            prop_assert_eq!(trace.ask(now, 1).admitted, counted < quota);
        }
    }

    #[test]
    fn the_state_is_small(limit in limits(), steps in steps(), penalty: bool) {
        let mut trace = Trace::new(limit.with_penalty(penalty));
        for (now, cost) in times(&trace.limit.clone(), &steps) {
            trace.ask(now, cost);
            prop_assert!(trace.state.heap() <= 2_200, "{}", trace.state.heap());
        }
        prop_assert_eq!(size_of::<State>(), 48);
    }

    #[test]
    fn a_period_holds_its_quota(
        quota in 1_u64..20, penalty: bool,
        steps in proptest::collection::vec((0_u64..40, 1_u64..4), 1..200),
    ) {
        for period in [Period::Day, Period::Month] {
            let mut trace = Trace::new(calendar(quota, period).with_penalty(penalty));
            let mut now = START;
            for (hours, cost) in &steps {
                now += hours * 3_600_000_000;
                let standing = trace.ask(now, *cost);
                let end = period_end(period, now);
                // The calendar is asked again by its definition: whose period ends with this one?
                let same = |at: u64| period_end(period, at) == end;
                let used: u64 = trace.log.iter().filter(|(at, _)| same(*at)).map(|(_, c)| c).sum();
                prop_assert!(used <= quota);
                if let Some(retry) = standing.retry_after {
                    prop_assert_eq!(now + micros(retry), end);
                    prop_assert!(check_at(trace.state.clone(), end, &trace.limit, *cost).1.admitted);
                }
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    crate::algorithm::micros(duration)
}

#[test]
fn the_window_of_the_fact_sheet_is_kept() {
    for quota in [100, 1_000] {
        let mut trace = Trace::new(sliding(quota, 60_000_000));
        // All at the end of one minute, and again at the begin of the next.
        for now in [START + 59_999_999, START + 60_000_000, START + 119_999_998] {
            for _ in 0..2 * quota {
                trace.ask(now, 1);
            }
        }
        assert_eq!(trace.total(), quota);
    }
    let mut trace = Trace::new(gcra(100, 60_000_000, 10));
    for now in 0..60_000 {
        trace.ask(START + now * 1_000, 1);
    }
    assert_eq!(trace.most(), 109);
}

#[test]
fn a_period_does_not_end_when_the_clock_goes_back() {
    let limit = calendar(1, Period::Day);
    let midnight = START / DAY * DAY + DAY;
    let (state, first) = check_at(State::default(), midnight + 1, &limit, 1);
    let (_, second) = check_at(state, midnight - 1, &limit, 1);
    assert!(first.admitted && !second.admitted);
    assert_eq!(second.retry_after, Some(Duration::from_micros(DAY + 1)));
}

#[test]
fn a_bucket_that_counts_attempts_stays_empty_as_long_as_they_come() {
    let limit = gcra(10, 1_000_000, 2).with_penalty(true);
    let mut trace = Trace::new(limit);
    for step in 0..100 {
        trace.ask(START + step * 50_000, 1);
    }
    assert_eq!(
        trace.total(),
        2 + 1,
        "two at first, and what came back until the first refusal"
    );
    assert!(trace.ask(START + 99 * 50_000 + 100_000, 1).admitted);
}

proptest! {
    /// Nothing that may be passed is too great, also after the quota was lowered.
    #[test]
    fn the_greatest_numbers_are_answered(
        before in limits(),
        limit in limits(),
        costs in proptest::collection::vec(prop_oneof![0..4_u64, Just(u64::MAX), any::<u64>()], 1..8),
        nows in proptest::collection::vec(prop_oneof![Just(u64::MAX), any::<u64>()], 1..8),
        penalty: bool,
    ) {
        let mut state = State::default();
        for (n, (cost, now)) in costs.into_iter().zip(nows).enumerate() {
            let limit = if n < 3 { before.clone() } else { limit.clone() };
            let limit = limit.with_penalty(penalty);
            let (next, standing) = check_at(state, now, &limit, cost);
            prop_assert!(cost <= limit.capacity() || !standing.admitted);
            prop_assert!(standing.remaining <= limit.capacity());
            state = next;
        }
    }
}
