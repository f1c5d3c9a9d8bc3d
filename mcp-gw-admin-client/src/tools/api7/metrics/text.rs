//! Series as text: a table, and a line that shows the course.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::tools::api7::metrics::series::Point;

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How many characters a course has.
const COLUMNS: u32 = 24;

/// No name in a table is longer.
const LONGEST_NAME: usize = 72;

/// The course of a series from `start` to `end` (seconds): the greatest value of each part of the time, between the
/// least and the greatest of all. A dot is where nothing was measured.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "both are bounded by the number of columns and levels"
)]
pub(crate) fn sparkline(points: &[Point], start: f64, end: f64) -> String {
    let mut columns: BTreeMap<u32, f64> = BTreeMap::new();
    for Point(time, value) in points.iter().filter(|point| point.1.is_finite()) {
        let at = (time - start) / (end - start).max(1e-3) * f64::from(COLUMNS);
        let at = (at.clamp(0.0, f64::from(COLUMNS - 1))) as u32;
        let known = columns.entry(at).or_insert(*value);
        *known = known.max(*value);
    }
    let least = columns.values().copied().fold(f64::INFINITY, f64::min);
    let most = columns.values().copied().fold(f64::NEG_INFINITY, f64::max);
    (0..COLUMNS)
        .map(|at| {
            let Some(value) = columns.get(&at) else {
                return '·';
            };
            let part = if most > least {
                (value - least) / (most - least)
            } else {
                0.0
            };
            let level = (part * 7.0).round().clamp(0.0, 7.0) as usize;
            LEVELS.get(level).copied().unwrap_or('▁')
        })
        .collect()
}

/// `gateway_group_id=g code=200`, or `all`.
pub(crate) fn name(labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return "all".to_owned();
    }
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    crate::http::one_line(&pairs.join(" "), LONGEST_NAME)
}

/// A number that is quickly read.
pub(crate) fn short(value: Option<f64>) -> String {
    let Some(value) = value else {
        return "-".to_owned();
    };
    for (unit, size) in [("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e4)] {
        if value.abs() >= size {
            let size = if unit == "k" { 1e3 } else { size };
            return format!("{}{unit}", digits(value / size));
        }
    }
    digits(value)
}

fn digits(value: f64) -> String {
    let size = value.abs();
    let text = if size >= 1e6 {
        return format!("{value:.2e}");
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else if size >= 0.001 {
        format!("{value:.4}")
    } else if size == 0.0 {
        return "0".to_owned();
    } else {
        return format!("{value:.1e}");
    };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Rows with the same columns, the first to the left and numbers to the right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(at) {
                Some(known) => *known = (*known).max(width),
                None => widths.push(width),
            }
        }
    }
    // The first is a name, and the last of many a course.
    let last = if widths.len() > 3 {
        widths.len() - 1
    } else {
        0
    };
    let mut out = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let is_left = at == 0 || at == last;
            let _ = if is_left {
                write!(line, " {cell:<width$}")
            } else {
                write!(line, " {cell:>width$}")
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (12.345, "12.35"),
            (1234.5, "1234"),
            (12_345.0, "12.35k"),
            (3_500_000.0, "3.5M"),
            (0.05, "0.05"),
            (0.000_02, "2.0e-5"),
            (-7.5, "-7.5"),
            (2e15, "2000T"),
            (1e308, "1.00e296T"),
            (-3e20, "-3.00e8T"),
        ] {
            assert_eq!(short(Some(value)), text);
        }
        assert_eq!(short(None), "-");
    }

    #[test]
    fn a_course_shows_peaks_and_gaps() {
        let mut points: Vec<Point> = (0..12).map(|t| Point(f64::from(t), 1.0)).collect();
        points.push(Point(23.0, 9.0));
        points.push(Point(22.0, f64::NAN));
        assert_eq!(sparkline(&points, 0.0, 24.0), "▁▁▁▁▁▁▁▁▁▁▁▁···········█");
        assert_eq!(sparkline(&[], 0.0, 0.0), "·".repeat(24));
    }

    proptest! {
        #[test]
        fn a_course_always_has_its_width(
            points in proptest::collection::vec((any::<f64>(), any::<f64>()), 0..50),
            start in any::<f64>(), end in any::<f64>(),
        ) {
            let points: Vec<Point> = points.into_iter().map(|(t, v)| Point(t, v)).collect();
            prop_assert_eq!(sparkline(&points, start, end).chars().count(), 24);
        }
    }
}
