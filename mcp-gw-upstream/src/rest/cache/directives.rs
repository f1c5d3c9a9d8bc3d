//! Directives of caching in one form (RFC 9111 §5.2).

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, PRAGMA};

/// Headers with directives in one form, which is all that the rules of caching are asked in: in lower case, without
/// lists of names within them.
pub(super) fn canonical(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [CACHE_CONTROL, PRAGMA] {
        if !headers.contains_key(&name) {
            continue;
        }
        let all = directives(&headers, &name).into_iter();
        let all: Vec<String> = all
            .map(|(name, value)| match value {
                Some(value) => format!("{name}={value}"),
                None => name,
            })
            .collect();
        // What cannot be said cannot be kept.
        let value = HeaderValue::from_str(&all.join(", "));
        headers.insert(name, value.unwrap_or(HeaderValue::from_static("no-store")));
    }
    headers
}

/// Headers of an answer that was kept, with directives as the API has said them, last in the first of `said`.
pub(super) fn as_said(mut headers: HeaderMap, said: &[&HeaderMap]) -> HeaderMap {
    for name in [CACHE_CONTROL, PRAGMA] {
        let Some(said) = said.iter().find(|said| said.contains_key(&name)) else {
            continue;
        };
        headers.remove(&name);
        for value in said.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Headers of an answer that was kept, with what the API says of it now (RFC 9111 §3.2).
pub(super) fn update(kept: &mut HeaderMap, said: &HeaderMap) {
    for name in said.keys().filter(|name| !OF_ONE.contains(&name.as_str())) {
        kept.remove(name);
        for value in said.get_all(name) {
            kept.append(name.clone(), value.clone());
        }
    }
}

/// Headers about one message or connection, not about what was kept.
const OF_ONE: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The parts of a header that is a list, in lower case, each with what stands behind `=` unless that is a list
/// (RFC 9111 §5.2). Commas in quotes separate nothing; where a quote has no end nothing is known, and `no-store` is
/// among them.
pub(super) fn directives(headers: &HeaderMap, name: &HeaderName) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for value in headers.get_all(name) {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let (mut is_quoted, mut is_escaped) = (false, false);
        let parts: Vec<&str> = value
            .split(|c: char| {
                let is_end = c == ',' && !is_quoted;
                is_quoted ^= c == '"' && !is_escaped;
                is_escaped = is_quoted && c == '\\' && !is_escaped;
                is_end
            })
            .collect();
        if is_quoted {
            all.push(("no-store".to_owned(), None));
        }
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value.trim().trim_matches('"'))),
                None => (part, None),
            };
            let is_one = |value: &&str| !value.contains([',', '"', '\\', ' ']);
            if !name.trim().is_empty() {
                let value = value.filter(is_one).map(str::to_owned);
                all.push((name.trim().to_owned(), value));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_as_the_standard_has_them() {
        for (said, read) in [
            ("Max-Age=60, PUBLIC", "max-age=60, public"),
            ("private=\"a, b\", Max-Age=\"60\"", "private, max-age=60"),
            ("ext=\"a, public\", x=\"\\\", public\"", "ext, x"),
            (" , no-store ,,=1", "no-store"),
            ("x=\"a, public", "no-store, x"),
            ("max-age=60;no-store", "max-age=60;no-store"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(said));
            assert_eq!(canonical(&headers)[CACHE_CONTROL], read, "{said}");
            assert_eq!(as_said(canonical(&headers), &[&headers]), headers);
        }
        let mut headers = HeaderMap::new();
        headers.append(CACHE_CONTROL, HeaderValue::from_static("Public"));
        headers.append(
            CACHE_CONTROL,
            HeaderValue::from_bytes(b"x=\xff, no-store").unwrap(),
        );
        let read = canonical(&headers);
        assert_eq!(
            read[CACHE_CONTROL].as_bytes(),
            "public, x=\u{fffd}, no-store".as_bytes()
        );
        assert_eq!(as_said(read, &[&headers]), headers);
    }
}
