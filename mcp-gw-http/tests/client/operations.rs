//! Each operation of the API, by its method of the client.

use futures_util::TryStreamExt as _;
use mcp_gw_core::{RawJson, Secret};
use mcp_gw_http::ManagementApi;
use mcp_gw_http::client::{
    AuditQuery, Client, Credentials, Done, ErrorKind, KeyQuery, NewKey, NewServer, NewUser,
    PageQuery, ServerChange, ServerQuery, TemplateChange, UserChange, UserQuery,
};
use serde_json::Value;

use super::{PASSWORD, World, upstream};

fn json(text: &str) -> RawJson {
    RawJson::parse(text.to_owned()).unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

async fn users(client: &Client) {
    let mut new = NewUser::new("ann", secret("the password of ann"));
    new.roles = vec!["dev".to_owned()];
    let ann = client.create_user(&new).await.unwrap();
    assert_eq!(ann.roles, ["dev"]);
    let taken = client.create_user(&new).await.unwrap_err();
    assert_eq!(
        (taken.kind, taken.code.as_deref(), taken.done),
        (ErrorKind::Conflict, Some("USERNAME_TAKEN"), Done::No)
    );
    assert!(taken.request_id.is_some());
    new.username = String::new();
    let invalid = client.create_user(&new).await.unwrap_err();
    assert_eq!(invalid.status, Some(422));
    assert_eq!(invalid.items[0].loc, ["body", "username"]);
    let one = client
        .list_users(&UserQuery::default(), &PageQuery::first(1))
        .await
        .unwrap();
    assert_eq!(one.items.len(), 1);
    let next = PageQuery::first(1).after(one.next_cursor.unwrap());
    let other = client
        .list_users(&UserQuery::default(), &next)
        .await
        .unwrap();
    assert_eq!(
        (&*other.items[0].username, other.next_cursor),
        ("ann", None)
    );
    let all: Vec<_> = client
        .users(UserQuery::default())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(all.len(), 2);
    let mut change = UserChange::default();
    change.email = Some(Some("ann@example.com".to_owned()));
    let stale = client.get_user(ann.id).await.unwrap().etag.unwrap();
    let changed = client.update_user(ann.id, &change, Some(&stale));
    let changed = changed.await.unwrap();
    assert_eq!(changed.email.as_deref(), Some("ann@example.com"));
    change.email = Some(None);
    let refused = client.update_user(ann.id, &change, Some(&stale)).await;
    assert_eq!(refused.unwrap_err().status, Some(412));
    let changed = client.update_user(ann.id, &change, None).await.unwrap();
    assert_eq!(changed.email, None);
    client.end_tokens(ann.id).await.unwrap();
    client.delete_user(ann.id, None).await.unwrap();
    let gone = client.get_user(ann.id).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
}

async fn keys(world: &World, client: &Client) {
    let made = client
        .create_key(&NewKey::new("ci", ["gateway:read"]))
        .await
        .unwrap();
    assert!(!format!("{made:?}").contains(made.key.expose().as_str()));
    let by_key = world.client(Credentials::ApiKey(made.key.clone()));
    assert_eq!(by_key.me().await.unwrap().key_id, Some(made.record.id));
    let refused = by_key.register_server(&NewServer::new("x")).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Forbidden);
    assert_eq!(refused.required_permissions, ["gateway:write"]);
    let keys = client.keys(KeyQuery::default());
    let keys: Vec<_> = keys.try_collect().await.unwrap();
    assert_eq!(keys.len(), 1);
    let other = client.rotate_key(made.record.id).await.unwrap();
    assert_ne!(other.key.expose(), made.key.expose());
    assert_eq!(by_key.me().await.unwrap_err().kind, ErrorKind::Unauthorized);
    let id = other.record.id;
    assert!(client.revoke_key(id).await.unwrap().revoked_at.is_some());
    assert!(!client.get_key(id).await.unwrap().is_active);
    client.delete_key(id).await.unwrap();
}

async fn servers(client: &Client) {
    let url = upstream().await;
    let new = NewServer::new("files").with_id("one").with_endpoint(&url);
    let one = client.register_server(&new).await.unwrap();
    assert_eq!(one.status.as_deref(), Some("healthy"));
    let two = NewServer::new("files").with_id("two").with_endpoint(&url);
    client.register_instance(&two).await.unwrap();
    let (query, first) = (ServerQuery::of_template("files"), PageQuery::first(1));
    let page = client.list_servers(&query, &first);
    assert!(page.await.unwrap().next_cursor.is_some());
    let all = client.servers(ServerQuery::default());
    assert_eq!(all.try_collect::<Vec<_>>().await.unwrap().len(), 2);
    calls(client).await;
    assert!(!client.disable_server("one").await.unwrap().is_active);
    let word = json(r#"{"word": "hi"}"#);
    let away = client.call_tool("one", "echo", &word).await.unwrap_err();
    assert_eq!(
        (away.kind, away.code.as_deref()),
        (ErrorKind::Unavailable, Some("SERVER_UNAVAILABLE"))
    );
    assert!(client.enable_server("one").await.unwrap().is_active);
    let mut change = ServerChange::default();
    change.instance_metadata = Some(Some(json(r#"{"weight":3}"#)));
    let etag = client.get_server("one").await.unwrap().etag.unwrap();
    let changed = client.update_server("one", &change, Some(&etag));
    let metadata = changed.await.unwrap().instance_metadata.unwrap();
    assert_eq!(metadata.as_str(), r#"{"weight":3}"#);
    let logs = client.server_logs("one", Some(5)).await.unwrap();
    assert_eq!(logs.server_id, "one");
    assert_eq!(client.list_templates().await.unwrap(), ["files"]);
    let mut change = TemplateChange::default();
    change.max_retries = Some(7);
    let template = client.update_template("files", &change, None).await;
    assert_eq!(template.unwrap().max_retries, 7);
    assert_eq!(
        client.get_template("files").await.unwrap().instances.len(),
        2
    );
    assert_eq!(
        client
            .template_health("files")
            .await
            .unwrap()
            .total_instances,
        2
    );
    assert_eq!(client.stats().await.unwrap().active_servers, 2);
    let stats = client.gateway_stats().await.unwrap();
    assert_eq!(stats.templates["files"].total_instances, 2);
    assert_eq!(client.registry().await.unwrap().total_templates, 1);
    client.sync_registry().await.unwrap();
    client.delete_instance("files", "two").await.unwrap();
    let in_use = client.delete_template("files", None).await.unwrap_err();
    assert_eq!(in_use.code.as_deref(), Some("IN_USE"));
    client.delete_server("one", None).await.unwrap();
    client.delete_template("files", None).await.unwrap();
    let mut slashed = NewServer::new("io.example/files");
    slashed.id = Some("io.example/files-1".to_owned());
    let id = client.register_server(&slashed).await.unwrap().id;
    assert_eq!(client.get_server(&id).await.unwrap().id, id);
    client.delete_server(&id, None).await.unwrap();
    client
        .delete_template("io.example/files", None)
        .await
        .unwrap();
    // What could lead elsewhere is not sent.
    let odd = client.get_server("../auth/users").await.unwrap_err();
    assert_eq!(odd.kind, ErrorKind::Request);
}

async fn calls(client: &Client) {
    let word = json(r#"{"word": "hi"}"#);
    let said = client.call_tool("one", "echo", &word).await.unwrap();
    assert_eq!((said.text().as_str(), said.is_error()), ("hi", false));
    let fail = json(r#"{"word": "fail"}"#);
    let failed = client.call_template_tool("files", "echo", &fail);
    assert!(failed.await.unwrap().is_error());
    let nothing = client.call_tool("one", "nothing", &word).await;
    assert_eq!(nothing.unwrap_err().kind, ErrorKind::NotFound);
    for tools in [
        client.server_tools("one").await.unwrap(),
        client.list_tools("files").await.unwrap(),
    ] {
        let name = tools[0].member("name").unwrap().unwrap();
        assert_eq!(name.as_str(), r#""echo""#);
    }
    assert!(client.list_resources("files").await.unwrap().is_empty());
    let templates = client.list_resource_templates("files").await;
    assert!(templates.unwrap().is_empty());
    assert!(client.list_prompts("files").await.unwrap().is_empty());
    let nothing = client.read_resource("files", "file:///x").await;
    assert!(nothing.unwrap_err().code.is_some());
    let nothing = client.get_prompt("files", "x", &json("{}")).await;
    assert!(nothing.unwrap_err().code.is_some());
}

/// Whether a path is one of a template of the description.
fn is_of(path: &str, template: &str) -> bool {
    let (parts, wanted): (Vec<_>, Vec<_>) =
        (path.split('/').collect(), template.split('/').collect());
    let mut both = parts.iter().zip(&wanted);
    parts.len() == wanted.len()
        && both.all(|(part, wanted)| wanted.starts_with('{') || part == wanted)
}

#[tokio::test]
async fn each_operation_of_the_description_has_its_method() {
    let world = World::start().await;
    let client = world.admin();
    assert_eq!(client.health().await.unwrap().status, "healthy");
    assert_eq!(client.gateway_health().await.unwrap().status, "healthy");
    assert_eq!(world.count("/auth/login"), 0);
    let me = client.me().await.unwrap();
    assert_eq!(me.user.unwrap().username, "admin");
    users(&client).await;
    keys(&world, &client).await;
    servers(&client).await;
    let (query, first) = (AuditQuery::default(), PageQuery::first(5));
    client.list_audit_events(&query, &first).await.unwrap();
    assert_eq!(world.count("/auth/login"), 1);
    client
        .change_password(&secret(PASSWORD), &secret("another long password"))
        .await
        .unwrap();
    client.logout().await.unwrap_err();
    let document = client.openapi().await.unwrap();
    assert_eq!(document.as_str(), ManagementApi::document());
    let document: Value = document.to_value().unwrap();
    let seen = world.seen.lock().unwrap();
    let mut missing = Vec::new();
    let mut held = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            held += 1;
            let is_seen = seen
                .iter()
                .any(|(used, at, _)| used.eq_ignore_ascii_case(method) && is_of(at, path));
            // A page for people.
            if !is_seen && id != "docs" {
                missing.push(id.to_owned());
            }
        }
    }
    assert!(held > 40, "{held}");
    assert_eq!(missing, [""; 0], "no method of the client asks for these");
}

#[tokio::test]
async fn a_login_is_made_once_and_again_when_its_token_is_refused() {
    let world = World::start().await;
    let client = world.admin();
    let both = [client.clone(), client.clone(), client.clone()];
    futures_util::future::join_all(both.iter().map(Client::me))
        .await
        .into_iter()
        .for_each(|me| assert!(me.is_ok()));
    assert_eq!(world.count("/auth/login"), 1);
    let me = client.me().await.unwrap().user.unwrap();
    // All tokens end; the next request logs in again.
    client.end_tokens(me.id).await.unwrap();
    client.me().await.unwrap();
    assert_eq!(world.count("/auth/login"), 2);
    client.logout().await.unwrap();
    client.me().await.unwrap();
    assert_eq!(world.count("/auth/login"), 3);
    // A token from elsewhere, and a wrong password, are not tried again.
    let token = client.login("admin", &secret(PASSWORD)).await.unwrap();
    assert!(!format!("{token:?}").contains(token.access_token.expose().as_str()));
    let other = world.client(Credentials::Token(token.access_token));
    other.logout().await.unwrap();
    let before = world.seen.lock().unwrap().len();
    assert_eq!(other.me().await.unwrap_err().kind, ErrorKind::Unauthorized);
    assert_eq!(world.seen.lock().unwrap().len(), before + 1);
    let wrong = world.client(Credentials::password("admin", "wrong"));
    let error = wrong.me().await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("INVALID_CREDENTIALS"));
    assert!(!format!("{wrong:?} {error:?}").contains("\"wrong\""));
    assert_eq!(world.count("/auth/login"), 5);
}
