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
    pub(super) fn reword(&mut self) {
        for at in 0..self.shares.len() {
            let Some(point) = self.shares.get(at).map(|share| Arc::clone(&share.point)) else {
                continue;
            };
            let wording = self.names_of(&point);
            if let Some(share) = self.shares.get_mut(at) {
                share.wording = wording.clone();
                if !share.texts_follow_names || wording.is_empty() {
                    continue;
                }
            }
            self.reword_items(&point, &wording);
        }
    }

    fn names_of(&self, point: &Arc<MountPoint>) -> Wording {
        let tables = FEATURES.iter().map(|&feature| self.table(feature));
        let entries = tables.flat_map(|table| &table.entries);
        let own = entries.filter(|entry| Arc::ptr_eq(&entry.point, point));
        let pairs = own.map(|entry| (Arc::clone(&entry.own_name), Arc::clone(&entry.key)));
        Wording::of(pairs.collect())
    }

    fn reword_items(&mut self, point: &Arc<MountPoint>, wording: &Wording) {
        for feature in FEATURES {
            for entry in &mut self.table_mut(feature).entries {
                if !Arc::ptr_eq(&entry.point, point) {
                    continue;
                }
                let worded = wording.definition(&entry.definition);
                if worded == entry.definition {
                    continue;
                }
                // At an endpoint of its own a tool stays for rules what it is at the main one.
                if let Some(tool) = entry
                    .tool
                    .as_ref()
                    .filter(|tool| *tool.name() == *entry.key)
                    && let Ok(spec) = tool.clone().with_definition(worded.clone())
                {
                    entry.tool = Some(spec);
                }
                entry.definition = worded;
            }
        }
    }
}

impl Share {
    fn said(&self) -> Option<Instructions<'_>> {
        let text = self.instructions.as_deref()?;
        let server = &*self.point.server;
        Some(if self.texts_follow_names {
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
