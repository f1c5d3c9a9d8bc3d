//! The corpus of attacks and of legal requests.

use std::collections::BTreeMap;

use bytes::Bytes;
use mcp_gw_upstream::egress::{PartsBody, RequestParts};
use serde_json::Value;

use crate::{base, strict};

const ATTACKS: &str = include_str!("corpus/attacks.jsonl");
const LEGAL: &str = include_str!("corpus/legal.jsonl");

fn cases(corpus: &str) -> Vec<Value> {
    let lines = corpus.lines().filter(|line| line.starts_with('{'));
    // A case that is only a pattern of repetition is JSON too.
    lines
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

/// `{a*3}` is `aaa`.
fn text(value: &Value) -> String {
    let text = value.as_str().unwrap();
    let repeated = |rest: &str| {
        let (pattern, end) = rest.split_once('}')?;
        let (again, times) = pattern.split_once('*')?;
        Some((again.repeat(times.parse().ok()?), end.to_owned()))
    };
    match text.split_once('{') {
        Some((before, rest)) => match repeated(rest) {
            Some((again, end)) => format!("{before}{again}{end}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    }
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let all = value.as_array().map_or(&[][..], Vec::as_slice);
    all.iter()
        .map(|pair| (text(&pair[0]), text(&pair[1])))
        .collect()
}

fn parts(case: &Value) -> RequestParts {
    let or = |key: &str, other: &str| case.get(key).map_or_else(|| other.to_owned(), text);
    let many = |key: &str| {
        let count = case[key].as_u64().unwrap_or(0);
        (0..count).map(|n| (format!("if-{n}"), "x".to_owned()))
    };
    let body = |body: &Value| PartsBody {
        content_type: text(&body[0]),
        bytes: Bytes::from(text(&body[1])),
    };
    RequestParts {
        method: or("method", "GET"),
        endpoint: or("endpoint", "/users"),
        query: pairs(&case["query"])
            .into_iter()
            .chain(many("many_query"))
            .collect(),
        headers: pairs(&case["headers"])
            .into_iter()
            .chain(many("many_headers"))
            .collect(),
        body: case.get("body").map(body),
    }
}

#[test]
fn every_attack_is_refused_by_its_rule() {
    let rules = strict(base("https://api.example.com/v1"));
    let cases = cases(ATTACKS);
    let mut wrong = Vec::new();
    let mut counts = BTreeMap::<String, usize>::new();
    for case in &cases {
        let expected = (
            case["rule"].as_str().unwrap(),
            case["code"].as_str().unwrap(),
        );
        let checked = rules.check(parts(case));
        match &checked {
            Ok(checked) => wrong.push(format!("{case}\n  passed as {}", checked.target())),
            Err(refusal) if (refusal.rule, refusal.code.as_str()) != expected => {
                wrong.push(format!("{case}\n  {refusal:?}"));
            }
            Err(refusal) => {
                // What is said is short, in one line, and in characters that do no harm.
                assert!(refusal.message.len() < 400, "{case}");
                assert!(!refusal.message.contains(char::is_control), "{case}");
            }
        }
        *counts.entry(expected.0.to_owned()).or_default() += 1;
    }
    println!("{} attacks: {counts:?}", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= 200);
}

#[test]
fn every_legal_request_goes_out_as_it_was_asked_for() {
    let rules = strict(base("https://api.example.com/v1"));
    let cases = cases(LEGAL);
    for case in &cases {
        let parts = parts(case);
        let checked = rules.check(parts.clone());
        let checked = checked.unwrap_or_else(|refusal| panic!("{case}\n{refusal:?}"));
        assert_eq!(checked.target(), text(&case["target"]), "{case}");
        assert_eq!(checked.method().as_str(), parts.method, "{case}");
        assert_eq!(
            checked.uri().authority().unwrap(),
            "api.example.com",
            "{case}"
        );
        for (name, value) in &parts.headers {
            let sent = checked.headers().get(name.to_ascii_lowercase()).unwrap();
            assert_eq!(sent.to_str().unwrap(), value, "{case}");
        }
        let body = parts.body.map(|body| body.bytes).unwrap_or_default();
        assert_eq!(checked.body(), &*body, "{case}");
    }
    assert!(cases.len() >= 60);
}

#[test]
fn empty_segments_pass_where_the_api_has_them_and_dots_do_not() {
    let rules = strict(base("https://api.example.com/v1")).with_allow_empty_segments(true);
    for endpoint in ["/a//b", "/a///", "/a/;x/b"] {
        assert!(rules.check(crate::get(endpoint)).is_ok(), "{endpoint}");
    }
    for endpoint in ["/a//../admin", "/;//admin/x", "/admin//", "/.//admin"] {
        assert!(rules.check(crate::get(endpoint)).is_err(), "{endpoint}");
    }
    for endpoint in ["//a", "/a//../b", "/a/;/../b", "//"] {
        assert!(rules.check(crate::get(endpoint)).is_err(), "{endpoint}");
    }
}

#[test]
fn only_listed_paths_pass_and_in_every_reading() {
    let glob = |text| mcp_gw_core::Glob::parse(text).unwrap();
    let rules =
        strict(base("https://api.example.com/v1")).with_paths(["/public/*", "/users"].map(glob));
    for endpoint in [
        "/public/a",
        "/public/a/b?x=1",
        "/users",
        "/public/100%25",
        "/users?a=/x",
    ] {
        assert!(rules.check(crate::get(endpoint)).is_ok(), "{endpoint}");
    }
    for endpoint in [
        "/",
        "/publi",
        "/private",
        "/users/1",
        "/Users",
        "/public;/../x",
        "/%75sers;x",
    ] {
        assert!(rules.check(crate::get(endpoint)).is_err(), "{endpoint}");
    }
}

#[test]
fn cookies_pass_only_where_an_api_has_parameters_in_them() {
    let parts = |name: &str| mcp_gw_upstream::egress::RequestParts {
        headers: vec![(name.to_owned(), "a=b".to_owned())],
        ..crate::get("/")
    };
    let rules = strict(base("https://api.example.com"));
    assert!(rules.check(parts("Cookie")).is_err());
    let rules = rules.with_allow_cookie(true);
    assert_eq!(
        rules.check(parts("Cookie")).unwrap().headers()["cookie"],
        "a=b"
    );
    assert!(rules.check(parts("Cookie2")).is_err());
    let taken = rules.with_credential_headers([http::header::COOKIE]);
    assert!(taken.check(parts("cookie")).is_err());
}
