//! Tools of operations: what follows of a long answer, and parts of one.

use mcp_gw_core::RawJson;
use mcp_gw_upstream::rest::{ApiServer, InputConfig, ToolConfig};
use serde_json::{Value, json};

use super::*;
use crate::raw::answer;

async fn result(tools: &ApiServer, name: &str, caller: &str, arguments: Value) -> Value {
    let call = call(name, &arguments.to_string());
    let output = tools.call_tool(&of(caller), call).await.unwrap();
    output.as_raw().to_value().unwrap()["structuredContent"].clone()
}

#[tokio::test]
async fn a_tool_of_an_operation_reads_on_and_selects() {
    let items: Vec<Value> = (0..300)
        .map(|n| json!({"id": n, "name": "x".repeat(20)}))
        .collect();
    let body = serde_json::to_vec(&items).unwrap();
    let reply = answer("200 OK", &[("content-type", "application/json")], &body);
    let server = Raw::start(move |_, _| reply.clone()).await;
    let config = ApiConfig::new("things", rules(&server)).with_max_shown(4_000);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let kept = KeptAnswers::new(KeptConfig::default(), Arc::clone(&clock));
    let plain = ToolConfig::new("list", "Lists.", "GET", "/things");
    let named = ToolConfig::new("find", "Finds.", "GET", "/things")
        .with_input("select", InputConfig::default());
    let operations = [plain, named].map(|tool| tool.build().unwrap());
    let tools = ApiServer::new(api(config, None, clock), operations, Some(kept)).unwrap();
    let offer = tools.offer().await.unwrap();
    let schema = |n: usize| {
        let definition: &RawJson = offer.tools[n].definition();
        definition.to_value().unwrap()["inputSchema"]["properties"].clone()
    };
    assert!(schema(0)["select"].is_object() && schema(0)["read_on"].is_object());
    assert!(schema(1)["gateway_select"].is_object() && schema(1)["read_on"].is_object());

    let mut shown = result(&tools, "list", "bob", json!({})).await;
    let first = shown["next"].clone();
    let mut ids = Vec::new();
    loop {
        let items = shown["data"].as_array().unwrap();
        ids.extend(items.iter().filter_map(|item| item["id"].as_u64()));
        let Some(next) = shown["next"].as_str() else {
            break;
        };
        shown = result(&tools, "list", "bob", json!({"read_on": next})).await;
    }
    assert!(ids.into_iter().eq(0..300));
    assert_eq!(server.requests().len(), 1);
    let of_another = result(&tools, "list", "ann", json!({"read_on": first})).await;
    assert_eq!(of_another["code"], "answer_gone");

    let shown = result(&tools, "list", "bob", json!({"select": "[7].id"})).await;
    assert_eq!(shown["data"], 7);
    let arguments = json!({"select": "own", "gateway_select": "length(@)", "read_on": null});
    assert_eq!(result(&tools, "find", "bob", arguments).await["data"], 300);
    assert!(server.requests()[2].contains("GET /v1/things?select=own "));
    let wrong = result(&tools, "list", "bob", json!({"select": "["})).await;
    assert_eq!(wrong["code"], "select_invalid");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn an_operation_that_needs_no_credential_gets_none() {
    let server = Raw::start(|_, _| crate::raw::ok("{}")).await;
    let config = ApiConfig::new("things", rules(&server));
    let api = api(config, Some("token-of-all"), Arc::new(SystemClock::new()));
    let description = json!({"openapi": "3.1.0", "info": {}, "paths": {
        "/open": {"get": {"operationId": "open", "security": []}},
        "/own": {"get": {"operationId": "own"}},
    }});
    let tools = mcp_gw_upstream::rest::ApiTools::default();
    let tools = tools.server(api, Some(description.to_string().as_bytes()), None);
    let tools = tools.unwrap();
    for name in ["open", "own"] {
        assert_eq!(result(&tools, name, "bob", json!({})).await["status"], 200);
    }
    let sent = server.requests();
    assert!(!sent[0].contains("authorization"), "{}", sent[0]);
    assert!(
        sent[1].contains("authorization: Bearer token-of-all"),
        "{}",
        sent[1]
    );
}

/// An API that shows what it was sent would give the credential away in pieces, whoever described it.
#[tokio::test]
async fn parts_of_an_answer_are_no_argument_where_there_is_a_credential() {
    let server = Raw::start(|_, _| crate::raw::ok("{}")).await;
    let range = json!([{"name": "Range", "in": "header", "schema": {"type": "string"}}]);
    let description = json!({"openapi": "3.1.0", "info": {}, "paths": {
        "/open": {"get": {"operationId": "open", "security": [], "parameters": range}},
        "/own": {"get": {"operationId": "own", "parameters": range}},
    }});
    let by_hand = ToolConfig::new("by_hand", "Gets.", "GET", "/x").with_input(
        "range",
        InputConfig::default().with_place(mcp_gw_upstream::rest::InputPlace::Header),
    );
    let tools = |names: &[http::HeaderName]| {
        let rules = rules(&server)
            .with_request_headers(names.to_vec())
            .with_credential_headers([http::header::AUTHORIZATION]);
        let config = ApiConfig::new("things", rules);
        let api = api(config, Some("token-of-all"), Arc::new(SystemClock::new()));
        let tools = mcp_gw_upstream::rest::ApiTools::new(
            vec![by_hand.clone()],
            mcp_gw_upstream::rest::openapi::Options::default(),
        );
        let tools = tools.server(api, Some(description.to_string().as_bytes()), None);
        tools.unwrap()
    };
    let part = || json!({"Range": "bytes=0-7"});
    let strict = tools(&[]);
    let refused = result(&strict, "own", "bob", part()).await;
    assert_eq!(refused["code"], "arguments_invalid", "{refused}");
    let refused = result(&strict, "by_hand", "bob", json!({"range": "bytes=0-7"})).await;
    assert_eq!(refused["code"], "header_not_allowed", "{refused}");
    assert!(server.requests().is_empty());
    // Where no credential is sent, or whoever configured the API named it, it goes out.
    assert_eq!(result(&strict, "open", "bob", part()).await["status"], 200);
    let named = tools(&[http::header::RANGE]);
    assert_eq!(result(&named, "own", "bob", part()).await["status"], 200);
    let sent = server.requests();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|sent| sent.contains("range: bytes=0-7")));
}

#[tokio::test]
async fn a_slash_in_a_part_of_a_path_is_told_of_the_argument() {
    let server = Raw::start(|_, _| crate::raw::ok("{}")).await;
    let config = ApiConfig::new("things", rules(&server));
    let api = api(config, None, Arc::new(SystemClock::new()));
    let tool = ToolConfig::new("get", "Gets.", "GET", "/x/{path}")
        .with_input("path", InputConfig::default());
    let tools = ApiServer::new(api, [tool.build().unwrap()], None).unwrap();
    for value in ["src/main.rs", "a\\b", "%2f", "a%255Cb"] {
        let refused = result(&tools, "get", "bob", json!({"path": value})).await;
        assert_eq!(refused["code"], "arguments_invalid", "{value}");
        let says = refused["message"].as_str().unwrap();
        assert!(
            says.contains("argument `path`: it is one segment"),
            "{says}"
        );
    }
    assert!(server.requests().is_empty());
    let sent = result(&tools, "get", "bob", json!({"path": "100%?.."})).await;
    assert_eq!(sent["status"], 200, "{sent}");
}

#[tokio::test]
async fn a_description_that_gives_no_tool_is_told_of() {
    let server = Raw::start(|_, _| crate::raw::ok("{}")).await;
    for (members, says) in [
        (json!({"paths": ["x"]}), "no operation under `paths`"),
        (json!({"paths": {}}), "no operation under `paths`"),
        (
            json!({"webhooks": {"x": {"post": {}}}}),
            "no operation under `paths`",
        ),
        (
            json!({"paths": {"/x": {"post": {}}}}),
            "none of 1 operations",
        ),
    ] {
        let mut description = json!({"openapi": "3.1.0", "info": {}});
        description
            .as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        let config = ApiConfig::new("things", rules(&server));
        let api = api(config, None, Arc::new(SystemClock::new()));
        let tools = mcp_gw_upstream::rest::ApiTools::default();
        let tools = tools.server(api, Some(description.to_string().as_bytes()), None);
        let remarks = tools.unwrap().offer().await.unwrap().remarks;
        assert!(remarks.join(" ").contains(says), "{members} {remarks:?}");
    }
}
