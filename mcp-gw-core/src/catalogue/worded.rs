//! Texts of servers for the clients of one endpoint: what they name is what can be called there.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Age, Catalogue, FEATURES, Share};
use crate::mount::MountPoint;
use crate::wording::Wording;

/// What a server says for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instructions<'a> {
    /// The backend's name.
    pub server: &'a str,
    /// Its words; with the names that clients know, where its texts follow names.
    pub text: Cow<'a, str>,
    /// Otherwise: which of the server's names and URIs stand in its words and are called differently here, with what
    /// they are called.
    pub renamed: Vec<(&'a str, &'a str)>,
}

/// Pairs of what a server calls a thing and what clients do.
type Named = Vec<(Arc<str>, Arc<str>)>;

impl Catalogue {
    /// What each server says for the model, in the configured order.
    pub fn instructions(&self) -> impl Iterator<Item = Instructions<'_>> {
        self.shares
            .iter()
            .filter(|share| share.counts)
            .filter_map(Share::said)
    }

    /// What the items of a server are called here.
    pub(super) fn wording_of(&self, point: &MountPoint) -> Wording {
        let share = self.shares.of(&point.server);
        let share = share.filter(|share| std::ptr::eq(&raw const *share.point, &raw const *point));
        share.map(|share| share.wording.clone()).unwrap_or_default()
    }

    /// Finds out what items are called here, and puts that into the definitions of servers whose texts follow names.
    /// `whole` has what else there is elsewhere.
    pub(super) fn reword(&mut self, whole: Option<&Self>) {
        // Of who is as before in the main snapshot it is known.
        let new = self.servers(|share| !self.is_main() || share.age == Age::New);
        let mut here = self.names(&new);
        let mut elsewhere = whole.map_or_else(HashMap::new, |whole| {
            whole.names(&self.servers(|share| share.absent.is_some()))
        });
        let mut following = HashMap::new();
        for share in self.shares.iter_mut() {
            if !new.contains(&share.point.server) {
                continue;
            }
            let server = &share.point.server;
            let mut names = here.remove(server).unwrap_or_default();
            if let Some(absent) = &share.absent {
                let known: HashSet<_> = names.iter().map(|(own, _)| Arc::clone(own)).collect();
                let elsewhere = elsewhere.remove(server).unwrap_or_default();
                let elsewhere = elsewhere.into_iter().map(|(own, _)| own);
                let others = elsewhere.chain(absent.iter().cloned());
                names.extend(others.filter(|own| !known.contains(own)).map(|own| {
                    let says = format!("{own} [not offered here]");
                    (own, says.into())
                }));
            }
            share.wording = Wording::of(names);
            if share.absent.is_some() {
                following.insert(Arc::clone(server), share.wording.clone());
            }
        }
        if !following.is_empty() {
            self.reword_items(&following);
        }
    }

    fn servers(&self, is: impl Fn(&Share) -> bool) -> HashSet<Arc<str>> {
        let shares = self.shares.iter().filter(|share| is(share));
        shares
            .map(|share| Arc::clone(&share.point.server))
            .collect()
    }

    /// What each of these servers calls its items, and what they are called here.
    fn names(&self, servers: &HashSet<Arc<str>>) -> HashMap<Arc<str>, Named> {
        let mut names: HashMap<_, Named> = HashMap::new();
        if servers.is_empty() {
            return names;
        }
        for entry in FEATURES.iter().flat_map(|&feature| self.entries(feature)) {
            if !servers.contains(&entry.server) {
                continue;
            }
            let pair = (Arc::clone(&entry.own_name), Arc::clone(&entry.key));
            let of_server = names.entry(Arc::clone(&entry.server));
            of_server.or_default().push(pair);
        }
        names
    }

    fn reword_items(&mut self, wordings: &HashMap<Arc<str>, Wording>) {
        let is_main = self.is_main();
        for feature in FEATURES {
            for entry in &mut self.table_mut(feature).entries {
                let Some(wording) = wordings.get(&entry.server) else {
                    continue;
                };
                let definition = wording.definition(&entry.unworded);
                if entry.definition == definition {
                    continue;
                }
                let entry = Arc::make_mut(entry);
                entry.definition = definition;
                // Wherever a tool is shown, to rules it is what it is at the main endpoint.
                if is_main
                    && entry.definition != entry.unworded
                    && let Some(tool) = entry.tool.take()
                {
                    let spec = tool.clone().with_definition(entry.definition.clone());
                    entry.tool = Some(spec.unwrap_or(tool));
                }
            }
        }
    }
}

impl Share {
    fn said(&self) -> Option<Instructions<'_>> {
        let text = self.instructions.as_deref()?;
        let server = &*self.point.server;
        Some(if self.absent.is_some() {
            Instructions {
                server,
                text: self.wording.text(text),
                renamed: Vec::new(),
            }
        } else {
            Instructions {
                server,
                text: Cow::Borrowed(text),
                renamed: self.wording.pairs_in(text),
            }
        })
    }
}
