//! The client against a scripted dashboard: what it sends, what it makes of answers, when it tries again.
#![cfg(test)]

mod support;

use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use mcp_gw_admin_client::api7::{Client, ClientConfig, Kind, ListParams, Place};
use mcp_gw_admin_client::http::{Done, Error, ErrorKind, RetryPolicy, Target};
use mcp_gw_core::{RawJson, Secret};
use serde_json::json;
use support::{Plan, SHORT, Scripted, nobody, on};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const TOKEN: &str = "a7ee-hidden";

fn config(url: &str) -> ClientConfig {
    let mut config = ClientConfig::new(url.parse().unwrap());
    config.retries = RetryPolicy::default().with_pauses(SHORT, Duration::from_secs(1));
    config
}

fn client(url: &str) -> Client {
    Client::with_config(config(url), Secret::new(TOKEN.to_owned())).unwrap()
}

async fn dashboard(plans: impl IntoIterator<Item = Plan>) -> (Scripted, Client) {
    let server = Scripted::start(plans).await;
    let client = client(&server.url());
    (server, client)
}

/// What comes of reading a role.
async fn failure(plans: impl IntoIterator<Item = Plan>) -> Error {
    let (_server, client) = dashboard(plans).await;
    client.roles().get("r").await.unwrap_err()
}

#[tokio::test]
async fn a_request_carries_the_token_and_what_it_needs() {
    let (server, client) = dashboard([
        on("GET /api/roles/r").body(r#"{"value":{"id":"r","name":"dev","x":{"n":1}}}"#),
        on("POST /api/roles").status(201),
    ])
    .await;
    let role = client.roles().get("r").await.unwrap();
    assert_eq!(role.name.as_deref(), Some("dev"));
    assert_eq!(role.rest["x"], json!({"n": 1}));
    assert_eq!(
        serde_json::to_value(&role).unwrap(),
        json!({"id": "r", "name": "dev", "x": {"n": 1}})
    );
    client.roles().create(&role).await.unwrap();
    let seen = server.seen();
    for request in &seen {
        assert_eq!(request.header("x-api-key"), Some(TOKEN));
        assert_eq!(request.header("authorization"), None);
        assert!(request.header("user-agent").unwrap().starts_with("mcp-gw/"));
    }
    assert_eq!(seen[0].header("content-type"), None);
    assert_eq!(seen[1].header("content-type"), Some("application/json"));
    assert_eq!(seen[1].json()["name"], "dev");
}

#[tokio::test]
async fn errors_say_what_they_mean() {
    for (status, kind) in [
        (400, ErrorKind::Invalid),
        (401, ErrorKind::Unauthorized),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::NotFound),
        (409, ErrorKind::Conflict),
        (422, ErrorKind::Invalid),
        (500, ErrorKind::Server),
        (511, ErrorKind::NotJson),
        (451, ErrorKind::Invalid),
    ] {
        let body = format!(r#"{{"error_msg":"about {TOKEN}","code":{status}1}}"#);
        let error = failure([on("GET /api/roles/r").status(status).body(body)]).await;
        assert_eq!(error.kind, kind);
        assert_eq!(error.status, Some(status));
        assert_eq!(error.code, Some(format!("{status}1")));
        let text = format!("{error} {error:?}");
        assert!(text.contains("about [redacted]"), "{text}");
        assert!(!text.contains(TOKEN), "{text}");
    }
}

#[tokio::test]
async fn what_is_not_json_is_said_to_be_so() {
    for (body, says) in [
        (
            "<!doctype html><title>Log in</title>",
            "an HTML page instead of JSON",
        ),
        (r#"{"value":{"id":"#, "the answer is not JSON"),
        ("OK", "it begins with: OK"),
    ] {
        let error = failure([on("GET /api/roles/r").body(body)]).await;
        assert_eq!(error.kind, ErrorKind::NotJson);
        assert!(error.to_string().contains(says), "{error}");
    }
    let error = failure([on("GET /api/roles/r").body("")]).await;
    assert!(error.to_string().contains("it is empty"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_said_to_be_none() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nx-odd: a\x01b\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(answer).await.unwrap();
        let _ = stream.read(&mut request).await;
    });
    let mut config = config(&url);
    config.retries = RetryPolicy::never();
    let client = Client::with_config(config, Secret::new(TOKEN.to_owned())).unwrap();
    let error = client.roles().get("r").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Lost);
    assert!(
        error.message.contains("no HTTP that can be read"),
        "{error}"
    );
    drop(client);
    serving.await.unwrap();
}

#[tokio::test]
async fn every_kind_with_a_model_has_a_handle_where_it_stands() {
    let list = |line| on(line).body(r#"{"list":[{"id":"1"}],"total":1}"#);
    let (_server, client) = dashboard([
        list("GET /apisix/admin/snis?gateway_group_id=g"),
        list("GET /apisix/admin/ssls?gateway_group_id=g"),
        list("GET /apisix/admin/plugin_metadata?gateway_group_id=g"),
        list("GET /apisix/admin/secret_providers?gateway_group_id=g&type=vault"),
        on("GET /apisix/admin/secret_providers/vault/1?gateway_group_id=g")
            .body(r#"{"value":{"id":"1"}}"#),
        list("GET /apisix/admin/protos?gateway_group_id=g"),
        list("GET /api/custom_plugins"),
        list("GET /api/audit_logs"),
        list("GET /api/alert/policies"),
        list("GET /api/alert/webhook_templates"),
    ])
    .await;
    let all = ListParams::default();
    assert_eq!(client.snis("g").list(&all).await.unwrap().total, Some(1));
    assert_eq!(client.ssls("g").list(&all).await.unwrap().total, Some(1));
    let metadata = client.plugin_metadata("g").list(&all).await;
    assert_eq!(metadata.unwrap().total, Some(1));
    let providers = client.secret_providers("g", "vault");
    assert_eq!(providers.list(&all).await.unwrap().total, Some(1));
    providers.get("1").await.unwrap();
    assert_eq!(client.protos("g").list(&all).await.unwrap().total, Some(1));
    let plugins = client.custom_plugins().list(&all).await;
    assert_eq!(plugins.unwrap().total, Some(1));
    assert_eq!(client.audit_logs().list(&all).await.unwrap().total, Some(1));
    let alerts = client.alert_policies().list(&all).await;
    assert_eq!(alerts.unwrap().total, Some(1));
    let templates = client.webhook_templates().list(&all).await;
    assert_eq!(templates.unwrap().total, Some(1));
}

#[tokio::test]
async fn a_read_is_tried_again_and_a_write_is_not() {
    let busy = |line| on(line).status(503).body("busy");
    let (server, client) = dashboard([
        busy("GET /api/roles/r"),
        on("GET /api/roles/r").broken(),
        on("GET /api/roles/r").body(r#"{"value":{"id":"r"}}"#),
        busy("POST /api/roles"),
        busy("PUT /api/roles/r"),
        busy("DELETE /api/roles/r"),
    ])
    .await;
    let role = client.roles().get("r").await.unwrap();
    assert_eq!(role.id.as_deref(), Some("r"));
    for error in [
        client.roles().create(&json!({})).await.unwrap_err(),
        client.roles().replace("r", &json!({})).await.unwrap_err(),
        client.roles().delete("r").await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert_eq!(error.done, Done::Unknown);
    }
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn what_was_refused_for_its_number_is_sent_again_after_the_time_it_is_told() {
    let limited = |line| on(line).status(429).header("retry-after", "0");
    let (_server, client) = dashboard([
        limited("PUT /api/roles/r"),
        on("PUT /api/roles/r"),
        limited("POST /api/roles"),
        on("GET /api/roles/r")
            .status(429)
            .header("retry-after", "3600"),
    ])
    .await;
    client.roles().replace("r", &json!({})).await.unwrap();
    let error = client.roles().create(&json!({})).await.unwrap_err();
    assert!(error.is_rate_limited());
    assert_eq!(error.done, Done::No);
    let error = client.roles().get("r").await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
}

#[tokio::test]
async fn attempts_come_to_an_end() {
    let plans = [(); 3].map(|()| on("GET /api/roles/r").status(502).body("gone"));
    let error = failure(plans).await;
    assert_eq!(error.kind, ErrorKind::Unavailable);
    // What stands before the dashboard could not reach it.
    let plans = [(); 3].map(|()| on("GET /api/roles/r").status(522).body("gone"));
    assert_eq!(failure(plans).await.kind, ErrorKind::Unavailable);
    let error = client(&nobody().await).roles().get("r").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(error.done, Done::No);
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

#[tokio::test]
async fn a_slow_answer_is_given_up() {
    let server = Scripted::start([
        on("GET /api/roles/r").never(),
        on("DELETE /api/roles/r").never(),
    ])
    .await;
    let mut config = config(&server.url());
    config.timeout = Duration::from_secs(1);
    config.retries = RetryPolicy::never();
    let client = Client::with_config(config, Secret::new(TOKEN.to_owned())).unwrap();
    let error = client.roles().get("r").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
    // The head said that it was done, so it was.
    let answer = client.roles().delete("r").await.unwrap();
    assert_eq!((answer.status, answer.body), (200, None));
    assert!(answer.remark.unwrap().contains("no answer within 1 s"));
}

#[tokio::test]
async fn a_long_answer_is_not_taken() {
    let server = Scripted::start([
        on("GET /api/roles/r").long(50 << 20),
        on("POST /api/roles").long(50 << 20).status(201),
    ])
    .await;
    let mut config = config(&server.url());
    config.max_response_bytes = 1 << 20;
    let client = Client::with_config(config, Secret::new(TOKEN.to_owned())).unwrap();
    let error = client.roles().get("r").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    let answer = client.roles().create(&json!({})).await.unwrap();
    assert!(answer.remark.unwrap().contains("It was done (201 Created)"));
}

#[tokio::test]
async fn a_write_that_succeeded_is_a_success_whatever_comes_back() {
    let (_server, client) = dashboard([
        on("POST /api/roles").status(201).body("<html>"),
        on("POST /api/roles").status(200).broken(),
        on("DELETE /api/roles/r").status(204).body(""),
    ])
    .await;
    for _ in 0..2 {
        let answer = client.roles().create(&json!({})).await.unwrap();
        assert!(answer.body.is_none());
        assert!(answer.remark.unwrap().starts_with("It was done"));
    }
    let answer = client.roles().delete("r").await.unwrap();
    assert_eq!(answer.remark, None);
}

#[tokio::test]
async fn the_token_does_not_follow_a_redirect_to_another_origin() {
    let other = Scripted::start([]).await;
    let elsewhere = format!("{}/api/roles/r?token=x", other.url());
    let (server, client) = dashboard([
        on("GET /api/roles/r")
            .status(302)
            .header("location", &elsewhere),
        on("GET /api/roles/s")
            .status(308)
            .header("location", "/api/v2/roles/s"),
        on("GET /api/v2/roles/s").body(r#"{"value":{"id":"s"}}"#),
        on("PUT /api/roles/s")
            .status(307)
            .header("location", "/api/v2/roles/s"),
        on("GET /api/roles/t").status(302),
    ])
    .await;
    let error = client.roles().get("r").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Redirected);
    assert!(error.to_string().contains(&other.url()), "{error}");
    assert!(!error.to_string().contains("token=x"), "{error}");
    client.roles().get("s").await.unwrap();
    let error = client.roles().replace("s", &json!({})).await.unwrap_err();
    assert_eq!((error.kind, error.done), (ErrorKind::Redirected, Done::No));
    assert!(client.roles().get("t").await.is_err());
    assert_eq!(server.seen().len(), 5);
}

#[tokio::test]
async fn redirects_in_a_circle_come_to_an_end() {
    let plans = [(); 4].map(|()| {
        on("GET /api/roles/r")
            .status(302)
            .header("location", "/api/roles/r")
    });
    let error = failure(plans).await;
    assert_eq!(error.kind, ErrorKind::Redirected);
}

#[tokio::test]
async fn all_pages_are_read_until_all_was_seen() {
    let (_server, client) = dashboard([
        on("GET /apisix/admin/services?gateway_group_id=gg&page=1&page_size=2")
            .body(r#"{"list":[{"id":"1"},{"id":"2"}],"total":3}"#),
        on("GET /apisix/admin/services?gateway_group_id=gg&page=2&page_size=2")
            .body(r#"{"list":[{"id":"3"}],"total":3}"#),
        on("GET /apisix/admin/consumers?gateway_group_id=gg&page=1&page_size=1")
            .body(r#"{"list":[{"username":"a"}]}"#),
        on("GET /apisix/admin/consumers?gateway_group_id=gg&page=2&page_size=1")
            .body(r#"{"list":[]}"#),
        // It promises more than there is.
        on("GET /api/users?page=1&page_size=100").body(r#"{"list":[],"total":9}"#),
    ])
    .await;
    let params = ListParams::default().with_page_size(2);
    let services: Vec<_> = client
        .services("gg")
        .items(params)
        .try_collect()
        .await
        .unwrap();
    let ids: Vec<_> = services.iter().filter_map(|s| s.id.as_deref()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    let params = ListParams::default().with_page_size(1);
    let consumers: Vec<_> = client
        .consumers("gg")
        .items(params)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(consumers.len(), 1);
    let users: Vec<_> = client
        .users()
        .items(ListParams::default())
        .try_collect()
        .await
        .unwrap();
    assert!(users.is_empty());
}

#[tokio::test]
async fn pages_end_with_the_first_error() {
    let (_server, client) = dashboard([
        on("GET /api/roles?page=1&page_size=1").body(r#"{"list":[{"id":"1"}],"total":2}"#),
        on("GET /api/roles?page=2&page_size=1").status(403),
    ])
    .await;
    let mut roles = pin!(
        client
            .roles()
            .items(ListParams::default().with_page_size(1))
    );
    assert!(roles.try_next().await.unwrap().is_some());
    assert!(roles.try_next().await.unwrap_err().is_forbidden());
    assert!(roles.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn anything_else_is_sent_raw() {
    let (server, client) = dashboard([
        on("GET /api/alert/contact_points?page=1"),
        on("PATCH /apisix/admin/services/s?gateway_group_id=gg"),
    ])
    .await;
    let request = Target::at("/api/alert")
        .segment("kind", "contact_points")
        .unwrap();
    client
        .raw(request.query("page", "1").unwrap().get().unwrap())
        .await
        .unwrap();
    let patch = RawJson::parse(r#"[{"op":"replace","path":"/name","value":1.50}]"#).unwrap();
    let request = Kind::PublishedService
        .patch(&Place::group("gg"), Some("s"), &patch)
        .unwrap();
    client.raw(request).await.unwrap();
    assert_eq!(server.seen()[1].body, patch.as_str());
}

#[tokio::test]
async fn a_proxy_is_used_when_it_is_configured() {
    let proxy =
        Scripted::start(
            [on("GET http://dashboard.invalid/api/version").body(r#"{"value":"3.9"}"#)],
        )
        .await;
    let mut config = config("http://dashboard.invalid");
    config.proxy = Some(Secret::new(proxy.url()));
    let client = Client::with_config(config, Secret::new(TOKEN.to_owned())).unwrap();
    let request = Kind::Version.get(&Place::global(), None).unwrap();
    assert!(client.raw(request).await.unwrap().body.is_some());
}

#[test]
fn a_token_that_no_header_may_have_is_refused_without_repeating_it() {
    let error = Client::new("https://h", Secret::new("a7ee-hidden\n".to_owned())).unwrap_err();
    assert!(error.to_string().contains("line break"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hidden"));
    let error = Client::new("https://me:hidden@h", Secret::new(String::new())).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hidden"));
    let client = client("https://h");
    assert!(!format!("{client:?}").contains(TOKEN));
}

#[tokio::test]
async fn an_odd_list_is_read_or_refused_but_never_endless() {
    let page = |number: u32| on(&format!("GET /api/roles?page={number}&page_size=2"));
    let same = r#"{"list":[{"id":1},{"id":"b"}]}"#;
    let (_server, client) = dashboard([
        on("GET /api/roles?page=1&page_size=9").body(r#"{"list":null,"total":0}"#),
        page(1).body(same),
        page(2).body(same),
    ])
    .await;
    let few = ListParams::default().with_page(1).with_page_size(9);
    assert!(client.roles().list(&few).await.unwrap().items.is_empty());
    let all = client
        .roles()
        .items(ListParams::default().with_page_size(2));
    let all: Vec<_> = all.collect().await;
    let ids: Vec<_> = all
        .iter()
        .flatten()
        .filter_map(|role| role.id.as_deref())
        .collect();
    assert_eq!(ids, ["1", "b"]);
    let error = all.last().unwrap().as_ref().unwrap_err();
    assert!(
        error.to_string().contains("the one before it again"),
        "{error}"
    );
}

#[tokio::test]
async fn a_write_that_is_answered_oddly_may_have_been_done() {
    let roles = || on("POST /api/roles");
    let (_server, client) = dashboard([
        roles().status(303).header("location", "/api/roles/new"),
        roles().status(302).header("location", "/login"),
        roles()
            .status(302)
            .header("location", "https://login.example/"),
        roles().status(408).body("too late"),
        roles().status(202).body("<html>log in</html>"),
        roles().status(203).body("<html>log in</html>"),
        roles().body("Please log in"),
    ])
    .await;
    for _ in 0..7 {
        let error = client.roles().create(&json!({})).await.unwrap_err();
        assert_eq!(error.done, Done::Unknown, "{error}");
    }
}

#[tokio::test]
async fn what_the_api_says_of_a_write_with_success_is_remarked() {
    let (_server, client) = dashboard([
        on("POST /api/roles").body(r#"{"error_msg":"permission denied for a7ee-hidden"}"#),
        on("POST /api/roles").status(202).body("{}"),
        on("POST /api/roles").body(r#"{"value":{"id":"r"},"error_msg":""}"#),
    ])
    .await;
    let mut remarks = Vec::new();
    for _ in 0..3 {
        remarks.push(client.roles().create(&json!({})).await.unwrap().remark);
    }
    let said = remarks[0].as_deref().unwrap();
    assert!(said.contains("permission denied for [redacted]"), "{said}");
    assert!(said.contains("may have been done or not"), "{said}");
    assert!(remarks[1].as_deref().unwrap().contains("accepted"));
    assert_eq!(remarks[2], None);
}

#[tokio::test]
async fn a_read_that_the_api_had_no_time_for_is_tried_again() {
    for status in [408, 425] {
        let (_server, client) = dashboard([
            on("GET /api/roles/r").status(status),
            on("GET /api/roles/r").body(r#"{"value":{"id":"r"}}"#),
        ])
        .await;
        client.roles().get("r").await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_about_something_else_is_no_resource() {
    for body in [
        r#"{"unexpected":1}"#,
        r#"{"error_msg":"permission denied"}"#,
        "{}",
        r#"{"value":{}}"#,
        r#"{"value":null}"#,
        r#"{"value":[{"id":"r"}]}"#,
        r#"{"value":{"error_msg":"no","id":null}}"#,
    ] {
        let error = failure([on("GET /api/roles/r").body(body)]).await;
        assert_eq!(error.kind, ErrorKind::NotJson, "{body}");
    }
    for body in [
        r#"{"value":{"id":"r"}}"#,
        r#"{"id":7}"#,
        r#"{"name":"dev"}"#,
    ] {
        let (_server, client) = dashboard([on("GET /api/roles/r").body(body)]).await;
        client.roles().get("r").await.unwrap();
    }
}

#[tokio::test]
async fn a_list_that_nobody_counts_is_read_to_its_end() {
    let list = |ids: std::ops::Range<u32>| {
        let items: Vec<_> = ids.map(|id| json!({"id": id.to_string()})).collect();
        json!({ "list": items }).to_string()
    };
    let page = |number: u32, body: String| {
        on(&format!("GET /api/roles?page={number}&page_size=100")).body(body)
    };
    // It gives fewer than it is asked for.
    let capped = [
        page(1, list(0..50)),
        page(2, list(50..100)),
        page(3, list(100..130)),
    ];
    // It knows no pages.
    let whole = [page(1, list(0..50)), page(2, list(0..50))];
    let few = [page(1, list(0..3))];
    for (plans, count) in [
        (capped.to_vec(), 130),
        (whole.to_vec(), 50),
        (few.to_vec(), 3),
    ] {
        let (_server, client) = dashboard(plans).await;
        let roles: Vec<_> = client
            .roles()
            .items(ListParams::default())
            .try_collect()
            .await
            .unwrap();
        assert_eq!(roles.len(), count);
    }
    // Two pages that take turns never end.
    let turns = [0..100, 100..200, 0..100];
    let turns = turns
        .into_iter()
        .zip(1..)
        .map(|(ids, at)| page(at, list(ids)));
    let (_server, client) = dashboard(turns).await;
    let all: Vec<_> = client.roles().items(ListParams::default()).collect().await;
    assert_eq!(all.len(), 201);
    let error = all.last().unwrap().as_ref().unwrap_err();
    assert!(
        error.to_string().contains("one that came before"),
        "{error}"
    );
}

#[tokio::test]
async fn a_proxy_that_does_not_run_is_named() {
    let mut config = config("http://dashboard.invalid");
    let proxy = nobody().await;
    config.proxy = Some(Secret::new(proxy.replace("http://", "http://user:hidden@")));
    config.retries = RetryPolicy::never();
    let client = Client::with_config(config, Secret::new(TOKEN.to_owned())).unwrap();
    let error = client.roles().get("r").await.unwrap_err().to_string();
    assert!(
        error.contains(&format!("through the proxy {proxy}")),
        "{error}"
    );
    assert!(!error.contains("hidden"), "{error}");
}

#[test]
fn a_proxy_that_cannot_be_gone_through_is_refused_at_once() {
    for proxy in [
        "nope",
        "ftp://x:1",
        "socks5://h:1080",
        "http://",
        "http://h:1/path",
        "://",
    ] {
        let mut config = config("https://h");
        config.proxy = Some(Secret::new(proxy.to_owned()));
        let error = Client::with_config(config, Secret::new(TOKEN.to_owned())).unwrap_err();
        assert!(
            error.to_string().contains("http://host:3128"),
            "{proxy}: {error}"
        );
    }
}
