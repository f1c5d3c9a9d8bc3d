//! What the gateways measured: failures, and traffic that is not as it was.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Judge, Rule, Severity};
use crate::tools::api7::metrics::{Series, rounded};
use crate::tools::api7::risk::scan::Resource;
use crate::tools::api7::risk::source::Source;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "server-errors",
        category: "monitoring",
        severity: Severity::High,
        title: "Many requests end with 5xx",
        remedy: "Look at get_prometheus_metrics api-qps by route_id, and at get_service_healthcheck of the services.",
        reference: "https://sre.google/sre-book/monitoring-distributed-systems/",
        needs: &[Source::GatewayGroups, Source::TrafficNow],
        run: server_errors,
    },
    Rule {
        id: "client-errors",
        category: "monitoring",
        severity: Severity::Medium,
        title: "Many requests end with 4xx",
        remedy: "Look at get_prometheus_metrics api-status-dist by route_id: somebody guesses, or a client is broken.",
        reference: "https://sre.google/sre-book/monitoring-distributed-systems/",
        needs: &[Source::GatewayGroups, Source::TrafficNow],
        run: client_errors,
    },
    Rule {
        id: "traffic-change",
        category: "monitoring",
        severity: Severity::Medium,
        title: "There is much more or much less traffic than before",
        remedy: "Look at get_prometheus_metrics api-qps over a longer time, by service_id.",
        reference: "https://sre.google/sre-book/monitoring-distributed-systems/",
        needs: &[
            Source::GatewayGroups,
            Source::TrafficNow,
            Source::TrafficBefore,
        ],
        run: changes,
    },
];

const ODD: &str = "some of what was counted is no number";

/// Requests of a gateway group.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    all: f64,
    client: f64,
    server: f64,
    /// Something of it is no number.
    is_odd: bool,
}

/// By gateway group.
fn counts(series: &[Series]) -> BTreeMap<&str, Count> {
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    for one in series {
        let group = one
            .labels
            .get("gateway_group_id")
            .map_or("", String::as_str);
        let code = one.labels.get("code").map_or("", String::as_str);
        let value = one.points.last().map_or(0.0, |point| point.1);
        let count = counts.entry(group).or_default();
        if !value.is_finite() {
            count.is_odd = true;
            continue;
        }
        count.all += value;
        match code.bytes().next() {
            Some(b'4') => count.client += value,
            Some(b'5') => count.server += value,
            _ => {}
        }
    }
    counts
}

/// The groups that are looked at, with what was counted now and before.
fn traffic<'a>(judge: &Judge<'a>) -> Option<Vec<(&'a Resource, Count, Count)>> {
    let now = counts(judge.scan.traffic.as_deref()?);
    let before = counts(judge.scan.traffic_before.as_deref().unwrap_or_default());
    let groups = judge.scan.groups.iter().map(|group| &group.resource);
    let of = |counts: &BTreeMap<&str, Count>, id: &str| counts.get(id).copied().unwrap_or_default();
    Some(
        groups
            .map(|group| (group, of(&now, &group.id), of(&before, &group.id)))
            .collect(),
    )
}

fn errors(judge: &mut Judge<'_>, most: u32, class: &str, part: fn(&Count) -> f64) {
    let least = f64::from(judge.limits.min_requests);
    let minutes = judge.limits.traffic_minutes;
    let Some(traffic) = traffic(judge) else {
        judge.look();
        judge.undecided("there are no metrics");
        return;
    };
    for (group, now, _) in traffic {
        judge.look();
        if now.is_odd {
            judge.undecided(ODD);
            continue;
        }
        if now.all < least {
            judge.undecided("there was too little traffic");
            continue;
        }
        let percent = part(&now) / now.all * 100.0;
        if percent > f64::from(most) {
            let says = format!(
                "{percent:.1} % of {:.0} requests in {minutes} minutes ended with {class}; at most {most} %",
                now.all
            );
            judge.found(
                group,
                format!("/metrics/{class}"),
                json!(rounded(percent)),
                says,
            );
        }
    }
}

fn server_errors(judge: &mut Judge<'_>) {
    errors(
        judge,
        judge.limits.max_server_error_percent,
        "5xx",
        |count| count.server,
    );
}

fn client_errors(judge: &mut Judge<'_>) {
    errors(
        judge,
        judge.limits.max_client_error_percent,
        "4xx",
        |count| count.client,
    );
}

fn changes(judge: &mut Judge<'_>) {
    let least = f64::from(judge.limits.min_requests);
    let factor = f64::from(judge.limits.traffic_factor.max(2));
    let minutes = judge.limits.traffic_minutes;
    let known = traffic(judge).filter(|_| judge.scan.traffic_before.is_some());
    let Some(traffic) = known else {
        judge.look();
        judge.undecided("there are no metrics");
        return;
    };
    for (group, now, before) in traffic {
        judge.look();
        if now.is_odd || before.is_odd {
            judge.undecided(ODD);
            continue;
        }
        if now.all.max(before.all) < least {
            judge.undecided("there was too little traffic");
            continue;
        }
        // What was nothing before has no factor.
        let (more, less) = (now.all.max(before.all), now.all.min(before.all).max(1.0));
        if more / less >= factor {
            let says = format!(
                "{:.0} requests in {minutes} minutes, and {:.0} in as many before",
                now.all, before.all
            );
            judge.found(
                group,
                "/metrics/requests",
                json!([rounded(before.all), rounded(now.all)]),
                says,
            );
        }
    }
}
