//! Processes from their start to their end, and what passes between.

use std::time::Duration;

use crate::child::{fake, gone, number};
use crate::client::Client;
use crate::odd_json::try_many;
use crate::support::{Listener, ODD, call, context};
use mcp_gw_core::testing::backend_contract;
use mcp_gw_core::{Backend, BackendError, BackendEvent, CallNotification};
use mcp_gw_upstream::{StdioServer, StdioServerConfig};
use proptest::prelude::*;

fn server(mode: &str) -> StdioServer {
    StdioServer::new(&fake(mode)).unwrap()
}

/// The text of a result's member `v`.
async fn ask(backend: &StdioServer, name: &str) -> Result<String, BackendError> {
    let (ctx, _) = context();
    let output = backend.call_tool(&ctx, call(name, "{}")).await?;
    Ok(output.as_raw().member("v").unwrap().unwrap().to_string())
}

#[tokio::test]
async fn payload_passes_in_every_era_as_it_came() {
    for mode in ["modern", "late", "swapped", "legacy", "silent", "deadly"] {
        let backend = server(mode);
        let (ctx, _) = context();
        let output = backend.call_tool(&ctx, call("echo", ODD)).await.unwrap();
        let expected = format!(r#"{{"content":[{{"type":"x/new","v":{ODD}}}],"v":{ODD}}}"#);
        assert_eq!(output.as_raw().as_str(), expected, "{mode}");
        let offer = backend.offer().await.unwrap();
        assert_eq!(
            offer.tools[0].definition().as_str(),
            r#"{"name":"echo","inputSchema":{"type":"object"},"x-vendor":1.0}"#
        );
        assert_eq!(offer.tools.len(), 1, "a tool without schema is left out");
        assert_eq!(offer.instructions.as_deref(), Some("be kind"));
        let meta = ask(&backend, "meta").await.unwrap();
        assert_eq!(
            meta.contains("2026-07-28"),
            matches!(mode, "modern" | "late" | "swapped"),
            "{mode}: {meta}"
        );
        backend.close().await;
    }
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_backend() {
    for mode in ["modern", "legacy"] {
        backend_contract(&server(mode)).await;
    }
}

#[tokio::test]
async fn progress_comes_in_order_and_before_the_result() {
    let backend = server("modern");
    let (ctx, link) = context();
    backend
        .call_tool(&ctx, call("progress", "{}"))
        .await
        .unwrap();
    let texts: Vec<String> = link
        .notifications()
        .into_iter()
        .map(|notification| match notification {
            CallNotification::Progress(params) => params.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [1, 2, 3].map(|step| format!(r#"{{"progress":{step}.0,"total":3}}"#));
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn progress_extends_the_time_limit_up_to_the_hard_one() {
    let config = fake("modern")
        .with_timeout(Duration::from_millis(800))
        .with_max_total_timeout(Duration::from_secs(2));
    let backend = StdioServer::new(&config).unwrap();
    let (ctx, link) = context();
    let endless = backend
        .call_tool(&ctx, call("endless_progress", "{}"))
        .await;
    let Err(BackendError::Timeout { after, .. }) = endless else {
        panic!("{endless:?}")
    };
    assert_eq!(after, Duration::from_secs(2));
    assert!(link.notifications().len() > 3);
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled_at_the_server() {
    for mode in ["modern", "legacy"] {
        let config = fake(mode).with_timeout(Duration::from_millis(800));
        let backend = StdioServer::new(&config).unwrap();
        assert_eq!(ask(&backend, "cancelled").await.unwrap(), "null");
        let late = ask(&backend, "hang").await;
        let Err(BackendError::Timeout { after, .. }) = late else {
            panic!("{late:?}")
        };
        assert_eq!(after, Duration::from_millis(800));
        let hung = number(&ask(&backend, "cancelled").await.unwrap());
        let (ctx, _) = context();
        {
            let mut dropped = Box::pin(backend.call_tool(&ctx, call("hang", "{}")));
            tokio::select! {
                biased;
                _ = &mut dropped => panic!("it never answers"),
                () = tokio::task::yield_now() => {}
            }
        }
        // The call before it was the question that told of the first one.
        assert_eq!(number(&ask(&backend, "cancelled").await.unwrap()), hung + 2);
        let late_answer = ask(&backend, "answer_late").await.unwrap();
        assert_eq!(
            late_answer, "true",
            "an answer to a cancelled request is ignored"
        );
    }
}

#[tokio::test]
async fn a_server_that_lies_is_not_believed() {
    let backend = server("legacy");
    assert_eq!(ask(&backend, "junk").await.unwrap(), "\"mine\"");
    assert!(matches!(
        ask(&backend, "malformed").await,
        Err(BackendError::Protocol { .. })
    ));
    assert!(matches!(
        ask(&backend, "not_an_object").await,
        Err(BackendError::Protocol { .. })
    ));
    let Err(BackendError::Rpc(error)) = ask(&backend, "error").await else {
        panic!()
    };
    assert_eq!(
        error.as_str(),
        r#"{"code":-1,"message":"m","data":{"x":1.0},"vendor":[1e5]}"#
    );
    assert_eq!(
        ask(&backend, "asks").await.unwrap(),
        r#"[{"jsonrpc":"2.0","id":"p","result":{}},{"jsonrpc":"2.0","id":8,"error":{"code":-32601,"message":"Method not found: sampling/createMessage"}}]"#
    );
}

#[tokio::test]
async fn a_message_that_is_too_long_fails_its_own_call_only() {
    let config = fake("legacy").with_max_message_bytes(64 * 1024);
    let backend = StdioServer::new(&config).unwrap();
    let (ctx, _) = context();
    let (big, also_big, other) = tokio::join!(
        ask(&backend, "big"),
        ask(&backend, "big_id_last"),
        backend.call_tool(&ctx, call("echo", ODD)),
    );
    for big in [big, also_big] {
        let Err(BackendError::TooLarge { limit, .. }) = big else {
            panic!("{big:?}")
        };
        assert_eq!(limit, 64 * 1024);
    }
    other.unwrap();
}

#[tokio::test]
async fn death_in_the_middle_of_a_call_is_told_at_once_and_the_next_call_starts_anew() {
    let backend = server("modern");
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    let first = ask(&backend, "pid").await.unwrap();
    let (hung, dead) = tokio::join!(ask(&backend, "hang"), ask(&backend, "die"));
    for lost in [hung, dead] {
        let Err(BackendError::Lost { reason, .. }) = lost else {
            panic!("{lost:?}")
        };
        assert!(reason.contains("exit status: 7"), "{reason}");
        assert!(reason.contains("about to die"), "{reason}");
    }
    assert!(matches!(
        events.recv().await,
        Some(BackendEvent::Down { .. })
    ));
    assert_ne!(ask(&backend, "pid").await.unwrap(), first);
    assert_eq!(events.recv().await, Some(BackendEvent::OfferChanged));
}

#[tokio::test]
async fn what_a_server_answers_right_before_its_end_counts() {
    let backend = server("modern");
    let last = ask(&backend, "answer_and_die").await.unwrap();
    assert_eq!(last.len(), 300_002);
}

#[tokio::test]
async fn a_server_that_dies_again_and_again_is_left_alone() {
    let backend = server("stillborn");
    for _ in 0..2 {
        let error = ask(&backend, "echo").await.unwrap_err();
        assert!(error.is_unsent());
    }
    let error = ask(&backend, "echo").await.unwrap_err().to_string();
    assert!(error.contains("left alone for another"), "{error}");
    assert!(error.contains("exit status: 3"), "{error}");
}

#[tokio::test]
async fn a_command_that_cannot_be_run_is_explained() {
    let nobody = StdioServerConfig::new("s", "no-such-command-here");
    let wrong_path = StdioServerConfig::new("s", "/no/such/command");
    let folder = StdioServerConfig::new("s", "/");
    let cwd = fake("modern").with_cwd("/no/such/folder");
    for (config, words) in [
        (
            nobody,
            "was not found in PATH; install it or give the full path",
        ),
        (wrong_path, "does not exist"),
        (folder, "may not be run"),
        (cwd, "`cwd` /no/such/folder is not a folder"),
    ] {
        let error = StdioServer::new(&config)
            .unwrap()
            .offer()
            .await
            .unwrap_err();
        assert!(matches!(error, BackendError::Unavailable { .. }));
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_its_start_is_given_up_and_ended() {
    let config = fake("mute")
        .with_probe_timeout(Duration::from_millis(50))
        .with_start_timeout(Duration::from_millis(300));
    let error = StdioServer::new(&config)
        .unwrap()
        .offer()
        .await
        .unwrap_err();
    assert!(error.is_unsent());
    assert!(error.to_string().contains("300ms"), "{error}");
}

#[tokio::test]
async fn a_repeated_cursor_ends_a_list() {
    let backend = server("repeating");
    assert_eq!(backend.offer().await.unwrap().tools.len(), 2);
}

#[tokio::test]
async fn what_changes_at_the_server_is_told() {
    let backend = server("legacy");
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    ask(&backend, "change").await.unwrap();
    assert_eq!(events.recv().await, Some(BackendEvent::OfferChanged));
    let Some(BackendEvent::ResourceUpdated { uri, params }) = events.recv().await else {
        panic!()
    };
    assert_eq!(&*uri, "x:y");
    assert_eq!(params.as_str(), r#"{"uri":"x:y","x":1.0}"#);
    let (ctx, _) = context();
    backend.subscribe(&ctx, "x:y").await.unwrap();
    backend
        .unsubscribe("x:y", Some(&context().0.client()))
        .await
        .unwrap();
    assert!(matches!(
        server("modern").subscribe(&ctx, "x:y").await,
        Err(BackendError::Unsupported { .. })
    ));
}

#[tokio::test]
async fn what_was_subscribed_to_is_subscribed_to_again_after_a_restart() {
    let backend = server("legacy");
    let (ctx, _) = context();
    for uri in ["x:gone", "x:kept"] {
        backend.subscribe(&ctx, uri).await.unwrap();
    }
    backend
        .unsubscribe("x:gone", Some(&context().0.client()))
        .await
        .unwrap();
    assert_eq!(ask(&backend, "subscribed").await.unwrap(), r#"["x:kept"]"#);
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    ask(&backend, "die").await.unwrap_err();
    assert_eq!(ask(&backend, "subscribed").await.unwrap(), r#"["x:kept"]"#);
    // Nobody looked in between, so it has to be read again.
    let is_updated = |event: &BackendEvent| matches!(event, BackendEvent::ResourceUpdated { uri, .. } if **uri == *"x:kept");
    let told = async { while !is_updated(&events.recv().await.unwrap()) {} };
    let told = tokio::time::timeout(Duration::from_secs(20), told).await;
    told.expect("nobody is told");
}

#[tokio::test]
async fn a_new_server_tells_news_on_one_stream_and_again_after_a_restart() {
    let backend = server("news");
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    let (ctx, _) = context();
    for uri in ["x:y", "x:z", "x:z"] {
        backend.subscribe(&ctx, uri).await.unwrap();
    }
    let wanted = |uris: &str| format!(r#"{{\"resourceSubscriptions\":[{uris}]}}"#);
    let both = wanted(r#"\"x:y\",\"x:z\""#);
    let stream = ask(&backend, "subscribed").await.unwrap();
    assert!(stream.contains(&both), "{stream}");
    // The stream before this one was ended, and what is told now is heard.
    let first: i64 = number(&ask(&backend, "cancelled").await.unwrap());
    assert!(first > 0);
    ask(&backend, "change").await.unwrap();
    assert_eq!(events.recv().await, Some(BackendEvent::OfferChanged));
    assert!(matches!(
        events.recv().await,
        Some(BackendEvent::ResourceUpdated { .. })
    ));

    backend
        .unsubscribe("x:z", Some(&context().0.client()))
        .await
        .unwrap();
    ask(&backend, "die").await.unwrap_err();
    assert!(matches!(
        events.recv().await,
        Some(BackendEvent::Down { .. })
    ));
    ask(&backend, "pid").await.unwrap();
    // Everything may have changed while it was away; it says so by the time it listens again.
    let mut updated = Vec::new();
    while updated.len() < 2 {
        if let BackendEvent::ResourceUpdated { uri, .. } = events.recv().await.unwrap() {
            updated.push(uri);
        }
    }
    assert_eq!(updated, ["x:y".into(), "x:z".into()]);
    let stream = ask(&backend, "subscribed").await.unwrap();
    assert!(stream.contains(&both), "{stream}");
    for _ in 0..2 {
        backend
            .unsubscribe("x:y", Some(&context().0.client()))
            .await
            .unwrap();
        backend
            .unsubscribe("x:z", Some(&context().0.client()))
            .await
            .unwrap();
    }
    backend.close().await;
}

#[tokio::test]
async fn the_child_gets_no_variable_that_it_was_not_given() {
    let mut config = fake("legacy").with_env("GIVEN", "value".to_owned());
    config.base_env = vec![("BASE".into(), "b".into())];
    let backend = StdioServer::new(&config).unwrap();
    let names = ask(&backend, "env").await.unwrap();
    assert_eq!(names, r#"["BASE","GIVEN","MCP_GW_FAKE"]"#);
}

#[tokio::test]
async fn nothing_is_left_after_close_and_after_drop() {
    for way in ["close", "drop"] {
        let config = fake("modern").with_grace(Duration::from_millis(100));
        let backend = StdioServer::new(&config).unwrap();
        let child = number(&ask(&backend, "pid").await.unwrap());
        let grandchild = number(&ask(&backend, "grandchild").await.unwrap());
        if way == "close" {
            backend.close().await;
            assert!(ask(&backend, "pid").await.unwrap_err().is_unsent());
        }
        drop(backend);
        gone(child).await;
        gone(grandchild).await;
    }
}

#[tokio::test]
async fn a_wrapper_that_ignores_being_asked_is_killed_with_what_it_has_started() {
    let direct = fake("legacy");
    let args = direct.args.join(" ");
    let script = format!(
        "trap '' TERM; '{}' {args}; while :; do sleep 1000; done",
        direct.command
    );
    let mut config = direct
        .with_args(["-c", &script])
        .with_grace(Duration::from_millis(100));
    config.command = "/bin/sh".to_owned();
    config.base_env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    let backend = StdioServer::new(&config).unwrap();
    let child = number(&ask(&backend, "pid").await.unwrap());
    let wrapper = number(&ask(&backend, "parent").await.unwrap());
    let grandchild = number(&ask(&backend, "grandchild").await.unwrap());
    backend.close().await;
    assert!(!std::path::Path::new(&format!("/proc/{wrapper}")).exists());
    gone(child).await;
    gone(grandchild).await;
}

#[tokio::test]
async fn capabilities_of_a_client_go_no_further_than_they_can_be_answered() {
    let backend = server("modern");
    let tasks = r#"{"sampling":{},"extensions":{"io.modelcontextprotocol/tasks":{},"x":{}}}"#;
    let without = r#"{"sampling":{},"extensions":{"x":{}}}"#;
    for (client, expected) in [
        (Client::new(None, tasks), tasks),
        (Client::new(Some("c"), tasks), without),
        (Client::new(Some("c"), "null"), "{}"),
    ] {
        let ctx = client.context();
        let output = backend.call_tool(&ctx, call("meta", "{}")).await;
        let text = output.unwrap().as_raw().to_string();
        let found = format!(r#""io.modelcontextprotocol/clientCapabilities":{expected}"#);
        assert!(text.contains(&found), "{text}");
    }
    let text = ask(&backend, "meta").await.unwrap();
    assert!(text.contains(r#"clientCapabilities":{},"#), "{text}");
}

#[test]
fn payload_passes_in_both_eras_as_it_came_whatever_it_is() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for mode in ["modern", "asking"] {
        let backend = server(mode);
        let client = Client::new(None, r#"{"sampling":{}}"#);
        try_many(|load| {
            let ctx = client.context();
            let output = runtime.block_on(backend.call_tool(&ctx, load.call()));
            let output = output.unwrap();
            prop_assert_eq!(output.as_raw().as_str(), load.expected());
            Ok(())
        });
        runtime.block_on(backend.close());
    }
}

#[tokio::test]
async fn what_no_message_holds_fails_its_call_at_most() {
    let backend = server("modern");
    for name in ["not_utf8", "zero_byte"] {
        let outcome = ask(&backend, name).await;
        assert!(
            matches!(outcome, Err(BackendError::Protocol { .. })),
            "{name}: {outcome:?}"
        );
    }
    let deep = ask(&backend, "deep").await.unwrap();
    assert!(deep.starts_with("[[[[") && deep.len() == 200_000);
    assert_eq!(ask(&backend, "stray").await.unwrap(), "1");
}
