//! API keys.

use std::fmt;

use super::{Edit, Revision, Time, User, UserId, row_id};

row_id! {
    /// Names an API key inside of the gateway.
    KeyId
}

/// The keyed hash of the secret part of an API key. Never shown; compared in constant time.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Takes the same time wherever the two differ.
impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        let differing = pairs.fold(0, |seen, (one, two)| seen | (one ^ two));
        std::hint::black_box(differing) == 0
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A key that a program calls with, on behalf of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiKey {
    /// Its number, never given out twice.
    pub id: KeyId,
    /// The part of the key that names it; not secret.
    pub public_id: String,
    /// The keyed hash of the part that is secret.
    pub secret_hash: SecretHash,
    /// Whose it is. The keys of a user go with it.
    pub user_id: UserId,
    /// The name for people; need not be unique.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// False while it is switched off.
    pub is_active: bool,
    /// From when on it is not good any more.
    pub expires_at: Option<Time>,
    /// When it was created.
    pub created_at: Time,
    /// When it was last changed; a use is no change.
    pub updated_at: Time,
    /// When it was last used, as far as was told.
    pub last_used: Option<Time>,
    /// Since when it is revoked, for good.
    pub revoked_at: Option<Time>,
    /// How often it was changed.
    pub revision: Revision,
}

impl ApiKey {
    /// True when it is switched on, not revoked and not expired at `now`. Whether its user may log in
    /// is another question.
    pub fn is_usable(&self, now: Time) -> bool {
        self.is_active && self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    pub(crate) const fn revoke(&mut self, now: Time) {
        self.revoked_at = Some(now);
        self.revision = self.revision.next();
        self.updated_at = now;
    }
}

/// A key with the user that it is of: what it takes to know who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyHolder {
    /// The key.
    pub key: ApiKey,
    /// Its user.
    pub user: User,
}

impl KeyHolder {
    pub(crate) const fn new(key: ApiKey, user: User) -> Self {
        Self { key, user }
    }
}

/// A key to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewKey {
    /// Whose it is.
    pub user_id: UserId,
    /// The part that names it: 1 to 256 bytes, unlike that of any other key, cases told apart.
    pub public_id: String,
    /// The keyed hash of the part that is secret.
    pub secret_hash: SecretHash,
    /// The name for people: 1 to 256 bytes.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// Whether it is switched on; true unless set.
    pub is_active: bool,
    /// From when on it is not good any more; never unless set.
    pub expires_at: Option<Time>,
}

impl NewKey {
    /// An active key without scopes that does not expire.
    pub fn new(
        user_id: UserId,
        name: impl Into<String>,
        public_id: impl Into<String>,
        secret_hash: SecretHash,
    ) -> Self {
        Self {
            user_id,
            public_id: public_id.into(),
            secret_hash,
            name: name.into(),
            description: None,
            scopes: Vec::new(),
            is_active: true,
            expires_at: None,
        }
    }

    pub(crate) fn into_key(self, id: KeyId, now: Time) -> ApiKey {
        ApiKey {
            id,
            public_id: self.public_id,
            secret_hash: self.secret_hash,
            user_id: self.user_id,
            name: self.name,
            description: self.description,
            scopes: self.scopes,
            is_active: self.is_active,
            expires_at: self.expires_at,
            created_at: now,
            updated_at: now,
            last_used: None,
            revoked_at: None,
            revision: Revision::FIRST,
        }
    }
}

/// What to change of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KeyChange {
    /// Another name.
    pub name: Edit<String>,
    /// Another description.
    pub description: Edit<Option<String>>,
    /// Other scopes.
    pub scopes: Edit<Vec<String>>,
    /// Whether it is switched on. A revoked key is not good either way.
    pub is_active: Edit<bool>,
    /// Another end.
    pub expires_at: Edit<Option<Time>>,
    /// Another public id: with another hash, this is how a key is rotated.
    pub public_id: Edit<String>,
    /// Another secret.
    pub secret_hash: Edit<SecretHash>,
}

impl KeyChange {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn apply(self, key: &mut ApiKey, now: Time) {
        self.name.apply(&mut key.name);
        self.description.apply(&mut key.description);
        self.scopes.apply(&mut key.scopes);
        self.is_active.apply(&mut key.is_active);
        self.expires_at.apply(&mut key.expires_at);
        self.public_id.apply(&mut key.public_id);
        self.secret_hash.apply(&mut key.secret_hash);
        key.revision = key.revision.next();
        key.updated_at = now;
    }
}

/// Which keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KeyFilter {
    /// Only those of this user.
    pub user_id: Option<UserId>,
}

impl KeyFilter {
    /// All keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of this user.
    pub const fn of_user(user_id: UserId) -> Self {
        let user_id = Some(user_id);
        Self { user_id }
    }

    pub(crate) fn takes(&self, key: &ApiKey) -> bool {
        self.user_id.is_none_or(|wanted| wanted == key.user_id)
    }
}
