//! Where what a server says of its own accord is brought to whom it is for.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mcp_gw_core::{BackendEvent, CallContext, CallNotification, LogLevel, code};

use crate::call::{Back, Call, Question};
use crate::era::{Era, Hello};
use crate::notice::{Events, Notice};
use crate::owner::Owner;
use crate::pending::Pending;

/// What is known of one connection: who waits on it, and for whom it was opened.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) pending: Pending,
    /// `None` for the connection that everybody shares.
    pub(crate) owner: Option<Arc<Owner>>,
    /// What the server speaks, once that is known.
    pub(crate) era: OnceLock<Era>,
    /// True while answers may come on a stream of the server's own.
    pub(crate) is_heard: AtomicBool,
    events: Arc<Events>,
    /// The level of log messages that the server was last asked for.
    level: Mutex<Option<LogLevel>>,
}

impl Desk {
    pub(crate) fn new(events: Arc<Events>, owner: Option<Arc<Owner>>) -> Self {
        Self {
            pending: Pending::default(),
            owner,
            era: OnceLock::new(),
            is_heard: AtomicBool::new(false),
            events,
            level: Mutex::default(),
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
                self.events.emit(event);
                return true;
            }
            Notice::Cancelled { id } => {
                self.pending.cancel_question(id.as_str());
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
            (None, Some(session)) => self.events.emit(BackendEvent::ForSession {
                session: session.clone(),
                notification,
            }),
            (None, None) => return false,
        }
        true
    }

    /// Takes a request of the server, on the stream of `call` or on none.
    pub(crate) fn request<B: Back>(&self, question: Question, call: Option<&Arc<Call>>, back: B) {
        if question.method == "ping" {
            let empty = mcp_gw_core::RawJson::empty_object();
            return back.answer_now(mcp_gw_core::jsonrpc::result(&question.id, &empty));
        }
        let is_covered = |owner: &Arc<Owner>| owner.covers(&question.method);
        if !self.owner.as_ref().is_some_and(is_covered) {
            return back.answer_now(question.not_served());
        }
        if let Some(call) = call.map(Arc::clone).or_else(|| self.pending.last_call()) {
            call.ask(question, back);
        } else {
            let nobody = "No call is in flight that this could belong to";
            back.answer_now(question.refusal(code::INVALID_REQUEST, nobody));
        }
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
