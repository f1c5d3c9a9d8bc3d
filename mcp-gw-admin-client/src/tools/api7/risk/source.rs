//! Reads what rules look at: within a number of requests, a number at the same time and a time, and never all or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Request;
use mcp_gw_core::RawJson;
use serde_json::Value;
use tokio::time::Instant;

use crate::api7::{Kind, ListParams, Place, action, iam};
use crate::http::{Error, RequestError, Target};
use crate::tools::advice;
use crate::tools::answer::Failure;
use crate::tools::api7::shared::Api7;

/// Longer answers than these, all together, are not kept.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    CustomPlugins,
    GatewayGroups,
    Roles,
    Policies,
    Users,
    TrafficNow,
    TrafficBefore,
    Services,
    GlobalRules,
    Certificates,
    CaCertificates,
    Consumers,
    Snis,
    Instances,
    Routes,
    StreamRoutes,
    Upstreams,
    Health,
    Credentials,
    RolePolicies,
}

impl Source {
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::CustomPlugins => "custom plugins",
            Self::GatewayGroups => "gateway groups",
            Self::Roles => "roles",
            Self::Policies => "permission policies",
            Self::Users => "users",
            Self::TrafficNow => "metrics",
            Self::TrafficBefore => "earlier metrics",
            Self::Services => "services",
            Self::GlobalRules => "global rules",
            Self::Certificates => "certificates",
            Self::CaCertificates => "CA certificates",
            Self::Consumers => "consumers",
            Self::Snis => "SNIs",
            Self::Instances => "gateway instances",
            Self::Routes => "routes",
            Self::StreamRoutes => "stream routes",
            Self::Upstreams => "upstreams",
            Self::Health => "the health of services",
            Self::Credentials => "credentials",
            Self::RolePolicies => "policies of roles",
        }
    }

    /// What has to be read before.
    pub(crate) const fn after(self) -> Option<Self> {
        match self {
            Self::Services
            | Self::GlobalRules
            | Self::Certificates
            | Self::CaCertificates
            | Self::Consumers
            | Self::Snis
            | Self::Instances => Some(Self::GatewayGroups),
            Self::Routes | Self::StreamRoutes | Self::Upstreams => Some(Self::Services),
            Self::Health => Some(Self::Upstreams),
            Self::Credentials => Some(Self::Consumers),
            Self::RolePolicies => Some(Self::Roles),
            _ => None,
        }
    }

    const fn is_list(self) -> bool {
        !matches!(self, Self::TrafficNow | Self::TrafficBefore | Self::Health)
    }
}

/// Something to read: of a source, for a gateway group, for what is in it.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) source: Source,
    /// The gateway group and the service, consumer or role; empty where there is none.
    pub(crate) group: String,
    pub(crate) owner: String,
    /// For queries.
    pub(crate) query: String,
    page: u32,
    size: u32,
    seen: u64,
    first: Option<Value>,
    at: usize,
}

impl Job {
    pub(crate) fn new(source: Source, group: &str, owner: &str) -> Self {
        Self {
            source,
            group: group.to_owned(),
            owner: owner.to_owned(),
            query: String::new(),
            page: 1,
            size: 0,
            seen: 0,
            first: None,
            at: 0,
        }
    }

    pub(crate) fn with_query(mut self, query: String) -> Self {
        self.query = query;
        self
    }

    fn request(&self) -> Result<Request<Bytes>, RequestError> {
        let place = Place::group(&self.group);
        let mut params = ListParams::default();
        if self.page > 1 {
            params = params.with_page(self.page).with_page_size(self.size);
        }
        let list = |kind: Kind, place: &Place| kind.list(place, &params);
        match self.source {
            Source::CustomPlugins => list(Kind::CustomPlugin, &Place::global()),
            Source::GatewayGroups => list(Kind::GatewayGroup, &Place::global()),
            Source::Roles => list(Kind::Role, &Place::global()),
            Source::Policies => list(Kind::PermissionPolicy, &Place::global()),
            Source::Users => list(Kind::User, &Place::global()),
            Source::Services => list(Kind::PublishedService, &place),
            Source::GlobalRules => list(Kind::GlobalRules, &place),
            Source::Certificates => list(Kind::Certificate, &place),
            Source::CaCertificates => list(Kind::CaCertificate, &place),
            Source::Consumers => list(Kind::Consumer, &place),
            Source::Snis => list(Kind::Sni, &place),
            Source::Instances => list(Kind::GatewayInstance, &place),
            Source::Routes => list(Kind::Route, &place.with_service(&self.owner)),
            Source::StreamRoutes => list(Kind::StreamRoute, &place.with_service(&self.owner)),
            Source::Upstreams => list(Kind::Upstream, &place.with_service(&self.owner)),
            // As the original asks for them, without the name in the query.
            Source::Credentials => params
                .write(
                    Target::at("/apisix/admin/consumers")
                        .segment("username", &self.owner)?
                        .then("/credentials")
                        .query("gateway_group_id", &self.group)?,
                )?
                .get(),
            Source::Health => action::service_health(&self.group, &self.owner),
            Source::RolePolicies => iam::policies_of_role(&self.owner),
            Source::TrafficNow | Source::TrafficBefore => {
                Target::at("/api/control_plane/prometheus/api/v1/query")
                    .query("query", &self.query)?
                    .get()
            }
        }
    }
}

/// What could not be read, and why; the same failures of one source together.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) failure: Failure,
    pub(crate) times: usize,
    /// The first paths.
    pub(crate) paths: Vec<String>,
}

/// What one job found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) job: Job,
    pub(crate) items: Vec<Value>,
    /// The body, where it is no list.
    pub(crate) body: Option<RawJson>,
    pub(crate) is_complete: bool,
}

/// Reads within its bounds.
pub(crate) struct Reader<'a> {
    shared: &'a Api7,
    deadline: Instant,
    bytes: usize,
    pub(crate) requests: usize,
    pub(crate) answers: usize,
    pub(crate) unread: BTreeMap<(Source, String), Unread>,
    wanted: BTreeSet<Source>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(shared: &'a Api7, wanted: BTreeSet<Source>) -> Self {
        let time = Duration::from_secs(u64::from(shared.risk.max_seconds.max(1)));
        let deadline = Instant::now() + time;
        let budget = shared.transport.budget();
        Self {
            shared,
            deadline: budget.map_or(deadline, |budget| deadline.min(budget.end())),
            bytes: 0,
            requests: 0,
            answers: 0,
            unread: BTreeMap::new(),
            wanted,
        }
    }

    pub(crate) fn wants(&self, source: Source) -> bool {
        self.wanted.contains(&source)
    }

    /// Does the jobs that are wanted, all pages of them. What comes of them is in their order.
    pub(crate) async fn read(&mut self, jobs: Vec<Job>) -> Vec<Found> {
        let jobs = jobs.into_iter().filter(|job| self.wants(job.source));
        let mut found: Vec<Found> = Vec::new();
        let mut todo: Vec<Job> = Vec::new();
        for (at, mut job) in jobs.enumerate() {
            job.at = at;
            found.push(Found {
                job: job.clone(),
                items: Vec::new(),
                body: None,
                is_complete: false,
            });
            todo.push(job);
        }
        while !todo.is_empty() {
            let now = self.within_bounds(&mut todo);
            let (shared, deadline) = (self.shared, self.deadline);
            // They come in the order of the jobs. Dropping this gives all of them up.
            let answers: Vec<_> = stream::iter(now)
                .map(|(job, request)| fetch(shared, deadline, job, request))
                .buffered(shared.risk.concurrency.clamp(1, 64))
                .collect()
                .await;
            todo = answers
                .into_iter()
                .filter_map(|(job, path, answer)| self.take(&mut found, &job, path, answer))
                .collect();
        }
        found
    }

    /// The requests that may still be sent; what may not is noted.
    fn within_bounds(&mut self, todo: &mut Vec<Job>) -> Vec<(Job, Request<Bytes>)> {
        let mut now = Vec::new();
        for job in todo.drain(..) {
            let request = match job.request() {
                Ok(request) => request,
                Err(error) => {
                    let path = format!("{:?}", crate::http::one_line(&job.owner, 64));
                    let failure = Failure {
                        kind: "invalid_request".to_owned(),
                        status: None,
                        message: format!(
                            "Not asked for: what the API calls it cannot be part of a request: {error}."
                        ),
                    };
                    self.note(&job, path, failure);
                    continue;
                }
            };
            let bound = if self.requests >= self.shared.risk.max_requests {
                Some("too many requests for one scan (risk.max_requests)")
            } else if self.bytes >= MOST_BYTES {
                Some("the answers are too long together")
            } else {
                None
            };
            if let Some(why) = bound {
                let path = request.uri().to_string();
                self.note(&job, path, bounded("bound", why));
                continue;
            }
            self.requests += 1;
            now.push((job, request));
        }
        now
    }

    /// Keeps an answer; gives the job of the next page.
    fn take(
        &mut self,
        found: &mut [Found],
        job: &Job,
        path: String,
        answer: Result<RawJson, Failed>,
    ) -> Option<Job> {
        let one = found.get_mut(job.at)?;
        let body = match answer {
            Ok(body) => body,
            // Versions before 3.5 have one upstream, within the service.
            Err(Failed::Api(error)) if job.source == Source::Upstreams && error.is_not_found() => {
                self.answers += 1;
                one.is_complete = true;
                return None;
            }
            Err(failed) => {
                self.note(job, path, failed.into_failure());
                return None;
            }
        };
        self.bytes = self.bytes.saturating_add(body.len());
        if !job.source.is_list() {
            self.answers += 1;
            one.body = Some(body);
            one.is_complete = true;
            return None;
        }
        let Some((items, total)) = list_of(&body) else {
            let failure = Failure {
                kind: "not_a_list".to_owned(),
                status: None,
                message: "The answer is not a list. The user has to check that DASHBOARD_URL is the address of the \
                          dashboard itself."
                    .to_owned(),
            };
            self.note(job, path, failure);
            return None;
        };
        self.answers += 1;
        match next_page(one, job, items, total) {
            Ok(next) => next,
            Err(why) => {
                self.note(job, path, bounded("incomplete", &why));
                None
            }
        }
    }

    pub(crate) fn note(&mut self, job: &Job, path: String, failure: Failure) {
        let key = (job.source, failure.kind.clone());
        let unread = self.unread.entry(key).or_insert_with(|| Unread {
            failure,
            times: 0,
            paths: Vec::new(),
        });
        unread.times += 1;
        if unread.paths.len() < 3 {
            unread.paths.push(path);
        }
    }
}

/// A first page of fewer items is all that there is.
const SMALLEST_PAGE: u64 = 10;

/// Keeps the items of a page; gives the job of the next, if there is one.
///
/// # Errors
/// When the API does not give what it counts.
fn next_page(
    one: &mut Found,
    job: &Job,
    items: Vec<Value>,
    total: Option<u64>,
) -> Result<Option<Job>, String> {
    let first = items.first().cloned();
    let is_same = job.page > 1 && first.is_some() && first == job.first;
    let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
    let seen = job.seen.saturating_add(count);
    let size = match job.page {
        1 => u32::try_from(items.len()).unwrap_or(u32::MAX),
        _ => job.size,
    };
    if !is_same {
        one.items.extend(items);
    }
    let is_last = match total {
        Some(total) => seen >= total && !is_same,
        // Nobody counts: there may be more behind a page that looks full, until nothing more comes.
        None => count == 0 || is_same || (job.page == 1 && count < SMALLEST_PAGE),
    };
    if !is_last && (is_same || count == 0) {
        let given = one.items.len();
        let total = total.map_or_else(|| "more".to_owned(), |total| total.to_string());
        return Err(format!(
            "the API says that there are {total} and gives {given}"
        ));
    }
    if is_last {
        one.is_complete = true;
        return Ok(None);
    }
    Ok(Some(Job {
        page: job.page.saturating_add(1),
        size,
        seen,
        first,
        ..job.clone()
    }))
}

enum Failed {
    Api(Error),
    Late,
}

impl Failed {
    fn into_failure(self) -> Failure {
        match self {
            Self::Api(error) => advice::failure(&error),
            Self::Late => bounded(
                "out_of_time",
                "the time of a scan is over (risk.max_seconds, or how long a call may take)",
            ),
        }
    }
}

fn bounded(kind: &str, why: &str) -> Failure {
    Failure {
        kind: kind.to_owned(),
        status: None,
        message: format!(
            "Not read: {why}. Scan a part at a time: gateway_group_ids names the gateway groups, rules what is looked for."
        ),
    }
}

async fn fetch(
    shared: &Api7,
    deadline: Instant,
    job: Job,
    request: Request<Bytes>,
) -> (Job, String, Result<RawJson, Failed>) {
    let path = request.uri().to_string();
    if Instant::now() >= deadline {
        return (job, path, Err(Failed::Late));
    }
    let answer = tokio::time::timeout_at(deadline, shared.client.raw(request)).await;
    let answer = match answer {
        Ok(Ok(answer)) => Ok(answer.body.unwrap_or_else(RawJson::null)),
        Ok(Err(error)) => Err(Failed::Api(error)),
        Err(_) => Err(Failed::Late),
    };
    (job, path, answer)
}

/// The items of `{"list": […], "total": n}`, perhaps within `value`, or of a bare list.
fn list_of(body: &RawJson) -> Option<(Vec<Value>, Option<u64>)> {
    let tree = body.to_value().ok()?;
    let inner = tree.get("value");
    let inner = inner.filter(|inner| inner.is_array() || inner.get("list").is_some());
    let tree = inner.unwrap_or(&tree);
    if let Value::Array(items) = tree {
        // There are no pages.
        let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
        return Some((items.clone(), Some(count)));
    }
    let items = match tree.get("list")? {
        Value::Array(items) => items.clone(),
        // How some servers write an empty list.
        Value::Null => Vec::new(),
        Value::Object(members) if members.is_empty() => Vec::new(),
        _ => return None,
    };
    let total = tree.get("total").and_then(|total| match total {
        Value::String(text) => text.trim().parse().ok(),
        total => total.as_u64(),
    });
    Some((items, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_nobody_counts_is_read_until_nothing_more_comes() {
        // All pages that an API gives, whose first may have 30 items: how many are read, and how many are asked for.
        let read = |total: Option<u64>, pages: &[(u64, u64)]| {
            let first = Job::new(Source::Users, "", "");
            let mut found = Found {
                job: first.clone(),
                items: Vec::new(),
                body: None,
                is_complete: false,
            };
            let (mut next, mut asked) = (Some(first), 0);
            while let Some(job) = next {
                let (from, to) = pages.get(asked).copied().unwrap_or_default();
                asked += 1;
                let items = (from..to).map(Value::from).collect();
                next = next_page(&mut found, &job, items, total).unwrap_or_default();
            }
            (found.items.len(), asked, found.is_complete)
        };
        assert_eq!(read(None, &[(0, 30), (30, 60), (60, 65)]), (65, 4, true));
        assert_eq!(read(None, &[(0, 9)]), (9, 1, true));
        // It does not look at the page.
        assert_eq!(read(None, &[(0, 30), (0, 30)]), (30, 2, true));
        assert_eq!(read(Some(31), &[(0, 30), (30, 31)]), (31, 2, true));
        assert_eq!(read(Some(31), &[(0, 30), (0, 30)]), (30, 2, false));
    }

    #[test]
    fn lists_are_found_in_what_they_are_wrapped_in() {
        let read = |text: &str| list_of(&RawJson::parse(text.to_owned()).unwrap());
        for (text, count, total) in [
            (r#"{"list":[1,2],"total":7}"#, 2, Some(7)),
            (r#"{"value":{"list":[1]}}"#, 1, None),
            (r#"{"value":[1,2,3]}"#, 3, Some(3)),
            (r#"{"list":[1],"total":"31"}"#, 1, Some(31)),
            (r#"{"list":[1],"total":"many"}"#, 1, None),
            (r#"{"value":{"id":"x"},"list":[1],"total":1}"#, 1, Some(1)),
            (r#"{"list":null,"total":0}"#, 0, Some(0)),
            (r#"{"list":{}}"#, 0, None),
            ("[1]", 1, Some(1)),
        ] {
            let (items, known) = read(text).unwrap();
            assert_eq!((items.len(), known), (count, total), "{text}");
        }
        for text in [
            "7",
            "{}",
            r#"{"value":{"id":"x"}}"#,
            r#"{"list":{"a":1}}"#,
            r#"{"list":7}"#,
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
