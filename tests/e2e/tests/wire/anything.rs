//! Whatever is sent, there is an answer, and the gateway goes on.

use proptest::prelude::*;

use super::Case;
use crate::support::client::ERAS;
use crate::support::http::{Endpoint, JSON};
use crate::support::setup::{ODDS, Setup};

const GOOD: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":[1.0,"\u00e9"]},"_meta":{"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

fn status(endpoint: &Endpoint, is_modern: bool, body: &[u8]) -> u16 {
    let mut headers = JSON.to_vec();
    if is_modern {
        headers.push(("mcp-protocol-version", "2026-07-28"));
        headers.push(("mcp-method", "tools/call"));
        headers.push(("mcp-name", "echo"));
    }
    let mut reply = endpoint.send("POST", &headers, body);
    reply.text();
    reply.status
}

#[test]
fn no_body_brings_the_gateway_down() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let endpoint = gateway.endpoint();
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    // A good message with a few bytes of it changed or cut off.
    let nearly = (
        prop::collection::vec((0..GOOD.len(), any::<u8>()), 0..4),
        0..=GOOD.len(),
    )
        .prop_map(|(changes, length)| {
            let mut bytes = GOOD.as_bytes().to_vec();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(length.max(GOOD.len() / 2));
            bytes
        });
    let config = ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let strategy = (any::<bool>(), prop_oneof![bytes, nearly]);
    runner
        .run(&strategy, |(is_modern, body)| {
            let status = status(endpoint, is_modern, &body);
            prop_assert!((200..500).contains(&status), "{}", status);
            Ok(())
        })
        .unwrap();
    for era in ERAS {
        assert_eq!(gateway.client(era).tool("echo", "{}").text(), "{}");
    }
}

#[test]
fn deep_and_odd_texts_are_answered() {
    let gateway = Setup::of(ODDS[0]).over_http();
    let deep = "[".repeat(100_000);
    let closed = format!("{deep}{}", "]".repeat(100_000));
    let nested = GOOD.replace("1.0", &closed);
    for (name, body) in [
        ("open", deep.as_bytes()),
        ("closed", closed.as_bytes()),
        ("nested", nested.as_bytes()),
        ("byte order mark", b"\xef\xbb\xbf{}"),
        (
            "not UTF-8",
            b"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"ping\"}",
        ),
        ("NUL", b"\0\0\0"),
    ] {
        let status = status(gateway.endpoint(), true, body);
        assert!((200..500).contains(&status), "{name}: {status}");
    }
    Case::post("after it", "{}", 400, -32600).check(gateway.endpoint());
    assert_eq!(gateway.client(ERAS[1]).tool("echo", "{}").text(), "{}");
}
