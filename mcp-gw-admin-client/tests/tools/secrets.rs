//! What is secret is not shown, wherever it stands; what not every reader can read is made so; what was left out is not
//! written back.

use mcp_gw_admin_client::tools::api7::{Access, Secrets};
use mcp_gw_core::testing::call_context;
use mcp_gw_core::{Arguments, Caller, NoClient, ToolCall};
use serde_json::json;

use super::support::on;
use super::*;

#[tokio::test]
async fn secrets_in_json_in_strings_are_not_shown() {
    let inner = r#"{"username":"u","plugins":{"key-auth":{"key":"hidden-1"},"basic-auth":{"password":"hidden-2"}},"cert":"x","key":"hidden-3"}"#;
    let patch = r#"[{"op":"replace","path":"/plugins/key-auth/key","value":"hidden-4"},{"op":"add","path":"/plugins/jwt-auth","value":{"secret":"hidden-5"}}]"#;
    let log = json!({"list": [
        {"id": 1, "request_body": inner, "before": format!(" {inner} ")},
        {"id": 2, "request_body": patch},
        {"id": 3, "request_body": json!(inner).to_string(), "uri": "/x"},
        {"id": 4, "request_body": "access_token=hidden-6&refresh_token=hidden-7"},
    ], "total": 4});
    let setup = Setup::new([on("GET /api/audit_logs").body(log.to_string())]).await;
    let answer = setup
        .call("read_resource", json!({"kind": "auditLog"}))
        .await;
    assert!(!answer.text.contains("hidden-"), "{}", answer.text);
    let answer = answer.ok();
    assert!(answer["redacted"].as_u64().unwrap() >= 10, "{answer}");
    let shown = answer["body"]["list"][0]["request_body"].as_str().unwrap();
    assert!(
        shown.starts_with(r#"{"username":"u","plugins":"#),
        "{shown}"
    );
}

#[tokio::test]
async fn secrets_beside_their_names_are_not_shown() {
    let route = json!({"value": {"plugins": {
        "proxy-rewrite": {"headers": {"set": {"X-Foo": "Bearer hidden-1", "X-Auth": "hidden-2", "X-Kept": "$host"}, "add": {"X-Secret-Header": "hidden-3"}}},
        "response-rewrite": {"headers": {"set": ["Authorization: Basic hidden-4", "X-Api-Key: hidden-5"]}},
        "list": [{"name": "Authorization", "value": "hidden-6"}, {"key": "password", "value": "hidden-7"}, {"name": "key-auth", "config": {"key": "hidden-8"}}],
        "serverless-pre-function": {"functions": ["return function() ngx.req.set_header('X-Api-Key', 'hidden-9') end"]},
    }, "tokens": ["hidden-a"], "secrets": {"x": "hidden-b"}, "conn": "Server=h;Password=hidden-c;"}});
    let path = "GET /apisix/admin/routes/r?gateway_group_id=g";
    let setup = Setup::new([on(path).body(route.to_string())]).await;
    let asked = json!({"kind": "route", "id": "r", "gateway_group_id": "g"});
    let answer = setup.call("read_resource", asked).await;
    assert!(!answer.text.contains("hidden-"), "{}", answer.text);
    let body = answer.ok()["body"].to_string();
    assert!(body.contains(r#""X-Kept":"$host""#), "{body}");
}

#[tokio::test]
async fn numbers_are_secret_too_also_for_who_asks_when_nobody_may() {
    let body =
        r#"{"value":{"api_key":12345678,"secret":987654,"token":5,"client_secret":{"a":1234}}}"#;
    let setup = Setup::with([on("GET /api/system_settings").body(body)], |config| {
        config.secrets = Secrets::Never;
    })
    .await;
    let asked = json!({"kind": "systemSettings", "show_secrets": true});
    let answer = setup.call("read_resource", asked).await.ok();
    assert_eq!(
        answer["body"]["value"],
        json!({"api_key": "[redacted]", "secret": "[redacted]", "token": 5, "client_secret": {"a": "[redacted]"}})
    );
}

#[tokio::test]
async fn errors_do_not_repeat_the_secrets_that_were_sent() {
    let says = r#"failed to check the configuration of plugin key-auth: {"key":"hidden-1"} password=hidden-2 https://u:hidden-3@h/ Bearer hidden-hidden-hidden-4"#;
    let body = json!({ "error_msg": says }).to_string();
    let setup = Setup::writing([
        on("GET /api/roles").status(400).body(&*body),
        on("POST /api/services/template").status(400).body(&*body),
        on("GET /api/roles").status(500).body(says),
        on("GET /api/gateway_groups").status(403).body(&*body),
        on("GET /api/services/template").body("[]"),
    ])
    .await;
    let mut errors = vec![setup.call("get_role", json!({})).await.error()];
    let made = json!({"kind": "serviceTemplate", "body": {"name": "s"}});
    errors.push(setup.call("create_resource", made).await.error());
    errors.push(setup.call("get_role", json!({})).await.error());
    let both = json!({"gatewayGroup": {}, "serviceTemplate": {}});
    errors.push(setup.call("get_resource", both).await.ok().to_string());
    for error in errors {
        assert!(!error.contains("hidden-"), "{error}");
        assert!(
            error.contains("failed to check the configuration of plugin key-auth"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_strict_readers_refuse_is_made_readable() {
    let body = r#"{"value":{"password":"hidden-\ud800","token":"\udc00hidden-","pass\ud800word":"hidden-3","secret\ud800":"hidden-4",
        "name":"a\ud800b","n":1e999,"m":-1.5E400,"k":1e30,"cert":"c","key":"-----BEGIN PRIVATE KEY-----hidden-\ud800"}}"#;
    let plan = || on("GET /api/system_settings").body(body);
    let setup = Setup::new([plan(), plan()]).await;
    let asked = json!({"kind": "systemSettings"});
    // The scripted client reads it with serde_json, which is strict.
    let answer = setup.call("read_resource", asked).await.ok();
    assert!(!answer.to_string().contains("hidden-"), "{answer}");
    let value = &answer["body"]["value"];
    assert_eq!(value["name"], "a\u{fffd}b");
    assert_eq!(
        (&value["n"], &value["m"], &value["k"]),
        (&json!("1e999"), &json!("-1.5E400"), &json!(1e30))
    );
    assert!(answer["remarks"].to_string().contains("U+FFFD"), "{answer}");
    let asked = json!({"kind": "systemSettings", "show_secrets": true});
    let answer = setup.call("read_resource", asked).await.ok();
    assert_eq!(answer["body"]["value"]["password"], "hidden-\u{fffd}");
    // Names that are one after that are told apart as text.
    let body = r#"{"a\ud800":1,"a\udc00":"\ud800"}"#;
    let setup = Setup::new([on("GET /api/system_settings").body(body)]).await;
    let asked = json!({"kind": "systemSettings"});
    let answer = setup.call("read_resource", asked).await.ok();
    assert_eq!(
        answer["body"],
        "{\"a\u{fffd}\":1,\"a\u{fffd}\":\"\u{fffd}\"}"
    );
}

#[tokio::test]
async fn what_was_cut_out_of_an_answer_is_not_written_back() {
    let long = "x".repeat(60_000);
    let labels: serde_json::Map<_, _> = (0..9000)
        .map(|n| (format!("label-{n}"), "v".into()))
        .collect();
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let bodies = [
        json!({"value": {"id": "r", "name": "R", "plugins": {"serverless-pre-function": {"functions": [&long]}, "response-rewrite": {"body": "y".repeat(9000)}}}}).to_string(),
        json!({"value": {"id": "r", "labels": labels}}).to_string(),
        format!(r#"{{"value":{{"id":"r","deep":{deep}}}}}"#),
        json!({"value": {"id": "r", "plugins": {"key-auth": {"key": "hidden-"}}}}).to_string(),
    ];
    for body in bodies {
        let line = "GET /apisix/admin/routes/r?gateway_group_id=g";
        let setup = Setup::writing([on(line).body(body)]).await;
        let asked = json!({"kind": "route", "id": "r", "gateway_group_id": "g"});
        let shown = setup.call("read_resource", asked).await.ok();
        let shown = &shown["body"]["value"];
        for dry_run in [false, true] {
            let write = json!({"kind": "route", "id": "r", "gateway_group_id": "g", "body": shown, "dry_run": dry_run});
            let error = setup.call("replace_resource", write).await.error();
            assert!(
                error.contains("at \"/") && error.contains("Nothing was sent"),
                "{error}"
            );
        }
        let patch = json!({"kind": "route", "id": "r", "gateway_group_id": "g", "validate": false,
            "operations": [{"op": "replace", "path": "", "value": shown}]});
        let error = setup.call("patch_resource", patch).await.error();
        assert!(error.contains("at \"/0/value/"), "{error}");
        let raw = json!({"method": "PUT", "api": "api", "segments": ["x"], "body": shown});
        let error = setup.call("write_admin_api", raw).await.error();
        assert!(error.contains("Nothing was sent"), "{error}");
    }
}

/// Arguments as they are written.
async fn call_text(setup: &Setup, tool: &str, arguments: &str) -> String {
    let ctx = call_context(Caller::anonymous(), Arc::new(NoClient::new()));
    let arguments = Arguments::from_raw(RawJson::parse(arguments.to_owned()).unwrap()).unwrap();
    let call = ToolCall::new(tool, arguments);
    let output = setup.backend.call_tool(&ctx, call).await.unwrap();
    assert!(output.is_error(), "{}", output.as_raw());
    output.as_raw().to_string()
}

#[tokio::test]
async fn what_is_said_twice_is_not_sent() {
    let setup = Setup::with([], |config| {
        config.access = Access::ReadWrite;
        config.gateway_url = Some("http://127.0.0.1:9".to_owned());
    })
    .await;
    for (tool, arguments) in [
        (
            "replace_resource",
            r#"{"kind":"route","id":"r","gateway_group_id":"g","body":{"id":"r","id":"other"}}"#,
        ),
        (
            "replace_resource",
            r#"{"kind":"route","id":"r","gateway_group_id":"g","body":{"plugins":{},"plugins":{"nope":{}}}}"#,
        ),
        (
            "replace_resource",
            r#"{"kind":"route","id":"r","gateway_group_id":"g","body":{"a":[{"b":1,"\u0062":2}]},"dry_run":true}"#,
        ),
        (
            "replace_resource",
            r#"{"kind":"route","id":"r","id":"q","gateway_group_id":"g","body":{}}"#,
        ),
        (
            "patch_resource",
            r#"{"kind":"route","id":"r","gateway_group_id":"g","operations":[{"op":"add","path":"/a","value":1,"path":"/b"}]}"#,
        ),
        (
            "read_resource",
            r#"{"kind":"apiProduct","query":{"a":"1","a":"2"}}"#,
        ),
        (
            "write_admin_api",
            r#"{"method":"POST","api":"api","segments":["x"],"body":{"a":1,"a":2}}"#,
        ),
        (
            "create_role",
            r#"{"role":{"name":"a","name":"b","policies":[]}}"#,
        ),
        (
            "send_request_to_gateway",
            r#"{"requests":[{"path":"/","method":"GET","headers":{"a":"1","a":"2"}}]}"#,
        ),
    ] {
        let error = call_text(&setup, tool, arguments).await;
        assert!(
            error.contains("twice") && error.contains("Nothing was sent"),
            "{error}"
        );
    }
}
