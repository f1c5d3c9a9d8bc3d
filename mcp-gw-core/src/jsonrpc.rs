//! The JSON-RPC 2.0 envelope as MCP uses it, read in one pass over borrowed text.
//!
//! Both sides of a gateway read it: requests of clients, answers of servers. Only the envelope and
//! the top level of `params` are taken apart; everything below stays text.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::code;
use crate::json::{FewMembers, JsonError, JsonText, Members, ObjectWriter, RawJson, Top};

/// One JSON-RPC message.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Message<'a> {
    /// It wants an answer.
    Request(Request<'a>),
    /// It wants none.
    Notification(Notification<'a>),
    /// It is an answer.
    Response(Response<'a>),
}

/// A request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request<'a> {
    /// Its id: the text of a string or an integer, to be echoed as it is.
    pub id: JsonText<'a>,
    /// Its method.
    pub method: Cow<'a, str>,
    /// Its params.
    pub params: Params<'a>,
}

/// A notification.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Notification<'a> {
    /// Its method.
    pub method: Cow<'a, str>,
    /// Its params.
    pub params: Params<'a>,
}

/// An answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Response<'a> {
    /// The id of the request; `None` when the peer could not read it (`null` or absent, which
    /// JSON-RPC allows in errors only).
    pub id: Option<JsonText<'a>>,
    /// The result, or the error object.
    pub outcome: Result<JsonText<'a>, JsonText<'a>>,
    /// Of the result.
    top: Top,
}

impl Response<'_> {
    /// The outcome as a slice of `whole`, which it was read from: its members need not be looked for again.
    ///
    /// # Errors
    /// The error object that it is.
    pub fn outcome_in(&self, whole: &Bytes) -> Result<RawJson, RawJson> {
        match self.outcome {
            Ok(result) => Ok(RawJson::object_within(whole, result, &self.top)),
            Err(error) => Err(RawJson::within(whole, error)),
        }
    }
}

/// The member `params`.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Params<'a> {
    /// There are none.
    #[default]
    Absent,
    /// An object, its members as text.
    Object(Members<'a>),
    /// Something else, which no method of MCP takes.
    Other,
}

impl<'a> Params<'a> {
    /// The members; none when params are absent.
    pub const fn members(&self) -> Option<&Members<'a>> {
        match self {
            Self::Object(members) => Some(members),
            Self::Absent | Self::Other => None,
        }
    }

    /// The member `key`.
    pub fn get(&self, key: &str) -> Option<JsonText<'a>> {
        self.members()?.get(key)
    }

    /// The member `key`, when it is a string.
    pub fn get_str(&self, key: &str) -> Option<Cow<'a, str>> {
        as_str(self.get(key)?)
    }
}

/// The string that `value` is, borrowed unless it has escapes.
pub fn as_str(value: JsonText<'_>) -> Option<Cow<'_, str>> {
    let text = value.get();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(text).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Why a text is not a JSON-RPC message, with what is needed to answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct EnvelopeError {
    /// -32700 or -32600.
    pub code: i64,
    /// What is wrong, for the peer.
    pub message: String,
    /// The id, when it could be read.
    pub id: Option<RawJson>,
}

impl EnvelopeError {
    fn invalid(message: impl Into<String>, id: Option<JsonText<'_>>) -> Self {
        let id = id
            .filter(|id| is_id(*id))
            .map(|id| RawJson::parse(id.get().as_bytes().to_vec()).unwrap_or_default());
        Self {
            code: code::INVALID_REQUEST,
            message: message.into(),
            id,
        }
    }
}

impl<'a> Message<'a> {
    /// Reads one message.
    ///
    /// # Errors
    /// When `text` is not JSON, or not one JSON-RPC 2.0 message as MCP allows it: a single object,
    /// no member twice, an id that is a string or an integer of at most 1,024 bytes. An id that is
    /// none is not in the error.
    pub fn parse(text: &'a [u8]) -> Result<Self, EnvelopeError> {
        // Nearly all that come have a result, if any, whose members can be told at once; a second look is for the others,
        // and for what is wrong.
        if let Ok(envelope) = serde_json::from_slice::<Envelope<'a, FewMembers<'a>>>(text)
            && let Some(envelope) = envelope.settled(text)
        {
            return envelope.classify();
        }
        let envelope: Envelope<'a> = serde_json::from_slice(text).map_err(|error| {
            let error = JsonError::from(error);
            if error.is_syntax {
                EnvelopeError {
                    code: code::PARSE_ERROR,
                    message: format!("Parse error: {error}"),
                    id: None,
                }
            } else {
                // Who waits for an answer should hear of this one, so its id is worth a second look.
                let id = serde_json::from_slice::<JustId<'_>>(text)
                    .ok()
                    .and_then(|just| just.id);
                EnvelopeError::invalid(format!("Invalid request: {error}"), id)
            }
        })?;
        envelope.classify()
    }
}

/// The id of a message that is otherwise not in order.
#[derive(Deserialize)]
struct JustId<'a> {
    #[serde(borrow)]
    id: Option<JsonText<'a>>,
}

/// The members of a message; `R` is what its result is read as.
struct Envelope<'a, R = JsonText<'a>> {
    jsonrpc: Option<JsonText<'a>>,
    id: Option<JsonText<'a>>,
    method: Option<JsonText<'a>>,
    params: Params<'a>,
    result: Option<R>,
    error: Option<JsonText<'a>>,
    /// Of the result.
    top: Top,
}

impl<'a> Envelope<'a, FewMembers<'a>> {
    /// The same with the text of the result and where its members stand, if they tell that.
    fn settled(self, text: &'a [u8]) -> Option<Envelope<'a>> {
        let (result, top) = match &self.result {
            None => (None, Top::default()),
            Some(FewMembers(members)) => {
                let (result, top) = members.object_in(text)?;
                (Some(result), top)
            }
        };
        Some(Envelope {
            jsonrpc: self.jsonrpc,
            id: self.id,
            method: self.method,
            params: self.params,
            result,
            error: self.error,
            top,
        })
    }
}

impl<'a> Envelope<'a> {
    fn classify(self) -> Result<Message<'a>, EnvelopeError> {
        let invalid = |message: &str| {
            Err(EnvelopeError::invalid(
                format!("Invalid request: {message}"),
                self.id,
            ))
        };
        if self.jsonrpc.and_then(as_str).as_deref() != Some("2.0") {
            return invalid("`jsonrpc` must be \"2.0\"");
        }
        if let Some(method) = self.method {
            if self.result.is_some() || self.error.is_some() {
                return invalid("a message has either `method` or `result` or `error`");
            }
            let Some(method) = as_str(method) else {
                return invalid("`method` must be a string");
            };
            return match self.id {
                None => Ok(Message::Notification(Notification {
                    method,
                    params: self.params,
                })),
                Some(id) if is_id(id) => Ok(Message::Request(Request {
                    id,
                    method,
                    params: self.params,
                })),
                Some(_) => invalid(NO_ID),
            };
        }
        let id = self.id.filter(|id| id.get() != "null");
        let outcome = match (self.result, self.error) {
            (Some(result), None) => Ok(result),
            (None, Some(error)) => Err(error),
            (None, None) => return invalid("`method` is missing"),
            (Some(_), Some(_)) => return invalid("both `result` and `error` are there"),
        };
        match id {
            Some(id) if !is_id(id) => invalid(NO_ID),
            None if outcome.is_ok() => invalid("`id` is missing"),
            id => Ok(Message::Response(Response {
                id,
                outcome,
                top: self.top,
            })),
        }
    }
}

/// Longest text of an id, in bytes and with its quotes. An id is repeated in every answer, and kept
/// while its request is open.
const LONGEST_ID: usize = 1024;

/// What an id must be, for the peer.
const NO_ID: &str = "`id` must be a string or an integer of at most 1024 bytes";

/// True for the text of a string or an integer that is no longer than an id may be.
pub fn is_id(id: JsonText<'_>) -> bool {
    let text = id.get();
    let is_integer = || {
        let digits = text.strip_prefix('-').unwrap_or(text);
        digits.bytes().all(|b| b.is_ascii_digit())
    };
    text.len() <= LONGEST_ID && (text.starts_with('"') || is_integer())
}

impl<'de, R: Deserialize<'de>> Deserialize<'de> for Envelope<'de, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnvelopeVisitor<R>(PhantomData<R>);
        impl<'de, R: Deserialize<'de>> Visitor<'de> for EnvelopeVisitor<R> {
            type Value = Envelope<'de, R>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one JSON-RPC message (an object)")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut envelope = Envelope {
                    jsonrpc: None,
                    id: None,
                    method: None,
                    params: Params::default(),
                    result: None,
                    error: None,
                    top: Top::default(),
                };
                let mut has_params = false;
                while let Some(key) = map.next_key::<Key>()? {
                    let slot = match key {
                        Key::Params if has_params => return Err(twice::<A>("params")),
                        Key::Params => {
                            has_params = true;
                            envelope.params = map.next_value()?;
                            continue;
                        }
                        Key::Other => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                        Key::Jsonrpc => &mut envelope.jsonrpc,
                        Key::Id => &mut envelope.id,
                        Key::Method => &mut envelope.method,
                        Key::Result => {
                            if envelope.result.replace(map.next_value()?).is_some() {
                                return Err(twice::<A>("result"));
                            }
                            continue;
                        }
                        Key::Error => &mut envelope.error,
                    };
                    if slot.replace(map.next_value()?).is_some() {
                        return Err(twice::<A>(key.as_str()));
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(EnvelopeVisitor(PhantomData))
    }
}

fn twice<'de, A: MapAccess<'de>>(name: &str) -> A::Error {
    de::Error::custom(format_args!("duplicate member `{name}`"))
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Key {
    Jsonrpc,
    Id,
    Method,
    Params,
    Result,
    Error,
    #[serde(other)]
    Other,
}

impl Key {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonrpc => "jsonrpc",
            Self::Id => "id",
            Self::Method => "method",
            Self::Params => "params",
            Self::Error => "error",
            Self::Result => "result",
            Self::Other => "other",
        }
    }
}

impl<'de> Deserialize<'de> for Params<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ParamsVisitor;
        impl<'de> Visitor<'de> for ParamsVisitor {
            type Value = Params<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("params")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let map = de::value::MapAccessDeserializer::new(map);
                Members::deserialize(map).map(Params::Object)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Params::Other)
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Params::Other)
            }
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Params::Other)
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Params::Other)
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Params::Other)
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Params::Other)
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Params::Other)
            }
        }
        deserializer.deserialize_any(ParamsVisitor)
    }
}

/// Writes a request.
pub fn request(id: &RawJson, method: &str, params: &RawJson) -> RawJson {
    ObjectWriter::with_capacity(params.len() + method.len() + 64)
        .string("jsonrpc", "2.0")
        .raw("id", id)
        .string("method", method)
        .raw("params", params)
        .finish()
}

/// The same with a number as id, and with `params` whose members `write` adds, so that they are written
/// once. `capacity` is the length that they are expected to have, in bytes.
pub fn request_of(
    id: i64,
    method: &str,
    capacity: usize,
    write: impl FnOnce(ObjectWriter) -> ObjectWriter,
) -> RawJson {
    ObjectWriter::with_capacity(capacity + method.len() + 64)
        .string("jsonrpc", "2.0")
        .integer("id", id)
        .string("method", method)
        .object("params", write)
        .finish()
}

/// Writes a notification.
pub fn notification(method: &str, params: &RawJson) -> RawJson {
    ObjectWriter::with_capacity(params.len() + method.len() + 48)
        .string("jsonrpc", "2.0")
        .string("method", method)
        .raw("params", params)
        .finish()
}

/// Writes an answer with a result.
pub fn result(id: &RawJson, result: &RawJson) -> RawJson {
    ObjectWriter::with_capacity(result.len() + id.len() + 48)
        .string("jsonrpc", "2.0")
        .raw("id", id)
        .raw("result", result)
        .finish()
}

/// What stands before a result in an answer; behind it there is `}`.
pub fn before_result(id: &RawJson) -> Vec<u8> {
    ObjectWriter::with_capacity(id.len() + 48)
        .string("jsonrpc", "2.0")
        .raw("id", id)
        .open("result")
}

/// An answer of what [`before_result`] says and this result.
pub fn joined(before: &[u8], result: &RawJson) -> RawJson {
    RawJson::of_checked([before, result.as_bytes(), b"}"].concat())
}

/// Writes an answer with an error object. Without an id the member is left out, as MCP's schema
/// has no `null` ids.
pub fn error(id: Option<&RawJson>, error: &RawJson) -> RawJson {
    let mut writer = ObjectWriter::with_capacity(error.len() + 64).string("jsonrpc", "2.0");
    if let Some(id) = id {
        writer = writer.raw("id", id);
    }
    writer.raw("error", error).finish()
}

/// Writes an error object.
pub fn error_object(code: i64, message: &str, data: Option<&RawJson>) -> RawJson {
    let mut writer = ObjectWriter::default()
        .integer("code", code)
        .string("message", message);
    if let Some(data) = data {
        writer = writer.raw("data", data);
    }
    writer.finish()
}

#[cfg(test)]
mod tests;
