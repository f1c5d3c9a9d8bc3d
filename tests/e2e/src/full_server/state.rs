//! What the server remembers, and who must hear of what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// Where messages go that belong to no request, or to one.
pub(crate) type Out = mpsc::Sender<Value>;

pub(crate) struct State {
    pub(crate) revision: String,
    memory: Mutex<Memory>,
    numbers: AtomicU64,
}

#[derive(Default)]
pub(crate) struct Memory {
    /// A tool was added.
    pub(crate) has_grown: bool,
    pub(crate) cancelled: u64,
    /// Requests to clients that wait for their answer, by id.
    pub(crate) asked: HashMap<u64, oneshot::Sender<Result<Value, Value>>>,
    /// Open calls by session and id, to be cancelled.
    pub(crate) open: HashMap<(String, String), oneshot::Sender<()>>,
    pub(crate) sessions: BTreeMap<String, Session>,
    /// Streams of `subscriptions/listen`, by number.
    pub(crate) listens: BTreeMap<u64, Listen>,
}

/// A client that shook hands.
#[derive(Default)]
pub(crate) struct Session {
    pub(crate) capabilities: Value,
    pub(crate) level: Option<String>,
    pub(crate) watched: BTreeSet<String>,
    /// The stream for what belongs to no request.
    pub(crate) out: Option<Out>,
}

pub(crate) struct Listen {
    pub(crate) id: Value,
    pub(crate) filter: Value,
    pub(crate) out: Out,
}

impl State {
    pub(crate) fn new(revision: &str) -> Self {
        Self {
            revision: revision.to_owned(),
            memory: Mutex::default(),
            numbers: AtomicU64::new(1),
        }
    }

    pub(crate) fn is_modern(&self) -> bool {
        self.revision.as_str() >= "2026-07-28"
    }

    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody who wants to know. `wants` is the member of a listen filter, `uri` what a
    /// resource notification is about.
    pub(crate) fn tell(&self, method: &str, wants: &str, uri: Option<&str>) {
        let memory = self.memory();
        let params = uri.map_or_else(|| json!({}), |uri| json!({ "uri": uri }));
        for session in memory.sessions.values() {
            if uri.is_none_or(|uri| session.watched.contains(uri))
                && let Some(out) = &session.out
            {
                let _ = out.try_send(notification(method, params.clone()));
            }
        }
        for listen in memory.listens.values() {
            let wanted = match uri {
                None => listen.filter[wants] == true,
                Some(uri) => listen.filter[wants]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| one == uri)),
            };
            if wanted {
                let mut params = params.clone();
                params["_meta"] = json!({ "io.modelcontextprotocol/subscriptionId": listen.id });
                let _ = listen.out.try_send(notification(method, params));
            }
        }
    }

    /// An answer of a client to a request of this server.
    pub(crate) fn answered(&self, message: &Value) {
        let Some(id) = message["id"].as_u64() else {
            return;
        };
        let Some(asked) = self.memory().asked.remove(&id) else {
            return;
        };
        let outcome = match message.get("result") {
            Some(result) => Ok(result.clone()),
            None => Err(message["error"].clone()),
        };
        let _ = asked.send(outcome);
    }

    /// The client gives a request up.
    pub(crate) fn cancel(&self, session: &str, id: &Value) {
        let mut memory = self.memory();
        if let Some(open) = memory.open.remove(&(session.to_owned(), id.to_string())) {
            let _ = open.send(());
        }
    }
}

pub(crate) fn notification(method: &str, params: impl Into<Value>) -> Value {
    let params: Value = params.into();
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}
