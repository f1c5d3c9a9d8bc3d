//! The extension `io.modelcontextprotocol/tasks`.

use mcp_gw_server::EngineConfig;
use serde_json::json;

use crate::server::engine;
use crate::wire::{BOTH, Client, Over};

#[tokio::test]
async fn a_task_is_asked_about_by_its_caller_who_declared_the_extension() {
    for over in BOTH {
        let (engine, shared, _) = engine(EngineConfig::default()).await;
        let can = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        let mut client = Client::modern(over, &engine, can.clone());
        let id = json!({"taskId": "t1"});
        let unknown = client.asked("tasks/get", id.clone()).await;
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
        let call = json!({"name": "task", "arguments": {}});
        let task = client.asked("tools/call", call).await;
        assert_eq!(task["result"]["resultType"], "task");
        assert_eq!(task["result"]["status"], "working");
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let answer = client.asked(method, id.clone()).await;
            assert_eq!(answer["result"]["method"], method, "{answer}");
            assert_eq!(answer["result"]["x"], 1.0);
        }
        if over == Over::Http {
            let mut other = Client::modern_as("b", over, &engine, can);
            let answer = other.asked("tasks/get", id.clone()).await;
            assert_eq!(answer["error"], unknown["error"], "as good as none");
        }
        // Who may not call the tool any more has no task of it.
        shared.refused.lock().unwrap().push("task".to_owned());
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let answer = client.asked(method, id.clone()).await;
            assert_eq!(answer["error"], unknown["error"], "{method}");
        }
    }
}

#[tokio::test]
async fn who_did_not_declare_the_extension_is_told_so_and_gets_no_task() {
    for over in BOTH {
        let (engine, _, _) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, json!({}));
        let answer = client.asked("tasks/get", json!({"taskId": "t1"})).await;
        assert_eq!(answer["error"]["code"], -32021);
        assert_eq!(
            answer["error"]["data"],
            json!({"requiredCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}})
        );
        let call = json!({"name": "task", "arguments": {}});
        let task = client.asked("tools/call", call.clone()).await;
        assert_eq!(task["error"]["code"], -31004, "{task}");
        let mut legacy = Client::legacy(over, &engine, "2025-11-25", json!({})).await;
        for method in ["tasks/get", "tasks/list", "tasks/result"] {
            let answer = legacy.asked(method, json!({"taskId": "t1"})).await;
            assert_eq!(answer["error"]["code"], -32601, "{method}");
        }
        let task = legacy.asked("tools/call", call).await;
        assert_eq!(task["error"]["code"], -31004, "{task}");
    }
}
