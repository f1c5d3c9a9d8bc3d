//! The two tables of a run over the management API, and the same as JSON.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Map, Value, json};

use super::MCP;
use crate::{
    load::Outcome,
    report::{mib, millis, per_call, share, thousands},
};

/// All rounds of one way to ask, over one database.
#[derive(Debug)]
pub(super) struct Row {
    database: &'static str,
    what: String,
    outcome: Outcome,
    cpu: Duration,
    resident_kib: u64,
    rounds: Vec<u64>,
}

impl Row {
    pub(super) fn new(database: &'static str, what: &str) -> Self {
        Self {
            database,
            what: what.to_owned(),
            outcome: Outcome::default(),
            cpu: Duration::ZERO,
            resident_kib: 0,
            rounds: Vec::new(),
        }
    }

    /// Adds a round, with the CPU time and the memory of the gateway.
    pub(super) fn add(&mut self, outcome: Outcome, cpu: Duration, resident_kib: u64) {
        self.rounds.push(outcome.calls_per_second());
        self.outcome.add(outcome);
        self.cpu += cpu;
        self.resident_kib = self.resident_kib.max(resident_kib);
    }

    /// What a way is compared with: the MCP endpoint over the same database, from as many connections.
    fn is_measure_of(&self, other: &Self) -> bool {
        let connections = |what: &str| what.rsplit_once(", ").map(|(_, end)| end.to_owned());
        self.database == other.database
            && self.what.starts_with(MCP)
            && connections(&self.what) == connections(&other.what)
    }
}

/// How a gateway does that has many servers and keys.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) database: &'static str,
    pub(super) servers: u32,
    pub(super) keys: u32,
    /// From the start of the process.
    pub(super) listening: Duration,
    /// From there, too, to the first right answer to a call by the id of the server, and by the name of the tool.
    pub(super) by_api: Duration,
    pub(super) by_mcp: Duration,
    pub(super) idle_kib: u64,
    /// Path, time and bytes.
    pub(super) lists: Vec<(&'static str, Duration, usize)>,
    /// Calls with one key, and with one of all keys.
    pub(super) one: Outcome,
    pub(super) any: Outcome,
    /// CPU time of a second in which nobody called.
    pub(super) idle_cpu: f64,
    pub(super) end_kib: u64,
    pub(super) most_kib: u64,
    /// The most that were open at once to servers that are silent.
    pub(super) connections: usize,
}

impl Crowd {
    /// What was found, and how to say it.
    fn lines(&self) -> Vec<(String, String)> {
        let line = |what: &str, figure: String| (what.to_owned(), figure);
        let memory = |kib| format!("{:.1} MiB", mib(kib));
        let middle = |outcome: &Outcome| {
            let latency = millis(outcome.latencies.per_mille(500));
            match outcome.errors {
                0 => latency,
                errors => format!("{latency}, **{errors} errors**"),
            }
        };
        let mut lines = vec![
            line("it listens after", millis(self.listening)),
            line(
                "first right answer at `POST /tools/call`",
                millis(self.by_api),
            ),
            line(
                "first right answer at the MCP endpoint",
                millis(self.by_mcp),
            ),
            line("RSS then", memory(self.idle_kib)),
            line(
                "most connections at once to those that are silent",
                self.connections.to_string(),
            ),
        ];
        for &(path, time, bytes) in &self.lists {
            let bytes = thousands(u64::try_from(bytes).unwrap_or(u64::MAX));
            lines.push((
                format!("`GET {path}`"),
                format!("{}, {bytes} bytes", millis(time)),
            ));
        }
        lines.push(line("p50 of a call, one key", middle(&self.one)));
        lines.push(line("p50 of a call, any of the keys", middle(&self.any)));
        let cpu = format!("{:.1} ms", self.idle_cpu * 1e3);
        lines.push(line("CPU a second while nobody calls", cpu));
        lines.push(line("RSS at the end", memory(self.end_kib)));
        lines.push(line("most RSS", memory(self.most_kib)));
        lines
    }

    fn json(&self) -> Value {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let lists: Map<_, _> = self
            .lists
            .iter()
            .map(|&(path, time, bytes)| {
                let figures = json!({ "ms": millis(time), "bytes": bytes });
                (path.to_owned(), figures)
            })
            .collect();
        let middle = |outcome: &Outcome| outcome.latencies.per_mille(500).as_secs_f64() * 1e6;
        json!({
            "database": self.database,
            "servers": self.servers,
            "keys": self.keys,
            "listening_ms": millis(self.listening),
            "first_by_api_ms": millis(self.by_api),
            "first_by_mcp_ms": millis(self.by_mcp),
            "idle_kib": self.idle_kib,
            "silent_connections": self.connections,
            "lists": lists,
            "one_key_p50_us": middle(&self.one),
            "any_key_p50_us": middle(&self.any),
            "errors": self.one.errors + self.any.errors,
            "idle_cpu_ms_a_second": self.idle_cpu * 1e3,
            "end_kib": self.end_kib,
            "most_kib": self.most_kib,
        })
    }
}

/// Everything that a run measured.
#[derive(Debug)]
pub(super) struct Report {
    machine: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    pub(super) crowds: Vec<Crowd>,
}

impl Report {
    pub(super) const fn new(machine: Vec<(&'static str, String)>) -> Self {
        Self {
            machine,
            rows: Vec::new(),
            crowds: Vec::new(),
        }
    }

    pub(super) fn add_rows(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    /// Each way had right answers, and no wrong ones.
    pub(super) fn is_right(&self) -> bool {
        let rows = self.rows.iter().map(|row| &row.outcome);
        let crowds = self
            .crowds
            .iter()
            .flat_map(|crowd| [&crowd.one, &crowd.any]);
        rows.chain(crowds)
            .all(|outcome| outcome.errors == 0 && outcome.latencies.count() > 0)
    }

    /// Writing to a string cannot fail, so what the writes return is ignored.
    pub(super) fn markdown(&self) -> String {
        let mut text = HEAD.to_owned();
        for row in &self.rows {
            let measure = self.rows.iter().find(|other| other.is_measure_of(row));
            let latencies = &row.outcome.latencies;
            let rate = thousands(row.outcome.calls_per_second());
            let _ = write!(text, "\n| {} | {} | {rate} |", row.database, row.what);
            match measure {
                Some(measure) => text.push_str(&share(&row.outcome, &measure.outcome)),
                None => text.push_str(" - |"),
            }
            for part in [500, 990] {
                let _ = write!(text, " {} |", millis(latencies.per_mille(part)));
            }
            let cpu = per_call(row.cpu, &row.outcome);
            let _ = match cpu {
                Some(micros) => write!(text, " {micros:.1} |"),
                None => write!(text, " - |"),
            };
            let measure = measure.and_then(|other| per_call(other.cpu, &other.outcome));
            let _ = match (cpu, measure) {
                (Some(own), Some(other)) if other > 0.0 => write!(text, " {:.2} |", own / other),
                _ => write!(text, " - |"),
            };
            let _ = write!(text, " {:.1} |", mib(row.resident_kib));
            let _ = match row.outcome.errors {
                0 => write!(text, " 0 |"),
                errors => write!(text, " **{errors}** |"),
            };
        }
        for crowd in &self.crowds {
            let (servers, keys) = (
                thousands(crowd.servers.into()),
                thousands(crowd.keys.into()),
            );
            let _ = write!(
                text,
                "\n\n| {}: {servers} servers that nobody can reach, {keys} keys | |\n|---|---|",
                crowd.database
            );
            for (what, figure) in crowd.lines() {
                let _ = write!(text, "\n| {what} | {figure} |");
            }
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let machine: Map<_, _> = self
            .machine
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect();
        let row = |row: &Row| {
            let micros = |share| row.outcome.latencies.per_mille(share).as_secs_f64() * 1e6;
            json!({
                "database": row.database,
                "what": row.what,
                "calls": row.outcome.latencies.count(),
                "calls_per_second": row.outcome.calls_per_second(),
                "rounds": row.rounds,
                "errors": row.outcome.errors,
                "p50_us": micros(500),
                "p99_us": micros(990),
                "cpu_us": per_call(row.cpu, &row.outcome),
                "resident_kib": row.resident_kib,
            })
        };
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        let crowds: Vec<_> = self.crowds.iter().map(Crowd::json).collect();
        json!({ "machine": machine, "rows": rows, "crowds": crowds })
    }
}

const HEAD: &str = "| database | what | a second | / MCP endpoint | p50 | p99 | CPU us each | CPU / MCP endpoint | RSS MiB | errors |
|---|---|---|---|---|---|---|---|---|---|";
