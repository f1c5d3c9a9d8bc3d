//! The answer for a reader: a table for each type.

use std::fmt::Write as _;

use super::{OneResult, Output, Window, text};

/// All of it for a reader.
pub(crate) fn written(output: &Output) -> String {
    let window = &output.window;
    let mut out = format!("{} to {}", window.start, window.end);
    for (name, value) in &window.filters {
        let _ = write!(out, ", {name}={}", crate::http::one_line(value, 64));
    }
    out.push('\n');
    for result in &output.results {
        let _ = write!(out, "\n{} ({})", result.r#type, result.unit);
        let is_instant = result.series.iter().all(|row| row.stats.points <= 1);
        if !is_instant {
            let _ = write!(out, ", step {}", window.step);
        }
        out.push('\n');
        if let Some(error) = &result.error {
            let _ = writeln!(out, "  failed: {}", error.message);
        } else if result.total_series == 0 {
            let _ = writeln!(out, "  {}", nothing(result, window));
        } else if result.series.is_empty() {
            let _ = writeln!(out, "  no more: there are {} series.", result.total_series);
        } else {
            out.push_str(&rows(result, is_instant));
        }
        if let Some(next) = &result.next {
            let shown = result.series.len();
            let _ = writeln!(
                out,
                "  {shown} of {} series are shown; call again with {next}",
                result.total_series
            );
        }
        for remark in &result.remarks {
            let _ = writeln!(out, "  {remark}");
        }
    }
    out
}

fn nothing(result: &OneResult, window: &Window) -> String {
    let tries = if window.filters.is_empty() {
        "Try a longer raw_time. If there should be traffic, the user has to check that Prometheus gets the metrics of the \
         gateways (plugin prometheus, monitoring in the dashboard)."
    } else {
        "Try a longer raw_time, or leave a condition out: get_resource lists the ids that there are."
    };
    format!("nothing was measured. Asked: {}. {tries}", result.query)
}

fn rows(result: &OneResult, is_instant: bool) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let has_percent = result.series.iter().any(|row| row.percent.is_some());
    if is_instant {
        let mut head = vec!["series", "value"];
        head.extend(has_percent.then_some("percent"));
        rows.push(head.into_iter().map(str::to_owned).collect());
    } else {
        let head = ["series", "last", "min", "avg", "max", "course"];
        rows.push(head.map(str::to_owned).to_vec());
    }
    for row in &result.series {
        let name = text::name(&row.labels);
        let stats = &row.stats;
        rows.push(if is_instant {
            let mut cells = vec![name, text::short(stats.last)];
            if has_percent {
                cells.push(
                    row.percent
                        .map_or_else(|| "-".to_owned(), |p| format!("{p}%")),
                );
            }
            cells
        } else {
            let [last, min, avg, max] =
                [stats.last, stats.min, stats.avg, stats.max].map(text::short);
            vec![name, last, min, avg, max, row.course.clone()]
        });
    }
    text::table(&rows)
}
