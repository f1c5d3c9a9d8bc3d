//! What can be called at one moment: an immutable snapshot, built whole and swapped whole. There is
//! one for each endpoint; those of endpoints are made of the main one, and show nothing beside it.

mod build;
mod difference;
mod endpoint;
pub(crate) mod pages;
mod shares;
mod worded;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use pages::Pages;
use shares::Shares;

use crate::backend::{Backend, Offer};
use crate::freshness::{CacheHint, ListHints};
use crate::json::RawJson;
use crate::mount::MountPoint;
use crate::policy::Feature;
use crate::shown::Shown;
use crate::tool::ToolSpec;
use crate::uri_map::UriMap;
use crate::uri_template::{UriTemplate, is_normal};
use crate::wording::Wording;

pub(crate) use build::{Part, Report};
pub use difference::{CatalogueSwap, Difference, Differences};
pub use endpoint::Endpoint;
pub use worded::Instructions;

/// A longer URI is nobody's.
const LONGEST_URI: usize = 8 * 1024;

/// One tool, resource, template or prompt, and where it is served.
#[derive(Clone)]
#[non_exhaustive]
pub struct Entry {
    /// The name or URI that clients of this endpoint see.
    pub key: Arc<str>,
    /// The name or URI at the main endpoint: what policy, limits and audit know it by, wherever it
    /// is asked for.
    pub canonical: Arc<str>,
    /// The same as the backend calls it: what it is asked for by.
    pub upstream_key: Arc<str>,
    /// The same as the server itself calls it: what rules by the server's names are about. It
    /// differs from the above where the backend is a wrapper that renames
    /// ([`ToolSpec::with_own_name`]).
    pub own_name: Arc<str>,
    /// The definition that clients of this endpoint see.
    pub definition: RawJson,
    /// For tools: the definition of the main endpoint, read.
    pub tool: Option<ToolSpec>,
    /// The backend's name.
    pub server: Arc<str>,
    /// The definition as it came.
    original: RawJson,
    /// The definition under its name here, with texts as they came.
    unworded: RawJson,
    template: Option<Arc<UriTemplate>>,
    point: Arc<MountPoint>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("canonical", &self.canonical)
            .field("upstream_key", &self.upstream_key)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Entries of one feature, in a fixed order, found by key.
#[derive(Debug, Default)]
struct Table {
    entries: Vec<Arc<Entry>>,
    index: HashMap<Arc<str>, usize>,
}

impl Table {
    fn find(&self, key: &str) -> Option<&Entry> {
        self.shared(key).map(|entry| &**entry)
    }

    fn shared(&self, key: &str) -> Option<&Arc<Entry>> {
        self.index.get(key).and_then(|&at| self.entries.get(at))
    }

    /// Room for as many entries as there are in another one.
    fn like(other: &Self) -> Self {
        Self {
            entries: Vec::with_capacity(other.entries.len()),
            index: HashMap::with_capacity(other.entries.len()),
        }
    }

    /// Adds an entry whose key is not taken.
    fn push(&mut self, entry: Arc<Entry>) {
        self.index
            .insert(Arc::clone(&entry.key), self.entries.len());
        self.entries.push(entry);
    }

    fn shows_the_same(&self, other: &Self) -> bool {
        let both = || self.entries.iter().zip(&other.entries);
        self.entries.len() == other.entries.len()
            && both().all(|(a, b)| Arc::ptr_eq(a, b) || a.is_as(b))
    }
}

/// Where a request goes, and what it is called on the way.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) canonical: Arc<str>,
    pub(crate) upstream: Arc<str>,
    /// What its server itself calls it, see [`Entry::own_name`].
    pub(crate) own_name: Arc<str>,
    pub(crate) server: Arc<str>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) tool: Option<ToolSpec>,
    /// How its URIs and tasks are shown.
    pub(crate) shown: Shown,
    /// What its things are called here in texts.
    pub(crate) wording: Wording,
}

/// What an endpoint shows of the gateway.
#[derive(Clone, Default)]
enum Scope {
    /// Everything.
    #[default]
    Main,
    /// One server, as it would be without a gateway.
    Server,
    /// Some of it, under the same names.
    Subset(Endpoint),
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Main => f.write_str("Main"),
            Self::Server => f.write_str("Server"),
            Self::Subset(endpoint) => endpoint.fmt(f),
        }
    }
}

/// Whether a backend's part, with all its items, is what it was in the main snapshot before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    New,
    AsBefore,
}

/// A backend's part in a snapshot, without its items.
#[derive(Debug, Clone)]
struct Share {
    point: Arc<MountPoint>,
    /// What it is made of.
    offer: Option<Arc<Offer>>,
    /// How many of its items the main snapshot shows.
    items: usize,
    age: Age,
    /// Something of it is shown, or may be once it is up.
    counts: bool,
    /// It is known without asking.
    is_static: bool,
    /// When it was asked for what is shown; `None` when it has not answered yet.
    asked_at: Option<Instant>,
    hints: ListHints,
    instructions: Option<Arc<str>>,
    /// Where its texts follow names: the items that they name and that it does not offer.
    absent: Option<Vec<Arc<str>>>,
    /// What its items are called at this endpoint.
    wording: Wording,
    /// Its `ServerCapabilities`, when it said what it can do.
    capabilities: Option<RawJson>,
    /// It sends log messages, which is asked with each request.
    logs: bool,
}

/// A snapshot of everything that all backends offer, as one endpoint shows it.
///
/// A request takes one and keeps it, so that it sees one version throughout.
#[derive(Debug, Default)]
pub struct Catalogue {
    version: u64,
    tools: Table,
    resources: Table,
    resource_templates: Table,
    prompts: Table,
    shares: Shares,
    scope: Scope,
    logs: OnceLock<bool>,
    pages: Pages,
}

/// Which lists differ between two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CatalogueChange {
    /// Tools differ.
    pub tools: bool,
    /// Resources or resource templates differ.
    pub resources: bool,
    /// Prompts differ.
    pub prompts: bool,
}

impl CatalogueChange {
    /// True when any list differs.
    pub const fn any(self) -> bool {
        self.tools || self.resources || self.prompts
    }
}

const FEATURES: [Feature; 4] = [
    Feature::Tool,
    Feature::Resource,
    Feature::ResourceTemplate,
    Feature::Prompt,
];

impl Catalogue {
    /// Pages of its lists that were written before.
    pub(crate) const fn pages(&self) -> &Pages {
        &self.pages
    }

    const fn table(&self, feature: Feature) -> &Table {
        match feature {
            Feature::Tool => &self.tools,
            Feature::Resource => &self.resources,
            Feature::ResourceTemplate => &self.resource_templates,
            Feature::Prompt => &self.prompts,
        }
    }

    const fn table_mut(&mut self, feature: Feature) -> &mut Table {
        match feature {
            Feature::Tool => &mut self.tools,
            Feature::Resource => &mut self.resources,
            Feature::ResourceTemplate => &mut self.resource_templates,
            Feature::Prompt => &mut self.prompts,
        }
    }

    /// Number of the snapshot; grows with each swap.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// All entries of a feature: servers in the configured order, items in the server's order.
    pub fn entries(&self, feature: Feature) -> &[Arc<Entry>] {
        &self.table(feature).entries
    }

    /// The entry that clients know as `key`.
    pub fn find(&self, feature: Feature, key: &str) -> Option<&Entry> {
        self.table(feature).find(key)
    }

    /// The position of `key` among [`Catalogue::entries`].
    pub fn position(&self, feature: Feature, key: &str) -> Option<usize> {
        self.table(feature).index.get(key).copied()
    }

    /// Where a request for `key` goes. Of resources this is more than [`Catalogue::find`] knows:
    /// what a template describes, and what bears the mark of a server.
    pub(crate) fn target(&self, feature: Feature, key: &str) -> Option<Target> {
        if let Some(entry) = self.find(feature, key) {
            return Some(Target {
                canonical: Arc::clone(&entry.canonical),
                upstream: Arc::clone(&entry.upstream_key),
                own_name: Arc::clone(&entry.own_name),
                tool: entry.tool.clone(),
                ..self.unnamed(&entry.point)
            });
        }
        if feature == Feature::Resource {
            return self.unlisted(key);
        }
        None
    }

    /// The resource of a URI that no list names.
    fn unlisted(&self, uri: &str) -> Option<Target> {
        if uri.len() > LONGEST_URI {
            return None;
        }
        let owner = self.shares.iter().find_map(|share| {
            let upstream = match (self.shown_uris(&share.point), &share.point.shown.uris) {
                (Some(map), _) => map.unmap(uri)?,
                // At an endpoint of its own a server knows its URIs without a mark.
                (None, Some(_)) => uri.to_owned(),
                (None, None) => return None,
            };
            Some((&share.point, upstream))
        });
        // A rule must not see another URI than the server.
        let own = owner.as_ref().map_or(uri, |(_, upstream)| upstream);
        if !is_normal(own) {
            return None;
        }
        if let Some((point, upstream)) = owner {
            let map = point.shown.uris.as_ref()?;
            let canonical = map.map(&upstream);
            let is_described = || {
                self.described(&upstream, |entry| Arc::ptr_eq(&entry.point, point))
                    .is_some()
            };
            let is_shown = self
                .scope
                .shows(Feature::Resource, &canonical, &point.server);
            return (is_shown || is_described()).then(|| {
                let upstream = Arc::<str>::from(upstream.as_str());
                Target {
                    canonical: canonical.into(),
                    own_name: Arc::clone(&upstream),
                    upstream,
                    ..self.unnamed(point)
                }
            });
        }
        let entry = self.described(uri, |entry| entry.point.shown.uris.is_none())?;
        let uri = Arc::<str>::from(uri);
        Some(Target {
            canonical: Arc::clone(&uri),
            own_name: Arc::clone(&uri),
            upstream: uri,
            ..self.unnamed(&entry.point)
        })
    }

    /// The first template that describes a URI, as its server calls it.
    fn described(&self, uri: &str, of: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        let mut entries = self.resource_templates.entries.iter().map(|entry| &**entry);
        entries.find(|entry| {
            let template = entry.template.as_ref();
            of(entry) && template.is_some_and(|template| template.matches(uri))
        })
    }

    fn unnamed(&self, point: &MountPoint) -> Target {
        Target {
            canonical: Arc::from(""),
            upstream: Arc::from(""),
            own_name: Arc::from(""),
            server: Arc::clone(&point.server),
            backend: Arc::clone(&point.backend),
            tool: None,
            shown: self.shown_of(point),
            wording: self.wording_of(point),
        }
    }

    /// How the URIs of a backend are shown here, unless as they are.
    fn shown_uris<'p>(&self, point: &'p MountPoint) -> Option<&'p UriMap> {
        match self.scope {
            Scope::Server => None,
            Scope::Main | Scope::Subset(_) => point.shown.uris.as_ref(),
        }
    }

    fn shown_of(&self, point: &MountPoint) -> Shown {
        match self.scope {
            Scope::Server => Shown::default(),
            Scope::Main | Scope::Subset(_) => point.shown.clone(),
        }
    }

    /// How the URIs and tasks of a server are shown here; `None` when it is not.
    pub(crate) fn shown(&self, server: &str) -> Option<Shown> {
        Some(self.shown_of(&self.share(server)?.point))
    }

    /// The URI of a resource of `server` as clients of this endpoint see it, for notifications;
    /// `None` when the endpoint does not show the server.
    pub fn shown_uri(&self, server: &str, upstream_uri: &str) -> Option<String> {
        let share = self.share(server)?;
        Some(match self.shown_uris(&share.point) {
            Some(map) => map.map(upstream_uri),
            None => upstream_uri.to_owned(),
        })
    }

    /// Where a resource is read that clients of this endpoint call `uri`: the backend's name, what
    /// the backend calls it, and its name at the main endpoint.
    pub fn locate(&self, uri: &str) -> Option<(Arc<str>, Arc<str>, Arc<str>)> {
        let target = self.target(Feature::Resource, uri)?;
        Some((target.server, target.upstream, target.canonical))
    }

    fn share(&self, server: &str) -> Option<&Share> {
        self.shares.of(server).filter(|share| share.counts)
    }

    /// What is to be said about keeping a list, at `now`: what is true of all its parts. Servers that
    /// say nothing about it make it stale at once, and one that is away makes it soon stale. What is
    /// known without asking does not count.
    pub(crate) fn hint(&self, feature: Feature, now: Instant) -> CacheHint {
        let mut merged: Option<CacheHint> = None;
        let mut is_complete = true;
        for share in self.shares.iter().filter(|share| share.counts) {
            if share.is_static {
                continue;
            }
            is_complete &= !share.point.is_away();
            let Some(asked_at) = share.asked_at else {
                continue;
            };
            let own = share.hints.of(feature).unwrap_or_default();
            let own = own.aged(now.saturating_duration_since(asked_at));
            merged = Some(merged.map_or(own, |merged| merged.and(own)));
        }
        let hint = merged.unwrap_or_default();
        if is_complete { hint } else { hint.while_away() }
    }

    /// What the endpoint itself says for the model, when it has words of its own.
    pub fn own_instructions(&self) -> Option<&str> {
        match &self.scope {
            Scope::Subset(endpoint) => endpoint.instructions(),
            Scope::Main | Scope::Server => None,
        }
    }

    /// True for the main endpoint, which shows everything.
    pub const fn is_main(&self) -> bool {
        matches!(self.scope, Scope::Main)
    }

    /// True when more than one server is behind this endpoint.
    pub fn is_shared(&self) -> bool {
        self.shares.iter().filter(|share| share.counts).count() > 1
    }

    /// True when a server completes arguments.
    pub fn has_completions(&self) -> bool {
        self.capabilities()
            .any(|(_, all)| all.member("completions").is_ok_and(|found| found.is_some()))
    }

    /// What each server says that it can do: a `ServerCapabilities` object, in the configured order.
    pub fn capabilities(&self) -> impl Iterator<Item = (&str, &RawJson)> {
        self.shares
            .iter()
            .filter(|share| share.counts)
            .filter_map(|share| Some((share.point.backend.name(), share.capabilities.as_ref()?)))
    }

    /// True when a server sends log messages.
    pub fn has_logging(&self) -> bool {
        // Asked with each request, of all servers that there are.
        let any = || self.shares.iter().any(|share| share.counts && share.logs);
        *self.logs.get_or_init(any)
    }

    /// Which lists a client may see change from `self` to `next`. Whether it does is up to the policy:
    /// see [`Catalogue::differences`].
    pub fn change_to(&self, next: &Self) -> CatalogueChange {
        let differs = |feature: Feature| !self.table(feature).shows_the_same(next.table(feature));
        CatalogueChange {
            tools: differs(Feature::Tool),
            resources: differs(Feature::Resource) || differs(Feature::ResourceTemplate),
            prompts: differs(Feature::Prompt),
        }
    }
}
