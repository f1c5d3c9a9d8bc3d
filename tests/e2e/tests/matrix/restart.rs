//! A server that is restarted again and again under load: no call is lost that may be repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::client::Client;
use crate::front::{Front, Gateway, LIMIT, Upstream, first, lines, spawn};

const RESTARTS: usize = 50;
const CLIENTS: usize = 4;
/// So many calls succeed between two restarts at least.
const BETWEEN: usize = 8;

/// Calls that go on until they are told to stop, and what became of them.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    done: AtomicUsize,
    more: tokio::sync::Notify,
    failed: std::sync::Mutex<Vec<Value>>,
}

impl Load {
    async fn run(&self, client: Client) {
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.done.fetch_add(1, Ordering::Relaxed);
            let params = json!({ "name": "echo", "arguments": { "n": number } });
            let outcome = client.ask("tools/call", params).await;
            if outcome.answer["result"]["structuredContent"]["n"] != number {
                self.failed.lock().unwrap().push(outcome.answer);
            }
            self.more.notify_one();
        }
    }

    /// Waits until so many calls more have ended.
    async fn advance(&self, count: usize) {
        let target = self.done.load(Ordering::Relaxed) + count;
        let wait = async {
            while self.done.load(Ordering::Relaxed) < target {
                self.more.notified().await;
            }
        };
        timeout(LIMIT, wait).await.expect("calls go on");
    }
}

async fn under_load(gateway: &Gateway, revision: &'static str, mut restart: impl AsyncFnMut()) {
    let load = Arc::new(Load::default());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let client = Client::open(gateway, revision, false).await;
        let load = Arc::clone(&load);
        tasks.spawn(async move { load.run(client).await });
    }
    for _ in 0..RESTARTS {
        load.advance(BETWEEN).await;
        restart().await;
    }
    load.advance(BETWEEN).await;
    load.is_over.store(true, Ordering::Relaxed);
    timeout(LIMIT, tasks.join_all()).await.expect("calls end");
    let failed = load.failed.lock().unwrap();
    let (count, done) = (failed.len(), load.done.load(Ordering::Relaxed));
    assert_eq!(count, 0, "of {done} calls: {:?}", failed.first());
}

async fn over_http(server: &'static str, revision: &'static str) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let upstream = Upstream {
        revision: server,
        is_http: true,
    };
    let mut gateway = Front::Http.start(upstream).await;
    let mut child = gateway.processes.remove(0);
    let port = gateway.upstream_port();
    under_load(&gateway, revision, async || {
        child.kill().await.unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_full-server"));
        child = spawn(command.args([server, &format!("--http={port}")]));
        first(lines(child.stdout.take().unwrap()), "http://").await;
    })
    .await;
}

#[tokio::test]
async fn restarts_of_a_server_of_2026_07_28_lose_nothing() {
    over_http("2026-07-28", "2026-07-28").await;
}

#[tokio::test]
async fn restarts_of_a_server_with_sessions_lose_nothing() {
    over_http("2025-11-25", "2025-11-25").await;
}
