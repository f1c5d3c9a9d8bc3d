//! Sessions that carry themselves in their ids, between two gateways.

use super::legacy::initialize;
use crate::support::http::{Endpoint, JSON, Reply};
use crate::support::json::member;
use crate::support::setup::{ODDS, Odd, Running, Setup};

pub(super) const AUTH: &str = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef }, { id: bob, key: bob-0123456789abcdef }] }";
pub(super) const OLD: &str = "b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0=";
pub(super) const NEW: &str = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldy0=";

fn gateway(keys: &[&str], path: &str) -> Running {
    gateway_of(ODDS[0], keys, path)
}

/// A gateway with these keys in front of the odd server.
pub(super) fn gateway_of(odd: Odd, keys: &[&str], path: &str) -> Running {
    let keys: Vec<_> = keys
        .iter()
        .map(|key| format!("{{ key: {key:?} }}"))
        .collect();
    let http = format!(
        "http: {{ listen: \"127.0.0.1:0\", path: {path}, sessions: {{ keys: [{}] }} }}",
        keys.join(", ")
    );
    Setup::of(odd).with(AUTH).with(&http).over_http()
}

pub(super) fn of(gateway: &Running, who: &str) -> Endpoint {
    let key = format!("Bearer {who}-0123456789abcdef");
    gateway
        .endpoint()
        .clone()
        .with_header("authorization", &key)
}

fn send(endpoint: &Endpoint, method: &str, session: &str) -> Reply {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let mut headers = JSON.to_vec();
    headers.push(("mcp-session-id", session));
    headers.extend(
        endpoint
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str())),
    );
    endpoint.send(method, &headers, body.as_bytes())
}

fn status(endpoint: &Endpoint, method: &str, session: &str) -> u16 {
    send(endpoint, method, session).status
}

#[test]
fn a_session_is_served_by_every_gateway_that_has_the_key() {
    let (first, second) = (gateway(&[OLD], "/mcp"), gateway(&[NEW, OLD], "/mcp"));
    let session = initialize(&of(&first, "ann"));
    assert!(session.len() < 4096, "{}", session.len());
    for gateway in [&first, &second] {
        let mut reply = send(&of(gateway, "ann"), "POST", &session);
        assert_eq!(reply.status, 200);
        assert!(member(&reply.text(), "result").is_some());
        assert_eq!(status(&of(gateway, "ann"), "GET", &session), 200);
        assert_eq!(status(&of(gateway, "bob"), "POST", &session), 404);
        assert_eq!(status(&of(gateway, "bob"), "DELETE", &session), 404);
    }
    // The new key is not known everywhere yet, so what it sealed is not either.
    let newer = initialize(&of(&second, "ann"));
    assert_eq!(status(&of(&first, "ann"), "POST", &newer), 404);
    // Each gateway remembers what was ended at it.
    assert_eq!(status(&of(&second, "ann"), "DELETE", &session), 204);
    assert_eq!(status(&of(&second, "ann"), "DELETE", &session), 404);
    assert_eq!(status(&of(&second, "ann"), "POST", &session), 404);
    assert_eq!(status(&of(&first, "ann"), "POST", &session), 200);
}

#[test]
fn an_id_that_was_changed_or_is_for_another_endpoint_is_unknown() {
    let (here, elsewhere) = (gateway(&[OLD], "/mcp"), gateway(&[OLD], "/other"));
    let session = initialize(&of(&here, "ann"));
    assert_eq!(status(&of(&elsewhere, "ann"), "POST", &session), 404);
    let (head, tail) = session.split_at(session.len() / 2);
    let other = if tail.starts_with('A') { 'B' } else { 'A' };
    let changed = format!("{head}{other}{}", tail.split_at(1).1);
    assert_eq!(status(&of(&here, "ann"), "POST", &changed), 404);
    assert_eq!(status(&of(&here, "ann"), "POST", head), 404);
}
