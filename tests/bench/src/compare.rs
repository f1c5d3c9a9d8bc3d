//! One run that puts the roads beside each other: same minute, same machine, same load.

use std::{fs, future::Future, path::PathBuf, time::Duration};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    children::{self, Children},
    held,
    load::{Fleet, Outcome, Until},
    note, print, procfs,
    report::{Cell, Measured, Report},
    roads::{self, Other, Road, Roads, Way},
    start,
    suite::{self, Row, Stage},
    wire::Failure,
};

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
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    connections: Vec<usize>,
    /// Length of each round.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How often each road has its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Only these parts: calls, paced, large, list, long-list, legacy, bridge, events, federation, stdio, start,
    /// sessions, bulk.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
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
    let core = if options.no_pin {
        None
    } else {
        let (own, other) = children::two_cores()?;
        children::confine_self(own).await?;
        Some(other)
    };
    let mut report = Report {
        machine: procfs::machine(core.is_some()),
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
        fs::write(file, format!("{:#}\n", report.json()))?;
    }
    Ok(report.is_right())
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
        for road in &mut open.all {
            round(stage, row, road, upstream, WARM_UP, &mut Cell::default()).await?;
        }
        let time = Duration::from_secs(options.seconds);
        for _ in 0..options.rounds {
            for (road, cell) in open.all.iter_mut().zip(&mut cells) {
                round(stage, row, road, upstream, time, cell).await?;
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

/// One round over one road, added to its cell.
async fn round(
    stage: &Stage,
    row: &Row,
    road: &mut Road,
    upstream: u32,
    time: Duration,
    cell: &mut Cell,
) -> Result<(), Failure> {
    let name = road.name.clone();
    let about = |error: Failure| -> Failure { format!("{name}: {}: {error}", row.what).into() };
    let (outcome, (before, after)) = calls(stage, row, road, upstream, time)
        .await
        .map_err(about)?;
    note(&format!("{name}: {}: {outcome}", row.what));
    if outcome.latencies.count() == 0 {
        return Err(about("no call succeeded".into()));
    }
    cell.rounds.push(outcome.calls_per_second());
    cell.outcome.add(outcome);
    cell.upstream += after.0.saturating_sub(before.0);
    if let (Some(before), Some(after)) = (before.1, after.1) {
        *cell.proxy.get_or_insert_default() += after.saturating_sub(before);
    }
    if let Some(pid) = road.proxy {
        let now = procfs::resident_kib(pid)?;
        cell.resident_kib = Some(cell.resident_kib.unwrap_or_default().max(now));
    }
    Ok(())
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
