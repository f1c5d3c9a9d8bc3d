use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Text near enough to a message that the reader gets somewhere.
fn nearly() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("null"),
        Just("1"),
        Just("-0"),
        Just("1.5"),
        Just("\"x\""),
        Just("\"2.0\""),
        Just("{}"),
        Just("[]"),
        Just("{\"a\":1,\"a\":2}"),
        Just("\"\\ud800\""),
        Just("tru"),
        Just("{\"name\":\"t\",\"arguments\":{\"n\":1e400}}"),
        Just(""),
        Just("\u{feff}1"),
    ];
    let name = prop_oneof![
        Just("jsonrpc"),
        Just("id"),
        Just("method"),
        Just("params"),
        Just("result"),
        Just("error"),
        Just("other"),
        Just("\\u0069d"),
    ];
    prop::collection::vec((name, value), 0..6).prop_map(|members| {
        let members: Vec<_> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

#[test]
fn an_id_is_a_string_or_an_integer_of_bounded_length() {
    let (fits, long) = ("x".repeat(LONGEST_ID - 2), "x".repeat(LONGEST_ID - 1));
    for (id, is_good) in [
        ("1", true),
        ("-0", true),
        ("\"\"", true),
        ("123456789012345678901234567890", true),
        (&*format!("\"{fits}\""), true),
        (&*format!("\"{long}\""), false),
        (&*"9".repeat(LONGEST_ID + 1), false),
        ("1.0", false),
        ("1e3", false),
        ("1e400", false),
        ("null", false),
        ("true", false),
        ("{}", false),
    ] {
        for rest in [r#""method":"ping""#, r#""result":{}"#] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#);
            let read = Message::parse(text.as_bytes());
            let shown: String = text.chars().take(60).collect();
            assert_eq!(read.is_ok(), is_good, "{shown}");
            if let Err(error) = read {
                assert_eq!((error.code, error.id), (code::INVALID_REQUEST, None));
            }
        }
    }
}

/// An object in some of the ways in which one can be written.
fn object() -> impl Strategy<Value = String> {
    let blank = || prop_oneof![3 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t")];
    let name = prop_oneof![
        Just("a"),
        Just("resultType"),
        Just(""),
        Just("\u{e9}"),
        Just("\\u0061"),
        Just("\\\"}"),
    ];
    let value = prop_oneof![
        Just("1e400"),
        Just("\"}{\\\"\""),
        Just("{ \"a\" : [ ] }"),
        Just("\"complete\""),
        Just("[{},\"result\"]"),
        Just("null"),
    ];
    let member = (blank(), name, blank(), blank(), value, blank()).prop_map(
        |(before, name, colon, after, value, end)| {
            format!("{before}\"{name}\"{colon}:{after}{value}{end}")
        },
    );
    (blank(), prop::collection::vec(member, 0..5))
        .prop_map(|(blank, members)| format!("{{{}{blank}}}", members.join(",")))
}

fn shown(result: &RawJson) -> Result<Vec<(String, String)>, String> {
    let members = result.members().map_err(|error| error.message)?;
    let all = members.iter();
    Ok(all
        .map(|(name, value)| (name.to_owned(), value.get().to_owned()))
        .collect())
}

#[test]
fn a_result_of_many_members_is_read_as_any_other() {
    for count in [1, 24, 25, 1000] {
        let members: Vec<_> = (0..count).map(|n| format!("\"m{n}\":{n}")).collect();
        let result = format!("{{{}}}", members.join(","));
        let whole = Bytes::from(format!(r#"{{"jsonrpc":"2.0","result":{result},"id":1}}"#));
        let Ok(Message::Response(response)) = Message::parse(&whole) else {
            panic!("no response");
        };
        let known = response.outcome_in(&whole).unwrap();
        assert_eq!(known.as_str(), result);
        // What is kept beside the text has a bound.
        assert_eq!(known.known().is_some(), count <= 24, "{count}");
        assert_eq!(known.members().unwrap().len(), count);
        assert_eq!(known.member("m0").unwrap().unwrap().as_str(), "0");
    }
}

proptest! {
    /// What is known of a result from the message that it came in is what it says when it is read alone.
    #[test]
    fn members_of_a_result_are_those_of_its_text(
        result in object(),
        is_last in any::<bool>(),
        blank in prop_oneof![Just(""), Just(" \n")],
    ) {
        let head = r#""jsonrpc":"2.0","id":1"#;
        let text = if is_last {
            format!("{blank}{{{head},\"result\":{blank}{result}{blank}}}{blank}")
        } else {
            format!("{{\"result\"{blank}:{result}{blank},{head},\"x\":{{}}}}")
        };
        let whole = Bytes::from(text);
        let Ok(Message::Response(response)) = Message::parse(&whole) else {
            return Err(TestCaseError::fail("no response"));
        };
        let known = response.outcome_in(&whole).unwrap();
        let alone = RawJson::parse(result.clone()).unwrap();
        prop_assert_eq!(known.as_str(), result.as_str());
        prop_assert_eq!(&known, &alone);
        prop_assert_eq!(shown(&known), shown(&alone));
        for name in ["a", "resultType", "", "\u{e9}", "\"}", "b"] {
            prop_assert_eq!(known.member(name).ok(), alone.member(name).ok());
        }
        prop_assert_eq!(shown(&known.detached()), shown(&alone));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Message::parse(&bytes);
    }

    #[test]
    fn what_is_read_is_what_any_other_reader_sees(text in nearly()) {
        let read = Message::parse(text.as_bytes());
        let tree: Option<Value> = serde_json::from_str(&text).ok();
        if let Ok(message) = read {
            let (method, id) = match &message {
                Message::Request(r) => (Some(r.method.to_string()), Some(r.id.get())),
                Message::Notification(n) => (Some(n.method.to_string()), None),
                Message::Response(r) => (None, r.id.map(JsonText::get)),
            };
            let id: Option<Value> = id.and_then(|id| serde_json::from_str(id).ok());
            // Strings that no tree can hold (lone surrogates) stay text in ours.
            if let Some(tree) = tree {
                prop_assert_eq!(tree.get("jsonrpc"), Some(&Value::from("2.0")));
                prop_assert_eq!(tree.get("method").cloned(), method.map(Value::from));
                prop_assert_eq!(tree.get("id").cloned().filter(|id| !id.is_null()), id);
            }
        }
    }
}

#[test]
fn messages_are_told_apart() {
    let request = br#"{"jsonrpc":"2.0","id":"\u00e9","method":"tools\/call","params":{"a":1.0}}"#;
    let Ok(Message::Request(request)) = Message::parse(request) else {
        panic!()
    };
    assert_eq!(request.id.get(), r#""\u00e9""#);
    assert_eq!(request.method, "tools/call");
    assert_eq!(request.params.get("a").unwrap().get(), "1.0");

    let note = br#"{"method":"x","jsonrpc":"2.0","vendor":[1]}"#;
    assert!(matches!(Message::parse(note), Ok(Message::Notification(_))));
    let answer = br#"{"jsonrpc":"2.0","id":12345678901234567890,"result":null}"#;
    let Ok(Message::Response(answer)) = Message::parse(answer) else {
        panic!()
    };
    assert_eq!(answer.id.unwrap().get(), "12345678901234567890");
    let error = br#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#;
    let Ok(Message::Response(error)) = Message::parse(error) else {
        panic!()
    };
    assert!(error.id.is_none() && error.outcome.is_err());
}

#[test]
fn params_that_are_no_object_are_seen_without_failing_the_envelope() {
    for params in [
        "[1,{}]", "null", "true", "7", "-7", "1.5", "\"x\"", "\"\\n\"",
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}}"#);
        let Ok(Message::Request(request)) = Message::parse(text.as_bytes()) else {
            panic!()
        };
        assert!(matches!(request.params, Params::Other), "{params}");
    }
}

#[test]
fn what_is_not_json_rpc_gets_its_code() {
    for (text, expected) in [
        ("", code::PARSE_ERROR),
        ("{", code::PARSE_ERROR),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m"} x"#,
            code::PARSE_ERROR,
        ),
        ("[]", code::INVALID_REQUEST),
        ("7", code::INVALID_REQUEST),
        ("{}", code::INVALID_REQUEST),
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#,
            code::INVALID_REQUEST,
        ),
        (r#"{"id":1,"method":"m"}"#, code::INVALID_REQUEST),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.0,"method":"m"}"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1e3,"method":"m"}"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","method":"n"}"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{},"params":{}}"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":1,"a":2}}"#,
            code::INVALID_REQUEST,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#,
            code::INVALID_REQUEST,
        ),
        (r#"{"jsonrpc":"2.0","id":1}"#, code::INVALID_REQUEST),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#,
            code::INVALID_REQUEST,
        ),
        (r#"{"jsonrpc":"2.0","result":1}"#, code::INVALID_REQUEST),
    ] {
        assert_eq!(
            Message::parse(text.as_bytes()).unwrap_err().code,
            expected,
            "{text}"
        );
    }
    assert!(Message::parse(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}").is_err());
}

#[test]
fn a_faulty_message_is_answered_under_its_id_when_that_can_be_read() {
    let error = Message::parse(br#"{"jsonrpc":"2.0","id":7,"method":1}"#).unwrap_err();
    assert_eq!(error.id.unwrap().as_str(), "7");
    let twice = br#"{"jsonrpc":"2.0","id":7,"result":1,"result":2}"#;
    assert_eq!(Message::parse(twice).unwrap_err().id.unwrap().as_str(), "7");
    let ids = br#"{"jsonrpc":"2.0","id":7,"id":8,"result":1}"#;
    assert_eq!(Message::parse(ids).unwrap_err().id, None);
}

#[test]
fn written_messages_read_back() {
    let id = RawJson::parse("7").unwrap();
    let text = super::request(&id, "m", &RawJson::empty_object());
    assert!(matches!(
        Message::parse(text.as_bytes()),
        Ok(Message::Request(_))
    ));
    let object = error_object(-32601, "no \"m\"", None);
    let text = super::error(Some(&id), &object);
    assert_eq!(
        text.as_str(),
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no \"m\""}}"#
    );
}
