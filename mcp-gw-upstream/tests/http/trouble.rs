//! MCP servers over HTTP that break, stall and lie, and clients that give up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::client::Client;
use crate::fake::{Fake, Seen, event, json, live, sse, status};
use crate::support::{call, context};
use axum::response::Response;
use mcp_gw_core::{Backend as _, BackendError};
use mcp_gw_upstream::{HttpServer, HttpServerConfig};
use tokio::sync::mpsc;

fn config(fake: &Fake) -> HttpServerConfig {
    HttpServerConfig::new("up", fake.url())
}

async fn ask(config: &HttpServerConfig) -> Result<String, BackendError> {
    let (ctx, _) = context();
    let backend = HttpServer::new(config).unwrap();
    let output = backend.call_tool(&ctx, call("echo", "{}")).await?;
    Ok(output.as_raw().to_string())
}

/// What comes of a server that answers calls like this.
async fn outcome(script: fn(&Seen) -> Response) -> Result<String, BackendError> {
    let fake = Fake::modern(move |seen| async move { script(&seen) }).await;
    ask(&config(&fake).with_max_message_bytes(64 * 1024)).await
}

#[tokio::test]
async fn answers_that_are_not_mcp_are_told_from_those_that_are_lost() {
    type Script = fn(&Seen) -> Response;
    let not_mcp: [Script; 9] = [
        |_| json(200, "{\"jsonrpc\":\"2.0\",\"id\":1,"),
        |_| json(200, "<html>"),
        |_| json(200, "{}"),
        |_| json(200, r#"{"jsonrpc":"2.0","id":4711,"result":{}}"#),
        |seen| seen.result("[1]"),
        |_| status(200),
        |_| status(202),
        |_| status(302),
        |_| sse(event("{\"jsonrpc\":")),
    ];
    for (at, script) in not_mcp.into_iter().enumerate() {
        let outcome = outcome(script).await;
        assert!(
            matches!(outcome, Err(BackendError::Protocol { .. })),
            "{at}: {outcome:?}"
        );
    }
    let lost: [Script; 4] = [
        |_| status(500),
        |_| status(503),
        |_| sse(String::new()),
        |seen| sse(event(&seen.result_text("{}")).trim_end().to_owned()),
    ];
    for (at, script) in lost.into_iter().enumerate() {
        let outcome = outcome(script).await;
        assert!(
            matches!(outcome, Err(BackendError::Lost { .. })),
            "{at}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_message_on_a_stream_does_not_hide_the_answer() {
    for junk in [
        "{not json",
        "5",
        "[{]",
        "\u{fffd}",
        r#"{"jsonrpc":"2.0","method":5}"#,
        r#"{"jsonrpc":"2.0","method":"a","method":"b"}"#,
    ] {
        let fake = Fake::modern(move |seen| async move {
            let answer = seen.result_text(r#"{"content":[]}"#);
            sse(event(junk) + &event(&answer))
        })
        .await;
        let answer = ask(&config(&fake)).await;
        assert!(answer.is_ok(), "{junk}: {answer:?}");
    }
}

#[tokio::test]
async fn an_error_passes_as_it_came_or_not_at_all() {
    type Answer = fn(u16, String) -> Response;
    let ways: [(Answer, u16); 3] = [
        (|status, text| json(status, &text), 200),
        (|_, text| sse(event(&text)), 200),
        (|status, text| json(status, &text), 400),
    ];
    let good = r#"{ "message":"m\u00e9", "code":-1, "data":{"n":1.0}, "x":1 }"#;
    let bad = [
        "{}",
        r#"{"code":1.5,"message":"m"}"#,
        r#"{"code":99999999999999999999,"message":"m"}"#,
        r#"{"code":1,"message":[]}"#,
        r#"{"code":1,"code":1,"message":"m"}"#,
    ];
    for (way, status) in ways {
        for error in bad.into_iter().chain([good]) {
            let fake = Fake::modern(move |seen| async move {
                let id = seen.id();
                way(
                    status,
                    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#),
                )
            })
            .await;
            let told = ask(&config(&fake)).await.unwrap_err();
            match told {
                BackendError::Rpc(told) => assert_eq!(told.as_str(), good),
                BackendError::Protocol { .. } => assert_ne!(error, good),
                other => panic!("{error}: {other}"),
            }
        }
    }
}

#[tokio::test]
async fn being_turned_away_is_told_from_being_lost_at_any_time() {
    fn after(status_code: u16, seconds: &str, body: &str) -> Response {
        let mut response = json(status_code, body);
        let seconds = seconds.parse().unwrap();
        response.headers_mut().insert("retry-after", seconds);
        response
    }
    type Script = fn(&Seen) -> Response;
    let all: [(Script, &str); 7] = [
        (|_| status(401), "401"),
        (|_| json(403, "hidden"), "403"),
        (|_| status(429), "None"),
        (|_| after(429, "7", "{}"), "Some(7s)"),
        (
            |seen| {
                let error = r#"{"code":-32000,"message":"slow down"}"#;
                let id = seen.id();
                let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
                after(429, "3", &body)
            },
            "Some(3s)",
        ),
        (|_| after(429, "Fri, 31 Dec 1999 23:59:59 GMT", ""), "None"),
        (|_| after(429, "99999999999", ""), "Some(86400s)"),
    ];
    for (script, expected) in all {
        let of_calls = outcome(script).await;
        // The same for the first question, after which nothing else is asked; an old server may
        // forbid it because it does not know it.
        let mut fake = Fake::start(move |seen| async move { script(&seen) }).await;
        let of_handshake = ask(&config(&fake)).await;
        let asked: &[&str] = match expected {
            "403" => &["server/discover", "initialize"],
            _ => &["server/discover"],
        };
        assert_eq!(fake.methods(), asked);
        for outcome in [of_calls, of_handshake] {
            let error = outcome.unwrap_err();
            let says = match &error {
                BackendError::Refused { status, .. } => status.to_string(),
                BackendError::Busy { retry_after, .. } => format!("{retry_after:?}"),
                other => panic!("{other}"),
            };
            assert_eq!(says, expected);
            assert!(
                error.is_unsent() && !error.to_string().contains("hidden"),
                "{error}"
            );
        }
    }
    let lost = outcome(|_| after(503, "1", "")).await;
    assert!(matches!(lost, Err(BackendError::Lost { .. })), "{lost:?}");
}

#[tokio::test]
async fn of_two_answers_the_first_counts_and_foreign_ones_do_not() {
    let found = outcome(|seen| {
        let foreign = r#"{"jsonrpc":"2.0","id":4711,"result":{"v":"foreign"}}"#;
        let events = [
            event(foreign),
            event(&seen.result_text(r#"{"v":"first"}"#)),
            event(&seen.result_text(r#"{"v":"second"}"#)),
        ];
        sse(events.concat())
    })
    .await;
    assert_eq!(found.unwrap(), r#"{"v":"first"}"#);
}

#[tokio::test]
async fn an_array_of_messages_is_read_as_the_revision_that_has_them_means_it() {
    let found = outcome(|seen| {
        let note = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
        json(200, &format!("[{note},{}]", seen.result_text("{}")))
    })
    .await;
    assert_eq!(found.unwrap(), "{}");
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    let long: fn(&Seen) -> String =
        |seen| seen.result_text(&format!(r#"{{"v":"{}"}}"#, "x".repeat(100_000)));
    assert!(matches!(
        outcome(move |seen| json(
            200,
            &seen.result_text(&format!(r#"{{"v":"{}"}}"#, "x".repeat(100_000)))
        ))
        .await,
        Err(BackendError::TooLarge { limit: 65_536, .. })
    ));
    let streamed = Fake::modern(move |seen| async move { sse(event(&long(&seen))) }).await;
    assert!(matches!(
        ask(&config(&streamed).with_max_message_bytes(64 * 1024)).await,
        Err(BackendError::TooLarge { limit: 65_536, .. })
    ));
}

#[tokio::test]
async fn a_body_of_the_server_is_shown_in_part_only() {
    let error = outcome(|_| json(418, &"x".repeat(10_000)))
        .await
        .unwrap_err();
    assert!(error.to_string().len() < 700, "{error}");
    assert!(error.to_string().contains("418"), "{error}");
}

/// A server of one era whose calls are answered on streams that the test writes.
struct Hanging {
    fake: Fake,
    streams: mpsc::Receiver<(Seen, mpsc::Sender<String>)>,
}

impl Hanging {
    async fn start(is_modern: bool) -> Self {
        let (sender, streams) = mpsc::channel(8);
        let sender = Arc::new(Mutex::new(sender));
        let script = move |seen: Seen| {
            let sender = Arc::clone(&sender);
            async move {
                if seen.body["result"].is_object() || seen.body["error"].is_object() {
                    return status(202);
                }
                let (stream, response) = live();
                sender.lock().unwrap().try_send((seen, stream)).unwrap();
                response
            }
        };
        let fake = if is_modern {
            Fake::modern(script).await
        } else {
            Fake::legacy(script).await
        };
        Self { fake, streams }
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_the_way_its_era_does_it() {
    for is_modern in [true, false] {
        let mut hanging = Hanging::start(is_modern).await;
        let backend = Arc::new(HttpServer::new(&config(&hanging.fake)).unwrap());
        let of_task = Arc::clone(&backend);
        let task = tokio::spawn(async move {
            let ctx = Client::new(None, "{}").gives_up(GIVEN_UP).context();
            of_task.call_tool(&ctx, call("echo", "{}")).await.map(drop)
        });
        let (seen, stream) = hanging.streams.recv().await.unwrap();
        task.abort();
        stream.closed().await;
        if is_modern {
            // The next request comes without a word about the one before.
            let (ctx, _) = context();
            let again = backend.call_tool(&ctx, call("echo", "{}"));
            let answer = async {
                let (seen, stream) = hanging.streams.recv().await.unwrap();
                stream.send(event(&seen.result_text("{}"))).await.unwrap();
            };
            let (again, ()) = tokio::join!(again, answer);
            again.unwrap();
            let methods = hanging.fake.methods();
            assert!(!methods.contains(&"notifications/cancelled".to_owned()));
        } else {
            let cancelled = hanging.fake.next("notifications/cancelled").await;
            assert_eq!(cancelled.body["params"]["requestId"], seen.body["id"]);
            assert!(cancelled.text.contains(&format!(r#""reason":{GIVEN_UP}"#)));
            assert_eq!(cancelled.header("mcp-session-id"), Some("s1"));
        }
    }
}

/// Why a client gives its call up.
const GIVEN_UP: &str = r#""user \u0061bort""#;

#[tokio::test]
async fn silence_ends_with_the_time_limit_and_tells_an_old_server() {
    for is_modern in [true, false] {
        let mut hanging = Hanging::start(is_modern).await;
        let config = config(&hanging.fake).with_timeout(Duration::from_millis(200));
        let Err(BackendError::Timeout { after, .. }) = ask(&config).await else {
            panic!()
        };
        assert_eq!(after, Duration::from_millis(200));
        if !is_modern {
            let cancelled = hanging.fake.next("notifications/cancelled").await;
            let reason = &cancelled.body["params"]["reason"];
            assert_eq!(reason, "No answer came within 0.2 s.");
        }
    }
}

#[tokio::test]
async fn progress_extends_the_time_limit_up_to_the_hard_one() {
    let mut hanging = Hanging::start(true).await;
    let config = config(&hanging.fake)
        .with_timeout(Duration::from_millis(300))
        .with_max_total_timeout(Duration::from_millis(900));
    let write = async {
        let (seen, stream) = hanging.streams.recv().await.unwrap();
        let token = &seen.body["params"]["_meta"]["progressToken"];
        let progress = event(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
        ));
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        while stream.send(progress.clone()).await.is_ok() {
            tick.tick().await;
        }
    };
    let (outcome, ()) = tokio::join!(ask(&config), write);
    let Err(BackendError::Timeout { after, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(after, Duration::from_millis(900));
}

#[tokio::test]
async fn an_old_server_that_asks_back_is_told_that_nobody_answers() {
    let mut hanging = Hanging::start(false).await;
    let backend = HttpServer::new(&config(&hanging.fake)).unwrap();
    let (ctx, _) = context();
    let script = async {
        let (seen, stream) = hanging.streams.recv().await.unwrap();
        let question = r#"{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{}}"#;
        stream.send(event(question)).await.unwrap();
        let refused = hanging.fake.next("POST").await;
        assert_eq!(refused.body["error"]["code"], -32601);
        assert_eq!(refused.body["id"], 7);
        stream.send(event(&seen.result_text("{}"))).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(backend.call_tool(&ctx, call("echo", "{}")), script);
    outcome.unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_up_in_the_middle_has_lost_the_call() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let hang_up = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncReadExt as _;
            let mut some = [0; 16];
            let _ = stream.read(&mut some).await;
        }
    });
    let outcome = ask(&HttpServerConfig::new("up", url)).await;
    // The handshake never came about, so the call itself was never sent.
    assert!(outcome.unwrap_err().is_unsent());
    hang_up.abort();
}

#[tokio::test]
async fn an_event_without_end_is_given_up_and_the_next_call_is_made_as_ever() {
    let mut hanging = Hanging::start(true).await;
    let config = config(&hanging.fake).with_max_message_bytes(1024 * 1024);
    let backend = HttpServer::new(&config).unwrap();
    let (ctx, _) = context();
    let endless = async {
        let (_, stream) = hanging.streams.recv().await.unwrap();
        stream.send("data: ".to_owned()).await.unwrap();
        let part = "x".repeat(64 * 1024);
        let mut sent = 0;
        while stream.send(part.clone()).await.is_ok() {
            sent += part.len();
            assert!(sent < 100_000_000, "it is still read");
        }
    };
    let (outcome, ()) = tokio::join!(backend.call_tool(&ctx, call("echo", "{}")), endless);
    assert!(matches!(outcome, Err(BackendError::TooLarge { .. })));
    let answer = async {
        let (seen, stream) = hanging.streams.recv().await.unwrap();
        stream.send(event(&seen.result_text("{}"))).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(backend.call_tool(&ctx, call("echo", "{}")), answer);
    outcome.unwrap();
}

#[tokio::test]
async fn what_no_message_holds_is_not_taken_for_one_and_depth_does_no_harm() {
    let odd: [fn(&Seen) -> Response; 3] = [
        |seen| json_bytes(seen, b"\xff"),
        |seen| json_bytes(seen, b"\0"),
        |seen| {
            seen.error(200, -1, "m")
                .map(|_| "{\"jsonrpc\":\"2.0\",\"id\":{}}".into())
        },
    ];
    for script in odd {
        let outcome = outcome(script).await;
        assert!(
            matches!(outcome, Err(BackendError::Protocol { .. })),
            "{outcome:?}"
        );
    }
    let deep = outcome(|seen| {
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        seen.result(&format!(r#"{{"v":{deep}}}"#))
    })
    .await;
    assert_eq!(deep.unwrap().len(), 40_006);
}

/// An answer with these bytes in a string.
fn json_bytes(seen: &Seen, bytes: &[u8]) -> Response {
    let text = seen.result_text(r#"{"v":"HERE"}"#);
    let (before, after) = text.split_once("HERE").unwrap();
    let body = [before.as_bytes(), bytes, after.as_bytes()].concat();
    json(200, "").map(|_| body.into())
}
