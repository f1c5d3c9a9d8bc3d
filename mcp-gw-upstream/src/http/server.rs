//! The backend over HTTP: one connection, shared by all calls, made anew when it is of no use.

use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mcp_gw_core::{BackendError, BackendEvent, CallContext, Offer, RawJson, ToolSpec, code};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};

use crate::ask::Ask;
use crate::deadline::Deadline;
use crate::era::{Era, Hello, rpc_code};
use crate::error::Error;
use crate::http::config::HttpServerConfig;
use crate::http::exchange::Exchange;
use crate::http::session::Session;
use crate::http::wire::{Refusal, Wire};
use crate::mirror::{self, Mirrors};
use crate::notice::Events;
use crate::offer;
use crate::relay::{self, Channel};
use crate::settings::Settings;
use crate::single::Single;
use crate::subscriptions::Subscriptions;

/// An MCP server over streamable HTTP, of any revision from 2024-11-05 to 2026-07-28.
///
/// Nothing is sent before the first call. All callers share one connection to the server; with a
/// server of an old revision that is one session, which declares no client capabilities.
#[derive(Debug)]
pub struct HttpServer {
    wire: Arc<Wire>,
    session: Single<Session>,
    mirrors: RwLock<Arc<Mirrors>>,
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

impl HttpServer {
    /// A backend for the server that `config` describes. Connects to nothing yet.
    ///
    /// # Errors
    /// When the address or a header cannot be used.
    pub fn new(config: &HttpServerConfig) -> Result<Self, Error> {
        Ok(Self {
            wire: Arc::new(Wire::new(config)?),
            session: Single::default(),
            mirrors: RwLock::default(),
        })
    }

    async fn session(&self) -> Result<Arc<Session>, BackendError> {
        let open = || Session::open(Arc::clone(&self.wire));
        self.session.get(&self.wire.settings, open).await
    }

    async fn once(
        &self,
        session: &Arc<Session>,
        ask: Ask<'_>,
        ctx: Option<&CallContext>,
    ) -> Result<RawJson, Verdict> {
        let settings = &self.wire.settings;
        let deadline = Deadline::new(settings.timeout, settings.max_total_timeout);
        let exchange = match session.hello.era {
            Era::Modern => Exchange::modern(&self.wire, &ask, ctx, &self.mirrored(ask)),
            Era::Legacy => Exchange::legacy(&self.wire, session.headers(), &ask, ctx),
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
                if error.is_unsent() && self.session.forget(session) {
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
                is_stale = is_expired(session, status, error.as_str())
                    || is_other_era(session, status, code);
                BackendError::Rpc(error)
            }
            Refusal::Status(status, body) => {
                is_stale = is_expired(session, status, &body)
                    || matches!(status.as_u16(), 400 | 404 | 405 | 406 | 415 | 426);
                self.wire.status_error(status, &body)
            }
        };
        if is_stale {
            Verdict::Stale(error)
        } else {
            Verdict::Final(error)
        }
    }

    /// The headers that repeat arguments of this call.
    fn mirrored(&self, ask: Ask<'_>) -> Vec<(HeaderName, HeaderValue)> {
        let Ask::Tool(call) = ask else {
            return Vec::new();
        };
        let mirrors = Arc::clone(&self.mirrors.read().unwrap_or_else(PoisonError::into_inner));
        mirrors
            .get(&call.name)
            .map(|of_tool| mirror::headers(of_tool, call.arguments.as_raw()))
            .unwrap_or_default()
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
        *self.mirrors.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(mirrors);
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
        if self.hello().await?.era == Era::Modern {
            offer.tools = self.learn_headers(offer.tools);
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

impl Channel for HttpServer {
    fn settings(&self) -> &Settings {
        &self.wire.settings
    }

    fn events(&self) -> &Events {
        &self.wire.events
    }

    fn subscriptions(&self) -> &Subscriptions {
        &self.wire.subscriptions
    }

    async fn offered(&self) -> Result<Offer, BackendError> {
        self.read_offer().await
    }

    async fn end(&self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        let Some(session) = self.session.close().await else {
            return;
        };
        if session.id.is_some() {
            // A server that does not let its sessions be ended answers 405, which is as good.
            let delete = self.wire.request(Method::DELETE).headers(session.headers());
            let _ = delete.timeout(PATIENCE).send().await;
        }
    }

    async fn hello(&self) -> Result<Arc<Hello>, BackendError> {
        Ok(Arc::clone(&self.session().await?.hello))
    }

    async fn ask(&self, ask: Ask<'_>, ctx: Option<&CallContext>) -> Result<RawJson, BackendError> {
        let session = self.session().await?;
        let verdict = match self.once(&session, ask, ctx).await {
            Ok(result) => return Ok(result),
            Err(verdict) => verdict,
        };
        let session = match verdict {
            Verdict::Final(error) => return Err(error),
            Verdict::Stale(_) => {
                self.session.forget(&session);
                drop(session);
                self.session().await?
            }
            Verdict::Headers(error) if !matches!(ask, Ask::Tool(_)) => return Err(error),
            Verdict::Headers(_) => {
                self.read_offer_again().await?;
                session
            }
        };
        self.once(&session, ask, ctx)
            .await
            .map_err(|verdict| match verdict {
                Verdict::Final(error) | Verdict::Stale(error) | Verdict::Headers(error) => error,
            })
    }
}

relay::backend!(HttpServer);
