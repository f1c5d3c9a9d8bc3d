//! What a tool is: its definition, its arguments, its output, and the trait to write one by hand.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::choice::ServerChoice;
use crate::context::CallContext;
use crate::error::GatewayError;
use crate::json::{JsonError, Members, ObjectWriter, RawJson};
use crate::param_header::ParamHeader;

/// Hints about a tool's behaviour (MCP `ToolAnnotations`). For a proxied tool they are the words of
/// its server: hints, not facts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ToolAnnotations {
    /// A title for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// It changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_hint: Option<bool>,
    /// It may destroy something; meaningful only when it is not read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destructive_hint: Option<bool>,
    /// Calling it again with the same arguments changes nothing more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotent_hint: Option<bool>,
    /// It deals with things outside a closed domain: the web, for example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_world_hint: Option<bool>,
}

impl ToolAnnotations {
    /// Hints of a tool that changes nothing.
    pub fn read_only() -> Self {
        Self {
            read_only_hint: Some(true),
            ..Self::default()
        }
    }

    /// Hints of a tool that changes something without destroying anything.
    pub fn additive() -> Self {
        Self {
            read_only_hint: Some(false),
            destructive_hint: Some(false),
            ..Self::default()
        }
    }

    /// Hints of a tool that may destroy something.
    pub fn destructive() -> Self {
        Self {
            read_only_hint: Some(false),
            destructive_hint: Some(true),
            ..Self::default()
        }
    }

    /// Sets the title.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Says whether a repeated call changes anything more.
    #[must_use]
    pub const fn with_idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent_hint = Some(idempotent);
        self
    }

    /// Says whether it deals with things outside a closed domain.
    #[must_use]
    pub const fn with_open_world(mut self, open: bool) -> Self {
        self.open_world_hint = Some(open);
        self
    }

    /// True only when the tool says that it changes nothing.
    pub fn is_read_only(&self) -> bool {
        self.read_only_hint == Some(true)
    }

    /// True unless the tool says otherwise: the default of the specification.
    pub fn is_destructive(&self) -> bool {
        !self.is_read_only() && self.destructive_hint != Some(false)
    }

    /// True when calling it twice is as good as calling it once.
    pub fn is_idempotent(&self) -> bool {
        self.is_read_only() || self.idempotent_hint == Some(true)
    }
}

/// Why a definition is not one of a tool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// It is not a JSON object that can be read.
    #[error("the definition cannot be read")]
    Json(#[source] JsonError),
    /// `name` is missing or cannot be used.
    #[error("the name {name:?} cannot be used: {reason}")]
    Name {
        /// The name, shortened.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// `uri` or `uriTemplate` is missing or cannot be used.
    #[error("the URI {uri:?} cannot be used: {reason}")]
    Uri {
        /// The URI or template, shortened.
        uri: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What identifies an item is not there, or no string.
    #[error("`{member}` {reason}")]
    Nameless {
        /// The member that should say it: `name`, `uri` or `uriTemplate`.
        member: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// `inputSchema` is missing or not an object.
    #[error("tool {name:?} has no `inputSchema` object")]
    InputSchema {
        /// The tool.
        name: String,
    },
}

/// What identifies an item: its member `member`, a string that says something.
///
/// # Errors
/// When it is missing, of another type or empty.
pub(crate) fn identity(members: &Members<'_>, member: &'static str) -> Result<String, SpecError> {
    let nameless = |reason| Err(SpecError::Nameless { member, reason });
    let Some(raw) = members.get(member) else {
        return nameless("is missing");
    };
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) if text.is_empty() => nameless("is empty"),
        Ok(text) => Ok(text),
        Err(_) if raw.get().starts_with('"') => nameless("holds half of a character"),
        Err(_) => nameless("is not a string"),
    }
}

/// Checks a name that is going to be an identifier on the wire.
///
/// # Errors
/// When it is empty, longer than 128 bytes, or holds a character that is blank, a control or not
/// seen: two names must not look the same.
pub(crate) fn check_name(name: &str) -> Result<(), SpecError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > 128 {
        "it is longer than 128 bytes"
    } else if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        "it holds a blank or control character"
    } else if name.contains(INVISIBLE) {
        "it holds a character that cannot be seen"
    } else {
        return Ok(());
    };
    Err(SpecError::Name {
        name: name.chars().take(64).collect(),
        reason,
    })
}

/// Characters that change how text looks, or do not show at all: soft hyphen, zero width, direction
/// of writing, joiners, byte order mark.
const INVISIBLE: fn(char) -> bool = |c| {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}')
};

/// A tool's definition, as `tools/list` shows it.
///
/// The text of the definition is kept: members that this crate has no name for are shown to the
/// client as they came, and so are both schemas.
#[derive(Debug, Clone)]
pub struct ToolSpec {
    name: Arc<str>,
    definition: RawJson,
    annotations: Arc<ToolAnnotations>,
    param_headers: Result<Arc<[ParamHeader]>, Arc<str>>,
    /// What the server itself calls it, where that is another name.
    own_name: Option<Arc<str>>,
    choice: Option<Arc<ServerChoice>>,
    limit_result: Option<LimitResult>,
}

/// What a limited call gives, see [`ToolSpec::with_limit_result`].
#[derive(Debug, Clone, Copy)]
struct LimitResult(fn(&GatewayError) -> Option<ToolOutput>);

impl ToolSpec {
    /// Takes a `Tool` object of MCP as it came from a server.
    ///
    /// # Errors
    /// When it is not an object, its name cannot be used, or it has no `inputSchema` object.
    pub fn from_definition(definition: RawJson) -> Result<Self, SpecError> {
        let members = definition.members().map_err(SpecError::Json)?;
        let name = identity(&members, "name")?;
        check_name(&name)?;
        if !members
            .get("inputSchema")
            .is_some_and(|raw| raw.get().starts_with('{'))
        {
            return Err(SpecError::InputSchema { name });
        }
        // Hints that cannot be read are no hints; they still reach the client as they are.
        let annotations = members
            .get("annotations")
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default();
        let schema = members.get("inputSchema").map(|raw| definition.slice(raw));
        let param_headers = ParamHeader::read(&schema.unwrap_or_else(RawJson::empty_object));
        Ok(Self {
            name: name.into(),
            annotations: Arc::new(annotations),
            param_headers: param_headers.map(Into::into).map_err(Into::into),
            definition,
            own_name: None,
            choice: None,
            limit_result: None,
        })
    }

    /// Defines a tool that takes any object.
    ///
    /// # Errors
    /// When the name cannot be used.
    pub fn new(name: &str, description: &str) -> Result<Self, SpecError> {
        let any_object = ObjectWriter::default().string("type", "object").finish();
        let definition = ObjectWriter::default()
            .string("name", name)
            .string("description", description)
            .raw("inputSchema", &any_object)
            .finish();
        Self::from_definition(definition)
    }

    /// Replaces the schema of the arguments: a JSON Schema object with `"type": "object"`.
    ///
    /// # Errors
    /// When `schema` is not an object.
    pub fn with_input_schema(self, schema: &RawJson) -> Result<Self, SpecError> {
        self.with_member("inputSchema", schema)
    }

    /// Sets the schema of `structuredContent`.
    ///
    /// # Errors
    /// When `schema` cannot stand in a definition.
    pub fn with_output_schema(self, schema: &RawJson) -> Result<Self, SpecError> {
        self.with_member("outputSchema", schema)
    }

    /// Sets the hints.
    ///
    /// # Errors
    /// Never for annotations made by this crate.
    pub fn with_annotations(self, annotations: &ToolAnnotations) -> Result<Self, SpecError> {
        let annotations = RawJson::from_serialize(annotations).map_err(SpecError::Json)?;
        self.with_member("annotations", &annotations)
    }

    /// The same tool under another name; everything else stays as it is.
    ///
    /// # Errors
    /// When the name cannot be used.
    pub fn with_name(self, name: &str) -> Result<Self, SpecError> {
        if *self.name == *name {
            return Ok(self);
        }
        self.with_member("name", &RawJson::string(name))
    }

    /// Says what the server itself calls the tool, for a wrapper that offers it under another name:
    /// rules by the server's names go on meaning it.
    #[must_use]
    pub fn with_own_name(mut self, name: Arc<str>) -> Self {
        self.own_name = (*name != *self.name).then_some(name);
        self
    }

    /// Says that calls go to several servers, by one of the arguments; the schema names its values in an
    /// `enum`.
    #[must_use]
    pub fn with_choice(mut self, choice: ServerChoice) -> Self {
        self.choice = Some(Arc::new(choice));
        self
    }

    /// Sets what a call gives that a limit refused ([`GatewayError::Limited`]): a result, in place of that
    /// error, for clients that show their models results and no errors. Only who has the tool in the list
    /// gets it; where it says `None`, the error stays. The audit log has the refusal in any case.
    #[must_use]
    pub const fn with_limit_result(
        mut self,
        result: fn(&GatewayError) -> Option<ToolOutput>,
    ) -> Self {
        self.limit_result = Some(LimitResult(result));
        self
    }

    fn with_member(self, name: &str, value: &RawJson) -> Result<Self, SpecError> {
        let members = self.definition.members().map_err(SpecError::Json)?;
        let mut writer = ObjectWriter::with_capacity(self.definition.len() + value.len() + 32);
        let mut replaced = false;
        for (key, old) in members.iter() {
            writer = if key == name {
                replaced = true;
                writer.raw(name, value)
            } else {
                writer.raw_value(key, old)
            };
        }
        if !replaced {
            writer = writer.raw(name, value);
        }
        self.with_definition(writer.finish())
    }

    /// The same tool with another definition: what is known of it beside that stays.
    pub(crate) fn with_definition(self, definition: RawJson) -> Result<Self, SpecError> {
        let Self {
            own_name,
            choice,
            limit_result,
            ..
        } = self;
        Ok(Self {
            own_name,
            choice,
            limit_result,
            ..Self::from_definition(definition)?
        })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name, shared.
    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// What the server itself calls it: the name, unless [`ToolSpec::with_own_name`] said another.
    pub fn own_name(&self) -> &Arc<str> {
        self.own_name.as_ref().unwrap_or(&self.name)
    }

    /// To which servers calls go, see [`ToolSpec::with_choice`].
    pub fn choice(&self) -> Option<&ServerChoice> {
        self.choice.as_deref()
    }

    /// What a limited call gives, see [`ToolSpec::with_limit_result`].
    pub fn limit_result(&self) -> Option<fn(&GatewayError) -> Option<ToolOutput>> {
        self.limit_result.map(|LimitResult(result)| result)
    }

    /// The whole definition.
    pub const fn definition(&self) -> &RawJson {
        &self.definition
    }

    /// The hints.
    pub fn annotations(&self) -> &ToolAnnotations {
        &self.annotations
    }

    /// The description, when there is one.
    pub fn description(&self) -> Option<String> {
        self.definition
            .member("description")
            .ok()??
            .decode_owned()
            .ok()
    }

    /// The arguments that clients repeat in headers over HTTP (MCP 2026-07-28).
    ///
    /// # Errors
    /// A sentence, when the schema says so in a way that is not valid; such a tool is not to be used
    /// over HTTP.
    pub fn param_headers(&self) -> Result<&[ParamHeader], &str> {
        self.param_headers.as_deref().map_err(|reason| &**reason)
    }

    /// The schema of the arguments.
    pub fn input_schema(&self) -> RawJson {
        self.definition
            .member("inputSchema")
            .ok()
            .flatten()
            .unwrap_or_else(RawJson::empty_object)
    }
}

/// The arguments of a call: a JSON object as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments(RawJson);

impl Arguments {
    /// No arguments: `{}`.
    pub const fn none() -> Self {
        Self(RawJson::empty_object())
    }

    /// Takes the text of an object.
    ///
    /// # Errors
    /// When it is not an object; the value comes back.
    pub fn from_raw(raw: RawJson) -> Result<Self, RawJson> {
        if raw.is_object() {
            Ok(Self(raw))
        } else {
            Err(raw)
        }
    }

    /// Writes `value`, which must be an object, as arguments.
    ///
    /// # Errors
    /// When it does not serialize to an object.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        let raw = RawJson::from_serialize(value)?;
        Self::from_raw(raw).map_err(|_| JsonError {
            message: "arguments must be an object".to_owned(),
            line: 0,
            column: 0,
            is_syntax: false,
        })
    }

    /// The text.
    pub const fn as_raw(&self) -> &RawJson {
        &self.0
    }

    /// Reads them into `T` without a tree in between.
    ///
    /// # Errors
    /// When they have another shape than `T` expects.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        self.0.decode_owned()
    }

    /// The arguments as a tree.
    ///
    /// # Errors
    /// When they nest deeper than 128 levels.
    pub fn to_value(&self) -> Result<serde_json::Value, JsonError> {
        self.0.to_value()
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self::none()
    }
}

/// What a tool answers: a `CallToolResult` object as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput(RawJson);

impl ToolOutput {
    /// One text block.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::of(&[text_block(text.as_ref())], None, false)
    }

    /// One text block that says what went wrong (`isError: true`), for the model to read.
    pub fn error(text: impl AsRef<str>) -> Self {
        Self::of(&[text_block(text.as_ref())], None, true)
    }

    /// `structuredContent`, and the same as text for clients that read only text.
    ///
    /// # Errors
    /// When `value` cannot be written as JSON.
    pub fn structured<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        let value = RawJson::from_serialize(value)?;
        Ok(Self::of(&[text_block(value.as_str())], Some(&value), false))
    }

    /// Content blocks as they are: each a `ContentBlock` object of MCP.
    pub fn content(blocks: &[RawJson]) -> Self {
        Self::of(blocks, None, false)
    }

    /// Takes a result object as it came from a server.
    ///
    /// # Errors
    /// When it is not an object; the value comes back.
    pub fn from_raw(raw: RawJson) -> Result<Self, RawJson> {
        if raw.is_object() {
            Ok(Self(raw))
        } else {
            Err(raw)
        }
    }

    /// `structuredContent` with the members of `first`, then `value` under its name, then the members of
    /// `last`, all objects; the same as text for clients that read only text, and `blocks` after it. A long
    /// value is written into its two places and nowhere else. Also says how many lists and objects are
    /// within each other in it: clients stop reading at some 128.
    pub fn around(
        first: &RawJson,
        (name, value): (&str, &RawJson),
        last: &RawJson,
        blocks: &[RawJson],
    ) -> (Self, usize) {
        let mut head = first.as_bytes().strip_suffix(b"}").unwrap_or(b"{").to_vec();
        if head.as_slice() != b"{" {
            head.push(b',');
        }
        head.extend_from_slice(RawJson::string(name).as_bytes());
        head.push(b':');
        let tail = last.as_bytes().strip_prefix(b"{").unwrap_or(b"}");
        let comma: &[u8] = if tail == b"}" { b"" } else { b"," };
        let pieces = [head.as_slice(), value.as_bytes(), comma, tail];
        let long: usize = pieces.iter().map(|piece| piece.len()).sum();
        let more: usize = blocks.iter().map(|block| block.len() + 1).sum();
        let mut depth = 0;
        let writer = ObjectWriter::with_capacity(long * 2 + long / 8 + more + 128);
        let writer = writer.array_of(
            "content",
            |block| {
                let (block, found) = block.string("type", "text").quoted("text", &pieces);
                depth = found;
                block
            },
            blocks,
        );
        let writer = writer.pieces("structuredContent", &pieces);
        (Self(writer.boolean("isError", false).finish()), depth)
    }

    fn of(blocks: &[RawJson], structured: Option<&RawJson>, is_error: bool) -> Self {
        let mut writer = ObjectWriter::default().array("content", blocks);
        if let Some(structured) = structured {
            writer = writer.raw("structuredContent", structured);
        }
        Self(writer.boolean("isError", is_error).finish())
    }

    /// The text of the result object.
    pub const fn as_raw(&self) -> &RawJson {
        &self.0
    }

    /// The text of the result object.
    pub fn into_raw(self) -> RawJson {
        self.0
    }

    /// True when the tool says that it failed (`isError: true`). Of one that says it twice readers take
    /// the one or the other: where one says that it failed, it has.
    pub fn is_error(&self) -> bool {
        // Nearly every result says nowhere that anything failed; a search is far cheaper than a
        // second parse.
        let may_say = match self.0.known() {
            Some(known) => known.get("isError").is_some(),
            None => says_true(self.0.as_bytes(), b"\"isError\""),
        };
        may_say
            && self
                .0
                .member("isError")
                .map_or(true, |v| v.is_some_and(|v| v.as_bytes() == b"true"))
    }
}

/// True when a member of this name, written with its quotes, is `true` anywhere in this JSON.
fn says_true(json: &[u8], name: &[u8]) -> bool {
    memchr::memmem::find_iter(json, name).any(|at| {
        let rest = json.get(at + name.len()..).unwrap_or_default();
        let value = rest.trim_ascii_start().strip_prefix(b":");
        value.is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
    })
}

/// A `TextContent` block.
fn text_block(text: &str) -> RawJson {
    ObjectWriter::with_capacity(text.len() + 32)
        .string("type", "text")
        .string("text", text)
        .finish()
}

/// Why a tool did not do what it was asked.
///
/// What the model can do something about reaches it as a result with `isError: true`, so that it can
/// correct itself (MCP 2025-11-25, server/tools, error handling); a broken tool is a JSON-RPC error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// The arguments do not fit. The message names what is wrong with which argument.
    #[error("invalid arguments: {message}")]
    InvalidArguments {
        /// For the model.
        message: String,
    },
    /// The work failed in a way the model should know.
    #[error("{message}")]
    Failed {
        /// For the model.
        message: String,
        /// For the log.
        source: Option<BoxError>,
    },
    /// The tool is broken. The model learns only that.
    #[error("the tool failed internally")]
    Internal(#[source] BoxError),
}

/// Any error, as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl ToolError {
    /// The work failed; the model reads `message`.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            source: None,
        }
    }

    /// The arguments do not fit; the model reads `message`.
    pub fn invalid_arguments(message: impl Into<String>) -> Self {
        Self::InvalidArguments {
            message: message.into(),
        }
    }

    /// The tool is broken; `source` goes to the log.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::Internal(source.into())
    }
}

/// A tool that runs in this process.
///
/// The pipeline calls [`Tool::call`] only with a [`CallContext`], that is, after the call was
/// identified, limited and allowed. Cancellation drops the future: what the tool holds must be safe
/// to drop at every `await`. A panic is caught and answered as an internal error.
///
/// Most tools are easier to write as a [`TypedTool`](crate::TypedTool).
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// The definition; the same for the whole life of the tool.
    fn spec(&self) -> &ToolSpec;

    /// Does the work.
    ///
    /// # Errors
    /// See [`ToolError`]; all of them are answers to the model, none ends the connection.
    async fn call(&self, ctx: &CallContext, args: Arguments) -> Result<ToolOutput, ToolError>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Tool + ?Sized> Tool for Arc<T> {
    fn spec(&self) -> &ToolSpec {
        (**self).spec()
    }

    async fn call(&self, ctx: &CallContext, args: Arguments) -> Result<ToolOutput, ToolError> {
        (**self).call(ctx, args).await
    }
}

#[cfg(test)]
mod tests;
