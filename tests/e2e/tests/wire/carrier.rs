//! What is judged before anybody looks for MCP in it.

use super::Case;
use crate::support::json::member;
use crate::support::setup::{ODDS, Setup};

#[test]
fn what_is_no_message_is_told_so_without_an_id() {
    let gateway = Setup::of(ODDS[0]).over_http();
    for (name, body, code) in [
        ("empty", "", -32700),
        ("no JSON", "hello", -32700),
        ("half", r#"{"jsonrpc":"2.0","id":1"#, -32700),
        (
            "two",
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#,
            -32700,
        ),
        (
            "array",
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            -32600,
        ),
        ("empty array", "[]", -32600),
        ("number", "7", -32600),
        ("null", "null", -32600),
        ("nothing in it", "{}", -32600),
    ] {
        let text = Case::post(name, body, 400, code).check(gateway.endpoint());
        assert_eq!(member(&text, "id"), None, "{name}: {text}");
    }
    // Nor is what can be no id, or is longer than one may be, sent back.
    let long = format!("\"{}\"", "x".repeat(100_000));
    for id in [
        &*long,
        &"9".repeat(2_000),
        "1.5",
        "1e2",
        "null",
        "true",
        "[]",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let text = Case::post("no id", body, 400, -32600).check(gateway.endpoint());
        assert_eq!(member(&text, "id"), None, "{text}");
    }
    for twice in [
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"x"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":1,"a":1}}"#,
    ] {
        Case::post(twice, twice, 400, -32600).check(gateway.endpoint());
    }
    // With an id that could be read, the answer has it.
    let body = r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#;
    let text = Case::post("old", body, 400, -32600).check(gateway.endpoint());
    assert_eq!(member(&text, "id").unwrap(), "\"a\"");
}

#[test]
fn media_types_are_checked() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let case = |name, status| Case::post(name, ping, status, None);
    let both = "application/json, text/event-stream";
    for case in [
        case("text", 415).with("content-type", "text/plain"),
        case("a form", 415).with("content-type", "application/x-www-form-urlencoded"),
        case("no type", 415).without("content-type"),
        case("packed", 415).with("content-encoding", "gzip"),
        case("packed twice", 415).with("content-encoding", "identity, br"),
        case("only JSON", 406).with("accept", "application/json"),
        case("only events", 406).with("accept", "text/event-stream"),
        case("pages", 406).with("accept", "text/html"),
        case("no demand", 406).without("accept"),
        case("no JSON", 406).with("accept", "application/json;q=0, text/event-stream"),
        case("nothing", 406).with("accept", "*/*;q=0"),
        // These are good, and fail for the session that they do not have.
        Case::post("charset", ping, 400, -32600)
            .with("content-type", "application/json; charset=utf-8"),
        Case::post("not packed", ping, 400, -32600).with("content-encoding", "identity"),
        Case::post("case", ping, 400, -32600).with("content-type", "Application/JSON"),
        Case::post("anything", ping, 400, -32600).with("accept", "*/*"),
        Case::post("weighed", ping, 400, -32600).with("accept", both),
        Case::post("a little", ping, 400, -32600)
            .with("accept", "text/event-stream;q=0.1, application/json"),
    ] {
        let text = case.check(gateway.endpoint());
        if matches!(case.status, 406 | 415) {
            assert!(text.contains("send `"), "{}: {text}", case.name);
        }
    }
}

#[test]
fn other_methods_and_paths_are_not_served() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let endpoint = gateway.endpoint();
    for method in ["HEAD", "PUT", "PATCH", "TRACE", "BREW"] {
        let reply = endpoint.send(method, &[("accept", "text/event-stream")], b"");
        assert_eq!(reply.status, 405, "{method}");
        assert_eq!(reply.header("allow"), Some("GET, POST, DELETE"), "{method}");
    }
    for method in ["GET", "DELETE"] {
        let headers = [
            ("accept", "text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
        ];
        let reply = endpoint.send(method, &headers, b"");
        assert_eq!(reply.status, 405, "{method}");
        assert_eq!(reply.header("allow"), Some("POST"), "{method}");
    }
    let mut elsewhere = endpoint.clone();
    let outside = "the MCP endpoint is `/mcp`";
    let inside = "has one name behind it";
    let unnamed = "there is no endpoint of this name";
    for (path, says) in [
        ("/", outside),
        ("/other", outside),
        ("/mcp2", outside),
        ("/mcp/odd/other", inside),
        ("/mcp/other", unnamed),
        ("/mcp/other/", unnamed),
    ] {
        path.clone_into(&mut elsewhere.path);
        let text = Case::post(path, "{}", 404, None).check(&elsewhere);
        assert!(text.contains(says), "{path}: {text}");
        // No word about which there are.
        assert!(!text.contains("odd"), "{path}: {text}");
    }
    for path in ["/mcp", "/mcp/", "/mcp/odd", "/mcp/odd/"] {
        path.clone_into(&mut elsewhere.path);
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        Case::post(path, ping, 400, -32600).check(&elsewhere);
        Case::post(path, ping, 403, None)
            .with("host", "evil.example")
            .check(&elsewhere);
    }
}

#[test]
fn long_bodies_are_refused_however_they_come() {
    let http = "http: { listen: \"127.0.0.1:0\", max_body_size: 1KiB }";
    let gateway = Setup::of(ODDS[0]).with(http).over_http();
    let endpoint = gateway.endpoint();
    let body = |length: usize| {
        let frame = r#"{"jsonrpc":"2.0","id":1,"method":"ping","x":""}"#.len();
        let filling = "x".repeat(length - frame);
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","x":"{filling}"}}"#)
    };
    Case::post("just right", body(1024), 400, -32600).check(endpoint);
    let text = Case::post("one more", body(1025), 413, None).check(endpoint);
    assert!(text.contains("1024 bytes"), "{text}");

    let chunked = |body: &str| {
        let (a, b) = body.split_at(500);
        format!("{:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n", a.len(), b.len())
    };
    for (length, status) in [(1024, 400), (1025, 413)] {
        let case = Case::post("chunked", chunked(&body(length)), status, None)
            .with("transfer-encoding", "chunked");
        let reply = endpoint.send("POST", &case.headers, case.body.as_bytes());
        assert_eq!(reply.status, status, "{length}");
    }
}

#[test]
fn names_and_origins_of_elsewhere_are_forbidden() {
    let http = "http: { listen: \"127.0.0.1:0\", allowed_hosts: [mcp.example.com], allowed_origins: [\"https://app.example.com\"] }";
    let gateway = Setup::of(ODDS[0]).with(http).over_http();
    let endpoint = gateway.endpoint();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for (name, value, is_good) in [
        ("host", "localhost", true),
        ("host", "localhost:1234", true),
        ("host", "mcp.example.com", true),
        ("host", "evil.example", false),
        ("host", "127.0.0.1.evil.example", false),
        ("host", "localhost@evil.example", false),
        ("origin", "http://localhost:3000", true),
        ("origin", "https://app.example.com", true),
        ("origin", "http://app.example.com", false),
        ("origin", "https://evil.example", false),
        ("origin", "null", false),
    ] {
        let (status, code) = if is_good {
            (400, Some(-32600))
        } else {
            (403, None)
        };
        let text = Case::post(value, ping, status, code)
            .with(name, value)
            .check(endpoint);
        if !is_good {
            assert!(text.contains("allowed_"), "{value}: {text}");
        }
    }
    let mut twice = Case::post("twice", ping, 403, None).with("host", "localhost");
    twice.headers.push(("host", "localhost"));
    let reply = endpoint.send("POST", &twice.headers, ping.as_bytes());
    assert!(matches!(reply.status, 400 | 403), "{}", reply.status);
}
