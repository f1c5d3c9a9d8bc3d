//! `policy check`, `policy explain`, `policy test`, `policy import`: what a policy says, before it is
//! put in force.

mod check;
mod explain;
mod finding;
mod import;
mod subject;
mod table;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::print;
use crate::pins::visible;

/// What to do about policies.
#[derive(Debug, Clone, Args)]
#[non_exhaustive]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum PolicyCommand {
    /// Look policies over: what is wrong with them, and rules that do nothing or not what they seem
    /// to. 0 when they can be used, 1 when not, 2 when that cannot be told
    Check(check::CheckArgs),
    /// Say how a request would be decided, and why: rule by rule and layer by layer. 0 whatever the
    /// decision is, 2 when it cannot be told
    Explain(explain::ExplainArgs),
    /// Run tables of expected decisions: 0 when all come out as expected, 1 when not, 2 when they
    /// cannot be run
    Test(table::TestArgs),
    /// Make a policy of a configuration of Gravitee's `mcp-acl`. The policy goes to standard output,
    /// what to look at to standard error: 0 when it means the same, 1 when it allows less, 2 when it
    /// cannot be read
    Import(import::ImportArgs),
}

/// How a report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For machines
    Json,
}

/// How a command ended; the greater, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// All is well.
    Good,
    /// It is not as it should be.
    Bad,
    /// It cannot be told.
    Trouble,
}

/// Runs a command about policies, and says how it ended: 0 when all is well, 1 when the policy or its
/// decisions are not as they should be, 2 when that cannot be told.
pub fn policy(args: &PolicyArgs) -> ExitCode {
    let result = match &args.command {
        PolicyCommand::Check(args) => check::run(args),
        PolicyCommand::Explain(args) => explain::run(args),
        PolicyCommand::Test(args) => table::run(args),
        PolicyCommand::Import(args) => import::run(args),
    };
    match result {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(1),
        Ok(Outcome::Trouble) => ExitCode::from(2),
        Err(error) => {
            warn(&error);
            ExitCode::from(2)
        }
    }
}

/// Prints lines of a report, with what a terminal would obey as escapes.
fn say(text: &str) -> Result<(), String> {
    text.lines().try_for_each(|line| print(&visible(line)))
}

/// Prints lines beside the report.
fn warn(text: &str) {
    for line in text.lines() {
        super::tell(&visible(line));
    }
}

fn say_json(value: &Value) -> Result<(), String> {
    print(&format!("{value:#}"))
}

/// Names in quotes: `` `a`, `b` ``.
fn quoted<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// A runtime to ask servers on.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot be started: {error}"))
}
