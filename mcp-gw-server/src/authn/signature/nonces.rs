//! Signatures that were used, for as long as they could be used again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

/// What is known of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is new.
    Never,
    /// It was used.
    Before,
    /// Whether it was used is forgotten.
    TooOld,
    /// It is new and cannot be remembered, so it must not be taken.
    NoRoom,
}

/// What a secret is known by here: nothing of it can be had from that. A key that gets another name is
/// the same one.
pub(super) type OfSecret = [u8; 32];

/// One use of a secret.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    secret: OfSecret,
    nonce: [u8; 16],
    created: u64,
}

impl Use {
    /// Of a signature that was made at `created`, in seconds since 1970.
    pub(super) fn new(secret: OfSecret, nonce: &[u8], created: u64) -> Self {
        Self {
            secret,
            nonce: digest(nonce),
            created,
        }
    }
}

/// Remembers, for each secret by itself: who signs too much with one is in nobody else's way.
#[derive(Default)]
pub(crate) struct Nonces {
    of: Mutex<HashMap<OfSecret, OfKey>>,
    /// How many of one secret.
    room: AtomicUsize,
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
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

    /// Forgets secrets of which nothing can be good that was made since `oldest`.
    pub(super) fn forget(&self, oldest: u64) {
        self.lock().retain(|_, of| {
            let last = of.by_time.last_key_value();
            of.since >= oldest || last.is_some_and(|(time, _)| *time >= oldest)
        });
    }

    /// What is known of these signatures of one request; those from before `oldest` are forgotten, as
    /// they are refused for their age. It is never believed that time goes back.
    pub(super) fn look(&self, uses: &[Use], oldest: u64) -> Seen {
        look(&mut self.lock(), uses, oldest, self.room())
    }

    /// The same, and remembers all of them when they are new.
    pub(super) fn take(&self, uses: &[Use], oldest: u64) -> Seen {
        let mut all = self.lock();
        let seen = look(&mut all, uses, oldest, self.room());
        if seen == Seen::Never {
            for one in uses {
                let of = all.entry(one.secret).or_default();
                if of.seen.insert(one.nonce) {
                    of.by_time.entry(one.created).or_default().push(one.nonce);
                }
            }
        }
        seen
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OfSecret, OfKey>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self) -> usize {
        self.room.load(Ordering::Relaxed)
    }
}

fn look(all: &mut HashMap<OfSecret, OfKey>, uses: &[Use], oldest: u64, room: usize) -> Seen {
    for one in uses {
        let of = all.entry(one.secret).or_default();
        of.forget(oldest);
        if one.created < of.since {
            return Seen::TooOld;
        }
        if of.seen.contains(&one.nonce) {
            return Seen::Before;
        }
        if of.seen.len() >= room {
            return Seen::NoRoom;
        }
    }
    Seen::Never
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
        let (a, b) = ([1; 32], [2; 32]);
        let take = |secret, nonce: &[u8; 1], created, oldest| {
            let uses = [Use::new(secret, nonce, created)];
            let seen = nonces.look(&uses, oldest);
            assert_eq!(nonces.take(&uses, oldest), seen);
            seen
        };
        assert_eq!(take(a, b"1", 100, 0), Seen::Never);
        assert_eq!(take(a, b"1", 100, 0), Seen::Before);
        assert_eq!(take(a, b"1", 101, 0), Seen::Before, "at another time too");
        assert_eq!(take(b, b"1", 100, 0), Seen::Never, "with another key");
        assert_eq!(take(a, b"2", 200, 0), Seen::Never);
        assert_eq!(take(a, b"3", 150, 0), Seen::Never);
        assert_eq!(take(a, b"4", 300, 0), Seen::NoRoom);
        assert_eq!(take(b, b"4", 300, 0), Seen::Never, "it has its own room");
        assert_eq!(
            take(a, b"4", 300, 101),
            Seen::Never,
            "one is too old by now"
        );
        assert_eq!(take(a, b"1", 100, 101), Seen::TooOld);
        assert_eq!(take(a, b"1", 100, 0), Seen::TooOld, "time does not go back");
        assert_eq!(take(a, b"2", 200, 101), Seen::Before);
    }

    #[test]
    fn all_of_one_request_are_taken_or_none() {
        let nonces = Nonces::default();
        nonces.set_room(9);
        let (a, b) = (Use::new([1; 32], b"1", 100), Use::new([2; 32], b"1", 100));
        assert_eq!(nonces.take(&[b], 0), Seen::Never);
        assert_eq!(nonces.take(&[a, b], 0), Seen::Before);
        assert_eq!(nonces.take(&[a, a], 0), Seen::Never);
        assert_eq!(nonces.take(&[a], 0), Seen::Before);
        nonces.forget(100);
        assert_eq!(nonces.take(&[b], 0), Seen::Before);
        nonces.forget(101);
        assert_eq!(nonces.take(&[b], 0), Seen::Never, "nothing is left of it");
    }
}
