//! `subscriptions/listen` of 2026-07-28.

use std::sync::Arc;

use mcp_gw_core::BackendEvent;
use mcp_gw_policy::{PolicyConfig, PolicyEngine};
use mcp_gw_server::EngineConfig;
use serde_json::{Value, json};

use crate::server::{Asker, engine, engine_by, raw};
use crate::wire::{BOTH, Client, Over};

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

fn tasks() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
}

async fn listen(client: &mut Client, notifications: Value) -> (u64, Value) {
    let params = json!({"notifications": notifications});
    let id = client.send("subscriptions/listen", params).await;
    let first = client.next().await;
    assert_eq!(
        first["method"], "notifications/subscriptions/acknowledged",
        "{first}"
    );
    assert_eq!(first["params"]["_meta"][SUBSCRIPTION], id);
    (id, first["params"]["notifications"].clone())
}

#[tokio::test]
async fn a_subscription_says_what_it_took_and_tells_of_nothing_else() {
    for over in BOTH {
        let (engine, shared, _) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, json!({}));
        let wanted = json!({
            "toolsListChanged": true, "promptsListChanged": false, "taskIds": ["t1"],
            "resourceSubscriptions": ["a://1", "a://2", "a://secret", "no://such", "t://x"],
        });
        let (id, accepted) = listen(&mut client, wanted).await;
        assert_eq!(
            accepted,
            json!({"toolsListChanged": true, "resourceSubscriptions": ["a://1", "t://x"]}),
            "{over:?}"
        );
        let mut offer = Asker::offer();
        offer.prompts.clear();
        offer.resources.truncate(2);
        offer.tools.truncate(2);
        *shared.offer.lock().unwrap() = offer;
        engine.gateway().refresh().await.unwrap();
        let message = client.next().await;
        assert_eq!(message["method"], "notifications/tools/list_changed");
        assert_eq!(message["params"]["_meta"][SUBSCRIPTION], id);
        for uri in ["a://2", "a://secret", "a://1"] {
            let meta = json!({SUBSCRIPTION: "theirs", "v": 1});
            shared.tell(BackendEvent::ResourceUpdated {
                uri: Arc::from(uri),
                params: raw(&json!({"uri": uri, "x": 1.5, "_meta": meta})),
            });
        }
        let message = client.next().await;
        assert_eq!(message["method"], "notifications/resources/updated");
        let meta = json!({SUBSCRIPTION: id, "v": 1});
        let params = json!({"uri": "a://1", "x": 1.5, "_meta": meta});
        assert_eq!(message["params"], params);
    }
}

#[tokio::test]
async fn a_subscription_ends_well_when_the_gateway_does() {
    let (engine, shared, _) = engine(EngineConfig::default()).await;
    let mut client = Client::modern(Over::Http, &engine, json!({}));
    let wanted = json!({"resourceSubscriptions": ["a://1"]});
    let (id, _) = listen(&mut client, wanted).await;
    engine.wind_down();
    let last = client.next().await;
    assert_eq!(last["id"], id);
    assert_eq!(last["result"]["resultType"], "complete");
    assert_eq!(last["result"]["_meta"][SUBSCRIPTION], id);
    shared.heard("unsubscribe a://1", 1).await;
}

#[tokio::test]
async fn who_goes_away_or_cancels_hears_no_more_and_holds_nothing() {
    for over in BOTH {
        let (engine, shared, _) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, tasks());
        let call = json!({"name": "task", "arguments": {}});
        let task = client.asked("tools/call", call).await;
        assert_eq!(task["result"]["taskId"], "t1", "{task}");
        let wanted = json!({"resourceSubscriptions": ["a://1"], "taskIds": ["t1", "t2"]});
        let (id, accepted) = listen(&mut client, wanted.clone()).await;
        assert_eq!(
            accepted,
            json!({"resourceSubscriptions": ["a://1"], "taskIds": ["t1"]})
        );
        match over {
            Over::Http => client.hang_up().await,
            Over::Lines => {
                client
                    .notify("notifications/cancelled", json!({"requestId": id}))
                    .await;
            }
        }
        shared.heard("unsubscribe a://1", 1).await;
        shared.heard("unwatch t1", 1).await;
    }
}

#[tokio::test]
async fn a_task_is_told_of_to_its_caller_alone() {
    let (engine, shared, _) = engine(EngineConfig::default()).await;
    let mut client = Client::modern(Over::Http, &engine, tasks());
    let mut other = Client::modern_as("b", Over::Http, &engine, tasks());
    let call = json!({"name": "task", "arguments": {}});
    client.asked("tools/call", call).await;
    let wanted = || json!({"taskIds": ["t1"]});
    let (id, _) = listen(&mut client, wanted()).await;
    let (_, accepted) = listen(&mut other, wanted()).await;
    assert_eq!(accepted, json!({}), "another's task is as good as none");
    shared.tell(BackendEvent::TaskChanged {
        task_id: Arc::from("t1"),
        params: raw(&json!({"taskId": "t1", "status": "completed", "n": 1.5})),
    });
    let message = client.next().await;
    assert_eq!(message["method"], "notifications/tasks");
    assert_eq!(message["params"]["n"], 1.5);
    assert_eq!(message["params"]["_meta"][SUBSCRIPTION], id);
    let ping = other.asked("tools/list", json!({})).await;
    assert!(ping["result"].is_object());
}

#[tokio::test]
async fn subscriptions_are_bounded_and_wrong_ones_are_named() {
    let (engine, _, _) = engine(EngineConfig::default()).await;
    let mut client = Client::modern(Over::Http, &engine, json!({}));
    for params in [json!({}), json!({"notifications": []})] {
        let answer = client.asked("subscriptions/listen", params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    for _ in 0..64 {
        listen(&mut client, json!({"toolsListChanged": true})).await;
    }
    let params = json!({"notifications": {"toolsListChanged": true}});
    let answer = client.asked("subscriptions/listen", params.clone()).await;
    assert_eq!(answer["error"]["code"], -31001, "{answer}");
    client.hang_up().await;
    listen(&mut client, json!({"toolsListChanged": true})).await;
    let mut legacy = Client::legacy(Over::Http, &engine, "2025-11-25", json!({})).await;
    let answer = legacy.asked("subscriptions/listen", params).await;
    assert_eq!(answer["error"]["code"], -32601);
}

#[tokio::test]
async fn news_of_a_resource_end_when_either_right_does() {
    let policy = |rules: &str| {
        let text = format!("default: allow\nrules: [{rules}]");
        PolicyConfig::from_yaml(&text).unwrap()
    };
    let deny =
        |method| format!("{{ id: no, effect: deny, methods: [{method}], resources: [\"a://1\"] }}");
    for method in ["resources/subscribe", "resources/read"] {
        let rules = PolicyEngine::compile(&policy("")).unwrap();
        let (engine, shared) = engine_by(rules.clone()).await;
        let mut modern = Client::modern(Over::Http, &engine, json!({}));
        let mut legacy = Client::legacy(Over::Lines, &engine, "2025-11-25", json!({})).await;
        let wanted = json!({"resourceSubscriptions": ["a://1", "t://x"]});
        listen(&mut modern, wanted).await;
        for uri in ["a://1", "t://x"] {
            let answer = legacy.asked("resources/subscribe", json!({"uri": uri}));
            assert_eq!(answer.await["result"], json!({}));
        }
        rules.reload(&policy(&deny(method))).unwrap();
        // Both rounds are told in order, so what is refused would come first.
        for uri in ["a://1", "t://x", "t://x"] {
            shared.tell(BackendEvent::ResourceUpdated {
                uri: Arc::from(uri),
                params: raw(&json!({"uri": uri})),
            });
            if uri == "a://1" {
                continue;
            }
            for client in [&mut modern, &mut legacy] {
                let message = client.next().await;
                assert_eq!(message["params"]["uri"], uri, "{method}: {message}");
            }
        }
    }
}
