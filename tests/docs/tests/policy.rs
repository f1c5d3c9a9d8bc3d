//! The recipes of `docs/policy.md`: each is a policy that looks good, and decides as it says.
#![cfg(test)]

use mcp_gw_policy::{CaseFile, Expected, PolicyConfig, PolicyEngine, lint};

/// The blocks of YAML in one part of the document.
fn blocks(from: &str, to: &str) -> Vec<String> {
    let text = include_str!("../../../docs/policy.md");
    let part = text.split(from).nth(1).unwrap();
    let part = part.split(to).next().unwrap();
    let blocks = part.split("```yaml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_recipe_decides_as_it_says() {
    let blocks = blocks("\n## Recipes\n", "\n## Conditions\n");
    let (pairs, rest) = blocks.as_chunks::<2>();
    assert!(pairs.len() >= 10 && rest.is_empty(), "{}", blocks.len());
    for [policy, cases] in pairs {
        let config = PolicyConfig::from_yaml(policy).unwrap_or_else(|e| panic!("{policy}\n{e}"));
        let lints = lint(&config, None).unwrap();
        assert!(lints.is_empty(), "{policy}\n{lints:?}");
        let engine = PolicyEngine::compile(&config).unwrap();
        let cases = CaseFile::from_yaml(cases).unwrap_or_else(|e| panic!("{cases}\n{e}"));
        let failures = cases.run(&engine);
        assert!(failures.is_empty(), "{policy}\n{failures:#?}");
        // A recipe shows both sides.
        let denied =
            |case: &mcp_gw_policy::Case| case.expect == Expected::Deny || case.shadow.is_some();
        assert!(cases.cases.iter().any(denied), "{policy}");
        assert!(!cases.cases.iter().all(denied), "{policy}");
    }
}

#[test]
fn the_table_of_decisions_is_one() {
    let blocks = blocks("\n## Look it over", "\n## When it does not");
    let cases = CaseFile::from_yaml(&blocks[0]).unwrap();
    assert_eq!(cases.policy.unwrap().to_str(), Some("mcp-gw.yaml"));
    assert_eq!(cases.cases.len(), 2);
}
