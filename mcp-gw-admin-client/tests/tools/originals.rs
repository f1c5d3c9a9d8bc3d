//! For correct inputs the tools of API7-MCP send what the original sends.

use serde_json::json;

use super::support::on;
use super::*;

/// Each kind of `get_resource`: its arguments, and the path and query that are read for them.
const GET_RESOURCE: &str = include_str!("get_resource.txt");

#[tokio::test]
async fn get_resource_sends_the_requests_of_the_original() {
    for case in GET_RESOURCE.lines() {
        let (kind, rest) = case.split_once(' ').unwrap();
        let (arguments, line) = rest.rsplit_once(' ').unwrap();
        let arguments: Value = serde_json::from_str(arguments).unwrap();
        let plan = on(&format!("GET {line}")).body(r#"{"value":{"n":1.50}}"#);
        let setup = Setup::new([plan]).await;
        let answer = setup
            .call("get_resource", json!({ kind: arguments }))
            .await
            .ok();
        let result = &answer["results"][0];
        assert_eq!(result["kind"], kind);
        assert_eq!(result["answer"]["request"]["path"], line);
        assert_eq!(result["answer"]["body"], json!({"value": {"n": 1.5}}));
        let seen = setup.dashboard.seen();
        assert_eq!(seen[0].header("x-api-key"), Some(TOKEN));
    }
}

/// The other tools that read: tool, arguments, request, answer of the dashboard, what is shown of it.
#[tokio::test]
async fn reading_tools_send_the_requests_of_the_original() {
    let list = r#"{"list":[{"id":"u","name":"Jack","username":"jack","email":"j@x"}],"total":1}"#;
    for (tool, arguments, line, body, shown) in [
        (
            "get_service_healthcheck",
            json!({"gateway_group_id": "g", "service_template_id": "t"}),
            "/api/gateway_groups/g/services/t/healthcheck",
            r#"{"value":[]}"#,
            json!({"value": []}),
        ),
        (
            "get_role",
            json!({"id": "r", "search": "x"}),
            "/api/roles/r",
            "{}",
            json!({}),
        ),
        (
            "get_role",
            json!({"search": "x"}),
            "/api/roles?search=x",
            "{}",
            json!({}),
        ),
        ("get_role", json!({}), "/api/roles", "{}", json!({})),
        (
            "get_role_by_user_id",
            json!({"id": "u"}),
            "/api/users/u",
            r#"{"value":{"id":"u","roles":[{"id":"r"}]}}"#,
            json!([{"id": "r"}]),
        ),
        (
            "get_role_by_user_id",
            json!({"id": "u"}),
            "/api/users/u",
            r#"{"value":{"id":"u"}}"#,
            json!([]),
        ),
        (
            "get_userId_by_username",
            json!({"username": "ja"}),
            "/api/users?search=ja",
            list,
            json!({"list": [{"id": "u", "name": "Jack", "username": "jack"}], "total": 1}),
        ),
        (
            "get_userId_by_username",
            json!({"page": 2, "page_size": 1}),
            "/api/users?page=2&page_size=1",
            r#"{"list":[],"total":1}"#,
            json!({"list": [], "total": 1}),
        ),
        (
            "get_permission_policy",
            json!({"id": "p"}),
            "/api/permission_policies/p",
            "{}",
            json!({}),
        ),
        (
            "get_permission_policy",
            json!({"search": "x"}),
            "/api/permission_policies?search=x",
            "{}",
            json!({}),
        ),
        (
            "get_permission_policy_by_role",
            json!({"id": "r"}),
            "/api/roles/r/permission_policies",
            "{}",
            json!({}),
        ),
    ] {
        let setup = Setup::new([on(&format!("GET {line}")).body(body)]).await;
        let answer = setup.call(tool, arguments).await.ok();
        assert_eq!(answer["body"], shown, "{tool}");
        assert_eq!(answer["status"], 200);
    }
}

fn policy() -> Value {
    json!({
        "name": "p",
        "policy_document": {"statement": [{
            "effect": "allow", "resources": ["arn:api7:gateway:gatewaygroup/*"], "actions": ["gateway:GetGatewayGroup"],
            "conditions": {
                "gateway_group_label": {"type": "MatchLabel", "options": {"key": "env", "operator": "exact_match", "value": "prod"}},
                "service_label": {"type": "MatchLabel", "options": {"key": "team", "operator": "present"}},
            },
        }]},
    })
}

/// The tools that write: tool, arguments, request, its body, where the dashboard shows it.
#[tokio::test]
async fn writing_tools_send_the_requests_of_the_original() {
    let mut sent = policy();
    sent["type"] = json!("custom");
    let mut kept = policy();
    kept["type"] = json!("built_in");
    let role = json!({"name": "dev", "desc": "d", "labels": {"a": "b"}, "policies": ["p"]});
    let read = "alreadyReadPermissionPolicyConfig";
    for (tool, arguments, line, body, console) in [
        (
            "create_role",
            json!({"role": role}),
            "POST /api/roles",
            role.clone(),
            "/roles/new",
        ),
        (
            "delete_role",
            json!({"id": "r"}),
            "DELETE /api/roles/r",
            Value::Null,
            "",
        ),
        (
            "update_assigned_roles_for_user",
            json!({"user_id": "u", "roles": ["a", "b"]}),
            "PUT /api/users/u/assigned_roles",
            json!({"roles": ["a", "b"]}),
            "/users/u",
        ),
        (
            "update_assigned_roles_for_user",
            json!({"user_id": "u", "roles": []}),
            "PUT /api/users/u/assigned_roles",
            json!({"roles": []}),
            "/users/u",
        ),
        (
            "create_permission_policy",
            json!({"permissionPolicy": policy(), read: true}),
            "POST /api/permission_policies",
            sent.clone(),
            "/policies/new",
        ),
        (
            "create_permission_policy",
            json!({"permissionPolicy": kept, read: true}),
            "POST /api/permission_policies",
            kept.clone(),
            "/policies/new",
        ),
        (
            "update_permission_policy",
            json!({"id": "p", "permissionPolicy": policy(), read: true}),
            "PUT /api/permission_policies/p",
            sent.clone(),
            "/policies/p",
        ),
        (
            "delete_permission_policy",
            json!({"id": "p"}),
            "DELETE /api/permission_policies/p",
            Value::Null,
            "",
        ),
        (
            "attach_permission_policy_to_role",
            json!({"id": "r", "permissionPolicyId": ["p", "q"]}),
            "POST /api/roles/r/attach_permission_policies",
            json!(["p", "q"]),
            "/roles/r/detail",
        ),
        (
            "detach_permission_policy_from_role",
            json!({"id": "r", "permissionPolicyId": ["p"]}),
            "POST /api/roles/r/detach_permission_policies",
            json!(["p"]),
            "/roles/r/detail",
        ),
    ] {
        let setup = Setup::writing([on(line).body(r#"{"value":{"id":"new"}}"#)]).await;
        let answer = setup.call(tool, arguments).await.ok();
        assert_eq!(setup.dashboard.seen()[0].json(), body, "{tool}");
        assert_eq!(answer["body"], json!({"value": {"id": "new"}}), "{tool}");
        let url = (!console.is_empty()).then(|| format!("{}{console}", setup.dashboard.url()));
        assert_eq!(answer["console_url"].as_str(), url.as_deref(), "{tool}");
        assert_eq!(answer["dry_run"], false);
    }
}

#[tokio::test]
async fn all_conditions_of_a_policy_are_sent() {
    let setup =
        Setup::writing([on("POST /api/permission_policies").body(r#"{"value":{"id":"p"}}"#)]).await;
    let arguments =
        json!({"permissionPolicy": policy(), "alreadyReadPermissionPolicyConfig": true});
    setup.call("create_permission_policy", arguments).await.ok();
    let sent = setup.dashboard.seen()[0].json();
    let conditions = &sent["policy_document"]["statement"][0]["conditions"];
    assert_eq!(conditions.as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn a_policy_with_a_condition_that_cannot_hold_is_not_sent() {
    let setup = Setup::writing([]).await;
    let mut missing = policy();
    let options = "/policy_document/statement/0/conditions/service_label/options";
    *missing.pointer_mut(options).unwrap() = json!({"key": "team", "operator": "exact_match"});
    let mut unknown = policy();
    unknown["policy_document"]["statement"][0]["conditions"]["servce_label"] = json!({});
    let mut empty = policy();
    empty["policy_document"]["statement"] = json!([]);
    for (policy, says) in [
        (missing, "`value` is missing"),
        (unknown, "servce_label"),
        (empty, "statement"),
    ] {
        let arguments =
            json!({"permissionPolicy": policy, "alreadyReadPermissionPolicyConfig": true});
        let error = setup
            .call("create_permission_policy", arguments)
            .await
            .error();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn who_has_not_read_the_list_of_actions_is_shown_it() {
    let setup = Setup::writing([]).await;
    for (tool, arguments) in [
        (
            "create_permission_policy",
            json!({"permissionPolicy": policy(), "alreadyReadPermissionPolicyConfig": false}),
        ),
        (
            "update_permission_policy",
            json!({"id": "p", "permissionPolicy": policy(), "alreadyReadPermissionPolicyConfig": false}),
        ),
    ] {
        let error = setup.call(tool, arguments).await.error();
        assert!(
            error.contains("gateway:GetGatewayGroup") && error.contains("Nothing was sent"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_odd_is_not_reported_as_failed() {
    for body in [r#"{"ok":true}"#, "", "<html>", r#"{"value":7}"#] {
        let setup = Setup::writing([on("POST /api/roles").status(201).body(body)]).await;
        let arguments = json!({"role": {"name": "dev", "policies": []}});
        let answer = setup.call("create_role", arguments).await.ok();
        assert_eq!(answer["status"], 201);
        assert!(answer["console_url"].is_null());
    }
}

#[tokio::test]
async fn a_whole_number_may_have_a_point_in_objects_too() {
    let page = r#"{"list":[],"total":0}"#;
    let setup = Setup::new([
        on("GET /api/gateway_groups?page=1").body(page),
        on("GET /apisix/admin/routes?gateway_group_id=g&service_id=s&page=2&page_size=10")
            .body(page),
    ])
    .await;
    let answer = setup
        .call(
            "get_resource",
            json!({"gatewayGroup": {"page": 1.0},
                "route": {"gateway_group_id": "g", "service_id": "s", "page": 2.0, "page_size": 10.0}}),
        )
        .await
        .ok();
    assert!(!answer.to_string().contains("invalid type"), "{answer}");
    let error = setup
        .call("get_resource", json!({"gatewayGroup": {"page": 1.5}}))
        .await
        .error();
    assert!(error.contains("page"), "{error}");
}
