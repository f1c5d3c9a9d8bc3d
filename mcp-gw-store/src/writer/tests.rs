use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use mcp_gw_core::testing::{ManualClock, audit_sink_contract};
use tokio::sync::Semaphore;

use super::*;
use crate::memory::MemoryStore;
use crate::values::{AuditQuery, Page, PageRequest, StoredEvent};

/// What becomes of one batch.
enum Fate {
    Written,
    Refused(StoreError),
    /// It is written, but the answer is lost.
    Unheard,
}

/// A log with a gate in front of it, and faults that are told beforehand.
struct Odd {
    log: MemoryStore,
    gate: Semaphore,
    fates: Mutex<VecDeque<Fate>>,
    batches: Mutex<Vec<usize>>,
}

impl Odd {
    fn new(open: usize, fates: impl IntoIterator<Item = Fate>) -> Arc<Self> {
        Arc::new(Self {
            log: MemoryStore::with_clock(Arc::new(ManualClock::new())),
            gate: Semaphore::new(open),
            fates: Mutex::new(fates.into_iter().collect()),
            batches: Mutex::default(),
        })
    }

    async fn events(&self) -> Vec<AuditRecord> {
        let page = PageRequest::first(1_000);
        let page = self.log.audit(&AuditQuery::new(), &page).await.unwrap();
        page.items.into_iter().map(|event| event.record).collect()
    }
}

#[async_trait]
impl AuditLog for Odd {
    async fn append_audit(&self, records: Vec<AuditRecord>) -> Result<()> {
        self.gate.acquire().await.unwrap().forget();
        self.batches.lock().unwrap().push(records.len());
        let fate = self.fates.lock().unwrap().pop_front();
        match fate.unwrap_or(Fate::Written) {
            Fate::Written => self.log.append_audit(records).await,
            Fate::Refused(error) => Err(error),
            Fate::Unheard => {
                self.log.append_audit(records).await?;
                Err(StoreError::Uncertain {
                    reason: "test".to_owned(),
                })
            }
        }
    }

    async fn audit(&self, query: &AuditQuery, page: &PageRequest) -> Result<Page<StoredEvent>> {
        self.log.audit(query, page).await
    }

    async fn prune_audit(&self, retention: &Retention) -> Result<u64> {
        self.log.prune_audit(retention).await
    }
}

const OPEN: usize = 1_000;

fn away() -> Fate {
    Fate::Refused(StoreError::Unavailable {
        reason: "test".to_owned(),
        retryable: true,
    })
}

fn options(queue: usize, batch: usize) -> AuditWriterOptions {
    AuditWriterOptions {
        queue,
        batch,
        clock: Arc::new(ManualClock::new()),
        ..AuditWriterOptions::new()
    }
}

fn record(number: u32) -> AuditRecord {
    AuditRecord::new(Time::from_micros(0), number.to_string(), "m", "ok")
}

/// The callers of the events, the first stored first.
async fn callers(store: &Odd) -> Vec<String> {
    let mut events = store.events().await;
    events.reverse();
    events.into_iter().map(|event| event.caller_id).collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn what_comes_while_a_batch_is_written_is_the_next_batch() {
    let store = Odd::new(0, []);
    let writer = AuditWriter::start(Arc::clone(&store), options(100, 50)).unwrap();
    writer.write(record(0)).await.unwrap();
    // The worker has taken the first, and stands at the gate.
    while writer.0.queue.capacity() < 100 {
        tokio::task::yield_now().await;
    }
    for number in 1..90 {
        writer.write(record(number)).await.unwrap();
    }
    store.gate.add_permits(OPEN);
    writer.flush().await.unwrap();
    assert_eq!(callers(&store).await, numbers(0..90));
    assert_eq!(*store.batches.lock().unwrap(), [1, 50, 39]);
    let stats = writer.stats();
    assert_eq!((stats.written, stats.lost, stats.waiting), (90, 0, 0));
}

#[tokio::test]
async fn what_does_not_fit_is_counted_and_told_in_the_log() {
    let store = Odd::new(0, []);
    let writer = AuditWriter::start(Arc::clone(&store), options(3, 50)).unwrap();
    // Three events each, with names that are no texts of a database.
    for _ in 0..4 {
        audit_sink_contract(writer.clone());
    }
    assert_eq!(writer.stats().lost, 9);
    store.gate.add_permits(OPEN);
    writer.flush().await.unwrap();
    let events = store.events().await;
    assert_eq!(events.len(), 4);
    assert_eq!(events[0].method, "audit.lost");
    assert_eq!(events[0].error.as_deref(), Some("9 events"));
    assert_eq!(events[3].caller_kind, "local");
    assert_eq!(events[3].request_id, "\u{fffd}\n");
    assert_eq!(writer.stats().waiting, 0);
}

#[tokio::test]
async fn who_writes_waits_for_room() {
    let store = Odd::new(0, []);
    let writer = AuditWriter::start(Arc::clone(&store), options(1, 1)).unwrap();
    writer.write(record(0)).await.unwrap();
    while writer.0.queue.capacity() == 0 {
        tokio::task::yield_now().await;
    }
    writer.write(record(1)).await.unwrap();
    let mut waits = Box::pin(writer.write(record(2)));
    let waker = std::task::Waker::noop();
    let polled = waits
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker));
    assert!(polled.is_pending());
    store.gate.add_permits(OPEN);
    waits.await.unwrap();
    assert_eq!(writer.close(Duration::from_secs(60)).await, 0);
    assert_eq!(callers(&store).await, numbers(0..3));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_gets_each_event_later_and_once() {
    let fates = [away(), Fate::Unheard, away(), away(), Fate::Written];
    let store = Odd::new(OPEN, fates);
    let writer = AuditWriter::start(Arc::clone(&store), options(100, 50)).unwrap();
    for number in 0..20 {
        writer.write(record(number)).await.unwrap();
    }
    writer.flush().await.unwrap();
    assert_eq!(callers(&store).await, numbers(0..20));
    let stats = writer.stats();
    assert_eq!((stats.failures, stats.lost, stats.waiting), (4, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_lost_and_told_and_stops_nothing() {
    let refused = Fate::Refused(StoreError::invalid("it", "is odd"));
    let store = Odd::new(OPEN, [refused]);
    let writer = AuditWriter::start(Arc::clone(&store), options(100, 1)).unwrap();
    for number in 0..2 {
        writer.write(record(number)).await.unwrap();
    }
    writer.flush().await.unwrap();
    let events = store.events().await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].caller_id, "1");
    assert_eq!(events[0].error.as_deref(), Some("1 events"));
    assert_eq!(writer.stats().lost, 1);
}

#[tokio::test(start_paused = true)]
async fn close_does_not_wait_for_ever() {
    let store = Odd::new(0, []);
    let writer = AuditWriter::start(store, options(100, 50)).unwrap();
    writer.write(record(0)).await.unwrap();
    assert_eq!(writer.close(Duration::from_secs(60)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_nobody_has_gives_up_on_a_store_that_stays_away() {
    let store = Odd::new(OPEN, (0..100).map(|_| away()));
    let writer = AuditWriter::start(Arc::clone(&store), options(100, 50)).unwrap();
    writer.write(record(0)).await.unwrap();
    let tally = Arc::clone(&writer.0.tally);
    drop(writer);
    // Time passes by itself where all tasks wait for it.
    while Arc::strong_count(&store) > 1 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(tally.lost.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_is_deleted_now_and_then() {
    let store = Odd::new(OPEN, []);
    let mut options = options(100, 50);
    options.retention = Retention::of_count(3);
    options.prune_every = Duration::from_secs(10);
    let writer = AuditWriter::start(Arc::clone(&store), options).unwrap();
    for number in 0..20 {
        writer.write(record(number)).await.unwrap();
    }
    writer.flush().await.unwrap();
    while writer.stats().pruned < 17 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(callers(&store).await, numbers(17..20));
}

/// Everybody is a stranger.
struct Nobody;

#[async_trait]
impl mcp_gw_core::Authenticator for Nobody {
    async fn authenticate(
        &self,
        _: &mcp_gw_core::Credentials,
    ) -> std::result::Result<Arc<mcp_gw_core::Caller>, mcp_gw_core::AuthnError> {
        Err(mcp_gw_core::AuthnError::Missing)
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_do_not_fill_the_log_and_are_counted() {
    use mcp_gw_core::{Credentials, Deed, Gateway, Outcome, RequestMeta, Transport};

    let (store, clock) = (Odd::new(OPEN, []), ManualClock::new());
    let mut options = options(10_000, 50);
    options.clock = Arc::new(clock.clone());
    (options.refusals_per_address, options.refusals) = (3, 5);
    let writer = AuditWriter::start(Arc::clone(&store), options).unwrap();
    let builder = Gateway::builder().authenticator(Nobody);
    let gateway = builder.audit(writer.clone()).build().unwrap();
    let knock = async |address: &str| {
        let meta =
            RequestMeta::new("r", Transport::Http).with_client_addr(Some(address.parse().unwrap()));
        let none = Credentials::none(Transport::Http);
        gateway.authenticate(&none, &meta).await.unwrap_err();
    };
    for _ in 0..100 {
        knock("192.0.2.1").await;
    }
    // One network, however many addresses of it.
    for host in 1..=100 {
        knock(&format!("2001:db8::{host:x}")).await;
    }
    knock("192.0.2.2").await;
    // Whose password is tried is told however much noise somebody makes.
    let guess = async |address: &str, outcome: Outcome| {
        let meta =
            RequestMeta::new("r", Transport::Http).with_client_addr(Some(address.parse().unwrap()));
        let deed = Deed::new(outcome).with_name("ann");
        let work = std::future::ready(((), deed));
        gateway.audited(None, &meta, "login", work).await;
    };
    for _ in 0..4 {
        guess("192.0.2.1", Outcome::Unauthenticated).await;
    }
    let held_off = Outcome::Error(mcp_gw_core::ErrorClass::Limited);
    guess("192.0.2.1", held_off).await;
    // What somebody has done is written whatever else comes.
    writer.write(record(1)).await.unwrap();
    writer.flush().await.unwrap();
    let events = store.events().await;
    let refused = |events: &[AuditRecord]| {
        let refused = events.iter().filter(|event| event.method == "authenticate");
        refused.count()
    };
    assert_eq!((refused(&events), events.len()), (5, 10));
    // The rest is one event, though nobody comes any more.
    clock.advance(bound::WINDOW);
    while store.events().await.len() < 12 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let events = store.events().await;
    let told = events
        .iter()
        .filter(|event| event.method == "audit.left_out");
    let told: Vec<_> = told
        .map(|event| (event.name.as_deref(), event.error.as_deref()))
        .collect();
    assert_eq!(told.len(), 2);
    for said in [
        (Some("login"), Some("1 events")),
        (None, Some("196 events")),
    ] {
        assert!(told.contains(&said), "{told:?}");
    }
    // Another minute; what is counted in it is told at the end.
    for _ in 0..10 {
        knock("192.0.2.1").await;
    }
    assert_eq!(writer.close(Duration::from_secs(60)).await, 0);
    let events = store.events().await;
    assert_eq!((refused(&events), events.len()), (8, 16));
    let told = events
        .iter()
        .filter(|event| event.method == "audit.left_out");
    let told: Vec<_> = told.filter_map(|event| event.error.as_deref()).collect();
    assert!(told.contains(&"7 events"), "{told:?}");
}
