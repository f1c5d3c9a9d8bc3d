//! Answers that are too long for one result.

use base64::Engine as _;
use mcp_gw_core::{BackendError, Extras, ResourceRead};
use serde_json::{Value, json};

use super::*;
use crate::raw::{Reply, answer};

const LIST: usize = 1_000;

fn list() -> String {
    let items: Vec<Value> = (0..LIST)
        .map(|n| json!({"id": n, "name": "x".repeat(20)}))
        .collect();
    serde_json::to_string(&items).unwrap()
}

fn with_rules(mut config: ApiConfig, rules: ApiRules) -> ApiConfig {
    config.rules = rules;
    config
}

async fn long(body: Vec<u8>, media_type: &'static str, max_shown: usize) -> Setup {
    let headers = [("content-type", media_type)];
    let reply = answer("200 OK", &headers, &body);
    let server = Raw::start(move |_, _| reply.clone()).await;
    let rules = rules(&server).with_max_response(1 << 20);
    Setup::of(server, move |config| {
        with_rules(config, rules).with_max_shown(max_shown)
    })
}

#[tokio::test]
async fn a_list_is_read_on_item_by_item() {
    let setup = long(list().into(), "application/json", 10_000).await;
    let result = setup
        .result(&of("bob"), json!({"endpoint": "/", "method": "GET"}))
        .await;
    let mut shown = result["structuredContent"].clone();
    assert_eq!(result["content"][1]["type"], "resource_link");
    assert_eq!(result["content"][1]["uri"], shown["next"]);
    let mut ids = Vec::new();
    loop {
        let items = shown["data"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["id"].as_u64().unwrap()));
        let Some(next) = shown["next"].as_str() else {
            break;
        };
        assert_eq!(shown["truncated"], true);
        shown = setup
            .ask(json!({"endpoint": "/", "method": "GET", "read_on": next}))
            .await;
    }
    assert_eq!(shown["truncated"], false);
    assert!(ids.into_iter().eq(0..LIST as u64));
    assert_eq!(setup.server.requests().len(), 1);
}

#[tokio::test]
async fn an_object_is_read_on_to_its_end() {
    let body = format!(
        r#"{{"items":{},"next_page":"/p2","total":999}}"#,
        list().replace(",{\"id\":500,", ", {\"id\":500,")
    );
    for max_shown in [2_048, 10_000, 10_007] {
        let setup = long(body.clone().into(), "application/json", max_shown).await;
        let mut shown = setup.get("/").await;
        let (mut all, mut read) = (String::new(), String::new());
        loop {
            all.push_str(shown["data"].as_str().unwrap());
            let Some(next) = shown["next"].as_str().map(str::to_owned) else {
                break;
            };
            assert_eq!(shown["truncated"], true);
            let uri = ResourceRead::new(next.as_str(), Extras::default());
            let result = setup.tool.read_resource(&of("bob"), uri).await.unwrap();
            let contents = result.to_value().unwrap()["contents"].clone();
            read.push_str(contents[0]["text"].as_str().unwrap());
            shown = setup
                .ask(json!({"endpoint": "/", "method": "GET", "read_on": next}))
                .await;
        }
        assert_eq!(shown["truncated"], false);
        assert_eq!(all, body);
        assert!(body.ends_with(&read) && read.len() > body.len() / 2);
    }
}

#[tokio::test]
async fn the_rest_is_a_resource_of_who_asked() {
    let text = "a line of text\n".repeat(1_000);
    let setup = long(text.clone().into(), "text/plain", 4_000).await;
    let shown = setup.get("/").await;
    let mut all = shown["data"].as_str().unwrap().to_owned();
    let mut next = shown["next"].as_str().map(str::to_owned);
    let first = next.clone().unwrap();
    while let Some(uri) = next {
        let read = ResourceRead::new(uri.as_str(), Extras::default());
        let result = setup.tool.read_resource(&of("bob"), read).await.unwrap();
        let contents = result.to_value().unwrap()["contents"].clone();
        assert_eq!(contents[0]["uri"], uri);
        assert_eq!(contents[0]["mimeType"], "text/plain");
        all.push_str(contents[0]["text"].as_str().unwrap());
        next = contents[1]["uri"].as_str().map(str::to_owned);
    }
    assert_eq!(all, text);
    // It is nobody else's, nor another API's.
    for (caller, uri) in [
        ("ann", first.clone()),
        ("bob", first.replace("things", "others")),
        ("bob", format!("{first}/x")),
        ("bob", first.replace("answer", "file")),
    ] {
        let read = ResourceRead::new(uri.as_str(), Extras::default());
        let error = setup
            .tool
            .read_resource(&of(caller), read)
            .await
            .unwrap_err();
        assert!(matches!(error, BackendError::NotFound { .. }), "{error}");
        let asked = json!({"endpoint": "/", "method": "GET", "read_on": uri});
        let result = setup.result(&of(caller), asked).await;
        assert_eq!(result["structuredContent"]["code"], "answer_gone");
    }
}

#[tokio::test]
async fn what_is_no_text_comes_in_base64() {
    let bytes: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let setup = long(bytes.clone(), "image/png", 4_000).await;
    let shown = setup.get("/").await;
    assert_eq!(shown["encoding"], "base64");
    let mut all = shown["data"].as_str().unwrap().to_owned();
    let next = shown["next"].as_str().unwrap().to_owned();
    let read = ResourceRead::new(next.as_str(), Extras::default());
    let result = setup.tool.read_resource(&of("bob"), read).await.unwrap();
    let contents = result.to_value().unwrap()["contents"].clone();
    assert_eq!(contents[0]["mimeType"], "image/png");
    all.push_str(contents[0]["blob"].as_str().unwrap());
    assert_eq!(
        base64::engine::general_purpose::STANDARD
            .decode(all)
            .unwrap(),
        bytes
    );
}

#[tokio::test]
async fn an_answer_without_end_is_cut_and_says_so() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nx";
    let server = Raw::start(move |_, _| Reply::raw(head).forever()).await;
    let rules = rules(&server).with_max_response(100_000);
    let setup = Setup::of(server, move |config| {
        with_rules(config, rules).with_max_shown(60_000)
    });
    let shown = setup.get("/").await;
    assert_eq!(shown["truncated"], true);
    assert_eq!(shown["data"].as_str().unwrap().len(), 60_000);
    let rest = json!({"endpoint": "/", "method": "GET", "read_on": shown["next"]});
    let rest = setup.ask(rest).await;
    assert_eq!(rest["data"].as_str().unwrap().len(), 40_000);
    // There was more, and nobody has it.
    assert_eq!(
        (&rest["truncated"], &rest["next"]),
        (&json!(true), &Value::Null)
    );
    let selected = json!({"endpoint": "/", "method": "GET", "select": "a"});
    assert_eq!(setup.ask(selected).await["code"], "select_invalid");
}
