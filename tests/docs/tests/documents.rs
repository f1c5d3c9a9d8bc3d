//! The documents themselves: links lead somewhere, examples are accepted, tests that are named
//! exist.
#![cfg(test)]

mod support;

use std::path::{Path, PathBuf};

use mcp_gw_policy::{CaseFile, PolicyConfig};
use mcp_gw_server::config::Config;
use support::{files, root};

/// The parts of a text outside of code blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for path in files(&root(), ".md") {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in prose(&text).split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.starts_with("http") {
                continue;
            }
            links += 1;
            let file = link.split('#').next().unwrap();
            let target = path.parent().unwrap().join(file);
            assert!(target.exists(), "{}: {link}", path.display());
        }
    }
    assert!(links > 20, "{links}");
}

/// The blocks of one language in a text.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let begin = format!("```{language}\n");
    let blocks = text.split(begin.as_str()).skip(1);
    blocks
        .map(|block| block.split("\n```").next().unwrap())
        .collect()
}

#[test]
fn configurations_that_are_shown_are_accepted() {
    let mut seen = 0;
    for path in files(&root(), ".md") {
        let text = std::fs::read_to_string(&path).unwrap();
        for block in blocks(&text, "yaml") {
            seen += 1;
            // Some variables say something by being set.
            let env = |name: &str| {
                let is_named = block.contains(&format!("${{{name}"));
                is_named.then(|| format!("a-long-enough-value-of-{name}"))
            };
            // A policy and a table of decisions may stand in files of their own.
            let is_other =
                PolicyConfig::from_yaml(block).is_ok() || CaseFile::from_yaml(block).is_ok();
            if let (Err(faults), false) = (Config::load("mcp-gw.yaml", block, &env), is_other) {
                panic!("{}: {faults}", path.display());
            }
        }
        for block in blocks(&text, "json") {
            seen += 1;
            let value: Result<serde_json::Value, _> = serde_json::from_str(block);
            assert!(value.is_ok(), "{}: {block}", path.display());
        }
    }
    assert!(seen >= 5, "{seen}");
}

/// `ARCHITECTURE.md` names what holds each invariant.
#[test]
fn tests_and_files_that_are_named_exist() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut sources: String = files(&root(), ".rs")
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let bans = std::fs::read_to_string(root().join("clippy.toml")).unwrap();
    sources.push_str(&bans);
    let names: Vec<PathBuf> = files(&root(), "");
    let mut checked = 0;
    for code in prose(&text).split('`').skip(1).step_by(2) {
        if let Some(lint) = code.strip_prefix("clippy::") {
            // Lints that clippy has switched on by itself are held by their configuration.
            let is_ban = lint == "disallowed_methods" && bans.contains("disallowed-methods");
            let denied = manifest.contains(&format!("\n{lint} = "));
            assert!(denied || is_ban, "no lint {lint}");
        } else if Path::new(code).extension().is_some_and(|e| e == "rs") {
            assert!(
                names.iter().any(|path| path.ends_with(code)),
                "no file {code}"
            );
        } else if code.matches('_').count() >= 3 {
            assert!(sources.contains(&format!("fn {code}(")), "no test {code}");
        } else {
            continue;
        }
        checked += 1;
    }
    assert!(checked > 40, "{checked}");
}
