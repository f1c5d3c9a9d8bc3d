//! The time that a call has, and what may still be begun in it.

use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use crate::http::error::{Done, Error, ErrorKind};

/// A time within which everything has to be done and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    end: Instant,
    whole: Duration,
}

impl Budget {
    /// The time until `end`, without what it takes to tell what was done.
    #[cfg(feature = "tools")]
    pub(crate) fn until(end: Instant) -> Self {
        let whole = end.saturating_duration_since(Instant::now());
        let rest = (whole / 10).min(Duration::from_secs(2));
        Self {
            end: end.checked_sub(rest).unwrap_or(end),
            whole: whole.saturating_sub(rest),
        }
    }

    /// A part of it for what comes first, so that there is time for the rest.
    #[cfg(feature = "tools")]
    pub(crate) fn half(self) -> Self {
        let half = self.whole / 2;
        Self {
            end: self.end.checked_sub(half).unwrap_or(self.end),
            whole: self.whole.saturating_sub(half),
        }
    }

    pub(crate) const fn end(self) -> Instant {
        self.end
    }

    fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether a request may begin after a pause. A write wants time for its answer: what becomes of it has to be
    /// known.
    pub(crate) fn has_room(self, method: &Method, longest: Duration, pause: Duration) -> bool {
        let least = if method.is_safe() {
            Duration::ZERO
        } else {
            longest.min(self.whole / 4)
        };
        self.left().saturating_sub(pause) > least
    }

    /// # Errors
    /// When a request should not begin any more.
    pub(crate) fn begin(self, method: &Method, longest: Duration) -> Result<(), Error> {
        if self.has_room(method, longest, Duration::ZERO) {
            return Ok(());
        }
        let message = if method.is_safe() {
            "nothing was asked: the time that a call may take is over".to_owned()
        } else {
            let left = self.left().as_secs();
            format!(
                "nothing was written: of the time that a call may take {left} s are left, too little to be sure of the \
                 answer"
            )
        };
        Err(Error::new(ErrorKind::Timeout, message, Done::No))
    }
}

#[cfg(all(test, feature = "tools"))]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    fn room(budget: Budget, method: &Method) -> bool {
        budget.begin(method, LONGEST).is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn no_write_begins_that_could_not_be_waited_for() {
        let budget = Budget::until(Instant::now() + Duration::from_secs(60));
        for (seconds, reads, writes) in [(0, true, true), (43, true, true), (2, true, false)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(room(budget, &Method::GET), reads, "{seconds}");
            assert_eq!(room(budget, &Method::POST), writes, "{seconds}");
        }
        tokio::time::advance(Duration::from_secs(13)).await;
        assert!(!room(budget, &Method::GET));
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_call_may_write_too() {
        let budget = Budget::until(Instant::now() + Duration::from_secs(1));
        assert!(room(budget, &Method::PUT));
        let half = budget.half();
        tokio::time::advance(Duration::from_millis(460)).await;
        assert!(!room(half, &Method::GET) && room(budget, &Method::PUT));
        let over = Budget::until(Instant::now());
        assert!(!room(over, &Method::GET));
    }
}
