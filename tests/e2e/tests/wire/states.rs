//! What a server of 2026-07-28 gives its client to bring back (`requestState`): it is the client's
//! alone, for this one call.

use std::sync::Arc;

use super::sealed::{AUTH, NEW, OLD, gateway_of, of};
use crate::support::client::{Answer, Client, Era, Wire};
use crate::support::json::{at, quote, string};
use crate::support::setup::{Odd, Running, Setup};

/// What the server gives out.
const STATE: &str = "a \"kept\" state: \u{e9}";
const ODDS: [Odd; 2] = [Odd::stdio(Era::Modern), Odd::http(Era::Modern)];

fn client(gateway: &Running, who: &str) -> Client {
    let wire: Arc<dyn Wire> = Arc::new(of(gateway, who));
    Client::open(&wire, Era::Modern)
}

/// Arguments with which the server asks to be called again.
fn arguments() -> String {
    let state = quote(STATE);
    format!(r#"{{"resultType":"input_required","requestState":{state},"v":1.0}}"#)
}

/// Calls the tool for the first time: the state that the client gets.
fn begin(client: &Client) -> String {
    let result = client.tool("vendor", &arguments()).result();
    assert_eq!(at(&result, &["resultType"]), r#""input_required""#);
    assert_eq!(at(&result, &["v"]), "1.0");
    let state = string(&at(&result, &["requestState"]));
    assert!(
        state.starts_with("mcp-gw.2.") && !state.contains("kept"),
        "{state}"
    );
    state
}

/// Goes on with a state.
fn go_on(client: &Client, tool: &str, arguments: &str, state: &str) -> Answer {
    let (tool, state) = (quote(tool), quote(state));
    let params = format!(r#"{{"name":{tool},"arguments":{arguments},"requestState":{state}}}"#);
    client.ask("tools/call", &params)
}

#[track_caller]
fn is_refused(answer: &Answer) {
    let (code, says) = answer.fault();
    assert_eq!(code, -32602, "{says}");
    assert!(
        says.contains("`requestState` is not of this call"),
        "{says}"
    );
    assert!(!says.contains("kept"), "{says}");
}

#[test]
fn a_client_of_before_comes_back_to_nothing() {
    for odd in ODDS {
        let gateway = Setup::of(odd).with(AUTH).over_http();
        let wire: Arc<dyn Wire> = Arc::new(of(&gateway, "bob"));
        let bob = Client::open(&wire, Era::Legacy);
        // The gateway comes back for it, with what the server gave for this call.
        let answer = go_on(&bob, "vendor", &arguments(), "the state of another");
        assert_eq!(answer.text(), STATE);
        assert_eq!(bob.tool("count", r#"{"tool":"vendor"}"#).text(), "2");
    }
}

#[test]
fn the_caller_goes_on_with_its_call_and_nobody_else_with_anything() {
    for odd in ODDS {
        let gateway = Setup::of(odd).with(AUTH).over_http();
        let (ann, bob) = (client(&gateway, "ann"), client(&gateway, "bob"));
        let state = begin(&ann);
        let same = arguments();
        assert_eq!(go_on(&ann, "vendor", &same, &state).text(), STATE);
        // The same arguments in another order are the same call.
        let shown = format!(
            r#"{{"v": 1.0, "requestState":{}, "resultType":"input_required"}}"#,
            quote(STATE)
        );
        assert_eq!(go_on(&ann, "vendor", &shown, &state).text(), STATE);
        let calls = ann.tool("count", r#"{"tool":"vendor"}"#).text();
        assert_eq!(calls, "3");

        is_refused(&go_on(&bob, "vendor", &same, &state));
        is_refused(&go_on(&ann, "echo", &same, &state));
        is_refused(&go_on(&ann, "structured", &same, &state));
        is_refused(&go_on(&ann, "vendor", "{}", &state));
        is_refused(&go_on(&ann, "vendor", &same, STATE));
        is_refused(&go_on(&ann, "vendor", &same, ""));
        for at in [9, 20, 60, state.len() - 2] {
            let (head, tail) = state.split_at(at);
            let other = if tail.starts_with('A') { 'B' } else { 'A' };
            let changed = format!("{head}{other}{}", tail.split_at(1).1);
            is_refused(&go_on(&ann, "vendor", &same, &changed));
            is_refused(&go_on(&ann, "vendor", &same, head));
        }
        // None of them has come to the server; its owner's still does.
        for (tool, calls) in [("vendor", "3"), ("echo", "0"), ("structured", "0")] {
            let count = ann.tool("count", &format!(r#"{{"tool":{}}}"#, quote(tool)));
            assert_eq!(count.text(), calls, "{odd:?} {tool}");
        }
        assert_eq!(go_on(&ann, "vendor", &same, &state).text(), STATE);
        let own = begin(&bob);
        assert_eq!(go_on(&bob, "vendor", &same, &own).text(), STATE);
    }
}

#[test]
fn gateways_with_the_same_key_go_on_with_each_others_calls() {
    let odd = ODDS[0];
    let (first, second) = (
        gateway_of(odd, &[OLD], "/mcp"),
        gateway_of(odd, &[NEW, OLD], "/mcp"),
    );
    let same = arguments();
    let (here, there) = (client(&first, "ann"), client(&second, "ann"));
    let state = begin(&here);
    assert_eq!(go_on(&there, "vendor", &same, &state).text(), STATE);
    is_refused(&go_on(&client(&second, "bob"), "vendor", &same, &state));
    is_refused(&go_on(&there, "echo", &same, &state));
    // The new key is not known everywhere yet.
    let newer = begin(&there);
    assert_eq!(go_on(&there, "vendor", &same, &newer).text(), STATE);
    is_refused(&go_on(&here, "vendor", &same, &newer));
    // Without a key that both have, and under another path, it is a stranger's.
    let keyless = Setup::of(odd).with(AUTH).over_http();
    is_refused(&go_on(&client(&keyless, "ann"), "vendor", &same, &state));
    let elsewhere = gateway_of(odd, &[OLD], "/other");
    is_refused(&go_on(&client(&elsewhere, "ann"), "vendor", &same, &state));
}
