use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use std::sync::Arc;

use rustls::ClientConfig;

use super::*;
use crate::net::connect::Lookup;

fn client() -> Client {
    client_within(Duration::from_secs(5))
}

fn client_within(limit: Duration) -> Client {
    let tls =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
    let agent = HeaderValue::from_static("test");
    let connector = Connector::new(Lookup::system(), limit, Arc::new(tls));
    Client::new(connector, agent)
}

#[tokio::test(start_paused = true)]
async fn who_waits_on_a_connection_that_has_ended_hears_of_it() {
    let (life, pulse) = watch::channel(());
    let ended = || {
        let pulse = Pulse(pulse.clone());
        pulse.0.has_changed().is_err().then_some(pulse)
    };
    let never = unless_forgotten(std::future::pending::<()>(), ended);
    let mut never = pin!(never);
    assert!(timeout(LOOK * 10, &mut never).await.is_err());
    drop(life);
    assert_eq!(timeout(LOOK * 3, never).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_goes_from_one_dead_connection_to_the_next_is_not_given_up() {
    let late = async {
        sleep(LOOK * 20).await;
        "an answer"
    };
    let another = || Some(Pulse(watch::channel(()).1));
    assert_eq!(unless_forgotten(late, another).await, Some("an answer"));
}

#[tokio::test]
async fn it_is_seen_from_outside_that_a_connection_has_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let (close, closing) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        assert_ne!(stream.read(&mut head).await.unwrap(), 0);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
        closing.await.unwrap();
    });
    let mut outgoing = client().request(Method::GET, &address.parse().unwrap());
    let captured = capture_connection(&mut outgoing.request);
    let response = outgoing.pool.request(outgoing.request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&*body, b"ok");
    assert!(ended_connection(&captured).is_none());

    let mut extras = Extensions::new();
    captured
        .connection_metadata()
        .as_ref()
        .unwrap()
        .get_extras(&mut extras);
    let mut pulse: Pulse = extras.remove().unwrap();
    close.send(()).unwrap();
    server.await.unwrap();
    let ended = timeout(Duration::from_secs(30), pulse.0.changed()).await;
    assert!(ended.expect("it ends in time").is_err());
    assert!(ended_connection(&captured).is_some());
}

#[tokio::test]
async fn a_body_where_there_is_none_is_no_answer_to_the_next_request() {
    for head in [
        "304 Not Modified\r\ncontent-length: 2",
        "204 No Content\r\ntransfer-encoding: chunked",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let first = format!("HTTP/1.1 {head}\r\n\r\n{{}}");
        let server = tokio::spawn(async move {
            let second = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned();
            let mut kept = Vec::new();
            for answer in [first, second] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 4096];
                assert_ne!(stream.read(&mut head).await.unwrap(), 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
                kept.push(stream);
            }
            kept
        });
        let client = client();
        let ask = || {
            client
                .request(Method::GET, &address.parse().unwrap())
                .send()
        };
        let empty = ask().await.unwrap();
        assert!(empty.status() != 200);
        drop(empty);
        let mut full = ask().await.unwrap();
        assert_eq!(full.chunk().await.unwrap().as_deref(), Some(&b"ok"[..]));
        drop(server.await.unwrap());
    }
}

#[tokio::test]
async fn a_header_that_is_given_again_takes_the_place_of_the_first() {
    let name = HeaderName::from_static("x-one");
    let value = HeaderValue::from_static;
    let mut more = HeaderMap::new();
    more.append(name.clone(), value("b"));
    more.append(name.clone(), value("c"));
    let address = Uri::from_static("http://127.0.0.1/");
    let outgoing = client().request(Method::GET, &address);
    let outgoing = outgoing.header(name.clone(), value("a")).headers(&more);
    let all = outgoing.request.headers().get_all(name);
    assert_eq!(all.iter().collect::<Vec<_>>(), ["b", "c"]);
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_given_up_in_time() {
    // The connection comes about, and nobody answers on it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}/", listener.local_addr().unwrap());
    let client = client_within(Duration::from_millis(50));
    let request = client.request(Method::GET, &address.parse().unwrap());
    let Err(error) = request.send().await else {
        panic!("nobody is there");
    };
    assert!(error.is_connect() && error.is_timeout(), "{error:?}");
}
