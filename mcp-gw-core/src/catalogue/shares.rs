//! The parts that backends have in a snapshot, in the configured order, found by name.

use std::collections::HashMap;
use std::sync::Arc;

use super::Share;

/// So few are found as fast by looking at each.
const FEW: usize = 8;

#[derive(Debug, Clone, Default)]
pub(super) struct Shares {
    all: Vec<Share>,
    /// Where each is, when there are more than a few.
    places: Option<Arc<HashMap<Arc<str>, usize>>>,
}

impl FromIterator<Share> for Shares {
    fn from_iter<T: IntoIterator<Item = Share>>(shares: T) -> Self {
        let all: Vec<Share> = shares.into_iter().collect();
        let named = || all.iter().map(|share| Arc::clone(&share.point.server));
        let places = (all.len() > FEW)
            .then(|| Arc::new(named().enumerate().map(|(at, name)| (name, at)).collect()));
        Self { all, places }
    }
}

impl Shares {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Share> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Share> {
        self.all.iter_mut()
    }

    /// That of the backend of this name.
    pub(super) fn of(&self, server: &str) -> Option<&Share> {
        match &self.places {
            Some(places) => self.all.get(*places.get(server)?),
            None => self.all.iter().find(|share| *share.point.server == *server),
        }
    }
}
