//! What is sent, how pages are walked, and what errors mean.

use futures_util::TryStreamExt as _;
use mcp_gw_admin_client::http::ErrorKind;
use mcp_gw_admin_client::kong;
use mcp_gw_admin_client::konnect::analytics::{Query, QueryInput, query};
use mcp_gw_admin_client::konnect::{
    ControlPlane, DebugSessions as _, KonnectError, ListParams, NewSession, PlaneParams,
    RequestRow, Service,
};
use serde_json::{Value, json};

use super::*;

fn of_a_day() -> Query {
    let mut input = QueryInput::default();
    input.time_range = "24H".to_owned();
    input.status_codes = vec![503];
    query(&input).unwrap()
}

#[tokio::test]
async fn the_token_goes_with_every_request_and_is_in_no_text() {
    let api = Scripted::start([
        on(&format!("GET /v2/control-planes/{CP}")).body(format!(r#"{{"id":"{CP}","name":"a","x":1.0}}"#)),
        on("GET /v3/organizations/me").body(r#"{"id":"o","state":"active"}"#),
        on("GET /v3/users/me")
            .status(401)
            .body(format!(r#"{{"status":401,"title":"Unauthenticated","instance":"konnect:trace:1","detail":"{TOKEN} is over"}}"#)),
    ])
    .await;
    let client = konnect(&api);
    let plane: ControlPlane = client.control_plane(&uuid(CP)).await.unwrap();
    assert_eq!((plane.name.as_deref(), plane.rest.len()), (Some("a"), 1));
    assert_eq!(
        client.organization().await.unwrap().state.as_deref(),
        Some("active")
    );
    let error = client.me().await.unwrap_err();
    assert!(error.is_unauthorized());
    assert!(error.message.contains("konnect:trace:1"), "{error}");
    assert!(!format!("{error} {error:?} {client:?}").contains(TOKEN));
    for seen in api.seen() {
        let wanted = format!("Bearer {TOKEN}");
        assert_eq!(seen.header("authorization"), Some(&*wanted));
    }
}

#[tokio::test]
async fn the_token_follows_no_redirect_to_another_host_and_goes_nowhere_in_clear() {
    let other = Scripted::start([]).await;
    let line = format!("GET /v2/control-planes/{CP}");
    let api = Scripted::start([on(&line).status(302).header("location", &other.url())]).await;
    let error = konnect(&api)
        .control_plane::<ControlPlane>(&uuid(CP))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Redirected);
    let base: BaseUrl = "http://konnect.example".parse().unwrap();
    let config = ClientConfig::at("https://k.example".parse().unwrap(), base, "eu");
    let refused = Client::with_config(config, Secret::new(TOKEN.to_owned()));
    assert!(matches!(refused, Err(KonnectError::Plain)));
}

#[tokio::test]
async fn all_four_ways_of_paging_are_walked_to_their_end() {
    let plane = |id: &str| format!(r#"{{"id":"{id}"}}"#);
    let first: Vec<String> = (0..100).map(|_| plane(CP)).collect();
    let members = format!("/v2/control-planes/{CP}/group-memberships");
    let api = Scripted::start([
        on("GET /v2/control-planes?page%5Bsize%5D=100&page%5Bnumber%5D=1").body(format!(
            r#"{{"data":[{}],"meta":{{"page":{{"number":1,"size":100,"total":101}}}}}}"#,
            first.join(",")
        )),
        on("GET /v2/control-planes?page%5Bsize%5D=100&page%5Bnumber%5D=2").body(format!(
            r#"{{"data":[{}],"meta":{{"page":{{"number":2,"size":100,"total":101}}}}}}"#,
            plane(CP2)
        )),
        on(&format!("GET {members}?page%5Bsize%5D=100")).body(format!(
            r#"{{"data":[{}],"meta":{{"page":{{"size":1,"total":2,"next":"{members}?page[size]=1&page[after]=c%3D%26x"}}}}}}"#,
            plane(CP)
        )),
        on(&format!("GET {members}?page%5Bsize%5D=100&page%5Bafter%5D=c%3D%26x"))
            .body(format!(r#"{{"data":[{}],"meta":{{"page":{{"size":1,"next":null}}}}}}"#, plane(CP2))),
        on_core("GET /services?size=1").body(r#"{"data":[{"id":"a"}],"offset":"o/2","next":"/services?offset=o%2F2"}"#),
        on_core("GET /services?size=1&offset=o%2F2").body(r#"{"data":[{"id":"b"}],"next":null}"#),
        on("POST /v2/api-requests").body(r#"{"results":[{"response_http_status":"503","upstream_status":null}],"meta":{}}"#),
    ])
    .await;
    let client = konnect(&api);
    let planes: Vec<_> = client
        .control_planes(PlaneParams::default())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(planes.len(), 101);
    let pages: Vec<_> = client
        .group_members::<Value>(&uuid(CP))
        .try_collect()
        .await
        .unwrap();
    assert_eq!((pages.len(), &pages[1].items[0]["id"]), (2, &json!(CP2)));
    let services = client.services(&uuid(CP));
    let services: Vec<Service> = services
        .items(ListParams::default().with_size(1))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(services[1].id.as_deref(), Some("b"));
    let rows = client.requests::<RequestRow>(&of_a_day()).await.unwrap();
    assert_eq!(rows.items[0].response_http_status.as_deref(), Some("503"));
}

#[tokio::test]
async fn a_list_that_leads_in_a_circle_ends() {
    let body = r#"{"data":[{"id":"a"}],"offset":"o"}"#;
    let api = Scripted::start([
        on_core("GET /routes?size=1000").body(body),
        on_core("GET /routes?size=1000&offset=o").body(body),
    ])
    .await;
    let routes = konnect(&api).routes(&uuid(CP)).items(ListParams::default());
    let error = routes.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.message.contains("leads back"), "{error}");
}

#[tokio::test]
async fn every_shape_of_an_error_is_understood() {
    for (status, body, kind, says) in [
        (
            401,
            r#"{"message":"Unauthorized","status":401}"#,
            ErrorKind::Unauthorized,
            "Unauthorized",
        ),
        (
            403,
            r#"{"status":403,"title":"Permission denied","instance":"konnect:trace:9"}"#,
            ErrorKind::Forbidden,
            "konnect:trace:9",
        ),
        (
            403,
            r#"{"code":7,"message":"","details":[]}"#,
            ErrorKind::Forbidden,
            "(7)",
        ),
        (
            404,
            r#"{"code":5,"message":"","details":[]}"#,
            ErrorKind::NotFound,
            "(5)",
        ),
        (404, "", ErrorKind::NotFound, "404"),
        (
            404,
            r#"{"message":"no Route matched with those values"}"#,
            ErrorKind::NotFound,
            "no Route",
        ),
        (
            400,
            r#"{"status":400,"title":"Bad","invalid_parameters":[{"field":"size","reason":"too large"}]}"#,
            ErrorKind::Invalid,
            "size: too large",
        ),
        (
            400,
            r#"{"code":3,"message":"validation error","details":[{"@type":"t","type":"ERROR_TYPE_FIELD","field":"host","messages":["required"]}]}"#,
            ErrorKind::Invalid,
            "host: required",
        ),
        (500, "<html>", ErrorKind::Server, "HTML"),
    ] {
        let api = Scripted::start([on_core(&format!("GET /services/{ID}"))
            .status(status)
            .body(body)])
        .await;
        let error = konnect(&api).services(&uuid(CP)).get(ID).await.unwrap_err();
        assert_eq!(error.kind, kind, "{body}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn limits_are_waited_for_when_that_does_no_harm() {
    let limited = |plan: Plan| {
        plan.status(429)
            .body(r#"{"message":"API rate limit exceeded","request_id":"r"}"#)
    };
    let service = format!("GET /services/{ID}");
    let sessions = format!("POST /v2/control-planes/{CP}/debug-sessions");
    let api = Scripted::start([
        limited(on_core(&service)).header("retry-after", "0"),
        limited(on_core(&service)),
        on_core(&service).body(r#"{"id":"a"}"#),
        limited(on("POST /v2/api-requests")),
        on("POST /v2/api-requests").body(r#"{"results":[]}"#),
        limited(on(&sessions)),
        limited(on_core(&service)).header("retry-after", "3600"),
        limited(on_core(&service))
            .header("ratelimit-remaining", "0")
            .header("ratelimit-reset", "41"),
    ])
    .await;
    let client = konnect(&api);
    let services = client.services(&uuid(CP));
    assert_eq!(services.get(ID).await.unwrap().id.as_deref(), Some("a"));
    let rows = client.requests::<RequestRow>(&of_a_day()).await.unwrap();
    assert_eq!(rows.items, []);
    let session = NewSession::new("", 60, 100);
    let error = client
        .stand_in()
        .create(&uuid(CP), &session)
        .await
        .unwrap_err();
    assert!(
        error.is_rate_limited(),
        "what creates something is sent once: {error}"
    );
    for seconds in [3600, 41] {
        let error = services.get(ID).await.unwrap_err();
        assert_eq!(error.retry_after.unwrap().as_secs(), seconds);
    }
}

#[tokio::test]
async fn a_consumer_group_is_taken_out_of_its_envelope() {
    let api = Scripted::start([on_core(&format!("GET /consumer_groups/{ID}"))
        .body(r#"{"consumer_group":{"id":"g","name":"gold"},"consumers":[]}"#)])
    .await;
    let group = konnect(&api)
        .consumer_groups(&uuid(CP))
        .get(ID)
        .await
        .unwrap();
    assert_eq!(group.name.as_deref(), Some("gold"));
}

#[tokio::test]
async fn a_gateway_of_ones_own_is_asked_in_its_workspace_with_its_token() {
    let api = Scripted::start([
        on("GET /").body(r#"{"version":"3.9.0"}"#),
        on("GET /team%20a/services/a%20b/plugins?size=1000").body(r#"{"data":{},"next":null}"#),
        on("GET /team%20a/consumers/jack").status(403).body(r#"{"message":"jill, you do not have permissions to read this resource"}"#),
        on("GET /team%20a/vaults?size=1000").status(400).body(
            r#"{"code":9,"name":"invalid size","message":"invalid size","fields":{"size":"must be an integer"}}"#,
        ),
    ])
    .await;
    let config = kong::ClientConfig::new(api.url().parse().unwrap());
    let config = config
        .with_token(Secret::new(TOKEN.to_owned()))
        .with_workspace("team a");
    let client = kong::Client::with_config(config).unwrap();
    let about = client.about().await.unwrap();
    assert_eq!(about.as_str(), r#"{"version":"3.9.0"}"#);
    let plugins = client.plugins().of(kong::Kind::Service, "a b");
    let plugins: Vec<_> = plugins
        .items(ListParams::default())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(plugins, []);
    let error = client.consumers().get("jack").await.unwrap_err();
    assert!(
        error.is_forbidden() && error.message.starts_with("jill, "),
        "{error}"
    );
    let vaults = client.vaults().items(ListParams::default());
    let error = vaults.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(
        error.message.contains("size: must be an integer"),
        "{error}"
    );
    for seen in api.seen() {
        assert_eq!(seen.header("kong-admin-token"), Some(TOKEN));
        assert_eq!(seen.header("authorization"), None);
    }
}
