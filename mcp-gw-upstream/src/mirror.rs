//! Arguments that are repeated in headers: `Mcp-Param-*` (MCP 2026-07-28, streamable HTTP).

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderName, HeaderValue};
use mcp_gw_core::{ForeignParams, ParamHeader, RawJson, UnclearParam};

/// The arguments to repeat, of all tools that have some, by the tool's name.
pub(crate) type Mirrors = HashMap<Arc<str>, Arc<[ParamHeader]>>;

/// The headers that repeat these arguments.
///
/// # Errors
/// When it is not clear what one of the arguments is.
pub(crate) fn headers(
    params: &[ParamHeader],
    arguments: &RawJson,
) -> Result<Vec<(HeaderName, HeaderValue)>, UnclearParam> {
    let mut headers = Vec::new();
    for param in params {
        let text = param.text_in(arguments)?;
        let name = HeaderName::from_bytes(param.name().as_bytes()).ok();
        headers.extend(name.zip(text.as_deref().and_then(encode)));
    }
    Ok(headers)
}

/// The headers that the client sent and that are not `marked` by the tool, as they came.
pub(crate) fn foreign(
    marked: &[ParamHeader],
    foreign: &ForeignParams,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let others = foreign
        .iter()
        .filter(|(name, _)| !marked.iter().any(|param| param.name() == *name));
    others.filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    })
}

/// A value as these headers carry it: as it is when it is plain visible ASCII, in Base64 otherwise.
pub(crate) fn encode(value: &str) -> Option<HeaderValue> {
    let plain = value.bytes().all(|b| (0x20..0x7f).contains(&b))
        && !value.starts_with(' ')
        && !value.ends_with(' ')
        && !value.starts_with("=?base64?");
    if plain {
        HeaderValue::from_str(value).ok()
    } else {
        HeaderValue::from_str(&format!("=?base64?{}?=", STANDARD.encode(value))).ok()
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::ToolSpec;

    use super::*;

    #[test]
    fn arguments_are_repeated_in_headers() {
        let tool = r#"{"name":"t","inputSchema":{"properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "n":{"type":"integer","x-mcp-header":"N"},
            "absent":{"type":"boolean","x-mcp-header":"Absent"}}}}"#;
        let tool = ToolSpec::from_definition(RawJson::parse(tool).unwrap()).unwrap();
        let arguments = RawJson::parse(r#"{"region":"Köln","n":1.0,"absent":null}"#).unwrap();
        let marked = tool.param_headers().unwrap();
        let twice = RawJson::parse(r#"{"n":1,"n":2}"#).unwrap();
        assert!(headers(marked, &twice).is_err());
        let mut found: Vec<(String, String)> = headers(marked, &arguments)
            .unwrap()
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        found.sort_unstable();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let expected = [
            ("mcp-param-n", "1.0"),
            ("mcp-param-region", "=?base64?S8O2bG4=?="),
        ]
        .map(owned);
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_plain_ascii_is_written_in_base64() {
        for (value, expected) in [
            ("plain", "plain"),
            ("", ""),
            (" lead", "=?base64?IGxlYWQ=?="),
            ("a\nb", "=?base64?YQpi?="),
            ("=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ] {
            assert_eq!(encode(value).unwrap().to_str().unwrap(), expected);
        }
    }
}
