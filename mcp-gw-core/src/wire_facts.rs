//! What the transport knows of a request beyond MCP: the HTTP request line, headers, TLS.

use std::fmt::Debug;

/// The HTTP request that an MCP message came in, for policy conditions.
///
/// A front implements it over the request that it holds anyway, so that nothing is copied for
/// requests that nobody asks about. What it says is the client's word.
pub trait HttpFacts: Debug + Send + Sync + 'static {
    /// The method, in upper case, such as `POST`.
    fn method(&self) -> &str;

    /// `http` or `https`, as the client sees it.
    fn scheme(&self) -> &str;

    /// The host and, if any, the port that the client asked for.
    fn host(&self) -> Option<&str>;

    /// The path, as it was sent.
    fn path(&self) -> &str;

    /// The query without its `?`, as it was sent.
    fn query(&self) -> Option<&str>;

    /// The headers in their order; names in lower case. Left out are headers whose value is not
    /// text, and those that carry a credential, such as `authorization`.
    fn headers(&self) -> Vec<(&str, &str)>;
}

/// What the TLS handshake showed of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFacts {
    /// The distinguished name in the client's verified certificate.
    pub subject: Option<String>,
    /// The subject alternative names in it.
    pub sans: Vec<String>,
    /// The server name that the client asked for (RFC 6066 §3).
    pub sni: Option<String>,
}

impl TlsFacts {
    /// Facts of a connection.
    pub fn new(subject: Option<String>, sans: Vec<String>, sni: Option<String>) -> Self {
        Self { subject, sans, sni }
    }
}
