//! Writes: what is allowed, what is shown before, what is checked, what is reported.

use mcp_gw_core::testing::call_context;
use mcp_gw_core::{Arguments, Caller, NoClient, RawJson, ToolCall};
use serde_json::json;

use super::originals::{Case, cases};
use super::*;

#[tokio::test]
async fn nothing_is_sent_until_writing_is_allowed() {
    let setup = Setup::new([]).await;
    for case in cases() {
        let Case {
            tool,
            mut arguments,
            request: Some(line),
            body,
        } = case
        else {
            continue;
        };
        if line.starts_with("GET") {
            continue;
        }
        let tool = &*tool;
        let error = setup.call(tool, arguments.clone()).await.error();
        assert!(
            error.contains("--allow-write") && error.contains("dry_run: true"),
            "{error}"
        );
        arguments["dry_run"] = json!(true);
        if tool.starts_with("update_") && tool != "update_secret" {
            arguments["validate"] = json!(false);
        }
        let answer = setup.call(tool, arguments).await.ok();
        assert_eq!(answer["dry_run"], true);
        let request = &answer["request"];
        assert_eq!(
            format!(
                "{} {}",
                request["method"].as_str().unwrap(),
                request["path"].as_str().unwrap()
            ),
            line
        );
        assert_eq!(request["body"], body, "{tool}");
    }
}

#[tokio::test]
async fn a_body_with_a_secret_taken_out_is_not_sent() {
    let setup = Setup::writing([]).await;
    let arguments = json!({"id": "1", "manager": "vault", "secret": {"token": "[redacted]"}});
    for tool in ["create_secret", "update_secret"] {
        let error = setup.call(tool, arguments.clone()).await.error();
        assert!(
            error.contains("overwrite the secret") && error.contains("update tools"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_was_cut_out_of_an_answer_or_is_said_twice_is_not_sent() {
    let setup = Setup::writing([]).await;
    for (tool, arguments) in [
        (
            "update_route",
            json!({"id": "r", "route": {"desc": "[cut: 60028 bytes at pointer /value/desc]"}}),
        ),
        (
            "create_route",
            json!({"id": "r", "route": {"uri": "/x", "labels": {"[cut]": "88 more: skip: 7"}}}),
        ),
        (
            "update_upstream",
            json!({"id": "u", "upstream": {"a": ["[cut: nested too deep]"]}}),
        ),
    ] {
        let error = setup.call(tool, arguments).await.error();
        assert!(
            error.contains("the mark of what was cut") && error.contains("Nothing was sent"),
            "{error}"
        );
    }
    let twice = r#"{"id":"r","route":{"uri":"/x","plugins":{},"plugins":{"nope":{}}}}"#;
    let ctx = call_context(Caller::anonymous(), Arc::new(NoClient::new()));
    let arguments = Arguments::from_raw(RawJson::parse(twice).unwrap()).unwrap();
    let call = ToolCall::new("create_route", arguments);
    let output = setup.backend.call_tool(&ctx, call).await.unwrap();
    assert!(output.is_error() && output.as_raw().as_str().contains("twice"));
}

#[tokio::test]
async fn what_is_wrong_with_a_stored_secret_is_said_without_it() {
    let schema = r#"{"type":"object","properties":{"key":{"type":"string","minLength":99}}}"#;
    let setup = Setup::writing([
        on("GET /routes/r").body(r#"{"value":{"plugins":{"csrf":{"key":"hidden-1"}}}}"#),
        on("GET /plugins/csrf").body(schema),
    ])
    .await;
    let arguments = json!({"id": "r", "route": {"plugins": {"csrf": {"name": "n"}}}});
    let error = setup.call("update_route", arguments).await.error();
    assert!(
        error.contains("at /key") && !error.contains("hidden-1"),
        "{error}"
    );
}

const LIMIT: &str =
    r#"{"type":"object","properties":{"count":{"type":"integer"}},"required":["count"]}"#;

#[tokio::test]
async fn settings_of_plugins_are_checked_before_they_are_sent() {
    let setup = Setup::writing([
        on("GET /plugins/limit-count").body(LIMIT),
        on("GET /plugins/nothing")
            .status(404)
            .body(r#"{"error_msg":"plugin not found in subsystem http"}"#),
    ])
    .await;
    let plugins = json!({"limit-count": {"count": "many"}, "nothing": {}});
    let arguments = json!({"route": {"uri": "/", "plugins": plugins}});
    let error = setup.call("create_route", arguments.clone()).await.error();
    for says in [
        "plugin limit-count",
        "no plugin \"nothing\"",
        "Nothing was changed",
        "get_plugin_schema",
        "get_all_plugin_names",
    ] {
        assert!(error.contains(says), "{error}");
    }
    setup.admin.plan(on("POST /routes"));
    let mut unchecked = arguments;
    unchecked["validate"] = json!(false);
    setup.call("create_route", unchecked).await.ok();
}

const KNOWN: &str =
    r#"{"value":{"id":"1","plugins":{"limit-count":{"count":5,"group":"g"},"other":{}}}}"#;

#[tokio::test]
async fn a_change_is_checked_as_what_will_be_there() {
    let change = |settings: serde_json::Value| json!({"id": "1", "route": {"plugins": {"limit-count": settings}}});
    let plans = |then: Option<&str>| {
        let first = [
            on("GET /routes/1").body(KNOWN),
            on("GET /plugins/limit-count").body(LIMIT),
        ];
        first.into_iter().chain(then.map(on))
    };
    // What is required is there already.
    let setup = Setup::writing(plans(Some("PATCH /routes/1"))).await;
    let answer = setup.call("update_route", change(json!({"group": "h"})));
    assert!(answer.await.ok()["remarks"].is_null());
    for settings in [json!({"count": "many"}), json!({"count": null}), json!([])] {
        let setup = Setup::writing(plans(None)).await;
        let error = setup.call("update_route", change(settings)).await.error();
        for says in [
            "plugin limit-count",
            "Nothing was changed",
            "validate: false",
        ] {
            assert!(error.contains(says), "{error}");
        }
    }
    // Nothing is to be checked when plugins are removed, or are no plugins.
    let setup = Setup::writing([on("PATCH /routes/1")]).await;
    setup.call("update_route", change(json!(null))).await.ok();
    let arguments = json!({"id": "1", "route": {"plugins": ["limit-count"]}});
    let error = setup.call("update_route", arguments).await.error();
    assert!(error.contains("`plugins` must be an object"), "{error}");
    let arguments = json!({"id": "1", "route": {"id": "2", "desc": "d"}});
    let error = setup.call("update_route", arguments).await.error();
    assert!(error.contains("Nothing was sent"), "{error}");
}

#[tokio::test]
async fn a_change_of_what_cannot_be_read_says_what_was_not_checked() {
    let arguments = || json!({"id": "1", "plugins": {"cors": {}}});
    let setup = Setup::writing([
        on("GET /global_rules/1").status(403),
        on("PATCH /global_rules/1"),
    ])
    .await;
    let answer = setup.call("update_global_rule", arguments()).await.ok();
    let remarks = answer["remarks"].to_string();
    assert!(remarks.contains("were not checked"), "{answer}");
    let setup = Setup::writing([on("GET /global_rules/1").status(404)]).await;
    setup.call("update_global_rule", arguments()).await.error();
    let setup = Setup::writing([
        on("GET /global_rules/1").body(r#"{"value":{"id":"1","plugins":{}}}"#),
        on("GET /plugins/cors").body(r#"{"type":"object"}"#),
    ])
    .await;
    let mut dry = arguments();
    dry["dry_run"] = json!(true);
    let answer = setup.call("update_global_rule", dry).await.ok();
    let remarks = answer["remarks"].to_string();
    assert!(remarks.contains("This request was not sent"), "{answer}");
    assert!(!remarks.contains("Nothing was sent"), "{answer}");
}

#[tokio::test]
async fn plugins_are_checked_as_what_they_are_used_for() {
    for (tool, arguments, schema, line) in [
        (
            "create_or_update_consumer",
            json!({"username": "jack", "plugins": {"p": {"count": 1, "_meta": {"disable": true}}}}),
            "?schema_type=consumer",
            "PUT /consumers",
        ),
        (
            "create_or_update_credential",
            json!({"username": "jack", "id": "c", "credential": {"plugins": {"p": {"count": 1}}}}),
            "?schema_type=consumer",
            "PUT /consumers/jack/credentials/c",
        ),
        (
            "create_or_update_stream_route",
            json!({"route": {"plugins": {"p": {"count": 1}}}}),
            "?subsystem=stream",
            "POST /stream_routes",
        ),
        (
            "create_global_rule",
            json!({"id": "1", "plugins": {"p": {"count": 1}}}),
            "",
            "PUT /global_rules/1",
        ),
        (
            "create_plugin_config",
            json!({"id": "1", "plugins": {"plugins": {"p": {"count": 1}}}}),
            "",
            "PUT /plugin_configs/1",
        ),
        (
            "create_consumer_group",
            json!({"id": "1", "consumerGroup": {"plugins": {"p": {"count": 1}}}}),
            "",
            "PUT /consumer_groups/1",
        ),
        (
            "create_service",
            json!({"service": {"plugins": {"p": {"count": 1}}}}),
            "",
            "POST /services",
        ),
    ] {
        let schema = on(&format!("GET /plugins/p{schema}")).body(LIMIT);
        let setup = Setup::writing([schema, on(line).status(201)]).await;
        let answer = setup.call(tool, arguments).await.ok();
        assert!(answer["remarks"].is_null(), "{answer}");
    }
}

#[tokio::test]
async fn what_cannot_be_checked_is_said_and_sent() {
    let setup = Setup::writing([
        on("GET /plugins/p")
            .status(400)
            .body(r#"{"error_msg":"not found schema"}"#),
        on("POST /routes").status(201),
    ])
    .await;
    let arguments = json!({"route": {"uri": "/", "plugins": {"p": {}}}});
    let answer = setup.call("create_route", arguments).await.ok();
    let remark = answer["remarks"][0].as_str().unwrap();
    assert!(remark.contains("p was not checked"), "{remark}");
}

#[tokio::test]
async fn who_may_not_read_schemas_is_not_asked_again_for_each_plugin() {
    let setup = Setup::writing([
        on("GET /plugins/a").status(403),
        on("POST /routes").status(201),
    ])
    .await;
    let arguments = json!({"route": {"uri": "/", "plugins": {"a": {}, "b": {}, "c": {}}}});
    let answer = setup.call("create_route", arguments).await.ok();
    let remark = answer["remarks"][0].as_str().unwrap();
    assert!(
        remark.contains("a and the plugins after it were not checked"),
        "{remark}"
    );
}

#[tokio::test]
async fn who_replaced_something_is_told() {
    for (status, is_told) in [(200, true), (201, false)] {
        let setup = Setup::writing([on("PUT /upstreams/u").status(status)]).await;
        let arguments = json!({"id": "u", "upstream": {"nodes": []}});
        let answer = setup.call("create_upstream", arguments).await.ok();
        assert_eq!(
            answer["remarks"].to_string().contains("has been replaced"),
            is_told
        );
    }
}

#[tokio::test]
async fn a_write_that_succeeded_is_not_reported_as_failed_and_a_lost_one_not_as_undone() {
    let setup = Setup::writing([on("POST /routes").status(201).body("<html>")]).await;
    let arguments = json!({"route": {"uri": "/"}});
    let answer = setup.call("create_route", arguments.clone()).await.ok();
    assert!(
        answer["remarks"][0]
            .as_str()
            .unwrap()
            .contains("It was done")
    );
    let setup = Setup::writing([on("POST /routes").status(503).body("")]).await;
    let error = setup.call("create_route", arguments).await.error();
    assert!(error.contains("may have been done or not"), "{error}");
}

#[tokio::test]
async fn a_resource_is_checked_as_a_whole_and_nothing_is_stored() {
    let body = json!({"uri": "/", "plugins": {"limit-count": {}}});
    let arguments = json!({"type": "routes", "body": body});
    let setup = Setup::new([
        on("POST /schema/validate/routes")
            .status(400)
            .body(r#"{"error_msg":"property \"uri\" is odd"}"#),
        on("GET /plugins/limit-count").body(LIMIT),
    ])
    .await;
    let verdict = setup
        .call("validate_resource", arguments.clone())
        .await
        .ok();
    assert_eq!(verdict["valid"], false);
    assert_eq!(
        verdict["problems"].as_array().unwrap().len(),
        2,
        "{verdict}"
    );
    assert_eq!(setup.admin.seen()[0].json(), body);
    let setup = Setup::new([on("POST /schema/validate/protos").body("")]).await;
    let verdict = setup
        .call(
            "validate_resource",
            json!({"type": "protos", "body": {"content": "x"}}),
        )
        .await
        .ok();
    assert_eq!(
        verdict,
        json!({"valid": true, "problems": [], "remarks": []})
    );
    // What was not looked at is not called good.
    let schema = "GET /plugins/cors";
    let setup = Setup::new([
        on("POST /schema/validate/services").body(""),
        on(schema).status(401),
    ])
    .await;
    let body = json!({"plugins": {"cors": {}}});
    let verdict = setup
        .call(
            "validate_resource",
            json!({"type": "services", "body": body}),
        )
        .await
        .ok();
    assert_eq!(verdict.get("valid"), None, "{verdict}");
    assert_eq!(verdict["problems"], json!([]));
    assert_eq!(verdict["remarks"].as_array().unwrap().len(), 1, "{verdict}");
    let setup = Setup::new([on("POST /schema/validate/protos").status(401)]).await;
    setup
        .call("validate_resource", json!({"type": "protos", "body": {}}))
        .await
        .error();
}

#[tokio::test]
async fn what_contradicts_itself_is_not_sent() {
    let setup = Setup::writing([]).await;
    let route = json!({"uri": "/x", "id": "other", "upstream_id": "u"});
    let arguments = json!({"id": "r", "route": route});
    let error = setup.call("create_route", arguments).await.error();
    assert!(error.contains("Nothing was sent"), "{error}");
}

#[tokio::test]
async fn conditions_of_a_route_may_be_of_any_form_that_apisix_takes() {
    let setup = Setup::writing([on("POST /routes")]).await;
    let vars = json!([
        "OR",
        ["arg_a", "==", "1"],
        ["AND", ["arg_b", ">", 2], ["arg_c", "!", "in", ["x"]]]
    ]);
    let route = json!({"uri": "/x", "upstream_id": "u", "vars": vars});
    setup
        .call("create_route", json!({"route": route}))
        .await
        .ok();
    assert_eq!(setup.admin.seen()[0].json(), route);
}

#[tokio::test]
async fn ids_that_are_numbers_go_as_numbers() {
    let setup = Setup::writing([on("POST /routes")]).await;
    let route = json!({"uri": "/x", "upstream_id": 1, "service_id": 2, "plugin_config_id": "3"});
    setup
        .call("create_route", json!({"route": route}))
        .await
        .ok();
    assert_eq!(setup.admin.seen()[0].json(), route);
    let route = json!({"uri": "/x", "upstream_id": [1]});
    let arguments = json!({"route": route});
    setup.call("create_route", arguments).await.error();
}
