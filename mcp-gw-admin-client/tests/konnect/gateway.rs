//! The same tools over the Admin API of one gateway.

use mcp_gw_admin_client::tools::konnect::gateway_backend;

use super::*;

struct Kong {
    backend: Arc<dyn Backend>,
    _api: Scripted,
}

impl Kong {
    async fn new(plans: impl IntoIterator<Item = Plan>) -> Self {
        let api = Scripted::start(plans).await;
        let mut config = KongConfig::new(api.url());
        config.control_plane_id = Some(CP.to_owned());
        config.control_plane_name = Some("mine".to_owned());
        config.consumer_groups = Some(true);
        let backend = gateway_backend(&config, Parts::default()).unwrap();
        Self { backend, _api: api }
    }

    async fn call(&self, tool: &str, arguments: Value) -> Answered {
        call(&*self.backend, tool, &arguments, TOKEN).await
    }
}

fn about() -> Plan {
    on("GET /")
        .body(r#"{"version":"3.9.0","hostname":"h","configuration":{"pg_password":"hidden"}}"#)
}

#[tokio::test]
async fn it_is_one_control_plane_that_tells_its_version() {
    let routes = || on("GET /routes?size=1000").body(data(&json!([{"id": ID, "paths": ["/a"]}])));
    let kong = Kong::new([about(), about(), about(), about(), routes()]).await;
    for arguments in [
        json!({"operation": "list"}),
        json!({"operation": "get_by_id", "id": CP}),
        json!({"operation": "get_by_name", "name": "mine"}),
        json!({"operation": "get_by_route", "path": "/a/b"}),
    ] {
        let answer = kong.call("GetControlPlane", arguments).await.ok();
        assert_eq!(answer["items"][0]["control_plane_id"], CP);
        assert_eq!(answer["items"][0]["version"], "3.9.0");
        assert_eq!(answer["region"], Value::Null);
        assert!(!answer.to_string().contains("hidden"));
    }
    let error = kong
        .call(
            "GetControlPlane",
            json!({"operation": "get_by_id", "id": CP2}),
        )
        .await
        .error();
    assert!(
        error.contains(CP) && error.contains("one gateway"),
        "{error}"
    );
}

#[tokio::test]
async fn names_are_parts_of_paths_there() {
    let kong = Kong::new([
        on("GET /services/orders").body(json!({"id": ID, "name": "orders"}).to_string()),
        on("GET /consumers/jack")
            .status(404)
            .body(r#"{"message":"Not found"}"#),
        on("GET /consumers?size=1000").body(data(&json!([{"id": ID, "username": "jacky"}]))),
        on("GET /vaults/p").body(json!({"id": ID, "name": "env", "prefix": "p"}).to_string()),
        // What cannot be part of a path is looked for in the list.
        on("GET /routes?size=1000").body(data(&json!([{"id": ID, "name": "a/b"}]))),
    ])
    .await;
    let ask = |argument: &str, name: &str| json!({"operation": "get_by_name", "control_plane_id": CP, argument: name});
    let answer = kong
        .call("GetService", ask("service_name", "orders"))
        .await
        .ok();
    assert_eq!(answer["items"][0]["service_id"], ID);
    let answer = kong
        .call("GetConsumer", ask("consumer_name", "jack"))
        .await
        .ok();
    assert_eq!(answer["near_names"], json!(["jacky"]));
    let answer = kong.call("GetVault", ask("vault_name", "p")).await.ok();
    assert_eq!(answer["items"][0]["provider"], "env");
    let answer = kong.call("GetRoute", ask("route_name", "a/b")).await.ok();
    assert_eq!(answer["count"], 1);
}

#[tokio::test]
async fn what_it_does_not_have_is_said_and_what_it_refuses_is_explained() {
    let kong = Kong::new([
        on("GET /consumer_groups?size=1000")
            .status(404)
            .body(r#"{"message":"Not found"}"#),
        on("GET /plugins?size=1000")
            .status(401)
            .body(r#"{"message":"Invalid credentials. Token or User credentials required"}"#),
        on(&format!("GET /plugins/{ID}"))
            .status(403)
            .body(r#"{"message":"jill, you do not have permissions to read this resource"}"#),
    ])
    .await;
    let list = json!({"operation": "list", "control_plane_id": CP});
    let error = kong.call("GetConsumerGroup", list.clone()).await.error();
    assert!(error.contains("Enterprise"), "{error}");
    let error = kong.call("GetPlugin", list).await.error();
    assert!(error.contains("KONG_ADMIN_TOKEN"), "{error}");
    let one = json!({"operation": "get_by_id", "control_plane_id": CP, "plugin_id": ID});
    let error = kong.call("GetPlugin", one).await.error();
    assert!(
        error.contains("jill") && error.contains("workspace"),
        "{error}"
    );
    let other = json!({"operation": "list", "control_plane_id": CP2});
    let error = kong.call("GetService", other).await.error();
    assert!(error.contains("one gateway"), "{error}");
}

#[tokio::test]
async fn who_may_read_a_workspace_alone_learns_what_the_control_plane_is() {
    let kong = Kong::new([
        on("GET /").status(403).body(r#"{"message":"no"}"#),
        on("GET /").status(404).body(r#"{"message":"no"}"#),
        on("GET /").status(401).body(r#"{"message":"no"}"#),
    ])
    .await;
    for _ in 0..2 {
        let list = json!({"operation": "list"});
        let answer = kong.call("GetControlPlane", list).await.ok();
        let item = &answer["items"][0];
        assert_eq!(
            (&item["control_plane_id"], &item["name"]),
            (&json!(CP), &json!("mine"))
        );
        assert!(
            item["description"]
                .as_str()
                .unwrap()
                .contains("version is not known")
        );
    }
    let list = json!({"operation": "list"});
    let error = kong.call("GetControlPlane", list).await.error();
    assert!(error.contains("KONG_ADMIN_TOKEN"), "{error}");
}

#[tokio::test]
async fn a_workspace_is_part_of_paths_unless_it_is_the_default_one() {
    for (workspace, line) in [
        ("default", "GET /services?size=1000"),
        ("team a", "GET /team%20a/services?size=1000"),
    ] {
        let api = Scripted::start([on(line).body(data(&json!([])))]).await;
        let mut config = KongConfig::new(api.url());
        config.control_plane_id = Some(CP.to_owned());
        config.workspace = Some(workspace.to_owned());
        let backend = gateway_backend(&config, Parts::default()).unwrap();
        let list = json!({"operation": "list", "control_plane_id": CP});
        call(&*backend, "GetService", &list, TOKEN).await.ok();
    }
    for workspace in ["../x", "..", "", "a/b"] {
        let mut config = KongConfig::new("http://127.0.0.1:8001");
        config.workspace = Some(workspace.to_owned());
        let error = gateway_backend(&config, Parts::default()).err().unwrap();
        assert!(
            error.to_string().contains("workspace"),
            "{workspace}: {error}"
        );
    }
}
