//! Requests that are wrong: each gets the one error that says why, and the next one is served.

use super::start;
use crate::support::client::{Client, ERAS, tool};
use crate::support::json::{at, member};
use crate::support::setup::{ODDS, Running, Setup};

fn gateway() -> Running {
    start(Setup::of(ODDS[0]))
}

#[track_caller]
fn still_serves(client: &Client) {
    assert_eq!(client.tool("echo", "{}").text(), "{}");
}

#[test]
fn what_is_not_there_is_unknown() {
    let gateway = gateway();
    for era in ERAS {
        let client = gateway.client(era);
        assert_eq!(
            client.tool("no_such_tool", "{}").fault(),
            (-32602, "Unknown tool: no_such_tool".to_owned())
        );
        assert_eq!(client.tool("", "{}").fault().0, -32602);
        assert_eq!(
            client.ask("no/such_method", "{}").fault(),
            (-32601, "Method not found: no/such_method".to_owned())
        );
        let prompt = client.ask("prompts/get", r#"{"name":"no_such_prompt"}"#);
        assert_eq!(prompt.fault().0, -32602, "{prompt:?}");
        still_serves(&client);
    }
}

#[test]
fn params_of_the_wrong_type_are_invalid() {
    let gateway = gateway();
    for era in ERAS {
        let client = gateway.client(era);
        for params in [
            r#"{"name":5}"#,
            r#"{"name":null}"#,
            r#"{"name":["echo"]}"#,
            r#"{"arguments":{}}"#,
            r#"{"name":"echo","arguments":[]}"#,
            r#"{"name":"echo","arguments":"{}"}"#,
            r#"{"name":"echo","arguments":null}"#,
            r#"{"name":"echo","arguments":7}"#,
        ] {
            let answer = client.ask("tools/call", params);
            assert_eq!(answer.fault().0, -32602, "{era:?} {params}: {answer:?}");
        }
        still_serves(&client);
    }
    assert_eq!(
        gateway
            .client(ERAS[0])
            .tool("count", r#"{"tool":"echo"}"#)
            .text(),
        "2"
    );
}

/// A request as text, with something in it put into words of the test's own.
fn broken(client: &Client, text: &str) -> (i64, Option<String>) {
    let params = tool("echo", "{}");
    let answer = client.raw(text, "tools/call", &params);
    let code = answer.fault().0;
    (code, member(&answer.0, "id").filter(|id| id != "null"))
}

#[test]
fn an_id_is_a_string_or_an_integer() {
    let gateway = gateway();
    for era in ERAS {
        let client = gateway.client(era);
        for id in ["null", "1.5", "1.0", "1e2", "true", "[]", "{}"] {
            let text = client.text(id, "tools/call", &tool("echo", "{}"), false);
            assert_eq!(broken(&client, &text), (-32600, None), "{era:?} {id}");
        }
        still_serves(&client);
    }
}

#[test]
fn nothing_is_named_twice() {
    let gateway = gateway();
    for era in ERAS {
        let client = gateway.client(era);
        let text = client.text("71", "tools/call", &tool("echo", "{}"), false);
        for (from, to) in [
            (r#""id":71"#, r#""id":71,"id":72"#),
            (r#""jsonrpc":"2.0""#, r#""jsonrpc":"2.0","jsonrpc":"2.0""#),
            (r#""method":"#, r#""method":"ping","method":"#),
            (r#""params":"#, r#""params":{},"params":"#),
            (r#""name":"echo""#, r#""name":"echo","name":"fail""#),
            (r#""name":"echo""#, r#""name":"echo","n\u0061me":"fail""#),
            (r#""arguments":{}"#, r#""arguments":{},"arguments":{}"#),
        ] {
            let twice = text.replacen(from, to, 1);
            assert_ne!(twice, text);
            let (code, _) = broken(&client, &twice);
            assert!(matches!(code, -32600 | -32602), "{era:?} {to}: {code}");
        }
        still_serves(&client);
    }
    assert_eq!(
        gateway
            .client(ERAS[0])
            .tool("count", r#"{"tool":"fail"}"#)
            .text(),
        "0"
    );
}

#[test]
fn a_message_is_one_object_of_json_rpc_2() {
    let gateway = gateway();
    for era in ERAS {
        let client = gateway.client(era);
        let good = client.text("73", "tools/call", &tool("echo", "{}"), false);
        for (text, code) in [
            ("{".to_owned(), -32700),
            ("not json".to_owned(), -32700),
            (format!("{good}{good}"), -32700),
            (good.replacen("{}", "{\"a\":\u{1}}", 1), -32700),
            ("[]".to_owned(), -32600),
            (format!("[{good}]"), -32600),
            ("7".to_owned(), -32600),
            ("\"text\"".to_owned(), -32600),
            ("null".to_owned(), -32600),
            ("{}".to_owned(), -32600),
            (good.replacen("\"2.0\"", "\"1.0\"", 1), -32600),
            (good.replacen("\"2.0\"", "2.0", 1), -32600),
            (good.replacen("\"tools/call\"", "7", 1), -32600),
        ] {
            assert_eq!(broken(&client, &text).0, code, "{era:?} {text}");
        }
        still_serves(&client);
    }
}

#[test]
fn params_are_an_object() {
    let gateway = gateway();
    let client = gateway.client(ERAS[0]);
    for params in ["[]", "7", "\"text\"", "null", "true"] {
        let answer = client.ask("tools/call", params);
        let (code, _) = answer.fault();
        assert!(matches!(code, -32600 | -32602), "{params}: {answer:?}");
    }
    assert_eq!(at(&client.ask("ping", "{}").0, &["result"]), "{}");
    still_serves(&client);
}
