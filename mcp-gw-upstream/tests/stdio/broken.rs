//! Processes that live on and cannot be spoken with.

use std::time::Duration;

use mcp_gw_core::{Backend as _, BackendError, BackendEvent};
use mcp_gw_upstream::{StdioServer, StdioServerConfig};
use tokio::time::{Instant, timeout};

use crate::support::{Listener, call, context};

/// A server that closes its streams when it is told to, which Rust does not let a program do.
const SCRIPT: &str = r#"
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
stay() { while :; do sleep 1000; done; }
while read -r line; do
    id=${line#*\"id\":}
    id=${id%%,*}
    case $line in
        *'"name":"pid"'*) answer "{\"v\":$$}" ;;
        *'"name":"close_input"'*) exec 0<&-; answer '{"v":1}'; stay ;;
        *'"name":"close_output"'*) trap '' TERM; exec 1>&-; stay ;;
        *server/discover*) answer '{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}' ;;
    esac
done"#;

fn server(grace: Duration) -> StdioServer {
    let mut config = StdioServerConfig::new("up", "/bin/sh")
        .with_args(["-c", SCRIPT])
        .with_grace(grace);
    config.base_env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    StdioServer::new(&config).unwrap()
}

async fn ask(backend: &StdioServer, name: &str) -> Result<String, BackendError> {
    let (ctx, _) = context();
    let answer = backend.call_tool(&ctx, call(name, "{}"));
    let output = timeout(Duration::from_secs(20), answer).await.unwrap()?;
    Ok(output.as_raw().member("v").unwrap().unwrap().to_string())
}

#[tokio::test]
async fn one_that_closes_its_input_is_ended_and_started_again() {
    let backend = server(Duration::from_secs(2));
    let (listener, mut events) = Listener::new();
    backend.watch(listener);
    let first = ask(&backend, "pid").await.unwrap();
    assert_eq!(ask(&backend, "close_input").await.unwrap(), "1");
    let Err(BackendError::Lost { reason, .. }) = ask(&backend, "pid").await else {
        panic!("nobody has read it")
    };
    assert!(reason.contains("it closed its input"), "{reason}");
    let Some(BackendEvent::Down { reason }) = events.recv().await else {
        panic!("whoever looks after it must know")
    };
    assert!(reason.contains("it closed its input"), "{reason}");
    assert_ne!(ask(&backend, "pid").await.unwrap(), first);
    crate::child::gone(crate::child::number(&first)).await;
}

#[tokio::test]
async fn calls_of_one_that_closes_its_output_do_not_wait_for_its_end() {
    let grace = Duration::from_secs(10);
    let backend = server(grace);
    let began = Instant::now();
    let Err(BackendError::Lost { reason, .. }) = ask(&backend, "close_output").await else {
        panic!("it cannot have answered")
    };
    assert!(began.elapsed() < grace / 2, "{:?}", began.elapsed());
    assert!(reason.contains("it closed its output"), "{reason}");
}
