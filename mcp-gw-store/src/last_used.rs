//! When keys were used, written now and then.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use crate::contract::Keys;
use crate::error::Result;
use crate::values::{KeyId, Time};

/// So many keys are written in one step.
const STEP: usize = 500;

/// Collects uses of keys, so that a call does not wait for a write.
///
/// Whoever has it calls [`LastUsed::flush`] now and then, such as once a minute, and at the end. What
/// was not flushed when the process dies is lost. It holds one time for each key, so it does not grow
/// beyond the number of keys.
#[derive(Debug, Default)]
pub struct LastUsed(Mutex<HashMap<KeyId, Time>>);

impl LastUsed {
    /// No uses yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A key was used.
    pub fn note(&self, key: KeyId, time: Time) {
        keep_later(&mut self.pending(), key, time);
    }

    /// Writes what was noted since the last time.
    ///
    /// # Errors
    /// When the store cannot be used; then nothing is lost, and the next time writes it.
    pub async fn flush<S: Keys + Sync + ?Sized>(&self, store: &S) -> Result<()> {
        let uses: Vec<(KeyId, Time)> = self.pending().drain().collect();
        let mut rest = Rest { to: self, uses };
        while !rest.uses.is_empty() {
            let from = rest.uses.len().saturating_sub(STEP);
            let step = rest.uses.get(from..).unwrap_or_default();
            store.touch_keys(step).await?;
            rest.uses.truncate(from);
        }
        Ok(())
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<KeyId, Time>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep_later(pending: &mut HashMap<KeyId, Time>, key: KeyId, time: Time) {
    match pending.entry(key) {
        Entry::Vacant(place) => {
            place.insert(time);
        }
        Entry::Occupied(mut place) => {
            let later = time.max(*place.get());
            place.insert(later);
        }
    }
}

/// What is still to be written: given back when it is not, also when the flush is given up.
struct Rest<'l> {
    to: &'l LastUsed,
    uses: Vec<(KeyId, Time)>,
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        let mut pending = self.to.pending();
        for (key, time) in self.uses.drain(..) {
            keep_later(&mut pending, key, time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, NewKey, NewUser, PasswordHash, SecretHash, Users as _};

    #[tokio::test]
    async fn the_last_use_of_each_key_is_written() {
        let store = MemoryStore::new();
        let user = NewUser::new("ada", PasswordHash::new("x"));
        let user = store.create_user(user).await.unwrap();
        let last_used = LastUsed::new();
        let mut keys = Vec::new();
        for number in 0..1_200 {
            let hash = SecretHash::from_bytes([0; 32]);
            let key = NewKey::new(user.id, "k", number.to_string(), hash);
            let key = store.create_key(key).await.unwrap();
            last_used.note(key.id, Time::from_micros(number + 5));
            last_used.note(key.id, Time::from_micros(number));
            keys.push(key.id);
        }
        last_used.flush(&store).await.unwrap();
        for (number, id) in (0..).zip(keys) {
            let key = store.key(id).await.unwrap();
            assert_eq!(key.last_used, Some(Time::from_micros(number + 5)));
        }
        assert!(last_used.pending().is_empty());
    }

    #[test]
    fn what_could_not_be_written_is_kept() {
        let uses = LastUsed::new();
        uses.note(KeyId::new(1), Time::from_micros(2));
        let rest = Rest {
            to: &uses,
            uses: uses.pending().drain().collect(),
        };
        uses.note(KeyId::new(1), Time::from_micros(1));
        drop(rest);
        let kept = uses.pending().get(&KeyId::new(1)).copied();
        assert_eq!(kept, Some(Time::from_micros(2)));
    }
}
