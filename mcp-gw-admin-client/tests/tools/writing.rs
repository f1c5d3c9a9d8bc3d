//! Writes: what is allowed, what is shown before, what is checked, what is reported.

use mcp_gw_admin_client::tools::api7::Access;
use mcp_gw_core::testing::call_context;
use mcp_gw_core::{Arguments, Caller, NoClient, ToolCall};
use serde_json::json;

use super::support::on;
use super::*;

fn writes() -> Vec<(&'static str, Value)> {
    let policy = json!({"name": "p", "policy_document": {"statement": [{
        "effect": "deny", "resources": ["arn:api7:iam:role/*"], "actions": ["iam:<.*>"]}]}});
    vec![
        (
            "create_role",
            json!({"role": {"name": "dev", "policies": []}}),
        ),
        ("delete_role", json!({"id": "r"})),
        (
            "update_assigned_roles_for_user",
            json!({"user_id": "u", "roles": []}),
        ),
        (
            "create_permission_policy",
            json!({"permissionPolicy": policy, "alreadyReadPermissionPolicyConfig": true}),
        ),
        (
            "update_permission_policy",
            json!({"id": "p", "permissionPolicy": policy, "alreadyReadPermissionPolicyConfig": true}),
        ),
        ("delete_permission_policy", json!({"id": "p"})),
        (
            "attach_permission_policy_to_role",
            json!({"id": "r", "permissionPolicyId": ["p"]}),
        ),
        (
            "detach_permission_policy_from_role",
            json!({"id": "r", "permissionPolicyId": ["p"]}),
        ),
        (
            "create_resource",
            json!({"kind": "serviceTemplate", "body": {"name": "s"}}),
        ),
        (
            "replace_resource",
            json!({"kind": "gatewayGroup", "id": "g", "body": {"name": "s"}}),
        ),
        (
            "patch_resource",
            json!({"kind": "consumer", "gateway_group_id": "g", "id": "jack", "operations": [{"op": "remove", "path": "/desc"}]}),
        ),
        (
            "delete_resource",
            json!({"kind": "ssl", "gateway_group_id": "g", "id": "s"}),
        ),
        (
            "write_admin_api",
            json!({"method": "POST", "api": "api", "segments": ["approvals", "a", "accept"]}),
        ),
        (
            "publish_service",
            json!({"gateway_group_id": "g", "services": [{"service_id": "s", "version": "1.0.0"}]}),
        ),
    ]
}

#[tokio::test]
async fn nothing_is_sent_until_writing_is_allowed() {
    let setup = Setup::new([]).await;
    for (tool, mut arguments) in writes() {
        let error = setup.call(tool, arguments.clone()).await.error();
        assert!(
            error.contains("--allow-write") && error.contains("dry_run: true"),
            "{error}"
        );
        arguments["dry_run"] = json!(true);
        let answer = setup.call(tool, arguments).await.ok();
        assert_eq!(answer["dry_run"], true);
        assert!(answer["status"].is_null());
        assert!(
            answer["remarks"][1]
                .as_str()
                .unwrap()
                .contains("--allow-write")
        );
    }
}

#[tokio::test]
async fn nothing_is_looked_up_for_a_write_that_is_not_allowed() {
    let setup = Setup::new([]).await;
    let arguments = json!({"kind": "route", "gateway_group_id": "g", "id": "r", "body": {"plugins": {"limit-count": {}}}});
    for tool in ["create_resource", "replace_resource"] {
        let error = setup.call(tool, arguments.clone()).await.error();
        assert!(error.contains("--allow-write"), "{error}");
    }
}

#[tokio::test]
async fn a_dry_run_shows_the_request_that_is_sent_afterwards() {
    for (tool, mut arguments) in writes() {
        let setup = Setup::writing([]).await;
        let mut dry = arguments.clone();
        dry["dry_run"] = json!(true);
        let shown = setup.call(tool, dry).await.ok()["request"].clone();
        let line = format!(
            "{} {}",
            shown["method"].as_str().unwrap(),
            shown["path"].as_str().unwrap()
        );
        setup.dashboard.plan(on(&line));
        arguments["dry_run"] = json!(false);
        setup.call(tool, arguments).await.ok();
        let seen = setup.dashboard.seen();
        assert_eq!(seen.len(), 1, "{tool}");
        assert_eq!(seen[0].json(), shown["body"], "{tool}");
    }
}

#[tokio::test]
async fn read_only_hides_what_writes() {
    let setup = Setup::with([], |config| config.access = Access::ReadOnly).await;
    let offer = setup.backend.offer_now().unwrap();
    for tool in &offer.tools {
        let hints = tool.annotations();
        assert!(hints.is_read_only(), "{}", tool.name());
        assert!(!hints.is_destructive(), "{}", tool.name());
    }
    let ctx = call_context(Caller::anonymous(), Arc::new(NoClient::new()));
    for (tool, arguments) in writes() {
        let arguments = Arguments::from_raw(raw(&arguments)).unwrap();
        assert!(
            setup
                .backend
                .call_tool(&ctx, ToolCall::new(tool, arguments))
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn numbers_and_order_of_a_body_come_through() {
    let setup = Setup::writing([on("POST /api/services/template")]).await;
    let text = r#"{"kind":"serviceTemplate","body":{"z":1.50,"a":12345678901234567890}}"#;
    let ctx = call_context(Caller::anonymous(), Arc::new(NoClient::new()));
    let arguments = Arguments::from_raw(RawJson::parse(text).unwrap()).unwrap();
    setup
        .backend
        .call_tool(&ctx, ToolCall::new("create_resource", arguments))
        .await
        .unwrap();
    assert_eq!(
        setup.dashboard.seen()[0].body,
        r#"{"z":1.50,"a":12345678901234567890}"#
    );
}

#[tokio::test]
async fn settings_of_plugins_are_checked_before_they_are_sent() {
    let schema = |name: &str| {
        on(&format!(
            "GET /apisix/admin/plugins/{name}?gateway_group_id=g"
        ))
    };
    let limit =
        r#"{"type":"object","properties":{"count":{"type":"integer"}},"required":["count"]}"#;
    let write = |plugins: Value| json!({"kind": "publishedService", "gateway_group_id": "g", "body": {"name": "s", "plugins": plugins}});
    let setup = Setup::writing([
        schema("limit-count").body(limit),
        schema("no-such").status(404),
    ])
    .await;
    let plugins = json!({"limit-count": {"count": "x"}, "no-such": {}});
    let error = setup.call("create_resource", write(plugins)).await.error();
    assert!(error.contains("limit-count: at /count"), "{error}");
    assert!(
        error.contains("no plugin \"no-such\"") && error.contains("Nothing was changed"),
        "{error}"
    );

    let send = || on("POST /apisix/admin/services?gateway_group_id=g");
    let setup = Setup::writing([
        schema("limit-count").body(format!(r#"{{"value":{limit}}}"#)),
        schema("secret").status(403),
        schema("odd").body(r#"{"value":{"type":7}}"#),
        send(),
        send(),
    ])
    .await;
    let plugins =
        json!({"limit-count": {"count": 1, "_meta": {"disable": true}}, "secret": {}, "odd": {}});
    let answer = setup.call("create_resource", write(plugins)).await.ok();
    assert_eq!(answer["remarks"].as_array().unwrap().len(), 2, "{answer}");
    let mut unchecked = write(json!({"limit-count": {"count": "x"}}));
    unchecked["validate"] = json!(false);
    setup.call("create_resource", unchecked).await.ok();
}

#[tokio::test]
async fn what_a_consumer_has_of_a_plugin_is_checked_against_that() {
    let setup = Setup::writing([on(
        "GET /apisix/admin/plugins/key-auth?gateway_group_id=g&schema_type=consumer",
    )
    .body(r#"{"type":"object","required":["key"]}"#)])
    .await;
    let arguments = json!({"kind": "consumer", "gateway_group_id": "g", "body": {"username": "j", "plugins": {"key-auth": {}}}});
    let error = setup.call("create_resource", arguments).await.error();
    assert!(error.contains("\"key\" is a required property"), "{error}");
}

#[tokio::test]
async fn making_something_does_not_overwrite_what_is_there() {
    let line = "/apisix/admin/routes/r?gateway_group_id=g";
    let arguments =
        json!({"kind": "route", "gateway_group_id": "g", "id": "r", "body": {"name": "r"}});
    let setup = Setup::writing([
        on(&format!("GET {line}")),
        on(&format!("GET {line}")).status(403),
        on(&format!("GET {line}")).status(404),
        on(&format!("PUT {line}")),
    ])
    .await;
    let error = setup
        .call("create_resource", arguments.clone())
        .await
        .error();
    assert!(
        error.contains("exists already") && error.contains("replace_resource"),
        "{error}"
    );
    let error = setup
        .call("create_resource", arguments.clone())
        .await
        .error();
    assert!(error.contains("Nothing was changed"), "{error}");
    setup.call("create_resource", arguments).await.ok();
}

#[tokio::test]
async fn a_secret_is_not_overwritten_with_its_mark() {
    let setup = Setup::writing([]).await;
    for (tool, arguments) in [
        (
            "replace_resource",
            json!({"kind": "ssl", "gateway_group_id": "g", "id": "s", "body": {"cert": "c", "key": "[redacted]"}}),
        ),
        (
            "patch_resource",
            json!({"kind": "route", "gateway_group_id": "g", "id": "s",
            "operations": [{"op": "add", "path": "/x", "value": {"y": "[redacted]"}}]}),
        ),
    ] {
        let error = setup.call(tool, arguments).await.error();
        assert!(error.contains("would overwrite the secret"), "{error}");
    }
}

#[tokio::test]
async fn a_write_that_may_have_been_done_is_reported_so() {
    let setup = Setup::writing([
        on("POST /api/roles").status(503).body("busy"),
        on("POST /api/roles")
            .status(409)
            .body(r#"{"error_msg":"name taken"}"#),
    ])
    .await;
    let arguments = json!({"role": {"name": "dev", "policies": []}});
    let error = setup.call("create_role", arguments.clone()).await.error();
    assert!(error.contains("may have been done or not"), "{error}");
    let error = setup.call("create_role", arguments).await.error();
    assert!(
        error.contains("name taken") && !error.contains("may have been done"),
        "{error}"
    );
}

#[tokio::test]
async fn secrets_in_the_answer_to_a_write_are_not_shown() {
    let line = "PUT /apisix/admin/consumers/j/credentials/c?gateway_group_id=g";
    let setup = Setup::writing([
        on(line).body(r#"{"value":{"id":"c","plugins":{"key-auth":{"key":"k3y"}}}}"#)
    ])
    .await;
    let arguments = json!({"kind": "credential", "gateway_group_id": "g", "username": "j", "id": "c", "validate": false,
        "body": {"plugins": {"key-auth": {"key": "k3y"}}}});
    let answer = setup.call("replace_resource", arguments).await;
    assert!(!answer.text.contains("k3y"), "{}", answer.text);
    assert_eq!(answer.ok()["redacted"], 1);
}

#[tokio::test]
async fn a_page_for_people_says_nothing_of_a_write() {
    let setup = Setup::writing([on("DELETE /api/roles/r").body("<html>log in</html>")]).await;
    let error = setup.call("delete_role", json!({"id": "r"})).await.error();
    assert!(error.contains("may have been done or not"), "{error}");
    assert!(error.contains("DASHBOARD_URL"), "{error}");
}

#[tokio::test]
async fn no_condition_of_a_policy_is_sent_unchecked() {
    let setup = Setup::writing([]).await;
    let statement = |conditions: Value| json!({"effect": "allow", "resources": ["arn:api7:x"], "actions": ["gateway:Get"], "conditions": conditions});
    let label =
        |options: Value| json!({"service_label": {"type": "MatchLabel", "options": options}});
    let good = json!({"key": "env", "operator": "present"});
    let extra = json!({"key": "env", "operator": "present", "extra": 1});
    let plain = statement(json!({}));
    for policy in [
        json!({"name": "p", "policy_document": {"statement": [plain]}, "conditions": {}}),
        json!({"name": "p", "policy_document": {"statement": [plain], "conditions": label(good.clone())}}),
        json!({"name": "p", "policy_document": {"statement": [statement(label(extra))]}}),
        json!({"name": "p", "policy_document": {"statement": [statement(
            json!({"service_label": {"type": "MatchLabel", "options": good, "more": 1}})
        )]}}),
    ] {
        let arguments =
            json!({"permissionPolicy": policy, "alreadyReadPermissionPolicyConfig": true});
        let error = setup
            .call("create_permission_policy", arguments)
            .await
            .error();
        assert!(
            error.contains("nexpected") || error.contains("unknown field"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_contradicts_itself_is_not_sent() {
    let setup = Setup::writing([]).await;
    for (kind, id, body) in [
        ("consumer", "r", json!({"username": "other"})),
        ("route", "r", json!({"id": "other"})),
        ("route", "7", json!({"id": 8})),
        ("route", "r", json!({"plugins": ["a"]})),
        ("route", "r", json!({"service_id": "other"})),
        ("route", "r", json!({"gateway_group_id": "other"})),
    ] {
        let arguments = json!({"kind": kind, "id": id, "gateway_group_id": "g", "service_id": "s", "body": body});
        let error = setup.call("replace_resource", arguments).await.error();
        assert!(error.contains("Nothing was sent"), "{error}");
    }
    for (kind, operation) in [
        (
            "route",
            json!({"op": "replace", "path": "/id", "value": "other"}),
        ),
        (
            "route",
            json!({"op": "add", "path": "", "value": {"id": "other"}}),
        ),
        (
            "route",
            json!({"op": "move", "from": "/name", "path": "/id"}),
        ),
        ("route", json!({"op": "replace", "path": "", "value": 7})),
        (
            "consumer",
            json!({"op": "add", "path": "/username", "value": "other"}),
        ),
    ] {
        let arguments =
            json!({"kind": kind, "id": "r", "gateway_group_id": "g", "operations": [operation]});
        let error = setup.call("patch_resource", arguments).await.error();
        assert!(error.contains("Nothing was sent"), "{error}");
    }
}

#[tokio::test]
async fn a_patch_is_read_before_it_is_sent() {
    let schema =
        r#"{"type":"object","properties":{"count":{"type":"integer"}},"required":["count"]}"#;
    let setup = Setup::writing([
        on("GET /apisix/admin/plugins/limit-count?gateway_group_id=g").body(schema),
        on("GET /apisix/admin/plugins/limit-count?gateway_group_id=g").body(schema),
        on("PATCH /apisix/admin/routes/r?gateway_group_id=g"),
        on("PATCH /apisix/admin/routes/r?gateway_group_id=g"),
        on("PATCH /apisix/admin/routes/r?gateway_group_id=g"),
    ])
    .await;
    let patch = |operation: Value| json!({"kind": "route", "id": "r", "gateway_group_id": "g", "operations": [operation]});
    for (operation, says) in [
        (json!({"op": "add", "path": "/name"}), "`value` is missing"),
        (
            json!({"op": "add", "path": "name", "value": 1}),
            "begin with a slash",
        ),
        (json!({"op": "move", "path": "/name"}), "`from` is missing"),
        (
            json!({"op": "add", "path": "/plugins", "value": ["a"]}),
            "by name",
        ),
        (
            json!({"op": "add", "path": "/plugins/limit-count", "value": {}}),
            "plugin limit-count",
        ),
        (
            json!({"op": "replace", "path": "", "value": {"id": "r", "plugins": {"limit-count": {}}}}),
            "plugin limit-count",
        ),
    ] {
        let error = setup.call("patch_resource", patch(operation)).await.error();
        assert!(
            error.contains(says) && error.contains("Nothing was "),
            "{error}"
        );
    }
    let operation = json!({"op": "replace", "path": "/plugins/limit-count/count", "value": 2});
    let answer = setup.call("patch_resource", patch(operation)).await.ok();
    assert!(
        answer["remarks"]
            .to_string()
            .contains("only a part of its settings")
    );
    for path in ["/plugins/new", "/plugins"] {
        let operation = json!({"op": "copy", "from": "/a", "path": path});
        let answer = setup.call("patch_resource", patch(operation)).await.ok();
        let remarks = answer["remarks"].to_string();
        assert!(remarks.contains("come from elsewhere"), "{remarks}");
    }
}

#[tokio::test]
async fn a_whole_number_with_a_point_is_a_whole_number() {
    let setup = Setup::new([on("GET /api/roles?page=2")]).await;
    setup.call("get_role", json!({"page": 2.0})).await.ok();
}

#[tokio::test]
async fn a_dry_run_says_where_the_request_would_go() {
    let setup = Setup::with([], |config| config.dashboard_url.push_str("/prefix")).await;
    let arguments = json!({"role": {"name": "dev", "policies": []}, "dry_run": true});
    let answer = setup.call("create_role", arguments).await.ok();
    let url = format!("{}/prefix/api/roles", setup.dashboard.url());
    assert_eq!(answer["request"]["url"], url, "{answer}");
}

#[tokio::test]
async fn a_write_that_is_led_elsewhere_may_have_been_done() {
    let setup = Setup::writing([on("POST /api/roles")
        .status(303)
        .header("location", "/api/roles/new")])
    .await;
    let arguments = json!({"role": {"name": "dev", "policies": []}});
    let error = setup.call("create_role", arguments).await.error();
    assert!(error.contains("may have been done or not"), "{error}");
}
