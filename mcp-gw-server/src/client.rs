//! A client that shook hands, whatever transport it came by: what it said of itself, and what is
//! open between it and the gateway.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use mcp_gw_core::jsonrpc::{Notification, Response};
use mcp_gw_core::{
    Caller, ClientRef, Gateway, Incoming, LogLevel, RawJson, RequestMeta, SessionKey, Transport,
    WatchedTask,
};
use tokio_util::task::TaskTracker;

use crate::askable::{Askable, without};
use crate::asking::Asking;
use crate::authn::{CREDENTIAL, is_alike};
use crate::inflight::InFlight;
use crate::outbox::Outbox;
use crate::revision::Revision;
use crate::rpc_error::RpcError;
use crate::subscribed::Subscribed;

/// A client between its requests.
#[derive(Debug)]
pub(crate) struct Client {
    /// Names it to backends; not the id that it sends.
    pub(crate) key: SessionKey,
    pub(crate) caller: Arc<Caller>,
    /// The endpoint that it came to; `None` is the main one.
    pub(crate) endpoint: Option<Arc<str>>,
    pub(crate) revision: Revision,
    /// How it is connected.
    transport: Transport,
    /// Its `Implementation` and `ClientCapabilities` objects.
    pub(crate) info: Option<RawJson>,
    pub(crate) capabilities: Option<RawJson>,
    /// Its open requests.
    pub(crate) in_flight: InFlight,
    /// Where messages go that belong to no request of it.
    pub(crate) outbox: Outbox,
    /// What it was asked and has not answered.
    pub(crate) asking: Asking,
    /// The resources of which it wants to hear.
    pub(crate) subscribed: Subscribed,
    log_level: Mutex<Option<LogLevel>>,
    /// Who asked for a list last: the same caller, who may have shown other rights since.
    lister: Mutex<Arc<Caller>>,
    /// Who used it last: the same caller with the same rights, who may have shown another token.
    voucher: Mutex<Arc<Caller>>,
    /// Where it is known, once it is welcome.
    clients: Option<Arc<Clients>>,
    /// It was greeted.
    is_ready: AtomicBool,
    /// The endpoint that it came to is not there any more.
    is_left: AtomicBool,
    has_ended: AtomicBool,
}

static KEYS: AtomicU64 = AtomicU64::new(0);

impl Client {
    /// A client that has said this of itself.
    pub(crate) fn new(
        caller: Arc<Caller>,
        revision: Revision,
        info: Option<&RawJson>,
        capabilities: Option<&RawJson>,
        outbox: Outbox,
    ) -> Self {
        let number = KEYS.fetch_add(1, Ordering::Relaxed);
        Self {
            key: SessionKey::new(format!("session-{number}")),
            lister: Mutex::new(Arc::clone(&caller)),
            voucher: Mutex::new(Arc::clone(&caller)),
            caller,
            endpoint: None,
            revision,
            transport: Transport::default(),
            info: info.map(RawJson::detached),
            capabilities: capabilities.map(RawJson::detached),
            in_flight: InFlight::default(),
            outbox,
            asking: Asking::default(),
            subscribed: Subscribed::default(),
            log_level: Mutex::default(),
            clients: None,
            is_ready: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Sets the endpoint that it came to.
    pub(crate) fn at(mut self, endpoint: Option<Arc<str>>) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// Sets how it is connected.
    pub(crate) const fn over(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// What it can be asked for while one of its calls runs: `ClientCapabilities`.
    pub(crate) fn askable(&self) -> Option<RawJson> {
        let declared = self.capabilities.as_ref()?;
        Askable::of(self.revision, declared).capabilities(declared)
    }

    /// Backends make ready what they hold for it alone, once, if it can be asked something.
    fn greet(&self) {
        let Some(clients) = &self.clients else { return };
        if self.is_ready.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(askable) = self.askable() else {
            return;
        };
        let meta = RequestMeta::new("", self.transport)
            .with_session(Some(self.key.clone()))
            .with_log_level(self.log_level())
            .with_askable(Some(askable));
        let incoming = Incoming::new(Arc::clone(&self.caller), meta);
        clients.gateway.greet(&ClientRef::of(&incoming));
        // What begins while the client ends is not to stay.
        if self.has_ended.load(Ordering::Acquire) {
            clients.gateway.end_session(&self.key);
        }
    }

    /// Notes whether its endpoint is gone; true when it is and was not before.
    pub(crate) fn is_left_behind(&self, is_gone: bool) -> bool {
        !self.is_left.swap(is_gone, Ordering::AcqRel) && is_gone
    }

    /// How it is connected.
    pub(crate) const fn transport(&self) -> Transport {
        self.transport
    }

    /// Who has used it last.
    pub(crate) fn voucher(&self) -> Arc<Caller> {
        let voucher = self.voucher.lock();
        Arc::clone(&voucher.unwrap_or_else(PoisonError::into_inner))
    }

    /// `caller` goes on with it: what it is good for from now on is what this one has shown. With other
    /// rights nobody does.
    pub(crate) fn goes_on_as(&self, caller: &Caller) {
        let mut voucher = self.voucher.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = voucher.claims.get(CREDENTIAL) != caller.claims.get(CREDENTIAL);
        if is_other && is_alike(&voucher, caller) {
            *voucher = Arc::new(caller.clone());
        }
    }

    /// Who asked for a list last, with the rights of that request.
    pub(crate) fn lister(&self) -> Arc<Caller> {
        let lister = self.lister.lock();
        Arc::clone(&lister.unwrap_or_else(PoisonError::into_inner))
    }

    /// `caller` asks for a list.
    pub(crate) fn lists_as(&self, caller: &Arc<Caller>) {
        let mut lister = self.lister.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&lister, caller) {
            *lister = Arc::clone(caller);
        }
    }

    /// The least level of log messages that it wants (`logging/setLevel`).
    pub(crate) fn log_level(&self) -> Option<LogLevel> {
        *self
            .log_level
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the level.
    pub(crate) fn set_log_level(&self, level: LogLevel) {
        *self
            .log_level
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(level);
    }

    /// Takes an answer of the client to something that it was asked.
    ///
    /// # Errors
    /// When it is no answer.
    pub(crate) fn take_response(
        &self,
        response: &Response<'_>,
        body: &Bytes,
    ) -> Result<(), RpcError> {
        self.asking.take(response, body)
    }

    /// Takes a notification of the client. What is not known does nothing.
    pub(crate) fn take_notification(&self, notification: &Notification<'_>) {
        match &*notification.method {
            "notifications/cancelled" => self.in_flight.cancel(&notification.params),
            "notifications/initialized" => self.greet(),
            "notifications/roots/list_changed" => {
                if let Some(clients) = &self.clients {
                    clients.roots_changed(self);
                }
            }
            _ => {}
        }
    }

    /// The end of the client: what is open in either direction is given up, and nothing is held for
    /// it any more. Once is enough, more do no harm.
    pub(crate) fn end(&self) {
        if self.has_ended.swap(true, Ordering::AcqRel) {
            return;
        }
        self.in_flight.cancel_all();
        self.asking.end();
        if let Some(clients) = &self.clients {
            clients.forget(&self.key);
            clients.unsubscribe(self.subscribed.end(&clients.gateway));
            clients.gateway.end_session(&self.key);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}

/// The clients that shook hands and have not ended.
pub(crate) struct Clients {
    gateway: Gateway,
    /// What is undone after clients have gone.
    undoing: TaskTracker,
    /// Client capabilities that servers are not told of.
    withheld: Vec<&'static str>,
    table: Mutex<HashMap<SessionKey, Weak<Client>>>,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Clients {
    pub(crate) fn new(gateway: Gateway, undoing: TaskTracker, withheld: Vec<&'static str>) -> Self {
        Self {
            gateway,
            undoing,
            withheld,
            table: Mutex::default(),
        }
    }

    /// Lets a client in: from now on it hears of what concerns it, until it ends.
    pub(crate) fn welcome(self: &Arc<Self>, mut client: Client) -> Arc<Client> {
        client.clients = Some(Arc::clone(self));
        let declared = client.capabilities.take();
        client.capabilities = declared.and_then(|declared| without(declared, &self.withheld));
        let client = Arc::new(client);
        self.lock()
            .insert(client.key.clone(), Arc::downgrade(&client));
        client
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// True when there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The client of this key.
    pub(crate) fn find(&self, key: &SessionKey) -> Option<Arc<Client>> {
        self.lock().get(key).and_then(Weak::upgrade)
    }

    /// Ends subscriptions and watches of tasks that a client which has gone had.
    pub(crate) fn let_go(&self, incoming: &Incoming, uris: Vec<Arc<str>>, tasks: Vec<WatchedTask>) {
        let gateway = self.gateway.clone();
        self.unsubscribe(
            uris.into_iter()
                .map(|uri| (uri, incoming.clone()))
                .collect(),
        );
        if !tasks.is_empty() {
            self.undo(async move {
                for task in tasks {
                    gateway.unwatch_task(&task).await;
                }
            });
        }
    }

    /// Ends subscriptions, each with the request that began it. One after the other: a client that
    /// had many must not cost a server as many connections.
    fn unsubscribe(&self, subscriptions: Vec<(Arc<str>, Incoming)>) {
        if subscriptions.is_empty() {
            return;
        }
        let gateway = self.gateway.clone();
        self.undo(async move {
            for (uri, incoming) in subscriptions {
                if let Err(error) = gateway.unsubscribe(&incoming, &uri).await {
                    tracing::debug!(%error, "a subscription cannot be ended");
                }
            }
        });
    }

    /// Tells servers that the roots of `client` have changed. It makes them ask, so it is charged as
    /// a request is; but there is nobody to be told of a refusal.
    fn roots_changed(&self, client: &Client) {
        let gateway = self.gateway.clone();
        let key = client.key.clone();
        let meta = RequestMeta::new("", client.transport).with_session(Some(key.clone()));
        let incoming = Incoming::new(Arc::clone(&client.caller), meta);
        self.undo(async move {
            let method = "notifications/roots/list_changed";
            match gateway.charge(&incoming, method).await {
                Ok(()) => gateway.roots_changed(&key),
                Err(error) => tracing::debug!(%error, "roots change too often"),
            }
        });
    }

    fn undo(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Without a runtime the backends have come to their end, too.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.undoing.spawn_on(work, &runtime);
        }
    }

    fn forget(&self, key: &SessionKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Weak<Client>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
