//! What is used of quotas by the calendar outlives the process, in the database of the management API.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp_gw_ratelimit::{Key, MemoryStore, QuotaLedger, QuotaRecord, StoreError};
use mcp_gw_store::{QuotaKey, Store, Time};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How often it is written down.
const EVERY: Duration = Duration::from_secs(10);
/// Between the tries at the end; each of them waits for a locked database itself.
const LAST_PAUSES: [Option<Duration>; 3] = [
    Some(Duration::from_millis(200)),
    Some(Duration::from_secs(1)),
    None,
];

/// The quotas in a database. Of two counts of one period the greater holds: several gateways that count by
/// themselves find after a restart what the busiest of them had counted.
pub(crate) struct StoreLedger(Arc<dyn Store>);

impl StoreLedger {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn failed(error: mcp_gw_store::StoreError) -> StoreError {
    StoreError::new(error.to_string())
}

#[async_trait]
impl QuotaLedger for StoreLedger {
    async fn load(&self) -> Result<Vec<QuotaRecord>, StoreError> {
        let records = self.0.quotas().await.map_err(failed)?;
        let records = records.into_iter().map(|record| {
            let until = u64::try_from(record.until.as_micros()).unwrap_or(0);
            QuotaRecord::new(Key::from_bytes(*record.key.as_bytes()), record.used, until)
        });
        Ok(records.collect())
    }

    async fn save(&self, records: Vec<QuotaRecord>) -> Result<(), StoreError> {
        const MOST: u64 = i64::MAX as u64;
        let records: Vec<_> = records
            .into_iter()
            .map(|record| {
                let until = i64::try_from(record.until).unwrap_or(i64::MAX);
                let key = QuotaKey::from_bytes(*record.key.as_bytes());
                let used = record.used.min(MOST);
                mcp_gw_store::QuotaRecord::new(key, used, Time::from_micros(until))
            })
            .collect();
        if records.is_empty() {
            return Ok(());
        }
        self.0.save_quotas(&records).await.map_err(failed)
    }
}

/// Quotas that are read at the start, and written down now and then and at the end.
pub(crate) struct KeptQuotas {
    ending: oneshot::Sender<()>,
    work: JoinHandle<()>,
}

impl KeptQuotas {
    /// Begins. What is counted before they are read is not forgotten.
    pub(crate) fn start(counts: Arc<MemoryStore>, ledger: impl QuotaLedger) -> Self {
        let (ending, end) = oneshot::channel();
        let work = tokio::spawn(async move {
            keep(&counts, &ledger, end).await;
            // Nothing is counted any more.
            save_at_last(&counts, &ledger).await;
        });
        Self { ending, work }
    }

    /// Writes down what was counted, and ends.
    pub(crate) async fn end(self) {
        drop(self.ending);
        let _ = self.work.await;
    }
}

async fn keep(counts: &MemoryStore, ledger: &impl QuotaLedger, mut end: oneshot::Receiver<()>) {
    while let Err(error) = counts.load_quotas(ledger).await {
        tracing::warn!(%error, "what was used of quotas cannot be read; it is tried again");
        tokio::select! {
            _ = &mut end => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    loop {
        tokio::select! {
            _ = &mut end => return,
            () = tokio::time::sleep(EVERY) => save(counts, ledger).await,
        }
    }
}

async fn save_at_last(counts: &MemoryStore, ledger: &impl QuotaLedger) {
    for pause in LAST_PAUSES {
        let Err(error) = counts.save_quotas(ledger).await else {
            return;
        };
        let Some(pause) = pause else {
            tracing::error!(%error, "what was used of quotas lately is lost: it was not written down");
            return;
        };
        tokio::time::sleep(pause).await;
    }
}

async fn save(counts: &MemoryStore, ledger: &impl QuotaLedger) {
    if let Err(error) = counts.save_quotas(ledger).await {
        tracing::warn!(%error, "what is used of quotas was not written down; it is tried again");
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::testing::ManualClock;
    use mcp_gw_core::{Admission, Caller, CallerKind, Charge, RateLimiter, RequestMeta, Transport};
    use mcp_gw_ratelimit::{
        Algorithm, Demand, Limit, LimitsConfig, MemoryLedger, Period, Store as _,
    };

    use super::*;
    use crate::config::Config;
    use crate::limits::Limits;

    /// What a process counts in: another one each time, on one database.
    async fn process(
        clock: &ManualClock,
        store: &Arc<dyn Store>,
    ) -> (Arc<MemoryStore>, KeptQuotas) {
        let counts = Arc::new(MemoryStore::new(clock.clone()));
        let ledger = StoreLedger::new(Arc::clone(store));
        // The start is over when they were read, which is waited for nowhere else.
        counts.load_quotas(&ledger).await.unwrap();
        let kept = KeptQuotas::start(Arc::clone(&counts), ledger);
        (counts, kept)
    }

    /// It fails so many times.
    struct Locked {
        times: std::sync::atomic::AtomicU32,
        kept: MemoryLedger,
    }

    #[async_trait]
    impl QuotaLedger for Locked {
        async fn load(&self) -> Result<Vec<QuotaRecord>, StoreError> {
            self.kept.load().await
        }

        async fn save(&self, records: Vec<QuotaRecord>) -> Result<(), StoreError> {
            use std::sync::atomic::Ordering::Relaxed;
            let less = |times: u32| times.checked_sub(1);
            match self.times.fetch_update(Relaxed, Relaxed, less) {
                Ok(_) => Err(StoreError::new("the database is locked")),
                Err(_) => self.kept.save(records).await,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_write_is_tried_again() {
        let day = Algorithm::Calendar(Period::Day);
        let limit = Limit::new("daily", 3, Duration::ZERO, day).unwrap();
        for (times, kept) in [(0, 1), (2, 1), (3, 0)] {
            let counts = MemoryStore::new(ManualClock::new());
            assert!(admits(&counts, &limit, 1, 2).await);
            let ledger = Locked {
                times: times.into(),
                kept: MemoryLedger::new(),
            };
            save_at_last(&counts, &ledger).await;
            assert_eq!(ledger.load().await.unwrap().len(), kept, "{times}");
        }
    }

    fn limits(redis: &str) -> LimitsConfig {
        let text = format!(
            "policy: {{ default: allow }}\nservers: {{ a: {{ url: 'http://127.0.0.1:1/mcp' }} }}\n\
             limits: {{ rules: [{{ name: daily, quota: 3, period: day }}]{redis} }}\n"
        );
        Config::load("test.yaml", &text, &|_| None).unwrap().limits
    }

    async fn call(limits: &Limits) -> bool {
        let caller = Caller::new(CallerKind::ApiKey, "ann");
        let meta = RequestMeta::new("1", Transport::Http);
        let charge = Charge::new(&caller, &meta, "tools/call").of(Some("t"), Some("a"));
        let said = RateLimiter::admit(&limits.limiter, &charge).await.unwrap();
        matches!(said, Admission::Admitted { .. })
    }

    /// A reload may take Redis out: what is counted here from then on is kept, too.
    #[tokio::test]
    async fn quotas_are_kept_also_where_redis_counted_first() {
        let store: Arc<dyn Store> = Arc::new(mcp_gw_store::MemoryStore::new());
        let with_redis = limits(", redis: { url: 'redis://127.0.0.1:1/' }");
        let without = limits("");
        let first = Limits::new(&with_redis).unwrap();
        let kept = first.keep_quotas(StoreLedger::new(Arc::clone(&store)));
        first.put(first.next(&with_redis, &without).unwrap());
        for _ in 0..3 {
            assert!(call(&first).await);
        }
        kept.end().await;

        let second = Limits::new(&without).unwrap();
        let kept = second.keep_quotas(StoreLedger::new(store));
        // It is read by a task of its own; until then a call may be let in, at most as many as there are.
        let mut admitted = 0;
        while call(&second).await {
            admitted += 1;
            tokio::task::yield_now().await;
        }
        assert!(admitted < 3, "{admitted}");
        kept.end().await;
    }

    async fn admits(counts: &MemoryStore, limit: &Limit, key: u8, cost: u64) -> bool {
        let demand = Demand::new(limit, Key::from_bytes([key; 16]), cost);
        counts.charge(&[demand]).await.unwrap()[0].admitted
    }

    #[tokio::test]
    async fn what_was_used_of_a_quota_is_known_to_the_next_process() {
        let clock = ManualClock::new();
        let store = mcp_gw_store::MemoryStore::with_clock(Arc::new(clock.clone()));
        let store: Arc<dyn Store> = Arc::new(store);
        let day = Algorithm::Calendar(Period::Day);
        let limit = Limit::new("daily", 3, Duration::ZERO, day).unwrap();

        let (counts, kept) = process(&clock, &store).await;
        assert!(admits(&counts, &limit, 1, 2).await);
        kept.end().await;

        let (counts, kept) = process(&clock, &store).await;
        assert!(!admits(&counts, &limit, 1, 2).await);
        assert!(admits(&counts, &limit, 1, 1).await);
        assert!(admits(&counts, &limit, 2, 3).await, "another caller");
        kept.end().await;

        clock.advance(Duration::from_secs(24 * 60 * 60));
        let (counts, kept) = process(&clock, &store).await;
        assert!(admits(&counts, &limit, 1, 3).await, "another day");
        kept.end().await;
    }
}
