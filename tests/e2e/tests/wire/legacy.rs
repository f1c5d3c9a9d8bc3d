//! Sessions of clients up to 2025-11-25.

use super::Case;
use crate::support::client::Era;
use crate::support::http::{Endpoint, JSON};
use crate::support::json::{at, quote};
use crate::support::setup::{ODDS, Setup};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

pub(super) fn initialize(endpoint: &Endpoint) -> String {
    initialize_as(endpoint, "2025-06-18")
}

/// Begins a session of this revision, and gives its id.
pub(super) fn initialize_as(endpoint: &Endpoint, revision: &str) -> String {
    let mut headers = JSON.to_vec();
    headers.extend(
        endpoint
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str())),
    );
    let body = INITIALIZE.replace("2025-06-18", revision);
    let mut reply = endpoint.send("POST", &headers, body.as_bytes());
    assert_eq!(reply.status, 200);
    let text = reply.text();
    assert_eq!(at(&text, &["result", "protocolVersion"]), quote(revision));
    let session = reply.header("mcp-session-id").unwrap().to_owned();
    assert!(
        session.len() >= 22 && session.bytes().all(|b| b.is_ascii_graphic()),
        "{session}"
    );
    session
}

#[test]
fn every_old_revision_is_spoken_and_unknown_ones_get_the_newest_of_them() {
    let gateway = Setup::of(ODDS[0]).over_http();
    for (asked, spoken) in [
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("tomorrow", "2025-11-25"),
    ] {
        let body = INITIALIZE.replace("2025-06-18", asked);
        let text = Case::post(asked, body, 200, None).check(gateway.endpoint());
        assert_eq!(
            at(&text, &["result", "protocolVersion"]),
            format!("\"{spoken}\"")
        );
    }
}

#[test]
fn a_session_is_needed_and_ends() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let endpoint = gateway.endpoint();
    let session = initialize(endpoint);
    let list = |name, status, code: Option<i64>| Case::post(name, LIST, status, code);
    let cancelled =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#;
    let answer = r#"{"jsonrpc":"2.0","id":5,"result":{}}"#;
    for case in [
        list("without", 400, Some(-32600)),
        list("unknown", 404, Some(-32600)).with("mcp-session-id", "0123456789abcdef"),
        list("good", 200, None).with("mcp-session-id", &session),
        list("good version", 200, None)
            .with("mcp-session-id", &session)
            .with("mcp-protocol-version", "2025-06-18"),
        list("another version", 400, Some(-32600))
            .with("mcp-session-id", &session)
            .with("mcp-protocol-version", "2025-11-25"),
        list("bad version", 400, Some(-32022))
            .with("mcp-session-id", &session)
            .with("mcp-protocol-version", "2025-06-19"),
        list("no version", 400, Some(-32022))
            .with("mcp-session-id", &session)
            .with("mcp-protocol-version", "latest"),
        Case::post("notification", cancelled, 202, None).with("mcp-session-id", &session),
        Case::post("stray notification", cancelled, 400, -32600),
        Case::post("answer", answer, 202, None).with("mcp-session-id", &session),
        Case::post("stray answer", answer, 404, -32600).with("mcp-session-id", "no"),
    ] {
        case.check(endpoint);
    }
    let delete = |session: Option<&str>| {
        let headers: Vec<_> = session
            .iter()
            .map(|session| ("mcp-session-id", *session))
            .collect();
        endpoint.send("DELETE", &headers, b"").status
    };
    assert_eq!(delete(None), 400);
    assert_eq!(delete(Some("unknown")), 404);
    assert_eq!(delete(Some(&session)), 204);
    assert_eq!(delete(Some(&session)), 404);
    list("ended", 404, Some(-32600))
        .with("mcp-session-id", &session)
        .check(endpoint);
}

#[test]
fn a_session_is_its_callers_alone() {
    let auth = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef }, { id: bob, key: bob-0123456789abcdef }] }";
    let gateway = Setup::of(ODDS[0]).with(auth).over_http();
    let ann = gateway
        .endpoint()
        .clone()
        .with_header("authorization", "Bearer ann-0123456789abcdef");
    let bob = gateway
        .endpoint()
        .clone()
        .with_header("x-api-key", "bob-0123456789abcdef");
    let session = initialize(&ann);
    let list = |name, status, code: Option<i64>| {
        Case::post(name, LIST, status, code).with("mcp-session-id", &session)
    };
    let unknown = Case::post("unknown", LIST, 404, -32600)
        .with("mcp-session-id", "no-such")
        .check(&bob);
    assert_eq!(list("bob", 404, Some(-32600)).check(&bob), unknown);
    let delete = |endpoint: &Endpoint| {
        let mut headers = vec![("mcp-session-id", session.as_str())];
        headers.extend(
            endpoint
                .headers
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str())),
        );
        endpoint.send("DELETE", &headers, b"").status
    };
    assert_eq!(delete(&bob), 404);
    list("nobody", 401, None).check(gateway.endpoint());
    list("ann", 200, None).check(&ann);
    assert_eq!(delete(&ann), 204);
}

#[test]
fn going_away_gives_nothing_up() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let client = gateway.client(Era::Legacy);
    let mut gone = client.begin_tool("slow", r#"{"steps":1,"key":"gone"}"#);
    gateway.wait_for_upstream("called: slow", 1);
    gone.hang_up();
    // What happens next is the other call's; had the first been given up, the log would say so.
    let mut never = client.begin_tool("never", "{}");
    gateway.wait_for_upstream("called: never", 1);
    client.cancel(&mut never);
    gateway.wait_for_upstream("given up: never", 1);
    client.tool("release", r#"{"key":"gone"}"#).result();
    let line = gateway.process.stderr.with(r#""name":"slow""#);
    assert_eq!(at(&line, &["outcome"]), "\"ok\"", "{line}");
}
