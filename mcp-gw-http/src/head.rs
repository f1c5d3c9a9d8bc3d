//! The head of an HTTP request, as policy sees it.

use std::fmt;

use axum::extract::OriginalUri;
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, PROXY_AUTHORIZATION, SET_COOKIE};
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Uri, request};
use mcp_gw_core::HttpFacts;
use mcp_gw_server::SignedHead;

/// Headers that carry a credential: it is used to tell who the caller is, and then left behind. So is
/// the header that API keys are in.
const SECRET: [HeaderName; 5] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    SET_COOKIE,
    API_KEY,
];

/// The header of API keys, if nothing else is said.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The head of a request, shared by whoever asks about it.
pub(crate) struct Head {
    parts: request::Parts,
    key_header: HeaderName,
}

impl Head {
    /// A head that may have an API key in `key_header`, `X-API-Key` if not given.
    pub(crate) fn new(parts: request::Parts, key_header: Option<HeaderName>) -> Self {
        let key_header = key_header.unwrap_or(API_KEY);
        Self { parts, key_header }
    }

    pub(crate) const fn parts(&self) -> &request::Parts {
        &self.parts
    }

    /// The header that API keys are in.
    pub(crate) const fn key_header(&self) -> &HeaderName {
        &self.key_header
    }

    /// What may be signed of it.
    pub(crate) fn signed(&self) -> SignedHead<'_> {
        let method = self.parts.method.as_str();
        SignedHead::new(method, self.one_host(), self.uri(), &self.parts.headers)
    }

    /// The host, unless the target names one and `Host` another: what was signed for the one would be
    /// served as the other.
    fn one_host(&self) -> Option<&str> {
        let host = self.host()?;
        let mut named = self.parts.headers.get_all(HOST).iter();
        let is_same = |named: &HeaderValue| named.as_bytes().eq_ignore_ascii_case(host.as_bytes());
        named.all(is_same).then_some(host)
    }

    /// The target as it came: a router within another sees only its own part of the path.
    fn uri(&self) -> &Uri {
        match self.parts.extensions.get::<OriginalUri>() {
            Some(OriginalUri(uri)) => uri,
            None => &self.parts.uri,
        }
    }
}

impl HttpFacts for Head {
    fn method(&self) -> &str {
        self.parts.method.as_str()
    }

    fn scheme(&self) -> &str {
        self.parts.uri.scheme_str().unwrap_or("http")
    }

    fn host(&self) -> Option<&str> {
        let authority = self.parts.uri.authority().map(Authority::as_str);
        authority.or_else(|| self.parts.headers.get(HOST)?.to_str().ok())
    }

    fn path(&self) -> &str {
        self.uri().path()
    }

    fn query(&self) -> Option<&str> {
        self.parts.uri.query()
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        self.parts
            .headers
            .iter()
            .filter(|(name, _)| !SECRET.contains(name) && **name != self.key_header)
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect()
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.parts.method)
            .field("path", &self.parts.uri.path())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, Request};
    use mcp_gw_core::HttpFacts as _;

    use super::Head;

    #[test]
    fn two_hosts_are_none_for_a_signature() {
        for (uri, host, signed) in [
            ("/mcp", Some("a.example"), Some("a.example")),
            ("http://a.example/mcp", Some("A.example"), Some("a.example")),
            ("http://a.example/mcp", None, Some("a.example")),
            ("http://a.example/mcp", Some("b.example"), None),
            ("http://a.example/mcp", Some("a.example:80"), None),
            ("/mcp", None, None),
        ] {
            let mut request = Request::post(uri);
            if let Some(host) = host {
                request = request.header("Host", host);
            }
            let head = Head::new(request.body(()).unwrap().into_parts().0, None);
            assert_eq!(head.signed().host, signed, "{uri} {host:?}");
        }
    }

    #[test]
    fn a_head_tells_what_was_asked_and_no_credential() {
        let request = Request::post("/mcp/a%20b?x=1&y")
            .header("Host", "gw.example:8443")
            .header("Accept", "one")
            .header("accept", "two")
            .header("Authorization", "Bearer secret")
            .header("Cookie", "secret")
            .header("X-API-Key", "secret")
            .header("X-Key", "secret")
            .header("x-bytes", &b"\xff"[..])
            .body(())
            .unwrap();
        let key_header = Some(HeaderName::from_static("x-key"));
        let head = Head::new(request.into_parts().0, key_header);
        assert_eq!((head.method(), head.scheme()), ("POST", "http"));
        assert_eq!(head.host(), Some("gw.example:8443"));
        assert_eq!((head.path(), head.query()), ("/mcp/a%20b", Some("x=1&y")));
        assert_eq!(
            head.headers(),
            [
                ("host", "gw.example:8443"),
                ("accept", "one"),
                ("accept", "two")
            ]
        );
        assert!(!format!("{head:?}").contains("secret"));
    }
}
