//! From nothing to a [`Scan`]: what is read first, and what that leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde_json::Value;

use crate::tools::answer::Failure;
use crate::tools::api7::metrics::{Series, read_series};
use crate::tools::api7::risk::scan::{Consumer, Group, Resource, Scan, Service};
use crate::tools::api7::risk::source::{Found, Job, Reader, Source};

/// What belongs to a gateway group.
const OF_GROUP: [Source; 7] = [
    Source::Services,
    Source::GlobalRules,
    Source::Certificates,
    Source::CaCertificates,
    Source::Consumers,
    Source::Snis,
    Source::Instances,
];

/// What belongs to none.
const GLOBAL: [Source; 5] = [
    Source::CustomPlugins,
    Source::GatewayGroups,
    Source::Roles,
    Source::Policies,
    Source::Users,
];

/// The sources of these, with what has to be read before.
pub(crate) fn with_ways(sources: impl IntoIterator<Item = Source>) -> BTreeSet<Source> {
    let mut all = BTreeSet::new();
    for source in sources {
        let mut next = Some(source);
        while let Some(source) = next {
            all.insert(source);
            next = source.after();
        }
    }
    all
}

/// Reads what the reader wants. `groups` are the gateway groups to look at; all when there is none.
pub(crate) async fn collect(
    reader: &mut Reader<'_>,
    groups: &[String],
    minutes: u32,
    now: SystemTime,
) -> Scan {
    let mut scan = Scan {
        now: now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
            }),
        ..Scan::default()
    };
    let mut jobs: Vec<Job> = GLOBAL.map(|source| Job::new(source, "", "")).into();
    let requests = "sum by (gateway_group_id,code)(increase(apisix_http_status";
    let now_query = format!("{requests}[{minutes}m]))");
    let before_query = format!("{requests}[{minutes}m] offset {minutes}m))");
    jobs.push(Job::new(Source::TrafficNow, "", "").with_query(now_query));
    jobs.push(Job::new(Source::TrafficBefore, "", "").with_query(before_query));
    let found = reader.read(jobs).await;
    take_global(reader, &mut scan, found, groups);
    // What is forbidden in one place may be allowed in a gateway group that was named; else more questions do not help.
    let is_hopeless = reader.unread.keys().any(|(_, kind)| kind != "forbidden");
    if reader.answers == 0 && is_hopeless {
        return scan;
    }
    let ids: Vec<String> = scan.groups.iter().map(|g| g.resource.id.clone()).collect();
    let of_groups = ids
        .iter()
        .flat_map(|id| OF_GROUP.iter().map(|&source| Job::new(source, id, "")));
    let found = reader.read(of_groups.collect()).await;
    for found in found {
        take_of_group(&mut scan, found);
    }
    let jobs = deeper(&scan);
    let found = reader.read(jobs).await;
    take_deeper(&mut scan, found);
    let found = reader.read(health(&scan)).await;
    take_health(&mut scan, found);
    scan
}

/// The items as resources; what could not be read is noted as missing.
fn resources(found: Found, kind: &'static str, missing: &mut BTreeSet<Source>) -> Vec<Resource> {
    if !found.is_complete {
        missing.insert(found.job.source);
    }
    let owner = Some(found.job.owner.as_str()).filter(|owner| !owner.is_empty());
    found
        .items
        .into_iter()
        .filter(Value::is_object)
        .map(|body| Resource::new(kind, &found.job.group, owner, body))
        .collect()
}

fn take_global(reader: &mut Reader<'_>, scan: &mut Scan, found: Vec<Found>, wanted: &[String]) {
    let mut traffic: BTreeMap<Source, Vec<Series>> = BTreeMap::new();
    for found in found {
        let missing = &mut scan.missing;
        match found.job.source {
            Source::CustomPlugins => {
                scan.custom_plugins = resources(found, "customPlugin", missing);
            }
            Source::Roles => scan.roles = resources(found, "role", missing),
            Source::Policies => scan.policies = resources(found, "permissionPolicy", missing),
            Source::Users => scan.users = resources(found, "user", missing),
            Source::GatewayGroups => {
                let (job, is_complete) = (found.job.clone(), found.is_complete);
                let all = resources(found, "gatewayGroup", missing);
                let known: BTreeSet<String> = all.iter().map(|group| group.id.clone()).collect();
                scan.groups = chosen(all, wanted);
                // What a whole list does not have is not there. An empty one may be that of who may not see groups.
                if is_complete && !known.is_empty() {
                    let is_known = |id: &String| known.contains(id);
                    scan.groups.retain(|group| is_known(&group.resource.id));
                    let unknown: Vec<&String> = wanted.iter().filter(|id| !is_known(id)).collect();
                    note_unknown(reader, &job, &unknown);
                }
            }
            _ => {
                let (job, body) = (found.job, found.body);
                match body.as_ref().map(read_series) {
                    Some(Ok(series)) => {
                        traffic.insert(job.source, series);
                    }
                    Some(Err(message)) => {
                        missing.insert(job.source);
                        let failure = Failure {
                            kind: "not_prometheus".to_owned(),
                            status: None,
                            message,
                        };
                        reader.note(&job, job.query.clone(), failure);
                    }
                    None => {
                        missing.insert(job.source);
                    }
                }
            }
        }
    }
    scan.traffic = traffic.remove(&Source::TrafficNow);
    scan.traffic_before = traffic.remove(&Source::TrafficBefore);
}

/// The groups that are wanted, also those that the list does not have: it may be forbidden.
fn chosen(all: Vec<Resource>, wanted: &[String]) -> Vec<Group> {
    let mut by_id: BTreeMap<String, Resource> = all
        .into_iter()
        .filter(|group| !group.id.is_empty())
        .map(|group| (group.id.clone(), group))
        .collect();
    if !wanted.is_empty() {
        by_id.retain(|id, _| wanted.contains(id));
        for id in wanted {
            by_id.entry(id.clone()).or_insert_with(|| {
                let body = serde_json::json!({ "id": id });
                Resource::new("gatewayGroup", "", None, body)
            });
        }
    }
    by_id
        .into_values()
        .map(|resource| Group {
            resource,
            ..Group::default()
        })
        .collect()
}

fn note_unknown(reader: &mut Reader<'_>, job: &Job, unknown: &[&String]) {
    if unknown.is_empty() {
        return;
    }
    let shown: Vec<String> = unknown
        .iter()
        .take(10)
        .map(|id| format!("{:?}", crate::http::one_line(id, 64)))
        .collect();
    let failure = Failure {
        kind: "unknown_group".to_owned(),
        status: None,
        message: format!(
            "Not scanned: the dashboard has no gateway group {}. Check gateway_group_ids; get_resource with \
             {{\"gatewayGroup\": {{}}}} lists the ids.",
            shown.join(", ")
        ),
    };
    reader.note(job, "/api/gateway_groups".to_owned(), failure);
}

fn take_of_group(scan: &mut Scan, found: Found) {
    let groups = scan.groups.iter_mut();
    let Some(group) = groups
        .into_iter()
        .find(|g| g.resource.id == found.job.group)
    else {
        return;
    };
    let missing = &mut group.missing;
    match found.job.source {
        Source::GlobalRules => group.global_rules = resources(found, "globalRules", missing),
        Source::Certificates => group.certificates = resources(found, "certificate", missing),
        Source::CaCertificates => {
            group.ca_certificates = resources(found, "caCertificate", missing);
        }
        Source::Snis => group.snis = resources(found, "sni", missing),
        Source::Instances => group.instances = resources(found, "gatewayInstance", missing),
        Source::Consumers => {
            let all = resources(found, "consumer", missing).into_iter();
            let all = all.map(|resource| Consumer {
                resource,
                ..Consumer::default()
            });
            group.consumers = all.collect();
        }
        Source::Services => {
            let all = resources(found, "publishedService", missing).into_iter();
            let all = all.map(|resource| Service {
                resource,
                ..Service::default()
            });
            group.services = all.collect();
        }
        _ => {}
    }
}

/// What is in services, consumers and roles.
fn deeper(scan: &Scan) -> Vec<Job> {
    let mut jobs = Vec::new();
    for group in &scan.groups {
        let id = &group.resource.id;
        for service in &group.services {
            let owner = &service.resource.id;
            jobs.push(Job::new(Source::Routes, id, owner));
            if service.is_stream() {
                jobs.push(Job::new(Source::StreamRoutes, id, owner));
            }
            jobs.push(Job::new(Source::Upstreams, id, owner));
        }
        for consumer in &group.consumers {
            jobs.push(Job::new(Source::Credentials, id, &consumer.resource.id));
        }
    }
    let without = scan
        .roles
        .iter()
        .filter(|role| role.body.get("policies").is_none());
    jobs.extend(without.map(|role| Job::new(Source::RolePolicies, "", &role.id)));
    jobs
}

/// What health checks say, of services that have some.
fn health(scan: &Scan) -> Vec<Job> {
    let services = scan.services().filter(|(_, service)| service.has_checks());
    let jobs = services.filter_map(|(group, service)| {
        Some(Job::new(
            Source::Health,
            &group.resource.id,
            service.template()?,
        ))
    });
    jobs.collect()
}

fn take_health(scan: &mut Scan, found: Vec<Found>) {
    let mut by_place: BTreeMap<(String, String), Option<Value>> = BTreeMap::new();
    for found in found {
        let body = found.body.and_then(|body| body.to_value().ok());
        by_place.insert((found.job.group, found.job.owner), body);
    }
    for group in &mut scan.groups {
        for service in &mut group.services {
            let Some(template) = service.template() else {
                continue;
            };
            let key = (group.resource.id.clone(), template.to_owned());
            match by_place.get(&key) {
                Some(Some(health)) => service.health = Some(health.clone()),
                Some(None) => {
                    group.missing.insert(Source::Health);
                }
                None => {}
            }
        }
    }
}

fn take_deeper(scan: &mut Scan, found: Vec<Found>) {
    let mut by_place: BTreeMap<(Source, String, String), Found> = BTreeMap::new();
    for found in found {
        let job = &found.job;
        let key = (job.source, job.group.clone(), job.owner.clone());
        by_place.insert(key, found);
    }
    for group in &mut scan.groups {
        let id = group.resource.id.clone();
        let missing = &mut group.missing;
        let mut of = |source, owner: &str, kind| {
            let found = by_place.remove(&(source, id.clone(), owner.to_owned()));
            found.map_or_else(Vec::new, |found| resources(found, kind, missing))
        };
        for service in &mut group.services {
            let owner = service.resource.id.clone();
            service.routes = of(Source::Routes, &owner, "route");
            service.stream_routes = of(Source::StreamRoutes, &owner, "streamRoute");
            service.upstreams = of(Source::Upstreams, &owner, "upstream");
        }
        for consumer in &mut group.consumers {
            let owner = consumer.resource.id.clone();
            consumer.credentials = of(Source::Credentials, &owner, "credential");
        }
    }
    for role in &mut scan.roles {
        let key = (Source::RolePolicies, String::new(), role.id.clone());
        let Some(found) = by_place.remove(&key) else {
            continue;
        };
        if found.is_complete {
            if let Value::Object(members) = &mut role.body {
                members.insert("policies".to_owned(), Value::Array(found.items));
            }
        } else {
            scan.missing.insert(Source::RolePolicies);
        }
    }
}
