//! One request on its way to its answer: who it is from, the work, what it says meanwhile.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use mcp_gw_core::jsonrpc::{self, Request};
use mcp_gw_core::{Caller, Incoming, RawJson, RequestMeta, code};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::engine::Engine;
use crate::inflight::{InFlight, Refusal};
use crate::link::CallLink;
use crate::operation::{self, Parsed};
use crate::revision::Revision;
use crate::rpc_error::RpcError;

/// The peer that a request came from.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) caller: Arc<Caller>,
    /// May say what the client said of itself, where there is no `client` to say it.
    pub(crate) meta: RequestMeta,
    pub(crate) revision: Revision,
    /// The client, when it shook hands: for revisions that have a handshake.
    pub(crate) client: Option<Arc<Client>>,
    /// From then on its requests are answered with an error.
    pub(crate) stopping: CancellationToken,
}

/// The complete answer: a JSON-RPC message, and what HTTP says beside it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) message: RawJson,
    pub(crate) status: u16,
    pub(crate) retry_after: Option<std::time::Duration>,
}

impl Answer {
    pub(crate) fn of(id: &RawJson, result: Result<RawJson, RpcError>) -> Self {
        match result {
            Ok(result) => Self {
                message: jsonrpc::result(id, &result),
                status: 200,
                retry_after: None,
            },
            Err(error) => Self::error(Some(id), &error),
        }
    }

    pub(crate) fn error(id: Option<&RawJson>, error: &RpcError) -> Self {
        Self {
            message: jsonrpc::error(id, &error.object),
            status: error.status,
            retry_after: error.retry_after,
        }
    }
}

/// Work under way. `None` as the answer means that the client cancelled: it gets none.
pub(crate) struct Exchange {
    pub(crate) work: Pin<Box<dyn Future<Output = Option<Answer>> + Send>>,
    /// Messages that go to the client before the answer.
    pub(crate) messages: Option<mpsc::Receiver<RawJson>>,
}

impl Engine {
    /// Takes a request apart and sets its work up. The work does not start before it is polled, and
    /// stops when it is dropped or cancelled through `in_flight`.
    pub(crate) fn begin(
        &self,
        request: &Request<'_>,
        body: &Bytes,
        peer: Peer,
        in_flight: Option<&InFlight>,
    ) -> Result<Exchange, RpcError> {
        let parsed = operation::parse(request, body, peer.revision)?;
        self.begin_parsed(parsed, RawJson::within(body, request.id), peer, in_flight)
    }

    pub(crate) fn begin_parsed(
        &self,
        parsed: Parsed,
        id: RawJson,
        peer: Peer,
        in_flight: Option<&InFlight>,
    ) -> Result<Exchange, RpcError> {
        let open = match in_flight {
            None => None,
            Some(table) => Some(
                table
                    .open(id.as_bytes(), self.inner.config.max_in_flight)
                    .map_err(refused)?,
            ),
        };
        let revision = peer.revision;
        let client = peer.client.as_deref();
        let told = (
            peer.meta.client_info.clone(),
            peer.meta.client_capabilities.clone(),
        );
        let meta = peer
            .meta
            .with_protocol_version(revision.as_str())
            .with_client(
                parsed
                    .client_info
                    .or_else(|| client?.info.clone())
                    .or(told.0),
                parsed
                    .client_capabilities
                    .or_else(|| client?.capabilities.clone())
                    .or(told.1),
            )
            .with_session(client.map(|client| client.key.clone()))
            .with_log_level(parsed.log_level.or_else(|| client?.log_level()))
            .with_traceparent(parsed.traceparent);
        let (link, messages) = CallLink::new(
            revision,
            parsed.progress_token,
            meta.client_capabilities.clone(),
        );
        let incoming = Incoming::new(peer.caller, meta).with_link(Arc::new(link));
        let engine = self.clone();
        let operation = parsed.operation;
        let stopping = peer.stopping;
        let work = Box::pin(async move {
            let work = engine.execute(operation, &incoming, revision);
            let work = async {
                tokio::select! {
                    biased;
                    result = work => result,
                    () = stopping.cancelled() => Err(stopped()),
                }
            };
            let result = match open {
                None => Some(work.await),
                Some(open) => open.run(work).await,
            };
            result.map(|result| Answer::of(&id, result))
        });
        Ok(Exchange { work, messages })
    }
}

/// The answer to a request that does not end before the gateway does.
fn stopped() -> RpcError {
    RpcError::new(
        code::GATEWAY_UNAVAILABLE,
        "The gateway stops before this request is done. The work may have been done or not.",
    )
}

fn refused(refusal: Refusal) -> RpcError {
    match refusal {
        Refusal::Twice => RpcError::with_status(
            400,
            code::INVALID_REQUEST,
            "Invalid request: a request with this id is still open",
        ),
        Refusal::TooMany => RpcError::with_status(
            429,
            code::RATE_LIMITED,
            "Too many requests are open at once. Wait for one to end, then try again.",
        ),
    }
}

/// The id in the params of `notifications/cancelled`.
pub(crate) fn cancelled_id<'a>(params: &jsonrpc::Params<'a>) -> Option<&'a [u8]> {
    params.get("requestId").map(|id| id.get().as_bytes())
}
