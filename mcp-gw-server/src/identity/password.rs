//! Passwords: argon2id (RFC 9106), on threads of their own, a few at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use mcp_gw_core::Secret;
use mcp_gw_store::PasswordHash;
use tokio::sync::Semaphore;

use super::error::IdentityError;
use crate::config::LONGEST_PASSWORD;

/// How dear a hash is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// In KiB.
    pub(super) memory: u32,
    pub(super) rounds: u32,
}

impl Cost {
    /// What OWASP says: 19 MiB, two rounds, one lane.
    pub(super) const USUAL: Self = Self {
        memory: 19 * 1024,
        rounds: 2,
    };

    /// As little as there can be, for tests.
    #[cfg(test)]
    pub(super) const LEAST: Self = Self {
        memory: 8,
        rounds: 1,
    };

    fn params(self) -> Option<Params> {
        Params::new(self.memory, self.rounds, 1, None).ok()
    }
}

/// A hash of the database that would take more memory than this is refused, in KiB.
const MOST_MEMORY: u32 = 256 * 1024;

/// A hash of the database that would take more rounds than this is refused.
const MOST_ROUNDS: u32 = 16;

/// So many may wait for a thread.
const MOST_WAITING: usize = 64;

/// Makes and checks hashes of passwords. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub(super) struct Passwords(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cost: Cost,
    threads: Semaphore,
    /// Under way and waiting.
    wanted: AtomicUsize,
    most_wanted: usize,
    /// Of a password that nobody has: unknown users take as long as known ones.
    nobody: PasswordHash,
}

/// What a look at a password came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wrong,
    Right {
        /// The hash was made at another cost than is usual now.
        is_stale: bool,
    },
}

impl Passwords {
    /// # Errors
    /// When the machine has no random numbers.
    pub(super) async fn new(cost: Cost) -> Result<Self, IdentityError> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self::with_threads(cost, cores.clamp(1, 4), MOST_WAITING).await
    }

    pub(super) async fn with_threads(
        cost: Cost,
        threads: usize,
        waiting: usize,
    ) -> Result<Self, IdentityError> {
        let nobody = tokio::task::spawn_blocking(move || hash(cost, "a password that nobody has"));
        let nobody = nobody.await.map_err(|_| IdentityError::Busy)??;
        Ok(Self(Arc::new(Inner {
            cost,
            threads: Semaphore::new(threads),
            wanted: AtomicUsize::new(0),
            most_wanted: threads.saturating_add(waiting),
            nobody,
        })))
    }

    /// The hash of a password, to be kept.
    ///
    /// # Errors
    /// [`IdentityError::Busy`] when too many are asked for.
    pub(super) async fn hash(
        &self,
        password: &Secret<String>,
    ) -> Result<PasswordHash, IdentityError> {
        let (cost, password) = (self.0.cost, password.clone());
        self.run(move || hash(cost, password.expose())).await?
    }

    /// Looks whether a password is the one that was hashed; without a hash it is not, and that takes as
    /// long.
    ///
    /// # Errors
    /// [`IdentityError::Busy`] when too many are asked for.
    pub(super) async fn verify(
        &self,
        password: &Secret<String>,
        hash: Option<&PasswordHash>,
    ) -> Result<Verdict, IdentityError> {
        let is_known = hash.is_some();
        let hash = hash.unwrap_or(&self.0.nobody).clone();
        let cost = self.0.cost;
        // What is longer was never taken as a password, and would take longer to look at.
        let is_short = password.expose().len() <= LONGEST_PASSWORD;
        let password = if is_short {
            password.clone()
        } else {
            Secret::new(String::new())
        };
        let verdict = self
            .run(move || verify(cost, password.expose(), &hash))
            .await?;
        Ok(match verdict {
            Verdict::Right { .. } if !is_known || !is_short => Verdict::Wrong,
            verdict => verdict,
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, IdentityError> {
        let place = Place::take(&self.0).ok_or(IdentityError::Busy)?;
        // Somebody who goes away while it is their turn leaves the thread busy: the place and the turn go
        // with the thread.
        let turn = self.0.threads.acquire().await;
        turn.map_err(|_| IdentityError::Busy)?.forget();
        let turn = Turn(place);
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_| IdentityError::Busy)
    }
}

/// One of those that are asked for.
struct Place(Arc<Inner>);

impl Place {
    fn take(inner: &Arc<Inner>) -> Option<Self> {
        let most = inner.most_wanted;
        let more = |wanted: usize| (wanted < most).then_some(wanted + 1);
        let taken = inner
            .wanted
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Self(Arc::clone(inner)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.wanted.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A thread to work on.
struct Turn(Place);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.threads.add_permits(1);
    }
}

fn hash(cost: Cost, password: &str) -> Result<PasswordHash, IdentityError> {
    let failed = |_| IdentityError::internal("the password cannot be hashed");
    let params = cost
        .params()
        .ok_or_else(|| IdentityError::internal("the cost of passwords is out of range"))?;
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)
        .map_err(|_| IdentityError::internal("this machine has no random numbers"))?;
    let salt = SaltString::encode_b64(&salt).map_err(failed)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon
        .hash_password(password.as_bytes(), &salt)
        .map_err(failed)?;
    Ok(PasswordHash::new(hash.to_string()))
}

/// A hash that cannot be read, or would be too dear, is of no password.
fn verify(cost: Cost, password: &str, hash: &PasswordHash) -> Verdict {
    let Ok(hash) = argon2::PasswordHash::new(hash.expose()) else {
        return Verdict::Wrong;
    };
    let Ok(params) = Params::try_from(&hash) else {
        return Verdict::Wrong;
    };
    if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_ROUNDS || params.p_cost() > 16 {
        return Verdict::Wrong;
    }
    let is_stale = Algorithm::try_from(hash.algorithm) != Ok(Algorithm::Argon2id)
        || (params.m_cost(), params.t_cost(), params.p_cost()) != (cost.memory, cost.rounds, 1);
    match Argon2::default().verify_password(password.as_bytes(), &hash) {
        Ok(()) => Verdict::Right { is_stale },
        Err(_) => Verdict::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other_is() {
        let passwords = Passwords::new(Cost::LEAST).await.unwrap();
        let hash = passwords.hash(&secret("correct horse")).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        let right = Verdict::Right { is_stale: false };
        let looked = passwords
            .verify(&secret("correct horse"), Some(&hash))
            .await;
        assert_eq!(looked.unwrap(), right);
        for wrong in [
            "correct hors",
            "correct horse ",
            "",
            "\0",
            &"x".repeat(2000),
        ] {
            let looked = passwords.verify(&secret(wrong), Some(&hash)).await;
            assert_eq!(looked.unwrap(), Verdict::Wrong, "{wrong}");
        }
        let again = passwords.hash(&secret("correct horse")).await.unwrap();
        assert_ne!(hash.expose(), again.expose(), "the salt is another one");
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        let passwords = Passwords::new(Cost::LEAST).await.unwrap();
        let known = secret("a password that nobody has");
        assert_eq!(
            passwords.verify(&known, None).await.unwrap(),
            Verdict::Wrong
        );
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_good_and_stale() {
        let before = Passwords::new(Cost::LEAST).await.unwrap();
        let hash = before.hash(&secret("password")).await.unwrap();
        let dearer = Cost {
            memory: 16,
            rounds: 2,
        };
        let now = Passwords::new(dearer).await.unwrap();
        let looked = now.verify(&secret("password"), Some(&hash)).await.unwrap();
        assert_eq!(looked, Verdict::Right { is_stale: true });
    }

    #[tokio::test]
    async fn hashes_that_are_none_or_too_dear_are_of_no_password() {
        let passwords = Passwords::new(Cost::LEAST).await.unwrap();
        for text in [
            "",
            "password",
            "$2b$12$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "$argon2id$v=19$m=4194304,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=8,t=4000000000,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let hash = PasswordHash::new(text);
            let looked = passwords.verify(&secret("password"), Some(&hash)).await;
            assert_eq!(looked.unwrap(), Verdict::Wrong, "{text}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_flood_is_turned_away_and_leaves_no_trace() {
        let passwords = Passwords::with_threads(Cost::LEAST, 1, 1).await.unwrap();
        // The only thread is taken.
        let turn = passwords.0.threads.acquire().await.unwrap();
        let waits = passwords.clone();
        let waits = tokio::spawn(async move { waits.hash(&secret("password")).await });
        let given_up = passwords.clone();
        let given_up = tokio::spawn(async move { given_up.hash(&secret("password")).await });
        while passwords.0.wanted.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        let third = passwords.hash(&secret("password")).await;
        assert!(matches!(third, Err(IdentityError::Busy)));
        given_up.abort();
        let _ = given_up.await;
        drop(turn);
        waits.await.unwrap().unwrap();
        passwords.hash(&secret("password")).await.unwrap();
        assert_eq!(passwords.0.wanted.load(Ordering::Relaxed), 0);
        assert_eq!(passwords.0.threads.available_permits(), 1);
    }
}
