//! Which control planes answer a path.

use futures_util::stream::{self, StreamExt as _};
use mcp_gw_core::{RawJson, ToolError};

use crate::http::{Error, one_line};
use crate::konnect::router::{
    Condition, Match, PathKind, Question, RouteFacts, Routed, Why, answer,
};
use crate::konnect::{Kind, ListParams, Uuid};
use crate::tools::desk::aside;
use crate::tools::konnect::entities::text_of;
use crate::tools::konnect::listing::{Gathered, gather};
use crate::tools::konnect::planes::{FoundPlanes, RouteMatch, Unread, is_group};
use crate::tools::konnect::shared::{Konnect, Right};

/// So many control planes are asked at the same time.
const AT_ONCE: usize = 4;

/// So many routes that answer are told.
const MOST_MATCHES: usize = 50;

/// Finding out takes as long as reading so many bytes of it.
const WORK_OF_A_ROUTE: usize = 256;

/// The routes of the control planes that could be read.
#[derive(Default)]
struct Read {
    facts: Vec<RouteFacts>,
    unread: Vec<Unread>,
    remarks: Vec<String>,
    /// Routes that look like nothing that is known.
    odd: usize,
    /// The first thing that went wrong.
    failure: Option<Error>,
}

impl Konnect {
    /// The control planes whose routes answer a path, best first.
    ///
    /// # Errors
    /// When none of the control planes can be looked into.
    pub(crate) async fn planes_by_route(
        &self,
        path: &str,
        skip: Option<u32>,
    ) -> Result<FoundPlanes, ToolError> {
        if !path.starts_with('/') {
            return Err(ToolError::invalid_arguments(
                "`path` must begin with a slash, as the path of a request does: /api/users. Nothing was asked",
            ));
        }
        let planes = self.all_planes().await?;
        let mut read = self.routes_of(&planes).await;
        if let Some(error) = read.failure.take()
            && read.unread.len() == planes.items.len()
        {
            return Err(self.failed(&error, Right::Read));
        }
        let (facts, asked) = (std::mem::take(&mut read.facts), path.to_owned());
        let work = facts.len() * WORK_OF_A_ROUTE;
        let routed = aside(work, move || {
            let routed = answer(&facts, Question::path(&asked));
            (facts, routed)
        });
        let (facts, routed) = routed.await?;
        Ok(self.present_routes(planes, read, &facts, &routed, skip))
    }

    async fn routes_of(&self, planes: &Gathered) -> Read {
        let mut ids: Vec<(Uuid, String, bool)> = Vec::with_capacity(planes.items.len());
        for plane in &planes.items {
            let id = text_of(plane, "id").and_then(|id| id.parse().ok());
            let name = one_line(&text_of(plane, "name").unwrap_or_default(), 128);
            ids.extend(id.map(|id| (id, name, is_group(plane))));
        }
        let mut coming = stream::iter(ids)
            .map(|(id, name, is_group)| async move {
                let api = self.source.entities(&id, Kind::Route);
                let routes = gather(api.pages(ListParams::default()), self.max_items).await;
                (id, name, is_group, routes)
            })
            .buffered(AT_ONCE);
        let mut read = Read::default();
        while let Some((id, name, is_group, routes)) = coming.next().await {
            match routes {
                Ok(routes) => {
                    read.remarks
                        .extend(routes.remark.map(|says| format!("{name}: {says}")));
                    for route in &routes.items {
                        self.take(&mut read, &id, is_group, route);
                    }
                }
                Err(error) => {
                    read.unread.push(Unread {
                        control_plane_id: id.to_string(),
                        name,
                        message: self.says(&error, Right::Read),
                    });
                    read.failure.get_or_insert(error);
                }
            }
        }
        read
    }

    fn take(&self, read: &mut Read, plane: &Uuid, is_group: bool, route: &RawJson) {
        let facts = route
            .to_value()
            .ok()
            .and_then(|value| RouteFacts::of(&value, plane.as_str(), is_group).ok());
        let Some(facts) = facts else {
            read.odd += 1;
            return;
        };
        // What a group shows belongs to one of its members.
        if !is_group {
            let ids = [facts.id.as_deref(), facts.service_id()];
            let ids = ids.into_iter().flatten();
            self.memory
                .learn(plane, ids.filter_map(|id| id.parse().ok()));
        }
        read.facts.push(facts);
    }

    fn present_routes(
        &self,
        planes: Gathered,
        read: Read,
        facts: &[RouteFacts],
        routed: &Routed,
        skip: Option<u32>,
    ) -> FoundPlanes {
        let ranked = routed.by_plane(facts);
        let is = |plane: &RawJson, id: &str| {
            text_of(plane, "id").is_some_and(|known| known.eq_ignore_ascii_case(id))
        };
        let items = ranked
            .iter()
            .filter_map(|(id, _)| planes.items.iter().find(|plane| is(plane, id)).cloned())
            .collect();
        let mut found = self.present_planes(Gathered::of(items), skip);
        let matches = routed.matches.iter().take(MOST_MATCHES);
        found.routes = matches.filter_map(|one| told(facts, one)).collect();
        let more = routed.matches.len().saturating_sub(MOST_MATCHES);
        if more > 0 {
            found
                .remarks
                .push(format!("{more} more routes answer, too."));
        }
        if routed.matches.is_empty() {
            let count = facts.len();
            let place = self.source.place();
            found.remarks.push(format!(
                "None of the {count} routes that could be read has a path that answers {:?}. This server asks {place}.",
                one_line(&routed.path, 256)
            ));
        }
        found.remarks.extend(planes.remark);
        found.remarks.extend(read.remarks);
        found.remarks.extend(skipped(facts, routed));
        if read.odd > 0 {
            found.remarks.push(format!(
                "{} routes look like nothing that is known, and were left out.",
                read.odd
            ));
        }
        found.unread = read.unread;
        found
    }
}

fn told(facts: &[RouteFacts], one: &Match) -> Option<RouteMatch> {
    let route = facts.get(one.route)?;
    Some(RouteMatch {
        control_plane_id: route.control_plane_id.clone(),
        route_id: route.id.clone(),
        route_name: route.name.as_deref().map(|name| one_line(name, 128)),
        service_id: route.service_id().map(str::to_owned),
        path: one_line(&one.path, 256),
        kind: match one.kind {
            PathKind::Prefix => "prefix",
            PathKind::Regex => "regex",
        },
        only_if: one.conditions.iter().copied().map(asked_for).collect(),
    })
}

const fn asked_for(condition: Condition) -> &'static str {
    match condition {
        Condition::Method => "method",
        Condition::Host => "host",
        Condition::Headers => "headers",
        Condition::Sni => "sni",
        Condition::Source => "source",
        Condition::Destination => "destination",
    }
}

/// What could not be looked at, in sentences.
fn skipped(facts: &[RouteFacts], routed: &Routed) -> Vec<String> {
    let count = |is: fn(&Why) -> bool| routed.skipped.iter().filter(|one| is(&one.why)).count();
    let mut says = Vec::new();
    let no_paths = count(|why| matches!(why, Why::NoPaths));
    if no_paths > 0 {
        says.push(format!(
            "{no_paths} routes have no paths, and answer any path for their hosts, methods or headers: they were left out."
        ));
    }
    let expressions = count(|why| matches!(why, Why::Expression));
    if expressions > 0 {
        says.push(format!(
            "{expressions} routes are written as expressions, and were left out: read them with GetRoute."
        ));
    }
    for one in &routed.skipped {
        let route = facts.get(one.route);
        let name = route.and_then(|route| route.name.as_deref().or(route.id.as_deref()));
        let name = one_line(name.unwrap_or("without a name"), 128);
        match &one.why {
            Why::Regex { path, message } => says.push(format!(
                "The regular expression {:?} of route {name} cannot be compiled here, and was left out: {message}",
                one_line(path, 128)
            )),
            Why::TooMany { paths } => says.push(format!(
                "{paths} regular expressions of route {name} were not tried: there are too many."
            )),
            _ => {}
        }
        if says.len() > 12 {
            says.push("More could not be looked at.".to_owned());
            break;
        }
    }
    says
}
