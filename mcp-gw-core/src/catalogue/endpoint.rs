//! Endpoints: one gateway, seen in parts. An endpoint decides what is shown and what it is called
//! there, never what may be done.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Catalogue, Entry, FEATURES, Scope, Share};
use crate::mount::MountPoint;
use crate::policy::Feature;

type Filter = Arc<dyn Fn(Feature, &str, &str) -> bool + Send + Sync>;

/// A part of the gateway that has an address of its own, with the names of the main endpoint.
#[derive(Clone)]
pub struct Endpoint {
    name: Arc<str>,
    filter: Filter,
    instructions: Option<Arc<str>>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Shows what `filter` says: of which feature, the name or URI at the main endpoint, the server.
    /// It must not block, and always answer the same.
    pub fn new(
        name: impl Into<Arc<str>>,
        filter: impl Fn(Feature, &str, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            filter: Arc::new(filter),
            instructions: None,
        }
    }

    /// Sets what the endpoint says for the model.
    #[must_use]
    pub fn with_instructions(mut self, instructions: Option<String>) -> Self {
        self.instructions = instructions.map(Into::into);
        self
    }

    /// Its name, the last part of its path.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn instructions(&self) -> Option<&str> {
        self.instructions.as_deref()
    }
}

impl Scope {
    pub(super) fn shows(&self, feature: Feature, canonical: &str, server: &str) -> bool {
        match self {
            Self::Main | Self::Server => true,
            Self::Subset(endpoint) => (endpoint.filter)(feature, canonical, server),
        }
    }
}

impl Catalogue {
    /// The view of an endpoint on this, the main snapshot.
    pub(crate) fn subset(&self, endpoint: &Endpoint) -> Self {
        let scope = Scope::Subset(endpoint.clone());
        let mut view = self.view(scope, |feature, entry| {
            (endpoint.filter)(feature, &entry.canonical, &entry.server).then(|| entry.clone())
        });
        let shown: Vec<_> = self
            .shares
            .iter()
            .map(|share| share.asked_at.is_none() && !share.is_static || view.has_of(&share.point))
            .collect();
        view.shares.clone_from(&self.shares);
        for (share, shown) in view.shares.iter_mut().zip(shown) {
            share.counts = shown;
        }
        view.reword(Some(self));
        view
    }

    /// The view on each server alone, with its own names and URIs. What the main snapshot leaves out
    /// has no name that a rule could know, so it is not here either.
    pub(crate) fn of_servers(&self) -> HashMap<Arc<str>, Self> {
        let view = |share: &Share| {
            let view = Self {
                version: self.version,
                scope: Scope::Server,
                shares: vec![share.clone()],
                ..Self::default()
            };
            (Arc::clone(&share.point.server), view)
        };
        let mut views: HashMap<_, _> = self.shares.iter().map(view).collect();
        for feature in FEATURES {
            for entry in &self.table(feature).entries {
                if let Some(view) = views.get_mut(&entry.server) {
                    view.table_mut(feature).push(Entry {
                        key: Arc::clone(&entry.upstream_key),
                        definition: entry.original.clone(),
                        unworded: entry.original.clone(),
                        ..entry.clone()
                    });
                }
            }
        }
        for view in views.values_mut() {
            view.reword(None);
        }
        views
    }

    fn view(&self, scope: Scope, show: impl Fn(Feature, &Entry) -> Option<Entry>) -> Self {
        let mut view = Self {
            version: self.version,
            scope,
            ..Self::default()
        };
        for feature in FEATURES {
            for entry in &self.table(feature).entries {
                if let Some(entry) = show(feature, entry) {
                    view.table_mut(feature).push(entry);
                }
            }
        }
        view
    }

    fn has_of(&self, point: &Arc<MountPoint>) -> bool {
        FEATURES.iter().any(|&feature| {
            let entries = &self.table(feature).entries;
            entries.iter().any(|entry| Arc::ptr_eq(&entry.point, point))
        })
    }
}
