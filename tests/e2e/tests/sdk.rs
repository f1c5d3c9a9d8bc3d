//! Clients and a server made with the official Rust SDK, through both servers, in both eras.

use std::process::{Command, Stdio};
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientRequest, ProgressNotificationParam,
    ProtocolVersion, Request, ServerResult,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt as _, NotificationContext, PeerRequestOptions,
    RunningService,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, RoleClient};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc;

use crate::support::process::Process;
use crate::support::{HTTP_BIN, LIMIT, RMCP_BIN, STDIO_BIN};

/// Hands progress on.
struct Handler(mpsc::Sender<ProgressNotificationParam>);

impl ClientHandler for Handler {
    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let _ = self.0.send(params).await;
    }
}

type Service = RunningService<RoleClient, Handler>;

/// A connected client, its progress, and the gateway's log.
struct Connected {
    client: Service,
    progress: mpsc::Receiver<ProgressNotificationParam>,
    log: Log,
}

enum Log {
    Http(Process),
    Stdio {
        _child: tokio::process::Child,
        lines: mpsc::Receiver<String>,
    },
}

impl Log {
    async fn wait_for(&mut self, part: &'static str) {
        match self {
            Self::Http(process) => {
                let lines = process.stderr.clone();
                tokio::task::spawn_blocking(move || lines.with(part))
                    .await
                    .unwrap();
            }
            Self::Stdio { lines, .. } => while !lines.recv().await.expect(part).contains(part) {},
        }
    }
}

fn lifecycles() -> [ClientLifecycleMode; 3] {
    let newest = || vec![ProtocolVersion::V_2026_07_28];
    [
        ClientLifecycleMode::Initialize,
        ClientLifecycleMode::Discover {
            preferred_versions: newest(),
        },
        ClientLifecycleMode::Auto {
            preferred_versions: newest(),
            legacy_version: None,
        },
    ]
}

async fn over_http(lifecycle: ClientLifecycleMode) -> Connected {
    // The gateway next door wants TLS of the same crate; no connection here uses it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut command = Command::new(HTTP_BIN);
    let process = Process::start(command.args(["run", "--listen", "127.0.0.1:0", "--", RMCP_BIN]));
    let lines = process.stderr.clone();
    let line = tokio::task::spawn_blocking(move || lines.with("listening on "))
        .await
        .unwrap();
    let config = StreamableHttpClientTransportConfig::with_uri(line.rsplit(' ').next().unwrap());
    let transport = StreamableHttpClientTransport::with_client(reqwest::Client::new(), config);
    let (sender, progress) = mpsc::channel(64);
    let client = Handler(sender).serve_with_lifecycle(transport, lifecycle);
    Connected {
        client: client.await.unwrap(),
        progress,
        log: Log::Http(process),
    }
}

async fn over_stdio(lifecycle: ClientLifecycleMode) -> Connected {
    let mut child = tokio::process::Command::new(STDIO_BIN)
        .args(["run", "--", RMCP_BIN])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (to_log, lines) = mpsc::channel(1024);
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = stderr.next_line().await {
            let _ = to_log.send(line).await;
        }
    });
    let transport = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let (sender, progress) = mpsc::channel(64);
    let client = Handler(sender).serve_with_lifecycle(transport, lifecycle);
    Connected {
        client: client.await.unwrap(),
        progress,
        log: Log::Stdio {
            _child: child,
            lines,
        },
    }
}

fn call(name: &'static str, arguments: &Value) -> CallToolRequestParams {
    CallToolRequestParams::new(name).with_arguments(arguments.as_object().unwrap().clone())
}

fn text(result: &CallToolResult) -> &str {
    &result.content[0].as_text().unwrap().text
}

/// Does what clients do; fails when it takes too long.
async fn use_it(connected: Connected) {
    tokio::time::timeout(LIMIT, use_all(connected))
        .await
        .expect("the client should be through in time");
}

async fn use_all(connected: Connected) {
    let Connected {
        client,
        mut progress,
        mut log,
    } = connected;
    let tools = client.list_all_tools().await.unwrap();
    let mut names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["add", "count", "wait"]);
    assert!(tools.iter().any(|tool| tool.output_schema.is_some()));

    let sum = client
        .call_tool(call("add", &json!({ "a": 2, "b": 3 })))
        .await
        .unwrap();
    assert_eq!(sum.structured_content, Some(json!({ "sum": 5 })));
    let wrong = client
        .call_tool(call("add", &json!({ "a": i64::MAX, "b": 3 })))
        .await
        .unwrap();
    assert_eq!(
        (wrong.is_error, text(&wrong)),
        (Some(true), "the sum is too large")
    );
    assert!(
        client
            .call_tool(call("no_such_tool", &json!({})))
            .await
            .is_err()
    );

    let counted = client
        .call_tool(call("count", &json!({ "steps": 5 })))
        .await
        .unwrap();
    assert_eq!(text(&counted), "counted to 5");
    // The SDK handles each in a task of its own, so they may arrive in another order.
    let mut steps = Vec::new();
    while steps.len() < 5 {
        steps.push(progress.recv().await.unwrap().progress);
    }
    steps.sort_by(f64::total_cmp);
    assert_eq!(steps, [1.0, 2.0, 3.0, 4.0, 5.0]);

    let request = ClientRequest::CallToolRequest(Request::new(call("wait", &json!({}))));
    let handle = client
        .send_cancellable_request(request, PeerRequestOptions::no_options())
        .await
        .unwrap();
    log.wait_for("called: wait").await;
    handle.cancel(Some("test".to_owned())).await.unwrap();
    log.wait_for("given up: wait").await;

    let request = ClientRequest::CallToolRequest(Request::new(call("wait", &json!({}))));
    let options = PeerRequestOptions::with_timeout(Duration::from_millis(300));
    let handle = client
        .send_cancellable_request(request, options)
        .await
        .unwrap();
    let late: Result<ServerResult, _> = handle.await_response().await;
    assert!(late.is_err());

    let sum = client
        .call_tool(call("add", &json!({ "a": 1, "b": 1 })))
        .await
        .unwrap();
    assert_eq!(sum.structured_content, Some(json!({ "sum": 2 })));
    client.cancel().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_works_through_the_gateway_over_http() {
    for lifecycle in lifecycles() {
        use_it(over_http(lifecycle).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_works_through_the_gateway_over_stdio() {
    for lifecycle in lifecycles() {
        use_it(over_stdio(lifecycle).await).await;
    }
}
