//! Errors of servers, as clients of each era can read them.

use mcp_gw_server::EngineConfig;
use serde_json::json;

use crate::server::engine;
use crate::wire::{BOTH, Client};

#[tokio::test]
async fn a_resource_that_is_gone_reads_as_each_era_says_it() {
    for over in BOTH {
        let (engine, _, _) = engine(EngineConfig::default()).await;
        let mut modern = Client::modern(over, &engine, json!({}));
        let mut legacy = Client::legacy(over, &engine, "2025-11-25", json!({})).await;
        let uri = json!({"uri": "t://gone"});
        for (client, code) in [(&mut modern, -32602), (&mut legacy, -32002)] {
            let answer = client.asked("resources/read", uri.clone()).await;
            let expected = json!({
                "code": code, "message": "gone", "data": {"uri": "t://gone", "x": 1},
            });
            assert_eq!(answer["error"], expected, "{over:?}");
        }
    }
}

#[tokio::test]
async fn a_missing_capability_is_a_failed_tool_to_an_older_client() {
    for over in BOTH {
        let (engine, _, _) = engine(EngineConfig::default()).await;
        let error = json!({
            "code": -32021, "message": "m", "data": {"requiredCapabilities": {"sampling": {}}},
        });
        let call = json!({"name": "error", "arguments": error});
        let mut modern = Client::modern(over, &engine, json!({}));
        let answer = modern.asked("tools/call", call.clone()).await;
        assert_eq!(answer["error"], error, "{over:?}");
        let mut legacy = Client::legacy(over, &engine, "2025-06-18", json!({})).await;
        let answer = legacy.asked("tools/call", call).await;
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        let says = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(says.contains("`sampling`"), "{says}");
    }
}
