//! Server-sent events, as bytes.

use std::io::Write as _;

use bytes::Bytes;
use mcp_gw_core::RawJson;

use super::journal::EventId;

/// One event that carries a message; without an id it cannot be asked for again.
pub(super) fn event(id: Option<EventId>, message: &RawJson) -> Bytes {
    let text = message.as_bytes();
    let mut out = Vec::with_capacity(text.len() + 72);
    out.extend_from_slice(b"event: message\n");
    if let Some(id) = id {
        let _ = writeln!(out, "id: {id}");
    }
    // A line break ends a field, so a payload with breaks between its tokens takes several.
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
    out.into()
}

/// What a stream that can be resumed begins with: how long to wait before that, in milliseconds,
/// and (2025-11-25) an id to begin with and no data.
pub(super) fn opening(prime: Option<EventId>) -> Bytes {
    match prime {
        Some(id) => format!("id: {id}\nretry: {RETRY}\ndata:\n\n").into(),
        None => format!(": open\nretry: {RETRY}\n\n").into(),
    }
}

/// A comment: keeps connections from being taken for dead.
pub(super) fn comment() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}

/// So long a client waits before it comes back.
const RETRY: u32 = 1000;
