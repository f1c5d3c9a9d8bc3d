//! Control planes and what is in them: each operation, what is missing, hostile arguments, long lists, failures.

use super::*;

#[tokio::test]
async fn control_planes_are_listed_with_the_id_that_other_tools_want() {
    let setup = Setup::new([planes(&[(CP, "orders"), (CP2, "billing")])]).await;
    let answered = setup
        .call("GetControlPlane", json!({"operation": "list"}))
        .await;
    let text = answered.text.clone();
    assert!(
        text.starts_with("2 control planes in region eu\n- control_plane_id=7f9f"),
        "{text}"
    );
    let answer = answered.ok();
    assert_eq!(answer["items"][1]["control_plane_id"], CP2);
    assert_eq!(answer["items"][0]["tags"], json!(["env:test"]));
    assert_eq!(answer["items"][0]["is_group"], false);
}

#[tokio::test]
async fn an_empty_region_names_itself() {
    let setup = Setup::new([planes(&[])]).await;
    let answer = setup
        .call("GetControlPlane", json!({"operation": "list"}))
        .await
        .ok();
    assert_eq!(
        (&answer["count"], &answer["region"]),
        (&json!(0), &json!("eu"))
    );
    let says = answer["remarks"][0].as_str().unwrap();
    assert!(
        says.contains("region eu") && says.contains("another region"),
        "{says}"
    );
}

#[tokio::test]
async fn one_control_plane_is_read_by_id_and_by_name() {
    let by_name =
        "GET /v2/control-planes?page%5Bsize%5D=100&page%5Bnumber%5D=1&filter%5Bname%5D%5Beq%5D=";
    let plane = json!({"id": CP, "name": "orders", "secret_key": "hidden!"});
    let page = |data: Value| json!({"data": data, "meta": {"page": {"total": 1}}}).to_string();
    let setup = Setup::new([
        on(&format!("GET /v2/control-planes/{CP}")).body(plane.to_string()),
        on(&format!("{by_name}orders")).body(page(json!([plane]))),
        // What is answered is looked at again: a filter that is not understood must not name the wrong one.
        on(&format!("{by_name}order")).body(page(json!([plane]))),
        planes(&[(CP, "orders"), (CP2, "billing")]),
    ])
    .await;
    let arguments = json!({"operation": "get_by_id", "id": CP.to_uppercase()});
    let answer = setup.call("GetControlPlane", arguments).await.ok();
    assert_eq!(answer["items"][0]["secret_key"], "[redacted]");
    let arguments = json!({"operation": "get_by_name", "name": "orders"});
    assert_eq!(
        setup.call("GetControlPlane", arguments).await.ok()["count"],
        1
    );
    let arguments = json!({"operation": "get_by_name", "name": "order"});
    let answer = setup.call("GetControlPlane", arguments).await.ok();
    assert_eq!(
        (&answer["count"], &answer["near_names"]),
        (&json!(0), &json!(["orders"]))
    );
    assert!(answer["remarks"][0].as_str().unwrap().contains("region eu"));
}

#[tokio::test]
async fn the_members_of_a_group_have_their_names() {
    let line = format!("GET /v2/control-planes/{CP}/group-memberships?page%5Bsize%5D=100");
    let setup = Setup::new([
        on(&line)
            .body(json!({"data": [{"id": CP2}], "meta": {"page": {"next": null}}}).to_string()),
        planes(&[(CP, "all"), (CP2, "billing")]),
        on(&line)
            .status(400)
            .body(r#"{"title":"Bad Request","detail":"not a group"}"#),
    ])
    .await;
    let arguments = || json!({"operation": "list", "control_plane_group_id": CP});
    let answer = setup.call("GetControlPlaneGroup", arguments()).await.ok();
    assert_eq!(answer["items"][0]["name"], "billing");
    let error = setup
        .call("GetControlPlaneGroup", arguments())
        .await
        .error();
    assert!(error.contains("not a group"), "{error}");
}

#[tokio::test]
async fn each_kind_is_listed_with_the_ids_that_lead_on() {
    let service =
        json!({"id": ID, "name": "s", "host": "h", "port": 80, "enabled": false, "path": null});
    for (tool, path, item, wanted) in [
        (
            "GetService",
            "services",
            service,
            json!({"service_id": ID, "enabled": false}),
        ),
        (
            "GetRoute",
            "routes",
            json!({"id": ID, "paths": ["/a"], "service": {"id": CP2}}),
            json!({"route_id": ID, "service_id": CP2}),
        ),
        (
            "GetConsumer",
            "consumers",
            json!({"id": ID, "username": "jack"}),
            json!({"consumer_id": ID}),
        ),
        (
            "GetConsumerGroup",
            "consumer_groups",
            json!({"id": ID, "name": "gold"}),
            json!({"consumer_group_id": ID}),
        ),
        (
            "GetPlugin",
            "plugins",
            json!({"id": ID, "name": "x", "route": {"id": CP2}, "service": null, "config": {"client_secret": "hidden!"}}),
            json!({"plugin_id": ID, "scope": "route", "route_id": CP2, "config": {"client_secret": "[redacted]"}}),
        ),
        (
            "GetVault",
            "vaults",
            json!({"id": ID, "name": "hcv", "prefix": "p", "config": {"token": "hidden!"}}),
            json!({"vault_id": ID, "provider": "hcv", "config": {"token": "[redacted]"}}),
        ),
    ] {
        let line = format!("GET /{path}?size=1000");
        let setup = Setup::new([on_core(&line).body(data(&json!([item])))]).await;
        let arguments = json!({"operation": "list", "control_plane_id": CP});
        let answer = setup.call(tool, arguments).await.ok();
        assert_eq!(answer["control_plane_id"], CP);
        for (name, value) in wanted.as_object().unwrap() {
            assert_eq!(answer["items"][0][name], *value, "{tool}: {answer}");
        }
        let is_off = answer["remarks"].to_string().contains("disabled");
        assert_eq!(is_off, tool == "GetService");
    }
}

#[tokio::test]
async fn one_of_each_kind_is_read_by_its_id_in_both_forms() {
    for (tool, path, argument) in [
        ("GetService", "services", "service_id"),
        ("GetRoute", "routes", "route_id"),
        ("GetConsumer", "consumers", "consumer_id"),
        ("GetPlugin", "plugins", "plugin_id"),
        ("GetVault", "vaults", "vault_id"),
    ] {
        let plan = || on_core(&format!("GET /{path}/{ID}")).body(json!({"id": ID}).to_string());
        let setup = Setup::new([plan(), plan()]).await;
        for id in [ID.to_owned(), format!("{CP}:{ID}")] {
            let arguments = json!({"operation": "get_by_id", "control_plane_id": CP, argument: id});
            let answer = setup.call(tool, arguments).await.ok();
            assert_eq!(answer["items"][0][argument], ID);
        }
    }
}

#[tokio::test]
async fn names_are_found_by_a_filter_or_offered() {
    for (tool, path, argument, member) in [
        ("GetService", "services", "service_name", "name"),
        ("GetRoute", "routes", "route_name", "name"),
        ("GetConsumer", "consumers", "consumer_name", "username"),
    ] {
        let filtered = format!("GET /{path}?size=1000&filter%5Bname%5D%5Beq%5D=");
        let setup = Setup::new([
            on_core(&format!("{filtered}orders"))
                .body(data(&json!([{"id": ID, member: "orders"}]))),
            on_core(&format!("{filtered}order")).body(data(&json!([{"id": ID, member: "orders"}]))),
            on_core(&format!("GET /{path}?size=1000"))
                .body(data(&json!([{"id": ID, member: "orders"}, {"id": CP}]))),
        ])
        .await;
        let ask = |name: &str| json!({"operation": "get_by_name", "control_plane_id": CP, argument: name});
        assert_eq!(setup.call(tool, ask("orders")).await.ok()["count"], 1);
        let answer = setup.call(tool, ask("order")).await.ok();
        assert_eq!(
            (&answer["count"], &answer["near_names"]),
            (&json!(0), &json!(["orders"]))
        );
    }
}

#[tokio::test]
async fn a_vault_is_meant_by_its_prefix_or_else_by_its_provider() {
    let vaults = json!([{"id": ID, "prefix": "aws", "name": "hcv"}, {"id": CP, "prefix": "b", "name": "aws"},
        {"id": CP2, "prefix": "c", "name": "hcv"}]);
    let plan = || on_core("GET /vaults?size=1000").body(data(&vaults));
    let setup = Setup::new([plan(), plan()]).await;
    let ask = |name: &str| json!({"operation": "get_by_name", "control_plane_id": CP, "vault_name": name});
    let answer = setup.call("GetVault", ask("aws")).await.ok();
    assert_eq!(
        (&answer["count"], &answer["items"][0]["vault_id"]),
        (&json!(1), &json!(ID))
    );
    assert_eq!(setup.call("GetVault", ask("hcv")).await.ok()["count"], 2);
}

#[tokio::test]
async fn a_long_list_is_brief_and_read_on() {
    let routes: Vec<Value> = (0..500)
        .map(|n| json!({"id": ID, "name": format!("r{n}"), "paths": [format!("/{n}")], "more": "x".repeat(300)}))
        .collect();
    let page = |range: std::ops::Range<usize>, offset: Option<&str>| {
        json!({"data": routes[range], "offset": offset}).to_string()
    };
    let lines = ["GET /routes?size=1000", "GET /routes?size=1000&offset=o"];
    let plans = || {
        [
            on_core(lines[0]).body(page(0..300, Some("o"))),
            on_core(lines[1]).body(page(300..500, None)),
        ]
    };
    let setup = Setup::with(plans().into_iter().chain(plans()), |config| {
        config.answer_bytes = 20_000;
    })
    .await;
    let arguments = json!({"operation": "list", "control_plane_id": CP});
    let answer = setup.call("GetRoute", arguments).await.ok();
    assert_eq!(answer["count"], 500);
    assert!(answer["items"].to_string().len() < 21_000);
    let shown = answer["items"].as_array().unwrap().len();
    assert_eq!(answer["left_out"]["count"], 500 - shown);
    assert_eq!(answer["left_out"]["next"], format!("skip: {shown}"));
    assert!(answer["remarks"].to_string().contains("main members"));
    let arguments = json!({"operation": "list", "control_plane_id": CP, "skip": shown});
    let answer = setup.call("GetRoute", arguments).await.ok();
    assert_eq!(answer["items"][0]["name"], format!("r{shown}"));
}

#[tokio::test]
async fn a_list_has_a_bound_and_says_what_is_beyond_it_or_broke_off() {
    let first = json!({"data": [{"id": ID}, {"id": CP}], "offset": "o"}).to_string();
    let plan = || on_core("GET /routes?size=1000").body(&*first);
    let setup = Setup::with([plan()], |config| config.max_items = 1).await;
    let arguments = || json!({"operation": "list", "control_plane_id": CP});
    let answer = setup.call("GetRoute", arguments()).await.ok();
    assert_eq!(
        (&answer["count"], &answer["left_out"]["count"]),
        (&json!(2), &json!(1))
    );
    assert!(
        answer["remarks"].to_string().contains("max_items"),
        "{answer}"
    );
    let broken = on_core("GET /routes?size=1000&offset=o")
        .status(500)
        .body(r#"{"message":"no"}"#);
    let setup = Setup::new([plan(), broken]).await;
    let answer = setup.call("GetRoute", arguments()).await.ok();
    assert!(
        answer["remarks"].to_string().contains("broke off after 2"),
        "{answer}"
    );
    assert!(answer["left_out"]["count"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn arguments_that_are_missing_wrong_or_too_many_are_refused_before_anything_is_asked() {
    let setup = Setup::new([]).await;
    let of = |more: Value| {
        let mut all = json!({"control_plane_id": CP});
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    for (tool, arguments, says) in [
        ("GetControlPlane", json!({}), "operation"),
        (
            "GetControlPlane",
            json!({"operation": "get_by_id"}),
            "`id` is missing",
        ),
        (
            "GetControlPlane",
            json!({"operation": "get_by_name"}),
            "`name` is missing",
        ),
        (
            "GetControlPlane",
            json!({"operation": "get_by_route"}),
            "`path` is missing",
        ),
        (
            "GetControlPlane",
            json!({"operation": "get_by_route", "path": "api"}),
            "begin with a slash",
        ),
        (
            "GetControlPlane",
            json!({"operation": "list", "name": "x"}),
            "is not for the operation list",
        ),
        (
            "GetControlPlane",
            json!({"operation": "list", "control_plane_id": CP}),
            "control_plane_id",
        ),
        (
            "GetControlPlane",
            json!({"operation": "delete"}),
            "get_by_route",
        ),
        (
            "GetService",
            json!({"operation": "list"}),
            "control_plane_id",
        ),
        (
            "GetService",
            of(json!({"operation": "get_by_id"})),
            "`service_id` is missing",
        ),
        (
            "GetRoute",
            of(json!({"operation": "get_by_name"})),
            "`route_name` is missing",
        ),
        (
            "GetConsumer",
            of(json!({"operation": "get_by_id", "consumer_id": "jack"})),
            "give a UUID",
        ),
        (
            "GetConsumer",
            of(json!({"operation": "list", "consumer_name": "jack"})),
            "is not for the operation list",
        ),
        (
            "GetConsumerGroup",
            of(json!({"operation": "get_by_id"})),
            "list",
        ),
        (
            "GetPlugin",
            of(json!({"operation": "get_by_name"})),
            "get_by_id",
        ),
        (
            "GetVault",
            of(json!({"operation": "get_by_id", "vault_id": format!("{CP}/..")})),
            "give a UUID",
        ),
        (
            "GetVault",
            of(json!({"operation": "get_by_id", "vault_id": "-".repeat(36)})),
            "is not a UUID",
        ),
        (
            "GetRoute",
            json!({"operation": "list", "control_plane_id": "../x"}),
            "give a UUID",
        ),
    ] {
        let error = setup.call(tool, arguments).await.error();
        assert!(error.contains(says), "{tool}: {error}");
    }
}

#[tokio::test]
async fn failures_say_what_to_look_at() {
    for (status, header, body, says) in [
        (
            401,
            None,
            r#"{"message":"Unauthorized","status":401}"#,
            "KONNECT_ACCESS_TOKEN",
        ),
        (
            403,
            None,
            r#"{"status":403,"title":"Forbidden"}"#,
            "the role Viewer or Admin",
        ),
        (404, None, "", "region eu"),
        (
            429,
            Some("90"),
            r#"{"message":"API rate limit exceeded"}"#,
            "Wait 90 s",
        ),
        (500, None, "", "Kong Konnect failed"),
        (302, None, "", "KONNECT_REGION"),
        (200, None, "<html>", "KONNECT_REGION"),
    ] {
        let mut plan = on_core(&format!("GET /services/{ID}"))
            .status(status)
            .body(body);
        if let Some(seconds) = header {
            plan = plan.header("retry-after", seconds);
        }
        let setup = Setup::new([plan]).await;
        let arguments = json!({"operation": "get_by_id", "control_plane_id": CP, "service_id": ID});
        let error = setup.call("GetService", arguments).await.error();
        assert!(error.contains(says), "{status}: {error}");
    }
}
