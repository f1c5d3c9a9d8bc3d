//! What the token of Konnect may do says what is listed; the switch of the organization says who is let in.

use super::scripted::{Plan, on};
use super::{BOTH, Caller, Dashboard, Served, TOKEN, says};
use crate::support::client::{Client, Era};
use crate::support::json::{at, items, member, string};
use crate::support::setup::Setup;

const ME: &str = "11111111-2222-4333-8444-555555555555";
const LIST: &str = r#"{"operation":"list"}"#;

/// What is asked at the start, by a token with this role.
fn asked(role: &str, state: &str) -> Vec<Plan> {
    let paged = |of: &str, items: &str| {
        on(&format!(
            "GET /v3/users/{ME}/{of}?page%5Bsize%5D=100&page%5Bnumber%5D=1"
        ))
        .body(format!(
            r#"{{"data":[{items}],"meta":{{"page":{{"number":1,"size":100}}}}}}"#
        ))
    };
    let role = format!(
        r#"{{"role_name":"{role}","entity_type_name":"Control Planes","entity_id":"*","entity_region":"*"}}"#
    );
    vec![
        on("GET /v3/organizations/me").body(format!(r#"{{"id":"o","state":"{state}"}}"#)),
        on("GET /v3/users/me").body(format!(r#"{{"id":"{ME}"}}"#)),
        paged("assigned-roles", &role),
        paged("teams", ""),
        on("POST /v2/api-requests").status(403),
    ]
}

#[test]
fn what_the_token_may_not_do_is_not_listed() {
    for binary in BOTH {
        let konnect = Dashboard::start(asked("Viewer", "active"));
        let url = konnect.url();
        let variables = [("KONNECT_ACCESS_TOKEN", TOKEN), ("KONNECT_BASE_URL", &*url)];
        let served = Served::of_kind("konnect", binary, &[], &variables);
        let client = served.client();
        let names = client.names();
        assert_eq!(names.len(), 10, "{names:?}");
        for name in ["GetAnalytics", "CreateDebugSession"] {
            assert!(!names.iter().any(|listed| listed == name), "{names:?}");
            says(&client.tool(name, "{}").0, &["\"error\""]);
        }
        let all = client.0.ask("prompts/list", "{}").result();
        let prompts = items(&at(&all, &["prompts"]));
        let prompts: Vec<String> = prompts
            .iter()
            .map(|prompt| string(&member(prompt, "name").unwrap()))
            .collect();
        assert_eq!(prompts, ["investigate-endpoint", "audit-configuration"]);
        served.end();
    }
}

#[test]
fn organizations_that_are_off_let_nobody_in_and_others_are_not_touched() {
    let (closed, open) = (
        Dashboard::start(asked("Admin", "inactive")),
        Dashboard::start(asked("Admin", "active")),
    );
    let off = Dashboard::start([]);
    let server = |url: String, more: &str| {
        format!("{{ konnect: {{ base_url: {url:?}, token: {TOKEN}{more} }} }}")
    };
    let yaml = format!(
        "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {{ default: allow }}\nservers:\n  closed: {}\n  open: {}\n  off: {}\n",
        server(closed.url(), ""),
        server(open.url(), ""),
        server(off.url(), ", enabled: false"),
    );
    let gateway = Setup::verbatim(&yaml).over_http();
    let client: Client = gateway.client(Era::Modern);
    let client = Caller(client);
    let names = client.names();
    let tool = |of: &str| {
        let mut found = names
            .iter()
            .filter(|name| name.ends_with("GetControlPlane"));
        found.find(|name| name.contains(of)).unwrap()
    };
    says(
        &client.error(tool("closed"), LIST),
        &["Access is denied", "inactive"],
    );
    says(
        &client.error(tool("off"), LIST),
        &["Access is denied", "enabled: false"],
    );
    open.plan(
        on("GET /v2/control-planes?page%5Bsize%5D=100&page%5Bnumber%5D=1").body(r#"{"data":[]}"#),
    );
    assert_eq!(at(&client.ok(tool("open"), LIST), &["count"]), "0");
}
