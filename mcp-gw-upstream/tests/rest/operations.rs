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
