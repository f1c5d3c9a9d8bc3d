//! The requests themselves: what may be sent, and how it is written.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};
use mcp_gw_core::RawJson;
use serde_json::{Map, Value};

use super::Entry;
use crate::http::{Transport, encode};
use crate::tools::api7::Access;
use crate::tools::desk::Desk;

/// Headers that belong to one connection, or would make two readers see two requests.
const REFUSED: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers and parameters by which many frameworks let a request say that it is another one than it looks like.
const OVERRIDES: [&str; 8] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-method",
    "x-forwarded-method",
    "http-method-override",
    "method-override",
    "-method",
];

/// Whether a header or a parameter of this name may make a write of a read.
fn is_override(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    OVERRIDES.contains(&&*name)
}

/// Such a name in a text.
fn override_in(text: &str) -> Option<&str> {
    let is_apart = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-');
    text.split(is_apart).find(|word| is_override(word))
}

/// The request, or why there is none.
pub(super) fn prepare(
    shared: &Desk,
    gateway: &Transport,
    entry: &Entry,
) -> Result<Request<Bytes>, String> {
    let method = Method::from_bytes(entry.method.to_ascii_uppercase().as_bytes())
        .ok()
        .filter(|method| !matches!(*method, Method::CONNECT | Method::TRACE))
        .ok_or("`method` is not one that can be sent")?;
    let only_reads = matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !only_reads && shared.access != Access::ReadWrite {
        return Err(format!(
            "`method` {method} may change something. This server changes nothing until the user starts it with \
             --allow-write"
        ));
    }
    check_path(&entry.path)?;
    if shared.access != Access::ReadWrite {
        refuse_override(entry)?;
    }
    let mut request = Request::builder().method(method).uri(&entry.path);
    let mut content_type = None;
    let mut given: HeaderMap<()> = HeaderMap::default();
    for (name, value) in &entry.headers {
        let (header, value) = check_header(shared, name, value)?;
        if given.insert(header.clone(), ()).is_some() {
            return Err(format!(
                "the header {header} is given twice, in two ways to write it"
            ));
        }
        if header == CONTENT_TYPE {
            content_type = Some(value.clone());
        }
        request = request.header(header, value);
    }
    let data = entry.data.as_ref().filter(|data| !data.0.is_null());
    let body = match data {
        None => Bytes::new(),
        Some(data) => {
            if content_type.is_none() {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            write_body(&data.0, content_type.as_ref())?
        }
    };
    let secret = shared.words.secret;
    if shared.scrub(&String::from_utf8_lossy(&body)).as_bytes() != &*body && body.is_ascii() {
        return Err(format!("`data` holds the {secret}"));
    }
    let plain = decoded_once(&entry.path);
    if shared.scrub(&entry.path) != entry.path || shared.scrub(&plain) != plain {
        return Err(format!("`path` holds the {secret}"));
    }
    let request = request
        .body(body)
        .map_err(|_| "`path` is not one that can be sent")?;
    if gateway.base().join(request.uri()).is_none() {
        return Err("`path` leads up (`..`) or elsewhere".to_owned());
    }
    Ok(request)
}

/// Refuses what would be a write behind the gateway.
fn refuse_override(entry: &Entry) -> Result<(), String> {
    let says = |what: &str, name: &str| {
        format!(
            "the {what} {name:?} makes another request of it, which may change something. This server changes nothing \
             until the user starts it with --allow-write"
        )
    };
    if let Some(name) = entry.headers.keys().find(|name| is_override(name)) {
        return Err(says("header", &crate::http::one_line(name, 64)));
    }
    // Parameters stand in the query and behind the segments of a path; some separate them by `;`.
    for part in entry.path.split(['?', '&', ';', '/']) {
        let mut pairs = url::form_urlencoded::parse(part.as_bytes());
        if let Some((name, _)) = pairs.find(|(name, _)| override_in(name).is_some()) {
            return Err(says("parameter", &crate::http::one_line(&name, 64)));
        }
    }
    let body = entry.data.as_ref().map(|data| data.0.as_str());
    let body = body.unwrap_or_default();
    // A form may write the name with escapes.
    let plain = decoded_once(body);
    if let Some(name) = override_in(body).or_else(|| override_in(&plain)) {
        return Err(says("member of `data`", &crate::http::one_line(name, 64)));
    }
    Ok(())
}

/// The text with `\u005f` and `%5F` as the sign that they stand for, as far as it is one in ASCII.
fn decoded_once(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '\\']) {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let digits = escape
            .strip_prefix("\\u00")
            .or_else(|| escape.strip_prefix('%'));
        let sign = digits
            .and_then(|digits| digits.get(..2))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(u8::is_ascii);
        let Some(sign) = sign else {
            out.push_str(escape.get(..1).unwrap_or_default());
            rest = escape.get(1..).unwrap_or_default();
            continue;
        };
        out.push(char::from(sign));
        let length = if escape.starts_with('%') { 3 } else { 6 };
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Judges the path before any parser sees it: what two readers may read differently is refused, not repaired.
fn check_path(path: &str) -> Result<(), String> {
    let mut bytes = path.bytes();
    if bytes.next() != Some(b'/') || matches!(bytes.next(), Some(b'/' | b'\\')) {
        return Err("`path` must begin with exactly one slash".to_owned());
    }
    if path.len() > 8 * 1024 {
        return Err("`path` is longer than 8 KiB".to_owned());
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?%[]".contains(c);
    if let Some(c) = path.chars().find(|&c| !is_allowed(c)) {
        return Err(format!("`path` holds {c:?}, which must be percent-encoded"));
    }
    let mut rest = path;
    while let Some((_, tail)) = rest.split_once('%') {
        let is_escape = tail.len() >= 2 && tail.bytes().take(2).all(|b| b.is_ascii_hexdigit());
        if !is_escape {
            return Err(
                "`path` holds a % that is not followed by two hexadecimal digits".to_owned(),
            );
        }
        rest = tail;
    }
    Ok(())
}

fn check_header(
    shared: &Desk,
    name: &str,
    value: &str,
) -> Result<(HeaderName, HeaderValue), String> {
    let shown: String = name.chars().take(64).collect();
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("{shown:?} is not the name of a header"))?;
    if REFUSED.contains(&header.as_str()) {
        return Err(format!("the header {header} cannot be set"));
    }
    if header == HOST && !is_host(value) {
        return Err(format!(
            "the header {header} must be one host, with a port if need be: api.example.com:8080"
        ));
    }
    if shared.scrub(value) != value {
        return Err(format!(
            "the header {header} holds the {}",
            shared.words.secret
        ));
    }
    let value = HeaderValue::from_str(value)
        .map_err(|_| format!("the header {header} holds a character that no header may have"))?;
    Ok((header, value))
}

/// Whether a text is a host, perhaps with a port, and nothing that two readers may read differently.
fn is_host(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    text.chars().all(is_allowed)
        && text
            .parse::<http::uri::Authority>()
            .is_ok_and(|authority| !authority.host().is_empty())
}

fn write_body(data: &RawJson, content_type: Option<&HeaderValue>) -> Result<Bytes, String> {
    let kind = content_type
        .and_then(|value| value.to_str().ok())
        .map(|value| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        });
    let is_json = kind
        .as_deref()
        .is_none_or(|kind| kind == "application/json" || kind.ends_with("+json"));
    if is_json {
        return Ok(data.to_bytes());
    }
    if kind.as_deref() == Some("application/x-www-form-urlencoded")
        && let Ok(form) = data.decode_owned::<Map<String, Value>>()
    {
        return write_form(&form);
    }
    match data.decode_owned::<String>() {
        Ok(text) => Ok(text.into()),
        Err(_) => Ok(data.to_bytes()),
    }
}

fn write_form(form: &Map<String, Value>) -> Result<Bytes, String> {
    let mut out = String::new();
    for (name, value) in form {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null => continue,
            _ => {
                return Err(format!(
                    "`data`: {name:?} is not a plain value, as a form needs"
                ));
            }
        };
        if !out.is_empty() {
            out.push('&');
        }
        encode(&mut out, name);
        out.push('=');
        encode(&mut out, &text);
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::BaseUrl;

    #[test]
    fn a_path_that_two_readers_read_differently_is_refused() {
        for path in [
            "",
            "x",
            "@evil:80/x",
            "//evil/x",
            "/\\evil",
            "/a b",
            "/a#b",
            "/%zz",
            "/%4",
            "/%",
            "/ü",
            "/a\n",
            "/\"",
            "/{x}",
            "/a\\b",
        ] {
            assert!(check_path(path).is_err(), "{path}");
        }
        for path in ["/", "/a/b?x=1&y[]=2", "/@x:1/y;z", "/%2F?%20"] {
            assert!(check_path(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_host_is_one_host() {
        for host in [
            "a",
            "a.example:80",
            "127.0.0.1:9080",
            "[::1]:80",
            "a_b.example",
        ] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "x y", "a/b@c", "u@h", "a,b", "a:b:c", ":80", "a?b", "ä"] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn names_that_make_another_request_are_found_in_any_writing() {
        for text in [
            "_method=DELETE",
            r#"{"_method":"DELETE"}"#,
            r#"{"\u005fmethod":"DELETE"}"#,
            "a=1&%5Fmethod=PUT",
            "name=\"_method\"\r\n\r\nDELETE",
            "_METHOD=PUT",
        ] {
            let plain = decoded_once(text);
            assert!(
                override_in(text).or(override_in(&plain)).is_some(),
                "{text}"
            );
        }
        for text in [
            "method=x",
            "payment_method=x",
            r#"{"the_method":1}"#,
            "%",
            "\\u00",
            "%é1",
        ] {
            let plain = decoded_once(text);
            assert!(
                override_in(text).or(override_in(&plain)).is_none(),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_gateway(path in "/?(@|//|\\.\\.|%2e|[a-z/?.:@%#\\\\]|.){0,12}") {
            let base: BaseUrl = "http://gateway.example:9080/base".parse().unwrap();
            if check_path(&path).is_err() {
                return Ok(());
            }
            let Ok(uri) = path.parse::<http::Uri>() else { return Ok(()) };
            if let Some(url) = base.join(&uri) {
                prop_assert_eq!(url.origin().ascii_serialization(), "http://gateway.example:9080");
                prop_assert!(url.path().starts_with("/base/"));
                prop_assert_eq!(url.username(), "");
            }
        }
    }
}
