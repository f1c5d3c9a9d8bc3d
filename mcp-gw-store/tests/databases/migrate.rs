//! The schema: from each earlier version, by several processes at once, and not backwards.

use std::path::Path;

use mcp_gw_store::{Entity, Pin, StoreError};
use sqlx::{Connection as _, Executor as _};

use crate::server::Server;
use crate::{crash, open_at, open_with, sqlite_url, user};

const SQLITE: [&str; 2] = [
    include_str!("../../migrations/sqlite/0001_registry.sql"),
    include_str!("../../migrations/sqlite/0002_ledger.sql"),
];
const POSTGRES: [&str; 2] = [
    include_str!("../../migrations/postgres/0001_registry.sql"),
    include_str!("../../migrations/postgres/0002_ledger.sql"),
];
const SCHEMA: &str = "CREATE TABLE gw_schema \
    (version BIGINT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL); \
    INSERT INTO gw_schema VALUES (1, 0);";

/// What a gateway of version 1 has written.
const OLD_ROWS: &str = "INSERT INTO gw_users VALUES \
    (7, 'Ada', 'ada', NULL, NULL, 'h', 1, 0, '[\"r\"]', '[]', 3, 4, 5, 6); \
    INSERT INTO gw_templates VALUES ('t', NULL, 'random', 30, 3, 3, 60, 1, 5, 6); \
    INSERT INTO gw_instances VALUES (9, 'i', 't', 'http://h', NULL, 'http', 'docker', NULL, NULL, \
    NULL, NULL, '{\"A\":\"b\"}', 1, '{\"weight\":2}', NULL, 'healthy', 5, 0, NULL, 1, 5, 6); \
    INSERT INTO gw_changes VALUES ('users', 41);";

async fn sqlite(path: &Path) -> sqlx::SqliteConnection {
    let url = format!("sqlite://{}?mode=rwc", path.display());
    sqlx::SqliteConnection::connect(&url).await.unwrap()
}

/// What was written by version 1 is there, and what came later works.
async fn is_brought_up(url: &str) {
    let (store, clock) = open_at(url).await;
    let ada = store.user_by_name("ADA").await.unwrap();
    assert_eq!(
        (ada.id.get(), ada.token_epoch, ada.revision.get()),
        (7, 3, 4)
    );
    assert_eq!(ada.roles, ["r"]);
    let instance = store.instance("i").await.unwrap();
    assert_eq!(
        instance.spec.env_vars.unwrap().names().collect::<Vec<_>>(),
        ["A"]
    );
    store
        .put_pins("i", None, vec![Pin::new("tool", "a", "1")])
        .await
        .unwrap();
    // Ids go on after those that there are.
    let next = user("eve");
    store.delete_instance("i", None).await.unwrap();
    store.delete_template("t", None).await.unwrap();
    store.delete_pins("i", None).await.unwrap();
    if url.starts_with("sqlite") {
        assert_eq!(store.create_user(next).await.unwrap().id.get(), 8);
        store
            .delete_user(mcp_gw_store::UserId::new(8), None)
            .await
            .unwrap();
    }
    store.delete_user(ada.id, None).await.unwrap();
    mcp_gw_store::testing::store_contract(&*store, &clock).await;
}

#[tokio::test]
async fn sqlite_is_brought_up_from_version_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    let mut connection = sqlite(&path).await;
    for sql in [SQLITE[0], SCHEMA, OLD_ROWS] {
        connection.execute(sql).await.unwrap();
    }
    connection.close().await.unwrap();
    is_brought_up(&sqlite_url(&path)).await;
}

#[tokio::test]
async fn postgres_is_brought_up_from_version_1() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("old").await;
    for sql in [POSTGRES[0], SCHEMA, OLD_ROWS] {
        server.execute("old", sql).await;
    }
    is_brought_up(&url).await;
}

/// What is logged while a database is opened.
async fn told_at(url: &str) -> String {
    let path = tempfile::NamedTempFile::new().unwrap();
    let file = std::sync::Arc::new(path.reopen().unwrap());
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(file);
    let guard = tracing::subscriber::set_default(subscriber.finish());
    let (store, _) = open_at(url).await;
    store.close().await;
    drop(guard);
    std::fs::read_to_string(path.path()).unwrap()
}

const FORMER: &str = "CREATE TABLE users (id INTEGER); CREATE TABLE api_keys (id INTEGER); \
    CREATE TABLE server_templates (name TEXT); CREATE TABLE server_instances (id TEXT); \
    CREATE TABLE load_balancer_configs (id INTEGER); INSERT INTO users VALUES (1);";

/// Who comes from there is told once that users and servers are to be made again; tables called alike alone are nobody's.
#[tokio::test]
async fn tables_of_the_former_gateway_are_left_and_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    let mut connection = sqlite(&path).await;
    connection.execute(FORMER).await.unwrap();
    let url = sqlite_url(&path);
    let told = told_at(&url).await;
    assert!(told.contains("tables of mcp-platform"), "{told}");
    assert!(!told_at(&url).await.contains("mcp-platform"));
    let rows = connection.fetch_all("SELECT * FROM users").await.unwrap();
    assert_eq!(rows.len(), 1);

    let other = folder.path().join("other.db");
    let users = "CREATE TABLE users (id INTEGER)";
    sqlite(&other).await.execute(users).await.unwrap();
    assert!(!told_at(&sqlite_url(&other)).await.contains("mcp-platform"));

    let Some(server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("former").await;
    server.execute("former", FORMER).await;
    let told = told_at(&url).await;
    assert!(told.contains("tables of mcp-platform"), "{told}");
}

/// Both say the same, but for the names of types: a column is not forgotten in one of them.
#[test]
fn the_scripts_of_both_databases_say_the_same() {
    for (sqlite, postgres) in SQLITE.into_iter().zip(POSTGRES) {
        let written = sqlite
            .replace(
                "INTEGER PRIMARY KEY AUTOINCREMENT",
                "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
            )
            .replace(" BLOB", " BYTEA")
            .replace(" TEXT", " TEXT COLLATE \"C\"");
        assert_eq!(written, postgres);
    }
}

#[tokio::test]
async fn a_later_schema_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    let url = sqlite_url(&path);
    let (store, _) = open_at(&url).await;
    store.close().await;
    let later = "INSERT INTO gw_schema VALUES (3, 0)";
    sqlite(&path).await.execute(later).await.unwrap();
    let options = mcp_gw_store::StoreOptions::new();
    let refused = StoreError::TooNew { found: 3, known: 2 };
    assert_eq!(open_with(&url, &options).await.unwrap_err(), refused);
    assert!(refused.to_string().contains("newer program"));

    let Some(server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("later").await;
    let (store, _) = open_at(&url).await;
    store.close().await;
    server.execute("later", later).await;
    assert_eq!(open_with(&url, &options).await.unwrap_err(), refused);
}

/// Something in the way of the second half of a version: it is as before, and goes on later.
#[tokio::test]
async fn a_version_is_brought_up_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    let url = sqlite_url(&path);
    let options = mcp_gw_store::StoreOptions::new();
    let mut connection = sqlite(&path).await;
    connection
        .execute("CREATE TABLE gw_revoked (x)")
        .await
        .unwrap();
    assert!(open_with(&url, &options).await.is_err());
    let version = sqlx::query_scalar::<_, i64>("SELECT MAX(version) FROM gw_schema");
    assert_eq!(version.fetch_one(&mut connection).await.unwrap(), 1);
    let half = connection.execute("SELECT * FROM gw_audit").await;
    assert!(half.unwrap_err().to_string().contains("no such table"));
    connection.execute("DROP TABLE gw_revoked").await.unwrap();
    connection.close().await.unwrap();
    let (store, clock) = open_at(&url).await;
    mcp_gw_store::testing::store_contract(&*store, &clock).await;

    let Some(server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("half").await;
    server
        .execute("half", "CREATE TABLE gw_revoked (x int)")
        .await;
    assert!(open_with(&url, &options).await.is_err());
    let mut connection = server.connect("half").await;
    let half = connection.execute("SELECT * FROM gw_audit").await;
    assert!(half.unwrap_err().to_string().contains("does not exist"));
    server.execute("half", "DROP TABLE gw_revoked").await;
    let (store, _) = open_at(&url).await;
    assert!(store.check().await.is_ok());
}

/// Several programs that are started at once on a database that none has seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_bring_it_up_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    for round in 0..3 {
        let mut urls = vec![sqlite_url(&folder.path().join(format!("{round}.db")))];
        if let Some(server) = &server {
            urls.push(server.database(&format!("at_once_{round}")).await);
        }
        for url in urls {
            let workers: Vec<_> = (0..5).map(|_| crash::Worker::start("open", &url)).collect();
            for worker in workers {
                assert_eq!(worker.all(), ["opened"], "{url}");
            }
            let (store, _) = open_at(&url).await;
            let missing = store.pins("s").await.unwrap_err();
            assert_eq!(missing, StoreError::not_found(Entity::Pins, "s"));
        }
    }
}
