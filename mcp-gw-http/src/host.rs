//! From a configuration to a server that listens, and to its end.

use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use mcp_gw_server::Running;
use mcp_gw_server::cli::Stop;
use mcp_gw_server::config::{Config, ForwardedName, HttpConfig as HttpSection};
use mcp_gw_server::registry::Registry;
use tokio::net::TcpListener;

use crate::cli::say;
use crate::guard::Guard;
use crate::managed;
use crate::proxies::{ForwardedHeader, TrustedProxies};
use crate::router::{HttpConfig, router_for};
use crate::serve::serve_at;

/// How long answers may take to reach clients, and servers to end, once nothing more is waited for.
const FLUSH: Duration = Duration::from_secs(1);

/// Binds the configured address.
pub(crate) async fn listen(http: &HttpSection) -> anyhow::Result<TcpListener> {
    use std::io::ErrorKind;

    let address = http
        .listen_address()
        .context("`http.listen` is not an address with a port")?;
    TcpListener::bind(address).await.map_err(|error| {
        let next = match error.kind() {
            ErrorKind::AddrInUse => {
                "something else listens there: stop it, or choose another port with --listen (port \
                 0 takes a free one)"
            }
            ErrorKind::AddrNotAvailable => "this machine does not have that address",
            ErrorKind::PermissionDenied => "choose a port from 1024 on",
            _ => "check `http.listen`",
        };
        anyhow::anyhow!("cannot listen on {address}: {error}; {next}")
    })
}

/// Serves until told to stop.
pub(crate) async fn serve_until(
    listener: TcpListener,
    running: &Running,
    registry: Option<&Registry>,
    config: &Config,
    stop: &Stop,
) -> anyhow::Result<()> {
    let (address, engine) = (listener.local_addr()?, running.engine());
    say(&format!(
        "listening on http://{address}{}",
        config.http.path
    ));
    let http = settings(config)?.with_inbound(running.inbound());
    let path = &*config.http.path;
    let endpoints = (path, engine.clone(), http.clone());
    let mcp = router_for(engine.clone(), http.clone());
    let app = match registry {
        None => mount(path, mcp),
        Some(registry) => {
            say(&format!(
                "management API at http://{address}, described at /docs"
            ));
            let routes = managed::routes(running, registry, config, http, mcp);
            routes.context("the management API has no database")?
        }
    };
    let (gently, ending) = (stop.gently.clone(), engine.clone());
    let until = async move {
        gently.cancelled().await;
        // Clients that only listen would keep the end from coming.
        ending.wind_down();
        // On a thread of its own: nobody may be reading, and the end must not wait for a reader.
        std::thread::spawn(|| {
            say("stopping when open calls have ended; press Ctrl-C again to stop at once");
        });
    };
    let grace = config.http.shutdown_grace.get();
    let serving = async {
        serve_at(listener, endpoints, app, until, grace + FLUSH).await?;
        engine.idle().await;
        Ok(())
    };
    // What has not ended in time is answered with an error, and that takes a moment.
    let cut = async {
        stop.gently.cancelled().await;
        tokio::select! {
            () = tokio::time::sleep(grace) => {}
            () = stop.now.cancelled() => {}
        }
        engine.stop();
        tokio::time::sleep(FLUSH).await;
    };
    tokio::select! {
        result = serving => result,
        () = cut => Ok(()),
    }
}

/// Ends the servers behind. Whoever says it twice does not wait for one that does not end by
/// itself: it is killed with the runtime.
pub(crate) async fn shut_down(running: Running, stop: &Stop) {
    let impatient = async {
        stop.now.cancelled().await;
        tokio::time::sleep(FLUSH).await;
    };
    tokio::select! {
        () = running.shutdown() => {}
        () = impatient => {}
    }
}

/// The endpoints at `path`; whoever asks for another one is told it.
fn mount(path: &str, router: Router) -> Router {
    match path.trim_end_matches('/') {
        "" => router,
        path => {
            let says = format!("Not found: the MCP endpoint is `{path}`.\n");
            // As a service, so that a slash behind the path leads here too.
            Router::new()
                .nest_service(path, router)
                .fallback(async move || (StatusCode::NOT_FOUND, says))
        }
    }
}

fn settings(config: &Config) -> anyhow::Result<HttpConfig> {
    let http = &config.http;
    let mut guard = Guard::new().with_host(&http.listen);
    for host in &http.allowed_hosts {
        guard = guard.with_host(host);
    }
    for origin in &http.allowed_origins {
        guard = guard.with_origin(origin);
    }
    let is_loopback = http
        .listen_address()
        .is_some_and(|address| address.ip().is_loopback());
    if !is_loopback && http.allowed_hosts.is_empty() {
        // Reached by names that it cannot know. Where every call needs a key, that is what protects
        // it; elsewhere a page of another site could have its own name resolve here, but no address.
        let is_keyed = config.is_keyed();
        guard = if is_keyed {
            guard.with_any_host()
        } else {
            guard.with_any_address()
        };
    }
    let limit = usize::try_from(http.max_body_size.bytes()).unwrap_or(usize::MAX);
    let header = match http.forwarded_header {
        ForwardedName::Forwarded => ForwardedHeader::Forwarded,
        _ => ForwardedHeader::XForwardedFor,
    };
    let mut proxies = TrustedProxies::new().with_header(header);
    for network in &http.trusted_proxies {
        proxies = proxies.with_network(network)?;
    }
    Ok(HttpConfig::default()
        .with_guard(guard)
        .with_proxies(proxies)
        .with_max_body_bytes(limit))
}
