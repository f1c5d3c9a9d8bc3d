//! The one table that a comparison prints, and the same as JSON.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use crate::{
    held::{self, Held},
    load::Outcome,
};

/// All rounds over one road of one row.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    pub(crate) outcome: Outcome,
    /// CPU time of what stands between, if anything does.
    pub(crate) proxy: Option<Duration>,
    pub(crate) upstream: Duration,
    /// The most memory that what stands between had in use after a round, in KiB.
    pub(crate) resident_kib: Option<u64>,
    /// Each round, to see how quiet the machine was.
    pub(crate) rounds: Vec<Round>,
    /// Why it was not asked to the end.
    pub(crate) failure: Option<String>,
}

/// One round in short.
#[derive(Debug)]
pub(crate) struct Round {
    calls_per_second: u64,
    p50: Duration,
    p99: Duration,
    errors: u64,
}

impl Round {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        Self {
            calls_per_second: outcome.calls_per_second(),
            p50: outcome.latencies.per_mille(500),
            p99: outcome.latencies.per_mille(990),
            errors: outcome.errors,
        }
    }

    fn json(&self) -> Value {
        json!({
            "calls_per_second": self.calls_per_second,
            "p50_us": self.p50.as_secs_f64() * 1e6,
            "p99_us": self.p99.as_secs_f64() * 1e6,
            "errors": self.errors,
        })
    }
}

/// What was asked, and what came of it on each road; the first is the direct one where there is that.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) stage: &'static str,
    pub(crate) what: String,
    pub(crate) is_paced: bool,
    pub(crate) roads: Vec<(String, Cell)>,
}

/// How a program starts.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) road: String,
    pub(crate) program_bytes: u64,
    /// From the start of the process to the first right answer, median and most.
    pub(crate) first_answer: (Duration, Duration),
    /// Half a second after that answer.
    pub(crate) idle_kib: u64,
}

/// Everything that a run measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) machine: Vec<(&'static str, String)>,
    /// When, with which options, of which programs.
    pub(crate) run: Value,
    pub(crate) rows: Vec<Measured>,
    pub(crate) starts: Vec<Started>,
    pub(crate) held: Vec<Held>,
}

impl Report {
    pub(crate) fn is_right(&self) -> bool {
        let cells = self.rows.iter().flat_map(|row| &row.roads);
        let is_whole = cells.clone().all(|(_, cell)| cell.failure.is_none());
        let cells = cells.map(|(_, cell)| &cell.outcome);
        let held = self.held.iter().map(|held| &held.outcome);
        is_whole && cells.chain(held).all(|outcome| outcome.errors == 0)
    }

    /// Writing to a string cannot fail, so what the writes return is ignored.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        if !self.rows.is_empty() {
            text.push_str(HEAD);
        }
        for row in &self.rows {
            for (road, cell) in &row.roads {
                let _ = write!(text, "\n| {} | {road} |", row.what);
                text.push_str(&cell.columns(row));
            }
        }
        let cells = self.rows.iter().flat_map(|row| &row.roads);
        let failures: Vec<_> = cells
            .filter_map(|(_, cell)| cell.failure.as_ref())
            .collect();
        if !failures.is_empty() {
            text.push_str("\n\nNot asked to the end:\n");
        }
        for failure in failures {
            let _ = write!(text, "\n- {failure}");
        }
        if !self.starts.is_empty() {
            text.push_str(START_HEAD);
        }
        for start in &self.starts {
            let (middle, most) = start.first_answer;
            let _ = write!(
                text,
                "\n| {} | {} | {} | {:.1} MiB | {:.1} MB |",
                start.road,
                millis(middle),
                millis(most),
                mib(start.idle_kib),
                megabytes(start.program_bytes),
            );
        }
        if !self.held.is_empty() {
            text.push_str(held::HEAD);
        }
        for held in &self.held {
            text.push('\n');
            text.push_str(&held.markdown());
        }
        text.trim_start().to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        let rows: Vec<_> = self.rows.iter().flat_map(Measured::json).collect();
        let starts: Vec<_> = self.starts.iter().map(Started::json).collect();
        let machine: serde_json::Map<_, _> = self
            .machine
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect();
        let held: Vec<_> = self.held.iter().map(Held::json).collect();
        json!({ "run": self.run, "machine": machine, "rows": rows, "starts": starts, "held": held })
    }
}

impl Measured {
    fn road(&self, name: &str) -> Option<&Cell> {
        let found = self.roads.iter().find(|(road, _)| road == name);
        found.map(|(_, cell)| cell)
    }

    fn json(&self) -> Vec<Value> {
        let one = |(road, cell): &(String, Cell)| {
            let micros = |share| cell.outcome.latencies.per_mille(share).as_secs_f64() * 1e6;
            json!({
                "stage": self.stage,
                "what": self.what,
                "road": road,
                "calls": cell.outcome.latencies.count(),
                "calls_per_second": cell.outcome.calls_per_second(),
                "rounds": cell.rounds.iter().map(Round::json).collect::<Vec<_>>(),
                "failure": cell.failure,
                "errors": cell.outcome.errors,
                "p50_us": micros(500),
                "p90_us": micros(900),
                "p99_us": micros(990),
                "p99_9_us": micros(999),
                "max_us": cell.outcome.latencies.max().as_secs_f64() * 1e6,
                "cpu_us": cell.proxy.and_then(|time| per_call(time, &cell.outcome)),
                "upstream_cpu_us": per_call(cell.upstream, &cell.outcome),
                "resident_kib": cell.resident_kib,
            })
        };
        self.roads.iter().map(one).collect()
    }
}

impl Started {
    fn json(&self) -> Value {
        let (middle, most) = self.first_answer;
        json!({
            "road": self.road,
            "first_answer_ms": middle.as_secs_f64() * 1e3,
            "first_answer_max_ms": most.as_secs_f64() * 1e3,
            "idle_kib": self.idle_kib,
            "program_bytes": self.program_bytes,
        })
    }
}

impl Cell {
    /// Adds what came of a round.
    pub(crate) fn add(&mut self, other: Self) {
        self.outcome.add(other.outcome);
        if let Some(time) = other.proxy {
            *self.proxy.get_or_insert_default() += time;
        }
        self.upstream += other.upstream;
        self.resident_kib = self.resident_kib.max(other.resident_kib);
        self.rounds.extend(other.rounds);
        self.failure = self.failure.take().or(other.failure);
    }

    fn columns(&self, row: &Measured) -> String {
        let latencies = &self.outcome.latencies;
        let mut text = format!(" {} |", thousands(self.outcome.calls_per_second()));
        for other in ["direct", "nginx"] {
            text.push_str(&match row.road(other) {
                Some(other) if row.is_paced => added(&self.outcome, &other.outcome),
                Some(other) => share(&self.outcome, &other.outcome),
                None => " - |".to_owned(),
            });
        }
        for part in [500, 900, 990, 999] {
            let _ = write!(text, " {} |", millis(latencies.per_mille(part)));
        }
        for time in [self.proxy, Some(self.upstream)] {
            match time.and_then(|time| per_call(time, &self.outcome)) {
                Some(micros) => {
                    let _ = write!(text, " {micros:.1} |");
                }
                None => text.push_str(" - |"),
            }
        }
        match self.resident_kib {
            Some(kib) => {
                let _ = write!(text, " {:.1} |", mib(kib));
            }
            None => text.push_str(" - |"),
        }
        match self.outcome.errors {
            0 => text.push_str(" 0 |"),
            errors => {
                let _ = write!(text, " **{errors}** |");
            }
        }
        text
    }
}

pub(crate) fn share(part: &Outcome, whole: &Outcome) -> String {
    match (part.calls_per_second() * 100).checked_div(whole.calls_per_second()) {
        Some(percent) => format!(" {percent} % |"),
        None => " - |".to_owned(),
    }
}

/// What a road adds to the middle latency of another.
fn added(part: &Outcome, whole: &Outcome) -> String {
    let middle = |outcome: &Outcome| outcome.latencies.per_mille(500).as_secs_f64() * 1e6;
    format!(" {:+.0} us |", middle(part) - middle(whole))
}

pub(crate) fn per_call(time: Duration, outcome: &Outcome) -> Option<f64> {
    let calls = u32::try_from(outcome.latencies.count()).ok()?;
    (calls > 0).then(|| time.as_secs_f64() * 1e6 / f64::from(calls))
}

pub(crate) fn millis(latency: Duration) -> String {
    format!("{:.3} ms", latency.as_secs_f64() * 1e3)
}

pub(crate) fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1000.0
}

pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const HEAD: &str = "| what | road | calls/s | / direct | / nginx | p50 | p90 | p99 | p99.9 | CPU us a call | upstream CPU us | RSS MiB | errors |
|---|---|---|---|---|---|---|---|---|---|---|---|---|";

const START_HEAD: &str = "

| start | first answer, p50 | most | idle RSS | program |
|---|---|---|---|---|";

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(calls: u64, proxy: Option<u64>) -> Cell {
        let mut cell = Cell {
            upstream: Duration::from_millis(10),
            ..Cell::default()
        };
        for _ in 0..calls {
            cell.outcome.latencies.record(Duration::from_micros(100));
        }
        cell.outcome.elapsed = Duration::from_secs(1);
        cell.proxy = proxy.map(Duration::from_millis);
        cell
    }

    fn report(roads: Vec<(&str, Cell)>, is_paced: bool) -> Report {
        let roads = roads
            .into_iter()
            .map(|(name, cell)| (name.to_owned(), cell));
        Report {
            rows: vec![Measured {
                stage: "calls",
                what: "echo".to_owned(),
                is_paced,
                roads: roads.collect(),
            }],
            starts: vec![Started {
                road: "ours".to_owned(),
                program_bytes: 15_000_000,
                first_answer: (Duration::from_millis(9), Duration::from_millis(12)),
                idle_kib: 10 * 1024,
            }],
            ..Report::default()
        }
    }

    #[test]
    fn every_line_has_the_columns_of_the_head() {
        let mut bad = cell(500, Some(20));
        bad.outcome.errors = 3;
        let roads = vec![
            ("direct", cell(2000, None)),
            ("nginx", cell(1000, Some(20))),
            ("ours", bad),
        ];
        let report = report(roads, false);
        assert!(!report.is_right());
        let text = report.markdown();
        let columns = |part: &str| {
            let lines = part.lines().filter(|line| !line.is_empty());
            lines.map(|line| line.matches('|').count()).collect()
        };
        let (table, start) = text.split_once("\n\n").unwrap();
        let (table, start): (Vec<_>, Vec<_>) = (columns(table), columns(start));
        assert_eq!((table, start), (vec![14; 5], vec![6; 3]), "{text}");
        assert!(
            text.contains("| echo | nginx | 1,000 | 50 % | 100 % | 0.100 ms |"),
            "{text}"
        );
        assert!(text.contains("| 40.0 | 20.0 | - | **3** |"), "{text}");
        assert!(text.ends_with("| ours | 9.000 ms | 12.000 ms | 10.0 MiB | 15.0 MB |"));
    }

    #[test]
    fn a_road_that_broke_is_told_of_beside_what_was_measured() {
        let mut broken = cell(10, Some(1));
        let mut last = cell(0, None);
        last.failure = Some("ours: echo: it has ended".to_owned());
        broken.add(last);
        assert_eq!(broken.outcome.latencies.count(), 10);
        let report = report(vec![("direct", cell(9, None)), ("ours", broken)], false);
        assert!(!report.is_right());
        let text = report.markdown();
        assert!(text.contains("| echo | direct | 9 |"), "{text}");
        assert!(
            text.contains("\n\nNot asked to the end:\n\n- ours: echo: it has ended"),
            "{text}"
        );
        assert_eq!(
            report.json()["rows"][1]["failure"],
            "ours: echo: it has ended"
        );
    }

    #[test]
    fn nothing_measured_divides_by_nothing() {
        let roads = vec![("direct", cell(0, None)), ("ours", cell(0, Some(0)))];
        let text = report(roads, false).markdown();
        assert!(text.contains("| ours | 0 | - | - |"), "{text}");
        assert!(text.contains("| - | - | - | 0 |"), "{text}");
    }

    #[test]
    fn at_a_fixed_rate_it_says_what_a_road_adds() {
        let roads = vec![("direct", cell(9, None)), ("ours", cell(9, Some(1)))];
        let text = report(roads, true).markdown();
        assert!(text.contains("| echo | ours | 9 | +0 us | - |"), "{text}");
    }

    #[test]
    fn the_same_stands_in_json() {
        let report = report(vec![("ours", cell(4, Some(1)))], false);
        let json = report.json();
        let row = &json["rows"][0];
        assert_eq!((&row["road"], &row["calls"]), (&"ours".into(), &4.into()));
        assert_eq!(row["cpu_us"], 250.0);
        assert_eq!(json["starts"][0]["idle_kib"], 10 * 1024);
    }

    #[test]
    fn what_is_held_has_a_table_of_its_own() {
        let held = Held::new("9 sessions", (1000, 3000, 2000), cell(9, None).outcome);
        let mut report = Report::default();
        report.held.push(held);
        assert!(report.is_right());
        let text = report.markdown();
        let columns: Vec<_> = text.lines().map(|line| line.matches('|').count()).collect();
        assert_eq!(columns, [11; 3], "{text}");
        assert!(text.contains("| +1000 KiB |"), "{text}");
        assert_eq!(report.json()["held"][0]["after_kib"], 2000);
        report.held[0].outcome.errors = 1;
        assert!(!report.is_right() && report.markdown().ends_with("| **1** |"));
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}
