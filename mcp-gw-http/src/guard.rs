//! Which `Host` and `Origin` a request may carry: the defence against DNS rebinding (MCP, streamable
//! HTTP, security).

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Uri};

/// Accepts requests by their `Host` and `Origin` headers.
///
/// Without further words it accepts loopback names only, with any port. A page of another site that
/// a browser runs cannot name those as its origin, nor can it make its own name resolve here
/// unnoticed.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    hosts: Vec<String>,
    any_host: bool,
    any_address: bool,
    origins: Vec<String>,
}

/// What is wrong with a request, as a sentence for its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) String);

impl Guard {
    /// Accepts loopback names only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts this `Host` too: a name or an address, with a port or for any port.
    #[must_use]
    pub fn with_host(mut self, host: &str) -> Self {
        self.hosts.push(host.to_ascii_lowercase());
        self
    }

    /// Accepts every `Host`: right only where every request must carry a credential.
    #[must_use]
    pub const fn with_any_host(mut self) -> Self {
        self.any_host = true;
        self
    }

    /// Accepts every IP address as `Host`. A name of another site can be made to resolve here, an
    /// address cannot.
    #[must_use]
    pub const fn with_any_address(mut self) -> Self {
        self.any_address = true;
        self
    }

    /// Accepts this `Origin` too: scheme, name and port, as browsers write it.
    #[must_use]
    pub fn with_origin(mut self, origin: &str) -> Self {
        self.origins
            .push(origin.trim_end_matches('/').to_ascii_lowercase());
        self
    }

    /// Judges a request.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        self.check_host(uri, headers)?;
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if self.allows_origin(origin) => Ok(()),
            (Some(origin), _) => Err(Refused(format!(
                "Forbidden: origin {origin:?} is not allowed here. Add it to `allowed_origins` if \
                 you trust it."
            ))),
        }
    }

    pub(crate) fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let mut values = headers.get_all(HOST).iter();
        let header = values.next();
        if values.next().is_some() {
            return Err(Refused("Forbidden: there are two Host headers.".to_owned()));
        }
        // HTTP/2 has the name in the URI.
        let host = match header {
            Some(value) => value.to_str().ok(),
            None => uri.authority().map(axum::http::uri::Authority::as_str),
        };
        let Some(host) = host else {
            return Err(Refused("Forbidden: the Host header is missing.".to_owned()));
        };
        if self.any_host || self.allows_host(&host.to_ascii_lowercase()) {
            return Ok(());
        }
        Err(Refused(format!(
            "Forbidden: host {host:?} is not served here. Add it to `allowed_hosts` if this \
             gateway is reached by that name."
        )))
    }

    fn allows_host(&self, host: &str) -> bool {
        let (name, port) = split_port(host);
        let valid_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
        let is_address = || {
            let bare = name
                .strip_prefix('[')
                .and_then(|name| name.strip_suffix(']'));
            bare.unwrap_or(name).parse::<IpAddr>().is_ok()
        };
        let is_known = || {
            self.hosts
                .iter()
                .any(|known| known == host || known == name)
        };
        valid_port && (is_loopback(name) || is_known() || (self.any_address && is_address()))
    }

    pub(crate) fn allows_origin(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let origin = origin.to_ascii_lowercase();
        if self.origins.contains(&origin) {
            return true;
        }
        let Some(rest) = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
        else {
            return false;
        };
        let (name, port) = split_port(rest);
        is_loopback(name) && port.is_none_or(|port| port.parse::<u16>().is_ok())
    }
}

/// Name and port of `name:port`, `[v6]:port` or a name alone.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

fn is_loopback(name: &str) -> bool {
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        headers
    }

    #[test]
    fn names_of_elsewhere_are_refused() {
        let guard = Guard::new()
            .with_host("mcp.example.com")
            .with_origin("https://app.example");
        for (host, origin, ok) in [
            ("localhost", None, true),
            ("LOCALHOST:8080", None, true),
            ("127.0.0.1:1", None, true),
            ("[::1]:8080", None, true),
            ("mcp.example.com", None, true),
            ("MCP.example.com:443", None, true),
            ("evil.example", None, false),
            ("localhost.evil.example", None, false),
            ("127.0.0.1.nip.io", None, false),
            ("localhost:80:80", None, false),
            ("localhost:x", None, false),
            ("127.0.0.1@evil", None, false),
            ("", None, false),
            ("localhost", Some("http://localhost:3000"), true),
            ("localhost", Some("http://[::1]:3000"), true),
            ("localhost", Some("https://app.example"), true),
            ("localhost", Some("https://app.example:444"), false),
            ("localhost", Some("http://evil.example"), false),
            ("localhost", Some("http://localhost.evil.example"), false),
            ("localhost", Some("http://localhost@evil.example"), false),
            ("localhost", Some("file://localhost"), false),
            ("localhost", Some("null"), false),
            ("localhost", Some(""), false),
        ] {
            let judged = guard.check(&Uri::from_static("/mcp"), &headers(host, origin));
            assert_eq!(judged.is_ok(), ok, "{host} {origin:?}");
        }
        let none = guard.check(&Uri::from_static("/mcp"), &HeaderMap::new());
        assert!(none.is_err());
    }

    #[test]
    fn addresses_can_be_let_in_without_names() {
        let guard = Guard::new().with_any_address();
        for (host, ok) in [
            ("192.168.1.5:8080", true),
            ("[2001:db8::1]:8080", true),
            ("evil.example", false),
            ("1.2.3.4.nip.io", false),
        ] {
            let judged = guard.check(&Uri::from_static("/mcp"), &headers(host, None));
            assert_eq!(judged.is_ok(), ok, "{host}");
        }
    }

    #[test]
    fn given_twice_neither_counts() {
        let guard = Guard::new();
        let mut two = headers("localhost", None);
        two.append(HOST, HeaderValue::from_static("localhost"));
        assert!(guard.check(&Uri::from_static("/"), &two).is_err());
        let mut two = headers("localhost", Some("http://localhost"));
        two.append(ORIGIN, HeaderValue::from_static("http://evil.example"));
        assert!(guard.check(&Uri::from_static("/"), &two).is_err());
    }
}
