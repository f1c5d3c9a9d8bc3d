//! Texts of servers for the clients of one endpoint: what they name is what can be called there.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Catalogue, FEATURES, Share};
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
        let share = self
            .shares
            .iter()
            .find(|share| std::ptr::eq(&raw const *share.point, &raw const *point));
        share.map(|share| share.wording.clone()).unwrap_or_default()
    }

    /// Finds out what items are called here, and puts that into the definitions of servers whose texts follow names.
    /// `whole` has what else there is elsewhere.
    pub(super) fn reword(&mut self, whole: Option<&Self>) {
        for at in 0..self.shares.len() {
            let Some(share) = self.shares.get(at) else {
                continue;
            };
            let (point, absent) = (Arc::clone(&share.point), share.absent.clone());
            let follows = absent.is_some();
            let mut names = self.names_of(&point);
            if let Some(absent) = absent {
                let elsewhere = whole
                    .map(|whole| whole.names_of(&point))
                    .unwrap_or_default();
                let elsewhere = elsewhere.into_iter().map(|(own, _)| own);
                let all: Vec<Arc<str>> = elsewhere.chain(absent).collect();
                for own in all {
                    if names.iter().all(|(known, _)| *known != own) {
                        let says = format!("{own} [not offered here]").into();
                        names.push((own, says));
                    }
                }
            }
            let wording = Wording::of(names);
            if let Some(share) = self.shares.get_mut(at) {
                share.wording = wording.clone();
            }
            if follows {
                self.reword_items(&point, &wording);
            }
        }
    }

    /// What a server calls its items, and what they are called here.
    fn names_of(&self, point: &Arc<MountPoint>) -> Vec<(Arc<str>, Arc<str>)> {
        let tables = FEATURES.iter().map(|&feature| self.table(feature));
        let entries = tables.flat_map(|table| &table.entries);
        let own = entries.filter(|entry| Arc::ptr_eq(&entry.point, point));
        own.map(|entry| (Arc::clone(&entry.own_name), Arc::clone(&entry.key)))
            .collect()
    }

    fn reword_items(&mut self, point: &Arc<MountPoint>, wording: &Wording) {
        let is_main = self.is_main();
        for feature in FEATURES {
            for entry in &mut self.table_mut(feature).entries {
                if !Arc::ptr_eq(&entry.point, point) {
                    continue;
                }
                entry.definition = wording.definition(&entry.unworded);
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
