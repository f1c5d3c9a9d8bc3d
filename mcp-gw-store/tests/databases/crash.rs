//! Processes that are killed in the middle of writes: what was acknowledged is there, and nothing is
//! half there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use mcp_gw_store::{
    AuditQuery, AuditRecord, InstanceFilter, InstanceSpec, KeyFilter, NewInstance, NewKey,
    PageRequest, Pin, SecretHash, Store, Time,
};

use crate::server::Server;
use crate::{open_at, open_with, sqlite_url, user};

/// What the process that this test starts has to do, and where.
const WORK: &str = "MCP_GW_STORE_WORK";

/// This program once more, as a process that can be killed.
pub(crate) struct Worker {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    pub(crate) fn start(task: &str, url: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::worker",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(WORK, format!("{task} {url}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next thing that it says it has done.
    pub(crate) fn next(&mut self) -> Option<String> {
        // The harness writes lines of its own.
        self.lines
            .by_ref()
            .find_map(|line| line.ok()?.strip_prefix("did ").map(str::to_owned))
    }

    /// All that it says until it ends well.
    pub(crate) fn all(mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(done) = self.next() {
            all.push(done);
        }
        assert!(self.child.wait().unwrap().success());
        all
    }

    /// Kills it, and returns what it had said until then and was not read.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut rest = Vec::new();
        while let Some(done) = self.next() {
            rest.push(done);
        }
        rest
    }
}

fn did(what: &str) {
    // At once and whole, whatever happens next.
    let mut out = std::io::stdout().lock();
    writeln!(out, "did {what}").unwrap();
    out.flush().unwrap();
}

/// Writes one thing of each kind, and says so when it is kept.
async fn write_round(store: &dyn Store, round: usize) -> mcp_gw_store::Result<()> {
    let name = format!("n{round}");
    let made = store.create_user(user(&name)).await?;
    did(&format!("user {name}"));
    let key = NewKey::new(made.id, &*name, &*name, SecretHash::from_bytes([1; 32]));
    store.create_key(key).await?;
    did(&format!("key {name}"));
    let instance = NewInstance::new(&*name, &*name, InstanceSpec::http("http://h"));
    store.create_instance(instance).await?;
    did(&format!("instance {name}"));
    let events = (0..5).map(|_| AuditRecord::new(Time::from_micros(0), &*name, "m", "ok"));
    store.append_audit(events.collect()).await?;
    did(&format!("audit {name}"));
    let pins = (0..20).map(|number| Pin::new("tool", number.to_string(), &*name));
    let known = store.pins("s").await.ok().map(|pins| pins.revision);
    store.put_pins("s", known, pins.collect()).await?;
    did(&format!("pins {name}"));
    Ok(())
}

/// What is there of what a worker writes: all of it is whole.
async fn found(store: &dyn Store) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let all = PageRequest::first(1_000);
    let names = crate::usernames(store).await;
    found.extend(names.iter().map(|name| format!("user {name}")));
    let keys = store.keys(&KeyFilter::new(), &all).await.unwrap();
    found.extend(keys.items.iter().map(|key| format!("key {}", key.name)));
    let instances = store.instances(&InstanceFilter::new(), &all).await.unwrap();
    let instances = instances
        .items
        .iter()
        .map(|it| format!("instance {}", it.id));
    let instances: Vec<String> = instances.collect();
    let templates = store.templates(&all).await.unwrap().items.len();
    assert_eq!(
        templates,
        instances.len(),
        "a template comes with its instance"
    );
    found.extend(instances);
    for name in names.into_iter().chain(["n0".to_owned()]) {
        let mut query = AuditQuery::new();
        query.caller_id = Some(name.clone());
        let events = store.audit(&query, &all).await.unwrap().items.len();
        assert!(events == 0 || events == 5, "a batch is there or not");
        if events > 0 {
            found.insert(format!("audit {name}"));
        }
    }
    if let Ok(pins) = store.pins("s").await {
        let digest = pins.pins[0].digest.clone();
        assert_eq!(pins.pins.len(), 20, "pins are replaced whole");
        assert!(pins.pins.iter().all(|pin| pin.digest == digest));
        let last: usize = digest.strip_prefix('n').unwrap().parse().unwrap();
        found.extend((0..=last).map(|round| format!("pins n{round}")));
    }
    found
}

/// The process that others start and kill. Without work it tries itself.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "what to do is said by whoever starts it"
)]
async fn worker() {
    let Ok(work) = std::env::var(WORK) else {
        let (store, _) = open_at("memory:").await;
        for round in 0..3 {
            write_round(&*store, round).await.unwrap();
        }
        assert_eq!(found(&*store).await.len(), 15);
        return;
    };
    // The harness has begun a line.
    println!();
    let (task, url) = work.split_once(' ').unwrap();
    let store = open_with(url, &mcp_gw_store::StoreOptions::new()).await;
    let store = store.unwrap();
    if task == "open" {
        did("opened");
        return;
    }
    let from = crate::usernames(&*store).await.len();
    for round in from.. {
        // A round that was cut off is not begun again, and the server may be away.
        if write_round(&*store, round).await.is_err() {
            return;
        }
    }
}

/// Lets a worker write and ends `kill` it, again and again: what it said it did is there.
async fn is_killed_again_and_again(
    url: &str,
    rounds: usize,
    mut kill: impl FnMut(Worker) -> Vec<String>,
) {
    let mut acknowledged = BTreeSet::new();
    for round in 0..rounds {
        let mut worker = Worker::start("write", url);
        // Another place of the sequence each time.
        for _ in 0..=((round * 7) % 19) {
            acknowledged.extend(worker.next());
        }
        acknowledged.extend(kill(worker));
        let (store, _) = open_at(url).await;
        let found = found(&*store).await;
        let lost: Vec<_> = acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        store.close().await;
    }
    assert!(acknowledged.len() >= rounds, "{}", acknowledged.len());
}

#[tokio::test]
async fn what_sqlite_has_acknowledged_outlives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite_url(&folder.path().join("gateway.db"));
    is_killed_again_and_again(&url, 20, Worker::kill).await;
}

#[tokio::test]
async fn what_postgres_has_acknowledged_outlives_kill_9_of_the_gateway() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("killed").await;
    is_killed_again_and_again(&url, 10, Worker::kill).await;
}

#[tokio::test]
async fn what_postgres_has_acknowledged_outlives_kill_9_of_postgres() {
    let Some(mut server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("killed").await;
    is_killed_again_and_again(&url, 6, |worker| {
        server.kill();
        // It finds that the server is away.
        let rest = worker.all();
        server.run();
        rest
    })
    .await;
}
