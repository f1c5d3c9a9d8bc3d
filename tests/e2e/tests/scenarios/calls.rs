//! Calls: what goes in and what comes out.

use super::start;
use crate::support::client::{ERAS, Era};
use crate::support::json::{at, items, member, members};
use crate::support::setup::{ODDS, Setup};
use crate::support::vendor;

/// A payload whose text any decoding and encoding would change.
const ODD: &str = r#"{"z":1.0,"a":1e5,"big":123456789012345678901234567890,"minus":-0,"é":"\u00e9\/","x":{"b":[],"a":null}}"#;

#[test]
fn arguments_and_structured_content_pass_as_they_were_written() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for era in ERAS {
            let client = gateway.client(era);
            assert_eq!(client.tool("echo", ODD).text(), ODD, "{odd:?} {era:?}");
            assert_eq!(client.ask("tools/call", r#"{"name":"echo"}"#).text(), "{}");
            let result = client.tool("structured", ODD).result();
            assert_eq!(at(&result, &["structuredContent"]), ODD, "{odd:?} {era:?}");
        }
    }
}

/// The members of a result that are not the hop's own, and of `_meta` those that are not.
fn payload(result: &str) -> Vec<(String, String)> {
    let hop = "io.modelcontextprotocol/serverInfo";
    let mut payload = Vec::new();
    for (name, value) in members(result) {
        match name.as_str() {
            "resultType" => {}
            "_meta" => {
                let rest = members(&value).into_iter().filter(|(name, _)| name != hop);
                payload.extend(rest.map(|(name, value)| (format!("_meta {name}"), value)));
            }
            _ => payload.push((name, value)),
        }
    }
    payload
}

#[test]
fn vendor_members_pass_as_they_were_written() {
    let expected = payload(&format!("{{{}}}", vendor::RESULT));
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for era in ERAS {
            let client = gateway.client(era);
            let result = client.tool("vendor", "{}").result();
            let mut found = payload(&result);
            if era == Era::Modern {
                // The hop's own members go first, and `_meta` with them.
                let place = |name: &str| expected.iter().position(|(other, _)| other == name);
                found.sort_by_key(|(name, _)| place(name));
                assert_eq!(member(&result, "resultType").unwrap(), "\"complete\"");
            }
            assert_eq!(found, expected, "{odd:?} {era:?}");

            let tools = items(&at(&client.ask("tools/list", "{}").result(), &["tools"]));
            assert!(
                tools.iter().any(|tool| tool == vendor::DEFINITION),
                "{odd:?} {era:?}: {tools:?}"
            );
        }
    }
}

#[test]
fn a_tool_that_fails_and_an_error_are_handed_on() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for era in ERAS {
            let client = gateway.client(era);
            let failed = client.tool("fail", "{}");
            assert_eq!(failed.text(), "it did not work", "{odd:?} {era:?}");
            assert_eq!(at(&failed.result(), &["isError"]), "true");
            assert_eq!(
                client.tool("rpc_error", "{}").error(),
                vendor::ERROR,
                "{odd:?} {era:?}"
            );
        }
    }
}

#[test]
fn fifty_calls_at_once_each_get_their_own_answer() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for era in ERAS {
            let client = gateway.client(era);
            let key = format!("{era:?}");
            let arguments = |n: usize| format!(r#"{{"n":{n},"steps":1,"key":"{key}"}}"#);
            let mut calls: Vec<_> = (0..50)
                .map(|n| (n, client.begin_tool("slow", &arguments(n))))
                .collect();
            let before = ERAS.iter().position(|other| *other == era).unwrap() * 50;
            gateway.wait_for_upstream("called: slow", before + 50);
            client.tool("release", &format!(r#"{{"key":"{key}"}}"#));
            for (n, call) in calls.iter_mut().rev() {
                assert_eq!(call.answer().text(), arguments(*n), "{odd:?} {era:?}");
            }
        }
    }
}

#[test]
fn ids_come_back_as_they_were_written() {
    let gateway = start(Setup::of(ODDS[0]));
    for era in ERAS {
        let client = gateway.client(era);
        for id in [
            "0",
            "-7",
            "123456789012345678901234567890",
            "\"\"",
            "\"text\"",
            "\"1\"",
            r#""\u00e9\/""#,
        ] {
            let params = r#"{"name":"echo","arguments":{}}"#;
            let mut call = client.begin_as(id, "tools/call", params, false);
            assert_eq!(call.answer().text(), "{}", "{era:?} {id}");
        }
    }
}

#[test]
fn only_servers_whose_revision_has_types_of_results_are_believed_and_only_those_that_are_known() {
    let asks = r#""resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}}"#;
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for era in ERAS {
            let client = gateway.client(era);
            for (kind, why) in [
                (asks, "it asks for `roots/list`"),
                (r#""resultType":"task""#, "task"),
                (r#""resultType":"x/later""#, "it is of the type `x/later`"),
            ] {
                let written = format!(r#"{{"content":[],{kind},"ttlMs":1.0,"x":1e5}}"#);
                let answer = client.tool("vendor", &written);
                let is_later = kind.contains("x/later");
                if odd.era == Era::Legacy && era == Era::Legacy && is_later {
                    // It says nothing to either of them.
                    assert_eq!(answer.result(), r#"{"content":[],"x":1e5}"#, "{odd:?}");
                } else if odd.era == Era::Modern || era == Era::Legacy {
                    let (code, says) = answer.fault();
                    assert_eq!(code, -31004, "{odd:?} {era:?} {kind}");
                    assert!(
                        says.contains("cannot be told to this client: it "),
                        "{says}"
                    );
                    let is_believed = odd.era == Era::Modern;
                    assert!(!is_believed || says.contains(why), "{says}");
                } else {
                    let result = answer.result();
                    assert_eq!(member(&result, "resultType").unwrap(), "\"complete\"");
                    let mut expected = payload(&written);
                    expected.sort();
                    let mut found = payload(&result);
                    found.sort();
                    assert_eq!(found, expected, "{odd:?}");
                }
            }
        }
    }
}
