//! Keeps the catalogue true: asks each backend for its offer at the start, when it says that
//! something changed, when what it offered is no longer good by its own words, and again and again
//! while it is away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use mcp_gw_core::{Backend, Gateway, GatewayEvent, GatewayListener};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};

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
        supervisor.update();
        supervisor
    }

    /// Looks after the backends that have come, and no more after those that have gone.
    pub(crate) fn update(&mut self) {
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
                    self.watch(&backend)
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

    fn watch(&mut self, backend: &Arc<dyn Backend>) -> Watched {
        let bell = Arc::new(Notify::new());
        let (asked, first) = watch::channel(false);
        let name = backend.name().to_owned();
        self.bells.lock().insert(name.clone(), Arc::clone(&bell));
        let work = look_after(self.gateway.clone(), name, bell, asked);
        Watched {
            backend: Arc::downgrade(backend),
            task: self.tasks.spawn(work),
            first,
        }
    }

    /// Waits until every backend was asked once, with or without success.
    pub(crate) async fn asked_once(&mut self) {
        for watched in self.watched.values_mut() {
            let _ = watched.first.wait_for(|asked| *asked).await;
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

async fn look_after(gateway: Gateway, name: String, bell: Arc<Notify>, asked: watch::Sender<bool>) {
    let mut wait = FIRST;
    let mut was_up = false;
    loop {
        let result = gateway.refresh_backend(&name).await;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use mcp_gw_core::{
        BackendError, BackendEvent, BackendListener, CacheHint, CallContext, ListHints, Offer,
        ToolCall, ToolOutput,
    };

    use super::*;

    /// Counts how often it is asked, and says how long its answer is good.
    struct Counted(Arc<AtomicUsize>, Option<u64>);

    #[async_trait]
    impl Backend for Counted {
        fn name(&self) -> &'static str {
            "counted"
        }

        async fn offer(&self) -> Result<Offer, BackendError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            let mut offer = Offer::default();
            let hint = self.1.map(|s| CacheHint::new(Duration::from_secs(s), true));
            offer.hints = ListHints::all(hint);
            Ok(offer)
        }

        async fn call_tool(
            &self,
            _: &CallContext,
            _: ToolCall,
        ) -> Result<ToolOutput, BackendError> {
            Err(self.unsupported("tools/call"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_asked_again_when_its_lists_are_no_longer_good_and_not_all_the_time() {
        for (ttl, within, asked) in [
            (None, 100_000, 1),
            (Some(600), 590, 1),
            (Some(600), 610, 2),
            (Some(0), 29, 1),
            (Some(0), 3030, 101),
        ] {
            let count = Arc::new(AtomicUsize::new(0));
            let gateway = Gateway::builder()
                .backend(Counted(Arc::clone(&count), ttl))
                .build()
                .unwrap();
            let mut supervisor = Supervisor::start(&gateway);
            supervisor.asked_once().await;
            // Time is paused, and runs on while nothing else does.
            tokio::time::sleep(Duration::from_secs(within)).await;
            let found = count.load(Ordering::SeqCst);
            assert_eq!(found, asked, "{ttl:?} within {within} s");
            supervisor.stop().await;
        }
    }

    /// Knows at once what it offers, and may find out that it is something else.
    struct Local(Counted);

    #[async_trait]
    impl Backend for Local {
        fn name(&self) -> &'static str {
            "local"
        }

        fn offer_now(&self) -> Option<Offer> {
            let mut offer = Offer::default();
            let hint = self
                .0
                .1
                .map(|s| CacheHint::new(Duration::from_secs(s), true));
            offer.hints = ListHints::all(hint);
            Some(offer)
        }

        async fn offer(&self) -> Result<Offer, BackendError> {
            self.0.offer().await
        }

        async fn call_tool(
            &self,
            ctx: &CallContext,
            call: ToolCall,
        ) -> Result<ToolOutput, BackendError> {
            self.0.call_tool(ctx, call).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_without_asking_is_asked_for_only_where_it_may_change() {
        for (ttl, asked) in [(None, 0), (Some(300), 4)] {
            let count = Arc::new(AtomicUsize::new(0));
            let backend = Local(Counted(Arc::clone(&count), ttl));
            let gateway = Gateway::builder().backend(backend).build().unwrap();
            let mut supervisor = Supervisor::start(&gateway);
            supervisor.asked_once().await;
            tokio::time::sleep(Duration::from_secs(1000)).await;
            assert_eq!(count.load(Ordering::SeqCst), asked, "{ttl:?}");
            supervisor.stop().await;
        }
    }

    /// Is met anew each time it is asked, and then has no answer.
    #[derive(Default)]
    struct Forgetful(
        Arc<AtomicUsize>,
        std::sync::OnceLock<Arc<dyn BackendListener>>,
    );

    #[async_trait]
    impl Backend for Forgetful {
        fn name(&self) -> &'static str {
            "forgetful"
        }

        fn watch(&self, listener: Arc<dyn BackendListener>) {
            assert!(self.1.set(listener).is_ok());
        }

        async fn offer(&self) -> Result<Offer, BackendError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            self.1.get().unwrap().on_event(BackendEvent::OfferChanged);
            Err(BackendError::Forgetful {
                server: "forgetful".into(),
            })
        }

        async fn call_tool(
            &self,
            _: &CallContext,
            _: ToolCall,
        ) -> Result<ToolOutput, BackendError> {
            Err(self.unsupported("tools/call"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_makes_news_by_being_asked_is_not_asked_without_end() {
        let count = Arc::new(AtomicUsize::new(0));
        let backend = Forgetful(Arc::clone(&count), std::sync::OnceLock::new());
        let gateway = Gateway::builder().backend(backend).build().unwrap();
        let mut supervisor = Supervisor::start(&gateway);
        supervisor.asked_once().await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        let found = count.load(Ordering::SeqCst);
        assert!((30..80).contains(&found), "{found} times in ten minutes");
        supervisor.stop().await;
    }
}
