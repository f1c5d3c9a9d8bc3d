//! The maths: what one limit says about one key at one moment. Nothing here knows a clock.

mod bucket;
mod calendar;
mod lanes;
mod log;
mod queue;
#[cfg(test)]
mod tests;
mod window;

use std::time::Duration;

use crate::algorithm::{Limit, Shape};
use crate::store::Standing;
use bucket::Bucket;
pub use calendar::period_end;
use lanes::Lanes;
use log::Log;
use queue::Few;
use window::Parts;

/// What is remembered about one key of one limit. It takes 48 bytes, and more when more than 8 units
/// of a sliding window count, or, where they are counted in parts of one, units of more than 16 parts
/// or more than 255 of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// From this time on nothing of it counts: it is as good as none.
    until: u64,
    kind: Kind,
}

const HOUR: u64 = 3_600_000_000;

/// Later times count as this one, which leaves room to add to it.
const LATEST: u64 = u64::MAX / 4;

/// More than any quota, and little enough to be added to.
const MOST_USED: u64 = 2 * crate::algorithm::MAX_QUOTA;

/// Of the kinds for a window, those with few marks need no allocation.
#[derive(Debug, Clone, Default)]
enum Kind {
    #[default]
    Empty,
    /// The times of units, …
    FewUnits(Few),
    /// … when there are more.
    Units(Log),
    /// Units in each part of a window, …
    FewParts(Lanes),
    /// … when there are more.
    Parts(Parts),
    Bucket(Bucket),
    /// Units used in the period that ends at `until`.
    Used(u64),
}

/// What `limit` says at `now` to a demand of `cost` units, and what it remembers then.
///
/// `now` is in microseconds since any moment that stays the same; for a quota of the calendar since
/// 1970-01-01 UTC; times after 140,000 years are one. Time that goes back grants nothing: a sliding window keeps counting at the
/// latest time it has seen, a bucket does not fill, a period does not end.
///
/// A refused demand leaves the state as it was, except with [`Limit::penalty`]. Then a
/// window counts the refused units in place of its oldest, a bucket is empty, and a period's quota
/// is used up as far as the demand goes.
///
/// ```
/// use std::time::Duration;
/// use mcp_gw_ratelimit::{Algorithm, Limit, State, check_at};
///
/// let limit = Limit::new("l", 2, Duration::from_secs(60), Algorithm::SlidingWindow)?;
/// let second = 1_000_000;
/// let (state, first) = check_at(State::default(), 0, &limit, 1);
/// assert_eq!((first.admitted, first.remaining), (true, 1));
/// let (state, _) = check_at(state, 10 * second, &limit, 1);
/// let (_, third) = check_at(state, 20 * second, &limit, 1);
/// assert_eq!(third.retry_after, Some(Duration::from_secs(40)));
/// # Ok::<_, mcp_gw_ratelimit::LimitError>(())
/// ```
pub fn check_at(mut state: State, now: u64, limit: &Limit, cost: u64) -> (State, Standing) {
    let now = now.min(LATEST);
    // Only what is charged moves the state on to `now`, in case time goes back.
    let before = state.clone();
    let standing = state.decide(limit, now, cost);
    let is_charged = cost > 0 && (standing.admitted || limit.penalty());
    (if is_charged { state } else { before }, standing)
}

impl State {
    /// From this time on, in microseconds, the state is as good as none.
    pub const fn until(&self) -> u64 {
        self.until
    }

    /// True when nothing of it counts, now or if the clock of the wall is set back a little.
    pub(crate) const fn is_idle(&self, steady: u64, wall: u64) -> bool {
        match self.kind {
            Kind::Used(_) => self.until.saturating_add(HOUR) <= wall,
            _ => self.until <= steady,
        }
    }

    /// Bytes on the heap, without what the allocator adds.
    pub(crate) fn heap(&self) -> usize {
        match &self.kind {
            Kind::Units(units) => units.heap(),
            Kind::Parts(parts) => parts.heap(),
            _ => 0,
        }
    }

    /// Units of a calendar quota that are used.
    pub(crate) const fn used_in_period(&self) -> Option<u64> {
        match self.kind {
            Kind::Used(used) => Some(used),
            _ => None,
        }
    }

    /// A calendar quota of which `used` units are used until `until`. Numbers that no limit makes are
    /// cut: what is read may be anything.
    pub(crate) fn of_period(used: u64, until: u64) -> Self {
        Self {
            until: until.min(LATEST),
            kind: Kind::Used(used.min(MOST_USED)),
        }
    }

    /// The whole decision for one demand: charged if there is room, or if the limit has a penalty.
    pub(crate) fn decide(&mut self, limit: &Limit, now: u64, cost: u64) -> Standing {
        if cost == 1
            && let Some(standing) = self.decide_soon(limit, now)
        {
            return standing;
        }
        let fits = self.fits(limit, now, cost);
        if fits {
            self.take(limit, now, cost);
        } else if limit.penalty() {
            self.punish(limit, now, cost);
        }
        self.standing(limit, now, cost, fits)
    }

    /// What most decisions come to: one unit, for which there is room, of a key that has called
    /// before and not often. `None` where anything is otherwise, and then nothing is charged.
    ///
    /// It says what the steps below say, with no branch that could be guessed wrong: so a processor
    /// that has to wait for the state can go on with what comes after. At a million keys, where each
    /// waits, that is a quarter of the time.
    fn decide_soon(&mut self, limit: &Limit, now: u64) -> Option<Standing> {
        match limit.shape() {
            Shape::Window { .. } => self.window_soon(limit, now),
            Shape::Bucket { .. } => self.bucket_soon(limit, now),
            Shape::Calendar(_) => None,
        }
    }

    /// True when there is room for `cost` units; for none there always is. Drops what counts no
    /// more: it comes before the other steps of a decision.
    pub(crate) fn fits(&mut self, limit: &Limit, now: u64, cost: u64) -> bool {
        if let Shape::Window { .. } = limit.shape() {
            self.settle(limit, now);
        }
        if cost == 0 || cost > limit.capacity() {
            return cost == 0;
        }
        match limit.shape() {
            Shape::Window { .. } => self.window_used() + cost <= limit.quota(),
            Shape::Bucket { .. } => self.bucket(limit, now).fits(limit, now, cost),
            Shape::Calendar(_) => self.period_used(now) + cost <= limit.quota(),
        }
    }

    /// Charges `cost` units, for which there is room.
    pub(crate) fn take(&mut self, limit: &Limit, now: u64, cost: u64) {
        if cost == 0 {
            return;
        }
        match limit.shape() {
            Shape::Window { .. } => self.push(limit, now, cost),
            Shape::Bucket { .. } => self.set_bucket(self.bucket(limit, now).after(limit, cost)),
            Shape::Calendar(period) => {
                let used = self.period_used(now) + cost;
                if self.until <= now {
                    self.until = period_end(period, now);
                }
                self.kind = Kind::Used(used);
            }
        }
    }

    /// Counts a refused demand.
    pub(crate) fn punish(&mut self, limit: &Limit, now: u64, cost: u64) {
        let cost = cost.min(limit.capacity());
        match limit.shape() {
            Shape::Window { .. } => {
                let over = (self.window_used() + cost).saturating_sub(limit.quota());
                // What is over already, after the quota was lowered, is not given back.
                self.drop_oldest(over.min(cost));
                self.push(limit, now, cost);
            }
            Shape::Bucket { .. } => self.set_bucket(self.bucket(limit, now).emptied(limit, now)),
            Shape::Calendar(_) => {
                let used = self.period_used(now);
                let room = limit.quota().saturating_sub(used);
                self.take(limit, now, cost.min(room));
            }
        }
    }

    /// Where it stands now, after a demand of `cost` units that there was room for or not.
    pub(crate) fn standing(&self, limit: &Limit, now: u64, cost: u64, admitted: bool) -> Standing {
        let possible = cost <= limit.capacity();
        let (remaining, reset, retry) = match limit.shape() {
            Shape::Window { .. } => {
                let left = limit.quota().saturating_sub(self.window_used());
                let needed = cost.saturating_sub(left);
                let retry = || self.window_frees(limit, needed).saturating_sub(now);
                let retry = if admitted || !possible { 0 } else { retry() };
                (left, self.until.saturating_sub(now), retry)
            }
            Shape::Bucket { .. } => {
                let bucket = self.bucket(limit, now);
                let retry = if admitted {
                    0
                } else {
                    bucket.wait(limit, now, cost)
                };
                let left = bucket.remaining(limit, now);
                (left, bucket.full_at().saturating_sub(now), retry)
            }
            Shape::Calendar(_) => {
                let left = limit.quota().saturating_sub(self.period_used(now));
                let wait = self.until.saturating_sub(now);
                (left, wait, wait)
            }
        };
        let reset = Duration::from_micros(reset);
        if admitted {
            return Standing::admitted(remaining, reset);
        }
        Standing::refused(
            remaining,
            reset,
            possible.then(|| Duration::from_micros(retry)),
        )
    }
}
