//! Streams of sessions: what a GET opens, and what goes on after a break.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::legacy::{initialize, initialize_as};
use crate::support::http::{Endpoint, JSON, Reply};
use crate::support::json::{at, member};
use crate::support::setup::{ODDS, Setup};

const ACCEPT: (&str, &str) = ("accept", "text/event-stream");

fn get(endpoint: &Endpoint, session: &str, more: &[(&str, &str)]) -> Reply {
    let headers = [&[ACCEPT, ("mcp-session-id", session)], more].concat();
    endpoint.send("GET", &headers, b"")
}

/// A call that makes a step, and then waits for `release` with the same key.
fn begin_slow(endpoint: &Endpoint, session: &str, key: &str) -> Reply {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":"{key}","method":"tools/call","params":{{"name":"slow","arguments":{{"steps":1,"key":"{key}"}},"_meta":{{"progressToken":"{key}"}}}}}}"#
    );
    let headers = [&JSON[..], &[("mcp-session-id", session)]].concat();
    endpoint.send("POST", &headers, body.as_bytes())
}

fn release(endpoint: &Endpoint, session: &str, key: &str) {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":"release","method":"tools/call","params":{{"name":"release","arguments":{{"key":"{key}"}}}}}}"#
    );
    let headers = [&JSON[..], &[("mcp-session-id", session)]].concat();
    let mut reply = endpoint.send("POST", &headers, body.as_bytes());
    assert!(member(&reply.text(), "result").is_some());
}

#[test]
fn a_get_opens_a_stream_and_another_takes_over() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let endpoint = gateway.endpoint();
    let session = initialize_as(endpoint, "2025-11-25");
    let mut first = get(endpoint, &session, &[]);
    assert_eq!(first.status, 200);
    assert_eq!(first.header("content-type"), Some("text/event-stream"));
    assert_eq!(first.header("cache-control"), Some("no-store"));
    assert_eq!(first.header("x-accel-buffering"), Some("no"));
    assert!(first.line().starts_with("id: "));
    assert_eq!([first.line(), first.line()], ["retry: 1000", "data:"]);
    let mut second = get(endpoint, &session, &[]);
    assert_eq!(first.next(), None);
    let headers = [("mcp-session-id", session.as_str())];
    assert_eq!(endpoint.send("DELETE", &headers, b"").status, 204);
    assert_eq!(second.next(), None);
    assert_eq!(get(endpoint, &session, &[]).status, 404);
    let old = initialize(endpoint);
    assert_eq!(get(endpoint, &old, &[]).line(), ": open");
}

#[test]
fn a_get_is_refused_like_any_request_of_a_session() {
    let auth = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef }, { id: bob, key: bob-0123456789abcdef }] }";
    let gateway = Setup::of(ODDS[0]).with(auth).over_http();
    let ann = ("authorization", "Bearer ann-0123456789abcdef");
    let bob = ("authorization", "Bearer bob-0123456789abcdef");
    let endpoint = gateway.endpoint();
    let session = initialize(&endpoint.clone().with_header(ann.0, ann.1));
    let id = ("mcp-session-id", session.as_str());
    for (name, headers, status) in [
        ("good", vec![ACCEPT, ann, id], 200),
        ("nobody", vec![ACCEPT, id], 401),
        ("somebody else", vec![ACCEPT, bob, id], 404),
        ("no session", vec![ACCEPT, ann], 400),
        ("two sessions", vec![ACCEPT, ann, id, id], 400),
        (
            "no stream wanted",
            vec![("accept", "application/json"), ann, id],
            406,
        ),
        ("nothing wanted", vec![ann, id], 406),
        (
            "other version",
            vec![ACCEPT, ann, id, ("mcp-protocol-version", "2025-11-25")],
            400,
        ),
        (
            "modern",
            vec![ACCEPT, ann, id, ("mcp-protocol-version", "2026-07-28")],
            405,
        ),
        (
            "origin of elsewhere",
            vec![ACCEPT, ann, id, ("origin", "https://evil.example")],
            403,
        ),
        (
            "odd event",
            vec![ACCEPT, ann, id, ("last-event-id", "7")],
            400,
        ),
    ] {
        let reply = endpoint.send("GET", &headers, b"");
        assert_eq!(reply.status, status, "{name}");
    }
}

#[test]
fn a_call_whose_connection_broke_is_answered_on_a_get() {
    for odd in ODDS {
        let gateway = Setup::of(odd).over_http();
        let endpoint = gateway.endpoint();
        let session = initialize(endpoint);
        let mut call = begin_slow(endpoint, &session, "broken");
        let (id, progress) = call.event().unwrap();
        assert_eq!(at(&progress, &["method"]), "\"notifications/progress\"");
        let id = id.expect("an id");
        drop(call);
        let after = [("last-event-id", id.as_str())];
        // Another session's client knows the id and gets nothing.
        let other = initialize(endpoint);
        assert_eq!(get(endpoint, &other, &after).status, 400);
        // Before the answer is there, and again after it.
        let mut early = get(endpoint, &session, &after);
        release(endpoint, &session, "broken");
        let answer = early.next().unwrap();
        assert_eq!(at(&answer, &["id"]), "\"broken\"", "{answer}");
        assert!(member(&answer, "result").is_some());
        assert_eq!(early.next(), None, "the stream ends with the answer");
        let mut late = get(endpoint, &session, &after);
        assert_eq!(late.next().unwrap(), answer);
        assert_eq!(late.next(), None);
    }
}

#[test]
fn open_streams_do_not_keep_the_gateway_from_ending() {
    let grace = "http: { listen: \"127.0.0.1:0\", shutdown_grace: 10m }";
    let mut gateway = Setup::of(ODDS[0]).with(grace).over_http();
    let session = initialize(gateway.endpoint());
    let mut stream = get(gateway.endpoint(), &session, &[]);
    assert_eq!(stream.line(), ": open");
    let begun = Instant::now();
    gateway.process.signal(Signal::TERM);
    assert_eq!(stream.next(), None);
    let (code, _, errors) = gateway.process.finish();
    assert_eq!(code, Some(0), "{errors}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_flood_of_one_caller_ends_nobody_elses_session() {
    let auth = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef }, { id: bob, key: bob-0123456789abcdef }] }";
    let http = "http: { listen: \"127.0.0.1:0\", sessions: { max_per_caller: 3, max_total: 5 } }";
    let gateway = Setup::of(ODDS[0]).with(auth).with(http).over_http();
    let endpoint = gateway.endpoint();
    let ann = endpoint
        .clone()
        .with_header("authorization", "Bearer ann-0123456789abcdef");
    let bob = endpoint
        .clone()
        .with_header("authorization", "Bearer bob-0123456789abcdef");
    let kept = initialize(&ann);
    let flood: Vec<_> = (0..20).map(|_| initialize(&bob)).collect();
    let status = |endpoint: &Endpoint, session: &str| {
        let (name, value) = &endpoint.headers[0];
        get(endpoint, session, &[(name, value)]).status
    };
    assert_eq!(status(&ann, &kept), 200);
    assert_eq!(status(&bob, &flood[0]), 404);
    assert_eq!(status(&bob, &flood[19]), 200);
}
