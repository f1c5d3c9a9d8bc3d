//! Audit events as lines for people.

use std::fmt::Write as _;

use mcp_gw_core::{AuditEvent, AuditSink, Effect, rfc3339};

use crate::cli::say;

/// Writes one line per event to standard error.
pub(super) struct Lines;

impl AuditSink for Lines {
    fn record(&self, event: &AuditEvent) {
        say(&line(event));
    }
}

/// `audit 12:00:00 alice tools/call roll_dice -> ok, allowed, 0.2 ms`
fn line(event: &AuditEvent) -> String {
    let time = rfc3339(event.time);
    let time = time.get(11..19).unwrap_or_default();
    let caller = if event.caller_id.is_empty() {
        "nobody"
    } else {
        &event.caller_id
    };
    let mut line = format!("audit {time} {caller:<6} {}", event.method);
    // Writing to a string cannot fail.
    let _ = write_rest(&mut line, event);
    line
}

fn write_rest(line: &mut String, event: &AuditEvent) -> std::fmt::Result {
    if let Some(name) = &event.name {
        // The name is the client's: it may hold anything.
        write!(line, " {}", name.escape_debug())?;
    }
    write!(line, " -> {}", event.outcome.as_str())?;
    match event.effect {
        Some(Effect::Allow) => line.push_str(", allowed"),
        // The outcome says so.
        Some(Effect::Deny) | None => {}
    }
    if !event.reasons.is_empty() {
        write!(line, " by {}", event.reasons.join(", "))?;
    }
    if let Some((all, visible)) = event.items {
        write!(line, ", shows {visible} of {all}")?;
    }
    write!(line, ", {:.1} ms", event.duration.as_secs_f64() * 1000.0)
}
