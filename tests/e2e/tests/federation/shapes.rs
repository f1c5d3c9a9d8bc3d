//! Tools that clients see in another shape than their server gave them.

use super::{tools, two};
use crate::support::client::{ERAS, Era};
use crate::support::json::{at, items};
use crate::support::setup::Setup;
use crate::support::{HTTP_BIN, STDIO_BIN};

const SHAPES: &str = ", tools: { order: { rename: buy, title: Buy, arguments: { account: { fix: \"acc 7\" }, count: { default: 1 } } }, die: { hide: true }, gone: { hide: true } }";

#[test]
fn a_reshaped_tool_is_what_clients_see_and_what_the_server_gets_is_complete() {
    let gateway = two(SHAPES, SHAPES).over_http();
    for era in ERAS {
        let client = gateway.client(era);
        let names = tools(&client);
        assert_eq!(names.len(), 34);
        let list = client.ask("tools/list", "{}").result();
        for me in ["one", "two"] {
            let name = format!("{me}__buy");
            let shown = items(&at(&list, &["tools"]))
                .into_iter()
                .find(|tool| at(tool, &["name"]) == format!("{name:?}"))
                .unwrap();
            assert_eq!(
                shown,
                format!(
                    r#"{{"name":"{name}","x-vendor":1.0,"inputSchema":{{"type":"object","properties":{{"item":{{"type":"string"}},"count":{{"type":"integer","default":1}}}},"required":["item"],"additionalProperties":false}},"title":"Buy"}}"#
                )
            );
            let arguments = r#"{"item":"i","account":"evil","n":1.0}"#;
            let text = client.tool(&name, arguments).text();
            let taken = r#"{"item":"i","n":1.0,"account":"acc 7","count":1}"#;
            assert!(text.starts_with(taken), "{text}");
            let has_header = text.contains(r#""mcp-param-account":"acc 7""#);
            assert_eq!(has_header, me == "two", "{text}");
            for gone in ["die", "order", "gone"] {
                let (code, _) = client.tool(&format!("{me}__{gone}"), "{}").fault();
                assert_eq!(code, -32602, "{gone}");
            }
        }
    }
    gateway
        .process
        .stderr
        .with("one: the server has no tool `gone`, which `tools` is about");
}

#[test]
fn a_fixed_argument_is_fixed_at_every_endpoint() {
    let gateway = two(SHAPES, "").over_http();
    let client = super::client_at(gateway.endpoint_at("one"), None, Era::Modern);
    let text = client.tool("buy", r#"{"account":"evil"}"#).text();
    assert!(
        text.starts_with(r#"{"account":"acc 7","count":1}"#),
        "{text}"
    );
    assert_eq!(client.tool("order", "{}").fault().0, -32602);
}

#[test]
fn a_check_says_what_does_not_fit_when_it_asks() {
    for binary in [HTTP_BIN, STDIO_BIN] {
        let setup = two(SHAPES, ", prefix: never").with("endpoints: { x: { tools: [nothing] } }");
        let (code, says) = setup.check(binary, &["--ask"]);
        assert_eq!(code, Some(0), "{says}");
        for line in [
            "  one: 17 tools",
            "  one: the server has no tool `gone`, which `tools` is about",
            "  two: 18 tools",
            "  `nothing` among the tools of endpoint `x` matches no tool",
        ] {
            assert!(says.lines().any(|found| found == line), "{line}: {says}");
        }
    }
}

#[test]
fn a_check_says_where_the_places_of_a_server_differ_when_it_asks() {
    let differs = |says: &str| says.contains("does not offer the same as");
    let same = Setup::new().odd_places("s", Era::Modern, 2, "");
    let (code, says) = same.check(HTTP_BIN, &["--ask"]);
    assert!(code == Some(0) && !differs(&says), "{says}");
    let places: [&[&str]; 2] = [&[], &["--items", "x"]];
    let other = Setup::new().odd_each("s", Era::Modern, &places, "");
    let (code, says) = other.check(HTTP_BIN, &["--ask"]);
    assert!(code == Some(0) && differs(&says), "{says}");
    assert!(says.contains("it alone has"), "{says}");
}

#[test]
fn headers_that_no_argument_has_reach_the_server_and_none_that_is_fixed() {
    let gateway = two(SHAPES, SHAPES).over_http();
    let endpoint = gateway
        .endpoint()
        .clone()
        .with_header("mcp-param-account", "evil")
        .with_header("mcp-param-region", "=?base64?w6k=?=")
        .with_header("authorization-x", "secret");
    let client = super::client_at(endpoint.clone(), None, Era::Modern);
    let text = client.tool("two__buy", r#"{"item":"i"}"#).text();
    for there in [
        r#""mcp-param-account":"acc 7""#,
        r#""mcp-param-region":"=?base64?w6k=?=""#,
    ] {
        assert!(text.contains(there), "{text}");
    }
    assert!(!text.contains("evil") && !text.contains("secret"), "{text}");
    // Headers say nothing in older revisions.
    let client = super::client_at(endpoint.clone(), None, Era::Legacy);
    let text = client.tool("two__headers", "{}").text();
    assert!(!text.contains("mcp-param"), "{text}");
    // What cannot be handed on is not left out in silence.
    let long = "x".repeat(9 * 1024);
    let endpoint = endpoint.with_header("mcp-param-long", &long);
    let client = super::client_at(endpoint, None, Era::Modern);
    let (code, says) = client.tool("two__headers", "{}").fault();
    assert_eq!(code, -32020, "{says}");
    assert!(says.contains("more than 8 KiB"), "{says}");
}
