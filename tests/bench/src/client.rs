//! One keep-alive HTTP/1.1 connection to an MCP server, and the requests that go over it.

use std::{borrow::Cow, fmt::Write as _};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, response::Parts,
    uri::PathAndQuery,
};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tokio::net::TcpStream;

use crate::wire::{
    EVENT_STREAM, Era, Failure, JSON, LEGACY, METHOD, MODERN, NAME, PROTOCOL_VERSION, SESSION,
};

/// What is asked again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// A tool returns a text of this many bytes.
    Echo(usize),
    /// The list of tools, which has this many members.
    List(usize),
}

/// Where the calls go, and how they are made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) url: Uri,
    pub(crate) era: Era,
    pub(crate) ask: Ask,
    pub(crate) tool: String,
    pub(crate) bearer: Option<String>,
}

/// An open connection; in the legacy era with its session.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    path: Uri,
    headers: HeaderMap,
    script: Script,
}

impl Connection {
    /// Connects and, in the legacy era, initializes.
    pub(crate) async fn open(plan: &Plan) -> Result<Self, Failure> {
        let host = plan.url.host().ok_or("the URL has no host")?;
        if plan.url.scheme_str() != Some("http") {
            return Err("only http:// URLs can be measured".into());
        }
        let port = plan.url.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // What breaks a connection shows in the request that is under way.
        tokio::spawn(connection);
        let path = plan
            .url
            .path_and_query()
            .map_or("/", PathAndQuery::as_str)
            .parse()?;
        let mut opened = Self {
            sender,
            path,
            headers: headers_of(plan)?,
            script: Script::of(plan)?,
        };
        if plan.era == Era::Legacy {
            opened.initialize().await?;
        }
        Ok(opened)
    }

    /// Makes one call and checks its answer. The serial number is to differ from that of every other call.
    pub(crate) async fn call(&mut self, id: u64, serial: u64) -> Result<(), CallError> {
        let body = Bytes::from(self.script.request(id, serial));
        let (head, body) = self
            .post(self.headers.clone(), body)
            .await
            .map_err(CallError::Broken)?;
        self.script
            .check(id, serial, &head, &body)
            .map_err(CallError::Wrong)
    }

    /// Ends the session, if there is one. Not every server lets a client do that, so the answer does not matter.
    pub(crate) async fn close(mut self) {
        if self.headers.contains_key(SESSION) {
            let headers = self.headers.clone();
            drop(self.send(Method::DELETE, headers, Bytes::new()).await);
        }
    }

    async fn initialize(&mut self) -> Result<(), Failure> {
        let hello = format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{LEGACY}","capabilities":{{}},"clientInfo":{CLIENT}}}}}"#
        );
        let mut headers = self.headers.clone();
        headers.remove(PROTOCOL_VERSION);
        let (head, body) = self.post(headers, hello.into()).await?;
        let text = message_in(&head, &body)?;
        if !head.status.is_success() || !text.contains(LEGACY) {
            return Err(format!("initialize: {}: {}", head.status, short(text)).into());
        }
        if let Some(session) = head.headers.get(SESSION) {
            self.headers.insert(SESSION, session.clone());
        }
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let (head, _) = self.post(self.headers.clone(), initialized.into()).await?;
        if head.status.is_success() {
            Ok(())
        } else {
            Err(format!("notifications/initialized: {}", head.status).into())
        }
    }

    async fn post(&mut self, headers: HeaderMap, body: Bytes) -> Result<(Parts, Bytes), Failure> {
        self.send(Method::POST, headers, body).await
    }

    async fn send(
        &mut self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(Parts, Bytes), Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = headers;
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        Ok((head, body.collect().await?.to_bytes()))
    }
}

/// Why a call does not count.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The connection is of no more use.
    Broken(Failure),
    /// There was an answer, but not the right one.
    Wrong(Failure),
}

/// The text of a request, in the pieces between which its id and its payload go.
#[derive(Debug)]
struct Script {
    era: Era,
    ask: Ask,
    after_id: String,
    end: String,
    /// What follows the serial number in the payload.
    filler: String,
}

impl Script {
    fn of(plan: &Plan) -> Result<Self, Failure> {
        let meta = match plan.era {
            Era::Modern => format!(
                r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{CLIENT}}}"#
            ),
            Era::Legacy => String::new(),
        };
        let (after_id, end, filler) = match plan.ask {
            Ask::Echo(bytes) => {
                let filler = bytes
                    .checked_sub(SERIAL_DIGITS)
                    .ok_or("a payload has 16 bytes or more")?;
                let name = serde_json::to_string(&plan.tool)?;
                let start = format!(
                    r#","method":"tools/call","params":{{"name":{name},"arguments":{{"text":""#
                );
                let comma = if meta.is_empty() { "" } else { "," };
                (start, format!(r#""}}{comma}{meta}}}}}"#), filler)
            }
            Ask::List(_) => (
                r#","method":"tools/list","params":{"#.to_owned(),
                format!("{meta}}}}}"),
                0,
            ),
        };
        let filler = ALPHABET.chars().cycle().take(filler).collect();
        Ok(Self {
            era: plan.era,
            ask: plan.ask,
            after_id,
            end,
            filler,
        })
    }

    fn request(&self, id: u64, serial: u64) -> String {
        let length = self.after_id.len() + self.filler.len() + self.end.len() + 64;
        let mut text = String::with_capacity(length);
        // Writing to a string cannot fail.
        let _ = write!(text, r#"{{"jsonrpc":"2.0","id":{id}{}"#, self.after_id);
        if matches!(self.ask, Ask::Echo(_)) {
            let _ = write!(text, "{serial:016x}{}", self.filler);
        }
        text.push_str(&self.end);
        text
    }

    fn check(&self, id: u64, serial: u64, head: &Parts, body: &[u8]) -> Result<(), Failure> {
        let text = message_in(head, body)?;
        let wrong = |why: &str| format!("{why}: {}: {}", head.status, short(text));
        let message: Message<'_> =
            serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
        if message.error.is_some() || !head.status.is_success() {
            return Err(wrong("an error").into());
        }
        if message.id.and_then(|raw| raw.get().parse().ok()) != Some(id) {
            return Err(wrong("another id").into());
        }
        let result = message.result.ok_or_else(|| wrong("no result"))?;
        let expected = (self.era == Era::Modern).then_some("complete");
        if result.kind.as_deref() != expected {
            return Err(wrong("not the resultType of this era").into());
        }
        let right = match self.ask {
            Ask::List(count) => result.tools.is_some_and(|tools| tools.len() == count),
            Ask::Echo(_) if result.is_error => false,
            Ask::Echo(_) => match result.content.as_deref() {
                Some([Block { kind, text }]) => kind == "text" && self.is_payload(serial, text),
                _ => false,
            },
        };
        if right {
            Ok(())
        } else {
            Err(wrong("another result").into())
        }
    }

    fn is_payload(&self, serial: u64, text: &str) -> bool {
        text.split_at_checked(SERIAL_DIGITS)
            .is_some_and(|(digits, rest)| {
                u64::from_str_radix(digits, 16) == Ok(serial) && rest == self.filler
            })
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<Outcome<'a>>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(borrow, rename = "resultType")]
    kind: Option<Cow<'a, str>>,
    #[serde(default, rename = "isError")]
    is_error: bool,
    #[serde(borrow)]
    content: Option<Vec<Block<'a>>>,
    tools: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// The message of an answer: its body, or the last event of the stream that it is.
fn message_in<'a>(head: &Parts, body: &'a [u8]) -> Result<&'a str, Failure> {
    let text = str::from_utf8(body)?;
    let kind = head
        .headers
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    if kind.is_some_and(|kind| kind.starts_with(EVENT_STREAM.as_bytes())) {
        let data = text
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("data:"));
        return data
            .map(str::trim)
            .ok_or_else(|| "a stream without an event".into());
    }
    Ok(text)
}

fn headers_of(plan: &Plan) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    let host = plan.url.authority().ok_or("the URL has no host")?;
    headers.insert(header::HOST, host.as_str().parse()?);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    let accept = HeaderValue::from_static("application/json, text/event-stream");
    headers.insert(header::ACCEPT, accept);
    let version = match plan.era {
        Era::Modern => MODERN,
        Era::Legacy => LEGACY,
    };
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(version));
    if plan.era == Era::Modern {
        let method = match plan.ask {
            Ask::Echo(_) => "tools/call",
            Ask::List(_) => "tools/list",
        };
        headers.insert(METHOD, HeaderValue::from_static(method));
        if matches!(plan.ask, Ask::Echo(_)) {
            headers.insert(HeaderName::from_static(NAME), plan.tool.parse()?);
        }
    }
    if let Some(key) = &plan.bearer {
        let mut value: HeaderValue = format!("Bearer {key}").parse()?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(headers)
}

/// The beginning of a text that may be long.
fn short(text: &str) -> &str {
    let end = text
        .char_indices()
        .nth(200)
        .map_or(text.len(), |(index, _)| index);
    text.get(..end).unwrap_or(text)
}

const CLIENT: &str = r#"{"name":"mcp-gw-bench","version":"0"}"#;
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789. ";
const SERIAL_DIGITS: usize = 16;
