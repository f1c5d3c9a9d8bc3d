//! Sees that pins are other ones, so that a gateway that runs picks up an approval.

#[cfg(feature = "management")]
mod database;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::guard::Guard;
use super::guards::Made;
use super::judge::{Keeper, chain};
use super::store::{FileStore, PinsError, Stamp, Store};

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

/// Looks after pins until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct PinWatch {
    tasks: JoinSet<()>,
}

impl PinWatch {
    /// Must be called in a tokio runtime.
    pub(super) fn start(keeper: Arc<Keeper>, guards: Made) -> Self {
        let mut tasks = JoinSet::new();
        match &keeper.store {
            Store::File(_) => {
                tasks.spawn(look_after(keeper, guards));
            }
            #[cfg(feature = "management")]
            Store::Database(shared) => {
                tasks.spawn(database::look_after(shared.clone(), guards));
            }
        }
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
        let looked = tokio::task::spawn_blocking(move || look(&keeper.store, before, &guards));
        // One that is gone and comes back as it was is another one, too.
        stamp = looked.await.unwrap_or(before);
        tokio::time::sleep(EVERY).await;
    }
}

/// Looks at a file that may be another one than it was.
fn look(store: &Store, before: Option<Stamp>, guards: &[Arc<Guard>]) -> Option<Stamp> {
    #[cfg_attr(
        not(feature = "management"),
        expect(irrefutable_let_patterns, reason = "there are files only")
    )]
    let Store::File(file) = store else {
        return before;
    };
    let now = file.stamp();
    if now.is_some() && now != before {
        call_back(file, guards);
    }
    now
}

/// Calls those back whose pins are others than they were judged by.
fn call_back(file: &FileStore, guards: &[Arc<Guard>]) {
    match file.read() {
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
