//! What a check of rate limits through Redis costs.

use std::{
    fmt::Write as _, num::NonZeroU64, path::PathBuf, process::Stdio, rc::Rc, sync::Arc,
    time::Duration,
};

use clap::Args;
use mcp_gw_core::SystemClock;
use mcp_gw_ratelimit::{
    Algorithm, Demand, Key, Limit, MemoryStore, Store,
    redis::{OnError, RedisConfig, RedisStore},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    task::LocalSet,
    time::Instant,
};

use crate::{latency::Latencies, procfs, wire::Failure};

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The server to start: Redis or Valkey.
    #[arg(long, value_name = "PATH", default_value = "redis-server")]
    server: PathBuf,
    /// Checks under way at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 256])]
    tasks: Vec<usize>,
    /// Callers that take turns.
    #[arg(long, default_value_t = 10_000)]
    callers: u64,
    /// Length of each measurement.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

/// A server of the run's own, on a socket in a folder that goes with it.
struct Server {
    child: Child,
    folder: tempfile::TempDir,
    admin: redis::aio::MultiplexedConnection,
}

/// What one row of the table is about.
struct Case {
    name: &'static str,
    limits: Vec<Limit>,
    callers: u64,
}

/// One measurement.
#[derive(Default)]
struct Outcome {
    latencies: Latencies,
    admitted: u64,
    failed: u64,
    elapsed: Duration,
    /// CPU time of the server.
    cpu: Duration,
    /// Questions that the server was asked.
    trips: u64,
}

/// Prints one Markdown table. False when a check failed.
pub(crate) async fn run(options: &Options) -> Result<bool, Failure> {
    let mut text =
        "| limits | tasks | checks/s | p50 us | p99 us | admitted | server CPU us per check | \
                    round trips per check | bytes per key |\n|---|---|---|---|---|---|---|---|---|"
            .to_owned();
    let mut is_good = true;
    for case in cases(options.callers)? {
        for &tasks in &options.tasks {
            let mut server = Server::start(&options.server).await?;
            let empty = server.memory().await?;
            let outcome = measure(&mut server, &case, tasks, options.seconds).await?;
            let used = server.memory().await?.saturating_sub(empty);
            let keys: u64 = redis::cmd("DBSIZE").query_async(&mut server.admin).await?;
            is_good &= outcome.failed == 0;
            let _ = write!(text, "\n{}", row(&case, tasks, &outcome, (used, keys)));
        }
    }
    crate::print(&text);
    Ok(is_good)
}

fn cases(callers: u64) -> Result<Vec<Case>, Failure> {
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3_600));
    let window = |quota, window| Limit::new("window", quota, window, Algorithm::SlidingWindow);
    let burst = NonZeroU64::new(100).ok_or("no burst")?;
    let case = |name, limits, callers| Case {
        name,
        limits,
        callers,
    };
    Ok(vec![
        case("60 a minute", vec![window(60, minute)?], callers),
        case("60 a minute, one caller", vec![window(60, minute)?], 1),
        case("256 a minute", vec![window(256, minute)?], callers),
        case("1,000 an hour", vec![window(1_000, hour)?], callers),
        case(
            "GCRA, 600 a minute, burst 100",
            vec![Limit::new("bucket", 600, minute, Algorithm::gcra(burst))?],
            callers,
        ),
        case(
            "three at once",
            vec![
                window(1_000, hour)?,
                window(60, minute)?,
                window(100_000_000, minute)?,
            ],
            callers,
        ),
    ])
}

async fn measure(
    server: &mut Server,
    case: &Case,
    tasks: usize,
    seconds: u64,
) -> Result<Outcome, Failure> {
    let config = RedisConfig::new(server.url())
        .with_timeout(Duration::from_secs(5))
        .with_max_in_flight(tasks)
        .with_on_error(OnError::Deny, 1);
    let clock = Arc::new(SystemClock::new());
    let store = RedisStore::new(&config, Arc::new(MemoryStore::default()), clock)
        .map_err(|faults| format!("{faults:?}"))?;
    store.connect().await?;
    let (store, limits) = (Rc::new(store), Rc::new(case.limits.clone()));
    redis::cmd("CONFIG")
        .arg("RESETSTAT")
        .exec_async(&mut server.admin)
        .await?;
    let pid = server.child.id().ok_or("the server has ended")?;
    let (cpu, start) = (procfs::cpu_time(pid)?, Instant::now());
    let end = start + Duration::from_secs(seconds);
    let lanes = LocalSet::new();
    let lane = |lane: usize| {
        let (store, limits, callers) = (Rc::clone(&store), Rc::clone(&limits), case.callers);
        lanes.spawn_local(async move { check(&store, &limits, callers, lane as u64, end).await })
    };
    let running: Vec<_> = (0..tasks).map(lane).collect();
    lanes.await;
    let mut outcome = Outcome {
        elapsed: start.elapsed(),
        cpu: procfs::cpu_time(pid)?.saturating_sub(cpu),
        trips: server.trips().await?,
        ..Outcome::default()
    };
    for lane in running {
        let (latencies, admitted, failed) = lane.await?;
        outcome.latencies.merge(&latencies);
        outcome.admitted += admitted;
        outcome.failed += failed;
    }
    Ok(outcome)
}

/// Checks for one caller after the other until `end`.
async fn check(
    store: &RedisStore,
    limits: &[Limit],
    callers: u64,
    lane: u64,
    end: Instant,
) -> (Latencies, u64, u64) {
    let (mut latencies, mut admitted, mut failed) = (Latencies::default(), 0, 0);
    let mut turn = lane.wrapping_mul(7_919);
    loop {
        let start = Instant::now();
        if start >= end {
            return (latencies, admitted, failed);
        }
        turn = turn.wrapping_add(1);
        let demands: Vec<_> = limits
            .iter()
            .zip(0_u64..)
            .map(|(limit, number)| {
                // The last of several limits is one for all callers.
                let caller = if number == 2 { 0 } else { turn % callers };
                let key = u128::from(caller) << 64 | u128::from(number);
                Demand::new(limit, Key::from_bytes(key.to_be_bytes()), 1)
            })
            .collect();
        match store.charge(&demands).await {
            Ok(standings) => admitted += u64::from(standings.iter().all(|it| it.admitted)),
            Err(_) => failed += 1,
        }
        latencies.record(start.elapsed());
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures of a table have three digits"
)]
fn row(case: &Case, tasks: usize, outcome: &Outcome, (used, keys): (u64, u64)) -> String {
    let checks = outcome.latencies.count().max(1);
    let per_check = |whole: f64| whole / checks as f64;
    let micros = |percent: u64| outcome.latencies.per_mille(percent * 10).as_micros();
    // Of a few keys nobody can tell beside what the server needs for itself.
    let bytes = match keys {
        ..1_000 => "-".to_owned(),
        keys => (used / keys).to_string(),
    };
    let failed = match outcome.failed {
        0 => String::new(),
        failed => format!(" ({failed} FAILED)"),
    };
    format!(
        "| {} | {tasks} | {:.0}{failed} | {} | {} | {:.0} % | {:.1} | {:.3} | {bytes} |",
        case.name,
        checks as f64 / outcome.elapsed.as_secs_f64(),
        micros(50),
        micros(99),
        per_check(outcome.admitted as f64) * 100.0,
        per_check(outcome.cpu.as_secs_f64()) * 1e6,
        per_check(outcome.trips as f64),
    )
}

impl Server {
    async fn start(program: &PathBuf) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("s");
        let mut child = Command::new(program)
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .arg("--unixsocket")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().ok_or("the server has no output")?;
        let mut lines = BufReader::new(output).lines();
        loop {
            let line = lines.next_line().await?.ok_or("the server ended")?;
            if line.contains("eady to accept connections") {
                break;
            }
        }
        let client = redis::Client::open(format!("redis+unix://{}", socket.display()))?;
        Ok(Self {
            child,
            admin: client.get_multiplexed_async_connection().await?,
            folder,
        })
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("s").display())
    }

    async fn info(&mut self, section: &str) -> Result<String, Failure> {
        Ok(redis::cmd("INFO")
            .arg(section)
            .query_async(&mut self.admin)
            .await?)
    }

    /// Bytes that the server uses.
    async fn memory(&mut self) -> Result<u64, Failure> {
        let info = self.info("memory").await?;
        let found = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        Ok(found.ok_or("no used_memory")?.trim().parse()?)
    }

    /// Commands that clients sent since the statistics were reset, but for those of this program.
    async fn trips(&mut self) -> Result<u64, Failure> {
        let info = self.info("commandstats").await?;
        let calls = |command: &str| {
            let start = format!("cmdstat_{command}:calls=");
            let rest = info.lines().find_map(|line| line.strip_prefix(&start));
            rest.and_then(|rest| rest.split(',').next()?.parse::<u64>().ok())
        };
        let commands = ["evalsha", "eval", "script|load", "hello", "ping"];
        Ok(commands.into_iter().filter_map(calls).sum())
    }
}
