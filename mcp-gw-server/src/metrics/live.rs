//! What a running gateway is at this moment: sessions, servers, their replicas and queues.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use mcp_gw_core::{GatewayEvent, GatewayListener};
use mcp_gw_upstream::ReplicaState;

use super::{Families, MetricsSource};
use crate::compose::Made;
use crate::engine::{self, Engine};

/// Reads the state of a gateway without keeping it alive.
pub(crate) struct Live {
    engine: Weak<engine::Inner>,
    servers: Made,
    downs: Arc<Downs>,
}

/// How often each server was said to be down.
#[derive(Default)]
struct Downs(Mutex<BTreeMap<String, u64>>);

impl Downs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GatewayListener for Downs {
    fn on_event(&self, event: &GatewayEvent) {
        if let GatewayEvent::BackendChanged {
            name,
            down: Some(_),
        } = event
        {
            let mut downs = self.lock();
            let count = downs.entry(name.clone()).or_default();
            *count = count.saturating_add(1);
        }
    }
}

impl Live {
    /// Reads `engine`, and these of the servers behind it.
    pub(crate) fn new(engine: &Engine, servers: Made) -> Self {
        let downs = Arc::new(Downs::default());
        engine
            .gateway()
            .listen(Arc::<Downs>::clone(&downs) as Arc<dyn GatewayListener>);
        Self {
            engine: Arc::downgrade(&engine.inner),
            servers,
            downs,
        }
    }

    fn upstreams(&self, engine: &engine::Inner, families: &mut Families) {
        let status = engine.gateway.status();
        let mut up = families.gauge(
            "mcp_gw_upstream_up",
            "1 when the server answered the last time it was asked what it offers.",
        );
        for server in &status {
            up.set(
                &[("server", &server.name)],
                f64::from(u8::from(server.is_up)),
            );
        }
        let mut tools = families.gauge("mcp_gw_upstream_tools", "Tools that the server offers.");
        for server in &status {
            tools.set(&[("server", &server.name)], level(server.tools));
        }
        let mut downs = families.counter(
            "mcp_gw_upstream_down_total",
            "How often a server, or its child process, went away.",
        );
        let counts = self.downs.lock().clone();
        for server in &status {
            let count = counts.get(&server.name).copied().unwrap_or_default();
            downs.add(&[("server", &server.name)], count);
        }
    }

    fn places(&self, families: &mut Families) {
        let replicas = (
            "mcp_gw_upstream_replicas",
            "Places where the server runs, by how they are doing.",
        );
        let in_flight = (
            "mcp_gw_upstream_calls_in_flight",
            "Requests that the server is working on.",
        );
        let queue = (
            "mcp_gw_upstream_queue",
            "Requests that wait for others to end, see `max_concurrent`.",
        );
        for (name, help) in [replicas, in_flight, queue] {
            families.gauge(name, help);
        }
        for (name, server) in &self.servers.all() {
            let status = server.status();
            for state in STATES {
                let count = status.iter().filter(|replica| replica.state == state);
                families.gauge(replicas.0, replicas.1).set(
                    &[("server", name), ("state", state.as_str())],
                    level(count.count()),
                );
            }
            let at_work = status.iter().map(|replica| replica.in_flight).sum();
            let server_label = [("server", name.as_str())];
            let mut gauge = families.gauge(in_flight.0, in_flight.1);
            gauge.set(&server_label, level(at_work));
            let mut gauge = families.gauge(queue.0, queue.1);
            gauge.set(&server_label, level(server.waiting()));
        }
    }
}

/// Each is told, also when no replica is in it: a graph of what is not there is a line at zero.
const STATES: [ReplicaState; 4] = [
    ReplicaState::Healthy,
    ReplicaState::Ejected,
    ReplicaState::HalfOpen,
    ReplicaState::Down,
];

impl MetricsSource for Live {
    fn collect(&self, families: &mut Families) {
        let Some(engine) = self.engine.upgrade() else {
            return;
        };
        families
            .gauge("mcp_gw_sessions", "Sessions of clients over HTTP.")
            .set(&[], level(engine.sessions.count()));
        families
            .gauge(
                "mcp_gw_session_kept_bytes",
                "What is kept of the streams of sessions.",
            )
            .set(&[], level(engine.sessions.kept_bytes()));
        self.upstreams(&engine, families);
        self.places(families);
    }
}

pub(super) fn level(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
