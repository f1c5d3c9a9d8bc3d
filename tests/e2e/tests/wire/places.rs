//! One server in several places.

use rustix::process::Signal;

use crate::support::client::ERAS;
use crate::support::setup::Setup;

/// Checks so often that a test need not wait, and nothing but checks finds out.
const CHECKS: &str = ", health: { interval: 20ms, unhealthy_after: 1 }, retries: { attempts: 1 }, balance: { sticky: never }";

#[test]
fn calls_leave_a_place_that_is_gone_and_no_call_is_lost() {
    for era in ERAS {
        let mut running = Setup::new().odd_places("odd", era, 3, CHECKS).over_http();
        let client = running.client(era);
        for _ in 0..6 {
            assert_eq!(client.tool("echo", "{}").text(), "{}");
        }
        running.upstreams[1].signal(Signal::KILL);
        running.upstreams[1].wait();
        let line = running.process.stderr.with("a replica is not well");
        assert!(
            line.contains("2: http://127.0.0.1:") && line.contains("down"),
            "{line}"
        );
        for _ in 0..12 {
            assert_eq!(client.tool("echo", "{}").text(), "{}");
        }
    }
}

#[test]
fn calls_beyond_the_limit_are_told_at_once_that_nothing_was_done() {
    let limit = ", max_concurrent: 1, max_queue: 0";
    for era in ERAS {
        let running = Setup::new().odd_places("odd", era, 1, limit).over_http();
        let client = running.client(era);
        let mut slow = client.begin_tool("never", "{}");
        running.wait_for_upstream("called: never", 1);
        let (code, message) = client.tool("echo", "{}").fault();
        assert_eq!(code, -31002);
        assert!(message.contains("Nothing was done"), "{message}");
        client.cancel(&mut slow);
    }
}
