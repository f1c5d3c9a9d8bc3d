//! Metrics: what requests and the parts of a gateway count, as text for Prometheus.
//!
//! [`Metrics`] is an [`AuditSink`]: what it counts comes from the same event as the audit log. There
//! is no global registry. A part with counters of its own is a [`MetricsSource`]. All that is counted
//! is bounded in number, whatever clients and servers say: names of tools become labels only when the
//! catalogue has them, and at most a thousand of each server; the rest counts as `other`.

#[cfg(feature = "cli")]
mod answer;
mod apis;
mod exposition;
mod limits;
#[cfg(feature = "cli")]
mod listener;
mod live;
mod policy;
mod series;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use mcp_gw_core::{AuditEvent, AuditSink, Clock as _, ErrorClass, Outcome, SystemClock};

pub use exposition::{Counters, Families, Format, Gauges, Histograms, Spread};
#[cfg(feature = "cli")]
pub use listener::{MetricsListener, MetricsListenerError};
pub(crate) use live::Live;
use series::{Series, load};

/// A part of a gateway that counts for itself.
///
/// Asked once per scrape, from any task. It must not block and must not panic. The values of labels
/// must come from a set that is bounded: never what clients say. Names of metrics and labels are as
/// Prometheus wants them, `mcp_gw_<thing>_<unit>` with `_total` for counters; what is not is left out.
///
/// ```
/// use mcp_gw_server::metrics::{Families, Format, Metrics, MetricsSource};
///
/// struct Sheep(u64);
/// impl MetricsSource for Sheep {
///     fn collect(&self, families: &mut Families) {
///         let mut counted = families.counter("sheep_counted_total", "Sheep that were counted.");
///         counted.add(&[("colour", "white")], self.0);
///     }
/// }
///
/// let metrics = Metrics::new();
/// let registration = metrics.register(Sheep(7));
/// let text = metrics.render(Format::Prometheus);
/// assert!(text.contains("sheep_counted_total{colour=\"white\"} 7\n"));
/// drop(registration);
/// assert!(!metrics.render(Format::Prometheus).contains("sheep"));
/// ```
pub trait MetricsSource: Send + Sync + 'static {
    /// Adds what it has counted since it was made.
    fn collect(&self, families: &mut Families);
}

impl<T: MetricsSource + ?Sized> MetricsSource for Arc<T> {
    fn collect(&self, families: &mut Families) {
        (**self).collect(families);
    }
}

/// Counts what happens to requests, and asks [`MetricsSource`]s for what else there is. A cheap
/// clone; it outlives the gateways that it counts for, so that a new configuration resets nothing.
///
/// Without [`Launch`](crate::Launch) it is given to
/// [`GatewayBuilder::audit`](mcp_gw_core::GatewayBuilder::audit) before the first request, beside the
/// sink that writes the audit log.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    started: SystemTime,
    series: Series,
    sources: Mutex<Sources>,
}

#[derive(Default)]
struct Sources {
    next: u64,
    all: Vec<(u64, Arc<dyn MetricsSource>)>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing has been counted.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            started: SystemClock::new().wall(),
            series: Series::default(),
            sources: Mutex::default(),
        }))
    }

    /// Asks `source` at each scrape, until what this returns is dropped. Of a level that two sources
    /// tell, that of the later one counts.
    pub fn register(&self, source: impl MetricsSource) -> Registration {
        let mut sources = self.0.sources();
        let id = sources.next;
        sources.next += 1;
        sources.all.push((id, Arc::new(source)));
        Registration {
            inner: Arc::downgrade(&self.0),
            id,
        }
    }

    /// Everything as it is now.
    pub fn collect(&self) -> Families {
        let mut families = Families::default();
        self.0.process(&mut families);
        self.0.requests(&mut families);
        self.0.tools(&mut families);
        let now = SystemClock::new().wall();
        self.0.series.apis.collect(&mut families, now);
        // Not under the lock: a source may take its time.
        let sources = self.0.sources().all.clone();
        for (_, source) in sources {
            source.collect(&mut families);
        }
        families
    }

    /// Everything as it is now, as text.
    pub fn render(&self, format: Format) -> String {
        self.collect().render(format)
    }
}

impl AuditSink for Metrics {
    fn opened(&self, method: &'static str) {
        self.0.series.opened(method);
    }

    fn record(&self, event: &AuditEvent) {
        self.0.series.closed(event);
    }
}

/// That a source is asked. Dropping it ends that.
#[must_use = "dropping it takes the source out again"]
pub struct Registration {
    inner: Weak<Inner>,
    id: u64,
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}

impl Registration {
    /// Asks `source` from now on in place of the one before: no scrape sees both or none.
    pub fn replace(&self, source: impl MetricsSource) {
        let source: Arc<dyn MetricsSource> = Arc::new(source);
        let Some(inner) = self.inner.upgrade() else {
            return;
        };
        let mut sources = inner.sources();
        let old = sources.all.iter_mut().find(|(id, _)| *id == self.id);
        let old = old.map(|(_, old)| std::mem::replace(old, source));
        // Its end may be the end of much else, and that of a registration.
        drop(sources);
        drop(old);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(inner) = self.inner.upgrade() else {
            return;
        };
        let mut sources = inner.sources();
        let at = sources.all.iter().position(|(id, _)| *id == self.id);
        let old = at.map(|at| sources.all.remove(at));
        drop(sources);
        drop(old);
    }
}

impl Inner {
    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn process(&self, families: &mut Families) {
        families
            .gauge("mcp_gw_build_info", "Always 1; the label says what runs.")
            .set(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        let since = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        families
            .gauge(
                "mcp_gw_start_time_seconds",
                "When counting began, in seconds since 1970.",
            )
            .set(&[], since.as_secs_f64());
    }

    /// What is counted by server and method. Every family is there, also when nothing has happened.
    fn requests(&self, families: &mut Families) {
        for count in REQUESTS {
            families.counter(count.name, count.help);
        }
        families.histogram(SECONDS.0, SECONDS.1);
        for (server, counted) in self.series.servers.iter() {
            for (method, of) in counted.methods.iter() {
                let at = [("method", method), ("server", server)];
                let [all, auth, limited, sent, received, decisions, items] = &REQUESTS;
                for (transport, outcomes) in of.transports() {
                    for (outcome, count) in outcomes.iter() {
                        let [by_method, by_server] = at;
                        let carried = ("transport", transport);
                        let ended = ("outcome", outcome);
                        all.add(families, &[by_method, by_server, ended, carried], count);
                        if outcome == Outcome::Unauthenticated.as_str() {
                            auth.add(families, &[carried], count);
                        } else if outcome == ErrorClass::Limited.as_str() {
                            limited.add(families, &at, count);
                        }
                    }
                }
                let durations = of.durations.spread();
                families.histogram(SECONDS.0, SECONDS.1).add(&at, durations);
                sent.add(families, &at, load(&of.request_bytes));
                received.add(families, &at, load(&of.response_bytes));
                for (labels, count) in of.decisions.iter() {
                    decisions.add(families, &[&at[..], &labels].concat(), count);
                }
                for (state, count) in ["upstream", "visible"].into_iter().zip(&of.items) {
                    if method.ends_with("/list") && method != "roots/list" {
                        items.add(
                            families,
                            &[("method", method), ("state", state)],
                            load(count),
                        );
                    }
                }
            }
        }
        let mut open = families.gauge(
            "mcp_gw_requests_in_flight",
            "Requests that have not ended, by method.",
        );
        for (method, count) in self.series.in_flight.iter() {
            let count = count.load(std::sync::atomic::Ordering::Relaxed).max(0);
            #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52")]
            open.set(&[("method", method)], count as f64);
        }
    }

    fn tools(&self, families: &mut Families) {
        let mut calls = families.counter(
            "mcp_gw_tool_calls_total",
            "Calls of tools that are in the catalogue, by server, tool and outcome.",
        );
        for (server, counted) in self.series.servers.iter() {
            for (tool, outcomes) in counted.tools() {
                for (outcome, count) in outcomes.iter() {
                    let labels = [("server", server), ("tool", tool), ("outcome", outcome)];
                    calls.add(&labels, count);
                }
            }
        }
    }
}

const SECONDS: (&str, &str) = (
    "mcp_gw_request_seconds",
    "How long requests took, by method and server.",
);

/// A counter of requests.
struct Count {
    name: &'static str,
    help: &'static str,
}

impl Count {
    fn add(&self, families: &mut Families, labels: &[(&'static str, &str)], count: u64) {
        families.counter(self.name, self.help).add(labels, count);
    }
}

const REQUESTS: [Count; 7] = [
    Count {
        name: "mcp_gw_requests_total",
        help: "Requests that ended, by method, server, outcome and transport.",
    },
    Count {
        name: "mcp_gw_auth_failures_total",
        help: "Credentials that were missing or wrong, by transport.",
    },
    Count {
        name: "mcp_gw_rate_limited_total",
        help: "Requests that a limit refused, by method and server.",
    },
    Count {
        name: "mcp_gw_request_bytes_total",
        help: "Length of arguments in bytes, by method and server.",
    },
    Count {
        name: "mcp_gw_response_bytes_total",
        help: "Length of results in bytes, by method and server.",
    },
    Count {
        name: "mcp_gw_policy_decisions_total",
        help: "What the policy said to requests, and (mode shadow) would have said.",
    },
    Count {
        name: "mcp_gw_list_items_total",
        help: "Items of lists that were answered: what there was, and what the caller saw.",
    },
];

#[cfg(test)]
mod tests;
