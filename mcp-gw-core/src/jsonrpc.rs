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
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Text near enough to a message that the reader gets somewhere.
    fn nearly() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            Just("null"),
            Just("1"),
            Just("-0"),
            Just("1.5"),
            Just("\"x\""),
            Just("\"2.0\""),
            Just("{}"),
            Just("[]"),
            Just("{\"a\":1,\"a\":2}"),
            Just("\"\\ud800\""),
            Just("tru"),
            Just("{\"name\":\"t\",\"arguments\":{\"n\":1e400}}"),
            Just(""),
            Just("\u{feff}1"),
        ];
        let name = prop_oneof![
            Just("jsonrpc"),
            Just("id"),
            Just("method"),
            Just("params"),
            Just("result"),
            Just("error"),
            Just("other"),
            Just("\\u0069d"),
        ];
        prop::collection::vec((name, value), 0..6).prop_map(|members| {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("\"{name}\":{value}"))
                .collect();
            format!("{{{}}}", members.join(","))
        })
    }

    #[test]
    fn an_id_is_a_string_or_an_integer_of_bounded_length() {
        let (fits, long) = ("x".repeat(LONGEST_ID - 2), "x".repeat(LONGEST_ID - 1));
        for (id, is_good) in [
            ("1", true),
            ("-0", true),
            ("\"\"", true),
            ("123456789012345678901234567890", true),
            (&*format!("\"{fits}\""), true),
            (&*format!("\"{long}\""), false),
            (&*"9".repeat(LONGEST_ID + 1), false),
            ("1.0", false),
            ("1e3", false),
            ("1e400", false),
            ("null", false),
            ("true", false),
            ("{}", false),
        ] {
            for rest in [r#""method":"ping""#, r#""result":{}"#] {
                let text = format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#);
                let read = Message::parse(text.as_bytes());
                let shown: String = text.chars().take(60).collect();
                assert_eq!(read.is_ok(), is_good, "{shown}");
                if let Err(error) = read {
                    assert_eq!((error.code, error.id), (code::INVALID_REQUEST, None));
                }
            }
        }
    }

    /// An object in some of the ways in which one can be written.
    fn object() -> impl Strategy<Value = String> {
        let blank = || prop_oneof![3 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t")];
        let name = prop_oneof![
            Just("a"),
            Just("resultType"),
            Just(""),
            Just("\u{e9}"),
            Just("\\u0061"),
            Just("\\\"}"),
        ];
        let value = prop_oneof![
            Just("1e400"),
            Just("\"}{\\\"\""),
            Just("{ \"a\" : [ ] }"),
            Just("\"complete\""),
            Just("[{},\"result\"]"),
            Just("null"),
        ];
        let member = (blank(), name, blank(), blank(), value, blank()).prop_map(
            |(before, name, colon, after, value, end)| {
                format!("{before}\"{name}\"{colon}:{after}{value}{end}")
            },
        );
        (blank(), prop::collection::vec(member, 0..5))
            .prop_map(|(blank, members)| format!("{{{}{blank}}}", members.join(",")))
    }

    fn shown(result: &RawJson) -> Result<Vec<(String, String)>, String> {
        let members = result.members().map_err(|error| error.message)?;
        let all = members.iter();
        Ok(all
            .map(|(name, value)| (name.to_owned(), value.get().to_owned()))
            .collect())
    }

    #[test]
    fn a_result_of_many_members_is_read_as_any_other() {
        for count in [1, 24, 25, 1000] {
            let members: Vec<_> = (0..count).map(|n| format!("\"m{n}\":{n}")).collect();
            let result = format!("{{{}}}", members.join(","));
            let whole = Bytes::from(format!(r#"{{"jsonrpc":"2.0","result":{result},"id":1}}"#));
            let Ok(Message::Response(response)) = Message::parse(&whole) else {
                panic!("no response");
            };
            let known = response.outcome_in(&whole).unwrap();
            assert_eq!(known.as_str(), result);
            // What is kept beside the text has a bound.
            assert_eq!(known.known().is_some(), count <= 24, "{count}");
            assert_eq!(known.members().unwrap().len(), count);
            assert_eq!(known.member("m0").unwrap().unwrap().as_str(), "0");
        }
    }

    proptest! {
        /// What is known of a result from the message that it came in is what it says when it is read alone.
        #[test]
        fn members_of_a_result_are_those_of_its_text(
            result in object(),
            is_last in any::<bool>(),
            blank in prop_oneof![Just(""), Just(" \n")],
        ) {
            let head = r#""jsonrpc":"2.0","id":1"#;
            let text = if is_last {
                format!("{blank}{{{head},\"result\":{blank}{result}{blank}}}{blank}")
            } else {
                format!("{{\"result\"{blank}:{result}{blank},{head},\"x\":{{}}}}")
            };
            let whole = Bytes::from(text);
            let Ok(Message::Response(response)) = Message::parse(&whole) else {
                return Err(TestCaseError::fail("no response"));
            };
            let known = response.outcome_in(&whole).unwrap();
            let alone = RawJson::parse(result.clone()).unwrap();
            prop_assert_eq!(known.as_str(), result.as_str());
            prop_assert_eq!(&known, &alone);
            prop_assert_eq!(shown(&known), shown(&alone));
            for name in ["a", "resultType", "", "\u{e9}", "\"}", "b"] {
                prop_assert_eq!(known.member(name).ok(), alone.member(name).ok());
            }
            prop_assert_eq!(shown(&known.detached()), shown(&alone));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn what_is_read_is_what_any_other_reader_sees(text in nearly()) {
            let read = Message::parse(text.as_bytes());
            let tree: Option<Value> = serde_json::from_str(&text).ok();
            if let Ok(message) = read {
                let (method, id) = match &message {
                    Message::Request(r) => (Some(r.method.to_string()), Some(r.id.get())),
                    Message::Notification(n) => (Some(n.method.to_string()), None),
                    Message::Response(r) => (None, r.id.map(JsonText::get)),
                };
                let id: Option<Value> = id.and_then(|id| serde_json::from_str(id).ok());
                // Strings that no tree can hold (lone surrogates) stay text in ours.
                if let Some(tree) = tree {
                    prop_assert_eq!(tree.get("jsonrpc"), Some(&Value::from("2.0")));
                    prop_assert_eq!(tree.get("method").cloned(), method.map(Value::from));
                    prop_assert_eq!(tree.get("id").cloned().filter(|id| !id.is_null()), id);
                }
            }
        }
    }

    #[test]
    fn messages_are_told_apart() {
        let request =
            br#"{"jsonrpc":"2.0","id":"\u00e9","method":"tools\/call","params":{"a":1.0}}"#;
        let Ok(Message::Request(request)) = Message::parse(request) else {
            panic!()
        };
        assert_eq!(request.id.get(), r#""\u00e9""#);
        assert_eq!(request.method, "tools/call");
        assert_eq!(request.params.get("a").unwrap().get(), "1.0");

        let note = br#"{"method":"x","jsonrpc":"2.0","vendor":[1]}"#;
        assert!(matches!(Message::parse(note), Ok(Message::Notification(_))));
        let answer = br#"{"jsonrpc":"2.0","id":12345678901234567890,"result":null}"#;
        let Ok(Message::Response(answer)) = Message::parse(answer) else {
            panic!()
        };
        assert_eq!(answer.id.unwrap().get(), "12345678901234567890");
        let error = br#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#;
        let Ok(Message::Response(error)) = Message::parse(error) else {
            panic!()
        };
        assert!(error.id.is_none() && error.outcome.is_err());
    }

    #[test]
    fn params_that_are_no_object_are_seen_without_failing_the_envelope() {
        for params in [
            "[1,{}]", "null", "true", "7", "-7", "1.5", "\"x\"", "\"\\n\"",
        ] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}}"#);
            let Ok(Message::Request(request)) = Message::parse(text.as_bytes()) else {
                panic!()
            };
            assert!(matches!(request.params, Params::Other), "{params}");
        }
    }

    #[test]
    fn what_is_not_json_rpc_gets_its_code() {
        for (text, expected) in [
            ("", code::PARSE_ERROR),
            ("{", code::PARSE_ERROR),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m"} x"#,
                code::PARSE_ERROR,
            ),
            ("[]", code::INVALID_REQUEST),
            ("7", code::INVALID_REQUEST),
            ("{}", code::INVALID_REQUEST),
            (
                r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#,
                code::INVALID_REQUEST,
            ),
            (r#"{"id":1,"method":"m"}"#, code::INVALID_REQUEST),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#,
                code::INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1.0,"method":"m"}"#,
                code::INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1e3,"method":"m"}"#,
                code::INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#,
                code::INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#,
                code::INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
                code::INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","method":"n"}"#,
                code::INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#,
                code::INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{},"params":{}}"#,
                code::INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":1,"a":2}}"#,
                code::INVALID_REQUEST,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#,
                code::INVALID_REQUEST,
            ),
            (r#"{"jsonrpc":"2.0","id":1}"#, code::INVALID_REQUEST),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#,
                code::INVALID_REQUEST,
            ),
            (r#"{"jsonrpc":"2.0","result":1}"#, code::INVALID_REQUEST),
        ] {
            assert_eq!(
                Message::parse(text.as_bytes()).unwrap_err().code,
                expected,
                "{text}"
            );
        }
        assert!(Message::parse(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_faulty_message_is_answered_under_its_id_when_that_can_be_read() {
        let error = Message::parse(br#"{"jsonrpc":"2.0","id":7,"method":1}"#).unwrap_err();
        assert_eq!(error.id.unwrap().as_str(), "7");
        let twice = br#"{"jsonrpc":"2.0","id":7,"result":1,"result":2}"#;
        assert_eq!(Message::parse(twice).unwrap_err().id.unwrap().as_str(), "7");
        let ids = br#"{"jsonrpc":"2.0","id":7,"id":8,"result":1}"#;
        assert_eq!(Message::parse(ids).unwrap_err().id, None);
    }

    #[test]
    fn written_messages_read_back() {
        let id = RawJson::parse("7").unwrap();
        let text = super::request(&id, "m", &RawJson::empty_object());
        assert!(matches!(
            Message::parse(text.as_bytes()),
            Ok(Message::Request(_))
        ));
        let object = error_object(-32601, "no \"m\"", None);
        let text = super::error(Some(&id), &object);
        assert_eq!(
            text.as_str(),
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no \"m\""}}"#
        );
    }
}
