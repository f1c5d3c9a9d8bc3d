//! Two real servers behind one gateway: whose names, whose URIs, which endpoint, whose fault.

mod endpoints;
mod lists;
mod shapes;
mod uris;

use std::sync::Arc;

use crate::support::client::{Client, Era, Wire};
use crate::support::http::Endpoint;
use crate::support::json::{at, items, string};
use crate::support::setup::{Odd, Setup};

/// An old server over standard streams as `one`, a new one over HTTP as `two`, with this YAML each.
fn two(one_yaml: &str, two_yaml: &str) -> Setup {
    let (one, two) = (Odd::stdio(Era::Legacy), Odd::http(Era::Modern));
    Setup::new()
        .odd("one", one, &["--items", "one"], one_yaml)
        .odd("two", two, &["--items", "two"], two_yaml)
}

/// A client of another endpoint, perhaps with a key.
fn client_at(endpoint: Endpoint, key: Option<&str>, era: Era) -> Client {
    let endpoint = match key {
        None => endpoint,
        Some(key) => endpoint.with_header("authorization", &format!("Bearer {key}")),
    };
    let wire: Arc<dyn Wire> = Arc::new(endpoint);
    Client::open(&wire, era)
}

/// What a list calls its items.
#[track_caller]
fn listed(client: &Client, method: &str, member: &str, key: &str) -> Vec<String> {
    let list = client.ask(method, "{}").result();
    let found = items(&at(&list, &[member]));
    found.iter().map(|item| string(&at(item, &[key]))).collect()
}

#[track_caller]
fn tools(client: &Client) -> Vec<String> {
    listed(client, "tools/list", "tools", "name")
}

/// `uri` and text of the first content of a read.
#[track_caller]
fn read(client: &Client, uri: &str) -> (String, String) {
    let params = format!(r#"{{"uri":"{uri}"}}"#);
    let contents = at(
        &client.ask("resources/read", &params).result(),
        &["contents"],
    );
    let first = items(&contents).remove(0);
    (
        string(&at(&first, &["uri"])),
        string(&at(&first, &["text"])),
    )
}
