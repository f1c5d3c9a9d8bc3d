//! What becomes of clients when other servers and endpoints come in the place of those that they came
//! to: what they hear of goes with them where it can, and ends so that they see it where it cannot.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use mcp_gw_core::{ErrorClass, Gateway, GatewayError, Incoming, ObjectWriter, RawJson, jsonrpc};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::client::Client;
use crate::engine::{Engine, Inner};
use crate::listen::{Topic, tagged};

/// The first wait for a server that comes and is not there yet; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// So many clients are seen to at the same time.
const AT_ONCE: usize = 16;

/// How far somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Everything is held somewhere.
    All,
    /// Some of it by servers that cannot be asked now.
    NotYet,
    /// Some of it is nowhere any more.
    Nowhere,
}

/// Waits longer and longer.
#[derive(Debug)]
pub(crate) struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Patience {
    /// Waits, unless other servers come meanwhile.
    pub(crate) async fn wait(&mut self, remounts: &mut watch::Receiver<u64>) {
        tokio::select! {
            _ = remounts.changed() => self.0 = FIRST,
            () = sleep(self.0) => self.0 = (self.0 * 2).min(LONGEST),
        }
    }
}

/// True when the same may succeed later.
pub(crate) const fn may_pass(error: &GatewayError) -> bool {
    matches!(
        error.class(),
        ErrorClass::UpstreamUnavailable
            | ErrorClass::UpstreamBusy
            | ErrorClass::UpstreamRefused
            | ErrorClass::UpstreamLost
            | ErrorClass::UpstreamTimeout
    )
}

/// Where a URI leads for whoever asks: the server, and what that calls it. Other endpoints, or servers
/// beside it, may lead it elsewhere while its server stays.
pub(crate) type Place = Option<(Arc<str>, Arc<str>)>;

/// Where a URI leads now.
pub(crate) fn place(gateway: &Gateway, incoming: &Incoming, uri: &str) -> Place {
    let found = gateway.catalogue_of(incoming).locate(uri);
    found.map(|(server, upstream, _)| (server, upstream))
}

/// The `params` that tell a client to read a resource again: nobody knows what has happened to it while
/// its server was another one.
pub(crate) fn updated(uri: &str) -> RawJson {
    ObjectWriter::default().string("uri", uri).finish()
}

impl Engine {
    /// Other servers or endpoints have come in the place of those there were. Sessions and streams of
    /// endpoints that there are no more end; what clients have subscribed to goes on where it is now.
    /// Must be called in a tokio runtime.
    pub(crate) fn remounted(&self) {
        let (inner, gateway) = (&self.inner, self.gateway());
        let is_there =
            |endpoint: Option<&Arc<str>>| endpoint.is_none_or(|name| gateway.has_endpoint(name));
        inner
            .sessions
            .end_others(&|client| is_there(client.endpoint.as_ref()));
        for listener in inner.listeners.all() {
            if !is_there(listener.incoming.meta.endpoint.as_ref()) {
                listener.end();
            }
        }
        self.left_behind();
        inner.remounts.send_modify(|times| *times += 1);
        let closing = inner.closing.clone();
        let follow = follow(Arc::downgrade(inner), inner.remounts.subscribe());
        inner.detached.spawn(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = follow => {}
            }
        });
    }
}

impl Engine {
    /// Connections that are no sessions stay when their endpoint goes, with nothing to be seen there:
    /// their clients hear of that, once, and who runs the gateway.
    fn left_behind(&self) {
        let (inner, gateway) = (&self.inner, self.gateway());
        let mut empty: Vec<Arc<str>> = Vec::new();
        for client in inner.clients.all() {
            let Some(endpoint) = &client.endpoint else {
                continue;
            };
            if client.is_left_behind(!gateway.has_endpoint(endpoint)) && !empty.contains(endpoint) {
                empty.push(Arc::clone(endpoint));
            }
        }
        for endpoint in &empty {
            tracing::warn!(
                endpoint = &**endpoint,
                "there is no such endpoint any more: who is connected to it sees nothing and reaches \
                 nothing until it is back"
            );
        }
        if !empty.is_empty() {
            inner.news.lists_gone(&empty, &Arc::downgrade(inner));
        }
    }
}

/// Sees to what sessions have subscribed to, until that is held again or given up, or others have come.
async fn follow(engine: Weak<Inner>, mut remounts: watch::Receiver<u64>) {
    let mut patience = Patience::default();
    while let Some(inner) = engine.upgrade() {
        let clients = stream::iter(inner.clients.all());
        let moved = clients
            .map(|client| inner.move_over(client))
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        if !moved.contains(&Moved::NotYet) || remounts.has_changed().unwrap_or(true) {
            return;
        }
        drop(inner);
        patience.wait(&mut remounts).await;
    }
}

impl Inner {
    async fn move_over(&self, client: Arc<Client>) -> Moved {
        let mut moved = Moved::All;
        let mut is_less = false;
        for uri in client.subscribed.lost(&self.gateway) {
            match client.subscribed.renew(&self.gateway, &uri).await {
                Ok(None) => {}
                Ok(Some(asked)) => {
                    if self.gateway.may_hear_of(&asked, &uri).await {
                        tell(&client, &Topic::Uri(Arc::clone(&uri)), &updated(&uri));
                    }
                }
                Err(error) if may_pass(&error) => moved = Moved::NotYet,
                Err(error) => {
                    tracing::debug!(%error, "a subscription is lost with its server");
                    client.subscribed.forget(&self.gateway, &uri).await;
                    is_less = true;
                }
            }
        }
        if is_less {
            tell(&client, &Topic::Resources, &RawJson::empty_object());
        }
        moved
    }
}

/// Tells a client what belongs to none of its requests.
pub(crate) fn tell(client: &Client, topic: &Topic, params: &RawJson) {
    let message = jsonrpc::notification(topic.method(), &tagged(params, None));
    client.outbox.send(message);
}

#[cfg(test)]
mod tests;
