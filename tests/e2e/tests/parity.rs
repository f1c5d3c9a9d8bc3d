//! Both transports are one product: the same scenarios, the same trace in the audit log.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::client::{ERAS, Era};
use crate::support::setup::{Odd, Running, Setup};
use crate::{over_http, over_stdio};

/// The scenario files that a list names.
fn listed(source: &str) -> BTreeSet<String> {
    let paths = source
        .lines()
        .filter_map(|line| line.strip_prefix("#[path = \"../scenarios/"));
    paths
        .filter_map(|rest| rest.strip_suffix("\"]"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_scenario_is_in_both_lists() {
    let http = listed(include_str!("over_http/mod.rs"));
    let stdio = listed(include_str!("over_stdio/mod.rs"));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!files.is_empty());
    assert_eq!(http, files, "over_http/mod.rs");
    assert_eq!(stdio, files, "over_stdio/mod.rs");
}

/// Does the same over any transport, and returns the audit lines without what must differ.
fn trace(gateway: &Running) -> Vec<Value> {
    for era in ERAS {
        let client = gateway.client(era);
        client.ask("tools/list", "{}").result();
        client.tool("echo", r#"{"a":1}"#).result();
        client.tool("fail", "{}").result();
        client.tool("rpc_error", "{}").error();
        client.tool("no_such_tool", r#"{"a":1}"#).error();
        client.tool("garbage", "{}").error();
        client.ask("prompts/get", r#"{"name":"none"}"#).error();
        client
            .ask("resources/read", r#"{"uri":"file:///none"}"#)
            .error();
        client.ask("tools/list", r#"{"cursor":"eA"}"#).error();
        let mut never = client.begin_tool("never", "{}");
        let before = if era == Era::Legacy { 1 } else { 2 };
        gateway.wait_for_upstream("called: never", before);
        client.cancel(&mut never);
        gateway.wait_for_upstream("given up: never", before);
    }
    let lines = gateway.audit(20);
    lines
        .iter()
        .map(|line| without_what_differs(line))
        .collect()
}

fn without_what_differs(line: &str) -> Value {
    let mut event: Value = serde_json::from_str(line).unwrap();
    let members = event.as_object_mut().unwrap();
    for name in [
        "timestamp",
        "time",
        "request_id",
        "transport",
        "client_addr",
        "duration_us",
        "policy_us",
    ] {
        let found = members.remove(name);
        assert!(
            found.is_some() || ["client_addr", "policy_us"].contains(&name),
            "no {name}: {line}"
        );
    }
    event
}

#[test]
fn the_audit_log_says_the_same_over_both_transports() {
    let setup = || Setup::of(Odd::stdio(Era::Legacy));
    let http = trace(&over_http::start(setup()));
    let stdio = trace(&over_stdio::start(setup()));
    assert_eq!(http.len(), stdio.len());
    for (http, stdio) in http.iter().zip(&stdio) {
        assert_eq!(http, stdio);
    }
    let outcomes: Vec<&str> = http
        .iter()
        .map(|event| event["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(
        outcomes[..10],
        [
            "ok",
            "ok",
            "tool_error",
            "upstream_error",
            "unknown",
            "upstream_invalid",
            "unknown",
            "unknown",
            "invalid_params",
            "cancelled",
        ]
    );
}
