//! A server of 2025-11-25 whose streams the test writes, with a session for each handshake.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::response::Response;
use mcp_gw_upstream::HttpServerConfig;
use tokio::sync::mpsc;

use crate::fake::{Fake, INITIALIZED, Seen, event, handshake, live, status};

/// A stream that the client reads, and the request that opened it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) seen: Seen,
    stream: mpsc::Sender<String>,
}

impl Opened {
    pub(crate) async fn say(&self, message: &str) {
        self.stream.send(event(message)).await.unwrap();
    }

    pub(crate) async fn write(&self, text: &str) {
        self.stream.send(text.to_owned()).await.unwrap();
    }

    /// Answers the request.
    pub(crate) async fn finish(&self, result: &str) {
        self.say(&self.seen.result_text(result)).await;
    }

    pub(crate) fn session(&self) -> String {
        self.seen.header("mcp-session-id").unwrap().to_owned()
    }

    /// Comes back when the client has hung up.
    pub(crate) async fn closed(&self) {
        self.stream.closed().await;
    }
}

#[derive(Debug)]
pub(crate) struct Old {
    pub(crate) fake: Fake,
    /// Calls of tools.
    pub(crate) calls: mpsc::Receiver<Opened>,
    /// Streams of sessions (GET).
    pub(crate) gets: mpsc::Receiver<Opened>,
    /// Streams that were passed over; they stay open.
    pub(crate) others: Vec<Opened>,
    /// Sessions that it does not know any more.
    forgotten: Arc<Mutex<HashSet<String>>>,
}

impl Old {
    pub(crate) async fn start() -> Self {
        let (call, calls) = mpsc::channel(64);
        let (get, gets) = mpsc::channel(64);
        let opened = Arc::new(Mutex::new((call, get)));
        let sessions = Arc::new(AtomicUsize::new(1));
        let forgotten: Arc<Mutex<HashSet<String>>> = Arc::default();
        let unknown = Arc::clone(&forgotten);
        let fake = Fake::start(move |seen| {
            let session = seen.header("mcp-session-id");
            let is_unknown = session.is_some_and(|id| unknown.lock().unwrap().contains(id));
            let response = if is_unknown {
                status(404)
            } else {
                answer(&seen, &opened, &sessions)
            };
            async move { response }
        })
        .await;
        Self {
            fake,
            calls,
            gets,
            others: Vec::new(),
            forgotten,
        }
    }

    /// From now on it does not know this session.
    pub(crate) fn forget(&self, session: &str) {
        self.forgotten.lock().unwrap().insert(session.to_owned());
    }

    pub(crate) fn config(&self) -> HttpServerConfig {
        HttpServerConfig::new("up", self.fake.url())
    }

    /// The next call of a tool.
    pub(crate) async fn call(&mut self) -> Opened {
        self.calls.recv().await.unwrap()
    }

    /// The stream of this session.
    pub(crate) async fn get(&mut self, session: &str) -> Opened {
        loop {
            let opened = self.gets.recv().await.unwrap();
            if opened.session() == session {
                return opened;
            }
            self.others.push(opened);
        }
    }
}

type Streams = Mutex<(mpsc::Sender<Opened>, mpsc::Sender<Opened>)>;

fn answer(seen: &Seen, opened: &Streams, sessions: &AtomicUsize) -> Response {
    let open = |of: &mpsc::Sender<Opened>| {
        let (stream, response) = live();
        let seen = seen.clone();
        of.try_send(Opened { seen, stream }).unwrap();
        response
    };
    match seen.method() {
        "tools/call" => open(&opened.lock().unwrap().0),
        "GET" => open(&opened.lock().unwrap().1),
        "initialize" => {
            let with_log = INITIALIZED.replace(r#""tools":{}"#, r#""tools":{},"logging":{}"#);
            let mut response = seen.result(&with_log);
            let number = sessions.fetch_add(1, Ordering::SeqCst);
            let session = format!("s{number}").parse().unwrap();
            response.headers_mut().insert("mcp-session-id", session);
            response
        }
        "logging/setLevel" | "ping" | "resources/subscribe" | "resources/unsubscribe" => {
            seen.result("{}")
        }
        "tools/list" => seen.result(r#"{"tools":[]}"#),
        "POST" | "notifications/roots/list_changed" => status(202),
        _ => handshake(seen).unwrap(),
    }
}
