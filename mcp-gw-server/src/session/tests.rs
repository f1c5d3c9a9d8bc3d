use mcp_gw_core::CallerKind;
use mcp_gw_core::testing::ManualClock;

use super::*;
use crate::revision::Revision;

fn sessions(per_caller: usize, total: usize) -> (Sessions, ManualClock) {
    let clock = ManualClock::new();
    let limits = SessionLimits::new(Duration::from_secs(60), per_caller, total);
    (
        Sessions::new(limits, None, Arc::new(clock.clone()), Box::new(Arc::new)),
        clock,
    )
}

fn caller(id: &str) -> Arc<Caller> {
    Arc::new(Caller::new(CallerKind::ApiKey, id))
}

fn open(sessions: &Sessions, id: &str) -> Result<Arc<str>, SessionRefusal> {
    let revision = Revision::V2025_11_25;
    sessions.open(|outbox| Client::new(caller(id), revision, None, None, outbox))
}

#[test]
fn a_session_is_its_callers_alone() {
    let (sessions, _) = sessions(8, 8);
    let id = open(&sessions, "a").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_graphic()));
    assert!(sessions.find(&id, &caller("b"), None).is_err());
    assert!(!sessions.close(&id, &caller("b"), None));
    assert!(sessions.find(&id, &caller("a"), None).is_ok());
    assert!(sessions.close(&id, &caller("a"), None));
    assert!(sessions.find(&id, &caller("a"), None).is_err());
}

#[test]
fn an_idle_session_is_forgotten_unless_it_is_at_work() {
    let (sessions, clock) = sessions(8, 8);
    let (idle, busy) = (open(&sessions, "a").unwrap(), open(&sessions, "a").unwrap());
    let session = sessions.find(&busy, &caller("a"), None).unwrap();
    let work = session.client.in_flight.open(b"1", 9).unwrap();
    clock.advance(Duration::from_secs(59));
    assert!(sessions.find(&idle, &caller("a"), None).is_ok());
    clock.advance(Duration::from_secs(60));
    assert!(sessions.find(&idle, &caller("a"), None).is_err());
    assert!(sessions.find(&busy, &caller("a"), None).is_ok());
    drop(work);
    clock.advance(Duration::from_secs(60));
    assert!(sessions.find(&busy, &caller("a"), None).is_err());
}

#[test]
fn a_caller_with_too_many_loses_its_oldest_and_nobody_elses() {
    let (sessions, clock) = sessions(2, 3);
    let first = open(&sessions, "a").unwrap();
    clock.advance(Duration::from_secs(1));
    let second = open(&sessions, "a").unwrap();
    let other = open(&sessions, "b").unwrap();
    let third = open(&sessions, "a").unwrap();
    assert!(sessions.find(&first, &caller("a"), None).is_err());
    assert!(sessions.find(&second, &caller("a"), None).is_ok());
    assert!(sessions.find(&third, &caller("a"), None).is_ok());
    assert!(sessions.find(&other, &caller("b"), None).is_ok());
    assert_eq!(open(&sessions, "c").unwrap_err(), SessionRefusal::Full);
}

#[test]
fn a_session_is_of_one_endpoint() {
    let (sessions, _) = sessions(8, 8);
    let open = |endpoint: Option<&str>| {
        let revision = Revision::V2025_11_25;
        let opened = sessions.open(|outbox| {
            let client = Client::new(caller("a"), revision, None, None, outbox);
            client.at(endpoint.map(Arc::from))
        });
        opened.unwrap()
    };
    let (main, docs) = (open(None), open(Some("docs")));
    for (id, endpoint, is_there) in [
        (&main, None, true),
        (&main, Some("docs"), false),
        (&docs, Some("docs"), true),
        (&docs, Some("other"), false),
        (&docs, None, false),
    ] {
        let found = sessions.find(id, &caller("a"), endpoint);
        assert_eq!(found.is_ok(), is_there);
    }
    assert!(!sessions.close(&docs, &caller("a"), None));
    assert!(sessions.close(&docs, &caller("a"), Some("docs")));
}

/// Replicas that share a key and a clock.
fn replicas(count: usize) -> (Vec<Sessions>, ManualClock) {
    let clock = ManualClock::new();
    let limits = SessionLimits::new(Duration::from_secs(60), 2, 8);
    let key = mcp_gw_core::Secret::new([7; 32]);
    let seal = SessionSeal::new([key], Duration::from_secs(600));
    let one = || {
        Sessions::new(
            limits,
            seal.clone(),
            Arc::new(clock.clone()),
            Box::new(Arc::new),
        )
    };
    ((0..count).map(|_| one()).collect(), clock)
}

#[test]
fn a_sealed_session_is_served_by_every_replica() {
    let (replicas, clock) = replicas(2);
    let [here, there] = &replicas[..] else {
        panic!()
    };
    let id = open(here, "a").unwrap();
    let session = there.find(&id, &caller("a"), None).unwrap();
    assert_eq!(session.client.revision, Revision::V2025_11_25);
    assert!(Arc::ptr_eq(
        &session,
        &there.find(&id, &caller("a"), None).unwrap()
    ));
    assert!(there.find(&id, &caller("b"), None).is_err());
    // Idle, and with it forgotten, but good all the same: until it expires.
    clock.advance(Duration::from_secs(120));
    assert!(!there.sweep());
    assert!(there.find(&id, &caller("a"), None).is_ok());
    clock.advance(Duration::from_secs(480));
    for replica in [here, there] {
        let refusal = replica.find(&id, &caller("a"), None).unwrap_err();
        assert_eq!(refusal, SessionRefusal::Unknown);
    }
}

#[test]
fn an_ended_sealed_session_does_not_come_back_where_it_was_ended() {
    let (replicas, clock) = replicas(2);
    let [here, there] = &replicas[..] else {
        panic!()
    };
    let id = open(here, "a").unwrap();
    assert!(!there.close(&id, &caller("b"), None));
    assert!(
        there.close(&id, &caller("a"), None),
        "though it was never used there"
    );
    assert!(!there.close(&id, &caller("a"), None));
    assert!(there.find(&id, &caller("a"), None).is_err());
    assert!(here.close(&id, &caller("a"), None));
    assert!(here.find(&id, &caller("a"), None).is_err());
    clock.advance(Duration::from_secs(600));
    here.sweep();
    assert!(here.lock().ended.uids.is_empty() && here.lock().ended.order.is_empty());
}

#[test]
fn what_is_remembered_of_ended_sessions_is_bounded() {
    let (replicas, _) = replicas(1);
    for _ in 0..100 {
        let id = open(&replicas[0], "a").unwrap();
        assert!(replicas[0].close(&id, &caller("a"), None));
    }
    let table = replicas[0].lock();
    assert_eq!((table.ended.uids.len(), table.ended.order.len()), (32, 32));
}

#[test]
fn sealed_sessions_from_elsewhere_keep_to_the_bounds() {
    let (replicas, _) = replicas(2);
    let ids: Vec<_> = (0..6).map(|_| open(&replicas[0], "a").unwrap()).collect();
    for id in &ids {
        replicas[1].find(id, &caller("a"), None).unwrap();
    }
    assert_eq!(replicas[1].lock().by_id.len(), 2);
    let table = replicas[1].lock();
    assert_eq!(table.by_caller.values().map(Vec::len).sum::<usize>(), 2);
}

#[test]
fn a_flood_leaves_the_index_as_small_as_the_table() {
    let (sessions, clock) = sessions(3, 10);
    for _ in 0..50 {
        open(&sessions, "a").unwrap();
        clock.advance(Duration::from_millis(1));
    }
    let counts = |sessions: &Sessions| {
        let table = sessions.lock();
        let ids = table.by_caller.values().map(Vec::len).sum::<usize>();
        (table.by_id.len(), ids)
    };
    assert_eq!(counts(&sessions), (3, 3));
    clock.advance(Duration::from_secs(60));
    assert!(!sessions.sweep());
    assert_eq!(counts(&sessions), (0, 0));
    assert!(sessions.lock().by_caller.is_empty());
}

#[test]
fn what_ends_is_ended_when_nobody_holds_the_table() {
    let (sessions, _) = sessions(1, 8);
    let first = open(&sessions, "a").unwrap();
    let session = sessions.find(&first, &caller("a"), None).unwrap();
    let reader = session.journal.listen();
    open(&sessions, "a").unwrap();
    assert!(matches!(reader.next(), crate::http::journal::Next::End));
    assert!(sessions.lock().gone.is_empty());
}

#[test]
fn a_session_goes_on_with_what_its_client_has_shown_last() {
    let (sessions, _) = sessions(8, 8);
    let shown = |credential: &str, scope: &str| {
        let facts = serde_json::json!({ crate::authn::CREDENTIAL: credential, "user_id": 1 });
        let caller = Caller::new(CallerKind::User, "ann").with_issuer("mcp-gw");
        let caller = caller.with_scopes([scope]);
        Arc::new(caller.with_claims(facts.as_object().unwrap().clone()))
    };
    let revision = Revision::V2025_11_25;
    let open = || {
        let ann = shown("first", "tools:call");
        let opened = sessions.open(|outbox| Client::new(ann, revision, None, None, outbox));
        opened.unwrap()
    };
    let voucher = |id: &str, caller: &Caller| {
        let session = sessions.find(id, caller, None).unwrap();
        session.client.voucher().claims[crate::authn::CREDENTIAL].clone()
    };
    let (one, two) = (open(), open());
    assert_eq!(voucher(&one, &shown("second", "tools:call")), "second");
    // Whoever has other rights now vouches for nothing: the session is of those that it began with.
    assert_eq!(voucher(&two, &shown("second", "admin")), "first");
    let is_there = |id: &str| sessions.change(|table| table.by_id.contains_key(id));
    let ended = |name: &'static str| move |caller: &Caller| caller.claims["credential"] != name;
    // The end of its last one, or of its first one by force.
    sessions.end_others(&|client| ended("first")(&client.voucher()));
    assert_eq!((is_there(&one), is_there(&two)), (true, false));
    sessions.end_callers(&ended("first"));
    assert!(!is_there(&one));
}
