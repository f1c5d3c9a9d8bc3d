//! A.8: ways around an access list, each of which is none. Tools that change under a permitted name
//! (A.8-15) are held by pins, see `operator/pins.rs`.

use std::fmt::Write as _;

use super::*;
use crate::support::HTTP_BIN;
use crate::support::setup::ODDS;

const ECHO: &str = "policy: { rules: [{ id: echo, effect: allow, tools: [{ literal: echo }] }] }";

#[test]
fn a8_1_the_body_decides_and_headers_must_say_the_same() {
    let gateway = Setup::of(ODDS[0]).with(ECHO).over_http();
    for (header, name, status, code) in [
        ("echo", "echo", 200, None),
        ("=?base64?ZWNobw==?=", "echo", 200, None),
        ("echo", "fail", 400, Some("-32020")),
        ("fail", "echo", 400, Some("-32020")),
        ("=?base64?ZWNobw==?=", "fail", 400, Some("-32020")),
        ("=?base64?ZmFpbA==?=", "fail", 200, Some("-32602")),
        ("fail", "fail", 200, Some("-32602")),
    ] {
        let mut reply = post(
            gateway.endpoint(),
            header,
            &call(&format!("\"{name}\""), "{}"),
        );
        let text = reply.text();
        assert_eq!(reply.status, status, "{header} {name}: {text}");
        match code {
            None => assert!(text.contains("\"result\""), "{header} {name}: {text}"),
            Some(code) => assert_eq!(at(&text, &["error", "code"]), code, "{header} {name}"),
        }
    }
    assert_eq!(
        gateway.client(Era::Modern).tool("count", "{}").fault().0,
        -32602
    );
}

#[test]
fn a8_2_a_member_that_is_there_twice_is_refused() {
    let gateway = Setup::of(ODDS[0]).with(ECHO).over_http();
    for body in [
        call("\"echo\",\"name\":\"fail\"", "{}"),
        call("\"fail\",\"name\":\"echo\"", "{}"),
        call("\"echo\",\"n\\u0061me\":\"fail\"", "{}"),
    ] {
        let mut reply = post(gateway.endpoint(), "echo", &body);
        assert_eq!(reply.status, 400);
        assert_eq!(at(&reply.text(), &["error", "code"]), "-32600");
    }
}

#[test]
fn a8_3_each_message_of_a_batch_is_decided_by_itself() {
    let gateway = Setup::of(ODDS[0]).with(ECHO).over_http();
    let begin = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let opened = gateway.endpoint().send("POST", &JSON, begin.as_bytes());
    let session = opened.header("mcp-session-id").unwrap();
    let one = |id: u8, name: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","arguments":{{}}}}}}"#
        )
    };
    let body = format!("[{},{},{}]", one(1, "fail"), one(2, "echo"), one(3, "none"));
    let headers = [JSON[0], JSON[1], ("mcp-session-id", session)];
    let text = gateway
        .endpoint()
        .send("POST", &headers, body.as_bytes())
        .text();
    let mut answers = items(&text);
    answers.sort_by_key(|answer| at(answer, &["id"]));
    assert_eq!(at(&answers[0], &["error", "code"]), "-32602", "{text}");
    assert!(answers[1].contains("\"result\""), "{text}");
    assert_eq!(at(&answers[2], &["error", "code"]), "-32602", "{text}");
}

#[test]
fn a8_4_a_name_is_itself_and_nothing_like_it() {
    let gateway = Setup::of(ODDS[0])
        .with("policy: { default: allow, rules: [{ id: no, effect: deny, tools: [fail] }] }")
        .over_http();
    for era in ERAS {
        assert!(!tools(&gateway.client(era)).contains(&"fail".to_owned()));
    }
    let client = gateway.client(Era::Legacy);
    let names = [
        "fail",
        "Fail",
        "FAIL",
        "fail ",
        " fail",
        "fail\u{200b}",
        "f\u{430}il",
        "fail\u{0}",
        "\u{ff46}ail",
    ];
    for name in names {
        let params = format!(r#"{{"name":"{}","arguments":{{}}}}"#, escaped(name));
        let text = client.text("1", "tools/call", &params, false);
        let (code, says) = client.raw(&text, "tools/call", "{}").fault();
        assert_eq!(code, -32602, "{name:?}: {says}");
        assert!(says.starts_with("Unknown tool: "), "{name:?}: {says}");
    }
}

/// The name as JSON writes it with nothing but ASCII.
fn escaped(name: &str) -> String {
    let mut units = [0; 2];
    let mut text = String::new();
    for c in name.chars() {
        for unit in c.encode_utf16(&mut units) {
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

#[test]
fn a8_5_no_name_of_a_server_reaches_into_another() {
    let policy =
        "policy: { rules: [{ id: docs, effect: allow, tools: [\"docs*\"], servers: [docs] }] }";
    let two = |other: &str| {
        Setup::new()
            .odd("docs", Odd::stdio(Era::Modern), &[], "")
            .odd(other, Odd::stdio(Era::Modern), &[], "")
            .with(policy)
    };
    // A name that could be taken for one of the other server is no name for a server.
    let (code, says) = two("docs__x").check(HTTP_BIN, &[]);
    assert_eq!(code, Some(1), "{says}");
    let gateway = two("docs-x").over_http();
    for era in ERAS {
        let client = gateway.client(era);
        let names = tools(&client);
        assert!(!names.is_empty());
        assert!(names.iter().all(|name| name.starts_with("docs__")));
        assert_eq!(client.tool("docs__echo", "{}").text(), "{}");
        for name in ["docs-x__echo", "docs____echo", "echo", "docs__docs-x__echo"] {
            assert_eq!(client.tool(name, "{}").fault().0, -32602, "{name}");
        }
    }
}

#[test]
fn a8_6_a_uri_that_can_be_read_in_two_ways_is_not_there() {
    let policy = "policy: { rules: [{ id: items, effect: allow, resources: [\"test://items/*\"], resource_templates: [any] }] }";
    let gateway = full("2025-11-25").with(policy).over_http();
    let client = gateway.client(Era::Legacy);
    let read = |uri: &str| client.ask("resources/read", &format!(r#"{{"uri":"{uri}"}}"#));
    read("test://items/7").result();
    for uri in [
        "test://items/..",
        "test://items/%2e%2e",
        "test://items/.%2E",
        "test://items/a%2fb",
        "test://items/a%5cb",
        "test://items/a%252fb",
        "test://items/a\\\\b",
        "test://items/a%00",
        "test://items/a#b",
        "test://items/../static",
        "test://static",
    ] {
        assert_eq!(read(uri).fault().0, -32002, "{uri}");
    }
}

/// A server that reads every URI, as its libraries read it.
#[test]
fn a8_6_no_other_spelling_of_a_uri_gets_past_a_deny() {
    let policy = "policy: { default: allow, rules: [{ id: no, effect: deny, resources: \
                  [\"one+file:///secret/*\", \"one+file:///etc/shadow\", \"one+https://intra.example.com/*\", \"one+https://127.0.0.1/*\"] }] }";
    let odd = Odd::stdio(Era::Legacy);
    let gateway = Setup::new()
        .odd("one", odd, &["--items", "one"], "")
        .odd("two", odd, &["--items", "two"], "")
        .with(policy)
        .over_http();
    let client = gateway.client(Era::Legacy);
    let asked = |method: &str, uri: &str| client.ask(method, &format!(r#"{{"uri":"one+{uri}"}}"#));
    for uri in [
        "file:///etc/passwd",
        "file:///etc/",
        "https://example.com/a?b=c",
        "https://127.0.0.2/x",
        "https://[2001:db8::1]/x",
        "notes:a",
    ] {
        asked("resources/read", uri).result();
    }
    for uri in [
        "file:///etc/shadow",
        "file:///etc/shadow/",
        "file:///etc/shadow?",
        "file:///etc/shadow?x",
        "file:///etc/%73hadow",
        "file:///etc/%2573hadow",
        "file:secret/key",
        "file:/secret/key",
        "https://intra.example.com/a",
        "https://intra.example.com",
        "https://intra.example.com?x",
        "https:///intra.example.com/a",
        "https:/intra.example.com/a",
        "https:intra.example.com/a",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0x7f000001/x",
        "https://[::ffff:127.0.0.1]/a",
    ] {
        for method in ["resources/read", "resources/subscribe"] {
            assert_eq!(asked(method, uri).fault().0, -32002, "{method} {uri}");
        }
    }
}

#[test]
fn a8_8_what_is_refused_is_refused_on_every_page() {
    let policy = "policy: { default: allow, rules: [{ id: few, effect: deny, tools: [{ regex: \"tool_0[0-8].*\" }] }] }";
    let setup = || {
        Setup::new()
            .odd("odd", ODDS[1], &["--many", "9500"], "")
            .with(policy)
    };
    let [http, streams] = both(setup);
    for (gateway, era) in [&http, &streams]
        .into_iter()
        .flat_map(|gateway| ERAS.map(|era| (gateway, era)))
    {
        let client = gateway.client(era);
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let params = cursor.as_ref().map_or_else(
                || "{}".to_owned(),
                |cursor| format!(r#"{{"cursor":{cursor}}}"#),
            );
            let page = client.ask("tools/list", &params).result();
            let names = items(&at(&page, &["tools"]));
            seen.extend(names.iter().map(|tool| string(&at(tool, &["name"]))));
            cursor = crate::support::json::member(&page, "nextCursor");
            if cursor.is_none() {
                break;
            }
        }
        let many: Vec<_> = seen
            .iter()
            .filter(|name| name.starts_with("tool_"))
            .collect();
        assert_eq!(many.len(), 500);
        assert!(many.iter().all(|name| name.starts_with("tool_09")));
        assert_eq!(client.tool("tool_00001", "{}").fault().0, -32602);
        client.tool("tool_09001", "{}").result();
        // A cursor leads on from what is there and is seen, and from nothing else.
        let (seen, hidden, nobody) = ("dG9vbF8wOTAwMQ", "dG9vbF8wMDAwMQ", "dG9vbF85OTk5OQ");
        let from = |name: &str| {
            let params = format!(r#"{{"cursor":"{name}"}}"#);
            client.ask("tools/list", &params)
        };
        from(seen).result();
        assert_eq!(from(hidden).error(), from(nobody).error());
    }
}

#[test]
fn a8_11_a_session_is_nobody_elses() {
    let gateway = Setup::of(ODDS[0]).with(KEYS).over_http();
    let ann = client_of(&gateway, "ann", Era::Legacy);
    let session = ann.session.clone().unwrap();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
    let key = ("authorization", "Bearer bob-0123456789abcdef");
    let headers = [JSON[0], JSON[1], key, ("mcp-session-id", session.as_str())];
    assert_eq!(
        gateway
            .endpoint()
            .send("POST", &headers, body.as_bytes())
            .status,
        404
    );
    assert!(!tools(&ann).is_empty());
}

#[test]
fn a8_13_arguments_that_are_too_much_to_look_at_are_refused() {
    let policy = r#"policy:
  default: allow
  rules:
    - { id: no-nines, effect: deny, tools: [echo], when: "mcp.tool.arguments.list.exists(a, mcp.tool.arguments.list.exists(b, a + b == 9999))" }
"#;
    let gateway = Setup::of(ODDS[0]).with(policy).over_http();
    let client = gateway.client(Era::Modern);
    let list = |n: usize| format!(r#"{{"list":[{}]}}"#, vec!["1"; n].join(","));
    client.tool("echo", &list(10)).result();
    for arguments in [
        list(999),
        list(5000),
        format!(r#"{{"list":[],"pad":"{}"}}"#, "x".repeat(70_000)),
        format!(
            r#"{{"list":[],"deep":{}{}}}"#,
            "[".repeat(40),
            "]".repeat(40)
        ),
    ] {
        assert_eq!(
            client.tool("echo", &arguments).fault().0,
            -32602,
            "{}",
            arguments.len()
        );
    }
    let event = audited(&gateway, "\"errored_rules\"");
    assert!(event.contains("no-nines"), "{event}");
}

#[test]
fn a8_14_a_regular_expression_is_about_the_whole_name() {
    for (regex, is_there) in [
        ("cho", false),
        ("ech", false),
        ("echo|x", true),
        ("e.*", true),
        ("ECHO", false),
    ] {
        let policy = format!(
            "policy: {{ rules: [{{ id: one, effect: allow, tools: [{{ regex: \"{regex}\" }}] }}] }}"
        );
        let gateway = Setup::of(ODDS[0]).with(&policy).over_http();
        let found = tools(&gateway.client(Era::Modern)).contains(&"echo".to_owned());
        assert_eq!(found, is_there, "{regex}");
    }
}
