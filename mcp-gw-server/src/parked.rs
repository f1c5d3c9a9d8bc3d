//! Calls of clients of 2026-07-28 that wait for what the client is to answer: the work goes on in a
//! task, and the client's next request finds it again (MCP 2026-07-28, basic/patterns/mrtr).

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use mcp_gw_core::{Caller, Clock, JsonText, Members, ObjectWriter, RawJson, code, meta_key};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::desk::{Desk, Turn};
use crate::engine::InputLimits;
use crate::link::CallStream;
use crate::rpc_error::RpcError;
use crate::seal::{Binding, Claim, Seal};

/// A call at work.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<RawJson, RpcError>> + Send>>;

/// All calls that wait, and the places for them.
pub(crate) struct Parking {
    limits: InputLimits,
    clock: Arc<dyn Clock>,
    seal: Seal,
    calls: AtomicU64,
    table: Mutex<HashMap<u64, Arc<Parked>>>,
    /// Calls that have asked something, by caller.
    places: Mutex<HashMap<Who, usize>>,
}

impl std::fmt::Debug for Parking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parking").finish_non_exhaustive()
    }
}

/// Kind, issuer and id of a caller.
type Who = (&'static str, Arc<str>, Arc<str>);

/// The right of one call to ask its client.
#[derive(Debug)]
pub(crate) struct Place {
    parking: Arc<Parking>,
    of: Who,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.parking.places();
        if let Some(count) = places.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                places.remove(&self.of);
            }
        }
    }
}

/// A call that waits.
#[derive(Debug)]
struct Parked {
    id: u64,
    binding: Binding,
    desk: Arc<Desk>,
    stream: Arc<CallStream>,
    turnstile: Mutex<Turnstile>,
    /// Until when the call waits for its client; `None` while the client is there. The call ends
    /// when this is dropped.
    until: watch::Sender<Option<Instant>>,
}

#[derive(Debug)]
struct Turnstile {
    round: u32,
    is_attended: bool,
}

/// A state that was given out here and is of this call, with the answers that came with it.
#[derive(Debug)]
pub(crate) struct Ticket {
    claim: Claim,
    responses: RawJson,
}

/// What a client brought back.
#[derive(Debug)]
pub(crate) enum Returned {
    /// For a call that may still wait, with the answers to what it asked.
    ToCall(Ticket),
    /// The call is to be made anew.
    Anew,
}

/// A client that waits for a call. When this is dropped, the client has gone away, and the call is
/// given up.
#[derive(Debug)]
pub(crate) struct Attending {
    parking: Arc<Parking>,
    parked: Option<Arc<Parked>>,
}

impl Drop for Attending {
    fn drop(&mut self) {
        if let Some(parked) = self.parked.take() {
            self.parking.remove(parked.id);
        }
    }
}

impl Parking {
    pub(crate) fn new(limits: InputLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            limits,
            clock,
            seal: Seal::random(),
            calls: AtomicU64::new(1),
            table: Mutex::default(),
            places: Mutex::default(),
        }
    }

    /// A place for a call of `caller`, unless there are as many as there may be.
    pub(crate) fn place(self: &Arc<Self>, caller: &Caller) -> Option<Place> {
        let (issuer, id) = (Arc::clone(&caller.issuer), Arc::clone(&caller.id));
        let of = (caller.kind.as_str(), issuer, id);
        let mut places = self.places();
        let total: usize = places.values().sum();
        let own = places.get(&of).copied().unwrap_or_default();
        if total >= self.limits.max_total || own >= self.limits.max_per_caller {
            tracing::warn!(
                caller = &*caller.id,
                "too many calls wait for answers of their client; this one cannot ask"
            );
            return None;
        }
        *places.entry(of.clone()).or_default() += 1;
        Some(Place {
            parking: Arc::clone(self),
            of,
        })
    }

    /// Lets a call that has asked something go on in a task of its own, for as long as its client
    /// comes back in time and `closing` is not cancelled.
    pub(crate) fn park(
        self: &Arc<Self>,
        binding: Binding,
        desk: Arc<Desk>,
        stream: Arc<CallStream>,
        work: Work,
        closing: CancellationToken,
    ) -> Attending {
        let id = self.calls.fetch_add(1, Ordering::Relaxed);
        let (until, unattended) = watch::channel(None);
        let parked = Arc::new(Parked {
            id,
            binding,
            desk: Arc::clone(&desk),
            stream,
            turnstile: Mutex::new(Turnstile {
                round: 0,
                is_attended: true,
            }),
            until,
        });
        self.table().insert(id, Arc::clone(&parked));
        let parking = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = closing.cancelled() => {}
                () = abandoned(unattended.clone()) => {}
                outcome = work => {
                    desk.finish(outcome);
                    // The outcome lies here until the client comes for it.
                    tokio::select! {
                        () = closing.cancelled() => {}
                        () = abandoned(unattended) => {}
                    }
                }
            }
            // For a client that came at the same moment.
            desk.finish(Err(not_of_this_call()));
            parking.remove(id);
        });
        Attending {
            parking: Arc::clone(self),
            parked: Some(parked),
        }
    }

    /// What a client brings a state back for. Nothing happens to the call yet: whether the client may
    /// go on with it is to be asked first.
    ///
    /// # Errors
    /// When the state is not of this call, or the answers cannot be read.
    pub(crate) fn returned(
        &self,
        state: &str,
        responses: Option<RawJson>,
        binding: &Binding,
    ) -> Result<Returned, RpcError> {
        let claim = self.seal.open(state, binding);
        let claim = claim
            .filter(|claim| self.now() < claim.expires)
            .ok_or_else(not_of_this_call)?;
        let responses = responses.unwrap_or_else(RawJson::empty_object);
        let members = read_responses(&responses)?;
        if claim.call == 0 {
            return if all_accepted(&members) {
                Ok(Returned::Anew)
            } else {
                Err(RpcError::new(
                    code::INVALID_REQUEST,
                    "The call was not made: what the server needs first was declined.",
                ))
            };
        }
        Ok(Returned::ToCall(Ticket { claim, responses }))
    }

    /// The call of a ticket, with its answers and the client in front of it.
    ///
    /// # Errors
    /// When the ticket is used up, or the call waits no more.
    pub(crate) fn attend(self: &Arc<Self>, ticket: &Ticket) -> Result<Attending, RpcError> {
        let Ticket { claim, responses } = ticket;
        let members = read_responses(responses)?;
        let parked = self.table().get(&claim.call).map(Arc::clone);
        let parked = parked.ok_or_else(not_of_this_call)?;
        {
            let mut turnstile = parked.turnstile();
            if turnstile.is_attended || turnstile.round != claim.round {
                return Err(not_of_this_call());
            }
            turnstile.is_attended = true;
            turnstile.round += 1;
            parked.until.send_replace(None);
        }
        parked.desk.answer(responses, &members);
        Ok(Attending {
            parking: Arc::clone(self),
            parked: Some(parked),
        })
    }

    /// Ends the call of a ticket: its client may not make it any more.
    pub(crate) fn give_up(&self, ticket: &Ticket) {
        let parked = self.table().get(&ticket.claim.call).map(Arc::clone);
        let is_waiting = parked.is_some_and(|parked| {
            let turnstile = parked.turnstile();
            !turnstile.is_attended && turnstile.round == ticket.claim.round
        });
        if is_waiting {
            self.remove(ticket.claim.call);
        }
    }

    /// A result that asks the client to act first, and to make the call anew then.
    pub(crate) fn ask_before(
        &self,
        requests: &RawJson,
        binding: &Binding,
        server_info: &RawJson,
    ) -> Result<RawJson, RpcError> {
        let claim = Claim {
            call: 0,
            round: 0,
            expires: self.expiry(),
        };
        let state = self.seal.seal(claim, binding).ok_or_else(no_randomness)?;
        Ok(input_required(requests, &state, server_info))
    }

    /// Seconds of the time of day.
    pub(crate) fn now(&self) -> u64 {
        let since = self.clock.wall().duration_since(UNIX_EPOCH);
        since.unwrap_or(Duration::ZERO).as_secs()
    }

    pub(crate) fn expiry(&self) -> u64 {
        // A second more than the call itself is kept, which ends by a finer clock.
        self.now()
            .saturating_add(self.limits.timeout.as_secs())
            .saturating_add(1)
    }

    fn remove(&self, id: u64) {
        // Dropped outside of the lock: it may be the last of the call.
        let parked = self.table().remove(&id);
        drop(parked);
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u64, Arc<Parked>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Who, usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parked {
    fn turnstile(&self) -> MutexGuard<'_, Turnstile> {
        self.turnstile
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attending {
    /// The stream of the call, to lead its messages elsewhere.
    pub(crate) fn stream(&self) -> Option<&CallStream> {
        self.parked.as_ref().map(|parked| &*parked.stream)
    }

    /// Waits for the end of the call, or for what it asks next.
    pub(crate) async fn wait(mut self, server_info: &RawJson) -> Result<RawJson, RpcError> {
        let Some(parked) = self.parked.clone() else {
            return Err(not_of_this_call());
        };
        if let Turn::Done(outcome) = parked.desk.round().await {
            return outcome;
        }
        let requests = parked.desk.requests();
        let claim = Claim {
            call: parked.id,
            round: parked.turnstile().round,
            expires: self.parking.expiry(),
        };
        let sealed = self.parking.seal.seal(claim, &parked.binding);
        let state = sealed.ok_or_else(no_randomness)?;
        parked.stream.close();
        {
            let mut turnstile = parked.turnstile();
            turnstile.is_attended = false;
            let until = Instant::now() + self.parking.limits.timeout;
            parked.until.send_replace(Some(until));
        }
        // The call stays, though this client goes.
        self.parked = None;
        Ok(input_required(&requests, &state, server_info))
    }
}

/// Ends when the client of a call has not come back in time, or never will.
async fn abandoned(mut until: watch::Receiver<Option<Instant>>) {
    loop {
        let end = *until.borrow_and_update();
        let changed = match end {
            None => until.changed().await,
            Some(end) => tokio::select! {
                () = tokio::time::sleep_until(end) => return,
                changed = until.changed() => changed,
            },
        };
        if changed.is_err() {
            return;
        }
    }
}

fn input_required(requests: &RawJson, state: &str, server_info: &RawJson) -> RawJson {
    let meta = ObjectWriter::default().raw(meta_key::SERVER_INFO, server_info);
    ObjectWriter::with_capacity(requests.len() + 512)
        .string("resultType", "input_required")
        .raw("inputRequests", requests)
        .string("requestState", state)
        .raw("_meta", &meta.finish())
        .finish()
}

/// `inputResponses`: an object of objects.
pub(crate) fn read_responses(responses: &RawJson) -> Result<Members<'_>, RpcError> {
    let wrong = |what: &str| {
        RpcError::invalid_params(&format!(
            "Invalid params: {what} must be an object that names no member twice"
        ))
    };
    let members = responses.members().map_err(|_| wrong("`inputResponses`"))?;
    for (key, response) in members.iter() {
        if serde_json::from_str::<Members<'_>>(response.get()).is_err() {
            let key: String = key.chars().take(64).collect();
            return Err(wrong(&format!("`inputResponses.{key}`")));
        }
    }
    Ok(members)
}

/// True when every answer to an elicitation says that the user went along.
fn all_accepted(members: &Members<'_>) -> bool {
    members.iter().all(|(_, response)| {
        let response: Members<'_> = serde_json::from_str(response.get()).unwrap_or_default();
        response.get("action").map(JsonText::get) == Some("\"accept\"")
    })
}

pub(crate) fn not_of_this_call() -> RpcError {
    RpcError::invalid_params(
        "Invalid params: `requestState` is not of this call: it was changed, is used up or has \
         expired, or belongs to another caller or to other params. Make the call again without it.",
    )
}

pub(crate) fn no_randomness() -> RpcError {
    RpcError::new(
        code::GATEWAY_UNAVAILABLE,
        "The server asks for input, and the gateway cannot ask for it now.",
    )
}
