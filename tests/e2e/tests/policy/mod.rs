//! The policy, in real processes: on every surface, and against every way around it. Ids such as P-8,
//! A.7 and A.8-3 are those of the rules that the policy engine is written to.

mod around;
mod challenge;
mod changes;
mod hidden;
mod surfaces;

use std::sync::Arc;

use crate::support::FULL_BIN;
use crate::support::client::{Client, ERAS, Era, Wire};
use crate::support::http::{Endpoint, JSON, Reply};
use crate::support::json::{at, items, string};
use crate::support::setup::{Odd, Running, Setup};

/// Two callers with keys.
const KEYS: &str = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef, roles: [admin], scopes: [\"files:write\"] }, { id: bob, key: bob-0123456789abcdef }] }";

/// The complete server, which speaks this revision.
fn full(revision: &str) -> Setup {
    Setup::new().command("full", FULL_BIN, &[revision])
}

/// The same gateway over HTTP and over standard streams.
fn both(setup: impl Fn() -> Setup) -> [Running; 2] {
    [setup().over_http(), setup().over_stdio()]
}

/// The endpoint as a caller uses it.
fn endpoint_of(gateway: &Running, caller: &str) -> Endpoint {
    let key = format!("Bearer {caller}-0123456789abcdef");
    gateway
        .endpoint()
        .clone()
        .with_header("authorization", &key)
}

fn client_of(gateway: &Running, caller: &str, era: Era) -> Client {
    let wire: Arc<dyn Wire> = Arc::new(endpoint_of(gateway, caller));
    Client::open(&wire, era)
}

/// A member of each item of a list.
fn listed(client: &Client, method: &str, list: &str, member: &str) -> Vec<String> {
    let all = items(&at(&client.ask(method, "{}").result(), &[list]));
    all.iter()
        .map(|item| string(&at(item, &[member])))
        .collect()
}

fn tools(client: &Client) -> Vec<String> {
    listed(client, "tools/list", "tools", "name")
}

/// A call of a modern client: its body.
fn call(name: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{name},"arguments":{arguments},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

/// Sends the body of a call of a modern client, with this `Mcp-Name`.
fn post(endpoint: &Endpoint, name: &str, body: &str) -> Reply {
    let mut headers = JSON.to_vec();
    headers.extend([
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", name),
    ]);
    let own = endpoint.headers.iter();
    headers.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
    endpoint.send("POST", &headers, body.as_bytes())
}

/// The audit event of the request that was the first to say this.
fn audited(gateway: &Running, says: &str) -> String {
    let is_it = |line: &str| line.contains("\"target\":\"mcp_gw::audit\"") && line.contains(says);
    gateway.process.stderr.first(1, is_it).remove(0)
}
