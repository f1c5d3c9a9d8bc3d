//! The HTTP client of one server: what every request to it has in common.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use mcp_gw_core::{BackendError, BackendEvent, RawJson};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::call::{Back, Room};
use crate::common::Common;
use crate::desk::Desk;
use crate::era::Hello;
use crate::error::Error;
use crate::http::config::HttpServerConfig;
use crate::net::client::{self, Address, Client, Outgoing, Response};
use crate::net::connect::{Connector, Lookup};
use crate::owner::Owner;
use crate::settings::{EXCERPT, excerpt};

pub(crate) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// So many answers to requests of the server are on their way at once; more wait for their turn.
const MAX_REPLIES: usize = 16;

/// Sends to one server.
pub(crate) struct Wire {
    pub(crate) common: Common,
    client: Client,
    url: Url,
    address: Address,
    headers: HeaderMap,
    ids: AtomicI64,
    /// Turns of answers to requests of the server, and room for those that wait for one.
    replies: Semaphore,
    room: Room,
    was_met: AtomicBool,
    /// It spoke HTTP with SSE when it was last met.
    pub(crate) is_old_stream: AtomicBool,
}

impl AsRef<Common> for Wire {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// The address may hold a key, so it is not shown.
impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("settings", &self.common.settings)
            .finish_non_exhaustive()
    }
}

/// Sends messages without an answer in the session of an old server.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) wire: Arc<Wire>,
    /// They name the session.
    pub(crate) headers: HeaderMap,
    /// Where messages go, when that is not the address of the server.
    pub(crate) endpoint: Option<Address>,
}

impl Post {
    /// Sends it without waiting.
    pub(crate) fn soon(&self, message: RawJson) {
        self.spawn(message, None);
    }

    fn spawn(&self, message: RawJson, room: Option<OwnedSemaphorePermit>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let this = self.clone();
        runtime.spawn(async move {
            let turn = match &room {
                Some(_) => this.wire.replies.acquire().await.ok(),
                None => None,
            };
            this.answer(message).await;
            drop((turn, room));
        });
    }
}

impl Back for Post {
    async fn answer(&self, message: RawJson) {
        let endpoint = self.endpoint.as_ref();
        self.wire.post_only(endpoint, &self.headers, &message).await;
    }

    fn answer_now(&self, message: RawJson) -> bool {
        let Some(room) = self.wire.room.take(&message) else {
            return false;
        };
        self.spawn(message, Some(room));
        true
    }
}

/// Why there is no answer, as far as the transport knows.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A JSON-RPC error object.
    Rpc(StatusCode, RawJson),
    /// A status without one, and how the body begins. Not those of [`Wire::turned_away`].
    Status(StatusCode, String),
    /// No answer, or none that can be used.
    Failed(BackendError),
}

impl Wire {
    pub(crate) fn new(config: &HttpServerConfig) -> Result<Self, Error> {
        let url = config.parsed_url()?;
        let headers = config.parsed_headers()?;
        let client =
            connector(config, url.scheme() == "https").map_err(|source| Error::Client {
                server: config.name.clone(),
                source,
            })?;
        let address = Address::of(&url).ok_or_else(|| Error::Url {
            server: config.name.clone(),
            reason: "it has characters that no request can have".to_owned(),
        })?;
        Ok(Self {
            common: Common::new(config.settings()),
            client,
            url,
            address,
            headers,
            ids: AtomicI64::new(1),
            replies: Semaphore::new(MAX_REPLIES),
            room: Room::new(),
            was_met: AtomicBool::new(false),
            is_old_stream: AtomicBool::new(false),
        })
    }

    /// What is to be known of a new connection.
    pub(crate) fn desk(&self, owner: Option<Arc<Owner>>) -> Arc<Desk> {
        let (events, watched) = (&self.common.events, &self.common.watched);
        Arc::new(Desk::new(
            &self.common.settings,
            Arc::clone(events),
            Arc::clone(watched),
            owner,
        ))
    }

    /// An id that no other request to this server has, also good as a progress token.
    pub(crate) fn next_id(&self) -> i64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// The server was met. What it offers may be new when that is not the first time.
    pub(crate) fn met(&self, hello: &Arc<Hello>) {
        hello.log(&self.common.settings);
        self.common.known.learn(hello);
        if self.was_met.swap(true, Ordering::Relaxed) {
            self.common.events.emit(BackendEvent::OfferChanged);
        }
    }

    /// A POST of one message.
    pub(crate) fn post(&self, headers: &HeaderMap, body: &RawJson) -> Outgoing {
        self.post_to(None, headers, body)
    }

    /// The same, to where an old server wants it.
    pub(crate) fn post_to(
        &self,
        endpoint: Option<&Address>,
        headers: &HeaderMap,
        body: &RawJson,
    ) -> Outgoing {
        let address = endpoint.unwrap_or(&self.address);
        self.request_to(Method::POST, address)
            .header(ACCEPT, BOTH)
            .header(CONTENT_TYPE, JSON)
            .headers(headers)
            .body(body.to_bytes())
    }

    /// A request without a body.
    pub(crate) fn request(&self, method: Method) -> Outgoing {
        self.request_to(method, &self.address)
    }

    fn request_to(&self, method: Method, address: &Address) -> Outgoing {
        self.client.request(method, address).headers(&self.headers)
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// Sends a message that has no answer: a notification or a response.
    pub(crate) async fn post_only(
        &self,
        endpoint: Option<&Address>,
        headers: &HeaderMap,
        body: &RawJson,
    ) {
        let sent = self
            .post_to(endpoint, headers, body)
            .timeout(self.common.settings.timeout)
            .send()
            .await;
        let problem = match sent {
            Ok(response) if response.status().is_success() => return,
            Ok(response) => response.status().to_string(),
            Err(error) => chain(&error),
        };
        tracing::debug!(
            target: "mcp_gw::upstream",
            server = &*self.common.settings.server,
            problem,
            "a message without an answer was not taken"
        );
    }

    /// Why nothing came back to what was sent.
    pub(crate) fn send_error(&self, error: &client::Error) -> BackendError {
        let (is_unsent, is_timeout) = (error.is_connect(), error.is_timeout());
        let reason = chain(error);
        if is_unsent && is_timeout {
            self.common
                .settings
                .unavailable(format!("connecting to it took too long ({reason})"))
        } else if is_unsent {
            self.common.settings.unavailable(reason)
        } else {
            self.common.settings.lost(reason)
        }
    }

    /// Why a request was turned away unread, when this status and what follows it say so.
    pub(crate) fn turned_away(
        &self,
        status: StatusCode,
        retry_after: Option<Duration>,
        body: &str,
    ) -> Option<BackendError> {
        match status {
            // What is wrong is the gateway's credential: nothing for a client, and the body may repeat
            // what was sent.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Some(self.common.settings.refused(status.as_u16()))
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let says = if body.is_empty() { "" } else { ": " };
                let reason = format!("it answers {status}{says}{body}");
                Some(self.common.settings.busy(reason, retry_after))
            }
            _ => None,
        }
    }

    /// What a status without a JSON-RPC message means.
    pub(crate) fn status_error(&self, status: StatusCode, body: &str) -> BackendError {
        let says = if body.is_empty() {
            String::new()
        } else {
            format!(": {body}")
        };
        match status {
            status if status.is_redirection() => self.common.settings.protocol(format!(
                "it answers {status}; redirects are not followed, give the final address in `url`"
            )),
            status if status.is_server_error() => self
                .common
                .settings
                .lost(format!("it answers {status}{says}")),
            status => self
                .common
                .settings
                .protocol(format!("it answers {status}{says}")),
        }
    }

    /// The whole body, if it is no longer than allowed.
    pub(crate) async fn body(
        &self,
        response: Response,
        until: Instant,
        late: impl Fn() -> BackendError,
    ) -> Result<Bytes, BackendError> {
        self.body_up_to(
            response,
            until,
            late,
            self.common.settings.max_message_bytes,
        )
        .await?
        .ok_or_else(|| self.common.settings.too_large())
    }

    /// How the body begins, for a log.
    pub(crate) async fn beginning(&self, mut response: Response, until: Instant) -> String {
        let mut head = BytesMut::new();
        while head.len() < EXCERPT
            && let Ok(Ok(Some(chunk))) = timeout_at(until, response.chunk()).await
        {
            head.extend_from_slice(chunk.get(..EXCERPT).unwrap_or(&chunk));
        }
        excerpt(&head)
    }

    async fn body_up_to(
        &self,
        mut response: Response,
        until: Instant,
        late: impl Fn() -> BackendError,
        limit: usize,
    ) -> Result<Option<Bytes>, BackendError> {
        let announced = response.content_length().unwrap_or(0);
        if announced > limit as u64 {
            return Ok(None);
        }
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        loop {
            let chunk = timeout_at(until, response.chunk())
                .await
                .map_err(|_| late())?
                .map_err(|error| self.common.settings.lost(chain(&error)))?;
            let Some(chunk) = chunk else {
                return Ok(Some(first.unwrap_or_else(|| all.freeze())));
            };
            let so_far = first.as_ref().map_or(all.len(), Bytes::len);
            if so_far + chunk.len() > limit {
                return Ok(None);
            }
            // Most bodies come in one piece, which then needs no copy.
            if so_far == 0 {
                first = Some(chunk);
                continue;
            }
            if let Some(first) = first.take() {
                all.reserve(usize::try_from(announced).unwrap_or(0));
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&chunk);
        }
    }
}

/// Without a set-up for the whole process: the certificates of the operating system, checked with
/// `ring`.
fn connector(config: &HttpServerConfig, is_https: bool) -> Result<Client, mcp_gw_core::BoxError> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    // Reading the certificates takes time and memory that a server without TLS need not cost.
    let tls = if is_https {
        tls.with_platform_verifier()?
    } else {
        tls.with_root_certificates(RootCertStore::empty())
    };
    let mut tls = tls.with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let info = &config.client_info;
    let agent = HeaderValue::from_str(&format!("{}/{}", info.name, info.version))
        .unwrap_or(HeaderValue::from_static("mcp-gw"));
    let lookup = match &config.addresses {
        Some(rules) => Lookup::guarded(None, Arc::new(rules.clone())),
        None => Lookup::system(),
    };
    let connector = Connector::new(lookup, config.connect_timeout, Arc::new(tls));
    Ok(Client::new(connector, agent))
}

/// The longest `Retry-After` that is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// `Retry-After` in seconds (RFC 9110 §10.2.3), up to a day. A date is not read: whose clock is right is
/// not known.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    // What is too long for a number is a long time as well.
    let wait = seconds.parse().map_or(LONGEST_WAIT, Duration::from_secs);
    is_number.then(|| wait.min(LONGEST_WAIT))
}

/// The same, a date as well, when it is `now`.
pub(crate) fn retry_after_at(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    retry_after(headers).or_else(|| {
        let date = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let date = httpdate::parse_http_date(date).ok()?;
        let wait = date.duration_since(now).unwrap_or_default();
        Some(wait.min(LONGEST_WAIT))
    })
}

/// An error and what it comes from, in one line.
pub(crate) fn chain(error: &client::Error) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        out.push_str(": ");
        out.push_str(&inner.to_string());
        source = inner.source();
    }
    out
}
