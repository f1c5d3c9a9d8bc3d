//! Health of instances on its way into the store: each state once, however often it is found.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_gw_store::Store;
use tokio::sync::Notify;

use super::state::Shelf;

/// After so long what could not be written is written again.
const AGAIN: Duration = Duration::from_secs(2);

/// Instances whose health is another one than the store has.
#[derive(Default)]
pub(crate) struct Dirty {
    ids: Mutex<BTreeSet<Arc<str>>>,
    bell: Notify,
}

impl Dirty {
    pub(crate) fn add(&self, id: &Arc<str>) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.insert(Arc::clone(id));
        drop(ids);
        self.bell.notify_one();
    }

    pub(crate) fn take(&self) -> BTreeSet<Arc<str>> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *ids)
    }
}

/// Writes what is new of the health of instances, as long as it is polled.
pub(crate) async fn write_health(store: Arc<dyn Store>, dirty: Arc<Dirty>, shelf: Arc<Shelf>) {
    loop {
        dirty.bell.notified().await;
        let mut failed = false;
        for id in dirty.take() {
            let Some(record) = shelf.record(&id) else {
                continue;
            };
            match store.set_health(&id, record.health()).await {
                Ok(()) => {}
                // Deleted meanwhile.
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    tracing::warn!(instance = &*id, %error, "the health of an instance is not written");
                    dirty.add(&id);
                    failed = true;
                }
            }
        }
        if failed {
            tokio::time::sleep(AGAIN).await;
        }
    }
}
