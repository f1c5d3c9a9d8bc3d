//! Responses that lie, break off, never end, or are too long.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use mcp_gw_upstream::egress::{Redirects, RefusalCode};

use crate::raw::{Raw, Reply, answer, ok};
use crate::{Api, get};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// What becomes of the body of this reply, of which 1000 bytes are taken.
async fn body(reply: Reply) -> Result<(Vec<u8>, bool), RefusalCode> {
    let server = Raw::start(move |_, _| reply.clone()).await;
    let api = Api::new(&server, |rules| {
        let limit = Duration::from_millis(300);
        rules
            .with_max_response(1000)
            .with_timeout(limit * 4)
            .with_idle_timeout(limit)
    });
    let mut answer = api.get("/").await.map_err(|error| error.code)?;
    let body = answer.read().await.map_err(|error| {
        assert!(!error.is_unsent);
        error.code
    })?;
    Ok((body.to_vec(), answer.is_truncated()))
}

#[tokio::test]
async fn a_body_is_taken_up_to_its_bound_and_it_is_told_when_more_came() {
    for length in [0, 1, 999, 1000] {
        let whole = vec![b'a'; length];
        assert_eq!(
            body(answer("200 OK", &[], &whole)).await,
            Ok((whole, false))
        );
    }
    for length in [1001, 100_000] {
        let taken = (vec![b'a'; 1000], true);
        assert_eq!(
            body(answer("200 OK", &[], &vec![b'a'; length])).await,
            Ok(taken)
        );
    }
}

#[tokio::test]
async fn endless_bodies_are_cut() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\na";
    let taken = (vec![b'a'; 1000], true);
    assert_eq!(body(Reply::raw(head).forever()).await, Ok(taken.clone()));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffff\r\na";
    assert_eq!(body(Reply::raw(chunked).forever()).await, Ok(taken.clone()));
    let lie = "HTTP/1.1 200 OK\r\ncontent-length: 999999999999999\r\n\r\na";
    assert_eq!(body(Reply::raw(lie).forever()).await, Ok(taken));
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_is_told_of() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ] {
        let seen = body(Reply::raw(text).close()).await;
        assert_eq!(seen, Err(RefusalCode::UpstreamInvalid), "{text:?}");
    }
}

#[tokio::test]
async fn what_is_behind_a_response_is_not_the_answer_to_the_next_request() {
    let first = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let smuggled = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";
    let server = Raw::start(move |number, _| match number {
        0 => Reply::raw(format!("{first}{smuggled}")),
        _ => ok("real"),
    })
    .await;
    let api = Api::new(&server, |rules| rules);
    assert_eq!(api.text("/").await.unwrap().1, "ok");
    assert_eq!(api.text("/").await.unwrap().1, "real");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn what_is_no_response_is_told_of() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1000));
    for text in [
        "hello\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx\0: y\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        &long,
        &many,
    ] {
        let seen = body(Reply::raw(text).close()).await.unwrap_err();
        assert_eq!(seen, RefusalCode::UpstreamInvalid, "{:?}", text.get(..60));
    }
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    let seen = body(Reply::raw(upgrade)).await.unwrap_err();
    assert_eq!(seen, RefusalCode::UpstreamInvalid);
    let seen = body(Reply::raw("").close()).await.unwrap_err();
    assert_eq!(seen, RefusalCode::UpstreamUnreachable);
}

#[tokio::test]
async fn what_takes_too_long_is_given_up() {
    for text in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let seen = body(Reply::raw(text).hang()).await;
        assert_eq!(seen, Err(RefusalCode::UpstreamTimeout), "{text:?}");
    }
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_nobody_answering() {
    let server = Raw::start(|_, _| ok("")).await;
    let api = Api::new(&server, |rules| rules);
    let port = server.port();
    drop(server);
    // The port is free again when the listener has gone.
    while tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .is_ok()
    {
        tokio::task::yield_now().await;
    }
    let error = api.get("/").await.unwrap_err();
    assert_eq!(
        (error.code, error.is_unsent),
        (RefusalCode::UpstreamUnreachable, true)
    );
    assert!(!error.message.contains("127."), "{error}");
}

#[tokio::test]
async fn less_time_can_be_asked_for_and_not_more() {
    let server = Raw::start(|_, _| Reply::raw("").hang()).await;
    let api = Api::new(&server, |rules| {
        rules.with_timeout(Duration::from_millis(200))
    });
    for limit in [Duration::from_millis(20), Duration::from_secs(3600)] {
        let checked = api.rules.check(get("/")).unwrap().within(limit);
        let sent = tokio::time::timeout(Duration::from_secs(30), api.client.get(checked));
        let error = sent.await.expect("it is given up").unwrap_err();
        assert_eq!(error.code, RefusalCode::UpstreamTimeout);
        assert!(!error.is_unsent);
    }
}

#[tokio::test]
async fn compressed_bodies_are_decoded_though_nobody_asked_for_them() {
    let text = b"{\"a\": 1}".repeat(20);
    let reply = answer("200 OK", &[("content-encoding", "gzip")], &gzip(&text));
    let server = Raw::start(move |_, _| reply.clone()).await;
    let api = Api::new(&server, |rules| rules);
    let mut answered = api.get("/").await.unwrap();
    assert_eq!(answered.read().await.unwrap(), text);
    let names = answered.headers();
    assert!(!names.contains_key("content-encoding") && !names.contains_key("content-length"));

    // A bound on what comes out, not on what came.
    let long = answer(
        "200 OK",
        &[("content-encoding", "gzip")],
        &gzip(&text.repeat(20)),
    );
    let (taken, is_truncated) = body(long).await.unwrap();
    assert_eq!((taken.len(), is_truncated), (1000, true));
}

#[tokio::test]
async fn bombs_and_lies_about_the_encoding_are_told_of() {
    let bomb = gzip(&vec![0; 20 << 20]);
    let server = Raw::start(move |_, _| answer("200 OK", &[("content-encoding", "gzip")], &bomb));
    let server = server.await;
    let api = Api::new(&server, |rules| rules.with_max_response(100 << 20));
    let error = api.get("/").await.unwrap().read().await.unwrap_err();
    assert_eq!(error.code, RefusalCode::ResponseTooLarge);

    for (encoding, sent) in [
        ("gzip", b"not at all".to_vec()),
        ("gzip", gzip(b"hello")[..12].to_vec()),
        ("br", b"x".to_vec()),
        ("gzip, gzip", gzip(&gzip(b"x"))),
        ("deflate", b"not at all".to_vec()),
    ] {
        let seen = body(answer("200 OK", &[("content-encoding", encoding)], &sent)).await;
        assert_eq!(seen, Err(RefusalCode::UpstreamInvalid), "{encoding}");
    }
}

#[tokio::test]
async fn whatever_the_status_is_it_is_an_answer() {
    for status in [
        "204 No Content",
        "304 Not Modified",
        "400 Bad",
        "401 X",
        "429 X",
        "503 X",
    ] {
        let body = if status.starts_with("204") || status.starts_with("304") {
            ""
        } else {
            "why"
        };
        let server = Raw::start(move |_, _| answer(status, &[("x-y", "z")], body.as_bytes())).await;
        let api = Api::new(&server, |rules| rules.with_redirects(Redirects::SameOrigin));
        let (seen, text) = api.text("/").await.unwrap();
        assert_eq!(
            (seen.to_string().as_str(), text.as_str()),
            (status.split(' ').next().unwrap(), body)
        );
    }
}

#[tokio::test]
async fn what_is_given_up_is_given_up_on_the_wire() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
    let server = Raw::start(move |number, _| match number {
        0 => Reply::raw("").hang(),
        1 => Reply::raw(format!("{head}a")).hang(),
        _ => Reply::raw(format!("{head}{}", "a".repeat(2000))).hang(),
    })
    .await;
    let api = Api::new(&server, |rules| rules.with_max_response(1000));
    let within = |work| tokio::time::timeout(Duration::from_secs(30), work);
    {
        // Before an answer.
        let call = api.get("/");
        tokio::pin!(call);
        tokio::select! {
            _ = &mut call => panic!("nobody answers"),
            () = server.asked(1) => {}
        }
    }
    within(server.given_up(1))
        .await
        .expect("the first is ended");
    // In the middle of one.
    let mut answer = api.get("/").await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "a");
    drop(answer);
    within(server.given_up(2))
        .await
        .expect("the second is ended");
    // When there is more than is taken.
    let mut answer = api.get("/").await.unwrap();
    assert_eq!(answer.read().await.unwrap().len(), 1000);
    assert!(answer.is_truncated());
    within(server.given_up(3))
        .await
        .expect("the third is ended");
}
