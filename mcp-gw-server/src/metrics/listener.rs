//! The listener at which metrics are read. It is one of its own, so that they are never where clients
//! are.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Metrics;
use super::answer::Endpoint;
use crate::config::{KeyError, MetricsConfig};

/// As many connections are served at a time; the next ones wait.
const MAX_CONNECTIONS: usize = 16;
/// The head of a request must be there within this time,
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// and the answer read within this: whoever stalls gives way to others.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// What an open scrape has left when the end has come.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long to wait after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves [`Metrics`] where the configuration says; nowhere at first. Dropping it ends that.
#[derive(Debug)]
pub struct MetricsListener {
    metrics: Metrics,
    open: Option<Open>,
}

/// A listener that is open.
#[derive(Debug)]
struct Open {
    /// As configured; the port may be 0.
    listen: SocketAddr,
    address: SocketAddr,
    endpoint: watch::Sender<Arc<Endpoint>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Why metrics are not served as the configuration says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsListenerError {
    /// The address is none.
    #[error("`metrics.listen` is not an IP address with a port, such as `127.0.0.1:9464`")]
    Address,
    /// Everybody could read them.
    #[error(
        "metrics on {address} could be read by everybody: add `metrics.token`, listen on \
         `127.0.0.1`, or say `metrics.insecure: true`"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// The token cannot be had.
    #[error("the token for metrics cannot be used")]
    Token(#[source] KeyError),
    /// The address cannot be listened on.
    #[error("metrics cannot be served on {address}: {source}; {}", help(source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
}

fn help(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "something else listens there: stop it, or choose another port in `metrics.listen`"
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        io::ErrorKind::PermissionDenied => "choose a port from 1024 on",
        _ => "check `metrics.listen`",
    }
}

impl MetricsListener {
    /// Serves nothing yet.
    pub const fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            open: None,
        }
    }

    /// Serves as `config` says from now on, in the current tokio runtime, and gives the address; `None`
    /// when it says that metrics are not served. At the same address no connection is refused meanwhile.
    ///
    /// # Errors
    /// When that cannot be. Everything is as it was then. An address that the file could not choose,
    /// that of API Gateway MCP, may be taken: then there is a warning, and no metrics are served.
    pub async fn apply(
        &mut self,
        config: &MetricsConfig,
    ) -> Result<Option<SocketAddr>, MetricsListenerError> {
        let Some((listen, endpoint)) = settings(config)? else {
            self.close().await;
            return Ok(None);
        };
        let endpoint = Arc::new(endpoint);
        if let Some(open) = self.open.as_ref().filter(|open| open.listen == listen) {
            open.endpoint.send_replace(endpoint);
            return Ok(Some(open.address));
        }
        let fault = |source| MetricsListenerError::Bind {
            address: listen,
            source,
        };
        let listener = match TcpListener::bind(listen).await {
            Ok(listener) => listener,
            Err(error) if config.is_optional => {
                tracing::warn!(
                    "metrics are not served: this machine cannot listen on {listen}: {error}; \
                     another gateway may serve its own there: stop it and start this one again"
                );
                self.close().await;
                return Ok(None);
            }
            Err(error) => return Err(fault(error)),
        };
        let address = listener.local_addr().map_err(fault)?;
        let (sender, receiver) = watch::channel(endpoint);
        let stop = CancellationToken::new();
        let serving = serve(listener, self.metrics.clone(), receiver, stop.clone());
        let open = Open {
            listen,
            address,
            endpoint: sender,
            stop,
            task: tokio::spawn(serving),
        };
        self.close().await;
        self.open = Some(open);
        Ok(Some(address))
    }

    /// Takes no more connections, and lets those end that are open; they have a moment.
    pub async fn shutdown(mut self) {
        self.close().await;
    }

    async fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.stop.cancel();
            let _ = (&mut open.task).await;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn settings(
    config: &MetricsConfig,
) -> Result<Option<(SocketAddr, Endpoint)>, MetricsListenerError> {
    if config.listen.is_none() {
        return Ok(None);
    }
    let address = config.listen_address();
    let address = address.ok_or(MetricsListenerError::Address)?;
    let token = config.token_sha256().map_err(MetricsListenerError::Token)?;
    let is_loopback = address.ip().is_loopback();
    if !is_loopback && token.is_none() && !config.insecure {
        return Err(MetricsListenerError::Exposed { address });
    }
    let endpoint = Endpoint {
        path: config.path.clone(),
        guards_host: is_loopback && token.is_none(),
        token,
    };
    Ok(Some((address, endpoint)))
}

async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    endpoint: watch::Receiver<Arc<Endpoint>>,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let accepting = async {
        while let Ok(place) = Arc::clone(&room).acquire_owned().await {
            let stream = accept(&listener).await;
            while connections.try_join_next().is_some() {}
            let (endpoint, metrics) = (endpoint.borrow().clone(), metrics.clone());
            connections.spawn(async move {
                answer(stream, &endpoint, &metrics).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = accepting => {}
    }
    drop(listener);
    // Dropped at the end, and every connection with it.
    let ending = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(LAST_WORDS, ending).await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "a connection for metrics cannot be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Answers one request: who scrapes comes again in a while, and must not hold a place until then.
async fn answer(stream: TcpStream, endpoint: &Endpoint, metrics: &Metrics) {
    let service = service_fn(|request: Request<Incoming>| {
        let (head, _) = request.into_parts();
        std::future::ready(Ok::<_, Infallible>(endpoint.answer(metrics, &head)))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(ANSWER_WITHIN, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for metrics failed"),
        Err(_) => tracing::debug!("a connection for metrics stalled"),
    }
}

#[cfg(test)]
mod tests;
