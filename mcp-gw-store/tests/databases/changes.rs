//! Several gateways on one database: what one changes the others hear of, and what they do at the
//! same time comes out as if one after the other.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_store::{
    AuditQuery, AuditRecord, ChangeKind, ChangeSet, Changes, Conflict, Edit, Health, InstanceSpec,
    NewInstance, PageRequest, QuotaCharge, QuotaKey, Retention, ServerStatus, Store, StoreOptions,
    Time, UserChange,
};

use crate::server::Server;
use crate::{LONG, open_with, sqlite_url, user};

async fn open_polling(url: &str, poll: Duration) -> Arc<dyn Store> {
    open_patiently(url, poll, LONG).await
}

async fn open_patiently(url: &str, poll: Duration, timeout: Duration) -> Arc<dyn Store> {
    let mut options = StoreOptions::new();
    options.poll = poll;
    options.timeout = timeout;
    open_with(url, &options).await.unwrap()
}

/// What it hears next.
async fn heard(changes: &mut Changes) -> ChangeSet {
    let heard = tokio::time::timeout(LONG, changes.changed()).await;
    heard.expect("changes are heard of").unwrap()
}

/// Waits until it has heard of this kind, among others.
async fn heard_of(changes: &mut Changes, kind: ChangeKind) {
    while !heard(changes).await.contains(kind) {}
}

async fn others_hear(url: &str, poll: Duration) {
    let (one, two) = (open_polling(url, poll).await, open_polling(url, poll).await);
    let (mut here, mut there) = (one.changes(), two.changes());
    let ada = one.create_user(user("ada")).await.unwrap();
    heard_of(&mut there, ChangeKind::Users).await;
    assert_eq!(two.user(ada.id).await, Ok(ada));
    assert!(heard(&mut here).await.contains(ChangeKind::Users));
    let new = NewInstance::new("i", "t", InstanceSpec::new());
    two.create_instance(new).await.unwrap();
    heard_of(&mut here, ChangeKind::Servers).await;
    // Nothing is heard of twice: what comes next is the next change.
    assert!(heard(&mut there).await.contains(ChangeKind::Servers));
    two.set_health("i", Health::of(ServerStatus::Healthy))
        .await
        .unwrap();
    assert_eq!(
        heard(&mut there).await.iter().collect::<Vec<_>>(),
        [ChangeKind::Health]
    );
    assert_eq!(
        heard(&mut here).await.iter().collect::<Vec<_>>(),
        [ChangeKind::Health]
    );
    // Who was away hears that something has changed since, when it comes back.
    drop((one, here));
    assert!(two.create_user(user("eve")).await.is_ok());
    two.close().await;
    drop(two);
    assert!(
        there
            .changed()
            .await
            .is_some_and(|set| set.contains(ChangeKind::Users))
    );
    assert_eq!(there.changed().await, None);
}

#[tokio::test]
async fn processes_on_one_file_hear_of_each_others_changes() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite_url(&folder.path().join("gateway.db"));
    others_hear(&url, Duration::from_millis(5)).await;
}

/// A poll would be too late: this is what the server tells.
#[tokio::test]
async fn postgres_tells_others_at_once() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    others_hear(&server.database("fleet").await, LONG * 10).await;
}

/// The connection that listens is gone, or the whole server was: changes are still heard of.
#[tokio::test]
async fn changes_are_heard_of_when_the_listening_connection_was_lost() {
    let Some(mut server) = Server::start(&[]) else {
        return;
    };
    let url = server.database("fleet").await;
    let poll = Duration::from_millis(20);
    // While the server is away, this is how long it is tried to connect.
    let patience = Duration::from_secs(3);
    let one = open_patiently(&url, poll, patience).await;
    let two = open_patiently(&url, poll, patience).await;
    let mut changes = two.changes();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE application_name = 'mcp-gw' AND query LIKE 'LISTEN%'";
    server.execute("fleet", end).await;
    one.create_user(user("ada")).await.unwrap();
    heard_of(&mut changes, ChangeKind::Users).await;
    server.kill();
    // A process of the server that has a connection may take a moment to see that it is orphaned.
    let mut names = (0..).map(|number| format!("last {number}"));
    while one.create_user(user(&names.next().unwrap())).await.is_ok() {}
    server.run();
    // Connections of before are found to be broken one by one.
    while one.create_user(user("eve")).await.is_err() {}
    heard_of(&mut changes, ChangeKind::Users).await;
    while two.user_by_name("eve").await.is_err() {}
}

/// Where databases are, each with the folder or server that goes with it.
async fn databases() -> (Vec<String>, tempfile::TempDir, Option<Server>) {
    let folder = tempfile::tempdir().unwrap();
    let mut urls = vec![sqlite_url(&folder.path().join("gateway.db"))];
    let server = Server::start(&[]);
    if let Some(server) = &server {
        urls.push(server.database("shared").await);
    }
    (urls, folder, server)
}

/// Runs `ask` so many times at once, in turns by two stores on the same database.
async fn at_once<T, F>(url: &str, times: usize, ask: impl Fn(Arc<dyn Store>, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let poll = Duration::from_secs(1);
    let stores = [open_polling(url, poll).await, open_polling(url, poll).await];
    let tasks = (0..times).map(|turn| {
        let store = Arc::clone(&stores[turn % 2]);
        tokio::spawn(ask(store, turn))
    });
    let tasks: Vec<_> = tasks.collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_gets_a_name_and_the_others_are_told() {
    let (urls, _folder, _server) = databases().await;
    for url in urls {
        let name = |turn: usize| if turn.is_multiple_of(2) { "ada" } else { "ADA" };
        let made = at_once(&url, 20, |store, turn| async move {
            store.create_user(user(name(turn))).await
        });
        let made = made.await;
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
        for error in made.into_iter().filter_map(Result::err) {
            assert_eq!(error.as_conflict(), Some(Conflict::Username), "{error}");
        }
        let put = at_once(&url, 20, |store, turn| async move {
            let spec = InstanceSpec::http(format!("http://h/{turn}"));
            let template = format!("t{}", turn % 3);
            store
                .put_instance(NewInstance::new("i", template, spec))
                .await
        });
        let revisions = put.await.into_iter().map(|it| it.unwrap().revision.get());
        let mut revisions: Vec<i64> = revisions.collect();
        revisions.sort_unstable();
        assert_eq!(
            revisions,
            (1..=20).collect::<Vec<_>>(),
            "none overwrites another unseen"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_change_is_lost_among_many() {
    let (urls, _folder, _server) = databases().await;
    for url in urls {
        let ada = open_polling(&url, LONG)
            .await
            .create_user(user("ada"))
            .await;
        let ada = ada.unwrap();
        let changed = at_once(&url, 30, move |store, _| async move {
            let mut change = UserChange::new();
            change.revoke_tokens = true;
            store.update_user(ada.id, None, change).await
        });
        for changed in changed.await {
            changed.unwrap();
        }
        let now = open_polling(&url, LONG).await.user(ada.id).await.unwrap();
        assert_eq!((now.token_epoch, now.revision.get()), (30, 31));
        let one = at_once(&url, 10, move |store, turn| async move {
            let mut change = UserChange::new();
            change.email = Edit::Set(Some(turn.to_string()));
            store.update_user(ada.id, Some(now.revision), change).await
        });
        let one = one.await;
        assert_eq!(one.iter().filter(|changed| changed.is_ok()).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn quotas_are_never_exceeded_and_nobody_waits_for_ever() {
    let (urls, _folder, _server) = databases().await;
    for url in urls {
        let key = |byte| QuotaKey::from_bytes([byte; 16]);
        let until = Time::from_micros(i64::MAX);
        let charged = at_once(&url, 60, move |store, turn| async move {
            let mut charges = vec![
                QuotaCharge::new(key(1), 1, 25, until),
                QuotaCharge::new(key(2), 2, 1_000, until),
                QuotaCharge::new(key(3), 1, 1_000, until),
            ];
            // In any order, which is how processes come to wait for each other.
            charges.rotate_left(turn % 3);
            let standings = store.charge_quotas(&charges).await.unwrap();
            standings.iter().all(|standing| standing.admitted)
        });
        let admitted = charged
            .await
            .into_iter()
            .filter(|admitted| *admitted)
            .count();
        assert_eq!(admitted, 25);
        let store = open_polling(&url, LONG).await;
        let used: Vec<u64> = store
            .quotas()
            .await
            .unwrap()
            .iter()
            .map(|it| it.used)
            .collect();
        assert_eq!(
            used,
            [25, 50, 25],
            "what is refused by one is charged to none"
        );
    }
}

/// More events than one statement writes or deletes.
#[tokio::test]
async fn a_long_log_is_deleted_in_steps() {
    let (urls, _folder, _server) = databases().await;
    for url in urls {
        let store = open_polling(&url, LONG).await;
        let record = |number: i64| AuditRecord::new(Time::from_micros(number), "a", "m", "ok");
        store
            .append_audit((0..7_000).map(record).collect())
            .await
            .unwrap();
        // All of them began long ago, in the year that the count of microseconds begins.
        assert_eq!(
            store.prune_audit(&Retention::of_count(4_500)).await,
            Ok(2_500)
        );
        let page = PageRequest::first(1_000);
        let last = store.audit(&AuditQuery::new(), &page).await.unwrap();
        let times = last.items.iter().map(|event| event.record.time.as_micros());
        assert!(times.eq((6_000..7_000).rev()));
        let age = Retention::of_age(Duration::from_secs(1));
        assert_eq!(store.prune_audit(&age).await, Ok(4_500));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_secret_is_made_once_by_whoever_is_first() {
    let (urls, _folder, _server) = databases().await;
    for url in urls {
        let secrets = at_once(&url, 20, |store, _| async move {
            *store.secret("jwt").await.unwrap().expose()
        });
        let mut secrets = secrets.await;
        secrets.dedup();
        assert_eq!(secrets.len(), 1);
    }
}
