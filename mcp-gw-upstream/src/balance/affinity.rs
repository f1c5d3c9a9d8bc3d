//! What keeps a caller with a replica.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mcp_gw_core::CallContext;

use crate::balance::random::{combine, digest};

/// The most callers that are kept with a replica.
const MOST: usize = 16_384;
/// So long a caller that says nothing is kept.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// A digest of who calls, the same in every process.
pub(crate) fn of(ctx: &CallContext) -> u64 {
    let caller = ctx.caller();
    let id = combine(digest(&caller.issuer), digest(&caller.id));
    combine(digest(caller.kind.as_str()), id)
}

/// Where callers are at home.
#[derive(Debug, Default)]
pub(crate) struct Homes(HashMap<u64, Home>);

#[derive(Debug)]
struct Home {
    replica: usize,
    used: Instant,
}

impl Homes {
    /// The replica that this caller was sent to before.
    pub(crate) fn find(&self, affinity: u64, now: Instant) -> Option<usize> {
        self.0
            .get(&affinity)
            .filter(|home| now.saturating_duration_since(home.used) < IDLE)
            .map(|home| home.replica)
    }

    /// This caller was sent to `replica`.
    pub(crate) fn settle(&mut self, affinity: u64, replica: usize, now: Instant) {
        if self.0.len() >= MOST && !self.0.contains_key(&affinity) {
            self.make_room(now);
        }
        self.0.insert(affinity, Home { replica, used: now });
    }

    /// Forgets who is idle, and if nobody is, the eighth that was not heard of for the longest.
    fn make_room(&mut self, now: Instant) {
        self.0
            .retain(|_, home| now.saturating_duration_since(home.used) < IDLE);
        if self.0.len() < MOST {
            return;
        }
        let mut times: Vec<Instant> = self.0.values().map(|home| home.used).collect();
        let (_, oldest, _) = times.select_nth_unstable(MOST / 8);
        let oldest = *oldest;
        let mut excess = MOST / 8;
        self.0.retain(|_, home| {
            let goes = home.used <= oldest && excess > 0;
            excess -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mcp_gw_core::testing::{ManualClock, RecordingLink, call_context};
    use mcp_gw_core::{Caller, CallerKind, Clock as _};

    use super::*;

    #[test]
    fn only_the_same_identity_has_the_same_digest() {
        let digest = |caller| of(&call_context(caller, Arc::new(RecordingLink::new())));
        let key = |id: &str| Caller::new(CallerKind::ApiKey, id);
        assert_eq!(digest(key("a")), digest(key("a").with_roles(["admin"])));
        let others = [
            key("b"),
            key("a").with_issuer("b"),
            key("").with_issuer("a"),
            Caller::new(CallerKind::User, "a"),
        ];
        for other in others {
            assert_ne!(digest(key("a")), digest(other));
        }
    }

    #[test]
    fn callers_that_are_idle_are_forgotten_first_and_their_number_is_bounded() {
        let (mut homes, clock) = (Homes::default(), ManualClock::new());
        homes.settle(0, 7, clock.now());
        clock.advance(IDLE / 2);
        assert_eq!(homes.find(0, clock.now()), Some(7));
        for caller in 1..MOST as u64 {
            homes.settle(caller, 1, clock.now());
        }
        clock.advance(IDLE / 2);
        assert_eq!(homes.find(0, clock.now()), None);
        homes.settle(u64::MAX, 2, clock.now());
        assert_eq!(homes.0.len(), MOST);
        homes.settle(u64::MAX - 1, 2, clock.now());
        assert_eq!(homes.0.len(), MOST - MOST / 8 + 1);
        assert_eq!(homes.find(u64::MAX, clock.now()), Some(2));
    }
}
