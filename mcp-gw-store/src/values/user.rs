//! Users.

use std::fmt;

use super::{Edit, Revision, Time, row_id};

row_id! {
    /// Names a user.
    UserId
}

/// The hash of a password with its salt and parameters, as text that is opaque here. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// This hash, such as `$argon2id$v=19$…`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The hash, to verify a password against it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Somebody who can log in.
///
/// Two usernames that differ in case only are one: they are compared in lower case (Unicode's, as of
/// [`str::to_lowercase`]) and kept as they were written. An email address need not be unique.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// Its number, never given out twice.
    pub id: UserId,
    /// The name to log in with, as it was written.
    pub username: String,
    /// The email address.
    pub email: Option<String>,
    /// The name for people.
    pub full_name: Option<String>,
    /// The hash of the password.
    pub password_hash: PasswordHash,
    /// False when this user may not log in.
    pub is_active: bool,
    /// True for administrators.
    pub is_superuser: bool,
    /// Roles, for policy.
    pub roles: Vec<String>,
    /// Groups, for policy.
    pub groups: Vec<String>,
    /// Tokens of an earlier epoch are not good any more.
    pub token_epoch: i64,
    /// How often it was changed.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

/// A user to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewUser {
    /// The name to log in with: 1 to 256 bytes.
    pub username: String,
    /// The hash of the password.
    pub password_hash: PasswordHash,
    /// The email address.
    pub email: Option<String>,
    /// The name for people.
    pub full_name: Option<String>,
    /// Whether this user may log in; true unless set.
    pub is_active: bool,
    /// Whether it is an administrator; false unless set.
    pub is_superuser: bool,
    /// Roles, for policy.
    pub roles: Vec<String>,
    /// Groups, for policy.
    pub groups: Vec<String>,
}

impl NewUser {
    /// An active user without further rights.
    pub fn new(username: impl Into<String>, password_hash: PasswordHash) -> Self {
        Self {
            username: username.into(),
            password_hash,
            email: None,
            full_name: None,
            is_active: true,
            is_superuser: false,
            roles: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// What is stored of it.
    pub(crate) fn into_user(self, id: UserId, now: Time) -> User {
        User {
            id,
            username: self.username,
            email: self.email,
            full_name: self.full_name,
            password_hash: self.password_hash,
            is_active: self.is_active,
            is_superuser: self.is_superuser,
            roles: self.roles,
            groups: self.groups,
            token_epoch: 0,
            revision: Revision::FIRST,
            created_at: now,
            updated_at: now,
        }
    }
}

/// What to change of a user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct UserChange {
    /// Another name.
    pub username: Edit<String>,
    /// Another email address.
    pub email: Edit<Option<String>>,
    /// Another name for people.
    pub full_name: Edit<Option<String>>,
    /// Another password.
    pub password_hash: Edit<PasswordHash>,
    /// Whether it may log in.
    pub is_active: Edit<bool>,
    /// Whether it is an administrator.
    pub is_superuser: Edit<bool>,
    /// Other roles.
    pub roles: Edit<Vec<String>>,
    /// Other groups.
    pub groups: Edit<Vec<String>>,
    /// Begins the next epoch: no token of before is good any more.
    pub revoke_tokens: bool,
}

impl UserChange {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// True when an active administrator would be none after this.
    pub(crate) fn ends_superuser(&self) -> bool {
        self.is_active.as_set() == Some(&false) || self.is_superuser.as_set() == Some(&false)
    }

    pub(crate) fn apply(self, user: &mut User, now: Time) {
        self.username.apply(&mut user.username);
        self.email.apply(&mut user.email);
        self.full_name.apply(&mut user.full_name);
        self.password_hash.apply(&mut user.password_hash);
        self.is_active.apply(&mut user.is_active);
        self.is_superuser.apply(&mut user.is_superuser);
        self.roles.apply(&mut user.roles);
        self.groups.apply(&mut user.groups);
        if self.revoke_tokens {
            user.token_epoch = user.token_epoch.saturating_add(1);
        }
        user.revision = user.revision.next();
        user.updated_at = now;
    }
}

/// Which users.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct UserFilter {
    /// Only those that may log in, or only those that may not.
    pub is_active: Option<bool>,
    /// Only administrators, or only others.
    pub is_superuser: Option<bool>,
}

impl UserFilter {
    /// All users.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn takes(&self, user: &User) -> bool {
        self.is_active.is_none_or(|wanted| wanted == user.is_active)
            && self
                .is_superuser
                .is_none_or(|wanted| wanted == user.is_superuser)
    }
}
