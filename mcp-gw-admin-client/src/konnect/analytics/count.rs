//! What rows come to.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Row;
use crate::konnect::Spread;
use crate::konnect::spread::{number, percent};

/// What some rows come to. Everything is about these rows, not about all requests that there were.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Counts {
    /// How many rows there are.
    pub requests: usize,
    /// There may be more than these rows: there are as many as were asked for.
    pub is_cut: bool,
    /// Status 200 to 299.
    pub success: usize,
    /// Status 400 and above.
    pub failures: usize,
    /// Status 400 to 499.
    pub client_errors: usize,
    /// Status 500 and above.
    pub server_errors: usize,
    /// Rows without a status.
    pub without_status: usize,
    /// Success in per cent of the rows with a status.
    pub success_percent: f64,
    /// Where the time went.
    pub latency_ms: Latencies,
    /// Most frequent first.
    pub statuses: Vec<Share>,
    /// Consumers, each with its `consumer_id`; see [`Ranking`].
    pub consumers: Vec<Top>,
    /// Services (`service_id`).
    pub services: Vec<Top>,
    /// Routes (`route_id`).
    pub routes: Vec<Top>,
    /// How many consumers, services and routes are not listed, as there are too many.
    pub not_listed: PerKind,
    /// How many rows have no consumer, no service, no route.
    pub rows_without: PerKind,
}

/// A number for each kind of entity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct PerKind {
    /// Of consumers.
    pub consumers: usize,
    /// Of services.
    pub services: usize,
    /// Of routes.
    pub routes: usize,
}

/// Where the time went, in milliseconds. A part that no row has is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Latencies {
    /// Until the response was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Spread>,
    /// In the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Spread>,
    /// In the gateway's own work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal: Option<Spread>,
    /// In the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Spread>,
}

/// How often a status is there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Share {
    /// The status.
    pub status: u16,
    /// How many rows.
    pub count: usize,
    /// Of the rows with a status, in per cent.
    pub percent: f64,
}

/// A consumer, service or route, with its part of the rows.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Top {
    /// Its id, which is written under the name that tools want it as.
    #[serde(skip)]
    pub id: String,
    #[serde(flatten)]
    #[schemars(skip)]
    named: Named,
    /// Its control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_id: Option<String>,
    /// How many rows.
    pub requests: usize,
    /// How many of them have a status of 400 and above.
    pub failures: usize,
    /// Of all rows, in per cent.
    pub percent: f64,
    /// Failures of its rows, in per cent.
    pub failure_percent: f64,
    /// Mean time until the response was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_response_ms: Option<f64>,
    /// Its statuses, most frequent first, five at most.
    pub statuses: Vec<Share>,
}

/// An id as `consumer_id`, `service_id` or `route_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named(&'static str, String);

impl Serialize for Named {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, &self.1)])
    }
}

/// What comes first among consumers, services and routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ranking {
    /// Most rows first.
    Requests,
    /// Most failures first.
    Failures,
}

/// Counts rows: `asked` is how many were asked for, `listed` how many consumers, services and routes are listed.
pub fn count(rows: &[Row], asked: usize, ranking: Ranking, listed: usize) -> Counts {
    let whole = Group::of(rows.iter().collect());
    let tops = |name, of: fn(&Row) -> Option<&str>| top(rows, (name, of), ranking, listed);
    let (consumers, more_consumers) = tops("consumer_id", |row| row.consumer_id.as_deref());
    let (services, more_services) = tops("service_id", |row| row.service_id.as_deref());
    let (routes, more_routes) = tops("route_id", |row| row.route_id.as_deref());
    let spread = |of: fn(&Row) -> Option<f64>| Spread::of(rows.iter().filter_map(of));
    let rows_that = |of: fn(&Row) -> bool| rows.iter().filter(|row| of(row)).count();
    let with_status = rows.len() - rows_that(|row| row.status.is_none());
    let is_success = |row: &Row| {
        row.status
            .is_some_and(|status| (200..300).contains(&status))
    };
    let success = rows_that(is_success);
    Counts {
        requests: rows.len(),
        is_cut: rows.len() >= asked,
        success,
        failures: whole.failures(),
        client_errors: rows_that(|row| row.status.is_some_and(|s| (400..500).contains(&s))),
        server_errors: rows_that(|row| row.status.is_some_and(|s| s >= 500)),
        without_status: rows.len() - with_status,
        success_percent: percent(number(success), number(with_status)),
        latency_ms: Latencies {
            response: spread(|row| row.response_ms),
            gateway: spread(|row| row.gateway_ms),
            internal: spread(|row| row.internal_ms),
            upstream: spread(|row| row.upstream_ms),
        },
        statuses: whole.statuses(usize::MAX),
        consumers,
        services,
        routes,
        not_listed: PerKind {
            consumers: more_consumers,
            services: more_services,
            routes: more_routes,
        },
        rows_without: PerKind {
            consumers: rows_that(|row| row.consumer_id.is_none()),
            services: rows_that(|row| row.service_id.is_none()),
            routes: rows_that(|row| row.route_id.is_none()),
        },
    }
}

fn top(
    rows: &[Row],
    (name, of): (&'static str, fn(&Row) -> Option<&str>),
    ranking: Ranking,
    listed: usize,
) -> (Vec<Top>, usize) {
    let mut groups: HashMap<(Option<&str>, &str), Vec<&Row>> = HashMap::new();
    for row in rows {
        if let Some(id) = of(row) {
            // Of another plane than the row itself: its id says so.
            let (plane, id) = match id.split_once(':') {
                Some((plane, id)) => (Some(plane), id),
                None => (row.control_plane_id.as_deref(), id),
            };
            groups.entry((plane, id)).or_default().push(row);
        }
    }
    let mut all: Vec<Top> = groups
        .into_iter()
        .map(|((plane, id), group)| Group::of(group).top(plane, (name, id), rows.len()))
        .collect();
    all.sort_by(|a, b| {
        let key = |top: &Top| match ranking {
            Ranking::Requests => (top.requests, top.failures),
            Ranking::Failures => (top.failures, top.requests),
        };
        let names = || (&a.control_plane_id, &a.id).cmp(&(&b.control_plane_id, &b.id));
        key(b).cmp(&key(a)).then_with(names)
    });
    let more = all.len().saturating_sub(listed);
    all.truncate(listed);
    (all, more)
}

/// Some of the rows.
struct Group<'r> {
    rows: Vec<&'r Row>,
}

impl<'r> Group<'r> {
    const fn of(rows: Vec<&'r Row>) -> Self {
        Self { rows }
    }

    fn failures(&self) -> usize {
        let failed = |row: &&&Row| row.status.is_some_and(|status| status >= 400);
        self.rows.iter().filter(failed).count()
    }

    /// Most frequent first, and the least of those that are equally frequent.
    fn statuses(&self, most: usize) -> Vec<Share> {
        let mut counts: HashMap<u16, usize> = HashMap::new();
        for status in self.rows.iter().filter_map(|row| row.status) {
            *counts.entry(status).or_default() += 1;
        }
        let with_status = number(counts.values().sum());
        let mut shares: Vec<Share> = counts
            .into_iter()
            .map(|(status, count)| Share {
                status,
                count,
                percent: percent(number(count), with_status),
            })
            .collect();
        shares.sort_by_key(|share| (std::cmp::Reverse(share.count), share.status));
        shares.truncate(most);
        shares
    }

    fn top(&self, plane: Option<&str>, (name, id): (&'static str, &str), all: usize) -> Top {
        let (requests, failures) = (self.rows.len(), self.failures());
        Top {
            id: id.to_owned(),
            named: Named(name, id.to_owned()),
            control_plane_id: plane.map(str::to_owned),
            requests,
            failures,
            percent: percent(number(requests), number(all)),
            failure_percent: percent(number(failures), number(requests)),
            mean_response_ms: Spread::of(self.rows.iter().filter_map(|row| row.response_ms))
                .map(|spread| spread.mean),
            statuses: self.statuses(5),
        }
    }
}
