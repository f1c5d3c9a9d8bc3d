//! Endpoints: one gateway, seen in parts. An endpoint decides what is shown and what it is called
//! there, never what may be done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Age, Catalogue, Entry, FEATURES, Scope};
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
        let mut view = Self {
            version: self.version,
            scope: Scope::Subset(endpoint.clone()),
            ..Self::default()
        };
        for feature in FEATURES {
            for entry in self.entries(feature) {
                if (endpoint.filter)(feature, &entry.canonical, &entry.server) {
                    view.table_mut(feature).push(Arc::clone(entry));
                }
            }
        }
        let tables = FEATURES.iter().map(|&feature| view.table(feature));
        let entries = tables.flat_map(|table| &table.entries);
        let shown: HashSet<_> = entries.map(|entry| Arc::clone(&entry.server)).collect();
        view.shares.clone_from(&self.shares);
        for share in view.shares.iter_mut() {
            let may_come = share.asked_at.is_none() && !share.is_static;
            share.counts = may_come || shown.contains(&share.point.server);
        }
        view.reword(Some(self));
        view
    }

    /// The view on each server alone, with its own names and URIs. What the main snapshot leaves out
    /// has no name that a rule could know, so it is not here either. `before` has those that there were.
    pub(crate) fn of_servers(
        &self,
        before: impl Fn(&str) -> Option<Arc<Self>>,
    ) -> HashMap<Arc<str>, Arc<Self>> {
        let (mut kept, mut made) = (HashMap::new(), HashMap::new());
        for share in self.shares.iter() {
            let server = Arc::clone(&share.point.server);
            let same = (share.age == Age::AsBefore).then(|| before(&server));
            let same = same.flatten();
            if let Some(same) = same.filter(|same| matches!(same.scope, Scope::Server)) {
                kept.insert(server, same);
                continue;
            }
            let view = Self {
                version: self.version,
                scope: Scope::Server,
                shares: std::iter::once(share.clone()).collect(),
                ..Self::default()
            };
            made.insert(server, view);
        }
        for feature in FEATURES {
            for entry in self.entries(feature) {
                if let Some(view) = made.get_mut(&entry.server) {
                    let entry = Entry {
                        key: Arc::clone(&entry.upstream_key),
                        definition: entry.original.clone(),
                        unworded: entry.original.clone(),
                        ..Entry::clone(entry)
                    };
                    view.table_mut(feature).push(Arc::new(entry));
                }
            }
        }
        kept.extend(made.into_iter().map(|(server, mut view)| {
            view.reword(None);
            (server, Arc::new(view))
        }));
        kept
    }
}
