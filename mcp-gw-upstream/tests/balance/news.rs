//! Events, offers and subscriptions of several replicas, as those of one server.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Arguments, Backend as _, BackendEvent, ToolCall};
use mcp_gw_upstream::{Balanced, EjectionConfig, Sticky};
use tokio::sync::mpsc::Receiver;

use crate::fake::{Fake, Mood, call, config, ctx, ctx_in, settle, started, tools};
use crate::support::{Listener, raw};

fn down(reason: &str) -> BackendEvent {
    BackendEvent::Down {
        reason: reason.to_owned(),
    }
}

fn updated(uri: &str) -> BackendEvent {
    BackendEvent::ResourceUpdated {
        uri: uri.into(),
        params: raw(&format!(r#"{{"uri":"{uri}"}}"#)),
    }
}

fn drain(events: &mut Receiver<BackendEvent>) -> Vec<BackendEvent> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

async fn watched<const N: usize>(
    fakes: [&Arc<Fake>; N],
) -> (Arc<Balanced>, Receiver<BackendEvent>) {
    let ejection = EjectionConfig::default().with_threshold(1, Duration::from_secs(10));
    let backend = started(config().with_ejection(ejection), fakes).await;
    let (listener, events) = Listener::new();
    backend.watch(listener);
    (backend, events)
}

#[tokio::test(start_paused = true)]
async fn a_server_is_down_when_its_last_replica_is() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let (backend, mut events) = watched([&a, &b]).await;
    a.emit(down("a died"));
    a.emit(down("a died"));
    assert_eq!(drain(&mut events), []);
    b.emit(down("b died"));
    assert_eq!(drain(&mut events), [down("b died")]);
    call(&backend, "look").await.unwrap();
    assert_eq!(drain(&mut events), [BackendEvent::OfferChanged]);
    a.emit(BackendEvent::OfferChanged);
    assert_eq!(drain(&mut events), [BackendEvent::OfferChanged]);
}

#[tokio::test(start_paused = true)]
async fn the_offer_is_that_of_the_first_that_can_be_asked() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let (backend, _events) = watched([&a, &b]).await;
    b.offer_tools(tools().into_iter().take(1).collect());
    assert_eq!(backend.offer().await.unwrap().tools.len(), 3);
    a.set(Mood::Unreachable);
    assert_eq!(backend.offer().await.unwrap().tools.len(), 1);
    b.set(Mood::Fatal);
    let error = backend.offer().await.unwrap_err();
    assert!(error.to_string().contains("a is in a mood"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn two_subscribers_are_one_at_the_server_and_the_last_one_ends_it() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let (backend, _events) = watched([&a, &b]).await;
    for _ in 0..2 {
        backend.subscribe(&ctx("alice"), "x:y").await.unwrap();
    }
    assert_eq!((a.seen(), b.tries()), (vec!["subscribe x:y".to_owned()], 0));
    backend
        .unsubscribe("x:y", Some(&ctx("alice").client()))
        .await
        .unwrap();
    assert_eq!(a.tries(), 1, "only the subscription so far");
    backend
        .unsubscribe("x:y", Some(&ctx("alice").client()))
        .await
        .unwrap();
    assert_eq!(a.seen(), ["unsubscribe x:y"]);
}

#[tokio::test(start_paused = true)]
async fn two_clients_subscribe_each_where_its_calls_go_and_hear_of_an_update_once() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let (backend, mut events) = watched([&a, &b]).await;
    let (alice, bob) = (ctx("alice"), ctx("bob"));
    backend.subscribe(&alice, "x:y").await.unwrap();
    backend.subscribe(&bob, "x:y").await.unwrap();
    assert_eq!(
        (a.seen(), b.seen().len()),
        (vec!["subscribe x:y".to_owned()], 1)
    );
    a.emit(updated("x:y"));
    b.emit(updated("x:y"));
    assert_eq!(drain(&mut events), []);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(drain(&mut events), [updated("x:y")]);
    backend
        .unsubscribe("x:y", Some(&bob.client()))
        .await
        .unwrap();
    assert_eq!(
        (a.seen().len(), b.seen()),
        (0, vec!["unsubscribe x:y".to_owned()])
    );
    // It counts from one now, and at once.
    b.emit(updated("x:y"));
    a.emit(updated("x:y"));
    assert_eq!(drain(&mut events), [updated("x:y")]);
    // Nobody else ends what is alice's.
    backend
        .unsubscribe("x:y", Some(&bob.client()))
        .await
        .unwrap();
    assert!(a.seen().is_empty());
    backend
        .unsubscribe("x:y", Some(&alice.client()))
        .await
        .unwrap();
    assert_eq!(a.seen(), ["unsubscribe x:y"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_greeted_where_its_calls_will_go() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let backend = started(config().with_sticky(Sticky::Sessions), [&a, &b]).await;
    let client = ctx_in("s");
    backend.greet(&client.client());
    let greeted = |fake: &Fake| fake.seen() == ["greet s"];
    let (at_a, at_b) = (greeted(&a), greeted(&b));
    assert!(at_a != at_b, "at one of them");
    let call = ToolCall::new("look", Arguments::none());
    backend.call_tool(&client, call).await.unwrap();
    assert_eq!((a.tries() == 1, b.tries() == 1), (at_a, at_b));
    // Where calls may go anywhere nothing is made ready.
    let backend = started(config().with_sticky(Sticky::Never), [&a, &b]).await;
    backend.greet(&client.client());
    assert!(a.seen().is_empty() && b.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_refused_is_none() {
    let a = Fake::new("a");
    let (backend, _events) = watched([&a]).await;
    a.set(Mood::Contrary);
    backend.subscribe(&ctx("alice"), "x:y").await.unwrap_err();
    a.set(Mood::Well);
    backend.subscribe(&ctx("alice"), "x:y").await.unwrap();
    assert_eq!(a.seen(), ["subscribe x:y", "subscribe x:y"]);
}

#[tokio::test(start_paused = true)]
async fn updates_count_from_the_replica_that_watches() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let (backend, mut events) = watched([&a, &b]).await;
    backend.subscribe(&ctx("alice"), "x:y").await.unwrap();
    b.emit(updated("x:y"));
    assert_eq!(drain(&mut events), []);
    a.emit(updated("x:y"));
    assert_eq!(drain(&mut events), [updated("x:y")]);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_leave_a_replica_that_is_lost() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let (backend, mut events) = watched([&a, &b]).await;
    for uri in ["x:1", "x:2", "x:3"] {
        backend.subscribe(&ctx("alice"), uri).await.unwrap();
    }
    assert_eq!((a.seen().len(), b.seen().len()), (2, 1));
    a.emit(down("a died"));
    settle().await;
    assert_eq!(b.seen(), ["resubscribe x:1", "resubscribe x:3"]);
    // Nobody knows what was missed.
    assert_eq!(drain(&mut events), [updated("x:1"), updated("x:3")]);
    assert_eq!(a.seen(), ["unsubscribe x:1", "unsubscribe x:3"]);
    b.emit(updated("x:1"));
    assert_eq!(drain(&mut events), [updated("x:1")]);
    backend
        .unsubscribe("x:1", Some(&ctx("alice").client()))
        .await
        .unwrap();
    assert_eq!(
        (a.tries(), b.seen()),
        (4, vec!["unsubscribe x:1".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn subscriptions_with_nowhere_to_go_wait_for_somewhere() {
    let (a, b) = (Fake::new("a"), Fake::new("b"));
    let (backend, mut events) = watched([&a, &b]).await;
    backend.subscribe(&ctx("alice"), "x:1").await.unwrap();
    b.emit(down("b died"));
    a.emit(down("a died"));
    settle().await;
    assert_eq!(drain(&mut events), [down("a died")]);
    b.seen();
    a.set(Mood::Unreachable);
    // Somebody finds out that `b` is back.
    backend.offer().await.unwrap();
    settle().await;
    assert_eq!(b.seen(), ["offer", "resubscribe x:1"]);
    assert_eq!(
        drain(&mut events),
        [BackendEvent::OfferChanged, updated("x:1")]
    );
}
