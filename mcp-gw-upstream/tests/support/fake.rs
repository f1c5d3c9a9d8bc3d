//! A scriptable MCP server over HTTP, on a loopback port of its own.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mcp_gw_core::jsonrpc;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::support::raw;

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) http: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Seen {
    /// The JSON-RPC method, or the HTTP method of a request without a body.
    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or(self.http.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn id(&self) -> String {
        self.body["id"].to_string()
    }

    /// A JSON answer with this result.
    pub(crate) fn result(&self, result: &str) -> Response {
        json(200, &self.result_text(result))
    }

    /// A JSON answer with this error.
    pub(crate) fn error(&self, status: u16, code: i64, message: &str) -> Response {
        let error = jsonrpc::error_object(code, message, None);
        json(
            status,
            jsonrpc::error(Some(&raw(&self.id())), &error).as_str(),
        )
    }

    pub(crate) fn result_text(&self, result: &str) -> String {
        jsonrpc::result(&raw(&self.id()), &raw(result)).to_string()
    }
}

type Script = Arc<dyn Fn(Seen) -> BoxFuture<'static, Response> + Send + Sync>;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server and what it has seen.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    seen: mpsc::Receiver<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// Serves whatever `script` answers.
    pub(crate) async fn start<F>(script: impl Fn(Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let script: Script = Arc::new(move |seen| script(seen).boxed());
        let (log, seen) = mpsc::channel(10_000);
        let app = Router::new().fallback(move |request: Request<Body>| {
            let (script, log) = (Arc::clone(&script), log.clone());
            async move {
                let seen = read(request).await;
                log.try_send(seen.clone()).unwrap();
                script(seen).await
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            seen,
            task,
        }
    }

    /// A server of 2026-07-28 that answers its discovery; `script` answers the rest.
    pub(crate) async fn modern<F>(script: impl Fn(Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        Self::start(move |seen| {
            if seen.method() == "server/discover" {
                std::future::ready(seen.result(DISCOVERED)).boxed()
            } else {
                script(seen).boxed()
            }
        })
        .await
    }

    /// A server of 2025-11-25 with session `s1` that answers its handshake and has no stream of
    /// its own; `script` answers the rest.
    pub(crate) async fn legacy<F>(script: impl Fn(Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        Self::start(move |seen| match handshake(&seen) {
            Some(response) => std::future::ready(response).boxed(),
            None => script(seen).boxed(),
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// The next request with this method; others before it are skipped.
    pub(crate) async fn next(&mut self, method: &str) -> Seen {
        let search = async {
            loop {
                let seen = self.seen.recv().await.unwrap();
                if seen.method() == method {
                    return seen;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .unwrap_or_else(|_| panic!("no {method} came"))
    }

    /// The next request of any kind.
    pub(crate) async fn next_any(&mut self) -> Seen {
        let next = tokio::time::timeout(PATIENCE, self.seen.recv());
        next.await.expect("no request came").unwrap()
    }

    /// The next request, if it has come.
    pub(crate) fn try_next(&mut self) -> Option<Seen> {
        self.seen.try_recv().ok()
    }

    /// How often each of `methods` was seen so far.
    pub(crate) fn count<const N: usize>(&mut self, methods: &[&str; N]) -> [usize; N] {
        let seen = self.methods();
        methods.map(|wanted| seen.iter().filter(|method| *method == wanted).count())
    }

    /// The methods of everything seen so far.
    pub(crate) fn methods(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.seen.try_recv().ok())
            .map(|seen| seen.method().to_owned())
            .collect()
    }
}

pub(crate) const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"x":1.0},"instructions":"be kind","ttlMs":0,"cacheScope":"private"}"#;
pub(crate) const INITIALIZED: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"1"},"instructions":"be kind"}"#;

/// What an old server answers before anything is asked of it.
pub(crate) fn handshake(seen: &Seen) -> Option<Response> {
    match seen.method() {
        "server/discover" => Some(seen.error(400, -32000, "Bad Request: not initialized")),
        "initialize" => {
            let mut response = seen.result(INITIALIZED);
            let session = "s1".parse().unwrap();
            response.headers_mut().insert("mcp-session-id", session);
            Some(response)
        }
        "notifications/initialized" | "notifications/cancelled" | "DELETE" => Some(status(202)),
        "GET" => Some(status(405)),
        _ => None,
    }
}

async fn read(request: Request<Body>) -> Seen {
    let (
        Parts {
            method,
            headers,
            uri,
            ..
        },
        body,
    ) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Seen {
        http: method,
        path: uri.path_and_query().unwrap().to_string(),
        headers,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
    }
}

pub(crate) fn json(status: u16, body: &str) -> Response {
    typed(status, "application/json", body.to_owned().into())
}

pub(crate) fn status(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// An event stream with this text.
pub(crate) fn sse(text: String) -> Response {
    typed(200, "text/event-stream; charset=utf-8", text.into())
}

/// An event with this data.
pub(crate) fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

/// An event stream that is written while the client reads it. The sender sees the client go.
pub(crate) fn live() -> (mpsc::Sender<String>, Response) {
    let (sender, mut receiver) = mpsc::channel::<String>(64);
    let stream = futures_util::stream::poll_fn(move |cx| {
        receiver
            .poll_recv(cx)
            .map(|next| next.map(|text| Ok::<_, Infallible>(Bytes::from(text))))
    });
    (
        sender,
        typed(200, "text/event-stream", Body::from_stream(stream)),
    )
}

fn typed(status: u16, kind: &'static str, body: Body) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .body(body)
        .unwrap()
}
