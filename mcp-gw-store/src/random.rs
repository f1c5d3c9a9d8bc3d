//! Random bytes of the system.

use crate::error::{Result, StoreError};

/// 32 random bytes.
pub(crate) fn random_secret() -> Result<[u8; 32]> {
    random()
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable {
        reason: format!("the system gives no random numbers: {error}"),
        retryable: false,
    })?;
    Ok(bytes)
}
