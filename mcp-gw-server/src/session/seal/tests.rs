use mcp_gw_core::CallerKind;
use mcp_gw_core::Clock as _;
use mcp_gw_core::testing::ManualClock;
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::outbox::Outbox;

const AGE: Duration = Duration::from_secs(3600);

fn seal(keys: &[u8]) -> SessionSeal {
    let keys = keys.iter().map(|byte| Secret::new([*byte; 32]));
    SessionSeal::new(keys, AGE).unwrap().with_audience("/mcp")
}

fn caller(id: &str) -> Arc<Caller> {
    Arc::new(Caller::new(CallerKind::ApiKey, id))
}

fn client(id: &str, revision: Revision, info: Option<&str>, capabilities: Option<&str>) -> Client {
    let raw = |text: Option<&str>| text.map(|text| RawJson::parse(text.to_owned()).unwrap());
    let (info, capabilities) = (raw(info), raw(capabilities));
    let outbox = Outbox::lines(mpsc::channel(1).0);
    Client::new(
        caller(id),
        revision,
        info.as_ref(),
        capabilities.as_ref(),
        outbox,
    )
}

fn plain() -> Client {
    client(
        "ann",
        Revision::V2025_06_18,
        Some("{\"name\":\"t\"}"),
        Some("{}"),
    )
}

#[test]
fn it_is_bound_to_its_caller_its_audience_and_its_time() {
    let (seal, now) = (seal(&[1]), ManualClock::new().wall());
    let (id, sealed) = seal.seal(&plain(), now).unwrap();
    assert!(id.bytes().all(|b| b.is_ascii_graphic()));
    assert_eq!(seal.open(&id, &caller("ann"), None, now).unwrap(), sealed);
    assert_eq!(seal.open(&id, &caller("bob"), None, now), None);
    let other = Caller::new(CallerKind::User, "ann");
    assert_eq!(seal.open(&id, &other, None, now), None);
    let other = Caller::new(CallerKind::ApiKey, "ann").with_issuer("x");
    assert_eq!(seal.open(&id, &other, None, now), None);
    let elsewhere = seal.clone().with_audience("/other");
    assert_eq!(elsewhere.open(&id, &caller("ann"), None, now), None);
    let last = now + AGE;
    assert_eq!(seal.open(&id, &caller("ann"), None, last), None);
    let just = last.checked_sub(Duration::from_secs(1)).unwrap();
    assert!(seal.open(&id, &caller("ann"), None, just).is_some());
}

#[test]
fn it_is_bound_to_its_endpoint() {
    let (seal, now) = (seal(&[1]), ManualClock::new().wall());
    let at = |endpoint: Option<&str>| plain().at(endpoint.map(Arc::from));
    let (main, _) = seal.seal(&at(None), now).unwrap();
    let (docs, _) = seal.seal(&at(Some("docs")), now).unwrap();
    let opens = |id: &str, endpoint| seal.open(id, &caller("ann"), endpoint, now).is_some();
    assert!(opens(&main, None) && opens(&docs, Some("docs")));
    assert!(!opens(&main, Some("docs")) && !opens(&docs, None) && !opens(&docs, Some("doc")));
}

#[test]
fn parts_of_an_identity_cannot_be_moved_into_each_other() {
    let (seal, now) = (seal(&[1]), ManualClock::new().wall());
    let client = client("bc", Revision::V2025_11_25, None, None);
    let (id, _) = seal.seal(&client, now).unwrap();
    let moved = Caller::new(CallerKind::ApiKey, "c").with_issuer("b");
    assert_eq!(seal.open(&id, &moved, None, now), None);
}

#[test]
fn keys_can_be_changed() {
    let now = ManualClock::new().wall();
    let (old, both, new) = (seal(&[1]), seal(&[2, 1]), seal(&[2]));
    let (by_old, _) = old.seal(&plain(), now).unwrap();
    let (by_both, _) = both.seal(&plain(), now).unwrap();
    let opens = |seal: &SessionSeal, id: &str| seal.open(id, &caller("ann"), None, now).is_some();
    assert!(opens(&both, &by_old) && opens(&both, &by_both) && opens(&new, &by_both));
    assert!(!opens(&new, &by_old) && !opens(&old, &by_both));
    assert!(SessionSeal::new([], AGE).is_none());
}

#[test]
fn it_fits_into_a_header_or_is_refused() {
    let (seal, now) = (seal(&[1]), ManualClock::new().wall());
    let long = |length: usize| format!("{{\"x\":\"{}\"}}", "x".repeat(length));
    let of = |info: usize, capabilities: usize| {
        let client = client(
            "ann",
            Revision::V2025_11_25,
            Some(&long(info)),
            Some(&long(capabilities)),
        );
        seal.seal(&client, now)
    };
    let (id, sealed) = of(1000, 1000).unwrap();
    assert!(id.len() <= LONGEST_ID && sealed.info.is_some());
    // The name is left out before the session is refused.
    let (id, sealed) = of(5000, 2000).unwrap();
    assert!(id.len() <= LONGEST_ID && sealed.info.is_none());
    assert_eq!(seal.open(&id, &caller("ann"), None, now), Some(sealed));
    assert_eq!(of(0, 3000).unwrap_err(), SealRefusal::TooLarge);
    assert_eq!(
        seal.open(&"A".repeat(1 << 20), &caller("ann"), None, now),
        None
    );
}

#[test]
fn no_key_is_shown() {
    let shown = format!("{:?}", seal(&[77]));
    assert!(
        shown.contains("keys: 1") && !shown.contains("77"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn what_was_sealed_is_opened(
        id in "\\PC{1,40}", old: bool, info in prop::option::of("[a-z]{0,30}"), age in 1_u64..100_000
    ) {
        let now = ManualClock::new().wall();
        let revision = if old { Revision::V2025_03_26 } else { Revision::V2025_11_25 };
        let info = info.map(|name| format!("{{\"name\":\"{name}\", \"n\":1.0}}"));
        let keys = [Secret::new([9; 32])];
        let seal = SessionSeal::new(keys, Duration::from_secs(age)).unwrap();
        let client = client(&id, revision, info.as_deref(), None);
        let (token, sealed) = seal.seal(&client, now).unwrap();
        let opened = seal.open(&token, &caller(&id), None, now).unwrap();
        prop_assert_eq!(&opened, &sealed);
        prop_assert_eq!(opened.info.map(|info| info.to_string()), info);
        prop_assert_eq!(opened.revision, revision);
    }

    #[test]
    fn any_flipped_bit_is_refused(at: prop::sample::Index, bit in 0_u32..8) {
        let (seal, now) = (seal(&[1, 2]), ManualClock::new().wall());
        let (id, _) = seal.seal(&plain(), now).unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(&id).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let changed = URL_SAFE_NO_PAD.encode(bytes);
        prop_assert_eq!(seal.open(&changed, &caller("ann"), None, now), None);
    }

    #[test]
    fn any_other_text_is_refused(at: prop::sample::Index, with in "[ -~]", cut: prop::sample::Index) {
        let (seal, now) = (seal(&[1]), ManualClock::new().wall());
        let (id, _) = seal.seal(&plain(), now).unwrap();
        let at = at.index(id.len());
        let (head, tail) = id.split_at(at);
        let other: String = head.chars().chain(with.chars()).chain(tail.chars().skip(1)).collect();
        prop_assume!(other != id);
        prop_assert_eq!(seal.open(&other, &caller("ann"), None, now), None);
        prop_assert_eq!(seal.open(id.split_at(cut.index(id.len())).0, &caller("ann"), None, now), None);
        prop_assert_eq!(seal.open(&format!("{id}{with}"), &caller("ann"), None, now), None);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,80}|[A-Za-z0-9_-]{0,200}") {
        let now = ManualClock::new().wall();
        prop_assert_eq!(seal(&[1]).open(&text, &caller("ann"), None, now), None);
    }
}
