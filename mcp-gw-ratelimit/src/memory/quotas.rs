//! Quotas by the calendar outlive the process, if somebody keeps them.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::algorithm::{Period, micros};
use crate::maths::State;
use crate::store::{Key, StoreError};

use super::{Lock, MemoryStore, unix};

/// What one key has used of a quota by the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaRecord {
    /// Whose.
    pub key: Key,
    /// Units.
    pub used: u64,
    /// When the period ends, in microseconds since 1970-01-01 UTC.
    pub until: u64,
}

impl QuotaRecord {
    /// `used` units of `key` in the period that ends at `until`, in microseconds since 1970-01-01
    /// UTC.
    pub const fn new(key: Key, used: u64, until: u64) -> Self {
        Self { key, used, until }
    }
}

/// Keeps what was used of quotas by the calendar over restarts.
///
/// A [`MemoryStore`] is filled from it at the start and saved to it now and then, and at the end;
/// what was used after the last time is forgotten if the process dies. A store that is shared keeps
/// quotas itself.
#[async_trait]
pub trait QuotaLedger: Send + Sync + 'static {
    /// All records whose period has not ended.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn load(&self) -> Result<Vec<QuotaRecord>, StoreError>;

    /// Replaces what was saved before by these.
    ///
    /// # Errors
    /// When they cannot be written; then what was saved before is still there.
    async fn save(&self, records: Vec<QuotaRecord>) -> Result<(), StoreError>;
}

/// A ledger that is as short-lived as the process: for tests, and to carry quotas from one store to
/// the next.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    records: Mutex<Vec<QuotaRecord>>,
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl QuotaLedger for MemoryLedger {
    async fn load(&self) -> Result<Vec<QuotaRecord>, StoreError> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records.clone())
    }

    async fn save(&self, records: Vec<QuotaRecord>) -> Result<(), StoreError> {
        *self.records.lock().unwrap_or_else(PoisonError::into_inner) = records;
        Ok(())
    }
}

impl MemoryStore {
    /// Takes up the quotas that were saved. What was used meanwhile is not forgotten: of two counts
    /// of one period the greater holds.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn load_quotas(&self, ledger: &dyn QuotaLedger) -> Result<(), StoreError> {
        let wall = unix(self.clock.wall());
        // No period that has begun ends later.
        let last = wall.saturating_add(micros(Period::Month.length()));
        for record in ledger.load().await? {
            if record.until <= wall {
                continue;
            }
            let record = QuotaRecord {
                until: record.until.min(last),
                ..record
            };
            let mut shard = self.tables.shard(record.key).enter();
            let known = shard.find(record.key).and_then(|place| shard.peek(place));
            let known = known.and_then(|state| Some((state.until(), state.used_in_period()?)));
            if known.is_none_or(|known| known < (record.until, record.used)) {
                shard.insert(record.key, State::of_period(record.used, record.until));
            }
        }
        Ok(())
    }

    /// Saves the quotas of all keys.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn save_quotas(&self, ledger: &dyn QuotaLedger) -> Result<(), StoreError> {
        let wall = unix(self.clock.wall());
        let mut records = Vec::new();
        for shard in &self.tables.shards {
            let shard = shard.enter();
            records.extend(shard.each().filter_map(|(key, state)| {
                let used = state.used_in_period()?;
                (state.until() > wall).then(|| QuotaRecord::new(key, used, state.until()))
            }));
        }
        ledger.save(records).await
    }
}
