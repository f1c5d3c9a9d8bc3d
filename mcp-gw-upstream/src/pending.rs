//! Requests that wait for their answer on one connection, by id.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_gw_core::RawJson;
use tokio::sync::oneshot;

use crate::call::Call;
use crate::era::error_fault;

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    Result(RawJson),
    Error(RawJson),
    /// There was an answer, longer than allowed.
    TooLarge,
    /// There was an answer that could not be read.
    Malformed(String),
    /// There will be none.
    Dead(String),
}

impl Reply {
    /// What a response says.
    pub(crate) fn of(outcome: Result<RawJson, RawJson>) -> Self {
        match outcome {
            Ok(result) => Self::Result(result),
            Err(error) => match error_fault(&error) {
                None => Self::Error(error),
                Some(fault) => Self::Malformed(fault.to_owned()),
            },
        }
    }
}

/// Where the answer of one request goes.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) answer: oneshot::Sender<Reply>,
    /// The call that it is for, when it is for one.
    pub(crate) call: Option<Arc<Call>>,
}

/// The requests to one server.
#[derive(Default)]
pub(crate) struct Pending(Mutex<Table>);

/// Ids grow: the last request has the greatest.
#[derive(Default)]
struct Table {
    waiting: BTreeMap<i64, Waiting>,
    dead: Option<String>,
}

impl Pending {
    /// Adds a request.
    ///
    /// # Errors
    /// Why the connection is of no use, when it is of none.
    pub(crate) fn add(&self, id: i64, waiting: Waiting) -> Result<(), String> {
        let mut table = self.lock();
        if let Some(reason) = &table.dead {
            return Err(reason.clone());
        }
        table.waiting.insert(id, waiting);
        Ok(())
    }

    /// Gives a request up. True when it still waited.
    pub(crate) fn remove(&self, id: i64) -> bool {
        self.lock().waiting.remove(&id).is_some()
    }

    /// Hands an answer to its request. False when there is none, or not any more.
    pub(crate) fn answer(&self, id: i64, reply: Reply) -> bool {
        let waiting = self.lock().waiting.remove(&id);
        waiting.is_some_and(|waiting| waiting.answer.send(reply).is_ok())
    }

    /// Hands progress to its request.
    pub(crate) fn progress(&self, id: i64, params: RawJson) {
        let waiting = self.lock();
        let call = waiting
            .waiting
            .get(&id)
            .and_then(|found| found.call.clone());
        drop(waiting);
        if let Some(call) = call {
            call.progress(params);
        }
    }

    /// The call that started last.
    pub(crate) fn last_call(&self) -> Option<Arc<Call>> {
        let table = self.lock();
        let mut calls = table.waiting.values().rev();
        calls.find_map(|waiting| waiting.call.clone())
    }

    /// The one call in flight that is like this; `None` when there is none, or more than one.
    pub(crate) fn only_call(&self, is_like: impl Fn(&Call) -> bool) -> Option<Arc<Call>> {
        let table = self.lock();
        let mut calls = table
            .waiting
            .values()
            .filter_map(|waiting| waiting.call.as_ref())
            .filter(|call| is_like(call));
        let first = calls.next().map(Arc::clone);
        first.filter(|_| calls.next().is_none())
    }

    /// The server does not want to know any more what it has asked under this id.
    pub(crate) fn cancel_question(&self, id: &str, reason: Option<&RawJson>) {
        let calls: Vec<Arc<Call>> = {
            let table = self.lock();
            let calls = table.waiting.values();
            calls.filter_map(|waiting| waiting.call.clone()).collect()
        };
        // Two calls may have been asked under one id, if the server is careless: the last is meant.
        let _ = calls.iter().rev().any(|call| call.cancel(id, reason));
    }

    /// Takes nothing more; what waits goes on waiting.
    pub(crate) fn seal(&self, reason: &str) {
        self.lock().dead.get_or_insert_with(|| reason.to_owned());
    }

    /// Fails everything that waits. What comes later is taken.
    pub(crate) fn fail(&self, reason: &str) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        for waiting in waiting.into_values() {
            let _ = waiting.answer.send(Reply::Dead(reason.to_owned()));
        }
    }

    /// Fails everything that waits and everything that will be added.
    pub(crate) fn close(&self, reason: &str) {
        let mut table = self.lock();
        table.dead = Some(reason.to_owned());
        let waiting = std::mem::take(&mut table.waiting);
        drop(table);
        for waiting in waiting.into_values() {
            let _ = waiting.answer.send(Reply::Dead(reason.to_owned()));
        }
    }

    /// Why the connection is of no use any more, when that is so.
    pub(crate) fn dead(&self) -> Option<String> {
        self.lock().dead.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("waiting", &self.lock().waiting.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> (Waiting, oneshot::Receiver<Reply>) {
        let (answer, answered) = oneshot::channel();
        (Waiting { answer, call: None }, answered)
    }

    #[test]
    fn an_error_is_an_object() {
        let of = |text: &'static str| Reply::of(Err(RawJson::parse(text).unwrap()));
        assert!(matches!(of("{}"), Reply::Malformed(_)));
        assert!(matches!(of(r#"{"code":1,"message":"m"}"#), Reply::Error(_)));
        for text in ["\"boom\"", "null", "[]", "1"] {
            assert!(matches!(of(text), Reply::Malformed(_)), "{text}");
        }
    }

    #[tokio::test]
    async fn a_process_that_has_ended_takes_nothing_more_but_what_it_said_before_counts() {
        let pending = Pending::default();
        let (first, answered) = waiting();
        let (second, lost) = waiting();
        pending.add(1, first).unwrap();
        pending.add(2, second).unwrap();
        pending.seal("it has ended");
        assert_eq!(pending.add(3, waiting().0).unwrap_err(), "it has ended");
        assert!(pending.answer(1, Reply::Result(RawJson::empty_object())));
        assert!(matches!(answered.await.unwrap(), Reply::Result(_)));
        pending.close("exit status: 1");
        assert!(matches!(lost.await.unwrap(), Reply::Dead(reason) if reason == "exit status: 1"));
        assert_eq!(pending.add(4, waiting().0).unwrap_err(), "exit status: 1");
        assert!(!pending.answer(2, Reply::TooLarge));
    }
}
