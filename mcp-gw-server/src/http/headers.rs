//! Headers of streamable HTTP, checked against the body.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, HeaderName, StatusCode};
use mcp_gw_core::jsonrpc::{Notification, Request, as_str};
use mcp_gw_core::{ForeignParams, ParamHeader, RawJson, code};

use crate::http::reply::HttpReply;
use crate::operation::Meta;
use crate::revision::Revision;
use crate::rpc_error::RpcError;
use mcp_gw_core::meta_key as key;

pub(super) const SESSION_ID: &str = "mcp-session-id";
pub(super) const VERSION: &str = "mcp-protocol-version";
pub(super) const LAST_EVENT_ID: &str = "last-event-id";
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";

/// The value of a header that may be there once.
pub(super) fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, RpcError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(RpcError::header_mismatch(&format!(
            "Header `{name}` is there twice"
        )));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(RpcError::header_mismatch(&format!(
            "Header `{name}` must be visible ASCII; write other text as =?base64?…?="
        ))),
    }
}

/// The same for clients of revisions that have no rules for headers.
pub(super) fn legacy_one<'h>(
    headers: &'h HeaderMap,
    name: &str,
) -> Result<Option<&'h str>, RpcError> {
    one(headers, name).map_err(|_| {
        RpcError::with_status(
            400,
            code::INVALID_REQUEST,
            &format!("Bad request: header `{name}` must be there once, in visible ASCII"),
        )
    })
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// `Accept` must be there and allow both forms of an answer (streamable HTTP, sending messages).
pub(super) fn check_accept(headers: &HeaderMap) -> Option<HttpReply> {
    if accepts(headers, JSON) && accepts(headers, EVENTS) {
        return None;
    }
    Some(HttpReply::text(
        StatusCode::NOT_ACCEPTABLE,
        "Not acceptable: send `Accept: application/json, text/event-stream`.",
    ))
}

/// `Accept` of a GET must allow a stream, and say so (streamable HTTP, listening for messages).
pub(super) fn check_accept_events(headers: &HeaderMap) -> Option<HttpReply> {
    if accepts(headers, EVENTS) {
        return None;
    }
    Some(HttpReply::text(
        StatusCode::NOT_ACCEPTABLE,
        "Not acceptable: send `Accept: text/event-stream`.",
    ))
}

/// True when `Accept` allows `wanted`. The range that is nearest to it decides; what has the weight
/// zero is refused (RFC 9110 §12.5.1).
fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let family = wanted.split('/').next().unwrap_or_default();
    let mut nearest = (0, false);
    let values = headers.get_all(ACCEPT).iter();
    for range in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let near = if kind.eq_ignore_ascii_case(wanted) {
            3
        } else if is_family(kind, family) {
            2
        } else if kind == "*/*" {
            1
        } else {
            continue;
        };
        let is_allowed = !parts.any(is_zero_weight);
        if near > nearest.0 || (near == nearest.0 && is_allowed) {
            nearest = (near, is_allowed);
        }
    }
    nearest.1
}

/// True for `text/*`, when `family` is `text`.
fn is_family(kind: &str, family: &str) -> bool {
    let own = kind.strip_suffix("/*");
    own.is_some_and(|own| own.eq_ignore_ascii_case(family))
}

/// True for `q=0`, with up to three more zeros (RFC 9110 §12.4.2).
fn is_zero_weight(parameter: &str) -> bool {
    let Some((name, weight)) = parameter.split_once('=') else {
        return false;
    };
    name.trim_end().eq_ignore_ascii_case("q")
        && weight
            .trim_start()
            .parse::<f32>()
            .is_ok_and(|weight| weight <= 0.0)
}

/// The body must be JSON.
pub(super) fn check_content_type(headers: &HeaderMap) -> Option<HttpReply> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(media_type);
    if kind.is_some_and(|kind| kind.eq_ignore_ascii_case(JSON)) {
        return None;
    }
    Some(HttpReply::text(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "Unsupported media type: send `Content-Type: application/json`.",
    ))
}

/// The body must be as it is: what it would grow to is not known before (RFC 9110 §15.5.16).
pub(super) fn check_content_encoding(headers: &HeaderMap) -> Option<HttpReply> {
    let is_plain = |value: &HeaderValue| {
        let mut codings = value.as_bytes().split(|byte| *byte == b',');
        codings.all(|coding| {
            let coding = coding.trim_ascii();
            coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
        })
    };
    if headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return None;
    }
    let says = "Unsupported media type: send `Content-Encoding: identity`, or none.";
    let reply = HttpReply::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, says);
    Some(reply.with_header(ACCEPT_ENCODING, "identity"))
}

/// A media type without its parameters.
fn media_type(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// True when the version header names a revision without handshake.
pub(super) fn names_modern(headers: &HeaderMap) -> bool {
    matches!(one(headers, VERSION), Ok(Some(version)) if Revision::names_modern(version))
}

/// The revision in the header of a client that made a handshake; it may be absent.
pub(super) fn legacy_version(headers: &HeaderMap) -> Result<Option<Revision>, RpcError> {
    let Some(name) = legacy_one(headers, VERSION)? else {
        return Ok(None);
    };
    match Revision::parse(name) {
        Some(revision) if !revision.is_modern() => Ok(Some(revision)),
        _ => Err(RpcError::unsupported_version(name, Revision::ALL)),
    }
}

/// `MCP-Protocol-Version` must say what `_meta` says (2026-07-28, streamable HTTP, headers).
pub(super) fn check_version(headers: &HeaderMap, meta: &Meta<'_>) -> Result<(), RpcError> {
    let header = one(headers, VERSION)?;
    // Without the version in the body there is nothing to compare: the lack itself is the fault.
    let Some(body) = meta.get(key::PROTOCOL_VERSION).and_then(as_str) else {
        return Ok(());
    };
    compare("MCP-Protocol-Version", header, &body)
}

/// `Mcp-Method` and `Mcp-Name` must say what the body says.
pub(super) fn check_method(headers: &HeaderMap, request: &Request<'_>) -> Result<(), RpcError> {
    compare("Mcp-Method", one(headers, METHOD)?, &request.method)?;
    let member = match &*request.method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return Ok(()),
    };
    // A body without the member fails for that; the header has nothing to differ from.
    let Some(name) = request.params.get_str(member) else {
        return Ok(());
    };
    compare("Mcp-Name", one(headers, NAME)?, &name)
}

/// The same for a notification, which names nothing and need not have `_meta`.
pub(super) fn check_notification(
    headers: &HeaderMap,
    notification: &Notification<'_>,
) -> Result<(), RpcError> {
    check_version(headers, &Meta::of(&notification.params)?)?;
    compare("Mcp-Method", one(headers, METHOD)?, &notification.method)
}

/// `Mcp-Param-*` must repeat the arguments that the tool's schema marks (2026-07-28).
pub(crate) fn check_params(
    headers: &HeaderMap,
    marked: &[ParamHeader],
    arguments: &RawJson,
) -> Result<(), RpcError> {
    for param in marked {
        let name = param.name();
        let told = param.text_in(arguments);
        let told = told
            .map_err(|unclear| RpcError::header_mismatch(&format!("Header mismatch: {unclear}")))?;
        match (one(headers, name)?, told) {
            (None, None) => {}
            (header @ Some(_), Some(body)) if is_same_number(header, &body) => {}
            (header, Some(body)) => compare(name, header, &body)?,
            (Some(_), None) => {
                return Err(RpcError::header_mismatch(&format!(
                    "Header mismatch: `{name}` repeats an argument that the body does not have"
                )));
            }
        }
    }
    Ok(())
}

/// The `Mcp-Param-*` that are not `marked`: they are handed on to the server (2026-07-28).
pub(crate) fn foreign_params(
    headers: &HeaderMap,
    marked: &[ParamHeader],
) -> Result<ForeignParams, RpcError> {
    let mut foreign = ForeignParams::new();
    for name in headers.keys().map(HeaderName::as_str) {
        let is_foreign =
            name.starts_with("mcp-param-") && !marked.iter().any(|param| param.name() == name);
        if is_foreign && let Some(value) = one(headers, name)? {
            foreign.push(name, value).map_err(|reason| {
                RpcError::header_mismatch(&format!("Header `{name}` is refused: {reason}"))
            })?;
        }
    }
    Ok(foreign)
}

/// Integers are compared by value: a body may write 1 as 1.0.
fn is_same_number(header: Option<&str>, body: &str) -> bool {
    let number = |text: &str| {
        let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        is_number.then(|| text.parse::<f64>().ok()).flatten()
    };
    let (Some(header), Some(body)) = (header.and_then(number), number(body)) else {
        return false;
    };
    // Beyond 2^53 different integers may be one float; those must be equal as text.
    header.total_cmp(&body).is_eq() && header.abs() < 9_007_199_254_740_992.0
}

fn compare(name: &str, header: Option<&str>, body: &str) -> Result<(), RpcError> {
    let Some(header) = header else {
        return Err(RpcError::header_mismatch(&format!(
            "Header mismatch: `{name}` is missing; it must repeat what the body says"
        )));
    };
    let Some(decoded) = decode(header) else {
        return Err(RpcError::header_mismatch(&format!(
            "Header mismatch: the base64 of `{name}` cannot be read"
        )));
    };
    if decoded == body {
        Ok(())
    } else {
        Err(RpcError::header_mismatch(&format!(
            "Header mismatch: `{name}` says something else than the body"
        )))
    }
}

/// The text of a header value: plain, or `=?base64?…?=` around Base64 of UTF-8. `None` when it has
/// that form and cannot be read. Half of the form is a plain value.
pub(crate) fn decode(value: &str) -> Option<Cow<'_, str>> {
    match value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    {
        None => Some(Cow::Borrowed(value)),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?)
            .ok()
            .map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_base64_form_is_decoded_and_half_of_it_is_not() {
        for (value, text) in [
            ("plain", Some("plain")),
            ("=?base64?w6k=?=", Some("é")),
            ("=?base64??=", Some("")),
            ("=?base64?w6k=", Some("=?base64?w6k=")),
            ("w6k=?=", Some("w6k=?=")),
            ("=?BASE64?w6k=?=", Some("=?BASE64?w6k=?=")),
            ("=?base64?w6k?=", None),
            ("=?base64?w6k=\n?=", None),
            ("=?base64?/w==?=", None),
            ("=?base64?-_8=?=", None),
        ] {
            assert_eq!(decode(value).as_deref(), text, "{value}");
        }
    }

    #[test]
    fn both_forms_of_an_answer_must_be_acceptable() {
        for (accept, ok) in [
            ("application/json, text/event-stream", true),
            (
                "text/event-stream;q=0.5,application/json;charset=utf-8",
                true,
            ),
            ("*/*", true),
            ("APPLICATION/JSON, TEXT/EVENT-STREAM", true),
            ("application/*, text/*", true),
            ("application/json", false),
            ("text/event-stream", false),
            ("text/html", false),
            ("", false),
            ("application/json;q=0, text/event-stream", false),
            ("application/json, text/event-stream; Q = 0.000", false),
            ("application/json;q=0.001, text/event-stream", true),
            ("*/*, application/json;q=0", false),
            ("*/*;q=0, application/json, text/event-stream", true),
            ("text/*;q=0, text/event-stream, application/json", true),
            ("application/*, text/*;q=0, */*", false),
            ("application/json;q=0, application/json, text/*", true),
            ("*/*;q=0", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(check_accept(&headers).is_none(), ok, "{accept:?}");
        }
        assert!(check_accept(&HeaderMap::new()).is_some());
    }

    #[test]
    fn what_is_not_marked_is_handed_on_when_it_is_well_formed() {
        let definition = r#"{"name":"t","inputSchema":{"properties":{
            "r":{"type":"string","x-mcp-header":"R"}}}}"#;
        let tool =
            mcp_gw_core::ToolSpec::from_definition(RawJson::parse(definition).unwrap()).unwrap();
        let marked = tool.param_headers().unwrap();
        let read = |given: &[(&'static str, &'static [u8])]| {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                let value = HeaderValue::from_bytes(value).unwrap();
                headers.append(*name, value);
            }
            foreign_params(&headers, marked)
        };
        let foreign = read(&[
            ("mcp-param-r", b"mine"),
            ("mcp-param-x", b" a "),
            ("mcp-paramx", b"v"),
            ("authorization", b"v"),
        ]);
        let foreign = foreign.unwrap();
        let found: Vec<_> = foreign.iter().collect();
        assert_eq!(found, [("mcp-param-x", "a")]);
        for odd in [
            &[("mcp-param-x", &b"1"[..]), ("mcp-param-x", b"2")][..],
            &[("mcp-param-x", "é".as_bytes())],
            &[("mcp-param-x", b"a\tb")],
            &[("mcp-param-", b"v")],
        ] {
            let error = read(odd).unwrap_err();
            assert_eq!(
                (error.status, error.code()),
                (400, Some(code::HEADER_MISMATCH))
            );
        }
    }

    #[test]
    fn marked_arguments_must_be_repeated_and_nothing_else() {
        let definition = r#"{"name":"t","inputSchema":{"properties":{
            "r":{"type":"string","x-mcp-header":"R"},"n":{"type":"integer","x-mcp-header":"N"},
            "b":{"type":"boolean","x-mcp-header":"B"}}}}"#;
        let tool =
            mcp_gw_core::ToolSpec::from_definition(RawJson::parse(definition).unwrap()).unwrap();
        for (arguments, sent, ok) in [
            ("{}", &[][..], true),
            (r#"{"r":null}"#, &[], true),
            (r#"{"r":"x"}"#, &[("mcp-param-r", "x")], true),
            (r#"{"r":"x"}"#, &[], false),
            (r#"{"r":"x","r":"y"}"#, &[], false),
            (r#"{"r":"x","r":"x"}"#, &[("mcp-param-r", "x")], false),
            (r#"{"o":1,"o":1}"#, &[], false),
            (r#"{"r":"x"}"#, &[("mcp-param-r", "X")], false),
            (
                r#"{"r":"x"}"#,
                &[("mcp-param-r", "x"), ("mcp-param-r", "x")],
                false,
            ),
            ("{}", &[("mcp-param-r", "x")], false),
            (
                r#"{"r":"\u00e9"}"#,
                &[("mcp-param-r", "=?base64?w6k=?=")],
                true,
            ),
            (
                r#"{"r":"\u00e9"}"#,
                &[("mcp-param-r", "=?base64?w6k?=")],
                false,
            ),
            (r#"{"n":1.0}"#, &[("mcp-param-n", "1")], true),
            (r#"{"n":2}"#, &[("mcp-param-n", "1")], false),
            (
                r#"{"n":9007199254740993}"#,
                &[("mcp-param-n", "9007199254740992")],
                false,
            ),
            (
                r#"{"n":9007199254740993}"#,
                &[("mcp-param-n", "9007199254740993")],
                true,
            ),
            (r#"{"b":true}"#, &[("mcp-param-b", "true")], true),
            (r#"{"b":true}"#, &[("mcp-param-b", "1")], false),
            ("{}", &[("mcp-param-other", "x")], true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in sent {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let arguments = RawJson::parse(arguments).unwrap();
            let judged = check_params(&headers, tool.param_headers().unwrap(), &arguments);
            assert_eq!(judged.is_ok(), ok, "{arguments} {sent:?}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in "\\PC{0,40}") {
            let value = format!("=?base64?{}?=", STANDARD.encode(&text));
            let decoded = decode(&value);
            prop_assert_eq!(decoded.as_deref(), Some(text.as_str()));
        }

        #[test]
        fn no_header_value_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.insert(VERSION, value.clone());
                headers.insert(ACCEPT, value.clone());
                headers.insert(CONTENT_TYPE, value);
                let _ = (legacy_version(&headers), check_accept(&headers));
                let _ = (check_content_type(&headers), names_modern(&headers));
            }
        }
    }
}
