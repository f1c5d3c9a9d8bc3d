//! The end: open calls get their answers, and nothing is left behind.

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use super::start;
use crate::support::ODD_BIN;
use crate::support::client::{ERAS, Era, tool};
use crate::support::process::{Lives, descendants};
use crate::support::setup::{Folder, ODDS, Odd, Running, Setup};

/// A pipe that somebody outside can end a call with.
fn fifo(folder: &Folder) -> String {
    let path = folder.0.join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path.display().to_string()
}

/// The odd server as a child of a shell that has another child, which never ends by itself.
fn wrapped(era: Era) -> Setup {
    let script = format!("sleep 1000 & {ODD_BIN} {}; exit 0", Odd::stdio(era).flag());
    Setup::new().command("odd", "sh", &["-c", &script])
}

/// Everything that the gateway has started, while it lives.
fn started(gateway: &Running, at_least: usize) -> Vec<Lives> {
    // Nothing is answered before the servers behind are there.
    gateway.client(Era::Modern).ask("tools/list", "{}").result();
    let pids = descendants(gateway.process.pid());
    assert!(pids.len() >= at_least, "{pids:?}");
    pids.into_iter().filter_map(Lives::of).collect()
}

#[test]
fn calls_under_way_get_their_answers_and_no_process_is_left() {
    for (signal, wraps) in [
        (Signal::INT, false),
        (Signal::INT, true),
        (Signal::TERM, false),
        (Signal::TERM, true),
    ] {
        for era in ERAS {
            let folder = Folder::new();
            let setup = if wraps {
                wrapped(era)
            } else {
                Setup::of(Odd::stdio(era))
            };
            let mut gateway = start(setup.with("# the end comes early"));
            let children = started(&gateway, if wraps { 3 } else { 1 });
            let client = gateway.client(era);
            let arguments = format!(r#"{{"steps":0,"fifo":{:?}}}"#, fifo(&folder));
            let mut call = client.begin("tools/call", &tool("slow", &arguments));
            gateway.wait_for_upstream("called: slow", 1);
            gateway.process.signal(signal);
            gateway.wait_until_stopping();
            std::fs::write(folder.0.join("fifo"), "go").unwrap();
            assert_eq!(
                call.answer().text(),
                arguments,
                "{signal:?} {wraps} {era:?}"
            );
            let (code, _, errors) = gateway.process.finish();
            assert_eq!(code, Some(0), "{signal:?} {wraps} {era:?}: {errors}");
            for child in children {
                assert!(child.end_within_limit(), "a process is left");
            }
        }
    }
}

#[test]
fn a_second_signal_does_not_wait_for_calls() {
    for odd in ODDS {
        let grace = "http: { listen: \"127.0.0.1:0\", shutdown_grace: 10m }";
        let mut gateway = start(Setup::of(odd).with(grace));
        let children = started(&gateway, usize::from(!odd.is_http));
        let client = gateway.client(odd.era);
        let mut call = client.begin_tool("never", "{}");
        gateway.wait_for_upstream("called: never", 1);
        gateway.process.signal(Signal::INT);
        gateway.wait_until_stopping();
        gateway.process.signal(Signal::INT);
        let (code, _, errors) = gateway.process.finish();
        assert_eq!(code, Some(0), "{odd:?}: {errors}");
        for child in children {
            assert!(child.end_within_limit(), "a process is left");
        }
        drop(client);
        let rest = std::panic::AssertUnwindSafe(|| call.rest());
        let says = format!("{:?}", std::panic::catch_unwind(rest));
        assert!(says.contains("-31005"), "{odd:?}: {says}");
    }
}

#[test]
fn calls_that_do_not_end_are_given_up_after_the_grace() {
    let odd = Odd::stdio(Era::Legacy);
    let grace = "http: { listen: \"127.0.0.1:0\", shutdown_grace: 300ms }";
    let mut gateway = start(Setup::of(odd).with(grace));
    let client = gateway.client(Era::Modern);
    let mut call = client.begin_tool("never", "{}");
    gateway.wait_for_upstream("called: never", 1);
    gateway.process.signal(Signal::TERM);
    let (code, _, errors) = gateway.process.finish();
    assert_eq!(code, Some(0), "{errors}");
    drop(client);
    let says = format!(
        "{:?}",
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call.rest()))
    );
    // Both SDKs and people can tell a gateway that stops from one that died.
    assert!(says.contains("-31005"), "{says}");
}

#[test]
fn a_child_that_is_killed_is_started_again() {
    for odd in [Odd::stdio(Era::Legacy), Odd::stdio(Era::Modern)] {
        let gateway = start(Setup::of(odd));
        let client = gateway.client(odd.era);
        assert_eq!(client.tool("echo", "{}").text(), "{}");
        let [child] = descendants(gateway.process.pid())[..] else {
            panic!("there should be one child");
        };
        let lives = Lives::of(child).unwrap();
        let pid = rustix::process::Pid::from_raw(child).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        assert!(lives.end_within_limit());
        // Before this a call may go to the one that is gone, and be lost.
        gateway.wait_for_upstream("the odd server starts", 2);
        assert_eq!(client.tool("echo", "{}").text(), "{}", "{odd:?}");
        assert_eq!(client.tool("count", r#"{"tool":"echo"}"#).text(), "1");
        let [again] = descendants(gateway.process.pid())[..] else {
            panic!("there should be one child again");
        };
        assert_ne!(again, child);
    }
}
