//! The counters that requests move: atomics, found by the parts of an audit event.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use mcp_gw_core::{AuditEvent, ErrorClass, Outcome};

use super::apis::Apis;
use super::exposition::Spread;
use super::policy::Decisions;
use super::table::{NameTable, OTHER};

/// How many servers are told apart.
const MAX_SERVERS: usize = 512;
/// How many methods of one server are told apart. They are names in the code of the gateway.
const MAX_METHODS: usize = 96;
/// How many tools of one server are told apart. A server chooses their names.
pub(super) const MAX_TOOLS: usize = 1000;

/// Ways to end that are no error, in the order of their counters; those of errors follow.
const ENDS: [Outcome; 5] = [
    Outcome::Ok,
    Outcome::ToolError,
    Outcome::Unauthenticated,
    Outcome::Cancelled,
    Outcome::Stopped,
];

const TRANSPORTS: [&str; 4] = ["http", "stdio", "in_process", OTHER];

/// The upper bounds of the buckets of durations, in seconds.
const BOUNDS: [f64; 17] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 60.0,
];

/// A counter for each way to end.
#[derive(Debug, Default)]
pub(super) struct Outcomes([AtomicU64; ENDS.len() + ErrorClass::ALL.len() + 1]);

impl Outcomes {
    fn add(&self, outcome: Outcome) {
        let at = match outcome {
            Outcome::Error(class) => {
                let at = ErrorClass::ALL.iter().position(|other| *other == class);
                at.map(|at| ENDS.len() + at)
            }
            outcome => ENDS.iter().position(|end| *end == outcome),
        };
        if let Some(count) = self.0.get(at.unwrap_or(self.0.len() - 1)) {
            add(count, 1);
        }
    }

    /// Those that happened, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let classes = ErrorClass::ALL.iter().copied().map(Outcome::Error);
        let ends = ENDS.into_iter().chain(classes).map(Outcome::as_str);
        let counts = self.0.iter().map(load);
        let all = ends.chain(std::iter::once(OTHER)).zip(counts);
        all.filter(|(_, count)| *count > 0)
    }
}

/// How often something took how long.
#[derive(Debug, Default)]
pub(super) struct Durations {
    buckets: [AtomicU64; BOUNDS.len()],
    above: AtomicU64,
    nanos: AtomicU64,
}

impl Durations {
    pub(super) fn add(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let at = BOUNDS.iter().position(|bound| seconds <= *bound);
        let bucket = at.and_then(|at| self.buckets.get(at));
        add(bucket.unwrap_or(&self.above), 1);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        add(&self.nanos, nanos);
    }

    pub(super) fn spread(&self) -> Spread {
        let buckets = BOUNDS.into_iter().zip(self.buckets.iter().map(load));
        let sum = Duration::from_nanos(load(&self.nanos)).as_secs_f64();
        Spread::new(buckets, load(&self.above), sum)
    }
}

/// What is counted of one method at one server.
#[derive(Debug, Default)]
pub(super) struct MethodSeries {
    by_transport: [Outcomes; TRANSPORTS.len()],
    pub(super) durations: Durations,
    pub(super) request_bytes: AtomicU64,
    pub(super) response_bytes: AtomicU64,
    pub(super) decisions: Decisions,
    /// Of lists: what there is, and what the caller saw.
    pub(super) items: [AtomicU64; 2],
}

impl MethodSeries {
    fn add(&self, event: &AuditEvent) {
        let transport = event.transport.as_str();
        let at = TRANSPORTS.iter().position(|name| *name == transport);
        let outcomes = at.and_then(|at| self.by_transport.get(at));
        if let Some(outcomes) = outcomes.or(self.by_transport.last()) {
            outcomes.add(event.outcome);
        }
        self.durations.add(event.duration);
        add(&self.request_bytes, size(event.request_bytes));
        add(&self.response_bytes, size(event.response_bytes));
        self.decisions.add(event);
        if let Some((all, visible)) = event.items {
            for (count, more) in self.items.iter().zip([all, visible]) {
                add(count, size(more));
            }
        }
    }

    /// The counters of each transport.
    pub(super) fn transports(&self) -> impl Iterator<Item = (&'static str, &Outcomes)> {
        TRANSPORTS.into_iter().zip(&self.by_transport)
    }
}

/// What is counted of one server; of none for requests that no server has.
#[derive(Debug)]
pub(super) struct ServerSeries {
    pub(super) methods: NameTable<MethodSeries>,
    /// Made with the first call, as not every server has tools.
    tools: OnceLock<NameTable<Outcomes>>,
}

impl Default for ServerSeries {
    fn default() -> Self {
        Self {
            methods: NameTable::new(MAX_METHODS),
            tools: OnceLock::new(),
        }
    }
}

impl ServerSeries {
    pub(super) fn tools(&self) -> impl Iterator<Item = (&str, &Outcomes)> {
        self.tools.get().into_iter().flat_map(NameTable::iter)
    }
}

/// All that requests count.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) servers: NameTable<ServerSeries>,
    pub(super) in_flight: NameTable<AtomicI64>,
    pub(super) apis: Apis,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            servers: NameTable::new(MAX_SERVERS),
            in_flight: NameTable::new(MAX_METHODS),
            apis: Apis::default(),
        }
    }
}

impl Series {
    pub(super) fn opened(&self, method: &str) {
        self.in_flight.of(method).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self, event: &AuditEvent) {
        let of_method = self.in_flight.of(event.method);
        of_method.fetch_sub(1, Ordering::Relaxed);
        let server = self.servers.of(event.server.as_deref().unwrap_or_default());
        server.methods.of(event.method).add(event);
        if let (Some(api), Some(exchange)) = (&event.server, &event.exchange) {
            self.apis.add(api, exchange, event.time + event.duration);
        }
        // What nobody has is named by clients, and gets no counter.
        if let ("tools/call", true, Some(name)) = (event.method, event.name_known, &event.name) {
            let tools = server.tools.get_or_init(|| NameTable::new(MAX_TOOLS));
            tools.of(name).add(event.outcome);
        }
    }
}

pub(super) fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::Transport;

    use super::*;

    #[test]
    fn every_outcome_is_counted_under_its_name() {
        let classes = ErrorClass::ALL.iter().copied().map(Outcome::Error);
        for outcome in ENDS.into_iter().chain(classes) {
            let outcomes = Outcomes::default();
            outcomes.add(outcome);
            let found: Vec<_> = outcomes.iter().collect();
            assert_eq!(found, [(outcome.as_str(), 1)]);
        }
    }

    #[test]
    fn every_transport_has_a_place() {
        for transport in [Transport::Http, Transport::Stdio, Transport::InProcess] {
            assert!(TRANSPORTS.contains(&transport.as_str()));
        }
    }

    #[test]
    fn a_duration_is_in_the_first_bucket_that_holds_it() {
        let durations = Durations::default();
        for micros in [0, 100, 101, 60_000_000, 60_000_001] {
            durations.add(Duration::from_micros(micros));
        }
        let mut spread = [0; BOUNDS.len()];
        (spread[0], spread[1], spread[16]) = (2, 1, 1);
        let expected = Spread::new(BOUNDS.into_iter().zip(spread), 1, 120.000_202);
        assert_eq!(durations.spread(), expected);
        assert!(BOUNDS.is_sorted());
    }
}
