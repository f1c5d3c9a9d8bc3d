//! What happens behind the gateway, told to the clients that want to hear of it.

mod lists;
mod rules;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use mcp_gw_core::{
    CallNotification, CatalogueChange, CatalogueSwap, Gateway, GatewayEvent, GatewayListener,
    ListPolicy, ObjectWriter, RawJson, SessionKey, jsonrpc,
};

use self::lists::Swaps;
use self::rules::{Judges, Rules};
use crate::askable::Askable;
use crate::engine::Inner;
use crate::link::session_message;
use crate::listen::{Topic, tagged};
use crate::revision::Revision;
use crate::task_asks;

/// Clients hear of changes at most this often; what happens meanwhile is told together.
const BREATH: Duration = Duration::from_millis(250);
/// So many different things may wait to be told.
const LONGEST: usize = 4096;

/// Hears of what happens, for as long as the engine lives.
pub(crate) struct Ear(pub(crate) Weak<Inner>);

/// What has happened and was not told yet.
#[derive(Debug)]
pub(crate) struct News(Mutex<State>);

#[derive(Debug)]
struct State {
    pending: Pending,
    rules: Rules,
    /// A task is telling.
    is_told: bool,
}

#[derive(Debug, Default)]
struct Pending {
    /// By endpoint; `None` is the main one.
    lists: HashMap<Option<Arc<str>>, Swaps>,
    /// By server and URI: the last word.
    updates: HashMap<(String, Arc<str>), RawJson>,
    /// By server and id.
    tasks: HashMap<(String, Arc<str>), RawJson>,
}

/// What there is to do for who tells.
enum Next {
    Tell(Pending, Judges),
    /// Nothing is to be told, but something may be heard of that has happened a moment ago.
    Wait,
    /// Telling is over.
    Nothing,
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
            GatewayEvent::CatalogueChanged { .. } | GatewayEvent::EndpointChanged { .. }
                if inner.is_held() || !inner.has_audience() =>
            {
                return;
            }
            event if !inner.news.note(event) => return,
            _ => {}
        }
        inner.news.tell(&self.0);
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.updates.is_empty() && self.tasks.is_empty()
    }

    fn note_lists(
        &mut self,
        endpoint: Option<&Arc<str>>,
        change: CatalogueChange,
        swap: Option<&CatalogueSwap>,
    ) {
        let swaps = self.lists.entry(endpoint.cloned()).or_default();
        swaps.note(change, swap);
    }
}

impl News {
    /// Nothing has happened, and `rules` are in force.
    pub(crate) fn new(rules: Option<Arc<dyn ListPolicy>>) -> Self {
        Self(Mutex::new(State {
            pending: Pending::default(),
            rules: Rules::new(rules),
            is_told: false,
        }))
    }

    /// Notes what has happened; false when it concerns no client.
    fn note(&self, event: &GatewayEvent) -> bool {
        let pending = &mut self.lock().pending;
        let noted = match event {
            GatewayEvent::CatalogueChanged { change, swap } => {
                pending.note_lists(None, *change, Some(swap));
                return true;
            }
            GatewayEvent::EndpointChanged {
                endpoint,
                change,
                swap,
            } => {
                pending.note_lists(Some(endpoint), *change, Some(swap));
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

    /// Tells that all lists are others than they were said to be, at the main endpoint and these.
    pub(crate) fn all_lists(&self, endpoints: &[Arc<str>], engine: &Weak<Inner>) {
        let endpoints = endpoints.iter().map(Some);
        self.lists_of([None].into_iter().chain(endpoints), engine);
    }

    /// Tells that all lists of these endpoints are empty now.
    pub(crate) fn lists_gone(&self, endpoints: &[Arc<str>], engine: &Weak<Inner>) {
        self.lists_of(endpoints.iter().map(Some), engine);
    }

    fn lists_of<'e>(
        &self,
        endpoints: impl Iterator<Item = Option<&'e Arc<str>>>,
        engine: &Weak<Inner>,
    ) {
        let mut all = CatalogueChange::default();
        (all.tools, all.prompts, all.resources) = (true, true, true);
        {
            let pending = &mut self.lock().pending;
            for endpoint in endpoints {
                pending.note_lists(endpoint, all, None);
            }
        }
        self.tell(engine);
    }

    /// Another policy is in force. What nobody hears of is not told later.
    pub(crate) fn rules_changed(&self, gateway: &Gateway, is_heard: bool, engine: &Weak<Inner>) {
        {
            let mut state = self.lock();
            if !is_heard {
                state.rules.begin(gateway.policy_now());
                return;
            }
            state.rules.note(gateway.policy_now(), true);
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

    /// What is to be told now.
    fn next(&self, gateway: &Gateway) -> Next {
        let mut state = self.lock();
        if state.pending.is_empty() && !state.rules.are_fresh() {
            state.is_told = state.rules.are_kept();
            return if state.is_told {
                Next::Wait
            } else {
                Next::Nothing
            };
        }
        // Both at once: what happened to lists so far happened under one of these.
        let judges = state.rules.judges(gateway.policy_now());
        Next::Tell(std::mem::take(&mut state.pending), judges)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
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
        match inner.news.next(&inner.gateway) {
            Next::Tell(pending, judges) => inner.deliver(pending, &judges).await,
            Next::Wait => {}
            Next::Nothing => return,
        }
        drop(inner);
        tokio::time::sleep(BREATH).await;
    }
}

impl Inner {
    /// True when somebody may want to hear of changes. Who comes later sees what there is then.
    pub(crate) fn has_audience(&self) -> bool {
        !self.clients.is_empty() || !self.listeners.is_empty()
    }

    async fn deliver(&self, pending: Pending, judges: &Judges) {
        for ((server, uri), params) in pending.updates {
            self.deliver_update(&server, &uri, &params).await;
        }
        for ((server, task), params) in pending.tasks {
            for listener in self.listeners.all() {
                if !listener.wants_tasks() {
                    continue;
                }
                let incoming = &listener.incoming;
                let news = self.gateway.task_news(incoming, &server, &task, &params);
                let Some((known, params)) = news.await else {
                    continue;
                };
                let declared = incoming.meta.client_capabilities.as_ref();
                let askable = Askable::of_some(Revision::V2026_07_28, declared);
                if let Some(params) = task_asks::told(params, askable) {
                    self.gateway.note_news_questions(incoming, &server, &params);
                    listener.tell(&Topic::Task(known), &params);
                }
            }
        }
        // Last, for it may take a while where there are many callers.
        self.deliver_lists(&pending.lists, judges).await;
    }

    /// Tells of an update under the URI that each client knows the resource by.
    async fn deliver_update(&self, server: &str, uri: &str, params: &RawJson) {
        let mut names = Names::of(&self.gateway, server, uri);
        for client in self.clients.all() {
            let Some(shown) = names.at(client.endpoint.as_ref()) else {
                continue;
            };
            let Some(asked) = client.subscribed.find(&shown) else {
                continue;
            };
            if self.gateway.may_hear_of(&asked, &shown).await {
                let method = "notifications/resources/updated";
                let params = renamed(params, uri, &shown);
                let message = jsonrpc::notification(method, &tagged(&params, None));
                client.outbox.send(message);
            }
        }
        for listener in self.listeners.all() {
            let Some(shown) = names.at(listener.incoming.meta.endpoint.as_ref()) else {
                continue;
            };
            let topic = Topic::Uri(Arc::clone(&shown));
            if listener.wants(&topic) && self.gateway.may_hear_of(&listener.incoming, &shown).await
            {
                listener.tell(&topic, &renamed(params, uri, &shown));
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

/// What a resource of one server is called at each endpoint.
struct Names<'a> {
    gateway: &'a Gateway,
    server: &'a str,
    uri: &'a str,
    known: HashMap<Option<Arc<str>>, Option<Arc<str>>>,
}

impl<'a> Names<'a> {
    fn of(gateway: &'a Gateway, server: &'a str, uri: &'a str) -> Self {
        Self {
            gateway,
            server,
            uri,
            known: HashMap::new(),
        }
    }

    /// Its URI there; `None` where it is not shown, or where that URI is read at another server: one
    /// may tell of a URI that is not its own.
    fn at(&mut self, endpoint: Option<&Arc<str>>) -> Option<Arc<str>> {
        let (gateway, server, uri) = (self.gateway, self.server, self.uri);
        let known = self.known.entry(endpoint.cloned()).or_insert_with(|| {
            let catalogue = gateway.catalogue_at(endpoint.map(|name| &**name));
            let shown = catalogue.shown_uri(server, uri)?;
            let (home, upstream, _) = catalogue.locate(&shown)?;
            (*home == *server && *upstream == *uri).then(|| shown.into())
        });
        known.clone()
    }
}

/// `params` of a notification about `uri`, which the client knows as `shown`.
fn renamed(params: &RawJson, uri: &str, shown: &str) -> RawJson {
    if uri == shown {
        return params.clone();
    }
    let members = params.members().unwrap_or_default();
    ObjectWriter::with_capacity(params.len() + shown.len())
        .string("uri", shown)
        .members(&members, &["uri"])
        .finish()
}

#[cfg(test)]
mod tests;
