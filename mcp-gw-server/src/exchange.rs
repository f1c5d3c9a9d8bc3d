//! One request on its way to its answer: who it is from, the work, what it says meanwhile.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use mcp_gw_core::jsonrpc::{self, Request};
use mcp_gw_core::{
    Arguments, Caller, CancelReason, Clock as _, Extras, Feature, Incoming, RawJson, RequestMeta,
    SystemClock, code,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::askable::{Askable, without};
use crate::client::Client;
use crate::desk::Desk;
use crate::engine::Engine;
use crate::http::HttpBody;
use crate::inflight::{InFlight, Open, Refusal};
use crate::link::{CallLink, CallStream, Way, Wishes};
use crate::operation::{self, Asking, Operation, Parsed};
use crate::parked::{Returned, Work};
use crate::revision::Revision;
use crate::rounds::{self, Round};
use crate::rpc_error::RpcError;
use crate::seal::Binding;

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
    /// From then on nothing waits for the client any more.
    pub(crate) closing: CancellationToken,
}

/// The complete answer: a JSON-RPC message, and what HTTP says beside it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) message: AnswerText,
    pub(crate) status: u16,
    pub(crate) retry_after: Option<std::time::Duration>,
    /// `WWW-Authenticate`.
    pub(crate) challenge: Option<String>,
}

/// A message. One that carries a long result has it as it came, not copied.
#[derive(Debug, Clone)]
pub(crate) enum AnswerText {
    Whole(RawJson),
    /// An answer: what stands before the result, and the result.
    Long(Bytes, RawJson),
}

/// From so many bytes on copying a result costs more than keeping a message in pieces.
const LONG: usize = 16 * 1024;

/// What closes a message.
const CLOSE: Bytes = Bytes::from_static(b"}");

impl AnswerText {
    fn result(id: &RawJson, result: RawJson) -> Self {
        if result.len() < LONG {
            Self::Whole(jsonrpc::result(id, &result))
        } else {
            Self::Long(jsonrpc::before_result(id).into(), result)
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(message) => message.len(),
            Self::Long(head, result) => head.len() + result.len() + CLOSE.len(),
        }
    }

    /// All of it as one text.
    pub(crate) fn into_raw(self) -> RawJson {
        match self {
            Self::Whole(message) => message,
            Self::Long(head, result) => jsonrpc::joined(&head, &result),
        }
    }

    pub(crate) fn into_body(self) -> HttpBody {
        match self {
            Self::Whole(message) => HttpBody::Full(message.to_bytes()),
            Self::Long(head, result) => HttpBody::Pieces(vec![head, result.to_bytes(), CLOSE]),
        }
    }
}

impl From<RawJson> for AnswerText {
    fn from(message: RawJson) -> Self {
        Self::Whole(message)
    }
}

impl Answer {
    pub(crate) fn of(id: &RawJson, result: Result<RawJson, RpcError>) -> Self {
        match result {
            Ok(result) => Self {
                message: AnswerText::result(id, result),
                status: 200,
                retry_after: None,
                challenge: None,
            },
            Err(error) => Self::error(Some(id), &error),
        }
    }

    pub(crate) fn error(id: Option<&RawJson>, error: &RpcError) -> Self {
        Self {
            message: AnswerText::Whole(jsonrpc::error(id, &error.object)),
            status: error.status,
            retry_after: error.retry_after,
            challenge: error.challenge.clone(),
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
        // `initialize` cannot be cancelled (basic/utilities/cancellation).
        let is_initialize = matches!(parsed.operation, Operation::Initialize { .. });
        let open = match in_flight.filter(|_| !is_initialize) {
            None => None,
            Some(table) => Some(
                table
                    .open(id.as_bytes(), self.inner.config.max_in_flight)
                    .map_err(refused)?,
            ),
        };
        let cancelled = open.as_ref().map(Open::reason).unwrap_or_default();
        let (work, messages) = self.work(parsed, &id, peer, cancelled)?;
        let work = Box::pin(async move {
            let result = match open {
                None => Some(work.await),
                Some(open) => open.run(work).await,
            };
            result.map(|result| Answer::of(&id, result))
        });
        Ok(Exchange { work, messages })
    }

    /// The work of a request, and what comes to the client before its end.
    fn work(
        &self,
        parsed: Parsed,
        id: &RawJson,
        peer: Peer,
        cancelled: CancelReason,
    ) -> Result<(Work, Option<mpsc::Receiver<RawJson>>), RpcError> {
        let revision = peer.revision;
        let client = peer.client;
        let said = Said {
            info: parsed.client_info,
            capabilities: parsed.client_capabilities,
        };
        let meta = said
            .complete(peer.meta, client.as_deref(), &self.config().withheld)
            .with_protocol_version(revision.as_str())
            .with_log_level(parsed.log_level.or_else(|| client.as_ref()?.log_level()))
            .with_traceparent(parsed.traceparent);
        let wishes = Wishes {
            progress_token: parsed.progress_token,
            log_level: parsed.log_level,
            cancelled,
        };
        let mut operation = parsed.operation;
        let meta = watching(meta, &operation, revision, client.as_deref());
        if let Operation::Listen(filter) = operation {
            let incoming = Incoming::new(peer.caller, meta);
            let (work, messages) = self.listen(filter, id, incoming, peer.closing)?;
            return Ok((work, Some(messages)));
        }
        let bound = match operation.asking() {
            None => None,
            Some(asking) if !revision.is_modern() => {
                // Clients of before have nothing to come back with, and what they would claim to come
                // back to is not sealed for them.
                rounds::without(asking.extras);
                None
            }
            Some(asking) => {
                let (bound, extras) = Bound::new(asking, &peer.caller, self.endpoint.as_ref());
                if let Some((state, responses)) = rounds::returned(extras)? {
                    let parking = &self.inner.parking;
                    match parking.returned(&state, responses, &bound.binding())? {
                        Returned::Anew => {}
                        Returned::ToCall(ticket) => {
                            let incoming = Incoming::new(peer.caller, meta);
                            let round = Round {
                                ticket,
                                bound,
                                incoming,
                                revision,
                            };
                            return Ok(self.come_back(round, wishes, peer.stopping));
                        }
                    }
                }
                Some(bound)
            }
        };
        let client = client.filter(|_| !revision.is_modern());
        let incoming = Incoming::new(peer.caller, meta);
        let ends = (peer.stopping, peer.closing);
        Ok(self.start(operation, incoming, client, revision, wishes, bound, ends))
    }

    /// Work that begins, with its way back to the client.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of the one request"
    )]
    fn start(
        &self,
        operation: Operation,
        incoming: Incoming,
        client: Option<Arc<Client>>,
        revision: Revision,
        wishes: Wishes,
        bound: Option<Bound>,
        (stopping, closing): (CancellationToken, CancellationToken),
    ) -> (Work, Option<mpsc::Receiver<RawJson>>) {
        let declared = incoming.meta.client_capabilities.clone();
        let is_use = operation.is_use();
        let askable = declared
            .as_ref()
            .filter(|_| is_use)
            .map(|declared| Askable::of(revision, declared))
            .unwrap_or_default();
        let desk = bound.as_ref().filter(|_| askable.any()).map(|_| {
            let parking = Arc::clone(&self.inner.parking);
            Arc::new(Desk::new(parking, Arc::clone(&incoming.caller)))
        });
        let way = match (&client, &desk) {
            (Some(client), _) if is_use => Way::Client(Arc::clone(client)),
            (_, Some(desk)) => Way::Desk(Arc::clone(desk)),
            _ => Way::None,
        };
        let says = matches!(way, Way::Client(_));
        let needed =
            says && (askable.any() || self.gateway().catalogue_at(self.endpoint()).has_logging());
        let stream = Arc::new(CallStream::default());
        let messages = stream.lead(wishes, needed);
        let link = CallLink::new(
            revision,
            declared.as_ref(),
            askable,
            way,
            Arc::clone(&stream),
            self.inner.config.input.timeout,
        );
        let incoming = incoming.with_link(Arc::new(link));
        let engine = self.clone();
        let bound = bound.map(Arc::new);
        let of_use = bound.clone();
        let run: Work = Box::pin(async move {
            let is_asking = of_use.is_some();
            let work = engine.run(operation, &incoming, revision, client.as_ref(), of_use);
            let result = tokio::select! {
                biased;
                result = work => result,
                () = stopping.cancelled() => Err(stopped()),
            };
            // Who is asked in answers has the question made of it.
            let keep = |error| engine.without_visits(error, revision, declared.as_ref());
            if is_asking {
                result
            } else {
                result.map_err(keep)
            }
        });
        let work = match bound {
            None => run,
            Some(bound) => {
                self.asking(run, move || bound.binding(), desk, stream, askable, closing)
            }
        };
        (work, messages)
    }
}

impl Engine {
    /// The work itself. What the server gives its client to bring back is sealed between them.
    async fn run(
        &self,
        mut operation: Operation,
        incoming: &Incoming,
        revision: Revision,
        client: Option<&Arc<Client>>,
        bound: Option<Arc<Bound>>,
    ) -> Result<RawJson, RpcError> {
        let Some(bound) = bound else {
            return self.execute(operation, incoming, revision, client).await;
        };
        // Which server it goes to is not known before.
        self.opened().await;
        let server = self.server_of(&bound);
        if let Some(asking) = operation.asking() {
            self.open_state(&bound, &server, asking.extras)?;
        }
        let result = self.execute(operation, incoming, revision, client).await?;
        self.seal_state(&bound, &server, result)
    }
}

/// What a call that asks its client is bound to, before anybody needs to know.
pub(crate) struct Bound {
    caller: Arc<Caller>,
    endpoint: Option<Arc<str>>,
    method: &'static str,
    pub(crate) feature: Feature,
    pub(crate) name: Arc<str>,
    pub(crate) arguments: Option<Arguments>,
}

impl Bound {
    /// Of this use, and where its answers come in.
    fn new<'o>(
        asking: Asking<'o>,
        caller: &Arc<Caller>,
        endpoint: Option<&Arc<str>>,
    ) -> (Self, &'o mut Extras) {
        let bound = Self {
            caller: Arc::clone(caller),
            endpoint: endpoint.cloned(),
            method: asking.method,
            feature: asking.feature,
            name: asking.name,
            arguments: asking.arguments,
        };
        (bound, asking.extras)
    }

    pub(crate) fn binding(&self) -> Binding {
        let what = (self.method, &*self.name);
        let empty = RawJson::empty_object();
        let arguments = self.arguments.as_ref().map_or(&empty, Arguments::as_raw);
        Binding::new(&self.caller, self.endpoint.as_deref(), what, arguments)
    }
}

/// What a client says of itself in a request.
struct Said {
    info: Option<RawJson>,
    capabilities: Option<RawJson>,
}

impl Said {
    /// What is known of the client: what it says now, or said when it shook hands, here or with
    /// somebody else, without what servers are not told of.
    fn complete(
        self,
        meta: RequestMeta,
        client: Option<&Client>,
        withheld: &[&str],
    ) -> RequestMeta {
        let known = (meta.client_info.clone(), meta.client_capabilities.clone());
        let info = self.info.or_else(|| client?.info.clone()).or(known.0);
        let capabilities = self.capabilities;
        let capabilities = capabilities.or_else(|| client?.capabilities.clone());
        let capabilities = capabilities.or(known.1);
        let capabilities = capabilities.and_then(|declared| without(declared, withheld));
        let received = meta.received.or_else(|| Some(SystemClock::new().wall()));
        meta.with_client(info, capabilities)
            .with_session(client.map(|client| client.key.clone()))
            .with_received(received)
    }
}

/// Says of what begins or ends subscriptions what the client can be asked for in its calls: these may
/// be on a connection of its own, and news must be with them.
fn watching(
    meta: RequestMeta,
    operation: &Operation,
    revision: Revision,
    client: Option<&Client>,
) -> RequestMeta {
    if !operation.is_watch() {
        return meta;
    }
    let askable = if revision.is_modern() {
        meta.client_capabilities.clone()
    } else {
        client.and_then(Client::askable)
    };
    meta.with_askable(askable)
}

/// The answer to a request that does not end before the gateway does.
pub(crate) fn stopped() -> RpcError {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_result_is_told_as_a_short_one_and_is_not_copied() {
        let id = RawJson::string("a \"b\"");
        for length in [0, LONG - 3, LONG - 2, LONG, 3 * LONG] {
            let result = RawJson::string(&"x".repeat(length));
            let expected = jsonrpc::result(&id, &result);
            let answer = Answer::of(&id, Ok(result.clone()));
            assert_eq!(answer.message.len(), expected.len());
            match answer.message.clone().into_body() {
                HttpBody::Full(body) => {
                    assert!(length < LONG - 2);
                    assert_eq!(body, expected.as_bytes());
                }
                HttpBody::Pieces(pieces) => {
                    assert!(length >= LONG - 2);
                    assert_eq!(pieces.concat(), expected.as_bytes());
                    assert_eq!(pieces[1].as_ptr(), result.as_bytes().as_ptr());
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(answer.message.into_raw(), expected);
        }
    }
}
