//! URIs of two servers that call their resources the same.

use super::{client_at, listed, read, two};
use crate::support::client::{Client, ERAS, Era};
use crate::support::json::{at, items};

const LINKS: &str = r#"[{"type":"resource_link","uri":"file:///new","name":"n","v":1.0},{"type":"resource","resource":{"uri":"file:///a","text":"uri"}},{"type":"text","text":"\"uri\":\"file:///a\""}]"#;

/// The content of what `tool` answers, and what it structures.
fn links(client: &Client, tool: &str) -> (String, String) {
    let result = client.tool(tool, "{}").result();
    let structured = at(&result, &["structuredContent"]);
    (at(&result, &["content"]), structured)
}

#[test]
fn uris_say_whose_they_are_and_lead_there() {
    for gateway in [two("", "").over_http(), two("", "").over_stdio()] {
        for era in ERAS {
            let client = gateway.client(era);
            assert_eq!(
                listed(&client, "resources/list", "resources", "uri"),
                [
                    "one+file:///a",
                    "ui://one__page",
                    "two+file:///a",
                    "ui://two__page"
                ]
            );
            let templates = "resources/templates/list";
            assert_eq!(
                listed(&client, templates, "resourceTemplates", "uriTemplate"),
                ["one+file:///d/{name}", "two+file:///d/{name}"]
            );
            for (uri, own) in [
                ("file:///a", "one file:///a"),
                ("file:///d/x", "one file:///d/x"),
                ("file:///no/list/names/it", "one file:///no/list/names/it"),
            ] {
                for me in ["one", "two"] {
                    let shown = format!("{me}+{uri}");
                    let found = read(&client, &shown);
                    assert_eq!(found, (shown, own.replace("one", me)));
                }
            }
            let page = read(&client, "ui://two__page");
            assert_eq!(
                page,
                ("ui://two__page".to_owned(), "two ui://page".to_owned())
            );
            for uri in [
                "file:///a",
                "three+file:///a",
                "two+ui://page",
                "two+file:///d/../a",
            ] {
                let params = format!(r#"{{"uri":"{uri}"}}"#);
                let (code, says) = client.ask("resources/read", &params).fault();
                let expected = if era == Era::Modern { -32602 } else { -32002 };
                assert_eq!(code, expected, "{uri}: {says}");
            }
        }
    }
}

#[test]
fn links_in_results_lead_to_their_server_and_words_stay() {
    let gateway = two("", "").over_http();
    for era in ERAS {
        let client = gateway.client(era);
        for me in ["one", "two"] {
            let (content, structured) = links(&client, &format!("{me}__link"));
            let expected = LINKS.replace(r#""uri":"file:"#, &format!(r#""uri":"{me}+file:"#));
            assert_eq!(content, expected);
            assert_eq!(structured, r#"{"uri":"file:///a"}"#);
            let got = client
                .ask("prompts/get", &format!(r#"{{"name":"{me}__p"}}"#))
                .result();
            let message = items(&at(&got, &["messages"])).remove(0);
            let uri = at(&message, &["content", "resource", "uri"]);
            assert_eq!(uri, format!(r#""{me}+file:///p""#));
            let reference = format!(
                r#"{{"ref":{{"type":"ref/resource","uri":"{me}+file:///d/{{name}}"}},"argument":{{"name":"name","value":""}}}}"#
            );
            let completed = client.ask("completion/complete", &reference).result();
            assert_eq!(
                at(&completed, &["completion", "values"]),
                r#"["file:///d/{name}"]"#
            );
            let list = client.ask("tools/list", "{}").result();
            let tool = items(&at(&list, &["tools"])).into_iter();
            let name = format!(r#""{me}__link""#);
            let tool = tool
                .into_iter()
                .find(|tool| at(tool, &["name"]) == name)
                .unwrap();
            assert_eq!(
                at(&tool, &["_meta"]),
                format!(r#"{{"ui":{{"resourceUri":"ui://{me}__page"}},"v":1.0}}"#)
            );
        }
    }
}

#[test]
fn uris_can_be_kept_and_are_a_servers_own_at_its_endpoint() {
    let gateway = two(", uris: keep", ", uris: keep").over_http();
    let client = gateway.client(Era::Modern);
    assert_eq!(
        listed(&client, "resources/list", "resources", "uri"),
        ["file:///a", "ui://page"],
        "what another server has too is left out"
    );
    assert_eq!(read(&client, "file:///d/x").1, "one file:///d/x");
    assert_eq!(links(&client, "two__link").0, LINKS);

    let gateway = two("", "").over_http();
    for era in ERAS {
        let client = client_at(gateway.endpoint_at("two"), None, era);
        for uri in ["file:///a", "ui://page", "file:///d/x", "file:///unlisted"] {
            assert_eq!(read(&client, uri), (uri.to_owned(), format!("two {uri}")));
        }
        assert_eq!(links(&client, "link").0, LINKS);
    }
}
