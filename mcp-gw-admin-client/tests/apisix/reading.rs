//! What reading does with hostile input, filters, long answers, secrets and failures.

use serde_json::json;

use super::support::nobody;
use super::*;

#[tokio::test]
async fn hostile_arguments_are_refused_before_anything_is_sent() {
    let setup = Setup::writing([]).await;
    for id in [
        "..",
        ".",
        "a/b",
        "../services",
        "1?force=true",
        "a#b",
        "a\nb",
        "",
        "ü",
        "%2e%2e",
        "1&page=9",
    ] {
        for (tool, arguments) in [
            ("get_resource", json!({"type": "routes", "id": id})),
            ("delete_resource", json!({"type": "routes", "id": id})),
            ("get_credential", json!({"username": "jack", "id": id})),
            ("delete_credential", json!({"username": "jack", "id": id})),
            (
                "create_or_update_credential",
                json!({"username": "jack", "id": id, "credential": {}}),
            ),
            ("get_secret_by_id", json!({"manager": "vault", "id": id})),
            ("delete_secret", json!({"manager": "vault", "id": id})),
            ("create_route", json!({"id": id, "route": {"uri": "/"}})),
            ("update_route", json!({"id": id, "route": {"desc": "d"}})),
            (
                "update_global_rule",
                json!({"id": id, "plugins": {"cors": {}}}),
            ),
            (
                "create_plugin_config",
                json!({"id": id, "plugins": {"plugins": {}}}),
            ),
        ] {
            let error = setup.call(tool, arguments).await.error();
            assert!(
                error.starts_with(&format!("invalid arguments for `{tool}`")),
                "{error}"
            );
        }
    }
    for name in ["..", "../routes", "", "a/b", "%2e%2e", "a\0", "a%2fb"] {
        for (tool, arguments) in [
            ("get_plugin_schema", json!({"name": name})),
            ("get_plugin_metadata", json!({"name": name})),
            ("delete_plugin_metadata", json!({"name": name})),
            ("get_credential", json!({"username": name})),
            (
                "create_route",
                json!({"route": {"uri": "/", "plugins": {name: {}}}}),
            ),
        ] {
            setup.call(tool, arguments).await.error();
        }
    }
}

#[tokio::test]
async fn arguments_that_contradict_or_do_not_fit_are_named() {
    let setup = Setup::writing([]).await;
    for (tool, arguments, says) in [
        ("get_resource", json!({"id": "1"}), "type"),
        ("get_resource", json!({"type": "secrets"}), "routes"),
        (
            "get_resource",
            json!({"type": "routes", "page_size": 9}),
            "/page_size",
        ),
        (
            "get_resource",
            json!({"type": "routes", "page_size": 501}),
            "/page_size",
        ),
        (
            "get_resource",
            json!({"type": "routes", "label": "x"}),
            "label",
        ),
        ("update_route", json!({"route": {"desc": "d"}}), "id"),
        ("update_route", json!({"id": "1", "route": null}), "/route"),
        (
            "update_route",
            json!({"id": "1", "route": {}}),
            "nothing is to be changed",
        ),
        (
            "update_secret",
            json!({"id": "1", "manager": "aws", "secret": {"type": "gcp"}}),
            "which one is meant",
        ),
        (
            "create_secret",
            json!({"id": "1", "manager": "aws", "secret": {"type": "vault"}}),
            "which one is meant",
        ),
        (
            "create_secret",
            json!({"manager": "aws", "secret": {}}),
            "`id` is missing",
        ),
        (
            "create_consumer_group",
            json!({"consumerGroup": {}}),
            "APISIX wants one",
        ),
        (
            "create_plugin_config",
            json!({"id": "1", "plugins": {"cors": {}}}),
            "plugins",
        ),
        (
            "create_route",
            json!({"route": {"uri": "/", "methods": ["FETCH"]}}),
            "FETCH",
        ),
        (
            "create_upstream",
            json!({"upstream": {"nodes": [{"port": 80}]}}),
            "nodes",
        ),
        (
            "create_or_update_consumer",
            json!({"desc": "d"}),
            "username",
        ),
        (
            "create_or_update_consumer",
            json!({"username": "jack", "validate": 1}),
            "validate",
        ),
    ] {
        let error = setup.call(tool, arguments).await.error();
        assert!(error.contains(says), "{tool}: {error}");
    }
}

#[tokio::test]
async fn labels_are_all_held_to() {
    let body = r#"{"list":[
        {"key":"1","value":{"id":"1","labels":{"env":"prod","team":"a"}}},
        {"key":"2","value":{"id":"2","labels":{"env":"test","team":"a"}}},
        {"key":"3","value":{"id":"3","labels":{"env":"prod"}}}],"total":3}"#;
    let setup = Setup::new([on("GET /routes?page=1&page_size=50&label=env").body(body)]).await;
    let arguments = json!({"type": "routes", "labels": {"team": "a", "env": "prod"}});
    let answer = setup.call("get_resource", arguments).await.ok();
    assert_eq!(answer["body"]["list"].as_array().unwrap().len(), 1);
    assert_eq!(answer["body"]["list"][0]["value"]["id"], "1");
    let remark = answer["remarks"][0].as_str().unwrap();
    assert!(remark.contains("1 of the 3 items"), "{remark}");
}

#[tokio::test]
async fn the_secrets_of_one_manager_are_listed_and_not_shown() {
    let body = r#"{"list":[
        {"key":"/apisix/secrets/vault/1","value":{"id":"vault/1","token":"t0ken-of-vault"}},
        {"key":"/apisix/secrets/aws/1","value":{"id":"aws/1","secret_access_key":"k"}}],"total":2}"#;
    let setup = Setup::new([on("GET /secrets/vault?page=1&page_size=50").body(body)]).await;
    let answer = setup
        .call("get_secret_by_id", json!({"manager": "vault"}))
        .await
        .ok();
    assert_eq!(
        answer["body"]["list"],
        json!([{"key": "/apisix/secrets/vault/1", "value": {"id": "vault/1", "token": "[redacted]"}}])
    );
    assert_eq!(answer["redacted"], 1);
}

#[tokio::test]
async fn keys_are_shown_to_who_asks_and_the_admin_key_to_nobody() {
    let body =
        format!(r#"{{"value":{{"plugins":{{"key-auth":{{"key":"of-jack"}}}},"desc":"{KEY}"}}}}"#);
    let line = "GET /consumers/jack/credentials/c";
    let setup = Setup::new([on(line).body(&*body), on(line).body(&*body)]).await;
    let mut arguments = json!({"username": "jack", "id": "c"});
    let answer = setup.call("get_credential", arguments.clone()).await.ok();
    assert_eq!(
        answer["body"]["value"]["plugins"]["key-auth"]["key"],
        "[redacted]"
    );
    arguments["show_secrets"] = json!(true);
    let answer = setup.call("get_credential", arguments).await.ok();
    assert_eq!(
        answer["body"]["value"]["plugins"]["key-auth"]["key"],
        "of-jack"
    );
    assert_eq!(answer["body"]["value"]["desc"], "[redacted]");
}

#[tokio::test]
async fn a_long_answer_is_cut_and_can_be_read_on() {
    let schema = json!({"type": "object", "properties": {"a": {"description": "x".repeat(3000)}, "b": {"type": "string"}}});
    let plan = || on("GET /plugins/big").body(schema.to_string());
    let setup = Setup::new([plan(), plan()]).await;
    let answer = setup
        .call(
            "get_plugin_schema",
            json!({"name": "big", "max_bytes": 512}),
        )
        .await
        .ok();
    assert!(answer["body"].to_string().len() <= 512);
    assert!(!answer["cut"].is_null());
    let arguments = json!({"name": "big", "pointer": "/properties/b"});
    let answer = setup.call("get_plugin_schema", arguments).await.ok();
    assert_eq!(answer["body"], json!({"type": "string"}));
}

#[tokio::test]
async fn failures_say_what_to_do_at_an_apisix() {
    for (status, body, says) in [
        (
            401,
            r#"{"error_msg":"failed to check token"}"#,
            "APISIX_ADMIN_KEY",
        ),
        (403, "<html>", "allow_admin"),
        (404, r#"{"message":"Key not found"}"#, "get_resource"),
        (400, r#"{"error_msg":"invalid"}"#, "validate_resource"),
        (500, "", "The Admin API failed"),
        (302, "", "APISIX_ADMIN_API_PORT"),
    ] {
        let setup = Setup::new([on("GET /routes/1").status(status).body(body)]).await;
        let error = setup
            .call("get_resource", json!({"type": "routes", "id": "1"}))
            .await
            .error();
        assert!(
            error.contains(says) && !error.contains("dashboard"),
            "{error}"
        );
    }
    let config = ApisixConfig::new(nobody().await, Secret::new(KEY.to_owned()));
    let backend = backend(&config).unwrap();
    let error = call(&*backend, "get_all_plugin_names", &json!({}), KEY)
        .await
        .error();
    assert!(error.contains("check that the Admin API runs"), "{error}");
}
