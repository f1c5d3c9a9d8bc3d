use mcp_gw_core::testing::{ManualClock, authenticator_contract};

use super::*;

fn config(text: &str) -> Config {
    let text = format!("{text}\nservers: {{ a: {{ command: a }} }}");
    Config::load("test", &text, &|_| None).unwrap()
}

fn callers(text: &str) -> Callers {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    Callers::of(&config(text), None, &clock).unwrap()
}

const KEYS: &str = "
policy: { default: allow }
auth:
  api_keys:
    - { id: ann, key: ann-0123456789abcdef, roles: [admin] }
    - { id: bob, key: bob-0123456789abcdef, tools: [\"get_*\"] }
";

const TOKENS: &str = "
  jwt:
    - hs256_secret: 0123456789abcdef0123456789abcdef
";

/// Made with that secret, good until 2001-09-09T02:46:40Z.
pub(super) fn token(claims: &str) -> String {
    token_of("0123456789abcdef0123456789abcdef", claims)
}

pub(super) fn token_of(secret: &str, claims: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
    let header = B64.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let text = format!("{header}.{}", B64.encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let mac = ring::hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", B64.encode(mac))
}

#[cfg(feature = "management")]
#[tokio::test]
async fn users_of_a_database_stand_beside_the_callers_of_the_file() {
    use crate::identity::{KeyOrder, Management, Principal};

    let text = format!("{KEYS}{TOKENS}\nmanagement: {{ admin_password: correct-horse }}");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    let config = config(&text);
    let section = config.management.as_ref().unwrap();
    let management = Management::cheap(section, Arc::clone(&clock)).await;
    let identity = management.identity();
    let without = Callers::of(&config, None, &clock).unwrap();
    let callers = Callers::of(&config, None, &clock).unwrap();
    let callers = callers.with_stored(&config, Some(identity));
    let password = Secret::new("correct-horse".to_owned());
    let issued = identity.login("admin", &password, None).await.unwrap();
    let shown = http().with_bearer(issued.access_token);
    authenticator_contract(&callers, Some(shown.clone())).await;
    let admin = callers.authenticate(&shown).await.unwrap();
    assert_eq!(admin.roles, ["admin"]);
    let by = Principal::of(&admin).unwrap();
    let key = identity.create_key(&by, KeyOrder::new("ci")).await.unwrap();
    let key = http().with_api_key(key.text);
    assert_eq!(&*callers.authenticate(&key).await.unwrap().id, "key:1");
    let ann = http().with_bearer("ann-0123456789abcdef".to_owned());
    assert_eq!(&*callers.authenticate(&ann).await.unwrap().id, "ann");
    let eve = http().with_bearer(token(r#"{"sub":"eve","exp":1000003600}"#));
    assert_eq!(&*callers.authenticate(&eve).await.unwrap().id, "eve");
    // Who signs for the file does not speak for the database.
    let claims = r#"{"iss":"mcp-gw","aud":"mcp-gw","sub":"1","epoch":0,"jti":"a","iat":1000000000,"exp":1000003600}"#;
    let forged = http().with_bearer(token(claims));
    callers.authenticate(&forged).await.unwrap_err();
    assert!(callers.knows(&admin) && !without.knows(&admin));
    assert!(!callers.is_same(&without));
    without.authenticate(&shown).await.unwrap_err();
    assert_eq!(
        callers.authenticate(&http()).await.unwrap_err(),
        AuthnError::Missing
    );
}

#[cfg(feature = "management")]
#[tokio::test]
async fn where_nobody_is_asked_everybody_may_do_everything_and_only_there() {
    use crate::identity::Scope;

    for (enabled, allowed) in [(false, true), (true, false)] {
        let text =
            format!("policy: {{ default: allow }}\nmanagement: {{ auth_enabled: {enabled} }}");
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
        let config = config(&text);
        let callers = Callers::of(&config, None, &clock).unwrap();
        let callers = callers.with_stored(&config, None);
        let caller = callers.authenticate(&http()).await;
        assert_eq!(caller.is_ok(), allowed);
        if let Ok(caller) = caller {
            assert_eq!(Scope::held_by(&caller), Scope::ALL);
        }
    }
    let other = Caller::new(CallerKind::User, "eve")
        .with_issuer("https://login.example")
        .with_scopes(["admin", "gateway:read"]);
    assert_eq!(Scope::held_by(&other), [Scope::Read]);
}

fn http() -> Credentials {
    Credentials::none(Transport::Http)
}

#[tokio::test]
async fn keys_make_callers_and_nothing_else_does() {
    let keys = callers(KEYS);
    let good = http().with_bearer("ann-0123456789abcdef".to_owned());
    authenticator_contract(&keys, Some(good.clone())).await;
    assert_eq!(&*keys.authenticate(&good).await.unwrap().id, "ann");
    assert_eq!(
        keys.authenticate(&http()).await.unwrap_err(),
        AuthnError::Missing
    );
    let both = good.clone().with_api_key("bob-0123456789abcdef".to_owned());
    assert!(
        keys.authenticate(&both).await.is_err(),
        "two callers at once are none"
    );
    let local = keys
        .authenticate(&Credentials::none(Transport::Stdio))
        .await
        .unwrap();
    assert_eq!(local.kind, CallerKind::Local);
}

#[test]
fn signatures_that_were_used_are_known_when_signatures_were_off_meanwhile() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    let with = |text: &str, before| Callers::of(&config(text), before, &clock).unwrap();
    let open = "policy: { default: allow }";
    let signed =
        "auth: { signature: { keys: [{ id: a, secret: 0123456789abcdef0123456789abcdef }] } }";
    let signed = format!("{open}\n{signed}");
    let first = with(&signed, None);
    let without = with(open, Some(&first));
    let again = with(&signed, Some(&without));
    assert!(Arc::ptr_eq(&first.used, &again.used));
    assert!(!Arc::ptr_eq(&first.used, &with(&signed, None).used));
}

#[tokio::test]
async fn without_keys_the_address_says_who_it_is() {
    for (text, kind) in [
        ("policy: { default: allow }", CallerKind::Local),
        (
            "policy: { default: allow }\nauth: { anonymous: true }",
            CallerKind::Anonymous,
        ),
        (
            "policy: { default: allow }\nhttp: { listen: 0.0.0.0:1, insecure: true }",
            CallerKind::Anonymous,
        ),
    ] {
        let keys = callers(text);
        authenticator_contract(&keys, None).await;
        assert_eq!(
            keys.authenticate(&http()).await.unwrap().kind,
            kind,
            "{text}"
        );
        let stray = http().with_bearer("whatever".to_owned());
        assert_eq!(
            keys.authenticate(&stray).await.unwrap().kind,
            kind,
            "{text}"
        );
    }
}

#[tokio::test]
async fn keys_and_tokens_stand_beside_each_other() {
    let callers = callers(&format!("{KEYS}{TOKENS}"));
    let good = token(r#"{"sub":"eve","exp":1000003600}"#);
    let shown = http().with_bearer(good.clone());
    authenticator_contract(&callers, Some(shown.clone())).await;
    let eve = callers.authenticate(&shown).await.unwrap();
    assert_eq!((&*eve.id, eve.kind), ("eve", CallerKind::User));
    let ann = http().with_bearer("ann-0123456789abcdef".to_owned());
    assert_eq!(&*callers.authenticate(&ann).await.unwrap().id, "ann");
    for (wrong, why) in [
        (http().with_api_key(good.clone()), "a token is no API key"),
        (
            shown
                .clone()
                .with_api_key("ann-0123456789abcdef".to_owned()),
            "two callers at once are none",
        ),
        (
            shown.with_api_key("nobody-0123456789".to_owned()),
            "an unknown key beside it is looked at",
        ),
        (http().with_bearer(format!("{good}x")), "it was changed"),
    ] {
        let refused = callers.authenticate(&wrong).await.unwrap_err();
        let is_invalid =
            matches!(&refused, AuthnError::Invalid { reason } if !reason.contains("eyJ"));
        assert!(is_invalid, "{why}: {refused}");
    }
    assert_eq!(
        callers.authenticate(&http()).await.unwrap_err(),
        AuthnError::Missing
    );
}

#[tokio::test]
async fn a_wrong_token_is_not_anonymous() {
    let callers = callers(&format!(
        "policy: {{ default: allow }}\nauth:\n  anonymous: true{TOKENS}"
    ));
    let anonymous = callers.authenticate(&http()).await.unwrap();
    assert_eq!(anonymous.kind, CallerKind::Anonymous);
    let expired = token(r#"{"sub":"eve","exp":900000000}"#);
    let expired = callers.authenticate(&http().with_bearer(expired)).await;
    assert!(matches!(expired, Err(AuthnError::Invalid { .. })));
}

#[tokio::test]
async fn who_has_a_token_of_an_issuer_that_stays_stays() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    let auth = |entry: &str| {
        config(&format!(
            "policy: {{ default: allow }}\nauth:\n  jwt:\n    - {entry}"
        ))
    };
    let secret = "hs256_secret: 0123456789abcdef0123456789abcdef";
    let first = auth(&format!("{{ issuer: a, {secret} }}"));
    let first = Callers::of(&first, None, &clock).unwrap();
    let claims = r#"{"iss":"a","sub":"eve","exp":1000003600,"team":["x"],"roles":["dev"]}"#;
    let eve = first.authenticate(&http().with_bearer(token(claims))).await;
    let eve = eve.unwrap();
    assert!(first.knows(&eve));
    for (entry, stays, why) in [
        (
            "{ issuer: a, hs256_secret: fedcba9876543210fedcba9876543210 }".to_owned(),
            true,
            "another secret",
        ),
        (
            format!("{{ issuer: a, leeway: 5s, {secret} }}"),
            true,
            "the same rights",
        ),
        (
            format!("{{ issuer: b, {secret} }}"),
            false,
            "another issuer",
        ),
        (
            format!("{{ issuer: a, audience: [x], {secret} }}"),
            false,
            "not for us",
        ),
        (
            format!("{{ issuer: a, claims: {{ roles: team }}, {secret} }}"),
            false,
            "other rights",
        ),
        (format!("{{ {secret} }}"), false, "another caller"),
    ] {
        let next = Callers::of(&auth(&entry), Some(&first), &clock).unwrap();
        assert_eq!(next.knows(&eve), stays, "{why}");
    }
    let local = Caller::local();
    assert!(first.knows(&local), "whoever is at standard input");
}

#[test]
fn another_secret_in_the_same_file_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let text = format!(
        "policy: {{ default: allow }}\nauth: {{ jwt: [{{ hs256_secret_file: {0:?} }}], \
         signature: {{ keys: [{{ id: a, secret_file: {0:?} }}] }} }}",
        file.to_str().unwrap()
    );
    std::fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let (one, same) = (callers(&text), callers(&text));
    assert!(one.is_same(&same));
    std::fs::write(&file, "fedcba9876543210fedcba9876543210\n").unwrap();
    assert!(!one.is_same(&callers(&text)));
    let shown = format!("{one:?}");
    assert!(
        !shown.contains("0123456789") && !shown.contains("fedcba"),
        "{shown}"
    );
}
