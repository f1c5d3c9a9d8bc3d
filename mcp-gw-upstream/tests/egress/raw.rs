//! A server that keeps every byte it gets, and answers with any bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is sent back.
#[derive(Clone)]
pub(crate) struct Reply {
    bytes: Vec<u8>,
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    Keep,
    Close,
    /// Nothing more comes, and the connection stays.
    Hang,
    /// The last byte again, without end.
    Forever,
}

impl Reply {
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            then: Then::Keep,
        }
    }

    pub(crate) fn close(mut self) -> Self {
        self.then = Then::Close;
        self
    }

    pub(crate) fn hang(mut self) -> Self {
        self.then = Then::Hang;
        self
    }

    pub(crate) fn forever(mut self) -> Self {
        self.then = Then::Forever;
        self
    }
}

pub(crate) fn ok(body: &str) -> Reply {
    answer("200 OK", &[], body.as_bytes())
}

pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    Reply::raw([head.as_bytes(), body].concat())
}

type Script = dyn Fn(usize, &[u8]) -> Reply + Send + Sync;

#[derive(Default)]
struct Seen {
    requests: Vec<Vec<u8>>,
    connections: usize,
    /// Connections that the other side ended while it waited.
    given_up: usize,
}

pub(crate) struct Raw {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Raw {
    /// `script` gets the number of the request, and its bytes.
    pub(crate) async fn start(
        script: impl Fn(usize, &[u8]) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::at("127.0.0.1:0", script).await
    }

    pub(crate) async fn at(
        address: &str,
        script: impl Fn(usize, &[u8]) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let script: Arc<Script> = Arc::new(script);
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, Arc::clone(&shared), Arc::clone(&script)));
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Waits until so many requests have come.
    pub(crate) async fn asked(&self, times: usize) {
        while self.seen.lock().unwrap().requests.len() < times {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until so many connections that wait for the rest of an answer have been ended.
    pub(crate) async fn given_up(&self, times: usize) {
        while self.seen.lock().unwrap().given_up < times {
            tokio::task::yield_now().await;
        }
    }

    /// All requests, byte for byte.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        seen.requests.iter().map(text).collect()
    }

    /// The first line of each of them.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |request: String| request.split("\r\n").next().unwrap().to_owned();
        self.requests().into_iter().map(line).collect()
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Seen>>, script: Arc<Script>) {
    let mut buffer = Vec::new();
    loop {
        let Some(length) = request(&mut stream, &mut buffer).await else {
            return;
        };
        let bytes: Vec<u8> = buffer.drain(..length).collect();
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.requests.push(bytes.clone());
            seen.requests.len() - 1
        };
        let reply = script(number, &bytes);
        if stream.write_all(&reply.bytes).await.is_err() {
            return;
        }
        match reply.then {
            Then::Keep => {}
            Then::Close => return,
            Then::Hang => {
                let mut rest = [0; 64];
                while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
                seen.lock().unwrap().given_up += 1;
                return;
            }
            Then::Forever => {
                let last = vec![*reply.bytes.last().unwrap(); 4096];
                while stream.write_all(&last).await.is_ok() {}
                return;
            }
        }
    }
}

/// Reads until there is a whole request, and says how long it is.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<usize> {
    loop {
        let text = String::from_utf8_lossy(buffer);
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let end = head.len();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if buffer.len() >= end + 4 + length {
                return Some(end + 4 + length);
            }
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => buffer.extend_from_slice(&piece[..read]),
        }
    }
}
