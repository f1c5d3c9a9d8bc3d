//! Whatever JSON goes through, it comes out as it was written, to the byte.

use proptest::prelude::*;

use super::start;
use crate::support::client::ERAS;
use crate::support::json::at;
use crate::support::setup::{ODDS, Setup};

/// The text of a JSON value: numbers, escapes and blanks in every way that they may be written.
fn text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false", "\"\"", "[]", "{ }"])
            .prop_map(str::to_owned),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
        string(),
    ];
    leaf.prop_recursive(6, 64, 5, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..5), blank()).prop_map(
                |(items, blank)| format!("[{blank}{}{blank}]", items.join(&format!("{blank},")))
            ),
            object(inner),
        ]
    })
}

fn string() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-zA-Z0-9 /:{}\\[\\],_]{0,12}",
        prop::sample::select(vec![
            "\\u00e9",
            "\\\"",
            "\\\\",
            "\\/",
            "\\b\\f\\n\\r\\t",
            "\\ud83d\\ude00",
            "\\u0000",
            "é",
            "😀",
            "\u{7f}",
            "\u{2028}",
            "</script>",
            "data: x",
            "resultType",
            "_meta",
            "uri",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

fn blank() -> impl Strategy<Value = String> {
    "[ \t]{0,2}"
}

/// An object; its names are all different, as one that says something twice is refused.
fn object(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let members = prop::collection::vec((string(), inner), 0..5);
    (members, blank()).prop_map(|(members, blank)| {
        let members: Vec<String> = members
            .iter()
            .enumerate()
            .map(|(at, (name, value))| {
                let name = name.strip_prefix('"').unwrap_or(name);
                format!("\"{at}{name}{blank}:{blank}{value}")
            })
            .collect();
        format!("{{{blank}{}}}", members.join(&format!("{blank},{blank}")))
    })
}

#[test]
fn any_payload_comes_out_as_it_was_written() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        let clients = ERAS.map(|era| gateway.client(era));
        let config = ProptestConfig {
            cases: 96,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        runner
            .run(&object(text()), |arguments| {
                for client in &clients {
                    prop_assert_eq!(&client.tool("echo", &arguments).text(), &arguments);
                    let result = client.tool("structured", &arguments).result();
                    prop_assert_eq!(&at(&result, &["structuredContent"]), &arguments);
                }
                Ok(())
            })
            .unwrap_or_else(|failure| panic!("{odd:?}: {failure}"));
    }
}
