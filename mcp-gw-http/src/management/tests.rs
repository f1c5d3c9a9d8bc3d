//! Each operation over its route, in process, on a store in memory.

#![expect(
    clippy::too_many_lines,
    reason = "each test is one story from the beginning to its end"
)]

mod ends;
mod hostile;
mod origins;
mod pages;
mod rights;
mod trail;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use mcp_gw_core::{AllowAll, CallContext, Clock as _, Gateway, SystemClock, ToolError, TypedTool};
use mcp_gw_server::config::Config;
use mcp_gw_server::identity::Management;
use mcp_gw_server::registry::{Registry, RegistryOptions};
use mcp_gw_server::store::{MemoryStore, Store, Time};
use mcp_gw_server::{Launch, Running};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use super::ManagementApi;
use crate::router::{HttpConfig, router, router_for};

const PASSWORD: &str = "a long password of a test";

/// A gateway with its management API.
struct World {
    app: Router,
    registry: Registry,
    running: Running,
    /// A token of the first user.
    admin: String,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }
}

impl World {
    async fn start(more: &str) -> Self {
        let text = format!(
            "{more}\nmanagement: {{ admin_password: {PASSWORD}, cors_origins: [\"https://app.example\"] }}\n"
        );
        Self::of(text).await
    }

    /// With all of a configuration but its servers.
    async fn of(text: String) -> Self {
        // A file without a server is refused.
        let text = format!("{text}servers: {{ none: {{ url: 'http://127.0.0.1:9/mcp' }} }}\n");
        let mut config = Config::load("test.yaml", &text, &|_| None).unwrap();
        config.servers.clear();
        let managed = config.management.clone().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let clock = Arc::new(SystemClock::new());
        let opened = Management::with_store(&managed, Arc::clone(&store), clock);
        let management = opened.await.unwrap();
        let launch = Launch::new().with_management(management.clone());
        let running = launch.start(&config).unwrap();
        let mut options = RegistryOptions::new();
        options.addresses = options.addresses.with_private(true);
        options.allowed_commands = vec!["no-such-program".to_owned()];
        let registry = Registry::start(&running, store, options).await.unwrap();
        let http = HttpConfig::default().with_max_body_bytes(10_000);
        let identity = management.identity().clone();
        let engine = running.engine().clone();
        let mcp = router_for(engine.clone(), HttpConfig::default());
        let app = ManagementApi::new(engine, identity, registry.clone())
            .with_http(http)
            .with_origins(managed.cors_origins)
            .with_authentication(config.is_keyed())
            .router_with_mcp("/mcp", mcp);
        let mut world = Self {
            app,
            registry,
            running,
            admin: String::new(),
        };
        if managed.auth_enabled {
            world.admin = world.login("admin", PASSWORD).await;
        }
        world
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 10_000_000).await.unwrap();
        Answer {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn ask(
        &self,
        credential: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost");
        if !credential.is_empty() {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        let body = match body {
            None => Body::empty(),
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
        };
        self.send(request.body(body).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&self.admin, Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(&self.admin, Method::POST, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.ask(&self.admin, Method::DELETE, path, None).await
    }

    async fn form(&self, path: &str, form: &str) -> Answer {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).unwrap())
            .await
    }

    async fn login(&self, name: &str, password: &str) -> String {
        let password = password.replace(' ', "+");
        let form = format!("username={name}&password={password}");
        let token = self.form("/auth/login", &form).await.expect(200);
        assert_eq!(token["token_type"], "bearer");
        assert_eq!(token["expires_in"], 1800);
        token["access_token"].as_str().unwrap().to_owned()
    }

    async fn end(self) {
        self.registry.stop().await;
        self.running.shutdown().await;
    }
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Said {
    word: String,
}

/// A tool that says what it was told.
struct Echo;

impl TypedTool for Echo {
    const NAME: &'static str = "echo";
    const DESCRIPTION: &'static str = "Says it.";
    type Args = Said;
    type Output = String;

    async fn call(&self, _: &CallContext, said: Said) -> Result<String, ToolError> {
        if said.word == "fail" {
            return Err(ToolError::failed("it failed"));
        }
        Ok(said.word)
    }
}

/// The URL of an MCP server that runs until the test ends.
async fn upstream() -> String {
    let gateway = Gateway::builder()
        .policy(AllowAll::new())
        .tool(Echo)
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().nest_service("/mcp", router(gateway, HttpConfig::default()));
    tokio::spawn(crate::serve(
        listener,
        app,
        std::future::pending(),
        Duration::ZERO,
    ));
    format!("http://{address}/mcp")
}

const OPEN: &str = "policy: { default: allow }";

#[tokio::test]
async fn the_life_of_a_server_on_both_surfaces() {
    let (world, url) = (World::start(OPEN).await, upstream().await);
    // By the page.
    let made = world.post(
        "/servers",
        json!({"template_name": "files", "id": "one", "config": {"endpoint": url, "x": 1}}),
    );
    let made = made.await.expect(201);
    assert_eq!(
        (&made["server_id"], &made["status"]),
        (&json!("one"), &json!("healthy"))
    );
    assert_eq!(made["config"]["x"], 1);
    let body = json!({"server_id": "one", "tool_name": "echo", "arguments": {"word": "hi"}});
    let called = world.post("/tools/call", body.clone()).await;
    assert_eq!(called.header("content-type"), "application/json");
    let called = called.expect(200);
    assert_eq!(
        (&called["content"][0]["text"], &called["isError"]),
        (&json!("hi"), &json!(false))
    );
    let mut failing = body.clone();
    failing["arguments"]["word"] = json!("fail");
    assert_eq!(
        world.post("/tools/call", failing).await.expect(200)["isError"],
        true
    );
    let mut unknown = body.clone();
    unknown["tool_name"] = json!("nothing");
    assert_eq!(
        world.post("/tools/call", unknown).await.expect(404)["error_code"],
        "NOT_FOUND"
    );
    // By the other one.
    let called = world.post(
        "/mcp/files/tools/call",
        json!({"name": "echo", "arguments": {"word": "yo"}}),
    );
    assert_eq!(called.await.expect(200)["content"][0]["text"], "yo");
    let unknown = world
        .post("/mcp/files/tools/call", json!({"name": "nothing"}))
        .await
        .expect(200);
    assert_eq!(unknown["isError"], true);
    assert_eq!(
        world.get("/mcp/files/tools/list").await.expect(200)["tools"][0]["name"],
        "echo"
    );
    assert_eq!(
        world.get("/servers/one/tools").await.expect(200)["tools"][0]["name"],
        "echo"
    );
    let health = world
        .ask("", Method::GET, "/mcp/files/health", None)
        .await
        .expect(200);
    assert_eq!(
        (&health["status"], &health["total_instances"]),
        (&json!("healthy"), &json!(1))
    );
    let put = world.post(
        "/gateway/templates/files/instances",
        json!({"id": "two", "template_name": "other", "endpoint": url}),
    );
    assert_eq!(put.await.expect(200)["template_name"], "files");
    let list = world.get("/servers").await.expect(200);
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert!(list[0].get("status").is_none());
    let healthy = world.get("/servers?include_health=true&limit=1").await;
    assert!(
        healthy
            .header("link")
            .ends_with("&limit=1&include_health=true>; rel=\"next\"")
    );
    let next = healthy
        .header("link")
        .split(['<', '>'])
        .nth(1)
        .unwrap()
        .to_owned();
    assert_eq!(healthy.expect(200)[0]["status"], "healthy");
    assert_eq!(world.get(&next).await.expect(200)[0]["id"], "two");
    // Both surfaces count.
    let stats = world.get("/stats").await.expect(200);
    assert_eq!(
        (&stats["active_servers"], &stats["healthy_servers"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        stats["total_requests"],
        world.get("/gateway/stats").await.expect(200)["total_requests"]
    );
    assert_eq!(
        world.get("/gateway/registry").await.expect(200)["templates"]["files"]["load_balancer_strategy"],
        "round_robin"
    );
    // MCP clients have their endpoints beside it.
    let mcp = world.get("/mcp").await;
    assert_ne!(mcp.status, StatusCode::NOT_FOUND);
    // Off, on, other, and gone.
    assert_eq!(
        world
            .post("/servers/one/disable", json!({}))
            .await
            .expect(200)["is_active"],
        false
    );
    assert_eq!(
        world.post("/tools/call", body.clone()).await.expect(503)["error_code"],
        "SERVER_UNAVAILABLE"
    );
    assert_eq!(
        world
            .post("/servers/one/enable", json!({}))
            .await
            .expect(200)["status"],
        "healthy"
    );
    let old = world.get("/servers/one").await;
    let patch = json!({"instance_metadata": {"weight": 3}});
    let patched = world
        .ask(&world.admin, Method::PATCH, "/servers/one", Some(patch))
        .await;
    assert_eq!(patched.expect(200)["instance_metadata"]["weight"], 3);
    let stale = Request::patch("/servers/one")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", world.admin))
        .header("if-match", old.header("etag"))
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(
        world.send(stale).await.expect(412)["error_code"],
        "CHANGED_MEANWHILE"
    );
    assert_eq!(
        world.get("/servers/one/logs?last=5").await.expect(200)["server_id"],
        "one"
    );
    assert_eq!(
        world
            .delete("/gateway/templates/other/instances/two")
            .await
            .status,
        404
    );
    world
        .delete("/gateway/templates/files/instances/two")
        .await
        .expect(200);
    assert_eq!(world.delete("/servers/one").await.status, 204);
    assert_eq!(world.delete("/servers/one").await.status, 404);
    assert_eq!(
        world.post("/tools/call", body).await.expect(404)["error_code"],
        "NOT_FOUND"
    );
    world.end().await;
}

#[tokio::test]
async fn users_and_keys_and_what_they_may() {
    let world = World::start(OPEN).await;
    let new =
        json!({"username": "newuser", "email": "user@example.com", "password": "password123"});
    let user = world.post("/auth/users", new.clone()).await.expect(201);
    assert!(!user.to_string().contains("password"), "{user}");
    assert_eq!(
        world.post("/auth/users", new).await.expect(409)["error_code"],
        "USERNAME_TAKEN"
    );
    let id = user["id"].as_i64().unwrap();
    let token = world.login("newuser", "password123").await;
    // An ordinary user reads and calls, and makes nothing.
    let as_user = async |method, path: &str, body| world.ask(&token, method, path, body).await;
    as_user(Method::GET, "/servers", None).await.expect(200);
    let refused = as_user(
        Method::POST,
        "/servers",
        Some(json!({"template_name": "x"})),
    )
    .await
    .expect(403);
    assert_eq!(refused["required_permissions"], json!(["gateway:write"]));
    for path in ["/auth/users", "/auth/api-keys"] {
        let refused = as_user(Method::POST, path, Some(json!({})))
            .await
            .expect(403);
        assert_eq!(refused["error_code"], "INSUFFICIENT_PERMISSIONS");
    }
    as_user(Method::GET, &format!("/auth/users/{id}"), None)
        .await
        .expect(200);
    assert_eq!(
        as_user(Method::GET, "/auth/users/1", None).await.status,
        404
    );
    assert_eq!(
        as_user(Method::GET, "/auth/me", None).await.expect(200)["scopes"],
        json!(["gateway:read", "tools:call"])
    );
    // Keys by either body; a user sees the own ones only.
    let made = world.post(
        "/auth/api-keys",
        json!({"name": "mine", "permissions": ["gateway:read", "tools:call"]}),
    );
    let made = made.await.expect(201);
    let in_a_day = Time::from(SystemClock::new().wall()).after(Duration::from_secs(86_400));
    let theirs = json!({"name": "theirs", "scopes": ["gateway:read"], "user_id": id, "expires_at": in_a_day.to_string()});
    let theirs = world.post("/auth/api-keys", theirs).await.expect(201);
    assert_eq!(
        (&theirs["permissions"], &theirs["user_id"]),
        (&json!(["gateway:read"]), &json!(id))
    );
    let mine = made["id"].as_i64().unwrap();
    for (method, path) in [
        (Method::GET, format!("/auth/api-keys/{mine}")),
        (Method::DELETE, format!("/auth/api-keys/{mine}")),
        (Method::POST, format!("/auth/api-keys/{mine}/rotate")),
        (Method::POST, format!("/auth/api-keys/{mine}/revoke")),
    ] {
        assert_eq!(as_user(method, &path, None).await.status, 404, "{path}");
    }
    let listed = as_user(Method::GET, "/auth/api-keys", None)
        .await
        .expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("mcp_"));
    world
        .ask(key, Method::GET, "/stats", None)
        .await
        .expect(200);
    let by_header = Request::get("/stats")
        .header("host", "localhost")
        .header("x-api-key", key);
    assert_eq!(
        world
            .send(by_header.body(Body::empty()).unwrap())
            .await
            .status,
        200
    );
    let other = world
        .post(&format!("/auth/api-keys/{mine}/rotate"), json!({}))
        .await
        .expect(200);
    let ended = world.ask(key, Method::GET, "/stats", None).await;
    assert_eq!(
        ended.header("www-authenticate"),
        "Bearer error=\"invalid_token\""
    );
    assert_eq!(ended.expect(401)["error_code"], "INVALID_TOKEN");
    let key = other["key"].as_str().unwrap();
    world
        .ask(key, Method::GET, "/stats", None)
        .await
        .expect(200);
    let revoked = world
        .post(&format!("/auth/api-keys/{mine}/revoke"), json!({}))
        .await
        .expect(200);
    assert!(revoked["revoked_at"].is_string() && revoked.get("key").is_none());
    world
        .ask(key, Method::GET, "/stats", None)
        .await
        .expect(401);
    assert_eq!(
        world.delete(&format!("/auth/api-keys/{mine}")).await.status,
        204
    );
    // Log out; another password; off; gone.
    assert_eq!(
        as_user(Method::POST, "/auth/logout", None).await.status,
        204
    );
    as_user(Method::GET, "/auth/me", None).await.expect(401);
    let token = world.login("newuser", "password123").await;
    let change = json!({"old_password": "password123", "new_password": "password456"});
    let changed = world
        .ask(&token, Method::POST, "/auth/password", Some(change))
        .await;
    assert_eq!(changed.status, 204);
    world
        .ask(&token, Method::GET, "/auth/me", None)
        .await
        .expect(401);
    let one = format!("/auth/users/{id}");
    let off = world
        .ask(
            &world.admin,
            Method::PATCH,
            &one,
            Some(json!({"is_active": false})),
        )
        .await;
    assert_eq!(off.expect(200)["is_active"], false);
    let refused = world
        .form("/auth/login", "username=newuser&password=password456")
        .await
        .expect(401);
    assert_eq!(refused["detail"], "Invalid credentials");
    assert_eq!(world.delete(&one).await.status, 204);
    assert_eq!(
        world.delete("/auth/users/1").await.expect(409)["error_code"],
        "LAST_ADMIN"
    );
    world.end().await;
}
