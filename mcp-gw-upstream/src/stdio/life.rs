//! How often a process has died lately, and when it may be started again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A process that lived shorter than this died quickly.
const QUICK: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The history of one server.
#[derive(Debug, Default)]
pub(crate) struct Life(Mutex<History>);

#[derive(Debug, Default)]
struct History {
    starts: u64,
    quick_deaths: u32,
    not_before: Option<Instant>,
    last: String,
}

impl Life {
    /// Asks whether it may be started now.
    ///
    /// # Errors
    /// A sentence that says when it may.
    pub(crate) fn may_start(&self) -> Result<(), String> {
        let history = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = history
            .not_before
            .map(|at| at.saturating_duration_since(Instant::now()))
            .filter(|pause| !pause.is_zero());
        match pause {
            None => Ok(()),
            Some(pause) => Err(format!(
                "it failed {} times in a row soon after its start and is left alone for another \
                 {:.1} s; the last time: {}",
                history.quick_deaths,
                pause.as_secs_f64(),
                history.last
            )),
        }
    }

    /// It was started and has answered. True when that was not the first time.
    pub(crate) fn started(&self) -> bool {
        let mut history = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        history.starts += 1;
        history.starts > 1
    }

    /// It died, having lived since `born`. The first quick death may be bad luck; from the second
    /// on there is a pause, twice as long each time.
    pub(crate) fn died(&self, born: Instant, reason: &str) {
        let now = Instant::now();
        let mut history = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(born) >= QUICK {
            history.quick_deaths = 0;
            history.not_before = None;
        } else {
            history.quick_deaths = history.quick_deaths.saturating_add(1);
            let doublings = history.quick_deaths.saturating_sub(2).min(16);
            let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
            history.not_before = (history.quick_deaths > 1).then(|| now + pause);
        }
        reason.clone_into(&mut history.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn repeated_quick_deaths_make_longer_and_longer_pauses() {
        let life = Life::default();
        life.died(Instant::now(), "a");
        assert_eq!(life.may_start(), Ok(()));
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            life.died(Instant::now(), "exit status: 1");
            assert!(life.may_start().unwrap_err().contains("exit status: 1"));
            tokio::time::advance(Duration::from_secs(pause - 1)).await;
            assert!(life.may_start().is_err());
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(life.may_start(), Ok(()));
        }
        let born = Instant::now();
        tokio::time::advance(QUICK).await;
        life.died(born, "b");
        assert_eq!(life.may_start(), Ok(()));
    }
}
