//! What health checks say of the nodes of upstreams.

use serde_json::{Value, json};

use super::{Judge, Rule, Severity};
use crate::tools::api7::risk::source::Source;

pub(super) static RULES: &[Rule] = &[Rule {
    id: "unhealthy-node",
    category: "access",
    severity: Severity::Medium,
    title: "Health checks say that nodes of an upstream do not live",
    remedy: "Look at the nodes that are named, or take them out of the upstream. get_service_healthcheck shows more.",
    reference: "https://apisix.apache.org/docs/apisix/tutorials/health-check/",
    needs: &[Source::Health],
    run: unhealthy,
}];

/// So many nodes are named.
const MOST: usize = 10;

fn unhealthy(judge: &mut Judge<'_>) {
    let most = f64::from(judge.limits.max_unhealthy_percent);
    for (group, service) in judge.scan.services() {
        if !service.has_checks() {
            continue;
        }
        judge.look();
        if service.template().is_none() {
            judge.undecided("the API does not say which template a service is of");
            continue;
        }
        let mut nodes = Vec::new();
        match &service.health {
            Some(health) => find(health, 8, &mut nodes),
            None if group.missing.contains(&Source::Health) => {
                judge.undecided("not all of the health of services could be read");
                continue;
            }
            None => {}
        }
        let bad: Vec<&str> = nodes
            .iter()
            .filter(|(_, is_well)| !is_well)
            .map(|(name, _)| &**name)
            .collect();
        if nodes.is_empty() {
            judge.undecided("no gateway has checked a node yet");
            continue;
        }
        let (count, all) = (bad.len(), nodes.len());
        if count == 0 || percent(count, all) <= most {
            continue;
        }
        let severity = if count == all {
            Severity::High
        } else {
            Severity::Medium
        };
        let named: Vec<&str> = bad.into_iter().take(MOST).collect();
        let says = format!("{count} of {all} nodes fail their health checks");
        judge.found_as(severity, &service.resource, "/health", json!(named), says);
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody has so many nodes")]
fn percent(part: usize, all: usize) -> f64 {
    part as f64 * 100.0 / all as f64
}

/// The nodes in an answer, however it is nested, and whether requests go to them.
fn find(value: &Value, depth: usize, nodes: &mut Vec<(String, bool)>) {
    if depth == 0 {
        return;
    }
    match value {
        Value::Object(members) => {
            let text = |name: &str| members.get(name).and_then(Value::as_str);
            let host = text("host")
                .or_else(|| text("ip"))
                .or_else(|| text("hostname"));
            let is_well = match text("status").map(str::to_ascii_lowercase).as_deref() {
                Some("healthy" | "mostly_healthy") => Some(true),
                Some("unhealthy" | "mostly_unhealthy") => Some(false),
                _ => None,
            };
            if let (Some(host), Some(is_well)) = (host, is_well) {
                let port = members.get("port").and_then(Value::as_u64);
                let name = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
                nodes.push((name, is_well));
                return;
            }
            for value in members.values() {
                find(value, depth - 1, nodes);
            }
        }
        Value::Array(items) => {
            for item in items {
                find(item, depth - 1, nodes);
            }
        }
        _ => {}
    }
}
