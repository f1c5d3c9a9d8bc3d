//! What was agreed with a server: its era, and the session of an old one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use http::header::{HeaderMap, HeaderValue};
use mcp_gw_core::jsonrpc;
use mcp_gw_core::{BackendError, Offer, RawJson};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::ask::Ask;
use crate::bereaved::updated;
use crate::call::Back as _;
use crate::channel::Met;
use crate::deadline::Deadline;
use crate::desk::Desk;
use crate::era::{Era, Hello, Probe, read_discover, read_initialize, read_probe_error};
use crate::extras;
use crate::http::exchange::Exchange;
use crate::http::listen;
use crate::http::news::News;
use crate::http::old_stream;
use crate::http::wire::{Post, Refusal, SESSION, VERSION, Wire};
use crate::lanes::Connection;
use crate::listen_stream;
use crate::net::client::Address;
use crate::offer::Lists;
use crate::owner::Owner;
use crate::settings::Settings;
use crate::watched::warn_refused;

/// A server that was met.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) hello: Arc<Hello>,
    pub(crate) id: Option<HeaderValue>,
    /// Whoever waits for something in an old server's session.
    pub(crate) desk: Arc<Desk>,
    wire: Arc<Wire>,
    /// Where messages go to a server that speaks HTTP with SSE.
    endpoint: Option<Address>,
    /// They end with it.
    tasks: Vec<AbortHandle>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
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
            endpoint: self.endpoint.clone(),
        }
    }

    /// Goes on where the session before left off; that of one client before its calls are made.
    async fn take_up(&mut self, post: Post) {
        let wire = Arc::clone(&self.wire);
        let desk = Arc::clone(&self.desk);
        let Some(owner) = &self.desk.owner else {
            let all = wire.common.watched.shared.all().into_iter();
            let all = all.map(|(uri, ())| uri).collect();
            tokio::spawn(async move { subscribe_again(&post, &desk, all).await });
            return;
        };
        let watched = wire.common.watched.take_up(&owner.watcher);
        let again = timeout(
            wire.common.settings.timeout,
            subscribe_again(&post, &desk, watched),
        );
        if again.await.is_err() {
            warn_refused(&wire.common.settings);
        }
        let lists = OwnLists {
            post,
            hello: Arc::clone(&self.hello),
            desk: Arc::clone(&desk),
        };
        let keep = extras::keep(
            lists,
            Arc::clone(&wire.common.extras),
            Arc::clone(owner),
            desk,
        );
        self.tasks.push(tokio::spawn(keep).abort_handle());
    }
}

impl Met for Session {
    type Road = Wire;

    /// Finds out what the server speaks.
    async fn open(wire: Arc<Wire>) -> Result<Self, BackendError> {
        if wire.is_old_stream.load(Ordering::Relaxed) {
            if let Some(session) = old_session(&wire, None).await? {
                wire.met(&session.hello);
                return Ok(session);
            }
            wire.is_old_stream.store(false, Ordering::Relaxed);
        }
        let session = match probe(&wire).await? {
            Probe::Modern(hello) => {
                let hello = Arc::new(hello);
                wire.common.listening.adopt(&wire.common.watched.shared);
                let desk = wire.desk(None);
                let news = listen_stream::run(
                    Arc::new(News::new(Arc::clone(&wire), Arc::clone(&desk))),
                    Arc::clone(&wire.common.listening),
                    wire.common.settings.clone(),
                    Arc::clone(&hello),
                );
                Self {
                    hello,
                    id: None,
                    desk,
                    wire: Arc::clone(&wire),
                    endpoint: None,
                    tasks: vec![tokio::spawn(news).abort_handle()],
                }
            }
            Probe::Legacy => initialize(Arc::clone(&wire), None).await?,
        };
        wire.met(&session.hello);
        Ok(session)
    }

    /// A session for one client, with a server that is known to be of an old revision.
    async fn open_own(
        wire: Arc<Wire>,
        owner: Arc<Owner>,
        _: Arc<()>,
    ) -> Result<Self, BackendError> {
        if wire.is_old_stream.load(Ordering::Relaxed) {
            let session = old_session(&wire, Some(owner)).await?;
            let gone = || {
                wire.common
                    .settings
                    .unavailable("it has no event stream any more")
            };
            return session.ok_or_else(gone);
        }
        initialize(wire, Some(owner)).await
    }

    fn hello(&self) -> &Arc<Hello> {
        &self.hello
    }

    fn desk(&self) -> &Desk {
        &self.desk
    }

    async fn is_alive(&self) -> bool {
        self.desk.pending.dead().is_none()
    }

    /// Tools whose headers could not be sent are left out.
    fn usable(&self, mut offer: Offer) -> Offer {
        if self.hello.era == Era::Modern {
            offer.tools.retain(|tool| tool.param_headers().is_ok());
        }
        offer
    }
}

impl Connection for Session {
    type Memory = ();

    const SHARES: bool = true;

    fn ahead(max: usize) -> usize {
        max / 2
    }

    async fn end(&self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        self.tasks.iter().for_each(AbortHandle::abort);
        if self.id.is_some() || self.endpoint.is_some() || self.desk.owner.is_some() {
            self.desk.pending.close("the gateway has closed it");
        }
        if self.id.is_some() {
            // A server that does not let its sessions be ended answers 405, which is as good.
            let delete = self.wire.request(Method::DELETE).headers(&self.headers());
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

/// What the server says it speaks.
pub(super) async fn probe(wire: &Arc<Wire>) -> Result<Probe, BackendError> {
    let settings = &wire.common.settings;
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
        // It may forbid what it does not know, and nothing else.
        Refusal::Failed(BackendError::Refused { status: 403, .. }) => Ok(Probe::Legacy),
        Refusal::Failed(error) if error.is_unsent() => Err(error),
        Refusal::Status(..) | Refusal::Failed(_) => Ok(Probe::Legacy),
    }
}

async fn initialize(wire: Arc<Wire>, owner: Option<Arc<Owner>>) -> Result<Session, BackendError> {
    let settings = &wire.common.settings;
    let deadline = Deadline::new(settings.timeout, settings.max_total_timeout);
    let capabilities = owner.as_ref().map(|owner| &owner.capabilities);
    let answer = match Exchange::initialize(&wire, capabilities)
        .run(deadline)
        .await
    {
        Ok(answer) => answer,
        Err(refusal) => {
            // Servers of 2024-11-05 take no POST here (MCP 2025-03-26, backwards compatibility).
            if let Refusal::Status(status, _) = &refusal
                && matches!(status.as_u16(), 400 | 404 | 405 | 406 | 415 | 422)
                && let Some(session) = old_session(&wire, owner.as_ref().map(Arc::clone)).await?
            {
                return Ok(session);
            }
            return Err(refused(&wire, refusal));
        }
    };
    let hello = read_initialize(settings, &answer.result)?;
    let id = answer.session.filter(is_visible);
    let desk = wire.desk(owner);
    let mut session = Session {
        hello: Arc::new(hello),
        id,
        desk: Arc::clone(&desk),
        wire: Arc::clone(&wire),
        endpoint: None,
        tasks: Vec::new(),
    };
    let post = session.post();
    let ready = jsonrpc::notification("notifications/initialized", &RawJson::empty_object());
    wire.post_only(None, &session.headers(), &ready).await;
    desk.is_heard.store(true, Ordering::Relaxed);
    let listening = tokio::spawn({
        let (post, desk) = (post.clone(), Arc::clone(&desk));
        async move { listen::run(post, desk).await }
    });
    session.tasks.push(listening.abort_handle());
    session.take_up(post).await;
    Ok(session)
}

fn refused(wire: &Wire, refusal: Refusal) -> BackendError {
    match refusal {
        Refusal::Rpc(_, error) => BackendError::Rpc(error),
        Refusal::Status(status, body) => wire.status_error(status, &body),
        Refusal::Failed(error) => error,
    }
}

/// A session with a server that speaks HTTP with SSE; `None` when it does not.
async fn old_session(
    wire: &Arc<Wire>,
    owner: Option<Arc<Owner>>,
) -> Result<Option<Session>, BackendError> {
    let desk = wire.desk(owner);
    let Some((endpoint, reader)) = old_stream::open(wire, &desk).await? else {
        return Ok(None);
    };
    let mut post = Post {
        wire: Arc::clone(wire),
        headers: HeaderMap::new(),
        endpoint: Some(endpoint.clone()),
    };
    let reader = AbortOnDrop(Some(tokio::spawn(reader.run(post.clone())).abort_handle()));
    desk.is_heard.store(true, Ordering::Relaxed);
    let settings = &wire.common.settings;
    let deadline = Deadline::new(settings.timeout, settings.max_total_timeout);
    let capabilities = desk.owner.as_ref().map(|owner| &owner.capabilities);
    let ask = Ask::Initialize { capabilities };
    let exchange = Exchange::legacy(wire, post.clone(), &desk, &ask, None);
    let answer = exchange.run(deadline).await;
    let answer = answer.map_err(|refusal| refused(wire, refusal))?;
    let hello = Arc::new(read_initialize(settings, &answer.result)?);
    wire.is_old_stream.store(true, Ordering::Relaxed);
    post.headers = session_headers(hello.version, None);
    let nothing = RawJson::empty_object();
    let ready = jsonrpc::notification("notifications/initialized", &nothing);
    post.answer(ready).await;
    let mut session = Session {
        hello,
        id: None,
        desk,
        wire: Arc::clone(wire),
        endpoint: Some(endpoint),
        tasks: reader.keep().into_iter().collect(),
    };
    session.take_up(post).await;
    Ok(Some(session))
}

/// Ends the reader when the handshake fails or is given up.
struct AbortOnDrop(Option<AbortHandle>);

impl AbortOnDrop {
    fn keep(mut self) -> Option<AbortHandle> {
        self.0.take()
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// What was subscribed to in the session before, if there was one, or elsewhere.
async fn subscribe_again(post: &Post, desk: &Arc<Desk>, watched: Vec<Arc<str>>) {
    let settings = &post.wire.common.settings;
    for uri in watched {
        let ask = Ask::subscribe(&uri);
        let deadline = Deadline::new(settings.timeout, settings.timeout);
        let exchange = Exchange::legacy(&post.wire, post.clone(), desk, &ask, None);
        if exchange.run(deadline).await.is_err() {
            warn_refused(settings);
        }
        // It may have changed while nobody looked.
        let params = updated(&uri);
        post.wire.common.watched.updated(uri, params);
    }
}

/// The lists of one client's session.
struct OwnLists {
    post: Post,
    hello: Arc<Hello>,
    desk: Arc<Desk>,
}

impl Lists for OwnLists {
    fn settings(&self) -> &Settings {
        &self.post.wire.common.settings
    }

    async fn met(&self) -> Result<Arc<Hello>, BackendError> {
        Ok(Arc::clone(&self.hello))
    }

    async fn ask_for_list(&self, ask: Ask<'_>) -> Result<RawJson, BackendError> {
        let (wire, settings) = (&self.post.wire, self.settings());
        let deadline = Deadline::new(settings.timeout, settings.max_total_timeout);
        let exchange = Exchange::legacy(wire, self.post.clone(), &self.desk, &ask, None);
        let answer = exchange.run(deadline).await;
        let answer = answer.map_err(|refusal| refused(wire, refusal))?;
        Ok(answer.result)
    }
}

/// An id is visible ASCII (MCP 2025-11-25, session management); with others nothing is promised.
fn is_visible(id: &HeaderValue) -> bool {
    id.as_bytes().iter().all(|b| (0x21..=0x7e).contains(b)) && !id.is_empty()
}
