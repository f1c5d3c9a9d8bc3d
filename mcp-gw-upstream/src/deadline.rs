//! How long a request may take: a limit that progress starts anew, and one that stays.

use std::time::Duration;

use tokio::time::Instant;

/// When to give up on one request.
#[derive(Debug)]
pub(crate) struct Deadline {
    at: Instant,
    step: Duration,
    end: Instant,
    total: Duration,
}

impl Deadline {
    pub(crate) fn new(step: Duration, total: Duration) -> Self {
        let now = Instant::now();
        let end = now + total;
        Self {
            at: (now + step).min(end),
            step,
            end,
            total,
        }
    }

    /// The server is still at work.
    pub(crate) fn extend(&mut self) {
        self.at = (Instant::now() + self.step).min(self.end);
    }

    /// A person may be at work, at their own pace: only the hard limit holds.
    pub(crate) const fn pause(&mut self) {
        self.at = self.end;
    }

    pub(crate) const fn at(&self) -> Instant {
        self.at
    }

    /// Which of the two limits it is that ends first.
    pub(crate) fn limit(&self) -> Duration {
        if self.at < self.end {
            self.step
        } else {
            self.total
        }
    }
}
