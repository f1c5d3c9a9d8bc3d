//! What a comparison measures: stages, each with processes of its own, and their rows.

use std::time::Duration;

use clap::Args;

use crate::{
    client::Ask,
    wire::{Answers, Era, Eras},
};

/// One upstream, whatever stands before it, and what is asked.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    /// Number of tools that the upstream lists.
    pub(crate) tools: usize,
    /// Protocol eras that the upstream understands.
    pub(crate) eras: Eras,
    /// How the upstream answers calls.
    pub(crate) answers: Answers,
    /// As so many servers the gateway knows the upstream; above one, roads without a gateway are left out.
    pub(crate) servers: usize,
    pub(crate) rows: Vec<Row>,
}

/// What is asked, and how.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) ask: Ask,
    pub(crate) era: Era,
    pub(crate) connections: usize,
    /// Calls per second of all connections together; as many as are answered if not given.
    pub(crate) rate: Option<u32>,
    pub(crate) front: Front,
}

/// Over what the gateway is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    Http,
    /// Standard input and output of `mcp-gw-stdio`; the connections are requests under way at once.
    Stdio,
}

impl Row {
    pub(crate) fn new(what: &str, ask: Ask, connections: usize) -> Self {
        Self {
            what: format!("{what}, {connections} connections"),
            ask,
            era: Era::Modern,
            connections,
            rate: None,
            front: Front::Http,
        }
    }

    fn in_era(mut self, era: Era) -> Self {
        self.era = era;
        self
    }

    fn over_stdio(what: &str, ask: Ask, at_once: usize) -> Self {
        Self {
            what: format!("{what}, {at_once} at once"),
            front: Front::Stdio,
            ..Self::new(what, ask, at_once)
        }
    }

    fn paced(mut self, rate: u32) -> Self {
        self.what = format!("{}, {rate} calls/s", self.what);
        self.rate = Some(rate);
        self
    }

    /// The time between two calls of one connection, where that is fixed.
    pub(crate) fn interval(&self) -> Option<Duration> {
        let connections = u32::try_from(self.connections).ok()?;
        Some(Duration::from_secs(1) * connections / self.rate?.max(1))
    }
}

impl Stage {
    pub(crate) const fn new(name: &'static str, tools: usize, rows: Vec<Row>) -> Self {
        Self {
            name,
            tools,
            eras: Eras::Both,
            answers: Answers::Json,
            servers: 1,
            rows,
        }
    }
}

/// One case of one's own in the place of all others, as soon as one of these is given.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Case {
    /// Measure only calls with so many bytes of text, at least 16.
    #[arg(long, value_name = "BYTES", conflicts_with = "only", value_parser = at_least::<16>)]
    payload: Option<usize>,
    /// Measure only the list of tools.
    #[arg(long, conflicts_with_all = ["payload", "only"])]
    list: bool,
    /// Measure only one case, with so many tools in the upstream's list.
    #[arg(long, value_name = "N", conflicts_with = "only")]
    tools: Option<usize>,
    /// Measure only one case, with a client of this era.
    #[arg(long, value_enum, conflicts_with = "only")]
    era: Option<Era>,
    /// Measure only one case, with an upstream of these eras.
    #[arg(long, value_enum, conflicts_with = "only")]
    upstream_eras: Option<Eras>,
    /// Measure only one case, with an upstream that answers calls like this.
    #[arg(long, value_enum, conflicts_with = "only")]
    answers: Option<Answers>,
    /// Measure only one case, with the upstream as so many servers.
    #[arg(long, value_name = "N", conflicts_with_all = ["only", "list"], value_parser = at_least::<1>)]
    servers: Option<usize>,
}

/// A number from `LEAST`.
pub(crate) fn at_least<const LEAST: usize>(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "it is no number".to_owned())?;
    if number < LEAST {
        return Err(format!("the least is {LEAST}"));
    }
    Ok(number)
}

impl Case {
    /// Its stage; `None` when nothing was given.
    pub(crate) fn stage(&self, connections: &[usize]) -> Option<Stage> {
        let is_given = self.list
            || self.payload.is_some()
            || self.tools.is_some()
            || self.era.is_some()
            || self.upstream_eras.is_some()
            || self.answers.is_some()
            || self.servers.is_some();
        let tools = self.tools.unwrap_or(10);
        let payload = self.payload.unwrap_or(1024);
        let (what, ask) = if self.list {
            (format!("list of {tools} tools"), Ask::List(tools))
        } else {
            (format!("echo {payload} B"), Ask::Echo(payload))
        };
        let era = self.era.unwrap_or(Era::Modern);
        let row = |&count: &usize| Row::new(&what, ask, count).in_era(era);
        is_given.then(|| Stage {
            eras: self.upstream_eras.unwrap_or(Eras::Both),
            answers: self.answers.unwrap_or(Answers::Json),
            servers: self.servers.unwrap_or(1),
            ..Stage::new("case", tools, connections.iter().map(row).collect())
        })
    }
}

/// Everything that is measured when nothing is chosen.
pub(crate) fn all(connections: &[usize]) -> Vec<Stage> {
    let kib = Ask::Echo(1024);
    let rows = |what: &str, ask| {
        let row = |&count: &usize| Row::new(what, ask, count);
        connections.iter().map(row).collect::<Vec<_>>()
    };
    let calls = Stage::new("calls", 10, rows("echo 1 KiB", kib));
    let slow = Row::new("echo 1 KiB", kib, 16).paced(1000);
    let paced = Stage::new("paced", 10, vec![slow]);
    let large = Row::new("echo 100 KiB", Ask::Echo(100 * 1024), 16);
    let large = Stage::new("large", 10, vec![large]);
    let few = Row::new("list of 10 tools", Ask::List(10), 16);
    let few = Stage::new("list", 10, vec![few]);
    let many = Row::new("list of 1,000 tools", Ask::List(1000), 16);
    let many = Stage::new("long-list", 1000, vec![many]);
    let legacy = Row::new("echo 1 KiB, 2025-11-25", kib, 16).in_era(Era::Legacy);
    let legacy = Stage {
        eras: Eras::Legacy,
        ..Stage::new("legacy", 10, vec![legacy])
    };
    let bridged = Row::new("echo 1 KiB, 2026-07-28 before 2025-11-25", kib, 16);
    let bridged = Stage {
        eras: Eras::Legacy,
        ..Stage::new("bridge", 10, vec![bridged])
    };
    let events = Stage {
        answers: Answers::Events,
        ..Stage::new(
            "events",
            10,
            vec![
                Row::new("echo 1 KiB as events", kib, 16),
                Row::new("echo 100 KiB as events", Ask::Echo(100 * 1024), 16),
            ],
        )
    };
    let mut stages = vec![calls, paced, large, few, many, legacy, bridged, events];
    stages.extend([1, 10, 50].map(|servers| {
        let what = if servers == 1 {
            "echo 1 KiB, 1 server".to_owned()
        } else {
            format!("echo 1 KiB, {servers} servers")
        };
        let rows = vec![Row::new(&what, kib, 50)];
        Stage {
            servers,
            ..Stage::new("federation", 10, rows)
        }
    }));
    let stdio = vec![
        Row::over_stdio("stdio: echo 1 KiB", kib, 1),
        Row::over_stdio("stdio: echo 1 KiB", kib, 16),
        Row::over_stdio("stdio: echo 100 KiB", Ask::Echo(100 * 1024), 16),
    ];
    stages.push(Stage::new("stdio", 10, stdio));
    stages
}
