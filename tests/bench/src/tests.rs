//! The load generator against the upstream, in one process.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body_util::{BodyExt, Full};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    client::{Ask, Plan},
    held,
    load::{Fleet, Outcome, Until},
    upstream::{self, Answer, Upstream},
    wire::{Answers, EVENT_STREAM, Era, Eras},
};

const CALLS: u64 = 24;

type Lie = fn(String) -> String;

fn plan(era: Era, ask: Ask) -> Plan {
    Plan {
        url: "http://unset/".parse().unwrap(),
        era,
        ask,
        tool: "echo".into(),
        bearer: None,
    }
}

/// What comes of a few calls on two connections, when `answer` serves them.
async fn run<F>(answer: F, mut plan: Plan) -> Result<Outcome, String>
where
    F: Fn(&Parts, &[u8]) -> Answer + Clone + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    plan.url = format!("http://{}/mcp", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(upstream::serve(listener, answer, async {
        drop(stopped.await);
    }));
    let mut fleet = Fleet::open(plan, 2)
        .await
        .map_err(|error| error.to_string())?;
    let outcome = fleet.run(Until::Calls(CALLS / 2)).await;
    fleet.close().await;
    drop(stop);
    server.await.unwrap().unwrap();
    Ok(outcome)
}

fn serving(eras: Eras, tools: usize) -> impl Fn(&Parts, &[u8]) -> Answer + Clone + Send {
    answering(Answers::Json, eras, tools)
}

fn answering(
    answers: Answers,
    eras: Eras,
    tools: usize,
) -> impl Fn(&Parts, &[u8]) -> Answer + Clone + Send {
    let upstream = Arc::new(Upstream::new(eras, answers, tools));
    move |head: &Parts, body: &[u8]| upstream.answer(head, body)
}

/// An upstream that lies: every answer goes through `change`.
fn lying(change: Lie) -> impl Fn(&Parts, &[u8]) -> Answer + Clone + Send {
    let honest = serving(Eras::Both, 10);
    move |head: &Parts, body: &[u8]| {
        let (parts, answer) = honest(head, body).into_parts();
        // The body is complete, so it is there when it is asked for.
        let mut answer = std::pin::pin!(answer.collect());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(Ok(answer)) = answer.as_mut().poll(&mut context) else {
            panic!("a body that is not complete");
        };
        let text = String::from_utf8(answer.to_bytes().to_vec()).unwrap();
        Response::from_parts(parts, Full::new(Bytes::from(change(text))))
    }
}

#[tokio::test]
async fn every_call_is_answered_in_both_eras() {
    for (era, eras) in [
        (Era::Modern, Eras::Both),
        (Era::Legacy, Eras::Both),
        (Era::Modern, Eras::Modern),
        (Era::Legacy, Eras::Legacy),
    ] {
        for ask in [
            Ask::Echo(16),
            Ask::Echo(1024),
            Ask::Echo(300_000),
            Ask::List(10),
        ] {
            for answers in [Answers::Json, Answers::Events] {
                let server = answering(answers, eras, 10);
                let outcome = run(server, plan(era, ask)).await.unwrap();
                let case = format!("{era:?} {ask:?} {answers:?} {outcome}");
                assert_eq!(outcome.latencies.count(), CALLS, "{case}");
                assert_eq!(outcome.errors, 0, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_answer_is_an_error_and_not_a_call() {
    let lies: [(&str, Lie); 7] = [
        ("another id", |text| {
            text.replacen(r#""id":"#, r#""id":9"#, 1)
        }),
        ("an error", |text| {
            text.replacen(r#""result""#, r#""error""#, 1)
        }),
        ("another result", |text| text.replacen("abc", "ab", 1)),
        ("another result", |text| text.replacen("0000", "0001", 1)),
        ("another result", |text| {
            text.replacen(r#""isError":false"#, r#""isError":true"#, 1)
        }),
        ("not the resultType", |text| {
            text.replacen("complete", "task", 1)
        }),
        ("EOF", |text| text.trim_end_matches('}').to_owned()),
    ];
    for (why, lie) in lies {
        let outcome = run(lying(lie), plan(Era::Modern, Ask::Echo(64)))
            .await
            .unwrap();
        assert_eq!(
            (outcome.latencies.count(), outcome.errors),
            (0, CALLS),
            "{why}: {outcome}"
        );
        let first = outcome.first_error.unwrap();
        assert!(first.starts_with(why), "{why}: {first}");
    }
}

#[tokio::test]
async fn a_list_of_another_length_is_an_error() {
    let outcome = run(serving(Eras::Both, 9), plan(Era::Modern, Ask::List(10)))
        .await
        .unwrap();
    assert_eq!(
        (outcome.latencies.count(), outcome.errors),
        (0, CALLS),
        "{outcome}"
    );
}

#[tokio::test]
async fn an_answer_may_come_as_an_event() {
    let stream = |head: &Parts, body: &[u8]| {
        let mut answer = lying(|text| format!("event: message\ndata: {text}\n\n"))(head, body);
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        answer
    };
    let outcome = run(stream, plan(Era::Modern, Ask::Echo(64))).await.unwrap();
    assert_eq!(
        (outcome.latencies.count(), outcome.errors),
        (CALLS, 0),
        "{outcome}"
    );
}

#[tokio::test]
async fn an_era_that_the_server_lacks_is_an_error() {
    let outcome = run(serving(Eras::Legacy, 10), plan(Era::Modern, Ask::Echo(64)))
        .await
        .unwrap();
    assert_eq!(
        (outcome.latencies.count(), outcome.errors),
        (0, CALLS),
        "{outcome}"
    );
    let refused = run(serving(Eras::Modern, 10), plan(Era::Legacy, Ask::Echo(64))).await;
    assert!(refused.is_err_and(|error| error.starts_with("initialize: 400")));
}

#[tokio::test]
async fn the_upstream_notices_what_a_gateway_forgets() {
    for (name, status) in [
        ("accept", StatusCode::NOT_ACCEPTABLE),
        ("content-type", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("mcp-protocol-version", StatusCode::BAD_REQUEST),
        ("mcp-method", StatusCode::BAD_REQUEST),
        ("mcp-name", StatusCode::BAD_REQUEST),
    ] {
        let honest = serving(Eras::Both, 10);
        let forgetful = move |head: &Parts, body: &[u8]| {
            let mut head = head.clone();
            head.headers.remove(name);
            honest(&head, body)
        };
        let outcome = run(forgetful, plan(Era::Modern, Ask::Echo(64)))
            .await
            .unwrap();
        assert_eq!(
            (outcome.latencies.count(), outcome.errors),
            (0, CALLS),
            "{name}: {outcome}"
        );
        let first = outcome.first_error.unwrap();
        assert!(first.contains(status.as_str()), "{name}: {first}");
    }
}

/// What comes of so many sessions when `answer` serves them.
async fn come_and_go<F>(answer: F, count: u64) -> Outcome
where
    F: Fn(&Parts, &[u8]) -> Answer + Clone + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut plan = plan(Era::Legacy, Ask::Echo(64));
    plan.url = format!("http://{}/mcp", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let server = tokio::spawn(upstream::serve(listener, answer, std::future::pending()));
    let outcome = held::come_and_go(&plan, count).await;
    server.abort();
    outcome
}

#[tokio::test]
async fn of_sessions_that_come_every_other_one_is_ended() {
    let honest = serving(Eras::Legacy, 10);
    let (begun, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counts = (Arc::clone(&begun), Arc::clone(&ended));
    let counting = move |head: &Parts, body: &[u8]| {
        if body.windows(12).any(|part| part == br#""initialize""#) {
            counts.0.fetch_add(1, Ordering::Relaxed);
        }
        if head.method == Method::DELETE {
            counts.1.fetch_add(1, Ordering::Relaxed);
        }
        honest(head, body)
    };
    let outcome = come_and_go(counting, 64).await;
    assert_eq!(
        (outcome.latencies.count(), outcome.errors),
        (64, 0),
        "{outcome}"
    );
    assert_eq!(begun.load(Ordering::Relaxed), 64);
    assert_eq!(ended.load(Ordering::Relaxed), 32);
}

#[tokio::test]
async fn a_session_that_cannot_be_ended_is_an_error() {
    let honest = serving(Eras::Legacy, 10);
    let stubborn = move |head: &Parts, body: &[u8]| {
        let mut answer = honest(head, body);
        if head.method == Method::DELETE {
            *answer.status_mut() = StatusCode::NOT_FOUND;
        }
        answer
    };
    let outcome = come_and_go(stubborn, 32).await;
    assert_eq!(
        (outcome.latencies.count(), outcome.errors),
        (16, 16),
        "{outcome}"
    );
}
