//! Which client watches which resource, and on which connection of a server; each update is told
//! once, however many connections report it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_gw_core::{BackendError, BackendEvent, RawJson};
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::bereaved::Bereaved;
use crate::notice::Events;
use crate::owner::Key;
use crate::settings::Settings;
use crate::subscriptions::Subscriptions;

/// So many clients may watch something at one server.
const MOST: usize = 10_000;
/// So long an update that several connections may report is held back, for all of them.
const TOGETHER: Duration = Duration::from_millis(100);

/// The connections on which a client watches a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Counted at the shared connection.
    pub(crate) shared: bool,
    /// On those of its own.
    pub(crate) own: bool,
}

/// What each client watches.
#[derive(Debug)]
pub(crate) struct PerClient<T>(Mutex<HashMap<Key, Arc<Subscriptions<T>>>>);

impl<T> Default for PerClient<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> PerClient<T> {
    /// Adds a subscription of this client; see [`Subscriptions::add`].
    pub(crate) async fn add(
        &self,
        server: &str,
        client: &Key,
        uri: &str,
        ask: impl AsyncFnOnce() -> Result<T, BackendError>,
    ) -> Result<(), BackendError> {
        let visit = self.visit(client).ok_or_else(|| BackendError::Internal {
            server: server.into(),
            source: format!("more than {MOST} clients subscribe").into(),
        })?;
        visit.of.add(server, uri, ask).await
    }

    /// Removes a subscription of this client; see [`Subscriptions::remove`].
    pub(crate) async fn remove(
        &self,
        client: &Key,
        uri: &str,
        ask: impl AsyncFnOnce(T) -> Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        match self.find(client) {
            Some(visit) => visit.of.remove(uri, ask).await,
            None => Ok(()),
        }
    }

    /// Has a resource watched somewhere else; see [`Subscriptions::relocate`].
    pub(crate) async fn relocate(
        &self,
        client: &Key,
        uri: &str,
        ask: impl AsyncFnOnce(T) -> Result<T, BackendError>,
    ) -> Result<(), BackendError> {
        match self.find(client) {
            Some(visit) => visit.of.relocate(uri, ask).await,
            None => Ok(()),
        }
    }

    /// What this client watches.
    pub(crate) fn of(&self, client: &Key) -> Vec<(Arc<str>, T)> {
        let of = self.lock().get(client).map(Arc::clone);
        of.map(|of| of.all()).unwrap_or_default()
    }

    /// True when this client watches something, or is about to.
    pub(crate) fn has(&self, client: &Key) -> bool {
        let all = self.lock();
        all.get(client).is_some_and(|of| !of.is_empty())
    }

    /// Who watches `uri`, and where.
    pub(crate) fn places(&self, uri: &str) -> Vec<(Key, T)> {
        let all = self.lock();
        let all = all.iter();
        all.filter_map(|(client, of)| Some((client.clone(), of.at(uri)?)))
            .collect()
    }

    /// Everything.
    pub(crate) fn all(&self) -> Vec<(Key, Arc<str>, T)> {
        let all = self.lock();
        let of_each = all.iter().flat_map(|(client, of)| {
            let of = of.all().into_iter();
            of.map(|(uri, at)| (client.clone(), uri, at))
        });
        of_each.collect()
    }

    /// Changes where everything is watched that this client watches.
    pub(crate) fn change(&self, client: &Key, change: impl Fn(&mut T)) {
        let of = self.lock().get(client).map(Arc::clone);
        if let Some(of) = of {
            of.change_all(change);
        }
    }

    fn find(&self, client: &Key) -> Option<Visit<'_, T>> {
        let of = self.lock().get(client).map(Arc::clone)?;
        Some(Visit {
            all: self,
            client: client.clone(),
            of,
        })
    }

    /// `None` when there is no room for another client.
    fn visit(&self, client: &Key) -> Option<Visit<'_, T>> {
        let mut all = self.lock();
        if all.len() >= MOST && !all.contains_key(client) {
            return None;
        }
        let of = Arc::clone(all.entry(client.clone()).or_default());
        drop(all);
        Some(Visit {
            all: self,
            client: client.clone(),
            of,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Subscriptions<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who changes what a client watches; the last one takes away a client that watches nothing.
struct Visit<'a, T: Clone> {
    all: &'a PerClient<T>,
    client: Key,
    of: Arc<Subscriptions<T>>,
}

impl<T: Clone> Drop for Visit<'_, T> {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        // Others get at it through the map alone, which is locked.
        if Arc::strong_count(&self.of) == 2 && self.of.is_empty() {
            all.remove(&self.client);
        }
    }
}

/// What is watched at one server, and who hears of updates.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// What the shared connection is asked for: by each client that it serves, and by nobody in
    /// particular.
    pub(crate) shared: Subscriptions,
    pub(crate) clients: PerClient<Place>,
    /// How many lanes each client has.
    lanes: Mutex<HashMap<Key, usize>>,
    updates: Updates,
    /// Clients that have lost a connection of their own.
    pub(crate) bereaved: Bereaved,
}

impl Watched {
    pub(crate) fn new(events: Arc<Events>) -> Self {
        Self {
            updates: Updates::new(events),
            ..Self::default()
        }
    }

    /// A connection reports an update.
    pub(crate) fn updated(&self, uri: Arc<str>, params: RawJson) {
        let places = self.clients.places(&uri);
        let own: usize = {
            let lanes = lock(&self.lanes);
            let own = places.iter().filter(|(_, at)| at.own);
            own.filter_map(|(client, _)| lanes.get(client)).sum()
        };
        let places = own + usize::from(self.shared.at(&uri).is_some());
        self.updates.tell(uri, params, places > 1);
    }

    /// What is to be asked for on a new connection of this client's own. It is on record as asked for
    /// from now on.
    pub(crate) fn take_up(&self, client: &Key) -> Vec<Arc<str>> {
        self.clients.change(client, |at| at.own = true);
        let all = self.clients.of(client);
        all.into_iter().map(|(uri, _)| uri).collect()
    }

    /// This client has one more lane.
    pub(crate) fn lane_opened(&self, client: &Key) {
        *lock(&self.lanes).entry(client.clone()).or_default() += 1;
    }

    /// It has one less. True when that leaves something unwatched.
    pub(crate) fn lane_closed(&self, client: &Key) -> bool {
        {
            let mut lanes = lock(&self.lanes);
            if let Some(count) = lanes.get_mut(client)
                && *count > 1
            {
                *count -= 1;
                return false;
            }
            lanes.remove(client);
        }
        self.clients.change(client, |at| at.own = false);
        let all = self.clients.of(client);
        all.iter().any(|(_, at)| !at.shared)
    }
}

/// Tells of updates. What several may report is told a moment later, so that it is told once; and
/// what comes after that is told again, so that nothing is missed.
pub(crate) struct Updates {
    events: Arc<Events>,
    late: Arc<Mutex<HashMap<Arc<str>, RawJson>>>,
}

impl Default for Updates {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Updates {
    pub(crate) fn new(events: Arc<Events>) -> Self {
        Self {
            events,
            late: Arc::default(),
        }
    }

    /// Tells of an update of `uri`, which others report as well when `is_common`.
    pub(crate) fn tell(&self, uri: Arc<str>, params: RawJson, is_common: bool) {
        let runtime = Handle::try_current();
        let Some(runtime) = runtime.ok().filter(|_| is_common) else {
            self.events
                .emit(BackendEvent::ResourceUpdated { uri, params });
            return;
        };
        let is_first = lock(&self.late).insert(Arc::clone(&uri), params).is_none();
        if is_first {
            let (events, late) = (Arc::clone(&self.events), Arc::clone(&self.late));
            runtime.spawn(async move {
                sleep(TOGETHER).await;
                let params = lock(&late).remove(&uri);
                if let Some(params) = params {
                    events.emit(BackendEvent::ResourceUpdated { uri, params });
                }
            });
        }
    }
}

impl fmt::Debug for Updates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Updates")
            .field("late", &lock(&self.late).len())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of them is of no effect any more.
pub(crate) fn warn_refused(settings: &Settings) {
    tracing::warn!(
        target: "mcp_gw::upstream",
        server = &*settings.server,
        "the server does not take a subscription again that it took before"
    );
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::BackendListener;
    use tokio::sync::mpsc;

    use super::*;
    use crate::owner::tests::context;

    struct Ear(mpsc::Sender<BackendEvent>);

    impl BackendListener for Ear {
        fn on_event(&self, event: BackendEvent) {
            self.0.try_send(event).unwrap();
        }
    }

    fn watched() -> (Watched, mpsc::Receiver<BackendEvent>) {
        let (sender, told) = mpsc::channel(64);
        let events = Events::default();
        events.watch(Arc::new(Ear(sender)));
        (Watched::new(Arc::new(events)), told)
    }

    fn client(session: &str) -> Key {
        Key::watcher(&context("{}", Some(session), None).client())
    }

    fn params(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    fn event(text: &str) -> BackendEvent {
        BackendEvent::ResourceUpdated {
            uri: "x:y".into(),
            params: params(text),
        }
    }

    async fn add(watched: &Watched, client: &Key, shared: bool) {
        let place = async || {
            Ok(Place {
                shared,
                own: !shared,
            })
        };
        let clients = &watched.clients;
        clients.add("s", client, "x:y", place).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_several_report_is_told_once_and_what_comes_after_is_told_again() {
        let (watched, mut told) = watched();
        for session in ["c", "d"] {
            watched.lane_opened(&client(session));
            add(&watched, &client(session), false).await;
        }
        for text in [r#"{"n":1.0}"#, r#"{"n":2.0}"#] {
            watched.updated("x:y".into(), params(text));
        }
        assert!(told.try_recv().is_err());
        sleep(TOGETHER * 2).await;
        assert_eq!(told.try_recv().unwrap(), event(r#"{"n":2.0}"#));
        assert!(told.try_recv().is_err());
        watched.updated("x:y".into(), params("{}"));
        sleep(TOGETHER * 2).await;
        assert_eq!(told.try_recv().unwrap(), event("{}"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_reports_is_told_at_once() {
        let (watched, mut told) = watched();
        let c = client("c");
        watched.lane_opened(&c);
        for _ in 0..2 {
            add(&watched, &c, false).await;
        }
        watched.updated("x:y".into(), params("{}"));
        assert_eq!(told.try_recv().unwrap(), event("{}"));
        // A second connection of the same client makes it two.
        watched.lane_opened(&c);
        watched.updated("x:y".into(), params("{}"));
        assert!(told.try_recv().is_err());
        // Nobody watches this, which is for others to judge.
        watched.updated("a:b".into(), params("{}"));
        assert!(told.try_recv().is_ok());
    }

    #[tokio::test]
    async fn what_has_nowhere_to_be_watched_is_said_when_the_last_lane_goes() {
        let (watched, _told) = watched();
        let (c, d) = (client("c"), client("d"));
        for client in [&c, &c, &d] {
            watched.lane_opened(client);
        }
        add(&watched, &c, false).await;
        add(&watched, &d, true).await;
        assert!(!watched.lane_closed(&c), "there is another one");
        assert!(watched.lane_closed(&c));
        assert!(!watched.lane_closed(&d), "the shared one serves it");
        assert!(!watched.lane_closed(&d));
        assert_eq!(watched.take_up(&c), ["x:y".into()]);
        assert!(watched.clients.of(&c)[0].1.own);
    }

    #[tokio::test]
    async fn a_client_that_watches_nothing_is_forgotten() {
        let (watched, _told) = watched();
        let c = client("c");
        add(&watched, &c, true).await;
        assert!(watched.clients.has(&c) && !watched.clients.has(&client("d")));
        let end = async |_| Ok(());
        watched.clients.remove(&c, "x:y", end).await.unwrap();
        watched.clients.remove(&c, "x:y", end).await.unwrap();
        assert!(!watched.clients.has(&c));
        let refused = async || Err(Settings::for_test().lost("refused"));
        let added = watched.clients.add("s", &c, "x:y", refused).await;
        assert!(added.is_err() && watched.clients.lock().is_empty());
    }
}
