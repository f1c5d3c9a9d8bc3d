//! How a server is met: new ones, old ones and those that nobody would expect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::response::Response;
use mcp_gw_core::testing::backend_contract;
use mcp_gw_core::{Backend as _, BackendError, BackendEvent, Extras, ResourceRead, SystemClock};
use mcp_gw_upstream::{
    BalanceConfig, Balanced, HttpServer, HttpServerConfig, Replica, RetryConfig,
};

use crate::client::{ASKABLE, Client};
use crate::fake::{DISCOVERED, Fake, INITIALIZED, Seen, event, handshake, json, live, status};
use crate::support::{Listener, ODD, call, context, raw};
use crate::{TOOL, answer, ask, echoed, server};

#[tokio::test]
async fn a_modern_server_is_asked_without_handshake() {
    let mut fake = Fake::modern(|seen| async move { answer(&seen) }).await;
    let backend = server(&fake);
    let (ctx, _) = context();
    let output = backend.call_tool(&ctx, call("echo", ODD)).await.unwrap();
    assert_eq!(output.as_raw().as_str(), echoed());
    let seen = fake.next("tools/call").await;
    let begins = format!(
        r#""params":{{"name":"echo","arguments":{ODD},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28""#
    );
    assert!(seen.text.contains(&begins), "{}", seen.text);
    assert_eq!(seen.header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(seen.header("mcp-method"), Some("tools/call"));
    assert_eq!(seen.header("mcp-name"), Some("echo"));
    let offer = backend.offer().await.unwrap();
    assert_eq!(offer.tools.len(), 1, "a tool without schema is left out");
    assert_eq!(offer.tools[0].definition().as_str(), TOOL);
    assert_eq!(offer.instructions.as_deref(), Some("be kind"));
    let capabilities = offer.capabilities.unwrap();
    assert_eq!(capabilities.as_str(), r#"{"tools":{},"x":1.0}"#);
    assert!(matches!(
        backend.subscribe(&ctx, "x:y").await,
        Err(BackendError::Unsupported { .. })
    ));
}

#[tokio::test]
async fn an_old_server_is_asked_in_one_session() {
    let mut fake = Fake::legacy(|seen| async move { answer(&seen) }).await;
    let backend = server(&fake);
    ask(&backend).await.unwrap();
    ask(&backend).await.unwrap();
    let hello = fake.next("initialize").await;
    assert_eq!(hello.body["params"]["capabilities"].to_string(), "{}");
    assert_eq!(hello.header("mcp-protocol-version"), None);
    for _ in 0..2 {
        let seen = fake.next("tools/call").await;
        assert_eq!(seen.header("mcp-session-id"), Some("s1"));
        assert_eq!(seen.header("mcp-protocol-version"), Some("2025-11-25"));
        assert_eq!(seen.header("mcp-method"), None);
        assert!(!seen.text.contains("io.modelcontextprotocol/"));
    }
    backend.close().await;
    let delete = fake.next("DELETE").await;
    assert_eq!(delete.header("mcp-session-id"), Some("s1"));
    assert!(ask(&backend).await.unwrap_err().is_unsent());
}

#[tokio::test]
async fn an_old_server_gets_no_state_and_no_answers_of_later_revisions() {
    let mut fake = Fake::legacy(|seen| async move { answer(&seen) }).await;
    let backend = server(&fake);
    let with = |members: &[(&str, &str)]| {
        let members = members
            .iter()
            .map(|(name, value)| ((*name).to_owned(), raw(value)))
            .collect();
        call("echo", "{}").with_extras(Extras::new(None, members))
    };
    let answers = [
        ("inputResponses", r#"{"a":{}}"#),
        ("x", "1.0"),
        ("requestState", r#""e30""#),
    ];
    let modern = Client::new(None, "{}").context();
    let refused = backend.call_tool(&modern, with(&answers)).await;
    match refused.unwrap_err() {
        BackendError::Rpc(error) => assert!(error.as_str().contains("-32602"), "{error}"),
        other => panic!("{other}"),
    }
    let output = backend.call_tool(&modern, with(&answers[..2])).await;
    assert_eq!(output.unwrap().as_raw().as_str(), echoed());
    let seen = fake.next("tools/call").await;
    let params = r#""params":{"name":"echo","arguments":{},"x":1.0,"_meta":"#;
    assert!(seen.text.contains(params), "{}", seen.text);

    // In the mouth of a client of an old revision they are names like any other.
    let legacy = Client::new(Some("c"), "{}").context();
    backend.call_tool(&legacy, with(&answers)).await.unwrap();
    let seen = fake.next("tools/call").await;
    assert_eq!(seen.body["params"]["requestState"], "e30");
    assert!(seen.body["params"]["inputResponses"].is_object());
}

#[tokio::test]
async fn both_eras_keep_the_contract_of_a_backend() {
    let fake = Fake::modern(|seen| async move { answer(&seen) }).await;
    backend_contract(&server(&fake)).await;
    let fake = Fake::legacy(|seen| async move { answer(&seen) }).await;
    backend_contract(&server(&fake)).await;
}

#[tokio::test]
async fn whatever_an_old_server_makes_of_the_first_question_it_gets_its_handshake() {
    type Odd = fn(&Seen) -> Response;
    let unsupported = r#"{"code":-32022,"message":"m","data":{"supported":["2025-06-18"]}}"#;
    let odd: [Odd; 8] = [
        |_| status(404),
        |_| status(405),
        |_| status(500),
        |_| json(400, "not json"),
        |_| status(202),
        |seen| seen.error(200, -32601, "Method not found"),
        |seen| seen.result("{}"),
        |seen| seen.result(r#"{"supportedVersions":["2025-11-25"]}"#),
    ];
    for odd in odd {
        let fake = Fake::start(move |seen| async move {
            match seen.method() {
                "server/discover" => odd(&seen),
                "tools/call" => answer(&seen),
                _ => handshake(&seen).unwrap(),
            }
        })
        .await;
        ask(&server(&fake)).await.unwrap();
    }
    let fake = Fake::start(move |seen| async move {
        match seen.method() {
            "server/discover" => {
                let id = seen.id();
                json(
                    400,
                    &format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{unsupported}}}"#),
                )
            }
            "tools/call" => answer(&seen),
            _ => handshake(&seen).unwrap(),
        }
    })
    .await;
    ask(&server(&fake)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_silent_about_the_first_question_gets_its_handshake() {
    let fake = Fake::start(|seen| async move {
        match seen.method() {
            "server/discover" => std::future::pending().await,
            "tools/call" => answer(&seen),
            _ => handshake(&seen).unwrap(),
        }
    })
    .await;
    let config = HttpServerConfig::new("up", fake.url());
    let quick = config.with_probe_timeout(Duration::from_millis(50));
    ask(&HttpServer::new(&quick).unwrap()).await.unwrap();
}

#[tokio::test]
async fn many_first_calls_share_one_handshake() {
    let mut fake = Fake::legacy(|seen| async move { answer(&seen) }).await;
    let backend = server(&fake);
    let (a, b, c) = tokio::join!(ask(&backend), ask(&backend), ask(&backend));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    let methods = fake.methods();
    assert_eq!(
        methods.iter().filter(|name| *name == "initialize").count(),
        1
    );
}

#[tokio::test]
async fn an_expired_session_is_opened_again_and_the_call_made_once_more() {
    for expired in [404, 400] {
        let calls = Arc::new(AtomicUsize::new(0));
        let fake = Fake::legacy(move |seen| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            async move {
                if call == 1 {
                    let error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Session not found"}}"#;
                    return json(expired, error);
                }
                answer(&seen)
            }
        })
        .await;
        let mut fake = fake;
        let backend = server(&fake);
        let (listener, mut events) = Listener::new();
        backend.watch(listener);
        ask(&backend).await.unwrap();
        ask(&backend).await.unwrap();
        assert_eq!(events.recv().await, Some(BackendEvent::OfferChanged));
        let methods = fake.methods();
        let times = |name: &str| methods.iter().filter(|method| *method == name).count();
        assert_eq!((times("initialize"), times("tools/call")), (2, 3));
    }
}

#[tokio::test]
async fn a_session_that_always_expires_is_tried_twice_only() {
    let fake = Fake::legacy(|_| async { status(404) }).await;
    let mut fake = fake;
    // It has looked at none of them.
    let error = ask(&server(&fake)).await.unwrap_err();
    assert!(matches!(error, BackendError::Forgetful { .. }), "{error}");
    assert!(error.is_unsent());
    assert_eq!(fake.count(&["tools/call", "initialize"]), [2, 2]);
}

#[tokio::test]
async fn what_ends_each_session_or_call_at_once_is_not_waited_out() {
    type Script = fn(&Seen) -> Response;
    // How each is answered, and how many calls and handshakes come of it.
    let all: [(Script, [usize; 2]); 6] = [
        (|_| status(404), [2, 2]),
        (|_| json(404, r#"{"error":"session not found"}"#), [2, 2]),
        (|_| json(400, "no valid session"), [2, 2]),
        (|seen| seen.error(400, -32000, "no valid session"), [2, 2]),
        (|_| status(410), [1, 1]),
        (|_| status(401), [1, 1]),
    ];
    for (at, (script, expected)) in all.into_iter().enumerate() {
        let tools = r#"{"tools":[{"name":"echo","inputSchema":{"type":"object"},
            "annotations":{"readOnlyHint":true}}]}"#;
        let mut fake = Fake::legacy(move |seen| async move {
            match seen.method() {
                "tools/list" => seen.result(tools),
                "tools/call" => script(&seen),
                _ => seen.error(200, -32601, "Method not found"),
            }
        })
        .await;
        let patient = RetryConfig::default().with_wait(Duration::from_secs(3600));
        let backend = balanced(&fake, patient);
        backend.offer().await.unwrap();
        let (ctx, _) = context();
        let called = backend.call_tool(&ctx, call("echo", "{}"));
        let called = tokio::time::timeout(Duration::from_secs(20), called).await;
        called.expect("the call goes on and on").unwrap_err();
        let counts = fake.count(&["tools/call", "initialize"]);
        assert_eq!(counts, expected, "{at}");
    }
}

fn balanced(fake: &Fake, retries: RetryConfig) -> Balanced {
    let config = BalanceConfig::new("up").with_retries(retries);
    let replica = Replica::new("up", Arc::new(server(fake)));
    Balanced::new(config, vec![replica], Arc::new(SystemClock::new())).unwrap()
}

#[tokio::test]
async fn an_unknown_method_is_no_expired_session_whatever_its_status() {
    let script = |seen: Seen| async move { seen.error(404, -32601, "Method not found") };
    let mut fake = Fake::legacy(script).await;
    let outcome = ask(&server(&fake)).await;
    assert!(matches!(outcome, Err(BackendError::Rpc(_))), "{outcome:?}");
    let methods = fake.methods();
    assert_eq!(
        methods.iter().filter(|name| *name == "tools/call").count(),
        1
    );
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = HttpServerConfig::new("up", format!("http://{address}/mcp?key=hidden"));
    let error = ask(&HttpServer::new(&config).unwrap()).await.unwrap_err();
    assert!(error.is_unsent(), "{error}");
    assert!(!format!("{error:?}").contains("hidden"));
}

#[tokio::test]
async fn what_changes_is_heard_on_the_stream_of_an_old_server() {
    let (said, stream) = live();
    let stream = Arc::new(std::sync::Mutex::new(Some(stream)));
    let mut fake = Fake::start(move |seen| {
        let stream = Arc::clone(&stream);
        async move {
            match seen.method() {
                "GET" => stream.lock().unwrap().take().unwrap_or_else(|| status(405)),
                "tools/call" => answer(&seen),
                _ if seen.body["result"].is_object() => status(202),
                _ => handshake(&seen).unwrap(),
            }
        }
    })
    .await;
    let backend = server(&fake);
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    ask(&backend).await.unwrap();
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#;
    said.send(event(changed)).await.unwrap();
    assert_eq!(events.recv().await, Some(BackendEvent::OfferChanged));
    let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
    said.send(event(ping)).await.unwrap();
    // The answer has no method: it is the next POST after the stream was opened.
    let answer = fake.next("POST").await;
    assert_eq!(answer.text, r#"{"jsonrpc":"2.0","id":"p","result":{}}"#);
    drop(backend);
    said.closed().await;
}

#[tokio::test]
async fn an_unknown_revision_is_named() {
    let fake = Fake::start(|seen| async move {
        match seen.method() {
            "initialize" => seen.result(&INITIALIZED.replace("2025-11-25", "1999-01-01")),
            _ => status(404),
        }
    })
    .await;
    let error = ask(&server(&fake)).await.unwrap_err().to_string();
    assert!(error.contains("1999-01-01"), "{error}");
}

#[tokio::test]
async fn a_server_that_changes_its_era_is_met_anew() {
    for (then, refusal) in [("modern", 404), ("legacy", 400)] {
        let is_legacy = Arc::new(AtomicUsize::new(usize::from(then == "modern")));
        let of_server = Arc::clone(&is_legacy);
        let fake = Fake::start(move |seen| {
            let is_legacy = of_server.load(Ordering::SeqCst) == 1;
            let speaks_old = seen.header("mcp-session-id").is_some();
            async move {
                match (seen.method(), is_legacy) {
                    ("tools/call", _) if speaks_old == is_legacy => answer(&seen),
                    ("tools/call", _) => seen.error(refusal, -32000, "Bad Request"),
                    ("server/discover", false) => seen.result(DISCOVERED),
                    (_, true) => handshake(&seen).unwrap(),
                    _ => status(404),
                }
            }
        })
        .await;
        let backend = server(&fake);
        ask(&backend).await.unwrap();
        is_legacy.store(usize::from(then == "legacy"), Ordering::SeqCst);
        ask(&backend).await.unwrap();
    }
}

#[tokio::test]
async fn a_later_offer_shows_what_a_modern_server_says_later() {
    let asked = Arc::new(AtomicUsize::new(0));
    let fake = Fake::start(move |seen| {
        let asked = Arc::clone(&asked);
        async move {
            match seen.method() {
                "server/discover" => {
                    let time = asked.fetch_add(1, Ordering::SeqCst).to_string();
                    seen.result(&DISCOVERED.replace("be kind", &time))
                }
                _ => answer(&seen),
            }
        }
    })
    .await;
    let backend = server(&fake);
    for time in ["0", "1", "2"] {
        let offer = backend.offer().await.unwrap();
        assert_eq!(offer.instructions.as_deref(), Some(time));
    }
}

#[tokio::test]
async fn subscriptions_outlive_the_session() {
    let calls = Arc::new(AtomicUsize::new(0));
    let mut fake = Fake::legacy(move |seen| {
        let calls = Arc::clone(&calls);
        async move {
            match seen.method() {
                "tools/call" if calls.fetch_add(1, Ordering::SeqCst) == 0 => status(404),
                "tools/call" => answer(&seen),
                _ => seen.result("{}"),
            }
        }
    })
    .await;
    let backend = server(&fake);
    let (ctx, _) = context();
    backend.subscribe(&ctx, "x:y").await.unwrap();
    fake.next("resources/subscribe").await;
    ask(&backend).await.unwrap();
    let again = fake.next("resources/subscribe").await;
    assert_eq!(again.body["params"]["uri"], "x:y");
}

#[tokio::test]
async fn a_server_without_tls_is_not_reached_with_it() {
    let fake = Fake::modern(|seen| async move { answer(&seen) }).await;
    let url = fake.url().replace("http://", "https://");
    let backend = HttpServer::new(&HttpServerConfig::new("up", url)).unwrap();
    assert!(ask(&backend).await.unwrap_err().is_unsent());
}

#[tokio::test]
async fn a_clients_own_session_is_opened_again_when_the_server_has_forgotten_it() {
    let calls = Arc::new(AtomicUsize::new(0));
    let mut fake = Fake::legacy(move |seen| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        async move {
            match call {
                1 => status(404),
                _ => answer(&seen),
            }
        }
    })
    .await;
    let backend = server(&fake);
    let client = Client::new(Some("c"), ASKABLE);
    for _ in 0..2 {
        let ctx = client.context();
        backend.call_tool(&ctx, call("echo", "{}")).await.unwrap();
    }
    let mut declared = Vec::new();
    let mut calls = 0;
    while let Some(seen) = fake.try_next() {
        match seen.method() {
            "initialize" => declared.push(seen.text.contains(ASKABLE)),
            "tools/call" => calls += 1,
            _ => {}
        }
    }
    assert_eq!(
        declared,
        [false, true, true],
        "the shared one, and twice its own"
    );
    assert_eq!(calls, 3);
}

#[tokio::test]
async fn a_server_that_has_become_new_needs_no_sessions_any_more() {
    let is_new = Arc::new(AtomicUsize::new(0));
    let of_server = Arc::clone(&is_new);
    let mut fake = Fake::start(move |seen| {
        let is_new = of_server.load(Ordering::SeqCst) == 1;
        async move {
            if !is_new {
                return handshake(&seen).unwrap_or_else(|| answer(&seen));
            }
            match seen.method() {
                "server/discover" => seen.result(DISCOVERED),
                "tools/call" if seen.header("mcp-method").is_some() => answer(&seen),
                "initialize" => seen.error(404, -32601, "Method not found"),
                _ => seen.error(400, -32022, "Unsupported protocol version"),
            }
        }
    })
    .await;
    let backend = server(&fake);
    let client = Client::new(None, ASKABLE);
    for now in [0, 1, 1] {
        is_new.store(now, Ordering::SeqCst);
        let ctx = client.context();
        backend.call_tool(&ctx, call("echo", "{}")).await.unwrap();
    }
    fake.next("initialize").await;
    fake.next("initialize").await;
    // Now it is told with each request.
    fake.next("server/discover").await;
    let seen = fake.next("tools/call").await;
    assert!(seen.text.contains(ASKABLE), "{}", seen.text);
}

#[tokio::test]
async fn a_client_is_served_on_the_shared_session_when_the_server_gives_no_other() {
    let handshakes = AtomicUsize::new(0);
    let mut fake = Fake::start(move |seen| {
        let is_first =
            seen.method() != "initialize" || handshakes.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if !is_first {
                return seen.error(503, -32000, "too many sessions");
            }
            handshake(&seen).unwrap_or_else(|| answer(&seen))
        }
    })
    .await;
    let backend = server(&fake);
    let ctx = Client::new(Some("c"), ASKABLE).context();
    backend.call_tool(&ctx, call("echo", "{}")).await.unwrap();
    let seen = fake.next("tools/call").await;
    assert_eq!(seen.header("mcp-session-id"), Some("s1"));
}

#[tokio::test]
async fn a_result_type_of_an_old_server_says_nothing() {
    const ASKS: &str =
        r#"{"resultType":"input_required","ttlMs":1.0,"cacheScope":"public","requestState":"s"}"#;
    let fake = Fake::legacy(|seen| async move { seen.result(ASKS) }).await;
    let backend = server(&fake);
    let modern = Client::new(None, "{}");
    let ctx = modern.context();
    let called = backend.call_tool(&ctx, call("echo", "{}")).await.unwrap();
    let without = r#"{"ttlMs":1.0,"cacheScope":"public","requestState":"s"}"#;
    assert_eq!(called.as_raw().as_str(), without);
    let read = ResourceRead::new("x:y", Extras::default());
    let read = backend.read_resource(&ctx, read).await.unwrap();
    assert_eq!(read.as_str(), r#"{"requestState":"s"}"#);
    assert!(!modern.is_plain());
    // To a client of an old revision it says nothing either.
    let old = Client::new(Some("s"), "{}");
    let called = backend.call_tool(&old.context(), call("echo", "{}")).await;
    assert_eq!(called.unwrap().as_raw().as_str(), ASKS);
    assert!(old.is_plain());

    let fake = Fake::modern(|seen| async move { seen.result(ASKS) }).await;
    for client in [modern, Client::new(Some("t"), "{}")] {
        let called = server(&fake)
            .call_tool(&client.context(), call("echo", "{}"))
            .await;
        assert_eq!(called.unwrap().as_raw().as_str(), ASKS);
        assert!(!client.is_plain());
    }
}

#[tokio::test]
async fn an_old_server_that_has_become_a_new_one_is_met_anew_whatever_it_refuses_with() {
    for (refusal, code) in [
        (400, -32022),
        (400, -32020),
        (400, -32602),
        (400, -32600),
        (404, -32601),
        (404, -32600),
    ] {
        for own in [false, true] {
            let is_old = Arc::new(AtomicBool::new(true));
            let of_server = Arc::clone(&is_old);
            let fake = Fake::start(move |seen| {
                let is_old = of_server.load(Ordering::SeqCst);
                let speaks_new = seen.header("mcp-method").is_some();
                async move {
                    match (seen.method(), is_old) {
                        ("server/discover", false) => seen.result(DISCOVERED),
                        ("tools/call", _) if speaks_new != is_old => answer(&seen),
                        (_, true) => handshake(&seen).unwrap(),
                        (_, false) if speaks_new => status(404),
                        (_, false) => seen.error(refusal, code, "not so"),
                    }
                }
            })
            .await;
            let backend = server(&fake);
            let client = Client::new(own.then_some("c"), if own { ASKABLE } else { "{}" });
            for is_still_old in [true, false, false] {
                is_old.store(is_still_old, Ordering::SeqCst);
                let called = backend
                    .call_tool(&client.context(), call("echo", ODD))
                    .await;
                let output =
                    called.unwrap_or_else(|error| panic!("{refusal} {code} {own}: {error}"));
                assert_eq!(output.as_raw().as_str(), echoed());
            }
        }
    }
}

#[tokio::test]
async fn what_an_old_server_refuses_is_its_answer_and_costs_it_one_question_at_most() {
    let mut fake = Fake::legacy(|seen| async move { seen.error(400, -32602, "not so") }).await;
    let backend = server(&fake);
    let refused = |_| async {
        match ask(&backend).await.unwrap_err() {
            BackendError::Rpc(error) => assert!(error.as_str().contains("not so"), "{error}"),
            other => panic!("{other}"),
        }
    };
    futures_util::future::join_all((0..8).map(refused)).await;
    let seen = fake.count(&["initialize", "tools/call", "server/discover"]);
    assert_eq!(seen, [1, 8, 2]);
}
