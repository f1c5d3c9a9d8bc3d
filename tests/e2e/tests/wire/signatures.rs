//! Requests that are signed, and requests that are not.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as B64;

use crate::support::client::Era;
use crate::support::http::{Endpoint, JSON, Reply};
use crate::support::setup::{Odd, Running, Setup};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";
const PING: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const PARTS: &str = r#"("@method" "@authority" "@path" "@query" "content-digest" "content-type")"#;

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn hex(bytes: &[u8]) -> String {
    let all: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    all.concat()
}

fn mac(secret: &str, text: &str) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    ring::hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn sha256(body: &str) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, body.as_bytes())
        .as_ref()
        .to_vec()
}

type Headers = Vec<(String, String)>;

/// Signed by RFC 9421 for a POST to the path of the endpoint.
fn message(to: &Endpoint, secret: &str, body: &str, created: u64, nonce: &str) -> Headers {
    let digest = format!("sha-256=:{}:", B64.encode(sha256(body)));
    let params =
        format!(r#"{PARTS};created={created};keyid="ci";nonce="{nonce}";alg="hmac-sha256""#);
    let (path, query) = to.path.split_once('?').unwrap_or((&to.path, ""));
    let base = format!(
        "\"@method\": POST\n\"@authority\": {}\n\"@path\": {path}\n\"@query\": ?{query}\n\
         \"content-digest\": {digest}\n\"content-type\": application/json\n\
         \"@signature-params\": {params}",
        to.address
    );
    vec![
        ("content-digest".to_owned(), digest),
        ("signature-input".to_owned(), format!("sig={params}")),
        (
            "signature".to_owned(),
            format!("sig=:{}:", B64.encode(mac(secret, &base))),
        ),
    ]
}

fn compact(to: &Endpoint, secret: &str, method: &str, body: &str, time: u64) -> Headers {
    let text = format!("{time}\n{method}\n{}\n{}", to.path, hex(&sha256(body)));
    let mac = hex(&mac(secret, &text));
    vec![("x-signature".to_owned(), format!("t={time},v1={mac}"))]
}

fn post(to: &Endpoint, signed: &Headers, more: &[(&str, &str)], body: &str) -> Reply {
    let mut headers = [&JSON[..], more].concat();
    headers.extend(
        signed
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    to.send("POST", &headers, body.as_bytes())
}

fn gateway(auth: &str) -> Running {
    Setup::of(Odd::stdio(Era::Modern)).with(auth).over_http()
}

/// The word that a refusal has, which is in the header and in the body.
fn why(mut reply: Reply) -> String {
    assert_eq!(reply.status, 401);
    let challenge = reply.header("www-authenticate").unwrap().to_owned();
    let word = challenge.strip_prefix("Signature error=\"").unwrap();
    let word = word.strip_suffix('"').unwrap().to_owned();
    assert!(reply.header("accept-signature").is_some());
    let text = reply.text();
    assert!(text.contains(&word), "{text}");
    word
}

#[test]
fn a_request_that_is_not_signed_does_not_come_in() {
    let auth = format!(
        "auth: {{ api_keys: [{{ id: ann, key: ann-0123456789abcdef }}], \
         signature: {{ keys: [{{ id: ci, secret: {SECRET} }}] }} }}"
    );
    let gateway = gateway(&auth);
    let to = gateway.endpoint();
    let key = [("authorization", "Bearer ann-0123456789abcdef")];
    let send = |signed: &Headers, body: &str| post(to, signed, &key, body);
    assert_eq!(why(send(&Vec::new(), PING)), "signature_missing");
    assert_eq!(
        why(post(to, &Vec::new(), &[], PING)),
        "signature_missing",
        "before the key"
    );
    let good = message(to, SECRET, PING, now(), "1");
    assert_eq!(send(&good, PING).status, 200);
    assert_eq!(why(send(&good, PING)), "signature_replayed");
    let no_key = post(to, &message(to, SECRET, PING, now(), "2"), &[], PING);
    assert_eq!(
        no_key.header("www-authenticate"),
        Some("Bearer"),
        "the key comes after"
    );
    assert_eq!(
        why(send(&message(to, OTHER, PING, now(), "3"), PING)),
        "signature_invalid"
    );
    let other = PING.replace("\"id\":0", "\"id\":1");
    assert_eq!(
        why(send(&message(to, SECRET, PING, now(), "4"), &other)),
        "signature_invalid"
    );
    assert_eq!(
        why(send(&message(to, SECRET, PING, now() - 310, "5"), PING)),
        "signature_expired"
    );
    assert_eq!(
        why(send(&message(to, SECRET, PING, now() + 90, "6"), PING)),
        "signature_expired"
    );
    assert_eq!(
        send(&message(to, SECRET, PING, now() - 290, "7"), PING).status,
        200
    );
    let short = compact(to, SECRET, "POST", PING, now());
    assert_eq!(why(send(&short, &other)), "signature_invalid");
    assert_eq!(send(&short, PING).status, 200);
    assert_eq!(why(send(&short, PING)), "signature_replayed");
    let mut elsewhere = to.clone();
    elsewhere.path += "?a=1&b=2";
    let signed = message(&elsewhere, SECRET, PING, now(), "8");
    let mut reordered = to.clone();
    reordered.path += "?b=2&a=1";
    assert_eq!(
        why(post(&reordered, &signed, &key, PING)),
        "signature_invalid"
    );
    assert_eq!(post(&elsewhere, &signed, &key, PING).status, 200);
    let get = compact(to, SECRET, "GET", "", now());
    let headers = [
        ("accept", "text/event-stream"),
        ("mcp-session-id", "nobody"),
        key[0],
        (get[0].0.as_str(), get[0].1.as_str()),
    ];
    assert_eq!(
        to.send("GET", &headers, b"").status,
        404,
        "it came as far as sessions"
    );
    assert_eq!(why(to.send("GET", &headers, b"")), "signature_replayed");
    let events = gateway.process.stderr.so_far().join("\n");
    assert!(
        events.contains("signature_replayed"),
        "a refusal is audited: {events}"
    );
    assert!(!events.contains("0123456789"), "{events}");
}

#[test]
fn keys_change_while_requests_come_and_what_was_used_stays_used() {
    let file = |keys: &str| {
        format!(
            "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {{ default: allow }}\n\
             auth: {{ api_key_header: X-Team-Key, api_keys: [{{ id: ann, key: ann-0123456789abcdef }}, \
             {{ id: bob, key: bob-0123456789abcdef }}], signature: {{ keys: [{keys}] }} }}\nservers:\n  \
             odd: {{ command: {:?}, args: [\"--modern\"] }}\n",
            crate::support::ODD_BIN
        )
    };
    let one = format!("{{ id: ci, secret: {SECRET} }}");
    let running = Setup::verbatim(&file(&one)).over_http();
    let to = running.endpoint();
    let ann = [("x-team-key", "ann-0123456789abcdef")];
    let first = message(to, SECRET, PING, now(), "1");
    assert_eq!(post(to, &first, &ann, PING).status, 200);
    running.configure(&file(&format!(
        "{one}, {{ id: new, secret: {OTHER}, caller: ann }}"
    )));
    running.process.stderr.with("\"reloaded: changed: auth\"");
    assert_eq!(why(post(to, &first, &ann, PING)), "signature_replayed");
    assert_eq!(
        post(to, &message(to, SECRET, PING, now(), "2"), &ann, PING).status,
        200
    );
    assert_eq!(
        post(to, &compact(to, OTHER, "POST", PING, now()), &ann, PING).status,
        200
    );
    let bob = [("x-team-key", "bob-0123456789abcdef")];
    let hers = compact(to, OTHER, "POST", PING, now() - 1);
    assert_eq!(
        why(post(to, &hers, &bob, PING)),
        "signature_invalid",
        "not with her key"
    );
    running.configure(&file(&format!("{{ id: new, secret: {OTHER} }}")));
    running
        .process
        .stderr
        .first(2, |line| line.contains("\"reloaded: "));
    let old = message(to, SECRET, PING, now(), "3");
    assert_eq!(why(post(to, &old, &ann, PING)), "signature_invalid");
    let usual = [("x-api-key", "ann-0123456789abcdef")];
    let signed = compact(to, OTHER, "POST", PING, now() - 2);
    assert_eq!(
        post(to, &signed, &usual, PING).status,
        401,
        "keys stand elsewhere"
    );
}
