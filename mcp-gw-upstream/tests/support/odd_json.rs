//! JSON that no decoding and encoding would leave as it is, and what is made of it on its way.

use std::fmt::Write as _;

use mcp_gw_core::{Arguments, Extras, ToolCall};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::raw;

/// The text of a value.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "null",
        "true",
        "1.0",
        "-0",
        "0.10",
        "1e400",
        "-1E+05",
        "123456789012345678901234567890",
        r#""\u00e9\u0000""#,
        r#""\ud83d\ude00😀é""#,
        r#""\/\"\\ ""#,
        r#""data: x""#,
        "\"\"",
        "{}",
        "[ ]",
    ]);
    let leaf = leaf.prop_map(str::to_owned);
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[{}]", items.join(" ,"))),
            object(inner),
        ]
    })
}

/// The text of an object, its keys in no order.
fn object(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["z", "a", "é", r"\u00e9", "x y", "resultType_", "id"]);
    prop::collection::vec((key, inner), 0..6).prop_map(|members| {
        let mut text = String::from("{");
        for (at, (key, value)) in members.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(text, "{comma}\"{key}{at}\" :{value}").unwrap();
        }
        text + "}"
    })
}

/// What one call carries: arguments, a member of `_meta`, and a member that nobody knows.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    arguments: String,
    meta: String,
    more: String,
}

impl Load {
    pub(crate) fn call(&self) -> ToolCall {
        let meta = format!(r#"{{"vendor/x":{}}}"#, self.meta);
        let members = vec![("more".to_owned(), raw(&self.more))];
        let arguments = Arguments::from_raw(raw(&self.arguments)).unwrap();
        ToolCall::new("echo_all", arguments).with_extras(Extras::new(Some(raw(&meta)), members))
    }

    /// What the server answers.
    pub(crate) fn expected(&self) -> String {
        answer(&self.arguments, &self.meta, &self.more)
    }
}

/// The result of a server that hands back what it got.
pub(crate) fn answer(arguments: &str, meta: &str, more: &str) -> String {
    format!(
        r#"{{"content":[{{"type":"x/new","v":{arguments}}}],"structuredContent":{arguments},"more":{more},"_meta":{{"v":{meta}}}}}"#
    )
}

/// Has `run` try many loads.
pub(crate) fn try_many(run: impl Fn(Load) -> Result<(), TestCaseError>) {
    let loads = (object(value()), value(), value());
    let loads = loads.prop_map(|(arguments, meta, more)| Load {
        arguments,
        meta,
        more,
    });
    let config = Config {
        cases: 96,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config).run(&loads, run).unwrap();
}
