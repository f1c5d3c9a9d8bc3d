//! What the two servers' command lines share: what to serve, how to log, when to stop.

mod logging;
mod source;
mod stop;

pub use logging::{LogArgs, LogFormat};
pub use source::{SourceArgs, check, environment};
pub use stop::{Stop, stop_signals};

use std::time::Duration;

use mcp_gw_core::BackendStatus;

/// How long a server may take to come up before the gateway goes on without it.
pub const READY_LIMIT: Duration = Duration::from_secs(30);

/// One line per server: what it offers, or why it is not there. For people.
pub fn status_lines(status: &[BackendStatus]) -> Vec<String> {
    status
        .iter()
        .map(|server| match (&server.fault, server.is_up) {
            (None, true) => {
                let noun = if server.tools == 1 { "tool" } else { "tools" };
                format!("{}: {} {noun}", server.name, server.tools)
            }
            (Some(fault), _) => format!("{}: not up, will try again: {fault}", server.name),
            (None, false) => format!("{}: has not answered yet, still trying", server.name),
        })
        .collect()
}
