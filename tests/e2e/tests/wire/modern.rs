//! Requests of 2026-07-28, which say everything twice: in headers and in the body.

use super::Case;
use crate::support::client::{Era, tool};
use crate::support::json::{at, member, members, quote};
use crate::support::setup::{ODDS, Setup};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn body(method: &str, params: &str) -> String {
    let comma = if params.is_empty() { "" } else { "," };
    let method = quote(method);
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":{method},"params":{{{params}{comma}{META}}}}}"#)
}

/// A good call, expected to fail as told.
fn call(name: &str, status: u16, code: impl Into<Option<i64>>) -> Case<'_> {
    Case::post(
        name,
        body("tools/call", r#""name":"echo","arguments":{}"#),
        status,
        code,
    )
    .with("mcp-protocol-version", "2026-07-28")
    .with("mcp-method", "tools/call")
    .with("mcp-name", "echo")
}

#[test]
fn headers_must_say_what_the_body_says() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let mismatch = -32020;
    for case in [
        call("good", 200, None),
        call("names in capitals", 200, None)
            .without("mcp-name")
            .with("MCP-NAME", "echo"),
        call("blanks around", 200, None).with("mcp-name", "  echo  "),
        call("base64", 200, None).with("mcp-name", "=?base64?ZWNobw==?="),
        call("no version", 400, mismatch).without("mcp-protocol-version"),
        call("other version", 400, mismatch).with("mcp-protocol-version", "2025-11-25"),
        call("later version", 400, mismatch).with("mcp-protocol-version", "2027-01-01"),
        call("no method", 400, mismatch).without("mcp-method"),
        call("other method", 400, mismatch).with("mcp-method", "tools/list"),
        call("method in capitals", 400, mismatch).with("mcp-method", "Tools/Call"),
        call("no name", 400, mismatch).without("mcp-name"),
        call("empty name", 400, mismatch).with("mcp-name", ""),
        call("other name", 400, mismatch).with("mcp-name", "fail"),
        call("name in capitals", 400, mismatch).with("mcp-name", "Echo"),
        call("no base64", 400, mismatch).with("mcp-name", "=?base64?%%%?="),
        call("no padding", 400, mismatch).with("mcp-name", "=?base64?ZWNobw?="),
        call("half the form", 400, mismatch).with("mcp-name", "=?base64?ZWNobw=="),
        call("form in capitals", 400, mismatch).with("mcp-name", "=?BASE64?ZWNobw==?="),
        call("base64 of another", 400, mismatch).with("mcp-name", "=?base64?ZmFpbA==?="),
    ] {
        case.check(gateway.endpoint());
    }
    for name in ["mcp-protocol-version", "mcp-method", "mcp-name"] {
        let mut case = call("twice", 400, mismatch);
        let again = case
            .headers
            .iter()
            .find(|(other, _)| *other == name)
            .copied();
        case.headers.extend(again);
        case.check(gateway.endpoint());
    }
}

#[test]
fn names_beyond_ascii_come_in_base64() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let case = |header: &'static str, code| {
        let body = body("tools/call", r#""name":"\u00e9cho""#);
        let status = if code == -32602 { 200 } else { 400 };
        Case::post("é", body, status, code)
            .with("mcp-protocol-version", "2026-07-28")
            .with("mcp-method", "tools/call")
            .with("mcp-name", header)
    };
    // Understood, and unknown.
    case("=?base64?w6ljaG8=?=", -32602).check(gateway.endpoint());
    case("écho", -32020).check(gateway.endpoint());
}

#[test]
fn what_each_request_must_say_is_demanded() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let capabilities = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
    for (name, meta) in [
        ("none", None),
        ("empty", Some("{}".to_owned())),
        ("no version", Some(format!("{{{capabilities}}}"))),
        ("no capabilities", Some(format!("{{{version}}}"))),
        (
            "capabilities of another type",
            Some(format!(
                "{{{version},{}}}",
                capabilities.replace("{}", "[]")
            )),
        ),
        (
            "version of another type",
            Some(format!(
                "{{{},{capabilities}}}",
                version.replace("\"2026-07-28\"", "2026")
            )),
        ),
        ("no object", Some("[]".to_owned())),
        (
            "a member twice",
            Some(format!("{{{version},{version},{capabilities}}}")),
        ),
    ] {
        let meta = meta.map_or(String::new(), |meta| format!(r#""_meta":{meta}"#));
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{meta}}}}}"#);
        Case::post(name, body, 400, -32602)
            .with("mcp-protocol-version", "2026-07-28")
            .with("mcp-method", "tools/list")
            .check(gateway.endpoint());
    }
}

#[test]
fn an_unknown_version_is_answered_with_those_that_are_known() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let discover = Case::post("discover", body("server/discover", ""), 200, None)
        .with("mcp-protocol-version", "2026-07-28")
        .with("mcp-method", "server/discover")
        .check(gateway.endpoint());
    let supported = at(&discover, &["result", "supportedVersions"]);
    for version in ["2027-01-01", "2030-12-31"] {
        let body = body("tools/list", "").replace("2026-07-28", version);
        let text = Case::post(version, body, 400, -32022)
            .with("mcp-protocol-version", version)
            .with("mcp-method", "tools/list")
            .check(gateway.endpoint());
        let data = at(&text, &["error", "data"]);
        assert_eq!(at(&data, &["supported"]), supported);
        assert_eq!(at(&data, &["requested"]), quote(version));
        assert_eq!(members(&data).len(), 2);
    }
}

#[test]
fn methods_that_are_gone_or_never_were_are_not_found() {
    let gateway = Setup::of(ODDS[0]).over_http();
    for method in [
        "ping",
        "initialize",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/list",
        "tasks/result",
        "no/such",
        "",
    ] {
        let text = Case::post(
            method,
            body(method, r#""uri":"x","level":"info""#),
            404,
            -32601,
        )
        .with("mcp-protocol-version", "2026-07-28")
        .with("mcp-method", method)
        .check(gateway.endpoint());
        assert_eq!(member(&text, "id").unwrap(), "1");
    }
}

#[test]
fn sessions_are_neither_made_nor_looked_at() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let case = call("a session", 200, None).with("mcp-session-id", "no-such-session");
    case.check(gateway.endpoint());
    let reply = gateway
        .endpoint()
        .send("POST", &case.headers, case.body.as_bytes());
    assert_eq!(reply.header("mcp-session-id"), None);
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    Case::post("an answer", answer, 400, -32600)
        .with("mcp-protocol-version", "2026-07-28")
        .check(gateway.endpoint());
}

#[test]
fn going_away_in_the_middle_of_an_answer_gives_the_call_up() {
    for odd in ODDS {
        let gateway = Setup::of(odd).over_http();
        let client = gateway.client(Era::Modern);
        let params = tool("never", r#"{"steps":1}"#);
        let mut call = client.begin_with_progress("tools/call", &params);
        assert_eq!(
            at(&call.next().0, &["method"]),
            "\"notifications/progress\""
        );
        call.hang_up();
        gateway.wait_for_upstream("given up: never", 1);
        let line = gateway.process.stderr.with(r#""name":"never""#);
        assert_eq!(at(&line, &["outcome"]), "\"cancelled\"", "{line}");
        assert_eq!(client.tool("echo", "{}").text(), "{}", "{odd:?}");
    }
}
