//! HTTP by hand: one connection a request, everything that is sent and received in plain sight.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

use super::LIMIT;
use super::client::{Incoming, MODERN, Outgoing, Wire};

/// The endpoint of a gateway.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    pub(crate) path: String,
    /// Sent with every message.
    pub(crate) headers: Vec<(String, String)>,
}

impl Endpoint {
    /// The endpoint at `http://address/path`.
    pub(crate) fn at(url: &str) -> Self {
        let rest = url.strip_prefix("http://").expect("an http URL");
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        Self {
            address: address.to_owned(),
            path: format!("/{path}"),
            headers: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends a request with these headers beside `Host`, and reads the head of the answer.
    pub(crate) fn send(&self, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.send_bytes(&self.bytes(method, headers, body))
    }

    fn bytes(&self, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut head = format!("{method} {} HTTP/1.1\r\n", self.path);
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            let _ = write!(head, "host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"))
        {
            let _ = write!(head, "content-length: {}\r\n", body.len());
        }
        head += "connection: close\r\n\r\n";
        [head.as_bytes(), body].concat()
    }

    /// Sends exactly these bytes, and reads the head of the answer.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) -> Reply {
        Reply::read(self.connect(bytes))
    }

    fn connect(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("the gateway listens");
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        // An early refusal may close the connection while the body is still being sent.
        let _ = stream.write_all(bytes);
        stream
    }
}

/// The headers of every message.
pub(crate) const JSON: [(&str, &str); 2] = [
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
];

impl Wire for Endpoint {
    fn send(&self, message: &Outgoing) -> Box<dyn Incoming> {
        let mut headers = JSON.to_vec();
        headers.extend(self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        if message.is_modern {
            headers.push(("mcp-protocol-version", MODERN));
            headers.push(("mcp-method", &message.method));
            headers.extend(message.name.as_deref().map(|name| ("mcp-name", name)));
        } else if let Some(session) = &message.session {
            headers.push(("mcp-session-id", session));
            headers.push(("mcp-protocol-version", "2025-11-25"));
        }
        let stream = self.connect(&self.bytes("POST", &headers, message.text.as_bytes()));
        let mut exchange = Exchange {
            stream,
            reply: None,
        };
        if message.is_notification {
            assert_eq!(exchange.reply().status, 202, "{}", message.text);
        }
        Box::new(exchange)
    }
}

/// A request whose answer may take its time.
struct Exchange {
    stream: TcpStream,
    reply: Option<Reply>,
}

impl Exchange {
    fn reply(&mut self) -> &mut Reply {
        let stream = &self.stream;
        self.reply
            .get_or_insert_with(|| Reply::read(stream.try_clone().unwrap()))
    }
}

impl Incoming for Exchange {
    fn next(&mut self) -> Option<String> {
        self.reply().next()
    }

    fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }

    fn session(&self) -> Option<String> {
        let reply = self.reply.as_ref()?;
        reply.header("mcp-session-id").map(str::to_owned)
    }

    fn hang_up(&mut self) -> bool {
        self.stream.shutdown(Shutdown::Both).unwrap();
        // What is read from here on is nothing.
        if self.reply.is_none() {
            self.reply = Some(Reply::none(&self.stream));
        }
        true
    }
}

/// An answer: its head, and its body as it comes.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    body: BufReader<Body>,
}

impl Reply {
    fn read(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("a status line in time");
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {line:?}"));
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line).expect("a header in time");
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let chunked = headers
            .get("transfer-encoding")
            .is_some_and(|coding| coding == "chunked");
        let left = headers
            .get("content-length")
            .map(|length| length.parse().unwrap());
        let kind = match left {
            _ if chunked => Kind::Chunked(0),
            Some(left) => Kind::Length(left),
            None => Kind::ToEnd,
        };
        Self {
            status,
            headers,
            body: BufReader::new(Body { reader, kind }),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The next line of a stream.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.body.read_line(&mut line).expect("a line in time");
        line.trim_end_matches(['\r', '\n']).to_owned()
    }

    /// The whole body.
    pub(crate) fn text(&mut self) -> String {
        let mut text = String::new();
        self.body.read_to_string(&mut text).expect("a body in time");
        text
    }

    /// The next message of a stream, or the only one of another body.
    pub(crate) fn next(&mut self) -> Option<String> {
        self.event().map(|(_, data)| data)
    }

    /// The next message, and the id of its event.
    pub(crate) fn event(&mut self) -> Option<(Option<String>, String)> {
        let is_stream = self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !is_stream {
            let text = Some(self.text()).filter(|text| !text.is_empty());
            return text.map(|text| (None, text));
        }
        let mut data: Vec<String> = Vec::new();
        let mut id = None;
        loop {
            let mut line = String::new();
            let read = self.body.read_line(&mut line).expect("an event in time");
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(part) = line.strip_prefix("data:") {
                data.push(part.strip_prefix(' ').unwrap_or(part).to_owned());
            } else if let Some(value) = line.strip_prefix("id: ") {
                id = Some(value.to_owned());
            } else if line.is_empty() {
                let message = std::mem::take(&mut data).join("\n");
                // What has no data is no message, see the standard of server-sent events.
                if !message.is_empty() {
                    return Some((id, message));
                }
            }
            if read == 0 {
                return None;
            }
        }
    }

    /// What there is to read after hanging up.
    fn none(stream: &TcpStream) -> Self {
        let body = Body {
            reader: BufReader::new(stream.try_clone().unwrap()),
            kind: Kind::Over,
        };
        Self {
            status: 0,
            headers: BTreeMap::new(),
            body: BufReader::new(body),
        }
    }
}

#[derive(Debug)]
struct Body {
    reader: BufReader<TcpStream>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Length(u64),
    /// So much of this chunk is left.
    Chunked(u64),
    ToEnd,
    Over,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Kind::Chunked(0) = self.kind {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                // The end of the chunk before.
                line.clear();
                self.reader.read_line(&mut line)?;
            }
            let size = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
            self.kind = if size == 0 {
                Kind::Over
            } else {
                Kind::Chunked(size)
            };
        }
        let left = match &mut self.kind {
            Kind::Over => return Ok(0),
            Kind::ToEnd => return self.reader.read(buffer),
            Kind::Length(left) | Kind::Chunked(left) => left,
        };
        let most = usize::try_from(*left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.reader.read(&mut buffer[..most])?;
        *left -= read as u64;
        Ok(read)
    }
}
