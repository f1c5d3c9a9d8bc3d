//! The client of the management API, over loopback, against that API and against servers that answer badly.
#![cfg(test)]

mod hostile;
mod operations;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use mcp_gw_core::{AllowAll, CallContext, Gateway, SystemClock, ToolError, TypedTool};
use mcp_gw_http::client::{Client, Credentials, TransportConfig};
use mcp_gw_http::{HttpConfig, ManagementApi, router, router_for, serve};
use mcp_gw_server::Launch;
use mcp_gw_server::config::Config;
use mcp_gw_server::identity::Management;
use mcp_gw_server::registry::{Registry, RegistryOptions};
use mcp_gw_server::store::{MemoryStore, Store};
use serde::Deserialize;
use tokio::net::TcpListener;

const PASSWORD: &str = "a long password + of a test & more";

/// Method and path of each request that came, with the `Authorization` of each.
type Seen = Arc<Mutex<Vec<(String, String, String)>>>;

/// A gateway with its management API, which runs until the test ends.
struct World {
    url: String,
    seen: Seen,
}

impl World {
    async fn start() -> Self {
        let text = format!(
            "policy: {{ default: allow }}\nmanagement: {{ admin_password: '{PASSWORD}' }}\n"
        );
        let config = Config::load("test.yaml", &text, &|_| None).unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let clock = Arc::new(SystemClock::new());
        let section = config.management.clone().unwrap();
        let opened = Management::with_store(&section, Arc::clone(&store), clock);
        let management = opened.await.unwrap();
        let launch = Launch::new().with_management(management.clone());
        let running = launch.start(&config).unwrap();
        let mut options = RegistryOptions::new();
        options.addresses = options.addresses.with_private(true);
        let registry = Registry::start(&running, store, options).await.unwrap();
        let engine = running.engine().clone();
        let mcp = router_for(engine.clone(), HttpConfig::default());
        let app = ManagementApi::new(engine, management.identity().clone(), registry)
            .router_with_mcp("/mcp", mcp);
        let seen = Seen::default();
        let note = Arc::clone(&seen);
        let app = app.layer(from_fn(move |request: Request, next: Next| {
            let header = request.headers().get("authorization");
            let header = header.map_or("", |value| value.to_str().unwrap());
            note.lock().unwrap().push((
                request.method().to_string(),
                request.uri().path().to_owned(),
                header.to_owned(),
            ));
            next.run(request)
        }));
        let url = start(app).await;
        // What runs is kept until the process ends.
        std::mem::forget(running);
        Self { url, seen }
    }

    fn client(&self, credentials: Credentials) -> Client {
        client(&self.url, credentials)
    }

    fn admin(&self) -> Client {
        self.client(Credentials::password("admin", PASSWORD))
    }

    fn count(&self, path: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(_, one, _)| one == path).count()
    }
}

/// A client that does not wait long.
fn client(url: &str, credentials: Credentials) -> Client {
    let mut config = TransportConfig::new(url.parse().unwrap());
    config.timeout = Duration::from_secs(20);
    config.max_response_bytes = 1_000_000;
    let pauses = (Duration::from_millis(5), Duration::from_secs(1));
    config.retries = config.retries.with_pauses(pauses.0, pauses.1);
    Client::with_config(config, credentials).unwrap()
}

async fn start(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, app, std::future::pending(), Duration::ZERO));
    format!("http://{address}")
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Said {
    word: String,
}

/// A tool that says what it was told.
struct Echo;

impl TypedTool for Echo {
    const NAME: &'static str = "echo";
    const DESCRIPTION: &'static str = "Says it.";
    type Args = Said;
    type Output = String;

    async fn call(&self, _: &CallContext, said: Said) -> Result<String, ToolError> {
        if said.word == "fail" {
            return Err(ToolError::failed("it failed"));
        }
        Ok(said.word)
    }
}

/// The URL of an MCP server.
async fn upstream() -> String {
    let gateway = Gateway::builder().policy(AllowAll::new()).tool(Echo);
    let gateway = gateway.build().unwrap();
    let app = Router::new().nest_service("/mcp", router(gateway, HttpConfig::default()));
    format!("{}/mcp", start(app).await)
}
