//! An admin API in a configuration: it takes the road that every other server takes.

use std::sync::Arc;

use super::scripted::on;
use super::{BOTH, Caller, Dashboard, Served, Slow, TOKEN, assert_clean, says};
use crate::support::client::{Client, Era, Wire};
use crate::support::json::{at, items, string};
use crate::support::setup::{Folder, Running, Setup};
use crate::support::{HTTP_BIN, ODD_BIN};

/// A configuration with this dashboard alone, and further keys in its section.
pub(super) fn api7(dashboard: &str, rest: &str) -> String {
    format!(
        "http: {{ listen: \"127.0.0.1:0\", shutdown_grace: 10s }}\npolicy: {{ default: allow }}\n\
         servers:\n  api7: {{ api7: {{ dashboard_url: {dashboard:?}, token: {TOKEN}{rest} }} }}\n"
    )
}

fn client(gateway: &Running) -> Caller {
    Caller(gateway.client(Era::Modern))
}

/// A client of a gateway over HTTP, with the key of this caller.
fn client_of(gateway: &Running, caller: &str) -> Caller {
    let key = format!("Bearer {caller}-0123456789abcdef");
    let endpoint = gateway.endpoint().clone();
    let wire: Arc<dyn Wire> = Arc::new(endpoint.with_header("authorization", &key));
    Caller(Client::open(&wire, Era::Modern))
}

const ROLE: &str = r#"{"id":"r"}"#;
const NEW_ROLE: &str = r#"{"role":{"name":"dev","policies":[]}}"#;

#[test]
fn who_may_write_is_a_matter_of_the_policy() {
    let dashboard = Dashboard::start([on("GET /api/roles/r"), on("POST /api/roles")]);
    let keys = "auth: { api_keys: [{ id: ann, key: ann-0123456789abcdef }, \
                { id: bob, key: bob-0123456789abcdef, tools: [get_role, \"read_*\"] }] }\n";
    let yaml = api7(&dashboard.url(), ", access: read-write") + keys;
    let gateway = Setup::verbatim(&yaml).over_http();
    let (ann, bob) = (client_of(&gateway, "ann"), client_of(&gateway, "bob"));
    assert_eq!(bob.names(), ["get_role", "read_resource"]);
    assert!(ann.names().len() > 20);
    bob.ok("get_role", ROLE);
    let refused = bob.tool("create_role", NEW_ROLE).fault();
    let unknown = bob.tool("no_such_tool", NEW_ROLE).fault();
    assert_eq!(refused.0, unknown.0);
    assert_eq!(refused.1.replace("create_role", "no_such_tool"), unknown.1);
    ann.ok("create_role", NEW_ROLE);
    let denied = gateway.process.stderr.with("\"denied\"");
    says(&denied, &["create_role", "bob"]);
}

/// A consumer whose tokens are good for an hour, as far as it is asked about once.
fn with_a_consumer() -> Dashboard {
    let jwt = r#"{"list":[{"username":"jack","plugins":{"jwt-auth":{"exp":3600}}}],"total":1}"#;
    Dashboard::start([
        on("GET /api/gateway_groups").body(r#"{"list":[{"id":"g"}],"total":1}"#),
        on("GET /apisix/admin/consumers?gateway_group_id=g").body(jwt),
        on("GET /apisix/admin/consumers/jack/credentials?gateway_group_id=g")
            .body(r#"{"list":[],"total":0}"#),
    ])
}

#[test]
fn a_threshold_decides_what_is_a_risk() {
    let findings = |client: &Caller| {
        let scan = client.ok("check_risk", r#"{"rules":["long-lived-token"]}"#);
        items(&at(&scan, &["findings"])).join("\n")
    };
    // Usually it may be thirty days.
    let dashboard = with_a_consumer();
    let gateway = Setup::verbatim(&api7(&dashboard.url(), "")).over_http();
    assert_eq!(findings(&client(&gateway)), "");
    let dashboard = with_a_consumer();
    let yaml = api7(&dashboard.url(), ", risk: { max_token_seconds: 60 }");
    let gateway = Setup::verbatim(&yaml).over_http();
    let found = findings(&client(&gateway));
    says(&found, &["jack", "/plugins/jwt-auth/exp", "at most 60 s"]);
    for binary in BOTH {
        let dashboard = with_a_consumer();
        let served = Served::with(
            binary,
            &["--risk", "max_token_seconds=60"],
            &dashboard.url(),
        );
        assert_eq!(findings(&served.client()), found);
        served.end();
    }
}

#[test]
fn limits_count_its_calls() {
    for binary in BOTH {
        let dashboard = Dashboard::start([on("GET /api/roles/r"), on("GET /api/roles/r")]);
        let setup =
            Setup::verbatim(&(api7(&dashboard.url(), "") + "limits: { calls_per_minute: 2 }\n"));
        let gateway = match binary {
            HTTP_BIN => setup.over_http(),
            _ => setup.over_stdio(),
        };
        let client = client(&gateway);
        client.ok("get_role", ROLE);
        client.ok("get_role", ROLE);
        let (code, says) = client.tool("get_role", ROLE).fault();
        assert_eq!(code, -31001, "{says}");
        assert_eq!(dashboard.seen().len(), 2);
    }
}

#[test]
fn calls_beyond_its_room_are_refused() {
    let dashboard = Slow::start();
    let yaml =
        api7(&dashboard.url, "").replace(" } }\n", " }, max_concurrent: 1, max_queue: 0 }\n");
    let gateway = Setup::verbatim(&yaml).over_http();
    let caller = client(&gateway);
    let mut first = caller.0.begin_tool("get_role", ROLE);
    dashboard.wait_until("asked");
    let (_, busy) = caller.tool("get_role", ROLE).fault();
    says(&busy, &["api7"]);
    caller.0.cancel(&mut first);
    dashboard.wait_until("given up");
}

#[test]
fn it_stands_beside_other_servers_under_its_own_name() {
    let dashboard = Dashboard::start([on("GET /api/roles/r"), on("GET /api/roles/r")]);
    let yaml = api7(&dashboard.url(), "").replace(
        " } }\n",
        " }, tools: { get_role: { rename: role }, delete_role: { hide: true } } }\n",
    );
    let yaml = format!("{yaml}  odd: {{ command: {ODD_BIN:?}, args: [\"--modern\"] }}\n");
    let gateway = Setup::verbatim(&yaml).over_http();
    gateway.wait_until_up("odd");
    let all = client(&gateway);
    let names = all.names();
    for name in ["api7__role", "api7__get_resource", "odd__echo"] {
        assert!(
            names.iter().any(|found| found == name),
            "no {name}: {names:?}"
        );
    }
    assert!(
        !names.iter().any(|name| name.contains("delete_role")),
        "{names:?}"
    );
    all.ok("api7__role", ROLE);
    let wire: Arc<dyn Wire> = Arc::new(gateway.endpoint_at("api7"));
    let own = Caller(Client::open(&wire, Era::Modern));
    own.ok("role", ROLE);
    // The resource about permission policies leads back to it, too.
    let list = all.0.ask("resources/list", "{}").result();
    let uri = items(&at(&list, &["resources"]))
        .iter()
        .map(|resource| string(&at(resource, &["uri"])))
        .find(|uri| uri.starts_with("api7+text:"))
        .expect("the resource");
    let read = all.0.ask("resources/read", &format!("{{\"uri\":{uri:?}}}"));
    says(&read.result(), &["iam:"]);
}

#[test]
fn a_new_token_and_other_rights_are_in_force_without_a_restart() {
    let dashboard = Dashboard::start([on("GET /api/roles/r"), on("GET /api/roles/r")]);
    let folder = Folder::new();
    let token = folder.file("token", "a7ee-the-first\n");
    let yaml = |access: &str| {
        let section = format!(", token_file: {token:?}, access: {access}");
        api7(&dashboard.url(), &section).replace(&format!(", token: {TOKEN}"), "")
    };
    let gateway = Setup::verbatim(&yaml("read-only")).over_http();
    let reloaded = |times| {
        let is_it = |line: &str| line.contains("\"reloaded: ") || line.contains("not reloaded");
        gateway.process.stderr.first(times, is_it).pop().unwrap()
    };
    let client = client(&gateway);
    client.ok("get_role", ROLE);
    folder.file("token", "a7ee-the-second\n");
    says(&reloaded(1), &["changed: servers.api7\""]);
    client.ok("get_role", ROLE);
    let seen = dashboard.seen();
    let tokens: Vec<_> = seen.iter().map(|seen| seen.header("x-api-key")).collect();
    assert_eq!(tokens, [Some("a7ee-the-first"), Some("a7ee-the-second")]);
    assert!(!client.names().contains(&"create_role".to_owned()));
    gateway.configure(&yaml("preview"));
    says(&reloaded(2), &["changed: servers.api7\""]);
    assert!(client.names().contains(&"create_role".to_owned()));
    // What cannot be used changes nothing.
    folder.file("token", " \n");
    says(
        &reloaded(3),
        &["not reloaded", "token_file", "the token is empty"],
    );
    assert!(client.names().contains(&"create_role".to_owned()));
    let said = gateway.process.stderr.so_far().join("\n");
    assert!(!said.contains("a7ee-the"), "{said}");
}

#[test]
fn pins_hold_it_to_what_it_offered() {
    let dashboard = Dashboard::start([]);
    let folder = Folder::new();
    let pins = folder.0.join("pins.json");
    let pinned = format!(
        "pins: {{ mode: quarantine, file: {:?} }}\n",
        pins.display().to_string()
    );
    let yaml = |rest: &str| api7(&dashboard.url(), rest) + &pinned;
    let gateway = Setup::verbatim(&yaml(", tools: [get_role]")).over_http();
    gateway.wait_until_up("api7");
    assert_eq!(client(&gateway).names(), ["get_role"]);
    drop(gateway);
    // More than was trusted.
    let gateway = Setup::verbatim(&yaml(", tools: [get_role, get_resource]")).over_http();
    gateway.wait_until_up("api7");
    assert_eq!(client(&gateway).names(), ["get_role"]);
}

#[test]
fn check_explains_it_and_asks_the_dashboard() {
    for binary in BOTH {
        let dashboard = Dashboard::start([]);
        let check =
            |args: &[&str]| Setup::verbatim(&api7(&dashboard.url(), "")).check(binary, args);
        let (code, explained) = check(&[]);
        assert_eq!(code, Some(0), "{explained}");
        says(
            &explained,
            &[
                "api7: API7 Enterprise at http://127.0.0.1:",
                "shows what it would write",
            ],
        );
        dashboard.plan(on("GET /api/gateway_groups?page=1&page_size=1"));
        let (code, explained) = check(&["--ask"]);
        assert_eq!(code, Some(0), "{explained}");
        says(
            &explained,
            &[
                " tools\n",
                "api7: the dashboard answers, and takes the token",
            ],
        );
        dashboard.plan(
            on("GET /api/gateway_groups?page=1&page_size=1")
                .status(401)
                .body(format!(r#"{{"message":"bad key {TOKEN}"}}"#)),
        );
        let (code, explained) = check(&["--ask"]);
        assert_eq!(code, Some(0), "{explained}");
        says(
            &explained,
            &[
                "api7: the dashboard cannot be used",
                "401",
                "make a new token",
            ],
        );
        assert_clean(&explained);
        let serves = match binary {
            HTTP_BIN => "listens on http://127.0.0.1:0/mcp",
            _ => "serves the program that starts it",
        };
        says(&explained, &[serves]);
    }
}
