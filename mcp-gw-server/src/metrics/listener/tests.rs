use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const TOKEN: &str = "0123456789abcdef";

fn config(text: &str) -> MetricsConfig {
    let text = format!(
        "metrics: {text}\npolicy: {{ default: allow }}\nservers: {{ a: {{ command: x }} }}"
    );
    let config = crate::config::Config::load("mcp-gw.yaml", &text, &|_| None);
    config.unwrap().metrics
}

/// Sends these bytes, and reads until the connection ends.
async fn send(address: SocketAddr, bytes: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

async fn get(address: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    send(address, &request).await.unwrap()
}

#[tokio::test]
async fn it_follows_the_configuration_and_keeps_what_it_had_when_that_is_bad() {
    let mut listener = MetricsListener::new(Metrics::new());
    let none = listener.apply(&MetricsConfig::default()).await;
    assert_eq!(none.unwrap(), None);
    let there = config("{ listen: '127.0.0.1:0' }");
    let first = listener.apply(&there).await.unwrap().unwrap();
    let scraped = get(first, "/metrics").await;
    assert!(scraped.starts_with("HTTP/1.1 200 OK\r\n"), "{scraped}");
    assert!(scraped.contains("mcp_gw_build_info"), "{scraped}");

    // The same address: no connection is refused, and the rest changes.
    let moved = config(&format!(
        "{{ listen: '127.0.0.1:0', path: /m, token: {TOKEN} }}"
    ));
    assert_eq!(listener.apply(&moved).await.unwrap(), Some(first));
    assert!(get(first, "/m").await.starts_with("HTTP/1.1 401 "));
    let authorized = format!("GET /m HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
    let scraped = send(first, &authorized).await.unwrap();
    assert!(scraped.starts_with("HTTP/1.1 200 "), "{scraped}");

    // What cannot be changes nothing.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken_config(&taken);
    for (bad, says) in [
        (taken, "something else listens there"),
        (
            MetricsConfig::default().with_listen("here"),
            "`127.0.0.1:9464`",
        ),
        (
            MetricsConfig::default().with_listen("0.0.0.0:0"),
            "metrics.token",
        ),
        (there.clone().with_token("short"), "token"),
    ] {
        let error = listener.apply(&bad).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(
            send(first, &authorized)
                .await
                .unwrap()
                .starts_with("HTTP/1.1 200 ")
        );
    }

    // Another address: the old one is left.
    let elsewhere = config("{ listen: '[::1]:0' }");
    let elsewhere = match listener.apply(&elsewhere).await {
        // Not every machine has it.
        Err(MetricsListenerError::Bind { .. }) => {
            listener.apply(&MetricsConfig::default()).await.unwrap();
            listener.apply(&there).await
        }
        other => other,
    };
    let second = elsewhere.unwrap().unwrap();
    assert!(get(second, "/metrics").await.starts_with("HTTP/1.1 200 "));
    assert!(TcpStream::connect(first).await.is_err());
    assert_eq!(
        listener.apply(&MetricsConfig::default()).await.unwrap(),
        None
    );
    assert!(TcpStream::connect(second).await.is_err());
}

fn taken_config(listener: &std::net::TcpListener) -> MetricsConfig {
    MetricsConfig::default().with_listen(listener.local_addr().unwrap().to_string())
}

#[tokio::test]
async fn an_end_takes_a_moment_whoever_holds_a_connection() {
    let mut listener = MetricsListener::new(Metrics::new());
    let there = config("{ listen: '127.0.0.1:0' }");
    let address = listener.apply(&there).await.unwrap().unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    // Another one after it shows that the first was taken.
    assert!(get(address, "/metrics").await.contains("200 OK"));
    let ended = timeout(Duration::from_secs(10), listener.shutdown()).await;
    assert!(ended.is_ok());
    let mut rest = Vec::new();
    // Closed or reset.
    assert!(!matches!(silent.read_to_end(&mut rest).await, Ok(1..)));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn dropping_it_ends_it() {
    let mut listener = MetricsListener::new(Metrics::new());
    let there = config("{ listen: '127.0.0.1:0' }");
    let address = listener.apply(&there).await.unwrap().unwrap();
    let stop = listener.open.as_ref().unwrap().stop.clone();
    drop(listener);
    assert!(stop.is_cancelled());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_takes_nothing_with_it() {
    let mut listener = MetricsListener::new(Metrics::new());
    let there = config("{ listen: '127.0.0.1:0' }");
    let address = listener.apply(&there).await.unwrap().unwrap();
    let long = "x".repeat(1 << 20);
    for bytes in [
        "\r\n\r\n",
        "GET",
        "\u{16}\u{3}\u{1}",
        "GET /metrics HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &format!("GET /{long} HTTP/1.1\r\n\r\n"),
        "POST /metrics HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999\r\n\r\nabc",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(bytes.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    assert!(get(address, "/metrics").await.contains("200 OK"));
}

#[tokio::test]
async fn those_who_stall_give_way() {
    let mut listener = MetricsListener::new(Metrics::new());
    let there = config("{ listen: '127.0.0.1:0' }");
    let address = listener.apply(&there).await.unwrap().unwrap();
    let mut held = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    // Real time would take as long as `HEAD_WITHIN`. Time that jumps may end a good scrape, too.
    tokio::time::pause();
    let mut was_answered = false;
    for _ in 0..10 {
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let answer = send(address, &request).await.unwrap_or_default();
        was_answered |= answer.contains("200 OK");
    }
    assert!(was_answered);
    drop(held);
}

#[tokio::test]
async fn an_address_that_nobody_chose_may_be_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let mut there = config(&format!("{{ listen: '{address}' }}"));
    let mut listener = MetricsListener::new(Metrics::new());
    assert!(listener.apply(&there).await.is_err(), "somebody chose it");
    there.is_optional = true;
    assert_eq!(listener.apply(&there).await.unwrap(), None);
}
