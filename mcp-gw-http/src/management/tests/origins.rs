//! Which pages may ask, with and without credentials.

use axum::body::Body;
use axum::http::{Method, Request};

use super::{Answer, World};

impl World {
    async fn page_asks(&self, method: Method, origin: &str) -> Answer {
        let is_preflight = method == Method::OPTIONS;
        let mut request = Request::builder()
            .method(method)
            .uri("/servers")
            .header("host", "localhost")
            .header("origin", origin)
            .header("content-type", "application/json");
        if !self.admin.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.admin));
        }
        if is_preflight {
            request = request
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "content-type");
        }
        let body = Body::from("{\"template_name\":\"p\"}");
        self.send(request.body(body).unwrap()).await
    }
}

const FOREIGN: [&str; 3] = [
    "http://evil.example",
    "null",
    "http://localhost.evil.example",
];
const HERE: [&str; 2] = ["http://localhost:3000", "http://[::1]:1"];

async fn world(more: &str) -> World {
    World::of(format!(
        "policy: {{ default: allow }}\nmanagement: {{ admin_password: 'a long password of a test', {more} }}\n"
    ))
    .await
}

#[tokio::test]
async fn without_credentials_every_origin_is_those_of_this_machine() {
    let origins = "cors_origins: ['*', 'https://app.example']";
    let world = world(&format!("auth_enabled: false, {origins}")).await;
    for origin in FOREIGN {
        let answer = world.page_asks(Method::POST, origin).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
        let refused = answer.expect(403);
        assert_eq!(refused["error_code"], "FORBIDDEN_ORIGIN", "{origin}");
        let preflight = world.page_asks(Method::OPTIONS, origin).await;
        assert_eq!(
            preflight.header("access-control-allow-origin"),
            "",
            "{origin}"
        );
    }
    assert_eq!(world.registry.summary().total, 0);
    // Those that are named, and those of the machine.
    for origin in HERE.into_iter().chain(["https://app.example"]) {
        let preflight = world.page_asks(Method::OPTIONS, origin).await;
        assert_eq!(preflight.header("access-control-allow-origin"), origin);
        let made = world.page_asks(Method::POST, origin).await;
        assert_eq!(made.header("access-control-allow-origin"), origin);
        made.expect(201);
    }
    world.end().await;
}

#[tokio::test]
async fn with_credentials_every_origin_is_every_one() {
    let world = world("cors_origins: ['*']").await;
    for origin in FOREIGN.into_iter().chain(HERE) {
        let preflight = world.page_asks(Method::OPTIONS, origin).await;
        assert_eq!(preflight.header("access-control-allow-origin"), origin);
        world.page_asks(Method::POST, origin).await.expect(201);
    }
    world.end().await;
}
