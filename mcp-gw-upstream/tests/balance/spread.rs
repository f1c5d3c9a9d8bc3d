//! Who gets a call.

use mcp_gw_core::testing::backend_contract;
use mcp_gw_core::{Arguments, Backend as _, Extras, SessionKey, TaskAsk, TaskMethod, ToolCall};
use mcp_gw_upstream::{Balanced, Sticky, Strategy};

use crate::fake::{Fake, Mood, call, call_as, config, ctx, ctx_in, settle, started};

async fn who(backend: &Balanced, calls: usize) -> String {
    let mut who = String::new();
    for _ in 0..calls {
        who += &call(backend, "look").await.unwrap();
    }
    who
}

#[tokio::test(start_paused = true)]
async fn replicas_are_one_backend() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let backend = started(config(), [&a, &b]).await;
    backend_contract(&*backend).await;
}

#[tokio::test(start_paused = true)]
async fn calls_go_round() {
    let (a, b, c) = (Fake::new("a"), Fake::new("b"), Fake::new("c"));
    let backend = started(config(), [&a, &b, &c]).await;
    assert_eq!(who(&backend, 6).await, "abcabc");
}

#[tokio::test(start_paused = true)]
async fn who_is_busy_gets_less() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let config = config().with_strategy(Strategy::LeastConnections);
    let backend = started(config, [&a, &b]).await;
    a.set(Mood::Busy);
    let busy = std::sync::Arc::clone(&backend);
    let busy = tokio::spawn(async move { call(&busy, "look").await });
    settle().await;
    assert_eq!(who(&backend, 4).await, "bbbb");
    assert_eq!(backend.status()[0].in_flight, 1);
    a.set(Mood::Well);
    a.let_go(1);
    assert_eq!(busy.await.unwrap().unwrap(), "a");
    assert_eq!(backend.status()[0].in_flight, 0);
    assert_eq!(who(&backend, 4).await, "abab");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_is_not_counted_for_ever() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let backend = started(config(), [&a, &b]).await;
    a.set(Mood::Busy);
    let task = std::sync::Arc::clone(&backend);
    let task = tokio::spawn(async move { call(&task, "look").await });
    settle().await;
    assert_eq!(backend.status()[0].in_flight, 1);
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(backend.status()[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_keeps_its_replica_by_hash_and_by_memory() {
    let hashed = config().with_strategy(Strategy::Consistent);
    for config in [hashed, config().with_sticky(Sticky::Callers)] {
        let fakes = [Fake::new("a"), Fake::new("b"), Fake::new("c")];
        let backend = started(config, fakes.each_ref()).await;
        let mut homes = Vec::new();
        for caller in ["alice", "bob", "carol", "dave"] {
            let home = call_as(&backend, caller, "look").await.unwrap();
            for _ in 0..5 {
                assert_eq!(call_as(&backend, caller, "look").await.unwrap(), home);
            }
            homes.push((caller, home));
        }
        // The replica of the first is lost: others stay where they are.
        let lost = homes[0].1.clone();
        let index = ["a", "b", "c"]
            .iter()
            .position(|label| *label == lost)
            .unwrap();
        fakes[index].set(Mood::Unreachable);
        for (caller, home) in &homes {
            let now = call_as(&backend, caller, "look").await.unwrap();
            assert_ne!(now, lost);
            assert!(*home == lost || now == *home, "{caller} moved without need");
        }
        backend.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_stays_until_it_ends_or_its_replica_does() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let backend = started(config(), [&a, &b]).await;
    let look = async || {
        let call = ToolCall::new("look", Arguments::none());
        backend.call_tool(&ctx_in("s1"), call).await.unwrap();
        (a.tries(), b.tries())
    };
    for _ in 0..5 {
        assert_eq!(look().await, (1, 0));
    }
    // Who has no session goes round meanwhile.
    assert_eq!(who(&backend, 4).await, "baba");
    a.tries();
    b.tries();

    backend.end_session(&SessionKey::new("s1"));
    assert_eq!(
        (a.seen().pop(), b.seen().pop()),
        (Some("end s1".into()), Some("end s1".into()))
    );
    assert_eq!(look().await, (0, 1));
    b.set(Mood::Unreachable);
    assert_eq!(look().await, (1, 1));
    b.set(Mood::Well);
    assert_eq!(look().await, (1, 0), "it stays where it went");
}

#[tokio::test(start_paused = true)]
async fn a_task_is_asked_about_where_it_runs() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let backend = started(config(), [&a, &b]).await;
    for task in ["of a", "of b"] {
        let begin = ToolCall::new("begin", Arguments::none());
        let made = backend.call_tool(&ctx("alice"), begin).await.unwrap();
        assert!(made.as_raw().as_str().contains(task));
    }
    a.seen();
    b.seen();
    let ask = async |method, task| {
        let ask = TaskAsk::new(method, task, Extras::default());
        backend.task(&ctx("alice"), ask).await
    };
    for _ in 0..3 {
        ask(TaskMethod::Get, "of b").await.unwrap();
    }
    for _ in 0..2 {
        backend.watch_task(&ctx("alice"), "of b").await.unwrap();
    }
    backend.unwatch_task("of b").await;
    assert_eq!(
        b.seen(),
        [
            "tasks/get of b",
            "tasks/get of b",
            "tasks/get of b",
            "watch of b"
        ]
    );
    backend.unwatch_task("of b").await;
    assert_eq!(b.seen(), ["unwatch of b"]);
    // Nobody else can answer for it, and an answer is not given twice.
    b.set(Mood::Fatal);
    ask(TaskMethod::Update, "of b").await.unwrap_err();
    assert_eq!((a.seen().len(), b.seen().len()), (0, 1));
}
