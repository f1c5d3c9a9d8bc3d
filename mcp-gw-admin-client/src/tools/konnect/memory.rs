//! Which control plane things belong to, as far as earlier calls have shown.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::konnect::Uuid;

/// More are not remembered: then it begins anew.
const MOST: usize = 50_000;

/// Ids of consumers, services and routes, and the control planes that they are in. What is here was shown to the same
/// token.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<HashMap<Uuid, Uuid>>);

impl Memory {
    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers where things are.
    pub(crate) fn learn(&self, plane: &Uuid, ids: impl IntoIterator<Item = Uuid>) {
        let mut all = self.all();
        for id in ids {
            if all.len() >= MOST {
                all.clear();
            }
            all.insert(id, plane.clone());
        }
    }

    /// Forgets everything: it was of another organization.
    pub(crate) fn forget(&self) {
        self.all().clear();
    }

    /// Where something is, if that was seen.
    pub(crate) fn plane_of(&self, id: &Uuid) -> Option<Uuid> {
        self.all().get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_grow_without_end() {
        let memory = Memory::default();
        let id =
            |n: usize| -> Uuid { format!("00000000-0000-0000-0000-{n:012x}").parse().unwrap() };
        memory.learn(&id(0), (1..=MOST).map(id));
        assert_eq!(memory.plane_of(&id(7)), Some(id(0)));
        memory.learn(&id(1), [id(MOST + 1)]);
        assert_eq!(memory.all().len(), 1);
        assert_eq!(memory.plane_of(&id(MOST + 1)), Some(id(1)));
        assert_eq!(memory.plane_of(&id(7)), None);
    }
}
