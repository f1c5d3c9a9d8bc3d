//! A request of MCP, taken apart as far as the gateway needs and no further. Pure: no I/O.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use mcp_gw_core::jsonrpc::{Params, Request, as_str, is_id};
use mcp_gw_core::{
    Arguments, Completion, CompletionRef, Extras, Feature, JsonText, LogLevel, Members,
    ObjectWriter, PromptGet, RawJson, ResourceRead, TaskAsk, TaskMethod, ToolCall, code,
    meta_key as key,
};

use crate::askable::{TASKS, declares_extension};
use crate::bridge::About;
use crate::listen::Filter;
use crate::revision::Revision;
use crate::rounds::check_responses;
use crate::rpc_error::{RpcError, modern_revisions};

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Operation {
    Ping,
    Initialize {
        asked: String,
    },
    Discover,
    List {
        feature: Feature,
        after: Option<String>,
    },
    CallTool(ToolCall),
    ReadResource(ResourceRead),
    GetPrompt(PromptGet),
    Complete(Completion),
    SetLevel(LogLevel),
    Subscribe(Arc<str>),
    Unsubscribe(Arc<str>),
    Listen(Filter),
    Task(TaskAsk),
}

impl Operation {
    /// What an error of the server behind would be about.
    pub(crate) const fn about(&self) -> About {
        match self {
            Self::CallTool(_) => About::Tool,
            Self::ReadResource(_) | Self::Subscribe(_) => About::Resource,
            _ => About::Other,
        }
    }

    /// True for what begins or ends subscriptions.
    pub(crate) const fn is_watch(&self) -> bool {
        matches!(
            self,
            Self::Subscribe(_) | Self::Unsubscribe(_) | Self::Listen(_)
        )
    }

    /// The method of what does not go down the road of the gateway, where everything else is charged;
    /// or goes there without a charge, as it goes for others, too.
    pub(crate) const fn charged_here(&self) -> Option<&'static str> {
        Some(match self {
            Self::Ping => "ping",
            Self::Initialize { .. } => "initialize",
            Self::Discover => "server/discover",
            Self::SetLevel(_) => "logging/setLevel",
            Self::Unsubscribe(_) => "resources/unsubscribe",
            _ => return None,
        })
    }

    /// True for the use of a tool, resource or prompt: work of a server, which may say and ask
    /// something meanwhile.
    pub(crate) const fn is_use(&self) -> bool {
        matches!(
            self,
            Self::CallTool(_) | Self::ReadResource(_) | Self::GetPrompt(_) | Self::Complete(_)
        )
    }
}

/// A use that may ask the client for input (MCP 2026-07-28, basic/patterns/mrtr): what it is bound
/// to, and where answers come in.
pub(crate) struct Asking<'o> {
    pub(crate) method: &'static str,
    pub(crate) feature: Feature,
    pub(crate) name: Arc<str>,
    pub(crate) arguments: Option<Arguments>,
    pub(crate) extras: &'o mut Extras,
}

impl Operation {
    /// What may ask for input: `tools/call`, `prompts/get`, `resources/read`.
    pub(crate) fn asking(&mut self) -> Option<Asking<'_>> {
        Some(match self {
            Self::CallTool(call) => Asking {
                method: "tools/call",
                feature: Feature::Tool,
                name: Arc::clone(&call.name),
                arguments: Some(call.arguments.clone()),
                extras: &mut call.extras,
            },
            Self::GetPrompt(get) => Asking {
                method: "prompts/get",
                feature: Feature::Prompt,
                name: Arc::clone(&get.name),
                arguments: Some(get.arguments.clone()),
                extras: &mut get.extras,
            },
            Self::ReadResource(read) => Asking {
                method: "resources/read",
                feature: Feature::Resource,
                name: Arc::clone(&read.uri),
                arguments: None,
                extras: &mut read.extras,
            },
            _ => return None,
        })
    }
}

/// A request, taken apart. It owns its parts: slices of the message, not copies.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) operation: Operation,
    /// The client wants progress under this token.
    pub(crate) progress_token: Option<RawJson>,
    /// What the client says of itself in this request: `Implementation`, `ClientCapabilities`.
    pub(crate) client_info: Option<RawJson>,
    pub(crate) client_capabilities: Option<RawJson>,
    pub(crate) traceparent: Option<String>,
    /// The least level of log messages that the client wants during this request.
    pub(crate) log_level: Option<LogLevel>,
}

/// `params._meta`, read once.
#[derive(Debug, Default)]
pub(crate) struct Meta<'a>(Members<'a>);

impl<'a> Meta<'a> {
    /// Reads `_meta` of these params.
    pub(crate) fn of(params: &Params<'a>) -> Result<Self, RpcError> {
        match params.get("_meta") {
            None => Ok(Self::default()),
            Some(raw) => serde_json::from_str(raw.get()).map(Self).map_err(|_| {
                RpcError::with_status(
                    400,
                    code::INVALID_PARAMS,
                    "Invalid params: `_meta` must be an object that names no member twice",
                )
            }),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<JsonText<'a>> {
        self.0.get(key)
    }

    fn progress_token(
        &self,
        body: &Bytes,
        revision: Revision,
    ) -> Result<Option<RawJson>, RpcError> {
        let Some(token) = self.get(key::PROGRESS_TOKEN) else {
            return Ok(None);
        };
        if is_id(token) {
            Ok(Some(RawJson::within(body, token)))
        } else {
            // `_meta` of a wrong shape is the business of HTTP from 2026-07-28 on.
            Err(RpcError::with_status(
                if revision.is_modern() { 400 } else { 200 },
                code::INVALID_PARAMS,
                "Invalid params: `progressToken` must be a string or an integer of at most 1024 bytes",
            ))
        }
    }

    /// The level that a request of 2026-07-28 names; older revisions have `logging/setLevel`.
    fn log_level(&self, revision: Revision) -> Result<Option<LogLevel>, RpcError> {
        let Some(level) = self.get(key::LOG_LEVEL).filter(|_| revision.is_modern()) else {
            return Ok(None);
        };
        let level = as_str(level).as_deref().and_then(LogLevel::parse);
        level.map(Some).ok_or_else(|| {
            let says = unknown_level(key::LOG_LEVEL);
            RpcError::with_status(400, code::INVALID_PARAMS, &says)
        })
    }

    /// What is left for the server behind: everything that does not belong to this hop.
    fn rest(&self, params: &Params<'_>, body: &Bytes) -> Option<RawJson> {
        let raw = params.get("_meta")?;
        let ours = self
            .0
            .iter()
            .filter(|(name, _)| key::HOP.contains(name))
            .count();
        match ours {
            0 if self.0.is_empty() => None,
            0 => Some(RawJson::within(body, raw)),
            _ if ours == self.0.len() => None,
            _ => Some(
                ObjectWriter::with_capacity(raw.get().len())
                    .members(&self.0, &key::HOP)
                    .finish(),
            ),
        }
    }
}

fn unknown_level(name: &str) -> String {
    let names: Vec<_> = LogLevel::ALL.iter().map(|level| level.as_str()).collect();
    format!(
        "Invalid params: `{name}` must be one of {}",
        names.join(", ")
    )
}

/// The revision that a request names in its `_meta`, after checking that what it must say is there
/// (MCP 2026-07-28, basic).
pub(crate) fn modern_revision(meta: &Meta<'_>) -> Result<Revision, RpcError> {
    let wrong = |name: &str, kind: &str| {
        let says = format!("Invalid params: `_meta` must have `{name}` ({kind})");
        RpcError::with_status(400, code::INVALID_PARAMS, &says)
    };
    let version = meta
        .get(key::PROTOCOL_VERSION)
        .and_then(as_str)
        .ok_or_else(|| wrong(key::PROTOCOL_VERSION, "a string"))?;
    let revision = Revision::parse(&version)
        .filter(|revision| revision.is_modern())
        .ok_or_else(|| RpcError::unsupported_version(&version, modern_revisions()))?;
    if !meta
        .get(key::CLIENT_CAPABILITIES)
        .is_some_and(|raw| raw.get().starts_with('{'))
    {
        return Err(wrong(key::CLIENT_CAPABILITIES, "an object"));
    }
    Ok(revision)
}

/// Takes a request apart, for a client of `revision`. `body` is the text that it was read from.
pub(crate) fn parse(
    request: &Request<'_>,
    body: &Bytes,
    revision: Revision,
) -> Result<Parsed, RpcError> {
    let params = &request.params;
    if matches!(params, Params::Other) {
        return Err(RpcError::invalid_params(
            "Invalid params: `params` must be an object",
        ));
    }
    let meta = Meta::of(params)?;
    let reader = Reader {
        params,
        body,
        meta: &meta,
    };
    let operation = reader.operation(&request.method, revision)?;
    let slice = |raw: JsonText<'_>| RawJson::within(body, raw);
    let (info, capabilities) = if revision.is_modern() {
        (
            meta.get(key::CLIENT_INFO),
            meta.get(key::CLIENT_CAPABILITIES),
        )
    } else {
        (params.get("clientInfo"), params.get("capabilities"))
    };
    let remembered = matches!(operation, Operation::Initialize { .. });
    let said = [info, capabilities]
        .into_iter()
        .flatten()
        .map(|raw| raw.get().len())
        .sum::<usize>();
    if remembered && said > REMEMBERED {
        return Err(RpcError::invalid_params(&format!(
            "Invalid params: `clientInfo` and `capabilities` have more than {REMEMBERED} bytes"
        )));
    }
    Ok(Parsed {
        operation,
        progress_token: meta.progress_token(body, revision)?,
        client_info: info.map(slice),
        client_capabilities: capabilities.map(slice),
        traceparent: meta
            .get("traceparent")
            .and_then(as_str)
            .map(std::borrow::Cow::into_owned),
        log_level: meta.log_level(revision)?,
    })
}

/// So much of what a client says of itself is kept for its session, in bytes.
const REMEMBERED: usize = 64 * 1024;

struct Reader<'r, 'a> {
    params: &'r Params<'a>,
    body: &'r Bytes,
    meta: &'r Meta<'a>,
}

impl Reader<'_, '_> {
    fn operation(&self, method: &str, revision: Revision) -> Result<Operation, RpcError> {
        Ok(match method {
            "tools/call" => {
                let known: &[_] = if revision.is_modern() {
                    &["name", "arguments"]
                } else {
                    // Tasks of 2025-11-25 are not declared, so their member is ignored: nobody could
                    // ask about one here.
                    &["name", "arguments", "task"]
                };
                Operation::CallTool(
                    ToolCall::new(self.string("name")?, self.arguments()?)
                        .with_extras(self.extras(known)),
                )
            }
            "tools/list" => self.list(Feature::Tool)?,
            "prompts/list" => self.list(Feature::Prompt)?,
            "resources/list" => self.list(Feature::Resource)?,
            "resources/templates/list" => self.list(Feature::ResourceTemplate)?,
            "resources/read" => Operation::ReadResource(ResourceRead::new(
                self.string("uri")?,
                self.extras(&["uri"]),
            )),
            "prompts/get" => Operation::GetPrompt(PromptGet::new(
                self.string("name")?,
                self.arguments()?,
                self.extras(&["name", "arguments"]),
            )),
            "completion/complete" => self.completion()?,
            "logging/setLevel" if !revision.is_modern() => Operation::SetLevel(self.level()?),
            "resources/subscribe" if !revision.is_modern() => {
                Operation::Subscribe(self.string("uri")?)
            }
            "resources/unsubscribe" if !revision.is_modern() => {
                Operation::Unsubscribe(self.string("uri")?)
            }
            "subscriptions/listen" if revision.is_modern() => {
                let filter = Filter::read(self.params)?;
                let tasks = if self.declares_tasks() {
                    filter.tasks
                } else {
                    Vec::new()
                };
                Operation::Listen(Filter { tasks, ..filter })
            }
            "tasks/get" if revision.is_modern() => self.task(TaskMethod::Get)?,
            "tasks/update" if revision.is_modern() => self.task(TaskMethod::Update)?,
            "tasks/cancel" if revision.is_modern() => self.task(TaskMethod::Cancel)?,
            "server/discover" if revision.is_modern() => Operation::Discover,
            "ping" if !revision.is_modern() => Operation::Ping,
            "initialize" if !revision.is_modern() => Operation::Initialize {
                asked: self.string("protocolVersion")?.to_string(),
            },
            _ => return Err(RpcError::method_not_found(method, revision)),
        })
    }

    fn string(&self, name: &str) -> Result<Arc<str>, RpcError> {
        match self.params.get(name) {
            None => Err(RpcError::invalid_params(&format!(
                "Invalid params: `{name}` is missing"
            ))),
            Some(raw) => as_str(raw).map(Arc::from).ok_or_else(|| {
                RpcError::invalid_params(&format!("Invalid params: `{name}` must be a string"))
            }),
        }
    }

    fn level(&self) -> Result<LogLevel, RpcError> {
        let level = self.string("level")?;
        LogLevel::parse(&level).ok_or_else(|| RpcError::invalid_params(&unknown_level("level")))
    }

    /// True when this request declares the extension that tasks are.
    fn declares_tasks(&self) -> bool {
        let declared = self.meta.get(key::CLIENT_CAPABILITIES);
        let declared = declared.map(|raw| RawJson::within(self.body, raw));
        declares_extension(declared.as_ref(), TASKS)
    }

    fn task(&self, method: TaskMethod) -> Result<Operation, RpcError> {
        if !self.declares_tasks() {
            return Err(RpcError::missing_extension(TASKS));
        }
        let id = self.string("taskId")?;
        let extras = self.extras(&["taskId"]);
        if method == TaskMethod::Update {
            check_responses(&extras)?;
        }
        Ok(Operation::Task(TaskAsk::new(method, id, extras)))
    }

    fn arguments(&self) -> Result<Arguments, RpcError> {
        match self.params.get("arguments") {
            None => Ok(Arguments::none()),
            Some(raw) => Arguments::from_raw(RawJson::within(self.body, raw)).map_err(|_| {
                RpcError::invalid_params("Invalid params: `arguments` must be an object")
            }),
        }
    }

    fn list(&self, feature: Feature) -> Result<Operation, RpcError> {
        let Some(raw) = self.params.get("cursor") else {
            return Ok(Operation::List {
                feature,
                after: None,
            });
        };
        let cursor = as_str(raw);
        let says = match cursor.as_deref() {
            Some("") => {
                "Invalid params: `cursor` is empty. Leave it out to get the first page, and send the \
                 `nextCursor` of a page to get the next."
            }
            Some(cursor) => match read_cursor(cursor) {
                Some(after) => {
                    let after = Some(after);
                    return Ok(Operation::List { feature, after });
                }
                None => "Invalid params: `cursor` was not given by this server",
            },
            None => {
                "Invalid params: `cursor` must be a string: the `nextCursor` of the page before"
            }
        };
        Err(RpcError::invalid_params(says))
    }

    fn completion(&self) -> Result<Operation, RpcError> {
        let wrong = || {
            RpcError::invalid_params(
                "Invalid params: `ref` must be {\"type\":\"ref/prompt\",\"name\":…} or \
                 {\"type\":\"ref/resource\",\"uri\":…}",
            )
        };
        let reference = self.params.get("ref").ok_or_else(wrong)?;
        let members: Members<'_> = serde_json::from_str(reference.get()).map_err(|_| wrong())?;
        let text = |name: &str| members.get(name).and_then(as_str).map(Arc::<str>::from);
        let named = match text("type").as_deref() {
            Some("ref/prompt") => "name",
            _ => "uri",
        };
        let rest = members
            .iter()
            .filter(|(name, _)| !["type", named].contains(name))
            .map(|(name, raw)| (name.to_owned(), RawJson::within(self.body, raw)))
            .collect();
        let reference = match text("type").as_deref() {
            Some("ref/prompt") => CompletionRef::Prompt(text("name").ok_or_else(wrong)?),
            Some("ref/resource") => CompletionRef::Resource(text("uri").ok_or_else(wrong)?),
            _ => return Err(wrong()),
        };
        let argument = self
            .params
            .get("argument")
            .ok_or_else(|| RpcError::invalid_params("Invalid params: `argument` is missing"))?;
        let argument = RawJson::within(self.body, argument);
        let extras = self.extras(&["ref", "argument"]);
        let completion = Completion::new(reference, argument, extras);
        Ok(Operation::Complete(completion.with_reference_members(rest)))
    }

    /// Everything of `params` that is not among `known`.
    fn extras(&self, known: &[&str]) -> Extras {
        let members = self.params.members().map_or_else(Vec::new, |members| {
            members
                .iter()
                .filter(|(name, _)| *name != "_meta" && !known.contains(name))
                .map(|(name, raw)| (name.to_owned(), RawJson::within(self.body, raw)))
                .collect()
        });
        Extras::new(self.meta.rest(self.params, self.body), members)
    }
}

/// The cursor of a page that goes on after `key`. Opaque to clients; it holds a name that the
/// client has just been shown.
pub(crate) fn write_cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

fn read_cursor(cursor: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::jsonrpc::Message;
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str, revision: Revision) -> Result<Parsed, RpcError> {
        let body = Bytes::from(text.to_owned());
        match Message::parse(&body) {
            Ok(Message::Request(request)) => parse(&request, &body, revision),
            other => panic!("{other:?}"),
        }
    }

    fn request(method: &str, params: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
    }

    #[test]
    fn a_call_keeps_what_it_has_no_name_for_and_drops_what_belongs_to_the_hop() {
        let text = request(
            "tools/call",
            r#"{"requestState":"s","name":"a\u0062","arguments":{"n":1.0},"task":{"ttl":1},"_meta":{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"2026-07-28","vendor":1e2,"traceparent":"00-x"}}"#,
        );
        let parsed = parsed(&text, Revision::V2026_07_28).unwrap();
        assert_eq!(parsed.progress_token.unwrap().as_str(), "7");
        assert_eq!(parsed.traceparent.unwrap(), "00-x");
        let Operation::CallTool(call) = parsed.operation else {
            panic!()
        };
        assert_eq!(&*call.name, "ab");
        assert_eq!(call.arguments.as_raw().as_str(), r#"{"n":1.0}"#);
        assert_eq!(
            call.extras.meta.unwrap().as_str(),
            r#"{"vendor":1e2,"traceparent":"00-x"}"#
        );
        let names: Vec<_> = call
            .extras
            .members
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["requestState", "task"]);
    }

    #[test]
    fn a_call_of_an_old_client_asks_for_no_task() {
        let text = request(
            "tools/call",
            r#"{"name":"a","task":{"ttl":1000},"vendor":1}"#,
        );
        for revision in Revision::ALL
            .into_iter()
            .filter(|revision| !revision.is_modern())
        {
            let Operation::CallTool(call) = parsed(&text, revision).unwrap().operation else {
                panic!()
            };
            let names: Vec<_> = call.extras.members.iter().map(|(name, _)| name).collect();
            assert_eq!(names, ["vendor"], "{revision:?}");
        }
    }

    #[test]
    fn a_completion_keeps_what_its_ref_says_beside_the_name() {
        for (reference, rest) in [
            (
                r#"{"title":"T\u0021","type":"ref/prompt","name":"p","uri":1}"#,
                "title=\"T\\u0021\" uri=1",
            ),
            (
                r#"{"type":"ref/resource","uri":"x:y","name":1.0}"#,
                "name=1.0",
            ),
            (r#"{"type":"ref/resource","uri":"x:y"}"#, ""),
        ] {
            let text = format!(r#"{{"ref":{reference},"argument":{{}}}}"#);
            let text = request("completion/complete", &text);
            let parsed = parsed(&text, Revision::V2025_11_25).unwrap();
            let Operation::Complete(completion) = parsed.operation else {
                panic!()
            };
            let members = completion.reference_members.iter();
            let members: Vec<_> = members.map(|(name, raw)| format!("{name}={raw}")).collect();
            assert_eq!(members.join(" "), rest);
        }
    }

    #[test]
    fn params_of_the_wrong_shape_are_named() {
        for (method, params, says) in [
            ("tools/call", "{}", "`name` is missing"),
            ("tools/call", r#"{"name":7}"#, "`name` must be a string"),
            (
                "tools/call",
                r#"{"name":"a","arguments":[]}"#,
                "`arguments` must be an object",
            ),
            (
                "tools/call",
                r#"{"name":"a","arguments":null}"#,
                "`arguments` must be an object",
            ),
            (
                "tools/call",
                r#"{"name":"a","_meta":1}"#,
                "`_meta` must be an object",
            ),
            (
                "tools/call",
                r#"{"name":"a","_meta":{"x":1,"x":2}}"#,
                "`_meta` must be an object",
            ),
            (
                "tools/call",
                r#"{"name":"a","_meta":{"progressToken":1.5}}"#,
                "`progressToken`",
            ),
            (
                "tools/call",
                r#"{"name":"a","_meta":{"progressToken":{}}}"#,
                "`progressToken`",
            ),
            ("tools/call", "[]", "`params` must be an object"),
            ("tools/list", r#"{"cursor":"?"}"#, "`cursor`"),
            ("tools/list", r#"{"cursor":7}"#, "`cursor` must be a string"),
            (
                "tools/list",
                r#"{"cursor":null}"#,
                "`cursor` must be a string",
            ),
            ("tools/list", r#"{"cursor":""}"#, "Leave it out"),
            ("resources/read", "{}", "`uri` is missing"),
            (
                "completion/complete",
                r#"{"ref":{"type":"x"}}"#,
                "`ref` must be",
            ),
            ("initialize", "{}", "`protocolVersion` is missing"),
        ] {
            let error = parsed(&request(method, params), Revision::V2025_11_25).unwrap_err();
            let text = error.object.as_str();
            assert!(
                text.contains("-32602") && text.contains(says),
                "{method} {params}: {text}"
            );
        }
    }

    #[test]
    fn answers_to_a_task_are_an_object_of_objects() {
        let update = |responses: &str| {
            let declared = r#""io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
            let text =
                format!(r#"{{"taskId":"1","inputResponses":{responses},"_meta":{{{declared}}}}}"#);
            parsed(&request("tasks/update", &text), Revision::V2026_07_28)
        };
        for wrong in ["[]", "null", "1", r#"{"k":[]}"#, r#"{"k":{},"k":{}}"#] {
            let error = update(wrong).unwrap_err();
            let text = error.object.as_str();
            assert!(
                text.contains("-32602") && text.contains("`inputResponses"),
                "{wrong}: {text}"
            );
        }
        for fine in ["{}", r#"{"k":{"action":"decline"}}"#] {
            assert!(update(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn each_era_has_its_own_methods() {
        let code = |method: &str, revision| {
            parsed(&request(method, r#"{"protocolVersion":"x"}"#), revision)
                .map_err(|error| (error.status, error.object.as_str().contains("-32601")))
                .err()
        };
        assert_eq!(code("ping", Revision::V2025_11_25), None);
        assert_eq!(code("ping", Revision::V2026_07_28), Some((404, true)));
        assert_eq!(code("initialize", Revision::V2026_07_28), Some((404, true)));
        assert_eq!(
            code("server/discover", Revision::V2025_11_25),
            Some((200, true))
        );
        assert_eq!(code("server/discover", Revision::V2026_07_28), None);
        assert_eq!(code("no/such", Revision::V2025_03_26), Some((200, true)));
    }

    proptest! {
        #[test]
        fn any_cursor_of_ours_reads_back(key in ".{0,40}") {
            prop_assert_eq!(read_cursor(&write_cursor(&key)), Some(key));
        }

        #[test]
        fn no_request_panics(method in "[a-z/]{0,24}", params in "\\PC{0,80}") {
            let body = Bytes::from(request(&method, &params));
            if let Ok(Message::Request(request)) = Message::parse(&body) {
                for revision in Revision::ALL {
                    let _ = parse(&request, &body, revision);
                }
            }
        }
    }
}
