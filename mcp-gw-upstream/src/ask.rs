//! Requests to a server: their method, and their params spliced from what the client sent.

use mcp_gw_core::jsonrpc;
use mcp_gw_core::{
    BackendError, CallContext, Completion, CompletionRef, Extras, LogLevel, ObjectWriter,
    PromptGet, RawJson, ResourceRead, TaskAsk, ToolCall, meta_key,
};

use crate::era::{Era, MODERN, OFFERED};
use crate::owner;

/// Members of `_meta` that belong to the hop; those of the client go no further than the gateway.
const SKIP: &[&str] = &meta_key::HOP;

/// Members of `params` by which a client of 2026-07-28 answers what it was asked in a result
/// (basic/patterns/mrtr).
const STATE: &str = "requestState";
const RESPONSES: &str = "inputResponses";

/// The method that asks for news of a resource.
pub(crate) const SUBSCRIBE: &str = "resources/subscribe";

/// One request to a server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask<'a> {
    Tool(&'a ToolCall),
    Resource(&'a ResourceRead),
    Prompt(&'a PromptGet),
    Complete(&'a Completion),
    Task(&'a TaskAsk),
    /// A page of a list.
    List {
        method: &'static str,
        cursor: Option<&'a RawJson>,
    },
    /// A request about a URI and nothing else.
    Uri {
        method: &'static str,
        uri: &'a str,
    },
    Discover,
    Initialize {
        /// What is declared of the client's capabilities.
        capabilities: Option<&'a RawJson>,
    },
    SetLevel(LogLevel),
    Ping,
    /// The stream of news, of what `filter` names.
    Listen {
        filter: &'a RawJson,
    },
}

/// What the gateway says for this hop.
#[derive(Debug)]
pub(crate) struct Hop<'a> {
    pub(crate) era: Era,
    pub(crate) client_info: &'a RawJson,
    /// Asks for progress under this token.
    pub(crate) progress_token: Option<i64>,
    pub(crate) ctx: Option<&'a CallContext>,
}

impl Hop<'_> {
    /// What the client can be asked for by way of this call; otherwise nothing, as the gateway
    /// cannot carry a question back.
    fn capabilities(&self) -> RawJson {
        self.ctx.map_or_else(RawJson::empty_object, owner::declared)
    }

    fn meta(
        &self,
        capabilities: impl FnOnce() -> RawJson,
        client: Option<&RawJson>,
    ) -> Option<RawJson> {
        let mut writer = ObjectWriter::with_capacity(256 + client.map_or(0, RawJson::len));
        let mut empty = true;
        if self.era == Era::Modern {
            writer = writer
                .string(meta_key::PROTOCOL_VERSION, MODERN)
                .raw(meta_key::CLIENT_INFO, self.client_info)
                .raw(meta_key::CLIENT_CAPABILITIES, &capabilities());
            empty = false;
        }
        let log_level = self.ctx.and_then(|ctx| ctx.meta().log_level);
        if let Some(level) = log_level.filter(|_| self.era == Era::Modern) {
            writer = writer.string(meta_key::LOG_LEVEL, level.as_str());
        }
        if let Some(token) = self.progress_token {
            writer = writer.integer(meta_key::PROGRESS_TOKEN, token);
            empty = false;
        }
        // The engine has read it before; what cannot be read again is nobody's to forward.
        if let Some(members) = client.and_then(|client| client.members().ok()) {
            empty = empty && members.iter().all(|(name, _)| SKIP.contains(&name));
            writer = writer.members(&members, SKIP);
        }
        (!empty).then(|| writer.finish())
    }
}

impl<'a> Ask<'a> {
    pub(crate) const fn subscribe(uri: &'a str) -> Self {
        Self::Uri {
            method: SUBSCRIBE,
            uri,
        }
    }

    pub(crate) const fn unsubscribe(uri: &'a str) -> Self {
        Self::Uri {
            method: "resources/unsubscribe",
            uri,
        }
    }

    pub(crate) const fn method(&self) -> &'static str {
        match self {
            Self::Tool(_) => "tools/call",
            Self::Resource(_) => "resources/read",
            Self::Prompt(_) => "prompts/get",
            Self::Complete(_) => "completion/complete",
            Self::Task(ask) => ask.method.as_str(),
            Self::List { method, .. } | Self::Uri { method, .. } => method,
            Self::Discover => "server/discover",
            Self::Initialize { .. } => "initialize",
            Self::SetLevel(_) => "logging/setLevel",
            Self::Ping => "ping",
            Self::Listen { .. } => "subscriptions/listen",
        }
    }

    /// What `Mcp-Name` repeats (MCP 2026-07-28, streamable HTTP).
    pub(crate) fn name(&self) -> Option<&'a str> {
        match *self {
            Self::Tool(call) => Some(&call.name),
            Self::Resource(read) => Some(&read.uri),
            Self::Prompt(get) => Some(&get.name),
            Self::Task(ask) => Some(&ask.task_id),
            _ => None,
        }
    }

    /// True unless giving up must not be told to the server: what comes before the handshake is
    /// not cancelled.
    pub(crate) const fn is_cancellable(&self) -> bool {
        !matches!(self, Self::Initialize { .. } | Self::Discover)
    }

    const fn extras(&self) -> Option<&'a Extras> {
        match *self {
            Self::Tool(call) => Some(&call.extras),
            Self::Resource(read) => Some(&read.extras),
            Self::Prompt(get) => Some(&get.extras),
            Self::Complete(completion) => Some(&completion.extras),
            Self::Task(ask) => Some(&ask.extras),
            _ => None,
        }
    }

    /// True for the next round of a call, with what a server gave the client for it.
    pub(crate) fn brings_state(&self) -> bool {
        let members = self.extras().map(|extras| extras.members.as_slice());
        members.is_some_and(|all| all.iter().any(|(name, _)| name == STATE))
    }

    /// The whole request, written in one go.
    pub(crate) fn request(&self, id: i64, hop: &Hop<'_>) -> RawJson {
        let room = self.payload() + 512;
        jsonrpc::request_of(id, self.method(), room, |writer| self.write(writer, hop))
    }

    /// The member `params`.
    pub(crate) fn params(&self, hop: &Hop<'_>) -> RawJson {
        self.write(sized(self.payload()), hop).finish()
    }

    /// How long the part is that may be long.
    fn payload(&self) -> usize {
        match *self {
            Self::Tool(call) => call.arguments.as_raw().len(),
            Self::Prompt(get) => get.arguments.as_raw().len(),
            Self::Complete(completion) => completion.argument.len(),
            Self::List { cursor, .. } => cursor.map_or(0, RawJson::len),
            Self::Listen { filter } => filter.len(),
            _ => 0,
        }
    }

    /// The members of `params`.
    fn write(&self, writer: ObjectWriter, hop: &Hop<'_>) -> ObjectWriter {
        let (mut writer, own) = self.own_members(writer, hop);
        let extras = self.extras();
        // Old servers ask by requests, so answers in `params` are to nothing that they asked.
        let answers_nothing = hop.era == Era::Legacy && hop.ctx.is_some_and(is_modern);
        for (name, value) in extras.iter().flat_map(|extras| &extras.members) {
            if answers_nothing && name == RESPONSES {
                continue;
            }
            if !own.contains(&name.as_str()) && name != "_meta" {
                writer = writer.raw(name, value);
            }
        }
        let meta = match self {
            Self::Initialize { .. } => None,
            _ => hop.meta(
                || self.capabilities(hop),
                extras.and_then(|extras| extras.meta.as_ref()),
            ),
        };
        if let Some(meta) = meta {
            writer = writer.raw("_meta", &meta);
        }
        writer
    }

    /// What is declared with the request. News of tasks is for those who know the extension: only
    /// their clients are let listen, so the gateway declares it for all of them.
    fn capabilities(&self, hop: &Hop<'_>) -> RawJson {
        match self {
            Self::Listen { filter } if names_tasks(filter) => {
                let tasks = ObjectWriter::default().raw(owner::TASKS, &RawJson::empty_object());
                ObjectWriter::default()
                    .raw("extensions", &tasks.finish())
                    .finish()
            }
            _ => hop.capabilities(),
        }
    }

    /// The members that the method has, and their names.
    fn own_members(
        &self,
        writer: ObjectWriter,
        hop: &Hop<'_>,
    ) -> (ObjectWriter, &'static [&'static str]) {
        match *self {
            Self::Tool(call) => (
                writer
                    .string("name", &call.name)
                    .raw("arguments", call.arguments.as_raw()),
                &["name", "arguments"],
            ),
            Self::Prompt(get) => (
                writer
                    .string("name", &get.name)
                    .raw("arguments", get.arguments.as_raw()),
                &["name", "arguments"],
            ),
            Self::Resource(read) => (writer.string("uri", &read.uri), &["uri"]),
            Self::Uri { uri, .. } => (writer.string("uri", uri), &["uri"]),
            Self::Complete(completion) => (
                writer
                    .raw("ref", &reference(completion))
                    .raw("argument", &completion.argument),
                &["ref", "argument"],
            ),
            Self::List { cursor, .. } => (
                match cursor {
                    Some(cursor) => writer.raw("cursor", cursor),
                    None => writer,
                },
                &["cursor"],
            ),
            Self::Listen { filter } => (writer.raw("notifications", filter), &["notifications"]),
            Self::Task(ask) => (writer.string("taskId", &ask.task_id), &["taskId"]),
            Self::Discover | Self::Ping => (writer, &[]),
            Self::SetLevel(level) => (writer.string("level", level.as_str()), &["level"]),
            Self::Initialize { capabilities } => (
                writer
                    .string("protocolVersion", OFFERED)
                    .raw(
                        "capabilities",
                        capabilities.unwrap_or(&RawJson::empty_object()),
                    )
                    .raw("clientInfo", hop.client_info),
                &[],
            ),
        }
    }
}

/// True for a call of a client of 2026-07-28.
pub(crate) fn is_modern(ctx: &CallContext) -> bool {
    ctx.meta().protocol_version == Some(MODERN)
}

fn names_tasks(filter: &RawJson) -> bool {
    filter.member("taskIds").is_ok_and(|names| names.is_some())
}

fn sized(payload: usize) -> ObjectWriter {
    ObjectWriter::with_capacity(payload + 384)
}

fn reference(completion: &Completion) -> RawJson {
    let writer = match &completion.reference {
        CompletionRef::Resource(uri) => ObjectWriter::default()
            .string("type", "ref/resource")
            .string("uri", uri),
        CompletionRef::Prompt(name) => ObjectWriter::default()
            .string("type", "ref/prompt")
            .string("name", name),
        // A kind that this crate does not know cannot be made without knowing it.
        _ => ObjectWriter::default(),
    };
    let rest = completion.reference_members.iter();
    rest.fold(writer, |writer, (name, value)| writer.raw(name, value))
        .finish()
}

/// The params of `notifications/cancelled`, with the reason if there is one.
pub(crate) fn cancelled_params(id: i64, reason: Option<&RawJson>) -> RawJson {
    let params = ObjectWriter::default().integer("requestId", id);
    match reason {
        Some(reason) => params.raw("reason", reason),
        None => params,
    }
    .finish()
}

/// Why a request is cancelled that came to this: a reason of the gateway's own.
pub(crate) fn cancelled_for(error: &BackendError) -> Option<RawJson> {
    match error {
        BackendError::Timeout { after, .. } => Some(RawJson::string(&format!(
            "No answer came within {} s.",
            after.as_secs_f64()
        ))),
        BackendError::TooLarge { .. } => {
            Some(RawJson::string("The answer is longer than allowed."))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::Arguments;

    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn payload_is_spliced_as_it_came_and_foreign_hop_keys_are_left_out() {
        let meta = raw(
            r#"{"vendor/x":1.0,"progressToken":"theirs","io.modelcontextprotocol/clientInfo":{"name":"theirs"}}"#,
        );
        let extras = Extras::new(
            Some(meta),
            vec![
                ("task".to_owned(), raw(r#"{"ttl":1e5}"#)),
                ("name".to_owned(), raw("\"twice\"")),
            ],
        );
        let arguments =
            Arguments::from_raw(raw(r#"{"b":123456789012345678901234567890,"a":1.0}"#)).unwrap();
        let call = ToolCall::new("t", arguments).with_extras(extras);
        let info = raw(r#"{"name":"gw"}"#);
        let hop = |era, progress_token| Hop {
            era,
            client_info: &info,
            progress_token,
            ctx: None,
        };
        assert_eq!(
            Ask::Tool(&call).params(&hop(Era::Legacy, None)).as_str(),
            r#"{"name":"t","arguments":{"b":123456789012345678901234567890,"a":1.0},"task":{"ttl":1e5},"_meta":{"vendor/x":1.0}}"#
        );
        let modern = Ask::Tool(&call).params(&hop(Era::Modern, Some(7)));
        let meta = modern.member("_meta").unwrap().unwrap();
        assert_eq!(
            meta.as_str(),
            r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"gw"},"io.modelcontextprotocol/clientCapabilities":{},"progressToken":7,"vendor/x":1.0}"#
        );
    }

    #[test]
    fn news_of_tasks_is_asked_for_by_who_declares_the_extension() {
        let info = RawJson::empty_object();
        let hop = Hop {
            era: Era::Modern,
            client_info: &info,
            progress_token: None,
            ctx: None,
        };
        for (filter, declared) in [
            (r#"{"toolsListChanged":true}"#, "{}"),
            (
                r#"{"taskIds":["t"]}"#,
                r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#,
            ),
        ] {
            let filter = raw(filter);
            let params = Ask::Listen { filter: &filter }.params(&hop);
            let meta = params.member("_meta").unwrap().unwrap();
            let says = meta.member(meta_key::CLIENT_CAPABILITIES).unwrap().unwrap();
            assert_eq!(says.as_str(), declared, "{filter}");
        }
    }

    #[test]
    fn nothing_to_say_is_no_meta() {
        let info = RawJson::empty_object();
        let hop = Hop {
            era: Era::Legacy,
            client_info: &info,
            progress_token: None,
            ctx: None,
        };
        let list = Ask::List {
            method: "tools/list",
            cursor: None,
        };
        assert_eq!(list.params(&hop).as_str(), "{}");
    }
}
