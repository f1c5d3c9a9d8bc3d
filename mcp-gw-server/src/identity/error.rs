//! What can go wrong with users, keys and logins.

use std::time::Duration;

use mcp_gw_store::{Conflict, StoreError};

/// Why something could not be done with a user or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A value is not a good one.
    #[error("{field}: {reason}")]
    Invalid {
        /// The member of the request.
        field: &'static str,
        /// For the caller; nothing of a secret is in it.
        reason: String,
    },
    /// There is no such user or key, or it is somebody else's.
    #[error("there is no such user or key")]
    NotFound,
    /// Another user has the name, in whichever case.
    #[error("the username is taken")]
    Duplicate,
    /// Somebody has changed it since it was read.
    #[error("it was changed meanwhile: read it again")]
    Changed,
    /// The caller may not do this.
    #[error("not allowed: {reason}")]
    Forbidden {
        /// For the caller.
        reason: &'static str,
    },
    /// Nobody could manage the gateway afterwards.
    #[error("this is the last active superuser")]
    LastAdmin,
    /// The password that was shown is not the user's.
    #[error("the password is wrong")]
    WrongPassword,
    /// Too much is to be done at once: try again soon.
    #[error("too many passwords are looked at: try again soon")]
    Busy,
    /// It was tried too often.
    #[error("too many attempts: try again later")]
    Throttled {
        /// When it may be tried again.
        retry_after: Duration,
    },
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl IdentityError {
    pub(super) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Invalid { field, reason }
    }

    /// What cannot be mended by the caller.
    pub(super) fn internal(reason: &str) -> Self {
        Self::Store(StoreError::Unavailable {
            reason: reason.to_owned(),
            retryable: false,
        })
    }
}

impl From<StoreError> for IdentityError {
    fn from(error: StoreError) -> Self {
        match error.as_conflict() {
            Some(Conflict::Username) => return Self::Duplicate,
            Some(Conflict::Revision) => return Self::Changed,
            Some(Conflict::LastSuperuser) => return Self::LastAdmin,
            _ => {}
        }
        match error {
            StoreError::NotFound { .. } => Self::NotFound,
            StoreError::Invalid { what, reason } => Self::Invalid {
                field: what,
                reason,
            },
            error => Self::Store(error),
        }
    }
}

/// Why nobody was logged in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// There is no such user, the password is wrong, or the user is not active: which one is told to
    /// nobody.
    #[error("the username or the password is wrong")]
    Invalid,
    /// It was tried too often.
    #[error("too many attempts to log in: try again later")]
    Throttled {
        /// When it may be tried again.
        retry_after: Duration,
    },
    /// Too many try at once: try again soon.
    #[error("too many log in at once: try again soon")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<IdentityError> for LoginError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Busy => Self::Busy,
            IdentityError::Throttled { retry_after } => Self::Throttled { retry_after },
            IdentityError::Store(error) => Self::Store(error),
            other => Self::Store(StoreError::Unavailable {
                reason: other.to_string(),
                retryable: false,
            }),
        }
    }
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
