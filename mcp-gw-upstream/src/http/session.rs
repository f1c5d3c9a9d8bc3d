//! What was agreed with a server: its era, and the session of an old one.

use std::sync::Arc;

use mcp_gw_core::jsonrpc;
use mcp_gw_core::{BackendError, RawJson};
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::task::AbortHandle;

use crate::ask::Ask;
use crate::deadline::Deadline;
use crate::era::{Hello, Probe, read_discover, read_initialize, read_probe_error};
use crate::http::exchange::Exchange;
use crate::http::listen;
use crate::http::wire::{Refusal, SESSION, VERSION, Wire};
use crate::subscriptions::warn_refused;

/// A server that was met.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) hello: Arc<Hello>,
    pub(crate) id: Option<HeaderValue>,
    listener: Option<AbortHandle>,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

impl Session {
    /// The headers of everything that is sent in an old server's session.
    pub(crate) fn headers(&self) -> HeaderMap {
        session_headers(self.hello.version, self.id.as_ref())
    }

    /// Finds out what the server speaks.
    pub(crate) async fn open(wire: Arc<Wire>) -> Result<Self, BackendError> {
        let session = match probe(&wire).await? {
            Probe::Modern(hello) => Self {
                hello: Arc::new(hello),
                id: None,
                listener: None,
            },
            Probe::Legacy => initialize(Arc::clone(&wire)).await?,
        };
        wire.met(&session.hello);
        Ok(session)
    }
}

pub(crate) fn session_headers(version: &'static str, id: Option<&HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(VERSION, HeaderValue::from_static(version));
    if let Some(id) = id {
        headers.insert(SESSION, id.clone());
    }
    headers
}

async fn probe(wire: &Arc<Wire>) -> Result<Probe, BackendError> {
    let settings = &wire.settings;
    let deadline = Deadline::new(settings.probe_timeout, settings.probe_timeout);
    let refusal = match Exchange::modern(wire, &Ask::Discover, None, &[])
        .run(deadline)
        .await
    {
        Ok(answer) => return read_discover(settings, &answer.result),
        Err(refusal) => refusal,
    };
    match refusal {
        Refusal::Rpc(_, error) => read_probe_error(settings, error),
        Refusal::Failed(error @ BackendError::Unavailable { .. }) => Err(error),
        Refusal::Status(..) | Refusal::Failed(_) => Ok(Probe::Legacy),
    }
}

async fn initialize(wire: Arc<Wire>) -> Result<Session, BackendError> {
    let settings = &wire.settings;
    let deadline = Deadline::new(settings.timeout, settings.max_total_timeout);
    let answer =
        Exchange::initialize(&wire)
            .run(deadline)
            .await
            .map_err(|refusal| match refusal {
                Refusal::Rpc(_, error) => BackendError::Rpc(error),
                Refusal::Status(status, body) => wire.status_error(status, &body),
                Refusal::Failed(error) => error,
            })?;
    let hello = read_initialize(settings, &answer.result)?;
    let id = answer.session.filter(is_visible);
    let headers = session_headers(hello.version, id.as_ref());
    let ready = jsonrpc::notification("notifications/initialized", &RawJson::empty_object());
    wire.post_only(headers.clone(), &ready).await;
    let own = async move {
        subscribe_again(&wire, &headers).await;
        listen::run(wire, headers).await;
    };
    let listener = tokio::spawn(own).abort_handle();
    Ok(Session {
        hello: Arc::new(hello),
        id,
        listener: Some(listener),
    })
}

/// What was subscribed to in the session before, if there was one.
async fn subscribe_again(wire: &Arc<Wire>, headers: &HeaderMap) {
    for (uri, ()) in wire.subscriptions.all() {
        let ask = Ask::subscribe(&uri);
        let deadline = Deadline::new(wire.settings.timeout, wire.settings.timeout);
        let exchange = Exchange::legacy(wire, headers.clone(), &ask, None);
        if exchange.run(deadline).await.is_err() {
            warn_refused(&wire.settings);
        }
    }
}

/// An id is visible ASCII (MCP 2025-11-25, session management); with others nothing is promised.
fn is_visible(id: &HeaderValue) -> bool {
    id.as_bytes().iter().all(|b| (0x21..=0x7e).contains(b)) && !id.is_empty()
}
