//! A listener, a router and an end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use mcp_gw_server::Engine;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::direct::Direct;
use crate::router::HttpConfig;

/// A connection that takes longer to send the headers of a request is closed, so that idle or slow
/// clients cannot hold connections for ever.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);

/// Serves `router` on `listener` until `stop` resolves, then lets open requests end for `grace` and
/// drops what is left. Handlers find the client's address as [`ConnectInfo`].
///
/// # Errors
/// When the listener's address cannot be had; a connection that fails is logged and forgotten.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
) -> std::io::Result<()> {
    let answer = move |request| router.clone().oneshot(request);
    serve_each(listener, answer, stop, grace).await
}

/// The same for the endpoints of `engine` at `path`, and `rest` for everything else: what
/// [`router_for`](crate::router_for) nested at `path` in `rest` does, in less time. `rest` must lead to them, too, as
/// requests of browsers go there.
///
/// # Errors
/// As of [`serve`].
pub async fn serve_at(
    listener: TcpListener,
    (path, engine, config): (&str, Engine, HttpConfig),
    rest: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
) -> std::io::Result<()> {
    let direct = Direct::new(path, engine, config, rest);
    let answer = move |request| direct.clone().answer(request);
    serve_each(listener, answer, stop, grace).await
}

async fn serve_each<A>(
    listener: TcpListener,
    answer: impl Fn(Request<Body>) -> A + Clone + Send + 'static,
    stop: impl Future<Output = ()>,
    grace: Duration,
) -> std::io::Result<()>
where
    A: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let mut server = Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEADERS_WITHIN);
    let open = GracefulShutdown::new();
    // Dropped at the end, and every connection with it.
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener) => accepted,
        };
        while connections.try_join_next().is_some() {}
        let answer = answer.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            answer(request.map(Body::new))
        });
        let io = TokioIo::new(stream);
        let connection = server.serve_connection(io, service).into_owned();
        let watched = open.watch(connection);
        connections.spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, %peer, "a connection failed");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, open.shutdown()).await.is_err() {
        tracing::info!("some requests did not end in time and are dropped");
    }
    Ok(())
}

/// The next connection. What goes wrong before there is one concerns that connection alone, or
/// passes: too many open files, for example.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Without this every small event of a stream waits for the client's delayed
                // acknowledgement.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY cannot be set");
                }
                return (stream, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
