//! What a request for metrics is answered with; knows no connection.

use std::net::IpAddr;

use http::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::{Format, Metrics};

/// Where metrics are, and who may read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) path: String,
    /// The SHA-256 digest of the token that readers must show.
    pub(super) token: Option<[u8; 32]>,
    /// Whether requests must name an address or this machine as their host: a page of another site
    /// could have its own name resolve here and read what loopback alone protects.
    pub(super) guards_host: bool,
}

impl Endpoint {
    pub(super) fn answer(&self, metrics: &Metrics, head: &Parts) -> Response<String> {
        if self.guards_host && !is_near(&head.headers) {
            return plain(
                StatusCode::FORBIDDEN,
                "Forbidden: ask for an IP address or localhost.",
            );
        }
        if !self.admits(&head.headers) {
            let text = "Unauthorized: a bearer token is needed.";
            let mut refusal = plain(StatusCode::UNAUTHORIZED, text);
            let challenge = HeaderValue::from_static("Bearer");
            refusal.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            return refusal;
        }
        if head.uri.path() != self.path {
            return plain(StatusCode::NOT_FOUND, "Not found.");
        }
        if head.method != Method::GET && head.method != Method::HEAD {
            let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "Metrics are read with GET.");
            let allowed = HeaderValue::from_static("GET, HEAD");
            refusal.headers_mut().insert(ALLOW, allowed);
            return refusal;
        }
        let accept: Vec<_> = head
            .headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let format = Format::of_accept(&accept.join(","));
        let mut answer = with_type(metrics.render(format), format.content_type());
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(http::header::VARY, HeaderValue::from_static("Accept"));
        answer
    }

    /// True when the token that is needed is shown, once.
    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(digest) = self.token else {
            return true;
        };
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (shown.next(), shown.next()) else {
            return false;
        };
        let token = value.to_str().ok().and_then(|value| value.split_once(' '));
        token.is_some_and(|(scheme, token)| {
            let found: [u8; 32] = Sha256::digest(token.trim()).into();
            scheme.eq_ignore_ascii_case("bearer") && found == digest
        })
    }
}

/// True when the host that was asked for is an address or `localhost`, or was not said.
fn is_near(headers: &HeaderMap) -> bool {
    headers.get_all(HOST).iter().all(|value| {
        let Ok(host) = value.to_str() else {
            return false;
        };
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next(),
            None => host.split(':').next(),
        };
        let name = name.unwrap_or_default();
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    })
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    let mut response = with_type(format!("{text}\n"), "text/plain; charset=utf-8");
    *response.status_mut() = status;
    response
}

fn with_type(text: String, media: &'static str) -> Response<String> {
    let mut response = Response::new(text);
    let media = HeaderValue::from_static(media);
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn endpoint(with_token: bool) -> Endpoint {
        Endpoint {
            path: "/metrics".to_owned(),
            token: with_token.then(|| Sha256::digest(TOKEN).into()),
            guards_host: !with_token,
        }
    }

    fn ask(
        endpoint: &Endpoint,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> Response<String> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        endpoint.answer(&Metrics::new(), &head)
    }

    #[test]
    fn metrics_are_at_their_path_and_only_read() {
        let open = endpoint(false);
        let found = ask(&open, "GET", "/metrics?x=y", &[]);
        assert_eq!(found.status(), 200);
        assert_eq!(
            found.headers()[CONTENT_TYPE],
            Format::Prometheus.content_type()
        );
        assert!(found.body().contains("\nmcp_gw_build_info{version="));
        assert_eq!(ask(&open, "HEAD", "/metrics", &[]).status(), 200);
        assert_eq!(ask(&open, "GET", "/metrics/", &[]).status(), 404);
        assert_eq!(ask(&open, "GET", "/", &[]).status(), 404);
        let refused = ask(&open, "POST", "/metrics", &[]);
        assert_eq!(refused.status(), 405);
        assert_eq!(refused.headers()[ALLOW], "GET, HEAD");
    }

    #[test]
    fn the_format_is_what_all_accept_headers_together_ask_for() {
        let two = [
            ("accept", "text/html"),
            ("accept", "application/openmetrics-text"),
        ];
        let found = ask(&endpoint(false), "GET", "/metrics", &two);
        assert_eq!(
            found.headers()[CONTENT_TYPE],
            Format::OpenMetrics.content_type()
        );
        assert!(found.body().ends_with("\n# EOF\n"));
    }

    #[test]
    fn a_page_of_another_site_reads_nothing() {
        let open = endpoint(false);
        for (host, status) in [
            ("127.0.0.1:9464", 200),
            ("[::1]:9464", 200),
            ("LOCALHOST:9464", 200),
            ("localhost", 200),
            ("10.1.2.3", 200),
            ("evil.example:9464", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("[evil.example]", 403),
            ("", 403),
            ("\u{fc}", 403),
        ] {
            let found = ask(&open, "GET", "/metrics", &[("host", host)]);
            assert_eq!(found.status(), status, "{host}");
        }
        let hosts = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(ask(&open, "GET", "/metrics", &hosts).status(), 403);
    }

    #[test]
    fn a_token_is_needed_whatever_is_asked_for() {
        let closed = endpoint(true);
        let bearer = format!("Bearer {TOKEN}");
        for (headers, status) in [
            (&[][..], 401),
            (&[("authorization", TOKEN)], 401),
            (&[("authorization", "Bearer 0123456789abcdeg")], 401),
            (&[("authorization", "Bearer")], 401),
            (&[("authorization", "Basic 0123456789abcdef")], 401),
            (
                &[("authorization", &bearer), ("authorization", &bearer)],
                401,
            ),
            (&[("authorization", &bearer)], 200),
            (&[("authorization", "bEaReR  0123456789abcdef")], 200),
            (
                &[("authorization", &bearer), ("host", "prometheus.example")],
                200,
            ),
        ] {
            let found = ask(&closed, "GET", "/metrics", headers);
            assert_eq!(found.status(), status, "{headers:?}");
            assert_eq!(
                found.headers().contains_key(WWW_AUTHENTICATE),
                status == 401
            );
        }
        // Nor does it say what there is.
        assert_eq!(ask(&closed, "GET", "/nothing", &[]).status(), 401);
        assert_eq!(ask(&closed, "POST", "/metrics", &[]).status(), 401);
    }
}
