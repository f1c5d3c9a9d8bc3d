//! Fuzz targets for the source of conditions and for imported policies; for nobody else.

use mcp_gw_core::{
    AccessRequest, Arguments, Caller, CallerKind, Feature, RawJson, RequestMeta, Transport,
};
use serde_json::{Map, Value};

use crate::condition::{ConditionCompiler, ConditionLimits, Facts, Verdict};
use crate::rbac::Identity;
use crate::{PolicyEngine, import_mcp_acl};

/// A condition, and after a line feed arguments for it: it is refused in one line, or it comes to
/// something, twice the same, without a failure of the evaluator.
///
/// # Panics
/// When that is not so.
pub fn condition(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (source, arguments) = text.rsplit_once('\n').unwrap_or((&text, "{}"));
    let vars = Map::from_iter([("team".to_owned(), Value::from("ops"))]);
    let compiler = ConditionCompiler::new(&vars, &ConditionLimits::default());
    let condition = match compiler.compile(source) {
        Ok(condition) => condition,
        Err(fault) => {
            let fault = fault.to_string();
            assert!(!fault.is_empty(), "{source}");
            return;
        }
    };
    let arguments = RawJson::parse(arguments.to_owned()).unwrap_or_default();
    let arguments = Arguments::from_raw(arguments).unwrap_or_default();
    let caller = Caller::new(CallerKind::User, "ann").with_roles(["reader"]);
    let meta = RequestMeta::new("1", Transport::Http);
    let identity = Identity::of(&caller);
    let facts = Facts::new(&caller, &identity, &meta);
    let mut request = AccessRequest::new(&caller, &meta, "tools/call", Feature::Tool, "a");
    request.arguments = Some(&arguments);
    let verdict = condition.evaluate(&facts.of(&request, request.name));
    assert_ne!(
        verdict,
        Verdict::Error("the evaluator failed".to_owned()),
        "{source}"
    );
    let facts = Facts::new(&caller, &identity, &meta);
    assert_eq!(
        verdict,
        condition.evaluate(&facts.of(&request, request.name)),
        "{source}"
    );
}

/// The configuration of another gateway: it is refused, or becomes a policy that is good.
///
/// # Panics
/// When that is not so.
pub fn import(data: &[u8]) {
    if let Ok(imported) = import_mcp_acl(&String::from_utf8_lossy(data)) {
        if let Err(faults) = PolicyEngine::compile(&imported.policy) {
            unreachable!("{faults}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use proptest::prelude::*;
    use proptest::sample::{Index, select};
    use proptest::test_runner::TestRunner;

    fn holds(target: fn(&[u8]), name: &str, words: &[&'static str]) {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "fuzz", "seeds", name]
            .iter()
            .collect();
        let seeds: Vec<Vec<u8>> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect();
        assert!(seeds.len() >= 3, "{name} has too few seeds");
        for seed in &seeds {
            target(seed);
        }
        let change = (any::<Index>(), 0_usize..8, select(words.to_vec()));
        let changed = (select(seeds), prop::collection::vec(change, 1..5)).prop_map(
            |(mut bytes, changes)| {
                for (at, length, word) in changes {
                    let start = at.index(bytes.len() + 1);
                    let end = (start + length).min(bytes.len());
                    bytes.splice(start..end, word.bytes());
                }
                bytes
            },
        );
        let noise = prop::collection::vec(any::<u8>(), 0..100);
        let config = ProptestConfig {
            cases: 1500,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let run = |bytes: Vec<u8>| {
            target(&bytes);
            Ok(())
        };
        TestRunner::new(config)
            .run(&prop_oneof![1 => noise, 6 => changed], run)
            .unwrap();
    }

    #[test]
    fn any_condition_is_refused_or_comes_to_something() {
        holds(
            super::condition,
            "condition",
            &[
                "",
                "&&",
                "||",
                "!",
                "(",
                ")",
                "[",
                "]",
                ".all(x, ",
                ".map(x, ",
                "has(",
                "identity.",
                "roles",
                "mcp.tool.arguments",
                ".a",
                "'",
                "\\",
                "\n",
                "1",
                "0x",
                "-",
                "1e9",
                "u",
                "==",
                "<",
                " in ",
                "?",
                ":",
                "vars.team",
                "jwt",
                "true",
                "null",
                "{",
                "}",
                ",",
                "b'x'",
                "r'",
                "size(",
                "\"",
                ".ip_in(",
            ],
        );
    }

    #[test]
    fn any_import_is_refused_or_is_a_good_policy() {
        holds(
            super::import,
            "import",
            &[
                "",
                "{",
                "}",
                "[",
                "]",
                "\"",
                ",",
                ":",
                "TOOLS",
                "TOOLS_CALL",
                "PROMPTS",
                "EXPRESSION",
                "LITERAL",
                "ANY",
                "null",
                "*",
                "\\\\",
                "{#request.id == 'a'}",
                "'",
                "==",
                "#context",
                ".attributes['user']",
                ".contains('a')",
                ".matches('a.*')",
                "&&",
                "!",
                "{\\\"a\\\"}",
                "methods",
                "condition",
                "(",
                ")",
                "\\u0000",
            ],
        );
    }
}
