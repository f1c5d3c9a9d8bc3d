//! One run that puts the roads beside each other: same minute, same machine, same load.

use std::{future::Future, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum as _};
use http::Uri;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    Calls,
    children::{self, Children},
    client::{Ask, Plan},
    load::{Fleet, Until},
    nginx, note, print, procfs,
    table::{Cell, Table},
    wire::{Answers, Era, Eras, Failure},
};

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The gateway's program, `mcp-gw-http`.
    #[arg(long, value_name = "PATH", required_unless_present = "nginx")]
    gateway: Option<PathBuf>,
    /// Also measure nginx as plain reverse proxy.
    #[arg(long)]
    nginx: bool,
    /// Put load and upstream on one core, and what stands between on another.
    #[arg(long)]
    pin: bool,
    /// Numbers of connections to measure with.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 32])]
    connections: Vec<usize>,
    /// Length of each round. There are two for each road and number of connections.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    #[command(flatten)]
    calls: Calls,
    /// Ask for the list of tools instead of calling one.
    #[arg(long, conflicts_with = "payload")]
    list: bool,
    /// Number of tools that the upstream lists.
    #[arg(long, default_value_t = 10)]
    tools: usize,
    /// Protocol eras that the upstream understands.
    #[arg(long, value_enum, default_value_t = Eras::Both)]
    upstream_eras: Eras,
    /// How the upstream answers calls.
    #[arg(long, value_enum, default_value_t = Answers::Json)]
    answers: Answers,
}

/// A way to the upstream.
struct Road {
    name: &'static str,
    url: Uri,
    tool: String,
    era: Era,
    proxy: Option<u32>,
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
fn interruption() -> Result<impl Future<Output = ()>, Failure> {
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
    let core = if options.pin {
        let (own, other) = children::two_cores()?;
        children::confine_self(own).await?;
        Some(other)
    } else {
        None
    };
    let eras = options
        .upstream_eras
        .to_possible_value()
        .ok_or("unknown eras")?;
    let answers = options.answers.to_possible_value();
    let answers = answers.ok_or("unknown answers")?;
    let names = (eras.get_name(), answers.get_name());
    let (upstream, direct) = children.upstream(options.tools, names).await?;
    let road = |name, url: &str, proxy| -> Result<Road, Failure> {
        // Only the gateway may rename the tool, and only it lets a client of one era call a server of another.
        let (tool, era) = match (name, options.calls.era) {
            ("gateway", era) => (&*options.calls.tool, era),
            (_, era) if options.upstream_eras.include(era) => ("echo", era),
            (_, Era::Modern) => ("echo", Era::Legacy),
            (_, Era::Legacy) => ("echo", Era::Modern),
        };
        Ok(Road {
            name,
            url: url.parse()?,
            tool: tool.to_owned(),
            era,
            proxy,
        })
    };
    let mut roads = vec![road("direct", &direct, None)?];
    let mut folder = None;
    if options.nginx {
        let (pid, url, kept) = nginx::start(children, &direct, core).await?;
        roads.push(road("nginx", &url, Some(pid))?);
        folder = Some(kept);
    }
    if let Some(program) = &options.gateway {
        let (pid, url) = children.gateway(program, &direct, core).await?;
        roads.push(road("gateway", &url, Some(pid))?);
    }
    let mut table = Table {
        roads: roads.iter().map(|road| road.name).collect(),
        rows: Vec::new(),
    };
    for road in &roads {
        let most = options.connections.iter().copied().max().unwrap_or(1);
        round(options, road, upstream, most, WARM_UP, &mut Cell::default()).await?;
    }
    memory(&roads, "before")?;
    for &connections in &options.connections {
        let mut cells: Vec<Cell> = roads.iter().map(|_| Cell::default()).collect();
        for _ in 0..ROUNDS {
            for (road, cell) in roads.iter().zip(&mut cells) {
                let time = Duration::from_secs(options.seconds);
                round(options, road, upstream, connections, time, cell).await?;
            }
        }
        table.rows.push((connections, cells));
    }
    memory(&roads, "after")?;
    print(&table.markdown());
    drop(folder);
    Ok(table
        .rows
        .iter()
        .flat_map(|(_, cells)| cells)
        .all(|cell| cell.outcome.errors == 0))
}

/// One round over one road, added to its cell.
async fn round(
    options: &Options,
    road: &Road,
    upstream: u32,
    connections: usize,
    time: Duration,
    cell: &mut Cell,
) -> Result<(), Failure> {
    let ask = if options.list {
        Ask::List(options.tools)
    } else {
        Ask::Echo(options.calls.payload)
    };
    let plan = Plan {
        url: road.url.clone(),
        era: road.era,
        ask,
        tool: road.tool.clone(),
        bearer: None,
    };
    let about = |error: Failure| -> Failure { format!("{}: {error}", road.name).into() };
    let mut fleet = Fleet::open(plan, connections).await.map_err(about)?;
    let before = used(road, upstream).map_err(about)?;
    let outcome = fleet.run(Until::Elapsed(time)).await;
    let after = used(road, upstream).map_err(about)?;
    fleet.close().await;
    note(&format!(
        "{}, {connections} connections: {outcome}",
        road.name
    ));
    if outcome.latencies.count() == 0 {
        return Err(format!("{}: no call succeeded", road.name).into());
    }
    cell.outcome.add(outcome);
    cell.upstream += after.0.saturating_sub(before.0);
    if let (Some(before), Some(after)) = (before.1, after.1) {
        *cell.proxy.get_or_insert_default() += after.saturating_sub(before);
    }
    Ok(())
}

/// CPU time used so far by the upstream, and by what stands before it.
fn used(road: &Road, upstream: u32) -> Result<(Duration, Option<Duration>), Failure> {
    Ok((
        procfs::cpu_time(upstream)?,
        road.proxy.map(procfs::cpu_time).transpose()?,
    ))
}

fn memory(roads: &[Road], when: &str) -> Result<(), Failure> {
    for (name, pid) in roads
        .iter()
        .filter_map(|road| Some((road.name, road.proxy?)))
    {
        note(&format!(
            "{name}: {} KiB resident {when} the rounds",
            procfs::resident_kib(pid)?
        ));
    }
    Ok(())
}

const ROUNDS: usize = 2;
const WARM_UP: Duration = Duration::from_millis(500);
