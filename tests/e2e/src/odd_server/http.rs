//! Streamable HTTP, one thread a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::message::{Message, error, quote, result};
use crate::state::{Era, State};
use crate::tools::{self, Asked, Out};

const SESSION: &str = "odd-session-1";

/// Each connection ends with its first answer.
static IS_CLOSING: AtomicBool = AtomicBool::new(false);

pub(crate) fn serve(state: &Arc<State>, is_closing: bool) {
    IS_CLOSING.store(is_closing, Ordering::Relaxed);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    println!("http://{address}/mcp");
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let state = Arc::clone(state);
        std::thread::spawn(move || {
            let _ = stream.set_nodelay(true);
            let Ok(reader) = stream.try_clone() else {
                return;
            };
            let mut reader = BufReader::new(reader);
            let mut stream = stream;
            while let Some(request) = Request::read(&mut reader) {
                let goes_on = answer(&state, &request, &mut stream, &mut reader).is_some();
                if !goes_on || is_closing {
                    return;
                }
            }
        });
    }
}

struct Request {
    method: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let method = line.split(' ').next()?.to_owned();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.map_or(Some(0), |(_, value)| value.parse().ok())?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self {
            method,
            headers,
            body: String::from_utf8(body).ok()?,
        })
    }

    fn has_session(&self) -> bool {
        self.headers
            .iter()
            .any(|(name, value)| name == "mcp-session-id" && value == SESSION)
    }

    fn headers_text(&self) -> String {
        let members: Vec<String> = self
            .headers
            .iter()
            .map(|(name, value)| format!("{}:{}", quote(name), quote(value)))
            .collect();
        format!("{{{}}}", members.join(","))
    }
}

/// Answers one request; `None` when the connection has come to its end.
fn answer(
    state: &State,
    request: &Request,
    stream: &mut TcpStream,
    reader: &mut BufReader<TcpStream>,
) -> Option<()> {
    if request.method == "DELETE" {
        return whole(stream, "200 OK", "", "");
    }
    if request.method != "POST" {
        return whole(stream, "405 Method Not Allowed", "allow: POST\r\n", "");
    }
    let Some(message) = Message::parse(&request.body) else {
        return whole(stream, "400 Bad Request", "", "");
    };
    let method = message.method.as_deref().unwrap_or_default();
    let Some(id) = message.id else {
        if method == "notifications/cancelled"
            && let Some(id) = message.params.request_id
        {
            state.cancelled(id, message.params.reason);
        }
        return whole(stream, "202 Accepted", "", "");
    };
    let id = id.get();
    let is_legacy = state.options.era == Era::Legacy;
    if is_legacy && method != "initialize" && !request.has_session() {
        let says = r#"{"code":-32600,"message":"Bad Request: no valid session"}"#;
        return whole(stream, "400 Bad Request", "", &error(id, says));
    }
    match tools::plain(state, method, &message.params) {
        Some(Ok(answer)) => {
            let session = if is_legacy && method == "initialize" {
                format!("mcp-session-id: {SESSION}\r\n")
            } else {
                String::new()
            };
            whole(stream, "200 OK", &session, &result(id, &answer))
        }
        Some(Err(object)) => {
            let status = if is_legacy { "200 OK" } else { "404 Not Found" };
            whole(stream, status, "", &error(id, &object))
        }
        None => {
            let asked = Asked::new(id, &message.params, &request.headers_text());
            let mut out = Http {
                stream,
                reader,
                is_legacy,
                is_stream: false,
                is_open: true,
            };
            tools::call(state, &asked, &mut out);
            out.is_open.then_some(())
        }
    }
}

fn whole(stream: &mut TcpStream, status: &str, headers: &str, body: &str) -> Option<()> {
    let length = body.len();
    let connection = if IS_CLOSING.load(Ordering::Relaxed) {
        "connection: close\r\n"
    } else {
        ""
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}{connection}content-length: {length}\r\n\r\n"
    );
    let sent = stream.write_all(head.as_bytes());
    sent.and_then(|()| stream.write_all(body.as_bytes())).ok()
}

/// The answer to one call: JSON, or events once something comes before it.
struct Http<'a> {
    stream: &'a mut TcpStream,
    reader: &'a mut BufReader<TcpStream>,
    is_legacy: bool,
    is_stream: bool,
    is_open: bool,
}

impl Http<'_> {
    fn event(&mut self, message: &str) {
        if !self.is_stream {
            self.is_stream = true;
            // Its end is the end of the connection.
            self.is_open = false;
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            let _ = self.stream.write_all(head.as_bytes());
        }
        let event = format!("event: message\ndata: {message}\n\n");
        let _ = self.stream.write_all(event.as_bytes());
    }
}

impl Out for Http<'_> {
    fn notify(&mut self, message: &str) {
        self.event(message);
    }

    fn answer(&mut self, message: &str) {
        if self.is_stream {
            self.event(message);
        } else {
            self.is_open = whole(self.stream, "200 OK", "", message).is_some();
        }
    }

    fn wait_until_given_up(&mut self, state: &State, id: &str) -> bool {
        self.is_open = false;
        if self.is_legacy {
            // Here going away is not giving up; only the notification is.
            return state.wait(|memory| memory.cancelled.contains(id));
        }
        // The other side sends nothing more on this connection; all that can come is its end.
        !matches!(self.reader.read(&mut [0]), Ok(read) if read > 0)
    }
}
