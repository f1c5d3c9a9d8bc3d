//! Tables for people, JSON for programs.

use serde::Serialize;

use super::{Result, Shown};

/// A text that a terminal shows and does not act on.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect()
}

/// A list, one line for each, below their names.
pub(super) fn table(names: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head)
        .chain(
            rows.iter()
                .map(|row| row.iter().map(|cell| plain(cell)).collect()),
        )
        .collect();
    let widths: Vec<usize> = (0..names.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// One thing, one line for each of what is known of it.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let value = plain(value);
        let line = format!("{name:width$}  {value}\n");
        text.push_str(&line);
    }
    text
}

pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| format!("this cannot be written as JSON: {error}"))?;
    Ok(Shown::from(text))
}

pub(super) fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

pub(super) fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or("-")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_nothing_acts_on_a_terminal() {
        let rows = [
            vec!["1".to_owned(), "a\u{1b}[2J".to_owned()],
            vec!["22".to_owned(), "é".to_owned()],
        ];
        assert_eq!(
            table(&["id", "name"], &rows),
            "ID  NAME\n1   a\u{fffd}[2J\n22  é\n"
        );
        let shown = facts(&[("id", "1".to_owned()), ("email", String::new())]);
        assert_eq!(shown, "id     1\n");
    }
}
