//! Servers behind the gateway that fail: who calls hears it at once and in so many words, and the
//! gateway goes on.

use super::start;
use crate::support::client::{Client, ERAS, Era};
use crate::support::setup::{ODDS, Odd, Setup};

#[track_caller]
fn still_serves(client: &Client) {
    assert_eq!(client.tool("echo", "{}").text(), "{}");
}

#[test]
fn a_child_that_dies_fails_its_calls_at_once_and_is_started_again() {
    for odd in [Odd::stdio(Era::Legacy), Odd::stdio(Era::Modern)] {
        for era in ERAS {
            let gateway = start(Setup::of(odd));
            let client = gateway.client(era);
            let mut other = client.begin_tool("never", "{}");
            gateway.wait_for_upstream("called: never", 1);
            for answer in [client.tool("die", "{}"), other.answer()] {
                let (code, says) = answer.fault();
                assert_eq!(code, -31003, "{odd:?} {era:?} {says}");
                assert!(says.contains("`odd` went away"), "{says}");
            }
            still_serves(&client);
            assert_eq!(client.tool("count", r#"{"tool":"never"}"#).text(), "0");
        }
    }
}

#[test]
fn a_server_elsewhere_that_dies_is_lost_and_then_not_available() {
    for odd in [Odd::http(Era::Legacy), Odd::http(Era::Modern)] {
        for era in ERAS {
            // On a connection that was kept, a call may be lost before the gateway sees its end.
            let mut gateway = start(Setup::new().odd("odd", odd, &["--close"], ""));
            let client = gateway.client(era);
            let (code, says) = client.tool("die", "{}").fault();
            assert_eq!(code, -31003, "{odd:?} {era:?} {says}");
            // Its last socket is closed only when all of it is gone.
            gateway.upstreams[0].wait();
            let (code, says) = client.tool("echo", "{}").fault();
            assert_eq!(code, -31002, "{odd:?} {era:?} {says}");
            assert!(says.contains("Nothing was done; try again later"), "{says}");
        }
    }
}

#[test]
fn a_child_that_cannot_be_started_again_is_not_available() {
    let folder = crate::support::setup::Folder::new();
    let program = folder.0.join("program");
    std::os::unix::fs::symlink(crate::support::ODD_BIN, &program).unwrap();
    let command = program.display().to_string();
    let gateway = start(Setup::new().command("odd", &command, &["--legacy"]));
    for era in ERAS {
        let client = gateway.client(era);
        if era == Era::Legacy {
            still_serves(&client);
            std::fs::remove_file(&program).unwrap();
            assert_eq!(client.tool("die", "{}").fault().0, -31003);
        }
        let (code, says) = client.tool("echo", "{}").fault();
        assert_eq!(code, -31002, "{era:?} {says}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_given_up_and_told_so() {
    // They have nothing to do but wait, so they wait together.
    std::thread::scope(|scope| {
        for odd in ODDS {
            let of_server = Setup::new().odd("odd", odd, &[], ", timeout: 1s");
            let of_all = Setup::of(odd).with("call_timeout: 1s");
            for (setup, era) in [of_server, of_all].into_iter().zip(ERAS) {
                scope.spawn(move || {
                    let gateway = start(setup);
                    let client = gateway.client(era);
                    let (code, says) = client.tool("never", "{}").fault();
                    assert_eq!(code, -31003, "{odd:?} {era:?} {says}");
                    assert!(says.contains("did not answer within 1 s"), "{says}");
                    gateway.wait_for_upstream("given up: never", 1);
                    still_serves(&client);
                });
            }
        }
    });
}

#[test]
fn what_is_no_answer_is_not_taken_for_one() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for era in ERAS {
            let client = gateway.client(era);
            let (code, says) = client.tool("garbage", "{}").fault();
            assert_eq!(code, -31004, "{odd:?} {era:?} {says}");
            assert!(
                says.contains("`odd` answered with something that is not MCP"),
                "{says}"
            );
            let (code, says) = client.tool("huge", "{}").fault();
            assert_eq!(code, -31004, "{odd:?} {era:?} {says}");
            assert!(says.contains("longer than"), "{says}");
            still_serves(&client);
        }
    }
}

#[test]
fn an_answer_to_somebody_else_is_none() {
    for odd in ODDS {
        // Over standard streams the right one may still come.
        let (yaml, expected) = if odd.is_http {
            ("", -31004)
        } else {
            (", timeout: 1s", -31003)
        };
        let gateway = start(Setup::new().odd("odd", odd, &[], yaml));
        let client = gateway.client(odd.era);
        let (code, says) = client.tool("wrong_id", "{}").fault();
        assert_eq!(code, expected, "{odd:?} {says}");
        still_serves(&client);
    }
}

#[test]
fn of_two_answers_the_first_counts() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for era in ERAS {
            let client = gateway.client(era);
            let mut call = client.begin_tool("twice", "{}");
            assert_eq!(call.answer().text(), "first", "{odd:?} {era:?}");
            still_serves(&client);
            assert_eq!(call.rest(), [""; 0], "{odd:?} {era:?}");
        }
    }
}
