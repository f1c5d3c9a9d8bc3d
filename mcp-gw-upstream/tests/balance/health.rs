//! Who is left out, and how it comes back.

use std::time::Duration;

use mcp_gw_core::{Backend as _, BackendError};
use mcp_gw_upstream::{
    Balanced, CheckTurns, EjectionConfig, HealthConfig, ReplicaState, RetryConfig,
};

use crate::fake::{Fake, Mood, balanced, call, config, settle, started};

fn states(backend: &Balanced) -> Vec<ReplicaState> {
    backend.status().iter().map(|one| one.state).collect()
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    settle().await;
}

const EJECTION: fn() -> EjectionConfig =
    || EjectionConfig::default().with_threshold(2, Duration::from_secs(10));

#[tokio::test(start_paused = true)]
async fn a_replica_that_fails_is_left_out_and_tried_with_one_call_later() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let backend = started(config().with_ejection(EJECTION()), [&a, &b]).await;
    a.set(Mood::Slow);
    for _ in 0..4 {
        assert_eq!(
            call(&backend, "look").await.unwrap(),
            "b",
            "another one has the answer"
        );
    }
    assert_eq!(
        states(&backend),
        [ReplicaState::Ejected, ReplicaState::Healthy]
    );
    a.tries();
    for _ in 0..4 {
        call(&backend, "look").await.unwrap();
    }
    assert_eq!(a.tries(), 0);

    sleep(10).await;
    assert_eq!(states(&backend)[0], ReplicaState::HalfOpen);
    // While one call tries it, the others go elsewhere.
    a.set(Mood::Busy);
    let begin = || {
        let backend = std::sync::Arc::clone(&backend);
        tokio::spawn(async move { call(&backend, "look").await.unwrap() })
    };
    let both = [begin(), begin()];
    settle().await;
    for _ in 0..4 {
        assert_eq!(call(&backend, "look").await.unwrap(), "b");
    }
    assert_eq!(a.tries(), 1);
    a.let_go(1);
    let [one, other] = both;
    let both = [one.await.unwrap(), other.await.unwrap()].concat();
    assert!(both == "ab" || both == "ba", "{both}");
    assert_eq!(states(&backend)[0], ReplicaState::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_given_up_leaves_the_next_one_free() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let backend = started(config().with_ejection(EJECTION()), [&a, &b]).await;
    a.set(Mood::Unreachable);
    for _ in 0..4 {
        call(&backend, "look").await.unwrap();
    }
    sleep(10).await;
    a.set(Mood::Busy);
    for _ in 0..2 {
        // One of the two goes to the replica on trial and is given up there.
        let trial = call(&backend, "look");
        let _ = tokio::time::timeout(Duration::from_millis(1), trial).await;
    }
    assert_eq!(states(&backend)[0], ReplicaState::HalfOpen);
    a.set(Mood::Well);
    for _ in 0..2 {
        call(&backend, "look").await.unwrap();
    }
    assert_eq!(states(&backend)[0], ReplicaState::Healthy);
}

#[tokio::test(start_paused = true)]
async fn errors_that_a_server_answers_are_no_illness() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let backend = started(config().with_ejection(EJECTION()), [&a, &b]).await;
    a.set(Mood::Contrary);
    for _ in 0..10 {
        let _ = call(&backend, "look").await;
    }
    assert_eq!(states(&backend)[0], ReplicaState::Healthy);
    assert_eq!(a.tries() + b.tries(), 10, "an answer is an answer");
}

#[tokio::test(start_paused = true)]
async fn some_replicas_are_always_tried() {
    let (a, b, c) = (Fake::new("a"), Fake::new("b"), Fake::new("c"));
    let ejection = EJECTION().with_max_percent(100);
    let retries = RetryConfig::none();
    let config = config().with_ejection(ejection).with_retries(retries);
    let backend = started(config, [&a, &b, &c]).await;
    for fake in [&a, &b, &c] {
        fake.set(Mood::Unreachable);
    }
    for _ in 0..20 {
        call(&backend, "look").await.unwrap_err();
    }
    let ejected = states(&backend);
    let ejected = ejected
        .iter()
        .filter(|state| **state == ReplicaState::Ejected);
    assert_eq!(ejected.count(), 2);
    let tries: usize = [&a, &b, &c].iter().map(|fake| fake.tries()).sum();
    assert_eq!(tries, 20, "every call was tried somewhere");
}

#[tokio::test(start_paused = true)]
async fn checks_find_out_who_is_down_and_who_is_back() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let health = HealthConfig::default()
        .with_interval(Duration::from_secs(10))
        .with_thresholds(2, 2);
    let backend = balanced(config().with_health(Some(health)), [&a, &b]);
    sleep(100).await;
    assert_eq!(a.tries(), 0, "nothing is checked before anybody asks");
    backend.offer().await.unwrap();
    a.set(Mood::Unreachable);
    sleep(12).await;
    assert_eq!(
        states(&backend)[0],
        ReplicaState::Healthy,
        "one check is none"
    );
    sleep(11).await;
    assert_eq!(
        states(&backend),
        [ReplicaState::Down, ReplicaState::Healthy]
    );
    b.seen();
    for _ in 0..4 {
        assert_eq!(call(&backend, "look").await.unwrap(), "b");
    }
    a.set(Mood::Well);
    sleep(24).await;
    assert_eq!(states(&backend)[0], ReplicaState::Healthy);

    backend.close().await;
    a.tries();
    sleep(100).await;
    assert_eq!(a.tries(), 0, "nothing is checked after the end");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_has_failed() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let health = HealthConfig::default().with_thresholds(1, 1);
    let backend = started(config().with_health(Some(health)), [&a, &b]).await;
    a.set(Mood::Busy);
    sleep(17).await;
    assert_eq!(
        states(&backend),
        [ReplicaState::Down, ReplicaState::Healthy]
    );
}

/// Of many that nobody can reach a few are checked at a time; who is well is checked as ever.
#[tokio::test(start_paused = true)]
async fn those_that_fail_their_checks_are_checked_in_turn() {
    let health = HealthConfig::default()
        .with_interval(Duration::from_secs(10))
        .with_timeout(Duration::from_secs(10))
        .with_thresholds(1, 1);
    let turns = CheckTurns::new(2);
    let config = || {
        config()
            .with_health(Some(health))
            .with_check_turns(turns.clone())
    };
    let ill: Vec<_> = (0..8).map(|_| Fake::new("ill")).collect();
    let well = Fake::new("well");
    let mut servers = Vec::new();
    for fake in ill.iter().chain([&well]) {
        servers.push(started(config(), [fake]).await);
    }
    // All are checked once before they are known to be ill.
    for fake in &ill {
        fake.set(Mood::Busy);
    }
    sleep(22).await;
    let tries = || ill.iter().map(|fake| fake.tries()).sum::<usize>();
    assert_eq!(tries(), 8);
    well.tries();
    sleep(120).await;
    let checks = tries();
    assert!(
        (16..=26).contains(&checks),
        "two at a time, ten seconds each: {checks}"
    );
    let of_well = well.tries();
    assert!((10..=14).contains(&of_well), "{of_well}");
    // Those that are well again make room for each other.
    for fake in &ill {
        fake.set(Mood::Well);
        fake.let_go(8);
    }
    sleep(24).await;
    for server in &servers {
        assert_eq!(states(server), [ReplicaState::Healthy]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_goes_to_those_that_fail_their_checks_until_they_pass_them() {
    let health = HealthConfig::default().with_thresholds(1, 2);
    let config = || config().with_health(Some(health));
    let (a, b, c) = (Fake::new("a"), Fake::new("b"), Fake::new("c"));
    let one = started(config(), [&a]).await;
    let two = started(config(), [&b, &c]).await;
    for fake in [&a, &b, &c] {
        fake.set(Mood::Unreachable);
    }
    sleep(12).await;
    let all = [a.tries(), b.tries(), c.tries()];
    assert!(all.iter().all(|checks| *checks > 0), "{all:?}");
    for backend in [&one, &two] {
        let states = states(backend);
        let is_down = |state: &ReplicaState| *state == ReplicaState::Down;
        assert!(states.iter().all(is_down), "{states:?}");
        let began = tokio::time::Instant::now();
        let Err(BackendError::Unavailable { reason, .. }) = call(backend, "look").await else {
            panic!("nobody is there")
        };
        assert!(reason.contains("does not answer its checks"), "{reason}");
        assert!(began.elapsed().is_zero(), "it fails at once");
    }
    assert_eq!([a.tries(), b.tries(), c.tries()], [0; 3]);
    for fake in [&a, &b, &c] {
        fake.set(Mood::Well);
    }
    call(&one, "look").await.unwrap_err();
    sleep(24).await;
    call(&one, "look").await.unwrap();
    call(&two, "look").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_fails_its_checks_is_made_anew_and_given_time() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let health = HealthConfig::default()
        .with_interval(Duration::from_secs(10))
        .with_thresholds(3, 1);
    let backend = started(config().with_health(Some(health)), [&a, &b]).await;
    a.set(Mood::Unreachable);
    let mut renewed = Vec::new();
    for checks in 1..=7 {
        while a.tries() == 0 {
            sleep(1).await;
        }
        let reasons = a.renewals();
        let told = |reason: &String| reason.contains("a is in a mood");
        assert!(reasons.iter().all(told), "{reasons:?}");
        renewed.extend(reasons.iter().map(|_| checks));
    }
    assert_eq!(renewed, [3, 6]);
    assert!(b.renewals().is_empty());
    drop(backend);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_backend_ends_its_checks() {
    let a = Fake::new("a");
    let health = HealthConfig::default();
    let backend = started(config().with_health(Some(health)), [&a]).await;
    drop(backend);
    sleep(100).await;
    assert_eq!(a.tries(), 0);
}
