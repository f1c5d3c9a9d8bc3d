//! Lists: whole, in pages, as the servers wrote them.

use super::start;
use crate::support::client::{Client, ERAS, Era};
use crate::support::json::{at, items, member, quote, string};
use crate::support::setup::{ODDS, Odd, Setup};

fn names(list: &str) -> Vec<String> {
    let tools = items(&at(list, &["tools"]));
    tools
        .iter()
        .map(|tool| string(&at(tool, &["name"])))
        .collect()
}

/// All pages of the list of tools.
fn pages(client: &Client) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut params = "{}".to_owned();
    loop {
        let page = client.ask("tools/list", &params).result();
        pages.push(names(&page));
        let Some(cursor) = member(&page, "nextCursor") else {
            return pages;
        };
        params = format!(r#"{{"cursor":{cursor}}}"#);
        assert!(pages.len() < 20, "there is no end to it");
    }
}

#[test]
fn every_tool_is_listed_in_every_combination_of_eras() {
    for odd in ODDS {
        let gateway = start(Setup::of(odd));
        for era in ERAS {
            let list = client_list(&gateway.client(era));
            let found = names(&list);
            assert_eq!(found.len(), 16, "{odd:?} {era:?}: {found:?}");
            assert!(found.contains(&"echo".to_owned()));
            let hints = ["resultType", "ttlMs", "cacheScope"].map(|name| member(&list, name));
            match era {
                Era::Legacy => assert_eq!(hints, [None, None, None], "{odd:?}: {list}"),
                Era::Modern => {
                    let [kind, ttl, scope] = hints.map(Option::unwrap_or_default);
                    // Nobody is treated apart here, so what the server says of all is true.
                    let says = match odd.era {
                        Era::Legacy => "\"private\"",
                        Era::Modern => "\"public\"",
                    };
                    assert_eq!((kind.as_str(), scope.as_str()), ("\"complete\"", says));
                    assert_eq!(ttl, "0");
                }
            }
        }
    }
}

fn client_list(client: &Client) -> String {
    client.ask("tools/list", "{}").result()
}

#[test]
fn a_long_list_comes_in_pages_that_fit_together() {
    let odd = Odd::stdio(Era::Modern);
    let gateway = start(Setup::new().odd("odd", odd, &["--many", "2500"], ""));
    for era in ERAS {
        let client = gateway.client(era);
        let pages = pages(&client);
        assert!(pages.len() > 1, "{era:?}");
        let all = pages.concat();
        assert_eq!(all.len(), 2516);
        let mut once = all.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), all.len(), "a tool is on two pages");
        let name = "tool_02499";
        assert_eq!(client.tool(name, "{}").text(), name);
        for cursor in ["\"no such cursor\"", "\"\"", "7", "null"] {
            let answer = client.ask("tools/list", &format!(r#"{{"cursor":{cursor}}}"#));
            assert_eq!(answer.fault().0, -32602, "{cursor}");
        }
    }
}

#[test]
fn two_servers_have_names_of_their_own() {
    let setup = Setup::new()
        .odd("left", Odd::stdio(Era::Legacy), &[], "")
        .odd("right", Odd::stdio(Era::Modern), &[], "");
    let gateway = start(setup);
    for era in ERAS {
        let client = gateway.client(era);
        let found = names(&client_list(&client));
        assert_eq!(found.len(), 32);
        for server in ["left", "right"] {
            let name = format!("{server}__echo");
            assert!(found.contains(&name), "{found:?}");
            let arguments = format!(r#"{{"to":{}}}"#, quote(server));
            assert_eq!(client.tool(&name, &arguments).text(), arguments);
        }
        assert_eq!(client.tool("echo", "{}").fault().0, -32602);
    }
}

#[test]
fn a_server_that_is_not_there_does_not_take_the_others_with_it() {
    let setup = Setup::new()
        .odd("here", Odd::stdio(Era::Modern), &[], "")
        .command("gone", "no-such-command", &[]);
    let gateway = start(setup);
    for era in ERAS {
        let client = gateway.client(era);
        let found = names(&client_list(&client));
        assert_eq!(found.len(), 16, "{found:?}");
        assert_eq!(client.tool("here__echo", "{}").text(), "{}");
        assert_eq!(client.tool("gone__echo", "{}").fault().0, -32602);
    }
    gateway
        .process
        .stderr
        .with("`no-such-command` was not found in PATH");
}
