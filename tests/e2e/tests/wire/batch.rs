//! JSON-RPC batches, which are for sessions of 2025-03-26.

use super::Case;
use super::legacy::{initialize, initialize_as};
use crate::support::http::{Endpoint, JSON, Reply};
use crate::support::json::{at, items, member};
use crate::support::setup::{ODDS, Setup};

const AUTH: &str = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef }, { id: bob, key: bob-0123456789abcdef, tools: [echo] }] }";

fn call(id: u32, tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
    )
}

fn post(endpoint: &Endpoint, session: &str, body: &str) -> Reply {
    let mut headers = JSON.to_vec();
    headers.push(("mcp-session-id", session));
    headers.extend(
        endpoint
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str())),
    );
    endpoint.send("POST", &headers, body.as_bytes())
}

#[test]
fn each_call_of_a_batch_is_decided_limited_and_audited_by_itself() {
    let gateway = Setup::of(ODDS[0])
        .with(AUTH)
        .with("limits: { calls_per_minute: 3 }")
        .over_http();
    let bob = gateway
        .endpoint()
        .clone()
        .with_header("authorization", "Bearer bob-0123456789abcdef");
    let session = initialize_as(&bob, "2025-03-26");
    let body = format!(
        "[{},{},{}]",
        call(1, "echo"),
        call(2, "fail"),
        call(3, "none")
    );
    let mut reply = post(&bob, &session, &body);
    let answers = items(&reply.text());
    assert_eq!((reply.status, answers.len()), (200, 3));
    let answer = |id: &str| {
        let found = answers.iter().find(|answer| at(answer, &["id"]) == id);
        found.unwrap_or_else(|| panic!("no answer to {id}: {answers:?}"))
    };
    assert!(member(answer("1"), "result").is_some());
    for hidden in ["2", "3"] {
        assert_eq!(at(answer(hidden), &["error", "code"]), "-32602");
    }
    let limited = items(&post(&bob, &session, &format!("[{}]", call(4, "echo"))).text());
    assert_eq!(at(&limited[0], &["error", "code"]), "-31001");
    let calls = gateway.process.stderr.first(4, |line| {
        line.contains("\"target\":\"mcp_gw::audit\"") && line.contains("tools/call")
    });
    let mut outcomes: Vec<_> = calls.iter().map(|line| at(line, &["outcome"])).collect();
    outcomes.sort();
    assert_eq!(
        outcomes,
        ["\"denied\"", "\"limited\"", "\"ok\"", "\"unknown\""]
    );
}

#[test]
fn other_revisions_send_one_message_at_a_time() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let endpoint = gateway.endpoint();
    let session = initialize(endpoint);
    let body = format!("[{}]", call(1, "echo"));
    Case::post("2025-06-18", body.as_str(), 400, -32600)
        .with("mcp-session-id", &session)
        .check(endpoint);
    let old = initialize_as(endpoint, "2025-03-26");
    Case::post("2025-03-26", body.as_str(), 200, None)
        .with("mcp-session-id", &old)
        .check(endpoint);
    Case::post("2026-07-28", body.as_str(), 400, -32600)
        .with("mcp-session-id", &old)
        .with("mcp-protocol-version", "2026-07-28")
        .check(endpoint);
}
