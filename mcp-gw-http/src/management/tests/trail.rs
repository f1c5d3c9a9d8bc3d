//! What was done is kept, and can be read by admins.

use mcp_gw_server::store::{
    AuditRecord, AuditWriter, AuditWriterOptions, DatabaseUrl, StoreOptions, open,
};

use super::*;

/// The events that the query finds, once all that was done before is written.
async fn events(world: &World, query: &str) -> Vec<Value> {
    let audit = world.running.management().unwrap().audit().unwrap();
    audit.flush().await.unwrap();
    let found = world.get(&format!("/audit/events?{query}")).await;
    let found = found.expect(200);
    found["items"].as_array().unwrap().clone()
}

fn told(event: &Value) -> [&str; 4] {
    ["caller_id", "name", "outcome", "error"].map(|name| event[name].as_str().unwrap_or("-"))
}

#[tokio::test]
async fn changes_logins_and_calls_are_kept_with_who_made_them() {
    let (world, url) = (World::start(OPEN).await, upstream().await);
    let wrong = world.form("/auth/login", "username=ann&password=wrong");
    wrong.await.expect(401);
    let ann = json!({"username": "ann", "password": "a secret of ann"});
    world.post("/auth/users", ann.clone()).await.expect(201);
    world.post("/auth/users", ann).await.expect(409);
    let token = world.login("ann", "a secret of ann").await;
    let refused = world.ask(&token, Method::DELETE, "/auth/users/1", None);
    refused.await.expect(403);
    let key = json!({"name": "k", "permissions": ["tools:call"]});
    let key = world.post("/auth/api-keys", key).await.expect(201);
    let server = json!({"template_name": "files", "id": "one", "config": {"endpoint": url}});
    world.post("/servers", server).await.expect(201);
    let call = json!({"server_id": "one", "tool_name": "echo", "arguments": {"word": "a word"}});
    world.post("/tools/call", call).await.expect(200);

    let logins = events(&world, "method=login").await;
    assert_eq!(told(&logins[0]), ["anonymous", "ann", "ok", "-"]);
    assert_eq!(
        told(&logins[1]),
        ["anonymous", "ann", "unauthenticated", "INVALID_CREDENTIALS"]
    );
    let users = events(&world, "method=create_user").await;
    assert_eq!(users.len(), 2, "the last first");
    assert_eq!(told(&users[0])[..3], ["admin", "ann", "invalid_params"]);
    assert_eq!(told(&users[1]), ["admin", "ann", "ok", "-"]);
    let refused = events(&world, "method=delete_user").await;
    assert_eq!(
        told(&refused[0]),
        ["ann", "1", "denied", "INSUFFICIENT_PERMISSIONS"]
    );
    let keys = events(&world, "method=create_key").await;
    assert_eq!(told(&keys[0]), ["admin", &key["id"].to_string(), "ok", "-"]);
    let calls = events(&world, "method=tools/call&caller_id=admin&outcome=ok").await;
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["server"], "files");
    assert_eq!(calls[0]["effect"], "allow");

    // Nothing of a secret, an argument or a result.
    let all = serde_json::to_string(&events(&world, "limit=1000").await).unwrap();
    for secret in [PASSWORD, "a secret of ann", "a word", &token] {
        assert!(!all.contains(secret), "{secret} is in {all}");
    }
    let text = key["key"].as_str().unwrap();
    assert!(!all.contains(text));

    // Pages, and what is asked wrongly.
    let one = world.get("/audit/events?limit=1").await.expect(200);
    let cursor = one["next_cursor"].as_str().unwrap();
    let next = format!("/audit/events?limit=1&cursor={cursor}");
    assert_ne!(world.get(&next).await.expect(200)["items"], one["items"]);
    let none = events(&world, "from=2999-01-01").await;
    assert!(none.is_empty());
    for wrong in ["from=soon", "cursor=nonsense", "limit=0", "to=1&to=2"] {
        world
            .get(&format!("/audit/events?{wrong}"))
            .await
            .expect(422);
    }
    let refused = world.ask(&token, Method::GET, "/audit/events", None);
    refused.await.expect(403);
    world.end().await;
}

/// Whoever is told of success can rely on the event.
#[tokio::test]
async fn a_change_whose_event_is_not_written_is_no_success() {
    let mut world = World::start(OPEN).await;
    let url = DatabaseUrl::parse("sqlite:///:memory:").unwrap();
    let away = open(&url, &StoreOptions::new()).await.unwrap();
    away.close().await;
    let writer = AuditWriter::start(away, AuditWriterOptions::new()).unwrap();
    let waiting = AuditRecord::new(Time::from_micros(1), "x", "m", "ok");
    writer.write(waiting).await.unwrap();
    let identity = world.running.management().unwrap().identity().clone();
    let engine = world.running.engine().clone();
    world.app = ManagementApi::new(engine, identity, world.registry.clone())
        .with_audit(Some(writer))
        .router();
    let ann = json!({"username": "ann", "password": "a secret of ann"});
    let (made, login) = tokio::join!(
        world.post("/auth/users", ann),
        world.form(
            "/auth/login",
            "username=admin&password=a+long+password+of+a+test"
        )
    );
    assert_eq!(made.expect(503)["error_code"], "OUTCOME_UNKNOWN");
    // There is nothing to look for.
    assert_eq!(login.expect(503)["error_code"], "SERVICE_UNAVAILABLE");
    // It was made, as the words say; and what is refused is answered at once.
    let users = world.get("/auth/users").await.expect(200);
    assert_eq!(users["items"].as_array().unwrap().len(), 2);
    let again = json!({"username": "ann", "password": "a secret of ann"});
    world.post("/auth/users", again).await.expect(409);
    world.end().await;
}
