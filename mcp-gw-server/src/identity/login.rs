//! Users log in, log out, and end all their tokens.

use std::net::IpAddr;
use std::time::Duration;

use mcp_gw_core::Secret;
use mcp_gw_store::{QuotaCharge, QuotaKey, StoreError, Time, User, UserChange, UserId};
use sha2::{Digest as _, Sha256};

use super::error::{IdentityError, LoginError};
use super::password::Verdict;
use super::token::{IssuedToken, LEEWAY};
use super::{Identity, Inner, PREFIX};

/// What failed is counted, however often: who has failed too often is told before the next try.
const NO_BOUND: u64 = i64::MAX as u64;

impl Identity {
    /// A token for a user who shows their password. A user who is not there, one who is not active and a
    /// wrong password have the same answer, and take the same time.
    ///
    /// What fails is counted by user and by address (`management.login`); where several gateways share the
    /// store, by all of them. `addr` is that of the client, after trusted proxies.
    ///
    /// # Errors
    /// When it is none of the above, was tried too often, too many try at once, or the store fails.
    pub async fn login(
        &self,
        username: &str,
        password: &Secret<String>,
        addr: Option<IpAddr>,
    ) -> Result<IssuedToken, LoginError> {
        let user = self.0.prove(username, password, addr).await?;
        let life = self.0.settings.load().token_life;
        Ok(self.0.tokens.issue(&user, life)?)
    }

    /// Ends this token; others of the user go on. Twice is once.
    ///
    /// # Errors
    /// [`IdentityError::Invalid`] when it is no token that is good now; an API key is revoked instead.
    pub async fn logout(&self, token: &Secret<String>) -> Result<(), IdentityError> {
        let text = token.expose();
        let none = |reason: &str| IdentityError::invalid("token", reason);
        if text.starts_with(PREFIX) {
            return Err(none("an API key is not logged out, but revoked"));
        }
        let claimed = self.0.tokens.read(text).await;
        let claimed = claimed.map_err(|_| none("it is no token that is good now"))?;
        let until = claimed.until.after(LEEWAY);
        let revoked = self.0.store.revoke_token(&claimed.id, until).await;
        // Even where the answer was lost it may have been written.
        self.0.forget();
        Ok(revoked?)
    }

    /// Ends all tokens of a user. Keys stay.
    ///
    /// # Errors
    /// When there is no such user, or the store fails.
    pub async fn end_tokens(&self, user: UserId) -> Result<(), IdentityError> {
        let mut change = UserChange::new();
        change.revoke_tokens = true;
        let ended = self.0.store.update_user(user, None, change).await;
        self.0.forget();
        ended?;
        Ok(())
    }
}

impl Inner {
    /// The user who has this name and password.
    async fn prove(
        &self,
        username: &str,
        password: &Secret<String>,
        addr: Option<IpAddr>,
    ) -> Result<User, LoginError> {
        let rates = self.settings.load().rates;
        let now = self.clock.now();
        let throttled = |retry_after| LoginError::Throttled { retry_after };
        let attempt = self.throttle.begin(username, addr, rates, now);
        let attempt = attempt.map_err(throttled)?;
        let shared = self.shared_keys(attempt.user(), attempt.address(), rates);
        let looked = self.look(username, password, &shared).await;
        match looked {
            Ok(Some((user, verdict))) => {
                let counts = attempt.user().is_some();
                self.throttle.succeeded(attempt);
                if let Some((key, _)) = shared.first().filter(|_| counts) {
                    // It is over at the end of its window in any case.
                    let _ = self.store.reset_quotas(&[*key]).await;
                }
                self.refresh(&user, password, &verdict).await;
                Ok(user)
            }
            Ok(None) => {
                self.charge(&shared, 1).await?;
                Err(LoginError::Invalid)
            }
            Err(error) => {
                self.throttle.undecided(&attempt);
                Err(error)
            }
        }
    }

    async fn look(
        &self,
        username: &str,
        password: &Secret<String>,
        shared: &[(QuotaKey, u64)],
    ) -> Result<Option<(User, Verdict)>, LoginError> {
        if let Some(retry_after) = self.charge(shared, 0).await? {
            return Err(LoginError::Throttled { retry_after });
        }
        let user = match self.store.user_by_name(username).await {
            Ok(user) => Some(user),
            Err(StoreError::NotFound { .. } | StoreError::Invalid { .. }) => None,
            Err(error) => return Err(LoginError::Store(error)),
        };
        let hash = user.as_ref().map(|user| &user.password_hash);
        let verdict = self.passwords.verify(password, hash).await?;
        Ok(user
            .filter(|user| user.is_active && verdict != Verdict::Wrong)
            .map(|user| (user, verdict)))
    }

    /// Makes the hash anew where it was made at another cost. That it fails keeps nobody out.
    async fn refresh(&self, user: &User, password: &Secret<String>, verdict: &Verdict) {
        if *verdict != (Verdict::Right { is_stale: true }) {
            return;
        }
        let Ok(hash) = self.passwords.hash(password).await else {
            return;
        };
        let mut change = UserChange::new();
        change.password_hash = hash.into();
        let changed = self.store.update_user(user.id, Some(user.revision), change);
        if let Err(error) = changed.await {
            tracing::debug!(%error, user = %user.id, "the hash of a password was not made anew");
        }
    }

    /// What is counted with the other gateways on the same store: first what the user has against them, then
    /// the address.
    fn shared_keys(
        &self,
        user: Option<&str>,
        address: Option<IpAddr>,
        rates: super::Rates,
    ) -> Vec<(QuotaKey, u64)> {
        if !self.store.is_shared() {
            return Vec::new();
        }
        let user = user.map(|user| (quota_key("user", user), u64::from(rates.per_user)));
        let address = address.map(|address| {
            let key = quota_key("address", &address.to_string());
            (key, u64::from(rates.per_address))
        });
        user.into_iter().chain(address).collect()
    }

    /// Charges failures; says how long to wait where there were too many before. Gateways know the same
    /// windows, as these begin by the clock.
    async fn charge(
        &self,
        keys: &[(QuotaKey, u64)],
        cost: u64,
    ) -> Result<Option<Duration>, StoreError> {
        let now = self.time();
        let until = end_of_window(now, self.settings.load().rates.window);
        let mut wait = None;
        // One by one: that one is full keeps no other from being charged.
        for (key, most) in keys {
            let charge = QuotaCharge::new(*key, cost, NO_BOUND, until);
            for standing in self.store.charge_quotas(&[charge]).await? {
                if standing.used >= *most && cost == 0 {
                    let rest = standing.until.as_micros() - now.as_micros();
                    let rest = Duration::from_micros(u64::try_from(rest).unwrap_or(0));
                    wait = wait.max(Some(rest));
                }
            }
        }
        Ok(wait)
    }
}

/// The end of the window that this is in; windows follow each other since 1970.
fn end_of_window(now: Time, window: Duration) -> Time {
    let length = i64::try_from(window.as_micros()).unwrap_or(i64::MAX).max(1);
    let now = now.as_micros();
    Time::from_micros(now.saturating_add(length.saturating_sub(now.rem_euclid(length))))
}

fn quota_key(kind: &str, of: &str) -> QuotaKey {
    let mut hash = Sha256::new();
    hash.update(b"login\0");
    hash.update(kind.as_bytes());
    hash.update(b"\0");
    hash.update(of.as_bytes());
    let hash = hash.finalize();
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hash) {
        *to = from;
    }
    QuotaKey::from_bytes(bytes)
}
