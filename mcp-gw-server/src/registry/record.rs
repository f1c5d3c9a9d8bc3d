//! What is known of one instance while the gateway runs: how it is, how much it is used, what it says.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use mcp_gw_core::Clock;
use mcp_gw_store::{Health, ServerStatus};
use mcp_gw_upstream::LogLines;
use tokio::sync::Notify;

use super::news::Dirty;

/// So many lines of a log are kept for each instance, the last ones.
pub const LOG_LINES: usize = 100;
/// So many bytes of each line, and of an error.
const LONGEST: usize = 1024;

/// One line of the log of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// When it was written.
    pub time: SystemTime,
    /// True for what its process wrote to standard error, false for what the gateway says of it.
    pub is_own: bool,
    /// The line, shortened to 1 KiB.
    pub text: String,
}

/// The record of one instance. It outlives connections to it.
pub(crate) struct Record {
    pub(crate) id: Arc<str>,
    clock: Arc<dyn Clock>,
    dirty: Arc<Dirty>,
    requests: AtomicU64,
    active: AtomicUsize,
    inner: Mutex<Inner>,
    /// Rings when it was asked.
    asked: Notify,
}

struct Inner {
    health: Health,
    lines: VecDeque<LogLine>,
}

impl Record {
    pub(crate) fn new(
        id: Arc<str>,
        health: Health,
        clock: Arc<dyn Clock>,
        dirty: Arc<Dirty>,
    ) -> Self {
        Self {
            id,
            clock,
            dirty,
            requests: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            inner: Mutex::new(Inner {
                health,
                lines: VecDeque::new(),
            }),
            asked: Notify::new(),
        }
    }

    /// Waits until something is known of it.
    pub(crate) async fn known(&self) {
        loop {
            let asked = self.asked.notified();
            if self.status() != ServerStatus::Unknown {
                return;
            }
            asked.await;
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.lock().health.clone()
    }

    pub(crate) fn status(&self) -> ServerStatus {
        self.lock().health.status
    }

    /// The last lines of its log, the newest at the end.
    pub(crate) fn lines(&self, last: usize) -> Vec<LogLine> {
        let inner = self.lock();
        let skip = inner.lines.len().saturating_sub(last);
        inner.lines.iter().skip(skip).cloned().collect()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// A request goes there, until what this gives is dropped.
    pub(crate) fn begin(self: &Arc<Self>, is_tool: bool) -> Under {
        if is_tool {
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
        self.active.fetch_add(1, Ordering::Relaxed);
        Under(Arc::clone(self))
    }

    /// It answered.
    pub(crate) fn answered(&self) {
        let now = self.clock.wall();
        let mut inner = self.lock();
        let health = &mut inner.health;
        let is_news = health.status != ServerStatus::Healthy;
        health.status = ServerStatus::Healthy;
        health.last_health_check = Some(now.into());
        health.consecutive_failures = 0;
        health.last_error = None;
        if is_news {
            push(&mut inner.lines, now, false, "it answers");
            drop(inner);
            self.dirty.add(&self.id);
            self.asked.notify_waiters();
        }
    }

    /// It cannot be reached or used, because of `reason`.
    pub(crate) fn failed(&self, reason: &str) {
        let now = self.clock.wall();
        let reason = head(reason);
        let mut inner = self.lock();
        let health = &mut inner.health;
        let is_news = health.status != ServerStatus::Unhealthy
            || health.last_error.as_deref() != Some(reason);
        health.status = ServerStatus::Unhealthy;
        health.last_health_check = Some(now.into());
        health.consecutive_failures = health.consecutive_failures.saturating_add(1);
        if is_news {
            health.last_error = Some(reason.to_owned());
            push(&mut inner.lines, now, false, reason);
            drop(inner);
            self.dirty.add(&self.id);
            self.asked.notify_waiters();
        }
    }

    /// Nobody has asked it yet, since it is another one.
    pub(crate) fn renew(&self, health: Health) {
        self.lock().health = health;
        self.dirty.add(&self.id);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogLines for Record {
    fn line(&self, line: &str) {
        let now = self.clock.wall();
        push(&mut self.lock().lines, now, true, line);
    }
}

/// A request that is under way.
pub(crate) struct Under(Arc<Record>);

impl Drop for Under {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

fn push(lines: &mut VecDeque<LogLine>, time: SystemTime, is_own: bool, text: &str) {
    while lines.len() >= LOG_LINES {
        lines.pop_front();
    }
    lines.push_back(LogLine {
        time,
        is_own,
        text: head(text).to_owned(),
    });
}

/// What of a text is kept.
fn head(text: &str) -> &str {
    if text.len() <= LONGEST {
        return text;
    }
    let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::SystemClock;

    use super::*;

    fn record(dirty: &Arc<Dirty>) -> Record {
        let clock = Arc::new(SystemClock::new());
        Record::new("a".into(), Health::new(), clock, Arc::clone(dirty))
    }

    #[test]
    fn a_log_has_the_last_lines_and_long_ones_are_cut_between_characters() {
        let record = record(&Arc::default());
        for number in 0..LOG_LINES + 5 {
            record.line(&format!("line {number}"));
        }
        record.line(&"ä".repeat(LONGEST));
        let lines = record.lines(usize::MAX);
        assert_eq!(lines.len(), LOG_LINES);
        assert_eq!(lines[0].text, "line 6");
        assert_eq!(lines[LOG_LINES - 1].text.len(), LONGEST);
        assert_eq!(record.lines(2)[0].text, format!("line {}", LOG_LINES + 4));
    }

    #[test]
    fn health_is_news_when_it_changes_and_not_otherwise() {
        let dirty = Arc::new(Dirty::default());
        let record = record(&dirty);
        record.answered();
        assert_eq!(dirty.take().len(), 1);
        record.answered();
        assert!(dirty.take().is_empty());
        for reason in ["no", "no", "no"] {
            record.failed(reason);
        }
        assert_eq!(dirty.take().len(), 1);
        assert_eq!(record.health().consecutive_failures, 3);
        record.failed("never");
        assert_eq!(record.health().last_error.as_deref(), Some("never"));
        assert_eq!(dirty.take().len(), 1);
        record.answered();
        assert_eq!(record.health().last_error, None);
    }
}
