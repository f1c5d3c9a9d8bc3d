//! A gateway as a service of the official Rust SDK, for programs that already serve one. Feature
//! `rmcp`.
//!
//! [`GatewayService`] is what `rmcp` serves over a pair of streams; [`GatewayHandler`] is the same
//! for its streamable HTTP, which takes nothing but a `ServerHandler`. Both end in the methods of the
//! gateway, as everything does: each request is identified, limited, decided on and audited.
//!
//! ```
//! use mcp_gw_core::{AllowAll, Gateway};
//! use mcp_gw_server::rmcp::GatewayService;
//! use mcp_gw_server::{Engine, EngineConfig};
//! use rmcp::ServiceExt as _;
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let gateway = Gateway::builder().policy(AllowAll::new()).build()?;
//! let service = GatewayService::new(Engine::new(gateway, EngineConfig::default()));
//! let streams = (tokio::io::stdin(), tokio::io::stdout());
//! service.serve(streams).await?.waiting().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is lost
//!
//! The SDK reads each message into its own types before anybody else sees it. What those types have
//! no place for does not arrive, and the gateway cannot bring it back. [`serve_lines`] and the router
//! of `mcp-gw-http` lose nothing; prefer them where you can.
//!
//! | | `GatewayService` | `GatewayHandler` |
//! |---|---|---|
//! | `_meta`, arguments of tools | kept | kept |
//! | other members of `params` that the SDK does not know | lost | lost |
//! | results, their unknown members and content of unknown types | kept | unknown members lost; what does not fit its type is an error |
//! | progress | kept | unknown members lost, numbers become floats |
//! | errors: unknown members beside `code`, `message`, `data` | lost | lost |
//! | text of numbers, order of members | lost, unless `serde_json` is built with `arbitrary_precision` and `preserve_order` | the same |
//! | ids that are no 64-bit integers or strings | refused by the SDK | the same |
//! | capabilities in the answer to `initialize` that the SDK does not know | lost | lost |
//!
//! The SDK logs what passes at the levels `debug` and `info`, arguments included: filter `rmcp=warn`.
//! The number of the major version of `rmcp` is part of this module's interface, and of no other.
//!
//! [`serve_lines`]: crate::serve_lines

mod handler;

use std::borrow::Cow;
use std::sync::Arc;

use ::rmcp::RoleServer;
use ::rmcp::model::{
    ClientNotification, ClientRequest, CustomNotification, CustomResult, ErrorCode, ErrorData,
    Extensions, GetMeta as _, Implementation, InitializeResult, ProtocolVersion,
    ServerCapabilities, ServerConfig, ServerNotification, ServerResult,
};
use ::rmcp::service::{NotificationContext, Peer as RmcpPeer, RequestContext, Service};
use mcp_gw_core::jsonrpc::{Message, Request};
use mcp_gw_core::{AuthnError, Credentials, ObjectWriter, RawJson, RequestMeta, Transport, code};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use handler::GatewayHandler;

use crate::engine::Engine;
use crate::exchange::{Exchange, Peer};
use crate::inflight::InFlight;
use crate::operation::{Meta, modern_revision};
use crate::revision::Revision;
use crate::rpc_error::RpcError;
use mcp_gw_core::meta_key as key;

/// Serves a gateway where the SDK takes a `Service`: anything but its streamable HTTP.
///
/// Clones share the bound [`EngineConfig::max_in_flight`](crate::EngineConfig::max_in_flight). A
/// request that its client cancels is given up where it is; one whose connection ends as soon as the
/// SDK gives it up, which waits some seconds for answers that are still to come.
#[derive(Clone)]
pub struct GatewayService {
    engine: Engine,
    credentials: Arc<ReadCredentials>,
    in_flight: InFlight,
}

type ReadCredentials = dyn Fn(&Extensions) -> Credentials + Send + Sync;

impl std::fmt::Debug for GatewayService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayService")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

impl GatewayService {
    /// Serves the gateway of `engine`, or the endpoint that it is for, to callers without
    /// credentials: such that come over HTTP when the SDK says that they do, and within the process
    /// otherwise.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            credentials: Arc::new(without_credentials),
            in_flight: InFlight::default(),
        }
    }

    /// Sets how the credentials of a request are read. Over HTTP the extensions hold the
    /// `http::request::Parts` of the request, headers among them. It is asked for every request, and
    /// what it returns goes to the authenticator of the gateway.
    #[must_use]
    pub fn with_credentials(
        mut self,
        read: impl Fn(&Extensions) -> Credentials + Send + Sync + 'static,
    ) -> Self {
        self.credentials = Arc::new(read);
        self
    }

    /// The engine that is served; one of an endpoint serves that endpoint.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The one road of a request: as text to the engine, and its answer back.
    async fn ask(
        &self,
        mut request: ClientRequest,
        context: RequestContext<RoleServer>,
        tell: Tell,
    ) -> Result<Value, ErrorData> {
        let RequestContext {
            ct,
            meta,
            extensions,
            peer,
            ..
        } = context;
        *request.get_meta_mut() = meta;
        // The id of the client is unique in its connection alone, and the clones of this have many.
        let id = self.engine.next_request_id();
        let request = RawJson::from_serialize(&request).map_err(|error| internal(&error))?;
        let body = ObjectWriter::with_capacity(request.len() + 64)
            .string("jsonrpc", "2.0")
            .string("id", &id)
            .finish_with(&request)
            .to_bytes();
        let exchange = async {
            let Ok(Message::Request(request)) = Message::parse(&body) else {
                return Err(RpcError::new(code::INVALID_REQUEST, "Invalid request").into());
            };
            let who = self.peer(&request, &id, &extensions, &peer).await?;
            let exchange = self
                .engine
                .begin(&request, &body, who, Some(&self.in_flight))?;
            Ok(exchange)
        };
        tokio::select! {
            biased;
            () = ct.cancelled() => Err(cancelled()),
            result = async { run(exchange.await.map_err(Refused::into_data)?, &peer, tell).await } => result,
        }
    }

    /// Who asks, and in which revision.
    async fn peer(
        &self,
        request: &Request<'_>,
        id: &str,
        extensions: &Extensions,
        peer: &RmcpPeer<RoleServer>,
    ) -> Result<Peer, Refused> {
        let handshake = peer.peer_info();
        let asked = handshake
            .as_ref()
            .map(|info| info.protocol_version.as_str());
        let revision = revision(request, asked)?;
        let credentials = (self.credentials)(extensions);
        let meta =
            RequestMeta::new(id, credentials.transport).with_endpoint(self.engine.endpoint.clone());
        let caller = self
            .engine
            .gateway()
            .authenticate(&credentials, &meta)
            .await?;
        let handshake = handshake.filter(|_| !revision.is_modern());
        let (info, capabilities) = match &handshake {
            Some(info) => (
                RawJson::from_serialize(&info.client_info).ok(),
                RawJson::from_serialize(&info.capabilities).ok(),
            ),
            None => (None, None),
        };
        Ok(Peer {
            caller,
            meta: meta.with_client(info, capabilities),
            revision,
            client: None,
            stopping: self.engine.inner.stopping.child_token(),
            closing: self.engine.inner.closing.clone(),
        })
    }
}

impl Service<RoleServer> for GatewayService {
    async fn handle_request(
        &self,
        request: ClientRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<ServerResult, ErrorData> {
        let is_handshake = matches!(request, ClientRequest::InitializeRequest(_));
        let result = self.ask(request, context, Tell::AsItIs).await?;
        // The SDK takes part in the handshake, and wants to see its own type there.
        if is_handshake {
            return typed(result).map(ServerResult::InitializeResult);
        }
        Ok(ServerResult::CustomResult(CustomResult(result)))
    }

    /// The SDK itself cancels what a notification cancels; the others are of no use to a gateway.
    async fn handle_notification(
        &self,
        _: ClientNotification,
        _: NotificationContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    fn get_info(&self) -> ServerConfig {
        let config = self.engine.config();
        InitializeResult::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(&config.name, &config.version))
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(&VERSIONS)
    }
}

/// [`Revision::ALL`] in the words of the SDK.
static VERSIONS: [ProtocolVersion; 4] = [
    ProtocolVersion::V_2025_03_26,
    ProtocolVersion::V_2025_06_18,
    ProtocolVersion::V_2025_11_25,
    ProtocolVersion::V_2026_07_28,
];

/// How messages that come before an answer are told.
#[derive(Debug, Clone, Copy)]
enum Tell {
    AsItIs,
    /// As the SDK's own type, by which its HTTP finds the stream that it belongs to.
    Typed,
}

fn without_credentials(extensions: &Extensions) -> Credentials {
    // Whoever comes over HTTP must not be taken for somebody on this machine.
    let transport = match extensions.get::<http::request::Parts>() {
        Some(_) => Transport::Http,
        None => Transport::InProcess,
    };
    Credentials::none(transport)
}

/// Which revision a request speaks: it says so itself, or relies on the handshake.
fn revision(request: &Request<'_>, handshake: Option<&str>) -> Result<Revision, RpcError> {
    let meta = Meta::of(&request.params)?;
    let says_itself = meta.get(key::PROTOCOL_VERSION).is_some();
    match handshake {
        Some(asked) if !says_itself && request.method != "server/discover" => {
            Ok(Revision::negotiate(asked))
        }
        None if request.method == "initialize" => Ok(Revision::NEWEST_LEGACY),
        _ => modern_revision(&meta),
    }
}

/// Runs an exchange to its end: messages in their order, then the answer.
async fn run(
    exchange: Exchange,
    peer: &RmcpPeer<RoleServer>,
    tell: Tell,
) -> Result<Value, ErrorData> {
    let Exchange { mut work, messages } = exchange;
    let answer = match messages {
        None => work.await,
        Some(mut messages) => {
            let answer = loop {
                tokio::select! {
                    biased;
                    Some(message) = messages.recv() => send(&message, peer, tell).await,
                    answer = &mut work => break answer,
                }
            };
            while let Ok(message) = messages.try_recv() {
                send(&message, peer, tell).await;
            }
            answer
        }
    };
    let answer = answer.ok_or_else(cancelled)?;
    let answer = answer.message.into_raw();
    match Message::parse(answer.as_bytes()) {
        Ok(Message::Response(response)) => match response.outcome {
            Ok(result) => serde_json::from_str(result.get()).map_err(|error| unfit(&error)),
            Err(error) => Err(error_data(error.get())),
        },
        _ => Err(internal(&"there is no answer")),
    }
}

/// A message that cannot be told is one that its client does not wait for.
async fn send(message: &RawJson, peer: &RmcpPeer<RoleServer>, tell: Tell) {
    let Ok(Message::Notification(notification)) = Message::parse(message.as_bytes()) else {
        return;
    };
    let typed = match tell {
        Tell::AsItIs => None,
        Tell::Typed => message.decode_owned::<ServerNotification>().ok(),
    };
    let notification = typed.or_else(|| {
        let members = notification.params.members()?;
        let params = ObjectWriter::default().members(members, &[]).finish();
        let custom = CustomNotification::new(notification.method, Some(params.to_value().ok()?));
        Some(ServerNotification::CustomNotification(custom))
    });
    if let Some(notification) = notification
        && let Err(error) = peer.send_notification(notification).await
    {
        tracing::debug!(%error, "a client cannot be told of progress");
    }
}

/// Why a request does not begin.
enum Refused {
    Rpc(RpcError),
    Authn(AuthnError),
}

impl From<RpcError> for Refused {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}

impl From<AuthnError> for Refused {
    fn from(error: AuthnError) -> Self {
        Self::Authn(error)
    }
}

impl Refused {
    fn into_data(self) -> ErrorData {
        let (code, says) = match self {
            Self::Rpc(error) => return error_data(error.object.as_str()),
            Self::Authn(AuthnError::Unavailable { .. }) => (
                code::GATEWAY_UNAVAILABLE,
                "Credentials cannot be checked at the moment.",
            ),
            // Which of them it is is for the log.
            Self::Authn(AuthnError::Missing) => (code::INVALID_REQUEST, "Unauthorized: no key."),
            Self::Authn(AuthnError::Address { .. }) => (code::INVALID_REQUEST, "Forbidden."),
            Self::Authn(_) => (
                code::INVALID_REQUEST,
                "Unauthorized: the key or token is not valid.",
            ),
        };
        ErrorData::new(error_code(code), says, None)
    }
}

fn error_code(code: i64) -> ErrorCode {
    i32::try_from(code).map_or(ErrorCode::INTERNAL_ERROR, ErrorCode)
}

/// An error object of JSON-RPC in the SDK's type, whose codes have 32 bits.
fn error_data(object: &str) -> ErrorData {
    #[derive(serde::Deserialize)]
    struct Object {
        code: i64,
        #[serde(default)]
        message: String,
        data: Option<Value>,
    }
    match serde_json::from_str::<Object>(object) {
        Ok(Object {
            code,
            message,
            data,
        }) => ErrorData::new(error_code(code), message, data),
        Err(error) => unfit(&error),
    }
}

/// Reads a result into a type of the SDK.
fn typed<T: DeserializeOwned>(result: Value) -> Result<T, ErrorData> {
    serde_json::from_value(result).map_err(|error| unfit(&error))
}

fn unfit(error: &serde_json::Error) -> ErrorData {
    tracing::warn!(%error, "an answer does not fit the types of the SDK");
    ErrorData::new(
        error_code(code::UPSTREAM_INVALID),
        "The answer of the server cannot be handed on by the SDK that this gateway is served with.",
        None,
    )
}

fn internal(error: &dyn std::fmt::Display) -> ErrorData {
    tracing::error!(%error, "a request cannot be handed on");
    ErrorData::internal_error("Internal error", None)
}

/// The SDK tells nobody of it.
fn cancelled() -> ErrorData {
    ErrorData::internal_error("The request was cancelled.", None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_over_http_is_not_taken_for_somebody_on_this_machine() {
        let mut extensions = Extensions::new();
        assert_eq!(
            without_credentials(&extensions).transport,
            Transport::InProcess
        );
        let (parts, ()) = http::Request::new(()).into_parts();
        extensions.insert(parts);
        assert_eq!(without_credentials(&extensions).transport, Transport::Http);
    }

    #[test]
    fn the_sdk_is_told_of_every_revision() {
        let names = VERSIONS.each_ref().map(ProtocolVersion::as_str);
        assert_eq!(names, Revision::ALL.map(Revision::as_str));
    }
}
