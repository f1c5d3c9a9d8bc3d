//! The extension `io.modelcontextprotocol/tasks`.

use std::sync::Arc;

use mcp_gw_core::BackendEvent;
use mcp_gw_policy::{PolicyConfig, PolicyEngine};
use mcp_gw_server::EngineConfig;
use serde_json::{Value, json};

use crate::server::{Shared, engine, engine_by, raw};
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

fn policy(rules: &str) -> PolicyConfig {
    let text = format!("default: allow\nrules: [{rules}]");
    PolicyConfig::from_yaml(&text).unwrap()
}

/// Makes the task with these arguments, and asks to be told of it.
async fn watched(client: &mut Client, arguments: Value) {
    let call = json!({"name": "task", "arguments": arguments});
    let task = client.asked("tools/call", call).await;
    assert_eq!(task["result"]["taskId"], "t1", "{task}");
    let params = json!({"notifications": {"taskIds": ["t1"], "resourceSubscriptions": ["a://1"]}});
    client.send("subscriptions/listen", params).await;
    let first = client.next().await;
    let taken = &first["params"]["notifications"]["taskIds"];
    assert_eq!(*taken, json!(["t1"]), "{first}");
}

fn tell_task(shared: &Shared, status: &str) {
    shared.tell(BackendEvent::TaskChanged {
        task_id: Arc::from("t1"),
        params: raw(&json!({"taskId": "t1", "status": status})),
    });
}

/// Returns when everything was told that has happened; nothing of it may concern the client. Of what
/// happens together, resources are told of before tasks: so the second one comes after all tasks.
async fn nothing_comes(shared: &Shared, client: &mut Client) {
    for n in 0..2 {
        shared.tell(BackendEvent::ResourceUpdated {
            uri: Arc::from("a://1"),
            params: raw(&json!({"uri": "a://1", "n": n})),
        });
        let message = client.next().await;
        assert_eq!(message["params"]["n"], n, "{message}");
    }
}

const ROADS: [&str; 3] = ["tasks/get", "tasks/update", "tasks/cancel"];

#[tokio::test]
async fn news_of_a_task_end_when_its_call_is_not_allowed_any_more() {
    let may_not = [
        "{ id: no, effect: deny, tools: [task] }",
        "{ id: no, effect: deny, tools: [task], when: \"mcp.tool.arguments.amount > 5\" }",
        "{ id: no, effect: require, tools: [task], when: \"mcp.tool.arguments.amount <= 5\" }",
    ];
    for (over, rule) in BOTH
        .into_iter()
        .flat_map(|over| may_not.map(|rule| (over, rule)))
    {
        let rules = PolicyEngine::compile(&policy("")).unwrap();
        let (engine, shared) = engine_by(rules.clone()).await;
        let can = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        let mut client = Client::modern(over, &engine, can);
        watched(&mut client, json!({"amount": 6})).await;
        tell_task(&shared, "working");
        let message = client.next().await;
        assert_eq!(message["params"]["status"], "working", "{message}");
        rules.reload(&policy(rule)).unwrap();
        tell_task(&shared, "secret");
        nothing_comes(&shared, &mut client).await;
        for method in ROADS {
            let answer = client.asked(method, json!({"taskId": "t1"})).await;
            assert_eq!(answer["error"]["code"], -32602, "{rule}: {answer}");
        }
        // As soon as it may be called again, there is the task.
        rules.reload(&policy("")).unwrap();
        tell_task(&shared, "completed");
        let message = client.next().await;
        assert_eq!(message["params"]["status"], "completed", "{message}");
    }
}

#[tokio::test]
async fn a_rule_about_arguments_is_asked_about_those_of_the_call() {
    let rules =
        "{ id: few, effect: require, tools: [task], when: \"mcp.tool.arguments.amount <= 5\" }";
    for over in BOTH {
        let rules = PolicyEngine::compile(&policy(rules)).unwrap();
        let (engine, shared) = engine_by(rules).await;
        let can = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        let mut client = Client::modern(over, &engine, can);
        watched(&mut client, json!({"amount": 5})).await;
        for method in ROADS {
            let answer = client.asked(method, json!({"taskId": "t1"})).await;
            assert_eq!(answer["result"]["method"], method, "{answer}");
        }
        tell_task(&shared, "completed");
        let message = client.next().await;
        assert_eq!(message["params"]["status"], "completed", "{message}");
    }
}

#[tokio::test]
async fn a_task_asks_for_no_more_than_its_client_declared_and_the_gateway_allows() {
    let elicits = json!({"k": {"method": "elicitation/create", "params": {"message": "?"}}});
    let samples = json!({"k": {"method": "sampling/createMessage", "params": {}}});
    for over in BOTH {
        // Sampling is declared, but servers may not ask for it.
        let config = EngineConfig::default().with_withheld(vec!["sampling"]);
        let (engine, shared, _) = engine(config).await;
        let can = json!({
            "extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {}, "sampling": {},
        });
        let mut client = Client::modern(over, &engine, can);
        watched(&mut client, json!({})).await;
        let id = json!({"taskId": "t1"});
        let tell = |asks: &Value| {
            shared.tell(BackendEvent::TaskChanged {
                task_id: Arc::from("t1"),
                params: raw(
                    &json!({"taskId": "t1", "status": "input_required", "inputRequests": asks}),
                ),
            });
        };
        tell(&elicits);
        let news = client.next().await;
        assert_eq!(news["params"]["inputRequests"], elicits, "{news}");
        // It hears that the task waits, and may ask why.
        tell(&samples);
        let news = client.next().await;
        assert_eq!(news["params"]["status"], "input_required", "{news}");
        assert_eq!(news["params"]["inputRequests"], json!({}), "{news}");
        *shared.task_asks.lock().unwrap() = Some(format!(r#""inputRequests":{elicits}"#));
        let answer = client.asked("tasks/get", id.clone()).await;
        assert_eq!(answer["result"]["inputRequests"], elicits, "{answer}");
        let others = json!({"k": {"method": "tools/call"}});
        for asks in [&samples, &others, &json!({"k": {"method": "roots/list"}})] {
            *shared.task_asks.lock().unwrap() = Some(format!(r#""inputRequests":{asks}"#));
            let answer = client.asked("tasks/get", id.clone()).await;
            assert_eq!(answer["error"]["code"], -31004, "{answer}");
        }
        *shared.task_asks.lock().unwrap() = None;
        let answer = client.asked("tasks/cancel", id.clone()).await;
        assert_eq!(answer["result"]["method"], "tasks/cancel", "{answer}");
    }
}

#[tokio::test]
async fn a_task_that_has_ended_sends_nobody_to_a_url() {
    let url = json!({"elicitations": [{"mode": "url", "url": "https://x.example/"}]});
    let error = json!({"code": -32042, "message": "m", "data": url});
    let asks = json!({"k": {"method": "elicitation/create", "params": {"mode": "url"}}});
    let result = json!({"resultType": "input_required", "inputRequests": asks});
    for (withheld, elicitation) in [
        (vec![], json!({"url": {}})),
        (vec![], json!({})),
        (vec!["elicitation"], json!({"url": {}})),
    ] {
        let config = EngineConfig::default().with_withheld(withheld.clone());
        let (engine, shared, _) = engine(config).await;
        let can = json!({
            "extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": elicitation,
        });
        let mut client = Client::modern(BOTH[0], &engine, can);
        watched(&mut client, json!({})).await;
        let id = json!({"taskId": "t1"});
        for (name, end) in [("error", &error), ("result", &result)] {
            let mut params = json!({"taskId": "t1", "status": "completed"});
            params[name] = end.clone();
            shared.tell(BackendEvent::TaskChanged {
                task_id: Arc::from("t1"),
                params: raw(&params),
            });
            let news = client.next().await;
            assert_eq!(news["params"]["status"], "failed", "{news}");
            assert_eq!(news["params"]["error"]["code"], -31004, "{news}");
            assert!(!news.to_string().contains("x.example"), "{news}");
            *shared.task_asks.lock().unwrap() = Some(format!(r#""{name}":{end}"#));
            let answer = client.asked("tasks/get", id.clone()).await;
            assert_eq!(answer["error"]["code"], -31004, "{answer}");
            assert!(!answer.to_string().contains("x.example"), "{answer}");
        }
        // The same as the answer itself, which cannot ask either; what is said of it is true.
        *shared.task_asks.lock().unwrap() = Some(format!("error {error}"));
        let answer = client.asked("tasks/get", id).await;
        let message = answer["error"]["message"].as_str().unwrap();
        let (code, says) = match (withheld.is_empty(), elicitation.get("url")) {
            (false, _) => (-31004, "input.allow"),
            (true, Some(_)) => (-31004, "cannot ask for that"),
            (true, None) => (-32600, "declare the capability `elicitation.url`"),
        };
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert!(message.contains(says), "{answer}");
    }
}
