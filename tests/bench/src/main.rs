#![doc = include_str!("../README.md")]

mod channel;
mod children;
mod client;
mod compare;
#[cfg(test)]
mod cost;
mod gateway;
mod held;
mod latency;
#[cfg(feature = "limits")]
mod limits;
mod load;
#[cfg(feature = "management")]
mod management;
#[cfg(feature = "micro")]
mod micro;
mod nginx;
mod procfs;
#[cfg(feature = "limits")]
mod redis_limits;
mod report;
#[cfg(feature = "rest")]
mod rest;
mod roads;
mod script;
mod start;
mod stdio;
mod suite;
#[cfg(test)]
mod tests;
mod upstream;
mod wire;

use std::{future, io, process::ExitCode, sync::Arc, time::Duration};

use clap::{Args, Parser, Subcommand};
use http::Uri;
use tokio::net::TcpListener;

use crate::{
    client::{Ask, Plan},
    load::{Fleet, Until},
    upstream::Upstream,
    wire::{Answers, Era, Eras, Failure},
};

/// Measures the MCP gateway against its upstream and against nginx.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serve MCP on a free loopback port and print the URL.
    Upstream(Serve),
    /// Call a server as fast as it answers.
    Load(Load),
    /// Put ours, nginx and others in front of the upstream in turn, and print one table.
    Compare(Box<compare::Options>),
    /// Call, log in and make keys at a management API beside calls at the MCP endpoint, and print two tables.
    #[cfg(feature = "management")]
    Management(management::Options),
    /// Check rate limits through a Redis of its own, and print one table.
    #[cfg(feature = "limits")]
    RedisLimits(redis_limits::Options),
    /// Time the checks of rate limits beside those of `governor`, and print one table.
    #[cfg(feature = "limits")]
    Limits(limits::Options),
    /// Time single steps of a request, and print one table.
    #[cfg(feature = "micro")]
    Micro(micro::Options),
    /// Send requests to a REST API by the tool `api_gateway` beside those of `reqwest`, and print one table.
    #[cfg(feature = "rest")]
    Rest(rest::Options),
}

#[derive(Args, Debug)]
struct Serve {
    /// Number of tools in the list; the first is `echo`.
    #[arg(long, default_value_t = 10)]
    tools: usize,
    /// Protocol eras to understand.
    #[arg(long, value_enum, default_value_t = Eras::Both)]
    eras: Eras,
    /// How calls are answered.
    #[arg(long, value_enum, default_value_t = Answers::Json)]
    answers: Answers,
    /// End when standard input does: no orphan outlives the run that started it.
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

#[derive(Args, Debug)]
struct Load {
    /// MCP endpoint, `http://` only.
    #[arg(long)]
    url: Uri,
    /// Connections, each with one call under way.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Length of the run.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    #[command(flatten)]
    calls: Calls,
    /// Ask for the list of tools instead, and expect this many.
    #[arg(long, value_name = "TOOLS", conflicts_with = "payload")]
    list: Option<usize>,
    /// API key to send.
    #[arg(long, value_name = "KEY")]
    bearer: Option<String>,
}

/// What the calls of a run look like.
#[derive(Args, Debug)]
struct Calls {
    /// Bytes of text that each call sends and gets back, at least 16.
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    payload: usize,
    /// Protocol era of the client.
    #[arg(long, value_enum, default_value_t = Era::Modern)]
    era: Era,
    /// Name under which the server offers the upstream's `echo`.
    #[arg(long, value_name = "NAME", default_value = "echo")]
    tool: String,
}

fn main() -> ExitCode {
    // One thread: load and upstream are to fit on one core, and a bench that hops between threads measures that too.
    let role = Cli::parse().role;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime.map_err(Failure::from).and_then(|runtime| {
        runtime.block_on(async {
            match role {
                Role::Upstream(options) => serve(&options).await.map(|()| true),
                Role::Load(options) => load(options).await,
                Role::Compare(options) => compare::run(&options).await,
                #[cfg(feature = "management")]
                Role::Management(options) => management::run(&options).await,
                #[cfg(feature = "limits")]
                Role::RedisLimits(options) => redis_limits::run(&options).await,
                #[cfg(feature = "limits")]
                Role::Limits(options) => limits::run(&options).map(|table| {
                    print(&table);
                    true
                }),
                #[cfg(feature = "micro")]
                Role::Micro(options) => micro::run(&options).map(|table| {
                    print(&table);
                    true
                }),
                #[cfg(feature = "rest")]
                Role::Rest(options) => rest::run(&options).await.map(|table| {
                    print(&table);
                    true
                }),
            }
        })
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            note(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: &Serve) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    print(&format!("http://{}/mcp", listener.local_addr()?));
    let upstream = Arc::new(Upstream::new(options.eras, options.answers, options.tools));
    let until = async {
        if options.until_stdin_ends {
            drop(tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await);
        } else {
            future::pending::<()>().await;
        }
    };
    upstream::serve(
        listener,
        move |head, body| upstream.answer(head, body),
        until,
    )
    .await?;
    Ok(())
}

/// Whether every answer was right.
async fn load(options: Load) -> Result<bool, Failure> {
    let plan = Plan {
        url: options.url,
        era: options.calls.era,
        ask: options
            .list
            .map_or(Ask::Echo(options.calls.payload), Ask::List),
        tool: options.calls.tool,
        bearer: options.bearer,
    };
    let mut fleet = Fleet::open(plan, options.connections).await?;
    let outcome = fleet
        .run(Until::Elapsed(Duration::from_secs(options.seconds)))
        .await;
    fleet.close().await;
    print(&outcome.to_string());
    Ok(outcome.errors == 0)
}

#[expect(
    clippy::print_stdout,
    reason = "figures on standard output are what this program is for"
)]
fn print(text: &str) {
    println!("{text}");
}

#[expect(
    clippy::print_stderr,
    reason = "progress and failures, beside the figures"
)]
fn note(text: &str) {
    eprintln!("{text}");
}
