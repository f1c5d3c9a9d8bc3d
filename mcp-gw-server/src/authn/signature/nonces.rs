//! Signatures that were used, for as long as they could be used again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

/// What is known of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is new, and remembered from now on.
    Never,
    /// It was used.
    Before,
    /// Whether it was used is forgotten.
    TooOld,
    /// It is new and cannot be remembered, so it must not be taken.
    NoRoom,
}

/// Remembers, for each key by itself: who signs too much with one key is in nobody else's way.
#[derive(Default)]
pub(super) struct Nonces {
    of: Mutex<HashMap<Arc<str>, OfKey>>,
    /// How many of one key.
    room: AtomicUsize,
}

#[derive(Default)]
struct OfKey {
    seen: HashSet<[u8; 16]>,
    /// By the second in which they were made.
    by_time: BTreeMap<u64, Vec<[u8; 16]>>,
    /// What was made before is forgotten.
    since: u64,
}

impl Nonces {
    pub(super) fn set_room(&self, room: usize) {
        self.room.store(room, Ordering::Relaxed);
    }

    /// Takes a nonce that was made at `created`; those from before `oldest` are forgotten, as they are
    /// refused for their age. It is never believed that time goes back.
    pub(super) fn take(&self, key: &Arc<str>, nonce: &[u8], created: u64, oldest: u64) -> Seen {
        let digest = digest(nonce);
        let mut all = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let of = all.entry(Arc::clone(key)).or_default();
        of.forget(oldest);
        if created < of.since {
            return Seen::TooOld;
        }
        if of.seen.contains(&digest) {
            return Seen::Before;
        }
        if of.seen.len() >= self.room.load(Ordering::Relaxed) {
            return Seen::NoRoom;
        }
        of.seen.insert(digest);
        of.by_time.entry(created).or_default().push(digest);
        Seen::Never
    }
}

impl OfKey {
    fn forget(&mut self, oldest: u64) {
        self.since = self.since.max(oldest);
        while let Some(first) = self.by_time.first_entry()
            && *first.key() < self.since
        {
            for digest in first.remove() {
                self.seen.remove(&digest);
            }
        }
    }
}

/// Half of a digest is room enough for no two to be alike by chance.
fn digest(nonce: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(nonce).into();
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(digest) {
        *to = from;
    }
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_good_once_and_forgotten_when_it_is_too_old() {
        let nonces = Nonces::default();
        nonces.set_room(3);
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        assert_eq!(nonces.take(&a, b"1", 100, 0), Seen::Never);
        assert_eq!(nonces.take(&a, b"1", 100, 0), Seen::Before);
        assert_eq!(
            nonces.take(&a, b"1", 101, 0),
            Seen::Before,
            "at another time too"
        );
        assert_eq!(
            nonces.take(&b, b"1", 100, 0),
            Seen::Never,
            "with another key"
        );
        assert_eq!(nonces.take(&a, b"2", 200, 0), Seen::Never);
        assert_eq!(nonces.take(&a, b"3", 150, 0), Seen::Never);
        assert_eq!(nonces.take(&a, b"4", 300, 0), Seen::NoRoom);
        assert_eq!(
            nonces.take(&b, b"4", 300, 0),
            Seen::Never,
            "it has its own room"
        );
        assert_eq!(
            nonces.take(&a, b"4", 300, 101),
            Seen::Never,
            "one is too old by now"
        );
        assert_eq!(nonces.take(&a, b"1", 100, 101), Seen::TooOld);
        assert_eq!(
            nonces.take(&a, b"1", 100, 0),
            Seen::TooOld,
            "time does not go back"
        );
        assert_eq!(nonces.take(&a, b"2", 200, 101), Seen::Before);
    }
}
