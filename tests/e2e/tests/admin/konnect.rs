//! Kong's workflows, from beginning to end: the ids that one tool answers with are what the next one wants.

use std::process::Command;

use super::scripted::{Plan, on};
use super::{BOTH, Caller, Dashboard, Served, TOKEN, says};
use crate::support::HTTP_BIN;
use crate::support::client::{Client, Era};
use crate::support::json::{at, items, string};
use crate::support::setup::Setup;

const PLANE: &str = "7f9fd312-a987-4628-b4c5-bb4f4fddd5f7";
const ROUTE: &str = "11111111-a987-4628-b4c5-bb4f4fddd5f7";
const SERVICE: &str = "22222222-a987-4628-b4c5-bb4f4fddd5f7";
const CONSUMER: &str = "33333333-a987-4628-b4c5-bb4f4fddd5f7";
const SESSION: &str = "44444444-a987-4628-b4c5-bb4f4fddd5f7";
const PLUGIN: &str = "55555555-a987-4628-b4c5-bb4f4fddd5f7";

fn served(binary: &str, konnect: &Dashboard) -> Served {
    let url = konnect.url();
    let variables = [("KONNECT_ACCESS_TOKEN", TOKEN), ("KONNECT_BASE_URL", &*url)];
    // Where visibility matters a test plans what is asked for it.
    let args = ["--region", "eu", "--all-tools"];
    Served::of_kind("konnect", binary, &args, &variables)
}

/// A planned request in the control plane: `GET /routes?size=1000`.
fn core(line: &str, body: &str) -> Plan {
    let path = line.strip_prefix("GET ").unwrap();
    on(&format!(
        "GET /v2/control-planes/{PLANE}/core-entities{path}"
    ))
    .body(body)
}

fn planes() -> Plan {
    on("GET /v2/control-planes?page%5Bsize%5D=100&page%5Bnumber%5D=1").body(format!(
        r#"{{"data":[{{"id":"{PLANE}","name":"orders"}}],"meta":{{"page":{{"total":1}}}}}}"#
    ))
}

/// The id under this name in the first item.
fn id(answer: &str, name: &str) -> String {
    let all = items(&at(answer, &["items"]));
    string(&at(all.first().unwrap(), &[name]))
}

/// The same for several servers: all that is planned has to be asked.
fn each(planned: impl Fn() -> Vec<Plan>, run: impl Fn(&Caller)) {
    for binary in BOTH {
        let konnect = Dashboard::start(planned());
        let served = served(binary, &konnect);
        run(&served.client());
        served.end();
    }
}

#[test]
fn a_slow_path_is_traced_to_the_plugin_that_waits() {
    let sessions = format!("/v2/control-planes/{PLANE}/debug-sessions");
    let session =
        |status: &str| format!(r#"{{"id":"{SESSION}","status":"{status}","duration_seconds":60}}"#);
    let span = |id: u8, parent: &str, name: &str, end: u32| {
        format!(
            r#"{{"spanId":"{id}","parentSpanId":"{parent}","name":"{name}","startTimeUnixNano":"1000000","endTimeUnixNano":"{end}000000",
            "attributes":[{{"key":"proxy.kong.plugin.id","value":{{"stringValue":"{PLUGIN}"}}}}]}}"#
        )
    };
    let spans = [
        span(1, "", "kong", 1001),
        span(2, "1", "kong.access.plugin.openid-connect", 901),
        span(3, "2", "kong.io.http.request", 851),
    ];
    let traces = format!(
        r#"{{"data":[{{"trace_id":"t","otlp":{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}}}],"meta":{{}}}}"#,
        spans.join(",")
    );
    let planned = || {
        vec![
            planes(),
            on(&format!("POST {sessions}"))
                .status(201)
                .body(session("pending")),
            on(&format!("GET {sessions}/{SESSION}")).body(session("in_progress")),
            on(&format!("GET {sessions}/{SESSION}")).body(session("completed")),
            on(&format!("GET {sessions}/{SESSION}")).body(session("completed")),
            on(&format!(
                "GET {sessions}/{SESSION}/traces?page%5Bsize%5D=25"
            ))
            .body(&*traces),
        ]
    };
    each(planned, |client| {
        let plane = id(
            &client.ok("GetControlPlane", r#"{"operation":"list"}"#),
            "control_plane_id",
        );
        let filters = format!(
            r#""control_plane_id":"{plane}","http_path":"/slow","http_latency":">=1000ms""#
        );
        let shown = client.ok("CreateDebugSession", &format!("{{{filters}}}"));
        assert_eq!(at(&shown, &["created"]), "false");
        let made = client.ok(
            "CreateDebugSession",
            &format!(r#"{{{filters},"confirm":true}}"#),
        );
        let session = string(&at(&made, &["debug_session_id"]));
        let ask = |operation: &str| {
            let ids = format!(r#""control_plane_id":"{plane}","debug_session_id":"{session}""#);
            client.ok(
                "ActiveTracingSession",
                &format!(r#"{{{ids},"operation":"{operation}"}}"#),
            )
        };
        while at(&ask("fetch_status"), &["status"]) != "\"completed\"" {}
        let summary = ask("summarize_session");
        let worst = items(&at(&summary, &["summary", "bottlenecks"]));
        says(worst.first().unwrap(), &["openid-connect", PLUGIN]);
    });
}

#[test]
fn a_path_leads_to_its_service_and_plugins() {
    let planned = || {
        let routes = format!(
            r#"{{"data":[{{"id":"{ROUTE}","paths":["/api/users"],"service":{{"id":"{SERVICE}"}}}}]}}"#
        );
        let plugins = format!(
            r#"{{"data":[{{"id":"{PLUGIN}","name":"jwt","route":{{"id":"{ROUTE}"}},"config":{{"client_secret":"{TOKEN}"}}}}]}}"#
        );
        vec![
            planes(),
            core("GET /routes?size=1000", &routes),
            core("GET /routes?size=1000", &routes),
            core(
                &format!("GET /services/{SERVICE}"),
                &format!(r#"{{"id":"{SERVICE}","host":"h"}}"#),
            ),
            core("GET /plugins?size=1000", &plugins),
        ]
    };
    each(planned, |client| {
        let found = client.ok(
            "GetControlPlane",
            r#"{"operation":"get_by_route","path":"/api/users/7"}"#,
        );
        let plane = id(&found, "control_plane_id");
        let in_plane = |more: &str| format!(r#"{{"control_plane_id":"{plane}",{more}}}"#);
        let routes = client.ok("GetRoute", &in_plane(r#""operation":"list""#));
        let service = id(&routes, "service_id");
        let by_id = format!(r#""operation":"get_by_id","service_id":"{service}""#);
        assert_eq!(id(&client.ok("GetService", &in_plane(&by_id)), "host"), "h");
        let plugins = client.ok("GetPlugin", &in_plane(r#""operation":"list""#));
        assert_eq!(id(&plugins, "route_id"), id(&routes, "route_id"));
    });
}

#[test]
fn the_consumer_that_fails_most_is_followed() {
    let planned = || {
        let rows = format!(
            r#"{{"results":[{{"response_http_status":"500","consumer":"{PLANE}:{CONSUMER}","control_plane":"{PLANE}"}}]}}"#
        );
        vec![
            on("POST /v2/api-requests").body(&*rows),
            core(
                &format!("GET /consumers/{CONSUMER}"),
                &format!(r#"{{"id":"{CONSUMER}","username":"jack"}}"#),
            ),
            on("POST /v2/api-requests").body(&*rows),
            core("GET /plugins?size=1000", r#"{"data":[]}"#),
        ]
    };
    each(planned, |client| {
        let query =
            r#"{"time_range":"24H","operation":"query_api_requests","status_codes":[500,502,503]}"#;
        let found = client.ok("GetAnalytics", query);
        let top = items(&at(&found, &["counts", "consumers"]));
        let of = |name: &str| string(&at(top.first().unwrap(), &[name]));
        let (plane, consumer) = (of("control_plane_id"), of("consumer_id"));
        let by_id = format!(
            r#"{{"control_plane_id":"{plane}","operation":"get_by_id","consumer_id":"{consumer}"}}"#
        );
        let consumer = id(&client.ok("GetConsumer", &by_id), "consumer_id");
        let failures = format!(
            r#"{{"time_range":"24H","operation":"get_consumer_requests","consumer_id":"{consumer}","failureOnly":true}}"#
        );
        assert_eq!(
            at(
                &client.ok("GetAnalytics", &failures),
                &["counts", "failures"]
            ),
            "1"
        );
        let list = format!(r#"{{"control_plane_id":"{plane}","operation":"list"}}"#);
        assert_eq!(at(&client.ok("GetPlugin", &list), &["count"]), "0");
    });
}

#[test]
fn all_control_planes_are_audited() {
    let kinds = [
        ("GetService", "services"),
        ("GetRoute", "routes"),
        ("GetPlugin", "plugins"),
        ("GetConsumer", "consumers"),
        ("GetVault", "vaults"),
    ];
    let planned = || {
        let lists = kinds
            .iter()
            .map(|(_, path)| core(&format!("GET /{path}?size=1000"), r#"{"data":[]}"#));
        std::iter::once(planes()).chain(lists).collect()
    };
    each(planned, |client| {
        let plane = id(
            &client.ok("GetControlPlane", r#"{"operation":"list"}"#),
            "control_plane_id",
        );
        for (tool, _) in kinds {
            let list = format!(r#"{{"control_plane_id":"{plane}","operation":"list"}}"#);
            assert_eq!(at(&client.ok(tool, &list), &["count"]), "0");
        }
    });
}

#[test]
fn workflows_are_offered_and_a_token_that_is_missing_is_told_of_in_calls() {
    let konnect = Dashboard::start([]);
    for binary in BOTH {
        let served = served(binary, &konnect);
        let client = served.client();
        let all = client.0.ask("prompts/list", "{}").result();
        assert_eq!(items(&at(&all, &["prompts"])).len(), 5, "{all}");
        let one = r#"{"name":"investigate-endpoint","arguments":{"path":"/api/users"}}"#;
        says(
            &client.0.ask("prompts/get", one).result(),
            &["get_by_route", "/api/users"],
        );
        served.end();
    }
    let served = Served::of_kind("konnect", BOTH[0], &[], &[]);
    let says_so = served
        .client()
        .error("GetControlPlane", r#"{"operation":"list"}"#);
    says(&says_so, &["KONNECT_ACCESS_TOKEN"]);
    served.end();
    let mut command = Command::new(HTTP_BIN);
    let output = command
        .args(["konnect", "--listen", "127.0.0.1:0"])
        .env_clear()
        .output();
    says(
        &String::from_utf8_lossy(&output.unwrap().stderr),
        &["KONNECT_ACCESS_TOKEN"],
    );
}

#[test]
fn regions_and_a_gateway_stand_side_by_side() {
    let (eu, us) = (Dashboard::start([planes()]), Dashboard::start([planes()]));
    let kong = Dashboard::start([on("GET /").body(r#"{"version":"3.9.0"}"#)]);
    let yaml = format!(
        "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {{ default: allow }}\nservers:\n  \
         eu: {{ konnect: {{ region: eu, base_url: {:?}, token: {TOKEN}, visibility: all }} }}\n  \
         us: {{ konnect: {{ region: us, base_url: {:?}, token: {TOKEN}, visibility: all }} }}\n  \
         edge: {{ kong: {{ admin_url: {:?}, control_plane_name: edge }} }}\n",
        eu.url(),
        us.url(),
        kong.url()
    );
    let gateway = Setup::verbatim(&yaml).over_http();
    let client: Client = gateway.client(Era::Modern);
    let client = Caller(client);
    let names = client.names();
    let mine: Vec<&String> = names
        .iter()
        .filter(|name| name.ends_with("GetControlPlane"))
        .collect();
    assert_eq!(mine.len(), 3, "{names:?}");
    for name in mine {
        let found = client.ok(name, r#"{"operation":"list"}"#);
        let wanted = if name.contains("edge") {
            "edge"
        } else {
            "orders"
        };
        assert_eq!(id(&found, "name"), wanted, "{name}: {found}");
    }
}
