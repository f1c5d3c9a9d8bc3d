//! Giving up: the server behind hears of it, and the client nothing more.

use super::start;
use crate::support::client::ERAS;
use crate::support::setup::{ODDS, Setup};

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
