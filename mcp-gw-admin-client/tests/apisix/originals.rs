//! For correct inputs the tools of apisix-mcp send what the original sends; where it is at fault, what its user meant.

use serde::Deserialize;
use serde_json::json;

use super::*;

/// A call, and the request that it makes.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) tool: String,
    pub(crate) arguments: Value,
    /// Method and path; nothing when nothing may be sent.
    pub(crate) request: Option<String>,
    #[serde(default)]
    pub(crate) body: Value,
}

/// All of them: `tests/apisix/run` makes the same calls with apisix-mcp.
pub(crate) fn cases() -> impl Iterator<Item = Case> {
    let lines = include_str!("cases.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap())
}

#[tokio::test]
async fn the_tools_send_the_requests_of_the_original() {
    for case in cases() {
        let Case {
            tool,
            mut arguments,
            request,
            body,
        } = case;
        let Some(line) = request else { continue };
        if tool.starts_with("update_") && tool != "update_secret" {
            // What is read to check a change first is not the original's.
            arguments["validate"] = json!(false);
        }
        let plan = on(&line)
            .status(201)
            .body(r#"{"value":{"id":"new","n":1.50}}"#);
        let setup = Setup::writing([plan]).await;
        let answer = setup.call(&tool, arguments).await.ok();
        let seen = setup.admin.seen();
        assert_eq!(seen[0].json(), body, "{tool}");
        assert_eq!(seen[0].header("x-api-key"), Some(KEY));
        assert_eq!(
            answer["body"],
            json!({"value": {"id": "new", "n": 1.5}}),
            "{tool}"
        );
        let shown = &answer["request"];
        let shown = format!(
            "{} {}",
            shown["method"].as_str().unwrap(),
            shown["path"].as_str().unwrap()
        );
        assert_eq!(shown, line);
        assert_eq!(answer["status"], 201);
        assert!(answer["remarks"].is_null(), "{tool}: {answer}");
    }
}

#[tokio::test]
async fn what_must_not_be_sent_is_an_error_that_says_so() {
    let setup = Setup::writing([]).await;
    for case in cases().filter(|case| case.request.is_none()) {
        let error = setup.call(&case.tool, case.arguments).await.error();
        assert!(error.starts_with("invalid arguments"), "{error}");
    }
}

#[test]
fn every_tool_has_a_case() {
    let config = ApisixConfig::from_lookup(|_| None).unwrap();
    let offer = backend(&config).unwrap().offer_now().unwrap();
    for spec in &offer.tools {
        let tool = spec.name();
        let is_elsewhere = ["send_request_to_gateway", "validate_resource"].contains(&tool);
        assert!(
            is_elsewhere || cases().any(|case| case.tool == tool),
            "{tool}"
        );
    }
}

#[tokio::test]
async fn numbers_and_unknown_members_go_as_they_came() {
    let setup = Setup::writing([on("POST /routes")]).await;
    let text =
        r#"{"route":{"uri":"/x","vars":[["a","==",1.50]],"z":{"big":12345678901234567890123}}}"#;
    let arguments =
        mcp_gw_core::Arguments::from_raw(mcp_gw_core::RawJson::parse(text).unwrap()).unwrap();
    let ctx = mcp_gw_core::testing::call_context(
        mcp_gw_core::Caller::anonymous(),
        Arc::new(mcp_gw_core::NoClient::new()),
    );
    let call = mcp_gw_core::ToolCall::new("create_route", arguments);
    setup.backend.call_tool(&ctx, call).await.unwrap();
    assert_eq!(
        setup.admin.seen()[0].body,
        r#"{"uri":"/x","vars":[["a","==",1.50]],"z":{"big":12345678901234567890123}}"#
    );
}

#[tokio::test]
async fn test_requests_go_to_the_gateway_without_the_key() {
    let gateway = Scripted::start([
        support::on("GET /get"),
        support::on("POST /post").status(404),
    ])
    .await;
    let setup = Setup::with([], |config| {
        config.gateway_url = Some(gateway.url());
        config.access = Access::ReadWrite;
    })
    .await;
    let requests = json!([
        {"path": "/get", "method": "GET", "headers": {"Host": "shop"}},
        {"path": "/post", "method": "POST", "data": {"a": 1}},
    ]);
    let answer = setup
        .call("send_request_to_gateway", json!({"requests": requests}))
        .await
        .ok();
    assert_eq!(
        answer["summary"],
        json!({"total": 2, "successful": 1, "failed": 1, "unanswered": 0})
    );
    assert!(
        gateway
            .seen()
            .iter()
            .all(|seen| !format!("{seen:?}").contains(KEY))
    );
    let leak =
        json!({"requests": [{"path": "/get", "method": "GET", "headers": {"X-API-KEY": KEY}}]});
    let error = setup.call("send_request_to_gateway", leak).await.error();
    assert!(
        error.contains("key of the Admin API, which goes to the Admin API only"),
        "{error}"
    );
    let setup = Setup::new([]).await;
    let one = json!({"requests": [{"path": "/get", "method": "GET"}]});
    let error = setup.call("send_request_to_gateway", one).await.error();
    assert!(error.contains("APISIX_SERVER_HOST"), "{error}");
}
