use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "fuzz", "seeds", target]
        .iter()
        .collect();
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect()
}

/// Replaces a part of the bytes by a word, or removes or doubles it.
fn change(bytes: &mut Vec<u8>, (at, length, word): (Index, usize, Option<&str>)) {
    let start = at.index(bytes.len() + 1);
    let end = (start + length).min(bytes.len());
    let part = bytes[start..end].to_vec();
    let by = match word {
        Some(word) => word.as_bytes().to_vec(),
        None => [part.clone(), part].concat(),
    };
    bytes.splice(start..end, by);
}

fn holds(target: fn(&[u8]), name: &str, words: &[&'static str], cases: u32) {
    let seeds = seeds(name);
    assert!(seeds.len() >= 3, "{name} has too few seeds");
    for seed in &seeds {
        target(seed);
    }
    let word = prop::option::weighted(0.8, select(words.to_vec()));
    let changes = prop::collection::vec((any::<Index>(), 0_usize..12, word), 0..6);
    let mended = (select(seeds), changes).prop_map(|(mut bytes, changes)| {
        for one in changes {
            change(&mut bytes, one);
        }
        bytes
    });
    let noise = prop::collection::vec(any::<u8>(), 0..100);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let run = |bytes: Vec<u8>| {
        target(&bytes);
        Ok(())
    };
    TestRunner::new(config)
        .run(&prop_oneof![1 => noise, 4 => mended], run)
        .unwrap();
}

#[test]
fn any_policy_is_refused_or_decides() {
    let words = [
        "",
        " ",
        "\n",
        "  ",
        ":",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "!!str ",
        "---\n",
        "\"",
        "'",
        "\\",
        "\0",
        "any",
        "*",
        "?",
        "deny",
        "allow",
        "require",
        "shadow",
        "rules",
        "tools/call",
        "regex",
        "literal",
        "(",
        "a{9}",
        "null",
        "1e999",
        "~",
        "\u{85}",
        "who",
        "when",
        "mode",
    ];
    holds(super::policy, "policy", &words, 500);
}

#[test]
fn any_uri_is_refused_or_has_one_reading() {
    let words = [
        "",
        "/",
        "//",
        "..",
        ".",
        "%2e",
        "%2F",
        "%5c",
        "\\",
        "%25",
        "%",
        "%00",
        "\0",
        "#",
        "?",
        ":",
        "@",
        "{",
        "}",
        "{x}",
        "%C3%A4",
        "%c0%ae",
        "ä",
        "file:",
        "FILE:///ETC/",
        "%65tc",
        "secret",
        "%73ecret",
        ";",
        " ",
        "%20",
        "etc",
        "https:",
        "intra.example.com",
        "srv/key",
        "[::1]",
        "127.1",
        "one+",
    ];
    holds(super::uri, "uri", &words, 2_000);
}
