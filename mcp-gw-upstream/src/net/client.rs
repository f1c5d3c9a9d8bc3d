//! The HTTP client under everything that is sent: HTTP/1.1 on kept connections, plain or with TLS, never
//! through a proxy, never after a redirect.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, USER_AGENT,
};
use http::{Extensions, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::client::legacy::{Client as Pool, Error as PoolError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{sleep, timeout};
use url::Url;

use crate::net::connect::{Connector, Pulse, TooSlow};

/// So many connections are kept for the next requests; more are closed when their request has ended.
const IDLE_CONNECTIONS: usize = 256;
/// After so long without a request a connection is closed.
const IDLE: Duration = Duration::from_secs(90);
/// How often it is looked whether a request can still be answered.
const LOOK: Duration = Duration::from_secs(1);

/// Sends requests. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Pool<Connector, Full<Bytes>>,
    agent: HeaderValue,
}

impl Client {
    pub(crate) fn new(connector: Connector, agent: HeaderValue) -> Self {
        Self::over(connector, agent, IDLE_CONNECTIONS)
    }

    /// Sends on what `connector` opens, and keeps so many connections for the next requests.
    pub(crate) fn over(connector: Connector, agent: HeaderValue, idle: usize) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(idle)
            .build(connector);
        Self { pool, agent }
    }

    /// A request without a body.
    pub(crate) fn request(&self, method: Method, address: &Uri) -> Outgoing {
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() = address.clone();
        let headers = request.headers_mut();
        headers.reserve(16);
        headers.insert(USER_AGENT, self.agent.clone());
        Outgoing {
            pool: self.pool.clone(),
            request,
            limit: None,
        }
    }
}

/// The address in the form that a request has it in; `None` when it cannot be requested.
pub(crate) fn address(url: &Url) -> Option<Uri> {
    Uri::try_from(url.as_str()).ok()
}

/// A request that was not sent yet.
pub(crate) struct Outgoing {
    pool: Pool<Connector, Full<Bytes>>,
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

    /// Sends it, and waits for the head of the response.
    pub(crate) async fn send(self) -> Result<Response, Error> {
        match self.limit {
            None => exchange(self.pool, self.request).await,
            Some(limit) => timeout(limit, exchange(self.pool, self.request))
                .await
                .unwrap_or(Err(Error::Late(limit))),
        }
    }
}

async fn exchange(
    pool: Pool<Connector, Full<Bytes>>,
    mut request: Request<Full<Bytes>>,
) -> Result<Response, Error> {
    let captured = capture_connection(&mut request);
    let response = pool.request(request);
    match unless_forgotten(response, || ended_connection(&captured)).await {
        Some(Ok(response)) => {
            if let Some(connection) = &*captured.connection_metadata()
                && may_have_a_wrong_body(&response)
            {
                connection.poison();
            }
            Ok(Response(response))
        }
        Some(Err(error)) => Err(Error::Send(error)),
        None => Err(Error::Forgotten),
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

/// Waits for what is asked on a connection; `None` when nobody is left who could answer.
///
/// A request that is handed to a connection in the instant in which that ends can be left lying there,
/// neither sent nor failed. So it is looked from time to time whether the connection is still there.
async fn unless_forgotten<T>(
    response: impl Future<Output = T>,
    ended: impl Fn() -> Option<Pulse>,
) -> Option<T> {
    let mut response = pin!(response);
    let mut before: Option<Pulse> = None;
    loop {
        tokio::select! {
            biased;
            response = &mut response => return Some(response),
            () = sleep(LOOK) => {}
        }
        let now = ended();
        // Whatever was really sent on it has failed in the meantime.
        if let (Some(before), Some(now)) = (&before, &now)
            && before.0.same_channel(&now.0)
        {
            return None;
        }
        before = now;
    }
}

/// The connection that a request was last given to, if that has ended.
fn ended_connection(captured: &CaptureConnection) -> Option<Pulse> {
    let mut extras = Extensions::new();
    captured
        .connection_metadata()
        .as_ref()?
        .get_extras(&mut extras);
    let pulse: Pulse = extras.remove()?;
    pulse.0.has_changed().is_err().then_some(pulse)
}

/// The head of a response, and the body as it comes.
pub(crate) struct Response(http::Response<Incoming>);

impl Response {
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// How long the body will be, where that was said.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.0.body().size_hint().exact()
    }

    /// The next piece of the body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.0.body_mut().frame().await {
            if let Ok(data) = frame.map_err(Error::Body)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// Why there is no response, or not all of it.
#[derive(Debug)]
pub(crate) enum Error {
    /// No connection, or none that it could be sent on, or that broke.
    Send(PoolError),
    /// The connection ended, and nobody has said what became of the request.
    Forgotten,
    /// The response did not begin within this time.
    Late(Duration),
    /// The body broke off.
    Body(hyper::Error),
}

impl Error {
    /// True when there was no connection, so that nothing was sent.
    pub(crate) fn is_connect(&self) -> bool {
        matches!(self, Self::Send(error) if error.is_connect())
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
            Self::Send(error) if error.is_connect() => f.write_str("no connection"),
            Self::Send(_) => f.write_str("the request failed"),
            Self::Forgotten => f.write_str("the connection ended before an answer"),
            Self::Late(limit) => write!(f, "no response within {limit:?}"),
            Self::Body(_) => f.write_str("the response broke off"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Send(error) => Some(error),
            Self::Body(error) => Some(error),
            Self::Forgotten | Self::Late(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
