//! Audit events on their way into a store.

mod bound;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mcp_gw_core::{AuditEvent, AuditSink, Clock, SystemClock};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::contract::AuditLog;
use crate::error::{Result, StoreError};
use crate::random::random;
use crate::values::{AuditRecord, EventId, Retention, Time};
use bound::Bound;

/// The longest pause between two tries to write the same events.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The first one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How audit events are written.
#[derive(Clone)]
#[non_exhaustive]
pub struct AuditWriterOptions {
    /// Events that wait to be written at most; 8,192 unless set.
    pub queue: usize,
    /// Events that are written at once at most; 256 unless set.
    pub batch: usize,
    /// How long events are kept; for ever unless set.
    pub retention: Retention,
    /// How often it is looked for events that need not be kept; every 10 minutes unless set.
    pub prune_every: Duration,
    /// Refusals of callers whom nobody knows that are written a minute at most, of one address (IPv6: of one
    /// network of 64 bits); 20 unless set. Wrong passwords, logins that are held off and
    /// all else are counted apart.
    pub refusals_per_address: u32,
    /// The same of all addresses; 60 unless set. What is not written is counted.
    pub refusals: u32,
    /// Where times come from.
    pub clock: Arc<dyn Clock>,
}

impl AuditWriterOptions {
    /// What is usual, on the machine's clock.
    pub fn new() -> Self {
        Self {
            queue: 8_192,
            batch: 256,
            retention: Retention::forever(),
            prune_every: Duration::from_secs(600),
            refusals_per_address: 20,
            refusals: 60,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl Default for AuditWriterOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for AuditWriterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditWriterOptions")
            .field("queue", &self.queue)
            .field("batch", &self.batch)
            .field("retention", &self.retention)
            .field("prune_every", &self.prune_every)
            .field("refusals_per_address", &self.refusals_per_address)
            .field("refusals", &self.refusals)
            .finish_non_exhaustive()
    }
}

/// What a writer has done, for metrics. Totals count from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AuditWriterStats {
    /// Events that were written.
    pub written: u64,
    /// Events that were lost, as the queue was full or the store refuses them.
    pub lost: u64,
    /// Events that wait.
    pub waiting: u64,
    /// Tries to write that failed.
    pub failures: u64,
    /// Events that were deleted, as they need not be kept.
    pub pruned: u64,
}

#[derive(Debug, Default)]
struct Tally {
    written: AtomicU64,
    lost: AtomicU64,
    /// Those lost that the log does not tell of yet.
    untold: AtomicU64,
    waiting: AtomicU64,
    failures: AtomicU64,
    pruned: AtomicU64,
}

/// Names events: a random number for this writer, and a count.
#[derive(Debug)]
struct Names {
    writer: [u8; 8],
    next: u64,
}

impl Names {
    fn next(&mut self) -> EventId {
        let count = self.next.to_be_bytes();
        self.next = self.next.wrapping_add(1);
        let mut bytes = [0; 16];
        let parts = self.writer.into_iter().chain(count);
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = part;
        }
        EventId::from_bytes(bytes)
    }
}

enum Order {
    Write(Box<AuditRecord>),
    /// An event as it came: the call that it is about does not wait until it is a record.
    Note(Box<AuditEvent>),
    /// Answers when all that came before is written.
    Flush(oneshot::Sender<()>),
    /// The same, and tells now what was left out: nothing more is to come.
    Last(oneshot::Sender<()>),
}

/// Writes audit events to a store in batches, from a queue with a bound.
///
/// As an [`AuditSink`] it does not wait: what does not fit is counted, told in the log of the process,
/// and told in the audit log itself, as an event with the method `audit.lost` and the number in
/// `error`. [`AuditWriter::write`] waits for room instead.
///
/// Of refusals of callers whom nobody knows it writes so many a minute as the options say, as everybody who
/// reaches the gateway can make them. The others are counted, and told each minute by an event with the
/// method `audit.left_out` and the number in `error`; logins by one of their own, with the name `login`.
///
/// While the store cannot be used, events wait, and are tried again. A store that got them without
/// being able to say so does not have them twice. Clones are the same writer. When the last one is
/// dropped, what waits is still written, if the runtime lives on; [`AuditWriter::close`] waits for it.
#[derive(Clone)]
pub struct AuditWriter(Arc<Inner>);

struct Inner {
    queue: mpsc::Sender<Order>,
    tally: Arc<Tally>,
    bound: Arc<Bound>,
}

impl AuditWriter {
    /// Begins to write to this store, with a task of its own in the runtime of now.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn start<S>(store: Arc<S>, options: AuditWriterOptions) -> Result<Self>
    where
        S: AuditLog + Send + Sync + ?Sized + 'static,
    {
        let (queue, orders) = mpsc::channel(options.queue.max(1));
        let tally = Arc::new(Tally::default());
        let names = Names {
            writer: random()?,
            next: 0,
        };
        let bound = Arc::new(Bound::new(
            Arc::clone(&options.clock),
            options.refusals_per_address,
            options.refusals,
        ));
        let worker = Worker {
            store,
            tally: Arc::clone(&tally),
            bound: Arc::clone(&bound),
            names,
            orders,
            options,
        };
        tokio::spawn(worker.run());
        Ok(Self(Arc::new(Inner {
            queue,
            tally,
            bound,
        })))
    }

    /// Queues an event, and waits while there is no room.
    ///
    /// # Errors
    /// When the writer is closed.
    pub async fn write(&self, record: AuditRecord) -> Result<()> {
        let order = Order::Write(Box::new(record));
        self.0.tally.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = self.0.queue.send(order).await;
        sent.map_err(|_| {
            self.0.tally.waiting.fetch_sub(1, Ordering::Relaxed);
            closed()
        })
    }

    /// Waits until all events that were queued before are written.
    ///
    /// # Errors
    /// When the writer is closed.
    pub async fn flush(&self) -> Result<()> {
        self.wait(Order::Flush).await
    }

    async fn wait(&self, order: fn(oneshot::Sender<()>) -> Order) -> Result<()> {
        let (done, wait) = oneshot::channel();
        let sent = self.0.queue.send(order(done)).await;
        sent.map_err(|_| closed())?;
        wait.await.map_err(|_| closed())
    }

    /// Writes what waits, for as long as `patience`, and says how many events are not written.
    pub async fn close(&self, patience: Duration) -> u64 {
        let _ = tokio::time::timeout(patience, self.wait(Order::Last)).await;
        self.stats().waiting
    }

    /// What it has done.
    pub fn stats(&self) -> AuditWriterStats {
        let tally = &self.0.tally;
        AuditWriterStats {
            written: tally.written.load(Ordering::Relaxed),
            lost: tally.lost.load(Ordering::Relaxed),
            waiting: tally.waiting.load(Ordering::Relaxed),
            failures: tally.failures.load(Ordering::Relaxed),
            pruned: tally.pruned.load(Ordering::Relaxed),
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable {
        reason: "the writer of audit events has ended".to_owned(),
        retryable: false,
    }
}

impl AuditSink for AuditWriter {
    fn record(&self, event: &AuditEvent) {
        if !self.0.bound.keeps(event) {
            return;
        }
        let order = Order::Note(Box::new(event.clone()));
        let tally = &self.0.tally;
        tally.waiting.fetch_add(1, Ordering::Relaxed);
        if self.0.queue.try_send(order).is_err() {
            tally.waiting.fetch_sub(1, Ordering::Relaxed);
            tally.lose(1, "the queue is full");
        }
    }
}

impl Tally {
    fn lose(&self, count: u64, why: &str) {
        let before = self.lost.fetch_add(count, Ordering::Relaxed);
        self.untold.fetch_add(count, Ordering::Relaxed);
        // A flood of losses is no flood of lines: the 1st, the 2nd, the 4th, ...
        if before.saturating_add(count).leading_zeros() < before.leading_zeros() {
            tracing::error!(
                target: "mcp_gw::store",
                lost = before.saturating_add(count),
                why,
                "audit events are lost"
            );
        }
    }
}

impl fmt::Debug for AuditWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("AuditWriter")
            .field("stats", &stats)
            .finish()
    }
}

/// The task that writes.
struct Worker<S: ?Sized> {
    store: Arc<S>,
    tally: Arc<Tally>,
    bound: Arc<Bound>,
    names: Names,
    orders: mpsc::Receiver<Order>,
    options: AuditWriterOptions,
}

impl<S: AuditLog + Send + Sync + ?Sized> Worker<S> {
    async fn run(mut self) {
        let mut prune_at = Instant::now();
        let mut orders = Vec::new();
        loop {
            if self.prunes() && prune_at <= Instant::now() {
                self.prune().await;
                prune_at = Instant::now() + self.options.prune_every;
            }
            let batch = self.options.batch.max(1);
            let prunes = self.prunes();
            let received = self.orders.recv_many(&mut orders, batch);
            // What was left out is told though nothing else is to be written.
            let mut wake = Instant::now() + bound::WINDOW;
            if prunes {
                wake = wake.min(prune_at);
            }
            let count = tokio::time::timeout_at(wake, received).await;
            match count {
                Ok(0) => return self.tell_left_out(true).await,
                Ok(_) => self.obey(&mut orders).await,
                Err(_) => self.tell_left_out(false).await,
            }
        }
    }

    fn prunes(&self) -> bool {
        self.options.retention != Retention::forever()
    }

    async fn prune(&self) {
        match self.store.prune_audit(&self.options.retention).await {
            Ok(count) => {
                self.tally.pruned.fetch_add(count, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(
                target: "mcp_gw::store",
                %error,
                "old audit events were not deleted; it is tried again"
            ),
        }
    }

    async fn obey(&mut self, orders: &mut Vec<Order>) {
        let mut records = Vec::with_capacity(orders.len());
        let mut flushed = Vec::new();
        let mut is_last = false;
        for order in orders.drain(..) {
            match order {
                Order::Write(record) => records.push(*record),
                Order::Note(event) => records.push(AuditRecord::of(&event)),
                Order::Flush(done) => flushed.push(done),
                Order::Last(done) => {
                    is_last = true;
                    flushed.push(done);
                }
            }
        }
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        let lost = self.tally.untold.swap(0, Ordering::Relaxed);
        if lost > 0 {
            records.push(self.gap("audit.lost", "internal", lost));
        }
        for record in &mut records {
            record.event_id.get_or_insert_with(|| self.names.next());
        }
        self.write(records).await;
        self.tell_left_out(is_last).await;
        self.tally.waiting.fetch_sub(count, Ordering::Relaxed);
        for done in flushed {
            // Nobody may wait for it any more.
            let _ = done.send(());
        }
    }

    /// Writes how many refusals were left out, once it is known of a minute.
    async fn tell_left_out(&mut self, is_end: bool) {
        let left_out = self.bound.take(is_end);
        let both = [(Some("login"), left_out.logins), (None, left_out.others)];
        let records = both.into_iter().filter(|(_, events)| *events > 0);
        let records = records.map(|(name, events)| {
            let mut record = self.gap("audit.left_out", "unauthenticated", events);
            record.event_id = Some(self.names.next());
            record.name = name.map(str::to_owned);
            record
        });
        let records = records.collect();
        self.write(records).await;
    }

    /// What the audit log says about what is not in it.
    fn gap(&self, method: &str, outcome: &str, events: u64) -> AuditRecord {
        let now = Time::from(self.options.clock.wall());
        let mut record = AuditRecord::new(now, "", method, outcome);
        record.error = Some(format!("{events} events"));
        record
    }

    /// Tries until they are written, or the store says that it will never take them.
    async fn write(&self, records: Vec<AuditRecord>) {
        if records.is_empty() {
            return;
        }
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.store.append_audit(records.clone()).await {
                Ok(()) => {
                    self.tally.written.fetch_add(count, Ordering::Relaxed);
                    return;
                }
                Err(error) => error,
            };
            self.tally.failures.fetch_add(1, Ordering::Relaxed);
            if matches!(error, StoreError::Invalid { .. }) {
                self.tally.lose(count, "the store refuses them");
                return;
            }
            if self.orders.is_closed() && pause >= LONGEST_PAUSE {
                self.tally
                    .lose(count, "the store cannot be used, and nobody waits any more");
                return;
            }
            if pause == FIRST_PAUSE {
                tracing::warn!(
                    target: "mcp_gw::store",
                    %error,
                    "audit events cannot be written; it is tried again"
                );
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests;
