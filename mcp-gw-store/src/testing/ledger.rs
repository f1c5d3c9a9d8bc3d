//! Quotas, pins and tokens.

use mcp_gw_core::Clock as _;
use mcp_gw_core::testing::ManualClock;

use super::{ODD, SECOND, check, is_conflict, is_invalid, is_missing};
use crate::contract::Store;
use crate::error::Conflict;
use crate::values::{
    PageRequest, Pin, QuotaCharge, QuotaKey, QuotaRecord, QuotaStanding, Revision, Time,
};

fn key(byte: u8) -> QuotaKey {
    QuotaKey::from_bytes([byte; 16])
}

/// [`Quotas`](crate::Quotas).
pub async fn quotas_contract(store: &dyn Store, clock: &ManualClock) {
    let now = Time::from(clock.wall());
    let today = now.after(10 * SECOND);
    let charge = |byte, cost, max| QuotaCharge::new(key(byte), cost, max, today);
    let standing = QuotaStanding::new;
    let ask = async |charges: &[QuotaCharge]| store.charge_quotas(charges).await.unwrap();

    let both = [charge(2, 3, 5), charge(1, 1, 1)];
    check(
        ask(&both).await == [standing(true, 3, today), standing(true, 1, today)],
        "what has room is charged, in the order that was asked",
    );
    check(
        ask(&both).await == [standing(false, 3, today), standing(false, 1, today)],
        "what has no room is not charged",
    );
    check(
        ask(&[charge(2, 2, 5), charge(1, 1, 1)]).await
            == [standing(true, 3, today), standing(false, 1, today)],
        "all are charged or none",
    );
    check(
        ask(&[charge(2, 0, 0)]).await == [standing(true, 3, today)],
        "to look costs nothing",
    );
    let later = [QuotaCharge::new(key(2), 0, 5, today.after(SECOND))];
    check(
        ask(&later).await == [standing(true, 0, today.after(SECOND))]
            && ask(&[charge(2, 0, 5)]).await == [standing(true, 3, today)],
        "to look begins no period",
    );
    check(ask(&[]).await.is_empty(), "nothing is charged nothing");
    check(
        store.quotas().await.unwrap()
            == [
                QuotaRecord::new(key(1), 1, today),
                QuotaRecord::new(key(2), 3, today),
            ],
        "records are listed by key",
    );
    let tomorrow = today.after(10 * SECOND);
    let later = [QuotaCharge::new(key(1), 1, 1, tomorrow)];
    check(
        ask(&later).await == [standing(true, 1, tomorrow)],
        "another period begins anew",
    );
    check(
        ask(&[charge(1, 1, 9)]).await == [standing(true, 2, tomorrow)],
        "a node whose clock is behind charges the period of now",
    );
    clock.advance(10 * SECOND);
    check(
        store.quotas().await.unwrap() == [QuotaRecord::new(key(1), 2, tomorrow)],
        "a period that has ended is not listed",
    );
    check(
        store.prune_quotas().await == Ok(1),
        "what has ended is deleted",
    );
    quotas_are_saved(store, tomorrow).await;
}

async fn quotas_are_saved(store: &dyn Store, until: Time) {
    let most = u64::try_from(i64::MAX).unwrap();
    store.reset_quotas(&[key(1)]).await.unwrap();
    let saved = [QuotaRecord::new(key(9), most, until)];
    store.save_quotas(&saved).await.unwrap();
    let fewer = [
        QuotaRecord::new(key(9), 5, until),
        QuotaRecord::new(key(7), 3, until),
    ];
    store.save_quotas(&fewer).await.unwrap();
    let earlier = [
        QuotaRecord::new(key(9), most, until.before(SECOND)),
        QuotaRecord::new(key(7), 4, until.before(SECOND)),
    ];
    store.save_quotas(&earlier).await.unwrap();
    check(
        store.quotas().await.unwrap() == [fewer[1], saved[0]],
        "of two counts the greater one of the later period holds, and others stay",
    );
    store.reset_quotas(&[key(7)]).await.unwrap();
    let full = [QuotaCharge::new(key(9), most, most, until)];
    check(
        store.charge_quotas(&full).await == Ok(vec![QuotaStanding::new(false, most, until)]),
        "counts do not run over",
    );
    let twice = [saved[0], saved[0]];
    let above = [QuotaRecord::new(key(9), most + 1, until)];
    check(
        is_invalid(&store.save_quotas(&twice).await)
            && is_invalid(&store.save_quotas(&above).await)
            && is_invalid(&store.charge_quotas(&[full[0], full[0]]).await)
            && store.quotas().await.unwrap() == saved,
        "what cannot be is refused and changes nothing",
    );
    store.reset_quotas(&[key(9), key(8)]).await.unwrap();
    check(
        store.quotas().await.unwrap().is_empty(),
        "what is reset is forgotten",
    );
}

/// [`Pins`](crate::Pins).
pub async fn pins_contract(store: &dyn Store, clock: &ManualClock) {
    let mut tool = Pin::new("tool", "b", "sha256:1");
    tool.definition = Some("{\"name\":\"b\"}".to_owned());
    let list = vec![
        tool,
        Pin::new("tool", "a", "2"),
        Pin::new("prompt", "z", "3"),
    ];
    check(is_missing(&store.pins("s").await), "nothing is pinned yet");
    let stale = Some(Revision::new(1));
    check(
        is_conflict(
            &store.put_pins("s", stale, list.clone()).await,
            Conflict::Revision,
        ),
        "pins that are gone are not made anew by mistake",
    );
    let made = store.put_pins("s", None, list.clone()).await.unwrap();
    let names: Vec<&str> = made.pins.iter().map(|pin| &*pin.name).collect();
    check(
        names == ["z", "a", "b"] && store.pins("s").await.as_ref() == Ok(&made),
        "pins are kept by kind and name",
    );
    check(
        is_conflict(
            &store.put_pins("s", None, list.clone()).await,
            Conflict::Revision,
        ),
        "pins are not overwritten by who did not read them",
    );
    clock.advance(SECOND);
    let put = store.put_pins("s", Some(made.revision), Vec::new()).await;
    let none = put.unwrap();
    check(
        none.pins.is_empty()
            && none.revision > made.revision
            && none.updated_at > made.updated_at
            && store.pins("s").await.as_ref() == Ok(&none),
        "that nothing is offered can be pinned",
    );
    odd_pins(store, &list).await;
    let servers = store.pinned_servers().await.unwrap();
    check(
        servers.len() == 9 && servers.is_sorted(),
        "pinned servers are listed by their bytes",
    );
    check(
        is_conflict(&store.delete_pins("s", stale).await, Conflict::Revision),
        "pins that were changed meanwhile are not deleted",
    );
    for server in servers {
        store.delete_pins(&server, None).await.unwrap();
        check(
            is_missing(&store.delete_pins(&server, None).await),
            "pins are deleted once",
        );
    }
}

async fn odd_pins(store: &dyn Store, list: &[Pin]) {
    let twice = [list, list].concat();
    let uri = vec![Pin::new("resource", "u".repeat(2_049), "1")];
    check(
        is_invalid(&store.put_pins("t", None, twice).await)
            && is_invalid(&store.put_pins("t", None, uri).await)
            && is_missing(&store.pins("t").await),
        "what cannot be is refused",
    );
    for text in ODD {
        let mut pin = Pin::new("resource", text, text);
        pin.definition = Some(text.repeat(100));
        let made = store.put_pins(text, None, vec![pin]).await.unwrap();
        check(
            store.pins(text).await.as_ref() == Ok(&made),
            "text comes out as it went in",
        );
    }
}

/// [`Tokens`](crate::Tokens).
pub async fn tokens_contract(store: &dyn Store, clock: &ManualClock) {
    let now = Time::from(clock.wall());
    let secret = store.secret("jwt").await.unwrap();
    check(
        store.secret("jwt").await.unwrap().expose() == secret.expose(),
        "a secret is made once",
    );
    check(
        store.secret("keys").await.unwrap().expose() != secret.expose()
            && secret.expose() != &[0; 32],
        "each secret is another one",
    );
    check(is_invalid(&store.secret("").await), "a secret has a name");
    let soon = now.after(SECOND);
    store.revoke_token("b", soon.after(SECOND)).await.unwrap();
    store.revoke_token("b", soon).await.unwrap();
    store.revoke_token("a", soon).await.unwrap();
    store.revoke_token("B", soon).await.unwrap();
    check(
        store.is_token_revoked("b").await == Ok(true)
            && store.is_token_revoked("c").await == Ok(false)
            && store.is_token_revoked("\0").await == Ok(false),
        "what is revoked is told from what is not",
    );
    let first = store.revoked_tokens(&PageRequest::first(2)).await.unwrap();
    let rest = PageRequest::first(2).after(first.next.unwrap());
    let rest = store.revoked_tokens(&rest).await.unwrap();
    check(
        first.items == [("B".to_owned(), soon), ("a".to_owned(), soon)]
            && rest.items == [("b".to_owned(), soon.after(SECOND))],
        "revoked tokens are listed, and the later end holds",
    );
    check(
        is_invalid(&store.revoke_token("", soon).await)
            && is_invalid(&store.revoke_token(&"x".repeat(257), soon).await),
        "what cannot be an id is refused",
    );
    clock.advance(SECOND);
    check(
        store.prune_tokens().await == Ok(2),
        "what has ended is forgotten",
    );
    clock.advance(SECOND);
    check(
        store.prune_tokens().await == Ok(1),
        "what has ended is forgotten",
    );
}
