use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use super::*;

fn folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "fuzz", name]
        .iter()
        .collect()
}

fn names(name: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder("seeds").join(target)).unwrap();
    entries
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect()
}

/// One change of some bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Swap(Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        "\\u0000",
        "\\ud800",
        ":",
        ",",
        "\n",
        "\r\n",
        "\0",
        "-1",
        "1e999",
        "null",
        "=?base64?",
        "?=",
        "data:",
        "id:",
        "retry:",
        "\u{feff}",
        "\u{1f600}",
    ]);
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), words).prop_map(|(at, word)| Change::Insert(at, word.into())),
        (any::<Index>(), 1_usize..20).prop_map(|(at, length)| Change::Remove(at, length)),
        (any::<Index>(), 1_usize..40).prop_map(|(at, length)| Change::Repeat(at, length)),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Change::Swap(a, b)),
    ]
}

fn apply(change: Change, bytes: &mut Vec<u8>) {
    let range = |at: Index, length: usize, of: usize| {
        let start = at.index(of + 1);
        start..(start + length).min(of)
    };
    let length = bytes.len();
    match change {
        Change::Set(at, byte) if length > 0 => bytes[at.index(length)] = byte,
        Change::Swap(a, b) if length > 0 => bytes.swap(a.index(length), b.index(length)),
        Change::Set(..) | Change::Swap(..) => {}
        Change::Insert(at, word) => {
            let at = at.index(length + 1);
            bytes.splice(at..at, word);
        }
        Change::Remove(at, part) => {
            bytes.drain(range(at, part, length));
        }
        Change::Repeat(at, part) => {
            let part = range(at, part, length);
            let again = bytes[part.clone()].to_vec();
            bytes.splice(part.start..part.start, again);
        }
    }
}

/// Noise, and seeds that were changed.
fn input(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changed = (
        prop::sample::select(seeds),
        prop::collection::vec(change(), 0..8),
    )
        .prop_map(|(mut bytes, changes)| {
            for change in changes {
                apply(change, &mut bytes);
            }
            bytes
        });
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![1 => noise, 4 => changed]
}

fn holds(name: &str) {
    let (_, target) = TARGETS
        .into_iter()
        .find(|(other, _)| *other == name)
        .unwrap();
    let seeds = seeds(name);
    assert!(seeds.len() >= 3, "{name} has too few seeds");
    for seed in &seeds {
        target(seed);
    }
    let config = ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let run = |bytes: Vec<u8>| {
        target(&bytes);
        Ok(())
    };
    TestRunner::new(config).run(&input(seeds), run).unwrap();
}

#[test]
fn every_target_is_a_program_and_has_seeds() {
    // Those of the policy are run by its own crate.
    let of_policy = ["condition", "import", "policy", "uri"].map(str::to_owned);
    let mut expected: Vec<String> = TARGETS.map(|(name, _)| name.to_owned()).into();
    expected.extend(of_policy);
    expected.sort_unstable();
    assert_eq!(names("fuzz_targets"), expected);
    assert_eq!(names("seeds"), expected);
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in &expected {
        let program = format!("path = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&program), "{name}");
    }
}

#[test]
fn any_message_is_taken_apart_or_refused() {
    holds("message");
}

#[test]
fn any_header_is_read_as_it_was_written() {
    holds("header");
}

#[test]
fn any_bytes_are_the_lines_that_they_are() {
    holds("lines");
}

#[test]
fn any_stream_has_the_same_events_wherever_it_is_cut() {
    holds("sse");
}

#[test]
fn any_pins_file_is_refused_or_reads_back() {
    holds("pins");
}

#[test]
fn any_json_has_a_canonical_form_that_means_the_same() {
    holds("canonical");
}

#[test]
fn any_request_that_the_guard_lets_out_stays_where_it_belongs() {
    holds("egress");
}

#[test]
fn any_description_of_an_api_is_refused_or_makes_tools() {
    holds("openapi");
}

#[test]
fn no_arguments_change_the_path_of_a_request() {
    holds("arguments");
}
