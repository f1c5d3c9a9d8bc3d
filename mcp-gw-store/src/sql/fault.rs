//! What databases say is wrong, in words of this crate.

use crate::error::{Conflict, StoreError};

/// Why a statement failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Something else has this value.
    Taken,
    /// What it leads to is not there, or something leads to it.
    Reference,
    /// Anything else.
    Other(StoreError),
}

impl Fault {
    /// The error when a value that must be unique is this one.
    pub(crate) fn taken(self, what: Conflict) -> StoreError {
        match self {
            Self::Taken => StoreError::conflict(what),
            other => other.into(),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Other(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            // Every statement that can meet these says what they mean.
            Fault::Taken => Self::damaged("a value that must be unique is not"),
            Fault::Reference => Self::damaged("a row leads to one that is not there"),
            Fault::Other(error) => error,
        }
    }
}

fn unavailable(reason: &(impl ToString + ?Sized), retryable: bool) -> StoreError {
    let reason = reason.to_string();
    StoreError::Unavailable { reason, retryable }
}

/// What an error of a driver means. `by_code` knows the codes of a database.
pub(crate) fn fault(error: &sqlx::Error, by_code: fn(&str, &str) -> Option<StoreError>) -> Fault {
    use sqlx::error::ErrorKind;
    Fault::Other(match error {
        sqlx::Error::Database(error) => match error.kind() {
            ErrorKind::UniqueViolation => return Fault::Taken,
            ErrorKind::ForeignKeyViolation => return Fault::Reference,
            _ => {
                let code = error.code().unwrap_or_default();
                let known = by_code(&code, error.message());
                let said = || unavailable(&format!("{} ({code})", error.message()), false);
                known.unwrap_or_else(said)
            }
        },
        sqlx::Error::PoolTimedOut => StoreError::Timeout {
            reason: "no connection was free or could be made in time".to_owned(),
        },
        sqlx::Error::PoolClosed => unavailable("the store is closed", false),
        sqlx::Error::InvalidSavePointStatement | sqlx::Error::BeginFailed => {
            unavailable("the connection cannot begin a transaction", true)
        }
        sqlx::Error::WorkerCrashed => unavailable("the connection ended", true),
        sqlx::Error::Io(error) => unavailable(error, true),
        sqlx::Error::Tls(error) => unavailable(&format!("TLS: {error}"), false),
        sqlx::Error::Protocol(reason) => unavailable(reason, true),
        sqlx::Error::Configuration(error) => StoreError::Url {
            reason: error.to_string(),
        },
        other => StoreError::damaged(other.to_string()),
    })
}

/// What it means when a commit fails: the database says no, or it says nothing.
pub(crate) fn of_commit(
    error: &sqlx::Error,
    by_code: fn(&str, &str) -> Option<StoreError>,
) -> StoreError {
    let lost = matches!(
        error,
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed
    );
    if lost {
        let reason = error.to_string();
        return StoreError::Uncertain { reason };
    }
    match fault(error, by_code) {
        // The server goes down: it may have got that far.
        Fault::Other(StoreError::Unavailable {
            reason,
            retryable: true,
        }) if !matches!(error, sqlx::Error::Database(e) if e.code().is_some_and(|code| is_refusal(&code))) => {
            StoreError::Uncertain { reason }
        }
        other => other.into(),
    }
}

/// Codes that say that nothing was committed: busy, serialisation, deadlock.
fn is_refusal(code: &str) -> bool {
    matches!(code, "5" | "261" | "517" | "40001" | "40P01")
}
