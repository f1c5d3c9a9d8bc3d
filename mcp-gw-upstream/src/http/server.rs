//! The backend over HTTP: what a refusal means, and which headers go with a call.

use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use mcp_gw_core::{
    BackendError, BackendEvent, CallContext, ForeignParams, Offer, RawJson, ToolSpec, UnclearParam,
    code, jsonrpc,
};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::ask::Ask;
use crate::channel::{Base, Channel, Verdict};
use crate::deadline::Deadline;
use crate::era::{Era, Probe, rpc_code};
use crate::error::Error;
use crate::http::config::HttpServerConfig;
use crate::http::exchange::Exchange;
use crate::http::session::{self, Session};
use crate::http::wire::{Refusal, Wire};
use crate::mirror::{self, Mirrors};
use crate::offer;
use crate::relay;
use crate::room::Bounds;

/// So often it is looked at most whether a server that refuses requests is another one by now.
const DOUBT: Duration = Duration::from_secs(5);

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
    base: Base<Session>,
    /// `None` until the tools have been read.
    mirrors: RwLock<Option<Arc<Mirrors>>>,
    /// When it was last looked whether an old server is a new one by now, and what came of it.
    doubt: Mutex<Option<(Instant, bool)>>,
}

impl HttpServer {
    /// A backend for the server that `config` describes. Connects to nothing yet.
    ///
    /// # Errors
    /// When the address or a header cannot be used.
    pub fn new(config: &HttpServerConfig) -> Result<Self, Error> {
        let wire = Wire::new(config)?;
        Ok(Self {
            core: Arc::new_cyclic(|core| Core::new(config, wire, core)),
        })
    }
}

impl Core {
    fn new(config: &HttpServerConfig, wire: Wire, this: &Weak<Self>) -> Self {
        let bounds = Bounds::new(
            config.max_connections,
            config.max_connections_per_caller,
            config.idle_timeout,
        );
        wire.common.watched.bereaved.seen_to_by(this);
        Self {
            base: Base::new(wire, bounds, relay::adopting(this)),
            mirrors: RwLock::default(),
            doubt: Mutex::default(),
        }
    }

    async fn attempt(
        &self,
        session: &Arc<Session>,
        ask: Ask<'_>,
        ctx: Option<&CallContext>,
    ) -> Result<RawJson, Verdict> {
        let (wire, desk) = (&self.base.road, &session.desk);
        let settings = &wire.common.settings;
        let deadline = Deadline::new(settings.timeout, settings.max_total_timeout);
        let exchange = match session.hello.era {
            Era::Modern => {
                let mirrored = self.repeated(ask, ctx).await.map_err(|unclear| {
                    let says = format!("Invalid params: {unclear}");
                    Verdict::Final(BackendError::Rpc(jsonrpc::error_object(
                        code::INVALID_PARAMS,
                        &says,
                        None,
                    )))
                })?;
                Exchange::modern(wire, &ask, ctx, &mirrored)
            }
            Era::Legacy => Exchange::legacy(wire, session.post(), desk, &ask, ctx),
        };
        match exchange.run(deadline).await {
            Ok(answer) => Ok(answer.result),
            Err(refusal) => Err(Box::pin(self.judge(session, refusal)).await),
        }
    }

    async fn judge(&self, session: &Arc<Session>, refusal: Refusal) -> Verdict {
        let is_stale;
        let error = match refusal {
            Refusal::Failed(error) => {
                let is_away = matches!(error, BackendError::Unavailable { .. });
                if is_away && self.base.forget_shared(session) {
                    self.common().events.emit(BackendEvent::Down {
                        reason: error.to_string(),
                    });
                }
                return Verdict::Final(error);
            }
            Refusal::Rpc(status, error) => {
                let code = rpc_code(&error);
                let is_expired = code != Some(code::METHOD_NOT_FOUND)
                    && is_expired(session, status, error.as_str());
                is_stale = is_expired
                    || is_other_era(session, status, code)
                    || self.is_modern_by_now(session, status).await;
                if is_expired && status == StatusCode::NOT_FOUND {
                    self.common().settings.forgetful()
                } else {
                    BackendError::Rpc(error)
                }
            }
            Refusal::Status(status, body) => {
                let is_expired = is_expired(session, status, &body);
                is_stale =
                    is_expired || matches!(status.as_u16(), 400 | 404 | 405 | 406 | 415 | 426);
                if is_expired && status == StatusCode::NOT_FOUND {
                    self.common().settings.forgetful()
                } else {
                    self.base.road.status_error(status, &body)
                }
            }
        };
        if is_stale {
            Verdict::Stale(error)
        } else {
            Verdict::Final(error)
        }
    }

    /// True when an old server that refused a request as a whole turns out to be a new one. Only that
    /// tells its words for "this is not a request of 2026-07-28" from those of old servers for a request
    /// that they do not like.
    async fn is_modern_by_now(&self, session: &Session, status: StatusCode) -> bool {
        if session.hello.era == Era::Modern || !matches!(status.as_u16(), 400 | 404) {
            return false;
        }
        let known = self.common().known.get();
        if known.is_some_and(|hello| hello.era == Era::Modern) {
            return true;
        }
        // Who comes meanwhile waits for the same answer.
        let mut doubt = self.doubt.lock().await;
        if let Some((at, was_modern)) = *doubt
            && at.elapsed() < DOUBT
        {
            return was_modern;
        }
        let probe = session::probe(&self.base.road).await;
        let is_modern = matches!(probe, Ok(Probe::Modern(_)));
        *doubt = Some((Instant::now(), is_modern));
        is_modern
    }

    /// The headers that repeat arguments of this call, as its tool wants them, and those that the client
    /// sent for other ones. A client does not say what the tool wants to hear from its arguments.
    async fn repeated(
        &self,
        ask: Ask<'_>,
        ctx: Option<&CallContext>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, UnclearParam> {
        let nothing = ForeignParams::new();
        let mut foreign = ctx.map_or(&nothing, |ctx| &ctx.meta().foreign_params);
        let Ask::Tool(call) = ask else {
            return Ok(mirror::foreign(&[], foreign).collect());
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
        let mut all = mirror::headers(marked, call.arguments.as_raw())?;
        all.extend(mirror::foreign(marked, foreign));
        Ok(all)
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
                        server = &*self.common().settings.server,
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
        match self.base.hello().await?.era {
            Era::Modern => offer.tools = self.learn_headers(offer.tools),
            Era::Legacy => self.common().extras.complete(&mut offer),
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
        // Old servers know no headers that say what the body says.
        Some(code::HEADER_MISMATCH) if session.hello.era == Era::Legacy => {
            status == StatusCode::BAD_REQUEST
        }
        // What old servers say to a request without a session.
        Some(code::INVALID_REQUEST | -32_019..=-32_000) => {
            session.hello.era == Era::Modern && status == StatusCode::BAD_REQUEST
        }
        _ => false,
    }
}

impl Channel for Core {
    type Own = Session;

    fn base(&self) -> &Base<Session> {
        &self.base
    }

    async fn offered(&self) -> Result<Offer, BackendError> {
        self.read_offer().await
    }

    /// Others run it.
    fn renew(&self, _reason: &str) {}

    async fn once(
        &self,
        session: &Arc<Session>,
        ask: Ask<'_>,
        ctx: Option<&CallContext>,
    ) -> Result<RawJson, Verdict> {
        let outcome = self.attempt(session, ask, ctx).await;
        match &outcome {
            Err(Verdict::Final(error))
                if matches!(ask, Ask::Tool(_)) && is_mismatch(session, error) => {}
            _ => return outcome,
        }
        // The headers did not fit the tool, so its definition is not what it was.
        self.read_offer_again().await.map_err(Verdict::Final)?;
        Box::pin(self.attempt(session, ask, ctx)).await
    }
}

/// True when a new server says that headers and arguments of a call do not go together.
fn is_mismatch(session: &Session, error: &BackendError) -> bool {
    match error {
        BackendError::Rpc(error) => {
            session.hello.era == Era::Modern && rpc_code(error) == Some(code::HEADER_MISMATCH)
        }
        _ => false,
    }
}

relay::backend!(HttpServer);
