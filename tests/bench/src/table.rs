//! The one table that a comparison prints.

use std::{fmt::Write as _, time::Duration};

use crate::load::Outcome;

/// Both rounds over one road with one number of connections.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    pub(crate) outcome: Outcome,
    /// CPU time of what stands between, if anything does.
    pub(crate) proxy: Option<Duration>,
    pub(crate) upstream: Duration,
}

/// The roads' names, the direct one first, and for each number of connections the cells in the same order.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) roads: Vec<&'static str>,
    pub(crate) rows: Vec<(usize, Vec<Cell>)>,
}

impl Table {
    /// Writing to a string cannot fail, so what the writes return is ignored.
    pub(crate) fn markdown(&self) -> String {
        let mut head = "| connections |".to_owned();
        for (index, road) in self.roads.iter().enumerate() {
            let _ = write!(head, " {road} calls/s, p50, p99 |");
            for earlier in self.roads.iter().take(index) {
                let _ = write!(head, " {road} / {earlier} |");
            }
            if index > 0 {
                let _ = write!(head, " {road} CPU us per call |");
            }
            let _ = write!(head, " upstream CPU us per call, {road} |");
        }
        let mut text = format!("{head}\n|{}", "---|".repeat(head.matches('|').count() - 1));
        for (connections, cells) in &self.rows {
            let _ = write!(text, "\n| {connections} |");
            for (index, cell) in cells.iter().enumerate() {
                text.push_str(&figures(&cell.outcome));
                for earlier in cells.iter().take(index) {
                    text.push_str(&share(&cell.outcome, &earlier.outcome));
                }
                if let Some(proxy) = cell.proxy {
                    text.push_str(&per_call(proxy, &cell.outcome));
                }
                text.push_str(&per_call(cell.upstream, &cell.outcome));
            }
        }
        text
    }
}

fn figures(outcome: &Outcome) -> String {
    let latencies = &outcome.latencies;
    let mut text = format!(
        " {}, {}, {}",
        thousands(outcome.calls_per_second()),
        millis(latencies.percentile(50)),
        millis(latencies.percentile(99)),
    );
    if outcome.errors > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, ", **{} errors**", outcome.errors);
    }
    text.push_str(" |");
    text
}

fn share(part: &Outcome, whole: &Outcome) -> String {
    match (part.calls_per_second() * 100).checked_div(whole.calls_per_second()) {
        Some(percent) => format!(" {percent} % |"),
        None => " - |".to_owned(),
    }
}

fn per_call(time: Duration, outcome: &Outcome) -> String {
    match u32::try_from(outcome.latencies.count()) {
        Ok(calls) if calls > 0 => {
            format!(" {:.1} |", (time / calls).as_secs_f64() * 1e6)
        }
        _ => " - |".to_owned(),
    }
}

fn millis(latency: Duration) -> String {
    format!("{:.3} ms", latency.as_secs_f64() * 1e3)
}

fn thousands(number: u64) -> String {
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

    #[test]
    fn every_row_has_the_columns_of_the_head() {
        let mut bad = cell(500, Some(20));
        bad.outcome.errors = 3;
        let cells = vec![cell(2000, None), cell(1000, Some(20)), bad];
        let table = Table {
            roads: vec!["direct", "nginx", "gateway"],
            rows: vec![(16, cells)],
        };
        let text = table.markdown();
        let columns: Vec<_> = text.lines().map(|line| line.matches('|').count()).collect();
        assert_eq!(columns, [13, 13, 13], "{text}");
        assert!(
            text.contains("| 16 | 2,000, 0.100 ms, 0.100 ms | 5.0 | 1,000, "),
            "{text}"
        );
        assert!(
            text.contains(", **3 errors** | 25 % | 50 % | 40.0 | 20.0 |"),
            "{text}"
        );
    }

    #[test]
    fn nothing_measured_divides_by_nothing() {
        let cells = vec![cell(0, None), cell(0, Some(0))];
        let table = Table {
            roads: vec!["direct", "gateway"],
            rows: vec![(1, cells)],
        };
        assert!(
            table.markdown().ends_with(" | - | - | - |"),
            "{}",
            table.markdown()
        );
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}
