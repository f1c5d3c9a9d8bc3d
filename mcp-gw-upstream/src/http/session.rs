//! What was agreed with a server: its era, and the session of an old one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mcp_gw_core::jsonrpc;
use mcp_gw_core::{BackendError, RawJson};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::task::AbortHandle;

use crate::ask::Ask;
use crate::deadline::Deadline;
use crate::desk::Desk;
use crate::era::{Hello, Probe, read_discover, read_initialize, read_probe_error};
use crate::http::exchange::Exchange;
use crate::http::listen;
use crate::http::news::News;
use crate::http::wire::{Post, Refusal, SESSION, VERSION, Wire};
use crate::lanes::Connection;
use crate::listen_stream;
use crate::owner::Owner;
use crate::subscriptions::warn_refused;

/// A server that was met.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) hello: Arc<Hello>,
    pub(crate) id: Option<HeaderValue>,
    /// Whoever waits for something in an old server's session.
    pub(crate) desk: Arc<Desk>,
    wire: Arc<Wire>,
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

    /// The way for messages without an answer.
    pub(crate) fn post(&self) -> Post {
        Post {
            wire: Arc::clone(&self.wire),
            headers: self.headers(),
        }
    }

    /// Finds out what the server speaks.
    pub(crate) async fn open(wire: Arc<Wire>) -> Result<Self, BackendError> {
        let session = match probe(&wire).await? {
            Probe::Modern(hello) => {
                let hello = Arc::new(hello);
                wire.listening.adopt(&wire.subscriptions);
                let news = listen_stream::run(
                    Arc::new(News(Arc::clone(&wire))),
                    Arc::clone(&wire.listening),
                    wire.settings.clone(),
                    Arc::clone(&hello),
                );
                Self {
                    hello,
                    id: None,
                    desk: Arc::new(Desk::new(Arc::clone(&wire.events), None)),
                    wire: Arc::clone(&wire),
                    listener: Some(tokio::spawn(news).abort_handle()),
                }
            }
            Probe::Legacy => initialize(Arc::clone(&wire), None).await?,
        };
        wire.met(&session.hello);
        Ok(session)
    }

    /// A session for one client, with a server that is known to be of an old revision.
    pub(crate) async fn open_own(wire: Arc<Wire>, owner: Arc<Owner>) -> Result<Self, BackendError> {
        initialize(wire, Some(owner)).await
    }
}

impl Connection for Session {
    type Memory = ();

    const SHARES: bool = true;

    async fn end(&self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        if let Some(listener) = &self.listener {
            listener.abort();
        }
        if self.id.is_some() || self.desk.owner.is_some() {
            self.desk.pending.close("the gateway has closed it");
        }
        if self.id.is_some() {
            // A server that does not let its sessions be ended answers 405, which is as good.
            let delete = self.wire.request(Method::DELETE).headers(self.headers());
            let _ = delete.timeout(PATIENCE).send().await;
        }
    }

    fn tell_now(&self, message: RawJson) {
        self.post().soon(message);
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

async fn initialize(wire: Arc<Wire>, owner: Option<Arc<Owner>>) -> Result<Session, BackendError> {
    let settings = &wire.settings;
    let deadline = Deadline::new(settings.timeout, settings.max_total_timeout);
    let capabilities = owner.as_ref().map(|owner| &owner.capabilities);
    let answer = Exchange::initialize(&wire, capabilities)
        .run(deadline)
        .await
        .map_err(|refusal| match refusal {
            Refusal::Rpc(_, error) => BackendError::Rpc(error),
            Refusal::Status(status, body) => wire.status_error(status, &body),
            Refusal::Failed(error) => error,
        })?;
    let hello = read_initialize(settings, &answer.result)?;
    let id = answer.session.filter(is_visible);
    let is_shared = owner.is_none();
    let desk = Arc::new(Desk::new(Arc::clone(&wire.events), owner));
    let mut session = Session {
        hello: Arc::new(hello),
        id,
        desk: Arc::clone(&desk),
        wire: Arc::clone(&wire),
        listener: None,
    };
    let post = session.post();
    let ready = jsonrpc::notification("notifications/initialized", &RawJson::empty_object());
    wire.post_only(session.headers(), &ready).await;
    desk.is_heard.store(true, Ordering::Relaxed);
    let own = async move {
        if is_shared {
            subscribe_again(&post, &desk).await;
        }
        listen::run(post, desk).await;
    };
    session.listener = Some(tokio::spawn(own).abort_handle());
    Ok(session)
}

/// What was subscribed to in the session before, if there was one.
async fn subscribe_again(post: &Post, desk: &Arc<Desk>) {
    let settings = &post.wire.settings;
    for (uri, ()) in post.wire.subscriptions.all() {
        let ask = Ask::subscribe(&uri);
        let deadline = Deadline::new(settings.timeout, settings.timeout);
        let exchange = Exchange::legacy(&post.wire, post.clone(), desk, &ask, None);
        if exchange.run(deadline).await.is_err() {
            warn_refused(settings);
        }
    }
}

/// An id is visible ASCII (MCP 2025-11-25, session management); with others nothing is promised.
fn is_visible(id: &HeaderValue) -> bool {
    id.as_bytes().iter().all(|b| (0x21..=0x7e).contains(b)) && !id.is_empty()
}
