//! Which route answers, and what is behind it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Judge, Rule, Severity};
use crate::tools::api7::risk::scan::{Served, nodes};
use crate::tools::api7::risk::source::Source;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "duplicate-route",
        category: "access",
        severity: Severity::Medium,
        title: "Two routes answer the same requests",
        remedy: "Remove one of them, or tell them apart by host, path, method or priority.",
        reference: "https://apisix.apache.org/docs/apisix/terminology/route/",
        needs: &[Source::Routes],
        run: duplicates,
    },
    Rule {
        id: "shadowed-route",
        category: "access",
        severity: Severity::Medium,
        title: "A route never answers, as another comes first",
        remedy: "Remove the route, or change the priority of one of them.",
        reference: "https://apisix.apache.org/docs/apisix/terminology/route/",
        needs: &[Source::Routes],
        run: shadowed,
    },
    Rule {
        id: "no-health-check",
        category: "access",
        severity: Severity::Medium,
        title: "Several nodes, and nobody looks whether they live",
        remedy: "Give the upstream active or passive health checks.",
        reference: "https://apisix.apache.org/docs/apisix/tutorials/health-check/",
        needs: &[Source::Upstreams],
        run: unchecked,
    },
    Rule {
        id: "no-live-node",
        category: "access",
        severity: Severity::High,
        title: "An upstream has no node that gets requests",
        remedy: "Add a node, or give one a weight above 0.",
        reference: "https://apisix.apache.org/docs/apisix/terminology/upstream/",
        needs: &[Source::Upstreams],
        run: dead,
    },
];

/// More routes of one path are not compared with each other.
const MOST: usize = 50;

/// A route at one host and path.
struct Spot<'a> {
    served: Served<'a>,
    priority: i64,
    /// Only requests that fulfil conditions.
    is_special: bool,
    /// None when all are served.
    methods: BTreeSet<String>,
}

impl Spot<'_> {
    /// Whether it takes all methods that the other takes.
    fn covers(&self, other: &Self) -> bool {
        let (own, others) = (&self.methods, &other.methods);
        own.is_empty() || (!others.is_empty() && others.is_subset(own))
    }
}

/// A route that is at more places is not looked at; nor are more places in all.
const MOST_OF_ROUTE: usize = 1000;
const MOST_PLACES: usize = 200_000;

/// Gateway group, host and path.
type Place = (String, String, String);

/// All routes by where they are.
fn spots<'a>(judge: &mut Judge<'a>) -> BTreeMap<Place, Vec<Spot<'a>>> {
    let mut spots: BTreeMap<_, Vec<Spot<'_>>> = BTreeMap::new();
    let mut places = 0;
    for served in judge.scan.routes() {
        let body = &served.route.body;
        let has = |name: &str| match body.get(name) {
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Object(members)) => !members.is_empty(),
            _ => false,
        };
        let conditions = ["vars", "filter_func", "remote_addrs", "remote_addr"];
        let (hosts, paths) = (served.hosts(), served.paths());
        let number = hosts.len().saturating_mul(paths.len());
        if number > MOST_OF_ROUTE || places + number > MOST_PLACES {
            judge.look();
            judge.undecided("too many hosts and paths to compare them all");
            continue;
        }
        places += number;
        for host in hosts {
            for path in &paths {
                let key = (served.group.resource.id.clone(), host.clone(), path.clone());
                spots.entry(key).or_default().push(Spot {
                    served,
                    priority: body.get("priority").and_then(Value::as_i64).unwrap_or(0),
                    is_special: conditions.iter().any(|name| has(name)),
                    methods: served.methods(),
                });
            }
        }
    }
    spots
}

/// Pairs of routes at one place, as `judge` is to see them: `(first, second)` by id.
fn pairs<'s, 'a>(all: &'s [Spot<'a>]) -> impl Iterator<Item = (&'s Spot<'a>, &'s Spot<'a>)> {
    let few = all.iter().take(MOST).enumerate();
    few.flat_map(move |(at, a)| all.iter().take(MOST).skip(at + 1).map(move |b| (a, b)))
        .filter(|(a, b)| a.served.route.id != b.served.route.id)
        .map(|(a, b)| {
            if a.served.route.id <= b.served.route.id {
                (a, b)
            } else {
                (b, a)
            }
        })
}

fn same_methods(a: &Spot<'_>, b: &Spot<'_>) -> bool {
    let (a, b) = (&a.methods, &b.methods);
    a.is_empty() || b.is_empty() || !a.is_disjoint(b)
}

fn label(served: &Served<'_>) -> String {
    let route = served.route;
    match &route.name {
        Some(name) => format!("{} ({name})", route.id),
        None => route.id.clone(),
    }
}

fn duplicates(judge: &mut Judge<'_>) {
    for ((_, host, path), all) in spots(judge) {
        judge.look();
        if all.len() > MOST {
            judge.undecided("too many routes at one host and path");
        }
        for (a, b) in pairs(&all) {
            if a.priority != b.priority || !same_methods(a, b) {
                continue;
            }
            if a.is_special || b.is_special {
                judge.undecided("conditions (vars) may tell the routes apart");
                continue;
            }
            let says = format!("{host}{path} is also served by route {}", label(&a.served));
            judge.found(b.served.route, "/paths", json!(path), says);
        }
    }
}

/// Routes that may come first, those without conditions before others: of more than so many it is not said which they hide.
const MOST_FIRST: usize = 50;

fn shadowed(judge: &mut Judge<'_>) {
    for ((_, host, path), mut all) in spots(judge) {
        judge.look();
        all.sort_by_key(|spot| (spot.is_special, std::cmp::Reverse(spot.priority)));
        let is_cut = all.len() > MOST_FIRST;
        for loser in &all {
            let winners = all.iter().take(MOST_FIRST);
            let winners = winners.filter(|winner| winner.priority > loser.priority);
            let mut is_open = is_cut;
            let winner = winners
                .filter(|winner| winner.covers(loser))
                .find(|winner| {
                    is_open |= winner.is_special;
                    !winner.is_special
                });
            if let Some(winner) = winner {
                let says = format!(
                    "{host}{path} is served by route {}, which has the greater priority ({})",
                    label(&winner.served),
                    winner.priority
                );
                judge.found(loser.served.route, "/priority", json!(loser.priority), says);
            } else if is_open {
                judge.undecided(if is_cut {
                    "too many routes at one host and path"
                } else {
                    "the route that comes first has conditions (vars)"
                });
            }
        }
    }
}

fn unchecked(judge: &mut Judge<'_>) {
    for (_, service) in judge.scan.services() {
        for (upstream, at) in service.all_upstreams() {
            judge.look();
            let Some(nodes) = nodes(&upstream.body) else {
                judge.undecided("the nodes are looked up elsewhere");
                continue;
            };
            let checks = upstream.body.get("checks");
            let has = |kind: &str| {
                let check = checks.and_then(|checks| checks.get(kind));
                check.is_some_and(|check| !check.is_null() && *check != json!({}))
            };
            if nodes.len() > 1 && !has("active") && !has("passive") {
                let says = format!("{} nodes without health checks", nodes.len());
                judge.found(
                    &upstream,
                    format!("{at}/checks"),
                    checks.cloned().unwrap_or_default(),
                    says,
                );
            }
        }
    }
}

fn dead(judge: &mut Judge<'_>) {
    for (_, service) in judge.scan.services() {
        for (upstream, at) in service.all_upstreams() {
            judge.look();
            let Some(nodes) = nodes(&upstream.body) else {
                let is_found_elsewhere = upstream.body.get("service_name").is_some();
                if !is_found_elsewhere {
                    judge.undecided("the API does not show the nodes");
                }
                continue;
            };
            // Without a weight a node has one.
            if nodes.iter().all(|node| node.weight == Some(0)) {
                let says = if nodes.is_empty() {
                    "there is no node".to_owned()
                } else {
                    format!("all {} nodes have the weight 0", nodes.len())
                };
                judge.found(&upstream, format!("{at}/nodes"), Value::Null, says);
            }
        }
    }
}
