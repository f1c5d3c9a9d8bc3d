//! While Redis gives no answer: who decides, what is counted, what is written into the log.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mcp_gw_core::Clock;

use crate::algorithm::{Algorithm, Limit, LimitError};
use crate::store::{Demand, Standing, Store, StoreError, StoreStats};

use super::QUIET;
use super::config::OnError;
use super::failure::{Failure, FailureKind};
use super::script::Mode;

/// How a [`RedisStore`](super::RedisStore) is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisHealth {
    /// True when the last question was answered, or nobody asked yet, or there is a new connection
    /// since one failed.
    pub is_healthy: bool,
    /// True when there is a connection.
    pub is_connected: bool,
    /// For how long no question has been answered.
    pub failing_for: Option<Duration>,
    /// Why the last question that failed did, with a line for a person. Kept until one is answered.
    pub failure: Option<(FailureKind, String)>,
    /// What becomes of calls meanwhile.
    pub on_error: OnError,
}

/// What a [`RedisStore`](super::RedisStore) has done since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisStats {
    /// Questions that Redis answered.
    pub answered: u64,
    /// Questions that it did not, by reason.
    pub failures: [(FailureKind, u64); FailureKind::ALL.len()],
    /// Decisions that were made without Redis.
    pub fallbacks: u64,
    /// Times that the server had lost the script.
    pub reloads: u64,
    /// Connections made.
    pub connections: u64,
    /// Questions under way now.
    pub in_flight: usize,
    /// How many questions took up to each of [`RedisStats::BOUNDS`], and longer than the one before;
    /// and how many took longer than all of them.
    pub waits: [u64; Self::BOUNDS.len() + 1],
    /// How long all questions together took.
    pub waited: Duration,
}

impl RedisStats {
    /// Upper bounds of how long questions took.
    pub const BOUNDS: [Duration; 10] = [
        Duration::from_micros(100),
        Duration::from_micros(250),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2_500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(100),
        Duration::from_secs(1),
    ];
}

pub(super) struct Outage {
    on_error: OnError,
    nodes: u64,
    clock: Arc<dyn Clock>,
    answered: AtomicU64,
    failures: [AtomicU64; FailureKind::ALL.len()],
    fallbacks: AtomicU64,
    reloads: AtomicU64,
    waits: [AtomicU64; RedisStats::BOUNDS.len() + 1],
    waited_micros: AtomicU64,
    /// True while `episode` holds a failure: a look without a lock, for the good days.
    fails: AtomicBool,
    episode: Mutex<Episode>,
}

#[derive(Default)]
struct Episode {
    since: Option<Instant>,
    last: Option<Failure>,
    /// Connections there had been at the last failure.
    connections: u64,
    /// Failures since a line was written.
    unsaid: u64,
    said: Option<Instant>,
    /// True when this episode has a line that says how it began.
    is_known: bool,
}

impl Outage {
    pub(super) fn new(on_error: OnError, nodes: u32, clock: Arc<dyn Clock>) -> Self {
        Self {
            on_error,
            nodes: u64::from(nodes.max(1)),
            clock,
            answered: AtomicU64::new(0),
            failures: Default::default(),
            fallbacks: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
            waits: Default::default(),
            waited_micros: AtomicU64::new(0),
            fails: AtomicBool::new(false),
            episode: Mutex::default(),
        }
    }

    /// The time by which questions are measured.
    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// A question that was asked at `began` has ended, in whatever way.
    pub(super) fn waited(&self, began: Instant) {
        let waited = self.clock.now().saturating_duration_since(began);
        let bounds = &RedisStats::BOUNDS;
        let at = bounds.iter().position(|bound| waited <= *bound);
        if let Some(count) = self.waits.get(at.unwrap_or(bounds.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.waited_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Redis answered a question.
    pub(super) fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if !self.fails.load(Ordering::Relaxed) {
            return;
        }
        let mut episode = self.episode();
        self.fails.store(false, Ordering::Relaxed);
        let ended = std::mem::take(&mut *episode);
        episode.said = ended.said;
        episode.unsaid = ended.unsaid;
        drop(episode);
        if let (true, Some(since)) = (ended.is_known, ended.since) {
            let lasted = self.clock.now().saturating_duration_since(since);
            tracing::info!(?lasted, "Redis answers again; rate limits are shared again");
        }
    }

    /// Redis did not answer a question.
    pub(super) fn failed(&self, failure: &Failure, connections: u64) {
        if let Some(count) = self.failures.get(failure.kind.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let now = self.clock.now();
        let mut episode = self.episode();
        self.fails.store(true, Ordering::Relaxed);
        episode.since.get_or_insert(now);
        episode.last = Some(failure.clone());
        episode.connections = connections;
        episode.unsaid = episode.unsaid.saturating_add(1);
        let quiet = |said: Instant| now.saturating_duration_since(said) < QUIET;
        if episode.said.is_some_and(quiet) {
            return;
        }
        let failures = std::mem::take(&mut episode.unsaid);
        episode.said = Some(now);
        episode.is_known = true;
        drop(episode);
        tracing::warn!(
            kind = failure.kind.as_str(),
            reason = failure.text,
            failures,
            on_error = self.on_error.as_str(),
            "Redis does not decide on rate limits"
        );
    }

    /// A question was not asked, as too many wait: that says nothing of Redis.
    pub(super) fn crowded(&self) {
        if let Some(count) = self.failures.get(FailureKind::Busy.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The server had lost the script.
    pub(super) fn reloaded(&self) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }

    /// Decides in the place of Redis; `local` counts, if anything does.
    pub(super) async fn stand_in(
        &self,
        local: &dyn Store,
        mode: Mode,
        demands: &[Demand<'_>],
        failure: &Failure,
    ) -> Result<Vec<Standing>, StoreError> {
        match self.on_error {
            OnError::Deny => return Err(StoreError::new(failure.to_string())),
            OnError::Allow => {
                self.fallbacks.fetch_add(1, Ordering::Relaxed);
                let full = |demand: &Demand<'_>| {
                    let left = demand.limit.capacity().saturating_sub(demand.cost);
                    Standing::admitted(left, Duration::ZERO)
                };
                return Ok(demands.iter().map(full).collect());
            }
            OnError::Local => {}
        }
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
        let shares = demands
            .iter()
            .map(|demand| share(demand.limit, self.nodes))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| StoreError::new(error.to_string()))?;
        let demands: Vec<_> = demands
            .iter()
            .zip(&shares)
            .map(|(demand, share)| Demand {
                limit: share,
                cost: cost(demand, share),
                ..*demand
            })
            .collect();
        match mode {
            Mode::Charge => local.charge(&demands).await,
            Mode::Peek => local.peek(&demands).await,
        }
    }

    pub(super) fn health(
        &self,
        standing: Option<&Result<(), Failure>>,
        connections: u64,
    ) -> RedisHealth {
        let episode = self.episode();
        let is_connected = matches!(standing, Some(Ok(())));
        let failure = episode.last.as_ref();
        // A new connection mends what a connection can mend.
        let is_mended = |failure: &Failure| {
            is_connected && connections > episode.connections && failure.is_of_connection()
        };
        RedisHealth {
            is_healthy: failure.is_none_or(is_mended) && !matches!(standing, Some(Err(_))),
            is_connected,
            failing_for: episode
                .since
                .map(|since| self.clock.now().saturating_duration_since(since)),
            failure: failure.map(|failure| (failure.kind, failure.text.clone())),
            on_error: self.on_error,
        }
    }

    pub(super) fn stats(&self, connections: u64, in_flight: usize) -> RedisStats {
        let mut failures = FailureKind::ALL.map(|kind| (kind, 0));
        for ((_, count), counted) in failures.iter_mut().zip(&self.failures) {
            *count = counted.load(Ordering::Relaxed);
        }
        RedisStats {
            answered: self.answered.load(Ordering::Relaxed),
            failures,
            fallbacks: self.fallbacks.load(Ordering::Relaxed),
            reloads: self.reloads.load(Ordering::Relaxed),
            connections,
            in_flight,
            waits: std::array::from_fn(|at| {
                let count = self.waits.get(at);
                count.map_or(0, |count| count.load(Ordering::Relaxed))
            }),
            waited: Duration::from_micros(self.waited_micros.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn store_stats(&self, local: &dyn Store, healthy: bool) -> StoreStats {
        let errors = self.failures.iter().map(|it| it.load(Ordering::Relaxed));
        StoreStats {
            fallbacks: self.fallbacks.load(Ordering::Relaxed),
            errors: errors.sum(),
            healthy,
            // Keys of this process: those that were counted here during an outage.
            ..local.stats()
        }
    }

    /// Nothing panics while it is held, so that what a poisoned one holds is whole.
    fn episode(&self) -> MutexGuard<'_, Episode> {
        self.episode.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outage")
            .field("on_error", &self.on_error)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

/// The part of a limit that one of `nodes` gateways may admit: at least 1.
fn share(limit: &Limit, nodes: u64) -> Result<Limit, LimitError> {
    let part = |whole: u64| whole.checked_div(nodes).unwrap_or(whole).max(1);
    let algorithm = match limit.algorithm() {
        Algorithm::Gcra { burst } => {
            let burst = NonZeroU64::new(part(burst.get())).unwrap_or(NonZeroU64::MIN);
            Algorithm::gcra(burst)
        }
        other => other,
    };
    let name = Arc::clone(limit.name());
    let share = Limit::new(name, part(limit.quota()), limit.window(), algorithm)?;
    Ok(share.with_penalty(limit.penalty()))
}

/// What a call that the whole limit has room for costs of a share: at most all of it, or a dear
/// tool could not be used at all.
fn cost(demand: &Demand<'_>, share: &Limit) -> u64 {
    if demand.cost > demand.limit.capacity() {
        demand.cost
    } else {
        demand.cost.min(share.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_part_and_at_least_one() {
        let minute = Duration::from_secs(60);
        let burst = NonZeroU64::new(10).unwrap();
        for (quota, nodes, part) in [(100, 3, 33), (100, 1, 100), (2, 3, 1), (1, 10_000, 1)] {
            let window = Limit::new("l", quota, minute, Algorithm::SlidingWindow).unwrap();
            let shared = share(&window.with_penalty(true), nodes).unwrap();
            assert_eq!(shared.quota(), part);
            assert!(shared.penalty());
            let bucket = Limit::new("l", quota, minute, Algorithm::gcra(burst)).unwrap();
            let shared = share(&bucket, nodes).unwrap();
            assert_eq!(shared.quota(), part);
            assert_eq!(shared.capacity(), (10 / nodes).max(1));
        }
    }

    #[test]
    fn a_dear_call_takes_all_of_a_share_and_no_more() {
        let minute = Duration::from_secs(60);
        let limit = Limit::new("l", 10, minute, Algorithm::SlidingWindow).unwrap();
        let shared = share(&limit, 4).unwrap();
        let key = crate::store::Key::from_bytes([0; 16]);
        for (units, costs) in [(0, 0), (1, 1), (5, 2), (10, 2), (11, 11)] {
            assert_eq!(cost(&Demand::new(&limit, key, units), &shared), costs);
        }
    }

    /// Counts log lines and does nothing else.
    #[derive(Clone, Default)]
    struct Lines(Arc<AtomicU64>);

    impl tracing::Subscriber for Lines {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn an_outage_is_written_down_and_does_not_flood_the_log() {
        let lines = Lines::default();
        let clock = mcp_gw_core::testing::ManualClock::new();
        let outage = Outage::new(OnError::Local, 1, Arc::new(clock.clone()));
        let failure = Failure::new(FailureKind::Lost, "gone");
        let written = || lines.0.load(Ordering::Relaxed);
        tracing::subscriber::with_default(lines.clone(), || {
            outage.answered();
            assert_eq!(written(), 0);
            outage.failed(&failure, 0);
            assert_eq!(written(), 1);
            // It comes and goes: that it came back is said once, and then nothing for a while.
            for _ in 0..1_000 {
                outage.failed(&failure, 0);
                outage.answered();
            }
            assert_eq!(written(), 2);
            clock.advance(QUIET);
            for _ in 0..1_000 {
                outage.failed(&failure, 0);
            }
            assert_eq!(written(), 3);
            outage.answered();
            assert_eq!(written(), 4);
        });
        let stats = outage.stats(0, 0);
        let lost = (FailureKind::Lost, 2_001);
        assert!(stats.failures.contains(&lost), "{stats:?}");
        assert_eq!(stats.answered, 1_002);
    }
}
