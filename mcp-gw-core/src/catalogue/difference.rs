//! What is another one from one snapshot to the next, for who asks the policy whether a caller sees it.

use std::sync::Arc;

use super::{Catalogue, Entry};
use crate::policy::Feature;

/// Two snapshots of one endpoint, one in the place of the other. Equal to the same two.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CatalogueSwap {
    /// What there was.
    pub before: Arc<Catalogue>,
    /// What took its place.
    pub after: Arc<Catalogue>,
}

impl CatalogueSwap {
    /// `after` took the place of `before`.
    pub const fn new(before: Arc<Catalogue>, after: Arc<Catalogue>) -> Self {
        Self { before, after }
    }
}

impl PartialEq for CatalogueSwap {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.before, &other.before) && Arc::ptr_eq(&self.after, &other.after)
    }
}

impl Eq for CatalogueSwap {}

/// What is another one in a list. A list that a policy shows in part has changed when a part of this
/// is in it; there is nothing else that it could have changed by.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Differences<'a> {
    /// What came, went or is another one.
    pub changed: Vec<Difference<'a>>,
    /// Of what stayed as it was, all that may stand in another order. Who sees one of these at most
    /// sees no other order.
    pub moved: Vec<&'a Entry>,
}

/// What clients know by one name, before and after.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Difference<'a> {
    /// What it was; `None` when it came.
    pub before: Option<&'a Entry>,
    /// What it is; `None` when it went.
    pub after: Option<&'a Entry>,
}

impl Difference<'_> {
    /// True when who sees both sees no difference: the definition is the same, and only what a policy
    /// may go by is not, such as the server.
    pub fn looks_the_same(&self) -> bool {
        match (self.before, self.after) {
            (Some(before), Some(after)) => before.definition == after.definition,
            _ => false,
        }
    }
}

impl Differences<'_> {
    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.moved.is_empty()
    }
}

impl Entry {
    /// True when neither a client nor a policy could tell the two apart.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.definition == other.definition
            && self.canonical == other.canonical
            && self.upstream_key == other.upstream_key
            && self.server == other.server
            && self.original == other.original
            && self.own_name == other.own_name
    }
}

impl Catalogue {
    /// What is another one in the list of a feature from `self` to `next`.
    pub fn differences<'a>(&'a self, next: &'a Self, feature: Feature) -> Differences<'a> {
        let (old, new) = (self.table(feature), next.table(feature));
        let mut changed = Vec::new();
        let mut stayed = (Vec::new(), Vec::new());
        for before in &old.entries {
            let after = new.shared(&before.key);
            if after.is_some_and(|after| Arc::ptr_eq(before, after) || before.is_as(after)) {
                stayed.0.push(&**before);
            } else {
                changed.push(Difference {
                    before: Some(before),
                    after: after.map(|after| &**after),
                });
            }
        }
        for after in &new.entries {
            match old.shared(&after.key) {
                Some(before) if Arc::ptr_eq(before, after) || before.is_as(after) => {
                    stayed.1.push(&**after);
                }
                // Named above.
                Some(_) => {}
                None => changed.push(Difference {
                    before: None,
                    after: Some(after),
                }),
            }
        }
        Differences {
            changed,
            moved: moved(&stayed.0, &stayed.1),
        }
    }
}

/// What is between the first and the last place that is not the same. `old` and `new` hold the same.
fn moved<'a>(old: &[&'a Entry], new: &[&'a Entry]) -> Vec<&'a Entry> {
    let differs = |(before, after): (&&Entry, &&Entry)| before.key != after.key;
    let Some(first) = old.iter().zip(new).position(differs) else {
        return Vec::new();
    };
    let last = old.iter().zip(new).rposition(differs).unwrap_or(first);
    old.get(first..=last).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests;
