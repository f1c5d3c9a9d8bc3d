//! Several gateways on one store, and gateways that start again.

use super::upstream::Upstream;
use super::*;

#[tokio::test]
async fn gateways_on_one_store_have_the_same_servers() {
    let (store, up) = (memory(), Upstream::start("one").await);
    let (left, right) = (
        World::start(&store, OPEN).await,
        World::start(&store, OPEN).await,
    );
    left.http("a", "demo", up.url()).await;
    let is_there = async || right.call("a", "who").await.is_ok();
    until("the other has it", is_there).await;
    until("its clients see it", async || right.tools().len() == 2).await;
    right.registry.set_enabled("a", false).await.unwrap();
    until("it is disabled", async || left.tools().is_empty()).await;
    right.registry.set_enabled("a", true).await.unwrap();
    until("it is enabled", async || left.tools().len() == 2).await;
    right.registry.delete("a", None).await.unwrap();
    let is_gone = async || matches!(left.call("a", "who").await, Err(CallFault::NoSuch { .. }));
    until("it is gone", is_gone).await;
    left.end().await;
    right.end().await;
}

#[tokio::test]
async fn what_was_registered_is_there_after_a_restart() {
    let (store, up) = (memory(), Upstream::start("one").await);
    let world = World::start(&store, OPEN).await;
    world.http("a", "demo", up.url()).await;
    world.end().await;
    let world = World::start(&store, OPEN).await;
    let answers = async || world.who("demo").await.is_ok_and(|who| who == "one");
    until("it answers again", answers).await;
    world.end().await;
}

#[tokio::test]
async fn many_changes_at_once_end_in_what_the_store_has() {
    let (store, up) = (memory(), Upstream::start("one").await);
    let (left, right) = (
        World::start(&store, OPEN).await,
        World::start(&store, OPEN).await,
    );
    let mut work = tokio::task::JoinSet::new();
    for index in 0..40 {
        let registry = [&left, &right][index % 2].registry.clone();
        let url = up.url();
        work.spawn(async move {
            let new = NewServer::new(format!("t{}", index % 10), InstanceSpec::http(url));
            let new = new.with_id(format!("i{index}"));
            registry.register(&local_admin(), new).await.unwrap();
            if index % 4 == 0 {
                registry.delete(&format!("i{index}"), None).await.unwrap();
            }
        });
    }
    while let Some(done) = work.join_next().await {
        done.unwrap();
    }
    for world in [&left, &right] {
        let summary = async || {
            let summary = world.registry.summary();
            (summary.total, summary.healthy) == (30, 30) && world.tools().len() == 20
        };
        until("all are there", summary).await;
    }
    left.end().await;
    right.end().await;
}
