use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

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

fn to(address: &str) -> Address {
    Address::of(&address.parse().unwrap()).unwrap()
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
        let ask = || client.request(Method::GET, &to(&address)).send();
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
    let address = to("http://127.0.0.1/");
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
    let request = client.request(Method::GET, &to(&address));
    let Err(error) = request.send().await else {
        panic!("nobody is there");
    };
    assert!(error.is_connect() && error.is_timeout(), "{error:?}");
}

/// A server that says what it is told: each connection is given to `with`.
async fn server<F>(with: impl Fn(TcpStream) -> F + Send + 'static) -> (Address, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = to(&format!("http://{}/a?b", listener.local_addr().unwrap()));
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(with(stream));
        }
    });
    (address, serving)
}

/// Reads a request without a body; empty at the end of the connection.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return String::new(),
        }
    }
    String::from_utf8(head).unwrap()
}

async fn whole(mut response: Response) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = response.chunk().await.unwrap() {
        all.extend_from_slice(&piece);
    }
    all
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn requests_follow_each_other_on_one_connection_and_name_host_and_path() {
    let (heads, mut told) = tokio::sync::mpsc::channel(32);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let (address, _serving) = server(move |mut stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        let heads = heads.clone();
        async move {
            loop {
                let head = head(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                heads.send(head).await.unwrap();
                stream.write_all(OK).await.unwrap();
            }
        }
    })
    .await;
    let client = client();
    for _ in 0..20 {
        let response = client.request(Method::GET, &address).send().await.unwrap();
        assert_eq!(whole(response).await, b"ok");
        let head = told.recv().await.unwrap();
        let host = address.host.to_str().unwrap();
        assert!(head.starts_with("GET /a?b HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nhost: {host}\r\n")), "{head}");
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[test]
fn the_usual_port_is_not_in_the_host() {
    for (url, host, target) in [
        ("http://a.example:80/x", "a.example", "/x"),
        ("http://a.example:443/", "a.example:443", "/"),
        ("https://a.example:443?q", "a.example", "/?q"),
        ("https://[::1]:8443/", "[::1]:8443", "/"),
    ] {
        let address = Address::new(url.parse().unwrap()).unwrap();
        assert_eq!(address.host, host);
        assert_eq!(address.target, target);
    }
    assert!(Address::new("/path".parse().unwrap()).is_none());
}

/// What the server closed in between is not taken for the next request, however soon that comes.
#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_not_used_again() {
    let (address, _serving) = server(|mut stream| async move {
        head(&mut stream).await;
        stream.write_all(OK).await.unwrap();
    })
    .await;
    let client = client();
    for _ in 0..50 {
        let response = client.request(Method::GET, &address).send().await.unwrap();
        assert_eq!(whole(response).await, b"ok");
        // Until the end of the connection is seen here, too.
        until(|| client.pool.kept(&address.origin).is_none()).await;
    }
}

async fn until(mut is_so: impl FnMut() -> bool) {
    timeout(Duration::from_secs(30), async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it becomes so in time");
}

/// The server sees whether its connection is closed: after the first request it waits for the end.
async fn closes(answer: &'static [u8], then: impl AsyncFn(Client, Address)) {
    let (ended, end) = tokio::sync::oneshot::channel();
    let ended = Arc::new(Mutex::new(Some(ended)));
    let (address, _serving) = server(move |mut stream| {
        let ended = Arc::clone(&ended);
        async move {
            head(&mut stream).await;
            stream.write_all(answer).await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            if let Some(ended) = ended.lock().unwrap().take() {
                ended.send(()).unwrap();
            }
        }
    })
    .await;
    let client = client();
    then(client.clone(), address).await;
    timeout(Duration::from_secs(600), end)
        .await
        .expect("it is closed")
        .unwrap();
}

#[tokio::test]
async fn who_gives_up_closes_the_connection() {
    // Before the head, between head and body, and within the body.
    closes(b"", async |client, address| {
        let request = client.request(Method::GET, &address);
        let late = request.timeout(Duration::from_millis(20)).send().await;
        assert!(matches!(late, Err(Error::Late(_))));
    })
    .await;
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
    ] {
        closes(answer, async |client, address| {
            let response = client.request(Method::GET, &address).send().await.unwrap();
            drop(response);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_is_closed_after_a_while() {
    closes(OK, async |client, address| {
        let response = client.request(Method::GET, &address).send().await.unwrap();
        assert_eq!(whole(response).await, b"ok");
        assert_eq!(client.pool.count(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_end_that_is_there_already_is_read_and_the_connection_kept() {
    for answer in [
        &b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"[..],
        b"HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let (address, _serving) = server(move |mut stream| async move {
            while !head(&mut stream).await.is_empty() {
                stream.write_all(answer).await.unwrap();
            }
        })
        .await;
        let client = client();
        let response = client.request(Method::GET, &address).send().await.unwrap();
        drop(response);
        assert_eq!(client.pool.count(), 1, "{answer:?}");
    }
}

/// Neither side waits for the other, however much both have to say.
#[tokio::test]
async fn long_bodies_pass_each_other() {
    const LONG: usize = 8 << 20;
    let (address, _serving) = server(|mut stream| async move {
        head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LONG}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut reading, mut writing) = stream.into_split();
        // The answer begins before the request has ended, and the request is echoed.
        let mut rest = (&mut reading).take(LONG as u64);
        tokio::io::copy(&mut rest, &mut writing).await.unwrap();
    })
    .await;
    let body: Bytes = (0..LONG)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect::<Vec<_>>()
        .into();
    let request = client().request(Method::POST, &address).body(body.clone());
    let response = request.send().await.unwrap();
    assert!(whole(response).await == body);
}

#[tokio::test]
async fn what_breaks_off_is_an_error_of_its_kind() {
    for (answer, is_body) in [
        (&b""[..], false),
        (b"HTTP/1.1 200 OK\r\ncont", false),
        (b"nonsense\r\n\r\n", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok", true),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
            true,
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            true,
        ),
    ] {
        let (address, _serving) = server(move |mut stream| async move {
            head(&mut stream).await;
            stream.write_all(answer).await.unwrap();
        })
        .await;
        let sent = client().request(Method::GET, &address).send().await;
        let error = match sent {
            Err(error) => error,
            Ok(mut response) => loop {
                match response.chunk().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("this is no whole answer: {answer:?}"),
                    Err(error) => break error,
                }
            },
        };
        assert_eq!(matches!(error, Error::Body(_)), is_body, "{error:?}");
        assert!(!error.is_connect() && !error.is_timeout());
    }
}

#[tokio::test]
async fn many_tasks_share_the_connections() {
    let (address, _serving) = server(|mut stream| async move {
        while !head(&mut stream).await.is_empty() {
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let client = client();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (client, address) = (client.clone(), address.clone());
        tasks.spawn(async move {
            for _ in 0..50 {
                let response = client.request(Method::GET, &address).send().await.unwrap();
                // The body is read elsewhere than the head.
                let body = tokio::spawn(whole(response));
                assert_eq!(body.await.unwrap(), b"ok");
            }
        });
    }
    tasks.join_all().await;
    assert!(client.pool.count() <= 32);
}
