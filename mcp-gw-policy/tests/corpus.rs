//! The semantics of a policy as cases: `corpus/*.yaml`, each a policy and what it decides.
#![cfg(test)]

use std::fs;
use std::path::Path;

use mcp_gw_policy::{CaseFile, PolicyConfig, PolicyEngine};

fn files() -> Vec<(String, CaseFile)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let file =
                CaseFile::from_yaml(&text).unwrap_or_else(|faults| panic!("{name}: {faults}"));
            (name, file)
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

#[test]
fn every_case_comes_out_as_it_says() {
    let engine = PolicyEngine::compile(&PolicyConfig::default()).unwrap();
    let mut failures = Vec::new();
    let mut count = 0;
    for (name, file) in files() {
        assert!(
            file.cases.is_empty(),
            "{name}: cases of the corpus stand in groups"
        );
        count += file.len();
        for failure in file.run(&engine) {
            let differences = failure.differences.join("\n    ");
            failures.push(format!("{name}: {}\n    {differences}", failure.case));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(count >= 150, "{count} cases are too few");
}

/// A case that cannot fail shows nothing.
#[test]
fn every_case_fails_when_it_expects_the_opposite() {
    let engine = PolicyEngine::compile(&PolicyConfig::default()).unwrap();
    for (name, mut file) in files() {
        for group in &mut file.groups {
            for case in &mut group.cases {
                case.expect = match case.expect {
                    mcp_gw_policy::Expected::Allow => mcp_gw_policy::Expected::Deny,
                    _ => mcp_gw_policy::Expected::Allow,
                };
            }
        }
        let cases: usize = file.groups.iter().map(|group| group.cases.len()).sum();
        assert_eq!(file.run(&engine).len(), cases, "{name}");
    }
}
