//! Servers that answer badly, or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcp_gw_core::RawJson;
use mcp_gw_http::client::{
    Client, Credentials, Done, ErrorKind, NewServer, TransportConfig, UserQuery,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::client;

/// A server that answers each connection with the next of these bytes, the last of them for ever, and ends it.
struct Fake {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Fake {
    async fn start(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (count, answers) = (Arc::clone(&requests), answers.join("\0"));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 8192];
                if stream.read(&mut head).await.unwrap_or(0) == 0 {
                    continue;
                }
                let at = count.fetch_add(1, Ordering::SeqCst);
                let last = answers.split('\0').count() - 1;
                let answer = answers.split('\0').nth(at.min(last)).unwrap();
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, requests }
    }

    fn client(&self) -> Client {
        client(&self.url, Credentials::api_key("mcp_secret"))
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Fake::start(&[&answer("200 OK", "", "{}")]).await;
    for status in [
        "301 Moved",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let to = format!("location: {}/auth/me\r\n", other.url);
        let fake = Fake::start(&[&answer(status, &to, "")]).await;
        let error = fake.client().me().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Redirected, "{status}");
        let error = fake.client().rotate_key(1).await.unwrap_err();
        assert_eq!(
            (error.kind, error.done),
            (ErrorKind::Redirected, Done::Unknown)
        );
        assert_eq!(fake.count(), 2);
    }
    // Not within the same origin either.
    let fake = Fake::start(&[&answer("302 Found", "location: /other\r\n", "")]).await;
    assert!(fake.client().me().await.is_err());
    assert_eq!((fake.count(), other.count()), (1, 0));
}

#[tokio::test]
async fn answers_that_are_none_are_errors_that_say_so() {
    let long = "x".repeat(1_000_001);
    let deep = "[".repeat(100_000);
    for (body, kind) in [
        ("", ErrorKind::NotJson),
        ("<html>hello</html>", ErrorKind::NotJson),
        ("[]", ErrorKind::NotJson),
        ("{\"kind\": 1}", ErrorKind::NotJson),
        (deep.as_str(), ErrorKind::NotJson),
        (long.as_str(), ErrorKind::TooLarge),
    ] {
        let fake = Fake::start(&[&answer("200 OK", "", body)]).await;
        let error = fake.client().me().await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.len() < 1000);
        assert_eq!(fake.count(), 1);
    }
    // Nothing of the API, and a text of the API that repeats the key on several lines.
    let fake = Fake::start(&[&answer("502 Bad Gateway", "", "<html>nginx</html>")]).await;
    let error = fake.client().me().await.unwrap_err();
    assert_eq!(
        (error.kind, error.status),
        (ErrorKind::Unavailable, Some(502))
    );
    let said = r#"{"detail": "no\nmcp_secret", "error_code": "X", "new": {"member": 1}}"#;
    let fake = Fake::start(&[&answer("418 Teapot", "", said)]).await;
    let error = fake.client().me().await.unwrap_err();
    assert_eq!(
        (error.message.as_str(), error.code.as_deref()),
        ("no [redacted]", Some("X"))
    );
}

#[tokio::test]
async fn what_only_reads_is_sent_again_and_what_changes_is_not() {
    let me = answer("200 OK", "", r#"{"kind":"user","id":"u","more":[1]}"#);
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"kind\":";
    let later = answer("503 Unavailable", "retry-after: 0\r\n", r#"{"detail":"x"}"#);
    let limited = answer("429 Too Many", "retry-after: 0\r\n", r#"{"detail":"x"}"#);
    for first in [cut, &later, &limited] {
        let fake = Fake::start(&[first, &me]).await;
        assert_eq!(fake.client().me().await.unwrap().id, "u");
        assert_eq!(fake.count(), 2);
    }
    let server = answer("201 Created", "", r#"{"id":"a","template_name":"t"}"#);
    for first in [cut, &later] {
        let fake = Fake::start(&[first, &server]).await;
        let error = fake.client().register_server(&NewServer::new("t")).await;
        assert_eq!(error.unwrap_err().done, Done::Unknown);
        assert_eq!(fake.count(), 1);
    }
    // It was refused, so it was not done.
    let fake = Fake::start(&[&limited, &server]).await;
    let made = fake.client().register_server(&NewServer::new("t")).await;
    assert_eq!((made.unwrap().id.as_str(), fake.count()), ("a", 2));
    // Not after a long time, and not for ever.
    let long = answer(
        "503 Unavailable",
        "retry-after: 3600\r\n",
        r#"{"detail":"x"}"#,
    );
    let fake = Fake::start(&[&long]).await;
    let error = fake.client().me().await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
    assert_eq!(fake.count(), 1);
    let fake = Fake::start(&[&later]).await;
    assert_eq!(fake.client().me().await.unwrap_err().status, Some(503));
    assert_eq!(fake.count(), 3);
}

#[tokio::test]
async fn who_cannot_be_reached_or_does_not_answer_is_told_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut config = TransportConfig::new(url.parse().unwrap());
    config.timeout = Duration::from_millis(200);
    let silent = Client::with_config(config, Credentials::api_key("mcp_secret")).unwrap();
    let arguments = RawJson::empty_object();
    let error = silent.call_tool("a", "b", &arguments).await.unwrap_err();
    assert_eq!(
        (error.kind, error.done),
        (ErrorKind::Timeout, Done::Unknown)
    );
    drop(listener);
    let error = client(&url, Credentials::None)
        .call_tool("a", "b", &arguments)
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.done), (ErrorKind::Unavailable, Done::No));
    let config = TransportConfig::new(url.parse().unwrap());
    let odd = Client::with_config(config, Credentials::api_key("a\nb"));
    assert!(!format!("{:?}", odd.unwrap_err()).contains("a\nb"));
}

#[tokio::test]
async fn a_list_that_goes_round_ends() {
    use futures_util::TryStreamExt as _;

    let round = answer("200 OK", "", r#"{"items":[],"next_cursor":"again"}"#);
    let fake = Fake::start(&[&round]).await;
    let client = fake.client();
    let users: Result<Vec<_>, _> = client.users(UserQuery::default()).try_collect().await;
    assert_eq!(users.unwrap_err().kind, ErrorKind::NotJson);
    assert_eq!(fake.count(), 2);
}
