//! What a caller asked for, before anybody looked at it.

use bytes::Bytes;

/// A request that a model or an operation of a description asks for: unchecked, and of no use until it
/// was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestParts {
    /// The method, in upper case.
    pub method: String,
    /// The path below that of the API, with `/` in front, and perhaps a query: already encoded.
    pub endpoint: String,
    /// Parameters that join the query: names and values as they are meant, not encoded.
    pub query: Vec<(String, String)>,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<PartsBody>,
}

impl RequestParts {
    /// A request with nothing but a method and an endpoint.
    pub fn new(method: impl Into<String>, endpoint: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            endpoint: endpoint.into(),
            ..Self::default()
        }
    }
}

/// The body of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartsBody {
    /// Its media type, as in `content-type`.
    pub content_type: String,
    /// The bytes.
    pub bytes: Bytes,
}

impl PartsBody {
    /// A body of this media type.
    pub fn new(content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self {
            content_type: content_type.into(),
            bytes: bytes.into(),
        }
    }
}
