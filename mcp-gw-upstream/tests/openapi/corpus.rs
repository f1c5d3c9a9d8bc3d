//! How much of each description becomes tools that can be called.

use std::collections::BTreeSet;

use mcp_gw_upstream::rest::openapi::{Description, Options, read};

use super::shapes;

/// Operations of each description, and how many of them can be called at its first server.
const EXPECTED: &[(&str, usize, usize)] = &[
    ("asana", 8, 8),
    ("box", 10, 9),
    ("digitalocean", 8, 8),
    ("discord", 8, 8),
    ("github", 22, 21),
    ("kubernetes", 12, 12),
    ("openai", 8, 8),
    ("pagerduty", 6, 6),
    ("petstore", 11, 11),
    ("slack", 6, 6),
    ("spotify", 7, 7),
    ("stripe", 11, 10),
    ("twilio", 5, 5),
    ("zoom", 8, 8),
];

fn check(name: &str, description: &Description) {
    let mut names = BTreeSet::new();
    for operation in &description.operations {
        let spec = operation.spec().unwrap();
        assert!(
            names.insert(spec.name().to_owned()),
            "{name}: {} twice",
            spec.name()
        );
        let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(
            spec.name().len() <= 64 && spec.name().chars().all(is_legal),
            "{name}"
        );
        let schema = operation.input_schema().to_value().unwrap();
        if let Err(error) = jsonschema::draft202012::meta::validate(&schema) {
            panic!("{name} {}: {error}", spec.name());
        }
        assert!(
            operation.input_schema().len() <= 16 << 10,
            "{name} {}",
            spec.name()
        );
        for argument in schema["properties"].as_object().unwrap().keys() {
            let is_legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            assert!(
                argument.len() <= 64 && argument.chars().all(is_legal),
                "{name} {argument}"
            );
        }
    }
}

#[test]
fn nearly_every_operation_becomes_a_tool() {
    let (mut all, mut callable) = (0, 0);
    let mut found = Vec::new();
    for (name, bytes) in shapes() {
        let description = read(&bytes, &Options::all()).unwrap();
        check(&name, &description);
        let (total, can) = (description.report.total, description.operations.len());
        println!("{name:14} {can:4} of {total:4} operations");
        for skipped in &description.report.skipped {
            println!(
                "    {} {}: {}",
                skipped.method, skipped.path, skipped.reason
            );
        }
        all += total;
        callable += can;
        found.push((name, total, can));
    }
    #[expect(clippy::cast_precision_loss, reason = "a share of some hundred")]
    let share = callable as f64 * 100.0 / all as f64;
    println!("in all         {callable:4} of {all:4} operations: {share:.1} %");
    let found: Vec<(&str, usize, usize)> = found
        .iter()
        .map(|(name, all, can)| (name.as_str(), *all, *can))
        .collect();
    assert_eq!(found, EXPECTED);
    assert!(share >= 95.0, "{share}");
}

#[test]
fn what_is_elsewhere_is_reached_by_its_own_address() {
    for (name, base, names) in [
        (
            "box",
            "https://upload.files.example/api/2.0",
            "post_files_content",
        ),
        (
            "github",
            "https://uploads.code.example",
            "repos_upload-release-asset",
        ),
        ("stripe", "https://files.payments.example", "PostFiles"),
    ] {
        let (_, bytes) = shapes().into_iter().find(|(it, _)| it == name).unwrap();
        let description = read(&bytes, &Options::all().with_base(base)).unwrap();
        let found: Vec<&str> = description
            .operations
            .iter()
            .map(mcp_gw_upstream::rest::Operation::name)
            .collect();
        assert_eq!(found.join(" "), names);
        let description =
            read(&bytes, &Options::all().with_base("https://proxy.internal")).unwrap();
        assert_eq!(description.report.notes[0].at, "servers");
    }
}
