//! What really arrives at a server, byte for byte.

use http::header::HeaderName;
use mcp_gw_upstream::egress::{
    CredentialId, InjectError, Injected, PartsBody, RefusalCode, RequestParts,
};

use crate::raw::{Raw, answer, ok};
use crate::{Api, credential, get, post, secret};

const AGENT: &str = concat!("user-agent: mcp-gw/", env!("CARGO_PKG_VERSION"));

#[tokio::test]
async fn a_request_arrives_byte_for_byte() {
    let server = Raw::start(|_, _| ok("{}")).await;
    let api = Api::new(&server, |rules| {
        rules.with_request_headers([HeaderName::from_static("x-custom")])
    });
    api.get("/a/b%20c;d=e?x=1&y=%2f'")
        .await
        .unwrap()
        .read()
        .await
        .unwrap();
    let parts = RequestParts {
        query: vec![("q".into(), "é & \r\n".into())],
        headers: vec![
            ("Accept".into(), "application/json".into()),
            ("X-Custom".into(), "a\tb".into()),
        ],
        ..post("/users", "{\"name\" : 1.0}\n")
    };
    api.ask(parts).await.unwrap().read().await.unwrap();
    api.ask(RequestParts {
        method: "DELETE".into(),
        ..get("/users/1")
    })
    .await
    .unwrap();
    let host = format!("host: api.test:{}", server.port());
    let expected = [
        format!(
            "GET /v1/a/b%20c;d=e?x=1&y=%2f' HTTP/1.1\r\n{AGENT}\r\naccept: */*\r\naccept-encoding: identity\r\n{host}\r\n\r\n"
        ),
        format!(
            "POST /v1/users?q=%C3%A9%20%26%20%0D%0A HTTP/1.1\r\n{AGENT}\r\naccept: application/json\r\nx-custom: a\tb\r\ncontent-type: application/json\r\naccept-encoding: identity\r\n{host}\r\ncontent-length: 15\r\n\r\n{{\"name\" : 1.0}}\n"
        ),
        format!(
            "DELETE /v1/users/1 HTTP/1.1\r\n{AGENT}\r\naccept: */*\r\naccept-encoding: identity\r\n{host}\r\n\r\n"
        ),
    ];
    assert_eq!(server.requests(), expected);
}

#[tokio::test]
async fn a_credential_is_added_and_nothing_of_it_comes_back() {
    let echo = |_: usize, request: &[u8]| {
        let target = String::from_utf8_lossy(request)
            .split(' ')
            .nth(1)
            .unwrap()
            .to_owned();
        let headers = [("location", target.as_str()), ("set-cookie", "sid=1")];
        answer("302 Found", &headers, request)
    };
    let server = Raw::start(echo).await;
    let api = Api::new(&server, |rules| rules);
    let checked = api.rules.check(get("/me?x=1")).unwrap();
    let mut answer = api.client.send(checked, &credential()).await.unwrap();
    let sent = &server.requests()[0];
    assert!(
        sent.starts_with("GET /v1/me?x=1&appid=k3y%20in%20%26%20query HTTP/1.1\r\n"),
        "{sent}"
    );
    assert!(
        sent.contains("\r\nx-api-key: k3y-in-a-header\r\n"),
        "{sent}"
    );

    let body = answer.read().await.unwrap();
    let body = String::from_utf8_lossy(&body);
    assert!(
        body.contains("x-api-key: [redacted]") && body.contains("appid=[redacted]"),
        "{body}"
    );
    assert!(!body.contains("k3y"), "{body}");
    assert_eq!(answer.headers()["location"], "/v1/me?x=1&appid=[redacted]");
    assert!(!answer.headers().contains_key("set-cookie"));
    assert!(!format!("{:?} {:?}", credential(), answer).contains("k3y"));
}

#[tokio::test]
async fn what_a_credential_sets_is_not_the_callers_even_if_the_rules_forgot() {
    let server = Raw::start(|_, _| ok("{}")).await;
    let name = HeaderName::from_static("x-api-key");
    let api = Api::new(&server, |rules| rules.with_request_headers([name]));
    let with_header = RequestParts {
        headers: vec![("X-API-Key".into(), "mine".into())],
        ..get("/")
    };
    for (parts, code) in [
        (with_header, RefusalCode::HeaderNotAllowed),
        (get("/?a=1&%61ppid=mine"), RefusalCode::EndpointInvalid),
    ] {
        let checked = api.rules.check(parts).unwrap();
        let error = api.client.send(checked, &credential()).await.unwrap_err();
        assert_eq!((error.code, error.is_unsent), (code, true));
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn connections_are_for_one_credential_only() {
    let server = Raw::start(|_, _| ok("{}")).await;
    let api = Api::new(&server, |rules| rules);
    let credentials = [credential(), credential(), Injected::none()];
    for _ in 0..3 {
        for credential in &credentials {
            let checked = api.rules.check(get("/")).unwrap();
            let mut answer = api.client.send(checked, credential).await.unwrap();
            answer.read().await.unwrap();
        }
    }
    assert_eq!((server.requests().len(), server.connections()), (9, 3));
    // Tokens that come with calls share nothing, not even with themselves.
    let token = Injected::bearer_of_call(&secret("t0ken-of-a-call")).unwrap();
    for _ in 0..2 {
        let checked = api.rules.check(get("/")).unwrap();
        api.client
            .send(checked, &token)
            .await
            .unwrap()
            .read()
            .await
            .unwrap();
    }
    assert_eq!(server.connections(), 5);
    let last = server.requests().pop().unwrap();
    assert!(
        last.contains("\r\nauthorization: Bearer t0ken-of-a-call\r\n"),
        "{last}"
    );
}

#[test]
fn a_credential_that_would_break_the_request_is_refused_without_repeating_it() {
    let new = || Injected::new(CredentialId::next());
    for value in ["a\r\nhost: evil", "a\0b", "é"] {
        let value = secret(value);
        let error = new()
            .with_header(HeaderName::from_static("x-api-key"), &value, &value)
            .unwrap_err();
        assert_eq!(error, InjectError::Value);
    }
    for name in [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "expect",
    ] {
        let error = new().with_header(HeaderName::from_static(name), &secret("x"), &secret("x"));
        assert!(matches!(error, Err(InjectError::Header(_))), "{name}");
    }
}

#[tokio::test]
async fn the_type_of_a_body_goes_out_as_it_was_given() {
    let server = Raw::start(|_, _| ok("{}")).await;
    let api = Api::new(&server, |rules| {
        rules.with_content_types(["Application/Vnd.Api+JSON".to_owned()])
    });
    let body = PartsBody {
        content_type: "application/vnd.api+json; ext=\"a,b\"".to_owned(),
        bytes: "\u{0}\u{1}".into(),
    };
    let parts = RequestParts {
        method: "PUT".into(),
        body: Some(body),
        ..get("/x")
    };
    api.ask(parts).await.unwrap();
    let sent = &server.requests()[0];
    assert!(
        sent.contains("\r\ncontent-type: application/vnd.api+json; ext=\"a,b\"\r\n"),
        "{sent}"
    );
    assert!(
        sent.ends_with("\r\ncontent-length: 2\r\n\r\n\0\u{1}"),
        "{sent}"
    );
}

/// What a server sends back to these bytes, read until it closes.
async fn by_hand(server: &Raw, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn an_answer_is_that_to_the_same_request_sent_by_hand() {
    // Answers with what it got, so that a difference in either direction is seen.
    let echo = |_: usize, request: &[u8]| {
        let text = String::from_utf8_lossy(request);
        let (line, body) = (
            text.lines().next().unwrap(),
            text.split("\r\n\r\n").nth(1).unwrap(),
        );
        let kind = text
            .lines()
            .find(|line| line.starts_with("content-type"))
            .unwrap_or("none");
        let body = if line.starts_with("HEAD") {
            String::new()
        } else {
            format!("{line}|{kind}|{body}")
        };
        let headers = [
            ("x-one", "1"),
            ("x-one", "2"),
            ("etag", "\"a\""),
            ("content-type", "text/x"),
        ];
        answer("207 Odd", &headers, body.as_bytes()).close()
    };
    let server = Raw::start(echo).await;
    let api = Api::new(&server, |rules| {
        let methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"];
        rules.with_methods(methods.map(|method| method.parse().unwrap()))
    });
    for method in ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"] {
        for (kind, text) in [
            ("application/json", "{\"a\" : [1.0, \"\u{e9}\"]}"),
            ("application/x-www-form-urlencoded", "a=1&b=%20"),
        ] {
            let has_body = !matches!(method, "GET" | "HEAD");
            let body = PartsBody {
                content_type: kind.into(),
                bytes: text.into(),
            };
            let parts = RequestParts {
                method: method.into(),
                body: has_body.then_some(body),
                ..get("/a?b=c%20d")
            };
            let mut answer = api.ask(parts).await.unwrap();
            let body = answer.read().await.unwrap();
            let length = text.len();
            let content = if has_body {
                format!("content-type: {kind}\r\ncontent-length: {length}\r\n\r\n{text}")
            } else {
                "\r\n".to_owned()
            };
            let request = format!("{method} /v1/a?b=c%20d HTTP/1.1\r\nhost: x\r\n{content}");
            let direct = by_hand(&server, &request).await;
            let (head, direct_body) = direct.split_once("\r\n\r\n").unwrap();
            assert_eq!(&*body, direct_body.as_bytes(), "{method} {kind}");
            let mut lines: Vec<String> = answer
                .headers()
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            let mut expected: Vec<&str> = head.lines().skip(1).collect();
            lines.sort_unstable();
            expected.sort_unstable();
            assert_eq!(lines, expected, "{method} {kind}");
            assert_eq!(answer.status(), 207);
        }
    }
}
