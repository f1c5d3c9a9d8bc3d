//! MCP servers of the tests: one over HTTP in this process, and one that is this program, started anew.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

const MODE: &str = "MCP_GW_REGISTRY_CHILD";

/// What both answer to a request; `None` for a notification.
fn answer(message: &str, name: &str) -> Option<(String, bool)> {
    let message: serde_json::Value = serde_json::from_str(message).unwrap();
    let id = message.get("id")?;
    let mut waits = false;
    let result = match message["method"].as_str().unwrap() {
        "server/discover" => {
            r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"resources":{},"prompts":{}},"ttlMs":600000,"cacheScope":"private"}"#.to_owned()
        }
        "tools/list" => {
            r#"{"resultType":"complete","ttlMs":600000,"cacheScope":"private","tools":[{"name":"who","inputSchema":{"type":"object"}},{"name":"wait","inputSchema":{"type":"object"}}]}"#.to_owned()
        }
        "resources/list" => {
            r#"{"resultType":"complete","ttlMs":600000,"cacheScope":"private","resources":[{"name":"r","uri":"test://r"}]}"#.to_owned()
        }
        "resources/templates/list" => {
            r#"{"resultType":"complete","ttlMs":600000,"cacheScope":"private","resourceTemplates":[]}"#.to_owned()
        }
        "prompts/list" => {
            r#"{"resultType":"complete","ttlMs":600000,"cacheScope":"private","prompts":[{"name":"p"}]}"#.to_owned()
        }
        "resources/read" => {
            r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private","contents":[{"uri":"test://r","text":"read"}]}"#.to_owned()
        }
        "prompts/get" => {
            r#"{"resultType":"complete","messages":[{"role":"user","content":{"type":"text","text":"got"}}]}"#.to_owned()
        }
        "tools/call" => {
            waits = message["params"]["name"] == "wait";
            format!(r#"{{"resultType":"complete","content":[{{"type":"text","text":"{name}"}}]}}"#)
        }
        _ => r#"{"resultType":"complete"}"#.to_owned(),
    };
    let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    Some((text, waits))
}

/// A server over HTTP, until it is dropped.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    /// How often its list of tools was asked for.
    pub(super) listed: Arc<AtomicUsize>,
    /// How many connections were opened.
    pub(super) opened: Arc<AtomicUsize>,
    /// Calls of `wait` that came.
    pub(super) waiting: Arc<Semaphore>,
    /// Lets them end.
    pub(super) release: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    pub(super) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (listed, opened) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (waiting, release) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let own = (
            Arc::clone(&listed),
            Arc::clone(&waiting),
            Arc::clone(&release),
        );
        let count = Arc::clone(&opened);
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve_one(stream, name, own.clone()));
            }
        });
        Self {
            address,
            listed,
            opened,
            waiting,
            release,
            task,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

type Shared = (Arc<AtomicUsize>, Arc<Semaphore>, Arc<Semaphore>);

async fn serve_one(stream: TcpStream, name: &'static str, (listed, waiting, release): Shared) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut first) = (0, String::new());
        if stream.read_line(&mut first).await.unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let body = String::from_utf8(body).unwrap();
        let reply = if first.starts_with("POST /mcp ") {
            if body.contains("\"tools/list\"") {
                listed.fetch_add(1, Ordering::SeqCst);
            }
            match answer(&body, name) {
                Some((text, waits)) => {
                    if waits {
                        waiting.add_permits(1);
                        release.acquire().await.unwrap().forget();
                    }
                    format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
                        text.len()
                    )
                }
                None => "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned(),
            }
        } else {
            "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n".to_owned()
        };
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The command and variables that run the server below under this name.
pub(super) fn child(name: &str) -> (Vec<String>, mcp_gw_store::EnvVars) {
    let this = std::env::current_exe().unwrap();
    let command = [
        this.to_str().unwrap(),
        "registry::tests::upstream::serve_lines",
        "--exact",
        "--nocapture",
        "--test-threads=1",
    ];
    let variables = [(MODE.to_owned(), name.to_owned())].into();
    (
        command.map(str::to_owned).to_vec(),
        mcp_gw_store::EnvVars::new(variables),
    )
}

/// Does nothing in a test run; is the server when it is started as one.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the variable says which program this is"
)]
fn serve_lines() {
    let Ok(name) = std::env::var(MODE) else {
        return;
    };
    // Ends the line that the test harness has begun.
    println!();
    eprintln!("{name} has begun");
    for line in std::io::stdin().lock().lines() {
        if let Some((text, _)) = answer(&line.unwrap(), &name) {
            println!("{text}");
            std::io::stdout().flush().unwrap();
        }
    }
}
