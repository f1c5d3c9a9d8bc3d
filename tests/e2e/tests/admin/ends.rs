//! Calls that do not come to their end.

use rustix::process::Signal;

use super::configured::api7;
use super::{BOTH, Served, Slow, assert_clean, says};
use crate::support::client::Era;
use crate::support::json::member;
use crate::support::setup::Setup;

const CALL: (&str, &str) = ("get_role", r#"{"id":"r"}"#);

#[test]
fn a_call_that_is_given_up_is_given_up_at_the_dashboard() {
    for binary in BOTH {
        let dashboard = Slow::start();
        let served = Served::with(binary, &[], &dashboard.url);
        let client = served.client();
        let mut call = client.0.begin_tool(CALL.0, CALL.1);
        dashboard.wait_until("asked");
        client.0.cancel(&mut call);
        dashboard.wait_until("given up");
        let line = served.audit(1).remove(0);
        assert!(line.contains("\"cancelled\""), "{line}");
        assert!(!client.names().is_empty());
        assert_eq!(call.rest(), [""; 0]);
        served.end();
    }
}

#[test]
fn a_write_under_way_is_done_and_reported_after_ctrl_c() {
    for binary in BOTH {
        let dashboard = Slow::start();
        let mut served = Served::with(binary, &["--allow-write"], &dashboard.url);
        let client = served.client();
        let mut call = client.0.begin_tool("delete_role", r#"{"id":"r"}"#);
        dashboard.wait_until("asked");
        served.process.signal(Signal::INT);
        let stopping = "stopping when open calls have ended";
        served.process.stderr.with(stopping);
        dashboard.answer();
        let answer = call.answer().result();
        says(&answer, &["\"status\":200", "DELETE"]);
        let line = served.audit(1).remove(0);
        says(&line, &["\"delete_role\"", "\"ok\""]);
        assert_eq!(served.process.wait().code(), Some(0));
        served.without_token();
    }
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_the_dashboard() {
    for binary in BOTH {
        let dashboard = Slow::start();
        let mut served = Served::with(binary, &[], &dashboard.url);
        let client = served.client();
        let mut call = client.0.begin_tool(CALL.0, CALL.1);
        dashboard.wait_until("asked");
        served.process.signal(Signal::INT);
        served
            .process
            .stderr
            .with("stopping when open calls have ended");
        served.process.signal(Signal::INT);
        dashboard.wait_until("given up");
        assert_eq!(served.process.wait().code(), Some(0));
        served.without_token();
        drop(call.rest());
    }
}

#[test]
fn the_grace_at_the_end_holds_for_the_dashboard_too() {
    let dashboard = Slow::start();
    let yaml = api7(&dashboard.url, "").replace("grace: 10s", "grace: 100ms");
    let mut gateway = Setup::verbatim(&yaml).over_stdio_with(&[]);
    let client = gateway.client(Era::Modern);
    let _call = client.begin_tool(CALL.0, CALL.1);
    dashboard.wait_until("asked");
    gateway.process.signal(Signal::TERM);
    dashboard.wait_until("given up");
    assert_eq!(gateway.process.wait().code(), Some(0));
    assert_clean(&gateway.process.stderr.all().join("\n"));
}

#[test]
fn no_call_takes_longer_than_calls_may() {
    let dashboard = Slow::start();
    let yaml = api7(&dashboard.url, "") + "call_timeout: 200ms\n";
    let gateway = Setup::verbatim(&yaml).over_http();
    let client = gateway.client(Era::Modern);
    let mut call = client.begin_tool(CALL.0, CALL.1);
    dashboard.wait_until("asked");
    dashboard.wait_until("given up");
    // The tool comes back before the call is given up, and says what to do.
    let answer = call.answer();
    let is_error = member(&answer.result(), "isError");
    assert_eq!(is_error.as_deref(), Some("true"), "{}", answer.0);
    says(&answer.text(), &["no answer within 0.2 s", "Try again"]);
    let line = gateway.audit(1).remove(0);
    assert!(!line.contains("timeout"), "{line}");
}
