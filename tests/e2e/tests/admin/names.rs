//! What tools of admin APIs say of each other, where several servers share a gateway: names that can be called.

use std::sync::Arc;

use super::scripted::on;
use super::{BOTH, Caller, Dashboard, Served, TOKEN, says};
use crate::support::client::{Client, Era, Wire};
use crate::support::json::{at, items, string};
use crate::support::setup::{Running, Setup};

/// Two dashboards and an APISIX behind one gateway; one tool of the first has another name.
fn gateway(one: &Dashboard, two: &Dashboard, apisix: &Dashboard) -> Running {
    let yaml = format!(
        "http: {{ listen: \"127.0.0.1:0\", shutdown_grace: 10s }}\npolicy: {{ default: allow }}\nservers:\n\
         \x20 a: {{ api7: {{ dashboard_url: {:?}, token: {TOKEN} }}, tools: {{ get_userId_by_username: {{ rename: find_user }} }} }}\n\
         \x20 b: {{ api7: {{ dashboard_url: {:?}, token: {TOKEN} }} }}\n\
         \x20 c: {{ apisix: {{ admin_url: {:?}, admin_key: {TOKEN} }} }}\n",
        one.url(),
        two.url(),
        apisix.url(),
    );
    Setup::verbatim(&yaml).over_http()
}

/// Everything that a client is told of what there is, as text.
fn told(caller: &Caller) -> (String, Vec<String>, Vec<String>) {
    let discovered = caller.0.ask("server/discover", "{}").result();
    let instructions = string(&at(&discovered, &["instructions"]));
    let resources = caller.0.ask("resources/list", "{}").result();
    (
        instructions,
        caller.list(),
        items(&at(&resources, &["resources"])),
    )
}

/// The words of a text that are names of tools of `own`, without a prefix.
fn bare<'t>(text: &'t str, own: &[String]) -> Vec<&'t str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let words = text.split(|c| !is_word(c));
    words
        .filter(|word| own.iter().any(|name| name == word))
        .collect()
}

#[test]
fn what_one_server_says_names_what_can_be_called_here() {
    let (one, two, apisix) = (
        Dashboard::start([]),
        Dashboard::start([]),
        Dashboard::start([]),
    );
    let gateway = gateway(&one, &two, &apisix);
    let all = Caller(gateway.client(Era::Modern));
    let (instructions, tools, resources) = told(&all);
    says(
        &instructions,
        &["a__get_resource", "b__get_resource", "c__get_resource"],
    );
    let names: Vec<String> = all.names();
    assert!(names.iter().any(|name| name == "a__find_user"), "{names:?}");
    let own: Vec<String> = names
        .iter()
        .filter_map(|name| name.split_once("__"))
        .map(|(_, own)| own.to_owned())
        .chain(["get_userId_by_username".to_owned()])
        .collect();
    // Texts, not members: a tool may take an argument that is called like another.
    for text in tools.iter().chain(&resources).chain([&instructions]) {
        assert_eq!(bare(text, &own), Vec::<&str>::new(), "{text}");
        let unmapped = text.matches("text://").count();
        let mapped = text.matches("a+text://").count() + text.matches("b+text://").count();
        assert_eq!(unmapped, mapped, "{text}");
    }
    let of = |name: &str| {
        let is_it = |tool: &&String| string(&at(tool, &["name"])) == name;
        tools.iter().find(is_it).unwrap().clone()
    };
    says(&of("a__get_role_by_user_id"), &["`a__find_user`"]);
    says(
        &of("b__get_role_by_user_id"),
        &["`b__get_userId_by_username`"],
    );
    let policy = of("b__create_permission_policy");
    says(
        &policy,
        &[
            "b+text://policy-resources-actions.json",
            "b__attach_permission_policy_to_role",
        ],
    );
    // And it can be read by that name.
    let uri = r#"{"uri":"b+text://policy-resources-actions.json"}"#;
    says(&all.0.ask("resources/read", uri).result(), &["iam:"]);
}

#[test]
fn errors_and_remarks_name_it_too_and_what_an_api_says_stays() {
    let odd = r#"{"value":{"name":"get_userId_by_username, read_resource"}}"#;
    let one = Dashboard::start([
        on("GET /api/users/u").body(odd),
        on("GET /api/users/u").body(odd),
        on("GET /api/roles/r").body(odd),
    ]);
    let two = Dashboard::start([on("GET /api/roles/r").status(400)]);
    let apisix = Dashboard::start([on("GET /routes/r").status(404)]);
    let gateway = gateway(&one, &two, &apisix);
    let all = Caller(gateway.client(Era::Modern));
    let error = all.error("a__get_role_by_user_id", r#"{"id":"u"}"#);
    says(&error, &["(a__find_user)", "a__get_admin_api"]);
    let error = all.error("b__get_role", r#"{"id":"r"}"#);
    says(&error, &["b__read_resource shows"]);
    let error = all.error("c__get_resource", r#"{"type":"routes","id":"r"}"#);
    says(&error, &["with c__get_resource"]);
    let shown = all.ok("a__get_role", r#"{"id":"r"}"#);
    says(&shown, &["\"get_userId_by_username, read_resource\""]);
    // At its own endpoint a server has its own names, but for those that were changed.
    let wire: Arc<dyn Wire> = Arc::new(gateway.endpoint_at("a"));
    let own = Caller(Client::open(&wire, Era::Modern));
    let error = own.error("get_role_by_user_id", r#"{"id":"u"}"#);
    says(&error, &["(find_user)", "with get_admin_api"]);
    let (instructions, tools, _) = told(&own);
    says(&instructions, &[": get_resource with"]);
    let tools = tools.join("\n");
    says(
        &tools,
        &["`find_user`", "text://policy-resources-actions.json"],
    );
    assert!(
        !tools.contains("a__") && !tools.contains("a+text"),
        "{tools}"
    );
    assert!(!tools.contains("get_userId_by_username"), "{tools}");
}

#[test]
fn of_a_tool_that_is_left_out_it_is_said_that_it_is() {
    let odd = on("GET /api/users/u").body(r#"{"value":{}}"#);
    let dashboard = Dashboard::start([odd.clone(), odd]);
    let gone = "get_userId_by_username [not offered here]";
    let args = ["--tools", "get_role_by_user_id,get_admin_api"];
    for binary in BOTH {
        let served = Served::with(binary, &args, &dashboard.url());
        let caller = served.client();
        says(&caller.list().join("\n"), &[gone]);
        let error = caller.error("get_role_by_user_id", r#"{"id":"u"}"#);
        says(&error, &[gone, "with get_admin_api."]);
        served.end();
    }
    // The same where the file hides it, or a part of the gateway does not show it.
    let yaml = format!(
        "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {{ default: allow }}\nservers:\n\
         \x20 a: {{ api7: {{ dashboard_url: {:?}, token: {TOKEN} }}, tools: {{ get_userId_by_username: {{ hide: true }} }} }}\n\
         endpoints: {{ some: {{ tools: [get_role_by_user_id, delete_role] }} }}\n",
        dashboard.url(),
    );
    let gateway = Setup::verbatim(&yaml).over_http();
    let all = Caller(gateway.client(Era::Modern)).list().join("\n");
    says(&all, &[gone, "Read it with get_role first"]);
    let wire: Arc<dyn Wire> = Arc::new(gateway.endpoint_at("some"));
    let some = Caller(Client::open(&wire, Era::Modern)).list().join("\n");
    says(
        &some,
        &[gone, "Read it with get_role [not offered here] first"],
    );
}
