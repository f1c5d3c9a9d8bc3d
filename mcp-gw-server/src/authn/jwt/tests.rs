use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use mcp_gw_core::Secret;
use mcp_gw_core::testing::ManualClock;
use proptest::prelude::*;
use ring::hmac;
use serde_json::json;

use super::super::jwks::{Fetched, JwksSource};
use super::*;
use crate::config::JwksConfig;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_000_000_000;
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const CLAIMS: &str = r#"{"iss":"a","sub":"ann","exp":1000000600}"#;

fn mac(text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

/// A token of these texts, signed.
fn token(header: &str, claims: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let text = format!("{}.{}", encode(header), encode(claims));
    let mac = URL_SAFE_NO_PAD.encode(mac(&text));
    format!("{text}.{mac}")
}

fn tokens_of(all: &[JwtConfig]) -> Tokens {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new());
    Tokens::of(all, None, &clock).unwrap()
}

fn shared(change: impl FnOnce(&mut JwtConfig)) -> Tokens {
    let mut config = JwtConfig::hs256(SECRET.to_owned());
    config.issuer = Some("a".to_owned());
    change(&mut config);
    tokens_of(&[config])
}

async fn why(tokens: &Tokens, token: &str) -> Result<Arc<Caller>, String> {
    tokens.check(token).await.map_err(|refused| match refused {
        Refused::Invalid(reason) => reason.to_owned(),
        Refused::Unavailable(reason) => format!("unavailable: {reason}"),
    })
}

#[tokio::test]
async fn tokens_of_a_login_server_make_callers() {
    let data: Value = serde_json::from_str(include_str!("tokens.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, data["jwks"].to_string()).unwrap();
    let mut config = JwtConfig::jwks("https://login.example", "https://gw.example/mcp", "");
    config.jwks = Some(JwksConfig {
        file: Some(file),
        ..JwksConfig::default()
    });
    config.algorithms = JwtAlgorithm::ALL.into_iter().skip(1).collect();
    config.claims.roles = "realm_access.roles".to_owned();
    let tokens = tokens_of(&[config.clone()]);
    let text = |name: &str| data["tokens"][name].as_str().unwrap();
    for algorithm in &config.algorithms {
        let caller = why(&tokens, text(algorithm.as_str())).await.unwrap();
        assert_eq!((&*caller.id, caller.kind), ("ann", CallerKind::User));
        assert_eq!(&*caller.issuer, "https://login.example");
        assert_eq!(caller.roles, ["admin", "dev"]);
        assert_eq!(caller.groups, ["staff"]);
        assert_eq!(caller.scopes, ["files:read", "files:write"]);
        assert_eq!(caller.claims["client_id"], "ide");
    }
    // RFC 8725 §2.1: a public key is no secret.
    config.algorithms.push(JwtAlgorithm::Hs256);
    for tokens in [tokens, tokens_of(&[config.clone()])] {
        for confused in ["confused_pem", "confused_n", "confused_oct"] {
            assert!(why(&tokens, text(confused)).await.is_err(), "{confused}");
        }
    }
    config.algorithms = Vec::new();
    let usual = tokens_of(&[config]);
    assert!(why(&usual, text("ES256")).await.is_ok());
    assert!(
        why(&usual, text("RS512")).await.is_err(),
        "not among the usual ones"
    );
}

#[tokio::test]
async fn hostile_headers_are_refused() {
    let tokens = shared(|_| ());
    assert!(why(&tokens, &token(HEADER, CLAIMS)).await.is_ok());
    for good in [
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"HS256","typ":"at+JWT"}"#,
        r#"{"alg":"HS256","typ":"application/at+jwt"}"#,
        r#"{"alg":"HS256","kid":"any","jku":"https://evil.example","jwk":{},"x5u":"x","x5c":[]}"#,
        " {\"alg\"\t:\n\"HS256\" } ",
        r#"{"\u0061lg":"HS256"}"#,
    ] {
        assert!(why(&tokens, &token(good, CLAIMS)).await.is_ok(), "{good}");
    }
    for wrong in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"nOnE","typ":"JWT"}"#,
        r#"{"alg":""}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS256 "}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"dir","enc":"A128GCM"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"HS256"}"#,
        r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","b64":false}"#,
        r#"{"alg":"HS256","zip":"DEF"}"#,
        r#"{"alg":"HS256","typ":"logout+jwt"}"#,
        r#"{"alg":"HS256","typ":"dpop+jwt"}"#,
        r#"{"alg":"HS256","typ":""}"#,
        r#"{"alg":"HS256","typ":1}"#,
        r#"{"alg":"HS256","kid":1}"#,
        r#"{"alg":"HS256","x":{"a":1,"a":2}}"#,
        r#"["HS256"]"#,
        r#""HS256""#,
        "{}",
        "",
        "{\"alg\":\"HS256\"} x",
        "{\"alg\":\"HS256\"",
    ] {
        assert!(
            why(&tokens, &token(wrong, CLAIMS)).await.is_err(),
            "{wrong}"
        );
    }
    let long = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(1025));
    assert!(why(&tokens, &token(&long, CLAIMS)).await.is_err());
    let deep = format!(
        r#"{{"alg":"HS256","x":{}{}}}"#,
        "[".repeat(500),
        "]".repeat(500)
    );
    assert!(why(&tokens, &token(&deep, CLAIMS)).await.is_err());
}

#[tokio::test]
async fn hostile_spellings_are_refused() {
    let tokens = shared(|_| ());
    let good = token(HEADER, CLAIMS);
    let parts: Vec<_> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    // The last letter of 32 bytes in Base64 has two bits that mean nothing.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let twin = alphabet
        .chars()
        .nth(alphabet.find(last).unwrap() ^ 1)
        .unwrap();
    let twin = format!("{}{twin}", signature.strip_suffix(last).unwrap());
    let (_, rest) = signature.split_at(1);
    let padded = URL_SAFE.encode(mac(&format!("{header}.{payload}")));
    let plain = STANDARD_NO_PAD.encode(HEADER.as_bytes());
    assert_eq!(plain, header, "nothing in it is spelled differently");
    for wrong in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{header}.{payload}.{twin}"),
        format!("{header}.{payload}.{padded}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{good} "),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{header} .{payload}.{signature}"),
        format!("{header}.{payload}.{rest}"),
        format!("{header}.{payload}.{signature}{signature}"),
        format!("{header}.{payload}.\u{ff21}{rest}"),
        good.replace('.', "%2e"),
    ] {
        assert!(why(&tokens, &wrong).await.is_err(), "{wrong:?}");
    }
    let room = r#"{"iss":"a","sub":"ann","exp":1000000600,"x":""}"#;
    let fill = |size: usize| room.replace("\"\"", &format!("\"{}\"", "y".repeat(size)));
    assert!(why(&tokens, &token(HEADER, &fill(12_000))).await.is_ok());
    let long = why(&tokens, &token(HEADER, &fill(12_300))).await;
    assert_eq!(long.unwrap_err(), "the token is too long");
}

#[tokio::test]
async fn a_token_is_good_for_a_time_and_to_the_second() {
    let mut config = JwtConfig::hs256(SECRET.to_owned());
    config.issuer = Some("a".to_owned());
    config.leeway = "30s".parse().unwrap();
    config.max_age = Some("10m".parse().unwrap());
    let tokens = tokens_of(&[config]);
    let now = i64::try_from(NOW).unwrap();
    let base = |exp: i64, iat: i64| json!({"iss":"a","sub":"ann","exp":now + exp,"iat":now + iat});
    let nbf = |nbf: i64| {
        let mut claims = base(60, 0);
        claims["nbf"] = (now + nbf).into();
        claims
    };
    let with = |name: &str, value: Value| {
        let mut claims = base(60, 0);
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = base(60, 0);
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    for (claims, is_good, what) in [
        (base(60, 0), true, "as usual"),
        (base(-29, -60), true, "expired within the leeway"),
        (base(-30, -60), false, "expired"),
        (base(60, 30), true, "issued in the future within the leeway"),
        (base(60, 31), false, "issued in the future"),
        (base(60, -630), true, "old within the leeway"),
        (base(60, -631), false, "too old"),
        (nbf(30), true, "begins within the leeway"),
        (nbf(31), false, "not yet"),
        (
            with("exp", json!(1_000_000_000.5)),
            true,
            "a part of a second",
        ),
        (with("exp", json!(1e300)), true, "never, in effect"),
        (with("exp", json!(-1e300)), false, "long ago"),
        (with("exp", json!("1000000060")), false, "a text"),
        (with("exp", json!(null)), false, "nothing"),
        (with("exp", json!([1_000_000_060])), false, "a list"),
        (without("exp"), false, "no end"),
        (without("iat"), false, "nobody knows how old it is"),
        (with("iat", json!("x")), false, "a text"),
        (with("nbf", json!({})), false, "an object"),
    ] {
        let found = why(&tokens, &token(HEADER, &claims.to_string())).await;
        assert_eq!(found.is_ok(), is_good, "{what}: {found:?}");
    }
    let free = shared(|_| ());
    assert!(
        why(&free, &token(HEADER, CLAIMS)).await.is_ok(),
        "no `iat` is needed"
    );
    let twice = r#"{"iss":"a","sub":"ann","exp":1,"exp":1000000600}"#;
    assert!(why(&free, &token(HEADER, twice)).await.is_err());
}

#[tokio::test]
async fn a_token_is_of_an_issuer_and_for_us() {
    let both = shared(|config| config.audience = vec!["us".to_owned(), "we".to_owned()]);
    let neither = shared(|config| config.issuer = None);
    let claims = |iss: &str, aud: &str| {
        let member = |name: &str, text: &str| match text {
            "" => String::new(),
            text => format!("\"{name}\":{text},"),
        };
        format!(
            "{{{}{}\"sub\":\"ann\",\"exp\":1000000600}}",
            member("iss", iss),
            member("aud", aud)
        )
    };
    for (iss, aud, by_both, by_neither) in [
        (r#""a""#, r#""us""#, true, false),
        (r#""a""#, r#"["them","we"]"#, true, false),
        (r#""a""#, r#"["us"]"#, true, false),
        (r#""a""#, "", false, true),
        ("", "", false, true),
        (r#""b""#, "", false, true),
        ("", r#""us""#, false, false),
        (r#""b""#, r#""us""#, false, false),
        (r#""A""#, r#""us""#, false, false),
        (r#""a/""#, r#""us""#, false, false),
        (r#"["a"]"#, r#""us""#, false, false),
        (r#""a""#, r#""them""#, false, false),
        (r#""a""#, r#""us ""#, false, false),
        (r#""a""#, r#""us we""#, false, false),
        (r#""a""#, "[]", false, false),
        (r#""a""#, r#"[["us"]]"#, false, false),
        (r#""a""#, r#"["us",1]"#, false, false),
        (r#""a""#, "{}", false, false),
        (r#""a""#, "null", false, false),
    ] {
        let text = token(HEADER, &claims(iss, aud));
        assert_eq!(why(&both, &text).await.is_ok(), by_both, "{iss} {aud}");
        let found = why(&neither, &text).await;
        assert_eq!(found.is_ok(), by_neither, "{iss} {aud}");
        if let Ok(caller) = found {
            assert_eq!(&*caller.issuer, "", "nobody has checked it");
        }
    }
}

#[tokio::test]
async fn who_has_the_secret_of_one_entry_does_not_speak_for_another_issuer() {
    let named = |name: Option<&str>, secret: &str| {
        let mut config = JwtConfig::hs256(secret.to_owned());
        config.issuer = name.map(str::to_owned);
        config
    };
    let other = "fedcba9876543210fedcba9876543210";
    let tokens = tokens_of(&[named(None, SECRET), named(Some("a"), other)]);
    assert!(why(&tokens, &token(HEADER, CLAIMS)).await.is_err());
    let free = token(HEADER, &CLAIMS.replace("\"a\"", "\"b\""));
    assert!(why(&tokens, &free).await.is_ok());
    // While a secret takes the place of another one both are good.
    let tokens = tokens_of(&[named(Some("a"), other), named(Some("a"), SECRET)]);
    assert!(why(&tokens, &token(HEADER, CLAIMS)).await.is_ok());
    assert!(why(&tokens, &free).await.is_err());
}

#[tokio::test]
async fn claims_say_who_it_is_or_nobody_does() {
    let tokens = shared(|config| config.claims.roles = "app.roles".to_owned());
    let check = async |members: &str| {
        let claims = format!(r#"{{"iss":"a","exp":1000000600,{members}}}"#);
        why(&tokens, &token(HEADER, &claims)).await
    };
    let caller = check(
        r#""sub":"svc","client_id":"svc","scope":"a b","scp":["b","c"],"app.roles":"one","groups":null"#,
    );
    let caller = caller.await.unwrap();
    assert_eq!(caller.kind, CallerKind::OAuthClient);
    assert_eq!(caller.scopes, ["a", "b", "c"]);
    assert_eq!(caller.roles, ["one"]);
    let caller = check(r#""sub":"svc","azp":"svc","app":{"roles":["x"]}"#)
        .await
        .unwrap();
    assert_eq!(
        (caller.kind, &*caller.roles),
        (CallerKind::OAuthClient, &["x".to_owned()][..])
    );
    for wrong in [
        r#""x":1"#,
        r#""sub":"""#,
        r#""sub":1"#,
        r#""sub":null"#,
        r#""sub":["ann"]"#,
        r#""sub":"a\nb""#,
        r#""sub":"anonymous""#,
        r#""sub":"local""#,
        r#""sub":"ann","sub":"ann""#,
        r#""sub":"ann","scope":1"#,
        r#""sub":"ann","scope":{"a":true}"#,
        r#""sub":"ann","scp":["a",1]"#,
        r#""sub":"ann","groups":{"0":"a"}"#,
        r#""sub":"ann","app":{"roles":[["x"]]}"#,
        r#""sub":"ann","app":"x""#,
        r#""sub":"ann","app":["roles"]"#,
        r#""sub":"ann","deep":{"a":1,"a":2}"#,
    ] {
        assert!(check(wrong).await.is_err(), "{wrong}");
    }
    let long = format!(r#""sub":"{}""#, "x".repeat(257));
    assert!(check(&long).await.is_err());
}

/// Publishes what it is told to.
struct Published(Arc<Mutex<Value>>);

#[async_trait::async_trait]
impl JwksSource for Published {
    async fn fetch(&self) -> Result<Fetched, String> {
        let body = self.0.lock().unwrap().to_string().into();
        Ok(Fetched {
            body,
            max_age: None,
        })
    }
}

#[tokio::test]
async fn a_token_that_was_good_is_looked_at_again_when_its_key_or_its_time_is_gone() {
    let data: Value = serde_json::from_str(include_str!("tokens.json")).unwrap();
    let published = Arc::new(Mutex::new(data["jwks"].clone()));
    let clock = ManualClock::new();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let config = JwtConfig::jwks(
        "https://login.example",
        "https://gw.example/mcp",
        "https://login.example/jwks",
    );
    let mut issuer = Issuer::of(&config, None, &shared).unwrap();
    issuer.keys = Keys::Fetched {
        url: String::new(),
        jwks: Jwks::new(
            Box::new(Published(Arc::clone(&published))),
            String::new(),
            (Duration::from_secs(600), Duration::from_secs(86_400)),
            Arc::clone(&shared),
        ),
    };
    let tokens = Tokens {
        issuers: vec![issuer],
    };
    let text = |name: &str| data["tokens"][name].as_str().unwrap();
    let first = why(&tokens, text("ES256")).await.unwrap();
    let again = why(&tokens, text("ES256")).await.unwrap();
    assert!(
        Arc::ptr_eq(&first, &again),
        "its signature is not checked again"
    );
    let forged = format!("{}A", text("ES256"));
    assert!(why(&tokens, &forged).await.is_err());
    let keys = published.lock().unwrap()["keys"]
        .as_array()
        .unwrap()
        .clone();
    let without = keys
        .into_iter()
        .filter(|key| key["kid"] != "p256")
        .collect();
    published.lock().unwrap()["keys"] = Value::Array(without);
    clock.advance(Duration::from_secs(600));
    assert!(why(&tokens, text("EdDSA")).await.is_ok());
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let gone = why(&tokens, text("ES256")).await;
    assert_eq!(gone.unwrap_err(), "nobody knows the key of the token");
    assert!(why(&tokens, text("EdDSA")).await.is_ok());
    clock.advance(Duration::from_secs(3100));
    let late = why(&tokens, text("EdDSA")).await;
    assert_eq!(late.unwrap_err(), "the token has expired");
}

#[tokio::test]
async fn tokens_are_forgotten_before_there_are_too_many() {
    let tokens = shared(|_| ());
    for n in 0..=MOST_REMEMBERED {
        let claims = CLAIMS.replace("ann", &format!("ann-{n}"));
        assert!(why(&tokens, &token(HEADER, &claims)).await.is_ok());
    }
    let remembered = tokens.issuers[0].signed().callers.len();
    assert_eq!(remembered, 1);
}

#[test]
fn a_token_is_in_no_debug_output() {
    let text = format!("{:?} {:?}", shared(|_| ()), Secret::new(SECRET.to_owned()));
    assert!(!text.contains("0123456789"), "{text}");
}

proptest! {
    /// Whatever is sent: no panic, and nobody comes in.
    #[test]
    fn nothing_but_what_was_signed_is_good(
        text in prop_oneof![
            "\\PC{0,200}",
            "[A-Za-z0-9_.=-]{0,200}",
            "e[A-Za-z0-9_-]{0,60}\\.e[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}",
        ],
        at in 0..200_usize,
        with in any::<u8>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tokens = shared(|_| ());
        prop_assert!(runtime.block_on(tokens.check(&text)).is_err());
        let good = token(HEADER, CLAIMS);
        let mut bytes = good.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = with & 0x7f;
        let changed = String::from_utf8(bytes).unwrap();
        let found = runtime.block_on(tokens.check(&changed));
        prop_assert_eq!(found.is_ok(), changed == good, "{}", changed);
    }
}

#[tokio::test]
async fn whom_a_token_is_for_may_be_left_open() {
    let open = shared(|config| {
        config.issuer = None;
        config.any_audience = true;
    });
    for (aud, is_taken) in [
        ("", true),
        (r#","aud":"x""#, true),
        (r#","aud":["x","y"]"#, true),
        (r#","aud":5"#, false),
        (r#","aud":["x",5]"#, false),
    ] {
        let claims = format!(r#"{{"sub":"ann","exp":{}{aud}}}"#, NOW + 60);
        let found = why(&open, &token(HEADER, &claims)).await;
        assert_eq!(found.is_ok(), is_taken, "{aud}: {found:?}");
    }
}
