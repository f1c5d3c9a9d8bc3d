//! Log messages: on the stream of their call, from the level on that the client wants.

use mcp_gw_core::{BackendEvent, CallNotification};
use mcp_gw_server::EngineConfig;
use serde_json::json;

use crate::server::{engine, raw};
use crate::wire::{BOTH, Client, Over};

/// The levels of the log messages before the answer.
async fn levels(client: &mut Client, params: serde_json::Value) -> Vec<String> {
    let id = client.send("tools/call", params).await;
    let mut levels = Vec::new();
    loop {
        let message = client.next().await;
        if message["id"] == id {
            return levels;
        }
        assert_eq!(message["method"], "notifications/message", "{message}");
        let level = message["params"]["level"].as_str().unwrap().to_owned();
        assert_eq!(message["params"]["data"], json!({"n": level}));
        levels.push(level);
    }
}

#[tokio::test]
async fn a_client_that_shook_hands_gets_the_level_that_it_set_and_all_before() {
    for over in BOTH {
        let (engine, _, _) = engine(EngineConfig::default()).await;
        let mut client = Client::legacy(over, &engine, "2025-03-26", json!({})).await;
        let call = || json!({"name": "log", "arguments": {}});
        assert_eq!(
            levels(&mut client, call()).await,
            ["debug", "info", "error"]
        );
        let set = client
            .asked("logging/setLevel", json!({"level": "warning"}))
            .await;
        assert_eq!(set["result"], json!({}), "{over:?}");
        assert_eq!(levels(&mut client, call()).await, ["error"]);
        for wrong in [json!({}), json!({"level": "loud"}), json!({"level": 3})] {
            let answer = client.asked("logging/setLevel", wrong).await;
            assert_eq!(answer["error"]["code"], -32602, "{answer}");
        }
    }
}

#[tokio::test]
async fn a_client_of_2026_gets_what_its_request_asks_for() {
    for over in BOTH {
        let (engine, _, _) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, json!({}));
        let call = json!({"name": "log", "arguments": {}});
        assert!(levels(&mut client, call.clone()).await.is_empty());
        let mut wants = call;
        wants["_meta"] = json!({"io.modelcontextprotocol/logLevel": "info"});
        assert_eq!(levels(&mut client, wants).await, ["info", "error"]);
        let answer = client
            .asked("logging/setLevel", json!({"level": "info"}))
            .await;
        assert_eq!(answer["error"]["code"], -32601);
    }
}

#[tokio::test]
async fn the_level_is_set_only_where_a_server_logs() {
    for over in BOTH {
        let (engine, shared, _) = engine(EngineConfig::default()).await;
        shared.offer.lock().unwrap().capabilities = None;
        engine.gateway().refresh().await.unwrap();
        let mut client = Client::legacy(over, &engine, "2025-11-25", json!({})).await;
        let answer = client
            .asked("logging/setLevel", json!({"level": "info"}))
            .await;
        assert_eq!(answer["error"]["code"], -32601, "{over:?}");
    }
}

#[tokio::test]
async fn what_belongs_to_a_session_reaches_that_session() {
    let (engine, shared, _) = engine(EngineConfig::default()).await;
    let mut client = Client::legacy(Over::Lines, &engine, "2025-11-25", json!({})).await;
    let mut other = Client::legacy(Over::Lines, &engine, "2025-11-25", json!({})).await;
    let call = json!({"name": "none", "arguments": {}});
    client.asked("tools/call", call).await;
    let call = json!({"name": "ask", "arguments": {}});
    client.asked("tools/call", call).await;
    let session = shared.session.lock().unwrap().clone().unwrap();
    client
        .asked("logging/setLevel", json!({"level": "info"}))
        .await;
    for level in ["debug", "info"] {
        let params = raw(&json!({"level": level, "data": 1.5}));
        shared.tell(BackendEvent::ForSession {
            session: session.clone(),
            notification: CallNotification::Log(params),
        });
    }
    let message = client.next().await;
    assert_eq!(message["params"], json!({"level": "info", "data": 1.5}));
    assert!(client.asked("ping", json!({})).await["result"].is_object());
    assert!(other.asked("ping", json!({})).await["result"].is_object());
}
