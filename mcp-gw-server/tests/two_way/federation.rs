//! Several servers behind one gateway: whose task is meant, and what URIs are called in questions.

use std::sync::Arc;

use mcp_gw_core::BackendEvent;
use serde_json::{Value, json};

use crate::server::{engine_of, raw};
use crate::wire::{BOTH, Client, Over};

fn tasks() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
}

#[tokio::test]
async fn equal_ids_of_two_servers_are_two_tasks_on_the_wire() {
    for over in BOTH {
        let (engine, _) = engine_of(["one", "two"]).await;
        let mut client = Client::modern(over, &engine, tasks());
        for name in ["one", "two"] {
            let call = json!({"name": format!("{name}__task"), "arguments": {}});
            let made = client.asked("tools/call", call).await;
            let id = format!("{name}:t1");
            assert_eq!(made["result"]["taskId"], *id, "{over:?} {made}");
            for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
                // Over HTTP the header `Mcp-Name` says the same id.
                let answer = client.asked(method, json!({"taskId": id})).await;
                assert_eq!(answer["result"]["taskId"], *id, "{answer}");
            }
        }
        for id in ["t1", "three:t1", "one:t2", ":t1"] {
            let answer = client.asked("tasks/get", json!({"taskId": id})).await;
            assert_eq!(answer["error"]["code"], -32602, "{id} {answer}");
        }
    }
}

#[tokio::test]
async fn news_of_a_task_comes_from_its_server_alone() {
    let (engine, [one, two]) = engine_of(["one", "two"]).await;
    let mut client = Client::modern(Over::Http, &engine, tasks());
    for name in ["one", "two"] {
        let call = json!({"name": format!("{name}__task"), "arguments": {}});
        client.asked("tools/call", call).await;
    }
    let wanted = json!({"notifications": {"taskIds": ["two:t1"]}});
    client.send("subscriptions/listen", wanted.clone()).await;
    let accepted = client.next().await;
    assert_eq!(accepted["params"]["notifications"], wanted["notifications"]);
    two.heard("watch t1", 1).await;
    let tell = |status: &str| BackendEvent::TaskChanged {
        task_id: Arc::from("t1"),
        params: raw(&json!({"taskId": "t1", "status": status, "result": {
            "content": [{"type": "resource_link", "uri": "a://1", "name": "n"}]}})),
    };
    one.tell(tell("failed"));
    two.tell(tell("completed"));
    let message = client.next().await;
    assert_eq!(message["params"]["taskId"], "two:t1", "{message}");
    assert_eq!(message["params"]["status"], "completed");
    let link = &message["params"]["result"]["content"][0];
    assert_eq!(link["uri"], "two+a://1");
    client.hang_up().await;
    two.heard("unwatch t1", 1).await;
}

/// What the server asks to be sampled from, and what the model says.
fn sampling(uri: &str) -> Value {
    let link = json!({"type": "resource_link", "uri": uri, "name": "n"});
    json!({"messages": [{"role": "user", "content": link}], "maxTokens": 1})
}

fn sampled(uri: &str) -> Value {
    let link = json!({"type": "resource", "resource": {"uri": uri, "text": "x"}});
    json!({"role": "assistant", "model": "m", "content": link})
}

#[tokio::test]
async fn uris_in_questions_and_answers_are_known_on_both_sides() {
    let can = || json!({"sampling": {}});
    let arguments = json!({"method": "sampling/createMessage", "params": sampling("a://1")});
    for over in BOTH {
        let (engine, _) = engine_of(["one", "two"]).await;
        let mut legacy = Client::legacy(over, &engine, "2025-11-25", can()).await;
        legacy.call("two__ask", arguments.clone()).await;
        let question = legacy.next().await;
        assert_eq!(question["method"], "sampling/createMessage", "{question}");
        assert_eq!(question["params"], sampling("two+a://1"));
        legacy.answer(&question, sampled("two+a://1")).await;
        let done = legacy.next().await;
        let said = &done["result"]["structuredContent"]["said"];
        assert_eq!(said["answer"], sampled("a://1"), "{over:?} {done}");

        let mut modern = Client::modern(over, &engine, can());
        let call = json!({"name": "two__ask", "arguments": arguments});
        let asked = modern.asked("tools/call", call.clone()).await;
        let question = &asked["result"]["inputRequests"]["input-1"];
        assert_eq!(question["params"], sampling("two+a://1"), "{asked}");
        let mut retry = call;
        retry["requestState"] = asked["result"]["requestState"].clone();
        retry["inputResponses"] = json!({"input-1": sampled("two+a://1")});
        let done = modern.asked("tools/call", retry).await;
        let said = &done["result"]["structuredContent"]["said"];
        assert_eq!(said["answer"], sampled("a://1"), "{over:?} {done}");
    }
}
