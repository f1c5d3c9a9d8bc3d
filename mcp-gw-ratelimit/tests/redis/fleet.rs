//! Processes that share one server: together never above the quota, in any window.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use mcp_gw_core::{Clock, SystemClock};
use mcp_gw_ratelimit::redis::{OnError, RedisConfig};
use mcp_gw_ratelimit::{Algorithm, Limit};

use crate::support::{Program, Server};
use crate::{charge, connected, store};

/// Holds what a worker needs to know; unset in the test program itself.
const WORK: &str = "MCP_GW_TEST_RATELIMIT_WORK";

/// How long workers work, unless they are told to stop.
const WORKED: Duration = Duration::from_millis(1_500);
const WINDOW: Duration = Duration::from_millis(300);
/// One is counted by a mark for each unit, the other in parts.
const QUOTAS: [u64; 2] = [40, 300];

fn micros() -> u64 {
    let now = SystemClock::new().wall();
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_micros()).unwrap()
}

fn limit(quota: u64) -> Limit {
    Limit::new("shared", quota, WINDOW, Algorithm::SlidingWindow).unwrap()
}

/// A call that was admitted at some time between the two, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    asked: u64,
    told: u64,
}

/// Not a test but the other processes: the program runs itself, with this test chosen.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the variable says what the work is"
)]
fn worker() {
    let Ok(work) = std::env::var(WORK) else {
        return;
    };
    let words: Vec<&str> = work.split(' ').collect();
    let [url, on_error, quota, lasts] = words[..] else {
        panic!("{work}");
    };
    let on_error = match on_error {
        "deny" => OnError::Deny,
        "local" => OnError::Local,
        other => panic!("{other}"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let end = Arc::new(AtomicU64::new(micros() + lasts.parse::<u64>().unwrap()));
    let told = Arc::clone(&end);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(0, Ordering::Relaxed);
    });
    runtime.block_on(hammer(url, on_error, quota.parse().unwrap(), &end));
}

/// Calls as fast as it can and writes a line for each call that was admitted.
async fn hammer(url: &str, on_error: OnError, quota: u64, end: &AtomicU64) {
    let config = RedisConfig::new(url)
        .with_timeout(Duration::from_secs(5))
        .with_on_error(on_error, 2);
    let store = store(&config);
    connected(&store).await;
    let limit = limit(quota);
    let lane = async || {
        let mut calls = Vec::new();
        loop {
            let asked = micros();
            if asked >= end.load(Ordering::Relaxed) {
                return calls;
            }
            let fallbacks = store.redis_stats().fallbacks;
            let standing = charge(&store, &limit, 1).await;
            let is_local = store.redis_stats().fallbacks > fallbacks;
            if standing.is_some_and(|it| it.admitted) {
                calls.push((asked, micros(), is_local));
            }
        }
    };
    // Who decided is told by a counter, which only one call at a time can go by.
    let calls = if on_error == OnError::Local {
        lane().await
    } else {
        let (a, b, c, d) = tokio::join!(lane(), lane(), lane(), lane());
        [a, b, c, d].concat()
    };
    // The harness has begun a line.
    println!();
    for (asked, told, is_local) in calls {
        println!("call {asked} {told} {is_local}");
    }
    let stats = store.redis_stats();
    println!(
        "failed {}",
        stats.failures.iter().map(|(_, n)| n).sum::<u64>()
    );
    println!("connections {}", stats.connections);
}

fn start_worker(url: &str, on_error: &str, quota: u64, lasts: Duration) -> Child {
    let lasts = lasts.as_micros();
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "fleet::worker",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(WORK, format!("{url} {on_error} {quota} {lasts}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Tells a worker to stop.
fn stop(mut worker: Child) -> Report {
    drop(worker.stdin.take());
    report(worker)
}

/// What a worker wrote.
struct Report {
    /// Decided on by Redis.
    shared: Vec<Call>,
    /// Decided on without it.
    local: Vec<Call>,
    failed: u64,
    connections: u64,
}

fn report(mut worker: Child) -> Report {
    let mut text = String::new();
    let mut stdout = worker.stdout.take().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    assert!(worker.wait().unwrap().success(), "{text}");
    let mut report = Report {
        shared: Vec::new(),
        local: Vec::new(),
        failed: 0,
        connections: 0,
    };
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["call", asked, told, is_local] => {
                let call = Call {
                    asked: asked.parse().unwrap(),
                    told: told.parse().unwrap(),
                };
                match is_local {
                    "true" => report.local.push(call),
                    _ => report.shared.push(call),
                }
            }
            ["failed", count] => report.failed = count.parse().unwrap(),
            ["connections", count] => report.connections = count.parse().unwrap(),
            _ => {}
        }
    }
    report
}

/// The most calls that are in one window for certain, wherever between its two times each was
/// admitted.
fn most_in_a_window(calls: &[Call]) -> usize {
    let window = u64::try_from(WINDOW.as_micros()).unwrap();
    let in_window = |start: u64| {
        let is_in = |call: &&Call| call.asked >= start && call.told < start + window;
        calls.iter().filter(is_in).count()
    };
    calls
        .iter()
        .map(|call| in_window(call.asked))
        .max()
        .unwrap_or(0)
}

fn never_above(program: Program) {
    let Some(server) = Server::start_program(program, &[]) else {
        return;
    };
    for quota in QUOTAS {
        server.command::<()>(&["FLUSHALL"]);
        let workers = [(); 2].map(|()| start_worker(&server.url(), "deny", quota, WORKED));
        let reports = workers.map(report);
        let quota = usize::try_from(quota).unwrap();
        let mut all = Vec::new();
        for report in &reports {
            assert_eq!(report.failed, 0);
            assert!(!report.shared.is_empty(), "both had their turn");
            all.extend(&report.shared);
        }
        all.sort_unstable();
        assert!(
            most_in_a_window(&all) <= quota,
            "{} of {quota}",
            most_in_a_window(&all)
        );
        // And more than one window's worth was to be had.
        assert!(all.len() > quota, "{} of {quota}", all.len());
    }
}

#[test]
fn two_processes_are_never_above_the_quota_together() {
    never_above(Program::Redis);
}

#[test]
fn two_processes_are_never_above_the_quota_together_on_valkey() {
    never_above(Program::Valkey);
}

/// Until it has decided for both workers, and often.
fn until_asked(server: &Server) {
    let workers = || {
        server
            .command::<String>(&["CLIENT", "LIST"])
            .matches(" cmd=evalsha")
            .count()
    };
    while server.calls_of("evalsha") < 400 || workers() < 2 {
        std::thread::yield_now();
    }
}

/// Each life of a server knows nothing of the one before, so each is looked at for itself.
fn killed_and_restarted(on_error: &str) -> Option<(Vec<Report>, u64, u64)> {
    let mut server = Server::start(&[])?;
    let quota = QUOTAS[0];
    let workers = [(); 2].map(|()| start_worker(&server.url(), on_error, quota, crate::LONG));
    until_asked(&server);
    let killed = micros();
    server.kill();
    // Away for as long as the workers take to notice and go on without it.
    let window = u64::try_from(WINDOW.as_micros()).unwrap();
    while micros() < killed + window {
        std::thread::yield_now();
    }
    let restarted = micros();
    server.restart();
    until_asked(&server);
    let reports = workers.map(stop).into_iter().collect();
    Some((reports, killed, restarted))
}

#[test]
fn while_redis_is_away_calls_are_refused_if_so_configured() {
    let Some((reports, killed, restarted)) = killed_and_restarted("deny") else {
        return;
    };
    let quota = usize::try_from(QUOTAS[0]).unwrap();
    let mut all: Vec<Call> = Vec::new();
    for report in &reports {
        assert!(report.failed > 0);
        assert_eq!(report.connections, 2);
        assert_eq!(report.local, []);
        all.extend(&report.shared);
    }
    let in_between = |call: &&Call| call.asked > killed && call.told < restarted;
    assert_eq!(all.iter().filter(in_between).count(), 0);
    let (before, after): (Vec<Call>, Vec<Call>) = all.iter().partition(|it| it.told < restarted);
    assert!(!before.is_empty() && !after.is_empty());
    assert!(most_in_a_window(&before) <= quota);
    assert!(most_in_a_window(&after) <= quota);
}

#[test]
fn while_redis_is_away_each_counts_its_share_if_so_configured() {
    let Some((reports, _, restarted)) = killed_and_restarted("local") else {
        return;
    };
    let quota = usize::try_from(QUOTAS[0]).unwrap();
    let mut after = Vec::new();
    for report in &reports {
        assert!(report.failed > 0);
        assert_eq!(report.connections, 2);
        assert!(!report.local.is_empty());
        assert!(most_in_a_window(&report.local) <= quota / 2);
        after.extend(report.shared.iter().filter(|call| call.asked > restarted));
    }
    assert!(!after.is_empty());
    assert!(most_in_a_window(&after) <= quota);
}
