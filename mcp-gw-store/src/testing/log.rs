//! The audit log, and who hears of changes.

use std::task::{Context, Waker};
use std::time::Duration;

use mcp_gw_core::testing::ManualClock;
use mcp_gw_core::{Clock as _, RawJson};

use super::{ODD, SECOND, check, is_invalid};
use crate::changes::{ChangeKind, ChangeSet, Changes};
use crate::contract::Store;
use crate::values::{
    AuditQuery, AuditRecord, EventId, Health, InstanceSpec, NewInstance, NewKey, NewUser,
    PageRequest, PasswordHash, Retention, SecretHash, StoredEvent, Time, UserFilter,
};

async fn found(store: &dyn Store, query: &AuditQuery) -> Vec<StoredEvent> {
    let mut events = Vec::new();
    let mut page = PageRequest::first(3);
    loop {
        let answer = store.audit(query, &page).await.unwrap();
        events.extend(answer.items);
        let Some(next) = answer.next else {
            return events;
        };
        page = page.after(next);
    }
}

fn full_record(time: Time) -> AuditRecord {
    let some = |text: &str| Some(text.to_owned());
    AuditRecord {
        event_id: Some(EventId::from_bytes([7; 16])),
        duration: Duration::from_micros(1_500),
        request_id: "r".to_owned(),
        transport: "http".to_owned(),
        client_addr: some("127.0.0.1"),
        protocol_version: some("2025-06-18"),
        caller_kind: "user".to_owned(),
        name: some("echo"),
        server: some("s"),
        effect: some("deny"),
        reason: some("deny_rule"),
        reasons: vec!["one".to_owned(), "two".to_owned()],
        policy_version: some("00"),
        error: some("e"),
        backend_asked: true,
        request_bytes: 1,
        response_bytes: 2,
        details: RawJson::parse(r#"{"items": 3 }"#).ok(),
        ..AuditRecord::new(time, "ada", "tools/call", "denied")
    }
}

/// [`AuditLog`](crate::AuditLog).
pub async fn audit_contract(store: &dyn Store, clock: &ManualClock) {
    let now = Time::from(clock.wall());
    let full = full_record(now);
    store.append_audit(vec![full.clone()]).await.unwrap();
    store
        .append_audit(vec![full.clone(), full.clone()])
        .await
        .unwrap();
    store.append_audit(Vec::new()).await.unwrap();
    let events = found(store, &AuditQuery::new()).await;
    check(
        events.len() == 1 && events[0].record == full,
        "an event is kept as it was given, once",
    );
    let mut records = Vec::new();
    for (number, text) in ODD.into_iter().enumerate() {
        let time = now.after(SECOND * u32::try_from(number).unwrap());
        let mut record = AuditRecord::new(time, text, "tools/call", "ok");
        record.name = Some(text.to_owned());
        records.push(record);
    }
    store.append_audit(records.clone()).await.unwrap();
    records.reverse();
    records.push(full);
    let events = found(store, &AuditQuery::new()).await;
    check(
        events.iter().map(|event| &event.record).eq(&records),
        "the last stored comes first, text as it went in",
    );
    check(
        events.is_sorted_by(|one, other| one.seq > other.seq),
        "numbers rise with the order of storing",
    );
    queries(store, now).await;
    let mut odd = AuditRecord::new(now, "a\0b", "m", "ok");
    odd.error = Some("x".repeat(5_000));
    odd.request_bytes = u64::MAX;
    store.append_audit(vec![odd]).await.unwrap();
    let event = found(store, &AuditQuery::new()).await.remove(0).record;
    check(
        event.caller_id == "a\u{fffd}b"
            && event.error.is_some_and(|text| text.len() == 4_096)
            && event.request_bytes == u64::try_from(i64::MAX).unwrap(),
        "what no database takes is made what they take",
    );
    retention(store, clock, now).await;
}

async fn queries(store: &dyn Store, now: Time) {
    let query = |change: &dyn Fn(&mut AuditQuery)| {
        let mut query = AuditQuery::new();
        change(&mut query);
        query
    };
    let some = |text: &str| Some(text.to_owned());
    for (wanted, query) in [
        (1, query(&|query| query.caller_id = some("ada"))),
        (0, query(&|query| query.caller_id = some("ADA"))),
        (0, query(&|query| query.caller_id = some("a\0"))),
        (1, query(&|query| query.caller_id = some(ODD[0]))),
        (1, query(&|query| query.name = some("a%_b*"))),
        (1, query(&|query| query.server = some("s"))),
        (9, query(&|query| query.method = some("tools/call"))),
        (8, query(&|query| query.outcome = some("ok"))),
        (6, query(&|query| query.from = Some(now.after(2 * SECOND)))),
        (3, query(&|query| query.to = Some(now.after(2 * SECOND)))),
        (
            2,
            query(&|query| {
                query.outcome = some("ok");
                query.from = Some(now.after(SECOND));
                query.to = Some(now.after(3 * SECOND));
            }),
        ),
    ] {
        let events = found(store, &query).await;
        check(
            events.len() == wanted && events.iter().all(|event| query.takes(&event.record)),
            &format!("{query:?} finds {wanted}, not {}", events.len()),
        );
    }
    let after = PageRequest::first(1).after(crate::Cursor::from_text("bm9uZQ"));
    check(
        is_invalid(&store.audit(&AuditQuery::new(), &after).await),
        "a cursor of another list is refused",
    );
}

async fn retention(store: &dyn Store, clock: &ManualClock, now: Time) {
    let all = found(store, &AuditQuery::new()).await.len();
    check(
        store.prune_audit(&Retention::forever()).await == Ok(0),
        "nothing has to go",
    );
    clock.advance(100 * SECOND);
    let passed = Time::from(clock.wall()).as_micros() - now.as_micros();
    let age = u64::try_from(passed).unwrap() - 2_000_000;
    let age = Duration::from_micros(age);
    // Those of seconds 0 and 1, the full one and the odd one.
    check(
        store.prune_audit(&Retention::of_age(age)).await == Ok(4),
        "what is too old goes",
    );
    let left = found(store, &AuditQuery::new()).await;
    check(left.len() == all - 4, "and nothing else");
    check(
        store.prune_audit(&Retention::of_count(2)).await == Ok(4),
        "what is too much goes",
    );
    check(
        found(store, &AuditQuery::new()).await == left[..2],
        "the oldest go first",
    );
    check(
        store.prune_audit(&Retention::of_count(0)).await == Ok(2),
        "all can go",
    );
}

/// What was told of changes up to now.
fn told(changes: &mut Changes) -> ChangeSet {
    let future = std::pin::pin!(changes.changed());
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(Some(set)) => set,
        _ => ChangeSet::default(),
    }
}

/// [`Store::changes`]: whoever changes something hears of it, when it returns.
pub async fn changes_contract(store: &dyn Store) {
    let mut changes = store.changes();
    check(told(&mut changes).is_empty(), "nothing is told of before");
    let new = NewUser::new("listener", PasswordHash::new("x"));
    let user = store.create_user(new).await.unwrap();
    let kinds = |set: ChangeSet| set.iter().collect::<Vec<_>>();
    check(
        kinds(told(&mut changes)) == [ChangeKind::Users],
        "a change is told",
    );
    check(told(&mut changes).is_empty(), "a change is told once");
    let key = NewKey::new(user.id, "k", "k", SecretHash::from_bytes([0; 32]));
    let key = store.create_key(key).await.unwrap();
    let spec = InstanceSpec::new();
    store
        .create_instance(NewInstance::new("heard", "heard", spec))
        .await
        .unwrap();
    store.set_health("heard", Health::new()).await.unwrap();
    let mut late = store.changes();
    check(
        kinds(told(&mut changes)) == [ChangeKind::Keys, ChangeKind::Servers, ChangeKind::Health],
        "several changes are told at once",
    );
    check(
        told(&mut late).is_empty(),
        "who comes late hears of what is new",
    );
    store
        .touch_keys(&[(key.id, user.created_at)])
        .await
        .unwrap();
    let users = store
        .users(&UserFilter::new(), &PageRequest::first(1))
        .await;
    check(
        users.is_ok() && store.delete_key(crate::KeyId::new(0), None).await.is_err(),
        "a key that is not there cannot be deleted",
    );
    check(
        told(&mut changes).is_empty(),
        "reading, failing and use are no changes",
    );
    store.delete_user(user.id, None).await.unwrap();
    store.delete_instance("heard", None).await.unwrap();
    store.delete_template("heard", None).await.unwrap();
    let pins = store.put_pins("heard", None, Vec::new()).await.unwrap();
    store
        .delete_pins("heard", Some(pins.revision))
        .await
        .unwrap();
    store
        .revoke_token("heard", Time::from_micros(0))
        .await
        .unwrap();
    store.prune_tokens().await.unwrap();
    check(
        kinds(told(&mut late))
            == [
                ChangeKind::Users,
                ChangeKind::Keys,
                ChangeKind::Servers,
                ChangeKind::Pins,
                ChangeKind::Tokens,
            ],
        "each kind of change is told",
    );
}
