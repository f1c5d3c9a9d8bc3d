//! The first command of the README, and what the README shows of it.
#![cfg(test)]

use std::collections::BTreeSet;
use std::process::Command;

/// A line without what differs from run to run: times and dice.
fn steady(line: &str) -> String {
    let mut steady = String::new();
    for c in line.trim_end().chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if c != '0' || !steady.ends_with('0') {
            steady.push(c);
        }
    }
    steady
}

#[test]
fn the_demo_ends_well_and_says_what_the_readme_shows() {
    let output = Command::new(env!("CARGO_BIN_EXE_mcp-gw-http"))
        .args(["demo", "--once"])
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    let said: BTreeSet<String> = out.lines().chain(err.lines()).map(steady).collect();

    let readme = include_str!("../../README.md");
    let excerpt = readme.split("```text\n").nth(1).unwrap();
    let excerpt = excerpt.split("```").next().unwrap();
    assert!(excerpt.contains("Unknown tool: delete_notes"));
    for line in excerpt.lines().filter(|line| *line != "…") {
        assert!(said.contains(&steady(line)), "{line:?} is not in {said:#?}");
    }
}
