use mcp_gw_core::testing::ManualClock;

use super::*;
use crate::revision::Revision;

fn sessions(per_caller: usize, total: usize) -> (Sessions, ManualClock) {
    let clock = ManualClock::new();
    let limits = SessionLimits::new(Duration::from_secs(60), per_caller, total);
    (Sessions::new(limits, Arc::new(clock.clone())), clock)
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
