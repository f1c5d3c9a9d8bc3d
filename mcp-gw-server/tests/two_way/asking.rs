//! Servers ask clients that shook hands.

use mcp_gw_core::Outcome;
use mcp_gw_server::EngineConfig;
use serde_json::json;

use crate::server::engine;
use crate::wire::{BOTH, Client, Over};

#[tokio::test]
async fn a_server_asks_on_the_stream_of_its_call_and_gets_the_answer() {
    for over in BOTH {
        let (engine, _, _) = engine(EngineConfig::default()).await;
        let can = json!({"elicitation": {}, "sampling": {"tools": {}}, "tasks": {}});
        let mut client = Client::legacy(over, &engine, "2025-06-18", can).await;
        let params = json!({"message": "Sure?", "x-vendor": 1.5});
        let id = client.call("ask", json!({"params": params})).await;
        let question = client.next().await;
        assert_eq!(question["method"], "elicitation/create", "{over:?}");
        assert_eq!(question["params"], params);
        assert_eq!(
            client
                .answer(&question, json!({"action": "accept", "y": 1}))
                .await,
            202
        );
        let answer = client.next().await;
        assert_eq!(answer["id"], id);
        let seen = &answer["result"]["structuredContent"];
        assert_eq!(seen["said"]["answer"], json!({"action": "accept", "y": 1}));
        // Only what the revision knows is declared to servers.
        assert_eq!(seen["declared"], json!({"elicitation": {}, "sampling": {}}));
        // An answer that comes again is nobody's.
        assert_eq!(client.answer(&question, json!({})).await, 202);
        assert!(client.asked("ping", json!({})).await["result"].is_object());
    }
}

#[tokio::test]
async fn a_client_is_not_asked_for_what_it_did_not_declare() {
    for over in BOTH {
        let (engine, _, _) = engine(EngineConfig::default()).await;
        let can = json!({"roots": {}});
        let mut client = Client::legacy(over, &engine, "2025-11-25", can).await;
        for method in ["elicitation/create", "sampling/createMessage", "vendor/x"] {
            let params = json!({"name": "ask", "arguments": {"method": method}});
            let answer = client.asked("tools/call", params).await;
            let seen = &answer["result"]["structuredContent"];
            assert_eq!(seen["said"], "unsupported", "{over:?} {method}");
            assert_eq!(seen["declared"], json!({"roots": {}}));
        }
    }
}

#[tokio::test]
async fn servers_are_not_told_of_what_they_may_not_ask_for() {
    for over in BOTH {
        let config = || EngineConfig::default().with_withheld(vec!["elicitation"]);
        let can = json!({"roots": {}, "elicitation": {}});
        let (engine, _, _) = engine(config()).await;
        let mut old = Client::legacy(over, &engine, "2025-11-25", can.clone()).await;
        let mut new = Client::modern(over, &engine, can);
        for client in [&mut old, &mut new] {
            let params = json!({"name": "ask", "arguments": {"method": "elicitation/create"}});
            let answer = client.asked("tools/call", params).await;
            let seen = &answer["result"]["structuredContent"];
            assert_eq!(seen["said"], "unsupported", "{over:?} {answer}");
            assert_eq!(seen["declared"], json!({"roots": {}}));
        }
    }
}

#[tokio::test]
async fn questions_of_two_calls_do_not_mix() {
    for over in BOTH {
        let (engine, _, _) = engine(EngineConfig::default()).await;
        let can = json!({"elicitation": {}});
        let mut client = Client::legacy(over, &engine, "2025-11-25", can).await;
        let first = client.call("ask", json!({"params": {"n": 1}})).await;
        let one = client.next().await;
        let second = client.call("ask_two", json!({"params": {"n": 2}})).await;
        let (two, three) = (client.next().await, client.next().await);
        client.answer(&three, json!({"to": "three"})).await;
        client.answer(&two, json!({"to": "two"})).await;
        let answer = client.next().await;
        assert_eq!(answer["id"], second);
        assert_eq!(
            answer["result"]["structuredContent"],
            json!([{"answer": {"to": "two"}}, {"answer": {"to": "three"}}])
        );
        client.answer(&one, json!({"to": "one"})).await;
        let answer = client.next().await;
        assert_eq!(answer["id"], first);
        let said = &answer["result"]["structuredContent"]["said"];
        assert_eq!(*said, json!({"answer": {"to": "one"}}));
    }
}

#[tokio::test]
async fn a_server_that_changes_its_mind_takes_its_question_back() {
    for over in BOTH {
        let (engine, shared, _) = engine(EngineConfig::default()).await;
        let can = json!({"elicitation": {}});
        let mut client = Client::legacy(over, &engine, "2025-11-25", can).await;
        client.call("change_mind", json!({})).await;
        let question = client.next().await;
        shared.go.notify_one();
        let cancelled = client.next().await;
        assert_eq!(cancelled["method"], "notifications/cancelled", "{over:?}");
        assert_eq!(cancelled["params"]["requestId"], question["id"]);
        assert_eq!(cancelled["params"]["reason"], "changed its mind");
        let answer = client.next().await;
        assert_eq!(answer["result"]["structuredContent"], "changed its mind");
    }
}

#[tokio::test]
async fn the_answer_of_another_session_is_nobodys() {
    let (engine, _, _) = engine(EngineConfig::default()).await;
    let can = json!({"elicitation": {}});
    let mut client = Client::legacy(Over::Http, &engine, "2025-11-25", can.clone()).await;
    let mut other = Client::legacy(Over::Http, &engine, "2025-11-25", can).await;
    client.call("ask", json!({})).await;
    let question = client.next().await;
    assert_eq!(other.answer(&question, json!({"of": "other"})).await, 202);
    assert_eq!(client.answer(&question, json!("nothing")).await, 400);
    let answer = client.next().await;
    let said = &answer["result"]["structuredContent"]["said"];
    assert_eq!(said["error"]["code"], -32600, "{answer}");
}

#[tokio::test]
async fn the_end_of_the_session_is_the_end_of_what_was_asked() {
    for over in BOTH {
        let (engine, shared, audit) = engine(EngineConfig::default()).await;
        let can = json!({"elicitation": {}});
        let mut client = Client::legacy(over, &engine, "2025-11-25", can).await;
        client.call("ask", json!({})).await;
        client.next().await;
        client.end().await;
        shared.heard("call ended", 1).await;
        shared.heard("session ended", 1).await;
        engine.idle().await;
        let outcomes = audit.events();
        let call = outcomes.iter().find(|it| it.method == "tools/call");
        // The end of a line connection leaves open calls a moment, but not their questions.
        let expected = match over {
            Over::Http => Outcome::Cancelled,
            Over::Lines => Outcome::Ok,
        };
        assert_eq!(call.unwrap().outcome, expected, "{over:?}");
    }
}
