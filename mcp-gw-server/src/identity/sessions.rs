//! Sessions and streams of users and keys that are no more, or have other rights, end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mcp_gw_core::Caller;
use tokio::time::Instant;

use super::{Identity, is_stored};
use crate::authn::has_same_rights;
use crate::engine::Engine;

/// However many changes there are, sessions are looked through so often at most.
const PAUSE: Duration = Duration::from_millis(200);

/// When the store cannot be asked who is there still, it is asked again after this time.
const AGAIN: Duration = Duration::from_secs(5);

/// Sees to it with each change, as long as it is polled.
pub(crate) async fn end_strangers(engine: Engine, identity: Identity) {
    let mut changed = identity.changed();
    while changed.changed().await.is_ok() {
        while !look(&engine, &identity).await {
            tokio::time::sleep(AGAIN).await;
        }
        tokio::time::sleep_until(Instant::now() + PAUSE).await;
    }
}

/// False when not all callers could be asked about.
async fn look(engine: &Engine, identity: &Identity) -> bool {
    // Each of them once: a caller has many streams.
    let seen: Mutex<BTreeMap<String, Vec<Caller>>> = Mutex::default();
    engine.end_callers(&|caller| {
        if is_stored(caller) {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let same = seen.entry(caller.id.to_string()).or_default();
            if !same.iter().any(|other| has_same_rights(other, caller)) {
                same.push(caller.clone());
            }
        }
        true
    });
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (mut gone, mut is_all) = (Vec::new(), true);
    for caller in seen.into_values().flatten() {
        match identity.is_current(&caller).await {
            Ok(true) => {}
            Ok(false) => gone.push(caller),
            Err(error) => {
                tracing::warn!(%error, "whether callers are there still cannot be asked");
                is_all = false;
            }
        }
    }
    if !gone.is_empty() {
        engine.end_callers(&|caller| !gone.iter().any(|gone| has_same_rights(gone, caller)));
    }
    is_all
}
