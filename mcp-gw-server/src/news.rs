//! What happens behind the gateway, told to the clients that want to hear of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use mcp_gw_core::{
    CallNotification, CatalogueChange, Gateway, GatewayEvent, GatewayListener, Incoming, RawJson,
    SessionKey, jsonrpc,
};

use crate::client::Client;
use crate::engine::Inner;
use crate::link::session_message;
use crate::listen::{Topic, tagged};

/// Clients hear of changes at most this often; what happens meanwhile is told together.
const BREATH: Duration = Duration::from_millis(250);
/// So many different things may wait to be told.
const LONGEST: usize = 4096;

/// Hears of what happens, for as long as the engine lives.
pub(crate) struct Ear(pub(crate) Weak<Inner>);

/// What has happened and was not told yet.
#[derive(Debug, Default)]
pub(crate) struct News(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    lists: CatalogueChange,
    /// By server and URI: the last word.
    updates: HashMap<(String, Arc<str>), RawJson>,
    /// By server and id.
    tasks: HashMap<(String, Arc<str>), RawJson>,
    /// A task is telling.
    is_told: bool,
}

impl GatewayListener for Ear {
    fn on_event(&self, event: &GatewayEvent) {
        let Some(inner) = self.0.upgrade() else {
            return;
        };
        match event {
            GatewayEvent::ForSession {
                session,
                notification,
            } => {
                inner.tell_session(session, notification);
                return;
            }
            // What clients have not been told of does not change for them.
            GatewayEvent::CatalogueChanged(_) if inner.is_held() => return,
            event if !inner.news.note(event) => return,
            _ => {}
        }
        inner.news.tell(&self.0);
    }
}

impl News {
    /// Notes what has happened; false when it concerns no client.
    fn note(&self, event: &GatewayEvent) -> bool {
        let mut pending = self.lock();
        let noted = match event {
            GatewayEvent::CatalogueChanged(change) => {
                pending.lists.tools |= change.tools;
                pending.lists.prompts |= change.prompts;
                pending.lists.resources |= change.resources;
                return true;
            }
            GatewayEvent::ResourceUpdated {
                server,
                uri,
                params,
            } => note(&mut pending.updates, server, uri, params),
            GatewayEvent::TaskChanged {
                server,
                task_id,
                params,
            } => note(&mut pending.tasks, server, task_id, params),
            _ => return false,
        };
        if !noted {
            tracing::warn!("too much happens to tell clients of all of it");
        }
        noted
    }

    /// Tells that all lists are others than they were said to be.
    pub(crate) fn all_lists(&self, engine: &Weak<Inner>) {
        {
            let lists = &mut self.lock().lists;
            (lists.tools, lists.prompts, lists.resources) = (true, true, true);
        }
        self.tell(engine);
    }

    /// Sees to it that somebody tells.
    fn tell(&self, engine: &Weak<Inner>) {
        // Without a runtime there is nobody who listens, either.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if !std::mem::replace(&mut self.lock().is_told, true) {
            runtime.spawn(tell_all(Weak::clone(engine)));
        }
    }

    /// What is to be told now; `None` when there is nothing, and telling is over.
    fn take(&self) -> Option<Pending> {
        let mut pending = self.lock();
        if !pending.lists.any() && pending.updates.is_empty() && pending.tasks.is_empty() {
            pending.is_told = false;
            return None;
        }
        let taken = std::mem::take(&mut *pending);
        pending.is_told = true;
        Some(taken)
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(
    map: &mut HashMap<(String, Arc<str>), RawJson>,
    server: &str,
    what: &Arc<str>,
    params: &RawJson,
) -> bool {
    let key = (server.to_owned(), Arc::clone(what));
    let fits = map.len() < LONGEST || map.contains_key(&key);
    if fits {
        map.insert(key, params.clone());
    }
    fits
}

async fn tell_all(engine: Weak<Inner>) {
    // The engine is not kept alive while nothing happens.
    while let Some(inner) = engine.upgrade() {
        let Some(pending) = inner.news.take() else {
            return;
        };
        inner.deliver(pending).await;
        drop(inner);
        tokio::time::sleep(BREATH).await;
    }
}

impl Inner {
    async fn deliver(&self, pending: Pending) {
        let nothing = RawJson::empty_object();
        for (topic, changed) in [
            (Topic::Tools, pending.lists.tools),
            (Topic::Prompts, pending.lists.prompts),
            (Topic::Resources, pending.lists.resources),
        ] {
            if !changed {
                continue;
            }
            let message = jsonrpc::notification(topic.method(), &nothing);
            for client in self.clients.all() {
                client.outbox.send(message.clone());
            }
            for listener in self.listeners.of(&topic) {
                listener.tell(&topic, &nothing);
            }
        }
        for ((server, uri), params) in pending.updates {
            self.deliver_update(&server, uri, &params).await;
        }
        for ((server, task), params) in pending.tasks {
            let topic = Topic::Task(Arc::clone(&task));
            for listener in self.listeners.of(&topic) {
                let caller = &listener.incoming.caller;
                if self.gateway.owns_task(caller, &server, &task) {
                    listener.tell(&topic, &params);
                }
            }
        }
    }

    async fn deliver_update(&self, server: &str, uri: Arc<str>, params: &RawJson) {
        if !serves(&self.gateway, server, &uri) {
            return;
        }
        let wanting = self.clients.all().into_iter().filter_map(|client| {
            let asked = client.subscribed.find(&uri)?;
            Some((client, asked))
        });
        let wanting: Vec<(Arc<Client>, Incoming)> = wanting.collect();
        for (client, asked) in wanting {
            if self.gateway.may_read(&asked, &uri).await {
                let method = "notifications/resources/updated";
                let message = jsonrpc::notification(method, &tagged(params, None));
                client.outbox.send(message);
            }
        }
        let topic = Topic::Uri(Arc::clone(&uri));
        for listener in self.listeners.of(&topic) {
            if self.gateway.may_read(&listener.incoming, &uri).await {
                listener.tell(&topic, params);
            }
        }
    }

    fn tell_session(&self, session: &SessionKey, notification: &CallNotification) {
        let Some(client) = self.clients.find(session) else {
            return;
        };
        if let Some(message) = session_message(&client, notification) {
            client.outbox.send(message);
        }
    }
}

/// True when `uri` is read at `server`: another may tell of a URI that is not its own.
fn serves(gateway: &Gateway, server: &str, uri: &str) -> bool {
    let catalogue = gateway.catalogue();
    let entry = catalogue.find_resource(uri);
    entry.is_some_and(|entry| &*entry.server == server)
}
