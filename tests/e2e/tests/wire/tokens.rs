//! Callers with a token: JSON Web Tokens with a shared secret, and with keys that an issuer publishes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::support::client::{Client, Era, Wire};
use crate::support::http::{Endpoint, JSON, Reply};
use crate::support::json::{at, items, string};
use crate::support::setup::{Odd, Running, Setup};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn shared(secret: &str, header: &str, claims: &str) -> String {
    let text = format!("{}.{}", B64.encode(header), B64.encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let mac = ring::hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", B64.encode(mac))
}

fn token(secret: &str, claims: &str) -> String {
    shared(secret, r#"{"alg":"HS256","typ":"JWT"}"#, claims)
}

/// Claims of `sub` that are good for an hour.
fn claims(sub: &str, more: &str) -> String {
    format!(
        r#"{{"iss":"https://login.example","aud":"mcp","sub":"{sub}","exp":{}{more}}}"#,
        now() + 3600
    )
}

fn initialize(endpoint: &Endpoint, token: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    let headers = [&JSON[..], &[("authorization", bearer.as_str())]].concat();
    endpoint.send("POST", &headers, INITIALIZE.as_bytes())
}

fn client(gateway: &Running, token: &str, era: Era) -> Client {
    let bearer = format!("Bearer {token}");
    let endpoint = gateway
        .endpoint()
        .clone()
        .with_header("authorization", &bearer);
    let wire: Arc<dyn Wire> = Arc::new(endpoint);
    Client::open(&wire, era)
}

fn auth(secret: &str) -> String {
    format!(
        "auth: {{ jwt: [{{ issuer: https://login.example, audience: [mcp], hs256_secret: {secret} }}] }}"
    )
}

#[test]
fn a_token_is_asked_for_and_looked_at() {
    let gateway = Setup::of(Odd::stdio(Era::Modern))
        .with(&auth(SECRET))
        .over_http();
    let good = token(SECRET, &claims("ann", ""));
    assert_eq!(initialize(gateway.endpoint(), &good).status, 200);
    let none = gateway
        .endpoint()
        .send("POST", &JSON, INITIALIZE.as_bytes());
    assert_eq!(none.status, 401);
    assert_eq!(none.header("www-authenticate"), Some("Bearer"));
    let unsigned = |header: &str| {
        let claims = B64.encode(claims("ann", ""));
        format!("{}.{claims}.", B64.encode(header))
    };
    let wrong = [
        token(OTHER, &claims("ann", "")),
        token(SECRET, &claims("ann", "").replace("\"mcp\"", "\"other\"")),
        token(SECRET, &claims("ann", "").replace("login", "evil")),
        token(
            SECRET,
            r#"{"iss":"https://login.example","aud":"mcp","sub":"ann","exp":1}"#,
        ),
        token(SECRET, &claims("", "")),
        shared(SECRET, r#"{"alg":"none"}"#, &claims("ann", "")),
        shared(
            SECRET,
            r#"{"alg":"HS256","crit":["x"]}"#,
            &claims("ann", ""),
        ),
        unsigned(r#"{"alg":"none"}"#),
        format!("{good}x"),
        token(
            SECRET,
            &claims("ann", &format!(r#","x":"{}""#, "y".repeat(20_000))),
        ),
        "x.y.z".to_owned(),
    ];
    let mut bodies = Vec::new();
    for token in &wrong {
        let mut refused = initialize(gateway.endpoint(), token);
        assert_eq!(refused.status, 401, "{token}");
        let challenge = refused.header("www-authenticate");
        assert_eq!(challenge, Some("Bearer error=\"invalid_token\""));
        bodies.push(refused.text());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "nothing tells why: {bodies:?}");
    let mut query = gateway.endpoint().clone();
    query.path = format!("{}?access_token={good}", query.path);
    assert_eq!(query.send("POST", &JSON, INITIALIZE.as_bytes()).status, 401);
    let as_key = [&JSON[..], &[("x-api-key", good.as_str())]].concat();
    let as_key = gateway
        .endpoint()
        .send("POST", &as_key, INITIALIZE.as_bytes());
    assert_eq!(as_key.status, 401, "a token is no API key");
    let log = gateway.process.stderr.so_far().join("\n");
    for token in wrong.iter().chain([&good]) {
        let start = token.get(..20).unwrap_or("eyJ");
        assert!(!log.contains(start), "a token is in the log: {log}");
    }
}

#[test]
fn claims_reach_the_rules_and_no_token_reaches_a_server() {
    let policy = "policy:
  on_denied: challenge
  rules:
    - { id: echo, effect: allow, tools: [echo, headers], who: { roles: [dev] } }
    - { id: own, effect: allow, tools: [count], when: 'jwt.team == \"ops\"' }
    - { id: fail, effect: allow, tools: [fail], who: { scopes: [break], issuers: [https://login.example] } }";
    let auth = auth(SECRET).replace("hs256", "claims: { roles: app.roles }, hs256");
    let gateway = Setup::of(Odd::http(Era::Modern))
        .with(policy)
        .with(&auth)
        .over_http();
    let text = token(
        SECRET,
        &claims("ann", r#","app":{"roles":["dev"]},"scope":"read""#),
    );
    let ann = client(&gateway, &text, Era::Modern);
    let names = |client: &Client| {
        let tools = items(&at(&client.ask("tools/list", "{}").result(), &["tools"]));
        let names = tools.iter().map(|tool| string(&at(tool, &["name"])));
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&ann), ["echo", "headers"]);
    let seen = ann.tool("headers", "{}").text();
    assert!(seen.contains("host"), "{seen}");
    for part in [text.as_str(), "Bearer", "authorization", "eyJ"] {
        assert!(!seen.contains(part), "{part} reached the server: {seen}");
    }
    let ops = token(
        SECRET,
        &claims("bob", r#","team":"ops","scope":"break read""#),
    );
    let bob = client(&gateway, &ops, Era::Modern);
    assert_eq!(names(&bob), ["count", "fail"]);
    // Without a right to it by anything but a scope.
    let bearer = format!("Bearer {text}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "fail"),
    ];
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fail","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let headers = [&JSON[..], &headers].concat();
    let refused = gateway.endpoint().send("POST", &headers, body.as_bytes());
    assert_eq!(refused.status, 403);
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(
        challenge.contains("insufficient_scope") && challenge.contains("break"),
        "{challenge}"
    );
    let events = gateway.process.stderr.so_far().join("\n");
    assert!(
        events.contains("ann") && !events.contains("eyJ"),
        "{events}"
    );
}

#[test]
fn secrets_change_and_sessions_stay() {
    let file = |secret: &str| {
        format!(
            "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {{ default: allow }}\n{}\nservers:\n  \
             odd: {{ command: {:?}, args: [\"--modern\"] }}\n",
            auth(secret),
            crate::support::ODD_BIN
        )
    };
    let gateway = Setup::verbatim(&file(SECRET)).over_http();
    let old = token(SECRET, &claims("ann", ""));
    let bearer = format!("Bearer {old}");
    let headers = [&JSON[..], &[("authorization", bearer.as_str())]].concat();
    let begun = gateway
        .endpoint()
        .send("POST", &headers, INITIALIZE.as_bytes());
    let session = begun.header("mcp-session-id").unwrap().to_owned();
    let ping = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("mcp-session-id", &session),
            ("mcp-protocol-version", "2025-11-25"),
        ];
        let headers = [&JSON[..], &headers].concat();
        let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        gateway.endpoint().send("POST", &headers, ping).status
    };
    assert_eq!(ping(&old), 200);
    gateway.configure(&file(OTHER));
    gateway.process.stderr.with("\"reloaded: changed: auth\"");
    assert_eq!(ping(&old), 401, "of the old secret");
    assert_eq!(
        ping(&token(OTHER, &claims("ann", ""))),
        200,
        "the session is there still"
    );
    assert_eq!(
        ping(&token(OTHER, &claims("bob", ""))),
        404,
        "and hers alone"
    );
}

/// An issuer that publishes keys.
struct Issuer {
    url: String,
    keys: Arc<Mutex<Option<String>>>,
    asked: Arc<Mutex<usize>>,
}

impl Issuer {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys?x=1", listener.local_addr().unwrap());
        let keys: Arc<Mutex<Option<String>>> = Arc::default();
        let asked: Arc<Mutex<usize>> = Arc::default();
        let (of_keys, of_asked) = (Arc::clone(&keys), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
                if head.is_empty() {
                    continue;
                }
                assert!(head.starts_with("GET /keys?x=1 HTTP/1.1\r\n"), "{head}");
                assert!(
                    !head.to_ascii_lowercase().contains("authorization"),
                    "{head}"
                );
                *of_asked.lock().unwrap() += 1;
                let (status, body) = match &*of_keys.lock().unwrap() {
                    Some(keys) => ("200 OK", keys.clone()),
                    None => ("500 Oops", String::new()),
                };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { url, keys, asked }
    }

    fn publish(&self, keys: &[(&str, &Signer)]) {
        let keys: Vec<_> = keys.iter().map(|(kid, signer)| signer.jwk(kid)).collect();
        *self.keys.lock().unwrap() = Some(format!("{{\"keys\":[{}]}}", keys.join(",")));
    }

    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        let (how, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(how, pkcs8.as_ref(), &random).unwrap())
    }

    fn jwk(&self, kid: &str) -> String {
        let point = self.0.public_key().as_ref();
        let (x, y) = (B64.encode(&point[1..33]), B64.encode(&point[33..65]));
        format!(r#"{{"kty":"EC","crv":"P-256","use":"sig","kid":"{kid}","x":"{x}","y":"{y}"}}"#)
    }

    fn token(&self, kid: &str, claims: &str) -> String {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#);
        let text = format!("{}.{}", B64.encode(header), B64.encode(claims));
        let signature = self.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", B64.encode(signature))
    }
}

#[test]
fn published_keys_are_fetched_change_and_outlive_their_issuer() {
    let (issuer, one, two) = (Issuer::new(), Signer::new(), Signer::new());
    let auth = format!(
        "auth: {{ jwt: [{{ issuer: https://login.example, audience: [mcp], jwks: {{ url: {:?} }} }}] }}",
        issuer.url
    );
    let gateway = Setup::of(Odd::stdio(Era::Modern)).with(&auth).over_http();
    let status = |token: &str| initialize(gateway.endpoint(), token).status;
    let first = one.token("one", &claims("ann", ""));
    let down = initialize(gateway.endpoint(), &first);
    assert_eq!(down.status, 503, "there was never a key");
    assert!(down.header("retry-after").is_some());
    assert!(down.header("www-authenticate").is_none());
    assert_eq!(status("x.y.z"), 401, "whatever the keys are");
    issuer.publish(&[("one", &one)]);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while status(&first) == 503 {
        assert!(std::time::Instant::now() < until, "it is asked again");
        std::thread::yield_now();
    }
    assert_eq!(status(&first), 200);
    let asked = issuer.asked();
    let forged = two.token("one", &claims("ann", ""));
    assert_eq!(status(&forged), 401);
    assert_eq!(
        issuer.asked(),
        asked,
        "the key is known, so none is fetched"
    );
    let second = two.token("two", &claims("ann", ""));
    issuer.publish(&[("one", &one), ("two", &two)]);
    assert_eq!(status(&second), 200, "a new key is fetched at once");
    assert_eq!(issuer.asked(), asked + 1);
    for n in 0..20 {
        let unknown = two.token(&format!("{n}"), &claims("ann", ""));
        assert_eq!(status(&unknown), 401);
    }
    assert_eq!(issuer.asked(), asked + 1, "not for each that nobody knows");
    *issuer.keys.lock().unwrap() = None;
    assert_eq!(status(&first), 200);
    assert_eq!(status(&second), 200);
}
