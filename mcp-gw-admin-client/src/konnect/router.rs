//! Which routes answer a path, by the rules of Kong's router (`traditional` and `traditional_compatible`).
//!
//! The router of a gateway tries routes in an order: those that ask for more (methods, hosts, paths) first, then
//! plain hosts, then regular expressions by their priority, then the longest prefix. [`answer`] does the same over the
//! routes of many control planes. What a question leaves open, such as the host, is no reason to leave a route out: it
//! is one of the [`Condition`]s under which the route answers.

mod facts;
mod host;
mod path;
mod pattern;

use std::collections::{BTreeMap, HashMap, HashSet};

pub use self::facts::{RouteFacts, ServiceRef};
use self::pattern::Patterns;
pub use path::normalized;

/// What is asked.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Question<'q> {
    /// The path of a request. A query behind it does not count.
    pub path: &'q str,
    /// Its method, where that is known. Case matters, as it does in HTTP.
    pub method: Option<&'q str>,
    /// The host that it is for, perhaps with a port, where that is known.
    pub host: Option<&'q str>,
}

impl<'q> Question<'q> {
    /// Only a path.
    pub const fn path(path: &'q str) -> Self {
        Self {
            path,
            method: None,
            host: None,
        }
    }
}

/// The routes that answer, and those that nobody can know about.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Routed {
    /// The path as the router compares it.
    pub path: String,
    /// Best first.
    pub matches: Vec<Match>,
    /// In the order of the routes.
    pub skipped: Vec<Skipped>,
}

/// A route that answers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Match {
    /// Its place in the routes that were given.
    pub route: usize,
    /// The path of the route that matched, as it is written.
    pub path: String,
    /// How it matched.
    pub kind: PathKind,
    /// What the named groups of a regular expression found.
    pub captures: Vec<(String, String)>,
    /// What is sent on of the path, before the service's own path is put in front of it.
    pub forwarded: String,
    /// What else must hold, as the question does not say.
    pub conditions: Vec<Condition>,
}

/// How a path of a route matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PathKind {
    /// The path begins with it, character by character: `/api` matches `/apix`.
    Prefix,
    /// A regular expression that matches from the beginning.
    Regex,
}

/// What a route asks for and a question leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// One of its methods.
    Method,
    /// One of its hosts.
    Host,
    /// Certain headers.
    Headers,
    /// A server name of TLS.
    Sni,
    /// An address that it comes from.
    Source,
    /// An address that it comes to.
    Destination,
}

/// A route, or one path of it, that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Its place in the routes that were given.
    pub route: usize,
    /// Why.
    pub why: Why,
}

/// Why a route or a path of it was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It has no paths: it answers any path, for its hosts, methods or headers.
    NoPaths,
    /// It is written as an expression.
    Expression,
    /// A regular expression that cannot be compiled, such as one that looks around.
    Regex {
        /// As it is written.
        path: String,
        /// Why not, on one line.
        message: String,
    },
    /// Regular expressions that were not tried, as those before took all the room there is for them.
    TooMany {
        /// How many paths of this route.
        paths: usize,
    },
}

impl Routed {
    /// The control planes of the matches, best first, each with its matches, best first.
    pub fn by_plane<'r>(&self, routes: &'r [RouteFacts]) -> Vec<(&'r str, Vec<&Match>)> {
        let mut planes: Vec<(&str, Vec<&Match>)> = Vec::new();
        let mut index: HashMap<&str, usize> = HashMap::new();
        for one in &self.matches {
            let Some(route) = routes.get(one.route) else {
                continue;
            };
            let plane = route.control_plane_id.as_str();
            let at = *index.entry(plane).or_insert_with(|| {
                planes.push((plane, Vec::new()));
                planes.len() - 1
            });
            if let Some((_, matches)) = planes.get_mut(at) {
                matches.push(one);
            }
        }
        planes
    }
}

/// The routes that answer, in the order in which Kong's router would try them.
///
/// Regular expressions are matched in time linear in the path, and compiled only when their first characters fit.
/// Those that cannot be compiled are in [`Routed::skipped`] and change nothing else. A route that a group shows and a
/// member owns is found once: at the member.
pub fn answer(routes: &[RouteFacts], question: Question<'_>) -> Routed {
    let mut all = Routed {
        path: normalized(question.path),
        ..Routed::default()
    };
    let owned: HashSet<&str> = routes
        .iter()
        .filter(|route| !route.is_group)
        .filter_map(|route| route.id.as_deref())
        .collect();
    let mut patterns = Patterns::default();
    let mut ranked: Vec<(Rank, Match)> = Vec::new();
    for (at, route) in routes.iter().enumerate() {
        let is_shown = route.is_group && route.id.as_deref().is_some_and(|id| owned.contains(id));
        if is_shown {
            continue;
        }
        if let Some(why) = unreadable(route) {
            all.skipped.push(Skipped { route: at, why });
            continue;
        }
        let Some(asked) = Asked::of(route, question) else {
            continue;
        };
        let found = best_path(route, &all.path, &mut patterns, |why| {
            all.skipped.push(Skipped { route: at, why });
        });
        if let Some(found) = found {
            ranked.push((
                Rank::of(route, &asked, &found, at),
                found.at(at, asked.open),
            ));
        }
    }
    ranked.sort_by(|(a, _), (b, _)| a.cmp(b));
    all.matches = ranked.into_iter().map(|(_, found)| found).collect();
    all
}

fn unreadable(route: &RouteFacts) -> Option<Why> {
    if is_given(route.expression.as_deref().map(str::len)) {
        return Some(Why::Expression);
    }
    (!is_given(route.paths.as_ref().map(Vec::len))).then_some(Why::NoPaths)
}

fn is_given(length: Option<usize>) -> bool {
    length.is_some_and(|length| length > 0)
}

/// What a route asks for beside its path: what the question says holds, and the rest is open.
#[derive(Default)]
struct Asked {
    /// How many things hold that the question says.
    hold: usize,
    has_plain_host: bool,
    open: Vec<Condition>,
}

impl Asked {
    /// `None` when the question says something else than the route asks for.
    fn of(route: &RouteFacts, question: Question<'_>) -> Option<Self> {
        let mut asked = Self::default();
        if let Some(methods) = route.methods.as_ref().filter(|all| !all.is_empty()) {
            match question.method {
                None => asked.open.push(Condition::Method),
                Some(method) if methods.iter().any(|one| one == method) => asked.hold += 1,
                Some(_) => return None,
            }
        }
        if let Some(hosts) = route.hosts.as_ref().filter(|all| !all.is_empty()) {
            match question.host {
                None => asked.open.push(Condition::Host),
                Some(host) if hosts.iter().any(|one| host::matches(one, host)) => {
                    asked.hold += 1;
                    asked.has_plain_host = hosts.iter().all(|one| !one.contains('*'));
                }
                Some(_) => return None,
            }
        }
        let others = [
            (
                route.headers.as_ref().map(BTreeMap::len),
                Condition::Headers,
            ),
            (route.snis.as_ref().map(Vec::len), Condition::Sni),
            (route.sources.as_ref().map(Vec::len), Condition::Source),
            (
                route.destinations.as_ref().map(Vec::len),
                Condition::Destination,
            ),
        ];
        for (length, condition) in others {
            if is_given(length) {
                asked.open.push(condition);
            }
        }
        Some(asked)
    }
}

/// The path of a route that the router comes to first.
struct Found {
    path: String,
    kind: PathKind,
    captures: Vec<(String, String)>,
    forwarded: String,
}

impl Found {
    fn at(self, route: usize, conditions: Vec<Condition>) -> Match {
        Match {
            route,
            path: self.path,
            kind: self.kind,
            captures: self.captures,
            forwarded: self.forwarded,
            conditions,
        }
    }
}

/// Regular expressions come before prefixes, and the longest prefix before the others.
fn best_path(
    route: &RouteFacts,
    path: &str,
    patterns: &mut Patterns,
    mut skip: impl FnMut(Why),
) -> Option<Found> {
    let strip = route.strip_path.unwrap_or(true);
    let (mut regex, mut prefix) = (None::<Found>, None::<&str>);
    let mut left_out = 0;
    for one in route.paths.iter().flatten() {
        let Some(pattern) = one.strip_prefix('~') else {
            let is_longer = prefix.is_none_or(|other| other.len() < one.len());
            if is_longer && path.starts_with(one.as_str()) {
                prefix = Some(one);
            }
            continue;
        };
        // Also those that come too late are looked at: one that cannot be compiled is told of.
        match patterns.find(pattern, path) {
            Err(pattern::Fault::Room) => left_out += 1,
            Err(pattern::Fault::Syntax(message)) => skip(Why::Regex {
                path: one.clone(),
                message,
            }),
            Ok(Some(found)) if regex.is_none() => {
                regex = Some(Found {
                    path: one.clone(),
                    kind: PathKind::Regex,
                    captures: found.captures,
                    forwarded: path::forwarded(path, found.length, strip),
                });
            }
            Ok(_) => {}
        }
    }
    if left_out > 0 {
        skip(Why::TooMany { paths: left_out });
    }
    regex.or_else(|| {
        prefix.map(|prefix| Found {
            path: prefix.to_owned(),
            kind: PathKind::Prefix,
            captures: Vec::new(),
            forwarded: path::forwarded(path, prefix.len(), strip),
        })
    })
}

/// The order in which routes are tried: the least comes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// More of what the question says comes first, then plain hosts, then regular expressions.
    hold: std::cmp::Reverse<(usize, bool, PathKind)>,
    /// The priority of a regular expression, the length of a prefix.
    weight: std::cmp::Reverse<i64>,
    /// Those that answer in any case come first.
    open: usize,
    created_at: i64,
    at: usize,
}

impl Rank {
    fn of(route: &RouteFacts, asked: &Asked, found: &Found, at: usize) -> Self {
        let weight = match found.kind {
            PathKind::Regex => route.regex_priority.unwrap_or(0),
            PathKind::Prefix => i64::try_from(found.path.len()).unwrap_or(i64::MAX),
        };
        Self {
            hold: std::cmp::Reverse((asked.hold, asked.has_plain_host, found.kind)),
            weight: std::cmp::Reverse(weight),
            open: asked.open.len(),
            created_at: route.created_at.unwrap_or(i64::MAX),
            at,
        }
    }
}

#[cfg(test)]
mod tests;
