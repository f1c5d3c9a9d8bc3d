//! Standard output of the server on standard streams belongs to the protocol.

use std::process::Command;
use std::sync::Arc;

use crate::support::client::{Client, ERAS, Wire, tool};
use crate::support::process::{Lives, Process, descendants};
use crate::support::stdio::Pipe;
use crate::support::{ODD_BIN, STDIO_BIN};

#[test]
fn nothing_but_messages_is_on_standard_output() {
    let mut command = Command::new(STDIO_BIN);
    let args = ["run", "--log", "trace", "--", ODD_BIN, "--modern"];
    let (mut gateway, pipe) = Process::start_piped(command.args(args));
    let wire: Arc<dyn Wire> = Arc::<Pipe>::clone(&pipe) as _;
    for era in ERAS {
        let client = Client::open(&wire, era);
        client.ask("tools/list", "{}").result();
        client.tool("rpc_error", "{}").error();
        client.tool("garbage", "{}").error();
        client.raw("no message", "", "{}").error();
    }
    let children: Vec<Lives> = descendants(gateway.pid())
        .into_iter()
        .filter_map(Lives::of)
        .collect();
    assert_eq!(children.len(), 1);
    pipe.close();
    let status = gateway.wait();
    assert_eq!(status.code(), Some(0));
    assert!(children.iter().all(Lives::end_within_limit));
    assert_eq!(pipe.strays(), [""; 0]);
    assert!(!gateway.stderr.all().is_empty());
}

#[test]
fn what_was_asked_before_the_end_of_the_input_is_answered() {
    for era in ERAS {
        let mut command = Command::new(STDIO_BIN);
        let (mut gateway, pipe) = Process::start_piped(command.args(["run", "--", ODD_BIN]));
        let wire: Arc<dyn Wire> = Arc::<Pipe>::clone(&pipe) as _;
        let client = Client::open(&wire, era);
        let mut call = client.begin_tool("echo", r#"{"last":1}"#);
        pipe.close();
        assert_eq!(call.answer().text(), r#"{"last":1}"#, "{era:?}");
        assert_eq!(gateway.wait().code(), Some(0));
    }
}

#[test]
fn a_client_that_goes_away_ends_the_gateway() {
    let mut command = Command::new(STDIO_BIN);
    let (mut gateway, pipe) = Process::start_piped(command.args(["run", "--", ODD_BIN]));
    let wire: Arc<dyn Wire> = Arc::<Pipe>::clone(&pipe) as _;
    let client = Client::open(&wire, ERAS[1]);
    let _never = client.begin_tool("never", "{}");
    gateway.stderr.with("called: never");
    pipe.close();
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_line_that_is_too_long_is_refused_and_skipped() {
    let mut command = Command::new(STDIO_BIN);
    let (_gateway, pipe) = Process::start_piped(command.args(["run", "--", ODD_BIN]));
    let wire: Arc<dyn Wire> = Arc::<Pipe>::clone(&pipe) as _;
    for era in ERAS {
        let client = Client::open(&wire, era);
        let long = tool("echo", &format!(r#"{{"x":"{}"}}"#, "x".repeat(5 << 20)));
        let text = client.text("\"long\"", "tools/call", &long, false);
        let (code, says) = client.raw(&text, "tools/call", "{}").fault();
        assert_eq!(code, -32600);
        assert!(says.contains("longer than 4194304 bytes"), "{says}");
        assert_eq!(client.tool("echo", "{}").text(), "{}", "{era:?}");
    }
}
