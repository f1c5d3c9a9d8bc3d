//! Questions that reach a client in an answer (`inputRequests`, MCP 2026-07-28): they leave records
//! of their own, as those do that are asked while a call runs.

use super::Run;
use super::between::known;
use crate::audit::Outcome;
use crate::caller::Caller;
use crate::context::{Incoming, RequestMeta};
use crate::gateway::Gateway;
use crate::json::{JsonText, Members, Needle, RawJson};
use crate::jsonrpc::as_str;

/// So many questions of one answer leave a record each: more would let a server fill the log.
const MOST: usize = 32;

static REQUESTS: Needle = Needle::new("\"inputRequests\"");

/// A cheap look: most messages ask for nothing, and have no escape that could hide it.
fn may_ask(message: &RawJson) -> bool {
    message.may_have(&[&REQUESTS])
}

impl Run<'_> {
    /// Records what an answer asks the client that it is told to.
    pub(super) fn note_questions(&self, answer: &RawJson) {
        if !self.ctx.link().accepts_input_requests() || !may_ask(answer) {
            return;
        }
        let members = answer.members().ok();
        if let Some(members) = members.filter(|members| self.asks(members)) {
            let (caller, meta) = (self.ctx.caller(), self.ctx.meta());
            let server = self.backend.name();
            self.gateway.note_each(caller, meta, server, &members);
        }
    }

    /// In a result that is complete the member is nothing of the protocol's, except in what is said of
    /// a task.
    fn asks(&self, members: &Members<'_>) -> bool {
        let kind = members.get("resultType").and_then(as_str);
        let of_task = self.scope.event.method.starts_with("tasks/");
        of_task || matches!(kind.as_deref(), Some("input_required" | "task"))
    }
}

impl Gateway {
    /// Records what news of a task (`params` of `notifications/tasks`) ask the client that is told them:
    /// an audit event for each question, with the id of the request `incoming` that waits for the news.
    /// Its news leave none otherwise.
    pub fn note_news_questions(&self, incoming: &Incoming, server: &str, params: &RawJson) {
        if !may_ask(params) {
            return;
        }
        if let Ok(members) = params.members() {
            self.note_each(&incoming.caller, &incoming.meta, server, &members);
        }
    }

    fn note_each(&self, caller: &Caller, meta: &RequestMeta, server: &str, members: &Members<'_>) {
        let requests = members.get("inputRequests").map(JsonText::get);
        let requests: Members<'_> = requests
            .and_then(|requests| serde_json::from_str(requests).ok())
            .unwrap_or_default();
        for (_, request) in requests.iter().take(MOST) {
            let request: Members<'_> = serde_json::from_str(request.get()).unwrap_or_default();
            let method = request.get("method").and_then(as_str).unwrap_or_default();
            let mut scope = self.audit(Some(caller), meta, known(&method));
            scope.event.server = Some(server.into());
            let params = request.get("params").map(JsonText::get);
            scope.event.request_bytes = params.map_or(0, str::len);
            scope.close(Outcome::Ok);
        }
    }
}
