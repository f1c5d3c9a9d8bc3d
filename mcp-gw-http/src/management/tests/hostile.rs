//! What nobody should send, to every route that the document has.

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use super::{OPEN, World};

/// A path with these values in the braces.
fn filled(path: &str, value: &str) -> String {
    let parts = path
        .split('/')
        .map(|part| if part.starts_with('{') { value } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn no_request_is_answered_with_an_undocumented_status() {
    let world = World::start(OPEN).await;
    let document = world.get("/openapi.json").await.expect(200);
    let deep = "[".repeat(9_000);
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        "0",
        "\"x\"",
        "{}",
        "{} {}",
        "\u{feff}{}",
        "{\"name\":null}",
        "{\"name\":\"\"}",
        "{\"name\":1,\"name\":2}",
        "{\"name\":\"a\\u0000b\",\"id\":\"\\u0000\",\"template_name\":\"\\u0000\",\"uri\":\"\\u0000\"}",
        "{\"username\":\"\\ud800\"}",
        "{\"username\":{},\"password\":[]}",
        "{\"template_name\":\"x\",\"config\":[]}",
        "{\"template_name\":\"../..\",\"config\":{\"command\":[\"/bin/sh\"]},\"transport\":\"ftp\"}",
        "{\"server_id\":\"x\",\"tool_name\":\"y\",\"arguments\":[]}",
        "{\"name\":\"k\",\"user_id\":99999999999999999999}",
        "{\"name\":\"k\",\"expires_at\":\"never\",\"scopes\":[\"root\"]}",
        "{\"strategy\":\"best\",\"timeout\":-1}",
        deep.as_str(),
    ];
    let values = [
        "x",
        "0",
        "-1",
        "99999999999999999999",
        "%00",
        "%FF",
        "%2e%2e",
        "a%2Fb",
        "%F0%9F%92%A3",
        "%",
        "a%0d%0ab",
    ];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let places: &[&str] = if path.contains('{') { &values } else { &["x"] };
            for value in places {
                for body in bodies
                    .iter()
                    .take(if *value == "x" { bodies.len() } else { 1 })
                {
                    let uri = format!(
                        "{}?limit=0&cursor=%00&include_health=perhaps&%zz",
                        filled(path, value)
                    );
                    let Ok(request) = Request::builder()
                        .method(method.to_ascii_uppercase().as_str())
                        .uri(&uri)
                        .header("host", "localhost")
                        .header("authorization", format!("Bearer {}", world.admin))
                        .header("if-match", "\"999\"")
                        .body(Body::from((*body).to_owned()))
                    else {
                        continue;
                    };
                    check(
                        &world,
                        operation,
                        &format!("{method} {uri} {body:.60}"),
                        request,
                    )
                    .await;
                }
            }
            let anonymous = Request::builder()
                .method(method.to_ascii_uppercase().as_str())
                .uri(filled(path, "x"))
                .header("host", "localhost")
                .header("authorization", &b"Bearer mcp_\xe9"[..])
                .body(Body::from("x".repeat(20_000)))
                .unwrap();
            check(
                &world,
                operation,
                &format!("{method} {path} by nobody"),
                anonymous,
            )
            .await;
        }
    }
    world.end().await;
}

async fn check(world: &World, operation: &Value, told: &str, request: Request<Body>) {
    let is_logout = request.uri().path() == "/auth/logout";
    if is_logout {
        // The token of all the other requests.
        return;
    }
    let answer = world.send(request).await;
    let status = answer.status.as_u16();
    let is_known = operation["responses"].get(status.to_string()).is_some();
    assert!(
        is_known && status != 500,
        "{told}: {status} {}",
        answer.text
    );
    assert!(!answer.header("x-request-id").is_empty(), "{told}");
    if status >= 400 && status != 503 {
        let said = answer.json();
        assert!(
            said["error_code"].is_string() && !said["detail"].is_null(),
            "{told}: {}",
            answer.text
        );
        assert_eq!(said["request_id"], answer.header("x-request-id"), "{told}");
    }
}
