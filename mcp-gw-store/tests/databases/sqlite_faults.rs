//! Files that are locked, full, not ours, or not there.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mcp_gw_store::{
    AuditQuery, AuditRecord, AuditWriter, AuditWriterOptions, PageRequest, Retention, StoreError,
    StoreOptions, Time, UserFilter,
};
use sqlx::{Connection as _, Executor as _};

use crate::{LONG, open_at, open_with, sqlite_url, user, usernames};

fn hasty() -> StoreOptions {
    let mut options = StoreOptions::new();
    options.timeout = Duration::from_secs(4);
    options
}

async fn another(path: &Path) -> sqlx::SqliteConnection {
    let url = format!("sqlite://{}", path.display());
    sqlx::SqliteConnection::connect(&url).await.unwrap()
}

#[tokio::test]
async fn a_file_that_another_process_locks_can_be_read_and_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    let store = open_with(&sqlite_url(&path), &hasty()).await.unwrap();
    store.create_user(user("ada")).await.unwrap();
    let mut other = another(&path).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    other.execute("DELETE FROM gw_users").await.unwrap();
    let error = store.create_user(user("eve")).await.unwrap_err();
    assert!(error.is_retryable() && !error.is_uncertain(), "{error}");
    assert!(
        error.to_string().contains("another process holds the lock"),
        "{error}"
    );
    assert_eq!(
        usernames(&*store).await,
        ["ada"],
        "nothing half-written is seen"
    );
    let sign = store.check().await.unwrap_err();
    assert!(sign.to_string().contains("holds the lock"), "{sign}");
    let opened = open_with(&sqlite_url(&path), &hasty()).await;
    assert!(opened.unwrap_err().is_retryable());
    other.execute("ROLLBACK").await.unwrap();
    store.create_user(user("eve")).await.unwrap();
    assert_eq!(store.check().await, Ok(()));
    assert_eq!(usernames(&*store).await, ["ada", "eve"]);
}

#[tokio::test]
async fn a_file_that_is_full_takes_no_more_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    let mut options = StoreOptions::new();
    options.max_file_bytes = Some(400_000);
    let store = open_with(&sqlite_url(&path), &options).await.unwrap();
    let batch = || {
        let record = |number: i64| {
            let time = Time::from_micros(number);
            let mut record = AuditRecord::new(time, "ada", "m", "ok");
            record.error = Some("x".repeat(1_000));
            record
        };
        (0..20).map(record).collect::<Vec<_>>()
    };
    let mut written = 0;
    let error = loop {
        match store.append_audit(batch()).await {
            Ok(()) => written += 20,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(!error.is_uncertain() && written > 100, "{written}");
    // All that was acknowledged is there, and nothing of the batch that failed.
    assert_eq!(
        store.prune_audit(&Retention::of_count(0)).await,
        Ok(written)
    );
    store.append_audit(batch()).await.unwrap();
    store.create_user(user("ada")).await.unwrap();
    let mut check = another(&path).await;
    let sound = sqlx::query_scalar::<_, String>("PRAGMA integrity_check");
    assert_eq!(sound.fetch_one(&mut check).await.unwrap(), "ok");
}

/// On a full disk SQLite rolls back by itself. What comes then is refused for the same reason, and is
/// taken again once there is room; events that were waiting are written.
#[tokio::test]
async fn writes_go_on_when_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    let mut options = StoreOptions::new();
    options.max_file_bytes = Some(400_000);
    let store = open_with(&sqlite_url(&path), &options).await.unwrap();
    let mut names = Vec::new();
    let error = loop {
        let name = names.len().to_string();
        let mut new = user(&name);
        new.full_name = Some("x".repeat(3_000));
        match store.create_user(new).await {
            Ok(_) => names.push(name),
            Err(error) => break error,
        }
    };
    assert!(names.len() > 50, "{names:?}");
    let mut new = user("again");
    new.full_name = Some("x".repeat(3_000));
    let second = store.create_user(new).await.unwrap_err();
    for error in [&error, &second] {
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
    }
    let record = |caller: &str| {
        let mut record = AuditRecord::new(Time::from_micros(1), caller, "m", "ok");
        record.error = Some("y".repeat(4_000));
        record
    };
    // What is left free takes no event any more, either.
    while store.append_audit(vec![record("ada")]).await.is_ok() {}
    let audit = AuditWriter::start(Arc::clone(&store), AuditWriterOptions::new()).unwrap();
    audit.write(record("eve")).await.unwrap();
    let failed = async {
        while audit.stats().failures == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, failed).await.unwrap();
    let mut other = another(&path).await;
    other
        .execute("DELETE FROM gw_users WHERE id > 10")
        .await
        .unwrap();
    names.truncate(10);
    store.create_user(user("eve")).await.unwrap();
    names.push("eve".to_owned());
    assert_eq!(usernames(&*store).await, names);
    audit.flush().await.unwrap();
    let mut query = AuditQuery::new();
    query.caller_id = Some("eve".to_owned());
    let events = store.audit(&query, &PageRequest::first(10)).await;
    assert_eq!(events.unwrap().items.len(), 1);
    assert_eq!(audit.stats().lost, 0);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/gateway.db");
    let error = open_with(&sqlite_url(&path), &hasty()).await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert!(
        error.to_string().contains("check that its folder exists"),
        "{error}"
    );

    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "These are my notes. ".repeat(1_000)).unwrap();
    let error = open_with(&sqlite_url(&path), &hasty()).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("These are my notes")
    );

    let path = folder.path().join("broken.db");
    let (store, _) = open_at(&sqlite_url(&path)).await;
    for number in 0..500 {
        store
            .create_user(user(&format!("user {number}")))
            .await
            .unwrap();
    }
    store.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8_192..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let error = match open_with(&sqlite_url(&path), &hasty()).await {
        Ok(store) => store
            .users(&UserFilter::new(), &PageRequest::first(1_000))
            .await
            .unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

/// Somebody takes the files away: what is open can still be read, but nothing would be kept.
#[tokio::test]
async fn a_file_that_is_gone_shows_no_sign_of_life() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    let (store, _) = open_at(&sqlite_url(&path)).await;
    store.create_user(user("ada")).await.unwrap();
    assert_eq!(store.check().await, Ok(()));
    for file in std::fs::read_dir(folder.path()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    assert!(store.create_user(user("eve")).await.is_err());
    assert!(store.check().await.is_err());
}

#[tokio::test]
async fn only_its_owner_reads_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    let (store, _) = open_at(&sqlite_url(&path)).await;
    store.secret("jwt").await.unwrap();
    let files = std::fs::read_dir(folder.path()).unwrap();
    let modes = files.map(|file| file.unwrap().metadata().unwrap().mode() & 0o777);
    assert!(modes.into_iter().all(|mode| mode == 0o600));
}

/// Callers go away at any moment of a write.
#[tokio::test]
async fn a_write_that_is_given_up_is_made_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = open_at(&sqlite_url(&folder.path().join("gateway.db"))).await;
    crate::postgres_faults::give_up_writes(&*store).await;
}
