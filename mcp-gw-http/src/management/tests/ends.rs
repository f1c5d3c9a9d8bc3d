//! What was opened with a token or a key ends with it.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, request};
use futures_util::StreamExt as _;
use mcp_gw_core::{Clock as _, SystemClock};
use mcp_gw_server::store::Time;
use serde_json::json;

use super::{OPEN, World};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream that a client listens on.
struct Listening {
    session: String,
    body: axum::body::BodyDataStream,
}

impl Listening {
    async fn ends(&mut self) {
        let end = async { while self.body.next().await.is_some() {} };
        let ended = tokio::time::timeout(PATIENCE, end).await;
        ended.expect("the stream goes on");
    }
}

fn at_mcp(method: Method, credential: &str) -> request::Builder {
    Request::builder()
        .method(method)
        .uri("/mcp")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {credential}"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
}

impl World {
    async fn listens(&self, credential: &str) -> Listening {
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        }});
        let request = at_mcp(Method::POST, credential).body(Body::from(hello.to_string()));
        let answer = self.send(request.unwrap()).await;
        let session = answer.header("mcp-session-id").to_owned();
        answer.expect(200);
        let request = at_mcp(Method::GET, credential)
            .header("mcp-session-id", &session)
            .header("accept", "text/event-stream")
            .body(Body::empty());
        let service = self.app.clone();
        let response = tower::ServiceExt::oneshot(service, request.unwrap()).await;
        let response = response.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().into_data_stream();
        Listening { session, body }
    }

    async fn pings(&self, credential: &str, session: &str) -> u16 {
        let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
        let request = at_mcp(Method::POST, credential)
            .header("mcp-session-id", session)
            .header("mcp-protocol-version", "2025-11-25");
        let request = request.body(Body::from(ping.to_string())).unwrap();
        self.send(request).await.status.as_u16()
    }
}

#[tokio::test]
async fn streams_of_a_token_end_when_it_is_logged_out() {
    let world = World::start(OPEN).await;
    let other = world.login("admin", super::PASSWORD).await;
    let mut one = world.listens(&world.admin).await;
    let mut two = world.listens(&other).await;
    // Begun with one token, gone on with the other: it ends with the first that is ended.
    let mut mixed = world.listens(&other).await;
    assert_eq!(world.pings(&world.admin, &mixed.session).await, 200);
    assert_eq!(world.pings(&world.admin, &one.session).await, 200);
    let logout = world.ask(&world.admin, Method::POST, "/auth/logout", None);
    logout.await.expect(204);
    one.ends().await;
    mixed.ends().await;
    assert_eq!(world.pings(&other, &one.session).await, 404);
    // Others of the same user go on.
    assert_eq!(world.pings(&other, &two.session).await, 200);
    let logout = world.ask(&other, Method::POST, "/auth/logout", None);
    logout.await.expect(204);
    two.ends().await;
    world.end().await;
}

#[tokio::test]
async fn streams_of_a_key_end_when_its_time_is_over_or_it_is_exchanged() {
    let world = World::start(OPEN).await;
    let now = || Time::from(SystemClock::new().wall());
    let at = now().after(Duration::from_secs(2));
    let key = |name: &str| json!({"name": name, "permissions": ["tools:call"]});
    let mut brief = key("brief");
    brief["expires_at"] = json!(at.to_string());
    let brief = world.post("/auth/api-keys", brief).await.expect(201);
    let lasting = world
        .post("/auth/api-keys", key("lasting"))
        .await
        .expect(201);
    let mut one = world.listens(brief["key"].as_str().unwrap()).await;
    let mut two = world.listens(lasting["key"].as_str().unwrap()).await;
    one.ends().await;
    // To the millisecond, as it was asked for.
    assert!(now().after(Duration::from_millis(1)) >= at);
    assert_eq!(
        world
            .pings(lasting["key"].as_str().unwrap(), &two.session)
            .await,
        200
    );
    let path = format!("/auth/api-keys/{}/rotate", lasting["id"]);
    world.post(&path, json!({})).await.expect(200);
    two.ends().await;
    world.end().await;
}
