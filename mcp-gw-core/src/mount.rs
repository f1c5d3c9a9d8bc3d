//! How backends share one gateway: whose names and URIs are changed, and how.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::Backend;
use crate::gateway::BuildError;
use crate::policy::Feature;
use crate::shown::{Shown, TaskMap};
use crate::uri_map::UriMap;

/// Between the prefix of a server and the name of its tool or prompt. Routing never splits a name
/// here: it looks the whole name up.
const SEPARATOR: &str = "__";

/// When the names of a backend's tools and prompts get its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Naming {
    /// Never. An item whose name a backend before this one has taken is left out.
    #[default]
    Never,
    /// An item whose name a backend before this one has taken; the others keep their names. A
    /// backend that is away still has the names that it had.
    OnCollision,
    /// Always.
    Always,
}

/// What clients see of a backend's URIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UriNaming {
    /// What the backend calls them. Of two resources with one URI the later is left out.
    #[default]
    Keep,
    /// A form that says which backend they belong to: `docs+file:///a` for `file:///a`, and
    /// `ui://docs__page` for `ui://page`. It leads back, so what no list names can be read too.
    Prefix,
}

/// How a backend is put into a gateway. See [`GatewayBuilder::mount`](crate::GatewayBuilder::mount).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Mounting {
    /// When names get the prefix.
    pub naming: Naming,
    /// What becomes of URIs.
    pub uris: UriNaming,
    /// The prefix, without the two underscores that follow it: letters, digits, `_`, `-`, `.`. Not
    /// looked at where nothing is prefixed.
    pub prefix: String,
}

impl Mounting {
    /// Names and URIs as they are.
    pub fn plain() -> Self {
        Self::default()
    }

    /// With this prefix. URIs are mapped when names always are; see [`Mounting::with_uris`].
    pub fn new(naming: Naming, prefix: impl Into<String>) -> Self {
        Self {
            naming,
            uris: match naming {
                Naming::Always => UriNaming::Prefix,
                Naming::Never | Naming::OnCollision => UriNaming::Keep,
            },
            prefix: prefix.into(),
        }
    }

    /// Sets what becomes of URIs.
    #[must_use]
    pub const fn with_uris(mut self, uris: UriNaming) -> Self {
        self.uris = uris;
        self
    }

    /// True when the prefix can stand before names and in the scheme of a URI.
    pub fn has_prefix(&self) -> bool {
        UriMap::of(&self.prefix).is_some()
    }

    /// True when a name or URI of a backend that is mounted like this could be taken for one of a
    /// backend that is mounted like `other`: one prefix with its underscores begins the other, or
    /// both come to one scheme.
    pub fn is_ambiguous_beside(&self, other: &Self) -> bool {
        let (space, others) = (self.space(), other.space());
        let names = !space.is_empty()
            && !others.is_empty()
            && (space.starts_with(&others) || others.starts_with(&space));
        let form = self.uri_map();
        names || (form.is_some() && form == other.uri_map())
    }

    /// What prefixed names begin with; empty where none is prefixed.
    fn space(&self) -> String {
        match self.naming {
            Naming::Never => String::new(),
            Naming::OnCollision | Naming::Always => format!("{}{SEPARATOR}", self.prefix),
        }
    }

    fn uri_map(&self) -> Option<UriMap> {
        match self.uris {
            UriNaming::Keep => None,
            UriNaming::Prefix => UriMap::of(&self.prefix),
        }
    }
}

/// Two of these mountings that are ambiguous beside each other, by their places in order, if there are
/// any: what [`Mounting::is_ambiguous_beside`] finds, without asking it of every pair.
pub(crate) fn first_ambiguous<'a>(
    all: impl Iterator<Item = &'a Mounting>,
) -> Option<(usize, usize)> {
    let mut spaces = Vec::new();
    let mut forms = HashMap::new();
    let in_order = |one: usize, other: usize| (one.min(other), one.max(other));
    for (index, mounting) in all.enumerate() {
        let space = mounting.space();
        if !space.is_empty() {
            spaces.push((space, index));
        }
        let form = mounting.uri_map();
        if let Some(form) = form
            && let Some(other) = forms.insert(form, index)
        {
            return Some(in_order(other, index));
        }
    }
    spaces.sort_unstable();
    // What begins with a text comes right behind it in order, before anything else does.
    spaces.windows(2).find_map(|pair| match pair {
        [(one, first), (other, second)] if other.starts_with(&**one) => {
            Some(in_order(*first, *second))
        }
        _ => None,
    })
}

/// Something that a backend offers and the gateway does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// What kind of item.
    pub feature: Feature,
    /// Its name or URI as the backend calls it, shortened.
    pub name: String,
    /// Why, for people.
    pub reason: String,
}

impl LeftOut {
    /// This item, for this reason.
    pub fn new(feature: Feature, name: &str, reason: impl Into<String>) -> Self {
        Self {
            feature,
            name: name.chars().take(128).collect(),
            reason: reason.into(),
        }
    }
}

/// A backend in its place: everything about it that does not change.
pub(crate) struct MountPoint {
    pub(crate) server: Arc<str>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) naming: Naming,
    /// What prefixed names begin with; empty where none is prefixed.
    space: String,
    /// What clients of endpoints that it shares see of its URIs and tasks.
    pub(crate) shown: Shown,
    /// True until it has answered, and again when it is known to be away.
    away: AtomicBool,
}

impl std::fmt::Debug for MountPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MountPoint")
            .field("server", &self.server)
            .field("naming", &self.naming)
            .finish_non_exhaustive()
    }
}

impl MountPoint {
    /// A backend in its place. The ids of its tasks name it where it is one of `several`: each makes
    /// its own, and two may make the same.
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        mounting: &Mounting,
        several: bool,
    ) -> Result<Self, BuildError> {
        let is_plain = mounting.naming == Naming::Never && mounting.uris == UriNaming::Keep;
        if !is_plain && !mounting.has_prefix() {
            return Err(BuildError::Prefix {
                name: backend.name().to_owned(),
                prefix: mounting.prefix.clone(),
            });
        }
        Ok(Self {
            server: backend.name().into(),
            naming: mounting.naming,
            space: mounting.space(),
            shown: Shown {
                uris: mounting.uri_map(),
                tasks: several.then(|| TaskMap::of(backend.name())),
            },
            backend,
            away: AtomicBool::new(true),
        })
    }

    /// True when the same backend is shown in the same way.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.backend, &other.backend)
            && self.server == other.server
            && self.naming == other.naming
            && self.space == other.space
            && self.shown == other.shown
    }

    /// A name of this backend's with its prefix.
    pub(crate) fn prefixed(&self, name: &str) -> String {
        [self.space.as_str(), name].concat()
    }

    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// What prefixed names begin with; empty where none is prefixed.
    pub(crate) fn space(&self) -> &str {
        &self.space
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }
}
