//! What a server behind HTTP is reached with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use mcp_gw_core::Secret;
use url::Url;

use crate::egress::AddressRules;
use crate::error::Error;
use crate::settings::{ClientInfo, Settings};
use crate::vet::Vet;

/// How to reach an MCP server over streamable HTTP.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpServerConfig {
    /// The name of the backend; unique in a gateway.
    pub name: String,
    /// The address of its MCP endpoint, `http` or `https`.
    pub url: String,
    /// Headers that go with every request: credentials, above all.
    pub headers: Vec<(String, Secret<String>)>,
    /// How the gateway introduces itself.
    pub client_info: ClientInfo,
    /// How long connecting may take. 10 s by default.
    pub connect_timeout: Duration,
    /// How long a request may take; progress starts it anew. 60 s by default.
    pub timeout: Duration,
    /// How long a request may take with all its progress. 10 min by default.
    pub max_total_timeout: Duration,
    /// How long the first question, which an old server may not answer, may take. 5 s by default.
    pub probe_timeout: Duration,
    /// The longest message that is taken from the server, in bytes. 16 MiB by default.
    pub max_message_bytes: usize,
    /// How many clients may have a session of their own at the same time, beside the one that all
    /// share; those who find no room share. Only servers of old revisions have sessions. 512 by
    /// default. No more than half of them are opened before their clients have called something.
    pub max_connections: usize,
    /// How many of them the clients of one caller may have; half of them if `None`, and at least one.
    /// Clients of a gateway without authentication are all of one caller.
    pub max_connections_per_caller: Option<usize>,
    /// How long a session of a client's own is kept open while it is not used. 30 min by default.
    pub idle_timeout: Duration,
    /// Which addresses may be connected to, judged for each connection; any by default. Redirects are
    /// never followed.
    pub addresses: Option<AddressRules>,
    /// Judges what the server lists on each new connection before requests of clients go there.
    pub vet: Option<Arc<dyn Vet>>,
}

impl HttpServerConfig {
    /// The server at `url`, with the defaults.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            headers: Vec::new(),
            client_info: ClientInfo::default(),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            max_total_timeout: Duration::from_secs(600),
            probe_timeout: Duration::from_secs(5),
            max_message_bytes: 16 * 1024 * 1024,
            max_connections: 512,
            max_connections_per_caller: None,
            idle_timeout: Duration::from_secs(30 * 60),
            addresses: None,
            vet: None,
        }
    }

    /// Sets which addresses may be connected to.
    #[must_use]
    pub fn with_addresses(mut self, rules: AddressRules) -> Self {
        self.addresses = Some(rules);
        self
    }

    /// Adds a header that goes with every request.
    #[must_use]
    pub fn with_header(
        mut self,
        name: impl Into<String>,
        value: impl Into<Secret<String>>,
    ) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets how the gateway introduces itself.
    #[must_use]
    pub fn with_client_info(mut self, info: ClientInfo) -> Self {
        self.client_info = info;
        self
    }

    /// Sets how long connecting may take.
    #[must_use]
    pub const fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets how long a request may take; progress starts it anew.
    #[must_use]
    pub const fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets how long a request may take with all its progress.
    #[must_use]
    pub const fn with_max_total_timeout(mut self, limit: Duration) -> Self {
        self.max_total_timeout = limit;
        self
    }

    /// Sets how long the first question, which an old server may not answer, may take.
    #[must_use]
    pub const fn with_probe_timeout(mut self, limit: Duration) -> Self {
        self.probe_timeout = limit;
        self
    }

    /// Sets the longest message that is taken from the server, in bytes.
    #[must_use]
    pub const fn with_max_message_bytes(mut self, limit: usize) -> Self {
        self.max_message_bytes = limit;
        self
    }

    /// Sets how many clients may have a session of their own at the same time.
    #[must_use]
    pub const fn with_max_connections(mut self, limit: usize) -> Self {
        self.max_connections = limit;
        self
    }

    /// Sets how many of them the clients of one caller may have.
    #[must_use]
    pub const fn with_max_connections_per_caller(mut self, limit: Option<usize>) -> Self {
        self.max_connections_per_caller = limit;
        self
    }

    /// Sets how long a session of a client's own is kept while it is not used.
    #[must_use]
    pub const fn with_idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// Has what the server lists on each new connection judged before requests of clients go there.
    #[must_use]
    pub fn with_vet(mut self, vet: Option<Arc<dyn Vet>>) -> Self {
        self.vet = vet;
        self
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            server: self.name.as_str().into(),
            client_info: Settings::client_info(&self.client_info),
            timeout: self.timeout,
            max_total_timeout: self.max_total_timeout,
            probe_timeout: self.probe_timeout,
            max_message_bytes: self.max_message_bytes,
            vet: self.vet.clone(),
        }
    }

    pub(crate) fn parsed_url(&self) -> Result<Url, Error> {
        let wrong = |reason: &str| Error::Url {
            server: self.name.clone(),
            reason: reason.to_owned(),
        };
        let url = Url::parse(&self.url).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it must begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("credentials belong into `headers`"));
        }
        Ok(url)
    }

    pub(crate) fn parsed_headers(&self) -> Result<HeaderMap, Error> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let wrong = |reason| Error::Header {
                server: self.name.clone(),
                header: name.clone(),
                reason,
            };
            let header = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| wrong("this is not the name of a header"))?;
            if is_own(&header) {
                return Err(wrong("the gateway sets this header itself"));
            }
            let mut value = HeaderValue::from_str(value.expose())
                .map_err(|_| wrong("its value has characters that no header may have"))?;
            value.set_sensitive(true);
            map.append(header, value);
        }
        Ok(map)
    }
}

/// Headers that carry the protocol, not the operator's wishes.
fn is_own(header: &HeaderName) -> bool {
    matches!(
        header.as_str(),
        "accept"
            | "connection"
            | "content-length"
            | "content-type"
            | "host"
            | "last-event-id"
            | "mcp-method"
            | "mcp-name"
            | "mcp-protocol-version"
            | "mcp-session-id"
            | "transfer-encoding"
    ) || header.as_str().starts_with("mcp-param-")
}

/// An address may hold a key in its query; what is shown ends before that.
impl fmt::Debug for HttpServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.url.split(['?', '#']).next().unwrap_or_default();
        let shown = match shown.rsplit_once('@') {
            Some((_, host)) => host,
            None => shown,
        };
        f.debug_struct("HttpServerConfig")
            .field("name", &self.name)
            .field("url", &shown)
            .field("headers", &self.headers)
            .field("client_info", &self.client_info)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_sent_is_refused_without_repeating_it() {
        let good = HttpServerConfig::new("s", "http://127.0.0.1:1/mcp");
        for (name, value) in [("a b", "v"), ("x", "se\ncret"), ("Mcp-Session-Id", "v")] {
            let config = good.clone().with_header(name, value.to_owned());
            let error = config.parsed_headers().unwrap_err();
            assert!(!error.to_string().contains("cret"), "{error}");
        }
        for url in ["", "127.0.0.1/mcp", "ftp://host/", "http://me:secret@host/"] {
            let config = HttpServerConfig::new("s", url);
            let error = config.parsed_url().unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let config = HttpServerConfig::new("s", "https://u:hidden@h/mcp?key=hidden")
            .with_header("authorization", "hidden".to_owned());
        assert!(!format!("{config:?}").contains("hidden"));
    }
}
