//! An MCP server that does next to nothing, so that what stands before it is what gets measured.
//!
//! A request is read in one borrowed pass and its answer spliced together from ready-made text; no tree is built. It
//! checks what a careful server checks, because a gateway that forgets a header must not look fast.

use std::{
    borrow::Cow,
    collections::HashSet,
    fmt::Write as _,
    future::Future,
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

use crate::wire::{
    Answers, EVENT_STREAM, Era, Eras, JSON, LEGACY, METHOD, MODERN, NAME, PROTOCOL_VERSION, SESSION,
};

/// The answer to one request. Its body is always complete.
pub(crate) type Answer = Response<Full<Bytes>>;

/// The server: the text of its answers, and the legacy sessions that are open.
#[derive(Debug)]
pub(crate) struct Upstream {
    eras: Eras,
    /// How calls are answered.
    answers: Answers,
    tools: String,
    sessions: Mutex<HashSet<u64>>,
    next_session: AtomicU64,
}

impl Upstream {
    /// A server that lists `tools` tools, the first of which is `echo`.
    pub(crate) fn new(eras: Eras, answers: Answers, tools: usize) -> Self {
        Self {
            eras,
            answers,
            tools: list_of(tools),
            sessions: Mutex::default(),
            next_session: AtomicU64::new(1),
        }
    }

    /// Answers one request, whose body has been read.
    pub(crate) fn answer(&self, head: &Parts, body: &[u8]) -> Answer {
        match head.method {
            Method::POST => {}
            Method::DELETE if self.eras.include(Era::Legacy) => return self.end_session(head),
            _ => return empty(StatusCode::METHOD_NOT_ALLOWED),
        }
        let accept = text_of(&head.headers, header::ACCEPT.as_str());
        if !accept.contains(JSON) || !accept.contains(EVENT_STREAM) {
            return empty(StatusCode::NOT_ACCEPTABLE);
        }
        if !text_of(&head.headers, header::CONTENT_TYPE.as_str()).starts_with(JSON) {
            return empty(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let parsed = str::from_utf8(body)
            .ok()
            .and_then(|text| serde_json::from_str::<Message<'_>>(text).ok());
        let Some(message) = parsed else {
            return error(StatusCode::BAD_REQUEST, "null", -32700, "not a request");
        };
        let modern = message.params.meta.version.is_some() || message.method == "server/discover";
        if modern && self.eras.include(Era::Modern) {
            self.modern(head, &message)
        } else if self.eras.include(Era::Legacy) {
            self.legacy(head, &message)
        } else {
            let id = message.id.map_or("null", RawValue::get);
            error(StatusCode::BAD_REQUEST, id, -32602, "no protocolVersion")
        }
    }

    fn modern(&self, head: &Parts, message: &Message<'_>) -> Answer {
        let Some(id) = message.id.map(RawValue::get) else {
            return empty(StatusCode::ACCEPTED);
        };
        let meta = &message.params.meta;
        let bad = |code, why| error(StatusCode::BAD_REQUEST, id, code, why);
        let (Some(version), Some(_)) = (&meta.version, meta.capabilities) else {
            return bad(-32602, "_meta lacks a required key");
        };
        if text_of(&head.headers, PROTOCOL_VERSION) != version {
            return bad(-32020, "MCP-Protocol-Version differs from the body");
        }
        if version != MODERN {
            return unsupported(id, version);
        }
        if text_of(&head.headers, METHOD) != message.method {
            return bad(-32020, "Mcp-Method differs from the body");
        }
        match &*message.method {
            "server/discover" => json(
                id,
                &[
                    r#"{"supportedVersions":[""#,
                    MODERN,
                    r#""],"capabilities":{"tools":{}},"ttlMs":60000,"cacheScope":"public""#,
                    MODERN_END,
                ],
            ),
            "tools/list" => json(
                id,
                &[
                    r#"{"tools":["#,
                    &self.tools,
                    r#"],"ttlMs":60000,"cacheScope":"public""#,
                    MODERN_END,
                ],
            ),
            "tools/call"
                if Some(text_of(&head.headers, NAME)) != message.params.name.as_deref() =>
            {
                bad(-32020, "Mcp-Name differs from the body")
            }
            "tools/call" => call(self.answers, id, message, MODERN_END),
            _ => error(StatusCode::NOT_FOUND, id, -32601, "unknown method"),
        }
    }

    fn legacy(&self, head: &Parts, message: &Message<'_>) -> Answer {
        if message.method == "initialize" {
            return self.initialize(message);
        }
        match session_of(&head.headers) {
            None => return empty(StatusCode::BAD_REQUEST),
            Some(session) if !self.is_open(session) => return empty(StatusCode::NOT_FOUND),
            Some(_) => {}
        }
        let Some(id) = message.id.map(RawValue::get) else {
            return empty(StatusCode::ACCEPTED);
        };
        match &*message.method {
            "ping" => json(id, &["{}"]),
            "tools/list" => json(id, &[r#"{"tools":["#, &self.tools, "]}"]),
            "tools/call" => call(self.answers, id, message, "}"),
            _ => error(StatusCode::OK, id, -32601, "unknown method"),
        }
    }

    fn initialize(&self, message: &Message<'_>) -> Answer {
        let Some(id) = message.id.map(RawValue::get) else {
            return error(
                StatusCode::BAD_REQUEST,
                "null",
                -32600,
                "initialize needs an id",
            );
        };
        let version = match message.params.version.as_deref() {
            Some(asked @ ("2025-03-26" | "2025-06-18")) => asked,
            _ => LEGACY,
        };
        let session = self.next_session.fetch_add(1, Ordering::Relaxed);
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(session);
        let mut answer = json(
            id,
            &[
                r#"{"protocolVersion":""#,
                version,
                r#"","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"0"}}"#,
            ],
        );
        if let Ok(value) = HeaderValue::from_str(&format!("{SESSION_PREFIX}{session}")) {
            answer.headers_mut().insert(SESSION, value);
        }
        answer
    }

    fn is_open(&self, session: u64) -> bool {
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&session)
    }

    fn end_session(&self, head: &Parts) -> Answer {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = session_of(&head.headers).is_some_and(|session| sessions.remove(&session));
        empty(if known {
            StatusCode::OK
        } else {
            StatusCode::NOT_FOUND
        })
    }
}

/// Serves until accepting fails or `until` is ready. Every connection is kept alive, and none waits for a full segment.
pub(crate) async fn serve<F>(
    listener: TcpListener,
    answer: F,
    until: impl Future<Output = ()>,
) -> io::Result<()>
where
    F: Fn(&Parts, &[u8]) -> Answer + Clone + Send + 'static,
{
    let mut until = std::pin::pin!(until);
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = &mut until => return Ok(()),
        };
        if stream.set_nodelay(true).is_err() {
            continue; // The peer has gone already.
        }
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    Ok::<_, hyper::Error>(answer(&head, &body))
                }
            });
            // A connection that breaks is its client's to report.
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

/// What is needed of a request. All of it borrows from the body.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Arguments<'a>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Meta<'a>,
    #[serde(borrow, rename = "protocolVersion")]
    version: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<&'a RawValue>,
}

fn call(answers: Answers, id: &str, message: &Message<'_>, end: &str) -> Answer {
    if message.params.name.as_deref() != Some("echo") {
        return error(StatusCode::OK, id, -32602, "unknown tool");
    }
    match message.params.arguments.text.map(RawValue::get) {
        Some(text) if text.starts_with('"') => {
            let result = [
                r#"{"content":[{"type":"text","text":"#,
                text,
                r#"}],"isError":false"#,
                end,
            ];
            match answers {
                Answers::Json => json(id, &result),
                Answers::Events => event(id, &result),
            }
        }
        _ => error(StatusCode::OK, id, -32602, "`text` must be a string"),
    }
}

/// An answer with this result, given in pieces.
fn json(id: &str, result: &[&str]) -> Answer {
    with_json(StatusCode::OK, response("", id, result, ""))
}

/// The same as a stream of one event.
fn event(id: &str, result: &[&str]) -> Answer {
    let text = response("event: message\ndata: ", id, result, "\n\n");
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    let kind = HeaderValue::from_static(EVENT_STREAM);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn response(before: &str, id: &str, result: &[&str], after: &str) -> String {
    let length = result.iter().map(|piece| piece.len()).sum::<usize>() + id.len() + 64;
    let mut text = String::with_capacity(length);
    text.push_str(before);
    text.push_str(r#"{"jsonrpc":"2.0","id":"#);
    text.push_str(id);
    text.push_str(r#","result":"#);
    for piece in result {
        text.push_str(piece);
    }
    text.push('}');
    text.push_str(after);
    text
}

fn error(status: StatusCode, id: &str, code: i32, message: &str) -> Answer {
    let text =
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#);
    with_json(status, text)
}

fn unsupported(id: &str, requested: &str) -> Answer {
    let requested = serde_json::Value::from(requested);
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32022,"message":"unsupported version","data":{{"supported":["{MODERN}"],"requested":{requested}}}}}}}"#
    );
    with_json(StatusCode::BAD_REQUEST, text)
}

fn with_json(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        answer
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    answer
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn session_of(headers: &HeaderMap) -> Option<u64> {
    text_of(headers, SESSION)
        .strip_prefix(SESSION_PREFIX)?
        .parse()
        .ok()
}

/// The members of the tools array. A tool has the size that tools have: a sentence, and a schema with two properties.
fn list_of(tools: usize) -> String {
    let mut list = String::new();
    for index in 0..tools {
        if index == 0 {
            list.push_str(ECHO);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(list, r#",{{"name":"tool_{index:04}",{REST}"#);
        }
    }
    list
}

const SESSION_PREFIX: &str = "bench-";

const MODERN_END: &str = r#","resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"bench","version":"0"}}}"#;

const ECHO: &str = r#"{"name":"echo","description":"Returns its text.","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}"#;

const REST: &str = r#""description":"Stands in a long list, so that reading and filtering the list can be measured.","inputSchema":{"type":"object","properties":{"path":{"type":"string","description":"Where to look"},"limit":{"type":"integer","minimum":1,"maximum":100}},"required":["path"]},"annotations":{"readOnlyHint":true}}"#;
