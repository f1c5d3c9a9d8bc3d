//! The backend over HTTP: one connection, shared by all calls, made anew when it is of no use.

use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use mcp_gw_core::{
    BackendError, BackendEvent, CallContext, ClientRef, ForeignParams, Offer, RawJson, SessionKey,
    ToolSpec, code,
};
use reqwest::StatusCode;
use reqwest::header::{HeaderName, HeaderValue};

use crate::ask::Ask;
use crate::chores::Chores;
use crate::deadline::Deadline;
use crate::era::{Era, Hello, rpc_code};
use crate::error::Error;
use crate::http::config::HttpServerConfig;
use crate::http::exchange::Exchange;
use crate::http::session::Session;
use crate::http::wire::{Refusal, Wire};
use crate::lanes::{Connection as _, Lanes, Seat, Spot, Upkeep};
use crate::listen_stream::Listening;
use crate::mirror::{self, Mirrors};
use crate::notice::Events;
use crate::offer;
use crate::owner::Owner;
use crate::relay::{self, Channel};
use crate::room::Bounds;
use crate::settings::Settings;
use crate::single::Single;
use crate::watched::Watched;

/// An MCP server over streamable HTTP, of any revision from 2024-11-05 to 2026-07-28.
///
/// Nothing is sent before the first call. All callers share one connection to the server; with a
/// server of an old revision that is one session, which declares no client capabilities. There, a
/// client that can be asked something (sampling, elicitation, roots), or that wants log messages of a
/// certain level, gets a session of its own: see [`HttpServerConfig::max_connections`].
#[derive(Debug)]
pub struct HttpServer {
    core: Arc<Core>,
}

#[derive(Debug)]
struct Core {
    wire: Arc<Wire>,
    session: Single<Session>,
    lanes: Lanes<Session>,
    /// `None` until the tools have been read.
    mirrors: RwLock<Option<Arc<Mirrors>>>,
    chores: Chores,
}

/// What to do about a refusal.
enum Verdict {
    /// It is the answer.
    Final(BackendError),
    /// The request was not looked at; the server has to be met anew first.
    Stale(BackendError),
    /// The headers did not fit the tool; its definition has to be read anew first.
    Headers(BackendError),
}

impl Verdict {
    fn into_error(self) -> BackendError {
        match self {
            Self::Final(error) | Self::Stale(error) | Self::Headers(error) => error,
        }
    }
}

impl HttpServer {
    /// A backend for the server that `config` describes. Connects to nothing yet.
    ///
    /// # Errors
    /// When the address or a header cannot be used.
    pub fn new(config: &HttpServerConfig) -> Result<Self, Error> {
        let wire = Arc::new(Wire::new(config)?);
        Ok(Self {
            core: Arc::new_cyclic(|core| Core::new(config, wire, core)),
        })
    }
}

impl Core {
    fn new(config: &HttpServerConfig, wire: Arc<Wire>, this: &Weak<Self>) -> Self {
        let upkeep = Upkeep {
            watched: Arc::clone(&wire.watched),
            extras: Arc::clone(&wire.extras),
            orphaned: Some(relay::adopting(this)),
        };
        Self {
            wire,
            session: Single::default(),
            lanes: Lanes::new(
                config.settings(),
                Bounds::new(
                    config.max_connections,
                    config.max_connections_per_caller,
                    config.idle_timeout,
                ),
                upkeep,
            ),
            mirrors: RwLock::default(),
            chores: Chores::default(),
        }
    }

    async fn session(&self) -> Result<Arc<Session>, BackendError> {
        let open = || Session::open(Arc::clone(&self.wire));
        let settings = &self.wire.settings;
        let session = self.session.get(settings, open).await?;
        if session.desk.pending.dead().is_none() {
            return Ok(session);
        }
        self.session.forget(&session);
        self.session.get(settings, open).await
    }

    /// The session that calls of this client must be in.
    async fn seat(&self, client: &ClientRef) -> Result<Spot<Session>, BackendError> {
        let hello = self.known().await?;
        let wire = &self.wire;
        let open = |owner, _| Session::open_own(Arc::clone(wire), owner);
        let seat = match self.lanes.seat(&hello, client, open).await? {
            Spot::Own(seat) => seat,
            shared @ Spot::Shared(_) => return Ok(shared),
        };
        if seat.connection.desk.pending.dead().is_none() {
            if !seat.connection.desk.is_stale() {
                return Ok(Spot::Own(seat));
            }
            seat.connection.end().await;
        }
        seat.forget();
        drop(seat);
        self.lanes.seat(&hello, client, open).await
    }

    /// What a client is told that asked there.
    fn told(
        &self,
        spot: &Spot<Session>,
        outcome: Result<RawJson, BackendError>,
    ) -> Result<RawJson, BackendError> {
        match spot {
            Spot::Shared(Some(lack)) => lack.explain(&self.wire.settings.server, outcome),
            _ => outcome,
        }
    }

    /// Asks for the log messages that the client wants, before its call.
    async fn set_level(&self, session: &Arc<Session>, ctx: Option<&CallContext>) {
        let level = ctx.and_then(|ctx| session.desk.level_to_set(ctx, &session.hello));
        if let Some(level) = level
            && self
                .once(session, Ask::SetLevel(level), None)
                .await
                .is_err()
        {
            session.desk.level_refused();
        }
    }

    async fn once(
        &self,
        session: &Arc<Session>,
        ask: Ask<'_>,
        ctx: Option<&CallContext>,
    ) -> Result<RawJson, Verdict> {
        let (wire, desk) = (&self.wire, &session.desk);
        let settings = &wire.settings;
        let deadline = Deadline::new(settings.timeout, settings.max_total_timeout);
        let exchange = match session.hello.era {
            Era::Modern => Exchange::modern(wire, &ask, ctx, &self.repeated(ask, ctx).await),
            Era::Legacy => Exchange::legacy(wire, session.post(), desk, &ask, ctx),
        };
        match exchange.run(deadline).await {
            Ok(answer) => Ok(answer.result),
            Err(refusal) => Err(self.judge(session, refusal)),
        }
    }

    fn judge(&self, session: &Arc<Session>, refusal: Refusal) -> Verdict {
        let is_stale;
        let error = match refusal {
            Refusal::Failed(error) => {
                let is_away = matches!(error, BackendError::Unavailable { .. });
                if is_away && self.session.forget(session) {
                    self.wire.events.emit(BackendEvent::Down {
                        reason: error.to_string(),
                    });
                }
                return Verdict::Final(error);
            }
            Refusal::Rpc(status, error) => {
                let code = rpc_code(&error);
                if code == Some(code::HEADER_MISMATCH) && session.hello.era == Era::Modern {
                    return Verdict::Headers(BackendError::Rpc(error));
                }
                let is_expired = code != Some(code::METHOD_NOT_FOUND)
                    && is_expired(session, status, error.as_str());
                is_stale = is_expired || is_other_era(session, status, code);
                if is_expired && status == StatusCode::NOT_FOUND {
                    self.unknown_session()
                } else {
                    BackendError::Rpc(error)
                }
            }
            Refusal::Status(status, body) => {
                let is_expired = is_expired(session, status, &body);
                is_stale =
                    is_expired || matches!(status.as_u16(), 400 | 404 | 405 | 406 | 415 | 426);
                if is_expired && status == StatusCode::NOT_FOUND {
                    self.unknown_session()
                } else {
                    self.wire.status_error(status, &body)
                }
            }
        };
        if is_stale {
            Verdict::Stale(error)
        } else {
            Verdict::Final(error)
        }
    }

    /// The request was not looked at, so it can be sent again.
    fn unknown_session(&self) -> BackendError {
        let reason = "it does not know the session that it has given";
        self.wire.settings.unavailable(reason)
    }

    /// The headers that repeat arguments of this call, as its tool wants them, and those that the client
    /// sent for other ones. A client does not say what the tool wants to hear from its arguments.
    async fn repeated(
        &self,
        ask: Ask<'_>,
        ctx: Option<&CallContext>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let nothing = ForeignParams::new();
        let mut foreign = ctx.map_or(&nothing, |ctx| &ctx.meta().foreign_params);
        let Ask::Tool(call) = ask else {
            return mirror::foreign(&[], foreign).collect();
        };
        let mut mirrors = self.mirrors();
        if mirrors.is_none() && !foreign.is_empty() {
            if self.read_offer_again().await.is_err() {
                foreign = &nothing;
            }
            mirrors = self.mirrors();
        }
        let marked = mirrors.as_ref().and_then(|all| all.get(&call.name));
        let marked = marked.map(|marked| &**marked).unwrap_or_default();
        let mut all = mirror::headers(marked, call.arguments.as_raw());
        all.extend(mirror::foreign(marked, foreign));
        all
    }

    fn mirrors(&self) -> Option<Arc<Mirrors>> {
        let mirrors = self.mirrors.read();
        mirrors.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Leaves out the tools whose headers could not be sent, and remembers those of the others.
    fn learn_headers(&self, tools: Vec<ToolSpec>) -> Vec<ToolSpec> {
        let mut mirrors = Mirrors::new();
        let tools = tools
            .into_iter()
            .filter(|tool| match tool.param_headers() {
                Ok(of_tool) => {
                    if !of_tool.is_empty() {
                        mirrors.insert(tool.shared_name(), of_tool.into());
                    }
                    true
                }
                Err(reason) => {
                    tracing::warn!(
                        target: "mcp_gw::upstream",
                        server = &*self.wire.settings.server,
                        tool = tool.name(),
                        reason,
                        "a tool is left out"
                    );
                    false
                }
            })
            .collect();
        *self.mirrors.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(mirrors));
        tools
    }

    /// Boxed, because reading an offer asks in turn.
    fn read_offer_again(
        &self,
    ) -> Pin<Box<dyn Future<Output = Result<Offer, BackendError>> + Send + '_>> {
        Box::pin(self.read_offer())
    }

    async fn read_offer(&self) -> Result<Offer, BackendError> {
        let mut offer = offer::read(self).await?;
        match self.hello().await?.era {
            Era::Modern => offer.tools = self.learn_headers(offer.tools),
            Era::Legacy => self.wire.extras.complete(&mut offer),
        }
        Ok(offer)
    }
}

/// True when an old server does not know the session any more, and so did not look at the request.
fn is_expired(session: &Session, status: StatusCode, body: &str) -> bool {
    if session.id.is_none() {
        return false;
    }
    match status {
        StatusCode::NOT_FOUND => true,
        StatusCode::BAD_REQUEST => {
            let body = body.to_ascii_lowercase();
            body.contains("session") || body.contains("not initialized")
        }
        _ => false,
    }
}

/// True when the server speaks another era than it did, and so did not look at the request.
fn is_other_era(session: &Session, status: StatusCode, code: Option<i64>) -> bool {
    match code {
        Some(code::UNSUPPORTED_PROTOCOL_VERSION) => true,
        // What old servers say to a request without a session.
        Some(code::INVALID_REQUEST | -32_019..=-32_000) => {
            session.hello.era == Era::Modern && status == StatusCode::BAD_REQUEST
        }
        _ => false,
    }
}

impl Channel for Core {
    type Own = Session;

    fn settings(&self) -> &Settings {
        &self.wire.settings
    }

    fn events(&self) -> &Events {
        &self.wire.events
    }

    fn watched(&self) -> &Watched {
        &self.wire.watched
    }

    fn lanes(&self) -> &Lanes<Session> {
        &self.lanes
    }

    fn chores(&self) -> &Chores {
        &self.chores
    }

    fn listening(&self) -> &Listening {
        &self.wire.listening
    }

    async fn offered(&self) -> Result<Offer, BackendError> {
        self.read_offer().await
    }

    async fn end(&self) {
        self.chores.stop();
        let shared = async {
            if let Some(session) = self.session.close().await {
                session.end().await;
            }
        };
        tokio::join!(shared, self.lanes.close());
    }

    async fn hello(&self) -> Result<Arc<Hello>, BackendError> {
        Ok(Arc::clone(&self.session().await?.hello))
    }

    async fn known(&self) -> Result<Arc<Hello>, BackendError> {
        match self.wire.known.get() {
            Some(hello) => Ok(hello),
            None => self.hello().await,
        }
    }

    async fn open_ahead(
        &self,
        session: &SessionKey,
        client: &ClientRef,
    ) -> Result<(), BackendError> {
        let hello = self.known().await;
        let owner = hello.as_ref().ok();
        let owner = owner.and_then(|hello| Owner::of(client, hello));
        let open = |owner, _| Session::open_own(Arc::clone(&self.wire), owner);
        self.lanes.open_ahead(session, owner, open).await?;
        hello.map(drop)
    }

    async fn ask_own(
        &self,
        ask: Ask<'_>,
        client: &ClientRef,
    ) -> Result<Option<Seat<Session>>, BackendError> {
        let mut is_first = true;
        loop {
            let Spot::Own(seat) = self.seat(client).await? else {
                return Ok(None);
            };
            match self.once(&seat.connection, ask, None).await {
                Ok(_) => return Ok(Some(seat)),
                Err(Verdict::Stale(_)) if is_first => {
                    is_first = false;
                    seat.forget();
                }
                Err(verdict) => return Err(verdict.into_error()),
            }
        }
    }

    async fn ask_on(
        &self,
        connection: &Arc<Session>,
        ask: Ask<'_>,
    ) -> Result<RawJson, BackendError> {
        let outcome = self.once(connection, ask, None).await;
        outcome.map_err(Verdict::into_error)
    }

    async fn ask(&self, ask: Ask<'_>, ctx: Option<&CallContext>) -> Result<RawJson, BackendError> {
        let client = ctx.map(CallContext::client);
        // A session of a client's own may be stale, and then the shared one as well.
        let (mut stale_own, mut stale_shared, mut wrong_headers) = (false, false, false);
        loop {
            let spot = match &client {
                Some(client) => self.seat(client).await?,
                None => Spot::Shared(None),
            };
            let session = match &spot {
                Spot::Own(seat) => Arc::clone(&seat.connection),
                Spot::Shared(_) => self.session().await?,
            };
            self.set_level(&session, ctx).await;
            let verdict = match self.once(&session, ask, ctx).await {
                Ok(result) => {
                    let result = relay::settled(result, session.hello.era, &ask, ctx);
                    return self.told(&spot, Ok(result));
                }
                Err(verdict) => verdict,
            };
            match (verdict, &spot) {
                (Verdict::Stale(_), Spot::Own(seat)) if !stale_own => {
                    stale_own = true;
                    seat.forget();
                }
                (Verdict::Stale(_), Spot::Shared(_)) if !stale_shared => {
                    stale_shared = true;
                    self.session.forget(&session);
                }
                (Verdict::Headers(_), _) if !wrong_headers && matches!(ask, Ask::Tool(_)) => {
                    wrong_headers = true;
                    self.read_offer_again().await?;
                }
                (verdict, _) => return self.told(&spot, Err(verdict.into_error())),
            }
        }
    }
}

relay::backend!(HttpServer);
