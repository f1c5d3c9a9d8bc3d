//! Questions to a client that answers them in another request (MCP 2026-07-28): they lie here until
//! the client comes for them, and again until it brings the answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_gw_core::{Caller, ClientLinkError, Members, ObjectWriter, RawJson};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use crate::parked::{Parking, Place};
use crate::rpc_error::RpcError;

/// Questions that are no further apart go to the client together.
const TOGETHER: Duration = Duration::from_millis(50);

/// The questions of one call, and its outcome once it has one.
#[derive(Debug)]
pub(crate) struct Desk {
    parking: Arc<Parking>,
    caller: Arc<Caller>,
    state: Mutex<State>,
    /// Rings when there is something to look at. One looks at a time.
    bell: Notify,
}

#[derive(Debug, Default)]
struct State {
    asked: u64,
    open: BTreeMap<u64, Question>,
    outcome: Option<Outcome>,
    /// Held from the first question on.
    place: Option<Place>,
}

type Outcome = Result<RawJson, RpcError>;

#[derive(Debug)]
struct Question {
    method: String,
    params: RawJson,
    answer: oneshot::Sender<RawJson>,
}

/// Why a call is looked at.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It has ended.
    Done(Outcome),
    /// The client is to answer something.
    Asked,
}

impl Desk {
    pub(crate) fn new(parking: Arc<Parking>, caller: Arc<Caller>) -> Self {
        Self {
            parking,
            caller,
            state: Mutex::default(),
            bell: Notify::new(),
        }
    }

    /// Lays a question down and waits for its answer. Dropping the future takes it back.
    pub(crate) async fn ask(
        &self,
        method: &str,
        params: RawJson,
    ) -> Result<RawJson, ClientLinkError> {
        let (answer, answered) = oneshot::channel();
        let number = {
            let mut state = self.lock();
            if state.place.is_none() {
                let place = self.parking.place(&self.caller);
                state.place = Some(place.ok_or_else(|| ClientLinkError::Unsupported {
                    method: method.to_owned(),
                })?);
            }
            state.asked += 1;
            let question = Question {
                method: method.to_owned(),
                params,
                answer,
            };
            let number = state.asked;
            state.open.insert(number, question);
            number
        };
        let _lying = Lying { desk: self, number };
        self.bell.notify_one();
        answered.await.map_err(|_| ClientLinkError::Gone)
    }

    /// Waits until there is a question, or the end.
    pub(crate) async fn turn(&self) -> Turn {
        loop {
            let rung = self.bell.notified();
            {
                let mut state = self.lock();
                if let Some(outcome) = state.outcome.take() {
                    return Turn::Done(outcome);
                }
                if !state.open.is_empty() {
                    return Turn::Asked;
                }
            }
            rung.await;
        }
    }

    /// The same, with all questions that come together: a server that asks several things at once
    /// sends them one after the other.
    pub(crate) async fn round(&self) -> Turn {
        loop {
            if let Turn::Done(outcome) = self.turn().await {
                return Turn::Done(outcome);
            }
            // It rings for every question, of which there is an end.
            let is_quiet = timeout(TOGETHER, self.bell.notified()).await.is_err();
            let state = self.lock();
            if is_quiet && state.outcome.is_none() && !state.open.is_empty() {
                return Turn::Asked;
            }
        }
    }

    /// The call has ended; only the first end counts.
    pub(crate) fn finish(&self, outcome: Outcome) {
        self.lock().outcome.get_or_insert(outcome);
        self.bell.notify_one();
    }

    /// The questions that lie here, as `inputRequests`.
    pub(crate) fn requests(&self) -> RawJson {
        let state = self.lock();
        let mut requests = ObjectWriter::default();
        for (number, question) in &state.open {
            let request = ObjectWriter::with_capacity(question.params.len() + 64)
                .string("method", &question.method)
                .raw("params", &question.params)
                .finish();
            requests = requests.raw(&key(*number), &request);
        }
        requests.finish()
    }

    /// Hands out the answers in `inputResponses`. Those to questions that are not there are ignored.
    pub(crate) fn answer(&self, responses: &RawJson, members: &Members<'_>) {
        let mut state = self.lock();
        let numbers: Vec<u64> = state.open.keys().copied().collect();
        for number in numbers {
            let Some(response) = members.get(&key(number)) else {
                continue;
            };
            if let Some(question) = state.open.remove(&number) {
                // Who asked may have gone on meanwhile.
                let _ = question.answer.send(responses.slice(response));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(number: u64) -> String {
    format!("input-{number}")
}

/// A question that has not been answered.
struct Lying<'d> {
    desk: &'d Desk,
    number: u64,
}

impl Drop for Lying<'_> {
    fn drop(&mut self) {
        self.desk.lock().open.remove(&self.number);
    }
}
