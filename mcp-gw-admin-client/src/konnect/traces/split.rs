//! Where the time of a trace went.

use schemars::JsonSchema;
use serde::Serialize;

use super::phase::{self, Place};
use super::tree::{Trace, milliseconds};
use crate::konnect::spread::{number, rounded};

/// Mean milliseconds of a request. The parts are as the gateway measures them: they may lie over each other, and their
/// sum need not be the total.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Split {
    /// All of it.
    pub total_ms: f64,
    /// The gateway's own work.
    pub gateway_ms: f64,
    /// The upstream.
    pub upstream_ms: f64,
    /// Waiting for others on behalf of the gateway or a plugin: name servers, identity providers, Redis.
    pub third_party_io_ms: f64,
    /// The client.
    pub client_ms: f64,
    /// What it was read from.
    pub source: SplitSource,
}

/// What a [`Split`] was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum SplitSource {
    /// Attributes of the root, where the gateway writes what it measured.
    Attributes,
    /// Times of the spans by their names, as the root does not say.
    Spans,
    /// Some traces by the one, some by the other.
    Both,
}

impl Split {
    /// The mean of some traces; `None` of none.
    pub(super) fn of(traces: &[Trace]) -> Option<Self> {
        let parts: Vec<Self> = traces.iter().map(Self::of_one).collect();
        let first = parts.first()?;
        let is_one = parts.iter().all(|part| part.source == first.source);
        let count = number(parts.len());
        let mean = |of: fn(&Self) -> f64| rounded(parts.iter().map(|part| of(part) / count).sum());
        Some(Self {
            total_ms: mean(|part| part.total_ms),
            gateway_ms: mean(|part| part.gateway_ms),
            upstream_ms: mean(|part| part.upstream_ms),
            third_party_io_ms: mean(|part| part.third_party_io_ms),
            client_ms: mean(|part| part.client_ms),
            source: if is_one {
                first.source
            } else {
                SplitSource::Both
            },
        })
    }

    fn of_one(trace: &Trace) -> Self {
        let root = trace.root();
        let said = |name: &str| {
            let value = root?.attribute(&format!("proxy.kong.latency.{name}"))?;
            value
                .parse::<f64>()
                .ok()
                .filter(|ms| ms.is_finite() && *ms >= 0.0)
        };
        let total_ms = trace.duration_ms();
        let (internal, upstream) = (said("internal"), said("upstream"));
        if internal.is_some() || upstream.is_some() {
            return Self {
                total_ms: said("total").unwrap_or(total_ms),
                gateway_ms: internal.unwrap_or(0.0),
                upstream_ms: upstream.unwrap_or(0.0),
                third_party_io_ms: said("3p.total_io").unwrap_or(0.0),
                client_ms: said("client").unwrap_or(0.0),
                source: SplitSource::Attributes,
            };
        }
        let places = places(trace);
        let sum = |wanted: Place| {
            let spans = trace.spans.iter().zip(&places);
            let own = spans
                .filter(|(_, place)| **place == wanted)
                .map(|(span, _)| span.self_ns);
            milliseconds(own.fold(0, u64::saturating_add))
        };
        Self {
            total_ms,
            gateway_ms: sum(Place::Gateway),
            upstream_ms: sum(Place::Upstream),
            third_party_io_ms: sum(Place::ThirdParty),
            client_ms: sum(Place::Client),
            source: SplitSource::Spans,
        }
    }
}

/// Whose time each span is. I/O with the upstream or the client is theirs.
pub(super) fn places(trace: &Trace) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::with_capacity(trace.spans.len());
    for span in &trace.spans {
        let above = span.parent.and_then(|parent| places.get(parent).copied());
        places.push(match (phase::place(&span.name), above) {
            (Place::ThirdParty, Some(above @ (Place::Upstream | Place::Client))) => above,
            (own, _) => own,
        });
    }
    places
}
