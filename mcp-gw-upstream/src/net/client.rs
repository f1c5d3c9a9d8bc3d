//! The HTTP client under everything that is sent: HTTP/1.1 on kept connections, plain or with TLS, never
//! through a proxy, never after a redirect.

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, USER_AGENT,
};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Body as _, Frame, Incoming};
use tokio::time::timeout;
use url::Url;

use crate::net::connect::{BoxError, Connector, TooSlow};
use crate::net::lane::Lane;
use crate::net::pool::{Origin, Pool};

/// So many connections are kept for the next requests; more are closed when their request has ended.
const IDLE_CONNECTIONS: usize = 256;

/// Sends requests. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Arc<Pool>,
    agent: HeaderValue,
}

impl Client {
    pub(crate) fn new(connector: Connector, agent: HeaderValue) -> Self {
        Self::over(connector, agent, IDLE_CONNECTIONS)
    }

    /// Sends on what `connector` opens, and keeps so many connections for the next requests.
    pub(crate) fn over(connector: Connector, agent: HeaderValue, idle: usize) -> Self {
        let pool = Pool::new(connector, idle);
        Self { pool, agent }
    }

    /// A request without a body.
    pub(crate) fn request(&self, method: Method, address: &Address) -> Outgoing {
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() = address.target.clone();
        let headers = request.headers_mut();
        headers.reserve(16);
        headers.insert(USER_AGENT, self.agent.clone());
        Outgoing {
            pool: Arc::clone(&self.pool),
            address: address.clone(),
            request,
            limit: None,
        }
    }
}

/// Where requests go, prepared for them. A cheap clone.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    uri: Uri,
    origin: Arc<Origin>,
    /// `Host` (RFC 9110 §7.2): the port only where it is not the usual one.
    host: HeaderValue,
    /// Path and query (RFC 9112 §3.2.1).
    target: Uri,
}

impl Address {
    /// The address in the form that requests have it in; `None` when it cannot be requested.
    pub(crate) fn new(uri: Uri) -> Option<Self> {
        let scheme = uri.scheme()?.clone();
        let authority = uri.authority()?.clone();
        let usual = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let host = match authority.port_u16() {
            Some(port) if port != usual => format!("{}:{port}", authority.host()),
            _ => authority.host().to_owned(),
        };
        let slash = PathAndQuery::from_static("/");
        let target = uri.path_and_query().cloned().unwrap_or(slash);
        Some(Self {
            host: HeaderValue::try_from(host).ok()?,
            target: Uri::from(target),
            origin: Arc::new(Origin { scheme, authority }),
            uri,
        })
    }

    pub(crate) const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// That of a URL.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        Self::new(Uri::try_from(url.as_str()).ok()?)
    }
}

/// A request that was not sent yet.
pub(crate) struct Outgoing {
    pool: Arc<Pool>,
    address: Address,
    request: Request<Full<Bytes>>,
    limit: Option<Duration>,
}

impl Outgoing {
    /// With this header, in the place of others of its name.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.request.headers_mut().insert(name, value);
        self
    }

    /// With these headers, each in the place of others of its name.
    pub(crate) fn headers(mut self, headers: &HeaderMap) -> Self {
        let all = self.request.headers_mut();
        for name in headers.keys() {
            let mut values = headers.get_all(name).iter();
            if let Some(first) = values.next() {
                all.insert(name.clone(), first.clone());
            }
            for further in values {
                all.append(name.clone(), further.clone());
            }
        }
        self
    }

    pub(crate) fn body(mut self, body: Bytes) -> Self {
        *self.request.body_mut() = Full::new(body);
        self
    }

    /// The head of the response must be there within this time.
    pub(crate) fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sends it, and waits for the head of the response. Whoever gives up before closes the connection.
    pub(crate) async fn send(mut self) -> Result<Response, Error> {
        let headers = self.request.headers_mut();
        if !headers.contains_key(HOST) {
            headers.insert(HOST, self.address.host.clone());
        }
        // Where it stands it stays: each move of what waits would take its whole length anew.
        let sent = pin!(exchange(self.pool, self.address, self.request));
        match self.limit {
            None => sent.await,
            Some(limit) => timeout(limit, sent)
                .await
                .unwrap_or(Err(Error::Late(limit))),
        }
    }
}

async fn exchange(
    pool: Arc<Pool>,
    address: Address,
    mut request: Request<Full<Bytes>>,
) -> Result<Response, Error> {
    loop {
        let kept = pool.kept(&address.origin);
        let is_new = kept.is_none();
        let mut lane = match kept {
            Some(lane) => lane,
            None => Box::pin(pool.open(&address)).await?,
        };
        match lane.ask(request).await {
            Ok(head) => return Ok(Response::new(head, lane, pool, address.origin)),
            Err(mut error) => match error.take_message() {
                // The server had closed it, and nothing was sent.
                Some(unsent) if !is_new => request = unsent,
                Some(_) => return Err(Error::Connect(error.into_error().into())),
                None => return Err(Error::Send(error.into_error())),
            },
        }
    }
}

/// True when a response has no body (RFC 9112 §6.3) and says that it has one: where it comes nevertheless the
/// next request on this connection would read it as its answer.
fn may_have_a_wrong_body(response: &http::Response<Incoming>) -> bool {
    let has_none = matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    let length = response.headers().get(CONTENT_LENGTH);
    has_none
        && (length.is_some_and(|length| length != "0")
            || response.headers().contains_key(TRANSFER_ENCODING))
}

/// The head of a response, and the body as it comes. Whoever drops it before the end of the body closes the
/// connection, as there is no other way in HTTP/1.1 to say that the rest is of no use.
pub(crate) struct Response {
    head: http::Response<Incoming>,
    /// What the body comes on, until it has ended.
    lane: Option<Lane>,
    pool: Arc<Pool>,
    origin: Arc<Origin>,
}

impl Response {
    fn new(
        head: http::Response<Incoming>,
        lane: Lane,
        pool: Arc<Pool>,
        origin: Arc<Origin>,
    ) -> Self {
        let is_of_use = !may_have_a_wrong_body(&head);
        let mut response = Self {
            head,
            lane: is_of_use.then_some(lane),
            pool,
            origin,
        };
        response.end_at_end();
        response
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.head.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }

    /// How long the body will be, where that was said.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.head.body().size_hint().exact()
    }

    /// The next piece of the body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            let body = self.head.body_mut();
            let mut frame = |cx: &mut Context<'_>| Pin::new(&mut *body).poll_frame(cx);
            let frame = match &mut self.lane {
                Some(lane) => lane.poll_more(cx, frame),
                None => frame(cx),
            };
            let said = match frame {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => Ok(None),
                Poll::Ready(Some(Err(error))) => Err(Error::Body(error)),
                Poll::Ready(Some(Ok(frame))) => match Frame::into_data(frame) {
                    Ok(data) => Ok(Some(data)),
                    Err(_) => continue,
                },
            };
            if matches!(said, Ok(Some(_))) {
                self.end_at_end();
            } else {
                self.end();
            }
            return Poll::Ready(said);
        }
    }

    fn end_at_end(&mut self) {
        if self.head.body().is_end_stream() {
            self.end();
        }
    }

    /// Has the connection serve the next request, if it can.
    fn end(&mut self) {
        if let Some(lane) = self.lane.take() {
            self.pool.keep(&self.origin, lane);
        }
    }
}

impl Drop for Response {
    /// The end of a body that nobody wants to read may be there already.
    fn drop(&mut self) {
        if self.lane.is_some() {
            let _ = self.poll_chunk(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// Why there is no response, or not all of it.
#[derive(Debug)]
pub(crate) enum Error {
    /// No connection, or none that it could be sent on: nothing was sent.
    Connect(BoxError),
    /// The connection broke, or what came on it is no response.
    Send(hyper::Error),
    /// The response did not begin within this time.
    Late(Duration),
    /// The body broke off.
    Body(hyper::Error),
}

impl Error {
    /// True when there was no connection, so that nothing was sent.
    pub(crate) const fn is_connect(&self) -> bool {
        matches!(self, Self::Connect(_))
    }

    /// True when it took too long.
    pub(crate) fn is_timeout(&self) -> bool {
        let mut source = match self {
            Self::Late(_) => return true,
            error => error.source(),
        };
        while let Some(error) = source {
            let of_system = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if error.is::<TooSlow>() || of_system == Some(io::ErrorKind::TimedOut) {
                return true;
            }
            source = error.source();
        }
        false
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(_) => f.write_str("no connection"),
            Self::Send(_) => f.write_str("the request failed"),
            Self::Late(limit) => write!(f, "no response within {limit:?}"),
            Self::Body(_) => f.write_str("the response broke off"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Connect(error) => Some(&**error),
            Self::Send(error) | Self::Body(error) => Some(error),
            Self::Late(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
