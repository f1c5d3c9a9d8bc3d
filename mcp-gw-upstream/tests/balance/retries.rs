//! What is sent again, and what is not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Backend as _, BackendError, Extras, ResourceRead};
use mcp_gw_upstream::{Hints, RetryConfig};
use tokio::time::Instant;

use crate::fake::{Fake, Mood, call, config, ctx, settle, started};

#[tokio::test(start_paused = true)]
async fn what_did_not_arrive_goes_elsewhere_whatever_it_is() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let backend = started(config(), [&a, &b]).await;
    a.set(Mood::Unreachable);
    let began = Instant::now();
    assert_eq!(call(&backend, "change").await.unwrap(), "b");
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!((a.tries(), b.seen().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_done_is_done_again_only_when_that_is_the_same() {
    for mood in [Mood::Fatal, Mood::Slow] {
        let (a, b) = (Fake::new("a"), Fake::new("b"));
        let backend = started(config(), [&a, &b]).await;
        a.set(mood);
        call(&backend, "change").await.unwrap_err();
        assert_eq!((a.seen().len(), b.seen().len()), (1, 0));
        call(&backend, "look").await.unwrap();
        assert_eq!(call(&backend, "look").await.unwrap(), "b");
        let read = ResourceRead::new("x:y", Extras::default());
        backend.read_resource(&ctx("alice"), read).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_tool_here_counts_more_than_what_it_says() {
    let [yes, no] = [Some(true), Some(false)];
    // `look` says that it only reads, `change` that it may destroy, `begin` nothing.
    let all = [
        ("look", Hints::new(no, None, None), 1),
        ("look", Hints::new(None, yes, None), 1),
        ("look", Hints::new(yes, yes, yes), 1),
        ("look", Hints::new(None, no, None), 2),
        ("look", Hints::new(no, None, yes), 2),
        ("change", Hints::new(yes, None, None), 2),
        ("change", Hints::new(None, no, None), 1),
        ("change", Hints::new(None, None, yes), 2),
        ("begin", Hints::default(), 1),
        ("begin", Hints::new(None, None, yes), 2),
    ];
    for (tool, hints, sends) in all {
        let (a, b) = (Fake::new("a"), Fake::new("b"));
        let two = RetryConfig::default().with_attempts(2);
        let said = BTreeMap::from([(tool.to_owned(), hints)]);
        let backend = started(config().with_retries(two).with_hints(said), [&a, &b]).await;
        a.set(Mood::Fatal);
        b.set(Mood::Fatal);
        call(&backend, tool).await.unwrap_err();
        let found = a.tries() + b.tries();
        assert_eq!(found, sends, "{tool} with {hints:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_nobody_has_offered_is_not_called_twice() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let backend = crate::fake::balanced(config(), [&a, &b]);
    a.set(Mood::Fatal);
    call(&backend, "look").await.unwrap_err();
    assert_eq!((a.tries(), b.tries()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded() {
    let (a, b, c) = (Fake::new("a"), Fake::new("b"), Fake::new("c"));
    let two = RetryConfig::default().with_attempts(2);
    let backend = started(config().with_retries(two), [&a, &b, &c]).await;
    for fake in [&a, &b, &c] {
        fake.set(Mood::Fatal);
    }
    call(&backend, "look").await.unwrap_err();
    assert_eq!((a.tries(), b.tries(), c.tries()), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_not_forgotten() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let retries = RetryConfig::default().with_wait(Duration::ZERO);
    let backend = started(config().with_retries(retries), [&a, &b]).await;
    a.set(Mood::Fatal);
    b.set(Mood::Unreachable);
    // The last word is that nothing arrived, but it was sent before.
    let error = call(&backend, "look").await.unwrap_err();
    assert!(matches!(error, BackendError::Lost { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_only_replica_is_waited_for() {
    let a = Fake::new("a");
    let backend = started(config(), [&a]).await;
    for _ in 0..50 {
        a.set(Mood::Unreachable);
        a.script(&[Mood::Fatal]);
        let calls: Vec<_> = (0..8)
            .map(|at| {
                let backend = Arc::clone(&backend);
                let tool = if at == 0 { "look" } else { "change" };
                tokio::spawn(async move { call(&backend, tool).await })
            })
            .collect();
        settle().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        a.set(Mood::Well);
        for call in calls {
            call.await.unwrap().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_are_short_and_not_too_many() {
    let a = Fake::new("a");
    let backend = started(config(), [&a]).await;
    a.set(Mood::Unreachable);
    let began = Instant::now();
    let error = call(&backend, "look").await.unwrap_err();
    assert!(matches!(error, BackendError::Unavailable { .. }));
    let waited = began.elapsed();
    assert!(waited <= Duration::from_millis(5050), "{waited:?}");
    let tries = a.tries();
    assert!((10..30).contains(&tries), "{tries}");
    // The outage is longer than a restart now, so nobody waits for its end any more.
    let began = Instant::now();
    call(&backend, "look").await.unwrap_err();
    assert_eq!((began.elapsed(), a.tries()), (Duration::ZERO, 1));
    // A good answer makes it patient again.
    a.script(&[Mood::Well, Mood::Unreachable, Mood::Well]);
    call(&backend, "look").await.unwrap();
    call(&backend, "look").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_for_a_client_that_gave_up() {
    let a = Fake::new("a");
    let backend = started(config(), [&a]).await;
    a.set(Mood::Unreachable);
    let task = Arc::clone(&backend);
    let task = tokio::spawn(async move { call(&task, "look").await });
    settle().await;
    assert_eq!(a.tries(), 1);
    task.abort();
    a.set(Mood::Well);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(a.tries(), 0);
}

#[tokio::test(start_paused = true)]
async fn repetitions_are_a_share_of_what_is_asked() {
    let a = Fake::new("a");
    let config = config().with_retries(RetryConfig::default().with_budget_percent(0));
    let backend = started(config, [&a]).await;
    a.set(Mood::Fatal);
    // All at one moment, so that nothing comes back with time.
    let calls: Vec<_> = (0..300)
        .map(|_| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move { call(&backend, "look").await })
        })
        .collect();
    settle().await;
    assert_eq!(a.tries(), 300);
    let failed = calls.iter().filter(|call| call.is_finished()).count();
    assert_eq!(failed, 200, "a hundred may try again");
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn closing_ends_the_wait_for_a_restart() {
    let a = Fake::new("a");
    let backend = started(config(), [&a]).await;
    a.set(Mood::Unreachable);
    let task = Arc::clone(&backend);
    let task = tokio::spawn(async move { call(&task, "change").await });
    settle().await;
    let began = Instant::now();
    backend.close().await;
    task.await.unwrap().unwrap_err();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_is_turned_away_is_told_at_once_unless_another_replica_is_there() {
    for mood in [Mood::Closed, Mood::Full(None), Mood::Full(Some(3600))] {
        let a = Fake::new("a");
        let backend = started(config(), [&a]).await;
        a.set(mood);
        let began = Instant::now();
        let error = call(&backend, "look").await.unwrap_err();
        let is_it = match mood {
            Mood::Closed => matches!(error, BackendError::Refused { status: 401, .. }),
            _ => matches!(error, BackendError::Busy { .. }),
        };
        assert!(is_it && error.is_unsent(), "{error}");
        assert_eq!((began.elapsed(), a.tries()), (Duration::ZERO, 1));

        let (a, b) = (Fake::new("a"), Fake::new("b"));
        let backend = started(config(), [&a, &b]).await;
        a.set(mood);
        assert_eq!(call(&backend, "change").await.unwrap(), "b");
        assert_eq!((began.elapsed(), a.tries()), (Duration::ZERO, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_to_come_again_is_asked_then() {
    let a = Fake::new("a");
    let backend = started(config(), [&a]).await;
    a.script(&[Mood::Full(Some(2))]);
    let began = Instant::now();
    assert_eq!(call(&backend, "change").await.unwrap(), "a");
    assert_eq!(a.tries(), 2);
    let took = began.elapsed();
    let due = Duration::from_secs(2);
    assert!(
        (due..due + Duration::from_millis(10)).contains(&took),
        "{took:?}"
    );
}
