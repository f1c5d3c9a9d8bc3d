//! Streamable HTTP: every answer a stream, sessions for the revisions that have them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use futures_util::Stream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::call;
use crate::state::State;

const SESSION: &str = "mcp-session-id";

pub(crate) async fn serve(state: Arc<State>, port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    println!("http://{address}/mcp");
    let router = Router::new().route("/mcp", any(handle)).with_state(state);
    let _ = axum::serve(listener, router).await;
}

async fn handle(
    Shared(state): Shared<Arc<State>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let session = headers.get(SESSION).and_then(|value| value.to_str().ok());
    if state.is_modern() {
        return match method {
            Method::POST => post(&state, String::new(), &headers, &body),
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        };
    }
    let known = session.filter(|id| state.memory().sessions.contains_key(*id));
    match (method, session, known) {
        (Method::POST, None, _) => post(&state, String::new(), &headers, &body),
        (_, Some(_), None) => StatusCode::NOT_FOUND.into_response(),
        (_, None, _) => StatusCode::BAD_REQUEST.into_response(),
        (Method::POST, _, Some(id)) => post(&state, id.to_owned(), &headers, &body),
        (Method::GET, _, Some(id)) => {
            let (out, messages) = mpsc::channel(1024);
            if let Some(session) = state.memory().sessions.get_mut(id) {
                session.out = Some(out);
            }
            events(messages, None)
        }
        (Method::DELETE, _, Some(id)) => {
            state.memory().sessions.remove(id);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn post(state: &Arc<State>, session: String, headers: &HeaderMap, body: &[u8]) -> Response {
    let Ok(message) = serde_json::from_slice::<Value>(body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let method = message["method"].as_str().map(str::to_owned);
    if state.is_modern() {
        if let Some(refusal) = check(state, headers, &message) {
            return refusal;
        }
    } else if session.is_empty() && method.as_deref() != Some("initialize") {
        return StatusCode::BAD_REQUEST.into_response();
    }
    if method.is_none() {
        state.answered(&message);
        return StatusCode::ACCEPTED.into_response();
    }
    if message.get("id").is_none() {
        if method.as_deref() == Some("notifications/cancelled") {
            state.cancel(&session, &message["params"]["requestId"]);
        }
        return StatusCode::ACCEPTED.into_response();
    }
    let is_new = method.as_deref() == Some("initialize") && !state.is_modern();
    let session = if is_new {
        let id = format!("full-{}", state.number());
        state.memory().sessions.entry(id.clone()).or_default();
        id
    } else {
        session
    };
    let (out, messages) = mpsc::channel(1024);
    let work = call::run(Arc::clone(state), session.clone(), message, out);
    let task = tokio::spawn(work).abort_handle();
    // From 2026-07-28 on a closed connection gives the request up.
    let mut response = events(messages, state.is_modern().then_some(task));
    if let Some(id) = is_new.then(|| session.parse().ok()).flatten() {
        response.headers_mut().insert(SESSION, id);
    }
    response
}

/// Holds a request of 2026-07-28 to its headers.
fn check(state: &State, headers: &HeaderMap, message: &Value) -> Option<Response> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let params = &message["params"];
    let name = match message["method"].as_str()? {
        "tools/call" | "prompts/get" => params["name"].as_str(),
        "resources/read" => params["uri"].as_str(),
        _ => None,
    };
    let version = params["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str();
    let fits = header("mcp-protocol-version") == version
        && header("mcp-method") == message["method"].as_str()
        && name.is_none_or(|name| header("mcp-name") == Some(name));
    let (code, says) = if version.is_some_and(|version| version != state.revision) {
        (-32022, "Unsupported protocol version")
    } else if version.is_none() {
        (-32602, "no protocolVersion")
    } else if fits {
        return None;
    } else {
        (-32020, "Header mismatch")
    };
    let body = serde_json::json!({
        "jsonrpc": "2.0", "id": message["id"],
        "error": { "code": code, "message": says, "data": { "supported": [state.revision] } },
    });
    let headers = [("content-type", "application/json")];
    Some((StatusCode::BAD_REQUEST, headers, body.to_string()).into_response())
}

fn events(messages: mpsc::Receiver<Value>, task: Option<AbortHandle>) -> Response {
    let body = Body::from_stream(Events { messages, task });
    let headers = [("content-type", "text/event-stream")];
    (headers, body).into_response()
}

struct Events {
    messages: mpsc::Receiver<Value>,
    task: Option<AbortHandle>,
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.messages.poll_recv(cx);
        next.map(|message| message.map(|message| Ok(format!("data: {message}\n\n").into())))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
