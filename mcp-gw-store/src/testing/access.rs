//! Users and keys.

use mcp_gw_core::testing::ManualClock;

use super::{ODD, SECOND, check, is_conflict, is_invalid, is_missing};
use crate::contract::Store;
use crate::error::Conflict;
use crate::values::{
    Cursor, Edit, KeyChange, KeyFilter, KeyId, NewKey, NewUser, PageRequest, PasswordHash,
    Revision, SecretHash, Time, User, UserChange, UserFilter, UserId,
};

fn user(name: &str) -> NewUser {
    NewUser::new(name, PasswordHash::new("$argon2id$x"))
}

async fn all_users(store: &dyn Store, filter: &UserFilter, limit: u32) -> Vec<User> {
    let mut users = Vec::new();
    let mut page = PageRequest::first(limit);
    loop {
        let answer = store.users(filter, &page).await.unwrap();
        check(
            answer.items.len() <= usize::try_from(limit).unwrap(),
            "a page has at most so many items",
        );
        users.extend(answer.items);
        let Some(next) = answer.next else {
            return users;
        };
        page = page.after(next);
    }
}

/// [`Users`](crate::Users).
pub async fn users_contract(store: &dyn Store, clock: &ManualClock) {
    names_are_unique(store).await;
    users_change(store, clock).await;
    odd_users(store).await;
    let users = all_users(store, &UserFilter::new(), 2).await;
    let one_page = all_users(store, &UserFilter::new(), 1_000).await;
    check(users == one_page, "pages are the list in pieces");
    check(
        users.is_sorted_by(|one, other| one.id < other.id),
        "users are in the order of creation",
    );
    let counts = store.counts().await.unwrap();
    check(
        counts.users == u64::try_from(users.len()).unwrap(),
        "users are counted",
    );
    for user in users.iter().filter(|user| !user.is_superuser) {
        store.delete_user(user.id, None).await.unwrap();
    }
    check(
        store.counts().await.unwrap().users == 1,
        "who is deleted is gone",
    );
    let ada = store.user_by_name("ada").await.unwrap();
    the_last_superuser_stays(store, &ada).await;
}

/// `last` is the only superuser there is.
async fn the_last_superuser_stays(store: &dyn Store, last: &User) {
    let mut demoted = UserChange::new();
    demoted.is_superuser = Edit::Set(false);
    let mut idle = UserChange::new();
    idle.is_active = Edit::Set(false);
    let mut new = user("zoe");
    new.is_superuser = true;
    new.is_active = false;
    let zoe = store.create_user(new).await.unwrap().id;
    let is_last = |answer: &Result<User, _>| is_conflict(answer, Conflict::LastSuperuser);
    // One who may not log in does not count.
    for change in [&demoted, &idle] {
        check(
            is_last(&store.update_user(last.id, None, change.clone()).await),
            "the last superuser stays one",
        );
    }
    let deleted = store.delete_user(last.id, None).await;
    check(
        is_conflict(&deleted, Conflict::LastSuperuser),
        "the last superuser is not deleted",
    );
    let stale = Some(Revision::new(77));
    check(
        is_conflict(&store.delete_user(last.id, stale).await, Conflict::Revision),
        "of two reasons the revision comes first",
    );
    check(
        store.user(last.id).await.as_ref() == Ok(last),
        "what is refused changes nothing",
    );
    let mut active = UserChange::new();
    active.is_active = Edit::Set(true);
    active.is_superuser = Edit::Set(true);
    store.update_user(zoe, None, active).await.unwrap();
    check(
        store.update_user(last.id, None, idle).await.is_ok(),
        "one of two may go",
    );
    check(
        is_last(&store.update_user(zoe, None, demoted.clone()).await),
        "the last one may be another than before",
    );
    store.delete_user(last.id, None).await.unwrap();
    check(
        store.counts().await.unwrap().active_superusers == 1,
        "there is a superuser for good",
    );
}

async fn names_are_unique(store: &dyn Store) {
    let mut new = user("Ada");
    new.email = Some("ada@example.com".to_owned());
    new.roles = vec!["b".to_owned(), "a".to_owned(), String::new()];
    new.is_superuser = true;
    let ada = store.create_user(new).await.unwrap();
    check(
        ada.username == "Ada" && ada.is_active && ada.is_superuser,
        "a user is as it was given",
    );
    check(ada.roles == ["b", "a", ""], "lists keep their order");
    check(
        store.user(ada.id).await.as_ref() == Ok(&ada),
        "what is read is what was returned",
    );
    for name in ["ada", "ADA", "Ada"] {
        check(
            store.user_by_name(name).await.as_ref() == Ok(&ada),
            "a user is found in any case",
        );
        check(
            is_conflict(&store.create_user(user(name)).await, Conflict::Username),
            "a name is taken in any case",
        );
    }
    let later = store.create_user(user("Änne")).await.unwrap();
    check(
        later.id > ada.id && store.user_by_name("ÄNNE").await.as_ref() == Ok(&later),
        "case is that of all letters",
    );
    check(
        store.delete_user(later.id, None).await.is_ok(),
        "a user can be deleted",
    );
    let again = store.create_user(user("änne")).await.unwrap();
    check(again.id > later.id, "an id is never given out twice");
    check(
        is_missing(&store.user(later.id).await),
        "the old id is gone",
    );
    let superusers = UserFilter {
        is_superuser: Some(true),
        ..UserFilter::new()
    };
    check(
        all_users(store, &superusers, 10).await == [ada],
        "users are filtered",
    );
}

async fn users_change(store: &dyn Store, clock: &ManualClock) {
    let eve = store.create_user(user("eve")).await.unwrap();
    clock.advance(SECOND);
    let mut change = UserChange::new();
    change.email = Edit::Set(Some("eve@example.com".to_owned()));
    change.is_active = Edit::Set(false);
    change.revoke_tokens = true;
    let changed = store
        .update_user(eve.id, Some(eve.revision), change.clone())
        .await
        .unwrap();
    check(
        changed.email.as_deref() == Some("eve@example.com")
            && !changed.is_active
            && changed.token_epoch == 1
            && changed.full_name == eve.full_name
            && changed.password_hash == eve.password_hash,
        "what is set changes and the rest stays",
    );
    check(
        changed.revision > eve.revision
            && changed.updated_at > eve.updated_at
            && changed.created_at == eve.created_at,
        "a change is told by revision and time",
    );
    check(
        store.user(eve.id).await.as_ref() == Ok(&changed),
        "what is read is what was returned",
    );
    let stale = store.update_user(eve.id, Some(eve.revision), change).await;
    check(
        is_conflict(&stale, Conflict::Revision),
        "what was changed meanwhile is not overwritten",
    );
    check(
        is_conflict(
            &store.delete_user(eve.id, Some(eve.revision)).await,
            Conflict::Revision,
        ),
        "what was changed meanwhile is not deleted",
    );
    users_are_renamed_and_go(store, eve.id).await;
}

async fn users_are_renamed_and_go(store: &dyn Store, eve: UserId) {
    let mut rename = UserChange::new();
    rename.username = Edit::Set("aDA".to_owned());
    check(
        is_conflict(
            &store.update_user(eve, None, rename.clone()).await,
            Conflict::Username,
        ),
        "nobody is renamed to somebody else",
    );
    rename.username = Edit::Set("EVE".to_owned());
    let renamed = store.update_user(eve, None, rename).await.unwrap();
    check(
        renamed.username == "EVE",
        "a name can be written in another case",
    );
    check(
        store.delete_user(eve, Some(renamed.revision)).await.is_ok(),
        "the revision of now is good",
    );
    for answer in [
        store.update_user(eve, None, UserChange::new()).await,
        store.user(eve).await,
        store.user_by_name("eve").await,
        store.user(UserId::new(i64::MAX)).await,
        store.user(UserId::new(-1)).await,
    ] {
        check(is_missing(&answer), "who is deleted is gone");
    }
    check(
        is_missing(&store.delete_user(eve, None).await),
        "nobody is deleted twice",
    );
}

async fn odd_users(store: &dyn Store) {
    for text in ODD {
        let mut new = user(text);
        new.email = Some(text.to_owned());
        new.full_name = Some(text.to_owned());
        new.groups = vec![text.to_owned()];
        let made = store.create_user(new).await.unwrap();
        let found = store.user_by_name(text).await.unwrap();
        check(
            found == made && found.groups == [text] && found.email.as_deref() == Some(text),
            "text comes out as it went in",
        );
    }
    let long = "x".repeat(257);
    for name in ["", "a\0b", &long] {
        check(
            is_invalid(&store.create_user(user(name)).await),
            "names that not every database takes are refused",
        );
        check(
            is_missing(&store.user_by_name(name).await),
            "nobody has a name that is refused",
        );
    }
    let mut new = user("nul");
    new.full_name = Some("\0".to_owned());
    check(
        is_invalid(&store.create_user(new).await),
        "U+0000 is refused",
    );
    for text in ["", "x", "azEyMw"] {
        let page = PageRequest::first(5).after(Cursor::from_text(text));
        check(
            is_invalid(&store.users(&UserFilter::new(), &page).await),
            "a cursor of another list is refused",
        );
    }
}

fn hash(byte: u8) -> SecretHash {
    SecretHash::from_bytes([byte; 32])
}

/// [`Keys`](crate::Keys).
pub async fn keys_contract(store: &dyn Store, clock: &ManualClock) {
    let ada = store.create_user(user("ada")).await.unwrap();
    let eve = store.create_user(user("eve")).await.unwrap();
    let mut new = NewKey::new(ada.id, "laptop", "k1", hash(255));
    new.scopes = vec!["tools:call".to_owned()];
    new.expires_at = Some(Time::from_micros(i64::MAX));
    let key = store.create_key(new).await.unwrap();
    check(
        key.secret_hash == hash(255) && key.secret_hash != hash(254),
        "a hash is kept as it is",
    );
    check(
        store.key(key.id).await.as_ref() == Ok(&key),
        "what is read is what was returned",
    );
    let holder = store.key_holder("k1").await.unwrap();
    check(
        holder.key == key && holder.user == ada,
        "a key is found by its public id, with its user",
    );
    for id in ["K1", "", "k1\0", "k1'"] {
        check(
            is_missing(&store.key_holder(id).await),
            "public ids are told apart by case",
        );
    }
    let taken = NewKey::new(eve.id, "other", "k1", hash(2));
    check(
        is_conflict(&store.create_key(taken).await, Conflict::KeyId),
        "a public id is nobody else's",
    );
    let nobodys = NewKey::new(UserId::new(999_999), "x", "k9", hash(2));
    check(
        is_missing(&store.create_key(nobodys).await),
        "a key has a user",
    );
    let neither = NewKey::new(UserId::new(999_999), "x", "k1", hash(2));
    check(
        is_conflict(&store.create_key(neither).await, Conflict::KeyId),
        "of two reasons the public id comes first",
    );
    keys_change(store, clock, key.id).await;
    for number in 0..5_u8 {
        let id = format!("e{number}");
        let new = NewKey::new(eve.id, "same name", id, hash(number));
        store.create_key(new).await.unwrap();
    }
    keys_are_listed_and_go(store, eve.id).await;
    store.delete_user(ada.id, None).await.unwrap();
    check(
        store.counts().await.unwrap().keys == 0,
        "the keys of a user go with it",
    );
}

async fn keys_change(store: &dyn Store, clock: &ManualClock, id: KeyId) {
    let key = store.key(id).await.unwrap();
    let noon = Time::from_micros(1_000_000);
    let uses = [
        (id, noon),
        (id, noon.before(SECOND)),
        (KeyId::new(999_999), noon),
    ];
    store.touch_keys(&uses).await.unwrap();
    store.touch_keys(&[]).await.unwrap();
    let after = store.key(id).await.unwrap();
    check(
        after.last_used == Some(noon) && after.revision == key.revision,
        "the last use is noted, and no change",
    );
    clock.advance(SECOND);
    let mut change = KeyChange::new();
    change.public_id = Edit::Set("k2".to_owned());
    change.secret_hash = Edit::Set(hash(7));
    change.expires_at = Edit::Set(None);
    let rotated = store
        .update_key(id, Some(key.revision), change.clone())
        .await
        .unwrap();
    check(
        rotated.id == id && rotated.secret_hash == hash(7) && rotated.name == key.name,
        "a key can be rotated",
    );
    check(
        is_missing(&store.key_holder("k1").await)
            && store.key_holder("k2").await.unwrap().key == rotated,
        "the old public id is gone",
    );
    check(
        is_conflict(
            &store.update_key(id, Some(key.revision), change).await,
            Conflict::Revision,
        ),
        "what was changed meanwhile is not overwritten",
    );
    check(
        rotated.is_usable(Time::from_micros(i64::MAX)),
        "a key without an end is good for ever",
    );
    keys_are_revoked(store, clock, id).await;
}

async fn keys_are_revoked(store: &dyn Store, clock: &ManualClock, id: KeyId) {
    let noon = Time::from_micros(1_000_000);
    let revoked = store.revoke_key(id).await.unwrap();
    clock.advance(SECOND);
    check(
        revoked.revoked_at.is_some() && !revoked.is_usable(noon),
        "a revoked key is not good",
    );
    check(
        store.revoke_key(id).await.as_ref() == Ok(&revoked),
        "a key is revoked once",
    );
    let mut change = KeyChange::new();
    change.is_active = Edit::Set(true);
    let changed = store.update_key(id, None, change).await.unwrap();
    check(!changed.is_usable(noon), "a key is revoked for good");
    let gone = KeyId::new(999_999);
    check(
        is_missing(&store.revoke_key(gone).await) && is_missing(&store.key(gone).await),
        "what is not there is told",
    );
}

async fn keys_are_listed_and_go(store: &dyn Store, user: UserId) {
    let filter = KeyFilter::of_user(user);
    let first = store.keys(&filter, &PageRequest::first(3)).await.unwrap();
    let next = PageRequest::first(3).after(first.next.unwrap());
    // What goes and what comes meanwhile moves no page.
    store.delete_key(first.items[2].id, None).await.unwrap();
    let second = store.keys(&filter, &next).await.unwrap();
    check(
        first.items.len() == 3 && second.items.len() == 2 && second.next.is_none(),
        "keys of a user are listed in pages",
    );
    check(
        second.items.iter().all(|key| key.user_id == user),
        "keys are filtered",
    );
    let all = store.keys(&KeyFilter::new(), &PageRequest::first(0)).await;
    check(
        all.unwrap().items.len() == 1,
        "a page has at least one item",
    );
    let stale = Some(Revision::new(77));
    check(
        is_conflict(
            &store.delete_key(second.items[0].id, stale).await,
            Conflict::Revision,
        ),
        "what was changed meanwhile is not deleted",
    );
    store.delete_user(user, None).await.unwrap();
    check(
        is_missing(&store.key(second.items[0].id).await)
            && is_missing(&store.key_holder("e4").await),
        "the keys of a user go with it",
    );
}
