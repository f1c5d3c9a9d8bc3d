//! Sessions and streams of users, tokens and keys that are no more, or have other rights, end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mcp_gw_core::Caller;
use mcp_gw_store::Time;
use tokio::time::Instant;

use super::{Identity, is_stored};
use crate::authn::has_same_rights;
use crate::engine::Engine;

/// However many changes there are, sessions are looked through so often at most.
const PAUSE: Duration = Duration::from_millis(200);

/// When the store cannot be asked who is there still, it is asked again after this time.
const AGAIN: Duration = Duration::from_secs(5);

/// So long what is open is not looked through for credentials that have come to their end.
const LOOK: Duration = Duration::from_secs(1);

/// Sees to it with each change and whenever a credential ends, as long as it is polled.
pub(crate) async fn end_strangers(engine: Engine, identity: Identity) {
    tokio::join!(
        end_changed(engine.clone(), identity.clone()),
        end_over(engine, identity)
    );
}

/// Does not ask the store, so that it goes on when that cannot be asked.
async fn end_over(engine: Engine, identity: Identity) {
    loop {
        let next = over(&engine, identity.time());
        let wait = next.map_or(i64::MAX, |next| {
            next.as_micros().saturating_sub(identity.time().as_micros())
        });
        let wait = Duration::from_micros(u64::try_from(wait).unwrap_or(0));
        tokio::time::sleep(wait.clamp(PAUSE, LOOK)).await;
    }
}

/// Ends what was opened with credentials that are over at `now`; says when the next one will be.
pub(super) fn over(engine: &Engine, now: Time) -> Option<Time> {
    let next: Mutex<Option<Time>> = Mutex::default();
    engine.end_over(&|caller| {
        let Some(until) = Identity::until(caller) else {
            return false;
        };
        if until > now {
            let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
            *next = Some(next.map_or(until, |next| next.min(until)));
        }
        until <= now
    });
    next.into_inner().unwrap_or_else(PoisonError::into_inner)
}

async fn end_changed(engine: Engine, identity: Identity) {
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
