//! Users and keys of the management API: who they are, how they prove it, and the callers that they are to
//! policy, limits and audit.
//!
//! What is in the database is looked up once and believed for ten seconds at most. The own process forgets it
//! with each of its own writes, other processes as soon as the store tells of a change: at once on PostgreSQL,
//! within a second on a file that is shared.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_gw_core::{
    Authenticator, AuthnError, Caller, CallerKind, Clock, Credentials, NoAuthentication, Secret,
    Transport,
};
use mcp_gw_store::{
    ApiKey, ChangeKind, Changes, KeyId, LastUsed, SecretHash, Store, StoreError, Time, User,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::authn::{has_same_rights, issuer_of};
use crate::config::ManagementConfig;

mod accounts;
mod api_keys;
mod cache;
mod credential;
mod error;
mod first;
mod login;
mod management;
mod password;
mod scope;
mod sessions;
mod throttle;
mod token;

pub use accounts::{AccountChange, NewAccount};
pub use api_keys::{IssuedKey, KeyOrder};
pub use error::{IdentityError, LoginError};
pub use first::FirstAdmin;
pub use management::{Management, ManagementError};
pub(crate) use scope::all_powerful;
pub use scope::{Principal, Scope};
pub(crate) use sessions::end_strangers;
pub use token::{ISSUER, IssuedToken};

use cache::Cache;
use credential::{KeyMaker, PREFIX};
use password::{Cost, Passwords};
use scope::{RoleScopes, Shown};
use throttle::{Rates, Throttle};
use token::TokenMaker;

/// How often is written down when keys were used.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// The longest key or token that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;

/// Users and keys. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: ArcSwap<Settings>,
    passwords: Passwords,
    throttle: Throttle,
    tokens: TokenMaker,
    keys: KeyMaker,
    known_keys: Cache<String, Known<KnownKey>>,
    /// By the digest of the whole token.
    known_tokens: Cache<[u8; 32], Known<Arc<Caller>>>,
    used: LastUsed,
    /// Goes up with each change of users, keys and tokens.
    changed: watch::Sender<u64>,
    open: NoAuthentication,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// What may be another one after the configuration was read anew.
#[derive(Debug)]
struct Settings {
    token_life: Duration,
    key_life: Duration,
    shortest_password: usize,
    rates: Rates,
    roles: RoleScopes,
}

impl Settings {
    fn of(config: &ManagementConfig) -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        let minute = Duration::from_secs(60);
        Self {
            token_life: minute.saturating_mul(config.access_token_expire_minutes),
            key_life: day.saturating_mul(config.api_key_expire_days),
            shortest_password: config.min_password_length,
            rates: Rates {
                per_address: config.login.per_address,
                per_user: config.login.per_user,
                window: config.login.window.get(),
            },
            roles: RoleScopes::of(&config.role_scopes),
        }
    }
}

/// What a look-up found; `Err` says why it makes no caller.
type Known<T> = Result<T, &'static str>;

#[derive(Debug, Clone)]
struct KnownKey {
    id: KeyId,
    hash: SecretHash,
    expires_at: Option<Time>,
    caller: Arc<Caller>,
}

impl Identity {
    /// The users and keys of a store. What tokens are signed with is `config.secret_key`, or a secret that the
    /// store keeps.
    async fn open(
        config: &ManagementConfig,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        cost: Cost,
    ) -> Result<Self, IdentityError> {
        // Before anything is read: no change after it is missed.
        let changes = store.changes();
        let secret = if let Some(secret) = &config.secret_key {
            secret.clone()
        } else {
            let secret = store.secret("tokens").await?;
            Secret::new(URL_SAFE_NO_PAD.encode(secret.expose()))
        };
        let of_keys = store.secret("api-keys").await?;
        let identity = Self(Arc::new(Inner {
            tokens: TokenMaker::new(&secret, &clock)?,
            keys: KeyMaker::new(of_keys.expose()),
            passwords: Passwords::new(cost).await?,
            throttle: Throttle::default(),
            settings: ArcSwap::from_pointee(Settings::of(config)),
            known_keys: Cache::default(),
            known_tokens: Cache::default(),
            used: LastUsed::new(),
            changed: watch::Sender::new(0),
            open: NoAuthentication::new(),
            store,
            clock,
        }));
        tokio::spawn(follow(Arc::downgrade(&identity.0), changes));
        Ok(identity)
    }

    /// Puts in force what another configuration says of lives, lengths, rates and roles.
    pub(crate) fn set(&self, config: &ManagementConfig) {
        self.0.settings.store(Arc::new(Settings::of(config)));
        self.0.forget();
    }

    /// The caller that an API key or a token stands for.
    ///
    /// # Errors
    /// [`AuthnError::Invalid`] when it stands for nobody, whatever the reason is; [`AuthnError::Unavailable`]
    /// when the store cannot be asked.
    pub async fn check(&self, credential: &Secret<String>) -> Result<Arc<Caller>, AuthnError> {
        let text = credential.expose();
        if text.len() > LONGEST {
            return Err(invalid("the credential is too long"));
        }
        if text.starts_with(PREFIX) {
            self.check_key(text).await
        } else {
            self.check_token(text).await
        }
    }

    /// Whether this is for [`Identity::check`]: the form of a key, or a token that says it was issued here.
    pub(crate) fn is_ours(credential: &Secret<String>, is_bearer: bool) -> bool {
        let text = credential.expose();
        text.starts_with(PREFIX) || (is_bearer && issuer_of(text).as_deref() == Some(ISSUER))
    }

    async fn check_key(&self, text: &str) -> Result<Arc<Caller>, AuthnError> {
        let inner = &*self.0;
        let shown = inner.keys.read(text);
        let shown = shown.ok_or_else(|| invalid("the text is no key of this gateway"))?;
        let now = inner.clock.now();
        let known = match inner.known_keys.find(shown.public_id, now) {
            Ok(known) => known,
            Err(begun) => {
                let known = inner.look_up_key(shown.public_id).await?;
                let name = shown.public_id.to_owned();
                inner.known_keys.put(name, known.clone(), begun, now);
                known
            }
        };
        let known = known.map_err(invalid)?;
        // In constant time.
        if known.hash != shown.hash {
            return Err(invalid("the secret of the key is wrong"));
        }
        let now = inner.time();
        if known.expires_at.is_some_and(|until| until <= now) {
            return Err(invalid("the key has expired"));
        }
        inner.used.note(known.id, now);
        Ok(known.caller)
    }

    async fn check_token(&self, text: &str) -> Result<Arc<Caller>, AuthnError> {
        let inner = &*self.0;
        let claimed = inner.tokens.read(text).await?;
        let now = inner.clock.now();
        let digest: [u8; 32] = Sha256::digest(text).into();
        let known = match inner.known_tokens.find(&digest, now) {
            Ok(known) => known,
            Err(begun) => {
                let known = inner.look_up_token(&claimed).await?;
                inner.known_tokens.put(digest, known.clone(), begun, now);
                known
            }
        };
        known.map_err(invalid)
    }

    /// True when a caller of this store has the same rights still, and the token or key is not ended. That a token
    /// has come to its end is not seen here.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub(crate) async fn is_current(&self, caller: &Caller) -> Result<bool, AuthnError> {
        let Some(principal) = Principal::of(caller) else {
            return Ok(false);
        };
        let inner = &*self.0;
        let now = match principal.key_id {
            None => {
                let token = Shown::of(caller);
                match inner.store.is_token_revoked(token.name).await {
                    Ok(true) => return Ok(false),
                    Ok(false) => {}
                    Err(error) => return Err(unavailable(&error)),
                }
                inner.store.user(principal.user_id).await.map(|user| {
                    let settings = inner.settings.load();
                    let now = || settings.roles.user_caller(&user, &token);
                    user.is_active.then(now)
                })
            }
            Some(id) => match inner.store.key(id).await {
                Err(error) => Err(error),
                Ok(key) => inner.store.user(key.user_id).await.map(|user| {
                    let settings = inner.settings.load();
                    let is_good = key.is_usable(inner.time()) && user.is_active;
                    is_good.then(|| settings.roles.key_caller(&key, &user))
                }),
            },
        };
        match now {
            Ok(now) => Ok(now.is_some_and(|now| has_same_rights(&now, caller))),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Until when the credential of a caller of this store is good, if it has an end.
    pub(crate) fn until(caller: &Caller) -> Option<Time> {
        is_stored(caller).then(|| Shown::of(caller).until).flatten()
    }

    /// What time it is.
    pub(crate) fn time(&self) -> Time {
        self.0.time()
    }

    /// Told when users, keys or tokens have changed.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Writes down when keys were used. Called once a minute, and at the end.
    ///
    /// # Errors
    /// When the store cannot be used: it is tried again.
    pub async fn flush(&self) -> Result<(), IdentityError> {
        Ok(self.0.used.flush(&*self.0.store).await?)
    }
}

#[async_trait]
impl Authenticator for Identity {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Arc<Caller>, AuthnError> {
        if credentials.transport != Transport::Http {
            return self.0.open.authenticate(credentials).await;
        }
        let mut found: Option<Arc<Caller>> = None;
        if let Some(bearer) = &credentials.bearer {
            found = Some(self.check(bearer).await?);
        }
        if let Some(key) = &credentials.api_key {
            if !key.expose().starts_with(PREFIX) {
                return Err(invalid("the text is no key of this gateway"));
            }
            let caller = self.check(key).await?;
            if found.as_ref().is_some_and(|other| !caller.is_same(other)) {
                return Err(invalid("two credentials of two callers"));
            }
            found.get_or_insert(caller);
        }
        found.ok_or(AuthnError::Missing)
    }
}

impl Inner {
    fn time(&self) -> Time {
        Time::from(self.clock.wall())
    }

    /// What was looked up may be different now.
    fn forget(&self) {
        self.known_keys.clear();
        self.known_tokens.clear();
        self.changed.send_modify(|version| *version += 1);
    }

    async fn look_up_key(&self, public_id: &str) -> Result<Known<KnownKey>, AuthnError> {
        let held = match self.store.key_holder(public_id).await {
            Ok(held) => held,
            Err(StoreError::NotFound { .. }) => return Ok(Err("there is no such key")),
            Err(error) => return Err(unavailable(&error)),
        };
        Ok(self.known_key(&held.key, &held.user))
    }

    fn known_key(&self, key: &ApiKey, user: &User) -> Known<KnownKey> {
        if key.revoked_at.is_some() || !key.is_active {
            return Err("the key was revoked, or is not active");
        }
        if !user.is_active {
            return Err("the user of the key is not active");
        }
        Ok(KnownKey {
            id: key.id,
            hash: key.secret_hash,
            expires_at: key.expires_at,
            caller: self.settings.load().roles.key_caller(key, user),
        })
    }

    async fn look_up_token(
        &self,
        claimed: &token::Claimed,
    ) -> Result<Known<Arc<Caller>>, AuthnError> {
        let is_revoked = self.store.is_token_revoked(&claimed.id).await;
        if is_revoked.map_err(|error| unavailable(&error))? {
            return Ok(Err("the token was revoked"));
        }
        let user = match self.store.user(claimed.user).await {
            Ok(user) => user,
            Err(StoreError::NotFound { .. }) => return Ok(Err("the user of the token is gone")),
            Err(error) => return Err(unavailable(&error)),
        };
        if !user.is_active {
            return Ok(Err("the user of the token is not active"));
        }
        // A database that was put back may give a number out again.
        let is_older = claimed.issued.after(token::LEEWAY) < user.created_at;
        if claimed.epoch != user.token_epoch || is_older {
            return Ok(Err("the tokens of the user were revoked"));
        }
        let token = Shown {
            name: &claimed.id,
            until: Some(claimed.until.after(token::LEEWAY)),
        };
        Ok(Ok(self.settings.load().roles.user_caller(&user, &token)))
    }
}

/// Forgets what others have changed, and writes down when keys were used, as long as there is an identity.
async fn follow(identity: Weak<Inner>, mut changes: Changes) {
    let mut noted = tokio::time::interval(NOTED_EVERY);
    noted.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            change = changes.changed() => {
                let (Some(set), Some(inner)) = (change, identity.upgrade()) else {
                    return;
                };
                let ours = [ChangeKind::Users, ChangeKind::Keys, ChangeKind::Tokens];
                if ours.into_iter().any(|kind| set.contains(kind)) {
                    inner.forget();
                }
            }
            _ = noted.tick() => {
                let Some(inner) = identity.upgrade() else {
                    return;
                };
                if let Err(error) = inner.used.flush(&*inner.store).await {
                    tracing::warn!(%error, "when keys were used could not be written down");
                }
                if let Err(error) = inner.store.prune_tokens().await {
                    tracing::warn!(%error, "revoked tokens that are over could not be removed");
                }
            }
        }
    }
}

fn invalid(reason: &'static str) -> AuthnError {
    AuthnError::Invalid {
        reason: reason.to_owned(),
    }
}

fn unavailable(error: &StoreError) -> AuthnError {
    AuthnError::Unavailable {
        reason: error.to_string(),
    }
}

/// True for callers that are in a store.
pub(crate) fn is_stored(caller: &Caller) -> bool {
    matches!(caller.kind, CallerKind::User | CallerKind::ApiKey) && &*caller.issuer == ISSUER
}

#[cfg(test)]
mod tests;
