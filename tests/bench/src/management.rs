//! The management API, in front of each database: calls by its paths beside those of the MCP endpoint, logins, new keys,
//! and what many servers and keys cost.

mod api;
mod base;
mod crowd;
mod report;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use http::Uri;
use serde_json::{Value, json};

use self::{
    api::{Api, Job, Work},
    base::Base,
    report::{Report, Row},
};
use crate::{
    children::{self, Children},
    client::{Ask, Plan},
    compare::interruption,
    load::{Fleet, Outcome, Until},
    note, print, procfs,
    roads::sibling,
    wire::{Answers, Era, Eras, Failure},
};

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The gateway's program; that beside this one if not given.
    #[arg(long, value_name = "PATH")]
    gateway: Option<PathBuf>,
    /// Only these databases; all that are installed if not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    database: Vec<Database>,
    /// Length of each round.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How often each way has its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Numbers of connections to call from.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 16])]
    connections: Vec<usize>,
    /// Bytes of text that each call sends and gets back, at least 16.
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    payload: usize,
    /// Servers that nobody can reach, for the second table; 0 leaves it out.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    servers: u32,
    /// Keys in the database, for the second table.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// How long is looked, from its start on, what a gateway does by itself that has so many servers, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 45)]
    watch: u64,
    /// Let the system choose cores. Otherwise load, upstream and PostgreSQL share one core, and the gateway has another.
    #[arg(long)]
    no_pin: bool,
    /// Also write everything as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What users, keys and servers are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Database {
    /// SQLite in memory.
    Memory,
    /// SQLite in a file.
    Sqlite,
    /// A PostgreSQL of the run's own.
    Postgres,
}

impl Database {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Where the processes run, and how they are reached.
pub(crate) struct Bench<'o> {
    options: &'o Options,
    program: PathBuf,
    core: Option<usize>,
}

/// Measures and prints. Tells whether every answer was right. All children have ended when it returns.
pub(crate) async fn run(options: &Options) -> Result<bool, Failure> {
    tokio::select! {
        result = measure(options) => result,
        () = interruption()? => Err("interrupted".into()),
    }
}

async fn measure(options: &Options) -> Result<bool, Failure> {
    let program = options.gateway.clone().or_else(|| sibling("mcp-gw-http"));
    let program = program.ok_or("there is no mcp-gw-http beside this program: give --gateway")?;
    let (machine, core) = children::settle(!options.no_pin).await?;
    let bench = Bench {
        options,
        program,
        core,
    };
    let mut report = Report::new(machine);
    let all = [Database::Memory, Database::Sqlite, Database::Postgres];
    let wanted = match &*options.database {
        [] => &all[..],
        some => some,
    };
    for &database in wanted {
        let Some(base) = Base::new(database) else {
            if !options.database.is_empty() {
                return Err("PostgreSQL is not installed, see MCP_GW_POSTGRES_BIN".into());
            }
            note("PostgreSQL is not installed, and left out");
            continue;
        };
        let mut children = Children::default();
        let done = ways(&bench, &base, &mut children, &mut report).await;
        children.end().await;
        done.map_err(|error| format!("{}: {error}", database.name()))?;
        // What is gone with the process cannot be filled before it starts.
        if options.servers > 0 && database != Database::Memory {
            let mut children = Children::default();
            let crowd = crowd::measure(&bench, &base, &mut children).await;
            children.end().await;
            report
                .crowds
                .push(crowd.map_err(|error| format!("{}: {error}", database.name()))?);
        }
    }
    print(&report.markdown());
    if let Some(file) = &options.json {
        fs::write(file, format!("{:#}\n", report.json()))?;
    }
    Ok(report.is_right())
}

/// A way to ask, and from how many connections.
enum Way {
    Mcp(Plan, usize),
    Api(Job, usize),
}

impl Way {
    async fn run(&self, url: &Uri, time: Duration) -> Result<Outcome, Failure> {
        match self {
            Self::Mcp(plan, connections) => {
                let mut fleet = Fleet::open(plan.clone(), *connections).await?;
                let outcome = fleet.run(Until::Elapsed(time)).await;
                fleet.close().await;
                Ok(outcome)
            }
            Self::Api(job, connections) => job.run(url, *connections, time).await,
        }
    }
}

/// All ways in turn: each round is A B C D.
async fn ways(
    bench: &Bench<'_>,
    base: &Base,
    children: &mut Children,
    report: &mut Report,
) -> Result<(), Failure> {
    let options = bench.options;
    let (_, upstream) = children.upstream(10, Eras::Both, Answers::Json).await?;
    let folder = tempfile::tempdir()?;
    let file = configuration(folder.path(), &base.url("ways", folder.path()).await?)?;
    let (pid, mcp) = children
        .managed(&bench.program, &file, PASSWORD, bench.core, START)
        .await?;
    let mcp: Uri = mcp.parse()?;
    let mut api = Api::open(&mcp).await?;
    let (admin, token, key) = set_up(&mut api, &upstream).await?;
    let mut ways = Vec::new();
    for &connections in &options.connections {
        let echo = |credential: &str| {
            let plan = plan(&mcp, options.payload, credential);
            Job::new(
                Work::Echo(SERVER.to_owned()),
                &plan,
                &[credential.to_owned()],
            )
        };
        let what = |name: &str| format!("{name}, {connections} connections");
        let plan = plan(&mcp, options.payload, &key);
        ways.push((what(MCP), Way::Mcp(plan, connections)));
        ways.push((
            what("`POST /tools/call`, API key"),
            Way::Api(echo(&key)?, connections),
        ));
        ways.push((
            what("`POST /tools/call`, JWT"),
            Way::Api(echo(&token)?, connections),
        ));
    }
    for at_once in [1, 8] {
        let any = plan(&mcp, 16, &token);
        let job = |work| Job::new(work, &any, std::slice::from_ref(&admin));
        let login = Work::Login(USER.to_owned(), USER_PASSWORD.to_owned());
        ways.push((
            format!("logins, {at_once} at once"),
            Way::Api(job(login)?, at_once),
        ));
        ways.push((
            format!("new API keys, {at_once} at once"),
            Way::Api(job(Work::NewKey)?, at_once),
        ));
    }
    let database = base.database;
    let mut rows: Vec<Row> = ways
        .iter()
        .map(|(what, _)| Row::new(database.name(), what))
        .collect();
    for (_, way) in &ways {
        way.run(&mcp, WARM_UP).await?;
    }
    let time = Duration::from_secs(options.seconds);
    for _ in 0..options.rounds {
        for ((what, way), row) in ways.iter().zip(&mut rows) {
            let before = procfs::cpu_time(pid)?;
            let outcome = way.run(&mcp, time).await?;
            let used = procfs::cpu_time(pid)?.saturating_sub(before);
            note(&format!("{}: {what}: {outcome}", database.name()));
            row.add(outcome, used, procfs::resident_kib(pid)?);
        }
    }
    report.add_rows(rows);
    let log = fs::read_to_string(file.with_extension("log"))?;
    let mut lost = log
        .lines()
        .filter(|line| line.contains("audit.lost") || line.contains("are lost"));
    if let Some(line) = lost.next_back() {
        note(&format!("{}: {line}", database.name()));
    }
    Ok(())
}

/// A user, a key of the user, a token, and the upstream as a server: all by the API. Gives the tokens of admin and user, and the key.
async fn set_up(api: &mut Api, upstream: &str) -> Result<(String, String, String), Failure> {
    let admin = api.login("admin", PASSWORD).await?;
    let user = json!({ "username": USER, "password": USER_PASSWORD, "roles": ["bench"] });
    let user = api.post("/auth/users", &admin, &user).await?;
    let key = json!({ "name": "bench", "user_id": user.get("id"), "scopes": ["gateway:read", "tools:call"] });
    let key = api.post("/auth/api-keys", &admin, &key).await?;
    let key = key
        .get("key")
        .and_then(Value::as_str)
        .ok_or("the new key has no text")?;
    let server =
        json!({ "template_name": SERVER, "id": SERVER, "config": { "endpoint": upstream } });
    let server = api.post("/servers", &admin, &server).await?;
    if server.get("status").and_then(Value::as_str) != Some("healthy") {
        return Err(format!("the upstream is no healthy server: {server}").into());
    }
    let token = api.login(USER, USER_PASSWORD).await?;
    Ok((admin, token, key.to_owned()))
}

/// Calls of the upstream's `echo` at the MCP endpoint, which gives it a name of two parts.
pub(crate) fn plan(url: &Uri, payload: usize, credential: &str) -> Plan {
    Plan {
        url: url.clone(),
        era: Era::Modern,
        ask: Ask::Echo(payload),
        tool: format!("{SERVER}__echo"),
        bearer: Some(credential.to_owned()),
    }
}

/// Writes what the gateway goes by: no limits, which nobody reaches, but everything else that is on by itself.
pub(crate) fn configuration(folder: &Path, database_url: &str) -> Result<PathBuf, Failure> {
    let text = json!({
        "http": { "listen": "127.0.0.1:0" },
        "policy": { "default": "allow" },
        "management": {
            "database_url": database_url,
            "allow_private": true,
            "access_token_expire_minutes": 1440,
            "login": { "per_address": 1_000_000, "per_user": 1_000_000 },
        },
    });
    let file = folder.join("mcp-gw.yaml");
    fs::write(&file, text.to_string())?;
    Ok(file)
}

/// What everything is compared with.
pub(crate) const MCP: &str = "`tools/call` at the MCP endpoint, API key";
/// The upstream: template and id.
pub(crate) const SERVER: &str = "bench";
pub(crate) const PASSWORD: &str = "the first password of the bench";
const USER: &str = "bench";
const USER_PASSWORD: &str = "another password of the bench";
const WARM_UP: Duration = Duration::from_millis(500);
const START: Duration = Duration::from_secs(60);
