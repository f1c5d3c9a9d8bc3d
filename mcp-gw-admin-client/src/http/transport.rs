//! The one place that sends requests.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, Request, StatusCode};
use mcp_gw_core::{JsonError, RawJson, Secret};
use reqwest::{Client, Proxy, Response, redirect};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::http::base_url::BaseUrl;
use crate::http::budget::Budget;
use crate::http::error::{Done, Error, ErrorKind, one_line};
use crate::http::problem::{Problem, scrub};
use crate::http::retry::{RetryPolicy, chance, retry_after};
use crate::http::target::{RequestError, effective};
use crate::http::tls::{TlsError, Trust};

/// So many redirects within the origin are followed.
const HOPS: usize = 3;

/// How to reach an admin API.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TransportConfig {
    /// Where it is.
    pub base: BaseUrl,
    /// The header that goes with every request, and only to that origin.
    pub credential: Option<(HeaderName, Secret<String>)>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// The address of a proxy that all requests go through; the environment is not read.
    pub proxy: Option<Secret<String>>,
    /// How long connecting may take. 10 s by default.
    pub connect_timeout: Duration,
    /// How long one attempt may take, with its whole answer. 30 s by default.
    pub timeout: Duration,
    /// The longest answer that is taken, in bytes. 16 MiB by default.
    pub max_response_bytes: usize,
    /// The header `User-Agent`.
    pub user_agent: String,
    /// When a request is sent again.
    pub retries: RetryPolicy,
}

impl TransportConfig {
    /// The API at `base`, without credentials, with the defaults.
    pub fn new(base: BaseUrl) -> Self {
        Self {
            base,
            credential: None,
            trust: Trust::System,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            max_response_bytes: 16 * 1024 * 1024,
            user_agent: concat!("mcp-gw/", env!("CARGO_PKG_VERSION")).to_owned(),
            retries: RetryPolicy::default(),
        }
    }
}

/// Why nothing can be sent with a [`TransportConfig`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The credential cannot stand in a header.
    #[error("the token holds characters that no header may have; look for a line break at its end")]
    Credential,
    /// The address of the proxy cannot be used.
    #[error("the address of the proxy cannot be used; write it like http://host:3128")]
    Proxy,
    /// `User-Agent` cannot stand in a header.
    #[error("the user agent holds characters that no header may have")]
    UserAgent,
    /// Connections cannot be made safe.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Client(#[source] mcp_gw_core::BoxError),
}

/// An answer with a status of success.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; `None` when it is empty, or when `remark` says that it cannot be used.
    pub body: Option<RawJson>,
    /// What is wrong with the answer to a write that succeeded, or why it may not have succeeded after all.
    pub remark: Option<String>,
}

/// Any answer, its body as it came: what a test request through a gateway is about.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Reading {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, or its beginning.
    pub body: Bytes,
    /// True when the body is longer than what was kept.
    pub is_cut: bool,
}

/// Sends requests to one origin. A clone is cheap and shares the connections.
#[derive(Clone)]
pub struct Transport {
    inner: Arc<Inner>,
    /// What is sent has to be answered within it.
    budget: Option<Budget>,
}

struct Inner {
    config: TransportConfig,
    credential: Option<(HeaderName, HeaderValue)>,
    client: Client,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// Prepares sending; nothing is connected to yet.
    ///
    /// # Errors
    /// When something in `config` cannot be used.
    pub fn new(config: TransportConfig) -> Result<Self, TransportError> {
        let credential = match &config.credential {
            Some((name, secret)) => {
                let mut value = HeaderValue::from_str(secret.expose())
                    .map_err(|_| TransportError::Credential)?;
                value.set_sensitive(true);
                Some((name.clone(), value))
            }
            None => None,
        };
        let client = client(&config)?;
        let inner = Arc::new(Inner {
            config,
            credential,
            client,
        });
        Ok(Self {
            inner,
            budget: None,
        })
    }

    /// Where requests go.
    pub fn base(&self) -> &BaseUrl {
        &self.inner.config.base
    }

    /// The same, for what has to be done within a time: attempts end with it, and no write is begun when little of
    /// it is left.
    #[cfg(feature = "tools")]
    pub(crate) fn within(&self, budget: Option<Budget>) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            budget,
        }
    }

    /// The time in which it sends.
    #[cfg(feature = "tools")]
    pub(crate) const fn budget(&self) -> Option<Budget> {
        self.budget
    }

    /// Whether a request may begin now.
    #[cfg(feature = "tools")]
    pub(crate) fn has_time(&self, method: &Method) -> bool {
        self.until(method).is_ok()
    }

    /// When an attempt that begins now ends.
    ///
    /// # Errors
    /// When none should begin: nothing is sent then.
    fn until(&self, method: &Method) -> Result<Instant, Error> {
        let longest = self.inner.config.timeout;
        let until = Instant::now() + longest;
        let Some(budget) = self.budget else {
            return Ok(until);
        };
        budget.begin(method, longest)?;
        Ok(until.min(budget.end()))
    }

    /// The text without the credential that goes with each request.
    pub fn scrub(&self, text: &str) -> String {
        scrub(text, self.inner.secret())
    }

    /// Sends a request whose URI is a path and a query, again when it may help, and reads the answer.
    ///
    /// A write that the API answered with success is a success, also when its answer cannot be used.
    /// Dropping the future gives the request up; what it did by then is not known.
    ///
    /// # Errors
    /// When there is no answer, or none of success: see [`ErrorKind`].
    pub async fn send(&self, request: Request<Bytes>) -> Result<Answer, Error> {
        let mut sent = 0;
        let method = effective(&request);
        loop {
            let until = self.until(&method)?;
            let result = self.inner.attempt(&request, until).await;
            sent += 1;
            let error = match result {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let retries = &self.inner.config.retries;
            let pause = retries.pause(&method, &error, sent, chance());
            let in_time = |pause: &Duration| {
                let longest = self.inner.config.timeout;
                self.budget
                    .is_none_or(|budget| budget.has_room(&method, longest, *pause))
            };
            let Some(pause) = pause.filter(in_time) else {
                return Err(error);
            };
            tracing::debug!(
                target: "mcp_gw::admin",
                method = %request.method(),
                path = request.uri().path(),
                attempt = sent,
                kind = error.kind.as_str(),
                "a request failed and is sent again"
            );
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends a request once and takes any answer: redirects are answers too. Of a longer body than
    /// `max_response_bytes` the beginning is kept.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn exchange(&self, request: Request<Bytes>) -> Result<Reading, Error> {
        let inner = &*self.inner;
        let method = effective(&request);
        let until = self.until(&method)?;
        let url = inner.url_of(&request)?;
        let done = effect(&method);
        let response = inner.execute(&request, &url, until, done).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let limit = inner.config.max_response_bytes;
        let (body, is_cut) = inner.beginning(response, until, limit, done).await?;
        Ok(Reading {
            status,
            headers,
            body,
            is_cut,
        })
    }
}

/// What is known of the effect of a request that was sent and not answered.
fn effect(method: &Method) -> Done {
    if method.is_safe() {
        Done::No
    } else {
        Done::Unknown
    }
}

impl Inner {
    fn secret(&self) -> Option<&str> {
        let (_, secret) = self.config.credential.as_ref()?;
        Some(secret.expose())
    }

    fn url_of(&self, request: &Request<Bytes>) -> Result<Url, Error> {
        let url = self.config.base.join(request.uri());
        url.ok_or_else(|| RequestError::Malformed.into())
    }

    async fn attempt(&self, request: &Request<Bytes>, until: Instant) -> Result<Answer, Error> {
        let method = effective(request);
        let done = effect(&method);
        let mut url = self.url_of(request)?;
        let mut hops = 0;
        let response = loop {
            let response = self.execute(request, &url, until, done).await?;
            if !response.status().is_redirection() {
                break response;
            }
            url = self.next_hop(&method, &response, &url, hops)?;
            hops += 1;
        };
        let status = response.status();
        if status.is_success() {
            self.success(&method, response, until, done).await
        } else {
            Err(self.failure(status, response, until, done).await)
        }
    }

    /// Where a redirect leads, if it is one that may be followed.
    fn next_hop(
        &self,
        method: &Method,
        response: &Response,
        from: &Url,
        hops: usize,
    ) -> Result<Url, Error> {
        let status = response.status();
        // 307 and 308 ask for the same request elsewhere; the others are how a server answers that has done it.
        let done = match status {
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => Done::No,
            _ => effect(method),
        };
        let refused = |reason: String| {
            Err(Error::new(ErrorKind::Redirected, reason, done).with_status(status))
        };
        let to = response
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok())
            .and_then(|location| from.join(location).ok());
        let Some(mut to) = to else {
            return refused("it is a redirect to nowhere".to_owned());
        };
        if !self.config.base.is_same_origin(&to) {
            let origin = one_line(&to.origin().ascii_serialization(), 256);
            return refused(format!(
                "it points to {origin}, where the credentials do not follow; \
                 if that is the right address, configure it"
            ));
        }
        if !method.is_safe() {
            return refused("redirects of writes are not followed".to_owned());
        }
        if hops >= HOPS {
            return refused(format!("it leads on after {HOPS} redirects"));
        }
        to.set_fragment(None);
        let _ = (to.set_username(""), to.set_password(None));
        Ok(to)
    }

    async fn execute(
        &self,
        request: &Request<Bytes>,
        url: &Url,
        until: Instant,
        done: Done,
    ) -> Result<Response, Error> {
        let mut headers = request.headers().clone();
        if let Some((name, value)) = &self.credential {
            // Who gets the credential is whom the address names.
            headers.remove(HOST);
            headers.insert(name, value.clone());
        }
        let mut outgoing = self
            .client
            .request(request.method().clone(), url.clone())
            .headers(headers);
        // An empty body says how long it is where one is usual.
        let is_usual = matches!(
            *request.method(),
            Method::POST | Method::PUT | Method::PATCH
        );
        if !request.body().is_empty() {
            outgoing = outgoing.body(request.body().clone());
        } else if is_usual {
            outgoing = outgoing.header(CONTENT_LENGTH, 0);
        }
        let begin = Instant::now();
        match timeout_at(until, outgoing.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.broken(error, done)),
            Err(_) => Err(Self::late(begin, until, done)),
        }
    }

    fn late(begin: Instant, until: Instant, done: Done) -> Error {
        let seconds = until.saturating_duration_since(begin).as_secs_f64();
        // In tenths, but never nothing.
        let seconds = (seconds * 10.0).round().max(1.0) / 10.0;
        let message = format!("no answer within {seconds} s");
        Error::new(ErrorKind::Timeout, message, done)
    }

    fn broken(&self, error: reqwest::Error, done: Done) -> Error {
        let is_unsent = error.is_connect() || error.is_builder();
        let says = chain(error);
        if is_unsent {
            let origin = self.config.base.origin();
            let proxy = self.config.proxy.as_ref();
            let proxy = proxy.and_then(|proxy| proxy_address(proxy.expose()));
            let way = proxy.map_or_else(String::new, |proxy| {
                format!(
                    " through the proxy {}",
                    proxy.origin().ascii_serialization()
                )
            });
            let message = format!("{origin} cannot be reached{way}: {says}");
            Error::new(ErrorKind::Unavailable, message, Done::No)
        } else {
            let what = if says.contains("invalid HTTP") {
                "the answer is no HTTP that can be read"
            } else {
                "the connection broke before the answer was complete"
            };
            let message = format!("{what}: {says}");
            Error::new(ErrorKind::Lost, message, done)
        }
    }

    async fn success(
        &self,
        method: &Method,
        response: Response,
        until: Instant,
        done: Done,
    ) -> Result<Answer, Error> {
        let status = response.status();
        let mut answer = Answer {
            status: status.as_u16(),
            body: None,
            remark: None,
        };
        match self.json(response, until, done).await {
            Ok(body) => {
                if !method.is_safe() {
                    answer.remark = body.as_ref().and_then(|body| self.doubt(status, body));
                }
                answer.body = body;
            }
            Err(mut error) if method.is_safe() => {
                error.done = Done::No;
                return Err(error);
            }
            // A page or a text for people comes with a plain 200 from a login or a proxy: nothing says that the API took
            // the write.
            Err(mut error) if error.kind == ErrorKind::NotJson && is_anybodys(status, &error) => {
                error.done = done;
                return Err(error);
            }
            Err(error) => {
                answer.remark = Some(format!(
                    "It was done ({status}), but the answer to it cannot be used: {}.",
                    error.message
                ));
            }
        }
        Ok(answer)
    }

    /// Why a write that was answered with success may not have been done all the same.
    fn doubt(&self, status: StatusCode, body: &RawJson) -> Option<String> {
        if let Some(says) = Problem::within(body, self.secret()) {
            return Some(format!(
                "The API answered {status}, and yet it says: {says}. It may have been done or not: read the resource \
                 before you try again."
            ));
        }
        (status == StatusCode::ACCEPTED).then(|| {
            "The API has accepted it and may not have done it yet: read the resource.".to_owned()
        })
    }

    async fn json(
        &self,
        response: Response,
        until: Instant,
        done: Done,
    ) -> Result<Option<RawJson>, Error> {
        let status = response.status();
        let limit = self.config.max_response_bytes;
        let (body, is_cut) = self.beginning(response, until, limit, done).await?;
        if is_cut {
            let message = format!("the answer is longer than {limit} bytes");
            return Err(Error::new(ErrorKind::TooLarge, message, Done::No));
        }
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        parsed(body.clone()).await.map(Some).map_err(|error| {
            let head = body.get(..body.len().min(256)).unwrap_or_default();
            let says = Problem::read(head, self.secret()).message;
            let message = if is_html(head) {
                says
            } else {
                let reason = one_line(&error.message, 128);
                format!("the answer is not JSON ({reason}); it begins with: {says}")
            };
            let mut error = Error::new(ErrorKind::NotJson, message, Done::No)
                .with_status(status)
                .with_source(error);
            if !head.trim_ascii_start().starts_with(b"{")
                && !head.trim_ascii_start().starts_with(b"[")
            {
                error.done = Done::Unknown;
            }
            error
        })
    }

    async fn failure(
        &self,
        status: StatusCode,
        response: Response,
        until: Instant,
        done: Done,
    ) -> Error {
        let wait = retry_after(response.headers());
        let kind = ErrorKind::of(status);
        // A server that breaks may have done something first; one that refuses has not.
        let done = match kind {
            ErrorKind::Server
            | ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::NotJson
            | ErrorKind::Redirected => done,
            _ => Done::No,
        };
        // The status says enough: an error that cannot be read to its end is an error all the same.
        let body = self.beginning(response, until, 64 * 1024, done).await;
        let (body, _) = body.unwrap_or_default();
        let problem = Problem::read(&body, self.secret());
        let mut error = Error::new(kind, problem.message, done).with_status(status);
        error.code = problem.code;
        error.retry_after = wait;
        error
    }

    /// The body, and whether there is more of it than `limit` bytes.
    async fn beginning(
        &self,
        mut response: Response,
        until: Instant,
        limit: usize,
        done: Done,
    ) -> Result<(Bytes, bool), Error> {
        let mut all = BytesMut::new();
        let begin = Instant::now();
        loop {
            let chunk = match timeout_at(until, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok((all.freeze(), false)),
                Ok(Err(error)) => return Err(self.broken(error, done)),
                Err(_) => return Err(Self::late(begin, until, done)),
            };
            let room = limit.saturating_sub(all.len());
            all.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
            if chunk.len() > room {
                return Ok((all.freeze(), true));
            }
        }
    }
}

/// Longer answers are read where they hold up nobody else.
const LARGE: usize = 256 * 1024;

async fn parsed(body: Bytes) -> Result<RawJson, JsonError> {
    if body.len() <= LARGE {
        return RawJson::parse(body);
    }
    let other = body.clone();
    match tokio::task::spawn_blocking(move || RawJson::parse(other)).await {
        Ok(parsed) => parsed,
        Err(_) => RawJson::parse(body),
    }
}

/// Whether an answer that is no JSON may be from anybody, and not from the API: it does not even begin like JSON, and the
/// status is one that any page has.
fn is_anybodys(status: StatusCode, error: &Error) -> bool {
    let is_usual = matches!(
        status,
        StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NON_AUTHORITATIVE_INFORMATION
    );
    is_usual && error.done == Done::Unknown
}

fn is_html(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

fn client(config: &TransportConfig) -> Result<Client, TransportError> {
    let tls = config.trust.client_config(config.base.is_https())?;
    let agent = HeaderValue::from_str(&config.user_agent).map_err(|_| TransportError::UserAgent)?;
    let mut builder = Client::builder()
        .user_agent(agent)
        .tls_backend_preconfigured(tls)
        .connect_timeout(config.connect_timeout)
        .tcp_nodelay(true)
        .no_proxy()
        .redirect(redirect::Policy::none());
    if let Some(proxy) = &config.proxy {
        let address = proxy_address(proxy.expose()).ok_or(TransportError::Proxy)?;
        let proxy = Proxy::all(address).map_err(|_| TransportError::Proxy)?;
        builder = builder.proxy(proxy);
    }
    builder
        .build()
        .map_err(|error| TransportError::Client(error.into()))
}

/// The address of a proxy, if it is one that can be gone through.
fn proxy_address(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    let is_plain =
        matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let is_known = matches!(url.scheme(), "http" | "https");
    (is_known && is_plain && url.has_host()).then_some(url)
}

/// An error and what it comes from, in one line without the address.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        out.push_str(": ");
        out.push_str(&inner.to_string());
        source = inner.source();
    }
    one_line(&out, 512)
}
