//! Gateways with one complete server behind them.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

pub(crate) const REVISIONS: [&str; 4] = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];

/// Nothing that a check waits for takes longer, also on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The server behind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upstream {
    pub(crate) revision: &'static str,
    pub(crate) is_http: bool,
}

/// How clients come in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Front {
    Http,
    Stdio,
    /// No gateway at all.
    Direct,
}

/// A gateway that runs; it ends with this.
pub(crate) struct Gateway {
    front: Front,
    upstream: Upstream,
    pub(crate) way: Way,
    /// The server behind, when it is reached over HTTP, and the gateway last.
    pub(crate) processes: Vec<Child>,
    folder: Folder,
}

/// What a client needs to reach it.
pub(crate) enum Way {
    Http(String),
    /// Lines to and from its standard streams, taken by the one client.
    Stdio(std::sync::Mutex<Option<Pipes>>),
}

pub(crate) struct Pipes {
    pub(crate) stdin: tokio::process::ChildStdin,
    pub(crate) lines: mpsc::Receiver<String>,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Front {
    pub(crate) async fn start(self, upstream: Upstream) -> Gateway {
        self.start_with(upstream, "").await
    }

    /// The same, with further lines of YAML at the top level.
    pub(crate) async fn start_with(self, upstream: Upstream, top: &str) -> Gateway {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("matrix-{}-{number}", std::process::id());
        let folder = Folder(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
        std::fs::create_dir_all(&folder.0).unwrap();
        let full = env!("CARGO_BIN_EXE_full-server");
        let mut processes = Vec::new();
        let server = if upstream.is_http {
            let mut command = Command::new(full);
            let mut child = spawn(command.args([upstream.revision, "--http"]));
            let url = first(lines(child.stdout.take().unwrap()), "http://").await;
            processes.push(child);
            if matches!(self, Self::Direct) {
                return self.gateway(upstream, Way::Http(url), processes, folder);
            }
            format!("{{ url: {url:?} }}")
        } else {
            if matches!(self, Self::Direct) {
                let mut child = spawn(Command::new(full).arg(upstream.revision));
                let way = pipes(&mut child);
                processes.push(child);
                return self.gateway(upstream, way, processes, folder);
            }
            format!("{{ command: {full:?}, args: [{:?}] }}", upstream.revision)
        };
        let file = folder.0.join("mcp-gw.yaml");
        let http = if top.contains("http:") {
            ""
        } else {
            "http: { listen: \"127.0.0.1:0\" }\n"
        };
        let yaml =
            format!("policy: {{ default: allow }}\n{http}{top}\nservers:\n  full: {server}\n");
        std::fs::write(&file, yaml).unwrap();
        let bin = match self {
            Self::Http => env!("CARGO_BIN_EXE_e2e-http"),
            Self::Stdio | Self::Direct => env!("CARGO_BIN_EXE_e2e-stdio"),
        };
        let mut command = Command::new(bin);
        let mut child = spawn(command.arg("--config").arg(&file));
        let mut stderr = lines(child.stderr.take().unwrap());
        let way = match self {
            Self::Http => {
                let line = loop {
                    let line = timeout(LIMIT, stderr.recv()).await.unwrap().unwrap();
                    if line.contains("listening on ") {
                        break line;
                    }
                };
                Way::Http(line.rsplit(' ').next().unwrap().to_owned())
            }
            Self::Stdio | Self::Direct => pipes(&mut child),
        };
        processes.push(child);
        self.gateway(upstream, way, processes, folder)
    }

    fn gateway(
        self,
        upstream: Upstream,
        way: Way,
        processes: Vec<Child>,
        folder: Folder,
    ) -> Gateway {
        Gateway {
            front: self,
            upstream,
            way,
            processes,
            folder,
        }
    }
}

fn pipes(child: &mut Child) -> Way {
    Way::Stdio(std::sync::Mutex::new(Some(Pipes {
        stdin: child.stdin.take().unwrap(),
        lines: lines(child.stdout.take().unwrap()),
    })))
}

impl Gateway {
    /// Where the server behind listens.
    pub(crate) fn upstream_port(&self) -> u16 {
        let yaml = std::fs::read_to_string(self.folder.0.join("mcp-gw.yaml")).unwrap();
        let address = yaml.split("127.0.0.1:").last().unwrap();
        address.split('/').next().unwrap().parse().unwrap()
    }

    /// For another client: the same over HTTP, a new one over stdio, which serves one alone.
    pub(crate) async fn again(self) -> Self {
        match self.front {
            Front::Http => self,
            Front::Stdio | Front::Direct => self.front.start(self.upstream).await,
        }
    }
}

pub(crate) fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The lines of a stream, read to its end whether or not anybody takes them.
pub(crate) fn lines(stream: impl AsyncRead + Unpin + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel(65_536);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let _ = send.try_send(line);
        }
    });
    receive
}

pub(crate) async fn first(mut lines: mpsc::Receiver<String>, prefix: &str) -> String {
    loop {
        let line = timeout(LIMIT, lines.recv()).await.unwrap().unwrap();
        if line.starts_with(prefix) {
            return line;
        }
    }
}
