//! The generic cell rate algorithm, in whole microseconds and whole parts of one.

use std::time::Duration;

use crate::algorithm::{Limit, Shape};
use crate::store::Standing;

use super::{Kind, State};

/// When the bucket will be full again: a time in microseconds and, each the quota's part of one,
/// parts of a microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bucket {
    full: u64,
    part: u32,
}

/// Numbers of a limit that is a bucket.
struct Numbers {
    quota: u64,
    window: u64,
    step: (u64, u64),
    depth: (u64, u64),
}

impl Numbers {
    fn of(limit: &Limit) -> Self {
        let (step, depth) = match limit.shape() {
            Shape::Bucket {
                step,
                step_part,
                depth,
                depth_part,
                ..
            } => ((step, step_part), (depth, depth_part)),
            Shape::Window { .. } | Shape::Calendar(_) => ((0, 0), (0, 0)),
        };
        Self {
            quota: limit.quota(),
            window: limit.window_micros(),
            step,
            depth,
        }
    }
}

impl State {
    /// The bucket as it is at `now`; a full one when nothing is known of it.
    pub(super) fn bucket(&self, limit: &Limit, now: u64) -> Bucket {
        let full = Bucket { full: now, part: 0 };
        match self.kind {
            // A part of another quota, after the limit was changed, is less than a microsecond.
            Kind::Bucket(bucket) if u64::from(bucket.part) >= limit.quota() => {
                Bucket::new(bucket.full + 1, 0).max(full)
            }
            // The later of the two, without a branch that could be guessed wrong: whether a bucket
            // is full again depends on what has yet to come from memory.
            Kind::Bucket(Bucket { full, part }) => Bucket {
                full: full.max(now),
                part: if full < now { 0 } else { part },
            },
            _ => full,
        }
    }

    /// [`State::decide_soon`] of a bucket.
    pub(super) fn bucket_soon(&mut self, limit: &Limit, now: u64) -> Option<Standing> {
        let before = self.bucket(limit, now);
        let Kind::Bucket(bucket) = &mut self.kind else {
            return None;
        };
        if !before.fits(limit, now, 1) {
            return None;
        }
        *bucket = before.after(limit, 1);
        self.until = bucket.full_at();
        let remaining = bucket.remaining(limit, now);
        let reset = Duration::from_micros(self.until.saturating_sub(now));
        Some(Standing::admitted(remaining, reset))
    }

    pub(super) fn set_bucket(&mut self, bucket: Bucket) {
        self.until = bucket.full_at();
        self.kind = Kind::Bucket(bucket);
    }
}

impl Bucket {
    fn new(full: u64, part: u64) -> Self {
        // Below the quota, which has room in 32 bits.
        let part = u32::try_from(part).unwrap_or(u32::MAX);
        Self { full, part }
    }

    /// The first microsecond at which it is full.
    pub(super) fn full_at(self) -> u64 {
        self.full + u64::from(self.part != 0)
    }

    /// The bucket after `cost` units, at most the burst, were taken out.
    pub(super) fn after(self, limit: &Limit, cost: u64) -> Self {
        let Numbers { quota, step, .. } = Numbers::of(limit);
        let parts = u64::from(self.part) + cost * step.1;
        let full = self.full + cost * step.0;
        if parts < quota {
            // Often, and a division takes longer than all the rest.
            return Self::new(full, parts);
        }
        Self::new(full + parts / quota, parts % quota)
    }

    /// The bucket with nothing left in it.
    pub(super) fn emptied(self, limit: &Limit, now: u64) -> Self {
        let (depth, part) = Numbers::of(limit).depth;
        self.max(Self::new(now + depth, part))
    }

    pub(super) fn fits(self, limit: &Limit, now: u64, cost: u64) -> bool {
        self.wait(limit, now, cost) == 0
    }

    /// How long after `now` there will be room for `cost` units; at most the burst.
    pub(super) fn wait(self, limit: &Limit, now: u64, cost: u64) -> u64 {
        if cost > limit.capacity() {
            return 0;
        }
        let (depth, depth_part) = Numbers::of(limit).depth;
        let after = self.after(limit, cost);
        let more = u64::from(u64::from(after.part) > depth_part);
        (after.full + more).saturating_sub(now + depth)
    }

    /// Units that could be taken out now.
    pub(super) fn remaining(self, limit: &Limit, now: u64) -> u64 {
        let Numbers {
            quota,
            window,
            depth,
            ..
        } = Numbers::of(limit);
        let taken = (self.full - now, u64::from(self.part));
        let left = match depth.1.checked_sub(taken.1) {
            Some(part) => depth.0.checked_sub(taken.0).map(|time| (time, part)),
            None => depth
                .0
                .checked_sub(taken.0 + 1)
                .map(|time| (time, depth.1 + quota - taken.1)),
        };
        let Some((time, part)) = left else {
            return 0;
        };
        // As many steps, each the quota's part of the window, as go into the time left.
        let short = time
            .checked_mul(quota)
            .and_then(|parts| parts.checked_add(part));
        if let Some(parts) = short {
            return parts / window;
        }
        let parts = u128::from(time) * u128::from(quota) + u128::from(part);
        u64::try_from(parts / u128::from(window)).unwrap_or(u64::MAX)
    }
}
