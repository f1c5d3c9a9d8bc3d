//! Lists and resources change: clients that shook hands hear of it.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{BackendEvent, Mounting, Remount};
use mcp_gw_server::EngineConfig;
use serde_json::{Value, json};

use crate::server::{Asker, Shared, engine, raw};
use crate::wire::{BOTH, Client, Over};

fn updated(shared: &Shared, uri: &str) {
    shared.tell(BackendEvent::ResourceUpdated {
        uri: Arc::from(uri),
        params: raw(&json!({"uri": uri, "x-vendor": 1.5})),
    });
}

#[tokio::test(start_paused = true)]
async fn a_changed_list_is_told_and_many_changes_are_told_together() {
    let (engine, shared, _) = engine(EngineConfig::default()).await;
    let mut client = Client::legacy(Over::Lines, &engine, "2025-03-26", json!({})).await;
    for round in 0..20 {
        let mut offer = Asker::offer();
        offer.tools.truncate(round % 2);
        *shared.offer.lock().unwrap() = offer;
        engine.gateway().refresh().await.unwrap();
        tokio::task::yield_now().await;
    }
    // Time stands still but for this.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ping = client.send("ping", json!({})).await;
    let mut told = 0;
    loop {
        let message = client.next().await;
        if message["id"] == ping {
            break;
        }
        assert_eq!(message["method"], "notifications/tools/list_changed");
        told += 1;
    }
    assert!((1..=2).contains(&told), "{told}");
}

#[tokio::test]
async fn an_update_reaches_who_subscribed_and_may_still_read() {
    let (engine, shared, _) = engine(EngineConfig::default()).await;
    let mut client = Client::legacy(Over::Lines, &engine, "2025-11-25", json!({})).await;
    let mut other = Client::legacy(Over::Lines, &engine, "2025-11-25", json!({})).await;
    for uri in ["a://1", "a://1", "t://x"] {
        let answer = client
            .asked("resources/subscribe", json!({"uri": uri}))
            .await;
        assert_eq!(answer["result"], json!({}), "{uri}");
    }
    for (uri, code) in [
        ("a://secret", -32002),
        ("no://such", -32002),
        ("a://2", -32601),
    ] {
        let answer = client
            .asked("resources/subscribe", json!({"uri": uri}))
            .await;
        assert_eq!(answer["error"]["code"], code, "{uri} {answer}");
    }
    updated(&shared, "a://1");
    let message = client.next().await;
    assert_eq!(message["method"], "notifications/resources/updated");
    assert_eq!(message["params"], json!({"uri": "a://1", "x-vendor": 1.5}));
    // What may not be read any more is not told of; what is not subscribed to neither.
    shared.refused.lock().unwrap().push("a://1".to_owned());
    updated(&shared, "a://1");
    updated(&shared, "a://2");
    updated(&shared, "t://x");
    let message = client.next().await;
    assert_eq!(message["params"]["uri"], "t://x");
    let answer = client
        .asked("resources/unsubscribe", json!({"uri": "t://x"}))
        .await;
    assert_eq!(answer["result"], json!({}));
    shared.heard("unsubscribe t://x", 1).await;
    assert!(other.asked("ping", json!({})).await["result"].is_object());
}

#[tokio::test]
async fn the_end_of_a_client_ends_its_subscriptions() {
    for over in BOTH {
        let (engine, shared, _) = engine(EngineConfig::default()).await;
        let mut client = Client::legacy(over, &engine, "2025-06-18", json!({})).await;
        for uri in ["a://1", "a://1", "t://x"] {
            client
                .asked("resources/subscribe", json!({"uri": uri}))
                .await;
        }
        client.end().await;
        shared.heard("unsubscribe t://x", 1).await;
        shared.heard("unsubscribe a://1", 2).await;
        engine.idle().await;
        let heard = shared.heard.lock().unwrap();
        let count = |what: &str| heard.iter().filter(|it| it.starts_with(what)).count();
        assert_eq!(
            count("subscribe"),
            count("unsubscribe"),
            "{over:?} {heard:?}"
        );
    }
}

#[tokio::test]
async fn subscribing_again_holds_at_a_server_that_came_in_the_place_of_another() {
    for over in BOTH {
        let (engine, shared, _) = engine(EngineConfig::default()).await;
        let mut client = Client::legacy(over, &engine, "2025-06-18", json!({})).await;
        let params = json!({"uri": "a://1"});
        let answer = client.asked("resources/subscribe", params.clone()).await;
        assert_eq!(answer["result"], json!({}));
        let later = Arc::new(Shared::default());
        *later.offer.lock().unwrap() = Asker::offer();
        let next = Remount::new().mount(Asker(Arc::clone(&later), "asker"), Mounting::plain());
        engine.gateway().remount(next).unwrap();
        engine.gateway().refresh().await.unwrap();
        let standing = || {
            let heard = later.heard.lock().unwrap();
            let count = |what: &str| heard.iter().filter(|it| *it == what).count();
            count("subscribe a://1") - count("unsubscribe a://1")
        };
        for _ in 0..2 {
            let answer = client.asked("resources/subscribe", params.clone()).await;
            assert_eq!(answer["result"], json!({}));
            assert_eq!(standing(), 1, "{over:?}");
        }
        if matches!(over, Over::Lines) {
            updated(&later, "a://1");
            let told = client.next().await;
            assert_eq!(told["method"], "notifications/resources/updated");
        }
        client.end().await;
        later.heard("unsubscribe a://1", 2).await;
        engine.idle().await;
        assert_eq!(standing(), 0, "{over:?}");
        let first = shared.heard.lock().unwrap();
        assert!(!first.iter().any(|it| it == "unsubscribe a://1"));
    }
}

#[tokio::test]
async fn what_can_be_heard_of_is_advertised() {
    for over in BOTH {
        let (engine, shared, _) = engine(EngineConfig::default()).await;
        let mut client = Client::modern(over, &engine, json!({}));
        let discovered = client.asked("server/discover", json!({})).await;
        assert_eq!(
            discovered["result"]["capabilities"],
            json!({
                "tools": {"listChanged": true}, "prompts": {"listChanged": true},
                "resources": {"listChanged": true, "subscribe": true}, "logging": {},
                "extensions": {"io.modelcontextprotocol/tasks": {"v": 1}},
            })
        );
        // Who sees nothing of the server sees nothing of what it can do.
        let names = Asker::offer();
        let tools = names.tools.iter().map(|tool| tool.name().to_owned());
        let items = names.resources.iter().chain(&names.resource_templates);
        let items = items.chain(&names.prompts).map(|it| it.key().to_owned());
        shared.refused.lock().unwrap().extend(tools.chain(items));
        let discovered = client.asked("server/discover", json!({})).await;
        let capabilities = &discovered["result"]["capabilities"];
        assert_eq!(*capabilities, json!({"tools": {"listChanged": true}}));
    }
}

#[tokio::test]
async fn roots_that_change_are_told_to_the_servers() {
    for over in BOTH {
        let (engine, shared, _) = engine(EngineConfig::default()).await;
        let can = json!({"roots": {"listChanged": true}});
        let mut client = Client::legacy(over, &engine, "2025-11-25", can).await;
        client
            .notify("notifications/roots/list_changed", json!({}))
            .await;
        client.notify("notifications/vendor/x", json!({})).await;
        shared.heard("roots changed", 1).await;
    }
}

#[tokio::test]
async fn a_client_that_can_be_asked_is_greeted_once_and_no_other() {
    for over in BOTH {
        let (engine, shared, _) = engine(EngineConfig::default()).await;
        let mut plain = Client::legacy(over, &engine, "2025-11-25", json!({"tasks": {}})).await;
        let can = json!({"roots": {"x": 1.5}, "tasks": {}});
        let mut client = Client::legacy(over, &engine, "2025-11-25", can).await;
        for _ in 0..2 {
            client.notify("notifications/initialized", json!({})).await;
        }
        client
            .notify("notifications/roots/list_changed", json!({}))
            .await;
        shared.heard("roots changed", 1).await;
        plain.end().await;
        shared.heard("session ended", 1).await;
        let heard = shared.heard.lock().unwrap().clone();
        let greeted: Vec<_> = heard
            .iter()
            .filter(|it| it.starts_with("greeted"))
            .collect();
        let is_stdio = matches!(over, Over::Lines);
        let expected = format!(r#"greeted {{"roots":{{"x":1.5}}}} stdio {is_stdio}"#);
        assert_eq!(greeted, [&expected], "{over:?}");
        // It is the session that its calls are made in.
        let greeted = shared.session.lock().unwrap().take();
        client
            .asked("tools/call", json!({"name": "error", "arguments": {}}))
            .await;
        assert!(greeted.is_some());
        assert_eq!(*shared.session.lock().unwrap(), greeted, "{over:?}");
    }
}

#[tokio::test]
async fn what_servers_are_not_told_of_is_not_in_a_greeting_or_subscription() {
    for over in BOTH {
        let config = EngineConfig::default().with_withheld(vec!["sampling", "elicitation"]);
        let (engine, shared, _) = engine(config).await;
        let only = json!({"sampling": {}, "elicitation": {}});
        let mut other = Client::legacy(over, &engine, "2025-11-25", only).await;
        other
            .asked("resources/subscribe", json!({"uri": "a://1"}))
            .await;
        let can = json!({"sampling": {}, "roots": {}});
        let mut client = Client::legacy(over, &engine, "2025-11-25", can).await;
        client
            .asked("resources/subscribe", json!({"uri": "a://1"}))
            .await;
        let heard = shared.heard.lock().unwrap().clone();
        let said: Vec<_> = heard.iter().filter(|it| it.contains('{')).collect();
        let is_stdio = matches!(over, Over::Lines);
        let expected = [
            format!(r#"greeted {{"roots":{{}}}} stdio {is_stdio}"#),
            r#"a session subscribes that has {"roots":{}}"#.to_owned(),
        ];
        assert_eq!(said, expected.each_ref(), "{over:?}");
    }
}

#[tokio::test]
async fn a_subscription_says_whose_calls_it_belongs_to_until_its_end() {
    let has = |kind: &str, what: &str, can: &Value| format!("a {kind} {what} that has {can}");
    for over in BOTH {
        let (engine, shared, _) = engine(EngineConfig::default()).await;
        let can = json!({"roots": {}});
        let mut client = Client::legacy(over, &engine, "2025-11-25", can.clone()).await;
        for uri in ["a://1", "t://x"] {
            let params = json!({"uri": uri});
            client.asked("resources/subscribe", params).await;
        }
        let params = json!({"uri": "t://x"});
        client.asked("resources/unsubscribe", params).await;
        shared.heard(&has("session", "ends", &can), 1).await;
        client.end().await;
        shared.heard(&has("session", "ends", &can), 2).await;
        shared.heard(&has("session", "subscribes", &can), 2).await;

        let mut client = Client::modern(over, &engine, can.clone());
        let filter = json!({"notifications": {"resourceSubscriptions": ["a://1"]}});
        client.send("subscriptions/listen", filter).await;
        assert_eq!(
            client.next().await["method"],
            "notifications/subscriptions/acknowledged"
        );
        shared.heard(&has("caller", "subscribes", &can), 1).await;
        client.hang_up().await;
        shared.heard(&has("caller", "ends", &can), 1).await;
    }
}
