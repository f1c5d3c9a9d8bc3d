//! The typed client, without tools.

use futures_util::TryStreamExt as _;
use mcp_gw_admin_client::apisix::plugin::Subsystem;
use mcp_gw_admin_client::apisix::{Client, ClientConfig, Id, ListParams, Route};
use mcp_gw_admin_client::http::{ErrorKind, RetryPolicy};
use serde_json::json;

use super::*;

fn client(server: &Scripted) -> Client {
    let mut config = ClientConfig::new(format!("{}{PREFIX}/", server.url()).parse().unwrap());
    config.retries = RetryPolicy::default().with_pauses(support::SHORT, support::SHORT);
    Client::with_config(config, Secret::new(KEY.to_owned())).unwrap()
}

#[tokio::test]
async fn one_comes_out_of_its_envelope_with_all_that_has_no_name() {
    let stored = r#"{"key":"/apisix/routes/7","value":{"id":7,"uri":"/x","upstream":{"nodes":{"a:80":1},"q":[1]},"new":{"a":1}},
        "createdIndex":12,"modifiedIndex":15}"#;
    let server = Scripted::start([on("GET /routes/7").body(stored)]).await;
    let route = client(&server).routes().get("7").await.unwrap();
    assert_eq!(route.key.as_deref(), Some("/apisix/routes/7"));
    assert_eq!(
        (route.created_index, route.modified_index),
        (Some(12), Some(15))
    );
    assert_eq!(route.value.id, Some(Id::Number(7)));
    assert_eq!(route.value.rest["new"], json!({"a": 1}));
    assert_eq!(
        serde_json::to_value(&route.value).unwrap(),
        json!({"id": 7, "uri": "/x", "upstream": {"nodes": {"a:80": 1}, "q": [1]}, "new": {"a": 1}})
    );
    assert_eq!(server.seen()[0].header("x-api-key"), Some(KEY));
}

#[tokio::test]
async fn pages_are_read_until_all_were_seen() {
    let page = |ids: std::ops::Range<u32>| {
        let items: Vec<_> = ids
            .map(|id| json!({"value": {"id": id.to_string()}}))
            .collect();
        json!({"list": items, "total": 25}).to_string()
    };
    let server = Scripted::start([
        on("GET /routes?page=1&page_size=10").body(page(0..10)),
        on("GET /routes?page=2&page_size=10").body(page(10..20)),
        on("GET /routes?page=3&page_size=10").body(page(20..25)),
    ])
    .await;
    let params = ListParams::default().with_page_size(1);
    let all: Vec<_> = client(&server)
        .routes()
        .items(params)
        .try_collect()
        .await
        .unwrap();
    let ids: Vec<String> = all
        .iter()
        .map(|route| route.value.id.as_ref().unwrap().to_string())
        .collect();
    let wanted: Vec<String> = (0..25).map(|id: u32| id.to_string()).collect();
    assert_eq!(ids, wanted);
}

#[tokio::test]
async fn an_empty_list_may_be_an_object() {
    for body in [
        r#"{"list":{},"total":0}"#,
        r#"{"list":[],"total":0}"#,
        r#"{"list":[]}"#,
    ] {
        let server =
            Scripted::start(
                [on("GET /consumers/jack/credentials?page=1&page_size=100").body(body)],
            )
            .await;
        let all: Vec<_> = client(&server)
            .credentials("jack")
            .items(ListParams::default())
            .try_collect()
            .await
            .unwrap();
        assert!(all.is_empty());
    }
    for body in ["[]", "{}", r#"{"list":7}"#, r#"{"list":{"a":1}}"#, ""] {
        let server = Scripted::start([on("GET /protos").body(body)]).await;
        let error = client(&server)
            .protos()
            .list(&ListParams::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotJson, "{body}: {error}");
    }
}

#[tokio::test]
async fn what_is_written_is_what_was_given() {
    let answer = r#"{"key":"/apisix/routes/00001","value":{"id":"00001","uri":"/x"}}"#;
    let server = Scripted::start([
        on("POST /routes").status(201).body(answer),
        on("PUT /routes/1").status(201),
        on("PATCH /routes/1"),
        on("DELETE /routes/1").body(r#"{"deleted":"1","key":"/apisix/routes/1"}"#),
        on("GET /plugins/list?subsystem=stream").body(r#"["mqtt-proxy"]"#),
    ])
    .await;
    let client = client(&server);
    let mut route = Route::default();
    route.uri = Some("/x".to_owned());
    let made = client.routes().create(&route).await.unwrap();
    assert_eq!(made.value.id, Some("00001".into()));
    client.routes().put("1", &route).await.unwrap();
    client
        .routes()
        .patch("1", &json!({"desc": null}))
        .await
        .unwrap();
    client.routes().delete("1").await.unwrap();
    assert_eq!(
        client.plugin_names(Subsystem::Stream).await.unwrap(),
        ["mqtt-proxy"]
    );
    let seen = server.seen();
    assert_eq!(seen[0].json(), json!({"uri": "/x"}));
    assert_eq!(seen[2].json(), json!({"desc": null}));
    // What APISIX would refuse is not sent.
    let error = client
        .consumer_groups()
        .create(&json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Request);
    assert!(client.protos().patch("1", &json!({})).await.is_err());
}

#[tokio::test]
async fn errors_say_what_they_mean() {
    for (status, body, kind, says) in [
        (
            401,
            r#"{"error_msg":"failed to check token","description":"wrong apikey"}"#,
            ErrorKind::Unauthorized,
            "failed to check token",
        ),
        (
            404,
            r#"{"message":"Key not found"}"#,
            ErrorKind::NotFound,
            "Key not found",
        ),
        (
            400,
            r#"{"error_msg":"invalid configuration: x"}"#,
            ErrorKind::Invalid,
            "invalid configuration: x",
        ),
        (
            405,
            r#"{"error_msg":"not supported"}"#,
            ErrorKind::Invalid,
            "not supported",
        ),
        (500, "<html>", ErrorKind::Server, "HTML"),
    ] {
        let server = Scripted::start([on("GET /routes/1").status(status).body(body)]).await;
        let error = client(&server).routes().get("1").await.unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(error.to_string().contains(says), "{error}");
        assert!(!format!("{error:?}").contains(KEY));
    }
}
