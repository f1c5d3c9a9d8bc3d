//! Whatever the arguments are: the path has as many segments, each parameter stays its own.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{call, operation};
use crate::rest::Operation;

fn odd() -> Operation {
    let parameter = |name: &str, place: &str, style: &str, explode: bool| json!({ "name": name, "in": place, "required": place == "path", "style": style, "explode": explode, "schema": {} });
    operation(
        "/a/{s}/{l}.{l2}/b/{m}{m2}/c",
        "post",
        &json!({
            "security": [{ "key": [], "cookie": [] }],
            "parameters": [
                parameter("s", "path", "simple", false),
                parameter("l", "path", "label", false),
                parameter("l2", "path", "label", true),
                parameter("m", "path", "matrix", true),
                parameter("m2", "path", "simple", true),
                parameter("q", "query", "form", true),
                parameter("f", "query", "form", false),
                parameter("d", "query", "deepObject", true),
                parameter("p", "query", "pipeDelimited", false),
                json!({ "name": "r", "in": "query", "allowReserved": true, "schema": {} }),
                json!({ "name": "ro", "in": "query", "allowReserved": true, "explode": false, "schema": {} }),
                json!({ "name": "j", "in": "query", "content": { "application/json": {} } }),
                json!({ "name": "X-H", "in": "header", "schema": {} }),
                json!({ "name": "c", "in": "cookie", "schema": {} }),
            ],
            "requestBody": { "content": { "multipart/form-data": { "schema": { "type": "object" } } } },
        }),
    )
}

const PATH: [&str; 5] = ["s", "l", "l2", "m", "m2"];
const OWN: [&str; 8] = ["q", "f", "d", "p", "r", "ro", "j", "api_key"];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[./\\\\%2eEfF;=&#?+\\[\\]|, \r\n\u{0}]{0,8}",
        "\\PC{0,6}",
        prop::sample::select(vec![
            "..",
            ".",
            "",
            "q",
            "api_key",
            "sid",
            "f",
            "d[x]",
            "%2e%2e",
            "../x",
            "1&api_key=2",
            "x&q=1",
            "a#b",
            "a;q=1",
            "a;sid=1",
            "a; sid=1",
            "a,f=b"
        ])
        .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What a server that reads the raw query finds.
fn names_of(query: &str) -> Vec<String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let name = pair.split('=').next().unwrap();
            String::from_utf8(crate::rest::text::percent_decode(name)).unwrap()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn no_value_changes_the_path_or_another_parameter(
        path in prop::collection::vec(value(), 5),
        others in prop::collection::vec((prop::sample::select(vec!["q", "f", "d", "p", "r", "ro", "j", "X-H", "c", "body"]), value()), 0..8),
    ) {
        let mut arguments = serde_json::Map::new();
        for (name, value) in PATH.iter().zip(path) {
            arguments.insert((*name).to_owned(), value);
        }
        for (name, value) in others {
            arguments.insert(name.to_owned(), value);
        }
        let operation = odd();
        let given: Vec<String> = arguments.keys().cloned().collect();
        // Not every value can be sent; what is sent is what was meant.
        if let Ok(parts) = call(&operation, &Value::Object(arguments)) {
            let (path, query) = parts.endpoint.split_once('?').unwrap_or((&parts.endpoint, ""));
            let segments: Vec<&str> = path.split('/').collect();
            prop_assert_eq!(segments.len(), 7, "{}", path);
            prop_assert_eq!((segments[1], segments[4], segments[6]), ("a", "b", "c"));
            for segment in &segments[1..] {
                let plain = segment.split(';').next().unwrap();
                let decoded = crate::rest::text::percent_decode(plain);
                prop_assert!(!segment.is_empty() && decoded != b"." && decoded != b"..", "{}", path);
            }
            let is_uri = |c: u8| c.is_ascii_graphic() && !b"\"<>\\^`{}|#[]".contains(&c);
            prop_assert!(parts.endpoint.bytes().all(is_uri), "{}", parts.endpoint);
            let pairs = parts.query.iter().map(|(name, _)| name.clone());
            for name in pairs.chain(names_of(query)) {
                // The members of `q` are parameters of their own; none of them is one that has a name.
                let is_own = given.contains(&name) || (name.starts_with("d[") && given.contains(&"d".to_owned()));
                let of = OWN.contains(&name.as_str());
                prop_assert!(is_own || !of, "{} is nobody's", name);
            }
            for (name, value) in &parts.headers {
                prop_assert!(["X-H", "cookie"].contains(&name.as_str()));
                prop_assert!(value.bytes().all(|c| c == b'\t' || (b' '..=b'~').contains(&c)));
                for cookie in value.split("; ").filter(|_| name == "cookie") {
                    prop_assert!(!cookie.starts_with("sid="), "{}", value);
                }
            }
        }
    }
}
