//! What the two servers' command lines share: what to serve, how to log, when to stop, and
//! what to do about pins, limits, policies and documentation.

mod admin;
mod docs;
mod kong;
mod limits;
mod logging;
mod pins;
mod policy;
mod reload;
mod runtime;
mod source;
mod stop;

pub use admin::{AdminArgs, Api7Args, ApisixArgs};
pub use docs::{DocsArgs, docs};
pub use kong::{KongArgs, KonnectArgs, ReadArgs};
pub use limits::{LimitsArgs, limits};
pub use logging::{LogArgs, LogFormat, LogGuard};
#[cfg(feature = "management")]
pub use pins::stored_pins;
pub use pins::{PinsArgs, pins};
pub use policy::{PolicyArgs, policy};
pub use reload::ConfigWatch;
pub use runtime::runtime;
pub use source::{SourceArgs, check, environment};
pub use stop::{Hangup, Stop, stop_signals};

use std::io::Write as _;
use std::time::Duration;

use mcp_gw_core::BackendStatus;

/// Reads the command line of this process, or prints what is wrong with it or what was asked for
/// (`--help`, `--version`).
///
/// # Errors
/// The code to exit with: 2 for a faulty command line, 0 for help.
pub fn parse<C: clap::Parser>() -> Result<C, std::process::ExitCode> {
    use clap::error::ErrorKind;

    C::try_parse().map_err(|error| {
        // A stream that cannot be written to leaves nothing to be done.
        let _ = error.print();
        if matches!(
            error.kind(),
            ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand
        ) {
            tell("\nThe command of an MCP server goes behind `--`: run -- node server.js");
        }
        std::process::ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Prints that options of a command stand before its name; the code to exit with.
pub fn misplaced<C: clap::CommandFactory>() -> std::process::ExitCode {
    let says = "what belongs to a command comes after its name";
    let error = C::command().error(clap::error::ErrorKind::ArgumentConflict, says);
    let _ = error.print();
    std::process::ExitCode::from(2)
}

#[expect(clippy::print_stderr, reason = "a command line talks to people")]
fn tell(line: &str) {
    eprintln!("{line}");
}

/// Prints a line; a reader that has gone ends the command.
fn print(line: &str) -> Result<(), String> {
    writeln!(std::io::stdout(), "{line}")
        .map_err(|error| format!("standard output cannot be written: {error}"))
}

fn count(number: usize, noun: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{end}")
}

/// How long a server may take to come up before the gateway goes on without it.
pub const READY_LIMIT: Duration = Duration::from_secs(30);

/// Starts or connects to the servers of `config` and says what they offer, and what of the
/// configuration does not fit it: sentences for people. What was pinned is neither looked at nor
/// changed.
///
/// # Errors
/// When a part of the gateway cannot be made.
pub async fn ask_servers(
    config: &crate::config::Config,
) -> Result<Vec<String>, crate::LaunchError> {
    crate::survey::survey(config, &variables()).await
}

/// A gateway in front of the servers of `config`, which were asked once what they offer.
async fn asked(config: &crate::config::Config) -> Result<mcp_gw_core::Gateway, String> {
    let gateway = crate::survey::gateway_of(config, &variables()).await;
    gateway.map_err(|error| crate::config::chain(&error))
}

/// The environment of this process, for children.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads the environment"
)]
fn variables() -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    std::env::vars_os().collect()
}

/// One line per server: what it offers, or why it is not there; and one for each thing about it that
/// is not as it should be. For people.
pub fn status_lines(status: &[BackendStatus]) -> Vec<String> {
    let state = |server: &BackendStatus| match (&server.fault, server.is_up) {
        (None, true) => {
            let noun = if server.tools == 1 { "tool" } else { "tools" };
            format!("{}: {} {noun}", server.name, server.tools)
        }
        (Some(fault), _) => format!("{}: not up, will try again: {fault}", server.name),
        (None, false) => format!("{}: has not answered yet, still trying", server.name),
    };
    let faults = |server: &BackendStatus| {
        let name = server.name.clone();
        let left_out = server.left_out.iter().map(|item| {
            let kind = item.feature.as_str();
            format!("{kind} `{}` is left out: {}", item.name, item.reason)
        });
        let all = left_out.chain(server.remarks.iter().cloned());
        all.map(|says| format!("{name}: {says}"))
            .collect::<Vec<_>>()
    };
    status
        .iter()
        .flat_map(|server| std::iter::once(state(server)).chain(faults(server)))
        .collect()
}
