//! Giving up: the server behind hears of it, and the client nothing more.

use super::start;
use crate::support::client::{ERAS, Era};
use crate::support::setup::{ODDS, Odd, Setup};

#[test]
fn the_server_behind_hears_that_a_call_was_given_up() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for (before, era) in ERAS.into_iter().enumerate() {
            let client = gateway.client(era);
            let mut call = client.begin_tool("never", "{}");
            gateway.wait_for_upstream("called: never", before + 1);
            client.cancel(&mut call);
            gateway.wait_for_upstream("given up: never", before + 1);
            let count = client.tool("cancelled_count", "{}").text();
            assert_eq!(count, (before + 1).to_string(), "{odd:?} {era:?}");
            assert_eq!(
                client.tool("echo", r#"{"after":1}"#).text(),
                r#"{"after":1}"#
            );
            assert_eq!(call.rest(), [""; 0], "{odd:?} {era:?}");
        }
    }
}

#[test]
fn giving_up_one_call_leaves_the_others_alone() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for (before, era) in ERAS.into_iter().enumerate() {
            let client = gateway.client(era);
            let arguments = format!(r#"{{"steps":1,"key":"{era:?}"}}"#);
            let mut stays = client.begin_tool("slow", &arguments);
            let mut goes = client.begin_tool("never", "{}");
            gateway.wait_for_upstream("called: never", before + 1);
            gateway.wait_for_upstream("called: slow", before + 1);
            client.cancel(&mut goes);
            gateway.wait_for_upstream("given up: never", before + 1);
            client.tool("release", &format!(r#"{{"key":"{era:?}"}}"#));
            assert_eq!(stays.answer().text(), arguments, "{odd:?} {era:?}");
            assert_eq!(goes.rest(), [""; 0]);
        }
    }
}

#[test]
fn giving_up_what_is_not_open_does_nothing() {
    let gateway = start(Setup::of(ODDS[0]));
    for era in ERAS {
        let client = gateway.client(era);
        for id in ["1", "\"no such id\"", "null", "{}"] {
            let params = format!(r#"{{"requestId":{id}}}"#);
            client.notify("notifications/cancelled", &params);
        }
        client.notify("notifications/cancelled", "{}");
        client.notify("notifications/no_such_thing", "{}");
        assert_eq!(client.tool("echo", "{}").text(), "{}");
    }
}

#[test]
fn the_server_behind_hears_why_where_it_is_told_at_all() {
    let long = format!("\"{}\"", "long ".repeat(500));
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        let mut calls = 0;
        for era in ERAS {
            let client = gateway.client(era);
            for (reason, heard) in [
                (r#""user \u0061bort""#, "u0061bort"),
                (&*long, "long long long "),
                ("7", "nobody knows"),
            ] {
                let mut call = client.begin_tool("never", "{}");
                calls += 1;
                gateway.wait_for_upstream("called: never", calls);
                let is_told = client.cancel_because(&mut call, reason);
                gateway.wait_for_upstream("given up: never", calls);
                // Servers of 2026-07-28 over HTTP see the end of the connection, and so do we.
                if odd != Odd::http(Era::Modern) {
                    let heard = if is_told { heard } else { "nobody knows" };
                    let told = gateway.upstream_lines("cancelled because: ", calls);
                    let last = told.last().unwrap();
                    assert!(last.contains(heard), "{odd:?} {era:?}: {last}");
                    assert!(last.len() < 2000, "{last}");
                }
            }
        }
    }
}

#[test]
fn a_call_that_takes_too_long_is_cancelled_with_a_reason_of_the_gateways() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd).with("call_timeout: 700ms"));
        for (before, era) in ERAS.into_iter().enumerate() {
            let fault = gateway.client(era).tool("never", "{}").fault();
            assert_eq!(fault.0, -31003, "{fault:?}");
            gateway.wait_for_upstream("given up: never", before + 1);
            if odd != Odd::http(Era::Modern) {
                let told = gateway.upstream_lines("cancelled because: ", before + 1);
                let last = told.last().unwrap();
                let heard = "No answer came within 0.7 s.";
                assert!(last.contains(heard), "{odd:?} {era:?}: {last}");
            }
        }
    }
}
