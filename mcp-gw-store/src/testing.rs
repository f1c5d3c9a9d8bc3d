//! What every implementation of [`Store`] must do. Each suite panics with a sentence when it is
//! broken; call it from a test, each with an empty store on the clock that it is given.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a suite reports by panicking, as a test does"
)]

mod access;
mod ledger;
mod log;
pub mod random;
mod servers;

use std::time::Duration;

use mcp_gw_core::testing::ManualClock;

use crate::contract::Store;
use crate::error::{Conflict, StoreError};

pub use access::{keys_contract, users_contract};
pub use ledger::{pins_contract, quotas_contract, tokens_contract};
pub use log::{audit_contract, changes_contract};
pub use servers::servers_contract;

/// All suites, one after the other, in one store that was empty.
pub async fn store_contract(store: &dyn Store, clock: &ManualClock) {
    users_contract(store, clock).await;
    keys_contract(store, clock).await;
    servers_contract(store, clock).await;
    quotas_contract(store, clock).await;
    pins_contract(store, clock).await;
    tokens_contract(store, clock).await;
    audit_contract(store, clock).await;
    changes_contract(store).await;
    check(store.check().await.is_ok(), "a store that works says so");
}

fn check(holds: bool, says: &str) {
    assert!(holds, "contract broken: {says}");
}

fn is_conflict<T>(answer: &Result<T, StoreError>, what: Conflict) -> bool {
    answer
        .as_ref()
        .is_err_and(|error| error.as_conflict() == Some(what))
}

fn is_missing<T>(answer: &Result<T, StoreError>) -> bool {
    answer.as_ref().is_err_and(StoreError::is_not_found)
}

fn is_invalid<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Invalid { .. }))
}

/// Texts that are somebody's attack, mistake or name, and may be stored.
pub(crate) const ODD: [&str; 8] = [
    "'; DROP TABLE gw_users; --",
    "$1 ? :name %s {}",
    "\u{202e}\u{200d}\u{1f469}\u{200d}\u{1f4bb}",
    "\"\\\n\r\t\u{1}",
    "a%_b*",
    " leading and trailing ",
    "NULL",
    "<script>alert(1)</script>",
];

const SECOND: Duration = Duration::from_secs(1);
