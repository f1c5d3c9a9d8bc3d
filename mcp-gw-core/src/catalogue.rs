//! What can be called at one moment: an immutable snapshot, built whole and swapped whole.

use std::collections::HashMap;
use std::sync::Arc;

use crate::backend::{Backend, ItemSpec, Offer};
use crate::json::RawJson;
use crate::policy::Feature;
use crate::tool::ToolSpec;

/// Between the prefix of a server and the name of its tool or prompt. Routing never splits a name
/// here: it looks the whole name up.
const SEPARATOR: &str = "__";

/// One tool, resource, template or prompt, and where it is served.
#[derive(Clone)]
#[non_exhaustive]
pub struct Entry {
    /// The name or URI that clients see.
    pub key: Arc<str>,
    /// The same as the backend calls it.
    pub upstream_key: Arc<str>,
    /// The definition that clients see.
    pub definition: RawJson,
    /// For tools: the definition, read.
    pub tool: Option<ToolSpec>,
    /// The backend's name.
    pub server: Arc<str>,
    pub(crate) backend: Arc<dyn Backend>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("upstream_key", &self.upstream_key)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Entries of one feature, in a fixed order, found by key.
#[derive(Debug, Default)]
struct Table {
    entries: Vec<Entry>,
    index: HashMap<Arc<str>, usize>,
}

impl Table {
    fn has(&self, key: &str) -> bool {
        self.index.contains_key(key)
    }

    fn push(&mut self, entry: Entry) {
        self.index
            .insert(Arc::clone(&entry.key), self.entries.len());
        self.entries.push(entry);
    }

    fn shows_the_same(&self, other: &Self) -> bool {
        self.entries.len() == other.entries.len()
            && self
                .entries
                .iter()
                .zip(&other.entries)
                .all(|(a, b)| a.definition == b.definition)
    }
}

/// A snapshot of everything that all backends offer.
///
/// A request takes one and keeps it, so that it sees one version throughout.
#[derive(Debug, Default)]
pub struct Catalogue {
    version: u64,
    tools: Table,
    resources: Table,
    resource_templates: Table,
    prompts: Table,
    instructions: Vec<(Arc<str>, String)>,
    completions: bool,
    logging: bool,
    /// The `ServerCapabilities` of the servers that said what they can do.
    capabilities: Vec<(Arc<str>, RawJson)>,
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

/// One backend's part in a snapshot.
pub(crate) struct Part<'a> {
    pub(crate) backend: &'a Arc<dyn Backend>,
    pub(crate) prefix: Option<&'a str>,
    pub(crate) offer: &'a Offer,
}

impl Catalogue {
    /// Builds a snapshot. What collides or cannot be named is left out and logged; the rest stays.
    pub(crate) fn build<'a>(version: u64, parts: impl IntoIterator<Item = Part<'a>>) -> Self {
        let mut catalogue = Self {
            version,
            ..Self::default()
        };
        for part in parts {
            for tool in &part.offer.tools {
                catalogue.add_tool(&part, tool);
            }
            for (feature, items) in [
                (Feature::Resource, &part.offer.resources),
                (Feature::ResourceTemplate, &part.offer.resource_templates),
                (Feature::Prompt, &part.offer.prompts),
            ] {
                for item in items {
                    catalogue.add_item(&part, feature, item);
                }
            }
            if let Some(instructions) = &part.offer.instructions {
                catalogue
                    .instructions
                    .push((part.backend.name().into(), instructions.clone()));
            }
            if let Some(capabilities) = &part.offer.capabilities {
                let has = |name| capabilities.member(name).is_ok_and(|it| it.is_some());
                catalogue.completions |= has("completions");
                catalogue.logging |= has("logging");
                catalogue
                    .capabilities
                    .push((part.backend.name().into(), capabilities.clone()));
            }
        }
        catalogue
    }

    fn add_tool(&mut self, part: &Part<'_>, tool: &ToolSpec) {
        let shown = match part.prefix {
            Some(prefix) => tool
                .clone()
                .with_name(&format!("{prefix}{SEPARATOR}{}", tool.name())),
            None => Ok(tool.clone()),
        };
        match shown {
            Ok(shown) => self.insert(
                Feature::Tool,
                Entry {
                    key: shown.shared_name(),
                    upstream_key: tool.shared_name(),
                    definition: shown.definition().clone(),
                    tool: Some(shown),
                    server: part.backend.name().into(),
                    backend: Arc::clone(part.backend),
                },
            ),
            Err(error) => {
                tracing::warn!(server = part.backend.name(), tool = tool.name(), %error, "a tool is left out");
            }
        }
    }

    fn add_item(&mut self, part: &Part<'_>, feature: Feature, item: &ItemSpec) {
        let (key, definition) = match (part.prefix, feature) {
            (Some(prefix), Feature::Prompt) => {
                let name = format!("{prefix}{SEPARATOR}{}", item.key());
                match rename(item.definition(), &name) {
                    Some(definition) => (name.into(), definition),
                    None => return,
                }
            }
            _ => (Arc::from(item.key()), item.definition().clone()),
        };
        self.insert(
            feature,
            Entry {
                key,
                upstream_key: item.key().into(),
                definition,
                tool: None,
                server: part.backend.name().into(),
                backend: Arc::clone(part.backend),
            },
        );
    }

    fn insert(&mut self, feature: Feature, entry: Entry) {
        let table = self.table_mut(feature);
        if table.has(&entry.key) {
            tracing::warn!(
                server = &*entry.server,
                name = &*entry.key,
                "there is a {} of this name already, of this server or another; this one is left \
                 out",
                feature.as_str()
            );
        } else {
            table.push(entry);
        }
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
    pub fn entries(&self, feature: Feature) -> &[Entry] {
        &self.table(feature).entries
    }

    /// The entry that clients know as `key`.
    pub fn find(&self, feature: Feature, key: &str) -> Option<&Entry> {
        let table = self.table(feature);
        table.index.get(key).and_then(|&at| table.entries.get(at))
    }

    /// The position of `key` among [`Catalogue::entries`].
    pub fn position(&self, feature: Feature, key: &str) -> Option<usize> {
        self.table(feature).index.get(key).copied()
    }

    /// Where a URI is read: the resource of that URI, or else the first template whose literal
    /// beginning fits.
    pub fn find_resource(&self, uri: &str) -> Option<&Entry> {
        self.find(Feature::Resource, uri).or_else(|| {
            self.resource_templates.entries.iter().find(|entry| {
                let literal = entry.key.split('{').next().unwrap_or_default();
                !literal.is_empty() && uri.starts_with(literal)
            })
        })
    }

    /// What each server says for the model, in the configured order.
    pub fn instructions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.instructions
            .iter()
            .map(|(server, text)| (&**server, text.as_str()))
    }

    /// True when a server completes arguments.
    pub const fn has_completions(&self) -> bool {
        self.completions
    }

    /// What each server says that it can do: a `ServerCapabilities` object, in the configured order.
    pub fn capabilities(&self) -> impl Iterator<Item = (&str, &RawJson)> {
        self.capabilities
            .iter()
            .map(|(server, capabilities)| (&**server, capabilities))
    }

    /// True when a server sends log messages.
    pub const fn has_logging(&self) -> bool {
        self.logging
    }

    /// Which lists a client would see change from `self` to `next`.
    pub fn change_to(&self, next: &Self) -> CatalogueChange {
        let differs = |feature: Feature| !self.table(feature).shows_the_same(next.table(feature));
        CatalogueChange {
            tools: differs(Feature::Tool),
            resources: differs(Feature::Resource) || differs(Feature::ResourceTemplate),
            prompts: differs(Feature::Prompt),
        }
    }
}

fn rename(definition: &RawJson, name: &str) -> Option<RawJson> {
    let members = definition.members().ok()?;
    let mut writer = crate::json::ObjectWriter::with_capacity(definition.len() + name.len());
    for (key, value) in members.iter() {
        writer = if key == "name" {
            writer.string(key, name)
        } else {
            writer.raw_value(key, value)
        };
    }
    Some(writer.finish())
}
