//! A client of any revision that answers what it is asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::front::{Gateway, LIMIT, Way};

const KEY: &str = "io.modelcontextprotocol/";

/// A client that has connected.
pub(crate) struct Client {
    pub(crate) revision: &'static str,
    capabilities: Value,
    transport: Arc<Transport>,
    /// Messages that belong to no request.
    general: tokio::sync::Mutex<mpsc::Receiver<Value>>,
    ids: AtomicU64,
    tasks: Mutex<Vec<AbortHandle>>,
}

enum Transport {
    Http {
        http: reqwest::Client,
        url: String,
        session: Mutex<Option<String>>,
        revision: &'static str,
        general: mpsc::Sender<Value>,
    },
    Stdio {
        stdin: tokio::sync::Mutex<tokio::process::ChildStdin>,
        waiting: Mutex<HashMap<u64, mpsc::Sender<Value>>>,
        general: mpsc::Sender<Value>,
    },
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Notifications before the answer, in their order.
    pub(crate) seen: Vec<Value>,
    /// The methods that the client was asked for.
    pub(crate) asked: Vec<String>,
    /// The whole answer.
    pub(crate) answer: Value,
}

impl Outcome {
    #[track_caller]
    pub(crate) fn result(&self) -> &Value {
        self.answer
            .get("result")
            .unwrap_or_else(|| panic!("no result: {}", self.answer))
    }

    /// The text of the first content item.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        let text = self.result()["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("no text: {}", self.answer))
    }
}

/// A request on its way.
pub(crate) struct Open {
    pub(crate) id: u64,
    /// What was asked, for whoever reads of a failure.
    what: String,
    messages: mpsc::Receiver<Value>,
    task: Option<AbortHandle>,
}

impl Client {
    pub(crate) async fn open(gateway: &Gateway, revision: &'static str, is_able: bool) -> Self {
        let (general, heard) = mpsc::channel(1024);
        let mut tasks = Vec::new();
        let transport = match &gateway.way {
            Way::Http(url) => Arc::new(Transport::Http {
                http: reqwest::Client::new(),
                url: url.clone(),
                session: Mutex::default(),
                revision,
                general,
            }),
            Way::Stdio(pipes) => {
                let mut pipes = pipes.lock().unwrap().take().expect("one client");
                let transport = Arc::new(Transport::Stdio {
                    stdin: tokio::sync::Mutex::new(pipes.stdin),
                    waiting: Mutex::default(),
                    general,
                });
                let reader = Arc::clone(&transport);
                let task = tokio::spawn(async move {
                    while let Some(line) = pipes.lines.recv().await {
                        let message = serde_json::from_str(&line).expect("a message a line");
                        reader.route(message).await;
                    }
                });
                tasks.push(task.abort_handle());
                transport
            }
        };
        let client = Self {
            revision,
            capabilities: if is_able {
                abilities(revision)
            } else {
                json!({})
            },
            transport,
            general: tokio::sync::Mutex::new(heard),
            ids: AtomicU64::new(1),
            tasks: Mutex::new(tasks),
        };
        client.connect().await;
        client
    }

    pub(crate) fn is_modern(&self) -> bool {
        self.revision == "2026-07-28"
    }

    async fn connect(&self) {
        if self.is_modern() {
            let found = self.ask("server/discover", json!({})).await;
            assert_eq!(found.result()["supportedVersions"], json!(["2026-07-28"]));
            return;
        }
        let params = json!({
            "protocolVersion": self.revision,
            "capabilities": self.capabilities,
            "clientInfo": { "name": "matrix", "version": "1" },
        });
        let hello = self.ask("initialize", params).await;
        assert_eq!(hello.result()["protocolVersion"], self.revision);
        self.transport
            .tell(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await;
        if let Some(task) = self.transport.hear().await {
            self.tasks.lock().unwrap().push(task);
        }
    }

    /// The message of a request of this revision.
    fn message(&self, method: &str, mut params: Value) -> (u64, Value) {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        if self.is_modern() {
            let meta = &mut params["_meta"];
            meta[format!("{KEY}protocolVersion")] = json!(self.revision);
            meta[format!("{KEY}clientCapabilities")] = self.capabilities.clone();
            meta[format!("{KEY}clientInfo")] = json!({ "name": "matrix", "version": "1" });
        }
        (
            id,
            json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }),
        )
    }

    /// Sends a request.
    pub(crate) async fn begin(&self, method: &str, params: Value) -> Open {
        let (id, message) = self.message(method, params);
        let what = format!(
            "{method} {} as {}",
            message["params"]["name"], self.revision
        );
        Open {
            what,
            ..self.transport.begin(id, message).await
        }
    }

    /// Asks, answers what it is asked, and waits for the answer.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Outcome {
        let (mut seen, mut asked) = (Vec::new(), Vec::new());
        let mut again = params.clone();
        for _ in 0..10 {
            let mut open = self.begin(method, again.clone()).await;
            let answer = loop {
                let message = open.next().await;
                let name = message["method"].as_str().map(str::to_owned);
                match name {
                    None => break message,
                    Some(method) if message.get("id").is_some() => {
                        assert!(!self.is_modern(), "servers ask only by results: {message}");
                        let result = reply(&method, &message["params"]);
                        asked.push(method);
                        let answer =
                            json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
                        self.transport.tell(answer).await;
                    }
                    Some(_) => seen.push(message),
                }
            };
            assert_eq!(answer["id"], open.id, "{answer}");
            if answer["result"]["resultType"] != "input_required" {
                return Outcome {
                    seen,
                    asked,
                    answer,
                };
            }
            assert!(
                self.is_modern(),
                "an old client must never see it: {answer}"
            );
            again = params.clone();
            for (key, request) in answer["result"]["inputRequests"].as_object().unwrap() {
                let method = request["method"].as_str().unwrap();
                asked.push(method.to_owned());
                again["inputResponses"][key] = reply(method, &request["params"]);
            }
            if let Some(state) = answer["result"].get("requestState") {
                again["requestState"] = state.clone();
            }
        }
        panic!("it asks without end");
    }

    pub(crate) async fn tool(&self, name: &str) -> Outcome {
        self.ask("tools/call", json!({ "name": name, "arguments": {} }))
            .await
    }

    /// Gives a request up, as the revision wants it.
    pub(crate) async fn cancel(&self, open: Open) {
        let is_http = matches!(*self.transport, Transport::Http { .. });
        if let Some(task) = open.task.filter(|_| self.is_modern() && is_http) {
            task.abort();
            return;
        }
        if let Transport::Stdio { waiting, .. } = &*self.transport {
            waiting.lock().unwrap().remove(&open.id);
        }
        let params = json!({ "requestId": open.id });
        self.transport
            .tell(
                json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }),
            )
            .await;
    }

    /// Ends the session over HTTP.
    pub(crate) async fn end(&self) {
        let Transport::Http { http, url, .. } = &*self.transport else {
            return;
        };
        let request = http
            .delete(url)
            .headers(self.transport.headers(&Value::Null));
        let status = request.send().await.expect("the gateway answers").status();
        // It may have ended before, for idleness or because there were too many.
        assert!(status == 204 || status == 404, "{status}");
    }

    /// Listens to `filter` (2026-07-28) and waits until the gateway has agreed.
    pub(crate) async fn listen(&self, filter: Value) -> Open {
        let mut open = self
            .begin("subscriptions/listen", json!({ "notifications": filter }))
            .await;
        let first = open.next().await;
        assert_eq!(
            first["method"], "notifications/subscriptions/acknowledged",
            "{first}"
        );
        assert_eq!(
            first["params"]["_meta"][format!("{KEY}subscriptionId")],
            open.id
        );
        assert_eq!(first["params"]["notifications"], filter, "{first}");
        open
    }

    /// The next message that belongs to no request.
    pub(crate) async fn heard(&self) -> Value {
        let mut general = self.general.lock().await;
        timeout(LIMIT, general.recv())
            .await
            .expect("in time")
            .expect("a message")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        for task in self.tasks.lock().unwrap().iter() {
            task.abort();
        }
    }
}

impl Open {
    /// The next message that belongs to it.
    #[track_caller]
    pub(crate) fn next(&mut self) -> impl Future<Output = Value> {
        let at = std::panic::Location::caller();
        async move {
            let next = timeout(LIMIT, self.messages.recv()).await;
            next.unwrap_or_else(|_| panic!("nothing came in time for {}, {at}", self.what))
                .unwrap_or_else(|| panic!("the stream of {} ended, {at}", self.what))
        }
    }
}

/// What a client of a revision can be asked for.
fn abilities(revision: &str) -> Value {
    match revision {
        "2025-03-26" => json!({ "sampling": {}, "roots": {} }),
        "2025-06-18" => json!({ "sampling": {}, "roots": {}, "elicitation": {} }),
        _ => json!({ "sampling": {}, "roots": {}, "elicitation": { "form": {}, "url": {} } }),
    }
}

fn reply(method: &str, params: &Value) -> Value {
    match method {
        "elicitation/create" if params["mode"] == "url" => json!({ "action": "accept" }),
        "elicitation/create" => {
            // The schema came through as the server wrote it.
            assert_eq!(
                params["requestedSchema"]["properties"]["name"]["x-vendor"].to_string(),
                "1.0"
            );
            json!({ "action": "accept", "content": { "name": "Ann" } })
        }
        "sampling/createMessage" => json!({
            "role": "assistant", "model": "m", "content": { "type": "text", "text": "4" },
        }),
        "roots/list" => json!({ "roots": [{ "uri": "file:///r" }] }),
        _ => panic!("asked for {method}"),
    }
}

impl Transport {
    async fn begin(self: &Arc<Self>, id: u64, message: Value) -> Open {
        let (send, messages) = mpsc::channel(1024);
        let task = match &**self {
            Self::Http { .. } => {
                let transport = Arc::clone(self);
                let task = tokio::spawn(async move { transport.post(message, Some(send)).await });
                Some(task.abort_handle())
            }
            Self::Stdio { waiting, .. } => {
                waiting.lock().unwrap().insert(id, send);
                self.tell(message).await;
                None
            }
        };
        let what = String::new();
        Open {
            id,
            what,
            messages,
            task,
        }
    }

    /// Sends what has no answer.
    async fn tell(&self, message: Value) {
        match self {
            Self::Http { .. } => self.post(message, None).await,
            Self::Stdio { stdin, .. } => {
                let line = format!("{message}\n");
                stdin.lock().await.write_all(line.as_bytes()).await.unwrap();
            }
        }
    }

    async fn post(&self, message: Value, out: Option<mpsc::Sender<Value>>) {
        let Self::Http {
            http, url, session, ..
        } = self
        else {
            return;
        };
        let request = http
            .post(url)
            .headers(self.headers(&message))
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(message.to_string());
        let response = request.send().await.expect("the gateway answers");
        if let Some(id) = response.headers().get("mcp-session-id") {
            *session.lock().unwrap() = Some(id.to_str().unwrap().to_owned());
        }
        match out {
            None => assert_eq!(response.status(), 202, "{message}"),
            Some(out) => read(response, &out).await,
        }
    }

    fn headers(&self, message: &Value) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Self::Http {
            session, revision, ..
        } = self
        else {
            return headers;
        };
        let mut set = |name: &'static str, value: &str| {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        };
        if *revision == "2026-07-28" {
            set("mcp-protocol-version", revision);
            set("mcp-method", message["method"].as_str().unwrap_or_default());
            let params = &message["params"];
            let name = params.get("name").or_else(|| params.get("uri"));
            if let Some(name) = name.and_then(Value::as_str) {
                set("mcp-name", name);
            }
        } else if let Some(id) = &*session.lock().unwrap() {
            set("mcp-session-id", id);
            if *revision != "2025-03-26" {
                set("mcp-protocol-version", revision);
            }
        }
        headers
    }

    /// Opens the stream for what belongs to no request.
    async fn hear(self: &Arc<Self>) -> Option<AbortHandle> {
        let Self::Http {
            http, url, general, ..
        } = &**self
        else {
            return None;
        };
        let request = http
            .get(url)
            .headers(self.headers(&Value::Null))
            .header("accept", "text/event-stream");
        let response = request.send().await.expect("the gateway answers");
        assert_eq!(response.status(), 200);
        let general = general.clone();
        Some(tokio::spawn(async move { read(response, &general).await }).abort_handle())
    }

    /// Hands a line to whoever waits for it.
    async fn route(&self, message: Value) {
        let Self::Stdio {
            waiting, general, ..
        } = self
        else {
            return;
        };
        let out = if message["method"].is_string() {
            // Which call it belongs to is not said: the one that is open, if there is just one.
            let waiting = waiting.lock().unwrap();
            let belongs = message.get("id").is_some()
                || matches!(
                    message["method"].as_str(),
                    Some("notifications/progress" | "notifications/message")
                );
            let listens = message["params"]["_meta"][format!("{KEY}subscriptionId")].as_u64();
            match listens {
                Some(id) => waiting.get(&id).cloned(),
                None => waiting.values().next().cloned().filter(|_| belongs),
            }
        } else {
            let id = message["id"].as_u64().expect("an id");
            waiting.lock().unwrap().remove(&id)
        };
        let _ = out.unwrap_or_else(|| general.clone()).send(message).await;
    }
}

/// Reads a response: one message, or a stream of them.
async fn read(mut response: reqwest::Response, out: &mpsc::Sender<Value>) {
    let kind = response.headers().get("content-type").cloned();
    let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if !is_stream {
        let body = response.bytes().await.unwrap();
        let message = serde_json::from_slice(&body)
            .unwrap_or_else(|_| panic!("not a message: {}", String::from_utf8_lossy(&body)));
        let _ = out.send(message).await;
        return;
    }
    let mut text = String::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some(end) = text.find("\n\n") {
            let event: String = text.drain(..end + 2).collect();
            let data: String = event
                .lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .collect();
            if !data.trim().is_empty() {
                let _ = out
                    .send(serde_json::from_str(&data).expect("a message"))
                    .await;
            }
        }
    }
}
