//! What a client of any revision can do, whatever is behind.

use serde_json::{Value, json};

use crate::client::Client;

/// Everything, for a client that can be asked.
pub(crate) async fn all(client: &Client, pair: &str) {
    payload(client, pair).await;
    progress(client, pair).await;
    logs(client, pair).await;
    cancel(client, pair).await;
    questions(client, pair).await;
    prompts(client, pair).await;
    resources(client, pair).await;
}

async fn payload(client: &Client, pair: &str) {
    if !client.is_modern() {
        assert_eq!(
            client.ask("ping", json!({})).await.result(),
            &json!({}),
            "{pair}"
        );
    }
    let arguments = json!({ "n": 1.5, "deep": { "a": [null, true, "\u{e9}"] } });
    let params = json!({ "name": "echo", "arguments": arguments });
    let echoed = client.ask("tools/call", params).await;
    assert_eq!(echoed.result()["structuredContent"], arguments, "{pair}");
    let result_type = echoed.result().get("resultType");
    assert_eq!(result_type.is_some(), client.is_modern(), "{pair}");
}

async fn progress(client: &Client, pair: &str) {
    let params =
        json!({ "name": "progress", "arguments": {}, "_meta": { "progressToken": "tok" } });
    let done = client.ask("tools/call", params).await;
    let steps: Vec<_> = done
        .seen
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .map(|message| {
            (
                message["params"]["progressToken"].clone(),
                message["params"]["progress"].clone(),
            )
        })
        .collect();
    let expected: Vec<_> = (1..=3).map(|step| (json!("tok"), json!(step))).collect();
    assert_eq!(steps, expected, "{pair}");
}

async fn logs(client: &Client, pair: &str) {
    let mut params = json!({ "name": "logs", "arguments": {} });
    if client.is_modern() {
        params["_meta"]["io.modelcontextprotocol/logLevel"] = json!("info");
    } else {
        client
            .ask("logging/setLevel", json!({ "level": "info" }))
            .await
            .result();
    }
    let done = client.ask("tools/call", params).await;
    let lines: Vec<_> = done
        .seen
        .iter()
        .filter(|message| message["method"] == "notifications/message")
        .map(|message| message["params"]["data"].clone())
        .collect();
    assert_eq!(
        lines,
        [json!("a line of info"), json!("a line of error")],
        "{pair}"
    );
    if client.is_modern() {
        let quiet = client.tool("logs").await;
        assert_eq!(quiet.seen, Vec::<Value>::new(), "{pair}");
    }
}

async fn cancel(client: &Client, pair: &str) {
    let count = async || {
        client
            .tool("cancelled_count")
            .await
            .text()
            .parse::<u64>()
            .unwrap()
    };
    let before = count().await;
    let params = json!({ "name": "wait", "arguments": {}, "_meta": { "progressToken": 7 } });
    let mut open = client.begin("tools/call", params).await;
    assert_eq!(
        open.next().await["method"],
        "notifications/progress",
        "{pair}"
    );
    client.cancel(open).await;
    let mut seen = before;
    for _ in 0..500 {
        seen = count().await;
        if seen > before {
            break;
        }
    }
    assert_eq!(seen, before + 1, "{pair}");
}

async fn questions(client: &Client, pair: &str) {
    let has_forms = client.revision != "2025-03-26";
    let has_links = client.revision >= "2025-11-25";
    let confirmed = client.tool("confirm").await;
    if has_forms {
        assert_eq!(confirmed.text(), r#""accept" "Ann""#, "{pair}");
        assert_eq!(confirmed.asked, ["elicitation/create"], "{pair}");
    } else {
        assert_eq!(confirmed.text(), "cannot", "{pair}");
    }
    let linked = client.tool("link").await;
    if has_links {
        assert_eq!(linked.text(), r#""accept""#, "{pair}");
    } else {
        assert_eq!(linked.asked, Vec::<String>::new(), "{pair}");
    }
    assert_eq!(client.tool("ask_model").await.text(), "\"4\"", "{pair}");
    assert_eq!(client.tool("where").await.text(), "\"file:///r\"", "{pair}");
    let both = client.tool("both").await;
    if has_forms {
        assert_eq!(both.text(), r#""accept" "Ann" "4""#, "{pair}");
        assert_eq!(
            both.asked,
            ["elicitation/create", "sampling/createMessage"],
            "{pair}"
        );
    } else {
        assert_eq!(both.text(), "cannot \"4\"", "{pair}");
    }
}

async fn prompts(client: &Client, pair: &str) {
    let listed = client.ask("prompts/list", json!({})).await;
    assert_eq!(
        listed.result()["prompts"].as_array().unwrap().len(),
        2,
        "{pair}"
    );
    let params = json!({ "name": "greet", "arguments": { "name": "Bob" } });
    let greeting = client.ask("prompts/get", params).await;
    assert_eq!(
        greeting.result()["messages"][0]["content"]["text"],
        "Hello \"Bob\"",
        "{pair}"
    );
    if client.revision != "2025-03-26" {
        let asked = client
            .ask("prompts/get", json!({ "name": "ask_first" }))
            .await;
        assert_eq!(
            asked.result()["messages"][0]["content"]["text"],
            r#""accept" "Ann""#,
            "{pair}"
        );
    }
    let params = json!({
        "ref": { "type": "ref/prompt", "name": "greet" },
        "argument": { "name": "name", "value": "B" },
    });
    let completed = client.ask("completion/complete", params).await;
    assert_eq!(
        completed.result()["completion"]["values"],
        json!(["B!"]),
        "{pair}"
    );
}

async fn resources(client: &Client, pair: &str) {
    let listed = client.ask("resources/list", json!({})).await;
    assert_eq!(
        listed.result()["resources"].as_array().unwrap().len(),
        2,
        "{pair}"
    );
    let listed = client.ask("resources/templates/list", json!({})).await;
    assert_eq!(
        listed.result()["resourceTemplates"]
            .as_array()
            .unwrap()
            .len(),
        1,
        "{pair}"
    );
    for uri in ["test://static", "test://items/7"] {
        let read = client.ask("resources/read", json!({ "uri": uri })).await;
        let contents = &read.result()["contents"][0];
        assert_eq!(contents["uri"], uri, "{pair}");
        assert_eq!(contents["text"], format!("text of {uri}"), "{pair}");
        assert_eq!(
            read.result().get("ttlMs").is_some(),
            client.is_modern(),
            "{pair}"
        );
    }
    let missing = client
        .ask("resources/read", json!({ "uri": "test://items/x" }))
        .await;
    let code = if client.is_modern() { -32602 } else { -32002 };
    assert_eq!(missing.answer["error"]["code"], code, "{pair}");
    assert_eq!(
        missing.answer["error"]["data"]["uri"], "test://items/x",
        "{pair}"
    );
}

/// A changed list and an updated resource reach the client.
pub(crate) async fn changes(client: &Client, pair: &str) {
    let updated = "notifications/resources/updated";
    let changed = "notifications/tools/list_changed";
    let watched = json!({ "uri": "test://watched" });
    if client.is_modern() {
        let filter =
            json!({ "toolsListChanged": true, "resourceSubscriptions": ["test://watched"] });
        let mut listening = client.listen(filter).await;
        client.tool("touch").await;
        let message = listening.next().await;
        assert_eq!(message["method"], updated, "{pair}");
        assert_eq!(message["params"]["uri"], "test://watched", "{pair}");
        client.tool("grow").await;
        assert_eq!(listening.next().await["method"], changed, "{pair}");
    } else {
        client
            .ask("resources/subscribe", watched.clone())
            .await
            .result();
        client.tool("touch").await;
        let message = client.heard().await;
        assert_eq!(message["method"], updated, "{pair}");
        assert_eq!(message["params"]["uri"], "test://watched", "{pair}");
        client.ask("resources/unsubscribe", watched).await.result();
        client.tool("touch").await;
        client.tool("grow").await;
        assert_eq!(client.heard().await["method"], changed, "{pair}");
    }
    let listed = client.ask("tools/list", json!({})).await;
    let tools = listed.result()["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == "grown"), "{pair}");
    client.tool("grown").await.result();
}

/// A client that can be asked for nothing is asked for nothing, and the server knows.
pub(crate) async fn without_capabilities(client: &Client, pair: &str) {
    for name in ["confirm", "ask_model", "where"] {
        let outcome = client.tool(name).await;
        assert_eq!(outcome.text(), "cannot", "{name} {pair}");
        assert_eq!(outcome.asked, Vec::<String>::new(), "{name} {pair}");
    }
}
