//! Servers that are away, slow, read-only, or not for us.

use std::task::{Context, Waker};
use std::time::Duration;

use mcp_gw_store::{
    InstanceFilter, InstanceSpec, NewInstance, PageRequest, Store, StoreError, StoreOptions,
};
use sqlx::Executor as _;

use crate::server::Server;
use crate::{open_at, open_with, user, usernames};

fn hasty() -> StoreOptions {
    let mut options = StoreOptions::new();
    options.timeout = Duration::from_secs(2);
    options
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_told_with_what_to_do() {
    let Some(mut server) = Server::start(&[]) else {
        return;
    };
    let error = open_with(&server.url_of("nowhere"), &hasty())
        .await
        .unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert!(error.to_string().contains("create the database"), "{error}");
    server
        .execute(
            "postgres",
            "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0",
        )
        .await;
    let error = open_with(&server.url_of("ascii"), &hasty())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("ENCODING 'UTF8'"), "{error}");
    server.execute("postgres", "CREATE ROLE poor LOGIN").await;
    let url = server.database("strange").await;
    server
        .execute("strange", "REVOKE ALL ON SCHEMA public FROM PUBLIC")
        .await;
    let poor = url.replace("gw@", "poor:s3cret@");
    let error = open_with(&poor, &hasty()).await.unwrap_err();
    assert!(
        !error.to_string().contains("s3cret") && !error.is_retryable(),
        "{error}"
    );
    server.stop();
    let error = open_with(&url, &hasty()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_login_that_is_refused_is_told_without_the_password() {
    let Some(mut server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("closed").await;
    let role = "CREATE ROLE ada LOGIN PASSWORD 'right'; GRANT ALL ON SCHEMA public TO ada";
    server.execute("closed", role).await;
    server.stop();
    server.ask_for_password("ada");
    server.run();
    let wrong = url.replace("gw@", "ada:s3cret@");
    let error = open_with(&wrong, &hasty()).await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    let text = error.to_string();
    assert!(text.contains("correct user and password"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    let right = url.replace("gw@", "ada:right@");
    let store = open_with(&right, &hasty()).await.unwrap();
    assert!(!format!("{store:?}").contains("right"));
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_is_used_again() {
    let Some(mut server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("away").await;
    let store = open_with(&url, &hasty()).await.unwrap();
    store.create_user(user("ada")).await.unwrap();
    server.stop();
    let error = store.create_user(user("eve")).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(store.check().await.is_err());
    server.run();
    // Reading again does no harm, so that is done without a word.
    assert_eq!(
        usernames(&*store).await,
        ["ada"],
        "what failed was not made"
    );
    store.create_user(user("bob")).await.unwrap();
    assert_eq!(usernames(&*store).await, ["ada", "bob"]);
}

/// All connections end while nobody uses them, as when a proxy in between is started again: that is not
/// the next caller's trouble.
#[tokio::test]
async fn connections_that_broke_while_nobody_used_them_fail_no_write() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("broken").await;
    let store = open_with(&url, &StoreOptions::new()).await.unwrap();
    let mut names = Vec::new();
    for round in 0..3 {
        let several = (0..8).map(|number| format!("{round} {number}"));
        let several: Vec<_> = several.collect();
        let made = several.iter().map(|name| {
            let store = std::sync::Arc::clone(&store);
            let new = user(name);
            tokio::spawn(async move { store.create_user(new).await })
        });
        for made in made.collect::<Vec<_>>() {
            made.await.unwrap().unwrap();
        }
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE application_name = 'mcp-gw'";
        server.execute("broken", end).await;
        let name = format!("after {round}");
        store.create_user(user(&name)).await.unwrap();
        names.push(name);
    }
    let all = usernames(&*store).await;
    assert!(names.iter().all(|name| all.contains(name)) && all.len() == 27);
}

/// The server ends while writes are under way: what is acknowledged is there, and what is said to
/// have failed is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_goes_in_the_middle_of_writes_loses_none_that_it_acknowledged() {
    let Some(mut server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("going").await;
    let store = open_with(&url, &StoreOptions::new()).await.unwrap();
    let tasks = (0..8).map(|task| {
        let store = std::sync::Arc::clone(&store);
        tokio::spawn(async move {
            let mut answers = Vec::new();
            for number in 0.. {
                let name = format!("{task} {number}");
                let answer = store.create_user(user(&name)).await;
                let failed = answer.is_err();
                answers.push((name, answer));
                if failed {
                    break;
                }
            }
            answers
        })
    });
    let tasks: Vec<_> = tasks.collect();
    // Until they are at it.
    while store.counts().await.unwrap().users < 50 {}
    tokio::task::block_in_place(|| server.stop());
    let mut answers = Vec::new();
    for task in tasks {
        answers.extend(task.await.unwrap());
    }
    server.run();
    let (store, _) = open_at(&url).await;
    let names = usernames(&*store).await;
    let mut failed = 0;
    for (name, answer) in answers {
        match answer {
            Ok(_) => assert!(names.contains(&name), "{name} is lost"),
            Err(error) if error.is_uncertain() => failed += 1,
            Err(error) => {
                assert!(!names.contains(&name), "{name} was made: {error}");
                failed += 1;
            }
        }
    }
    assert_eq!(failed, 8);
}

#[tokio::test]
async fn a_server_that_is_slow_is_not_waited_for() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("slow").await;
    let store = open_with(&url, &hasty()).await.unwrap();
    let mut other = server.connect("slow").await;
    other
        .execute("BEGIN; LOCK TABLE gw_users IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let error = store.create_user(user("ada")).await.unwrap_err();
    assert!(matches!(error, StoreError::Timeout { .. }), "{error}");
    let error = store.user_by_name("ada").await.unwrap_err();
    assert!(matches!(error, StoreError::Timeout { .. }), "{error}");
    // What is not locked is not held up by it.
    store
        .create_instance(NewInstance::new("i", "t", InstanceSpec::new()))
        .await
        .unwrap();
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(usernames(&*store).await, [] as [&str; 0]);
    store.create_user(user("ada")).await.unwrap();
}

#[tokio::test]
async fn a_standby_can_be_read_and_says_that_it_is_none_to_write_to() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("standby").await;
    let (store, _) = open_at(&url).await;
    store.create_user(user("ada")).await.unwrap();
    store.close().await;
    let sql = "ALTER DATABASE standby SET default_transaction_read_only = on";
    server.execute("postgres", sql).await;
    let error = open_with(&url, &hasty()).await.unwrap_err();
    assert!(error.to_string().contains("does not let write"), "{error}");
}

/// Drops writes after any number of steps, and looks what has become of them.
pub(crate) async fn give_up_writes(store: &dyn Store) {
    for steps in 0..60 {
        let name = format!("n{steps}");
        let new = NewInstance::new(&*name, &*name, InstanceSpec::new());
        let mut write = Box::pin(store.create_instance(new));
        for _ in 0..steps {
            let polled = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if polled.is_ready() {
                break;
            }
            // What it waits for goes on.
            for _ in 0..steps % 5 {
                tokio::task::yield_now().await;
            }
            let _ = store.counts().await.unwrap();
        }
        drop(write);
        // Nothing that was given up is in the way.
        store.create_user(user(&name)).await.unwrap();
    }
    let page = PageRequest::first(1_000);
    let instances = store
        .instances(&InstanceFilter::new(), &page)
        .await
        .unwrap();
    let templates = store.templates(&page).await.unwrap();
    assert_eq!(instances.items.len(), templates.items.len());
    assert!(instances.items.len() < 60, "some were given up in time");
    assert!(!instances.items.is_empty(), "and some were not");
}

#[tokio::test]
async fn a_write_that_is_given_up_is_made_whole_or_not_at_all() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, _) = open_at(&server.database("given_up").await).await;
    give_up_writes(&*store).await;
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mcp-gw'";
    let mut connection = server.connect("given_up").await;
    let connections = sqlx::query_scalar::<_, i64>(idle)
        .fetch_one(&mut connection)
        .await;
    assert!(connections.unwrap() <= 11, "connections are used again");
}
