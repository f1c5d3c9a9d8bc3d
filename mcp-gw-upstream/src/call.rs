//! A call in flight, and what its server asks the client meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_gw_core::jsonrpc::{self, Request};
use mcp_gw_core::{
    CallContext, CallNotification, CancelReason, ClientLink, ClientLinkError, RawJson, code,
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use crate::settings::{Settings, not_served};
use crate::vet::Vet;

/// Why the client is not asked.
const SILENCED: &str = "The client is not asked until what this server offers is approved";

/// So many requests to its client one call may have open.
const MAX_OPEN: usize = 16;
/// The longest of them, in bytes of its params and its id.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// So many units of answers may wait for a server to take them. Each begins one more than it fills.
const ROOM: usize = 1024;
const UNIT: usize = 4096;

/// Room for answers that wait for a server: 1024, and 4 MiB in all.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }

    /// Room for an answer, as long as what comes back is held.
    pub(crate) fn take(&self, answer: &RawJson) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(1 + answer.len() / UNIT).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(units).ok()
    }
}

/// A request of a server.
#[derive(Debug)]
pub(crate) struct Question {
    /// To be echoed as it is.
    pub(crate) id: RawJson,
    pub(crate) method: String,
    pub(crate) params: RawJson,
}

impl Question {
    pub(crate) fn read(request: &Request<'_>) -> Self {
        Self {
            id: RawJson::parse(request.id.get().to_owned()).unwrap_or_default(),
            method: request.method.as_ref().to_owned(),
            params: crate::notice::text(&request.params, &[]),
        }
    }

    pub(crate) fn is_short(&self) -> bool {
        self.id.len().saturating_add(self.params.len()) <= MAX_BYTES
    }

    /// The answer that says no.
    pub(crate) fn refusal(&self, code: i64, message: &str) -> RawJson {
        let error = jsonrpc::error_object(code, message, None);
        jsonrpc::error(Some(&self.id), &error)
    }

    /// The answer to what is not served at all.
    pub(crate) fn not_served(&self) -> RawJson {
        jsonrpc::error(Some(&self.id), &not_served(&self.method))
    }
}

/// The way on which a server takes answers.
pub(crate) trait Back: Clone + Send + Sync + 'static {
    /// Hands over an answer that matters.
    fn answer(&self, message: RawJson) -> impl Future<Output = ()> + Send;

    /// Hands over an answer. Does not block; false when too many wait to be taken already.
    fn answer_now(&self, message: RawJson) -> bool;
}

/// What can be told to and asked of the client of a call while a server works on it.
pub(crate) struct Call {
    link: Arc<dyn ClientLink>,
    /// Says whether the client may hear of the server.
    vet: Option<Arc<dyn Vet>>,
    has_log_level: bool,
    /// Told of everything that shows that the server or the client is at work.
    alive: Notify,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// By the text of their ids.
    questions: HashMap<Box<str>, Asked>,
    is_over: bool,
}

/// A question that the client is asked.
struct Asked {
    task: AbortHandle,
    /// Why the server takes it back, once it does.
    taken_back: CancelReason,
}

impl Call {
    pub(crate) fn new(ctx: &CallContext, settings: &Settings) -> Self {
        Self {
            link: Arc::clone(ctx.link()),
            vet: settings.vet.clone(),
            has_log_level: ctx.meta().log_level.is_some(),
            alive: Notify::new(),
            open: Mutex::default(),
        }
    }

    /// True when the request said which log messages the client wants.
    pub(crate) const fn has_log_level(&self) -> bool {
        self.has_log_level
    }

    /// True while the client is to hear nothing of the server but how the call ends.
    fn is_silenced(&self) -> bool {
        self.vet.as_ref().is_some_and(|vet| vet.is_silenced())
    }

    /// Tells the client how far the work is, if it wants to know.
    pub(crate) fn progress(&self, params: RawJson) {
        if self.link.wants_progress() {
            self.notify(CallNotification::Progress(params));
            self.alive.notify_one();
        }
    }

    /// Tells the client.
    pub(crate) fn notify(&self, notification: CallNotification) {
        if !self.is_silenced() {
            self.link.notify(notification);
        }
    }

    /// Comes back when there was a sign of life since the last time.
    pub(crate) async fn alive(&self) {
        self.alive.notified().await;
    }

    /// True while the client has a question to answer.
    pub(crate) fn is_asking(&self) -> bool {
        !self.lock().questions.is_empty()
    }

    /// Waits until the client has nothing to answer.
    pub(crate) async fn quiet(&self) {
        while self.is_asking() {
            self.alive().await;
        }
    }

    /// Asks the client, and hands its answer back, without waiting for it here. False when the server
    /// is to be told that this cannot be, and does not take what it is told.
    pub(crate) fn ask<B: Back>(self: &Arc<Self>, question: Question, back: B) -> bool {
        match self.try_ask(&question) {
            Err(refusal) => back.answer_now(question.refusal(code::INVALID_REQUEST, refusal)),
            Ok(mut open) => {
                let id = question.id.as_str().into();
                let taken_back = CancelReason::default();
                let turn = Turn {
                    call: Arc::clone(self),
                    question,
                    back,
                    taken_back: taken_back.clone(),
                };
                // It cannot end before it is in the table: that is locked until then.
                let task = tokio::spawn(turn.run()).abort_handle();
                open.questions.insert(id, Asked { task, taken_back });
                drop(open);
                self.alive.notify_one();
                true
            }
        }
    }

    fn try_ask(&self, question: &Question) -> Result<MutexGuard<'_, Open>, &'static str> {
        let open = self.lock();
        if open.is_over {
            Err("The call that this belongs to is over")
        } else if self.is_silenced() {
            Err(SILENCED)
        } else if open.questions.contains_key(question.id.as_str()) {
            Err("A request with this id is open already")
        } else if open.questions.len() >= MAX_OPEN {
            Err("Too many requests are open for one call")
        } else if !question.is_short() {
            Err("The request is longer than allowed")
        } else {
            Ok(open)
        }
    }

    /// The server does not want to know any more, and may say why. True when the question was open.
    pub(crate) fn cancel(&self, id: &str, reason: Option<&RawJson>) -> bool {
        let asked = self.lock().questions.remove(id);
        let Some(asked) = asked else { return false };
        if let Some(reason) = reason {
            asked.taken_back.set(reason.clone());
        }
        asked.task.abort();
        self.alive.notify_one();
        true
    }

    /// The call is over: nobody is asked any more.
    pub(crate) fn end(&self) {
        let mut open = self.lock();
        open.is_over = true;
        let questions = open.questions.values();
        let tasks: Vec<AbortHandle> = questions.map(|asked| asked.task.clone()).collect();
        drop(open);
        for task in tasks {
            task.abort();
        }
    }

    fn is_open(&self, id: &str) -> bool {
        self.lock().questions.contains_key(id)
    }

    /// Takes a question off the table. False when it is not there any more.
    fn take(&self, id: &str) -> bool {
        let was_open = self.lock().questions.remove(id).is_some();
        self.alive.notify_one();
        was_open
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("open", &self.lock().questions.len())
            .finish_non_exhaustive()
    }
}

/// One question on its way to the client and back. When its call ends before, it tells the server that
/// there will be no answer, unless the server itself has cancelled it. Where everything ends it says
/// nothing: the call may go on for a moment, and must not come to a result for want of this answer.
struct Turn<B: Back> {
    call: Arc<Call>,
    question: Question,
    back: B,
    taken_back: CancelReason,
}

impl<B: Back> Turn<B> {
    async fn run(mut self) {
        let params = std::mem::take(&mut self.question.params);
        let link = &self.call.link;
        let outcome = link
            .ask(&self.question.method, params, &self.taken_back)
            .await;
        let question = &self.question;
        let answer = match outcome {
            // Asked before, and answered to another one than was asked for.
            Ok(_) if self.call.is_silenced() => question.refusal(code::INVALID_REQUEST, SILENCED),
            Ok(result) => jsonrpc::result(&question.id, &result),
            Err(ClientLinkError::Rpc(error)) if error.is_object() => {
                jsonrpc::error(Some(&question.id), &error)
            }
            Err(ClientLinkError::Unsupported { .. }) => question.not_served(),
            Err(_) => question.refusal(code::INTERNAL_ERROR, "The client cannot be asked"),
        };
        // Handed over first: whoever waits for the end of the question sends what comes after it.
        if self.call.is_open(question.id.as_str()) {
            self.back.answer(answer).await;
        }
        self.call.take(question.id.as_str());
    }
}

impl<B: Back> Drop for Turn<B> {
    fn drop(&mut self) {
        if self.call.take(self.question.id.as_str()) && self.call.lock().is_over {
            let over = "The call that this belongs to is over";
            let refusal = self.question.refusal(code::INTERNAL_ERROR, over);
            // These are few: their questions were open.
            let _ = self.back.answer_now(refusal);
        }
    }
}

/// Ends the call when whoever waits for its answer does not any more.
#[derive(Debug)]
pub(crate) struct EndOnDrop(pub(crate) Option<Arc<Call>>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if let Some(call) = &self.0 {
            call.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use mcp_gw_core::testing::context_of;
    use mcp_gw_core::{Caller, Incoming, RequestMeta, Transport};

    use super::*;

    /// Asks nobody, for ever.
    struct Silent(Arc<Notify>);

    #[async_trait]
    impl ClientLink for Silent {
        fn notify(&self, _: CallNotification) {}

        fn wants_progress(&self) -> bool {
            false
        }

        async fn request(&self, _: &str, _: RawJson) -> Result<RawJson, ClientLinkError> {
            self.0.notify_one();
            std::future::pending().await
        }
    }

    /// Keeps what a server is told.
    #[derive(Debug, Clone, Default)]
    struct Told(Arc<Mutex<Vec<String>>>);

    impl Back for Told {
        async fn answer(&self, message: RawJson) {
            self.answer_now(message);
        }

        fn answer_now(&self, message: RawJson) -> bool {
            self.0.lock().unwrap().push(message.to_string());
            true
        }
    }

    #[test]
    fn a_server_hears_of_the_end_of_its_call_and_of_no_other() {
        for ends in [true, false] {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let (told, asked) = (Told::default(), Arc::new(Notify::new()));
            let link = Arc::new(Silent(Arc::clone(&asked)));
            let meta = RequestMeta::new("1", Transport::InProcess);
            let ctx = context_of(Incoming::new(Caller::local(), meta).with_link(link));
            let call = Arc::new(Call::new(&ctx, &Settings::for_test()));
            runtime.block_on(async {
                let question = Question {
                    id: RawJson::parse("7".to_owned()).unwrap(),
                    method: "roots/list".to_owned(),
                    params: RawJson::empty_object(),
                };
                assert!(call.ask(question, told.clone()));
                asked.notified().await;
                if ends {
                    call.end();
                }
            });
            // All that runs ends here.
            runtime.shutdown_timeout(Duration::from_secs(20));
            let told = told.0.lock().unwrap();
            assert_eq!(told.len(), usize::from(ends), "{told:?}");
            assert!(told.iter().all(|told| told.contains("-32603")), "{told:?}");
        }
    }
}
