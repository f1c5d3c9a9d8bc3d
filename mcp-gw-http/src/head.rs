//! The head of an HTTP request, as policy sees it.

use std::fmt;

use axum::extract::OriginalUri;
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, PROXY_AUTHORIZATION, SET_COOKIE};
use axum::http::uri::Authority;
use axum::http::{HeaderName, request};
use mcp_gw_core::HttpFacts;

/// Headers that carry a credential: it is used to tell who the caller is, and then left behind.
const SECRET: [HeaderName; 5] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    SET_COOKIE,
    HeaderName::from_static("x-api-key"),
];

/// The head of a request, shared by whoever asks about it.
pub(crate) struct Head(pub(crate) request::Parts);

impl HttpFacts for Head {
    fn method(&self) -> &str {
        self.0.method.as_str()
    }

    fn scheme(&self) -> &str {
        self.0.uri.scheme_str().unwrap_or("http")
    }

    fn host(&self) -> Option<&str> {
        let authority = self.0.uri.authority().map(Authority::as_str);
        authority.or_else(|| self.0.headers.get(HOST)?.to_str().ok())
    }

    fn path(&self) -> &str {
        // A router within another sees only its own part of the path.
        match self.0.extensions.get::<OriginalUri>() {
            Some(OriginalUri(uri)) => uri.path(),
            None => self.0.uri.path(),
        }
    }

    fn query(&self) -> Option<&str> {
        self.0.uri.query()
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        self.0
            .headers
            .iter()
            .filter(|(name, _)| !SECRET.contains(name))
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect()
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.0.method)
            .field("path", &self.0.uri.path())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use mcp_gw_core::HttpFacts as _;

    use super::Head;

    #[test]
    fn a_head_tells_what_was_asked_and_no_credential() {
        let request = Request::post("/mcp/a%20b?x=1&y")
            .header("Host", "gw.example:8443")
            .header("Accept", "one")
            .header("accept", "two")
            .header("Authorization", "Bearer secret")
            .header("Cookie", "secret")
            .header("X-API-Key", "secret")
            .header("x-bytes", &b"\xff"[..])
            .body(())
            .unwrap();
        let head = Head(request.into_parts().0);
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
