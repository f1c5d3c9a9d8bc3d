//! The document, the page, and what all answers have.

use axum::body::Body;
use axum::http::Request;
use mcp_gw_core::{Clock as _, SystemClock};
use serde_json::json;

use super::{ManagementApi, OPEN, World};

#[test]
fn the_document_is_as_it_is_known() {
    let document: serde_json::Value = serde_json::from_str(&ManagementApi::document()).unwrap();
    let mut lines = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let statuses: Vec<_> = operation["responses"]
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            lines.push(format!(
                "{method:6} {path} {}: {}",
                operation["description"],
                statuses.join(" ")
            ));
        }
    }
    insta::assert_snapshot!("operations", lines.join("\n"));
    insta::assert_snapshot!(
        "schemas",
        serde_json::to_string_pretty(&document["components"]).unwrap()
    );
    // Each reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"].get(name).is_some(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn all_answers_have_one_shape() {
    let world = World::start(OPEN).await;
    let send = async |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        world
            .send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    };
    let health = send("GET", "/health", &[("x-request-id", "abc-1")], "").await;
    assert_eq!(health.header("x-request-id"), "abc-1");
    let health = health.expect(200);
    assert_eq!(
        (&health["status"], &health["version"], &health["database"]),
        (&json!("healthy"), &json!("2.0.0"), &json!("connected"))
    );
    let odd = send("GET", "/health", &[("x-request-id", "a b")], "").await;
    assert!(!odd.header("x-request-id").contains(' '));
    let nowhere = send("GET", "/nowhere", &[], "").await.expect(404);
    assert_eq!(
        (&nowhere["detail"], &nowhere["error_code"]),
        (&json!("Not Found"), &json!("NOT_FOUND"))
    );
    let wrong = send("PUT", "/servers", &[], "").await;
    assert_eq!(wrong.header("allow"), "GET, POST, HEAD");
    assert_eq!(wrong.expect(405)["error_code"], "METHOD_NOT_ALLOWED");
    let nobody = send("GET", "/stats", &[], "").await;
    assert_eq!(nobody.header("www-authenticate"), "Bearer");
    assert_eq!(nobody.expect(401)["detail"], "Authentication required");
    let json = ("content-type", "application/json");
    let missing = send("POST", "/auth/login", &[json], "{}").await;
    let missing = missing.expect(422);
    assert_eq!(missing["error_code"], "VALIDATION_ERROR");
    for (at, name) in ["username", "password"].into_iter().enumerate() {
        assert_eq!(missing["detail"][at]["loc"], json!(["body", name]));
        assert_eq!(missing["detail"][at]["type"], "missing");
    }
    for odd in ["Basic YTpi", "Bearer", "Bearer ", "", "x"] {
        let refused = send("GET", "/servers", &[("authorization", odd)], "").await;
        assert_eq!(refused.header("www-authenticate"), "Bearer", "{odd:?}");
        assert_eq!(refused.expect(401)["error_code"], "NOT_AUTHENTICATED");
    }
    let missing = world
        .form("/auth/login", "username=admin")
        .await
        .expect(422);
    assert_eq!(
        missing["detail"],
        json!([{"loc": ["body", "password"], "msg": "Field required", "type": "missing"}])
    );
    let bearer = format!("Bearer {}", world.admin);
    let admin = ("authorization", bearer.as_str());
    let missing = send(
        "POST",
        "/tools/call",
        &[json, admin],
        "{\"tool_name\":\"x\"}",
    )
    .await
    .expect(422);
    assert_eq!(missing["error_code"], "VALIDATION_ERROR");
    assert_eq!(missing["detail"][0]["loc"], json!(["body", "server_id"]));
    let large = send("POST", "/tools/call", &[json, admin], &"x".repeat(20_000)).await;
    assert_eq!(large.expect(413)["error_code"], "CONTENT_TOO_LARGE");
    let inner = "{\"template_name\":\"x\",\"config\":{\"command\":7}}";
    let inner = send("POST", "/servers", &[json, admin], inner)
        .await
        .expect(422);
    assert_eq!(
        inner["detail"][0]["loc"],
        json!(["body", "config", "command"])
    );
    let told = send(
        "POST",
        "/servers",
        &[json, admin],
        "{\"template_name\":\"files\",\"scop\":1,\"config\":{\"base_path\":\"/data\"}}",
    )
    .await;
    assert_eq!(told.header("x-ignored-members"), "scop");
    assert_eq!(told.expect(201)["status"], "unhealthy");
    // Administrators are not limited, and told nothing of limits.
    let stats = send("GET", "/stats", &[admin], "").await;
    assert_eq!(
        (stats.header("x-ratelimit-limit"), stats.status.as_u16()),
        ("", 200)
    );
    let head = send("HEAD", "/stats", &[admin], "").await;
    assert_eq!((head.text.as_str(), head.status.as_u16()), ("", 200));
    let page = send("GET", "/docs", &[], "").await;
    assert!(page.text.contains("openapi.json") && !page.text.contains("//cdn"));
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none'")
    );
    // Pages of other places.
    let asked = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "PATCH"),
    ];
    let asked = send("OPTIONS", "/servers", &asked, "").await;
    assert_eq!(
        (
            asked.status.as_u16(),
            asked.header("access-control-allow-origin"),
            asked.header("access-control-max-age")
        ),
        (200, "https://app.example", "600")
    );
    assert_eq!(
        send("GET", "/health", &[("origin", "https://evil.example")], "")
            .await
            .status,
        403
    );
    world.end().await;
}

#[tokio::test]
async fn limits_are_told() {
    let world = World::start("policy: { default: allow }\nlimits: { classes: standard }").await;
    let user = json!({"username": "u", "password": "password123"});
    world.post("/auth/users", user).await.expect(201);
    let token = world.login("u", "password123").await;
    let ask = async |path| world.ask(&token, axum::http::Method::GET, path, None).await;
    let first = ask("/auth/me").await;
    assert_eq!(
        (
            first.header("x-ratelimit-limit"),
            first.header("x-ratelimit-remaining")
        ),
        ("1000", "999")
    );
    // A time, as the original API has it, and not the wait.
    let reset: u64 = first.header("x-ratelimit-reset").parse().unwrap();
    let wall = SystemClock::new().wall();
    let now = wall.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((now.as_secs()..=now.as_secs() + 3_700).contains(&reset));
    // What fails costs as much, and is told, too.
    assert_eq!(
        ask("/auth/users").await.header("x-ratelimit-remaining"),
        "998"
    );
    assert_eq!(
        ask("/mcp/none/tools/list")
            .await
            .header("x-ratelimit-remaining"),
        "997"
    );
    // Nothing limits who has everything.
    let admin = world.get("/auth/me").await;
    assert_eq!(admin.header("x-ratelimit-limit"), "");
    world.end().await;
}

#[tokio::test]
async fn a_command_without_an_endpoint_is_one_to_start() {
    let world = World::start("policy: { default: allow }").await;
    let command = json!(["no-such-program"]);
    let endpoint = "http://127.0.0.1:9/mcp";
    for (place, transport) in [
        (json!({ "command": command }), "stdio"),
        (json!({ "config": { "command": command } }), "stdio"),
        (
            json!({ "command": command, "transport": "http", "endpoint": endpoint }),
            "http",
        ),
        (
            json!({ "command": command, "config": { "endpoint": endpoint } }),
            "http",
        ),
        (json!({ "endpoint": endpoint }), "http"),
        (json!({}), "http"),
    ] {
        let mut body = place.clone();
        body["template_name"] = json!("t");
        let made = world.post("/servers", body).await.expect(201);
        assert_eq!(made["transport"], transport, "{place}");
    }
    world.end().await;
}
