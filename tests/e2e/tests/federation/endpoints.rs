//! Parts of a gateway at paths of their own, and that none is a way around anything.

use super::{client_at, listed, read, tools, two};
use crate::support::client::{Client, ERAS, Era};
use crate::support::http::JSON;
use crate::support::json::{at, string};
use crate::support::setup::Setup;

const READING: &str = "endpoints: { reading: { servers: [two], tools: [\"one__ec*\"], instructions: Read. }, links: { tools: [\"*__link\"], resources: [\"one+file:///d/*\"] } }";
const KEYS: &str = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef }, { id: bob, key: bob-0123456789abcdef, tools: [one__echo, \"two__*\"] }] }";
const ANN: Option<&str> = Some("ann-0123456789abcdef");
const BOB: Option<&str> = Some("bob-0123456789abcdef");

fn with_endpoints() -> Setup {
    two("", "").with(READING)
}

#[test]
fn each_server_has_an_endpoint_and_so_has_each_part() {
    let gateway = with_endpoints().over_http();
    for era in ERAS {
        let at_endpoint = |name| client_at(gateway.endpoint_at(name), None, era);
        let one = at_endpoint("one");
        let names = tools(&one);
        assert_eq!(names.len(), 18);
        assert!(names.contains(&"echo".to_owned()));
        assert_eq!(one.tool("echo", r#"{"a":1.0}"#).text(), r#"{"a":1.0}"#);
        assert_eq!(one.tool("one__echo", "{}").fault().0, -32602);
        assert_eq!(listed(&one, "prompts/list", "prompts", "name"), ["p"]);

        let reading = at_endpoint("reading");
        let names = tools(&reading);
        assert_eq!(names.len(), 19);
        assert_eq!(names[0], "one__echo");
        assert_eq!(reading.tool("one__echo", "{}").text(), "{}");
        assert_eq!(reading.tool("one__link", "{}").fault().0, -32602);
        assert_eq!(read(&reading, "two+file:///x").1, "two file:///x");

        let links = at_endpoint("links");
        assert_eq!(tools(&links), ["one__link", "two__link"]);
        assert_eq!(read(&links, "one+file:///d/x").1, "one file:///d/x");
        for uri in ["one+file:///a", "two+file:///d/x", "one+file:///d/../a"] {
            let params = format!(r#"{{"uri":"{uri}"}}"#);
            links.ask("resources/read", &params).fault();
        }
    }
}

/// What a client is told first.
fn instructions(client: &Client) -> String {
    let result = client.ask("server/discover", "{}").result();
    string(&at(&result, &["instructions"]))
}

#[test]
fn endpoints_have_words_of_their_own() {
    let gateway = with_endpoints()
        .with("instructions: Everything.")
        .over_http();
    let says = |name: &str| instructions(&client_at(gateway.endpoint_at(name), None, Era::Modern));
    assert_eq!(instructions(&gateway.client(Era::Modern)), "Everything.");
    assert_eq!(says("reading"), "Read.");
    assert_eq!(says("one"), "Be odd: echo.");
    assert_eq!(says("links"), "Server `one` says:\nBe odd: echo.");
}

#[test]
fn a_session_is_of_the_endpoint_where_it_began() {
    let gateway = with_endpoints().over_http();
    let (main, one) = (gateway.endpoint().clone(), gateway.endpoint_at("one"));
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.as_bytes();
    let sessions = [
        (main.clone(), gateway.client(Era::Legacy).session.unwrap()),
        (
            one.clone(),
            client_at(one.clone(), None, Era::Legacy).session.unwrap(),
        ),
    ];
    for (began, session) in &sessions {
        for endpoint in [&main, &one, &gateway.endpoint_at("two")] {
            let headers = [&JSON[..], &[("mcp-session-id", session)]].concat();
            let is_there = endpoint.path == began.path;
            let expected = if is_there { 200 } else { 404 };
            let reply = endpoint.send("POST", &headers, body);
            assert_eq!(reply.status, expected, "{}", endpoint.path);
            if !is_there {
                assert_eq!(endpoint.send("DELETE", &headers, b"").status, 404);
            }
        }
    }
}

#[test]
fn no_endpoint_is_a_way_around_a_rule() {
    let gateway = with_endpoints().with(KEYS).over_http();
    let unknown = gateway.endpoint_at("none").send("POST", &JSON, b"{}");
    assert_eq!(unknown.status, 401, "who may be here comes first");
    for era in ERAS {
        let bob = |name| client_at(gateway.endpoint_at(name), BOB, era);
        let (one, links) = (bob("one"), bob("links"));
        assert_eq!(tools(&one), ["echo"]);
        assert_eq!(one.tool("echo", "{}").text(), "{}");
        let denied = one.tool("link", "{}").fault();
        let unknown = one.tool("lunk", "{}").fault();
        assert_eq!(denied.1, unknown.1.replace("lunk", "link"));
        assert_eq!(tools(&links), ["two__link"]);
        assert_eq!(links.tool("one__link", "{}").fault().0, -32602);
        for client in [&one, &links, &bob("two")] {
            for uri in ["file:///a", "one+file:///d/x", "two+file:///a"] {
                let params = format!(r#"{{"uri":"{uri}"}}"#);
                client.ask("resources/read", &params).fault();
            }
            let prompt = client.ask("prompts/get", r#"{"name":"p"}"#);
            prompt.fault();
        }
        let ann = client_at(gateway.endpoint_at("one"), ANN, era);
        ann.tool("link", "{}").result();
    }
}

#[test]
fn the_audit_log_knows_one_name_for_each_thing() {
    let gateway = with_endpoints().over_http();
    for (endpoint, name) in [("one", "echo"), ("reading", "one__echo")] {
        client_at(gateway.endpoint_at(endpoint), None, Era::Modern).tool(name, "{}");
    }
    gateway.client(Era::Modern).tool("one__echo", "{}");
    read(
        &client_at(gateway.endpoint_at("two"), None, Era::Modern),
        "file:///x",
    );
    let lines = gateway.audit(4);
    let names = lines
        .iter()
        .map(|line| (string(&at(line, &["name"])), string(&at(line, &["server"]))));
    let owned = |name: &str, server: &str| (name.to_owned(), server.to_owned());
    let expected = [
        owned("one__echo", "one"),
        owned("one__echo", "one"),
        owned("one__echo", "one"),
        owned("two+file:///x", "two"),
    ];
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[test]
fn a_limit_counts_whatever_endpoint_is_used() {
    let limit = "limits: { calls_per_minute: 3 }";
    let gateway = with_endpoints().with(limit).over_http();
    let ends = ["one", "two", "one"];
    for endpoint in ends {
        let client = client_at(gateway.endpoint_at(endpoint), None, Era::Modern);
        client.tool("echo", "{}").result();
    }
    let last = client_at(gateway.endpoint_at("reading"), None, Era::Modern);
    assert_eq!(last.tool("two__echo", "{}").fault().0, -31001);
}

#[test]
fn one_endpoint_can_be_served_over_standard_streams() {
    for era in ERAS {
        let gateway = with_endpoints().over_stdio_with(&["--endpoint", "one"]);
        let client = gateway.client(era);
        assert_eq!(tools(&client).len(), 18);
        assert_eq!(client.tool("echo", "{}").text(), "{}");
        assert_eq!(read(&client, "file:///x").0, "file:///x");
        let gateway = with_endpoints().over_stdio_with(&["--endpoint", "links"]);
        assert_eq!(tools(&gateway.client(era)), ["one__link", "two__link"]);
    }
    let mut gateway = with_endpoints().over_stdio_with(&["--endpoint", "none"]);
    let (code, _, says) = gateway.process.finish();
    assert_eq!(code, Some(1));
    assert!(
        says.contains("there are: links, one, reading, two"),
        "{says}"
    );
}
