use std::sync::atomic::AtomicUsize;

use futures_util::StreamExt;
use mcp_gw_core::RawJson;
use mcp_gw_core::testing::ManualClock;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::http::journal::ReplayLimits;
use crate::http::reply::HttpBody;

fn journal() -> Arc<Journal> {
    let clock = Arc::new(ManualClock::new());
    Journal::new(
        ReplayLimits::default(),
        clock,
        Arc::new(AtomicUsize::new(0)),
    )
}

fn raw(text: &str) -> RawJson {
    RawJson::parse(text.to_owned()).unwrap()
}

fn answer(text: &str) -> Answer {
    Answer {
        message: raw(text).into(),
        status: 200,
        retry_after: None,
        challenge: None,
    }
}

fn style(revision: Revision) -> Style {
    Style {
        keep_alive: Duration::from_secs(15),
        revision,
        closing: CancellationToken::new(),
        until: None,
    }
}

fn work(
    work: impl Future<Output = Option<Answer>> + Send + 'static,
    messages: Option<mpsc::Receiver<RawJson>>,
) -> Exchange {
    Exchange {
        work: Box::pin(work),
        messages,
    }
}

/// Ids differ from run to run in their first part.
async fn text(reply: HttpReply) -> String {
    let HttpBody::Events(events) = reply.body else {
        panic!("no stream")
    };
    let chunks: Vec<Bytes> = events.collect().await;
    plain(&String::from_utf8(chunks.concat()).unwrap())
}

fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix("id: ") {
        Some(id) => format!("id: TAG{}\n", id.get(8..).unwrap()),
        None => format!("{line}\n"),
    });
    lines.collect()
}

async fn stream_of(exchange: Exchange, revision: Revision) -> HttpReply {
    let reader = start(&journal(), Vec::new(), vec![exchange], &TaskTracker::new());
    let style = style(revision);
    match outcome(reader, &style).await {
        Outcome::Stream(reader) => begin(reader, style),
        Outcome::Answers(answers) => panic!("{answers:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_is_ready_is_no_stream() {
    let exchange = work(async { Some(answer("1")) }, None);
    let reader = start(&journal(), Vec::new(), vec![exchange], &TaskTracker::new());
    let Outcome::Answers(answers) = outcome(reader, &style(Revision::V2025_11_25)).await else {
        panic!()
    };
    assert_eq!(answers[0].clone().message.into_raw().as_str(), "1");
}

#[tokio::test]
async fn streams_of_each_revision() {
    let mut all = String::new();
    for revision in [Revision::V2025_06_18, Revision::V2025_11_25] {
        let (say, queue) = mpsc::channel(9);
        let exchange = work(
            async move {
                say.send(raw("[\n1]")).await.unwrap();
                Some(answer("2"))
            },
            Some(queue),
        );
        let reply = stream_of(exchange, revision).await;
        all = format!("{all}{} {:?}\n", revision.as_str(), reply.headers);
        all += &text(reply).await;
    }
    insta::assert_snapshot!(all);
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_becomes_a_stream_with_signs_of_life() {
    let (send, recv) = oneshot::channel();
    let exchange = work(async move { recv.await.ok() }, None);
    let HttpBody::Events(mut events) = stream_of(exchange, Revision::V2025_06_18).await.body else {
        panic!()
    };
    assert!(events.next().await.unwrap().starts_with(b": open\n"));
    assert_eq!(events.next().await.unwrap(), sse::comment());
    assert_eq!(events.next().await.unwrap(), sse::comment());
    send.send(answer("{}")).unwrap();
    let last = events.next().await.unwrap();
    assert!(String::from_utf8_lossy(&last).ends_with("data: {}\n\n"));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn work_outlives_who_waited_for_it_and_its_answer_can_be_had_later() {
    let (journal, tasks) = (journal(), TaskTracker::new());
    let (go, gone) = oneshot::channel::<()>();
    let (say, queue) = mpsc::channel(9);
    say.send(raw("1")).await.unwrap();
    let exchange = work(
        async move {
            let _ = gone.await;
            drop(say);
            Some(answer("2"))
        },
        Some(queue),
    );
    let reader = start(&journal, Vec::new(), vec![exchange], &tasks);
    let Outcome::Stream(reader) = outcome(reader, &style(Revision::V2025_11_25)).await else {
        panic!()
    };
    let reply = begin(reader, style(Revision::V2025_11_25));
    let HttpBody::Events(mut events) = reply.body else {
        panic!()
    };
    let opening = events.next().await.unwrap();
    let opening = String::from_utf8_lossy(&opening).into_owned();
    let id = opening
        .lines()
        .next()
        .unwrap()
        .strip_prefix("id: ")
        .unwrap();
    drop(events);
    go.send(()).unwrap();
    tasks.close();
    tasks.wait().await;
    let rest = go_on(journal.resume(id).unwrap(), style(Revision::V2025_11_25));
    let rest = text(rest).await;
    assert!(
        rest.contains("data: 1\n\n") && rest.contains("data: 2\n\n"),
        "{rest}"
    );
}

#[tokio::test]
async fn a_cancelled_request_ends_without_an_answer() {
    let reader = start(
        &journal(),
        Vec::new(),
        vec![work(async { None }, None)],
        &TaskTracker::new(),
    );
    let Outcome::Answers(answers) = outcome(reader, &style(Revision::V2025_11_25)).await else {
        panic!()
    };
    assert!(answers.is_empty());
    assert_eq!(text(nothing()).await, "");
}

#[tokio::test]
async fn a_standing_stream_ends_when_it_is_told_to_and_an_answer_does_not() {
    let journal = journal();
    let style = style(Revision::V2025_11_25);
    style.closing.cancel();
    let standing = text(begin(journal.listen(), style.clone())).await;
    assert_eq!(standing, "id: TAG-0-0\nretry: 1000\ndata:\n\n");
    let (writer, reader) = journal.open();
    let reply = begin(reader, style);
    writer.answer(answer("1"));
    drop(writer);
    assert!(text(reply).await.contains("data: 1\n"));
}

/// The id that a stream begins with.
fn primed(opening: &Bytes) -> String {
    let text = String::from_utf8_lossy(opening);
    let id = text.lines().next().unwrap().strip_prefix("id: ").unwrap();
    assert!(text.ends_with("\nretry: 1000\ndata:\n\n"), "{text}");
    id.to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_client_is_sent_away_and_gets_the_answer_when_it_is_back() {
    let (journal, tasks) = (journal(), TaskTracker::new());
    let after = Some(Duration::from_secs(10));
    let (send, recv) = oneshot::channel();
    let exchange = work(async move { recv.await.ok() }, None);
    let begun = Instant::now();
    let polled = style(Revision::V2025_11_25).polled(after);
    let reader = start(&journal, Vec::new(), vec![exchange], &tasks);
    let Outcome::Stream(reader) = outcome(reader, &polled).await else {
        panic!()
    };
    let HttpBody::Events(mut events) = begin(reader, polled).body else {
        panic!()
    };
    let id = primed(&events.next().await.unwrap());
    assert!(events.next().await.is_none());
    assert_eq!(begun.elapsed().as_secs(), 10);
    drop(events);

    // Back too early, it is sent away again; without anything new, the id is still good.
    let polled = style(Revision::V2025_11_25).polled(after);
    let again = go_on(journal.resume(&id).unwrap(), polled);
    assert_eq!(text(again).await, ": open\nretry: 1000\n\n");
    assert_eq!(begun.elapsed().as_secs(), 20);

    // What came while it was away waits for it.
    send.send(answer("7")).unwrap();
    tasks.close();
    tasks.wait().await;
    let polled = style(Revision::V2025_11_25).polled(after);
    let last = text(go_on(journal.resume(&id).unwrap(), polled)).await;
    assert!(last.ends_with("data: 7\n\n"), "{last}");
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn who_knows_nothing_of_that_is_not_sent_away_and_the_standing_stream_stays() {
    let after = Some(Duration::from_secs(1));
    let old = style(Revision::V2025_06_18).polled(after);
    assert!(old.until.is_none());
    let journal = journal();
    let polled = style(Revision::V2025_11_25).polled(after);
    let HttpBody::Events(mut events) = begin(journal.listen(), polled).body else {
        panic!()
    };
    primed(&events.next().await.unwrap());
    assert_eq!(events.next().await.unwrap(), sse::comment());
}
