//! Keys, limits, and what a caller may see.

use crate::support::client::{Client, ERAS, Era, Wire};
use crate::support::http::{Endpoint, JSON, Reply};
use crate::support::json::{at, items, string};
use crate::support::setup::{ODDS, Setup};
use std::sync::Arc;

const AUTH: &str = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef }, { id: bob, key: bob-0123456789abcdef, tools: [echo, \"c*\"] }] }";

fn post(endpoint: &Endpoint, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = [&JSON[..], headers].concat();
    endpoint.send("POST", &headers, body.as_bytes())
}

#[test]
fn a_key_is_asked_for_and_looked_at() {
    let gateway = Setup::of(ODDS[0]).with(AUTH).over_http();
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let wrong = "Bearer error=\"invalid_token\"";
    let unreadable = "Bearer error=\"invalid_request\"";
    let good = ("authorization", "Bearer ann-0123456789abcdef");
    let key = ("x-api-key", "ann-0123456789abcdef");
    for (headers, status, challenge) in [
        (vec![], 401, Some("Bearer")),
        (
            vec![("cookie", "key=ann-0123456789abcdef")],
            401,
            Some("Bearer"),
        ),
        (
            vec![("authorization", "Bearer nobody-0123456789")],
            401,
            Some(wrong),
        ),
        (vec![("x-api-key", "nobody-0123456789")], 401, Some(wrong)),
        (
            vec![key, ("authorization", "Bearer bob-0123456789abcdef")],
            401,
            Some(wrong),
        ),
        (
            vec![("authorization", "Basic YW5uOmFubg==")],
            400,
            Some(unreadable),
        ),
        (vec![("authorization", "Bearer")], 400, Some(unreadable)),
        (vec![good, good], 400, Some(unreadable)),
        (vec![good], 200, None),
        (vec![key], 200, None),
        (vec![good, key], 200, None),
        (
            vec![("authorization", "bearer ann-0123456789abcdef")],
            200,
            None,
        ),
    ] {
        let mut reply = post(gateway.endpoint(), &headers, initialize);
        assert_eq!(reply.status, status, "{headers:?}");
        assert_eq!(reply.header("www-authenticate"), challenge, "{headers:?}");
        let text = reply.text();
        assert!(!text.contains("0123456789"), "{headers:?}: {text}");
    }
    let mut query = gateway.endpoint().clone();
    query.path += "?access_token=ann-0123456789abcdef&key=ann-0123456789abcdef";
    assert_eq!(post(&query, &[], initialize).status, 401);
    let log = gateway.process.stderr.so_far().join("\n");
    assert!(!log.contains("0123456789"), "a key is in the log: {log}");
}

fn client(gateway: &Endpoint, key: &str, era: Era) -> Client {
    let key = format!("Bearer {key}-0123456789abcdef");
    let endpoint: Arc<dyn Wire> = Arc::new(gateway.clone().with_header("authorization", &key));
    Client::open(&endpoint, era)
}

fn names(client: &Client) -> Vec<String> {
    let tools = items(&at(&client.ask("tools/list", "{}").result(), &["tools"]));
    tools
        .iter()
        .map(|tool| string(&at(tool, &["name"])))
        .collect()
}

#[test]
fn a_caller_sees_and_calls_what_its_key_names() {
    let gateway = Setup::of(ODDS[0]).with(AUTH).over_http();
    for era in ERAS {
        let (ann, bob) = (
            client(gateway.endpoint(), "ann", era),
            client(gateway.endpoint(), "bob", era),
        );
        assert_eq!(names(&ann).len(), 16);
        assert_eq!(names(&bob), ["cancelled_count", "count", "echo"]);
        assert_eq!(bob.tool("echo", "{}").text(), "{}");
        assert_eq!(ann.tool("fail", "{}").text(), "it did not work");
        assert_eq!(
            bob.tool("fail", "{}").fault(),
            (-32602, "Unknown tool: fail".to_owned())
        );
    }
    assert_eq!(
        client(gateway.endpoint(), "ann", Era::Modern)
            .tool("count", r#"{"tool":"fail"}"#)
            .text(),
        "2"
    );
}

#[test]
fn a_hidden_tool_answers_like_one_that_never_was() {
    let gateway = Setup::of(ODDS[0]).with(AUTH).over_http();
    let answer = |name: &str, arguments: &str| {
        let headers = [
            ("authorization", "Bearer bob-0123456789abcdef"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", name),
        ];
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}","arguments":{arguments},"_meta":{{"progressToken":1,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        );
        let mut reply = post(gateway.endpoint(), &headers, &body);
        reply.headers.remove("date");
        let text = reply.text().replace(name, "NAME");
        (reply.status, reply.headers, text)
    };
    for arguments in ["{}", r#"{"steps":3}"#, "[]", "null"] {
        // Names of the same length, as the length of the answer is in its headers.
        assert_eq!(
            answer("slow", arguments),
            answer("olws", arguments),
            "{arguments}"
        );
        assert_eq!(
            answer("rpc_error", arguments),
            answer("rpc_horse", arguments)
        );
    }
}

#[test]
fn a_caller_over_its_limit_is_told_when_to_come_back() {
    let limits = "limits: { calls_per_minute: 2 }";
    for era in ERAS {
        let gateway = Setup::of(ODDS[0]).with(AUTH).with(limits).over_http();
        let (ann, bob) = (
            client(gateway.endpoint(), "ann", era),
            client(gateway.endpoint(), "bob", era),
        );
        // Guesses cost as much as calls.
        ann.tool("echo", "{}").result();
        ann.tool("no_such_tool", "{}").error();
        let answer = ann.tool("echo", "{}");
        let (code, says) = answer.fault();
        assert_eq!(code, -31001, "{says}");
        assert!(
            says.contains("calls_per_minute") && says.contains("Try again in"),
            "{says}"
        );
        let millis: u64 = at(&answer.error(), &["data", "retryAfterMs"])
            .parse()
            .unwrap();
        assert!((1..=60_000).contains(&millis), "{millis}");
        assert_eq!(names(&ann).len(), 16, "a list is not a call");
        assert_eq!(bob.tool("echo", "{}").text(), "{}", "{era:?}");
    }
}

#[test]
fn the_status_of_a_refusal_says_so_too() {
    let limits = "limits: { calls_per_minute: 1 }";
    let gateway = Setup::of(ODDS[0]).with(limits).over_http();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
    ];
    assert_eq!(post(gateway.endpoint(), &headers, body).status, 200);
    let mut reply = post(gateway.endpoint(), &headers, body);
    assert_eq!(reply.status, 429);
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    let text = reply.text();
    let millis: u64 = at(&text, &["error", "data", "retryAfterMs"])
        .parse()
        .unwrap();
    assert_eq!(seconds, millis.div_ceil(1000), "{text}");
    assert!((1..=60).contains(&seconds));
}
