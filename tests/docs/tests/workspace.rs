//! What must hold for the workspace as a whole: who may know whom, how much a crate drags along,
//! what each crate brings with it.
#![cfg(test)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{files, root};

/// The crates that people depend on, each with those of ours that it may depend on.
///
/// Those of one level never see each other, and nothing sees a level above its own.
const MAY_DEPEND_ON: [(&str, &[&str]); 9] = [
    ("mcp-gw-admin-client", &["mcp-gw-core"]),
    ("mcp-gw-core", &[]),
    ("mcp-gw-policy", &["mcp-gw-core"]),
    ("mcp-gw-ratelimit", &["mcp-gw-core"]),
    ("mcp-gw-store", &["mcp-gw-core"]),
    ("mcp-gw-upstream", &["mcp-gw-core"]),
    (
        "mcp-gw-server",
        &[
            "mcp-gw-admin-client",
            "mcp-gw-core",
            "mcp-gw-policy",
            "mcp-gw-ratelimit",
            "mcp-gw-store",
            "mcp-gw-upstream",
        ],
    ),
    ("mcp-gw-stdio", &["mcp-gw-core", "mcp-gw-server"]),
    (
        "mcp-gw-http",
        &["mcp-gw-admin-client", "mcp-gw-core", "mcp-gw-server"],
    ),
];

/// Crates of TLS libraries that the system would have to bring.
const BANNED: [&str; 3] = ["native-tls", "openssl", "openssl-sys"];

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .current_dir(root())
        .output()
        .unwrap();
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {args:?}: {says}");
    String::from_utf8(output.stdout).unwrap()
}

fn metadata(more: &[&str]) -> Value {
    let mut args = vec!["metadata", "--locked", "--format-version", "1"];
    args.extend(more);
    serde_json::from_str(&cargo(&args)).unwrap()
}

fn list<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    value[member].as_array().map(Vec::as_slice).unwrap()
}

/// The crates that are going to be published, by name.
fn crates(metadata: &Value) -> BTreeMap<&str, &Value> {
    list(metadata, "packages")
        .iter()
        .filter(|package| package["source"].is_null() && package["publish"].is_null())
        .map(|package| (package["name"].as_str().unwrap(), package))
        .collect()
}

fn folder(package: &Value) -> PathBuf {
    Path::new(package["manifest_path"].as_str().unwrap())
        .parent()
        .unwrap()
        .to_owned()
}

#[test]
fn a_crate_depends_on_lower_levels_only() {
    let metadata = metadata(&["--no-deps"]);
    let crates = crates(&metadata);
    let allowed = BTreeMap::from(MAY_DEPEND_ON);
    assert_eq!(
        crates.keys().collect::<Vec<_>>(),
        allowed.keys().collect::<Vec<_>>(),
        "MAY_DEPEND_ON lists the crates that there are"
    );
    for (name, package) in &crates {
        for dependency in list(package, "dependencies") {
            let on = dependency["name"].as_str().unwrap();
            // A test may use the suites and fakes of the contract, and nothing else of ours.
            let allowed = if dependency["kind"] == "dev" {
                allowed[name].contains(&on) || on == "mcp-gw-core"
            } else {
                allowed[name].contains(&on)
            };
            assert!(
                allowed || !crates.contains_key(on),
                "{name} may not depend on {on}"
            );
        }
    }
}

#[test]
fn nothing_needs_the_tls_library_of_the_system() {
    let metadata = metadata(&["--all-features"]);
    for package in list(&metadata, "packages") {
        let name = package["name"].as_str().unwrap();
        assert!(!BANNED.contains(&name), "{name} is in the tree");
    }
}

/// Whoever does not ask for the SDK does not build it, and nothing but `mcp-gw-server` knows it.
#[test]
fn the_sdk_comes_only_with_its_feature() {
    let metadata = metadata(&["--no-deps"]);
    let crates = crates(&metadata);
    for (name, package) in &crates {
        for dependency in list(package, "dependencies") {
            let is_for_tests = dependency["kind"] == "dev";
            if dependency["name"] == "rmcp" && !is_for_tests {
                assert_eq!(*name, "mcp-gw-server");
                assert_eq!(dependency["optional"], true);
            }
        }
        let tree = |more: &[&str]| {
            let package = format!("--package={name}");
            let mut args = vec![
                "tree",
                "--locked",
                &package,
                "--edges=normal",
                "--prefix=none",
            ];
            args.extend(more);
            cargo(&args).lines().any(|line| line.starts_with("rmcp v"))
        };
        assert!(!tree(&[]), "{name} brings the SDK");
        let has_feature = *name == "mcp-gw-server";
        assert_eq!(tree(&["--all-features"]), has_feature, "{name}");
    }
}

#[test]
fn the_contract_brings_at_most_25_crates() {
    let tree = cargo(&[
        "tree",
        "--locked",
        "--package=mcp-gw-core",
        "--edges=normal",
        "--prefix=none",
        "--format={p}",
    ]);
    // A crate that was shown before carries `(*)`, a crate of ours its path.
    let crates: BTreeSet<String> = tree
        .lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert!(crates.contains("mcp-gw-core v0.1.0"), "{tree}");
    assert!(crates.len() <= 25, "{}: {crates:#?}", crates.len());
}

#[test]
fn the_contract_brings_nothing_that_does_io() {
    let metadata = metadata(&["--no-deps"]);
    let crates = crates(&metadata);
    let dependencies = list(crates["mcp-gw-core"], "dependencies").iter();
    for dependency in dependencies.filter(|dependency| dependency["kind"].is_null()) {
        let name = dependency["name"].as_str().unwrap();
        let known = [
            "async-trait",
            "bytes",
            "memchr",
            "schemars",
            "serde",
            "serde_json",
            "thiserror",
            "tracing",
        ];
        assert!(
            known.contains(&name),
            "{name}: does it do I/O? If not, add it to the list"
        );
    }
}

#[test]
fn a_crate_is_complete_before_it_is_published() {
    let metadata = metadata(&["--no-deps"]);
    for (name, package) in crates(&metadata) {
        let folder = folder(package);
        for file in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
            let path = folder.join(file);
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(text.len() > 100, "{} is not there", path.display());
        }
        for member in [
            "description",
            "license",
            "repository",
            "rust_version",
            "readme",
        ] {
            let text = package[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{name} has no {member}");
        }
        let keywords = list(package, "keywords").len();
        assert!(
            (1..=5).contains(&keywords),
            "{name} has {keywords} keywords"
        );
        assert!(!list(package, "categories").is_empty(), "{name}");
        let changes = std::fs::read_to_string(folder.join("CHANGELOG.md")).unwrap();
        assert!(changes.contains("## "), "{name} has no version in its log");
    }
}

#[test]
fn no_source_file_is_longer_than_800_lines() {
    for path in files(&root(), ".rs") {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 800, "{}: {lines} lines", path.display());
    }
}

/// What carries bytes must not know what they mean: no code of an error, no rule, no limit.
#[test]
fn adapters_carry_and_do_not_judge() {
    let words = [
        "-32",
        "-31",
        "code::",
        "RpcError",
        "RateLimiter",
        "Policy for",
        "Decision",
        "Admission",
        "tools/",
        "resources/",
        "prompts/",
        "jsonrpc",
    ];
    let mut seen = 0;
    for adapter in ["mcp-gw-http", "mcp-gw-stdio"] {
        let source = root().join(adapter).join("src");
        for path in files(&source, ".rs") {
            let inside = path.strip_prefix(&source).unwrap();
            // Applications of their own: the demo is a client and a server with tools, the management API and its
            // client have paths with such names.
            let apart = ["client", "demo", "manage", "management"];
            let is_apart = |name: &&str| {
                inside.starts_with(name) || inside == Path::new(&format!("{name}.rs"))
            };
            if apart.iter().any(is_apart) {
                continue;
            }
            seen += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in words {
                assert!(
                    !code.contains(word),
                    "{adapter}/src/{}: `{word}` belongs into mcp-gw-server",
                    inside.display()
                );
            }
        }
    }
    assert!(seen > 5, "the adapters are where they are looked for");
}
