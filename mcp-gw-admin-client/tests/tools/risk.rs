//! `check_risk` against a scripted dashboard.

use std::fmt::Write as _;

use mcp_gw_admin_client::tools::api7::{RiskConfig, ToolsError, backend};
use serde_json::json;

use super::metrics::{encoded, found};
use super::support::on;
use super::*;

/// Seconds since 1970, when the clock stands.
const NOW: u64 = 1_000_000_000;

const DAY: u64 = 86_400;

fn list(items: &Value) -> String {
    let total = items.as_array().unwrap().len();
    json!({"list": items, "total": total}).to_string()
}

fn get(path: &str, items: &Value) -> Plan {
    on(&format!("GET {path}")).body(list(items))
}

fn in_group(kind: &str) -> String {
    format!("/apisix/admin/{kind}?gateway_group_id=g")
}

fn traffic(offset: &str) -> String {
    let query =
        format!("sum by (gateway_group_id,code)(increase(apisix_http_status[60m]{offset}))");
    format!(
        "GET /api/control_plane/prometheus/api/v1/query?query={}",
        encoded(&query)
    )
}

fn counted(counts: &[(&str, &str)]) -> String {
    let all: Vec<Value> = counts
        .iter()
        .map(|(code, count)| {
            json!({"metric": {"gateway_group_id": "g", "code": code}, "value": [NOW, count]})
        })
        .collect();
    found(&json!(all))
}

/// What is in no gateway group.
fn globals() -> Vec<Plan> {
    vec![
        get(
            "/api/custom_plugins",
            &json!([{"id": "cp", "name": "mine"}]),
        ),
        get("/api/gateway_groups", &json!([{"id": "g", "name": "main"}])),
        get(
            "/api/roles",
            &json!([{"id": "dev", "name": "Developers", "policies": ["p"]}]),
        ),
        get(
            "/api/permission_policies",
            &json!([{"id": "p", "name": "all", "type": "custom", "policy_document": {"statement": [
                {"effect": "allow", "actions": ["<.*>"], "resources": ["<.*>"]}
            ]}}]),
        ),
        get(
            "/api/users",
            &json!([{"id": "u", "username": "ann", "roles": [{"id": "dev"}]}]),
        ),
        on(&traffic("")).body(counted(&[("200", "900"), ("502", "100")])),
        on(&traffic(" offset 60m")).body(counted(&[("200", "950")])),
    ]
}

fn of_group() -> Vec<Plan> {
    vec![
        get(
            &in_group("services"),
            &json!([{"id": "s", "name": "users", "type": "http", "path_prefix": "/v1",
                "upstream": {"scheme": "http", "nodes": [{"host": "10.0.0.1", "port": 80, "weight": 1},
                    {"host": "10.0.0.2", "port": 80, "weight": 1}]}}]),
        ),
        get(
            &in_group("global_rules"),
            &json!([{"id": "1", "plugins": {"prometheus": {}}}]),
        ),
        get(
            &in_group("certificates"),
            &json!([{"id": "c1", "name": "web", "exptime": NOW - DAY, "cert": "-----BEGIN CERTIFICATE-----"},
                {"id": "c2", "name": "api", "exptime": NOW + 5 * DAY}]),
        ),
        get(&in_group("ca_certificates"), &json!([{"id": "ca"}])),
        get(&in_group("consumers"), &json!([{"username": "jack"}])),
        get(&in_group("snis"), &json!([])),
        get(
            "/api/gateway_groups/g/instances?gateway_group_id=g",
            &json!([]),
        ),
    ]
}

fn deeper() -> Vec<Plan> {
    vec![
        get(
            "/apisix/admin/routes?gateway_group_id=g&service_id=s",
            &json!([{"id": "r1", "name": "log in", "paths": ["/login"], "methods": ["POST"]},
                {"id": "r2", "paths": ["/me"], "plugins": {"key-auth": {}}},
                {"id": "r3", "paths": ["/admin/*"], "methods": ["GET"]}]),
        ),
        on("GET /apisix/admin/services/s/upstreams?gateway_group_id=g")
            .status(404)
            .body(r#"{"error_msg":"no such path"}"#),
        get(
            "/apisix/admin/consumers/jack/credentials?gateway_group_id=g",
            &json!([{"id": "k", "name": "key", "plugins": {"key-auth": {"key": "SECRET7"}}}]),
        ),
    ]
}

fn everything() -> Vec<Plan> {
    [globals(), of_group(), deeper()].concat()
}

#[tokio::test]
async fn a_scan_reads_decides_and_reports() {
    let setup = Setup::new(everything()).await;
    let answered = setup.call("check_risk", json!({})).await;
    insta::assert_snapshot!("risk_report", answered.text);
    let answer = answered.ok();
    assert!(!answer.to_string().contains("SECRET7"));
    assert_eq!(answer["complete"], true, "{}", answer["not_read"]);
    assert_eq!(answer["summary"]["requests"], 17);
    let first = &answer["findings"][0];
    assert_eq!(first["rule"], "certificate-expired");
    assert_eq!(
        first["resource"],
        json!({"gateway_group_id": "g", "kind": "certificate", "id": "c1", "name": "web"})
    );
    assert_eq!(
        (&first["field"], &first["value"]),
        (&json!("/exptime"), &json!(NOW - DAY))
    );
    let again = Setup::new(everything()).await;
    assert_eq!(again.call("check_risk", json!({})).await.ok(), answer);
}

#[tokio::test]
async fn a_rule_alone_reads_less_and_finds_the_same() {
    let setup = Setup::new(everything()).await;
    let all = setup.call("check_risk", json!({})).await.ok();
    let of = |answer: &Value, id: &str| -> Vec<Value> {
        let findings = answer["findings"].as_array().unwrap().iter();
        findings.filter(|one| one["rule"] == id).cloned().collect()
    };
    let mut found = 0;
    for (at, rule) in all["rules"].as_array().unwrap().iter().enumerate() {
        let id = rule["id"].as_str().unwrap();
        let setup = Setup::new(everything()).await;
        let alone = setup.call("check_risk", json!({"rules": [id]})).await.ok();
        setup.dashboard.forget_plans();
        assert_eq!(of(&alone, id), of(&all, id), "{id}");
        assert_eq!(alone["rules"], json!([all["rules"][at]]), "{id}");
        assert!(setup.dashboard.seen().len() < 17, "{id}");
        found += of(&alone, id).len();
    }
    assert_eq!(found, all["findings"].as_array().unwrap().len());
}

#[tokio::test]
async fn answers_that_are_no_lists_are_no_scan() {
    for body in ["{}", "<html>", r#"{"value":{"id":"x"}}"#] {
        let plans = globals().into_iter().map(|plan| plan.body(body));
        let plans = plans
            .filter(|plan| !plan.is_for(&traffic("")) && !plan.is_for(&traffic(" offset 60m")));
        let setup = Setup::new(plans).await;
        let arguments = json!({"rules": ["dangerous-code", "unused-role", "wildcard-policy"]});
        let error = setup.call("check_risk", arguments).await.error();
        assert!(
            error.contains("Nothing could be read") && error.contains("DASHBOARD_URL"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_may_not_be_read_leaves_the_rest_and_is_named() {
    let mut plans = everything();
    let refuse = |plans: &mut Vec<Plan>, line: &str| {
        let at = plans.iter().position(|plan| plan.is_for(line)).unwrap();
        plans[at] = on(line)
            .status(403)
            .body(r#"{"error_msg":"not permitted"}"#);
    };
    refuse(&mut plans, &format!("GET {}", in_group("global_rules")));
    refuse(&mut plans, "GET /api/users");
    refuse(&mut plans, &traffic(""));
    let setup = Setup::new(plans).await;
    let answered = setup.call("check_risk", json!({})).await;
    let text = answered.text.clone();
    let answer = answered.ok();
    assert_eq!(answer["complete"], false);
    let state = |id: &str| {
        let rules = answer["rules"].as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["id"] == id).unwrap();
        rule["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("certificate-expired"), "failed");
    // A global rule may have the plugin that is looked for.
    for id in [
        "route-without-auth",
        "exposed-endpoint",
        "many-full-admins",
        "server-errors",
        "unused-role",
    ] {
        let state = state(id);
        assert!(
            ["partly", "undecided"].contains(&state.as_str()),
            "{id}: {state}"
        );
    }
    let not_read = answer["not_read"].as_array().unwrap();
    assert_eq!(not_read.len(), 3, "{not_read:?}");
    for unread in not_read {
        assert_eq!(unread["error"]["status"], 403);
        assert!(!unread["rules"].as_array().unwrap().is_empty());
    }
    assert!(
        text.contains("incomplete") && text.contains("ask for a role"),
        "{text}"
    );
}

#[tokio::test]
async fn nothing_that_could_be_read_is_an_error() {
    let refused = globals()
        .into_iter()
        .map(|plan| plan.status(401).body("{}"));
    let setup = Setup::new(refused).await;
    let error = setup.call("check_risk", json!({})).await.error();
    assert!(
        error.contains("Nothing could be read") && error.contains("TOKEN"),
        "{error}"
    );
    assert_eq!(error.matches("TOKEN").count(), 1, "{error}");
}

#[tokio::test]
async fn groups_that_are_named_are_looked_at_even_where_the_list_is_forbidden() {
    let setup = Setup::new([
        on("GET /api/gateway_groups").status(403).body("{}"),
        get(
            &in_group("certificates"),
            &json!([{"id": "c", "exptime": NOW - 1}]),
        ),
        get(&in_group("ca_certificates"), &json!([])),
    ])
    .await;
    // The list is the only thing that is asked for first, and it fails: the groups are known all the same.
    let arguments = json!({"rules": ["certificate-expired"], "gateway_group_ids": ["g"]});
    let answer = setup.call("check_risk", arguments).await.ok();
    assert_eq!(answer["findings"].as_array().unwrap().len(), 1);
    assert_eq!(answer["rules"].as_array().unwrap().len(), 1);
    assert_eq!(answer["complete"], false);
}

#[tokio::test]
async fn a_group_that_is_not_there_is_said_to_be_none() {
    let setup = Setup::new([
        get("/api/gateway_groups", &json!([{"id": "g"}])),
        get(&in_group("certificates"), &json!([])),
        get(&in_group("ca_certificates"), &json!([])),
    ])
    .await;
    let arguments = json!({"rules": ["certificate-expired"], "gateway_group_ids": ["nope", "g"]});
    let answer = setup.call("check_risk", arguments).await.ok();
    assert_eq!(answer["complete"], false);
    let unread = &answer["not_read"][0]["error"];
    assert_eq!(unread["kind"], "unknown_group");
    let says = unread["message"].as_str().unwrap();
    assert!(
        says.contains("\"nope\"") && !says.contains("\"g\""),
        "{says}"
    );
    assert_eq!(answer["summary"]["gateway_groups"], 1);
}

#[tokio::test]
async fn a_list_that_nobody_counts_is_asked_for_until_nothing_comes() {
    let page = |ids: std::ops::Range<u32>| {
        let all: Vec<Value> = ids
            .map(|id| json!({"id": format!("c{id}"), "exptime": NOW - 1}))
            .collect();
        json!({ "list": all }).to_string()
    };
    let path = in_group("certificates");
    let setup = Setup::new([
        get("/api/gateway_groups", &json!([{"id": "g"}])),
        on(&format!("GET {path}")).body(page(0..30)),
        on(&format!("GET {path}&page=2&page_size=30")).body(page(30..60)),
        on(&format!("GET {path}&page=3&page_size=30")).body(page(0..0)),
        get(&in_group("ca_certificates"), &json!([])),
    ])
    .await;
    let answer = setup
        .call("check_risk", json!({"rules": ["certificate-expired"]}))
        .await
        .ok();
    assert_eq!(answer["total_findings"], 60);
    assert_eq!(answer["complete"], true);
}

#[tokio::test]
async fn all_pages_are_read_and_one_that_repeats_itself_ends() {
    let page = |ids: &[&str], total: u32| {
        let all: Vec<Value> = ids
            .iter()
            .map(|id| json!({"id": id, "exptime": NOW - 1}))
            .collect();
        json!({"list": all, "total": total}).to_string()
    };
    let setup = Setup::new([
        get("/api/gateway_groups", &json!([{"id": "g"}])),
        on(&format!("GET {}", in_group("certificates"))).body(page(&["a", "b"], 5)),
        on(&format!(
            "GET {}&page=2&page_size=2",
            in_group("certificates")
        ))
        .body(page(&["c", "d"], 5)),
        on(&format!(
            "GET {}&page=3&page_size=2",
            in_group("certificates")
        ))
        .body(page(&["e"], 5)),
        on(&format!("GET {}", in_group("ca_certificates"))).body(page(&["x"], 9)),
        on(&format!(
            "GET {}&page=2&page_size=1",
            in_group("ca_certificates")
        ))
        .body(page(&["x"], 9)),
    ])
    .await;
    let answer = setup
        .call("check_risk", json!({"rules": ["certificate-expired"]}))
        .await
        .ok();
    assert_eq!(answer["total_findings"], 6);
    let unread = &answer["not_read"][0];
    assert_eq!(unread["what"], "CA certificates");
    assert_eq!(unread["error"]["kind"], "incomplete");
}

#[tokio::test]
async fn requests_are_bounded_and_what_is_left_out_is_named() {
    let setup = Setup::with(globals(), |config| {
        config.risk.max_requests = 7;
        config.risk.concurrency = 2;
    })
    .await;
    let answer = setup.call("check_risk", json!({})).await.ok();
    assert_eq!(answer["summary"]["requests"], 7);
    assert!(setup.dashboard.most() <= 2);
    let not_read = answer["not_read"].as_array().unwrap();
    assert_eq!(not_read.len(), 7);
    for unread in not_read {
        let message = unread["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("risk.max_requests") && message.contains("gateway_group_ids"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_dashboard_that_does_not_answer_does_not_hold_the_scan() {
    let mut plans = globals();
    plans.retain(|plan| !plan.is_for("GET /api/users"));
    plans.push(on("GET /api/users").never());
    let setup = Setup::with(plans, |config| config.risk.max_seconds = 3).await;
    let answer = setup
        .call("check_risk", json!({"rules": ["policy-allows-everything", "unused-role", "traffic-change", "dangerous-code"],
            "gateway_group_ids": ["g"]}))
        .await;
    // The other lists were read; what comes after the time is over is not asked for.
    let answer = answer.ok();
    let kinds: Vec<&str> = answer["not_read"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unread| unread["error"]["kind"].as_str().unwrap())
        .collect();
    assert!(
        !kinds.is_empty() && kinds.iter().all(|kind| *kind == "out_of_time"),
        "{kinds:?}"
    );
    assert_eq!(answer["findings"][0]["rule"], "policy-allows-everything");
}

#[tokio::test]
async fn an_id_that_leads_elsewhere_is_not_followed() {
    let setup = Setup::new([
        get("/api/gateway_groups", &json!([{"id": "g"}])),
        get(
            &in_group("consumers"),
            &json!([{"username": "../routes"}, {"username": "a?b=c"}]),
        ),
        get(
            "/apisix/admin/consumers/a%3Fb%3Dc/credentials?gateway_group_id=g",
            &json!([]),
        ),
    ])
    .await;
    let answer = setup
        .call("check_risk", json!({"rules": ["weak-secret"]}))
        .await
        .ok();
    assert_eq!(answer["not_read"][0]["error"]["kind"], "invalid_request");
}

#[tokio::test]
async fn findings_are_read_on_where_they_were_cut() {
    let certificates: Vec<Value> = (0..40)
        .map(|number| json!({"id": format!("c{number:02}"), "exptime": NOW - 1}))
        .collect();
    let (mut skip, mut seen) = (0, Vec::new());
    loop {
        let setup = Setup::new([
            get("/api/gateway_groups", &json!([{"id": "g"}])),
            get(&in_group("certificates"), &json!(certificates)),
            get(&in_group("ca_certificates"), &json!([])),
        ])
        .await;
        let arguments = json!({"rules": ["certificate-expired"], "max_bytes": 1024, "skip": skip});
        let answered = setup.call("check_risk", arguments).await;
        let text = answered.text.clone();
        let answer = answered.ok();
        let findings = answer["findings"].as_array().unwrap();
        assert!(!findings.is_empty() && answer["findings"].to_string().len() <= 1200);
        seen.extend(
            findings
                .iter()
                .map(|one| one["resource"]["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = answer["next"].as_str() else {
            break;
        };
        assert!(text.contains(next), "{text}");
        skip = next.strip_prefix("skip: ").unwrap().parse().unwrap();
    }
    let expected: Vec<String> = (0..40).map(|number| format!("c{number:02}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn rules_that_do_not_exist_are_refused() {
    let setup = Setup::new([]).await;
    for (arguments, says) in [
        (json!({"rules": ["everything"]}), "route-without-auth"),
        (json!({"rules": []}), "rules"),
        (json!({"gateway_group_ids": [".."]}), "gateway_group_ids"),
        (json!({"groups": 1}), "groups"),
    ] {
        let error = setup.call("check_risk", arguments).await.error();
        assert!(error.contains(says), "{error}");
    }
    let mut config = Api7Config::new("https://d.example", Secret::new(TOKEN.to_owned()));
    config.risk.rules_off = vec!["certificate-old".to_owned()];
    let error = backend(&config).map(drop).unwrap_err();
    assert!(matches!(error, ToolsError::UnknownRules { .. }), "{error}");
    let setup = Setup::with([], |config| {
        config.risk.rules_off = vec!["weak-secret".to_owned()];
    })
    .await;
    let error = setup
        .call("check_risk", json!({"rules": ["weak-secret"]}))
        .await
        .error();
    assert!(error.contains("rules_off"), "{error}");
}

/// What stands between two marks in the handbook; `MCP_GW_BLESS=1` writes it anew.
#[expect(
    clippy::disallowed_methods,
    reason = "the same switch as for the other references"
)]
pub(super) fn hold(mark: &str, table: &str) {
    // All tables are in one file.
    static ONE_BY_ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_BY_ONE.lock().unwrap();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api7.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->\n"));
    let (head, rest) = document.split_once(&begin).unwrap();
    let (known, tail) = rest.split_once(&end).unwrap();
    if std::env::var_os("MCP_GW_BLESS").is_some() {
        std::fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).unwrap();
        return;
    }
    let how =
        "MCP_GW_BLESS=1 cargo test -p mcp-gw-admin-client --features tools --test tools handbook";
    assert_eq!(known, table, "{how}");
}

#[tokio::test]
async fn the_rules_in_the_handbook_are_those_there_are() {
    let setup = Setup::new(everything()).await;
    let answer = setup.call("check_risk", json!({})).await.ok();
    let head = "| Rule | About | Severity | What is a risk | What to do |\n|---|---|---|---|---|\n";
    let mut table = String::from(head);
    for rule in answer["rules"].as_array().unwrap() {
        let text = |name: &str| rule[name].as_str().unwrap().replace('|', "\\|");
        let row = ["category", "severity", "title", "remedy"]
            .map(text)
            .join(" | ");
        let (id, reference) = (text("id"), text("reference"));
        writeln!(table, "| [`{id}`]({reference}) | {row} |").unwrap();
    }
    hold("rules", &table);
}

#[test]
fn the_thresholds_in_the_handbook_are_those_there_are() {
    let schema = mcp_gw_core::schemars::schema_for!(RiskConfig).to_value();
    let mut table = String::from("| Key | Default | Meaning |\n|---|---|---|\n");
    for (name, property) in schema["properties"].as_object().unwrap() {
        let default = match &property["default"] {
            Value::Null => "none".to_owned(),
            Value::Array(words) if words.is_empty() => "none".to_owned(),
            Value::Array(words) => {
                let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
                words.join(", ")
            }
            value => value.to_string(),
        };
        let about = property["description"].as_str().unwrap().replace('\n', " ");
        writeln!(table, "| `{name}` | {default} | {about} |").unwrap();
    }
    hold("thresholds", &table);
}

#[tokio::test]
async fn the_health_of_nodes_is_read_where_there_are_health_checks() {
    let nodes = json!([{"nodes": [{"ip": "10.0.0.1", "port": 80, "status": "unhealthy"},
        {"ip": "10.0.0.2", "port": 80, "status": "healthy"}]}]);
    let service = |id: &str, template: &str, checks: &Value| json!({"id": id, "service_id": template, "upstream": {"nodes": {"a:80": 1}, "checks": checks}});
    let active = json!({"active": {}});
    let services = json!([
        service("s1", "t1", &active),
        service("s2", "t2", &active),
        service("s3", "t3", &json!({})),
    ]);
    let upstreams = ["s1", "s2", "s3"].map(|id| {
        let path = format!("/apisix/admin/services/{id}/upstreams?gateway_group_id=g");
        get(&path, &json!([]))
    });
    let health = |template: &str| {
        on(&format!(
            "GET /api/gateway_groups/g/services/{template}/healthcheck"
        ))
    };
    let plans = [
        get("/api/gateway_groups", &json!([{"id": "g"}])),
        get(&in_group("services"), &services),
        health("t1").body(json!({"value": nodes}).to_string()),
        health("t2").status(403),
    ];
    let setup = Setup::new(plans.into_iter().chain(upstreams)).await;
    let answer = setup.call("check_risk", json!({"rules": ["unhealthy-node"]}));
    let answer = answer.await.ok();
    let found = &answer["findings"];
    assert_eq!(found.as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(found[0]["resource"]["id"], "s1");
    assert_eq!(found[0]["value"], json!(["10.0.0.1:80"]));
    assert_eq!(answer["rules"][0]["undecided"], 1);
    assert_eq!(answer["complete"], false);
    assert_eq!(answer["not_read"][0]["what"], "the health of services");
}
