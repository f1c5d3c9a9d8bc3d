//! A proxy in front of a server that can stop handing anything on, and go on again.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Dropped, it ends and so do its connections.
pub(crate) struct Proxy {
    port: u16,
    stalled: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// In front of the server that listens on `socket`.
    pub(crate) async fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stalled, watched) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (socket, watched) = (socket.clone(), watched.clone());
                connections.spawn(async move {
                    if let Ok(server) = UnixStream::connect(socket).await {
                        carry(client, server, watched).await;
                    }
                });
            }
        });
        Self {
            port,
            stalled,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// From now on answers stay with the proxy, on connections that are open and on new ones.
    pub(crate) fn stall(&self) {
        self.stalled.send_replace(true);
    }

    /// Answers go through again, those that were kept first.
    pub(crate) fn go_on(&self) {
        self.stalled.send_replace(false);
    }
}

/// Hands bytes on both ways until one side ends.
async fn carry(client: TcpStream, server: UnixStream, mut stalled: watch::Receiver<bool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    };
    let back = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let Ok(read @ 1..) = from_server.read(&mut buffer).await else {
                return;
            };
            if stalled.wait_for(|stalled| !stalled).await.is_err() {
                return;
            }
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}
