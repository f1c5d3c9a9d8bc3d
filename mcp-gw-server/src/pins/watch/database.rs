//! Hears of pins that other gateways, or `pins approve`, put into the database.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_store::ChangeKind;
use tokio::time::Instant;

use super::EVERY;
use crate::pins::guard::Guard;
use crate::pins::guards::Made;
use crate::pins::judge::chain;
use crate::pins::store::{PinsError, SharedStore};

/// The shortest time between two looks: many servers may be pinned one after the other.
const LOOKS: Duration = Duration::from_millis(100);

/// Calls those back whose pins are others than they were judged by, or which could not be judged, as
/// soon as they can. The store itself looks for changes that it was not told of.
pub(super) async fn look_after(shared: SharedStore, guards: Made) {
    let mut changes = shared.changes();
    let mut complaint = Complaint::default();
    // What was approved before this began.
    let mut is_news = true;
    loop {
        let began = Instant::now();
        let looked = look(&shared, &guards.all(), is_news).await;
        is_news = looked.is_err();
        complaint.about(looked);
        tokio::time::sleep(LOOKS.max(began.elapsed() * 2)).await;
        tokio::select! {
            change = changes.changed() => match change {
                Some(kinds) => is_news |= kinds.contains(ChangeKind::Pins),
                // The store is gone.
                None => return,
            },
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(shared: &SharedStore, guards: &[Arc<Guard>], is_news: bool) -> Result<(), PinsError> {
    if !shared.has_all() {
        shared.take_over().await?;
    }
    // One that is damaged does not keep the others from what was approved.
    let mut outcome = Ok(());
    for guard in guards {
        let judge = guard.judge();
        let is_failed = judge.is_failed();
        if !is_news && !is_failed {
            continue;
        }
        match shared.find(guard.server()).await {
            // Where there is nothing to judge by, nothing would come of it.
            Ok(found) if is_failed && found.pins.is_none() => {}
            Ok(found) if judge.is_outdated_by(found.pins.as_ref()) => guard.call_back(),
            Ok(_) => {}
            Err(error @ PinsError::Database { .. }) => return Err(error),
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// Says once what is wrong, as long as it lasts.
#[derive(Default)]
struct Complaint(Option<String>);

impl Complaint {
    fn about(&mut self, looked: Result<(), PinsError>) {
        let said = looked.err().map(|error| chain(&error));
        if let Some(error) = said.as_ref().filter(|said| self.0.as_ref() != Some(said)) {
            tracing::error!(
                target: "mcp_gw::pins",
                %error,
                "the pins in the database cannot be used; what was approved before stays"
            );
        }
        self.0 = said;
    }
}
