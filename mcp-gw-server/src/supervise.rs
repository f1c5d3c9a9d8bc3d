//! Keeps the catalogue true: asks each backend for its offer at the start, when it says that
//! something changed, when what it offered is no longer good by its own words, and again and again
//! while it is away. Of servers that somebody registered there may be thousands that nobody can reach:
//! a few of them are asked at a time, and the start of the gateway does not wait for any.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use mcp_gw_core::{Backend, BackendError, Gateway, GatewayEvent, GatewayListener};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

use crate::compose::Parts;

/// Two questions to one backend are at least this far apart: a server that reports changes without
/// end must not keep the gateway busy.
const BREATH: Duration = Duration::from_millis(200);
/// The first wait after a backend could not be asked; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// The longest wait when there was news while it was asked in vain.
const RUNG: Duration = Duration::from_secs(10);
/// A server whose lists are good for a moment only is not asked more often than this on that account.
const SOONEST: Duration = Duration::from_secs(30);
/// Who takes longer to answer goes on, and makes room for the next.
const TURN: Duration = Duration::from_secs(1);

/// The start waits no longer than this for those that were well when they were last asked.
const EXPECTED: Duration = Duration::from_secs(2);

/// What those share that are asked a few at a time.
#[derive(Clone)]
pub(crate) struct Turns {
    room: Arc<Semaphore>,
    /// They were well when they were last asked.
    are_expected: bool,
}

#[cfg(any(test, feature = "management"))]
impl Turns {
    /// So many begin within a second, and the start does not wait for them.
    pub(crate) fn of_strangers(at_once: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(at_once)),
            are_expected: false,
        }
    }

    /// The same, and the start waits a moment for them, as they have been well.
    pub(crate) fn of_expected(at_once: usize) -> Self {
        let strangers = Self::of_strangers(at_once);
        Self {
            are_expected: true,
            ..strangers
        }
    }
}

/// Tasks that look after the backends of a gateway. Dropping it stops them.
pub(crate) struct Supervisor {
    gateway: Gateway,
    tasks: JoinSet<()>,
    watched: HashMap<String, Watched>,
    bells: Arc<Bells>,
}

/// A backend that is looked after.
struct Watched {
    backend: Weak<dyn Backend>,
    task: AbortHandle,
    first: watch::Receiver<bool>,
    turns: Option<Turns>,
}

impl Supervisor {
    /// Starts to look after the backends of `gateway`.
    pub(crate) fn start(gateway: &Gateway) -> Self {
        let bells = Arc::new(Bells::default());
        gateway.listen(Arc::clone(&bells) as Arc<dyn GatewayListener>);
        let mut supervisor = Self {
            gateway: gateway.clone(),
            tasks: JoinSet::new(),
            watched: HashMap::new(),
            bells,
        };
        supervisor.update(|_| None);
        supervisor
    }

    /// Looks after the backends that have come, and no more after those that have gone. Those that have
    /// turns are asked when it is theirs, and nobody waits for them.
    pub(crate) fn update(&mut self, turns: impl Fn(&str) -> Option<Turns>) {
        let mut before = std::mem::take(&mut self.watched);
        for backend in self.gateway.backends() {
            // What is known without asking does not change either, unless it says for how long it is good.
            let now = backend.offer_now();
            if now.is_some_and(|offer| offer.hints.soonest().is_none()) {
                continue;
            }
            let name = backend.name().to_owned();
            let is_it = |watched: &Watched| watched.backend.ptr_eq(&Arc::downgrade(&backend));
            let watched = match before.remove(&name) {
                Some(watched) if is_it(&watched) => watched,
                other => {
                    if let Some(other) = other {
                        other.task.abort();
                    }
                    self.watch(&backend, turns(&name))
                }
            };
            self.watched.insert(name, watched);
        }
        for (name, watched) in before {
            watched.task.abort();
            self.bells.lock().remove(&name);
        }
        while self.tasks.try_join_next().is_some() {}
    }

    fn watch(&mut self, backend: &Arc<dyn Backend>, turns: Option<Turns>) -> Watched {
        let bell = Arc::new(Notify::new());
        let (asked, first) = watch::channel(false);
        let name = backend.name().to_owned();
        self.bells.lock().insert(name.clone(), Arc::clone(&bell));
        let room = turns.as_ref().map(|turns| Arc::clone(&turns.room));
        let work = look_after(self.gateway.clone(), name, bell, asked, room);
        Watched {
            backend: Arc::downgrade(backend),
            task: self.tasks.spawn(work),
            first,
            turns,
        }
    }

    /// False for a backend that is asked when it is its turn.
    pub(crate) fn awaits(&self, name: &str) -> bool {
        let watched = self.watched.get(name);
        watched.is_none_or(|watched| watched.turns.is_none())
    }

    /// Waits until every backend that has no turns was asked once, with or without success, and a moment
    /// for those that are expected to answer.
    pub(crate) async fn asked_once(&mut self) {
        let moment = Instant::now() + EXPECTED;
        let mut expected = Vec::new();
        for watched in self.watched.values_mut() {
            match &watched.turns {
                None => drop(watched.first.wait_for(|asked| *asked).await),
                Some(turns) if turns.are_expected => expected.push(&mut watched.first),
                Some(_) => {}
            }
        }
        for first in expected {
            let asked = first.wait_for(|asked| *asked);
            if timeout_at(moment, asked).await.is_err() {
                return;
            }
        }
    }

    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// Wakes the task that looks after a backend.
#[derive(Default)]
struct Bells(Mutex<HashMap<String, Arc<Notify>>>);

impl Bells {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GatewayListener for Bells {
    fn on_event(&self, event: &GatewayEvent) {
        if let GatewayEvent::BackendChanged { name, down } = event
            && let Some(bell) = self.lock().get(name)
        {
            if let Some(reason) = down {
                tracing::warn!(server = %name, %reason, "a server is down");
            }
            bell.notify_one();
        }
    }
}

impl Parts {
    /// Looks after what is behind the gateway now.
    pub(crate) fn look_after(&mut self) {
        #[cfg(feature = "management")]
        {
            let stored = &self.stored;
            self.supervisor
                .update(|name| Some(stored.get(name)?.turns.clone()));
        }
        #[cfg(not(feature = "management"))]
        self.supervisor.update(|_| None);
    }
}

async fn look_after(
    gateway: Gateway,
    name: String,
    bell: Arc<Notify>,
    asked: watch::Sender<bool>,
    room: Option<Arc<Semaphore>>,
) {
    let mut wait = FIRST;
    let mut was_up = false;
    loop {
        let result = ask(&gateway, &name, room.as_deref()).await;
        let is_first = !asked.send_replace(true);
        match result {
            Ok(()) => {
                if !was_up {
                    tracing::info!(server = %name, "a server is up");
                }
                was_up = true;
                wait = FIRST;
                // Servers of revisions before 2026-07-28 say nothing of time, only of change.
                match gateway.good_for(&name) {
                    None => bell.notified().await,
                    Some(good) => {
                        let _ = tokio::time::timeout(good.max(SOONEST), bell.notified()).await;
                    }
                }
                tokio::time::sleep(BREATH).await;
            }
            Err(error) => {
                was_up = false;
                // Who started the gateway waits for the first answer and reports it.
                if is_first {
                    tracing::debug!(server = %name, %error, "a server cannot be asked");
                } else {
                    tracing::warn!(server = %name, %error, retry_in = ?wait, "a server cannot be asked");
                }
                // Asking a server can itself make news of it: one that greets and then refuses would be
                // asked without end. Only what comes from now on ends the wait at once.
                let pause = match bell.notified().now_or_never() {
                    Some(()) => wait.min(RUNG),
                    None => wait,
                };
                let _ = tokio::time::timeout(pause, bell.notified()).await;
                tokio::time::sleep(BREATH).await;
                wait = (wait * 2).min(LONGEST);
            }
        }
    }
}

/// Asks a backend for its offer, when it is its turn.
async fn ask(gateway: &Gateway, name: &str, room: Option<&Semaphore>) -> Result<(), BackendError> {
    let Some(room) = room else {
        return gateway.refresh_backend(name).await;
    };
    // Nobody closes it.
    let turn = room.acquire().await;
    let mut asking = pin!(gateway.refresh_backend(name));
    let within = tokio::time::timeout(TURN, asking.as_mut()).await;
    drop(turn);
    match within {
        Ok(result) => result,
        Err(_) => asking.await,
    }
}

#[cfg(test)]
mod tests;
