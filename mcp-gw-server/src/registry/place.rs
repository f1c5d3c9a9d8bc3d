//! The way to one instance. It stays while the servers around it change: only who uses it is new.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use mcp_gw_core::{
    Backend, BackendError, BackendEvent, BackendListener, CallContext, Offer, PromptGet, RawJson,
    ResourceRead, ToolCall, ToolOutput,
};

use super::record::Record;

/// A connection to an instance, or what makes one.
pub(crate) struct Place {
    backend: Arc<dyn Backend>,
    record: Arc<Record>,
    relay: Arc<Relay>,
    /// The number of the seat that was taken last.
    newest: AtomicU64,
}

impl Place {
    pub(crate) fn new(backend: Arc<dyn Backend>, record: Arc<Record>) -> Arc<Self> {
        let relay = Arc::new(Relay::default());
        // A backend tells one listener for as long as it lives.
        backend.watch(Arc::clone(&relay) as Arc<dyn BackendListener>);
        Arc::new(Self {
            backend,
            record,
            relay,
            newest: AtomicU64::new(0),
        })
    }

    /// Asks how it is.
    pub(crate) async fn check(&self) -> Result<(), BackendError> {
        let outcome = self.backend.check().await;
        match &outcome {
            Ok(()) => self.record.answered(),
            Err(error) => self.record.failed(&error.to_string()),
        }
        outcome
    }

    /// A use of it. Only the last one that was given hears of what it says, and closes it.
    pub(crate) fn seat(self: &Arc<Self>) -> Seat {
        Seat {
            number: self.newest.fetch_add(1, Ordering::AcqRel) + 1,
            place: Arc::clone(self),
        }
    }
}

/// Passes on to who listens now.
#[derive(Default)]
struct Relay(Mutex<Option<Arc<dyn BackendListener>>>);

impl BackendListener for Relay {
    fn on_event(&self, event: BackendEvent) {
        let listener = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = listener.clone();
        if let Some(listener) = listener {
            listener.on_event(event);
        }
    }
}

/// One use of a [`Place`], as a replica of a server.
pub(crate) struct Seat {
    place: Arc<Place>,
    number: u64,
}

impl Seat {
    fn note<T>(&self, outcome: Result<T, BackendError>) -> Result<T, BackendError> {
        match &outcome {
            Ok(_) => self.place.record.answered(),
            Err(error) => self.place.record.failed(&error.to_string()),
        }
        outcome
    }

    /// What a call tells of the instance: only that it is away, as an error may be the call's.
    fn note_call<T>(&self, outcome: Result<T, BackendError>) -> Result<T, BackendError> {
        if let Err(error @ (BackendError::Unavailable { .. } | BackendError::Lost { .. })) =
            &outcome
        {
            self.place.record.failed(&error.to_string());
        }
        outcome
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Seat {
    mcp_gw_core::forward_backend!(|this| this.place.backend =>
        name, offer_now, arguments_in_effect, complete, task, watch_task, unwatch_task, subscribe,
        resubscribe, unsubscribe, renew, greet, end_session, roots_changed, unsupported);

    async fn offer(&self) -> Result<Offer, BackendError> {
        self.note(self.place.backend.offer().await)
    }

    async fn check(&self) -> Result<(), BackendError> {
        self.place.check().await
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        let _under = self.place.record.begin(true);
        self.note_call(self.place.backend.call_tool(ctx, call).await)
    }

    async fn read_resource(
        &self,
        ctx: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        let _under = self.place.record.begin(false);
        self.note_call(self.place.backend.read_resource(ctx, read).await)
    }

    async fn get_prompt(&self, ctx: &CallContext, get: PromptGet) -> Result<RawJson, BackendError> {
        let _under = self.place.record.begin(false);
        self.note_call(self.place.backend.get_prompt(ctx, get).await)
    }

    fn watch(&self, listener: Arc<dyn BackendListener>) {
        if self.place.newest.load(Ordering::Acquire) == self.number {
            let mut current = self
                .place
                .relay
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *current = Some(listener);
        }
    }

    async fn close(&self) {
        if self.place.newest.load(Ordering::Acquire) == self.number {
            self.place.backend.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use mcp_gw_core::SystemClock;
    use mcp_gw_store::{Health, ServerStatus};

    use super::super::news::Dirty;
    use super::*;

    #[derive(Default)]
    struct Counted {
        closed: AtomicUsize,
        listener: std::sync::OnceLock<Arc<dyn BackendListener>>,
    }

    #[async_trait]
    impl Backend for Counted {
        fn name(&self) -> &'static str {
            "counted"
        }

        async fn offer(&self) -> Result<Offer, BackendError> {
            Ok(Offer::default())
        }

        async fn call_tool(
            &self,
            _: &CallContext,
            _: ToolCall,
        ) -> Result<ToolOutput, BackendError> {
            Err(self.unsupported("tools/call"))
        }

        fn watch(&self, listener: Arc<dyn BackendListener>) {
            assert!(self.listener.set(listener).is_ok());
        }

        async fn close(&self) {
            self.closed.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[derive(Default)]
    struct Heard(AtomicUsize);

    impl BackendListener for Heard {
        fn on_event(&self, _: BackendEvent) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn only_who_uses_it_last_hears_of_it_and_closes_it() {
        let backend = Arc::new(Counted::default());
        let clock = Arc::new(SystemClock::new());
        let dirty = Arc::new(Dirty::default());
        let record = Record::new("a".into(), Health::new(), clock, dirty);
        let record = Arc::new(record);
        let place = Place::new(
            Arc::clone(&backend) as Arc<dyn Backend>,
            Arc::clone(&record),
        );
        let (first, second) = (place.seat(), place.seat());
        let (early, late) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
        second.watch(Arc::clone(&late) as Arc<dyn BackendListener>);
        first.watch(Arc::clone(&early) as Arc<dyn BackendListener>);
        let listener = backend.listener.get().unwrap();
        listener.on_event(BackendEvent::OfferChanged);
        let heard = |who: &Heard| who.0.load(Ordering::SeqCst);
        assert_eq!((heard(&early), heard(&late)), (0, 1));
        first.close().await;
        assert_eq!(backend.closed.load(Ordering::SeqCst), 0);
        second.close().await;
        assert_eq!(backend.closed.load(Ordering::SeqCst), 1);
        assert_eq!(record.status(), ServerStatus::Unknown);
        second.offer().await.unwrap();
        assert_eq!(record.status(), ServerStatus::Healthy);
    }
}
