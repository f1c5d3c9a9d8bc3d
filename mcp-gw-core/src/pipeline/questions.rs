//! Questions that reach a client in an answer (`inputRequests`, MCP 2026-07-28): they leave records
//! of their own, as those do that are asked while a call runs.

use memchr::memmem;
use serde_json::value::RawValue;

use super::Run;
use super::between::known;
use crate::audit::Outcome;
use crate::json::{Members, RawJson};
use crate::jsonrpc::as_str;

/// So many questions of one answer leave a record each: more would let a server fill the log.
const MOST: usize = 32;

impl Run<'_> {
    /// Records what an answer asks the client that it is told to.
    pub(super) fn note_questions(&self, answer: &RawJson) {
        let has = |part: &[u8]| memmem::find(answer.as_bytes(), part).is_some();
        // A name may be written with escapes.
        if !self.ctx.link().accepts_input_requests() || !(has(b"inputRequests") || has(b"\\u")) {
            return;
        }
        let Some(members) = answer.members().ok().filter(|members| self.asks(members)) else {
            return;
        };
        let requests = members.get("inputRequests").map(RawValue::get);
        let requests: Members<'_> = requests
            .and_then(|requests| serde_json::from_str(requests).ok())
            .unwrap_or_default();
        for (_, request) in requests.iter().take(MOST) {
            let request: Members<'_> = serde_json::from_str(request.get()).unwrap_or_default();
            let method = request.get("method").and_then(as_str).unwrap_or_default();
            let (caller, meta) = (self.ctx.caller(), self.ctx.meta());
            let mut scope = self.gateway.audit(Some(caller), meta, known(&method));
            scope.event.server = Some(self.backend.name().into());
            let params = request.get("params").map(RawValue::get);
            scope.event.request_bytes = params.map_or(0, str::len);
            scope.close(Outcome::Ok);
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
