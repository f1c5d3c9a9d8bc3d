//! A real server on a real port that goes away and comes back under load.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::routing::post;
use mcp_gw_core::{Backend as _, SystemClock};
use mcp_gw_upstream::{BalanceConfig, Balanced, HttpServer, HttpServerConfig, Replica};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::fake::{call, ctx};
use crate::support::call as tool_call;

const TOOLS: &str = r#"{"tools":[
    {"name":"look","inputSchema":{},"annotations":{"readOnlyHint":true}},
    {"name":"change","inputSchema":{}}]}"#;

fn answer(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    let result = match body["method"].as_str().unwrap() {
        "server/discover" => r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}"#,
        "tools/list" => TOOLS,
        _ => r#"{"content":[{"type":"text","text":"a"}]}"#,
    };
    format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#,
        body["id"]
    )
}

/// A server with a runtime of its own: dropping it cuts all of its connections.
fn serve(address: SocketAddr) -> (Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let bound = std::thread::scope(|scope| {
        // The one before may still be on its way out.
        let bind = || loop {
            match runtime.block_on(TcpListener::bind(address)) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => std::thread::yield_now(),
                bound => break bound.unwrap(),
            }
        };
        scope.spawn(bind).join().unwrap()
    });
    let address = bound.local_addr().unwrap();
    let json = [("content-type", "application/json")];
    let app = Router::new().route("/", post(async move |body: String| (json, answer(&body))));
    runtime.spawn(async move { axum::serve(bound, app).await });
    (runtime, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_restarts_under_load_lose_no_call_that_may_be_made_twice() {
    let (mut server, address) = serve("127.0.0.1:0".parse().unwrap());
    let config = HttpServerConfig::new("up", format!("http://{address}/"));
    let replica = Replica::new("a", Arc::new(HttpServer::new(&config).unwrap()));
    let clock = Arc::new(SystemClock::new());
    let backend = Balanced::new(BalanceConfig::new("up"), vec![replica], clock).unwrap();
    let backend = Arc::new(backend);
    backend.offer().await.unwrap();

    let (stop, calls) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (backend, stop, calls) =
                (Arc::clone(&backend), Arc::clone(&stop), Arc::clone(&calls));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    call(&backend, "look").await.unwrap();
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..50 {
        let before = calls.load(Ordering::Relaxed);
        while calls.load(Ordering::Relaxed) < before + 50 {
            tokio::task::yield_now().await;
        }
        server.shutdown_background();
        // One that comes while it is away.
        let away = tokio::spawn({
            let backend = Arc::clone(&backend);
            async move {
                backend
                    .call_tool(&ctx("bob"), tool_call("look", "{}"))
                    .await
            }
        });
        (server, _) = serve(address);
        away.await.unwrap().unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    server.shutdown_background();
}
