//! Results that ask the client for input (`resultType: input_required`, MCP 2026-07-28), for clients
//! that are asked by requests instead: the gateway asks, and calls the backend again with the answers.

use std::borrow::Cow;

use memchr::memmem;

use crate::backend::Extras;
use crate::context::{ClientLink, ClientLinkError};
use crate::error::GatewayError;
use crate::json::{JsonText, Members, ObjectWriter, RawJson};
use crate::result_type::is_plainly_complete;

/// So often a backend may ask in one call.
const ROUNDS: u8 = 10;

/// The member of `params` that carries the answers.
pub(crate) const RESPONSES: &str = "inputResponses";
/// The member of results and `params` that carries what the server wants to see again.
pub(crate) const STATE: &str = "requestState";

/// The rounds of one call.
pub(crate) struct Rounds<'c> {
    link: &'c dyn ClientLink,
    left: u8,
}

impl<'c> Rounds<'c> {
    pub(crate) fn new(link: &'c dyn ClientLink) -> Self {
        Self { link, left: ROUNDS }
    }

    /// True when results that ask for input are answered here.
    pub(crate) fn are_driven(&self) -> bool {
        !self.link.accepts_input_requests()
    }

    /// Asks the client for what `result` asks for. `Some` are the extras to call again with, `None`
    /// means that it is the answer. `before` are those of the last call; `server` is for the error.
    pub(crate) async fn follow(
        &mut self,
        server: &str,
        result: &RawJson,
        before: &Extras,
    ) -> Result<Option<Extras>, GatewayError> {
        if !self.are_driven() || self.link.is_plain() || !may_ask(result) {
            return Ok(None);
        }
        let untellable = |reason: &str| GatewayError::Untellable {
            server: server.into(),
            reason: reason.to_owned(),
        };
        let members = result
            .members()
            .map_err(|_| untellable("it names a member twice"))?;
        if members.get("resultType").map(JsonText::get) != Some("\"input_required\"") {
            return Ok(None);
        }
        let state = members.get(STATE);
        if state.is_some_and(|state| !state.get().starts_with('"')) {
            return Err(untellable("its `requestState` is not a string"));
        }
        let left = self.left.checked_sub(1);
        self.left = left.ok_or_else(|| untellable("it asks for input again and again"))?;
        let responses = match members.get("inputRequests") {
            None => None,
            Some(requests) => Some(self.ask_all(result, requests, untellable).await?),
        };
        let state = state.map(|state| result.slice(state));
        if responses.is_none() && state.is_none() {
            return Err(untellable(
                "it asks for input and says neither which nor what to come back with",
            ));
        }
        Ok(Some(with_input(before, responses, state)))
    }

    /// One question after the other: a person answers one at a time.
    async fn ask_all(
        &self,
        result: &RawJson,
        requests: JsonText<'_>,
        untellable: impl Fn(&str) -> GatewayError,
    ) -> Result<RawJson, GatewayError> {
        let wrong = || untellable("it asks for input in a way that cannot be read");
        let requests: Members<'_> = serde_json::from_str(requests.get()).map_err(|_| wrong())?;
        let mut responses = ObjectWriter::default();
        for (key, request) in requests.iter() {
            let request: Members<'_> = serde_json::from_str(request.get()).map_err(|_| wrong())?;
            let method: Cow<'_, str> = request
                .get("method")
                .and_then(crate::jsonrpc::as_str)
                .ok_or_else(wrong)?;
            let params = request
                .get("params")
                .map_or_else(RawJson::empty_object, |params| result.slice(params));
            let answer = match self.link.request(&method, params).await {
                Ok(answer) => answer,
                Err(ClientLinkError::Rpc(error)) => {
                    return Err(GatewayError::Backend(crate::backend::BackendError::Rpc(
                        error,
                    )));
                }
                Err(ClientLinkError::Unsupported { .. }) => {
                    let method: String = method.chars().take(64).collect();
                    return Err(untellable(&format!(
                        "it asks for `{method}`, for which this client cannot be asked"
                    )));
                }
                Err(ClientLinkError::Gone) => {
                    return Err(untellable(
                        "it asks for input, and the client has not answered",
                    ));
                }
            };
            responses = responses.raw(key, &answer);
        }
        Ok(responses.finish())
    }
}

/// A cheap look: most results hold neither the word nor an escape that could hide it.
fn may_ask(result: &RawJson) -> bool {
    if is_plainly_complete(result) {
        return false;
    }
    let text = result.as_bytes();
    memmem::find(text, b"\"input_required\"").is_some()
        || (memmem::find(text, b"resultType").is_some() && memmem::find(text, b"\\u").is_some())
        || (memmem::find(text, b"inputRequests").is_some() && memmem::find(text, b"\\u").is_some())
}

fn with_input(before: &Extras, responses: Option<RawJson>, state: Option<RawJson>) -> Extras {
    let mut members: Vec<(String, RawJson)> = before
        .members
        .iter()
        .filter(|(name, _)| name != RESPONSES && name != STATE)
        .cloned()
        .collect();
    members.extend(responses.map(|answers| (RESPONSES.to_owned(), answers)));
    members.extend(state.map(|state| (STATE.to_owned(), state)));
    Extras::new(before.meta.clone(), members)
}
