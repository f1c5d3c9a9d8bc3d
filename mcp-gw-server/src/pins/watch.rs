//! Sees that the pins file was replaced, so that a gateway that runs picks up an approval.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::guard::{Guard, Made};
use super::judge::{Keeper, chain};
use super::store::PinsError;

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Looks after a pins file until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct PinWatch {
    tasks: JoinSet<()>,
}

impl PinWatch {
    /// Must be called in a tokio runtime.
    pub(super) fn start(keeper: Arc<Keeper>, guards: Made) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(look_after(keeper, guards));
        Self { tasks }
    }

    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

async fn look_after(keeper: Arc<Keeper>, guards: Made) {
    let mut stamp = None;
    loop {
        let (keeper, guards) = (Arc::clone(&keeper), guards.all());
        let before = stamp;
        // A file may lie where looking at it takes its time.
        let looked = tokio::task::spawn_blocking(move || {
            let now = keeper.store.stamp();
            if now.is_some() && now != before {
                look(&keeper, &guards);
            }
            now
        });
        // One that is gone and comes back as it was is another one, too.
        stamp = looked.await.unwrap_or(before);
        tokio::time::sleep(EVERY).await;
    }
}

/// Calls those back whose pins are others than they were judged by.
fn look(keeper: &Keeper, guards: &[Arc<Guard>]) {
    match keeper.store.read() {
        Ok(Some(file)) => {
            let outdated = guards
                .iter()
                .filter(|guard| guard.judge().is_outdated(&file));
            outdated.for_each(|guard| guard.call_back());
        }
        Ok(None) => {}
        Err(error) => complain(&error),
    }
}

fn complain(error: &PinsError) {
    tracing::error!(
        target: "mcp_gw::pins",
        error = %chain(error),
        "the pins file was changed and cannot be used; what was approved before stays"
    );
}
