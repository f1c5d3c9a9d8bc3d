//! Whether the database can be written, and not only read: a disk may be full, a file gone, a server a
//! standby.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use super::fault::Fault;
use super::row::Query;
use super::{SqlStore, late};
use crate::error::Result;

/// How long what was found is believed.
const FRESH: Duration = Duration::from_secs(3);

/// Writes what was there before, beside the counters of changes: nobody hears of it.
const PROBE: &str = "INSERT INTO gw_changes (kind, changes) VALUES ('probe', 1) \
    ON CONFLICT (kind) DO UPDATE SET changes = gw_changes.changes";

/// When it was looked last, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Probe(Mutex<Option<(Instant, Result<()>)>>);

impl Probe {
    /// Something was written: nobody needs to look.
    pub(super) fn written(&self) {
        self.put(Some((Instant::now(), Ok(()))));
    }

    /// Something could not be written: whoever asks next looks.
    pub(super) fn failed(&self) {
        self.put(None);
    }

    fn put(&self, found: Option<(Instant, Result<()>)>) {
        // Whoever holds it looks at this moment.
        if let Ok(mut last) = self.0.try_lock() {
            *last = found;
        }
    }
}

impl SqlStore {
    /// What a statement of a write came to, which may have taken too long.
    pub(super) fn heard<T>(
        &self,
        answer: std::result::Result<std::result::Result<T, Fault>, Elapsed>,
    ) -> std::result::Result<T, Fault> {
        let answer = answer.unwrap_or_else(|_| Err(late().into()));
        if matches!(answer, Err(Fault::Other(_))) {
            self.probe.failed();
        }
        answer
    }

    /// Whether something can be written, as it was found in the last seconds, or by a write that changes
    /// nothing. Those who ask at the same time wait for the same one.
    pub(super) async fn can_write(&self) -> Result<()> {
        let mut last = self.probe.0.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < FRESH
        {
            return found.clone();
        }
        let found = self.execute(Query::new(PROBE)).await.map(|_| ());
        *last = Some((Instant::now(), found.clone()));
        found
    }
}
