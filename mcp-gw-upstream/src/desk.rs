//! Where what a server says of its own accord is brought to whom it is for.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use mcp_gw_core::{BackendEvent, CallContext, CallNotification, LogLevel, RawJson, code, jsonrpc};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use crate::call::{Back, Call, Question};
use crate::era::{Era, Hello};
use crate::notice::{Events, Notice};
use crate::owner::{Owner, ROOTS};
use crate::pending::Pending;
use crate::settings::Settings;
use crate::unjudged;
use crate::vet::{Vet, Vetted};
use crate::watched::Watched;

/// So many questions wait for a call.
const MAX_HELD: usize = 16;
/// So long a call waits for what its client is asked before it.
const PATIENCE: Duration = Duration::from_secs(10);

/// So long a server waits for an answer in any case.
const FRESH: Duration = Duration::from_secs(20);

/// Asks the client of a call.
type Ask = Box<dyn FnOnce(&Arc<Call>) + Send>;

/// Questions that came when no call was in flight.
#[derive(Default)]
struct Held {
    /// By their ids.
    waiting: Vec<(RawJson, Ask)>,
    /// Since when one has waited for the first call.
    since: Option<Instant>,
    /// The server did not wait any longer.
    is_lost: bool,
    had_call: bool,
}

/// What is known of one connection: who waits on it, and for whom it was opened.
pub(crate) struct Desk {
    pub(crate) pending: Pending,
    /// What came of the look at what is listed on it.
    pub(crate) vetted: Vetted,
    /// `None` for the connection that everybody shares.
    pub(crate) owner: Option<Arc<Owner>>,
    /// What the server speaks, once that is known.
    pub(crate) era: OnceLock<Era>,
    /// True while answers may come on a stream of the server's own.
    pub(crate) is_heard: AtomicBool,
    /// Its name, for the log.
    server: Arc<str>,
    /// Says whether the server has to be judged before it is heard.
    vet: Option<Arc<dyn Vet>>,
    is_overrun: AtomicBool,
    events: Arc<Events>,
    watched: Arc<Watched>,
    /// The server says that what it lists here has changed.
    lists_changed: Notify,
    /// Who waits to hear what the server agrees to tell. One at a time opens a stream of news.
    acknowledged: Mutex<Option<oneshot::Sender<RawJson>>>,
    /// The level of log messages that the server was last asked for.
    level: Mutex<Option<LogLevel>>,
    held: Mutex<Held>,
}

impl Desk {
    pub(crate) fn new(
        settings: &Settings,
        events: Arc<Events>,
        watched: Arc<Watched>,
        owner: Option<Arc<Owner>>,
    ) -> Self {
        Self {
            pending: Pending::default(),
            vetted: Vetted::default(),
            owner,
            era: OnceLock::new(),
            is_heard: AtomicBool::new(false),
            server: Arc::clone(&settings.server),
            vet: settings.vet.clone(),
            is_overrun: AtomicBool::new(false),
            events,
            watched,
            lists_changed: Notify::new(),
            acknowledged: Mutex::default(),
            level: Mutex::default(),
            held: Mutex::default(),
        }
    }

    /// False while what is listed on this connection has to be judged and was not.
    fn may_speak(&self) -> bool {
        let is_needed = self.vet.as_ref().is_some_and(|vet| vet.is_needed());
        !is_needed || self.vetted.may_speak()
    }

    /// The event as clients may hear of it.
    pub(crate) fn heard(&self, event: BackendEvent) -> BackendEvent {
        if event == BackendEvent::OfferChanged {
            self.vetted.look_again();
        }
        if self.may_speak() {
            event
        } else {
            unjudged::bare(event)
        }
    }

    /// Takes a notification that came on no call's own stream. False when it is nobody's.
    pub(crate) fn notice(&self, notice: Notice) -> bool {
        let (is_log, notification) = match notice {
            Notice::Progress { token, params } => {
                self.pending.progress(token, params);
                return true;
            }
            Notice::Event(event) => {
                match self.heard(event) {
                    BackendEvent::ResourceUpdated { uri, params } => {
                        self.watched.updated(uri, params);
                    }
                    event => {
                        if event == BackendEvent::OfferChanged {
                            self.lists_changed.notify_one();
                        }
                        self.events.emit(event);
                    }
                }
                return true;
            }
            Notice::Acknowledged(params) => {
                let waiting = self.acknowledged.lock();
                let waiting = waiting.unwrap_or_else(PoisonError::into_inner).take();
                return waiting.is_some_and(|waiting| waiting.send(params).is_ok());
            }
            Notice::Cancelled { id, reason } => {
                let mut held = self.held();
                let before = held.waiting.len();
                held.waiting.retain(|(held, _)| *held != id);
                held.is_lost |= held.waiting.len() < before;
                drop(held);
                self.pending.cancel_question(id.as_str(), reason.as_ref());
                return true;
            }
            Notice::Log(params) => (true, CallNotification::Log(params)),
            Notice::Other { method, params } => (false, CallNotification::Other { method, params }),
        };
        let Some(owner) = &self.owner else {
            // A server of 2026-07-28 logs for requests that say so only: one such, and it is that.
            let is_told_apart = is_log && self.era.get() == Some(&Era::Modern);
            let call = self.pending.only_call(Call::has_log_level);
            return match call.filter(|_| is_told_apart) {
                Some(call) => {
                    call.notify(notification);
                    true
                }
                None => false,
            };
        };
        match (self.pending.only_call(|_| true), &owner.session) {
            (Some(call), _) => call.notify(notification),
            (None, Some(_)) if !self.may_speak() => {
                tracing::debug!(
                    target: "mcp_gw::upstream",
                    server = &*self.server,
                    "a message is dropped: what the server lists was not judged yet"
                );
            }
            (None, Some(session)) => self.events.emit(BackendEvent::ForSession {
                session: session.clone(),
                notification,
            }),
            (None, None) => return false,
        }
        true
    }

    /// Comes back when the server has said that what it lists here has changed.
    pub(crate) async fn lists_changed(&self) {
        self.lists_changed.notified().await;
    }

    /// Hands the next acknowledgement to whoever waits here.
    pub(crate) fn await_acknowledgement(&self, waiting: oneshot::Sender<RawJson>) {
        let mut slot = self
            .acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *slot = Some(waiting);
    }

    /// Takes a request of the server, on the stream of `call` or on none. A server that asks on and
    /// takes no answers loses what is in flight on the connection.
    pub(crate) fn request<B: Back>(&self, question: Question, call: Option<&Arc<Call>>, back: B) {
        if self.take_request(question, call, back) {
            return;
        }
        let reason = "it asks more than it takes answers to";
        if !self.is_overrun.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "mcp_gw::upstream",
                server = &*self.server,
                "the calls on a connection fail: {reason}"
            );
        }
        self.pending.fail(reason);
    }

    /// True once the server has asked more than it took answers to.
    pub(crate) fn is_overrun(&self) -> bool {
        self.is_overrun.load(Ordering::Relaxed)
    }

    /// False when too many answers wait to be taken already.
    fn take_request<B: Back>(&self, question: Question, call: Option<&Arc<Call>>, back: B) -> bool {
        if question.method == "ping" {
            let empty = RawJson::empty_object();
            return back.answer_now(jsonrpc::result(&question.id, &empty));
        }
        let is_covered = |owner: &Arc<Owner>| owner.covers(&question.method);
        if !self.owner.as_ref().is_some_and(is_covered) {
            return back.answer_now(question.not_served());
        }
        if let Some(call) = call {
            return call.ask(question, back);
        }
        // Locked first, so that a call that begins now either is found here or finds the question.
        let mut held = self.held();
        if let Some(call) = self.pending.last_call() {
            call.ask(question, back)
        } else if held.waiting.len() < MAX_HELD
            && question.is_short()
            && (!held.had_call || question.method == ROOTS)
        {
            // The connection was opened for a call that is about to be made; and whoever was told
            // that roots have changed asks for them between calls.
            let id = question.id.clone();
            let ask: Ask = Box::new(move |call| {
                // These are few: none is refused but for its length.
                let _ = call.ask(question, back);
            });
            held.since.get_or_insert_with(Instant::now);
            held.waiting.push((id, ask));
            true
        } else {
            let nobody = "No call is in flight that this could belong to";
            back.answer_now(question.refusal(code::INVALID_REQUEST, nobody))
        }
    }

    /// True when the connection was opened so long before its first call that the server has given up
    /// on what it asked at once, or is about to: it had better be met anew.
    pub(crate) fn is_stale(&self) -> bool {
        let held = self.held();
        let is_late = held.since.is_some_and(|since| since.elapsed() > FRESH);
        !held.had_call && (held.is_lost || is_late)
    }

    /// Asks the client of a call, which is in flight from now on, what has waited for it. Comes back
    /// when that is answered, or after a while: only then the server can be expected to do its work.
    pub(crate) async fn hand_over(&self, call: &Arc<Call>) {
        let waiting = {
            let mut held = self.held();
            held.had_call = true;
            std::mem::take(&mut held.waiting)
        };
        if waiting.is_empty() {
            return;
        }
        for (_, ask) in waiting {
            ask(call);
        }
        // What is not answered by then goes on beside the call.
        let _ = timeout(PATIENCE, call.quiet()).await;
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The level of log messages that the server is to be asked for before this call is made.
    pub(crate) fn level_to_set(&self, ctx: &CallContext, hello: &Hello) -> Option<LogLevel> {
        let wanted = ctx.meta().log_level?;
        if self.owner.is_none() || hello.era == Era::Modern || !hello.has("logging") {
            return None;
        }
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        (level.replace(wanted) != Some(wanted)).then_some(wanted)
    }

    /// The server did not take the level: the next call asks again.
    pub(crate) fn level_refused(&self) {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("owner", &self.owner)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use mcp_gw_core::{BackendListener, BoxError, Offer};

    use super::*;
    use crate::vet::Judgement;

    #[derive(Debug)]
    struct Strict;

    #[async_trait]
    impl Vet for Strict {
        fn is_needed(&self) -> bool {
            true
        }

        async fn vet(self: Arc<Self>, _: Offer) -> Result<Arc<dyn Judgement>, BoxError> {
            Err("nobody asks".into())
        }
    }

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl BackendListener for Heard {
        fn on_event(&self, event: BackendEvent) {
            if let BackendEvent::TaskChanged { params, .. } = event {
                self.0.lock().unwrap().push(params.to_string());
            }
        }
    }

    #[test]
    fn a_server_is_not_heard_before_it_was_judged() {
        let (events, heard) = (Arc::new(Events::default()), Arc::new(Heard::default()));
        events.watch(Arc::clone(&heard) as Arc<dyn BackendListener>);
        let watched = Arc::new(Watched::new(Arc::clone(&events)));
        let settings = Settings {
            vet: Some(Arc::new(Strict)),
            ..Settings::for_test()
        };
        let desk = Desk::new(&settings, events, watched, None);
        let says = |event| desk.notice(Notice::Event(event));
        let news = || BackendEvent::TaskChanged {
            task_id: "7".into(),
            params: RawJson::parse(r#"{"taskId":"7","statusMessage":"m"}"#.to_owned()).unwrap(),
        };
        let steps: [fn(&Vetted); 4] = [
            |_| {},
            Vetted::let_speak,
            Vetted::look_again,
            Vetted::forget,
        ];
        for step in steps {
            step(&desk.vetted);
            assert!(says(news()));
        }
        let (bare, whole) = (r#"{"taskId":"7"}"#, r#"{"taskId":"7","statusMessage":"m"}"#);
        assert_eq!(*heard.0.lock().unwrap(), [bare, whole, whole, bare]);
    }
}
