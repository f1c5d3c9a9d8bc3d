//! What answers tell of limits, and what is limited before it is a call.

use std::sync::Arc;

use super::legacy::{initialize, initialize_as};
use crate::support::client::{Client, ERAS, Era, Wire};
use crate::support::http::{Endpoint, JSON, Reply};
use crate::support::json::{at, items};
use crate::support::setup::{ODDS, Setup};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
const AUTH: &str = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef }] }";
const KEY: (&str, &str) = ("authorization", "Bearer ann-0123456789abcdef");

/// The headers that an answer tells of limits with.
const TOLD: [&str; 5] = [
    "ratelimit",
    "ratelimit-policy",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

/// Sends one request as a client of the era does.
fn ask(endpoint: &Endpoint, session: Option<&str>, method: &str, params: &str) -> Reply {
    let mut headers = JSON.to_vec();
    let own = endpoint.headers.iter();
    headers.extend(own.map(|(n, v)| (n.as_str(), v.as_str())));
    let params = if let Some(session) = session {
        headers.push(("mcp-session-id", session));
        format!("{{{params}}}")
    } else {
        headers.push(("mcp-protocol-version", "2026-07-28"));
        headers.push(("mcp-method", method));
        if method == "tools/call" {
            headers.push(("mcp-name", "echo"));
        }
        let comma = if params.is_empty() { "" } else { "," };
        format!("{{{params}{comma}{META}}}")
    };
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    endpoint.send("POST", &headers, body.as_bytes())
}

fn call(endpoint: &Endpoint, session: Option<&str>) -> Reply {
    ask(endpoint, session, "tools/call", r#""name":"echo""#)
}

fn number(reply: &Reply, name: &str) -> u64 {
    let value = reply.header(name);
    let value = value.unwrap_or_else(|| panic!("no {name} in {:?}", reply.headers));
    value.parse().unwrap()
}

fn sessions(endpoint: &Endpoint) -> [Option<String>; 2] {
    [None, Some(initialize(endpoint))]
}

#[test]
fn each_answer_says_how_the_caller_stands() {
    let limits = "limits: { calls_per_minute: 2 }";
    for modern in [false, true] {
        let gateway = Setup::of(ODDS[0]).with(limits).over_http();
        let endpoint = gateway.endpoint();
        let session = (!modern).then(|| initialize(endpoint));
        for left in [1, 0] {
            let reply = call(endpoint, session.as_deref());
            assert_eq!(reply.status, 200);
            assert_eq!(number(&reply, "x-ratelimit-limit"), 2);
            assert_eq!(number(&reply, "x-ratelimit-remaining"), left);
            let policy = reply.header("ratelimit-policy").unwrap();
            assert_eq!(policy, r#""calls_per_minute";q=2;w=60"#);
            let told = format!("\"calls_per_minute\";r={left};t=");
            assert!(reply.header("ratelimit").unwrap().starts_with(&told));
            assert_eq!(reply.header("retry-after"), None, "it is not refused");
        }
        let mut reply = call(endpoint, session.as_deref());
        assert_eq!(reply.status, 429);
        let wait = number(&reply, "retry-after");
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(number(&reply, "x-ratelimit-remaining"), 0);
        assert_eq!(number(&reply, "x-ratelimit-reset"), wait);
        let text = reply.text();
        assert_eq!(at(&text, &["error", "code"]), "-31001");
        assert_eq!(
            at(&text, &["error", "data", "limit"]),
            "\"calls_per_minute\""
        );
        assert_eq!(at(&text, &["error", "data", "quota"]), "2");
        let millis: u64 = at(&text, &["error", "data", "retryAfterMs"])
            .parse()
            .unwrap();
        assert_eq!(wait, millis.div_ceil(1000));
    }
}

#[test]
fn a_stream_says_it_with_its_first_byte() {
    let limits = "limits: { calls_per_minute: 9 }";
    let gateway = Setup::of(ODDS[0]).with(limits).over_http();
    let endpoint = gateway.endpoint();
    for (left, session) in [8, 7].into_iter().zip(sessions(endpoint)) {
        let mut headers = JSON.to_vec();
        let meta = if let Some(session) = &session {
            headers.push(("mcp-session-id", session));
            r#""_meta":{"progressToken":7}"#.to_owned()
        } else {
            headers.extend([
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-method", "tools/call"),
                ("mcp-name", "slow"),
            ]);
            META.replace("\"_meta\":{", "\"_meta\":{\"progressToken\":7,")
        };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"slow","arguments":{{"steps":1,"key":"k{left}"}},{meta}}}}}"#
        );
        // Its head is there while the call is under way.
        let reply = endpoint.send("POST", &headers, body.as_bytes());
        let kind = reply.header("content-type").unwrap();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        assert_eq!(number(&reply, "x-ratelimit-remaining"), left);
        for name in TOLD {
            assert!(reply.header(name).is_some(), "no {name}");
        }
    }
}

#[test]
fn what_has_no_limit_tells_of_none() {
    let gateway = Setup::of(ODDS[0]).over_http();
    for session in sessions(gateway.endpoint()) {
        let reply = call(gateway.endpoint(), session.as_deref());
        assert_eq!(reply.status, 200);
        for name in TOLD {
            assert_eq!(reply.header(name), None);
        }
    }
}

#[test]
fn a_batch_tells_of_its_tightest() {
    let limits = "limits: { calls_per_minute: 3 }";
    let gateway = Setup::of(ODDS[0]).with(limits).over_http();
    let session = initialize_as(gateway.endpoint(), "2025-03-26");
    let calls: Vec<_> = (1..=4)
        .map(|id| {
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo"}}}}"#
            )
        })
        .collect();
    let mut headers = JSON.to_vec();
    headers.push(("mcp-session-id", &session));
    let send = |calls: &[String]| {
        let body = format!("[{}]", calls.join(","));
        gateway.endpoint().send("POST", &headers, body.as_bytes())
    };
    let reply = send(&calls[..2]);
    assert_eq!(number(&reply, "x-ratelimit-remaining"), 1);
    let mut reply = send(&calls[2..]);
    assert_eq!(reply.status, 200, "its status says nothing of its parts");
    assert_eq!(number(&reply, "x-ratelimit-remaining"), 0);
    assert_eq!(reply.header("retry-after"), None);
    let answers = items(&reply.text());
    let refused = answers.iter().filter(|one| one.contains("-31001"));
    assert_eq!((answers.len(), refused.count()), (2, 1));
}

#[test]
fn pages_may_read_what_answers_tell() {
    let http = "http: { listen: \"127.0.0.1:0\", allowed_origins: [\"https://app.example\"] }";
    let limits = "limits: { calls_per_minute: 2 }";
    let gateway = Setup::of(ODDS[0]).with(http).with(limits).over_http();
    let page = gateway
        .endpoint()
        .clone()
        .with_header("origin", "https://app.example");
    let reply = call(&page, None);
    assert_eq!(reply.status, 200);
    let exposed = reply.header("access-control-expose-headers").unwrap();
    let exposed: Vec<_> = exposed.split(',').map(str::trim).collect();
    for name in TOLD.iter().chain(&["retry-after", "mcp-session-id"]) {
        assert!(exposed.contains(name), "no {name} in {exposed:?}");
    }
}

#[test]
fn guessing_keys_is_bounded_before_a_key_is_looked_at() {
    let http = "http: { listen: \"127.0.0.1:0\", trusted_proxies: [127.0.0.0/8] }";
    let limits = "limits: { rules: [{ name: door, per: address, quota: 3, window: 1h }] }";
    let gateway = Setup::of(ODDS[0])
        .with(http)
        .with(AUTH)
        .with(limits)
        .over_http();
    let from = |address: &str, key: (&str, &str)| {
        let endpoint = gateway.endpoint().clone();
        endpoint
            .with_header("x-forwarded-for", address)
            .with_header(key.0, key.1)
    };
    for guess in ["a", "b", "c"] {
        let key = format!("Bearer {guess}-no-such-key-0123");
        let reply = call(&from("192.0.2.1", ("authorization", &key)), None);
        assert_eq!(reply.status, 401);
    }
    // Also who guessed right does not learn it now.
    let mut reply = call(&from("192.0.2.1", KEY), None);
    assert_eq!(reply.status, 429);
    assert!(number(&reply, "retry-after") > 3_000);
    assert_eq!(
        reply.header("ratelimit-policy"),
        Some(r#""door";q=3;w=3600"#)
    );
    let says = reply.text();
    assert_eq!(at(&says, &["violated-policies"]), r#"["door"]"#);
    assert!(
        at(&says, &["detail"]).contains("Rate limit `door`"),
        "{says}"
    );
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    // Nor by another method, or without a key.
    for method in ["GET", "DELETE"] {
        let headers = [
            ("accept", "text/event-stream"),
            ("x-forwarded-for", "192.0.2.1"),
        ];
        let reply = gateway.endpoint().send(method, &headers, b"");
        assert_eq!(reply.status, 429, "{method}");
    }
    // All of an IPv6 network is one client; another address is another one.
    let reply = call(&from("192.0.2.2", KEY), None);
    assert_eq!(reply.status, 200);
    assert_eq!(number(&reply, "x-ratelimit-remaining"), 2);
    for (address, status) in [
        ("2001:db8::1", 200),
        ("2001:db8::2", 200),
        ("2001:db8::3", 200),
        ("2001:db8::4", 429),
        ("2001:db8:0:1::1", 200),
    ] {
        assert_eq!(call(&from(address, KEY), None).status, status, "{address}");
    }
    let audited = gateway.process.stderr.so_far();
    let refused = audited.iter().filter(|line| line.contains("\"limited\""));
    assert_eq!(
        refused.count(),
        0,
        "a flood of requests is no flood of lines"
    );
}

#[test]
fn what_is_no_call_has_a_bound_and_leaves_no_line() {
    let limits = "limits: { calls_per_minute: 100, other: { quota: 4, window: 1h } }";
    let gateway = Setup::of(ODDS[0]).with(limits).over_http();
    let endpoint = gateway.endpoint();
    // The handshake is the first of four.
    let session = initialize(endpoint);
    for left in [2, 1] {
        let reply = ask(endpoint, Some(&session), "ping", "");
        assert_eq!(reply.status, 200);
        assert_eq!(number(&reply, "x-ratelimit-remaining"), left);
    }
    let reply = ask(endpoint, None, "server/discover", "");
    assert_eq!(
        (reply.status, number(&reply, "x-ratelimit-remaining")),
        (200, 0)
    );
    for (session, method, params) in [
        (Some(&*session), "ping", ""),
        (Some(&*session), "logging/setLevel", r#""level":"info""#),
        (
            Some(&*session),
            "resources/unsubscribe",
            r#""uri":"odd://1""#,
        ),
        (None, "server/discover", ""),
        (None, "subscriptions/listen", r#""notifications":{}"#),
        (None, "tools/list", ""),
    ] {
        let mut reply = ask(endpoint, session, method, params);
        assert_eq!(reply.status, 429, "{method}");
        let limit = at(&reply.text(), &["error", "data", "limit"]);
        assert_eq!(limit, "\"other\"", "{method}");
    }
    // Calls have limits of their own.
    assert_eq!(call(endpoint, Some(&session)).status, 200);
    // Of all this only the list and the call are in the audit log.
    let lines = gateway.audit(2);
    assert!(lines[0].contains("tools/list") && lines[1].contains("tools/call"));
}

#[test]
fn a_refused_handshake_opens_no_session() {
    let limits = "limits: { calls_per_minute: 9, other: { quota: 1, window: 1h } }";
    let http = "http: { listen: \"127.0.0.1:0\", sessions: { max_total: 2, max_per_caller: 2 } }";
    let gateway = Setup::of(ODDS[0]).with(http).with(limits).over_http();
    initialize(gateway.endpoint());
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    for _ in 0..4 {
        let reply = gateway.endpoint().send("POST", &JSON, body.as_bytes());
        // Not that there are too many sessions: those of who was refused are gone.
        assert_eq!(reply.status, 429);
        assert_eq!(reply.header("mcp-session-id"), None);
    }
}

#[test]
fn a_place_among_calls_under_way_comes_back_when_a_call_is_given_up() {
    let limits = "limits: { concurrent: [{ name: one, max: 1 }] }";
    for era in ERAS {
        let gateway = Setup::of(ODDS[0]).with(limits).over_http();
        let wire: Arc<dyn Wire> = Arc::new(gateway.endpoint().clone());
        let client = Client::open(&wire, era);
        let mut held = client.begin_tool("never", "{}");
        gateway.wait_for_upstream("called: never", 1);
        let session = client.session.as_deref();
        let reply = call(gateway.endpoint(), session);
        assert_eq!(reply.status, 429, "{era:?}");
        let policy = reply.header("ratelimit-policy").unwrap();
        assert_eq!(policy, r#""one";q=1;qu="concurrent-requests""#);
        assert_eq!(number(&reply, "retry-after"), 1);
        client.cancel(&mut held);
        gateway.process.stderr.with("\"outcome\":\"cancelled\"");
        assert_eq!(client.tool("echo", "{}").text(), "{}", "{era:?}");
    }
}

#[test]
fn over_stdio_the_same_is_said_without_headers() {
    let limits = "limits: { calls_per_minute: 1 }";
    for era in [Era::Legacy, Era::Modern] {
        let gateway = Setup::of(ODDS[0]).with(limits).over_stdio();
        let client = gateway.client(era);
        client.tool("echo", "{}").result();
        let error = client.tool("echo", "{}").error();
        assert_eq!(at(&error, &["code"]), "-31001");
        assert_eq!(at(&error, &["data", "limit"]), "\"calls_per_minute\"");
        let millis: u64 = at(&error, &["data", "retryAfterMs"]).parse().unwrap();
        assert!((1..=60_000).contains(&millis), "{era:?}");
        assert!(at(&error, &["message"]).contains("Try again in"));
    }
}

#[test]
fn what_cannot_be_begun_counts_for_other_and_says_so() {
    let limits = "limits: { calls_per_minute: 9, other: { quota: 40, window: 1h } }";
    let http = "http: { listen: \"127.0.0.1:0\", max_body_size: 1KiB }";
    let gateway = Setup::of(ODDS[0]).with(http).with(limits).over_http();
    let endpoint = gateway.endpoint();
    let session = initialize(endpoint);
    let forged = r#""name":"echo","requestState":"forged","inputResponses":{}"#;
    let mut left = number(&ask(endpoint, None, "ping", ""), "x-ratelimit-remaining");
    let mut counts = |mut reply: Reply, what: &str| {
        assert!(reply.text().contains("\"error\""), "{what}");
        left -= 1;
        assert_eq!(number(&reply, "x-ratelimit-remaining"), left, "{what}");
    };
    for (method, params) in [
        ("tools/call", forged),
        ("tools/call", r#""arguments":{}"#),
        ("tools/call", r#""name":"echo","arguments":[]"#),
        ("tools/call", r#""name":"other""#),
        ("tools/list", r#""cursor":"forged""#),
        ("no/such", ""),
    ] {
        counts(ask(endpoint, None, method, params), params);
    }
    for (method, params) in [("no/such", ""), ("tools/call", r#""arguments":{}"#)] {
        counts(ask(endpoint, Some(&session), method, params), method);
    }
    for body in ["{", "[]", "[1]"] {
        counts(endpoint.send("POST", &JSON, body.as_bytes()), body);
    }
    let large = vec![b' '; 2_000];
    let reply = endpoint.send("POST", &JSON, &large);
    assert_eq!(reply.status, 413);
    left -= 1;
    assert_eq!(number(&reply, "x-ratelimit-remaining"), left);
    while left > 0 {
        left -= 1;
        drop(ask(endpoint, None, "ping", ""));
    }
    for session in [None, Some(session.as_str())] {
        let reply = ask(endpoint, session, "no/such", "");
        assert_eq!(reply.status, 429);
        assert!(number(&reply, "retry-after") > 0);
    }
    for body in [b"{".as_slice(), &large] {
        assert_eq!(endpoint.send("POST", &JSON, body).status, 429);
    }
    assert_eq!(
        call(endpoint, None).status,
        200,
        "calls have limits of their own"
    );
}

#[test]
fn every_request_counts_for_its_address_and_every_answer_says_so() {
    let http = "http: { listen: \"127.0.0.1:0\", max_body_size: 1KiB }";
    let limits = "limits: { rules: [{ name: door, per: address, quota: 10, window: 1h }] }";
    let gateway = Setup::of(ODDS[0])
        .with(http)
        .with(AUTH)
        .with(limits)
        .over_http();
    let endpoint = gateway.endpoint();
    let nowhere = Endpoint {
        path: format!("{}/a/b", endpoint.path),
        ..endpoint.clone()
    };
    let unknown = Endpoint {
        path: format!("{}/nobody", endpoint.path),
        ..endpoint.clone()
    };
    let keyed = [JSON.as_slice(), &[KEY]].concat();
    let large = vec![b' '; 2_000];
    let answers = [
        (401, endpoint.send("POST", &JSON, b"{}")),
        (405, endpoint.send("PUT", &keyed, b"")),
        (
            406,
            endpoint.send("POST", &[KEY, ("accept", "text/css")], b"{}"),
        ),
        (
            415,
            endpoint.send("POST", &[KEY, JSON[1], ("content-type", "text/css")], b"{}"),
        ),
        (413, endpoint.send("POST", &keyed, &large)),
        (404, unknown.send("POST", &keyed, b"{}")),
        (404, nowhere.send("POST", &keyed, b"{}")),
        (
            403,
            endpoint.send("POST", &[KEY, ("origin", "https://evil.example")], b"{}"),
        ),
    ];
    for ((status, reply), left) in answers.iter().zip((2..10).rev()) {
        assert_eq!(reply.status, *status);
        assert_eq!(number(reply, "x-ratelimit-remaining"), left, "{status}");
    }
    // What pages ask beforehand counts and says nothing: it is for the browser.
    let asked = [
        ("origin", "http://localhost"),
        ("access-control-request-method", "POST"),
    ];
    assert_eq!(endpoint.send("OPTIONS", &asked, b"").status, 200);
    assert_eq!(endpoint.send("POST", &JSON, b"{}").status, 401);
    for method in ["OPTIONS", "PUT", "POST"] {
        assert_eq!(endpoint.send(method, &keyed, b"").status, 429, "{method}");
    }
    assert_eq!(nowhere.send("GET", &[], b"").status, 429);
}
