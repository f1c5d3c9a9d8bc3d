//! Processes that live on and cannot be spoken with.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Backend, BackendError, BackendEvent, SystemClock};
use mcp_gw_upstream::{
    BalanceConfig, Balanced, HealthConfig, Replica, RetryConfig, StdioServer, StdioServerConfig,
};
use tokio::time::{Instant, interval, timeout};

use crate::child::{gone, number};
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
        *'"name":"hang"'*) stay ;;
        *'"name":"babble"'*) while :; do printf '%1000s' x; done ;;
        *tools/list*) answer '{"tools":[]}' ;;
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

async fn ask(backend: &dyn Backend, name: &str) -> Result<String, BackendError> {
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
    gone(number(&first)).await;
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

#[tokio::test]
async fn one_that_fails_its_checks_is_ended_and_started_again() {
    for way in ["hang", "babble"] {
        let health = HealthConfig::default()
            .with_interval(Duration::from_millis(100))
            .with_timeout(Duration::from_secs(1))
            .with_thresholds(2, 1);
        let config = BalanceConfig::new("up")
            .with_health(Some(health))
            .with_retries(RetryConfig::none());
        let replica = Replica::new("1", Arc::new(server(Duration::from_millis(200))));
        let clock = Arc::new(SystemClock::new());
        let backend = Balanced::new(config, vec![replica], clock).unwrap();
        backend.offer().await.unwrap();
        let first = ask(&backend, "pid").await.unwrap();
        // The call itself may take a minute.
        let Err(BackendError::Lost { reason, .. }) = ask(&backend, way).await else {
            panic!("{way}: it cannot have answered")
        };
        assert!(reason.contains("fails its checks"), "{way}: {reason}");
        gone(number(&first)).await;
        let again = async {
            let mut look = interval(Duration::from_millis(10));
            loop {
                look.tick().await;
                match ask(&backend, "pid").await {
                    Ok(pid) => return pid,
                    Err(error) => assert!(error.is_unsent(), "{way}: {error}"),
                }
            }
        };
        let second = timeout(Duration::from_secs(10), again).await.unwrap();
        assert_ne!(second, first, "{way}");
        backend.close().await;
    }
}
