//! What can go wrong, by what the caller can do about it.

use std::fmt;

/// Kinds of things that are stored, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Entity {
    /// A user.
    User,
    /// An API key.
    Key,
    /// A template of servers.
    Template,
    /// An instance of a template: one server.
    Instance,
    /// What is pinned of one server.
    Pins,
}

impl Entity {
    /// Its name in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Key => "API key",
            Self::Template => "template",
            Self::Instance => "server instance",
            Self::Pins => "pins of the server",
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands in the way of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Conflict {
    /// Somebody has this username, in this or another case.
    Username,
    /// Some key has this public id.
    KeyId,
    /// There is a template of this name.
    Template,
    /// There is an instance with this id.
    Instance,
    /// It was changed since the caller read it: another revision than was expected.
    Revision,
    /// The template has instances.
    InUse,
    /// It is the last active administrator: nobody could manage anything afterwards.
    LastSuperuser,
}

impl Conflict {
    /// What it says in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Username => "the username is taken",
            Self::KeyId => "the public id of the key is taken",
            Self::Template => "there is a template of this name",
            Self::Instance => "there is a server instance with this id",
            Self::Revision => "it was changed meanwhile; read it again",
            Self::InUse => "the template has instances; delete them first",
            Self::LastSuperuser => "it is the last active administrator; make another one first",
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a store did not do what it was asked for.
///
/// Texts hold no passwords and no secrets. After any of these but [`StoreError::Uncertain`] and
/// [`StoreError::Timeout`] nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such thing.
    #[error("there is no {what} {id:?}")]
    NotFound {
        /// Of which kind.
        what: Entity,
        /// As the caller named it, at most 256 characters.
        id: String,
    },
    /// Something stands in the way.
    #[error("{what}")]
    Conflict {
        /// What.
        what: Conflict,
    },
    /// No store takes such a value.
    #[error("{what} {reason}")]
    Invalid {
        /// Which value.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The database cannot be asked, or refuses for now: it is away, locked, or not let write.
    #[error("the database cannot be used: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
        /// True when asking again later may help without anybody doing anything.
        retryable: bool,
    },
    /// The answer to a commit was lost: the write was made whole, or not at all.
    #[error("the answer of the database was lost, so the write may have been made: {reason}")]
    Uncertain {
        /// For the log.
        reason: String,
    },
    /// It took longer than a request may.
    #[error("the database did not answer in time: {reason}")]
    Timeout {
        /// For the log.
        reason: String,
    },
    /// There is no room for more.
    #[error("the database is full: {reason}; make room and try again")]
    Full {
        /// For the log.
        reason: String,
    },
    /// A later version of this program has used the database.
    #[error(
        "the database has schema version {found}, and this program knows versions up to {known}; \
         use the newer program, or a backup of before the upgrade"
    )]
    TooNew {
        /// The version that the database has.
        found: i64,
        /// The latest version that this program knows.
        known: i64,
    },
    /// What is in the database makes no sense.
    #[error("the database is damaged or not ours: {reason}; restore a backup")]
    Damaged {
        /// For the log.
        reason: String,
    },
    /// The `database_url` cannot be understood.
    #[error("the database_url is wrong: {reason}")]
    Url {
        /// What is wrong and what to write.
        reason: String,
    },
}

impl StoreError {
    /// There is no `what` of this name.
    pub fn not_found(what: Entity, id: impl fmt::Display) -> Self {
        let id = id.to_string().chars().take(256).collect();
        Self::NotFound { what, id }
    }

    pub(crate) const fn conflict(what: Conflict) -> Self {
        Self::Conflict { what }
    }

    pub(crate) fn invalid(what: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Invalid { what, reason }
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Damaged { reason }
    }

    /// True for [`StoreError::NotFound`].
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// What stands in the way, for [`StoreError::Conflict`].
    pub const fn as_conflict(&self) -> Option<Conflict> {
        match self {
            Self::Conflict { what } => Some(*what),
            _ => None,
        }
    }

    /// True when the same request may succeed later without anybody doing anything.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { retryable, .. } => *retryable,
            Self::Timeout { .. } | Self::Uncertain { .. } => true,
            _ => false,
        }
    }

    /// True when the write may have been made all the same.
    pub const fn is_uncertain(&self) -> bool {
        matches!(self, Self::Uncertain { .. } | Self::Timeout { .. })
    }
}

/// What a store answers.
pub type Result<T> = std::result::Result<T, StoreError>;
