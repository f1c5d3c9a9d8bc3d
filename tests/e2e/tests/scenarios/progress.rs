//! Progress: every step, in order, when it happens.

use super::start;
use crate::support::client::{ERAS, tool};
use crate::support::json::{at, member};
use crate::support::setup::{ODDS, Setup};

#[test]
fn each_step_comes_when_it_is_made_and_before_the_result() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for era in ERAS {
            let client = gateway.client(era);
            let arguments = format!(r#"{{"steps":3,"key":"{era:?}"}}"#);
            let params = tool("slow", &arguments);
            let mut call = client.begin_with_progress("tools/call", &params);
            for step in 1..=3 {
                // The server goes no further before it is told to, so this did not wait for it.
                let says = call.next().0;
                assert_eq!(at(&says, &["method"]), "\"notifications/progress\"");
                assert_eq!(at(&says, &["params", "progressToken"]), call.id);
                assert_eq!(at(&says, &["params", "progress"]), format!("{step}.0"));
                assert_eq!(at(&says, &["params", "total"]), "3");
                assert_eq!(
                    at(&says, &["params", "message"]),
                    format!("\"step {step}\"")
                );
                assert_eq!(at(&says, &["params", "x-vendor"]), "1e5", "{odd:?} {era:?}");
                client.tool("release", &format!(r#"{{"key":"{era:?}"}}"#));
            }
            assert_eq!(call.answer().text(), arguments, "{odd:?} {era:?}");
        }
    }
}

#[test]
fn many_steps_in_a_row_keep_their_order() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for era in ERAS {
            let client = gateway.client(era);
            let params = tool("slow", r#"{"steps":40}"#);
            let mut call = client.begin_with_progress("tools/call", &params);
            for step in 1..=40 {
                let says = call.next().0;
                assert_eq!(
                    at(&says, &["params", "progress"]),
                    format!("{step}.0"),
                    "{odd:?} {era:?}"
                );
            }
            call.answer();
        }
    }
}

#[test]
fn nobody_hears_of_progress_who_did_not_ask() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for era in ERAS {
            let client = gateway.client(era);
            let mut call = client.begin_tool("slow", r#"{"steps":3}"#);
            call.answer();
            let unasked = client.ask("tools/list", "{}");
            assert!(member(&unasked.0, "method").is_none());
            assert_eq!(call.rest(), [""; 0], "{odd:?} {era:?}");
        }
    }
}
