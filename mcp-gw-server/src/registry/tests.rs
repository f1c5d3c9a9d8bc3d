mod fleet;
mod flow;
#[cfg(feature = "cli")]
mod pins;
mod upstream;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Arguments, AuditEvent, AuditSink, Caller, CallerKind, RequestMeta, Transport};
use mcp_gw_store::{InstanceSpec, MemoryStore, Store};
use mcp_gw_upstream::egress::AddressRules;

use super::*;
use crate::compose::Launch;
use crate::config::Config;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

const OPEN: &str = "policy: { default: allow }\n";

fn config(text: &str) -> Config {
    if text.contains("servers:") {
        return Config::load("test.yaml", text, &|_| None).unwrap();
    }
    // A file without a server is refused.
    let text = format!("{text}servers: {{ none: {{ url: 'http://127.0.0.1:9/mcp' }} }}\n");
    let mut config = Config::load("test.yaml", &text, &|_| None).unwrap();
    config.servers.clear();
    config
}

/// A gateway with a registry over `store`.
struct World {
    running: Running,
    registry: Registry,
}

impl World {
    async fn start(store: &Arc<dyn Store>, text: &str) -> Self {
        Self::with(Launch::new(), store, text).await
    }

    async fn with(launch: Launch, store: &Arc<dyn Store>, text: &str) -> Self {
        let launch = launch.with_child_grace(Duration::from_millis(200));
        let running = launch.start(&config(text)).unwrap();
        let mut options = RegistryOptions::new();
        options.addresses = AddressRules::new().with_private(true);
        options.first_answer = PATIENCE;
        let store = Arc::clone(store);
        let registry = Registry::start(&running, store, options).await.unwrap();
        Self { running, registry }
    }

    async fn call(&self, id: &str, tool: &str) -> CallOutcome<String> {
        let arguments = Arguments::none();
        let call = self
            .registry
            .call(caller(), meta(), id, tool, arguments)
            .await;
        call.map(|output| output.as_raw().to_string())
    }

    async fn who(&self, template: &str) -> CallOutcome<String> {
        let arguments = Arguments::none();
        let call = self
            .registry
            .call_template(caller(), meta(), template, "who", arguments);
        let output = call.await?.as_raw().to_string();
        let value: serde_json::Value = serde_json::from_str(&output).unwrap();
        Ok(value["content"][0]["text"].as_str().unwrap().to_owned())
    }

    async fn http(&self, id: &str, template: &str, url: String) -> ServerView {
        let new = NewServer::new(template, InstanceSpec::http(url)).with_id(id);
        self.registry.register(&local_admin(), new).await.unwrap()
    }

    /// The tools at the main endpoint.
    fn tools(&self) -> Vec<String> {
        let catalogue = self.running.gateway().catalogue();
        let tools = catalogue.entries(mcp_gw_core::Feature::Tool).iter();
        tools.map(|entry| entry.key.to_string()).collect()
    }

    async fn end(self) {
        self.registry.stop().await;
        self.running.shutdown().await;
    }
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn caller() -> Arc<Caller> {
    Arc::new(Caller::new(CallerKind::User, "alice"))
}

fn meta() -> RequestMeta {
    RequestMeta::new("r-1", Transport::Http)
}

fn local_admin() -> Asker {
    Asker::new(true, Some(IpAddr::from([127, 0, 0, 1])))
}

/// Waits until `holds`, looking often.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while !holds().await {
            look.tick().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, wait).await;
    assert!(in_time.is_ok(), "{what}");
}

/// Remembers what was audited.
#[derive(Clone, Default)]
struct Heard(Arc<std::sync::Mutex<Vec<AuditEvent>>>);

impl AuditSink for Heard {
    fn record(&self, event: &AuditEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}
