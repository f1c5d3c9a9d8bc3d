//! What the fuzz targets of this repository call; for nobody else.
//!
//! A target is a function of any bytes. It fails by panicking: by an assertion that does not hold, or
//! by itself. `fuzz/` runs these functions for as long as you like; the tests here run them on the
//! seeds in `fuzz/seeds`, on changed seeds, and on noise.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use mcp_gw_core::jsonrpc::{Message, Request};
use mcp_gw_core::{CancelReason, ParamHeader, RawJson, ToolSpec, code};
use mcp_gw_upstream::fuzzing as upstream;

use crate::authn::fuzzing as authn;
use crate::exchange::Answer;
use crate::http::headers::{check_params, decode};
use crate::line::{Line, Lines};
use crate::operation::{self, Operation};
use crate::pins::fuzzing as pins;
use crate::revision::Revision;
use crate::rpc_error::RpcError;

/// A target: its name, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 11] = [
    ("arguments", upstream::arguments),
    ("egress", upstream::egress),
    ("header", header),
    ("lines", lines),
    ("message", message),
    ("pins", pins::file),
    ("canonical", pins::canonical_form),
    ("openapi", upstream::openapi),
    ("signature", authn::signature),
    ("sse", upstream::sse),
    ("token", authn::token),
];

/// Runs the target of this name, if there is one.
pub fn run(name: &str, data: &[u8]) {
    if let Some((_, target)) = TARGETS.into_iter().find(|(other, _)| *other == name) {
        target(data);
    }
}

/// The JSON-RPC envelope, and the requests of MCP in it: what is refused is refused with an answer,
/// what is taken stays the text that it was.
///
/// # Panics
/// When that is not so.
pub fn message(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    match Message::parse(&body) {
        Ok(Message::Request(request)) => {
            for revision in Revision::ALL {
                take_apart(&request, &body, revision);
            }
        }
        Ok(Message::Notification(notification)) => {
            let reason = CancelReason::read(&notification.params);
            assert!(reason.is_none_or(|reason| reason.len() <= 1024));
        }
        Ok(_) => {}
        Err(error) => {
            assert!([code::PARSE_ERROR, code::INVALID_REQUEST].contains(&error.code));
            let refusal = RpcError::new(error.code, &error.message);
            is_answer(&Answer::error(error.id.as_ref(), &refusal));
        }
    }
}

fn take_apart(request: &Request<'_>, body: &Bytes, revision: Revision) {
    let parsed = match operation::parse(request, body, revision) {
        Ok(parsed) => parsed,
        Err(error) => {
            let id = RawJson::within(body, request.id);
            is_answer(&Answer::error(Some(&id), &error));
            return;
        }
    };
    let payload = match &parsed.operation {
        Operation::CallTool(call) => Some(call.arguments.as_raw()),
        Operation::GetPrompt(get) => Some(get.arguments.as_raw()),
        Operation::Complete(completion) => Some(&completion.argument),
        _ => None,
    };
    let told = [
        payload,
        parsed.progress_token.as_ref(),
        parsed.client_info.as_ref(),
        parsed.client_capabilities.as_ref(),
    ];
    for part in told.into_iter().flatten() {
        let is_of_body = body.as_ptr_range().contains(&part.as_bytes().as_ptr());
        assert!(is_of_body || part.as_str() == "{}", "{part} was copied");
        assert!(RawJson::parse(part.to_bytes()).is_ok(), "{part}");
    }
}

fn is_answer(answer: &Answer) {
    let message = answer.message.clone().into_raw();
    let is_response = matches!(Message::parse(message.as_bytes()), Ok(Message::Response(_)));
    assert!(is_response, "{message}");
}

/// Headers that repeat arguments: what is written for a server is read back here, and nothing that a
/// client sends does harm.
///
/// # Panics
/// When that is not so.
pub fn header(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(value) = upstream::encode_header(&text) {
        let value = value.to_str().unwrap_or_default();
        assert_eq!(decode(value).as_deref(), Some(&*text), "{value}");
    }
    match decode(&text) {
        Some(decoded) if !text.starts_with("=?base64?") => assert_eq!(decoded, text),
        _ => {}
    }
    let params = marked();
    let (first, rest) = text.split_once('\n').unwrap_or((&text, "{}"));
    let mut sent = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(first) {
        for param in &params {
            if let Ok(name) = http::HeaderName::from_bytes(param.name().as_bytes()) {
                sent.insert(name, value.clone());
            }
        }
    }
    for arguments in [&*text, rest] {
        let Ok(arguments) = RawJson::parse(arguments.to_owned()) else {
            continue;
        };
        let judged = check_params(&sent, &params, &arguments);
        let Ok(written) = upstream::param_headers(&params, &arguments) else {
            assert!(judged.is_err(), "{arguments}");
            continue;
        };
        let written: HeaderMap = written.into_iter().collect();
        assert!(
            check_params(&written, &params, &arguments).is_ok(),
            "{arguments} as {written:?}"
        );
    }
}

/// What the schema of a tool marks.
fn marked() -> Vec<ParamHeader> {
    let definition = r#"{"name":"t","inputSchema":{"properties":{
        "s":{"type":"string","x-mcp-header":"S"},"n":{"type":"integer","x-mcp-header":"N"},
        "o":{"properties":{"b":{"type":"boolean","x-mcp-header":"B"}}}}}}"#;
    let spec = RawJson::parse(definition)
        .ok()
        .and_then(|definition| ToolSpec::from_definition(definition).ok());
    spec.as_ref()
        .and_then(|spec| spec.param_headers().ok())
        .map(<[ParamHeader]>::to_vec)
        .unwrap_or_default()
}

/// The readers of lines, ours and that for child processes: however the bytes arrive, the lines are
/// those of the text.
///
/// # Panics
/// When that is not so.
pub fn lines(data: &[u8]) {
    upstream::lines(data);
    let pieces = upstream::Pieces::of(data);
    let text = pieces.rest();
    for limit in [1, 20, usize::MAX] {
        let expected = text
            .split(|byte| *byte == b'\n')
            .filter(|line| line.len() > limit || !line.iter().all(u8::is_ascii_whitespace))
            .map(|line| match line.len() {
                length if length > limit => Line::TooLong,
                _ => Line::Message(Bytes::copy_from_slice(line)),
            });
        let mut lines = Lines::new(pieces.clone(), limit);
        let mut found = Vec::new();
        while let Ok(Some(line)) = upstream::at_once(lines.next()) {
            found.push(line);
        }
        assert_eq!(found, expected.collect::<Vec<_>>(), "limit {limit}");
    }
}

#[cfg(test)]
mod tests;
