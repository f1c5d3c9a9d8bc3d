//! What reading does with hostile input, partial failure, long answers and secrets.

use mcp_gw_admin_client::tools::api7::Secrets;
use serde_json::json;
use tokio::sync::Barrier;

use super::support::{nobody, on};
use super::*;

#[tokio::test]
async fn hostile_arguments_are_refused_before_anything_is_sent() {
    let setup = Setup::writing([]).await;
    for id in [
        "..",
        ".",
        "a/b",
        "a?b=c",
        "a#b",
        "a\nb",
        "",
        "ü",
        "%2e%2e",
        "a&gateway_group_id=x",
    ] {
        for (tool, arguments) in [
            (
                "get_resource",
                json!({"route": {"gateway_group_id": "g", "service_id": "s", "route_id": id}}),
            ),
            (
                "get_resource",
                json!({"route": {"gateway_group_id": id, "service_id": "s"}}),
            ),
            ("get_role", json!({"id": id})),
            ("delete_role", json!({"id": id})),
            ("get_role_by_user_id", json!({"id": id})),
            (
                "get_service_healthcheck",
                json!({"gateway_group_id": "g", "service_template_id": id}),
            ),
            (
                "update_assigned_roles_for_user",
                json!({"user_id": id, "roles": []}),
            ),
        ] {
            let error = setup.call(tool, arguments).await.error();
            assert!(
                error.starts_with(&format!("invalid arguments for `{tool}`")),
                "{error}"
            );
        }
    }
    for name in ["..", "../routes", "", "a/b", "%2e%2e", "a\0"] {
        for (tool, arguments) in [
            (
                "get_resource",
                json!({"consumer": {"gateway_group_id": "g", "username": name}}),
            ),
            (
                "get_resource",
                json!({"pluginMetadata": {"gateway_group_id": "g", "plugin_name": name}}),
            ),
            (
                "read_resource",
                json!({"kind": "pluginSchema", "gateway_group_id": "g", "id": name}),
            ),
            (
                "delete_resource",
                json!({"kind": "consumer", "gateway_group_id": "g", "id": name}),
            ),
            (
                "get_admin_api",
                json!({"api": "api", "segments": ["roles", name]}),
            ),
        ] {
            setup.call(tool, arguments).await.error();
        }
    }
}

#[tokio::test]
async fn arguments_that_contradict_or_do_not_fit_are_named() {
    let setup = Setup::new([]).await;
    for (tool, arguments, says) in [
        ("get_resource", json!({}), "at least one kind"),
        ("get_resource", json!({"routes": {}}), "routes"),
        ("get_resource", json!({"route": null}), "/route"),
        (
            "get_resource",
            json!({"route": {"gateway_group_id": "g"}}),
            "route: `service_id` is missing",
        ),
        (
            "get_resource",
            json!({"route": {"service_id": "s"}}),
            "gateway_group_id",
        ),
        (
            "get_resource",
            json!({"gatewayGroup": {"page": 0}}),
            "/gatewayGroup/page",
        ),
        (
            "get_resource",
            json!({"gatewayGroup": {"page": 1.5}}),
            "/gatewayGroup/page",
        ),
        (
            "get_resource",
            json!({"gatewayGroup": {"x": {"y": 1}}}),
            "`x` must be a text",
        ),
        (
            "get_resource",
            json!({"consumer": {"gateway_group_id": "g", "type": "x", "gateway_group_id[]": {}}}),
            "must be a text",
        ),
        (
            "get_resource",
            json!({"upstream": {"gateway_group_id": "g", "published_service_id": "s", "x": 1}}),
            "/upstream",
        ),
        (
            "get_resource",
            json!({"secretProvider": {"gateway_group_id": "g", "type": "x"}}),
            "vault",
        ),
        (
            "read_resource",
            json!({"kind": "upstream", "gateway_group_id": "g"}),
            "`service_id` is missing",
        ),
        (
            "read_resource",
            json!({"kind": "pluginSchema", "gateway_group_id": "g"}),
            "`id` is missing",
        ),
        (
            "read_resource",
            json!({"kind": "version", "id": "7"}),
            "there is only one",
        ),
        (
            "read_resource",
            json!({"kind": "nothing"}),
            "publishedService",
        ),
        (
            "read_resource",
            json!({"kind": "role", "query": {"page": "2"}, "page": 1}),
            "is set already",
        ),
        ("get_role_by_user_id", json!({}), "id"),
        ("get_role", json!({"ID": "x"}), "ID"),
    ] {
        let error = setup.call(tool, arguments).await.error();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn what_could_be_read_is_not_lost_with_what_could_not() {
    let setup = Setup::new([
        on("GET /apisix/admin/services?gateway_group_id=g").body(r#"{"list":[],"total":0}"#),
        on("GET /apisix/admin/consumers?gateway_group_id=g")
            .status(403)
            .body(r#"{"error_msg":"no right"}"#),
        on("GET /api/gateway_groups").body(r#"{"list":[1]}"#),
    ])
    .await;
    let arguments = json!({
        "gatewayGroup": {},
        "consumer": {"gateway_group_id": "g"},
        "publishedService": {"gateway_group_id": "g"},
    });
    let answer = setup.call("get_resource", arguments).await.ok();
    let results = answer["results"].as_array().unwrap();
    let kinds: Vec<_> = results
        .iter()
        .map(|r| (r["kind"].as_str().unwrap(), r["ok"] == true))
        .collect();
    assert_eq!(
        kinds,
        [
            ("publishedService", true),
            ("consumer", false),
            ("gatewayGroup", true)
        ]
    );
    assert_eq!(results[1]["error"]["status"], 403);
    let message = results[1]["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("no right") && message.contains("permission policy"),
        "{message}"
    );
}

#[tokio::test]
async fn several_kinds_are_read_side_by_side_and_come_in_order() {
    let barrier = Arc::new(Barrier::new(4));
    let lines = [
        "services",
        "certificates",
        "consumers",
        "ca_certificates",
        "snis",
        "global_rules",
        "plugin_metadata",
    ];
    let plans = lines.map(|name| format!("GET /apisix/admin/{name}?gateway_group_id=g"));
    let plans = plans.iter().map(|line| on(line).together(&barrier));
    let setup = Setup::new(plans.chain([on("GET /api/instances").together(&barrier)])).await;
    let group = json!({"gateway_group_id": "g"});
    let arguments = json!({
        "publishedService": group, "certificate": group, "consumer": group, "caCertificate": group, "sni": group,
        "globalRules": group, "pluginMetadata": group, "gatewayInstance": {},
    });
    let answer = setup.call("get_resource", arguments).await.ok();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 8);
    assert_eq!(
        (&results[0]["kind"], &results[7]["kind"]),
        (&json!("publishedService"), &json!("gatewayInstance"))
    );
    assert_eq!(setup.dashboard.most(), 4);
}

#[tokio::test]
async fn errors_say_what_to_do_next() {
    for (status, body, says) in [
        (401, r#"{"error_msg":"expired"}"#, "make a new token"),
        (403, r#"{"error_msg":"no"}"#, "ask for a role"),
        (404, r#"{"error_msg":"no"}"#, "Check the ids"),
        (409, "", "Read it"),
        (400, r#"{"error_msg":"bad name"}"#, "bad name"),
        (500, "", "its logs"),
        (200, "<html>", "DASHBOARD_URL"),
        (302, "", "DASHBOARD_URL"),
    ] {
        let setup = Setup::new([on("GET /api/roles").status(status).body(body)]).await;
        let error = setup.call("get_role", json!({})).await.error();
        assert!(error.contains(says), "{error}");
    }
    let gone = nobody().await;
    let setup = Setup::with([], |config| config.dashboard_url = gone).await;
    let error = setup.call("get_role", json!({})).await.error();
    assert!(
        error.contains("cannot be reached") && error.contains("DASHBOARD_URL"),
        "{error}"
    );
}

#[tokio::test]
async fn an_api_that_repeats_the_token_does_not_make_it_known() {
    let setup = Setup::new([
        on("GET /api/roles").body(format!(r#"{{"list":["{TOKEN}"]}}"#)),
        on("GET /api/roles")
            .status(400)
            .body(format!(r#"{{"error_msg":"{TOKEN}"}}"#)),
        on("GET /api/roles").body(TOKEN),
    ])
    .await;
    // Setup::call looks for it.
    let answer = setup
        .call("get_role", json!({"show_secrets": true}))
        .await
        .ok();
    assert_eq!(answer["body"]["list"][0], "[redacted]");
    setup.call("get_role", json!({})).await.error();
    setup.call("get_role", json!({})).await.error();
}

#[tokio::test]
async fn secrets_are_shown_only_to_who_asks_and_may() {
    let line = "GET /apisix/admin/consumers/jack?gateway_group_id=g";
    let body = r#"{"value":{"username":"jack","plugins":{"key-auth":{"key":"k3y"}}}}"#;
    let ask = |show: bool| json!({"show_secrets": show, "consumer": {"gateway_group_id": "g", "username": "jack"}});
    let key = |answer: &Value| {
        answer["results"][0]["answer"]["body"]["value"]["plugins"]["key-auth"]["key"].clone()
    };
    let setup = Setup::new([on(line).body(body), on(line).body(body)]).await;
    let answer = setup.call("get_resource", ask(false)).await.ok();
    assert_eq!(key(&answer), "[redacted]");
    assert_eq!(answer["results"][0]["answer"]["redacted"], 1);
    let answer = setup.call("get_resource", ask(true)).await.ok();
    assert_eq!(key(&answer), "k3y");
    let setup = Setup::with([on(line).body(body)], |config| {
        config.secrets = Secrets::Never;
    })
    .await;
    let answer = setup.call("get_resource", ask(true)).await.ok();
    assert_eq!(key(&answer), "[redacted]");
    assert!(
        answer["results"][0]["answer"]["remarks"][0]
            .as_str()
            .unwrap()
            .contains("no secrets")
    );
}

#[tokio::test]
async fn a_long_answer_is_cut_and_can_be_read_to_its_end() {
    let items: Vec<Value> = (0..200)
        .map(|n| json!({"id": n, "desc": "x".repeat(100)}))
        .collect();
    let body = json!({"list": items, "total": 200}).to_string();
    let setup = Setup::new([]).await;
    let (mut skip, mut seen) = (0, 0);
    loop {
        setup
            .dashboard
            .plan(on("GET /api/roles").body(body.clone()));
        let answer = setup
            .call("get_role", json!({"skip": skip, "max_bytes": 8000}))
            .await
            .ok();
        assert!(answer["body"].to_string().len() <= 8000);
        seen += answer["body"]["list"].as_array().unwrap().len();
        assert_eq!(answer["body"]["total"], 200);
        let Some(next) = answer["cut"]["next"].as_str() else {
            break;
        };
        skip = next.strip_prefix("skip: ").unwrap().parse().unwrap();
    }
    assert_eq!(seen, 200);
}

#[tokio::test]
async fn a_part_of_an_answer_can_be_asked_for() {
    let body = r#"{"value":{"plugins":{"a":{"n":1.50}}}}"#;
    let setup = Setup::new([
        on("GET /api/roles/r").body(body),
        on("GET /api/roles/r").body(body),
    ])
    .await;
    let answer = setup
        .call(
            "get_role",
            json!({"id": "r", "pointer": "/value/plugins/a"}),
        )
        .await
        .ok();
    assert_eq!(answer["body"], json!({"n": 1.5}));
    let error = setup
        .call("get_role", json!({"id": "r", "pointer": "/value/x"}))
        .await
        .error();
    assert!(error.contains("there is: plugins"), "{error}");
}

#[tokio::test]
async fn further_kinds_and_paths_can_be_read() {
    for (tool, arguments, line) in [
        (
            "read_resource",
            json!({"kind": "plugin", "gateway_group_id": "g"}),
            "/apisix/admin/plugins/list?gateway_group_id=g",
        ),
        (
            "read_resource",
            json!({"kind": "pluginSchema", "gateway_group_id": "g", "id": "limit-count"}),
            "/apisix/admin/plugins/limit-count?gateway_group_id=g",
        ),
        ("read_resource", json!({"kind": "version"}), "/api/version"),
        (
            "read_resource",
            json!({"kind": "auditLog", "page": 2}),
            "/api/audit_logs?page=2",
        ),
        (
            "read_resource",
            json!({"kind": "apiProduct", "query": {"portal_id": "p"}}),
            "/api/api_products?portal_id=p",
        ),
        (
            "read_resource",
            json!({"kind": "secretProvider", "gateway_group_id": "g", "provider": "gcp", "id": "1"}),
            "/apisix/admin/secret_providers/gcp/1?gateway_group_id=g",
        ),
        (
            "get_admin_api",
            json!({"api": "api", "segments": ["audit_logs", "export"], "query": {"a&b": "c=d"}}),
            "/api/audit_logs/export?a%26b=c%3Dd",
        ),
        (
            "get_admin_api",
            json!({"api": "apisix/admin", "segments": ["protos"]}),
            "/apisix/admin/protos",
        ),
    ] {
        let setup = Setup::new([on(&format!("GET {line}"))]).await;
        let answer = setup.call(tool, arguments).await.ok();
        assert_eq!(answer["request"]["path"], line);
    }
}

#[tokio::test]
async fn what_has_no_kind_is_read_by_its_path_and_a_wrong_path_leads_to_the_reference() {
    let setup = Setup::writing([
        on("GET /api/some_list?page=2&search=ann").body(r#"{"list":[{"id":"d"}],"total":31}"#),
        on("GET /api/nope").status(404),
        on("POST /api/nope").status(405),
    ])
    .await;
    let query = json!({"page": "2", "search": "ann"});
    let arguments = json!({"api": "api", "segments": ["some_list"], "query": query});
    let answer = setup.call("get_admin_api", arguments).await.ok();
    assert_eq!(answer["body"]["total"], 31);
    let path = json!({"api": "api", "segments": ["nope"]});
    let error = setup.call("get_admin_api", path.clone()).await.error();
    assert!(error.contains("do not guess paths"), "{error}");
    let mut write = path;
    write["method"] = json!("POST");
    let error = setup.call("write_admin_api", write).await.error();
    assert!(error.contains("what this path takes"), "{error}");
}

#[tokio::test]
async fn an_answer_that_nests_without_end_is_cut() {
    let deep = |name: &str| {
        let open = format!("{{\"{name}\":").repeat(1 << 15);
        format!("{open}1{}", "}".repeat(1 << 15))
    };
    let plans = [
        on("GET /api/roles/a").body(deep("value")),
        on("GET /api/roles/a").body(deep("value")),
        on("POST /api/roles").body(deep("value")),
        on("GET /api/roles/c").status(400).body(deep("error")),
        on("GET /api/roles/b"),
    ];
    let setup = Setup::writing(plans).await;
    let role = json!({"role": {"name": "dev", "policies": []}});
    for (tool, arguments) in [
        ("get_role", json!({"id": "a"})),
        (
            "get_role",
            json!({"id": "a", "show_secrets": true, "max_bytes": 1 << 20}),
        ),
        ("create_role", role),
    ] {
        let answer = setup.call(tool, arguments).await.ok();
        assert_eq!(answer["status"], 200);
        assert!(answer["body"].to_string().contains("nested too deep"));
        assert!(answer["remarks"].to_string().contains("96 levels"));
    }
    let error = setup.call("get_role", json!({"id": "c"})).await.error();
    assert!(error.contains("400"), "{error}");
    setup.call("get_role", json!({"id": "b"})).await.ok();
}

#[tokio::test]
async fn what_an_answer_says_twice_is_shown_as_text() {
    let twice = r#"{"id":"a","id":"b","token":"hidden"}"#;
    let setup = Setup::new([on("GET /api/roles/a").body(twice)]).await;
    let answer = setup.call("get_role", json!({"id": "a"})).await.ok();
    assert_eq!(
        answer["body"],
        r#"{"id":"a","id":"b","token":"[redacted]"}"#
    );
    assert!(answer["remarks"].to_string().contains("twice"));
}

#[tokio::test]
async fn an_empty_answer_to_a_read_is_said_to_be_empty() {
    let setup = Setup::new([on("GET /api/roles/a").body("")]).await;
    let answer = setup.call("get_role", json!({"id": "a"})).await.ok();
    assert_eq!(answer["remarks"], json!(["The answer is empty."]));
}

#[tokio::test]
async fn an_answer_without_a_user_says_nothing_of_roles() {
    let ask = || on("GET /api/users/u");
    let odd = [
        r#"{"unexpected":1}"#,
        r#"{"error_msg":"nope","value":null}"#,
        r#"{"value":null}"#,
        r#"{"value":{"id":"u","roles":{"a":1}}}"#,
        "[]",
        "",
    ];
    let plans = odd.map(|body| ask().body(body)).into_iter();
    let good = [r#"{"value":{"id":"u"}}"#, r#"{"value":{"roles":[]}}"#];
    let setup = Setup::new(plans.chain(good.map(|body| ask().body(body)))).await;
    for body in odd {
        let error = setup
            .call("get_role_by_user_id", json!({"id": "u"}))
            .await
            .error();
        assert!(error.contains("Do not assign roles"), "{body}: {error}");
    }
    for body in good {
        let answer = setup.call("get_role_by_user_id", json!({"id": "u"})).await;
        let answer = answer.ok();
        assert_eq!(answer["body"], json!([]), "{body}");
        assert_eq!(answer["remarks"], json!(["The user has no roles."]));
    }
}

#[tokio::test]
async fn faults_in_arguments_say_what_would_be_right() {
    let setup = Setup::writing([]).await;
    let error = setup.call("get_role", json!({"id": ".."})).await.error();
    assert!(
        error.contains("at /id: \"..\" is no id: give letters"),
        "{error}"
    );
    let arguments = json!({"kind": "rout", "id": "r", "operations": []});
    let error = setup.call("patch_resource", arguments).await.error();
    assert!(error.contains("at /kind: \"rout\" is none of"), "{error}");
    for kind in ["\"route\"", "\"publishedService\"", "\"customPlugin\""] {
        assert!(error.contains(kind), "no {kind} in {error}");
    }
}

#[tokio::test]
async fn a_list_of_users_may_be_empty_or_hold_what_is_no_user() {
    let users = |body: &str| on("GET /api/users?search=a").body(body);
    let setup = Setup::new([
        users(r#"{"list":null,"total":0}"#),
        users(r#"{"value":{"list":[{"id":1,"username":"a"},null,7]}}"#),
        users(r#"{"list":[null]}"#),
        users(r#"{"list":["x"]}"#),
        users(r#"{"list":{"a":1}}"#),
    ])
    .await;
    let asked = json!({"username": "a"});
    let find = || setup.call("get_userId_by_username", asked.clone());
    let answer = find().await.ok();
    assert_eq!(answer["body"], json!({"list": [], "total": 0}));
    let answer = find().await.ok();
    assert_eq!(answer["body"]["list"], json!([{"id": 1, "username": "a"}]));
    assert!(
        answer["remarks"][0]
            .as_str()
            .unwrap()
            .starts_with("2 entries")
    );
    assert_eq!(find().await.ok()["body"]["list"], json!([]));
    for _ in 0..2 {
        assert!(find().await.error().contains("without a list of users"));
    }
}
