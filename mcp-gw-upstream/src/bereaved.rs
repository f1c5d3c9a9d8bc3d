//! Clients whose connections of their own have died by themselves. Nobody opens another one before
//! their next call, and who only listens makes none: until then they hear by the shared one.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use mcp_gw_core::{ObjectWriter, RawJson};

use crate::channel::{Channel, Met as _};
use crate::owner::Key;
use crate::relay;

/// Who sees to them.
#[derive(Default)]
pub(crate) struct Bereaved(OnceLock<Box<dyn Fn(Key) + Send + Sync>>);

impl Bereaved {
    /// From now on `channel` does.
    pub(crate) fn seen_to_by<C: Channel>(&self, channel: &Weak<C>) {
        let channel = Weak::clone(channel);
        // It is set once only.
        let _ = self.0.set(Box::new(move |watcher| {
            if let Some(channel) = channel.upgrade() {
                let of_chore = Arc::clone(&channel);
                channel
                    .base()
                    .chores()
                    .spawn(async move { see_to(&*of_chore, &watcher).await });
            }
        }));
    }

    /// A connection of this client's own has died.
    pub(crate) fn note(&self, watcher: &Key) {
        if let Some(see_to) = self.0.get() {
            see_to(watcher.clone());
        }
    }
}

impl fmt::Debug for Bereaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bereaved").finish_non_exhaustive()
    }
}

/// What a client has to be told that may have missed an update: to read the resource again.
pub(crate) fn updated(uri: &str) -> RawJson {
    ObjectWriter::default().string("uri", uri).finish()
}

async fn see_to<C: Channel>(channel: &C, client: &Key) {
    for connection in channel.base().lanes().of_watcher(client) {
        if connection.is_alive().await {
            return;
        }
    }
    let watched = &channel.common().watched;
    watched.clients.change(client, |at| at.own = false);
    let uris = watched.clients.of(client);
    relay::adopt(channel, client).await;
    for (uri, _) in uris {
        let params = updated(&uri);
        watched.updated(uri, params);
    }
}
