//! How many calls are under way.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Backend as _, BackendError};
use mcp_gw_upstream::{BalanceConfig, Balanced, Replica};

use crate::fake::{Fake, Mood, TokioClock, call, config, settle, started};

fn spawn(backend: &Arc<Balanced>) -> tokio::task::JoinHandle<Result<String, BackendError>> {
    let backend = Arc::clone(backend);
    tokio::spawn(async move { call(&backend, "change").await })
}

#[tokio::test(start_paused = true)]
async fn so_many_run_so_many_wait_and_the_rest_is_refused_at_once() {
    let a = Fake::new("a");
    let config = config().with_limit(2, 2, Duration::from_secs(10));
    let backend = started(config, [&a]).await;
    a.set(Mood::Busy);
    let mut calls: Vec<_> = (0..4).map(|_| spawn(&backend)).collect();
    settle().await;
    assert_eq!(a.tries(), 2);
    let error = call(&backend, "change").await.unwrap_err();
    assert!(matches!(error, BackendError::Busy { .. }) && error.is_unsent());
    let error = error.to_string();
    assert!(
        error.contains("2 calls are under way and 2 wait"),
        "{error}"
    );

    // One that gives up makes room in the queue.
    calls.remove(3).abort();
    settle().await;
    calls.push(spawn(&backend));
    settle().await;
    a.let_go(4);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(a.tries(), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let a = Fake::new("a");
    let config = config().with_limit(1, 1, Duration::from_secs(10));
    let backend = started(config, [&a]).await;
    a.set(Mood::Busy);
    let first = spawn(&backend);
    settle().await;
    let error = call(&backend, "change").await.unwrap_err();
    assert!(
        error.is_unsent() && error.to_string().contains("waited 10s"),
        "{error}"
    );
    a.let_go(1);
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_refuses_those_who_wait() {
    let a = Fake::new("a");
    let config = config().with_limit(1, 1, Duration::from_secs(10));
    let backend = started(config, [&a]).await;
    a.set(Mood::Busy);
    let (first, second) = (spawn(&backend), spawn(&backend));
    settle().await;
    backend.close().await;
    second.await.unwrap().unwrap_err();
    a.let_go(1);
    first.await.unwrap().unwrap();
}

#[test]
fn numbers_that_mean_nothing_are_refused() {
    let a = Fake::new("a");
    let replica = || Replica::new("a", Arc::<Fake>::clone(&a) as _);
    let new =
        |config: BalanceConfig, replicas| Balanced::new(config, replicas, Arc::new(TokioClock));
    assert!(new(config(), vec![]).is_err());
    assert!(new(config(), (0..65).map(|_| replica()).collect()).is_err());
    assert!(new(config(), vec![replica().with_weight(0)]).is_err());
    let no_room = config().with_limit(0, 1, Duration::ZERO);
    assert!(new(no_room, vec![replica()]).is_err());
    assert!(new(config(), (0..64).map(|_| replica()).collect()).is_ok());
}
