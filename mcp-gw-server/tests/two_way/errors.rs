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

#[tokio::test]
async fn a_url_reaches_whom_it_may_and_who_said_that_it_opens_it() {
    let urls = || json!({"elicitation": {"form": {}, "url": {}}});
    let sign_in = json!({
        "code": -32042, "message": "sign in", "data": {"elicitations": [
            {"mode": "url", "url": "https://x.example/in", "elicitationId": "1", "message": "m"},
        ]},
    });
    let old = ["2025-11-25", "2025-06-18", "2025-03-26"];
    for over in BOTH {
        let allowed = EngineConfig::default;
        let withheld = || EngineConfig::default().with_withheld(vec!["elicitation"]);
        for (config, revision, declared, expected) in [
            (allowed(), old[0], urls(), -32042),
            (allowed(), old[0], json!({}), -32600),
            (allowed(), old[0], json!({"elicitation": {}}), -32600),
            (allowed(), old[1], urls(), -32600),
            (allowed(), old[2], urls(), -32600),
            (withheld(), old[0], urls(), -31004),
            (withheld(), old[0], json!({}), -31004),
            (withheld(), old[1], urls(), -31004),
        ] {
            let (engine, _, _) = engine(config).await;
            let mut client = Client::legacy(over, &engine, revision, declared).await;
            let call = json!({"name": "error", "arguments": sign_in});
            let answer = client.asked("tools/call", call).await;
            assert_eq!(answer["error"]["code"], expected, "{over:?} {answer}");
            assert_eq!(answer["error"] == sign_in, expected == -32042, "{answer}");
            assert_eq!(answer.to_string().contains("x.example"), expected == -32042);
            // Of that number without URLs it is an error like any other.
            let other = json!({"code": -32042, "message": "busy", "data": {"x": 1}});
            let call = json!({"name": "error", "arguments": other});
            let answer = client.asked("tools/call", call).await;
            assert_eq!(answer["error"], other, "{over:?}");
        }
        // A client of today that can open it, where servers may not ask, can do nothing about that.
        let (engine, _, _) = engine(withheld()).await;
        let mut client = Client::modern(over, &engine, urls());
        let call = json!({"name": "error", "arguments": sign_in});
        let answer = client.asked("tools/call", call).await;
        assert_eq!(answer["error"]["code"], -31004, "{answer}");
        let says = answer["error"]["message"].as_str().unwrap();
        assert!(says.contains("`input.allow`"), "{answer}");
        assert!(!says.contains("declare"), "{answer}");
    }
}
