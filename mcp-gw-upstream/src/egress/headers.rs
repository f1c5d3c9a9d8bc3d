//! Headers: which of a caller's go out (E-9), and which of a response come back (C-5).

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};

use crate::egress::refusal::{Refusal, RefusalCode, shown};
use crate::egress::rules::Rules;

/// So many headers a caller may give.
const MOST: usize = 32;
/// So long a name may be.
const LONGEST_NAME: usize = 128;
/// So long a value may be.
const LONGEST_VALUE: usize = 8 * 1024;
/// So long all of them may be together.
const LONGEST: usize = 16 * 1024;

/// The headers of a caller, if each may go out.
pub(crate) fn check(rules: &Rules, given: &[(String, String)]) -> Result<HeaderMap, Refusal> {
    let (extra, taken) = (&rules.request_headers, &rules.credential_headers);
    let wrong = |message: String| Err(Refusal::new(RefusalCode::HeaderNotAllowed, "E-9", message));
    if given.len() > MOST {
        return wrong(format!("there are more than {MOST} headers"));
    }
    let mut all = HeaderMap::with_capacity(given.len());
    let mut length = 0;
    for (name, value) in given {
        let shown = shown(name);
        let header = match HeaderName::from_bytes(name.as_bytes()) {
            Ok(header) if name.len() <= LONGEST_NAME => header,
            _ => return wrong(format!("{shown} is not the name of a header")),
        };
        let is_cookie = rules.allow_cookie && header == COOKIE;
        if is_refused(&header) && !is_cookie {
            return wrong(format!(
                "the header {shown} cannot be set in a call: the gateway, or the connection, sets it"
            ));
        }
        if taken.contains(&header) {
            return wrong(format!(
                "the header {shown} belongs to the credential of this API"
            ));
        }
        if !is_usual(&header) && !is_cookie && !extra.contains(&header) {
            return wrong(format!(
                "the header {shown} is not allowed for this API; leave it out"
            ));
        }
        length += name.len() + value.len();
        let Some(value) = checked_value(value).filter(|_| length <= LONGEST) else {
            return wrong(format!(
                "the value of the header {shown} cannot be sent: it must be printable ASCII of at most {LONGEST_VALUE} bytes, all headers together {LONGEST}"
            ));
        };
        if all.insert(header, value).is_some() {
            return wrong(format!(
                "the header {shown} is given twice; case does not count"
            ));
        }
    }
    Ok(all)
}

/// A value without line breaks and the like.
pub(crate) fn checked_value(value: &str) -> Option<HeaderValue> {
    let is_fine = value.len() <= LONGEST_VALUE
        && value
            .bytes()
            .all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    is_fine.then(|| HeaderValue::from_str(value).ok()).flatten()
}

/// What a caller may set without being asked.
fn is_usual(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "accept" | "accept-language" | "content-type" | "prefer" | "range" | "x-request-id"
    ) || name.starts_with("if-")
}

/// What no caller may set, whatever the configuration says.
pub(crate) fn is_refused(name: &HeaderName) -> bool {
    // Servers behind CGI do not tell these two apart.
    let name = name.as_str().replace('_', "-");
    let prefixes = ["mcp-", "proxy-", "x-forwarded", "x-http-method", "sec-"];
    is_of_connection(&name)
        || prefixes.iter().any(|prefix| name.starts_with(prefix))
        || matches!(
            &*name,
            "accept-encoding"
                | "authorization"
                | "cf-connecting-ip"
                | "client-ip"
                | "content-length"
                | "cookie"
                | "cookie2"
                | "expect"
                | "fastly-client-ip"
                | "forwarded"
                | "front-end-https"
                | "host"
                | "http2-settings"
                | "max-forwards"
                | "true-client-ip"
                | "via"
                | "x-client-ip"
                | "x-cluster-client-ip"
                | "x-host"
                | "x-method-override"
                | "x-original-host"
                | "x-original-uri"
                | "x-original-url"
                | "x-real-ip"
                | "x-rewrite-uri"
                | "x-rewrite-url"
        )
}

/// What is about one connection only (RFC 9110 §7.6.1).
fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// What says where a message begins and ends, or to whom it goes: for nobody to set.
pub(crate) fn is_of_message(name: &HeaderName) -> bool {
    let name = name.as_str();
    is_of_connection(name)
        || matches!(
            name,
            "accept-encoding" | "content-length" | "content-type" | "expect" | "host"
        )
}

/// The headers of a response as callers see them: without those of the connection, and without those that
/// carry credentials or speak of them unless `extra` names them.
pub(crate) fn of_response(mut headers: HeaderMap, extra: &[HeaderName]) -> HeaderMap {
    let listed: Vec<HeaderName> = headers
        .get_all(http::header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .collect();
    let is_hidden = |name: &HeaderName| {
        let text = name.as_str();
        let is_allowed = extra.contains(name);
        is_of_connection(text)
            || listed.contains(name)
            || text.starts_with("mcp-")
            || (!is_allowed && (text.starts_with("proxy-") || is_credential(text)))
    };
    let hidden: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hidden(name))
        .cloned()
        .collect();
    for name in hidden {
        headers.remove(name);
    }
    headers
}

fn is_credential(name: &str) -> bool {
    matches!(
        name,
        "authentication-info"
            | "authorization"
            | "cookie"
            | "set-cookie"
            | "set-cookie2"
            | "www-authenticate"
    )
}

/// `type/subtype` of a content type in lower case; `None` when it is none that can be sent.
pub(crate) fn media_type(content_type: &str) -> Option<String> {
    checked_value(content_type)?;
    let (media, parameters) = match content_type.split_once(';') {
        Some((media, parameters)) => (media, Some(parameters)),
        None => (content_type, None),
    };
    let media = media.trim_matches([' ', '\t']);
    let (kind, subtype) = media.split_once('/')?;
    // A comma would make two types of it.
    let is_one = parameters.is_none_or(|parameters| !outside_quotes(parameters).contains(','));
    (is_token(kind) && is_token(subtype) && is_one).then(|| media.to_ascii_lowercase())
}

fn outside_quotes(text: &str) -> String {
    let mut parts = text.split('"');
    let mut out = String::new();
    while let Some(outside) = parts.next() {
        out.push_str(outside);
        parts.next();
    }
    out
}

fn is_token(text: &str) -> bool {
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_compared_without_parameters_and_case() {
        assert_eq!(
            media_type("Application/JSON; charset=utf-8").as_deref(),
            Some("application/json")
        );
        for wrong in [
            "",
            "json",
            "application/",
            "/json",
            "application/json, text/plain",
            "application/json;a=b, text/plain",
            "application/json\r\nx: y",
            "appli cation/json",
            "text/plain/x",
        ] {
            assert_eq!(media_type(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_response_keeps_what_is_no_credential_and_not_of_the_connection() {
        let mut headers = HeaderMap::new();
        for name in [
            "content-type",
            "etag",
            "link",
            "connection",
            "x-hop",
            "set-cookie",
            "www-authenticate",
            "transfer-encoding",
            "proxy-authenticate",
            "location",
            "mcp-session-id",
        ] {
            let value = if name == "connection" {
                "close, X-Hop"
            } else {
                "v"
            };
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let names = |extra: &[HeaderName]| {
            let kept = of_response(headers.clone(), extra);
            let mut names: Vec<_> = kept.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(names(&[]), "content-type etag link location");
        let extra = ["set-cookie", "connection", "x-hop"].map(HeaderName::from_static);
        assert_eq!(names(&extra), "content-type etag link location set-cookie");
    }
}
