//! A client that speaks both eras over anything that carries messages.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::json::{at, member, quote, string};

/// Which rules a client plays by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2025-11-25: `initialize`, then requests that rely on it.
    Legacy,
    /// 2026-07-28: each request says everything itself.
    Modern,
}

pub(crate) const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];
pub(crate) const MODERN: &str = "2026-07-28";

/// Carries messages to a gateway.
pub(crate) trait Wire: Send + Sync {
    /// Sends a message; what belongs to it comes back.
    fn send(&self, message: &Outgoing) -> Box<dyn Incoming>;
}

/// A message, and what a transport must know about it.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) text: String,
    /// The text of its id, when an answer is expected under it.
    pub(crate) id: Option<String>,
    pub(crate) is_modern: bool,
    pub(crate) method: String,
    pub(crate) name: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) is_notification: bool,
}

/// The messages that belong to one that was sent.
pub(crate) trait Incoming: Send {
    /// The next one; `None` when there will be none.
    fn next(&mut self) -> Option<String>;

    /// Everything that has come and was not read; called when nothing more should come.
    fn rest(&mut self) -> Vec<String>;

    /// The session that was opened.
    fn session(&self) -> Option<String> {
        None
    }

    /// How a client of 2026-07-28 gives up without a notification; false when this transport needs
    /// one.
    fn hang_up(&mut self) -> bool;
}

/// A client of a gateway.
pub(crate) struct Client {
    pub(crate) wire: Arc<dyn Wire>,
    pub(crate) era: Era,
    pub(crate) session: Option<String>,
}

static IDS: AtomicU64 = AtomicU64::new(1);

impl Client {
    /// Connects as the era wants it.
    pub(crate) fn open(wire: &Arc<dyn Wire>, era: Era) -> Self {
        let mut client = Self {
            wire: Arc::clone(wire),
            era,
            session: None,
        };
        if era == Era::Legacy {
            let mut call = client.begin(
                "initialize",
                r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"e2e","version":"1"}}"#,
            );
            call.next().result();
            client.session = call.incoming.session();
            client.notify("notifications/initialized", "{}");
        }
        client
    }

    /// Sends a request with these params, the text of an object.
    pub(crate) fn begin(&self, method: &str, params: &str) -> Call {
        let id = IDS.fetch_add(1, Ordering::Relaxed).to_string();
        self.begin_as(&id, method, params, false)
    }

    /// Sends a request that wants progress.
    pub(crate) fn begin_with_progress(&self, method: &str, params: &str) -> Call {
        let id = IDS.fetch_add(1, Ordering::Relaxed).to_string();
        self.begin_as(&id, method, params, true)
    }

    /// Sends a request with this id, the text of a JSON value.
    pub(crate) fn begin_as(&self, id: &str, method: &str, params: &str, progress: bool) -> Call {
        let text = self.text(id, method, params, progress);
        let incoming = self.wire.send(&Outgoing {
            text,
            id: Some(id.to_owned()),
            ..self.outgoing(method, params)
        });
        Call {
            id: id.to_owned(),
            incoming,
            read: VecDeque::new(),
        }
    }

    /// The text of a request, with what the era wants in `_meta`.
    pub(crate) fn text(&self, id: &str, method: &str, params: &str, progress: bool) -> String {
        let params = self.params(params, progress.then_some(id));
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":{},"params":{params}}}"#,
            quote(method)
        )
    }

    fn params(&self, params: &str, progress_token: Option<&str>) -> String {
        let mut meta = Vec::new();
        if self.era == Era::Modern {
            meta.push(format!(
                r#""io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{{"name":"e2e","version":"1"}}"#
            ));
        }
        meta.extend(progress_token.map(|token| format!(r#""progressToken":{token}"#)));
        let Some(head) = params.strip_suffix('}').filter(|_| !meta.is_empty()) else {
            return params.to_owned();
        };
        let comma = if head == "{" { "" } else { "," };
        format!(r#"{head}{comma}"_meta":{{{}}}}}"#, meta.join(","))
    }

    fn outgoing(&self, method: &str, params: &str) -> Outgoing {
        let key = match method {
            "resources/read" => "uri",
            _ => "name",
        };
        // What is no object has no name either.
        let name = params
            .starts_with('{')
            .then(|| member(params, key))
            .flatten()
            .filter(|name| name.starts_with('"') && method != "completion/complete")
            .map(|name| string(&name));
        Outgoing {
            is_modern: self.era == Era::Modern,
            method: method.to_owned(),
            name,
            session: self.session.clone(),
            ..Outgoing::default()
        }
    }

    /// Asks, and waits for the answer.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, params: &str) -> Answer {
        self.begin(method, params).answer()
    }

    /// Calls a tool, and waits for the answer.
    #[track_caller]
    pub(crate) fn tool(&self, name: &str, arguments: &str) -> Answer {
        self.ask("tools/call", &tool(name, arguments))
    }

    /// Begins to call a tool.
    pub(crate) fn begin_tool(&self, name: &str, arguments: &str) -> Call {
        self.begin("tools/call", &tool(name, arguments))
    }

    /// Sends this very text, and waits for what comes back, under whatever id.
    #[track_caller]
    pub(crate) fn raw(&self, text: &str, method: &str, params: &str) -> Answer {
        let mut incoming = self.wire.send(&Outgoing {
            text: text.to_owned(),
            ..self.outgoing(method, params)
        });
        Answer(incoming.next().expect("an answer"))
    }

    pub(crate) fn notify(&self, method: &str, params: &str) {
        self.wire.send(&Outgoing {
            text: format!(
                r#"{{"jsonrpc":"2.0","method":{},"params":{params}}}"#,
                quote(method)
            ),
            is_notification: true,
            ..self.outgoing(method, "{}")
        });
    }

    /// Gives a call up, as the era wants it over this transport.
    pub(crate) fn cancel(&self, call: &mut Call) {
        self.cancel_because(call, "\"test\"");
    }

    /// The same for this reason, the text of a JSON value. False when this transport has no way to
    /// tell it.
    pub(crate) fn cancel_because(&self, call: &mut Call, reason: &str) -> bool {
        let is_told = self.era == Era::Legacy || !call.incoming.hang_up();
        if is_told {
            let params = format!(r#"{{"requestId":{},"reason":{reason}}}"#, call.id);
            self.notify("notifications/cancelled", &params);
        }
        is_told
    }
}

/// The params of `tools/call`.
pub(crate) fn tool(name: &str, arguments: &str) -> String {
    format!(r#"{{"name":{},"arguments":{arguments}}}"#, quote(name))
}

/// A request on its way.
pub(crate) struct Call {
    pub(crate) id: String,
    incoming: Box<dyn Incoming>,
    read: VecDeque<String>,
}

impl Call {
    /// The next message: progress, or the answer.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Answer {
        Answer(self.incoming.next().expect("a message"))
    }

    /// The answer; nothing may come before it.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        let answer = self.next();
        assert_eq!(at(&answer.0, &["id"]), self.id, "{}", answer.0);
        answer
    }

    /// Closes the connection, where each call has its own.
    pub(crate) fn hang_up(&mut self) {
        assert!(self.incoming.hang_up());
    }

    /// What came and was not read; called when nothing more should come.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        self.read.extend(self.incoming.rest());
        self.read.drain(..).collect()
    }
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer(pub(crate) String);

impl Answer {
    /// The result, as text.
    #[track_caller]
    pub(crate) fn result(&self) -> String {
        member(&self.0, "result").unwrap_or_else(|| panic!("no result: {}", self.0))
    }

    /// The error object, as text.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        member(&self.0, "error").unwrap_or_else(|| panic!("no error: {}", self.0))
    }

    /// The code and the message of the error.
    #[track_caller]
    pub(crate) fn fault(&self) -> (i64, String) {
        let error = self.error();
        let code = at(&error, &["code"]).parse().unwrap();
        (code, string(&at(&error, &["message"])))
    }

    /// The text of the first content item.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        let content = at(&self.result(), &["content"]);
        let first = super::json::items(&content).into_iter().next();
        string(&at(&first.expect("a content item"), &["text"]))
    }
}
