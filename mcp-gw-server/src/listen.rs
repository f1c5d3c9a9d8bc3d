//! `subscriptions/listen` (MCP 2026-07-28, basic/patterns/subscriptions): a request that stays open
//! to hear of changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_gw_core::jsonrpc::{self, Params};
use mcp_gw_core::{
    Caller, Incoming, JsonText, Members, ObjectWriter, RawJson, Subscription, WatchedTask, code,
    meta_key,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::bridge::About;
use crate::engine::Engine;
use crate::moved::{self, Moved, Patience, Place};
use crate::parked::Work;
use crate::revision::Revision;
use crate::rpc_error::RpcError;

/// So many messages may wait for a client that does not read; its subscription ends then.
const QUEUE: usize = 256;
/// So many resources, and so many tasks, one subscription may name.
const LONGEST: usize = 256;
/// So many subscriptions one caller may hold, and all callers.
const PER_CALLER: usize = 64;
const TOTAL: usize = 4096;

/// What a client wants to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    pub(crate) uris: Vec<Arc<str>>,
    pub(crate) tasks: Vec<Arc<str>>,
}

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topic {
    Tools,
    Prompts,
    Resources,
    Uri(Arc<str>),
    Task(Arc<str>),
}

impl Topic {
    /// The notification that tells of it.
    pub(crate) const fn method(&self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
            Self::Resources => "notifications/resources/list_changed",
            Self::Uri(_) => "notifications/resources/updated",
            Self::Task(_) => "notifications/tasks",
        }
    }
}

impl Filter {
    /// Reads `params.notifications`.
    pub(crate) fn read(params: &Params<'_>) -> Result<Self, RpcError> {
        let wrong = |what: &str| RpcError::invalid_params(&format!("Invalid params: {what}"));
        let says = "`notifications` must be an object that names no member twice";
        let raw = params.get("notifications").ok_or_else(|| wrong(says))?;
        let members: Members<'_> = serde_json::from_str(raw.get()).map_err(|_| wrong(says))?;
        let flag = |name: &str| match members.get(name).map(JsonText::get) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(wrong(&format!("`notifications.{name}` must be a boolean"))),
        };
        let list = |name: &str| {
            let Some(raw) = members.get(name) else {
                return Ok(Vec::new());
            };
            let says =
                format!("`notifications.{name}` must be a list of at most {LONGEST} strings");
            let items: Vec<String> = serde_json::from_str(raw.get()).map_err(|_| wrong(&says))?;
            let mut unique: Vec<Arc<str>> = Vec::new();
            for item in items {
                if unique.len() > LONGEST {
                    break;
                }
                if !unique.iter().any(|other| **other == *item) {
                    unique.push(item.into());
                }
            }
            if unique.len() > LONGEST {
                return Err(wrong(&says));
            }
            Ok(unique)
        };
        Ok(Self {
            tools: flag("toolsListChanged")?,
            prompts: flag("promptsListChanged")?,
            resources: flag("resourcesListChanged")?,
            uris: list("resourceSubscriptions")?,
            tasks: list("taskIds")?,
        })
    }

    fn has(&self, topic: &Topic) -> bool {
        match topic {
            Topic::Tools => self.tools,
            Topic::Prompts => self.prompts,
            Topic::Resources => self.resources,
            Topic::Uri(uri) => self.uris.contains(uri),
            Topic::Task(task) => self.tasks.contains(task),
        }
    }

    fn to_raw(&self) -> RawJson {
        let mut writer = ObjectWriter::default();
        for (name, wanted) in [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ] {
            if wanted {
                writer = writer.boolean(name, true);
            }
        }
        for (name, list) in [
            ("resourceSubscriptions", &self.uris),
            ("taskIds", &self.tasks),
        ] {
            if !list.is_empty() {
                let items: Vec<RawJson> = list.iter().map(|item| RawJson::string(item)).collect();
                writer = writer.array(name, &items);
            }
        }
        writer.finish()
    }
}

/// How the request is named.
const METHOD: &str = "subscriptions/listen";

/// One subscription.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Id of the request, as the client wrote it.
    id: RawJson,
    pub(crate) incoming: Incoming,
    state: Mutex<State>,
    queue: mpsc::Sender<RawJson>,
    /// The client does not read.
    is_deaf: CancellationToken,
    /// Its caller has no right to it any more.
    is_over: CancellationToken,
}

#[derive(Debug)]
struct State {
    filter: Filter,
    /// What came before the acknowledgement, which must be first.
    held: Option<Vec<(Topic, RawJson)>>,
}

impl Listener {
    /// True when any task is heard of here, as far as is known yet.
    pub(crate) fn wants_tasks(&self) -> bool {
        !self.lock().filter.tasks.is_empty()
    }

    /// True when this is heard of here, as far as is known yet.
    pub(crate) fn wants(&self, topic: &Topic) -> bool {
        self.lock().filter.has(topic)
    }

    /// Ends the subscription.
    pub(crate) fn end(&self) {
        self.is_over.cancel();
    }

    /// Tells the client of `topic`; `params` are those of the server.
    pub(crate) fn tell(&self, topic: &Topic, params: &RawJson) {
        let message = self.message(topic.method(), params);
        let mut state = self.lock();
        if self.is_over.is_cancelled() || !state.filter.has(topic) {
            return;
        }
        match &mut state.held {
            Some(held) if held.len() < QUEUE => held.push((topic.clone(), message)),
            Some(_) => self.is_deaf.cancel(),
            None => self.send(message),
        }
    }

    /// Tells the client what it will hear of, and then what has come meanwhile.
    fn acknowledge(&self, accepted: Filter) {
        let params = ObjectWriter::default()
            .raw("notifications", &accepted.to_raw())
            .finish();
        let message = self.message("notifications/subscriptions/acknowledged", &params);
        let mut state = self.lock();
        self.send(message);
        state.filter = accepted;
        for (topic, message) in state.held.take().unwrap_or_default() {
            if state.filter.has(&topic) {
                self.send(message);
            }
        }
    }

    fn message(&self, method: &str, params: &RawJson) -> RawJson {
        jsonrpc::notification(method, &tagged(params, Some(&self.id)))
    }

    fn send(&self, message: RawJson) {
        if self.queue.try_send(message).is_err() {
            self.is_deaf.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `params` of a notification of a server, for a client: what belongs to the hop is replaced.
pub(crate) fn tagged(params: &RawJson, subscription: Option<&RawJson>) -> RawJson {
    let members = params.members().unwrap_or_default();
    let theirs: Members<'_> = members
        .get("_meta")
        .and_then(|meta| serde_json::from_str(meta.get()).ok())
        .unwrap_or_default();
    let is_bare = theirs.iter().all(|(name, _)| meta_key::HOP.contains(&name));
    let writer = ObjectWriter::with_capacity(params.len() + 96);
    let writer = match (subscription, is_bare) {
        (None, true) => writer,
        (id, _) => {
            let mut meta = ObjectWriter::default();
            if let Some(id) = id {
                meta = meta.raw(meta_key::SUBSCRIPTION_ID, id);
            }
            writer.raw("_meta", &meta.members(&theirs, &meta_key::HOP).finish())
        }
    };
    writer.members(&members, &["_meta"]).finish()
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    opened: u64,
    open: HashMap<u64, Arc<Listener>>,
}

impl Listeners {
    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Listener>> {
        self.lock().open.values().cloned().collect()
    }

    /// True when there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().open.is_empty()
    }

    fn add(&self, listener: &Arc<Listener>) -> Result<u64, RpcError> {
        let mut table = self.lock();
        let is_own = |other: &&Arc<Listener>| {
            let caller: &Caller = &other.incoming.caller;
            caller.is_same(&listener.incoming.caller)
        };
        let own = table.open.values().filter(is_own).count();
        if own >= PER_CALLER || table.open.len() >= TOTAL {
            return Err(RpcError::with_status(
                429,
                code::RATE_LIMITED,
                "Too many subscriptions are open. End one, then try again.",
            ));
        }
        table.opened += 1;
        let number = table.opened;
        table.open.insert(number, Arc::clone(listener));
        Ok(number)
    }

    fn remove(&self, number: u64) {
        self.lock().open.remove(&number);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is held for one subscription; dropping it lets go.
struct Held {
    engine: Engine,
    number: u64,
    incoming: Incoming,
    accepted: Filter,
    /// Where each of the resources is held.
    places: Vec<(Arc<str>, Subscription, Place)>,
    watched: Vec<WatchedTask>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.engine.inner.listeners.remove(self.number);
        let gateway = self.engine.gateway();
        let held = std::mem::take(&mut self.places).into_iter();
        let held = held.filter(|(uri, held, place)| {
            gateway.holds(held) && moved::place(gateway, &self.incoming, uri) == *place
        });
        let uris = held.map(|(uri, ..)| uri).collect();
        let tasks = std::mem::take(&mut self.watched);
        self.engine
            .inner
            .clients
            .let_go(&self.incoming, uris, tasks);
    }
}

impl Engine {
    /// Opens a subscription: its messages, and the work that ends with it.
    pub(crate) fn listen(
        &self,
        requested: Filter,
        id: &RawJson,
        incoming: Incoming,
        closing: CancellationToken,
    ) -> Result<(Work, mpsc::Receiver<RawJson>), RpcError> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let listener = Arc::new(Listener {
            id: id.detached(),
            incoming: incoming.clone(),
            state: Mutex::new(State {
                filter: requested.clone(),
                held: Some(Vec::new()),
            }),
            queue,
            is_deaf: CancellationToken::new(),
            is_over: CancellationToken::new(),
        });
        let number = self.inner.listeners.add(&listener)?;
        let mut held = Held {
            engine: self.clone(),
            number,
            incoming,
            accepted: Filter {
                uris: Vec::new(),
                tasks: Vec::new(),
                ..requested
            },
            places: Vec::new(),
            watched: Vec::new(),
        };
        let work = Box::pin(async move {
            let charged = held.engine.gateway().charge(&held.incoming, METHOD).await;
            if let Err(error) = charged {
                return RpcError::told(&error, About::Other, Revision::NEWEST);
            }
            held.engine.opened().await;
            let (uris, tasks) = (requested.uris, requested.tasks);
            let remounts = held.engine.inner.remounts.subscribe();
            held.watch(uris, tasks).await;
            listener.acknowledge(held.accepted.clone());
            tokio::select! {
                () = closing.cancelled() => {}
                () = listener.is_over.cancelled() => {}
                () = held.follow(&listener, remounts) => {}
                () = listener.is_deaf.cancelled() => {
                    tracing::debug!("a client does not read its subscription; it ends");
                }
            }
            let meta = ObjectWriter::default()
                .raw(meta_key::SUBSCRIPTION_ID, &listener.id)
                .raw(meta_key::SERVER_INFO, &held.engine.inner.server_info);
            let result = ObjectWriter::default().string("resultType", "complete");
            Ok(result.raw("_meta", &meta.finish()).finish())
        });
        Ok((work, messages))
    }
}

impl Held {
    /// Subscribes to what the caller may hear of and the servers behind can tell of. The rest is
    /// left out, without a word about why.
    async fn watch(&mut self, uris: Vec<Arc<str>>, tasks: Vec<Arc<str>>) {
        let gateway = self.engine.gateway().clone();
        for uri in uris {
            if let Ok(held) = gateway.subscribe(&self.incoming, &uri).await {
                let place = moved::place(&gateway, &self.incoming, &uri);
                self.accepted.uris.push(Arc::clone(&uri));
                self.places.push((uri, held, place));
            }
        }
        for task in tasks {
            if let Ok(watched) = gateway.watch_task(&self.incoming, &task).await {
                self.accepted.tasks.push(task);
                self.watched.push(watched);
            }
        }
    }

    /// Follows what it hears of to the servers that come in the place of others. Comes back when that
    /// is nowhere any more, or cannot be followed: the client has to ask again for what there is then.
    async fn follow(&mut self, listener: &Listener, mut remounts: watch::Receiver<u64>) {
        loop {
            if remounts.changed().await.is_err() {
                return;
            }
            let mut patience = Patience::default();
            loop {
                match self.move_over(listener).await {
                    Moved::All => break,
                    Moved::Nowhere => return,
                    Moved::NotYet => patience.wait(&mut remounts).await,
                }
            }
        }
    }

    async fn move_over(&mut self, listener: &Listener) -> Moved {
        let gateway = self.engine.gateway();
        // Nobody says that tasks are still known, where another server has come.
        if !self.watched.iter().all(|task| gateway.watches(task)) {
            return Moved::Nowhere;
        }
        let mut moved = Moved::All;
        for (uri, held, place) in &mut self.places {
            let now = moved::place(gateway, &self.incoming, uri);
            if gateway.holds(held) && *place == now {
                continue;
            }
            match gateway.subscribe_again(&self.incoming, uri).await {
                Ok(again) => {
                    let before = std::mem::replace(held, again);
                    *place = now;
                    // Its server may have stayed.
                    gateway.release(&self.incoming, &before).await;
                    if gateway.may_hear_of(&self.incoming, uri).await {
                        listener.tell(&Topic::Uri(Arc::clone(uri)), &moved::updated(uri));
                    }
                }
                Err(error) if moved::may_pass(&error) => moved = Moved::NotYet,
                Err(_) => {
                    gateway.release(&self.incoming, held).await;
                    return Moved::Nowhere;
                }
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mcp_gw_core::jsonrpc::Message;

    use super::*;

    fn read(notifications: &str) -> Result<Filter, RpcError> {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"notifications":{notifications}}}}}"#
        );
        let body = Bytes::from(text);
        match Message::parse(&body) {
            Ok(Message::Request(request)) => Filter::read(&request.params),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_filter_is_read_and_written_and_what_it_does_not_know_is_left_out() {
        let text = r#"{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["a://1","a://1","a://2"],"taskIds":["t"],"x":[1]}"#;
        assert_eq!(
            read(text).unwrap().to_raw().as_str(),
            r#"{"toolsListChanged":true,"resourceSubscriptions":["a://1","a://2"],"taskIds":["t"]}"#
        );
        for wrong in [
            "[]",
            "null",
            r#"{"toolsListChanged":1}"#,
            r#"{"resourceSubscriptions":"a"}"#,
            r#"{"resourceSubscriptions":[1]}"#,
            r#"{"taskIds":{}}"#,
            r#"{"taskIds":[],"taskIds":[]}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let many: Vec<String> = (0..=LONGEST).map(|n| format!("\"{n}\"")).collect();
        let list = |many: &[String]| format!(r#"{{"taskIds":[{}]}}"#, many.join(","));
        assert!(read(&list(&many)).is_err());
        assert_eq!(read(&list(&many[1..])).unwrap().tasks.len(), LONGEST);
    }

    #[test]
    fn what_belongs_to_the_hop_is_replaced_and_the_rest_stays() {
        let params = RawJson::parse(
            r#"{"uri":"a","n":1.0,"_meta":{"v":1e2,"io.modelcontextprotocol/subscriptionId":9}}"#,
        )
        .unwrap();
        let id = RawJson::string("x");
        assert_eq!(
            tagged(&params, Some(&id)).as_str(),
            r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":"x","v":1e2},"uri":"a","n":1.0}"#
        );
        assert_eq!(
            tagged(&params, None).as_str(),
            r#"{"_meta":{"v":1e2},"uri":"a","n":1.0}"#
        );
        assert_eq!(tagged(&RawJson::empty_object(), None).as_str(), "{}");
    }
}
