//! The rounds of a call that asks its client (MCP 2026-07-28, basic/patterns/mrtr): an answer that
//! asks, the client's next request, and so on until the call ends.

use std::sync::Arc;

use mcp_gw_core::{ErrorClass, Extras, Feature, Incoming, Outcome, RawJson, ToolOutput, code};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::askable::Askable;
use crate::bridge::About;
use crate::desk::{Desk, Turn};
use crate::engine::Engine;
use crate::exchange::{Bound, stopped};
use crate::link::{CallStream, Route, Wishes};
use crate::parked::{Ticket, Work, read_responses};
use crate::revision::Revision;
use crate::rpc_error::RpcError;
use crate::seal::Binding;
use crate::states;
use crate::url_first;

pub(crate) const STATE: &str = "requestState";
const RESPONSES: &str = "inputResponses";

/// The capability of clients that URLs are opened by.
const ELICITATION: &str = "elicitation";

fn member<'e>(extras: &'e Extras, wanted: &str) -> Option<&'e RawJson> {
    let mut members = extras.members.iter();
    members.find(|(name, _)| name == wanted).map(|(_, raw)| raw)
}

/// Answers that a client brings, to what a call or a task asked it for, are an object of objects.
///
/// # Errors
/// When they are something else.
pub(crate) fn check_responses(extras: &Extras) -> Result<(), RpcError> {
    let responses = member(extras, RESPONSES);
    responses.map_or(Ok(()), |responses| read_responses(responses).map(drop))
}

/// Takes the state out that this gateway gave for itself, with the answers that came with it. The
/// sealed state of a server behind stays.
///
/// # Errors
/// When the one or the others are not of the shape that the standard gives them, whoever asked.
pub(crate) fn returned(extras: &mut Extras) -> Result<Option<(String, Option<RawJson>)>, RpcError> {
    check_responses(extras)?;
    let Some(raw) = member(extras, STATE) else {
        return Ok(None);
    };
    let state: String = raw
        .decode_owned()
        .map_err(|_| RpcError::invalid_params("Invalid params: `requestState` must be a string"))?;
    if states::is_sealed(&state) {
        return Ok(None);
    }
    let at = extras
        .members
        .iter()
        .position(|(name, _)| name == RESPONSES);
    let responses = at.map(|at| extras.members.remove(at).1);
    extras.members.retain(|(name, _)| name != STATE);
    Ok(Some((state, responses)))
}

/// Leaves out what only a client of 2026-07-28 may come back with.
pub(crate) fn without(extras: &mut Extras) {
    let is_ours = |name: &str| name == STATE || name == RESPONSES;
    extras.members.retain(|(name, _)| !is_ours(name));
}

/// A request that brings answers to a call which waits for them.
pub(crate) struct Round {
    pub(crate) ticket: Ticket,
    pub(crate) bound: Bound,
    pub(crate) incoming: Incoming,
    pub(crate) revision: Revision,
}

fn outcome_of(feature: Feature, answer: &RawJson) -> Outcome {
    let output = ToolOutput::from_raw(answer.clone());
    match output {
        Ok(output) if feature == Feature::Tool && output.is_error() => Outcome::ToolError,
        _ => Outcome::Ok,
    }
}

impl Engine {
    /// Work that may ask its client: it answers with what it asks, and goes on meanwhile.
    pub(crate) fn asking(
        &self,
        mut run: Work,
        binding: impl FnOnce() -> Binding + Send + 'static,
        desk: Option<Arc<Desk>>,
        stream: Arc<CallStream>,
        askable: Askable,
        closing: CancellationToken,
    ) -> Work {
        let engine = self.clone();
        Box::pin(async move {
            let inner = &engine.inner;
            let Some(desk) = desk else {
                let result = run.await;
                return engine.visit_first(result, binding, askable);
            };
            let asked = async {
                // There is no outcome but that of the work itself.
                while let Turn::Done(_) = desk.turn().await {}
            };
            tokio::select! {
                biased;
                result = &mut run => return engine.visit_first(result, binding, askable),
                () = asked => {}
            }
            let parking = &inner.parking;
            let attending = parking.park(binding(), desk, stream, run, closing);
            attending.wait(&inner.server_info).await
        })
    }

    /// A client that is back. Its request is one like any other: it is charged, decided on with the
    /// arguments of the call, which it repeats, and audited. Then the client is in front of its call,
    /// and what that says goes to the new stream.
    pub(crate) fn come_back(
        &self,
        round: Round,
        wishes: Wishes,
        stopping: CancellationToken,
    ) -> (Work, Option<mpsc::Receiver<RawJson>>) {
        let (route, messages) = Route::new(wishes, false);
        let engine = self.clone();
        let work = Box::pin(async move {
            tokio::select! {
                biased;
                result = engine.go_on(round, route) => result,
                () = stopping.cancelled() => Err(stopped()),
            }
        });
        (work, messages)
    }

    async fn go_on(&self, round: Round, route: Route) -> Result<RawJson, RpcError> {
        let Round {
            ticket,
            bound,
            incoming,
            revision,
        } = round;
        let parking = &self.inner.parking;
        let feature = bound.feature;
        let admitted = self
            .gateway()
            .resume(&incoming, feature, &bound.name, bound.arguments.as_ref())
            .await;
        let resumed = match admitted {
            Ok(resumed) => resumed,
            Err(error) => {
                // Whose right was taken away has no call any more. Who is too fast has it later.
                if matches!(error.class(), ErrorClass::Denied | ErrorClass::Unknown) {
                    parking.give_up(&ticket);
                }
                return RpcError::told(&error, About::Other, revision);
            }
        };
        let result = match parking.attend(&ticket) {
            Ok(attending) => {
                if let Some(stream) = attending.stream() {
                    stream.lead_to(route);
                }
                attending.wait(&self.inner.server_info).await
            }
            Err(error) => Err(error),
        };
        match &result {
            Ok(answer) => resumed.finish(outcome_of(feature, answer), answer.len()),
            Err(error) => resumed.finish(Outcome::Error(error.class()), 0),
        }
        result
    }

    /// Clients of 2026-07-28 do not know the error by which older servers send the user to a URL
    /// first: they are asked to do so, and to make the call again then.
    fn visit_first(
        &self,
        result: Result<RawJson, RpcError>,
        binding: impl FnOnce() -> Binding,
        askable: Askable,
    ) -> Result<RawJson, RpcError> {
        let error = match result {
            Err(error) if is_visit(&error, Revision::V2026_07_28) => error,
            other => return other,
        };
        let inner = &self.inner;
        match url_first::requests(&error.object).filter(|_| askable.opens_urls()) {
            Some(requests) => inner
                .parking
                .ask_before(&requests, &binding(), &inner.server_info),
            None => Err(self.no_visit(Revision::V2026_07_28)),
        }
    }

    /// The error by which servers send the user to a URL, for who gets errors as they come: a client
    /// that knows it, said that it opens URLs, and may be asked to.
    pub(crate) fn without_visits(
        &self,
        error: RpcError,
        revision: Revision,
        declared: Option<&RawJson>,
    ) -> RpcError {
        let opens = Askable::of_some(revision, declared).opens_urls();
        if (opens && !revision.is_modern()) || !is_visit(&error, revision) {
            return error;
        }
        if opens {
            return RpcError::new(
                code::UPSTREAM_INVALID,
                &format!("{WANTS} the answer to this request cannot ask for that."),
            );
        }
        self.no_visit(revision)
    }

    /// What a client hears instead of a URL that it is not to be shown.
    fn no_visit(&self, revision: Revision) -> RpcError {
        if self.config().withheld.contains(&ELICITATION) {
            return RpcError::new(
                code::UPSTREAM_INVALID,
                &format!(
                    "{WANTS} this gateway does not let servers ask for that: `input.allow` is without \
                     `elicitation`."
                ),
            );
        }
        let since = if revision < Revision::V2025_11_25 {
            "be a client of 2025-11-25 or later, and "
        } else {
            ""
        };
        RpcError::new(
            code::INVALID_REQUEST,
            &format!(
                "{WANTS} this client did not declare that it can show one: {since}declare the \
                 capability `elicitation.url`."
            ),
        )
    }
}

const WANTS: &str = "The server wants the user to visit a URL first, and";

/// Revisions from 2026-07-28 on do not have the error at all.
fn is_visit(error: &RpcError, revision: Revision) -> bool {
    let object = &error.object;
    url_first::is_sent(object) || (revision.is_modern() && url_first::is_of_code(object))
}
