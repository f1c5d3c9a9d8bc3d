//! How well one replica is, as far as calls and checks have shown.

use std::time::{Duration, Instant};

use crate::balance::config::{EjectionConfig, HealthConfig};
use crate::balance::fleet::ReplicaState;

/// What became of a call or check that tells something about the replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It answered, be it with an error.
    Well,
    /// It could not be reached, or did not answer.
    Ill,
    /// Nobody knows: the call was given up.
    Nothing,
}

/// So long failures are remembered that were followed by something better.
const RECENT: Duration = Duration::from_secs(300);

/// The state of one replica.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Failed calls and checks of the last while, and since when it is counted.
    recent: u32,
    recent_since: Option<Instant>,
    /// Failed calls in a row, and since when.
    failures: u32,
    failing_since: Option<Instant>,
    ejected: Option<Ejected>,
    /// How often in a row it was ejected, and when it came back.
    ejections: u32,
    returned: Option<Instant>,
    is_probed: bool,
    failed_checks: u32,
    passed_checks: u32,
    is_down: bool,
    is_gone: bool,
}

#[derive(Debug, Clone, Copy)]
struct Ejected {
    at: Instant,
    until: Instant,
}

impl Health {
    pub(crate) fn state(&self, now: Instant) -> ReplicaState {
        match self.ejected {
            _ if self.is_down => ReplicaState::Down,
            Some(ejected) if now < ejected.until => ReplicaState::Ejected,
            Some(_) => ReplicaState::HalfOpen,
            None => ReplicaState::Healthy,
        }
    }

    /// True when calls may go there: always when it is healthy, one at a time when it is on trial.
    pub(crate) fn takes_calls(&self, now: Instant) -> bool {
        match self.state(now) {
            ReplicaState::Healthy => true,
            ReplicaState::HalfOpen => !self.is_probed,
            ReplicaState::Ejected | ReplicaState::Down => false,
        }
    }

    pub(crate) const fn is_ejected(&self) -> bool {
        self.ejected.is_some()
    }

    /// True when it is time to make it anew, after a check: when it has gone down, and again after as
    /// many failed checks as that takes.
    pub(crate) const fn is_to_be_renewed(&self, config: &HealthConfig) -> bool {
        self.failed_checks > 0 && self.failed_checks.is_multiple_of(config.unhealthy_after)
    }

    /// True while it fails its checks.
    pub(crate) const fn is_down(&self) -> bool {
        self.is_down
    }

    /// True unless it is known to be of no use now.
    pub(crate) fn is_alive(&self) -> bool {
        !self.is_down && !self.is_gone && self.ejected.is_none()
    }

    /// How often it failed: in a row, and all in all in the last while.
    pub(crate) fn failures(&self, now: Instant) -> (u32, u32) {
        let is_recent = |since| now.saturating_duration_since(since) < RECENT;
        let recent = self.recent_since.is_some_and(is_recent);
        (
            self.failures.saturating_add(self.failed_checks),
            if recent { self.recent } else { 0 },
        )
    }

    fn fails(&mut self, now: Instant) {
        let is_over = |since| now.saturating_duration_since(since) >= RECENT;
        if self.recent_since.is_none_or(is_over) {
            self.recent = 0;
            self.recent_since = Some(now);
        }
        self.recent = self.recent.saturating_add(1);
    }

    /// Since when every call has failed.
    pub(crate) const fn failing_since(&self) -> Option<Instant> {
        self.failing_since
    }

    /// It has said that it cannot be reached any more.
    pub(crate) fn gone(&mut self) {
        self.is_gone = true;
    }

    /// A call goes there. True when it is the one that tries a replica on trial.
    pub(crate) fn call_begins(&mut self, now: Instant) -> bool {
        let is_trial = self.state(now) == ReplicaState::HalfOpen && !self.is_probed;
        self.is_probed |= is_trial;
        is_trial
    }

    /// A call that began at `began` is over.
    pub(crate) fn call_ends(
        &mut self,
        config: &EjectionConfig,
        call: Call,
        sign: Sign,
        may_eject: bool,
        now: Instant,
    ) {
        if call.is_trial {
            self.is_probed = false;
        }
        match sign {
            Sign::Nothing => {}
            Sign::Well => {
                self.failures = 0;
                self.answers();
                // What began before says nothing about how it is now.
                if self.ejected.is_some_and(|ejected| call.began >= ejected.at) {
                    self.returns(now);
                }
            }
            Sign::Ill => {
                self.fails(now);
                self.failures = self.failures.saturating_add(1);
                self.failing_since.get_or_insert(now);
                let failed_trial = call.is_trial && self.ejected.is_some();
                let has_failed = config.after > 0 && self.failures >= config.after;
                if failed_trial || (self.ejected.is_none() && has_failed && may_eject) {
                    self.eject(config, now);
                }
            }
        }
    }

    /// A check is over.
    pub(crate) fn checked(&mut self, config: &HealthConfig, passed: bool, now: Instant) {
        if !passed {
            self.fails(now);
            self.passed_checks = 0;
            self.failed_checks = self.failed_checks.saturating_add(1);
            self.is_down |= self.failed_checks >= config.unhealthy_after;
            return;
        }
        self.answers();
        self.failed_checks = 0;
        self.passed_checks = self.passed_checks.saturating_add(1);
        if self.passed_checks >= config.healthy_after {
            self.is_down = false;
        }
        if self.state(now) == ReplicaState::HalfOpen && !self.is_probed {
            self.returns(now);
        }
    }

    /// It answered something.
    pub(crate) fn answers(&mut self) {
        self.failing_since = None;
        self.is_gone = false;
    }

    fn returns(&mut self, now: Instant) {
        self.ejected = None;
        self.failures = 0;
        self.returned = Some(now);
    }

    fn eject(&mut self, config: &EjectionConfig, now: Instant) {
        let did_well = self
            .returned
            .is_some_and(|at| now.saturating_duration_since(at) >= config.longest);
        if did_well && self.ejected.is_none() {
            self.ejections = 0;
        }
        let doublings = self.ejections.min(16);
        let time = config.first.saturating_mul(1 << doublings);
        self.ejections = self.ejections.saturating_add(1);
        self.ejected = Some(Ejected {
            at: now,
            until: now + time.min(config.longest).max(Duration::from_millis(1)),
        });
    }
}

/// What is known of a call from its beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) began: Instant,
    pub(crate) is_trial: bool,
}

/// How many of `replicas` may be ejected at a time: never all, and one where there are two.
pub(crate) fn most_ejected(config: &EjectionConfig, replicas: usize) -> usize {
    let share = replicas * usize::from(config.max_percent) / 100;
    let least = usize::from(config.max_percent > 0);
    share.max(least).min(replicas.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::Clock as _;
    use mcp_gw_core::testing::ManualClock;
    use proptest::prelude::*;

    use super::*;

    const EJECTION: EjectionConfig = EjectionConfig {
        after: 3,
        first: Duration::from_secs(10),
        longest: Duration::from_secs(60),
        max_percent: 50,
    };
    const CHECKS: HealthConfig = HealthConfig {
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        unhealthy_after: 3,
        healthy_after: 2,
    };

    struct Patient {
        health: Health,
        clock: ManualClock,
    }

    impl Patient {
        fn new() -> Self {
            Self {
                health: Health::default(),
                clock: ManualClock::new(),
            }
        }

        fn begin(&mut self) -> Call {
            let began = self.clock.now();
            let is_trial = self.health.call_begins(began);
            Call { began, is_trial }
        }

        fn end(&mut self, call: Call, sign: Sign) -> ReplicaState {
            let now = self.clock.now();
            self.health.call_ends(&EJECTION, call, sign, true, now);
            self.health.state(now)
        }

        fn call(&mut self, sign: Sign) -> ReplicaState {
            let call = self.begin();
            self.end(call, sign)
        }

        fn check(&mut self, passed: bool) -> ReplicaState {
            let now = self.clock.now();
            self.health.checked(&CHECKS, passed, now);
            self.health.state(now)
        }

        fn wait(&mut self, seconds: u64) -> ReplicaState {
            self.clock.advance(Duration::from_secs(seconds));
            self.health.state(self.clock.now())
        }
    }

    #[test]
    fn failures_in_a_row_eject_and_a_good_answer_begins_anew() {
        let mut it = Patient::new();
        for sign in [
            Sign::Ill,
            Sign::Ill,
            Sign::Well,
            Sign::Ill,
            Sign::Nothing,
            Sign::Ill,
        ] {
            assert_eq!(it.call(sign), ReplicaState::Healthy);
        }
        assert_eq!(it.call(Sign::Ill), ReplicaState::Ejected);
        assert!(!it.health.takes_calls(it.clock.now()));
    }

    #[test]
    fn one_call_tries_it_and_each_failed_trial_doubles_the_time() {
        let mut it = Patient::new();
        (0..3).for_each(|_| _ = it.call(Sign::Ill));
        for seconds in [10, 20, 40, 60, 60] {
            assert_eq!(it.wait(seconds - 1), ReplicaState::Ejected);
            assert_eq!(it.wait(1), ReplicaState::HalfOpen);
            let trial = it.begin();
            assert!(!it.health.takes_calls(it.clock.now()), "one at a time");
            assert_eq!(it.end(trial, Sign::Ill), ReplicaState::Ejected);
        }
        it.wait(60);
        let given_up = it.begin();
        assert_eq!(it.end(given_up, Sign::Nothing), ReplicaState::HalfOpen);
        assert!(
            it.health.takes_calls(it.clock.now()),
            "the trial is free again"
        );
        assert_eq!(it.call(Sign::Well), ReplicaState::Healthy);
    }

    #[test]
    fn the_time_begins_anew_for_one_that_did_well_long_enough() {
        let mut it = Patient::new();
        for (well_for, ejected_for) in [(0, 10), (59, 20), (60, 10)] {
            it.wait(well_for);
            (0..3).for_each(|_| _ = it.call(Sign::Ill));
            assert_eq!(
                it.wait(ejected_for - 1),
                ReplicaState::Ejected,
                "{well_for}"
            );
            assert_eq!(it.wait(1), ReplicaState::HalfOpen, "{well_for}");
            it.call(Sign::Well);
        }
    }

    #[test]
    fn an_answer_to_an_old_call_does_not_bring_it_back() {
        let mut it = Patient::new();
        let old = it.begin();
        it.wait(1);
        (0..3).for_each(|_| _ = it.call(Sign::Ill));
        assert_eq!(it.end(old, Sign::Well), ReplicaState::Ejected);
        // One that was sent there since, because there was nobody else, does.
        assert_eq!(it.call(Sign::Well), ReplicaState::Healthy);
    }

    #[test]
    fn checks_have_thresholds_in_both_directions() {
        let mut it = Patient::new();
        for passed in [false, false, true, false, false] {
            assert_eq!(it.check(passed), ReplicaState::Healthy);
        }
        for passed in [false, true, false, true] {
            assert_eq!(it.check(passed), ReplicaState::Down);
        }
        assert_eq!(it.check(true), ReplicaState::Healthy);
    }

    #[test]
    fn a_passed_check_ends_the_trial_but_not_the_ejection() {
        let mut it = Patient::new();
        (0..3).for_each(|_| _ = it.call(Sign::Ill));
        assert_eq!(it.check(true), ReplicaState::Ejected);
        it.wait(10);
        assert_eq!(it.check(true), ReplicaState::Healthy);
    }

    #[test]
    fn some_are_always_left() {
        let with = |max_percent| EjectionConfig {
            max_percent,
            ..EJECTION
        };
        for (percent, replicas, most) in [
            (50, 1, 0),
            (50, 2, 1),
            (50, 3, 1),
            (50, 4, 2),
            (100, 4, 3),
            (0, 4, 0),
            (10, 4, 1),
        ] {
            assert_eq!(
                most_ejected(&with(percent), replicas),
                most,
                "{percent}% of {replicas}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_trial_is_never_lost(signs in prop::collection::vec((0u8..3, 0u64..30), 0..100)) {
            let mut it = Patient::new();
            for (sign, seconds) in signs {
                it.call([Sign::Well, Sign::Ill, Sign::Nothing][usize::from(sign)]);
                it.wait(seconds);
            }
            it.wait(60);
            prop_assert!(it.health.takes_calls(it.clock.now()));
            prop_assert_eq!(it.call(Sign::Well), ReplicaState::Healthy);
        }
    }
}
