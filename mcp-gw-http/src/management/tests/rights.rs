//! What those who are no administrators see and change of servers and keys, and what comes through proxies.

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use super::{Answer, OPEN, World};

const ROLES: &str = "policy: { default: allow }\nmanagement: { admin_password: \
     'a long password of a test', role_scopes: { operator: [gateway:write] } }\n";

impl World {
    /// Registers a command, as a request from this machine with these headers.
    async fn runs(&self, id: &str, headers: &[(&'static str, &str)], env: Value) -> Answer {
        let body = json!({"template_name": id, "id": id, "transport": "stdio", "env_vars": env,
            "command": ["sh", "-c", "echo the secret of a child >&2; exit 3"]});
        let mut request = Request::post("/servers")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.admin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body.to_string())).unwrap();
        let peer: std::net::SocketAddr = ([127, 0, 0, 1], 4000).into();
        request.extensions_mut().insert(ConnectInfo(peer));
        self.send(request).await
    }

    async fn user(&self, name: &str, roles: &[&str]) -> String {
        let password = super::PASSWORD;
        let user = json!({"username": name, "password": password, "roles": roles});
        self.post("/auth/users", user).await.expect(201);
        self.login(name, password).await
    }
}

#[tokio::test]
async fn what_a_process_wrote_is_for_who_may_read_its_log() {
    let world = World::of(ROLES.to_owned()).await;
    let operator = world.user("operator", &["operator"]).await;
    let user = world.user("user", &[]).await;
    world.runs("s", &[], Value::Null).await.expect(201);
    for (who, sees) in [(&world.admin, true), (&operator, true), (&user, false)] {
        for path in [
            "/servers/s",
            "/servers?include_health=true",
            "/gateway/templates/s",
        ] {
            let answer = world.ask(who, Method::GET, path, None).await;
            let text = answer.text.clone();
            answer.expect(200);
            assert!(text.contains("it ended with"), "{path}: {text}");
            let last = text.contains("last words: the secret of a child");
            assert_eq!(last, sees, "{path}: {text}");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn another_command_is_not_given_variables_that_nobody_may_read() {
    let world = World::of(ROLES.to_owned()).await;
    let operator = world.user("operator", &["operator"]).await;
    let secret = json!({"TOKEN": "s3cr3t"});
    world.runs("s", &[], secret).await.expect(201);
    let patch = async |body: Value| {
        world
            .ask(&operator, Method::PATCH, "/servers/s", Some(body))
            .await
    };
    let refused = patch(json!({"command": null})).await.expect(422);
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "env_vars"]));
    let says = refused["detail"][0]["msg"].as_str().unwrap();
    assert!(says.contains("in the same request"), "{says}");
    // Given anew, or given up.
    patch(json!({"command": null, "env_vars": {"TOKEN": "x"}}))
        .await
        .expect(200);
    patch(json!({"command": null, "env_vars": null}))
        .await
        .expect(200);
    world.end().await;
}

#[tokio::test]
async fn whoever_comes_through_a_proxy_is_not_on_this_machine() {
    let world = World::start(OPEN).await;
    for name in [
        "forwarded",
        "via",
        "x-real-ip",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "cf-connecting-ip",
        "cf-ray",
        "true-client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-forwarded-for",
        "x-envoy-external-address",
        "fly-client-ip",
        "fastly-client-ip",
        "x-azure-clientip",
        "x-appengine-user-ip",
        "x-remote-ip",
    ] {
        let refused = world.runs("s", &[(name, "127.0.0.1")], Value::Null).await;
        let refused = refused.expect(422);
        assert_eq!(
            refused["detail"][0]["type"], "value_error.command",
            "{name}"
        );
    }
    world.runs("s", &[], Value::Null).await.expect(201);
    world.end().await;
}

#[tokio::test]
async fn changes_at_once_are_all_made_unless_a_revision_is_named() {
    let world = World::start(OPEN).await;
    let server = json!({"template_name": "t", "id": "s"});
    let made = world.post("/servers", server).await;
    let first = made.header("etag").to_owned();
    made.expect(201);
    let patches = (0..24).map(|number| {
        let (path, body) = if number % 2 == 0 {
            ("/servers/s", json!({"namespace": format!("n{number}")}))
        } else {
            let body = json!({"description": format!("d{number}")});
            ("/gateway/templates/t", body)
        };
        world.ask(&world.admin, Method::PATCH, path, Some(body))
    });
    for answer in futures_util::future::join_all(patches).await {
        answer.expect(200);
    }
    for (tag, status) in [
        (first, 412),
        ("\"x\"".to_owned(), 412),
        ("W/\"1\"".to_owned(), 412),
        ("\"1\", \"y\"".to_owned(), 412),
        ("x".to_owned(), 422),
    ] {
        let request = Request::patch("/servers/s")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", world.admin))
            .header("if-match", tag)
            .body(Body::from("{\"namespace\":\"n\"}"));
        world.send(request.unwrap()).await.expect(status);
    }
    world.end().await;
}

#[tokio::test]
async fn keys_end_what_they_could_do_and_faults_name_what_was_sent() {
    let world = World::start(OPEN).await;
    let key = async |name: &str, scopes: Value| {
        let body = json!({"name": name, "permissions": scopes});
        world.post("/auth/api-keys", body).await
    };
    let strong = key("strong", json!(["admin"])).await.expect(201);
    let none = key("none", json!([])).await.expect(201);
    let text = none["key"].as_str().unwrap();
    let path = format!("/auth/api-keys/{}", strong["id"]);
    let end = format!("{path}/revoke");
    world.ask(text, Method::POST, &end, None).await.expect(403);
    world
        .ask(text, Method::DELETE, &path, None)
        .await
        .expect(403);
    let own = format!("/auth/api-keys/{}", none["id"]);
    world
        .ask(text, Method::DELETE, &own, None)
        .await
        .expect(204);
    // Rotating knows revisions.
    let rotate = |etag: &str| {
        Request::post(format!("{path}/rotate"))
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", world.admin))
            .header("if-match", etag)
            .body(Body::empty())
            .unwrap()
    };
    let now = world.get(&path).await.header("etag").to_owned();
    world.send(rotate("\"99\"")).await.expect(412);
    world.send(rotate(&now)).await.expect(200);
    world.send(rotate(&now)).await.expect(412);
    // Members by the names that they have.
    let refused = key("x", json!(["root"])).await.expect(422);
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "permissions"]));
    let odd = json!({"template_name": "t", "container_id": "a\u{0}b"});
    let refused = world.post("/servers", odd).await.expect(422);
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "container_id"]));
    world.end().await;
}
