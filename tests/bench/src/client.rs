//! One keep-alive HTTP/1.1 connection to an MCP server, and the requests that go over it.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, header, response::Parts, uri::PathAndQuery,
};

use crate::{
    channel::Channel,
    script::{CLIENT, Script, short},
    wire::{
        EVENT_STREAM, Era, Failure, JSON, LEGACY, METHOD, MODERN, NAME, PROTOCOL_VERSION, SESSION,
    },
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
    channel: Channel,
    path: Uri,
    headers: HeaderMap,
    script: Script,
}

impl Connection {
    /// Connects and, in the legacy era, initializes.
    pub(crate) async fn open(plan: &Plan) -> Result<Self, Failure> {
        let channel = Channel::open(&plan.url).await?;
        let path = plan
            .url
            .path_and_query()
            .map_or("/", PathAndQuery::as_str)
            .parse()?;
        let mut opened = Self {
            channel,
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
        message_in(&head, &body)
            .and_then(|text| self.script.check(id, serial, head.status, text))
            .map_err(CallError::Wrong)
    }

    /// Ends the session, if there is one. Not every server lets a client do that, so the answer does not matter.
    pub(crate) async fn close(self) {
        drop(self.end().await);
    }

    /// Ends the session, if there is one, at a server that lets a client do that.
    pub(crate) async fn end(mut self) -> Result<(), Failure> {
        if self.headers.contains_key(SESSION) {
            let headers = self.headers.clone();
            let (head, _) = self.send(Method::DELETE, headers, Bytes::new()).await?;
            if !head.status.is_success() {
                return Err(format!("the end of a session: {}", head.status).into());
            }
        }
        Ok(())
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
        let path = self.path.clone();
        self.channel.send(method, path, headers, body).await
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

impl CallError {
    pub(crate) fn why(self) -> Failure {
        match self {
            Self::Broken(error) | Self::Wrong(error) => error,
        }
    }
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
