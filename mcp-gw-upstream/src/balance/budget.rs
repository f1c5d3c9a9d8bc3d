//! How much may be sent a second time: a share of what is sent the first time.

use std::time::{Duration, Instant};

/// One request, in the unit that is counted in.
const ONE: u64 = 1000;
/// What is always allowed, however little is asked: 10 a second.
const FLOOR_PER_MILLI: u64 = 10;
/// What is there at the beginning.
const FIRST: u64 = 100 * ONE;
/// The most that can be saved up.
const MOST: u64 = 1000 * ONE;

/// A bucket that requests fill a little and repetitions empty.
#[derive(Debug)]
pub(crate) struct Budget {
    share: u64,
    left: u64,
    filled: Instant,
}

impl Budget {
    /// Repetitions may be `percent` of the requests.
    pub(crate) fn new(percent: u32, now: Instant) -> Self {
        Self {
            share: u64::from(percent) * ONE / 100,
            left: FIRST,
            filled: now,
        }
    }

    /// A request came.
    pub(crate) fn earn(&mut self) {
        self.left = (self.left + self.share).min(MOST);
    }

    /// Takes what one repetition costs. False when it is not there.
    pub(crate) fn spend(&mut self, now: Instant) -> bool {
        self.refill(now);
        match self.left.checked_sub(ONE) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    fn refill(&mut self, now: Instant) {
        let millis = now.saturating_duration_since(self.filled).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        let more = millis.saturating_mul(FLOOR_PER_MILLI);
        self.left = self.left.saturating_add(more).min(MOST);
        self.filled += Duration::from_millis(millis);
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::Clock as _;
    use mcp_gw_core::testing::ManualClock;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Event {
        Request,
        Repetition,
        Wait(u16),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => Just(Event::Request),
            8 => Just(Event::Repetition),
            1 => (0u16..500).prop_map(Event::Wait),
        ]
    }

    proptest! {
        #[test]
        fn repetitions_never_exceed_their_share_and_the_floor(
            percent in 0u32..=100,
            events in prop::collection::vec(event(), 0..2000),
        ) {
            let clock = ManualClock::new();
            let mut budget = Budget::new(percent, clock.now());
            let (mut requests, mut repetitions, mut millis) = (0_u64, 0_u64, 0_u64);
            for event in events {
                match event {
                    Event::Request => {
                        budget.earn();
                        requests += 1;
                    }
                    Event::Repetition => repetitions += u64::from(budget.spend(clock.now())),
                    Event::Wait(wait) => {
                        clock.advance(Duration::from_millis(wait.into()));
                        millis += u64::from(wait);
                    }
                }
                // In hundredths of a request.
                let allowed = 100 * 100 + requests * u64::from(percent) + millis;
                prop_assert!(repetitions * 100 <= allowed);
            }
        }
    }

    #[test]
    fn what_is_spent_comes_back_with_requests_and_with_time() {
        let clock = ManualClock::new();
        let mut budget = Budget::new(20, clock.now());
        let spend_all =
            |budget: &mut Budget| (0..5000).take_while(|_| budget.spend(clock.now())).count();
        assert_eq!(spend_all(&mut budget), 100);
        (0..10).for_each(|_| budget.earn());
        assert_eq!(spend_all(&mut budget), 2);
        clock.advance(Duration::from_secs(1));
        assert_eq!(spend_all(&mut budget), 10);
        clock.advance(Duration::from_secs(100_000));
        assert_eq!(spend_all(&mut budget), 1000);
    }
}
