//! Servers of old revisions that ask the client of a call something meanwhile.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Backend as _, BackendError, ClientLinkError};
use mcp_gw_upstream::HttpServer;

use crate::client::{ASKABLE, Client};
use crate::old::{Old, Opened};
use crate::support::{call, raw};

fn question(id: &str, method: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"n":1.0,"x":"\u00e9"}}}}"#
    )
}

/// A call that the server has received, and the task that waits for it.
async fn under_way(
    old: &mut Old,
    backend: &Arc<HttpServer>,
    client: &Client,
) -> (
    Opened,
    tokio::task::JoinHandle<Result<String, BackendError>>,
) {
    let (backend, ctx) = (Arc::clone(backend), client.context());
    let task = tokio::spawn(async move {
        let output = backend.call_tool(&ctx, call("t", "{}")).await?;
        Ok(output.as_raw().to_string())
    });
    (old.call().await, task)
}

#[tokio::test]
async fn the_client_of_the_call_is_asked_and_its_answer_goes_back_under_the_servers_id() {
    let mut old = Old::start().await;
    let backend = Arc::new(HttpServer::new(&old.config()).unwrap());
    let mut client = Client::new(Some("c"), ASKABLE);
    let (opened, task) = under_way(&mut old, &backend, &client).await;
    for (id, method) in [
        (r#""a\u00e9\/""#, "elicitation/create"),
        ("9007199254740993123", "sampling/createMessage"),
    ] {
        opened.say(&question(id, method)).await;
        let asked = client.asked().await;
        assert_eq!(asked.method, method);
        assert_eq!(asked.params, r#"{"n":1.0,"x":"\u00e9"}"#);
        asked.answer(Ok(r#"{"action":"accept","content":{"n":1.0}}"#));
        let answer = old.fake.next("POST").await;
        let expected = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"action":"accept","content":{{"n":1.0}}}}}}"#
        );
        assert_eq!(answer.text, expected);
        assert_eq!(
            answer.header("mcp-session-id"),
            Some(opened.session().as_str())
        );
    }
    opened.finish(r#"{"v":1.0}"#).await;
    assert_eq!(task.await.unwrap().unwrap(), r#"{"v":1.0}"#);
}

#[tokio::test]
async fn what_the_client_says_instead_of_an_answer_goes_back() {
    let mut old = Old::start().await;
    let backend = Arc::new(HttpServer::new(&old.config()).unwrap());
    let mut client = Client::new(Some("c"), ASKABLE);
    let (opened, task) = under_way(&mut old, &backend, &client).await;
    let own = r#"{"code":-1,"message":"User rejected","data":{"x":1.0}}"#;
    let unsupported = || ClientLinkError::Unsupported {
        method: "x".to_owned(),
    };
    for (outcome, expected) in [
        (ClientLinkError::Rpc(raw(own)), own.to_owned()),
        (unsupported(), "-32601".to_owned()),
        (ClientLinkError::Gone, "-32603".to_owned()),
    ] {
        opened.say(&question("7", "elicitation/create")).await;
        client.asked().await.answer(Err(outcome));
        let answer = old.fake.next("POST").await;
        assert!(answer.text.contains(&expected), "{}", answer.text);
        assert_eq!(answer.body["id"], 7);
    }
    // Not declared, though the client would answer.
    opened.say(&question("8", "roots/list")).await;
    let answer = old.fake.next("POST").await;
    assert_eq!(answer.body["error"]["code"], -32601);
    opened.finish("{}").await;
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn while_the_client_thinks_only_the_hard_limit_holds() {
    let mut old = Old::start().await;
    let config = old
        .config()
        .with_timeout(Duration::from_millis(200))
        .with_max_total_timeout(Duration::from_millis(900));
    let backend = Arc::new(HttpServer::new(&config).unwrap());
    let mut client = Client::new(Some("c"), ASKABLE);
    let (opened, task) = under_way(&mut old, &backend, &client).await;
    opened.say(&question("7", "elicitation/create")).await;
    let asked = client.asked().await;
    let Err(BackendError::Timeout { after, .. }) = task.await.unwrap() else {
        panic!("nobody has answered")
    };
    assert_eq!(after, Duration::from_millis(900));
    asked.dropped().await;
    // Answered, the shorter one holds again.
    let (opened, task) = under_way(&mut old, &backend, &client).await;
    opened.say(&question("7", "elicitation/create")).await;
    client.asked().await.answer(Ok("{}"));
    let Err(BackendError::Timeout { after, .. }) = task.await.unwrap() else {
        panic!("nobody has answered")
    };
    assert_eq!(after, Duration::from_millis(200));
}

#[tokio::test]
async fn the_stream_is_read_on_while_the_client_thinks() {
    let mut old = Old::start().await;
    let backend = Arc::new(HttpServer::new(&old.config()).unwrap());
    let mut client = Client::new(Some("c"), ASKABLE);
    let (opened, task) = under_way(&mut old, &backend, &client).await;
    opened.say(&question("7", "elicitation/create")).await;
    opened.say(&question("\"7\"", "elicitation/create")).await;
    let (first, second) = (client.asked().await, client.asked().await);
    // The server changes its mind about one of them.
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,"reason":"no m\u006fre"}}"#;
    opened.say(cancelled).await;
    let reason = first.dropped().await;
    assert_eq!(reason.as_deref(), Some(r#""no m\u006fre""#));
    second.answer(Ok("{}"));
    let answer = old.fake.next("POST").await;
    assert_eq!(answer.text, r#"{"jsonrpc":"2.0","id":"7","result":{}}"#);
    opened.finish("{}").await;
    task.await.unwrap().unwrap();
    let methods = old.fake.methods();
    assert!(!methods.contains(&"POST".to_owned()), "{methods:?}");
}

#[tokio::test]
async fn the_end_of_the_call_is_the_end_of_its_questions() {
    let mut old = Old::start().await;
    let backend = Arc::new(HttpServer::new(&old.config()).unwrap());
    let mut client = Client::new(Some("c"), ASKABLE);
    let (opened, task) = under_way(&mut old, &backend, &client).await;
    opened.say(&question("7", "elicitation/create")).await;
    let asked = client.asked().await;
    opened.finish("{}").await;
    task.await.unwrap().unwrap();
    asked.dropped().await;
    let refusal = old.fake.next("POST").await;
    assert_eq!(refusal.body["error"]["code"], -32603);

    let (opened, task) = under_way(&mut old, &backend, &client).await;
    opened.say(&question("8", "elicitation/create")).await;
    let asked = client.asked().await;
    task.abort();
    asked.dropped().await;
    old.fake.next("tools/call").await;
    let mut both = [old.fake.next_any().await, old.fake.next_any().await];
    both.sort_by_key(|seen| seen.method().to_owned());
    assert_eq!(both[0].body["error"]["code"], -32603, "{}", both[0].text);
    assert_eq!(both[0].body["id"], 8);
    assert_eq!(both[1].method(), "notifications/cancelled");
}

#[tokio::test]
async fn who_asks_much_at_once_hears_of_every_question() {
    let mut old = Old::start().await;
    let backend = Arc::new(HttpServer::new(&old.config()).unwrap());
    let mut client = Client::new(Some("c"), ASKABLE);
    let (opened, task) = under_way(&mut old, &backend, &client).await;
    for id in 1..=200 {
        let text = question(&id.to_string(), "elicitation/create");
        opened.say(&text).await;
    }
    let mut answered = HashSet::new();
    while answered.len() < 184 {
        let refusal = old.fake.next("POST").await;
        assert_eq!(refusal.body["error"]["code"], -32600);
        answered.insert(refusal.id());
    }
    for _ in 0..16 {
        client.asked().await.answer(Ok("{}"));
        answered.insert(old.fake.next("POST").await.id());
    }
    assert_eq!(answered.len(), 200);
    opened.finish("{}").await;
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn no_more_questions_are_open_than_one_call_may_have() {
    let mut old = Old::start().await;
    let backend = Arc::new(HttpServer::new(&old.config()).unwrap());
    let mut client = Client::new(Some("c"), ASKABLE);
    let (opened, task) = under_way(&mut old, &backend, &client).await;
    for id in 1..=17 {
        let text = question(&id.to_string(), "elicitation/create");
        opened.say(&text).await;
    }
    let refusal = old.fake.next("POST").await;
    assert_eq!(refusal.body["error"]["code"], -32600);
    assert_eq!(refusal.body["id"], 17);
    for _ in 0..16 {
        client.asked().await.answer(Ok("{}"));
        old.fake.next("POST").await;
    }
    // One id twice at the same time.
    opened.say(&question("1", "elicitation/create")).await;
    let asked = client.asked().await;
    opened.say(&question("1", "elicitation/create")).await;
    assert_eq!(old.fake.next("POST").await.body["error"]["code"], -32600);
    asked.answer(Ok("{}"));
    // One that is too long.
    let long = question("2", "elicitation/create").replace("1.0", &"1".repeat(5_000_000));
    opened.say(&long).await;
    old.fake.next("POST").await;
    assert_eq!(old.fake.next("POST").await.body["error"]["code"], -32600);
    opened.finish("{}").await;
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_question_beside_the_calls_goes_to_the_one_that_started_last_or_to_nobody() {
    let mut old = Old::start().await;
    let backend = Arc::new(HttpServer::new(&old.config()).unwrap());
    let mut client = Client::new(Some("c"), ASKABLE);
    let (first, first_task) = under_way(&mut old, &backend, &client).await;
    let stream = old.get(&first.session()).await;
    let (second, second_task) = under_way(&mut old, &backend, &client).await;
    assert_eq!(first.session(), second.session());
    stream.say(&question("7", "elicitation/create")).await;
    let asked = client.asked().await;
    first.finish("{}").await;
    first_task.await.unwrap().unwrap();
    asked.answer(Ok("{}"));
    assert_eq!(old.fake.next("POST").await.body["id"], 7);
    second.finish("{}").await;
    second_task.await.unwrap().unwrap();
    // Nobody is in flight.
    stream.say(&question("8", "elicitation/create")).await;
    let refusal = old.fake.next("POST").await;
    assert_eq!(refusal.body["error"]["code"], -32600);
    assert_eq!(refusal.body["id"], 8);
    // The shared session has declared nothing, whoever is in flight.
    let plain = Client::new(Some("d"), "{}");
    let (opened, task) = under_way(&mut old, &backend, &plain).await;
    assert_ne!(opened.session(), second.session());
    opened.say(&question("9", "elicitation/create")).await;
    let refusal = old.fake.next("POST").await;
    assert_eq!(refusal.body["error"]["code"], -32601);
    opened.finish("{}").await;
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn roots_that_are_asked_for_between_calls_are_answered_by_the_next() {
    let mut old = Old::start().await;
    let backend = Arc::new(HttpServer::new(&old.config()).unwrap());
    let mut client = Client::new(Some("c"), r#"{"roots":{},"elicitation":{}}"#);
    let (opened, task) = under_way(&mut old, &backend, &client).await;
    let stream = old.get(&opened.session()).await;
    opened.finish("{}").await;
    task.await.unwrap().unwrap();
    for id in ["7", "8"] {
        stream.say(&question(id, "roots/list")).await;
    }
    let cancelled =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
    stream.say(cancelled).await;
    // What is refused shows that the others have been read.
    stream.say(&question("9", "elicitation/create")).await;
    assert_eq!(old.fake.next("POST").await.body["id"], 9);

    let (of_task, ctx) = (Arc::clone(&backend), client.context());
    let task = tokio::spawn(async move { of_task.call_tool(&ctx, call("t", "{}")).await });
    let asked = client.asked().await;
    assert_eq!(asked.method, "roots/list");
    asked.answer(Ok(r#"{"roots":[]}"#));
    // The answer comes before the call.
    let answer = old.fake.next_any().await;
    assert_eq!(
        answer.text,
        r#"{"jsonrpc":"2.0","id":8,"result":{"roots":[]}}"#
    );
    old.call().await.finish("{}").await;
    task.await.unwrap().unwrap();
}
