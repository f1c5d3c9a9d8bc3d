//! Subscriptions of 2026-07-28: acknowledged first, and ended well.

use rustix::process::Signal;

use super::start;
use crate::support::client::{ERAS, Era};
use crate::support::json::at;
use crate::support::setup::{ODDS, Setup};

const LISTEN: &str =
    r#"{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["no://such"]}}"#;

#[test]
fn a_subscription_is_acknowledged_and_ends_with_the_gateway() {
    for odd in ODDS {
        let mut gateway = start(Setup::of(odd));
        let client = gateway.client(Era::Modern);
        let mut call = client.begin("subscriptions/listen", LISTEN);
        let first = call.next().0;
        let method = at(&first, &["method"]);
        assert_eq!(method, r#""notifications/subscriptions/acknowledged""#);
        let accepted = at(&first, &["params", "notifications"]);
        assert_eq!(accepted, r#"{"toolsListChanged":true}"#, "{odd:?}");
        let id = ["_meta", "io.modelcontextprotocol/subscriptionId"];
        assert_eq!(at(&at(&first, &["params"]), &id), call.id);
        assert_eq!(client.tool("echo", "{}").text(), "{}");
        gateway.process.signal(Signal::TERM);
        let last = call.answer().result();
        assert_eq!(at(&last, &["resultType"]), r#""complete""#, "{odd:?}");
        assert_eq!(at(&last, &id), call.id);
        let (code, _, errors) = gateway.process.finish();
        assert_eq!(code, Some(0), "{errors}");
    }
}

#[test]
fn a_subscription_that_is_given_up_says_no_more() {
    let gateway = start(Setup::of(ODDS[0]));
    let client = gateway.client(Era::Modern);
    let mut call = client.begin("subscriptions/listen", LISTEN);
    call.next();
    client.cancel(&mut call);
    assert_eq!(client.tool("echo", "{}").text(), "{}");
    assert_eq!(call.rest(), [""; 0]);
}

#[test]
fn what_no_server_behind_can_do_is_not_there() {
    let gateway = start(Setup::of(ODDS[0]));
    for era in ERAS {
        let client = gateway.client(era);
        for (method, params) in [
            ("logging/setLevel", r#"{"level":"info"}"#),
            ("resources/unknown", "{}"),
            ("vendor/method", "{}"),
        ] {
            let (code, _) = client.ask(method, params).fault();
            assert_eq!(code, -32601, "{era:?} {method}");
        }
    }
}
