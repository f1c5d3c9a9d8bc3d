//! One run that puts the roads beside each other: same minute, same machine, same load.

use std::{
    env, fs,
    future::Future,
    io,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use clap::{Args, builder::PossibleValuesParser};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    children::{self, Children},
    held,
    load::{Fleet, Outcome, Until},
    note, print, procfs,
    report::{Cell, Measured, Report, Round},
    roads::{self, Other, Road, Roads, Way},
    start,
    suite::{self, Row, Stage},
    wire::Failure,
};

/// The parts of a comparison.
const PARTS: [&str; 13] = [
    "calls",
    "paced",
    "large",
    "list",
    "long-list",
    "legacy",
    "bridge",
    "events",
    "federation",
    "stdio",
    "start",
    "sessions",
    "bulk",
];

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The gateway's program; that beside this one if not given.
    #[arg(long, value_name = "PATH")]
    gateway: Option<PathBuf>,
    /// The program of the gateway over standard input and output; that beside this one if not given.
    #[arg(long, value_name = "PATH")]
    stdio: Option<PathBuf>,
    /// Another gateway: `NAME=COMMAND`, where `{port}` is the port it is to listen on, with MCP at `/mcp`, and
    /// `{upstream}` the URL of the server behind it. May be given several times.
    #[arg(long, value_name = "NAME=COMMAND")]
    pub(crate) other: Vec<Other>,
    /// Under which name other gateways offer the upstream's `echo`.
    #[arg(long, value_name = "NAME", default_value = "echo")]
    pub(crate) other_tool: String,
    /// Leave nginx out, which is measured where it is installed.
    #[arg(long)]
    no_nginx: bool,
    /// Let the system choose cores. Otherwise load and upstream share one core, and what stands between has another.
    #[arg(long)]
    no_pin: bool,
    /// Numbers of connections to measure calls with.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 16, 64, 256], value_parser = suite::at_least::<1>)]
    connections: Vec<usize>,
    /// Length of each round.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How often each road has its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Only these parts: calls, paced, large, list, long-list, legacy, bridge, events, federation, stdio, start,
    /// sessions, bulk.
    #[arg(long, value_name = "PART", value_delimiter = ',', value_parser = PossibleValuesParser::new(PARTS), hide_possible_values = true)]
    only: Vec<String>,
    /// Also write everything as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    case: suite::Case,
    #[command(flatten)]
    pub(crate) volume: held::Volume,
}

impl Options {
    pub(crate) fn gateway(&self) -> Option<PathBuf> {
        self.gateway
            .clone()
            .or_else(|| roads::sibling("mcp-gw-http"))
    }

    pub(crate) fn stdio(&self) -> Option<PathBuf> {
        self.stdio
            .clone()
            .or_else(|| roads::sibling("mcp-gw-stdio"))
    }

    pub(crate) fn has_nginx(&self) -> bool {
        !self.no_nginx && roads::is_installed("nginx")
    }

    /// What is to be measured.
    fn stages(&self) -> Vec<Stage> {
        if let Some(stage) = self.case.stage(&self.connections) {
            return vec![stage];
        }
        let mut stages = suite::all(&self.connections);
        stages.retain(|stage| self.wants(stage.name));
        stages
    }

    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }
}

/// Measures and prints. Tells whether every answer was right. All children have ended when it returns.
pub(crate) async fn run(options: &Options) -> Result<bool, Failure> {
    let mut children = Children::default();
    let interrupted = interruption()?;
    let result = tokio::select! {
        result = measure(options, &mut children) => result,
        () = interrupted => Err("interrupted".into()),
    };
    children.end().await;
    result
}

/// Ready at Ctrl-C and at a request to terminate.
pub(crate) fn interruption() -> Result<impl Future<Output = ()>, Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

async fn measure(options: &Options, children: &mut Children) -> Result<bool, Failure> {
    if let Some(file) = &options.json {
        // What cannot be written should be known before it is measured.
        let mut open = fs::File::options();
        open.create(true)
            .append(true)
            .open(file)
            .map_err(|error| unwritable(file, &error))?;
    }
    if !options.no_nginx && !options.has_nginx() {
        note("nginx is not installed, and left out");
    }
    let (machine, core) = children::settle(!options.no_pin).await?;
    let mut report = Report {
        machine,
        run: facts(options),
        ..Report::default()
    };
    let stages = options.stages();
    for stage in &stages {
        let mut own = Children::default();
        let done = self::stage(options, stage, &mut own, core, &mut report).await;
        own.end().await;
        done?;
    }
    if stages.iter().all(|stage| stage.name != "case") {
        if options.wants("start") {
            start::measure(options, children, core, &mut report).await?;
        }
        held::measure(options, core, &mut report).await?;
    }
    if report.rows.is_empty() && report.starts.is_empty() && report.held.is_empty() {
        return Err("nothing was chosen: --help names the parts".into());
    }
    print(&report.markdown());
    if let Some(file) = &options.json {
        fs::write(file, format!("{:#}\n", report.json()))
            .map_err(|error| unwritable(file, &error))?;
    }
    Ok(report.is_right())
}

fn unwritable(file: &Path, error: &io::Error) -> Failure {
    format!("{} cannot be written: {error}", file.display()).into()
}

/// What a run was: when, with which options, of which programs.
#[expect(
    clippy::disallowed_methods,
    reason = "a run says when it was, and what was asked for"
)]
fn facts(options: &Options) -> Value {
    let version = |program: &Path, option: &str| {
        let said = Command::new(program).arg(option).output().ok()?;
        // nginx says it on standard error.
        let said = [said.stdout, said.stderr].concat();
        Some(String::from_utf8_lossy(&said).trim().to_owned())
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nginx = options.has_nginx().then(|| version("nginx".as_ref(), "-v"));
    json!({
        "unix_time": now.unwrap_or_default().as_secs(),
        "arguments": env::args().skip(1).collect::<Vec<_>>(),
        "gateway": options.gateway().and_then(|program| version(&program, "--version")),
        "nginx": nginx.flatten(),
    })
}

/// Starts what a stage needs, and measures its rows.
async fn stage(
    options: &Options,
    stage: &Stage,
    children: &mut Children,
    core: Option<usize>,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut open = Roads::open(options, stage, children, core).await?;
    let upstream = open.upstream;
    for row in &stage.rows {
        let mut cells: Vec<Cell> = open.all.iter().map(|_| Cell::default()).collect();
        let time = Duration::from_secs(options.seconds);
        for turn in 0..=options.rounds {
            let (turn, time) = match turn {
                0 => ("warm-up".to_owned(), WARM_UP),
                turn => (format!("round {turn}"), time),
            };
            for (road, cell) in open.all.iter_mut().zip(&mut cells) {
                // What fails on one road says nothing of the others; it is not asked again.
                if cell.failure.is_some() {
                    continue;
                }
                let mut own = Cell::default();
                let done = round(stage, row, road, upstream, time, &mut own).await;
                match &done {
                    Ok(said) => note(&format!("{turn}: {}: {}: {said}", road.name, row.what)),
                    Err(error) => note(&format!("{turn}: {error}")),
                }
                own.failure = done.err().map(|error| error.to_string());
                if time != WARM_UP || own.failure.is_some() {
                    cell.add(own);
                }
            }
        }
        let names = open.all.iter().map(|road| road.name.clone());
        report.rows.push(Measured {
            stage: stage.name,
            what: row.what.clone(),
            is_paced: row.rate.is_some(),
            roads: names.zip(cells).collect(),
        });
    }
    Ok(())
}

/// One round over one road, for its cell; what came of it, in words.
async fn round(
    stage: &Stage,
    row: &Row,
    road: &mut Road,
    upstream: u32,
    time: Duration,
    cell: &mut Cell,
) -> Result<String, Failure> {
    let name = road.name.clone();
    let about = |error: Failure| -> Failure { format!("{name}: {}: {error}", row.what).into() };
    let (outcome, (before, after)) = calls(stage, row, road, upstream, time)
        .await
        .map_err(about)?;
    let said = outcome.to_string();
    let is_empty = outcome.latencies.count() == 0;
    cell.rounds.push(Round::of(&outcome));
    cell.outcome.add(outcome);
    if is_empty {
        return Err(about("no call succeeded".into()));
    }
    cell.upstream += after.0.saturating_sub(before.0);
    if let (Some(before), Some(after)) = (before.1, after.1) {
        *cell.proxy.get_or_insert_default() += after.saturating_sub(before);
    }
    if let Some(pid) = road.proxy {
        let now = procfs::resident_kib(pid)?;
        cell.resident_kib = Some(now);
    }
    Ok(said)
}

/// CPU time of the upstream, and of what stands before it.
type Used = (Duration, Option<Duration>);

async fn calls(
    stage: &Stage,
    row: &Row,
    road: &mut Road,
    upstream: u32,
    time: Duration,
) -> Result<(Outcome, (Used, Used)), Failure> {
    let plans = road.plans(row, stage.eras);
    let proxy = road.proxy;
    let used = || -> Result<Used, Failure> {
        let proxy = proxy.map(procfs::cpu_time).transpose()?;
        Ok((procfs::cpu_time(upstream)?, proxy))
    };
    if let Way::Stdio(pipe) = &mut road.way {
        let plan = plans.first().ok_or("there is no tool")?;
        let before = used()?;
        let outcome = pipe.run(plan, row.connections, time).await?;
        return Ok((outcome, (before, used()?)));
    }
    let mut fleet = Fleet::open_to(plans, row.connections).await?;
    let before = used()?;
    let until = match row.interval() {
        Some(interval) => Until::Paced(time, interval),
        None => Until::Elapsed(time),
    };
    let outcome = fleet.run(until).await;
    let after = used()?;
    fleet.close().await;
    Ok((outcome, (before, after)))
}

const WARM_UP: Duration = Duration::from_millis(500);
