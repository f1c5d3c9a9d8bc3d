use std::time::SystemTime;

use mcp_gw_core::testing::{ManualClock, authenticator_contract};
use mcp_gw_store::{Edit, MemoryStore, PageRequest, UserFilter, UserId};

use super::*;

mod ends;

const PASSWORD: &str = "correct horse";

struct Case {
    management: Management,
    clock: ManualClock,
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn config() -> ManagementConfig {
    ManagementConfig {
        admin_password: Some(secret(PASSWORD)),
        ..ManagementConfig::default()
    }
}

async fn on(store: &Arc<dyn Store>, config: &ManagementConfig, clock: &ManualClock) -> Management {
    let clock = Arc::new(clock.clone());
    let made = Management::with_cost(config, Arc::clone(store), clock, Cost::LEAST);
    made.await.unwrap()
}

impl Case {
    async fn with(config: &ManagementConfig) -> Self {
        let clock = ManualClock::new();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
        let management = on(&store, config, &clock).await;
        Self { management, clock }
    }

    async fn new() -> Self {
        Self::with(&config()).await
    }

    fn id(&self) -> &Identity {
        self.management.identity()
    }

    async fn user(&self, name: &str) -> User {
        let account = NewAccount::new(name, secret(PASSWORD));
        self.id().create_user(account).await.unwrap()
    }

    async fn login(&self, name: &str) -> Secret<String> {
        let issued = self.id().login(name, &secret(PASSWORD), None).await;
        issued.unwrap().access_token
    }

    async fn principal(&self, name: &str) -> Principal {
        let token = self.login(name).await;
        Principal::of(&self.id().check(&token).await.unwrap()).unwrap()
    }

    async fn key(&self, of: &str, scopes: &[&str]) -> IssuedKey {
        let mut order = KeyOrder::new("ci");
        order.scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let by = self.principal(of).await;
        self.id().create_key(&by, order).await.unwrap()
    }

    async fn refused(&self, credential: &Secret<String>) -> String {
        match self.id().check(credential).await {
            Err(AuthnError::Invalid { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }
}

fn http() -> Credentials {
    Credentials::none(Transport::Http)
}

#[tokio::test]
async fn one_admin_is_made_and_their_password_told_once() {
    let clock = ManualClock::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
    let config = ManagementConfig::default();
    let all = [
        on(&store, &config, &clock),
        on(&store, &config, &clock),
        on(&store, &config, &clock),
    ];
    let [a, b, c] = all;
    let (a, b, c) = tokio::join!(a, b, c);
    let told: Vec<_> = [&a, &b, &c]
        .into_iter()
        .filter_map(Management::take_first_admin)
        .collect();
    assert_eq!(told.len(), 1, "one of three gateways made it");
    assert!(
        [a.clone(), b, c]
            .iter()
            .all(|it| it.take_first_admin().is_none())
    );
    let first = &told[0];
    assert!(!format!("{first:?}").contains(first.password.expose().as_str()));
    let login = a.identity().login("admin", &first.password, None).await;
    let caller = a
        .identity()
        .check(&login.unwrap().access_token)
        .await
        .unwrap();
    assert!(Principal::of(&caller).unwrap().is_admin());
    assert_eq!(caller.roles, ["admin"]);
    // A password that is given later changes nothing.
    let again = on(&store, &self::config(), &clock).await;
    let wrong = again
        .identity()
        .login("admin", &secret(PASSWORD), None)
        .await;
    assert_eq!(wrong.unwrap_err(), LoginError::Invalid);
    let short = ManagementConfig {
        admin_password: Some(secret("short")),
        ..ManagementConfig::default()
    };
    let empty: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let clock = Arc::new(clock.clone());
    let error = Management::with_cost(&short, empty, clock, Cost::LEAST)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("8 to 1024"), "{error}");
}

#[tokio::test]
async fn keys_and_tokens_make_callers_and_nothing_else_does() {
    let case = Case::new().await;
    case.user("ann").await;
    let token = case.login("ann").await;
    let key = case.key("ann", &["gateway:read"]).await.text;
    for shown in [
        http().with_bearer(token.clone()),
        http().with_bearer(key.clone()),
        http().with_api_key(key.clone()),
    ] {
        authenticator_contract(case.id(), Some(shown)).await;
    }
    let user = case.id().check(&token).await.unwrap();
    assert_eq!(
        (&*user.id, user.kind, &*user.issuer),
        ("ann", CallerKind::User, ISSUER)
    );
    assert_eq!(user.scopes, ["gateway:read", "tools:call"]);
    assert!(user.roles.is_empty());
    let program = case.id().check(&key).await.unwrap();
    assert_eq!(program.kind, CallerKind::ApiKey);
    assert!(program.id.starts_with("key:"), "{}", program.id);
    assert_eq!(program.scopes, ["gateway:read"]);
    let both = http().with_bearer(token.clone()).with_api_key(key.clone());
    case.id().authenticate(&both).await.unwrap_err();
    let as_key = http().with_api_key(token.clone());
    case.id().authenticate(&as_key).await.unwrap_err();
    // What was looked up shows no secret.
    let shown = format!("{:?}", case.management);
    assert!(!shown.contains(key.expose().as_str()) && !shown.contains(PASSWORD));
}

#[tokio::test]
async fn tokens_of_others_changed_and_old_ones_are_refused() {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
    let secret_key = "0123456789abcdef0123456789abcdef";
    let config = ManagementConfig {
        secret_key: Some(secret(secret_key)),
        ..config()
    };
    let case = Case::with(&config).await;
    let good = case.login("admin").await;
    case.id().check(&good).await.unwrap();
    let parts: Vec<&str> = good.expose().split('.').collect();
    let claims: serde_json::Value = serde_json::from_slice(&B64.decode(parts[1]).unwrap()).unwrap();
    let signed = |key: &str, header: &str, claims: &serde_json::Value| {
        let text = format!("{}.{}", B64.encode(header), B64.encode(claims.to_string()));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
        let mac = ring::hmac::sign(&key, text.as_bytes());
        secret(&format!("{text}.{}", B64.encode(mac)))
    };
    let hs256 = r#"{"alg":"HS256","typ":"JWT"}"#;
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        signed(secret_key, hs256, &claims)
    };
    case.id()
        .check(&signed(secret_key, hs256, &claims))
        .await
        .unwrap();
    let none = format!("{}.{}.", B64.encode(r#"{"alg":"none"}"#), parts[1]);
    let swapped = format!(
        "{}.{}.{}",
        B64.encode(r#"{"alg":"RS256"}"#),
        parts[1],
        parts[2]
    );
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        signed(secret_key, hs256, &claims)
    };
    let mut table = vec![
        ("nothing", secret("")),
        ("no token", secret("eyJ")),
        ("no signature", secret(&none)),
        ("another algorithm", secret(&swapped)),
        ("another secret", signed(&"x".repeat(32), hs256, &claims)),
        (
            "critical",
            signed(secret_key, r#"{"alg":"HS256","crit":["x"]}"#, &claims),
        ),
        ("a blank", secret(&format!("{} ", good.expose()))),
        ("too long", secret(&"a.".repeat(LONGEST))),
        ("another issuer", with("iss", "https://evil".into())),
        ("for others", with("aud", "others".into())),
        ("a name for a number", with("sub", "admin".into())),
        ("another spelling", with("sub", "+1".into())),
        ("nobody", with("sub", "999".into())),
        ("another kind", with("sub", 1.into())),
        ("another epoch", with("epoch", 7.into())),
        ("an epoch that is none", with("epoch", "0".into())),
        ("over", with("exp", 1_000_000_000_i64.into())),
        ("never over", with("exp", serde_json::Value::Null)),
        ("beyond time", with("exp", i64::MAX.into())),
        ("of the future", with("iat", 1_000_000_999_i64.into())),
        (
            "before the user was made",
            with("iat", 999_999_000_i64.into()),
        ),
        ("without a name", with("jti", "".into())),
        ("a name without end", with("jti", "x".repeat(300).into())),
    ];
    for name in ["iss", "aud", "sub", "epoch", "jti", "iat", "exp"] {
        table.push((name, without(name)));
    }
    // Only the last can be good for a while: its time is not over, and nobody looked at it before.
    case.clock.advance(Duration::from_secs(6));
    for (what, token) in table {
        let refused = case.id().check(&token).await;
        assert!(
            matches!(refused, Err(AuthnError::Invalid { .. })),
            "{what}: {refused:?}"
        );
    }
    case.clock.advance(Duration::from_secs(30 * 60));
    assert!(case.refused(&good).await.contains("expired"));
}

#[tokio::test]
async fn a_secret_that_is_kept_is_that_of_all_gateways_on_the_store() {
    let case = Case::new().await;
    let other = on(case.management.store(), &config(), &case.clock).await;
    let token = case.login("admin").await;
    let key = case.key("admin", &["admin"]).await.text;
    other.identity().check(&token).await.unwrap();
    other.identity().check(&key).await.unwrap();
}

#[tokio::test]
async fn logging_out_ends_one_token_and_a_new_password_all() {
    let case = Case::new().await;
    let ann = case.user("ann").await;
    let other = on(case.management.store(), &config(), &case.clock).await;
    let (one, two) = (case.login("ann").await, case.login("ann").await);
    let key = case.key("ann", &["tools:call"]).await.text;
    for token in [&one, &two] {
        other.identity().check(token).await.unwrap();
    }
    let mut told = other.identity().changed();
    told.mark_unchanged();
    case.id().logout(&one).await.unwrap();
    case.id().logout(&one).await.unwrap();
    assert!(case.refused(&one).await.contains("revoked"));
    case.id().check(&two).await.unwrap();
    // The other gateway hears of it.
    told.changed().await.unwrap();
    other.identity().check(&one).await.unwrap_err();
    case.id().logout(&key).await.unwrap_err();
    case.id().logout(&secret("no token")).await.unwrap_err();
    let caller = case.id().check(&two).await.unwrap();
    assert!(case.id().is_current(&caller).await.unwrap());
    let (old, new) = (secret(PASSWORD), secret("another horse"));
    let wrong = case.id().change_password(ann.id, &new, &new);
    assert_eq!(wrong.await.unwrap_err(), IdentityError::WrongPassword);
    let right = case.id().change_password(ann.id, &old, &new);
    right.await.unwrap();
    assert!(case.refused(&two).await.contains("revoked"));
    assert!(!case.id().is_current(&caller).await.unwrap());
    case.id().check(&key).await.unwrap();
    case.id()
        .login("ann", &secret(PASSWORD), None)
        .await
        .unwrap_err();
    let token = case
        .id()
        .login("ann", &secret("another horse"), None)
        .await
        .unwrap();
    case.id().end_tokens(ann.id).await.unwrap();
    case.refused(&token.access_token).await;
}

#[tokio::test]
async fn a_user_who_is_disabled_or_gone_is_out_with_tokens_and_keys() {
    let case = Case::new().await;
    let ann = case.user("ann").await;
    let (token, key) = (
        case.login("ann").await,
        case.key("ann", &["tools:call"]).await,
    );
    let caller = case.id().check(&key.text).await.unwrap();
    let mut change = AccountChange::new();
    change.is_active = Edit::Set(false);
    case.id().update_user(ann.id, None, change).await.unwrap();
    case.refused(&token).await;
    case.refused(&key.text).await;
    assert!(!case.id().is_current(&caller).await.unwrap());
    let refused = case.id().login("ann", &secret(PASSWORD), None).await;
    assert_eq!(
        refused.unwrap_err(),
        LoginError::Invalid,
        "as a wrong password"
    );
    let mut change = AccountChange::new();
    change.is_active = Edit::Set(true);
    case.id().update_user(ann.id, None, change).await.unwrap();
    case.refused(&token).await;
    case.id().check(&key.text).await.unwrap();
    let token = case.login("ann").await;
    case.id().delete_user(ann.id, None).await.unwrap();
    case.refused(&key.text).await;
    case.refused(&token).await;
    // A user of the same name is another one.
    case.user("ann").await;
    case.refused(&token).await;
    case.refused(&key.text).await;
}

#[tokio::test]
async fn somebody_stays_who_may_do_everything() {
    let case = Case::new().await;
    let admin = case.principal("admin").await.user_id;
    let demoted = || {
        let mut change = AccountChange::new();
        change.is_superuser = Edit::Set(false);
        change
    };
    let mut disabled = AccountChange::new();
    disabled.is_active = Edit::Set(false);
    let last = IdentityError::LastAdmin;
    let id = case.id();
    assert_eq!(
        id.update_user(admin, None, demoted()).await.unwrap_err(),
        last
    );
    assert_eq!(
        id.update_user(admin, None, disabled).await.unwrap_err(),
        last
    );
    assert_eq!(id.delete_user(admin, None).await.unwrap_err(), last);
    let mut other = NewAccount::new("eve", secret(PASSWORD));
    other.is_superuser = true;
    let other = id.create_user(other).await.unwrap();
    // Both at once: one stays.
    let (one, two) = tokio::join!(
        id.update_user(admin, None, demoted()),
        id.delete_user(other.id, None)
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
}

#[tokio::test]
async fn a_key_never_has_more_than_its_user_and_its_maker() {
    let case = Case::new().await;
    let ann = case.user("ann").await;
    let everything = case.key("admin", &["admin"]).await.text;
    let caller = case.id().check(&everything).await.unwrap();
    let root = Principal::of(&caller).unwrap();
    assert!(root.is_admin() && root.may(Scope::Write));
    assert_eq!(caller.roles, ["admin"]);
    let reader = case.key("admin", &["gateway:read"]).await.text;
    let reader = case.id().check(&reader).await.unwrap();
    assert!(
        reader.roles.is_empty(),
        "a superuser's key without the scope is no administrator"
    );
    let reader = Principal::of(&reader).unwrap();
    let by_ann = case.principal("ann").await;
    let order = |of: Option<UserId>, scopes: &[&str]| {
        let mut order = KeyOrder::new("ci");
        order.user_id = of;
        order.scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        order
    };
    for (by, order) in [
        (&by_ann, order(None, &["admin"])),
        (&by_ann, order(None, &["gateway:write"])),
        (&by_ann, order(Some(root.user_id), &["gateway:read"])),
        (&reader, order(None, &["tools:call"])),
    ] {
        let refused = case.id().create_key(by, order).await;
        assert!(
            matches!(refused, Err(IdentityError::Forbidden { .. })),
            "{refused:?}"
        );
    }
    for wrong in [
        order(Some(ann.id), &["admin"]),
        order(Some(UserId::new(999)), &[]),
        order(None, &["write"]),
        KeyOrder::new(""),
        KeyOrder::new("a\0"),
        KeyOrder {
            expires_at: Some(case.id().0.time()),
            ..KeyOrder::new("late")
        },
        KeyOrder {
            expires_at: Some(Time::from_micros(i64::MAX)),
            ..KeyOrder::new("never")
        },
    ] {
        let refused = case.id().create_key(&root, wrong).await;
        assert!(
            matches!(refused, Err(IdentityError::Invalid { .. })),
            "{refused:?}"
        );
    }
    let mut change = AccountChange::new();
    change.is_superuser = Edit::Set(false);
    let eve = {
        let mut eve = NewAccount::new("eve", secret(PASSWORD));
        eve.is_superuser = true;
        case.id().create_user(eve).await.unwrap()
    };
    let of_eve = case
        .id()
        .create_key(&root, order(Some(eve.id), &["admin"]))
        .await
        .unwrap();
    case.id().update_user(eve.id, None, change).await.unwrap();
    let caller = case.id().check(&of_eve.text).await.unwrap();
    assert!(
        caller.scopes.is_empty() && caller.roles.is_empty(),
        "{caller:?}"
    );
}

#[tokio::test]
async fn a_key_is_exchanged_revoked_and_over_at_once() {
    let case = Case::new().await;
    case.user("ann").await;
    case.user("bob").await;
    let (ann, bob) = (case.principal("ann").await, case.principal("bob").await);
    let first = case.key("ann", &["tools:call"]).await;
    let id = first.key.id;
    case.id().check(&first.text).await.unwrap();
    for refused in [
        case.id().key(&bob, id).await.map(|_| ()),
        case.id().rotate_key(&bob, id, None).await.map(|_| ()),
        case.id().revoke_key(&bob, id).await.map(|_| ()),
        case.id().delete_key(&bob, id).await,
        case.id()
            .keys(&bob, Some(ann.user_id), &PageRequest::first(10))
            .await
            .map(|_| ()),
    ] {
        assert_eq!(refused.unwrap_err(), IdentityError::NotFound);
    }
    let second = case.id().rotate_key(&ann, id, None).await.unwrap();
    assert_eq!(second.key.id, id);
    case.refused(&first.text).await;
    let caller = case.id().check(&second.text).await.unwrap();
    assert_eq!(
        &*caller.id,
        format!("key:{id}"),
        "the caller stays the same"
    );
    case.id().revoke_key(&ann, id).await.unwrap();
    case.id().revoke_key(&ann, id).await.unwrap();
    assert!(case.refused(&second.text).await.contains("revoked"));
    case.id().rotate_key(&ann, id, None).await.unwrap_err();
    let third = case.key("ann", &["tools:call"]).await;
    case.id().check(&third.text).await.unwrap();
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    case.clock.advance(month);
    assert!(case.refused(&third.text).await.contains("expired"));
    let admin = case.principal("admin").await;
    let all = case
        .id()
        .keys(&admin, None, &PageRequest::first(10))
        .await
        .unwrap();
    assert_eq!(all.items.len(), 2);
    case.id().delete_key(&admin, id).await.unwrap();
    assert_eq!(
        case.id().key(&admin, id).await.unwrap_err(),
        IdentityError::NotFound
    );
}

#[tokio::test]
async fn values_that_are_none_are_told_of() {
    let case = Case::new().await;
    let account = |name: &str| NewAccount::new(name, secret(PASSWORD));
    let with = |change: fn(&mut NewAccount)| {
        let mut account = account("ann");
        change(&mut account);
        account
    };
    for (field, wrong) in [
        ("username", account("")),
        ("username", account(" ann")),
        ("username", account("a\u{202e}nn")),
        ("username", account("a\nb")),
        ("username", account(&"x".repeat(129))),
        ("username", account("Anonymous")),
        ("username", account("key:1")),
        ("password", NewAccount::new("ann", secret("1234567"))),
        (
            "password",
            NewAccount::new("ann", secret(&"x".repeat(1025))),
        ),
        ("email", with(|it| it.email = Some("nobody".to_owned()))),
        ("email", with(|it| it.email = Some("a b@c".to_owned()))),
        (
            "full_name",
            with(|it| it.full_name = Some("a\0".to_owned())),
        ),
        ("roles", with(|it| it.roles = vec!["admin".to_owned()])),
        ("roles", with(|it| it.roles = vec![String::new()])),
        ("groups", with(|it| it.groups = vec!["x".to_owned(); 101])),
    ] {
        match case.id().create_user(wrong).await.unwrap_err() {
            IdentityError::Invalid { field: of, reason } => {
                assert_eq!(of, field);
                assert!(!reason.contains(PASSWORD), "{reason}");
            }
            other => panic!("{field}: {other:?}"),
        }
    }
    case.user("Ann").await;
    let again = case.id().create_user(account("aNN")).await;
    assert_eq!(again.unwrap_err(), IdentityError::Duplicate);
    let all = case
        .id()
        .users(&UserFilter::default(), &PageRequest::first(10))
        .await
        .unwrap();
    assert_eq!(all.items.len(), 2);
    let stale = Some(mcp_gw_store::Revision::new(-1));
    let refused = case
        .id()
        .update_user(all.items[1].id, stale, AccountChange::new())
        .await;
    assert_eq!(refused.unwrap_err(), IdentityError::Changed);
}

#[tokio::test]
async fn too_many_attempts_wait_and_say_how_long() {
    let case = Case::new().await;
    case.user("ann").await;
    let place = |last: u8| Some(std::net::IpAddr::from([10, 0, 0, last]));
    for last in 0..10 {
        let wrong = case.id().login("ann", &secret("wrong"), place(last)).await;
        assert_eq!(wrong.unwrap_err(), LoginError::Invalid);
    }
    let refused = case.id().login("ann", &secret(PASSWORD), place(99)).await;
    let Err(LoginError::Throttled { retry_after }) = refused else {
        panic!("{refused:?}");
    };
    assert!(retry_after <= Duration::from_secs(300), "{retry_after:?}");
    case.id()
        .login("admin", &secret(PASSWORD), place(99))
        .await
        .unwrap();
    case.clock.advance(retry_after);
    case.id()
        .login("ann", &secret(PASSWORD), place(99))
        .await
        .unwrap();
    // Nobody learns who is there.
    for _ in 0..10 {
        let wrong = case.id().login("nobody", &secret("wrong"), None).await;
        assert_eq!(wrong.unwrap_err(), LoginError::Invalid);
    }
    let refused = case.id().login("nobody", &secret("wrong"), None).await;
    assert!(matches!(refused, Err(LoginError::Throttled { .. })));
}

/// The same database for several gateways: each knows what failed at the others.
#[tokio::test]
async fn gateways_that_share_a_database_count_failures_together() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:///{}", folder.path().join("g.db").display());
    let url = mcp_gw_store::DatabaseUrl::parse(&url).unwrap();
    let options = mcp_gw_store::StoreOptions::new();
    let clock = ManualClock::new();
    let mut gateways = Vec::new();
    for _ in 0..2 {
        let store = mcp_gw_store::open(&url, &options).await.unwrap();
        gateways.push(on(&store, &config(), &clock).await);
    }
    let place = |last: u8| Some(std::net::IpAddr::from([10, 0, 0, last]));
    for last in 0..10 {
        let id = gateways[usize::from(last % 2)].identity();
        let right = id.login("admin", &secret(PASSWORD), place(200)).await;
        right.unwrap();
        let wrong = id.login("nobody", &secret("wrong"), place(last)).await;
        assert_eq!(wrong.unwrap_err(), LoginError::Invalid);
    }
    for gateway in &gateways {
        let id = gateway.identity();
        let refused = id.login("nobody", &secret("wrong"), place(99)).await;
        let Err(LoginError::Throttled { retry_after }) = refused else {
            panic!("{refused:?}");
        };
        assert!(retry_after <= Duration::from_secs(300), "{retry_after:?}");
        id.login("admin", &secret(PASSWORD), place(99))
            .await
            .unwrap();
    }
    clock.advance(Duration::from_secs(300));
    let wrong = gateways[1]
        .identity()
        .login("nobody", &secret("wrong"), None)
        .await;
    assert_eq!(wrong.unwrap_err(), LoginError::Invalid);
    for gateway in gateways {
        gateway.close().await;
    }
}

#[tokio::test]
async fn a_hash_of_another_cost_is_made_anew() {
    let case = Case::new().await;
    let dearer = Cost {
        memory: 16,
        rounds: 1,
    };
    let store = Arc::clone(case.management.store());
    let clock = Arc::new(case.clock.clone());
    let next = Management::with_cost(&config(), store, clock, dearer)
        .await
        .unwrap();
    next.identity()
        .login("admin", &secret(PASSWORD), None)
        .await
        .unwrap();
    let user = case.management.store().user_by_name("admin").await.unwrap();
    assert!(user.password_hash.expose().contains("m=16,"));
    next.identity()
        .login("admin", &secret(PASSWORD), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn requests_do_not_ask_the_store_each_time() {
    let case = Case::new().await;
    let key = case.key("admin", &["tools:call"]).await.text;
    let token = case.login("admin").await;
    for credential in [&key, &token] {
        case.id().check(credential).await.unwrap();
    }
    let entries = (&case.id().0.known_keys, &case.id().0.known_tokens);
    let name = key.expose().get(PREFIX.len()..PREFIX.len() + 26).unwrap();
    let now = case.clock.now();
    assert!(entries.0.find(name, now).is_ok());
    case.clock.advance(cache::LIFE);
    assert!(entries.0.find(name, case.clock.now()).is_err());
    case.id().check(&key).await.unwrap();
    case.id().flush().await.unwrap();
    let by = case.principal("admin").await;
    let keys = case
        .id()
        .keys(&by, None, &PageRequest::first(1))
        .await
        .unwrap();
    let used = keys.items[0].last_used.map(SystemTime::from);
    assert_eq!(used, Some(case.clock.wall()));
}
