//! Scripted clients: one over HTTP, one over lines. Both give each message as it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue};
use mcp_gw_core::{Caller, CallerKind};
use mcp_gw_server::http::{HttpBody, HttpPeer};
use mcp_gw_server::{Engine, LineConfig, serve_lines};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Which transport a scenario runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Http,
    Lines,
}

pub(crate) const BOTH: [Over; 2] = [Over::Http, Over::Lines];

/// A client. Messages from the gateway come out of `next`, whatever stream they were on.
pub(crate) struct Client {
    way: Way,
    inbox: mpsc::Receiver<Value>,
    ids: u64,
    modern: Option<Value>,
}

enum Way {
    Http {
        engine: Engine,
        caller: Arc<Caller>,
        session: Option<String>,
        messages: mpsc::Sender<Value>,
        streams: Vec<JoinHandle<()>>,
    },
    Lines {
        near: DuplexStream,
        _served: JoinHandle<()>,
    },
}

type Events = Pin<Box<dyn Stream<Item = bytes::Bytes> + Send>>;

impl Client {
    fn over(over: Over, engine: &Engine, caller: &str) -> Self {
        let (messages, inbox) = mpsc::channel(1024);
        let way = match over {
            Over::Http => Way::Http {
                engine: engine.clone(),
                caller: Arc::new(Caller::new(CallerKind::ApiKey, caller)),
                session: None,
                messages,
                streams: Vec::new(),
            },
            Over::Lines => {
                let (near, far) = tokio::io::duplex(1 << 20);
                let (said, out) = tokio::io::duplex(1 << 20);
                let engine = engine.clone();
                let served = tokio::spawn(async move {
                    let config = LineConfig::default();
                    serve_lines(&engine, config, far, said).await.unwrap();
                });
                tokio::spawn(async move {
                    let mut lines = BufReader::new(out).lines();
                    while let Some(line) = lines.next_line().await.unwrap() {
                        let message = serde_json::from_str(&line).unwrap();
                        messages.send(message).await.unwrap();
                    }
                });
                Way::Lines {
                    near,
                    _served: served,
                }
            }
        };
        Self {
            way,
            inbox,
            ids: 0,
            modern: None,
        }
    }

    /// A client that shakes hands.
    pub(crate) async fn legacy(
        over: Over,
        engine: &Engine,
        revision: &str,
        capabilities: Value,
    ) -> Self {
        let mut client = Self::over(over, engine, "a");
        let params = json!({
            "protocolVersion": revision, "capabilities": capabilities,
            "clientInfo": {"name": "t", "version": "1"},
        });
        client.send("initialize", params).await;
        let answer = client.next().await;
        assert_eq!(answer["result"]["protocolVersion"], revision, "{answer}");
        client.notify("notifications/initialized", json!({})).await;
        client
    }

    /// A client of 2026-07-28.
    pub(crate) fn modern(over: Over, engine: &Engine, capabilities: Value) -> Self {
        Self::modern_as("a", over, engine, capabilities)
    }

    pub(crate) fn modern_as(
        caller: &str,
        over: Over,
        engine: &Engine,
        capabilities: Value,
    ) -> Self {
        Self {
            modern: Some(capabilities),
            ..Self::over(over, engine, caller)
        }
    }

    /// Sends a request and gives its id.
    pub(crate) async fn send(&mut self, method: &str, mut params: Value) -> u64 {
        self.ids += 1;
        if let Some(capabilities) = &self.modern {
            let meta = &mut params["_meta"];
            meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
            if meta["io.modelcontextprotocol/clientCapabilities"].is_null() {
                meta["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
            }
        }
        let message = json!({"jsonrpc": "2.0", "id": self.ids, "method": method, "params": params});
        self.put(&message).await;
        self.ids
    }

    pub(crate) async fn notify(&mut self, method: &str, params: Value) {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        assert_eq!(self.put(&message).await, 202);
    }

    /// Calls a tool and gives its id.
    pub(crate) async fn call(&mut self, name: &str, arguments: Value) -> u64 {
        let params = json!({"name": name, "arguments": arguments});
        self.send("tools/call", params).await
    }

    /// Answers a request of the gateway.
    pub(crate) async fn answer(&mut self, question: &Value, result: Value) -> u16 {
        let id = &question["id"];
        let message = json!({"jsonrpc": "2.0", "id": id, "result": result});
        self.put(&message).await
    }

    /// The next message on any stream.
    pub(crate) async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(Duration::from_secs(10), self.inbox.recv());
        next.await.expect("a message should come").unwrap()
    }

    /// A request and its answer: nothing may come before it.
    pub(crate) async fn asked(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Goes away: closes all that is open.
    pub(crate) async fn hang_up(&mut self) {
        match &mut self.way {
            Way::Http { streams, .. } => {
                for stream in streams.drain(..) {
                    stream.abort();
                    let _ = stream.await;
                }
            }
            Way::Lines { near, .. } => near.shutdown().await.unwrap(),
        }
    }

    /// Ends the session (HTTP) or the connection (lines).
    pub(crate) async fn end(&mut self) {
        if let Way::Http {
            engine,
            caller,
            session: Some(session),
            ..
        } = &self.way
        {
            let mut headers = HeaderMap::new();
            headers.insert("mcp-session-id", HeaderValue::from_str(session).unwrap());
            let peer = HttpPeer::new(Arc::clone(caller), "end".to_owned(), None);
            assert_eq!(engine.delete(&headers, &peer).status, 204);
            return;
        }
        self.hang_up().await;
    }

    async fn put(&mut self, message: &Value) -> u16 {
        match &mut self.way {
            Way::Lines { near, .. } => {
                let mut line = message.to_string();
                line.push('\n');
                near.write_all(line.as_bytes()).await.unwrap();
                202
            }
            Way::Http {
                engine,
                caller,
                session,
                messages,
                streams,
            } => {
                let headers = headers(message, session.as_deref(), self.modern.is_some());
                let (engine, messages) = (engine.clone(), messages.clone());
                let peer = HttpPeer::new(Arc::clone(caller), engine.next_request_id(), None);
                let body = bytes::Bytes::from(message.to_string());
                let is_request = message.get("method").is_some() && message.get("id").is_some();
                if message["method"] == "initialize" || !is_request {
                    let reply = engine.post(&headers, body, peer).await;
                    if let Some(id) = reply.headers.get("mcp-session-id") {
                        *session = Some(id.to_str().unwrap().to_owned());
                    }
                    let status = reply.status.as_u16();
                    if is_request {
                        read(reply.body, messages).await;
                    }
                    return status;
                }
                streams.push(tokio::spawn(async move {
                    let reply = engine.post(&headers, body, peer).await;
                    read(reply.body, messages).await;
                }));
                200
            }
        }
    }
}

fn headers(message: &Value, session: Option<&str>, modern: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = |text: &str| HeaderValue::from_str(text).unwrap();
    if modern {
        headers.insert("mcp-protocol-version", value("2026-07-28"));
        if let Some(method) = message["method"].as_str() {
            headers.insert("mcp-method", value(method));
        }
        for name in ["name", "uri", "taskId"] {
            if let Some(name) = message["params"][name].as_str() {
                headers.insert("mcp-name", value(name));
            }
        }
    }
    if let Some(session) = session {
        headers.insert("mcp-session-id", value(session));
    }
    headers
}

async fn read(body: HttpBody, messages: mpsc::Sender<Value>) {
    match body {
        HttpBody::Full(body) => {
            let message = serde_json::from_slice(&body).unwrap();
            messages.send(message).await.unwrap();
        }
        HttpBody::Pieces(pieces) => {
            let message = serde_json::from_slice(&pieces.concat()).unwrap();
            messages.send(message).await.unwrap();
        }
        HttpBody::Events(events) => read_events(events, messages).await,
        _ => {}
    }
}

async fn read_events(mut events: Events, messages: mpsc::Sender<Value>) {
    while let Some(chunk) = events.next().await {
        let text = String::from_utf8(chunk.to_vec()).unwrap();
        let data: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        if !data.is_empty() {
            let message = serde_json::from_str(&data.join("\n")).unwrap();
            messages.send(message).await.unwrap();
        }
    }
}
