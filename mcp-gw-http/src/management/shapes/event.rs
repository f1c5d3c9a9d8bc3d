//! An audit event, as it is answered.

use mcp_gw_core::RawJson;
use mcp_gw_server::store::StoredEvent;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::told::iso;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEvent")]
pub(crate) struct EventShown {
    /// Rises with the order in which events were written, with gaps.
    seq: i64,
    /// When it began.
    time: String,
    duration_us: u64,
    request_id: String,
    transport: String,
    client_addr: Option<String>,
    protocol_version: Option<String>,
    /// Who asked; empty when credentials were refused.
    caller_id: String,
    caller_kind: String,
    /// The method of MCP, or the operation of this API.
    method: String,
    /// The tool, resource or prompt, or what was changed.
    name: Option<String>,
    server: Option<String>,
    /// What the policy said: `allow` or `deny`.
    effect: Option<String>,
    reason: Option<String>,
    /// The ids of the rules that decided.
    reasons: Vec<String>,
    policy_version: Option<String>,
    /// `ok`, `tool_error`, `denied` and others.
    outcome: String,
    error: Option<String>,
    /// True when the request may have reached the server.
    backend_asked: bool,
    request_bytes: u64,
    response_bytes: u64,
    /// Whatever else there is to say.
    #[schemars(with = "Option<Map<String, Value>>")]
    details: Option<RawJson>,
}

impl From<StoredEvent> for EventShown {
    fn from(event: StoredEvent) -> Self {
        let record = event.record;
        Self {
            seq: event.seq,
            time: iso(record.time),
            duration_us: u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX),
            request_id: record.request_id,
            transport: record.transport,
            client_addr: record.client_addr,
            protocol_version: record.protocol_version,
            caller_id: record.caller_id,
            caller_kind: record.caller_kind,
            method: record.method,
            name: record.name,
            server: record.server,
            effect: record.effect,
            reason: record.reason,
            reasons: record.reasons,
            policy_version: record.policy_version,
            outcome: record.outcome,
            error: record.error,
            backend_asked: record.backend_asked,
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
            details: record.details,
        }
    }
}
