//! A client that begins while the servers behind are still starting.

use std::time::Duration;

use mcp_gw_core::{AllowAll, Gateway};
use mcp_gw_server::{Engine, EngineConfig};
use serde_json::json;

use crate::server::{Asker, Shared};
use crate::wire::{BOTH, Client, Over};

/// An engine whose server has not been asked what it offers.
fn starting() -> (Engine, std::sync::Arc<Shared>) {
    let shared = std::sync::Arc::new(Shared::default());
    *shared.offer.lock().unwrap() = Asker::offer();
    let gateway = Gateway::builder()
        .backend(Asker(std::sync::Arc::clone(&shared), "asker"))
        .policy(AllowAll::new())
        .build()
        .unwrap();
    let engine = Engine::new(gateway, EngineConfig::default());
    engine.hold();
    (engine, shared)
}

#[tokio::test(start_paused = true)]
async fn the_handshake_is_answered_and_lists_wait_for_the_servers() {
    for over in BOTH {
        let (engine, _) = starting();
        let mut client = Client::modern(over, &engine, json!({}));
        let discovered = client.asked("server/discover", json!({})).await;
        let capabilities = &discovered["result"]["capabilities"];
        for promised in ["tools", "prompts", "resources", "completions", "logging"] {
            assert!(capabilities[promised].is_object(), "{capabilities}");
        }
        let mut client = Client::legacy(over, &engine, "2025-11-25", json!({})).await;
        let list = client.send("tools/list", json!({})).await;
        assert!(client.asked("ping", json!({})).await["result"].is_object());
        engine.gateway().refresh().await.unwrap();
        engine.open();
        loop {
            let answer = client.next().await;
            if answer["id"] == list {
                assert_eq!(answer["result"]["tools"].as_array().unwrap().len(), 10);
                break;
            }
            // The lists that are there now are a change to this client.
            let method = answer["method"].as_str().unwrap();
            assert!(method.ends_with("/list_changed"), "{answer}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_waited_for_the_servers_is_told_what_they_have_and_no_change() {
    let (engine, _) = starting();
    let ready = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        engine.gateway().refresh().await.unwrap();
        engine.open();
    };
    let greeted = Client::legacy(Over::Lines, &engine, "2025-11-25", json!({}));
    let (mut client, ()) = tokio::join!(greeted, ready);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(client.asked("ping", json!({})).await["result"].is_object());
}

#[tokio::test]
async fn the_end_comes_though_the_servers_never_start() {
    let (engine, _) = starting();
    let mut client = Client::modern(Over::Http, &engine, json!({}));
    let list = client.send("tools/list", json!({})).await;
    tokio::task::yield_now().await;
    engine.wind_down();
    let answer = client.next().await;
    assert_eq!(answer["id"], list);
    assert_eq!(answer["result"]["tools"], json!([]));
}
