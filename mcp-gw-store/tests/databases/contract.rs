//! Each database keeps the contract.

use mcp_gw_store::testing::store_contract;
use mcp_gw_store::{Conflict, DatabaseUrl, Edit, StoreError, StoreKind, UserChange};

use crate::server::Server;
use crate::{open_at, open_with, sqlite_url};

#[tokio::test]
async fn memory_keeps_the_contract() {
    let (store, clock) = open_at("memory:").await;
    assert_eq!(
        (store.kind(), store.is_shared()),
        (StoreKind::Memory, false)
    );
    store_contract(&*store, &clock).await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    for (url, shared) in [
        ("sqlite:///:memory:".to_owned(), false),
        (sqlite_url(&folder.path().join("gateway.db")), true),
    ] {
        let (store, clock) = open_at(&url).await;
        assert_eq!(
            (store.kind(), store.is_shared()),
            (StoreKind::Sqlite, shared)
        );
        store_contract(&*store, &clock).await;
        store.close().await;
        assert!(store.check().await.is_err());
    }
}

#[tokio::test]
async fn postgres_keeps_the_contract() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, clock) = open_at(&server.database("one").await).await;
    assert_eq!(
        (store.kind(), store.is_shared()),
        (StoreKind::Postgres, true)
    );
    store_contract(&*store, &clock).await;
    store.close().await;
    assert!(store.check().await.is_err());
}

/// Operators give databases odd defaults; what is stored does not depend on them.
#[tokio::test]
async fn postgres_with_other_defaults_keeps_the_contract() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("odd").await;
    for setting in [
        "default_transaction_isolation = 'serializable'",
        "standard_conforming_strings = off",
        "bytea_output = 'escape'",
        "timezone = 'Pacific/Auckland'",
        "datestyle = 'German'",
    ] {
        let sql = format!("ALTER DATABASE odd SET {setting}");
        server.execute("odd", &sql).await;
    }
    let (store, clock) = open_at(&url).await;
    store_contract(&*store, &clock).await;
}

#[tokio::test]
async fn what_is_stored_is_there_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut urls = vec![sqlite_url(&folder.path().join("gateway.db"))];
    let server = Server::start(&[]);
    if let Some(server) = &server {
        urls.push(server.database("again").await);
    }
    for url in urls {
        let (store, _) = open_at(&url).await;
        let made = store.create_user(crate::user("ada")).await.unwrap();
        let secret = store.secret("jwt").await.unwrap();
        store.close().await;
        drop(store);
        let (store, _) = open_at(&url).await;
        assert_eq!(store.user_by_name("ADA").await, Ok(made));
        assert_eq!(store.secret("jwt").await.unwrap().expose(), secret.expose());
    }
}

/// Two processes that take away one of two superusers each, at once: one of them is refused.
async fn two_gateways_leave_a_superuser(url: &str) {
    let (one, _) = open_at(url).await;
    let (other, _) = open_at(url).await;
    let superuser = |name: String| {
        let mut new = crate::user(&name);
        new.is_superuser = true;
        new
    };
    let mut last = one.create_user(superuser("0".to_owned())).await.unwrap();
    for round in 1..=20 {
        let name = round.to_string();
        let next = one.create_user(superuser(name)).await.unwrap();
        let mut change = UserChange::new();
        match round % 3 {
            0 => change.is_superuser = Edit::Set(false),
            _ => change.is_active = Edit::Set(false),
        }
        let (first, second) = if round % 3 == 1 {
            let deleted = other.delete_user(next.id, None);
            tokio::join!(one.delete_user(last.id, None), deleted)
        } else {
            let changed = other.update_user(next.id, None, change.clone());
            let (first, second) = tokio::join!(one.update_user(last.id, None, change), changed);
            (first.map(|_| ()), second.map(|_| ()))
        };
        let refused = StoreError::Conflict {
            what: Conflict::LastSuperuser,
        };
        assert_eq!(one.counts().await.unwrap().active_superusers, 1);
        match (first, second) {
            (Ok(()), Err(error)) => {
                assert_eq!(error, refused);
                last = next;
            }
            (Err(error), Ok(())) => assert_eq!(error, refused),
            both => panic!("round {round}: {both:?}"),
        }
    }
}

#[tokio::test]
async fn the_last_superuser_stays_whoever_asks_at_once() {
    let folder = tempfile::tempdir().unwrap();
    two_gateways_leave_a_superuser(&sqlite_url(&folder.path().join("gateway.db"))).await;
    if let Some(server) = Server::start(&[]) {
        two_gateways_leave_a_superuser(&server.database("last").await).await;
    }
}

/// What people write, and what it is taken for. Nothing that may be a password is repeated.
#[tokio::test]
async fn urls_are_understood_or_refused_with_what_to_write() {
    for (url, shown) in [
        ("sqlite:///gateway.db", "sqlite:///gateway.db"),
        ("sqlite:///./gateway.db", "sqlite:///./gateway.db"),
        ("sqlite:////var/lib/gw.db", "sqlite:////var/lib/gw.db"),
        ("sqlite+aiosqlite:///gateway.db", "sqlite:///gateway.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite:///:memory:"),
        ("memory:", "memory:"),
        ("postgresql://u:s3cret@h:5432/d", "postgresql://h:5432/d"),
        (
            "postgres://u:s3cret@h/d?sslmode=require",
            "postgresql://h/d",
        ),
        ("postgresql+asyncpg://u:s3c@ret@h/d", "postgresql://h/d"),
        ("postgresql://h/d?password=s3cret", "postgresql://h/d"),
    ] {
        let parsed = DatabaseUrl::parse(url).unwrap();
        assert_eq!(parsed.to_string(), shown);
        assert_eq!(format!("{parsed:?}"), format!("DatabaseUrl({shown})"));
    }
    for url in [
        "",
        "s3cret",
        "gateway.db",
        "sqlite://s3cret.db",
        "sqlite:///",
        "sqlite:////tmp/",
        "sqlite:///gateway.db?key=s3cret",
        "mysql://u:s3cret@h/d",
        "postgresql://",
        "postgres+s3cret:u@h",
        "http://u:s3cret@h/d",
    ] {
        let error = DatabaseUrl::parse(url).unwrap_err();
        assert!(matches!(error, StoreError::Url { .. }), "{url}: {error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    let broken = "postgresql://u:s3cret@h:99999/d";
    let error = open_with(broken, &mcp_gw_store::StoreOptions::new()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, StoreError::Url { .. }), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
}
