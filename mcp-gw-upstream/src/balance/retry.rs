//! Whether a request that failed is sent again, where, and when.

use std::time::{Duration, Instant};

use mcp_gw_core::BackendError;

use crate::balance::budget::Budget;
use crate::balance::config::RetryConfig;
use crate::balance::health::Sign;
use crate::balance::random::Random;

/// The first pause before the same server gets a request again; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_millis(500);

/// What a failure means for sending again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The request did not arrive.
    Unsent,
    /// It was turned away unread, as there are too many; the server says when to come again.
    Busy(Option<Duration>),
    /// It was turned away unread, and always will be.
    Refused,
    /// It may have arrived, and the server went away.
    Lost,
    /// It may have arrived, and asking the same server again would end the same way.
    Stuck,
    /// The answer is the answer, or would be the same everywhere.
    Final,
}

impl Failure {
    pub(crate) const fn of(error: &BackendError) -> Self {
        match error {
            BackendError::Unavailable { .. } => Self::Unsent,
            BackendError::Busy { retry_after, .. } => Self::Busy(*retry_after),
            // Waiting does not help: each session would be forgotten like the one before.
            BackendError::Refused { .. } | BackendError::Forgetful { .. } => Self::Refused,
            BackendError::Lost { .. } => Self::Lost,
            BackendError::Timeout { .. } | BackendError::Protocol { .. } => Self::Stuck,
            _ => Self::Final,
        }
    }

    /// True when the server may have done what it was asked for.
    pub(crate) const fn leaves_doubt(self) -> bool {
        matches!(self, Self::Lost | Self::Stuck)
    }

    /// What it says about the replica. One that turns calls away at once would get ever more of them if
    /// that were well.
    pub(crate) const fn sign(self) -> Sign {
        match self {
            Self::Final => Sign::Well,
            _ => Sign::Ill,
        }
    }

    /// True when asking the same server again can help within `patience`.
    fn may_pass(self, patience: Duration) -> bool {
        match self {
            Self::Unsent | Self::Lost => !patience.is_zero(),
            Self::Busy(retry_after) => retry_after.is_some_and(|after| after <= patience),
            Self::Refused | Self::Stuck | Self::Final => false,
        }
    }
}

/// What to do with a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    GiveUp,
    /// Another replica gets it at once.
    Elsewhere,
    /// Any replica gets it after a pause.
    Again(Duration),
}

/// Where a request stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    pub(crate) failure: Failure,
    /// There is a replica that is well and was not tried since the last pause.
    pub(crate) has_others: bool,
    /// How much longer the server may be away.
    pub(crate) patience: Duration,
    pub(crate) now: Instant,
}

/// The history of one request.
#[derive(Debug)]
pub(crate) struct Retry {
    is_safe: bool,
    /// How often a server has got it, or may have.
    sends: u32,
    tries: u32,
    pauses: u32,
    /// When it failed first.
    since: Option<Instant>,
}

impl Retry {
    /// A request that may be done twice if it `is_safe`.
    pub(crate) const fn new(is_safe: bool) -> Self {
        Self {
            is_safe,
            sends: 0,
            tries: 0,
            pauses: 0,
            since: None,
        }
    }

    pub(crate) fn after(
        &mut self,
        config: &RetryConfig,
        situation: Situation,
        budget: &mut Budget,
        random: &mut Random,
    ) -> Step {
        let Situation {
            failure,
            has_others,
            patience,
            now,
        } = situation;
        // A server that does other things well meanwhile is not waited for longer on that account.
        self.tries = self.tries.saturating_add(1);
        let since = *self.since.get_or_insert(now);
        let waited = now.saturating_duration_since(since);
        let patience = patience.min(config.wait.saturating_sub(waited));
        if config.attempts <= 1 || failure == Failure::Final {
            return Step::GiveUp;
        }
        if !has_others && !failure.may_pass(patience) {
            return Step::GiveUp;
        }
        if failure != Failure::Unsent {
            self.sends += 1;
            let may_repeat = self.is_safe || !failure.leaves_doubt();
            if !may_repeat || self.sends >= config.attempts || !budget.spend(now) {
                return Step::GiveUp;
            }
        }
        if has_others {
            return Step::Elsewhere;
        }
        if let Failure::Busy(Some(after)) = failure {
            return Step::Again(after.max(FIRST).min(patience));
        }
        let pause = (FIRST * 2_u32.pow(self.pauses.min(8))).min(LONGEST);
        self.pauses = self.pauses.saturating_add(1);
        Step::Again(jittered(pause, random).min(patience))
    }

    /// Tells the log that the request has failed for good, when it was not tried only once.
    pub(crate) fn log_end(&self, server: &str, error: &BackendError, now: Instant) {
        if self.tries <= 1 {
            return;
        }
        let waited = self.since.map(|since| now.saturating_duration_since(since));
        tracing::warn!(
            target: "mcp_gw::upstream",
            server,
            tries = self.tries,
            waited = ?waited.unwrap_or_default(),
            %error,
            "a request is given up after several tries"
        );
    }
}

/// Between half of it and the whole, so that those who failed together do not come together.
fn jittered(pause: Duration, random: &mut Random) -> Duration {
    let half = pause / 2;
    let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
    half + Duration::from_micros(random.below(micros))
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::Clock as _;
    use mcp_gw_core::testing::ManualClock;
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn step(retry: &mut Retry, failure: Failure, has_others: bool, patience: Duration) -> Step {
        let now = ManualClock::new().now();
        let situation = Situation {
            failure,
            has_others,
            patience,
            now,
        };
        let (mut budget, mut random) = (Budget::new(20, now), Random::from_seed(1));
        retry.after(&RetryConfig::default(), situation, &mut budget, &mut random)
    }

    #[test]
    fn what_may_have_arrived_is_sent_again_only_when_that_is_safe() {
        let safe = |failure, others| step(&mut Retry::new(true), failure, others, PATIENCE);
        let unsafe_ = |failure, others| step(&mut Retry::new(false), failure, others, PATIENCE);
        for failure in [Failure::Lost, Failure::Stuck, Failure::Final] {
            assert_eq!(unsafe_(failure, true), Step::GiveUp);
            assert_eq!(unsafe_(failure, false), Step::GiveUp);
        }
        assert_eq!(safe(Failure::Final, true), Step::GiveUp);
        assert_eq!(safe(Failure::Stuck, false), Step::GiveUp);
        for failure in [Failure::Lost, Failure::Stuck] {
            assert_eq!(safe(failure, true), Step::Elsewhere);
        }
        assert!(matches!(safe(Failure::Lost, false), Step::Again(_)));
        assert_eq!(unsafe_(Failure::Unsent, true), Step::Elsewhere);
        assert!(matches!(unsafe_(Failure::Unsent, false), Step::Again(_)));
    }

    #[test]
    fn what_was_turned_away_is_taken_elsewhere_and_not_held_up() {
        let after = |failure, others| step(&mut Retry::new(false), failure, others, PATIENCE);
        let busy = |seconds| Failure::Busy(Some(Duration::from_secs(seconds)));
        for failure in [Failure::Refused, Failure::Busy(None), busy(6)] {
            assert_eq!(after(failure, true), Step::Elsewhere);
            assert_eq!(after(failure, false), Step::GiveUp);
        }
        // It comes again when it was told to, and not before.
        assert_eq!(after(busy(2), false), Step::Again(Duration::from_secs(2)));
        assert_eq!(after(busy(0), false), Step::Again(FIRST));
        let mut retry = Retry::new(false);
        let steps = [(); 5].map(|()| step(&mut retry, busy(1), false, PATIENCE));
        let again = Step::Again(Duration::from_secs(1));
        assert_eq!(steps, [again, again, again, again, Step::GiveUp]);
    }

    #[test]
    fn a_server_that_is_away_for_long_is_not_waited_for() {
        let mut retry = Retry::new(true);
        assert_eq!(
            step(&mut retry, Failure::Unsent, false, Duration::ZERO),
            Step::GiveUp
        );
        assert_eq!(
            step(&mut retry, Failure::Unsent, true, Duration::ZERO),
            Step::Elsewhere
        );
    }

    #[test]
    fn the_time_of_one_request_runs_on_whatever_the_server_does_meanwhile() {
        let began = ManualClock::new().now();
        let (mut budget, mut random) = (Budget::new(20, began), Random::from_seed(1));
        let mut retry = Retry::new(true);
        let mut after = |seconds| {
            let situation = Situation {
                failure: Failure::Unsent,
                has_others: false,
                // It has just done something well, so nobody else has waited yet.
                patience: PATIENCE,
                now: began + Duration::from_secs(seconds),
            };
            retry.after(&RetryConfig::default(), situation, &mut budget, &mut random)
        };
        assert!(matches!(after(0), Step::Again(_)));
        assert!(matches!(after(4), Step::Again(_)));
        assert_eq!(after(5), Step::GiveUp);
    }

    #[test]
    fn an_empty_budget_ends_repetitions_but_not_first_deliveries() {
        let now = ManualClock::new().now();
        let (mut budget, mut random) = (Budget::new(0, now), Random::from_seed(1));
        while budget.spend(now) {}
        let mut after = |failure| {
            let situation = Situation {
                failure,
                has_others: true,
                patience: PATIENCE,
                now,
            };
            let config = RetryConfig::default();
            Retry::new(true).after(&config, situation, &mut budget, &mut random)
        };
        assert_eq!(after(Failure::Lost), Step::GiveUp);
        assert_eq!(after(Failure::Unsent), Step::Elsewhere);
    }

    #[test]
    fn one_attempt_means_that_nothing_is_sent_again() {
        let now = ManualClock::new().now();
        let (mut budget, mut random) = (Budget::new(20, now), Random::from_seed(1));
        let situation = Situation {
            failure: Failure::Unsent,
            has_others: true,
            patience: PATIENCE,
            now,
        };
        let step =
            Retry::new(true).after(&RetryConfig::none(), situation, &mut budget, &mut random);
        assert_eq!(step, Step::GiveUp);
    }

    proptest! {
        #[test]
        fn attempts_that_may_have_arrived_are_bounded(
            failures in prop::collection::vec((any::<bool>(), any::<bool>()), 1..60)
        ) {
            let attempts = RetryConfig::default().attempts;
            let mut retry = Retry::new(true);
            let mut sends = 0;
            for (is_lost, has_others) in failures {
                sends += u32::from(is_lost);
                let failure = if is_lost { Failure::Lost } else { Failure::Unsent };
                match step(&mut retry, failure, has_others, PATIENCE) {
                    Step::GiveUp => {
                        prop_assert_eq!(sends, attempts);
                        break;
                    }
                    Step::Elsewhere => prop_assert!(has_others),
                    Step::Again(pause) => {
                        prop_assert!(!has_others && pause >= FIRST / 2 && pause <= LONGEST);
                    }
                }
                prop_assert!(sends < attempts);
            }
        }
    }
}
