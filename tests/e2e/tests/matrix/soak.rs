//! Many client sessions, children killed at random: nothing is left behind.
//!
//! `MCP_GW_SOAK_SESSIONS` says how many sessions; without it there are a few hundred.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::client::Client;
use crate::front::{Front, LIMIT, Upstream};

const SESSIONS: usize = 300;
const WORKERS: usize = 12;
/// So many children run at most: the one that all share, and `max_connections`.
const MOST: usize = 1 + 16;

/// A process as the system shows it.
#[derive(Debug, Clone)]
struct Shown {
    parent: u32,
    state: char,
}

/// All processes.
fn processes() -> BTreeMap<u32, Shown> {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything, so what follows is found from its end.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        Some((pid, Shown { parent, state }))
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(read)
        .collect()
}

fn children(of: u32) -> Vec<(u32, Shown)> {
    let all = processes().into_iter();
    all.filter(|(_, shown)| shown.parent == of).collect()
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have ended by itself.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// Looks until `is_so`, or fails with what it last saw.
async fn until<T: std::fmt::Debug>(mut look: impl FnMut() -> T, is_so: impl Fn(&T) -> bool) {
    let mut last = look();
    // Nothing tells of the end of a process that is somebody else's child.
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let wait = async {
        while !is_so(&last) {
            again.tick().await;
            last = look();
        }
    };
    let in_time = timeout(LIMIT, wait).await.is_ok();
    assert!(in_time, "still: {last:?}");
}

/// A cheap source of numbers that look random and are the same in each run.
fn scatter(number: usize) -> usize {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> 33).unwrap_or_default()
}

#[tokio::test]
async fn many_sessions_and_killed_children_leave_nothing_behind() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[expect(
        clippy::disallowed_methods,
        reason = "a long form is asked for by hand"
    )]
    let asked = std::env::var("MCP_GW_SOAK_SESSIONS").ok();
    let count = asked.map_or(SESSIONS, |count| count.parse().expect("a number"));
    let upstream = Upstream {
        revision: "2025-11-25",
        is_http: false,
    };
    // Sessions end to make room for others, and not by the clock: how fast this machine is must not
    // decide whether one is there for its next message. What is at work goes last, which is a tenth
    // of all at most, and each worker has one that it has just used: both fit.
    let most = count / 5 + 2 * WORKERS;
    let top = format!(
        "http: {{ listen: \"127.0.0.1:0\", sessions: {{ idle_timeout: 1h, max_per_caller: {most} }} }}"
    );
    let mut gateway = Front::Http.start_with(upstream, &top).await;
    let pid = gateway.processes.last().unwrap().id().unwrap();
    let (next, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let gateway_ref = Arc::new(&gateway);
    let work = async || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return;
        }
        let client = Client::open(&gateway_ref, "2025-11-25", true).await;
        let chance = scatter(number);
        let alive = children(pid);
        let alive = alive.iter().filter(|(_, shown)| shown.state != 'Z').count();
        assert!(alive <= MOST, "{alive} processes");
        if chance.is_multiple_of(3) {
            let all = children(pid);
            if let Some((victim, _)) = all.get(chance / 3 % all.len().max(1)) {
                kill(*victim);
            }
        }
        let outcome = client
            .ask("tools/call", json!({ "name": "echo", "arguments": {} }))
            .await;
        if outcome.answer.get("result").is_some() {
            answered.fetch_add(1, Ordering::Relaxed);
        }
        if chance.is_multiple_of(2) {
            client.end().await;
        }
        // Half of them just go away, some in the middle of a call.
        if chance.is_multiple_of(5) {
            let params = json!({ "name": "wait", "arguments": {} });
            drop(client.begin("tools/call", params).await);
        }
    };
    let workers = (0..WORKERS).map(|_| work());
    futures_util::future::join_all(workers).await;
    // Most calls have an answer: those whose child was killed may have none.
    let answered = answered.load(Ordering::Relaxed);
    assert!(answered * 2 > count, "{answered} of {count}");
    // A fresh client is served as ever.
    let client = Client::open(&gateway_ref, "2025-11-25", true).await;
    client.tool("echo").await.result();
    client.end().await;
    let zombies =
        |all: &Vec<(u32, Shown)>| all.iter().filter(|(_, shown)| shown.state == 'Z').count();
    until(|| children(pid), |all| zombies(all) == 0).await;

    let before = children(pid);
    let mut process = gateway.processes.pop().unwrap();
    let gateway_pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(gateway_pid, rustix::process::Signal::TERM).unwrap();
    timeout(LIMIT, process.wait())
        .await
        .expect("it stops")
        .unwrap();
    let left = || {
        let all = processes();
        before
            .iter()
            .filter(|(pid, _)| all.contains_key(pid))
            .count()
    };
    until(left, |left| *left == 0).await;
}
