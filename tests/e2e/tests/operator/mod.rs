//! What people see who run the servers: messages that say what to do next, and exit codes.

mod api_gateway_mcp;
mod limits;
mod metrics;
mod moved;
mod pins;
mod policy;
mod proxies;
mod redis;
mod reload;
mod start;
mod streams;

use std::process::Command;

use crate::support::process::Process;
use crate::support::{HTTP_BIN, STDIO_BIN};

/// Runs a server until it ends by itself: exit code, standard output, standard error.
pub(crate) fn run(binary: &str, args: &[&str]) -> (Option<i32>, String, String) {
    Process::start(Command::new(binary).args(args)).finish()
}

/// Both servers.
const BOTH: [&str; 2] = [HTTP_BIN, STDIO_BIN];
