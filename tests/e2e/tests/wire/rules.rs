//! Rules of the envelope and of headers that hold in every era, each by its name.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use super::Case;
use super::legacy::initialize;
use crate::support::LIMIT;
use crate::support::http::JSON;
use crate::support::json::{at, member};
use crate::support::setup::{ODDS, Setup};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

/// A good call of a modern client with this id, or these members before `_meta`.
fn modern<'a>(name: &'a str, body: &str, status: u16, code: impl Into<Option<i64>>) -> Case<'a> {
    Case::post(name, body, status, code)
        .with("mcp-protocol-version", "2026-07-28")
        .with("mcp-method", "tools/call")
        .with("mcp-name", "echo")
}

fn call(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{}},{META}}}}}"#
    )
}

#[test]
fn ids_come_back_as_they_were_written() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let session = initialize(gateway.endpoint());
    for id in [
        "0",
        "-5",
        "9007199254740993",
        "123456789012345678901234567890",
        "\"\"",
        "\"a\"",
        r#""\u00e9\n\"""#,
        "\"é\"",
    ] {
        let text = modern(id, &call(id), 200, None).check(gateway.endpoint());
        assert_eq!(member(&text, "id").unwrap(), id);
        let ping = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let text = Case::post(id, ping, 200, None)
            .with("mcp-session-id", &session)
            .check(gateway.endpoint());
        assert_eq!(member(&text, "id").unwrap(), id);
    }
    for id in ["null", "1.5", "1.0", "1e3", "true", "[]", "{}", "[1]"] {
        let text = modern(id, &call(id), 400, -32600).check(gateway.endpoint());
        assert_eq!(member(&text, "id"), None, "{text}");
    }
}

#[test]
fn a_member_that_is_there_twice_is_refused_wherever_it_decides() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let good = call("1");
    for (name, from, to) in [
        (
            "jsonrpc",
            r#""jsonrpc":"2.0""#,
            r#""jsonrpc":"2.0","jsonrpc":"2.0""#,
        ),
        ("id", r#""id":1"#, r#""id":1,"id":2"#),
        ("escaped id", r#""id":1"#, r#""id":1,"\u0069d":2"#),
        (
            "method",
            r#""method":"tools/call""#,
            r#""method":"tools/list","method":"tools/call""#,
        ),
        ("params", r#""params":{"#, r#""params":{},"params":{"#),
        ("name", r#""name":"echo""#, r#""name":"fail","name":"echo""#),
        (
            "escaped name",
            r#""name":"echo""#,
            r#""n\u0061me":"fail","name":"echo""#,
        ),
        (
            "arguments",
            r#""arguments":{}"#,
            r#""arguments":{"a":1},"arguments":{}"#,
        ),
        ("_meta", r#""_meta":{"#, r#""_meta":{},"_meta":{"#),
    ] {
        let body = good.replacen(from, to, 1);
        assert_ne!(body, good, "{name}");
        modern(name, &body, 400, -32600).check(gateway.endpoint());
    }
}

#[test]
fn headers_of_later_revisions_say_nothing_about_earlier_ones() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let session = initialize(gateway.endpoint());
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1}}}"#;
    let text = Case::post("lies", body, 200, None)
        .with("mcp-session-id", &session)
        .with("mcp-method", "tools/list")
        .with("mcp-name", "fail")
        .with("mcp-param-a", "2")
        .check(gateway.endpoint());
    assert!(text.contains(r#"{\"a\":1}"#), "{text}");
}

#[test]
fn errors_of_what_was_asked_are_no_errors_of_http() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let unknown = call("1").replace("\"echo\"", "\"nobody\"");
    modern("unknown tool", &unknown, 200, -32602)
        .with("mcp-name", "nobody")
        .check(gateway.endpoint());
    let failing = call("1").replace("\"echo\"", "\"rpc_error\"");
    let text = modern("error of the server", &failing, 200, None).with("mcp-name", "rpc_error");
    let mut reply = gateway
        .endpoint()
        .send("POST", &text.headers, failing.as_bytes());
    assert_eq!(reply.status, 200);
    assert!(member(&reply.text(), "error").is_some());
}

#[test]
fn notifications_have_an_empty_answer() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let session = initialize(gateway.endpoint());
    let note = r#"{"jsonrpc":"2.0","method":"notifications/anything","params":{}}"#;
    for (name, value) in [
        ("mcp-session-id", session.as_str()),
        ("mcp-protocol-version", "2026-07-28"),
    ] {
        let case = Case::post(name, note, 202, None)
            .with("mcp-method", "notifications/anything")
            .with(name, value);
        assert_eq!(case.check(gateway.endpoint()), "");
    }
}

#[test]
fn where_a_request_comes_from_is_judged_before_anything_else_of_it() {
    let auth = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef }] }";
    let gateway = Setup::of(ODDS[0]).with(auth).over_http();
    // Neither a key, nor a message, nor a method that is served.
    for method in ["POST", "GET", "DELETE", "PUT"] {
        for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
            let reply = gateway.endpoint().send(method, &[(name, value)], b"\xff{[");
            assert_eq!(reply.status, 403, "{method} {name}");
        }
    }
}

#[test]
fn browsers_are_told_what_they_may_do() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let preflight = |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "GET"),
            (
                "access-control-request-headers",
                "last-event-id,mcp-session-id",
            ),
        ];
        gateway.endpoint().send("OPTIONS", &headers, b"")
    };
    let good = preflight("http://localhost:3000");
    let allowed = good.header("access-control-allow-methods").unwrap();
    assert_eq!(allowed, "GET,POST,DELETE");
    assert_eq!(
        good.header("access-control-allow-origin"),
        Some("http://localhost:3000")
    );
    let evil = preflight("https://evil.example");
    assert_eq!(evil.header("access-control-allow-origin"), None);
}

#[test]
fn a_body_that_is_cut_off_reaches_nobody() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let body = call("1");
    for (name, framing, sent) in [
        (
            "announced",
            format!("content-length: {}", body.len() + 50),
            body.clone(),
        ),
        (
            "chunked",
            "transfer-encoding: chunked".to_owned(),
            format!("{:x}\r\n{body}\r\n", body.len()),
        ),
    ] {
        let mut head = format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n");
        for (name, value) in JSON {
            head = format!("{head}{name}: {value}\r\n");
        }
        let head = format!(
            "{head}mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: echo\r\n\r\n"
        );
        let mut stream = TcpStream::connect(&gateway.endpoint().address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
            .write_all(format!("{head}{sent}").as_bytes())
            .unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 400 ");
        assert!(is_refused, "{name}: {answer}");
    }
    // Had one of them been carried out, it would be in the audit log before this.
    modern("after it", &call("2"), 200, None).check(gateway.endpoint());
    let audited = gateway.audit(1);
    assert_eq!(at(&audited[0], &["method"]), "\"tools/call\"");
    let lines = gateway.process.stderr.so_far();
    let calls = lines
        .iter()
        .filter(|line| line.contains("\"method\":\"tools/call\""));
    assert_eq!(calls.count(), 1);
}
