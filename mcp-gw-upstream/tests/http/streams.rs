//! Answers of servers of old revisions whose stream breaks, and is taken up again.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Backend as _, BackendError, BackendEvent, CallNotification, SessionKey};
use mcp_gw_upstream::{HttpServer, HttpServerConfig};
use tokio::task::JoinHandle;

use crate::client::{ASKABLE, Client};
use crate::fake::{Fake, event, handshake, json, live, sse, status};
use crate::old::{Old, Opened};
use crate::support::{Listener, call, context, raw};

/// An event with an id.
fn numbered(id: &str, data: &str) -> String {
    format!("id: {id}\n{}", event(data))
}

fn log(text: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":"{text}"}}}}"#)
}

fn progress(opened: &Opened, step: u32) -> String {
    let token = &opened.seen.body["params"]["_meta"]["progressToken"];
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step}}}}}"#
    )
}

type Task = JoinHandle<Result<String, BackendError>>;

async fn under_way(old: &mut Old, client: &Client) -> (Opened, Task) {
    let backend = HttpServer::new(&old.config()).unwrap();
    let ctx = client.context();
    let task = tokio::spawn(async move {
        let output = backend.call_tool(&ctx, call("t", "{}")).await?;
        Ok(output.as_raw().to_string())
    });
    (old.call().await, task)
}

/// The stream that takes up another, and not that of the session.
async fn resumed(old: &mut Old, after: &str) -> Opened {
    loop {
        let opened = old.gets.recv().await.unwrap();
        if let Some(id) = opened.seen.header("last-event-id") {
            assert_eq!(id, after);
            return opened;
        }
        old.others.push(opened);
    }
}

#[tokio::test]
async fn a_stream_that_ends_early_is_taken_up_again_as_often_as_there_is_news() {
    let mut old = Old::start().await;
    let client = Client::new(Some("c"), ASKABLE);
    let (opened, task) = under_way(&mut old, &client).await;
    opened.write("retry: 1\n\n").await;
    // What primes a stream has an id and no data.
    opened.write("id: e0\ndata:\n\n").await;
    let seen = opened.seen.clone();
    let session = opened.session();
    drop(opened);
    for step in 0..8 {
        let stream = resumed(&mut old, &format!("e{step}")).await;
        assert_eq!(stream.session(), session);
        if step > 0 {
            // The server repeats itself; that is not told twice.
            let again = numbered(&format!("e{step}"), &log(&format!("m{step}")));
            stream.write(&again).await;
        }
        let id = format!("e{}", step + 1);
        let news = numbered(&id, &log(&format!("m{}", step + 1)));
        stream.write(&news).await;
    }
    let stream = resumed(&mut old, "e8").await;
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":TOKEN,"progress":2}}"#;
    let token = seen.body["params"]["_meta"]["progressToken"].to_string();
    stream.say(&progress.replace("TOKEN", &token)).await;
    stream.say(&seen.result_text(r#"{"v":1.0}"#)).await;
    assert_eq!(task.await.unwrap().unwrap(), r#"{"v":1.0}"#);
    let mut expected: Vec<CallNotification> = (1..=8)
        .map(|step| CallNotification::Log(raw(&format!(r#"{{"data":"m{step}"}}"#))))
        .collect();
    expected.push(CallNotification::Progress(raw(r#"{"progress":2}"#)));
    assert_eq!(client.told(), expected);
}

#[tokio::test]
async fn a_stream_without_news_is_given_up_after_some_tries() {
    let mut old = Old::start().await;
    let client = Client::new(Some("c"), ASKABLE);
    let (opened, task) = under_way(&mut old, &client).await;
    opened.write("id: e1\nretry: 1\ndata:\n\n").await;
    drop(opened);
    for _ in 0..5 {
        resumed(&mut old, "e1").await;
    }
    let Err(BackendError::Lost { reason, .. }) = task.await.unwrap() else {
        panic!("the server has never answered")
    };
    assert!(reason.contains("taken up again"), "{reason}");
    let cancelled = old.fake.next("notifications/cancelled").await;
    assert!(cancelled.body["params"]["requestId"].is_number());
}

#[tokio::test]
async fn a_server_that_wants_to_be_polled_is_polled() {
    let mut old = Old::start().await;
    let client = Client::new(Some("c"), ASKABLE);
    let (opened, task) = under_way(&mut old, &client).await;
    opened.write("id: e0\nretry: 1\ndata:\n\n").await;
    let seen = opened.seen.clone();
    drop(opened);
    for turn in 0..12 {
        let stream = resumed(&mut old, &format!("e{turn}")).await;
        stream.write(&format!("id: e{}\ndata:\n\n", turn + 1)).await;
    }
    let stream = resumed(&mut old, "e12").await;
    stream.say(&seen.result_text("{}")).await;
    assert_eq!(task.await.unwrap().unwrap(), "{}");
}

#[tokio::test]
async fn a_stream_without_ids_is_lost_at_once_and_so_is_every_one_of_a_new_server() {
    let mut old = Old::start().await;
    let client = Client::new(Some("c"), ASKABLE);
    let (opened, task) = under_way(&mut old, &client).await;
    opened.say(&progress(&opened, 1)).await;
    drop(opened);
    assert!(matches!(
        task.await.unwrap(),
        Err(BackendError::Lost { .. })
    ));

    let mut new = Fake::modern(|_| async { sse("id: e1\nretry: 1\ndata:\n\n".to_owned()) }).await;
    let backend = HttpServer::new(&HttpServerConfig::new("up", new.url())).unwrap();
    let ctx = client.context();
    let outcome = backend.call_tool(&ctx, call("t", "{}")).await;
    assert!(matches!(outcome, Err(BackendError::Lost { .. })));
    assert!(!new.methods().contains(&"GET".to_owned()));
}

#[tokio::test]
async fn a_server_that_does_not_let_a_stream_be_taken_up_has_lost_the_call() {
    let mut fake = Fake::legacy(|seen| async move {
        match seen.method() {
            "tools/call" => sse("id: e1\nretry: 1\ndata:\n\n".to_owned()),
            _ => status(202),
        }
    })
    .await;
    let backend = HttpServer::new(&HttpServerConfig::new("up", fake.url())).unwrap();
    let ctx = Client::new(None, "{}").context();
    let outcome = backend.call_tool(&ctx, call("t", "{}")).await;
    let Err(BackendError::Lost { reason, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(reason.contains("405"), "{reason}");
    fake.next("notifications/cancelled").await;
}

#[tokio::test]
async fn a_question_is_answered_although_the_stream_has_broken_meanwhile() {
    let mut old = Old::start().await;
    let mut client = Client::new(Some("c"), ASKABLE);
    let (opened, task) = under_way(&mut old, &client).await;
    let question = r#"{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{}}"#;
    opened.write("retry: 1\n\n").await;
    opened.write(&numbered("e1", question)).await;
    let asked = client.asked().await;
    let seen = opened.seen.clone();
    drop(opened);
    let stream = resumed(&mut old, "e1").await;
    asked.answer(Ok("{}"));
    assert_eq!(old.fake.next("POST").await.body["id"], 7);
    stream.say(&seen.result_text("{}")).await;
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_may_come_on_the_stream_of_the_session() {
    let (said, stream) = live();
    let stream = Arc::new(std::sync::Mutex::new(Some(stream)));
    let mut fake = Fake::start(move |seen| {
        let stream = Arc::clone(&stream);
        async move {
            match seen.method() {
                "GET" => stream.lock().unwrap().take().unwrap_or_else(|| status(405)),
                "tools/call" => status(202),
                _ => handshake(&seen).unwrap_or_else(|| json(404, "")),
            }
        }
    })
    .await;
    let backend = HttpServer::new(&HttpServerConfig::new("up", fake.url())).unwrap();
    let ctx = Client::new(None, "{}").context();
    let called = backend.call_tool(&ctx, call("t", "{}"));
    let answer = async {
        let seen = fake.next("tools/call").await;
        let foreign = r#"{"jsonrpc":"2.0","id":4711,"result":{"v":"foreign"}}"#;
        let both = format!("[{foreign},{}]", seen.result_text(r#"{"v":1.0}"#));
        said.send(event(&both)).await.unwrap();
    };
    let (output, ()) = tokio::join!(called, answer);
    assert_eq!(output.unwrap().as_raw().as_str(), r#"{"v":1.0}"#);
}

#[tokio::test]
async fn what_a_session_repeats_on_its_own_stream_is_told_once() {
    let mut old = Old::start().await;
    let backend = Arc::new(HttpServer::new(&old.config()).unwrap());
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    let client = Client::new(Some("c"), ASKABLE);
    let (of_task, ctx) = (Arc::clone(&backend), client.context());
    let task = tokio::spawn(async move { of_task.call_tool(&ctx, call("t", "{}")).await });
    let opened = old.call().await;
    opened.finish("{}").await;
    task.await.unwrap().unwrap();
    let stream = old.get(&opened.session()).await;
    stream.write(&numbered("e1", &log("one"))).await;
    drop(stream);
    let stream = resumed(&mut old, "e1").await;
    for (id, text) in [("e1", "one"), ("e2", "two")] {
        stream.write(&numbered(id, &log(text))).await;
    }
    for text in ["one", "two"] {
        let params = raw(&format!(r#"{{"data":"{text}"}}"#));
        let expected = BackendEvent::ForSession {
            session: SessionKey::new("c"),
            notification: CallNotification::Log(params),
        };
        assert_eq!(events.recv().await, Some(expected));
    }
}

#[tokio::test]
async fn what_was_said_while_a_stream_without_ids_was_closed_is_asked_for() {
    let mut old = Old::start().await;
    let backend = Arc::new(HttpServer::new(&old.config()).unwrap());
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    let client = Client::new(Some("c"), ASKABLE);
    let (of_task, ctx) = (Arc::clone(&backend), client.context());
    let task = tokio::spawn(async move { of_task.call_tool(&ctx, call("t", "{}")).await });
    let opened = old.call().await;
    opened.finish("{}").await;
    task.await.unwrap().unwrap();
    // It comes to its end as it should, with nothing on it.
    drop(old.get(&opened.session()).await);
    let _again = old.get(&opened.session()).await;
    assert_eq!(events.recv().await, Some(BackendEvent::OfferChanged));
}

#[tokio::test]
async fn a_stream_that_may_be_taken_up_only_after_the_call_is_given_up_at_once() {
    for stream in [
        "id: e1\nretry: 999999999\ndata:\n\n",
        "id: e1\nretry: 18446744073709551615\ndata:\n\n",
    ] {
        let fake = Fake::legacy(move |_| async move { sse(stream.to_owned()) }).await;
        let config = HttpServerConfig::new("up", fake.url());
        let config = config.with_timeout(Duration::from_secs(25));
        let backend = HttpServer::new(&config).unwrap();
        let (ctx, _) = context();
        let called = backend.call_tool(&ctx, call("t", "{}"));
        let called = tokio::time::timeout(Duration::from_secs(15), called).await;
        let error = called.expect("it waits on").unwrap_err();
        assert!(matches!(error, BackendError::Lost { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_know_the_session_any_more_is_met_again() {
    let mut old = Old::start().await;
    let backend = HttpServer::new(&old.config()).unwrap();
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    backend.check().await.unwrap();
    let stream = old.get("s1").await;
    old.forget("s1");
    drop(stream);
    // Nobody calls, and it is noticed all the same.
    let event = events.recv().await;
    assert!(
        matches!(event, Some(BackendEvent::Down { .. })),
        "{event:?}"
    );
    backend.check().await.unwrap();
    old.get("s2").await;
}
