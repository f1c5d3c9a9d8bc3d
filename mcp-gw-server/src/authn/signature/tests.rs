use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method};
use mcp_gw_core::CallerKind;
use mcp_gw_core::testing::ManualClock;
use proptest::prelude::*;

use super::*;
use crate::config::SignatureKeyConfig;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";
const NOW: u64 = 1_000_000_000;
const BODY: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const ALL: &str = r#"("@method" "@authority" "@path" "@query" "content-digest" "content-type")"#;

/// Something that is done to a request on its way.
type Change = Box<dyn Fn(&mut Asked)>;

struct Rig {
    clock: ManualClock,
    signatures: Signatures,
}

fn key(id: &str, secret: &str) -> SignatureKeyConfig {
    SignatureKeyConfig {
        id: id.to_owned(),
        secret: Some(secret.to_owned().into()),
        ..SignatureKeyConfig::default()
    }
}

impl Rig {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut SignatureConfig)) -> Self {
        let clock = ManualClock::new();
        let mut config = SignatureConfig {
            keys: vec![key("a", SECRET), key("b", OTHER)],
            ..SignatureConfig::default()
        };
        change(&mut config);
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let signatures = Signatures::of(&config, &Arc::default(), &shared).unwrap();
        Self { clock, signatures }
    }

    fn check(&self, request: &Asked) -> Result<(), String> {
        check(&self.signatures, request)
    }
}

fn check(signatures: &Signatures, request: &Asked) -> Result<(), String> {
    let said = |error: AuthnError| match error {
        AuthnError::Signature { fault, .. } => fault.to_string(),
        other => other.to_string(),
    };
    let host = request.host.as_deref();
    let uri = request.uri.parse().unwrap();
    let head = SignedHead::new(request.method.as_str(), host, &uri, &request.headers);
    match signatures.begin(&head).map_err(said)? {
        Some(mut pending) => {
            pending.check_body(&request.body).map_err(said)?;
            assert!(pending.key_id().is_some());
            Ok(())
        }
        None => Ok(()),
    }
}

/// A request as it arrives.
#[derive(Clone)]
struct Asked {
    method: Method,
    host: Option<String>,
    uri: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Asked {
    fn new(body: &[u8]) -> Self {
        let mut asked = Self {
            method: Method::POST,
            host: Some("gw.example".to_owned()),
            uri: "/mcp?a=1&b=2".to_owned(),
            headers: HeaderMap::new(),
            body: body.to_vec(),
        };
        asked.put("content-type", "application/json");
        let digest = STANDARD.encode(Sha256::digest(body));
        asked.put("content-digest", &format!("sha-256=:{digest}:"));
        asked
    }

    fn put(&mut self, name: &'static str, value: &str) {
        self.headers
            .insert(name, HeaderValue::from_str(value).unwrap());
    }

    fn add(&mut self, name: &'static str, value: &str) {
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
    }

    fn changed(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    /// Signed as RFC 9421 says, by a signer that shares no code with what checks it.
    fn signed(mut self, parts: &str, params: &str) -> Self {
        let mac = self.mac(parts, params);
        self.put("signature-input", &format!("sig={parts}{params}"));
        self.put("signature", &format!("sig=:{mac}:"));
        self
    }

    fn mac(&self, parts: &str, params: &str) -> String {
        let mut base = String::new();
        for part in parts
            .trim_matches(['(', ')'])
            .split(' ')
            .filter(|part| !part.is_empty())
        {
            let name = part.trim_matches('"');
            let (path, query) = self.uri.split_once('?').unwrap_or((&self.uri, ""));
            let value = match name {
                "@method" => self.method.to_string(),
                "@authority" => "gw.example".to_owned(),
                "@path" => path.to_owned(),
                "@query" => format!("?{query}"),
                name => {
                    let lines = self.headers.get_all(name).iter();
                    let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
                    lines.join(", ")
                }
            };
            writeln!(base, "{part}: {value}").unwrap();
        }
        write!(base, "\"@signature-params\": {parts}{params}").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        STANDARD.encode(hmac::sign(&key, base.as_bytes()))
    }

    /// Signed in the compact form.
    fn compact(mut self, time: u64, more: &str, secret: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(&self.body).into();
        let nonce = more.split(',').find_map(|part| part.strip_prefix("n="));
        let nonce = nonce.map_or_else(String::new, |nonce| format!("{nonce}\n"));
        let text = format!(
            "{time}\n{nonce}{}\n{}\n{}",
            self.method,
            self.uri,
            hex(&digest)
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let mac = hex(hmac::sign(&key, text.as_bytes()).as_ref());
        self.put("x-signature", &format!("t={time},v1={mac}{more}"));
        self
    }
}

fn hex(bytes: &[u8]) -> String {
    let all: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    all.concat()
}

fn params(created: u64, nonce: &str) -> String {
    format!(r#";created={created};keyid="a";nonce="{nonce}";alg="hmac-sha256""#)
}

fn good(nonce: &str) -> Asked {
    Asked::new(BODY).signed(ALL, &params(NOW, nonce))
}

/// RFC 9421 B.2.5.
#[test]
fn the_example_of_the_standard_is_signed_as_it_says() {
    let uri: Uri = "/foo?param=Value&Pet=dog".parse().unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let head = SignedHead::new("POST", Some("example.com"), &uri, &headers);
    let input =
        r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
    let list: sfv::List = sfv::Parser::new(input).parse().unwrap();
    let [sfv::ListEntry::InnerList(list)] = &*list else {
        panic!("one list");
    };
    let base = message::base(&list.items, input, &head).unwrap();
    assert_eq!(
        base,
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\
         \"content-type\": application/json\n\"@signature-params\": (\"date\" \"@authority\" \
         \"content-type\");created=1618884473;keyid=\"test-shared-secret\""
    );
    let secret =
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret).unwrap());
    let mac = STANDARD
        .decode("pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=")
        .unwrap();
    assert!(hmac::verify(&key, base.as_bytes(), &mac).is_ok());
}

#[test]
fn a_request_that_was_signed_comes_in_once() {
    let rig = Rig::new();
    assert_eq!(rig.check(&good("1")), Ok(()));
    assert_eq!(rig.check(&good("1")), Err("signature_replayed".to_owned()));
    assert_eq!(rig.check(&good("2")), Ok(()));
    let compact = Asked::new(BODY).compact(NOW, "", SECRET);
    assert_eq!(rig.check(&compact), Ok(()));
    assert_eq!(rig.check(&compact), Err("signature_replayed".to_owned()));
    for (more, secret) in [
        (",n=c1", SECRET),
        (",n=c2,k=a", SECRET),
        (",k=b", OTHER),
        (",n=x=y", OTHER),
    ] {
        let asked = Asked::new(BODY).compact(NOW, more, secret);
        assert_eq!(rig.check(&asked), Ok(()), "{more}");
        assert_eq!(
            rig.check(&asked),
            Err("signature_replayed".to_owned()),
            "{more}"
        );
    }
    let wrong = Asked::new(BODY).compact(NOW, ",k=b", SECRET);
    assert_eq!(
        rig.check(&wrong),
        Err("signature_invalid".to_owned()),
        "another key's"
    );
}

#[test]
fn nothing_of_what_was_signed_can_be_changed() {
    let of_both: Vec<(&str, Change)> = vec![
        ("the method", Box::new(|asked| asked.method = Method::PUT)),
        (
            "the path",
            Box::new(|asked| asked.uri = "/mcp/x?a=1&b=2".to_owned()),
        ),
        (
            "the case of the path",
            Box::new(|asked| asked.uri = "/Mcp?a=1&b=2".to_owned()),
        ),
        (
            "a slash",
            Box::new(|asked| asked.uri = "/mcp/?a=1&b=2".to_owned()),
        ),
        (
            "an escape",
            Box::new(|asked| asked.uri = "/%6dcp?a=1&b=2".to_owned()),
        ),
        (
            "the order of the query",
            Box::new(|asked| asked.uri = "/mcp?b=2&a=1".to_owned()),
        ),
        (
            "the end of the query",
            Box::new(|asked| asked.uri = "/mcp?a=1&b=2&".to_owned()),
        ),
        ("no query", Box::new(|asked| asked.uri = "/mcp".to_owned())),
        ("a byte of the body", Box::new(|asked| asked.body[3] ^= 1)),
        (
            "a blank behind the body",
            Box::new(|asked| asked.body.push(b' ')),
        ),
        ("no body", Box::new(|asked| asked.body.clear())),
    ];
    for (what, change) in of_both {
        for asked in [good("1"), Asked::new(BODY).compact(NOW, "", SECRET)] {
            let answer = Rig::new().check(&asked.changed(&*change));
            assert_eq!(answer, Err("signature_invalid".to_owned()), "{what}");
        }
    }
}

#[test]
fn no_header_that_was_signed_can_be_changed() {
    let other = Asked::new(b"other");
    let of_headers: Vec<(&str, Change)> = vec![
        (
            "the host",
            Box::new(|asked| asked.host = Some("evil.example".to_owned())),
        ),
        (
            "a port",
            Box::new(|asked| asked.host = Some("gw.example:8080".to_owned())),
        ),
        ("no host", Box::new(|asked| asked.host = None)),
        (
            "the type",
            Box::new(|asked| asked.put("content-type", "text/plain")),
        ),
        (
            "no type",
            Box::new(|asked| drop(asked.headers.remove("content-type"))),
        ),
        (
            "the type twice",
            Box::new(|asked| asked.add("content-type", "application/json")),
        ),
        (
            "the digest twice",
            Box::new(|asked| {
                let digest = asked.headers["content-digest"].clone();
                asked.headers.append("content-digest", digest);
            }),
        ),
        (
            "no digest",
            Box::new(|asked| drop(asked.headers.remove("content-digest"))),
        ),
        (
            "body and digest",
            Box::new(move |asked| {
                asked.body.clone_from(&other.body);
                asked
                    .headers
                    .insert("content-digest", other.headers["content-digest"].clone());
            }),
        ),
        (
            "the signature twice",
            Box::new(|asked| {
                let signature = asked.headers["signature"].clone();
                asked.headers.append("signature", signature);
            }),
        ),
        (
            "the input twice",
            Box::new(|asked| {
                let input = asked.headers["signature-input"].clone();
                asked.headers.append("signature-input", input);
            }),
        ),
        (
            "no signature",
            Box::new(|asked| drop(asked.headers.remove("signature"))),
        ),
        (
            "no input",
            Box::new(|asked| drop(asked.headers.remove("signature-input"))),
        ),
        (
            "both forms",
            Box::new(|asked| asked.put("x-signature", "t=1,v1=00")),
        ),
        (
            "a time",
            Box::new(|asked| {
                let input = asked.headers["signature-input"].to_str().unwrap();
                let input = input.replace("1000000000", "1000000001");
                asked.put("signature-input", &input);
            }),
        ),
    ];
    for (what, change) in of_headers {
        let answer = Rig::new().check(&good("1").changed(&*change));
        assert_eq!(answer, Err("signature_invalid".to_owned()), "{what}");
    }
    let harmless = good("1").changed(|asked| {
        asked.put("x-other", "1");
        asked.host = Some("GW.example:443".to_owned());
    });
    assert_eq!(Rig::new().check(&harmless), Ok(()));
    let twice = Asked::new(BODY)
        .compact(NOW, "", SECRET)
        .changed(|asked| asked.add("x-signature", "t=1,v1=00"));
    assert_eq!(
        Rig::new().check(&twice),
        Err("signature_invalid".to_owned())
    );
}

#[test]
fn what_must_be_covered_must_be_covered() {
    let rig = Rig::new();
    let names = [
        "@method",
        "@authority",
        "@path",
        "@query",
        "content-digest",
        "content-type",
    ];
    for left_out in names {
        let parts = ALL.replace(&format!("\"{left_out}\""), "");
        let parts = parts
            .replace("( ", "(")
            .replace("  ", " ")
            .replace(" )", ")");
        let asked = Asked::new(BODY).signed(&parts, &params(NOW, left_out));
        assert_eq!(
            rig.check(&asked),
            Err("signature_invalid".to_owned()),
            "{left_out}"
        );
    }
    let asked = Asked::new(BODY).signed("()", &params(NOW, "none"));
    assert!(rig.check(&asked).is_err());
    let more = ALL.replace(')', " \"accept\")");
    let mut asked = Asked::new(BODY);
    asked.put("accept", "text/event-stream");
    let asked = asked.signed(&more, &params(NOW, "more"));
    let other = asked.changed(|asked| asked.put("accept", "text/html"));
    assert!(rig.check(&other).is_err(), "what else is covered counts");
    assert_eq!(rig.check(&asked), Ok(()));
    for odd in [
        ALL.replace(')', " \"@method\")"),
        ALL.replace(')', " \"@scheme\")"),
        ALL.replace(')', " \"@target-uri\")"),
        ALL.replace(')', " \"@status\")"),
        ALL.replace(')', " \"absent\")"),
        ALL.replace(')', " \"Accept\")"),
        ALL.replace(')', " \"content-type\";sf)"),
        ALL.replace(')', " \"@path\";req)"),
        ALL.replace(')', " 1)"),
    ] {
        let asked = Asked::new(BODY).signed(&odd, &params(NOW, "odd"));
        assert_eq!(
            rig.check(&asked),
            Err("signature_invalid".to_owned()),
            "{odd}"
        );
    }
}

#[test]
fn a_request_without_a_body_needs_no_digest() {
    let rig = Rig::new();
    for method in [Method::GET, Method::DELETE] {
        let mut asked = Asked::new(b"");
        asked.headers.clear();
        asked.uri = "/mcp".to_owned();
        asked.method = method.clone();
        let parts = r#"("@method" "@authority" "@path" "@query")"#;
        let signed = asked.clone().signed(parts, &params(NOW, method.as_str()));
        assert_eq!(rig.check(&signed), Ok(()), "{method}");
        let mut with_type = asked.clone();
        with_type.put("content-type", "text/plain");
        let signed = with_type.signed(parts, &params(NOW, "type"));
        assert!(
            rig.check(&signed).is_err(),
            "what it says of one is covered"
        );
        assert_eq!(
            rig.check(&asked.compact(NOW, "", SECRET)),
            Ok(()),
            "{method}"
        );
    }
}

#[test]
fn parameters_are_there_and_say_what_they_must() {
    let rig = Rig::new();
    let all = params(NOW, "n");
    for (from, to) in [
        (r#";keyid="a""#, ""),
        (r#";keyid="a""#, ";keyid=a"),
        (r#";keyid="a""#, r#";keyid="nobody""#),
        (r#";keyid="a""#, r#";keyid="b""#),
        (r#";nonce="n""#, ""),
        (r#";nonce="n""#, r#";nonce="""#),
        (r#";nonce="n""#, ";nonce=1"),
        (";created=1000000000", ""),
        (";created=1000000000", r#";created="1000000000""#),
        (";created=1000000000", ";created=1000000000.0"),
        (";created=1000000000", ";created=-1"),
        (r#"alg="hmac-sha256""#, r#"alg="rsa-pss-sha512""#),
        (r#"alg="hmac-sha256""#, r#"alg="none""#),
        (r#"alg="hmac-sha256""#, "alg=hmac-sha256"),
        (r#"alg="hmac-sha256""#, r#"alg="hmac-sha256";expires="x""#),
    ] {
        assert!(all.contains(from));
        let asked = Asked::new(BODY).signed(ALL, &all.replace(from, to));
        assert_eq!(
            rig.check(&asked),
            Err("signature_invalid".to_owned()),
            "{to}"
        );
    }
    let long = params(NOW, &"n".repeat(129));
    assert!(rig.check(&Asked::new(BODY).signed(ALL, &long)).is_err());
    let expired = format!("{all};expires=999999999");
    let expired = rig.check(&Asked::new(BODY).signed(ALL, &expired));
    assert_eq!(expired, Err("signature_expired".to_owned()));
    let plain = all.replace(r#";alg="hmac-sha256""#, ";expires=1000000000;tag=\"x\"");
    assert_eq!(rig.check(&Asked::new(BODY).signed(ALL, &plain)), Ok(()));
    let tagged = Rig::with(|config| config.tag = Some("x".to_owned()));
    assert_eq!(tagged.check(&Asked::new(BODY).signed(ALL, &plain)), Ok(()));
    assert_eq!(
        tagged.check(&good("1")),
        Err("signature_invalid".to_owned())
    );
}

#[test]
fn a_signature_is_good_from_a_minute_before_to_five_after() {
    for (age, answer) in [
        (-61_i64, Err("signature_expired".to_owned())),
        (-60, Ok(())),
        (0, Ok(())),
        (300, Ok(())),
        (301, Err("signature_expired".to_owned())),
    ] {
        let created = NOW.checked_add_signed(-age).unwrap();
        let asked = Asked::new(BODY).signed(ALL, &params(created, "1"));
        assert_eq!(Rig::new().check(&asked), answer, "{age} s old");
        let asked = Asked::new(BODY).compact(created, "", SECRET);
        assert_eq!(Rig::new().check(&asked), answer, "{age} s old");
    }
    // For as long as it is good it is remembered, and not a second less.
    for asked in [
        Asked::new(BODY).signed(ALL, &params(NOW + 60, "1")),
        Asked::new(BODY).compact(NOW + 60, "", SECRET),
    ] {
        let rig = Rig::new();
        assert_eq!(rig.check(&asked), Ok(()));
        rig.clock.advance(Duration::from_secs(360));
        assert_eq!(rig.check(&asked), Err("signature_replayed".to_owned()));
        rig.clock.advance(Duration::from_secs(1));
        assert_eq!(rig.check(&asked), Err("signature_expired".to_owned()));
    }
}

#[test]
fn when_no_more_can_be_remembered_no_more_is_taken() {
    let rig = Rig::with(|config| config.max_nonces = 2);
    assert_eq!(rig.check(&good("1")), Ok(()));
    assert_eq!(
        rig.check(&Asked::new(BODY).compact(NOW, "", SECRET)),
        Ok(())
    );
    let full = rig.check(&good("3")).unwrap_err();
    assert!(full.contains("max_nonces"), "{full}");
    assert_eq!(rig.check(&good("1")), Err("signature_replayed".to_owned()));
    let other = Asked::new(BODY).compact(NOW, "", OTHER);
    assert_eq!(rig.check(&other), Ok(()), "another key has its own room");
}

#[test]
fn whether_one_is_needed_and_of_which_form_is_said() {
    let without = Asked::new(BODY);
    assert_eq!(
        Rig::new().check(&without),
        Err("signature_missing".to_owned())
    );
    let optional = Rig::with(|config| config.required = false);
    assert_eq!(optional.check(&without), Ok(()));
    let wrong = good("1").changed(|asked| asked.body[0] = b'x');
    assert_eq!(optional.check(&wrong), Err("signature_invalid".to_owned()));
    let one = |profile| Rig::with(|config| config.profiles = vec![profile]);
    let compact = Asked::new(BODY).compact(NOW, "", SECRET);
    let message = one(SignatureProfile::Rfc9421);
    assert_eq!(message.check(&good("1")), Ok(()));
    assert_eq!(message.check(&compact), Err("signature_missing".to_owned()));
    let short = one(SignatureProfile::Compact);
    assert_eq!(short.check(&compact), Ok(()));
    assert_eq!(short.check(&good("1")), Err("signature_missing".to_owned()));
    assert_eq!(short.signatures.accept("POST"), None);
    let asks = |method: &str| message.signatures.accept(method).unwrap();
    let rest = r#";created;keyid;nonce;alg="hmac-sha256""#;
    assert_eq!(asks("POST"), format!("sig={ALL}{rest}"));
    // What is not there cannot be signed.
    let bare = r#"("@method" "@authority" "@path" "@query")"#;
    for method in ["GET", "DELETE"] {
        assert_eq!(asks(method), format!("sig={bare}{rest}"));
    }
}

#[test]
fn a_key_may_be_for_one_caller_alone() {
    let rig = Rig::with(|config| config.keys[0].caller = Some("ann".to_owned()));
    for asked in [good("1"), Asked::new(BODY).compact(NOW, "", SECRET)] {
        let uri = asked.uri.parse().unwrap();
        let head = SignedHead::new("POST", asked.host.as_deref(), &uri, &asked.headers);
        let mut pending = rig.signatures.begin(&head).unwrap().unwrap();
        pending.check_body(&asked.body).unwrap();
        assert_eq!(pending.key_id(), Some("a"));
        let by_key = |id: &str| Caller::new(CallerKind::ApiKey, id);
        assert!(pending.check_caller(&by_key("ann")).is_ok());
        assert!(pending.check_caller(&by_key("bob")).is_err());
        // Who issues tokens may give the id to somebody else.
        let by_token = Caller::new(CallerKind::User, "ann");
        assert!(pending.check_caller(&by_token).is_err());
    }
    let rig = Rig::with(|config| {
        config.keys[0].caller = Some("ann".to_owned());
        config.keys[0].issuer = Some("https://one".to_owned());
    });
    let asked = good("1");
    let uri = asked.uri.parse().unwrap();
    let head = SignedHead::new("POST", asked.host.as_deref(), &uri, &asked.headers);
    let pending = rig.signatures.begin(&head).unwrap().unwrap();
    for (kind, issuer, is_hers) in [
        (CallerKind::User, "https://one", true),
        (CallerKind::User, "https://two", false),
        (CallerKind::ApiKey, "", false),
    ] {
        let caller = Caller::new(kind, "ann").with_issuer(issuer);
        assert_eq!(pending.check_caller(&caller).is_ok(), is_hers);
    }
}

#[test]
fn another_configuration_does_not_forget_what_was_used() {
    let rig = Rig::new();
    assert_eq!(rig.check(&good("1")), Ok(()));
    let compact = Asked::new(BODY).compact(NOW, "", OTHER);
    assert_eq!(rig.check(&compact), Ok(()));
    let config = SignatureConfig {
        keys: vec![key("a", SECRET), key("new", OTHER)],
        max_age: "15m".parse().unwrap(),
        ..SignatureConfig::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(rig.clock.clone());
    let next = Signatures::of(&config, &rig.signatures.nonces, &clock).unwrap();
    assert_eq!(
        check(&next, &good("1")),
        Err("signature_replayed".to_owned())
    );
    assert_eq!(check(&next, &good("2")), Ok(()));
    for more in ["", ",k=new"] {
        let again = Asked::new(BODY).compact(NOW, more, OTHER);
        let answer = check(&next, &again);
        assert_eq!(
            answer,
            Err("signature_replayed".to_owned()),
            "by another name"
        );
    }
    // What was forgotten with the shorter time is not new with the longer one.
    let early = Asked::new(BODY).signed(ALL, &params(NOW - 301, "3"));
    assert_eq!(check(&next, &early), Err("signature_expired".to_owned()));
}

#[test]
fn several_signatures_are_looked_at_and_one_must_be_good() {
    let asked = good("1").changed(|asked| {
        let input = asked.headers["signature-input"]
            .to_str()
            .unwrap()
            .to_owned();
        let signature = asked.headers["signature"].to_str().unwrap().to_owned();
        let proxy = r#"proxy=("@method");created=1;keyid="proxy""#;
        asked.put("signature-input", &format!("{proxy}, {input}"));
        asked.put("signature", &format!("proxy=:AAAA:, {signature}"));
    });
    assert_eq!(Rig::new().check(&asked), Ok(()));
    let many = good("1").changed(|asked| {
        let input = asked.headers["signature-input"]
            .to_str()
            .unwrap()
            .to_owned();
        let more: Vec<_> = (0..8).map(|n| format!(", s{n}=()")).collect();
        let more = more.concat();
        asked.put("signature-input", &format!("{input}{more}"));
    });
    assert_eq!(Rig::new().check(&many), Err("signature_invalid".to_owned()));
}

#[test]
fn a_signature_with_the_macs_of_two_keys_is_good_once() {
    let rig = Rig::new();
    let mac = |secret| {
        let asked = Asked::new(BODY).compact(NOW, "", secret);
        let line = asked.headers["x-signature"].to_str().unwrap().to_owned();
        line.split_once("v1=").unwrap().1.to_owned()
    };
    let (first, second) = (mac(SECRET), mac(OTHER));
    let with = |text: &str| Asked::new(BODY).changed(|asked| asked.put("x-signature", text));
    let both = with(&format!("t={NOW},v1={first},v1={second},k=a"));
    assert_eq!(rig.check(&both), Ok(()));
    for text in [format!("v1={first}"), format!("v1={second},k=b")] {
        let again = with(&format!("t={NOW},{text}"));
        assert_eq!(rig.check(&again), Err("signature_replayed".to_owned()));
    }
}

#[test]
fn a_wrong_body_does_not_use_a_signature_up() {
    let rig = Rig::new();
    let wrong = good("1").changed(|asked| asked.body[0] = b'x');
    assert_eq!(rig.check(&wrong), Err("signature_invalid".to_owned()));
    // Nor a request that is refused for something else before its body is looked at.
    let asked = good("1");
    let uri = asked.uri.parse().unwrap();
    let head = SignedHead::new("POST", asked.host.as_deref(), &uri, &asked.headers);
    let mut pending = rig.signatures.begin(&head).unwrap().unwrap();
    assert_eq!(rig.check(&asked), Ok(()));
    assert_eq!(rig.check(&asked), Err("signature_replayed".to_owned()));
    assert!(
        pending.check_body(&asked.body).is_err(),
        "of two, one is good"
    );
}

#[test]
fn any_good_signature_will_do_and_age_is_told_to_those_who_have_a_key() {
    let with_old = |mac: &str| {
        good("1").changed(|asked| {
            let old = params(NOW - 1000, "old");
            let mac = if mac.is_empty() {
                asked.mac(ALL, &old)
            } else {
                mac.to_owned()
            };
            let line = |name: &str| asked.headers[name].to_str().unwrap().to_owned();
            let (input, signature) = (line("signature-input"), line("signature"));
            asked.put("signature-input", &format!("old={ALL}{old}, {input}"));
            asked.put("signature", &format!("old=:{mac}:, {signature}"));
        })
    };
    assert_eq!(Rig::new().check(&with_old("")), Ok(()));
    assert_eq!(Rig::new().check(&with_old("AAAA")), Ok(()));
    let only = Asked::new(BODY).signed(ALL, &params(NOW - 1000, "old"));
    assert_eq!(Rig::new().check(&only), Err("signature_expired".to_owned()));
    let forged = only.changed(|asked| asked.put("signature", "sig=:AAAA:"));
    assert_eq!(
        Rig::new().check(&forged),
        Err("signature_invalid".to_owned())
    );
}

#[test]
fn secrets_are_in_no_debug_output() {
    let text = format!("{:?}", Rig::new().signatures);
    assert!(
        text.contains("\"a\"") && !text.contains("0123456789"),
        "{text}"
    );
}

proptest! {
    /// Whatever is in the headers: no panic, and nothing comes in that was not signed.
    #[test]
    fn nothing_but_what_was_signed_is_good(
        input in prop_oneof!["\\PC{0,120}", "sig=\\([a-z\"@; ]{0,60}\\)[a-z0-9=;\"]{0,60}"],
        signature in prop_oneof!["\\PC{0,80}", "sig=:[A-Za-z0-9+/=]{0,60}:"],
        compact in prop_oneof!["\\PC{0,80}", "t=[0-9]{0,12},v1=[0-9a-f]{60,66}(,[kn]=[a-z]{0,4})?"],
        body in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut asked = Asked::new(&body);
        let mut short = asked.clone();
        if let (Ok(input), Ok(signature)) =
            (HeaderValue::from_str(&input), HeaderValue::from_str(&signature))
        {
            asked.headers.insert("signature-input", input);
            asked.headers.insert("signature", signature);
            prop_assert!(Rig::new().check(&asked).is_err());
        }
        if let Ok(compact) = HeaderValue::from_str(&compact) {
            short.headers.insert("x-signature", compact);
            prop_assert!(Rig::new().check(&short).is_err());
        }
        let signed = Asked::new(&body).compact(NOW, "", SECRET);
        prop_assert_eq!(Rig::new().check(&signed), Ok(()));
    }
}
