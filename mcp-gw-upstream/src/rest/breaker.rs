//! Leaves an API alone that fails, until it was tried again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When an API that fails is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerConfig {
    /// So many failed requests in a row; 0 switches it off. 5 by default.
    pub failures: u32,
    /// For how long. 30 s by default.
    pub open_for: Duration,
    /// How many requests may try it at a time afterwards. 1 by default.
    pub probes: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            open_for: Duration::from_secs(30),
            probes: 1,
        }
    }
}

impl BreakerConfig {
    /// After so many failures in a row, for so long, with so many requests to try it afterwards.
    pub const fn new(failures: u32, open_for: Duration, probes: u32) -> Self {
        Self {
            failures,
            open_for,
            probes,
        }
    }
}

/// Of one API.
#[derive(Debug)]
pub(crate) struct Breaker {
    config: BreakerConfig,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    failures: u32,
    /// When it failed once too often.
    opened: Option<Instant>,
    /// Requests under way that try it.
    probes: u32,
    /// How often it has opened or closed: what belongs to another time says nothing.
    turn: u64,
}

/// A request that may go out. Dropped without [`Pass::end`] it says nothing of the API.
#[derive(Debug)]
pub(crate) struct Pass<'b> {
    breaker: &'b Breaker,
    turn: u64,
    is_probe: bool,
}

impl Breaker {
    pub(crate) fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            state: Mutex::default(),
        }
    }

    /// Lets a request out.
    ///
    /// # Errors
    /// How long the API is left alone, when it is.
    pub(crate) fn enter(&self, now: Instant) -> Result<Pass<'_>, Duration> {
        let mut state = self.state();
        let is_probe = match state.opened {
            None => false,
            Some(opened) => {
                let waited = now.saturating_duration_since(opened);
                let left = self.config.open_for.saturating_sub(waited);
                if !left.is_zero() {
                    return Err(left);
                }
                if state.probes >= self.config.probes.max(1) {
                    // Whoever tries it will know soon.
                    return Err(SOON);
                }
                state.probes += 1;
                true
            }
        };
        Ok(Pass {
            breaker: self,
            turn: state.turn,
            is_probe,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SOON: Duration = Duration::from_secs(1);

impl Pass<'_> {
    /// Says how it went; tells what has changed for the API, if something has.
    pub(crate) fn end(self, is_well: bool, now: Instant) -> Option<Change> {
        let mut state = self.breaker.state();
        if state.turn != self.turn || self.breaker.config.failures == 0 {
            return None;
        }
        if is_well {
            let was_open = state.opened.is_some();
            state.failures = 0;
            if was_open {
                *state = State {
                    turn: state.turn + 1,
                    ..State::default()
                };
                return Some(Change::Closed);
            }
            return None;
        }
        state.failures = state.failures.saturating_add(1);
        if state.opened.is_some() || state.failures >= self.breaker.config.failures {
            *state = State {
                failures: state.failures,
                opened: Some(now),
                probes: 0,
                turn: state.turn + 1,
            };
            return Some(Change::Opened);
        }
        None
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            let mut state = self.breaker.state();
            if state.turn == self.turn {
                state.probes = state.probes.saturating_sub(1);
            }
        }
    }
}

/// What has become of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is left alone from now on.
    Opened,
    /// It is well again.
    Closed,
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::Clock as _;
    use mcp_gw_core::testing::ManualClock;
    use proptest::prelude::*;

    use super::*;

    const OPEN: Duration = Duration::from_secs(30);

    fn breaker() -> (Breaker, Instant) {
        let config = BreakerConfig::new(3, OPEN, 1);
        (Breaker::new(config), ManualClock::new().now())
    }

    fn fail(breaker: &Breaker, now: Instant) -> Option<Change> {
        breaker.enter(now).unwrap().end(false, now)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_one_that_is_well() {
        let (breaker, now) = breaker();
        assert_eq!(fail(&breaker, now), None);
        assert_eq!(fail(&breaker, now), None);
        assert_eq!(breaker.enter(now).unwrap().end(true, now), None);
        assert_eq!(fail(&breaker, now), None);
        assert_eq!(fail(&breaker, now), None);
        assert_eq!(fail(&breaker, now), Some(Change::Opened));
        let later = now + Duration::from_secs(10);
        assert_eq!(breaker.enter(later).unwrap_err(), Duration::from_secs(20));
        let later = now + OPEN;
        let probe = breaker.enter(later).unwrap();
        // One at a time.
        assert_eq!(breaker.enter(later).unwrap_err(), SOON);
        assert_eq!(probe.end(false, later), Some(Change::Opened));
        assert_eq!(breaker.enter(later).unwrap_err(), OPEN);
        let later = later + OPEN;
        assert_eq!(
            breaker.enter(later).unwrap().end(true, later),
            Some(Change::Closed)
        );
        assert_eq!(fail(&breaker, later), None);
    }

    #[test]
    fn a_try_that_is_given_up_makes_room_for_the_next() {
        let (breaker, now) = breaker();
        (0..3).for_each(|_| _ = fail(&breaker, now));
        let later = now + OPEN;
        drop(breaker.enter(later).unwrap());
        assert!(breaker.enter(later).is_ok());
    }

    #[test]
    fn what_was_sent_before_it_opened_says_nothing_afterwards() {
        let (breaker, now) = breaker();
        let old = [breaker.enter(now).unwrap(), breaker.enter(now).unwrap()];
        (0..3).for_each(|_| _ = fail(&breaker, now));
        let later = now + OPEN;
        let probe = breaker.enter(later).unwrap();
        for (pass, is_well) in old.into_iter().zip([true, false]) {
            assert_eq!(pass.end(is_well, later), None);
        }
        assert_eq!(probe.end(true, later), Some(Change::Closed));
    }

    #[test]
    fn zero_switches_it_off() {
        let breaker = Breaker::new(BreakerConfig::new(0, OPEN, 1));
        let now = ManualClock::new().now();
        assert!((0..100).all(|_| fail(&breaker, now).is_none()));
    }

    proptest! {
        /// Whatever happens, it lets somebody through in the end, and never more than may try it.
        #[test]
        fn nobody_is_locked_out_for_ever(steps in prop::collection::vec((0_u8..4, 0_u64..40), 0..100)) {
            let (breaker, mut now) = breaker();
            let mut under_way = Vec::new();
            for (step, seconds) in steps {
                now += Duration::from_secs(seconds);
                match step {
                    0 | 1 => under_way.extend(breaker.enter(now)),
                    2 => drop(under_way.pop()),
                    _ => {
                        if let Some(pass) = under_way.pop() {
                            pass.end(seconds % 2 == 0, now);
                        }
                    }
                }
                let probes = breaker.state().probes;
                prop_assert!(probes <= 1);
            }
            under_way.clear();
            now += OPEN;
            prop_assert!(breaker.enter(now).is_ok());
        }
    }
}
